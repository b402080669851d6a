/* Where workers run. */
#include "send/room.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

uint32_t place_processors(void)
{
    cpu_set_t allowed;
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        return (uint32_t)CPU_COUNT(&allowed);
    return online > 0 ? (uint32_t)online : 1;
}

int place_check(const hx_sender_config *c, hx_error *err)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return 0; /* more of them than a set holds */
    for (uint32_t i = 0; i < c->pin_count; i++)
        if (c->pin[i] >= CPU_SETSIZE || !CPU_ISSET(c->pin[i], &allowed))
            return hx_error_set(err, HX_EINVAL,
                                "pin: %u is not a processor that this process may use (nproc and "
                                "taskset -p $$ show which it may)",
                                c->pin[i]);
    return 0;
}

/* A file with a list such as "0-3,8", as the kernel writes it; false: there is none. */
static bool list_read(const char *path, cpu_set_t *set)
{
    char text[4096], *at = text;
    FILE *file = fopen(path, "re");

    if (!file)
        return false;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    CPU_ZERO(set);
    while (*at >= '0' && *at <= '9') {
        unsigned long first = strtoul(at, &at, 10), last = first;

        if (*at == '-')
            last = strtoul(at + 1, &at, 10);
        for (unsigned long cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
            CPU_SET(cpu, set);
        at += *at == ',';
    }
    return true;
}

static int nth_of(const cpu_set_t *set, uint32_t n)
{
    int count = CPU_COUNT(set);

    if (count == 0)
        return -1;
    n %= (uint32_t)count;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, set) && n-- == 0)
            return cpu;
    return -1;
}

static bool node_read(int node, cpu_set_t *set)
{
    char path[64];

    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node);
    return list_read(path, set);
}

/* Nodes that have a processor this process may use; at most `room`. */
static uint32_t nodes_allowed(cpu_set_t *nodes, uint32_t room)
{
    cpu_set_t allowed, online, node;
    uint32_t count = 0;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return 0;
    if (!list_read("/sys/devices/system/node/online", &online))
        CPU_ZERO(&online);
    for (int i = 0; i < CPU_SETSIZE && count < room; i++) {
        if (!CPU_ISSET(i, &online) || !node_read(i, &node))
            continue; /* their numbers have gaps */
        CPU_AND(&nodes[count], &node, &allowed);
        count += CPU_COUNT(&nodes[count]) > 0;
    }
    if (count == 0)
        nodes[count++] = allowed; /* no NUMA in this kernel */
    return count;
}

int place_of(const hx_sender_config *c, uint32_t worker, uint32_t workers)
{
    cpu_set_t nodes[64];
    uint32_t groups = c->groups ? c->groups : 1, node_count;
    uint32_t group_size = (workers + groups - 1) / groups, group = worker / group_size;

    if (c->pin_count)
        return (int)c->pin[worker % c->pin_count];
    if (!c->pin_auto)
        return -1;
    node_count = nodes_allowed(nodes, 64);
    if (!node_count)
        return -1;
    /* Groups on one node share its processors, one group after the other. */
    return nth_of(&nodes[group % node_count],
                  worker % group_size + group / node_count * group_size);
}
