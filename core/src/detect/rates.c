#include "detect/rates.h"

#include "detect/bundle.h"

#include <haechi/hash.h>
#include <haechi/pages.h>
#include <haechi/stats.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 48
#define STARTS         256 /* of the first level's intervals whose beginning is remembered */
#define STATE_VERSION  1
#define OBSERVED_UNITS 1000 /* a nat in the histograms of scores */
#define AHEAD          12

/* What is usual of a host at one level. */
typedef struct rate_history {
    int64_t interval;     /* the one that is open */
    double mean, share;   /* events an interval; of all events */
    uint64_t total_began; /* all events before the interval */
    uint32_t count;       /* in it */
    uint32_t seen;        /* intervals that were closed */
} rate_history;

typedef struct rate_host {
    uint32_t hash;
    uint32_t alarm_at; /* of the first level: the count at which to look closer */
    uint32_t vote_key, vote;
    int64_t last_us;     /* event time at its last event */
    uint64_t last_total; /* all events by then */
    int64_t reported_us; /* HX_TIME_NONE: never */
    bool silent;         /* and reported as such */
    uint8_t name_len;
    char name[NAME_MAX_BYTES];
    rate_history level[HX_RATE_LEVELS];
} rate_host;

typedef struct rate_start {
    int64_t interval;
    uint64_t total; /* all events before its first */
} rate_start;

typedef struct rates_model {
    hx_rates_model rule;
    const struct hx_bundle *bundle;
} rates_model;

typedef struct rates_observed {
    hx_histogram burst[HX_RATE_LEVELS], silence;
} rates_observed;

typedef struct rates_state {
    uint32_t worker, workers;
    uint64_t total; /* all events so far, whoever's */
    rate_start start[STARTS];
    rate_host *hosts;
    uint32_t *index; /* + 1; 0: empty */
    uint32_t count, max, mask;
    uint64_t unwatched; /* events of hosts beyond max */
    rates_observed *observed;
} rates_state;

double hx_rate_excess(double count, double usual)
{
    double over = usual + 1;

    return count > over ? count * log(count / over) - count + over : 0;
}

static bool owns(const rates_state *s, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * s->workers) >> 32) == s->worker;
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

static rate_host *add_host(rates_state *s, uint32_t hash)
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
    rate_host *h = add_host(s, hash);

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
    const rate_start *start = &s->start[(uint64_t)interval % STARTS];

    return start->interval == interval ? start->total : s->total;
}

static void note_start(rates_state *s, int64_t interval)
{
    rate_start *start = &s->start[(uint64_t)interval % STARTS];

    if (start->interval < interval)
        *start = (rate_start){interval, s->total};
}

static double weight_of(uint32_t seen)
{
    return 1.0 / (seen + 1 < HX_RATE_MEMORY ? seen + 1 : HX_RATE_MEMORY);
}

/* What a host would have said by now, by the more generous of its two histories. */
static double usual_by(const rates_state *s, const rate_history *h)
{
    double by_share = h->share * (double)(s->total - h->total_began);

    return h->mean > by_share ? h->mean : by_share;
}

static void observe(rates_state *s, uint32_t level, const rate_history *h)
{
    if (s->observed)
        hx_histogram_record(&s->observed->burst[level],
                            (uint64_t)(hx_rate_excess(h->count, usual_by(s, h)) * OBSERVED_UNITS));
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

static uint32_t look_closer_at(const rates_model *m, const rate_history *h)
{
    double low = h->mean + 1, high = low;

    if (h->seen < m->rule.warm || !isfinite(m->rule.burst_limit[0]))
        return UINT32_MAX;
    while (hx_rate_excess(high, h->mean) <= m->rule.burst_limit[0])
        high *= 2;
    while (high - low > 0.5) {
        double middle = (low + high) / 2;

        if (hx_rate_excess(middle, h->mean) <= m->rule.burst_limit[0])
            low = middle;
        else
            high = middle;
    }
    return high < UINT32_MAX ? (uint32_t)ceil(high) : UINT32_MAX;
}

/* --- what is reported --------------------------------------------------------------------------
 */

static bool may_report(const rates_model *m, rate_host *h, int64_t time_us)
{
    if (h->reported_us != HX_TIME_NONE && time_us - h->reported_us < m->rule.repeat_us)
        return false;
    h->reported_us = time_us;
    return true;
}

static void report_burst(const rates_model *m, rates_state *s, rate_host *h, uint32_t level,
                         const hx_event *e, hx_reporter *reporter)
{
    const rate_history *r = &h->level[level];
    double usual = usual_by(s, r), score = hx_rate_excess(r->count, usual);
    double seconds = (double)m->rule.interval_us / 1e6 * pow(HX_RATE_STEP, level);
    const char *kind =
        h->vote_key < m->bundle->log_keys ? hx_matcher_text(m->bundle->matcher, h->vote_key) : "";
    hx_text reason = {0}, detail = {0};

    hx_text_printf(&reason, "The host %.*s has said %u lines within %.3g s; usual are %.3g",
                   (int)h->name_len, h->name, r->count, seconds, usual);
    if (*kind)
        hx_text_printf(&reason, "; most were \"%s\"", kind);
    hx_text_str(&reason, ".");
    hx_text_str(&detail, "{\"host\": ");
    hx_text_json_string(&detail, hx_slice_make(h->name, h->name_len));
    hx_text_printf(&detail, ", \"count\": %u, \"usual\": %.6g, \"seconds\": %.6g", r->count, usual,
                   seconds);
    if (*kind) {
        hx_text_printf(&detail, ", \"log_key\": %u, \"template\": ", h->vote_key);
        hx_text_json_string(&detail, hx_slice_str(kind));
    }
    hx_text_str(&detail, "}");
    reporter->report(reporter, e, e->time_us,
                     &(hx_finding){.rule = "burst",
                                   .score = score,
                                   .limit = m->rule.burst_limit[level],
                                   .evidence = hx_evidence_of(&m->rule.burst[level], score),
                                   .subject = hx_slice_make(h->name, h->name_len),
                                   .detail = hx_slice_make(detail.ptr, detail.len),
                                   .reason = hx_slice_make(reason.ptr, reason.len)});
    hx_text_free(&reason);
    hx_text_free(&detail);
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

/* The time at which it is said to have begun to matter is a function of the host's history alone,
 * so that it is the same whoever notices, and whenever. */
static void report_silence(const rates_model *m, rate_host *h, hx_reporter *reporter)
{
    const rate_history *r = &h->level[0];
    double limit = m->rule.silence_limit;
    double wait_us = limit / r->mean * (double)m->rule.interval_us;
    int64_t time_us = h->last_us + (int64_t)(wait_us < 9e15 ? wait_us : 9e15);
    hx_text reason = {0}, detail = {0};

    h->silent = true;
    if (!may_report(m, h, time_us))
        return;
    hx_text_printf(&reason,
                   "The host %.*s is silent: nothing for %.3g s, where %.3g lines are usual.",
                   (int)h->name_len, h->name, wait_us / 1e6, limit);
    hx_text_str(&detail, "{\"host\": ");
    hx_text_json_string(&detail, hx_slice_make(h->name, h->name_len));
    hx_text_str(&detail, ", \"last\": ");
    hx_text_json_time(&detail, h->last_us);
    hx_text_printf(&detail, ", \"seconds\": %.6g, \"usual\": %.6g}", wait_us / 1e6, limit);
    reporter->report(reporter, NULL, time_us,
                     &(hx_finding){.rule = "silence",
                                   .score = limit,
                                   .limit = limit,
                                   .evidence = hx_evidence_of(&m->rule.silence, limit),
                                   .subject = hx_slice_make(h->name, h->name_len),
                                   .detail = hx_slice_make(detail.ptr, detail.len),
                                   .reason = hx_slice_make(reason.ptr, reason.len)});
    hx_text_free(&reason);
    hx_text_free(&detail);
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
                hx_rate_excess(longer->count, usual_by(s, longer)) > m->rule.burst_limit[l + 1] &&
                may_report(m, h, e->time_us))
                report_burst(m, s, h, l + 1, e, reporter);
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
            hx_histogram_record(&s->observed->silence, (uint64_t)(score * OBSERVED_UNITS));
        if (score > m->rule.silence_limit)
            report_silence(m, h, reporter);
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
        h->alarm_at += h->alarm_at / 16 + 1; /* where the share does not agree, again later */
        if (hx_rate_excess(r->count, usual_by(s, r)) > m->rule.burst_limit[0] &&
            may_report(m, h, e->time_us))
            report_burst(m, s, h, 0, e, reporter);
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
        if (!e->host_len || e->host_len > NAME_MAX_BYTES || !owns(s, e->host))
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
            report_silence(m, h, reporter);
    }
}

/* --- state -------------------------------------------------------------------------------------
 */

static void rates_close(void *state)
{
    rates_state *s = state;

    if (!s)
        return;
    hx_pages_unmap(s->hosts, s->max * sizeof *s->hosts);
    hx_pages_unmap(s->index, ((size_t)s->mask + 1) * sizeof *s->index);
    free(s->observed);
    free(s);
}

static int rates_open(const void *model, uint32_t worker, uint32_t workers, void **state)
{
    const rates_model *m = model;
    rates_state *s = calloc(1, sizeof *s);
    uint32_t places = 64;

    if (!s)
        return HX_ENOMEM;
    while (places < 2 * m->rule.max_hosts)
        places *= 2;
    *s = (rates_state){
        .worker = worker, .workers = workers, .max = m->rule.max_hosts, .mask = places - 1};
    for (uint32_t i = 0; i < STARTS; i++)
        s->start[i].interval = INT64_MIN;
    s->hosts = hx_pages_map(s->max * sizeof *s->hosts);
    s->index = hx_pages_map((size_t)places * sizeof *s->index);
    if (m->rule.observe)
        s->observed = calloc(1, sizeof *s->observed);
    if (!s->hosts || !s->index || (m->rule.observe && !s->observed)) {
        rates_close(s);
        return HX_ENOMEM;
    }
    *state = s;
    return 0;
}

typedef struct saved_rates {
    uint32_t version, hosts;
    uint64_t total;
    rate_start start[STARTS];
} saved_rates;

static void rates_save(const void *state, hx_text *out)
{
    const rates_state *s = state;
    saved_rates head = {STATE_VERSION, s->count, s->total, {{0}}};

    memcpy(head.start, s->start, sizeof head.start);
    hx_text_bytes(out, &head, sizeof head);
    hx_text_bytes(out, s->hosts, s->count * sizeof *s->hosts);
}

/* Every worker counts all events, so each one's total is the same; hosts go to who owns them now.
 * Numbers that cannot be are put right: a checkpoint's bytes are anybody's. */
static int rates_restore(const void *model, void *state, const char *bytes, size_t len)
{
    rates_state *s = state;
    saved_rates head;

    (void)model;
    if (len < sizeof head)
        return HX_EMALFORMED;
    memcpy(&head, bytes, sizeof head);
    if (head.version != STATE_VERSION || len - sizeof head != head.hosts * sizeof(rate_host))
        return HX_EMALFORMED;
    s->total = head.total;
    memcpy(s->start, head.start, sizeof s->start);
    for (uint32_t i = 0; i < head.hosts; i++) {
        rate_host saved, *h;

        memcpy(&saved, bytes + sizeof head + i * sizeof saved, sizeof saved);
        if (!owns(s, saved.hash))
            continue;
        if (saved.name_len > NAME_MAX_BYTES)
            return HX_EMALFORMED;
        for (uint32_t l = 0; l < HX_RATE_LEVELS; l++)
            if (!(saved.level[l].mean >= 0 && saved.level[l].mean < 1e12) ||
                !(saved.level[l].share >= 0 && saved.level[l].share <= 1))
                return HX_EMALFORMED;
        h = add_host(s, saved.hash);
        if (h)
            *h = saved;
    }
    return 0;
}

/* Scores of normal logs, as [[score in nats, how often], ...] for each level and for silences. */
static void put_histogram(const hx_histogram *h, hx_text *out)
{
    bool first = true;

    hx_text_str(out, "[");
    for (uint32_t b = 0; b < HX_HISTOGRAM_BUCKETS; b++) {
        uint64_t n = atomic_load(&h->bucket[b]);

        if (!n)
            continue;
        hx_text_printf(out, "%s[%.9g, %llu]", first ? "" : ", ",
                       (double)hx_histogram_floor(b) / OBSERVED_UNITS, (unsigned long long)n);
        first = false;
    }
    hx_text_str(out, "]");
}

static void rates_observed_put(const void *state, hx_text *out)
{
    const rates_state *s = state;

    if (!s->observed)
        return;
    hx_text_str(out, "\"burst\": [");
    for (uint32_t l = 0; l < HX_RATE_LEVELS; l++) {
        hx_text_str(out, l ? ", " : "");
        put_histogram(&s->observed->burst[l], out);
    }
    hx_text_str(out, "], \"silence\": ");
    put_histogram(&s->observed->silence, out);
    hx_text_printf(out, ", \"hosts\": %u", s->count);
}

/* --- the bundle's part -------------------------------------------------------------------------
 */

static int get(const cJSON *section, const char *key, double low, double high, double *out,
               hx_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(section, key);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: rates.%s: a number from %g to %g is needed", key, low,
                            high);
    *out = item->valuedouble;
    return 0;
}

/* A limit that is null is none: nothing is above it. */
static int get_limit(const cJSON *item, const char *key, double *out, hx_error *err)
{
    if (cJSON_IsNull(item)) {
        *out = INFINITY;
        return 0;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble > 0))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: rates.%s: a number above 0, or null, is needed", key);
    *out = item->valuedouble;
    return 0;
}

static int read_bursts(const cJSON *list, hx_rates_model *rule, hx_error *err)
{
    int rc = 0;

    if (cJSON_GetArraySize(list) != HX_RATE_LEVELS)
        return hx_error_set(err, HX_EMALFORMED, "manifest.json: rates.burst: %d levels are needed",
                            HX_RATE_LEVELS);
    for (int l = 0; l < HX_RATE_LEVELS && !rc; l++) {
        const cJSON *level = cJSON_GetArrayItem(list, l);

        rc = get_limit(cJSON_GetObjectItemCaseSensitive(level, "limit"), "burst.limit",
                       &rule->burst_limit[l], err);
        if (!rc)
            rc = hx_evidence_read(cJSON_GetObjectItemCaseSensitive(level, "evidence"),
                                  "rates.burst", &rule->burst[l], err);
    }
    return rc;
}

static int read_rule(const cJSON *section, hx_rates_model *rule, hx_error *err)
{
    const cJSON *silence = cJSON_GetObjectItemCaseSensitive(section, "silence");
    double interval = 0, warm = 0, hosts = 0, repeat = 0;
    int rc = get(section, "interval_s", 0.001, 86400, &interval, err);

    if (!rc)
        rc = get(section, "warm", 1, 1e6, &warm, err);
    if (!rc)
        rc = get(section, "max_hosts", 1, 1e6, &hosts, err);
    if (!rc)
        rc = get(section, "repeat_s", 0, 1e9, &repeat, err);
    if (!rc)
        rc = read_bursts(cJSON_GetObjectItemCaseSensitive(section, "burst"), rule, err);
    if (!rc)
        rc = get_limit(cJSON_GetObjectItemCaseSensitive(silence, "limit"), "silence.limit",
                       &rule->silence_limit, err);
    if (!rc)
        rc = hx_evidence_read(cJSON_GetObjectItemCaseSensitive(silence, "evidence"),
                              "rates.silence", &rule->silence, err);
    rule->interval_us = (int64_t)(interval * 1e6 + 0.5);
    rule->warm = (uint32_t)warm;
    rule->max_hosts = (uint32_t)hosts;
    rule->repeat_us = (int64_t)(repeat * 1e6);
    rule->observe = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(section, "observe"));
    return rc;
}

static int rates_load(const cJSON *section, const hx_bundle_files *files,
                      const struct hx_bundle *bundle, void **model, hx_error *err)
{
    rates_model *m = calloc(1, sizeof *m);
    int rc;

    (void)files;
    if (!m)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    m->bundle = bundle;
    rc = read_rule(section, &m->rule, err);
    if (rc) {
        free(m);
        return rc;
    }
    *model = m;
    return 0;
}

const hx_detector hx_rates_detector = {
    .name = "rates",
    .wants_hosts = true,
    .load = rates_load,
    .unload = free,
    .open = rates_open,
    .close = rates_close,
    .lines = rates_lines,
    .advance = rates_advance,
    .save = rates_save,
    .restore = rates_restore,
    .observed = rates_observed_put,
};
