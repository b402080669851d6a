/* What a regular expression cannot find without: texts of which one is in whatever it finds. Three
 * kinds of them: digits in a row, bytes in a row of which none is a digit, and bytes of any kind in
 * a row. The longest are kept. Filled in while an expression is read from its begin to its end
 * (widen.c). */
#ifndef HAECHI_RULES_NEEDS_H
#define HAECHI_RULES_NEEDS_H

#include <haechi/text.h>

#include <stdbool.h>
#include <stdint.h>

typedef enum hx_need {
    HX_NEED_WORD,
    HX_NEED_NUMBER,
    HX_NEED_TEXT,
    HX_NEEDS,
} hx_need;

#define HX_NEEDS_DEPTH 64   /* of groups */
#define HX_NEEDS_ANY   24   /* texts of one kind; with more, none are told */
#define HX_NEEDS_BYTES 2048 /* of all of them; what comes behind is not told */

/* One of these is there; count 0: nothing is known. */
typedef struct hx_need_set {
    uint32_t count;
    uint32_t least; /* bytes of the shortest */
    struct {
        uint16_t at, length;
    } any[HX_NEEDS_ANY];
} hx_need_set;

/* A group as far as it has been read: its alternative at hand, and those before it. */
typedef struct hx_need_level {
    hx_need_set branch[HX_NEEDS], before[HX_NEEDS];
    bool first; /* of its alternatives */
} hx_need_level;

typedef struct hx_needs {
    char bytes[HX_NEEDS_BYTES];
    uint32_t end;      /* of what is used of them */
    uint32_t text_run; /* where the run at hand begins */
    uint32_t run;      /* and the one of one kind */
    hx_need run_kind;
    uint32_t depth;
    hx_need_level levels[HX_NEEDS_DEPTH];
} hx_needs;

void hx_needs_begin(hx_needs *needs);
/* A byte that is in whatever the alternative at hand finds, right behind the one before it. */
void hx_needs_byte(hx_needs *needs, unsigned char byte);
/* Something that is no certain byte, or none that certainly comes right behind. */
void hx_needs_break(hx_needs *needs);
void hx_needs_alternative(hx_needs *needs);
/* At most HX_NEEDS_DEPTH - 1 deep. */
void hx_needs_open(hx_needs *needs);
/* optional: the group may be left out. */
void hx_needs_close(hx_needs *needs, bool optional);
/* The whole is read; once. */
void hx_needs_end(hx_needs *needs);
/* What is known then. */
static inline const hx_need_set *hx_needs_of(const hx_needs *needs, hx_need kind)
{
    return &needs->levels[0].before[kind];
}

/* The set as an expression: one text or another. */
void hx_needs_write(const hx_needs *needs, const hx_need_set *set, hx_text *out);

#endif
