/* Decimal digits without a branch or a table. */
#ifndef HAECHI_STORM_NUMBER_H
#define HAECHI_STORM_NUMBER_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digits are laid out by byte order");

/* value, at most 99,999,999, as eight digits with leading zeros, the first in the lowest byte, each
 * as 0..9. Four, then two, then one digit a lane: a division by 100 is a multiplication by
 * 10486 / 2^20, exact below 10,000; by 10 it is 103 / 2^10, exact below 100. */
static inline uint64_t hx_digits8(uint32_t value)
{
    const uint64_t pairs = UINT64_C(0x0000007f0000007f), ones = UINT64_C(0x000f000f000f000f);
    uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t high = (fours * 10486 >> 20) & pairs;
    uint64_t twos = high | (fours - 100 * high) << 16;
    uint64_t tens = (twos * 103 >> 10) & ones;

    return tens | (twos - 10 * tens) << 8;
}

/* How many digits value has, at most 99,999,999: of all numbers with the same highest bit, those
 * from a power of ten on carry into the upper half (Willets). Soon known, unlike the digits
 * themselves, so that what is written behind them need not wait for them. */
static inline uint32_t hx_number_length(uint32_t value)
{
#define HX_LENGTHS(digits, power) (((uint64_t)(digits) + 1) << 32) - (power)
    static const uint64_t lengths[27] = {
        HX_LENGTHS(1, 10),        HX_LENGTHS(1, 10),        HX_LENGTHS(1, 10),
        HX_LENGTHS(1, 10),        HX_LENGTHS(2, 100),       HX_LENGTHS(2, 100),
        HX_LENGTHS(2, 100),       HX_LENGTHS(3, 1000),      HX_LENGTHS(3, 1000),
        HX_LENGTHS(3, 1000),      HX_LENGTHS(4, 10000),     HX_LENGTHS(4, 10000),
        HX_LENGTHS(4, 10000),     HX_LENGTHS(4, 10000),     HX_LENGTHS(5, 100000),
        HX_LENGTHS(5, 100000),    HX_LENGTHS(5, 100000),    HX_LENGTHS(6, 1000000),
        HX_LENGTHS(6, 1000000),   HX_LENGTHS(6, 1000000),   HX_LENGTHS(7, 10000000),
        HX_LENGTHS(7, 10000000),  HX_LENGTHS(7, 10000000),  HX_LENGTHS(7, 10000000),
        HX_LENGTHS(8, 100000000), HX_LENGTHS(8, 100000000), HX_LENGTHS(8, 100000000),
    };
#undef HX_LENGTHS

    return (uint32_t)((value + lengths[31 - __builtin_clz(value | 1)]) >> 32);
}

/* Writes value without leading zeros, and up to eight bytes in all; returns the end of the digits.
 */
static inline char *hx_number_write(char *out, uint32_t value)
{
    uint32_t length = hx_number_length(value);
    uint64_t text = (hx_digits8(value) | UINT64_C(0x3030303030303030)) >> (64 - length * 8);

    memcpy(out, &text, sizeof text);
    return out + length;
}

#endif
