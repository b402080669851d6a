/* Cutting a message into tokens, for miner and matcher alike.
 *
 * Bytes that make a word: letters, digits, '_' '/' '\' '+' '$' '%' '~' '@' and everything from 0x80
 * up;
 * '.' and '-' too where they stand between two such bytes. All other bytes separate words and count
 * for nothing else. A word is a value when it holds a digit or an '@', when it begins with a slash
 * (a path), when it is the dotted host of host:port, or when its letters are those of a key and not
 * of a name (hx_word_is_mixed). Runs of hexadecimal digits with two colons or more (times, MAC and
 * IPv6 addresses) are one value. Values that touch, or that a comma separates, are one value, and a
 * value takes a unit that follows it ("1.5 KB"). */
#ifndef HAECHI_TEMPLATE_TOKEN_H
#define HAECHI_TEMPLATE_TOKEN_H

#include <haechi/slice.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HX_SCAN_BYTES  8192 /* of a message that count; the rest is tail */
#define HX_SCAN_BLOCKS (HX_SCAN_BYTES / 64)
#define HX_TOKENS_MAX  4096 /* most that a configuration may ask for */
#define HX_TAIL_BYTES  32   /* a message's last, kept where words load whole */

/* Bytes of the shortest word whose letters are looked at, and how often they must turn. */
#define HX_MIXED_BYTES 16
#define HX_MIXED_TURNS 3

typedef struct hx_token {
    uint16_t start;
    uint16_t length;
    uint32_t is_value;
} hx_token;

/* One bit a byte, 64 bytes a block; the two blocks after the last are all zero. */
typedef struct hx_byte_classes {
    uint64_t core[HX_SCAN_BLOCKS + 2];  /* part of a word wherever it stands */
    uint64_t join[HX_SCAN_BLOCKS + 2];  /* part of a word between two core bytes */
    uint64_t digit[HX_SCAN_BLOCKS + 2]; /* makes its word a value */
    uint64_t colon[HX_SCAN_BLOCKS + 2];
    uint64_t dot[HX_SCAN_BLOCKS + 2];
    uint64_t slash[HX_SCAN_BLOCKS + 2]; /* either one */
} hx_byte_classes;

typedef struct hx_tokenizer {
    uint32_t max_tokens;
    uint32_t count;               /* tokens of the last message */
    bool cut;                     /* the last message had more tokens, or more bytes, than count */
    uint32_t length;              /* bytes of it that count */
    const char *text;             /* them: the message itself, or a copy in tail */
    uint32_t tail_from;           /* what part of it tail begins with */
    char tail[2 * HX_TAIL_BYTES]; /* zero behind HX_TAIL_BYTES */
    void (*scan)(struct hx_tokenizer *tokenizer, hx_slice message);
    hx_byte_classes classes;
    hx_token tokens[HX_TOKENS_MAX];
} hx_tokenizer;

void hx_tokenizer_init(hx_tokenizer *tokenizer, uint32_t max_tokens);

/* Fills count, cut, tokens and text, which borrows the message. Reads message and nothing around
 * it. */
static inline void hx_tokenizer_run(hx_tokenizer *tokenizer, hx_slice message)
{
    tokenizer->cut = message.len > HX_SCAN_BYTES;
    if (tokenizer->cut)
        message.len = HX_SCAN_BYTES;
    tokenizer->length = message.len;
    tokenizer->scan(tokenizer, message);
}

/* Whether a word without a digit is a key, a fingerprint or a token all the same: it is long, and
 * its case turns as that of base64 does, where a small letter between two large ones and two large
 * ones behind a small one are common. Names have a few of either ("NoRouteToHostException",
 * "getURLsByID"), hardly one in a thousand of the long ones has three, and of random letters nearly
 * all: 85 % of those with 22 letters, 99.7 % with 43. */
bool hx_word_is_mixed(const char *word, uint32_t length);

/* The ways to scan: in plain C, and the best that this machine has. The results are the same. */
void hx_scan_plain(hx_tokenizer *tokenizer, hx_slice message);
void (*hx_scan_best(void))(hx_tokenizer *tokenizer, hx_slice message);

/* The first sixteen bytes of a word, zero-padded: with the length, all there is to compare for most
 * words. */
typedef struct hx_word_head {
    uint64_t a, b;
} hx_word_head;

extern const uint64_t hx_word_mask[17][2];

/* Loads sixteen bytes at word, whatever the length. */
static inline hx_word_head hx_word_head_load(const char *word, uint32_t length)
{
    const uint64_t *mask = hx_word_mask[length < 16 ? length : 16];
    hx_word_head head;

    memcpy(&head, word, sizeof head);
    head.a &= mask[0];
    head.b &= mask[1];
    return head;
}

/* A word of the message. At the end of the message, where sixteen bytes would be too many, the copy
 * of its tail is read instead. */
static inline hx_word_head hx_tokenizer_head(const hx_tokenizer *tokenizer, uint32_t start,
                                             uint32_t length)
{
    const char *word = tokenizer->text + start;

    if (start + 16 > tokenizer->length)
        word = tokenizer->tail + (start - tokenizer->tail_from);
    return hx_word_head_load(word, length);
}

#endif
