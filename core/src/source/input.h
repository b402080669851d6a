/* One generation of an input: a file from its creation to its rotation or truncation, or a stream
 * (standard input, a pipe). It reads whole lines into the caller's buffer. */
#ifndef HAECHI_SOURCE_INPUT_H
#define HAECHI_SOURCE_INPUT_H

#include <haechi/source.h>

#include <sys/stat.h>
#include <sys/types.h>

#define INPUT_HEAD_BYTES 256 /* of a file, by which it is known again */
#define INPUT_NO_PATH    UINT32_MAX

typedef struct generation {
    struct generation *next;  /* of all, in the order they were found */
    struct generation *older; /* the one it replaced, while that is still being read */
    struct generation *newer;
    struct generation *queue_next; /* of the queue of those with something to read */

    uint32_t input; /* the path it was found under: its name for chunks and positions */
    uint32_t at;    /* the path that names it now, or INPUT_NO_PATH: renamed away or deleted */
    int fd;         /* -1: not opened yet, or ended */
    int watch;      /* inotify's, or -1 */
    dev_t device;
    ino_t inode;

    uint64_t offset; /* of the first byte not handed out */
    uint64_t identity;
    char head[INPUT_HEAD_BYTES]; /* the file's first bytes, as far as they were handed out */
    uint32_t head_len;
    int64_t idle_since_ms; /* a renamed file's last news: its renaming, or its last line */

    bool has_identity;
    bool skipping; /* the rest of a line is not wanted: it was too long, or began before us */
    bool ready;    /* there may be something to read */
    bool queued;
    bool last_call; /* nothing more will come: a line without a newline is handed out */
    bool ended;
    bool resumed; /* a saved position was applied to it */
    bool stream;
    bool borrowed; /* fd is the process's standard input: not ours to close */

    char *carry; /* a stream's unfinished line */
    uint32_t carry_len, carry_room;
} generation;

/* For the file or stream open at fd. NULL: out of memory, and fd is still the caller's. */
generation *generation_create(uint32_t input, int fd, const struct stat *st);
void generation_destroy(generation *g);

/* The next whole lines into buffer. 0 and *chunk (but for its arrival time); HX_EAGAIN: no whole
 * line now; HX_EEND: none ever again. name seeds the identity. follow: the file may yet grow. */
int generation_read(generation *g, const char *name, bool follow, char *buffer, uint32_t capacity,
                    hx_source_counters *counters, hx_chunk *chunk);

/* Moves to an offset, as if everything before it had been handed out. skipping: it stands inside a
 * line whose rest is not wanted. 0 or HX_EIO. */
int generation_seek(generation *g, uint64_t offset, bool skipping);

/* To the file's end; a line that has begun there is skipped. */
int generation_seek_end(generation *g);

bool generation_is_file(const generation *g, const struct stat *st);

/* The hash of a file's first len bytes, as positions keep it. */
uint64_t input_fingerprint(const char *head, uint32_t len);

#endif
