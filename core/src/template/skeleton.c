#include "skeleton.h"

#include <string.h>

#define RUNS_MAX  48
#define NAME_PART '9'

/* The token's digits, run by run, and the names of days and months between them. */
typedef struct skeleton_run {
    uint8_t at, length;
    uint8_t kind; /* HX_PART_, or NAME_PART */
    uint8_t takes;
} skeleton_run;

typedef struct skeleton_work {
    const char *text;
    uint32_t length, count;
    skeleton_run run[RUNS_MAX];
} skeleton_work;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_date_name(const char *three)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDecMonTueWedThuFriSatSun";

    for (uint32_t i = 0; i + 3 < sizeof names; i += 3)
        if (memcmp(names + i, three, 3) == 0)
            return true;
    return false;
}

static bool add_run(skeleton_work *w, uint32_t at, uint32_t length, uint8_t kind)
{
    if (w->count == RUNS_MAX)
        return false;
    w->run[w->count++] = (skeleton_run){(uint8_t)at, (uint8_t)length, kind, 1};
    return true;
}

static bool find_runs(skeleton_work *w)
{
    for (uint32_t at = 0, end; at < w->length; at = end) {
        const bool digit = is_digit(w->text[at]), letter = is_letter(w->text[at]);

        end = at + 1;
        while (end < w->length && (digit    ? is_digit(w->text[end])
                                   : letter ? is_letter(w->text[end])
                                            : false))
            end++;
        if (digit && !add_run(w, at, end - at, HX_PART_NUMBER))
            return false;
        if (letter && end - at == 3 && is_date_name(w->text + at) && !add_run(w, at, 3, NAME_PART))
            return false;
    }
    return true;
}

static uint32_t end_of(const skeleton_run *r)
{
    return (uint32_t)r->at + r->length;
}

/* The bytes between a run and the next are one of these. */
static bool linked(const skeleton_work *w, uint32_t i, const char *by)
{
    return i + 1 < w->count && w->run[i + 1].at == end_of(&w->run[i]) + 1 &&
           strchr(by, w->text[end_of(&w->run[i])]) && w->text[end_of(&w->run[i])];
}

static bool letter_at(const skeleton_work *w, uint32_t at)
{
    return at < w->length && is_letter(w->text[at]);
}

static uint32_t chain_length(const skeleton_work *w, uint32_t i)
{
    uint32_t n = 1;

    while (linked(w, i + n - 1, "."))
        n++;
    return n;
}

/* Four numbers with dots are an address, two a number with a fraction. */
static void find_chains(skeleton_work *w)
{
    for (uint32_t i = 0, n; i < w->count; i += n) {
        skeleton_run *r = &w->run[i];
        bool fits = true;

        n = chain_length(w, i);
        if (n == 2 && r[0].kind == HX_PART_NUMBER && r[1].kind == HX_PART_NUMBER)
            r[1].kind = HX_PART_OTHER;
        if (n != 4 || (r->at && letter_at(w, r->at - 1u)) || letter_at(w, end_of(&r[3])))
            continue;
        for (uint32_t k = 0; k < 4; k++)
            fits &= r[k].kind == HX_PART_NUMBER && r[k].length <= 3;
        if (!fits)
            continue;
        r->kind = HX_PART_ADDRESS;
        r->takes = 4;
    }
}

static void set_other(skeleton_run *r)
{
    if (r->kind == HX_PART_NUMBER)
        r->kind = HX_PART_OTHER;
}

/* 12:05:59, 12:05, and what follows it behind a dot or a comma. */
static void find_times(skeleton_work *w)
{
    for (uint32_t i = 0; i + 1 < w->count; i++) {
        skeleton_run *r = &w->run[i];

        if (r->kind == HX_PART_ADDRESS) {
            i += 3;
            continue;
        }
        if (r[0].kind == NAME_PART || r[0].length > 2 || r[1].length != 2 || !linked(w, i, ":"))
            continue;
        set_other(&r[0]);
        set_other(&r[1]);
        if (linked(w, i + 1, ".,"))
            set_other(&r[2]);
    }
}

/* 2025-08-30, and what stands around a day's or a month's name. */
static void find_dates(skeleton_work *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        skeleton_run *r = &w->run[i];

        if (r->length == 4 && linked(w, i, "-/") && r[1].length == 2 && linked(w, i + 1, "-/") &&
            r[2].length == 2)
            for (uint32_t k = 0; k < 3; k++)
                set_other(&r[k]);
        if (r->kind != NAME_PART)
            continue;
        for (uint32_t k = i; k > 0 && w->run[k].at <= end_of(&w->run[k - 1]) + 2; k--)
            set_other(&w->run[k - 1]);
        for (uint32_t k = i; k + 1 < w->count && w->run[k + 1].at <= end_of(&w->run[k]) + 2; k++)
            set_other(&w->run[k + 1]);
    }
}

/* Digits amid letters are those of hexadecimal words and of names. */
static void find_mixed(skeleton_work *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        skeleton_run *r = &w->run[i];
        uint32_t end = end_of(r);

        if (r->kind == HX_PART_NUMBER && r->at && letter_at(w, r->at - 1u) && letter_at(w, end))
            set_other(r);
        if (!letter_at(w, end))
            continue;
        while (letter_at(w, end))
            end++;
        if (i + 1 < w->count && w->run[i + 1].at == end) {
            set_other(r);
            set_other(&w->run[i + 1]);
        }
    }
}

static bool put(hx_skeleton *out, const char *bytes, uint32_t length)
{
    if (out->length + length > HX_SKELETON_BYTES)
        return false;
    memcpy(out->text + out->length, bytes, length);
    out->length += length;
    return true;
}

static bool put_run(hx_skeleton *out, const skeleton_run *r)
{
    const uint32_t length = (uint32_t)r[r->takes - 1].at + r[r->takes - 1].length - r->at;

    if (r->kind != NAME_PART) {
        if (out->part_count == HX_SKELETON_PARTS)
            return false;
        out->parts[out->part_count++] = (hx_part){r->kind, r->at, (uint8_t)length};
    }
    return put(out, (const char *)&r->kind, 1);
}

/* One to three digits, four times, with a dot between them. */
static bool is_address(const char *token, uint32_t length)
{
    uint32_t run = 0, dots = 0;

    for (uint32_t i = 0; i < length; i++) {
        if (is_digit(token[i])) {
            if (++run > 3)
                return false;
        } else if (run == 0 || token[i] != '.') {
            return false;
        } else {
            run = 0;
            dots++;
        }
    }
    return dots == 3 && run > 0;
}

static bool put_part(hx_skeleton *out, char kind, uint32_t length)
{
    out->parts[out->part_count++] = (hx_part){(uint8_t)kind, 0, (uint8_t)length};
    return put(out, &kind, 1);
}

/* Most tokens are a word, a number or an address, which is said at once. */
static bool is_plain(const char *token, uint32_t length, hx_skeleton *out)
{
    uint32_t digits = 0;

    for (uint32_t i = 0; i < length; i++)
        digits += is_digit(token[i]);
    if (digits == length && length)
        return put_part(out, HX_PART_NUMBER, length);
    if (digits + 3 == length && is_address(token, length))
        return put_part(out, HX_PART_ADDRESS, length);
    return !digits && length != 3 && put(out, token, length);
}

bool hx_skeleton_make(const char *token, uint32_t length, hx_skeleton *out)
{
    skeleton_work w; /* its runs are not zeroed: that costs more than most tokens */
    uint32_t from = 0;

    w.text = token;
    w.length = length;
    w.count = 0;
    out->length = out->part_count = 0;
    if (length > HX_SKELETON_TOKEN)
        return false;
    if (is_plain(token, length, out))
        return true;
    if (!find_runs(&w))
        return false;
    if (w.count) {
        find_chains(&w);
        find_times(&w);
        find_dates(&w);
        find_mixed(&w);
    }
    for (uint32_t i = 0; i < w.count; i += w.run[i].takes) {
        const skeleton_run *r = &w.run[i];

        if (!put(out, token + from, r->at - from) || !put_run(out, r))
            return false;
        from = end_of(&r[r->takes - 1]);
    }
    return put(out, token + from, length - from);
}
