/* Series: matrices against a reference, the same for any cut of the input, lateness, silence, and a
 * saved state. */
#include "../check.h"
#include "detect/series.h"

#include <math.h>

#define SECOND INT64_C(1000000)
#define COUNT  5
#define KEYS   7
#define START  1000 /* seconds; a whole number of pieces */

static uint8_t of_key[KEYS + 1] = {0, 1, 2, 3, 4, 4, 4, 4};

static hx_series_value made_of = HX_SERIES_LN;

static hx_series_form form(void)
{
    hx_series_form f = {
        .value = made_of, .count = COUNT, .log_keys = KEYS, .interval_us = SECOND, .of = of_key};

    for (uint32_t i = 0; i < COUNT; i++) {
        f.low[i] = 0.1 * i;
        f.high[i] = 1.5 + i;
    }
    return f;
}

/* What was seen of the moments. */
typedef struct seen {
    uint32_t count;
    int64_t end_us[400];
    uint32_t piece[400][COUNT];
    float matrices[400][HX_SERIES_HISTORY * HX_SERIES_SCALES * COUNT * COUNT];
} seen;

static void see(void *context, const float *matrices, const uint32_t *piece, int64_t end_us)
{
    seen *s = context;

    CHECK(s->count < 400);
    s->end_us[s->count] = end_us;
    memcpy(s->piece[s->count], piece, sizeof s->piece[0]);
    memcpy(s->matrices[s->count], matrices, sizeof s->matrices[0]);
    s->count++;
}

static bool add(hx_series *s, uint32_t key, int64_t time_us, seen *into)
{
    hx_series_form f = form();

    return hx_series_add(s, hx_series_of(&f, 0, key), time_us, see, into);
}

/* A number that is drawn again the same. */
static uint32_t drawn(uint32_t second, uint32_t key)
{
    uint32_t x = second * 2654435761u ^ key * 40503u;

    x ^= x >> 13;
    x *= 2246822519u;
    x ^= x >> 16;
    return x % (3 + 5 * key);
}

static void add_second(hx_series *s, uint32_t second, seen *into)
{
    for (uint32_t key = 0; key < KEYS; key++)
        for (uint32_t n = drawn(second, key); n > 0; n--)
            add(s, key, second * SECOND + n * 1000, into);
}

static double value(const hx_series_form *f, uint32_t series, uint32_t second)
{
    uint32_t count = 0;

    for (uint32_t key = 0; key < KEYS; key++)
        if (of_key[key] == series)
            count += drawn(second, key);
    return ((f->value == HX_SERIES_LN ? log1p((double)count) : 2 * sqrt(count + 0.375)) -
            f->low[series]) /
           (f->high[series] - f->low[series]);
}

static void test_matrices(void)
{
    static seen into;
    hx_series_form f = form();
    hx_series *s;

    into.count = 0;
    CHECK_INT(hx_series_create(&f, &s), 0);
    for (uint32_t t = START; t < START + 152; t++)
        add_second(s, t, &into);
    /* Time is in second 1151: 1149 and all before it are closed, and so the piece up to 1150. */
    CHECK_INT(into.count, 6);
    for (uint32_t m = 0; m < into.count; m++)
        for (uint32_t step = 0; step < HX_SERIES_HISTORY; step++)
            for (uint32_t scale = 0; scale < HX_SERIES_SCALES; scale++) {
                uint32_t end = START + 100 + 10 * m - 10 * (HX_SERIES_HISTORY - 1 - step);
                uint32_t window = hx_series_windows[scale];

                CHECK_INT(into.end_us[m], (START + 100 + 10 * m) * SECOND);
                for (uint32_t i = 0; i < COUNT; i++)
                    for (uint32_t j = 0; j < COUNT; j++) {
                        size_t at = ((step * HX_SERIES_SCALES + scale) * COUNT + i) * COUNT + j;
                        double sum = 0;

                        for (uint32_t t = end - window; t < end; t++)
                            sum += value(&f, i, t) * value(&f, j, t);
                        CHECK(fabs(sum / window - (double)into.matrices[m][at]) < 1e-5);
                    }
            }
    CHECK_INT(hx_series_late(s), 0);
    hx_series_destroy(s);
}

/* Another order within what lateness allows, and time told in between: the same matrices. */
static void test_order_within_an_interval(void)
{
    static seen one, other;
    hx_series_form f = form();
    hx_series *a, *b;

    one.count = other.count = 0;
    CHECK_INT(hx_series_create(&f, &a), 0);
    CHECK_INT(hx_series_create(&f, &b), 0);
    for (uint32_t t = START; t < START + 140; t++) {
        add(a, 0, t * SECOND, &one);
        add_second(a, t, &one);
    }
    for (uint32_t t = START; t < START + 140; t += 2) {
        add(b, 0, t * SECOND, &other);
        add(b, 0, (t + 1) * SECOND, &other);
        add_second(b, t + 1, &other);
        hx_series_advance(b, (t + 1) * SECOND + 999999, see, &other);
        add_second(b, t, &other);
    }
    CHECK_INT(hx_series_late(b), 0);
    CHECK_INT(one.count, 4);
    CHECK_INT(other.count, 4);
    CHECK(memcmp(one.matrices, other.matrices, 4 * sizeof one.matrices[0]) == 0);
    hx_series_destroy(a);
    hx_series_destroy(b);
}

static void test_late_and_untimed(void)
{
    static seen into;
    hx_series_form f = form();
    hx_series *s;

    CHECK_INT(hx_series_create(&f, &s), 0);
    CHECK(!add(s, 0, HX_TIME_NONE, &into));
    hx_series_advance(s, 5 * SECOND, see, &into); /* asleep: nothing to close */
    CHECK(add(s, 1, 1000 * SECOND, &into));
    CHECK(!add(s, 1, 1000 * SECOND + 1, &into)); /* not the first any more */
    CHECK(add(s, HX_KEY_UNSEEN, 1001 * SECOND, &into));
    CHECK(add(s, 0, 1000 * SECOND + 5, &into)); /* the interval before is open */
    CHECK_INT(hx_series_late(s), 0);
    CHECK(add(s, 0, 1002 * SECOND, &into));
    CHECK(!add(s, 0, 1000 * SECOND, &into));
    CHECK_INT(hx_series_late(s), 1);
    CHECK(add(s, 0, 1001 * SECOND, &into));
    hx_series_destroy(s);
    CHECK_INT(hx_series_create(&f, &s), 0);
    CHECK(add(s, 0, -1, &into)); /* interval -1, not 0 */
    CHECK(add(s, 0, 1, &into));
    CHECK(!add(s, 0, -SECOND, &into));
    hx_series_destroy(s);
    hx_series_destroy(NULL);
}

/* Silence is judged for as long as anything before it is seen, and then the series sleep. */
/* Every second is like the others, but for what was lost and for a burst. */
static void test_loss(void)
{
    static seen all, lacking, told;
    seen *into[] = {&all, &lacking, &told};
    hx_series_form f = form();
    hx_series *series[3];

    for (int w = 0; w < 3; w++) {
        hx_series *s;

        into[w]->count = 0;
        CHECK_INT(hx_series_create(&f, &s), 0);
        series[w] = s;
        for (uint32_t t = START; t < START + 162; t++) {
            const bool lossy = w && t >= START + 113 && t < START + 120;

            if (w == 2 && lossy)
                hx_series_lose(s, t * SECOND + 500000);
            for (uint32_t key = 0; key < (lossy ? 1 : KEYS); key++)
                for (uint32_t n = 0; n < 5 + key; n++)
                    add(s, key, t * SECOND + n, into[w]);
            for (uint32_t n = 0; t == START + 115 && n < 20; n++)
                add(s, 1, t * SECOND + n, into[w]); /* what comes is counted, lossy or not */
            hx_series_lose(s, w == 2 ? 7 * SECOND : HX_TIME_NONE);
        }
        CHECK_INT(into[w]->count, 7);
    }
    CHECK(memcmp(lacking.piece[2], all.piece[2], sizeof all.piece[2]) != 0);
    /* In the burst's second its series lacks 6 of 26, and has more than in the last whole one. */
    all.piece[2][1] -= 6;
    CHECK(memcmp(told.piece, all.piece, 7 * sizeof all.piece[0]) == 0);
    CHECK(memcmp(told.matrices, all.matrices, 2 * sizeof all.matrices[0]) == 0);
    for (int w = 0; w < 3; w++)
        hx_series_destroy(series[w]);
}

static void test_silence(void)
{
    static seen into;
    hx_series_form f = form();
    hx_series *s;
    uint32_t before;

    into.count = 0;
    CHECK_INT(hx_series_create(&f, &s), 0);
    for (uint32_t t = START; t < START + 112; t++)
        add_second(s, t, &into);
    before = into.count;
    CHECK_INT(before, 2);
    hx_series_advance(s, (START + 400) * SECOND, see, &into);
    CHECK_INT(into.count, before + 10);
    CHECK_INT(into.piece[into.count - 1][0], 0);
    for (uint32_t t = START + 400; t < START + 499; t++)
        add_second(s, t, &into);
    CHECK_INT(into.count, before + 10); /* awake again, and nothing to say yet */
    for (uint32_t t = START + 499; t < START + 503; t++)
        add_second(s, t, &into);
    CHECK_INT(into.count, before + 11);
    CHECK_INT(into.end_us[into.count - 1], (START + 500) * SECOND);
    add(s, 0, INT64_C(1) << 60, &into); /* a far jump is no long loop */
    CHECK_INT(into.count, before + 21);
    hx_series_destroy(s);
}

/* At any point: saved, restored, gone on, and the same as without. */
static void test_saved(void)
{
    static seen whole, parts;
    static const uint32_t cuts[] = {0, 1, 5, 9, 10, 11, 57, 64, 99, 100, 101, 117, 160, 260, 321};
    hx_series_form f = form(), other = form();
    uint32_t end = START + 3 + 330;

    other.value = HX_SERIES_LN;
    for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
        hx_series *s, *again;
        hx_text state = {0};

        whole.count = parts.count = 0;
        CHECK_INT(hx_series_create(&f, &s), 0);
        for (uint32_t t = START + 3; t < end; t++)
            add_second(s, t < START + 150 || t > START + 155 ? t : START + 149, &whole);
        hx_series_destroy(s);
        CHECK_INT(hx_series_create(&f, &s), 0);
        for (uint32_t t = START + 3; t < START + 3 + cuts[c]; t++)
            add_second(s, t < START + 150 || t > START + 155 ? t : START + 149, &parts);
        hx_series_save(s, &state);
        CHECK_INT(hx_series_create(&f, &again), 0);
        CHECK_INT(hx_series_restore(again, state.ptr, state.len), 0);
        for (uint32_t t = START + 3 + cuts[c]; t < end; t++)
            add_second(again, t < START + 150 || t > START + 155 ? t : START + 149, &parts);
        CHECK_INT(parts.count, whole.count);
        CHECK(whole.count > 20);
        CHECK_BYTES(parts.end_us, whole.count * sizeof whole.end_us[0], whole.end_us,
                    whole.count * sizeof whole.end_us[0]);
        CHECK_BYTES(parts.piece, whole.count * sizeof whole.piece[0], whole.piece,
                    whole.count * sizeof whole.piece[0]);
        CHECK(memcmp(parts.matrices, whole.matrices, whole.count * sizeof whole.matrices[0]) == 0);
        hx_series_destroy(again);
        CHECK_INT(hx_series_create(&other, &again), 0);
        CHECK_INT(hx_series_restore(again, state.ptr, state.len), HX_EMALFORMED);
        for (size_t len = 0; len < state.len; len += 1 + len / 3)
            CHECK_INT(hx_series_restore(again, state.ptr, len), HX_EMALFORMED);
        hx_series_destroy(again);
        hx_series_destroy(s);
        hx_text_free(&state);
    }
}

/* Hosts by name: those whose hash is the same, or has the same place, are told apart. */
static void test_hosts(void)
{
    static hx_series_host hosts[HX_SERIES_MAX];
    static uint8_t of[(1 + HX_SERIES_MAX) * 3];
    hx_series_form f = {.count = 3, .log_keys = 2, .hosts = hosts, .of = of};
    char name[16];

    CHECK_INT(hx_series_row(&f, 7, hx_slice_make("web1", 4)), 0);
    for (uint32_t i = 0; i < HX_SERIES_MAX - 1; i++) {
        snprintf(name, sizeof name, "web%u", i);
        hx_series_add_host(&f, hx_slice_str(name));
        memset(of + (size_t)(i + 1) * 3, (int)i, 3);
    }
    for (uint32_t i = 0; i < HX_SERIES_MAX - 1; i++) {
        uint32_t hash = hosts[i].hash, row;

        snprintf(name, sizeof name, "web%u", i);
        row = hx_series_row(&f, hash, hx_slice_str(name));
        CHECK_INT(row, i + 1);
        CHECK_INT(hx_series_of(&f, row, 1), i);
        CHECK_INT(hx_series_of(&f, row, HX_KEY_UNSEEN), i);
        CHECK_INT(hx_series_row(&f, hash, hx_slice_make("db1", 3)), 0);
        CHECK_INT(hx_series_row(&f, hash, hx_slice_make(name, 2)), 0);
        CHECK_INT(hx_series_row(&f, hash ^ 0x100u, hx_slice_str(name)), 0);
    }
}

static void test_new(void)
{
    hx_series_form f = form();

    f.high[0] = 1;
    CHECK_INT(hx_series_is_new(&f, 0),
              f.value == HX_SERIES_LN); /* the root of no count is above 1 */
    f.low[1] = f.value == HX_SERIES_LN ? 0 : 2 * sqrt(0.375);
    f.high[1] = f.low[1] + 1;
    CHECK(hx_series_is_new(&f, 1));
    CHECK(!hx_series_is_new(&f, 2));
}

int main(void)
{
    test_new();
    test_hosts();
    test_matrices();
    made_of = HX_SERIES_ROOT;
    test_new();
    test_matrices();
    test_order_within_an_interval();
    test_late_and_untimed();
    test_loss();
    test_silence();
    test_saved();
    return 0;
}
