#include "outline.h"

#include <haechi/hash.h>

#if defined(__x86_64__)
#include "words_avx2.h"

/* The bytes whose bits are set are all ones. */
AVX2 HX_INLINE __m256i bytes_of(uint32_t bits)
{
    const __m256i select = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    const __m256i spread =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    __m256i wide = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);

    return _mm256_cmpeq_epi8(_mm256_and_si256(wide, select), select);
}

/* The bytes of a block as they are to be written, and which are: all ones. */
typedef struct hx_block {
    uint64_t text[8];
    uint64_t mask[8];
} hx_block;

/* Puts the letters of non-values in their place in blocks; the bytes that are kept for ends and for
 * values become zero. Values one behind the other are one token, from the first one's start to the
 * last one's end. */
BMI2 HX_INLINE void mask_words(const __m256i *halves, uint32_t count, const hx_words *words,
                               hx_block *blocks, hx_outline *outline)
{
    uint64_t firsts = words->values & ~(words->values << 1), borrow = 0;
    uint64_t lasts = words->values & ~(words->values >> 1);
    uint64_t tokens = ~(words->values & ~firsts) & ~(~UINT64_C(0) << words->count);
    uint32_t before = 0;

    outline->tokens = (uint32_t)__builtin_popcountll(tokens);
    outline->values = _pext_u64(words->values, tokens);

#pragma GCC unroll 4
    for (uint32_t i = 0; i < count; i++) {
        uint64_t starts = _pdep_u64(~words->values >> words->starts_before[i], words->starts[i]);
        uint64_t ends = _pdep_u64(~words->values >> words->ends_before[i], words->ends[i]);
        uint64_t value_starts = _pdep_u64(firsts >> words->starts_before[i], words->starts[i]);
        uint64_t value_ends = _pdep_u64(lasts >> words->ends_before[i], words->ends[i]);
        /* A word's end less its start is the word, across blocks too. */
        uint64_t letters = ends - starts - borrow;
        uint64_t kept = letters | ends | value_starts;

        outline->starts[i] = starts | value_starts;
        outline->ends[i] = ends | value_ends;
        outline->before[i] = before;
        before += (uint32_t)__builtin_popcountll(outline->starts[i]);

        borrow = ends < starts || ends - starts < borrow;
#pragma GCC unroll 2
        for (uint32_t half = 0; half < 2; half++) {
            _mm256_storeu_si256(
                (__m256i *)(void *)&blocks[i].text[4 * half],
                _mm256_and_si256(halves[2 * i + half], bytes_of((uint32_t)(letters >> 32 * half))));
            _mm256_storeu_si256((__m256i *)(void *)&blocks[i].mask[4 * half],
                                bytes_of((uint32_t)(kept >> 32 * half)));
        }
    }
    for (uint32_t i = count; i < HX_OUTLINE_BLOCKS; i++)
        outline->before[i] = before;
}

/* What is written so far. */
typedef struct hx_writing {
    uint64_t bits; /* of what is written */
    uint64_t sum;  /* of what is written as numbers of eight bytes each */
} hx_writing;

/* Writes the bytes that are kept one behind the other. The sum is made on the way: to load again
 * what was just stored in pieces would take longer. */
BMI2 HX_INLINE hx_writing write_block(char *out, hx_writing at, const hx_block *block)
{
#pragma GCC unroll 8
    for (uint32_t i = 0; i < 8; i++) {
        uint64_t eight = _pext_u64(block->text[i], block->mask[i]);

        memcpy(out + (at.bits >> 3), &eight, sizeof eight);
        at.sum += eight << (at.bits & 63) | eight >> (-at.bits & 63);
        at.bits += (uint64_t)__builtin_popcountll(block->mask[i]);
    }
    return at;
}

BMI2 HX_INLINE bool write_blocks(hx_tokenizer *t, hx_slice message, uint32_t count,
                                 hx_outline *outline)
{
    __m256i halves[2 * HX_WORDS_BLOCKS];
    hx_block blocks[HX_WORDS_BLOCKS];
    hx_masks masks;
    hx_words words;
    hx_suspects suspects;
    hx_writing at = {0};

    _mm256_storeu_si256(
        (__m256i *)(void *)t->tail,
        _mm256_loadu_si256((const __m256i *)(const void *)(message.ptr + message.len - 32)));
    t->tail_from = message.len - 32;
    t->text = message.ptr;
    t->length = message.len;
#pragma GCC unroll 8
    for (uint32_t i = 0; i < 2 * count; i++)
        halves[i] = hx_words_load(t, message, i * 32, i / 2 + 1 == count);
    hx_words_classify(halves, count, &masks);
    if (hx_words_have_colons(&masks, count)) {
        hx_masks joined = masks;

        if (!hx_words_join_colons(halves, count, &joined))
            return false;
#pragma GCC unroll 5
        for (uint32_t i = 0; i <= count; i++) {
            masks.core[i] = joined.core[i];
            masks.digit[i] = joined.digit[i];
        }
    }
    if (!hx_words_find(&masks, count, t->max_tokens < HX_WORDS_MOST ? t->max_tokens : HX_WORDS_MOST,
                       &words))
        return false;
    if (hx_words_suspect(&masks, count, &words, &suspects)) {
        /* Copies, so that what is not handed out may stay in registers. */
        hx_words joined = words;
        hx_suspects where = suspects;

        hx_words_join_affixes(t, count, &where, &joined);
        words.values = joined.values;
    }
    mask_words(halves, count, &words, blocks, outline);
#pragma GCC unroll 1
    for (uint32_t i = 0; i < count; i++)
        at = write_block(outline->bytes, at, &blocks[i]);
    outline->length = (uint32_t)(at.bits / 8);
    memset(outline->bytes + outline->length, 0, HX_OUTLINE_STEP);
    outline->hash =
        hx_hash_mix(at.sum ^ HX_HASH_SEED, words.values ^ at.bits << 48 ^ HX_HASH_SEED) | 1;
    return outline->length <= HX_OUTLINE_BYTES;
}

/* Zero bytes behind a message change nothing about its tokens. */
BMI2 static __attribute__((noinline)) bool write_short(hx_tokenizer *t, hx_slice message,
                                                       hx_outline *outline)
{
    char padded[32] = {0};

    if (message.len)
        memcpy(padded, message.ptr, message.len);
    return write_blocks(t, hx_slice_make(padded, sizeof padded), 1, outline);
}

BMI2 static bool write_avx2(hx_tokenizer *t, hx_slice message, hx_outline *outline)
{
    if (message.len < 32)
        return write_short(t, message, outline);
    /* The end of a last word needs a bit, too. */
    switch (message.len / 64) {
    case 0:
        return write_blocks(t, message, 1, outline);
    case 1:
        return write_blocks(t, message, 2, outline);
    case 2:
        return write_blocks(t, message, 3, outline);
    case 3:
        return write_blocks(t, message, 4, outline);
    default:
        return false;
    }
}
#endif

#if defined(__x86_64__)
#define COUNTS_BITS __attribute__((target("bmi,bmi2,popcnt")))
#else
#define COUNTS_BITS
#endif

/* The n-th bit alone. */
COUNTS_BITS static inline uint64_t nth_bit(uint64_t bits, uint32_t n)
{
#if defined(__x86_64__)
    return _pdep_u64(UINT64_C(1) << n, bits);
#else
    while (n--)
        bits &= bits - 1;
    return bits & -bits;
#endif
}

COUNTS_BITS hx_token hx_outline_token(const hx_outline *outline, uint32_t n)
{
    _Static_assert(HX_OUTLINE_BLOCKS == 4, "the block is found in three steps");
    const uint32_t *before = outline->before;
    uint32_t block = (uint32_t)(n >= before[1]) + (n >= before[2]) + (n >= before[3]);
    const uint64_t bit = nth_bit(outline->starts[block], n - before[block]);
    const uint32_t start = block * 64 + (uint32_t)__builtin_ctzll(bit);
    uint64_t ends = outline->ends[block] & -bit; /* none is where a token starts */

    while (!ends)
        ends = outline->ends[++block];
    return (hx_token){(uint16_t)start,
                      (uint16_t)(block * 64 + (uint32_t)__builtin_ctzll(ends) - start),
                      outline->values >> n & 1};
}

hx_outline_write hx_outline_best(void)
{
#if defined(__x86_64__)
    /* The first two Zens take hundreds of cycles for a pext. */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
        !__builtin_cpu_is("znver1") && !__builtin_cpu_is("znver2"))
        return write_avx2;
#endif
    return NULL;
}
