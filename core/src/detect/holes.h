/* Inside a worker: what is not judged because lines were lost. A hole is a place in what a port
 * gave at which the kernel has dropped some (hx_chunk). A session whose lines come by that port is
 * torn by it: the model would find the next line odd because of those that are missing, and every
 * detector the session as a whole. So the window is given time to get past the hole, and the end is
 * let go. What a line says by itself is judged all the same.
 *
 * A port whose lines were lost is ahead of the others' queues in event time. Where that is far for
 * the time after which a session is idle, it ends other ports' sessions too early: they are torn as
 * well, until their port has caught up.
 *
 * Until the first hole nothing of this costs more than a test. */
#ifndef HAECHI_DETECT_HOLES_H
#define HAECHI_DETECT_HOLES_H

#include "detect/judge.h"

/* Of one port. */
struct hx_holes {
    uint64_t count;
    uint64_t before;      /* offset of the last one of earlier batches than the one below */
    uint64_t first, last; /* offsets, in the last batch that had any */
    int64_t watermark_us; /* when that batch was through, or HX_TIME_NONE */
    bool at_end;          /* nothing has come behind the last one */
};

/* Room for the ports of the worker's source. HX_ENOMEM. */
int hx_holes_init(hx_worker *worker);

/* The batch is about to be judged. */
void hx_holes_meet(hx_worker *worker, const hx_batch *batch);

/* An event of the batch at hand, this many bytes into its chunk, comes to an open session. */
void hx_holes_cross(hx_worker *worker, hx_session *session, uint32_t line);

/* Whether a hole is so little before a session's last event that, where the session is young, it
 * may have lost its beginning. */
bool hx_holes_near(const hx_worker *worker, const hx_session *session);

/* Whether there is one behind the last line of a session that ends. */
bool hx_holes_behind(const hx_worker *worker, const hx_session *session);

/* The session has lost lines. */
void hx_holes_tear(hx_worker *worker, hx_session *session);

/* A session of a checkpoint: nobody listened since. */
void hx_holes_restore(hx_worker *worker, hx_session *session);

#endif
