#include "../check.h"

#include <haechi/control.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

static char folder[64], path[96];
static atomic_int answered;

static void echo(void *context, const char *line, size_t len, hx_text *out)
{
    hx_error err = {{0}};

    CHECK(context == &answered);
    atomic_fetch_add(&answered, 1);
    if (len == 4 && memcmp(line, "fail", 4) == 0)
        hx_control_put_result(out, hx_error_set(&err, HX_EINVAL, "it \"failed\""), &err);
    else if (len == 4 && memcmp(line, "mute", 4) == 0)
        hx_control_put_result(out, HX_EEND, &err);
    else
        hx_text_bytes(out, line, len);
    hx_text_str(out, "\n");
}

static struct sockaddr_un address_of(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    return address;
}

static int client_open(void)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* What comes until `want` bytes are there or the other side has closed. */
static size_t client_read(int fd, char *out, size_t want)
{
    size_t len = 0;

    while (len < want) {
        struct pollfd ready = {fd, POLLIN, 0};
        ssize_t n;

        CHECK_INT(poll(&ready, 1, 10000), 1);
        n = recv(fd, out + len, want - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

static void check_answers(int fd, const char *send_text, const char *want)
{
    char got[1024];

    CHECK_INT(send(fd, send_text, strlen(send_text), MSG_NOSIGNAL), strlen(send_text));
    CHECK_BYTES(got, client_read(fd, got, strlen(want)), want, strlen(want));
}

static void test_commands(void)
{
    hx_control *control;
    hx_error err = {{0}};
    struct stat st;
    int a, b;

    CHECK_INT(hx_control_create(path, echo, &answered, &control, &err), 0);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    a = client_open();
    b = client_open();
    check_answers(a, "one\n", "one\n");
    check_answers(b, "two\nthree\nfo", "two\nthree\n");
    check_answers(b, "ur\n", "four\n");
    check_answers(a, "\n", "\n");
    check_answers(a, "fail\n", "{\"ok\": false, \"error\": \"it \\\"failed\\\"\"}\n");
    check_answers(a, "mute\n", "{\"ok\": false, \"error\": \"");
    CHECK_INT(atomic_load(&answered), 7);
    hx_control_destroy(control);
    CHECK(stat(path, &st) != 0 && errno == ENOENT);
    close(a);
    close(b);
}

/* --- commands that take long -------------------------------------------------------------------
 */

static atomic_bool held;
static atomic_int let_go;

static bool is_slow(const char *line, size_t len)
{
    return len >= 4 && memcmp(line, "slow", 4) == 0;
}

/* A slow one takes until it is let go. */
static void echo_held(void *context, const char *line, size_t len, hx_text *out)
{
    const struct timespec ms = {0, 1000000};

    echo(context, line, len, out);
    while (is_slow(line, len) && atomic_load(&held))
        nanosleep(&ms, NULL);
    atomic_fetch_add(&let_go, is_slow(line, len));
}

static bool has_more(int fd)
{
    struct pollfd ready = {fd, POLLIN, 0};

    return poll(&ready, 1, 0) > 0;
}

static void test_slow_commands(void)
{
    hx_control *control;
    hx_error err = {{0}};
    char got[64];
    int a, b, c;

    CHECK_INT(hx_control_create_slow(path, echo_held, is_slow, &answered, &control, &err), 0);
    a = client_open();
    b = client_open();
    c = client_open();
    for (int turn = 0; turn < 50; turn++) {
        atomic_store(&held, true);
        CHECK_INT(send(a, "one\nslow a\ntwo\nslow a2\nthr", 26, MSG_NOSIGNAL), 26);
        CHECK_BYTES(got, client_read(a, got, 4), "one\n", 4);
        CHECK_INT(send(c, "slow c\n", 7, MSG_NOSIGNAL), 7);
        check_answers(b, "fast\n", "fast\n");
        check_answers(b, "again\n", "again\n");
        CHECK(!has_more(a) && !has_more(c));
        atomic_store(&held, false);
        CHECK_BYTES(got, client_read(a, got, 19), "slow a\ntwo\nslow a2\n", 19);
        CHECK_BYTES(got, client_read(c, got, 7), "slow c\n", 7);
        check_answers(a, "ee\n", "three\n");
    }
    /* One in hand when the end comes is answered; one that waits is not. */
    atomic_store(&held, true);
    CHECK_INT(send(a, "slow 1\n", 7, MSG_NOSIGNAL), 7);
    check_answers(b, "fast\n", "fast\n");
    CHECK_INT(send(b, "slow 2\n", 7, MSG_NOSIGNAL), 7);
    close(c);
    atomic_store(&held, false);
    CHECK_BYTES(got, client_read(a, got, 7), "slow 1\n", 7);
    hx_control_destroy(control);
    close(a);
    close(b);
}

/* A client that goes away while its command is in hand. */
static void test_gone_meanwhile(void)
{
    hx_control *control;
    hx_error err = {{0}};

    CHECK_INT(hx_control_create_slow(path, echo_held, is_slow, &answered, &control, &err), 0);
    for (int turn = 0; turn < 40; turn++) { /* more than there are places for */
        const int before = atomic_load(&let_go);
        int a = client_open();

        atomic_store(&held, true);
        CHECK_INT(send(a, "slow\nmore\n", 10, MSG_NOSIGNAL), 10);
        close(a);
        atomic_store(&held, false);
        while (atomic_load(&let_go) == before)
            sched_yield();
        a = client_open();
        check_answers(a, "still there\n", "still there\n");
        close(a);
    }
    hx_control_destroy(control);
}

/* A client that sends no newline is cut off and holds nobody up. */
static void test_endless_line(void)
{
    static char text[HX_CONTROL_LINE_MAX];
    hx_control *control;
    hx_error err = {{0}};
    char got[8];
    int a, b;

    CHECK_INT(hx_control_create(path, echo, &answered, &control, &err), 0);
    a = client_open();
    b = client_open();
    memset(text, 'x', sizeof text);
    CHECK_INT(send(a, text, sizeof text, MSG_NOSIGNAL), sizeof text);
    CHECK_INT(client_read(a, got, sizeof got), 0);
    check_answers(b, "still there\n", "still there\n");
    hx_control_destroy(control);
    close(a);
    close(b);
}

/* More clients than there is room for are closed, and a place is free again when one leaves. */
static void test_many_clients(void)
{
    hx_control *control;
    hx_error err = {{0}};
    int fds[17];
    char got[8];

    CHECK_INT(hx_control_create(path, echo, &answered, &control, &err), 0);
    for (int i = 0; i < 16; i++) {
        fds[i] = client_open();
        check_answers(fds[i], "in\n", "in\n");
    }
    fds[16] = client_open();
    CHECK_INT(client_read(fds[16], got, sizeof got), 0);
    close(fds[16]);
    close(fds[3]);
    for (int tries = 0;; tries++) { /* until the thread has seen that one left */
        fds[3] = client_open();
        if (send(fds[3], "in\n", 3, MSG_NOSIGNAL) == 3 && client_read(fds[3], got, 3) == 3)
            break;
        close(fds[3]);
        CHECK(tries < 1000);
    }
    hx_control_destroy(control);
    for (int i = 0; i < 16; i++)
        close(fds[i]);
}

static void test_path(void)
{
    struct sockaddr_un address = address_of(path);
    hx_control *control, *second = NULL;
    char longest[200];
    hx_error err = {{0}};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd); /* its name stays, as after a kill */
    CHECK_INT(hx_control_create(path, echo, &answered, &control, &err), 0);
    CHECK_INT(hx_control_create(path, echo, &answered, &second, &err), HX_EINVAL);
    CHECK(strstr(err.text, "is running") != NULL && second == NULL);
    CHECK_INT(access(path, F_OK), 0);
    hx_control_destroy(control);

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    CHECK_INT(hx_control_create(path, echo, &answered, &control, &err), HX_EINVAL);
    CHECK(strstr(err.text, "is not a socket") != NULL);
    CHECK_INT(unlink(path), 0);

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    CHECK_INT(hx_control_create(longest, echo, &answered, &control, &err), HX_EINVAL);
    CHECK(strstr(err.text, "is longer than") != NULL);
    CHECK_INT(hx_control_create("/nowhere/at/all", echo, &answered, &control, &err), HX_EIO);
    CHECK(strstr(err.text, "/nowhere/at/all") != NULL);
    hx_control_destroy(NULL);
}

int main(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/haechi-XXXXXX", base ? base : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/control", folder);
    test_commands();
    test_slow_commands();
    test_gone_meanwhile();
    test_endless_line();
    test_many_clients();
    test_path();
    CHECK_INT(rmdir(folder), 0);
    return 0;
}
