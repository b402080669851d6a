/* What a worker keeps of its hosts: made, saved, put back, shown to training. */
#include "detect/rates.h"

#include <haechi/pages.h>

#include <stdlib.h>

#define STATE_VERSION 1

void hx_rates_close(void *state)
{
    rates_state *s = state;

    if (!s)
        return;
    hx_pages_unmap(s->hosts, s->max * sizeof *s->hosts);
    hx_pages_unmap(s->index, ((size_t)s->mask + 1) * sizeof *s->index);
    free(s->observed);
    free(s);
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
    *s = (rates_state){
        .worker = worker, .workers = workers, .max = m->rule.max_hosts, .mask = places - 1};
    for (uint32_t i = 0; i < HX_RATE_STARTS; i++)
        s->start[i].interval = INT64_MIN;
    s->hosts = hx_pages_map(s->max * sizeof *s->hosts);
    s->index = hx_pages_map((size_t)places * sizeof *s->index);
    if (m->rule.observe)
        s->observed = calloc(1, sizeof *s->observed);
    if (!s->hosts || !s->index || (m->rule.observe && !s->observed)) {
        hx_rates_close(s);
        return HX_ENOMEM;
    }
    *state = s;
    return 0;
}

typedef struct saved_rates {
    uint32_t version, hosts;
    uint64_t total;
    rate_start start[HX_RATE_STARTS];
} saved_rates;

void hx_rates_save(const void *state, hx_text *out)
{
    const rates_state *s = state;
    saved_rates head = {STATE_VERSION, s->count, s->total, {{0}}};

    memcpy(head.start, s->start, sizeof head.start);
    hx_text_bytes(out, &head, sizeof head);
    hx_text_bytes(out, s->hosts, s->count * sizeof *s->hosts);
}

/* Every worker counts all events, so each one's total is the same; hosts go to who owns them now.
 * Numbers that cannot be are put right: a checkpoint's bytes are anybody's. */
int hx_rates_restore(const void *model, void *state, const char *bytes, size_t len)
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
        if (!hx_rates_owns(s, saved.hash))
            continue;
        if (saved.name_len > HX_RATE_NAME_MAX)
            return HX_EMALFORMED;
        for (uint32_t l = 0; l < HX_RATE_LEVELS; l++)
            if (!(saved.level[l].mean >= 0 && saved.level[l].mean < 1e12) ||
                !(saved.level[l].share >= 0 && saved.level[l].share <= 1))
                return HX_EMALFORMED;
        h = hx_rates_add_host(s, saved.hash);
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
                       (double)hx_histogram_floor(b) / HX_RATE_OBSERVED_UNITS,
                       (unsigned long long)n);
        first = false;
    }
    hx_text_str(out, "]");
}

void hx_rates_observed(const void *state, hx_text *out)
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
