/* The values in messages: what is usual at each place of a template, learned from normal messages;
 * and checks of what is not.
 *
 * A place is a step of a template's tokens (templates.json) and, within the token that stands
 * there, one of its numbers or addresses. What is around them is the token's skeleton: "eth0" and
 * "eth1" have the same ("eth0"), and so have "10.0.0.1:22" and "10.9.2.3:443" ("4:0"; a '4' is an
 * address). */
#ifndef HAECHI_VALUES_H
#define HAECHI_VALUES_H

#include <haechi/error.h>
#include <haechi/template.h>
#include <haechi/text.h>

#include <stdbool.h>

/* --- learning ---------------------------------------------------------------------------------
 */

typedef struct hx_value_study hx_value_study;

/* block: so many messages in a row count once in "blocks" below, because what is said often at one
 * time is no better known for it; at least 1. Borrows the matcher. Bounded memory, some 60 MB at
 * most. */
int hx_value_study_create(const hx_matcher *matcher, uint32_t block, hx_value_study **out);
void hx_value_study_destroy(hx_value_study *study);

/* A message and its log key; HX_KEY_UNSEEN is only counted. 0 or HX_ENOMEM. */
int hx_value_study_learn(hx_value_study *study, hx_slice message, uint32_t log_key);

/* What was seen, as JSON:
 *   {"messages": n, "steps": [{"log_key", "step", "count", "other", "skeletons": [
 *     {"text", "count", "blocks", "parts": [PART]}]}]}
 * text is escaped as templates.json is. other: messages whose skeleton was too long or one too
 * many. A PART, null for digits that are not studied, is
 *   {"kind": "number", "count", "zeros": with a zero in front, "long": of more than 18 digits,
 *    "lowest": [up to 32, ascending], "highest": [up to 32, descending], "values": SEEN}
 *   {"kind": "address", "count", "networks": {"8": SEEN, "16": SEEN, "24": SEEN}}
 * with SEEN as [[what, count, blocks], ...], or null where there are more than 64. */
int hx_value_study_finish(const hx_value_study *study, hx_text *json);

/* --- judging ----------------------------------------------------------------------------------
 */

/* The checks of a bundle: read once, then any thread's. */
typedef struct hx_values hx_values;

/* From the JSON text of values.json (docs/bundle.md). HX_EMALFORMED or HX_EVERSION with a sentence
 * in err. Borrows the matcher. */
int hx_values_create(const char *json, size_t len, const hx_matcher *matcher, hx_values **out,
                     hx_error *err);
void hx_values_destroy(hx_values *values);

uint32_t hx_values_count(const hx_values *values);

/* From now on this scratch judges what it matches. Before its first message; borrowed. */
int hx_match_scratch_watch(hx_match_scratch *scratch, const hx_values *values);

/* As hx_matcher_match_at; *odd is 0, or 1 and the index of the first check that the message does
 * not pass. */
uint32_t hx_matcher_judge_at(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message,
                             hx_match_place place, uint16_t *odd);

/* The same verdict, by the checks one by one: the reference, and for tests. */
uint32_t hx_values_judge(const hx_values *values, hx_match_scratch *scratch, hx_slice message,
                         uint32_t log_key);

typedef enum hx_value_kind {
    HX_VALUE_WORDS,    /* skeletons: one of those known */
    HX_VALUE_RANGE,    /* a number from low to high */
    HX_VALUE_NUMBERS,  /* one of those known */
    HX_VALUE_NETWORKS, /* an address of one of those known */
} hx_value_kind;

/* What a check found in a message that does not pass it. */
typedef struct hx_value_finding {
    hx_value_kind kind;
    uint32_t log_key, step;
    hx_slice value;     /* in the message */
    double nats;        /* how improbable */
    double limit;       /* at the limit */
    uint64_t low, high; /* of a range; UINT64_MAX: no upper limit */
    bool too_low;
} hx_value_finding;

/* False where the message passes it after all. */
bool hx_values_explain(const hx_values *values, hx_match_scratch *scratch, hx_slice message,
                       uint32_t check, hx_value_finding *out);

/* The usual ones of a check as a JSON list of strings, most of them; "" for a range. */
void hx_values_usual(const hx_values *values, uint32_t check, uint32_t most, hx_text *out);

#endif
