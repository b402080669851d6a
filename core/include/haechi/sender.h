/* The storm: composer, pacer and sender, wired together.
 *
 *   worker: schedule -> compose what is due -> batch of one length -> one send -> stream
 *
 * A stream is one socket (or the output file): one worker, one target, one port. Hosts are shared
 * out among the streams, so all that a host says goes one way. A worker serves its streams in
 * turns. In a turn no session speaks twice, so that its events may leave in any order: messages of
 * the same length leave in one pass through the kernel, each as its own datagram (UDP_SEGMENT). A
 * session's own events always leave in their order. TCP, TLS and files keep the order of all.
 *
 * Open loop: when an event is due is decided by the schedule, never by when the last one left. An
 * event waits at most burst_us in a batch; what leaves later than HX_SENDER_LATE_US past its time
 * is counted.
 *
 * Same profile, seed, start, sessions, anomalies, rate, ramp, ports, burst and workers: the same
 * lines on the same ports, through every transport and into a file (which has one worker), for as
 * long as nobody changes the rate or pauses. Unpaced (eps_milli 0) a line's time is when it was
 * composed.
 *
 * Every event that was composed is counted once: as sent, when the system took it, or as an error.
 * What is lost behind that, only a receiver can tell (account). */
#ifndef HAECHI_SENDER_H
#define HAECHI_SENDER_H

#include <haechi/net.h>
#include <haechi/storm.h>
#include <haechi/text.h>

#define HX_SENDER_WORKERS_MAX  256
#define HX_SENDER_TARGETS_MAX  16
#define HX_SENDER_EPS_MAX      UINT64_C(20000000)
#define HX_SENDER_LATE_US      2000
#define HX_SENDER_BURST_US     850 /* where none is set */

#define HX_SENDER_BURST_US_MIN 50
#define HX_SENDER_BURST_US_MAX 1000000

typedef struct hx_sender hx_sender;

typedef struct hx_sender_config {
    hx_composer_config composer; /* profile, form, seed, start_ns, sessions, anomalies; the rest is
                                    the sender's own */
    /* Targets, or an output: a path, or "-" for standard output. */
    const char *const *targets;
    uint32_t target_count;
    const uint16_t *ports; /* every one of them at every target; at least one */
    /* With an output: the lines are those of a storm to so many ports. 0: one. */
    uint32_t port_count;
    const char *output;
    hx_transport transport;
    hx_framing framing; /* TCP, TLS: OCTETS or NEWLINE */
    const char *tls_ca, *tls_certificate, *tls_key, *tls_server_name;
    bool tls_insecure;

    uint64_t eps_milli;  /* of all workers; 0: as fast as it goes */
    bool start_now;      /* composer.start_ns is when hx_sender_run begins */
    bool unhurried;      /* output: eps is of log time alone, the file is written at once */
    uint64_t count;      /* events in all; 0: no bound */
    int64_t duration_ns; /* of the schedule, the ramp included; 0: no bound */
    int64_t ramp_up_ns;  /* from nothing to eps_milli in a straight line */
    /* 0: one for each processor this process may use, at most one for each target and port. More
     * than those have streams to the same ports, of hosts of their own. With an output: one. */
    uint32_t workers;
    uint32_t groups;     /* of workers, for pin_auto; 0: 1 */
    bool pin_auto;       /* a group's workers on the processors of one NUMA node, in turn */
    const uint32_t *pin; /* processors for the workers, in turn; NULL: not pinned */
    uint32_t pin_count;
    uint32_t burst_us; /* how long an event may wait for others to leave with; 0: 850 */
    bool plain;        /* UDP: one datagram a system message, without UDP_SEGMENT */
    bool account;      /* probes, marks and end marks for a haechi sink; not with an output */
    const char *truth; /* file for the episodes, or NULL */
    const char *stats_page, *control_socket; /* or NULL */
    /* Called some twenty times a second in hx_sender_run's thread; may be NULL. */
    void (*on_watch)(void *context, hx_sender *sender);
    void *context;
} hx_sender_config;

/* Looks up targets, opens sockets and connects; the output and the truth are emptied. From here on
 * the control socket answers. The config is copied, what it points to must live as long as the
 * sender. HX_EINVAL (more ports than the profile has hosts for is such a case), HX_ENOTFOUND or
 * HX_EIO with a sentence in err; HX_ENOMEM. */
int hx_sender_create(const hx_sender_config *config, hx_sender **out, hx_error *err);
void hx_sender_destroy(hx_sender *sender);

/* Once. Runs in the caller's thread (the workers in theirs) until count or duration is reached or
 * hx_sender_stop. 0, or the error that ended it: an output or a truth that cannot be written. With
 * an output, a worker that waits for a pipe's reader is woken by SIGTERM when the storm is stopped:
 * the caller has a handler for it, without SA_RESTART.
 *
 * A TCP receiver that takes slowly holds its worker up, and its events leave late; one that goes
 * away is connected to again, and what it did not get are errors. At the end a receiver is given
 * some seconds: two to take what is on its way once the storm was stopped, five of silence once its
 * time is over, and to answer end marks a second and a half, over TCP five of silence. A storm that
 * has a count and no duration waits for a silent receiver until it is stopped. */
int hx_sender_run(hx_sender *sender, hx_error *err);

/* From any thread or a signal handler: what is composed is sent, end marks too, and run returns. */
void hx_sender_stop(hx_sender *sender);

/* From any thread. The new rate holds from now on; a ramp ends. HX_EINVAL with a sentence in err:
 * less than one a second, more than the limit below, or the storm is unpaced. */
int hx_sender_set_rate(hx_sender *sender, uint64_t eps_milli, hx_error *err);

/* From any thread. How long an event may wait for others, from each stream's next turn on: the
 * lines are those of another storm from there. HX_EINVAL with a sentence in err: not from
 * HX_SENDER_BURST_US_MIN to _MAX, or the storm is unpaced. */
int hx_sender_set_burst(hx_sender *sender, uint32_t burst_us, hx_error *err);

/* From any thread. Nothing is sent meanwhile but marks, and nothing is made up for afterwards: the
 * schedule goes on from then. A ramp ends; duration goes on. */
void hx_sender_pause(hx_sender *sender, bool paused);

/* The highest rate that set_rate takes, in thousandths; by default HX_SENDER_EPS_MAX. */
void hx_sender_limit(hx_sender *sender, uint64_t max_eps_milli);

/* Appends one JSON object: totals, rates, what a sink reported, and the same for each stream under
 * "ports". From any thread, at any time until destroy. */
void hx_sender_summary(hx_sender *sender, hx_text *out);

#endif
