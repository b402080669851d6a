#include "readers.h"

#include <haechi/pages.h>
#include <haechi/ring.h>

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BLOCK_BYTES (256u << 10)
/* Of each thread: a small one for each port in turn, or 16 MiB where the engine is slow. */
#define BLOCKS 64

typedef struct block {
    hx_chunk chunk;
    uint32_t at; /* bytes handed out */
    char *bytes;
} block;

typedef struct reader {
    hx_ring full, empty; /* blocks to hx_source_read and back */
    readers *home;
    receiver *receiver;
    char *memory;
    pthread_t thread;
    bool started;
    _Atomic bool ended;
    block blocks[BLOCKS];
} reader;

struct readers {
    reader *reader; /* [count] */
    uint32_t count, turn;
    block *current; /* begun, of reader[turn] */
    load load;
    int ready_fd; /* tells the reading thread that waits */
    int stop_fd;  /* readable for good once the threads are to end */
    _Atomic bool waiting, finishing, stopping;
};

/* --- a thread -------------------------------------------------------------------------------- */

static void wait_for_messages(reader *r)
{
    struct pollfd *fds = r->receiver->fds;
    uint32_t n;

    if (load_is_high(&r->receiver->load)) {
        receiver_nap();
        return;
    }
    fds[0] = (struct pollfd){.fd = r->home->stop_fd, .events = POLLIN};
    n = receiver_fds(r->receiver, fds + 1);
    (void)poll(fds, n + 1, 100);
}

static void hand_over(reader *r, block *b)
{
    const uint64_t one = 1;

    b->at = 0;
    hx_ring_push(&r->full, b); /* has room for all blocks there are */
    /* Both sides exchange: of two exchanges one sees the other. So whoever waits has seen the push,
     * or is woken. */
    if (atomic_exchange(&r->home->waiting, false))
        (void)!write(r->home->ready_fd, &one, sizeof one);
}

static void *receive(void *arg)
{
    reader *r = arg;
    block *b = NULL;

    while (!atomic_load_explicit(&r->home->stopping, memory_order_relaxed)) {
        bool finishing = atomic_load_explicit(&r->home->finishing, memory_order_relaxed);

        receiver_refresh(r->receiver, false);
        b = b ? b : hx_ring_pop(&r->empty);
        if (!b) { /* the engine is behind: what comes waits in the kernel, or is dropped there */
            receiver_nap();
            continue;
        }
        if (receiver_read(r->receiver, b->bytes, BLOCK_BYTES, &b->chunk) == 0) {
            hand_over(r, b);
            b = NULL;
        } else if (!finishing) {
            wait_for_messages(r);
        } else if (!receiver_has_more(r->receiver)) {
            break;
        }
    }
    receiver_refresh(r->receiver, true);
    atomic_store_explicit(&r->ended, true, memory_order_release);
    return NULL;
}

/* --- making ---------------------------------------------------------------------------------- */

static int reader_init(reader *r, readers *home, receiver *own)
{
    r->home = home;
    r->receiver = own;
    r->memory = malloc((size_t)BLOCKS * BLOCK_BYTES); /* paid for where it is touched */
    if (hx_ring_init(&r->full, BLOCKS) || hx_ring_init(&r->empty, BLOCKS) || !r->memory)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        r->blocks[i].bytes = r->memory + (size_t)i * BLOCK_BYTES;
        hx_ring_push(&r->empty, &r->blocks[i]);
    }
    return 0;
}

int readers_create(receiver *receivers, uint32_t count, readers **out, hx_error *err)
{
    readers *r = calloc(1, sizeof *r);
    int rc = HX_ENOMEM;

    *out = NULL;
    if (!r)
        return hx_error_set(err, rc, "readers: out of memory");
    r->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->reader = aligned_alloc(_Alignof(reader), count * sizeof *r->reader);
    if (!r->reader)
        goto fail;
    memset(r->reader, 0, count * sizeof *r->reader);
    r->count = count;
    for (uint32_t i = 0; i < count; i++)
        if ((rc = reader_init(&r->reader[i], r, &receivers[i])))
            goto fail;
    rc = HX_EIO;
    for (uint32_t i = 0; i < count; i++) {
        if (pthread_create(&r->reader[i].thread, NULL, receive, &r->reader[i]) != 0)
            goto fail;
        r->reader[i].started = true;
    }
    *out = r;
    return 0;
fail:
    readers_destroy(r);
    return hx_error_set(err, rc, "readers: %s",
                        rc == HX_ENOMEM ? "out of memory" : "cannot start a thread");
}

void readers_destroy(readers *r)
{
    if (!r)
        return;
    readers_stop(r);
    for (uint32_t i = 0; i < r->count; i++) {
        hx_ring_free(&r->reader[i].full);
        hx_ring_free(&r->reader[i].empty);
        free(r->reader[i].memory);
    }
    if (r->ready_fd >= 0)
        close(r->ready_fd);
    if (r->stop_fd >= 0)
        close(r->stop_fd);
    free(r->reader);
    free(r);
}

/* --- the reading thread's side --------------------------------------------------------------- */

/* The next block, readers in turn. */
static block *next_block(readers *r)
{
    for (uint32_t i = 0; i < r->count && !r->current; i++) {
        r->turn = r->turn + 1 < r->count ? r->turn + 1 : 0;
        r->current = hx_ring_pop(&r->reader[r->turn].full);
    }
    return r->current;
}

/* The lines of a block that fit. *skip: bytes of a cut line that go with them. */
static uint32_t fitting(const block *b, uint32_t capacity, uint32_t *skip)
{
    const char *from = b->bytes + b->at, *newline;
    uint32_t left = b->chunk.length - b->at;

    *skip = 0;
    if (left <= capacity)
        return left;
    newline = memrchr(from, '\n', capacity);
    if (newline)
        return (uint32_t)(newline - from) + 1;
    newline = memchr(from, '\n', left);
    *skip = (newline ? (uint32_t)(newline - from) + 1 : left) - capacity;
    return capacity;
}

/* The holes of a block that lie in n bytes of it, from those that are handed out on. Of a block in
 * several pieces each piece has all between the first and the last one. */
static void note_holes(const block *b, uint32_t n, hx_chunk *chunk)
{
    const hx_chunk *in = &b->chunk;
    const uint32_t until = b->at + n, first = in->first_hole > b->at ? in->first_hole : b->at;
    const uint32_t last = in->last_hole < until ? in->last_hole : until;

    if (!in->holes || first > last || (first == until && until < in->length))
        return;
    hx_chunk_note_hole(chunk, chunk->length + first - b->at);
    if (in->holes > 1)
        hx_chunk_note_hole(chunk, chunk->length + last - b->at);
    chunk->holes += in->holes > 2 ? in->holes - 2 : 0;
}

/* Copies what fits of the current block behind what the chunk has; gives it back where that was all
 * of it. */
static void take_of_block(readers *r, char *buffer, uint32_t capacity, uint64_t *truncated,
                          hx_chunk *chunk)
{
    block *b = r->current;
    uint32_t skip, n = fitting(b, capacity - chunk->length, &skip);

    buffer += chunk->length;
    memcpy(buffer, b->bytes + b->at, n);
    note_holes(b, n, chunk);
    chunk->length += n;
    if (skip) {
        buffer[n - 1] = '\n';
        ++*truncated;
    }
    b->at += n + skip;
    if (b->at == b->chunk.length) {
        hx_ring_push(&r->reader[r->turn].empty, b);
        r->current = NULL;
    }
}

int readers_read(readers *r, char *buffer, uint32_t capacity, uint64_t *truncated, hx_chunk *chunk)
{
    if (!next_block(r))
        return HX_EAGAIN;
    *chunk = r->current->chunk;
    chunk->length = chunk->holes = 0;
    take_of_block(r, buffer, capacity, truncated, chunk);
    /* More of the same port goes with it: larger chunks cost less a line. */
    while (!r->current && (r->current = hx_ring_pop(&r->reader[r->turn].full)) != NULL &&
           r->current->chunk.input == chunk->input &&
           r->current->chunk.length <= capacity - chunk->length)
        take_of_block(r, buffer, capacity, truncated, chunk);
    r->load.bytes += chunk->length;
    return 0;
}

bool readers_busy(readers *r)
{
    return load_is_high(&r->load);
}

void readers_finish(readers *r)
{
    const uint64_t one = 1;

    atomic_store(&r->finishing, true);
    (void)!write(r->stop_fd, &one, sizeof one);
}

bool readers_finished(readers *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (!atomic_load_explicit(&r->reader[i].ended, memory_order_acquire))
            return false;
    return true;
}

void readers_stop(readers *r)
{
    atomic_store(&r->stopping, true);
    readers_finish(r);
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->reader[i].started)
            pthread_join(r->reader[i].thread, NULL);
        r->reader[i].started = false;
    }
}

int readers_fd(const readers *r)
{
    return r->ready_fd;
}

bool readers_wait_begin(readers *r)
{
    atomic_exchange(&r->waiting, true);
    return next_block(r) != NULL;
}

void readers_wait_end(readers *r)
{
    uint64_t wakes;

    atomic_store(&r->waiting, false);
    (void)!read(r->ready_fd, &wakes, sizeof wakes);
}
