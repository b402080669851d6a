#include "timestamp.h"
#include "wire.h"

/* One JSON object a line. Its top level is read once, left to right; of the names that loggers give
 * to the same thing, the one with the lowest rank wins. A nested value is skipped by its brackets.
 */

#define DEPTH_MAX 64

typedef enum role {
    ROLE_MESSAGE,
    ROLE_TIME,
    ROLE_HOST,
    ROLE_PROCESS,
    ROLE_PID,
    ROLE_THREAD,
    ROLE_LEVEL,
    ROLE_PRIORITY,
    ROLE_COUNT
} role;

typedef struct member_name {
    char text[28];
    uint8_t role, rank;
} member_name;

/* By length: a name is compared with a handful of others. */
static const member_name names_2[] = {{"ts", ROLE_TIME, 2}};
static const member_name names_3[] = {{"msg", ROLE_MESSAGE, 1}, {"log", ROLE_MESSAGE, 2},
                                      {"app", ROLE_PROCESS, 2}, {"pid", ROLE_PID, 0},
                                      {"tid", ROLE_THREAD, 1},  {"lvl", ROLE_LEVEL, 2}};
static const member_name names_4[] = {{"body", ROLE_MESSAGE, 5}, {"text", ROLE_MESSAGE, 6},
                                      {"time", ROLE_TIME, 1},    {"host", ROLE_HOST, 1},
                                      {"name", ROLE_PROCESS, 5}, {"_PID", ROLE_PID, 0}};
static const member_name names_5[] = {
    {"event", ROLE_MESSAGE, 3}, {"_COMM", ROLE_PROCESS, 1}, {"level", ROLE_LEVEL, 0}};
static const member_name names_6[] = {{"logger", ROLE_PROCESS, 4}, {"thread", ROLE_THREAD, 0}};
static const member_name names_7[] = {{"message", ROLE_MESSAGE, 0},
                                      {"MESSAGE", ROLE_MESSAGE, 0},
                                      {"process", ROLE_PROCESS, 0},
                                      {"program", ROLE_PROCESS, 1},
                                      {"service", ROLE_PROCESS, 3}};
static const member_name names_8[] = {{"datetime", ROLE_TIME, 3},
                                      {"hostname", ROLE_HOST, 0},
                                      {"severity", ROLE_LEVEL, 1},
                                      {"PRIORITY", ROLE_PRIORITY, 0}};
static const member_name names_9[] = {{"timestamp", ROLE_TIME, 0},
                                      {"host.name", ROLE_HOST, 0},
                                      {"_HOSTNAME", ROLE_HOST, 0},
                                      {"log.level", ROLE_LEVEL, 0},
                                      {"levelname", ROLE_LEVEL, 0}};
static const member_name names_10[] = {
    {"@timestamp", ROLE_TIME, 0}, {"SYSLOG_PID", ROLE_PID, 1}, {"threadName", ROLE_THREAD, 0}};
static const member_name names_11[] = {{"process.pid", ROLE_PID, 0},
                                       {"thread_name", ROLE_THREAD, 0}};
static const member_name names_12[] = {{"process.name", ROLE_PROCESS, 0}};
static const member_name names_13[] = {{"short_message", ROLE_MESSAGE, 4}};
static const member_name names_17[] = {{"SYSLOG_IDENTIFIER", ROLE_PROCESS, 0}};
static const member_name names_20[] = {{"__REALTIME_TIMESTAMP", ROLE_TIME, 1}};
static const member_name names_26[] = {{"_SOURCE_REALTIME_TIMESTAMP", ROLE_TIME, 0}};

#define NAMES(n) {names_##n, sizeof names_##n / sizeof names_##n[0]}

static const struct {
    const member_name *names;
    size_t count;
} names_of_length[] = {
    [2] = NAMES(2),   [3] = NAMES(3),   [4] = NAMES(4),   [5] = NAMES(5),   [6] = NAMES(6),
    [7] = NAMES(7),   [8] = NAMES(8),   [9] = NAMES(9),   [10] = NAMES(10), [11] = NAMES(11),
    [12] = NAMES(12), [13] = NAMES(13), [17] = NAMES(17), [20] = NAMES(20), [26] = NAMES(26)};

typedef struct found {
    hx_slice value[ROLE_COUNT];
    uint8_t rank[ROLE_COUNT]; /* 255: not there */
} found;

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

static void keep(found *f, hx_slice name, hx_slice value)
{
    if (value.len == 0 || name.len >= sizeof names_of_length / sizeof names_of_length[0])
        return;
    for (size_t i = 0; i < names_of_length[name.len].count; i++) {
        const member_name *known = &names_of_length[name.len].names[i];
        if (memcmp(known->text, name.ptr, name.len) == 0) {
            if (known->rank < f->rank[known->role]) {
                f->rank[known->role] = known->rank;
                f->value[known->role] = value;
            }
            return;
        }
    }
}

static const char *member_read(const char *p, const char *end, found *f)
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
        keep(f, name, value);
    return p;
}

static int object_read(const char *p, const char *end, found *f)
{
    p = skip_space(p, end);
    if (p == end || *p != '{')
        return HX_EMALFORMED;
    p = skip_space(p + 1, end);
    if (p < end && *p == '}')
        return skip_space(p + 1, end) == end ? 0 : HX_EMALFORMED;
    for (;;) {
        p = member_read(p, end, f);
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

/* Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size: the
 * ranges do not touch for any time between 1973 and 5138. */
static int64_t epoch_time(hx_slice text)
{
    const char *p = text.ptr, *end = p + text.len;
    int64_t value = 0, fraction_us = 0;

    for (; p < end && wire_is_digit(*p); p++) {
        if (p - text.ptr == 18)
            value /= 10; /* a nanosecond count's last digits do not matter */
        if (p - text.ptr < 19)
            value = value * 10 + (*p - '0');
        else
            return HX_TIME_NONE;
    }
    if (p < end && *p == '.') {
        /* A double's text may have more than nine digits; microseconds need six. */
        const char *stop = end - p > 7 ? p + 7 : end;
        if (!wire_fraction_read(p + 1, stop, &fraction_us))
            return HX_TIME_NONE;
    } else if (p < end) {
        return HX_TIME_NONE;
    }
    if (value < INT64_C(100000000000))
        return value * WIRE_SECOND_US + fraction_us;
    if (value < INT64_C(100000000000000))
        return value * 1000 + fraction_us / 1000;
    return value < INT64_C(100000000000000000) ? value : value / 1000;
}

static int64_t time_of(hx_slice text, hx_format_scratch *scratch)
{
    const char *end = text.ptr + text.len, *p = text.ptr;
    int64_t time_us;

    if (text.len == 0)
        return HX_TIME_NONE;
    for (; p < end && (wire_is_digit(*p) || *p == '.'); p++)
        ;
    if (p == end)
        return wire_is_digit(text.ptr[0]) ? epoch_time(text) : HX_TIME_NONE;
    return wire_iso_read(text.ptr, end, scratch, &time_us) == end ? time_us : HX_TIME_NONE;
}

/* bunyan's and pino's numbers, else the word. */
static uint8_t severity_of(hx_slice level)
{
    static const uint8_t of_ten[] = {7, 7, 6, 4, 3, 2};

    if (level.len == 2 && level.ptr[0] >= '1' && level.ptr[0] <= '6' && level.ptr[1] == '0')
        return of_ten[level.ptr[0] - '1'];
    return wire_level_severity(level);
}

/* Docker keeps the line's newline in its text, escaped. */
static hx_slice without_newline(hx_slice text)
{
    uint32_t len = text.len, slashes = 0;

    if (len < 2 || text.ptr[len - 1] != 'n')
        return text;
    while (slashes < len - 1 && text.ptr[len - 2 - slashes] == '\\')
        slashes++;
    return slashes % 2 ? wire_slice(text.ptr, text.ptr + len - 2) : text;
}

int wire_json_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record)
{
    found f = {.rank = {255, 255, 255, 255, 255, 255, 255, 255}};
    const char *end = line.ptr + line.len;
    hx_slice message;

    if (object_read(line.ptr, end, &f))
        return HX_EMALFORMED;
    /* An object without a message is one: its shape is what there is to learn. */
    message = f.rank[ROLE_MESSAGE] == 255 ? line : without_newline(f.value[ROLE_MESSAGE]);
    record->message = wire_trimmed(message.ptr, message.ptr + message.len);
    record->time_us = time_of(f.value[ROLE_TIME], scratch);
    record->host = f.value[ROLE_HOST];
    record->process = f.value[ROLE_PROCESS];
    record->pid = f.value[ROLE_PID];
    record->thread = f.value[ROLE_THREAD];
    record->level = f.value[ROLE_LEVEL];
    if (f.value[ROLE_PRIORITY].len == 1 && f.value[ROLE_PRIORITY].ptr[0] >= '0' &&
        f.value[ROLE_PRIORITY].ptr[0] <= '7')
        record->severity = (uint8_t)(f.value[ROLE_PRIORITY].ptr[0] - '0');
    else
        record->severity = severity_of(record->level);
    return 0;
}
