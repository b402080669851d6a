/* A batch: a chunk of one source, read once, shared by the workers that own a part of it.
 *
 * Batch n is read (lines to events) by worker n mod W, and judged by every worker in the order of
 * n, each taking the events of the sessions that are its own. So every worker sees its sessions'
 * events in the order of the input, and the watermark before each line is the same for any W. */
#ifndef HAECHI_DETECT_BATCH_H
#define HAECHI_DETECT_BATCH_H

#include "detect/bundle.h"

#include <haechi/source.h>

#include <stdatomic.h>

/* A line that was never trained on: who reports it is decided by its id, not by its session. */
typedef struct hx_novel {
    uint64_t id; /* of the template, or of the shape where no template fits */
    uint32_t event;
} hx_novel;

/* An event of one worker's. */
typedef struct hx_owned {
    uint32_t event; /* its index */
    uint32_t hash;  /* the low half of its session's: asked for before the event itself is near */
} hx_owned;

typedef struct hx_batch {
    char *buffer;
    uint32_t capacity; /* of buffer */
    hx_chunk chunk;    /* length 0: nothing but the orders below */
    const char *source;
    const hx_bundle *bundle; /* what this batch and the following ones are judged with */
    const hx_rules *rules;   /* and these, or NULL */
    int64_t tick_us;         /* the watermark is at least this after the batch; or HX_TIME_NONE */
    bool arrival_time;       /* lines without a time get the time of arrival */
    bool checkpoint;         /* every worker saves its state after it */
    bool last;               /* the end of the input */
    bool close_all;          /* with last: open sessions end here */

    hx_event *events; /* hx_front_capacity(capacity) */
    uint32_t event_count;
    int64_t latest_us; /* largest event time in it, or HX_TIME_NONE */
    hx_novel *novel;   /* as many as events, at most one a line */
    uint32_t novel_count;
    hx_owned *owned;       /* [workers][hx_front_capacity(capacity)]; NULL for one worker */
    uint32_t *owned_count; /* [workers] */
    hx_ruling *rulings;    /* what the rules say of the events; mapped when there are rules first */
    uint32_t ruling_count;
    uint64_t rules_over; /* rules that deny a line which enough others deny */
    hx_front_counters counted;
    hx_seen *seen; /* the lines as detectors see them, where one wants them */
    uint32_t seen_count;
    uint64_t read_ns;     /* how long that took */
    uint64_t clock_ahead; /* lines that claim a time more than a day after their arrival */

    _Atomic uint32_t users; /* workers that are not yet done with it; 0: may be filled again */
} hx_batch;

/* The arrays are mapped for the worst case, a line of one byte, and cost what is touched. */
int hx_batch_init(hx_batch *batch, uint32_t capacity, uint32_t workers);
void hx_batch_free(hx_batch *batch, uint32_t workers);

/* Events, novelties and owners from the buffer, with the front of one worker, the reader, who
 * counts the lines. */
void hx_batch_read(hx_batch *batch, hx_front *front, uint32_t reader, uint32_t workers);

/* Room for what rules say. 0 or HX_ENOMEM. */
int hx_batch_make_rulings(hx_batch *batch);

/* What rules say of an event; of one they say nothing of: that. */
hx_ruling hx_batch_ruling(const hx_batch *batch, uint32_t event);

/* The worker a session or a novelty belongs to. */
static inline uint32_t hx_batch_owner(uint64_t hash, uint32_t workers)
{
    return (uint32_t)(((hash >> 32) * workers) >> 32);
}

#endif
