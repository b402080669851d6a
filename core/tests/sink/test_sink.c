#include "../check.h"
#include "sink/parts.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

enum { PORTS_MAX = 8, PATIENCE_S = 20 };

static char folder[64], path[96];
static uint16_t ports[PORTS_MAX];

/* --- a sink in a thread of its own -------------------------------------------------------------
 */

typedef struct running {
    hx_sink *sink;
    pthread_t thread;
    int rc;
    hx_error err;
} running;

static void *run(void *arg)
{
    running *r = arg;

    r->rc = hx_sink_run(r->sink, &r->err);
    return NULL;
}

static void start(running *r, const hx_sink_config *config)
{
    memset(r, 0, sizeof *r);
    if (hx_sink_create(config, &r->sink, NULL, &r->err)) {
        fprintf(stderr, "%s\n", r->err.text);
        exit(1);
    }
    CHECK_INT(pthread_create(&r->thread, NULL, run, r), 0);
}

static cJSON *summary_of(hx_sink *sink)
{
    hx_text out = {0};
    cJSON *summary;

    hx_sink_summary(sink, &out);
    CHECK(!out.failed);
    summary = cJSON_ParseWithLength(out.ptr, out.len);
    CHECK(cJSON_IsObject(summary));
    hx_text_free(&out);
    return summary;
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (!cJSON_IsNumber(item)) {
        fprintf(stderr, "no number %s\n", name);
        exit(1);
    }
    return item->valuedouble;
}

static bool is_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* Until the figure has reached the value. */
static void await(hx_sink *sink, const char *name, double value)
{
    const int64_t until = hx_sink_now_ns() + PATIENCE_S * INT64_C(1000000000);
    const struct timespec nap = {0, 5000000};
    double now;

    do {
        cJSON *summary = summary_of(sink);

        now = number(summary, name);
        cJSON_Delete(summary);
        if (now < value)
            nanosleep(&nap, NULL);
    } while (now < value && hx_sink_now_ns() < until);
    if (now < value)
        fprintf(stderr, "%s: %g is below %g\n", name, now, value);
    CHECK(now >= value);
}

/* Bytes that wait in the kernel for whoever has the port. */
static unsigned queued(uint16_t port)
{
    FILE *f = fopen("/proc/net/udp", "r");
    unsigned bytes = 0;
    char line[256];

    CHECK(f != NULL);
    while (fgets(line, sizeof line, f)) {
        unsigned of, waiting;

        if (sscanf(line, " %*u: %*x:%x %*x:%*x %*x %*x:%x", &of, &waiting) == 2 && of == port)
            bytes += waiting;
    }
    fclose(f);
    return bytes;
}

/* Until a full buffer has been taken, so that the next message is not dropped. */
static void await_empty(uint16_t port)
{
    const int64_t until = hx_sink_now_ns() + PATIENCE_S * INT64_C(1000000000);
    const struct timespec nap = {0, 5000000};

    while (queued(port)) {
        CHECK(hx_sink_now_ns() < until);
        nanosleep(&nap, NULL);
    }
}

static cJSON *finish(running *r)
{
    cJSON *summary;

    hx_sink_stop(r->sink);
    pthread_join(r->thread, NULL);
    summary = summary_of(r->sink);
    hx_sink_destroy(r->sink);
    return summary;
}

/* --- senders -----------------------------------------------------------------------------------
 */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void choose_ports(void)
{
    for (int i = 0; i < PORTS_MAX; i++) {
        bool is_new = false;

        while (!is_new) {
            ports[i] = check_free_port();
            is_new = true;
            for (int before = 0; before < i; before++)
                is_new = is_new && ports[before] != ports[i];
        }
    }
}

typedef struct stream {
    int fd;
    hx_mark mark;
} stream;

static stream stream_open(uint16_t port, uint32_t number_of_it)
{
    struct sockaddr_in address = loopback(port);
    stream s = {socket(AF_INET, SOCK_DGRAM, 0), {.run = 1, .stream = number_of_it}};

    CHECK(s.fd >= 0);
    CHECK_INT(connect(s.fd, (struct sockaddr *)&address, sizeof address), 0);
    return s;
}

static void send_mark(stream *s, hx_mark_kind kind, int64_t time_ns)
{
    char text[HX_MARK_MAX];
    uint32_t len;

    s->mark.kind = kind;
    s->mark.time_ns = time_ns;
    s->mark.controls++;
    len = hx_mark_format(&s->mark, text);
    s->mark.sequence++;
    CHECK_INT(send(s->fd, text, len, 0), len);
}

static void send_events(stream *s, uint32_t count)
{
    char text[64];

    for (uint32_t i = 0; i < count; i++) {
        int len = snprintf(text, sizeof text, "<13>stream %u event %llu", s->mark.stream,
                           (unsigned long long)s->mark.events);

        CHECK_INT(send(s->fd, text, (size_t)len, 0), len);
        s->mark.events++;
        s->mark.bytes += (uint64_t)len;
    }
}

static hx_sink_config config_of(uint32_t port_count, uint32_t workers)
{
    return (hx_sink_config){
        .listen = {.ports = ports, .port_count = port_count, .plain = true},
        .workers = workers,
    };
}

/* --- tests -------------------------------------------------------------------------------------
 */

/* Every port's account closes, and so does the whole, however ports and workers are paired. */
static void check_account(uint32_t port_count, uint32_t workers, bool plain)
{
    enum { STREAMS = 2, EVENTS = 300 };
    hx_sink_config config = config_of(port_count, workers);
    const cJSON *port;
    cJSON *summary;
    double sent = 0;
    uint32_t seen = 0;
    running r;

    config.listen.plain = plain;
    start(&r, &config);
    for (uint32_t p = 0; p < port_count; p++) {
        for (uint32_t i = 0; i < STREAMS; i++) {
            stream s = stream_open(ports[p], p * STREAMS + i);

            send_mark(&s, HX_MARK_TOTALS, 0);
            send_events(&s, EVENTS + p);
            send_mark(&s, HX_MARK_PROBE, 0);
            send_mark(&s, HX_MARK_END, 0);
            close(s.fd);
            await(r.sink, "streams_ended", p * STREAMS + i + 1);
        }
    }
    summary = finish(&r);
    CHECK_INT(r.rc, 0);
    cJSON_ArrayForEach(port, cJSON_GetObjectItem(summary, "ports"))
    {
        CHECK_INT(number(port, "port"), ports[seen]);
        CHECK_INT(number(port, "received"), STREAMS * (EVENTS + seen));
        CHECK_INT(number(port, "sent"), STREAMS * (EVENTS + seen));
        CHECK_INT(number(port, "controls"), STREAMS * 3);
        CHECK_INT(number(port, "kernel_dropped") + number(port, "lost_elsewhere"), 0);
        CHECK(is_true(port, "closed"));
        sent += number(port, "sent");
        seen++;
    }
    CHECK_INT(seen, port_count);
    CHECK_INT(number(summary, "received"), sent);
    CHECK_INT(number(summary, "sent"), sent);
    CHECK_INT(number(summary, "streams"), STREAMS * port_count);
    CHECK_INT(number(summary, "lost"), 0);
    CHECK(is_true(summary, "closed"));
    CHECK(number(summary, "eps_peak") > 0);
    CHECK_INT(number(cJSON_GetObjectItem(summary, "latency_us"), "count"), STREAMS * port_count);
    CHECK(number(cJSON_GetObjectItem(summary, "latency_us"), "avg") > 1e15); /* since 1970 */
    cJSON_Delete(summary);
}

static void test_account(void)
{
    static const struct {
        uint32_t ports, workers;
        bool plain;
    } cases[] = {{1, 1, true}, {3, 1, false}, {5, 2, true}, {4, 4, false}, {2, 5, true}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_account(cases[i].ports, cases[i].workers, cases[i].plain);
}

/* A paused sink's buffer runs over: the kernel says how many it dropped, and the account has them
 * all. */
static void test_forced_drops(void)
{
    enum { EVENTS = 5000 };
    hx_sink_config config = config_of(1, 1);
    stream s = stream_open(ports[0], 9);
    cJSON *summary;
    running r;

    config.listen.buffer_bytes = 16384;
    start(&r, &config);
    send_mark(&s, HX_MARK_TOTALS, 0);
    await(r.sink, "streams", 1);
    hx_sink_pause(r.sink, true);
    send_events(&s, EVENTS);
    hx_sink_pause(r.sink, false);
    await(r.sink, "received", 1);
    await_empty(ports[0]);
    send_mark(&s, HX_MARK_END, INT64_MAX); /* from a clock that is ahead: no negative latency */
    await(r.sink, "streams_ended", 1);
    summary = finish(&r);
    CHECK(number(summary, "kernel_dropped") > 0);
    CHECK_INT(number(summary, "kernel_dropped"), number(summary, "kernel_dropped_buffers"));
    CHECK_INT(number(summary, "sent"), EVENTS);
    CHECK_INT(number(summary, "received") + number(summary, "lost"), EVENTS);
    CHECK_INT(number(summary, "lost_elsewhere"), 0);
    CHECK(number(summary, "loss_ratio") > 0);
    cJSON_Delete(summary);
    close(s.fd);
}

/* Takes no more than it is told to, and what waits when it is stopped all the same. */
static void test_max_eps(void)
{
    enum { EVENTS = 600, EPS = 400 };
    hx_sink_config config = config_of(1, 1);
    stream s = stream_open(ports[0], 10);
    int64_t begun_ns;
    cJSON *summary;
    running r;

    config.max_eps = EPS;
    config.listen.buffer_bytes = 4 << 20;
    start(&r, &config);
    begun_ns = hx_sink_now_ns();
    send_events(&s, EVENTS);
    await(r.sink, "received", EPS / 2);
    summary = summary_of(r.sink);
    /* A slice at once at the start, and half a slice's rounding. */
    CHECK(number(summary, "received") <=
          EPS * ((double)(hx_sink_now_ns() - begun_ns) / 1e9 + 0.03) + 1);
    cJSON_Delete(summary);
    CHECK_INT(hx_sink_set_rate(r.sink, 1, NULL), 0);
    summary = finish(&r);
    CHECK_INT(number(summary, "received"), EVENTS);
    cJSON_Delete(summary);
    close(s.fd);
}

static void test_file_and_stop(void)
{
    enum { EVENTS = 500 };
    hx_sink_config config = config_of(2, 2);
    uint32_t next[2] = {0};
    char line[128];
    cJSON *summary;
    running r;
    FILE *f;

    config.write = path;
    start(&r, &config);
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 2; i++) {
            stream s = stream_open(ports[i], i);

            s.mark.events = (uint64_t)round * EVENTS / 10;
            send_events(&s, EVENTS / 10);
            close(s.fd);
        }
    }
    summary = finish(&r);
    CHECK_INT(r.rc, 0);
    CHECK_INT(number(summary, "received"), 2 * EVENTS);
    CHECK(!is_true(summary, "closed"));
    CHECK_INT(number(summary, "write_errors"), 0);
    cJSON_Delete(summary);
    f = fopen(path, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f)) {
        uint32_t of, event;

        CHECK_INT(sscanf(line, "<13>stream %u event %u", &of, &event), 2);
        CHECK_INT(event, next[of]++);
    }
    fclose(f);
    CHECK_INT(next[0], EVENTS);
    CHECK_INT(next[1], EVENTS);
    CHECK_INT(unlink(path), 0);
}

static void test_unwritten(void)
{
    hx_sink_config config = config_of(1, 1);
    stream s = stream_open(ports[0], 1);
    cJSON *summary;
    running r;

    if (access("/dev/full", W_OK) != 0)
        return;
    config.write = "/dev/full";
    start(&r, &config);
    send_events(&s, 10);
    await(r.sink, "received", 10);
    summary = finish(&r);
    CHECK_INT(r.rc, HX_EIO);
    CHECK(strstr(r.err.text, "10 messages are not in it") != NULL);
    CHECK(number(summary, "write_errors") > 0);
    CHECK_INT(number(summary, "unwritten"), 10);
    cJSON_Delete(summary);
    close(s.fd);
}

static void test_ends_by_itself(void)
{
    hx_sink_config config = config_of(1, 1);
    stream s = stream_open(ports[0], 1);
    running r;

    config.duration_ns = 1;
    start(&r, &config);
    pthread_join(r.thread, NULL);
    CHECK_INT(r.rc, 0);
    hx_sink_destroy(r.sink);

    config.duration_ns = 0;
    config.idle_exit_ns = 200000000;
    start(&r, &config);
    send_mark(&s, HX_MARK_TOTALS, 0);
    await(r.sink, "streams", 1);
    for (int i = 0; i < 3; i++) /* idle for long, but the stream has not ended */
        CHECK_INT(usleep(150000), 0);
    CHECK(!atomic_load(&r.sink->stopping));
    send_mark(&s, HX_MARK_END, 0);
    pthread_join(r.thread, NULL);
    CHECK_INT(r.rc, 0);
    hx_sink_destroy(r.sink);
    close(s.fd);
}

static void check_answer(hx_sink *sink, const char *command, const char *want)
{
    hx_text out = {0};

    hx_sink_answer(sink, command, strlen(command), &out);
    CHECK(!out.failed && out.len > 0 && out.ptr[out.len - 1] == '\n');
    hx_text_bytes(&out, "", 1);
    if (!strstr(out.ptr, want)) {
        fprintf(stderr, "%s: %s, want %s\n", command, out.ptr, want);
        exit(1);
    }
    hx_text_free(&out);
}

static void test_control(void)
{
    static const struct {
        const char *command, *want;
    } cases[] = {
        {"{\"command\": \"stats\"}", "{\"ok\": true, \"stats\": {\"received\": 0"},
        {"{\"command\": \"set_rate\", \"eps\": 5}", "{\"ok\": true}"},
        {"{\"command\": \"set_rate\", \"eps\": 0}", "{\"ok\": true}"},
        {"{\"command\": \"set_rate\", \"eps\": -1}", "\"eps\\\" is needed"},
        {"{\"command\": \"set_rate\", \"eps\": 1e18}", "\"eps\\\" is needed"},
        {"{\"command\": \"set_rate\", \"eps\": 0.5}", "\"eps\\\" is needed"},
        {"{\"command\": \"set_rate\", \"eps\": \"750k\"}", "{\"ok\": true}"},
        {"{\"command\": \"set_rate\", \"eps\": \"9G\"}", "is more than"},
        {"{\"command\": \"set_rate\", \"eps\": \"fast\"}", "\"eps\\\" is needed"},
        {"{\"command\": \"set_rate\"}", "\"eps\\\" is needed"},
        {"{\"command\": \"pause\"}", "{\"ok\": true}"},
        {"{\"command\": \"resume\"}", "{\"ok\": true}"},
        {"{\"command\": \"dance\"}", "\"dance\\\" is not stats"},
        {"{\"command\": 1}", "is needed"},
        {"[]", "is needed"},
        {"", "is needed"},
        {"{\"command\": \"stop\"}", "{\"ok\": true}"},
    };
    const hx_sink_config config = config_of(1, 1);
    running r;

    start(&r, &config);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_answer(r.sink, cases[i].command, cases[i].want);
    pthread_join(r.thread, NULL); /* the last one was stop */
    CHECK_INT(r.rc, 0);
    hx_sink_destroy(r.sink);
}

static void test_refused(void)
{
    static const uint32_t far_processor[] = {60000};
    const struct {
        hx_sink_config config;
        int want;
        const char *says;
    } cases[] = {
        {{.listen = {.ports = ports}}, HX_EINVAL, "ports: 0"},
        {{.listen = {.ports = ports, .port_count = 1}, .workers = 65}, HX_EINVAL, "workers: 65"},
        {{.listen = {.ports = ports, .port_count = 2, .transport = HX_TCP}, .workers = 3},
         HX_EINVAL,
         "3 workers cannot share 2 TCP ports"},
        {{.listen = {.ports = ports, .port_count = 1}, .pin = far_processor, .pin_count = 1},
         HX_EINVAL,
         "processor 60000"},
        {{.listen = {.ports = ports, .port_count = 1}, .max_eps = UINT64_MAX},
         HX_EINVAL,
         "max_eps: "},
        {{.listen = {.ports = ports, .port_count = 1}, .write = "/nowhere/at/all"},
         HX_EIO,
         "write: /nowhere"},
        {{.listen = {.ports = ports, .port_count = 1}, .stats_page = "/nowhere/at/all"},
         HX_EIO,
         "/nowhere/at/all"},
        {{.listen = {.ports = ports, .port_count = 1}, .control_socket = "/nowhere/at/all"},
         HX_EIO,
         "control_socket: /nowhere"},
    };
    hx_sink *sink = NULL;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_error err = {{0}};

        CHECK_INT(hx_sink_create(&cases[i].config, &sink, NULL, &err), cases[i].want);
        if (!strstr(err.text, cases[i].says)) {
            fprintf(stderr, "case %zu: %s\n", i, err.text);
            exit(1);
        }
        CHECK(sink == NULL);
    }
    hx_sink_destroy(NULL);
}

static void test_report(void)
{
    const hx_sink_config config = config_of(1, 1);
    stream s = stream_open(ports[0], 1);
    hx_text out = {0};
    running r;

    start(&r, &config);
    send_events(&s, 1234);
    await(r.sink, "received", 1234);
    hx_sink_report(r.sink, &out);
    hx_text_bytes(&out, "", 1);
    CHECK(strstr(out.ptr, "1,234 events") != NULL);
    CHECK(strstr(out.ptr, "--account") != NULL);
    out.len = 0;
    send_mark(&s, HX_MARK_END, 0);
    await(r.sink, "streams_ended", 1);
    hx_sink_report(r.sink, &out);
    hx_text_bytes(&out, "", 1);
    CHECK(strstr(out.ptr, "1,235 sent = 1,235 received + 0 kernel_dropped + 0 lost elsewhere") ||
          strstr(out.ptr, "lost elsewhere"));
    CHECK(strstr(out.ptr, "--account") == NULL);
    hx_text_free(&out);
    cJSON_Delete(finish(&r));
    close(s.fd);
}

int main(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/haechi-XXXXXX", base ? base : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/written", folder);
    choose_ports();
    test_account();
    test_forced_drops();
    test_max_eps();
    test_file_and_stop();
    test_unwritten();
    test_ends_by_itself();
    test_control();
    test_refused();
    test_report();
    CHECK_INT(rmdir(folder), 0);
    return 0;
}
