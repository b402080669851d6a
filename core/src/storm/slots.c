#include "storm/slots.h"

#include <stdio.h>

static void walk_next(storm_walk *w, uint32_t hosts, uint32_t pids)
{
    uint32_t pid = w->pid + w->stride_pids;
    uint32_t carry = pid >= pids;
    uint32_t host = w->host + w->stride_hosts + carry;

    w->pid = carry ? pid - pids : pid;
    w->host = host >= hosts ? host - hosts : host;
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

/* Where in the ring of idle hosts the one is that has been so longest and may be taken, counted
 * from the ring's beginning; idle_count where there is none. */
static uint32_t idle_find(const storm_slots *s, const storm_lane *lane)
{
    uint32_t count = lane->idle_count;

    for (uint32_t k = 0; k < count; k++) {
        uint32_t at = lane->idle_at + k < count ? lane->idle_at + k : lane->idle_at + k - count;
        if (!s->absent[lane->idle[at]])
            return at;
    }
    return count;
}

/* Lets go of a host; returns the one that has been idle longest. */
static uint32_t host_exchange(const storm_slots *s, storm_lane *lane, uint16_t old)
{
    uint32_t at = idle_find(s, lane);

    if (at == lane->idle_count)
        return old;
    uint32_t host = lane->idle[at];
    lane->idle[at] = old;
    lane->idle_at = at + 1 == lane->idle_count ? 0 : at + 1;
    return host;
}

bool hx_slots_host_idles(const storm_slots *s, const storm_lane *lane)
{
    return idle_find(s, lane) < lane->idle_count;
}

void hx_slots_host_return(storm_lane *lane, uint16_t host)
{
    lane->idle[lane->idle_count++] = host;
}

void hx_slots_restart(storm_slots *s, storm_lane *lane, uint32_t i)
{
    if (i >= s->without_pid_at) {
        uint32_t at = idle_find(s, lane);
        lane->slots[i].host = lane->idle[at];
        lane->idle[at] = lane->idle[--lane->idle_count];
        if (lane->idle_at >= lane->idle_count)
            lane->idle_at = 0;
    }
    hx_slots_start(s, lane, i);
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

void hx_slots_head(const storm_slots *s, storm_slot *slot, uint32_t process, uint32_t host,
                   uint32_t pid)
{
    head_write(s, slot, &(storm_start){.process = (uint16_t)process, .has_pid = true}, host, pid);
}

void hx_slots_draw(storm_slots *s, storm_pool *pool)
{
    bool odd = pool->kind_count && (uint32_t)hx_random_next(&s->random) < s->anomaly_below;

    pool->next = s->starts[__builtin_expect(odd, 0) ? flow_mutant(s, pool) : flow_normal(s, pool)];
}

void hx_slots_start(storm_slots *s, storm_lane *lane, uint32_t i)
{
    storm_slot *slot = &lane->slots[i];
    storm_pool *pool = &s->pools[i >= s->without_pid_at];
    storm_start start = pool->next;

    hx_slots_draw(s, pool);
    if (start.has_pid) {
        storm_walk *walk = &lane->walks[start.process];
        while (__builtin_expect(lane->absent != 0, 0) && s->absent[lane->host_first + walk->host])
            walk_next(walk, lane->host_count, s->pid_count);
        head_write(s, slot, &start, lane->host_first + walk->host, walk->pid);
        walk_next(walk, lane->host_count, s->pid_count);
        __builtin_prefetch(&s->hosts[lane->host_first + walk->host]);
        __builtin_prefetch(&s->pids[walk->pid]);
    } else {
        head_write(s, slot, &start, host_exchange(s, lane, slot->host), 0);
    }
    slot->seed = (uint32_t)(hx_random_next(&s->random) >> 32);
    slot->cursor = start.first_step;
    slot->left = start.step_count;
    slot->flow = start.flow;
    hx_slot_arm(s, slot);
}

void hx_slots_session_name(const storm_slots *s, const storm_slot *slot, char *out, size_t room)
{
    const storm_process *process = &s->profile->processes[s->profile->flows[slot->flow].process];
    int len = snprintf(out, room, "%s %s", s->hosts[slot->host].name, process->name);

    if (process->has_pid)
        snprintf(out + len, room - (size_t)len, " %u", s->profile->pid_first + slot->pid);
}
