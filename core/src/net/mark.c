#include <haechi/mark.h>

/* A form is its words and then numbers in a fixed order; STREAM, the second one, has 8 digits, the
 * others 16. */
static const struct {
    const char *words;
    uint32_t numbers;
    uint32_t length;
} forms[] = {
    [HX_MARK_PROBE] = {"<46>haechi-storm: probe", 4, HX_PROBE_BYTES},
    [HX_MARK_TOTALS] = {"<46>haechi-storm: mark", 7, HX_TOTALS_BYTES},
    [HX_MARK_END] = {"<46>haechi-storm: end", 7, HX_END_BYTES},
    [HX_MARK_REPORT] = {"<46>haechi-sink: report", 7, HX_REPORT_BYTES},
};

enum { NUMBERS_MAX = 7, STREAM_AT = 1 };

static uint32_t digits_of(uint32_t number)
{
    return number == STREAM_AT ? 8 : 16;
}

static void numbers_of(const hx_mark *m, uint64_t numbers[NUMBERS_MAX])
{
    bool report = m->kind == HX_MARK_REPORT;
    const uint64_t all[NUMBERS_MAX] = {
        m->run,
        m->stream,
        m->sequence,
        report ? m->events : (uint64_t)m->time_ns,
        report ? m->bytes : m->events,
        report ? m->controls : m->bytes,
        report ? m->dropped : m->controls,
    };

    memcpy(numbers, all, sizeof all);
}

uint32_t hx_mark_format(const hx_mark *mark, char *out)
{
    uint64_t numbers[NUMBERS_MAX];
    uint32_t at;

    if (mark->kind < HX_MARK_PROBE || mark->kind > HX_MARK_REPORT)
        return 0;
    at = (uint32_t)strlen(forms[mark->kind].words);
    memcpy(out, forms[mark->kind].words, at);
    numbers_of(mark, numbers);
    for (uint32_t i = 0; i < forms[mark->kind].numbers; i++) {
        out[at++] = ' ';
        for (uint32_t left = digits_of(i); left--;)
            out[at++] = "0123456789abcdef"[numbers[i] >> 4 * left & 15];
    }
    return at;
}

static bool read_number(const char *p, uint32_t digits, uint64_t *out)
{
    uint64_t v = 0;

    for (uint32_t i = 0; i < digits; i++) {
        if (p[i] >= '0' && p[i] <= '9')
            v = v << 4 | (uint64_t)(p[i] - '0');
        else if (p[i] >= 'a' && p[i] <= 'f')
            v = v << 4 | (uint64_t)(p[i] - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

static bool read_numbers(hx_slice message, hx_mark_kind kind, uint64_t numbers[NUMBERS_MAX])
{
    uint32_t at = (uint32_t)strlen(forms[kind].words);

    if (message.len != forms[kind].length || memcmp(message.ptr, forms[kind].words, at) != 0)
        return false;
    for (uint32_t i = 0; i < forms[kind].numbers; i++) {
        if (message.ptr[at] != ' ' || !read_number(message.ptr + at + 1, digits_of(i), &numbers[i]))
            return false;
        at += 1 + digits_of(i);
    }
    return true;
}

hx_mark_kind hx_mark_parse(hx_slice message, hx_mark *mark)
{
    uint64_t n[NUMBERS_MAX] = {0};

    *mark = (hx_mark){.kind = HX_MARK_NONE};
    if (!hx_mark_maybe(message.ptr, message.len))
        return HX_MARK_NONE;
    for (hx_mark_kind kind = HX_MARK_PROBE; kind <= HX_MARK_REPORT; kind++) {
        if (!read_numbers(message, kind, n))
            continue;
        *mark = (hx_mark){.kind = kind, .run = n[0], .stream = (uint32_t)n[1], .sequence = n[2]};
        if (kind == HX_MARK_REPORT) {
            mark->events = n[3];
            mark->bytes = n[4];
            mark->controls = n[5];
            mark->dropped = n[6];
        } else {
            mark->time_ns = (int64_t)n[3];
            mark->events = n[4];
            mark->bytes = n[5];
            mark->controls = n[6];
        }
        return kind;
    }
    return HX_MARK_NONE;
}
