#include "send/bins.h"

#include <sys/mman.h>

int hx_bins_init(hx_bins *bins, uint32_t lines_max)
{
    size_t bytes = 0;

    *bins = (hx_bins){0};
    for (uint32_t length = 1; length < HX_LINE_ROOM; length++) {
        uint32_t fit = HX_BIN_BYTES_MAX / length;

        bins->bin[length].capacity = fit < lines_max ? fit : lines_max;
        /* Copies in whole blocks reach past the last line. */
        bytes += (size_t)bins->bin[length].capacity * length + HX_LINE_ROOM;
    }
    bins->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bins->memory == MAP_FAILED) {
        bins->memory = NULL;
        return HX_ENOMEM;
    }
    bins->memory_bytes = bytes;
    char *at = bins->memory;
    for (uint32_t length = 1; length < HX_LINE_ROOM; length++) {
        bins->bin[length].lines = at;
        at += (size_t)bins->bin[length].capacity * length + HX_LINE_ROOM;
    }
    return 0;
}

void hx_bins_free(hx_bins *bins)
{
    if (bins->memory)
        munmap(bins->memory, bins->memory_bytes);
    bins->memory = NULL;
}

static void bin_reset(hx_bin *bin)
{
    bin->count = 0;
    bin->probe_ns = 0;
}

void hx_bins_clear(hx_bins *bins, uint32_t length)
{
    uint32_t i = 0;

    bin_reset(&bins->bin[length]);
    while (bins->used[i] != length)
        i++;
    bins->used_count--;
    memmove(&bins->used[i], &bins->used[i + 1], (bins->used_count - i) * sizeof *bins->used);
}

void hx_bins_clear_all(hx_bins *bins)
{
    for (uint32_t i = 0; i < bins->used_count; i++)
        bin_reset(&bins->bin[bins->used[i]]);
    bins->used_count = 0;
}
