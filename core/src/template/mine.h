/* From shapes to templates: which words vary. */
#ifndef HAECHI_TEMPLATE_MINE_H
#define HAECHI_TEMPLATE_MINE_H

#include "shapes.h"

typedef struct hx_mined_template {
    uint64_t symbols; /* offset into symbols */
    uint64_t weight;  /* messages */
    uint32_t count;
    uint32_t first_shape; /* the first shape that it was made from */
} hx_mined_template;

typedef struct hx_mined {
    uint32_t *symbols;
    hx_mined_template *items;
    uint32_t count;
} hx_mined;

/* At most max_templates, in the order of their first shapes, no two the same, and every shape fits
 * one. 0 or HX_ENOMEM. */
int hx_mine(const hx_shapes *shapes, uint32_t max_templates, hx_mined *mined);
void hx_mined_free(hx_mined *mined);

#endif
