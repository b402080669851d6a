#include "templates.h"

#include "escape.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

static int wrong(hx_error *err, const char *what, uint32_t at)
{
    return hx_error_set(err, HX_EMALFORMED, "templates.json: templates[%u]%s", at, what);
}

static int read_whole(const cJSON *object, const char *name, double least, double most,
                      uint32_t *out, hx_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least && item->valuedouble <= most) ||
        item->valuedouble != floor(item->valuedouble))
        return hx_error_set(err, HX_EMALFORMED,
                            "templates.json: %s is not a whole number from %.0f to %.0f", name,
                            least, most);
    *out = (uint32_t)item->valuedouble;
    return 0;
}

/* How much room the set needs; and that it has the form it should. */
typedef struct hx_sizes {
    size_t steps, word_bytes, text_bytes;
} hx_sizes;

static int measure_template(const cJSON *item, uint32_t at, uint32_t max_tokens, hx_sizes *sizes,
                            hx_error *err)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(item, "text");
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(item, "tokens");
    const cJSON *token;
    uint32_t count = 0;

    if (!cJSON_IsString(text))
        return wrong(err, ".text is not a string", at);
    if (!cJSON_IsArray(tokens))
        return wrong(err, ".tokens is not a list", at);
    cJSON_ArrayForEach(token, tokens)
    {
        if (!cJSON_IsString(token))
            return wrong(err, ".tokens holds something that is not a string", at);
        if (++count > max_tokens + 1)
            return wrong(err, ".tokens is longer than max_tokens", at);
        sizes->word_bytes += strlen(token->valuestring) + 16;
    }
    sizes->steps += count;
    sizes->text_bytes += strlen(text->valuestring) + 1;
    return 0;
}

/* A word that the tokenizer would not make of itself could never be met. */
static bool is_one_word(hx_tokenizer *tokenizer, const char *word, uint32_t length)
{
    hx_tokenizer_run(tokenizer, hx_slice_make(word, length));
    return tokenizer->count == 1 && !tokenizer->cut && !tokenizer->tokens[0].is_value &&
           tokenizer->tokens[0].length == length;
}

/* Fills step; *words moves behind the word. */
static int read_step(const char *token, hx_tokenizer *tokenizer, char **words, hx_step *step)
{
    int64_t length;

    *step = (hx_step){.kind = HX_STEP_WORD};
    if (strcmp(token, "<*>") == 0)
        step->kind = HX_STEP_ANY;
    else if (strcmp(token, "<#>") == 0)
        step->kind = HX_STEP_VALUE;
    else if (strcmp(token, "<+>") == 0)
        step->kind = HX_STEP_SPAN;
    else if (strcmp(token, "<...>") == 0)
        step->kind = HX_STEP_REST;
    if (step->kind != HX_STEP_WORD)
        return 0;
    length = hx_unescape(token, *words);
    if (length <= 0 || length > HX_SCAN_BYTES || !is_one_word(tokenizer, *words, (uint32_t)length))
        return HX_EMALFORMED;
    step->word = *words;
    step->length = (uint32_t)length;
    step->head = hx_word_head_load(step->word, step->length);
    *words += length + 16;
    return 0;
}

static int read_template(hx_templates *t, const cJSON *item, hx_tokenizer *tokenizer, uint32_t at,
                         hx_step **steps, char **words, char **texts, hx_error *err)
{
    const char *text = cJSON_GetObjectItemCaseSensitive(item, "text")->valuestring;
    hx_pattern *pattern = &t->patterns[at];
    const cJSON *token;

    pattern->steps = *steps;
    cJSON_ArrayForEach(token, cJSON_GetObjectItemCaseSensitive(item, "tokens"))
    {
        hx_step *step = (*steps)++;

        if (pattern->count && step[-1].kind == HX_STEP_REST)
            return wrong(err, ".tokens goes on after <...>", at);
        if (read_step(token->valuestring, tokenizer, words, step))
            return wrong(err,
                         ".tokens holds a string that is neither one word nor <#>, <*>, <+>, <...>",
                         at);
        pattern->count++;
    }
    if (pattern->count > t->max_tokens && (*steps)[-1].kind != HX_STEP_REST)
        return wrong(err, ".tokens is longer than max_tokens", at);
    t->texts[at] = *texts;
    memcpy(*texts, text, strlen(text) + 1);
    *texts += strlen(text) + 1;
    return 0;
}

static int fill(hx_templates *t, const cJSON *list, const hx_sizes *sizes, hx_error *err)
{
    hx_tokenizer *tokenizer = malloc(sizeof *tokenizer);
    const cJSON *item;
    uint32_t at = 0;
    int rc = 0;

    t->patterns = calloc(t->count + 1, sizeof *t->patterns);
    t->steps = calloc(sizes->steps + 1, sizeof *t->steps);
    t->words = calloc(sizes->word_bytes + 1, 1);
    t->texts = calloc(t->count + 1, sizeof *t->texts);
    t->text_bytes = malloc(sizes->text_bytes + 1);
    if (!tokenizer || !t->patterns || !t->steps || !t->words || !t->texts || !t->text_bytes) {
        free(tokenizer);
        return hx_error_set(err, HX_ENOMEM, "templates.json: not enough memory for %u templates",
                            t->count);
    }
    hx_tokenizer_init(tokenizer, t->max_tokens);
    hx_step *steps = t->steps;
    char *words = t->words, *texts = t->text_bytes;

    cJSON_ArrayForEach(item, list)
    {
        rc = read_template(t, item, tokenizer, at++, &steps, &words, &texts, err);
        if (rc)
            break;
    }
    free(tokenizer);
    return rc;
}

static int read_set(hx_templates *t, const cJSON *root, hx_error *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "templates");
    const cJSON *item;
    hx_sizes sizes = {0};
    uint32_t format = 0;
    int rc;

    if (!cJSON_IsObject(root))
        return hx_error_set(err, HX_EMALFORMED, "templates.json: not a JSON object");
    if ((rc = read_whole(root, "format", 0, UINT32_MAX, &format, err)))
        return rc;
    if (format != HX_TEMPLATES_FORMAT)
        return hx_error_set(err, HX_EVERSION,
                            "templates.json: format %u, but this program reads format %u", format,
                            HX_TEMPLATES_FORMAT);
    if ((rc = read_whole(root, "max_tokens", 1, HX_TOKENS_MAX, &t->max_tokens, err)))
        return rc;
    if (!cJSON_IsArray(list))
        return hx_error_set(err, HX_EMALFORMED, "templates.json: templates is not a list");
    cJSON_ArrayForEach(item, list)
    {
        if (t->count == HX_TEMPLATES_MAX)
            return hx_error_set(err, HX_EMALFORMED, "templates.json: more than %u templates",
                                HX_TEMPLATES_MAX);
        if ((rc = measure_template(item, t->count, t->max_tokens, &sizes, err)))
            return rc;
        t->count++;
    }
    return fill(t, list, &sizes, err);
}

int hx_templates_read(hx_templates *templates, const char *json, size_t json_len, hx_error *err)
{
    cJSON *root = cJSON_ParseWithLength(json, json_len);
    int rc;

    *templates = (hx_templates){0};
    if (!root)
        return hx_error_set(err, HX_EMALFORMED, "templates.json: not JSON");
    rc = read_set(templates, root, err);
    cJSON_Delete(root);
    if (rc)
        hx_templates_free(templates);
    return rc;
}

void hx_templates_free(hx_templates *templates)
{
    free(templates->patterns);
    free(templates->steps);
    free(templates->words);
    free(templates->texts);
    free(templates->text_bytes);
    *templates = (hx_templates){0};
}
