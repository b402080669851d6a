/* The file that messages are written to, one a line. Each worker gathers lines in a block of its
 * own and writes it as a whole, so that lines of several workers never mix and a port's keep their
 * order. A disk that is full costs lines of the file, counted, and never the receiving. */
#ifndef HAECHI_SINK_FILE_H
#define HAECHI_SINK_FILE_H

#include <haechi/error.h>
#include <haechi/net.h>

#include <pthread.h>
#include <stdatomic.h>

#define HX_FILE_BLOCK_BYTES (1u << 20)
#define HX_FILE_RETRY_NS    100000000 /* between two tries of a file that took nothing */

typedef struct hx_sink_file {
    const char *path;
    int fd;
    bool owned, pipe, said;
    pthread_mutex_t lock;
    /* The end of a line whose beginning is written: nothing else may come before it. */
    char rest[HX_NET_MESSAGE_MAX + 1];
    uint32_t rest_len;
    _Atomic uint64_t write_errors; /* tries that failed */
    _Atomic uint64_t unwritten;    /* messages that found no room while the file took nothing */
} hx_sink_file;

typedef struct hx_sink_block {
    hx_sink_file *file;
    char *bytes;
    size_t len;
    int64_t retry_ns; /* monotonic; before it nothing is tried */
} hx_sink_block;

/* Made anew. "-" is standard output. HX_EIO with a sentence in err. */
int hx_sink_file_open(hx_sink_file *file, const char *path, hx_error *err);
void hx_sink_file_close(hx_sink_file *file);

/* After the last block: the end of a line that was cut is written, or the line counted as
 * unwritten. */
void hx_sink_file_settle(hx_sink_file *file);

int hx_sink_block_init(hx_sink_block *block, hx_sink_file *file);
void hx_sink_block_free(hx_sink_block *block);

/* Adds a run's messages, control characters as blanks. */
void hx_sink_block_put(hx_sink_block *block, const hx_taken *run);

/* Writes what is there as far as it goes. */
void hx_sink_block_flush(hx_sink_block *block);

/* The last flush: what does not go is counted as unwritten. */
void hx_sink_block_finish(hx_sink_block *block);

#endif
