/* A pattern that finds nothing but bytes of one kind in a row, and not few of them (a digest, a
 * coded key, an address), is searched only in texts that have so many of the kind in a row. Most
 * texts have not, and that is told by a look at their bytes. */
#ifndef HAECHI_RULES_GATE_H
#define HAECHI_RULES_GATE_H

#include "rules/hyperscan.h"
#include "rules/widen.h"

typedef enum hx_gate {
    HX_GATE_ADDRESS, /* digits and points */
    HX_GATE_HEX,     /* what digests are written with */
    HX_GATE_WORD,
    HX_GATE_CODED,   /* what base64 is written with, too */
    HX_GATE_SPELLED, /* words and the space between them, and no mark for long */
    HX_GATE_BINARY,  /* what is not printed */
    HX_GATES,
    HX_GATE_NONE = HX_GATES,
} hx_gate;

/* The gate that any text with a match passes, and the least of the gate's bytes in a row that it
 * has. NONE where a gate would tell little. widening: of the expression, and not UNKNOWN. */
hx_gate hx_gate_find(const hx_hyperscan *hs, const char *expression, unsigned flags,
                     const hx_widening *widening, uint32_t *least);

/* By gate: the most bytes of it in a row that the text has, up to 32767. The same for all texts of
 * a form. */
void hx_gate_runs(hx_slice text, uint32_t runs[static HX_GATES]);

#endif
