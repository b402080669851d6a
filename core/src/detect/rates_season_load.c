/* seasons.json, as it is in a bundle (docs/bundle.md, "seasons.json"): from hostile bytes to rows
 * that are found by host and by log key. */
#include "detect/rates.h"

#include <haechi/hash.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#define FILE_FORMAT 1
#define ROWS_MAX    65536
#define MEAN_MOST   1e12

uint32_t hx_rates_season_of_host(const rate_seasons *seasons, uint32_t hash, hx_slice name)
{
    if (!seasons->hosts)
        return 0;
    for (uint32_t at = hash & seasons->host_mask; seasons->host_index[at];
         at = (at + 1) & seasons->host_mask) {
        const rate_season_host *h = &seasons->host[seasons->host_index[at] - 1];

        if (h->hash == hash && h->len == name.len && memcmp(h->name, name.ptr, name.len) == 0)
            return seasons->host_index[at];
    }
    return 0;
}

uint32_t hx_rates_season_of_key(const rate_seasons *seasons, uint32_t key)
{
    return seasons->row_of_key ? seasons->row_of_key[key] : 0;
}

void hx_rates_seasons_free(rate_seasons *seasons)
{
    free(seasons->mean);
    free(seasons->host);
    free(seasons->host_index);
    free(seasons->row_of_key);
    *seasons = (rate_seasons){0};
}

static bool is_number(const cJSON *item, double most)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= most;
}

/* As many numbers as the period has hours. */
static int read_means(const cJSON *list, uint32_t period, float *row, double *wide)
{
    const cJSON *item;
    uint32_t n = 0;

    if (!cJSON_IsArray(list))
        return HX_EMALFORMED;
    cJSON_ArrayForEach(item, list)
    {
        if (n == period || !is_number(item, MEAN_MOST))
            return HX_EMALFORMED;
        if (row)
            row[n] = (float)item->valuedouble;
        else
            wide[n] = item->valuedouble;
        n++;
    }
    return n == period ? 0 : HX_EMALFORMED;
}

static int add_host(rate_seasons *seasons, const cJSON *item)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
    size_t len = name ? strlen(name) : 0;
    rate_season_host *h = &seasons->host[seasons->rows];
    uint32_t at;

    if (len < 1 || len > HX_RATE_NAME_MAX)
        return HX_EMALFORMED;
    h->hash = (uint32_t)hx_hash_bytes(name, len, HX_HASH_SEED);
    h->len = (uint8_t)len;
    memcpy(h->name, name, len);
    if (hx_rates_season_of_host(seasons, h->hash, hx_slice_make(name, len)))
        return HX_EMALFORMED; /* twice */
    at = h->hash & seasons->host_mask;
    while (seasons->host_index[at])
        at = (at + 1) & seasons->host_mask;
    seasons->host_index[at] = seasons->rows + 1;
    seasons->hosts++;
    return 0;
}

static int add_key(rate_seasons *seasons, const cJSON *item, uint32_t log_keys)
{
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(item, "log_key");
    uint32_t at;

    if (!is_number(key, (double)log_keys - 1) || key->valuedouble != floor(key->valuedouble))
        return HX_EMALFORMED;
    at = (uint32_t)key->valuedouble;
    if (seasons->row_of_key[at])
        return HX_EMALFORMED;
    seasons->row_of_key[at] = seasons->rows + 1;
    return 0;
}

static int read_rows(const cJSON *list, bool hosts, uint32_t log_keys, rate_seasons *seasons)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        float *row = seasons->mean + (size_t)seasons->rows * seasons->period;
        int rc = hosts ? add_host(seasons, item) : add_key(seasons, item, log_keys);

        if (!rc)
            rc = read_means(cJSON_GetObjectItemCaseSensitive(item, "mean"), seasons->period, row,
                            NULL);
        if (rc)
            return rc;
        seasons->rows++;
    }
    return 0;
}

static int make_room(rate_seasons *seasons, uint32_t hosts, uint32_t rows, uint32_t log_keys)
{
    uint32_t places = 16;

    while (places < 2 * hosts)
        places *= 2;
    seasons->host_mask = places - 1;
    seasons->mean = calloc((size_t)rows * seasons->period + 1, sizeof *seasons->mean);
    seasons->host = calloc((size_t)hosts + 1, sizeof *seasons->host);
    seasons->host_index = calloc(places, sizeof *seasons->host_index);
    seasons->row_of_key = calloc((size_t)log_keys + 1, sizeof *seasons->row_of_key);
    return seasons->mean && seasons->host && seasons->host_index && seasons->row_of_key ? 0
                                                                                        : HX_ENOMEM;
}

static int read_seasons(const cJSON *root, uint32_t log_keys, rate_seasons *seasons)
{
    const cJSON *period = cJSON_GetObjectItemCaseSensitive(root, "period_h");
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    const cJSON *hosts = cJSON_GetObjectItemCaseSensitive(root, "hosts");
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(root, "keys");
    int n_hosts = cJSON_IsArray(hosts) ? cJSON_GetArraySize(hosts) : -1;
    int n_keys = cJSON_IsArray(keys) ? cJSON_GetArraySize(keys) : -1;
    int rc;

    if (!is_number(format, FILE_FORMAT) || format->valuedouble != FILE_FORMAT || n_hosts < 0 ||
        n_keys < 0 || n_hosts > ROWS_MAX || n_keys > ROWS_MAX || !cJSON_IsNumber(period) ||
        (period->valuedouble != 24 && period->valuedouble != HX_RATE_PERIOD_MAX))
        return HX_EMALFORMED;
    seasons->period = (uint32_t)period->valuedouble;
    rc = make_room(seasons, (uint32_t)n_hosts, (uint32_t)(n_hosts + n_keys), log_keys);
    if (!rc)
        rc = read_means(cJSON_GetObjectItemCaseSensitive(root, "total"), seasons->period, NULL,
                        seasons->total);
    if (!rc)
        rc = read_rows(hosts, true, log_keys, seasons);
    return rc ? rc : read_rows(keys, false, log_keys, seasons);
}

int hx_rates_seasons_load(const cJSON *section, const hx_bundle_files *files, rates_model *m,
                          hx_error *err)
{
    const cJSON *season = cJSON_GetObjectItemCaseSensitive(section, "season");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(season, "file");
    const char *file = cJSON_GetStringValue(name);
    char *bytes = NULL;
    size_t len = 0;
    cJSON *root;
    int rc;

    if (!name)
        return 0;
    if (!file || !*file || strchr(file, '/'))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: rates.season.file: \"%s\" is not a file's name",
                            file ? file : "");
    rc = hx_bundle_read(files, file, &bytes, &len, err);
    if (rc)
        return rc;
    root = cJSON_ParseWithLength(bytes, len);
    free(bytes);
    rc = read_seasons(root, m->bundle->log_keys, &m->seasons);
    cJSON_Delete(root);
    if (rc == HX_ENOMEM)
        return hx_error_set(err, rc, "bundle: %s: out of memory", file);
    if (rc)
        return hx_error_set(err, rc,
                            "bundle: %s: format %d with period_h 24 or %d, that many numbers of 0 "
                            "and more in \"total\" and in each \"mean\", hosts with a name of at "
                            "most %d bytes and log keys of the bundle, each once, are needed",
                            file, FILE_FORMAT, HX_RATE_PERIOD_MAX, HX_RATE_NAME_MAX);
    return 0;
}
