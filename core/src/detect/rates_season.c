/* The hours of a day or of a week: what training saw in each, and how an hour compares with that.
 *
 * An hour is over when several lines in a row lie behind its end, so that one line with a wrong
 * clock ends nothing: 16, or 4 where an hour holds few. Lines that come late count for the hour
 * that is open. Both are functions of the input alone. */
#include "detect/rates.h"

#include <math.h>

#define AHEAD_LEAST  4
#define AHEAD_MOST   16
#define AHEAD_SHARE  256                  /* one in so many lines of the hour, between these two */
#define OBSERVED_MAX (UINT64_C(64) << 20) /* bytes of what hours held, for training */

int64_t hx_rates_hour_of(int64_t time_us)
{
    int64_t hour = time_us / HX_RATE_HOUR_US;

    return hour - (time_us % HX_RATE_HOUR_US < 0);
}

static uint32_t slot_of(const rate_seasons *seasons, int64_t hour)
{
    int64_t slot = hour % (int64_t)seasons->period;

    return (uint32_t)(slot < 0 ? slot + (int64_t)seasons->period : slot);
}

static const float *row_of(const rate_seasons *seasons, const rate_watch *w)
{
    return seasons->mean + (size_t)(w->season - 1) * seasons->period;
}

/* The hour itself and the two beside it: what comes a little earlier or later is nothing new. */
static double most_of_three(const rate_seasons *seasons, const float *row, int64_t hour, bool share)
{
    double most = 0;

    for (int64_t beside = -1; beside <= 1; beside++) {
        const uint32_t slot = slot_of(seasons, hour + beside);
        const double total = seasons->total[slot];
        const double one = !share ? (double)row[slot] : total > 0 ? (double)row[slot] / total : 0;

        most = one > most ? one : most;
    }
    return most;
}

double hx_rates_season_most(const rates_model *m, const rate_watch *w, int64_t hour)
{
    return w->season ? most_of_three(&m->seasons, row_of(&m->seasons, w), hour, false) : 0;
}

double hx_rates_season_within(const rates_model *m, const rate_watch *w, int64_t from_us,
                              int64_t length_us, uint64_t total)
{
    const rate_seasons *seasons = &m->seasons;
    const int64_t round_us = (int64_t)seasons->period * HX_RATE_HOUR_US;
    /* Of a longer time than the period: as of a whole one. */
    const int64_t shown_us = length_us < round_us ? length_us : round_us;
    const int64_t to_us = from_us + shown_us;
    double most = 0, share = 0;

    while (from_us < to_us) {
        int64_t hour = hx_rates_hour_of(from_us), ends_us = (hour + 1) * HX_RATE_HOUR_US;
        double one = most_of_three(seasons, row_of(seasons, w), hour, true);

        ends_us = ends_us < to_us ? ends_us : to_us;
        most += hx_rates_season_most(m, w, hour) * (double)(ends_us - from_us) /
                (double)HX_RATE_HOUR_US;
        share = one > share ? one : share;
        from_us = ends_us;
    }
    most *= (double)length_us / (double)shown_us;
    share *= (double)total;
    return most > share ? most : share;
}

double hx_rates_season_between(const rates_model *m, const rate_watch *w, int64_t from_us,
                               int64_t to_us)
{
    const rate_seasons *seasons = &m->seasons;
    const float *row = row_of(seasons, w);
    const int64_t round_us = (int64_t)seasons->period * HX_RATE_HOUR_US;
    int64_t rounds = (to_us - from_us) / round_us;
    double sum = 0, usual = 0;

    for (uint32_t slot = 0; slot < seasons->period; slot++)
        sum += (double)row[slot];
    usual = sum * (double)rounds;
    for (from_us += rounds * round_us; from_us < to_us;) {
        int64_t hour = hx_rates_hour_of(from_us), ends_us = (hour + 1) * HX_RATE_HOUR_US;

        ends_us = ends_us < to_us ? ends_us : to_us;
        usual += (double)row[slot_of(seasons, hour)] * (double)(ends_us - from_us) /
                 (double)HX_RATE_HOUR_US;
        from_us = ends_us;
    }
    return usual;
}

/* --- an hour -----------------------------------------------------------------------------------
 */

void hx_rates_hour_begins(const rates_model *m, const rates_state *s, hx_rate_group group,
                          rate_watch *w)
{
    const double limit = m->rule.limits[group].busy_hour.nats;
    double usual, count;

    w->hour_closed = -(int64_t)w->level[0].count; /* what came before it does not count */
    w->hour_alarm_at = UINT32_MAX;
    if (!w->season || !isfinite(limit))
        return;
    usual = hx_rates_season_most(m, w, s->hour) + 1;
    count = ceil(usual + sqrt(2 * usual * limit));
    if (count < UINT32_MAX)
        w->hour_alarm_at = (uint32_t)count;
}

void hx_rates_hour_fills(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                         const hx_event *e, hx_reporter *reporter)
{
    const hx_rate_limit *limit = &m->rule.limits[group].busy_hour;
    const float *row = row_of(&m->seasons, w);
    const double total = (double)(s->total - s->hour_began);
    double by_time = most_of_three(&m->seasons, row, s->hour, false);
    double by_share = most_of_three(&m->seasons, row, s->hour, true) * total;
    rate_hour_report what = {"busy_hour", s->hour, e->time_us, 0, 0, limit};

    what.usual = by_time > by_share ? by_time : by_share;
    what.score = hx_rate_excess(hx_rate_hour_count(w), what.usual);
    if (what.score > limit->nats && hx_rates_report_hour(m, s, group, w, &what, e, reporter))
        w->hour_alarm_at = UINT32_MAX;
}

/* Less than there ever is at this hour, by number and by share. */
static void judge_quiet(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                        hx_reporter *reporter)
{
    const hx_rate_limit *limit = &m->rule.limits[group].quiet_hour;
    const uint32_t slot = slot_of(&m->seasons, s->hour);
    const double all = m->seasons.total[slot];
    double usual = (double)row_of(&m->seasons, w)[slot];
    double by_share = all > 0 ? usual / all * (double)(s->total - s->hour_began) : 0;
    rate_hour_report what = {"quiet_hour", s->hour, s->hour_ends_us, 0, 0, limit};

    what.usual = usual < by_share ? usual : by_share;
    what.score = hx_rate_lack(hx_rate_hour_count(w), what.usual);
    if (what.score > limit->nats)
        hx_rates_report_hour(m, s, group, w, &what, NULL, reporter);
}

static void observe_hour(rates_state *s)
{
    hx_text *out = &s->observed->hours;
    bool first = true;

    if (out->len > OBSERVED_MAX) {
        s->observed->hours_cut = true;
        return;
    }
    hx_text_printf(out, "%s[%lld, %llu, {", out->len ? ", " : "", (long long)s->hour,
                   (unsigned long long)(s->total - s->hour_began));
    for (uint32_t i = 0; i < s->count; i++) {
        const rate_host *h = &s->hosts[i];

        if (!hx_rate_hour_count(&h->watch))
            continue;
        hx_text_str(out, first ? "" : ", ");
        hx_text_json_string(out, hx_slice_make(h->name, h->name_len));
        hx_text_printf(out, ": %u", hx_rate_hour_count(&h->watch));
        first = false;
    }
    hx_text_str(out, "}, {");
    first = true;
    for (uint32_t key = 0; key < s->key_count; key++)
        if (hx_rate_hour_count(&s->keys[key])) {
            hx_text_printf(out, "%s\"%u\": %u", first ? "" : ", ", key,
                           hx_rate_hour_count(&s->keys[key]));
            first = false;
        }
    hx_text_str(out, "}]");
}

static void close_hour(const rates_model *m, rates_state *s, hx_reporter *reporter)
{
    if (s->observed)
        observe_hour(s);
    if (!m->seasons.period || s->lost_us > s->hour * HX_RATE_HOUR_US)
        return; /* what is missing in the hour may have been lost */
    for (uint32_t i = 0; i < s->count; i++)
        if (s->hosts[i].watch.season)
            judge_quiet(m, s, HX_RATE_HOSTS, &s->hosts[i].watch, reporter);
    for (uint32_t key = 0; key < s->key_count; key++)
        if (s->keys[key].season)
            judge_quiet(m, s, HX_RATE_KEYS, &s->keys[key], reporter);
}

static void open_hour(const rates_model *m, rates_state *s, int64_t hour, bool whole)
{
    s->hour = hour;
    s->hour_ends_us = (hour + 1) * HX_RATE_HOUR_US;
    s->hour_began = s->total;
    s->hour_whole = whole;
    s->ahead = 0;
    for (uint32_t i = 0; i < s->count; i++)
        hx_rates_hour_begins(m, s, HX_RATE_HOSTS, &s->hosts[i].watch);
    for (uint32_t key = 0; key < s->key_count; key++)
        hx_rates_hour_begins(m, s, HX_RATE_KEYS, &s->keys[key]);
}

static bool is_over(rates_state *s)
{
    const uint64_t wanted = (s->total - s->hour_began) / AHEAD_SHARE;

    s->ahead++;
    return s->ahead >= AHEAD_MOST || (s->ahead >= AHEAD_LEAST && s->ahead >= wanted);
}

void hx_rates_hour_over(const rates_model *m, rates_state *s, int64_t time_us,
                        hx_reporter *reporter)
{
    int64_t hour = hx_rates_hour_of(time_us);
    bool first = s->hour_ends_us == INT64_MIN;

    if (!first && !is_over(s))
        return;
    hx_rates_settle_all(s);
    if (!first && s->hour_whole)
        close_hour(m, s, reporter);
    open_hour(m, s, hour, !first && hour == s->hour + 1);
}
