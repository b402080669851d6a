/* Nanoseconds for one message: cut into tokens, and matched; and messages learned in a second.
 * Messages are made up: syslog as servers write it, with values and user names that keep changing.
 */
#include <haechi/template.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MESSAGES 100000
#define ROUNDS   20

static const char *const forms[] = {
    "Started Session %1$u of user %2$s.",
    "Starting Cleanup of Temporary Directories for tenant %2$s, pass %1$u, triggered by the daily "
    "timer unit...",
    "Accepted publickey for %2$s from 10.2.%1$u.4 port 50022 ssh2: RSA "
    "SHA256:%3$s",
    "Failed password for invalid user %2$s from 192.168.7.%1$u port 4%1$u ssh2",
    "CPU3: Core temperature above threshold, cpu clock throttled (total events = %u)",
    "pam_unix(sshd:session): session opened for user %2$s(uid=%1$u) by (uid=0)",
    "Out of memory: Killed process %u (java) total-vm:8123456kB, anon-rss:4123456kB, file-rss:0kB, "
    "shmem-rss:0kB",
    "(%2$s) CMD (/usr/lib/sa/sa1 %1$u 1 >/dev/null 2>&1)",
    "e1000e %04x:00:1f.6 eth0: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: Rx/Tx",
    "<info>  [1693390530.%04u] dhcp4 (eth0): state changed bound -> extended, address=10.20.30.40, "
    "lease 86400 s",
    "[origin software=\"rsyslogd\" swVersion=\"8.2102.0\" x-pid=\"%u\" "
    "x-info=\"https://www.rsyslog.com\"] rsyslogd was HUPed",
};

static const char *const users[] = {"alice",  "bob",   "carol",    "dave",   "erin",    "frank",
                                    "grace",  "heidi", "ivan",     "judy",   "mallory", "niaj",
                                    "olivia", "peggy", "rupert",   "sybil",  "trent",   "ursula",
                                    "victor", "wendy", "postgres", "backup", "deploy",  "jenkins"};

/* Processor time of this thread: other work on the machine does not count. */
static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef uint64_t (*work)(const hx_matcher *, hx_match_scratch *, hx_slice);

static uint64_t match(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message)
{
    return hx_matcher_match(matcher, scratch, message);
}

static uint64_t shape(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message)
{
    (void)matcher;
    return hx_template_shape(scratch, message);
}

/* The best of the rounds, in nanoseconds a message. */
static double measure(work run, const hx_matcher *matcher, hx_match_scratch *scratch,
                      const hx_slice *messages, uint64_t *sum)
{
    double best = 1e9;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        double start = seconds(), took;

        for (uint32_t i = 0; i < MESSAGES; i++)
            *sum += run(matcher, scratch, messages[i]);
        took = (seconds() - start) * 1e9 / MESSAGES;
        best = took < best ? took : best;
    }
    return best;
}

/* What no two messages have in common: a key, a container's name. */
static void make_id(uint64_t random, char id[25])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (uint32_t i = 0; i < 24; i++, random = random * 6364136223846793005u + 1)
        id[i] = letters[random >> 58];
    id[24] = '\0';
}

int main(void)
{
    char *text = malloc((size_t)MESSAGES * 160);
    hx_slice *messages = malloc(MESSAGES * sizeof *messages);
    uint64_t bytes = 0, sum = 0, random = 1;
    hx_miner *miner;
    hx_matcher *matcher;
    hx_match_scratch *scratch;
    hx_error err;
    char *json;
    size_t json_len;

    if (!text || !messages)
        return 1;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        char *at = text + bytes, id[25];

        random = random * 6364136223846793005u + 1442695040888963407u;
        make_id(random, id);
        int len = snprintf(at, 160, forms[(random >> 33) % (sizeof forms / sizeof *forms)],
                           (unsigned)(random >> 40) % 10000, users[(random >> 50) % 24], id);
        messages[i] = hx_slice_make(at, len < 160 ? (size_t)len : 159);
        bytes += messages[i].len;
    }

    double start = seconds();
    if (hx_miner_create(NULL, &miner, &err))
        return 1;
    for (uint32_t i = 0; i < MESSAGES; i++)
        if (hx_miner_learn(miner, messages[i]))
            return 1;
    double learned = seconds();
    if (hx_miner_finish(miner, &json, &json_len, &err) ||
        hx_matcher_create(json, json_len, &matcher, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    double finished = seconds();
    printf("learn: %.1f M messages/s, finish: %.1f ms, templates: %u, bytes a message: %.0f\n",
           MESSAGES / (learned - start) / 1e6, (finished - learned) * 1e3,
           hx_matcher_count(matcher), (double)bytes / MESSAGES);
    if (hx_match_scratch_create(matcher, &scratch))
        return 1;
    double match_ns = measure(match, matcher, scratch, messages, &sum);
    double shape_ns = measure(shape, matcher, scratch, messages, &sum);

    printf("match: %.1f ns a message, shape: %.1f ns (checksum %016" PRIx64 ")\n", match_ns,
           shape_ns, sum);
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
    hx_miner_destroy(miner);
    free(json);
    free(messages);
    free(text);
    return 0;
}
