/* combos: what belongs together. A process on a host where it never ran, though both are well
 * known; a kind of event from a process that never said it, though it says much; a user where there
 * never was that one.
 *
 * Training (src/haechi/train/combos.py) lists members: hosts, processes and log keys that were seen
 * often. Settled are those that were always seen with the same partners, so that another one is
 * improbable. A pair is reported where both sides are members, at least one of them settled, and
 * training never saw them together; of what is no member nothing is said. But a user need not be
 * known: of a host or a process that always has the same users, any other one is reported. */
#ifndef HAECHI_DETECT_COMBOS_H
#define HAECHI_DETECT_COMBOS_H

#include "detect/detector.h"

#define HX_COMBO_USUAL_MAX    3
#define HX_COMBO_WORDS_MAX    64
#define HX_COMBO_SETTLED_BITS 4096

typedef enum hx_combo_kind {
    HX_COMBO_HOST_PROCESS,
    HX_COMBO_PROCESS_KEY,
    HX_COMBO_HOST_USER,
    HX_COMBO_PROCESS_USER,
    HX_COMBO_KINDS,
} hx_combo_kind;

typedef struct hx_combo_member {
    const char *name; /* of a log key: its template's text */
    uint32_t len;
    uint32_t usual_count;
    const char *usual[HX_COMBO_USUAL_MAX]; /* what it was seen with most often */
    bool settled;
    double nats, limit; /* then: how improbable another partner is; what that had to be at least */
} hx_combo_member;

typedef struct hx_combo_side {
    hx_combo_member *member;
    uint32_t count;
    uint32_t *index; /* places of members + 1; 0: empty. By log key, or by the name's hash */
    uint32_t mask;   /* of the hash; all log keys otherwise */
} hx_combo_side;

typedef struct hx_combo_set {
    hx_combo_side first, second;
    bool second_settled; /* some of the second side are */
    uint64_t settled_bits[HX_COMBO_SETTLED_BITS /
                          64]; /* by their names' hashes: a bit that is not set is nobody's */
    uint64_t *pair;            /* open addressing; 0: empty */
    uint64_t mask;
} hx_combo_set;

typedef struct hx_combos_model {
    const struct hx_bundle *bundle;
    struct cJSON *root; /* of the file; names are its strings */
    int64_t repeat_us;
    hx_combo_set set[HX_COMBO_KINDS]; /* of a kind that is not judged: empty */
    uint8_t *word_of_key; /* [log_keys], + 1: behind which word its lines name a user; 0: none.
                             NULL: users are not judged */
    uint32_t key_count, word_count;
    hx_slice word[HX_COMBO_WORDS_MAX];
} hx_combos_model;

int hx_combos_load(const struct cJSON *section, const hx_bundle_files *files,
                   const struct hx_bundle *bundle, void **model, hx_error *err);
void hx_combos_unload(void *model);

/* The member, or NULL. name: with this hash. */
const hx_combo_member *hx_combo_by_name(const hx_combo_side *side, hx_slice name, uint64_t hash);
const hx_combo_member *hx_combo_by_key(const hx_combo_side *side, uint32_t key);

/* False: no member of the second side whose name has this hash is settled. */
static inline bool hx_combo_may_be_settled(const hx_combo_set *set, uint64_t hash)
{
    return set->settled_bits[hash % HX_COMBO_SETTLED_BITS / 64] >> (hash % 64) & 1;
}

/* Whether training saw these two together. */
bool hx_combo_seen(const hx_combo_set *set, const hx_combo_member *first,
                   const hx_combo_member *second);

extern const hx_detector hx_combos_detector;

#endif
