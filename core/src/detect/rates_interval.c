/* The intervals of what is watched, as they open and end: what is usual then, and what is no
 * longer: bursts and silences. */
#include "detect/rates.h"

#include <math.h>

#define LATE_MEMORY 32 /* intervals */
#define ROUNDING    1e-9

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
void hx_rates_enter_interval(const rates_model *m, rates_state *s, int64_t time_us,
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
double hx_rates_silence_score(const rates_model *m, const rates_state *s, const rate_watch *w,
                              int64_t at_us)
{
    const rate_history *r = &w->level[0];
    const int64_t since_us = hx_rates_silent_since(s, w->last_us);
    double gap = (double)(at_us - since_us) / (double)m->rule.interval_us;
    double by_time = r->mean * gap, by_share = r->share * (double)(s->total - w->last_total);
    double least = by_time < by_share ? by_time : by_share, by_season;

    if (r->seen < m->rule.warm || at_us <= since_us)
        return 0;
    if (!w->season)
        return least;
    by_season = hx_rates_season_between(m, w, since_us, at_us);
    return least < by_season ? least : by_season;
}

/* Before so much time has passed, the mean alone says that nothing is wrong. */
static int64_t quiet_after(const rates_model *m, const rates_state *s, hx_rate_group group,
                           const rate_history *r)
{
    double wait = m->rule.limits[group].silence.nats / r->mean * (double)m->rule.interval_us;

    if (s->observed)
        return 0;
    if (r->seen < m->rule.warm || !(wait < (double)HX_RATE_LONG_US))
        return HX_RATE_LONG_US;
    return (int64_t)(wait * (1 - ROUNDING));
}

/* Its next event has come, after a time that may have been a silence. */
void hx_rates_look_back(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                        int64_t before_us, hx_reporter *reporter)
{
    int64_t interval = s->open_interval;

    if (w->standing == RATE_WATCHED && before_us > w->last_us) {
        double score = hx_rates_silence_score(m, s, w, before_us);

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

/* --- bursts ------------------------------------------------------------------------------------
 */

void hx_rates_judge_burst(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
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
void hx_rates_close_levels(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
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
                hx_rates_judge_burst(m, s, group, w, l + 1, e, reporter);
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
