#include "watch.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct watch_set {
    int fd;
    /* By watch number: the kernel counts them up from 1 and does not use one twice, so the table
     * grows by a pointer a rotation. */
    void **owners;
    size_t room;
};

watch_set *watch_create(void)
{
    watch_set *set = calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (set->fd < 0) {
        free(set);
        return NULL;
    }
    return set;
}

void watch_destroy(watch_set *set)
{
    if (!set)
        return;
    close(set->fd);
    free(set->owners);
    free(set);
}

int watch_fd(const watch_set *set)
{
    return set->fd;
}

static int own(watch_set *set, int watch, void *owner)
{
    if (watch < 0)
        return watch;
    if ((size_t)watch >= set->room) {
        size_t room = (size_t)watch * 2 + 64;
        void **owners = realloc(set->owners, room * sizeof *owners);
        if (!owners) {
            inotify_rm_watch(set->fd, watch);
            return -1;
        }
        memset(owners + set->room, 0, (room - set->room) * sizeof *owners);
        set->owners = owners;
        set->room = room;
    }
    if (!set->owners[watch])
        set->owners[watch] = owner;
    return watch;
}

int watch_file(watch_set *set, int fd, void *owner)
{
    char path[64];

    /* By the descriptor: the name may stand for another file already. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return own(
        set,
        inotify_add_watch(set->fd, path, IN_MODIFY | IN_MOVE_SELF | IN_ATTRIB | IN_DELETE_SELF),
        owner);
}

int watch_folder(watch_set *set, const char *path, void *owner)
{
    return own(set,
               inotify_add_watch(set->fd, path,
                                 IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR |
                                     IN_MASK_ADD),
               owner);
}

void watch_forget(watch_set *set, int watch)
{
    if (watch < 0 || (size_t)watch >= set->room || !set->owners[watch])
        return;
    set->owners[watch] = NULL;
    inotify_rm_watch(set->fd, watch);
}

static void tell(watch_set *set, const struct inotify_event *event, watch_handler handler,
                 void *context)
{
    void *owner;

    if (event->mask & IN_Q_OVERFLOW) {
        handler(context, WATCH_OVERFLOW, NULL, NULL);
        return;
    }
    if (event->wd < 0 || (size_t)event->wd >= set->room || !set->owners[event->wd])
        return;
    owner = set->owners[event->wd];
    if (event->len)
        handler(context, WATCH_NAME, owner, event->name);
    else if (event->mask & (IN_MOVE_SELF | IN_ATTRIB | IN_DELETE_SELF))
        handler(context, WATCH_RENAMED, owner, NULL);
    else if (event->mask & IN_MODIFY)
        handler(context, WATCH_CHANGED, owner, NULL);
    if (event->mask & IN_IGNORED)
        set->owners[event->wd] = NULL;
}

void watch_read(watch_set *set, watch_handler handler, void *context)
{
    _Alignas(struct inotify_event) char buffer[16384];
    ssize_t n;

    while ((n = read(set->fd, buffer, sizeof buffer)) > 0) {
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            tell(set, event, handler, context);
            p += sizeof *event + event->len;
        }
    }
}
