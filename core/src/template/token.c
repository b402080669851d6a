#include "cut.h"

#define M(n)    ((n) >= 8 ? UINT64_MAX : (UINT64_C(1) << ((n) * 8)) - 1)
#define PAIR(n) {M(n), (n) <= 8 ? 0 : M((n) - 8)}

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

/* Times, MAC and IPv6 addresses: a run of hexadecimal digits and colons that no other core byte
 * touches, with two colons at least. Its colons become digits, which makes it one value. */
void hx_join_colons(hx_tokenizer *t, uint32_t length)
{
    hx_byte_classes *c = &t->classes;

    for (uint32_t at = 0; at < length;) {
        uint32_t end = at, colons = 0;

        while (end < length && (is_hex(t->text[end]) || t->text[end] == ':'))
            colons += t->text[end++] == ':';
        if (colons >= 2 && end - at > colons && !(at && bit_at(c->core, at - 1)) &&
            !(end < length && bit_at(c->core, end))) {
            /* "word::" and the like end in a colon that is none of the value's. */
            uint32_t last = end;

            while (t->text[last - 1] == ':')
                last--;
            for (uint32_t i = at; i < last; i++)
                if (t->text[i] == ':') {
                    c->core[i >> 6] |= UINT64_C(1) << (i & 63);
                    c->digit[i >> 6] |= UINT64_C(1) << (i & 63);
                }
        }
        at = end > at ? end : at + 1;
        /* Inside a longer word no run can begin. */
        while (at < length && at && bit_at(c->core, at - 1) && t->text[at] != ':' &&
               bit_at(c->core, at))
            at++;
    }
}

#define LETTERS(a, b, c, d)                                                                        \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define AFFIX(...) [HX_AFFIX_SLOT(LETTERS(__VA_ARGS__))] = {LETTERS(__VA_ARGS__), 0}
#define DATE(...)  [HX_AFFIX_SLOT(LETTERS(__VA_ARGS__))] = {LETTERS(__VA_ARGS__), 1}

/* A perfect hash: the multiplier was searched so that no two of these share a slot, which the
 * compiler checks, and slot 0 stays free. */
const hx_affix hx_affixes[256] = {
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

uint32_t hx_take_date_words(hx_tokenizer *t, uint32_t *count, uint32_t start)
{
    while (*count) {
        const hx_token *before = &t->tokens[*count - 1];
        uint32_t end = (uint32_t)before->start + before->length;

        if (before->is_value || start - end > 2 ||
            !hx_affix_of(t->text + before->start, before->length)->is_date)
            break;
        start = before->start;
        --*count;
    }
    return start;
}

enum { CORE = 1, JOIN = 2, DIGIT = 4, COLON = 8, DOT = 16 };

static uint8_t byte_class(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return CORE | DIGIT;
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80)
        return CORE;
    switch (c) {
    case '_':
    case '/':
    case '\\':
    case '+':
    case '$':
    case '%':
    case '~':
        return CORE;
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

static void classify_plain(const char *text, uint32_t blocks, hx_byte_classes *classes)
{
    for (uint32_t block = 0; block < blocks; block++) {
        uint64_t core = 0, join = 0, digit = 0, colon = 0, dot = 0;

        for (uint32_t i = 0; i < 64; i++) {
            uint64_t class = byte_class((uint8_t)text[block * 64 + i]);

            core |= (class & 1) << i;
            join |= (class >> 1 & 1) << i;
            digit |= (class >> 2 & 1) << i;
            colon |= (class >> 3 & 1) << i;
            dot |= (class >> 4 & 1) << i;
        }
        classes->core[block] = core;
        classes->join[block] = join;
        classes->digit[block] = digit;
        classes->colon[block] = colon;
        classes->dot[block] = dot;
    }
}

void hx_scan_plain(hx_tokenizer *t, hx_slice message)
{
    uint32_t blocks = (message.len + 63) / 64;

    if (message.len)
        memcpy(t->text, message.ptr, message.len);
    memset(t->text + message.len, 0, HX_WORD_PADDING);
    classify_plain(t->text, blocks, &t->classes);
    hx_classes_end(&t->classes, blocks);
    if (hx_has_tight_colons(&t->classes, blocks))
        hx_join_colons(t, message.len);
    hx_make_tokens(t, hx_cut_words(t, blocks));
}
