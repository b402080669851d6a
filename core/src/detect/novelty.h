/* New-event detection's memory: what was reported, when, and how often it has come since. One
 * thread's; the thread is decided by the novelty's id, so each id has one memory. */
#ifndef HAECHI_DETECT_NOVELTY_H
#define HAECHI_DETECT_NOVELTY_H

#include <haechi/error.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct hx_novelty_entry {
    uint64_t id; /* a template's hash, or a shape's; 0: empty */
    int64_t reported_us;
    uint64_t since; /* occurrences since it was reported */
} hx_novelty_entry;

typedef struct hx_novelty {
    hx_novelty_entry *entries; /* mask + 1 places, then one for all that no longer fit */
    uint32_t mask, count, max;
} hx_novelty;

/* At most max ids are told apart; all beyond share one memory, and so are still reported. */
int hx_novelty_init(hx_novelty *novelty, uint32_t max);
void hx_novelty_free(hx_novelty *novelty);

/* One occurrence of id at event time now_us. True when it is to be reported: the first time, and
 * again once repeat_us have passed since the last report; *since is then how often it came between.
 */
bool hx_novelty_note(hx_novelty *novelty, uint64_t id, int64_t now_us, int64_t repeat_us,
                     uint64_t *since);

/* Whether the next occurrence of id would be reported; nothing is noted. */
bool hx_novelty_due(const hx_novelty *novelty, uint64_t id, int64_t now_us, int64_t repeat_us);

/* For a checkpoint: puts an entry back as it was. */
void hx_novelty_restore(hx_novelty *novelty, hx_novelty_entry entry);

#endif
