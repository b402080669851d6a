#include "detect/idle.h"

#include "detect/holes.h"

/* How many idle sessions are ended together, their lines fetched before. */
#define TOGETHER 12
/* How many slots the search is ahead of itself. */
#define AHEAD_SWEEP 24
/* In so many pieces the table is searched, in a quarter of the idle time. */
#define SWEEPS_A_TURN 64

static inline bool is_torn(const hx_worker *w, const hx_session *s)
{
    return hx_session_torn(s) || (w->met_hole && hx_holes_behind(w, s));
}

void hx_idle_close(hx_worker *worker, uint32_t slot, hx_item_kind kind)
{
    hx_worker *w = worker;

    hx_sessions_unlink(&w->sessions, slot);
    w->count[kind == HX_ITEM_END ? HX_STAT_SESSIONS_ENDED : HX_STAT_SESSIONS_CUT]++;
    if (kind == HX_ITEM_END && __builtin_expect(is_torn(w, &w->sessions.slots[slot]), 0)) {
        hx_holes_tear(w, &w->sessions.slots[slot]);
        w->count[HX_STAT_TORN_ENDS]++;
        kind = HX_ITEM_RELEASE;
    }
    hx_judge_event(w, slot, w->bundle->deeplog.end, HX_NO_EVENT, kind);
}

static void end_sessions(hx_worker *w, const uint32_t *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        hx_sessions_prefetch_unlink(&w->sessions, slots[i]);
    for (uint32_t i = 0; i < count; i++) {
        hx_idle_close(w, slots[i], HX_ITEM_END);
        /* The closing ones hold slots until they are judged. */
        if (w->sessions.closing >= HX_ITEMS_MAX / 4)
            hx_judge_settle(w);
    }
}

/* Looks at so many slots from where the last look ended, around the table. */
static void sweep_slots(hx_worker *w, uint32_t slots, int64_t watermark_us)
{
    uint32_t idle[TOGETHER], count = 0;
    const uint32_t touched = w->sessions.touched;
    uint32_t slot = w->hand;

    for (uint32_t i = 0; i < slots; i++, slot++) {
        const hx_session *s;

        slot = slot < touched ? slot : 0;
        s = &w->sessions.slots[slot];
        if (slot + AHEAD_SWEEP < touched)
            __builtin_prefetch(s + AHEAD_SWEEP);
        if (!(s->flags & HX_SESSION_OPEN) || !hx_idle_is(w, s, watermark_us))
            continue;
        hx_sessions_prefetch_end(&w->sessions, slot);
        idle[count++] = slot;
        if (count == TOGETHER) {
            end_sessions(w, idle, count);
            count = 0;
        }
    }
    end_sessions(w, idle, count);
    w->hand = slot;
}

void hx_idle_search(hx_worker *worker, int64_t watermark_us)
{
    hx_worker *w = worker;
    const int64_t turn_us = w->bundle->idle_us / 4;
    const int64_t passed_us = w->swept_us == HX_TIME_NONE ? 0 : watermark_us - w->swept_us;

    w->swept_us = watermark_us;
    w->sweep_us = watermark_us + turn_us / SWEEPS_A_TURN + 1;
    sweep_slots(
        w,
        passed_us < turn_us
            ? (uint32_t)((double)passed_us / (double)turn_us * (double)w->sessions.touched) + 1
            : w->sessions.touched,
        watermark_us);
}

/* The end of the input: what is idle or told to end, ends; the rest is cut, and not judged as if it
 * had ended. */
void hx_idle_finish(hx_worker *worker, bool close_all)
{
    hx_worker *w = worker;

    for (uint32_t slot = 0; slot < w->sessions.touched; slot++) {
        const hx_session *s = &w->sessions.slots[slot];
        bool ends = close_all || hx_idle_is(w, s, w->watermark_us);

        if (!(s->flags & HX_SESSION_OPEN))
            continue;
        hx_idle_close(w, slot, ends ? HX_ITEM_END : HX_ITEM_RELEASE);
        if (w->sessions.closing >= HX_ITEMS_MAX / 4)
            hx_judge_settle(w);
    }
    hx_judge_settle(w);
}
