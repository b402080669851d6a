/* Inside a worker: a bound on alerts. A new release that logs in another order, or somebody who
 * means to bury one alert under a million, would make more alerts than anybody reads, and each
 * costs the time of hundreds of lines and two kilobytes of disk. So while lines are judged as they
 * come, one detector (or one rule) has so many alerts in a second of the clock; one more says that
 * there are others; those are counted. What rules escalate is outside the bound. */
#ifndef HAECHI_DETECT_FLOOD_H
#define HAECHI_DETECT_FLOOD_H

#include "detect/detector.h"

#include <haechi/rules.h>

#define HX_FLOOD_RULES 32 /* rules that share a place share a bound */

/* Who would raise the alert: a number below HX_FLOOD_PLACES. */
enum {
    HX_FLOOD_DEEPLOG,
    HX_FLOOD_NEW_EVENT,
    HX_FLOOD_DETECTOR, /* + its place in the set */
    HX_FLOOD_RULE = HX_FLOOD_DETECTOR + HX_DETECTORS_MAX,
    HX_FLOOD_PLACES = HX_FLOOD_RULE + HX_FLOOD_RULES,
};

typedef struct hx_flood {
    struct hx_flood_of {
        int64_t second;
        uint32_t alerts; /* of it */
    } of[HX_FLOOD_PLACES];
} hx_flood;

struct hx_worker;

/* Whether the alert that is due, of an event of this time, is one too many; then it is counted, and
 * the first one of the second has been told of. rule: where it is a rule's, else NULL. */
bool hx_flood_over(struct hx_worker *worker, uint32_t place, const hx_rule *rule, int64_t time_us);

#endif
