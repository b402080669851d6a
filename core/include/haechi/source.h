/* source: where the bytes come from. A source hands out chunks of whole lines with the place they
 * stood at, so that a checkpoint can name a position and an alert can name a line.
 *
 * One thread reads a source. A chunk comes from one input only (one generation of one file), ends
 * with a newline (but for the last line of an input that has ended without one), and is written
 * into the caller's buffer. The part of a line that is not yet finished stays in the file and is
 * read again with the rest.
 */
#ifndef HAECHI_SOURCE_H
#define HAECHI_SOURCE_H

#include <haechi/error.h>
#include <haechi/slice.h>

typedef struct hx_source hx_source;

typedef struct hx_chunk {
    uint32_t length;    /* bytes in the caller's buffer */
    uint32_t input;     /* index for hx_source_input_name; stays valid while the source lives */
    uint64_t offset;    /* of the chunk's first byte in its input */
    uint64_t identity;  /* of the generation of the input: of its path and first line, so the same
                         * in every reading; a rotated file's successor has another */
    int64_t arrival_us; /* CLOCK_REALTIME when it was read */
} hx_chunk;

typedef struct hx_source_counters {
    uint64_t bytes, chunks;
    uint64_t truncated_lines; /* longer than the buffer: its head is handed out, the rest skipped */
    uint64_t rotations;       /* a followed file was renamed and made anew */
    uint64_t truncations;     /* a followed file became shorter: read again from its start */
    uint64_t read_errors;     /* a read failed; the input is tried again (follow) or given up */
    uint64_t inputs_open;
} hx_source_counters;

typedef struct hx_source_config {
    /* Files or globs; "-" is standard input. A directory is refused; a glob passes over directories
     * and compressed files (.gz, .xz, ...). */
    const char *const *paths;
    uint32_t path_count;
    bool follow;      /* go on as files grow, rotate and appear; else read to the end */
    bool from_end;    /* with follow: start at the end of the files that exist now */
    bool polling;     /* with follow: do not use inotify even where it is there */
    uint32_t poll_ms; /* with follow: how often globs and polled files are looked at; 0: 200 */
    uint32_t rotate_wait_ms; /* how long a renamed file is still read for late writes; 0: 5000 */
} hx_source_config;

/* HX_ENOTFOUND, HX_EIO or HX_EINVAL with a sentence in err naming the path. With follow, a path
 * that is not there yet is waited for; without, it is an error. An empty file is not an error. */
int hx_source_create(const hx_source_config *config, hx_source **out, hx_error *err);
void hx_source_destroy(hx_source *source);

/* The next chunk, at most capacity (at least 4096) bytes. 0, HX_EAGAIN when timeout_ms have passed
 * with nothing to read (0: do not wait), HX_EEND when every input is read to its end, or HX_EIO. */
int hx_source_read(hx_source *source, char *buffer, uint32_t capacity, int timeout_ms,
                   hx_chunk *chunk);

/* Wakes a hx_source_read that waits, from any thread or a signal handler; it returns HX_EAGAIN. */
void hx_source_wake(hx_source *source);

/* The path as it was configured or found by its glob ("-" for standard input), for an index that a
 * chunk had; NULL for others. From any thread; lives as long as the source. */
const char *hx_source_input_name(const hx_source *source, uint32_t input);

const hx_source_counters *hx_source_counters_get(const hx_source *source);

/* Where reading stands: everything handed out so far and nothing else. JSON text (to be freed with
 * free()): an array of {"path", "device", "inode", "fingerprint", "offset", "identity"}. Rotated
 * files that are still being read are part of it; standard input and pipes, which cannot be read
 * again, are not. */
int hx_source_position_save(const hx_source *source, char **json, size_t *json_len);

/* Call before the first read. A file is found again by inode and fingerprint (a hash of its first
 * bytes), also under the name that rotation gave it in the same folder, and a copy that was made of
 * it before it was truncated by the fingerprint alone. Its rest is read first, then what it was
 * rotated to since (app.log.1, app.log-20250830), then the new file from its start. What is no
 * longer there is skipped and named in err (return 0 all the same, with err empty where nothing was
 * skipped), so the caller can say so. HX_EMALFORMED: not a position. */
int hx_source_position_load(hx_source *source, const char *json, size_t json_len, hx_error *err);

#endif
