#include "detect/memo.h"

#include <haechi/error.h>

#include <stdlib.h>

int hx_memo_init(hx_memo *memo, uint32_t window, uint32_t entry_count)
{
    uint32_t sets = 1;

    while (sets < (1u << 26) && sets * HX_MEMO_WAYS < entry_count)
        sets *= 2;
    memo->key_bytes = (window + 1) * (uint32_t)sizeof(uint16_t);
    memo->stride = (HX_MEMO_KEY_AT + memo->key_bytes + 7) / 8 * 8;
    memo->set_mask = sets - 1;
    memo->turn = 0;
    memo->evictions = 0;
    /* calloc of this size maps zero pages: an entry costs memory when it is first used. */
    memo->entries = calloc((size_t)sets * HX_MEMO_WAYS, memo->stride);
    return memo->entries ? 0 : HX_ENOMEM;
}

void hx_memo_free(hx_memo *memo)
{
    free(memo->entries);
    memo->entries = NULL;
}

void hx_memo_clear(hx_memo *memo)
{
    memset(memo->entries, 0, ((size_t)memo->set_mask + 1) * HX_MEMO_WAYS * memo->stride);
}

void hx_memo_put(hx_memo *memo, uint64_t hash, const uint16_t *key, hx_surprise surprise)
{
    unsigned char *set = hx_memo_set(memo, hash), *entry = NULL;
    uint32_t tag = hx_memo_tag(hash), have;

    for (uint32_t way = 0; way < HX_MEMO_WAYS && !entry; way++) {
        unsigned char *e = set + (size_t)way * memo->stride;

        memcpy(&have, e, sizeof have);
        if (have == 0 || (have == tag && memcmp(e + HX_MEMO_KEY_AT, key, memo->key_bytes) == 0))
            entry = e;
    }
    if (!entry) {
        entry = set + (size_t)(memo->turn++ % HX_MEMO_WAYS) * memo->stride;
        memo->evictions++;
    }
    memcpy(entry, &tag, sizeof tag);
    memcpy(entry + 4, &surprise.nll_q10, sizeof surprise.nll_q10);
    memcpy(entry + 8, &surprise.rank, sizeof surprise.rank);
    memcpy(entry + HX_MEMO_KEY_AT, key, memo->key_bytes);
}
