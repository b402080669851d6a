#include "timestamp.h"
#include "wire.h"

#include <stddef.h>
#include <stdlib.h>

/* The pattern language: a pattern is compiled to a small program of steps, each a field and the
 * literal after it. The first step has no field where the pattern begins with a literal. */

#define PATTERN_MAX 1024
#define STEPS_MAX   32

typedef enum step_kind {
    STEP_LITERAL, /* the literal alone */
    STEP_TEXT,    /* bytes up to the literal, kept at offset or not */
    STEP_TIME,
    STEP_ISO,
    STEP_PRI,
    STEP_PRI_DIGITS,
    STEP_TAG,
    STEP_MESSAGE, /* the rest */
} step_kind;

#define NOT_KEPT UINT16_MAX

typedef struct step {
    uint8_t kind;
    bool optional;
    uint16_t keep_at;    /* offsetof the field's slice in hx_record, or NOT_KEPT */
    uint16_t literal_at; /* in text; a run of blanks there is one ' ' */
    uint16_t literal_len;
} step;

struct wire_pattern {
    uint32_t step_count;
    step steps[STEPS_MAX];
    wire_time_program time;
    char text[PATTERN_MAX + 1];
};

/* --- compiling ------------------------------------------------------------------------------- */

typedef struct compiler {
    const char *pattern;
    size_t at, len;
    size_t text_len;
    bool has_time;
    wire_pattern *out;
    hx_error *err;
} compiler;

static const struct {
    const char *name;
    uint8_t kind;
    uint16_t keep_at;
} field_kinds[] = {
    {"time", STEP_TIME, NOT_KEPT},
    {"pri", STEP_PRI, NOT_KEPT},
    {"tag", STEP_TAG, NOT_KEPT},
    {"message", STEP_MESSAGE, offsetof(hx_record, message)},
    {"level", STEP_TEXT, offsetof(hx_record, level)},
    {"host", STEP_TEXT, offsetof(hx_record, host)},
    {"process", STEP_TEXT, offsetof(hx_record, process)},
    {"pid", STEP_TEXT, offsetof(hx_record, pid)},
    {"thread", STEP_TEXT, offsetof(hx_record, thread)},
};

static bool self_delimiting(const step *s)
{
    return s->kind != STEP_TEXT && s->kind != STEP_MESSAGE;
}

/* Literal text up to the next field, into the last step. */
static int compile_literal(compiler *c)
{
    step *s = &c->out->steps[c->out->step_count - 1];

    s->literal_at = (uint16_t)c->text_len;
    while (c->at < c->len) {
        char byte = c->pattern[c->at];
        if (byte == '{' || byte == '}') {
            if (c->pattern[c->at + 1] != byte) {
                if (byte == '{')
                    break;
                return hx_error_set(
                    c->err, HX_EINVAL,
                    "pattern, byte %zu: '}' without a '{'; a brace itself is written }}", c->at);
            }
            c->at++;
        } else if (wire_is_blank(byte)) {
            while (c->at + 1 < c->len && wire_is_blank(c->pattern[c->at + 1]))
                c->at++;
            byte = ' ';
        }
        c->out->text[c->text_len++] = byte;
        c->at++;
    }
    s->literal_len = (uint16_t)(c->text_len - s->literal_at);
    return 0;
}

static int compile_time(compiler *c, step *s, const char *format, size_t len)
{
    if (c->has_time)
        return hx_error_set(c->err, HX_EINVAL, "pattern, byte %zu: a second {time}", c->at);
    c->has_time = true;
    if (!format) {
        s->kind = STEP_ISO;
        return 0;
    }
    return wire_time_compile(format, len, (size_t)(format - c->pattern), &c->out->time, c->err);
}

/* The inside of {name}, {name?} or {time:FORMAT}. */
static int compile_field(compiler *c, const char *inside, size_t len, step *s)
{
    const char *colon = memchr(inside, ':', len);
    const char *format = colon ? colon + 1 : NULL;
    size_t format_len = 0, name_len = colon ? (size_t)(colon - inside) : len;

    s->kind = STEP_TEXT;
    s->keep_at = NOT_KEPT;
    s->optional = len > 0 && inside[len - 1] == '?';
    if (format)
        format_len = len - name_len - 1 - s->optional;
    else
        name_len -= s->optional;
    if (name_len == 0)
        return hx_error_set(c->err, HX_EINVAL, "pattern, byte %zu: {} has no name", c->at);
    for (size_t i = 0; i < sizeof field_kinds / sizeof field_kinds[0]; i++) {
        if (strlen(field_kinds[i].name) == name_len &&
            memcmp(field_kinds[i].name, inside, name_len) == 0) {
            s->kind = field_kinds[i].kind;
            s->keep_at = field_kinds[i].keep_at;
        }
    }
    if (s->kind == STEP_TIME)
        return compile_time(c, s, format, format_len);
    if (format)
        return hx_error_set(c->err, HX_EINVAL,
                            "pattern, byte %zu: only {time:FORMAT} takes a format", c->at);
    return 0;
}

static int compile_step(compiler *c)
{
    wire_pattern *out = c->out;
    const char *inside = c->pattern + c->at + 1;
    const char *close = memchr(inside, '}', c->len - c->at - 1);
    step *before = &out->steps[out->step_count - 1], *s = &out->steps[out->step_count];
    int rc;

    if (!close)
        return hx_error_set(c->err, HX_EINVAL, "pattern, byte %zu: '{' without a '}'", c->at);
    if (out->step_count == STEPS_MAX)
        return hx_error_set(c->err, HX_EINVAL, "pattern, byte %zu: more than %d fields", c->at,
                            STEPS_MAX - 1);
    if (before->kind == STEP_MESSAGE)
        return hx_error_set(c->err, HX_EINVAL,
                            "pattern, byte %zu: {message} takes the rest and must be last", c->at);
    if (before->literal_len == 0 && !self_delimiting(before))
        return hx_error_set(c->err, HX_EINVAL,
                            "pattern, byte %zu: text is wanted between two fields, so that the end "
                            "of the first is known",
                            c->at);
    rc = compile_field(c, inside, (size_t)(close - inside), s);
    if (rc)
        return rc;
    if (s->kind == STEP_PRI && before->literal_len > 0 &&
        out->text[before->literal_at + before->literal_len - 1] == '<')
        s->kind = STEP_PRI_DIGITS;
    out->step_count++;
    c->at = (size_t)(close - c->pattern) + 1;
    return 0;
}

static int compile(compiler *c)
{
    wire_pattern *out = c->out;
    int rc;

    out->steps[0] = (step){.kind = STEP_LITERAL};
    out->step_count = 1;
    for (;;) {
        rc = compile_literal(c);
        if (rc)
            return rc;
        if (c->at == c->len)
            break;
        rc = compile_step(c);
        if (rc)
            return rc;
    }
    step *last = &out->steps[out->step_count - 1];
    if (last->kind != STEP_MESSAGE)
        return hx_error_set(c->err, HX_EINVAL, "pattern: the last field is not {message}");
    if (last->literal_len)
        return hx_error_set(c->err, HX_EINVAL,
                            "pattern, byte %zu: text after {message}, which takes the rest",
                            c->len - last->literal_len);
    if (last->optional)
        return hx_error_set(c->err, HX_EINVAL, "pattern: {message} cannot be optional");
    return 0;
}

int wire_pattern_create(const char *pattern, wire_pattern **out, hx_error *err)
{
    compiler c = {.pattern = pattern, .len = strlen(pattern), .err = err};
    int rc;

    *out = NULL;
    if (c.len > PATTERN_MAX)
        return hx_error_set(err, HX_EINVAL, "pattern: %zu bytes, at most %d are allowed", c.len,
                            PATTERN_MAX);
    c.out = calloc(1, sizeof *c.out);
    if (!c.out)
        return hx_error_set(err, HX_ENOMEM, "pattern: out of memory");
    rc = compile(&c);
    if (rc) {
        free(c.out);
        return rc;
    }
    *out = c.out;
    return 0;
}

void wire_pattern_destroy(wire_pattern *pattern)
{
    free(pattern);
}

/* --- running --------------------------------------------------------------------------------- */

/* The end of the literal that stands at p, or NULL. A blank that ends the literal before {message}
 * (tail) may be missing at the line's end: the message is empty. */
static const char *literal_match(const char *literal, uint32_t len, bool tail, const char *p,
                                 const char *end)
{
    for (uint32_t i = 0; i < len; i++) {
        if (p == end)
            return tail && literal[i] == ' ' && i + 1 == len ? p : NULL;
        if (literal[i] == ' ') {
            if (!wire_is_blank(*p))
                return NULL;
            p = wire_skip_blanks(p, end);
        } else if (*p++ != literal[i]) {
            return NULL;
        }
    }
    return p;
}

/* Where the literal first stands, and in *after its end; NULL where it does not. A run of blanks is
 * never scanned twice for the literal's first byte, so this is linear in the line. */
static inline const char *literal_find(const char *literal, uint32_t len, bool tail, const char *p,
                                       const char *end, const char **after)
{
    while (p < end) {
        if (literal[0] == ' ')
            p = wire_scan_blank(p, end);
        else
            p = memchr(p, literal[0], (size_t)(end - p));
        if (!p)
            return NULL;
        *after = literal_match(literal, len, tail, p, end);
        if (*after)
            return p;
        p = literal[0] == ' ' ? wire_skip_blanks(p, end) : p + 1;
    }
    return NULL;
}

/* A step whose field knows its own end. Returns that end, or NULL. */
static const char *typed_read(const wire_pattern *pattern, const step *s, const char *p,
                              const char *end, hx_format_scratch *scratch, hx_record *record)
{
    switch (s->kind) {
    case STEP_TIME:
        return wire_time_run(&pattern->time, p, end, scratch, &record->time_us);
    case STEP_ISO:
        return wire_iso_read(p, end, scratch, &record->time_us);
    case STEP_PRI:
        return wire_pri_read(p, end, record);
    case STEP_PRI_DIGITS:
        return wire_pri_digits_read(p, end, record);
    default:
        return wire_tag_read(p, end, record);
    }
}

static inline void keep(const step *s, const char *p, const char *end, hx_record *record)
{
    if (s->keep_at != NOT_KEPT) {
        hx_slice *field = (hx_slice *)(void *)((char *)record + s->keep_at);
        *field = p < end ? wire_slice(p, end) : wire_slice(end, end);
    }
}

/* One step at p: what follows it, or NULL. */
static inline const char *step_run(const wire_pattern *pattern, const step *s, const char *p,
                                   const char *end, hx_format_scratch *scratch, hx_record *record)
{
    const char *literal = pattern->text + s->literal_at, *stop, *after;
    bool tail = s[1].kind == STEP_MESSAGE;

    if (s->kind == STEP_TEXT && s->literal_len == 1 && literal[0] == ' ') { /* most are words */
        stop = wire_scan_blank(p, end);
        if (stop == p || (stop == end && !tail))
            return NULL;
        keep(s, p, stop, record);
        return wire_skip_blanks(stop, end);
    }
    if (s->kind == STEP_TEXT) {
        stop = literal_find(literal, s->literal_len, tail, p, end, &after);
        if (!stop || (stop == p && literal[0] == ' '))
            return NULL;
        keep(s, wire_skip_blanks(p, stop), wire_trim_end(p, stop), record);
        return after;
    }
    stop = s->kind == STEP_LITERAL ? p : typed_read(pattern, s, p, end, scratch, record);
    if (!stop)
        return NULL;
    if (s->kind == STEP_TAG && stop == p)
        return p;
    return literal_match(literal, s->literal_len, tail, stop, end);
}

int wire_pattern_parse(const wire_pattern *pattern, hx_slice line, hx_format_scratch *scratch,
                       hx_record *record)
{
    const char *p = line.ptr, *end = p + line.len;
    const step *s = pattern->steps, *last = s + pattern->step_count - 1;

    for (; s < last; s++) {
        const char *next;

        if (s->optional) {
            hx_record before = *record; /* a time that is there, but not its literal, is not kept */
            next = step_run(pattern, s, p, end, scratch, record);
            if (!next)
                *record = before;
        } else {
            next = step_run(pattern, s, p, end, scratch, record);
            if (!next)
                return HX_EMALFORMED;
        }
        p = next ? next : p;
    }
    record->message = wire_trimmed(p, end);
    if (record->level.len && record->severity == HX_PRI_NONE)
        record->severity = wire_level_severity(record->level);
    return 0;
}
