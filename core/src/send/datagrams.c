/* UDP: a bin is one system message of up to 128 datagrams (UDP_SEGMENT), and a turn's bins are one
 * system call. Where kernel or device refuse, datagrams leave one by one. */
#include "send/room.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    MESSAGES = 64, /* of one system call */
    SEND_BUFFER = 4 << 20,
    TRIES = 200, /* when the system has no room, a tenth of a millisecond apart */
};

typedef struct outgoing {
    struct mmsghdr message[MESSAGES];
    struct iovec part[MESSAGES][2]; /* lines of one length, and a shorter one behind them */
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control[MESSAGES];
    uint32_t events[MESSAGES];
    size_t bytes[MESSAGES];
    char probe[MESSAGES / 2][HX_PROBE_BYTES];
    uint32_t count, probes;
} outgoing;

int udp_connect(stream *s, const struct sockaddr_storage *address, socklen_t len, hx_error *err)
{
    const int room = SEND_BUFFER;

    s->fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return hx_error_set(err, HX_EIO, "port %u: no socket: %s", s->port, strerror(errno));
    /* Forced past net.core.wmem_max where this process may. */
    if (setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
        setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (connect(s->fd, (const struct sockaddr *)address, len) != 0)
        return hx_error_set(err, HX_EIO, "port %u: there is no way to the target: %s", s->port,
                            strerror(errno));
    return 0;
}

/* --- what the system refuses -------------------------------------------------------------------
 */

typedef enum verdict { TRY_AGAIN, GIVE_UP, SPLIT } verdict;

/* A smaller batch, or none: kernels before 6.11 take 64 datagrams, devices without checksum offload
 * refuse them, and a path may be narrower than the messages. */
static verdict shrink(sender_worker *w, int error, uint32_t events)
{
    if (error == EINVAL && events > 64) {
        w->segments_max = 64;
        for (uint32_t length = 1; length < HX_LINE_ROOM; length++)
            if (w->bins.bin[length].capacity > 64)
                w->bins.bin[length].capacity = 64;
    } else if (error != EMSGSIZE) {
        w->gso = false;
        if (!atomic_exchange(&w->sender->gso_refused, true))
            fprintf(stderr,
                    "haechi-storm: the system does not take several datagrams at once here (%s); "
                    "sending them one by one\n",
                    strerror(error));
    }
    return SPLIT;
}

static verdict judge(sender_worker *w, stream *s, int error, uint32_t events, uint32_t *tries)
{
    const struct timespec nap = {0, NS_PER_MS / 10};

    if (error == EINTR)
        return TRY_AGAIN;
    if (error == ECONNREFUSED) {
        /* What an earlier datagram met; this one was not looked at. */
        hx_stat_add(s->stat[SENDER_REFUSED], 1);
        return ++*tries < TRIES ? TRY_AGAIN : GIVE_UP;
    }
    if (error == ENOBUFS || error == EAGAIN || error == ENOMEM) {
        if (++*tries >= TRIES || (*tries > 1 && atomic_load(&w->sender->stopping)))
            return GIVE_UP;
        nanosleep(&nap, NULL);
        return TRY_AGAIN;
    }
    if (events > 1 && (error == EINVAL || error == EIO || error == EMSGSIZE ||
                       error == EOPNOTSUPP || error == ENOPROTOOPT))
        return shrink(w, error, events);
    return GIVE_UP;
}

static void count_out(stream *s, uint32_t events, size_t bytes)
{
    if (!events) {
        s->controls++;
        hx_stat_add(s->stat[SENDER_CONTROLS], 1);
    } else {
        s->events += events;
        s->bytes += bytes;
        hx_stat_add(s->stat[SENDER_EVENTS], events);
        hx_stat_add(s->stat[SENDER_BYTES], bytes);
    }
    hx_stat_add(s->stat[SENDER_SENDS], 1);
}

/* One datagram. */
static void send_one(sender_worker *w, stream *s, const char *bytes, size_t len, uint32_t events)
{
    uint32_t tries = 0;

    for (;;) {
        if (send(s->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len) {
            count_out(s, events, len);
            return;
        }
        if (judge(w, s, errno, events, &tries) == GIVE_UP) {
            hx_stat_add(s->stat[SENDER_ERRORS], events);
            return;
        }
    }
}

static void send_singly(sender_worker *w, stream *s, const outgoing *o, uint32_t at)
{
    const struct iovec *part = o->part[at];
    bool has_tail = o->message[at].msg_hdr.msg_iovlen > 1;
    uint32_t lines = o->events[at] - has_tail;
    size_t length = part[0].iov_len / lines;

    for (uint32_t i = 0; i < lines; i++)
        send_one(w, s, (const char *)part[0].iov_base + i * length, length, 1);
    if (has_tail)
        send_one(w, s, part[1].iov_base, part[1].iov_len, 1);
}

/* --- batches -----------------------------------------------------------------------------------
 */

static void put(outgoing *o, const char *bytes, size_t len, uint32_t events)
{
    uint32_t i = o->count++;
    struct msghdr *m = &o->message[i].msg_hdr;

    o->part[i][0] = (struct iovec){(void *)(uintptr_t)bytes, len};
    o->events[i] = events;
    o->bytes[i] = len;
    *m = (struct msghdr){.msg_iov = o->part[i], .msg_iovlen = 1};
    if (events <= 1)
        return;
    m->msg_control = o->control[i].bytes;
    m->msg_controllen = sizeof o->control[i].bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    uint16_t segment = (uint16_t)(len / events);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(c), &segment, sizeof segment);
}

/* The last datagram of a buffer may be shorter than the others. */
static void put_tail(outgoing *o, const char *line, size_t len)
{
    uint32_t i = o->count - 1;

    o->part[i][1] = (struct iovec){(void *)(uintptr_t)line, len};
    o->message[i].msg_hdr.msg_iovlen = 2;
    o->events[i]++;
    o->bytes[i] += len;
}

static void send_all(sender_worker *w, stream *s, outgoing *o)
{
    uint32_t i = 0, tries = 0;

    while (i < o->count) {
        int n = sendmmsg(s->fd, o->message + i, o->count - i, MSG_NOSIGNAL);

        for (int k = 0; k < n; k++, i++)
            count_out(s, o->events[i], o->bytes[i]);
        if (n > 0) {
            tries = 0;
            continue;
        }
        switch (judge(w, s, errno, o->events[i], &tries)) {
        case TRY_AGAIN:
            break;
        case SPLIT:
            send_singly(w, s, o, i);
            i++;
            break;
        case GIVE_UP:
            hx_stat_add(s->stat[SENDER_ERRORS], o->events[i]);
            i++;
            break;
        }
    }
    o->count = o->probes = 0;
}

static void note_lateness(sender_worker *w, stream *s, int64_t late_ns, uint32_t events)
{

    if (late_ns > atomic_load_explicit(&w->late_max_ns, memory_order_relaxed))
        atomic_store_explicit(&w->late_max_ns, late_ns, memory_order_relaxed);
    if (late_ns > (int64_t)HX_SENDER_LATE_US * NS_PER_US)
        hx_stat_add(s->stat[SENDER_LATE_EVENTS], events);
}

static void put_bin(sender_worker *w, stream *s, outgoing *o, uint32_t length)
{
    hx_bin *bin = &w->bins.bin[length];
    struct iovec whole = {bin->lines, (size_t)bin->count * length};

    if (w->gso || bin->count == 1)
        put(o, bin->lines, whole.iov_len, bin->count);
    else
        for (uint32_t i = 0; i < bin->count; i++) {
            if (o->count == MESSAGES)
                send_all(w, s, o);
            put(o, bin->lines + (size_t)i * length, length, 1);
        }
    if (!bin->probe_ns)
        return;
    if (o->count == MESSAGES || o->probes == MESSAGES / 2)
        send_all(w, s, o);
    char text[HX_MARK_MAX];
    hx_mark mark = {.kind = HX_MARK_PROBE,
                    .run = w->sender->run,
                    .stream = s->index,
                    .sequence = s->sequence++,
                    .time_ns = bin->probe_ns};
    memcpy(o->probe[o->probes], text, hx_mark_format(&mark, text));
    put(o, o->probe[o->probes++], HX_PROBE_BYTES, 0);
}

static int64_t timeline_now(const sender_worker *w)
{
    return sender_now_ns() - w->sender->zero_ns + w->sender->config.composer.start_ns;
}

void datagrams_send_bin(sender_worker *w, stream *s, uint32_t length)
{
    static _Thread_local outgoing o;

    const hx_bin *bin = &w->bins.bin[length];

    note_lateness(w, s, timeline_now(w) - bin->first_ns, bin->count);
    put_bin(w, s, &o, length);
    send_all(w, s, &o);
    w->pending -= bin->count;
    hx_bins_clear(&w->bins, length);
}

/* Lines that few others are as long as: each rides behind a buffer of longer ones instead of
 * costing a buffer of its own, which is what a third of a turn's buffers would be. */
enum { FEW = 2, WORDS = HX_LINE_ROOM / 64 };

typedef struct riders {
    uint64_t lengths[WORDS]; /* bit l: lines of length l are waiting for a ride */
} riders;

static void riders_find(riders *r, const hx_bins *bins)
{
    memset(r, 0, sizeof *r);
    for (uint32_t i = 0; i < bins->used_count; i++) {
        uint32_t length = bins->used[i];

        if (bins->bin[length].count <= FEW && !bins->bin[length].probe_ns)
            r->lengths[length / 64] |= UINT64_C(1) << (length % 64);
    }
}

/* The longest waiting line that is shorter than this: 0 where there is none. */
static uint32_t riders_below(const riders *r, uint32_t length)
{
    uint32_t word = length / 64;
    uint64_t bits = r->lengths[word] & ((UINT64_C(1) << (length % 64)) - 1);

    while (!bits && word)
        bits = r->lengths[--word];
    return bits ? word * 64 + 63 - (uint32_t)__builtin_clzll(bits) : 0;
}

/* When the one that was taken was due, or INT64_MAX. */
static int64_t take_rider(outgoing *o, hx_bins *bins, riders *r, uint32_t length, size_t room)
{
    uint32_t rider = riders_below(r, length);
    hx_bin *bin = &bins->bin[rider];

    if (!rider || rider > room)
        return INT64_MAX;
    bin->count--;
    put_tail(o, bin->lines + (size_t)bin->count * rider, rider);
    if (bin->count == 0)
        r->lengths[rider / 64] &= ~(UINT64_C(1) << (rider % 64));
    return bin->first_ns;
}

static bool is_few(const riders *r, uint32_t length)
{
    return r->lengths[length / 64] >> (length % 64) & 1;
}

static void flush_bins(sender_worker *w, stream *s, outgoing *o, riders *r, bool few)
{
    hx_bins *bins = &w->bins;
    int64_t now_ns = timeline_now(w);

    for (uint32_t i = 0; i < bins->used_count; i++) {
        uint32_t length = bins->used[i];
        hx_bin *bin = &bins->bin[length];

        if (!bin->count || is_few(r, length) != few)
            continue;
        note_lateness(w, s, now_ns - bin->first_ns, bin->count);
        if (o->count == MESSAGES) {
            send_all(w, s, o);
            now_ns = timeline_now(w);
        }
        bool probed = bin->probe_ns != 0;
        put_bin(w, s, o, length);
        if (w->gso && !few && !probed && bin->count > 1 && bin->count < w->segments_max)
            note_lateness(w, s,
                          now_ns - take_rider(o, bins, r, length,
                                              HX_BIN_BYTES_MAX - (size_t)bin->count * length),
                          1);
        bin->count = 0;
    }
}

void datagrams_flush(sender_worker *w, stream *s)
{
    static _Thread_local outgoing o;
    riders r;

    riders_find(&r, &w->bins);
    flush_bins(w, s, &o, &r, false);
    flush_bins(w, s, &o, &r, true);
    send_all(w, s, &o);
    hx_bins_clear_all(&w->bins);
    w->pending = 0;
}

bool datagrams_send_control(stream *s, const char *message, uint32_t len)
{
    for (int tries = 0; tries < 3; tries++) {
        if (send(s->fd, message, len, MSG_NOSIGNAL) == (ssize_t)len) {
            s->controls++;
            hx_stat_add(s->stat[SENDER_CONTROLS], 1);
            return true;
        }
    }
    return false;
}
