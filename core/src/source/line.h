/* Messages of the network as lines: what every message of a storm passes through. */
#ifndef HAECHI_SOURCE_LINE_H
#define HAECHI_SOURCE_LINE_H

#include <stdbool.h>
#include <stdint.h>

/* Messages that follow each other in memory, in steps of stride; the last one has the rest. */
typedef struct message_run {
    const char *data;
    uint32_t bytes, stride; /* at least 1 */
} message_run;

typedef struct line_counts {
    uint64_t lines;
    uint64_t empty;     /* nothing but line ends and NULs: no line */
    uint64_t truncated; /* longer than a whole buffer: its head became a line */
} line_counts;

/* Copies messages from the front of the run into out, each with a newline behind it, as long as
 * they fit into room. Line ends and NULs at a message's end are cut off; a newline inside it
 * becomes a blank, so that a message is one line. whole: out is empty, so that what does not fit
 * now never will, and is cut. Returns the bytes written; the run has what is left. */
typedef uint32_t lines_copier(char *out, uint32_t room, bool whole, message_run *run,
                              line_counts *counts);
lines_copier lines_copy_plain;
/* The fastest that this processor can do. */
lines_copier *lines_copy_best(void);

#endif
