/* Bytes to classes, one bit a byte: the plain form, and the one with 32 bytes a step. */
#include "token.h"

enum { CORE = 1, JOIN = 2, DIGIT = 4, COLON = 8, DOT = 16 };

static uint8_t byte_class(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return CORE | DIGIT;
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80)
        return CORE;
    switch (c) {
    case '_':
    case '/':
    case '\\':
    case '+':
    case '$':
    case '%':
    case '~':
        return CORE;
    case '@':
        return CORE | DIGIT;
    case '-':
        return JOIN;
    case '.':
        return JOIN | DOT;
    case ':':
        return COLON;
    default:
        return 0;
    }
}

void hx_classify_plain(const char *text, uint32_t blocks, hx_byte_classes *classes)
{
    for (uint32_t block = 0; block < blocks; block++) {
        uint64_t core = 0, join = 0, digit = 0, colon = 0, dot = 0;

        for (uint32_t i = 0; i < 64; i++) {
            uint64_t class = byte_class((uint8_t)text[block * 64 + i]);

            core |= (class & 1) << i;
            join |= (class >> 1 & 1) << i;
            digit |= (class >> 2 & 1) << i;
            colon |= (class >> 3 & 1) << i;
            dot |= (class >> 4 & 1) << i;
        }
        classes->core[block] = core;
        classes->join[block] = join;
        classes->digit[block] = digit;
        classes->colon[block] = colon;
        classes->dot[block] = dot;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* A byte's class is the AND of two 16-entry tables, one by its low and one by its high four bits:
 * each table bit stands for a product of a set of columns and a set of rows of the ASCII chart. */
enum {
    ROW_DIGIT = 1,       /* 3x: 0-9 */
    ROW_A_TO_O = 2,      /* 4x 6x: 1-15 */
    ROW_P_TO_Z = 4,      /* 5x 7x: 0-10 */
    ROW_SIGN = 8,        /* 2x: $ % + / */
    ROW_JOIN = 16,       /* 2x: - . */
    ROW_UNDERSCORE = 32, /* 5x: \ _ */
    ROW_COLON = 64,      /* 3x: : */
    ROW_AT = 128,        /* 4x: @ */
};

__attribute__((target("avx2"))) static inline __m256i classes_of(__m256i bytes)
{
    const __m256i by_low = _mm256_broadcastsi128_si256(
        _mm_setr_epi8((char)(1 | 4 | 128), 1 | 2 | 4, 1 | 2 | 4, 1 | 2 | 4, 1 | 2 | 4 | 8,
                      1 | 2 | 4 | 8, 1 | 2 | 4, 1 | 2 | 4, 1 | 2 | 4, 1 | 2 | 4, 2 | 4 | 64, 2 | 8,
                      2 | 32, 2 | 16, 2 | 16, 2 | 8 | 32));
    const __m256i by_high = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 0, ROW_SIGN | ROW_JOIN, ROW_DIGIT | ROW_COLON, (char)(ROW_A_TO_O | ROW_AT),
                      ROW_P_TO_Z | ROW_UNDERSCORE, ROW_A_TO_O, ROW_P_TO_Z, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i nibble = _mm256_set1_epi8(15);

    return _mm256_and_si256(
        _mm256_shuffle_epi8(by_low, _mm256_and_si256(bytes, nibble)),
        _mm256_shuffle_epi8(by_high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble)));
}

__attribute__((target("avx2"))) static inline uint32_t any_bit(__m256i classes, int bits)
{
    __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(classes, _mm256_set1_epi8((char)bits)),
                                     _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(none);
}

__attribute__((target("avx2"))) static void classify_avx2(const char *text, uint32_t blocks,
                                                          hx_byte_classes *classes)
{
    for (uint32_t block = 0; block < blocks; block++) {
        uint32_t core[2], join[2], digit[2], colon[2], dot[2];

        for (uint32_t half = 0; half < 2; half++) {
            __m256i bytes =
                _mm256_loadu_si256((const __m256i *)(const void *)(text + block * 64 + half * 32));
            __m256i c = classes_of(bytes);

            core[half] = any_bit(c, ROW_DIGIT | ROW_A_TO_O | ROW_P_TO_Z | ROW_SIGN |
                                        ROW_UNDERSCORE | ROW_AT) |
                         (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(
                             bytes, _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('~'))));
            digit[half] = any_bit(c, ROW_DIGIT | ROW_AT);
            join[half] = (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(c, 3));
            colon[half] = (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(c, 1));
            dot[half] =
                (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('.')));
        }
        classes->core[block] = core[0] | (uint64_t)core[1] << 32;
        classes->join[block] = join[0] | (uint64_t)join[1] << 32;
        classes->digit[block] = digit[0] | (uint64_t)digit[1] << 32;
        classes->colon[block] = colon[0] | (uint64_t)colon[1] << 32;
        classes->dot[block] = dot[0] | (uint64_t)dot[1] << 32;
    }
}
#endif

void (*hx_classify_best(void))(const char *, uint32_t, hx_byte_classes *)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return classify_avx2;
#endif
    return hx_classify_plain;
}
