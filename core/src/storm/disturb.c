/* Disturbances: what is wrong with a host and not with a session. A burst is many messages of one
 * kind, each from a process id of its own; a silence is a host that says nothing for a while.
 *
 * A silent host's sessions leave their slots, in which others begin, so that composing need not ask
 * of any event whether its host may speak. Once the silence is over each comes back to its slot
 * when the one that is there ends. Until the last of them has ended no session starts on the host,
 * so that none has the name of one that is away. */
#include "storm/composer.h"

#include <stdlib.h>

enum {
    SILENCES_MAX = 64,
    SILENCE_MS_MIN = 2000,
    SILENCE_MS_MAX = 20000,
    SILENCE_TRIES = 4,
    /* Events of the lane from one of the burst to the next: 16 on average. */
    BURST_GAP_MIN = 12,
    BURST_GAP_MAX = 20,
    /* Until the next try, where a disturbance was due and none could begin: looking at every slot
     * of the lane is to cost next to nothing. */
    RETRY_EVENTS_PER_SLOT = 8,
};
static const int64_t NS_PER_MS = 1000000;
static const uint64_t EVERY_MAX = UINT64_C(1) << 46; /* so that no sequence number overflows */

typedef struct burst {
    const storm_rule *rule; /* NULL: there is none */
    uint32_t left, host;
    uint64_t at;   /* the event that is its next, while the lane has its turn */
    uint64_t wait; /* how many of the lane's events are before it, while it has not */
    uint32_t pid;  /* the next one's, from the first of those that are kept for bursts */
    storm_open open;
    storm_slot slot;
} burst;

typedef struct silence {
    storm_lane *lane; /* NULL: there is none */
    uint32_t host;
    uint32_t away; /* sessions of the host's before the silence that have not ended */
    bool over;
    int64_t until_ns;
    storm_open open;
} silence;

/* A session without a slot. Numbers are from 1. */
typedef struct away {
    storm_slot slot;
    storm_open open;
    uint32_t next; /* of the same slot, or free like this one */
} away;

struct storm_disturbances {
    uint64_t random;
    uint64_t due, every;
    uint32_t lane; /* whose turn it is */
    uint32_t next; /* of kinds */
    bool (*kinds[2])(hx_composer *c);
    uint32_t kind_count;
    burst *bursts; /* one a lane */
    silence silences[SILENCES_MAX];
    away *aways;
    uint32_t away_free, away_count, away_room;
};

static uint32_t draw_below(storm_disturbances *d, uint32_t n)
{
    return hx_random_below(hx_random_next(&d->random), n);
}

static void gap_draw(hx_composer *c)
{
    storm_disturbances *d = c->disturbances;
    unsigned __int128 draw = hx_random_next(&d->random);

    d->due = c->sequence + (1 + (uint64_t)(draw * (2 * d->every) >> 64)) * c->sequence_step;
}

static void alarm_set(hx_composer *c)
{
    const storm_disturbances *d = c->disturbances;
    const burst *b = &d->bursts[d->lane];

    c->alarm = b->rule && b->at < d->due ? b->at : d->due;
}

/* --- bursts ------------------------------------------------------------------------------------
 */

static bool burst_begin(hx_composer *c)
{
    storm_disturbances *d = c->disturbances;
    const hx_profile *p = c->config.profile;
    burst *b = &d->bursts[d->lane];
    uint32_t host = c->lane->slots[draw_below(d, c->live.slot_count)].host;

    if (b->rule || c->live.absent[host])
        return false;
    b->rule = &p->bursts[draw_below(d, p->burst_count)];
    b->left = b->rule->times_min + draw_below(d, b->rule->times_max - b->rule->times_min + 1);
    b->host = host;
    b->at = c->sequence;
    b->open = (storm_open){.first_event = c->sequence, .first_time_ns = c->time_ns};
    return true;
}

static void burst_report(hx_composer *c, burst *b, bool complete)
{
    hx_storm_episode_of_host(c, "message_burst", b->rule->technique, b->host, &b->open, complete);
    b->rule = NULL;
}

static const storm_slot *burst_event(hx_composer *c, burst *b)
{
    storm_disturbances *d = c->disturbances;
    uint32_t pids = c->config.profile->pid_count - c->live.pid_count;

    hx_slots_head(&c->live, &b->slot, b->rule->process, b->host, c->live.pid_count + b->pid);
    b->pid = b->pid + 1 == pids ? 0 : b->pid + 1;
    b->slot.text = b->rule->text;
    b->slot.seed = (uint32_t)hx_random_next(&d->random);
    b->open.events++;
    b->open.last_event = c->sequence;
    b->open.last_time_ns = c->time_ns;
    b->at = c->sequence +
            (BURST_GAP_MIN + draw_below(d, BURST_GAP_MAX - BURST_GAP_MIN + 1)) * c->sequence_step;
    if (--b->left == 0)
        burst_report(c, b, true);
    return &b->slot;
}

/* --- silences ----------------------------------------------------------------------------------
 */

/* Whether every session of the host can leave: there is room, and another host for a session of a
 * process without pid. */
static bool may_fall_silent(const hx_composer *c, uint32_t host)
{
    const storm_disturbances *d = c->disturbances;
    const burst *b = &d->bursts[d->lane];
    uint32_t sessions = 0;

    if (c->live.absent[host] || (b->rule && b->host == host))
        return false;
    for (uint32_t i = c->live.slot_count; i-- > 0;) { /* those without pid are the last ones */
        if (c->lane->slots[i].host != host)
            continue;
        sessions++;
        if (i >= c->live.without_pid_at && !hx_slots_host_idles(&c->live, c->lane))
            return false;
    }
    return sessions <= d->away_room - d->away_count;
}

static void session_leave(hx_composer *c, uint32_t i)
{
    storm_disturbances *d = c->disturbances;
    storm_open *open = &c->open[c->lane_first + i];
    uint32_t number = d->away_free;
    away *a = &d->aways[number];

    d->away_free = a->next;
    d->away_count++;
    a->slot = c->lane->slots[i];
    a->open = *open;
    a->next = open->away;
    *open = (storm_open){.away = number};
    c->marks[c->lane_first + i] = 1;
    hx_slots_restart(&c->live, c->lane, i);
}

static bool silence_begin(hx_composer *c)
{
    storm_disturbances *d = c->disturbances;
    uint32_t host = 0, tries = 0, s = 0;

    while (s < SILENCES_MAX && d->silences[s].lane)
        s++;
    if (s == SILENCES_MAX || c->lane->absent + 1 > c->lane->host_count / 2)
        return false;
    do
        host = c->lane->slots[draw_below(d, c->live.slot_count)].host;
    while (!may_fall_silent(c, host) && ++tries < SILENCE_TRIES);
    if (tries == SILENCE_TRIES)
        return false;
    silence *q = &d->silences[s];
    *q = (silence){.lane = c->lane, .host = host};
    q->open.first_event = c->sequence;
    q->open.first_time_ns = c->time_ns;
    q->until_ns = c->time_ns +
                  (SILENCE_MS_MIN + draw_below(d, SILENCE_MS_MAX - SILENCE_MS_MIN + 1)) * NS_PER_MS;
    c->wake_ns = q->until_ns < c->wake_ns ? q->until_ns : c->wake_ns;
    c->live.absent[host] = (uint8_t)(s + 1);
    c->lane->absent++;
    for (uint32_t i = 0; i < c->live.slot_count; i++) {
        if (c->lane->slots[i].host == host) {
            session_leave(c, i);
            q->away++;
        }
    }
    return true;
}

static void silence_report(hx_composer *c, silence *q, uint64_t sequence, int64_t time_ns,
                           bool complete)
{
    q->open.last_event = sequence;
    q->open.last_time_ns = time_ns;
    q->over = true;
    hx_storm_episode_of_host(c, "host_silence", NULL, q->host, &q->open, complete);
}

int64_t hx_storm_silences_end(hx_composer *c)
{
    int64_t next_ns = INT64_MAX;

    for (silence *q = c->disturbances->silences; q < c->disturbances->silences + SILENCES_MAX;
         q++) {
        if (!q->lane || q->over)
            continue;
        /* This event's session is in its slot already, so it is not the host's either. */
        if (c->time_ns >= q->until_ns)
            silence_report(c, q, c->sequence, c->time_ns, true);
        else if (q->until_ns < next_ns)
            next_ns = q->until_ns;
    }
    return next_ns;
}

/* A session that had been away has ended. */
static void silence_release(hx_composer *c, silence *q)
{
    if (--q->away > 0)
        return;
    c->live.absent[q->host] = 0;
    q->lane->absent--;
    q->lane = NULL;
}

static silence *silence_of(hx_composer *c, uint32_t host)
{
    return &c->disturbances->silences[c->live.absent[host] - 1];
}

static void session_return(hx_composer *c, uint32_t i, uint32_t *link)
{
    storm_disturbances *d = c->disturbances;
    storm_slot *slot = &c->lane->slots[i];
    uint32_t number = *link, first;
    away *a = &d->aways[number];

    *link = a->next;
    first = c->open[c->lane_first + i].away;
    if (i >= c->live.without_pid_at)
        hx_slots_host_return(c->lane, slot->host);
    *slot = a->slot;
    c->open[c->lane_first + i] = a->open;
    c->open[c->lane_first + i].away = first;
    c->open[c->lane_first + i].resumed = true;
    a->next = d->away_free;
    d->away_free = number;
    d->away_count--;
}

void hx_storm_slot_refill(hx_composer *c, uint32_t i)
{
    storm_open *open = &c->open[c->lane_first + i];

    if (open->resumed) {
        open->resumed = false;
        silence_release(c, silence_of(c, c->lane->slots[i].host));
    }
    for (uint32_t *link = &open->away; *link; link = &c->disturbances->aways[*link].next) {
        if (!silence_of(c, c->disturbances->aways[*link].slot.host)->over)
            continue;
        session_return(c, i, link);
        return;
    }
    c->marks[c->lane_first + i] = open->away != 0;
    hx_slots_start(&c->live, c->lane, i);
}

/* --- when --------------------------------------------------------------------------------------
 */

static void begin_due(hx_composer *c)
{
    storm_disturbances *d = c->disturbances;

    for (uint32_t k = 0; k < d->kind_count; k++) {
        uint32_t kind = (d->next + k) % d->kind_count;
        if (d->kinds[kind](c)) {
            d->next = kind + 1;
            gap_draw(c);
            return;
        }
    }
    d->due = c->sequence + (uint64_t)RETRY_EVENTS_PER_SLOT * c->live.slot_count * c->sequence_step;
}

const storm_slot *hx_storm_disturb(hx_composer *c)
{
    storm_disturbances *d = c->disturbances;
    burst *b = &d->bursts[d->lane];
    const storm_slot *slot = NULL;

    if (c->sequence >= d->due)
        begin_due(c);
    if (b->rule && c->sequence >= b->at)
        slot = burst_event(c, b);
    alarm_set(c);
    return slot;
}

void hx_storm_disturb_turn(hx_composer *c, uint32_t lane)
{
    storm_disturbances *d = c->disturbances;
    burst *before = &d->bursts[d->lane], *now = &d->bursts[lane];

    before->wait = before->at > c->sequence ? (before->at - c->sequence) / c->sequence_step : 0;
    now->at = c->sequence + now->wait * c->sequence_step;
    d->lane = lane;
    alarm_set(c);
}

/* --- making ------------------------------------------------------------------------------------
 */

int hx_storm_disturbances_create(hx_composer *c, uint64_t seed)
{
    uint32_t kinds = c->config.kinds, sessions = hx_composer_sessions(c);
    uint64_t every = c->config.disturbance_events;
    storm_disturbances *d;

    if (every == 0 || !(kinds & (HX_ANOMALY_MESSAGE_BURST | HX_ANOMALY_HOST_SILENCE)))
        return 0;
    d = calloc(1, sizeof *d);
    if (!d)
        return HX_ENOMEM;
    c->disturbances = d;
    d->random = seed;
    d->every = every < EVERY_MAX ? every : EVERY_MAX;
    if (kinds & HX_ANOMALY_MESSAGE_BURST && c->config.profile->burst_count)
        d->kinds[d->kind_count++] = burst_begin;
    if (kinds & HX_ANOMALY_HOST_SILENCE) {
        d->kinds[d->kind_count++] = silence_begin;
        d->away_room = sessions / 2 + 1;
    }
    d->bursts = calloc(c->live.lane_count, sizeof *d->bursts);
    d->aways = calloc((size_t)d->away_room + 2, sizeof *d->aways);
    if (!d->bursts || !d->aways)
        return HX_ENOMEM;
    for (uint32_t i = 1; i <= d->away_room; i++)
        d->aways[i].next = i + 1;
    d->away_free = 1;
    gap_draw(c);
    alarm_set(c);
    return 0;
}

void hx_storm_disturbances_destroy(hx_composer *c)
{
    if (!c->disturbances)
        return;
    free(c->disturbances->bursts);
    free(c->disturbances->aways);
    free(c->disturbances);
}

void hx_storm_disturbances_finish(hx_composer *c)
{
    storm_disturbances *d = c->disturbances;

    for (uint32_t i = 0; i < hx_composer_sessions(c); i++)
        for (uint32_t number = c->open[i].away; number; number = d->aways[number].next)
            if (d->aways[number].open.events)
                hx_storm_episode_of_session(c, &d->aways[number].slot, &d->aways[number].open,
                                            false);
    for (uint32_t i = 0; i < c->live.lane_count; i++)
        if (d->bursts[i].rule)
            burst_report(c, &d->bursts[i], false);
    for (uint32_t i = 0; i < SILENCES_MAX; i++)
        if (d->silences[i].lane && !d->silences[i].over)
            silence_report(c, &d->silences[i], c->sequence - c->sequence_step, c->last_time_ns,
                           false);
}
