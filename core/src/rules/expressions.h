/* Lists of expressions that become one of Hyperscan's databases. */
#ifndef HAECHI_RULES_EXPRESSIONS_H
#define HAECHI_RULES_EXPRESSIONS_H

#include "rules/room.h"

/* Each is told once, and may fit an empty text. */
#define HX_EXPRESSION_FLAGS (HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY)

typedef struct hx_expressions {
    char **texts; /* owned */
    unsigned *ids, *flags;
    uint32_t count, room;
    bool failed;
} hx_expressions;

/* The text is copied, and id is what its hits are told by. */
void hx_expressions_add(hx_expressions *e, bool nocase, uint32_t id, hx_slice text);
/* Empties it as well. */
void hx_expressions_free(hx_expressions *e);
/* 0, HX_EINVAL, HX_ENOMEM. A NULL database where there are no expressions. *fault: whose the
 * refusal is, or UINT32_MAX; without it a refusal is final. */
int hx_expressions_compile(const hx_rules *rules, const hx_expressions *e, hs_database_t **out,
                           uint32_t *fault, hx_error *err);

#endif
