/* rules: what stage one knows of lines without asking a model.
 *
 * A rule file is JSON (docs/rules.md): {"format": 1, "rules": [{"id", "title", "action",
 * "severity", "tags", "condition"}]}. A condition is {"all": [...]}, {"any": [...]}, {"not": ...}
 * or a test of one field, {"field", "op", "value", "nocase"}. A text field that a line does not
 * have, or has empty, is not there: every test of it but "exists": false is false, and so is every
 * comparison of a number that is not there. Bytes are compared; nocase folds A-Z with a-z and
 * nothing else.
 *
 * All patterns of a field are searched in one pass by Hyperscan, which is loaded when the first
 * rules are (libhs.so.5; Vectorscan has the same). Most texts are not searched at all: a text is
 * looked up by its form first, the text with every digit made a zero. What a pattern that cannot
 * tell one digit from another says of a form, it says of every text of that form; a pattern that
 * can is searched with its digits made any digits, and only where that hits, exactly. So what is
 * remembered of a form is exact, whatever the digits are.
 *
 * A condition is looked at only when a pattern has hit that it cannot be true without; those that
 * can be true without any hit (of numbers, of what is not there) are looked at for every line. */
#ifndef HAECHI_RULES_H
#define HAECHI_RULES_H

#include <haechi/error.h>
#include <haechi/slice.h>
#include <haechi/text.h>

#define HX_RULE_FORMAT        1
#define HX_RULES_MAX          100000
#define HX_RULE_PATTERNS_MAX  1000000
#define HX_RULE_DEPTH_MAX     32
#define HX_RULE_PATTERN_BYTES 8192
#define HX_RULE_ID_BYTES      128
#define HX_RULE_TITLE_BYTES   512
#define HX_RULE_TAGS_MAX      32
#define HX_RULE_TAG_BYTES     128
#define HX_RULE_FILE_BYTES    (1u << 30)

typedef enum hx_rule_action { HX_RULE_DENY, HX_RULE_ALLOW, HX_RULE_ESCALATE } hx_rule_action;
#define HX_RULE_ACTIONS 3

typedef enum hx_rule_field {
    HX_RULE_LINE,
    HX_RULE_MESSAGE,
    HX_RULE_HOST,
    HX_RULE_PROCESS,
    HX_RULE_PID,
    HX_RULE_SESSION,
    HX_RULE_SOURCE,
    HX_RULE_TEMPLATE,
    HX_RULE_TEXTS,
    HX_RULE_SEVERITY = HX_RULE_TEXTS,
    HX_RULE_FACILITY,
    HX_RULE_LOG_KEY,
    HX_RULE_FIELDS,
} hx_rule_field;

typedef struct hx_rule {
    const char *id, *title;
    const char *const *tags;
    uint32_t tag_count;
    hx_rule_action action;
    uint8_t severity;   /* 0 low .. 3 critical */
    uint32_t condition; /* its first node */
} hx_rule;

typedef struct hx_rules hx_rules;

/* Reads, checks and compiles; takes seconds for many patterns, so it is not for a worker's thread.
 * seats: how many threads will judge lines with it. HX_EINVAL, HX_EMALFORMED, HX_EVERSION, HX_EIO,
 * HX_ENOTFOUND, HX_ENOMEM with a sentence in err that names the file, the rule and the pattern, and
 * gives Hyperscan's words where it refused. */
int hx_rules_load(const char *path, uint32_t seats, hx_rules **out, hx_error *err);
/* The same from memory; name is what the sentences call it. */
int hx_rules_create(const char *json, size_t json_len, const char *name, uint32_t seats,
                    hx_rules **out, hx_error *err);
/* When no seat is used any more. NULL is fine. */
void hx_rules_destroy(hx_rules *rules);

uint32_t hx_rules_count(const hx_rules *rules);
/* Which of the engine's sets it is: a number that its owner gives it, and 0 for NULL. */
void hx_rules_number(hx_rules *rules, uint64_t epoch);
uint64_t hx_rules_epoch(const hx_rules *rules);
const hx_rule *hx_rules_get(const hx_rules *rules, uint32_t index);
/* The first 16 hexadecimal digits of the file's sha256. */
const char *hx_rules_digest(const hx_rules *rules);
const char *hx_rules_name(const hx_rules *rules);
/* Whether any rule asks for the field. */
bool hx_rules_use(const hx_rules *rules, hx_rule_field field);
/* Times a rule has held, over all seats; from any thread. */
uint64_t hx_rules_hits(const hx_rules *rules, uint32_t index);

/* --- judging lines -----------------------------------------------------------------------------
 */

#define HX_RULE_NUMBER_NONE UINT32_MAX
#define HX_RULES_DENIED_MAX 16 /* rules that one line is reported for */

/* What rules see of a line. Only what hx_rules_use names need be set. */
typedef struct hx_rule_line {
    hx_slice text[HX_RULE_TEXTS];
    uint32_t number[HX_RULE_FIELDS - HX_RULE_TEXTS]; /* or HX_RULE_NUMBER_NONE */
    /* What a seat notes by the message's form, or NULL. The same for all messages that differ in
     * their digits only, and 0 when a form comes and whenever hx_rule_seat_stamp has changed. */
    uint32_t *note;
} hx_rule_line;

/* What they say. allow wins over the others: nothing is denied or escalated then. */
typedef struct hx_ruled {
    bool allow, escalate;
    uint32_t denied_count;
    uint32_t denied_over; /* further ones that deny it */
    uint32_t denied[HX_RULES_DENIED_MAX];
} hx_ruled;

typedef struct hx_rule_counters {
    uint64_t hits[HX_RULE_ACTIONS]; /* rules that held */
    uint64_t known;                 /* texts whose form was known */
    uint64_t scans;                 /* passes of Hyperscan */
} hx_rule_counters;

/* One thread's place: scratch, memory of forms, counts. Made with the rules; 0 .. seats - 1. */
typedef struct hx_rule_seat hx_rule_seat;
hx_rule_seat *hx_rules_seat(const hx_rules *rules, uint32_t index);

/* Where the form of a text is remembered, or would be; fetched, so that a few lines later there is
 * nothing to wait for. */
typedef struct hx_rule_place {
    void *form;
    uint64_t hash;
} hx_rule_place;
hx_rule_place hx_rule_seat_look(const hx_rule_seat *seat, hx_rule_field field, hx_slice text);

/* A number that changes when what the seat has noted is void; no two seats have the same. */
uint64_t hx_rule_seat_stamp(const hx_rule_seat *seat);

/* What the rules say of the line; NULL: nothing. Valid until the next call. place: of the line,
 * from hx_rule_seat_look, or NULL. No allocation, no lock. */
const hx_ruled *hx_rule_seat_judge(hx_rule_seat *seat, const hx_rule_line *line,
                                   const hx_rule_place *place);

const hx_rule_counters *hx_rule_seat_counters(const hx_rule_seat *seat);

#endif
