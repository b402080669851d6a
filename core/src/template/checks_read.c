/* values.json: the checks of a bundle. */
#include "checks.h"
#include "escape.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#define EXACT 9007199254740992.0 /* 2^53: whole numbers that JSON keeps */

static int wrong(hx_error *err, uint32_t at, const char *what)
{
    return hx_error_set(err, HX_EMALFORMED, "values.json: checks[%u]: %s", at, what);
}

static bool read_whole(const cJSON *object, const char *name, double most, uint64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= most) ||
        item->valuedouble != floor(item->valuedouble))
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

static bool read_limit(const cJSON *object, const char *name, uint64_t none, uint64_t *out)
{
    *out = none;
    return cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(object, name)) ||
           read_whole(object, name, EXACT, out);
}

/* Not below zero, and finite; 0 where it is not there. */
static bool read_amount(const cJSON *object, const char *name, double *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    *out = 0;
    if (!item)
        return true;
    *out = item->valuedouble;
    return cJSON_IsNumber(item) && *out >= 0 && isfinite(*out);
}

static bool read_text(const cJSON *item, char **bytes, hx_slice *out)
{
    int64_t length;

    if (!cJSON_IsString(item))
        return false;
    length = hx_unescape(item->valuestring, *bytes);
    if (length < 0 || length > HX_SKELETON_BYTES)
        return false;
    *out = hx_slice_make(*bytes, (size_t)length);
    *bytes += length;
    return true;
}

/* "10.12": at most three octets. 0: it is none. */
static uint32_t read_network(const cJSON *item, uint64_t *out)
{
    const char *text = cJSON_GetStringValue(item);
    uint32_t octets = 0;

    *out = 0;
    while (text && octets < 3) {
        uint64_t octet = 0;
        uint32_t digits = 0;

        for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
            octet = octet * 10 + (uint64_t)(*text - '0');
        if (!digits)
            return 0;
        *out = *out << 16 | octet;
        octets++;
        if (!*text)
            return octets;
        if (*text++ != '.')
            return 0;
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int by_text(const void *a, const void *b)
{
    const hx_slice *x = a, *y = b;
    int order = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static bool read_usual_one(const cJSON *item, char **bytes, hx_check *c, uint32_t at)
{
    uint32_t octets;

    if (c->kind == HX_VALUE_WORDS)
        return read_text(item, bytes, &c->words[at]);
    if (c->kind == HX_VALUE_NUMBERS) {
        c->usual[at] = cJSON_IsNumber(item) ? (uint64_t)item->valuedouble : 0;
        return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= EXACT &&
               item->valuedouble == floor(item->valuedouble);
    }
    octets = read_network(item, &c->usual[at]);
    if (!octets || (at && octets != c->octets))
        return false;
    c->octets = octets;
    return true;
}

static int read_usual(const cJSON *object, char **bytes, uint32_t at, hx_check *c, hx_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "usual"), *item;
    const int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;

    if (n < 1)
        return wrong(err, at, "\"usual\" is not a list of what is");
    if (c->kind == HX_VALUE_WORDS)
        c->words = calloc((size_t)n, sizeof *c->words);
    else
        c->usual = calloc((size_t)n, sizeof *c->usual);
    if (!c->words && !c->usual)
        return hx_error_set(err, HX_ENOMEM, "values.json: out of memory");
    cJSON_ArrayForEach(item, list)
    {
        if (!read_usual_one(item, bytes, c, c->usual_count))
            return wrong(err, at, "\"usual\" holds what is not of its kind");
        c->usual_count++;
    }
    if (c->kind == HX_VALUE_WORDS)
        qsort(c->words, c->usual_count, sizeof *c->words, by_text);
    else
        qsort(c->usual, c->usual_count, sizeof *c->usual, by_number);
    return 0;
}

static bool read_kind(const cJSON *object, hx_check *c)
{
    static const char *const names[] = {"words", "range", "numbers", "networks"};
    const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "kind"));

    for (uint32_t i = 0; kind && i < 4; i++)
        if (strcmp(kind, names[i]) == 0) {
            c->kind = (hx_value_kind)i;
            return true;
        }
    return false;
}

/* Whether the part is there in the skeleton, and what the kind of check asks for. */
static bool has_part(const hx_check *c)
{
    uint32_t part = 0;

    for (uint32_t i = 0; i < c->skeleton.len; i++) {
        char k = c->skeleton.ptr[i];

        if (k != HX_PART_NUMBER && k != HX_PART_ADDRESS && k != HX_PART_OTHER)
            continue;
        if (part++ == c->part)
            return k == (c->kind == HX_VALUE_NETWORKS ? HX_PART_ADDRESS : HX_PART_NUMBER);
    }
    return false;
}

static int read_place(const cJSON *object, const hx_matcher *matcher, uint32_t at, hx_check *c,
                      hx_error *err)
{
    uint64_t key, step;

    if (!read_whole(object, "log_key", UINT32_MAX, &key) || key >= hx_matcher_count(matcher))
        return wrong(err, at, "\"log_key\" is none of the templates'");
    if (!read_whole(object, "step", UINT16_MAX, &step) ||
        !hx_step_place_of(hx_matcher_pattern(matcher, (uint32_t)key), (uint32_t)step, &c->place))
        return wrong(err, at, "\"step\" is no token of the template that varies at one place");
    c->log_key = (uint32_t)key;
    c->step = (uint32_t)step;
    return 0;
}

static int read_check(const cJSON *object, const hx_matcher *matcher, char **bytes, uint32_t at,
                      hx_check *c, hx_error *err)
{
    uint64_t part = 0;
    int rc = read_place(object, matcher, at, c, err);

    if (rc)
        return rc;
    if (!read_kind(object, c))
        return wrong(err, at, "\"kind\" is not words, range, numbers or networks");
    if (!read_amount(object, "nats", &c->nats) || !read_amount(object, "limit", &c->limit) ||
        !read_amount(object, "low_slope", &c->low_slope) ||
        !read_amount(object, "high_slope", &c->high_slope))
        return wrong(err, at, "\"nats\", \"limit\" and slopes are not numbers from 0 on");
    if (c->kind != HX_VALUE_WORDS) {
        if (!read_text(cJSON_GetObjectItemCaseSensitive(object, "skeleton"), bytes, &c->skeleton) ||
            !read_whole(object, "part", HX_SKELETON_PARTS - 1, &part))
            return wrong(err, at, "\"skeleton\" and \"part\" are needed");
        c->part = (uint32_t)part;
        if (!has_part(c))
            return wrong(err, at, "\"part\" is none of the skeleton's of its kind");
    }
    if (c->kind != HX_VALUE_RANGE)
        return read_usual(object, bytes, at, c, err);
    if (!read_limit(object, "low", 0, &c->low) ||
        !read_limit(object, "high", HX_VALUE_UNLIMITED, &c->high) || c->low > c->high)
        return wrong(err, at, "\"low\" and \"high\" are not whole numbers in order, or null");
    c->low_digits = hx_check_digits(c->low);
    c->high_digits = c->high == HX_VALUE_UNLIMITED ? UINT32_MAX : hx_check_digits(c->high);
    return 0;
}

static bool in_order(const hx_check *before, const hx_check *c)
{
    return before->log_key < c->log_key ||
           (before->log_key == c->log_key && before->step <= c->step);
}

/* The bytes that are no digits in a token that a check is about, as a bit (hx_check_group). */
static uint64_t others_of(const hx_check *c)
{
    uint32_t others = 0;

    if (c->kind == HX_VALUE_WORDS) /* it has a say of every token */
        return UINT64_MAX;
    for (uint32_t i = 0; i < c->skeleton.len; i++)
        switch (c->skeleton.ptr[i]) {
        case HX_PART_NUMBER:
        case HX_PART_OTHER:
            break;
        case HX_PART_ADDRESS: /* dots */
        case HX_PART_NAME:    /* letters */
            others += 3;
            break;
        default:
            others++;
        }
    return UINT64_C(1) << others % 64;
}

static void add_to_group(hx_values *v, const hx_check *c)
{
    const uint32_t index = (uint32_t)(c - v->checks);

    if (!index || c->log_key != c[-1].log_key || c->step != c[-1].step)
        v->groups[v->group_count++] = (hx_check_group){c->place, index, index, 0};
    v->groups[v->group_count - 1].end = index + 1;
    v->groups[v->group_count - 1].others |= others_of(c);
    v->first_of_key[c->log_key + 1] = v->group_count;
}

static int read_checks(const cJSON *list, const hx_matcher *matcher, size_t len, hx_values *v,
                       hx_error *err)
{
    const int n = cJSON_GetArraySize(list);
    const cJSON *item;
    char *bytes;

    if (n > HX_CHECKS_MAX)
        return hx_error_set(err, HX_EMALFORMED, "values.json: at most %d checks, not %d",
                            HX_CHECKS_MAX, n);
    v->keys = hx_matcher_count(matcher);
    v->checks = calloc((size_t)n + 1, sizeof *v->checks);
    v->groups = calloc((size_t)n + 1, sizeof *v->groups);
    v->first_of_key = calloc((size_t)v->keys + 2, sizeof *v->first_of_key);
    v->bytes = malloc(len + 1); /* what is written there was longer in the file */
    if (!v->checks || !v->groups || !v->first_of_key || !v->bytes)
        return hx_error_set(err, HX_ENOMEM, "values.json: out of memory");
    bytes = v->bytes;
    cJSON_ArrayForEach(item, list)
    {
        hx_check *c = &v->checks[v->count];
        int rc = read_check(item, matcher, &bytes, v->count, c, err);

        v->count++;
        if (rc)
            return rc;
        if (v->count > 1 && !in_order(c - 1, c))
            return wrong(err, v->count - 1, "log keys and steps are not in order");
        add_to_group(v, c);
    }
    for (uint32_t key = 0; key < v->keys; key++)
        if (v->first_of_key[key + 1] < v->first_of_key[key])
            v->first_of_key[key + 1] = v->first_of_key[key];
    return 0;
}

int hx_values_create(const char *json, size_t len, const hx_matcher *matcher, hx_values **out,
                     hx_error *err)
{
    cJSON *root = cJSON_ParseWithLength(json, len);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "checks");
    uint64_t format = 0;
    hx_values *v = calloc(1, sizeof *v);
    int rc = 0;

    *out = NULL;
    if (!v)
        rc = hx_error_set(err, HX_ENOMEM, "values.json: out of memory");
    else if (!cJSON_IsArray(list))
        rc = hx_error_set(err, HX_EMALFORMED, "values.json: not a JSON object with \"checks\"");
    else if (!read_whole(root, "format", EXACT, &format) || format != HX_VALUES_FORMAT)
        rc = hx_error_set(err, HX_EVERSION, "values.json: format %d is needed", HX_VALUES_FORMAT);
    else
        rc = read_checks(list, matcher, len, v, err);
    cJSON_Delete(root);
    if (rc) {
        hx_values_destroy(v);
        return rc;
    }
    *out = v;
    return 0;
}

void hx_values_destroy(hx_values *values)
{
    if (!values)
        return;
    for (uint32_t i = 0; i < values->count; i++) {
        free(values->checks[i].usual);
        free(values->checks[i].words);
    }
    free(values->checks);
    free(values->groups);
    free(values->first_of_key);
    free(values->bytes);
    free(values);
}

uint32_t hx_values_count(const hx_values *values)
{
    return values->count;
}
