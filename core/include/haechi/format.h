/* wire: from the bytes of one line or datagram to a record.
 *
 * A format is compiled once, from a preset's name ("iso", "rfc3164", "rfc5424", "hdfs", ...) or
 * from a pattern of the user's, and is immutable afterwards: any number of threads may parse with
 * it. Parsing owns nothing and allocates nothing; the record's slices point into the caller's line.
 *
 * Pattern language: literal text and {fields}. A blank in the literal text matches one or more
 * blanks or tabs; "{{" and "}}" are the braces themselves. Fields:
 *   {time}         event time in ISO 8601's or RFC 3339's form: a 'T' or a blank before the clock,
 *                  a fraction after '.' or ',' and a zone where there are any
 *   {time:FORMAT}  event time by strptime's letters: %Y %y %m %b %d %e %H %I %M %S %p %z %a %j %s,
 *                  and %f, a fraction of a second of 1 to 9 digits; without a zone it is UTC
 *   {level} {host} {process} {pid} {thread} {message}  the record's fields
 *   {pri}          "<13>", or after a literal '<' its number alone
 *   {tag}          a syslog tag: "process:", "process[pid]:", "process[pid]", or nothing
 *   {skip} or {anything_else}   consumed, not kept
 *   {field?}       may be absent together with the literal that follows it
 * A field runs to the next literal of the pattern; {message} is last and takes the rest.
 *
 * A timestamp without a year gets the latest year in which it is not more than 31 days after the
 * scratch's now_us (and in which its day exists: 29 February); one with two digits, the latest
 * century likewise; one without a date, today or, where that is over 12 hours ahead, yesterday.
 */
#ifndef HAECHI_FORMAT_H
#define HAECHI_FORMAT_H

#include <haechi/error.h>
#include <haechi/slice.h>

#define HX_TIME_NONE INT64_MIN /* no event time in the header */
#define HX_PRI_NONE  255       /* no facility or severity in the header */

/* What the header said. Fields that the line does not have are empty slices. */
typedef struct hx_record {
    int64_t time_us; /* event time, microseconds since 1970-01-01 UTC, or HX_TIME_NONE */
    hx_slice host;
    hx_slice process; /* RFC 5424 APP-NAME, RFC 3164 TAG, a logger's or component's name */
    hx_slice pid;     /* process id, RFC 5424 PROCID, a thread's id where the log has only that */
    hx_slice thread;
    hx_slice level;           /* the log's own word: INFO, WARN, error */
    hx_slice msgid;           /* RFC 5424 MSGID */
    hx_slice structured_data; /* RFC 5424, brackets included */
    hx_slice message;         /* what the template miner sees; blanks at both ends are cut */
    uint8_t facility;         /* 0..23 or HX_PRI_NONE */
    uint8_t severity;         /* 0..7, of PRI or of the level's word, or HX_PRI_NONE */
} hx_record;

/* A caller's scratch, one per thread: remembers the last timestamp's text and its value, because
 * neighbouring lines share theirs. Zero it once. */
typedef struct hx_format_scratch {
    uint64_t owner; /* which kind of timestamp the text is of; 0: none yet */
    char text[64];
    uint32_t text_len;
    int64_t time_us;
    int64_t now_us; /* set by the caller: what year and century a timestamp without them gets */
} hx_format_scratch;

typedef struct hx_format hx_format;

/* spec: a preset's name, or a pattern (anything with a '{' in it). HX_EINVAL with a sentence in err
 * that names the place in the pattern. */
int hx_format_create(const char *spec, hx_format **out, hx_error *err);
void hx_format_destroy(hx_format *format);

/* The preset's name or the pattern it was created from; lives as long as the format. */
const char *hx_format_spec(const hx_format *format);

/* One line without its newline. 0, or HX_EMALFORMED with an empty *record (no time, no PRI, empty
 * slices) but for record->message = the whole line. Never reads outside [line.ptr, line.ptr +
 * line.len). */
int hx_format_parse(const hx_format *format, hx_slice line, hx_format_scratch *scratch,
                    hx_record *record);

/* The preset that fits the most of these lines best (most specific first), as a name for
 * hx_format_create. "plain", where nothing fits nine tenths of them. Never NULL. */
const char *hx_format_detect(const hx_slice *lines, uint32_t line_count);

/* Preset i and its pattern or description, for --help; NULL past the end. */
const char *hx_format_preset_name(uint32_t i);
const char *hx_format_preset_pattern(uint32_t i);

#endif
