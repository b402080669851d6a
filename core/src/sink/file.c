#include "sink/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIPE_WAIT_MS 100

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int hx_sink_file_open(hx_sink_file *file, const char *path, hx_error *err)
{
    struct stat st;

    memset(file, 0, sizeof *file);
    file->path = path;
    file->owned = strcmp(path, "-") != 0;
    file->fd = file->owned ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640) : 1;
    if (file->fd < 0)
        return hx_error_set(err, HX_EIO, "write: %s: %s", path, strerror(errno));
    file->pipe = fstat(file->fd, &st) == 0 && !S_ISREG(st.st_mode);
    pthread_mutex_init(&file->lock, NULL);
    return 0;
}

/* What a pipe takes without waiting, once poll says that it takes something: a reader that has
 * stopped reading must not stop the receiving. */
static ssize_t write_some(hx_sink_file *file, const char *bytes, size_t len)
{
    struct pollfd ready = {file->fd, POLLOUT, 0};
    int n;

    if (!file->pipe)
        return write(file->fd, bytes, len);
    n = poll(&ready, 1, PIPE_WAIT_MS);
    if (n <= 0) {
        errno = n < 0 ? errno : EAGAIN;
        return -1;
    }
    return write(file->fd, bytes, len < PIPE_BUF ? len : PIPE_BUF);
}

/* Under the lock. Returns how many bytes went; fewer than len after an error, which it reports. */
static size_t write_out(hx_sink_file *file, const char *bytes, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write_some(file, bytes + done, len - done);

        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            atomic_fetch_add(&file->write_errors, 1);
            if (!file->said)
                fprintf(stderr,
                        "haechi-sink: write: %s: %s; receiving goes on, writing is tried again, "
                        "and messages that find no room meanwhile are counted as unwritten\n",
                        file->path, n == 0 ? "nothing is taken" : strerror(errno));
            file->said = true;
            break;
        }
    }
    return done;
}

/* Under the lock. */
static bool write_rest(hx_sink_file *file)
{
    size_t done = write_out(file, file->rest, file->rest_len);

    file->rest_len -= (uint32_t)done;
    memmove(file->rest, file->rest + done, file->rest_len);
    return file->rest_len == 0;
}

void hx_sink_file_settle(hx_sink_file *file)
{
    if (file->rest_len && !write_rest(file)) {
        atomic_fetch_add(&file->unwritten, 1);
        file->rest_len = 0;
    }
}

void hx_sink_file_close(hx_sink_file *file)
{
    if (file->owned)
        close(file->fd);
    pthread_mutex_destroy(&file->lock);
}

/* --- blocks ------------------------------------------------------------------------------------
 */

int hx_sink_block_init(hx_sink_block *block, hx_sink_file *file)
{
    *block = (hx_sink_block){.file = file, .bytes = malloc(HX_FILE_BLOCK_BYTES)};
    return block->bytes ? 0 : HX_ENOMEM;
}

void hx_sink_block_free(hx_sink_block *block)
{
    free(block->bytes);
    block->bytes = NULL;
}

void hx_sink_block_flush(hx_sink_block *block)
{
    hx_sink_file *file = block->file;
    size_t done = 0;

    if (!block->len)
        return;
    pthread_mutex_lock(&file->lock);
    if (write_rest(file))
        done = write_out(file, block->bytes, block->len);
    if (done && done < block->len && block->bytes[done - 1] != '\n') {
        char *end = memchr(block->bytes + done, '\n', block->len - done);

        file->rest_len = (uint32_t)(end + 1 - (block->bytes + done));
        memcpy(file->rest, block->bytes + done, file->rest_len);
        done += file->rest_len;
    }
    pthread_mutex_unlock(&file->lock);
    block->retry_ns = done < block->len ? now_ns() + HX_FILE_RETRY_NS : 0;
    block->len -= done;
    memmove(block->bytes, block->bytes + done, block->len);
}

/* Makes room for a line of so many bytes, where the file lets it. */
static bool has_room(hx_sink_block *block, uint32_t len)
{
    if (block->len + len <= HX_FILE_BLOCK_BYTES)
        return true;
    if (!block->retry_ns || now_ns() >= block->retry_ns)
        hx_sink_block_flush(block);
    return block->len + len <= HX_FILE_BLOCK_BYTES;
}

/* A loop that the compiler makes vectors of. */
static void copy_clean(char *restrict out, const char *restrict in, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)in[i];

        out[i] = (char)(c < ' ' || c == 0x7f ? ' ' : c);
    }
}

void hx_sink_block_put(hx_sink_block *block, const hx_taken *run)
{
    uint32_t stride = run->stride ? run->stride : run->bytes;

    for (uint32_t at = 0; at < run->bytes; at += stride) {
        uint32_t len = run->bytes - at < stride ? run->bytes - at : stride;

        if (!has_room(block, len + 1)) {
            atomic_fetch_add_explicit(&block->file->unwritten, 1, memory_order_relaxed);
            continue;
        }
        copy_clean(block->bytes + block->len, run->data + at, len);
        block->bytes[block->len + len] = '\n';
        block->len += len + 1;
    }
}

void hx_sink_block_finish(hx_sink_block *block)
{
    uint64_t lines = 0;

    hx_sink_block_flush(block);
    for (size_t i = 0; i < block->len; i++)
        lines += block->bytes[i] == '\n';
    atomic_fetch_add(&block->file->unwritten, lines);
    block->len = 0;
}
