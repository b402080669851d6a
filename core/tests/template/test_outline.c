/* An outline says exactly which tokens a message has, whatever the bytes, and writing one reads
 * nothing around the message; an answer is found for its own outline only. */
#include "../check.h"
#include "template/answers.h"

static hx_tokenizer room, plain;
static hx_outline outline;
static hx_outline_write write_outline;

/* The tokens of the plain tokenizer, as the outline should have them. */
static size_t expected(const char *message, size_t len, char *out)
{
    char *at = out;

    hx_tokenizer_run(&plain, hx_slice_make(message, len));
    for (uint32_t i = 0; i < plain.count; i++) {
        const hx_token *token = &plain.tokens[i];

        if (!token->is_value) {
            memcpy(at, message + token->start, token->length);
            at += token->length;
        }
        *at++ = '\0';
    }
    return (size_t)(at - out);
}

static uint32_t words_in(const char *message, size_t len)
{
    uint32_t words = 0;

    for (size_t i = 0; i < len; i++)
        words += message[i] != ' ' && (i == 0 || message[i - 1] == ' ');
    return words;
}

/* Whether some bytes without a blank may be a word that is mixed, which gets no outline. */
static bool may_be_mixed(const char *message, size_t len)
{
    size_t start = 0, turns = 0;

    for (size_t i = 0; i < len; i++) {
        if (message[i] == ' ') {
            start = i + 1;
            turns = 0;
            continue;
        }
        turns +=
            i >= start + 2 && !(message[i] & 32) && (message[i - 1] & 32) != (message[i - 2] & 32);
        if (i + 1 - start >= HX_MIXED_BYTES && turns >= HX_MIXED_TURNS)
            return true;
    }
    return false;
}

static bool check_outline(const char *message, size_t len)
{
    char want[8300];
    size_t want_len = expected(message, len, want);

    if (!write_outline(&room, hx_slice_make(message, len), &outline)) {
        CHECK(len > HX_OUTLINE_MESSAGE || want_len > HX_OUTLINE_BYTES || plain.cut ||
              len > 2 * 63 || words_in(message, len) > 3 || may_be_mixed(message, len));
        return false;
    }
    CHECK(!plain.cut);
    CHECK_BYTES(outline.bytes, outline.length, want, want_len);
    for (uint32_t i = outline.length; i % HX_OUTLINE_STEP; i++)
        CHECK_INT(outline.bytes[i], 0);
    CHECK_INT(outline.tokens, plain.count);
    for (uint32_t i = 0; i < plain.count; i++) {
        const hx_token token = hx_outline_token(&outline, i);

        CHECK_INT(token.start, plain.tokens[i].start);
        CHECK_INT(token.length, plain.tokens[i].length);
        CHECK_INT(token.is_value, plain.tokens[i].is_value);
    }
    return true;
}

static const char *const cases[] = {
    "",
    "a",
    "7",
    "Failed password for root from 10.0.0.1 port 22 ssh2",
    "took 15 ms for 3 rounds of 1 KB s and 2 secs, 3 min",
    "on Sun Jun  1 10:00:00 2025 it was Mon Tue Wed 5 or May 7",
    "Jun is a month, 5 May too; 5  May, 5 , May",
    "list 1, 2, 3 end; get www.example.org:443 now, open /etc/hosts and C:\\Windows\\x",
    "mac aa:bb:cc:dd:ee:ff up, ip fe80::dead:beef up, x::y g::h Worker::add",
    "sixty-four bytes to a block, and this word goes over the end of it: "
    "wordthatgoesoverandoverandover-and.over 1 MB",
    "a message of more than two blocks of sixty-four bytes each, so that values 17 and units 5 KB "
    "and dates Mon Jan 1 come in the third block as well as in the first, and in the fourth 9 ms "
    "Sat 4",
    "java.net.NoRouteToHostException: getURLsByID of ECDSA-SK-CERT-V_A_B_C_D taskID userID nodeID",
    "key SHA256:1KEFlQkECaWLbHixBQDRqkkCZJTNMPSQIEynQpTKHqK found, org.apache.DFSClient$DFSStream",
};

/* Each has a word that is mixed, at some place in the blocks. */
static const char *const without_outline[] = {
    "BKEFlQkECaWLbHix",
    "for the key BKEFlQkECaWLbHixBQDRqkkCZJTNMPSQIEynQpTKHqK",
    "for the key 1 BKEFlQkECaWLbHixBQDRqkkCZJTNMPSQIEynQpTKHqK of the user root, ssh2",
    "Accepted publickey for root from 10.2.3.4 port 22 ssh2: RSA SHA256:JiEwC+hlCtUTA/yEgsfxqAZFn",
    "a message of more than two blocks of sixty-four bytes each, so that the word which is mixed "
    "is "
    "not in the first of them, nor in the second: JiEwC+hlCtUTA+yEgsfxqAZFnkym+DYagdBiKOau+yL",
};

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK(check_outline(cases[i], strlen(cases[i])));
    for (size_t i = 0; i < sizeof without_outline / sizeof *without_outline; i++)
        CHECK(!write_outline(&room, hx_slice_make(without_outline[i], strlen(without_outline[i])),
                             &outline));
}

static uint32_t below(uint32_t n)
{
    static uint64_t state = 11;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

/* Long words of letters, wherever they begin: none that is mixed gets an outline. */
static void test_mixed(void)
{
    static const char letters[] = "aAbBcCdDeE_/+-. ";
    uint32_t mixed = 0, written = 0;

    for (uint32_t round = 0; round < 20000; round++) {
        char message[200];
        uint32_t len = 20 + below(170);
        bool is_mixed = false;

        for (uint32_t i = 0; i < len; i++)
            message[i] = letters[below(round % 2 ? 10 : (uint32_t)sizeof letters - 1)];
        for (uint32_t i = below(60); i < len; i += 1 + below(40))
            message[i] = ' ';
        hx_tokenizer_run(&plain, hx_slice_make(message, len));
        for (uint32_t i = 0; i < plain.count; i++)
            is_mixed |= plain.tokens[i].is_value && message[plain.tokens[i].start] != '/';
        mixed += is_mixed;
        if (check_outline(message, len)) {
            CHECK(!is_mixed);
            written++;
        }
    }
    CHECK(mixed > 1000 && written > 1000);
}

static const char *const pieces[] = {
    "Jun",     "Mon",  "KB",      "s",     "ms",      "secs", "B",    "May",         "uid",
    "for",     "port", "7",       "10",    "a1",      "/a",   "\\b",  "c:",          "::",
    "12:30:1", "ab:",  "fe80::1", "x.y:8", "x.y:",    "-",    "a-b",  "a-",          ".",
    "..",      "@",    "u@h",     "\xff",  "caf\xc3", "~",    "word", "Wed",         "CEST",
    "Mbps",    "K",    ",",       "=",     "[",       "\t",   "",     "long-word.of"};

/* Words that may be units or dates, values, and marks, with and without blanks between. */
static uint32_t make_message(char *out, uint32_t most)
{
    uint32_t len = 0, blanks = below(4);

    while (len < most) {
        const char *piece = pieces[below(sizeof pieces / sizeof pieces[0])];
        uint32_t room_left = most - len, piece_len = (uint32_t)strlen(piece);

        if (piece_len > room_left)
            piece_len = room_left;
        memcpy(out + len, piece, piece_len);
        len += piece_len;
        for (uint32_t i = below(blanks + 2); i && len < most; i--)
            out[len++] = ' ';
    }
    return len;
}

/* Every length, at the end of mapped memory: made of pieces, of few letters, of any bytes. */
static void test_generated_at_guard_page(void)
{
    static const char letters[] = "abcXYZ012  ..--::/\\_@=,[]JuneMonmsKB\x80\xff";
    uint32_t written = 0, count = 0;

    for (uint32_t len = 0; len < 300; len++)
        for (uint32_t round = 0; round < 60; round++, count++) {
            char message[300];

            if (round < 50)
                make_message(message, len);
            else
                for (uint32_t i = 0; i < len; i++)
                    message[i] =
                        round == 50 ? (char)below(256) : letters[below(sizeof letters - 1)];
            char *guarded = check_guard_copy(message, len);
            written += check_outline(guarded, len);
            check_guard_free(guarded, len);
        }
    CHECK(written > count / 2);
}

static void test_bounds(void)
{
    char message[HX_OUTLINE_MESSAGE + 1];

    memset(message, 'a', sizeof message);
    CHECK(!write_outline(&room, hx_slice_make(message, sizeof message), &outline));
    CHECK(!write_outline(&room, hx_slice_make(message, HX_OUTLINE_BYTES), &outline));
    CHECK(check_outline(message, HX_OUTLINE_BYTES - 1));
    for (uint32_t i = 1; i < sizeof message; i += 2)
        message[i] = ' ';
    CHECK(check_outline(message, 2 * 63));
    CHECK(!write_outline(&room, hx_slice_make(message, 2 * 63 + 1), &outline));
    room.max_tokens = 3;
    CHECK(check_outline("a b 1", 5));
    CHECK(!write_outline(&room, HX_SLICE_LIT("a b c d"), &outline));
    room.max_tokens = 256;
}

static void test_answers(void)
{
    hx_answers answers;
    hx_outline other;

    CHECK_INT(hx_answers_init(&answers), 0);
    CHECK(write_outline(&room, HX_SLICE_LIT("open 17"), &outline));
    CHECK(hx_answers_find(&answers, &outline) == NULL);
    hx_answers_keep(&answers, &outline, 5, 0);
    CHECK(write_outline(&room, HX_SLICE_LIT("[open]: 99"), &outline));
    CHECK_INT(hx_answers_find(&answers, &outline)->key, 5);

    /* The same hash is not enough, and leaves room for both; a third takes one's place. */
    other = outline;
    other.bytes[0] = 'O';
    CHECK(hx_answers_find(&answers, &other) == NULL);
    hx_answers_keep(&answers, &other, 6, 0);
    CHECK_INT(hx_answers_find(&answers, &outline)->key, 5);
    CHECK_INT(hx_answers_find(&answers, &other)->key, 6);
    other.length++;
    CHECK(hx_answers_find(&answers, &other) == NULL);
    hx_answers_keep(&answers, &other, 7, 0);
    CHECK_INT(hx_answers_find(&answers, &other)->key, 7);
    hx_answers_free(&answers);
}

int main(void)
{
    hx_tokenizer_init(&room, 256);
    hx_tokenizer_init(&plain, 256);
    plain.scan = hx_scan_plain;
    write_outline = hx_outline_best();
    if (!write_outline) {
        puts("skipped: this machine writes no outlines");
        return CHECK_SKIP;
    }
    test_cases();
    test_mixed();
    test_generated_at_guard_page();
    test_bounds();
    test_answers();
    return 0;
}
