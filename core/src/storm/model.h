/* What a profile is made of, once read. Everything that a line needs is compiled to tables here, so
 * that composing is copying. */
#ifndef HAECHI_STORM_MODEL_H
#define HAECHI_STORM_MODEL_H

#include <haechi/storm.h>

/* Bounds on a profile: generous for people, small enough that hostile input stays cheap. */
enum {
    STORM_HOSTS_MAX = 60000,
    STORM_PIDS_MAX = 60000,
    STORM_PROCESSES_MAX = 64,
    STORM_VARIABLES_MAX = 256,
    STORM_CHOICES_MAX = 4096,
    STORM_CHOICE_BYTES_MAX = 126,
    STORM_PARTS_MAX = 6,
    STORM_FLOWS_MAX = 4096,
    STORM_STEPS_MAX = 32,
    STORM_TEXTS_MAX = 4096,
    STORM_TEXT_BYTES_MAX = 1000,
    STORM_PIECES_MAX = 32,
    STORM_REPEATS_MAX = 200,
    STORM_RULES_MAX = 256, /* of each kind */
    STORM_BURST_MAX = 2000,
    STORM_MUTANTS_MAX = 60000,
    STORM_NAME_MAX = 30,
    STORM_PREFIX_MAX = 24,  /* of a host's name; its number adds five digits at most */
    STORM_PROCESS_MAX = 27, /* so that " name: " and " name - " fit 32 bytes */
    STORM_SD_MAX = 200,
    STORM_HEAD_BYTES = 46, /* "host process[pid]: " */
    STORM_NUMBER_MAX = 99999999,
    STORM_SLACK = 128, /* readable bytes after every table, for copies in whole blocks */
};

/* The literal before a value, and where the value comes from. */
typedef struct storm_piece {
    const char *table; /* values, stride bytes each; NULL: a number */
    uint64_t salt;     /* of a value that the session keeps; 0: drawn anew for every line */
    uint32_t literal;  /* offset in the profile's literals */
    uint16_t literal_len;
    uint16_t stride;
    uint32_t count; /* of values */
    /* A number's smallest value. Of a table, a mask: the length of value i stands i & base bytes
     * before the last one in front of the values. */
    uint32_t base;
} storm_piece;

/* A text compiled for one form. */
typedef struct storm_text {
    char pri[8]; /* "<30>" */
    uint32_t first_piece;
    uint32_t tail; /* the literal after the last value */
    uint16_t tail_len;
    uint8_t pri_len;
    uint8_t piece_count;
    uint32_t start; /* where its literals begin, one behind the other */
} storm_text;

/* What a value is made of: an IPv4 address has a part for each octet that varies. */
typedef struct storm_part {
    char prefix[16];
    char *memory, *table; /* the table is within the memory; NULL: a number */
    uint32_t stride, count, base;
    uint32_t min_len, max_len; /* with the prefix */
} storm_part;

typedef enum storm_source { STORM_CHOICE, STORM_RANGE, STORM_IPV4, STORM_RANDOM } storm_source;

typedef struct storm_variable {
    char name[STORM_NAME_MAX + 2]; /* empty: stands for another one in an anomaly */
    bool of_session;               /* one value for the life of a session */
    uint8_t source;                /* storm_source */
    uint8_t address[4], fixed_octets;
    uint32_t low, high;   /* of a range */
    const char *alphabet; /* of random characters */
    uint32_t length;
    uint32_t part_count;
    storm_part parts[STORM_PARTS_MAX];
} storm_variable;

typedef struct storm_process {
    char name[STORM_PROCESS_MAX + 2];
    char lead[2][32]; /* after the host: " sshd[" or " kernel: "; [1] is RFC 5424's */
    uint8_t lead_len[2];
    char msgid[STORM_NAME_MAX + 2];
    char structured_data[STORM_SD_MAX + 2];
    uint8_t facility;
    bool has_pid;
} storm_process;

/* The source of a compiled text: what identifies a message. */
typedef struct storm_message {
    char *text;
    uint16_t process;
    uint8_t severity;
    bool normal;           /* some normal flow says it */
    uint16_t replaced, by; /* variables: the one is written where the text has the other */
    uint32_t max_len;
} storm_message;

/* One step of a flow: any of count texts. */
typedef struct storm_step {
    uint32_t first; /* in text_refs */
    uint32_t count;
} storm_step;

typedef enum storm_kind {
    STORM_NORMAL,
    STORM_SKIPPED,
    STORM_REORDERED,
    STORM_REPEATED,
    STORM_NEVER_SEEN,
    STORM_VALUE,
    STORM_KINDS,
} storm_kind;

typedef struct storm_flow {
    uint32_t first_step; /* in steps */
    uint8_t step_count;
    uint8_t kind; /* storm_kind */
    uint16_t process;
    double share;       /* of all lines */
    char technique[16]; /* empty: none */
} storm_flow;

/* Mutants that are alike (kind, and process or rule): first choose the group, then one of it, so
 * that a process with many flows does not crowd out the others. */
typedef struct storm_group {
    uint32_t first, count; /* in flows */
    uint8_t kind;
    bool has_pid;
} storm_group;

/* A rule for anomalies of the profile's own. */
typedef struct storm_rule {
    storm_kind kind; /* not of a burst, which is no flow */
    uint16_t process;
    uint16_t text;
    uint16_t normal;               /* STORM_VALUE: the message whose place the text takes */
    uint32_t times_min, times_max; /* STORM_REPEATED, and bursts */
    char technique[16];
} storm_rule;

struct hx_profile {
    char name[STORM_NAME_MAX + 2];
    char host_prefix[STORM_PREFIX_MAX + 2];
    uint32_t host_count, pid_first, pid_count;

    storm_process *processes;
    storm_variable *variables;
    storm_message *messages;
    storm_text *texts[2]; /* [1] is RFC 5424's */
    storm_piece *pieces;
    char *literals;
    uint16_t *text_refs;
    storm_step *steps;
    storm_flow *flows; /* the normal ones, then the mutants */
    storm_group *groups;
    storm_rule *rules, *bursts;

    uint32_t process_count, variable_count, message_count, piece_count, literal_bytes, ref_count,
        step_count, flow_count, normal_count, group_count, rule_count, burst_count;
    uint32_t piece_room, literal_room, ref_room, step_room, flow_room, group_room;
    uint32_t line_max;
};

/* Makes room for `more` items behind count; 0 or HX_ENOMEM. Only while a profile is read. */
int hx_storm_reserve(void **array, uint32_t *room, uint32_t count, uint32_t more, size_t item);

/* variable.c: the parts of one variable from what the profile says of it. */
int hx_storm_variable_choice(storm_variable *v, const char *const *values, uint32_t count);
int hx_storm_variable_range(storm_variable *v, uint32_t low, uint32_t high);
int hx_storm_variable_ipv4(storm_variable *v, const uint8_t address[4], uint32_t fixed_octets);
int hx_storm_variable_random(storm_variable *v, const char *alphabet, uint32_t length);
void hx_storm_variable_clear(storm_variable *v);
/* Whether it could have the value, or a number from low to high. */
bool hx_storm_variable_may_be(const storm_variable *v, const char *value);
bool hx_storm_variable_may_be_of(const storm_variable *v, uint32_t low, uint32_t high);

/* text.c: compiles message i for both layouts; where names the place in the profile. */
int hx_storm_text_compile(hx_profile *p, uint32_t i, const char *where, hx_error *err);

/* mutant.c: appends every anomalous flow that can be told from the normal ones. */
int hx_storm_mutants_make(hx_profile *p, hx_error *err);

#endif
