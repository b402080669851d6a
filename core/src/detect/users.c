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

            if (memcmp(hit, word.ptr, word.len) == 0)
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

static hx_slice name_at(const char *at, const char *end)
{
    const char *last = at;

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
