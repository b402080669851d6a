#include "detect/rates.h"

#include <math.h>
#include <stdlib.h>

#define AHEAD 12

double hx_rate_excess(double count, double usual)
{
    double over = usual + 1;

    return count > over ? count * log(count / over) - count + over : 0;
}

/* --- hosts -------------------------------------------------------------------------------------
 */

static rate_host *find_host(rates_state *s, uint32_t hash, hx_slice name)
{
    for (uint32_t at = hash & s->mask; s->index[at]; at = (at + 1) & s->mask) {
        rate_host *h = &s->hosts[s->index[at] - 1];

        if (h->hash == hash && h->name_len == name.len && memcmp(h->name, name.ptr, name.len) == 0)
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

static rate_host *new_host(rates_state *s, uint32_t hash, hx_slice name, int64_t interval)
{
    rate_host *h = hx_rates_add_host(s, hash);

    if (!h)
        return NULL;
    *h = (rate_host){.hash = hash,
                     .alarm_at = UINT32_MAX,
                     .name_len = (uint8_t)name.len,
                     .reported_us = HX_TIME_NONE};
    memcpy(h->name, name.ptr, name.len);
    for (uint32_t l = 0; l < HX_RATE_LEVELS; l++, interval /= HX_RATE_STEP)
        h->level[l] = (rate_history){.interval = interval, .total_began = s->total};
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

static void note_start(rates_state *s, int64_t interval)
{
    rate_start *start = &s->start[(uint64_t)interval % HX_RATE_STARTS];

    if (start->interval < interval)
        *start = (rate_start){interval, s->total};
}

static double weight_of(uint32_t seen)
{
    return 1.0 / (seen + 1 < HX_RATE_MEMORY ? seen + 1 : HX_RATE_MEMORY);
}

static void observe(rates_state *s, uint32_t level, const rate_history *h)
{
    if (s->observed)
        hx_histogram_record(
            &s->observed->burst[level],
            (uint64_t)(hx_rate_excess(h->count, hx_rates_usual(s, h)) * HX_RATE_OBSERVED_UNITS));
}

/* The open interval ends, and with it those in which nothing came. What was reported is taken into
 * the history as no more than what would just not have been. */
static void close_interval(const rates_model *m, rates_state *s, rate_history *h, uint32_t level,
                           int64_t next, uint64_t total_ended, uint32_t most)
{
    uint64_t all = total_ended > h->total_began ? total_ended - h->total_began : 1;
    int64_t empty = next - h->interval - 1;
    double count = h->count < most ? h->count : most, w = weight_of(h->seen);

    if (h->seen >= m->rule.warm)
        observe(s, level, h);
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
    h->total_began = s->total;
}

/* The excess of u + d over u is at most d * d / 2u: below this count there is nothing to look at.
 */
static uint32_t look_closer_at(const rates_model *m, const rate_history *h)
{
    const double usual = h->mean + 1, limit = m->rule.burst_limit[0];
    const double count = usual + sqrt(2 * usual * limit);

    return h->seen >= m->rule.warm && count < UINT32_MAX ? (uint32_t)ceil(count) : UINT32_MAX;
}

/* Nats against hearing nothing of a host until the watermark is at at_us. */
static double silence_score(const rates_model *m, const rates_state *s, const rate_host *h,
                            int64_t at_us)
{
    const rate_history *r = &h->level[0];
    double gap = (double)(at_us - h->last_us) / (double)m->rule.interval_us;
    double by_time = r->mean * gap, by_share = r->share * (double)(s->total - h->last_total);

    if (r->seen < m->rule.warm || at_us <= h->last_us)
        return 0;
    return by_time < by_share ? by_time : by_share;
}

/* --- an event ----------------------------------------------------------------------------------
 */

/* The longer intervals get what a shorter one held, and are judged then. */
static void close_levels(const rates_model *m, rates_state *s, rate_host *h, int64_t next,
                         const hx_event *e, hx_reporter *reporter)
{
    int64_t before = h->level[0].interval;

    for (uint32_t l = 0; l < HX_RATE_LEVELS; l++, next /= HX_RATE_STEP, before /= HX_RATE_STEP) {
        rate_history *r = &h->level[l];
        uint32_t count = r->count;

        if (r->interval == next)
            break;
        if (l + 1 < HX_RATE_LEVELS) {
            rate_history *longer = &h->level[l + 1];

            longer->count += count;
            if (longer->seen >= m->rule.warm &&
                hx_rate_excess(longer->count, hx_rates_usual(s, longer)) >
                    m->rule.burst_limit[l + 1])
                hx_rates_report_burst(m, s, h, l + 1, e, reporter);
        }
        close_interval(m, s, r, l, next, l ? s->total : total_before(s, before + 1),
                       l ? UINT32_MAX : h->alarm_at);
    }
    h->level[0].total_began = total_before(s, h->level[0].interval);
    h->alarm_at = look_closer_at(m, &h->level[0]);
    h->vote = 0;
}

static void vote(rate_host *h, uint32_t key)
{
    if (h->vote == 0)
        h->vote_key = key;
    h->vote += h->vote == 0 || h->vote_key == key ? 1 : UINT32_MAX;
}

static void count_event(const rates_model *m, rates_state *s, rate_host *h, const hx_event *e,
                        int64_t before_us, hx_reporter *reporter)
{
    int64_t interval = interval_of(&m->rule, e->time_us);
    rate_history *r = &h->level[0];

    if (!h->silent && before_us > h->last_us) {
        double score = silence_score(m, s, h, before_us);

        if (s->observed && r->seen >= m->rule.warm)
            hx_histogram_record(&s->observed->silence, (uint64_t)(score * HX_RATE_OBSERVED_UNITS));
        if (score > m->rule.silence_limit)
            hx_rates_report_silence(m, h, reporter);
    }
    if (h->silent) {
        /* The silence is no part of what is usual. */
        h->silent = false;
        for (int64_t i = interval, l = 0; l < HX_RATE_LEVELS; l++, i /= HX_RATE_STEP)
            if (h->level[l].interval < i)
                h->level[l].interval = i, h->level[l].count = 0, h->level[l].total_began = s->total;
    }
    if (interval > r->interval)
        close_levels(m, s, h, interval, e, reporter);
    r->count++;
    vote(h, e->key);
    h->last_us = e->time_us > h->last_us ? e->time_us : h->last_us;
    h->last_total = s->total;
    if (r->count >= h->alarm_at) {
        h->alarm_at += h->alarm_at / 32 + 1; /* not improbable yet: again a little later */
        if (hx_rate_excess(r->count, hx_rates_usual(s, r)) > m->rule.burst_limit[0])
            hx_rates_report_burst(m, s, h, 0, e, reporter);
    }
}

static void rates_lines(const void *model, void *state, const hx_event *events, uint32_t count,
                        const char *buffer, hx_reporter *reporter)
{
    const int64_t base_us = reporter->before_us;
    const rates_model *m = model;
    rates_state *s = state;

    for (uint32_t i = 0; i < count; i++) {
        const hx_event *e = &events[i];
        int64_t before_us = e->earlier_us > base_us ? e->earlier_us : base_us;
        hx_slice name = hx_slice_make(buffer + e->host_at, e->host_len);
        rate_host *h;

        if (i + AHEAD < count)
            __builtin_prefetch(&s->index[events[i + AHEAD].host & s->mask]);
        if (!e->first_of_line || e->time_us == HX_TIME_NONE)
            continue;
        note_start(s, interval_of(&m->rule, e->time_us));
        s->total++;
        if (!e->host_len || e->host_len > HX_RATE_NAME_MAX || !hx_rates_owns(s, e->host))
            continue;
        h = find_host(s, e->host, name);
        if (!h) {
            h = new_host(s, e->host, name, interval_of(&m->rule, e->time_us));
            if (!h) {
                s->unwatched++;
                continue;
            }
            h->last_us = e->time_us;
        }
        count_event(m, s, h, e, before_us, reporter);
    }
}

static void rates_advance(const void *model, void *state, int64_t watermark_us,
                          hx_reporter *reporter)
{
    const rates_model *m = model;
    rates_state *s = state;

    if (!isfinite(m->rule.silence_limit))
        return;
    for (uint32_t i = 0; i < s->count; i++) {
        rate_host *h = &s->hosts[i];

        if (!h->silent && silence_score(m, s, h, watermark_us) > m->rule.silence_limit)
            hx_rates_report_silence(m, h, reporter);
    }
}

const hx_detector hx_rates_detector = {
    .name = "rates",
    .wants_hosts = true,
    .load = hx_rates_load,
    .unload = free,
    .open = hx_rates_open,
    .close = hx_rates_close,
    .lines = rates_lines,
    .advance = rates_advance,
    .save = hx_rates_save,
    .restore = hx_rates_restore,
    .observed = hx_rates_observed,
};
