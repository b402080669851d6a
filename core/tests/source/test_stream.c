/* Standard input and pipes: whatever pieces the bytes come in, the lines are whole and none is
 * lost. */
#include "place.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

static taken got;
static const char *const standard_input[] = {"-"};

static void *write_pieces(void *arg)
{
    int fd = *(int *)arg;

    for (int i = 0; i < 20000; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "line %d of a pipe\n", i);
        int cut = i % len;
        CHECK_INT(write(fd, line, (size_t)cut), cut);
        CHECK_INT(write(fd, line + cut, (size_t)(len - cut)), len - cut);
    }
    CHECK_INT(write(fd, "tail without newline", 20), 20);
    close(fd);
    return NULL;
}

static void test_pipe(bool follow)
{
    int fds[2];
    pthread_t writer;
    hx_source *s;
    const char *p = got.bytes;

    CHECK(pipe(fds) == 0 && dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    close(fds[0]);
    s = source_open(standard_input, 1, follow, false);
    CHECK(pthread_create(&writer, NULL, write_pieces, &fds[1]) == 0);
    take(s, -1, 0, &got);
    pthread_join(writer, NULL);
    CHECK_INT(got.rc, HX_EEND);
    for (int i = 0; i < 20000; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "line %d of a pipe\n", i);
        CHECK_BYTES(p, len, line, len);
        p += len;
    }
    CHECK_BYTES(p, got.bytes + got.len - p, "tail without newline", 20);
    CHECK_INT(got.last.offset + got.last.length, got.len);
    CHECK_BYTES(hx_source_input_name(s, got.last.input), 1, "-", 1);
    hx_source_destroy(s);
}

static void test_redirected_file(void)
{
    int fd;

    FILE_WRITE("in.log", "x\ny\nz");
    fd = open("in.log", O_RDONLY);
    CHECK(fd >= 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    close(fd);
    take_files(standard_input, 1, NULL, &got);
    CHECK_TAKEN(&got, "x\ny\nz");
}

static void test_waiting(void)
{
    int fds[2];
    hx_source *s;

    CHECK(pipe(fds) == 0 && dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    close(fds[0]);
    s = source_open(standard_input, 1, false, false);
    take(s, 10, 0, &got);
    CHECK_INT(got.rc, HX_EAGAIN);
    CHECK_INT(write(fds[1], "half", 4), 4);
    take(s, 10, 0, &got);
    CHECK_INT(got.rc, HX_EAGAIN);
    CHECK_INT(got.len, 0);
    CHECK_INT(write(fds[1], " and half\n", 10), 10);
    take(s, 10, 0, &got);
    CHECK_TAKEN(&got, "half and half\n");
    close(fds[1]);
    take(s, -1, 0, &got);
    CHECK_INT(got.rc, HX_EEND);
    hx_source_destroy(s);
}

static void test_long_line(void)
{
    static char text[20000], buffer[4096];
    int fds[2];
    hx_source *s;
    hx_chunk chunk;

    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 7, "\nafter\n", 7);
    CHECK(pipe(fds) == 0 && dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    close(fds[0]);
    CHECK_INT(write(fds[1], text, sizeof text), sizeof text);
    close(fds[1]);
    s = source_open(standard_input, 1, false, false);
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, -1, &chunk), 0);
    CHECK_INT(chunk.length, sizeof buffer);
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, -1, &chunk), 0);
    CHECK_BYTES(buffer, chunk.length, "after\n", 6);
    CHECK_INT(chunk.offset, sizeof text - 6);
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, -1, &chunk), HX_EEND);
    CHECK_INT(hx_source_counters_get(s)->truncated_lines, 1);
    hx_source_destroy(s);
}

static void test_named_pipe(void)
{
    const char *const paths[] = {"fifo"};
    hx_source *s;
    int fd;

    CHECK(mkfifo("fifo", 0600) == 0);
    s = source_open(paths, 1, true, false);
    for (int writer = 0; writer < 2; writer++) { /* one writer leaves, another comes */
        fd = open("fifo", O_WRONLY);
        CHECK_INT(write(fd, "from a writer\n", 14), 14);
        close(fd);
        take(s, 20, 0, &got);
        CHECK_INT(got.rc, HX_EAGAIN);
        CHECK_TAKEN(&got, "from a writer\n");
    }
    hx_source_destroy(s);
}

int main(void)
{
    place_make();
    test_pipe(false);
    test_pipe(true);
    test_redirected_file();
    test_waiting();
    test_long_line();
    test_named_pipe();
    return 0;
}
