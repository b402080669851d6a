#include "rules/syntax.h"

#include <string.h>

/* --- bytes and classes -------------------------------------------------------------------------
 */

bool hx_syntax_is_vague(unsigned char letter)
{
    return (letter | 0x20) == 'h' || (letter | 0x20) == 'v';
}

bool hx_syntax_named_class(unsigned char letter, hx_byte_set *set)
{
    *set = (hx_byte_set){{0}};
    switch (letter | 0x20) {
    case 'd':
        hx_byte_set_add(set, '0', '9');
        break;
    case 'w':
        hx_byte_set_add(set, '0', '9');
        hx_byte_set_add(set, 'A', 'Z');
        hx_byte_set_add(set, 'a', 'z');
        hx_byte_set_add(set, '_', '_');
        break;
    case 's':
        hx_byte_set_add(set, 9, 13);
        hx_byte_set_add(set, ' ', ' ');
        break;
    case 'h': /* and the blank of Latin 1, which some take for one */
        hx_byte_set_add(set, 9, 9);
        hx_byte_set_add(set, ' ', ' ');
        hx_byte_set_add(set, 0xa0, 0xa0);
        break;
    case 'v':
        hx_byte_set_add(set, 10, 13);
        hx_byte_set_add(set, 0x85, 0x85);
        break;
    default:
        return false;
    }
    if (!(letter & 0x20))
        hx_byte_set_invert(set);
    return true;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint32_t hx_syntax_byte_escape(const hx_syntax *s, unsigned char *byte)
{
    static const char named[] = "n\nr\rt\tf\fa\ae\033";
    unsigned char c = hx_syntax_peek(s, 1);
    unsigned v = 0;
    uint32_t n = 2;

    if (s->at + 1 >= s->in.len)
        return 0;
    for (const char *p = named; *p; p += 2)
        if ((unsigned char)*p == c) {
            *byte = (unsigned char)p[1];
            return 2;
        }
    if (c == 'x' && hex_digit(hx_syntax_peek(s, 2)) >= 0) {
        for (; n < 4 && hex_digit(hx_syntax_peek(s, n)) >= 0; n++)
            v = v * 16 + (unsigned)hex_digit(hx_syntax_peek(s, n));
        *byte = (unsigned char)v;
        return n;
    }
    if (c == '0') {
        for (n = 1; n < 4 && hx_syntax_peek(s, n) >= '0' && hx_syntax_peek(s, n) <= '7'; n++)
            v = v * 8 + (unsigned)(hx_syntax_peek(s, n) - '0');
        *byte = (unsigned char)v;
        return v < 256 ? n : 0;
    }
    if (c < 0x80 && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
        *byte = c;
        return 2;
    }
    return 0;
}

static bool take_posix_class(hx_syntax *s, hx_byte_set *set)
{
    static const struct {
        const char *name, *ranges;
    } classes[] = {
        {"alnum", "09AZaz"},  {"alpha", "AZaz"},    {"ascii", NULL}, {"blank", "\t\t  "},
        {"digit", "09"},      {"lower", "az"},      {"upper", "AZ"}, {"punct", "!/:@[`{~"},
        {"space", "\t\r  "},  {"xdigit", "09AFaf"}, {"graph", "!~"}, {"print", " ~"},
        {"word", "09AZaz__"},
    };

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        const char *name = classes[i].name, *r = classes[i].ranges;
        size_t n = strlen(name);

        if (s->in.len - s->at < n + 4 || memcmp(s->in.ptr + s->at + 2, name, n) != 0 ||
            memcmp(s->in.ptr + s->at + 2 + n, ":]", 2) != 0)
            continue;
        if (!r)
            hx_byte_set_add(set, 0, 127);
        for (; r && *r; r += 2)
            hx_byte_set_add(set, (unsigned char)r[0], (unsigned char)r[1]);
        s->at += (uint32_t)n + 4;
        return true;
    }
    return false;
}

/* One member of a class: a byte, which may begin a range. */
static bool take_class_byte(hx_syntax *s, unsigned char *byte)
{
    uint32_t n;

    if (hx_syntax_peek(s, 0) != '\\') {
        *byte = hx_syntax_peek(s, 0);
        s->at++;
        return true;
    }
    n = hx_syntax_peek(s, 1) == 'b' ? 0 : hx_syntax_byte_escape(s, byte);
    s->at += n;
    return n > 0;
}

static bool take_class_member(hx_syntax *s, hx_byte_set *set, bool *vague)
{
    unsigned char first, last, next = hx_syntax_peek(s, 1);
    hx_byte_set named;

    if (hx_syntax_peek(s, 0) == '[' && next == ':')
        return take_posix_class(s, set);
    if (hx_syntax_peek(s, 0) == '[' && (next == '.' || next == '='))
        return false;
    if (hx_syntax_peek(s, 0) == '\\' && hx_syntax_named_class(next, &named)) {
        hx_byte_set_unite(set, &named);
        *vague |= hx_syntax_is_vague(next);
        s->at += 2;
        /* "[\w-x]": whether that is a range is told differently by different engines. */
        return hx_syntax_peek(s, 0) != '-' || hx_syntax_peek(s, 1) == ']';
    }
    if (!take_class_byte(s, &first))
        return false;
    last = first;
    if (hx_syntax_peek(s, 0) == '-' && s->at + 1 < s->in.len && hx_syntax_peek(s, 1) != ']') {
        s->at++;
        if (hx_syntax_peek(s, 0) == '[' ||
            (hx_syntax_peek(s, 0) == '\\' && hx_syntax_named_class(hx_syntax_peek(s, 1), &named)))
            return false;
        if (!take_class_byte(s, &last) || last < first)
            return false;
    }
    hx_byte_set_add(set, first, last);
    return true;
}

uint32_t hx_syntax_class(const hx_syntax *start, hx_byte_set *listed, bool *vague)
{
    hx_syntax s = *start;

    *listed = (hx_byte_set){{0}};
    *vague = false;
    s.at += 1 + (hx_syntax_peek(&s, 1) == '^');
    do { /* a bracket that comes first is a member */
        if (!hx_syntax_more(&s) || !take_class_member(&s, listed, vague))
            return 0;
    } while (hx_syntax_more(&s) && hx_syntax_peek(&s, 0) != ']');
    return hx_syntax_more(&s) ? s.at + 1 - start->at : 0;
}

/* --- around them -------------------------------------------------------------------------------
 */

uint32_t hx_syntax_quantifier(const hx_syntax *s, bool *none)
{
    unsigned char c = hx_syntax_peek(s, 0);
    uint32_t n = 1, digits;
    unsigned least = 0;

    *none = c == '*' || c == '?';
    if (c == '*' || c == '?' || c == '+')
        return hx_syntax_peek(s, 1) == '?' ? 2 : 1;
    if (c != '{')
        return 0;
    for (digits = n; hx_syntax_peek(s, n) >= '0' && hx_syntax_peek(s, n) <= '9'; n++)
        least |= hx_syntax_peek(s, n) != '0';
    if (n == digits)
        return 0;
    if (hx_syntax_peek(s, n) == ',')
        for (n++; hx_syntax_peek(s, n) >= '0' && hx_syntax_peek(s, n) <= '9'; n++)
            ;
    if (hx_syntax_peek(s, n) != '}')
        return 0;
    *none = !least;
    return n + (hx_syntax_peek(s, n + 1) == '?' ? 2 : 1);
}

uint32_t hx_syntax_group(const hx_syntax *s, bool *flags)
{
    unsigned char c = hx_syntax_peek(s, 2), close = 0;
    uint32_t n;

    *flags = false;
    if (hx_syntax_peek(s, 1) == '*')
        return 0;
    if (hx_syntax_peek(s, 1) != '?')
        return 1;
    if (c == 'P' && hx_syntax_peek(s, 3) == '<')
        n = 4, close = '>';
    else if (c == '<' && hx_syntax_peek(s, 3) != '=' && hx_syntax_peek(s, 3) != '!')
        n = 3, close = '>';
    else if (c == '\'')
        n = 3, close = '\'';
    else
        n = 2;
    if (close) {
        while (s->at + n < s->in.len && hx_syntax_peek(s, n) != close)
            n++;
        n++;
    } else {
        /* x changes what blanks mean; anything else that is not a flag changes more. */
        while (hx_syntax_peek(s, n) && strchr("ims-", hx_syntax_peek(s, n)))
            n++;
        *flags = hx_syntax_peek(s, n) == ')';
        if (!*flags && hx_syntax_peek(s, n) != ':')
            return 0;
        n++;
    }
    return s->at + n <= s->in.len ? n : 0;
}
