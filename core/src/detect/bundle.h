/* A loaded bundle (docs/bundle.md): everything detection needs to know, verified and immutable.
 * Several threads may use it at once. */
#ifndef HAECHI_DETECT_BUNDLE_H
#define HAECHI_DETECT_BUNDLE_H

#include "detect/detector.h"
#include "detect/memo.h"
#include "detect/model.h"
#include "detect/tally.h"

#include <haechi/front.h>

#define HX_BUNDLE_FORMAT 1
#define HX_NAT           1024 /* 1 nat in the fixed-point form that scores are kept in */

typedef struct hx_deeplog {
    bool enabled;
    bool likelihood; /* the rule; else top-k */
    uint16_t begin, end, unseen;
    uint32_t classes; /* log keys + 3 */
    uint32_t top_k;
    int32_t unseen_surprise_q10;
    int32_t event_limit_q10; /* an event above it is anomalous */
    double session_surprise; /* nats an event; a session whose mean is above it is anomalous */
    int32_t least_q10;       /* the sum over a session must be above it, too */
    double event_surprise, unseen_surprise;
    hx_evidence event_evidence, session_evidence;
    hx_model *model;
} hx_deeplog;

typedef struct hx_bundle {
    uint64_t epoch;    /* how many bundles this engine had before it */
    char digest[17];   /* the first 16 hexadecimal digits of the manifest's sha256 */
    hx_format *format; /* NULL: HX_FRONT_KEYS */
    hx_matcher *matcher;
    uint32_t log_keys;
    uint32_t window;
    hx_session_rule rule;
    int64_t idle_us;
    uint32_t max_open;
    uint16_t *token_of_key; /* [log_keys]; unseen where the key was never trained */
    uint64_t *key_hash;     /* [log_keys]; of the template's text: the same key in another bundle */
    int64_t repeat_us;      /* new_event: how soon the same novelty is reported again */
    hx_deeplog deeplog;
    hx_detector_set detectors; /* the other ones */
    hx_tally *tally;           /* of the lines read with it; NULL where nobody counts */
} hx_bundle;

typedef struct hx_bundle_options {
    const char *library; /* ONNX Runtime, or NULL for the loader's search path */
    const char *format;  /* instead of the bundle's, or NULL */
    uint32_t workers;    /* that count the lines of each log key; 0: nobody does */
} hx_bundle_options;

/* Reads and verifies the directory. 0, HX_ENOTFOUND, HX_ECORRUPT, HX_EVERSION, HX_EMALFORMED,
 * HX_EIO, HX_ENOMEM, each with a sentence in err that names the file. */
int hx_bundle_load(const char *directory, const hx_bundle_options *options, hx_bundle **out,
                   hx_error *err);
void hx_bundle_destroy(hx_bundle *bundle);

/* The token the model sees for a log key; HX_KEY_UNSEEN and untrained keys are unseen. */
static inline uint16_t hx_bundle_token(const hx_bundle *b, uint32_t key)
{
    return key < b->log_keys ? b->token_of_key[key] : b->deeplog.unseen;
}

#endif
