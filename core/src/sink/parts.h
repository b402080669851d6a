/* Inside the sink: what its threads share. */
#ifndef HAECHI_SINK_PARTS_H
#define HAECHI_SINK_PARTS_H

#include "sink/bucket.h"
#include "sink/file.h"

#include <haechi/control.h>
#include <haechi/sink.h>
#include <haechi/stats.h>

#include <pthread.h>
#include <stdatomic.h>

enum hx_sink_stat {
    HX_SINK_RECEIVED,
    HX_SINK_BYTES,
    HX_SINK_CONTROLS,
    HX_SINK_KERNEL_DROPPED,
    HX_SINK_TRUNCATED,
    HX_SINK_EMPTY,
    HX_SINK_BAD_FRAMING,
    HX_SINK_CLIENTS,
    HX_SINK_REFUSED,
    HX_SINK_TLS_FAILED,
    HX_SINK_SENT,
    HX_SINK_PORT,
    HX_SINK_CLOSED,
    HX_SINK_STREAMS,
    HX_SINK_STREAMS_ENDED,
    HX_SINK_LOST,
    HX_SINK_LATENCY_US,
    HX_SINK_STATS,
};
extern const hx_stat_def hx_sink_stat_defs[HX_SINK_STATS];

enum hx_sink_tool_stat {
    HX_SINK_WRITE_ERRORS,
    HX_SINK_UNWRITTEN,
    HX_SINK_RUNNING,
    HX_SINK_PAUSED,
    HX_SINK_MAX_EPS,
    HX_SINK_TOOL_STATS,
};
extern const hx_stat_def hx_sink_tool_stat_defs[HX_SINK_TOOL_STATS];

/* What a listener has of a port. */
typedef struct hx_sink_row {
    uint32_t index; /* on the stats page */
    _Atomic uint64_t *received, *bytes;
    hx_histogram *latency;
    /* As of the last publishing, under the worker's lock. */
    hx_port_counters counters;
    hx_account account;
} hx_sink_row;

typedef struct hx_sink_worker {
    _Alignas(64) hx_sink *sink;
    uint32_t index;
    pthread_t thread;
    bool started;

    uint16_t ports[HX_NET_PORTS_MAX];
    hx_sink_row row[HX_NET_PORTS_MAX];
    uint32_t port_count;
    hx_listener *listener;
    hx_taken *runs;
    hx_sink_block block; /* bytes NULL: nothing is written */
    uint64_t marks;      /* heard */
    int64_t published_ns;

    _Atomic int64_t first_ns, last_ns; /* of what came, marks too; monotonic; 0: nothing yet */
    pthread_mutex_t lock;
} hx_sink_worker;

/* The last second in tenths, for the best second. */
#define HX_SINK_SAMPLES 11
typedef struct hx_sink_pace {
    uint64_t received[HX_SINK_SAMPLES];
    int64_t at_ns[HX_SINK_SAMPLES];
    uint64_t count;
} hx_sink_pace;

struct hx_sink {
    hx_sink_config config;
    uint32_t workers, rows;
    hx_sink_worker *worker;
    hx_stats *stats;
    hx_sink_file file;
    bool file_open;
    hx_control *control;
    int wake; /* readable from the moment the sink is to stop */
    _Atomic bool stopping, paused;

    pthread_mutex_t rate_lock; /* over the bucket */
    hx_bucket bucket;
    _Atomic uint64_t max_eps; /* 0: the bucket is not asked */

    hx_sink_pace pace; /* of the thread that runs the sink */
    _Atomic uint64_t eps_peak;

    pthread_mutex_t error_lock;
    hx_error error;
    int error_code;
};

int64_t hx_sink_now_ns(void);

/* worker.c */
int hx_sink_worker_init(hx_sink *sink, uint32_t index, hx_error *warning, hx_error *err);
void hx_sink_worker_free(hx_sink_worker *worker);
void *hx_sink_work(void *worker);

/* pace.c: takes the second that ends now into account; returns its events a second. */
double hx_sink_pace_sample(hx_sink_pace *pace, uint64_t received, int64_t now_ns);

/* summary.c: everything, or one port by its place in the configuration. From any thread. */
typedef struct hx_sink_sums {
    hx_port_counters counters;
    hx_account account;
    int64_t first_ns, last_ns; /* 0: nothing came */
} hx_sink_sums;
#define HX_SINK_ALL_PORTS UINT32_MAX
void hx_sink_add_up(hx_sink *sink, uint32_t port, hx_sink_sums *out);
uint64_t hx_sink_lost(const hx_account *account);

/* control.c: an hx_control_answer_fn whose context is the sink. */
void hx_sink_answer(void *sink, const char *line, size_t len, hx_text *out);

#endif
