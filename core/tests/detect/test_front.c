/* front: lines to events and sessions. */
#include "../check.h"

#include <haechi/front.h>
#include <haechi/hash.h>

static const char templates_for[] =
    "Accepted password for alice from 10.0.0.1 port 22\nsession closed for user alice\n"
    "Received block blk_1 of size 10\nServing block blk_2 to 10.0.0.3\n";

static hx_matcher *make_matcher(void)
{
    hx_miner *miner = NULL;
    hx_matcher *matcher = NULL;
    char *json = NULL;
    size_t json_len;
    hx_error err = {{0}};

    CHECK_INT(hx_miner_create(NULL, &miner, &err), 0);
    for (const char *at = templates_for; *at;) {
        const char *end = strchr(at, '\n');

        CHECK_INT(hx_miner_learn(miner, hx_slice_make(at, (size_t)(end - at))), 0);
        at = end + 1;
    }
    CHECK_INT(hx_miner_finish(miner, &json, &json_len, &err), 0);
    CHECK_INT(hx_matcher_create(json, json_len, &matcher, &err), 0);
    free(json);
    hx_miner_destroy(miner);
    return matcher;
}

typedef struct reading {
    hx_event events[4096];
    uint32_t count, consumed;
    hx_front_counters counters;
} reading;

/* The text is read from right before a page that may not be touched. */
static void read_text(const char *format_spec, const hx_matcher *matcher, hx_session_rule rule,
                      const char *text, reading *out)
{
    size_t len = strlen(text);
    char *guarded = check_guard_copy(text, len);
    hx_format *format = NULL;
    hx_front *front = NULL;
    hx_error err = {{0}};

    memset(out, 0, sizeof *out);
    if (format_spec)
        CHECK_INT(hx_format_create(format_spec, &format, &err), 0);
    CHECK_INT(hx_front_create(format, matcher, &rule, &front, &err), 0);
    out->count = hx_front_read(front, guarded, (uint32_t)len, 0, out->events, 4096, &out->consumed,
                               &out->counters);
    hx_front_destroy(front);
    hx_format_destroy(format);
    check_guard_free(guarded, len);
}

static void check_name(const hx_event *e, const char *want)
{
    CHECK_BYTES(e->name, e->name_len, want, strlen(want));
    CHECK(e->session == hx_hash_bytes(want, strlen(want), HX_HASH_SEED));
    for (uint32_t i = e->name_len; i < HX_SESSION_NAME_MAX; i++)
        CHECK_INT(e->name[i], 0);
}

static void test_by_fields(const hx_matcher *matcher)
{
    static const struct {
        uint32_t fields;
        const char *name;
    } cases[] = {
        {HX_FIELD_HOST, "web1"},
        {HX_FIELD_HOST | HX_FIELD_PROCESS, "web1 sshd"},
        {HX_FIELD_HOST | HX_FIELD_PROCESS | HX_FIELD_PID, "web1 sshd 77"},
        {HX_FIELD_PID, "77"},
        {HX_FIELD_THREAD, ""},
    };
    static reading r;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_text("iso", matcher,
                  (hx_session_rule){.by = HX_SESSION_BY_FIELDS, .fields = cases[i].fields},
                  "<38>2025-08-30T10:15:30.123Z web1 sshd[77]: session closed for user bob", &r);
        CHECK_INT(r.count, 1);
        check_name(&r.events[0], cases[i].name);
        CHECK_INT(r.events[0].time_us, INT64_C(1756548930123000));
        CHECK_INT(r.events[0].severity, 6);
    }
}

static void test_long_names_are_cut(const hx_matcher *matcher)
{
    static reading a, b;
    const hx_session_rule rule = {.by = HX_SESSION_BY_FIELDS,
                                  .fields = HX_FIELD_HOST | HX_FIELD_PID};
    char line[512];

    snprintf(line, sizeof line, "2025-08-30T10:15:30Z %0100d sshd[77]: hello", 1);
    read_text("iso", matcher, rule, line, &a);
    snprintf(line, sizeof line, "2025-08-30T10:15:30Z %0100d sshd[78]: hello", 1);
    read_text("iso", matcher, rule, line, &b);
    CHECK_INT(a.events[0].name_len, HX_SESSION_NAME_MAX - 1);
    CHECK_INT(a.events[0].name[HX_SESSION_NAME_MAX - 10], '~');
    CHECK(a.events[0].session != b.events[0].session);
    CHECK(memcmp(a.events[0].name, b.events[0].name, HX_SESSION_NAME_MAX) != 0);
}

/* However a name is put together, at the buffer's end or before more lines, it is the same. */
static void test_names_are_the_same(const hx_matcher *matcher)
{
    static const char *const heads[] = {"%s sshd[77]: m", "%s sshd: m",  "%s  sshd[7]: m",
                                        "%s\tsshd[7]: m", "%s a:b[1] m", "%s sshd[]: m",
                                        "%s sshd m",      "%s : m",      "%s cron[123456789]:"};
    static const char more[] = "\n2025-08-30T10:15:30Z h p[1]: and a line of more than fifty bytes";
    const hx_session_rule rule = {.by = HX_SESSION_BY_FIELDS,
                                  .fields = HX_FIELD_HOST | HX_FIELD_PROCESS | HX_FIELD_PID};
    static reading alone, before;

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        for (uint32_t len = 1; len < 60; len++) {
            char host[64] = {0}, line[256];

            memset(host, 'h', len);
            strcpy(line, "2025-08-30T10:15:30Z ");
            snprintf(line + strlen(line), 128, heads[i], host);
            read_text("iso", matcher, rule, line, &alone);
            strcat(line, more);
            read_text("iso", matcher, rule, line, &before);
            CHECK_INT(alone.count, 1);
            CHECK_INT(before.count, 2);
            check_name(&before.events[1], "h p 1");
            CHECK_INT(before.events[0].name_len, alone.events[0].name_len);
            CHECK(memcmp(before.events[0].name, alone.events[0].name, HX_SESSION_NAME_MAX) == 0);
            CHECK(before.events[0].session == alone.events[0].session);
        }
}

static void test_by_value(const hx_matcher *matcher)
{
    static const struct {
        const char *line;
        uint32_t count;
        const char *names[3];
    } cases[] = {
        {"Received block blk_-12 of size 3", 1, {"blk_-12"}},
        {"copy blk_1 to blk_2, again blk_1", 2, {"blk_1", "blk_2"}},
        {"notablk_1 xblk_2", 1, {""}},
        {"(blk_9)", 1, {"blk_9"}},
        {"nothing here", 1, {""}},
        {"blk_", 1, {"blk_"}},
    };
    static reading r;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_text("plain", matcher, (hx_session_rule){.by = HX_SESSION_BY_VALUE, .prefix = "blk_"},
                  cases[i].line, &r);
        CHECK_INT(r.count, cases[i].count);
        for (uint32_t n = 0; n < r.count; n++) {
            check_name(&r.events[n], cases[i].names[n]);
            CHECK_INT(r.events[n].first_of_line, n == 0);
            CHECK_INT(r.events[n].key, r.events[0].key);
        }
    }
}

static void test_by_time(const hx_matcher *matcher)
{
    static reading r;

    read_text("iso", matcher,
              (hx_session_rule){.by = HX_SESSION_BY_TIME, .seconds = 60, .fields = HX_FIELD_HOST},
              "1970-01-01T00:00:59Z a x: m\n1970-01-01T00:01:00Z a x: m\n", &r);
    CHECK_INT(r.count, 2);
    check_name(&r.events[0], "0 a");
    check_name(&r.events[1], "1 a");
}

static void test_watermark_before_each_line(const hx_matcher *matcher)
{
    static reading r;

    read_text("iso", matcher, (hx_session_rule){.by = HX_SESSION_BY_ALL},
              "1970-01-01T00:00:05Z a x: m\n1970-01-01T00:00:03Z a x: m\n"
              "1970-01-01T00:00:09Z a x: m\n1970-01-01T00:00:09Z a x: m\n",
              &r);
    CHECK_INT(r.count, 4);
    CHECK(r.events[0].earlier_us == HX_TIME_NONE);
    CHECK_INT(r.events[1].earlier_us, 5000000);
    CHECK_INT(r.events[2].earlier_us, 5000000);
    CHECK_INT(r.events[3].earlier_us, 9000000);
}

static void test_lines(const hx_matcher *matcher)
{
    static const struct {
        const char *text;
        uint32_t events, lines, empty, malformed;
    } cases[] = {
        {"", 0, 0, 0, 0},
        {"\n", 0, 0, 1, 0},
        {"\r\n", 0, 0, 1, 0},
        {"2025-08-30T10:15:30Z h p[1]: a\n2025-08-30T10:15:30Z h p[1]: b", 2, 2, 0, 0},
        {"2025-08-30T10:15:30Z h p[1]: a\r\njunk\n\n", 1, 2, 1, 1},
        {"2025-02-30T10:15:30Z h p[1]: a\n", 0, 1, 0, 1},
    };
    static reading r;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_text("iso", matcher, (hx_session_rule){.by = HX_SESSION_BY_ALL}, cases[i].text, &r);
        CHECK_INT(r.count, cases[i].events);
        CHECK_INT(r.consumed, strlen(cases[i].text));
        CHECK_INT(r.counters.lines, cases[i].lines);
        CHECK_INT(r.counters.empty, cases[i].empty);
        CHECK_INT(r.counters.malformed, cases[i].malformed);
    }
}

static void test_keys_known_already(const hx_matcher *matcher)
{
    static const struct {
        const char *line;
        uint32_t count, malformed;
        uint32_t keys[4];
    } cases[] = {
        {"s1\t0 1 0\n", 3, 0, {0, 1, 0}},
        {"s1\t 1  0 \n", 2, 0, {1, 0}},
        {"s1\t99 x 1\n", 3, 0, {HX_KEY_UNSEEN, HX_KEY_UNSEEN, 1}},
        {"s1\t4294967296\n", 1, 0, {HX_KEY_UNSEEN}},
        {"no tab 1 2\n", 0, 1, {0}},
        {"s1\t\n", 0, 1, {0}},
    };
    static reading r;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_text(NULL, matcher, (hx_session_rule){.by = HX_SESSION_BY_ALL}, cases[i].line, &r);
        CHECK_INT(r.count, cases[i].count);
        CHECK_INT(r.counters.malformed, cases[i].malformed);
        for (uint32_t n = 0; n < r.count; n++) {
            CHECK_INT(r.events[n].key, cases[i].keys[n]);
            CHECK_INT(r.events[n].ends_session, n + 1 == r.count);
            check_name(&r.events[n], "s1");
        }
    }
}

/* However few events there is room for, and so however few lines are looked at together, the same
 * events come out. */
static void test_small_room(const hx_matcher *matcher)
{
    static const char *const lines[] = {"copy blk_1 to blk_2\n", "blk_3 alone\r\n", "\n",
                                        "no value\n", "blk_4 blk_5 blk_6 blk_7\n"};
    static const uint32_t rooms[] = {80, 81, 150, 250, 600, 4096};
    const hx_session_rule rule = {.by = HX_SESSION_BY_VALUE, .prefix = "blk_"};
    char text[2000] = "";
    hx_format *format = NULL;
    hx_front *front = NULL;
    hx_error err = {{0}};
    static hx_event events[4096];
    uint64_t all = 0;

    for (uint32_t i = 0; i < 60; i++)
        strcat(text, lines[(i * i + i / 5) % 5]);
    CHECK_INT(hx_format_create("plain", &format, &err), 0);
    CHECK_INT(hx_front_create(format, matcher, &rule, &front, &err), 0);
    for (size_t room = 0; room < sizeof rooms / sizeof rooms[0]; room++) {
        hx_front_counters counters = {0};
        uint32_t at = 0, total = 0, length = (uint32_t)strlen(text);
        uint64_t seen = 0;

        while (at < length) {
            uint32_t consumed, n = hx_front_read(front, text + at, length - at, 0, events,
                                                 rooms[room], &consumed, &counters);

            CHECK(consumed > 0);
            for (uint32_t i = 0; i < n; i++) {
                seen = hx_hash_u64(seen, events[i].session);
                seen = hx_hash_u64(seen, at + events[i].line + events[i].first_of_line);
                seen = hx_hash_u64(seen, events[i].key);
            }
            at += consumed;
            total += n;
        }
        CHECK_INT(total, 97);
        CHECK_INT(counters.empty, 12);
        CHECK_INT(counters.lines, 60 - 12);
        all = room ? all : seen;
        CHECK(seen == all);
    }
    hx_front_destroy(front);
    hx_format_destroy(format);
}

static void test_rules_are_checked(const hx_matcher *matcher)
{
    static const struct {
        hx_session_rule rule;
        const char *names;
    } cases[] = {
        {{.by = HX_SESSION_BY_FIELDS}, "session.fields"},
        {{.by = HX_SESSION_BY_VALUE}, "session.prefix"},
        {{.by = HX_SESSION_BY_TIME}, "session.seconds"},
        {{.by = (hx_session_by)9}, "session.by"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_front *front = NULL;
        hx_error err = {{0}};

        CHECK_INT(hx_front_create(NULL, matcher, &cases[i].rule, &front, &err), HX_EINVAL);
        CHECK(strstr(err.text, cases[i].names) != NULL);
    }
}

int main(void)
{
    hx_matcher *matcher = make_matcher();

    test_by_fields(matcher);
    test_long_names_are_cut(matcher);
    test_names_are_the_same(matcher);
    test_by_value(matcher);
    test_by_time(matcher);
    test_watermark_before_each_line(matcher);
    test_lines(matcher);
    test_keys_known_already(matcher);
    test_small_room(matcher);
    test_rules_are_checked(matcher);
    hx_matcher_destroy(matcher);
    return 0;
}
