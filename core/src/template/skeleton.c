#include "skeleton.h"

#include <string.h>

#define RUNS_MAX 48

/* The token's digits, run by run, and the names of days and months between them. */
typedef struct skeleton_run {
    uint8_t at, length;
    uint8_t kind; /* HX_PART_ */
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

    if (three[0] < 'A' || three[0] > 'W' || three[2] < 'a')
        return false;
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
        if (letter && end - at == 3 && is_date_name(w->text + at) &&
            !add_run(w, at, 3, HX_PART_NAME))
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
        if (r[0].kind == HX_PART_NAME || r[0].length > 2 || r[1].length != 2 || !linked(w, i, ":"))
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
        if (r->kind != HX_PART_NAME)
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

    if (r->kind != HX_PART_NAME) {
        if (out->part_count == HX_SKELETON_PARTS)
            return false;
        out->parts[out->part_count++] = (hx_part){r->kind, r->at, (uint8_t)length};
    }
    return put(out, (const char *)&r->kind, 1);
}

/* --- short tokens: all their runs at once ------------------------------------------------------
 *
 * A bit a byte. Most tokens are a word, a number, an address, or a number or two amid a text. */

#define SHORT_BYTES 63

typedef struct skeleton_bits {
    uint64_t digit, letter;
    uint64_t mark;      /* may make numbers an address, a fraction, a time or a date */
    char text[64 + 16]; /* zero behind the token */
} skeleton_bits;

#if defined(__x86_64__)
#include <emmintrin.h>

static inline __m128i in_range(__m128i bytes, char first, char last)
{
    __m128i from = _mm_sub_epi8(bytes, _mm_set1_epi8(first));

    return _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8((char)(last - first))), from);
}

static inline void find_bits(uint32_t length, skeleton_bits *b)
{
    b->digit = b->letter = b->mark = 0;
    for (uint32_t at = 0; at < length; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(b->text + at));
        __m128i small = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        __m128i letter = _mm_or_si128(
            _mm_or_si128(in_range(small, 'a', 'z'), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_'))),
            bytes); /* a byte from 0x80 up has the bit that is read */
        __m128i mark =
            _mm_or_si128(in_range(bytes, ',', '/'), _mm_cmpeq_epi8(bytes, _mm_set1_epi8(':')));

        b->digit |= (uint64_t)(uint32_t)_mm_movemask_epi8(in_range(bytes, '0', '9')) << at;
        b->letter |= (uint64_t)(uint32_t)_mm_movemask_epi8(letter) << at;
        b->mark |= (uint64_t)(uint32_t)_mm_movemask_epi8(mark) << at;
    }
}
#else
static inline void find_bits(uint32_t length, skeleton_bits *b)
{
    b->digit = b->letter = b->mark = 0;
    for (uint32_t at = 0; at < length; at++) {
        const char c = b->text[at];

        b->digit |= (uint64_t)is_digit(c) << at;
        b->letter |= (uint64_t)is_letter(c) << at;
        b->mark |= (uint64_t)((c >= ',' && c <= '/') || c == ':') << at;
    }
}
#endif

/* The first letters of names of days and months that stand alone. */
static uint64_t find_names(const skeleton_bits *b)
{
    const uint64_t l = b->letter;
    uint64_t three = l & ~(l << 1) & l >> 1 & l >> 2 & ~(l >> 3), names = 0;

    for (; three; three &= three - 1)
        if (is_date_name(b->text + __builtin_ctzll(three)))
            names |= three & -three;
    return names;
}

/* One to three digits, four times, with a dot between them. */
static bool is_address(const skeleton_bits *b, uint32_t length)
{
    uint64_t other = ~b->digit & ((UINT64_C(1) << length) - 1);

    if (__builtin_ctzll(other) == 0 || other >> (length - 1))
        return false;
    if ((other & other >> 1) || (b->digit & b->digit >> 1 & b->digit >> 2 & b->digit >> 3))
        return false;
    for (uint32_t i = 0; i < 3; i++, other &= other - 1)
        if (!other || b->text[__builtin_ctzll(other)] != '.')
            return false;
    return !other;
}

/* The numbers that find_mixed calls mixed, by their first digits. */
static uint64_t mixed_starts(uint64_t digit, uint64_t letter)
{
    uint64_t mixed = 0, s = digit & ~(digit << 1), l = digit & ~(digit >> 1);

    while (s) {
        const uint64_t start = s & -s, last = l & -l;
        uint64_t behind;

        s &= s - 1;
        l &= l - 1;
        if ((letter << 1 & start) && (letter >> 1 & last))
            mixed |= start;
        behind = s ? ((s & -s) - 1) & ~((last << 1) - 1) : 0; /* up to the next number */
        if (behind && !(behind & ~letter))
            mixed |= start | (s & -s);
    }
    return mixed;
}

static void take_runs(skeleton_work *w, const skeleton_bits *b, uint64_t names)
{
    uint64_t starts = (b->digit & ~(b->digit << 1)) | names, lasts = b->digit & ~(b->digit >> 1);

    for (; starts; starts &= starts - 1) {
        const uint8_t at = (uint8_t)__builtin_ctzll(starts);
        skeleton_run *r = &w->run[w->count++];

        *r = (skeleton_run){at, 3, HX_PART_NAME, 1};
        if (names >> at & 1)
            continue;
        r->kind = HX_PART_NUMBER;
        r->length = (uint8_t)(__builtin_ctzll(lasts) + 1 - at);
        lasts &= lasts - 1;
    }
}

/* As put_run and put, in steps: the texts have as much room behind. */
static bool put_short(hx_skeleton *out, const skeleton_work *w)
{
    uint32_t from = 0, to = 0;

    for (uint32_t i = 0; i < w->count; i += w->run[i].takes) {
        const skeleton_run *r = &w->run[i];
        const uint32_t end = end_of(&r[r->takes - 1]);

        for (uint32_t k = 0; k < r->at - from; k += 16)
            memcpy(out->text + to + k, w->text + from + k, 16);
        to += r->at - from;
        out->text[to++] = (char)r->kind;
        from = end;
        if (r->kind == HX_PART_NAME)
            continue;
        if (out->part_count == HX_SKELETON_PARTS)
            return false;
        out->parts[out->part_count++] = (hx_part){r->kind, r->at, (uint8_t)(end - r->at)};
    }
    for (uint32_t k = 0; k < w->length - from; k += 16)
        memcpy(out->text + to + k, w->text + from + k, 16);
    out->length = to + w->length - from;
    return true;
}

static void put_one(hx_skeleton *out, uint8_t kind, uint32_t length)
{
    out->parts[0] = (hx_part){kind, 0, (uint8_t)length};
    out->part_count = 1;
    out->text[0] = (char)kind;
    out->length = 1;
}

static bool make_short(const char *token, uint32_t length, hx_skeleton *out)
{
    skeleton_work w;
    skeleton_bits b;
    uint64_t between, names, mixed;

    memset(b.text, 0, sizeof b.text);
    memcpy(b.text, token, length);
    find_bits(length, &b);
    if ((uint32_t)__builtin_ctzll(~b.digit) == length) {
        put_one(out, HX_PART_NUMBER, length);
        return true;
    }
    between = b.digit << 1 & b.digit >> 1 & b.mark;
    if (between && is_address(&b, length)) {
        put_one(out, HX_PART_ADDRESS, length);
        return true;
    }
    names = find_names(&b);
    w.text = b.text;
    w.length = length;
    w.count = 0;
    take_runs(&w, &b, names);
    if (between | names) {
        find_chains(&w);
        find_times(&w);
        find_dates(&w);
    }
    mixed = mixed_starts(b.digit, b.letter);
    for (uint32_t i = 0; mixed && i < w.count; i++)
        if (mixed >> w.run[i].at & 1)
            set_other(&w.run[i]);
    return put_short(out, &w);
}

bool hx_skeleton_make_plain(const char *token, uint32_t length, hx_skeleton *out)
{
    skeleton_work w; /* its runs are not zeroed: that costs more than most tokens */
    uint32_t from = 0;

    w.text = token;
    w.length = length;
    w.count = 0;
    out->length = out->part_count = 0;
    if (length > HX_SKELETON_TOKEN || !find_runs(&w))
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

bool hx_skeleton_make(const char *token, uint32_t length, hx_skeleton *out)
{
    if (!length || length > SHORT_BYTES)
        return hx_skeleton_make_plain(token, length, out);
    out->length = out->part_count = 0;
    return make_short(token, length, out);
}
