/* What is learned from small logs: the texts of the templates, in the order of first appearance. */
#include "../check.h"

#include <haechi/template.h>

typedef struct example {
    const char *name;
    const char *log;       /* a message a line */
    const char *templates; /* count and text of each, a line */
} example;

static const example examples[] = {
    {"nothing", "", ""},
    {"values of every kind are masked", "job 17 took 3 ms\njob 4 took 12 s\njob 5 took 00:12\n",
     "3 job <*> took <*>\n"},
    {"few words at a place stay", "door opened by anna\ndoor closed by anna\ndoor jammed by anna\n",
     "1 door opened by anna\n1 door closed by anna\n1 door jammed by anna\n"},
    {"many words at a place vary",
     "door opened by anna\ndoor opened by boris\ndoor opened by chloe\ndoor opened by dieter\n",
     "4 door opened by <*>\n"},
    {"a word where values stand varies",
     "request sent to host 10.0.0.1\nrequest sent to host gateway\n",
     "2 request sent to host <*>\n"},
    {"a first token says what happens",
     "anna left\nboris left\nchloe left\ndieter left\nelena left\n",
     "1 anna left\n1 boris left\n1 chloe left\n1 dieter left\n1 elena left\n"},
    {"words seen to vary elsewhere vary",
     "user anna logged in\nuser boris logged in\nuser chloe logged in\nuser dieter logged in\n"
     "session of user boris ended\nsession of user chloe ended\n",
     "4 user <*> logged in\n2 session of user <*> ended\n"},
    {"a word and a value beside it vary together",
     "ping from 10.0.0.1 failed twice now\nping from anna (10.0.0.2) failed twice now\n"
     "ping from boris (10.0.0.2) failed twice now\nping from chloe (10.0.0.2) failed twice now\n"
     "ping from dieter (10.0.0.2) failed twice now\n",
     "5 ping from <*> failed twice now\n"},
    {"words behind several keys vary together",
     "lock taken by=anna kind=read in=hall now\nlock taken by=boris kind=write in=attic now\n"
     "lock taken by=chloe kind=read in=attic now\nlock taken by=dieter kind=none in=cellar now\n",
     "4 lock taken by=<*> kind=<*> in=<*> now\n"},
    {"keys tell nothing, so what a message says stays",
     "level=info src=a msg=\"door opened\" n=1\nlevel=info src=a msg=\"window broken\" n=2\n"
     "level=info src=a msg=\"guard asleep\" n=3\nlevel=info src=a msg=\"light off\" n=4\n",
     "1 level=info src=a msg=\"door opened\" n=<*>\n1 level=info src=a msg=\"window broken\" "
     "n=<*>\n"
     "1 level=info src=a msg=\"guard asleep\" n=<*>\n1 level=info src=a msg=\"light off\" n=<*>\n"},
    {"a named address varies as a bare one does",
     "ping from 10.0.0.1 failed twice now\nping from a.example (10.0.0.2) failed twice now\n",
     "2 ping from <*> failed twice now\n"},
    {"the same word in and out of a slot is one template", "mode fast on\nmode=fast on\n",
     "2 mode fast on\n"},
    {"what is done stays",
     "unit app started now\nunit app stopped now\nunit app paused now\nunit app resumed now\n",
     "1 unit app started now\n1 unit app stopped now\n1 unit app paused now\n"
     "1 unit app resumed now\n"},
    {"order of first appearance", "b\na\nb\nc 1\na\nc 2\n", "2 b\n2 a\n2 c <*>\n"},
    {"bytes that are no text", "a\x01 \xff\\b <*> 7\n", "1 a\\x01 \\xff\\\\b \\<*> <*>\n"},
    {"no tokens at all", "...\n---\n", "2 ...\n"},
};

static void learn_lines(hx_miner *miner, const char *log)
{
    for (const char *at = log, *end; (end = strchr(at, '\n')); at = end + 1) {
        char *line = check_guard_copy(at, (size_t)(end - at));

        CHECK_INT(hx_miner_learn(miner, hx_slice_make(line, (size_t)(end - at))), 0);
        check_guard_free(line, (size_t)(end - at));
    }
}

/* "count text" lines of what was mined, the counts found by matching the log again. */
static void describe(const char *json, size_t json_len, const char *log, char *out)
{
    uint32_t counts[64] = {0};
    hx_matcher *matcher;
    hx_match_scratch *scratch;

    CHECK_INT(hx_matcher_create(json, json_len, &matcher, NULL), 0);
    CHECK_INT(hx_match_scratch_create(matcher, &scratch), 0);
    CHECK(hx_matcher_count(matcher) <= 64);
    for (const char *at = log, *end; (end = strchr(at, '\n')); at = end + 1) {
        uint32_t key = hx_matcher_match(matcher, scratch, hx_slice_make(at, (size_t)(end - at)));

        CHECK(key < hx_matcher_count(matcher));
        counts[key]++;
    }
    *out = '\0';
    for (uint32_t i = 0; i < hx_matcher_count(matcher); i++)
        out += sprintf(out, "%u %s\n", counts[i], hx_matcher_text(matcher, i));
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
}

static void test_example(const example *e)
{
    hx_miner *miner;
    hx_error err = {{0}};
    char got[8192], *json, *again;
    size_t json_len, again_len;

    CHECK_INT(hx_miner_create(NULL, &miner, &err), 0);
    learn_lines(miner, e->log);
    CHECK_INT(hx_miner_finish(miner, &json, &json_len, &err), 0);
    CHECK_INT(hx_miner_finish(miner, &again, &again_len, &err), 0);
    CHECK_BYTES(json, json_len, again, again_len);
    describe(json, json_len, e->log, got);
    if (strcmp(got, e->templates) != 0)
        fprintf(stderr, "%s:\n", e->name);
    CHECK_BYTES(got, strlen(got), e->templates, strlen(e->templates));
    free(json);
    free(again);
    hx_miner_destroy(miner);
}

static void test_configuration(void)
{
    static const hx_miner_config wrong[] = {
        {.max_templates = 65001}, {.max_tokens = 4097}, {.max_memory_bytes = 1000}};
    hx_miner *miner;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        hx_error err = {{0}};

        CHECK_INT(hx_miner_create(&wrong[i], &miner, &err), HX_EINVAL);
        CHECK(strstr(err.text, "max_") != NULL);
        CHECK(miner == NULL);
    }
    hx_miner_destroy(NULL);
}

int main(void)
{
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        test_example(&examples[i]);
    test_configuration();
    return 0;
}
