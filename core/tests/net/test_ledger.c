#include "../../src/net/ledger.h"
#include "../check.h"

static hx_mark mark_of(hx_mark_kind kind, uint64_t run, uint32_t stream, uint64_t sequence,
                       uint64_t events, uint64_t controls)
{
    return (hx_mark){.kind = kind,
                     .run = run,
                     .stream = stream,
                     .sequence = sequence,
                     .events = events,
                     .bytes = events * 100,
                     .controls = controls};
}

/* Marks as they come, and what is to be read from them. */
static void test_marks(void)
{
    static const struct {
        const char *what;
        struct {
            hx_mark_kind kind;
            uint64_t run;
            uint32_t stream;
            uint64_t sequence, events, controls;
        } marks[6];
        uint64_t received, received_controls, dropped;
        uint32_t drop_messages;
        uint64_t sent, kernel_dropped, lost_elsewhere;
        uint32_t streams, ended;
        bool closed;
        uint64_t shed;
    } cases[] = {
        {"let go", {{HX_MARK_END, 1, 1, 0, 10, 1}}, 6, 1, 0, 1, 10, 0, 0, 1, 1, true, 4},
        {"let go, and dropped",
         {{HX_MARK_END, 1, 1, 0, 10, 1}},
         3,
         1,
         2,
         1,
         10,
         2,
         1,
         1,
         1,
         true,
         4},
        {"nothing", {{0}}, 0, 0, 0, 1, 0, 0, 0, 0, 0, true},
        {"all came", {{HX_MARK_END, 1, 1, 0, 10, 1}}, 10, 1, 0, 1, 10, 0, 0, 1, 1, true},
        {"not ended", {{HX_MARK_TOTALS, 1, 1, 0, 10, 1}}, 10, 1, 0, 1, 10, 0, 0, 1, 0, false},
        {"a probe alone", {{HX_MARK_PROBE, 1, 1, 0, 0, 0}}, 0, 1, 0, 1, 0, 0, 0, 1, 0, false},
        {"the kernel's", {{HX_MARK_END, 1, 1, 0, 10, 1}}, 7, 1, 3, 1, 10, 3, 0, 1, 1, true},
        {"elsewhere", {{HX_MARK_END, 1, 1, 0, 10, 1}}, 7, 1, 1, 1, 10, 1, 2, 1, 1, true},
        {"more drops than lost", {{HX_MARK_END, 1, 1, 0, 10, 1}}, 7, 1, 9, 1, 10, 3, 0, 1, 1, true},
        {"buffers hold it",
         {{HX_MARK_END, 1, 1, 0, 900, 1}},
         700,
         1,
         2,
         128,
         900,
         200,
         0,
         1,
         1,
         true},
        {"buffers hold not all",
         {{HX_MARK_END, 1, 1, 0, 900, 1}},
         700,
         1,
         1,
         128,
         900,
         128,
         72,
         1,
         1,
         true},
        {"somebody else sends",
         {{HX_MARK_END, 1, 1, 0, 10, 1}},
         11,
         1,
         5,
         1,
         10,
         0,
         0,
         1,
         1,
         false},
        {"late and doubled marks",
         {{HX_MARK_TOTALS, 1, 1, 3, 30, 4},
          {HX_MARK_TOTALS, 1, 1, 2, 20, 3},
          {HX_MARK_END, 1, 1, 5, 50, 6},
          {HX_MARK_TOTALS, 1, 1, 4, 40, 5},
          {HX_MARK_END, 1, 1, 5, 50, 6}},
         50,
         5,
         0,
         1,
         50,
         0,
         1,
         1,
         1,
         true},
        {"the end told again, with itself",
         {{HX_MARK_END, 1, 1, 5, 50, 6}, {HX_MARK_END, 1, 1, 6, 50, 7}},
         50,
         7,
         0,
         1,
         50,
         0,
         0,
         1,
         1,
         true},
        {"two runs, two streams",
         {{HX_MARK_END, 1, 1, 0, 10, 1},
          {HX_MARK_END, 1, 2, 0, 20, 1},
          {HX_MARK_END, 2, 1, 0, 30, 1}},
         60,
         3,
         0,
         1,
         60,
         0,
         0,
         3,
         3,
         true},
        {"totals beyond reason",
         {{HX_MARK_END, 1, 1, 0, UINT64_MAX, 1}, {HX_MARK_END, 1, 2, 0, 20, 1}},
         20,
         2,
         0,
         1,
         UINT64_MAX,
         0,
         UINT64_MAX - 22,
         2,
         2,
         true},
        {"a report is no mark",
         {{HX_MARK_REPORT, 1, 1, 0, 10, 1}},
         0,
         0,
         0,
         1,
         0,
         0,
         0,
         0,
         0,
         true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ledger_totals received = {.events = cases[i].received,
                                  .bytes = cases[i].received * 100,
                                  .controls = cases[i].received_controls,
                                  .shed = cases[i].shed,
                                  .dropped = cases[i].dropped};
        ledger *l = ledger_create();
        hx_account a;

        fprintf(stderr, "%s\n", cases[i].what);
        for (int m = 0; m < 6 && cases[i].marks[m].kind; m++) {
            hx_mark report, mark = mark_of(cases[i].marks[m].kind, cases[i].marks[m].run,
                                           cases[i].marks[m].stream, cases[i].marks[m].sequence,
                                           cases[i].marks[m].events, cases[i].marks[m].controls);
            bool asks = mark.kind == HX_MARK_TOTALS || mark.kind == HX_MARK_END;
            CHECK_INT(ledger_take(l, &mark, &received, &report), asks);
        }
        ledger_account(l, &received, cases[i].drop_messages, &a);
        CHECK_INT(a.sent, cases[i].sent);
        CHECK_INT(a.received, cases[i].received);
        CHECK_INT(a.shed, cases[i].shed);
        CHECK_INT(a.kernel_dropped, cases[i].kernel_dropped);
        CHECK_INT(a.lost_elsewhere, cases[i].lost_elsewhere);
        CHECK_INT(a.streams, cases[i].streams);
        CHECK_INT(a.streams_ended, cases[i].ended);
        CHECK_INT(a.closed, cases[i].closed);
        ledger_destroy(l);
    }
}

/* Streams that end make room for others and keep their place in the sums. */
static void test_many_ended(void)
{
    ledger *l = ledger_create();
    ledger_totals received = {0};
    hx_mark report;
    hx_account a;

    for (uint32_t i = 0; i < 3 * LEDGER_STREAMS_MAX; i++) {
        hx_mark begin = mark_of(HX_MARK_PROBE, 7, i, 0, 0, 0);
        hx_mark end = mark_of(HX_MARK_END, 7, i, 1, 2, 2);

        received.controls++;
        ledger_take(l, &begin, &received, &report);
        received.events += 2;
        received.bytes += 200;
        received.controls++;
        CHECK(ledger_take(l, &end, &received, &report));
        CHECK_INT(report.events, received.events);
        CHECK_INT(report.controls, received.controls);
        CHECK(!ledger_take(l, &begin, &received, &report)); /* late: it is in the table still */
    }
    ledger_account(l, &received, 1, &a);
    CHECK_INT(a.streams, 3 * LEDGER_STREAMS_MAX);
    CHECK_INT(a.streams_ended, 3 * LEDGER_STREAMS_MAX);
    CHECK_INT(a.sent, 6 * LEDGER_STREAMS_MAX);
    CHECK_INT(a.lost_elsewhere, 0);
    CHECK(a.closed);
    ledger_destroy(l);
}

/* Streams that nobody ends fill the table; a further one is answered, counted and not followed. */
static void test_invented(void)
{
    ledger *l = ledger_create();
    ledger_totals received = {0};
    hx_mark report, mark;
    hx_account a;

    for (uint32_t i = 0; i < 2 * LEDGER_STREAMS_MAX; i++) {
        mark = mark_of(HX_MARK_TOTALS, i, i, 0, 1, 1);
        received.controls++;
        CHECK(ledger_take(l, &mark, &received, &report));
    }
    ledger_account(l, &received, 1, &a);
    CHECK_INT(a.streams, 2 * LEDGER_STREAMS_MAX);
    CHECK_INT(a.sent, LEDGER_STREAMS_MAX);
    CHECK_INT(a.streams_ended, 0);
    CHECK(!a.closed);
    /* One of those that are followed ends, and the next new one takes its place. */
    mark = mark_of(HX_MARK_END, 5, 5, 1, 10, 2);
    ledger_take(l, &mark, &received, &report);
    mark = mark_of(HX_MARK_TOTALS, 1, 1u << 20, 0, 100, 1);
    ledger_take(l, &mark, &received, &report);
    ledger_account(l, &received, 1, &a);
    CHECK_INT(a.streams_ended, 1);
    CHECK_INT(a.sent, LEDGER_STREAMS_MAX - 1 + 10 + 100);
    ledger_destroy(l);
}

/* A report counts from its run's first mark, drops from the last mark of a run before it: the first
 * one may have waited while they happened. */
static void test_runs(void)
{
    static const struct {
        uint64_t run, events, controls, dropped; /* of the port, when the mark is taken */
        uint64_t want_events, want_controls, want_dropped;
    } cases[] = {
        {1, 1000, 8, 3, 0, 1, 3},   {1, 1010, 9, 5, 10, 2, 5},  {2, 1030, 10, 9, 0, 1, 4},
        {2, 1040, 11, 9, 10, 2, 4}, {1, 1041, 12, 9, 41, 5, 9}, {3, 1041, 13, 9, 0, 1, 0},
    };
    ledger *l = ledger_create();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ledger_totals received = {.events = cases[i].events,
                                  .bytes = cases[i].events * 10,
                                  .controls = cases[i].controls,
                                  .dropped = cases[i].dropped};
        hx_mark report, mark = mark_of(HX_MARK_TOTALS, cases[i].run, 7, i, 0, 1);

        CHECK(ledger_take(l, &mark, &received, &report));
        CHECK_INT(report.kind, HX_MARK_REPORT);
        CHECK_INT(report.run, cases[i].run);
        CHECK_INT(report.stream, 7);
        CHECK_INT(report.sequence, i);
        CHECK_INT(report.events, cases[i].want_events);
        CHECK_INT(report.bytes, cases[i].want_events * 10);
        CHECK_INT(report.controls, cases[i].want_controls);
        CHECK_INT(report.dropped, cases[i].want_dropped);
    }
    ledger_destroy(l);
}

int main(void)
{
    test_marks();
    test_many_ended();
    test_invented();
    test_runs();
    return 0;
}
