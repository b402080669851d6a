/* Positions: what was handed out before a restart is not handed out again, and nothing after it is
 * missed, whatever rotation did in between. */
#include "place.h"

#include <time.h>

static taken got;
static const char *const logs[] = {"p.log"};

/* Reads want bytes of p.log (0: all there is), then stops, as a process that is ended does. */
static char *read_and_stop(const char *position, size_t want, const char *text)
{
    hx_source *s = source_open(logs, 1, true, false);
    char *json;
    size_t len;

    if (position)
        CHECK_INT(hx_source_position_load(s, position, strlen(position), NULL), 0);
    take(s, 30, want, &got);
    CHECK_BYTES(got.bytes, got.len, text, strlen(text));
    CHECK_INT(hx_source_position_save(s, &json, &len), 0);
    CHECK_INT(strlen(json), len);
    hx_source_destroy(s);
    return json;
}

static const char first_lines[] = "the first line of the file, long enough to know it by\nsecond\n";

/* What happened while nobody read, and what must come then. */
static void nothing(void)
{
}

static void grown(void)
{
    FILE_APPEND("p.log", "third\n");
}

static void renamed(void)
{
    FILE_APPEND("p.log", "third\n");
    CHECK(rename("p.log", "p.log.1") == 0);
    FILE_WRITE("p.log", "new first\n");
}

static void renamed_and_none_new(void)
{
    FILE_APPEND("p.log", "third\n");
    CHECK(rename("p.log", "p.log.1") == 0);
}

static void copied_and_truncated(void)
{
    FILE_APPEND("p.log", "third\n");
    CHECK(system("cp p.log p.log.1") == 0);
    FILE_WRITE("p.log", "new first\n");
}

static void truncated_and_grown(void)
{
    FILE_WRITE("p.log", "a new first line, and it is longer than all that was there before it was "
                        "truncated, so that its size does not tell\n");
}

static void rotated_twice(void)
{
    FILE_WRITE("p.log.0", "of long ago\n"); /* older than what was read: none of our business */
    FILE_APPEND("p.log", "third\n");
    CHECK(rename("p.log", "p.log.2") == 0);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* file times have coarse steps */
    FILE_WRITE("p.log.1", "came and went\n");
    FILE_WRITE("p.log.1.gz", "not text\n");
    FILE_WRITE("p.log.lock", "not a log\n");
    FILE_WRITE("p.log", "new first\n");
}

static void deleted(void)
{
    CHECK(unlink("p.log") == 0);
    FILE_WRITE("p.log", "new first\n");
}

static const struct {
    void (*change)(void);
    const char *want;
} changes[] = {
    {nothing, ""},
    {grown, "third\n"},
    {renamed, "third\nnew first\n"},
    {renamed_and_none_new, "third\n"},
    {copied_and_truncated, "third\nnew first\n"},
    {truncated_and_grown,
     "a new first line, and it is longer than all that was there before it was "
     "truncated, so that its size does not tell\n"},
    {deleted, "new first\n"},
    {rotated_twice, "third\ncame and went\nnew first\n"},
};

static void test_changes(void)
{
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *before, *after;

        CHECK(system("rm -f p.log*") == 0);
        file_write("p.log", first_lines, sizeof first_lines - 1);
        before = read_and_stop(NULL, 0, first_lines);
        changes[i].change();
        after = read_and_stop(before, 0, changes[i].want);
        free(read_and_stop(after, 0, "")); /* all of it is in the new position */
        free(after);
        /* Read to the end, not followed: the same. */
        if (changes[i].change != renamed_and_none_new) {
            take_files(logs, 1, before, &got);
            CHECK_BYTES(got.bytes, got.len, changes[i].want, strlen(changes[i].want));
        }
        free(before);
    }
}

/* Stopped while a rotated file is still being read, with the new one begun. */
static void test_two_generations(void)
{
    const char *const paths[] = {"p.log"};
    hx_source *s;
    char *json;
    size_t len;

    CHECK(system("rm -f p.log*") == 0);
    FILE_WRITE("p.log", "old one\n");
    s = source_open(paths, 1, true, false);
    take(s, 30, 0, &got);
    CHECK(rename("p.log", "p.log.1") == 0);
    FILE_WRITE("p.log", "new one\n");
    take(s, 30, 0, &got);
    CHECK_TAKEN(&got, "new one\n");
    CHECK_INT(hx_source_position_save(s, &json, &len), 0);
    hx_source_destroy(s);
    for (int turn = 0; turn < 2; turn++) { /* in whatever order the next position names them */
        char *again;
        FILE_APPEND("p.log.1", "old late\n");
        FILE_APPEND("p.log", "new late\n");
        again = read_and_stop(json, 0, "old late\nnew late\n");
        free(json);
        json = again;
    }
    free(json);
}

/* from_end is for the first start only: what came while nobody read is read from its start. */
static void test_from_end(void)
{
    const char *const paths[] = {"p.log*"};
    hx_source_config config = {.paths = paths, .path_count = 1, .follow = true, .from_end = true};
    hx_source *s;
    char *json;
    size_t len;

    CHECK(system("rm -f p.log*") == 0);
    FILE_WRITE("p.log", "old\n");
    CHECK_INT(hx_source_create(&config, &s, NULL), 0);
    take(s, 30, 0, &got);
    CHECK_INT(got.len, 0);
    CHECK_INT(hx_source_position_save(s, &json, &len), 0);
    hx_source_destroy(s);
    FILE_APPEND("p.log", "grown\n");
    FILE_WRITE("p.log-b", "came\n");
    CHECK_INT(hx_source_create(&config, &s, NULL), 0);
    CHECK_INT(hx_source_position_load(s, json, len, NULL), 0);
    take(s, 30, 0, &got);
    CHECK_TAKEN(&got, "grown\ncame\n");
    hx_source_destroy(s);
    free(json);
}

static void test_cut_line(void)
{
    static char text[100000], buffer[4096];
    hx_source *s;
    hx_chunk chunk;
    char *json;
    size_t len;

    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 7, "\nafter\n", 7);
    file_write("p.log", text, sizeof text);
    s = source_open(logs, 1, false, false);
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 0, &chunk), 0);
    CHECK_INT(hx_source_position_save(s, &json, &len), 0);
    hx_source_destroy(s);
    take_files(logs, 1, json, &got);
    CHECK_TAKEN(&got, "after\n"); /* not the rest of the cut line */
    free(json);
}

/* An alert's id hangs on the identity: the same after a restart, and under the rotated name. */
static void test_identity(void)
{
    uint64_t identity;
    char *before;

    CHECK(system("rm -f p.log*") == 0);
    file_write("p.log", first_lines, sizeof first_lines - 1);
    before = read_and_stop(NULL, 0, first_lines);
    identity = got.last.identity;
    renamed();
    free(read_and_stop(before, 6, "third\n"));
    CHECK(got.last.identity == identity);
    CHECK_INT(got.last.offset, sizeof first_lines - 1);
    free(before);
}

static void test_refused(void)
{
    static const struct {
        const char *json;
        int want;
        const char *says;
    } cases[] = {
        {"", HX_EMALFORMED, "position: not a JSON array"},
        {"{}", HX_EMALFORMED, "position: not a JSON array"},
        {"[7]", HX_EMALFORMED, "position: an entry lacks"},
        {"[{\"path\":\"p.log\",\"device\":\"1\",\"inode\":\"1\",\"fingerprint\":\"9:0\",\"offset\":"
         "5}]",
         HX_EMALFORMED, "position: an entry lacks"},
        {"[{\"path\":\"p.log\",\"device\":\"1\",\"inode\":\"1\",\"fingerprint\":\"5:0\",\"offset\":"
         "5}]",
         0, "no longer there, so not read on: p.log"},
        {"[{\"path\":\"q.log\",\"device\":\"1\",\"inode\":\"1\",\"fingerprint\":\"0:0\",\"offset\":"
         "0}]",
         0, "no longer there, so not read on: q.log"},
        {"[]", 0, ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_source *s = source_open(logs, 1, true, false);
        hx_error err = {""};

        CHECK_INT(hx_source_position_load(s, cases[i].json, strlen(cases[i].json), &err),
                  cases[i].want);
        if (strncmp(err.text, cases[i].says, strlen(cases[i].says)) != 0) {
            fprintf(stderr, "says \"%s\", want \"%s\"\n", err.text, cases[i].says);
            exit(1);
        }
        hx_source_destroy(s);
    }
}

int main(void)
{
    place_make();
    place_rotate_wait_ms = 60000;
    test_changes();
    test_two_generations();
    test_from_end();
    test_cut_line();
    test_identity();
    test_refused();
    return 0;
}
