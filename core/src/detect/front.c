#include <haechi/front.h>
#include <haechi/hash.h>

#include <stdlib.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define VALUES_PER_LINE_MAX 64 /* distinct values of one line that make an event each */

struct hx_front {
    const hx_format *format; /* NULL: HX_FRONT_KEYS */
    const hx_matcher *matcher;
    hx_match_scratch *match;
    hx_session_rule rule;
    uint32_t prefix_len;
    hx_format_scratch header;
    hx_front_rules *rules; /* or NULL */
    uint64_t noted_by;     /* the stamp of the seat whose notes are by the matcher's forms */
    bool hosts, processes; /* are wanted */
    hx_intern *host_numbers, *process_numbers;
    const hx_values *values; /* or NULL */
};

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
    free(front);
}

uint64_t hx_front_shape(hx_front *front, hx_slice line)
{
    hx_record record;

    if (!front->format || hx_format_parse(front->format, line, &front->header, &record) < 0)
        return hx_template_shape(front->match, line);
    return hx_template_shape(front->match, record.message);
}

/* --- the session's name ------------------------------------------------------------------------
 */

typedef struct name_writer {
    char *text;
    uint32_t len;
    uint64_t over; /* hash of the whole name once it does not fit, else 0 */
} name_writer;

static void name_cut(name_writer *w, hx_slice part)
{
    static const char digits[] = "0123456789abcdef";

    w->over =
        hx_hash_bytes(part.ptr, part.len, w->over ? w->over : hx_hash_bytes(w->text, w->len, 1));
    w->len = HX_SESSION_NAME_MAX - 1;
    w->text[w->len - 9] = '~';
    for (uint32_t i = 0; i < 8; i++)
        w->text[w->len - 8 + i] = digits[w->over >> (4 * i) & 15];
}

static inline void name_add(name_writer *w, hx_slice part)
{
    uint32_t blank = w->len > 0;

    if (part.len == 0)
        return;
    if (__builtin_expect(w->over || w->len + blank + part.len >= HX_SESSION_NAME_MAX, 0)) {
        name_cut(w, part);
        return;
    }
    if (blank)
        w->text[w->len++] = ' ';
    memcpy(w->text + w->len, part.ptr, part.len);
    w->len += part.len;
}

static inline void add_fields(name_writer *w, uint32_t fields, const hx_record *record)
{
    if (fields & HX_FIELD_HOST)
        name_add(w, record->host);
    if (fields & HX_FIELD_PROCESS)
        name_add(w, record->process);
    if (fields & HX_FIELD_PID)
        name_add(w, record->pid);
    if (fields & HX_FIELD_THREAD)
        name_add(w, record->thread);
}

static void add_interval(name_writer *w, const hx_session_rule *rule, int64_t time_us)
{
    char digits[24];
    uint32_t n = sizeof digits;
    int64_t interval = time_us / 1000000 / rule->seconds;
    uint64_t v = (uint64_t)(interval < 0 ? -interval : interval);

    if (time_us == HX_TIME_NONE)
        return;
    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (interval < 0)
        digits[--n] = '-';
    name_add(w, hx_slice_make(digits + n, sizeof digits - n));
}

static inline void finish_name(hx_event *event, name_writer *w)
{
    event->name_len = (uint8_t)w->len;
    event->session = hx_hash_bytes(event->name, w->len, HX_HASH_SEED);
}

/* Host, process and process id stand in most lines as they do in the name, but for the bytes
 * between them. True where that is so: the name is then written in three pieces and hashed from
 * where it lies; pieces of other lengths would make the hash wait for each of them to reach the
 * cache. Reads HX_SESSION_NAME_MAX bytes from the host on, and none at or past end. */
static inline bool name_at_once(const hx_record *record, const char *end, hx_event *event)
{
#if defined(__SSE2__)
    const char *at = record->host.ptr;
    uint32_t first = record->host.len, second = first + 1 + record->process.len;
    uint32_t len = record->pid.len ? second + 1 + record->pid.len : second;
    __m128i place = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

    if (!first || !record->process.len || len >= HX_SESSION_NAME_MAX ||
        end - at < HX_SESSION_NAME_MAX || record->process.ptr != at + first + 1 ||
        (record->pid.len && record->pid.ptr != at + second + 1))
        return false;
    for (uint32_t i = 0; i < HX_SESSION_NAME_MAX; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i between = _mm_or_si128(_mm_cmpeq_epi8(place, _mm_set1_epi8((char)first)),
                                       _mm_cmpeq_epi8(place, _mm_set1_epi8((char)second)));

        bytes = _mm_or_si128(_mm_andnot_si128(between, bytes),
                             _mm_and_si128(between, _mm_set1_epi8(' ')));
        bytes = _mm_and_si128(bytes, _mm_cmpgt_epi8(_mm_set1_epi8((char)len), place));
        _mm_storeu_si128((__m128i *)(void *)(event->name + i), bytes);
        place = _mm_add_epi8(place, _mm_set1_epi8(16));
    }
    event->name_len = (uint8_t)len;
    event->session = hx_hash_bytes(event->name, len, HX_HASH_SEED);
    return true;
#else
    (void)record, (void)end, (void)event;
    return false;
#endif
}

static inline bool is_value_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-';
}

/* The next value that starts with the prefix at a place where no value byte stands before it. */
static hx_slice next_value(const hx_front *f, hx_slice message, uint32_t *at)
{
    while (*at < message.len) {
        const char *hit =
            memmem(message.ptr + *at, message.len - *at, f->rule.prefix, f->prefix_len);
        uint32_t start, end;

        if (!hit)
            break;
        start = (uint32_t)(hit - message.ptr);
        end = start + f->prefix_len;
        while (end < message.len && is_value_byte((unsigned char)message.ptr[end]))
            end++;
        *at = end;
        if (start == 0 || !is_value_byte((unsigned char)message.ptr[start - 1]))
            return hx_slice_make(message.ptr + start, end - start);
    }
    *at = message.len;
    return (hx_slice){0};
}

/* Writes an event for each distinct value; at least one event, with the empty name. */
static uint32_t events_by_value(const hx_front *f, hx_slice message, hx_event *events,
                                uint32_t capacity)
{
    const hx_event head = events[0];
    uint32_t at = 0, n = 0;

    if (capacity > VALUES_PER_LINE_MAX)
        capacity = VALUES_PER_LINE_MAX;
    while (n < capacity) {
        hx_slice value = next_value(f, message, &at);
        name_writer w = {events[n].name, 0, 0};
        uint32_t same = 0;

        if (!value.len)
            break;
        events[n] = head;
        events[n].first_of_line = n == 0;
        name_add(&w, value);
        finish_name(&events[n], &w);
        while (same < n && events[same].session != events[n].session)
            same++;
        n += same == n;
    }
    if (n == 0) {
        events[0] = head;
        finish_name(&events[0], &(name_writer){events[0].name, 0, 0});
        n = 1;
    }
    return n;
}

/* end: of the buffer that the record's line is in. */
static uint32_t events_of_record(const hx_front *f, const hx_record *record, const char *end,
                                 hx_event *events, uint32_t capacity)
{
    name_writer w = {events[0].name, 0, 0};

    switch (f->rule.by) {
    case HX_SESSION_BY_VALUE:
        return events_by_value(f, record->message, events, capacity);
    case HX_SESSION_BY_TIME:
        add_interval(&w, &f->rule, record->time_us);
        /* fallthrough */
    case HX_SESSION_BY_FIELDS:
        if (f->rule.by == HX_SESSION_BY_FIELDS &&
            f->rule.fields == (HX_FIELD_HOST | HX_FIELD_PROCESS | HX_FIELD_PID) &&
            name_at_once(record, end, events))
            return 1;
        add_fields(&w, f->rule.fields, record);
        break;
    case HX_SESSION_BY_ALL:
        break;
    }
    finish_name(&events[0], &w);
    return 1;
}

/* --- sessions whose log keys are known already -------------------------------------------------
 */

static uint32_t parse_key(const char *text, const char *end, const char **next, uint32_t key_count)
{
    uint64_t key = 0;
    bool good = true;

    for (; text < end && *text != ' '; text++) {
        good = good && *text >= '0' && *text <= '9' && key < UINT32_MAX;
        key = key * 10 + (uint64_t)(*text & 15);
    }
    *next = text;
    return good && key < key_count ? (uint32_t)key : HX_KEY_UNSEEN;
}

static uint32_t events_of_keys(const hx_front *f, hx_slice line, hx_event *events)
{
    const char *end = line.ptr + line.len, *tab = memchr(line.ptr, '\t', line.len), *at;
    uint32_t n = 0, keys = hx_matcher_count(f->matcher);

    if (!tab)
        return 0;
    for (at = tab + 1; at < end;) {
        hx_event *e = &events[n];
        name_writer w = {e->name, 0, 0};

        if (*at == ' ') {
            at++;
            continue;
        }
        *e = events[0];
        memset(e->name, 0, sizeof e->name);
        e->first_of_line = n == 0;
        e->key = parse_key(at, end, &at, keys);
        name_add(&w, hx_slice_make(line.ptr, (size_t)(tab - line.ptr)));
        finish_name(e, &w);
        n++;
    }
    if (n)
        events[n - 1].ends_session = 1;
    return n;
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

typedef struct front_line {
    hx_record record;
    hx_match_place place;
    hx_rule_place rule_place; /* of the line */
    uint64_t host_hash;       /* where hosts are wanted */
    uint32_t at, length;
    bool good; /* has the format */
} front_line;

static inline void look_at_host(const hx_front *f, front_line *l)
{
    l->host_hash = hx_hash_bytes(l->record.host.ptr, l->record.host.len, HX_HASH_SEED);
    if (f->host_numbers)
        hx_intern_prefetch(f->host_numbers, l->host_hash);
}

static inline void look_ahead(hx_front *f, const char *buffer, front_line *l)
{
    if (!f->format || !l->length)
        return;
    l->good = hx_format_parse(f->format, hx_slice_make(buffer + l->at, l->length), &f->header,
                              &l->record) == 0;
    if (l->good && f->hosts)
        look_at_host(f, l);
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
        look_ahead(f, buffer, l);
        *at = end + (newline != NULL);
        count++;
    }
    return count;
}

void hx_front_watch_hosts(hx_front *front, hx_intern *numbers)
{
    front->hosts = true;
    front->host_numbers = numbers;
}

void hx_front_watch_processes(hx_front *front, hx_intern *numbers)
{
    front->processes = true;
    front->process_numbers = numbers;
}

int hx_front_watch_values(hx_front *front, const hx_values *values)
{
    int rc = hx_match_scratch_watch(front->match, values);

    if (!rc)
        front->values = values;
    return rc;
}

static inline void put_host(const hx_front *f, const char *buffer, const front_line *l,
                            hx_event *event)
{
    const hx_record *record = &l->record;

    if (!record->host.len || record->host.len > UINT8_MAX)
        return;
    event->host_len = (uint8_t)record->host.len;
    event->host_at = (uint32_t)(record->host.ptr - buffer);
    event->host = (uint32_t)l->host_hash;
    if (f->host_numbers)
        event->host_number =
            hx_intern_number(f->host_numbers, record->host.ptr, record->host.len, l->host_hash);
}

static inline void put_process(const hx_front *f, const char *buffer, const hx_record *record,
                               hx_event *event)
{
    if (!record->process.len || record->process.len > UINT8_MAX)
        return;
    event->process_len = (uint8_t)record->process.len;
    event->process_at = (uint32_t)(record->process.ptr - buffer);
    event->process = hx_hash_bytes(record->process.ptr, record->process.len, HX_HASH_SEED);
    if (f->process_numbers)
        event->process_number = hx_intern_number(f->process_numbers, record->process.ptr,
                                                 record->process.len, event->process);
}

/* The events of one line; 0 where it is malformed. */
static uint32_t read_line(hx_front *f, const char *buffer, uint32_t length, const front_line *l,
                          hx_event *events, uint32_t capacity)
{
    if (!f->format)
        return events_of_keys(f, hx_slice_make(buffer + l->at, l->length), events);
    if (!l->good)
        return 0;
    events->time_us = l->record.time_us;
    events->severity = l->record.severity;
    if (f->hosts)
        put_host(f, buffer, l, events);
    if (f->processes)
        put_process(f, buffer, &l->record, events);
    if (f->values)
        events->key = hx_matcher_judge_at(f->matcher, f->match, l->record.message, l->place,
                                          &events->odd_value);
    else
        events->key = hx_matcher_match_at(f->matcher, f->match, l->record.message, l->place);
    return events_of_record(f, &l->record, buffer + length, events, capacity);
}

/* --- rules -------------------------------------------------------------------------------------
 */

void hx_front_rule(hx_front *front, hx_front_rules *rules)
{
    front->rules = rules;
}

/* What the seat may note by the message's form; what others have noted there is gone. */
static uint32_t *note_for_rules(hx_front *f)
{
    const uint64_t stamp = hx_rule_seat_stamp(f->rules->seat);

    if (__builtin_expect(f->noted_by != stamp, 0)) {
        hx_matcher_forget_notes(f->match);
        f->noted_by = stamp;
    }
    return f->format ? hx_matcher_note(f->match) : NULL;
}

static uint32_t number_of(uint8_t value)
{
    return value == HX_PRI_NONE ? HX_RULE_NUMBER_NONE : value;
}

static hx_rule_line line_for_rules(const hx_front *f, const char *buffer, const front_line *l)
{
    hx_rule_line line = {.number = {HX_RULE_NUMBER_NONE, HX_RULE_NUMBER_NONE, HX_RULE_NUMBER_NONE}};

    line.text[HX_RULE_LINE] = hx_slice_make(buffer + l->at, l->length);
    line.text[HX_RULE_SOURCE] = f->rules->source;
    if (!f->format)
        return line;
    line.text[HX_RULE_MESSAGE] = l->record.message;
    line.text[HX_RULE_HOST] = l->record.host;
    line.text[HX_RULE_PROCESS] = l->record.process;
    line.text[HX_RULE_PID] = l->record.pid;
    line.number[HX_RULE_SEVERITY - HX_RULE_TEXTS] = number_of(l->record.severity);
    line.number[HX_RULE_FACILITY - HX_RULE_TEXTS] = number_of(l->record.facility);
    return line;
}

static void put_event(const hx_front *f, const hx_event *e, hx_rule_line *line)
{
    const bool known = e->key != HX_KEY_UNSEEN;

    line->text[HX_RULE_SESSION] = hx_slice_make(e->name, e->name_len);
    line->text[HX_RULE_TEMPLATE] = known && hx_rules_use(f->rules->rules, HX_RULE_TEMPLATE) &&
                                           hx_matcher_text(f->matcher, e->key)
                                       ? hx_slice_str(hx_matcher_text(f->matcher, e->key))
                                       : (hx_slice){0};
    line->number[HX_RULE_LOG_KEY - HX_RULE_TEXTS] = known ? e->key : HX_RULE_NUMBER_NONE;
}

/* line_began: the first ruling of the same line. */
static bool denied_before(const hx_front_rules *r, uint32_t line_began, uint32_t rule)
{
    for (uint32_t i = line_began; i < r->count; i++)
        if (r->rulings[i].rule == rule)
            return true;
    return false;
}

static void note_ruling(hx_front_rules *r, uint32_t event, uint32_t line_began,
                        const hx_ruled *ruled)
{
    hx_ruling ruling = {event, HX_NO_RULE, ruled->allow, ruled->escalate};
    const uint32_t before = r->count;

    for (uint32_t i = 0; i < ruled->denied_count; i++) {
        if (denied_before(r, line_began, ruled->denied[i]))
            continue;
        ruling.rule = ruled->denied[i];
        r->rulings[r->count++] = ruling;
    }
    ruling.rule = HX_NO_RULE;
    if (r->count == before && (ruled->allow || ruled->escalate))
        r->rulings[r->count++] = ruling;
}

/* One look for all of a line's events, unless the rules ask for what they differ in. */
static void rule_line(hx_front *f, const char *buffer, const front_line *l, const hx_event *events,
                      uint32_t first, uint32_t made)
{
    hx_front_rules *r = f->rules;
    const uint32_t line_began = r->count;
    const bool differ = !f->format || hx_rules_use(r->rules, HX_RULE_SESSION);
    hx_rule_line line = line_for_rules(f, buffer, l);
    const hx_ruled *ruled = NULL;

    for (uint32_t i = first; i < first + made; i++) {
        if (i == first || differ) {
            put_event(f, &events[i], &line);
            line.note = note_for_rules(f);
            ruled = hx_rule_seat_judge(r->seat, &line, f->format ? &l->rule_place : NULL);
            r->over += ruled ? ruled->denied_over : 0;
        }
        if (ruled)
            note_ruling(r, i, line_began, ruled);
    }
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
                rule_line(front, buffer, l, events, n, made);
            n += made;
        }
    *consumed = at;
    return n;
}
