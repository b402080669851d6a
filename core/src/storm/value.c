/* Values: what a profile says of a variable, read and checked. */
#include "storm/fields.h"
#include "storm/reader.h"

#include <stdio.h>

int hx_storm_choice_read(storm_variable *v, const cJSON *list, const char *where, hx_error *err)
{
    const char *values[STORM_CHOICES_MAX];
    uint32_t count = 0;
    const cJSON *value;

    cJSON_ArrayForEach(value, list)
    {
        if (!cJSON_IsString(value) ||
            hx_field_check_text(value->valuestring, STORM_CHOICE_BYTES_MAX) != 0)
            return hx_error_set(err, HX_EINVAL,
                                "%schoice[%u]: not a text of 1 to %d printable bytes", where, count,
                                STORM_CHOICE_BYTES_MAX);
        if (count == STORM_CHOICES_MAX)
            return hx_error_set(err, HX_EINVAL, "%schoice: more than %d values", where,
                                STORM_CHOICES_MAX);
        values[count++] = value->valuestring;
    }
    if (count == 0)
        return hx_error_set(err, HX_EINVAL, "%schoice: not a list with a value", where);
    return hx_storm_variable_choice(v, values, count);
}

int hx_storm_range_read(storm_variable *v, const cJSON *list, const char *where, hx_error *err)
{
    double low = -1, high = -1;

    if (cJSON_GetArraySize(list) == 2 && cJSON_IsNumber(list->child) &&
        cJSON_IsNumber(list->child->next)) {
        low = list->child->valuedouble;
        high = list->child->next->valuedouble;
    }
    if (!(low >= 0 && low <= high && high <= STORM_NUMBER_MAX) || low != (double)(uint32_t)low ||
        high != (double)(uint32_t)high)
        return hx_error_set(err, HX_EINVAL,
                            "%srange: not two whole numbers, the smaller first, from 0 to %d",
                            where, STORM_NUMBER_MAX);
    return hx_storm_variable_range(v, (uint32_t)low, (uint32_t)high);
}

static int read_ipv4(storm_variable *v, const cJSON *text, const char *where, hx_error *err)
{
    unsigned a[4], bits;
    char after;

    if (!cJSON_IsString(text) ||
        sscanf(text->valuestring, "%3u.%3u.%3u.%3u/%2u%c", &a[0], &a[1], &a[2], &a[3], &bits,
               &after) != 5 ||
        a[0] > 255 || a[1] > 255 || a[2] > 255 || a[3] > 255 ||
        (bits != 8 && bits != 16 && bits != 24))
        return hx_error_set(err, HX_EINVAL,
                            "%sipv4: not a network such as 10.0.0.0/8 (/8, /16 or /24)", where);
    return hx_storm_variable_ipv4(
        v, (uint8_t[4]){(uint8_t)a[0], (uint8_t)a[1], (uint8_t)a[2], (uint8_t)a[3]}, bits / 8);
}

static int read_random(storm_variable *v, const cJSON *item, const char *where, hx_error *err)
{
    static const struct {
        const char *name, *letters;
    } alphabets[] = {
        {"hex", "0123456789abcdef"},
        {"digits", "0123456789"},
        {"lower", "abcdefghijklmnopqrstuvwxyz"},
        {"base64", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"},
    };
    char name[16];
    uint32_t length;

    if (hx_field_word(item, "random", where, name, sizeof name, err) ||
        hx_field_number(item, "length", where, 1, 64, &length, err))
        return HX_EINVAL;
    for (size_t i = 0; i < sizeof alphabets / sizeof *alphabets; i++)
        if (strcmp(alphabets[i].name, name) == 0)
            return hx_storm_variable_random(v, alphabets[i].letters, length);
    return hx_error_set(err, HX_EINVAL, "%srandom: \"%s\" is none of hex, digits, lower, base64",
                        where, name);
}

int hx_storm_variable_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err)
{
    storm_variable *v = &p->variables[p->variable_count];
    const cJSON *choice = cJSON_GetObjectItemCaseSensitive(item, "choice");
    const cJSON *range = cJSON_GetObjectItemCaseSensitive(item, "range");
    const cJSON *ipv4 = cJSON_GetObjectItemCaseSensitive(item, "ipv4");
    const cJSON *random = cJSON_GetObjectItemCaseSensitive(item, "random");
    char scope[16];

    if (hx_field_word(item, "name", where, v->name, sizeof v->name, err) ||
        hx_field_word(item, "scope", where, scope, sizeof scope, err))
        return HX_EINVAL;
    if (strcmp(scope, "session") != 0 && strcmp(scope, "line") != 0)
        return hx_error_set(err, HX_EINVAL, "%sscope: \"%s\" is neither session nor line", where,
                            scope);
    v->of_session = scope[0] == 's';
    p->variable_count++; /* from here on its tables are freed with the profile */
    if (!!choice + !!range + !!ipv4 + !!random != 1)
        return hx_error_set(err, HX_EINVAL, "%s: not exactly one of choice, range, ipv4, random",
                            where);
    if (choice)
        return hx_storm_choice_read(v, choice, where, err);
    if (range)
        return hx_storm_range_read(v, range, where, err);
    return ipv4 ? read_ipv4(v, ipv4, where, err) : read_random(v, item, where, err);
}
