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
    for (uint32_t i = blocks; i < blocks + 2; i++)
        c->core[i] = c->join[i] = c->digit[i] = c->colon[i] = c->dot[i] = 0;
}

/* Makes the colons of times, MAC and IPv6 addresses parts of a value. */
void hx_join_colons(hx_tokenizer *t, uint32_t length);

/* Whether two colons or more stand between bytes that a time or an address could have. */
HX_INLINE bool hx_has_tight_colons(const hx_byte_classes *c, uint32_t blocks)
{
    bool one = false;

    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t tight = c->colon[i] & (hx_left_of(c->core, i) | hx_left_of(c->colon, i)) &
                         (hx_right_of(c->core, i) | hx_right_of(c->colon, i));

        if (tight & (tight - 1) || (one && tight))
            return true;
        one |= tight != 0;
    }
    return false;
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

/* Writes the places of the set bits to edges; up to seven places behind them may be overwritten.
 * Eight at a time, because the number of eights is easier to predict than the number of bits. */
HX_INLINE uint32_t hx_list_bits(uint64_t bits, uint32_t base, uint16_t *edges)
{
    uint32_t count = (uint32_t)__builtin_popcountll(bits);

    for (uint32_t done = 0; done < count; done += 8)
        for (uint32_t k = 0; k < 8; k++) {
            edges[done + k] =
                (uint16_t)(base + (uint32_t)__builtin_ctzll(bits | UINT64_C(1) << 63));
            bits &= bits - 1;
        }
    return count;
}

/* Fills edges, the places where a word starts and where it ends in turns, and value, the ends of
 * those that are values. Returns the number of words. */
HX_INLINE uint32_t hx_cut_words(hx_tokenizer *t, uint32_t blocks)
{
    hx_byte_classes *c = &t->classes;
    uint64_t word_before = 0, digit_carry = 0, dot_carry = 0;
    uint32_t n = 0;

    /* The last round, on the zero block, ends a word that fills the block before it. */
    for (uint32_t i = 0; i <= blocks; i++) {
        uint64_t word =
            c->core[i] | (c->join[i] & hx_left_of(c->core, i) & hx_right_of(c->core, i));
        uint64_t edges = word ^ (word << 1 | word_before);
        /* Adding a bit inside a run of ones carries to the first zero above it, the word's end. */
        uint64_t with_digit = hx_add_carry(word, c->digit[i], &digit_carry);
        uint64_t with_dot = hx_add_carry(word, c->dot[i] & word, &dot_carry);
        uint64_t host_port = c->colon[i] & hx_right_of(c->digit, i);

        word_before = word >> 63;
        c->value[i] = with_digit | (with_dot & host_port);
        n += hx_list_bits(edges, i * 64, t->edges + n);
    }
    return n / 2;
}

/* Units, and what belongs to a date or a time: what a number takes with it. */
typedef struct hx_affix {
    uint32_t letters;
    uint32_t is_date; /* may stand before the number, too */
} hx_affix;

extern const hx_affix hx_affixes[256];

#define HX_AFFIX_SLOT(letters) ((uint32_t)((uint32_t)(letters) * UINT32_C(0xe1edcf3f)) >> 24)

HX_INLINE const hx_affix *hx_affix_of(const char *word, uint32_t length)
{
    static const uint32_t masks[6] = {0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0};
    const hx_affix *affix;
    uint32_t letters;

    memcpy(&letters, word, sizeof letters);
    letters &= masks[length < 5 ? length : 5];
    affix = &hx_affixes[HX_AFFIX_SLOT(letters)];
    return &hx_affixes[affix->letters == letters ? HX_AFFIX_SLOT(letters) : 0];
}

/* Takes back the names of days and months before a value that starts at start. Returns where the
 * value begins then. */
uint32_t hx_take_date_words(hx_tokenizer *t, uint32_t *count, uint32_t start);

HX_INLINE void hx_make_tokens(hx_tokenizer *t, uint32_t words)
{
    uint32_t count = 0, first = 0, end_before = 0;
    bool value_before = false, date_before = false;

    for (uint32_t i = 0; i < words; i++) {
        uint32_t start = t->edges[2 * i], end = t->edges[2 * i + 1];
        const hx_affix *affix = hx_affix_of(t->text + start, end - start);
        bool is_value = (t->classes.value[end >> 6] >> (end & 63) & 1) | (t->text[start] == '/') |
                        (t->text[start] == '\\');
        bool is_affix =
            (affix->letters != 0) & (start == end_before + 1) & (t->text[end_before] == ' ');
        bool joins = value_before & (is_value | is_affix);

        if (__builtin_expect(is_value & date_before, 0)) {
            start = hx_take_date_words(t, &count, start);
            joins = count && t->tokens[count - 1].is_value;
            first = joins ? t->tokens[count - 1].start : start;
        }
        first = joins ? first : start;
        count -= joins;
        if (__builtin_expect(count == t->max_tokens, 0)) {
            t->cut = true;
            break;
        }
        t->tokens[count++] = (hx_token){(uint16_t)first, (uint16_t)(end - first), is_value | joins};
        end_before = end;
        value_before = is_value | joins;
        date_before = affix->is_date & !joins;
    }
    t->count = count;
}

#endif
