#include <haechi/stats.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CACHE_LINE 64

typedef struct page_header {
    char magic[8];
    uint32_t entry_count, entry_bytes, workers, pid;
    uint64_t started_us, total_bytes;
    char tool[24];
} page_header;

typedef struct page_entry {
    char name[40];
    uint32_t kind, worker;
    uint64_t offset, reserved;
} page_entry;

_Static_assert(sizeof(page_header) == 64 && sizeof(page_entry) == 64, "the layout is documented");

struct hx_stats {
    unsigned char *page;
    size_t bytes;
    uint32_t workers, def_count, tool_def_count;
    const page_entry *entries; /* workers x def_count, then tool_def_count */
};

static size_t value_bytes(int kind)
{
    return kind == HX_STAT_HISTOGRAM ? sizeof(hx_histogram) : sizeof(uint64_t);
}

static size_t line_up(size_t n)
{
    return (n + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

static size_t block_bytes(const hx_stat_def *defs, uint32_t count)
{
    size_t n = 0;

    for (uint32_t i = 0; i < count; i++)
        n += value_bytes(defs[i].kind);
    return line_up(n);
}

static page_entry *fill_block(page_entry *entry, uint64_t *offset, uint32_t worker,
                              const hx_stat_def *defs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, entry++) {
        strncpy(entry->name, defs[i].name, sizeof entry->name - 1);
        entry->kind = (uint32_t)defs[i].kind;
        entry->worker = worker;
        entry->offset = *offset;
        *offset += value_bytes(defs[i].kind);
    }
    *offset = line_up(*offset);
    return entry;
}

static int map_page(const char *path, size_t bytes, unsigned char **page, hx_error *err)
{
    int flags = path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;

    if (path) {
        /* A reader of an earlier run may still have the old file mapped: leave it that one. */
        unlink(path);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || posix_fallocate(fd, 0, (off_t)bytes) != 0) {
            int rc = hx_error_set(err, HX_EIO, "stats page %s: %s", path, strerror(errno));
            if (fd >= 0)
                close(fd);
            return rc;
        }
    }
    *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (fd >= 0)
        close(fd);
    if (*page == MAP_FAILED) {
        *page = NULL;
        return hx_error_set(err, HX_EIO, "stats page: cannot map %zu bytes: %s", bytes,
                            strerror(errno));
    }
    return 0;
}

int hx_stats_create(const char *path, const char *tool, uint32_t workers, const hx_stat_def *defs,
                    uint32_t def_count, const hx_stat_def *tool_defs, uint32_t tool_def_count,
                    hx_stats **out, hx_error *err)
{
    size_t entries = (size_t)workers * def_count + tool_def_count;
    size_t table = sizeof(page_header) + entries * sizeof(page_entry);
    size_t bytes = line_up(table) + workers * block_bytes(defs, def_count) +
                   block_bytes(tool_defs, tool_def_count);
    hx_stats *s = calloc(1, sizeof *s);
    page_header *header;
    page_entry *entry;
    uint64_t offset = line_up(table);
    struct timespec now;
    int rc;

    if (!s)
        return hx_error_set(err, HX_ENOMEM, "stats page: out of memory");
    rc = map_page(path, bytes, &s->page, err);
    if (rc) {
        free(s);
        return rc;
    }
    s->bytes = bytes;
    s->workers = workers;
    s->def_count = def_count;
    s->tool_def_count = tool_def_count;
    header = (page_header *)s->page;
    entry = (page_entry *)(s->page + sizeof *header);
    s->entries = entry;
    for (uint32_t w = 0; w < workers; w++)
        entry = fill_block(entry, &offset, w, defs, def_count);
    fill_block(entry, &offset, HX_STATS_TOOL, tool_defs, tool_def_count);
    clock_gettime(CLOCK_REALTIME, &now);
    header->entry_count = (uint32_t)entries;
    header->entry_bytes = sizeof(page_entry);
    header->workers = workers;
    header->pid = (uint32_t)getpid();
    header->started_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    header->total_bytes = bytes;
    strncpy(header->tool, tool, sizeof header->tool - 1);
    /* Last, so that a reader that sees the magic sees a finished table. */
    atomic_thread_fence(memory_order_release);
    memcpy(header->magic, "HXSTATS1", 8);
    *out = s;
    return 0;
}

void hx_stats_destroy(hx_stats *stats)
{
    if (!stats)
        return;
    munmap(stats->page, stats->bytes);
    free(stats);
}

static void *place(hx_stats *stats, uint32_t worker, uint32_t index)
{
    size_t row = worker == HX_STATS_TOOL ? (size_t)stats->workers * stats->def_count + index
                                         : (size_t)worker * stats->def_count + index;

    return stats->page + stats->entries[row].offset;
}

_Atomic uint64_t *hx_stats_value(hx_stats *stats, uint32_t worker, uint32_t index)
{
    return place(stats, worker, index);
}

hx_histogram *hx_stats_histogram(hx_stats *stats, uint32_t worker, uint32_t index)
{
    return place(stats, worker, index);
}

uint64_t hx_stats_total(hx_stats *stats, uint32_t index)
{
    uint64_t sum = 0;

    for (uint32_t w = 0; w < stats->workers; w++)
        sum += atomic_load_explicit(hx_stats_value(stats, w, index), memory_order_relaxed);
    return sum;
}

void hx_stats_merge(hx_stats *stats, uint32_t index, hx_histogram *sum)
{
    for (uint32_t w = 0; w < stats->workers; w++)
        hx_histogram_add(sum, hx_stats_histogram(stats, w, index));
}

void hx_histogram_add(hx_histogram *sum, const hx_histogram *part)
{
    uint64_t max = atomic_load_explicit(&part->max, memory_order_relaxed);

    hx_stat_add(&sum->count, atomic_load_explicit(&part->count, memory_order_relaxed));
    hx_stat_add(&sum->sum, atomic_load_explicit(&part->sum, memory_order_relaxed));
    if (max > atomic_load_explicit(&sum->max, memory_order_relaxed))
        hx_stat_set(&sum->max, max);
    for (uint32_t b = 0; b < HX_HISTOGRAM_BUCKETS; b++)
        hx_stat_add(&sum->bucket[b], atomic_load_explicit(&part->bucket[b], memory_order_relaxed));
}

void hx_histogram_json(const hx_histogram *h, hx_text *out)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}};
    uint64_t count = atomic_load(&h->count);

    hx_text_printf(out, "{\"count\": %llu, \"avg\": %.9g", (unsigned long long)count,
                   count ? (double)atomic_load(&h->sum) / (double)count : 0);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        hx_text_json_key(out, quantiles[i].name);
        hx_text_printf(out, "%llu", (unsigned long long)hx_histogram_quantile(h, quantiles[i].q));
    }
    hx_text_json_key(out, "max");
    hx_text_printf(out, "%llu}", (unsigned long long)atomic_load(&h->max));
}

uint64_t hx_histogram_floor(uint32_t bucket)
{
    uint32_t e;

    if (bucket < 16)
        return bucket;
    e = bucket / 16 + 3;
    return (uint64_t)(16 + bucket % 16) << (e - 4);
}

void hx_histogram_record(hx_histogram *h, uint64_t v)
{
    hx_histogram_record_many(h, v, 1);
}

void hx_histogram_record_many(hx_histogram *h, uint64_t v, uint64_t times)
{
    if (!times)
        return;
    hx_stat_add(&h->count, times);
    hx_stat_add(&h->sum, v * times);
    hx_stat_add(&h->bucket[hx_histogram_bucket(v)], times);
    if (v > atomic_load_explicit(&h->max, memory_order_relaxed))
        hx_stat_set(&h->max, v);
}

uint64_t hx_histogram_quantile(const hx_histogram *h, double q)
{
    uint64_t total = 0, seen = 0, want;

    for (uint32_t b = 0; b < HX_HISTOGRAM_BUCKETS; b++)
        total += atomic_load_explicit(&h->bucket[b], memory_order_relaxed);
    if (total == 0)
        return 0;
    want = (uint64_t)(q * (double)total + 0.999999);
    if (want < 1)
        want = 1;
    for (uint32_t b = 0; b < HX_HISTOGRAM_BUCKETS; b++) {
        seen += atomic_load_explicit(&h->bucket[b], memory_order_relaxed);
        if (seen >= want) {
            uint64_t edge = b < 15 ? b : hx_histogram_floor(b + 1) - 1;
            return edge < h->max ? edge : h->max;
        }
    }
    return h->max;
}
