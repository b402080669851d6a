/* A worker: composes what is due, puts it where lines of its kind wait, sends what has waited long
 * enough, and takes its streams in turn. */
#include "send/room.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    TURN_EVENTS_MIN = 64,    /* a turn of fewer would be all turning */
    TURN_EVENTS_MAX = 16384, /* more fills batches no better, and their lines leave the cache */
    UNPACED_TURN = TURN_EVENTS_MAX, /* a tenth faster than half as many */
    SLEEP_NS = 250000,  /* between two looks while events are due all the time: a third of a turn */
    IDLE_NS = 20000000, /* at most, when nothing is due: orders are to be seen */
    GRACE_NS = 20000000,   /* for what was due in time */
    PROBE_EVERY = 1024,    /* events: under 0.1 % */
    TRUTH_BYTES = 1 << 15, /* written when it has grown to this, and at the end */
    LOG_BYTES = 1 << 18,
};

/* An unpaced turn's lines have one time, as nearly as the composer allows. */
static const uint64_t AT_ONCE = UINT64_C(1000000000000);

/* --- making ------------------------------------------------------------------------------------
 */

static void truth_write(sender_worker *w)
{
    struct hx_sender *s = w->sender;
    size_t done = 0;
    hx_error err;

    if (!w->truth.len)
        return;
    pthread_mutex_lock(&s->truth_lock);
    while (s->truth_fd >= 0 && done < w->truth.len) {
        ssize_t n = write(s->truth_fd, w->truth.ptr + done, w->truth.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    pthread_mutex_unlock(&s->truth_lock);
    if (s->truth_fd >= 0 && done < w->truth.len) {
        hx_error_set(&err, HX_EIO, "%s: writing failed: %s", s->config.truth, strerror(errno));
        sender_fail(s, HX_EIO, &err);
    }
    w->truth.len = 0;
}

static void on_episode(void *context, const hx_episode *episode)
{
    sender_worker *w = context;

    /* Where a turn has more of them than there is room for, the disk is waited for. */
    if (w->truth.capacity - w->truth.len < HX_EPISODE_JSON_MAX)
        truth_write(w);
    w->truth.len += hx_episode_format(episode, w->truth.ptr + w->truth.len);
    atomic_fetch_add_explicit(hx_stats_value(w->sender->stats, HX_STATS_TOOL, SENDER_EPISODES), 1,
                              memory_order_relaxed);
}

static uint64_t share(uint64_t whole, const sender_worker *w)
{
    return whole / w->sender->worker_count + (w->index < whole % w->sender->worker_count);
}

static void choose_turn(sender_worker *w)
{
    const hx_sender_config *c = &w->sender->config;
    uint64_t burst_us = w->burst_us;
    uint64_t eps_milli = share(atomic_load(&w->sender->eps_milli), w);
    uint64_t events = c->eps_milli ? eps_milli * burst_us / 1000000000 : UNPACED_TURN;
    uint32_t most = hx_composer_sessions(w->composer) / w->stream_count;

    if (events < TURN_EVENTS_MIN)
        events = TURN_EVENTS_MIN;
    if (events > TURN_EVENTS_MAX)
        events = TURN_EVENTS_MAX;
    w->turn_events = events < most ? (uint32_t)events : most;
}

/* By themselves, enough sessions that one speaks about every two seconds; where that is more than
 * anyone needs, as many as a turn has events. */
static uint32_t sessions_wanted(const sender_worker *w)
{
    const hx_sender_config *c = &w->sender->config;
    uint64_t two_seconds = c->eps_milli * 2 / 1000;
    uint64_t burst_us = w->burst_us;
    uint64_t turn = c->eps_milli
                        ? c->eps_milli / w->sender->worker_count * burst_us / 1000000000 + 1
                        : UNPACED_TURN;
    uint64_t streams = w->sender->stream_count;

    if (c->composer.sessions)
        return c->composer.sessions;
    if (turn > TURN_EVENTS_MAX)
        turn = TURN_EVENTS_MAX;
    /* A quarter more than a turn has events: with as many, sessions that began together would keep
     * step for ever. */
    uint64_t most = turn * streams * 5 / 4;
    if (most < HX_SESSIONS_DEFAULT_MAX)
        most = HX_SESSIONS_DEFAULT_MAX;
    uint64_t sessions = c->eps_milli && two_seconds < most ? two_seconds : most;
    return (uint32_t)(sessions < 8 * streams ? 8 * streams : sessions);
}

static int make_composer(sender_worker *w, hx_error *err)
{
    hx_composer_config composer = w->sender->config.composer;

    composer.worker = w->index;
    composer.workers = w->sender->worker_count;
    composer.lanes = w->stream_count;
    composer.sessions = sessions_wanted(w);
    composer.eps_milli = w->sender->config.eps_milli ? w->sender->config.eps_milli : AT_ONCE;
    composer.on_episode = on_episode;
    composer.context = w;
    return hx_composer_create(&composer, &w->composer, err);
}

int worker_create(struct hx_sender *s, uint32_t index, hx_error *err)
{
    const hx_sender_config *c = &s->config;
    sender_worker *w = &s->workers[index];
    bool udp = !c->output && c->transport == HX_UDP;
    int rc;

    w->sender = s;
    w->index = index;
    w->burst_us = atomic_load(&s->burst_us);
    w->gso = !c->plain;
    w->segments_max = HX_BIN_LINES_MAX;
    w->until_probe = PROBE_EVERY / 2;
    w->streams = calloc(s->stream_count / s->worker_count + 1, sizeof(stream *));
    if (!w->streams)
        return hx_error_set(err, HX_ENOMEM, "worker: out of memory");
    for (uint32_t i = index; i < s->stream_count; i += s->worker_count)
        w->streams[w->stream_count++] = &s->streams[i];
    rc = make_composer(w, err);
    if (rc)
        return rc;
    choose_turn(w);
    rc = udp ? hx_bins_init(&w->bins, HX_BIN_LINES_MAX) : 0;
    if (!udp) {
        size_t room = (size_t)TURN_EVENTS_MAX * 64 + LOG_BYTES + 2 * HX_LINE_ROOM;
        w->line_ends = calloc(TURN_EVENTS_MAX + 1, sizeof *w->line_ends);
        w->out = (hx_text){.ptr = malloc(room), .capacity = room};
        rc = w->line_ends && w->out.ptr ? 0 : HX_ENOMEM;
    }
    w->truth.ptr = malloc(2 * TRUTH_BYTES);
    w->truth.capacity = 2 * TRUTH_BYTES;
    if (rc || !w->truth.ptr)
        return hx_error_set(err, HX_ENOMEM, "worker: out of memory");
    return 0;
}

void worker_destroy(sender_worker *w)
{
    hx_composer_destroy(w->composer);
    hx_bins_free(&w->bins);
    hx_text_free(&w->out);
    hx_text_free(&w->truth);
    free(w->line_ends);
    free(w->streams);
}

/* --- time --------------------------------------------------------------------------------------
 */

static int64_t now_on_timeline(const sender_worker *w)
{
    return sender_now_ns() - w->sender->zero_ns + w->sender->config.composer.start_ns;
}

static void sleep_until(const sender_worker *w, int64_t time_ns)
{
    int64_t at_ns = time_ns - w->sender->config.composer.start_ns + w->sender->zero_ns;
    struct timespec t = {at_ns / NS_PER_S, at_ns % NS_PER_S};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* The rate was changed: from the next event on, which is not before now. */
static void take_rate(sender_worker *w, int64_t now_ns)
{
    uint64_t eps_milli = share(atomic_load(&w->sender->eps_milli), w);
    int64_t next_ns = hx_composer_time(w->composer);

    if (!w->sender->config.eps_milli)
        return; /* unpaced: there is none */
    if (!eps_milli)
        eps_milli = 1;
    /* A slow rate's next event may be far away: the new rate's is not. */
    int64_t gap_ns = (int64_t)(UINT64_C(1000000000000) / eps_milli);
    if (!w->sender->config.unhurried && next_ns > now_ns + gap_ns)
        next_ns = now_ns + gap_ns;
    if (next_ns < w->last_time_ns)
        next_ns = w->last_time_ns;
    w->line.ramp_events = 0;
    hx_composer_pace(w->composer, next_ns, eps_milli);
    choose_turn(w);
}

/* --- composing and sending ---------------------------------------------------------------------
 */

static bool is_udp(const sender_worker *w)
{
    return w->bins.memory != NULL;
}

static stream *turn_stream(const sender_worker *w)
{
    return w->streams[w->turn];
}

static void flush(sender_worker *w)
{
    if (is_udp(w))
        datagrams_flush(w, turn_stream(w));
    else
        lines_flush(w, turn_stream(w));
}

/* Within a turn, which at a low rate lasts long. */
static void flush_early(sender_worker *w)
{
    flush(w);
    if (w->sender->config.account)
        account_turn(w);
}

static void probe_udp(sender_worker *w, uint32_t length, int64_t time_ns)
{
    const struct hx_sender *s = w->sender;

    if (w->sender->config.account)
        w->bins.bin[length].probe_ns = time_ns - s->config.composer.start_ns + s->zero_real_ns;
    w->until_probe = PROBE_EVERY;
}

static void compose_udp(sender_worker *w, uint32_t events)
{
    hx_composed composed;

    for (uint32_t i = 0; i < events; i++) {
        uint32_t length = hx_composer_next(w->composer, w->line_room, &composed);

        w->pending_since_ns = w->pending++ ? w->pending_since_ns : composed.time_ns;
        bool full = hx_bins_put(&w->bins, w->line_room, length, composed.time_ns);
        if (--w->until_probe == 0)
            probe_udp(w, length, composed.time_ns);
        if (full)
            datagrams_send_bin(w, turn_stream(w), length);
    }
    w->last_time_ns = composed.time_ns;
}

static void compose_lines(sender_worker *w, uint32_t events)
{
    hx_composed composed;

    for (uint32_t i = 0; i < events; i++) {
        uint32_t length = hx_composer_next(w->composer, w->line_room, &composed);

        w->pending_since_ns = w->pending ? w->pending_since_ns : composed.time_ns;
        lines_put(w, w->line_room, length);
        w->pending++;
        if (w->sender->config.account && --w->until_probe == 0) {
            w->until_probe = PROBE_EVERY;
            lines_flush(w, turn_stream(w));
            account_probe(w, turn_stream(w), composed.time_ns);
        }
        if (w->out.len > LOG_BYTES || w->pending == TURN_EVENTS_MAX)
            lines_flush(w, turn_stream(w));
    }
    w->last_time_ns = composed.time_ns;
}

static void compose(sender_worker *w, uint32_t events)
{
    if (is_udp(w))
        compose_udp(w, events);
    else
        compose_lines(w, events);
    w->turn_left -= events;
    w->count_left -= events;
}

/* A stream's turn is over: everything of it leaves, so that no session is in two batches. */
static void turn_over(sender_worker *w)
{
    if (!w->sender->config.output) /* a file keeps the order whenever it is written */
        flush(w);
    if (w->truth.len > TRUTH_BYTES)
        truth_write(w);
    if (w->sender->config.account)
        account_turn(w);
    w->turn = (w->turn + 1) % w->stream_count;
    w->turn_left = w->turn_events;
    hx_composer_turn(w->composer, w->turn);
}

/* --- the schedule ------------------------------------------------------------------------------
 */

/* How many events are due by now, of those that this turn may still have. */
static uint32_t due(sender_worker *w, int64_t now_ns, uint64_t eps_milli)
{
    int64_t next_ns = hx_composer_time(w->composer);
    uint64_t most = w->turn_left < w->count_left ? w->turn_left : w->count_left;

    if (next_ns > now_ns)
        return 0;
    unsigned __int128 n =
        (unsigned __int128)(uint64_t)(now_ns - next_ns) * eps_milli / 1000000000000 + 1;
    return n < most ? (uint32_t)n : (uint32_t)most;
}

typedef struct pace {
    uint64_t eps_milli; /* that the composer goes by now */
    uint32_t left;      /* events that it holds for; UINT32_MAX: until told otherwise */
} pace;

static void pace_begin(sender_worker *w, pace *p)
{
    const hx_sender_config *c = &w->sender->config;

    p->eps_milli = share(c->eps_milli, w);
    p->left = UINT32_MAX;
    if (c->start_now && p->eps_milli) {
        int64_t gap_ns = (int64_t)(UINT64_C(1000000000000) / c->eps_milli);
        hx_composer_pace(w->composer, c->composer.start_ns + gap_ns * w->index, p->eps_milli);
    }
    timeline_start(&w->line, c->composer.start_ns, p->eps_milli, c->ramp_up_ns);
}

/* Unpaced: a turn's lines are all of now. */
static void pace_freely(sender_worker *w, int64_t now_ns)
{
    if (now_ns > hx_composer_time(w->composer))
        hx_composer_pace(w->composer, now_ns, AT_ONCE);
}

static void pace_ramp(sender_worker *w, pace *p)
{
    timeline_run run = timeline_next(&w->line, w->turn_left);

    hx_composer_pace(w->composer, run.time_ns, run.eps_milli);
    p->eps_milli = run.eps_milli;
    p->left = run.events;
}

static uint32_t events_now(sender_worker *w, pace *p, int64_t now_ns)
{
    const hx_sender_config *c = &w->sender->config;
    uint32_t events;

    if (!c->eps_milli) {
        if (w->turn_left == w->turn_events)
            pace_freely(w, now_ns);
        return w->turn_left < w->count_left ? w->turn_left : (uint32_t)w->count_left;
    }
    if (c->unhurried)
        now_ns = INT64_MAX; /* all of it is due */
    if (timeline_is_ramping(&w->line) ? p->left == UINT32_MAX || p->left == 0 : p->left == 0)
        pace_ramp(w, p);
    if (c->duration_ns && now_ns >= c->composer.start_ns + c->duration_ns)
        now_ns = c->composer.start_ns + c->duration_ns - 1;
    events = due(w, now_ns, p->eps_milli);
    if (p->left != UINT32_MAX) {
        events = events < p->left ? events : p->left;
        p->left -= events;
    }
    return events;
}

/* --- the loop ----------------------------------------------------------------------------------
 */

static bool is_finished(const sender_worker *w, int64_t now_ns)
{
    const hx_sender_config *c = &w->sender->config;
    int64_t end_ns = c->duration_ns ? c->composer.start_ns + c->duration_ns : INT64_MAX;

    if (atomic_load_explicit(&w->sender->stopping, memory_order_relaxed) || !w->count_left)
        return true;
    if (!c->eps_milli)
        return now_ns >= end_ns;
    /* By the schedule, and where it is behind, by the clock. */
    return hx_composer_time(w->composer) >= end_ns ||
           (!c->unhurried && now_ns - GRACE_NS >= end_ns);
}

static void wait_while_paused(sender_worker *w)
{
    const struct timespec nap = {0, 5 * NS_PER_MS};
    struct hx_sender *s = w->sender;
    int64_t duration_ns = s->config.duration_ns;

    if (!atomic_load_explicit(&s->paused, memory_order_relaxed))
        return;
    flush(w);
    while (atomic_load(&s->paused) && !atomic_load(&s->stopping) &&
           (!duration_ns || sender_now_ns() - s->zero_ns < duration_ns)) {
        nanosleep(&nap, NULL);
        if (s->config.account)
            account_turn(w);
    }
    if (s->config.unhurried)
        return; /* a file's time goes by its lines alone */
    /* What would have been sent meanwhile is not made up for. */
    w->rate_epoch = 0;
    int64_t now_ns = now_on_timeline(w);
    if (now_ns > hx_composer_time(w->composer))
        hx_composer_pace(w->composer, now_ns, 1);
}

static void rest(sender_worker *w, int64_t now_ns)
{
    int64_t next_ns = hx_composer_time(w->composer), wake_ns = now_ns + SLEEP_NS;

    if (next_ns > wake_ns)
        wake_ns = next_ns < now_ns + IDLE_NS ? next_ns : now_ns + IDLE_NS;
    if (w->pending) {
        int64_t flush_ns = w->pending_since_ns + (int64_t)w->burst_us * NS_PER_US;
        if (flush_ns < wake_ns)
            wake_ns = flush_ns;
    }
    if (wake_ns > now_ns)
        sleep_until(w, wake_ns);
}

/* Turns are of another length from the next one on; this one ends as it was begun. */
static void take_burst(sender_worker *w)
{
    uint32_t burst_us = atomic_load_explicit(&w->sender->burst_us, memory_order_relaxed);

    if (burst_us == w->burst_us)
        return;
    w->burst_us = burst_us;
    choose_turn(w);
}

static void storm(sender_worker *w)
{
    const hx_sender_config *c = &w->sender->config;
    pace p = {0};

    pace_begin(w, &p);
    if (c->account)
        account_begin(w);
    w->rate_epoch = 1;
    w->turn_left = w->turn_events;
    if (!c->unhurried)
        sleep_until(w, c->composer.start_ns);
    for (;;) {
        wait_while_paused(w);
        int64_t now_ns = now_on_timeline(w);
        uint64_t epoch = atomic_load_explicit(&w->sender->rate_epoch, memory_order_acquire);

        if (epoch != w->rate_epoch) {
            w->rate_epoch = epoch;
            take_rate(w, now_ns);
            p.eps_milli = share(atomic_load(&w->sender->eps_milli), w);
            p.left = UINT32_MAX;
        }
        take_burst(w);
        if (is_finished(w, now_ns))
            break;
        uint32_t events = events_now(w, &p, now_ns);
        if (events)
            compose(w, events);
        if (w->turn_left == 0)
            turn_over(w);
        else if (w->pending &&
                 now_on_timeline(w) - w->pending_since_ns >= (int64_t)w->burst_us * NS_PER_US)
            flush_early(w);
        else if (c->eps_milli && !c->unhurried)
            rest(w, now_ns);
    }
}

void *worker_run(void *worker)
{
    sender_worker *w = worker;
    int processor = place_of(&w->sender->config, w->index, w->sender->worker_count);
    cpu_set_t set;

    /* The default of 50 us would be a third of what an event may wait. */
    prctl(PR_SET_TIMERSLACK, 1000UL);
    if (processor >= 0) {
        CPU_ZERO(&set);
        CPU_SET(processor, &set);
        (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    }
    storm(w);
    flush(w);
    w->ending = true;
    hx_composer_finish(w->composer);
    truth_write(w);
    int64_t now_ns = sender_now_ns(), before_ns = atomic_load(&w->sender->stopped_ns);
    int64_t end_ns = w->sender->zero_ns + w->sender->config.duration_ns;
    /* A storm that had all its time had it to the end, whenever its last event was due. */
    if (w->sender->config.duration_ns && w->count_left && !atomic_load(&w->sender->stopping) &&
        !w->sender->config.unhurried && now_ns < end_ns)
        now_ns = end_ns;
    while (now_ns > before_ns &&
           !atomic_compare_exchange_weak(&w->sender->stopped_ns, &before_ns, now_ns))
        ;
    if (w->sender->config.account)
        account_end(w);
    lines_finish(w);
    atomic_store(&w->done, true);
    return NULL;
}
