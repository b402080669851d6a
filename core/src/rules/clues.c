#include "rules/clues.h"

#include <haechi/error.h>

#include <stdlib.h>
#include <string.h>

/* Both cases of a letter are the same, and so are some other pairs of bytes: a clue too many is
 * found now and then. */
#define FOLD UINT64_C(0x2020202020202020)

static uint64_t mask_of(uint32_t bytes)
{
    return bytes < 8 ? (UINT64_C(1) << 8 * bytes) - 1 : UINT64_MAX;
}

/* --- making ------------------------------------------------------------------------------------
 */

static uint32_t first_digit(const char *text, uint32_t length)
{
    uint32_t at = 0;

    while (at < length && (text[at] < '0' || text[at] > '9'))
        at++;
    return at;
}

static bool set_has_clues(const hx_needs *needs, const hx_need_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const uint32_t length = set->any[i].length;

        if (length - first_digit(needs->bytes + set->any[i].at, length) < HX_CLUE_LEAST)
            return false;
    }
    return set->count > 0;
}

static void add_one(hx_clues *c, const char *text, uint32_t length)
{
    const uint32_t bytes = length < HX_CLUE_BYTES ? length : HX_CLUE_BYTES;
    hx_clue clue = {0, mask_of(bytes)};

    if (c->count == c->room) {
        const uint32_t room = c->room ? 2 * c->room : 64;
        hx_clue *grown = realloc(c->list, room * sizeof *grown);

        if (!grown) {
            c->failed = true;
            return;
        }
        c->list = grown;
        c->room = room;
    }
    for (uint32_t i = 0; i < bytes; i++)
        clue.bytes |= (uint64_t)(unsigned char)text[i] << 8 * i;
    clue.bytes = (clue.bytes | FOLD) & clue.mask;
    c->short_ones |= bytes == HX_CLUE_LEAST;
    c->list[c->count++] = clue;
}

void hx_clues_add(hx_clues *c, const hx_needs *needs)
{
    const hx_need_set *set = hx_needs_of(needs, HX_NEED_TEXT);

    if (!set_has_clues(needs, set))
        set = hx_needs_of(needs, HX_NEED_NUMBER);
    if (!set_has_clues(needs, set)) {
        c->open = true;
        return;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        const char *text = needs->bytes + set->any[i].at;
        const uint32_t begin = first_digit(text, set->any[i].length);

        add_one(c, text + begin, set->any[i].length - begin);
    }
}

/* Of the first bytes: four, or three where a clue has no more. */
static inline uint32_t hash_of(uint64_t bytes, uint64_t mask)
{
    return (uint32_t)((bytes & mask & UINT32_MAX) * UINT64_C(0x9e3779b1));
}

static void place(hx_clues *c, hx_clue clue)
{
    const uint32_t hash = hash_of(clue.bytes, clue.mask), bit = hash >> c->shift;
    uint32_t at = bit & c->place_mask;

    c->map[bit >> 6] |= UINT64_C(1) << (bit & 63);
    for (; c->places[at].mask; at = (at + 1) & c->place_mask)
        if (c->places[at].bytes == clue.bytes && c->places[at].mask == clue.mask)
            return;
    c->places[at] = clue;
}

/* Bits for each clue: few texts have one by chance, and the map stays near. */
#define BITS_EACH 64
#define BITS_MOST 20

int hx_clues_make(hx_clues *c)
{
    uint32_t bits = 10;

    if (c->failed)
        return HX_ENOMEM;
    if (c->open || !c->count)
        return 0;
    while (bits < BITS_MOST && (UINT32_C(1) << bits) / BITS_EACH < c->count)
        bits++;
    c->shift = 32 - bits;
    c->place_mask = 1;
    while (c->place_mask < 2 * c->count)
        c->place_mask = 2 * c->place_mask + 1;
    c->map = calloc((UINT32_C(1) << bits) / 64, sizeof *c->map);
    c->places = calloc((size_t)c->place_mask + 1, sizeof *c->places);
    if (!c->map || !c->places)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < c->count; i++)
        place(c, c->list[i]);
    return 0;
}

void hx_clues_free(hx_clues *c)
{
    free(c->list);
    free(c->map);
    free(c->places);
    memset(c, 0, sizeof *c);
}

/* --- looking -----------------------------------------------------------------------------------
 */

static bool is_at(const hx_clues *c, uint64_t bytes, uint32_t hash)
{
    const uint32_t bit = hash >> c->shift;

    if (__builtin_expect(!(c->map[bit >> 6] >> (bit & 63) & 1), 1))
        return false;
    for (uint32_t at = bit & c->place_mask; c->places[at].mask; at = (at + 1) & c->place_mask)
        if ((bytes & c->places[at].mask) == c->places[at].bytes)
            return true;
    return false;
}

/* Of eight bytes those that are digits: their highest bits. */
static inline uint64_t digits_of(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    const uint64_t low = bytes & ~high; /* so that nothing goes from byte to byte */
    const uint64_t from_zero = low + ones * (0x80 - '0'), past_nine = low + ones * (0x80 - '9' - 1);

    return from_zero & ~past_nine & ~bytes & high;
}

/* Zeros behind the text's end: no clue has any. */
static inline uint64_t load(hx_slice text, uint32_t at)
{
    uint64_t eight = 0;

    if (__builtin_expect(text.len - at >= 8, 1))
        memcpy(&eight, text.ptr + at, 8);
    else
        memcpy(&eight, text.ptr + at, text.len - at);
    return eight;
}

bool hx_clues_are_in(const hx_clues *c, hx_slice text)
{
    if (c->open)
        return true;
    if (!c->count)
        return false;
    for (uint32_t begin = 0; begin < text.len; begin += 8)
        for (uint64_t digits = digits_of(load(text, begin)); digits; digits &= digits - 1) {
            const uint32_t at = begin + (uint32_t)__builtin_ctzll(digits) / 8;
            const uint64_t bytes = load(text, at) | FOLD;

            if (is_at(c, bytes, hash_of(bytes, UINT32_MAX)) ||
                (c->short_ones && is_at(c, bytes, hash_of(bytes, mask_of(HX_CLUE_LEAST)))))
                return true;
        }
    return false;
}
