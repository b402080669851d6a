/* Messages as lines: what becomes of their bytes, and that every way to copy does the same. */
#include "../check.h"
#include "source/line.h"

#include <stdbool.h>

static const struct {
    const char *in;
    uint32_t bytes, stride;
    const char *out;
    uint32_t length, lines, empty;
} cases[] = {
    {"one", 3, 3, "one\n", 4, 1, 0},
    {"one\n", 4, 4, "one\n", 4, 1, 0},
    {"one\r\n\0\0", 7, 7, "one\n", 4, 1, 0},
    {"\n\r\0\n", 4, 4, "", 0, 0, 1},
    {"two\nlines", 9, 9, "two lines\n", 10, 1, 0},
    {"\n\nx", 3, 3, "  x\n", 4, 1, 0},
    {"a\0b\rc", 5, 5, "a\0b\rc\n", 6, 1, 0},
    {"aaabbbcc", 8, 3, "aaa\nbbb\ncc\n", 11, 3, 0},
    {"aaa\n\n\nccc", 9, 3, "aaa\nccc\n", 8, 2, 1},
    {"a\nb-------------------------------\nx\n", 37, 37, "a b------------------------------- x\n",
     37, 1, 0},
};

static void test_cases(lines_copier *copy)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[256], *in = check_guard_copy(cases[i].in, cases[i].bytes);
        message_run run = {in, cases[i].bytes, cases[i].stride};
        line_counts counts = {0};
        uint32_t n = copy(out, sizeof out, true, &run, &counts);

        CHECK_INT(run.bytes, 0);
        CHECK_INT(counts.lines, cases[i].lines);
        CHECK_INT(counts.empty, cases[i].empty);
        CHECK_INT(counts.truncated, 0);
        CHECK_BYTES(out, n, cases[i].out, cases[i].length);
        check_guard_free(in, cases[i].bytes);
    }
}

/* What does not fit stays in the run; where nothing else is in the way, its head is taken. */
static void test_room(lines_copier *copy)
{
    static const char text[] = "aaaaaaaaaabbbbbbbbbbcccccccccc";
    message_run run = {text, 30, 10};
    line_counts counts = {0};
    char *out = check_guard_copy(text, 25);

    CHECK_INT(copy(out, 25, true, &run, &counts), 22);
    CHECK_BYTES(out, 22, "aaaaaaaaaa\nbbbbbbbbbb\n", 22);
    CHECK_INT(run.bytes, 10);
    CHECK_INT(copy(out, 3, false, &run, &counts), 0);
    CHECK_INT(run.bytes, 10);
    CHECK_INT(copy(out, 8, true, &run, &counts), 8);
    CHECK_BYTES(out, 8, "ccccccc\n", 8);
    CHECK_INT(run.bytes, 0);
    CHECK_INT(counts.truncated, 1);
    CHECK_INT(counts.lines, 3);
    check_guard_free(out, 25);
}

static uint32_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Random bytes with many line ends, in memory that ends where the messages do. */
static void test_same(lines_copier *copy)
{
    static char plain[70000], best[70000];
    uint64_t state = 42;

    for (int round = 0; round < 4000; round++) {
        char bytes[600], *in;
        uint32_t len = 1 + draw(&state) % (round % 8 ? 200 : sizeof bytes);
        uint32_t stride = 1 + draw(&state) % len, room = 1 + draw(&state) % 700;
        line_counts counts[2] = {{0}};
        message_run run[2];

        for (uint32_t i = 0; i < len; i++)
            bytes[i] = draw(&state) % 8 ? (char)draw(&state) : "\n\r\0 "[draw(&state) % 4];
        in = check_guard_copy(bytes, len);
        run[0] = run[1] = (message_run){in, len, stride};
        for (bool more = true; more;) {
            uint32_t n = lines_copy_plain(plain, room, true, &run[0], &counts[0]);

            CHECK_INT(copy(best, room, true, &run[1], &counts[1]), n);
            CHECK_BYTES(best, n, plain, n);
            CHECK_INT(run[1].bytes, run[0].bytes);
            CHECK(n == 0 || plain[n - 1] == '\n');
            CHECK(n <= room);
            more = run[0].bytes > 0 && room > 1;
        }
        CHECK(memcmp(&counts[0], &counts[1], sizeof counts[0]) == 0);
        check_guard_free(in, len);
    }
}

int main(void)
{
    lines_copier *const ways[] = {lines_copy_plain, lines_copy_best()};

    for (int i = 0; i < 2; i++) {
        test_cases(ways[i]);
        test_room(ways[i]);
        test_same(ways[i]);
    }
    return 0;
}
