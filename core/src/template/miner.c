#include "escape.h"
#include "groups.h"
#include "mine.h"
#include "shapes.h"
#include "templates.h"

#include <haechi/template.h>

#include <stdlib.h>

#define DEFAULT_TEMPLATES    8192
#define DEFAULT_TOKENS       256
#define DEFAULT_MEMORY_BYTES (UINT64_C(256) << 20)
#define LEAST_MEMORY_BYTES   (UINT64_C(1) << 20)
#define MAX_SHAPES           65536 /* kept at a time; mining takes a second or so for them */

struct hx_miner {
    uint32_t max_templates;
    hx_shapes shapes;
    uint32_t symbols[HX_TOKENS_MAX + 1]; /* of the message being learned */
    uint32_t firsts[HX_TOKENS_MAX + 2];
    hx_tokenizer tokenizer;
};

int hx_miner_create(const hx_miner_config *config, hx_miner **out, hx_error *err)
{
    uint32_t max_templates =
        config && config->max_templates ? config->max_templates : DEFAULT_TEMPLATES;
    uint32_t max_tokens = config && config->max_tokens ? config->max_tokens : DEFAULT_TOKENS;
    uint64_t max_bytes =
        config && config->max_memory_bytes ? config->max_memory_bytes : DEFAULT_MEMORY_BYTES;
    hx_miner *miner;

    *out = NULL;
    if (max_templates > HX_TEMPLATES_MAX)
        return hx_error_set(err, HX_EINVAL, "max_templates: %u is more than %u", max_templates,
                            HX_TEMPLATES_MAX);
    if (max_tokens > HX_TOKENS_MAX)
        return hx_error_set(err, HX_EINVAL, "max_tokens: %u is more than %u", max_tokens,
                            HX_TOKENS_MAX);
    if (max_bytes < LEAST_MEMORY_BYTES)
        return hx_error_set(err, HX_EINVAL, "max_memory_bytes: %llu is less than %llu",
                            (unsigned long long)max_bytes, (unsigned long long)LEAST_MEMORY_BYTES);
    miner = malloc(sizeof *miner);
    if (!miner)
        return hx_error_set(err, HX_ENOMEM, "not enough memory for a miner");
    miner->max_templates = max_templates;
    hx_shapes_init(&miner->shapes, max_bytes);
    hx_tokenizer_init(&miner->tokenizer, max_tokens);
    *out = miner;
    return 0;
}

void hx_miner_destroy(hx_miner *miner)
{
    if (!miner)
        return;
    hx_shapes_free(&miner->shapes);
    free(miner);
}

/* The bytes of a message that the tokenizer looks at, and one more where there are more, so that
 * the copy is cut where the message was. */
static hx_slice seen_part(hx_slice message)
{
    if (message.len > HX_SCAN_BYTES)
        message.len = HX_SCAN_BYTES + 1;
    return message;
}

/* A word's symbol means something to its own store only. */
static int copy_symbols(hx_shapes *to, const hx_shapes *from, const uint32_t *symbols,
                        uint32_t count, uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = symbols[i];
        if (hx_symbol_is_word(symbols[i]))
            out[i] = hx_shapes_word_symbol(to, hx_shapes_word(from, symbols[i]));
        if (!out[i])
            return HX_ENOMEM;
        if (hx_symbol_is_word(symbols[i]))
            out[i] |= symbols[i] & HX_SYMBOL_MARKS;
    }
    return 0;
}

static int copy_mined(hx_shapes *to, const hx_shapes *from, const hx_mined *mined, uint32_t *room)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < mined->count; i++) {
        const hx_mined_template *item = &mined->items[i];
        const hx_shape *first = &from->items[item->first_shape];

        rc = copy_symbols(to, from, mined->symbols + item->symbols, item->count, room);
        if (!rc)
            rc = hx_shapes_add(to, room, item->count, hx_shapes_example(from, first), item->weight);
    }
    return rc;
}

/* Makes room: the templates mined so far take the place of their shapes. Where they still take more
 * than half of the memory, fewer and more general ones. */
static int compact(hx_miner *miner)
{
    uint32_t most = miner->max_templates < MAX_SHAPES / 4 ? miner->max_templates : MAX_SHAPES / 4;
    int rc = HX_ENOMEM;

    for (; rc == HX_ENOMEM && most; most /= 2) {
        hx_shapes compacted;
        hx_mined mined;

        rc = hx_mine(&miner->shapes, most, &mined);
        if (rc)
            return rc;
        hx_shapes_init(&compacted, miner->shapes.max_bytes / 2);
        rc = copy_mined(&compacted, &miner->shapes, &mined, miner->symbols);
        hx_mined_free(&mined);
        if (rc) {
            hx_shapes_free(&compacted);
            continue;
        }
        compacted.max_bytes = miner->shapes.max_bytes;
        hx_shapes_free(&miner->shapes);
        miner->shapes = compacted;
    }
    return rc;
}

static int learn(hx_miner *miner, hx_slice message)
{
    int64_t count = hx_shapes_symbols(&miner->shapes, &miner->tokenizer, miner->symbols);

    if (count < 0)
        return (int)count;
    return hx_shapes_add(&miner->shapes, miner->symbols, (uint32_t)count, seen_part(message), 1);
}

int hx_miner_learn(hx_miner *miner, hx_slice message)
{
    int rc;

    hx_tokenizer_run(&miner->tokenizer, message);
    rc = learn(miner, message);
    if (rc == HX_ENOMEM || miner->shapes.count >= MAX_SHAPES) {
        bool again = rc == HX_ENOMEM;

        rc = compact(miner);
        if (!rc && again)
            rc = learn(miner, message);
    }
    return rc;
}

/* Whether a token is what a symbol stands for. */
static bool symbol_fits(const hx_shapes *shapes, uint32_t symbol, const hx_tokenizer *message,
                        uint32_t at)
{
    const hx_token *token = &message->tokens[at];

    if (!hx_symbol_is_word(symbol))
        return symbol != HX_SYMBOL_VALUE || token->is_value;
    return !token->is_value &&
           hx_slice_equal(hx_shapes_word(shapes, symbol),
                          (hx_slice){message->text + token->start, token->length});
}

/* Where in the message's tokens each symbol begins; firsts[count] is the end. The message fits. */
static void align(const hx_shapes *shapes, const uint32_t *symbols, uint32_t count,
                  const hx_tokenizer *message, uint32_t *firsts)
{
    uint32_t span = 0, span_end = 0;

    for (uint32_t i = 0, at = 0;;) {
        firsts[i] = at;
        if (i == count ? at == message->count : symbols[i] == HX_SYMBOL_REST)
            break;
        if (i < count && at < message->count && symbol_fits(shapes, symbols[i], message, at)) {
            if (symbols[i] == HX_SYMBOL_SPAN) {
                span = i + 1;
                span_end = at + 1;
            }
            i++;
            at++;
        } else if (span && span_end < message->count) {
            i = span;
            at = ++span_end;
        } else {
            break;
        }
    }
    firsts[count] = message->count;
}

static uint32_t end_of(const hx_tokenizer *message, uint32_t token)
{
    return (uint32_t)message->tokens[token].start + message->tokens[token].length;
}

/* The template's text: its first message, with <*> where it varies. */
static void write_text(hx_text *out, hx_miner *miner, hx_slice example, const uint32_t *symbols,
                       uint32_t count)
{
    hx_tokenizer *message = &miner->tokenizer;
    uint32_t end = example.len < HX_SCAN_BYTES ? example.len : HX_SCAN_BYTES, at = 0;
    bool has_rest = count && symbols[count - 1] == HX_SYMBOL_REST;
    hx_text text = {0};

    hx_tokenizer_run(message, example);
    align(&miner->shapes, symbols, count, message, miner->firsts);
    for (uint32_t i = 0; i < count - has_rest; i++) {
        uint32_t first = miner->firsts[i], last = miner->firsts[i + 1] - 1;

        if (hx_symbol_is_word(symbols[i]))
            continue;
        hx_escape(&text, hx_slice_make(message->text + at, message->tokens[first].start - at));
        hx_text_bytes(&text, "<*>", 3);
        at = end_of(message, last);
    }
    if (has_rest) {
        end = miner->firsts[count - 1] ? end_of(message, miner->firsts[count - 1] - 1) : 0;
        hx_escape(&text, hx_slice_make(message->text + at, end - at));
        hx_text_str(&text, end ? " <...>" : "<...>");
    } else {
        hx_escape(&text, hx_slice_make(message->text + at, end - at));
    }
    out->failed |= text.failed;
    hx_text_json_string(out, hx_slice_make(text.ptr, text.len));
    hx_text_free(&text);
}

static void write_token(hx_text *out, const hx_shapes *shapes, uint32_t symbol)
{
    static const char *const marks[] = {
        [HX_SYMBOL_VALUE] = "\"<#>\"",
        [HX_SYMBOL_ANY] = "\"<*>\"",
        [HX_SYMBOL_SPAN] = "\"<+>\"",
        [HX_SYMBOL_REST] = "\"<...>\"",
    };
    hx_text word = {0};

    if (symbol < HX_SYMBOL_WORDS) {
        hx_text_bytes(out, marks[symbol], strlen(marks[symbol]));
        return;
    }
    hx_escape(&word, hx_shapes_word(shapes, symbol));
    out->failed |= word.failed;
    hx_text_json_string(out, hx_slice_make(word.ptr, word.len));
    hx_text_free(&word);
}

#define EXAMPLE_BYTES 512 /* of an example that the file shows */

static void write_template(hx_text *out, hx_miner *miner, const hx_mined *mined, uint32_t item,
                           uint32_t shape, uint64_t weight)
{
    const hx_mined_template *template = &mined->items[item];
    const uint32_t *symbols = mined->symbols + template->symbols;
    const hx_shape *first = &miner->shapes.items[shape];
    hx_slice example = hx_shapes_example(&miner->shapes, first);
    hx_text escaped = {0};

    hx_text_bytes(out, "\n{\"text\": ", 10);
    write_text(out, miner, example, symbols, template->count);
    hx_text_printf(out, ", \"count\": %llu, \"example\": ", (unsigned long long)weight);
    hx_escape(&escaped, hx_slice_make(example.ptr,
                                      example.len < EXAMPLE_BYTES ? example.len : EXAMPLE_BYTES));
    out->failed |= escaped.failed;
    hx_text_json_string(out, hx_slice_make(escaped.ptr, escaped.len));
    hx_text_free(&escaped);
    hx_text_bytes(out, ", \"tokens\": [", 13);
    for (uint32_t i = 0; i < template->count; i++) {
        if (i)
            hx_text_bytes(out, ", ", 2);
        write_token(out, &miner->shapes, symbols[i]);
    }
    hx_text_bytes(out, "]}", 2);
}

/* How the matcher shares the shapes out among the templates: it decides, not the mining. */
typedef struct hx_share {
    uint64_t weight;
    uint32_t first_shape;
    uint32_t template;
} hx_share;

static int write_all(hx_miner *miner, const hx_mined *mined, const hx_share *shares, uint32_t count,
                     hx_text *out)
{
    hx_text_printf(out, "{\"format\": %d, \"max_tokens\": %u, \"templates\": [",
                   HX_TEMPLATES_FORMAT, miner->tokenizer.max_tokens);
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            hx_text_bytes(out, ",", 1);
        write_template(out, miner, mined, shares[i].template, shares[i].first_shape,
                       shares[i].weight);
    }
    hx_text_bytes(out, "\n]}\n", 4);
    return out->failed ? HX_ENOMEM : 0;
}

static int by_first_shape(const void *a, const void *b)
{
    const hx_share *x = a, *y = b;

    return x->first_shape < y->first_shape ? -1 : x->first_shape > y->first_shape;
}

/* Matches the first message of every shape, in their order. *count: templates that got any. */
static int share_out(hx_miner *miner, const hx_matcher *matcher, hx_share *shares, uint32_t *count)
{
    hx_match_scratch *scratch;
    int rc = hx_match_scratch_create(matcher, &scratch);
    uint32_t templates = hx_matcher_count(matcher);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < templates; i++)
        shares[i] = (hx_share){0, UINT32_MAX, i};
    for (uint32_t i = 0; i < miner->shapes.count; i++) {
        const hx_shape *shape = &miner->shapes.items[i];
        uint32_t key = hx_matcher_match(matcher, scratch, hx_shapes_example(&miner->shapes, shape));

        if (key == HX_KEY_UNSEEN)
            continue;
        shares[key].weight += shape->weight;
        if (shares[key].first_shape == UINT32_MAX)
            shares[key].first_shape = i;
    }
    hx_match_scratch_destroy(scratch);
    qsort(shares, templates, sizeof *shares, by_first_shape);
    for (*count = 0; *count < templates && shares[*count].weight; (*count)++)
        continue;
    return 0;
}

static int write_shared(hx_miner *miner, const hx_mined *mined, hx_text *out, hx_error *err)
{
    hx_share *shares = calloc(mined->count + (size_t)1, sizeof *shares);
    hx_matcher *matcher = NULL;
    uint32_t count = mined->count;
    int rc = shares ? 0 : HX_ENOMEM;

    for (uint32_t i = 0; !rc && i < mined->count; i++)
        shares[i] = (hx_share){0, mined->items[i].first_shape, i};
    if (!rc)
        rc = write_all(miner, mined, shares, count, out);
    if (!rc)
        rc = hx_matcher_create(out->ptr, out->len, &matcher, err);
    if (!rc)
        rc = share_out(miner, matcher, shares, &count);
    hx_matcher_destroy(matcher);
    if (!rc) {
        out->len = 0;
        rc = write_all(miner, mined, shares, count, out);
    }
    free(shares);
    return rc;
}

int hx_miner_finish(hx_miner *miner, char **json, size_t *json_len, hx_error *err)
{
    hx_text out = {0};
    hx_mined mined;
    int rc = hx_mine(&miner->shapes, miner->max_templates, &mined);

    *json = NULL;
    *json_len = 0;
    if (!rc) {
        rc = write_shared(miner, &mined, &out, err);
        hx_mined_free(&mined);
    }
    if (rc) {
        hx_text_free(&out);
        return rc == HX_ENOMEM ? hx_error_set(err, rc, "not enough memory to mine %u shapes",
                                              miner->shapes.count)
                               : rc;
    }
    *json = out.ptr;
    *json_len = out.len;
    return 0;
}
