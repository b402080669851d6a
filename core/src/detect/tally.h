/* How often each log key came, and the line it came in last: what a template explorer shows.
 *
 * A tally belongs to a loaded bundle, since its numbers are that bundle's log keys: with another
 * bundle, all counts start anew, and since_us says when that was. A template that both have starts
 * anew too: shares, and what a bundle does not know, are then of the lines that it has read itself.
 * Neither outlives the process; no checkpoint has them.
 *
 * Counts are each worker's own, on cache lines of its own. Examples are all workers' together: a
 * key's first line is kept, and after that another one about once a second. Nobody waits for
 * anybody: a worker that finds a slot being written passes it over, a reader looks again.
 *
 * Memory: 8 bytes a log key and worker, and 288 a log key that has come: with 10,000 templates and
 * four workers 3.2 MB at most. */
#ifndef HAECHI_DETECT_TALLY_H
#define HAECHI_DETECT_TALLY_H

#include <haechi/error.h>
#include <haechi/slice.h>
#include <haechi/template.h>

#include <stdatomic.h>

#define HX_EXAMPLE_BYTES    256
#define HX_EXAMPLE_EVERY_US 1000000

/* Where and when a line was read. */
typedef struct hx_line_place {
    int64_t at_us;   /* CLOCK_REALTIME */
    uint64_t offset; /* in its input */
    uint32_t input;  /* for hx_source_input_name */
} hx_line_place;

/* One line as it stood in its source, control bytes and all; whoever shows it escapes them. */
typedef struct hx_example {
    hx_line_place place;
    uint32_t length; /* of the whole line; more than HX_EXAMPLE_BYTES: text is its beginning */
    char text[HX_EXAMPLE_BYTES];
} hx_example;

typedef struct hx_tally hx_tally;

/* For the log keys 0 .. keys-1 and HX_KEY_UNSEEN, and no other number. HX_ENOMEM. */
int hx_tally_create(uint32_t keys, uint32_t workers, hx_tally **out);
void hx_tally_destroy(hx_tally *tally); /* NULL is fine */

/* --- the worker's side: one thread a worker ----------------------------------------------------
 */

/* Where a worker counts. Counted is a line that makes events, once; of HX_FRONT_KEYS each event. */
_Atomic uint64_t *hx_tally_counts(hx_tally *tally, uint32_t worker);

/* Counts one line and says whether it is the worker's first with this key. HX_KEY_UNSEEN, the
 * largest number there is, comes to stand before key 0 without being asked for. */
static inline bool hx_tally_count(_Atomic uint64_t *counts, uint32_t key)
{
    _Atomic uint64_t *count = &counts[(uint32_t)(key + 1)];
    uint64_t before = atomic_load_explicit(count, memory_order_relaxed);

    atomic_store_explicit(count, before + 1, memory_order_relaxed);
    return before == 0;
}

/* Whether the worker's examples are to be looked through in a batch that came at this time; at most
 * once in HX_EXAMPLE_EVERY_US. */
bool hx_tally_due(hx_tally *tally, uint32_t worker, int64_t at_us);

/* Keeps the line where the key has no example, or one that is HX_EXAMPLE_EVERY_US older. */
void hx_tally_show(hx_tally *tally, uint32_t key, const hx_line_place *place, hx_slice line);

/* --- the reader's side: any thread -------------------------------------------------------------
 */

uint32_t hx_tally_keys(const hx_tally *tally);
int64_t hx_tally_since_us(const hx_tally *tally); /* CLOCK_REALTIME when its bundle was loaded */

/* Of all workers. */
uint64_t hx_tally_total(hx_tally *tally, uint32_t key);

/* A whole example, or false where there is none (or, after a thousand looks, none that holds
 * still). */
bool hx_tally_example(hx_tally *tally, uint32_t key, hx_example *out);

#endif
