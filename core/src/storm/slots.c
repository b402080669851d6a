#include "storm/slots.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A (host, pid) comes back after size / live sessions have gone through every slot. A session that
 * still lives then would have to be passed over that often by draws that hit it once in `live`; at
 * 256 that is e^-256 a step. So as many sessions are live at most. */
enum { REUSE_DISTANCE = 256 };

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* A stride near the golden section of the size spreads neighbours in time over hosts and pids. */
static void walk_start(storm_walk *w, uint32_t hosts, uint32_t pids, uint64_t *random)
{
    uint32_t size = hosts * pids;
    uint32_t stride = (uint32_t)((uint64_t)size * 618034 / 1000000) +
                      hx_random_below(hx_random_next(random), size / 16 + 1);
    uint32_t at = hx_random_below(hx_random_next(random), size);

    stride = stride % size ? stride % size : 1;
    while (gcd(stride, size) != 1)
        stride = stride + 1 < size ? stride + 1 : 1;
    *w = (storm_walk){at / pids, at % pids, stride / pids, stride % pids};
}

static void walk_next(storm_walk *w, uint32_t hosts, uint32_t pids)
{
    uint32_t pid = w->pid + w->stride_pids;
    uint32_t carry = pid >= pids;
    uint32_t host = w->host + w->stride_hosts + carry;

    w->pid = carry ? pid - pids : pid;
    w->host = host >= hosts ? host - hosts : host;
}

/* Walker's alias method (Vose, 1991): every entry holds one flow or two, so that one draw decides.
 */
static void alias_build(storm_alias *aliases, uint32_t count, const uint16_t *flows,
                        double *weights)
{
    uint16_t small[STORM_FLOWS_MAX], large[STORM_FLOWS_MAX];
    uint32_t smalls = 0, larges = 0;
    double total = 0;

    for (uint32_t i = 0; i < count; i++)
        total += weights[i];
    for (uint32_t i = 0; i < count; i++) {
        weights[i] *= count / total;
        if (weights[i] < 1)
            small[smalls++] = (uint16_t)i;
        else
            large[larges++] = (uint16_t)i;
        aliases[i] = (storm_alias){UINT32_MAX, {flows[i], flows[i]}};
    }
    while (smalls && larges) {
        uint16_t s = small[--smalls], l = large[larges - 1];
        aliases[s].below = (uint32_t)(weights[s] * 4294967295.0);
        aliases[s].flows[1] = flows[l];
        weights[l] -= 1 - weights[s];
        if (weights[l] < 1) {
            larges--;
            small[smalls++] = l;
        }
    }
}

static int pool_build(storm_slots *s, bool has_pid, double *share)
{
    const hx_profile *p = s->profile;
    storm_pool *pool = &s->pools[!has_pid];
    uint16_t flows[STORM_FLOWS_MAX];
    double *weights = calloc(p->normal_count, sizeof *weights);

    *share = 0;
    pool->aliases = calloc(p->normal_count, sizeof *pool->aliases);
    if (!weights || !pool->aliases) {
        free(weights);
        return HX_ENOMEM;
    }
    for (uint32_t f = 0; f < p->normal_count; f++) {
        if (p->processes[p->flows[f].process].has_pid != has_pid)
            continue;
        /* A share is of lines: a flow of five lines starts a fifth as often as one of one. */
        weights[pool->alias_count] = p->flows[f].share / p->flows[f].step_count;
        flows[pool->alias_count++] = (uint16_t)f;
        *share += p->flows[f].share;
    }
    alias_build(pool->aliases, pool->alias_count, flows, weights);
    free(weights);
    return 0;
}

static int starts_build(storm_slots *s)
{
    const hx_profile *p = s->profile;

    s->walks = calloc(p->process_count, sizeof *s->walks);
    s->leads = calloc(p->process_count, sizeof *s->leads);
    s->starts = calloc(p->flow_count, sizeof *s->starts);
    s->pids = calloc(p->pid_count, sizeof *s->pids);
    if (!s->walks || !s->leads || !s->starts || !s->pids)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < p->pid_count; i++) {
        char digits[16];
        int len = snprintf(digits, sizeof digits, "%u", p->pid_first + i);
        memcpy(s->pids[i].digits, digits, (size_t)len);
        s->pids[i].length = (uint8_t)len;
    }
    for (uint32_t i = 0; i < p->process_count; i++) {
        const storm_process *process = &p->processes[i];
        walk_start(&s->walks[i], s->host_count, p->pid_count, &s->random);
        memcpy(s->leads[i].text, process->lead[s->layout], sizeof s->leads[i].text);
        s->leads[i].length = process->lead_len[s->layout];
    }
    for (uint32_t f = 0; f < p->flow_count; f++) {
        const storm_flow *flow = &p->flows[f];
        s->starts[f] = (storm_start){flow->first_step, flow->process, flow->step_count,
                                     p->processes[flow->process].has_pid};
    }
    return 0;
}

static int groups_sort(storm_slots *s)
{
    const hx_profile *p = s->profile;
    uint32_t at = 0;

    s->group_refs = calloc(p->group_count + 1, sizeof *s->group_refs);
    if (!s->group_refs)
        return HX_ENOMEM;
    for (uint32_t pool = 0; pool < 2; pool++) {
        storm_pool *sorted = &s->pools[pool];
        for (uint32_t kind = STORM_SKIPPED; kind < STORM_KINDS; kind++) {
            sorted->groups[kind] = s->group_refs + at;
            for (uint32_t g = 0; g < p->group_count; g++)
                if (p->groups[g].kind == kind && p->groups[g].has_pid == (pool == 0))
                    s->group_refs[at++] = &p->groups[g];
            sorted->group_count[kind] = (uint32_t)(s->group_refs + at - sorted->groups[kind]);
            if (sorted->group_count[kind])
                sorted->kinds[sorted->kind_count++] = (uint8_t)kind;
        }
    }
    return 0;
}

static int hosts_build(storm_slots *s, uint32_t first)
{
    s->hosts = calloc(s->host_count + 1, sizeof *s->hosts);
    s->idle = calloc(s->host_count, sizeof *s->idle);
    if (!s->hosts || !s->idle)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < s->host_count; i++) {
        char name[STORM_NAME_MAX + 16];
        int len = snprintf(name, sizeof name, "%s%02u", s->profile->host_prefix, first + i + 1);
        memcpy(s->hosts[i].name, name, (size_t)len);
        s->hosts[i].length = (uint8_t)len;
        s->idle[i] = (uint16_t)i;
    }
    for (uint32_t i = s->host_count - 1; i > 0; i--) {
        uint32_t k = hx_random_below(hx_random_next(&s->random), i + 1);
        uint16_t swap = s->idle[i];
        s->idle[i] = s->idle[k];
        s->idle[k] = swap;
    }
    return 0;
}

/* How many sessions of each pool are live. A kernel flow has its host for itself: a quarter of the
 * hosts stays idle, so that a host's next flow is not the one that follows at once. */
static void pools_size(storm_slots *s, uint32_t live, double with_pid, double without)
{
    double share = without / (with_pid + without);
    uint64_t sessions = (uint64_t)s->host_count * s->profile->pid_count / REUSE_DISTANCE;
    uint32_t kernels = (uint32_t)lrint(live * share), hosts = (s->host_count * 3 + 3) / 4;
    uint32_t others = live - (kernels < live ? kernels : live);

    if (kernels > hosts)
        kernels = hosts;
    if (others > sessions)
        others = (uint32_t)sessions;
    if (without > 0)
        s->pools[1].slot_count = kernels ? kernels : 1;
    if (with_pid > 0)
        s->pools[0].slot_count = others ? others : 1;
    s->pools[1].slot_first = s->pools[0].slot_count;
    s->without_pid_below = (uint64_t)(share * 4294967296.0);
}

int hx_slots_create(storm_slots *s, const hx_composer_config *config, uint32_t live,
                    uint32_t host_first, uint32_t host_count, uint64_t seed)
{
    double with_pid, without;
    int rc;

    *s = (storm_slots){.profile = config->profile, .host_count = host_count, .random = seed};
    s->layout = config->form == HX_LINE_RFC5424;
    s->anomaly_below = (uint64_t)(config->anomaly_rate * 4294967296.0);
    rc = pool_build(s, true, &with_pid);
    if (!rc)
        rc = pool_build(s, false, &without);
    if (!rc)
        rc = groups_sort(s);
    if (!rc)
        rc = hosts_build(s, host_first);
    if (!rc)
        rc = starts_build(s);
    if (rc)
        return rc;
    pools_size(s, live, with_pid, without);
    uint32_t count = s->pools[0].slot_count + s->pools[1].slot_count;
    s->slots = aligned_alloc(64, (size_t)count * sizeof *s->slots);
    if (!s->slots)
        return HX_ENOMEM;
    memset(s->slots, 0, (size_t)count * sizeof *s->slots);
    for (uint32_t i = 0; i < s->pools[1].slot_count; i++)
        s->slots[s->pools[1].slot_first + i].host = s->idle[i];
    s->idle_count = host_count - s->pools[1].slot_count;
    memmove(s->idle, s->idle + s->pools[1].slot_count, s->idle_count * sizeof *s->idle);
    for (uint32_t i = 0; i < count; i++)
        hx_slots_start(s, i);
    return 0;
}

void hx_slots_destroy(storm_slots *s)
{
    free(s->pools[0].aliases);
    free(s->pools[1].aliases);
    free(s->group_refs);
    free(s->hosts);
    free(s->idle);
    free(s->walks);
    free(s->leads);
    free(s->starts);
    free(s->pids);
    free(s->slots);
}

static uint32_t flow_normal(storm_slots *s, const storm_pool *pool)
{
    uint64_t draw = hx_random_next(&s->random);
    const storm_alias *alias = &pool->aliases[hx_random_below(draw, pool->alias_count)];

    return alias->flows[(uint32_t)draw >= alias->below];
}

/* Kind, then group, then mutant, each with equal chances: every kind is seen, and every process. */
static uint32_t flow_mutant(storm_slots *s, const storm_pool *pool)
{
    uint32_t kind = pool->kinds[hx_random_below(hx_random_next(&s->random), pool->kind_count)];
    uint32_t g = hx_random_below(hx_random_next(&s->random), pool->group_count[kind]);
    const storm_group *group = pool->groups[kind][g];

    return group->first + hx_random_below(hx_random_next(&s->random), group->count);
}

/* Lets go of a host; returns the one that has been idle longest. */
static uint32_t host_exchange(storm_slots *s, uint16_t old)
{
    if (s->idle_count == 0)
        return old;
    uint32_t host = s->idle[s->idle_at];
    s->idle[s->idle_at] = old;
    s->idle_at = s->idle_at + 1 == s->idle_count ? 0 : s->idle_at + 1;
    return host;
}

/* Straight into the slot, over the fields behind the head: they are set afterwards. Reading back
 * from a buffer what was written in pieces would wait for the pieces to reach the cache. */
static inline void head_write(const storm_slots *s, storm_slot *slot, const storm_start *start,
                              uint32_t host, uint32_t pid)
{
    const storm_lead *lead = &s->leads[start->process];
    char *head = (char *)slot;
    char *p = head;

    memcpy(p, &s->hosts[host], 32);
    p += s->hosts[host].length;
    memcpy(p, lead->text, sizeof lead->text);
    p += lead->length;
    if (start->has_pid) {
        memcpy(p, &s->pids[pid], sizeof *s->pids);
        p += s->pids[pid].length;
        memcpy(p, s->layout ? "    " : "]:  ", 4);
        p += s->layout ? 1 : 3;
    }
    slot->head_len = (uint8_t)(p - head);
    slot->host = (uint16_t)host;
    slot->pid = (uint16_t)pid;
}

void hx_slots_start(storm_slots *s, uint32_t i)
{
    storm_slot *slot = &s->slots[i];
    const storm_pool *pool = &s->pools[i >= s->pools[1].slot_first];
    uint64_t draw = hx_random_next(&s->random);
    uint32_t f;

    if (__builtin_expect((uint32_t)draw < s->anomaly_below && pool->kind_count, 0))
        f = flow_mutant(s, pool);
    else
        f = flow_normal(s, pool);
    const storm_start *start = &s->starts[f];
    if (start->has_pid) {
        storm_walk *walk = &s->walks[start->process];
        head_write(s, slot, start, walk->host, walk->pid);
        walk_next(walk, s->host_count, s->profile->pid_count);
        __builtin_prefetch(&s->hosts[walk->host]);
        __builtin_prefetch(&s->pids[walk->pid]);
    } else {
        head_write(s, slot, start, host_exchange(s, slot->host), 0);
    }
    slot->seed = (uint32_t)(draw >> 32);
    slot->cursor = start->first_step;
    slot->left = start->step_count;
    slot->flow = (uint16_t)f;
    hx_slot_arm(s, slot);
}

void hx_slots_session_name(const storm_slots *s, uint32_t i, char *out, size_t room)
{
    const storm_slot *slot = &s->slots[i];
    const storm_process *process = &s->profile->processes[s->profile->flows[slot->flow].process];
    int len = snprintf(out, room, "%s %s", s->hosts[slot->host].name, process->name);

    if (process->has_pid)
        snprintf(out + len, room - (size_t)len, " %u", s->profile->pid_first + slot->pid);
}
