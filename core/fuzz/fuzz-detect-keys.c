/* Lines of known keys, NAME<TAB>KEY KEY KEY, of any bytes: the events are those that a simple
 * reading of the form gives. */
#include <haechi/front.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char templates[] =
    "{\"format\": 1, \"max_tokens\": 256, \"templates\": ["
    "{\"text\": \"a b\", \"count\": 1, \"example\": \"a b\", \"tokens\": [\"a\", \"b\"]},"
    "{\"text\": \"c d e\", \"count\": 1, \"example\": \"c d e\", \"tokens\": [\"c\", \"d\", \"e\"]}"
    "]}";

static hx_front *make_front(void)
{
    const hx_session_rule rule = {.by = HX_SESSION_BY_ALL};
    hx_matcher *matcher = NULL;
    hx_front *front = NULL;
    hx_error err = {{0}};

    if (hx_matcher_create(templates, sizeof templates - 1, &matcher, &err) ||
        hx_front_create(NULL, matcher, &rule, &front, &err))
        abort();
    return front;
}

/* The keys of one line: how many words stand behind its first tab. */
static uint32_t words_of(const char *line, size_t len)
{
    const char *tab = memchr(line, '\t', len);
    uint32_t words = 0;

    for (const char *at = tab ? tab + 1 : line + len; at < line + len; at++)
        words += *at != ' ' && (at[-1] == ' ' || at == tab + 1);
    return words;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hx_front *front;
    hx_front_counters counters = {0};
    uint32_t capacity = hx_front_capacity((uint32_t)size), consumed, count, want = 0, ends = 0;
    hx_event *events = calloc(capacity, sizeof *events);
    const char *text = (const char *)data;

    if (!front)
        front = make_front();
    if (!events)
        return 0;
    count = hx_front_read(front, text, (uint32_t)size, 0, events, capacity, &consumed, &counters);
    if (consumed != size)
        abort();
    for (size_t at = 0; at < size;) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t len = (newline ? (size_t)(newline - text) : size) - at, next = at + len + 1;

        len -= len && text[at + len - 1] == '\r';
        want += words_of(text + at, len);
        at = next;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (events[i].key != HX_KEY_UNSEEN && events[i].key >= 2)
            abort();
        ends += events[i].ends_session;
    }
    if (count != want || ends != counters.lines - counters.malformed)
        abort();
    free(events);
    return 0;
}
