/* The words of a message of some hundred bytes, and which are values, all at once: what the
 * tokenizer finds word by word. A word is a bit in a number of 64; pext and pdep lead from its
 * place in the message to its number and back. */
#ifndef HAECHI_TEMPLATE_WORDS_AVX2_H
#define HAECHI_TEMPLATE_WORDS_AVX2_H

#include "classes_avx2.h"

#define BMI2            __attribute__((target("avx2,bmi,bmi2,popcnt")))

#define HX_WORDS_BLOCKS 4
#define HX_WORDS_MOST   63 /* their flags are the bits of one number */

/* The classes of a message's bytes as in hx_byte_classes, and two more. */
typedef struct hx_masks {
    uint64_t core[HX_WORDS_BLOCKS + 1], join[HX_WORDS_BLOCKS], digit[HX_WORDS_BLOCKS + 1];
    uint64_t colon[HX_WORDS_BLOCKS + 1];
    uint64_t dot[HX_WORDS_BLOCKS], slash[HX_WORDS_BLOCKS];
    uint64_t affix[HX_WORDS_BLOCKS]; /* the first letter of one */
    uint64_t small[HX_WORDS_BLOCKS]; /* of letters: the small ones */
} hx_masks;

/* The words of a message. In the blocks a bit is a byte, and a word's end is the byte behind it; in
 * values bit n is word n. */
typedef struct hx_words {
    uint64_t starts[HX_WORDS_BLOCKS + 1];
    uint64_t ends[HX_WORDS_BLOCKS + 1];
    uint64_t value_ends[HX_WORDS_BLOCKS];    /* of values; other bits than ends mean nothing */
    uint32_t starts_before[HX_WORDS_BLOCKS]; /* in the blocks before */
    uint32_t ends_before[HX_WORDS_BLOCKS];
    uint32_t count;
    uint64_t values;
} hx_words;

/* The first letters of all affixes, looked up as classes are. */
AVX2 HX_INLINE __m256i affix_letters(__m256i bytes)
{
    enum { A_O = 1, P_W = 2, H_N = 4, S_U = 8 };

    return hx_look_up(bytes,
                      _mm_setr_epi8(P_W, A_O, A_O, A_O | P_W | S_U, A_O | P_W, A_O | P_W | S_U, A_O,
                                    A_O | P_W, A_O | H_N, 0, A_O, A_O | H_N, 0, A_O | H_N,
                                    A_O | H_N, A_O),
                      _mm_setr_epi8(0, 0, 0, 0, A_O, P_W, H_N, S_U, 0, 0, 0, 0, 0, 0, 0, 0));
}

/* What of the message lies in half a block; zero behind its end, which t->tail holds. Only in the
 * last block there may be less than all. */
AVX2 HX_INLINE __m256i hx_words_load(const hx_tokenizer *t, hx_slice message, uint32_t want,
                                     bool is_last)
{
    const uint32_t last = message.len - 32;
    const char *from = message.ptr + want;

    if (is_last && want > last)
        from = t->tail + (want - last < 32 ? want - last : 32);
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

AVX2 HX_INLINE void hx_words_classify(const __m256i *halves, uint32_t blocks, hx_masks *masks)
{
#pragma GCC unroll 4
    for (uint32_t i = 0; i < blocks; i++) {
        hx_class_bits bits[2];
        uint32_t affix[2], small[2];

#pragma GCC unroll 2
        for (uint32_t half = 0; half < 2; half++) {
            __m256i bytes = halves[2 * i + half];

            bits[half] = hx_classify_avx2(bytes);
            affix[half] = HX_BITS(hx_at_least(affix_letters(bytes), 1), 7);
            small[half] = HX_BITS(bytes, 5);
        }
#define BLOCK(name) (bits[0].name | (uint64_t)bits[1].name << 32)
        masks->core[i] = BLOCK(core);
        masks->join[i] = BLOCK(join);
        masks->digit[i] = BLOCK(digit);
        masks->colon[i] = BLOCK(colon);
        masks->dot[i] = BLOCK(dot);
        masks->slash[i] = BLOCK(slash);
#undef BLOCK
        masks->affix[i] = affix[0] | (uint64_t)affix[1] << 32;
        masks->small[i] = small[0] | (uint64_t)small[1] << 32;
    }
    masks->core[blocks] = masks->digit[blocks] = masks->colon[blocks] = 0;
}

/* The hexadecimal digits, looked up as classes are. */
AVX2 HX_INLINE __m256i hex_digits(__m256i bytes)
{
    enum { DIGIT = 1, LETTER = 2, BOTH = DIGIT | LETTER };

    return hx_look_up(bytes,
                      _mm_setr_epi8(DIGIT, BOTH, BOTH, BOTH, BOTH, BOTH, BOTH, DIGIT, DIGIT, DIGIT,
                                    0, 0, 0, 0, 0, 0),
                      _mm_setr_epi8(0, 0, 0, DIGIT, LETTER, 0, LETTER, 0, 0, 0, 0, 0, 0, 0, 0, 0));
}

/* 64 bits from place on. */
HX_INLINE uint64_t bits_from(const uint64_t *blocks, uint32_t place)
{
    uint32_t bit = place & 63;

    return blocks[place >> 6] >> bit | (bit ? blocks[(place >> 6) + 1] << (64 - bit) : 0);
}

HX_INLINE void set_bits_from(uint64_t *blocks, uint32_t place, uint64_t bits)
{
    uint32_t bit = place & 63;

    blocks[place >> 6] |= bits << bit;
    if (bit)
        blocks[(place >> 6) + 1] |= bits >> (64 - bit);
}

/* How many bits are set right before end. */
HX_INLINE uint32_t run_before(const uint64_t *blocks, uint32_t end)
{
    uint32_t length = 0;

    while (end > length) {
        uint32_t bit = (end - length - 1) & 63;
        uint64_t clear = ~blocks[(end - length - 1) >> 6] << (63 - bit);

        if (clear)
            return length + (uint32_t)__builtin_clzll(clear);
        length += bit + 1;
    }
    return length;
}

/* The run of hexadecimal digits and colons that ends at end, as hx_join_colons does it. */
static void join_run(hx_masks *masks, const uint64_t *runs, uint32_t end)
{
    uint32_t length = run_before(runs, end), from = end - length;
    uint64_t all, colons, digits;

    if ((from && masks->core[(from - 1) >> 6] >> ((from - 1) & 63) & 1) ||
        (masks->core[end >> 6] >> (end & 63) & 1))
        return;
    all = UINT64_MAX >> (64 - length);
    colons = bits_from(masks->colon, from) & all;
    digits = all & ~colons;
    if (!(colons & (colons - 1)) || !digits)
        return;
    colons &= UINT64_MAX >> __builtin_clzll(digits); /* not those at the end */
    set_bits_from(masks->core, from, colons);
    set_bits_from(masks->digit, from, colons);
}

/* Whether hx_join_colons would be called for. */
HX_INLINE bool hx_words_have_colons(const hx_masks *masks, uint32_t blocks)
{
    uint64_t one = 0, two = 0;

#pragma GCC unroll 4
    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t tight = masks->colon[i] &
                         (hx_left_of(masks->core, i) | hx_left_of(masks->colon, i)) &
                         (hx_right_of(masks->core, i) | hx_right_of(masks->colon, i));

        two |= (tight & (tight - 1)) | (one & (uint64_t)(tight != 0));
        one |= tight != 0;
    }
    return two != 0;
}

/* Makes the colons of times and addresses parts of a value: hx_join_colons by runs, not by bytes.
 */
BMI2 static __attribute__((noinline)) bool hx_words_join_colons(const __m256i *halves,
                                                                uint32_t blocks, hx_masks *masks)
{
    uint64_t runs[HX_WORDS_BLOCKS + 1], carry = 0;

    for (uint32_t i = 0; i < blocks; i++)
        runs[i] = masks->colon[i] | HX_BITS(hx_at_least(hex_digits(halves[2 * i]), 1), 7) |
                  (uint64_t)HX_BITS(hx_at_least(hex_digits(halves[2 * i + 1]), 1), 7) << 32;
    runs[blocks] = 0;
    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t inside = masks->colon[i] & hx_left_of(runs, i) & hx_right_of(runs, i);
        uint64_t ends = hx_add_carry(runs[i], inside, &carry) & ~runs[i];

        for (; ends; ends &= ends - 1) {
            uint32_t end = i * 64 + (uint32_t)__builtin_ctzll(ends);

            if (run_before(runs, end) > 64)
                return false;
            join_run(masks, runs, end);
        }
    }
    return true;
}

/* Where in words without a digit the case turns as hx_word_is_mixed has it, and their ends. */
typedef struct hx_turns {
    uint64_t at[HX_WORDS_BLOCKS];
    uint64_t starts[HX_WORDS_BLOCKS], ends[HX_WORDS_BLOCKS];
} hx_turns;

/* Where the last word before end starts. */
HX_INLINE uint32_t start_before(const uint64_t *starts, uint32_t end)
{
    uint32_t block = (end - 1) >> 6;
    uint64_t below = starts[block] & UINT64_MAX >> (63 - ((end - 1) & 63));

    while (!below)
        below = starts[--block];
    return block * 64 + 63 - (uint32_t)__builtin_clzll(below);
}

HX_INLINE uint32_t count_bits(const uint64_t *blocks, uint32_t from, uint32_t end)
{
    uint32_t count = 0;

    for (uint32_t i = from >> 6; i <= (end - 1) >> 6; i++) {
        uint64_t bits = blocks[i];

        if (i == from >> 6)
            bits &= UINT64_MAX << (from & 63);
        if (i == (end - 1) >> 6)
            bits &= UINT64_MAX >> (63 - ((end - 1) & 63));
        count += (uint32_t)__builtin_popcountll(bits);
    }
    return count;
}

/* Whether one of the words may be mixed. '_', '/' and their like count as letters here: a word too
 * many only takes the long way. */
static __attribute__((noinline)) bool hx_words_mixed(const hx_turns *turns, uint32_t blocks)
{
    for (uint32_t i = 0; i < blocks; i++)
        for (uint64_t ends = turns->ends[i]; ends; ends &= ends - 1) {
            uint32_t end = i * 64 + (uint32_t)__builtin_ctzll(ends);
            uint32_t start = start_before(turns->starts, end);

            if (end - start >= HX_MIXED_BYTES &&
                count_bits(turns->at, start, end) >= HX_MIXED_TURNS)
                return true;
        }
    return false;
}

/* Finds the words, and which are values by what they hold. False when there are too many, or one of
 * them may be mixed. */
BMI2 HX_INLINE bool hx_words_find(const hx_masks *c, uint32_t blocks, uint32_t max_words,
                                  hx_words *words)
{
    uint64_t word_before = 0, digit_carry = 0, dot_carry = 0, turn_carry = 0, turned = 0;
    uint64_t large_before = 0, small_before = 0;
    uint32_t starts_before = 0, ends_before = 0;
    hx_turns turns;

#pragma GCC unroll 4
    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t word =
            c->core[i] | (c->join[i] & hx_left_of(c->core, i) & hx_right_of(c->core, i));
        uint64_t before = word << 1 | word_before;
        uint64_t valued = c->digit[i] | (c->slash[i] & word & ~before);
        uint64_t large = c->core[i] & ~c->small[i], small = c->core[i] & c->small[i];

        turns.at[i] =
            large & (((large << 1 | large_before >> 63) & (small << 2 | small_before >> 62)) |
                     ((small << 1 | small_before >> 63) & (large << 2 | large_before >> 62)));
        large_before = large;
        small_before = small;
        /* As in hx_cut. */
        words->value_ends[i] = hx_add_carry(word, valued, &digit_carry) |
                               (hx_add_carry(word, c->dot[i] & word, &dot_carry) & c->colon[i] &
                                hx_right_of(c->digit, i));
        words->starts[i] = word & ~before;
        words->ends[i] = before & ~word;
        turns.starts[i] = words->starts[i];
        turns.ends[i] =
            hx_add_carry(word, turns.at[i], &turn_carry) & words->ends[i] & ~words->value_ends[i];
        turned |= turns.ends[i];
        words->starts_before[i] = starts_before;
        words->ends_before[i] = ends_before;
        starts_before += (uint32_t)__builtin_popcountll(words->starts[i]);
        ends_before += (uint32_t)__builtin_popcountll(words->ends[i]);
        word_before = word >> 63;
    }
    words->starts[blocks] = words->ends[blocks] = 0;
    words->count = ends_before;
    if (ends_before > max_words)
        return false;
    if (__builtin_expect(turned != 0, 0)) {
        const hx_turns handed_out = turns; /* so that the others may stay in registers */

        if (hx_words_mixed(&handed_out, blocks))
            return false;
    }
    words->values = 0;
#pragma GCC unroll 4
    for (uint32_t i = 0; i < blocks; i++)
        words->values |= _pext_u64(words->value_ends[i], words->ends[i]) << words->ends_before[i];
    return true;
}

/* Where words may be affixes: some bits too many, and only bits of starts. */
typedef struct hx_suspects {
    uint64_t behind[HX_WORDS_BLOCKS]; /* a value */
    uint64_t dates[HX_WORDS_BLOCKS];  /* days and months before a value */
} hx_suspects;

/* What the next block would shift in counts as set. */
HX_INLINE uint64_t ahead(uint64_t block, uint32_t n)
{
    return block >> n | ~(UINT64_MAX >> n);
}

/* Whether there are any that are no values themselves and lie beside one. */
BMI2 HX_INLINE bool hx_words_suspect(const hx_masks *masks, uint32_t blocks, const hx_words *words,
                                     hx_suspects *suspects)
{
    uint64_t behind = 0, dates = 0;

#pragma GCC unroll 4
    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t starts = words->starts[i], letters = starts & masks->affix[i];
        uint64_t ends = words->ends[i];
        uint64_t two = ahead(ends, 1) | ahead(ends, 2), four = two | ahead(two, 2);

        suspects->behind[i] = letters & four & (ends << 1 | (i > 0));
        suspects->dates[i] =
            letters & ~masks->small[i] & ahead(ends, 3) & (ahead(starts, 4) | ahead(starts, 5));
        behind |= _pext_u64(suspects->behind[i], starts) << words->starts_before[i];
        dates |= _pext_u64(suspects->dates[i], starts) << words->starts_before[i];
    }
    return (((behind & words->values << 1) | (dates & words->values >> 1)) & ~words->values) != 0;
}

HX_INLINE bool bit_at(const uint64_t *blocks, uint32_t at)
{
    return blocks[at >> 6] >> (at & 63) & 1;
}

HX_INLINE bool is_value(const hx_words *words, uint32_t word)
{
    return words->values >> word & 1;
}

/* The number of the word that starts at a byte. */
BMI2 HX_INLINE uint32_t word_at(const hx_words *words, uint32_t start)
{
    uint64_t before = words->starts[start >> 6] & ((UINT64_C(1) << (start & 63)) - 1);

    return words->starts_before[start >> 6] + (uint32_t)__builtin_popcountll(before);
}

/* The length of the word that starts at a byte; 5 where it is longer than any affix. */
HX_INLINE uint32_t length_at(const hx_words *words, uint32_t start)
{
    uint32_t length = 1;

    while (length < 5 && !bit_at(words->ends, start + length))
        length++;
    return length;
}

/* A word that is an affix of the value before it becomes a value, and so may then the next. */
BMI2 static void extend_value(const hx_tokenizer *t, hx_words *words, uint32_t start)
{
    uint32_t word = word_at(words, start), length;

    for (; start && word && is_value(words, word - 1); word++, start += length + 1) {
        length = length_at(words, start);
        if (!bit_at(words->starts, start) || !bit_at(words->ends, start - 1) ||
            t->text[start - 1] != ' ' || length > 4 || !hx_find_affix(t, start, length))
            break;
        words->values |= UINT64_C(1) << word;
    }
}

/* A day or month with a value two blanks at most behind it becomes a value. */
BMI2 static void take_date(const hx_tokenizer *t, hx_words *words, uint32_t start)
{
    uint32_t word = word_at(words, start);
    const hx_affix *affix;

    if (length_at(words, start) != 3 || word + 1 >= words->count || !is_value(words, word + 1) ||
        !(bit_at(words->starts, start + 4) || bit_at(words->starts, start + 5)))
        return;
    affix = hx_find_affix(t, start, 3);
    if (affix && affix->is_date)
        words->values |= UINT64_C(1) << word;
}

/* Units in their order, then dates from the last to the first: a value takes more than one. */
BMI2 static __attribute__((noinline)) void hx_words_join_affixes(const hx_tokenizer *t,
                                                                 uint32_t blocks,
                                                                 const hx_suspects *suspects,
                                                                 hx_words *words)
{
    for (uint32_t i = 0; i < blocks; i++)
        for (uint64_t bits = suspects->behind[i]; bits; bits &= bits - 1)
            extend_value(t, words, i * 64 + (uint32_t)__builtin_ctzll(bits));
    for (uint32_t i = blocks; i-- > 0;)
        for (uint64_t bits = suspects->dates[i]; bits;) {
            uint32_t bit = 63 - (uint32_t)__builtin_clzll(bits);

            take_date(t, words, i * 64 + bit);
            bits ^= UINT64_C(1) << bit;
        }
}

#endif
