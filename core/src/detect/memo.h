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
#define HX_MEMO_WAYS  4

/* What the model says of an event: its negative log-likelihood in 1/1024 nat, and its rank. */
typedef struct hx_surprise {
    int32_t q10;
    uint16_t rank;
} hx_surprise;

typedef struct hx_memo {
    unsigned char *entries; /* sets x ways x stride, each: u32 tag (0: empty), i32 surprise, u16
                               rank, u16 next, u16 window[h] */
    uint32_t set_mask;
    uint32_t max_sets;
    uint32_t stride;
    uint32_t window_bytes;
    uint32_t turn; /* which way of a full set goes next */
    uint64_t evictions;
    bool crowded; /* something was replaced since the last hx_memo_grow */
} hx_memo;

#define HX_MEMO_NEXT_AT   10
#define HX_MEMO_WINDOW_AT 12

/* At most entry_count entries, rounded up to a power of two; it begins smaller, so that a few
 * thousand windows stay in the nearest cache. 0 or HX_ENOMEM. */
int hx_memo_init(hx_memo *memo, uint32_t window, uint32_t entry_count);
void hx_memo_free(hx_memo *memo);

/* Between two batches: makes it four times as large, where it has been too small and may be larger.
 */
void hx_memo_grow(hx_memo *memo);

static inline uint64_t hx_memo_hash(const hx_memo *memo, const uint16_t *window, uint16_t next)
{
    return hx_hash_u64(hx_hash_bytes(window, memo->window_bytes, HX_HASH_SEED), next);
}

static inline unsigned char *hx_memo_set(const hx_memo *memo, uint64_t hash)
{
    return memo->entries + (size_t)((uint32_t)hash & memo->set_mask) * HX_MEMO_WAYS * memo->stride;
}

static inline uint32_t hx_memo_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1;
}

/* Whether an entry is about this window and next; short enough that a call of memcmp would cost
 * more than it does. */
static inline bool hx_memo_is(const hx_memo *memo, const unsigned char *entry,
                              const uint16_t *window, uint16_t next)
{
    const unsigned char *a = entry + HX_MEMO_WINDOW_AT, *b = (const unsigned char *)window;
    uint32_t len = memo->window_bytes;
    uint16_t have;

    memcpy(&have, entry + HX_MEMO_NEXT_AT, sizeof have);
    if (have != next)
        return false;
    if (len < 8)
        return memcmp(a, b, len) == 0;
    for (uint32_t i = 0; i + 8 <= len; i += 8)
        if (hx_hash_load64(a + i) != hx_hash_load64(b + i))
            return false;
    return hx_hash_load64(a + len - 8) == hx_hash_load64(b + len - 8);
}

static inline bool hx_memo_get(const hx_memo *memo, uint64_t hash, const uint16_t *window,
                               uint16_t next, hx_surprise *out)
{
    const unsigned char *entry = hx_memo_set(memo, hash);
    uint32_t tag = hx_memo_tag(hash), have;

    for (uint32_t way = 0; way < HX_MEMO_WAYS; way++, entry += memo->stride) {
        memcpy(&have, entry, sizeof have);
        if (have == tag && hx_memo_is(memo, entry, window, next)) {
            memcpy(&out->q10, entry + 4, sizeof out->q10);
            memcpy(&out->rank, entry + 8, sizeof out->rank);
            return true;
        }
    }
    return false;
}

void hx_memo_put(hx_memo *memo, uint64_t hash, const uint16_t *window, uint16_t next,
                 hx_surprise surprise);

#endif
