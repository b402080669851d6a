/* What the miner keeps of the messages it saw: every distinct shape once, with its count and the
 * first message that had it. A shape is the message's tokens with values masked. */
#ifndef HAECHI_TEMPLATE_SHAPES_H
#define HAECHI_TEMPLATE_SHAPES_H

#include "token.h"

/* A symbol is a token of a shape or of a template: one of these, or a word's number. */
enum {
    HX_SYMBOL_VALUE = 1, /* one value */
    HX_SYMBOL_ANY = 2,   /* one word or value */
    HX_SYMBOL_SPAN = 3,  /* one or more words or values */
    HX_SYMBOL_REST = 4,  /* whatever is left; last of its template */
    HX_SYMBOL_WORDS = 5, /* the first word */
};

/* Set in a word's symbol that stands behind a '=', and before one: in what looks like key=value.
 * The same word elsewhere is another symbol, but the same token of a template. */
#define HX_SYMBOL_SLOT  UINT32_C(0x80000000)
#define HX_SYMBOL_KEY   UINT32_C(0x40000000)
#define HX_SYMBOL_MARKS (HX_SYMBOL_SLOT | HX_SYMBOL_KEY)

static inline bool hx_symbol_is_word(uint32_t symbol)
{
    return symbol >= HX_SYMBOL_WORDS;
}

/* A word's number. */
static inline uint32_t hx_symbol_word(uint32_t symbol)
{
    return (symbol & ~HX_SYMBOL_MARKS) - HX_SYMBOL_WORDS;
}

typedef struct hx_shape {
    uint64_t hash;
    uint64_t weight;  /* messages that had it */
    uint64_t example; /* offset of the first one's bytes */
    uint64_t symbols; /* offset of its symbols */
    uint32_t count;   /* of symbols */
    uint32_t example_len;
} hx_shape;

typedef struct hx_vocabulary_word {
    uint64_t hash;
    uint64_t bytes; /* offset */
    uint32_t length;
} hx_vocabulary_word;

typedef struct hx_shapes {
    hx_shape *items;
    uint32_t *symbols;
    char *examples;
    hx_vocabulary_word *words; /* word n is symbol HX_SYMBOL_WORDS + n */
    char *word_bytes;
    uint32_t *shape_table, *word_table; /* index + 1, 0: free */
    uint64_t item_room, symbol_room, example_room, word_room, word_byte_room;
    uint64_t symbol_count, example_bytes, word_byte_count;
    uint32_t count, word_count;
    uint32_t shape_slots, word_slots;
    uint64_t bytes; /* of memory held */
    uint64_t max_bytes;
} hx_shapes;

void hx_shapes_init(hx_shapes *shapes, uint64_t max_bytes);
void hx_shapes_free(hx_shapes *shapes);

/* The symbols of the tokenizer's message into symbols (room for max_tokens + 1). New words are
 * remembered. The count, or HX_ENOMEM when max_bytes would be passed. */
int64_t hx_shapes_symbols(hx_shapes *shapes, const hx_tokenizer *message, uint32_t *symbols);

/* A word's symbol; it is remembered when it is new. 0 when max_bytes would be passed. */
uint32_t hx_shapes_word_symbol(hx_shapes *shapes, hx_slice word);

/* Counts a message; its bytes are kept where the shape is new. 0 or HX_ENOMEM. */
int hx_shapes_add(hx_shapes *shapes, const uint32_t *symbols, uint32_t count, hx_slice message,
                  uint64_t weight);

/* The first message of a shape; its ptr is never NULL. */
hx_slice hx_shapes_example(const hx_shapes *shapes, const hx_shape *shape);

hx_slice hx_shapes_word(const hx_shapes *shapes, uint32_t symbol);

#endif
