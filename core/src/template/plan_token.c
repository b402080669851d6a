#include "plan_token.h"

/* As text, so that numbers of one length compare as they are. */
static uint64_t number_text(uint64_t value, uint32_t digits)
{
    uint64_t text = 0;

    for (uint32_t i = 0; i < digits; i++, value /= 10)
        text |= (uint64_t)('0' + value % 10) << (8 * i);
    return text;
}

/* A number of so many digits against a range. False: they decide nothing. */
static bool plan_range(const hx_check *check, uint32_t digits, hx_plan_item *out)
{
    const uint32_t low = check->low_digits, high = check->high_digits;

    if (digits < low || digits > high) {
        out->kind = HX_PLAN_ALWAYS;
        return true;
    }
    if ((digits > low || check->low == 0) && digits < high)
        return false;
    if (digits > 8)
        return true;
    out->kind = HX_PLAN_RANGE;
    out->low = digits == low ? number_text(check->low, digits) : number_text(0, digits);
    out->high = digits == high ? number_text(check->high, digits) : UINT64_MAX >> (64 - 8 * digits);
    out->right = (uint8_t)(64 - 8 * digits);
    return true;
}

/* A network's first octets as text; 0 where the form that ends at dots has other lengths. */
static uint64_t network_text(uint64_t network, const uint8_t *dots, uint32_t octets)
{
    uint64_t text = 0;

    for (uint32_t i = 0; i < octets; i++) {
        const uint64_t octet = network >> 16 * (octets - 1 - i) & 0xffff;
        const uint32_t digits = dots[i] - (i ? dots[i - 1] + 1u : 0);

        if (digits != hx_check_digits(octet))
            return 0;
        text = (i ? text << 8 | '.' : 0) << 8 * digits | number_text(octet, digits);
    }
    return text;
}

/* Where the dots stand in an address. */
static void find_dots(const char *address, uint32_t length, uint8_t dots[3])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < length && count < 3; i++)
        if (address[i] == '.')
            dots[count++] = (uint8_t)i;
}

/* What is usual and looks as the form does, where that is one or two: what is one of them is
 * passed, and of all else the check is asked (a number may have zeros in front). */
static void plan_usual(const hx_check *check, const char *part, hx_plan_item *out)
{
    const bool numbers = check->kind == HX_VALUE_NUMBERS;
    uint32_t length = out->length, count = 0;
    uint64_t known[2];
    uint8_t dots[3] = {0};

    if (!numbers) {
        find_dots(part, length, dots);
        length = dots[check->octets - 1];
    }
    if (length > 8)
        return;
    for (uint32_t i = 0; i < check->usual_count; i++) {
        const uint64_t usual = check->usual[i];
        const uint64_t text = !numbers ? network_text(usual, dots, check->octets)
                              : hx_check_digits(usual) == length ? number_text(usual, length)
                                                                 : 0;

        if (text && count == 2)
            return;
        if (text)
            known[count++] = text;
    }
    if (!count)
        return;
    out->kind = HX_PLAN_EITHER;
    out->length = (uint8_t)length;
    out->low = known[0];
    out->high = known[count - 1];
    out->right = (uint8_t)(64 - 8 * length);
}

/* False: there are too many. */
static bool add_item(const hx_check *check, uint32_t index, const hx_check_token *token,
                     hx_check_say says, hx_token_items *out)
{
    hx_plan_item item = {.check = (uint16_t)index, .kind = HX_PLAN_ALWAYS};

    if (says == HX_CHECK_PART) {
        const hx_part *part = &token->skeleton.parts[check->part];

        item.kind = HX_PLAN_TEXT;
        item.at = part->at;
        item.length = part->length;
        if (check->kind != HX_VALUE_RANGE)
            plan_usual(check, token->text.ptr + part->at, &item);
        else if (!plan_range(check, part->length, &item))
            return true;
    }
    if (out->count == HX_PLAN_ITEMS)
        return false;
    out->item[out->count++] = item;
    return true;
}

void hx_token_items_make(const hx_values *values, const hx_check_group *group,
                         hx_check_token *token, hx_token_items *out)
{
    out->count = 0;
    hx_check_token_skeleton(token);
    for (uint32_t i = group->first; i < group->end; i++) {
        hx_check_say says = hx_check_look(&values->checks[i], token);

        if (says == HX_CHECK_NOTHING)
            continue;
        if (!add_item(&values->checks[i], i, token, says, out)) {
            out->count = HX_PLAN_SLOW;
            return;
        }
        if (out->count && out->item[out->count - 1].kind == HX_PLAN_ALWAYS)
            return;
    }
}
