#include "detect/front_parts.h"

#include <haechi/hash.h>

#include <stdlib.h>
#include <string.h>

static int check_rule(const hx_session_rule *rule, hx_error *err)
{
    switch (rule->by) {
    case HX_SESSION_BY_FIELDS:
        if (!rule->fields)
            return hx_error_set(err, HX_EINVAL, "session.fields: at least one field is needed");
        return 0;
    case HX_SESSION_BY_VALUE:
        if (!rule->prefix[0] || !memchr(rule->prefix, 0, sizeof rule->prefix))
            return hx_error_set(err, HX_EINVAL, "session.prefix: 1 to %zu bytes are needed",
                                sizeof rule->prefix - 1);
        return 0;
    case HX_SESSION_BY_TIME:
        if (rule->seconds < 1)
            return hx_error_set(err, HX_EINVAL, "session.seconds: %u is not at least 1",
                                rule->seconds);
        return 0;
    case HX_SESSION_BY_ALL:
        return 0;
    }
    return hx_error_set(err, HX_EINVAL, "session.by: %d is not a known rule", (int)rule->by);
}

int hx_front_create(const hx_format *format, const hx_matcher *matcher, const hx_session_rule *rule,
                    hx_front **out, hx_error *err)
{
    hx_front *f;
    int rc = check_rule(rule, err);

    if (rc)
        return rc;
    f = calloc(1, sizeof *f);
    if (!f)
        return hx_error_set(err, HX_ENOMEM, "front: out of memory");
    f->format = format;
    f->matcher = matcher;
    f->rule = *rule;
    f->prefix_len = (uint32_t)strlen(rule->prefix);
    rc = hx_match_scratch_create(matcher, &f->match);
    if (rc) {
        hx_front_destroy(f);
        return hx_error_set(err, rc, "front: no room to match in");
    }
    *out = f;
    return 0;
}

void hx_front_destroy(hx_front *front)
{
    if (!front)
        return;
    hx_match_scratch_destroy(front->match);
    free(front->near_hosts.pairs);
    free(front->near_processes.pairs);
    free(front);
}

uint64_t hx_front_shape(hx_front *front, hx_slice line)
{
    hx_record record;

    if (!front->format || hx_format_parse(front->format, line, &front->header, &record) < 0)
        return hx_template_shape(front->match, line);
    return hx_template_shape(front->match, record.message);
}

/* --- lines -------------------------------------------------------------------------------------
 */

static void begin_event(hx_event *event, uint32_t line, uint32_t length, int64_t latest_us)
{
    /* Field by field: for the whole struct the compiler takes `rep stos`, which costs a tenth of
     * the time of a line. */
    event->time_us = HX_TIME_NONE;
    event->earlier_us = latest_us;
    event->line = line;
    event->length = length;
    event->severity = HX_PRI_NONE;
    event->first_of_line = 1;
    event->ends_session = 0;
    event->host_len = 0;
    event->process_len = 0;
    event->odd_value = 0;
    event->host = 0;
    event->process = 0;
    event->host_number = 0;
    event->process_number = 0;
    memset(event->name, 0, sizeof event->name);
}

/* The next lines, their headers read and what the matcher remembers of their messages fetched: its
 * memory is waited for once for all of them. */
#define LINES_AHEAD 8
/* Of a thousand hosts one line in thirty has a name that two others have driven out. */
#define NEAR_HOSTS_BITS     11
#define NEAR_PROCESSES_BITS 8

/* end: of the buffer. */
static inline void look_ahead(hx_front *f, const char *buffer, const char *end, front_line *l)
{
    const hx_record *record = &l->record;

    if (!f->format || !l->length)
        return;
    l->good = hx_format_parse(f->format, hx_slice_make(buffer + l->at, l->length), &f->header,
                              &l->record) == 0;
    if (l->good && f->hosts)
        l->host = hx_near_look(&f->near_hosts, record->host.ptr, record->host.len, end);
    if (l->good && f->processes)
        l->process =
            hx_near_look(&f->near_processes, record->process.ptr, record->process.len, end);
    if (l->good)
        l->place = hx_matcher_look(f->match, l->record.message);
    if (__builtin_expect(l->good && f->rules, 0))
        l->rule_place = hx_rule_seat_look(f->rules->seat, HX_RULE_LINE,
                                          hx_slice_make(buffer + l->at, l->length));
}

/* The lines from *at on, as many as there is certainly room for, but for the first one: that is
 * taken where its own events have room. Moves *at past them. */
static uint32_t gather_lines(hx_front *f, const char *buffer, uint32_t length, uint32_t *at,
                             uint32_t room, front_line *lines)
{
    uint32_t count = 0, needed = 0;

    while (count < LINES_AHEAD && *at < length) {
        const char *newline = memchr(buffer + *at, '\n', length - *at);
        uint32_t end = newline ? (uint32_t)(newline - buffer) : length;
        front_line *l = &lines[count];

        l->at = *at;
        l->length = end - *at;
        l->length -= l->length && buffer[end - 1] == '\r';
        needed += hx_front_capacity(l->length);
        if (needed > room)
            break;
        look_ahead(f, buffer, buffer + length, l);
        *at = end + (newline != NULL);
        count++;
    }
    return count;
}

/* Without memory for it every name is worked out. */
static void keep_near(hx_near *near, uint32_t bits)
{
    free(near->pairs);
    near->pairs = aligned_alloc(64, sizeof *near->pairs << bits);
    near->bits = bits;
    if (near->pairs)
        memset(near->pairs, 0, sizeof *near->pairs << bits);
}

void hx_front_watch_hosts(hx_front *front, hx_intern *numbers)
{
    front->hosts = true;
    front->host_numbers = numbers;
    keep_near(&front->near_hosts, NEAR_HOSTS_BITS);
}

void hx_front_watch_processes(hx_front *front, hx_intern *numbers)
{
    front->processes = true;
    front->process_numbers = numbers;
    keep_near(&front->near_processes, NEAR_PROCESSES_BITS);
}

int hx_front_watch_values(hx_front *front, const hx_values *values)
{
    int rc = hx_match_scratch_watch(front->match, values);

    if (!rc)
        front->values = values;
    return rc;
}

static inline void put_host(hx_front *f, const char *buffer, const front_line *l, hx_event *event)
{
    const hx_record *record = &l->record;

    if (!record->host.len || record->host.len > UINT8_MAX)
        return;
    event->host_len = (uint8_t)record->host.len;
    event->host_at = (uint32_t)(record->host.ptr - buffer);
    event->host = (uint32_t)hx_near_find(&f->near_hosts, &l->host, f->host_numbers,
                                         record->host.ptr, event->host_len, &event->host_number);
}

static inline void put_process(hx_front *f, const char *buffer, const front_line *l,
                               hx_event *event)
{
    const hx_record *record = &l->record;

    if (!record->process.len || record->process.len > UINT8_MAX)
        return;
    event->process_len = (uint8_t)record->process.len;
    event->process_at = (uint32_t)(record->process.ptr - buffer);
    event->process = hx_near_find(&f->near_processes, &l->process, f->process_numbers,
                                  record->process.ptr, event->process_len, &event->process_number);
}

/* The events of one line; 0 where it is malformed. */
static uint32_t read_line(hx_front *f, const char *buffer, uint32_t length, const front_line *l,
                          hx_event *events, uint32_t capacity)
{
    if (!f->format)
        return hx_front_keys(f, hx_slice_make(buffer + l->at, l->length), events);
    if (!l->good)
        return 0;
    events->time_us = l->record.time_us;
    events->severity = l->record.severity;
    if (f->hosts)
        put_host(f, buffer, l, events);
    if (f->processes)
        put_process(f, buffer, l, events);
    if (f->values)
        events->key = hx_matcher_judge_at(f->matcher, f->match, l->record.message, l->place,
                                          &events->odd_value);
    else
        events->key = hx_matcher_match_at(f->matcher, f->match, l->record.message, l->place);
    return hx_front_name(f, &l->record, buffer + length, events, capacity);
}

uint32_t hx_front_read(hx_front *front, const char *buffer, uint32_t length, int64_t now_us,
                       hx_event *events, uint32_t capacity, uint32_t *consumed,
                       hx_front_counters *counters)
{
    int64_t latest_us = HX_TIME_NONE;
    front_line lines[LINES_AHEAD];
    uint32_t n = 0, at = 0, count;

    front->header.now_us = now_us;
    while ((count = gather_lines(front, buffer, length, &at, capacity - n, lines)) > 0)
        for (const front_line *l = lines; l < lines + count; l++) {
            uint32_t made;

            if (!l->length) {
                counters->empty++;
                continue;
            }
            begin_event(&events[n], l->at, l->length, latest_us);
            made = read_line(front, buffer, length, l, events + n, capacity - n);
            counters->lines++;
            counters->malformed += made == 0;
            counters->unseen += made && events[n].key == HX_KEY_UNSEEN;
            if (made && events[n].time_us > latest_us)
                latest_us = events[n].time_us;
            if (__builtin_expect(made && front->rules, 0))
                hx_front_judge(front, buffer, l, events, n, made);
            n += made;
        }
    *consumed = at;
    return n;
}
