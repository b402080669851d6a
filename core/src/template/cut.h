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

/* Units, and what belongs to a date or a time: what a number takes with it. */
typedef struct hx_affix {
    uint32_t letters;
    bool is_date; /* may stand before the number, too */
} hx_affix;

/* The affix that a word is, or NULL. */
const hx_affix *hx_find_affix(const hx_tokenizer *t, uint32_t start, uint32_t length);

/* By a word's first byte, which lengths an affix with it may have: bit n for length n; and bit 7
 * where it may be the name of a day or month. */
extern const uint8_t hx_affix_starts[256];

/* Values take the affixes that stand behind them with one blank between, and the names of days and
 * months before them. */
void hx_join_affixes(hx_tokenizer *t);

/* What goes from word to word. */
typedef struct hx_cutting {
    uint32_t count; /* tokens */
    uint32_t first; /* where the last token starts */
    uint32_t start; /* of the word that is not ended yet */
    uint32_t end_before;
    uint32_t affixes; /* not 0: there may be some */
    bool value_before, date_before;
} hx_cutting;

/* A word becomes a token, or part of the value before it. False when there are too many tokens. */
HX_INLINE bool hx_take_word(hx_tokenizer *t, hx_cutting *cut, uint32_t end, bool is_value)
{
    uint32_t start = cut->start, length = end - start;
    uint32_t starts = hx_affix_starts[(uint8_t)t->text[start]];
    bool joins;

    if (__builtin_expect(!is_value & (length >= HX_MIXED_BYTES), 0))
        is_value = hx_word_is_mixed(t->text + start, length);
    joins = cut->value_before & is_value;
    cut->affixes |= (cut->value_before & (length <= 4) & (starts >> (length & 7)) &
                     (start - cut->end_before == 1)) |
                    (is_value & cut->date_before);
    cut->first = joins ? cut->first : start;
    cut->count -= joins;
    if (__builtin_expect(cut->count == t->max_tokens, 0)) {
        t->cut = true;
        return false;
    }
    t->tokens[cut->count++] =
        (hx_token){(uint16_t)cut->first, (uint16_t)(end - cut->first), is_value};
    cut->end_before = end;
    cut->value_before = is_value;
    cut->date_before = !is_value & (length == 3) & (starts >> 7);
    return true;
}

/* Words become tokens, and values with no word between them one token. */
HX_INLINE void hx_cut(hx_tokenizer *t, uint32_t blocks)
{
    hx_byte_classes *c = &t->classes;
    uint64_t word_before = 0, digit_carry = 0, dot_carry = 0;
    hx_cutting cut = {0};

    /* The last round, on the zero block, ends a word that fills the block before it. */
    for (uint32_t i = 0; i <= blocks; i++) {
        uint64_t word =
            c->core[i] | (c->join[i] & hx_left_of(c->core, i) & hx_right_of(c->core, i));
        uint64_t before = word << 1 | word_before;
        uint64_t starts = word & ~before, ends = before & ~word;
        uint64_t valued = c->digit[i] | (c->slash[i] & starts); /* a path begins with one */
        /* Adding a bit inside a run of ones carries to the first zero above it, the word's end. */
        uint64_t with_digit = hx_add_carry(word, valued, &digit_carry);
        uint64_t with_dot = hx_add_carry(word, c->dot[i] & word, &dot_carry);
        uint64_t host_port = c->colon[i] & hx_right_of(c->digit, i);
        uint64_t value = with_digit | (with_dot & host_port);

        /* The word after the last one of the block before starts here. */
        if (!word_before) {
            cut.start = i * 64 + (uint32_t)__builtin_ctzll(starts | UINT64_C(1) << 63);
            starts &= starts - 1;
        }
        word_before = word >> 63;
        for (; ends; ends &= ends - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(ends);

            if (!hx_take_word(t, &cut, i * 64 + bit, value >> bit & 1))
                goto full;
            cut.start = i * 64 + (uint32_t)__builtin_ctzll(starts | UINT64_C(1) << 63);
            starts &= starts - 1;
        }
    }
full:
    t->count = cut.count;
    if (cut.affixes)
        hx_join_affixes(t);
}

#endif
