/* usage: what this process has cost so far. */
#ifndef HAECHI_USAGE_H
#define HAECHI_USAGE_H

#include <stdint.h>

typedef struct hx_usage {
    double cpu_user_s, cpu_system_s; /* of all its threads */
    uint64_t rss_peak_bytes;         /* the most memory it has had resident; 0 without /proc */
} hx_usage;

hx_usage hx_usage_now(void);

#endif
