/* The front of the walk, shared by training and detection: bytes -> lines -> records -> log keys
 * and sessions. One call turns a buffer of whole lines into events, in the order of the lines. */
#ifndef HAECHI_FRONT_H
#define HAECHI_FRONT_H

#include <haechi/error.h>
#include <haechi/format.h>
#include <haechi/intern.h>
#include <haechi/rules.h>
#include <haechi/slice.h>
#include <haechi/template.h>
#include <haechi/values.h>

#define HX_SESSION_NAME_MAX 48

typedef enum hx_session_by {
    HX_SESSION_BY_FIELDS, /* header fields joined by a blank */
    HX_SESSION_BY_VALUE,  /* every distinct value in the message that starts with prefix */
    HX_SESSION_BY_TIME,   /* event time / seconds, and the fields, if any */
    HX_SESSION_BY_ALL,    /* one session */
} hx_session_by;

enum {
    HX_FIELD_HOST = 1,
    HX_FIELD_PROCESS = 2,
    HX_FIELD_PID = 4,
    HX_FIELD_THREAD = 8,
};

typedef struct hx_session_rule {
    hx_session_by by;
    uint32_t fields;  /* HX_FIELD_ bits */
    char prefix[32];  /* by value; NUL-terminated, not empty */
    uint32_t seconds; /* by time; at least 1 */
} hx_session_rule;

/* One event of one session. A line makes one event; by value it makes one for each value in it. */
typedef struct hx_event {
    uint64_t session; /* hash of the name; decides the worker */
    int64_t time_us;  /* event time, or HX_TIME_NONE */
    int64_t
        earlier_us;  /* largest event time of the lines before it in this call, or HX_TIME_NONE */
    uint32_t line;   /* offset of the line in the buffer */
    uint32_t length; /* of the line, without its newline */
    uint32_t key;    /* log key, or HX_KEY_UNSEEN */
    uint8_t name_len;
    uint8_t severity;      /* syslog's 0..7, or HX_PRI_NONE */
    uint8_t first_of_line; /* 1 for the first event of a line, 0 for further ones */
    uint8_t ends_session;  /* 1 where the input itself says that the session is over */
    uint8_t host_len;      /* 0 where the line names none, or nobody asked for it */
    uint8_t process_len;   /* likewise */
    uint16_t odd_value;    /* 0, or 1 + the index of the check that a value fails */
    uint32_t host_at;      /* its host: offset in the buffer */
    uint32_t host;         /* and the low half of its hash */
    uint32_t process_at;   /* likewise its process, where somebody asked for it */
    uint64_t process;      /* the whole hash */
    uint32_t host_number;  /* of their names, or 0 (haechi/intern.h) */
    uint32_t process_number;
    char name[HX_SESSION_NAME_MAX]; /* the session's name, zero-padded; a longer one is cut and
                                       ends in '~' and eight digits of its hash */
} hx_event;

typedef struct hx_front_counters {
    uint64_t lines;     /* non-empty lines */
    uint64_t empty;     /* empty lines: no event */
    uint64_t malformed; /* header does not fit the format: no event */
    uint64_t unseen;    /* lines that fit no template */
} hx_front_counters;

/* What rules say of an event; further ones of the same event follow where several deny it. */
typedef struct hx_ruling {
    uint32_t event;         /* its index */
    uint32_t rule : 24;     /* that denies it, or HX_NO_RULE */
    uint32_t allowed : 1;   /* raises no alert by itself */
    uint32_t escalated : 1; /* what it raises is graver, and it is never left out */
} hx_ruling;
#define HX_NO_RULE 0xffffffu

/* The most rulings that this many events can have. */
#define HX_RULINGS_OF(events) ((size_t)(events) * HX_RULES_DENIED_MAX)

/* Lines are judged by rules where they are read: whose place, and where what they say goes. A rule
 * denies a line once, with the first event that it fits. */
typedef struct hx_front_rules {
    const hx_rules *rules;
    hx_rule_seat *seat;
    hx_slice source;
    hx_ruling *rulings; /* in the order of the events; room for HX_RULINGS_OF them */
    uint32_t count;
    uint64_t over; /* rules beyond HX_RULES_DENIED_MAX that denied a line */
} hx_front_rules;

typedef struct hx_front hx_front;

/* One thread's front. It borrows format and matcher, which may serve other threads too; a NULL
 * format means the form HX_FRONT_KEYS below. */
int hx_front_create(const hx_format *format, const hx_matcher *matcher, const hx_session_rule *rule,
                    hx_front **out, hx_error *err);
void hx_front_destroy(hx_front *front);

/* Reads lines from buffer until it or the room in events is used up. Returns the number of events;
 * *consumed is the number of bytes read, always whole lines (the last line of the buffer may lack
 * its newline). A line's events are never split over two calls. now_us gives the year to timestamps
 * without one. capacity: at least 64; a line is read only while hx_front_capacity(its length)
 * events are free, so a capacity of hx_front_capacity(length) suffices for the whole buffer. Adds
 * to *counters. */
uint32_t hx_front_read(hx_front *front, const char *buffer, uint32_t length, int64_t now_us,
                       hx_event *events, uint32_t capacity, uint32_t *consumed,
                       hx_front_counters *counters);

/* From now on events say where their host stands; without it they do not. numbers: where its name
 * gets one, borrowed; NULL: it has none. */
void hx_front_watch_hosts(hx_front *front, hx_intern *numbers);

/* Likewise their process. */
void hx_front_watch_processes(hx_front *front, hx_intern *numbers);

/* From now on events say which check of values their message fails. Before the first line;
 * borrowed. 0 or HX_ENOMEM. */
int hx_front_watch_values(hx_front *front, const hx_values *values);

/* From now on hx_front_read judges lines by these rules; NULL: by none. Borrowed. */
void hx_front_rule(hx_front *front, hx_front_rules *rules);

/* The shape of a line's message (hx_template_shape): what groups lines that fit no template. */
uint64_t hx_front_shape(hx_front *front, hx_slice line);

/* Where format is the preset "keys", a line is a whole session whose log keys are known already,
 * NAME<TAB>KEY KEY KEY, and format and matcher are not asked: an event for each key, the last one
 * with ends_session set. A key that is not a number, or not below key_count, is HX_KEY_UNSEEN. */
#define HX_FRONT_KEYS "keys"

/* The least room in events that a buffer of this many bytes can never exceed in one call. */
static inline uint32_t hx_front_capacity(uint32_t length)
{
    return length / 2 + 64;
}

#endif
