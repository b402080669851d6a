/* Inside a worker: how sessions end. One that has been silent for longer than the idle time is over
 * when its next line comes, and at the latest a quarter of that time later, when a search has found
 * it. The search goes around the table a little at a time, because a line waits for it. When it
 * finds a session changes nothing but when an alert is written: an event that comes after the idle
 * time opens a new session in any case. */
#ifndef HAECHI_DETECT_IDLE_H
#define HAECHI_DETECT_IDLE_H

#include "detect/judge.h"

/* The end of a session of this kind, put among the items; its name is free. */
void hx_idle_close(hx_worker *worker, uint32_t slot, hx_item_kind kind);

static inline bool hx_idle_is(const hx_worker *w, const hx_session *s, int64_t watermark_us)
{
    return s->watermark_us != HX_TIME_NONE && watermark_us != HX_TIME_NONE &&
           watermark_us - s->watermark_us > w->bundle->idle_us;
}

/* Searches as much of the table as is due at this watermark. */
void hx_idle_search(hx_worker *worker, int64_t watermark_us);

static inline void hx_idle_sweep(hx_worker *w, int64_t watermark_us)
{
    if (__builtin_expect(watermark_us >= w->sweep_us, 0))
        hx_idle_search(w, watermark_us);
}

/* The end of the input: what is idle, or all that is told to, ends; the rest is cut, and not judged
 * as if it had ended. */
void hx_idle_finish(hx_worker *worker, bool close_all);

#endif
