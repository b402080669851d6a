/* A worker's state as bytes: for a checkpoint, and back. */
#include "detect/judge.h"

#include <stdlib.h>

typedef struct state_head {
    uint64_t session_bytes; /* sizeof(hx_session): another build's is refused */
    int64_t watermark_us;
    uint64_t window;
    uint64_t sessions, novelties;
} state_head;

void hx_worker_save(const hx_worker *worker, hx_text *out)
{
    const hx_novelty *novelty = &worker->novelty;
    state_head head = {sizeof(hx_session), worker->watermark_us, worker->bundle->window,
                       worker->sessions.open, 0};

    for (uint32_t i = 0; i <= novelty->mask + 1; i++)
        head.novelties += novelty->entries[i].id != 0;
    hx_text_bytes(out, &head, sizeof head);
    for (uint32_t slot = 0; slot < worker->sessions.touched; slot++)
        if (worker->sessions.slots[slot].flags & HX_SESSION_OPEN)
            hx_text_bytes(out, &worker->sessions.slots[slot], sizeof(hx_session));
    for (uint32_t i = 0; i <= novelty->mask + 1; i++)
        if (novelty->entries[i].id)
            hx_text_bytes(out, &novelty->entries[i], sizeof novelty->entries[i]);
}

static void load_session(hx_worker *w, hx_session *s, const uint16_t *map, uint32_t old_window)
{
    char name[HX_SESSION_NAME_MAX];
    hx_slice whole = hx_session_name(s, name);
    uint64_t hash = hx_hash_bytes(whole.ptr, whole.len, HX_HASH_SEED);

    if (hx_batch_owner(hash, w->shared->workers) != w->index)
        return;
    if (w->sessions.open == w->sessions.max_open) {
        w->count[HX_STAT_SESSIONS_EVICTED]++;
        return;
    }
    s->hash = (uint32_t)hash;
    hx_worker_translate(s, map, old_window, w->bundle);
    hx_sessions_restore(&w->sessions, s);
}

static uint32_t input_now(const hx_saved_numbers *numbers, uint32_t input)
{
    return input < numbers->input_count ? numbers->input[input] : UINT32_MAX;
}

int hx_worker_load(hx_worker *worker, const char *bytes, size_t len,
                   const hx_saved_numbers *numbers, hx_error *err)
{
    const uint32_t key_count = numbers->key_count;
    state_head head;
    uint16_t *map;
    size_t at = sizeof head;

    if (len < sizeof head)
        return hx_error_set(err, HX_EMALFORMED, "checkpoint: a worker's state is cut short");
    memcpy(&head, bytes, sizeof head);
    if (head.session_bytes != sizeof(hx_session) || head.window < 1 ||
        head.window > HX_WINDOW_MAX || head.sessions > len / sizeof(hx_session) ||
        head.novelties > len / sizeof(hx_novelty_entry) ||
        len != sizeof head + head.sessions * sizeof(hx_session) +
                   head.novelties * sizeof(hx_novelty_entry))
        return hx_error_set(err, HX_EMALFORMED,
                            "checkpoint: a worker's state has another version's form");
    map = hx_worker_token_map(worker->bundle, numbers->key_hash, key_count);
    if (!map)
        return hx_error_set(err, HX_ENOMEM, "checkpoint: out of memory");
    if (head.watermark_us > worker->watermark_us)
        worker->watermark_us = head.watermark_us;
    if (head.watermark_us > atomic_load(worker->shared->latest_us))
        atomic_store(worker->shared->latest_us, head.watermark_us);
    for (uint64_t i = 0; i < head.sessions; i++, at += sizeof(hx_session)) {
        hx_session s;

        memcpy(&s, bytes + at, sizeof s);
        for (uint64_t k = 0; k < head.window; k++)
            if (s.window[k] >= key_count + 3u)
                s.window[k] = (uint16_t)(key_count + 2);
        if (s.worst_token >= key_count + 3u)
            s.worst_token = (uint16_t)(key_count + 2);
        s.flags = HX_SESSION_OPEN | (s.flags & HX_SESSION_ALERTED);
        if (s.name_len >= HX_SESSION_NAME_MAX)
            s.name_len = HX_SESSION_NAME_MAX - 1;
        s.last_input = input_now(numbers, s.last_input);
        s.worst_input = input_now(numbers, s.worst_input);
        load_session(worker, &s, map, (uint32_t)head.window);
    }
    free(map);
    for (uint64_t i = 0; i < head.novelties; i++, at += sizeof(hx_novelty_entry)) {
        hx_novelty_entry entry;

        memcpy(&entry, bytes + at, sizeof entry);
        if (hx_batch_owner(entry.id, worker->shared->workers) == worker->index)
            hx_novelty_restore(&worker->novelty, entry);
    }
    return 0;
}
