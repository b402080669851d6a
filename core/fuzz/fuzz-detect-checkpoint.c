/* A checkpoint of any bytes with a hash that is right: refused with a sentence, or written again
 * the same. */
#include "detect/checkpoint.h"

#include <haechi/hash.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const hx_checkpoint *c)
{
    if (strlen(c->digest) >= sizeof c->digest || c->keys.len % 8 ||
        (c->inputs.len && c->inputs.ptr[c->inputs.len - 1]))
        abort();
    for (uint32_t w = 0; w < c->worker_count; w++)
        if (c->worker[w].len && !c->worker[w].ptr)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char magic[] = "HXCKPT05";
    hx_error err = {{0}};
    hx_checkpoint c;
    hx_text file = {0};
    uint64_t hash;
    char path[64];
    int fd = memfd_create("checkpoint", MFD_CLOEXEC);

    if (fd < 0)
        return 0;
    hx_text_bytes(&file, magic, sizeof magic - 1);
    hx_text_bytes(&file, data, size);
    hash = hx_hash_bytes(file.ptr, file.len, HX_HASH_SEED);
    hx_text_bytes(&file, &hash, sizeof hash);
    if (write(fd, file.ptr, file.len) == (ssize_t)file.len) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (hx_checkpoint_read(path, &c, &err) == 0)
            check_bounds(&c);
        else if (!err.text[0])
            abort();
        hx_checkpoint_free(&c);
    }
    close(fd);
    hx_text_free(&file);
    return 0;
}
