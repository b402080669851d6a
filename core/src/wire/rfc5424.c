#include "timestamp.h"
#include "wire.h"

/* RFC 5424, section 6, to the letter:
 *   <PRI>VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP SD [SP MSG]
 * "-" is the nil value: an empty slice in the record. */

#define SD_NAME_MAX 32
#define SD_SEEN_MAX 64 /* elements whose names are compared for duplicates */

static const char *version_read(const char *p, const char *end)
{
    const char *start = p;

    while (p < end && p - start < 3 && wire_is_digit(*p))
        p++;
    return p == start || *start == '0' ? NULL : p;
}

/* One header field of 1 to max printable ASCII bytes, and the single blank after it. */
static inline const char *field_read(const char *p, const char *end, ptrdiff_t max, hx_slice *field)
{
    const char *start = p;

    p = wire_scan_printable(p, end);
    if (p == end || *p != ' ' || p == start || p - start > max)
        return NULL;
    if (p - start > 1 || *start != '-')
        *field = wire_slice(start, p);
    return p + 1;
}

/* SD-NAME: 1 to 32 printable ASCII bytes without '=', ']', '"' and blanks. */
static const char *sd_name_read(const char *p, const char *end)
{
    const char *start = p;

    while (p < end && wire_is_printable(*p) && *p != '=' && *p != ']' && *p != '"')
        p++;
    return p == start || p - start > SD_NAME_MAX ? NULL : p;
}

/* PARAM-VALUE, from after its opening quote to after its closing one. Only '"', '\' and ']' may be
 * escaped, and must be; the rest is UTF-8. */
static const char *sd_value_read(const char *p, const char *end)
{
    const char *start = p;
    bool ascii = true;

    for (;; p++) {
        p = wire_scan_sd_value(p, end);
        if (p == end || *p == ']')
            return NULL;
        if (*p == '"')
            break;
        if (*p == '\\') {
            if (++p == end || (*p != '"' && *p != '\\' && *p != ']'))
                return NULL;
        } else {
            ascii = false;
        }
    }
    return ascii || wire_utf8_valid_end(start, p) == p ? p + 1 : NULL;
}

static const char *sd_element_read(const char *p, const char *end, hx_slice *name)
{
    const char *start = p;

    p = sd_name_read(p, end);
    if (!p)
        return NULL;
    *name = wire_slice(start, p);
    while (p < end && *p == ' ') {
        p = sd_name_read(p + 1, end);
        if (!p || end - p < 2 || p[0] != '=' || p[1] != '"')
            return NULL;
        p = sd_value_read(p + 2, end);
        if (!p)
            return NULL;
    }
    return p < end && *p == ']' ? p + 1 : NULL;
}

/* An SD-ID must not occur twice (6.3.2). Names past the first SD_SEEN_MAX are not compared, so that
 * a hostile message cannot make this quadratic. */
static const char *structured_data_read(const char *p, const char *end, hx_slice *data)
{
    hx_slice seen[SD_SEEN_MAX];
    uint32_t count = 0;
    const char *start = p;

    if (p < end && *p == '-')
        return p + 1;
    if (p == end || *p != '[')
        return NULL;
    while (p < end && *p == '[') {
        hx_slice name;
        p = sd_element_read(p + 1, end, &name);
        if (!p)
            return NULL;
        for (uint32_t i = 0; i < count; i++)
            if (hx_slice_equal(seen[i], name))
                return NULL;
        if (count < SD_SEEN_MAX)
            seen[count++] = name;
    }
    *data = wire_slice(start, p);
    return p;
}

int wire_rfc5424_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record)
{
    const char *p = line.ptr, *end = p + line.len;

    p = wire_pri_read(p, end, record);
    p = p ? version_read(p, end) : NULL;
    if (!p || p == end || *p++ != ' ' || p == end)
        return HX_EMALFORMED;
    p = *p == '-' ? p + 1 : wire_rfc5424_time_read(p, end, scratch, &record->time_us);
    if (!p || p == end || *p++ != ' ')
        return HX_EMALFORMED;
    if (!(p = field_read(p, end, 255, &record->host)) ||
        !(p = field_read(p, end, 48, &record->process)) ||
        !(p = field_read(p, end, 128, &record->pid)) ||
        !(p = field_read(p, end, 32, &record->msgid)) ||
        !(p = structured_data_read(p, end, &record->structured_data)))
        return HX_EMALFORMED;
    if (p == end)
        return 0;
    if (*p++ != ' ')
        return HX_EMALFORMED;
    /* A byte order mark promises UTF-8; without one, a message is any bytes. */
    if (end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        if (wire_utf8_valid_end(p, end) != end)
            return HX_EMALFORMED;
    }
    record->message = wire_trimmed(p, end);
    return 0;
}
