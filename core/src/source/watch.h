/* What inotify tells: which open files changed, and which names in watched folders. */
#ifndef HAECHI_SOURCE_WATCH_H
#define HAECHI_SOURCE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct watch_set watch_set;

typedef enum watch_news {
    WATCH_CHANGED,  /* owner's file has other contents or another size */
    WATCH_RENAMED,  /* owner's file was renamed or deleted, or got another mode */
    WATCH_NAME,     /* name in owner's folder came or went */
    WATCH_OVERFLOW, /* news were lost: look at everything (owner is NULL) */
} watch_news;

typedef void (*watch_handler)(void *context, watch_news news, void *owner, const char *name);

/* NULL where inotify is not to be had. */
watch_set *watch_create(void);
void watch_destroy(watch_set *set);
int watch_fd(const watch_set *set);

/* A number to forget it by, or -1 with errno. The same folder gives the same number, and belongs to
 * its first owner. fd: the open file, which is watched whatever its name. */
int watch_file(watch_set *set, int fd, void *owner);
int watch_folder(watch_set *set, const char *path, void *owner);
void watch_forget(watch_set *set, int watch);

/* Tells the handler everything there is, without waiting. */
void watch_read(watch_set *set, watch_handler handler, void *context);

#endif
