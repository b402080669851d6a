/* The detection engine: source, workers, alerts, checkpoint, wired together.
 *
 *   reader: source -> batch n -> worker n mod W: lines to events -> every worker, in the order of
 * n: session -> window -> memo or model -> verdict -> alert
 *
 * With one worker the reader's thread does everything. Control reaches a worker only in a batch, so
 * a new bundle or a checkpoint takes effect at one point of the input for all of them. */
#ifndef HAECHI_ENGINE_H
#define HAECHI_ENGINE_H

#include <haechi/error.h>
#include <haechi/source.h>
#include <haechi/text.h>

typedef struct hx_engine hx_engine;

typedef struct hx_engine_config {
    const char *bundle;      /* directory */
    const char *onnxruntime; /* library; NULL: the loader's search path */
    const char *format;      /* instead of the bundle's; NULL */
    const char *rules;       /* stage one's rule file (rules.h); NULL: none */
    hx_source_config source;
    uint32_t workers;    /* 1 .. 64 */
    const uint32_t *pin; /* processors for the workers, in turn; NULL: not pinned */
    uint32_t pin_count;
    uint32_t batch_bytes;       /* 4096 .. 16 MiB; also the longest line */
    uint32_t memo_entries;      /* of each worker */
    uint32_t max_shapes;        /* unknown shapes told apart, of each worker */
    uint32_t max_model_windows; /* of a batch; the rest is counted as unscored; 0: no bound */
    double ml_budget;           /* processors that the model may take in all; 0: no bound */
    uint32_t alerts_per_second; /* of one detector or rule, where more lines may come at any time;
                                   the rest is counted as alerts_over; 0: no bound */
    int64_t repeat_us;      /* between two reports of the same novelty; negative: the bundle's */
    bool judge_torn;        /* also what lines lost before it may have made odd (hx_chunk.holes) */
    const char *alerts;     /* file, or "-" */
    const char *checkpoint; /* file, or NULL: none */
    uint32_t checkpoint_ms; /* between two checkpoints */
    const char *stats_page; /* file, or NULL */
    const char *control_socket; /* path, or NULL */
    bool close_at_end;          /* at the end of the input open sessions end; else they are cut */
} hx_engine_config;

/* Loads the bundle, opens the sources and takes up the checkpoint. The config and what it points to
 * must live as long as the engine. Errors with a sentence in err. */
int hx_engine_create(const hx_engine_config *config, hx_engine **out, hx_error *err);
void hx_engine_destroy(hx_engine *engine);

/* Runs in the caller's thread until the input ends or hx_engine_stop. 0, or the error that ended
 * it. */
int hx_engine_run(hx_engine *engine, hx_error *err);

/* From any thread or a signal handler: what was read is judged, then run returns. */
void hx_engine_stop(hx_engine *engine);

/* From any thread while it runs. */
void hx_engine_pause(hx_engine *engine, bool paused);
/* Loads, verifies and takes up another bundle; returns when every worker judges with it. No line is
 * lost and no session forgotten. On an error the engine goes on with the bundle it has. */
int hx_engine_load_bundle(hx_engine *engine, const char *directory, hx_error *err);
/* Reads, compiles and takes up another rule file; returns when every worker judges by it. No line
 * is lost. On an error the engine goes on with the rules it has. */
int hx_engine_load_rules(hx_engine *engine, const char *path, hx_error *err);
/* A checkpoint now; returns when it is on the disk. HX_EINVAL where none is configured. */
int hx_engine_checkpoint(hx_engine *engine, hx_error *err);

/* Appends one JSON object: totals, ratios, latencies, memory. */
void hx_engine_summary(hx_engine *engine, hx_text *out);

#endif
