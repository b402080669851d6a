/* Inside combos: what a worker keeps, and how its files come together. */
#ifndef HAECHI_DETECT_COMBOS_PARTS_H
#define HAECHI_DETECT_COMBOS_PARTS_H

#include "detect/combos.h"
#include "detect/novelty.h"

#define HX_COMBOS_KNOWN 16384 /* places of each kind, eight bytes each */
#define HX_COMBOS_USERS 64    /* users whose pairs are a bit each: the first that are members */
#define HX_COMBOS_NAMES 1     /* in of_key: its lines name a user. No process has number 0 */

/* Pairs that were looked up, and of which nothing is to be said, are remembered: by the numbers of
 * their names as bits, which are few enough to stay near; and where a name has none, or not one of
 * the first, by a hash of the pair. */
typedef struct combos_state {
    uint32_t worker, workers;
    uint64_t *processes_of_host;    /* [HX_HOST_NUMBERS + 1], a bit a process */
    uint64_t *processes_of_key;     /* [key_count + 1], likewise, and HX_COMBOS_NAMES */
    uint8_t *users_of_host;         /* [HX_HOST_NUMBERS + 1], whether its users matter */
    uint8_t *users_of_process;      /* [HX_PROCESS_NUMBERS + 1] */
    uint64_t *known_of_host;        /* [HX_HOST_NUMBERS + 1], a bit a user */
    uint64_t *known_of_process;     /* [HX_PROCESS_NUMBERS + 1], likewise */
    uint64_t user[HX_COMBOS_USERS]; /* the hashes of their names; 0: free */
    uint32_t key_count;
    uint64_t *known[HX_COMBO_KINDS];
    hx_novelty reported;
} combos_state;

static inline uint64_t *hx_combos_known(const combos_state *s, hx_combo_kind kind, uint64_t h)
{
    return &s->known[kind][h & (HX_COMBOS_KNOWN - 1)];
}

/* combos_report.c: a pair of members. False: of it nothing is to be said, now or ever. */
bool hx_combos_judge(const hx_combos_model *m, combos_state *s, hx_combo_kind kind,
                     const hx_event *e, const hx_combo_member *first, const hx_combo_member *second,
                     hx_reporter *reporter);

/* One that has to be said, unless it was said shortly before. */
void hx_combos_report(const hx_combos_model *m, combos_state *s, hx_combo_kind kind,
                      const hx_event *e, const hx_combo_member *first,
                      const hx_combo_member *second, hx_reporter *reporter);

/* combos_users.c: the pairs of a line whose log key names a user. */
void hx_combos_judge_user(const hx_combos_model *m, combos_state *s, const hx_seen_lines *lines,
                          const hx_seen *l, hx_reporter *reporter);

#endif
