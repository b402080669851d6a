/* The vectors of a bundle: from hostile bytes to checked values. */
#include "detect/counts.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#define FILE_FORMAT 1

void hx_counts_put(counts_vector *vector, uint16_t token, uint16_t count)
{
    counts_vector *v = vector;
    uint32_t at = v->used;

    while (at > 0 && v->entry[at - 1].token > token) {
        v->entry[at] = v->entry[at - 1];
        at--;
    }
    v->entry[at] = (counts_entry){token, count};
    v->used++;
    v->total += count;
}

void hx_counts_unload(void *model)
{
    counts_model *m = model;

    if (!m)
        return;
    free(m->vector);
    free(m);
}

/* [token, count, token, count, ...], tokens ascending. */
static int read_vector(const cJSON *list, uint32_t classes, counts_vector *out)
{
    const cJSON *item;
    double token = -1;
    uint32_t n = 0;

    *out = (counts_vector){0};
    cJSON_ArrayForEach(item, list)
    {
        double x = cJSON_IsNumber(item) ? item->valuedouble : -1;

        if (!(x >= 0 && x == floor(x)))
            return HX_EMALFORMED;
        if (n++ % 2 == 0) {
            if (x >= classes || x <= token)
                return HX_EMALFORMED;
            token = x;
            continue;
        }
        if (x < 1 || x > UINT16_MAX || out->used == KEYS_MAX)
            return HX_EMALFORMED;
        hx_counts_put(out, (uint16_t)token, (uint16_t)x);
    }
    return n && n % 2 == 0 ? 0 : HX_EMALFORMED;
}

static int by_total(const void *a, const void *b)
{
    const counts_vector *x = a, *y = b;
    uint32_t least = x->used < y->used ? x->used : y->used;
    int order;

    if (x->total != y->total)
        return x->total < y->total ? -1 : 1;
    order = memcmp(x->entry, y->entry, least * sizeof x->entry[0]);
    return order ? order : (x->used > y->used) - (x->used < y->used);
}

static int read_vectors(const cJSON *root, const char *file, counts_model *m, hx_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "vectors"), *item;
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;

    if (!cJSON_IsNumber(format) || format->valuedouble != FILE_FORMAT)
        return hx_error_set(err, HX_EVERSION, "bundle: %s: format %d is needed", file, FILE_FORMAT);
    if (n < 1 || n > VECTORS_MAX)
        return hx_error_set(err, HX_EMALFORMED, "bundle: %s: 1 to %d vectors are needed, not %d",
                            file, VECTORS_MAX, n);
    m->vector = calloc((size_t)n, sizeof *m->vector);
    if (!m->vector)
        return hx_error_set(err, HX_ENOMEM, "bundle: %s: out of memory", file);
    cJSON_ArrayForEach(item, list)
    {
        if (read_vector(item, m->classes, &m->vector[m->vectors]))
            return hx_error_set(err, HX_EMALFORMED,
                                "bundle: %s: vector %u is not at most %d pairs of a token below "
                                "%u, ascending, and a count",
                                file, m->vectors, KEYS_MAX, m->classes);
        m->vectors++;
    }
    qsort(m->vector, m->vectors, sizeof *m->vector, by_total);
    return 0;
}

static int read_file(const hx_bundle_files *files, const char *name, counts_model *m, hx_error *err)
{
    char *bytes = NULL;
    size_t len = 0;
    cJSON *root;
    int rc = hx_bundle_read(files, name, &bytes, &len, err);

    if (rc)
        return rc;
    root = cJSON_ParseWithLength(bytes, len);
    rc = read_vectors(root, name, m, err);
    cJSON_Delete(root);
    free(bytes);
    return rc;
}

int hx_counts_load(const cJSON *section, const hx_bundle_files *files,
                   const struct hx_bundle *bundle, void **model, hx_error *err)
{
    const cJSON *limit = cJSON_GetObjectItemCaseSensitive(section, "limit");
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(section, "file"));
    counts_model *m;
    int rc;

    if (!file || !*file || strchr(file, '/'))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: counts.file: \"%s\" is not a file's name",
                            file ? file : "");
    if (!cJSON_IsNumber(limit) || !(limit->valuedouble >= 0 && limit->valuedouble <= 1))
        return hx_error_set(err, HX_EMALFORMED, "manifest.json: counts.limit: 0 to 1 is needed");
    m = calloc(1, sizeof *m);
    if (!m)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    m->limit = limit->valuedouble;
    m->classes = bundle->log_keys + 3;
    rc = hx_evidence_read(cJSON_GetObjectItemCaseSensitive(section, "evidence"), "counts",
                          &m->evidence, err);
    if (!rc)
        rc = read_file(files, file, m, err);
    if (rc) {
        hx_counts_unload(m);
        return rc;
    }
    *model = m;
    return 0;
}
