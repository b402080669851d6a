/* manifest.json (docs/bundle.md): from hostile bytes to checked values. */
#ifndef HAECHI_DETECT_MANIFEST_H
#define HAECHI_DETECT_MANIFEST_H

#include "detect/bundle.h"

typedef struct hx_manifest hx_manifest;

/* HX_EMALFORMED where it is no JSON object, HX_EVERSION where its format is another. */
int hx_manifest_parse(const char *json, size_t json_len, hx_manifest **out, hx_error *err);
void hx_manifest_destroy(hx_manifest *manifest);

/* Everything of the bundle that the manifest alone says; allocates token_of_key. HX_EMALFORMED with
 * a sentence that names the key, its value and what is allowed. */
int hx_manifest_fill(const hx_manifest *manifest, hx_bundle *bundle, hx_error *err);

/* The digest of a file of the bundle as 64 hexadecimal digits; NULL where it is not listed. */
const char *hx_manifest_sha256(const hx_manifest *manifest, const char *file);
const char *hx_manifest_format(const hx_manifest *manifest);
const char *hx_manifest_model_file(const hx_manifest *manifest);

/* A detector's own object in "detectors"; NULL where there is none of this name. */
const struct cJSON *hx_manifest_detector(const hx_manifest *manifest, const char *name);

#endif
