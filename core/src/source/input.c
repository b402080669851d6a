#include "input.h"

#include <haechi/hash.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define NEAR_BYTES ((size_t)256 << 10)

generation *generation_create(uint32_t input, int fd, const struct stat *st)
{
    generation *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->input = g->at = input;
    g->fd = fd;
    g->watch = -1;
    g->device = st->st_dev;
    g->inode = st->st_ino;
    g->stream = !S_ISREG(st->st_mode);
    return g;
}

void generation_destroy(generation *g)
{
    if (!g)
        return;
    if (g->fd >= 0 && !g->borrowed)
        close(g->fd);
    free(g->carry);
    free(g);
}

bool generation_is_file(const generation *g, const struct stat *st)
{
    return !g->stream && g->device == st->st_dev && g->inode == st->st_ino;
}

uint64_t input_fingerprint(const char *head, uint32_t len)
{
    return hx_hash_bytes(head, len, HX_HASH_SEED);
}

/* The identity comes from the path and the first line (256 bytes of it at most): they are the same
 * however often and from wherever the file is read, and they are complete when the first line is
 * handed out. Not from the inode, which a copy or a restored backup does not keep. */
static void identity_set(generation *g, const char *name, const char *head, size_t len)
{
    const char *newline = memchr(head, '\n', len);
    size_t line_len = newline ? (size_t)(newline - head) : len;

    g->identity = hx_hash_bytes(head, line_len, hx_hash_bytes(name, strlen(name), HX_HASH_SEED));
    g->has_identity = true;
}

static ssize_t read_at(int fd, char *buffer, size_t len, uint64_t offset)
{
    ssize_t n;

    do
        n = pread(fd, buffer, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t head_read(int fd, char *head, uint32_t len)
{
    uint32_t have = 0;

    while (have < len) {
        ssize_t n = read_at(fd, head + have, len - have, have);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        have += (uint32_t)n;
    }
    return have;
}

/* Keeps head as long as what was handed out, up to its bound. */
static int head_extend(generation *g)
{
    uint32_t want = g->offset < INPUT_HEAD_BYTES ? (uint32_t)g->offset : INPUT_HEAD_BYTES;
    ssize_t n;

    if (g->head_len >= want)
        return 0;
    n = head_read(g->fd, g->head, want);
    if (n < 0)
        return HX_EIO;
    g->head_len = (uint32_t)n;
    return 0;
}

int generation_seek(generation *g, uint64_t offset, bool skipping)
{
    g->offset = offset;
    g->skipping = skipping;
    g->head_len = 0;
    return head_extend(g);
}

int generation_seek_end(generation *g)
{
    struct stat st;
    char last = '\n';

    if (fstat(g->fd, &st) ||
        (st.st_size > 0 && read_at(g->fd, &last, 1, (uint64_t)st.st_size - 1) < 0))
        return HX_EIO;
    return generation_seek(g, (uint64_t)st.st_size, last != '\n');
}

/* The file's name stands, but what is in it was truncated and written anew: its first bytes are no
 * longer those that were handed out. Looked at before each read, so that a file that grew past the
 * old offset again is noticed too. */
static bool rewritten(const generation *g)
{
    char head[INPUT_HEAD_BYTES];

    return g->head_len > 0 && (head_read(g->fd, head, g->head_len) != (ssize_t)g->head_len ||
                               memcmp(head, g->head, g->head_len) != 0);
}

static bool shrunk(const generation *g)
{
    struct stat st;

    return fstat(g->fd, &st) == 0 && (uint64_t)st.st_size < g->offset;
}

static void restart(generation *g, hx_source_counters *counters)
{
    g->offset = 0;
    g->head_len = 0;
    g->has_identity = false;
    g->skipping = false;
    counters->truncations++;
}

/* How many of the len bytes at buffer are whole lines to hand out; 0: wait for more. A line that
 * fills the buffer is cut: its rest is skipped later. */
static uint32_t whole_lines(generation *g, const char *buffer, uint32_t len, uint32_t capacity,
                            bool at_end, hx_source_counters *counters)
{
    const char *newline = memrchr(buffer, '\n', len);

    if (newline)
        return (uint32_t)(newline - buffer) + 1;
    if (len == capacity) {
        g->skipping = true;
        counters->truncated_lines++;
        return len;
    }
    return at_end ? len : 0;
}

static void hand_out(generation *g, uint32_t length, hx_source_counters *counters, hx_chunk *chunk)
{
    chunk->length = length;
    chunk->input = g->input;
    chunk->offset = g->offset;
    chunk->identity = g->identity;
    g->offset += length;
    counters->bytes += length;
    counters->chunks++;
}

/* After the rest of a line that is not wanted; false: its end is not there yet. */
static bool skip_line(generation *g, const char *buffer, size_t len)
{
    const char *newline = memchr(buffer, '\n', len);

    g->skipping = !newline;
    g->offset += newline ? (size_t)(newline - buffer) + 1 : len;
    return newline != NULL;
}

/* Reads NEAR_BYTES, and more only where they hold no end of a line: the room is as large as the
 * longest line may be, but what is read at once should still be in the cache when it is parsed. */
static ssize_t read_lines(int fd, char *buffer, uint32_t capacity, uint64_t offset)
{
    size_t len = capacity < NEAR_BYTES ? capacity : NEAR_BYTES;
    ssize_t n = read_at(fd, buffer, len, offset), more = n;

    while (more > 0 && (size_t)n == len && len < capacity && !memrchr(buffer, '\n', len)) {
        len = 2 * len < capacity ? 2 * len : capacity;
        more = read_at(fd, buffer + n, len - (size_t)n, offset + (size_t)n);
        n += more > 0 ? more : 0;
    }
    return n;
}

static int file_read(generation *g, const char *name, bool follow, char *buffer, uint32_t capacity,
                     hx_source_counters *counters, hx_chunk *chunk)
{
    bool at_end = !follow || g->last_call;
    char more;

    if (follow && rewritten(g))
        restart(g, counters);
    for (;;) {
        ssize_t n = read_lines(g->fd, buffer, capacity, g->offset);
        uint32_t length;

        if (n < 0) {
            counters->read_errors++;
            return at_end ? HX_EEND : HX_EAGAIN;
        }
        if (n == 0 && follow && shrunk(g)) {
            restart(g, counters);
            continue;
        }
        if (n == 0)
            return at_end ? HX_EEND : HX_EAGAIN;
        if (g->skipping) {
            skip_line(g, buffer, (size_t)n);
            continue;
        }
        length = whole_lines(g, buffer, (uint32_t)n, capacity, at_end, counters);
        if (length == 0)
            return HX_EAGAIN;
        if (at_end && buffer[length - 1] != '\n' && !g->skipping &&
            read_at(g->fd, &more, 1, g->offset + length) == 1)
            continue; /* it grew meanwhile: the line may be longer */
        if (!g->has_identity) {
            char head[INPUT_HEAD_BYTES];
            ssize_t len = head_read(g->fd, head, sizeof head);
            identity_set(g, name, head, len < 0 ? 0 : (size_t)len);
        }
        hand_out(g, length, counters, chunk);
        head_extend(g);
        return 0;
    }
}

/* --- streams: what was read cannot be read again, so an unfinished line is carried over ------ */

static bool carry_keep(generation *g, const char *bytes, uint32_t len)
{
    if (len > g->carry_room) {
        char *room = realloc(g->carry, len);
        if (!room)
            return false;
        g->carry = room;
        g->carry_room = len;
    }
    if (len)
        memcpy(g->carry, bytes, len);
    g->carry_len = len;
    return true;
}

static int stream_lines(generation *g, const char *name, char *buffer, uint32_t len,
                        uint32_t capacity, bool at_end, hx_source_counters *counters,
                        hx_chunk *chunk)
{
    uint32_t length;

    if (g->skipping) {
        uint64_t before = g->offset;
        uint32_t gone;

        skip_line(g, buffer, len);
        gone = (uint32_t)(g->offset - before);
        len -= gone;
        memmove(buffer, buffer + gone, len);
        if (len == 0)
            return HX_EAGAIN;
    }
    length = whole_lines(g, buffer, len, capacity, at_end, counters);
    if (length && !g->has_identity)
        identity_set(g, name, buffer, length < INPUT_HEAD_BYTES ? length : INPUT_HEAD_BYTES);
    if (!carry_keep(g, buffer + length, len - length)) {
        counters->truncated_lines++;
        g->offset += len - length;
        g->carry_len = 0;
        g->skipping = true;
    }
    if (length == 0)
        return HX_EAGAIN;
    hand_out(g, length, counters, chunk);
    return 0;
}

static int stream_read(generation *g, const char *name, char *buffer, uint32_t capacity,
                       hx_source_counters *counters, hx_chunk *chunk)
{
    uint32_t len = g->carry_len;
    ssize_t n;

    if (len >= capacity) { /* carried from a larger buffer than this one */
        memcpy(buffer, g->carry, capacity);
        g->offset += len - capacity;
        g->carry_len = 0;
        g->skipping = true;
        counters->truncated_lines++;
        if (!g->has_identity)
            identity_set(g, name, buffer, INPUT_HEAD_BYTES);
        hand_out(g, capacity, counters, chunk);
        return 0;
    }
    if (poll(&(struct pollfd){.fd = g->fd, .events = POLLIN}, 1, 0) == 0)
        return HX_EAGAIN; /* reading would wait */
    if (len)
        memcpy(buffer, g->carry, len);
    n = read(g->fd, buffer + len, capacity - len);
    if (n < 0) {
        if (errno == EINTR || errno == EAGAIN)
            return HX_EAGAIN;
        counters->read_errors++;
        n = 0;
    }
    if (n == 0 && (len == 0 || g->skipping))
        return HX_EEND;
    g->carry_len = 0;
    return stream_lines(g, name, buffer, len + (uint32_t)n, capacity, n == 0, counters, chunk);
}

int generation_read(generation *g, const char *name, bool follow, char *buffer, uint32_t capacity,
                    hx_source_counters *counters, hx_chunk *chunk)
{
    if (g->stream)
        return stream_read(g, name, buffer, capacity, counters, chunk);
    return file_read(g, name, follow, buffer, capacity, counters, chunk);
}
