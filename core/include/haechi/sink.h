/* sink: receives what a storm, or anyone, sends, and keeps account of where it went.
 *
 *   worker: listener -> runs of messages -> counts of the port, latency, file
 *
 * Ports are shared out: worker w of W has every W-th port, from the w-th on, with a listener and a
 * thread of its own. With more workers than ports (UDP) several listen on the same port and the
 * kernel keeps a sender on one of them.
 *
 * The stats page has a row for each listener's port: as many as there are ports, or as many as
 * workers where those are more; a row's gauge "port" says which.
 */
#ifndef HAECHI_SINK_H
#define HAECHI_SINK_H

#include <haechi/net.h>
#include <haechi/text.h>

#define HX_SINK_WORKERS_MAX 64
#define HX_SINK_EPS_MAX     UINT64_C(1000000000)

/* What a live view shows. */
typedef struct hx_sink_glance {
    uint64_t received; /* messages, control messages not among them */
    uint64_t lost;     /* by the account as it stands */
    uint64_t clients;  /* TCP, TLS: connections taken */
    uint32_t streams;  /* of storms that keep account */
    double eps;        /* received, over the last second */
} hx_sink_glance;

typedef struct hx_sink_config {
    hx_listen_config listen; /* reuse_port is the sink's own */
    uint32_t workers;        /* 1 to HX_SINK_WORKERS_MAX; 0 means 1 */
    const uint32_t *pin;     /* processors for the workers, in turn; NULL: not pinned */
    uint32_t pin_count;
    const char *write;    /* file, made anew, for each message and a newline; "-" is
                             standard output; NULL: none */
    uint64_t max_eps;     /* takes at most so many messages a second; 0: no bound */
    int64_t duration_ns;  /* 0: no bound */
    int64_t idle_exit_ns; /* ends when something has come, every stream seen has ended
                             and nothing came for so long; 0: never */
    const char *stats_page, *control_socket; /* or NULL */
    /* Every second, from the thread that runs the sink. May be NULL. */
    void (*on_second)(void *context, const hx_sink_glance *now);
    void *context;
} hx_sink_config;

typedef struct hx_sink hx_sink;

/* Binds and listens. The config and what it points to must live as long as the sink. HX_EINVAL or
 * HX_EIO with a sentence in err; HX_ENOMEM. *warning (may be NULL) as of hx_listener_create. */
int hx_sink_create(const hx_sink_config *config, hx_sink **out, hx_error *warning, hx_error *err);
void hx_sink_destroy(hx_sink *sink);

/* Receives until it is stopped or config says so; then takes what still waits in the sockets, for
 * two seconds at most. Once. 0; HX_EIO where a listener failed or messages are missing from the
 * file, with a sentence in err. */
int hx_sink_run(hx_sink *sink, hx_error *err);

/* From any thread or a signal handler. */
void hx_sink_stop(hx_sink *sink);

/* From any thread: a paused sink takes nothing, so that buffers fill and the kernel drops. */
void hx_sink_pause(hx_sink *sink, bool paused);

/* From any thread: the new max_eps, 0 for none. HX_EINVAL above HX_SINK_EPS_MAX. */
int hx_sink_set_rate(hx_sink *sink, uint64_t max_eps, hx_error *err);

/* Appends one JSON object: totals, account, rates, latency, and the same per port. From any thread;
 * while it runs, as it stood a tenth of a second ago at most. "seconds" is from the first message
 * taken to the last one, "eps_peak" the best second. Where no storm keeps account, "sent" is 0 and
 * what is lost is what the kernel says. */
void hx_sink_summary(hx_sink *sink, hx_text *out);

/* Appends the same for people, a few lines of text. */
void hx_sink_report(hx_sink *sink, hx_text *out);

#endif
