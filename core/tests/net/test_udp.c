#include "datagrams.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { RUNS = 64, BYTES = 1 << 20, PORTS_MAX = 8, DATAGRAM_MAX = 65507 };

/* What a test took of a port: every message with its length before it. */
typedef struct got {
    char *bytes;
    size_t len, room;
    uint64_t messages;
} got;

static got taken[PORTS_MAX];
static hx_mark marks[16];
static uint32_t mark_count;

static void forget(void)
{
    for (int i = 0; i < PORTS_MAX; i++) {
        free(taken[i].bytes);
        taken[i] = (got){NULL, 0, 0, 0};
    }
    mark_count = 0;
}

static void keep(got *g, const char *bytes, uint32_t len)
{
    if (g->len + len + 4 > g->room) {
        g->room = (g->room + len + 4) * 2;
        g->bytes = realloc(g->bytes, g->room);
        CHECK(g->bytes != NULL);
    }
    memcpy(g->bytes + g->len, &len, 4);
    memcpy(g->bytes + g->len + 4, bytes, len);
    g->len += len + 4;
    g->messages++;
}

static void keep_mark(void *context, uint32_t port, const hx_mark *mark, int64_t arrival_ns)
{
    CHECK(context == marks && port < PORTS_MAX);
    CHECK(arrival_ns > INT64_C(1700000000000000000));
    if (mark_count < 16)
        marks[mark_count] = *mark;
    mark_count++;
}

/* Takes until there is nothing; loopback has delivered when send has returned. */
static void take_all(hx_listener *l, uint32_t capacity, uint32_t bytes)
{
    hx_taken runs[RUNS];
    int n;

    while ((n = hx_listener_take(l, runs, capacity, bytes, keep_mark, marks)) > 0) {
        uint64_t sum = 0;

        CHECK(n <= (int)capacity);
        for (int i = 0; i < n; i++) {
            sum += runs[i].bytes;
            CHECK(runs[i].bytes > 0 && (!runs[i].stride || runs[i].stride < runs[i].bytes));
            for (uint32_t at = 0, one; at < runs[i].bytes; at += one) {
                one = runs[i].bytes - at;
                one = runs[i].stride && runs[i].stride < one ? runs[i].stride : one;
                keep(&taken[runs[i].port], runs[i].data + at, one);
            }
        }
        CHECK(sum <= bytes);
    }
    CHECK_INT(n, 0);
}

static hx_listener *open_as(hx_listen_config config)
{
    static const uint16_t any[PORTS_MAX];
    hx_listener *l;
    hx_error err = {""};

    config.ports = any;
    if (hx_listener_create(&config, &l, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(config.address && strcmp(config.address, "::1") == 0 ? CHECK_SKIP : 1);
    }
    forget();
    return l;
}

static hx_listener *open_listener(uint32_t ports, bool plain, uint32_t buffer, const char *address)
{
    return open_as((hx_listen_config){
        .address = address, .port_count = ports, .buffer_bytes = buffer, .plain = plain});
}

/* Runs of equal messages with a short last one, single ones between them, on two ports at once. */
static void test_order(bool plain, uint32_t capacity, uint32_t bytes)
{
    hx_listener *l = open_listener(3, plain, 0, NULL);
    got want[2] = {{NULL, 0, 0, 0}};
    char data[64 * 100];
    sender s[2];

    for (int p = 0; p < 2; p++)
        sender_open(&s[p], AF_INET, hx_listener_port(l, (uint32_t)p * 2), 1, (uint32_t)p);
    for (uint32_t round = 0; round < 100; round++) {
        uint32_t p = round % 2, stride = 20 + round % 80, len = stride * (1 + round % 60);

        len -= round % 3 ? round % 19 : 0;
        for (uint32_t i = 0; i < len; i++)
            data[i] = (char)('!' + (i + round) % 90);
        if (len > stride)
            sender_send_run(&s[p], data, len, stride);
        else
            sender_send(&s[p], data, len);
        for (uint32_t at = 0; at < len; at += stride)
            keep(&want[p], data + at, len - at < stride ? len - at : stride);
    }
    take_all(l, capacity, bytes);
    for (uint32_t p = 0; p < 2; p++) {
        hx_port_counters counters;

        CHECK_BYTES(taken[p * 2].bytes, taken[p * 2].len, want[p].bytes, want[p].len);
        hx_listener_counters(l, p * 2, &counters);
        CHECK_INT(counters.messages, s[p].totals.events);
        CHECK_INT(counters.bytes, s[p].totals.bytes);
        CHECK_INT(counters.controls, 0);
        CHECK_INT(counters.kernel_dropped, 0);
        free(want[p].bytes);
        sender_close(&s[p]);
    }
    CHECK_INT(taken[1].len, 0);
    hx_listener_destroy(l);
}

/* Messages as long as a control message, so that both ride in one buffer; '#' stands for a control
 * message, 'e' for an event. The last place may hold the shorter end mark or a short event. */
static void test_marks_inside(bool plain, uint32_t capacity)
{
    static const char *const patterns[] = {"#",    "##",    "e#",     "#e",    "e#e",   "##ee",
                                           "ee##", "e##ee", "#e#e#e", "eee#E", "ee#",   "eeX",
                                           "X",    "#X",    "eeeeE",  "####X", "e#e#eX"};

    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        hx_listener *l = open_listener(1, plain, 0, NULL);
        char data[HX_MARK_MAX * 16];
        uint32_t len = 0, controls = 0, events = 0;
        hx_port_counters counters;
        sender s;

        sender_open(&s, AF_INET, hx_listener_port(l, 0), 9, 9);
        for (const char *p = patterns[i]; *p; p++) {
            if (*p == '#' || *p == 'X') {
                len += sender_mark(&s, *p == '#' ? HX_MARK_TOTALS : HX_MARK_END, data + len);
                controls++;
            } else {
                uint32_t one = *p == 'e' ? HX_TOTALS_BYTES : 7;
                memset(data + len, 'a' + (int)(p - patterns[i]), one);
                len += one;
                events++;
            }
        }
        if (len > HX_TOTALS_BYTES)
            sender_send_run(&s, data, len, HX_TOTALS_BYTES);
        else
            sender_send(&s, data, len);
        take_all(l, capacity, BYTES);
        hx_listener_counters(l, 0, &counters);
        CHECK_INT(counters.messages, events);
        CHECK_INT(taken[0].messages, events);
        CHECK_INT(counters.controls, controls);
        CHECK_INT(mark_count, controls);
        for (uint32_t c = 0; c < controls; c++) {
            hx_mark report;

            CHECK_INT(marks[c].sequence, c);
            sender_report(&s, &report);
            CHECK_INT(report.sequence, c);
            CHECK_INT(report.run, 9);
            CHECK_INT(report.stream, 9);
            CHECK_INT(report.controls, c + 1);
        }
        CHECK(!sender_has_report(&s)); /* one a mark */
        sender_close(&s);
        hx_listener_destroy(l);
    }
}

/* A probe is not answered, and what only looks like a control message is a message. */
static void test_probes(void)
{
    hx_listener *l = open_listener(1, false, 0, NULL);
    char text[HX_MARK_MAX];
    hx_mark report;
    uint32_t len;
    sender s;

    sender_open(&s, AF_INET, hx_listener_port(l, 0), 1, 1);
    sender_send_mark(&s, HX_MARK_PROBE);
    len = sender_mark(&s, HX_MARK_TOTALS, text);
    s.totals.controls--;
    text[len - 1] = 'g';
    sender_send(&s, text, len);
    sender_send_mark(&s, HX_MARK_END);
    take_all(l, RUNS, BYTES);
    CHECK_INT(mark_count, 2);
    CHECK_INT(marks[0].kind, HX_MARK_PROBE);
    CHECK_INT(marks[1].kind, HX_MARK_END);
    CHECK_INT(taken[0].messages, 1);
    CHECK_BYTES(taken[0].bytes + 4, taken[0].len - 4, text, len);
    sender_report(&s, &report);
    CHECK_INT(report.sequence, 2);
    CHECK_INT(report.events, 1);
    CHECK_INT(report.bytes, len);
    CHECK_INT(report.controls, 2);
    CHECK_INT(report.dropped, 0);
    CHECK(!sender_has_report(&s));
    sender_close(&s);
    hx_listener_destroy(l);
}

static void test_sizes(bool plain, const char *address)
{
    int family = address && address[0] == ':' ? AF_INET6 : AF_INET;
    hx_listener *l = open_listener(1, plain, 0, address);
    char *large = malloc(DATAGRAM_MAX);
    hx_port_counters counters;
    sender s;

    sender_open(&s, family, hx_listener_port(l, 0), 1, 1);
    memset(large, 'L', DATAGRAM_MAX);
    sender_send(&s, "", 0);
    sender_send(&s, "a", 1);
    sender_send(&s, large, DATAGRAM_MAX);
    sender_send(&s, "", 0);
    sender_send(&s, "z", 1);
    take_all(l, RUNS, 128 << 10);
    CHECK_INT(taken[0].messages, 3);
    CHECK_INT(taken[0].len, 3 * 4 + 2 + DATAGRAM_MAX);
    CHECK_BYTES(taken[0].bytes + 9, DATAGRAM_MAX, large, DATAGRAM_MAX);
    hx_listener_counters(l, 0, &counters);
    CHECK_INT(counters.empty, 2);
    CHECK_INT(counters.messages, 3);
    CHECK_INT(counters.truncated, 0);
    free(large);
    sender_close(&s);
    hx_listener_destroy(l);
}

/* A buffer far too small for what is sent while nobody takes it. */
static void test_drops(bool plain, uint32_t segments)
{
    hx_listener *l = open_listener(2, plain, 16384, NULL);
    char data[150 * 64];
    hx_account a, sum = {0}, other;
    hx_port_counters counters;
    hx_mark report;
    sender s;

    memset(data, 'd', sizeof data);
    sender_open(&s, AF_INET, hx_listener_port(l, 0), 4, 2);
    sender_send_mark(&s, HX_MARK_PROBE);
    for (int i = 0; i < 300; i++)
        sender_send_run(&s, data, 150 * segments, 150);
    take_all(l, RUNS, BYTES);
    sender_send_mark(&s, HX_MARK_END);
    take_all(l, RUNS, BYTES);
    sender_report(&s, &report);

    hx_listener_counters(l, 0, &counters);
    hx_listener_account(l, 0, &a);
    CHECK(counters.kernel_dropped > 0);
    CHECK_INT(report.dropped, counters.kernel_dropped);
    CHECK_INT(report.events, counters.messages);
    CHECK_INT(a.sent, 300 * segments);
    CHECK_INT(a.sent_bytes, 300 * 150 * segments);
    CHECK_INT(a.sent_controls, 2);
    CHECK_INT(a.received, taken[0].messages);
    CHECK_INT(a.received_controls, 2);
    CHECK_INT(a.sent + a.sent_controls,
              a.received + a.received_controls + a.kernel_dropped + a.lost_elsewhere);
    CHECK_INT(a.lost_elsewhere, 0);
    CHECK_INT(a.kernel_dropped, counters.kernel_dropped * (plain ? 1 : segments));
    CHECK_INT(a.streams, 1);
    CHECK_INT(a.streams_ended, 1);
    CHECK(a.closed);
    hx_listener_account(l, 1, &other);
    CHECK(other.closed && other.streams == 0 && other.kernel_dropped == 0);
    hx_account_add(&sum, &a);
    hx_account_add(&sum, &other);
    CHECK(sum.closed && sum.sent == a.sent && sum.kernel_dropped == a.kernel_dropped);
    sender_close(&s);
    hx_listener_destroy(l);
}

static void flood(sender *s, uint32_t segments)
{
    char data[150 * 64];

    memset(data, 'd', sizeof data);
    for (int i = 0; i < 300; i++)
        sender_send_run(s, data, 150 * segments, 150);
}

/* Takes everything; how many runs have a hole before them. */
static uint32_t take_holes(hx_listener *l)
{
    hx_taken runs[RUNS];
    uint32_t holes = 0;
    int n;

    while ((n = hx_listener_take(l, runs, RUNS, BYTES, NULL, NULL)) > 0)
        for (int i = 0; i < n; i++)
            holes += runs[i].hole;
    return holes;
}

/* A loss is told once: with the next message, or, where there is none, when it is asked for. */
static void test_holes(bool plain, uint32_t segments)
{
    static const struct {
        const char *turns; /* f: flood, t: take, s: send, m: send a mark, a: ask */
        uint32_t with_message, asked;
    } cases[] = {
        {"stsata", 0, 0},    {"fta", 0, 1},        {"ftaa", 0, 1},  {"ftast", 0, 1},
        {"ftsta", 1, 0},     {"ftstsa", 1, 0},     {"ftmta", 0, 1}, {"ftmtsta", 1, 0},
        {"ftstftsta", 2, 0}, {"ftaftaftst", 1, 2}, {"fata", 0, 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_listener *l = open_listener(2, plain, 16384, NULL);
        uint32_t with_message = 0, asked = 0, port = 7;
        hx_port_counters counters;
        sender s;

        sender_open(&s, AF_INET, hx_listener_port(l, 1), 1, 1);
        for (const char *turn = cases[i].turns; *turn; turn++) {
            if (*turn == 'f')
                flood(&s, segments);
            if (*turn == 's')
                sender_send(&s, "after", 5);
            if (*turn == 'm')
                sender_send_mark(&s, HX_MARK_PROBE);
            if (*turn == 't')
                with_message += take_holes(l);
            if (*turn != 'a')
                continue;
            for (uint32_t p = 0; p < 2; p++)
                hx_listener_counters(l, p, &counters);
            asked += hx_listener_lost_last(l, &port);
            CHECK(!hx_listener_lost_last(l, &port));
        }
        if (with_message != cases[i].with_message || asked != cases[i].asked)
            fprintf(stderr, "%s\n", cases[i].turns);
        CHECK_INT(with_message, cases[i].with_message);
        CHECK_INT(asked, cases[i].asked);
        CHECK(!asked || port == 1);
        sender_close(&s);
        hx_listener_destroy(l);
    }
}

/* Messages of 150 bytes that begin with their number, in runs, from `first` on. */
static uint32_t send_numbered(sender *s, uint32_t runs, uint32_t segments, uint32_t first)
{
    char data[150 * 64];

    memset(data, '.', sizeof data);
    for (uint32_t r = 0; r < runs; r++) {
        for (uint32_t i = 0; i < segments; i++) {
            char number[9];

            snprintf(number, sizeof number, "%08u", first++);
            memcpy(data + i * 150, number, 8);
        }
        sender_send_run(s, data, 150 * segments, 150);
    }
    return first;
}

/* Takes everything of port 0: the numbers of its messages ascend. Where they are more than one
 * apart, and only there, they come with a hole before them. Returns the gaps; *missing: numbers in
 * them. */
static uint32_t take_gaps(hx_listener *l, int64_t *last, uint64_t *missing)
{
    hx_taken runs[RUNS];
    uint32_t gaps = 0;
    int n;

    while ((n = hx_listener_take(l, runs, RUNS, BYTES, NULL, NULL)) > 0)
        for (int i = 0; i < n; i++) {
            if (runs[i].port != 0)
                continue;
            for (uint32_t at = 0; at < runs[i].bytes; at += 150) {
                int64_t number = strtol(runs[i].data + at, NULL, 10);

                CHECK(number > *last);
                CHECK_INT(number > *last + 1, at == 0 && runs[i].hole);
                gaps += number > *last + 1;
                *missing += (uint64_t)(number - *last - 1);
                *last = number;
            }
        }
    return gaps;
}

/* What waits in a queue that has overflowed is lost in one piece, its oldest, to the last quarter;
 * a queue beside it that is nearly empty keeps all it has. */
static void test_shed(bool plain, uint32_t segments)
{
    hx_listener *l = open_as((hx_listen_config){
        .port_count = 2, .buffer_bytes = 256 << 10, .plain = plain, .shed = true});
    uint32_t sent = 0;
    uint64_t missing = 0;
    int64_t last = -1;
    hx_port_counters counters;
    hx_account a;
    sender busy, quiet;

    sender_open(&busy, AF_INET, hx_listener_port(l, 0), 1, 1);
    sender_open(&quiet, AF_INET, hx_listener_port(l, 1), 1, 2);
    sent = send_numbered(&busy, 2, segments, sent);
    CHECK_INT(take_gaps(l, &last, &missing), 0); /* nothing was dropped, nothing is let go */
    sender_send(&quiet, "q", 1);
    sent = send_numbered(&busy, 4000, segments, sent);
    CHECK_INT(take_gaps(l, &last, &missing), 1);
    hx_listener_counters(l, 0, &counters);
    CHECK_INT(counters.shed, missing);
    CHECK(counters.kernel_dropped > 0 && last < (int64_t)sent - 1);
    CHECK(counters.shed > counters.messages); /* a first take, a quarter, and the two of before */
    sent = send_numbered(&busy, 1, segments, sent);
    CHECK_INT(take_gaps(l, &last, &missing), 1); /* what the kernel dropped */
    CHECK_INT(last, sent - 1);
    sent = send_numbered(&busy, 4000, segments, sent); /* and once more */
    CHECK_INT(take_gaps(l, &last, &missing), 1);
    sender_send_mark(&busy, HX_MARK_END);
    take_all(l, RUNS, BYTES);
    hx_listener_account(l, 0, &a);
    hx_listener_counters(l, 0, &counters);
    CHECK(a.closed);
    CHECK_INT(a.sent, sent);
    CHECK_INT(a.shed, counters.shed);
    CHECK_INT(a.sent, a.received + a.shed + a.kernel_dropped);
    CHECK_INT(a.kernel_dropped, counters.kernel_dropped * (plain ? 1 : segments));
    hx_listener_counters(l, 1, &counters);
    CHECK(counters.messages == 1 && counters.shed == 0);
    sender_close(&busy);
    sender_close(&quiet);
    hx_listener_destroy(l);
}

/* Control messages among what is let go are taken for what they are. */
static void test_shed_marks(bool plain)
{
    hx_listener *l = open_as((hx_listen_config){
        .port_count = 1, .buffer_bytes = 256 << 10, .plain = plain, .shed = true});
    uint32_t number = 0;
    hx_port_counters counters;
    hx_mark report;
    sender s;

    sender_open(&s, AF_INET, hx_listener_port(l, 0), 1, 1);
    number = send_numbered(&s, plain ? 64 : 16, plain ? 2 : 16, number);
    sender_send_mark(&s, HX_MARK_TOTALS);
    send_numbered(&s, 4000, plain ? 2 : 16, number);
    take_all(l, RUNS, BYTES);
    hx_listener_counters(l, 0, &counters);
    CHECK(counters.shed > 0);
    CHECK_INT(counters.controls, 1);
    CHECK_INT(mark_count, 1);
    sender_report(&s, &report);
    CHECK(report.events < number); /* what was let go by then was not received */
    sender_close(&s);
    hx_listener_destroy(l);
}

/* One port is flooded, others have a message each: they come through between its turns. */
static void test_fair(bool plain)
{
    hx_listener *l = open_listener(4, plain, 4 << 20, NULL);
    hx_taken runs[RUNS];
    sender busy, quiet;
    char data[64 * 16];
    bool seen = false;
    int calls = 0;

    memset(data, 'b', sizeof data);
    sender_open(&busy, AF_INET, hx_listener_port(l, 0), 1, 1);
    sender_open(&quiet, AF_INET, hx_listener_port(l, 2), 1, 2);
    take_all(l, RUNS, BYTES); /* all ports rest */
    for (int i = 0; i < 200; i++)
        sender_send_run(&busy, data, sizeof data, 16);
    sender_send(&quiet, "q", 1);
    for (; !seen && calls < 50; calls++) {
        int n = hx_listener_take(l, runs, RUNS, BYTES, NULL, NULL);

        CHECK(n > 0);
        for (int i = 0; i < n; i++)
            seen |= runs[i].port == 2;
        for (int i = 0; i < 16; i++) /* it never dries up */
            sender_send_run(&busy, data, sizeof data, 16);
    }
    CHECK(seen);
    sender_close(&busy);
    sender_close(&quiet);
    hx_listener_destroy(l);
}

static void test_wait(void)
{
    hx_listener *l = open_listener(2, false, 0, NULL);
    struct pollfd fds[HX_LISTENER_FDS_MAX];
    hx_taken run;
    int wake[2];
    sender s;

    hx_listener_wait(l, -1, 0);
    CHECK_INT(hx_listener_take(l, &run, 1, BYTES, NULL, NULL), 0);
    sender_open(&s, AF_INET, hx_listener_port(l, 1), 1, 1);
    sender_send(&s, "one", 3);
    sender_send(&s, "two", 3);
    hx_listener_wait(l, -1, -1);
    CHECK_INT(hx_listener_take(l, &run, 1, BYTES, NULL, NULL), 1);
    CHECK_BYTES(run.data, run.bytes, "one", 3);
    CHECK_INT(run.port, 1);
    /* The second one has left the kernel and has not been handed out: waiting must know of it. */
    hx_listener_wait(l, -1, -1);
    CHECK(poll(fds, hx_listener_fds(l, fds), 0) > 0);
    CHECK_INT(hx_listener_take(l, &run, 1, BYTES, NULL, NULL), 1);
    CHECK_BYTES(run.data, run.bytes, "two", 3);
    CHECK_INT(hx_listener_take(l, &run, 1, BYTES, NULL, NULL), 0);
    CHECK_INT(poll(fds, hx_listener_fds(l, fds), 0), 0);
    CHECK(pipe(wake) == 0 && write(wake[1], "x", 1) == 1);
    hx_listener_wait(l, wake[0], -1);
    CHECK_INT(hx_listener_take(l, &run, 0, BYTES, NULL, NULL), HX_EINVAL);
    CHECK_INT(hx_listener_take(l, &run, 1, 1000, NULL, NULL), HX_EINVAL);
    close(wake[0]);
    close(wake[1]);
    sender_close(&s);
    hx_listener_destroy(l);
}

/* Two listeners on one port: a sender's datagrams stay together, and the accounts add up. */
static void test_reuse_port(void)
{
    uint16_t port = 0;
    hx_listen_config config = {.ports = &port, .port_count = 1, .reuse_port = true};
    hx_listener *l[2];
    hx_account sum = {0}, part;
    hx_error err;

    CHECK_INT(hx_listener_create(&config, &l[0], NULL, &err), 0);
    port = hx_listener_port(l[0], 0);
    CHECK_INT(hx_listener_create(&config, &l[1], NULL, &err), 0);
    forget();
    for (uint32_t i = 0; i < 16; i++) {
        sender s;

        sender_open(&s, AF_INET, port, 1, i);
        sender_send(&s, "message", 7);
        sender_send_mark(&s, HX_MARK_END);
        sender_close(&s);
    }
    for (int i = 0; i < 2; i++) {
        take_all(l[i], RUNS, BYTES);
        hx_listener_account(l[i], 0, &part);
        hx_account_add(&sum, &part);
        hx_listener_destroy(l[i]);
    }
    CHECK_INT(sum.sent, 16);
    CHECK_INT(sum.received, 16);
    CHECK_INT(sum.streams_ended, 16);
    CHECK(sum.closed);
}

static void test_refused(void)
{
    static const uint16_t any[HX_NET_PORTS_MAX + 1];
    hx_listener *l = open_listener(1, false, 0, NULL), *second;
    uint16_t port = hx_listener_port(l, 0);
    hx_listen_config config = {.ports = &port, .port_count = 1};
    char number[8];
    hx_error err = {""};

    snprintf(number, sizeof number, "%u", port);
    CHECK_INT(hx_listener_create(&config, &second, NULL, &err), HX_EIO);
    CHECK(strstr(err.text, "127.0.0.1") && strstr(err.text, number) && strstr(err.text, "UDP"));
    CHECK(strstr(err.text, "another program"));
    CHECK(second == NULL);
    config.address = "192.0.2.1"; /* of no machine: RFC 5737 */
    CHECK_INT(hx_listener_create(&config, &second, NULL, &err), HX_EIO);
    CHECK(strstr(err.text, "192.0.2.1"));
    config.address = "not an address";
    CHECK_INT(hx_listener_create(&config, &second, NULL, &err), HX_ENOTFOUND);
    config = (hx_listen_config){.ports = any, .port_count = HX_NET_PORTS_MAX + 1};
    CHECK_INT(hx_listener_create(&config, &second, NULL, &err), HX_EINVAL);
    config.port_count = 0;
    CHECK_INT(hx_listener_create(&config, &second, NULL, &err), HX_EINVAL);
    hx_listener_destroy(l);
    hx_listener_destroy(NULL);
}

/* Without privileges: more buffer than is allowed is given as far as it goes, with a sentence that
 * says so; a low port is refused with one that says why. */
static void test_unprivileged(void)
{
    static const uint16_t any, low = 1;
    hx_listen_config config = {.ports = &any, .port_count = 1, .buffer_bytes = 1000000000};
    hx_error warning = {"old"}, err = {""};
    hx_listener *l = NULL;
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        if (geteuid() == 0)
            CHECK_INT(setuid(65534), 0);
        CHECK_INT(hx_listener_create(&config, &l, &warning, &err), 0);
        CHECK(strstr(warning.text, "not 1000000000") && strstr(warning.text, "net.core.rmem_max"));
        hx_listener_destroy(l);
        config.buffer_bytes = 4096;
        CHECK_INT(hx_listener_create(&config, &l, &warning, &err), 0);
        CHECK_INT(warning.text[0], 0);
        hx_listener_destroy(l);
        config.ports = &low; /* some machines let everybody have it */
        if (hx_listener_create(&config, &l, NULL, &err))
            CHECK(strstr(err.text, "CAP_NET_BIND_SERVICE") || strstr(err.text, "in use"));
        hx_listener_destroy(l);
        _exit(0);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
}

int main(void)
{
    for (int plain = 0; plain < 2; plain++) {
        test_order(plain, RUNS, BYTES);
        test_order(plain, 1, 128 << 10);
        test_marks_inside(plain, RUNS);
        test_marks_inside(plain, 1);
        test_sizes(plain, NULL);
        test_drops(plain, 64);
        test_drops(plain, 2);
        test_holes(plain, plain ? 4 : 64);
        test_shed(plain, plain ? 1 : 16);
        test_shed_marks(plain);
        test_fair(plain);
    }
    test_probes();
    test_wait();
    test_reuse_port();
    test_refused();
    test_unprivileged();
    test_sizes(false, "*");
    test_sizes(false, "::1"); /* the last: skipped where there is no IPv6 */
    forget();
    return 0;
}
