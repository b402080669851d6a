/* The stats page: a file that a tool maps and others read while it runs, with no lock and no
 * message. It describes itself, so that a reader needs no copy of the layout. All numbers
 * little-endian:
 *
 *   header   char magic[8] "HXSTATS1"; u32 entry_count; u32 entry_bytes (64); u32 workers;
 *            u32 pid; u64 started_us (CLOCK_REALTIME); u64 total_bytes; char tool[24]
 *   entries  entry_count times: char name[40]; u32 kind; u32 worker; u64 offset; u64 reserved
 *   values   at the entries' offsets; a worker's values share no cache line with another's
 *
 * kind 1: a counter, u64, only ever grows. kind 2: a gauge, i64. kind 3: a histogram:
 * u64 count, u64 sum, u64 max, then HX_HISTOGRAM_BUCKETS u64 counts. worker is 0 .. workers-1, or
 * UINT32_MAX for the tool as a whole. Counters of the same name add up over workers, and so do
 * histograms, bucket by bucket.
 */
#ifndef HAECHI_STATS_H
#define HAECHI_STATS_H

#include <haechi/error.h>
#include <haechi/text.h>

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { HX_STAT_COUNTER = 1, HX_STAT_GAUGE = 2, HX_STAT_HISTOGRAM = 3 };

#define HX_STATS_TOOL UINT32_MAX

/* Log-linear: values below 16 have a bucket each; above, every power of two has 16. A value v >= 16
 * with its top bit at position e is in bucket (e - 3) * 16 + ((v >> (e - 4)) & 15). Relative error
 * at most 1/16; covers up to 2^40. */
#define HX_HISTOGRAM_BUCKETS 592

typedef struct hx_histogram {
    _Atomic uint64_t count, sum, max;
    _Atomic uint64_t bucket[HX_HISTOGRAM_BUCKETS];
} hx_histogram;

typedef struct hx_stat_def {
    const char *name; /* at most 39 characters, with its unit */
    int kind;
} hx_stat_def;

typedef struct hx_stats hx_stats;

/* Maps a page with every def for every worker and every tool_def once. path NULL: memory only. The
 * file is made anew (mode 600). HX_EIO with a sentence in err. */
int hx_stats_create(const char *path, const char *tool, uint32_t workers, const hx_stat_def *defs,
                    uint32_t def_count, const hx_stat_def *tool_defs, uint32_t tool_def_count,
                    hx_stats **out, hx_error *err);
/* Unmaps; the file stays, with the last values, for whoever comes to look. NULL is fine. */
void hx_stats_destroy(hx_stats *stats);

/* The place of a value: defs[index] of a worker, or tool_defs[index] for HX_STATS_TOOL. */
_Atomic uint64_t *hx_stats_value(hx_stats *stats, uint32_t worker, uint32_t index);
hx_histogram *hx_stats_histogram(hx_stats *stats, uint32_t worker, uint32_t index);

/* The sum of defs[index] over all workers. */
uint64_t hx_stats_total(hx_stats *stats, uint32_t index);

/* Adds every worker's histogram at defs[index] into *sum (not cleared first). */
void hx_stats_merge(hx_stats *stats, uint32_t index, hx_histogram *sum);

/* One writer for each value, so a relaxed load and store do. */
static inline void hx_stat_add(_Atomic uint64_t *value, uint64_t n)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void hx_stat_set(_Atomic uint64_t *value, uint64_t n)
{
    atomic_store_explicit(value, n, memory_order_relaxed);
}

static inline uint32_t hx_histogram_bucket(uint64_t v)
{
    uint32_t e, b;

    if (v < 16)
        return (uint32_t)v;
    e = 63 - (uint32_t)__builtin_clzll(v);
    b = (e - 3) * 16 + (uint32_t)((v >> (e - 4)) & 15);
    return b < HX_HISTOGRAM_BUCKETS ? b : HX_HISTOGRAM_BUCKETS - 1;
}

/* The smallest value of a bucket. */
uint64_t hx_histogram_floor(uint32_t bucket);
void hx_histogram_record(hx_histogram *h, uint64_t v);
/* As often as that. */
void hx_histogram_record_many(hx_histogram *h, uint64_t v, uint64_t times);
/* Adds a part to *sum, bucket by bucket. The part's thread may go on recording. */
void hx_histogram_add(hx_histogram *sum, const hx_histogram *part);
/* Appends {"count", "avg", "p50", "p95", "p99", "p999", "max"}. */
void hx_histogram_json(const hx_histogram *h, hx_text *out);
/* The value below which a share q (0..1) of the recorded ones lie, to the bucket's upper edge; 0
 * when empty. */
uint64_t hx_histogram_quantile(const hx_histogram *h, double q);

#endif
