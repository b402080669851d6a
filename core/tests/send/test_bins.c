#include "../check.h"
#include "send/bins.h"

static hx_bins bins;
static char line[HX_LINE_ROOM + 64];

static void write_line(uint32_t length, uint32_t n)
{
    for (uint32_t i = 0; i < length; i++)
        line[i] = (char)('a' + (length + n + i) % 26);
    memset(line + length, '#', sizeof line - length); /* what a copy in blocks takes along */
}

static void check_line(uint32_t length, uint32_t n)
{
    write_line(length, n);
    CHECK_BYTES(bins.bin[length].lines + (size_t)n * length, length, line, length);
}

/* Every length as often as its bin holds: all side by side, none over its neighbour's. */
static void test_every_length(void)
{
    for (uint32_t length = 1; length < HX_LINE_ROOM; length++) {
        hx_bin *bin = &bins.bin[length];

        CHECK(bin->capacity >= 1 && bin->capacity <= HX_BIN_LINES_MAX);
        CHECK((size_t)bin->capacity * length <= HX_BIN_BYTES_MAX);
        CHECK(bin->capacity == HX_BIN_LINES_MAX ||
              (size_t)(bin->capacity + 1) * length > HX_BIN_BYTES_MAX);
        for (uint32_t n = 0; n < bin->capacity; n++) {
            write_line(length, n);
            CHECK_INT(hx_bins_put(&bins, line, length, 1000 + n), n + 1 == bin->capacity);
        }
        CHECK_INT(bin->first_ns, 1000);
    }
    CHECK_INT(bins.used_count, HX_LINE_ROOM - 1);
    for (uint32_t length = 1; length < HX_LINE_ROOM; length++)
        for (uint32_t n = 0; n < bins.bin[length].capacity; n++)
            check_line(length, n);
    hx_bins_clear_all(&bins);
    CHECK_INT(bins.used_count, 0);
    for (uint32_t length = 1; length < HX_LINE_ROOM; length++)
        CHECK_INT(bins.bin[length].count, 0);
}

/* The list has them by their first line; what leaves in the middle leaves the others as they were.
 */
static void test_order(void)
{
    static const uint16_t put[] = {300, 5, 1279, 5, 300, 17, 1, 5};
    static const uint16_t want[] = {300, 5, 1279, 17, 1}, left[] = {300, 1279, 17, 1};

    for (size_t i = 0; i < sizeof put / sizeof *put; i++) {
        write_line(put[i], 0);
        CHECK(!hx_bins_put(&bins, line, put[i], (int64_t)i));
    }
    CHECK_BYTES(bins.used, bins.used_count * sizeof *bins.used, want, sizeof want);
    CHECK_INT(bins.bin[5].count, 3);
    bins.bin[5].probe_ns = 9;
    hx_bins_clear(&bins, 5);
    CHECK_BYTES(bins.used, bins.used_count * sizeof *bins.used, left, sizeof left);
    CHECK_INT(bins.bin[5].count, 0);
    CHECK_INT(bins.bin[5].probe_ns, 0);
    CHECK_INT(bins.bin[300].count, 2);
    hx_bins_put(&bins, line, 5, 77);
    CHECK_INT(bins.used[4], 5);
    CHECK_INT(bins.bin[5].first_ns, 77);
    hx_bins_clear_all(&bins);
}

/* A bin that has more than it may, since what it may have has shrunk, is full with the next line.
 */
static void test_shrunk(void)
{
    for (uint32_t n = 0; n < 100; n++) {
        write_line(60, n);
        CHECK(!hx_bins_put(&bins, line, 60, 0));
    }
    bins.bin[60].capacity = 64;
    write_line(60, 100);
    CHECK(hx_bins_put(&bins, line, 60, 0));
    for (uint32_t n = 0; n <= 100; n++)
        check_line(60, n);
    hx_bins_clear_all(&bins);
}

int main(void)
{
    CHECK_INT(hx_bins_init(&bins, HX_BIN_LINES_MAX), 0);
    test_every_length();
    test_order();
    test_shrunk();
    hx_bins_free(&bins);
    hx_bins_free(&bins);
    return 0;
}
