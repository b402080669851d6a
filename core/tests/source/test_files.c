/* Files read to their ends: order, unfinished lines, long lines, junk, and what is refused. */
#include "place.h"

#include <sys/stat.h>

static taken got;

static void test_order_and_ends(void)
{
    FILE_WRITE("a.log", "a1\na2\n");
    FILE_WRITE("b.log", "b1\nb2 without newline");
    FILE_WRITE("empty.log", "");
    FILE_WRITE("c.log", "\n\nc3\n");
    take_files((const char *[]){"b.log", "empty.log", "a.log"}, 3, NULL, &got);
    CHECK_TAKEN(&got, "b1\nb2 without newlinea1\na2\n");
    take_files((const char *[]){"[ab].log", "?.log", "a.log", "empty.log"}, 4, NULL, &got);
    CHECK_TAKEN(&got, "a1\na2\nb1\nb2 without newline\n\nc3\n");
    FILE_WRITE("a.log.gz", "not text");
    take_files((const char *[]){"a.lo*"}, 1, NULL, &got);
    CHECK_TAKEN(&got, "a1\na2\n");
    CHECK(symlink("a.log", "latest.log") == 0);
    take_files((const char *[]){"a.log", "latest.log"}, 2, NULL, &got);
    CHECK_TAKEN(&got, "a1\na2\n"); /* one file, two names */
}

static void test_long_lines(void)
{
    static char text[3 * 4096 + 64], buffer[4096];
    const char *const paths[] = {"long.log"};
    hx_source *source;
    hx_chunk chunk;

    memset(text, 'x', sizeof text);
    memcpy(text, "head\n", 5);
    text[3 * 4096] = '\n';
    memcpy(text + 3 * 4096 + 1, "after\n", 6);
    file_write("long.log", text, 3 * 4096 + 7);
    source = source_open(paths, 1, false, false);
    CHECK_INT(hx_source_read(source, buffer, 4095, 0, &chunk), HX_EINVAL);
    CHECK_INT(hx_source_read(source, buffer, sizeof buffer, 0, &chunk), 0);
    CHECK_BYTES(buffer, chunk.length, "head\n", 5);
    CHECK_INT(hx_source_read(source, buffer, sizeof buffer, 0, &chunk), 0);
    CHECK_INT(chunk.length, sizeof buffer);
    CHECK_INT(chunk.offset, 5);
    CHECK_INT(hx_source_read(source, buffer, sizeof buffer, 0, &chunk), 0);
    CHECK_BYTES(buffer, chunk.length, "after\n", 6);
    CHECK_INT(chunk.offset, 3 * 4096 + 1);
    CHECK_INT(hx_source_read(source, buffer, sizeof buffer, 0, &chunk), HX_EEND);
    CHECK_INT(hx_source_counters_get(source)->truncated_lines, 1);
    CHECK_INT(hx_source_counters_get(source)->inputs_open, 0);
    hx_source_destroy(source);
}

static void test_junk(void)
{
    static char junk[200000];
    uint32_t x = 1;

    for (size_t i = 0; i < sizeof junk; i++) {
        x = x * 1664525 + 1013904223;
        junk[i] = (char)(x >> 24);
    }
    file_write("junk.bin", junk, sizeof junk);
    take_files((const char *[]){"junk.bin"}, 1, NULL, &got);
    CHECK_BYTES(got.bytes, got.len, junk, sizeof junk);
}

/* The identity depends on the path and the first line, and on nothing else. */
static uint64_t identity_of(const char *name, const char *text)
{
    const char *const paths[] = {name};

    file_write(name, text, strlen(text));
    take_files(paths, 1, NULL, &got);
    return got.last.identity;
}

static void test_identity(void)
{
    uint64_t one = identity_of("id.log", "first line\n");

    CHECK(one == identity_of("id.log", "first line\nand more\n"));
    CHECK(unlink("id.log") == 0);
    CHECK(one == identity_of("id.log", "first line\nother\n"));
    CHECK(one != identity_of("id.log", "another first line\n"));
    CHECK(one != identity_of("id2.log", "first line\n"));
}

static void test_refused(void)
{
    static const struct {
        const char *path;
        bool follow;
        int want;
        const char *says;
    } cases[] = {
        {"not-there.log", false, HX_ENOTFOUND, "not-there.log: cannot be opened: No such file"},
        {"not-there.log", true, 0, ""},
        {"no-folder/x.log", true, 0, ""},
        {"a.log/x", false, HX_ENOTFOUND, "a.log/x: cannot be opened: Not a directory"},
        {"folder", false, HX_EINVAL, "folder: is a directory; name its files"},
        {"folder", true, HX_EINVAL, "folder: is a directory; name its files"},
        {"*.none", false, HX_ENOTFOUND, "*.none: no file matches"},
        {"*.none", true, 0, ""},
        {"", false, HX_EINVAL, "input 1: the path is empty"},
        {"locked.log", false, HX_EIO, "locked.log: cannot be read: Permission denied"},
    };

    CHECK(mkdir("folder", 0700) == 0);
    FILE_WRITE("locked.log", "x\n");
    CHECK(chmod("locked.log", 0) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_source_config config = {
            .paths = &cases[i].path, .path_count = 1, .follow = cases[i].follow};
        hx_source *source;
        hx_error err = {""};

        if (geteuid() == 0 && cases[i].want == HX_EIO)
            continue; /* root may read everything */
        CHECK_INT(hx_source_create(&config, &source, &err), cases[i].want);
        if (strncmp(err.text, cases[i].says, strlen(cases[i].says)) != 0) {
            fprintf(stderr, "says \"%s\", want \"%s\"\n", err.text, cases[i].says);
            exit(1);
        }
        hx_source_destroy(source);
    }
    CHECK_INT(hx_source_create(&(hx_source_config){0}, &(hx_source *){NULL}, NULL), HX_EINVAL);
}

int main(void)
{
    place_make();
    test_order_and_ends();
    test_long_lines();
    test_junk();
    test_identity();
    test_refused();
    return 0;
}
