/* How a thread shares a processor. */
#ifndef HAECHI_THREAD_H
#define HAECHI_THREAD_H

#include <stdint.h>

/* Asks that the calling thread be given the processor in pieces of about so many microseconds (100
 * to 100,000): not more of it than before, but sooner, where others want it too. A thread that
 * answers to what comes waits for one such piece and not for one of the system's, some
 * milliseconds. Linux from 6.12 on does so (EEVDF, sched_setattr(2)); others go on as before, and
 * so do threads with a real-time policy. */
void hx_thread_slice_us(uint32_t us);
#define HX_SLICE_US 200 /* of threads that lines pass through */

/* The piece the calling thread is given, or 0 where the system does not say. */
uint32_t hx_thread_slice(void);

#endif
