/* storm: makes system logs that look like a machine room's, as session flows and not as lines drawn
 * one by one, and knows which of them are anomalous.
 *
 * A profile says what is written: flows (an ssh login, a unit's life), their steps, the texts of a
 * step, the values in a text. It is read once from JSON, is immutable afterwards, and serves any
 * number of threads. A composer writes events from it, one at a time, into memory of the caller's;
 * it allocates when it is made and never again. One thread uses a composer. Workers that write
 * together have a composer each: their hosts are disjoint, and so are their sessions.
 *
 * Same profile, seed and settings: same bytes, on every machine.
 */
#ifndef HAECHI_STORM_H
#define HAECHI_STORM_H

#include <haechi/error.h>
#include <haechi/slice.h>

/* --- profile -----------------------------------------------------------------------------------
 */

#define HX_PROFILE_BYTES_MAX (8u << 20) /* of JSON text */

typedef struct hx_profile hx_profile;

typedef struct hx_profile_facts {
    const char *name; /* lives as long as the profile */
    uint32_t hosts;
    uint32_t pids; /* process ids of a host */
    uint32_t processes;
    uint32_t flows;
    uint32_t texts;      /* distinct message texts of normal traffic */
    uint32_t mutants;    /* distinct anomalous flows that can be told from every normal one */
    uint32_t line_bytes; /* the longest line in any form, without a newline */
} hx_profile_facts;

/* From JSON text (docs/profiles.md). HX_EMALFORMED where it is not JSON, HX_EVERSION for another
 * format number, HX_EINVAL where a value is not allowed, each with a sentence in err that names the
 * key; HX_ENOMEM. Hostile text is refused, not trusted. */
int hx_profile_create(const char *json, size_t json_len, hx_profile **out, hx_error *err);
void hx_profile_destroy(hx_profile *profile);
hx_profile_facts hx_profile_facts_get(const hx_profile *profile);

/* --- episodes: the ground truth ----------------------------------------------------------------
 */

/* One anomalous session, or what was wrong with a host for a while: a burst of messages, or a
 * silence, in which the host that had live sessions says nothing. */
typedef struct hx_episode {
    char id[17];      /* deterministic: of the seed and the first event */
    const char *kind; /* step_skipped, steps_out_of_order, failure_repeated, never_seen_message,
                         value_out_of_range, message_burst, host_silence */
    const char *technique; /* MITRE ATT&CK, or NULL */
    char session[64];      /* host, process and, where the process has one, pid, joined by blanks;
                              empty where the episode is of a host */
    char host[32];
    int64_t first_time_ns, last_time_ns; /* since 1970-01-01 UTC */
    uint64_t first_event, last_event;    /* sequence numbers, from 0 */
    uint32_t events; /* 0 in a silence: it began and ended at the two above, which are others' */
    bool complete;   /* false: composing ended within the episode */
} hx_episode;

#define HX_EPISODE_JSON_MAX 512

/* One line of JSON with its newline into out (HX_EPISODE_JSON_MAX bytes); returns its length. */
uint32_t hx_episode_format(const hx_episode *episode, char *out);

/* --- composer ----------------------------------------------------------------------------------
 */

typedef enum hx_line_form {
    HX_LINE_ISO,     /* <PRI>2025-08-30T10:15:30.123Z host process[pid]: message */
    HX_LINE_RFC3164, /* <PRI>Aug 30 10:15:30 host process[pid]: message */
    HX_LINE_RFC5424, /* <PRI>1 2025-08-30T10:15:30.123456Z host process pid msgid sd message */
} hx_line_form;

/* "iso", "rfc3164", "rfc5424": 0, or HX_ENOTFOUND. */
int hx_line_form_parse(const char *name, hx_line_form *out);

/* Room that composing one line needs. Whole blocks are copied, so bytes after the line's end and
 * within this room are overwritten. */
#define HX_LINE_ROOM            1280

#define HX_SESSIONS_DEFAULT_MAX 4096

/* Kinds of anomalies. The first five are of a session, the last two of a host. */
enum {
    HX_ANOMALY_STEP_SKIPPED = 1,
    HX_ANOMALY_STEPS_OUT_OF_ORDER = 2,
    HX_ANOMALY_FAILURE_REPEATED = 4,
    HX_ANOMALY_NEVER_SEEN_MESSAGE = 8,
    HX_ANOMALY_VALUE_OUT_OF_RANGE = 16,
    HX_ANOMALY_MESSAGE_BURST = 32,
    HX_ANOMALY_HOST_SILENCE = 64,
    HX_ANOMALY_OF_SESSIONS = 31,
    HX_ANOMALY_ALL = 127,
};

/* "step_skipped,message_burst", "all", "sessions": 0 with the bits in *out, or HX_ENOTFOUND. */
int hx_anomaly_kinds_parse(const char *names, uint32_t *out);

typedef struct hx_composer_config {
    const hx_profile *profile; /* borrowed; outlives the composer */
    hx_line_form form;
    uint64_t seed;
    int64_t start_ns;   /* time of event 0, since 1970-01-01 UTC */
    uint64_t eps_milli; /* events a second, times 1000, of all workers together; at least 1 */
    /* Sessions live at once, of all workers together. 0: two seconds' worth of events, so that a
     * session speaks about every two seconds, at most HX_SESSIONS_DEFAULT_MAX; with several lanes
     * at least 1024 a lane, a turn's worth.
     * Fewer are taken where names do not suffice: two live sessions never share one, and a name of
     * a process with ids comes back only after all others of the lane, while every session has
     * spoken 64 times and four times as often as the longest flow of that process has steps. A
     * process without ids has one session a host; where that is too few for its share of all lines,
     * fewer other sessions are live too, but with several lanes not less than 1024 for that. */
    uint32_t sessions;
    /* Worker w of n composes the events w, w + n, w + 2n, ... for its share of the hosts. */
    uint32_t worker, workers; /* workers 0 means 1 */
    double anomaly_rate;      /* share of sessions that are made anomalous, 0 to 1 */
    uint32_t kinds;           /* HX_ANOMALY_ bits: which kinds of anomalies; 0: those of sessions */
    /* Bursts and silences, which are of a host: on average one of them in this many events of all
     * workers together, in turn; 0: none. There are fewer where they last so long that no more can
     * go on at once: a burst a lane, 64 silences, of half of a lane's hosts at most. A burst's
     * messages are every 16th event or so of its lane, of process ids that are kept for bursts. A
     * silence lasts 2 to 20 s; the host's sessions go on after it. */
    uint64_t disturbance_events;
    /* Sessions are split among so many lanes, those of a lane numbered one after the other: a
     * sender has one for each port. Each lane has as many sessions, of hosts of its own. 0 is one
     * lane for which nobody counts turns (a file): until one is called, turns are of half as many
     * events as there are sessions, so that sessions that began together do not keep step for ever.
     */
    uint32_t lanes;
    void (*on_episode)(void *context,
                       const hx_episode *episode); /* at its last event; may be NULL */
    void *context;
} hx_composer_config;

typedef struct hx_composer hx_composer;

/* What was composed. */
typedef struct hx_composed {
    uint32_t length;   /* bytes, without a newline */
    uint32_t session;  /* the same number for all events of a session while it lives: choose the
                          port by it and the order within the session is kept. A burst's event has
                          that of a session that is passed over for it */
    uint64_t sequence; /* from 0, over all workers */
    int64_t time_ns;   /* start_ns + sequence / eps, exactly */
} hx_composed;

/* HX_EINVAL with a sentence in err, or HX_ENOMEM. */
int hx_composer_create(const hx_composer_config *config, hx_composer **out, hx_error *err);
void hx_composer_destroy(hx_composer *composer);

/* How many session numbers there are: hx_composed.session is below it, and session / (sessions /
 * lanes) is its lane. */
uint32_t hx_composer_sessions(const hx_composer *composer);

/* A turn begins: the events from here on are of this lane's sessions. Within a turn of at most
 * sessions / lanes events a session speaks at most once, so a sender may put a turn's lines into
 * any order and no session's order suffers; past that many, another turn of the same lane begins by
 * itself. At first it is lane 0's turn. The same turns at the same events: the same bytes. */
void hx_composer_turn(hx_composer *composer, uint32_t lane);

/* The next event's line, without a newline, into out (HX_LINE_ROOM bytes). Returns its length.
 * composed may be NULL. Cannot fail, does not allocate. */
uint32_t hx_composer_next(hx_composer *composer, char *out, hx_composed *composed);

/* Lines with their newlines, until max_events are composed or less than HX_LINE_ROOM of capacity is
 * left. Returns the bytes written; *events is how many lines they are. */
size_t hx_composer_fill(hx_composer *composer, char *out, size_t capacity, uint64_t max_events,
                        uint64_t *events);

/* The next event's time. */
int64_t hx_composer_time(const hx_composer *composer);

/* The next event is at time_ns, and event i after it at time_ns + i / rate, exactly; the rate is of
 * this composer alone. HX_EINVAL where time_ns is before start_ns or the event composed last, or
 * the rate is not allowed. With hx_composer_time as time_ns only the rate changes. Cheap enough for
 * every turn.
 */
int hx_composer_pace(hx_composer *composer, int64_t time_ns, uint64_t eps_milli);

/* Reports the episodes that are still open, as incomplete. Call once, after the last event. */
void hx_composer_finish(hx_composer *composer);

#endif
