#include "room.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

/* What changed since the last look, and waiting until something does. */

/* Some file systems (NFS, FUSE) make no events for what others write: everything is looked at this
 * often even where inotify works. */
#define SWEEP_MS 2000

static void heard(void *context, watch_news news, void *owner, const char *name)
{
    hx_source *s = context;
    generation *g = owner;

    switch (news) {
    case WATCH_CHANGED:
        source_queue(s, g);
        break;
    case WATCH_RENAMED:
        if (g->at != INPUT_NO_PATH)
            names_mark(s, g->at);
        source_queue(s, g);
        break;
    case WATCH_NAME:
        names_told(s, owner, name);
        break;
    case WATCH_OVERFLOW:
        s->look_at_all = true;
        break;
    }
}

/* A renamed file is closed when it has been silent for the wait, and its name has a new file or it
 * has no name at all any more. A line it ends with that lacks its newline is handed out then. */
static void expire_renamed(hx_source *s, int64_t now_ms)
{
    s->next_expiry_ms = INT64_MAX;
    for (generation *g = s->generations; g; g = g->next) {
        struct stat st;
        int64_t due_ms = g->idle_since_ms + s->rotate_wait_ms;

        if (g->at != INPUT_NO_PATH || g->ended)
            continue;
        if (g->ready || now_ms >= due_ms) {
            bool replaced = path_at(s, g->input)->current || fstat(g->fd, &st) || st.st_nlink == 0;
            if (!g->ready && replaced) {
                g->last_call = true;
                source_queue(s, g);
                continue;
            }
            due_ms = now_ms + s->rotate_wait_ms;
        }
        s->next_expiry_ms = due_ms < s->next_expiry_ms ? due_ms : s->next_expiry_ms;
    }
}

static void poll_renamed(hx_source *s)
{
    for (generation *g = s->generations; g; g = g->next) {
        struct stat st;
        if (g->at == INPUT_NO_PATH && fstat(g->fd, &st) == 0 && (uint64_t)st.st_size != g->offset)
            source_queue(s, g);
    }
}

void source_take_news(hx_source *s)
{
    int64_t now_ms = source_now_ms();

    s->reads_since_news = 0;
    if (!s->follow || !s->any_file)
        return;
    if (s->watches)
        watch_read(s->watches, heard, s);
    if (now_ms >= s->next_sweep_ms || s->look_at_all) {
        s->look_at_all = false;
        names_watch_folders(s);
        s->next_sweep_ms = now_ms + (s->all_watched ? SWEEP_MS : s->poll_ms);
        s->look_at_globs = s->glob_count > 0;
        for (uint32_t i = 0; i < s->path_count; i++)
            names_mark(s, i);
        poll_renamed(s);
    }
    if (s->look_at_names) {
        s->look_at_names = false;
        for (uint32_t i = 0; i < s->path_count; i++)
            if (path_at(s, i)->look)
                names_check(s, i);
    }
    if (s->look_at_globs)
        names_scan_globs(s);
    if (s->renamed_count && now_ms >= s->next_expiry_ms)
        expire_renamed(s, now_ms);
}

/* --- waiting --------------------------------------------------------------------------------- */

static int64_t next_due_ms(const hx_source *s)
{
    int64_t due = INT64_MAX;

    if (!s->follow || !s->any_file)
        return due;
    due = s->next_sweep_ms;
    if (s->renamed_count && s->next_expiry_ms < due)
        due = s->next_expiry_ms;
    return due;
}

static nfds_t add_streams(const hx_source *s, struct pollfd *fds, generation **streams)
{
    nfds_t count = 0;

    for (generation *g = s->open_streams ? s->generations : NULL; g; g = g->next) {
        if (g->stream && !g->ended && count < SOURCE_STREAMS_MAX) {
            streams[count] = g;
            fds[count++] = (struct pollfd){.fd = g->fd, .events = POLLIN};
        }
    }
    return count;
}

static void queue_streams(hx_source *s, const struct pollfd *fds, generation **streams,
                          nfds_t count)
{
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].revents)
            source_queue(s, streams[i]);
}

void source_glance(hx_source *s)
{
    generation *streams[SOURCE_STREAMS_MAX];
    nfds_t count;

    source_take_news(s);
    count = add_streams(s, s->fds, streams);
    if (count && poll(s->fds, count, 0) > 0)
        queue_streams(s, s->fds, streams, count);
}

int source_wait(hx_source *s, int64_t deadline_ms)
{
    struct pollfd *fds = s->fds;
    generation *streams[SOURCE_STREAMS_MAX];
    int64_t now_ms = source_now_ms(), due_ms = next_due_ms(s);
    int64_t until_ms = due_ms < deadline_ms ? due_ms : deadline_ms;
    int64_t wait_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    int timeout_ms = until_ms == INT64_MAX ? -1 : wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
    nfds_t count = 1, first_stream, stream_count;
    bool ready = false;
    int n;

    fds[0] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
    if (s->watches)
        fds[count++] = (struct pollfd){.fd = watch_fd(s->watches), .events = POLLIN};
    first_stream = count;
    stream_count = add_streams(s, fds + count, streams);
    count += stream_count;
    if (s->network)
        count += network_wait_begin(s->network, fds + count, &ready);
    n = poll(fds, count, ready ? 0 : timeout_ms);
    if (s->network)
        network_wait_end(s->network);
    if (n < 0)
        return errno == EINTR ? 0 : HX_EIO;
    queue_streams(s, fds + first_stream, streams, stream_count);
    if (fds[0].revents & POLLIN) {
        uint64_t wakes;
        return read(s->wake_fd, &wakes, sizeof wakes) > 0 ? HX_EAGAIN : 0;
    }
    return n == 0 && source_now_ms() >= deadline_ms && due_ms > deadline_ms ? HX_EAGAIN : 0;
}
