#include "timestamp.h"
#include "wire.h"

/* The syslog forms that are read by hand: the engine's hot path. */

const char *wire_pri_digits_read(const char *p, const char *end, hx_record *record)
{
    const char *start = p;
    unsigned pri = 0;

    for (; p < end && p - start < 3 && wire_is_digit(*p); p++)
        pri = pri * 10 + (unsigned)(*p - '0');
    if (p == start || pri > 191 || (*start == '0' && p - start > 1))
        return NULL;
    record->facility = (uint8_t)(pri >> 3);
    record->severity = (uint8_t)(pri & 7);
    return p;
}

#if WIRE_WORDS
/* "<n>", "<nn>" or "<nnn>" in the first bytes of word: its length, or 0. Its digits are no more
 * predictable than the next message's severity, so nothing here branches on how many there are. */
static inline unsigned pri_word(uint64_t word, unsigned *pri)
{
    uint64_t ends = word ^ UINT64_C(0x3e3e3e3e3e); /* a zero byte where there is a '>' */
    uint64_t digits = word >> 8 ^ UINT64_C(0x303030);
    uint64_t bad;
    unsigned count, first, length;

    ends = (ends - UINT64_C(0x0101010100)) & ~ends & UINT64_C(0x8080800000);
    if (!ends)
        return 0;
    length = (unsigned)__builtin_ctzll(ends) / 8 + 1; /* 3 to 5 */
    count = length - 2;
    digits &= (UINT64_C(1) << count * 8) - 1;
    first = (unsigned)digits & 0xff;
    bad = ((digits + UINT64_C(0x767676)) | digits) & UINT64_C(0x808080);
    bad |= (unsigned)(count == 3) & (unsigned)(first > 1);
    bad |= (unsigned)(count > 1) & (unsigned)(first == 0);
    digits <<= (3 - count) * 8;
    *pri = (unsigned)(digits * UINT64_C(0x640a01) >> 16) & 0xff;
    return bad || *pri > 191 ? 0 : length;
}
#endif

const char *wire_pri_read(const char *p, const char *end, hx_record *record)
{
#if WIRE_WORDS
    if (end - p >= 8 && *p == '<') {
        unsigned pri = 0, length = pri_word(wire_load64(p), &pri);
        record->facility = (uint8_t)(pri >> 3);
        record->severity = (uint8_t)(pri & 7);
        return length ? p + length : NULL;
    }
#endif
    if (p == end || *p != '<')
        return NULL;
    p = wire_pri_digits_read(p + 1, end, record);
    return p && p < end && *p == '>' ? p + 1 : NULL;
}

static inline bool ends_word(const char *p, const char *end)
{
    return p == end || wire_is_blank(*p);
}

const char *wire_tag_read(const char *p, const char *end, hx_record *record)
{
    const char *start = p;

    for (;;) {
        p = wire_scan_tag(p, end);
        if (p == end || p == start || wire_is_blank(*p))
            return start;
        if (*p == '[')
            break;
        if (ends_word(p + 1, end)) {
            record->process = wire_slice(start, p);
            return p + 1;
        }
        p++; /* a colon inside the word belongs to it: "registry/app:1.2[77]:" */
    }

    const char *pid = p + 1;
    const char *close = wire_scan_close(pid, end);
    if (close == end || *close != ']')
        return start;
    const char *after = close + 1;
    if (after < end && *after == ':')
        after++;
    if (!ends_word(after, end))
        return start;
    record->process = wire_slice(start, p);
    record->pid = wire_slice(pid, close);
    return after;
}

/* HOST TAG: MESSAGE, from the blank after the timestamp. What a program on the same machine writes
 * has no host: its first word is the tag. */
static inline int head_read(const char *p, const char *end, hx_record *record)
{
    const char *host, *after;

    if (p == end || !wire_is_blank(*p))
        return HX_EMALFORMED;
    host = wire_skip_blanks(p, end);
    p = wire_scan_blank(host, end);
    if (p == host)
        return HX_EMALFORMED;
    if (p[-1] == ':') {
        after = wire_tag_read(host, end, record);
        if (after != host) {
            record->message = wire_trimmed(after, end);
            return 0;
        }
    }
    record->host = wire_slice(host, p);
    p = wire_skip_blanks(p, end);
    p = wire_tag_read(p, end, record);
    record->message = wire_trimmed(p, end);
    return 0;
}

int wire_iso_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record)
{
    const char *p = line.ptr, *end = p + line.len;

    if (p < end && *p == '<') {
        p = wire_pri_read(p, end, record);
        if (!p)
            return HX_EMALFORMED;
    }
    if (end - p < 19 || p[10] != 'T')
        return HX_EMALFORMED;
    p = wire_iso_read(p, end, scratch, &record->time_us);
    return p ? head_read(p, end, record) : HX_EMALFORMED;
}

int wire_bsd_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record)
{
    const char *p = line.ptr, *end = p + line.len;

    if (p < end && *p == '<') {
        p = wire_pri_read(p, end, record);
        if (!p)
            return HX_EMALFORMED;
    }
    p = wire_bsd_time_read(p, end, scratch, &record->time_us);
    return p ? head_read(p, end, record) : HX_EMALFORMED;
}

int wire_rfc3164_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record)
{
    if (line.len == 0 || line.ptr[0] != '<')
        return HX_EMALFORMED;
    return wire_bsd_parse(line, scratch, record);
}
