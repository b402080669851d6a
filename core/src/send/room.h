/* Inside the sender: what its files share. */
#ifndef HAECHI_SEND_ROOM_H
#define HAECHI_SEND_ROOM_H

#include "send/bins.h"
#include "send/timeline.h"

#include <haechi/control.h>
#include <haechi/outlet.h>
#include <haechi/sender.h>
#include <haechi/stats.h>

#include <pthread.h>
#include <sys/socket.h>

enum { NS_PER_US = 1000, NS_PER_MS = 1000000 };
enum {
    PATIENCE_MS = 2000, /* with connections, once the storm is told to end */
    SILENCE_MS = 5000,  /* once its time is over: of a receiver that takes or says nothing at all */
};
#define NS_PER_S INT64_C(1000000000)

/* A row of the stats page for each stream. */
enum sender_stat {
    SENDER_EVENTS,
    SENDER_BYTES,
    SENDER_CONTROLS,
    SENDER_ERRORS,      /* events that the system did not take */
    SENDER_SENDS,       /* system messages: buffers, not datagrams */
    SENDER_LATE_EVENTS, /* of batches that left more than HX_SENDER_LATE_US past their first time */
    SENDER_REFUSED, /* times that a target said nobody listens (ICMP); nothing is counted lost */
    SENDER_RECONNECTS,
    SENDER_PORT,
    SENDER_WORKER,
    SENDER_RECEIVED, /* as a sink reported last: events and kernel drops on the port */
    SENDER_DROPPED,
    SENDER_REPORTED, /* 1: a sink answered */
    SENDER_STATS,
};
enum sender_tool_stat {
    SENDER_EPISODES,
    SENDER_TARGET_EPS,
    SENDER_PAUSED,
    SENDER_RUNNING,
    SENDER_TOOL_STATS,
};
extern const hx_stat_def sender_stat_defs[SENDER_STATS];
extern const hx_stat_def sender_tool_stat_defs[SENDER_TOOL_STATS];

typedef struct stream {
    uint32_t index; /* of all streams: the stats row, and the marks' stream */
    uint32_t target;
    uint16_t port;
    int fd;            /* UDP socket or output file; -1: none */
    hx_outlet *outlet; /* TCP, TLS */
    _Atomic uint64_t *stat[SENDER_STATS];
    uint64_t events, bytes, controls, sequence; /* this run's */
    int64_t next_mark_ns;                       /* monotonic */
    uint64_t end_sequence;                      /* of the first end mark; UINT64_MAX before */
    bool ended;                                 /* one was answered */
    bool finished;                              /* TCP: the receiver has it all, or is gone */
    bool cut;       /* a line was written in part: nothing can follow it on this connection */
    char said[512]; /* TCP: what of a report has come */
    uint32_t said_len;
} stream;

typedef struct sender_worker {
    struct hx_sender *sender;
    uint32_t index;
    pthread_t thread;
    bool started;
    _Atomic bool done;
    hx_composer *composer;
    stream **streams;
    uint32_t stream_count, turn; /* whose turn it is */
    uint32_t turn_events;        /* of a full turn */
    uint32_t turn_left;
    uint64_t count_left; /* events that may still be composed */
    timeline line;
    hx_bins bins;        /* UDP */
    hx_text out;         /* TCP, TLS, file: framed lines on their way, room made at the start */
    uint32_t pending;    /* events in bins or out */
    uint32_t *line_ends; /* of the lines in out */
    int64_t pending_since_ns; /* when the oldest of them was due, by the timeline */
    int64_t last_time_ns;     /* of the event composed last */
    int64_t patience_ns;      /* monotonic: when patience ends; 0: nobody has told it to end */
    int64_t heard_ns;         /* monotonic: when a sink last reported */
    bool ending;              /* all that there is to send is composed */
    uint64_t rate_epoch;
    uint32_t burst_us; /* that its turns are made for now */
    bool gso;
    uint32_t segments_max;
    uint32_t until_probe; /* events */
    hx_text truth;        /* episodes not yet written */
    _Atomic int64_t late_max_ns;
    char line_room[HX_LINE_ROOM + 64];
} sender_worker;

struct hx_sender {
    hx_sender_config config;
    stream *streams;
    uint32_t stream_count;
    sender_worker *workers;
    uint32_t worker_count;
    hx_stats *stats;
    hx_control *control;
    int truth_fd;
    pthread_mutex_t truth_lock;
    uint64_t run;            /* names this run in control messages */
    _Atomic int64_t zero_ns; /* CLOCK_MONOTONIC of the timeline's start; 0 before */
    _Atomic int64_t zero_real_ns;
    _Atomic uint64_t eps_milli, rate_epoch, max_eps_milli;
    _Atomic uint32_t burst_us;
    _Atomic bool stopping, paused, failed, gso_refused;
    pthread_mutex_t rate_lock;
    double offered;             /* events due by offered_since_ns, at the rates there were */
    int64_t offered_since_ns;   /* on the monotonic clock */
    bool ramp_over;             /* cut short by another rate */
    _Atomic int64_t ended_ns;   /* monotonic; 0 while it runs */
    _Atomic int64_t stopped_ns; /* when the last event left */
    _Atomic uint64_t eps_peak;
    pthread_mutex_t error_lock;
    hx_error error;
    int error_code;
};

int64_t sender_now_ns(void); /* CLOCK_MONOTONIC */

/* Events that the schedule had due by now_ns. */
double sender_offered(struct hx_sender *s, int64_t now_ns);

/* The first error ends the run. */
void sender_fail(struct hx_sender *s, int code, const hx_error *err);

/* --- commands.c */
/* A command of any bytes from the control socket; hx_control_answer_fn. */
void sender_answer(void *sender, const char *line, size_t len, hx_text *out);

/* --- worker.c */
int worker_create(struct hx_sender *s, uint32_t index, hx_error *err);
void worker_destroy(sender_worker *w);
void *worker_run(void *worker);

/* --- transports: what a worker does with its lines. `flush` sends everything that is pending on
 * the stream whose turn it is. */
/* datagrams.c: UDP */
int udp_connect(stream *s, const struct sockaddr_storage *address, socklen_t len, hx_error *err);
void datagrams_send_bin(sender_worker *w, stream *s, uint32_t length);
void datagrams_flush(sender_worker *w, stream *s);
bool datagrams_send_control(stream *s, const char *message, uint32_t len);
/* lines.c: TCP, TLS, file */
void lines_put(sender_worker *w, const char *line, uint32_t len);
void lines_flush(sender_worker *w, stream *s);
bool lines_send_control(sender_worker *w, stream *s, const char *message, uint32_t len);
/* Closes the worker's connections when what was written is delivered, or patience ends. */
void lines_finish(sender_worker *w);

/* --- account.c: probes, marks, reports */
void account_probe(sender_worker *w, stream *s, int64_t time_ns);
/* A first mark on every stream: a sink counts for this run from there on. */
void account_begin(sender_worker *w);
/* Sends the marks that are due and takes in what sinks reported. */
void account_turn(sender_worker *w);
/* End marks, until each is answered or patience ends. */
void account_end(sender_worker *w);

/* --- place.c */
/* The processor for a worker, or -1: none. */
int place_of(const hx_sender_config *c, uint32_t worker, uint32_t workers);
uint32_t place_processors(void); /* that this process may use */
/* HX_EINVAL with a sentence where a worker is to be pinned to one that it may not use. */
int place_check(const hx_sender_config *c, hx_error *err);

#endif
