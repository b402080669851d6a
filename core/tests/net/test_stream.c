#include "../check.h"

#include <haechi/net.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { RUNS = 64, BYTES = 1 << 20, PATIENCE_S = 30, ROOM = 1 << 20, MANY = 1000 };

static char taken[ROOM]; /* messages with a bar behind each, of all ports */
static size_t taken_len;
static uint64_t messages, mark_count;

static void count_mark(void *context, uint32_t port, const hx_mark *mark, int64_t arrival_ns)
{
    CHECK(context == NULL && port < 2 && mark->kind && arrival_ns > 0);
    mark_count++;
}

static hx_listener *open_listener(hx_framing framing)
{
    static const uint16_t any[2];
    hx_listen_config config = {
        .transport = HX_TCP, .ports = any, .port_count = 2, .framing = framing};
    hx_listener *l;
    hx_error err = {""};

    CHECK_INT(hx_listener_create(&config, &l, NULL, &err), 0);
    taken_len = messages = mark_count = 0;
    return l;
}

static int take_once(hx_listener *l, uint32_t capacity)
{
    hx_taken runs[RUNS];
    int n = hx_listener_take(l, runs, capacity, 128 << 10, count_mark, NULL);

    CHECK(n >= 0 && n <= (int)capacity);
    for (int i = 0; i < n; i++) {
        CHECK(runs[i].stride == 0 && runs[i].bytes > 0);
        messages++;
        if (taken_len + runs[i].bytes + 1 > ROOM)
            continue;
        memcpy(taken + taken_len, runs[i].data, runs[i].bytes);
        taken_len += runs[i].bytes;
        taken[taken_len++] = '|';
    }
    return n;
}

static time_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* Takes until *what has reached a number; a test that waits in vain ends. */
static void take_until(hx_listener *l, const uint64_t *what, uint64_t number, uint32_t capacity)
{
    time_t until = now_s() + PATIENCE_S;

    while (*what < number) {
        if (take_once(l, capacity) == 0)
            hx_listener_wait(l, -1, 100);
        CHECK(now_s() < until);
    }
    CHECK_INT(*what, number);
}

typedef enum counted { CLIENTS, REFUSED, BAD, TRUNCATED, CONTROLS } counted;

static uint64_t counter(hx_listener *l, counted which)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < 2; i++) {
        hx_port_counters c;

        hx_listener_counters(l, i, &c);
        sum += which == CLIENTS     ? c.clients
               : which == REFUSED   ? c.refused
               : which == BAD       ? c.bad_framing
               : which == TRUNCATED ? c.truncated
                                    : c.controls;
    }
    return sum;
}

static void take_until_counted(hx_listener *l, counted which, uint64_t number)
{
    time_t until = now_s() + PATIENCE_S;

    while (counter(l, which) < number) {
        if (take_once(l, RUNS) == 0)
            hx_listener_wait(l, -1, 100);
        CHECK(now_s() < until);
    }
    CHECK_INT(counter(l, which), number);
}

static int dial(const hx_listener *l, uint32_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(hx_listener_port(l, port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What the listener says until it closes. */
static size_t hear(hx_listener *l, int fd, char *out, size_t room)
{
    struct pollfd p = {fd, POLLIN, 0};
    time_t until = now_s() + PATIENCE_S;
    size_t len = 0;
    ssize_t n;

    do {
        while (poll(&p, 1, 10) == 0) {
            take_once(l, RUNS);
            CHECK(now_s() < until);
        }
        n = recv(fd, out + len, room - len, 0);
        CHECK(n >= 0 || errno == ECONNRESET);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    return len;
}

/* The listener closes the connection: it takes until the client sees that. */
static void take_until_closed(hx_listener *l, int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    time_t until = now_s() + PATIENCE_S;
    char byte;

    for (;;) {
        take_once(l, RUNS);
        if (poll(&p, 1, 10) == 1 && recv(fd, &byte, 1, MSG_PEEK) <= 0)
            return;
        CHECK(now_s() < until);
    }
}

static void test_messages(uint32_t capacity)
{
    static const struct {
        hx_framing framing;
        const char *said, *want;
        uint64_t messages;
    } cases[] = {
        {HX_FRAMING_AUTO, "<1>a\n<2>b\r\n\n<3>c", "<1>a|<2>b|<3>c|", 3},
        {HX_FRAMING_AUTO, "4 <1>a5 <2>bb3 <3>", "<1>a|<2>bb|<3>|", 3},
        {HX_FRAMING_OCTETS, "4 <1>a", "<1>a|", 1},
        {HX_FRAMING_NEWLINE, "4 <1>a\n", "4 <1>a|", 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_listener *l = open_listener(cases[i].framing);
        int fd = dial(l, 1);

        say(fd, cases[i].said);
        CHECK_INT(shutdown(fd, SHUT_WR), 0);
        take_until(l, &messages, cases[i].messages, capacity);
        CHECK_BYTES(taken, taken_len, cases[i].want, strlen(cases[i].want));
        take_until_closed(l, fd);
        CHECK_INT(counter(l, CLIENTS), 1);
        close(fd);
        hx_listener_destroy(l);
    }
}

static size_t frame_mark(char *out, size_t room, hx_mark *mark, bool newline)
{
    char text[HX_MARK_MAX];
    int len;

    mark->controls++;
    len = (int)hx_mark_format(mark, text);
    mark->sequence++;
    return newline ? (size_t)snprintf(out, room, "%.*s\n", len, text)
                   : (size_t)snprintf(out, room, "%d %.*s", len, len, text);
}

/* Totals and the end are answered in the framing of the connection, even when the client has closed
 * its side already; then the account is closed. */
static void test_marks(bool newline)
{
    hx_listener *l = open_listener(HX_FRAMING_AUTO);
    hx_mark mark = {.kind = HX_MARK_PROBE, .run = 77, .stream = 3}, report;
    char text[1024], heard[1024];
    hx_account a;
    size_t len, at = 0;
    int fd = dial(l, 0);

    len = frame_mark(text, sizeof text, &mark, newline);
    len += (size_t)snprintf(text + len, sizeof text - len, newline ? "<1>a\n" : "4 <1>a");
    mark.kind = HX_MARK_TOTALS;
    mark.events = 1;
    mark.bytes = 4;
    len += frame_mark(text + len, sizeof text - len, &mark, newline);
    mark.kind = HX_MARK_END;
    len += frame_mark(text + len, sizeof text - len, &mark, newline);
    CHECK_INT(send(fd, text, len, 0), len);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    take_until(l, &mark_count, 3, RUNS);
    take_until(l, &messages, 1, RUNS);
    take_until_counted(l, CONTROLS, 3);
    CHECK_BYTES(taken, taken_len, "<1>a|", 5);
    len = hear(l, fd, heard, sizeof heard);
    for (uint64_t sequence = 1; sequence <= 2; sequence++) {
        size_t head = newline ? 0 : 4, tail = newline;

        CHECK(at + head + HX_REPORT_BYTES + tail <= len);
        CHECK_BYTES(heard + at, head, "134 ", head);
        CHECK_INT(hx_mark_parse(hx_slice_make(heard + at + head, HX_REPORT_BYTES), &report),
                  HX_MARK_REPORT);
        CHECK_INT(report.run, 77);
        CHECK_INT(report.stream, 3);
        CHECK_INT(report.sequence, sequence);
        CHECK_INT(report.events, 1);
        CHECK_INT(report.bytes, 4);
        CHECK_INT(report.controls, sequence + 1);
        at += head + HX_REPORT_BYTES + tail;
    }
    CHECK_INT(at, len);
    hx_listener_account(l, 0, &a);
    CHECK(a.closed && a.sent == 1 && a.received == 1 && a.lost_elsewhere == 0 && a.streams == 1);
    close(fd);
    hx_listener_destroy(l);
}

/* A client whose reports nobody reads goes on being read; what cannot be sent is counted. */
static void test_unread_reports(void)
{
    hx_listener *l = open_listener(HX_FRAMING_NEWLINE);
    hx_mark mark = {.kind = HX_MARK_TOTALS, .run = 1, .stream = 1};
    hx_port_counters counters;
    int fd = dial(l, 0);
    char text[16 << 10];
    uint64_t sent = 0;
    int accepted = dup(fd), small = 4096;

    /* The listener's end of the connection gets the lowest free descriptor. */
    close(accepted);
    take_until_counted(l, CLIENTS, 1);
    CHECK_INT(setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    do {
        size_t len = 0;

        for (int i = 0; i < 100; i++, sent++)
            len += frame_mark(text + len, sizeof text - len, &mark, true);
        CHECK_INT(send(fd, text, len, 0), len);
        take_until(l, &mark_count, sent, RUNS);
        hx_listener_counters(l, 0, &counters);
        CHECK(sent < 1000000);
    } while (!counters.unanswered);
    close(fd);
    hx_listener_destroy(l);
}

static void test_slow_client(void)
{
    hx_listener *l = open_listener(HX_FRAMING_AUTO);
    int slow = dial(l, 0), other = dial(l, 0);

    say(slow, "21 <1>half");
    take_until_counted(l, CLIENTS, 2);
    for (int i = 0; i < 50; i++) {
        say(other, "6 <2>abc");
        take_until(l, &messages, (uint64_t)i + 1, RUNS);
    }
    say(slow, " and the rest");
    say(slow, "!4 <3>z");
    take_until(l, &messages, 52, RUNS);
    CHECK_BYTES(taken + taken_len - 27, 27, "<1>half and the rest!|<3>z|", 27);
    close(slow);
    close(other);
    hx_listener_destroy(l);
}

static void test_broken_clients(void)
{
    hx_listener *l = open_listener(HX_FRAMING_OCTETS);
    struct linger at_once = {1, 0};
    int bad = dial(l, 0), reset = dial(l, 0), good = dial(l, 1);

    say(bad, "4 <1>anonsense");
    take_until_counted(l, BAD, 1);
    take_until_closed(l, bad);
    say(reset, "10 <2>");
    take_until_counted(l, CLIENTS, 3);
    setsockopt(reset, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(reset);
    close(bad);
    say(good, "4 <3>c");
    /* A connection that was reset has ended too: what had come of its last message is taken, as far
     * as the kernel still has it. */
    while (!memmem(taken, taken_len, "<3>c|", 5)) {
        if (take_once(l, RUNS) == 0)
            hx_listener_wait(l, -1, 100);
    }
    CHECK_BYTES(taken, 5, "<1>a|", 5);
    close(good);
    hx_listener_destroy(l);
}

static void test_long_message(void)
{
    hx_listener *l = open_listener(HX_FRAMING_AUTO);
    size_t len = 200000;
    char *text = malloc(len + 1);
    int fd = dial(l, 0);

    memset(text, 'x', len);
    text[len] = '\0';
    say(fd, text);
    say(fd, "\n<1>next\n");
    take_until(l, &messages, 2, RUNS);
    CHECK_INT(counter(l, TRUNCATED), 1);
    CHECK_INT(taken_len, HX_NET_MESSAGE_MAX + 1 + 8);
    CHECK_BYTES(taken + HX_NET_MESSAGE_MAX, 9, "|<1>next|", 9);
    free(text);
    close(fd);
    hx_listener_destroy(l);
}

/* As many clients at once as there may be, each of which is read; a further one is refused, and one
 * that leaves makes room. */
static void test_many_clients(void)
{
    struct rlimit limit;
    hx_listener *l = open_listener(HX_FRAMING_AUTO);
    static int fds[HX_NET_CLIENTS_MAX];
    int many = MANY, extra;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2 * HX_NET_CLIENTS_MAX + 64)
        many = (int)limit.rlim_cur / 2 - 64;
    for (int i = 0; i < many; i++) {
        fds[i] = dial(l, (uint32_t)i % 2);
        say(fds[i], "<1>first\n<2>sec");
        if (i % 100 == 99)
            take_until_counted(l, CLIENTS, (uint64_t)i + 1);
    }
    take_until(l, &messages, (uint64_t)many, 7);
    for (int i = many; i < HX_NET_CLIENTS_MAX && many == MANY; i++)
        fds[i] = dial(l, 0);
    if (many == MANY) {
        take_until_counted(l, CLIENTS, HX_NET_CLIENTS_MAX);
        extra = dial(l, 0);
        take_until_counted(l, REFUSED, 1);
        take_until_closed(l, extra);
        close(extra);
        close(fds[MANY]);
        extra = dial(l, 0);
        say(extra, "<3>late\n");
        while (messages == MANY) { /* until the one that left has been seen, others are refused */
            if (take_once(l, RUNS) == 0)
                hx_listener_wait(l, -1, 100);
            if (counter(l, REFUSED) > 1 && messages == MANY) {
                close(extra);
                extra = dial(l, 0);
                say(extra, "<3>late\n");
            }
        }
        close(extra);
        for (int i = MANY + 1; i < HX_NET_CLIENTS_MAX; i++)
            close(fds[i]);
    }
    for (int i = 0; i < many; i++) {
        say(fds[i], "ond");
        close(fds[i]);
    }
    take_until(l, &messages, 2 * (uint64_t)many + (many == MANY), RUNS);
    hx_listener_destroy(l);
}

/* When no descriptor is left a connection is refused, and the listener lives on. */
static void test_no_descriptors(void)
{
    hx_listener *l = open_listener(HX_FRAMING_AUTO);
    struct rlimit limit, low;
    int fd = dial(l, 0), other = dial(l, 0), first;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    first = dup(0);
    close(first);
    low = (struct rlimit){(rlim_t)first, limit.rlim_max};
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
    take_until_counted(l, REFUSED, 2);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    close(fd);
    close(other);
    fd = dial(l, 0);
    say(fd, "<1>again\n");
    take_until(l, &messages, 1, RUNS);
    close(fd);
    hx_listener_destroy(l);
}

/* Messages that were read with others and did not fit wait in the listener: so does waiting. */
static void test_wait(void)
{
    hx_listener *l = open_listener(HX_FRAMING_AUTO);
    struct pollfd fds[HX_LISTENER_FDS_MAX];
    int fd = dial(l, 0);

    say(fd, "<1>a\n<2>b\n<3>c\n");
    take_until(l, &messages, 1, 1);
    hx_listener_wait(l, -1, -1);
    CHECK(poll(fds, hx_listener_fds(l, fds), 0) > 0);
    CHECK_INT(take_once(l, 1), 1);
    hx_listener_wait(l, -1, -1);
    take_until(l, &messages, 3, 1);
    while (take_once(l, 1) || poll(fds, hx_listener_fds(l, fds), 0) > 0)
        ;
    hx_listener_wait(l, -1, 0);
    close(fd);
    hx_listener_wait(l, -1, -1);
    hx_listener_destroy(l);
}

int main(void)
{
    test_messages(RUNS);
    test_messages(1);
    test_marks(true);
    test_marks(false);
    test_unread_reports();
    test_slow_client();
    test_broken_clients();
    test_long_message();
    test_no_descriptors();
    test_many_clients();
    test_wait();
    return 0;
}
