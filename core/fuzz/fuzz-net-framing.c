/* A stream of bytes, read in one piece and in pieces that its own first bytes choose: the same
 * messages, each within the bytes that were there. */
#include "net/framing.h"

#include <haechi/hash.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES = 16 };

/* All that came out, as one number. */
static uint64_t read_pieces(hx_framing kind, const char *bytes, uint32_t len, const uint8_t *pieces,
                            uint32_t piece_count)
{
    framing f = {.kind = kind};
    uint64_t sum = HX_HASH_SEED;
    uint32_t from = 0, to = 0;

    for (uint32_t turn = 0;; turn++) {
        frame_result result;
        frame one;

        to = turn < piece_count && len - to > pieces[turn] ? to + pieces[turn] : len;
        do {
            /* A copy of its own, so that one byte too many is seen. */
            char *copy = malloc(to - from + 1);

            memcpy(copy, bytes + from, to - from);
            copy = realloc(copy, to - from ? to - from : 1);
            result = framing_next(&f, copy, to - from, to == len, &one);
            if (one.used > to - from ||
                (result == FRAME_MESSAGE && (one.used == 0 || one.message.ptr < copy ||
                                             one.message.ptr + one.message.len > copy + one.used)))
                abort();
            if (result == FRAME_MESSAGE) {
                sum = hx_hash_bytes(one.message.ptr, one.message.len, sum);
                sum = hx_hash_u64(sum, one.message.len * 2 + one.cut);
            }
            from += one.used;
            free(copy);
        } while (result == FRAME_MESSAGE);
        if (result == FRAME_BAD)
            return hx_hash_u64(sum, 1);
        if (to == len)
            return sum;
        if (to - from >= FRAMING_ROOM)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data + PIECES;

    if (size < PIECES)
        return 0;
    for (int kind = HX_FRAMING_AUTO; kind <= HX_FRAMING_NEWLINE; kind++) {
        uint32_t len = (uint32_t)size - PIECES;
        uint64_t whole = read_pieces((hx_framing)kind, bytes, len, NULL, 0);

        if (read_pieces((hx_framing)kind, bytes, len, data, PIECES) != whole)
            abort();
    }
    return 0;
}
