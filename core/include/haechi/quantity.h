/* Quantities as people write them: "4M", "750k", "0.5", "30m". Exact, unlike strtod. */
#ifndef HAECHI_QUANTITY_H
#define HAECHI_QUANTITY_H

#include <haechi/error.h>

#include <stdint.h>

/* A decimal number with at most `digits` digits behind its point and a suffix k, M or G (small or
 * large), in units of 10^-digits. HX_EINVAL where it is none, or does not fit. */
int hx_quantity_parse(const char *text, uint32_t digits, uint64_t *out);

/* A time: a number of seconds, or one with ms, s, m, h or d behind it. HX_EINVAL. */
int hx_duration_parse(const char *text, int64_t *ns);

#endif
