/* Receiving threads: every line arrives once, in its sender's order, while the reading thread is
 * sometimes slow and sometimes asleep. */
#include "sockets.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { SENDERS = 6, PORTS = 3, EACH = 3000, LINE = 40 };

static hx_source *source;
static _Atomic uint32_t handed_out[SENDERS]; /* each stays near its own: no buffer overflows */

static void *send_lines(void *arg)
{
    const struct timespec pause = {0, 200000};
    uint32_t id = (uint32_t)(uintptr_t)arg;
    int fd = sender_open(port_of(source, id % PORTS));

    for (uint32_t i = 0; i < EACH; i++) {
        char text[LINE + 1];

        while (i > atomic_load(&handed_out[id]) + 1000)
            nanosleep(&pause, NULL);
        snprintf(text, sizeof text, "sender %02u message %08u..............", id, i);
        send_text(fd, text);
        if (i % 500 == 499)
            nanosleep(&pause, NULL);
    }
    close(fd);
    return NULL;
}

static void check_lines(const char *buffer, const hx_chunk *chunk, uint32_t *next)
{
    for (const char *line = buffer; line < buffer + chunk->length;) {
        const char *end = memchr(line, '\n', (size_t)(buffer + chunk->length - line));
        unsigned id, number;

        CHECK(end != NULL && sscanf(line, "sender %u message %u", &id, &number) == 2);
        CHECK(id < SENDERS);
        CHECK_INT(id % PORTS, chunk->input);
        CHECK_INT(number, next[id]);
        next[id]++;
        line = end + 1;
    }
}

static void test_every_line_once(uint32_t readers, uint32_t capacity)
{
    const struct timespec slow = {0, 3000000};
    char *buffer = malloc(capacity);
    pthread_t threads[SENDERS];
    uint32_t next[SENDERS] = {0}, lines = 0;
    uint64_t offset[PORTS] = {0}, messages = 0;
    hx_source_port ports[PORTS];
    hx_chunk chunk;
    int rc;

    for (int i = 0; i < SENDERS; i++)
        atomic_store(&handed_out[i], 0);
    source = listen_open(PORTS, NULL, readers);
    for (uintptr_t i = 0; i < SENDERS; i++)
        CHECK(pthread_create(&threads[i], NULL, send_lines, (void *)i) == 0);
    for (int turn = 0; lines < SENDERS * EACH; turn++) {
        if (turn % 50 == 0)
            nanosleep(&slow, NULL);
        rc = hx_source_read(source, buffer, capacity, 20, &chunk);
        if (rc == HX_EAGAIN)
            continue;
        CHECK_INT(rc, 0);
        CHECK_INT(chunk.offset, offset[chunk.input]);
        offset[chunk.input] += chunk.length;
        check_lines(buffer, &chunk, next);
        lines = 0;
        for (int i = 0; i < SENDERS; i++) {
            lines += next[i];
            atomic_store(&handed_out[i], next[i]);
        }
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(hx_source_drain(source, buffer, capacity, &chunk), HX_EEND);
    hx_source_ports(source, ports);
    for (int p = 0; p < PORTS; p++) {
        messages += ports[p].counters.messages;
        CHECK_INT(ports[p].counters.kernel_dropped, 0);
        CHECK_INT(ports[p].readers, readers);
    }
    CHECK_INT(messages, SENDERS * EACH);
    hx_source_destroy(source);
    free(buffer);
}

/* Ended in the middle, with lines in every place there is. */
static void test_destroyed_under_load(void)
{
    static char buffer[4096];
    hx_chunk chunk;
    int fd;

    source = listen_open(1, NULL, 2);
    fd = sender_open(port_of(source, 0));
    for (int i = 0; i < 2000; i++)
        send_text(fd, "a line that nobody will read");
    CHECK_INT(hx_source_read(source, buffer, sizeof buffer, 10000, &chunk), 0);
    close(fd);
    hx_source_destroy(source);
}

int main(void)
{
    test_every_line_once(2, 1 << 20);
    test_every_line_once(4, 4096);
    test_destroyed_under_load();
    return 0;
}
