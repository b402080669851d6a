/* bench-wire: nanoseconds a line for the header parsers, on lines it makes itself.
 *
 *   bench-wire [LINES]
 *
 * The lines differ in host, process, pid, fraction of a second and length as a busy collector's do;
 * time moves on by 0.1 ms a line. Each figure is the best of twenty passes over 20,000 lines (about
 * 2.5 MB, so in a cache, as a chunk is that was just read); with many more lines it is the memory
 * that is measured.
 */
#include <haechi/format.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PASSES   20
#define LINE_MAX 320

typedef struct moment {
    struct tm tm;
    unsigned us;
    time_t s;
} moment;

typedef int (*line_maker)(char *out, size_t room, const moment *at, uint32_t x);

static const char *const daemons[] = {"systemd", "sshd",           "kernel",
                                      "CRON",    "NetworkManager", "rsyslogd"};
static const char *const texts[] = {
    "Started Session 4711 of user root.",
    "Accepted publickey for deploy from 10.3.7.91 port 51122 ssh2: RSA "
    "SHA256:9f86d081884c7d659a2feaa0",
    "pam_unix(sshd:session): session opened for user deploy by (uid=0)",
    "eth0: link up, 1000Mbps, full-duplex, lpa 0xFFFF, flow control rx/tx",
    "(root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.daily)",
};

#define PICK(list, x) (list)[(x) % (sizeof(list) / sizeof(list)[0])]

static int make_iso(char *out, size_t room, const moment *at, uint32_t x)
{
    char stamp[32];

    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &at->tm);
    return snprintf(out, room, "<%u>%s.%03uZ server%02u %s[%u]: %s", x % 192, stamp, at->us / 1000,
                    x % 97, PICK(daemons, x), x % 30000 + 300, PICK(texts, x >> 8));
}

static int make_rfc5424(char *out, size_t room, const moment *at, uint32_t x)
{
    char stamp[32];

    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &at->tm);
    return snprintf(out, room, "<%u>1 %s.%06uZ server%02u %s %u ID%u [origin ip=\"10.0.0.%u\"] %s",
                    x % 192, stamp, at->us, x % 97, PICK(daemons, x), x % 30000, x % 50, x % 250,
                    PICK(texts, x >> 8));
}

static int make_rfc3164(char *out, size_t room, const moment *at, uint32_t x)
{
    char stamp[32];

    strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &at->tm);
    return snprintf(out, room, "<%u>%s server%02u %s[%u]: %s", x % 192, stamp, x % 97,
                    PICK(daemons, x), x % 30000, PICK(texts, x >> 8));
}

static int make_hdfs(char *out, size_t room, const moment *at, uint32_t x)
{
    char stamp[32];

    strftime(stamp, sizeof stamp, "%y%m%d %H%M%S", &at->tm);
    return snprintf(out, room,
                    "%s %u INFO dfs.DataNode$PacketResponder: Received block blk_%u of size %u",
                    stamp, x % 400, x * 2654435761U, x % 67108864);
}

static int make_bgl(char *out, size_t room, const moment *at, uint32_t x)
{
    char day[32], stamp[32];

    strftime(day, sizeof day, "%Y.%m.%d", &at->tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d-%H.%M.%S", &at->tm);
    return snprintf(out, room,
                    "- %lld %s R%02u-M1-N0 %s.%06u R%02u-M1-N0 RAS KERNEL INFO generating core.%u",
                    (long long)at->s, day, x % 64, stamp, at->us, x % 64, x % 9000);
}

static int make_hadoop(char *out, size_t room, const moment *at, uint32_t x)
{
    char stamp[32];

    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &at->tm);
    return snprintf(
        out, room, "%s,%03u INFO [IPC Server handler %u] org.example.ipc.Server: Address change %u",
        stamp, at->us / 1000, x % 30, x);
}

static int make_json(char *out, size_t room, const moment *at, uint32_t x)
{
    char stamp[32];

    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &at->tm);
    return snprintf(out, room,
                    "{\"time\":\"%s.%03uZ\",\"level\":\"info\",\"host\":\"server%02u\",\"pid\":%u,"
                    "\"msg\":\"%s\"}",
                    stamp, at->us / 1000, x % 97, x % 30000, PICK(texts, x >> 8));
}

static const struct {
    const char *preset;
    line_maker make;
} cases[] = {
    {"iso", make_iso}, {"rfc5424", make_rfc5424}, {"rfc3164", make_rfc3164}, {"hdfs", make_hdfs},
    {"bgl", make_bgl}, {"hadoop", make_hadoop},   {"jsonl", make_json},
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t make_lines(line_maker make, char *text, hx_slice *lines, uint32_t count)
{
    char *p = text;
    uint32_t x = 12345;

    for (uint32_t i = 0; i < count; i++) {
        moment at = {.s = (time_t)1756548930 + i / 10000, .us = i % 10000 * 100};
        int len;

        gmtime_r(&at.s, &at.tm);
        x = x * 1664525 + 1013904223;
        len = make(p, LINE_MAX, &at, x >> 4);
        lines[i] = hx_slice_make(p, (size_t)len);
        p += len + 1;
    }
    return (size_t)(p - text);
}

/* The best pass, in seconds; every line must parse. */
static double best_pass(const hx_format *format, const hx_slice *lines, uint32_t count)
{
    double best = 1e9;

    for (int pass = 0; pass < PASSES; pass++) {
        hx_format_scratch scratch = {.now_us = INT64_C(1756548930000000)};
        uint64_t message_bytes = 0;
        double start = now_s(), took;

        for (uint32_t i = 0; i < count; i++) {
            hx_record record;
            if (hx_format_parse(format, lines[i], &scratch, &record)) {
                fprintf(stderr, "malformed: %.*s\n", (int)lines[i].len, lines[i].ptr);
                exit(1);
            }
            message_bytes += record.message.len;
        }
        took = now_s() - start;
        if (message_bytes && took < best)
            best = took;
    }
    return best;
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20000;
    char *text = malloc((size_t)count * LINE_MAX);
    hx_slice *lines = malloc(count * sizeof *lines);

    if (!count || !text || !lines) {
        fprintf(stderr, "bench-wire: wants a number of lines that fits into memory\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes = make_lines(cases[i].make, text, lines, count);
        hx_format *format;
        double took;

        if (hx_format_create(cases[i].preset, &format, NULL))
            return 1;
        took = best_pass(format, lines, count);
        printf("%-8s %6.1f ns/line  %6.1f MB/s  %4zu bytes/line\n", cases[i].preset,
               took * 1e9 / count, (double)bytes / took / 1e6, bytes / count);
        hx_format_destroy(format);
    }
    free(text);
    free(lines);
    return 0;
}
