#include <haechi/users.h>

#include <stdbool.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Letters, digits, "_.-$@+\\" and what is not ASCII: a bit for each byte. */
static const uint32_t name_bytes[8] = {0x00000000, 0x03ff6810, 0x97ffffff, 0x07fffffe,
                                       0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};

static inline bool names(char byte)
{
    const unsigned char c = (unsigned char)byte;

    return name_bytes[c / 32] >> c % 32 & 1;
}

/* Whether this is the word, of which the first and the last byte have been seen: words are short.
 */
static inline bool is_word(const char *at, hx_slice word)
{
    uint32_t a, b;

    if (word.len <= 3)
        return at[word.len / 2] == word.ptr[word.len / 2];
    if (word.len > 8)
        return memcmp(at, word.ptr, word.len) == 0;
    memcpy(&a, at, 4), memcpy(&b, word.ptr, 4);
    if (a != b)
        return false;
    memcpy(&a, at + word.len - 4, 4), memcpy(&b, word.ptr + word.len - 4, 4);
    return a == b;
}

/* Where the word stands next; NULL where it does not. memmem would build a table for each line,
 * which costs more than the search. */
static const char *find_word(const char *at, const char *end, hx_slice word)
{
    const char *last = end - word.len;

#if defined(__SSE2__)
    const __m128i first = _mm_set1_epi8(word.ptr[0]);
    const __m128i final = _mm_set1_epi8(word.ptr[word.len - 1]);

    for (; last - at >= 15; at += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(at + word.len - 1));
        uint32_t hits = (uint32_t)_mm_movemask_epi8(
            _mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, final)));

        for (; hits; hits &= hits - 1) {
            const char *hit = at + __builtin_ctz(hits);

            if (is_word(hit, word))
                return hit;
        }
    }
#endif
    for (; at <= last; at++)
        if (*at == *word.ptr && memcmp(at, word.ptr, word.len) == 0)
            return at;
    return NULL;
}

/* Where the name begins behind a word that ends at `at`; NULL where none does. */
static const char *name_behind(const char *at, const char *end)
{
    if (at < end && *at == '=') {
        at++;
    } else {
        const char *blank = at < end && *at == ':' ? at + 1 : at;

        at = blank;
        while (at < end && *at == ' ')
            at++;
        if (at == blank)
            return NULL;
    }
    if (at < end && (*at == '"' || *at == '\'' || *at == '(' || *at == '<' || *at == '['))
        at++;
    return at < end && names(*at) ? at : NULL;
}

#if defined(__SSE2__)
static inline __m128i within(__m128i bytes, char from, char to)
{
    const __m128i from_here = _mm_sub_epi8(bytes, _mm_set1_epi8(from));

    return _mm_cmpeq_epi8(_mm_min_epu8(from_here, _mm_set1_epi8((char)(to - from))), from_here);
}

/* As names, of 16 bytes: how long a name at the first of them is. */
static inline uint32_t name_within(const char *at)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    const __m128i letters = _mm_or_si128(within(bytes, '@', 'Z'), within(bytes, 'a', 'z'));
    const __m128i digits = _mm_or_si128(within(bytes, '0', '9'), within(bytes, '-', '.'));
    const __m128i some = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')),
                                      _mm_cmpeq_epi8(bytes, _mm_set1_epi8('+')));
    const __m128i rest = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('$')),
                                      _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    const __m128i ascii = _mm_or_si128(_mm_or_si128(letters, digits), _mm_or_si128(some, rest));
    /* The uppermost bit is set of what is no ASCII, too. */
    const uint32_t in = (uint32_t)_mm_movemask_epi8(_mm_or_si128(ascii, bytes));

    return (uint32_t)__builtin_ctz(~in | 0x10000);
}
#endif

static hx_slice name_at(const char *at, const char *end)
{
    const char *last = at;

#if defined(__SSE2__)
    while (end - last >= 16) { /* nearly always once: without a guess at its length */
        const uint32_t len = name_within(last);

        last += len;
        if (len < 16)
            break;
    }
#endif
    while (last < end && names(*last))
        last++;
    while (last > at && (last[-1] == '.' || last[-1] == '-')) /* ends a sentence */
        last--;
    return hx_slice_make(at, (size_t)(last - at));
}

static bool is_from(const char *at, const char *end)
{
    return end - at >= 6 && memcmp(at, " from ", 6) == 0;
}

hx_slice hx_user_find(hx_slice word, hx_slice text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    const bool wants_from = word.len == 3 && memcmp(word.ptr, "for", 3) == 0;

    if (!word.len || text.len < word.len)
        return (hx_slice){0};
    while (end - at >= word.len && (at = find_word(at, end, word))) {
        const char *name = name_behind(at + word.len, end);

        if (name && (at == text.ptr || !names(at[-1]))) {
            hx_slice found = name_at(name, end);

            if (found.len && found.len <= HX_USER_NAME_MAX &&
                (!wants_from || is_from(found.ptr + found.len, end)))
                return found;
        }
        at += word.len;
    }
    return (hx_slice){0};
}
