/* source: where the bytes come from. A source hands out chunks of whole lines with the place they
 * stood at, so that a checkpoint can name a position and an alert can name a line.
 *
 * One thread reads a source. A chunk comes from one input only (one generation of one file, or one
 * port), ends with a newline (but for the last line of an input that has ended without one), and is
 * written into the caller's buffer. The part of a line that is not yet finished stays in the file
 * and is read again with the rest.
 *
 * A message of the network is a line: its own line ends and NULs at the end are cut off, a newline
 * inside it becomes a blank. Lines of one port come in the order they arrived in; ports are served
 * in turn. A network has no end and cannot be read again.
 */
#ifndef HAECHI_SOURCE_H
#define HAECHI_SOURCE_H

#include <haechi/error.h>
#include <haechi/net.h>
#include <haechi/slice.h>
#include <haechi/stats.h>

#define HX_READERS_MAX 16

typedef struct hx_source hx_source;

typedef struct hx_chunk {
    uint32_t length;    /* bytes in the caller's buffer */
    uint32_t input;     /* index for hx_source_input_name; stays valid while the source lives */
    uint64_t offset;    /* of the chunk's first byte in its input; of a port: of all it gave */
    uint64_t identity;  /* of the generation of the input: of its path and first line, so the same
                         * in every reading; a rotated file's successor has another. Of a port: of
                         * its name and the start of the source, so never the same again */
    int64_t arrival_us; /* CLOCK_REALTIME when it was read, or taken from the network */
    /* Of the network: how often lines were lost within it or right before it, and the bytes of it
     * before the first and before the last such place. Where its port's newest lines were lost and
     * nothing came since, length is 0. */
    uint32_t holes, first_hole, last_hole;
} hx_chunk;

/* A place at which lines are missing, so many bytes into the chunk. */
static inline void hx_chunk_note_hole(hx_chunk *chunk, uint32_t at)
{
    if (chunk->holes++ == 0)
        chunk->first_hole = at;
    chunk->last_hole = at;
}

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
    /* The network, beside the files or alone. reuse_port is the source's own to set. */
    const hx_listen_config *listen;
    uint32_t listen_count;
    /* Threads that receive. 0 and 1: the one that reads the source. More, up to HX_READERS_MAX,
     * share the UDP ports (a sender's datagrams to one port stay with one of them) and have the
     * listeners of TCP and TLS in turn. */
    uint32_t readers;
} hx_source_config;

/* HX_ENOTFOUND, HX_EIO or HX_EINVAL with a sentence in err naming the path. With follow, a path
 * that is not there yet is waited for; without, it is an error. An empty file is not an error.
 * HX_EINVAL where it cannot listen; on success err may hold a warning of the network's. */
int hx_source_create(const hx_source_config *config, hx_source **out, hx_error *err);
void hx_source_destroy(hx_source *source);

/* The next chunk, at most capacity (at least 4096) bytes. 0, HX_EAGAIN when timeout_ms have passed
 * with nothing to read (0: do not wait), HX_EEND when every input is read to its end, or HX_EIO. */
int hx_source_read(hx_source *source, char *buffer, uint32_t capacity, int timeout_ms,
                   hx_chunk *chunk);

/* Whether lines wait, once read, for who judges them: chunks of the network are then larger, since
 * it is not for the rest of its chunk that a line waits. From the reading thread. */
void hx_source_behind(hx_source *source, bool behind);

/* For the end: like hx_source_read, but of the network alone, and only what waits there already,
 * for at most 2 s from the first such call. 0, or HX_EEND. Nothing else may be read after it. */
int hx_source_drain(hx_source *source, char *buffer, uint32_t capacity, hx_chunk *chunk);

/* Wakes a hx_source_read that waits, from any thread or a signal handler; it returns HX_EAGAIN. */
void hx_source_wake(hx_source *source);

/* The path as it was configured or found by its glob ("-" for standard input,
 * "udp:127.0.0.1:514" for a port), for an index that a chunk had; NULL for others. From any thread;
 * lives as long as the source. */
const char *hx_source_input_name(const hx_source *source, uint32_t input);

const hx_source_counters *hx_source_counters_get(const hx_source *source);

typedef struct hx_source_port {
    const char *name; /* lives as long as the source */
    hx_transport transport;
    uint16_t port;
    bool plain;
    uint32_t readers; /* threads that receive on it */
    hx_port_counters counters;
    hx_account account;
} hx_source_port;

/* How many ports it listens to, and what they count, into out where that is not NULL: as they were
 * a tenth of a second ago while the source is read or refreshed. From any thread. */
uint32_t hx_source_ports(const hx_source *source, hx_source_port *out);
/* Adds the latencies that a storm's probes met: microseconds from when an event was due until it
 * was taken from its socket. From any thread. */
void hx_source_latency(const hx_source *source, hx_histogram *sum);
/* For a reading thread that does not read for a while: looks at the counters all the same. */
void hx_source_refresh(hx_source *source);

/* "127.0.0.1:514-553", "[::1]:514", or "514,601" of 127.0.0.1. HX_EINVAL with a sentence. */
typedef struct hx_listen_place {
    char address[256];
    uint16_t ports[HX_NET_PORTS_MAX];
    uint32_t port_count;
} hx_listen_place;
int hx_listen_place_parse(const char *text, hx_listen_place *out, hx_error *err);

/* Where reading stands: everything handed out so far and nothing else. JSON text (to be freed with
 * free()): an array of {"path", "device", "inode", "fingerprint", "offset", "identity"}. Rotated
 * files that are still being read are part of it; standard input, pipes and the network, which
 * cannot be read again, are not. */
int hx_source_position_save(const hx_source *source, char **json, size_t *json_len);

/* Call before the first read. A file is found again by inode and fingerprint (a hash of its first
 * bytes), also under the name that rotation gave it in the same folder, and a copy that was made of
 * it before it was truncated by the fingerprint alone. Its rest is read first, then what it was
 * rotated to since (app.log.1, app.log-20250830), then the new file from its start. What is no
 * longer there is skipped and named in err (return 0 all the same, with err empty where nothing was
 * skipped), so the caller can say so. HX_EMALFORMED: not a position. */
int hx_source_position_load(hx_source *source, const char *json, size_t json_len, hx_error *err);

#endif
