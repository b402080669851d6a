#include "detect/holes.h"

#include <stdlib.h>

int hx_holes_init(hx_worker *worker)
{
    worker->jump_us = HX_TIME_NONE;
    worker->port_count = hx_source_ports(worker->shared->source, NULL);
    worker->holes = calloc((size_t)worker->port_count + 1, sizeof *worker->holes);
    return worker->holes ? 0 : HX_ENOMEM;
}

/* Event time is about to go on from before_us to after_us, across a hole. */
static void note_jump(hx_worker *w, int64_t before_us, int64_t after_us)
{
    if (before_us != HX_TIME_NONE && after_us - before_us > w->bundle->idle_us / 4)
        w->jump_us = after_us;
}

void hx_holes_meet(hx_worker *worker, const hx_batch *batch)
{
    const hx_chunk *chunk = &batch->chunk;
    const int64_t before_us = worker->watermark_us;
    const int64_t after_us = batch->latest_us > before_us ? batch->latest_us : before_us;
    struct hx_holes *h;

    if (chunk->input >= worker->port_count || worker->shared->judge_torn)
        return;
    h = &worker->holes[chunk->input];
    if (chunk->holes || (h->at_end && chunk->length))
        note_jump(worker, before_us, after_us);
    h->at_end &= !chunk->length;
    if (!chunk->holes)
        return;
    h->before = h->last;
    h->first = chunk->offset + chunk->first_hole;
    h->last = chunk->offset + chunk->last_hole;
    h->count += chunk->holes;
    h->watermark_us = after_us;
    worker->reporter.base.lost_us = after_us;
    h->at_end = chunk->last_hole == chunk->length;
    worker->met_hole = true;
}

void hx_holes_tear(hx_worker *worker, hx_session *session)
{
    worker->count[HX_STAT_TORN_SESSIONS] += !hx_session_torn(session);
    hx_session_tear(session, worker->bundle->window);
}

/* Event time went on without the session's port. */
static bool left_behind(const hx_worker *w, const hx_session *s)
{
    return w->jump_us != HX_TIME_NONE && s->watermark_us <= w->jump_us;
}

/* By its line's own time where that is behind the others': what was lost of its port is as much
 * older. Not by that alone, since whoever writes a line chooses it. */
static bool is_near(const hx_worker *w, int64_t hole_us, const hx_session *s)
{
    const int64_t idle_us = w->bundle->idle_us;
    int64_t since_us;

    if (hole_us == HX_TIME_NONE || s->watermark_us == HX_TIME_NONE)
        return true;
    since_us = s->watermark_us - hole_us;
    return since_us <= idle_us || (since_us <= 2 * idle_us && s->last_us <= hole_us + idle_us);
}

/* A session is taken to speak by one port: the one of its last line says what has been lost since.
 */
void hx_holes_cross(hx_worker *worker, hx_session *session, uint32_t line)
{
    const hx_chunk *chunk = &worker->batch->chunk;
    const struct hx_holes *h;

    if (session->last_input >= worker->port_count)
        return;
    h = &worker->holes[session->last_input];
    if (left_behind(worker, session) ||
        (session->last_offset < h->last &&
         (session->last_input != chunk->input || session->last_offset < h->before ||
          chunk->offset + line >= h->first)))
        hx_holes_tear(worker, session);
}

bool hx_holes_near(const hx_worker *worker, const hx_session *session)
{
    const struct hx_holes *h;

    if (session->last_input >= worker->port_count)
        return false;
    h = &worker->holes[session->last_input];
    return (worker->jump_us != HX_TIME_NONE && is_near(worker, worker->jump_us, session)) ||
           (h->count && is_near(worker, h->watermark_us, session));
}

bool hx_holes_behind(const hx_worker *worker, const hx_session *session)
{
    return session->last_input < worker->port_count &&
           (session->last_offset < worker->holes[session->last_input].last ||
            left_behind(worker, session));
}

void hx_holes_restore(hx_worker *worker, hx_session *session)
{
    if (worker->shared->judge_torn)
        session->flags &= (uint8_t)~HX_SESSION_TORN;
    else if (session->last_input < worker->port_count)
        hx_holes_tear(worker, session);
}
