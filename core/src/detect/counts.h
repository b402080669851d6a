/* Inside the counts detector (counts.c): vectors, and where they come from. */
#ifndef HAECHI_DETECT_COUNTS_H
#define HAECHI_DETECT_COUNTS_H

#include "detect/bundle.h"

#define NEAR_MAX 15
#define FAR_MAX  16
#define KEYS_MAX                                                                                   \
    (NEAR_MAX + FAR_MAX) /* different tokens of a session; one with more is not judged */
#define VECTORS_MAX 65536

enum { NOT_JUDGED = 1 };

/* Two cache lines; most sessions need the first alone. */
typedef struct counts_session {
    uint16_t used, flags;
    uint16_t token[NEAR_MAX], count[NEAR_MAX];
    uint16_t far_token[FAR_MAX], far_count[FAR_MAX];
} counts_session;

_Static_assert(offsetof(counts_session, far_token) == 64, "the near part is a line");

typedef struct counts_entry {
    uint16_t token, count;
} counts_entry;

/* In the order of tokens, zero behind the last. */
typedef struct counts_vector {
    uint32_t used, total;
    counts_entry entry[KEYS_MAX + 1];
} counts_vector;

typedef struct counts_model {
    double limit;
    hx_evidence evidence;
    uint32_t classes;
    uint32_t vectors;
    counts_vector *vector; /* by total, ascending */
} counts_model;

/* A token that is not in it yet, at its place. */
void hx_counts_put(counts_vector *vector, uint16_t token, uint16_t count);

/* counts_load.c: the bundle's part. */
int hx_counts_load(const struct cJSON *section, const hx_bundle_files *files,
                   const struct hx_bundle *bundle, void **model, hx_error *err);
void hx_counts_unload(void *model);

#endif
