/* Open sessions: found by name, bounded in number, closed when idle. One thread's.
 *
 * A slot has three cache lines: what every event changes; the start of the name and of the window,
 * which are all of most names and windows; and the rest of both, which few events touch. The
 * table's memory is mapped when it is made but costs nothing until a slot is first used; freed
 * slots are used again first, so it stays as small as the load allows. */
#ifndef HAECHI_DETECT_SESSION_H
#define HAECHI_DETECT_SESSION_H

#include "detect/memo.h"

#include <haechi/front.h>

#define HX_SESSION_NONE UINT32_MAX

enum {
    HX_SESSION_OPEN = 1,      /* in the index */
    HX_SESSION_CLOSING = 2,   /* out of the index, its end not yet judged */
    HX_SESSION_ALERTED = 4,   /* has had its alert; further ones are counted as suppressed */
    HX_SESSION_ESCALATED = 8, /* a rule has made what it raises graver */
    HX_SESSION_TORN = 0xf0,   /* lines of it are lost (holes.h); see hx_session_torn */
};

#define HX_SESSION_NAME_NEAR   28
#define HX_SESSION_WINDOW_NEAR 16

typedef struct hx_session {
    _Alignas(64) int64_t watermark_us; /* at its last event: the largest event time, of any line */
    int64_t sum_q10;
    int64_t last_us;       /* event time of its last event */
    uint64_t last_offset;  /* of the line of its last event */
    uint64_t worst_offset; /* of the line of the event that surprised most */
    int32_t worst_q10;
    uint32_t events; /* judged */
    uint32_t worst_input;
    uint32_t last_input;
    uint32_t last_identity; /* the low half of its generation's */
    uint16_t worst_token;
    uint8_t flags;
    uint8_t name_len;
    uint32_t hash; /* the low half of the name's: its home in the index */
    char name_near[HX_SESSION_NAME_NEAR];
    uint16_t window[HX_WINDOW_MAX + 1]; /* the last h tokens, oldest first */
    char name_far[HX_SESSION_NAME_MAX - HX_SESSION_NAME_NEAR];
    char unused[12];
} hx_session;

_Static_assert(sizeof(hx_session) == 192, "three cache lines");
_Static_assert(offsetof(hx_session, window[HX_SESSION_WINDOW_NEAR]) == 128, "two of them near");

/* Names are zero-padded, so all of the room can be compared: no loop, and for most no look at the
 * third line. */
static inline bool hx_session_is(const hx_session *s, const hx_event *event)
{
    return s->name_len == event->name_len &&
           memcmp(s->name_near, event->name, sizeof s->name_near) == 0 &&
           (s->name_len <= sizeof s->name_near ||
            memcmp(s->name_far, event->name + sizeof s->name_near, sizeof s->name_far) == 0);
}

/* Its whole name, into room for it. */
static inline hx_slice hx_session_name(const hx_session *s, char room[static HX_SESSION_NAME_MAX])
{
    memcpy(room, s->name_near, sizeof s->name_near);
    memcpy(room + sizeof s->name_near, s->name_far, sizeof s->name_far);
    return hx_slice_make(room, s->name_len);
}

/* A token at the end of a window of h. All of the room in a line is moved, whatever h is: a few
 * loads and stores of 16 bytes, without a loop. */
static inline void hx_session_push(hx_session *s, uint32_t h, uint16_t token)
{
    uint16_t moved[HX_WINDOW_MAX];

    if (h <= HX_SESSION_WINDOW_NEAR) {
        memcpy(moved, s->window + 1, (HX_SESSION_WINDOW_NEAR - 1) * sizeof token);
        memcpy(s->window, moved, (HX_SESSION_WINDOW_NEAR - 1) * sizeof token);
    } else {
        memcpy(moved, s->window + 1, sizeof moved);
        memcpy(s->window, moved, sizeof moved);
    }
    s->window[h - 1] = token;
}

/* 0: it is whole. n: n - 1 more events until its window is behind the last hole. */
static inline uint32_t hx_session_torn(const hx_session *s)
{
    return s->flags >> 4;
}

/* There is a hole before its next event. A window of more than 14 counts as one of 14. */
static inline void hx_session_tear(hx_session *s, uint32_t h)
{
    s->flags = (uint8_t)((s->flags & ~HX_SESSION_TORN) | ((h < 14 ? h : 14) + 1) << 4);
}

typedef struct hx_session_place {
    uint32_t hash; /* its low half: the home place, so that moving an entry touches no slot */
    uint32_t slot; /* + 1; 0: empty */
} hx_session_place;

#define HX_VICTIMS_AHEAD 2 /* one fetches its hash, the next its place in the index */

typedef struct hx_sessions {
    hx_session *slots;
    hx_session_place *index;
    uint32_t *free_slots;
    uint32_t slot_count, free_count, touched; /* slots below touched have been in use */
    uint32_t index_mask;
    uint32_t open, max_open, closing;
    uint32_t hand; /* where the search for a victim goes on */
    bool wide;     /* windows reach into the third line */
    char *beside;  /* what other detectors keep of each slot; NULL: nothing */
    uint32_t beside_bytes;
    const uint64_t *grown; /* a bit a slot: they do keep something of it */
    int64_t victim_us;     /* how long a session must have been silent to be one */
    /* The next victims, chosen early so that what their end touches is near when they go. One that
     * has spoken since is none. */
    struct hx_session_victim {
        uint32_t slot, events;
        int64_t watermark_us;
    } victims[HX_VICTIMS_AHEAD];
} hx_sessions;

int hx_sessions_init(hx_sessions *sessions, uint32_t max_open);
void hx_sessions_free(hx_sessions *sessions);

static inline void hx_sessions_prefetch_index(const hx_sessions *s, uint64_t hash)
{
    __builtin_prefetch(&s->index[(uint32_t)hash & s->index_mask]);
}

/* Prefetches the slot that the index names for this hash; the index must be near by now. */
static inline void hx_sessions_prefetch_slot(const hx_sessions *s, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & s->index_mask;

    while (s->index[at].slot && s->index[at].hash != (uint32_t)hash)
        at = (at + 1) & s->index_mask;
    if (s->index[at].slot) {
        const uint32_t slot = s->index[at].slot - 1;
        const char *line = (const char *)&s->slots[slot];

        __builtin_prefetch(line, 1);
        __builtin_prefetch(line + 64, 1);
        if (s->wide)
            __builtin_prefetch(line + 128, 1);
        if (s->beside && (s->grown[slot / 64] >> (slot % 64) & 1))
            __builtin_prefetch(s->beside + (size_t)slot * s->beside_bytes, 1);
    }
}

/* Prefetches what ending the session in this slot will touch, in two steps: the second reads what
 * the first has fetched. */
static inline void hx_sessions_prefetch_end(const hx_sessions *s, uint32_t slot)
{
    __builtin_prefetch(&s->slots[slot].hash, 1);
}

static inline void hx_sessions_prefetch_unlink(const hx_sessions *s, uint32_t slot)
{
    hx_sessions_prefetch_index(s, s->slots[slot].hash);
}

/* The slot of an open session, or HX_SESSION_NONE. */
uint32_t hx_sessions_find(const hx_sessions *sessions, const hx_event *event);

/* A new session of this name, its window filled with begin. There must be room: open < max_open and
 * a free slot (hx_sessions_has_slot). */
uint32_t hx_sessions_open(hx_sessions *sessions, const hx_event *event, uint32_t window,
                          uint16_t begin);
static inline bool hx_sessions_has_slot(const hx_sessions *s)
{
    return s->free_count > 0 || s->touched < s->slot_count;
}

/* Puts a session of a checkpoint back as it was; the same room is needed. */
uint32_t hx_sessions_restore(hx_sessions *sessions, const hx_session *saved);

/* Out of the index: a new session of the same name may open. The slot stays until its release. */
void hx_sessions_unlink(hx_sessions *sessions, uint32_t slot);
void hx_sessions_release(hx_sessions *sessions, uint32_t slot);

/* The open session to close when the bound is reached: the next one around the table that has been
 * silent for long at this watermark. How long that is follows from how many had to be looked at
 * before: eight on average, HX_VICTIM_AMONG at most, of which the most silent goes then. So about
 * the oldest tenth goes, and one that still speaks is safe while a tenth of the table does not. */
uint32_t hx_sessions_victim(hx_sessions *sessions, int64_t watermark_us);
#define HX_VICTIM_AMONG 64

#endif
