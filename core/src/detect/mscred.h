/* What mscred's section of a bundle says, and what a worker keeps; mscred.c judges by it,
 * mscred_report.c says what was found. */
#ifndef HAECHI_DETECT_MSCRED_H
#define HAECHI_DETECT_MSCRED_H

#include "detect/bundle.h"
#include "detect/detector.h"
#include "detect/series.h"

/* What a series counts. */
typedef enum hx_mscred_by { HX_MSCRED_KEY, HX_MSCRED_HOST, HX_MSCRED_HOST_KEY } hx_mscred_by;

typedef struct hx_mscred {
    hx_series_form form;
    float *limit; /* [HX_SERIES_SCALES][count][count]: a residual above it is a broken cell */
    double threshold[HX_SERIES_SCALES]; /* more broken cells than this: anomalous */
    uint32_t *key_of;                   /* [count] of the series' own key; UINT32_MAX: several */
    uint32_t *host_of;                  /* [count] the row of its own host in form; 0: several */
    hx_mscred_by by;
    bool any_window;           /* may find; false: the shortest alone, as in older bundles */
    const hx_matcher *matcher; /* the bundle's */
    hx_model *network;
    hx_tensor_form in, out;
} hx_mscred;

#define MSCRED_SAMPLE_BYTES 200 /* of a line */
#define MSCRED_SUBJECT      "all lines"
#define MSCRED_SEVERITIES   3

typedef struct mscred_sample {
    uint32_t len; /* of the whole line; 0: none yet */
    char text[MSCRED_SAMPLE_BYTES];
} mscred_sample;

/* Of one moment. */
typedef struct mscred_verdict {
    uint32_t score[HX_SERIES_SCALES]; /* broken cells */
    uint32_t worst;                   /* the window that is furthest over its threshold */
} mscred_verdict;

/* What is known of the anomaly that lasts, or of the last one. */
typedef struct mscred_finding {
    uint64_t active;                  /* there has been one */
    int64_t first_us, last_us;        /* the ends of its first and last moment */
    int64_t lasted;                   /* intervals */
    uint64_t told;                    /* severities told so far */
    mscred_verdict verdict;           /* of its worst moment */
    uint64_t found[HX_SERIES_SCALES]; /* moments that a window was over; in these, of its rows: */
    uint32_t broken[HX_SERIES_SCALES][HX_SERIES_MAX]; /* cells */
    double off[HX_SERIES_SCALES][HX_SERIES_MAX]; /* residuals in units of their limits, added up */
} mscred_finding;

/* Since when the middle window has been raised, whether there is an anomaly or not. */
typedef struct mscred_raised {
    uint64_t any;
    int64_t begin_us, last_us;
} mscred_raised;

typedef struct mscred_state {
    const hx_mscred *model;
    hx_series *series;
    float *wanted;         /* [HX_SERIES_SCALES][count][count]: what the network says */
    mscred_sample *sample; /* [count] */
    mscred_finding finding;
    mscred_raised raised;
    uint64_t unscored;     /* moments that the network could not be asked about */
    hx_reporter *reporter; /* of the batch at hand */
} mscred_state;

static inline bool hx_mscred_over(const hx_mscred *m, const mscred_verdict *v, uint32_t scale)
{
    return v->score[scale] > m->threshold[scale];
}

/* hx_detector's load and unload. The network is run once, so that what is wrong with it shows here.
 */
int hx_mscred_load(const struct cJSON *section, const hx_bundle_files *files,
                   const struct hx_bundle *bundle, void **model, hx_error *err);
void hx_mscred_unload(void *model);

/* The gravest severity, from 0, of what has lasted as long as the state's finding. */
uint32_t hx_mscred_level(const mscred_state *s);

/* Reports the finding at this level. piece: as of hx_series_moment. */
void hx_mscred_tell(mscred_state *s, const uint32_t *piece, uint32_t level, int64_t time_us);

#endif
