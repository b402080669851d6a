/* Batches to a socket on loopback. The system's two calls go through this file, which hands their
 * messages to the kernel one by one, takes at once what arrives, so that nothing is ever lost, and
 * refuses what another kernel or device would. */
#include "../check.h"
#include "send/room.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/syscall.h>
#include <time.h>

enum { LINES_MAX = 20000, ROUNDS = 40, ROUND_LINES = 700 };

static struct {
    uint32_t segments_max; /* more in a message: EINVAL; 0: as the kernel says */
    int gso_error;         /* of every message with more than one datagram; 0: none */
    uint32_t busy; /* so many calls fail with busy_error before one works; UINT32_MAX: all */
    int busy_error;
    uint32_t takes; /* messages of a call at most; 0: all */
    uint64_t calls;
} kernel;

static struct {
    int fd;
    uint64_t taken;
    bool seen[LINES_MAX];
} inbox;

static uint16_t want_len[LINES_MAX];
static uint32_t want_count;

/* --- the system --------------------------------------------------------------------------------
 */

/* Lines begin with their number; the rest follows from number and length. */
static void write_line(char *line, uint32_t n, uint32_t length)
{
    char head[16];

    memset(line, 'a' + (int)(n % 26), length);
    snprintf(head, sizeof head, "%07u:", n);
    memcpy(line, head, 8);
}

static void take_all(void)
{
    char got[2048], line[2048];
    ssize_t n;

    while ((n = recv(inbox.fd, got, sizeof got, MSG_DONTWAIT)) >= 0) {
        uint32_t i = (uint32_t)strtoul(got, NULL, 10);

        if (n == HX_PROBE_BYTES && memcmp(got, "<46>", 4) == 0)
            continue;
        CHECK(n >= 8 && i < want_count);
        CHECK(!inbox.seen[i]);
        inbox.seen[i] = true;
        write_line(line, i, want_len[i]);
        CHECK_BYTES(got, n, line, want_len[i]);
        inbox.taken++;
    }
}

static uint32_t segments_of(const struct msghdr *m)
{
    size_t len = 0;
    uint16_t segment;

    for (size_t i = 0; i < m->msg_iovlen; i++)
        len += m->msg_iov[i].iov_len;
    if (!m->msg_controllen)
        return 1;
    memcpy(&segment, CMSG_DATA(CMSG_FIRSTHDR(m)), sizeof segment);
    return (uint32_t)((len + segment - 1) / segment);
}

static int refusal(uint32_t segments)
{
    kernel.calls++;
    if (kernel.busy) {
        kernel.busy -= kernel.busy != UINT32_MAX;
        return kernel.busy_error;
    }
    if (segments > 1 && kernel.gso_error)
        return kernel.gso_error;
    return kernel.segments_max && segments > kernel.segments_max ? EINVAL : 0;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    unsigned done = 0;

    for (; done < count && (!kernel.takes || done < kernel.takes); done++) {
        int error = refusal(segments_of(&messages[done].msg_hdr));

        if (error) {
            errno = error;
            return done ? (int)done : -1;
        }
        long n = syscall(SYS_sendmsg, fd, &messages[done].msg_hdr, flags);
        if (n < 0)
            return done ? (int)done : -1;
        messages[done].msg_len = (unsigned)n;
        take_all();
    }
    return (int)done;
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    int error = refusal(1);

    if (error) {
        errno = error;
        return -1;
    }
    long n = syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
    take_all();
    return n;
}

/* --- a worker without its loop -----------------------------------------------------------------
 */

typedef struct bench {
    struct hx_sender sender;
    sender_worker worker;
    stream stream;
} bench;

static void bench_open(bench *b, bool plain)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_storage target = {0};
    socklen_t len = sizeof address;
    int room = 8 << 20;
    hx_error err;

    memset(b, 0, sizeof *b);
    memset(&inbox, 0, sizeof inbox);
    memset(&kernel, 0, sizeof kernel);
    want_count = 0;
    inbox.fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(inbox.fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    CHECK_INT(bind(inbox.fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(getsockname(inbox.fd, (struct sockaddr *)&address, &len), 0);
    memcpy(&target, &address, sizeof address);
    CHECK_INT(hx_stats_create(NULL, "test", 1, sender_stat_defs, SENDER_STATS,
                              sender_tool_stat_defs, SENDER_TOOL_STATS, &b->sender.stats, &err),
              0);
    for (uint32_t i = 0; i < SENDER_STATS; i++)
        b->stream.stat[i] = hx_stats_value(b->sender.stats, 0, i);
    b->worker.sender = &b->sender;
    b->worker.gso = !plain;
    b->worker.segments_max = HX_BIN_LINES_MAX;
    b->sender.zero_ns = sender_now_ns();
    CHECK_INT(hx_bins_init(&b->worker.bins, HX_BIN_LINES_MAX), 0);
    CHECK_INT(udp_connect(&b->stream, &target, len, &err), 0);
}

static uint64_t count_of(const bench *b, enum sender_stat what)
{
    return atomic_load(b->stream.stat[what]);
}

static void bench_close(bench *b)
{
    CHECK_INT(count_of(b, SENDER_EVENTS), b->stream.events);
    CHECK_INT(count_of(b, SENDER_BYTES), b->stream.bytes);
    CHECK_INT(b->worker.pending, 0);
    CHECK_INT(b->worker.bins.used_count, 0);
    CHECK_INT(count_of(b, SENDER_EVENTS) + count_of(b, SENDER_ERRORS), want_count);
    CHECK_INT(inbox.taken, count_of(b, SENDER_EVENTS));
    close(b->stream.fd);
    close(inbox.fd);
    hx_bins_free(&b->worker.bins);
    hx_stats_destroy(b->sender.stats);
}

static void put_line(bench *b, uint32_t length)
{
    static char line[HX_LINE_ROOM + 64];

    CHECK(want_count < LINES_MAX);
    want_len[want_count] = (uint16_t)length;
    write_line(line, want_count++, length);
    b->worker.pending++;
    if (hx_bins_put(&b->worker.bins, line, length, 0))
        datagrams_send_bin(&b->worker, &b->stream, length);
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % below);
}

/* Mixes that have riders, bins of two, full ones and long lines, each in another measure. */
static void put_mix(bench *b, uint64_t *random, uint32_t round)
{
    uint32_t lines = 1 + draw(random, round % 3 ? ROUND_LINES : 20);
    uint32_t width = 1 + draw(random, round % 2 ? HX_LINE_ROOM - 9 : 40);

    for (uint32_t i = 0; i < lines; i++) {
        uint32_t length = 8 + draw(random, width);

        if (draw(random, 3) == 0)
            length = 8 + width / 2;
        put_line(b, length < HX_LINE_ROOM ? length : HX_LINE_ROOM - 1);
        if (draw(random, 500) == 0)
            b->worker.bins.bin[want_len[want_count - 1]].probe_ns =
                b->worker.bins.bin[want_len[want_count - 1]].count ? 1 : 0;
    }
}

/* --- tests -------------------------------------------------------------------------------------
 */

/* Whatever the mix and the system's ways: each line arrives once, whole, as its own datagram. */
static void test_mixes(void)
{
    static const struct {
        const char *name;
        bool plain;
        uint32_t segments_max, takes;
        int gso_error;
        bool gso_after;
    } cases[] = {
        {"as it is", false, 0, 0, 0, true},
        {"a message a call", false, 0, 1, 0, true},
        {"a kernel before 6.11", false, 64, 0, 0, true},
        {"the same, three a call", false, 64, 3, 0, true},
        {"no checksum offload", false, 0, 0, EIO, false},
        {"no UDP_SEGMENT", false, 0, 2, EINVAL, false},
        {"not supported", false, 0, 0, EOPNOTSUPP, false},
        {"a narrow path", false, 0, 0, EMSGSIZE, true},
        {"plain", true, 0, 0, 0, false},
        {"plain, five a call", true, 0, 5, 0, false},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint64_t random = 42 + c;
        bench b;

        bench_open(&b, cases[c].plain);
        kernel.segments_max = cases[c].segments_max;
        kernel.takes = cases[c].takes;
        kernel.gso_error = cases[c].gso_error;
        for (uint32_t round = 0; round < ROUNDS && want_count + ROUND_LINES < LINES_MAX; round++) {
            put_mix(&b, &random, round);
            datagrams_flush(&b.worker, &b.stream);
        }
        if (b.worker.gso != cases[c].gso_after)
            fprintf(stderr, "%s\n", cases[c].name);
        CHECK_INT(b.worker.gso, cases[c].gso_after);
        CHECK_INT(atomic_load(&b.sender.gso_refused), !cases[c].plain && !cases[c].gso_after);
        CHECK_INT(count_of(&b, SENDER_ERRORS), 0);
        CHECK_INT(count_of(&b, SENDER_EVENTS), want_count);
        CHECK(count_of(&b, SENDER_CONTROLS) > 0);
        if (cases[c].segments_max)
            CHECK_INT(b.worker.segments_max, 64);
        bench_close(&b);
    }
}

/* Two buffers of too many in one call teach the same lesson twice: batches are smaller from then
 * on, and stay. */
static void test_two_too_large(void)
{
    bench b;

    bench_open(&b, false);
    kernel.segments_max = 64;
    for (uint32_t i = 0; i < 100; i++) {
        put_line(&b, 60);
        put_line(&b, 90);
        put_line(&b, 120);
    }
    datagrams_flush(&b.worker, &b.stream);
    CHECK(b.worker.gso);
    CHECK_INT(b.worker.bins.bin[60].capacity, 64);
    bench_close(&b);
}

/* No room in the system: it is waited for; where none comes, each event is an error, by name. */
static void test_busy(void)
{
    static const struct {
        int error;
        uint32_t times;
        bool arrives;
    } cases[] = {
        {ENOBUFS, 7, true},
        {EAGAIN, 3, true},
        {ENOMEM, 5, true},
        {EINTR, 9, true},
        {ECONNREFUSED, 150, true},
        {EPERM, 1, false},
        {ENETUNREACH, 1, false},
        {ENOBUFS, UINT32_MAX, false},
        {ECONNREFUSED, UINT32_MAX, false},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        bench b;

        bench_open(&b, false);
        for (uint32_t i = 0; i < 9; i++)
            put_line(&b, 80);
        kernel.busy_error = cases[c].error;
        kernel.busy = cases[c].times;
        datagrams_flush(&b.worker, &b.stream);
        kernel.busy = 0;
        CHECK_INT(count_of(&b, SENDER_ERRORS), cases[c].arrives ? 0 : 9);
        CHECK(b.worker.gso);
        if (cases[c].error == ECONNREFUSED)
            CHECK(count_of(&b, SENDER_REFUSED) >= 150);
        bench_close(&b);
    }
}

/* The end is not put off by a system that has no room. */
static void test_busy_at_the_end(void)
{
    bench b;

    bench_open(&b, true);
    for (uint32_t i = 0; i < 128; i++)
        put_line(&b, 80);
    kernel.busy_error = ENOBUFS;
    kernel.busy = UINT32_MAX;
    hx_sender_stop(&b.sender);
    for (uint32_t length = 100; length < 150; length++)
        put_line(&b, length);
    datagrams_flush(&b.worker, &b.stream);
    CHECK(kernel.calls <= 128 / 64 * 64 + 2 * 128 + 2 * 50);
    kernel.busy = 0;
    bench_close(&b);
}

/* What was due long ago and rides behind others is late, too. */
static void test_late(void)
{
    bench b;

    bench_open(&b, false);
    b.sender.zero_ns = sender_now_ns() - 10 * NS_PER_S;
    for (uint32_t i = 0; i < 50; i++)
        put_line(&b, 100);
    put_line(&b, 70);
    put_line(&b, 50);
    put_line(&b, 50);
    datagrams_flush(&b.worker, &b.stream);
    CHECK_INT(count_of(&b, SENDER_LATE_EVENTS), 53);
    CHECK(atomic_load(&b.worker.late_max_ns) >= 10 * NS_PER_S);
    bench_close(&b);
}

int main(void)
{
    test_mixes();
    test_two_too_large();
    test_busy();
    test_busy_at_the_end();
    test_late();
    return 0;
}
