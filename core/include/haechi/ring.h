/* A ring of pointers from one producer thread to one consumer thread. No lock, no allocation after
 * creation; full and empty are answers, not waits. */
#ifndef HAECHI_RING_H
#define HAECHI_RING_H

#include <haechi/error.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct hx_ring {
    void **slot;
    uint32_t mask;
    /* Each side keeps its own position and what it last saw of the other's on a cache line of its
     * own, so that the line travels between the cores only when a side runs into its old view. */
    _Alignas(64) _Atomic uint32_t head; /* next to write; the producer's */
    uint32_t tail_seen;
    _Alignas(64) _Atomic uint32_t tail; /* next to read; the consumer's */
    uint32_t head_seen;
} hx_ring;

/* capacity is rounded up to a power of two. 0 or HX_ENOMEM. */
static inline int hx_ring_init(hx_ring *ring, uint32_t capacity)
{
    uint32_t n = 2;

    while (n < capacity)
        n *= 2;
    ring->slot = calloc(n, sizeof *ring->slot);
    ring->mask = n - 1;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->tail_seen = ring->head_seen = 0;
    return ring->slot ? 0 : HX_ENOMEM;
}

static inline void hx_ring_free(hx_ring *ring)
{
    free(ring->slot);
    ring->slot = NULL;
}

/* false when full. The consumer sees all that was written before the push. */
static inline bool hx_ring_push(hx_ring *ring, void *item)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (head - ring->tail_seen > ring->mask) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head - ring->tail_seen > ring->mask)
            return false;
    }
    ring->slot[head & ring->mask] = item;
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

/* NULL when empty. */
static inline void *hx_ring_pop(hx_ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    void *item;

    if (tail == ring->head_seen) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail == ring->head_seen)
            return NULL;
    }
    item = ring->slot[tail & ring->mask];
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return item;
}

#endif
