#include <haechi/control.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX 16

typedef struct client {
    int fd; /* -1: free */
    size_t len;
    char text[HX_CONTROL_LINE_MAX];
} client;

struct hx_control {
    hx_control_answer_fn answer;
    void *context;
    struct sockaddr_un address;
    int fd, wake[2];
    bool bound, started;
    pthread_t thread;
    client clients[CLIENTS_MAX];
};

/* --- answers -----------------------------------------------------------------------------------
 */

void hx_control_put_error(hx_text *out, const char *sentence)
{
    hx_text_str(out, "{\"ok\": false");
    hx_text_json_key(out, "error");
    hx_text_json_string(out, hx_slice_str(sentence));
    hx_text_str(out, "}");
}

void hx_control_put_result(hx_text *out, int rc, const hx_error *err)
{
    if (rc)
        hx_control_put_error(out, err->text[0] ? err->text : hx_strerror(rc));
    else
        hx_text_str(out, "{\"ok\": true}");
}

/* --- clients -----------------------------------------------------------------------------------
 */

static void drop_client(client *c)
{
    close(c->fd);
    c->fd = -1;
}

static void handle_line(hx_control *control, client *c, size_t len)
{
    hx_text out = {0};

    control->answer(control->context, c->text, len, &out);
    /* A client that does not read its answers loses them and its connection, not the tool's time.
     */
    if (out.failed ||
        send(c->fd, out.ptr, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)out.len)
        drop_client(c);
    hx_text_free(&out);
}

static void read_client(hx_control *control, client *c)
{
    ssize_t n = recv(c->fd, c->text + c->len, sizeof c->text - c->len, MSG_DONTWAIT);
    char *newline;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->len += (size_t)n;
    while (n > 0 && c->fd >= 0 && (newline = memchr(c->text, '\n', c->len)) != NULL) {
        size_t used = (size_t)(newline - c->text) + 1;

        handle_line(control, c, used - 1);
        memmove(c->text, c->text + used, c->len - used);
        c->len -= used;
    }
    if (c->fd >= 0 && (n <= 0 || c->len == sizeof c->text))
        drop_client(c);
}

static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void accept_client(hx_control *control)
{
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    for (int i = 0; i < CLIENTS_MAX; i++) {
        client *c = &control->clients[i];

        if (c->fd < 0 && is_allowed(fd)) {
            c->fd = fd;
            c->len = 0;
            return;
        }
    }
    close(fd);
}

static void *serve(void *arg)
{
    hx_control *control = arg;
    struct pollfd fds[CLIENTS_MAX + 2];

    for (;;) {
        fds[0] = (struct pollfd){control->wake[0], POLLIN, 0};
        fds[1] = (struct pollfd){control->fd, POLLIN, 0};
        for (int i = 0; i < CLIENTS_MAX; i++)
            fds[i + 2] = (struct pollfd){control->clients[i].fd, POLLIN, 0};
        if (poll(fds, CLIENTS_MAX + 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            break;
        }
        if (fds[0].revents)
            break;
        for (int i = 0; i < CLIENTS_MAX; i++)
            if (control->clients[i].fd >= 0 && fds[i + 2].revents)
                read_client(control, &control->clients[i]);
        if (fds[1].revents)
            accept_client(control);
    }
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------
 */

/* A socket left by a run that was killed is in the way; one that answers belongs to a running one.
 */
static int clear_path(const struct sockaddr_un *address, hx_error *err)
{
    const char *path = address->sun_path;
    struct stat st;
    int fd, rc = 0;

    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return hx_error_set(err, HX_EINVAL, "control_socket: %s exists and is not a socket", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        rc = hx_error_set(err, HX_EINVAL, "control_socket: %s belongs to a program that is running",
                          path);
    else if (errno == ECONNREFUSED)
        unlink(path);
    else /* another kind of socket, or not ours: somebody else's */
        rc = hx_error_set(err, HX_EINVAL, "control_socket: %s is in the way: %s", path,
                          strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

static int listen_at(hx_control *control, hx_error *err)
{
    const struct sockaddr *address = (const struct sockaddr *)&control->address;
    mode_t mask;

    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mask = umask(0177);
    control->bound = control->fd >= 0 && bind(control->fd, address, sizeof control->address) == 0;
    umask(mask);
    if (!control->bound || listen(control->fd, SOMAXCONN) != 0 ||
        pipe2(control->wake, O_CLOEXEC) != 0)
        return hx_error_set(err, HX_EIO, "control_socket: %s: %s", control->address.sun_path,
                            strerror(errno));
    return 0;
}

int hx_control_create(const char *path, hx_control_answer_fn answer, void *context,
                      hx_control **out, hx_error *err)
{
    hx_control *control = calloc(1, sizeof *control);
    int rc;

    if (!control)
        return HX_ENOMEM;
    control->answer = answer;
    control->context = context;
    control->address.sun_family = AF_UNIX;
    control->fd = control->wake[0] = control->wake[1] = -1;
    for (int i = 0; i < CLIENTS_MAX; i++)
        control->clients[i].fd = -1;
    if (strlen(path) >= sizeof control->address.sun_path) {
        rc = hx_error_set(err, HX_EINVAL, "control_socket: %s is longer than %zu bytes", path,
                          sizeof control->address.sun_path - 1);
        goto fail;
    }
    memcpy(control->address.sun_path, path, strlen(path) + 1);
    rc = clear_path(&control->address, err);
    if (!rc)
        rc = listen_at(control, err);
    if (rc)
        goto fail;
    rc = pthread_create(&control->thread, NULL, serve, control);
    if (rc) {
        rc = hx_error_set(err, HX_EIO, "control_socket: %s: %s", path, strerror(rc));
        goto fail;
    }
    control->started = true;
    *out = control;
    return 0;
fail:
    hx_control_destroy(control);
    return rc;
}

void hx_control_destroy(hx_control *control)
{
    if (!control)
        return;
    if (control->started) {
        (void)!write(control->wake[1], "q", 1);
        pthread_join(control->thread, NULL);
    }
    if (control->bound)
        unlink(control->address.sun_path);
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (control->clients[i].fd >= 0)
            close(control->clients[i].fd);
    for (int i = 0; i < 2; i++)
        if (control->wake[i] >= 0)
            close(control->wake[i]);
    if (control->fd >= 0)
        close(control->fd);
    free(control);
}
