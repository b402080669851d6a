/* TCP and files: whole lines, counted where they went, whatever the other side does. */
#include "storms.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

static char folder[] = "/tmp/haechi-lines-XXXXXX", path[64], truth[64];

/* --- a receiver of one connection after the other ----------------------------------------------
 */

typedef struct peer {
    int fd;
    uint16_t port;
    pthread_t thread;
    size_t first_takes; /* the first connection is closed after so many bytes; 0: not */
    size_t step;        /* bytes of a read, a millisecond apart; 0: as they come */
    _Atomic bool stuck; /* takes the connection and reads nothing */
    bool leaves;        /* does not listen any more when the first connection is closed */
    hx_text got[2];     /* of the first connection, and of all later ones */
    uint32_t connections;
} peer;

static void *peer_run(void *arg)
{
    const struct timespec nap = {0, 1000000};
    static char room[1 << 16];
    peer *p = arg;
    ssize_t n = 0;
    int fd;

    while ((fd = accept(p->fd, NULL, NULL)) >= 0) {
        hx_text *got = &p->got[p->connections > 0];
        p->connections++;
        while (atomic_load(&p->stuck))
            nanosleep(&nap, NULL);
        while ((n = read(fd, room, p->step ? p->step : sizeof room)) > 0) {
            hx_text_bytes(got, room, (size_t)n);
            if (p->first_takes && p->connections == 1 && got->len >= p->first_takes)
                break;
            if (p->step)
                nanosleep(&nap, NULL);
        }
        if (p->leaves)
            shutdown(p->fd, SHUT_RD); /* accept ends */
        close(fd);                    /* with what was not read, a reset */
    }
    return NULL;
}

static void peer_start(peer *p)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int room = 8192;

    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->step || p->stuck)
        setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    CHECK_INT(bind(p->fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(getsockname(p->fd, (struct sockaddr *)&address, &len), 0);
    CHECK_INT(listen(p->fd, 8), 0);
    p->port = ntohs(address.sin_port);
    CHECK_INT(pthread_create(&p->thread, NULL, peer_run, p), 0);
}

static void peer_end(peer *p)
{
    atomic_store(&p->stuck, false);
    shutdown(p->fd, SHUT_RD); /* accept ends */
    pthread_join(p->thread, NULL);
    close(p->fd);
    hx_text_free(&p->got[0]);
    hx_text_free(&p->got[1]);
}

/* Whole messages at the beginning of what came, and how many bytes they have without framing. */
static uint64_t messages_in(const hx_text *got, bool octets, uint64_t *bytes, size_t *rest)
{
    uint64_t count = 0;
    size_t at = 0;

    while (at < got->len) {
        const char *p = got->ptr + at, *stop = memchr(p, octets ? ' ' : '\n', got->len - at);
        size_t len, head;

        if (!stop)
            break;
        head = (size_t)(stop - p) + 1;
        len = octets ? strtoul(p, NULL, 10) : head - 1;
        if (octets && at + head + len > got->len)
            break;
        CHECK(len > 20 && len < HX_LINE_ROOM);
        CHECK((octets ? stop[1] : *p) == '<');
        at += head + (octets ? len : 0);
        *bytes += len;
        count++;
    }
    *rest = got->len - at;
    return count;
}

static hx_sender_config tcp_config(const peer *p, bool octets)
{
    hx_sender_config c = storm_config(&p->port, 1);

    c.transport = HX_TCP;
    c.framing = octets ? HX_FRAMING_OCTETS : HX_FRAMING_NEWLINE;
    c.eps_milli = 0;
    return c;
}

/* --- TCP ---------------------------------------------------------------------------------------
 */

/* A receiver in order, and one that is slow: all of it arrives. */
static void check_all_arrives(bool octets, size_t step)
{
    enum { EVENTS = 4000 };
    peer p = {.step = step};
    uint64_t bytes = 0;
    storm_test t;
    cJSON *totals;
    size_t rest;

    peer_start(&p);
    hx_sender_config c = tcp_config(&p, octets);
    c.count = EVENTS;
    c.workers = 2; /* two connections to one port */
    c.composer.anomaly_rate = 0.1;
    storm_start(&t, c);
    totals = storm_end(&t, 0);
    CHECK_INT(number_of(totals, "events"), EVENTS);
    CHECK_INT(number_of(totals, "errors"), 0);
    CHECK_INT(number_of(totals, "reconnects"), 0);
    shutdown(p.fd, SHUT_RD);
    pthread_join(p.thread, NULL);
    CHECK_INT(p.connections, 2);
    CHECK_INT(messages_in(&p.got[0], octets, &bytes, &rest), EVENTS / 2);
    CHECK_INT(rest, 0);
    CHECK_INT(messages_in(&p.got[1], octets, &bytes, &rest), EVENTS / 2);
    CHECK_INT(rest, 0);
    CHECK_INT(number_of(totals, "bytes"), bytes);
    cJSON_Delete(totals);
    hx_text_free(&p.got[0]);
    hx_text_free(&p.got[1]);
    close(p.fd);
}

/* A receiver that goes away in the middle and comes back: a new connection begins with a whole
 * line, and every event is sent or an error. */
static void check_cut(bool octets)
{
    enum { EVENTS = 60000 };
    peer p = {.first_takes = 300000};
    uint64_t bytes = 0, first, later;
    storm_test t;
    cJSON *totals;
    size_t rest;

    peer_start(&p);
    hx_sender_config c = tcp_config(&p, octets);
    c.count = EVENTS;
    storm_start(&t, c);
    totals = storm_end(&t, 0);
    CHECK_INT(number_of(totals, "events") + number_of(totals, "errors"), EVENTS);
    CHECK(number_of(totals, "errors") > 0);
    CHECK_INT(number_of(totals, "reconnects"), 1);
    shutdown(p.fd, SHUT_RD);
    pthread_join(p.thread, NULL);
    CHECK_INT(p.connections, 2);
    first = messages_in(&p.got[0], octets, &bytes, &rest);
    later = messages_in(&p.got[1], octets, &bytes, &rest);
    CHECK_INT(rest, 0);
    CHECK(later > 0);
    CHECK(first + later <= (uint64_t)number_of(totals, "events"));
    cJSON_Delete(totals);
    close(p.fd);
    hx_text_free(&p.got[0]);
    hx_text_free(&p.got[1]);
}

/* A receiver that reads nothing: the storm ends all the same, some seconds after its time or after
 * it is told to, and what it did not get in is an error. Behind half a line comes nothing. */
static bool is_cut_by_stuck(bool stop, bool account)
{
    peer p = {.stuck = true};
    uint64_t bytes = 0, whole;
    storm_test t;
    cJSON *totals;
    size_t rest;

    peer_start(&p);
    hx_sender_config c = tcp_config(&p, true);
    c.duration_ns = stop ? 0 : 800000000;
    c.account = account;
    int64_t begun_ns = sender_now_ns();
    storm_start(&t, c);
    uint64_t before;
    do { /* until nothing goes any more */
        before = storm_total(&t, SENDER_EVENTS);
        nanosleep(&(struct timespec){0, 300000000}, NULL);
    } while (!before || storm_total(&t, SENDER_EVENTS) != before);
    if (stop)
        hx_sender_stop(t.sender);
    totals = storm_end(&t, 0);
    CHECK(sender_now_ns() - begun_ns < 30 * NS_PER_S);
    bool is_cut = number_of(totals, "errors") > 0;
    CHECK(!is_true(totals, "reported"));
    atomic_store(&p.stuck, false);
    shutdown(p.fd, SHUT_RD);
    pthread_join(p.thread, NULL);
    whole = messages_in(&p.got[0], true, &bytes, &rest);
    CHECK(rest < HX_LINE_ROOM + 8);
    CHECK(whole <= (uint64_t)(number_of(totals, "events") + number_of(totals, "controls")));
    cJSON_Delete(totals);
    close(p.fd);
    hx_text_free(&p.got[0]);
    hx_text_free(&p.got[1]);
    return is_cut;
}

/* A machine with much else to do may not fill the system's buffers in that time. */
static void check_stuck(bool stop, bool account)
{
    int tries = 0;

    while (!is_cut_by_stuck(stop, account))
        CHECK(++tries < 8);
}

/* A receiver that is gone for good does not keep a storm beyond its time. */
static void test_gone(void)
{
    peer p = {.first_takes = 1000, .leaves = true};
    storm_test t;
    cJSON *totals;

    peer_start(&p);
    hx_sender_config c = tcp_config(&p, false);
    c.duration_ns = NS_PER_S;
    c.account = true;
    storm_start(&t, c);
    int64_t begun_ns = sender_now_ns();
    totals = storm_end(&t, 0);
    CHECK(sender_now_ns() - begun_ns < 30 * NS_PER_S);
    CHECK_INT(number_of(totals, "reconnects"), 0);
    CHECK(!is_true(totals, "reported"));
    cJSON_Delete(totals);
    peer_end(&p);
}

/* --- files -------------------------------------------------------------------------------------
 */

static uint64_t file_read(const char *name, hx_text *out)
{
    char room[65536];
    int fd = open(name, O_RDONLY);
    uint64_t lines = 0;
    ssize_t n;

    CHECK(fd >= 0);
    out->len = 0;
    while ((n = read(fd, room, sizeof room)) > 0) {
        hx_text_bytes(out, room, (size_t)n);
        for (ssize_t i = 0; i < n; i++)
            lines += room[i] == '\n';
    }
    close(fd);
    return lines;
}

static hx_sender_config file_config(void)
{
    hx_sender_config c = storm_config(NULL, 0);

    c.targets = NULL;
    c.target_count = 0;
    c.output = path;
    c.unhurried = true;
    c.truth = truth;
    return c;
}

static void test_extent(void)
{
    static const struct {
        uint64_t count, eps_milli, want;
        int64_t duration_ns, ramp_ns;
    } cases[] = {
        {1, 1, 1, 0, 0},
        {70001, 1000000, 70001, 0, 0},
        {0, 1000000, 1000, 1000000000, 0},
        {0, 1000000, 750, 1000000000, 500000000},
        {0, 999, 1, 1000000000, 0},
        {500, 1000000, 500, 1000000000, 0},
        {3, UINT64_C(20000000000), 3, INT64_C(31536000000000000), 0}, /* a year at 20M */
        {UINT64_MAX, 1000000, 2000, 2000000000, 0},
    };
    hx_text lines = {0}, episodes = {0};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hx_sender_config c = file_config();
        storm_test t;
        cJSON *totals;

        c.count = cases[i].count;
        c.eps_milli = cases[i].eps_milli;
        c.duration_ns = cases[i].duration_ns;
        c.ramp_up_ns = cases[i].ramp_ns;
        c.composer.anomaly_rate = 0.2;
        storm_start(&t, c);
        totals = storm_end(&t, 0);
        CHECK_INT(number_of(totals, "events"), cases[i].want);
        CHECK_INT(file_read(path, &lines), cases[i].want);
        CHECK_INT(number_of(totals, "bytes"), lines.len);
        CHECK_INT(file_read(truth, &episodes), number_of(totals, "episodes"));
        cJSON_Delete(totals);
    }
    hx_text_free(&lines);
    hx_text_free(&episodes);
}

/* More episodes in a turn than there is room for: all of them are written, none is cut. */
static void test_many_episodes(void)
{
    hx_text first = {0}, second = {0};

    for (int run = 0; run < 2; run++) {
        hx_sender_config c = file_config();
        hx_text *out = run ? &second : &first;
        storm_test t;
        cJSON *totals;

        c.count = 60000;
        c.eps_milli = UINT64_C(20000000000);
        c.composer.anomaly_rate = 1;
        c.composer.sessions = 16384;
        c.composer.kinds = HX_ANOMALY_ALL;
        c.composer.disturbance_events = 1000;
        storm_start(&t, c);
        totals = storm_end(&t, 0);
        uint64_t lines = file_read(truth, out);
        CHECK_INT(lines, number_of(totals, "episodes"));
        CHECK(lines > 5000);
        for (size_t at = 0; at < out->len;) {
            const char *end = memchr(out->ptr + at, '\n', out->len - at);
            CHECK(end && out->ptr[at] == '{' && end[-1] == '}');
            at = (size_t)(end - out->ptr) + 1;
        }
        cJSON_Delete(totals);
    }
    CHECK_BYTES(first.ptr, first.len, second.ptr, second.len);
    hx_text_free(&first);
    hx_text_free(&second);
}

static void test_full_disk(void)
{
    hx_sender_config c = file_config();
    storm_test t;
    cJSON *totals;

    if (access("/dev/full", W_OK) != 0)
        return;
    c.output = "/dev/full";
    c.truth = NULL;
    c.count = 10000000;
    storm_start(&t, c);
    totals = storm_end(&t, HX_EIO);
    CHECK(strstr(t.err.text, "/dev/full"));
    CHECK_INT(number_of(totals, "events"), 0);
    CHECK(number_of(totals, "errors") > 0);
    cJSON_Delete(totals);
    c.output = path;
    c.truth = "/dev/full";
    c.composer.anomaly_rate = 1;
    storm_start(&t, c);
    totals = storm_end(&t, HX_EIO);
    CHECK(strstr(t.err.text, "/dev/full"));
    cJSON_Delete(totals);
}

static void on_term(int number)
{
    (void)number;
}

/* Until what is in a pipe has not grown for a while. */
static void await_full(int reader)
{
    const struct timespec nap = {0, 50000000};
    int before, now = 0;

    do {
        before = now;
        nanosleep(&nap, NULL);
        CHECK_INT(ioctl(reader, FIONREAD, &now), 0);
    } while (now < PIPE_BUF || now != before);
}

/* A pipe that nobody reads holds up no end; what is in it are whole lines, but for the last. */
static void test_unread_pipe(void)
{
    struct sigaction act = {.sa_handler = on_term};
    hx_sender_config c = file_config();
    static char got[1 << 20];
    char fifo[64];
    storm_test t;
    cJSON *totals;

    sigaction(SIGTERM, &act, NULL);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    CHECK_INT(mkfifo(fifo, 0600), 0);
    int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    CHECK(reader >= 0);
    c.output = fifo;
    c.count = 1000000000;
    c.composer.anomaly_rate = 0.5;
    storm_start(&t, c);
    await_full(reader);
    hx_sender_stop(t.sender);
    totals = storm_end(&t, 0);
    ssize_t n, len = 0;
    while ((n = read(reader, got + len, sizeof got - (size_t)len)) > 0)
        len += n;
    uint64_t lines = 0;
    for (ssize_t i = 0; i < len; i++)
        lines += got[i] == '\n';
    CHECK_INT(lines, number_of(totals, "events"));
    CHECK(number_of(totals, "errors") > 0);
    hx_text episodes = {0};
    CHECK_INT(file_read(truth, &episodes), number_of(totals, "episodes"));
    hx_text_free(&episodes);
    cJSON_Delete(totals);
    close(reader);
    unlink(fifo);
}

int main(void)
{
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/lines", folder);
    snprintf(truth, sizeof truth, "%s/truth", folder);
    for (int octets = 0; octets < 2; octets++) {
        check_all_arrives(octets, 0);
        check_all_arrives(octets, 8000);
        check_cut(octets);
    }
    check_stuck(false, false);
    check_stuck(true, true);
    test_gone();
    test_extent();
    test_many_episodes();
    test_full_disk();
    test_unread_pipe();
    unlink(path);
    unlink(truth);
    rmdir(folder);
    return 0;
}
