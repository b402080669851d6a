#include "token.h"

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
    tokenizer->classify = hx_classify_best();
}

/* Bit i of the result is bit i+1 of the run of blocks: what stands right of each byte. */
static inline uint64_t right_of(const uint64_t *blocks, uint32_t i)
{
    return blocks[i] >> 1 | blocks[i + 1] << 63;
}

static inline uint64_t left_of(const uint64_t *blocks, uint32_t i)
{
    return blocks[i] << 1 | (i ? blocks[i - 1] >> 63 : 0);
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
static void join_colons(hx_tokenizer *t, uint32_t length)
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

static uint32_t tight_colons(const hx_byte_classes *c, uint32_t blocks)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t colon = c->colon[i];

        if (colon == 0)
            continue;
        colon &= (left_of(c->core, i) | left_of(c->colon, i)) &
                 (right_of(c->core, i) | right_of(c->colon, i));
        count += (uint32_t)__builtin_popcountll(colon);
    }
    return count;
}

/* The sum of two 64-bit blocks of longer numbers; *carry goes from block to block. */
static inline uint64_t add_carry(uint64_t x, uint64_t y, uint64_t *carry)
{
    uint64_t sum, with;
    bool over = __builtin_add_overflow(x, y, &sum);

    over |= __builtin_add_overflow(sum, *carry, &with);
    *carry = over;
    return with;
}

/* Words as two lists, where they start and where they end, and which hold a digit. */
static uint32_t cut_words(hx_tokenizer *t, uint32_t blocks)
{
    hx_byte_classes *c = &t->classes;
    uint64_t word_before = 0; /* bit 0: the last byte of the block before is a word's */
    uint64_t digit_carry = 0, dot_carry = 0;
    uint32_t n_starts = 0, n_ends = 0;

    for (uint32_t i = 0; i <= blocks; i++) {
        /* The last round, on the zero block, ends a word that fills the block before it. */
        uint64_t right_core = i < blocks ? right_of(c->core, i) : 0;
        uint64_t word = c->core[i] | (c->join[i] & left_of(c->core, i) & right_core);
        uint64_t shifted = word << 1 | word_before;
        uint64_t starts = word & ~shifted, ends = shifted & ~word;
        /* Adding a bit inside a run of ones carries to the first zero above it, the word's end. */
        uint64_t with_digit = add_carry(word, c->digit[i], &digit_carry);
        uint64_t with_dot = add_carry(word, c->dot[i] & word, &dot_carry);
        uint64_t host_port = c->colon[i] & (i < blocks ? right_of(c->digit, i) : 0);
        uint64_t value = with_digit | (with_dot & host_port);

        word_before = word >> 63;
        for (; starts; starts &= starts - 1)
            t->starts[n_starts++] = (uint16_t)(i * 64 + (uint32_t)__builtin_ctzll(starts));
        for (; ends; ends &= ends - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(ends);

            t->ends[n_ends] = (uint16_t)(i * 64 + bit);
            t->values[n_ends++] = value >> bit & 1;
        }
    }
    return n_ends;
}

#define LETTERS(a, b, c, d)                                                                        \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* A word of at most four bytes as one number. */
static uint32_t letters_of(const char *word, uint32_t length)
{
    uint32_t letters;

    memcpy(&letters, word, sizeof letters);
    return length < 4 ? letters & ((UINT32_C(1) << (length * 8)) - 1) : letters;
}

static bool is_date_word(const char *word, uint32_t length)
{
    if (length != 3)
        return false;
    switch (letters_of(word, 3)) {
    case LETTERS('M', 'o', 'n', 0):
    case LETTERS('T', 'u', 'e', 0):
    case LETTERS('W', 'e', 'd', 0):
    case LETTERS('T', 'h', 'u', 0):
    case LETTERS('F', 'r', 'i', 0):
    case LETTERS('S', 'a', 't', 0):
    case LETTERS('S', 'u', 'n', 0):
    case LETTERS('J', 'a', 'n', 0):
    case LETTERS('F', 'e', 'b', 0):
    case LETTERS('M', 'a', 'r', 0):
    case LETTERS('A', 'p', 'r', 0):
    case LETTERS('M', 'a', 'y', 0):
    case LETTERS('J', 'u', 'n', 0):
    case LETTERS('J', 'u', 'l', 0):
    case LETTERS('A', 'u', 'g', 0):
    case LETTERS('S', 'e', 'p', 0):
    case LETTERS('O', 'c', 't', 0):
    case LETTERS('N', 'o', 'v', 0):
    case LETTERS('D', 'e', 'c', 0):
        return true;
    default:
        return false;
    }
}

/* What a number takes with it: units, and what belongs to a time. */
static bool is_unit(const char *word, uint32_t length)
{
    if (length > 4)
        return false;
    switch (letters_of(word, length)) {
    case LETTERS('B', 0, 0, 0):
    case LETTERS('K', 'B', 0, 0):
    case LETTERS('M', 'B', 0, 0):
    case LETTERS('G', 'B', 0, 0):
    case LETTERS('T', 'B', 0, 0):
    case LETTERS('k', 'B', 0, 0):
    case LETTERS('K', 'i', 'B', 0):
    case LETTERS('M', 'i', 'B', 0):
    case LETTERS('G', 'i', 'B', 0):
    case LETTERS('T', 'i', 'B', 0):
    case LETTERS('s', 0, 0, 0):
    case LETTERS('m', 's', 0, 0):
    case LETTERS('u', 's', 0, 0):
    case LETTERS('n', 's', 0, 0):
    case LETTERS('s', 'e', 'c', 0):
    case LETTERS('s', 'e', 'c', 's'):
    case LETTERS('m', 'i', 'n', 0):
    case LETTERS('m', 'i', 'n', 's'):
    case LETTERS('h', 'r', 's', 0):
    case LETTERS('A', 'M', 0, 0):
    case LETTERS('P', 'M', 0, 0):
    case LETTERS('U', 'T', 'C', 0):
    case LETTERS('G', 'M', 'T', 0):
    case LETTERS('C', 'E', 'T', 0):
    case LETTERS('C', 'E', 'S', 'T'):
    case LETTERS('P', 'S', 'T', 0):
    case LETTERS('P', 'D', 'T', 0):
    case LETTERS('M', 'S', 'T', 0):
    case LETTERS('M', 'D', 'T', 0):
    case LETTERS('C', 'S', 'T', 0):
    case LETTERS('C', 'D', 'T', 0):
    case LETTERS('E', 'S', 'T', 0):
    case LETTERS('E', 'D', 'T', 0):
    case LETTERS('J', 'S', 'T', 0):
    case LETTERS('K', 'S', 'T', 0):
        return true;
    default:
        return is_date_word(word, length);
    }
}

static uint32_t end_of(const hx_token *token)
{
    return (uint32_t)token->start + token->length;
}

/* Whether the word from start to end belongs to the value before it. */
static bool extends_value(const char *text, const hx_token *value, uint32_t start, uint32_t end)
{
    return start == end_of(value) + 1 && text[start - 1] == ' ' &&
           is_unit(text + start, end - start);
}

/* Takes back the month and day names before a value at start. Returns where the value begins then.
 */
static uint32_t take_date_words(hx_tokenizer *t, uint32_t *count, uint32_t start)
{
    while (*count) {
        const hx_token *before = &t->tokens[*count - 1];

        if (before->is_value || start - end_of(before) > 2 ||
            !is_date_word(t->text + before->start, before->length))
            break;
        start = before->start;
        --*count;
    }
    return start;
}

static void make_tokens(hx_tokenizer *t, uint32_t words)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < words; i++) {
        uint32_t start = t->starts[i], end = t->ends[i];
        char first = t->text[start];
        bool is_value = t->values[i] || first == '/' || first == '\\';

        if (is_value)
            start = take_date_words(t, &count, start);
        if (count && t->tokens[count - 1].is_value) {
            hx_token *last = &t->tokens[count - 1];

            if (is_value || extends_value(t->text, last, start, end)) {
                last->length = (uint16_t)(end - last->start);
                continue;
            }
        }
        if (count == t->max_tokens) {
            t->cut = true;
            break;
        }
        t->tokens[count++] = (hx_token){(uint16_t)start, (uint16_t)(end - start), is_value};
    }
    t->count = count;
}

void hx_tokenizer_run(hx_tokenizer *t, hx_slice message)
{
    uint32_t length = message.len < HX_SCAN_BYTES ? message.len : HX_SCAN_BYTES;
    uint32_t blocks = (length + 63) / 64;
    hx_byte_classes *c = &t->classes;

    t->cut = message.len > HX_SCAN_BYTES;
    if (length)
        memcpy(t->text, message.ptr, length);
    memset(t->text + length, 0, HX_WORD_PADDING);
    t->classify(t->text, blocks, c);
    c->core[blocks] = c->join[blocks] = c->digit[blocks] = c->colon[blocks] = c->dot[blocks] = 0;
    if (tight_colons(c, blocks) >= 2)
        join_colons(t, length);
    make_tokens(t, cut_words(t, blocks));
}
