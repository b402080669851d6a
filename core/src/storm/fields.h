/* Reading single fields of a JSON object, each with a sentence that names the key, what is allowed
 * and what came. */
#ifndef HAECHI_STORM_FIELDS_H
#define HAECHI_STORM_FIELDS_H

#include <haechi/error.h>

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* where: the place of the object, such as "flows[3].", before every key in a sentence. */

/* NULL, with err written, where the key is not an object. */
const cJSON *hx_field_object(const cJSON *object, const char *key, const char *where,
                             hx_error *err);

/* A whole number from low to high. */
int hx_field_number(const cJSON *object, const char *key, const char *where, uint32_t low,
                    uint32_t high, uint32_t *out, hx_error *err);
int hx_field_bool(const cJSON *object, const char *key, const char *where, bool *out,
                  hx_error *err);

/* A word: letters, digits and . _ - / only, 1 to room - 2 of them. */
int hx_field_word(const cJSON *object, const char *key, const char *where, char *out, size_t room,
                  hx_error *err);

/* Printable text of 1 to room - 2 bytes. */
int hx_field_text(const cJSON *object, const char *key, const char *where, char *out, size_t room,
                  hx_error *err);

/* 0 where text has 1 to most bytes and no control characters among them. */
int hx_field_check_text(const char *text, size_t most);

#endif
