#include "detect/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC        "HXCKPT05"
#define SECTIONS_MAX 4096

enum section_kind {
    SECTION_POSITION = 1,
    SECTION_ALERTS,
    SECTION_KEYS,
    SECTION_DIGEST,
    SECTION_WORKER,
    SECTION_INPUTS,
};

void hx_checkpoint_free(hx_checkpoint *checkpoint)
{
    hx_text_free(&checkpoint->position);
    hx_text_free(&checkpoint->keys);
    hx_text_free(&checkpoint->inputs);
    for (uint32_t i = 0; i < checkpoint->worker_count; i++)
        hx_text_free(&checkpoint->worker[i]);
    free(checkpoint->worker);
    memset(checkpoint, 0, sizeof *checkpoint);
}

static void put_u64(hx_text *out, uint64_t v)
{
    hx_text_bytes(out, &v, sizeof v);
}

static void put_section(hx_text *out, uint64_t kind, const void *bytes, size_t len)
{
    static const char zeros[8];

    put_u64(out, kind);
    put_u64(out, len);
    hx_text_bytes(out, bytes, len);
    hx_text_bytes(out, zeros, (8 - len % 8) % 8);
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return HX_EIO;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The rename is only safe from a power cut once the directory is on the disk too. */
static void sync_directory(const char *path)
{
    char copy[4096];
    int fd;

    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static int replace_file(const char *path, const hx_text *content, hx_error *err)
{
    char temporary[4096];
    int fd, rc;

    snprintf(temporary, sizeof temporary, "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return hx_error_set(err, HX_EIO, "checkpoint: %s: %s", temporary, strerror(errno));
    rc = write_all(fd, content->ptr, content->len);
    if (!rc && fsync(fd) != 0)
        rc = HX_EIO;
    if (rc)
        hx_error_set(err, rc, "checkpoint: %s: %s", temporary, strerror(errno));
    close(fd);
    if (!rc && rename(temporary, path) != 0)
        rc = hx_error_set(err, HX_EIO, "checkpoint: %s: %s", path, strerror(errno));
    if (rc)
        unlink(temporary);
    else
        sync_directory(path);
    return rc;
}

int hx_checkpoint_write(const hx_checkpoint *checkpoint, const char *path, hx_error *err)
{
    hx_text out = {0};
    int rc;

    hx_text_str(&out, MAGIC);
    put_u64(&out, 5 + (uint64_t)checkpoint->worker_count);
    put_section(&out, SECTION_POSITION, checkpoint->position.ptr, checkpoint->position.len);
    put_section(&out, SECTION_ALERTS, &checkpoint->alert_position,
                sizeof checkpoint->alert_position);
    put_section(&out, SECTION_KEYS, checkpoint->keys.ptr, checkpoint->keys.len);
    put_section(&out, SECTION_DIGEST, checkpoint->digest, strlen(checkpoint->digest));
    put_section(&out, SECTION_INPUTS, checkpoint->inputs.ptr, checkpoint->inputs.len);
    for (uint32_t i = 0; i < checkpoint->worker_count; i++) {
        put_section(&out, SECTION_WORKER, checkpoint->worker[i].ptr, checkpoint->worker[i].len);
        out.failed |= checkpoint->worker[i].failed;
    }
    put_u64(&out, hx_hash_bytes(out.ptr, out.len, HX_HASH_SEED));
    rc = out.failed ? hx_error_set(err, HX_ENOMEM, "checkpoint: out of memory")
                    : replace_file(path, &out, err);
    hx_text_free(&out);
    return rc;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static int read_file(const char *path, hx_text *out, hx_error *err)
{
    char block[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT
                   ? HX_ENOTFOUND
                   : hx_error_set(err, HX_EIO, "checkpoint: %s: %s", path, strerror(errno));
    while ((n = read(fd, block, sizeof block)) > 0)
        hx_text_bytes(out, block, (size_t)n);
    close(fd);
    if (n < 0)
        return hx_error_set(err, HX_EIO, "checkpoint: %s: %s", path, strerror(errno));
    return out->failed ? hx_error_set(err, HX_ENOMEM, "checkpoint: %s: out of memory", path) : 0;
}

static int take_section(hx_checkpoint *c, uint64_t kind, const char *bytes, size_t len)
{
    switch (kind) {
    case SECTION_POSITION:
        hx_text_bytes(&c->position, bytes, len);
        return 0;
    case SECTION_ALERTS:
        if (len != sizeof c->alert_position)
            return HX_ECORRUPT;
        memcpy(&c->alert_position, bytes, len);
        return 0;
    case SECTION_KEYS:
        hx_text_bytes(&c->keys, bytes, len);
        return len % sizeof(uint64_t) ? HX_ECORRUPT : 0;
    case SECTION_INPUTS:
        hx_text_bytes(&c->inputs, bytes, len);
        return len && bytes[len - 1] ? HX_ECORRUPT : 0;
    case SECTION_DIGEST:
        if (len >= sizeof c->digest)
            return HX_ECORRUPT;
        memcpy(c->digest, bytes, len);
        return 0;
    case SECTION_WORKER:
        hx_text_bytes(&c->worker[c->worker_count++], bytes, len);
        return 0;
    default:
        return HX_ECORRUPT;
    }
}

static int take_sections(hx_checkpoint *c, const char *bytes, size_t len)
{
    uint64_t sections, head[2];
    size_t at = sizeof MAGIC - 1 + sizeof sections;
    int rc = 0;

    memcpy(&sections, bytes + sizeof MAGIC - 1, sizeof sections);
    if (sections > SECTIONS_MAX)
        return HX_ECORRUPT;
    c->worker = calloc(sections + 1, sizeof *c->worker);
    if (!c->worker)
        return HX_ENOMEM;
    for (uint64_t i = 0; i < sections && !rc; i++) {
        if (len - at < sizeof head)
            return HX_ECORRUPT;
        memcpy(head, bytes + at, sizeof head);
        at += sizeof head;
        if (head[1] > len - at)
            return HX_ECORRUPT;
        rc = take_section(c, head[0], bytes + at, head[1]);
        at += head[1];
        at += (8 - head[1] % 8) % 8;
        if (at > len)
            return HX_ECORRUPT;
    }
    if (!rc && at != len)
        rc = HX_ECORRUPT;
    return rc;
}

int hx_checkpoint_read(const char *path, hx_checkpoint *out, hx_error *err)
{
    hx_text file = {0};
    uint64_t hash;
    int rc;

    memset(out, 0, sizeof *out);
    rc = read_file(path, &file, err);
    if (!rc && (file.len < sizeof MAGIC - 1 + 16 || memcmp(file.ptr, MAGIC, sizeof MAGIC - 1) != 0))
        rc = hx_error_set(err, HX_EVERSION,
                          "checkpoint: %s is not a checkpoint of this version: finish with the "
                          "version that wrote it, or remove it to begin anew",
                          path);
    if (!rc) {
        size_t body = file.len - sizeof hash;

        memcpy(&hash, file.ptr + body, sizeof hash);
        rc = hash == hx_hash_bytes(file.ptr, body, HX_HASH_SEED)
                 ? take_sections(out, file.ptr, body)
                 : HX_ECORRUPT;
        if (rc)
            hx_error_set(err, rc,
                         "checkpoint: %s is damaged; remove it to start over (alerts may then be "
                         "repeated or missed)",
                         path);
    }
    hx_text_free(&file);
    if (rc)
        hx_checkpoint_free(out);
    return rc;
}
