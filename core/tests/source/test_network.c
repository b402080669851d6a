/* The network as a source: messages become lines, in order, beside files, until it is told to end.
 */
#include "sockets.h"

#include <pthread.h>
#include <time.h>

static taken got;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_messages_become_lines(void)
{
    hx_source *s = listen_open(1, NULL, 0);
    int fd = sender_open(port_of(s, 0));
    char name[64];
    hx_source_port port;

    take(s, 0, 0, &got);
    CHECK_INT(got.rc, HX_EAGAIN);
    send_text(fd, "one");
    send_text(fd, "two\n");
    send_text(fd, "\r\n");
    send_text(fd, "");
    send_text(fd, "three\nin\ntwo\r\n");
    take(s, 50, 0, &got);
    CHECK_INT(got.rc, HX_EAGAIN);
    CHECK_TAKEN(&got, "one\ntwo\nthree in two\n");
    snprintf(name, sizeof name, "udp:127.0.0.1:%u", port_of(s, 0));
    CHECK(strcmp(hx_source_input_name(s, got.last.input), name) == 0);
    CHECK(hx_source_input_name(s, 1) == NULL);
    CHECK_INT(got.last.offset + got.last.length, got.len);
    CHECK_INT(hx_source_counters_get(s)->bytes, got.len);
    hx_source_drain(s, name, sizeof name, &got.last);
    CHECK_INT(hx_source_ports(s, &port), 1);
    CHECK_INT(port.counters.messages, 3);
    CHECK_INT(port.counters.empty, 2);
    CHECK_INT(port.readers, 1);
    close(fd);
    hx_source_destroy(s);
}

/* A chunk is of one port, each port keeps its order and its offsets, and the same run is never the
 * same input again. */
static void test_ports_in_turn(void)
{
    enum { PORTS = 5, EACH = 200 };
    static char buffer[8192];
    hx_source *s = listen_open(PORTS, NULL, 0), *other = listen_open(1, NULL, 0);
    uint64_t offset[PORTS] = {0}, identity[PORTS] = {0};
    uint32_t next[PORTS] = {0}, done = 0;
    hx_chunk chunk;

    for (uint32_t p = 0; p < PORTS; p++) {
        int fd = sender_open(port_of(s, p));
        for (uint32_t i = 0; i < EACH; i++) {
            char text[64];
            snprintf(text, sizeof text, "port %u message %u", p, i);
            send_text(fd, text);
        }
        close(fd);
    }
    while (done < PORTS * EACH) {
        CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 1000, &chunk), 0);
        CHECK(chunk.input < PORTS);
        CHECK_INT(chunk.offset, offset[chunk.input]);
        CHECK(!identity[chunk.input] || identity[chunk.input] == chunk.identity);
        CHECK(chunk.arrival_us > 0);
        identity[chunk.input] = chunk.identity;
        offset[chunk.input] += chunk.length;
        for (char *line = buffer, *end; line < buffer + chunk.length; line = end + 1, done++) {
            char want[64];
            end = memchr(line, '\n', chunk.length);
            snprintf(want, sizeof want, "port %u message %u", chunk.input, next[chunk.input]++);
            CHECK_BYTES(line, end - line, want, strlen(want));
        }
    }
    for (uint32_t p = 1; p < PORTS; p++)
        CHECK(identity[p] != identity[p - 1]);
    hx_source_destroy(other);
    hx_source_destroy(s);
}

/* A message that is longer than the caller's buffer: its head is a line, and it is counted. */
static void test_long_messages(void)
{
    static char text[60001], buffer[4096];
    hx_source *s = listen_open(1, NULL, 0);
    int fd = sender_open(port_of(s, 0));
    hx_chunk chunk;

    memset(text, 'x', sizeof text - 1);
    send_text(fd, "before");
    send_text(fd, text);
    send_text(fd, "after");
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 1000, &chunk), 0);
    CHECK_BYTES(buffer, chunk.length, "before\n", 7);
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 1000, &chunk), 0);
    CHECK_INT(chunk.length, sizeof buffer);
    CHECK(buffer[sizeof buffer - 1] == '\n' && buffer[sizeof buffer - 2] == 'x');
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 1000, &chunk), 0);
    CHECK_BYTES(buffer, chunk.length, "after\n", 6);
    CHECK_INT(hx_source_counters_get(s)->truncated_lines, 1);
    close(fd);
    hx_source_destroy(s);
}

static void test_beside_a_file(void)
{
    hx_source *s;
    int fd;

    FILE_WRITE("beside.log", "first of the file\n");
    s = listen_open(1, "beside.log", 0);
    fd = sender_open(port_of(s, 0));
    take(s, 100, 18, &got);
    CHECK_TAKEN(&got, "first of the file\n");
    CHECK_INT(got.last.input, 1);
    CHECK(strcmp(hx_source_input_name(s, 1), "beside.log") == 0);
    send_text(fd, "of the network");
    take(s, 5000, 15, &got);
    CHECK_TAKEN(&got, "of the network\n");
    CHECK_INT(got.last.input, 0);
    FILE_APPEND("beside.log", "second of the file\n");
    take(s, 5000, 19, &got);
    CHECK_TAKEN(&got, "second of the file\n");
    /* However busy the network, the file has its turn. */
    FILE_APPEND("beside.log", "third of the file\n");
    for (int turn = 0; turn < 10000; turn++) {
        send_text(fd, "noise");
        take(s, 0, 1, &got);
        if (got.len && got.last.input == 1)
            break;
    }
    CHECK_TAKEN(&got, "third of the file\n");
    close(fd);
    hx_source_destroy(s);
}

static void test_position_is_of_files_alone(void)
{
    hx_source *s;
    hx_error err;
    char *json;
    size_t len;

    FILE_WRITE("kept.log", "a\n");
    s = listen_open(2, "kept.log", 0);
    take(s, 100, 2, &got);
    CHECK_INT(hx_source_position_save(s, &json, &len), 0);
    CHECK(strstr(json, "kept.log") && !strstr(json, "udp:"));
    hx_source_destroy(s);
    s = listen_open(1, "kept.log", 0);
    CHECK_INT(hx_source_position_load(s, json, len, &err), 0);
    FILE_APPEND("kept.log", "b\n");
    take(s, 100, 2, &got);
    CHECK_TAKEN(&got, "b\n");
    free(json);
    hx_source_destroy(s);
}

static void *wake_soon(void *source)
{
    const struct timespec soon = {0, 50000000};

    nanosleep(&soon, NULL);
    hx_source_wake(source);
    return NULL;
}

static void test_wake(uint32_t readers)
{
    static char buffer[4096];
    hx_source *s = listen_open(1, NULL, readers);
    int64_t before_ms = now_ms();
    pthread_t thread;
    hx_chunk chunk;

    CHECK(pthread_create(&thread, NULL, wake_soon, s) == 0);
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 20000, &chunk), HX_EAGAIN);
    CHECK(now_ms() - before_ms < 10000);
    pthread_join(thread, NULL);
    hx_source_destroy(s);
}

/* What waits is handed out after the end was asked for, and then there is an end. */
static void test_drain(uint32_t readers)
{
    enum { COUNT = 500 };
    static char buffer[65536];
    hx_source *s = listen_open(2, NULL, readers);
    uint32_t lines = 0;
    hx_chunk chunk;
    int rc;

    for (uint32_t i = 0; i < COUNT; i++) {
        int fd = sender_open(port_of(s, i % 2));
        send_text(fd, "waits");
        close(fd);
    }
    while ((rc = hx_source_drain(s, buffer, sizeof buffer, &chunk)) == 0)
        lines += chunk.length / 6;
    CHECK_INT(rc, HX_EEND);
    CHECK_INT(lines, COUNT);
    hx_source_destroy(s);
}

/* Lines that the kernel dropped leave a hole where they would have been: with the next line, or by
 * itself where none comes. */
static void test_holes(uint32_t readers)
{
    static char buffer[1 << 20];
    hx_source *s = listen_open_tiny(readers);
    int fd = sender_open(port_of(s, 0));
    uint64_t length = 0, hole_at = UINT64_MAX;
    uint32_t holes = 0;
    hx_source_port port;
    hx_chunk chunk;

    for (int turn = 0; turn < 3; turn++) {
        uint64_t before, dropped;
        int64_t until_ms = now_ms() + 20000;

        hx_source_ports(s, &port);
        before = dropped = port.counters.kernel_dropped;
        holes = 0;
        while (!holes && now_ms() < until_ms) { /* readers may be quick, and late to tell */
            for (int i = 0; i < 2000 && dropped == before; i++)
                send_text(fd, "a line that waits with many others of its kind");
            while (hx_source_read(s, buffer, sizeof buffer, 400, &chunk) == 0) {
                CHECK_INT(chunk.input, 0);
                CHECK_INT(chunk.offset, length);
                CHECK(!chunk.holes ||
                      (chunk.first_hole <= chunk.last_hole && chunk.last_hole <= chunk.length));
                CHECK(chunk.length || chunk.holes == 1);
                holes += chunk.holes;
                if (chunk.holes)
                    hole_at = chunk.offset + chunk.last_hole;
                length += chunk.length;
            }
            hx_source_ports(s, &port);
            dropped = port.counters.kernel_dropped;
        }
        CHECK(holes >= 1);
        if (readers == 1)
            CHECK_INT(hole_at, length); /* nobody took any while they came: the last were lost */
        send_text(fd, "after");
        CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 20000, &chunk), 0);
        CHECK_BYTES(buffer, chunk.length, "after\n", 6);
        CHECK_INT(chunk.holes, 0); /* it was told */
        length += chunk.length;
    }
    close(fd);
    hx_source_destroy(s);
}

static void test_refusals(void)
{
    hx_source *first = listen_open(1, NULL, 0), *s;
    const uint16_t taken_port = port_of(first, 0);
    const uint16_t none = 0;
    const struct {
        hx_listen_config listen;
        uint32_t readers;
        const char *said;
    } cases[] = {
        {{.ports = &taken_port, .port_count = 1}, 0, "in use"},
        {{.ports = &taken_port, .port_count = 1}, 4, "in use"},
        {{.ports = &none, .port_count = 1, .address = "192.0.2.1"}, 0, "192.0.2.1"},
        {{.ports = &none, .port_count = 1, .address = "no.such.invalid"}, 0, "no.such.invalid"},
        {{.ports = &none, .port_count = 1}, HX_READERS_MAX + 1, "readers"},
        {{.ports = &none, .port_count = 0}, 0, "ports"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_source_config config = {
            .listen = &cases[i].listen, .listen_count = 1, .readers = cases[i].readers};
        hx_error err = {""};

        CHECK_INT(hx_source_create(&config, &s, &err), HX_EINVAL);
        if (!strstr(err.text, cases[i].said)) {
            fprintf(stderr, "\"%s\" does not say \"%s\"\n", err.text, cases[i].said);
            exit(1);
        }
    }
    hx_source_destroy(first);
}

int main(void)
{
    place_make();
    test_messages_become_lines();
    test_ports_in_turn();
    test_long_messages();
    test_beside_a_file();
    test_position_is_of_files_alone();
    test_wake(1);
    test_wake(2);
    test_drain(1);
    test_drain(3);
    test_holes(1);
    test_holes(2);
    test_refusals();
    return 0;
}
