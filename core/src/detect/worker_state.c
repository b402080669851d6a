/* A worker's state as bytes: for a checkpoint, and back.
 *
 * A head; for each detector beside deeplog its name and sizes; the sessions, each with what those
 * detectors keep of it behind it; the novelties; the detectors' own states, padded to 8 bytes. */
#include "detect/holes.h"

#include <stdio.h>
#include <stdlib.h>

#define BESIDE_MAX 4096

typedef struct state_head {
    uint64_t session_bytes; /* sizeof(hx_session): another build's is refused */
    int64_t watermark_us;
    uint64_t window;
    uint64_t sessions, novelties;
    uint64_t detectors, beside_bytes; /* of one session */
} state_head;

typedef struct state_detector {
    char name[24];
    uint64_t session_bytes, session_at, state_bytes;
} state_detector;

static size_t padded(size_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

static void save_detectors(const hx_worker *w, hx_text *states, hx_text *out)
{
    const hx_detector_set *set = w->room.set;

    for (uint32_t i = 0; i < set->count; i++) {
        const hx_detector *d = set->detector[i];
        size_t before = states->len;
        state_detector about = {{0}, d->session_bytes, set->session_at[i], 0};

        snprintf(about.name, sizeof about.name, "%s", d->name);
        if (d->save)
            d->save(w->room.state[i], states);
        about.state_bytes = states->len - before;
        hx_text_bytes(states, "\0\0\0\0\0\0\0", padded(about.state_bytes) - about.state_bytes);
        hx_text_bytes(out, &about, sizeof about);
    }
}

/* As if it had grown: who reads it may have another window. */
static void save_beside(const hx_worker *w, uint32_t slot, hx_text *out)
{
    const uint32_t bytes = w->room.set->session_bytes;
    char kept[BESIDE_MAX];
    uint32_t count;
    const uint16_t *tokens = hx_judge_tokens(w, &w->sessions.slots[slot], &count);

    if (!hx_detector_grown(&w->room, slot)) {
        hx_detector_keep(&w->room, tokens, count, kept);
        hx_text_bytes(out, kept, bytes);
    } else {
        hx_text_bytes(out, w->room.sessions + (size_t)slot * bytes, bytes);
    }
}

void hx_worker_save(const hx_worker *worker, hx_text *out)
{
    const hx_novelty *novelty = &worker->novelty;
    state_head head = {sizeof(hx_session),
                       worker->watermark_us,
                       worker->bundle->window,
                       worker->sessions.open,
                       0,
                       worker->room.set->count,
                       worker->room.set->session_bytes};
    hx_text states = {0};

    for (uint32_t i = 0; i <= novelty->mask + 1; i++)
        head.novelties += novelty->entries[i].id != 0;
    hx_text_bytes(out, &head, sizeof head);
    save_detectors(worker, &states, out);
    for (uint32_t slot = 0; slot < worker->sessions.touched; slot++) {
        if (!(worker->sessions.slots[slot].flags & HX_SESSION_OPEN))
            continue;
        hx_text_bytes(out, &worker->sessions.slots[slot], sizeof(hx_session));
        if (head.beside_bytes)
            save_beside(worker, slot, out);
    }
    for (uint32_t i = 0; i <= novelty->mask + 1; i++)
        if (novelty->entries[i].id)
            hx_text_bytes(out, &novelty->entries[i], sizeof novelty->entries[i]);
    hx_text_bytes(out, states.ptr, states.len);
    out->failed |= states.failed;
    hx_text_free(&states);
}

/* A saved state whose parts are known to lie within its bytes. */
typedef struct saved_state {
    state_head head;
    const state_detector *detector; /* copied: may be unaligned where it came from */
    const uint16_t *map;
    uint32_t map_len;
} saved_state;

/* What a detector of today kept of a session then; NULL where it was not there, or was another
 * version of itself. */
static const state_detector *saved_of(const saved_state *saved, const hx_detector *d)
{
    for (uint64_t i = 0; i < saved->head.detectors; i++)
        if (strcmp(saved->detector[i].name, d->name) == 0)
            return saved->detector[i].session_bytes == d->session_bytes ? &saved->detector[i]
                                                                        : NULL;
    return NULL;
}

static void load_beside(hx_worker *w, uint32_t slot, const char *bytes, const saved_state *saved)
{
    hx_detector_session_grows(&w->room, slot, NULL, 0);
    for (uint32_t i = 0; i < w->room.set->count; i++) {
        const hx_detector *d = w->room.set->detector[i];
        const state_detector *about = saved_of(saved, d);
        void *session = hx_detector_session(&w->room, slot, i);

        if (!d->session_bytes || !d->translate)
            continue;
        if (about)
            memcpy(session, bytes + about->session_at, d->session_bytes);
        d->translate(session, about ? saved->map : NULL, saved->map_len);
    }
}

static void load_session(hx_worker *w, hx_session *s, const char *beside, const saved_state *saved)
{
    const uint16_t *map = saved->map;
    uint32_t old_window = (uint32_t)saved->head.window;
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
    hx_holes_restore(w, s);
    hx_worker_translate(s, map, old_window, w->bundle);
    load_beside(w, hx_sessions_restore(&w->sessions, s), beside, saved);
}

static uint32_t input_now(const hx_saved_numbers *numbers, uint32_t input)
{
    return input < numbers->input_count ? numbers->input[input] : UINT32_MAX;
}

/* Every size is checked against the bytes there are before anything is read by it. */
static int check_sizes(const state_head *head, const state_detector *about, size_t len)
{
    uint64_t left = len - sizeof *head, states = 0, session;

    if (head->session_bytes != sizeof(hx_session) || head->window < 1 ||
        head->window > HX_WINDOW_MAX || head->detectors > HX_DETECTORS_MAX ||
        head->beside_bytes > BESIDE_MAX || head->detectors * sizeof *about > left)
        return HX_EMALFORMED;
    left -= head->detectors * sizeof *about;
    for (uint64_t i = 0; about && i < head->detectors; i++) {
        const state_detector *d = &about[i];

        if (d->session_bytes > head->beside_bytes ||
            d->session_at > head->beside_bytes - d->session_bytes || d->state_bytes > left ||
            memchr(d->name, 0, sizeof d->name) == NULL)
            return HX_EMALFORMED;
        states += padded(d->state_bytes);
    }
    session = sizeof(hx_session) + head->beside_bytes;
    if (head->sessions > left / session || head->novelties > left / sizeof(hx_novelty_entry))
        return HX_EMALFORMED;
    if (about &&
        left != head->sessions * session + head->novelties * sizeof(hx_novelty_entry) + states)
        return HX_EMALFORMED;
    return 0;
}

static void load_sessions(hx_worker *w, const char *bytes, const saved_state *saved,
                          const hx_saved_numbers *numbers)
{
    const uint32_t key_count = numbers->key_count;
    const size_t step = sizeof(hx_session) + saved->head.beside_bytes;

    for (uint64_t i = 0; i < saved->head.sessions; i++, bytes += step) {
        hx_session s;

        memcpy(&s, bytes, sizeof s);
        for (uint64_t k = 0; k < saved->head.window; k++)
            if (s.window[k] >= key_count + 3u)
                s.window[k] = (uint16_t)(key_count + 2);
        if (s.worst_token >= key_count + 3u)
            s.worst_token = (uint16_t)(key_count + 2);
        s.flags = HX_SESSION_OPEN |
                  (s.flags & (HX_SESSION_ALERTED | HX_SESSION_ESCALATED | HX_SESSION_TORN));
        if (s.name_len >= HX_SESSION_NAME_MAX)
            s.name_len = HX_SESSION_NAME_MAX - 1;
        s.last_input = input_now(numbers, s.last_input);
        s.worst_input = input_now(numbers, s.worst_input);
        load_session(w, &s, bytes + sizeof s, saved);
    }
}

static void load_novelties(hx_worker *w, const char *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++, bytes += sizeof(hx_novelty_entry)) {
        hx_novelty_entry entry;

        memcpy(&entry, bytes, sizeof entry);
        if (hx_batch_owner(entry.id, w->shared->workers) == w->index)
            hx_novelty_restore(&w->novelty, entry);
    }
}

static int load_states(hx_worker *w, const char *bytes, const saved_state *saved)
{
    const hx_detector_set *set = w->room.set;

    for (uint64_t k = 0; k < saved->head.detectors; k++) {
        const state_detector *about = &saved->detector[k];

        for (uint32_t i = 0; i < set->count; i++)
            if (strcmp(about->name, set->detector[i]->name) == 0 && set->detector[i]->restore &&
                set->detector[i]->restore(set->model[i], w->room.state[i], bytes,
                                          about->state_bytes))
                return HX_EMALFORMED;
        bytes += padded(about->state_bytes);
    }
    return 0;
}

static int load_parts(hx_worker *w, const char *bytes, const saved_state *saved,
                      const hx_saved_numbers *numbers)
{
    const state_head *head = &saved->head;

    bytes += sizeof *head + head->detectors * sizeof *saved->detector;
    if (head->watermark_us > w->watermark_us)
        w->watermark_us = head->watermark_us;
    if (head->watermark_us > atomic_load(w->shared->latest_us))
        atomic_store(w->shared->latest_us, head->watermark_us);
    load_sessions(w, bytes, saved, numbers);
    bytes += head->sessions * (sizeof(hx_session) + head->beside_bytes);
    load_novelties(w, bytes, head->novelties);
    return load_states(w, bytes + head->novelties * sizeof(hx_novelty_entry), saved);
}

int hx_worker_load(hx_worker *worker, const char *bytes, size_t len,
                   const hx_saved_numbers *numbers, hx_error *err)
{
    state_detector detector[HX_DETECTORS_MAX];
    saved_state saved = {.detector = detector, .map_len = numbers->key_count + 3};
    uint16_t *map;
    int rc;

    if (len < sizeof saved.head)
        return hx_error_set(err, HX_EMALFORMED, "checkpoint: a worker's state is cut short");
    memcpy(&saved.head, bytes, sizeof saved.head);
    rc = check_sizes(&saved.head, NULL, len);
    if (!rc) {
        memcpy(detector, bytes + sizeof saved.head, saved.head.detectors * sizeof *detector);
        rc = check_sizes(&saved.head, detector, len);
    }
    if (rc)
        return hx_error_set(err, rc, "checkpoint: a worker's state has another version's form");
    map = hx_worker_token_map(worker->bundle, numbers->key_hash, numbers->key_count);
    if (!map)
        return hx_error_set(err, HX_ENOMEM, "checkpoint: out of memory");
    saved.map = map;
    rc = load_parts(worker, bytes, &saved, numbers);
    free(map);
    return rc ? hx_error_set(err, rc, "checkpoint: a detector's state has another version's form")
              : 0;
}
