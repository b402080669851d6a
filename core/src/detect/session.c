#include "detect/session.h"

#include <haechi/pages.h>

#include <stdlib.h>

/* Slots beyond max_open for sessions whose end is not yet judged. */
#define CLOSING_MAX 2048
/* How many open sessions are looked at for a victim, on average. */
#define VICTIM_STEPS   8
#define SILENCE_MAX_US (INT64_MAX / 1024)

int hx_sessions_init(hx_sessions *sessions, uint32_t max_open)
{
    uint32_t places = 64;

    memset(sessions, 0, sizeof *sessions);
    while (places < 2 * (uint64_t)max_open)
        places *= 2;
    sessions->slot_count = max_open + CLOSING_MAX;
    sessions->max_open = max_open;
    sessions->index_mask = places - 1;
    for (uint32_t i = 0; i < HX_VICTIMS_AHEAD; i++)
        sessions->victims[i].slot = HX_SESSION_NONE;
    sessions->slots = hx_pages_map((size_t)sessions->slot_count * sizeof(hx_session));
    sessions->index = hx_pages_map(places * sizeof *sessions->index);
    sessions->free_slots = calloc(sessions->slot_count, sizeof *sessions->free_slots);
    if (sessions->slots && sessions->index && sessions->free_slots)
        return 0;
    hx_sessions_free(sessions);
    return HX_ENOMEM;
}

void hx_sessions_free(hx_sessions *sessions)
{
    hx_pages_unmap(sessions->slots, (size_t)sessions->slot_count * sizeof(hx_session));
    hx_pages_unmap(sessions->index, ((size_t)sessions->index_mask + 1) * sizeof *sessions->index);
    free(sessions->free_slots);
    memset(sessions, 0, sizeof *sessions);
}

uint32_t hx_sessions_find(const hx_sessions *sessions, const hx_event *event)
{
    uint32_t hash = (uint32_t)event->session, at = hash & sessions->index_mask;

    for (;; at = (at + 1) & sessions->index_mask) {
        hx_session_place place = sessions->index[at];

        if (!place.slot)
            return HX_SESSION_NONE;
        if (place.hash == hash && hx_session_is(&sessions->slots[place.slot - 1], event))
            return place.slot - 1;
    }
}

/* A new session's lines are cold; the next one's are asked for while this one is filled. */
static void prefetch_next_slot(const hx_sessions *s)
{
    uint32_t next = s->free_count ? s->free_slots[s->free_count - 1] : s->touched;
    const char *line = (const char *)&s->slots[next < s->slot_count ? next : 0];

    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + 64, 1);
}

static uint32_t take_slot(hx_sessions *sessions, uint32_t hash)
{
    uint32_t at = hash & sessions->index_mask, slot;

    slot =
        sessions->free_count ? sessions->free_slots[--sessions->free_count] : sessions->touched++;
    prefetch_next_slot(sessions);
    while (sessions->index[at].slot)
        at = (at + 1) & sessions->index_mask;
    sessions->index[at] = (hx_session_place){hash, slot + 1};
    sessions->open++;
    return slot;
}

static void fill_far_window(hx_sessions *sessions, hx_session *s, uint16_t begin)
{
    sessions->wide = true;
    for (uint32_t i = HX_SESSION_WINDOW_NEAR; i < HX_WINDOW_MAX; i++)
        s->window[i] = begin;
}

uint32_t hx_sessions_open(hx_sessions *sessions, const hx_event *event, uint32_t window,
                          uint16_t begin)
{
    uint32_t slot = take_slot(sessions, (uint32_t)event->session);
    hx_session *s = &sessions->slots[slot];

    s->watermark_us = s->last_us = HX_TIME_NONE;
    s->sum_q10 = 0;
    s->last_offset = s->worst_offset = 0;
    s->worst_q10 = 0;
    s->events = s->worst_input = s->last_input = s->last_identity = 0;
    s->worst_token = 0;
    s->flags = HX_SESSION_OPEN;
    s->name_len = event->name_len;
    s->hash = (uint32_t)event->session;
    memcpy(s->name_near, event->name, sizeof s->name_near);
    for (uint32_t i = 0; i < HX_SESSION_WINDOW_NEAR; i++)
        s->window[i] = begin;
    if (window > HX_SESSION_WINDOW_NEAR)
        fill_far_window(sessions, s, begin);
    if (s->name_len > sizeof s->name_near)
        memcpy(s->name_far, event->name + sizeof s->name_near, sizeof s->name_far);
    return slot;
}

uint32_t hx_sessions_restore(hx_sessions *sessions, const hx_session *saved)
{
    uint32_t slot = take_slot(sessions, saved->hash);

    sessions->slots[slot] = *saved;
    return slot;
}

/* Linear probing without tombstones: what follows the hole and may move into it, does. */
static void index_remove(hx_sessions *sessions, uint32_t hole)
{
    uint32_t mask = sessions->index_mask, at = hole;

    for (;;) {
        uint32_t home;

        at = (at + 1) & mask;
        if (!sessions->index[at].slot)
            break;
        home = sessions->index[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            sessions->index[hole] = sessions->index[at];
            hole = at;
        }
    }
    sessions->index[hole] = (hx_session_place){0, 0};
}

void hx_sessions_unlink(hx_sessions *sessions, uint32_t slot)
{
    hx_session *s = &sessions->slots[slot];
    uint32_t at = s->hash & sessions->index_mask;

    while (sessions->index[at].slot != slot + 1)
        at = (at + 1) & sessions->index_mask;
    index_remove(sessions, at);
    s->flags = (uint8_t)((s->flags & ~HX_SESSION_OPEN) | HX_SESSION_CLOSING);
    sessions->open--;
    sessions->closing++;
}

void hx_sessions_release(hx_sessions *sessions, uint32_t slot)
{
    sessions->slots[slot].flags = 0;
    sessions->closing--;
    sessions->free_slots[sessions->free_count++] = slot;
}

/* Sessions without a time have been silent for ever: nothing else ends them. */
static inline int64_t silent_us(const hx_session *s, int64_t watermark_us)
{
    if (s->watermark_us == HX_TIME_NONE)
        return SILENCE_MAX_US;
    return watermark_us > s->watermark_us ? watermark_us - s->watermark_us : 0;
}

/* Rises by a little after few steps and falls by much after many, so that it rests where
 * VICTIM_STEPS are taken on average, however the sessions' silences are spread. */
static int64_t adapt(int64_t us, uint32_t steps)
{
    us += (us / 256 + 1) * (VICTIM_STEPS - (int64_t)steps);
    return us < 1 ? 1 : us < SILENCE_MAX_US ? us : SILENCE_MAX_US;
}

static uint32_t choose_victim(hx_sessions *sessions, int64_t watermark_us)
{
    uint32_t victim = HX_SESSION_NONE, seen = 0;
    int64_t longest_us = INT64_MIN;

    for (uint32_t step = 0; step < sessions->touched && seen < HX_VICTIM_AMONG; step++) {
        uint32_t slot = sessions->hand < sessions->touched ? sessions->hand : 0;
        const hx_session *s = &sessions->slots[slot];
        int64_t us = silent_us(s, watermark_us);

        sessions->hand = slot + 1;
        if (slot + 8 < sessions->touched)
            __builtin_prefetch(s + 8);
        if (!(s->flags & HX_SESSION_OPEN))
            continue;
        seen++;
        if (us > longest_us) {
            longest_us = us;
            victim = slot;
        }
        if (us >= sessions->victim_us && sessions->victim_us > 0)
            break;
    }
    if (sessions->victim_us == 0)
        sessions->victim_us = longest_us;
    sessions->victim_us = adapt(sessions->victim_us, seen);
    return victim;
}

/* Whether one that was chosen is open still and has not spoken since. */
static bool is_victim(const hx_sessions *sessions, const struct hx_session_victim *v)
{
    const hx_session *s = &sessions->slots[v->slot];

    return (s->flags & HX_SESSION_OPEN) && s->events == v->events &&
           s->watermark_us == v->watermark_us;
}

static struct hx_session_victim choose_ahead(hx_sessions *sessions, int64_t watermark_us)
{
    const uint32_t slot = choose_victim(sessions, watermark_us);
    const hx_session *s = &sessions->slots[slot];

    hx_sessions_prefetch_end(sessions, slot);
    return (struct hx_session_victim){slot, s->events, s->watermark_us};
}

uint32_t hx_sessions_victim(hx_sessions *sessions, int64_t watermark_us)
{
    struct hx_session_victim *ahead = sessions->victims;
    uint32_t victim = HX_SESSION_NONE;

    for (uint32_t i = 0; i < HX_VICTIMS_AHEAD; i++) {
        if (victim == HX_SESSION_NONE && ahead[i].slot != HX_SESSION_NONE &&
            is_victim(sessions, &ahead[i]))
            victim = ahead[i].slot;
        if (victim == HX_SESSION_NONE || ahead[i].slot == victim)
            ahead[i].slot = HX_SESSION_NONE;
    }
    if (victim == HX_SESSION_NONE)
        victim = choose_victim(sessions, watermark_us);
    for (uint32_t i = 0; i < HX_VICTIMS_AHEAD; i++) {
        if (i + 1 < HX_VICTIMS_AHEAD && ahead[i].slot == HX_SESSION_NONE) {
            ahead[i] = ahead[i + 1];
            ahead[i + 1].slot = HX_SESSION_NONE;
        }
        if (ahead[i].slot == HX_SESSION_NONE)
            ahead[i] = choose_ahead(sessions, watermark_us);
    }
    hx_sessions_prefetch_unlink(sessions, ahead[0].slot);
    return victim;
}
