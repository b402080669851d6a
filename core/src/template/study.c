/* Statistics of the values at each place of each template, in bounded memory. */
#include "escape.h"
#include "places.h"
#include "skeleton.h"

#include <haechi/hash.h>
#include <haechi/values.h>

#include <stdlib.h>

#define ENDS          32 /* lowest and highest numbers that are kept */
#define SEEN_MAX      64
#define SKELETONS_MAX 256 /* of a place */
#define ALL_SKELETONS 65536
#define ALL_PARTS     16384
#define TABLE         (2 * ALL_SKELETONS)
#define NUMBER_DIGITS 18

typedef struct study_seen {
    uint64_t what;
    uint32_t count, blocks, block;
} study_seen;

typedef struct study_set {
    uint32_t count; /* SEEN_MAX + 1: more than are kept */
    study_seen seen[SEEN_MAX];
} study_set;

typedef struct study_number {
    uint64_t zeros, too_long;
    uint32_t ends;
    uint64_t lowest[ENDS], highest[ENDS];
    study_set values;
} study_number;

typedef struct study_address {
    study_set networks[3]; /* of 8, 16 and 24 bits */
} study_address;

typedef struct study_part {
    uint8_t kind;
    uint64_t count;
    study_number *number;
    study_address *address;
} study_part;

typedef struct study_skeleton {
    uint32_t step; /* its index + 1; 0: free */
    uint32_t length, part_count;
    uint32_t blocks, block;
    uint64_t count;
    char text[HX_SKELETON_BYTES];
    study_part *parts;
} study_skeleton;

typedef struct study_step {
    uint32_t log_key, step;
    hx_step_place place;
    uint32_t skeletons;
    uint64_t count, other;
} study_step;

struct hx_value_study {
    uint32_t block, keys;
    uint64_t messages;
    uint32_t *first_step; /* [keys + 1] */
    study_step *steps;
    study_skeleton *skeletons; /* [ALL_SKELETONS] */
    uint32_t *table;           /* index + 1 */
    uint32_t skeleton_count, part_count;
    hx_tokenizer tokenizer;
};

static uint32_t list_steps(const hx_matcher *matcher, uint32_t key, study_step *out)
{
    const hx_pattern *pattern = hx_matcher_pattern(matcher, key);
    uint32_t n = 0;

    for (uint32_t i = 0; i < pattern->count; i++) {
        hx_step_place place;

        if (!hx_step_place_of(pattern, i, &place))
            continue;
        if (out)
            out[n] = (study_step){.log_key = key, .step = i, .place = place};
        n++;
    }
    return n;
}

int hx_value_study_create(const hx_matcher *matcher, uint32_t block, hx_value_study **out)
{
    hx_value_study *s = calloc(1, sizeof *s);
    uint32_t total = 0;

    *out = NULL;
    if (!s)
        return HX_ENOMEM;
    s->keys = hx_matcher_count(matcher);
    s->block = block ? block : 1;
    for (uint32_t key = 0; key < s->keys; key++)
        total += list_steps(matcher, key, NULL);
    s->first_step = calloc(s->keys + 1, sizeof *s->first_step);
    s->steps = calloc(total + 1, sizeof *s->steps);
    s->skeletons = calloc(ALL_SKELETONS, sizeof *s->skeletons);
    s->table = calloc(TABLE, sizeof *s->table);
    if (!s->first_step || !s->steps || !s->skeletons || !s->table) {
        hx_value_study_destroy(s);
        return HX_ENOMEM;
    }
    for (uint32_t key = 0; key < s->keys; key++)
        s->first_step[key + 1] =
            s->first_step[key] + list_steps(matcher, key, s->steps + s->first_step[key]);
    hx_tokenizer_init(&s->tokenizer, hx_matcher_max_tokens(matcher));
    *out = s;
    return 0;
}

void hx_value_study_destroy(hx_value_study *study)
{
    if (!study)
        return;
    for (uint32_t i = 0; study->skeletons && i < study->skeleton_count; i++) {
        study_skeleton *k = &study->skeletons[i];

        for (uint32_t p = 0; k->parts && p < k->part_count; p++) {
            free(k->parts[p].number);
            free(k->parts[p].address);
        }
        free(k->parts);
    }
    free(study->skeletons);
    free(study->table);
    free(study->steps);
    free(study->first_step);
    free(study);
}

/* --- one value ---------------------------------------------------------------------------------
 */

static void count_seen(study_set *set, uint64_t what, uint32_t block)
{
    uint32_t i = 0;

    if (set->count > SEEN_MAX)
        return;
    while (i < set->count && set->seen[i].what != what)
        i++;
    if (i == set->count) {
        if (set->count++ == SEEN_MAX)
            return;
        set->seen[i] = (study_seen){.what = what};
    }
    set->seen[i].count++;
    set->seen[i].blocks += set->seen[i].blocks == 0 || set->seen[i].block != block;
    set->seen[i].block = block;
}

/* Into the ends of a sorted list; sign turns the order round. */
static void put_end(uint64_t *ends, uint32_t have, uint64_t value, bool highest)
{
    uint32_t at = have < ENDS ? have : ENDS - 1;

    if (have >= ENDS && (highest ? value <= ends[at] : value >= ends[at]))
        return;
    while (at > 0 && (highest ? value > ends[at - 1] : value < ends[at - 1])) {
        ends[at] = ends[at - 1];
        at--;
    }
    ends[at] = value;
}

static void learn_number(study_number *n, const char *text, uint32_t length, uint32_t block)
{
    uint64_t value = 0;

    n->zeros += length > 1 && text[0] == '0';
    if (length > NUMBER_DIGITS) {
        n->too_long++;
        return;
    }
    for (uint32_t i = 0; i < length; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    put_end(n->lowest, n->ends, value, false);
    put_end(n->highest, n->ends, value, true);
    n->ends += n->ends < ENDS;
    count_seen(&n->values, value, block);
}

static void learn_address(study_address *a, const char *text, uint32_t block)
{
    uint64_t network = 0;

    for (uint32_t i = 0; i < 3; i++, text++) {
        uint64_t octet = 0;

        for (; *text != '.'; text++)
            octet = octet * 10 + (uint64_t)(*text - '0');
        network = network << 16 | octet;
        count_seen(&a->networks[i], network, block);
    }
}

static void learn_part(study_part *part, const char *token, const hx_part *where, uint32_t block)
{
    part->count++;
    if (part->number)
        learn_number(part->number, token + where->at, where->length, block);
    if (part->address)
        learn_address(part->address, token + where->at, block);
}

/* --- one message -------------------------------------------------------------------------------
 */

static int make_parts(hx_value_study *s, study_skeleton *k, const hx_skeleton *made)
{
    if (!made->part_count)
        return 0;
    k->parts = calloc(made->part_count, sizeof *k->parts);
    if (!k->parts)
        return HX_ENOMEM;
    k->part_count = made->part_count;
    for (uint32_t i = 0; i < made->part_count; i++) {
        study_part *part = &k->parts[i];

        part->kind = made->parts[i].kind;
        if (part->kind == HX_PART_OTHER || s->part_count == ALL_PARTS)
            continue;
        s->part_count++;
        if (part->kind == HX_PART_NUMBER)
            part->number = calloc(1, sizeof *part->number);
        else
            part->address = calloc(1, sizeof *part->address);
        if (!part->number && !part->address)
            return HX_ENOMEM;
    }
    return 0;
}

/* NULL in *out: there is no room for one more. */
static int find_skeleton(hx_value_study *s, uint32_t step, const hx_skeleton *made,
                         study_skeleton **out)
{
    uint64_t hash = hx_hash_bytes(made->text, made->length, hx_hash_u64(HX_HASH_SEED, step));
    uint32_t at = (uint32_t)(hash >> 32) & (TABLE - 1);
    study_skeleton *k;

    for (; s->table[at]; at = (at + 1) & (TABLE - 1)) {
        k = &s->skeletons[s->table[at] - 1];
        if (k->step == step + 1 && k->length == made->length &&
            memcmp(k->text, made->text, made->length) == 0) {
            *out = k;
            return 0;
        }
    }
    *out = NULL;
    if (s->steps[step].skeletons == SKELETONS_MAX || s->skeleton_count == ALL_SKELETONS)
        return 0;
    s->steps[step].skeletons++;
    k = &s->skeletons[s->skeleton_count++];
    s->table[at] = s->skeleton_count;
    k->step = step + 1;
    k->length = made->length;
    memcpy(k->text, made->text, made->length);
    *out = k;
    return make_parts(s, k, made);
}

static int learn_token(hx_value_study *s, uint32_t step, const hx_token *token, uint32_t block)
{
    const char *text = s->tokenizer.text + token->start;
    hx_skeleton made;
    study_skeleton *k;
    int rc;

    s->steps[step].count++;
    if (!hx_skeleton_make(text, token->length, &made)) {
        s->steps[step].other++;
        return 0;
    }
    rc = find_skeleton(s, step, &made, &k);
    if (rc)
        return rc;
    if (!k) {
        s->steps[step].other++;
        return 0;
    }
    k->blocks += k->count == 0 || k->block != block;
    k->block = block;
    k->count++;
    for (uint32_t i = 0; i < k->part_count; i++)
        learn_part(&k->parts[i], text, &made.parts[i], block);
    return 0;
}

int hx_value_study_learn(hx_value_study *study, hx_slice message, uint32_t log_key)
{
    const uint32_t block = (uint32_t)(study->messages++ / study->block);

    if (log_key >= study->keys || study->first_step[log_key] == study->first_step[log_key + 1])
        return 0;
    hx_tokenizer_run(&study->tokenizer, message);
    for (uint32_t i = study->first_step[log_key]; i < study->first_step[log_key + 1]; i++) {
        const hx_token *token = hx_step_token(study->steps[i].place, &study->tokenizer);
        int rc = token ? learn_token(study, i, token, block) : 0;

        if (rc)
            return rc;
    }
    return 0;
}

/* --- what was seen -----------------------------------------------------------------------------
 */

static void put_set(hx_text *out, const study_set *set)
{
    if (set->count > SEEN_MAX) {
        hx_text_str(out, "null");
        return;
    }
    hx_text_str(out, "[");
    for (uint32_t i = 0; i < set->count; i++)
        hx_text_printf(out, "%s[%llu,%u,%u]", i ? "," : "", (unsigned long long)set->seen[i].what,
                       set->seen[i].count, set->seen[i].blocks);
    hx_text_str(out, "]");
}

static void put_ends(hx_text *out, const uint64_t *ends, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        hx_text_printf(out, "%s%llu", i ? "," : "", (unsigned long long)ends[i]);
}

static void put_networks(hx_text *out, const study_address *a)
{
    hx_text_str(out, ",\"networks\":{\"8\":");
    put_set(out, &a->networks[0]);
    hx_text_str(out, ",\"16\":");
    put_set(out, &a->networks[1]);
    hx_text_str(out, ",\"24\":");
    put_set(out, &a->networks[2]);
    hx_text_str(out, "}}");
}

static void put_part(hx_text *out, const study_part *part)
{
    const study_number *n = part->number;

    if (!n && !part->address) {
        hx_text_str(out, "null");
        return;
    }
    hx_text_printf(out, "{\"kind\":\"%s\",\"count\":%llu", n ? "number" : "address",
                   (unsigned long long)part->count);
    if (!n) {
        put_networks(out, part->address);
        return;
    }
    hx_text_printf(out, ",\"zeros\":%llu,\"long\":%llu,\"lowest\":[", (unsigned long long)n->zeros,
                   (unsigned long long)n->too_long);
    put_ends(out, n->lowest, n->ends);
    hx_text_str(out, "],\"highest\":[");
    put_ends(out, n->highest, n->ends);
    hx_text_str(out, "],\"values\":");
    put_set(out, &n->values);
    hx_text_str(out, "}");
}

static void put_skeleton(hx_text *out, const study_skeleton *k)
{
    hx_text escaped = {0};

    hx_escape(&escaped, hx_slice_make(k->text, k->length));
    hx_text_str(out, "{\"text\":");
    hx_text_json_string(out, hx_slice_make(escaped.ptr, escaped.len));
    hx_text_printf(out, ",\"count\":%llu,\"blocks\":%u,\"parts\":[", (unsigned long long)k->count,
                   k->blocks);
    for (uint32_t i = 0; i < k->part_count; i++) {
        hx_text_str(out, i ? "," : "");
        put_part(out, &k->parts[i]);
    }
    hx_text_str(out, "]}");
    out->failed |= escaped.failed;
    hx_text_free(&escaped);
}

static int by_step(const void *a, const void *b, void *context)
{
    const study_skeleton *skeletons = context;
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    if (skeletons[x].step != skeletons[y].step)
        return skeletons[x].step < skeletons[y].step ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void put_step(hx_text *out, const study_step *step)
{
    hx_text_printf(out, "{\"log_key\":%u,\"step\":%u,\"count\":%llu,\"other\":%llu,\"skeletons\":[",
                   step->log_key, step->step, (unsigned long long)step->count,
                   (unsigned long long)step->other);
}

int hx_value_study_finish(const hx_value_study *study, hx_text *json)
{
    uint32_t *order = calloc(study->skeleton_count + 1, sizeof *order), at = 0;
    bool first = true;

    if (!order)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < study->skeleton_count; i++)
        order[i] = i;
    qsort_r(order, study->skeleton_count, sizeof *order, by_step, study->skeletons);
    hx_text_printf(json, "{\"messages\":%llu,\"steps\":[", (unsigned long long)study->messages);
    for (uint32_t step = 0; step < study->first_step[study->keys]; step++) {
        const uint32_t from = at;

        if (!study->steps[step].count)
            continue;
        hx_text_str(json, first ? "" : ",");
        first = false;
        put_step(json, &study->steps[step]);
        for (; at < study->skeleton_count && study->skeletons[order[at]].step == step + 1; at++) {
            hx_text_str(json, at > from ? "," : "");
            put_skeleton(json, &study->skeletons[order[at]]);
        }
        hx_text_str(json, "]}");
    }
    hx_text_str(json, "]}");
    free(order);
    return json->failed ? HX_ENOMEM : 0;
}
