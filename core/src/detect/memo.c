#include "detect/memo.h"

#include <haechi/error.h>

#include <stdlib.h>

#define SETS_AT_FIRST 1024
#define GROWTH        4

static size_t bytes_of(const hx_memo *memo, uint32_t sets)
{
    return (size_t)sets * HX_MEMO_WAYS * memo->stride;
}

/* On cache lines of its own: a set of four entries of 32 bytes is two lines, not three. */
static unsigned char *make_entries(const hx_memo *memo, uint32_t sets)
{
    size_t bytes = (bytes_of(memo, sets) + 63) / 64 * 64;
    unsigned char *entries = aligned_alloc(64, bytes);

    if (entries)
        memset(entries, 0, bytes);
    return entries;
}

int hx_memo_init(hx_memo *memo, uint32_t window, uint32_t entry_count)
{
    uint32_t sets = 1;

    while (sets < (1u << 26) && sets * HX_MEMO_WAYS < entry_count)
        sets *= 2;
    memset(memo, 0, sizeof *memo);
    memo->max_sets = sets;
    memo->window_bytes = window * (uint32_t)sizeof(uint16_t);
    memo->stride = (HX_MEMO_WINDOW_AT + memo->window_bytes + 7) / 8 * 8;
    if (sets > SETS_AT_FIRST)
        sets = SETS_AT_FIRST;
    memo->set_mask = sets - 1;
    memo->entries = make_entries(memo, sets);
    return memo->entries ? 0 : HX_ENOMEM;
}

void hx_memo_free(hx_memo *memo)
{
    free(memo->entries);
    memo->entries = NULL;
}

static void put_again(hx_memo *memo, const unsigned char *entry)
{
    uint16_t window[HX_WINDOW_MAX], next;
    hx_surprise surprise;

    memcpy(window, entry + HX_MEMO_WINDOW_AT, memo->window_bytes);
    memcpy(&next, entry + HX_MEMO_NEXT_AT, sizeof next);
    memcpy(&surprise.q10, entry + 4, sizeof surprise.q10);
    memcpy(&surprise.rank, entry + 8, sizeof surprise.rank);
    hx_memo_put(memo, hx_memo_hash(memo, window, next), window, next, surprise);
}

void hx_memo_grow(hx_memo *memo)
{
    uint32_t sets = (memo->set_mask + 1) * GROWTH, tag;
    hx_memo grown = *memo;

    if (!memo->crowded || memo->set_mask + 1 >= memo->max_sets)
        return;
    grown.set_mask = (sets < memo->max_sets ? sets : memo->max_sets) - 1;
    grown.entries = make_entries(memo, grown.set_mask + 1);
    grown.crowded = false;
    if (!grown.entries)
        return;
    for (size_t at = 0; at < bytes_of(memo, memo->set_mask + 1); at += memo->stride) {
        memcpy(&tag, memo->entries + at, sizeof tag);
        if (tag)
            put_again(&grown, memo->entries + at);
    }
    free(memo->entries);
    *memo = grown;
}

void hx_memo_put(hx_memo *memo, uint64_t hash, const uint16_t *window, uint16_t next,
                 hx_surprise surprise)
{
    unsigned char *set = hx_memo_set(memo, hash), *entry = NULL;
    uint32_t tag = hx_memo_tag(hash), have;

    for (uint32_t way = 0; way < HX_MEMO_WAYS && !entry; way++) {
        unsigned char *e = set + (size_t)way * memo->stride;

        memcpy(&have, e, sizeof have);
        if (have == 0 || (have == tag && hx_memo_is(memo, e, window, next)))
            entry = e;
    }
    if (!entry) {
        entry = set + (size_t)(memo->turn++ % HX_MEMO_WAYS) * memo->stride;
        memo->evictions++;
        memo->crowded = true;
    }
    memcpy(entry, &tag, sizeof tag);
    memcpy(entry + 4, &surprise.q10, sizeof surprise.q10);
    memcpy(entry + 8, &surprise.rank, sizeof surprise.rank);
    memcpy(entry + HX_MEMO_NEXT_AT, &next, sizeof next);
    memcpy(entry + HX_MEMO_WINDOW_AT, window, memo->window_bytes);
}
