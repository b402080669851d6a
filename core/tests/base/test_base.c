#include "../check.h"

#include <haechi/ring.h>
#include <haechi/stats.h>
#include <haechi/text.h>
#include <haechi/usage.h>

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

static void test_json_string(void)
{
    static const struct {
        const char *in;
        size_t len;
        const char *want;
    } cases[] = {
        {"plain", 5, "\"plain\""},
        {"", 0, "\"\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"tab\tnew\nline", 12, "\"tab\\tnew\\nline\""},
        {"\x01\x1f\x7f", 3, "\"\\u0001\\u001f\\u007f\""},
        {"nul\0in", 6, "\"nul\\u0000in\""},
        {"\xed\x95\xb4\xec\xb9\x98", 6, "\"\xed\x95\xb4\xec\xb9\x98\""}, /* valid UTF-8 stays */
        {"\xff\xfe", 2, "\"\\ufffd\\ufffd\""},
        {"\xc0\xaf", 2, "\"\\ufffd\\ufffd\""},                       /* overlong */
        {"\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""},            /* a surrogate */
        {"\xf0\x9f\x90", 3, "\"\\ufffd\\ufffd\\ufffd\""},            /* cut short */
        {"\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* past U+10FFFF */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *guarded = check_guard_copy(cases[i].in, cases[i].len);
        hx_text out = {0};

        hx_text_json_string(&out, hx_slice_make(guarded, cases[i].len));
        CHECK_BYTES(out.ptr, out.len, cases[i].want, strlen(cases[i].want));
        hx_text_free(&out);
        check_guard_free(guarded, cases[i].len);
    }
}

static void test_json_values(void)
{
    static const char want[] =
        "{\"t\": \"2025-08-30T10:15:30.123456Z\", \"none\": null, "
        "\"before\": \"1969-12-31T23:59:59.999999Z\", \"x\": 1.5, \"nan\": null}";
    hx_text out = {0};

    hx_text_str(&out, "{");
    hx_text_json_key(&out, "t");
    hx_text_json_time(&out, INT64_C(1756548930123456));
    hx_text_json_key(&out, "none");
    hx_text_json_time(&out, INT64_MIN);
    hx_text_json_key(&out, "before");
    hx_text_json_time(&out, -1);
    hx_text_json_key(&out, "x");
    hx_text_json_number(&out, 1.5);
    hx_text_json_key(&out, "nan");
    hx_text_json_number(&out, (double)NAN);
    hx_text_str(&out, "}");
    CHECK_BYTES(out.ptr, out.len, want, sizeof want - 1);
    hx_text_free(&out);
}

static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void check_number(double v)
{
    for (int digits = 1; digits <= HX_TEXT_DIGITS_MAX; digits++) {
        hx_text out = {0};
        char want[64];

        snprintf(want, sizeof want, "%.*g", digits, v);
        hx_text_general(&out, v, digits);
        CHECK_BYTES(out.ptr, out.len, want, strlen(want));
        hx_text_free(&out);
    }
}

/* As printf writes them: sizes of all kinds, and those in the middle between two. */
static void test_numbers(void)
{
    static const double odd[] = {0,
                                 -0.0,
                                 1,
                                 10,
                                 0.5,
                                 0.05,
                                 0.25,
                                 2.5,
                                 1e-4,
                                 1e-5,
                                 9.95e-5,
                                 0.000125,
                                 99999.5,
                                 999999.5,
                                 9999995,
                                 1e6,
                                 1e12,
                                 1e15,
                                 1e300,
                                 5e-324,
                                 1e-12,
                                 0.1,
                                 123456.5,
                                 0.3,
                                 4.35,
                                 1e22,
                                 9.9999999999999995,
                                 0.99999949999999994,
                                 1048576.5};

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        check_number(odd[i]);
        check_number(-odd[i]);
        check_number(nextafter(odd[i], INFINITY));
        check_number(nextafter(odd[i], -INFINITY));
    }
    check_number(INFINITY);
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = next_random();
        double any;

        memcpy(&any, &bits, sizeof any);
        if (!isnan(any))
            check_number(any);
        check_number((double)(bits >> 11) / (double)(UINT64_C(1) << 53) *
                     pow(10, (int)(bits % 16) - 8));
        check_number((double)(int32_t)bits / 1024);
        check_number((double)(bits % 2000001) / 2 / pow(10, (double)(bits >> 60)));
    }
    for (int bits = 0; bits <= 64; bits++) {
        const uint64_t n = bits ? next_random() >> (64 - bits) : 0;
        hx_text out = {0};
        char want[64];

        snprintf(want, sizeof want, "%llu %016llx", (unsigned long long)n, (unsigned long long)n);
        hx_text_uint(&out, n);
        hx_text_str(&out, " ");
        hx_text_hex(&out, n);
        CHECK_BYTES(out.ptr, out.len, want, strlen(want));
        hx_text_free(&out);
    }
}

static void test_times(void)
{
    for (int i = 0; i < 30000; i++) {
        const int64_t range = i % 2 ? INT64_C(400000000000) : INT64_C(4000000000);
        int64_t second = (int64_t)(next_random() % (uint64_t)range) - range / 4;
        const uint32_t us = (uint32_t)(next_random() % 1000000);
        const time_t t = (time_t)second;
        hx_text out = {0};
        char want[64];
        struct tm tm;

        CHECK(gmtime_r(&t, &tm) != NULL);
        snprintf(want, sizeof want, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06uZ\"", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, us);
        hx_text_json_time(&out, second * 1000000 + us);
        CHECK_BYTES(out.ptr, out.len, want, strlen(want));
        hx_text_free(&out);
    }
}

/* Wherever in a long text a byte stands that does not stand for itself. */
static void test_json_runs(void)
{
    static const char *const odd[] = {"\"", "\\", "\n", "\x1f", "\x7f", "\xc3\xa9", "\xff", " "};
    static const char *const want[] = {"\\\"",    "\\\\",     "\\n",     "\\u001f",
                                       "\\u007f", "\xc3\xa9", "\\ufffd", " "};

    for (size_t o = 0; o < sizeof odd / sizeof odd[0]; o++)
        for (size_t at = 0; at < 40; at++) {
            char in[64] = "", expected[96] = "\"";
            char *guarded;
            hx_text out = {0};

            memset(in, 'a' + (int)(at % 3), 40);
            in[at] = 0;
            strcat(expected, in);
            strcat(expected, want[o]);
            strcat(expected, "tail\"");
            strcat(in, odd[o]);
            strcat(in, "tail");
            guarded = check_guard_copy(in, strlen(in));
            hx_text_json_string(&out, hx_slice_make(guarded, strlen(in)));
            CHECK_BYTES(out.ptr, out.len, expected, strlen(expected));
            hx_text_free(&out);
            check_guard_free(guarded, strlen(in));
        }
}

static void test_histogram_buckets(void)
{
    static const uint64_t values[] = {
        0, 1, 15, 16, 17, 31, 32, 33, 1000, 123456789, UINT64_C(1) << 39};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint32_t b = hx_histogram_bucket(values[i]);

        CHECK(hx_histogram_floor(b) <= values[i]);
        CHECK(b + 1 == HX_HISTOGRAM_BUCKETS || hx_histogram_floor(b + 1) > values[i]);
    }
    CHECK_INT(hx_histogram_bucket(UINT64_MAX), HX_HISTOGRAM_BUCKETS - 1);
    for (uint32_t b = 0; b < HX_HISTOGRAM_BUCKETS; b++)
        CHECK_INT(hx_histogram_bucket(hx_histogram_floor(b)), b);
}

static void test_histogram_quantiles(void)
{
    hx_histogram *h = calloc(1, sizeof *h);

    CHECK(h != NULL);
    CHECK_INT(hx_histogram_quantile(h, 0.5), 0);
    for (uint64_t v = 1; v <= 10000; v++)
        hx_histogram_record(h, v);
    for (double q = 0.1; q < 1; q += 0.1) {
        double got = (double)hx_histogram_quantile(h, q), want = q * 10000;

        CHECK(got >= want * 0.999 && got <= want * 1.07);
    }
    CHECK_INT(hx_histogram_quantile(h, 1), 10000);
    free(h);
}

static void test_stats_page(void)
{
    static const hx_stat_def defs[] = {{"lines", HX_STAT_COUNTER}, {"took_ns", HX_STAT_HISTOGRAM}};
    static const hx_stat_def tool_defs[] = {{"open", HX_STAT_GAUGE}};
    char path[] = "/tmp/haechi-stats-XXXXXX", head[8];
    hx_stats *stats = NULL;
    hx_error err;
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    close(fd);
    CHECK_INT(hx_stats_create(path, "test", 3, defs, 2, tool_defs, 1, &stats, &err), 0);
    for (uint32_t w = 0; w < 3; w++) {
        hx_stat_add(hx_stats_value(stats, w, 0), 10 + w);
        hx_histogram_record(hx_stats_histogram(stats, w, 1), 100 * (w + 1));
        for (uint32_t other = 0; other < w; other++) /* no shared cache line */
            CHECK((uintptr_t)hx_stats_value(stats, w, 0) / 64 !=
                  (uintptr_t)hx_stats_value(stats, other, 0) / 64);
    }
    hx_stat_set(hx_stats_value(stats, HX_STATS_TOOL, 0), 7);
    CHECK_INT(hx_stats_total(stats, 0), 33);
    hx_stats_destroy(stats);
    fd = open(path, O_RDONLY);
    CHECK_INT(read(fd, head, 8), 8);
    CHECK_BYTES(head, 8, "HXSTATS1", 8);
    close(fd);
    unlink(path);
    CHECK(hx_stats_create("/nonexistent/page", "test", 1, defs, 2, NULL, 0, &stats, &err) < 0);
    CHECK(strstr(err.text, "/nonexistent/page") != NULL);
}

enum { HANDED_OVER = 200000 };

static void *produce(void *arg)
{
    for (uintptr_t i = 1; i <= HANDED_OVER; i++)
        while (!hx_ring_push(arg, (void *)i))
            sched_yield();
    return NULL;
}

/* Every item once, in order. Run under TSan too, which checks the ordering of the memory accesses.
 */
static void test_ring(void)
{
    pthread_t producer;
    hx_ring ring;

    CHECK_INT(hx_ring_init(&ring, 6), 0);
    CHECK(hx_ring_pop(&ring) == NULL);
    for (uintptr_t i = 1; i <= 8; i++)
        CHECK(hx_ring_push(&ring, (void *)i));
    CHECK(!hx_ring_push(&ring, (void *)9)); /* 6 became 8 */
    for (uintptr_t i = 1; i <= 8; i++)
        CHECK(hx_ring_pop(&ring) == (void *)i);
    CHECK_INT(pthread_create(&producer, NULL, produce, &ring), 0);
    for (uintptr_t want = 1; want <= HANDED_OVER;) {
        void *item = hx_ring_pop(&ring);

        if (item)
            CHECK(item == (void *)want++);
        else
            sched_yield();
    }
    pthread_join(producer, NULL);
    CHECK(hx_ring_pop(&ring) == NULL);
    hx_ring_free(&ring);
}

static void test_error_text(void)
{
    hx_error err;

    CHECK_INT(hx_error_set(&err, HX_EINVAL, "bad \x1b[31m%s", "name"), HX_EINVAL);
    CHECK_BYTES(err.text, strlen(err.text), "bad ?[31mname", 13);
    for (int code = 0; code > -12; code--)
        CHECK(hx_strerror(code)[0] != 0);
}

/* More memory and time than before, and about as much more as was used. */
static void test_usage(void)
{
    enum { BYTES = 64 << 20 };
    hx_usage before = hx_usage_now(), after;
    volatile char *memory = malloc(BYTES);

    CHECK(memory != NULL);
    do {
        for (size_t i = 0; i < BYTES; i += 4096)
            memory[i] = 1;
        after = hx_usage_now();
    } while (after.cpu_user_s + after.cpu_system_s <= before.cpu_user_s + before.cpu_system_s);
    CHECK(before.rss_peak_bytes > 0);
    CHECK(after.rss_peak_bytes >= before.rss_peak_bytes + BYTES / 2);
    free((void *)memory);
}

int main(void)
{
    test_json_string();
    test_json_values();
    test_json_runs();
    test_numbers();
    test_times();
    test_histogram_buckets();
    test_histogram_quantiles();
    test_stats_page();
    test_ring();
    test_error_text();
    test_usage();
    return 0;
}
