#include "detect/batch.h"
#include "detect/combos_parts.h"

#include <haechi/hash.h>
#include <haechi/pages.h>

#include <stdlib.h>

#define BLOCK         64    /* lines that are looked through at once */
#define NUMBERED      64    /* processes whose pairs are a bit each: those with the first numbers */
#define REPORTED_MAX  16384 /* pairs whose report is remembered */
#define STATE_VERSION 1

static bool host_is_new(const hx_combos_model *m, combos_state *s, const hx_event *e,
                        const char *buffer, hx_reporter *reporter)
{
    const hx_combo_set *set = &m->set[HX_COMBO_HOST_PROCESS];
    hx_slice host = hx_slice_make(buffer + e->host_at, e->host_len);
    hx_slice process = hx_slice_make(buffer + e->process_at, e->process_len);

    return hx_combos_judge(
        m, s, HX_COMBO_HOST_PROCESS, e,
        hx_combo_by_name(&set->first, host, hx_hash_bytes(host.ptr, host.len, HX_HASH_SEED)),
        hx_combo_by_name(&set->second, process, e->process), reporter);
}

static bool key_is_new(const hx_combos_model *m, combos_state *s, const hx_event *e,
                       const char *buffer, hx_reporter *reporter)
{
    const hx_combo_set *set = &m->set[HX_COMBO_PROCESS_KEY];
    hx_slice process = hx_slice_make(buffer + e->process_at, e->process_len);

    return hx_combos_judge(m, s, HX_COMBO_PROCESS_KEY, e,
                           hx_combo_by_name(&set->first, process, e->process),
                           hx_combo_by_key(&set->second, e->key), reporter);
}

/* Nothing is to be said of this pair with a process: remembered. */
static bool host_is_known(const hx_combos_model *m, combos_state *s, const hx_seen_lines *lines,
                          const hx_seen *l, hx_reporter *reporter)
{
    const hx_event *e = &lines->events[l->event];
    const uint64_t with = hx_hash_u64(e->process, e->host);
    uint64_t *place = hx_combos_known(s, HX_COMBO_HOST_PROCESS, with);
    const bool by_bit = l->host && l->process && l->process < NUMBERED;

    if (!e->host_len)
        return true;
    if (by_bit || *place != with) {
        if (host_is_new(m, s, e, lines->buffer, reporter))
            return false;
        if (!by_bit)
            *place = with;
    }
    if (by_bit)
        s->processes_of_host[l->host] |= UINT64_C(1) << l->process;
    return true;
}

static void look_at_key(const hx_combos_model *m, combos_state *s, const hx_seen_lines *lines,
                        const hx_seen *l, hx_reporter *reporter)
{
    const hx_event *e = &lines->events[l->event];
    const uint64_t with = hx_hash_u64(e->process, e->key);
    uint64_t *place = hx_combos_known(s, HX_COMBO_PROCESS_KEY, with);
    const bool by_bit = l->process && l->process < NUMBERED && l->key < s->key_count;

    if ((!by_bit && *place == with) || key_is_new(m, s, e, lines->buffer, reporter))
        return;
    if (by_bit)
        s->processes_of_key[l->key] |= UINT64_C(1) << l->process;
    else
        *place = with;
}

/* Both pairs hold the process, so whoever owns that owns them. Of those a line raises one alert:
 * what is new of its second pair is said with the next one. */
static inline void look_at_pairs(const hx_combos_model *m, combos_state *s,
                                 const hx_seen_lines *lines, const hx_seen *l,
                                 hx_reporter *reporter)
{
    const uint64_t bit = l->process && l->process < NUMBERED ? UINT64_C(1) << l->process : 0;
    const uint64_t of_key = l->key < s->key_count ? s->processes_of_key[l->key] : 0;

    if (__builtin_expect(s->processes_of_host[l->host] & of_key & bit, 1))
        return;
    if (!lines->events[l->event].process_len)
        return;
    if (!(s->processes_of_host[l->host] & bit) && !host_is_known(m, s, lines, l, reporter))
        return;
    if (!(of_key & bit))
        look_at_key(m, s, lines, l, reporter);
}

/* Whether there is anything to do for a line, without a branch: hardly ever, but for those that
 * name a user, and these come as they like. */
static inline bool is_due(const combos_state *s, const hx_seen *l)
{
    const uint64_t of_key = s->processes_of_key[l->key < s->key_count ? l->key : s->key_count];
    const uint64_t both = s->processes_of_host[l->host] & of_key;
    const bool known = (both >> (l->process % NUMBERED) & 1) & (l->process < NUMBERED);
    const bool of_process = l->process_owner == s->worker, of_host = l->host_owner == s->worker;

    return (of_process & !known) | ((of_process | of_host) & (of_key & HX_COMBOS_NAMES));
}

/* What was read has left the caches since. */
static inline __attribute__((always_inline)) void fetch(const hx_seen_lines *lines,
                                                        const uint32_t *due, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        const hx_event *e = &lines->events[lines->line[due[k]].event];

        __builtin_prefetch(&e->line);
        __builtin_prefetch(&e->process);
    }
    for (uint32_t k = 0; k < count; k++) {
        const char *text = lines->buffer + lines->events[lines->line[due[k]].event].process_at;

        __builtin_prefetch(text);
        __builtin_prefetch(text + 64);
    }
}

static void combos_lines(const void *model, void *state, const hx_seen_lines *lines,
                         hx_reporter *reporter)
{
    const hx_combos_model *m = model;
    combos_state *s = state;

    for (uint32_t from = 0; from < lines->count; from += BLOCK) {
        const uint32_t to = lines->count - from < BLOCK ? lines->count : from + BLOCK;
        uint32_t due[BLOCK], count = 0;

        for (uint32_t i = from; i < to; i++) {
            due[count] = i;
            count += is_due(s, &lines->line[i]);
        }
        fetch(lines, due, count);
        for (uint32_t k = 0; k < count; k++) {
            const hx_seen *l = &lines->line[due[k]];

            if (l->key < s->key_count && s->processes_of_key[l->key] & HX_COMBOS_NAMES)
                hx_combos_judge_user(m, s, lines, l, reporter);
            if (l->process_owner == s->worker)
                look_at_pairs(m, s, lines, l, reporter);
        }
    }
}

/* --- state -------------------------------------------------------------------------------------
 */

static void combos_close(void *state)
{
    combos_state *s = state;

    for (uint32_t k = 0; k < HX_COMBO_KINDS; k++)
        if (s->known[k])
            hx_pages_unmap(s->known[k], HX_COMBOS_KNOWN * sizeof *s->known[k]);
    hx_pages_unmap(s->processes_of_host, (HX_HOST_NUMBERS + 1) * sizeof *s->processes_of_host);
    hx_pages_unmap(s->known_of_host, (HX_HOST_NUMBERS + 1) * sizeof *s->known_of_host);
    free(s->known_of_process);
    free(s->processes_of_key);
    free(s->users_of_host);
    free(s->users_of_process);
    hx_novelty_free(&s->reported);
    free(s);
}

static void mark_names(const hx_combos_model *m, combos_state *s)
{
    for (uint32_t key = 0; m->word_of_key && key < m->key_count && key < s->key_count; key++)
        if (m->word_of_key[key])
            s->processes_of_key[key] = HX_COMBOS_NAMES;
}

static int combos_open(const void *model, uint32_t worker, uint32_t workers, void **state)
{
    const hx_combos_model *m = model;
    combos_state *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return HX_ENOMEM;
    s->worker = worker;
    s->workers = workers;
    s->key_count = m->bundle->log_keys;
    rc = hx_novelty_init(&s->reported, REPORTED_MAX);
    s->processes_of_host = hx_pages_map((HX_HOST_NUMBERS + 1) * sizeof *s->processes_of_host);
    s->processes_of_key = calloc(s->key_count + 1, sizeof *s->processes_of_key);
    s->known_of_host = hx_pages_map((HX_HOST_NUMBERS + 1) * sizeof *s->known_of_host);
    s->known_of_process = calloc(HX_PROCESS_NUMBERS + 1, sizeof *s->known_of_process);
    s->users_of_host = calloc(HX_HOST_NUMBERS + 1, 1);
    s->users_of_process = calloc(HX_PROCESS_NUMBERS + 1, 1);
    if (!s->processes_of_host || !s->processes_of_key || !s->known_of_host ||
        !s->known_of_process || !s->users_of_host || !s->users_of_process)
        rc = HX_ENOMEM;
    else
        mark_names(m, s);
    for (uint32_t k = 0; k < HX_COMBO_KINDS; k++) {
        s->known[k] = hx_pages_map(HX_COMBOS_KNOWN * sizeof *s->known[k]);
        if (!s->known[k])
            rc = HX_ENOMEM;
    }
    if (rc) {
        combos_close(s);
        return rc;
    }
    *state = s;
    return 0;
}

static void combos_save(const void *state, hx_text *out)
{
    const combos_state *s = state;
    const uint32_t version = STATE_VERSION;

    hx_text_bytes(out, &version, sizeof version);
    for (uint32_t i = 0; i <= s->reported.mask + 1; i++)
        if (s->reported.entries[i].id)
            hx_text_bytes(out, &s->reported.entries[i], sizeof s->reported.entries[i]);
}

static int combos_restore(const void *model, void *state, const char *bytes, size_t len)
{
    combos_state *s = state;
    uint32_t version = 0;

    (void)model;
    if (len >= sizeof version)
        memcpy(&version, bytes, sizeof version);
    if (version != STATE_VERSION || (len - sizeof version) % sizeof(hx_novelty_entry))
        return HX_EMALFORMED;
    for (size_t at = sizeof version; at < len; at += sizeof(hx_novelty_entry)) {
        hx_novelty_entry entry;

        memcpy(&entry, bytes + at, sizeof entry);
        if (entry.id && hx_batch_owner(entry.id, s->workers) == s->worker)
            hx_novelty_restore(&s->reported, entry);
    }
    return 0;
}

const hx_detector hx_combos_detector = {
    .name = "combos",
    .wants_hosts = true,
    .wants_processes = true,
    .load = hx_combos_load,
    .unload = hx_combos_unload,
    .open = combos_open,
    .close = combos_close,
    .lines = combos_lines,
    .save = combos_save,
    .restore = combos_restore,
};
