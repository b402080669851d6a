#include "sink/parts.h"

double hx_sink_pace_sample(hx_sink_pace *pace, uint64_t received, int64_t now_ns)
{
    uint64_t n = pace->count++;
    uint64_t oldest = n < HX_SINK_SAMPLES - 1 ? 0 : n - (HX_SINK_SAMPLES - 1);
    uint64_t before, newest = n % HX_SINK_SAMPLES;
    int64_t passed_ns;

    pace->received[newest] = received;
    pace->at_ns[newest] = now_ns;
    before = pace->received[oldest % HX_SINK_SAMPLES];
    passed_ns = now_ns - pace->at_ns[oldest % HX_SINK_SAMPLES];
    /* Less than a second has passed at the start: what came is what came in a second. */
    if (passed_ns < 1000000000)
        passed_ns = 1000000000;
    return (double)(received - before) * 1e9 / (double)passed_ns;
}
