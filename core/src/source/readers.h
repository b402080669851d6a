/* Threads that receive: each fills blocks with the lines of one input and hands them over. */
#ifndef HAECHI_SOURCE_READERS_H
#define HAECHI_SOURCE_READERS_H

#include "receiver.h"

typedef struct readers readers;

/* One thread for each receiver; they start at once. HX_ENOMEM, HX_EIO. */
int readers_create(receiver *receivers, uint32_t count, readers **out, hx_error *err);
void readers_destroy(readers *r);

/* What the threads have handed over, of one input; never waits. 0 or HX_EAGAIN. *truncated grows
 * where a line is longer than capacity. */
int readers_read(readers *r, char *buffer, uint32_t capacity, uint64_t *truncated, hx_chunk *chunk);
bool readers_busy(readers *r);

/* From now on the threads end when nothing waits for them. */
void readers_finish(readers *r);
/* Whether all have ended; then readers_read gives what is left. */
bool readers_finished(readers *r);
/* Ends them whatever waits. */
void readers_stop(readers *r);

/* Readable when there is something to read, after readers_wait_begin, which returns true where
 * there is already. */
int readers_fd(const readers *r);
bool readers_wait_begin(readers *r);
void readers_wait_end(readers *r);

#endif
