/* A message's outline: its tokens written one after the other, a word with a zero byte behind it, a
 * value as a zero byte alone. No word holds a zero byte, so an outline says which tokens a message
 * has, and messages with the same outline match the same template.
 *
 * Writing one takes a fraction of the time of cutting a message and walking a tree with its tokens:
 * it is done with bit arithmetic, 64 bytes of the message at a time, and never word by word. */
#ifndef HAECHI_TEMPLATE_OUTLINE_H
#define HAECHI_TEMPLATE_OUTLINE_H

#include "token.h"

#define HX_OUTLINE_BYTES   192 /* of the longest; a multiple of HX_OUTLINE_STEP */
#define HX_OUTLINE_MESSAGE 255 /* bytes of the longest message that gets one */
#define HX_OUTLINE_STEP    64
#define HX_OUTLINE_BLOCKS  4

typedef struct hx_outline {
    uint32_t length;
    uint64_t hash;                               /* never 0 */
    char bytes[HX_OUTLINE_MESSAGE + 1 + 2 * 64]; /* zero behind length up to a whole step */
    /* The message's tokens: a bit a byte where each starts and behind its end, a bit a token that
     * is a value. */
    uint64_t starts[HX_OUTLINE_BLOCKS + 1], ends[HX_OUTLINE_BLOCKS + 1];
    uint32_t before[HX_OUTLINE_BLOCKS]; /* starts in the blocks before; all, behind the last one */
    uint64_t values;
    uint32_t tokens;
} hx_outline;

/* False where the message is too long, or has too many words, for an outline. Uses the tokenizer's
 * classes and text as room; its tokens are left alone. Reads message and nothing around it. */
typedef bool (*hx_outline_write)(hx_tokenizer *tokenizer, hx_slice message, hx_outline *outline);

/* One token of the message that the outline was written of, below its count of them, as
 * hx_tokenizer_run finds it. */
hx_token hx_outline_token(const hx_outline *outline, uint32_t n);

/* The way that this machine has, or NULL: without one, outlines would cost more than they save. */
hx_outline_write hx_outline_best(void);

#endif
