/* Gates: what a text must have for a pattern to be worth a search. */
#include "rules/gate.h"

#include <haechi/rules.h>

#include <stdlib.h>

/* Each holds all digits or none and both cases of its letters, so that texts of one form pass the
 * same gates, and a pattern whose case does not matter the same ones. The narrowest comes first. */
static const struct {
    const char *ranges; /* pairs of first and last */
} gates[HX_GATES] = {
    [HX_GATE_ADDRESS] = {"09.."},
    [HX_GATE_HEX] = {"09AFaf"},
    [HX_GATE_WORD] = {"09AZaz__"},
    [HX_GATE_CODED] = {"09AZaz__++//==--"},
    [HX_GATE_SPELLED] = {"09AZaz__\x09\x0d  "},
    [HX_GATE_BINARY] = {"\x01\x1f\x7f\xff"},
};

/* Shorter ones are passed by too many texts. */
static const uint32_t least_of_gate[HX_GATES] = {7, 8, 12, 12, 48, 2};
/* So long a run is rarer than any word in it. */
#define LONG_RUN 20

typedef int16_t lanes __attribute__((vector_size(16)));
_Static_assert(HX_GATES <= sizeof(lanes) / sizeof(int16_t), "a lane for each gate");
_Static_assert(HX_RULE_PATTERN_BYTES <= INT16_MAX, "no pattern asks for more than can be counted");

static lanes masks[256]; /* by byte: all bits of a gate's lane where the gate has it */

static void fill_set(hx_byte_set *set, hx_gate gate)
{
    *set = (hx_byte_set){{gate == HX_GATE_BINARY, 0, 0, 0}}; /* its range cannot begin with NUL */
    for (const char *r = gates[gate].ranges; *r; r += 2)
        hx_byte_set_add(set, (unsigned char)r[0], (unsigned char)r[1]);
}

__attribute__((constructor)) static void fill_masks(void)
{
    for (int gate = 0; gate < HX_GATES; gate++) {
        hx_byte_set set;

        fill_set(&set, (hx_gate)gate);
        for (int b = 0; b < 256; b++)
            masks[b][gate] = hx_byte_set_has(&set, (unsigned char)b) ? -1 : 0;
    }
}

static bool holds_all(const hx_byte_set *set, const hx_byte_set *uses)
{
    for (int i = 0; i < 4; i++)
        if (uses->bits[i] & ~set->bits[i])
            return false;
    return true;
}

static uint32_t least_width(const hx_hyperscan *hs, const char *expression, unsigned flags)
{
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *refusal = NULL;
    uint32_t width = 0;

    if (hs->expression_info(expression, flags, &info, &refusal) == 0)
        width = info->min_width;
    else if (refusal)
        hs->free_compile_error(refusal);
    free(info);
    return width;
}

hx_gate hx_gate_find(const hx_hyperscan *hs, const char *expression, unsigned flags,
                     const hx_widening *widening, uint32_t *least)
{
    for (int gate = 0; gate < HX_GATES; gate++) {
        hx_byte_set set;

        fill_set(&set, (hx_gate)gate);
        if (!holds_all(&set, &widening->uses))
            continue;
        *least = least_width(hs, expression, flags);
        if (*least < least_of_gate[gate])
            return HX_GATE_NONE;
        if (gate <= HX_GATE_HEX || !widening->has_word ||
            (*least >= LONG_RUN && gate != HX_GATE_SPELLED))
            return (hx_gate)gate;
        return HX_GATE_NONE;
    }
    return HX_GATE_NONE;
}

static inline lanes longer_of(lanes a, lanes b)
{
    const lanes longer = a > b;

    return (a & longer) | (b & ~longer);
}

/* may_fill: a run may become longer than can be counted. Without, two steps a byte hang on each
 * other instead of four. */
static inline __attribute__((always_inline)) lanes find_runs(hx_slice text, bool may_fill)
{
    lanes run = {0}, best = {0};

    for (uint32_t i = 0; i < text.len; i++) {
        const lanes one_more = may_fill ? run - (run != INT16_MAX) : run + 1;

        run = one_more & masks[(unsigned char)text.ptr[i]];
        best = longer_of(run, best);
    }
    return best;
}

void hx_gate_runs(hx_slice text, uint32_t runs[static HX_GATES])
{
    const lanes best = text.len <= INT16_MAX ? find_runs(text, false) : find_runs(text, true);

    for (int gate = 0; gate < HX_GATES; gate++)
        runs[gate] = (uint32_t)best[gate];
}
