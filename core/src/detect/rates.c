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
    const hx_event *event; /* its first: far from here, and hardly ever asked */
    const char *buffer;
    int64_t before_us; /* the latest of the lines before it, less how late lines come */
    hx_reporter *reporter;
} rate_line;

/* From here on it is what a line costs: two of these. */
static inline void count_event(const rates_model *m, rates_state *s, hx_rate_group group,
                               rate_watch *w, const rate_line *l)
{
    rate_history *r = &w->level[0];
    const hx_event *e = l->event;
    const int64_t before_us = l->before_us;
    hx_reporter *reporter = l->reporter;

    if (__builtin_expect(before_us - w->last_us > w->quiet_us || w->standing != RATE_WATCHED, 0)) {
        look_back(m, s, group, w, before_us, reporter);
        expect_quiet(s, w);
    }
    if (s->open_interval > r->interval) {
        close_levels(m, s, group, w, e, reporter);
        expect_quiet(s, w);
    }
    r->count++;
    w->last_total = s->total;
    w->last_us = l->seen->time_us > w->last_us ? l->seen->time_us : w->last_us;
    if (__builtin_expect(r->count >= w->alarm_at, 0)) {
        w->alarm_at += w->alarm_at / 32 + 1; /* not improbable yet: again a little later */
        judge_burst(m, s, group, w, 0, e, reporter);
    }
}

/* Without a branch: which way it goes is anybody's guess. */
static inline void vote(rate_watch *w, bool opens, uint32_t key)
{
    const uint32_t votes = w->vote & (opens - 1u), none = (votes != 0) - 1u;
    const uint32_t of = (w->vote_key & ~none) | (key & none);

    w->vote_key = of;
    w->vote = votes + 2 * (of == key) - 1;
}

/* By its name: its number may be new, or it has none. */
static rate_host *host_by_name(const rates_model *m, rates_state *s, const rate_line *l)
{
    const hx_event *e = l->event;
    const hx_slice name = hx_slice_make(l->buffer + e->host_at, e->host_len);
    rate_host *h;

    if (!e->host_len || e->host_len > HX_RATE_NAME_MAX)
        return NULL;
    h = find_host(s, e->host, name);
    if (!h)
        h = new_host(m, s, e->host, name, e->time_us);
    if (!h)
        s->unwatched++;
    else if (l->seen->host)
        s->numbered[l->seen->host] = (uint32_t)(h - s->hosts) + 1;
    return h;
}

static inline void count_for_host(const rates_model *m, rates_state *s, const rate_line *l)
{
    const uint32_t known = s->numbered[l->seen->host];
    rate_host *h = known ? &s->hosts[known - 1] : host_by_name(m, s, l);
    bool opens;

    if (__builtin_expect(!h, 0))
        return;
    opens = s->open_interval > h->watch.level[0].interval;
    count_event(m, s, HX_RATE_HOSTS, &h->watch, l);
    vote(&h->watch, opens, l->seen->key);
}

static inline void count_for_key(const rates_model *m, rates_state *s, const rate_line *l)
{
    const uint32_t key = l->seen->key;
    rate_watch *w;

    if (key >= s->key_count || !s->mine[key])
        return;
    w = &s->keys[key];
    if (__builtin_expect(w->standing == RATE_UNKNOWN, 0))
        begin_watch(m, s, HX_RATE_KEYS, hx_rates_season_of_key(&m->seasons, key), s->open_interval,
                    l->seen->time_us, w);
    count_event(m, s, HX_RATE_KEYS, w, l);
}

static inline void fetch(const rates_state *s, const hx_seen *l)
{
    const uint32_t host = l->host_owner == s->worker ? s->numbered[l->host] : 0;

    if (host)
        __builtin_prefetch(&s->hosts[host - 1], 1);
    if (l->key < s->key_count && s->mine[l->key])
        __builtin_prefetch(&s->keys[l->key], 1);
}

static void rates_lines(const void *model, void *state, const hx_seen_lines *lines,
                        hx_reporter *reporter)
{
    const int64_t base_us = reporter->before_us > FIRST_US ? reporter->before_us : FIRST_US;
    const rates_model *m = model;
    rates_state *s = state;

    for (uint32_t i = 0; i < lines->count; i++) {
        const hx_seen *seen = &lines->line[i];
        rate_line l = {seen, &lines->events[seen->event], lines->buffer,
                       seen->earlier_us > base_us ? seen->earlier_us : base_us, reporter};
        int64_t late_us;

        if (i + AHEAD < lines->count)
            fetch(s, seen + AHEAD);
        if (seen->time_us == HX_TIME_NONE)
            continue;
        if (__builtin_expect(seen->time_us >= s->open_until_us || seen->time_us < s->open_from_us,
                             0))
            enter_interval(m, s, seen->time_us, reporter);
        s->total++;
        late_us = l.before_us - seen->time_us;
        if (__builtin_expect(late_us > s->late_us && late_us <= LATE_MOST_US, 0))
            s->late_us = late_us;
        l.before_us -= s->late_us;
        if (seen->host_owner == s->worker)
            count_for_host(m, s, &l);
        count_for_key(m, s, &l);
    }
}

static void look_for_silence(const rates_model *m, rates_state *s, hx_rate_group group,
                             rate_watch *w, int64_t watermark_us, hx_reporter *reporter)
{
    if (w->standing != RATE_WATCHED)
        return;
    expect_quiet(s, w);
    if (watermark_us - w->last_us > w->quiet_us &&
        silence_score(m, s, w, watermark_us) > m->rule.limits[group].silence.nats)
        hx_rates_report_silence(m, s, group, w, reporter);
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
        for (uint32_t i = 0; i < s->count; i++)
            look_for_silence(m, s, HX_RATE_HOSTS, &s->hosts[i].watch, watermark_us, reporter);
    if (isfinite(m->rule.limits[HX_RATE_KEYS].silence.nats))
        for (uint32_t key = 0; key < s->key_count; key++)
            look_for_silence(m, s, HX_RATE_KEYS, &s->keys[key], watermark_us, reporter);
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
