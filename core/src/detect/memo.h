/* The exact memo: a window and the event that followed it -> the model's answer.
 *
 * A sequence model's answer is a function of the last h log keys, so it is computed once for each
 * distinct (window, next) and remembered. The whole window is compared, not a hash alone. Bounded:
 * sets of four entries; a full set replaces them in turn. One thread's. */
#ifndef HAECHI_DETECT_MEMO_H
#define HAECHI_DETECT_MEMO_H

#include <haechi/hash.h>

#include <stdbool.h>
#include <stdint.h>

#define HX_WINDOW_MAX 31 /* so that window and next fit 64 bytes */
#define HX_MEMO_WAYS 4

/* What the model says of an event: its negative log-likelihood in 1/1024 nat, and its rank. */
typedef struct hx_surprise {
    uint32_t nll_q10;
    uint16_t rank;
} hx_surprise;

typedef struct hx_memo {
    unsigned char *entries; /* sets x ways x stride, each: u32 tag (0: empty), u32 nll, u16 rank,
                               u16 window[h], u16 next */
    uint32_t set_mask;
    uint32_t stride;
    uint32_t key_bytes; /* of window and next together */
    uint32_t turn;      /* which way of a full set goes next */
    uint64_t evictions;
} hx_memo;

#define HX_MEMO_KEY_AT 10 /* where window and next stand in an entry */

/* entry_count is rounded up to a power of two. 0 or HX_ENOMEM. */
int hx_memo_init(hx_memo *memo, uint32_t window, uint32_t entry_count);
void hx_memo_free(hx_memo *memo);
void hx_memo_clear(hx_memo *memo);

/* key: the window, oldest first, and the next token: key_bytes at key. */
static inline uint64_t hx_memo_hash(const hx_memo *memo, const uint16_t *key)
{
    return hx_hash_bytes(key, memo->key_bytes, HX_HASH_SEED);
}

static inline unsigned char *hx_memo_set(const hx_memo *memo, uint64_t hash)
{
    return memo->entries + (size_t)((uint32_t)hash & memo->set_mask) * HX_MEMO_WAYS * memo->stride;
}

static inline uint32_t hx_memo_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1;
}

static inline void hx_memo_prefetch(const hx_memo *memo, uint64_t hash)
{
    const unsigned char *set = hx_memo_set(memo, hash);

    for (uint32_t at = 0; at < HX_MEMO_WAYS * memo->stride; at += 64)
        __builtin_prefetch(set + at);
}

static inline bool hx_memo_get(const hx_memo *memo, uint64_t hash, const uint16_t *key,
                               hx_surprise *out)
{
    const unsigned char *entry = hx_memo_set(memo, hash);
    uint32_t tag = hx_memo_tag(hash), have;

    for (uint32_t way = 0; way < HX_MEMO_WAYS; way++, entry += memo->stride) {
        memcpy(&have, entry, sizeof have);
        if (have == tag && memcmp(entry + HX_MEMO_KEY_AT, key, memo->key_bytes) == 0) {
            memcpy(&out->nll_q10, entry + 4, sizeof out->nll_q10);
            memcpy(&out->rank, entry + 8, sizeof out->rank);
            return true;
        }
    }
    return false;
}

void hx_memo_put(hx_memo *memo, uint64_t hash, const uint16_t *key, hx_surprise surprise);

#endif
