/* What the files of wire share: the parsers behind hx_format_parse. Each takes the line, writes the
 * fields it finds into a record that is empty already, and returns 0 or HX_EMALFORMED. */
#ifndef HAECHI_WIRE_WIRE_H
#define HAECHI_WIRE_WIRE_H

#include "scan.h"

#include <haechi/format.h>

typedef struct wire_pattern wire_pattern;

/* [<PRI>]ISO-TIMESTAMP HOST TAG: MESSAGE */
int wire_iso_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record);
/* RFC 5424, strictly. */
int wire_rfc5424_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record);
/* RFC 3164, section 4.1; and the same as syslog daemons write it to files, without the PRI. */
int wire_rfc3164_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record);
int wire_bsd_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record);
/* One JSON object. */
int wire_json_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record);

/* name=value pairs, at least one of them a message, a time or a level. */
int wire_logfmt_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record);

/* A pattern of the language in format.h. HX_EINVAL with a sentence in err, or HX_ENOMEM. */
int wire_pattern_create(const char *pattern, wire_pattern **out, hx_error *err);
void wire_pattern_destroy(wire_pattern *pattern);
int wire_pattern_parse(const wire_pattern *pattern, hx_slice line, hx_format_scratch *scratch,
                       hx_record *record);

/* "<0>" to "<191>", without leading zeros; returns what follows, or NULL. */
const char *wire_pri_read(const char *p, const char *end, hx_record *record);
/* The digits alone; PRI's rules otherwise. */
const char *wire_pri_digits_read(const char *p, const char *end, hx_record *record);

/* A syslog tag: "process:", "process[pid]:" or "process[pid]", followed by a blank or the end.
 * Returns what follows it, or p where there is none. */
const char *wire_tag_read(const char *p, const char *end, hx_record *record);

/* Syslog's severity for a log's own level word (any case), or HX_PRI_NONE. */
uint8_t wire_level_severity(hx_slice level);

/* The first byte that does not continue valid UTF-8 (RFC 3629), or end. */
const char *wire_utf8_valid_end(const char *p, const char *end);

static inline hx_slice wire_slice(const char *p, const char *end)
{
    return (hx_slice){p, (uint32_t)(end - p)};
}

static inline hx_slice wire_trimmed(const char *p, const char *end)
{
    while (p < end && (wire_is_blank(*p) || *p == '\r'))
        p++;
    return wire_slice(p, wire_trim_end(p, end));
}

static inline void wire_record_clear(hx_record *record)
{
    *record =
        (hx_record){.time_us = HX_TIME_NONE, .facility = HX_PRI_NONE, .severity = HX_PRI_NONE};
}

#endif
