/* Control messages: what a storm that keeps account says to its receiver between the events, and
 * what the receiver answers. They are valid syslog lines of fixed length, so a receiver that knows
 * nothing of them logs an odd line and no more.
 *
 *   <46>haechi-storm: probe RUN STREAM SEQUENCE TIME
 *   <46>haechi-storm: mark RUN STREAM SEQUENCE TIME EVENTS BYTES CONTROLS
 *   <46>haechi-storm: end RUN STREAM SEQUENCE TIME EVENTS BYTES CONTROLS
 *   <46>haechi-sink: report RUN STREAM SEQUENCE RECEIVED BYTES CONTROLS DROPPED
 *
 * Numbers are 16 hexadecimal digits (0-9a-f), STREAM has 8. A stream is one socket of the storm's:
 * one worker, one target, one port. SEQUENCE counts a stream's control messages from 0. TIME is
 * nanoseconds since 1970. Totals are the stream's since its start; CONTROLS are control messages,
 * this one included.
 */
#ifndef HAECHI_MARK_H
#define HAECHI_MARK_H

#include <haechi/slice.h>

#define HX_MARK_MAX     192 /* room for the longest, without a newline */
#define HX_PROBE_BYTES  83  /* of every probe */
#define HX_TOTALS_BYTES 133 /* of every mark */
#define HX_END_BYTES    132
#define HX_REPORT_BYTES 134

typedef enum hx_mark_kind {
    HX_MARK_NONE,   /* an ordinary message */
    HX_MARK_PROBE,  /* time: when an event beside it was to be sent */
    HX_MARK_TOTALS, /* so much so far; asks for a report */
    HX_MARK_END,    /* so much in all, sent until it is answered; asks for a report */
    HX_MARK_REPORT, /* the receiver's answer, to the address that a mark came from */
} hx_mark_kind;

typedef struct hx_mark {
    hx_mark_kind kind;
    uint32_t stream;
    uint64_t run, sequence;
    int64_t time_ns; /* not in a report */
    /* Sent by the stream; in a report: received on the port, from the first control message of this
     * run on. A stream that begins with a control message therefore has all of it counted. */
    uint64_t events;
    uint64_t bytes;    /* of those events, without framing */
    uint64_t controls; /* in a report the one that it answers included */
    /* Reports only: what the receiver's kernel dropped on the port, in its unit, since the last
     * control message before this run's first one. */
    uint64_t dropped;
} hx_mark;

/* One message, without a newline, into out (HX_MARK_MAX bytes); returns its length. */
uint32_t hx_mark_format(const hx_mark *mark, char *out);

/* What a message is. HX_MARK_NONE for everything that is not exactly of the form above. */
hx_mark_kind hx_mark_parse(hx_slice message, hx_mark *mark);

/* Whether a message of this length can be one: in a run of equal messages, one question for all. */
static inline bool hx_mark_length(size_t len)
{
    return len == HX_PROBE_BYTES || (len >= HX_END_BYTES && len <= HX_REPORT_BYTES);
}

/* Whether it may be one: what the hot path asks of every message. Reads at most len bytes. */
static inline bool hx_mark_maybe(const char *p, size_t len)
{
    return hx_mark_length(len) && memcmp(p, "<46>haechi-s", 12) == 0;
}

#endif
