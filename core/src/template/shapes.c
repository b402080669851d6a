#include "shapes.h"

#include <haechi/error.h>
#include <haechi/hash.h>

#include <stdlib.h>

void hx_shapes_init(hx_shapes *shapes, uint64_t max_bytes)
{
    *shapes = (hx_shapes){.max_bytes = max_bytes};
}

void hx_shapes_free(hx_shapes *shapes)
{
    free(shapes->items);
    free(shapes->symbols);
    free(shapes->examples);
    free(shapes->words);
    free(shapes->word_bytes);
    free(shapes->shape_table);
    free(shapes->word_table);
    hx_shapes_init(shapes, shapes->max_bytes);
}

/* Room for need items in the array at *array, of which *room are there. */
static int grow(hx_shapes *shapes, void **array, uint64_t *room, uint64_t need, size_t size)
{
    uint64_t more = *room + *room / 2 + 64;
    void *grown;

    if (need <= *room)
        return 0;
    if (more < need)
        more = need;
    if (shapes->bytes + (more - *room) * size > shapes->max_bytes)
        more = *room + (shapes->max_bytes - shapes->bytes) / size; /* what there is */
    if (more < need)
        return HX_ENOMEM;
    grown = realloc(*array, more * size);
    if (!grown)
        return HX_ENOMEM;
    *array = grown;
    shapes->bytes += (more - *room) * size;
    *room = more;
    return 0;
}

#define GROW(shapes, field, room, need)                                                            \
    grow(shapes, (void **)&(shapes)->field, &(shapes)->room, need, sizeof *(shapes)->field)

/* A table with slots for twice the count; hash_of gives the hash of item i. */
static int grow_table(hx_shapes *shapes, uint32_t **table, uint32_t *slots, uint32_t count,
                      uint64_t (*hash_of)(const hx_shapes *, uint32_t))
{
    uint32_t more = *slots ? *slots * 2 : 1024;
    uint32_t *grown;

    if ((uint64_t)count * 2 < *slots)
        return 0;
    if (shapes->bytes + (uint64_t)(more - *slots) * sizeof *grown > shapes->max_bytes)
        return HX_ENOMEM;
    grown = calloc(more, sizeof *grown);
    if (!grown)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = (uint32_t)hash_of(shapes, i) & (more - 1);

        while (grown[slot])
            slot = (slot + 1) & (more - 1);
        grown[slot] = i + 1;
    }
    free(*table);
    shapes->bytes += (uint64_t)(more - *slots) * sizeof *grown;
    *table = grown;
    *slots = more;
    return 0;
}

static uint64_t shape_hash_of(const hx_shapes *shapes, uint32_t i)
{
    return shapes->items[i].hash;
}

static uint64_t word_hash_of(const hx_shapes *shapes, uint32_t i)
{
    return shapes->words[i].hash;
}

uint32_t hx_shapes_word_symbol(hx_shapes *shapes, hx_slice word)
{
    uint64_t hash = hx_hash_bytes(word.ptr, word.len, HX_HASH_SEED);
    uint32_t slot;

    if (grow_table(shapes, &shapes->word_table, &shapes->word_slots, shapes->word_count,
                   word_hash_of))
        return 0;
    for (slot = (uint32_t)hash & (shapes->word_slots - 1); shapes->word_table[slot];
         slot = (slot + 1) & (shapes->word_slots - 1)) {
        const hx_vocabulary_word *known = &shapes->words[shapes->word_table[slot] - 1];

        if (known->hash == hash && known->length == word.len &&
            memcmp(shapes->word_bytes + known->bytes, word.ptr, word.len) == 0)
            return shapes->word_table[slot] - 1 + HX_SYMBOL_WORDS;
    }
    if (GROW(shapes, words, word_room, (uint64_t)shapes->word_count + 1) ||
        GROW(shapes, word_bytes, word_byte_room, shapes->word_byte_count + word.len))
        return 0;
    memcpy(shapes->word_bytes + shapes->word_byte_count, word.ptr, word.len);
    shapes->words[shapes->word_count++] =
        (hx_vocabulary_word){hash, shapes->word_byte_count, word.len};
    shapes->word_byte_count += word.len;
    shapes->word_table[slot] = shapes->word_count;
    return shapes->word_count - 1 + HX_SYMBOL_WORDS;
}

/* Behind a '=', maybe with a quotation mark between. */
static bool in_slot(const char *text, uint32_t start)
{
    if (start > 1 && (text[start - 1] == '"' || text[start - 1] == '\''))
        start--;
    return start && text[start - 1] == '=';
}

static bool is_key(const hx_tokenizer *message, const hx_token *token)
{
    uint32_t end = (uint32_t)token->start + token->length;

    return end < message->length && message->text[end] == '=';
}

int64_t hx_shapes_symbols(hx_shapes *shapes, const hx_tokenizer *message, uint32_t *symbols)
{
    uint32_t count = message->count;

    for (uint32_t i = 0; i < count; i++) {
        const hx_token *token = &message->tokens[i];

        symbols[i] = HX_SYMBOL_VALUE;
        if (token->is_value)
            continue;
        symbols[i] = hx_shapes_word_symbol(
            shapes, hx_slice_make(message->text + token->start, token->length));
        if (!symbols[i])
            return HX_ENOMEM;
        if (in_slot(message->text, token->start))
            symbols[i] |= HX_SYMBOL_SLOT;
        if (is_key(message, token))
            symbols[i] |= HX_SYMBOL_KEY;
    }
    if (message->cut)
        symbols[count++] = HX_SYMBOL_REST;
    return count;
}

int hx_shapes_add(hx_shapes *shapes, const uint32_t *symbols, uint32_t count, hx_slice message,
                  uint64_t weight)
{
    uint64_t hash = hx_hash_bytes(symbols, count * sizeof *symbols, HX_HASH_SEED);
    uint32_t slot;

    if (grow_table(shapes, &shapes->shape_table, &shapes->shape_slots, shapes->count,
                   shape_hash_of))
        return HX_ENOMEM;
    for (slot = (uint32_t)hash & (shapes->shape_slots - 1); shapes->shape_table[slot];
         slot = (slot + 1) & (shapes->shape_slots - 1)) {
        hx_shape *known = &shapes->items[shapes->shape_table[slot] - 1];

        if (known->hash == hash && known->count == count &&
            (count == 0 ||
             memcmp(shapes->symbols + known->symbols, symbols, count * sizeof *symbols) == 0)) {
            known->weight += weight;
            return 0;
        }
    }
    if (GROW(shapes, items, item_room, (uint64_t)shapes->count + 1) ||
        GROW(shapes, symbols, symbol_room, shapes->symbol_count + count) ||
        GROW(shapes, examples, example_room, shapes->example_bytes + message.len))
        return HX_ENOMEM;
    if (count)
        memcpy(shapes->symbols + shapes->symbol_count, symbols, count * sizeof *symbols);
    if (message.len)
        memcpy(shapes->examples + shapes->example_bytes, message.ptr, message.len);
    shapes->items[shapes->count++] =
        (hx_shape){hash, weight, shapes->example_bytes, shapes->symbol_count, count, message.len};
    shapes->symbol_count += count;
    shapes->example_bytes += message.len;
    shapes->shape_table[slot] = shapes->count;
    return 0;
}

hx_slice hx_shapes_word(const hx_shapes *shapes, uint32_t symbol)
{
    const hx_vocabulary_word *word = &shapes->words[hx_symbol_word(symbol)];

    return hx_slice_make(shapes->word_bytes + word->bytes, word->length);
}

hx_slice hx_shapes_example(const hx_shapes *shapes, const hx_shape *shape)
{
    if (!shape->example_len)
        return HX_SLICE_LIT("");
    return hx_slice_make(shapes->examples + shape->example, shape->example_len);
}
