#include "wire.h"

#include <stdlib.h>

typedef int (*parse_fn)(hx_slice line, hx_format_scratch *scratch, hx_record *record);

typedef struct preset {
    const char *name;
    const char *pattern; /* in the pattern language, or where parse is set, a description */
    parse_fn parse;
    bool alias;       /* detection names the other one */
    bool known_level; /* detection wants the level to be a word that loggers use */
} preset;

static int plain_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record)
{
    (void)scratch;
    record->message = wire_trimmed(line.ptr, line.ptr + line.len);
    return 0;
}

/* The most specific first: detection takes the first of those that fit about equally well. */
static const preset presets[] = {
    {"rfc5424", "RFC 5424, strictly: <PRI>1 TIMESTAMP HOST APP-NAME PROCID MSGID [DATA] MESSAGE",
     wire_rfc5424_parse},
    {"jsonl", "one JSON object a line (docker, journald, bunyan, zap, logstash and their like)",
     wire_json_parse},
    {"audit", "type={process} msg=audit({time:%s.%f}:{skip}): {message}"},
    {"logfmt", "name=value pairs, values with blanks in quotes", wire_logfmt_parse},
    {"rfc3164", "RFC 3164: <PRI>Mmm dd hh:mm:ss HOST TAG[PID]: MESSAGE", wire_rfc3164_parse},
    {"syslog", "RFC 3164 as daemons write it to files: Mmm dd hh:mm:ss HOST TAG[PID]: MESSAGE",
     wire_bsd_parse},
    {"linux", "the same as syslog", wire_bsd_parse, .alias = true},
    {"openssh", "the same as syslog", wire_bsd_parse, .alias = true},
    {"bgl", "{skip} {time:%s} {skip} {host} {skip} {skip} {skip} {process} {level} {message}",
     .known_level = true},
    {"thunderbird", "{skip} {time:%s} {skip} {host} {skip} {skip} {skip} {skip} {tag} {message}"},
    {"hdfs", "{time:%y%m%d %H%M%S} {pid} {level} {process}: {message}"},
    {"spark", "{time:%y/%m/%d %H:%M:%S} {level} {process}: {message}", .known_level = true},
    {"zookeeper", "{time} - {level} [{thread}:{process}@{skip}] - {message}"},
    {"hadoop", "{time} {level} [{thread}] {process}: {message}", .known_level = true},
    {"openstack", "{skip} {time} {pid} {level} {process} [{skip}] {message}", .known_level = true},
    {"spring", "{time} {level} {pid} --- [{thread}] {process} : {message}", .known_level = true},
    {"kafka", "[{time}] {level} {message}", .known_level = true},
    {"elastic", "[{time}][{level}][{process}] {message}", .known_level = true},
    {"gunicorn", "[{time:%Y-%m-%d %H:%M:%S %z}] [{pid}] [{level}] {message}", .known_level = true},
    {"mysql", "{time} {thread} [{level}] [{skip}] [{process}] {message}"},
    {"postgres", "{time} {skip} [{pid}] {level}: {message}", .known_level = true},
    {"redis", "{pid}:{skip} {time:%d %b %Y %H:%M:%S.%f} {level} {message}"},
    {"cri", "{time} std{skip} {skip} {message}"},
    {"log4j", "{time} [{thread}] {level} {process} - {message}", .known_level = true},
    {"logback", "{time:%H:%M:%S.%f} [{thread}] {level} {process} - {message}", .known_level = true},
    {"apache", "[{time:%a %b %d %H:%M:%S %Y}] [{level}] {message}"},
    {"apache24", "[{time:%a %b %d %H:%M:%S.%f %Y}] [{process}:{level}] [pid {pid}] {message}"},
    {"dmesg", "[{time:%a %b %d %H:%M:%S %Y}] {message}"},
    {"access", "{host} {skip} {skip} [{time:%d/%b/%Y:%H:%M:%S %z}] {message}"},
    {"nginx", "{time:%Y/%m/%d %H:%M:%S} [{level}] {pid}#{thread}: {message}"},
    {"android", "{time:%m-%d %H:%M:%S.%f} {pid} {thread} {level} {process}: {message}",
     .known_level = true},
    {"windows", "{time}, {level} {process} {message}", .known_level = true},
    {"healthapp", "{time:%Y%m%d-%H:%M:%S:%f}|{process}|{pid}|{message}"},
    {"proxifier", "[{time:%m.%d %H:%M:%S}] {process} - {message}"},
    {"python", "{time} - {process} - {level} - {message}", .known_level = true},
    {"python_basic", "{level}:{process}:{message}", .known_level = true},
    {"iso_bracket", "{time} [{level}] {message}", .known_level = true},
    {"iso_colon", "{time} {level}: {message}", .known_level = true},
    {"iso_level", "{time} {level} {message}", .known_level = true},
    {"iso", "[<PRI>]YYYY-MM-DDThh:mm:ss[.fraction][zone] HOST TAG[PID]: MESSAGE", wire_iso_parse},
    {"hpc", "{skip} {host} {process} {skip} {time:%s} {skip} {message}"},
    {"plain", "the whole line is the message; no time", plain_parse},
};

#define PRESET_COUNT (sizeof presets / sizeof presets[0])
#define PLAIN        (PRESET_COUNT - 1)

struct hx_format {
    parse_fn parse;        /* a form read by hand, or */
    wire_pattern *pattern; /* a pattern */
    char *spec;
};

static const preset *preset_find(const char *name)
{
    for (size_t i = 0; i < PRESET_COUNT; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

int hx_format_create(const char *spec, hx_format **out, hx_error *err)
{
    const preset *p = preset_find(spec);
    hx_format *format;
    int rc = 0;

    *out = NULL;
    if (!p && !strchr(spec, '{'))
        return hx_error_set(
            err, HX_EINVAL,
            "format: \"%.64s\" is not a preset's name (such as iso, syslog, rfc5424, "
            "jsonl, plain) and has no {field} in it, as a pattern would",
            spec);
    format = calloc(1, sizeof *format);
    if (!format || !(format->spec = strdup(spec)))
        rc = hx_error_set(err, HX_ENOMEM, "format: out of memory");
    else if (p && p->parse)
        format->parse = p->parse;
    else
        rc = wire_pattern_create(p ? p->pattern : spec, &format->pattern, err);
    if (rc) {
        hx_format_destroy(format);
        return rc;
    }
    *out = format;
    return 0;
}

void hx_format_destroy(hx_format *format)
{
    if (!format)
        return;
    wire_pattern_destroy(format->pattern);
    free(format->spec);
    free(format);
}

const char *hx_format_spec(const hx_format *format)
{
    return format->spec;
}

int hx_format_parse(const hx_format *format, hx_slice line, hx_format_scratch *scratch,
                    hx_record *record)
{
    int rc;

    wire_record_clear(record);
    if (format->parse)
        rc = format->parse(line, scratch, record);
    else
        rc = wire_pattern_parse(format->pattern, line, scratch, record);
    if (__builtin_expect(rc != 0, 0)) {
        wire_record_clear(record);
        record->message = line;
    }
    return rc;
}

const char *hx_format_preset_name(uint32_t i)
{
    return i < PRESET_COUNT ? presets[i].name : NULL;
}

const char *hx_format_preset_pattern(uint32_t i)
{
    return i < PRESET_COUNT ? presets[i].pattern : NULL;
}

/* --- detection ------------------------------------------------------------------------------- */

static bool is_empty(hx_slice line)
{
    return wire_trimmed(line.ptr, line.ptr + line.len).len == 0;
}

static uint32_t count_fits(const preset *p, const hx_format *format, const hx_slice *lines,
                           uint32_t line_count)
{
    hx_format_scratch scratch = {.now_us = INT64_C(4102444800) * 1000000}; /* any year will do */
    uint32_t fits = 0;

    for (uint32_t i = 0; i < line_count; i++) {
        hx_record record;
        if (is_empty(lines[i]) || hx_format_parse(format, lines[i], &scratch, &record))
            continue;
        fits += !p->known_level || wire_level_severity(record.level) != HX_PRI_NONE;
    }
    return fits;
}

const char *hx_format_detect(const hx_slice *lines, uint32_t line_count)
{
    uint32_t fits[PRESET_COUNT] = {0}, wanted = 0, best = 0;

    for (uint32_t i = 0; i < line_count; i++)
        wanted += !is_empty(lines[i]);
    for (size_t i = 0; i < PLAIN && wanted; i++) {
        hx_format *format;
        if (presets[i].alias || hx_format_create(presets[i].name, &format, NULL))
            continue;
        fits[i] = count_fits(&presets[i], format, lines, line_count);
        best = fits[i] > best ? fits[i] : best;
        hx_format_destroy(format);
    }
    if (best < wanted - wanted / 10 || best == 0)
        return presets[PLAIN].name;
    /* A general form always fits a line more (a stray banner, say) than the one that knows the
     * fields; within a hundredth of the lines the one that knows more wins. */
    for (size_t i = 0; i < PLAIN; i++)
        if (fits[i] && fits[i] + wanted / 100 >= best)
            return presets[i].name;
    return presets[PLAIN].name;
}
