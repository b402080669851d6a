#include "detect/judge.h"

#include <stdio.h>

static const char *name_of(const hx_worker *w, uint32_t place)
{
    if (place == HX_FLOOD_DEEPLOG)
        return "deeplog";
    if (place == HX_FLOOD_NEW_EVENT)
        return "new_event";
    return place < HX_FLOOD_RULE ? w->room.set->detector[place - HX_FLOOD_DETECTOR]->name : "rule";
}

static void tell(hx_worker *w, uint32_t place, const hx_rule *rule, int64_t time_us, int64_t second)
{
    const uint32_t most = w->shared->alerts_per_second;
    const char *name = name_of(w, place);
    hx_text reason = {0}, detail = {0};
    hx_alert alert = {
        .kind = HX_ALERT_DETECTOR,
        .stage = 1,
        .detector = "flood",
        .rule = "flood",
        .severity_word = "high",
        .score = most + 1.0,
        .threshold = most,
        .time_us = time_us,
        .key = HX_KEY_UNSEEN,
        .severity = HX_PRI_NONE,
        .source = "",
        .content =
            hx_hash_u64(hx_hash_u64(hx_hash_u64(HX_HASH_SEED, (uint64_t)second), place), w->index),
    };

    hx_text_printf(&reason, "More than %u alerts of %s", most, rule ? "the rule " : name);
    if (rule)
        hx_text_str(&reason, rule->id);
    hx_text_str(&reason, " were due within a second; the rest of them are counted (alerts_over) "
                         "and not written.");
    hx_text_str(&detail, "{\"detector\": \"");
    hx_text_str(&detail, name);
    hx_text_str(&detail, "\", \"rule\": ");
    if (rule)
        hx_text_json_string(&detail, hx_slice_str(rule->id));
    else
        hx_text_str(&detail, "null");
    hx_text_str(&detail, "}");
    alert.reason = hx_slice_make(reason.ptr, reason.len);
    alert.detail = hx_slice_make(detail.ptr, detail.len);
    hx_judge_emit(w, &alert);
    w->out.failed |= reason.failed | detail.failed;
    hx_text_free(&reason);
    hx_text_free(&detail);
}

bool hx_flood_over(struct hx_worker *worker, uint32_t place, const hx_rule *rule, int64_t time_us)
{
    hx_worker *w = worker;
    struct hx_flood_of *of = &w->flood.of[place];
    int64_t second;

    if (!w->shared->alerts_per_second)
        return false;
    second = (int64_t)(hx_worker_now_ns(CLOCK_REALTIME) / 1000000000);
    if (of->second != second)
        *of = (struct hx_flood_of){second, 0};
    if (of->alerts < w->shared->alerts_per_second) {
        of->alerts++;
        return false;
    }
    if (of->alerts++ == w->shared->alerts_per_second)
        tell(w, place, rule, time_us, second);
    w->count[HX_STAT_ALERTS_OVER]++;
    return true;
}
