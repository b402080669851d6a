/* TCP, TLS and files: a stream of framed lines, written in large pieces. */
#include "send/room.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    WAIT_MS = 100, /* between two looks at whether the storm is to end */
    FINISH_MS = 5, /* for one connection, before the next one is looked at */
};

static bool is_octets(const sender_worker *w)
{
    const hx_sender_config *c = &w->sender->config;

    return !c->output && c->framing == HX_FRAMING_OCTETS;
}

/* Room for it was made when the worker was: a turn's lines, each with its frame. */
static void frame_put(sender_worker *w, const char *line, uint32_t len)
{
    char *to = w->out.ptr + w->out.len;

    if (is_octets(w)) {
        uint32_t prefix = hx_frame_prefix(len, to);
        memcpy(to + prefix, line, len);
        w->out.len += prefix + len;
    } else {
        memcpy(to, line, len);
        to[len] = '\n';
        w->out.len += len + 1;
    }
}

void lines_put(sender_worker *w, const char *line, uint32_t len)
{
    frame_put(w, line, len);
    w->line_ends[w->pending] = (uint32_t)w->out.len;
}

/* --- files -------------------------------------------------------------------------------------
 */

static size_t file_write(sender_worker *w, stream *s)
{
    size_t written = 0;

    while (written < w->out.len) {
        ssize_t n = write(s->fd, w->out.ptr + written, w->out.len - written);
        hx_error err;

        if (n >= 0) {
            written += (size_t)n;
            continue;
        }
        if (errno == EINTR) {
            /* To a pipe that nobody reads, the end must come all the same. */
            if (atomic_load(&w->sender->stopping)) {
                s->cut = true;
                break;
            }
            continue;
        }
        s->cut = true;
        sender_fail(
            w->sender, HX_EIO,
            (hx_error_set(&err, HX_EIO, "%s: writing failed after %llu lines: %s",
                          w->sender->config.output, (unsigned long long)s->events, strerror(errno)),
             &err));
        break;
    }
    return written;
}

/* --- connections -------------------------------------------------------------------------------
 */

/* A receiver that has taken nothing since then was waited for long enough: a slow one is waited for
 * until the storm is told to end, a silent one not for long once its time is over. */
static bool is_over(sender_worker *w, int64_t since_ns)
{
    const struct hx_sender *s = w->sender;
    int64_t now_ns = sender_now_ns(), duration_ns = s->config.duration_ns;

    if (atomic_load(&s->stopping)) {
        if (!w->patience_ns)
            w->patience_ns = now_ns + (int64_t)PATIENCE_MS * NS_PER_MS;
        return now_ns > w->patience_ns;
    }
    if (!w->ending && !(duration_ns && now_ns - s->zero_ns >= duration_ns))
        return false;
    return now_ns - since_ns > (int64_t)SILENCE_MS * NS_PER_MS;
}

static void reconnect(sender_worker *w, stream *s)
{
    int64_t since_ns = sender_now_ns();
    hx_error err = {""};

    s->cut = true;
    fprintf(stderr, "haechi-storm: port %u: %s; connecting again\n", s->port,
            hx_outlet_reason(s->outlet));
    while (!is_over(w, since_ns)) {
        if (hx_outlet_reconnect(s->outlet, WAIT_MS, &err) == 0) {
            hx_stat_add(s->stat[SENDER_RECONNECTS], 1);
            s->said_len = 0;
            s->cut = false;
            return;
        }
    }
}

/* How many bytes the transport took. A receiver that takes slowly holds this worker up, and its
 * events leave late, which is counted; nothing is thrown away. */
static size_t outlet_write(sender_worker *w, stream *s)
{
    int64_t since_ns = sender_now_ns();
    size_t done = 0, n;
    int rc = 0;

    while (done < w->out.len) {
        rc = hx_outlet_write(s->outlet, w->out.ptr + done, w->out.len - done, &n, WAIT_MS);
        done += n;
        if (n)
            since_ns = sender_now_ns();
        if (rc == HX_EIO || (rc == HX_EAGAIN && is_over(w, since_ns)))
            break;
    }
    if (rc == HX_EIO)
        reconnect(w, s);
    else if (done < w->out.len)
        s->cut = true;
    return done;
}

/* --- both --------------------------------------------------------------------------------------
 */

static void count_lines(sender_worker *w, stream *s, size_t written)
{
    uint32_t whole = w->pending;

    while (whole && w->line_ends[whole - 1] > written)
        whole--;
    if (whole) {
        size_t frames = 0, bytes = w->line_ends[whole - 1];

        if (is_octets(w)) {
            for (uint32_t i = 0; i < whole; i++) {
                const char *frame = w->out.ptr + (i ? w->line_ends[i - 1] : 0);
                frames += (size_t)((const char *)memchr(frame, ' ', 8) - frame) + 1;
            }
        } else if (s->outlet) { /* of a file, all that is written counts */
            frames = whole;
        }
        s->events += whole;
        s->bytes += bytes - frames;
        hx_stat_add(s->stat[SENDER_EVENTS], whole);
        hx_stat_add(s->stat[SENDER_BYTES], bytes - frames);
        hx_stat_add(s->stat[SENDER_SENDS], 1);
    }
    hx_stat_add(s->stat[SENDER_ERRORS], w->pending - whole);
}

void lines_flush(sender_worker *w, stream *s)
{
    const hx_sender_config *c = &w->sender->config;
    int64_t late_ns;

    if (!w->pending)
        return;
    late_ns = sender_now_ns() - w->sender->zero_ns + c->composer.start_ns - w->pending_since_ns;
    if (!c->unhurried && c->eps_milli) {
        if (late_ns > atomic_load_explicit(&w->late_max_ns, memory_order_relaxed))
            atomic_store_explicit(&w->late_max_ns, late_ns, memory_order_relaxed);
        if (late_ns > (int64_t)HX_SENDER_LATE_US * NS_PER_US)
            hx_stat_add(s->stat[SENDER_LATE_EVENTS], w->pending);
    }
    count_lines(w, s, s->cut ? 0 : s->outlet ? outlet_write(w, s) : file_write(w, s));
    w->out.len = 0;
    w->pending = 0;
}

bool lines_send_control(sender_worker *w, stream *s, const char *message, uint32_t len)
{
    bool sent;

    if (s->cut)
        return false;
    /* Nothing else is on its way when it is called. */
    frame_put(w, message, len);
    sent = outlet_write(w, s) == w->out.len;
    w->out.len = 0;
    if (sent) {
        s->controls++;
        hx_stat_add(s->stat[SENDER_CONTROLS], 1);
    }
    return sent;
}

void lines_finish(sender_worker *w)
{
    int64_t end_ns = sender_now_ns() + (int64_t)PATIENCE_MS * NS_PER_MS;
    uint32_t open;

    /* All of them in turn, so that they close beside each other and not one after the other. */
    do {
        open = 0;
        for (uint32_t i = 0; i < w->stream_count; i++) {
            stream *s = w->streams[i];

            if (s->outlet && !s->finished)
                s->finished = hx_outlet_finish(s->outlet, FINISH_MS) != HX_EAGAIN;
            open += s->outlet && !s->finished;
        }
    } while (open && sender_now_ns() < end_ns);
}
