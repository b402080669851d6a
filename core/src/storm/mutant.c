/* Mutants: the anomalous flows of a profile, all made when it is read.
 *
 * A mutant is kept only where it can be told from normal traffic for certain: it has to hold a
 * succession of two messages (the session's beginning counts as one) that no normal flow has, in
 * every choice of its texts. That is stronger than "equals no normal flow", and it is what lets a
 * host's kernel, whose flows follow each other in one endless session, have labelled anomalies. */
#include "storm/model.h"

#include <stdlib.h>

enum {
    ORDERS_PER_FLOW = 16,
    MUTANTS_PER_GROUP = 2048,
};

typedef struct successions {
    const hx_profile *profile;
    uint32_t messages;
    uint64_t *pairs; /* bit a * messages + b: b follows a somewhere in normal traffic */
    bool *first;     /* begins a normal flow */
    bool *last;      /* ends one */
    bool *begins;    /* may come where no step of the same flow came before */
} successions;

static void pair_set(successions *s, uint32_t a, uint32_t b)
{
    uint64_t bit = (uint64_t)a * s->messages + b;

    s->pairs[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static bool pair_is_normal(const successions *s, uint32_t a, uint32_t b)
{
    uint64_t bit = (uint64_t)a * s->messages + b;

    return s->pairs[bit / 64] >> (bit % 64) & 1;
}

static void steps_join(successions *s, const storm_step *a, const storm_step *b)
{
    const uint16_t *refs = s->profile->text_refs;

    for (uint32_t i = 0; i < a->count; i++)
        for (uint32_t k = 0; k < b->count; k++)
            pair_set(s, refs[a->first + i], refs[b->first + k]);
}

static void mark(const hx_profile *p, const storm_step *step, bool *marks)
{
    for (uint32_t i = 0; i < step->count; i++)
        marks[p->text_refs[step->first + i]] = true;
}

static bool goes_on(const successions *s, uint32_t last, uint32_t next)
{
    const storm_message *m = s->profile->messages;

    return s->last[last] && m[last].process == m[next].process &&
           !s->profile->processes[m[last].process].has_pid;
}

static void successions_collect(successions *s)
{
    const hx_profile *p = s->profile;

    for (uint32_t f = 0; f < p->normal_count; f++) {
        const storm_step *steps = &p->steps[p->flows[f].first_step];
        uint32_t count = p->flows[f].step_count;

        mark(p, &steps[0], s->first);
        mark(p, &steps[count - 1], s->last);
        for (uint32_t i = 0; i + 1 < count; i++)
            steps_join(s, &steps[i], &steps[i + 1]);
    }
    memcpy(s->begins, s->first, s->messages * sizeof *s->first);
    /* Without a pid, the session goes on with any flow of the same process. */
    for (uint32_t a = 0; a < s->messages; a++) {
        for (uint32_t b = 0; b < s->messages; b++) {
            if (!goes_on(s, a, b))
                continue;
            if (s->first[b])
                pair_set(s, a, b);
            else if (pair_is_normal(s, a, b))
                s->begins[b] = true;
        }
    }
}

static bool may_follow(const successions *s, const storm_step *a, const storm_step *b)
{
    const uint16_t *refs = s->profile->text_refs;

    for (uint32_t i = 0; i < a->count; i++)
        for (uint32_t k = 0; k < b->count; k++)
            if (pair_is_normal(s, refs[a->first + i], refs[b->first + k]))
                return true;
    return false;
}

static bool may_begin(const successions *s, const storm_step *step)
{
    for (uint32_t i = 0; i < step->count; i++)
        if (s->begins[s->profile->text_refs[step->first + i]])
            return true;
    return false;
}

static bool is_distinguishable(const successions *s, const storm_step *steps, uint32_t count)
{
    if (!may_begin(s, &steps[0]))
        return true;
    for (uint32_t i = 0; i + 1 < count; i++)
        if (!may_follow(s, &steps[i], &steps[i + 1]))
            return true;
    return false;
}

static int mutant_add(hx_profile *p, storm_flow flow, const storm_step *steps, uint32_t count,
                      hx_error *err)
{
    int rc;

    if (p->flow_count >= STORM_MUTANTS_MAX)
        return hx_error_set(err, HX_EINVAL,
                            "flows: more than %d anomalous ones can be made of them",
                            STORM_MUTANTS_MAX);
    rc = hx_storm_reserve((void **)&p->flows, &p->flow_room, p->flow_count, 1, sizeof *p->flows);
    if (!rc)
        rc = hx_storm_reserve((void **)&p->steps, &p->step_room, p->step_count, count,
                              sizeof *p->steps);
    if (rc)
        return rc;
    flow.first_step = p->step_count;
    flow.step_count = (uint8_t)count;
    flow.share = 0;
    memcpy(p->steps + p->step_count, steps, count * sizeof *steps);
    p->step_count += count;
    p->flows[p->flow_count++] = flow;
    return 0;
}

/* The steps of flow f; a copy, since adding mutants moves the array. */
static uint32_t steps_copy(const hx_profile *p, uint32_t f, storm_step *out)
{
    memcpy(out, &p->steps[p->flows[f].first_step], p->flows[f].step_count * sizeof *out);
    return p->flows[f].step_count;
}

static int skip_steps(hx_profile *p, const successions *s, uint32_t f, hx_error *err)
{
    storm_step steps[STORM_STEPS_MAX], left[STORM_STEPS_MAX];
    uint32_t count = steps_copy(p, f, steps);
    storm_flow flow = p->flows[f];

    flow.kind = STORM_SKIPPED;
    /* Never the last one: a session that ends early looks like one that is still open. */
    for (uint32_t k = 0; k + 1 < count; k++) {
        memcpy(left, steps, k * sizeof *steps);
        memcpy(left + k, steps + k + 1, (count - k - 1) * sizeof *steps);
        if (!is_distinguishable(s, left, count - 1))
            continue;
        int rc = mutant_add(p, flow, left, count - 1, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int swap_steps(hx_profile *p, const successions *s, uint32_t f, hx_error *err)
{
    storm_step steps[STORM_STEPS_MAX], swapped[STORM_STEPS_MAX];
    uint32_t count = steps_copy(p, f, steps), made = 0;
    storm_flow flow = p->flows[f];

    flow.kind = STORM_REORDERED;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = i + 1; k < count && made < ORDERS_PER_FLOW; k++) {
            memcpy(swapped, steps, count * sizeof *steps);
            swapped[i] = steps[k];
            swapped[k] = steps[i];
            if (!is_distinguishable(s, swapped, count))
                continue;
            int rc = mutant_add(p, flow, swapped, count, err);
            if (rc)
                return rc;
            made++;
        }
    }
    return 0;
}

static bool says(const hx_profile *p, const storm_step *step, uint32_t message)
{
    for (uint32_t k = 0; k < step->count; k++)
        if (p->text_refs[step->first + k] == message)
            return true;
    return false;
}

static int rule_step(hx_profile *p, const storm_rule *rule, storm_step *step)
{
    int rc = hx_storm_reserve((void **)&p->text_refs, &p->ref_room, p->ref_count, 1,
                              sizeof *p->text_refs);

    if (rc)
        return rc;
    *step = (storm_step){p->ref_count, 1};
    p->text_refs[p->ref_count++] = rule->text;
    return 0;
}

/* Puts the message between two steps of each flow of its process, or behind the only one; where the
 * process has no flow, the message is a session of its own. */
static int insert_message(hx_profile *p, const storm_rule *rule, hx_error *err)
{
    storm_flow flow = {.process = rule->process, .kind = STORM_NEVER_SEEN};
    storm_step steps[STORM_STEPS_MAX + 1];
    uint32_t made = 0;
    storm_step added;
    int rc = rule_step(p, rule, &added);

    memcpy(flow.technique, rule->technique, sizeof flow.technique);
    for (uint32_t f = 0; f < p->normal_count && made < MUTANTS_PER_GROUP && !rc; f++) {
        if (p->flows[f].process != rule->process)
            continue;
        uint32_t count = steps_copy(p, f, steps);
        uint32_t at = count > 1 ? 1 + f % (count - 1) : 1;
        memmove(steps + at + 1, steps + at, (count - at) * sizeof *steps);
        steps[at] = added;
        rc = mutant_add(p, flow, steps, count + 1, err);
        made++;
    }
    if (!rc && made == 0)
        rc = mutant_add(p, flow, &added, 1, err);
    return rc;
}

/* Each step that says the normal message says the other one instead. Normal traffic never has its
 * values, so there is nothing more to be told. */
static int replace_message(hx_profile *p, const storm_rule *rule, hx_error *err)
{
    storm_flow flow = {.process = rule->process, .kind = STORM_VALUE};
    storm_step steps[STORM_STEPS_MAX];
    uint32_t made = 0;
    storm_step other;
    int rc = rule_step(p, rule, &other);

    memcpy(flow.technique, rule->technique, sizeof flow.technique);
    for (uint32_t f = 0; f < p->normal_count && !rc; f++) {
        uint32_t count = p->flows[f].process == rule->process ? steps_copy(p, f, steps) : 0;
        for (uint32_t i = 0; i < count && made < MUTANTS_PER_GROUP && !rc; i++) {
            storm_step step = steps[i];
            if (!says(p, &step, rule->normal))
                continue;
            steps[i] = other;
            rc = mutant_add(p, flow, steps, count, err);
            steps[i] = step;
            made++;
        }
    }
    return rc;
}

/* The longest run of one text that normal traffic can have within a flow. */
static uint32_t longest_run(const hx_profile *p, const storm_rule *rule)
{
    uint32_t longest = 0;

    for (uint32_t f = 0; f < p->normal_count; f++) {
        uint32_t run = 0;
        for (uint32_t i = 0; i < p->flows[f].step_count; i++) {
            run = says(p, &p->steps[p->flows[f].first_step + i], rule->text) ? run + 1 : 0;
            longest = run > longest ? run : longest;
        }
    }
    return longest;
}

static int repeat_message(hx_profile *p, const storm_rule *rule, hx_error *err)
{
    storm_flow flow = {.process = rule->process, .kind = STORM_REPEATED};
    storm_step steps[STORM_REPEATS_MAX];
    storm_step repeated;
    int rc = rule_step(p, rule, &repeated);

    memcpy(flow.technique, rule->technique, sizeof flow.technique);
    if (!rc && rule->times_min <= longest_run(p, rule))
        return hx_error_set(err, HX_EINVAL, "failures: times: %u in a row is normal for \"%.60s\"",
                            rule->times_min, p->messages[rule->text].text);
    if (!rc && !p->processes[rule->process].has_pid)
        return hx_error_set(err, HX_EINVAL,
                            "failures: process: %s has no pid, so its sessions do not "
                            "end",
                            p->processes[rule->process].name);
    for (uint32_t i = 0; i < rule->times_max; i++)
        steps[i] = repeated;
    for (uint32_t times = rule->times_min; times <= rule->times_max && !rc; times++)
        rc = mutant_add(p, flow, steps, times, err);
    return rc;
}

/* Groups what was added since `first`. */
static int group_add(hx_profile *p, uint32_t first, storm_kind kind, bool has_pid)
{
    int rc;

    if (p->flow_count == first)
        return 0;
    rc =
        hx_storm_reserve((void **)&p->groups, &p->group_room, p->group_count, 1, sizeof *p->groups);
    if (!rc)
        p->groups[p->group_count++] =
            (storm_group){first, p->flow_count - first, (uint8_t)kind, has_pid};
    return rc;
}

static int mutate_process(hx_profile *p, const successions *s, uint32_t process, storm_kind kind,
                          hx_error *err)
{
    uint32_t first = p->flow_count;
    int rc = 0;

    for (uint32_t f = 0; f < p->normal_count && !rc; f++) {
        if (p->flows[f].process != process || p->flow_count - first >= MUTANTS_PER_GROUP)
            continue;
        rc = kind == STORM_SKIPPED ? skip_steps(p, s, f, err) : swap_steps(p, s, f, err);
    }
    return rc ? rc : group_add(p, first, kind, p->processes[process].has_pid);
}

static int mutate_all(hx_profile *p, const successions *s, hx_error *err)
{
    int rc = 0;

    for (uint32_t process = 0; process < p->process_count && !rc; process++) {
        rc = mutate_process(p, s, process, STORM_SKIPPED, err);
        if (!rc)
            rc = mutate_process(p, s, process, STORM_REORDERED, err);
    }
    for (uint32_t i = 0; i < p->rule_count && !rc; i++) {
        const storm_rule *rule = &p->rules[i];
        uint32_t first = p->flow_count;

        rc = rule->kind == STORM_REPEATED ? repeat_message(p, rule, err)
             : rule->kind == STORM_VALUE  ? replace_message(p, rule, err)
                                          : insert_message(p, rule, err);
        if (!rc)
            rc = group_add(p, first, rule->kind, p->processes[rule->process].has_pid);
    }
    return rc;
}

int hx_storm_mutants_make(hx_profile *p, hx_error *err)
{
    uint64_t bits = (uint64_t)p->message_count * p->message_count;
    bool *marks = calloc(3, p->message_count * sizeof *marks);
    successions s = {.profile = p, .messages = p->message_count, .pairs = calloc(bits / 64 + 1, 8)};
    int rc = HX_ENOMEM;

    if (s.pairs && marks) {
        s.first = marks;
        s.last = marks + p->message_count;
        s.begins = marks + 2 * p->message_count;
        successions_collect(&s);
        rc = mutate_all(p, &s, err);
    }
    free(s.pairs);
    free(marks);
    return rc;
}
