/* Inside the room of rules: what loading makes and judging reads. */
#ifndef HAECHI_RULES_ROOM_H
#define HAECHI_RULES_ROOM_H

#include "rules/clues.h"
#include "rules/gate.h"
#include "rules/hyperscan.h"
#include "template/forms.h"

#include <haechi/rules.h>

#include <stdatomic.h>

/* --- what was read -----------------------------------------------------------------------------
 */

typedef enum hx_node_kind {
    HX_NODE_ALL,    /* of the nodes up to arg */
    HX_NODE_ANY,    /* of the nodes up to arg */
    HX_NODE_NOT,    /* the node after it */
    HX_NODE_HIT,    /* pattern arg */
    HX_NODE_NUMBER, /* field op value */
    HX_NODE_EXISTS, /* field, where arg is 1; else that it is not there */
} hx_node_kind;

typedef enum hx_rule_op {
    HX_OP_CONTAINS,
    HX_OP_EQUALS,
    HX_OP_STARTSWITH,
    HX_OP_ENDSWITH,
    HX_OP_REGEX,
    HX_OP_EXISTS,
    HX_OP_EQ,
    HX_OP_LT,
    HX_OP_LTE,
    HX_OP_GT,
    HX_OP_GTE,
} hx_rule_op;

/* Conditions are trees, written into one array in prefix order. */
typedef struct hx_node {
    uint8_t kind, field, op;
    uint32_t arg;
    uint32_t value;
} hx_node;

/* One text or expression to look for in one field; the same of two rules is one pattern. */
typedef struct hx_pattern {
    char *value; /* as the file has it; NUL-terminated */
    uint32_t length;
    uint32_t rule; /* the first that has it */
    uint8_t field, op;
    bool nocase;
    /* Set when its field is compiled: */
    bool far;      /* looked for in far forms: it has no word to begin a search with */
    bool checked;  /* a hit of the widened one says little: the pattern itself is searched then */
    bool digits;   /* tells one digit from another: what a form says is only that it may hit */
    bool numbered; /* tells digits apart, and finds nothing without one of its numbers */
    bool worded;   /* a form is asked for its words, and where it has them for the pattern */
    bool loose;    /* numbered, and no words of it can be looked for in forms */
    uint32_t
        leader;     /* of numbered ones that have the same words: the one that is in near for all */
    uint8_t gate;   /* hx_gate */
    uint32_t least; /* bytes of its gate, or of numbers, in a row that a text must have; the least
                     * of those that it leads */
    uint32_t block; /* in which it is searched exactly */
    uint32_t hint;  /* of far ones that tell digits apart: in which it is with any digits */
} hx_pattern;

typedef struct hx_book {
    hx_rule *rules;
    uint32_t rule_count;
    hx_node *nodes;
    uint32_t node_count, node_room;
    hx_pattern *patterns;
    uint32_t pattern_count, pattern_room;
    uint32_t *places; /* of patterns by hash, + 1; while it is read */
    uint32_t place_mask;
    uint32_t tests; /* patterns before the same ones were found to be the same */
} hx_book;

/* Reads and checks the text of a rule file. 0, HX_EMALFORMED, HX_EVERSION, HX_ENOMEM, with a
 * sentence that begins with name. The book is to be freed in any case. */
int hx_book_read(hx_book *book, const char *json, size_t len, const char *name, hx_error *err);
void hx_book_free(hx_book *book);
/* False when out of memory. */
bool hx_book_add_node(hx_book *book, hx_node node);
/* The number of the pattern, new or known; what it points to is copied. UINT32_MAX when out of
 * memory. */
uint32_t hx_book_find_pattern(hx_book *book, const hx_pattern *wanted);

/* --- conditions --------------------------------------------------------------------------------
 */

/* Which rules to look at when a pattern hits, and which for every line. */
typedef struct hx_triggers {
    uint32_t *begin; /* [patterns + 1]: where a pattern's rules begin in rules */
    uint32_t *rules;
    uint32_t *always;
    uint32_t always_count;
} hx_triggers;

int hx_triggers_make(hx_triggers *triggers, const hx_book *book);
void hx_triggers_free(hx_triggers *triggers);

/* Whether the condition at *node holds; *node goes past it. bits: of the patterns that hit. */
bool hx_condition_holds(const hx_node *nodes, uint32_t *node, const uint64_t *bits,
                        const hx_rule_line *line);

/* --- fields ------------------------------------------------------------------------------------
 */

/* The databases of one text field; each NULL where no pattern is for it. */
typedef struct hx_field {
    bool used;
    bool has_far;
    hs_database_t *near;      /* of all that is told by a form, to be searched in forms */
    hs_database_t *far;       /* of patterns without a word, widened further; for texts */
    hs_database_t *exact;     /* those of near, as they are */
    hs_database_t *far_exact; /* those of far that tell no digits apart, as they are */
    /* What is searched in a text whose form passes a gate, or has words of numbered patterns: the
     * patterns behind gates that tell digits apart, as they are, and the numbers of numbered ones.
     */
    hs_database_t *told;
    uint32_t told_least[HX_GATES]; /* of its gated patterns'; UINT32_MAX: there are none */
    uint32_t loose_least;          /* of loose ones' */
    hx_clues clues;                /* of all that told holds */
    /* The other patterns behind gates, searched once for a form. */
    hs_database_t *settled;
    uint32_t settled_least[HX_GATES];
    uint32_t *settled_ids;
    uint32_t settled_count;
    bool gated;           /* there are any of these */
    bool remembers;       /* something is told by a form */
    hs_database_t *blind; /* what no form tells anything of: searched in every text */
} hx_field;

/* Patterns that are searched exactly, few at a time, where only few of them may hit. */
#define HX_BLOCKS_MAX 1024
#define HX_NO_BLOCK   UINT32_MAX

struct hx_rules {
    uint64_t epoch;
    const hx_hyperscan *hs;
    char *name;
    char digest[17];
    uint32_t uses; /* bits by field */
    hx_book book;
    hx_triggers triggers;
    hx_field fields[HX_RULE_TEXTS];
    hs_database_t **blocks;
    uint32_t block_count;
    hs_scratch_t *scratch; /* large enough for every database; the seats' are its clones */
    hx_rule_seat **seats;
    uint32_t seat_count;
};

/* Compiles all fields' databases. 0, HX_EINVAL, HX_ENOMEM. */
int hx_fields_compile(hx_rules *rules, hx_error *err);

/* A text as far forms are of: all that words are made of is the same byte. */
void hx_far_form(hx_slice text, char out[static HX_FORM_BYTES]);

int hx_rule_seat_create(const hx_rules *rules, hx_rule_seat **out, hx_error *err);
void hx_rule_seat_destroy(const hx_rules *rules, hx_rule_seat *seat);
uint64_t hx_rule_seat_hits(const hx_rule_seat *seat, uint32_t rule);

#endif
