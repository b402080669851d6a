#include "rotated.h"

#include <haechi/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

bool names_is_glob(const char *name)
{
    struct stat st;
    return strpbrk(name, "*?[") && lstat(name, &st) != 0;
}

static uint64_t name_hash(const char *name)
{
    return hx_hash_bytes(name, strlen(name), HX_HASH_SEED);
}

uint32_t names_find(const hx_source *s, const char *name)
{
    uint64_t hash = name_hash(name);

    for (uint32_t i = 0; i < s->path_count; i++)
        if (path_at(s, i)->hash == hash && strcmp(path_at(s, i)->name, name) == 0)
            return i;
    return INPUT_NO_PATH;
}

bool names_wanted(const hx_source *s, const char *name)
{
    if (names_find(s, name) != INPUT_NO_PATH)
        return true;
    for (uint32_t i = 0; i < s->glob_count; i++)
        if (fnmatch(s->globs[i], name, FNM_PATHNAME | FNM_PERIOD) == 0)
            return true;
    return false;
}

/* The folder part of a name, as a folder of the source. */
static folder *folder_of(hx_source *s, const char *name)
{
    const char *slash = strrchr(name, '/');
    size_t len = slash ? (size_t)(slash - name) + (slash == name) : 1;
    const char *text = slash ? name : ".";
    folder *f;

    for (f = s->folders; f; f = f->next)
        if (strlen(f->name) == len && memcmp(f->name, text, len) == 0)
            return f;
    f = calloc(1, sizeof *f + len + 1);
    if (!f)
        return NULL;
    memcpy(f->name, text, len);
    f->watch = -1;
    f->next = s->folders;
    s->folders = f;
    return f;
}

uint32_t names_add(hx_source *s, const char *name)
{
    uint32_t i = names_find(s, name), block;
    path *p;

    if (i != INPUT_NO_PATH)
        return i;
    i = s->path_count;
    block = 27 - (uint32_t)__builtin_clz(i + PATHS_FIRST);
    if (block >= PATH_BLOCKS)
        return INPUT_NO_PATH;
    if (!s->path_blocks[block])
        s->path_blocks[block] = calloc((size_t)PATHS_FIRST << block, sizeof(path));
    if (!s->path_blocks[block])
        return INPUT_NO_PATH;
    p = path_at(s, i);
    *p = (path){.name = strdup(name), .hash = name_hash(name), .folder = folder_of(s, name)};
    if (!p->name || !p->folder) {
        free(p->name);
        return INPUT_NO_PATH;
    }
    s->path_count = i + 1;
    return i;
}

void names_watch_folders(hx_source *s)
{
    s->all_watched = s->watches != NULL;
    for (folder *f = s->folders; f && s->watches; f = f->next) {
        if (f->watch < 0)
            f->watch = watch_folder(s->watches, f->name, f);
        s->all_watched &= f->watch >= 0;
    }
}

void names_mark(hx_source *s, uint32_t i)
{
    path_at(s, i)->look = true;
    s->look_at_names = true;
}

/* --- what a name stands for ------------------------------------------------------------------ */

/* Where the kernel has no watch left for us, the whole source polls: half of the files followed at
 * once and half late would be worse than all of them late. */
void names_watch_file(hx_source *s, generation *g)
{
    if (!s->watches || g->stream || g->fd < 0)
        return;
    g->watch = watch_file(s->watches, g->fd, g);
    if (g->watch < 0) {
        watch_destroy(s->watches);
        s->watches = NULL;
        s->next_sweep_ms = 0;
    }
}

void names_lost(hx_source *s, generation *g)
{
    g->at = INPUT_NO_PATH;
    g->idle_since_ms = source_now_ms();
    s->renamed_count++;
    s->next_expiry_ms = 0;
}

void names_detach(hx_source *s, generation *g)
{
    if (g->at == INPUT_NO_PATH)
        return;
    if (path_at(s, g->at)->current == g)
        path_at(s, g->at)->current = NULL;
    names_lost(s, g);
    source_queue(s, g);
}

static void attach(hx_source *s, generation *g, uint32_t i)
{
    if (g->at == INPUT_NO_PATH)
        s->renamed_count--;
    g->at = i;
    g->last_call = false;
    path_at(s, i)->current = g;
    path_at(s, i)->had_file = true;
}

static bool still_named(const hx_source *s, const generation *g)
{
    struct stat st;

    return g->at != INPUT_NO_PATH && stat(path_at(s, g->at)->name, &st) == 0 &&
           generation_is_file(g, &st);
}

/* A file that is open already has come to this name: a rotation within the globs, or a second name
 * of the same file, which is not read twice. */
static void name_known_file(hx_source *s, uint32_t i, generation *g)
{
    if (still_named(s, g))
        return;
    if (path_at(s, i)->current)
        names_detach(s, path_at(s, i)->current);
    if (g->at != INPUT_NO_PATH)
        path_at(s, g->at)->current = NULL;
    attach(s, g, i);
    source_queue(s, g);
}

static int open_input(const hx_source *s, const char *name, const struct stat *st)
{
    /* A pipe is opened for writing too, so that it does not end when one of its writers leaves. */
    int mode = S_ISFIFO(st->st_mode) && s->follow ? O_RDWR : O_RDONLY;
    return open(name, mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* Opens what stands at path i. 0, or HX_EIO with errno, or HX_ENOMEM. */
static int open_path(hx_source *s, uint32_t i, struct stat *st)
{
    path *p = path_at(s, i);
    generation *old = p->current, *g;
    int fd;

    if (!S_ISREG(st->st_mode) && s->open_streams == SOURCE_STREAMS_MAX) {
        errno = EMFILE;
        return HX_EIO;
    }
    fd = open_input(s, p->name, st);
    if (fd < 0)
        return HX_EIO;
    if (fstat(fd, st) || (g = source_find(s, st))) { /* renamed again between the two calls */
        close(fd);
        names_mark(s, i);
        return 0;
    }
    g = generation_create(i, fd, st);
    if (!g) {
        close(fd);
        return HX_ENOMEM;
    }
    if (old)
        names_detach(s, old);
    s->counters.rotations += p->had_file;
    for (generation *o = s->generations; o; o = o->next)
        if (o->input == i && !o->newer && !o->ended)
            old = o;
    if (old && !old->newer)
        source_order(old, g);
    attach(s, g, i);
    source_add_before(s, g, NULL);
    names_watch_file(s, g);
    s->open_streams += g->stream;
    if (s->follow && s->started && !g->stream && old && !old->stream &&
        rotated_add_between(s, i, old))
        return HX_ENOMEM;
    if (!s->follow) { /* opened again in its turn: a thousand files need not be open at once */
        if (!g->stream) {
            close(g->fd);
            g->fd = -1;
        }
    } else if (s->from_end && !s->started && !g->stream) {
        generation_seek_end(g);
    }
    return 0;
}

void names_check(hx_source *s, uint32_t i)
{
    path *p = path_at(s, i);
    generation *g;
    struct stat st;

    p->look = false;
    if (p->current && p->current->stream)
        return;
    if (stat(p->name, &st) || S_ISDIR(st.st_mode)) {
        if (p->current)
            names_detach(s, p->current);
        return;
    }
    g = p->current;
    if (g && generation_is_file(g, &st)) {
        if ((uint64_t)st.st_size != g->offset)
            source_queue(s, g);
        return;
    }
    g = source_find(s, &st);
    if (g)
        name_known_file(s, i, g);
    else if (open_path(s, i, &st))
        s->counters.read_errors++;
}

/* --- globs ----------------------------------------------------------------------------------- */

/* What rotation compressed is not text any more. */
static bool is_compressed(const char *name)
{
    static const char endings[][5] = {".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z", ".zip"};
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t end = strlen(endings[i]);
        if (len > end && strcmp(name + len - end, endings[i]) == 0)
            return true;
    }
    return false;
}

static int scan_glob(hx_source *s, const char *pattern, hx_error *err)
{
    glob_t found;
    int rc = glob(pattern, 0, NULL, &found);
    uint32_t files = 0;

    if (rc == GLOB_NOSPACE)
        return HX_ENOMEM;
    if (rc)
        return 0;
    for (size_t n = 0; n < found.gl_pathc; n++) {
        struct stat st;
        uint32_t i = names_find(s, found.gl_pathv[n]);

        if (i != INPUT_NO_PATH && path_at(s, i)->current && !path_at(s, i)->look) {
            files++;
            continue;
        }
        if (is_compressed(found.gl_pathv[n]) || stat(found.gl_pathv[n], &st) ||
            !S_ISREG(st.st_mode))
            continue;
        files++;
        i = names_add(s, found.gl_pathv[n]);
        if (i == INPUT_NO_PATH) {
            globfree(&found);
            return HX_ENOMEM;
        }
        names_check(s, i);
        if (err && !path_at(s, i)->current && !source_find(s, &st)) {
            rc = hx_error_set(err, HX_EIO, "%s: cannot be read: %s", found.gl_pathv[n],
                              strerror(errno));
            globfree(&found);
            return rc;
        }
    }
    globfree(&found);
    return (int)files;
}

void names_scan_globs(hx_source *s)
{
    s->look_at_globs = false;
    for (uint32_t i = 0; i < s->glob_count; i++)
        scan_glob(s, s->globs[i], NULL);
}

/* A name came or went in a folder. */
void names_told(hx_source *s, const folder *where, const char *name)
{
    for (uint32_t i = 0; i < s->path_count; i++) {
        const char *slash = strrchr(path_at(s, i)->name, '/');
        if (path_at(s, i)->folder->watch == where->watch &&
            strcmp(slash ? slash + 1 : path_at(s, i)->name, name) == 0)
            names_mark(s, i);
    }
    for (uint32_t i = 0; i < s->glob_count; i++) {
        const char *slash = strrchr(s->globs[i], '/');
        if (fnmatch(slash ? slash + 1 : s->globs[i], name, FNM_PERIOD) == 0)
            s->look_at_globs = true;
    }
}

/* --- configuration --------------------------------------------------------------------------- */

static int configure_stdin(hx_source *s, uint32_t i, hx_error *err)
{
    struct stat st = {.st_mode = S_IFIFO};
    generation *g;

    if (path_at(s, i)->current)
        return 0; /* named twice */
    if (fcntl(STDIN_FILENO, F_GETFD) < 0)
        return hx_error_set(err, HX_EIO, "-: standard input is closed");
    g = generation_create(i, STDIN_FILENO, &st);
    if (!g)
        return hx_error_set(err, HX_ENOMEM, "-: out of memory");
    g->borrowed = true;
    attach(s, g, i);
    source_add_before(s, g, NULL);
    s->open_streams++;
    return 0;
}

static int configure_file(hx_source *s, const char *name, uint32_t i, hx_error *err)
{
    struct stat st;
    int rc;

    s->any_file = true;
    if (stat(name, &st)) {
        if ((errno == ENOENT || errno == ENOTDIR) && s->follow)
            return 0;
        return hx_error_set(err, errno == ENOENT || errno == ENOTDIR ? HX_ENOTFOUND : HX_EIO,
                            "%s: cannot be opened: %s", name, strerror(errno));
    }
    if (S_ISDIR(st.st_mode))
        return hx_error_set(err, HX_EINVAL,
                            "%s: is a directory; name its files, for example \"%s/*.log\"", name,
                            name);
    if (source_find(s, &st))
        return 0; /* a second name of a file that is read already */
    rc = open_path(s, i, &st);
    return rc ? hx_error_set(err, rc, "%s: cannot be read: %s", name, strerror(errno)) : 0;
}

static int configure_glob(hx_source *s, const char *pattern, hx_error *err)
{
    int files;

    s->any_file = true;
    s->globs[s->glob_count] = strdup(pattern);
    if (!s->globs[s->glob_count])
        return hx_error_set(err, HX_ENOMEM, "%s: out of memory", pattern);
    s->glob_count++;
    if (!folder_of(s, pattern))
        return hx_error_set(err, HX_ENOMEM, "%s: out of memory", pattern);
    files = scan_glob(s, pattern, err);
    if (files < 0)
        return files;
    if (files == 0 && !s->follow)
        return hx_error_set(err, HX_ENOTFOUND, "%s: no file matches", pattern);
    return 0;
}

int names_configure(hx_source *s, const hx_source_config *config, hx_error *err)
{
    if (config->path_count == 0 && config->listen_count == 0)
        return hx_error_set(err, HX_EINVAL, "no input: name at least one file, glob or \"-\"");
    s->globs = calloc(config->path_count + 1, sizeof *s->globs);
    if (!s->globs)
        return hx_error_set(err, HX_ENOMEM, "inputs: out of memory");
    for (uint32_t n = 0; n < config->path_count; n++) {
        const char *name = config->paths[n];
        uint32_t i;
        int rc;

        if (!name || !*name)
            return hx_error_set(err, HX_EINVAL, "input %u: the path is empty", n + 1);
        if (strcmp(name, "-") != 0 && names_is_glob(name)) {
            rc = configure_glob(s, name, err);
        } else {
            i = names_add(s, name);
            if (i == INPUT_NO_PATH)
                return hx_error_set(err, HX_ENOMEM, "%s: out of memory", name);
            rc = strcmp(name, "-") == 0 ? configure_stdin(s, i, err)
                                        : configure_file(s, name, i, err);
        }
        if (rc)
            return rc;
    }
    return 0;
}
