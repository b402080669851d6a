/* Alerts: one JSON object a line (docs/alert.schema.json), and the place they are written to.
 *
 * An alert's id is a function of what it is about (detector, session, the line and where it stood),
 * and of nothing that another reading changes (clock, order of the inputs, bundle): the same input
 * gives the same id, and that is how a restart repeats none. */
#ifndef HAECHI_DETECT_ALERT_H
#define HAECHI_DETECT_ALERT_H

#include "detect/bundle.h"

#include <haechi/text.h>

#include <pthread.h>

typedef enum hx_alert_kind {
    HX_ALERT_EVENT,     /* deeplog: an event of a session */
    HX_ALERT_SESSION,   /* deeplog: a session as a whole, at its end */
    HX_ALERT_NEW_KEY,   /* new_event: a log key that was never trained on */
    HX_ALERT_NEW_SHAPE, /* new_event: a line that fits no template */
    HX_ALERT_DETECTOR,  /* one of detector.h's: it says itself what and why */
    HX_ALERT_RULE,      /* stage one's: a rule denies the line */
} hx_alert_kind;

/* A detector that holds something against what the alert is about, and how much (detector.h). */
typedef struct hx_opinion {
    const char *detector;
    double evidence; /* nats */
} hx_opinion;
#define HX_OPINIONS_MAX (HX_DETECTORS_MAX + 1)

typedef struct hx_alert {
    hx_alert_kind kind;
    int stage;       /* 1: memo or rule, 2: the model */
    int64_t time_us; /* of the event, or HX_TIME_NONE */
    hx_slice session;
    uint32_t key;           /* of the event; HX_KEY_UNSEEN where no template fits */
    uint16_t token;         /* deeplog: what the model was asked about (may be the end mark) */
    int32_t surprise_q10;   /* deeplog: of the event */
    uint32_t rank;          /* deeplog: of the event */
    double mean_surprise;   /* session: nats an event */
    uint32_t events;        /* session: judged events, the end mark included */
    uint64_t since;         /* new_event: occurrences since the last report, this one not counted */
    uint8_t severity;       /* syslog's, or HX_PRI_NONE */
    const uint16_t *window; /* deeplog: the tokens before the event; NULL where there are none */
    const float *row;       /* deeplog: log-probabilities after the window, or NULL */
    uint16_t worst_token;   /* session: of the event that surprised most */
    const char *source;     /* the line: its source's name, identity, offset and bytes */
    uint64_t identity, offset;
    uint64_t content; /* a hash of the line and of what is new about it; 0 at a session's end */
    hx_slice line;    /* empty where the bytes are no longer at hand */
    const hx_opinion *opinions; /* of all that agree, the strongest first */
    uint32_t opinion_count;

    bool lifted;            /* one grade graver, since a rule escalates */
    const hx_rule *matched; /* HX_ALERT_RULE: what denies the line */

    /* HX_ALERT_DETECTOR alone */
    const char *detector, *rule, *severity_word; /* severity_word: NULL: worked out */
    double score, threshold;
    hx_slice reason, detail; /* detail: a JSON object, or empty */
} hx_alert;

/* Appends the alert as one line to out and gives its id. */
void hx_alert_render(const hx_alert *alert, const hx_bundle *bundle, hx_text *out, uint64_t id[2]);

/* --- where they go -----------------------------------------------------------------------------
 */

/* An alert that stands behind the checkpoint that the engine went on from. */
typedef struct hx_known_alert {
    uint64_t id[2];
    uint64_t at;       /* of its line in the file */
    _Atomic bool made; /* again, since the restart */
} hx_known_alert;

typedef struct hx_alert_sink {
    pthread_mutex_t lock; /* alerts are rare; lines of two workers must not mix */
    int fd;
    bool owned;            /* the descriptor is to be closed */
    bool file;             /* a regular file: it has positions */
    bool torn;             /* what stands in it ends without a newline: one is needed first */
    hx_known_alert *known; /* by id */
    size_t known_count;
    bool made_all;            /* what of them was not made again will not be */
    _Atomic uint64_t retries; /* writes that failed and were tried again: a full disk */
} hx_alert_sink;

/* path "-": standard output. A file is appended to. HX_EIO with a sentence in err. */
int hx_alert_sink_open(hx_alert_sink *sink, const char *path, hx_error *err);
void hx_alert_sink_close(hx_alert_sink *sink);

/* After a restart from a checkpoint taken when the file had position bytes: the alerts behind it
 * are not written again, and a last line cut short by the crash is taken away (it will be). */
int hx_alert_sink_resume(hx_alert_sink *sink, const char *path, uint64_t position, hx_error *err);

/* For a checkpoint: from where on the file is to be looked through after a restart from it. Its
 * length; or, while alerts that stood there at the last restart are not made again, where the first
 * of those stands: a crash on the way to them must not make them new. 0 where it is no file. */
uint64_t hx_alert_sink_position(hx_alert_sink *sink);

/* What was there at the restart has been read again, and the time has passed that verdicts need. */
void hx_alert_sink_caught_up(hx_alert_sink *sink);

/* What was written is on the disk before a checkpoint relies on it. */
void hx_alert_sink_sync(hx_alert_sink *sink);

/* Whether this alert stands in the file since before the restart. From any thread. */
bool hx_alert_sink_knows(hx_alert_sink *sink, const uint64_t id[2]);

/* Writes whole lines. Where the disk is full it waits and tries again, saying so on standard error,
 * until it succeeds or *give_up becomes true: an alert is never dropped. 0, or HX_EIO when given up
 * or when nobody reads any more (EPIPE). */
int hx_alert_sink_write(hx_alert_sink *sink, const char *bytes, size_t len,
                        const _Atomic bool *give_up);

#endif
