#include "storm/fields.h"

#include <string.h>

const cJSON *hx_field_object(const cJSON *object, const char *key, const char *where, hx_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (cJSON_IsObject(item))
        return item;
    hx_error_set(err, HX_EINVAL, "%s%s: not an object, or not there", where, key);
    return NULL;
}

int hx_field_number(const cJSON *object, const char *key, const char *where, uint32_t low,
                    uint32_t high, uint32_t *out, hx_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsNumber(item))
        return hx_error_set(err, HX_EINVAL, "%s%s: not a number, or not there", where, key);
    if (!(item->valuedouble >= low && item->valuedouble <= high) ||
        item->valuedouble != (double)(uint32_t)item->valuedouble)
        return hx_error_set(err, HX_EINVAL, "%s%s: %g is not a whole number from %u to %u", where,
                            key, item->valuedouble, low, high);
    *out = (uint32_t)item->valuedouble;
    return 0;
}

int hx_field_bool(const cJSON *object, const char *key, const char *where, bool *out, hx_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsBool(item))
        return hx_error_set(err, HX_EINVAL, "%s%s: neither true nor false", where, key);
    *out = cJSON_IsTrue(item);
    return 0;
}

int hx_field_check_text(const char *text, size_t most)
{
    size_t len = strlen(text);

    if (len == 0 || len > most)
        return HX_EINVAL;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return HX_EINVAL;
    return 0;
}

int hx_field_text(const cJSON *object, const char *key, const char *where, char *out, size_t room,
                  hx_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsString(item) || hx_field_check_text(item->valuestring, room - 2) != 0)
        return hx_error_set(err, HX_EINVAL, "%s%s: not a text of 1 to %zu printable bytes", where,
                            key, room - 2);
    strcpy(out, item->valuestring);
    return 0;
}

int hx_field_word(const cJSON *object, const char *key, const char *where, char *out, size_t room,
                  hx_error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";
    int rc = hx_field_text(object, key, where, out, room, err);

    if (!rc && out[strspn(out, allowed)] != '\0')
        rc = hx_error_set(err, HX_EINVAL,
                          "%s%s: \"%s\" has other characters than letters, digits "
                          "and . _ - /",
                          where, key, out);
    return rc;
}
