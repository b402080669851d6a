/* A folder of its own for a test, the files in it, and what a source made of them. */
#ifndef HAECHI_TESTS_SOURCE_PLACE_H
#define HAECHI_TESTS_SOURCE_PLACE_H

#include "../check.h"

#include <haechi/source.h>

/* Makes the folder and makes it the working directory; removed when the test ends. */
void place_make(void);

void file_write(const char *name, const char *bytes, size_t len); /* made or truncated */
void file_append(const char *name, const char *bytes, size_t len);
#define FILE_WRITE(name, text)  file_write((name), (text), sizeof(text) - 1)
#define FILE_APPEND(name, text) file_append((name), (text), sizeof(text) - 1)

/* Everything a source hands out, one after the other. */
typedef struct taken {
    char bytes[1 << 20];
    size_t len;
    uint32_t chunks;
    hx_chunk last;
    int rc; /* what ended the taking */
} taken;

/* Reads until the source has nothing for quiet_ms, ends, or has given want bytes (0: no matter). */
void take(hx_source *source, int quiet_ms, size_t want, taken *out);

/* Reads until only so many files are open and there is nothing more of them. */
void take_until_open(hx_source *source, uint32_t open, taken *out);

/* For how long a rotated file is still looked at: longer than a busy machine keeps a test waiting
 * that goes on with it. */
extern uint32_t place_rotate_wait_ms;

hx_source *source_open(const char *const *paths, uint32_t count, bool follow, bool polling);

/* What a source hands out of these files, read to their ends, from a saved position or the start.
 */
void take_files(const char *const *paths, uint32_t count, const char *position, taken *out);

#define CHECK_TAKEN(t, text) CHECK_BYTES((t)->bytes, (t)->len, (text), sizeof(text) - 1)

#endif
