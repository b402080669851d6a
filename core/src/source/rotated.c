#include "rotated.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A shorter head may well be that of another file. */
#define COPY_HEAD_MIN 32

#define ROTATED_MAX   64 /* of one path, in one absence */

static int open_regular(const char *name, struct stat *st)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd >= 0 && (fstat(fd, st) || !S_ISREG(st->st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int rotated_open(const char *name, const saved *p, bool by_inode)
{
    char head[INPUT_HEAD_BYTES];
    struct stat st;
    int fd = open_regular(name, &st);

    if (fd < 0)
        return -1;
    /* Where nothing was read there is no head, and the inode's number alone is not enough. */
    if ((by_inode && st.st_ino != p->inode) || (p->head_len == 0 && st.st_dev != p->device) ||
        (uint64_t)st.st_size < p->offset ||
        pread(fd, head, p->head_len, 0) != (ssize_t)p->head_len ||
        input_fingerprint(head, p->head_len) != p->head_hash) {
        close(fd);
        return -1;
    }
    return fd;
}

/* --- the folder of a path -------------------------------------------------------------------- */

typedef struct listing {
    DIR *dir;
    const char *base; /* the path's own name in it */
    int folder_len;
    const char *path;
    char name[4096];
} listing;

static bool listing_open(listing *l, const char *of)
{
    const char *slash = strrchr(of, '/');

    l->path = slash ? of : "./";
    l->folder_len = slash ? (int)(slash - of) + 1 : 2;
    l->base = slash ? slash + 1 : of;
    snprintf(l->name, sizeof l->name, "%.*s", l->folder_len, l->path);
    l->dir = opendir(l->name);
    return l->dir != NULL;
}

/* The next file that is not the path's own; its whole name is in l->name. */
static const struct dirent *listing_next(listing *l)
{
    const struct dirent *entry;

    while ((entry = readdir(l->dir))) {
        if ((entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) ||
            strcmp(entry->d_name, l->base) == 0)
            continue;
        snprintf(l->name, sizeof l->name, "%.*s%s", l->folder_len, l->path, entry->d_name);
        return entry;
    }
    return NULL;
}

static int find(const saved *p, bool by_inode)
{
    const struct dirent *entry;
    listing l;
    int fd = -1;

    if ((!by_inode && p->head_len < COPY_HEAD_MIN) || !listing_open(&l, p->path))
        return -1;
    while (fd < 0 && (entry = listing_next(&l))) {
        bool alike = strncmp(entry->d_name, l.base, strcspn(l.base, ".")) == 0;

        /* Where nothing was read yet there is no head to compare: then the name must be alike too.
         */
        if (by_inode ? entry->d_ino == p->inode && (p->head_len || alike) : alike)
            fd = rotated_open(l.name, p, by_inode);
    }
    closedir(l.dir);
    return fd;
}

int rotated_find(const saved *p)
{
    int fd = find(p, true);

    return fd >= 0 ? fd : find(p, false);
}

/* --- files that came and went meanwhile ------------------------------------------------------ */

generation *rotated_add(hx_source *s, uint32_t i, int fd)
{
    generation *current = path_at(s, i)->current, *g = NULL;
    struct stat st;

    if (fstat(fd, &st) == 0)
        g = generation_create(i, fd, &st);
    if (!g) {
        close(fd);
        return NULL;
    }
    names_lost(s, g);
    source_add_before(s, g, current);
    if (current)
        source_order(g, current);
    names_watch_file(s, g);
    return g;
}

/* "app.log.1", "app.log-20250830", "app.log.2025-08-30T10": the path's name and a number or a date,
 * so neither a compressed file nor another program's. */
static bool is_rotated_name(const char *name, const char *base)
{
    size_t len = strlen(base);

    if (strncmp(name, base, len) != 0 || !strchr(".-_", name[len]) || !name[len])
        return false;
    return name[len + 1] && name[len + 1 + strspn(name + len + 1, "0123456789.-_:T")] == '\0';
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

typedef struct met {
    struct timespec changed;
    int fd;
} met;

static int by_age(const void *a, const void *b)
{
    const met *x = a, *y = b;

    return later(&x->changed, &y->changed) - later(&y->changed, &x->changed);
}

/* When a file was made. False where its file system does not say. */
static bool born(int fd, struct timespec *out)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) || !(st.stx_mask & STATX_BTIME))
        return false;
    *out = (struct timespec){st.stx_btime.tv_sec, st.stx_btime.tv_nsec};
    return true;
}

/* Whether a file of a path's past is wanted. */
typedef bool wanted(int fd, const struct stat *st, const struct timespec *since);

static int add_all(hx_source *s, uint32_t i, wanted *wants, const struct timespec *since)
{
    const struct dirent *entry;
    met found[ROTATED_MAX];
    size_t count = 0;
    listing l;
    int rc = 0;

    if (!listing_open(&l, path_at(s, i)->name))
        return 0;
    while (count < ROTATED_MAX && (entry = listing_next(&l))) {
        struct stat st;
        int fd;

        if (!is_rotated_name(entry->d_name, l.base) || (fd = open_regular(l.name, &st)) < 0)
            continue;
        if (!source_find(s, &st) && wants(fd, &st, since))
            found[count++] = (met){st.st_mtim, fd};
        else
            close(fd);
    }
    closedir(l.dir);
    qsort(found, count, sizeof *found, by_age);
    for (size_t n = 0; n < count; n++) {
        if (rc)
            close(found[n].fd);
        else if (!rotated_add(s, i, found[n].fd))
            rc = HX_ENOMEM;
    }
    return rc;
}

static bool written_since(int fd, const struct stat *st, const struct timespec *since)
{
    (void)fd;
    return later(&st->st_mtim, since);
}

int rotated_add_since(hx_source *s, uint32_t i, const struct timespec *since)
{
    return add_all(s, i, written_since, since);
}

static bool born_since(int fd, const struct stat *st, const struct timespec *since)
{
    struct timespec birth;

    (void)st;
    return born(fd, &birth) && !later(since, &birth);
}

/* Renaming old changed it, so what took its name was made after its last change. By their birth,
 * and not by when they were written to: one that was read to its end long ago may have got a late
 * line since, and the copies that copying and truncating leaves are older than the truncation. */
int rotated_add_between(hx_source *s, uint32_t i, const generation *old)
{
    struct stat st;

    return old->fd >= 0 && fstat(old->fd, &st) == 0 ? add_all(s, i, born_since, &st.st_ctim) : 0;
}
