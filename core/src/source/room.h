/* The inside of hx_source, shared by the files of this room.
 *
 * A path is a name that was configured or that a glob found; it stays, so that a chunk's input
 * stays valid. A generation is what the name stood for at a time. Where a name comes to stand for
 * another file, the old generation is read to its end first, then the new one; the old one is kept
 * a while for what its writer still has to say. */
#ifndef HAECHI_SOURCE_ROOM_H
#define HAECHI_SOURCE_ROOM_H

#include "input.h"
#include "network.h"
#include "watch.h"

#include <haechi/source.h>

typedef struct path {
    char *name;
    uint64_t hash;       /* of the name */
    generation *current; /* NULL: no such file now */
    struct folder *folder;
    bool had_file; /* it stood for a file once */
    bool look;     /* something was told about this name */
} path;

typedef struct folder {
    struct folder *next;
    int watch; /* -1: not there yet, or not watched */
    char name[];
} folder;

#define SOURCE_STREAMS_MAX 62 /* standard input and pipes */

#define PATHS_FIRST        16
#define PATH_BLOCKS        24

struct hx_source {
    bool follow, from_end, started;
    int64_t poll_ms, rotate_wait_ms;

    /* Block b holds PATHS_FIRST << b of them: they never move, because other threads ask for the
     * names of inputs they know while this one finds more. */
    path *path_blocks[PATH_BLOCKS];
    _Atomic uint32_t path_count;
    char **globs;
    uint32_t glob_count;
    folder *folders;

    generation *generations;        /* in the order they came to be */
    generation *queue, **queue_end; /* with something to read, first come first served */
    uint32_t open_streams, renamed_count;
    bool any_file; /* a file or glob was configured, not only streams */

    watch_set *watches; /* NULL: polling */
    bool all_watched; /* every folder tells its news; not so one that is not there yet, or a glob's
                       */
    int wake_fd;
    bool look_at_names, look_at_globs, look_at_all;
    int64_t next_sweep_ms, next_expiry_ms;
    uint32_t reads_since_news;

    network *network;     /* NULL: files alone */
    uint32_t ports;       /* of the network: inputs 0 .. ports-1, before the paths */
    bool files_first;     /* of network and files, whose turn it is */
    int64_t next_look_ms; /* at files, while the network is busy */
    struct pollfd *fds;   /* room for everything that is waited for */

    hx_source_counters counters;
};

static inline path *path_at(const hx_source *s, uint32_t i)
{
    uint32_t n = i + PATHS_FIRST;
    uint32_t block = 27 - (uint32_t)__builtin_clz(n); /* PATHS_FIRST is 1 << 4 */

    if (block >= PATH_BLOCKS)
        __builtin_unreachable(); /* i is of a path that is there */
    return &s->path_blocks[block][n - ((uint32_t)PATHS_FIRST << block)];
}

/* --- source.c -------------------------------------------------------------------------------- */

int64_t source_now_ms(void);
void source_queue(hx_source *s, generation *g);
/* Adds it to the source, before another in the order of generations where one is given; queued
 * from the start. */
void source_add_before(hx_source *s, generation *g, generation *newer);
/* older is read to its end before newer is begun. */
void source_order(generation *older, generation *newer);
void source_remove(hx_source *s, generation *g);
generation *source_find(const hx_source *s, const struct stat *st);

/* --- news.c ---------------------------------------------------------------------------------- */

/* Takes in what inotify told and what the clock says is due. */
void source_take_news(hx_source *s);
/* Like source_take_news, and looks at streams, without waiting: where the network leaves no wait.
 */
void source_glance(hx_source *s);
/* Waits for news until deadline_ms. 0: look again; HX_EAGAIN: the time is up, or woken; HX_EIO. */
int source_wait(hx_source *s, int64_t deadline_ms);

/* --- names.c: names, and the files they stand for -------------------------------------------- */

bool names_is_glob(const char *name);
/* The path of this name, made where it is not there. INPUT_NO_PATH: out of memory. */
uint32_t names_add(hx_source *s, const char *name);
uint32_t names_find(const hx_source *s, const char *name);
/* Whether the configuration names it, or a glob of it would. */
bool names_wanted(const hx_source *s, const char *name);
/* Fills the source from its configuration. */
int names_configure(hx_source *s, const hx_source_config *config, hx_error *err);
/* Something was told about a name: names_check will look at it. */
void names_mark(hx_source *s, uint32_t i);
/* Looks at what a name stands for now: opens, rotates, notices growth. */
void names_check(hx_source *s, uint32_t i);
void names_scan_globs(hx_source *s);
void names_watch_folders(hx_source *s);
void names_told(hx_source *s, const folder *where, const char *name);
/* g has no name (any more): it is read a while longer. */
void names_lost(hx_source *s, generation *g);
void names_detach(hx_source *s, generation *g);
void names_watch_file(hx_source *s, generation *g);

#endif
