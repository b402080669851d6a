/* Detectors beside new_event and deeplog. Each is one file in this folder and one line of the table
 * in detector.c; on the side of training it is one file in src/haechi/train. A detector works where
 * the bundle's manifest has a section of its name, and is not there where it has none.
 *
 * What it keeps, and who owns it:
 *   model    one a bundle: made by load, read by every worker, never changed
 *   state    one a worker and bundle: made by open; one thread's
 *   session  session_bytes of each open session that has outgrown the model's window, aligned to a
 *            cache line; zero before the first event
 *
 * Scores are compared with limits that training took from normal sessions; nothing here knows of
 * anomalies. Evidence makes the scores of different detectors comparable: how improbable a score as
 * high as this is among normal sessions, in nats (docs/bundle.md, "Evidence"). */
#ifndef HAECHI_DETECT_DETECTOR_H
#define HAECHI_DETECT_DETECTOR_H

#include <haechi/front.h>
#include <haechi/text.h>

#include <string.h>

#define HX_DETECTORS_MAX   8
#define HX_HOST_NUMBERS    32768 /* names that get a number */
#define HX_PROCESS_NUMBERS 4096
#define HX_KNOTS_MAX       64

struct cJSON;
struct hx_bundle;
struct hx_manifest;

/* Evidence as a function of a score: straight between knots, at the first one's height before them,
 * on with a slope behind the last. No knots: 0 for every score. */
typedef struct hx_evidence {
    uint32_t count;
    double at[HX_KNOTS_MAX]; /* scores, ascending */
    double nats[HX_KNOTS_MAX];
    double slope; /* nats a unit of score, behind the last knot */
} hx_evidence;

double hx_evidence_of(const hx_evidence *evidence, double score);

/* From {"at": [...], "nats": [...], "slope": x}, or nothing (NULL). HX_EMALFORMED with a sentence
 * that names place. */
int hx_evidence_read(const struct cJSON *json, const char *place, hx_evidence *out, hx_error *err);

/* What a detector says of a session that has ended. */
typedef struct hx_outcome {
    double score, limit; /* anomalous where the score is above the limit */
    double evidence;     /* nats */
} hx_outcome;

/* What it says of one event, at once. The texts live until report returns. */
typedef struct hx_finding {
    const char *rule;
    double score, limit, evidence;
    const char *severity; /* low, medium, high or critical; NULL: as the line and the score say */
    int stage;            /* 2 where a model was asked; else 0 */
    hx_slice subject;     /* what it is about where that is no session, such as a host */
    hx_slice detail;      /* a JSON object, or empty */
    hx_slice reason;      /* one sentence */
} hx_finding;

/* What detectors could not look at; a worker's, added to by all of its states. */
typedef struct hx_detector_losses {
    uint64_t late_events;      /* came when what counts them had closed */
    uint64_t unscored_moments; /* a model could not be asked about */
} hx_detector_losses;

typedef struct hx_reporter {
    int64_t before_us; /* for lines: the watermark before the batch, or HX_TIME_NONE */
    int64_t lost_us; /* lines before this event time may have been lost on the way, and nobody knows
                        whose; HX_TIME_NONE: none */
    /* event: NULL where no line of this batch stands for it; then at and subject say what it is. */
    void (*report)(struct hx_reporter *reporter, const hx_event *event, int64_t time_us,
                   const hx_finding *finding);
    hx_detector_losses losses;
} hx_reporter;

/* A line, for what is of a host or of a log key and not of a session. Every worker reads all of
 * them, so it is small: half a cache line. */
typedef struct hx_seen {
    int64_t time_us;    /* event time, or HX_TIME_NONE */
    int64_t earlier_us; /* as in its event */
    uint32_t event;     /* its first one's index */
    uint32_t key;
    uint32_t host;    /* the number of its host's name, below HX_HOST_NUMBERS + 1; or 0 */
    uint16_t process; /* and of its process's, below HX_PROCESS_NUMBERS + 1 */
    uint8_t host_owner, process_owner; /* workers, by the hashes of the names */
} hx_seen;

/* The lines of a batch. */
typedef struct hx_seen_lines {
    const hx_seen *line;
    uint32_t count;
    const hx_event *events;
    uint32_t event_count;
    const char *buffer;
} hx_seen_lines;

hx_seen hx_seen_of(const hx_event *events, uint32_t index, uint32_t workers);

/* Files of the bundle, for load: the whole file, verified, with a NUL behind it; to be freed. */
typedef struct hx_bundle_files {
    const char *directory;
    const struct hx_manifest *manifest;
    const char *library; /* ONNX Runtime, or NULL for the loader's search path */
} hx_bundle_files;
int hx_bundle_read(const hx_bundle_files *files, const char *name, char **bytes, size_t *len,
                   hx_error *err);

typedef struct hx_detector {
    const char *name; /* of its section, and in alerts */
    bool wants_hosts; /* events are to say which host they are of */
    bool wants_processes;
    uint32_t session_bytes;
    bool only_odd; /* event is for those with a value that fails a check */

    /* section: its own object of the manifest's "detectors". HX_EMALFORMED and the rest with a
     * sentence in err. */
    int (*load)(const struct cJSON *section, const hx_bundle_files *files,
                const struct hx_bundle *bundle, void **model, hx_error *err);
    void (*unload)(void *model);
    /* The checks of values that the front is to make. NULL: none. */
    const hx_values *(*values)(const void *model);

    /* NULL where it keeps no state. */
    int (*open)(const void *model, uint32_t worker, uint32_t workers, void **state);
    void (*close)(void *state);

    /* An event of a session, in the order of the input, before deeplog judges it. token: what the
     * model would see, the bundle's unseen where the key was not trained. NULL: none wanted. */
    void (*event)(const void *model, void *state, void *session, const hx_event *event,
                  const char *buffer, uint16_t token, hx_reporter *reporter);
    /* Where it keeps something of a session, the tokens are all there is to it: event is NULL in
     * the calls that catch up on those of a session's beginning, and for the whole of a session
     * that the window holds to its end, end_short is asked instead of end. */
    bool (*end_short)(const void *model, void *state, const uint16_t *tokens, uint32_t count,
                      hx_outcome *out);

    /* Every line of a batch, whoever owns its session, for what is of a host or of a log key and
     * not of a session: a worker takes those that are its own by a hash of its choice
     * (hx_batch_owner), so that each thing is one worker's for any number of workers. NULL: not
     * wanted. */
    void (*lines)(const void *model, void *state, const hx_seen_lines *lines,
                  hx_reporter *reporter);

    /* The session has ended by itself; not called where it was cut or evicted. False: it has
     * nothing to say of this one. NULL: it judges no sessions. */
    bool (*end)(const void *model, void *state, const void *session, hx_outcome *out);
    /* Why, in one sentence, and a JSON object for the alert's "detail". */
    void (*say)(const void *model, void *state, const struct hx_bundle *bundle, const void *session,
                const hx_outcome *outcome, hx_text *reason, hx_text *detail);

    /* Event time has reached watermark_us; called at least once a batch, never twice with the same.
     * NULL: not wanted. */
    void (*advance)(const void *model, void *state, int64_t watermark_us, hx_reporter *reporter);

    /* Another bundle's tokens in a session: map[old token] is the new one, unseen what is gone. map
     * NULL: the session began before this detector was there, and is all zero; it must not be
     * judged as if it were whole. What comes from a checkpoint is anybody's bytes. */
    void (*translate)(void *session, const uint16_t *map, uint32_t map_len);

    /* State for a checkpoint; NULL: none. restore takes what any number of workers saved and keeps
     * what is this worker's. HX_EMALFORMED where it is not of this version. */
    void (*save)(const void *state, hx_text *out);
    int (*restore)(const void *model, void *state, const char *bytes, size_t len);

    /* What normal logs scored, for training to set limits by: the members of a JSON object, where
     * the section asked for it with "observe": true; appears in the summary of a run that has
     * ended. NULL: nothing. */
    void (*observed)(const void *state, hx_text *out);
} hx_detector;

/* All there are, NULL at the end. */
extern const hx_detector *const hx_detectors[];

/* Those of a bundle. */
typedef struct hx_detector_set {
    uint32_t count;
    uint32_t session_bytes; /* of all together, whole cache lines */
    const hx_detector *detector[HX_DETECTORS_MAX];
    void *model[HX_DETECTORS_MAX];
    uint32_t session_at[HX_DETECTORS_MAX]; /* where each one's part of a session's room begins */
    /* Whose event is asked: for those with an odd value, for all, and for all of a session of which
     * something is kept. Places in detector. */
    struct hx_detector_places {
        uint32_t count;
        uint8_t at[HX_DETECTORS_MAX];
    } of_odd, of_all, of_kept;
    bool sees_lines; /* somebody wants lines */
} hx_detector_set;

bool hx_detector_set_wants_hosts(const hx_detector_set *set);
bool hx_detector_set_wants_processes(const hx_detector_set *set);
const hx_values *hx_detector_set_values(const hx_detector_set *set); /* or NULL */

int hx_detector_set_load(hx_detector_set *set, const hx_bundle_files *files,
                         const struct hx_bundle *bundle, hx_error *err);
void hx_detector_set_unload(hx_detector_set *set);

/* What a worker keeps of them. Most sessions are short, and what their window holds need not be
 * kept a second time: a session's room is used from when it has grown. */
typedef struct hx_detector_room {
    const hx_detector_set *set;
    void *state[HX_DETECTORS_MAX];
    char *sessions;  /* [slot_count][set->session_bytes] */
    uint64_t *grown; /* a bit a slot: its room is in use */
    uint32_t slot_count;
} hx_detector_room;

int hx_detector_room_init(hx_detector_room *room, const hx_detector_set *set, uint32_t worker,
                          uint32_t workers, uint32_t slot_count);
void hx_detector_room_free(hx_detector_room *room);

static inline void *hx_detector_session(const hx_detector_room *room, uint32_t slot, uint32_t i)
{
    return room->sessions + (size_t)slot * room->set->session_bytes + room->set->session_at[i];
}

static inline bool hx_detector_grown(const hx_detector_room *room, uint32_t slot)
{
    return room->grown[slot / 64] >> (slot % 64) & 1;
}

static inline void hx_detector_session_opens(const hx_detector_room *room, uint32_t slot)
{
    room->grown[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

/* What the detectors would have kept of a session of these tokens, into session_bytes of room. */
void hx_detector_keep(const hx_detector_room *room, const uint16_t *tokens, uint32_t count,
                      char *kept);

/* A session's room comes into use, for what it was so far. */
void hx_detector_session_grows(const hx_detector_room *room, uint32_t slot, const uint16_t *tokens,
                               uint32_t count);

/* To another bundle: the room of a set that takes over from another. Each session has grown by now,
 * and its part goes to the same detector of the new set, through its translate. slots: those that
 * have been in use. */
int hx_detector_room_adopt(hx_detector_room *room, const hx_detector_set *set, uint32_t worker,
                           uint32_t workers, uint32_t slots, const uint16_t *map, uint32_t map_len);

#endif
