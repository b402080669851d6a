/* Who is named on a host, and by a process. */
#include "detect/combos_parts.h"

#include <haechi/hash.h>
#include <haechi/users.h>

/* A user who is no member is judged by the other side alone. */
static bool user_is_new(const hx_combos_model *m, combos_state *s, hx_combo_kind kind,
                        const hx_event *e, const hx_combo_member *first,
                        const hx_combo_member *second, hx_slice user, hx_reporter *reporter)
{
    const hx_combo_member stranger = {.name = user.ptr, .len = user.len};

    if (second || !first || !first->settled)
        return hx_combos_judge(m, s, kind, e, first, second, reporter);
    hx_combos_report(m, s, kind, e, first, &stranger, reporter);
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

/* --- users by number ---------------------------------------------------------------------------
 */

#define NOBODY UINT32_MAX
#define PROBES 4

/* The number of a user's name; NOBODY: it has none. */
static inline uint32_t number_of(const combos_state *s, uint64_t hash)
{
    for (uint32_t i = 0; i < PROBES; i++) {
        const uint32_t at = (uint32_t)(hash + i) % HX_COMBOS_USERS;

        if (s->user[at] == hash)
            return hash ? at : NOBODY;
    }
    return NOBODY;
}

/* Only members get one, so that names which somebody makes up take none away. */
static uint32_t give_number(combos_state *s, uint64_t hash)
{
    for (uint32_t i = 0; hash && i < PROBES; i++) {
        const uint32_t at = (uint32_t)(hash + i) % HX_COMBOS_USERS;

        if (!s->user[at] || s->user[at] == hash) {
            s->user[at] = hash;
            return at;
        }
    }
    return NOBODY;
}

/* A line's user. */
typedef struct line_user {
    hx_slice name;
    uint64_t hash;
    uint32_t number; /* or NOBODY */
} line_user;

/* known: a bit a user, of the host's or the process's number; NULL where it has none. */
static void judge_pair_with_user(const hx_combos_model *m, combos_state *s, const hx_event *e,
                                 const user_side *side, const line_user *user, uint64_t *known,
                                 hx_reporter *reporter)
{
    const hx_combo_set *set = &m->set[side->kind];
    const uint64_t with = hx_hash_u64(user->hash, side->with);
    uint64_t *place = hx_combos_known(s, side->kind, with);
    const hx_combo_member *first, *second;
    uint32_t number;

    if (*place == with)
        return;
    first = hx_combo_by_name(&set->first, side->name, side->hash);
    second = hx_combo_by_name(&set->second, user->name, user->hash);
    if (user_is_new(m, s, side->kind, e, first, second, user->name, reporter))
        return;
    number = known && second ? give_number(s, user->hash) : NOBODY;
    if (number == NOBODY)
        *place = with;
    else
        *known |= UINT64_C(1) << number;
}

/* Whether nothing is to be said of this user with the host or the process of that number. */
static inline bool is_known(const uint64_t *known, uint32_t number)
{
    return number != NOBODY && *known >> number & 1;
}

static inline bool matters(const hx_combos_model *m, hx_combo_kind kind, users_matter who,
                           uint64_t hash)
{
    return who == USERS_ALL ||
           (who == USERS_SETTLED && hx_combo_may_be_settled(&m->set[kind], hash));
}

/* A pair with a user is its host's or its process's, and theirs may be two workers. */
void hx_combos_judge_user(const hx_combos_model *m, combos_state *s, const hx_seen_lines *lines,
                          const hx_seen *l, hx_reporter *reporter)
{
    const hx_event *e = &lines->events[l->event];
    const users_matter of_host = users_of_host(m, s, lines, l);
    const users_matter of_process = users_of_process(m, s, lines, l);
    uint64_t *host = &s->known_of_host[l->host], *process = &s->known_of_process[l->process];
    line_user user;

    if ((of_host == USERS_NEVER && of_process == USERS_NEVER) || !e->process_len)
        return;
    user.name = user_of(m, e, lines->buffer);
    if (!user.name.len)
        return;
    user.hash = hx_hash_bytes(user.name.ptr, user.name.len, HX_HASH_SEED);
    user.number = number_of(s, user.hash);
    if (matters(m, HX_COMBO_HOST_USER, of_host, user.hash) && !is_known(host, user.number)) {
        const user_side side = host_side(lines, l);

        judge_pair_with_user(m, s, e, &side, &user, l->host ? host : NULL, reporter);
    }
    if (matters(m, HX_COMBO_PROCESS_USER, of_process, user.hash) &&
        !is_known(process, user.number)) {
        const user_side side = process_side(lines, l);

        judge_pair_with_user(m, s, e, &side, &user, l->process ? process : NULL, reporter);
    }
}
