/* mscred's section of the manifest, checked, and its network. */
#include "detect/mscred.h"

#include <haechi/hash.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

static int wrong(hx_error *err, const char *what)
{
    return hx_error_set(err, HX_EMALFORMED, "manifest.json: mscred.%s", what);
}

/* As many numbers from 0 on as there are places. */
static bool numbers(const cJSON *list, size_t count, double *out)
{
    const cJSON *item;
    size_t n = 0;

    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 1e9) ||
            n == count)
            return false;
        out[n++] = item->valuedouble;
    }
    return n == count;
}

static bool limits_of_cells(const cJSON *list, size_t cells, double *room, float *out)
{
    const cJSON *window;
    size_t n = 0;

    cJSON_ArrayForEach(window, list)
    {
        if (n == HX_SERIES_SCALES || !numbers(window, cells, room))
            return false;
        for (size_t c = 0; c < cells; c++)
            out[n * cells + c] = (float)room[c];
        n++;
    }
    return n == HX_SERIES_SCALES;
}

static int read_limits(const cJSON *section, hx_mscred *m, hx_error *err)
{
    const size_t cells = (size_t)m->form.count * m->form.count;
    double windows[HX_SERIES_SCALES], *room = calloc(cells, sizeof *room);
    int rc = 0;

    m->limit = calloc(HX_SERIES_SCALES * cells, sizeof *m->limit);
    if (!room || !m->limit)
        rc = hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    else if (!numbers(cJSON_GetObjectItemCaseSensitive(section, "windows"), HX_SERIES_SCALES,
                      windows))
        rc = wrong(err, "windows: three numbers are needed");
    else if (!numbers(cJSON_GetObjectItemCaseSensitive(section, "threshold"), HX_SERIES_SCALES,
                      m->threshold))
        rc = wrong(err, "threshold: a number for each window is needed");
    else if (!limits_of_cells(cJSON_GetObjectItemCaseSensitive(section, "limit"), cells, room,
                              m->limit))
        rc = wrong(err, "limit: a number for each cell of each window is needed");
    for (int i = 0; !rc && i < HX_SERIES_SCALES; i++)
        if (windows[i] != hx_series_windows[i])
            rc = wrong(err, "windows: 10, 30 and 60 are what this engine has");
    free(room);
    return rc;
}

/* One series' host, or none: its row in the form. Several series may have the same one. */
static int read_host(const cJSON *host, uint32_t series, hx_mscred *m, hx_error *err)
{
    const char *name = cJSON_GetStringValue(host);
    hx_slice text;
    uint32_t hash;

    if (!host)
        return 0;
    if (!name || !*name || strlen(name) > HX_SERIES_HOST_BYTES)
        return wrong(err, "series.host: a name of 1 to 255 bytes is needed");
    text = hx_slice_str(name);
    hash = (uint32_t)hx_hash_bytes(text.ptr, text.len, HX_HASH_SEED);
    if (!hx_series_row(&m->form, hash, text))
        hx_series_add_host(&m->form, text);
    m->host_of[series] = hx_series_row(&m->form, hash, text);
    return 0;
}

static bool is_key(const hx_mscred *m, const cJSON *item)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < m->form.log_keys &&
           item->valuedouble == floor(item->valuedouble);
}

/* One series' own keys: on its host, where it has one. A host without keys is one with all of them;
 * without either it is the last one. */
static int read_keys(const cJSON *keys, uint32_t series, hx_mscred *m, hx_error *err)
{
    uint8_t *row = m->form.of + (size_t)m->host_of[series] * (m->form.log_keys + 1);
    const int count = cJSON_GetArraySize(keys);
    const cJSON *item;

    m->key_of[series] = UINT32_MAX;
    if (!count && m->host_of[series])
        memset(row, (int)series, m->form.log_keys + 1);
    cJSON_ArrayForEach(item, keys)
    {
        if (!is_key(m, item))
            return wrong(err, "series.keys: log keys of the bundle are needed");
        m->key_of[series] = count == 1 ? (uint32_t)item->valuedouble : UINT32_MAX;
        row[(uint32_t)item->valuedouble] = (uint8_t)series;
    }
    return 0;
}

static int read_range(const cJSON *item, uint32_t series, hx_mscred *m, hx_error *err)
{
    const cJSON *low = cJSON_GetObjectItemCaseSensitive(item, "low");
    const cJSON *high = cJSON_GetObjectItemCaseSensitive(item, "high");

    if (!cJSON_IsNumber(low) || !cJSON_IsNumber(high) || !isfinite(low->valuedouble) ||
        !isfinite(high->valuedouble) || !(high->valuedouble > low->valuedouble))
        return wrong(err, "series: a \"low\" and a \"high\" above it are needed");
    m->form.low[series] = low->valuedouble;
    m->form.high[series] = high->valuedouble;
    return 0;
}

/* The place of what a member says among the names, of which there are count; 0, what older bundles
 * have, where it is not there. */
static int read_word(const cJSON *word, const char *const *names, size_t count, size_t *out)
{
    *out = 0;
    if (!word)
        return 0;
    for (size_t i = 0; cJSON_IsString(word) && i < count; i++)
        if (strcmp(word->valuestring, names[i]) == 0) {
            *out = i;
            return 0;
        }
    return HX_EMALFORMED;
}

static int read_words(const cJSON *section, hx_mscred *m, hx_error *err)
{
    static const char *const by[] = {
        [HX_MSCRED_KEY] = "key", [HX_MSCRED_HOST] = "host", [HX_MSCRED_HOST_KEY] = "host_key"};
    static const char *const values[] = {[HX_SERIES_LN] = "ln", [HX_SERIES_ROOT] = "root"};
    static const char *const finds[] = {"shortest", "any"};
    size_t said[3];

    if (read_word(cJSON_GetObjectItemCaseSensitive(section, "by"), by, 3, &said[0]))
        return wrong(err, "by: key, host or host_key is needed");
    if (read_word(cJSON_GetObjectItemCaseSensitive(section, "values"), values, 2, &said[1]))
        return wrong(err, "values: ln or root is needed");
    if (read_word(cJSON_GetObjectItemCaseSensitive(section, "finds"), finds, 2, &said[2]))
        return wrong(err, "finds: shortest or any is needed");
    m->by = (hx_mscred_by)said[0];
    m->form.value = (hx_series_value)said[1];
    m->any_window = said[2] != 0;
    return 0;
}

static int make_form(hx_mscred *m, uint32_t count, hx_error *err)
{
    const size_t rows = 1 + (size_t)count, columns = (size_t)m->form.log_keys + 1;

    m->form.count = count;
    m->form.of = malloc(rows * columns);
    m->form.hosts = calloc(count, sizeof *m->form.hosts);
    m->key_of = calloc(count, sizeof *m->key_of);
    m->host_of = calloc(count, sizeof *m->host_of);
    if (!m->form.of || !m->form.hosts || !m->key_of || !m->host_of)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    memset(m->form.of, (int)count - 1, rows * columns);
    return 0;
}

static int read_series(const cJSON *section, hx_mscred *m, hx_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(section, "series"), *item;
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    uint32_t at = 0;
    int rc;

    if (n < 2 || n > HX_SERIES_MAX)
        return wrong(err, "series: 2 to 64 are needed");
    rc = make_form(m, (uint32_t)n, err);
    for (item = list->child; !rc && item; item = item->next, at++) {
        rc = read_host(cJSON_GetObjectItemCaseSensitive(item, "host"), at, m, err);
        if (!rc)
            rc = read_range(item, at, m, err);
        if (!rc)
            rc = read_keys(cJSON_GetObjectItemCaseSensitive(item, "keys"), at, m, err);
    }
    return rc;
}

static int read_section(const cJSON *section, hx_mscred *m, hx_error *err)
{
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(section, "interval_us");
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(section, "step");
    const cJSON *history = cJSON_GetObjectItemCaseSensitive(section, "history");
    int rc;

    if (!cJSON_IsNumber(interval) || !(interval->valuedouble >= 1) ||
        !(interval->valuedouble <= 86400e6))
        return wrong(err, "interval_us: 1 to 86400000000 is needed");
    if (!cJSON_IsNumber(step) || step->valuedouble != HX_SERIES_STEP || !cJSON_IsNumber(history) ||
        history->valuedouble != HX_SERIES_HISTORY)
        return wrong(err, "step, history: 10 and 5 are what this engine has");
    m->form.interval_us = (int64_t)interval->valuedouble;
    rc = read_words(section, m, err);
    if (!rc)
        rc = read_series(section, m, err);
    return rc ? rc : read_limits(section, m, err);
}

/* A run on zeros: names and shapes are as they should be, and the answer is made of numbers. */
static int try_network(const hx_mscred *m, hx_error *err)
{
    const size_t cells = HX_SERIES_SCALES * (size_t)m->form.count * m->form.count;
    float *in = calloc(HX_SERIES_HISTORY * cells, sizeof *in), *out = calloc(cells, sizeof *out);
    int rc = in && out ? hx_model_run_floats(m->network, &m->in, in, &m->out, out, err)
                       : hx_error_set(err, HX_ENOMEM, "bundle: out of memory");

    for (size_t c = 0; !rc && c < cells; c++)
        if (!isfinite(out[c]))
            rc = wrong(err, "file: the network answers with what is no number");
    free(in);
    free(out);
    return rc;
}

static int load_network(const cJSON *section, const hx_bundle_files *files, hx_mscred *m,
                        hx_error *err)
{
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(section, "file"));
    const int64_t n = m->form.count;
    char *bytes = NULL;
    size_t len = 0;
    int rc;

    if (!file || !*file || strchr(file, '/'))
        return wrong(err, "file: a file's name is needed");
    m->in = (hx_tensor_form){"signatures", 5, {1, HX_SERIES_HISTORY, HX_SERIES_SCALES, n, n}};
    m->out = (hx_tensor_form){"reconstruction", 4, {1, HX_SERIES_SCALES, n, n}};
    rc = hx_bundle_read(files, file, &bytes, &len, err);
    if (rc)
        return rc;
    rc = hx_model_open(files->library, bytes, len, &m->network, err);
    free(bytes);
    return rc ? rc : try_network(m, err);
}

void hx_mscred_unload(void *model)
{
    hx_mscred *m = model;

    if (!m)
        return;
    hx_model_destroy(m->network);
    free(m->form.of);
    free(m->form.hosts);
    free(m->key_of);
    free(m->host_of);
    free(m->limit);
    free(m);
}

int hx_mscred_load(const cJSON *section, const hx_bundle_files *files,
                   const struct hx_bundle *bundle, void **model, hx_error *err)
{
    hx_mscred *m = calloc(1, sizeof *m);
    int rc;

    if (!m)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    m->form.log_keys = bundle->log_keys;
    m->matcher = bundle->matcher;
    rc = read_section(section, m, err);
    if (!rc)
        rc = load_network(section, files, m, err);
    if (rc) {
        hx_mscred_unload(m);
        return rc;
    }
    *model = m;
    return 0;
}
