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

/* Digits that a number has. */
static uint32_t digits_of(uint64_t value)
{
    uint32_t n = 1;

    while (value >= 10) {
        value /= 10;
        n++;
    }
    return n;
}

/* More digits are more, whatever they are: a number with zeros in front is compared as text of its
 * length, so that a form says all but what has as many digits as the limit. */
static bool in_range(const hx_check *check, const char *text, uint32_t length)
{
    if (length < digits_of(check->low))
        return false;
    if (length == digits_of(check->low) && number_of(text, length) < check->low)
        return false;
    if (check->high == HX_VALUE_UNLIMITED)
        return true;
    if (length > digits_of(check->high))
        return false;
    return length < digits_of(check->high) || number_of(text, length) <= check->high;
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

/* The token of a message that the checks of a step are about. */
typedef struct checks_token {
    const hx_token *token;
    bool whole; /* has a skeleton */
    hx_skeleton skeleton;
} checks_token;

static void take_token(const hx_check *check, const hx_tokenizer *message, checks_token *out)
{
    out->token = hx_step_token(check->place, message);
    out->whole = out->token && hx_skeleton_make(message->text + out->token->start,
                                                out->token->length, &out->skeleton);
}

/* What a check has to say of a token: nothing, no, or that a part decides. */
typedef enum checks_say { SAYS_NOTHING, SAYS_ODD, SAYS_PART } checks_say;

static checks_say look(const hx_check *check, const checks_token *t)
{
    hx_slice skeleton = hx_slice_make(t->skeleton.text, t->whole ? t->skeleton.length : 0);

    if (!t->token)
        return SAYS_NOTHING;
    if (check->kind == HX_VALUE_WORDS)
        return t->whole && is_known(check, skeleton) ? SAYS_NOTHING : SAYS_ODD;
    if (!t->whole || check->part >= t->skeleton.part_count ||
        !hx_slice_equal(check->skeleton, skeleton))
        return SAYS_NOTHING;
    return SAYS_PART;
}

static hx_slice part_of(const hx_check *check, const checks_token *t, const hx_tokenizer *message)
{
    const hx_part *part = &t->skeleton.parts[check->part];

    return hx_slice_make(message->text + t->token->start + part->at, part->length);
}

static bool same_step(const hx_check *a, const hx_check *b)
{
    return a->log_key == b->log_key && a->step == b->step;
}

uint32_t hx_checks_judge(const hx_values *values, const hx_tokenizer *message, uint32_t log_key)
{
    checks_token t;

    for (uint32_t i = values->first_of_key[log_key]; i < values->first_of_key[log_key + 1]; i++) {
        const hx_check *check = &values->checks[i];
        checks_say says;

        if (i == values->first_of_key[log_key] || !same_step(check, check - 1))
            take_token(check, message, &t);
        says = look(check, &t);
        if (says == SAYS_PART) {
            hx_slice part = part_of(check, &t, message);

            says = hx_check_passes(check, part.ptr, part.len) ? SAYS_NOTHING : SAYS_ODD;
        }
        if (says == SAYS_ODD)
            return i + 1;
    }
    return 0;
}

/* --- a form ------------------------------------------------------------------------------------
 */

/* As text, so that numbers of one length compare as they are. */
static uint64_t as_text(uint64_t value, uint32_t digits)
{
    uint64_t text = 0;

    for (uint32_t i = 0; i < digits; i++, value /= 10)
        text |= (uint64_t)('0' + value % 10) << (8 * i);
    return text;
}

/* A number of so many digits against a range. False: they decide nothing. */
static bool plan_range(const hx_check *check, uint32_t at, uint32_t digits, uint32_t message_len,
                       hx_plan_item *out)
{
    const uint32_t low = digits_of(check->low);
    const uint32_t high = check->high == HX_VALUE_UNLIMITED ? UINT32_MAX : digits_of(check->high);

    if (digits < low || digits > high) {
        out->kind = HX_PLAN_ALWAYS;
        return true;
    }
    if ((digits > low || check->low == 0) && digits < high)
        return false;
    if (digits > 8 || message_len < 8)
        return true;
    out->kind = HX_PLAN_RANGE;
    out->low = digits == low ? as_text(check->low, digits) : as_text(0, digits);
    out->high = digits == high ? as_text(check->high, digits) : UINT64_MAX >> (64 - 8 * digits);
    out->at = (uint8_t)(at + 8 <= message_len ? at : message_len - 8);
    out->left = (uint8_t)(8 * (at - out->at));
    out->right = (uint8_t)(64 - 8 * digits);
    return true;
}

/* False: there are too many. */
static bool add_item(const hx_values *values, uint32_t index, const hx_tokenizer *message,
                     const checks_token *t, checks_say says, hx_plan *plan, uint32_t *count)
{
    const hx_check *check = &values->checks[index];
    hx_plan_item item = {.check = (uint16_t)index, .kind = HX_PLAN_ALWAYS};

    if (says == SAYS_PART) {
        hx_slice part = part_of(check, t, message);
        const uint32_t at = (uint32_t)(part.ptr - message->text);

        item.kind = HX_PLAN_TEXT;
        item.at = (uint8_t)at;
        item.length = (uint8_t)part.len;
        if (check->kind == HX_VALUE_RANGE &&
            !plan_range(check, at, part.len, message->length, &item))
            return true;
    }
    if (*count == HX_PLAN_ITEMS)
        return false;
    plan->items[(*count)++] = item;
    return true;
}

uint8_t hx_checks_plan(const hx_values *values, const hx_tokenizer *message, uint32_t log_key,
                       hx_plan *out)
{
    uint32_t count = 0;
    checks_token t;

    if (message->length > UINT8_MAX)
        return HX_PLAN_SLOW;
    for (uint32_t i = values->first_of_key[log_key]; i < values->first_of_key[log_key + 1]; i++) {
        const hx_check *check = &values->checks[i];
        checks_say says;

        if (i == values->first_of_key[log_key] || !same_step(check, check - 1))
            take_token(check, message, &t);
        says = look(check, &t);
        if (says == SAYS_NOTHING)
            continue;
        if (!add_item(values, i, message, &t, says, out, &count))
            return HX_PLAN_SLOW;
        if (count && out->items[count - 1].kind == HX_PLAN_ALWAYS)
            break;
    }
    return (uint8_t)count;
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

bool hx_checks_explain(const hx_values *values, const hx_tokenizer *message, uint32_t index,
                       hx_value_finding *out)
{
    const hx_check *check = &values->checks[index];
    checks_token t;
    checks_say says;
    hx_slice part;

    take_token(check, message, &t);
    says = look(check, &t);
    if (says == SAYS_NOTHING)
        return false;
    part = says == SAYS_PART ? part_of(check, &t, message)
                             : hx_slice_make(message->text + t.token->start, t.token->length);
    if (says == SAYS_PART && hx_check_passes(check, part.ptr, part.len))
        return false;
    *out = (hx_value_finding){check->kind, check->log_key, check->step, part,
                              0,           check->limit,   check->low,  check->high};
    out->nats = nats_of(check, part);
    out->too_low =
        check->kind == HX_VALUE_RANGE &&
        (part.len < digits_of(check->low) ||
         (part.len == digits_of(check->low) && number_of(part.ptr, part.len) < check->low));
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
