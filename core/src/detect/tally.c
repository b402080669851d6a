#include "detect/tally.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define CACHE_LINE          64
#define WORDS               (HX_EXAMPLE_BYTES / sizeof(uint64_t))
#define LOOKS_AT_AN_EXAMPLE 1000

/* An example behind a sequence lock: version is odd while a worker writes. All of it is atomic,
 * because readers look while it changes; stores release and loads acquire, so that who saw a part
 * of a newer text sees the newer version as well. */
typedef struct slot {
    _Atomic uint32_t version;
    _Atomic uint32_t input;
    _Atomic uint32_t length;
    _Atomic int64_t at_us; /* 0: there is no example */
    _Atomic uint64_t offset;
    _Atomic uint64_t text[WORDS];
} slot;

typedef struct turn {
    _Alignas(CACHE_LINE) int64_t due_us; /* of one worker's looking through a batch */
} turn;

struct hx_tally {
    uint32_t keys, workers;
    int64_t since_us;
    size_t stride;            /* in counts, a whole number of cache lines */
    _Atomic uint64_t *counts; /* [workers][stride]; a key's is at key + 1 */
    turn *turns;
    slot *slots; /* [keys + 1]; a key's is at key + 1 */
};

static void *on_lines_of_its_own(size_t bytes)
{
    size_t whole = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *p = aligned_alloc(CACHE_LINE, whole);

    if (p)
        memset(p, 0, whole);
    return p;
}

int hx_tally_create(uint32_t keys, uint32_t workers, hx_tally **out)
{
    const size_t per_line = CACHE_LINE / sizeof(uint64_t);
    struct timespec now;
    hx_tally *t = calloc(1, sizeof *t);

    if (!t)
        return HX_ENOMEM;
    clock_gettime(CLOCK_REALTIME, &now);
    t->since_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    t->keys = keys;
    t->workers = workers;
    t->stride = ((size_t)keys + 1 + per_line - 1) / per_line * per_line;
    t->counts = on_lines_of_its_own(workers * t->stride * sizeof *t->counts);
    t->turns = on_lines_of_its_own(workers * sizeof *t->turns);
    t->slots = calloc((size_t)keys + 1, sizeof *t->slots);
    if (!t->counts || !t->turns || !t->slots) {
        hx_tally_destroy(t);
        return HX_ENOMEM;
    }
    *out = t;
    return 0;
}

void hx_tally_destroy(hx_tally *tally)
{
    if (!tally)
        return;
    free(tally->counts);
    free(tally->turns);
    free(tally->slots);
    free(tally);
}

/* --- the worker's side -------------------------------------------------------------------------
 */

_Atomic uint64_t *hx_tally_counts(hx_tally *tally, uint32_t worker)
{
    return tally->counts + worker * tally->stride;
}

bool hx_tally_due(hx_tally *tally, uint32_t worker, int64_t at_us)
{
    int64_t *due_us = &tally->turns[worker].due_us;

    /* A clock that was set back must not end it for hours. */
    if (at_us < *due_us && at_us > *due_us - 2 * HX_EXAMPLE_EVERY_US)
        return false;
    *due_us = at_us + HX_EXAMPLE_EVERY_US;
    return true;
}

static void put_text(slot *s, hx_slice line)
{
    uint64_t words[WORDS] = {0};
    uint32_t len = line.len < HX_EXAMPLE_BYTES ? line.len : HX_EXAMPLE_BYTES;

    memcpy(words, line.ptr, len);
    for (uint32_t i = 0; i < (len + sizeof words[0] - 1) / sizeof words[0]; i++)
        atomic_store_explicit(&s->text[i], words[i], memory_order_release);
}

void hx_tally_show(hx_tally *tally, uint32_t key, const hx_line_place *place, hx_slice line)
{
    slot *s = &tally->slots[(uint32_t)(key + 1)];
    uint32_t version = atomic_load_explicit(&s->version, memory_order_relaxed);
    int64_t have_us = atomic_load_explicit(&s->at_us, memory_order_relaxed);

    if (have_us && place->at_us < have_us + HX_EXAMPLE_EVERY_US &&
        place->at_us > have_us - HX_EXAMPLE_EVERY_US)
        return;
    if (version & 1 ||
        !atomic_compare_exchange_strong_explicit(&s->version, &version, version + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return;
    atomic_store_explicit(&s->input, place->input, memory_order_release);
    atomic_store_explicit(&s->offset, place->offset, memory_order_release);
    atomic_store_explicit(&s->length, line.len, memory_order_release);
    put_text(s, line);
    atomic_store_explicit(&s->at_us, place->at_us, memory_order_release);
    atomic_store_explicit(&s->version, version + 2, memory_order_release);
}

/* --- the reader's side -------------------------------------------------------------------------
 */

uint32_t hx_tally_keys(const hx_tally *tally)
{
    return tally->keys;
}

int64_t hx_tally_since_us(const hx_tally *tally)
{
    return tally->since_us;
}

uint64_t hx_tally_total(hx_tally *tally, uint32_t key)
{
    uint64_t sum = 0;

    for (uint32_t w = 0; w < tally->workers; w++)
        sum += atomic_load_explicit(&hx_tally_counts(tally, w)[(uint32_t)(key + 1)],
                                    memory_order_relaxed);
    return sum;
}

/* False while, or if meanwhile, a worker writes. */
static bool take_whole(slot *s, hx_example *out)
{
    uint32_t version = atomic_load_explicit(&s->version, memory_order_acquire);
    uint64_t words[WORDS];

    if (version & 1)
        return false;
    out->place.at_us = atomic_load_explicit(&s->at_us, memory_order_acquire);
    out->place.input = atomic_load_explicit(&s->input, memory_order_acquire);
    out->place.offset = atomic_load_explicit(&s->offset, memory_order_acquire);
    out->length = atomic_load_explicit(&s->length, memory_order_acquire);
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = atomic_load_explicit(&s->text[i], memory_order_acquire);
    memcpy(out->text, words, sizeof words);
    return atomic_load_explicit(&s->version, memory_order_relaxed) == version;
}

bool hx_tally_example(hx_tally *tally, uint32_t key, hx_example *out)
{
    for (uint32_t looks = 0; looks < LOOKS_AT_AN_EXAMPLE; looks++) {
        if (take_whole(&tally->slots[(uint32_t)(key + 1)], out))
            return out->place.at_us != 0;
        sched_yield();
    }
    return false;
}
