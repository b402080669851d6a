/* What the tests of detection make for themselves: a folder, files, a bundle without a model. */
#ifndef HAECHI_TESTS_DETECT_MADE_H
#define HAECHI_TESTS_DETECT_MADE_H

#include "../check.h"
#include "detect/bundle.h"

#include <haechi/text.h>

/* A new folder under the system's place for such; removed at exit with the files made in it. */
const char *made_folder(void);

/* folder/name; stays valid. At most 32 names. */
const char *made_path(const char *name);
void made_file(const char *name, const void *bytes, size_t len);
void made_text(const char *name, const char *text);
hx_text made_read(const char *name); /* to be freed */

/* A manifest for the templates below, of which the first two are trained on. Each text stands for
 * the value of a key; NULL: a usual one; "": the key is left out. */
typedef struct made_manifest {
    const char *format, *log_keys, *window, *parser, *session, *new_event, *deeplog, *files;
} made_manifest;

/* templates.json for "open N", "close N", "retry N"; to be freed. */
char *made_templates(size_t *len);
hx_text made_manifest_text(const made_manifest *manifest, const char *templates, size_t len);

/* Writes both files and loads them. */
hx_bundle *made_bundle(const made_manifest *manifest);

/* With another detector: its section of the manifest, and a file of its own, or NULL. What loading
 * says of it. */
int made_load_with(const char *section, const char *file, const char *text, hx_bundle **out,
                   hx_error *err);

#endif
