/* What holds for every log: a message that was learned matches afterwards, whatever it was and
 * however tight the bounds, and learning and matching give the same answers each time. */
#include "../check.h"

#include <haechi/template.h>

static uint64_t state;

static uint32_t below(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static const char *const words[] = {
    "open", "close",  "user", "from",  "error", "10.0.0.1", "17",    "/a/b",  "x=5",  "Jun",
    "1 KB", "s",      "ms",   "[]",    "a.b.c", "-",        "::1",   "12:30", "\xff", "\x01",
    "id:7", "failed", "to",   "state", "at",    "in",       "C:\\x", "..."};

/* A message of words from a short list, of names from a long one, or of any bytes at all. */
static uint32_t make_message(char *out, uint32_t room)
{
    uint32_t kind = below(20), count = below(12), len = 0;

    if (kind == 0) {
        len = below(200);
        for (uint32_t i = 0; i < len; i++)
            out[i] = (char)below(256);
        return len;
    }
    for (uint32_t i = 0; i < count && len + 32 < room; i++) {
        if (below(5) == 0)
            len += (uint32_t)sprintf(out + len, "%c%c%c%c", 'a' + below(26), 'a' + below(26),
                                     'a' + below(26), 'a' + below(26));
        else
            len += (uint32_t)sprintf(out + len, "%s",
                                     words[below(kind < 10 ? 6 : sizeof words / sizeof words[0])]);
        out[len++] = " =:,"[below(40) < 37 ? 0 : 1 + below(3)];
    }
    return len;
}

typedef struct bounds {
    uint32_t messages;
    hx_miner_config config;
} bounds;

static const bounds cases[] = {
    {3000, {0}},
    {3000, {.max_templates = 1}},
    {3000, {.max_templates = 7}},
    {3000, {.max_templates = 200, .max_tokens = 3}},
    {3000, {.max_tokens = 1}},
    {20000, {.max_memory_bytes = 1 << 20}},
    {90000, {.max_memory_bytes = 64 << 20}}, /* passes the bound on shapes, too */
};

static char *mine(const bounds *b, uint64_t seed, size_t *json_len)
{
    hx_miner *miner;
    hx_error err = {{0}};
    char message[512], *json;

    CHECK_INT(hx_miner_create(&b->config, &miner, &err), 0);
    state = seed;
    for (uint32_t i = 0; i < b->messages; i++)
        CHECK_INT(
            hx_miner_learn(miner, hx_slice_make(message, make_message(message, sizeof message))),
            0);
    CHECK_INT(hx_miner_finish(miner, &json, json_len, &err), 0);
    hx_miner_destroy(miner);
    return json;
}

static void check_all_match(const bounds *b, uint64_t seed, const char *json, size_t json_len)
{
    uint32_t max_templates = b->config.max_templates ? b->config.max_templates : 8192;
    hx_matcher *matcher;
    hx_match_scratch *one, *other;
    char message[512];

    CHECK_INT(hx_matcher_create(json, json_len, &matcher, NULL), 0);
    CHECK_INT(hx_match_scratch_create(matcher, &one), 0);
    CHECK_INT(hx_match_scratch_create(matcher, &other), 0);
    CHECK(hx_matcher_count(matcher) <= max_templates);
    state = seed;
    for (uint32_t i = 0; i < b->messages; i++) {
        hx_slice m = hx_slice_make(message, make_message(message, sizeof message));
        uint32_t key = hx_matcher_match(matcher, one, m);

        CHECK(key < hx_matcher_count(matcher));
        if (i % 16 == 0)
            CHECK_INT(hx_matcher_match(matcher, other, m), key);
    }
    hx_match_scratch_destroy(one);
    hx_match_scratch_destroy(other);
    hx_matcher_destroy(matcher);
}

static void test_learned_matches(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (uint64_t seed = 1; seed <= (cases[i].messages > 10000 ? 1 : 4); seed++) {
            size_t len, again_len;
            char *json = mine(&cases[i], seed, &len);

            check_all_match(&cases[i], seed, json, len);
            if (seed == 1) {
                char *again = mine(&cases[i], seed, &again_len);

                CHECK_BYTES(json, len, again, again_len);
                free(again);
            }
            free(json);
        }
}

/* Long lines: what is behind the bounds does not count, and a cut line is not a short one. */
static void test_long_lines(void)
{
    uint32_t len = 1 << 20;
    char *line = malloc(len), *json;
    hx_miner *miner;
    hx_matcher *matcher;
    hx_match_scratch *scratch;
    size_t json_len;

    CHECK(line != NULL);
    for (uint32_t i = 0; i < len; i++)
        line[i] = "ab "[i % 3];
    CHECK_INT(hx_miner_create(NULL, &miner, NULL), 0);
    CHECK_INT(hx_miner_learn(miner, hx_slice_make(line, len)), 0);
    CHECK_INT(hx_miner_learn(miner, hx_slice_make(line, 5)), 0);
    CHECK_INT(hx_miner_finish(miner, &json, &json_len, NULL), 0);
    CHECK_INT(hx_matcher_create(json, json_len, &matcher, NULL), 0);
    CHECK_INT(hx_match_scratch_create(matcher, &scratch), 0);
    CHECK_INT(hx_matcher_match(matcher, scratch, hx_slice_make(line, len)), 0);
    CHECK_INT(hx_matcher_match(matcher, scratch, hx_slice_make(line, len - 7)), 0);
    CHECK_INT(hx_matcher_match(matcher, scratch, hx_slice_make(line, 5)), 1);
    CHECK_INT(hx_matcher_match(matcher, scratch, hx_slice_make(line, 8)), HX_KEY_UNSEEN);
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
    hx_miner_destroy(miner);
    free(json);
    free(line);
}

int main(void)
{
    test_learned_matches();
    test_long_lines();
    return 0;
}
