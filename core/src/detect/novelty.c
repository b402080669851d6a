#include "detect/novelty.h"

#include <stdlib.h>

int hx_novelty_init(hx_novelty *novelty, uint32_t max)
{
    uint32_t places = 16;

    while (places < 2 * max && places < (1u << 24))
        places *= 2;
    novelty->entries = calloc((size_t)places + 1, sizeof *novelty->entries);
    novelty->mask = places - 1;
    novelty->max = max;
    novelty->count = 0;
    return novelty->entries ? 0 : HX_ENOMEM;
}

void hx_novelty_free(hx_novelty *novelty)
{
    free(novelty->entries);
    novelty->entries = NULL;
}

static hx_novelty_entry *find(const hx_novelty *novelty, uint64_t id)
{
    uint32_t at = (uint32_t)id & novelty->mask;

    while (novelty->entries[at].id && novelty->entries[at].id != id)
        at = (at + 1) & novelty->mask;
    if (!novelty->entries[at].id && novelty->count >= novelty->max)
        return &novelty->entries[novelty->mask + 1];
    return &novelty->entries[at];
}

static bool is_due(const hx_novelty_entry *entry, int64_t now_us, int64_t repeat_us)
{
    return now_us != INT64_MIN && entry->reported_us != INT64_MIN &&
           now_us - entry->reported_us >= repeat_us;
}

bool hx_novelty_due(const hx_novelty *novelty, uint64_t id, int64_t now_us, int64_t repeat_us)
{
    const hx_novelty_entry *entry = find(novelty, id | (id == 0));

    return !entry->id || is_due(entry, now_us, repeat_us);
}

bool hx_novelty_note(hx_novelty *novelty, uint64_t id, int64_t now_us, int64_t repeat_us,
                     uint64_t *since)
{
    hx_novelty_entry *entry;

    id |= id == 0;
    entry = find(novelty, id);
    if (entry->id) {
        bool due = is_due(entry, now_us, repeat_us);

        if (!due && entry->reported_us == INT64_MIN)
            entry->reported_us = now_us;
        if (!due) {
            entry->since++;
            return false;
        }
    } else {
        entry->id = id;
        novelty->count++;
    }
    *since = entry->since;
    entry->since = 0;
    entry->reported_us = now_us;
    return true;
}

void hx_novelty_restore(hx_novelty *novelty, hx_novelty_entry entry)
{
    hx_novelty_entry *place = find(novelty, entry.id);

    novelty->count += place->id == 0;
    *place = entry;
}
