/* The steps of cutting a message, inlined into the plain tokenizer and the one with AVX2. Decisions
 * are taken a block of 64 bytes at a time, with bit arithmetic, and for each word without branches:
 * what comes next in a log can not be predicted, and a wrong guess costs more than the work. */
#ifndef HAECHI_TEMPLATE_CUT_H
#define HAECHI_TEMPLATE_CUT_H

#include "token.h"

#define HX_INLINE static inline __attribute__((always_inline))

/* Bit i is what stands right (left) of byte i of the block. */
HX_INLINE uint64_t hx_right_of(const uint64_t *blocks, uint32_t i)
{
    return blocks[i] >> 1 | blocks[i + 1] << 63;
}

HX_INLINE uint64_t hx_left_of(const uint64_t *blocks, uint32_t i)
{
    return blocks[i] << 1 | (i ? blocks[i - 1] >> 63 : 0);
}

/* The zero blocks behind the last. */
HX_INLINE void hx_classes_end(hx_byte_classes *c, uint32_t blocks)
{
    c->core[blocks] = c->core[blocks + 1] = 0;
    c->join[blocks] = c->join[blocks + 1] = 0;
    c->digit[blocks] = c->digit[blocks + 1] = 0;
    c->colon[blocks] = c->colon[blocks + 1] = 0;
    c->dot[blocks] = c->dot[blocks + 1] = 0;
    c->slash[blocks] = c->slash[blocks + 1] = 0;
}

/* Makes the colons of times, MAC and IPv6 addresses parts of a value. */
void hx_join_colons(hx_tokenizer *t, uint32_t blocks);

/* Colons between bytes that a time or an address could have. */
HX_INLINE uint64_t hx_tight_colons(const hx_byte_classes *c, uint32_t i)
{
    return c->colon[i] & (hx_left_of(c->core, i) | hx_left_of(c->colon, i)) &
           (hx_right_of(c->core, i) | hx_right_of(c->colon, i));
}

/* Whether there are two of them or more. */
HX_INLINE bool hx_has_tight_colons(const hx_byte_classes *c, uint32_t blocks)
{
    uint64_t one = 0, two = 0;

    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t tight = hx_tight_colons(c, i);

        two |= (tight & (tight - 1)) | (one & (tight != 0));
        one |= tight != 0;
    }
    return two != 0;
}

/* The sum of two 64-bit blocks of longer numbers; *carry goes from block to block. */
HX_INLINE uint64_t hx_add_carry(uint64_t x, uint64_t y, uint64_t *carry)
{
    uint64_t sum, with;
    bool over = __builtin_add_overflow(x, y, &sum);

    over |= __builtin_add_overflow(sum, *carry, &with);
    *carry = over;
    return with;
}

/* Writes the places of the set bits, base added, to edges; up to seven places behind them may be
 * overwritten. Returns their number. */
typedef uint32_t hx_list_bits(const hx_tokenizer *t, uint64_t bits, uint32_t base, uint16_t *edges);

/* Fills edges, the places where a word starts and where it ends in turns, and value, the ends of
 * those that are values. Returns the number of words. */
HX_INLINE uint32_t hx_cut_words(hx_tokenizer *t, uint32_t blocks, hx_list_bits *list_bits)
{
    hx_byte_classes *c = &t->classes;
    uint64_t word_before = 0, digit_carry = 0, dot_carry = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t word =
            c->core[i] | (c->join[i] & hx_left_of(c->core, i) & hx_right_of(c->core, i));
        uint64_t edges = word ^ (word << 1 | word_before);
        uint64_t valued = c->digit[i] | (c->slash[i] & edges); /* a path begins with one */
        /* Adding a bit inside a run of ones carries to the first zero above it, the word's end. */
        uint64_t with_digit = hx_add_carry(word, valued, &digit_carry);
        uint64_t with_dot = hx_add_carry(word, c->dot[i] & word, &dot_carry);
        uint64_t host_port = c->colon[i] & hx_right_of(c->digit, i);

        word_before = word >> 63;
        c->value[i] = with_digit | (with_dot & host_port);
        n += list_bits(t, edges, i * 64, t->edges + n);
    }
    /* A word that fills the last block ends behind it. */
    c->value[blocks] = digit_carry;
    if (word_before)
        t->edges[n++] = (uint16_t)(blocks * 64);
    return n / 2;
}

/* By a word's first byte, which lengths an affix with it may have: bit n for length n; and bit 7
 * where it may be the name of a day or month. */
extern const uint8_t hx_affix_starts[256];

/* Words become tokens, and values with no word between them one token. Values take the affixes that
 * stand behind them with one blank between, and the names of days and months before them. */
void hx_make_tokens_affixed(hx_tokenizer *t, uint32_t words);

/* The same where there are no affixes; looks for them, too. */
HX_INLINE void hx_make_tokens(hx_tokenizer *t, uint32_t words)
{
    uint32_t count = 0, first = 0, end_before = 0;
    bool value_before = false, date_before = false;

    for (uint32_t i = 0; i < words; i++) {
        uint32_t start = t->edges[2 * i], end = t->edges[2 * i + 1], length = end - start;
        uint32_t starts = hx_affix_starts[(uint8_t)t->text[start]];
        bool is_value = t->classes.value[end >> 6] >> (end & 63) & 1;
        bool joins = value_before & is_value;

        if ((value_before & (length <= 4) & (starts >> (length & 7)) & (start - end_before == 1)) |
            (is_value & date_before)) {
            hx_make_tokens_affixed(t, words);
            return;
        }
        first = joins ? first : start;
        count -= joins;
        if (__builtin_expect(count == t->max_tokens, 0)) {
            t->cut = true;
            break;
        }
        t->tokens[count++] = (hx_token){(uint16_t)first, (uint16_t)(end - first), is_value};
        end_before = end;
        value_before = is_value;
        date_before = !is_value & (length == 3) & (starts >> 7);
    }
    t->count = count;
}

#endif
