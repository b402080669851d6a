#include "storms.h"

#include "../storm/small.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <time.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum { PATIENCE_S = 30, ROOM = 8 << 20 };

static const char *const loopback[] = {"127.0.0.1"};

/* --- storms ------------------------------------------------------------------------------------
 */

hx_sender_config storm_config(const uint16_t *ports, uint32_t port_count)
{
    return (hx_sender_config){
        .composer = {.seed = 7, .start_ns = INT64_C(1756548930000000000)},
        .targets = loopback,
        .target_count = 1,
        .ports = ports,
        .port_count = port_count,
        .eps_milli = 1000000,
        .workers = 1,
    };
}

static void *run(void *arg)
{
    storm_test *t = arg;

    t->rc = hx_sender_run(t->sender, &t->err);
    return NULL;
}

static hx_profile *profile_make(void)
{
    hx_profile *profile;
    hx_error err = {""};

    if (hx_profile_create(SMALL_PROFILE, sizeof SMALL_PROFILE - 1, &profile, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return profile;
}

void storm_start(storm_test *t, hx_sender_config config)
{
    memset(t, 0, sizeof *t);
    t->profile = profile_make();
    config.composer.profile = t->profile;
    if (hx_sender_create(&config, &t->sender, &t->err)) {
        fprintf(stderr, "%s\n", t->err.text);
        exit(1);
    }
    CHECK_INT(pthread_create(&t->thread, NULL, run, t), 0);
}

cJSON *storm_end(storm_test *t, int rc)
{
    hx_text out = {0};
    cJSON *totals;

    pthread_join(t->thread, NULL);
    if (t->rc)
        fprintf(stderr, "%s\n", t->err.text);
    CHECK_INT(t->rc, rc);
    hx_sender_summary(t->sender, &out);
    CHECK(!out.failed);
    totals = cJSON_ParseWithLength(out.ptr, out.len);
    CHECK(cJSON_IsObject(totals));
    hx_text_free(&out);
    hx_sender_destroy(t->sender);
    hx_profile_destroy(t->profile);
    return totals;
}

const char *storm_refused(hx_sender_config config)
{
    static hx_error err;
    hx_sender *sender;

    err.text[0] = 0;
    config.composer.profile = profile_make();
    CHECK_INT(hx_sender_create(&config, &sender, &err), HX_EINVAL);
    hx_profile_destroy((hx_profile *)(uintptr_t)config.composer.profile);
    return err.text;
}

void storm_fails(hx_sender_config config)
{
    hx_profile *profile = profile_make();
    hx_error err = {""};
    hx_sender *sender;

    config.composer.profile = profile;
    CHECK(hx_sender_create(&config, &sender, &err) < 0);
    CHECK(err.text[0]);
    hx_profile_destroy(profile);
}

uint64_t storm_total(const storm_test *t, enum sender_stat what)
{
    return hx_stats_total(t->sender->stats, what);
}

void storm_await(const storm_test *t, uint64_t events)
{
    const struct timespec nap = {0, 1000000};
    int64_t until_ns = sender_now_ns() + PATIENCE_S * NS_PER_S;

    while (storm_total(t, SENDER_EVENTS) < events && sender_now_ns() < until_ns)
        nanosleep(&nap, NULL);
    CHECK(storm_total(t, SENDER_EVENTS) >= events);
}

double number_of(const cJSON *totals, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(totals, name);

    if (!cJSON_IsNumber(item)) {
        fprintf(stderr, "no number %s\n", name);
        exit(1);
    }
    return item->valuedouble;
}

bool is_true(const cJSON *totals, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(totals, name));
}

/* --- receivers ---------------------------------------------------------------------------------
 */

static int port_open(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = ROOM;

    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    *port = ntohs(address.sin_port);
    return fd;
}

uint16_t port_of_nobody(void)
{
    return check_free_port();
}

static bool drain_take(drain *d, int fd)
{
    char text[2048];
    ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);

    if (n < 0)
        return false;
    hx_text_bytes(&d->lines, text, (size_t)n);
    hx_text_str(&d->lines, "\n");
    d->bytes += (uint64_t)n;
    atomic_fetch_add(&d->received, 1);
    return true;
}

static void *drain_run(void *arg)
{
    drain *d = arg;
    struct pollfd polls[DRAIN_PORTS];
    bool ending;

    do {
        ending = atomic_load(&d->ending);
        for (uint32_t i = 0; i < d->port_count; i++)
            polls[i] = (struct pollfd){d->fds[i], POLLIN, 0};
        poll(polls, d->port_count, ending ? 0 : 10);
        for (uint32_t i = 0; i < d->port_count; i++)
            while (drain_take(d, d->fds[i]))
                ;
    } while (!ending);
    return NULL;
}

void drain_start(drain *d, uint32_t port_count)
{
    memset(d, 0, sizeof *d);
    d->port_count = port_count;
    for (uint32_t i = 0; i < port_count; i++)
        d->fds[i] = port_open(&d->ports[i]);
    CHECK_INT(pthread_create(&d->thread, NULL, drain_run, d), 0);
}

uint64_t drain_end(drain *d)
{
    uint64_t dropped = 0;

    atomic_store(&d->ending, true);
    pthread_join(d->thread, NULL);
    for (uint32_t i = 0; i < d->port_count; i++) {
        uint32_t info[SK_MEMINFO_VARS];
        socklen_t len = sizeof info;

        CHECK_INT(getsockopt(d->fds[i], SOL_SOCKET, SO_MEMINFO, info, &len), 0);
        dropped += info[SK_MEMINFO_DROPS];
        close(d->fds[i]);
    }
    return dropped;
}

void drain_free(drain *d)
{
    hx_text_free(&d->lines);
}
