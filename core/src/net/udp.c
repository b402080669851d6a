#include "room.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    SLOT_BYTES = 65536, /* no datagram and no GSO buffer is larger */
    /* So that the beginnings of the slots, which are all that short messages touch, do not fall
     * into the same few sets of the cache. */
    SLOT_STEP = SLOT_BYTES + 5 * 64,
    /* A buffer brings up to 128 datagrams, and what is read from the kernel should still be in the
     * second-level cache when it is looked at; plain datagrams come one at a time. */
    SLOTS_GRO = 16,
    SLOTS_PLAIN = 64,
    /* Buffers that one port may bring before the next one has its turn: long enough that asking
     * the idle ones in between costs little, and short enough that where all are behind, the ports
     * stay together in event time: a full buffer holds a millisecond of a storm. */
    TURN_MAX = 16,
    /* A question that finds nothing costs 90 ns, as much as taking five messages. */
    REST_ROUNDS = 2, /* more, and a port that wakes up falls behind the others in event time */
    ROUNDS_MAX = 4,  /* of a call that found nothing but control messages */
    /* A port that always has more is asked this often what the kernel dropped there. */
    LOOK_EVERY_NS = 2000000,
    SHED_TO = 4,            /* a quarter of its queue stays */
    SHED_BESIDE = 2,        /* and of the others' that were more than half full */
    SHED_ROUNDS_MAX = 4096, /* against a sender that is faster than what lets go */
    CONTROL_BYTES = 64,
};

/* What the kernel writes beside a buffer; it has to be told anew each time how much room there is.
 */
typedef struct side {
    struct sockaddr_in6 name; /* of either family */
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
} side;

struct udp {
    char *memory;
    uint32_t slots;
    uint32_t next_port, stayed; /* stayed: buffers that it brought in its turn */
    bool turn_over;
    /* The buffers of the last round: those from `at` on are still to be handed out, the first of
     * them from byte `offset` on. */
    uint32_t filled, at, offset;
    int64_t arrival_ns;
    struct mmsghdr headers[SLOTS_PLAIN];
    struct iovec places[SLOTS_PLAIN];
    side sides[SLOTS_PLAIN];
    uint32_t port_of[SLOTS_PLAIN];
};

/* --- opening ---------------------------------------------------------------------------------- */

static void clear_header(udp *u, uint32_t slot)
{
    struct msghdr *header = &u->headers[slot].msg_hdr;

    header->msg_namelen = sizeof u->sides[slot].name;
    header->msg_controllen = CONTROL_BYTES;
    header->msg_flags = 0;
}

udp *udp_create(bool plain)
{
    udp *u = calloc(1, sizeof *u);

    if (!u)
        return NULL;
    u->slots = plain ? SLOTS_PLAIN : SLOTS_GRO;
    u->memory = mmap(NULL, (size_t)u->slots * SLOT_STEP, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (u->memory == MAP_FAILED) {
        free(u);
        return NULL;
    }
    for (uint32_t i = 0; i < u->slots; i++) {
        u->places[i] = (struct iovec){u->memory + (size_t)i * SLOT_STEP, SLOT_BYTES};
        u->headers[i].msg_hdr = (struct msghdr){.msg_name = &u->sides[i].name,
                                                .msg_iov = &u->places[i],
                                                .msg_iovlen = 1,
                                                .msg_control = u->sides[i].control};
        clear_header(u, i);
    }
    return u;
}

void udp_destroy(udp *u)
{
    if (!u)
        return;
    munmap(u->memory, (size_t)u->slots * SLOT_STEP);
    free(u);
}

int udp_open(net_port *p, const struct sockaddr_storage *address, socklen_t len,
             const hx_listen_config *config)
{
    int one = 1, none = 0;
    int bytes = config->buffer_bytes ? (int)config->buffer_bytes : UDP_BUFFER_DEFAULT;

    p->fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0)
        return HX_EIO;
    if (address->ss_family == AF_INET6)
        setsockopt(p->fd, IPPROTO_IPV6, IPV6_V6ONLY, &none, sizeof none);
    if (setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (config->reuse_port && setsockopt(p->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one))
        return HX_EIO;
    setsockopt(p->fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    p->gro = !config->plain && setsockopt(p->fd, SOL_UDP, UDP_GRO, &one, sizeof one) == 0;
    return bind(p->fd, (const struct sockaddr *)address, len) ? HX_EIO : 0;
}

uint32_t udp_buffer_bytes(const net_port *p)
{
    int booked = 0;
    socklen_t len = sizeof booked;

    return getsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &booked, &len) ? 0 : (uint32_t)booked / 2;
}

/* --- handing out ------------------------------------------------------------------------------ */

/* The size of the datagrams in a buffer; 0: it is one datagram. *drops: what the kernel had dropped
 * at this socket when it queued the buffer. */
static uint32_t stride_of(const struct mmsghdr *message, uint32_t *drops)
{
    const struct msghdr *header = &message->msg_hdr;
    int size = 0;

    *drops = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR((struct msghdr *)header, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
            memcpy(&size, CMSG_DATA(c), sizeof size);
        else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
            memcpy(drops, CMSG_DATA(c), sizeof *drops);
    return size > 0 && (uint32_t)size < message->msg_len ? (uint32_t)size : 0;
}

/* A loss that was told already, when nothing waited, is not told again. */
static void note_drops(net_port *p, uint32_t drops)
{
    if ((int32_t)(drops - p->drops_told) <= 0)
        return;
    p->drops_told = drops;
    p->hole = true;
}

/* Where the next control message lies from `at` on; len: there is none. */
static uint32_t find_mark(const char *data, uint32_t at, uint32_t len, uint32_t stride,
                          hx_mark *mark)
{
    uint32_t last = stride ? (len - 1) / stride * stride : 0;

    /* Equal messages of another length cannot be any; only the last one may have that length. */
    if (stride && at < last && !hx_mark_length(stride))
        at = last;
    while (at < len) {
        uint32_t one = stride && at < last ? stride : len - at;

        if (hx_mark_maybe(data + at, one) &&
            hx_mark_parse(hx_slice_make(data + at, one), mark) != HX_MARK_NONE)
            return at;
        at += one;
    }
    return len;
}

/* To the address it came from and from the socket it came to. */
static void answer(hx_listener *l, uint32_t slot, const hx_mark *mark)
{
    udp *u = l->udp;
    net_port *p = &l->ports[u->port_of[slot]];
    char report[HX_MARK_MAX];
    uint32_t len = listener_mark(l, u->port_of[slot], mark, u->arrival_ns, report);

    if (len && sendto(p->fd, report, len, MSG_DONTWAIT | MSG_NOSIGNAL, &u->sides[slot].name,
                      u->headers[slot].msg_hdr.msg_namelen) != (ssize_t)len)
        p->counters.unanswered++;
}

static inline uint32_t count_of(uint32_t bytes, uint32_t stride)
{
    return stride ? (bytes + stride - 1) / stride : 1;
}

static void hand_out(taking *t, net_port *p, const hx_taken *run)
{
    hx_port_counters *counters = &p->counters;

    t->out[t->count] = *run;
    t->out[t->count++].hole = p->hole;
    p->hole = false;
    t->bytes_left -= run->bytes;
    counters->bytes += run->bytes;
    counters->messages += count_of(run->bytes, run->stride);
}

/* The messages of a buffer from u->offset on; t NULL: they are let go. False where there was no
 * room for all of them. */
static bool hand_out_slot(hx_listener *l, uint32_t slot, taking *t)
{
    udp *u = l->udp;
    uint32_t len = u->headers[slot].msg_len, drops;
    uint32_t stride = stride_of(&u->headers[slot], &drops);
    net_port *p = &l->ports[u->port_of[slot]];
    const char *data = u->places[slot].iov_base;
    hx_mark mark;

    if (t && len > t->bytes_left)
        return false;
    note_drops(p, drops);
    p->counters.empty += len == 0;
    p->counters.truncated += (u->headers[slot].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    while (u->offset < len) {
        uint32_t until = find_mark(data, u->offset, len, stride, &mark);
        uint32_t bytes = until - u->offset;

        if (bytes && !t) {
            p->counters.shed += count_of(bytes, stride);
        } else if (bytes) {
            if (t->count == t->capacity)
                return false;
            hand_out(t, p,
                     &(hx_taken){.port = u->port_of[slot],
                                 .data = data + u->offset,
                                 .bytes = bytes,
                                 .stride = bytes > stride ? stride : 0});
        }
        u->offset = until;
        if (until < len) {
            answer(l, slot, &mark);
            u->offset += stride && len - until > stride ? stride : len - until;
        }
    }
    return true;
}

/* --- letting go ------------------------------------------------------------------------------- */

/* What waits at a port, the oldest first, down to a part of its queue. */
static void let_go(hx_listener *l, net_port *p)
{
    udp *u = l->udp;

    for (int round = 0; round < SHED_ROUNDS_MAX && p->waiting > p->room / SHED_TO; round++) {
        int got = recvmmsg(p->fd, u->headers, u->slots, MSG_DONTWAIT, NULL);

        u->arrival_ns = listener_now_ns();
        for (uint32_t i = 0; (int)i < got; i++) {
            u->port_of[i] = (uint32_t)(p - l->ports);
            u->offset = 0;
            hand_out_slot(l, i, NULL);
            clear_header(u, i);
        }
        if (got <= 0)
            break;
        p->hole = true;
        listener_read_drops(p);
    }
    u->offset = 0;
    p->drops_shed = p->drops_seen;
}

/* Ports that are more than half full go with those whose queue has overflowed: else these would be
 * ahead of them in event time by as much as they lose. */
static void shed(hx_listener *l)
{
    for (uint32_t i = 0; i < l->port_count; i++) {
        net_port *p = &l->ports[i];

        listener_read_drops(p);
        if (p->drops_seen != p->drops_shed || p->waiting > p->room / SHED_BESIDE)
            let_go(l, p);
    }
    l->overflowed = false;
}

/* --- receiving -------------------------------------------------------------------------------- */

/* The port has more than was taken. Whether its queue has overflowed since it was last let go. */
static void look_for_drops(hx_listener *l, net_port *p)
{
    p->looked_ns = l->udp->arrival_ns;
    listener_read_drops(p);
    l->overflowed |= p->drops_seen != p->drops_shed;
}

/* One port's turn, or the next piece of it. 0, or HX_EIO. */
static int receive(hx_listener *l, net_port *p, uint32_t room)
{
    udp *u = l->udp;
    uint32_t want = room - u->filled, left = TURN_MAX - u->stayed;
    int got;

    want = want < left ? want : left;
    got = recvmmsg(p->fd, u->headers + u->filled, want, MSG_DONTWAIT, NULL);
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return HX_EIO;
    got = got < 0 ? 0 : got;
    if (got == (int)want && l->shed && u->arrival_ns - p->looked_ns >= LOOK_EVERY_NS)
        look_for_drops(l, p);
    for (int i = 0; i < got; i++)
        u->port_of[u->filled++] = (uint32_t)(p - l->ports);
    u->stayed += (uint32_t)got;
    p->rest = got ? 0 : REST_ROUNDS;
    u->turn_over = got < (int)want || u->stayed == TURN_MAX;
    return 0;
}

static int receive_turns(hx_listener *l, uint32_t room, uint32_t rest_max)
{
    udp *u = l->udp;
    int rc = 0;

    for (uint32_t asked = 0; asked < l->port_count && u->filled < room && !rc; asked++) {
        net_port *p = &l->ports[u->next_port];

        u->turn_over = true;
        if (p->rest <= rest_max)
            rc = receive(l, p, room);
        else
            p->rest--;
        if (!u->turn_over)
            continue;
        u->stayed = 0;
        u->next_port = u->next_port + 1 == l->port_count ? 0 : u->next_port + 1;
    }
    return rc;
}

/* Every port is asked at most once, until the buffers are full; those that rest where the others
 * have nothing. Returns what came, or HX_EIO. */
static int receive_round(hx_listener *l, uint32_t bytes)
{
    udp *u = l->udp;
    uint32_t room = bytes / SLOT_BYTES < u->slots ? bytes / SLOT_BYTES : u->slots;
    int rc;

    u->filled = u->at = u->offset = 0;
    if (__builtin_expect(l->overflowed, 0))
        shed(l);
    rc = receive_turns(l, room, 0);
    if (!rc && !u->filled)
        rc = receive_turns(l, room, REST_ROUNDS - 1);
    if (u->filled)
        u->arrival_ns = listener_now_ns();
    return u->filled ? (int)u->filled : rc;
}

static void hand_out_round(hx_listener *l, taking *t)
{
    udp *u = l->udp;

    while (u->at < u->filled) {
        if (!hand_out_slot(l, u->at, t))
            return;
        clear_header(u, u->at);
        u->at++;
        u->offset = 0;
    }
}

int udp_take(hx_listener *l, taking *t)
{
    int rc = 0;

    hand_out_round(l, t);
    for (int round = 0; round < ROUNDS_MAX && t->count == 0 && !udp_holds(l->udp); round++) {
        rc = receive_round(l, t->bytes_left);
        if (rc <= 0)
            break;
        hand_out_round(l, t);
    }
    return t->count ? (int)t->count : rc < 0 ? rc : 0;
}

bool udp_holds(const udp *u)
{
    return u->at < u->filled;
}
