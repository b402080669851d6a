/* Numbers as printf would write them, without its cost: an alert has some twenty of them. */
#include <haechi/text.h>

#include <float.h>
#include <math.h>
#include <string.h>

#define POWERS    28 /* of ten, that a long double holds exactly */
#define HALF_NEAR 1e-8L

void hx_text_uint(hx_text *text, uint64_t n)
{
    char digits[20];
    uint32_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    hx_text_bytes(text, digits + at, sizeof digits - at);
}

void hx_text_hex(hx_text *text, uint64_t n)
{
    char digits[16];

    for (uint32_t at = sizeof digits; at-- > 0; n >>= 4)
        digits[at] = "0123456789abcdef"[n & 15];
    hx_text_bytes(text, digits, sizeof digits);
}

static long double power_of_ten(uint32_t n)
{
    static const long double powers[POWERS] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,
                                               1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                               1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L,
                                               1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

    return powers[n];
}

/* v as so many digits before the point, unrounded: v times or over a power of ten, wrong by less
 * than the 2^-63rd part. */
static long double scaled(double v, int digits, int exponent)
{
    const int up = digits - 1 - exponent;

    return up >= 0 ? (long double)v * power_of_ten((uint32_t)up)
                   : (long double)v / power_of_ten((uint32_t)-up);
}

/* The digits of v and the exponent of the first of them. False where it takes more care: a number
 * of another size, or so near the middle between two that the error could decide. */
static bool digits_of(double v, int digits, uint64_t *out, int *exponent)
{
    const long double least = power_of_ten((uint32_t)digits - 1);
    long double all, whole, rest;
    int binary;

    if (LDBL_MANT_DIG < 64 || !(v >= 1e-12 && v < 1e12))
        return false;
    frexp(v, &binary);
    *exponent = (int)floor((binary - 1) * 0.30102999566398120); /* or one less than it is */
    all = scaled(v, digits, *exponent);
    if (all >= 10 * least)
        all = scaled(v, digits, ++*exponent);
    whole = floorl(all);
    rest = all - whole;
    if (all < least || (rest > 0.5L - HALF_NEAR && rest < 0.5L + HALF_NEAR))
        return false;
    *out = (uint64_t)whole + (rest > 0.5L);
    if (*out == (uint64_t)(10 * least)) {
        *out /= 10;
        ++*exponent;
    }
    return true;
}

/* As %g does: nine digits with an exponent, or with the point where it belongs. */
static void lay_out(hx_text *text, const char *digit, int count, int exponent)
{
    char out[32];
    uint32_t at = 0;
    const bool with_exponent = exponent < -4;
    const int whole = with_exponent ? 1 : exponent + 1; /* digits before the point */
    const int size = exponent < 0 ? -exponent : exponent;

    if (whole <= 0)
        out[at++] = '0';
    for (int i = 0; i < whole; i++)
        out[at++] = i < count ? digit[i] : '0';
    if (whole < count)
        out[at++] = '.';
    for (int i = whole; i < 0; i++)
        out[at++] = '0';
    for (int i = whole < 0 ? 0 : whole; i < count; i++)
        out[at++] = digit[i];
    if (with_exponent) {
        memcpy(out + at, "e-", 2);
        out[at + 2] = (char)('0' + size / 10);
        out[at + 3] = (char)('0' + size % 10);
        at += 4;
    }
    hx_text_bytes(text, out, at);
}

void hx_text_general(hx_text *text, double v, int digits)
{
    char digit[HX_TEXT_DIGITS_MAX];
    uint64_t n = 0;
    int exponent = 0, count = digits;
    const bool zero = v == 0 && !signbit(v);

    if (zero) {
        hx_text_bytes(text, "0", 1);
        return;
    }
    if (!digits_of(fabs(v), digits, &n, &exponent) || exponent >= digits) {
        hx_text_printf(text, "%.*g", digits, v);
        return;
    }
    for (int i = digits; i-- > 0; n /= 10)
        digit[i] = (char)('0' + n % 10);
    while (count > 1 && digit[count - 1] == '0')
        count--;
    if (v < 0)
        hx_text_bytes(text, "-", 1);
    lay_out(text, digit, count, exponent);
}
