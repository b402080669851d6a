/* values.json of any bytes, up to the first zero byte, and messages of any bytes behind it, a line
 * each: what is read is bounded by its checks, and a message's verdict is the same by its form, by
 * its outline and by the checks one by one. */
#include "template/checks.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char templates[] = "{\"format\": 1, \"max_tokens\": 64, \"templates\": ["
                                "{\"text\": \"\", \"count\": 1, \"example\": \"\", \"tokens\": "
                                "[\"opened\", \"for\", \"<*>\", \"by\", \"uid\", \"<#>\"]},"
                                "{\"text\": \"\", \"count\": 1, \"example\": \"\", \"tokens\": "
                                "[\"login\", \"from\", \"<#>\", \"port\", \"<#>\"]},"
                                "{\"text\": \"\", \"count\": 1, \"example\": \"\", \"tokens\": "
                                "[\"said\", \"<+>\", \"then\", \"<#>\"]}]}";

static void must(int condition)
{
    if (!condition)
        abort();
}

static void explain(const hx_values *values, hx_match_scratch *scratch, hx_slice message,
                    uint32_t odd)
{
    hx_text usual = {0};
    hx_value_finding found;

    must(hx_values_explain(values, scratch, message, odd - 1, &found));
    must(found.value.ptr >= message.ptr &&
         found.value.ptr + found.value.len <= message.ptr + message.len);
    hx_values_usual(values, odd - 1, 4, &usual);
    hx_text_free(&usual);
}

typedef struct room {
    const hx_matcher *matcher;
    const hx_values *values;
    hx_match_scratch *scratch, *plain;
} room;

static void judge_line(const room *r, hx_slice line)
{
    const uint32_t key = hx_matcher_match(r->matcher, r->plain, line);
    const uint32_t odd = hx_values_judge(r->values, r->plain, line, key);

    for (uint32_t round = 0; round < 3; round++) { /* new, and of a form that is known */
        uint16_t found;

        must(hx_matcher_judge_at(r->matcher, r->scratch, line, hx_matcher_look(r->scratch, line),
                                 &found) == key);
        must(found == odd);
    }
    if (odd)
        explain(r->values, r->plain, line, odd);
}

/* The same form with other digits. */
static void turn_digits(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] >= '0' && text[i] <= '9')
            text[i] = (char)('0' + ('9' - text[i]));
}

static void judge(const hx_matcher *matcher, const hx_values *values, hx_slice lines)
{
    room r = {.matcher = matcher, .values = values};

    must(hx_match_scratch_create(matcher, &r.scratch) == 0);
    must(hx_match_scratch_create(matcher, &r.plain) == 0);
    must(hx_match_scratch_watch(r.scratch, values) == 0);
    while (lines.len) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        const hx_slice line = hx_slice_make(lines.ptr, end ? (size_t)(end - lines.ptr) : lines.len);
        char *turned = malloc(line.len + 1);

        must(turned != NULL);
        memcpy(turned, line.ptr, line.len);
        turn_digits(turned, line.len);
        judge_line(&r, line);
        judge_line(&r, hx_slice_make(turned, line.len));
        free(turned);
        lines = hx_slice_make(line.ptr + line.len + (end != NULL),
                              lines.len - line.len - (end != NULL));
    }
    hx_match_scratch_destroy(r.scratch);
    hx_match_scratch_destroy(r.plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hx_matcher *matcher;
    const char *text = (const char *)data, *zero = size ? memchr(text, 0, size) : NULL;
    const size_t json = zero ? (size_t)(zero - text) : size;
    hx_values *values;
    hx_error err = {{0}};

    if (!matcher)
        must(hx_matcher_create(templates, sizeof templates - 1, &matcher, NULL) == 0);
    if (hx_values_create(text, json, matcher, &values, &err)) {
        must(err.text[0]);
        return 0;
    }
    if (zero)
        judge(matcher, values, hx_slice_make(zero + 1, size - json - 1));
    hx_values_destroy(values);
    return 0;
}
