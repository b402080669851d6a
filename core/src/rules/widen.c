#include "rules/widen.h"

#define DEPTH_MAX 64

/* A group's alternatives, as far as they have been read: whether each has a word. */
typedef struct level {
    bool others_have, this_has;
} level;

typedef struct walk {
    hx_slice in;
    uint32_t at;
    const hx_byte_set *set;
    hx_widening *out;
    level levels[DEPTH_MAX];
    uint32_t depth;
    uint32_t run; /* literal bytes in a row */
} walk;

static bool unknown(walk *w)
{
    w->out->kind = HX_WIDEN_UNKNOWN;
    return false;
}

static bool more(const walk *w)
{
    return w->at < w->in.len;
}

static unsigned char peek(const walk *w, uint32_t ahead)
{
    return w->at + ahead < w->in.len ? (unsigned char)w->in.ptr[w->at + ahead] : 0;
}

static void copy(walk *w, uint32_t count)
{
    hx_text_bytes(&w->out->text, w->in.ptr + w->at, count);
    w->at += count;
}

/* --- classes -----------------------------------------------------------------------------------
 */

static void invert(hx_byte_set *set)
{
    for (int i = 0; i < 4; i++)
        set->bits[i] = ~set->bits[i];
}

static void unite(hx_byte_set *set, const hx_byte_set *other)
{
    for (int i = 0; i < 4; i++)
        set->bits[i] |= other->bits[i];
}

typedef enum overlap { NONE, SOME, ALL } overlap;

static void use_all(walk *w)
{
    memset(&w->out->uses, 0xff, sizeof w->out->uses);
}

static void use_class(walk *w, hx_byte_set set, bool negated)
{
    if (negated)
        invert(&set);
    unite(&w->out->uses, &set);
}

static overlap overlap_of(const hx_byte_set *have, const hx_byte_set *set)
{
    bool any = false, all = true;

    for (int i = 0; i < 4; i++) {
        any |= (have->bits[i] & set->bits[i]) != 0;
        all &= (have->bits[i] & set->bits[i]) == set->bits[i];
    }
    return all ? ALL : any ? SOME : NONE;
}

/* Any byte of the set. */
static void put_set(walk *w)
{
    hx_text *out = &w->out->text;

    w->out->kind = HX_WIDEN_WIDER;
    hx_text_str(out, "[");
    for (unsigned b = 0; b < 256; b++) {
        unsigned last = b;

        if (!hx_byte_set_has(w->set, (unsigned char)b))
            continue;
        while (last < 255 && hx_byte_set_has(w->set, (unsigned char)(last + 1)))
            last++;
        hx_text_printf(out, "\\x%02x-\\x%02x", b, last);
        b = last;
    }
    hx_text_str(out, "]");
}

/* The next count bytes of the pattern, a class, as they are, or any byte of the set: nothing hangs
 * on how the class is read but whether it holds bytes of the set. */
static void put_widened(walk *w, uint32_t count)
{
    hx_text_str(&w->out->text, "(?:");
    copy(w, count);
    hx_text_str(&w->out->text, "|");
    put_set(w);
    hx_text_str(&w->out->text, ")");
}

/* Whether engines differ in what the class has. */
static bool is_vague(unsigned char letter)
{
    return (letter | 0x20) == 'h' || (letter | 0x20) == 'v';
}

/* \d \w \s \h \v and their opposites. False where the letter is none of them. */
static bool named_class(unsigned char letter, hx_byte_set *set)
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
        invert(set);
    return true;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The length of an escape, from its backslash on, that stands for one byte; 0: it is none. */
static uint32_t byte_escape(const walk *w, unsigned char *byte)
{
    static const char named[] = "n\nr\rt\tf\fa\ae\033";
    unsigned char c = peek(w, 1);
    unsigned v = 0;
    uint32_t n = 2;

    if (w->at + 1 >= w->in.len)
        return 0;
    for (const char *p = named; *p; p += 2)
        if ((unsigned char)*p == c) {
            *byte = (unsigned char)p[1];
            return 2;
        }
    if (c == 'x' && hex_digit(peek(w, 2)) >= 0) {
        for (; n < 4 && hex_digit(peek(w, n)) >= 0; n++)
            v = v * 16 + (unsigned)hex_digit(peek(w, n));
        *byte = (unsigned char)v;
        return n;
    }
    if (c == '0') {
        for (n = 1; n < 4 && peek(w, n) >= '0' && peek(w, n) <= '7'; n++)
            v = v * 8 + (unsigned)(peek(w, n) - '0');
        *byte = (unsigned char)v;
        return v < 256 ? n : 0;
    }
    if (c < 0x80 && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
        *byte = c;
        return 2;
    }
    return 0;
}

static bool posix_class(walk *w, hx_byte_set *set)
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

        if (w->in.len - w->at < n + 4 || memcmp(w->in.ptr + w->at + 2, name, n) != 0 ||
            memcmp(w->in.ptr + w->at + 2 + n, ":]", 2) != 0)
            continue;
        if (!r)
            hx_byte_set_add(set, 0, 127);
        for (; r && *r; r += 2)
            hx_byte_set_add(set, (unsigned char)r[0], (unsigned char)r[1]);
        w->at += (uint32_t)n + 4;
        return true;
    }
    return unknown(w);
}

/* One member of a class: a byte, which may begin a range, or a named class. */
static bool class_byte(walk *w, unsigned char *byte)
{
    uint32_t n;

    if (peek(w, 0) != '\\') {
        *byte = peek(w, 0);
        w->at++;
        return true;
    }
    n = peek(w, 1) == 'b' ? 0 : byte_escape(w, byte);
    w->at += n;
    return n ? true : unknown(w);
}

static bool class_member(walk *w, hx_byte_set *set)
{
    unsigned char first, last;
    hx_byte_set named;

    if (peek(w, 0) == '[' && peek(w, 1) == ':')
        return posix_class(w, set);
    if (peek(w, 0) == '[' && (peek(w, 1) == '.' || peek(w, 1) == '='))
        return unknown(w);
    if (peek(w, 0) == '\\' && named_class(peek(w, 1), &named)) {
        unite(set, &named);
        if (is_vague(peek(w, 1)))
            use_all(w);
        w->at += 2;
        /* "[\w-x]": whether that is a range is told differently by different engines. */
        return peek(w, 0) == '-' && peek(w, 1) != ']' ? unknown(w) : true;
    }
    if (!class_byte(w, &first))
        return false;
    last = first;
    if (peek(w, 0) == '-' && w->at + 1 < w->in.len && peek(w, 1) != ']') {
        w->at++;
        if (peek(w, 0) == '[' || (peek(w, 0) == '\\' && named_class(peek(w, 1), &named)))
            return unknown(w);
        if (!class_byte(w, &last) || last < first)
            return unknown(w);
    }
    hx_byte_set_add(set, first, last);
    return true;
}

static bool take_class(walk *w)
{
    hx_byte_set listed = {{0}};
    const uint32_t start = w->at;
    uint32_t length;

    w->at += 1 + (peek(w, 1) == '^');
    do { /* a bracket that comes first is a member */
        if (!more(w) || !class_member(w, &listed))
            return unknown(w);
    } while (more(w) && peek(w, 0) != ']');
    if (!more(w))
        return unknown(w);
    length = w->at + 1 - start;
    w->at = start;
    use_class(w, listed, peek(w, 1) == '^');
    /* Of a negated class too: it has some of the set's bytes where it leaves out some. */
    if (overlap_of(&listed, w->set) == SOME)
        put_widened(w, length);
    else
        copy(w, length);
    return true;
}

/* --- the rest ----------------------------------------------------------------------------------
 */

/* The length of a quantifier here, or 0. *none: it allows none at all. */
static uint32_t quantifier(const walk *w, bool *none)
{
    unsigned char c = peek(w, 0);
    uint32_t n = 1, digits;
    unsigned least = 0;

    *none = c == '*' || c == '?';
    if (c == '*' || c == '?' || c == '+')
        return peek(w, 1) == '?' ? 2 : 1;
    if (c != '{')
        return 0;
    for (digits = n; peek(w, n) >= '0' && peek(w, n) <= '9'; n++)
        least |= peek(w, n) != '0';
    if (n == digits)
        return 0;
    if (peek(w, n) == ',')
        for (n++; peek(w, n) >= '0' && peek(w, n) <= '9'; n++)
            ;
    if (peek(w, n) != '}')
        return 0;
    *none = !least;
    return n + (peek(w, n + 1) == '?' ? 2 : 1);
}

static void end_run(walk *w)
{
    if (w->run >= HX_WIDEN_WORD)
        w->levels[w->depth].this_has = true;
    w->run = 0;
}

/* An atom that is no literal byte has been written. */
static void take_quantifier(walk *w)
{
    bool none;
    uint32_t n = quantifier(w, &none);

    end_run(w);
    copy(w, n);
}

/* n bytes of the pattern that stand for this one byte. */
static bool take_byte(walk *w, unsigned char byte, uint32_t n)
{
    bool none;
    uint32_t q;

    hx_byte_set_add(&w->out->uses, byte, byte);
    if (hx_byte_set_has(w->set, byte)) {
        put_set(w);
        w->at += n;
    } else {
        copy(w, n);
    }
    q = quantifier(w, &none);
    if (q && none) {
        end_run(w);
    } else {
        w->run++;
        if (q)
            end_run(w);
    }
    copy(w, q);
    return true;
}

static bool take_escape(walk *w)
{
    unsigned char c = peek(w, 1), byte;
    hx_byte_set named;
    uint32_t n;

    if (named_class(c, &named)) {
        use_class(w, named, false);
        if (is_vague(c))
            use_all(w);
        if (overlap_of(&named, w->set) == SOME)
            put_widened(w, 2);
        else
            copy(w, 2);
        take_quantifier(w);
        return true;
    }
    if (c == 'b' || c == 'B') {
        end_run(w);
        copy(w, 2);
        take_quantifier(w);
        return true;
    }
    if (c == 'A' || c == 'z' || c == 'Z') {
        end_run(w);
        copy(w, 2);
        return true;
    }
    n = byte_escape(w, &byte);
    return n ? take_byte(w, byte, n) : unknown(w);
}

/* "(" and what belongs to it: "(?:", "(?i:", "(?i)", "(?<name>", "(?P<name>", "(?'name'". */
static bool open_group(walk *w)
{
    uint32_t n = 1;

    end_run(w);
    if (peek(w, 1) == '*')
        return unknown(w);
    if (peek(w, 1) == '?') {
        unsigned char c = peek(w, 2);
        unsigned char close = 0;

        if (c == 'P' && peek(w, 3) == '<')
            n = 4, close = '>';
        else if (c == '<' && peek(w, 3) != '=' && peek(w, 3) != '!')
            n = 3, close = '>';
        else if (c == '\'')
            n = 3, close = '\'';
        else
            n = 2;
        if (close) {
            while (w->at + n < w->in.len && peek(w, n) != close)
                n++;
            n++;
        } else {
            /* x changes what blanks mean; anything else that is not a flag changes more. */
            while (strchr("ims-", peek(w, n)) && peek(w, n))
                n++;
            if (peek(w, n) == ')') {
                copy(w, n + 1);
                return true;
            }
            if (peek(w, n) != ':')
                return unknown(w);
            n++;
        }
        if (w->at + n > w->in.len)
            return unknown(w);
    }
    if (w->depth + 1 == DEPTH_MAX)
        return unknown(w);
    copy(w, n);
    w->levels[++w->depth] = (level){true, false};
    return true;
}

static bool close_group(walk *w)
{
    bool none, has;
    uint32_t n;

    end_run(w);
    if (!w->depth)
        return unknown(w);
    has = w->levels[w->depth].others_have && w->levels[w->depth].this_has;
    w->depth--;
    copy(w, 1);
    n = quantifier(w, &none);
    if (has && !(n && none))
        w->levels[w->depth].this_has = true;
    copy(w, n);
    return true;
}

static bool take_one(walk *w)
{
    unsigned char c = peek(w, 0);
    level *l = &w->levels[w->depth];

    switch (c) {
    case '\\':
        return take_escape(w);
    case '[':
        if (!take_class(w))
            return false;
        take_quantifier(w);
        return true;
    case '(':
        return open_group(w);
    case ')':
        return close_group(w);
    case '|':
        end_run(w);
        l->others_have &= l->this_has;
        l->this_has = false;
        copy(w, 1);
        return true;
    case '^':
    case '$':
        end_run(w);
        copy(w, 1);
        return true;
    case '.':
        use_all(w);
        copy(w, 1);
        take_quantifier(w);
        return true;
    case '*':
    case '+':
    case '?': /* of nothing, or possessive: Hyperscan knows neither */
        return unknown(w);
    default:
        return take_byte(w, c, 1);
    }
}

void hx_widen(hx_slice pattern, const hx_byte_set *set, hx_widening *out)
{
    walk w = {.in = pattern, .set = set, .out = out};

    *out = (hx_widening){.kind = HX_WIDEN_SAME};
    w.levels[0] = (level){true, false};
    while (more(&w) && take_one(&w))
        ;
    end_run(&w);
    if (w.depth || out->text.failed)
        out->kind = HX_WIDEN_UNKNOWN;
    out->has_word = w.levels[0].others_have && w.levels[0].this_has;
}
