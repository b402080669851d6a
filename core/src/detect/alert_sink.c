#include "detect/alert.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Of alerts after one that is awaited: then it is so no more. What a restart looks through is
 * bounded. */
#define AWAITED_BYTES (UINT64_C(256) << 20)

/* Whether the last line lacks its newline. */
static bool is_torn(int fd, off_t size)
{
    char last = '\n';

    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

int hx_alert_sink_open(hx_alert_sink *sink, const char *path, hx_error *err)
{
    struct stat st;

    memset(sink, 0, sizeof *sink);
    pthread_mutex_init(&sink->lock, NULL);
    sink->owned = strcmp(path, "-") != 0;
    /* Readable too: a restart looks up what is already there. */
    sink->fd = sink->owned ? open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640) : 1;
    if (sink->fd < 0)
        return hx_error_set(err, HX_EIO, "alerts: %s: %s", path, strerror(errno));
    sink->file = sink->owned && fstat(sink->fd, &st) == 0 && S_ISREG(st.st_mode);
    sink->torn = sink->file && is_torn(sink->fd, st.st_size);
    return 0;
}

void hx_alert_sink_close(hx_alert_sink *sink)
{
    if (sink->owned && sink->fd >= 0)
        close(sink->fd);
    free(sink->known);
    sink->known = NULL;
    sink->fd = -1;
    pthread_mutex_destroy(&sink->lock);
}

/* Where the first of the known alerts stands that was not made again; end where there is none. */
static uint64_t first_awaited(const hx_alert_sink *sink, uint64_t end)
{
    uint64_t first = end;

    for (size_t i = 0; i < sink->known_count && !sink->made_all; i++) {
        const hx_known_alert *k = &sink->known[i];

        if (k->at < first && end - k->at <= AWAITED_BYTES &&
            !atomic_load_explicit(&k->made, memory_order_relaxed))
            first = k->at;
    }
    return first;
}

uint64_t hx_alert_sink_position(hx_alert_sink *sink)
{
    struct stat st;
    uint64_t position = 0;

    /* Under the lock, so that it never lies within a line. */
    pthread_mutex_lock(&sink->lock);
    if (sink->file && fstat(sink->fd, &st) == 0)
        position = first_awaited(sink, (uint64_t)st.st_size);
    pthread_mutex_unlock(&sink->lock);
    return position;
}

void hx_alert_sink_caught_up(hx_alert_sink *sink)
{
    sink->made_all = true;
}

static int compare_ids(const void *a, const void *b)
{
    const hx_known_alert *x = a, *y = b;

    return memcmp(x->id, y->id, sizeof x->id);
}

/* The id in a line that this program wrote: {"id": "<32 hexadecimal digits>", ... */
static bool line_id(const char *line, size_t len, uint64_t id[2])
{
    static const char head[] = "{\"id\": \"";
    char hex[17] = {0};
    char *end;

    if (len < sizeof head - 1 + 32 || memcmp(line, head, sizeof head - 1) != 0)
        return false;
    for (int part = 0; part < 2; part++) {
        memcpy(hex, line + sizeof head - 1 + 16 * part, 16);
        id[part] = strtoull(hex, &end, 16);
        if (*end)
            return false;
    }
    return true;
}

/* position: of the bytes in the file. */
static int note_ids(hx_alert_sink *sink, const char *bytes, size_t len, uint64_t position)
{
    size_t room = 0;

    for (size_t at = 0; at < len;) {
        const char *newline = memchr(bytes + at, '\n', len - at);
        size_t line_len = newline ? (size_t)(newline - bytes) - at : len - at;
        uint64_t id[2];

        if (newline && line_id(bytes + at, line_len, id)) {
            if (sink->known_count == room) {
                void *grown;

                room = room ? 2 * room : 64;
                grown = realloc(sink->known, room * sizeof *sink->known);
                if (!grown)
                    return HX_ENOMEM;
                sink->known = grown;
            }
            sink->known[sink->known_count++] =
                (hx_known_alert){{id[0], id[1]}, position + at, false};
        }
        at += line_len + 1;
    }
    if (sink->known_count)
        qsort(sink->known, sink->known_count, sizeof *sink->known, compare_ids);
    return 0;
}

int hx_alert_sink_resume(hx_alert_sink *sink, const char *path, uint64_t position, hx_error *err)
{
    uint64_t end = hx_alert_sink_position(sink);
    char *bytes;
    size_t len, got = 0;
    int rc = 0;

    if (!sink->file || end <= position)
        return 0;
    len = (size_t)(end - position);
    bytes = malloc(len);
    if (!bytes)
        return hx_error_set(err, HX_ENOMEM, "alerts: %s: out of memory", path);
    while (got < len) {
        ssize_t n = pread(sink->fd, bytes + got, len - got, (off_t)(position + got));

        if (n <= 0)
            break;
        got += (size_t)n;
    }
    if (got == len) {
        const char *last = memrchr(bytes, '\n', len);
        uint64_t whole = last ? position + (uint64_t)(last - bytes) + 1 : position;

        rc = note_ids(sink, bytes, len, position);
        if (!rc && whole < end && ftruncate(sink->fd, (off_t)whole) != 0)
            rc = HX_EIO;
        sink->torn = sink->torn && whole == end;
    } else {
        rc = HX_EIO;
    }
    free(bytes);
    return rc ? hx_error_set(err, rc, "alerts: %s: %s", path,
                             rc == HX_EIO ? strerror(errno) : hx_strerror(rc))
              : 0;
}

void hx_alert_sink_sync(hx_alert_sink *sink)
{
    if (sink->file)
        (void)fdatasync(sink->fd);
}

bool hx_alert_sink_knows(hx_alert_sink *sink, const uint64_t id[2])
{
    const hx_known_alert wanted = {.id = {id[0], id[1]}};
    hx_known_alert *found = NULL;

    if (sink->known_count)
        found = bsearch(&wanted, sink->known, sink->known_count, sizeof wanted, compare_ids);
    if (found)
        atomic_store_explicit(&found->made, true, memory_order_relaxed);
    return found != NULL;
}

static bool worth_waiting(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EAGAIN || error == EINTR || error == EIO;
}

static int write_all(hx_alert_sink *sink, const char *bytes, size_t len,
                     const _Atomic bool *give_up)
{
    const struct timespec pause = {0, 50000000};
    time_t said = 0;
    int rc = 0;

    while (len) {
        ssize_t n = write(sink->fd, bytes, len);

        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
            continue;
        }
        if (!worth_waiting(errno) || (errno != EINTR && atomic_load(give_up))) {
            fprintf(stderr, "haechi-detect: alerts cannot be written: %s\n", strerror(errno));
            rc = HX_EIO;
            break;
        }
        if (errno == EINTR)
            continue;
        atomic_fetch_add(&sink->retries, 1);
        if (time(NULL) >= said + 10) {
            said = time(NULL);
            fprintf(stderr,
                    "haechi-detect: alerts cannot be written (%s): waiting, nothing is lost\n",
                    strerror(errno));
        }
        nanosleep(&pause, NULL);
    }
    return rc;
}

int hx_alert_sink_write(hx_alert_sink *sink, const char *bytes, size_t len,
                        const _Atomic bool *give_up)
{
    int rc = 0;

    pthread_mutex_lock(&sink->lock);
    if (sink->torn)
        rc = write_all(sink, "\n", 1, give_up);
    sink->torn = sink->torn && rc;
    if (!rc)
        rc = write_all(sink, bytes, len, give_up);
    pthread_mutex_unlock(&sink->lock);
    return rc;
}
