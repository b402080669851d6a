#include "../check.h"
#include "sink/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char folder[64], path[96];
static hx_sink_file file; /* 64 KiB: not on a stack */
static hx_error err;

static hx_taken run_of(const char *bytes, uint32_t len, uint32_t stride)
{
    return (hx_taken){.data = bytes, .bytes = len, .stride = stride};
}

static void put(hx_sink_block *block, const char *message)
{
    const hx_taken run = run_of(message, (uint32_t)strlen(message), 0);

    hx_sink_block_put(block, &run);
}

static size_t read_back(char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, out, size);

    CHECK(fd >= 0 && n >= 0);
    close(fd);
    return (size_t)n;
}

static void test_lines(void)
{
    static const struct {
        const char *bytes;
        uint32_t len, stride;
        const char *want;
    } cases[] = {
        {"one message", 11, 0, "one message\n"},
        {"aaabbbccc", 9, 3, "aaa\nbbb\nccc\n"},
        {"aaabbbc", 7, 3, "aaa\nbbb\nc\n"},
        {"", 0, 0, ""},
        {"two\nlines\r\n", 11, 0, "two lines  \n"},
        {"\0\t\x1b[31m\x7f.", 9, 0, "   [31m .\n"},
        {"caf\xc3\xa9 \xed\x95\xb4\xec\xb9\x98", 12, 0, "caf\xc3\xa9 \xed\x95\xb4\xec\xb9\x98\n"},
    };
    char got[256];
    size_t len;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *copy = check_guard_copy(cases[i].bytes, cases[i].len);
        const hx_taken run = run_of(copy, cases[i].len, cases[i].stride);
        hx_sink_block block;

        CHECK_INT(hx_sink_file_open(&file, path, &err), 0);
        CHECK_INT(hx_sink_block_init(&block, &file), 0);
        hx_sink_block_put(&block, &run);
        hx_sink_block_finish(&block);
        hx_sink_block_free(&block);
        hx_sink_file_close(&file);
        len = read_back(got, sizeof got);
        CHECK_BYTES(got, len, cases[i].want, strlen(cases[i].want));
        CHECK_INT(file.unwritten, 0);
        check_guard_free(copy, cases[i].len);
    }
}

/* A file that takes nothing: the block fills, what is over is counted, nothing waits. */
static void test_full_disk(void)
{
    enum { MESSAGES = 3000 };
    static char message[1000];
    const hx_taken run = run_of(message, sizeof message, 0);
    hx_sink_block block;

    if (access("/dev/full", W_OK) != 0)
        return;
    CHECK_INT(hx_sink_file_open(&file, "/dev/full", &err), 0);
    CHECK_INT(hx_sink_block_init(&block, &file), 0);
    for (int i = 0; i < MESSAGES; i++)
        hx_sink_block_put(&block, &run);
    CHECK(file.write_errors >= 1);
    CHECK(file.write_errors < 100); /* not a try for every message */
    CHECK_INT(file.unwritten, MESSAGES - HX_FILE_BLOCK_BYTES / 1001);
    hx_sink_block_finish(&block);
    CHECK_INT(file.unwritten, MESSAGES);
    hx_sink_block_free(&block);
    hx_sink_file_close(&file);
}

static void limit_file(rlim_t bytes)
{
    struct rlimit limit;

    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A disk that gets full within a line: when it has room again that line's end comes first, whoever
 * writes next. */
static void test_cut_line(void)
{
    static const char want[] = "first of a\nsecond of a\nthird of a\nfirst of b\nfourth of a\n";
    hx_sink_block a, b;
    char got[256];
    size_t len;

    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(hx_sink_file_open(&file, path, &err), 0);
    CHECK_INT(hx_sink_block_init(&a, &file), 0);
    CHECK_INT(hx_sink_block_init(&b, &file), 0);
    put(&a, "first of a");
    put(&a, "second of a");
    put(&a, "third of a");
    put(&a, "fourth of a");
    limit_file(27); /* within the third */
    hx_sink_block_flush(&a);
    CHECK_INT(file.write_errors, 1);
    put(&b, "first of b");
    hx_sink_block_flush(&b);
    CHECK_INT(file.write_errors, 2);
    limit_file(RLIM_INFINITY);
    hx_sink_block_finish(&b);
    hx_sink_block_finish(&a);
    hx_sink_file_settle(&file);
    CHECK_INT(file.unwritten, 0);
    hx_sink_file_close(&file);
    len = read_back(got, sizeof got);
    CHECK_BYTES(got, len, want, strlen(want));
    hx_sink_block_free(&a);
    hx_sink_block_free(&b);
}

/* A line that stays cut is none of the file's. */
static void test_cut_for_good(void)
{
    hx_sink_block block;

    CHECK_INT(hx_sink_file_open(&file, path, &err), 0);
    CHECK_INT(hx_sink_block_init(&block, &file), 0);
    put(&block, "first");
    put(&block, "second");
    put(&block, "third");
    limit_file(9);
    hx_sink_block_finish(&block);
    CHECK_INT(file.unwritten, 1);
    hx_sink_file_settle(&file);
    CHECK_INT(file.unwritten, 2);
    limit_file(RLIM_INFINITY);
    hx_sink_file_close(&file);
    hx_sink_block_free(&block);
}

/* A reader that has stopped reading costs lines, not the writer's time. */
static void test_stalled_pipe(void)
{
    static char message[60000];
    const hx_taken run = run_of(message, sizeof message, 0);
    hx_sink_block block;
    int reader;

    CHECK_INT(unlink(path), 0);
    CHECK_INT(mkfifo(path, 0600), 0);
    reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK(reader >= 0);
    CHECK_INT(hx_sink_file_open(&file, path, &err), 0);
    CHECK_INT(hx_sink_block_init(&block, &file), 0);
    for (int i = 0; i < 40; i++)
        hx_sink_block_put(&block, &run);
    CHECK(file.write_errors >= 1);
    hx_sink_block_finish(&block);
    CHECK(file.unwritten > 0);
    hx_sink_block_free(&block);
    hx_sink_file_close(&file);
    close(reader);
    CHECK_INT(unlink(path), 0);
}

/* --- several workers ---------------------------------------------------------------------------
 */

enum { WRITERS = 3, LINES = 30000 };

static void *write_lines(void *arg)
{
    const char mark = *(const char *)arg;
    char message[200];
    hx_sink_block block;

    CHECK_INT(hx_sink_block_init(&block, &file), 0);
    for (int i = 0; i < LINES; i++) {
        int len = snprintf(message, sizeof message, "%c %d ", mark, i);
        int filler = i % 150;

        memset(message + len, mark, (size_t)filler);
        message[len + filler] = 0;
        put(&block, message);
    }
    hx_sink_block_finish(&block);
    hx_sink_block_free(&block);
    return NULL;
}

/* Lines of several writers are whole, and each one's are in order. */
static void test_writers(void)
{
    static const char marks[WRITERS] = {'a', 'b', 'c'};
    int next[WRITERS] = {0};
    pthread_t threads[WRITERS];
    char line[256];
    FILE *f;

    CHECK_INT(hx_sink_file_open(&file, path, &err), 0);
    for (int i = 0; i < WRITERS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, write_lines, (void *)(uintptr_t)&marks[i]), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    hx_sink_file_close(&file);
    f = fopen(path, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f)) {
        char mark;
        int i, used;

        CHECK_INT(sscanf(line, "%c %d%n", &mark, &i, &used), 2);
        CHECK(mark >= 'a' && mark < 'a' + WRITERS);
        CHECK_INT(i, next[mark - 'a']++);
        CHECK_INT(strspn(line + used + 1, (char[]){mark, 0}), i % 150);
        CHECK_INT(line[used + 1 + i % 150], '\n');
    }
    fclose(f);
    for (int i = 0; i < WRITERS; i++)
        CHECK_INT(next[i], LINES);
}

static void test_no_file(void)
{
    CHECK_INT(hx_sink_file_open(&file, "/nowhere/at/all", &err), HX_EIO);
    CHECK(strstr(err.text, "write: /nowhere/at/all: ") != NULL);
}

int main(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/haechi-XXXXXX", base ? base : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/written", folder);
    test_lines();
    test_full_disk();
    test_cut_line();
    test_cut_for_good();
    test_writers();
    test_stalled_pipe();
    test_no_file();
    CHECK_INT(rmdir(folder), 0);
    return 0;
}
