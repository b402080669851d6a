#include "place.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

uint32_t place_rotate_wait_ms = 500;

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void place_remove(void)
{
    if (chdir("/") == 0)
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void place_make(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/haechi-XXXXXX", base ? base : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    CHECK(chdir(folder) == 0);
    atexit(place_remove);
}

static void put(const char *name, int flags, const char *bytes, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);

    CHECK(fd >= 0);
    CHECK_INT(write(fd, bytes, len), len);
    close(fd);
}

void file_write(const char *name, const char *bytes, size_t len)
{
    put(name, O_TRUNC, bytes, len);
}

void file_append(const char *name, const char *bytes, size_t len)
{
    put(name, O_APPEND, bytes, len);
}

static bool take_chunk(hx_source *source, int quiet_ms, taken *out)
{
    static char buffer[65536];

    out->rc = hx_source_read(source, buffer, sizeof buffer, quiet_ms, &out->last);
    if (out->rc)
        return false;
    CHECK(out->last.length > 0 && out->last.length <= sizeof buffer);
    CHECK(out->len + out->last.length <= sizeof out->bytes);
    memcpy(out->bytes + out->len, buffer, out->last.length);
    out->len += out->last.length;
    out->chunks++;
    return true;
}

void take(hx_source *source, int quiet_ms, size_t want, taken *out)
{
    memset(out, 0, sizeof *out);
    while (!want || out->len < want)
        if (!take_chunk(source, quiet_ms, out))
            return;
}

void take_until_open(hx_source *source, uint32_t open, taken *out)
{
    int waits = 0;

    memset(out, 0, sizeof *out);
    while (take_chunk(source, 20, out) || hx_source_counters_get(source)->inputs_open > open)
        CHECK(out->rc == 0 || ++waits < 1000);
}

hx_source *source_open(const char *const *paths, uint32_t count, bool follow, bool polling)
{
    hx_source_config config = {.paths = paths,
                               .path_count = count,
                               .follow = follow,
                               .polling = polling,
                               .poll_ms = 10,
                               .rotate_wait_ms = place_rotate_wait_ms};
    hx_source *source;
    hx_error err = {""};

    if (hx_source_create(&config, &source, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return source;
}

void take_files(const char *const *paths, uint32_t count, const char *position, taken *out)
{
    hx_source *source = source_open(paths, count, false, false);

    if (position)
        CHECK_INT(hx_source_position_load(source, position, strlen(position), NULL), 0);
    take(source, -1, 0, out);
    CHECK_INT(out->rc, HX_EEND);
    hx_source_destroy(source);
}
