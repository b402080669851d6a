/* Lines judged: against tables, and against a plain search of every pattern by itself. */
#include "../check.h"
#include "rules/hyperscan.h"

#include <haechi/rules.h>

#include <stdbool.h>

static hx_rules *load(const char *json)
{
    hx_rules *rules = NULL;
    hx_error err = {{0}};
    int rc = hx_rules_create(json, strlen(json), "rules: test", 1, &rules, &err);

    if (rc == HX_EIO && strstr(err.text, "cannot be opened")) {
        fprintf(stderr, "%s\n", err.text);
        exit(CHECK_SKIP);
    }
    if (rc)
        fprintf(stderr, "%s\n", err.text);
    CHECK_INT(rc, 0);
    return rules;
}

static hx_rule_line line_of(const char *message)
{
    hx_rule_line line = {0};

    for (uint32_t i = 0; i < HX_RULE_FIELDS - HX_RULE_TEXTS; i++)
        line.number[i] = HX_RULE_NUMBER_NONE;
    line.text[HX_RULE_MESSAGE] = hx_slice_str(message);
    return line;
}

/* --- one rule ----------------------------------------------------------------------------------
 */

static const struct {
    const char *op, *value;
    bool nocase;
    const char *text;
    bool holds;
} singles[] = {
    {"contains", "root", false, "for root from", true},
    {"contains", "root", false, "for Root from", false},
    {"contains", "root", true, "for RooT from", true},
    {"contains", "a.c", false, "abc", false},
    {"contains", "a.c", false, "xa.cx", true},
    {"contains", "\xc3\xa9", false, "caf\xc3\xa9!", true},
    {"contains", "\xc3\xa9", true, "caf\xc3\x89!", false},
    {"equals", "on", false, "on", true},
    {"equals", "on", false, "on1", false},
    {"startswith", "on", false, "on1", true},
    {"startswith", "on", false, "non", false},
    {"endswith", "on", false, "non", true},
    {"endswith", "on", false, "on1", false},
    {"contains", "port 22", false, "port 22", true},
    {"contains", "port 22", false, "port 23", false},
    {"contains", "port 22", false, "port 2", false},
    {"regex", "port (22|443)\\b", false, "at port 443 now", true},
    {"regex", "port (22|443)\\b", false, "at port 444 now", false},
    {"regex", "\\b[0-9a-f]{8}\\b", false, "id 12ab34cd.", true},
    {"regex", "\\b[0-9a-f]{8}\\b", false, "id 12ab34cx.", false},
    {"regex", "\\b1[0-9a-f]{7}\\b", false, "id 12ab34cd.", true},
    {"regex", "\\b1[0-9a-f]{7}\\b", false, "id 22ab34cd.", false},
    {"regex", "^\\d+$", false, "0815", true},
    {"regex", "^\\d+$", false, "0815x", false},
    {"regex", "a*", false, "xyz", true},
    {"regex", "(?:\\d{1,3}\\.){3}\\d{1,3}:\\d{2}\\b", false, "to 10.0.0.1:80 now", true},
    {"regex", "(?:\\d{1,3}\\.){3}\\d{1,3}:\\d{2}\\b", false, "to 10.0.0.1:8080 now", false},
    {"regex", "cat .*/etc/shadow.*x", false, "cat -n /etc/shadow | x", true},
    {"regex", "cat .*/etc/shadow.*x", false, "less -n /etc/shadow | x", false},
    {"regex", "cat .*/etc/shadow.*4", true, "CAT -n /Etc/shadow | 4", true},
    {"regex", "cat .*/etc/shadow.*4", true, "cat -n /etc/shadow | 5", false},
    {"regex", "(?:[a-z]\\s){30,}", false,
     "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e", true},
    {"regex", "(?:[a-z]\\s){30,}", false,
     "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c 1 e", false},
    {"regex", "[[:^digit:]]7", false, "x7", true}, /* not understood: searched as it is */
    {"regex", "[[:^digit:]]7", false, "x8", false},
};

static void test_singles(void)
{
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++) {
        hx_text json = {0};
        hx_rules *rules;
        hx_rule_line line = line_of(singles[i].text);

        hx_text_str(&json, "{\"format\": 1, \"rules\": [{\"id\": \"r\", \"action\": \"deny\", "
                           "\"condition\": {\"field\": \"message\", \"op\": ");
        hx_text_json_string(&json, hx_slice_str(singles[i].op));
        hx_text_str(&json, ", \"value\": ");
        hx_text_json_string(&json, hx_slice_str(singles[i].value));
        hx_text_printf(&json, ", \"nocase\": %s}}]}", singles[i].nocase ? "true" : "false");
        hx_text_bytes(&json, "", 1);
        rules = load(json.ptr);
        /* The first time it is searched, then it is remembered. */
        for (int turn = 0; turn < 3; turn++) {
            const hx_ruled *r = hx_rule_seat_judge(hx_rules_seat(rules, 0), &line, NULL);

            if ((r != NULL) != singles[i].holds)
                fprintf(stderr, "%s %s of %s\n", singles[i].op, singles[i].value, singles[i].text);
            CHECK_INT(r != NULL, singles[i].holds);
            CHECK(!r || (r->denied_count == 1 && r->denied[0] == 0));
        }
        CHECK_INT(hx_rules_hits(rules, 0), singles[i].holds ? 3 : 0);
        hx_rules_destroy(rules);
        hx_text_free(&json);
    }
}

/* --- actions -----------------------------------------------------------------------------------
 */

static const char three[] =
    "{\"format\": 1, \"rules\": ["
    "{\"id\": \"d2\", \"action\": \"deny\", \"condition\": {\"field\": \"message\", \"op\": "
    "\"contains\", \"value\": \"two\"}},"
    "{\"id\": \"d1\", \"action\": \"deny\", \"condition\": {\"field\": \"message\", \"op\": "
    "\"contains\", \"value\": \"one\"}},"
    "{\"id\": \"a\", \"action\": \"allow\", \"condition\": {\"field\": \"host\", \"op\": "
    "\"equals\", \"value\": \"lab\"}},"
    "{\"id\": \"e\", \"action\": \"escalate\", \"condition\": {\"field\": \"severity\", \"op\": "
    "\"lte\", \"value\": 2}}]}";

static void test_actions(void)
{
    static const struct {
        const char *message, *host;
        uint32_t severity;
        bool any, allow, escalate;
        uint32_t denied;
    } cases[] = {
        {"nil", "h", 3, false, false, false, 0},    {"two", "h", 3, true, false, false, 1},
        {"one two", "h", 3, true, false, false, 2}, {"one two", "h", 2, true, false, true, 2},
        {"one", "lab", 2, true, true, false, 0},    {"nil", "lab", 7, true, true, false, 0},
        {"nil", "h", 0, true, false, true, 0},
    };
    hx_rules *rules = load(three);
    hx_rule_seat *seat = hx_rules_seat(rules, 0);

    CHECK(hx_rules_use(rules, HX_RULE_HOST) && !hx_rules_use(rules, HX_RULE_LINE));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_rule_line line = line_of(cases[i].message);
        const hx_ruled *r;

        line.text[HX_RULE_HOST] = hx_slice_str(cases[i].host);
        line.number[0] = cases[i].severity;
        r = hx_rule_seat_judge(seat, &line, NULL);
        CHECK_INT(r != NULL, cases[i].any);
        if (!r)
            continue;
        CHECK_INT(r->allow, cases[i].allow);
        CHECK_INT(r->escalate, cases[i].escalate);
        CHECK_INT(r->denied_count, cases[i].denied);
        if (r->denied_count == 2)
            CHECK(r->denied[0] == 0 && r->denied[1] == 1);
    }
    CHECK_INT(hx_rule_seat_counters(seat)->hits[HX_RULE_ALLOW], 2);
    CHECK_INT(hx_rule_seat_counters(seat)->hits[HX_RULE_ESCALATE], 3);
    CHECK_INT(hx_rules_hits(rules, 1), 3);
    hx_rules_destroy(rules);
}

/* More rules than are reported: the first of the file, whatever hit first. */
static void test_denied_by_many(void)
{
    hx_text json = {0};
    hx_rule_line line = line_of("xyz word17 word3 word25 word1");
    const hx_ruled *r;
    hx_rules *rules;

    hx_text_str(&json, "{\"format\": 1, \"rules\": [");
    for (int i = 0; i < 40; i++)
        hx_text_printf(&json,
                       "%s{\"id\": \"r%d\", \"action\": \"deny\", \"condition\": {\"field\": "
                       "\"message\", \"op\": \"contains\", \"value\": \"%s%d\"}}",
                       i ? ", " : "", i, i % 2 ? "word" : "x", i);
    hx_text_str(&json, ", {\"id\": \"many\", \"action\": \"deny\", \"condition\": {\"field\": "
                       "\"message\", \"op\": \"exists\", \"value\": true}}");
    for (int i = 0; i < 30; i++)
        hx_text_printf(&json,
                       ", {\"id\": \"s%d\", \"action\": \"deny\", \"condition\": {\"field\": "
                       "\"message\", \"op\": \"regex\", \"value\": \"x[xyz]{1,%d}\"}}",
                       i, i + 1);
    hx_text_str(&json, "]}");
    hx_text_bytes(&json, "", 1);
    rules = load(json.ptr);
    r = hx_rule_seat_judge(hx_rules_seat(rules, 0), &line, NULL);
    CHECK(r != NULL);
    CHECK_INT(r->denied_count, HX_RULES_DENIED_MAX);
    CHECK_INT(r->denied_over, 4 + 1 + 30 - HX_RULES_DENIED_MAX);
    CHECK_INT(r->denied[0], 1);
    CHECK_INT(r->denied[3], 25);
    CHECK_INT(r->denied[4], 40);
    CHECK_INT(r->denied[15], 51);
    hx_rules_destroy(rules);
    hx_text_free(&json);
}

/* --- against each pattern by itself -------------------------------------------------------------
 */

static const char *const patterns[] = {
    "port (?:22|443)",
    "\\b10\\.0\\.[0-9]{1,3}\\.7\\b",
    "\\b[0-9a-f]{6,}\\b",
    "[A-Za-z0-9+/]{9,}={0,2}",
    "^user[0-9]+ ",
    "CVE-20[12][0-9]-\\d{2}",
    "[^a-z ]{5}",
    "user.*10",
    "\\D7\\D",
    "[^3]9$",
    "abc|x1|77",
    "(?:[a-z]\\s){2}",
    "\\S{12}",
    "[1-4]{3}",
    /* Behind gates: */
    "\\b10\\.0\\.[0-9]{1,2}1\\.\\d{1,3}\\b",
    "\\b[0-9a-f]{20}\\b",
    "\\b[0-9a-f]{5}7[0-9a-f]{6}",
    "[A-Za-z0-9+/]{26}=",
    "(?i)\\b[A-F]{2}[^\\W_]{28,}1\\b",
    "[^\\x20-\\x7e]{3,}",
    "[\\x80-\\xff][^ -~]",
    "\\b0ff1[0-9a-f]{8,30}\\b",
    /* With digits that may be any, and of words: */
    "x\\d{2}=",
    "(?:\\d{1,3}\\.){2}\\d+-\\d{2}",
    "abcuser.*[x=]",
    "userabc.*\\d1",
    /* Of numbers: */
    "(?:user|abc).*port (?:443|2021)\\b",
    "port (?:443|100)",
    "port 2021",
    "user[0-9]* port 2021",
    "(?i)ABC.*443",
    "abc443|port 443",
    "443|2021",
    "\\b100\\b",
    "(?:x443)?port (?:100|443)+",
    "(?:x443){1,2} ",
    "x44?3.*100",
    "1000*x",
    "[^3]443[^3]",
    "2021(?:[a-z]|100)+",
    "^abc100",
    "=2021$",
};
#define PATTERNS (sizeof patterns / sizeof patterns[0])
#define NUMBERED 16 /* the last ones */

static void put_rule(hx_text *json, const char *pattern, size_t i)
{
    hx_text_printf(json,
                   "%s{\"id\": \"r%zu\", \"action\": \"deny\", \"condition\": {\"field\": "
                   "\"message\", \"op\": \"regex\", \"value\": ",
                   json->ptr[json->len - 1] == '[' ? "" : ", ", i);
    hx_text_json_string(json, hx_slice_str(pattern));
    hx_text_str(json, "}}");
}

static hx_rules *load_patterns(size_t first, size_t end)
{
    hx_text json = {0};
    hx_rules *rules;

    hx_text_str(&json, "{\"format\": 1, \"rules\": [");
    for (size_t i = first; i < end; i++)
        put_rule(&json, patterns[i], i);
    hx_text_str(&json, "]}");
    hx_text_bytes(&json, "", 1);
    rules = load(json.ptr);
    hx_text_free(&json);
    return rules;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static size_t put_rare(uint32_t *state, char *out)
{
    static const char letters[] = "0123456789abcdef0ff1+/Ae_";
    uint32_t kind = next_random(state) % 4, length = 9 + next_random(state) % 32;
    size_t n = 0;

    if (kind == 0)
        return (size_t)sprintf(out, " 10.0.%u.%u ", next_random(state) % 256,
                               next_random(state) % 256);
    out[n++] = ' ';
    if (kind == 1) {
        for (uint32_t i = 0; i < length / 8; i++)
            out[n++] = (char)(i % 2 ? 1 + next_random(state) % 8 : 128 + next_random(state) % 128);
        return n;
    }
    if (next_random(state) % 3 == 0)
        n += (size_t)sprintf(out + n, "0ff1");
    for (uint32_t i = 0; i < length; i++)
        out[n++] = letters[next_random(state) % (kind == 2 ? 20 : 25)];
    out[n++] = next_random(state) % 2 ? '1' : '=';
    return n;
}

/* A text that has been made by joining a few parts: forms come again with other digits. */
static size_t make_text(uint32_t *state, char *out)
{
    static const char *const parts[] = {"user", "port ", "10.0.", "CVE-20", "abc", "x", " ",
                                        "a b ", "=",     "/",     "ff",     ".",   "-", "Z"};
    static const char *const numbers[] = {"443", "100", "2021", "443443"};
    size_t n = 0;
    uint32_t count = 1 + next_random(state) % 9;

    for (uint32_t i = 0; i < count; i++) {
        const char *part = parts[next_random(state) % (sizeof parts / sizeof parts[0])];
        uint32_t digits = next_random(state) % 4;

        memcpy(out + n, part, strlen(part));
        n += strlen(part);
        if (next_random(state) % 3 == 0)
            n += (size_t)sprintf(out + n, "%s", numbers[next_random(state) % 4]);
        while (digits--)
            out[n++] = (char)('0' + next_random(state) % 10);
    }
    /* Some have a long word, or an address, or what is not printed. */
    if (next_random(state) % 4 == 0)
        n += put_rare(state, out + n);
    /* Some are longer than forms are. */
    for (uint32_t i = next_random(state) % 50 ? 0 : 250; i > 0; i--)
        out[n++] = ' ';
    return n;
}

static int on_raw_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *context)
{
    (void)id, (void)from, (void)to, (void)flags;
    *(bool *)context = true;
    return 0;
}

/* Notes by forms, as a matcher keeps them: a new form takes the place of another. */
typedef struct noted {
    char form[1024];
    size_t length;
    uint32_t note;
} noted;

static uint32_t *note_of(const hx_rule_seat *seat, hx_slice text)
{
    static noted places[256];
    static uint64_t stamp;
    char form[1024];
    uint32_t hash = 0;
    noted *at;

    if (stamp != hx_rule_seat_stamp(seat))
        memset(places, 0, sizeof places);
    stamp = hx_rule_seat_stamp(seat);
    for (size_t i = 0; i < text.len; i++) {
        form[i] = text.ptr[i] >= '0' && text.ptr[i] <= '9' ? '0' : text.ptr[i];
        hash = hash * 31 + (unsigned char)form[i];
    }
    at = &places[hash % 256];
    if (at->length != text.len || memcmp(at->form, form, text.len) != 0) {
        memcpy(at->form, form, text.len);
        at->length = text.len;
        at->note = 0;
    }
    return &at->note;
}

/* The oracle: each pattern by itself, as it is, over the whole text, nothing remembered. */
static void test_against_plain_searches(size_t first, size_t end, bool with_notes)
{
    hx_rules *all = load_patterns(first, end);
    hx_error err = {{0}};
    const hx_hyperscan *hs = hx_hyperscan_get(&err);
    hs_database_t *alone[PATTERNS];
    hs_scratch_t *scratch = NULL;
    uint32_t state = 7, found[PATTERNS] = {0};

    for (size_t i = first; i < end; i++) {
        hs_compile_error_t *refusal = NULL;
        unsigned flags = HS_FLAG_SINGLEMATCH, id = (unsigned)i;

        CHECK_INT(hs->compile_multi(&patterns[i], &flags, &id, 1, HS_MODE_BLOCK, NULL, &alone[i],
                                    &refusal),
                  0);
        CHECK_INT(hs->alloc_scratch(alone[i], &scratch), 0);
    }
    for (int turn = 0; turn < 20000; turn++) {
        char text[1024];
        hx_rule_line line = line_of("");
        hx_slice message = hx_slice_make(text, make_text(&state, text));
        const hx_ruled *r;
        uint32_t at = 0;

        line.text[HX_RULE_MESSAGE] = message;
        line.note = with_notes ? note_of(hx_rules_seat(all, 0), message) : NULL;
        r = hx_rule_seat_judge(hx_rules_seat(all, 0), &line, NULL);
        CHECK(!r || !r->denied_over);
        for (size_t i = first; i < end; i++) {
            bool want = false, got = r && at < r->denied_count && r->denied[at] == i - first;

            CHECK_INT(hs->scan(alone[i], message.ptr, message.len, 0, scratch, on_raw_hit, &want),
                      0);
            at += got;
            found[i] += got;
            if (want != got)
                fprintf(stderr, "%s of %.*s\n", patterns[i], (int)message.len, text);
            CHECK_INT(got, want);
        }
    }
    for (size_t i = first; i < end; i++) {
        if (!found[i])
            fprintf(stderr, "never found: %s\n", patterns[i]);
        CHECK(found[i] > 0);
        hs->free_database(alone[i]);
    }
    CHECK(hx_rule_seat_counters(hx_rules_seat(all, 0))->known > 1000);
    hs->free_scratch(scratch);
    hx_rules_destroy(all);
}

/* What is noted is what is used; and a seat's stamp tells whose notes they are. */
static void test_notes(void)
{
    static const char json[] =
        "{\"format\": 1, \"rules\": [{\"id\": \"r\", \"action\": \"deny\", \"condition\": "
        "{\"field\": \"message\", \"op\": \"contains\", \"value\": \"root\"}}]}";
    hx_rules *rules = load(json), *others = load(json);
    hx_rule_seat *seat = hx_rules_seat(rules, 0);
    hx_rule_line with = line_of("root 12"), without = line_of("guest 12");
    uint32_t with_note = 0, without_note = 0;

    with.note = &with_note;
    without.note = &without_note;
    for (int turn = 0; turn < 2; turn++) {
        CHECK(hx_rule_seat_judge(seat, &with, NULL) != NULL);
        CHECK(hx_rule_seat_judge(seat, &without, NULL) == NULL);
    }
    CHECK(with_note != 0 && without_note != 0 && with_note != without_note);
    CHECK_INT(hx_rule_seat_counters(seat)->known, 2);
    CHECK_INT(hx_rule_seat_counters(seat)->scans, 2);
    without_note = with_note;
    CHECK(hx_rule_seat_judge(seat, &without, NULL) != NULL);
    CHECK(hx_rule_seat_stamp(seat) != hx_rule_seat_stamp(hx_rules_seat(others, 0)));
    hx_rules_destroy(rules);
    hx_rules_destroy(others);
}

static void test_refused(void)
{
    static const char json[] =
        "{\"format\": 1, \"rules\": [{\"id\": \"good\", \"action\": \"deny\", \"condition\": "
        "{\"field\": \"message\", \"op\": \"contains\", \"value\": \"x\"}}, {\"id\": \"bad\", "
        "\"action\": \"deny\", \"condition\": {\"field\": \"message\", \"op\": \"regex\", "
        "\"value\": \"(a)\\\\1\"}}]}";
    hx_rules *rules = NULL;
    hx_error err = {{0}};

    CHECK_INT(hx_rules_create(json, sizeof json - 1, "rules: f.json", 1, &rules, &err), HX_EINVAL);
    CHECK(rules == NULL);
    CHECK(strstr(err.text, "rules: f.json: rule bad: the pattern \"(a)\\1\" is refused"));
    CHECK_INT(hx_rules_load("/nowhere/rules.json", 1, &rules, &err), HX_ENOTFOUND);
    CHECK_INT(hx_rules_load("/", 1, &rules, &err), HX_EIO);
}

int main(void)
{
    test_singles();
    test_actions();
    test_denied_by_many();
    test_against_plain_searches(0, PATTERNS - NUMBERED, true);
    test_against_plain_searches(PATTERNS - NUMBERED, PATTERNS, false);
    test_against_plain_searches(PATTERNS - NUMBERED, PATTERNS - NUMBERED + 4, false); /* few */
    test_notes();
    test_refused();
    return 0;
}
