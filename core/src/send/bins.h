/* Bins: lines sorted by their exact length, so that those of one length lie side by side and leave
 * as one buffer. Bins are handed out in the order in which they got their first line: the longest
 * waiting leave first. */
#ifndef HAECHI_SEND_BINS_H
#define HAECHI_SEND_BINS_H

#include <haechi/error.h>
#include <haechi/storm.h>

#define HX_BIN_LINES_MAX 128   /* what kernels from 6.11 on take; older ones take 64 */
#define HX_BIN_BYTES_MAX 65000 /* of a buffer: IPv4's and IPv6's headers fit beside it */

typedef struct hx_bin {
    char *lines;
    uint32_t count, capacity;
    int64_t first_ns; /* when the first of them was due */
    int64_t probe_ns; /* a probe goes with it, of the event due then; 0: none */
} hx_bin;

typedef struct hx_bins {
    char *memory; /* mapped; only what is used is paid for */
    size_t memory_bytes;
    uint32_t used_count;
    uint16_t used[HX_LINE_ROOM]; /* lengths whose bins are not empty */
    hx_bin bin[HX_LINE_ROOM];    /* by length */
} hx_bins;

/* lines_max: at most HX_BIN_LINES_MAX. */
int hx_bins_init(hx_bins *bins, uint32_t lines_max);
void hx_bins_free(hx_bins *bins);

/* The line (HX_LINE_ROOM readable bytes) into its bin, which must not be full. True: it is full
 * now.
 */
static inline bool hx_bins_put(hx_bins *bins, const char *line, uint32_t length, int64_t time_ns)
{
    hx_bin *bin = &bins->bin[length];
    char *to = bin->lines + (size_t)bin->count * length;

    if (bin->count == 0) {
        bins->used[bins->used_count++] = (uint16_t)length;
        bin->first_ns = time_ns;
    }
    /* Whole blocks: a length known only at run time costs a branch that cannot be foretold. */
    memcpy(to, line, 128);
    for (uint32_t i = 128; i < length; i += 64)
        memcpy(to + i, line + i, 64);
    return ++bin->count >= bin->capacity; /* more than that where it has shrunk */
}

/* Empties a bin that was full, and takes it off the list. */
void hx_bins_clear(hx_bins *bins, uint32_t length);
void hx_bins_clear_all(hx_bins *bins);

#endif
