#include "members.h"

/* logfmt: name=value pairs with blanks between them, values in quotes where they have blanks. */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || wire_is_digit(c) || c == '_' ||
           c == '.' || c == '-' || c == '@' || c == '/';
}

/* From after the opening quote to the closing one, or NULL. */
static const char *quoted_end(const char *p, const char *end)
{
    for (; p < end && *p != '"'; p++)
        if (*p == '\\' && ++p == end)
            return NULL;
    return p < end ? p : NULL;
}

/* One pair; what follows it, or NULL. */
static const char *pair_read(const char *p, const char *end, wire_members *m)
{
    const char *start = p, *stop;
    hx_slice name;

    while (p < end && is_name_byte(*p))
        p++;
    if (p == start || p == end || *p != '=')
        return NULL;
    name = wire_slice(start, p);
    start = ++p;
    if (p < end && *p == '"') {
        stop = quoted_end(++start, end);
        if (!stop || (end - stop > 1 && !wire_is_blank(stop[1])))
            return NULL;
        p = stop + 1;
    } else {
        p = stop = wire_scan_blank(p, end);
    }
    wire_members_keep(m, name, wire_slice(start, stop));
    return p;
}

int wire_logfmt_parse(hx_slice line, hx_format_scratch *scratch, hx_record *record)
{
    const char *p = line.ptr, *end = wire_trim_end(p, p + line.len);
    wire_members m;

    wire_members_clear(&m);
    p = wire_skip_blanks(p, end);
    if (p == end)
        return HX_EMALFORMED;
    for (; p < end; p = wire_skip_blanks(p, end)) {
        p = pair_read(p, end, &m);
        if (!p)
            return HX_EMALFORMED;
    }
    /* Any a=b would do otherwise. */
    if (m.rank[WIRE_MESSAGE] == 255 && m.rank[WIRE_TIME] == 255 && m.rank[WIRE_LEVEL] == 255)
        return HX_EMALFORMED;
    wire_members_finish(&m, line, scratch, record);
    return 0;
}
