#include "cut.h"

#define MASK(n) ((n) == 0 ? 0 : UINT64_MAX >> (64 - 8 * (n)) % 64)
#define PAIR(n) {MASK((n) < 8 ? (n) : 8), MASK((n) < 8 ? 0 : (n) - 8)}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are masked as little-endian integers"
#endif

const uint64_t hx_word_mask[17][2] = {
    PAIR(0), PAIR(1),  PAIR(2),  PAIR(3),  PAIR(4),  PAIR(5),  PAIR(6),  PAIR(7),  PAIR(8),
    PAIR(9), PAIR(10), PAIR(11), PAIR(12), PAIR(13), PAIR(14), PAIR(15), PAIR(16),
};

void hx_tokenizer_init(hx_tokenizer *tokenizer, uint32_t max_tokens)
{
    tokenizer->max_tokens = max_tokens < HX_TOKENS_MAX ? max_tokens : HX_TOKENS_MAX;
    tokenizer->count = 0;
    tokenizer->cut = false;
    memset(tokenizer->tail, 0, sizeof tokenizer->tail);
    tokenizer->scan = hx_scan_best();
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool bit_at(const uint64_t *blocks, uint32_t at)
{
    return blocks[at >> 6] >> (at & 63) & 1;
}

static bool in_address(char c)
{
    return is_hex(c) || c == ':';
}

/* The run of hexadecimal digits and colons around the colon at place becomes a value where no other
 * core byte touches it and it has two colons or more, but for colons at its end ("word::"). Its
 * colons become digits. Returns where the run ends. */
static uint32_t join_run(hx_tokenizer *t, uint32_t place)
{
    hx_byte_classes *c = &t->classes;
    uint32_t from = place, to = place, last, colons = 0, digits = 0;

    if (!place || !in_address(t->text[place - 1]))
        return place + 1;
    while (from && in_address(t->text[from - 1]))
        from--;
    while (to < t->length && in_address(t->text[to]))
        to++;
    for (last = to; last > from && t->text[last - 1] == ':'; last--)
        continue;
    for (uint32_t i = from; i < to; i++) {
        colons += t->text[i] == ':';
        digits += t->text[i] != ':';
    }
    if (colons < 2 || !digits || (from && bit_at(c->core, from - 1)) || bit_at(c->core, to))
        return to;
    for (uint32_t i = from; i < last; i++)
        if (t->text[i] == ':') {
            c->core[i >> 6] |= UINT64_C(1) << (i & 63);
            c->digit[i >> 6] |= UINT64_C(1) << (i & 63);
        }
    return to;
}

void hx_join_colons(hx_tokenizer *t, uint32_t blocks)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < blocks; i++)
        for (uint64_t tight = hx_tight_colons(&t->classes, i); tight; tight &= tight - 1) {
            uint32_t place = i * 64 + (uint32_t)__builtin_ctzll(tight);

            if (place >= done)
                done = join_run(t, place);
        }
}

#define AFFIX_SLOT(letters) ((uint32_t)((uint32_t)(letters) * UINT32_C(0xe1edcf3f)) >> 24)
#define LETTERS(a, b, c, d)                                                                        \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define AFFIX(...) [AFFIX_SLOT(LETTERS(__VA_ARGS__))] = {LETTERS(__VA_ARGS__), 0}
#define DATE(...)  [AFFIX_SLOT(LETTERS(__VA_ARGS__))] = {LETTERS(__VA_ARGS__), 1}

/* A perfect hash: the multiplier was searched so that no two of these share a slot, which the
 * compiler checks, and slot 0 stays free. */
static const hx_affix affixes[256] = {
    AFFIX('B', 0, 0, 0),       AFFIX('K', 'B', 0, 0),     AFFIX('M', 'B', 0, 0),
    AFFIX('G', 'B', 0, 0),     AFFIX('T', 'B', 0, 0),     AFFIX('k', 'B', 0, 0),
    AFFIX('K', 'i', 'B', 0),   AFFIX('M', 'i', 'B', 0),   AFFIX('G', 'i', 'B', 0),
    AFFIX('T', 'i', 'B', 0),   AFFIX('s', 0, 0, 0),       AFFIX('m', 's', 0, 0),
    AFFIX('u', 's', 0, 0),     AFFIX('n', 's', 0, 0),     AFFIX('s', 'e', 'c', 0),
    AFFIX('s', 'e', 'c', 's'), AFFIX('m', 'i', 'n', 0),   AFFIX('m', 'i', 'n', 's'),
    AFFIX('h', 'r', 's', 0),   AFFIX('A', 'M', 0, 0),     AFFIX('P', 'M', 0, 0),
    AFFIX('U', 'T', 'C', 0),   AFFIX('G', 'M', 'T', 0),   AFFIX('C', 'E', 'T', 0),
    AFFIX('C', 'E', 'S', 'T'), AFFIX('P', 'S', 'T', 0),   AFFIX('P', 'D', 'T', 0),
    AFFIX('M', 'S', 'T', 0),   AFFIX('M', 'D', 'T', 0),   AFFIX('C', 'S', 'T', 0),
    AFFIX('C', 'D', 'T', 0),   AFFIX('E', 'S', 'T', 0),   AFFIX('E', 'D', 'T', 0),
    AFFIX('J', 'S', 'T', 0),   AFFIX('K', 'S', 'T', 0),   AFFIX('H', 'z', 0, 0),
    AFFIX('k', 'H', 'z', 0),   AFFIX('M', 'H', 'z', 0),   AFFIX('G', 'H', 'z', 0),
    AFFIX('K', 'b', 'p', 's'), AFFIX('M', 'b', 'p', 's'), AFFIX('G', 'b', 'p', 's'),
    DATE('M', 'o', 'n', 0),    DATE('T', 'u', 'e', 0),    DATE('W', 'e', 'd', 0),
    DATE('T', 'h', 'u', 0),    DATE('F', 'r', 'i', 0),    DATE('S', 'a', 't', 0),
    DATE('S', 'u', 'n', 0),    DATE('J', 'a', 'n', 0),    DATE('F', 'e', 'b', 0),
    DATE('M', 'a', 'r', 0),    DATE('A', 'p', 'r', 0),    DATE('M', 'a', 'y', 0),
    DATE('J', 'u', 'n', 0),    DATE('J', 'u', 'l', 0),    DATE('A', 'u', 'g', 0),
    DATE('S', 'e', 'p', 0),    DATE('O', 'c', 't', 0),    DATE('N', 'o', 'v', 0),
    DATE('D', 'e', 'c', 0),
};

enum { DATE_START = 1 << 7 };

const uint8_t hx_affix_starts[256] = {
    ['A'] = 1 << 2 | 1 << 3 | DATE_START,
    ['B'] = 1 << 1,
    ['C'] = 1 << 3 | 1 << 4,
    ['D'] = 1 << 3 | DATE_START,
    ['E'] = 1 << 3,
    ['F'] = 1 << 3 | DATE_START,
    ['G'] = 1 << 2 | 1 << 3 | 1 << 4,
    ['H'] = 1 << 2,
    ['J'] = 1 << 3 | DATE_START,
    ['K'] = 1 << 2 | 1 << 3 | 1 << 4,
    ['M'] = 1 << 2 | 1 << 3 | 1 << 4 | DATE_START,
    ['N'] = 1 << 3 | DATE_START,
    ['O'] = 1 << 3 | DATE_START,
    ['P'] = 1 << 2 | 1 << 3,
    ['S'] = 1 << 3 | DATE_START,
    ['T'] = 1 << 2 | 1 << 3 | DATE_START,
    ['U'] = 1 << 3,
    ['W'] = 1 << 3 | DATE_START,
    ['h'] = 1 << 3,
    ['k'] = 1 << 2 | 1 << 3,
    ['m'] = 1 << 2 | 1 << 3 | 1 << 4,
    ['n'] = 1 << 2,
    ['s'] = 1 << 1 | 1 << 3 | 1 << 4,
    ['u'] = 1 << 2,
};

const hx_affix *hx_find_affix(const hx_tokenizer *t, uint32_t start, uint32_t length)
{
    uint32_t letters = (uint32_t)hx_tokenizer_head(t, start, length).a;
    const hx_affix *affix = &affixes[AFFIX_SLOT(letters)];

    return length <= 4 && affix->letters == letters ? affix : NULL;
}

/* 1 for a large letter, 2 for a small one, 0 for anything else. */
static uint32_t case_of(char c)
{
    return (uint32_t)(c >= 'A' && c <= 'Z') | (uint32_t)(c >= 'a' && c <= 'z') << 1;
}

bool hx_word_is_mixed(const char *word, uint32_t length)
{
    uint32_t turns = 0, last = 0; /* the cases of the two bytes before, the nearer one lowest */

    if (length < HX_MIXED_BYTES)
        return false;
    for (uint32_t i = 0; i < length; i++) {
        uint32_t now = case_of(word[i]);

        turns += now == 1 && (last == (2 << 2 | 1) || last == (1 << 2 | 2));
        last = (last << 2 | now) & 15;
    }
    return turns >= HX_MIXED_TURNS;
}

static uint32_t end_of(const hx_token *token)
{
    return (uint32_t)token->start + token->length;
}

/* Whether token is a day or a month and stands before start with two blanks at most ("Jun  1"). */
static bool is_date_before(const hx_tokenizer *t, const hx_token *token, uint32_t start)
{
    const hx_affix *affix;

    if (token->is_value || start > end_of(token) + 2)
        return false;
    affix = hx_find_affix(t, token->start, token->length);
    return affix && affix->is_date;
}

/* Whether a word is an affix of the value before it. */
static bool extends(const hx_tokenizer *t, const hx_token *value, uint32_t start, uint32_t length)
{
    return start == end_of(value) + 1 && t->text[start - 1] == ' ' &&
           hx_find_affix(t, start, length);
}

void hx_join_affixes(hx_tokenizer *t)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t start = t->tokens[i].start, end = end_of(&t->tokens[i]);
        bool is_value = t->tokens[i].is_value;

        if (count && t->tokens[count - 1].is_value)
            is_value |= extends(t, &t->tokens[count - 1], start, end - start);
        while (is_value && count && is_date_before(t, &t->tokens[count - 1], start))
            start = t->tokens[--count].start;
        if (is_value && count && t->tokens[count - 1].is_value)
            t->tokens[count - 1].length = (uint16_t)(end - t->tokens[count - 1].start);
        else
            t->tokens[count++] = (hx_token){(uint16_t)start, (uint16_t)(end - start), is_value};
    }
    t->count = count;
}

enum { CORE = 1, JOIN = 2, DIGIT = 4, COLON = 8, DOT = 16, SLASH = 32 };

static uint8_t byte_class(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return CORE | DIGIT;
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80)
        return CORE;
    switch (c) {
    case '_':
    case '+':
    case '$':
    case '%':
    case '~':
        return CORE;
    case '/':
    case '\\':
        return CORE | SLASH;
    case '@':
        return CORE | DIGIT;
    case '-':
        return JOIN;
    case '.':
        return JOIN | DOT;
    case ':':
        return COLON;
    default:
        return 0;
    }
}

static void classify(hx_slice message, hx_byte_classes *classes)
{
    for (uint32_t block = 0; block * 64 < message.len; block++) {
        uint32_t room = message.len - block * 64 < 64 ? message.len - block * 64 : 64;
        uint64_t core = 0, join = 0, digit = 0, colon = 0, dot = 0, slash = 0;

        for (uint32_t i = 0; i < room; i++) {
            uint64_t class = byte_class((uint8_t)message.ptr[block * 64 + i]);

            core |= (class & 1) << i;
            join |= (class >> 1 & 1) << i;
            digit |= (class >> 2 & 1) << i;
            colon |= (class >> 3 & 1) << i;
            dot |= (class >> 4 & 1) << i;
            slash |= (class >> 5 & 1) << i;
        }
        classes->core[block] = core;
        classes->join[block] = join;
        classes->digit[block] = digit;
        classes->colon[block] = colon;
        classes->dot[block] = dot;
        classes->slash[block] = slash;
    }
}

static void set_text(hx_tokenizer *t, hx_slice message)
{
    t->tail_from = message.len > HX_TAIL_BYTES ? message.len - HX_TAIL_BYTES : 0;
    if (message.len)
        memcpy(t->tail, message.ptr + t->tail_from, message.len - t->tail_from);
    t->text = message.len ? message.ptr : t->tail;
}

void hx_scan_plain(hx_tokenizer *t, hx_slice message)
{
    uint32_t blocks = (message.len + 63) / 64;

    set_text(t, message);
    classify(message, &t->classes);
    hx_classes_end(&t->classes, blocks);
    if (hx_has_tight_colons(&t->classes, blocks))
        hx_join_colons(t, blocks);
    hx_cut(t, blocks);
}
