#include "clients.h"

#include <haechi/outlet.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ROOM_MAX = FRAMING_ROOM };

/* --- reports ---------------------------------------------------------------------------------- */

static int write_some(client *k, const char *bytes, uint32_t len)
{
    ssize_t n;

    if (k->tls)
        return tls_write(k->tls, bytes, len);
    n = send(k->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n >= 0 ? (int)n : errno == EAGAIN || errno == EINTR ? HX_EAGAIN : HX_EIO;
}

/* A report that has been begun must be finished, or the stream's framing is lost. False: not yet.
 */
static bool flush_report(client *k)
{
    int n;

    if (k->report_from == k->report_to)
        return true;
    n = write_some(k, k->report + k->report_from, k->report_to - k->report_from);
    if (n > 0)
        k->report_from += (uint32_t)n;
    return k->report_from == k->report_to;
}

/* In the framing that the client uses itself. */
static void frame_report(client *k, const char *report, uint32_t len)
{
    bool newline = k->framing.kind == HX_FRAMING_NEWLINE;

    k->report_from = 0;
    k->report_to = newline ? 0 : hx_frame_prefix(len, k->report);
    memcpy(k->report + k->report_to, report, len);
    k->report_to += len;
    if (newline)
        k->report[k->report_to++] = '\n';
}

static void answer(hx_listener *l, client *k, const hx_mark *mark)
{
    hx_port_counters *counters = &l->ports[k->port].counters;
    char report[HX_MARK_MAX];
    uint32_t len = listener_mark(l, k->port, mark, listener_now_ns(), report);

    if (!len)
        return;
    if (!flush_report(k)) {
        counters->unanswered++;
        return;
    }
    frame_report(k, report, len);
    /* TLS has begun it, even where the socket took nothing. */
    if (!flush_report(k) && k->report_from == 0 && !k->tls) {
        k->report_to = 0;
        counters->unanswered++;
    }
}

/* --- messages --------------------------------------------------------------------------------- */

static void hand_out(hx_listener *l, client *k, hx_slice message, taking *t)
{
    hx_port_counters *counters = &l->ports[k->port].counters;
    hx_mark mark;

    if (message.len == 0) {
        counters->empty++;
        return;
    }
    if (hx_mark_maybe(message.ptr, message.len) && hx_mark_parse(message, &mark) != HX_MARK_NONE) {
        answer(l, k, &mark);
        return;
    }
    counters->messages++;
    counters->bytes += message.len;
    t->out[t->count++] =
        (hx_taken){.port = k->port, .data = message.ptr, .bytes = message.len, .stride = 0};
    t->bytes_left -= message.len;
}

static bool has_room(const taking *t)
{
    return t->count < t->capacity && t->bytes_left >= HX_NET_MESSAGE_MAX;
}

/* The whole messages in the buffer. False where there was no room for all of them. */
static bool hand_out_all(hx_listener *l, client *k, taking *t)
{
    hx_port_counters *counters = &l->ports[k->port].counters;
    frame_result result;
    frame f;

    do {
        if (!has_room(t))
            return false;
        result = framing_next(&k->framing, k->bytes + k->from, k->to - k->from, k->ended, &f);
        k->from += f.used;
        if (result == FRAME_MESSAGE) {
            counters->truncated += f.cut;
            hand_out(l, k, f.message, t);
        }
    } while (result == FRAME_MESSAGE);
    if (result == FRAME_BAD) {
        counters->bad_framing++;
        k->ended = true;
        k->from = k->to;
    }
    return true;
}

/* Room behind what is left of the last read; false: out of memory. */
static bool make_room(client *k)
{
    uint32_t room = k->room * 2 < ROOM_MAX ? k->room * 2 : ROOM_MAX;
    char *grown;

    if (k->from) {
        memmove(k->bytes, k->bytes + k->from, k->to - k->from);
        k->to -= k->from;
        k->from = 0;
    }
    if (!k->full || k->room == ROOM_MAX)
        return true;
    grown = realloc(k->bytes, room);
    if (grown) {
        k->bytes = grown;
        k->room = room;
    }
    return grown || k->to < k->room;
}

static int read_some(client *k)
{
    ssize_t n;

    if (k->tls)
        return tls_read(k->tls, k->bytes + k->to, k->room - k->to);
    n = recv(k->fd, k->bytes + k->to, k->room - k->to, MSG_DONTWAIT);
    return n >= 0 ? (int)n : errno == EAGAIN || errno == EINTR ? HX_EAGAIN : HX_EIO;
}

/* A socket is read once, TLS until it has nothing or the buffer is full: epoll does not know what
 * OpenSSL holds. */
static void fill(clients *c, client *k)
{
    int n;

    if (!make_room(k)) {
        k->ended = true;
        return;
    }
    do {
        n = read_some(k);
        if (n > 0)
            k->to += (uint32_t)n;
    } while (k->tls && n > 0 && k->to < k->room);
    k->ended = n == 0 || n == HX_EIO;
    k->full = k->to == k->room;
    if (k->tls && k->full)
        clients_enqueue(c, k);
}

/* False while there is nothing to read yet. */
static bool shake(hx_listener *l, client *k)
{
    bool to_write = false;
    int rc = k->ended ? HX_EIO : tls_shake(k->tls, &to_write);

    if (rc == HX_EAGAIN) {
        clients_watch(l->clients, k, to_write ? EPOLLOUT : EPOLLIN);
        return false;
    }
    if (rc) {
        l->ports[k->port].counters.tls_failed++;
        clients_drop(l->clients, k);
        return false;
    }
    clients_end_shaking(l->clients, k);
    clients_watch(l->clients, k, EPOLLIN);
    return true;
}

static void serve(hx_listener *l, client *k, taking *t)
{
    uint32_t before = t->count;

    if (k->shaking && !shake(l, k))
        return;
    flush_report(k);
    if (!hand_out_all(l, k, t)) {
        clients_enqueue(l->clients, k);
        return;
    }
    /* What was handed out just now must stay where it is. */
    if (t->count > before && !k->ended) {
        clients_enqueue(l->clients, k);
        return;
    }
    if (!k->ended) {
        fill(l->clients, k);
        if (!hand_out_all(l, k, t)) {
            clients_enqueue(l->clients, k);
            return;
        }
    }
    if (k->ended && !k->queued)
        clients_drop(l->clients, k);
}

int clients_take(hx_listener *l, taking *t)
{
    clients *c = l->clients;
    uint32_t turns;

    clients_free_gone(c);
    clients_look(l);
    for (turns = c->queue_len; turns && has_room(t); turns--)
        serve(l, clients_dequeue(c), t);
    return (int)t->count;
}
