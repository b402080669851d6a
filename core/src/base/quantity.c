#include <haechi/quantity.h>

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* The number at text and where it ends. */
static int read_number(const char *text, uint64_t *value, uint32_t *places, const char **end)
{
    bool point = false, any = false;

    *value = 0;
    *places = 0;
    for (; isdigit((unsigned char)*text) || (*text == '.' && !point); text++) {
        if (*text == '.') {
            point = true;
            continue;
        }
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*text - '0'), value))
            return HX_EINVAL;
        *places += point;
        any = true;
    }
    *end = text;
    return any ? 0 : HX_EINVAL;
}

static int scale(uint64_t *value, uint32_t places, uint32_t digits)
{
    if (places > digits)
        return HX_EINVAL;
    for (; places < digits; places++)
        if (__builtin_mul_overflow(*value, 10, value))
            return HX_EINVAL;
    return 0;
}

int hx_quantity_parse(const char *text, uint32_t digits, uint64_t *out)
{
    uint32_t places;
    uint64_t value;

    if (read_number(text, &value, &places, &text))
        return HX_EINVAL;
    switch (*text) {
    case 'k':
    case 'K':
        digits += 3;
        text++;
        break;
    case 'm':
    case 'M':
        digits += 6;
        text++;
        break;
    case 'g':
    case 'G':
        digits += 9;
        text++;
        break;
    default:
        break;
    }
    if (*text || scale(&value, places, digits))
        return HX_EINVAL;
    *out = value;
    return 0;
}

int hx_duration_parse(const char *text, int64_t *ns)
{
    static const struct {
        const char *name;
        uint32_t times, digits;
    } units[] = {{"", 1, 9},   {"s", 1, 9},    {"ms", 1, 6},
                 {"m", 60, 9}, {"h", 3600, 9}, {"d", 86400, 9}};
    uint32_t places;
    uint64_t value;

    if (read_number(text, &value, &places, &text))
        return HX_EINVAL;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(units[i].name, text) != 0)
            continue;
        if (scale(&value, places, units[i].digits) ||
            __builtin_mul_overflow(value, units[i].times, &value) || value > INT64_MAX)
            return HX_EINVAL;
        *ns = (int64_t)value;
        return 0;
    }
    return HX_EINVAL;
}
