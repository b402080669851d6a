/* manifest.json of any bytes: refused with a sentence, or values within their bounds. */
#include "detect/manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_filled(const hx_manifest *manifest, const hx_bundle *b)
{
    if (b->log_keys < 1 || b->window < 1 || b->window > HX_WINDOW_MAX || b->max_open < 1 ||
        b->idle_us < 1 || b->repeat_us < 0 || !memchr(b->rule.prefix, 0, sizeof b->rule.prefix) ||
        !*hx_manifest_format(manifest))
        abort();
    for (uint32_t k = 0; k < b->log_keys; k++)
        if (b->token_of_key[k] != k && b->token_of_key[k] != b->deeplog.unseen)
            abort();
    if (b->deeplog.enabled && (b->deeplog.top_k < 1 || b->deeplog.event_limit_q10 < 0 ||
                               strchr(hx_manifest_model_file(manifest), '/')))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hx_error err = {{0}};
    hx_manifest *manifest = NULL;
    hx_bundle bundle = {0};

    if (hx_manifest_parse((const char *)data, size, &manifest, &err)) {
        if (!err.text[0] || manifest)
            abort();
        return 0;
    }
    if (hx_manifest_fill(manifest, &bundle, &err) == 0)
        check_filled(manifest, &bundle);
    else if (!err.text[0])
        abort();
    (void)hx_manifest_sha256(manifest, "templates.json");
    free(bundle.token_of_key);
    hx_manifest_destroy(manifest);
    return 0;
}
