/* The storm: composer, pacer and sender, wired together.
 *
 *   worker: schedule -> compose what is due -> batch of one length -> one send -> stream
 *
 * A stream is one socket (or the output file): one worker, one target, one port. A worker serves
 * its streams in turns: a turn's events are of one stream's hosts, each of another session, so that
 * they may leave in any order. Messages of the same length leave in one system call and one pass
 * through the kernel, each as its own datagram (UDP_SEGMENT).
 *
 * Open loop: when an event leaves is decided by the schedule, never by when the last one left. An
 * event waits at most burst_us in a batch; what leaves later than HX_SENDER_LATE_US past its time
 * is counted.
 *
 * Same profile, seed, start, rate, ports, burst and workers: the same lines on the same ports,
 * through every transport, as long as nobody changes the rate while it runs. Unpaced (eps_milli 0)
 * a line's time is when it was composed. */
#ifndef HAECHI_SENDER_H
#define HAECHI_SENDER_H

#include <haechi/net.h>
#include <haechi/storm.h>
#include <haechi/text.h>

#define HX_SENDER_WORKERS_MAX 256
#define HX_SENDER_TARGETS_MAX 16
#define HX_SENDER_EPS_MAX     UINT64_C(20000000)
#define HX_SENDER_LATE_US     2000

typedef struct hx_sender hx_sender;

typedef struct hx_sender_config {
    hx_composer_config composer; /* profile, form, seed, start_ns, sessions, anomalies; the rest is
                                    the sender's own */
    /* Targets, or an output: a path, or "-" for standard output. */
    const char *const *targets;
    uint32_t target_count;
    const uint16_t *ports;
    uint32_t port_count; /* with an output, only what the lines are made for; 0: 1 */
    const char *output;
    hx_transport transport;
    hx_framing framing; /* TCP, TLS: OCTETS or NEWLINE */
    const char *tls_ca, *tls_certificate, *tls_key, *tls_server_name;
    bool tls_insecure;

    uint64_t eps_milli;  /* of all workers; 0: as fast as it goes */
    bool start_now;      /* composer.start_ns is when hx_sender_run begins */
    bool unhurried;      /* output: eps is of log time alone, the file is written at once */
    uint64_t count;      /* events in all; 0: no bound */
    int64_t duration_ns; /* 0: no bound */
    int64_t ramp_up_ns;  /* from nothing to eps_milli in a straight line */
    uint32_t workers;    /* 0: one for each processor this process may use, at most one a stream */
    uint32_t groups;     /* of workers, for pinning; 0: 1 */
    bool pin_auto;       /* a group's workers on the processors of one NUMA node, in turn */
    const uint32_t *pin; /* processors for the workers, in turn; NULL: not pinned */
    uint32_t pin_count;
    uint32_t burst_us; /* how long a turn lasts at most; 0: 850 */
    bool plain;        /* UDP: one datagram a system message, without UDP_SEGMENT */
    bool account;      /* probes, marks and end marks for a haechi sink */
    const char *truth; /* file for the episodes, or NULL */
    const char *stats_page, *control_socket; /* or NULL */
    /* Called some twenty times a second in hx_sender_run's thread; may be NULL. */
    void (*on_watch)(void *context, hx_sender *sender);
    void *context;
} hx_sender_config;

/* Looks up targets, opens sockets and connects. The config and what it points to must live as long
 * as the sender. HX_EINVAL, HX_ENOTFOUND or HX_EIO with a sentence in err. */
int hx_sender_create(const hx_sender_config *config, hx_sender **out, hx_error *err);
void hx_sender_destroy(hx_sender *sender);

/* Runs in the caller's thread (the workers in theirs) until count or duration is reached or
 * hx_sender_stop. 0, or the error that ended it: an output that cannot be written. With an output,
 * a worker that waits for a pipe's reader is woken by SIGTERM when the storm is stopped: the caller
 * has a handler for it, without SA_RESTART. */
int hx_sender_run(hx_sender *sender, hx_error *err);

/* From any thread or a signal handler: what is composed is sent, end marks too, and run returns. */
void hx_sender_stop(hx_sender *sender);

/* From any thread while it runs. The new rate holds from now on, for each worker at its next turn
 * at the latest; a ramp ends. HX_EINVAL: not within 1 and max_eps_milli, or the storm is unpaced.
 */
int hx_sender_set_rate(hx_sender *sender, uint64_t eps_milli, hx_error *err);
void hx_sender_pause(hx_sender *sender, bool paused);

/* The highest rate that set_rate takes, in thousandths; by default HX_SENDER_EPS_MAX. */
void hx_sender_limit(hx_sender *sender, uint64_t max_eps_milli);

/* Appends one JSON object: totals, rates, what a sink reported, per port. From any thread. */
void hx_sender_summary(hx_sender *sender, hx_text *out);

#endif
