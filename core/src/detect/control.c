/* The control socket: one JSON object a line each way, from the engine's own user or root only. */
#include "detect/engine_parts.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX       16
#define COMMAND_BYTES_MAX 16384

typedef struct client {
    int fd; /* -1: free */
    size_t len;
    char text[COMMAND_BYTES_MAX];
} client;

static void answer_error(hx_text *out, const char *sentence)
{
    hx_text_str(out, "{\"ok\": false");
    hx_text_json_key(out, "error");
    hx_text_json_string(out, hx_slice_str(sentence));
    hx_text_str(out, "}");
}

static void answer(hx_text *out, int rc, const hx_error *err)
{
    if (rc)
        answer_error(out, err->text[0] ? err->text : hx_strerror(rc));
    else
        hx_text_str(out, "{\"ok\": true}");
}

static void do_load_bundle(hx_engine *e, const cJSON *command, hx_text *out)
{
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "path"));
    hx_error err = {{0}};
    int rc;

    if (!path) {
        answer_error(out, "load_bundle: \"path\" is needed: the bundle's directory");
        return;
    }
    rc = hx_engine_load_bundle(e, path, &err);
    if (rc) {
        answer(out, rc, &err);
        return;
    }
    hx_text_str(out, "{\"ok\": true");
    hx_text_json_key(out, "bundle");
    hx_text_json_string(out, hx_slice_str(atomic_load(&e->bundle)->digest));
    hx_text_str(out, "}");
}

static void do_stats(hx_engine *e, hx_text *out)
{
    hx_text_str(out, "{\"ok\": true, \"stats\": ");
    hx_engine_summary(e, out);
    hx_text_str(out, "}");
}

static void execute(hx_engine *e, const char *name, const cJSON *command, hx_text *out)
{
    hx_error err = {{0}};
    int rc = 0;

    if (strcmp(name, "stats") == 0) {
        do_stats(e, out);
        return;
    }
    if (strcmp(name, "load_bundle") == 0) {
        do_load_bundle(e, command, out);
        return;
    }
    if (strcmp(name, "pause") == 0)
        hx_engine_pause(e, true);
    else if (strcmp(name, "resume") == 0)
        hx_engine_pause(e, false);
    else if (strcmp(name, "checkpoint") == 0)
        rc = hx_engine_checkpoint(e, &err);
    else if (strcmp(name, "stop") == 0)
        hx_engine_stop(e);
    else
        rc = hx_error_set(&err, HX_EINVAL,
                          "\"%.40s\" is not stats, load_bundle, pause, resume, checkpoint or stop",
                          name);
    answer(out, rc, &err);
}

void hx_control_answer(hx_engine *engine, const char *line, size_t len, hx_text *out)
{
    cJSON *command = cJSON_ParseWithLength(line, len);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "command"));

    if (name)
        execute(engine, name, command, out);
    else
        answer_error(out, "a JSON object with a \"command\" is needed");
    hx_text_str(out, "\n");
    cJSON_Delete(command);
}

static void handle_line(hx_engine *e, client *c, const char *line, size_t len)
{
    hx_text out = {0};

    hx_control_answer(e, line, len, &out);
    /* A client that does not read its answers loses them and its connection, not the engine's time.
     */
    if (out.failed ||
        send(c->fd, out.ptr, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)out.len) {
        close(c->fd);
        c->fd = -1;
    }
    hx_text_free(&out);
}

static void read_client(hx_engine *e, client *c)
{
    ssize_t n = recv(c->fd, c->text + c->len, sizeof c->text - c->len, MSG_DONTWAIT);
    char *newline;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->len += (size_t)n;
    while (n > 0 && c->fd >= 0 && (newline = memchr(c->text, '\n', c->len)) != NULL) {
        size_t used = (size_t)(newline - c->text) + 1;

        handle_line(e, c, c->text, used - 1);
        memmove(c->text, c->text + used, c->len - used);
        c->len -= used;
    }
    if (c->fd >= 0 && (n <= 0 || c->len == sizeof c->text)) {
        close(c->fd);
        c->fd = -1;
    }
}

static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void accept_client(hx_engine *e, client *clients)
{
    int fd = accept4(e->control_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (clients[i].fd < 0 && is_allowed(fd)) {
            clients[i].fd = fd;
            clients[i].len = 0;
            return;
        }
    }
    close(fd);
}

static void *control(void *arg)
{
    hx_engine *e = arg;
    client *clients = calloc(CLIENTS_MAX, sizeof *clients);
    struct pollfd fds[CLIENTS_MAX + 2];

    for (int i = 0; clients && i < CLIENTS_MAX; i++)
        clients[i].fd = -1;
    while (clients) {
        fds[0] = (struct pollfd){e->control_wake[0], POLLIN, 0};
        fds[1] = (struct pollfd){e->control_fd, POLLIN, 0};
        for (int i = 0; i < CLIENTS_MAX; i++)
            fds[i + 2] = (struct pollfd){clients[i].fd, POLLIN, 0};
        if (poll(fds, CLIENTS_MAX + 2, -1) < 0 && errno != EINTR)
            break;
        if (fds[0].revents)
            break;
        for (int i = 0; i < CLIENTS_MAX; i++)
            if (clients[i].fd >= 0 && fds[i + 2].revents)
                read_client(e, &clients[i]);
        if (fds[1].revents)
            accept_client(e, clients);
    }
    for (int i = 0; clients && i < CLIENTS_MAX; i++)
        if (clients[i].fd >= 0)
            close(clients[i].fd);
    free(clients);
    return NULL;
}

/* A socket left by a run that was killed is in the way; one that answers belongs to a running
 * engine. */
static int clear_path(const char *path, const struct sockaddr_un *address, hx_error *err)
{
    struct stat st;
    int fd, rc = 0;

    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return hx_error_set(err, HX_EINVAL, "control_socket: %s exists and is not a socket", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        rc = hx_error_set(err, HX_EINVAL, "control_socket: %s belongs to an engine that is running",
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

int hx_control_start(hx_engine *engine, hx_error *err)
{
    const char *path = engine->config.control_socket;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int rc;

    if (strlen(path) >= sizeof address.sun_path)
        return hx_error_set(err, HX_EINVAL, "control_socket: %s is longer than %zu bytes", path,
                            sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    rc = clear_path(path, &address, err);
    if (rc)
        return rc;
    engine->control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mask = umask(0177);
    rc = engine->control_fd < 0 ||
         bind(engine->control_fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
         listen(engine->control_fd, SOMAXCONN) != 0 || pipe2(engine->control_wake, O_CLOEXEC) != 0;
    umask(mask);
    if (rc || pthread_create(&engine->control_thread, NULL, control, engine) != 0)
        return hx_error_set(err, HX_EIO, "control_socket: %s: %s", path, strerror(errno));
    engine->control_started = true;
    return 0;
}

void hx_control_stop(hx_engine *engine)
{
    if (engine->control_started) {
        (void)!write(engine->control_wake[1], "q", 1);
        pthread_join(engine->control_thread, NULL);
        unlink(engine->config.control_socket);
        engine->control_started = false;
    }
    for (int i = 0; i < 2; i++)
        if (engine->control_wake[i] >= 0)
            close(engine->control_wake[i]);
    if (engine->control_fd >= 0)
        close(engine->control_fd);
    engine->control_fd = engine->control_wake[0] = engine->control_wake[1] = -1;
}
