#include "rotated.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Numbers that may use all of their 64 bits are text in the JSON: a JSON number is a double to most
 * readers. An offset stays below 2^53 and is a number. */

/* --- saving ---------------------------------------------------------------------------------- */

static bool add_text(cJSON *object, const char *name, const char *format, uint64_t a, uint64_t b)
{
    char text[64];

    snprintf(text, sizeof text, format, a, b);
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

static bool add_generation(const hx_source *s, const generation *g, cJSON *array)
{
    cJSON *object = cJSON_CreateObject();

    if (!object || !cJSON_AddItemToArray(array, object)) {
        cJSON_Delete(object);
        return false;
    }
    return cJSON_AddStringToObject(object, "path", path_at(s, g->input)->name) &&
           add_text(object, "device", "%" PRIu64, g->device, 0) &&
           add_text(object, "inode", "%" PRIu64, g->inode, 0) &&
           add_text(object, "fingerprint", "%" PRIu64 ":%016" PRIx64, g->head_len,
                    input_fingerprint(g->head, g->head_len)) &&
           cJSON_AddNumberToObject(object, "offset", (double)g->offset) &&
           add_text(object, "identity", "%016" PRIx64, g->identity, 0) &&
           (!g->skipping || cJSON_AddTrueToObject(object, "skipping"));
}

int hx_source_position_save(const hx_source *s, char **json, size_t *json_len)
{
    cJSON *array = cJSON_CreateArray();
    bool ok = array != NULL;

    *json = NULL;
    for (const generation *g = s->generations; g && ok; g = g->next)
        if (!g->stream)
            ok = add_generation(s, g, array);
    if (ok)
        *json = cJSON_PrintUnformatted(array);
    cJSON_Delete(array);
    if (!*json)
        return HX_ENOMEM;
    *json_len = strlen(*json);
    return 0;
}

/* --- loading --------------------------------------------------------------------------------- */

static bool parse_number(const cJSON *object, const char *name, uint64_t *out)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    char *end;

    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return !errno && *end == '\0';
}

static bool parse_saved(const cJSON *object, saved *out)
{
    const cJSON *offset = cJSON_GetObjectItemCaseSensitive(object, "offset");
    const char *print =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "fingerprint"));
    int used = -1;

    out->path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "path"));
    out->skipping = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "skipping"));
    if (!cJSON_IsNumber(offset) || !(offset->valuedouble >= 0 && offset->valuedouble < 0x1p53))
        return false;
    out->offset = (uint64_t)offset->valuedouble;
    return out->path && parse_number(object, "device", &out->device) &&
           parse_number(object, "inode", &out->inode) && print &&
           sscanf(print, "%" SCNu32 ":%16" SCNx64 "%n", &out->head_len, &out->head_hash, &used) ==
               2 &&
           print[used] == '\0' && out->head_len <= INPUT_HEAD_BYTES && out->head_len <= out->offset;
}

/* g, open at fd (which is taken), goes on where the position says. */
static int resume(generation *g, int fd, const saved *p)
{
    int own = g->fd, rc;

    g->fd = fd;
    rc = generation_seek(g, p->offset, p->skipping);
    g->fd = own;
    g->resumed = true;
    close(fd);
    return rc;
}

/* Reads on in a file that has lost its name, before what has the name now. */
static int resume_renamed(hx_source *s, uint32_t i, int fd, const struct stat *st, const saved *p)
{
    generation *current = path_at(s, i)->current;
    generation *g = source_find(s, st);

    if (g) {
        g->input = i; /* a glob has it under its new name: its lines stay those of the old one */
        if (current && current != g && !g->newer)
            source_order(g, current);
        return resume(g, fd, p);
    }
    g = rotated_add(s, i, fd);
    if (!g)
        return HX_ENOMEM;
    g->resumed = true;
    return generation_seek(g, p->offset, p->skipping);
}

/* 0, or HX_ENOTFOUND: what was being read is no longer there. */
static int load_one(hx_source *s, const saved *p)
{
    struct stat st;
    uint32_t i;
    generation *g;
    int fd, rc;

    if (!names_wanted(s, p->path))
        return HX_ENOTFOUND;
    i = names_add(s, p->path);
    if (i == INPUT_NO_PATH)
        return HX_ENOMEM;
    if (!path_at(s, i)->current && s->follow)
        names_check(s, i); /* it came since the source was made */
    g = path_at(s, i)->current;
    fd = g ? rotated_open(p->path, p, true) : -1;
    if (fd >= 0)
        return resume(g, fd, p);
    fd = rotated_find(p);
    if (fd < 0)
        return p->offset ? HX_ENOTFOUND : 0;
    if (fstat(fd, &st)) {
        close(fd);
        return HX_EIO;
    }
    rc = resume_renamed(s, i, fd, &st, p);
    return rc ? rc : rotated_add_since(s, i, &st.st_mtim);
}

int hx_source_position_load(hx_source *s, const char *json, size_t json_len, hx_error *err)
{
    cJSON *array = cJSON_ParseWithLength(json, json_len);
    const cJSON *item;
    char lost[384] = "";
    int rc = 0;

    if (err)
        err->text[0] = '\0';
    if (!cJSON_IsArray(array)) {
        cJSON_Delete(array);
        return hx_error_set(err, HX_EMALFORMED, "position: not a JSON array");
    }
    cJSON_ArrayForEach(item, array)
    {
        saved p = {0};
        if (!parse_saved(item, &p)) {
            rc =
                hx_error_set(err, HX_EMALFORMED,
                             "position: an entry lacks path, device, inode, fingerprint or offset");
            break;
        }
        rc = load_one(s, &p);
        if (rc == HX_ENOTFOUND) {
            size_t len = strlen(lost);
            snprintf(lost + len, sizeof lost - len, "%s%s", len ? ", " : "", p.path);
            rc = 0;
        } else if (rc) {
            rc = hx_error_set(err, rc, "%s: %s", p.path, hx_strerror(rc));
            break;
        }
    }
    cJSON_Delete(array);
    /* What the position does not name came since: it is read from its start, not from_end. */
    for (generation *g = s->generations; g && !rc; g = g->next)
        if (!g->resumed && !g->stream)
            generation_seek(g, 0, false);
    if (!rc && lost[0])
        hx_error_set(err, 0, "no longer there, so not read on: %s", lost);
    return rc;
}
