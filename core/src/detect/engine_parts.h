/* Inside the engine: what its threads share. */
#ifndef HAECHI_DETECT_ENGINE_PARTS_H
#define HAECHI_DETECT_ENGINE_PARTS_H

#include "detect/checkpoint.h"
#include "detect/flight.h"
#include "detect/worker.h"

#include <haechi/control.h>
#include <haechi/engine.h>
#include <haechi/ring.h>

#define HX_WORKERS_MAX 64

enum hx_engine_stat {
    HX_ENGINE_SOURCE_BYTES,
    HX_ENGINE_TRUNCATED_LINES,
    HX_ENGINE_ROTATIONS,
    HX_ENGINE_TRUNCATIONS,
    HX_ENGINE_READ_ERRORS,
    HX_ENGINE_INPUTS_OPEN,
    HX_ENGINE_ALERT_RETRIES,
    HX_ENGINE_BUNDLE_LOADS,
    HX_ENGINE_RULE_LOADS,
    HX_ENGINE_RULES,
    HX_ENGINE_CHECKPOINTS,
    HX_ENGINE_CHECKPOINT_ERRORS,
    HX_ENGINE_PAUSED,
    HX_ENGINE_NET_FIRST, /* from here on of the network, in "network" of the summary */
    HX_ENGINE_NET_RECEIVED = HX_ENGINE_NET_FIRST,
    HX_ENGINE_NET_BYTES,
    HX_ENGINE_NET_CONTROLS,
    HX_ENGINE_NET_SENT,
    HX_ENGINE_NET_SHED,
    HX_ENGINE_NET_KERNEL_DROPPED,
    HX_ENGINE_NET_KERNEL_DROPPED_BUFFERS,
    HX_ENGINE_NET_LOST_ELSEWHERE,
    HX_ENGINE_NET_TRUNCATED,
    HX_ENGINE_NET_EMPTY,
    HX_ENGINE_NET_BAD_FRAMING,
    HX_ENGINE_NET_CLIENTS,
    HX_ENGINE_NET_REFUSED,
    HX_ENGINE_NET_TLS_FAILED,
    HX_ENGINE_STATS,
};
extern const hx_stat_def hx_engine_stat_defs[HX_ENGINE_STATS];

/* The checkpoint being made: the reader begins it, each worker adds its part, the keeper's thread
 * writes it, so that no worker waits for the disk. */
typedef struct hx_keeper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started;
    bool busy;  /* begun and not yet written */
    bool ready; /* every worker has added its part */
    bool quit;
    _Atomic uint32_t missing; /* parts */
    hx_checkpoint making;
    uint64_t written; /* checkpoints on the disk */
    uint64_t failed;
    hx_error last_error;
} hx_keeper;

typedef struct hx_crew_member {
    pthread_t thread;
    bool started;
    hx_ring to_read;                  /* batches from the reader */
    hx_ring to_judge[HX_WORKERS_MAX]; /* batches read by worker i */
} hx_crew_member;

struct hx_engine {
    hx_engine_config config;
    hx_bundle_options bundle_options;
    hx_source *source;
    hx_alert_sink sink;
    bool sink_open;
    hx_stats *stats;
    hx_worker_shared shared;
    hx_worker *worker[HX_WORKERS_MAX];
    hx_intern host_numbers, process_numbers;
    hx_crew_member *crew; /* [workers]; NULL with one worker */
    hx_batch *batches;
    uint32_t batch_count;
    hx_flight flight;

    pthread_mutex_t bundle_lock; /* one load at a time */
    pthread_mutex_t in_use_lock; /* of who reads the bundle or the rules in force without being a
                                    worker, and of who frees old ones; never for long */
    _Atomic(hx_bundle *) bundle; /* what the next batch is judged with */
    hx_bundle
        *retired; /* a bundle that a worker may still have been using when the last load ended */

    _Atomic(hx_rules *) rules; /* what the next batch is judged by; NULL: none */
    hx_rules *retired_rules;   /* as the bundle above */

    _Atomic int64_t latest_us; /* largest event time judged */
    _Atomic bool stopping, paused, checkpoint_wanted, failed, running, ended;
    pthread_mutex_t error_lock;
    hx_error error;
    int error_code;

    hx_keeper keeper;
    int checkpoint_lock; /* descriptor, or -1 */
    hx_control *control;
    _Atomic uint64_t started_ns, ended_ns;                  /* read by whoever asks for a summary */
    int64_t last_data_us, last_tick_us, last_checkpoint_us; /* monotonic */
    int64_t
        caught_up_us; /* when there was nothing to read for the first time; 0: there always was */
    bool resumed;     /* from a checkpoint */
    bool live;        /* more may come at any time: files are followed, or a network listens */
    hx_source_port *ports; /* of the network, for publishing */
    int64_t ports_read_us; /* monotonic */
};

int64_t hx_engine_now_us(void);
/* Sleeps for a millisecond. */
void hx_engine_nap(void);

/* A worker or the reader can go no further: remembers the first error and stops the engine. */
void hx_engine_fail(hx_engine *engine, int code, const hx_error *err);

/* keeper.c */
int hx_keeper_start(hx_engine *engine, hx_error *err);
void hx_keeper_stop(hx_engine *engine);
/* Begins a checkpoint after the batch about to be handed out, which is judged with this bundle.
 * False while one is being written. */
bool hx_keeper_begin(hx_engine *engine, const hx_bundle *bundle);
void hx_keeper_add(hx_engine *engine, uint32_t worker);
int hx_keeper_restore(hx_engine *engine, hx_error *err);

/* crew.c: several workers */
int hx_crew_create(hx_engine *engine, hx_error *err);
void hx_crew_destroy(hx_engine *engine);
int hx_crew_start(hx_engine *engine, hx_error *err);
void hx_crew_hand_out(hx_engine *engine, hx_batch *batch, uint64_t number);
void hx_crew_join(hx_engine *engine);
/* Pins the calling thread for a worker, where that is configured. */
void hx_crew_pin(const hx_engine *engine, uint32_t worker);

/* network.c: what the network's ports counted */
int hx_network_create(hx_engine *engine, hx_error *err);
/* Into the stats page, ten times a second; now: at once. */
void hx_network_publish(hx_engine *engine, int64_t now_us, bool now);
/* "network": {...}, where one is configured. From any thread. */
void hx_network_summary(hx_engine *engine, hx_text *out);

/* templates.c: the command "templates". Answers with the lines counted since the current bundle was
 * loaded, and of as many log keys as are asked for: its template, how often it came, and a line
 * that it came in lately.
 *
 *   "sort": "key" (also where it is not given) or "count", the most frequent first
 *   "offset", "limit": which of them; limit is 100 where it is not given, 500 at most
 *   "keys": [3, 17, null]: these instead, at most 500; null is what fits no template
 *   "examples": false: without the lines
 *   "counts": true: the counts of all log keys beside that, an array in their order */
struct cJSON;
void hx_engine_templates(hx_engine *engine, const struct cJSON *command, hx_text *out);

/* stage_one.c: the rules that are in force */
int hx_engine_first_rules(hx_engine *engine, hx_error *err);
/* {"ok": true, "rules": ..., "hits": [...]}: "limit" (100, at most 1000) and "offset" say which;
 * "sort": "count" or, where it is not given, the order of the file. */
void hx_engine_rules(hx_engine *engine, const struct cJSON *command, hx_text *out);

/* control.c: an hx_control_answer_fn whose context is the engine. */
/* Whether a command waits for files, for compiling or for the workers. */
bool hx_engine_is_slow(const char *line, size_t len);
void hx_engine_answer(void *engine, const char *line, size_t len, hx_text *out);

#endif
