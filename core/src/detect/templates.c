/* The command "templates": what the tally of the current bundle says, in pieces of bounded length.
 */
#include "detect/engine_parts.h"

#include <haechi/utf8.h>

#include <cjson/cJSON.h>
#include <stdlib.h>

#define SHOWN_MAX            500
#define SHOWN_USUALLY        100
#define TEMPLATE_BYTES_SHOWN 4096

typedef struct key_count {
    uint64_t count;
    uint32_t key;
} key_count;

typedef struct wish {
    uint32_t offset, limit;
    bool by_count, all_counts, no_examples;
    const cJSON *keys; /* NULL: by offset and limit */
} wish;

/* The most frequent first; those that came as often in the order of their keys. */
static int compare_counts(const void *a, const void *b)
{
    const key_count *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

/* --- what is asked for -------------------------------------------------------------------------
 */

static bool take_number(const cJSON *command, const char *name, uint32_t highest, uint32_t *out)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(command, name);

    if (!n)
        return true;
    if (!cJSON_IsNumber(n) || !(n->valuedouble >= 0 && n->valuedouble <= highest) ||
        n->valuedouble != (double)(uint32_t)n->valuedouble)
        return false;
    *out = (uint32_t)n->valuedouble;
    return true;
}

static bool are_keys(const cJSON *keys, uint32_t count)
{
    const cJSON *key;

    if (!cJSON_IsArray(keys) || cJSON_GetArraySize(keys) > SHOWN_MAX)
        return false;
    cJSON_ArrayForEach(key, keys)
    {
        if (cJSON_IsNull(key))
            continue;
        if (!cJSON_IsNumber(key) || !(key->valuedouble >= 0 && key->valuedouble < count) ||
            key->valuedouble != (double)(uint32_t)key->valuedouble)
            return false;
    }
    return true;
}

/* NULL, or what is wrong with it. */
static const char *read_wish(const cJSON *command, uint32_t keys, wish *w)
{
    const cJSON *sort = cJSON_GetObjectItemCaseSensitive(command, "sort");
    const char *by = cJSON_GetStringValue(sort);

    *w = (wish){.limit = SHOWN_USUALLY};
    if (sort && (!by || (strcmp(by, "key") != 0 && strcmp(by, "count") != 0)))
        return "templates: \"sort\" is not \"key\" or \"count\"";
    w->by_count = by && strcmp(by, "count") == 0;
    if (!take_number(command, "offset", UINT32_MAX, &w->offset))
        return "templates: \"offset\" is not a whole number from 0 on";
    if (!take_number(command, "limit", SHOWN_MAX, &w->limit))
        return "templates: \"limit\" is not a whole number within 0 to 500";
    w->keys = cJSON_GetObjectItemCaseSensitive(command, "keys");
    if (w->keys && !are_keys(w->keys, keys))
        return "templates: \"keys\" is not a list of at most 500 log keys of the bundle, or null";
    w->all_counts = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(command, "counts"));
    w->no_examples = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(command, "examples"));
    return NULL;
}

/* --- the answer --------------------------------------------------------------------------------
 */

/* The first bytes of a text, without a letter that the cut went through. */
static hx_slice cut_text(const char *text, size_t len, uint32_t most)
{
    if (len <= most)
        return hx_slice_make(text, len);
    for (uint32_t back = 1; back <= 3; back++) {
        unsigned char c = (unsigned char)text[most - back];

        if (c >= 0xc0 && !hx_utf8_length((const unsigned char *)text + most - back, back))
            return hx_slice_make(text, most - back);
        if (c < 0x80 || c >= 0xc0)
            break;
    }
    return hx_slice_make(text, most);
}

static void put_example(hx_engine *e, hx_tally *tally, uint32_t key, hx_text *out)
{
    hx_example example;
    const char *source;

    hx_text_json_key(out, "example");
    if (!hx_tally_example(tally, key, &example)) {
        hx_text_str(out, "null");
        return;
    }
    hx_text_json_string(out, cut_text(example.text, example.length, HX_EXAMPLE_BYTES));
    hx_text_json_key(out, "example_cut");
    hx_text_str(out, example.length > HX_EXAMPLE_BYTES ? "true" : "false");
    source = hx_source_input_name(e->source, example.place.input);
    hx_text_json_key(out, "example_source");
    hx_text_json_string(out, hx_slice_str(source ? source : ""));
    hx_text_json_key(out, "example_offset");
    hx_text_printf(out, "%llu", (unsigned long long)example.place.offset);
    hx_text_json_key(out, "example_time");
    hx_text_json_time(out, example.place.at_us);
}

static void put_one(hx_engine *e, const hx_bundle *bundle, const wish *w, const key_count *one,
                    hx_text *out)
{
    hx_tally *tally = bundle->tally;
    hx_slice text = {0};

    hx_text_str(out, out->ptr && out->ptr[out->len - 1] == '[' ? "{" : ", {");
    hx_text_json_key(out, "log_key");
    if (one->key != HX_KEY_UNSEEN) {
        text = hx_slice_str(hx_matcher_text(bundle->matcher, one->key));
        hx_text_printf(out, "%u", one->key);
        hx_text_json_key(out, "template");
        hx_text_json_string(out, cut_text(text.ptr, text.len, TEMPLATE_BYTES_SHOWN));
    } else {
        hx_text_str(out, "null");
        hx_text_json_key(out, "template");
        hx_text_str(out, "null");
    }
    hx_text_json_key(out, "count");
    hx_text_printf(out, "%llu", (unsigned long long)one->count);
    if (!w->no_examples)
        put_example(e, tally, one->key, out);
    hx_text_str(out, "}");
}

static void put_all_counts(const key_count *counts, uint32_t keys, hx_text *out)
{
    hx_text_json_key(out, "counts");
    hx_text_str(out, "[");
    for (uint32_t k = 0; k < keys; k++)
        hx_text_printf(out, k ? ",%llu" : "%llu", (unsigned long long)counts[k].count);
    hx_text_str(out, "]");
}

static void put_shown(hx_engine *e, const hx_bundle *bundle, const wish *w, key_count *counts,
                      hx_text *out)
{
    const uint32_t keys = hx_tally_keys(bundle->tally);
    const cJSON *key;

    hx_text_json_key(out, "templates");
    hx_text_str(out, "[");
    if (w->keys) {
        cJSON_ArrayForEach(key, w->keys)
        {
            put_one(e, bundle, w, &counts[cJSON_IsNull(key) ? keys : (uint32_t)key->valuedouble],
                    out);
        }
    } else {
        if (w->by_count)
            qsort(counts, keys, sizeof *counts, compare_counts);
        for (uint32_t i = 0; i < w->limit && w->offset < keys && i < keys - w->offset; i++)
            put_one(e, bundle, w, &counts[w->offset + i], out);
    }
    hx_text_str(out, "]");
}

static void answer(hx_engine *e, const hx_bundle *bundle, const wish *w, key_count *counts,
                   hx_text *out)
{
    hx_tally *tally = bundle->tally;
    const uint32_t keys = hx_tally_keys(tally);
    uint64_t lines = 0;

    for (uint32_t k = 0; k <= keys; k++) {
        uint32_t key = k < keys ? k : HX_KEY_UNSEEN;

        counts[k] = (key_count){hx_tally_total(tally, key), key};
        lines += counts[k].count;
    }
    hx_text_str(out, "{\"ok\": true");
    hx_text_json_key(out, "bundle");
    hx_text_json_string(out, hx_slice_str(bundle->digest));
    hx_text_json_key(out, "since");
    hx_text_json_time(out, hx_tally_since_us(tally));
    hx_text_json_key(out, "log_keys");
    hx_text_printf(out, "%u", keys);
    hx_text_json_key(out, "lines");
    hx_text_printf(out, "%llu", (unsigned long long)lines);
    hx_text_json_key(out, "unseen");
    hx_text_printf(out, "%llu", (unsigned long long)counts[keys].count);
    if (w->all_counts)
        put_all_counts(counts, keys, out);
    put_shown(e, bundle, w, counts, out);
    hx_text_str(out, "}");
}

void hx_engine_templates(hx_engine *engine, const cJSON *command, hx_text *out)
{
    const hx_bundle *bundle;
    const char *wrong;
    key_count *counts = NULL;
    wish w;

    /* While it is held, no bundle is freed. */
    pthread_mutex_lock(&engine->in_use_lock);
    bundle = atomic_load(&engine->bundle);
    wrong = read_wish(command, hx_tally_keys(bundle->tally), &w);
    if (!wrong) {
        counts = calloc((size_t)hx_tally_keys(bundle->tally) + 1, sizeof *counts);
        wrong = counts ? NULL : "templates: out of memory";
    }
    if (wrong)
        hx_control_put_error(out, wrong);
    else
        answer(engine, bundle, &w, counts, out);
    pthread_mutex_unlock(&engine->in_use_lock);
    free(counts);
}
