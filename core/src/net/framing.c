#include "framing.h"

enum { COUNT_DIGITS_MAX = 9 };

static frame_result message(frame *out, const char *from, uint32_t len, uint32_t used, bool cut)
{
    if (len > HX_NET_MESSAGE_MAX) {
        len = HX_NET_MESSAGE_MAX;
        cut = true;
    }
    *out = (frame){.message = hx_slice_make(from, len), .used = used, .cut = cut};
    return FRAME_MESSAGE;
}

static frame_result none(frame *out, uint32_t used)
{
    *out = (frame){.used = used};
    return FRAME_NONE;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Where the first LF or NUL is; len: nowhere. */
static uint32_t line_end(const char *p, uint32_t from, uint32_t len)
{
    const char *lf = memchr(p + from, '\n', len - from);
    uint32_t end = lf ? (uint32_t)(lf - p) : len;
    const char *nul = memchr(p + from, '\0', end - from);

    return nul ? (uint32_t)(nul - p) : end;
}

static frame_result next_line(framing *f, const char *p, uint32_t len, bool ended, frame *out)
{
    uint32_t at = 0, end, n;

    if (f->in_long_line) {
        at = line_end(p, 0, len);
        if (at == len)
            return none(out, len);
        at++;
        f->in_long_line = false;
    }
    end = line_end(p, at + f->clean, len);
    n = end - at;
    if (end < len) {
        f->clean = 0;
        if (p[end] == '\n' && n && p[end - 1] == '\r')
            n--;
        return message(out, p + at, n, end + 1, false);
    }
    /* One byte over the longest may still turn out to be the CR of a CRLF. */
    if (n > HX_NET_MESSAGE_MAX + 1) {
        f->in_long_line = true;
        f->clean = 0;
        return message(out, p + at, n, len, true);
    }
    if (ended && n) {
        f->clean = 0;
        return message(out, p + at, n, len, false);
    }
    f->clean = n;
    return none(out, at);
}

/* --- counts ----------------------------------------------------------------------------------- */

static bool is_trailer(char c)
{
    return c == '\n' || c == '\r' || c == '\0';
}

/* The bytes of a count and its blank, with its value in *count; 0: it is not whole yet;
 * HX_EMALFORMED.
 */
static int read_count(const char *p, uint32_t len, uint32_t *count)
{
    uint32_t i = 0;

    for (*count = 0; i < len && p[i] >= '0' && p[i] <= '9' && i < COUNT_DIGITS_MAX; i++)
        *count = *count * 10 + (uint32_t)(p[i] - '0');
    if (i == len && (i == 0 || p[0] != '0'))
        return 0;
    return p[0] == '0' || i == 0 || p[i] != ' ' ? HX_EMALFORMED : (int)i + 1;
}

static frame_result next_counted(framing *f, const char *p, uint32_t len, bool ended, frame *out)
{
    uint32_t at = f->skip < len ? f->skip : len, count, here, whole;
    int head;

    f->skip -= at;
    /* Senders that count without the line end that they send all the same. */
    while (!f->skip && at < len && is_trailer(p[at]))
        at++;
    if (at == len)
        return none(out, len);
    head = read_count(p + at, len - at, &count);
    if (head < 0 || (head == 0 && ended)) {
        *out = (frame){.used = len};
        return FRAME_BAD;
    }
    if (head == 0)
        return none(out, at);
    here = len - at - (uint32_t)head;
    whole = count < HX_NET_MESSAGE_MAX ? count : HX_NET_MESSAGE_MAX;
    if (here < whole && !ended)
        return none(out, at);
    at += (uint32_t)head;
    if (here < whole)
        return message(out, p + at, here, len, true);
    f->skip = count - whole;
    return message(out, p + at, whole, at + whole, count > whole);
}

frame_result framing_next(framing *f, const char *bytes, uint32_t len, bool ended, frame *out)
{
    if (len == 0)
        return none(out, 0);
    if (f->kind == HX_FRAMING_AUTO)
        f->kind = bytes[0] >= '1' && bytes[0] <= '9' ? HX_FRAMING_OCTETS : HX_FRAMING_NEWLINE;
    return f->kind == HX_FRAMING_OCTETS ? next_counted(f, bytes, len, ended, out)
                                        : next_line(f, bytes, len, ended, out);
}
