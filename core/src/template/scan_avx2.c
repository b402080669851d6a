/* The tokenizer with 32 bytes a step. */
#include "cut.h"

#if defined(__x86_64__)
#include "classes_avx2.h"

/* Sorts the bytes of the message, 32 bytes at least, into classes. The last steps go back so far
 * that they end with the message, and shift out what was seen before. */
AVX2 HX_INLINE void classify(hx_slice message, uint32_t blocks, hx_byte_classes *classes)
{
    const uint32_t last = message.len - 32;

    for (uint32_t block = 0; block < blocks; block++) {
        hx_class_bits bits[2];
        uint32_t seen[2];

#pragma GCC unroll 2
        for (uint32_t half = 0; half < 2; half++) {
            uint32_t want = block * 64 + half * 32, at = want < last ? want : last;

            seen[half] = want - at < 32 ? want - at : 32;
            bits[half] = hx_classify_avx2(
                _mm256_loadu_si256((const __m256i *)(const void *)(message.ptr + at)));
        }
#define BLOCK(name) ((uint64_t)bits[0].name >> seen[0] | ((uint64_t)bits[1].name >> seen[1]) << 32)
        classes->core[block] = BLOCK(core);
        classes->join[block] = BLOCK(join);
        classes->digit[block] = BLOCK(digit);
        classes->colon[block] = BLOCK(colon);
        classes->dot[block] = BLOCK(dot);
        classes->slash[block] = BLOCK(slash);
#undef BLOCK
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
