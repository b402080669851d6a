#include "detect/rates.h"

#include <math.h>
#include <stdlib.h>

#define BLOCK    32              /* lines whose places are looked up at once */
#define OPENINGS (BLOCK / 8)     /* of them, and the whole watches of the next are fetched */
#define FIRST_US (INT64_MIN / 4) /* before any event */
/* A line that lies further behind has a wrong clock and says nothing of the way it came. */
#define LATE_MOST_US 1000000

/* --- hosts -------------------------------------------------------------------------------------
 */

static inline rate_host *find_host(rates_state *s, uint32_t hash, hx_slice name)
{
    for (uint32_t at = hash & s->mask; s->index[at]; at = (at + 1) & s->mask) {
        rate_host *h = &s->hosts[s->index[at] - 1];

        if (h->hash == hash && h->name_len == name.len &&
            hx_interned_same(h->name, name.ptr, name.len))
            return h;
    }
    return NULL;
}

rate_host *hx_rates_add_host(rates_state *s, uint32_t hash)
{
    uint32_t at = hash & s->mask;

    if (s->count == s->max)
        return NULL;
    while (s->index[at])
        at = (at + 1) & s->mask;
    s->index[at] = ++s->count;
    return &s->hosts[s->count - 1];
}

/* Its first event is at hand. */
static void begin_watch(const rates_model *m, const rates_state *s, hx_rate_group group,
                        uint32_t season, int64_t interval, int64_t time_us, rate_watch *w)
{
    *w = (rate_watch){.last_us = time_us,
                      .last_total = s->total,
                      .quiet_us = HX_RATE_LONG_US,
                      .reported_us = HX_TIME_NONE,
                      .alarm_at = UINT32_MAX,
                      .season = season};
    for (uint32_t l = 0; l < HX_RATE_LEVELS; l++, interval /= HX_RATE_STEP)
        w->level[l] = (rate_history){.interval = interval, .total_began = s->total};
    hx_rates_hour_begins(m, s, group, w);
}

static rate_host *new_host(const rates_model *m, rates_state *s, uint32_t hash, hx_slice name,
                           int64_t time_us)
{
    rate_host *h = hx_rates_add_host(s, hash);

    if (!h)
        return NULL;
    *h = (rate_host){.hash = hash, .name_len = (uint8_t)name.len};
    memcpy(h->name, name.ptr, name.len);
    begin_watch(m, s, HX_RATE_HOSTS, hx_rates_season_of_host(&m->seasons, hash, name),
                s->open_interval, time_us, &h->watch);
    s->votes[s->count] = (rate_vote){0};
    hx_rates_arm(m, s, HX_RATE_HOSTS, &h->watch);
    return h;
}

/* --- what events change --------------------------------------------------------------------------
 */

static uint32_t place_of(const rates_state *s, hx_rate_group group, const rate_watch *w)
{
    if (group == HX_RATE_KEYS)
        return (uint32_t)(w - s->keys) + 1;
    return (uint32_t)((const rate_host *)(const void *)w - s->hosts) + 1; /* its first member */
}

/* Where an interval ends; of one that no time reaches, as far as there is time. */
static int64_t end_of(const rates_model *m, int64_t interval)
{
    int64_t end;

    if (!__builtin_mul_overflow(interval + 1, m->rule.interval_us, &end) && end != INT64_MIN)
        return end;
    return interval < 0 ? INT64_MIN + 1 : INT64_MAX;
}

void hx_rates_arm(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w)
{
    const uint32_t place = place_of(s, group, w);
    rate_hot *hot = group == HX_RATE_HOSTS ? &s->hot_hosts[place] : &s->hot_keys[place];

    if (w->alarm_at <= w->level[0].count)
        w->alarm_at = w->level[0].count + 1;
    *hot = (rate_hot){.last_us = w->last_us,
                      .last_total = w->last_total,
                      .ends_us =
                          w->standing == RATE_WATCHED ? end_of(m, w->level[0].interval) : INT64_MIN,
                      .left = w->alarm_at - w->level[0].count,
                      .quiet_us = w->quiet_us < UINT32_MAX ? (uint32_t)w->quiet_us : UINT32_MAX};
}

void hx_rates_settle(const rates_state *s, hx_rate_group group, rate_watch *w)
{
    const uint32_t place = place_of(s, group, w);
    const rate_hot *hot = group == HX_RATE_HOSTS ? &s->hot_hosts[place] : &s->hot_keys[place];

    if (w->standing == RATE_UNKNOWN)
        return;
    w->last_us = hot->last_us;
    w->last_total = hot->last_total;
    w->level[0].count = w->alarm_at - hot->left;
    if (group == HX_RATE_HOSTS) {
        w->vote_key = s->votes[place].key;
        w->vote = s->votes[place].votes;
    }
}

void hx_rates_settle_all(const rates_state *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        hx_rates_settle(s, HX_RATE_HOSTS, &s->hosts[i].watch);
    for (uint32_t key = 0; key < s->key_count; key++)
        hx_rates_settle(s, HX_RATE_KEYS, &s->keys[key]);
}

/* --- an event ----------------------------------------------------------------------------------
 */

/* The line at hand. */
typedef struct rate_line {
    const hx_seen *seen;
    const hx_seen_lines *lines;
    int64_t before_us; /* the latest of the lines before it, less how late lines come */
    hx_reporter *reporter;
} rate_line;

/* Its first: far from here, and hardly ever asked. */
static inline const hx_event *event_of(const rate_line *l)
{
    return &l->lines->events[l->seen->event];
}

static inline rate_watch *watch_at(const rates_state *s, hx_rate_group group, uint32_t place)
{
    return group == HX_RATE_HOSTS ? &s->hosts[place - 1].watch : &s->keys[place - 1];
}

static inline rate_hot *hot_at(const rates_state *s, hx_rate_group group, uint32_t place)
{
    return group == HX_RATE_HOSTS ? &s->hot_hosts[place] : &s->hot_keys[place];
}

/* An interval opens, it may have been silent, or it is not watched yet. */
static __attribute__((noinline)) void look_closer(const rates_model *m, rates_state *s,
                                                  hx_rate_group group, uint32_t place,
                                                  const rate_line *l)
{
    rate_watch *w;

    s->openings++;
    if (!place) {
        s->hot_hosts[0].last_us = s->hot_keys[0].last_us = l->before_us;
        return;
    }
    w = watch_at(s, group, place);
    hx_rates_settle(s, group, w);
    if (w->standing == RATE_UNKNOWN)
        begin_watch(m, s, group, hx_rates_season_of_key(&m->seasons, place - 1), s->open_interval,
                    l->seen->time_us, w);
    if (group == HX_RATE_HOSTS && s->open_interval > w->level[0].interval)
        s->votes[place].votes = 0;
    if (l->before_us - w->last_us > w->quiet_us || w->standing != RATE_WATCHED) {
        hx_rates_look_back(m, s, group, w, l->before_us, l->reporter);
        hx_rates_expect_quiet(s, w->last_us + w->quiet_us);
    }
    if (s->open_interval > w->level[0].interval) {
        hx_rates_close_levels(m, s, group, w, event_of(l), l->reporter);
        hx_rates_expect_quiet(s, w->last_us + w->quiet_us);
    }
    hx_rates_arm(m, s, group, w);
}

/* So many have come that it may be a burst. */
static __attribute__((noinline)) void look_at_count(const rates_model *m, rates_state *s,
                                                    hx_rate_group group, uint32_t place,
                                                    const rate_line *l)
{
    rate_watch *w;

    if (!place)
        return;
    w = watch_at(s, group, place);
    hx_rates_settle(s, group, w);
    w->alarm_at += w->alarm_at / 32 + 1; /* not improbable yet: again a little later */
    hx_rates_judge_burst(m, s, group, w, 0, event_of(l), l->reporter);
    hx_rates_arm(m, s, group, w);
}

/* From here on it is what a line costs: two of these. */
static inline void count_event(const rates_model *m, rates_state *s, hx_rate_group group,
                               uint32_t place, const rate_line *l)
{
    const int64_t time_us = l->seen->time_us;
    rate_hot *hot = hot_at(s, group, place);

    if (__builtin_expect(
            (l->before_us - hot->last_us > (int64_t)hot->quiet_us) | (time_us >= hot->ends_us), 0))
        look_closer(m, s, group, place, l);
    hot->last_total = s->total;
    hot->last_us = time_us > hot->last_us ? time_us : hot->last_us;
    if (__builtin_expect(--hot->left == 0, 0))
        look_at_count(m, s, group, place, l);
}

/* Without a branch: which way it goes is anybody's guess. */
static inline void vote(rate_vote *v, uint32_t key)
{
    const uint32_t none = (v->votes != 0) - 1u, of = (v->key & ~none) | (key & none);

    v->key = of;
    v->votes += 2 * (of == key) - 1;
}

/* By its name: its number may be new, or it has none. 0: it is not watched. */
static __attribute__((noinline)) uint32_t host_by_name(const rates_model *m, rates_state *s,
                                                       const rate_line *l)
{
    const hx_event *e = event_of(l);
    const hx_slice name = hx_slice_make(l->lines->buffer + e->host_at, e->host_len);
    uint32_t place = 0;
    rate_host *h;

    if (!e->host_len || e->host_len > HX_RATE_NAME_MAX)
        return 0;
    h = find_host(s, e->host, name);
    if (!h)
        h = new_host(m, s, e->host, name, e->time_us);
    if (h)
        place = (uint32_t)(h - s->hosts) + 1;
    else
        s->unwatched++;
    if (l->seen->host)
        s->numbered[l->seen->host] = place;
    return place;
}

static inline uint32_t place_of_host(const rates_state *s, const hx_seen *l)
{
    return l->host_owner == s->worker ? s->numbered[l->host] : 0;
}

static inline uint32_t place_of_key(const rates_state *s, const hx_seen *l)
{
    return s->place_of_key[l->key < s->key_count ? l->key : s->key_count];
}

static inline void count_line(const rates_model *m, rates_state *s, uint32_t host, uint32_t key,
                              const rate_line *l)
{
    if (__builtin_expect(!host && l->seen->host_owner == s->worker, 0))
        host = host_by_name(m, s, l);
    count_event(m, s, HX_RATE_HOSTS, host, l);
    vote(&s->votes[host], l->seen->key);
    count_event(m, s, HX_RATE_KEYS, key, l);
}

/* The time of a line. False: it has none. */
static inline bool take_time(const rates_model *m, rates_state *s, rate_line *l)
{
    const int64_t time_us = l->seen->time_us;
    int64_t late_us;

    if (__builtin_expect(time_us >= s->open_until_us || time_us < s->open_from_us, 0)) {
        if (time_us == HX_TIME_NONE)
            return false;
        hx_rates_enter_interval(m, s, time_us, l->reporter);
    }
    s->total++;
    late_us = l->before_us - time_us;
    if (__builtin_expect(late_us > s->late_us && late_us <= LATE_MOST_US, 0))
        s->late_us = late_us;
    l->before_us -= hx_rates_lateness(s);
    return true;
}

/* Where an interval is going to open, the whole watch is wanted. Inlined by order: a function that
 * only fetches is taken for one that does nothing. */
static inline __attribute__((always_inline)) void
fetch_watch(const rates_state *s, hx_rate_group group, uint32_t place, int64_t time_us)
{
    if (time_us >= hot_at(s, group, place)->ends_us && place) {
        const char *watch = (const char *)watch_at(s, group, place);

        for (size_t at = 0; at < sizeof(rate_watch); at += 64)
            __builtin_prefetch(watch + at, 1);
    }
}

static void rates_lines(const void *model, void *state, const hx_seen_lines *lines,
                        hx_reporter *reporter)
{
    const int64_t base_us = reporter->before_us > FIRST_US ? reporter->before_us : FIRST_US;
    const rates_model *m = model;
    rates_state *s = state;
    rate_line l = {.lines = lines, .reporter = reporter};

    s->lost_us = reporter->lost_us;
    for (uint32_t from = 0; from < lines->count; from += BLOCK) {
        const uint32_t count = lines->count - from < BLOCK ? lines->count - from : BLOCK;
        const hx_seen *seen = &lines->line[from];
        uint32_t host[BLOCK], key[BLOCK];

        for (uint32_t i = 0; i < count; i++) {
            host[i] = place_of_host(s, &seen[i]);
            key[i] = place_of_key(s, &seen[i]);
            __builtin_prefetch(&s->hot_hosts[host[i]], 1);
            __builtin_prefetch(&s->hot_keys[key[i]], 1);
        }
        for (uint32_t i = 0; s->openings > OPENINGS && i < count; i++) {
            fetch_watch(s, HX_RATE_HOSTS, host[i], seen[i].time_us);
            fetch_watch(s, HX_RATE_KEYS, key[i], seen[i].time_us);
        }
        s->openings = 0;
        for (uint32_t i = 0; i < count; i++) {
            l.seen = &seen[i];
            l.before_us = l.seen->earlier_us > base_us ? l.seen->earlier_us : base_us;
            if (take_time(m, s, &l))
                count_line(m, s, host[i], key[i], &l);
        }
    }
}

static void look_for_silence(const rates_model *m, rates_state *s, hx_rate_group group,
                             uint32_t place, int64_t watermark_us, hx_reporter *reporter)
{
    const rate_hot *hot = hot_at(s, group, place);
    rate_watch *w = watch_at(s, group, place);
    int64_t quiet_us = hot->quiet_us, since_us;

    if (hot->ends_us == INT64_MIN)
        return;
    if (quiet_us == UINT32_MAX)
        quiet_us = w->quiet_us;
    since_us = hx_rates_silent_since(s, hot->last_us);
    hx_rates_expect_quiet(s, since_us + quiet_us);
    if (watermark_us - since_us <= quiet_us)
        return;
    hx_rates_settle(s, group, w);
    if (hx_rates_silence_score(m, s, w, watermark_us) > m->rule.limits[group].silence.nats) {
        hx_rates_report_silence(m, s, group, w, reporter);
        hx_rates_arm(m, s, group, w);
    }
}

static void rates_advance(const void *model, void *state, int64_t watermark_us,
                          hx_reporter *reporter)
{
    const rates_model *m = model;
    rates_state *s = state;

    s->lost_us = reporter->lost_us;
    watermark_us -= hx_rates_lateness(s);
    if (watermark_us < FIRST_US || watermark_us <= s->quiet_after_us)
        return;
    s->quiet_after_us = INT64_MAX;
    if (isfinite(m->rule.limits[HX_RATE_HOSTS].silence.nats))
        for (uint32_t i = 1; i <= s->count; i++)
            look_for_silence(m, s, HX_RATE_HOSTS, i, watermark_us, reporter);
    if (isfinite(m->rule.limits[HX_RATE_KEYS].silence.nats))
        for (uint32_t key = 1; key <= s->key_count; key++)
            look_for_silence(m, s, HX_RATE_KEYS, key, watermark_us, reporter);
}

const hx_detector hx_rates_detector = {
    .name = "rates",
    .wants_hosts = true,
    .load = hx_rates_load,
    .unload = hx_rates_unload,
    .open = hx_rates_open,
    .close = hx_rates_close,
    .lines = rates_lines,
    .advance = rates_advance,
    .save = hx_rates_save,
    .restore = hx_rates_restore,
    .observed = hx_rates_observed,
};
