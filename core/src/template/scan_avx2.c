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

AVX2 static inline uint32_t any_bit(__m256i classes, int bits)
{
    __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(classes, _mm256_set1_epi8((char)bits)),
                                     _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(none);
}

/* Copies and puts zero bytes behind. Reads exactly length bytes. */
AVX2 static inline void copy_padded(char *to, const char *from, uint32_t length)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i *end = (__m256i *)(void *)(to + length);

    if (length >= 32) {
        for (uint32_t i = 0; i + 32 <= length; i += 32)
            _mm256_storeu_si256((__m256i *)(void *)(to + i),
                                _mm256_loadu_si256((const __m256i *)(const void *)(from + i)));
        _mm256_storeu_si256(
            end - 1, _mm256_loadu_si256((const __m256i *)(const void *)(from + length - 32)));
    } else if (length) {
        memcpy(to, from, length);
    }
    _mm256_storeu_si256(end, zero);
    _mm256_storeu_si256(end + 1, zero);
}

AVX2 static inline void classify(const char *text, uint32_t blocks, hx_byte_classes *classes)
{
    for (uint32_t block = 0; block < blocks; block++) {
        uint32_t core[2], join[2], digit[2], colon[2], dot[2];

        for (uint32_t half = 0; half < 2; half++) {
            __m256i bytes =
                _mm256_loadu_si256((const __m256i *)(const void *)(text + block * 64 + half * 32));
            __m256i c = classes_of(bytes);
            __m256i extra = _mm256_or_si256(bytes, _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('~')));

            core[half] = any_bit(c, ROW_DIGIT | ROW_A_TO_O | ROW_P_TO_Z | ROW_SIGN |
                                        ROW_UNDERSCORE | ROW_AT) |
                         (uint32_t)_mm256_movemask_epi8(extra);
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

AVX2 static void scan_avx2(hx_tokenizer *t, hx_slice message)
{
    uint32_t blocks = (message.len + 63) / 64;

    copy_padded(t->text, message.ptr, message.len);
    classify(t->text, blocks, &t->classes);
    hx_classes_end(&t->classes, blocks);
    if (hx_has_tight_colons(&t->classes, blocks))
        hx_join_colons(t, message.len);
    hx_make_tokens(t, hx_cut_words(t, blocks));
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
