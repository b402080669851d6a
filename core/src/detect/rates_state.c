/* What a worker keeps of hosts and log keys: made, saved, put back, shown to training. */
#include "detect/rates.h"

#include <haechi/pages.h>

#include <stdlib.h>

#define STATE_VERSION 4
#define TIME_MOST     (INT64_MAX / 4) /* so that sums and differences of times stay within bounds */

void hx_rates_close(void *state)
{
    rates_state *s = state;

    if (!s)
        return;
    if (s->hosts)
        hx_pages_unmap(s->hosts, s->max * sizeof *s->hosts);
    if (s->index)
        hx_pages_unmap(s->index, ((size_t)s->mask + 1) * sizeof *s->index);
    if (s->keys)
        hx_pages_unmap(s->keys, (s->key_count + 1) * sizeof *s->keys);
    hx_pages_unmap(s->numbered, (HX_HOST_NUMBERS + 1) * sizeof *s->numbered);
    if (s->hot_hosts)
        hx_pages_unmap(s->hot_hosts, (s->max + 1) * sizeof *s->hot_hosts);
    if (s->hot_keys)
        hx_pages_unmap(s->hot_keys, (s->key_count + 1) * sizeof *s->hot_keys);
    if (s->votes)
        hx_pages_unmap(s->votes, (s->max + 1) * sizeof *s->votes);
    free(s->place_of_key);
    if (s->observed)
        hx_text_free(&s->observed->hours);
    free(s->observed);
    free(s);
}

static void begin_keys(const rates_model *m, rates_state *s)
{
    const rate_hot nobody = {.ends_us = INT64_MAX, .quiet_us = UINT32_MAX};

    s->hot_hosts[0] = s->hot_keys[0] = nobody;
    for (uint32_t key = 0; key < s->key_count; key++) {
        rate_watch *w = &s->keys[key];

        *w = (rate_watch){
            .standing = RATE_UNKNOWN, .reported_us = HX_TIME_NONE, .hour_alarm_at = UINT32_MAX};
        hx_rates_arm(m, s, HX_RATE_KEYS, w);
        if (hx_rates_owns(s, (uint32_t)m->bundle->key_hash[key])) {
            s->place_of_key[key] = key + 1;
            w->season = hx_rates_season_of_key(&m->seasons, key);
        }
    }
}

int hx_rates_open(const void *model, uint32_t worker, uint32_t workers, void **state)
{
    const rates_model *m = model;
    rates_state *s = calloc(1, sizeof *s);
    uint32_t places = 64;

    if (!s)
        return HX_ENOMEM;
    while (places < 2 * m->rule.max_hosts)
        places *= 2;
    *s = (rates_state){.worker = worker,
                       .workers = workers,
                       .max = m->rule.max_hosts,
                       .mask = places - 1,
                       .open_from_us = INT64_MAX, /* no event is in it */
                       .open_until_us = INT64_MIN,
                       .late_interval = INT64_MIN,
                       .quiet_after_us = INT64_MIN,
                       .lost_us = HX_TIME_NONE,
                       .key_hash = m->bundle->key_hash,
                       .key_count = m->rule.watch_keys ? m->bundle->log_keys : 0};
    s->hour_ends_us = m->seasons.period || m->rule.observe ? INT64_MIN : INT64_MAX;
    for (uint32_t i = 0; i < HX_RATE_STARTS; i++)
        s->start[i].interval = INT64_MIN;
    s->hosts = hx_pages_map(s->max * sizeof *s->hosts);
    s->index = hx_pages_map((size_t)places * sizeof *s->index);
    s->keys = hx_pages_map((s->key_count + 1) * sizeof *s->keys);
    s->numbered = hx_pages_map((HX_HOST_NUMBERS + 1) * sizeof *s->numbered);
    s->hot_hosts = hx_pages_map((s->max + 1) * sizeof *s->hot_hosts);
    s->hot_keys = hx_pages_map((s->key_count + 1) * sizeof *s->hot_keys);
    s->votes = hx_pages_map((s->max + 1) * sizeof *s->votes);
    s->place_of_key = calloc(s->key_count + 1, sizeof *s->place_of_key);
    if (m->rule.observe)
        s->observed = calloc(1, sizeof *s->observed);
    if (!s->hosts || !s->index || !s->keys || !s->numbered || !s->hot_hosts || !s->hot_keys ||
        !s->votes || !s->place_of_key || (m->rule.observe && !s->observed)) {
        hx_rates_close(s);
        return HX_ENOMEM;
    }
    begin_keys(m, s);
    *state = s;
    return 0;
}

/* --- a checkpoint ------------------------------------------------------------------------------
 */

typedef struct saved_rates {
    uint32_t version, hosts, keys, ahead;
    uint64_t total, hour_began;
    int64_t hour, hour_ends_us;
    uint64_t hour_whole;
    rate_start start[HX_RATE_STARTS];
} saved_rates;

typedef struct saved_key {
    uint64_t hash; /* of its template: the same key in another bundle */
    uint64_t key;
    rate_watch watch;
} saved_key;

static bool is_saved(const rate_watch *w)
{
    return w->standing == RATE_WATCHED || w->standing == RATE_SILENT;
}

void hx_rates_save(const void *state, hx_text *out)
{
    const rates_state *s = state;
    saved_rates head = {.version = STATE_VERSION,
                        .hosts = s->count,
                        .ahead = s->ahead,
                        .total = s->total,
                        .hour_began = s->hour_began,
                        .hour = s->hour,
                        .hour_ends_us = s->hour_ends_us,
                        .hour_whole = s->hour_whole};

    hx_rates_settle_all(s);
    for (uint32_t key = 0; key < s->key_count; key++)
        head.keys += is_saved(&s->keys[key]);
    memcpy(head.start, s->start, sizeof head.start);
    hx_text_bytes(out, &head, sizeof head);
    hx_text_bytes(out, s->hosts, s->count * sizeof *s->hosts);
    for (uint32_t key = 0; key < s->key_count; key++) {
        saved_key saved = {s->key_hash[key], key, s->keys[key]};

        if (is_saved(&s->keys[key]))
            hx_text_bytes(out, &saved, sizeof saved);
    }
}

static bool time_is_good(int64_t time_us)
{
    return time_us > -TIME_MOST && time_us < TIME_MOST;
}

/* Numbers that cannot be are refused: a checkpoint's bytes are anybody's. */
static bool watch_is_good(const rate_watch *w)
{
    if (!time_is_good(w->last_us) || !time_is_good(w->quiet_us) || !is_saved(w) ||
        w->hour_closed > UINT32_MAX || w->hour_closed < -(int64_t)UINT32_MAX ||
        (w->reported_us != HX_TIME_NONE && !time_is_good(w->reported_us)))
        return false;
    for (uint32_t l = 0; l < HX_RATE_LEVELS; l++)
        if (!(w->level[l].mean >= 0 && w->level[l].mean < 1e12) ||
            !(w->level[l].share >= 0 && w->level[l].share <= 1) || !(w->level[l].peak >= 0) ||
            !time_is_good(w->level[l].interval))
            return false;
    return true;
}

static int restore_hosts(const rates_model *m, rates_state *s, const char *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        rate_host saved, *h;

        memcpy(&saved, bytes + i * sizeof saved, sizeof saved);
        if (!hx_rates_owns(s, saved.hash))
            continue;
        if (saved.name_len > HX_RATE_NAME_MAX || !watch_is_good(&saved.watch))
            return HX_EMALFORMED;
        h = hx_rates_add_host(s, saved.hash);
        if (!h)
            continue;
        *h = saved;
        h->watch.season = hx_rates_season_of_host(&m->seasons, saved.hash,
                                                  hx_slice_make(saved.name, saved.name_len));
        if (!h->watch.season)
            h->watch.hour_alarm_at = UINT32_MAX;
        s->votes[s->count] = (rate_vote){saved.watch.vote_key, saved.watch.vote};
        hx_rates_arm(m, s, HX_RATE_HOSTS, &h->watch);
    }
    return 0;
}

/* Where a log key is now; key_count where it is gone. */
static uint32_t key_now(const rates_state *s, const saved_key *saved)
{
    uint32_t key = 0;

    if (saved->key < s->key_count && s->key_hash[saved->key] == saved->hash)
        return (uint32_t)saved->key;
    while (key < s->key_count && s->key_hash[key] != saved->hash)
        key++;
    return key;
}

static int restore_keys(const rates_model *m, rates_state *s, const char *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        saved_key saved;
        uint32_t key;

        memcpy(&saved, bytes + i * sizeof saved, sizeof saved);
        key = key_now(s, &saved);
        if (key == s->key_count || !s->place_of_key[key])
            continue;
        if (!watch_is_good(&saved.watch))
            return HX_EMALFORMED;
        s->keys[key] = saved.watch;
        s->keys[key].season = hx_rates_season_of_key(&m->seasons, key);
        if (!s->keys[key].season)
            s->keys[key].hour_alarm_at = UINT32_MAX;
        hx_rates_arm(m, s, HX_RATE_KEYS, &s->keys[key]);
    }
    return 0;
}

/* Every worker counts all events, so each one's total is the same; hosts and log keys go to who
 * owns them now. */
int hx_rates_restore(const void *model, void *state, const char *bytes, size_t len)
{
    rates_state *s = state;
    saved_rates head;
    int rc;

    if (len < sizeof head)
        return HX_EMALFORMED;
    memcpy(&head, bytes, sizeof head);
    if (head.version != STATE_VERSION ||
        len - sizeof head != head.hosts * sizeof(rate_host) + head.keys * sizeof(saved_key))
        return HX_EMALFORMED;
    s->total = head.total;
    memcpy(s->start, head.start, sizeof s->start);
    if (s->hour_ends_us != INT64_MAX && time_is_good(head.hour_ends_us) &&
        hx_rates_hour_of(head.hour_ends_us - 1) == head.hour) {
        s->hour = head.hour;
        s->hour_ends_us = head.hour_ends_us;
        s->hour_began = head.hour_began;
        s->hour_whole = head.hour_whole != 0;
        s->ahead = head.ahead;
    }
    rc = restore_hosts(model, s, bytes + sizeof head, head.hosts);
    return rc ? rc
              : restore_keys(model, s, bytes + sizeof head + head.hosts * sizeof(rate_host),
                             head.keys);
}

/* --- training ----------------------------------------------------------------------------------
 */

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
                       (double)hx_histogram_floor(b) / HX_RATE_OBSERVED_UNITS,
                       (unsigned long long)n);
        first = false;
    }
    hx_text_str(out, "]");
}

static void put_group(const rates_observed *o, hx_rate_group group, hx_text *out)
{
    hx_text_str(out, "{\"burst\": [");
    for (uint32_t l = 0; l < HX_RATE_LEVELS; l++) {
        hx_text_str(out, l ? ", " : "");
        put_histogram(&o->burst[group][l], out);
    }
    hx_text_str(out, "], \"silence\": ");
    put_histogram(&o->silence[group], out);
    hx_text_str(out, "}");
}

void hx_rates_observed(const void *state, hx_text *out)
{
    const rates_state *s = state;
    const rates_observed *o = s->observed;

    if (!o)
        return;
    hx_text_str(out, "\"of_hosts\": ");
    put_group(o, HX_RATE_HOSTS, out);
    hx_text_str(out, ", \"of_keys\": ");
    put_group(o, HX_RATE_KEYS, out);
    hx_text_printf(out, ", \"hosts\": %u, \"hours_cut\": %s, \"hours\": [", s->count,
                   o->hours_cut ? "true" : "false");
    hx_text_bytes(out, o->hours.ptr, o->hours.len);
    hx_text_str(out, "]");
}
