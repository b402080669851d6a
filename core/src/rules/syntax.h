/* Reading regular expressions, as far as Hyperscan's syntax goes and engines agree on it: bytes,
 * escapes, classes, quantifiers. Nothing here decides anything; what is not understood is said. */
#ifndef HAECHI_RULES_SYNTAX_H
#define HAECHI_RULES_SYNTAX_H

#include <haechi/slice.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct hx_byte_set {
    uint64_t bits[4];
} hx_byte_set;

static inline bool hx_byte_set_has(const hx_byte_set *set, unsigned char byte)
{
    return set->bits[byte >> 6] >> (byte & 63) & 1;
}

static inline void hx_byte_set_add(hx_byte_set *set, unsigned first, unsigned last)
{
    for (unsigned b = first; b <= last && b < 256; b++)
        set->bits[b >> 6] |= UINT64_C(1) << (b & 63);
}

static inline void hx_byte_set_unite(hx_byte_set *set, const hx_byte_set *other)
{
    for (int i = 0; i < 4; i++)
        set->bits[i] |= other->bits[i];
}

static inline void hx_byte_set_invert(hx_byte_set *set)
{
    for (int i = 0; i < 4; i++)
        set->bits[i] = ~set->bits[i];
}

/* A place in an expression. */
typedef struct hx_syntax {
    hx_slice in;
    uint32_t at;
} hx_syntax;

static inline bool hx_syntax_more(const hx_syntax *s)
{
    return s->at < s->in.len;
}

/* The byte so many ahead; 0 past the end. */
static inline unsigned char hx_syntax_peek(const hx_syntax *s, uint32_t ahead)
{
    return s->at + ahead < s->in.len ? (unsigned char)s->in.ptr[s->at + ahead] : 0;
}

/* \d \w \s \h \v and their opposites, by their letter. False where it is none of them. */
bool hx_syntax_named_class(unsigned char letter, hx_byte_set *set);
/* Whether engines differ in what the class of that letter has. */
bool hx_syntax_is_vague(unsigned char letter);
/* The length of an escape at this place that stands for one byte; 0: it is none. */
uint32_t hx_syntax_byte_escape(const hx_syntax *s, unsigned char *byte);

/* The length of the class at this place, from "[" to "]"; 0 where it is not understood. listed:
 * what it lists, negated or not. *vague: engines differ in what that is. */
uint32_t hx_syntax_class(const hx_syntax *s, hx_byte_set *listed, bool *vague);

/* The length of a quantifier at this place, or 0. *none: it allows none at all. */
uint32_t hx_syntax_quantifier(const hx_syntax *s, bool *none);
/* The length of "(" and what belongs to it at this place: "(?:", "(?i:", "(?<name>", "(?P<name>",
 * "(?'name'"; 0 where it is not understood. *flags: it is "(?i)", which opens nothing. */
uint32_t hx_syntax_group(const hx_syntax *s, bool *flags);

#endif
