/* templates.json: what the miner writes and the matcher reads.
 *
 *   {"format": 1, "max_tokens": 256, "templates": [
 *     {"text": "Accepted password for <*> from <*>", "count": 12, "example": "...",
 *      "tokens": ["Accepted", "password", "for", "<*>", "from", "<#>"]}]}
 *
 * tokens decide: "<*>" is one word or value, "<#>" one value, "<...>" the rest; every other one is
 * a word. text and example are for people. All strings are escaped as escape.h says. */
#ifndef HAECHI_TEMPLATE_TEMPLATES_H
#define HAECHI_TEMPLATE_TEMPLATES_H

#include "tree.h"

#include <haechi/error.h>

#define HX_TEMPLATES_FORMAT 1
#define HX_TEMPLATES_MAX    65000

/* A read set of templates. Everything lies in memory of its own. */
typedef struct hx_templates {
    uint32_t count;
    uint32_t max_tokens;
    hx_pattern *patterns;
    hx_step *steps;
    char *words;  /* unescaped, each followed by padding */
    char **texts; /* as in the file, NUL-terminated, in one allocation */
    char *text_bytes;
} hx_templates;

int hx_templates_read(hx_templates *templates, const char *json, size_t json_len, hx_error *err);
void hx_templates_free(hx_templates *templates);

#endif
