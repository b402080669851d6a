#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_POLL_MS        200
#define DEFAULT_ROTATE_WAIT_MS 5000
/* News of rotations are read at least once in so many reads of busy files. */
#define READS_BETWEEN_NEWS 32
/* While the network is busy, files are looked at this often. */
#define LOOK_MS 2
#define NAP_NS  200000

int64_t source_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- the queue ------------------------------------------------------------------------------- */

void source_queue(hx_source *s, generation *g)
{
    if (g->ended)
        return;
    g->ready = true;
    if (g->queued)
        return;
    g->queued = true;
    g->queue_next = NULL;
    *s->queue_end = g;
    s->queue_end = &g->queue_next;
}

static generation *queue_pop(hx_source *s)
{
    generation *g = s->queue;

    s->queue = g->queue_next;
    if (!s->queue)
        s->queue_end = &s->queue;
    g->queued = false;
    return g;
}

/* Whose turn it is: the head of the queue, or what it replaced, if that still has something. */
static generation *queue_next(hx_source *s)
{
    while (s->queue) {
        generation *g = s->queue;
        generation *turn = g;

        while (turn->older && turn->older->ready)
            turn = turn->older;
        if (turn->ready)
            return turn;
        queue_pop(s);
    }
    return NULL;
}

void source_order(generation *older, generation *newer)
{
    older->older = newer->older;
    older->newer = newer;
    if (newer->older)
        newer->older->newer = older;
    newer->older = older;
}

void source_add_before(hx_source *s, generation *g, generation *newer)
{
    generation **at = &s->generations;

    while (*at && *at != newer)
        at = &(*at)->next;
    g->next = *at;
    *at = g;
    s->counters.inputs_open++;
    source_queue(s, g);
}

static void queue_drop(hx_source *s, const generation *g)
{
    generation **at = &s->queue;

    while (*at && *at != g)
        at = &(*at)->queue_next;
    if (*at) {
        *at = g->queue_next;
        if (s->queue_end == &g->queue_next)
            s->queue_end = at;
    }
}

void source_remove(hx_source *s, generation *g)
{
    generation **at = &s->generations;

    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    queue_drop(s, g);
    if (g->older)
        g->older->newer = g->newer;
    if (g->newer)
        g->newer->older = g->older;
    if (g->watch >= 0 && s->watches)
        watch_forget(s->watches, g->watch);
    generation_destroy(g);
}

generation *source_find(const hx_source *s, const struct stat *st)
{
    for (generation *g = s->generations; g; g = g->next)
        if (generation_is_file(g, st))
            return g;
    return NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

/* Nothing more comes from g. Without follow its position is kept, for the checkpoint that says it
 * was read. */
static void generation_over(hx_source *s, generation *g)
{
    g->ready = false;
    g->ended = true;
    s->counters.inputs_open--;
    s->open_streams -= g->stream;
    if (s->follow && !g->stream) {
        if (g->at == INPUT_NO_PATH)
            s->renamed_count--;
        else
            path_at(s, g->at)->current = NULL;
        source_remove(s, g);
        return;
    }
    if (g->fd >= 0 && !g->borrowed)
        close(g->fd);
    g->fd = -1;
}

/* Its turn has come: files that are read to the end are opened only then. */
static bool opened(hx_source *s, generation *g)
{
    struct stat st;

    if (g->fd >= 0)
        return true;
    g->fd = open(path_at(s, g->at)->name, O_RDONLY | O_CLOEXEC);
    if (g->fd >= 0 && fstat(g->fd, &st) == 0 && generation_is_file(g, &st)) {
        posix_fadvise(g->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        return true;
    }
    s->counters.read_errors++;
    return false;
}

static int read_ready(hx_source *s, char *buffer, uint32_t capacity, hx_chunk *chunk)
{
    generation *g;

    while ((g = queue_next(s))) {
        int rc = opened(s, g) ? generation_read(g, path_at(s, g->input)->name, s->follow, buffer,
                                                capacity, &s->counters, chunk)
                              : HX_EEND;
        if (rc == 0) {
            if (g->at == INPUT_NO_PATH)
                g->idle_since_ms = source_now_ms();
            if (s->follow && s->queue == g) { /* to the end of the line: every file has its turn */
                queue_pop(s);
                source_queue(s, g);
            }
            return 0;
        }
        if (rc == HX_EEND)
            generation_over(s, g);
        else
            g->ready = false;
    }
    return HX_EAGAIN;
}

/* --- the call -------------------------------------------------------------------------------- */

static bool over(const hx_source *s)
{
    if (s->network || (s->follow && s->any_file))
        return false;
    return s->counters.inputs_open == 0;
}

static int read_files(hx_source *s, char *buffer, uint32_t capacity, hx_chunk *chunk)
{
    struct timespec t;
    int rc;

    if (s->network) {
        int64_t now_ms = source_now_ms();

        if (now_ms >= s->next_look_ms) {
            s->next_look_ms = now_ms + LOOK_MS;
            source_glance(s);
        }
    } else if (!s->queue || ++s->reads_since_news >= READS_BETWEEN_NEWS) {
        source_take_news(s);
    }
    rc = read_ready(s, buffer, capacity, chunk);
    if (rc)
        return rc;
    clock_gettime(CLOCK_REALTIME, &t);
    chunk->arrival_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    chunk->input += s->ports;
    chunk->holes = chunk->first_hole = chunk->last_hole = 0;
    return 0;
}

/* What there is now. Of network and files the one that came second last time comes first. */
static int read_now(hx_source *s, char *buffer, uint32_t capacity, hx_chunk *chunk)
{
    int rc = HX_EAGAIN;

    if (!s->network)
        return read_files(s, buffer, capacity, chunk);
    s->files_first = !s->files_first;
    if (s->files_first)
        rc = read_files(s, buffer, capacity, chunk);
    if (rc == HX_EAGAIN)
        rc = network_read(s->network, buffer, capacity, &s->counters, chunk);
    if (rc == HX_EAGAIN && !s->files_first)
        rc = read_files(s, buffer, capacity, chunk);
    return rc;
}

/* Between two looks at a busy network, on which nothing may wait. True: woken. */
static bool nap(hx_source *s)
{
    const struct timespec length = {0, NAP_NS};
    struct pollfd wake = {.fd = s->wake_fd, .events = POLLIN};
    uint64_t wakes;

    return ppoll(&wake, 1, &length, NULL) > 0 && read(s->wake_fd, &wakes, sizeof wakes) > 0;
}

int hx_source_read(hx_source *s, char *buffer, uint32_t capacity, int timeout_ms, hx_chunk *chunk)
{
    int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX : 0;
    bool waited = false;
    int rc;

    if (capacity < 4096)
        return HX_EINVAL;
    s->started = true;
    for (;;) {
        rc = read_now(s, buffer, capacity, chunk);
        hx_source_refresh(s);
        if (rc == 0)
            return 0;
        if (over(s))
            return HX_EEND;
        if (deadline_ms == 0)
            deadline_ms = source_now_ms() + timeout_ms;
        else if (waited && timeout_ms >= 0 && source_now_ms() >= deadline_ms)
            return HX_EAGAIN;
        waited = true;
        if (s->network && timeout_ms != 0 && network_busy(s->network)) {
            if (nap(s))
                return HX_EAGAIN;
            continue;
        }
        s->next_look_ms = 0;
        rc = source_wait(s, deadline_ms);
        if (rc)
            return rc;
    }
}

void hx_source_behind(hx_source *s, bool behind)
{
    if (s->network)
        network_behind(s->network, behind);
}

int hx_source_drain(hx_source *s, char *buffer, uint32_t capacity, hx_chunk *chunk)
{
    int rc;

    if (!s->network)
        return HX_EEND;
    rc = network_drain(s->network, buffer, capacity, &s->counters, chunk);
    network_refresh(s->network, &s->counters);
    return rc;
}

void hx_source_wake(hx_source *s)
{
    uint64_t one = 1;
    int saved = errno;
    ssize_t n = write(s->wake_fd, &one, sizeof one);

    (void)n; /* full: a wake is pending already */
    errno = saved;
}

/* --- making and ending ----------------------------------------------------------------------- */

static int listen_to_network(hx_source *s, const hx_source_config *config, hx_error *err)
{
    int rc = network_create(config, &s->network, err);

    if (!rc) {
        s->ports = s->network->input_count;
        s->counters.inputs_open += s->ports;
    }
    return rc;
}

int hx_source_create(const hx_source_config *config, hx_source **out, hx_error *err)
{
    hx_source *s = calloc(1, sizeof *s);
    int rc;

    *out = NULL;
    if (!s)
        return hx_error_set(err, HX_ENOMEM, "inputs: out of memory");
    s->follow = config->follow;
    s->from_end = config->from_end;
    s->poll_ms = config->poll_ms ? config->poll_ms : DEFAULT_POLL_MS;
    s->rotate_wait_ms = config->rotate_wait_ms ? config->rotate_wait_ms : DEFAULT_ROTATE_WAIT_MS;
    s->queue_end = &s->queue;
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake_fd < 0) {
        rc = hx_error_set(err, HX_EIO, "eventfd: %s", strerror(errno));
        goto fail;
    }
    if (s->follow && !config->polling)
        s->watches = watch_create();
    rc = names_configure(s, config, err);
    if (rc)
        goto fail;
    names_watch_folders(s);
    if (config->listen_count)
        rc = listen_to_network(s, config, err);
    else if (err)
        err->text[0] = '\0';
    if (rc)
        goto fail;
    s->fds = calloc(SOURCE_STREAMS_MAX + 2 + (s->network ? network_fds_max(s->network) : 0),
                    sizeof *s->fds);
    if (!s->fds) {
        rc = hx_error_set(err, HX_ENOMEM, "inputs: out of memory");
        goto fail;
    }
    *out = s;
    return 0;
fail:
    hx_source_destroy(s);
    return rc;
}

void hx_source_destroy(hx_source *s)
{
    if (!s)
        return;
    while (s->generations) {
        generation *g = s->generations;
        s->generations = g->next;
        generation_destroy(g);
    }
    while (s->folders) {
        folder *f = s->folders;
        s->folders = f->next;
        free(f);
    }
    for (uint32_t i = 0; i < s->path_count; i++)
        free(path_at(s, i)->name);
    for (uint32_t i = 0; i < s->glob_count; i++)
        free(s->globs[i]);
    network_destroy(s->network);
    free(s->fds);
    watch_destroy(s->watches);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    for (uint32_t b = 0; b < PATH_BLOCKS; b++)
        free(s->path_blocks[b]);
    free(s->globs);
    free(s);
}

const char *hx_source_input_name(const hx_source *s, uint32_t input)
{
    if (input < s->ports)
        return s->network->inputs[input].name;
    input -= s->ports;
    return input < s->path_count ? path_at(s, input)->name : NULL;
}

const hx_source_counters *hx_source_counters_get(const hx_source *s)
{
    return &s->counters;
}

uint32_t hx_source_ports(const hx_source *s, hx_source_port *out)
{
    if (s->network && out)
        network_ports(s->network, out);
    return s->ports;
}

void hx_source_latency(const hx_source *s, hx_histogram *sum)
{
    if (s->network)
        network_latency(s->network, sum);
}

void hx_source_refresh(hx_source *s)
{
    if (s->network)
        network_refresh(s->network, &s->counters);
}
