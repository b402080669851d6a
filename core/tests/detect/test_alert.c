/* Alerts: always one line of JSON, ids that mean the line, and a file that survives a crash. */
#include "detect/alert.h"
#include "made.h"

#include <cjson/cJSON.h>

static hx_alert alert_for(const char *line, size_t len)
{
    return (hx_alert){
        .kind = HX_ALERT_NEW_SHAPE,
        .stage = 1,
        .time_us = INT64_C(1756548930123456),
        .session = HX_SLICE_LIT("web1 77"),
        .key = HX_KEY_UNSEEN,
        .severity = HX_PRI_NONE,
        .source = "/var/log/app.log",
        .identity = 7,
        .offset = 1000,
        .content = 5,
        .line = hx_slice_make(line, len),
    };
}

/* One line, valid JSON, with this text of its line (NULL: not compared). */
static cJSON *render(const hx_alert *alert, const hx_bundle *bundle, uint64_t id[2])
{
    hx_text out = {0};
    const char *end;
    cJSON *json;
    char want[33];

    hx_alert_render(alert, bundle, &out, id);
    CHECK(!out.failed);
    CHECK(out.ptr[out.len - 1] == '\n');
    CHECK(memchr(out.ptr, '\n', out.len) == out.ptr + out.len - 1);
    for (size_t i = 0; i + 1 < out.len; i++)
        CHECK((unsigned char)out.ptr[i] >= 0x20);
    json = cJSON_ParseWithLengthOpts(out.ptr, out.len, &end, false);
    CHECK(cJSON_IsObject(json));
    CHECK(end == out.ptr + out.len - 1);
    snprintf(want, sizeof want, "%016llx%016llx", (unsigned long long)id[0],
             (unsigned long long)id[1]);
    CHECK(strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(json, "id")), want) == 0);
    hx_text_free(&out);
    return json;
}

static const cJSON *line_of(const cJSON *json)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItem(json, "lines"), 0);
}

static void test_hostile_lines(const hx_bundle *bundle)
{
    static const struct {
        const char *line;
        size_t len;
        const char *text; /* as the alert shows it */
    } cases[] = {
        {"plain", 5, "plain"},
        {"\"quoted\" \\ back\\slash", 21, "\"quoted\" \\ back\\slash"},
        {"tab\tcr\rbell\a", 12, "tab\tcr\rbell\a"},
        {"\xff\xfe", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"cut \xe2\x82", 6, NULL},
        {"over\xc0\xaf", 6, NULL},
        {"\xed\xa0\x80", 3, NULL},
        {"\xf4\x90\x80\x80", 4, NULL},
        {"h\xc3\xa9", 3, "h\xc3\xa9"},
        {"nul\0nul", 7, NULL},
    };
    uint64_t id[2];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *guarded = check_guard_copy(cases[i].line, cases[i].len);
        hx_alert alert = alert_for(guarded, cases[i].len);
        cJSON *json = render(&alert, bundle, id);
        const cJSON *text = cJSON_GetObjectItem(line_of(json), "text");

        CHECK(cJSON_IsString(text));
        if (cases[i].text)
            CHECK_BYTES(text->valuestring, strlen(text->valuestring), cases[i].text,
                        strlen(cases[i].text));
        cJSON_Delete(json);
        alert.session = alert.line; /* a name is no more to be trusted */
        cJSON_Delete(render(&alert, bundle, id));
        check_guard_free(guarded, cases[i].len);
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char two[2] = {(char)byte, (char)(byte ^ 0x80)};
        hx_alert alert = alert_for(two, 2);

        cJSON_Delete(render(&alert, bundle, id));
    }
}

/* The head of a line of a megabyte is shown, its length is told; a line no longer there is null. */
static void test_long_and_lost_lines(const hx_bundle *bundle)
{
    static char line[1 << 20];
    hx_alert alert = alert_for(line, sizeof line);
    uint64_t id[2];
    cJSON *json;

    for (size_t i = 0; i < sizeof line; i++)
        line[i] = "\xe2\x82\xac"[i % 3]; /* cut within a character */
    json = render(&alert, bundle, id);
    CHECK(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(line_of(json), "text"))) <= 4096 + 2);
    CHECK_INT(cJSON_GetObjectItem(line_of(json), "length")->valuedouble, 1 << 20);
    cJSON_Delete(json);
    alert.line = (hx_slice){0};
    alert.time_us = HX_TIME_NONE;
    json = render(&alert, bundle, id);
    CHECK(cJSON_IsNull(cJSON_GetObjectItem(line_of(json), "text")));
    CHECK(cJSON_IsNull(cJSON_GetObjectItem(json, "time")));
    cJSON_Delete(json);
}

static void test_ids(const hx_bundle *bundle)
{
    const hx_alert base = alert_for("x", 1);
    hx_alert other[] = {base, base, base, base, base};
    hx_alert same[] = {base, base, base};
    uint64_t id[2], have[2];

    other[0].offset++;
    other[1].identity++;
    other[2].kind = HX_ALERT_NEW_KEY;
    other[3].session = HX_SLICE_LIT("web1 78");
    other[4].content++;
    same[0].time_us++; /* the time of arrival, where a line has none of its own */
    same[1].source = "/the/same/file/by/another/name";
    same[2].since = 99;
    cJSON_Delete(render(&base, bundle, id));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        cJSON_Delete(render(&other[i], bundle, have));
        CHECK(have[0] != id[0] && have[1] != id[1]);
    }
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        cJSON_Delete(render(&same[i], bundle, have));
        CHECK(have[0] == id[0] && have[1] == id[1]);
    }
    CHECK(id[0] != id[1]);
}

/* Every kind, with everything a detector may say of it. */
static void test_every_kind(hx_bundle *bundle)
{
    static const hx_alert_kind kinds[] = {HX_ALERT_EVENT, HX_ALERT_SESSION, HX_ALERT_NEW_KEY,
                                          HX_ALERT_NEW_SHAPE};
    const float row[] = {-0.1f, -5.0f, -3.0f, -90.0f, -4.0f, -80.0f};
    const uint16_t window[] = {3, 0, 1, 5};
    uint64_t id[2];

    for (uint32_t n = 0; n < 4 * 6 * 2; n++) {
        hx_alert alert = alert_for("x", 1);
        cJSON *json;

        bundle->deeplog.likelihood = n / 24;
        alert.kind = kinds[n % 4];
        alert.token = alert.worst_token = (uint16_t)(n / 4 % 6);
        alert.key = alert.token < 3 ? alert.token : HX_KEY_UNSEEN;
        alert.severity = (uint8_t)(n % 9);
        alert.row = row;
        alert.window = window;
        alert.since = n;
        json = render(&alert, bundle, id);
        CHECK(cJSON_GetArraySize(cJSON_GetObjectItem(json, "expected")) == 3);
        CHECK(cJSON_GetArraySize(cJSON_GetObjectItem(json, "before")) == 3);
        CHECK(cJSON_GetStringValue(cJSON_GetObjectItem(json, "reason"))[0] != 0);
        cJSON_Delete(json);
    }
}

/* --- the file ----------------------------------------------------------------------------------
 */

static void add_alert(hx_text *out, const hx_bundle *bundle, uint64_t offset, uint64_t id[2])
{
    hx_alert alert = alert_for("line", 4);

    alert.offset = offset;
    hx_alert_render(&alert, bundle, out, id);
}

/* Behind the position ids are known; before it they are not; a torn line is taken away. */
static void test_resume(const hx_bundle *bundle)
{
    static const _Atomic bool go_on = false;
    const char *path = made_path("alerts");
    uint64_t id[8][2], position = 0;
    hx_text text = {0}, now;
    hx_alert_sink sink;
    hx_error err = {{0}};

    for (uint64_t n = 0; n < 7; n++) {
        if (n == 3)
            position = text.len;
        add_alert(&text, bundle, n, id[n]);
    }
    add_alert(&text, bundle, 7, id[7]);
    for (size_t cut = 1; cut < 400; cut += 7) {
        size_t torn = text.len - cut;
        const char *last = memrchr(text.ptr, '\n', torn);
        size_t whole = (size_t)(last - text.ptr) + 1;
        uint32_t known = 0;

        made_file("alerts", text.ptr, torn);
        CHECK_INT(hx_alert_sink_open(&sink, path, &err), 0);
        CHECK_INT(hx_alert_sink_resume(&sink, path, position, &err), 0);
        CHECK_INT(hx_alert_sink_position(&sink), sink.known_count ? position : whole);
        for (uint32_t n = 0; n < 8; n++)
            known += hx_alert_sink_knows(&sink, id[n]);
        CHECK_INT(hx_alert_sink_position(&sink), whole);
        CHECK_INT(known, sink.known_count);
        CHECK(!hx_alert_sink_knows(&sink, id[2]));
        CHECK(hx_alert_sink_knows(&sink, id[3]));
        CHECK(!hx_alert_sink_knows(&sink, id[7]));
        CHECK_INT(hx_alert_sink_write(&sink, "{}\n", 3, &go_on), 0);
        hx_alert_sink_close(&sink);
        now = made_read("alerts");
        CHECK_INT(now.len, whole + 3);
        hx_text_free(&now);
    }
    hx_text_free(&text);
}

/* Crashed again before what a crash left behind was made again: the alerts that are still to come
 * are known to the next run, too. */
static void test_crashed_on_the_way(const hx_bundle *bundle)
{
    static const _Atomic bool go_on = false;
    uint64_t id[6][2], at[6];
    hx_text text = {0}, more = {0};
    hx_alert_sink sink;
    hx_error err = {{0}};

    for (uint64_t n = 0; n < 6; n++) {
        at[n] = text.len;
        add_alert(n < 5 ? &text : &more, bundle, n, id[n]);
    }
    made_file("alerts", text.ptr, text.len);
    CHECK_INT(hx_alert_sink_open(&sink, made_path("alerts"), &err), 0);
    CHECK_INT(hx_alert_sink_resume(&sink, "alerts", at[1], &err), 0);
    CHECK_INT(sink.known_count, 4);
    CHECK(hx_alert_sink_knows(&sink, id[2])); /* another worker was faster */
    CHECK_INT(hx_alert_sink_position(&sink), at[1]);
    CHECK(hx_alert_sink_knows(&sink, id[1]));
    CHECK_INT(hx_alert_sink_position(&sink), at[3]);
    CHECK_INT(hx_alert_sink_write(&sink, more.ptr, more.len, &go_on), 0);
    CHECK_INT(hx_alert_sink_position(&sink), at[3]);
    hx_alert_sink_close(&sink);

    CHECK_INT(hx_alert_sink_open(&sink, made_path("alerts"), &err), 0);
    CHECK_INT(hx_alert_sink_resume(&sink, "alerts", at[3], &err), 0);
    for (uint32_t n = 0; n < 6; n++)
        if (n != 4)
            CHECK_INT(hx_alert_sink_knows(&sink, id[n]), n >= 3);
    CHECK_INT(hx_alert_sink_position(&sink), at[4]); /* is never made again, */
    hx_alert_sink_caught_up(&sink);                  /* but not for ever awaited */
    CHECK_INT(hx_alert_sink_position(&sink), text.len + more.len);
    CHECK(hx_alert_sink_knows(&sink, id[4]));
    hx_alert_sink_close(&sink);
    hx_text_free(&text);
    hx_text_free(&more);
}

/* A file that another program left without a newline: its last line stays, and stays apart. */
static void test_a_foreign_end(void)
{
    static const _Atomic bool go_on = false;
    static const struct {
        const char *before, *after;
    } cases[] = {{"", "{}\n{}\n"}, {"a\n", "a\n{}\n{}\n"}, {"half", "half\n{}\n{}\n"}};
    hx_alert_sink sink;
    hx_error err = {{0}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_text now;

        made_text("alerts", cases[i].before);
        CHECK_INT(hx_alert_sink_open(&sink, made_path("alerts"), &err), 0);
        CHECK_INT(hx_alert_sink_write(&sink, "{}\n", 3, &go_on), 0);
        CHECK_INT(hx_alert_sink_write(&sink, "{}\n", 3, &go_on), 0);
        hx_alert_sink_close(&sink);
        now = made_read("alerts");
        CHECK_BYTES(now.ptr, now.len, cases[i].after, strlen(cases[i].after));
        hx_text_free(&now);
    }
}

/* A position behind the end (the file was rotated meanwhile), and files that are none. */
static void test_odd_places(void)
{
    static const _Atomic bool give_up = true;
    hx_alert_sink sink;
    hx_error err = {{0}};

    made_text("alerts", "short\n");
    CHECK_INT(hx_alert_sink_open(&sink, made_path("alerts"), &err), 0);
    CHECK_INT(hx_alert_sink_resume(&sink, "alerts", 1 << 20, &err), 0);
    CHECK_INT(sink.known_count, 0);
    hx_alert_sink_close(&sink);
    CHECK_INT(hx_alert_sink_open(&sink, "/dev/full", &err), 0);
    CHECK_INT(hx_alert_sink_position(&sink), 0);
    CHECK_INT(hx_alert_sink_resume(&sink, "/dev/full", 0, &err), 0);
    CHECK_INT(hx_alert_sink_write(&sink, "{}\n", 3, &give_up), HX_EIO);
    hx_alert_sink_close(&sink);
    CHECK_INT(hx_alert_sink_open(&sink, made_path("no/such/place"), &err), HX_EIO);
    CHECK(strstr(err.text, "no/such/place") != NULL);
}

int main(void)
{
    hx_bundle *bundle = made_bundle(&(made_manifest){0});

    bundle->deeplog.top_k = 2;
    test_hostile_lines(bundle);
    test_long_and_lost_lines(bundle);
    test_ids(bundle);
    test_every_kind(bundle);
    test_resume(bundle);
    test_crashed_on_the_way(bundle);
    test_a_foreign_end();
    test_odd_places();
    hx_bundle_destroy(bundle);
    return 0;
}
