/* The parts of the front: front.c reads lines, front_names.c says whose events they are,
 * front_rules.c asks the rules. */
#ifndef HAECHI_DETECT_FRONT_PARTS_H
#define HAECHI_DETECT_FRONT_PARTS_H

#include "detect/near.h"

#include <haechi/front.h>

struct hx_front {
    const hx_format *format; /* NULL: HX_FRONT_KEYS */
    const hx_matcher *matcher;
    hx_match_scratch *match;
    hx_session_rule rule;
    uint32_t prefix_len;
    hx_format_scratch header;
    hx_front_rules *rules; /* or NULL */
    uint64_t noted_by;     /* the stamp of the seat whose notes are by the matcher's forms */
    bool hosts, processes; /* are wanted */
    hx_intern *host_numbers, *process_numbers;
    hx_near near_hosts, near_processes;
    const hx_values *values; /* or NULL */
};

typedef struct front_line {
    hx_record record;
    hx_match_place place;
    hx_rule_place rule_place;    /* of the line */
    hx_near_place host, process; /* where they are wanted */
    uint32_t at, length;
    bool good; /* has the format */
} front_line;

/* The events of a record, their sessions named; at least one. events[0] is begun, its other fields
 * are there. end: of the buffer that the line is in. */
uint32_t hx_front_name(const hx_front *f, const hx_record *record, const char *end,
                       hx_event *events, uint32_t capacity);

/* The events of a line of HX_FRONT_KEYS; 0: it is malformed. events[0] is begun. */
uint32_t hx_front_keys(const hx_front *f, hx_slice line, hx_event *events);

/* What the rules say of a line, made events from first on: one look for all of them, unless the
 * rules ask for what they differ in. */
void hx_front_judge(hx_front *f, const char *buffer, const front_line *l, const hx_event *events,
                    uint32_t first, uint32_t made);

#endif
