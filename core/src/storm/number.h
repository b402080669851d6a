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

/* Writes value without leading zeros, and up to eight bytes in all; returns the end of the digits.
 */
static inline char *hx_number_write(char *out, uint32_t value)
{
    uint64_t digits = hx_digits8(value);
    /* The last digit is always written, so a marker there bounds the count of leading zeros. */
    uint32_t zeros = (uint32_t)__builtin_ctzll(digits | UINT64_C(1) << 56) >> 3;
    uint64_t text = (digits | UINT64_C(0x3030303030303030)) >> (zeros * 8);

    memcpy(out, &text, sizeof text);
    return out + 8 - zeros;
}

#endif
