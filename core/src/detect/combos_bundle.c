/* The file of members and pairs, as it is in a bundle (docs/bundle.md, "combos"). */
#include "detect/bundle.h"
#include "detect/combos.h"

#include <haechi/hash.h>
#include <haechi/users.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#define FILE_FORMAT 1
#define MEMBERS_MAX 65536
#define PAIRS_MAX   1048576

/* --- looking up --------------------------------------------------------------------------------
 */

const hx_combo_member *hx_combo_by_name(const hx_combo_side *side, hx_slice name, uint64_t hash)
{
    if (!side->count)
        return NULL;
    for (uint32_t at = (uint32_t)hash & side->mask; side->index[at]; at = (at + 1) & side->mask) {
        const hx_combo_member *m = &side->member[side->index[at] - 1];

        if (m->len == name.len && memcmp(m->name, name.ptr, name.len) == 0)
            return m;
    }
    return NULL;
}

const hx_combo_member *hx_combo_by_key(const hx_combo_side *side, uint32_t key)
{
    if (!side->count || key >= side->mask || !side->index[key])
        return NULL;
    return &side->member[side->index[key] - 1];
}

static uint64_t pair_of(uint64_t first, uint64_t second)
{
    return (first + 1) << 32 | (second + 1);
}

/* The pair's place, or the empty one where it would be. */
static uint64_t *pair_place(const hx_combo_set *set, uint64_t pair)
{
    uint64_t at = hx_hash_u64(HX_HASH_SEED, pair) & set->mask;

    while (set->pair[at] && set->pair[at] != pair)
        at = (at + 1) & set->mask;
    return &set->pair[at];
}

bool hx_combo_seen(const hx_combo_set *set, const hx_combo_member *first,
                   const hx_combo_member *second)
{
    return *pair_place(set, pair_of((uint64_t)(first - set->first.member),
                                    (uint64_t)(second - set->second.member))) != 0;
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* A name; of a log key its template's text. NULL: neither. */
static const char *name_of(const cJSON *item, const hx_bundle *bundle, bool of_key)
{
    const char *name = of_key ? NULL : cJSON_GetStringValue(item);

    if (of_key && cJSON_IsNumber(item) && item->valuedouble >= 0 &&
        item->valuedouble < bundle->log_keys && item->valuedouble == floor(item->valuedouble))
        name = hx_matcher_text(bundle->matcher, (uint32_t)item->valuedouble);
    return name && *name ? name : NULL;
}

/* Neither number: not settled. */
static int read_numbers(const cJSON *item, hx_combo_member *m)
{
    const cJSON *nats = cJSON_GetObjectItemCaseSensitive(item, "nats");
    const cJSON *limit = cJSON_GetObjectItemCaseSensitive(item, "limit");

    if (!nats && !limit)
        return 0;
    if (!cJSON_IsNumber(nats) || !cJSON_IsNumber(limit) || !(limit->valuedouble >= 0) ||
        !(nats->valuedouble >= limit->valuedouble) || !isfinite(nats->valuedouble))
        return HX_EMALFORMED;
    m->settled = true;
    m->nats = nats->valuedouble;
    m->limit = limit->valuedouble;
    return 0;
}

static int read_member(const cJSON *item, const hx_bundle *bundle, bool of_keys, hx_combo_member *m)
{
    const cJSON *usual = cJSON_GetObjectItemCaseSensitive(item, "usual"), *one;

    m->name = name_of(cJSON_GetObjectItemCaseSensitive(item, "name"), bundle, of_keys);
    if (!m->name || read_numbers(item, m) || !cJSON_IsArray(usual))
        return HX_EMALFORMED;
    m->len = (uint32_t)strlen(m->name);
    cJSON_ArrayForEach(one, usual)
    {
        const char *name = name_of(one, bundle, cJSON_IsNumber(one));

        if (!name || m->usual_count == HX_COMBO_USUAL_MAX)
            return HX_EMALFORMED;
        m->usual[m->usual_count++] = name;
    }
    return 0;
}

static int index_member(hx_combo_side *side, uint32_t i, bool of_keys, double key)
{
    const hx_combo_member *m = &side->member[i];
    const uint64_t hash = hx_hash_bytes(m->name, m->len, HX_HASH_SEED);
    uint32_t at = of_keys ? (uint32_t)key : (uint32_t)hash & side->mask;

    while (!of_keys && side->index[at])
        at = (at + 1) & side->mask;
    if (side->index[at] ||
        (!of_keys && hx_combo_by_name(side, hx_slice_make(m->name, m->len), hash)))
        return HX_EMALFORMED; /* twice */
    side->index[at] = i + 1;
    return 0;
}

static int read_side(const cJSON *list, const hx_bundle *bundle, bool of_keys, hx_combo_side *side)
{
    int n = cJSON_GetArraySize(list);
    uint32_t places = 16;
    const cJSON *item;

    if (n < 1 || n > MEMBERS_MAX)
        return HX_EMALFORMED;
    while (places < 2 * (uint32_t)n)
        places *= 2;
    if (of_keys)
        places = bundle->log_keys;
    side->member = calloc((size_t)n, sizeof *side->member);
    side->index = calloc((size_t)places + 1, sizeof *side->index);
    side->mask = of_keys ? places : places - 1;
    if (!side->member || !side->index)
        return HX_ENOMEM;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
        int rc = read_member(item, bundle, of_keys, &side->member[side->count]);

        side->count++;
        if (!rc)
            rc = index_member(side, side->count - 1, of_keys, of_keys ? name->valuedouble : 0);
        if (rc)
            return rc;
    }
    return 0;
}

/* [first, second, first, second, ...], places in the lists of members. */
static int read_pairs(const cJSON *list, hx_combo_set *set)
{
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    const cJSON *item = n ? list->child : NULL;
    uint64_t places = 16;

    if (n < 2 || n % 2 || n / 2 > PAIRS_MAX)
        return HX_EMALFORMED;
    while (places < (uint64_t)n)
        places *= 2;
    set->mask = places - 1;
    set->pair = calloc(places, sizeof *set->pair);
    if (!set->pair)
        return HX_ENOMEM;
    for (; item; item = item->next->next) {
        double i = cJSON_IsNumber(item) ? item->valuedouble : -1;
        double j = cJSON_IsNumber(item->next) ? item->next->valuedouble : -1;
        uint64_t pair;

        if (!(i >= 0 && i < set->first.count && j >= 0 && j < set->second.count))
            return HX_EMALFORMED;
        pair = pair_of((uint64_t)i, (uint64_t)j);
        *pair_place(set, pair) = pair;
    }
    return 0;
}

static int read_set(const cJSON *item, hx_combos_model *m)
{
    static const char *const kinds[HX_COMBO_KINDS] = {"host_process", "process_key", "host_user",
                                                      "process_user"};
    const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "kind"));
    hx_combo_set *set;
    uint32_t k = 0;
    int rc;

    while (k < HX_COMBO_KINDS && (!kind || strcmp(kind, kinds[k]) != 0))
        k++;
    if (k == HX_COMBO_KINDS || m->set[k].first.count)
        return HX_EMALFORMED;
    set = &m->set[k];
    rc = read_side(cJSON_GetObjectItemCaseSensitive(item, "first"), m->bundle, false, &set->first);
    if (!rc)
        rc = read_side(cJSON_GetObjectItemCaseSensitive(item, "second"), m->bundle,
                       k == HX_COMBO_PROCESS_KEY, &set->second);
    return rc ? rc : read_pairs(cJSON_GetObjectItemCaseSensitive(item, "pairs"), set);
}

static void note_settled(hx_combo_set *set)
{
    for (uint32_t i = 0; i < set->second.count; i++) {
        const hx_combo_member *m = &set->second.member[i];
        const uint64_t hash = hx_hash_bytes(m->name, m->len, HX_HASH_SEED);

        if (!m->settled)
            continue;
        set->second_settled = true;
        set->settled_bits[hash % HX_COMBO_SETTLED_BITS / 64] |= UINT64_C(1) << (hash % 64);
    }
}

static int read_sets(const char *file, hx_combos_model *m, hx_error *err)
{
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(m->root, "format"), *item;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(m->root, "sets");
    uint32_t n = 0;

    if (!cJSON_IsNumber(format) || format->valuedouble != FILE_FORMAT)
        return hx_error_set(err, HX_EVERSION, "bundle: %s: format %d is needed", file, FILE_FORMAT);
    if (!cJSON_IsArray(list))
        return hx_error_set(err, HX_EMALFORMED, "bundle: %s: \"sets\" is no list", file);
    cJSON_ArrayForEach(item, list)
    {
        int rc = read_set(item, m);

        if (rc == HX_ENOMEM)
            return hx_error_set(err, rc, "bundle: %s: out of memory", file);
        if (rc)
            return hx_error_set(
                err, rc,
                "bundle: %s: set %u is not a kind (\"host_process\", \"process_key\", "
                "\"host_user\" or \"process_user\", once), members with a name, nats, if any, of "
                "at least "
                "their limit and at most %d usual, and pairs of places of them",
                file, n, HX_COMBO_USUAL_MAX);
        n++;
    }
    for (uint32_t k = 0; k < HX_COMBO_KINDS; k++)
        note_settled(&m->set[k]);
    return 0;
}

/* [{"word": "user", "keys": [3, 4]}, ...]; each log key once. */
static int read_word(const cJSON *item, hx_combos_model *m)
{
    const char *word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "word"));
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(item, "keys"), *key;

    if (!word || !*word || strlen(word) > HX_USER_WORD_MAX || !cJSON_IsArray(keys) ||
        m->word_count == HX_COMBO_WORDS_MAX)
        return HX_EMALFORMED;
    m->word[m->word_count++] = hx_slice_str(word);
    cJSON_ArrayForEach(key, keys)
    {
        double k = cJSON_IsNumber(key) ? key->valuedouble : -1;

        if (!(k >= 0 && k < m->key_count) || k != floor(k) || m->word_of_key[(uint32_t)k])
            return HX_EMALFORMED;
        m->word_of_key[(uint32_t)k] = (uint8_t)m->word_count;
    }
    return 0;
}

static int read_words(const char *file, hx_combos_model *m, hx_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(m->root, "users"), *item;

    if (!list)
        return 0;
    m->key_count = m->bundle->log_keys;
    m->word_of_key = calloc((size_t)m->key_count + 1, 1);
    if (!m->word_of_key)
        return hx_error_set(err, HX_ENOMEM, "bundle: %s: out of memory", file);
    cJSON_ArrayForEach(item, list)
    {
        if (read_word(item, m))
            return hx_error_set(err, HX_EMALFORMED,
                                "bundle: %s: \"users\" is not a list of at most %d words of 1 to "
                                "%d bytes, each with its log keys, each of these once",
                                file, HX_COMBO_WORDS_MAX, HX_USER_WORD_MAX);
    }
    return 0;
}

/* --- the bundle's part -------------------------------------------------------------------------
 */

static void free_side(hx_combo_side *side)
{
    free(side->member);
    free(side->index);
}

void hx_combos_unload(void *model)
{
    hx_combos_model *m = model;

    if (!m)
        return;
    for (uint32_t k = 0; k < HX_COMBO_KINDS; k++) {
        free_side(&m->set[k].first);
        free_side(&m->set[k].second);
        free(m->set[k].pair);
    }
    free(m->word_of_key);
    cJSON_Delete(m->root);
    free(m);
}

static int read_file(const hx_bundle_files *files, const char *name, hx_combos_model *m,
                     hx_error *err)
{
    char *bytes = NULL;
    size_t len = 0;
    int rc = hx_bundle_read(files, name, &bytes, &len, err);

    if (rc)
        return rc;
    m->root = cJSON_ParseWithLength(bytes, len);
    free(bytes);
    rc = read_sets(name, m, err);
    return rc ? rc : read_words(name, m, err);
}

int hx_combos_load(const cJSON *section, const hx_bundle_files *files,
                   const struct hx_bundle *bundle, void **model, hx_error *err)
{
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(section, "file"));
    const cJSON *repeat = cJSON_GetObjectItemCaseSensitive(section, "repeat_s");
    hx_combos_model *m;
    int rc;

    if (!file || !*file || strchr(file, '/'))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: combos.file: \"%s\" is not a file's name",
                            file ? file : "");
    if (!cJSON_IsNumber(repeat) || !(repeat->valuedouble >= 0 && repeat->valuedouble <= 1e9))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: combos.repeat_s: 0 to 1e9 is needed");
    m = calloc(1, sizeof *m);
    if (!m)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    m->bundle = bundle;
    m->repeat_us = (int64_t)(repeat->valuedouble * 1e6);
    rc = read_file(files, file, m, err);
    if (rc) {
        hx_combos_unload(m);
        return rc;
    }
    *model = m;
    return 0;
}
