#include "../check.h"
#include "send/timeline.h"

#include <math.h>

static const int64_t START = INT64_C(1756548930000000000);

/* Events due by t after the start: eps * t^2 / (2 * ramp) within the ramp. */
static double due_by(double seconds, double eps, double ramp_s)
{
    if (seconds < ramp_s)
        return eps * seconds * seconds / (2 * ramp_s);
    return eps * (seconds - ramp_s / 2);
}

/* Runs of the ramp follow each other, none begins before the last event of the one before it, each
 * begins where the straight line says, and together they have as many events as it has. */
static void check_ramp(uint64_t eps_milli, int64_t ramp_ns, uint32_t most)
{
    double eps = (double)eps_milli / 1000, ramp_s = (double)ramp_ns / 1e9;
    uint64_t sum = 0;
    int64_t last_ns = START;
    timeline t;

    timeline_start(&t, START, eps_milli, ramp_ns);
    while (timeline_is_ramping(&t)) {
        timeline_run run = timeline_next(&t, most);
        double due = due_by((double)(run.time_ns - START) / 1e9, eps, ramp_s);

        CHECK(run.events >= 1 && run.events <= most);
        CHECK(run.eps_milli >= 1);
        CHECK(run.time_ns >= last_ns);
        CHECK(fabs(due - (double)sum) < 1e-6 * eps * ramp_s + 0.01);
        last_ns = run.time_ns + (int64_t)((double)(run.events - 1) * 1e12 / (double)run.eps_milli);
        sum += run.events;
    }
    CHECK_INT(sum, (uint64_t)(ramp_s * eps / 2));
    CHECK(last_ns <= START + ramp_ns);
    timeline_run rest = timeline_next(&t, most);
    CHECK_INT(rest.time_ns, START + ramp_ns);
    CHECK_INT(rest.eps_milli, eps_milli);
    CHECK_INT(rest.events, UINT32_MAX);
}

static void test_ramp(void)
{
    static const struct {
        uint64_t eps_milli;
        int64_t ramp_ns;
        uint32_t most;
    } cases[] = {
        {1000, 10000000000, 64},
        {1000000, 1000000000, 64},
        {1000000, 1, 64},
        {100000000, 3000000000, 85},
        {4000000000, 2000000000, 3400},
        {20000000000, 1000000000, 16384},
        {1000000, 3600000000000, 64},
        {1000, 31536000000000000, 64},
        {4000000000, 100000, 16384},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_ramp(cases[i].eps_milli, cases[i].ramp_ns, cases[i].most);
}

static void test_steady(void)
{
    timeline t;

    timeline_start(&t, START, 12345, 0);
    CHECK(!timeline_is_ramping(&t));
    for (int i = 0; i < 3; i++) {
        timeline_run run = timeline_next(&t, 64);
        CHECK_INT(run.time_ns, START);
        CHECK_INT(run.eps_milli, 12345);
        CHECK_INT(run.events, UINT32_MAX);
    }
}

/* The longest there is at the highest rate: 3 * 10^14 events. */
static void test_extremes(void)
{
    timeline t;
    int64_t last_ns = START;

    timeline_start(&t, START, UINT64_C(20000000000), INT64_C(366) * 86400 * 1000000000);
    CHECK_INT(t.ramp_events, UINT64_C(366) * 86400 * 10000000);
    for (int i = 0; i < 100000; i++) {
        timeline_run run = timeline_next(&t, 16384);
        CHECK(run.time_ns >= last_ns && run.eps_milli >= 1);
        last_ns = run.time_ns;
    }
    t.done = t.ramp_events - 5;
    CHECK_INT(timeline_next(&t, 16384).events, 5);
    CHECK(!timeline_is_ramping(&t));
}

int main(void)
{
    test_ramp();
    test_steady();
    test_extremes();
    return 0;
}
