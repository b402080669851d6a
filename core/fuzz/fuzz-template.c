/* A log of any bytes: every message of it that was learned matches, with tight bounds too, and both
 * tokenizers cut it alike. The first byte sets the bounds. */
#include "template/token.h"

#include <haechi/template.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void compare_tokenizers(hx_slice message)
{
    static hx_tokenizer best, plain;

    hx_tokenizer_init(&best, 64);
    hx_tokenizer_init(&plain, 64);
    plain.scan = hx_scan_plain;
    hx_tokenizer_run(&best, message);
    hx_tokenizer_run(&plain, message);
    must(best.count == plain.count && best.cut == plain.cut);
    for (uint32_t i = 0; i < best.count; i++)
        must(best.tokens[i].start == plain.tokens[i].start &&
             best.tokens[i].length == plain.tokens[i].length &&
             best.tokens[i].is_value == plain.tokens[i].is_value);
}

/* The next line of *rest, which is moved behind it. */
static hx_slice next_line(hx_slice *rest)
{
    const char *end = memchr(rest->ptr, '\n', rest->len);
    hx_slice line = {rest->ptr, end ? (uint32_t)(end - rest->ptr) : rest->len};

    rest->len -= line.len + (end != NULL);
    rest->ptr += line.len + (end != NULL);
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hx_miner_config config = {.max_tokens = 64};
    hx_miner *miner;
    hx_matcher *matcher;
    hx_match_scratch *scratch;
    char *json;
    size_t json_len;

    if (size == 0 || size > 1 << 16)
        return 0;
    config.max_templates = data[0] & 15;
    config.max_tokens = data[0] & 16 ? 3 : 64;
    hx_slice log = {(const char *)data + 1, (uint32_t)(size - 1)};

    must(hx_miner_create(&config, &miner, NULL) == 0);
    for (hx_slice rest = log; rest.len;) {
        hx_slice line = next_line(&rest);

        compare_tokenizers(line);
        must(hx_miner_learn(miner, line) == 0);
    }
    must(hx_miner_finish(miner, &json, &json_len, NULL) == 0);
    must(hx_matcher_create(json, json_len, &matcher, NULL) == 0);
    must(hx_match_scratch_create(matcher, &scratch) == 0);
    for (hx_slice rest = log; rest.len;)
        must(hx_matcher_match(matcher, scratch, next_line(&rest)) < hx_matcher_count(matcher));
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
    hx_miner_destroy(miner);
    free(json);
    return 0;
}
