/* The rule file: JSON to rules, conditions and patterns, every bound checked. */
#include "rules/room.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const field_names[HX_RULE_FIELDS] = {
    "line",   "message",  "host",     "process",  "pid",     "session",
    "source", "template", "severity", "facility", "log_key",
};
static const uint32_t number_highest[] = {7, 23, UINT32_MAX - 1};
static const char *const op_names[] = {
    [HX_OP_CONTAINS] = "contains",
    [HX_OP_EQUALS] = "equals",
    [HX_OP_STARTSWITH] = "startswith",
    [HX_OP_ENDSWITH] = "endswith",
    [HX_OP_REGEX] = "regex",
    [HX_OP_EXISTS] = "exists",
    [HX_OP_EQ] = "eq",
    [HX_OP_LT] = "lt",
    [HX_OP_LTE] = "lte",
    [HX_OP_GT] = "gt",
    [HX_OP_GTE] = "gte",
};
static const char *const action_names[HX_RULE_ACTIONS] = {"deny", "allow", "escalate"};
static const char *const severity_names[] = {"low", "medium", "high", "critical"};

#define COUNT(names) (sizeof(names) / sizeof((names)[0]))

typedef struct reader {
    hx_book *book;
    const char *name;
    const char *id; /* of the rule at hand */
    uint32_t rule;
    hx_error *err;
} reader;

static int refuse(reader *r, const char *what, const char *shown)
{
    return hx_error_set(r->err, HX_EMALFORMED, "%s: rule %.128s: %s%.100s", r->name, r->id, what,
                        shown);
}

static int out_of_memory(reader *r)
{
    return hx_error_set(r->err, HX_ENOMEM, "%s: out of memory", r->name);
}

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; name && i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

/* --- conditions --------------------------------------------------------------------------------
 */

static int read_number_test(reader *r, hx_node node, const cJSON *value)
{
    const uint32_t highest = number_highest[node.field - HX_RULE_TEXTS];
    char shown[64];

    if (node.op < HX_OP_EQ)
        return refuse(r, "a number takes eq, lt, lte, gt, gte or exists, not ", op_names[node.op]);
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0 && value->valuedouble <= highest) ||
        value->valuedouble != (double)(uint32_t)value->valuedouble) {
        snprintf(shown, sizeof shown, "%s: not a whole number from 0 to %u",
                 field_names[node.field], highest);
        return refuse(r, "", shown);
    }
    node.kind = HX_NODE_NUMBER;
    node.value = (uint32_t)value->valuedouble;
    return hx_book_add_node(r->book, node) ? 0 : out_of_memory(r);
}

static int read_text_test(reader *r, hx_node node, const cJSON *value, bool nocase)
{
    hx_pattern wanted = {.field = node.field, .op = node.op, .nocase = nocase, .rule = r->rule};
    size_t length;

    if (node.op > HX_OP_REGEX)
        return refuse(r,
                      "a text takes contains, equals, startswith, endswith, regex or exists, not ",
                      op_names[node.op]);
    if (!cJSON_IsString(value) || !value->valuestring[0])
        return refuse(r, "value: a text that is not empty is needed for ", op_names[node.op]);
    length = strlen(value->valuestring);
    if (length > HX_RULE_PATTERN_BYTES)
        return refuse(r, "value: longer than 8192 bytes: ", value->valuestring);
    wanted.value = value->valuestring;
    wanted.length = (uint32_t)length;
    node.kind = HX_NODE_HIT;
    node.arg = hx_book_find_pattern(r->book, &wanted);
    if (node.arg == UINT32_MAX || !hx_book_add_node(r->book, node))
        return out_of_memory(r);
    return 0;
}

static int read_test(reader *r, const cJSON *json)
{
    const cJSON *field = NULL, *op = NULL, *value = NULL, *nocase = NULL, *item;
    int f, o;
    hx_node node = {0};

    cJSON_ArrayForEach(item, json)
    {
        const cJSON **place = strcmp(item->string, "field") == 0    ? &field
                              : strcmp(item->string, "op") == 0     ? &op
                              : strcmp(item->string, "value") == 0  ? &value
                              : strcmp(item->string, "nocase") == 0 ? &nocase
                                                                    : NULL;

        if (!place)
            return refuse(r, "a condition is all, any, not, or field, op, value and nocase, not ",
                          item->string);
        *place = item;
    }
    f = find_name(field_names, COUNT(field_names), cJSON_GetStringValue(field));
    o = find_name(op_names, COUNT(op_names), cJSON_GetStringValue(op));
    if (f < 0)
        return refuse(r, "field: not one of a line's: ",
                      cJSON_IsString(field) ? field->valuestring : "(none)");
    if (o < 0)
        return refuse(r, "op: not known: ", cJSON_IsString(op) ? op->valuestring : "(none)");
    if (nocase && !cJSON_IsBool(nocase))
        return refuse(r, "nocase: ", "neither true nor false");
    if (++r->book->tests > HX_RULE_PATTERNS_MAX)
        return refuse(r, "more than 1000000 patterns in the file", "");
    node.field = (uint8_t)f;
    node.op = (uint8_t)o;
    if (o == HX_OP_EXISTS) {
        if (!cJSON_IsBool(value))
            return refuse(r, "exists: ", "neither true nor false");
        node.kind = HX_NODE_EXISTS;
        node.arg = cJSON_IsTrue(value);
        return hx_book_add_node(r->book, node) ? 0 : out_of_memory(r);
    }
    if (f >= HX_RULE_TEXTS)
        return read_number_test(r, node, value);
    return read_text_test(r, node, value, cJSON_IsTrue(nocase));
}

static int read_condition(reader *r, const cJSON *json, uint32_t depth)
{
    const cJSON *child, *item;
    hx_node node = {0};
    uint32_t at = r->book->node_count;
    int rc = 0;

    if (depth > HX_RULE_DEPTH_MAX)
        return refuse(r, "condition: nested more than 32 deep", "");
    if (!cJSON_IsObject(json) || !json->child)
        return refuse(r, "condition: an object with all, any, not or field is needed", "");
    child = json->child;
    if (child->next || strcmp(child->string, "field") == 0)
        return read_test(r, json);
    node.kind = strcmp(child->string, "all") == 0   ? HX_NODE_ALL
                : strcmp(child->string, "any") == 0 ? HX_NODE_ANY
                                                    : HX_NODE_NOT;
    if (node.kind == HX_NODE_NOT && strcmp(child->string, "not") != 0)
        return read_test(r, json);
    if (!hx_book_add_node(r->book, node))
        return out_of_memory(r);
    if (node.kind == HX_NODE_NOT)
        return read_condition(r, child, depth + 1);
    if (!cJSON_IsArray(child) || !child->child)
        return refuse(r, "condition: a list of conditions is needed for ", child->string);
    for (item = child->child; item && !rc; item = item->next)
        rc = read_condition(r, item, depth + 1);
    r->book->nodes[at].arg = r->book->node_count;
    return rc;
}

/* --- rules -------------------------------------------------------------------------------------
 */

static const cJSON *get(const cJSON *json, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(json, key);
}

static bool is_word(const char *s, size_t most)
{
    size_t n = 0;

    for (; s[n]; n++)
        if ((unsigned char)s[n] <= ' ' || s[n] == 127)
            return false;
    return n > 0 && n <= most;
}

static int read_tags(reader *r, hx_rule *rule, const cJSON *tags)
{
    const cJSON *tag;
    const char **texts;
    int count = cJSON_GetArraySize(tags);

    if (!tags)
        return 0;
    if (!cJSON_IsArray(tags) || count > HX_RULE_TAGS_MAX)
        return refuse(r, "tags: not a list of at most 32 texts", "");
    texts = calloc((size_t)count + 1, sizeof *texts);
    if (!texts)
        return out_of_memory(r);
    rule->tags = texts;
    cJSON_ArrayForEach(tag, tags)
    {
        if (!cJSON_IsString(tag) || !tag->valuestring[0] ||
            strlen(tag->valuestring) > HX_RULE_TAG_BYTES)
            return refuse(r, "tags: not a text of 1 to 128 bytes", "");
        texts[rule->tag_count] = strdup(tag->valuestring);
        if (!texts[rule->tag_count++])
            return out_of_memory(r);
    }
    return 0;
}

static int check_keys(reader *r, const cJSON *json)
{
    static const char *const known[] = {"id", "title", "action", "severity", "tags", "condition"};
    const cJSON *item;

    if (!cJSON_IsObject(json))
        return refuse(r, "not an object", "");
    cJSON_ArrayForEach(item, json) if (find_name(known, COUNT(known), item->string) <
                                       0) return refuse(r, "no key of a rule: ", item->string);
    return 0;
}

static int read_rule(reader *r, const cJSON *json)
{
    hx_rule *rule = &r->book->rules[r->rule];
    const char *id = cJSON_GetStringValue(get(json, "id"));
    const cJSON *title = get(json, "title"), *severity = get(json, "severity");
    char number[24];
    int action, level, rc;

    snprintf(number, sizeof number, "%u of the list", r->rule);
    r->id = number;
    if (!id || !is_word(id, HX_RULE_ID_BYTES))
        return refuse(r, "id: a word of 1 to 128 printable bytes is needed", "");
    r->id = id;
    rc = check_keys(r, json);
    if (rc)
        return rc;
    action =
        find_name(action_names, COUNT(action_names), cJSON_GetStringValue(get(json, "action")));
    level = severity
                ? find_name(severity_names, COUNT(severity_names), cJSON_GetStringValue(severity))
                : 1;
    if (action < 0)
        return refuse(r, "action: neither deny nor allow nor escalate", "");
    if (level < 0)
        return refuse(r, "severity: not low, medium, high or critical", "");
    if (title && (!cJSON_IsString(title) || strlen(title->valuestring) > HX_RULE_TITLE_BYTES))
        return refuse(r, "title: not a text of at most 512 bytes", "");
    rule->id = strdup(id);
    rule->title = strdup(title && title->valuestring[0] ? title->valuestring : id);
    rule->action = (hx_rule_action)action;
    rule->severity = (uint8_t)level;
    rule->condition = r->book->node_count;
    if (!rule->id || !rule->title)
        return out_of_memory(r);
    rc = read_tags(r, rule, get(json, "tags"));
    return rc ? rc : read_condition(r, get(json, "condition"), 1);
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_ids(reader *r)
{
    const hx_book *b = r->book;
    const char **ids = calloc((size_t)b->rule_count + 1, sizeof *ids);
    int rc = 0;

    if (!ids)
        return out_of_memory(r);
    for (uint32_t i = 0; i < b->rule_count; i++)
        ids[i] = b->rules[i].id;
    qsort(ids, b->rule_count, sizeof *ids, compare_ids);
    for (uint32_t i = 1; i < b->rule_count && !rc; i++) {
        r->id = ids[i];
        if (strcmp(ids[i - 1], ids[i]) == 0)
            rc = refuse(r, "its id is there twice", "");
    }
    free(ids);
    return rc;
}

/* cJSON ends a text at a zero byte and says nothing. */
static bool has_zero_escape(const char *json, size_t len)
{
    for (size_t i = 0; i + 6 <= len; i++) {
        if (json[i] != '\\')
            continue;
        if (memcmp(json + i + 1, "u0000", 5) == 0)
            return true;
        i++; /* what is escaped */
    }
    return false;
}

static int read_root(reader *r, const cJSON *root)
{
    const cJSON *format = get(root, "format"), *rules = get(root, "rules"), *json;
    hx_book *b = r->book;
    int rc = 0, count;

    if (!cJSON_IsObject(root) || !cJSON_IsNumber(format) || !cJSON_IsArray(rules))
        return hx_error_set(r->err, HX_EMALFORMED,
                            "%s: not a rule file: a JSON object with \"format\" and the list "
                            "\"rules\" is needed (haechi rules compile makes one)",
                            r->name);
    if (format->valuedouble != HX_RULE_FORMAT)
        return hx_error_set(r->err, HX_EVERSION, "%s: format %g: this engine reads format %d",
                            r->name, format->valuedouble, HX_RULE_FORMAT);
    count = cJSON_GetArraySize(rules);
    if (count > HX_RULES_MAX)
        return hx_error_set(r->err, HX_EMALFORMED, "%s: %d rules; at most %d are possible", r->name,
                            count, HX_RULES_MAX);
    b->rules = calloc((size_t)count + 1, sizeof *b->rules);
    if (!b->rules)
        return out_of_memory(r);
    for (json = rules->child; json && !rc; json = json->next) {
        b->rule_count = r->rule + 1; /* so that what a refused one has is freed */
        rc = read_rule(r, json);
        r->rule++;
    }
    return rc ? rc : check_ids(r);
}

int hx_book_read(hx_book *book, const char *json, size_t len, const char *name, hx_error *err)
{
    reader r = {.book = book, .name = name, .id = "", .err = err};
    cJSON *root;
    int rc;

    memset(book, 0, sizeof *book);
    if (has_zero_escape(json, len))
        return hx_error_set(err, HX_EMALFORMED, "%s: a zero byte (\\u0000), which no line has",
                            name);
    root = cJSON_ParseWithLength(json, len);
    rc = read_root(&r, root);
    cJSON_Delete(root);
    free(book->places);
    book->places = NULL;
    return rc;
}
