/* What mscred's section of a bundle says; mscred.c judges by it. */
#ifndef HAECHI_DETECT_MSCRED_H
#define HAECHI_DETECT_MSCRED_H

#include "detect/bundle.h"
#include "detect/detector.h"
#include "detect/series.h"

typedef struct hx_mscred {
    hx_series_form form;
    float *limit; /* [HX_SERIES_SCALES][count][count]: a residual above it is a broken cell */
    double threshold[HX_SERIES_SCALES]; /* more broken cells than this: anomalous */
    uint32_t *key_of;                   /* [count] of the series' own key; UINT32_MAX: several */
    const hx_matcher *matcher;          /* the bundle's */
    hx_model *network;
    hx_tensor_form in, out;
} hx_mscred;

/* hx_detector's load and unload. The network is run once, so that what is wrong with it shows here.
 */
int hx_mscred_load(const struct cJSON *section, const hx_bundle_files *files,
                   const struct hx_bundle *bundle, void **model, hx_error *err);
void hx_mscred_unload(void *model);

#endif
