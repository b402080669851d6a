/* Lanes: how many sessions there are, of which hosts, and the tables that starting one takes. */
#include "storm/slots.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SECONDS_PER_SESSION_EVENT = 2,
    SESSIONS_MIN = 8,
    LANE_SESSIONS_MIN = 1024, /* a sender's turn in which each session speaks at most once */
    /* A session of so many steps lives about as many rounds, in each of which every session speaks
     * once on average. Its name comes back after four times as many and some: that a session lives
     * longer, passed over again and again by chance, has odds below e^-30. */
    REUSE_ROUNDS = 64,
    REUSE_ROUNDS_PER_STEP = 4,
    /* Of a walk's stride; of a hundred strides about three have no larger one down to one host of a
     * hundred. */
    QUOTIENT_MOST = 3,
    STRIDES_TRIED = 500,
};

/* How evenly a walk of such strides around a circle of the size goes, as the quotients of their
 * continued fraction have it (the three-distance theorem): small ones let no part of the circle,
 * down to a host's, wait long, and a large one sends the walk over few hosts again and again before
 * it moves on to the next. And each place must come before one comes twice. */
static bool walk_is_even(uint32_t size, uint32_t stride, uint32_t host)
{
    while (stride) {
        uint32_t left = size % stride;

        if (size > host && size / stride > QUOTIENT_MOST)
            return false;
        size = stride;
        stride = left;
    }
    return size == 1;
}

/* A stride near the golden section of the size spreads neighbours in time over hosts and pids. */
static void walk_start(storm_walk *w, uint32_t hosts, uint32_t pids, uint64_t *random)
{
    uint32_t size = hosts * pids, golden = (uint32_t)((uint64_t)size * 618034 / 1000000), stride;
    uint32_t at = hx_random_below(hx_random_next(random), size);

    for (uint32_t tries = 0; tries < STRIDES_TRIED; tries++) {
        stride = golden + hx_random_below(hx_random_next(random), size / 16 + 1);
        if (walk_is_even(size, stride, pids))
            goto found;
    }
    stride = golden % size ? golden % size : 1;
    while (!walk_is_even(size, stride, size))
        stride = stride + 1 < size ? stride + 1 : 1;
found:
    *w = (storm_walk){at / pids, at % pids, stride / pids, stride % pids};
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

    s->leads = calloc(p->process_count, sizeof *s->leads);
    s->starts = calloc(p->flow_count, sizeof *s->starts);
    s->pids = calloc(p->pid_count, sizeof *s->pids);
    if (!s->leads || !s->starts || !s->pids)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < p->pid_count; i++) {
        char digits[16];
        int len = snprintf(digits, sizeof digits, "%u", p->pid_first + i);
        memcpy(s->pids[i].digits, digits, (size_t)len);
        s->pids[i].length = (uint8_t)len;
    }
    for (uint32_t i = 0; i < p->process_count; i++) {
        const storm_process *process = &p->processes[i];
        memcpy(s->leads[i].text, process->lead[s->layout], sizeof s->leads[i].text);
        s->leads[i].length = process->lead_len[s->layout];
    }
    for (uint32_t f = 0; f < p->flow_count; f++) {
        const storm_flow *flow = &p->flows[f];
        s->starts[f] = (storm_start){flow->first_step, flow->process, (uint16_t)f, flow->step_count,
                                     p->processes[flow->process].has_pid};
    }
    return 0;
}

static int groups_sort(storm_slots *s, uint32_t kinds)
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
                if (p->groups[g].kind == kind && kinds >> (kind - 1) & 1 &&
                    p->groups[g].has_pid == (pool == 0))
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
    s->absent = calloc(s->host_count, 1);
    if (!s->hosts || !s->absent)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < s->host_count; i++) {
        char name[STORM_NAME_MAX + 16];
        int len = snprintf(name, sizeof name, "%s%02u", s->profile->host_prefix, first + i + 1);
        memcpy(s->hosts[i].name, name, (size_t)len);
        s->hosts[i].length = (uint8_t)len;
    }
    return 0;
}

/* --- how many ----------------------------------------------------------------------------------
 */

static uint32_t longest_flow(const hx_profile *p, uint32_t process)
{
    uint32_t longest = 0;

    for (uint32_t f = 0; f < p->flow_count; f++)
        if (p->flows[f].process == process && p->flows[f].step_count > longest)
            longest = p->flows[f].step_count;
    return longest;
}

/* How many sessions with a pid a lane of so many hosts can have, so that a name comes back after
 * enough rounds. What a round starts of a process is known on average, except for anomalous
 * sessions: those are taken to be all of it, and of one step. */
static uint32_t names_suffice(const storm_slots *s, const hx_composer_config *config,
                              uint32_t hosts)
{
    const hx_profile *p = s->profile;
    double starts[STORM_PROCESSES_MAX] = {0}, all = 0, lines = 0, most = UINT32_MAX;
    double normal = 1 - config->anomaly_rate;

    for (uint32_t f = 0; f < p->normal_count; f++) {
        const storm_flow *flow = &p->flows[f];
        if (!p->processes[flow->process].has_pid)
            continue;
        starts[flow->process] += flow->share / flow->step_count;
        all += flow->share / flow->step_count;
        lines += flow->share;
    }
    for (uint32_t i = 0; i < p->process_count && all > 0; i++) {
        double steps = normal * lines / all + config->anomaly_rate;
        double share = (normal * starts[i] / all + config->anomaly_rate) / steps;
        double rounds = REUSE_ROUNDS + REUSE_ROUNDS_PER_STEP * (double)longest_flow(p, i);
        double sessions = (double)hosts * s->pid_count / (share * rounds);
        if (p->processes[i].has_pid && share > 0 && sessions < most)
            most = sessions;
    }
    return (uint32_t)most;
}

/* Sessions of a lane, as wanted. */
static double lane_sessions(const storm_slots *s, const hx_composer_config *c)
{
    uint32_t workers = c->workers ? c->workers : 1;
    double sessions = c->sessions;

    if (sessions == 0) {
        sessions = (double)c->eps_milli / 1000 * SECONDS_PER_SESSION_EVENT;
        sessions = fmin(sessions, HX_SESSIONS_DEFAULT_MAX);
        sessions = fmax(sessions, SESSIONS_MIN);
        if (s->lane_count > 1)
            sessions = fmax(sessions, (double)LANE_SESSIONS_MIN * workers * s->lane_count);
    }
    return ceil(ceil(sessions / workers) / s->lane_count);
}

/* A turn in which every session speaks once gives each kind the share that it has of the slots. A
 * kernel flow has its host for itself, and a quarter of the hosts stays idle, so that a host's next
 * flow is not the one that follows at once. Where that is too few for the share, there are fewer
 * slots of the other kind; with several lanes not fewer than a sender's turn needs. */
static void slots_size(storm_slots *s, const hx_composer_config *config, double with_pid,
                       double without)
{
    double share = without / (with_pid + without);
    double wanted = lane_sessions(s, config), least = 1;
    uint32_t hosts = s->host_count / s->lane_count, kernels_most = (hosts * 3 + 3) / 4;
    double others_most = names_suffice(s, config, hosts);

    if (s->lane_count > 1)
        least = fmin(wanted, LANE_SESSIONS_MIN);
    if (share > 0)
        wanted = fmax(fmin(wanted, kernels_most / share), least);
    if (share < 1)
        wanted = fmin(wanted, others_most / (1 - share));
    double kernels = share > 0 ? fmin(fmax(nearbyint(wanted * share), 1), kernels_most) : 0;
    /* Where the number is ours to choose, whole kernels are just their share. */
    if (config->sessions == 0 && kernels > 0 && kernels < kernels_most)
        wanted = fmin(nearbyint(kernels / share), fmax(wanted, HX_SESSIONS_DEFAULT_MAX));
    double others = share < 1 ? fmax(fmin(wanted - kernels, others_most), 1) : 0;
    s->without_pid_at = (uint32_t)others;
    s->slot_count = (uint32_t)(others + kernels);
}

/* --- making ------------------------------------------------------------------------------------
 */

static void lane_build(storm_slots *s, uint32_t l)
{
    storm_lane *lane = &s->lanes[l];
    uint32_t first = (uint32_t)((uint64_t)s->host_count * l / s->lane_count);
    uint32_t end = (uint32_t)((uint64_t)s->host_count * (l + 1) / s->lane_count);
    uint32_t processes = s->profile->process_count, kernels = s->slot_count - s->without_pid_at;

    *lane = (storm_lane){s->slots + (size_t)l * s->slot_count,
                         s->walks + (size_t)l * processes,
                         s->idle + first,
                         end - first - kernels,
                         0,
                         first,
                         end - first,
                         0};
    for (uint32_t i = 0; i < lane->host_count; i++)
        lane->idle[i] = (uint16_t)(first + i);
    for (uint32_t i = lane->host_count - 1; i > 0; i--) {
        uint32_t k = hx_random_below(hx_random_next(&s->random), i + 1);
        uint16_t swap = lane->idle[i];
        lane->idle[i] = lane->idle[k];
        lane->idle[k] = swap;
    }
    for (uint32_t i = 0; i < processes; i++)
        walk_start(&lane->walks[i], lane->host_count, s->pid_count, &s->random);
    for (uint32_t i = 0; i < kernels; i++)
        lane->slots[s->without_pid_at + i].host = lane->idle[i];
    memmove(lane->idle, lane->idle + kernels, lane->idle_count * sizeof *lane->idle);
    for (uint32_t i = 0; i < s->slot_count; i++)
        hx_slots_start(s, lane, i);
}

static int lanes_build(storm_slots *s)
{
    size_t bytes = (size_t)s->lane_count * s->slot_count * sizeof *s->slots;

    s->slots = aligned_alloc(64, bytes);
    s->lanes = calloc(s->lane_count, sizeof *s->lanes);
    s->walks = calloc((size_t)s->lane_count * s->profile->process_count, sizeof *s->walks);
    s->idle = calloc(s->host_count, sizeof *s->idle);
    if (!s->slots || !s->lanes || !s->walks || !s->idle)
        return HX_ENOMEM;
    memset(s->slots, 0, bytes);
    for (uint32_t l = 0; l < s->lane_count; l++)
        lane_build(s, l);
    return 0;
}

/* Each message of a burst has a pid of its own, which no session may have had a moment before. */
static uint32_t burst_pids(const hx_profile *p, const hx_composer_config *config)
{
    uint32_t most = p->pid_count / 4;

    if (!(config->kinds & HX_ANOMALY_MESSAGE_BURST) || !config->disturbance_events ||
        p->burst_count == 0)
        return 0;
    for (uint32_t i = 0; i < p->burst_count; i++)
        most = p->bursts[i].times_max > most ? p->bursts[i].times_max : most;
    return most;
}

int hx_slots_create(storm_slots *s, const hx_composer_config *config, uint32_t host_first,
                    uint32_t host_count, uint64_t seed)
{
    const hx_profile *p = config->profile;
    double with_pid, without;
    int rc;

    *s = (storm_slots){.profile = p, .host_count = host_count, .random = seed};
    s->lane_count = config->lanes ? config->lanes : 1;
    s->layout = config->form == HX_LINE_RFC5424;
    s->anomaly_below = (uint64_t)(config->anomaly_rate * 4294967296.0);
    rc = pool_build(s, true, &with_pid);
    if (!rc)
        rc = pool_build(s, false, &without);
    if (!rc)
        rc = groups_sort(s, config->kinds);
    if (!rc)
        rc = hosts_build(s, host_first);
    if (!rc)
        rc = starts_build(s);
    if (rc)
        return rc;
    s->pid_count = p->pid_count - burst_pids(p, config);
    slots_size(s, config, with_pid, without);
    for (uint32_t i = 0; i < 2; i++)
        if (s->pools[i].alias_count)
            hx_slots_draw(s, &s->pools[i]);
    return lanes_build(s);
}

void hx_slots_destroy(storm_slots *s)
{
    free(s->pools[0].aliases);
    free(s->pools[1].aliases);
    free(s->group_refs);
    free(s->hosts);
    free(s->absent);
    free(s->idle);
    free(s->walks);
    free(s->leads);
    free(s->starts);
    free(s->pids);
    free(s->slots);
    free(s->lanes);
}
