#include "rules/widen.h"

/* A group's alternatives, as far as they have been read: whether each has a word. */
typedef struct level {
    bool others_have, this_has;
} level;

typedef struct walk {
    hx_syntax in;
    const hx_byte_set *set;
    char stand_in; /* the only byte of the set that texts have; or 0: they have any */
    hx_widening *out;
    hx_needs *needs; /* or NULL */
    level levels[HX_NEEDS_DEPTH];
    uint32_t depth;
    uint32_t run;       /* literal bytes in a row */
    uint32_t blank_run; /* the same with classes that the stand-in is all of */
    bool blank_other;   /* not all of them are that */
} walk;

static bool unknown(walk *w)
{
    w->out->kind = HX_WIDEN_UNKNOWN;
    return false;
}

static void copy(walk *w, uint32_t count)
{
    hx_text_bytes(&w->out->text, w->in.in.ptr + w->in.at, count);
    w->in.at += count;
}

/* --- sets --------------------------------------------------------------------------------------
 */

typedef enum overlap { NONE, SOME, ALL } overlap;

static overlap overlap_of(const hx_byte_set *have, const hx_byte_set *set)
{
    bool any = false, all = true;

    for (int i = 0; i < 4; i++) {
        any |= (have->bits[i] & set->bits[i]) != 0;
        all &= (have->bits[i] & set->bits[i]) == set->bits[i];
    }
    return all ? ALL : any ? SOME : NONE;
}

static void use_all(walk *w)
{
    memset(&w->out->uses, 0xff, sizeof w->out->uses);
}

static void use_class(walk *w, hx_byte_set set, bool negated)
{
    if (negated)
        hx_byte_set_invert(&set);
    hx_byte_set_unite(&w->out->uses, &set);
}

/* Any byte of the set. */
static void put_set(walk *w)
{
    hx_text *out = &w->out->text;

    w->out->kind = HX_WIDEN_WIDER;
    if (w->stand_in) {
        hx_text_printf(out, "\\x%02x", (unsigned char)w->stand_in);
        return;
    }
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

/* --- bytes and classes -------------------------------------------------------------------------
 */

/* What comes next is no literal byte right behind the last one. */
static void end_run(walk *w)
{
    if (w->run >= HX_WIDEN_WORD || (w->blank_run >= HX_WIDEN_BLANK_WORD && w->blank_other))
        w->levels[w->depth].this_has = true;
    w->run = w->blank_run = 0;
    w->blank_other = false;
    if (w->needs)
        hx_needs_break(w->needs);
}

static void lengthen_run(walk *w, unsigned char byte)
{
    w->run++;
    w->blank_run++;
    w->blank_other |= !hx_byte_set_has(w->set, byte);
    if (w->needs)
        hx_needs_byte(w->needs, byte);
}

/* How often a quantifier of n bytes at this place wants its atom, at least: once where there is
 * none. Large numbers are not told apart. */
static uint32_t least_times(const walk *w, uint32_t n)
{
    uint32_t times = 0;

    if (!n || hx_syntax_peek(&w->in, 0) == '+')
        return 1;
    if (hx_syntax_peek(&w->in, 0) != '{')
        return 0;
    for (uint32_t at = 1; times < HX_WIDEN_BLANK_WORD; at++) {
        const unsigned char c = hx_syntax_peek(&w->in, at);

        if (c < '0' || c > '9')
            break;
        times = 10 * times + (c & 15);
    }
    return times;
}

/* The next count bytes of the pattern are a class of the set's bytes and no others. */
static void take_stand_in(walk *w, uint32_t count)
{
    const hx_widened kind = w->out->kind;
    uint32_t n, least;
    bool none;

    w->in.at += count;
    put_set(w);
    w->out->kind = kind; /* of a text it still says the same */
    n = hx_syntax_quantifier(&w->in, &none);
    least = least_times(w, n);
    if (!least || w->run >= HX_WIDEN_WORD)
        end_run(w);
    w->run = 0;
    w->blank_run += least;
    if (n) {
        end_run(w);
        w->blank_run = least; /* so many stand right before what follows */
    }
    copy(w, n);
}

static bool is_stand_in(const walk *w, const hx_byte_set *set, bool negated)
{
    return w->stand_in && !negated && memcmp(set, w->set, sizeof *set) == 0;
}

/* An atom that is no literal byte has been written. */
static void take_quantifier(walk *w)
{
    bool none;
    uint32_t n = hx_syntax_quantifier(&w->in, &none);

    end_run(w);
    copy(w, n);
}

static bool take_class(walk *w)
{
    hx_byte_set listed;
    bool vague;
    const uint32_t length = hx_syntax_class(&w->in, &listed, &vague);

    if (!length)
        return unknown(w);
    if (vague)
        use_all(w);
    use_class(w, listed, hx_syntax_peek(&w->in, 1) == '^');
    /* Of a negated class too: it has some of the set's bytes where it leaves out some. */
    if (is_stand_in(w, &listed, hx_syntax_peek(&w->in, 1) == '^')) {
        take_stand_in(w, length);
        return true;
    }
    if (overlap_of(&listed, w->set) == SOME)
        put_widened(w, length);
    else
        copy(w, length);
    take_quantifier(w);
    return true;
}

/* n bytes of the pattern that stand for this one byte. */
static bool take_byte(walk *w, unsigned char byte, uint32_t n)
{
    bool none;
    uint32_t q;

    hx_byte_set_add(&w->out->uses, byte, byte);
    if (hx_byte_set_has(w->set, byte)) {
        put_set(w);
        w->in.at += n;
    } else {
        copy(w, n);
    }
    q = hx_syntax_quantifier(&w->in, &none);
    if (q && none) {
        end_run(w);
    } else {
        lengthen_run(w, byte);
        if (q)
            end_run(w);
    }
    copy(w, q);
    return true;
}

static bool take_escape(walk *w)
{
    unsigned char c = hx_syntax_peek(&w->in, 1), byte;
    hx_byte_set named;
    uint32_t n;

    if (hx_syntax_named_class(c, &named)) {
        use_class(w, named, false);
        if (hx_syntax_is_vague(c))
            use_all(w);
        if (is_stand_in(w, &named, false)) {
            take_stand_in(w, 2);
            return true;
        }
        if (overlap_of(&named, w->set) == SOME)
            put_widened(w, 2);
        else
            copy(w, 2);
        take_quantifier(w);
        return true;
    }
    if (c == 'b' || c == 'B') {
        copy(w, 2);
        take_quantifier(w);
        return true;
    }
    if (c == 'A' || c == 'z' || c == 'Z') {
        end_run(w);
        copy(w, 2);
        return true;
    }
    n = hx_syntax_byte_escape(&w->in, &byte);
    return n ? take_byte(w, byte, n) : unknown(w);
}

/* --- groups ------------------------------------------------------------------------------------
 */

static bool open_group(walk *w)
{
    bool flags;
    const uint32_t n = hx_syntax_group(&w->in, &flags);

    end_run(w);
    if (!n)
        return unknown(w);
    copy(w, n);
    if (flags)
        return true;
    if (w->depth + 1 == HX_NEEDS_DEPTH)
        return unknown(w);
    w->levels[++w->depth] = (level){true, false};
    if (w->needs)
        hx_needs_open(w->needs);
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
    n = hx_syntax_quantifier(&w->in, &none);
    if (has && !(n && none))
        w->levels[w->depth].this_has = true;
    if (w->needs)
        hx_needs_close(w->needs, n && none);
    copy(w, n);
    return true;
}

static void next_alternative(walk *w)
{
    level *l = &w->levels[w->depth];

    end_run(w);
    l->others_have &= l->this_has;
    l->this_has = false;
    if (w->needs)
        hx_needs_alternative(w->needs);
    copy(w, 1);
}

static bool take_one(walk *w)
{
    unsigned char c = hx_syntax_peek(&w->in, 0);
    bool none;

    switch (c) {
    case '\\':
        return take_escape(w);
    case '[':
        return take_class(w);
    case '(':
        return open_group(w);
    case ')':
        return close_group(w);
    case '|':
        next_alternative(w);
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
    case '{': /* of what has one already, or of nothing; or "{,3}", which engines tell differently
               */
        if (hx_syntax_quantifier(&w->in, &none) || hx_syntax_peek(&w->in, 1) == ',')
            return unknown(w);
        return take_byte(w, c, 1);
    default:
        return take_byte(w, c, 1);
    }
}

static void widen(walk *w)
{
    *w->out = (hx_widening){.kind = HX_WIDEN_SAME};
    w->levels[0] = (level){true, false};
    if (w->needs)
        hx_needs_begin(w->needs);
    while (hx_syntax_more(&w->in) && take_one(w))
        ;
    end_run(w);
    if (w->needs && !w->depth)
        hx_needs_end(w->needs);
    if (w->depth || w->out->text.failed)
        w->out->kind = HX_WIDEN_UNKNOWN;
    w->out->has_word = w->levels[0].others_have && w->levels[0].this_has;
}

void hx_widen(hx_slice pattern, const hx_byte_set *set, hx_widening *out, hx_needs *needs)
{
    walk w = {.in = {pattern, 0}, .set = set, .out = out, .needs = needs};

    widen(&w);
}

void hx_widen_blank(hx_slice pattern, hx_widening *out)
{
    static const hx_byte_set digits = {{UINT64_C(0x03ff000000000000), 0, 0, 0}};
    walk w = {.in = {pattern, 0}, .set = &digits, .stand_in = '0', .out = out};

    widen(&w);
}
