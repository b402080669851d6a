/* A thread's place, as the files that judge see it: what it remembers of forms and what it is at.
 */
#ifndef HAECHI_RULES_SEAT_H
#define HAECHI_RULES_SEAT_H

#include "rules/room.h"

/* With more patterns of a field to look at exactly, all of them are searched at once. */
#define HX_CHECKS_ALONE 4
/* Among what is to be looked at exactly: what told holds, but for numbered patterns that have
 * words. */
#define HX_TOLD_ID UINT32_C(0x80000000)

/* What forms are remembered to hit: lists of patterns, each once. Few are different in a log; when
 * there is no room for a new one, all forms are forgotten. */
#define HX_LISTS_ROOM   (1u << 16) /* numbers */
#define HX_LISTS_PLACES (1u << 14)

/* A list: how many have hit, how many may have, and they. List 0: none. */
enum { LIST_HITS, LIST_CHECKS, LIST_IDS };

/* What is remembered by form. A form has a few places: with several to choose from, forms that come
 * again do not take theirs from each other. Tags tell which of them is worth a look. */
typedef struct hx_seat_forms {
    hx_forms forms;
    uint32_t *tags; /* [HX_FORMS]: of the forms' hashes */
} hx_seat_forms;

typedef struct hx_seat_field {
    hx_seat_forms near, far;
} hx_seat_field;

struct hx_rule_seat {
    const hx_rules *rules;
    uint64_t stamp; /* another one since its lists were forgotten */
    hs_scratch_t *scratch;
    hx_forms_way way;
    hx_seat_field fields[HX_RULE_TEXTS];
    uint32_t *lists;
    uint32_t lists_end;
    uint32_t *places; /* [HX_LISTS_PLACES]: of lists by hash */
    uint32_t *found;  /* [patterns]: what a search has hit */
    uint32_t found_count;
    uint32_t *fresh;  /* a list in the making */
    uint32_t *maybe;  /* [2 * patterns]: those to look at exactly */
    uint64_t *bits;   /* of the patterns that hit in the line at hand */
    uint32_t *marked; /* they */
    uint32_t marked_count;
    uint32_t *looked_at; /* by rule: at which line */
    uint32_t line;
    _Atomic uint64_t *hits; /* by rule; read by other threads */
    hx_ruled ruled;
    hx_rule_counters counters;
};

void hx_seat_stamp(hx_rule_seat *seat);

/* Into found: what the database hits in the text, each once. NULL hits nothing. */
void hx_seat_search(hx_rule_seat *seat, const hs_database_t *database, hx_slice text);
/* Whether the pattern is among what a block hits. */
bool hx_seat_is_there(hx_rule_seat *seat, uint32_t block, uint32_t pattern, hx_slice text);

/* 0 or HX_ENOMEM. */
int hx_seat_forms_init(hx_seat_forms *forms);
void hx_seat_forms_free(hx_seat_forms *forms);
/* The place where the text's form is, which is not always the one that hx_rule_seat_look says; form
 * NULL: it is not there. */
hx_form_place hx_seat_forms_find(const hx_rule_seat *seat, const hx_seat_forms *forms,
                                 hx_form_place place, hx_slice text);
/* Keeps what the list says of a text's form that was not found. Not always: see hx_form_keep. */
void hx_seat_forms_keep(hx_seat_forms *forms, hx_form_place place, hx_slice text, uint32_t list);

/* The number of the list in fresh; UINT32_MAX where it is too long to be kept. */
uint32_t hx_seat_keep_list(hx_rule_seat *seat);
/* So that the same patterns are the same list, whichever was found first. Long lists are rare and
 * stay as they are. */
void hx_seat_put_in_order(uint32_t *numbers, uint32_t count);

/* Into fresh: what the text's form tells. Hits come first, then what is to be looked at exactly. */
void hx_seat_learn(hx_rule_seat *seat, hx_rule_field field, hx_slice text);

#endif
