/* Streams to receivers on loopback: what is taken arrives, in order, over both transports;
 * receivers that are slow, gone, silent or somebody else. */
#include "receiver.h"

#include <haechi/outlet.h>

#include <poll.h>
#include <time.h>

#define PATIENCE_MS 20000

/* --- senders -----------------------------------------------------------------------------------
 */

static hx_outlet_config config_for(const receiver *r)
{
    return (hx_outlet_config){.transport = r->manners.tls ? HX_TLS : HX_TCP,
                              .framing = HX_FRAMING_OCTETS,
                              .address = &r->address,
                              .address_len = r->address_len,
                              .tls_ca = r->manners.tls ? ca_path : NULL,
                              .connect_timeout_ms = PATIENCE_MS};
}

static hx_outlet *outlet_open(const hx_outlet_config *config)
{
    hx_error err = {{0}};
    hx_outlet *outlet = NULL;
    int rc = hx_outlet_create(config, &outlet, &err);

    if (rc)
        fprintf(stderr, "%s\n", err.text);
    CHECK_INT(rc, 0);
    return outlet;
}

/* The pattern from `from` on, len bytes at most 1 MiB. */
static const char *pattern(size_t from, size_t len)
{
    static char bytes[1 << 20];

    CHECK(len <= sizeof bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = pattern_at(from + i);
    return bytes;
}

/* Writes until `total` bytes are taken or the receiver is gone; counts the times that time was up.
 */
static int write_all(hx_outlet *outlet, size_t total, size_t piece, int timeout_ms,
                     uint64_t *timeouts)
{
    size_t done = 0;

    while (done < total) {
        size_t len = total - done < piece ? total - done : piece, written;
        int rc = hx_outlet_write(outlet, pattern(done, len), len, &written, timeout_ms);

        CHECK(written <= len && (rc != 0 || written == len));
        done += written;
        if (rc == HX_EIO)
            return rc;
        CHECK(rc == 0 || rc == HX_EAGAIN);
        *timeouts += rc == HX_EAGAIN;
    }
    return 0;
}

static void test_everything_arrives(bool tls)
{
    static const struct {
        size_t total, piece;
        int timeout_ms;
        bool slow;
        uint32_t send_buffer;
    } cases[] = {
        {0, 1, 0, false, 0},
        {1, 1, PATIENCE_MS, false, 0},
        {100000, 117, PATIENCE_MS, false, 0},
        {5000000, 65536, PATIENCE_MS, false, 0},
        {3000000, 1 << 20, PATIENCE_MS, false, 65536},
        {600000, 40000, 0, true, 4096}, /* never waits; the bytes may be others each time */
        {600000, 200000, 1, true, 4096},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        receiver r;
        hx_outlet_config config;
        hx_outlet *outlet;
        uint64_t timeouts = 0;

        receiver_start(&r, (manners){.tls = tls, .slow = cases[i].slow});
        config = config_for(&r);
        config.send_buffer_bytes = cases[i].send_buffer;
        outlet = outlet_open(&config);
        CHECK_INT(write_all(outlet, cases[i].total, cases[i].piece, cases[i].timeout_ms, &timeouts),
                  0);
        CHECK(!cases[i].slow || timeouts > 0);
        CHECK_INT(hx_outlet_finish(outlet, PATIENCE_MS), 0);
        hx_outlet_destroy(outlet);
        receiver_end(&r);
        CHECK_INT(r.taken, cases[i].total);
        CHECK(r.clean_end);
    }
}

/* A receiver that speaks, and whose words nobody reads before the end: nothing sent is lost by it.
 */
static void test_unread_words(bool tls)
{
    receiver r;
    hx_outlet_config config;
    hx_outlet *outlet;
    uint64_t timeouts = 0;

    receiver_start(&r, (manners){.tls = tls, .slow = true, .says = "<46>haechi-sink: report"});
    config = config_for(&r);
    outlet = outlet_open(&config);
    CHECK_INT(write_all(outlet, 400000, 65536, PATIENCE_MS, &timeouts), 0);
    CHECK_INT(hx_outlet_finish(outlet, PATIENCE_MS), 0);
    hx_outlet_destroy(outlet);
    receiver_end(&r);
    CHECK_INT(r.taken, 400000);
    CHECK(r.clean_end);
}

static void test_reading(bool tls)
{
    const char says[] = "23 <46>haechi-sink: report";
    receiver r;
    hx_outlet_config config;
    hx_outlet *outlet;
    char heard[64];
    size_t len = 0;
    int n = 0;

    receiver_start(&r, (manners){.tls = tls, .says = says, .first_takes = 1});
    config = config_for(&r);
    outlet = outlet_open(&config);
    for (int i = 0; i < PATIENCE_MS && len < sizeof says - 1; i++, poll(NULL, 0, 1)) {
        n = hx_outlet_read(outlet, heard + len, 5);
        CHECK(n >= 0 && n <= 5);
        len += (size_t)n;
    }
    CHECK_BYTES(heard, len, says, sizeof says - 1);
    CHECK_INT(hx_outlet_read(outlet, heard, sizeof heard), 0);
    CHECK(hx_outlet_reason(outlet)[0] == '\0');
    CHECK_INT(hx_outlet_write(outlet, pattern(0, 1), 1, &len, PATIENCE_MS), 0);
    for (int i = 0; i < PATIENCE_MS && n >= 0; i++, poll(NULL, 0, 1))
        n = hx_outlet_read(outlet, heard, sizeof heard);
    CHECK_INT(n, -1); /* it took its byte and closed */
    CHECK(strstr(hx_outlet_reason(outlet), "closed the connection") != NULL);
    CHECK_INT(hx_outlet_write(outlet, pattern(0, 1), 1, &len, PATIENCE_MS), HX_EIO);
    CHECK_INT(len, 0);
    CHECK_INT(hx_outlet_finish(outlet, 0), HX_EIO);
    hx_outlet_destroy(outlet);
    receiver_end(&r);
}

static int reconnect(hx_outlet *outlet)
{
    int rc = HX_EAGAIN;

    for (int i = 0; i < PATIENCE_MS / 10 && rc == HX_EAGAIN; i++)
        rc = hx_outlet_reconnect(outlet, 10, NULL);
    return rc;
}

static void test_receiver_that_closes(bool tls)
{
    receiver r;
    hx_outlet_config config;
    hx_outlet *outlet;
    uint64_t timeouts = 0;

    receiver_start(&r, (manners){.tls = tls, .connections = 2, .first_takes = 70000});
    config = config_for(&r);
    config.send_buffer_bytes = 65536;
    outlet = outlet_open(&config);
    CHECK_INT(write_all(outlet, 1 << 30, 50000, PATIENCE_MS, &timeouts), HX_EIO);
    CHECK(hx_outlet_reason(outlet)[0] != '\0');
    CHECK_INT(reconnect(outlet), 0);
    CHECK(hx_outlet_reason(outlet)[0] == '\0');
    CHECK_INT(write_all(outlet, 300000, 50000, PATIENCE_MS, &timeouts), 0);
    CHECK_INT(hx_outlet_finish(outlet, PATIENCE_MS), 0);
    hx_outlet_destroy(outlet);
    receiver_end(&r);
    CHECK_INT(r.taken, 300000);
    CHECK(r.clean_end);
}

static void test_a_second_life(bool tls)
{
    receiver r;
    hx_outlet_config config;
    hx_outlet *outlet;
    uint64_t timeouts = 0;

    receiver_start(&r, (manners){.tls = tls, .connections = 2});
    config = config_for(&r);
    outlet = outlet_open(&config);
    CHECK_INT(write_all(outlet, 1000, 1000, PATIENCE_MS, &timeouts), 0);
    CHECK_INT(hx_outlet_finish(outlet, PATIENCE_MS), 0);
    CHECK_INT(hx_outlet_finish(outlet, PATIENCE_MS), 0);
    CHECK_INT(hx_outlet_write(outlet, "x", 1, &(size_t){0}, PATIENCE_MS), HX_EIO);
    CHECK_INT(reconnect(outlet), 0);
    CHECK_INT(hx_outlet_reconnect(outlet, 0, NULL), 0); /* it is */
    CHECK_INT(write_all(outlet, 2000, 2000, PATIENCE_MS, &timeouts), 0);
    CHECK_INT(hx_outlet_finish(outlet, PATIENCE_MS), 0);
    hx_outlet_destroy(outlet);
    receiver_end(&r);
    CHECK_INT(r.taken, 2000);
}

/* --- what is refused ---------------------------------------------------------------------------
 */

static void check_refused(const hx_outlet_config *config, int want, const char *words)
{
    hx_error err = {{0}};
    hx_outlet *outlet;

    CHECK_INT(hx_outlet_create(config, &outlet, &err), want);
    CHECK(outlet == NULL);
    if (!strstr(err.text, words))
        fprintf(stderr, "\"%s\" does not say \"%s\"\n", err.text, words);
    CHECK(strstr(err.text, words) != NULL);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_nobody_listens(void)
{
    receiver r = {.fd = -1};
    hx_outlet_config config;
    hx_outlet *outlet;
    hx_error err;
    uint64_t timeouts = 0;
    int64_t before;

    receiver_bind(&r); /* bound, so nobody else gets the port; it does not listen */
    config = config_for(&r);
    check_refused(&config, HX_EIO, "nothing listens there");
    CHECK(listen(r.fd, 1) == 0);
    outlet = outlet_open(&config);
    close(r.fd); /* never accepted: the connection ends with the listener */
    CHECK_INT(write_all(outlet, 1 << 30, 50000, PATIENCE_MS, &timeouts), HX_EIO);
    before = now_ms();
    CHECK_INT(hx_outlet_reconnect(outlet, 60, &err), HX_EAGAIN);
    CHECK(now_ms() - before >= 50);
    CHECK(strstr(err.text, "nothing listens there") != NULL);
    CHECK_INT(hx_outlet_reconnect(outlet, 0, &err), HX_EAGAIN);
    hx_outlet_destroy(outlet);
}

/* A full queue of connections drops who comes next, like a firewall. */
static void test_no_answer(void)
{
    receiver r = {.fd = -1};
    hx_outlet_config config;
    int waiting[4];

    receiver_bind(&r);
    CHECK(listen(r.fd, 0) == 0);
    for (int i = 0; i < 4; i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(waiting[i], (struct sockaddr *)&r.address, r.address_len);
    }
    config = config_for(&r);
    config.connect_timeout_ms = 80;
    check_refused(&config, HX_EIO, "no answer within 80 ms");
    for (int i = 0; i < 4; i++)
        close(waiting[i]);
    close(r.fd);
}

static void test_how_receivers_are_called(void)
{
    struct sockaddr_storage six = {0};
    hx_outlet_config config = {.transport = HX_TCP,
                               .framing = HX_FRAMING_NEWLINE,
                               .address = &six,
                               .address_len = sizeof(struct sockaddr_in6)};
    hx_error err = {{0}};

    CHECK_INT(hx_net_address("::1", 1, &six, &config.address_len, &err), 0);
    check_refused(&config, HX_EIO, "cannot connect to [::1]:1: ");
    config.name = "siem.example";
    check_refused(&config, HX_EIO, "cannot connect to siem.example ([::1]:1): ");
}

static void test_configuration(void)
{
    receiver r = {.manners = {.tls = true}};
    struct sockaddr_storage unix_address = {.ss_family = AF_UNIX};
    char missing[96];
    hx_outlet_config good, c;

    receiver_bind(&r);
    snprintf(missing, sizeof missing, "%.80s-missing", ca_path);
    c = good = config_for(&r);
    c.transport = HX_UDP;
    check_refused(&c, HX_EINVAL, "tcp or tls");
    c = good;
    c.framing = HX_FRAMING_AUTO;
    check_refused(&c, HX_EINVAL, "octets or newline");
    c = good;
    c.address = NULL;
    check_refused(&c, HX_EINVAL, "address is missing");
    c = good;
    c.address = &unix_address;
    check_refused(&c, HX_EINVAL, "neither IPv4 nor IPv6");
    c = good;
    c.tls_ca = missing;
    check_refused(&c, HX_EINVAL, "tls_ca: ");
    c.tls_ca = key_path;
    check_refused(&c, HX_EINVAL, "certificates of authorities");
    c = good;
    c.tls_certificate = client_path;
    check_refused(&c, HX_EINVAL, "tls_key is needed");
    c.tls_key = missing;
    check_refused(&c, HX_EINVAL, "No such file");
    c.tls_key = key_path; /* another certificate's */
    check_refused(&c, HX_EINVAL, "key values mismatch");
    c = good;
    c.tls_key = key_path;
    check_refused(&c, HX_EINVAL, "tls_certificate is needed");
    c.tls_certificate = missing;
    check_refused(&c, HX_EINVAL, "tls_certificate: ");
    close(r.fd);
}

/* Who the receiver is: by address, by name, by authority, or not asked. */
static void test_identity(void)
{
    static const struct {
        const char *name, *ca;
        bool insecure;
        const char *refused; /* NULL: agreed on */
    } cases[] = {
        {NULL, ca_path, false, NULL},
        {"127.0.0.1", ca_path, false, NULL},
        {"siem.example", ca_path, false, NULL},
        {"other.example", ca_path, false, "not for other.example"},
        {"127.0.0.2", ca_path, false, "not for 127.0.0.2"},
        {NULL, other_ca_path, false, "is not accepted"},
        {NULL, NULL, false, "is not accepted"},
        {"other.example", other_ca_path, true, NULL},
        {NULL, NULL, true, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        receiver r;
        hx_outlet_config config;

        receiver_start(&r, (manners){.tls = true});
        config = config_for(&r);
        config.name = cases[i].name;
        config.tls_ca = cases[i].ca;
        config.tls_insecure = cases[i].insecure;
        if (cases[i].refused) {
            check_refused(&config, HX_EIO, cases[i].refused);
        } else {
            hx_outlet *outlet = outlet_open(&config);

            CHECK_INT(hx_outlet_finish(outlet, PATIENCE_MS), 0);
            hx_outlet_destroy(outlet);
        }
        receiver_end(&r);
    }
}

static void test_client_certificate(void)
{
    receiver r;
    hx_outlet_config config;
    hx_outlet *outlet;
    uint64_t timeouts = 0;

    receiver_start(&r, (manners){.tls = true, .asks_for_client = true, .connections = 2});
    config = config_for(&r);
    outlet = outlet_open(&config); /* TLS 1.3: the receiver says no after the handshake */
    CHECK_INT(write_all(outlet, 1 << 30, 50000, PATIENCE_MS, &timeouts), HX_EIO);
    hx_outlet_destroy(outlet);
    config.tls_certificate = client_path;
    config.tls_key = client_key_path;
    outlet = outlet_open(&config);
    CHECK_INT(write_all(outlet, 1000, 1000, PATIENCE_MS, &timeouts), 0);
    CHECK_INT(hx_outlet_finish(outlet, PATIENCE_MS), 0);
    hx_outlet_destroy(outlet);
    receiver_end(&r);
    CHECK_INT(r.taken, 1000);
}

static void test_not_tls(void)
{
    receiver r;
    hx_outlet_config config;

    receiver_start(&r, (manners){.silent = true});
    config = config_for(&r);
    config.transport = HX_TLS;
    config.connect_timeout_ms = 500;
    check_refused(&config, HX_EIO, "handshake was not done within 500 ms");
    receiver_end(&r);
    receiver_start(&r, (manners){.says = "220 mail ready, say hello\r\n", .first_takes = 1});
    config = config_for(&r);
    config.transport = HX_TLS;
    check_refused(&config, HX_EIO, "is not TLS");
    CHECK(pthread_join(r.thread, NULL) == 0);
    close(r.fd);
    close(r.release[0]);
    close(r.release[1]);
}

/* A receiver that takes the connection and never reads: finish gives up when its time is up. */
static void test_finish_in_time(void)
{
    receiver r;
    hx_outlet_config config;
    hx_outlet *outlet;
    int64_t before;

    receiver_start(&r, (manners){.silent = true});
    config = config_for(&r);
    outlet = outlet_open(&config);
    before = now_ms();
    CHECK_INT(hx_outlet_finish(outlet, 30), HX_EAGAIN);
    CHECK(now_ms() - before >= 30);
    CHECK_INT(hx_outlet_finish(outlet, 0), HX_EAGAIN);
    hx_outlet_destroy(outlet);
    receiver_end(&r);
}

static void test_prefix(void)
{
    static const struct {
        uint32_t len;
        const char *want;
    } cases[] = {{0, "0 "},
                 {1, "1 "},
                 {9, "9 "},
                 {10, "10 "},
                 {123, "123 "},
                 {65535, "65535 "},
                 {9999999, "9999999 "},
                 {10000000, ""},
                 {UINT32_MAX, ""}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[8];

        CHECK_BYTES(out, hx_frame_prefix(cases[i].len, out), cases[i].want, strlen(cases[i].want));
    }
}

int main(void)
{
    certificates_make();
    test_prefix();
    test_nobody_listens();
    test_no_answer();
    test_how_receivers_are_called();
    test_configuration();
    test_identity();
    test_client_certificate();
    test_not_tls();
    test_finish_in_time();
    for (int tls = 0; tls < 2; tls++) {
        test_everything_arrives(tls);
        test_unread_words(tls);
        test_reading(tls);
        test_receiver_that_closes(tls);
        test_a_second_life(tls);
    }
    return 0;
}
