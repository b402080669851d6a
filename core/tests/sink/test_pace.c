#include "../check.h"
#include "sink/parts.h"

#define TENTH INT64_C(100000000)

static double best_second(const uint64_t *came, int tenths, int64_t tenth_ns)
{
    hx_sink_pace pace = {0};
    uint64_t received = 0;
    double best = 0;

    hx_sink_pace_sample(&pace, 0, 0);
    for (int i = 0; i < tenths; i++) {
        double eps;

        received += came[i];
        eps = hx_sink_pace_sample(&pace, received, (i + 1) * tenth_ns);
        best = eps > best ? eps : best;
    }
    return best;
}

int main(void)
{
    static const struct {
        uint64_t came[24];
        int tenths;
        int64_t tenth_ns;
        double want;
    } cases[] = {
        {{0}, 24, TENTH, 0},
        /* A burst within a second is what came in that second, not what that were in an hour. */
        {{500}, 1, TENTH, 500},
        {{0, 500, 0, 0}, 4, TENTH, 500},
        {{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10}, 12, TENTH, 100},
        /* The best second does not begin with the clock's. */
        {{0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0}, 20, TENTH, 90},
        {{100, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 101}, 21, TENTH, 110},
        /* Samples that come late are no higher rate. */
        {{20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20}, 12, 2 * TENTH, 100},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_INT(best_second(cases[i].came, cases[i].tenths, cases[i].tenth_ns) + 0.5,
                  cases[i].want);
    return 0;
}
