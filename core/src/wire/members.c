#include "members.h"

#include "timestamp.h"

typedef struct member_name {
    char text[28];
    uint8_t role, rank;
} member_name;

/* By length: a name is compared with a handful of others. */
static const member_name names_2[] = {{"ts", WIRE_TIME, 2}};
static const member_name names_3[] = {{"msg", WIRE_MESSAGE, 1}, {"log", WIRE_MESSAGE, 2},
                                      {"app", WIRE_PROCESS, 2}, {"pid", WIRE_PID, 0},
                                      {"tid", WIRE_THREAD, 1},  {"lvl", WIRE_LEVEL, 2}};
static const member_name names_4[] = {{"body", WIRE_MESSAGE, 5}, {"text", WIRE_MESSAGE, 6},
                                      {"time", WIRE_TIME, 1},    {"host", WIRE_HOST, 1},
                                      {"name", WIRE_PROCESS, 5}, {"_PID", WIRE_PID, 0}};
static const member_name names_5[] = {
    {"event", WIRE_MESSAGE, 3}, {"_COMM", WIRE_PROCESS, 1}, {"level", WIRE_LEVEL, 0}};
static const member_name names_6[] = {{"logger", WIRE_PROCESS, 4}, {"thread", WIRE_THREAD, 0}};
static const member_name names_7[] = {{"message", WIRE_MESSAGE, 0},
                                      {"MESSAGE", WIRE_MESSAGE, 0},
                                      {"process", WIRE_PROCESS, 0},
                                      {"program", WIRE_PROCESS, 1},
                                      {"service", WIRE_PROCESS, 3}};
static const member_name names_8[] = {{"datetime", WIRE_TIME, 3},
                                      {"hostname", WIRE_HOST, 0},
                                      {"severity", WIRE_LEVEL, 1},
                                      {"PRIORITY", WIRE_PRIORITY, 0}};
static const member_name names_9[] = {{"timestamp", WIRE_TIME, 0},
                                      {"host.name", WIRE_HOST, 0},
                                      {"_HOSTNAME", WIRE_HOST, 0},
                                      {"log.level", WIRE_LEVEL, 0},
                                      {"levelname", WIRE_LEVEL, 0}};
static const member_name names_10[] = {
    {"@timestamp", WIRE_TIME, 0}, {"SYSLOG_PID", WIRE_PID, 1}, {"threadName", WIRE_THREAD, 0}};
static const member_name names_11[] = {{"process.pid", WIRE_PID, 0},
                                       {"thread_name", WIRE_THREAD, 0}};
static const member_name names_12[] = {{"process.name", WIRE_PROCESS, 0}};
static const member_name names_13[] = {{"short_message", WIRE_MESSAGE, 4}};
static const member_name names_17[] = {{"SYSLOG_IDENTIFIER", WIRE_PROCESS, 0}};
static const member_name names_20[] = {{"__REALTIME_TIMESTAMP", WIRE_TIME, 1}};
static const member_name names_26[] = {{"_SOURCE_REALTIME_TIMESTAMP", WIRE_TIME, 0}};

#define NAMES(n) {names_##n, sizeof names_##n / sizeof names_##n[0]}

static const struct {
    const member_name *names;
    size_t count;
} names_of_length[] = {
    [2] = NAMES(2),   [3] = NAMES(3),   [4] = NAMES(4),   [5] = NAMES(5),   [6] = NAMES(6),
    [7] = NAMES(7),   [8] = NAMES(8),   [9] = NAMES(9),   [10] = NAMES(10), [11] = NAMES(11),
    [12] = NAMES(12), [13] = NAMES(13), [17] = NAMES(17), [20] = NAMES(20), [26] = NAMES(26)};

void wire_members_clear(wire_members *m)
{
    memset(m->value, 0, sizeof m->value);
    memset(m->rank, 255, sizeof m->rank);
}

void wire_members_keep(wire_members *m, hx_slice name, hx_slice value)
{
    if (value.len == 0 || name.len >= sizeof names_of_length / sizeof names_of_length[0])
        return;
    for (size_t i = 0; i < names_of_length[name.len].count; i++) {
        const member_name *known = &names_of_length[name.len].names[i];
        if (memcmp(known->text, name.ptr, name.len) == 0) {
            if (known->rank < m->rank[known->role]) {
                m->rank[known->role] = known->rank;
                m->value[known->role] = value;
            }
            return;
        }
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
    const char *p = text.ptr, *end;
    int64_t time_us;

    if (text.len == 0)
        return HX_TIME_NONE;
    end = text.ptr + text.len;
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

void wire_members_finish(const wire_members *m, hx_slice line, hx_format_scratch *scratch,
                         hx_record *record)
{
    hx_slice message = line, priority = m->value[WIRE_PRIORITY];

    if (m->rank[WIRE_MESSAGE] != 255) /* else its shape is what there is to learn */
        message = without_newline(m->value[WIRE_MESSAGE]);
    record->message = wire_trimmed(message.ptr, message.ptr + message.len);
    record->time_us = time_of(m->value[WIRE_TIME], scratch);
    record->host = m->value[WIRE_HOST];
    record->process = m->value[WIRE_PROCESS];
    record->pid = m->value[WIRE_PID];
    record->thread = m->value[WIRE_THREAD];
    record->level = m->value[WIRE_LEVEL];
    if (priority.len == 1 && priority.ptr[0] >= '0' && priority.ptr[0] <= '7')
        record->severity = (uint8_t)(priority.ptr[0] - '0');
    else
        record->severity = severity_of(record->level);
}
