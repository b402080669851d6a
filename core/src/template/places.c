#include "places.h"

static bool is_many(const hx_step *step)
{
    return step->kind == HX_STEP_SPAN || step->kind == HX_STEP_REST;
}

static bool any_many(const hx_pattern *pattern, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        if (is_many(&pattern->steps[i]))
            return true;
    return false;
}

bool hx_step_place_of(const hx_pattern *pattern, uint32_t step, hx_step_place *out)
{
    if (step >= pattern->count || pattern->steps[step].kind == HX_STEP_WORD ||
        is_many(&pattern->steps[step]))
        return false;
    if (!any_many(pattern, 0, step)) {
        *out = (hx_step_place){false, (uint16_t)step};
        return true;
    }
    if (any_many(pattern, step, pattern->count) ||
        pattern->steps[pattern->count - 1].kind == HX_STEP_REST)
        return false;
    *out = (hx_step_place){true, (uint16_t)(pattern->count - step)};
    return true;
}
