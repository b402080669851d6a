/* The tally: what is counted, which line is the example, and that a reader sees whole ones only. */
#include "../check.h"
#include "detect/tally.h"

#include <pthread.h>

#define SECOND INT64_C(1000000)

static void test_counts(void)
{
    static const struct {
        uint32_t worker, key, times;
    } lines[] = {{0, 0, 3},
                 {1, 0, 4},
                 {2, 2, 1},
                 {0, HX_KEY_UNSEEN, 2},
                 {1, HX_KEY_UNSEEN, 5},
                 {2, HX_KEY_UNSEEN, 1}};
    static const uint64_t want[] = {7, 0, 1, 8}; /* what fits no key is counted together */
    hx_tally *tally;

    CHECK_INT(hx_tally_create(3, 3, &tally), 0);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        for (uint32_t n = 0; n < lines[i].times; n++) {
            _Atomic uint64_t *counts = hx_tally_counts(tally, lines[i].worker);
            uint32_t key = lines[i].key;

            CHECK_INT(hx_tally_count(counts, key), n == 0);
        }
    CHECK_INT(hx_tally_keys(tally), 3);
    CHECK(hx_tally_since_us(tally) > 0);
    for (uint32_t key = 0; key <= 3; key++)
        CHECK_INT(hx_tally_total(tally, key < 3 ? key : HX_KEY_UNSEEN), want[key]);
    for (uint32_t w = 0; w < 3; w++) /* no worker's line is another's */
        CHECK_INT((uintptr_t)hx_tally_counts(tally, w) % 64, 0);
    hx_tally_destroy(tally);
    hx_tally_destroy(NULL);
}

static void test_which_line_is_shown(void)
{
    static const struct {
        int64_t at_us;
        const char *line, *shown;
    } cases[] = {
        {1 * SECOND, "first", "first"},
        {1 * SECOND, "second", "first"},
        {2 * SECOND - 1, "third", "first"},
        {2 * SECOND, "fourth", "fourth"},
        {2 * SECOND + 1, "", "fourth"},
        {9 * SECOND, "", ""},
        {8 * SECOND + 1, "out of turn", ""}, /* another worker's, a moment older */
        {4 * SECOND, "clock set back", "clock set back"},
        {5 * SECOND, "a\tb\033[31m\0c", "a\tb\033[31m\0c"},
    };
    hx_tally *tally;
    hx_example got;

    CHECK_INT(hx_tally_create(2, 1, &tally), 0);
    CHECK(!hx_tally_example(tally, 1, &got));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = i == 8 ? 10 : strlen(cases[i].line);
        size_t shown = i == 8 ? 10 : strlen(cases[i].shown);
        hx_line_place place = {.at_us = cases[i].at_us, .offset = i, .input = 7};

        hx_tally_show(tally, 1, &place, hx_slice_make(cases[i].line, len));
        CHECK(hx_tally_example(tally, 1, &got));
        CHECK_BYTES(got.text, got.length, cases[i].shown, shown);
        CHECK_INT(got.place.input, 7);
        CHECK(got.place.at_us <= 9 * SECOND && got.place.offset <= i);
    }
    CHECK(!hx_tally_example(tally, 0, &got));
    CHECK(!hx_tally_example(tally, HX_KEY_UNSEEN, &got));
    hx_tally_destroy(tally);
}

static void test_length(void)
{
    static const uint32_t lengths[] = {0, 1, 7, 8, 9, 255, 256, 257, 70000};
    static char line[70000];
    hx_tally *tally;
    hx_example got;

    for (uint32_t i = 0; i < sizeof line; i++)
        line[i] = (char)('a' + i % 23);
    CHECK_INT(hx_tally_create(1, 1, &tally), 0);
    for (uint32_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        hx_line_place place = {.at_us = (i + 1) * SECOND};
        uint32_t len = lengths[i];
        char *guarded = check_guard_copy(line, len);

        hx_tally_show(tally, HX_KEY_UNSEEN, &place, hx_slice_make(guarded, len));
        check_guard_free(guarded, len);
        CHECK(hx_tally_example(tally, HX_KEY_UNSEEN, &got));
        CHECK_INT(got.length, len);
        len = len < HX_EXAMPLE_BYTES ? len : HX_EXAMPLE_BYTES;
        CHECK_BYTES(got.text, len, line, len);
    }
    hx_tally_destroy(tally);
}

static void test_when_it_is_due(void)
{
    static const struct {
        int64_t at_us;
        bool due;
    } cases[] = {{5 * SECOND, true},  {5 * SECOND + 1, false}, {6 * SECOND - 1, false},
                 {6 * SECOND, true},  {60 * SECOND, true},     {60 * SECOND - 1, false},
                 {10 * SECOND, true}, {10 * SECOND + 9, false}};
    hx_tally *tally;

    CHECK_INT(hx_tally_create(1, 2, &tally), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_INT(hx_tally_due(tally, 0, cases[i].at_us), cases[i].due);
        CHECK_INT(hx_tally_due(tally, 1, cases[i].at_us), cases[i].due);
    }
    hx_tally_destroy(tally);
}

/* --- while others look -------------------------------------------------------------------------
 */

#define WRITERS 3
#define TURNS   20000

typedef struct writer {
    pthread_t thread;
    hx_tally *tally;
    uint32_t index;
} writer;

/* Lines of one letter, as long as the letter says; each a second after the last. */
static void *write_lines(void *arg)
{
    const writer *w = arg;
    _Atomic uint64_t *counts = hx_tally_counts(w->tally, w->index);
    char line[300];

    for (uint32_t n = 1; n <= TURNS; n++) {
        uint32_t letter = (n * WRITERS + w->index) % 256;
        hx_line_place place = {.at_us = (int64_t)n * SECOND * 2, .offset = letter, .input = letter};

        memset(line, (int)letter, sizeof line);
        hx_tally_count(counts, n % 2 ? 0 : HX_KEY_UNSEEN);
        hx_tally_show(w->tally, 0, &place, hx_slice_make(line, letter + 1));
    }
    return NULL;
}

static void test_whole_or_none(void)
{
    writer writers[WRITERS];
    hx_tally *tally;
    hx_example got;
    uint64_t before = 0, seen = 0;

    CHECK_INT(hx_tally_create(1, WRITERS, &tally), 0);
    for (uint32_t w = 0; w < WRITERS; w++) {
        writers[w] = (writer){.tally = tally, .index = w};
        CHECK(pthread_create(&writers[w].thread, NULL, write_lines, &writers[w]) == 0);
    }
    while (before < (uint64_t)WRITERS * TURNS / 2) {
        uint64_t count = hx_tally_total(tally, 0);

        CHECK(count >= before);
        before = count;
        if (!hx_tally_example(tally, 0, &got))
            continue;
        seen++;
        CHECK_INT(got.length, got.place.offset + 1);
        CHECK_INT(got.place.input, got.place.offset);
        for (uint32_t i = 0; i < got.length; i++)
            CHECK_INT((unsigned char)got.text[i], got.place.offset);
    }
    for (uint32_t w = 0; w < WRITERS; w++)
        pthread_join(writers[w].thread, NULL);
    CHECK_INT(hx_tally_total(tally, 0), WRITERS * TURNS / 2);
    CHECK_INT(hx_tally_total(tally, HX_KEY_UNSEEN), WRITERS * TURNS / 2);
    CHECK(hx_tally_example(tally, 0, &got));
    CHECK(seen > 0);
    hx_tally_destroy(tally);
}

int main(void)
{
    test_counts();
    test_which_line_is_shown();
    test_length();
    test_when_it_is_due();
    test_whole_or_none();
    return 0;
}
