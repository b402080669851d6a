#include "room.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Numbers that may use all of their 64 bits are text in the JSON: a JSON number is a double to most
 * readers. An offset stays below 2^53 and is a number. */

/* A shorter head may well be that of another file. */
#define COPY_HEAD_MIN 32

typedef struct saved {
    const char *path;
    uint64_t device, inode, offset;
    uint32_t head_len; /* the fingerprint is of that many first bytes */
    uint64_t head_hash;
    bool skipping;
} saved;

/* --- saving --------------------------------------------------------------------------------------
 */

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
    return cJSON_AddStringToObject(object, "path", s->paths[g->input].name) &&
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

/* --- loading -------------------------------------------------------------------------------------
 */

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

/* Whether the open file begins with what was read, and is at least as long. */
static bool same_content(int fd, const saved *p)
{
    char head[INPUT_HEAD_BYTES];
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size >= p->offset &&
           pread(fd, head, p->head_len, 0) == (ssize_t)p->head_len &&
           input_fingerprint(head, p->head_len) == p->head_hash;
}

static int open_same(const char *name, const saved *p, bool by_inode)
{
    struct stat st;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return -1;
    /* Without a head there is the number of the inode alone, so the device must be the same too. */
    if (fstat(fd, &st) || (by_inode && st.st_ino != p->inode) ||
        (p->head_len == 0 && st.st_dev != p->device) || !same_content(fd, p)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The file under another name in its folder: by inode and head, where it was renamed; by its head
 * and the beginning of its name, where it was copied and the original truncated. */
static int search_folder(const saved *p, bool by_inode)
{
    const char *slash = strrchr(p->path, '/');
    const char *base = slash ? slash + 1 : p->path;
    size_t stem = strcspn(base, ".");
    char where[4096], name[sizeof where + 256];
    struct dirent *entry;
    DIR *dir;
    int fd = -1;

    if (!by_inode && p->head_len < COPY_HEAD_MIN)
        return -1;
    snprintf(where, sizeof where, "%.*s", slash ? (int)(slash - p->path) + 1 : 2,
             slash ? p->path : "./");
    dir = opendir(where);
    if (!dir)
        return -1;
    while (fd < 0 && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, base) == 0 ||
            (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN))
            continue;
        if (by_inode ? entry->d_ino != p->inode : strncmp(entry->d_name, base, stem) != 0)
            continue;
        snprintf(name, sizeof name, "%s%s", where, entry->d_name);
        fd = open_same(name, p, by_inode);
    }
    closedir(dir);
    return fd;
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

/* Reads on in a file that has lost its name: before what has the name now. */
static int resume_renamed(hx_source *s, uint32_t i, int fd, const saved *p)
{
    generation *current = s->paths[i].current, *g;
    struct stat st;

    if (fstat(fd, &st)) {
        close(fd);
        return HX_EIO;
    }
    g = source_find(s, &st);
    if (g) {
        g->input = i; /* a glob has it under its new name: its lines stay those of the old one */
        if (current && current != g && !g->newer)
            source_order(g, current);
        return resume(g, fd, p);
    }
    g = generation_create(i, fd, &st);
    if (!g) {
        close(fd);
        return HX_ENOMEM;
    }
    g->resumed = true;
    names_lost(s, g);
    source_add_before(s, g, current);
    names_watch_file(s, g);
    if (current)
        source_order(g, current);
    return generation_seek(g, p->offset, p->skipping);
}

/* 0, or HX_ENOTFOUND: what was being read is no longer there. */
static int load_one(hx_source *s, const saved *p)
{
    uint32_t i;
    generation *g;
    int fd;

    if (!names_wanted(s, p->path))
        return HX_ENOTFOUND;
    i = names_add(s, p->path);
    if (i == INPUT_NO_PATH)
        return HX_ENOMEM;
    if (!s->paths[i].current && s->follow)
        names_check(s, i); /* it came since the source was made */
    g = s->paths[i].current;
    fd = g ? open_same(p->path, p, true) : -1;
    if (fd >= 0)
        return resume(g, fd, p);
    if (g && !g->resumed)
        generation_seek(g, 0, false); /* another file than before: all of it is news */
    if (p->offset == 0)
        return 0;
    fd = search_folder(p, true);
    if (fd < 0)
        fd = search_folder(p, false);
    return fd < 0 ? HX_ENOTFOUND : resume_renamed(s, i, fd, p);
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
    if (!rc && lost[0])
        hx_error_set(err, 0, "no longer there, so not read on: %s", lost);
    return rc;
}
