/* Finding a file again that was rotated while nobody looked. */
#ifndef HAECHI_SOURCE_ROTATED_H
#define HAECHI_SOURCE_ROTATED_H

#include "room.h"

#include <time.h>

/* One entry of a saved position. */
typedef struct saved {
    const char *path;
    uint64_t device, inode, offset;
    uint32_t head_len; /* the fingerprint is of that many first bytes */
    uint64_t head_hash;
    bool skipping;
} saved;

/* The file of this name, open, where it is the saved one (by_inode) or begins as that did; or -1.
 */
int rotated_open(const char *name, const saved *p, bool by_inode);

/* The saved file under another name in its folder: by inode and head, where it was renamed; by its
 * head and the beginning of its name, where it was copied and the original truncated. Open, or -1.
 */
int rotated_find(const saved *p);

/* The file open at fd (which is taken), to be read before what stands at path i now. NULL: out of
 * memory. */
generation *rotated_add(hx_source *s, uint32_t i, int fd);

/* The files that path i was rotated to after since, oldest first. 0 or HX_ENOMEM. */
int rotated_add_since(hx_source *s, uint32_t i, const struct timespec *since);

/* The files that came to path i and left it between old, which had it, and the one that has it now,
 * while nobody looked. 0 or HX_ENOMEM. Where the file system does not say when a file was made,
 * none are found. */
int rotated_add_between(hx_source *s, uint32_t i, const generation *old);

#endif
