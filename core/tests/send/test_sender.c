/* The engine against receivers on loopback. Counts are exact; times are those in the lines, which
 * the schedule sets and no clock. */
#include "storms.h"

#include <dirent.h>
#include <time.h>

enum { TRIES = 40 }; /* of what a machine with much else to do may not get done in time */

static void nap_ms(int ms)
{
    const struct timespec nap = {0, ms * 1000000};

    nanosleep(&nap, NULL);
}

/* --- counts ------------------------------------------------------------------------------------
 */

static void test_count(void)
{
    static const struct {
        uint32_t workers, ports;
        uint64_t eps_milli, count;
        bool plain;
    } cases[] = {
        {1, 1, 0, 5000, false},    {1, 4, 0, 5001, false},        {3, 4, 0, 4999, false},
        {3, 1, 0, 3001, false},    {2, 3, 0, 2000, true},         {1, 1, 20000000, 1, false},
        {3, 2, 20000000, 2, true}, {2, 2, 20000000, 2000, false}, {5, 8, 10000000000, 5003, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t dropped, events = 0, bytes = 0;
        const cJSON *port;
        storm_test t;
        cJSON *totals;
        drain d;

        drain_start(&d, cases[i].ports);
        hx_sender_config c = storm_config(d.ports, cases[i].ports);
        c.workers = cases[i].workers;
        c.eps_milli = cases[i].eps_milli;
        c.count = cases[i].count;
        c.plain = cases[i].plain;
        storm_start(&t, c);
        totals = storm_end(&t, 0);
        dropped = drain_end(&d);
        CHECK_INT(number_of(totals, "events"), cases[i].count);
        CHECK_INT(number_of(totals, "errors"), 0);
        CHECK_INT(number_of(totals, "workers"), cases[i].workers);
        CHECK_INT(is_true(totals, "gso"), !cases[i].plain);
        CHECK(!is_true(totals, "interrupted"));
        cJSON_ArrayForEach(port, cJSON_GetObjectItem(totals, "ports"))
        {
            events += (uint64_t)number_of(port, "events");
            bytes += (uint64_t)number_of(port, "bytes");
        }
        CHECK_INT(events, cases[i].count);
        CHECK_INT(number_of(totals, "bytes"), bytes);
        CHECK_INT(d.received + dropped, cases[i].count);
        if (!dropped)
            CHECK_INT(d.bytes, bytes);
        cJSON_Delete(totals);
        drain_free(&d);
    }
}

/* As many as the schedule has within the time: never more, and fewer only where this machine had
 * no time for the storm at its very end. */
static void check_duration(uint64_t eps_milli, int64_t duration_ns, int64_t ramp_ns, uint64_t want)
{
    /* Within a run of a ramp events are evenly spaced: a worker is ahead of it by one at most. */
    bool is_cut = ramp_ns > duration_ns;
    uint64_t most = 0;

    for (int try = 0; try < TRIES && most < want; try++) {
        storm_test t;
        cJSON *totals;
        drain d;

        drain_start(&d, 2);
        hx_sender_config c = storm_config(d.ports, 2);
        c.workers = 2;
        c.eps_milli = eps_milli;
        c.duration_ns = duration_ns;
        c.ramp_up_ns = ramp_ns;
        c.start_now = duration_ns != 100000000; /* of both kinds one with a ramp */
        storm_start(&t, c);
        totals = storm_end(&t, 0);
        drain_end(&d);
        uint64_t events = (uint64_t)number_of(totals, "events");
        most = events > most ? events : most;
        CHECK(events <= want + is_cut * 2);
        CHECK(number_of(totals, "seconds") * 1e9 >= (double)duration_ns * 0.999);
        double offered = number_of(totals, "offered_eps") * number_of(totals, "seconds");
        CHECK(offered >= (double)want * 0.999 - 2);
        cJSON_Delete(totals);
        drain_free(&d);
    }
    CHECK(most >= want);
}

static void test_duration(void)
{
    check_duration(20000000, 300000000, 0, 6000);
    check_duration(1000, 20000000, 0, 1); /* one a second: the first is due at once */
    check_duration(20000000, 400000000, 200000000, 6000);
    check_duration(20000000, 100000000, 200000000, 500); /* the ramp is not over then */
}

static void test_stop(void)
{
    for (uint64_t eps_milli = 0; eps_milli <= 50000000; eps_milli += 50000000) {
        storm_test t;
        cJSON *totals;
        drain d;

        drain_start(&d, 3);
        hx_sender_config c = storm_config(d.ports, 3);
        c.workers = 2;
        c.eps_milli = eps_milli;
        c.count = UINT64_MAX;
        storm_start(&t, c);
        storm_await(&t, 2000);
        hx_sender_stop(t.sender);
        totals = storm_end(&t, 0);
        CHECK(is_true(totals, "interrupted"));
        uint64_t events = (uint64_t)number_of(totals, "events");
        CHECK_INT(drain_end(&d) + d.received, events);
        cJSON_Delete(totals);
        drain_free(&d);
    }
}

/* --- rates -------------------------------------------------------------------------------------
 */

#define HOUR_US (INT64_C(3600) * 1000000)

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The times in rfc5424 lines, in microseconds within their hour, in order. */
static size_t times_of(const drain *d, int64_t **out)
{
    size_t count = 0;
    int64_t *times = calloc(d->received + 1, sizeof *times);

    for (size_t at = 0; at < d->lines.len;) {
        const char *line = d->lines.ptr + at, *t = memchr(line, 'T', 40);
        unsigned minute, second, us;
        char text[13] = ""; /* scanf would look for the end of all lines */

        CHECK(t && d->lines.ptr + d->lines.len - t > 16);
        memcpy(text, t + 4, 12);
        CHECK_INT(sscanf(text, "%2u:%2u.%6u", &minute, &second, &us), 3);
        times[count++] = (minute * 60 + second) * INT64_C(1000000) + us;
        at += (size_t)((const char *)memchr(line, '\n', d->lines.len - at) - line) + 1;
    }
    qsort(times, count, sizeof *times, by_value);
    if (count && times[count - 1] - times[0] > HOUR_US / 2) { /* an hour has ended meanwhile */
        for (size_t i = 0; i < count; i++)
            times[i] += times[i] < HOUR_US / 2 ? HOUR_US : 0;
        qsort(times, count, sizeof *times, by_value);
    }
    *out = times;
    return count;
}

/* From the change on, events are as far apart as the new rate says, and were as the old one said
 * before. */
static void check_gaps(const drain *d, int64_t old_us, int64_t new_us)
{
    int64_t *times;
    size_t count = times_of(d, &times), changes = 0, olds = 0, news = 0;

    for (size_t i = 1; i < count; i++) {
        int64_t gap = times[i] - times[i - 1];

        if (!changes && llabs(gap - old_us) <= 1) {
            olds++;
        } else if (llabs(gap - new_us) <= 1) {
            news++;
        } else {
            changes++;
        }
    }
    CHECK(changes <= 1);
    CHECK(olds >= 100 && news >= 100);
    free(times);
}

static void check_set_rate(uint64_t from_milli, uint64_t to_milli)
{
    bool lossless = false;

    for (int try = 0; try < TRIES && !lossless; try++) {
        hx_error err = {""};
        storm_test t;
        cJSON *totals;
        drain d;

        drain_start(&d, 1);
        hx_sender_config c = storm_config(d.ports, 1);
        c.composer.form = HX_LINE_RFC5424;
        c.eps_milli = from_milli;
        storm_start(&t, c);
        storm_await(&t, 200);
        CHECK_INT(hx_sender_set_rate(t.sender, to_milli, &err), 0);
        storm_await(&t, storm_total(&t, SENDER_EVENTS) + 300);
        hx_sender_stop(t.sender);
        totals = storm_end(&t, 0);
        lossless = drain_end(&d) == 0;
        if (lossless)
            check_gaps(&d, (int64_t)(UINT64_C(1000000000) / from_milli),
                       (int64_t)(UINT64_C(1000000000) / to_milli));
        cJSON_Delete(totals);
        drain_free(&d);
    }
    CHECK(lossless);
}

static void test_set_rate(void)
{
    check_set_rate(2000000, 8000000);
    check_set_rate(8000000, 1000000);
}

/* A storm that may keep an event for a millisecond and then for forty: whether its buffers are
 * larger then. They are as large before where the machine has no time for it in the meantime. */
static bool is_larger_after_set_burst(hx_sender_config c)
{
    double before, after;
    hx_error err = {""};
    storm_test t;

    c.burst_us = 1000;
    storm_start(&t, c);
    storm_await(&t, 2000);
    uint64_t events = storm_total(&t, SENDER_EVENTS), sends = storm_total(&t, SENDER_SENDS);
    before = (double)events / (double)sends;
    CHECK_INT(hx_sender_set_burst(t.sender, 40000, &err), 0);
    storm_await(&t, events + 2000); /* the turn that was begun has ended */
    events = storm_total(&t, SENDER_EVENTS);
    sends = storm_total(&t, SENDER_SENDS);
    storm_await(&t, events + 8000);
    after = (double)(storm_total(&t, SENDER_EVENTS) - events) /
            (double)(storm_total(&t, SENDER_SENDS) - sends);
    CHECK_INT(hx_sender_set_burst(t.sender, HX_SENDER_BURST_US_MIN - 1, &err), HX_EINVAL);
    CHECK(strstr(err.text, "49 us is not from 50"));
    hx_sender_stop(t.sender);
    cJSON_Delete(storm_end(&t, 0));
    return after > before;
}

static void test_set_burst(void)
{
    bool is_larger = false;
    hx_error err = {""};
    storm_test t;
    drain d;

    drain_start(&d, 1);
    hx_sender_config c = storm_config(d.ports, 1);
    c.eps_milli = 20000000;
    c.composer.sessions = 4096;
    for (int try = 0; try < TRIES && !is_larger; try++)
        is_larger = is_larger_after_set_burst(c);
    CHECK(is_larger);
    c.burst_us = 1000;
    c.eps_milli = 0;
    storm_start(&t, c);
    CHECK_INT(hx_sender_set_burst(t.sender, 1000, &err), HX_EINVAL);
    hx_sender_stop(t.sender);
    cJSON_Delete(storm_end(&t, 0));
    drain_end(&d);
    drain_free(&d);
}

static void test_set_rate_refused(void)
{
    hx_error err = {""};
    storm_test t;
    drain d;

    drain_start(&d, 1);
    hx_sender_config c = storm_config(d.ports, 1);
    storm_start(&t, c);
    hx_sender_limit(t.sender, 5000000);
    CHECK_INT(hx_sender_set_rate(t.sender, 999, &err), HX_EINVAL);
    CHECK_INT(hx_sender_set_rate(t.sender, 5000001, &err), HX_EINVAL);
    CHECK(strstr(err.text, "from 1 to 5000"));
    CHECK_INT(hx_sender_set_rate(t.sender, 5000000, &err), 0);
    hx_sender_stop(t.sender);
    cJSON_Delete(storm_end(&t, 0));
    c.eps_milli = 0;
    storm_start(&t, c);
    CHECK_INT(hx_sender_set_rate(t.sender, 1000, &err), HX_EINVAL);
    CHECK(strstr(err.text, "as fast as it can"));
    hx_sender_stop(t.sender);
    cJSON_Delete(storm_end(&t, 0));
    drain_end(&d);
    drain_free(&d);
}

/* Nothing is sent meanwhile, nothing is made up for afterwards, and nothing of it was offered. */
static void check_pause(uint64_t eps_milli)
{
    storm_test t;
    cJSON *totals;
    drain d;

    drain_start(&d, 1);
    hx_sender_config c = storm_config(d.ports, 1);
    c.composer.form = HX_LINE_RFC5424;
    c.eps_milli = eps_milli;
    storm_start(&t, c);
    storm_await(&t, 100);
    hx_sender_pause(t.sender, true);
    uint64_t before;
    int naps = 0;
    do { /* a worker may have been kept from its turn, and ends it first */
        before = storm_total(&t, SENDER_EVENTS);
        nap_ms(160);
    } while (storm_total(&t, SENDER_EVENTS) != before && ++naps < TRIES);
    CHECK(naps < TRIES);
    hx_sender_pause(t.sender, false);
    storm_await(&t, before + 200);
    hx_sender_stop(t.sender);
    totals = storm_end(&t, 0);
    if (eps_milli)
        CHECK(number_of(totals, "offered_eps") < (double)eps_milli / 1000 * 0.9);
    if (drain_end(&d) == 0) {
        int64_t *times;
        size_t count = times_of(&d, &times);
        int64_t widest = 0;

        for (size_t i = 1; i < count; i++)
            widest = times[i] - times[i - 1] > widest ? times[i] - times[i - 1] : widest;
        CHECK(widest >= 100000);
        CHECK(times[count - 1] - times[0] < INT64_C(60000000)); /* times go on from now */
        free(times);
    }
    cJSON_Delete(totals);
    drain_free(&d);
}

/* A paused storm ends when its time is over, or when it is told to. */
static void test_pause_ends(void)
{
    for (int stop = 0; stop < 2; stop++) {
        storm_test t;
        cJSON *totals;
        drain d;

        drain_start(&d, 1);
        hx_sender_config c = storm_config(d.ports, 1);
        c.duration_ns = stop ? 0 : 100000000;
        storm_start(&t, c);
        hx_sender_pause(t.sender, true);
        if (stop)
            hx_sender_stop(t.sender);
        totals = storm_end(&t, 0);
        CHECK(is_true(totals, "paused"));
        CHECK_INT(is_true(totals, "interrupted"), stop);
        cJSON_Delete(totals);
        drain_end(&d);
        drain_free(&d);
    }
}

/* --- receivers ---------------------------------------------------------------------------------
 */

/* What nobody takes is sent all the same: a datagram does not know. */
static void test_nobody_listens(void)
{
    for (int plain = 0; plain < 2; plain++) {
        uint16_t port = port_of_nobody();
        hx_sender_config c = storm_config(&port, 1);
        storm_test t;
        cJSON *totals;

        c.eps_milli = 0;
        c.count = 3000;
        c.plain = plain;
        c.account = true;
        storm_start(&t, c);
        totals = storm_end(&t, 0);
        CHECK_INT(number_of(totals, "events"), 3000);
        CHECK_INT(number_of(totals, "errors"), 0);
        CHECK(number_of(totals, "refused") > 0);
        CHECK(!is_true(totals, "reported"));
        CHECK(cJSON_IsNull(cJSON_GetObjectItem(totals, "lost")));
        CHECK(number_of(totals, "seconds") < 20);
        cJSON_Delete(totals);
    }
}

typedef struct answering {
    hx_listener *listener;
    _Atomic bool ending;
    pthread_t thread;
} answering;

static void *answer_all(void *arg)
{
    static hx_taken runs[256];
    answering *a = arg;

    while (!atomic_load(&a->ending)) {
        hx_listener_wait(a->listener, -1, 5);
        while (hx_listener_take(a->listener, runs, 256, 1 << 20, NULL, NULL) > 0)
            ;
    }
    return NULL;
}

/* The account closes on both sides, and both have the same figures. */
static void check_account(hx_transport transport, uint32_t workers, bool plain, bool tiny)
{
    enum { PORTS = 2, EVENTS = 20000 };
    static const uint16_t any[PORTS];
    hx_listen_config listen = {.transport = transport,
                               .ports = any,
                               .port_count = PORTS,
                               .plain = plain,
                               .buffer_bytes = tiny ? 4096 : 0};
    hx_account sum = {.closed = true};
    uint16_t ports[PORTS];
    answering a = {0};
    hx_error err;
    storm_test t;
    cJSON *totals;

    CHECK_INT(hx_listener_create(&listen, &a.listener, NULL, &err), 0);
    for (uint32_t i = 0; i < PORTS; i++)
        ports[i] = hx_listener_port(a.listener, i);
    hx_sender_config c = storm_config(ports, PORTS);
    c.transport = transport;
    c.framing = HX_FRAMING_OCTETS;
    c.account = true;
    c.workers = workers;
    c.eps_milli = 0;
    c.count = EVENTS;
    CHECK_INT(pthread_create(&a.thread, NULL, answer_all, &a), 0);
    storm_start(&t, c);
    totals = storm_end(&t, 0);
    atomic_store(&a.ending, true);
    pthread_join(a.thread, NULL);
    for (uint32_t i = 0; i < PORTS; i++) {
        hx_account part;
        hx_listener_account(a.listener, i, &part);
        CHECK(part.closed);
        hx_account_add(&sum, &part);
    }
    CHECK_INT(sum.sent, EVENTS);
    CHECK_INT(sum.sent_controls, number_of(totals, "controls"));
    CHECK_INT(sum.sent_bytes, number_of(totals, "bytes"));
    CHECK_INT(sum.streams_ended, workers > PORTS ? workers : PORTS);
    CHECK_INT(sum.sent + sum.sent_controls,
              sum.received + sum.received_controls + sum.kernel_dropped + sum.lost_elsewhere);
    CHECK(is_true(totals, "reported"));
    CHECK_INT(number_of(totals, "received"), sum.received);
    CHECK_INT(number_of(totals, "lost"), EVENTS - sum.received);
    CHECK_INT(number_of(totals, "events"), EVENTS);
    if (transport == HX_UDP && !tiny)
        CHECK_INT(sum.lost_elsewhere, 0);
    if (transport == HX_TCP)
        CHECK_INT(sum.received, EVENTS);
    if (tiny && plain)
        CHECK(sum.kernel_dropped > 0);
    cJSON_Delete(totals);
    hx_listener_destroy(a.listener);
}

static void test_account(void)
{
    check_account(HX_UDP, 1, false, false);
    check_account(HX_UDP, 2, true, false);
    check_account(HX_UDP, 5, false, false); /* several workers to one port */
    check_account(HX_UDP, 2, true, true);
    check_account(HX_UDP, 2, false, true);
    check_account(HX_TCP, 1, false, false);
    check_account(HX_TCP, 3, false, false);
}

/* --- refusals and commands ---------------------------------------------------------------------
 */

static void test_refused(void)
{
    static const uint16_t ports[41] = {6000, 6001};
    static const char *const targets[HX_SENDER_TARGETS_MAX + 1] = {"127.0.0.1"};
    static const uint32_t pin = 100000;
    static const struct {
        const char *word;
        hx_sender_config change;
    } cases[] = {
        {"hosts", {.targets = targets, .target_count = 1, .ports = ports, .port_count = 41}},
        {"hosts",
         {.targets = targets, .target_count = 1, .ports = ports, .port_count = 1, .workers = 41}},
        {"targets or an output", {.ports = ports, .port_count = 1}},
        {"targets or an output", {.targets = targets, .target_count = 1, .output = "/dev/null"}},
        {"target: 17", {.targets = targets, .target_count = HX_SENDER_TARGETS_MAX + 1}},
        {"ports:", {.targets = targets, .target_count = 1}},
        {"workers: 257",
         {.targets = targets, .target_count = 1, .ports = ports, .port_count = 1, .workers = 257}},
        {"pin: 100000",
         {.targets = targets,
          .target_count = 1,
          .ports = ports,
          .port_count = 1,
          .pin = &pin,
          .pin_count = 1}},
        {"framing:",
         {.targets = targets,
          .target_count = 1,
          .ports = ports,
          .port_count = 1,
          .transport = HX_TCP}},
        {"eps:", {.output = "/dev/null", .count = 1}},
        {"count:", {.output = "/dev/null", .unhurried = true, .eps_milli = 1}},
        {"account:", {.output = "/dev/null", .count = 1, .eps_milli = 1, .account = true}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hx_sender_config c = cases[i].change;

        if (!c.output)
            c.eps_milli = 1000000;
        const char *said = storm_refused(c);
        if (!strstr(said, cases[i].word))
            fprintf(stderr, "\"%s\" has no \"%s\"\n", said, cases[i].word);
        CHECK(strstr(said, cases[i].word));
    }
}

static uint32_t files_open(void)
{
    uint32_t count = 0;
    DIR *folder = opendir("/proc/self/fd");

    CHECK(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* Whatever becomes of a storm, it lets go of its sockets and files. */
static void test_no_file_is_left(void)
{
    static const char *const nobody[] = {"127.0.0.1", ""};
    uint16_t ports[] = {port_of_nobody(), port_of_nobody(), port_of_nobody()};
    hx_sender_config c = storm_config(ports, 3);
    uint32_t before = files_open();
    storm_test t;

    c.truth = "/no/such/folder/truth";
    for (int transport = HX_UDP; transport <= HX_TLS; transport++) {
        hx_sender_config wrong = c;
        wrong.transport = (hx_transport)transport;
        wrong.framing = HX_FRAMING_OCTETS;
        storm_fails(wrong);
        CHECK_INT(files_open(), before);
    }
    c.truth = "/dev/null";
    c.targets = nobody;
    c.target_count = 2;
    c.control_socket = "/no/such/folder/control";
    storm_fails(c);
    CHECK_INT(files_open(), before);
    c.control_socket = NULL;
    c.target_count = 1;
    c.count = 10;
    storm_start(&t, c);
    cJSON_Delete(storm_end(&t, 0));
    CHECK_INT(files_open(), before);
}

/* The most that can be asked for: nothing overflows, and it ends when it is told to. */
static void test_extremes(void)
{
    static const struct {
        uint64_t eps_milli;
        int64_t ramp_ns;
        uint32_t burst_us;
    } cases[] = {
        {UINT64_C(20000000000), 0, 0},
        {UINT64_C(20000000000), 0, 1000000},
        {UINT64_C(1000000000000), 0, 50},
        {UINT64_C(20000000000), INT64_C(366) * 86400 * NS_PER_S, 0},
        {1000, 0, 1000000},
        {1, 0, 0},
        {0, 0, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        storm_test t;
        cJSON *totals;
        drain d;

        drain_start(&d, 2);
        hx_sender_config c = storm_config(d.ports, 2);
        c.eps_milli = cases[i].eps_milli;
        c.ramp_up_ns = cases[i].ramp_ns;
        c.burst_us = cases[i].burst_us;
        c.count = UINT64_MAX;
        c.duration_ns = INT64_C(366) * 86400 * NS_PER_S;
        c.workers = 3;
        c.composer.anomaly_rate = 1;
        c.composer.disturbance_events = UINT64_MAX;
        storm_start(&t, c);
        storm_await(&t, 1);
        nap_ms(20);
        hx_sender_stop(t.sender);
        totals = storm_end(&t, 0);
        uint64_t events = (uint64_t)number_of(totals, "events");
        CHECK_INT(drain_end(&d) + d.received, events);
        CHECK_INT(number_of(totals, "errors"), 0);
        CHECK(number_of(totals, "late_max_us") < 60e6);
        if (cases[i].eps_milli && cases[i].eps_milli <= 1000)
            CHECK(events <= 3);
        cJSON_Delete(totals);
        drain_free(&d);
    }
}

static void test_commands(void)
{
    static const struct {
        const char *command;
        bool ok;
    } cases[] = {
        {"{\"command\": \"stats\"}", true},
        {"{\"command\": \"set_rate\", \"eps\": 2000}", true},
        {"{\"command\": \"set_rate\", \"eps\": \"2M\"}", true},
        {"{\"command\": \"set_rate\", \"eps\": \"21M\"}", false},
        {"{\"command\": \"set_rate\", \"eps\": \"max\"}", false},
        {"{\"command\": \"set_rate\", \"eps\": 0}", false},
        {"{\"command\": \"set_rate\", \"eps\": -5}", false},
        {"{\"command\": \"set_rate\", \"eps\": 1e300}", false},
        {"{\"command\": \"set_rate\", \"eps\": [1]}", false},
        {"{\"command\": \"set_rate\"}", false},
        {"{\"command\": \"set_burst\", \"us\": 5000}", true},
        {"{\"command\": \"set_burst\", \"us\": 49}", false},
        {"{\"command\": \"set_burst\", \"us\": 1000001}", false},
        {"{\"command\": \"set_burst\", \"us\": 4294968146}", false},
        {"{\"command\": \"set_burst\", \"us\": -1}", false},
        {"{\"command\": \"set_burst\", \"us\": \"5ms\"}", false},
        {"{\"command\": \"set_burst\"}", false},
        {"{\"command\": \"pause\"}", true},
        {"{\"command\": \"resume\"}", true},
        {"{\"command\": \"dance\"}", false},
        {"{\"command\": \"\\u0007\\ud800\"}", false},
        {"{\"command\": 5}", false},
        {"{\"Command\": \"stats\"}", false},
        {"[\"stats\"]", false},
        {"stats", false},
        {"{", false},
        {"", false},
        {"\xff\xfe", false},
        {"{\"command\": \"stop\"}", true},
    };
    storm_test t;
    drain d;

    drain_start(&d, 1);
    storm_start(&t, storm_config(d.ports, 1));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hx_text out = {0};

        sender_answer(t.sender, cases[i].command, strlen(cases[i].command), &out);
        CHECK(out.len && memchr(out.ptr, '\n', out.len) == out.ptr + out.len - 1);
        cJSON *answer = cJSON_ParseWithLength(out.ptr, out.len);
        if (is_true(answer, "ok") != cases[i].ok)
            fprintf(stderr, "%s\n", cases[i].command);
        CHECK_INT(is_true(answer, "ok"), cases[i].ok);
        CHECK(cases[i].ok || cJSON_IsString(cJSON_GetObjectItem(answer, "error")));
        cJSON_Delete(answer);
        hx_text_free(&out);
    }
    cJSON_Delete(storm_end(&t, 0));
    drain_end(&d);
    drain_free(&d);
}

int main(void)
{
    test_count();
    test_duration();
    test_stop();
    test_set_rate();
    test_set_burst();
    test_set_rate_refused();
    check_pause(5000000);
    check_pause(0);
    test_pause_ends();
    test_nobody_listens();
    test_account();
    test_refused();
    test_no_file_is_left();
    test_extremes();
    test_commands();
    return 0;
}
