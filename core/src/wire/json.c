#include "members.h"

/* One JSON object a line: its top level is read once, left to right; a nested value is skipped by
 * its brackets. */

#define DEPTH_MAX 64

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p;
}

/* From after the opening quote to the closing one; NULL where the string is not JSON's. */
static const char *string_end(const char *p, const char *end)
{
    for (;;) {
#if defined(__SSE2__)
        const __m128i quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\');
        const __m128i control = _mm_set1_epi8(0x1f);
        while (end - p >= 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
            __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, control), v);
            int hit = _mm_movemask_epi8(_mm_or_si128(
                low, _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, escape))));
            if (hit) {
                p += __builtin_ctz((unsigned)hit);
                break;
            }
            p += 16;
        }
#endif
        while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
            p++;
        if (p == end || *p != '\\')
            return p < end && *p == '"' ? p : NULL;
        if (end - p < 2 || !strchr("\"\\/bfnrtu", p[1]) || p[1] == '\0')
            return NULL;
        p += 2;
    }
}

/* From an opening bracket to after its closing one. Strings and the nesting are checked, commas and
 * colons inside are not: nothing of it is kept. */
static const char *nested_end(const char *p, const char *end)
{
    uint64_t objects = 0; /* a bit a level: 1 for '{' */
    int depth = 0;

    for (; p < end; p++) {
        switch (*p) {
        case '{':
        case '[':
            if (++depth > DEPTH_MAX)
                return NULL;
            objects = objects << 1 | (*p == '{');
            break;
        case '}':
        case ']':
            if ((objects & 1) != (*p == '}'))
                return NULL;
            objects >>= 1;
            if (--depth == 0)
                return p + 1;
            break;
        case '"':
            p = string_end(p + 1, end);
            if (!p)
                return NULL;
            break;
        default:
            break;
        }
    }
    return NULL;
}

static bool is_scalar_byte(char c)
{
    return wire_is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' ||
           c == 'E';
}

/* Any value. Its text without quotes goes to *value; null and nested values are empty. */
static const char *value_read(const char *p, const char *end, hx_slice *value)
{
    const char *start = p;

    *value = wire_slice(p, p);
    if (p == end)
        return NULL;
    if (*p == '"') {
        p = string_end(p + 1, end);
        if (!p)
            return NULL;
        *value = wire_slice(start + 1, p);
        return p + 1;
    }
    if (*p == '{' || *p == '[')
        return nested_end(p, end);
    while (p < end && is_scalar_byte(*p))
        p++;
    *value = wire_slice(start, p);
    if (hx_slice_equal(*value, HX_SLICE_LIT("null"))) {
        *value = wire_slice(p, p);
        return p;
    }
    if (hx_slice_equal(*value, HX_SLICE_LIT("true")) ||
        hx_slice_equal(*value, HX_SLICE_LIT("false")))
        return p;
    return p > start && (*start == '-' || wire_is_digit(*start)) ? p : NULL;
}

static const char *member_read(const char *p, const char *end, wire_members *m)
{
    hx_slice name, value;
    const char *start = p + 1;

    if (p == end || *p != '"' || !(p = string_end(start, end)))
        return NULL;
    name = wire_slice(start, p);
    p = skip_space(p + 1, end);
    if (p == end || *p != ':')
        return NULL;
    p = value_read(skip_space(p + 1, end), end, &value);
    if (p)
        wire_members_keep(m, name, value);
    return p;
}

static int object_read(const char *p, const char *end, wire_members *m)
{
    p = skip_space(p, end);
    if (p == end || *p != '{')
        return HX_EMALFORMED;
    p = skip_space(p + 1, end);
    if (p < end && *p == '}')
        return skip_space(p + 1, end) == end ? 0 : HX_EMALFORMED;
    for (;;) {
        p = member_read(p, end, m);
        if (!p)
            return HX_EMALFORMED;
        p = skip_space(p, end);
        if (p == end || (*p != ',' && *p != '}'))
            return HX_EMALFORMED;
        if (*p == '}')
            return skip_space(p + 1, end) == end ? 0 : HX_EMALFORMED;
        p = skip_space(p + 1, end);
    }
}

int wire_json_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record)
{
    wire_members m;

    wire_members_clear(&m);
    if (object_read(line.ptr, line.ptr + line.len, &m))
        return HX_EMALFORMED;
    wire_members_finish(&m, line, scratch, record);
    return 0;
}
