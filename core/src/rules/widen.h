/* A regular expression made blind to which byte of a set stands somewhere: every class in it that
 * holds some of the set's bytes and not others is made to hold all of them. What the expression
 * finds, the widened one finds too (nothing in Hyperscan's syntax is true because something else is
 * not); and it says the same of any two texts that differ only in bytes of the set. */
#ifndef HAECHI_RULES_WIDEN_H
#define HAECHI_RULES_WIDEN_H

#include "rules/needs.h"
#include "rules/syntax.h"

#include <haechi/slice.h>
#include <haechi/text.h>

typedef enum hx_widened {
    HX_WIDEN_SAME,   /* it was blind to the set already: the text is the pattern */
    HX_WIDEN_WIDER,  /* the text finds more than the pattern */
    HX_WIDEN_UNKNOWN /* something in it is not understood; the text is of no use */
} hx_widened;

typedef struct hx_widening {
    hx_text text;
    hx_widened kind;
    hx_byte_set uses; /* every byte that what it finds may hold, in one of its cases */
    bool has_word; /* whatever it finds holds one of its words, of at least HX_WIDEN_WORD bytes */
} hx_widening;

#define HX_WIDEN_WORD 2
/* The same of blanked ones, where digits that may be any are in them as well. */
#define HX_WIDEN_BLANK_WORD 4

/* set: of bytes that words are made of, so that \b says the same of any of them. The widening's
 * text is to be freed. needs: filled with what the pattern cannot find without, of use where it is
 * not UNKNOWN; or NULL. */
void hx_widen(hx_slice pattern, const hx_byte_set *set, hx_widening *out, hx_needs *needs);

/* The pattern widened by digits, for texts in which every digit is a zero: a digit that may be any
 * is a literal there, and a search begins with literals. */
void hx_widen_blank(hx_slice pattern, hx_widening *out);

#endif
