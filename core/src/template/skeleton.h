/* What is left of a token when its numbers are taken out, and where they were. "10.2.0.7:8080" has
 * the skeleton "4:0" and two parts, an address and a number; a word has itself and none.
 *
 * In a skeleton '0' stands for a number and '4' for an IPv4 address; '5' for digits that say
 * nothing alone (of times, dates and fractions, and amid the letters of hexadecimal words), and '9'
 * for the name of a day or a month that stands alone or beside digits. No other digit is in it.
 * Which bytes are digits decides all of this and never which digits they are, so messages of one
 * form (forms.h) have the same skeletons, with their parts at the same places. */
#ifndef HAECHI_TEMPLATE_SKELETON_H
#define HAECHI_TEMPLATE_SKELETON_H

#include <stdbool.h>
#include <stdint.h>

#define HX_SKELETON_BYTES 96  /* of the longest */
#define HX_SKELETON_TOKEN 200 /* bytes of the longest token that gets one */
#define HX_SKELETON_PARTS 16

/* HX_PART_NAME is in the text alone. */
enum { HX_PART_NUMBER = '0', HX_PART_ADDRESS = '4', HX_PART_OTHER = '5', HX_PART_NAME = '9' };

typedef struct hx_part {
    uint8_t kind;
    uint8_t at, length; /* in the token */
} hx_part;

typedef struct hx_skeleton {
    uint32_t length, part_count;
    char text[HX_SKELETON_BYTES];
    hx_part parts[HX_SKELETON_PARTS];
} hx_skeleton;

/* False where the token is too long or has too many numbers. */
bool hx_skeleton_make(const char *token, uint32_t length, hx_skeleton *out);

/* The same, byte by byte: the reference, and for long tokens. */
bool hx_skeleton_make_plain(const char *token, uint32_t length, hx_skeleton *out);

#endif
