/* Whose events a line's are: the session's name, from the header, from values, or given. */
#include "detect/front_parts.h"

#include <haechi/hash.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define VALUES_PER_LINE_MAX 64 /* distinct values of one line that make an event each */

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

uint32_t hx_front_name(const hx_front *f, const hx_record *record, const char *end,
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

uint32_t hx_front_keys(const hx_front *f, hx_slice line, hx_event *events)
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
