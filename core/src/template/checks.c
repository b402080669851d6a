#include "checks.h"

/* --- one part ----------------------------------------------------------------------------------
 */

uint64_t hx_network_of(const char *text, uint32_t octets)
{
    uint64_t network = 0;

    for (uint32_t i = 0; i < octets; i++, text++) {
        uint64_t octet = 0;

        for (; *text != '.'; text++)
            octet = octet * 10 + (uint64_t)(*text - '0');
        network = network << 16 | octet;
    }
    return network;
}

static bool is_usual(const hx_check *check, uint64_t value)
{
    uint32_t low = 0, high = check->usual_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (check->usual[middle] == value)
            return true;
        if (check->usual[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static uint64_t number_of(const char *text, uint32_t length)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < length; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    return value;
}

/* More digits are more, whatever they are: a number with zeros in front is compared as text of its
 * length, so that a form says all but what has as many digits as the limit. */
static bool in_range(const hx_check *check, const char *text, uint32_t length)
{
    if (length < check->low_digits || length > check->high_digits)
        return false;
    if (length == check->low_digits && number_of(text, length) < check->low)
        return false;
    return length < check->high_digits || number_of(text, length) <= check->high;
}

bool hx_check_passes(const hx_check *check, const char *text, uint32_t length)
{
    switch (check->kind) {
    case HX_VALUE_RANGE:
        return in_range(check, text, length);
    case HX_VALUE_NUMBERS:
        return length <= HX_CHECK_DIGITS && is_usual(check, number_of(text, length));
    case HX_VALUE_NETWORKS:
        return is_usual(check, hx_network_of(text, check->octets));
    case HX_VALUE_WORDS:
        break;
    }
    return true;
}

/* --- a message ---------------------------------------------------------------------------------
 */

static int compare_slices(hx_slice a, hx_slice b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool is_known(const hx_check *check, hx_slice skeleton)
{
    uint32_t low = 0, high = check->usual_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = compare_slices(check->words[middle], skeleton);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void take_token(hx_step_place place, const hx_cut_message *message, hx_check_token *out)
{
    hx_token token;

    out->text.ptr = NULL;
    if (hx_cut_token(message, place, &token)) {
        out->text = hx_slice_make(message->text + token.start, token.length);
        out->is_value = token.is_value;
    }
    hx_check_token_skeleton(out);
}

hx_check_say hx_check_look(const hx_check *check, const hx_check_token *t)
{
    hx_slice skeleton = hx_slice_make(t->skeleton.text, t->whole ? t->skeleton.length : 0);

    if (!t->text.ptr)
        return HX_CHECK_NOTHING;
    if (check->kind == HX_VALUE_WORDS)
        return t->whole && is_known(check, skeleton) ? HX_CHECK_NOTHING : HX_CHECK_ODD;
    if (!t->whole || check->part >= t->skeleton.part_count ||
        !hx_slice_equal(check->skeleton, skeleton))
        return HX_CHECK_NOTHING;
    return HX_CHECK_PART;
}

static hx_slice part_of(const hx_check *check, const hx_check_token *t)
{
    const hx_part *part = &t->skeleton.parts[check->part];

    return hx_slice_make(t->text.ptr + part->at, part->length);
}

uint32_t hx_checks_open(const hx_values *values, const hx_cut_message *message, uint32_t log_key)
{
    const hx_check_group *group;
    uint32_t open = 0, at = 0;

    while ((group = hx_checks_next(values, log_key, HX_CHECKS_ALL, &at))) {
        hx_check_token t;
        bool decided;

        take_token(group->place, message, &t);
        decided = !t.text.ptr || !t.is_value;
        for (uint32_t i = group->first; decided && i < group->end; i++)
            decided = hx_check_look(&values->checks[i], &t) == HX_CHECK_NOTHING;
        if (!decided)
            open |= UINT32_C(1) << (at - 1 < 31 ? at - 1 : 31);
    }
    return open;
}

uint32_t hx_checks_judge(const hx_values *values, const hx_cut_message *message, uint32_t log_key,
                         uint32_t open)
{
    const hx_check_group *group;
    hx_check_token t;

    for (uint32_t at = 0; (group = hx_checks_next(values, log_key, open, &at));) {
        take_token(group->place, message, &t);
        for (uint32_t i = group->first; i < group->end; i++) {
            const hx_check *check = &values->checks[i];
            hx_check_say says = hx_check_look(check, &t);

            if (says == HX_CHECK_PART) {
                hx_slice part = part_of(check, &t);

                says = hx_check_passes(check, part.ptr, part.len) ? HX_CHECK_NOTHING : HX_CHECK_ODD;
            }
            if (says == HX_CHECK_ODD)
                return i + 1;
        }
    }
    return 0;
}

/* --- why ---------------------------------------------------------------------------------------
 */

static double nats_of(const hx_check *check, hx_slice part)
{
    double value = 0;

    if (check->kind != HX_VALUE_RANGE)
        return check->nats;
    for (uint32_t i = 0; i < part.len; i++)
        value = value * 10 + (part.ptr[i] - '0');
    if (value < (double)check->low)
        return check->nats + ((double)check->low - value) * check->low_slope;
    if (value > (double)check->high)
        return check->nats + (value - (double)check->high) * check->high_slope;
    return check->nats;
}

#define NATS_MOST 100

bool hx_checks_explain(const hx_values *values, const hx_cut_message *message, uint32_t index,
                       hx_value_finding *out)
{
    const hx_check *check = &values->checks[index];
    hx_check_token t;
    hx_check_say says;
    hx_slice part;

    take_token(check->place, message, &t);
    says = hx_check_look(check, &t);
    if (says == HX_CHECK_NOTHING)
        return false;
    part = says == HX_CHECK_PART ? part_of(check, &t) : t.text;
    if (says == HX_CHECK_PART && hx_check_passes(check, part.ptr, part.len))
        return false;
    *out = (hx_value_finding){check->kind, check->log_key, check->step, part,
                              0,           check->limit,   check->low,  check->high};
    out->nats = nats_of(check, part);
    out->too_low = check->kind == HX_VALUE_RANGE &&
                   (part.len < check->low_digits ||
                    (part.len == check->low_digits && number_of(part.ptr, part.len) < check->low));
    if (!(out->nats < NATS_MOST))
        out->nats = NATS_MOST;
    return true;
}

static void put_network(hx_text *out, uint64_t network, uint32_t octets)
{
    hx_text_str(out, "\"");
    for (uint32_t i = 0; i < 4; i++)
        hx_text_printf(out, "%s%u", i ? "." : "",
                       i < octets ? (unsigned)(network >> 16 * (octets - 1 - i) & 0xffff) : 0);
    hx_text_printf(out, "/%u\"", 8 * octets);
}

void hx_values_usual(const hx_values *values, uint32_t check, uint32_t most, hx_text *out)
{
    const hx_check *c = &values->checks[check];

    hx_text_str(out, "[");
    for (uint32_t i = 0; i < c->usual_count && i < most; i++) {
        hx_text_str(out, i ? ", " : "");
        if (c->kind == HX_VALUE_WORDS)
            hx_text_json_string(out, c->words[i]);
        else if (c->kind == HX_VALUE_NETWORKS)
            put_network(out, c->usual[i], c->octets);
        else
            hx_text_printf(out, "\"%llu\"", (unsigned long long)c->usual[i]);
    }
    hx_text_str(out, "]");
}
