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

/* What was woken up for. */
#define WAKE_QUIT 'q'
#define WAKE_DONE 'd' /* a command that took long is answered */

typedef struct client {
    int fd;    /* -1: free */
    bool busy; /* with a command that takes long; the first thread's, which leaves it alone then */
    bool answered;    /* that command has been; under the lane's lock */
    bool failed;      /* it did not take that answer */
    size_t len, used; /* of the text, and of it by that command */
    char text[HX_CONTROL_LINE_MAX];
} client;

/* Commands that take long, in the order they came. */
typedef struct slow_lane {
    hx_control_slow_fn is_slow; /* NULL: none does */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started, quit;
    client *queue[CLIENTS_MAX]; /* one of each client at most */
    uint32_t count;
} slow_lane;

struct hx_control {
    hx_control_answer_fn answer;
    void *context;
    struct sockaddr_un address;
    int fd, wake[2];
    bool bound, started;
    pthread_t thread;
    slow_lane lane;
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

/* False where the client did not take the answer: one that does not read its answers loses them and
 * its connection, not the tool's time. */
static bool answer_line(hx_control *control, const client *c, size_t len)
{
    hx_text out = {0};
    bool taken;

    control->answer(control->context, c->text, len, &out);
    taken = !out.failed &&
            send(c->fd, out.ptr, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)out.len;
    hx_text_free(&out);
    return taken;
}

static void queue_slow(hx_control *control, client *c)
{
    slow_lane *lane = &control->lane;

    c->busy = true;
    pthread_mutex_lock(&lane->lock);
    c->answered = false;
    lane->queue[lane->count++] = c;
    pthread_cond_signal(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
}

static void leave_behind(client *c, size_t used)
{
    memmove(c->text, c->text + used, c->len - used);
    c->len -= used;
}

/* The whole lines that are there, up to one that takes long. */
static void take_lines(hx_control *control, client *c)
{
    char *newline;

    while ((newline = memchr(c->text, '\n', c->len)) != NULL) {
        c->used = (size_t)(newline - c->text) + 1;
        if (control->lane.is_slow && control->lane.is_slow(c->text, c->used - 1)) {
            queue_slow(control, c);
            return;
        }
        if (!answer_line(control, c, c->used - 1)) {
            drop_client(c);
            return;
        }
        leave_behind(c, c->used);
    }
    if (c->len == sizeof c->text)
        drop_client(c);
}

static void read_client(hx_control *control, client *c)
{
    ssize_t n = recv(c->fd, c->text + c->len, sizeof c->text - c->len, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop_client(c);
        return;
    }
    c->len += (size_t)n;
    take_lines(control, c);
}

/* --- commands that take long -------------------------------------------------------------------
 */

static void *answer_slow(void *arg)
{
    hx_control *control = arg;
    slow_lane *lane = &control->lane;

    pthread_mutex_lock(&lane->lock);
    for (;;) {
        client *c;
        bool taken;

        while (!lane->count && !lane->quit)
            pthread_cond_wait(&lane->changed, &lane->lock);
        if (lane->quit)
            break;
        c = lane->queue[0];
        pthread_mutex_unlock(&lane->lock);
        taken = answer_line(control, c, c->used - 1);
        pthread_mutex_lock(&lane->lock);
        memmove(lane->queue, lane->queue + 1, --lane->count * sizeof lane->queue[0]);
        c->failed = !taken;
        c->answered = true;
        (void)!write(control->wake[1], &(char){WAKE_DONE}, 1);
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

static bool is_answered(hx_control *control, const client *c)
{
    bool answered;

    pthread_mutex_lock(&control->lane.lock);
    answered = c->answered;
    pthread_mutex_unlock(&control->lane.lock);
    return answered;
}

/* Goes on with the clients whose command is answered now. */
static void go_on(hx_control *control)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        client *c = &control->clients[i];

        if (!c->busy || !is_answered(control, c))
            continue;
        c->busy = false;
        if (c->failed) {
            drop_client(c);
            continue;
        }
        leave_behind(c, c->used);
        take_lines(control, c);
    }
}

/* --- the socket --------------------------------------------------------------------------------
 */

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
            c->busy = false;
            return;
        }
    }
    close(fd);
}

/* Whether the threads are to end. */
static bool take_wake(hx_control *control)
{
    char why = WAKE_QUIT;

    (void)!read(control->wake[0], &why, 1);
    return why == WAKE_QUIT;
}

static void *serve(void *arg)
{
    hx_control *control = arg;
    struct pollfd fds[CLIENTS_MAX + 2];

    for (;;) {
        fds[0] = (struct pollfd){control->wake[0], POLLIN, 0};
        fds[1] = (struct pollfd){control->fd, POLLIN, 0};
        for (int i = 0; i < CLIENTS_MAX; i++) {
            const client *c = &control->clients[i];

            fds[i + 2] = (struct pollfd){c->busy ? -1 : c->fd, POLLIN, 0};
        }
        if (poll(fds, CLIENTS_MAX + 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            break;
        }
        if (fds[0].revents) {
            if (take_wake(control))
                break;
            go_on(control);
            continue;
        }
        for (int i = 0; i < CLIENTS_MAX; i++)
            if (fds[i + 2].fd >= 0 && fds[i + 2].revents)
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

/* The second thread where there is something for it, then the first. */
static int start(hx_control *control)
{
    int rc = 0;

    if (control->lane.is_slow) {
        rc = pthread_create(&control->lane.thread, NULL, answer_slow, control);
        control->lane.started = !rc;
    }
    if (!rc) {
        rc = pthread_create(&control->thread, NULL, serve, control);
        control->started = !rc;
    }
    return rc;
}

int hx_control_create(const char *path, hx_control_answer_fn answer, void *context,
                      hx_control **out, hx_error *err)
{
    return hx_control_create_slow(path, answer, NULL, context, out, err);
}

int hx_control_create_slow(const char *path, hx_control_answer_fn answer, hx_control_slow_fn slow,
                           void *context, hx_control **out, hx_error *err)
{
    hx_control *control = calloc(1, sizeof *control);
    int rc;

    if (!control)
        return HX_ENOMEM;
    control->answer = answer;
    control->context = context;
    control->lane.is_slow = slow;
    pthread_mutex_init(&control->lane.lock, NULL);
    pthread_cond_init(&control->lane.changed, NULL);
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
    rc = start(control);
    if (rc) {
        rc = hx_error_set(err, HX_EIO, "control_socket: %s: %s", path, strerror(rc));
        goto fail;
    }
    *out = control;
    return 0;
fail:
    hx_control_destroy(control);
    return rc;
}

static void end_lane(slow_lane *lane)
{
    if (lane->started) {
        pthread_mutex_lock(&lane->lock);
        lane->quit = true;
        pthread_cond_signal(&lane->changed);
        pthread_mutex_unlock(&lane->lock);
        pthread_join(lane->thread, NULL);
    }
    pthread_cond_destroy(&lane->changed);
    pthread_mutex_destroy(&lane->lock);
}

void hx_control_destroy(hx_control *control)
{
    if (!control)
        return;
    if (control->started) {
        (void)!write(control->wake[1], &(char){WAKE_QUIT}, 1);
        pthread_join(control->thread, NULL);
    }
    end_lane(&control->lane);
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
