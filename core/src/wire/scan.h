/* Finding the next delimiter of a header, 16 bytes at a step. Header tokens are short (a host name,
 * a tag), so these are inlined: memchr's call costs more than the search. They never read at or
 * past end; the scalar twins serve the tails, other machines, and the tests. */
#ifndef HAECHI_WIRE_SCAN_H
#define HAECHI_WIRE_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Eight bytes at once in one register are read as little-endian numbers. */
#define WIRE_WORDS (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

static inline uint64_t wire_load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline bool wire_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool wire_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static inline const char *wire_scan_blank_scalar(const char *p, const char *end)
{
    while (p < end && !wire_is_blank(*p))
        p++;
    return p;
}

static inline const char *wire_scan_tag_scalar(const char *p, const char *end)
{
    while (p < end && !wire_is_blank(*p) && *p != ':' && *p != '[')
        p++;
    return p;
}

/* The first blank or tab, or end. */
static inline const char *wire_scan_blank(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t');

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        int hit = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, space), _mm_cmpeq_epi8(v, tab)));
        if (hit)
            return p + __builtin_ctz((unsigned)hit);
    }
#endif
    return wire_scan_blank_scalar(p, end);
}

/* The first blank, tab, ':' or '[': what can end the name in a syslog tag; or end. */
static inline const char *wire_scan_tag(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t');
    const __m128i colon = _mm_set1_epi8(':'), bracket = _mm_set1_epi8('[');

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i blanks = _mm_or_si128(_mm_cmpeq_epi8(v, space), _mm_cmpeq_epi8(v, tab));
        __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(v, colon), _mm_cmpeq_epi8(v, bracket));
        int hit = _mm_movemask_epi8(_mm_or_si128(blanks, marks));
        if (hit)
            return p + __builtin_ctz((unsigned)hit);
    }
#endif
    return wire_scan_tag_scalar(p, end);
}

static inline const char *wire_scan_close_scalar(const char *p, const char *end)
{
    while (p < end && !wire_is_blank(*p) && *p != ']')
        p++;
    return p;
}

/* The first blank, tab or ']': what can end the pid in a syslog tag; or end. */
static inline const char *wire_scan_close(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t');
    const __m128i bracket = _mm_set1_epi8(']');

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i blanks = _mm_or_si128(_mm_cmpeq_epi8(v, space), _mm_cmpeq_epi8(v, tab));
        int hit = _mm_movemask_epi8(_mm_or_si128(blanks, _mm_cmpeq_epi8(v, bracket)));
        if (hit)
            return p + __builtin_ctz((unsigned)hit);
    }
#endif
    return wire_scan_close_scalar(p, end);
}

static inline bool wire_is_printable(char c)
{
    return (unsigned char)(c - 0x21) < 0x7f - 0x21; /* RFC 5424's PRINTUSASCII */
}

static inline const char *wire_scan_printable_scalar(const char *p, const char *end)
{
    while (p < end && wire_is_printable(*p))
        p++;
    return p;
}

/* The first byte that is not printable ASCII (a blank is not), or end. */
static inline const char *wire_scan_printable(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(' '), del = _mm_set1_epi8(0x7f);

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* Compared as signed numbers, bytes from 0x80 on are below the blank too. */
        __m128i other = _mm_or_si128(_mm_cmpeq_epi8(v, del), _mm_cmpgt_epi8(space, v));
        int hit = _mm_movemask_epi8(_mm_or_si128(other, _mm_cmpeq_epi8(v, space)));
        if (hit)
            return p + __builtin_ctz((unsigned)hit);
    }
#endif
    return wire_scan_printable_scalar(p, end);
}

static inline const char *wire_scan_sd_value_scalar(const char *p, const char *end)
{
    while (p < end && (signed char)*p >= 0 && *p != '"' && *p != '\\' && *p != ']')
        p++;
    return p;
}

/* The first byte of a structured data value that means something or is not ASCII; or end. */
static inline const char *wire_scan_sd_value(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\');
    const __m128i bracket = _mm_set1_epi8(']');

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, escape));
        /* movemask takes the top bits: v itself marks what is not ASCII. */
        int hit =
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(marks, v), _mm_cmpeq_epi8(v, bracket)));
        if (hit)
            return p + __builtin_ctz((unsigned)hit);
    }
#endif
    return wire_scan_sd_value_scalar(p, end);
}

static inline const char *wire_skip_blanks(const char *p, const char *end)
{
    while (p < end && wire_is_blank(*p))
        p++;
    return p;
}

/* Where the text ends once blanks, tabs and carriage returns at its end are cut. */
static inline const char *wire_trim_end(const char *p, const char *end)
{
    while (end > p && (wire_is_blank(end[-1]) || end[-1] == '\r'))
        end--;
    return end;
}

#endif
