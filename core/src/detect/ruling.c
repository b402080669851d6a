/* What comes of rules: alerts of what they deny, none of what they allow. */
#include "detect/judge.h"

hx_ruling hx_judge_ruling(const hx_worker *worker, const hx_event *event)
{
    const hx_batch *batch = worker->batch;

    if (!batch->ruling_count || event < batch->events ||
        event >= batch->events + batch->event_count)
        return (hx_ruling){0, HX_NO_RULE, 0, 0};
    return hx_batch_ruling(batch, (uint32_t)(event - batch->events));
}

void hx_judge_deny(hx_worker *worker, const hx_ruling *ruling)
{
    const hx_batch *batch = worker->batch;
    const hx_event *e = &batch->events[ruling->event];
    const hx_rule *rule = hx_rules_get(batch->rules, ruling->rule);
    hx_alert alert = {
        .kind = HX_ALERT_RULE,
        .stage = 1,
        .matched = rule,
        .lifted = ruling->escalated,
        .time_us = e->time_us,
        .session = hx_slice_make(e->name, e->name_len),
        .key = e->key,
        .severity = e->severity,
        .source = batch->source,
        .identity = batch->chunk.identity,
        .offset = batch->chunk.offset + e->line,
        .line = hx_slice_make(batch->buffer + e->line, e->length),
    };

    if (!ruling->escalated &&
        hx_flood_over(worker, HX_FLOOD_RULE + ruling->rule % HX_FLOOD_RULES, rule, e->time_us))
        return;
    alert.content = hx_hash_bytes(alert.line.ptr, alert.line.len,
                                  hx_hash_bytes(rule->id, strlen(rule->id), HX_HASH_SEED));
    hx_judge_emit(worker, &alert);
}

void hx_judge_allowed(hx_worker *worker, const hx_session *session)
{
    bool had_one = session->flags & HX_SESSION_ALERTED;

    worker->count[had_one ? HX_STAT_ALERTS_SUPPRESSED : HX_STAT_ALLOWED_ALERTS]++;
}
