/* Every form: what is found in a line, that nothing outside the line is read, and that a scratch's
 * memory changes no value. */
#include "../check.h"
#include "samples.h"

#include <stdbool.h>

static int field_is(const sample *s, const char *name, hx_slice got, const char *want)
{
    if (hx_slice_equal(got, hx_slice_str(want)))
        return 0;
    fprintf(stderr, "%s: %s\n  %s is \"%.*s\", want \"%s\"\n", s->spec, s->line, name, (int)got.len,
            got.ptr, want);
    return 1;
}

static int number_is(const sample *s, const char *name, long long got, long long want)
{
    if (got == want)
        return 0;
    fprintf(stderr, "%s: %s\n  %s is %lld, want %lld\n", s->spec, s->line, name, got, want);
    return 1;
}

static int check_sample(const sample *s, hx_format_scratch *scratch)
{
    hx_format *format;
    hx_record r;
    hx_error err = {""};
    size_t len = strlen(s->line);
    char *line = check_guard_copy(s->line, len);
    int wrong = 0;

    if (hx_format_create(s->spec, &format, &err)) {
        fprintf(stderr, "%s: %s\n", s->spec, err.text);
        exit(1);
    }
    CHECK_BYTES(hx_format_spec(format), strlen(hx_format_spec(format)), s->spec, strlen(s->spec));
    wrong += number_is(s, "result", hx_format_parse(format, hx_slice_make(line, len), scratch, &r),
                       s->rc);
    wrong += number_is(s, "time", r.time_us, s->time_us);
    wrong += field_is(s, "host", r.host, s->host) + field_is(s, "process", r.process, s->process) +
             field_is(s, "pid", r.pid, s->pid) + field_is(s, "thread", r.thread, s->thread) +
             field_is(s, "level", r.level, s->level) +
             field_is(s, "message", r.message, s->message);
    wrong += number_is(s, "facility", r.facility, s->facility) +
             number_is(s, "severity", r.severity, s->severity);
    hx_format_destroy(format);
    check_guard_free(line, len);
    return wrong;
}

static void test_samples(void)
{
    hx_format_scratch shared = {.now_us = NOW_US};
    int wrong = 0;

    for (unsigned i = 0; i < sample_count; i++) {
        hx_format_scratch fresh = {.now_us = NOW_US};
        wrong += check_sample(&samples[i], &fresh);
        wrong += check_sample(&samples[i], &shared); /* with what the line before left there */
        wrong += check_sample(&samples[i], &shared);
    }
    CHECK_INT(wrong, 0);
}

static bool inside(hx_slice part, const char *line, size_t len)
{
    return part.len == 0 || (part.ptr >= line && part.ptr + part.len <= line + len);
}

/* Every prefix of every line, at the end of a page, by every preset. */
static void test_prefixes(void)
{
    for (uint32_t n = 0; hx_format_preset_name(n); n++) {
        hx_format_scratch scratch = {.now_us = NOW_US};
        hx_format *format;

        CHECK_INT(hx_format_create(hx_format_preset_name(n), &format, NULL), 0);
        CHECK(hx_format_preset_pattern(n) != NULL);
        for (unsigned i = 0; i < sample_count; i++) {
            size_t whole = strlen(samples[i].line);
            char *line = check_guard_copy(samples[i].line, whole);

            for (size_t len = 0; len <= whole; len++) {
                /* A prefix's bytes, moved to the page's end. */
                char *end = line + whole;
                hx_record r;
                int rc;

                memmove(end - len, samples[i].line, len);
                rc = hx_format_parse(format, hx_slice_make(end - len, len), &scratch, &r);
                CHECK(rc == 0 || rc == HX_EMALFORMED);
                CHECK(inside(r.host, end - len, len) && inside(r.process, end - len, len) &&
                      inside(r.pid, end - len, len) && inside(r.thread, end - len, len) &&
                      inside(r.level, end - len, len) && inside(r.msgid, end - len, len) &&
                      inside(r.structured_data, end - len, len) &&
                      inside(r.message, end - len, len));
                if (rc)
                    CHECK(r.message.ptr == end - len && r.message.len == len &&
                          r.time_us == HX_TIME_NONE && r.facility == HX_PRI_NONE);
            }
            check_guard_free(line, whole);
        }
        hx_format_destroy(format);
    }
}

/* A megabyte of what each delimiter could be made to look for over and over: were a parser more
 * than linear in the line, this would not end. */
static void test_long_lines(void)
{
    static const char *const pieces[] = {" ",    "\t- ", "[",     "]",           "a:b",
                                         "{\"",  "\\\"", "[a]",   "[a b=\"c\"]", "x=y ",
                                         "- 1 ", "<13>", "11111", ": ",          "\xc3\xa9"};
    const size_t len = 1 << 20;
    char *line = malloc(len);

    CHECK(line != NULL);
    for (unsigned i = 0; i < sample_count; i += 3) {
        size_t head = strlen(samples[i].line);
        const char *piece = pieces[i / 3 % (sizeof pieces / sizeof pieces[0])];
        size_t step = strlen(piece);

        memcpy(line, samples[i].line, head);
        for (size_t at = head; at < len; at += step)
            memcpy(line + at, piece, step < len - at ? step : len - at);
        for (uint32_t n = 0; hx_format_preset_name(n); n++) {
            hx_format_scratch scratch = {.now_us = NOW_US};
            hx_format *format;
            hx_record r;

            CHECK_INT(hx_format_create(hx_format_preset_name(n), &format, NULL), 0);
            hx_format_parse(format, hx_slice_make(line, len), &scratch, &r);
            hx_format_destroy(format);
        }
    }
    free(line);
}

static void test_refused(void)
{
    static const struct {
        const char *spec, *says;
    } cases[] = {
        {"isoo", "format: \"isoo\" is not a preset's name"},
        {"", "format: \"\" is not a preset's name"},
        {"{host} {pid}", "pattern: the last field is not {message}"},
        {"{host", "pattern, byte 0: '{' without a '}'"},
        {"{host}{pid} {message}", "pattern, byte 6: text is wanted between two fields"},
        {"{message} {host}", "pattern, byte 10: {message} takes the rest"},
        {"{message}x", "pattern, byte 9: text after {message}"},
        {"{message?}", "pattern: {message} cannot be optional"},
        {"{} {message}", "pattern, byte 0: {} has no name"},
        {"x} {message}", "pattern, byte 1: '}' without a '{'"},
        {"{host:%Y} {message}", "pattern, byte 0: only {time:FORMAT} takes a format"},
        {"{time:%Q} {message}", "pattern, byte 6: time letter %Q is not one of"},
        {"{time:%} {message}", "pattern, byte 6: '%' at the end"},
        {"{time:} {message}", "pattern, byte 6: the time format is empty"},
        {"{time:%d} {message}", "pattern, byte 6: the time format has a month or a day, not both"},
        {"{time} {time} {message}", "pattern, byte 7: a second {time}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_format *format;
        hx_error err = {""};

        CHECK_INT(hx_format_create(cases[i].spec, &format, &err), HX_EINVAL);
        CHECK(format == NULL);
        if (strncmp(err.text, cases[i].says, strlen(cases[i].says)) != 0) {
            fprintf(stderr, "\"%s\" says \"%s\", want \"%s\"\n", cases[i].spec, err.text,
                    cases[i].says);
            exit(1);
        }
    }
    hx_format_destroy(NULL);
}

int main(void)
{
    test_samples();
    test_prefixes();
    test_long_lines();
    test_refused();
    return 0;
}
