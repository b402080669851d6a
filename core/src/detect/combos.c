#include "detect/combos.h"

#include "detect/batch.h"
#include "detect/novelty.h"

#include <haechi/hash.h>
#include <haechi/pages.h>
#include <haechi/users.h>

#include <stdlib.h>

#define KNOWN_PLACES  16384 /* of each kind, eight bytes each */
#define NUMBERED      64    /* processes whose pairs are a bit each: those with the first numbers */
#define REPORTED_MAX  16384 /* pairs whose report is remembered */
#define STATE_VERSION 1
#define SHOWN_MAX     120 /* bytes of a name in the reason */

/* Pairs that were looked up, and of which nothing is to be said, are remembered: by the numbers of
 * their names as bits, which are few enough to stay near; and where a name has none, or not one of
 * the first, by a hash of the pair. */
typedef struct combos_state {
    uint32_t worker, workers;
    uint64_t *processes_of_host; /* [HX_HOST_NUMBERS + 1], a bit a process */
    uint64_t *processes_of_key;  /* [key_count], likewise */
    uint8_t *users_of_host;      /* [HX_HOST_NUMBERS + 1], whether its users matter */
    uint8_t *users_of_process;   /* [HX_PROCESS_NUMBERS + 1] */
    uint32_t key_count;
    uint64_t *known[HX_COMBO_KINDS];
    hx_novelty reported;
} combos_state;

/* --- what is said ------------------------------------------------------------------------------
 */

typedef struct combo_words {
    const char *rule;
    const char *kind, *first, *second; /* of the detail */
    const char *never;                 /* %.*s: the first, then the second */
    const char *of_first, *of_second;
} combo_words;

static const combo_words words[HX_COMBO_KINDS] = {
    [HX_COMBO_HOST_PROCESS] = {"new_pair", "host_process", "host", "process",
                               "The host %.*s was never seen with the process %.*s",
                               "usual there are ", "it is usual on "},
    [HX_COMBO_PROCESS_KEY] = {"new_pair", "process_key", "process", "template",
                              "The process %.*s was never seen to say \"%.*s\"", "it usually says ",
                              "usually that is said by "},
    [HX_COMBO_HOST_USER] = {"new_user_of_host", "host_user", "host", "user",
                            "The host %.*s was never seen with the user %.*s", "usual there are ",
                            "that user is usual on "},
    [HX_COMBO_PROCESS_USER] = {"new_user_of_process", "process_user", "process", "user",
                               "The process %.*s was never seen with the user %.*s",
                               "its usual ones are ", "that user is usual with "},
};

static int shown(const hx_combo_member *member)
{
    return (int)(member->len < SHOWN_MAX ? member->len : SHOWN_MAX);
}

static void list_usual(const hx_combo_member *member, hx_text *reason)
{
    for (uint32_t i = 0; i < member->usual_count; i++)
        hx_text_printf(reason, "%s\"%.*s\"", i ? ", " : "", SHOWN_MAX, member->usual[i]);
}

static void put_member(const char *key, const hx_combo_member *member, hx_text *detail)
{
    hx_text_printf(detail, ", \"%s\": ", key);
    hx_text_json_string(detail, hx_slice_make(member->name, member->len));
    hx_text_printf(detail, ", \"%s_usual\": [", key);
    for (uint32_t i = 0; i < member->usual_count; i++) {
        hx_text_str(detail, i ? ", " : "");
        hx_text_json_string(detail, hx_slice_str(member->usual[i]));
    }
    hx_text_str(detail, "]");
}

static void report_pair(hx_combo_kind kind, const hx_combo_member *first,
                        const hx_combo_member *second, const hx_event *e, hx_reporter *reporter)
{
    const combo_words *w = &words[kind];
    const hx_combo_member *sure = first->nats > second->nats ? first : second;
    hx_text reason = {0}, detail = {0};

    hx_text_printf(&reason, w->never, shown(first), first->name, shown(second), second->name);
    hx_text_printf(&reason, "; %s", w->of_first);
    list_usual(first, &reason);
    if (second->usual_count) {
        hx_text_printf(&reason, ", and %s", w->of_second);
        list_usual(second, &reason);
    } else {
        hx_text_str(&reason, ", and nothing is known of that one");
    }
    hx_text_str(&reason, ".");
    hx_text_printf(&detail, "{\"pair\": \"%s\"", w->kind);
    put_member(w->first, first, &detail);
    put_member(w->second, second, &detail);
    hx_text_str(&detail, "}");
    reporter->report(
        reporter, e, e->time_us,
        &(hx_finding){.rule = w->rule,
                      .score = sure->nats,
                      .limit = sure->limit,
                      .evidence = sure->nats,
                      .detail = hx_slice_make(detail.ptr, detail.failed ? 0 : detail.len),
                      .reason = hx_slice_make(reason.ptr, reason.failed ? 0 : reason.len)});
    hx_text_free(&reason);
    hx_text_free(&detail);
}

/* --- an event ----------------------------------------------------------------------------------
 */

/* The upper half says whose it is: the process's owner's, or the host's. */
static uint64_t id_of(hx_combo_kind kind, const hx_event *e, const hx_combo_member *first,
                      const hx_combo_member *second)
{
    const uint64_t whose = kind == HX_COMBO_HOST_USER ? (uint64_t)e->host << 32 : e->process;
    uint64_t h = hx_hash_u64(hx_hash_bytes(first->name, first->len, HX_HASH_SEED), kind);

    h = hx_hash_bytes(second->name, second->len, h);
    return (whose & UINT64_C(0xffffffff00000000)) | (uint32_t)h;
}

/* False: of this pair nothing is to be said, now or ever. */
static bool judge(const hx_combos_model *m, combos_state *s, hx_combo_kind kind, const hx_event *e,
                  const hx_combo_member *first, const hx_combo_member *second,
                  hx_reporter *reporter)
{
    uint64_t since;

    if (!first || !second || !(first->settled || second->settled) ||
        hx_combo_seen(&m->set[kind], first, second))
        return false;
    if (hx_novelty_note(&s->reported, id_of(kind, e, first, second), e->time_us, m->repeat_us,
                        &since))
        report_pair(kind, first, second, e, reporter);
    return true;
}

static inline uint64_t *known_place(const combos_state *s, hx_combo_kind kind, uint64_t h)
{
    return &s->known[kind][h & (KNOWN_PLACES - 1)];
}

static bool host_is_new(const hx_combos_model *m, combos_state *s, const hx_event *e,
                        const char *buffer, hx_reporter *reporter)
{
    const hx_combo_set *set = &m->set[HX_COMBO_HOST_PROCESS];
    hx_slice host = hx_slice_make(buffer + e->host_at, e->host_len);
    hx_slice process = hx_slice_make(buffer + e->process_at, e->process_len);

    return judge(
        m, s, HX_COMBO_HOST_PROCESS, e,
        hx_combo_by_name(&set->first, host, hx_hash_bytes(host.ptr, host.len, HX_HASH_SEED)),
        hx_combo_by_name(&set->second, process, e->process), reporter);
}

static bool key_is_new(const hx_combos_model *m, combos_state *s, const hx_event *e,
                       const char *buffer, hx_reporter *reporter)
{
    const hx_combo_set *set = &m->set[HX_COMBO_PROCESS_KEY];
    hx_slice process = hx_slice_make(buffer + e->process_at, e->process_len);

    return judge(m, s, HX_COMBO_PROCESS_KEY, e, hx_combo_by_name(&set->first, process, e->process),
                 hx_combo_by_key(&set->second, e->key), reporter);
}

/* A user who is no member is judged by the other side alone. */
static bool user_is_new(const hx_combos_model *m, combos_state *s, hx_combo_kind kind,
                        const hx_event *e, const hx_combo_member *first,
                        const hx_combo_member *second, hx_slice user, hx_reporter *reporter)
{
    const hx_combo_member stranger = {.name = user.ptr, .len = user.len};
    uint64_t since;

    if (second || !first || !first->settled)
        return judge(m, s, kind, e, first, second, reporter);
    if (hx_novelty_note(&s->reported, id_of(kind, e, first, &stranger), e->time_us, m->repeat_us,
                        &since))
        report_pair(kind, first, &stranger, e, reporter);
    return true;
}

/* The user's name is looked for in what stands behind the process: a line's text, and what its
 * header still holds. */
static hx_slice user_of(const hx_combos_model *m, const hx_event *e, const char *buffer)
{
    const uint32_t behind = e->process_at + e->process_len, end = e->line + e->length;

    if (behind < e->line || behind >= end)
        return (hx_slice){0};
    return hx_user_find(m->word[m->word_of_key[e->key] - 1],
                        hx_slice_make(buffer + behind, end - behind));
}

/* Which users could be new to the first side: of one that is not settled only those who are. */
typedef enum users_matter {
    USERS_UNKNOWN,
    USERS_NEVER,
    USERS_SETTLED,
    USERS_ALL,
} users_matter;

/* One side of the pairs with users: a line's host or its process. */
typedef struct user_side {
    hx_combo_kind kind;
    hx_slice name;
    uint64_t hash; /* of the name */
    uint64_t with; /* in the hash of the pair */
} user_side;

static users_matter who_matters(const hx_combo_set *set, const user_side *side)
{
    const hx_combo_member *first = hx_combo_by_name(&set->first, side->name, side->hash);

    if (!first || (!first->settled && !set->second_settled))
        return USERS_NEVER;
    return first->settled ? USERS_ALL : USERS_SETTLED;
}

static user_side host_side(const hx_seen_lines *lines, const hx_seen *l)
{
    const hx_event *e = &lines->events[l->event];
    const hx_slice name = hx_slice_make(lines->buffer + e->host_at, e->host_len);

    return (user_side){HX_COMBO_HOST_USER, name, hx_hash_bytes(name.ptr, name.len, HX_HASH_SEED),
                       e->host};
}

static user_side process_side(const hx_seen_lines *lines, const hx_seen *l)
{
    const hx_event *e = &lines->events[l->event];

    return (user_side){HX_COMBO_PROCESS_USER,
                       hx_slice_make(lines->buffer + e->process_at, e->process_len), e->process,
                       e->process};
}

/* Of this worker's host or process; remembered by its number, if it has one. */
static users_matter users_of_host(const hx_combos_model *m, combos_state *s,
                                  const hx_seen_lines *lines, const hx_seen *l)
{
    uint8_t *known = &s->users_of_host[l->host], found = *known;

    if (l->host_owner != s->worker)
        return USERS_NEVER;
    if (found == USERS_UNKNOWN) {
        const user_side side = host_side(lines, l);

        found = (uint8_t)(side.name.len ? who_matters(&m->set[side.kind], &side) : USERS_NEVER);
        *known = l->host ? found : USERS_UNKNOWN;
    }
    return found;
}

static users_matter users_of_process(const hx_combos_model *m, combos_state *s,
                                     const hx_seen_lines *lines, const hx_seen *l)
{
    uint8_t *known = &s->users_of_process[l->process], found = *known;

    if (l->process_owner != s->worker)
        return USERS_NEVER;
    if (found == USERS_UNKNOWN) {
        const user_side side = process_side(lines, l);

        found = (uint8_t)who_matters(&m->set[side.kind], &side);
        *known = l->process ? found : USERS_UNKNOWN;
    }
    return found;
}

static void judge_pair_with_user(const hx_combos_model *m, combos_state *s, const hx_event *e,
                                 const user_side *side, hx_slice user, uint64_t hash,
                                 hx_reporter *reporter)
{
    const hx_combo_set *set = &m->set[side->kind];
    const uint64_t with = hx_hash_u64(hash, side->with);
    uint64_t *place = known_place(s, side->kind, with);

    if (*place != with &&
        !user_is_new(m, s, side->kind, e, hx_combo_by_name(&set->first, side->name, side->hash),
                     hx_combo_by_name(&set->second, user, hash), user, reporter))
        *place = with;
}

static inline bool matters(const hx_combos_model *m, hx_combo_kind kind, users_matter who,
                           uint64_t hash)
{
    return who == USERS_ALL ||
           (who == USERS_SETTLED && hx_combo_may_be_settled(&m->set[kind], hash));
}

/* A pair with a user is its host's or its process's, and theirs may be two workers. */
static void judge_user(const hx_combos_model *m, combos_state *s, const hx_seen_lines *lines,
                       const hx_seen *l, hx_reporter *reporter)
{
    const hx_event *e = &lines->events[l->event];
    const users_matter of_host = users_of_host(m, s, lines, l);
    const users_matter of_process = users_of_process(m, s, lines, l);
    hx_slice user;
    uint64_t hash;

    if ((of_host == USERS_NEVER && of_process == USERS_NEVER) || !e->process_len)
        return;
    user = user_of(m, e, lines->buffer);
    if (!user.len)
        return;
    hash = hx_hash_bytes(user.ptr, user.len, HX_HASH_SEED);
    if (matters(m, HX_COMBO_HOST_USER, of_host, hash)) {
        const user_side side = host_side(lines, l);

        judge_pair_with_user(m, s, e, &side, user, hash, reporter);
    }
    if (matters(m, HX_COMBO_PROCESS_USER, of_process, hash)) {
        const user_side side = process_side(lines, l);

        judge_pair_with_user(m, s, e, &side, user, hash, reporter);
    }
}

/* Nothing is to be said of this pair with a process: remembered. */
static bool host_is_known(const hx_combos_model *m, combos_state *s, const hx_seen_lines *lines,
                          const hx_seen *l, hx_reporter *reporter)
{
    const hx_event *e = &lines->events[l->event];
    const uint64_t with = hx_hash_u64(e->process, e->host);
    uint64_t *place = known_place(s, HX_COMBO_HOST_PROCESS, with);
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
    uint64_t *place = known_place(s, HX_COMBO_PROCESS_KEY, with);
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
    const uint64_t bit = l->process < NUMBERED ? UINT64_C(1) << l->process : 0;
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

static void combos_lines(const void *model, void *state, const hx_seen_lines *lines,
                         hx_reporter *reporter)
{
    const hx_combos_model *m = model;
    combos_state *s = state;

    for (uint32_t i = 0; i < lines->count; i++) {
        const hx_seen *l = &lines->line[i];

        if (m->word_of_key && l->key < m->key_count && m->word_of_key[l->key] &&
            (l->host_owner == s->worker || l->process_owner == s->worker))
            judge_user(m, s, lines, l, reporter);
        if (l->process_owner == s->worker)
            look_at_pairs(m, s, lines, l, reporter);
    }
}

/* --- state -------------------------------------------------------------------------------------
 */

static void combos_close(void *state)
{
    combos_state *s = state;

    for (uint32_t k = 0; k < HX_COMBO_KINDS; k++)
        if (s->known[k])
            hx_pages_unmap(s->known[k], KNOWN_PLACES * sizeof *s->known[k]);
    hx_pages_unmap(s->processes_of_host, (HX_HOST_NUMBERS + 1) * sizeof *s->processes_of_host);
    free(s->processes_of_key);
    free(s->users_of_host);
    free(s->users_of_process);
    hx_novelty_free(&s->reported);
    free(s);
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
    s->users_of_host = calloc(HX_HOST_NUMBERS + 1, 1);
    s->users_of_process = calloc(HX_PROCESS_NUMBERS + 1, 1);
    if (!s->processes_of_host || !s->processes_of_key || !s->users_of_host || !s->users_of_process)
        rc = HX_ENOMEM;
    for (uint32_t k = 0; k < HX_COMBO_KINDS; k++) {
        s->known[k] = hx_pages_map(KNOWN_PLACES * sizeof *s->known[k]);
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
