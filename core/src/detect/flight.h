/* Batches between the reader and the workers: those on their way, and those that are free.
 *
 * Many small ones or few large ones may be on their way: their lines are bounded, so that memory
 * is. Many small ones let a worker that the system has set aside for a moment hold nobody up: the
 * others have work until it is back. They are done with in the order in which they were sent, since
 * every worker judges them in that order.
 *
 * Free ones are taken again the last first: what it touched is near, and no more of them are ever
 * touched than were needed at once. One thread's, the reader's. */
#ifndef HAECHI_DETECT_FLIGHT_H
#define HAECHI_DETECT_FLIGHT_H

#include "detect/batch.h"

typedef struct hx_flight {
    hx_batch **free;   /* [count] the next one is the last of them */
    hx_batch **on_way; /* [count] by number, modulo count */
    uint32_t count;    /* of batches */
    uint32_t free_count;
    uint64_t sent, done; /* numbers: of the next one to be sent, of the first one not done with */
    uint64_t bytes, bytes_most; /* of lines on their way */
    bool behind;                /* the reader had to wait for the batch that it took last */
} hx_flight;

/* No more is taken once bytes_most are on their way. 0 or HX_ENOMEM. */
int hx_flight_init(hx_flight *flight, hx_batch *batches, uint32_t count, uint64_t bytes_most);
void hx_flight_free(hx_flight *flight);

/* A free batch; waits for one. It stays free until it is sent: without that, the next call returns
 * it again. */
hx_batch *hx_flight_take(hx_flight *flight);

/* The batch that was taken is on its way, with what it holds now. Its users are set by who sends
 * it, and fall to 0 when all of them are done with it. */
void hx_flight_send(hx_flight *flight);

#endif
