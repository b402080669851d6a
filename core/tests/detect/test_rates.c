/* The statistic of bursts; what it does on a stream is tested with the whole engine. */
#include "../check.h"
#include "detect/rates.h"

#include <math.h>

int main(void)
{
    static const struct {
        double count, usual, want;
    } cases[] = {
        {0, 5, 0},
        {5, 5, 0},
        {6, 5, 0}, /* one more than usual is usual */
        {12, 5, 12 * 0.693147180559945 - 6},
        {3, 0, 3 * 1.09861228866811 - 2},
        {400, 199, 400 * 0.693147180559945 - 200},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK(fabs(hx_rate_excess(cases[i].count, cases[i].usual) - cases[i].want) < 1e-9);
    for (double usual = 0; usual < 100; usual += 7)
        for (double count = 1; count < 1000; count += 13) {
            CHECK(hx_rate_excess(count + 13, usual) >= hx_rate_excess(count, usual));
            CHECK(hx_rate_excess(count, usual + 7) <= hx_rate_excess(count, usual));
        }
    return 0;
}
