#include "detect/rates.h"

#include <math.h>
#include <stdlib.h>

#define AHEAD    16
#define LONG_US  INT64_C(9000000000000000) /* longer than any silence */
#define FIRST_US (INT64_MIN / 4)           /* before any event */
/* A line that lies further behind has a wrong clock and says nothing of the way it came. */
#define LATE_MOST_US 1000000
#define LATE_MEMORY  32 /* intervals */
#define ROUNDING     1e-9

double hx_rate_excess(double count, double usual)
{
    double over = usual + 1;

    return count > over ? count * log(count / over) - count + over : 0;
}

double hx_rate_lack(double count, double usual)
{
    if (count >= usual)
        return 0;
    return usual - count + (count > 0 ? count * log(count / usual) : 0);
}

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
                      .quiet_us = LONG_US,
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

/* --- intervals ---------------------------------------------------------------------------------
 */

static int64_t interval_of(const hx_rates_model *rule, int64_t time_us)
{
    int64_t i = time_us / rule->interval_us;

    return i - (time_us % rule->interval_us < 0);
}

/* All events before an interval of the first level; those so far where its beginning is forgotten
 * or was not seen. */
static uint64_t total_before(const rates_state *s, int64_t interval)
{
    const rate_start *start = &s->start[(uint64_t)interval % HX_RATE_STARTS];

    return start->interval == interval ? start->total : s->total;
}

/* The interval that an event is in, and whether the hour is over. The bounds are those between
 * which nothing more is to be done for a line. */
static void enter_interval(const rates_model *m, rates_state *s, int64_t time_us,
                           hx_reporter *reporter)
{
    int64_t interval = interval_of(&m->rule, time_us);
    rate_start *start = &s->start[(uint64_t)interval % HX_RATE_STARTS];

    s->open_interval = interval;
    s->open_from_us = interval * m->rule.interval_us;
    s->open_until_us = s->open_from_us + m->rule.interval_us;
    if (start->interval < interval)
        *start = (rate_start){interval, s->total};
    if (s->late_interval < interval) {
        s->late_interval = interval;
        s->late_us -= (s->late_us + LATE_MEMORY - 1) / LATE_MEMORY;
    }
    if (time_us >= s->hour_ends_us)
        hx_rates_hour_over(m, s, time_us, reporter);
    else
        s->ahead = 0;
    if (s->ahead)
        s->open_until_us = INT64_MIN; /* each line counts until that is settled */
    else if (s->hour_ends_us < s->open_until_us)
        s->open_until_us = s->hour_ends_us;
}

static double weight_of(uint32_t seen)
{
    return 1.0 / (seen + 1 < HX_RATE_MEMORY ? seen + 1 : HX_RATE_MEMORY);
}

/* What is usual of an interval by the hour it is in, too. */
static double usual_with_season(const rates_model *m, const rates_state *s, const rate_watch *w,
                                uint32_t level)
{
    const rate_history *r = &w->level[level];
    const int64_t length_us = hx_rates_length_us(m, level);
    double usual = hx_rates_usual(s, r), by_season;

    if (!w->season)
        return usual;
    by_season =
        hx_rates_season_within(m, w, r->interval * length_us, length_us, s->total - r->total_began);
    return usual > by_season ? usual : by_season;
}

static double score_with_season(const rates_model *m, const rates_state *s, const rate_watch *w,
                                uint32_t level)
{
    return hx_rate_excess(w->level[level].count, usual_with_season(m, s, w, level));
}

/* The highest of an interval's scores, as they are judged: a longer one's several times. */
static void observe(const rates_model *m, rates_state *s, hx_rate_group group, uint32_t level,
                    const rate_watch *w)
{
    double score;

    if (!s->observed)
        return;
    score = score_with_season(m, s, w, level);
    score = score > w->level[level].peak ? score : w->level[level].peak;
    hx_histogram_record(&s->observed->burst[group][level],
                        (uint64_t)(score * HX_RATE_OBSERVED_UNITS));
}

static void observe_early(const rates_model *m, const rates_state *s, rate_watch *w, uint32_t level)
{
    double score = score_with_season(m, s, w, level);

    if (score > w->level[level].peak)
        w->level[level].peak = score;
}

/* The open interval ends, and with it those in which nothing came. What was reported is taken into
 * the history as no more than what would just not have been. */
static void close_interval(const rates_model *m, rates_state *s, rate_history *h, int64_t next,
                           uint64_t total_ended, uint32_t most)
{
    uint64_t all = total_ended > h->total_began ? total_ended - h->total_began : 1;
    int64_t empty = next - h->interval - 1;
    double count = h->count < most ? h->count : most, w = weight_of(h->seen);

    h->mean += w * (count - h->mean);
    h->share += w * (count / (double)all - h->share);
    h->seen += h->seen < UINT32_MAX / 2;
    if (empty > 0) {
        double left = pow(1 - weight_of(h->seen), (double)empty);

        /* The share of nothing in a time when all others said nothing either tells nothing. */
        h->mean *= left;
        h->seen += empty < (int64_t)m->rule.warm ? (uint32_t)empty : m->rule.warm;
    }
    h->interval = next;
    h->count = 0;
    h->peak = 0;
    h->total_began = s->total;
}

/* The excess of u + d over u is at most d * d / 2u: below this count there is nothing to look at.
 */
static uint32_t look_closer_at(const rates_model *m, hx_rate_group group, const rate_history *h)
{
    const double usual = h->mean + 1, limit = m->rule.limits[group].burst[0].nats;
    const double count = usual + sqrt(2 * usual * limit);

    return h->seen >= m->rule.warm && count < UINT32_MAX ? (uint32_t)ceil(count) : UINT32_MAX;
}

/* --- silences ----------------------------------------------------------------------------------
 */

/* Nats against hearing nothing until the watermark is at at_us. */
static double silence_score(const rates_model *m, const rates_state *s, const rate_watch *w,
                            int64_t at_us)
{
    const rate_history *r = &w->level[0];
    double gap = (double)(at_us - w->last_us) / (double)m->rule.interval_us;
    double by_time = r->mean * gap, by_share = r->share * (double)(s->total - w->last_total);
    double least = by_time < by_share ? by_time : by_share, by_season;

    if (r->seen < m->rule.warm || at_us <= w->last_us)
        return 0;
    if (!w->season)
        return least;
    by_season = hx_rates_season_between(m, w, w->last_us, at_us);
    return least < by_season ? least : by_season;
}

/* Before so much time has passed, the mean alone says that nothing is wrong. */
static int64_t quiet_after(const rates_model *m, const rates_state *s, hx_rate_group group,
                           const rate_history *r)
{
    double wait = m->rule.limits[group].silence.nats / r->mean * (double)m->rule.interval_us;

    if (s->observed)
        return 0;
    if (r->seen < m->rule.warm || !(wait < (double)LONG_US))
        return LONG_US;
    return (int64_t)(wait * (1 - ROUNDING));
}

/* The earliest end of what may be said by everybody; it grows as they speak, unseen. */
static inline void expect_quiet(rates_state *s, const rate_watch *w)
{
    if (w->last_us + w->quiet_us < s->quiet_after_us)
        s->quiet_after_us = w->last_us + w->quiet_us;
}

/* Its next event has come, after a time that may have been a silence. */
static void look_back(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                      int64_t before_us, hx_reporter *reporter)
{
    int64_t interval = s->open_interval;

    if (w->standing == RATE_WATCHED && before_us > w->last_us) {
        double score = silence_score(m, s, w, before_us);

        if (s->observed && w->level[0].seen >= m->rule.warm)
            hx_histogram_record(&s->observed->silence[group],
                                (uint64_t)(score * HX_RATE_OBSERVED_UNITS));
        if (score > m->rule.limits[group].silence.nats)
            hx_rates_report_silence(m, s, group, w, reporter);
    }
    if (w->standing != RATE_SILENT)
        return;
    /* The silence is no part of what is usual. */
    w->standing = RATE_WATCHED;
    for (uint32_t l = 0; l < HX_RATE_LEVELS; l++, interval /= HX_RATE_STEP)
        if (w->level[l].interval < interval) {
            w->level[l].interval = interval;
            w->hour_closed += l ? 0 : w->level[l].count;
            w->level[l].count = 0;
            w->level[l].total_began = s->total;
        }
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
    const int64_t most = INT64_MAX / m->rule.interval_us - 1;

    if (interval > most)
        return INT64_MAX;
    return interval < -most ? INT64_MIN + 1 : (interval + 1) * m->rule.interval_us;
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

static void judge_burst(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                        uint32_t level, const hx_event *e, hx_reporter *reporter)
{
    const rate_history *r = &w->level[level];
    const double limit = m->rule.limits[group].burst[level].nats;
    double usual = hx_rates_usual(s, r);

    if (s->observed)
        observe_early(m, s, w, level);
    if (hx_rate_excess(r->count, usual) <= limit)
        return;
    usual = usual_with_season(m, s, w, level);
    if (hx_rate_excess(r->count, usual) > limit)
        hx_rates_report_burst(m, s, group, w, level, usual, e, reporter);
}

/* The longer intervals get what a shorter one held, and are judged then. */
static void close_levels(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                         const hx_event *e, hx_reporter *reporter)
{
    int64_t next = s->open_interval, before = w->level[0].interval;

    if (hx_rate_hour_count(w) >= w->hour_alarm_at)
        hx_rates_hour_fills(m, s, group, w, e, reporter);
    w->hour_closed += w->level[0].count;
    for (uint32_t l = 0; l < HX_RATE_LEVELS; l++, next /= HX_RATE_STEP, before /= HX_RATE_STEP) {
        rate_history *r = &w->level[l];

        if (r->interval == next)
            break;
        if (l + 1 < HX_RATE_LEVELS) {
            w->level[l + 1].count += r->count;
            if (w->level[l + 1].seen >= m->rule.warm)
                judge_burst(m, s, group, w, l + 1, e, reporter);
        }
        if (r->seen >= m->rule.warm)
            observe(m, s, group, l, w);
        close_interval(m, s, r, next, l ? s->total : total_before(s, before + 1),
                       l ? UINT32_MAX : w->alarm_at);
    }
    w->level[0].total_began = total_before(s, w->level[0].interval);
    w->alarm_at = look_closer_at(m, group, &w->level[0]);
    w->quiet_us = quiet_after(m, s, group, &w->level[0]);
}

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
        look_back(m, s, group, w, l->before_us, l->reporter);
        expect_quiet(s, w);
    }
    if (s->open_interval > w->level[0].interval) {
        close_levels(m, s, group, w, event_of(l), l->reporter);
        expect_quiet(s, w);
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
    judge_burst(m, s, group, w, 0, event_of(l), l->reporter);
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

static inline void count_line(const rates_model *m, rates_state *s, const rate_line *l)
{
    uint32_t host = place_of_host(s, l->seen);

    if (__builtin_expect(!host && l->seen->host_owner == s->worker, 0))
        host = host_by_name(m, s, l);
    count_event(m, s, HX_RATE_HOSTS, host, l);
    vote(&s->votes[host], l->seen->key);
    count_event(m, s, HX_RATE_KEYS, place_of_key(s, l->seen), l);
}

static void rates_lines(const void *model, void *state, const hx_seen_lines *lines,
                        hx_reporter *reporter)
{
    const int64_t base_us = reporter->before_us > FIRST_US ? reporter->before_us : FIRST_US;
    const rates_model *m = model;
    rates_state *s = state;
    rate_line l = {.lines = lines, .reporter = reporter};

    for (uint32_t i = 0; i < lines->count; i++) {
        const hx_seen *seen = &lines->line[i];
        int64_t late_us;

        if (i + AHEAD < lines->count) {
            __builtin_prefetch(&s->hot_hosts[place_of_host(s, seen + AHEAD)], 1);
            __builtin_prefetch(&s->hot_keys[place_of_key(s, seen + AHEAD)], 1);
        }
        l.seen = seen;
        l.before_us = seen->earlier_us > base_us ? seen->earlier_us : base_us;
        if (__builtin_expect(seen->time_us >= s->open_until_us || seen->time_us < s->open_from_us,
                             0)) {
            if (seen->time_us == HX_TIME_NONE)
                continue;
            enter_interval(m, s, seen->time_us, reporter);
        }
        s->total++;
        late_us = l.before_us - seen->time_us;
        if (__builtin_expect(late_us > s->late_us && late_us <= LATE_MOST_US, 0))
            s->late_us = late_us;
        l.before_us -= s->late_us;
        count_line(m, s, &l);
    }
}

static void look_for_silence(const rates_model *m, rates_state *s, hx_rate_group group,
                             uint32_t place, int64_t watermark_us, hx_reporter *reporter)
{
    const rate_hot *hot = hot_at(s, group, place);
    rate_watch *w = watch_at(s, group, place);
    int64_t quiet_us = hot->quiet_us;

    if (hot->ends_us == INT64_MIN)
        return;
    if (quiet_us == UINT32_MAX)
        quiet_us = w->quiet_us;
    if (hot->last_us + quiet_us < s->quiet_after_us)
        s->quiet_after_us = hot->last_us + quiet_us;
    if (watermark_us - hot->last_us <= quiet_us)
        return;
    hx_rates_settle(s, group, w);
    if (silence_score(m, s, w, watermark_us) > m->rule.limits[group].silence.nats) {
        hx_rates_report_silence(m, s, group, w, reporter);
        hx_rates_arm(m, s, group, w);
    }
}

static void rates_advance(const void *model, void *state, int64_t watermark_us,
                          hx_reporter *reporter)
{
    const rates_model *m = model;
    rates_state *s = state;

    watermark_us -= s->late_us;
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
