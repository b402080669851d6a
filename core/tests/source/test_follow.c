/* Files followed: growth, rotation by renaming and by copying, globs, many files, waking; all of it
 * with inotify and by polling. No line is lost or doubled. */
#include "place.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

static taken got;
static bool polling;

#define QUIET_MS 60

static hx_source *follow(const char *name)
{
    return source_open(&name, 1, true, polling);
}

static void test_growth(void)
{
    hx_source *s;

    FILE_WRITE("grow.log", "one\ntw");
    s = follow("grow.log");
    take(s, QUIET_MS, 0, &got);
    CHECK_INT(got.rc, HX_EAGAIN);
    CHECK_TAKEN(&got, "one\n");
    FILE_APPEND("grow.log", "o\nthree");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "two\n");
    CHECK_INT(got.last.offset, 4);
    FILE_APPEND("grow.log", "\n");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "three\n");
    hx_source_destroy(s);
}

static void test_from_end(void)
{
    const char *const paths[] = {"end.log"};
    hx_source_config config = {.paths = paths,
                               .path_count = 1,
                               .follow = true,
                               .from_end = true,
                               .polling = polling,
                               .poll_ms = 10};
    hx_source *s;

    FILE_WRITE("end.log", "old\nbegun ");
    CHECK_INT(hx_source_create(&config, &s, NULL), 0);
    FILE_APPEND("end.log", "before\nnew\n");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "new\n");
    hx_source_destroy(s);
}

static void test_rename(void)
{
    hx_source *s;
    uint64_t identity;

    FILE_WRITE("r.log", "1\n");
    s = follow("r.log");
    take(s, QUIET_MS, 0, &got);
    identity = got.last.identity;
    FILE_APPEND("r.log", "2\n");
    CHECK(rename("r.log", "r.log.1") == 0);
    FILE_APPEND("r.log.1", "3\n");
    FILE_WRITE("r.log", "4\n");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "2\n3\n4\n"); /* the old one's first */
    CHECK(got.last.identity != identity);
    CHECK_INT(got.last.input, 0);
    FILE_APPEND("r.log.1", "late without newline");
    FILE_APPEND("r.log", "5\n");
    take_until_open(s, 1, &got);
    CHECK_TAKEN(&got, "5\nlate without newline");
    CHECK_INT(hx_source_counters_get(s)->rotations, 1);
    CHECK_INT(hx_source_counters_get(s)->inputs_open, 1);
    hx_source_destroy(s);
}

static bool births_are_known(void)
{
    struct statx st;

    FILE_WRITE("born", "");
    return statx(AT_FDCWD, "born", 0, STATX_BTIME, &st) == 0 && (st.stx_mask & STATX_BTIME);
}

/* Renamed again before anybody looked: the files in between are read, in their order, and those
 * that were read before are not read again. */
static void test_renamed_faster_than_looked(void)
{
    char name[32], line[32], want[512] = "";
    hx_source *s;

    if (!births_are_known())
        return;
    FILE_WRITE("f.log", "first\n");
    FILE_WRITE("f.log.0", "a copy, before the original was cut\n");
    nanosleep(&(struct timespec){.tv_nsec = 12000000}, NULL); /* a clock's tick of the files */
    FILE_WRITE("f.log", "first\n");
    s = follow("f.log");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "first\n");
    for (int turn = 1; turn < 12; turn++) {
        snprintf(name, sizeof name, "f.log.%d", turn);
        snprintf(line, sizeof line, "line %d\n", turn);
        file_append("f.log", line, strlen(line));
        strcat(want, line);
        if (turn % 4 == 0) {
            take(s, QUIET_MS, strlen(want), &got);
            CHECK_BYTES(got.bytes, got.len, want, strlen(want));
            want[0] = '\0';
        }
        nanosleep(&(struct timespec){.tv_nsec = 12000000}, NULL);
        CHECK(rename("f.log", name) == 0);
        file_write("f.log", "", 0);
    }
    FILE_APPEND("f.log", "last\n");
    strcat(want, "last\n");
    take(s, QUIET_MS, strlen(want), &got);
    CHECK_BYTES(got.bytes, got.len, want, strlen(want));
    take_until_open(s, 1, &got);
    CHECK_INT(got.len, 0);
    CHECK_INT(hx_source_counters_get(s)->inputs_open, 1);
    hx_source_destroy(s);
}

static void test_delete_and_return(void)
{
    hx_source *s = follow("d.log");

    take(s, QUIET_MS, 0, &got);
    CHECK_INT(got.len, 0);
    FILE_WRITE("d.log", "here\n");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "here\n");
    FILE_APPEND("d.log", "last words\n");
    CHECK(unlink("d.log") == 0);
    take_until_open(s, 0, &got);
    CHECK_TAKEN(&got, "last words\n");
    CHECK_INT(hx_source_counters_get(s)->inputs_open, 0);
    FILE_WRITE("d.log", "again\n");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "again\n");
    hx_source_destroy(s);
}

static void test_truncate(void)
{
    hx_source *s;

    FILE_WRITE("t.log", "1 one\n2 two\n");
    s = follow("t.log");
    take(s, QUIET_MS, 0, &got);
    FILE_WRITE("t.log", "3\n"); /* shorter than before */
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "3\n");
    CHECK_INT(got.last.offset, 0);
    FILE_WRITE("t.log", "4 and longer than what was there\n"); /* past the old offset again */
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "4 and longer than what was there\n");
    CHECK_INT(hx_source_counters_get(s)->truncations, 2);
    hx_source_destroy(s);
}

static void test_glob(void)
{
    hx_source *s;

    FILE_WRITE("g1.txt", "g1\n");
    s = follow("g*.txt*");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "g1\n");
    FILE_WRITE("g2.txt", "g2\n");
    FILE_WRITE("other.txt", "not ours\n");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "g2\n");
    CHECK_BYTES("g2.txt", 6, hx_source_input_name(s, got.last.input), 6);
    /* The new name fits the glob too: the same file is not read twice. */
    CHECK(rename("g1.txt", "g1.txt.1") == 0);
    FILE_WRITE("g1.txt", "g1 new\n");
    take(s, QUIET_MS, 0, &got);
    CHECK_TAKEN(&got, "g1 new\n");
    CHECK(rename("g1.txt.1", "g1.txt.2") == 0);
    CHECK(rename("g1.txt", "g1.txt.1") == 0);
    FILE_APPEND("g1.txt.2", "g1 late\n");
    take(s, 10000, 8, &got);
    CHECK_TAKEN(&got, "g1 late\n");
    hx_source_destroy(s);
}

/* --- a storm of rotations -------------------------------------------------------------------- */

#define STORM_LINES 60000

static atomic_size_t storm_read;

/* Lines go on into the old file for a while after its renaming. The next renaming waits until the
 * new file was seen: one that comes and goes in between can be told from others by its birth alone,
 * and a late line of the file before hides that. */
static void *write_and_rename(void *unused)
{
    char name[64], line[32];
    FILE *out = fopen("s.log", "a");
    size_t written = 0;
    int turn = 0;

    for (int i = 0; i < STORM_LINES; i++) {
        int len = snprintf(line, sizeof line, "line %d\n", i);
        written += fwrite(line, 1, (size_t)len, out);
        if (i % 3000 == 1500) {
            fflush(out);
            snprintf(name, sizeof name, "s.log.%d", ++turn);
            CHECK(rename("s.log", name) == 0);
        }
        if (i % 3000 == 1600) {
            fclose(out);
            out = fopen("s.log", "a");
        }
        if (i % 3000 == 1700) {
            fflush(out);
            while (atomic_load(&storm_read) < written)
                nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
    fclose(out);
    return unused;
}

static void test_rename_storm(void)
{
    static char bytes[STORM_LINES * 16], buffer[16384];
    size_t want = 0, len = 0;
    const char *p = bytes;
    hx_source *s;
    hx_chunk chunk;
    pthread_t writer;

    for (int i = 0; i < STORM_LINES; i++)
        want += (size_t)snprintf(buffer, sizeof buffer, "line %d\n", i);
    FILE_WRITE("s.log", "");
    s = follow("s.log");
    atomic_store(&storm_read, 0);
    CHECK(pthread_create(&writer, NULL, write_and_rename, NULL) == 0);
    while (len < want) {
        CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 10000, &chunk), 0);
        CHECK(len + chunk.length <= sizeof bytes);
        memcpy(bytes + len, buffer, chunk.length);
        len += chunk.length;
        atomic_store(&storm_read, len);
    }
    pthread_join(writer, NULL);
    for (int i = 0; i < STORM_LINES; i++) {
        char line[32];
        int line_len = snprintf(line, sizeof line, "line %d\n", i);
        CHECK_BYTES(p, line_len, line, line_len);
        p += line_len;
    }
    take_until_open(s, 1, &got); /* and nothing twice, when the old ones are closed */
    CHECK_INT(got.len, 0);
    CHECK_INT(hx_source_counters_get(s)->rotations, STORM_LINES / 3000);
    hx_source_destroy(s);
}

/* Copy and truncate lose what is written between the two; here nobody writes then. */
static void test_truncate_storm(void)
{
    hx_source *s = follow("c.log");
    int wanted = 0;

    for (int turn = 0; turn < 30; turn++) {
        char text[4096];
        size_t len = 0;
        int lines = turn % 5 * 20 + 1;

        for (int i = 0; i < lines; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "turn %d line %d\n", turn, i);
        file_write("c.log", text, len);
        take(s, QUIET_MS * 10, len, &got);
        CHECK_BYTES(got.bytes, got.len, text, len);
        wanted += turn > 0;
    }
    CHECK_INT(hx_source_counters_get(s)->truncations, wanted);
    hx_source_destroy(s);
}

static void test_many_files(void)
{
    hx_source *s;
    char name[32];
    size_t want = 0;

    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "m%d.many", i);
        FILE_WRITE(name, "begin\n");
    }
    s = follow("m*.many");
    take(s, QUIET_MS, 0, &got);
    CHECK_INT(got.len, 300 * 6);
    for (int i = 0; i < 300; i += 3, want += 5) {
        snprintf(name, sizeof name, "m%d.many", i);
        FILE_APPEND(name, "more\n");
    }
    take(s, QUIET_MS * 10, want, &got);
    CHECK_INT(got.len, want);
    hx_source_destroy(s);
}

static void *wake_soon(void *source)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    hx_source_wake(source);
    return NULL;
}

static void test_wake(void)
{
    hx_source *s = follow("nothing.log");
    char buffer[4096];
    hx_chunk chunk;
    pthread_t waker;

    CHECK(pthread_create(&waker, NULL, wake_soon, s) == 0);
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, -1, &chunk), HX_EAGAIN);
    pthread_join(waker, NULL);
    hx_source_wake(s); /* before the wait: the next one ends at once */
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, -1, &chunk), HX_EAGAIN);
    CHECK_INT(hx_source_read(s, buffer, sizeof buffer, 0, &chunk), HX_EAGAIN);
    hx_source_destroy(s);
}

static void test_all(void)
{
    test_growth();
    test_from_end();
    test_rename();
    test_renamed_faster_than_looked();
    test_delete_and_return();
    test_truncate();
    test_glob();
    test_rename_storm();
    test_truncate_storm();
    test_many_files();
    test_wake();
}

int main(void)
{
    place_make();
    test_all();
    polling = true;
    CHECK(system("rm -f *") == 0);
    test_all();
    return 0;
}
