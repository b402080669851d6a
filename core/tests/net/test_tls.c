/* A listener over TLS against senders that are as they should be and others that are not. */
#include "receiver.h"

#include <haechi/outlet.h>

#include <arpa/inet.h>
#include <stdatomic.h>
#include <time.h>

enum { RUNS = 64, BYTES = 128 << 10, PATIENCE_MS = 30000, LINES = 3000 };

static struct {
    uint64_t messages, bytes, marks;
} taken;

/* What a sender does, and what became of it. */
typedef struct sending {
    struct sockaddr_storage address;
    socklen_t len;
    const char *ca, *certificate, *key;
    bool insecure, says_end;
    int created, finished;
    bool reported;
    hx_error err;
    atomic_bool done;
} sending;

static void count_mark(void *context, uint32_t port, const hx_mark *mark, int64_t arrival_ns)
{
    CHECK(context == NULL && port == 0 && mark->run == 5 && arrival_ns > 0);
    taken.marks++;
}

static int take_once(hx_listener *l)
{
    hx_taken runs[RUNS];
    int n = hx_listener_take(l, runs, RUNS, BYTES, count_mark, NULL);

    CHECK(n >= 0);
    for (int i = 0; i < n; i++) {
        taken.messages++;
        taken.bytes += runs[i].bytes;
    }
    return n;
}

static hx_listener *open_listener(const char *client_ca, uint32_t handshake_ms)
{
    static const uint16_t any;
    hx_listen_config config = {.transport = HX_TLS,
                               .ports = &any,
                               .port_count = 1,
                               .certificate = leaf_path,
                               .key = key_path,
                               .client_ca = client_ca,
                               .handshake_ms = handshake_ms};
    hx_listener *l;
    hx_error err = {""};

    if (hx_listener_create(&config, &l, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    memset(&taken, 0, sizeof taken);
    return l;
}

static uint32_t frame_mark(const hx_mark *mark, char *out)
{
    char text[HX_MARK_MAX];
    uint32_t len = hx_mark_format(mark, text), head = hx_frame_prefix(len, out);

    memcpy(out + head, text, len);
    return head + len;
}

static void wait_for_report(hx_outlet *outlet, const hx_mark *end)
{
    char text[1024];
    hx_mark report;

    for (uint32_t len = 0; len < 4 + HX_REPORT_BYTES;) {
        int n = hx_outlet_read(outlet, text + len, sizeof text - len);

        CHECK(n >= 0);
        len += (uint32_t)n;
        if (n == 0)
            nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    CHECK_BYTES(text, 4, "134 ", 4);
    CHECK_INT(hx_mark_parse(hx_slice_make(text + 4, HX_REPORT_BYTES), &report), HX_MARK_REPORT);
    CHECK_INT(report.run, end->run);
    CHECK_INT(report.stream, end->stream);
    CHECK_INT(report.events, end->events);
    CHECK_INT(report.bytes, end->bytes);
    CHECK_INT(report.controls, end->controls);
}

/* A probe, lines of many lengths, the end mark; waits for the report. */
static void send_lines(hx_outlet *outlet, sending *s)
{
    hx_mark mark = {.kind = HX_MARK_PROBE, .run = 5, .stream = 6};
    char text[1200];
    size_t written;

    if (hx_outlet_write(outlet, text, frame_mark(&mark, text), &written, PATIENCE_MS))
        return;
    for (uint32_t i = 0; i < LINES; i++) {
        uint32_t len = 10 + i % 1000, head = hx_frame_prefix(len, text);

        memset(text + head, 'a' + (int)(i % 26), len);
        if (hx_outlet_write(outlet, text, head + len, &written, PATIENCE_MS))
            return;
        mark.events++;
        mark.bytes += len;
    }
    mark.kind = HX_MARK_END;
    mark.sequence = 1;
    mark.controls = 2;
    if (!s->says_end)
        return;
    CHECK_INT(hx_outlet_write(outlet, text, frame_mark(&mark, text), &written, PATIENCE_MS), 0);
    wait_for_report(outlet, &mark);
    s->reported = true;
}

static void *send_all(void *arg)
{
    sending *s = arg;
    hx_outlet_config config = {.transport = HX_TLS,
                               .framing = HX_FRAMING_OCTETS,
                               .address = &s->address,
                               .address_len = s->len,
                               .name = "siem.example",
                               .tls_ca = s->ca,
                               .tls_certificate = s->certificate,
                               .tls_key = s->key,
                               .tls_insecure = s->insecure,
                               .connect_timeout_ms = PATIENCE_MS};
    hx_outlet *outlet = NULL;

    s->created = hx_outlet_create(&config, &outlet, &s->err);
    if (s->created == 0) {
        send_lines(outlet, s);
        s->finished = hx_outlet_finish(outlet, PATIENCE_MS);
    }
    hx_outlet_destroy(outlet);
    atomic_store(&s->done, true);
    return NULL;
}

/* A whole sender's life, the listener taking all the while. */
static void run_sender(hx_listener *l, sending *s)
{
    pthread_t thread;

    CHECK_INT(hx_net_address("127.0.0.1", hx_listener_port(l, 0), &s->address, &s->len, NULL), 0);
    CHECK_INT(pthread_create(&thread, NULL, send_all, s), 0);
    while (!atomic_load(&s->done))
        if (take_once(l) == 0)
            hx_listener_wait(l, -1, 20);
    pthread_join(thread, NULL);
    while (take_once(l) > 0)
        ;
}

static void test_messages(bool client_certificate)
{
    hx_listener *l = open_listener(client_certificate ? ca_path : NULL, 0);
    sending s = {.ca = ca_path, .says_end = true};
    hx_port_counters counters;
    hx_account a;

    if (client_certificate) {
        s.certificate = client_path;
        s.key = client_key_path;
    }
    run_sender(l, &s);
    CHECK_INT(s.created, 0);
    CHECK(s.reported);
    CHECK_INT(s.finished, 0);
    CHECK_INT(taken.messages, LINES);
    CHECK_INT(taken.marks, 2);
    hx_listener_counters(l, 0, &counters);
    CHECK_INT(counters.messages, LINES);
    CHECK_INT(counters.bytes, taken.bytes);
    CHECK_INT(counters.clients, 1);
    CHECK_INT(counters.tls_failed, 0);
    hx_listener_account(l, 0, &a);
    CHECK(a.closed && a.sent == LINES && a.received == LINES && a.lost_elsewhere == 0);
    hx_listener_destroy(l);
}

static void take_until_failed(hx_listener *l, uint64_t number)
{
    hx_port_counters counters;

    for (int i = 0; i < PATIENCE_MS / 20; i++) {
        take_once(l);
        hx_listener_counters(l, 0, &counters);
        if (counters.tls_failed >= number)
            break;
        hx_listener_wait(l, -1, 20);
    }
    CHECK_INT(counters.tls_failed, number);
}

/* Each is refused by one side or the other, counted, and costs the next one nothing. */
static void test_refused(void)
{
    static const struct {
        bool asks_for_client, wrong_ca, shows_other;
    } cases[] = {{false, true, false}, {true, false, false}, {true, false, true}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* The other authority has signed neither certificate. */
        hx_listener *l = open_listener(!cases[i].asks_for_client ? NULL
                                       : cases[i].shows_other    ? other_ca_path
                                                                 : ca_path,
                                       0);
        sending s = {.ca = cases[i].wrong_ca ? other_ca_path : ca_path};

        if (cases[i].shows_other) {
            s.certificate = client_path;
            s.key = client_key_path;
        }
        run_sender(l, &s);
        /* With TLS 1.3 a sender learns that its certificate does not do when it writes or ends. */
        CHECK(s.created == HX_EIO || s.finished == HX_EIO);
        take_until_failed(l, 1);
        CHECK_INT(taken.messages, 0);
        hx_listener_destroy(l);
    }
}

static int dial(hx_listener *l)
{
    struct sockaddr_storage to;
    socklen_t len;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_INT(hx_net_address("127.0.0.1", hx_listener_port(l, 0), &to, &len, NULL), 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&to, len), 0);
    return fd;
}

/* Neither plain text nor silence nor a client that is gone again holds up one that is in order. */
static void test_strangers(void)
{
    hx_listener *l = open_listener(NULL, 2000); /* the one in order is held to it, too */
    int plain = dial(l), silent = dial(l), gone = dial(l);
    sending s = {.ca = ca_path, .says_end = true};
    char byte;

    CHECK_INT(send(plain, "5 <1>ab", 7, MSG_NOSIGNAL), 7);
    close(gone);
    take_until_failed(l, 3); /* the silent one when its time is up */
    CHECK(recv(silent, &byte, 1, 0) <= 0);
    CHECK_INT(taken.messages, 0);
    run_sender(l, &s);
    CHECK_INT(s.created, 0);
    CHECK_INT(taken.messages, LINES);
    close(plain);
    close(silent);
    hx_listener_destroy(l);
}

static void test_files(void)
{
    static const uint16_t any;
    const char *none = "/nonexistent/file.pem";
    const struct {
        const char *certificate, *key, *client_ca, *said;
    } cases[] = {
        {NULL, key_path, NULL, "tls_certificate"},
        {leaf_path, NULL, NULL, "tls_key"},
        {none, key_path, NULL, none},
        {leaf_path, none, NULL, none},
        {leaf_path, key_path, none, none},
        {key_path, key_path, NULL, key_path},
        {leaf_path, client_key_path, NULL, client_key_path}, /* of another certificate */
        {leaf_path, key_path, key_path, "tls_client_ca"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_listen_config config = {.transport = HX_TLS,
                                   .ports = &any,
                                   .port_count = 1,
                                   .certificate = cases[i].certificate,
                                   .key = cases[i].key,
                                   .client_ca = cases[i].client_ca};
        hx_listener *l;
        hx_error err = {""};

        CHECK_INT(hx_listener_create(&config, &l, NULL, &err), HX_EINVAL);
        CHECK(l == NULL && strstr(err.text, cases[i].said));
    }
}

int main(void)
{
    certificates_make();
    test_messages(false);
    test_messages(true);
    test_refused();
    test_strangers();
    test_files();
    return 0;
}
