/* The tokenizer with 32 bytes a step. */
#include "cut.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

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

AVX2 static inline __m256i classes_of(__m256i bytes)
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

/* A bit a byte: its highest. */
AVX2 static inline uint32_t bits_of(__m256i bytes)
{
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

AVX2 static inline uint32_t any_bit(__m256i classes, int bits)
{
    __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(classes, _mm256_set1_epi8((char)bits)),
                                     _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(none);
}

/* Sorts the bytes of the message, 32 bytes at least, into classes. The last steps go back so far
 * that they end with the message, and shift out what was seen before. */
AVX2 HX_INLINE void classify(hx_slice message, uint32_t blocks, hx_byte_classes *classes)
{
    const uint32_t last = message.len - 32;

    for (uint32_t block = 0; block < blocks; block++) {
        uint64_t core[2], join[2], digit[2], colon[2], dot[2], slash[2];

#pragma GCC unroll 2
        for (uint32_t half = 0; half < 2; half++) {
            uint32_t want = block * 64 + half * 32, at = want < last ? want : last;
            uint32_t seen = want - at < 32 ? want - at : 32;
            __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(message.ptr + at));
            __m256i c = classes_of(bytes);
            __m256i tilde = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('~'));
            __m256i either = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('/')),
                                             _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));

            core[half] = (uint64_t)(any_bit(c, ROW_DIGIT | ROW_A_TO_O | ROW_P_TO_Z | ROW_SIGN |
                                                   ROW_UNDERSCORE | ROW_AT) |
                                    bits_of(_mm256_or_si256(bytes, tilde))) >>
                         seen;
            digit[half] = (uint64_t)any_bit(c, ROW_DIGIT | ROW_AT) >> seen;
            join[half] = (uint64_t)bits_of(_mm256_slli_epi16(c, 3)) >> seen;
            colon[half] = (uint64_t)bits_of(_mm256_slli_epi16(c, 1)) >> seen;
            dot[half] = (uint64_t)bits_of(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('.'))) >> seen;
            slash[half] = (uint64_t)bits_of(either) >> seen;
        }
        classes->core[block] = core[0] | core[1] << 32;
        classes->join[block] = join[0] | join[1] << 32;
        classes->digit[block] = digit[0] | digit[1] << 32;
        classes->colon[block] = colon[0] | colon[1] << 32;
        classes->dot[block] = dot[0] | dot[1] << 32;
        classes->slash[block] = slash[0] | slash[1] << 32;
    }
}

AVX2 HX_INLINE void scan_blocks(hx_tokenizer *t, hx_slice message, uint32_t blocks)
{
    _mm256_storeu_si256(
        (__m256i *)(void *)t->tail,
        _mm256_loadu_si256((const __m256i *)(const void *)(message.ptr + message.len - 32)));
    t->tail_from = message.len - 32;
    t->text = message.ptr;
    classify(message, blocks, &t->classes);
    hx_classes_end(&t->classes, blocks);
    if (hx_has_tight_colons(&t->classes, blocks))
        hx_join_colons(t, blocks);
    hx_cut(t, blocks);
}

/* Most messages take the same way, without a loop whose length depends on them. */
AVX2 static void scan_avx2(hx_tokenizer *t, hx_slice message)
{
    if (message.len >= 32 && message.len <= 128)
        scan_blocks(t, message, 2);
    else if (message.len >= 32)
        scan_blocks(t, message, (message.len + 63) / 64);
    else
        hx_scan_plain(t, message);
}
#endif

void (*hx_scan_best(void))(hx_tokenizer *, hx_slice)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("popcnt"))
        return scan_avx2;
#endif
    return hx_scan_plain;
}
