/* Sorting a message's bytes into classes with AVX2, 32 bytes a step. */
#ifndef HAECHI_TEMPLATE_CLASSES_AVX2_H
#define HAECHI_TEMPLATE_CLASSES_AVX2_H

#include "cut.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

/* A byte's class is the AND of two 16-entry tables, one by its low and one by its high four bits:
 * each table bit stands for a product of a set of columns and a set of rows of the ASCII chart, and
 * no byte is in two of them. Those that make words come last, and of these those that make values,
 * so that one comparison tells. */
enum {
    ROW_JOIN = 1,        /* 2x: - . */
    ROW_COLON = 2,       /* 3x: : */
    ROW_A_TO_O = 4,      /* 4x 6x: 1-15 */
    ROW_P_TO_Z = 8,      /* 5x 7x: 0-10 */
    ROW_SIGN = 16,       /* 2x: $ % + / */
    ROW_UNDERSCORE = 32, /* 5x: \ _ */
    ROW_DIGIT = 64,      /* 3x: 0-9 */
    ROW_AT = 128,        /* 4x: @ */
};

/* Looks every byte up by its low and its high four bits. */
AVX2 HX_INLINE __m256i hx_look_up(__m256i bytes, __m128i by_low, __m128i by_high)
{
    const __m256i nibble = _mm256_set1_epi8(15);

    return _mm256_and_si256(
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(by_low), _mm256_and_si256(bytes, nibble)),
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(by_high),
                            _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble)));
}

AVX2 HX_INLINE __m256i hx_classes_of(__m256i bytes)
{
    enum { D = ROW_DIGIT, L = ROW_A_TO_O, P = ROW_P_TO_Z, S = ROW_SIGN, U = ROW_UNDERSCORE };

    return hx_look_up(bytes,
                      _mm_setr_epi8((char)(D | P | ROW_AT), D | L | P, D | L | P, D | L | P,
                                    D | L | P | S, D | L | P | S, D | L | P, D | L | P, D | L | P,
                                    D | L | P, L | P | ROW_COLON, L | S, L | U, L | ROW_JOIN,
                                    L | ROW_JOIN, L | S | U),
                      _mm_setr_epi8(0, 0, S | ROW_JOIN, D | ROW_COLON, (char)(L | ROW_AT), P | U, L,
                                    P, 0, 0, 0, 0, 0, 0, 0, 0));
}

/* A bit a byte: bit n of it. */
#define HX_BITS(bytes, n) ((uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16((bytes), 7 - (n))))

/* A bit a byte: whether it is least, a constant below 128, or more. */
AVX2 HX_INLINE __m256i hx_at_least(__m256i bytes, uint8_t least)
{
    return _mm256_adds_epu8(bytes, _mm256_set1_epi8((char)(128 - least)));
}

/* The classes of 32 bytes, a bit a byte. */
typedef struct hx_class_bits {
    uint32_t core, join, digit, colon, dot, slash;
} hx_class_bits;

AVX2 HX_INLINE hx_class_bits hx_classify_avx2(__m256i bytes)
{
    __m256i c = hx_classes_of(bytes);
    __m256i tilde = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('~'));
    __m256i other = _mm256_or_si256(bytes, tilde); /* from 0x80 up */
    __m256i slash = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('/')),
                                    _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));

    return (hx_class_bits){
        .core = HX_BITS(_mm256_or_si256(hx_at_least(c, ROW_A_TO_O), other), 7),
        .join = HX_BITS(c, 0),
        .digit = HX_BITS(hx_at_least(c, ROW_DIGIT), 7),
        .colon = HX_BITS(c, 1),
        .dot = HX_BITS(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('.')), 7),
        .slash = HX_BITS(slash, 7),
    };
}

#endif
