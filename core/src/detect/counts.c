/* counts: how often each log key occurred in a session, against the sessions of training.
 *
 * The distance of two such vectors is that of Ruzicka (weighted Jaccard): the sum of the absolute
 * differences over the sum of the maxima, 0 for equal ones, 1 for such that share no event. A
 * session is judged at its end by its distance from the nearest vector of training. What deeplog
 * sees in the order of events it cannot see in their number, and the other way round.
 *
 * Many sessions have one vector, so distances are remembered by the whole vector, exactly. */
#include "detect/counts.h"

#include <haechi/hash.h>
#include <haechi/pages.h>

#include <stdlib.h>

#define MEMO_PLACES  8192
#define SHORT_PLACES 4096
#define SHORT_MAX    (HX_WINDOW_MAX - 1)
#define SHOWN_MAX    3

typedef struct counts_memo {
    uint64_t hash; /* 0: empty */
    double distance;
    counts_vector of;
} counts_memo;

/* Of a short session, by its tokens as they came. */
typedef struct counts_short {
    _Alignas(64) uint64_t hash; /* 0: empty */
    double distance;
    uint16_t count, token[SHORT_MAX];
} counts_short;

typedef struct counts_state {
    counts_memo *memo;   /* [MEMO_PLACES] */
    counts_short *brief; /* [SHORT_PLACES] */
} counts_state;

/* --- a session's events ------------------------------------------------------------------------
 */

static void add(counts_session *s, uint16_t *count, uint32_t n)
{
    if (n > (uint32_t)(UINT16_MAX - *count))
        s->flags |= NOT_JUDGED;
    else
        *count = (uint16_t)(*count + n);
}

static void count_far(counts_session *s, uint16_t token, uint32_t n)
{
    uint32_t far = s->used > NEAR_MAX ? s->used - NEAR_MAX : 0, i = 0;

    while (i < far && s->far_token[i] != token)
        i++;
    if (i == FAR_MAX) {
        s->flags |= NOT_JUDGED;
        return;
    }
    if (i == far) {
        s->far_token[i] = token;
        s->far_count[i] = 0;
        s->used++;
    }
    add(s, &s->far_count[i], n);
}

static inline void count_token(counts_session *s, uint16_t token, uint32_t n)
{
    uint32_t near = s->used < NEAR_MAX ? s->used : NEAR_MAX, i = 0;

    while (i < near && s->token[i] != token)
        i++;
    if (i == NEAR_MAX) {
        count_far(s, token, n);
        return;
    }
    if (i == near) {
        s->token[i] = token;
        s->count[i] = 0;
        s->used++;
    }
    add(s, &s->count[i], n);
}

static void counts_event(const void *model, void *state, void *session, const hx_event *event,
                         const char *buffer, uint16_t token, hx_reporter *reporter)
{
    (void)model, (void)state, (void)event, (void)buffer, (void)reporter;
    count_token(session, token, 1);
}

static counts_vector vector_of(const counts_session *s)
{
    counts_vector v = {0};
    uint32_t near = s->used < NEAR_MAX ? s->used : NEAR_MAX;

    for (uint32_t i = 0; i < near; i++)
        hx_counts_put(&v, s->token[i], s->count[i]);
    for (uint32_t i = 0; i + near < s->used; i++)
        hx_counts_put(&v, s->far_token[i], s->far_count[i]);
    return v;
}

/* Several old tokens may become one, the unseen. */
static void counts_translate(void *session, const uint16_t *map, uint32_t map_len)
{
    counts_session *s = session;
    counts_vector v;
    uint16_t flags = s->flags;

    if (!map || s->used > KEYS_MAX) { /* a checkpoint's bytes are anybody's */
        *s = (counts_session){.flags = NOT_JUDGED};
        return;
    }
    v = vector_of(s);
    *s = (counts_session){.flags = flags};
    for (uint32_t i = 0; i < v.used; i++) {
        uint16_t token = v.entry[i].token < map_len ? map[v.entry[i].token] : map[map_len - 1];

        count_token(s, token, v.entry[i].count);
    }
}

/* --- distance ----------------------------------------------------------------------------------
 */

/* The sum over all tokens of the smaller count. */
static uint32_t shared(const counts_vector *a, const counts_vector *b)
{
    uint32_t i = 0, j = 0, sum = 0;

    while (i < a->used && j < b->used) {
        const counts_entry x = a->entry[i], y = b->entry[j];

        if (x.token == y.token)
            sum += x.count < y.count ? x.count : y.count;
        i += x.token <= y.token;
        j += y.token <= x.token;
    }
    return sum;
}

static double distance(const counts_vector *a, const counts_vector *b)
{
    uint32_t both = shared(a, b), most = a->total + b->total - both;

    return most ? (double)(most - both) / most : 0;
}

/* No vector of this total is nearer than that. */
static double least_distance(uint32_t total, uint32_t other)
{
    uint32_t low = total < other ? total : other, high = total < other ? other : total;

    return high ? (double)(high - low) / high : 0;
}

static uint32_t first_of_total(const counts_model *m, uint32_t total)
{
    uint32_t low = 0, high = m->vectors;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (m->vector[middle].total < total)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The nearest vector; of several the one that comes first by its total and place. The totals tell
 * where to look: away from the session's own until none can be nearer. */
static double nearest(const counts_model *m, const counts_vector *v, uint32_t *which)
{
    uint32_t up = first_of_total(m, v->total), down = up;
    double best = 2;

    *which = 0;
    while (up < m->vectors || down > 0) {
        double above = up < m->vectors ? least_distance(v->total, m->vector[up].total) : 2;
        double below = down > 0 ? least_distance(v->total, m->vector[down - 1].total) : 2;
        uint32_t at = above <= below ? up : down - 1;
        double d;

        if ((above <= below ? above : below) > best)
            break;
        d = distance(v, &m->vector[at]);
        if (d < best || (d <= best && at < *which)) {
            best = d;
            *which = at;
        }
        up += above <= below;
        down -= above > below;
    }
    return best;
}

static double remembered(const counts_model *m, counts_state *state, const counts_vector *v)
{
    uint64_t hash =
        hx_hash_bytes(v->entry, v->used * (uint32_t)sizeof v->entry[0], HX_HASH_SEED) | 1;
    counts_memo *memo = &state->memo[(hash >> 16) % MEMO_PLACES];
    uint32_t which;

    if (memo->hash == hash && memo->of.used == v->used &&
        memcmp(memo->of.entry, v->entry, v->used * sizeof v->entry[0]) == 0)
        return memo->distance;
    memo->hash = hash;
    memo->distance = nearest(m, v, &which);
    memo->of = *v;
    return memo->distance;
}

static bool put_outcome(const counts_model *m, double distance, hx_outcome *out)
{
    out->score = distance;
    out->limit = m->limit;
    if (distance > m->limit) /* nobody asks for it else */
        out->evidence = hx_evidence_of(&m->evidence, distance);
    return true;
}

static bool counts_end(const void *model, void *state, const void *session, hx_outcome *out)
{
    const counts_model *m = model;
    const counts_session *s = session;
    counts_vector v;

    if ((s->flags & NOT_JUDGED) || !s->used)
        return false;
    v = vector_of(s);
    return put_outcome(m, remembered(m, state, &v), out);
}

static double distance_of(const counts_model *m, counts_state *state, const uint16_t *tokens,
                          uint32_t count)
{
    counts_session s = {0};
    counts_vector v;

    for (uint32_t i = 0; i < count; i++)
        count_token(&s, tokens[i], 1);
    v = vector_of(&s);
    return remembered(m, state, &v);
}

/* Two or three tokens are the rule: no call. */
static inline bool same_tokens(const counts_short *known, const uint16_t *tokens, uint32_t count)
{
    uint32_t i = 0;

    while (i < count && known->token[i] == tokens[i])
        i++;
    return i == count && known->count == count;
}

static bool counts_end_short(const void *model, void *state, const uint16_t *tokens, uint32_t count,
                             hx_outcome *out)
{
    const counts_state *s = state;
    const uint32_t bytes = count * (uint32_t)sizeof *tokens;
    const uint64_t hash = hx_hash_bytes(tokens, bytes, HX_HASH_SEED) | 1;
    counts_short *known = &s->brief[(hash >> 16) % SHORT_PLACES];

    if (!count || count > SHORT_MAX)
        return false;
    if (known->hash != hash || !same_tokens(known, tokens, count)) {
        known->distance = distance_of(model, state, tokens, count);
        known->hash = hash;
        known->count = (uint16_t)count;
        memcpy(known->token, tokens, bytes);
    }
    return put_outcome(model, known->distance, out);
}

/* --- why ---------------------------------------------------------------------------------------
 */

typedef struct counts_difference {
    uint16_t token, count, usual;
} counts_difference;

static uint32_t size_of(const counts_difference *d)
{
    return d->count > d->usual ? (uint32_t)(d->count - d->usual) : (uint32_t)(d->usual - d->count);
}

/* The largest differences first. */
static uint32_t differences(const counts_vector *have, const counts_vector *usual,
                            counts_difference shown[SHOWN_MAX])
{
    uint32_t i = 0, j = 0, n = 0;

    while (i < have->used || j < usual->used) {
        uint32_t x = i < have->used ? have->entry[i].token : UINT32_MAX;
        uint32_t y = j < usual->used ? usual->entry[j].token : UINT32_MAX;
        counts_difference d = {(uint16_t)(x < y ? x : y), x <= y ? have->entry[i].count : 0,
                               y <= x ? usual->entry[j].count : 0};
        uint32_t at = n;

        i += x <= y;
        j += y <= x;
        while (at > 0 && size_of(&d) > size_of(&shown[at - 1]))
            at--;
        if (!size_of(&d) || at == SHOWN_MAX)
            continue;
        n += n < SHOWN_MAX;
        memmove(&shown[at + 1], &shown[at], (n - at - 1) * sizeof d);
        shown[at] = d;
    }
    return n;
}

static void put_token(hx_text *out, const struct hx_bundle *b, uint16_t token)
{
    if (token < b->log_keys)
        hx_text_str(out, hx_matcher_text(b->matcher, token));
    else
        hx_text_str(out, "(unseen)");
}

static void counts_say(const void *model, void *state, const struct hx_bundle *bundle,
                       const void *session, const hx_outcome *outcome, hx_text *reason,
                       hx_text *detail)
{
    const counts_model *m = model;
    counts_vector v = vector_of(session);
    counts_difference shown[SHOWN_MAX];
    uint32_t which, n;

    (void)state;
    nearest(m, &v, &which);
    n = differences(&v, &m->vector[which], shown);
    hx_text_printf(reason,
                   "The session's %u events are not like those of any session in training: the "
                   "nearest differs by %.3g (the limit is %.3g)",
                   v.total, outcome->score, outcome->limit);
    hx_text_str(detail, "{\"counts\": [");
    for (uint32_t i = 0; i < n; i++) {
        hx_text name = {0};

        put_token(&name, bundle, shown[i].token);
        hx_text_printf(reason, "%s %u instead of %u times \"", i ? "," : ":", shown[i].count,
                       shown[i].usual);
        hx_text_bytes(reason, name.ptr, name.len);
        hx_text_str(reason, "\"");
        hx_text_printf(detail, "%s{\"count\": %u, \"usual\": %u, \"template\": ", i ? ", " : "",
                       shown[i].count, shown[i].usual);
        hx_text_json_string(detail, hx_slice_make(name.ptr, name.len));
        hx_text_str(detail, "}");
        hx_text_free(&name);
    }
    hx_text_str(reason, ".");
    hx_text_str(detail, "]}");
}

/* --- state -----------------------------------------------------------------------------------
 */

static void counts_close(void *state)
{
    counts_state *s = state;

    hx_pages_unmap(s->memo, MEMO_PLACES * sizeof *s->memo);
    hx_pages_unmap(s->brief, SHORT_PLACES * sizeof *s->brief);
    free(s);
}

static int counts_open(const void *model, uint32_t worker, uint32_t workers, void **state)
{
    counts_state *s = calloc(1, sizeof *s);

    (void)model, (void)worker, (void)workers;
    if (!s)
        return HX_ENOMEM;
    s->memo = hx_pages_map(MEMO_PLACES * sizeof *s->memo);
    s->brief = hx_pages_map(SHORT_PLACES * sizeof *s->brief);
    if (!s->memo || !s->brief) {
        counts_close(s);
        return HX_ENOMEM;
    }
    *state = s;
    return 0;
}

const hx_detector hx_counts_detector = {
    .name = "counts",
    .session_bytes = sizeof(counts_session),
    .load = hx_counts_load,
    .unload = hx_counts_unload,
    .open = counts_open,
    .close = counts_close,
    .event = counts_event,
    .end = counts_end,
    .end_short = counts_end_short,
    .say = counts_say,
    .translate = counts_translate,
};
