/* The verdicts of other parsers' conformance cases, where HAECHI_DATA names a folder that has them:
 * JSON lines with input (or input_hex), valid, and the fields a strict parser finds. */
#include "../check.h"

#include <haechi/format.h>

#include <cjson/cJSON.h>
#include <stdbool.h>

typedef struct tally {
    int cases, verdicts_other, fields_other;
} tally;

static size_t input_of(const cJSON *item, char *out, size_t room)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(item, "input"));
    const char *hex = cJSON_GetStringValue(cJSON_GetObjectItem(item, "input_hex"));
    size_t len = 0;

    if (text) {
        len = strlen(text);
        CHECK(len < room);
        memcpy(out, text, len);
        return len;
    }
    CHECK(hex != NULL);
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        CHECK(sscanf(hex, "%2x", &byte) == 1);
        out[len++] = (char)byte;
    }
    return len;
}

static bool field_is(const cJSON *want, const char *name, hx_slice got)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(want, name));

    if (!text || hx_slice_equal(hx_slice_str(text), got))
        return true;
    printf("  %s is \"%.*s\", theirs \"%s\"\n", name, (int)got.len, got.ptr, text);
    return false;
}

static bool fields_agree(const cJSON *want, const hx_record *record)
{
    char pri[12];

    if (!want)
        return true;
    snprintf(pri, sizeof pri, "%d", record->facility * 8 + record->severity);
    return field_is(want, "priority", hx_slice_str(pri)) &&
           field_is(want, "hostname", record->host) && field_is(want, "appname", record->process) &&
           field_is(want, "procid", record->pid) && field_is(want, "msgid", record->msgid);
}

static void run_case(const hx_format *format, const char *json, tally *t)
{
    static char input[65536];
    hx_format_scratch scratch = {.now_us = INT64_C(1800000000) * 1000000};
    hx_record record;
    cJSON *item = cJSON_Parse(json);
    size_t len;
    bool theirs, ours;
    char *guarded;

    CHECK(item != NULL);
    len = input_of(item, input, sizeof input);
    guarded = check_guard_copy(input, len);
    theirs = cJSON_IsTrue(cJSON_GetObjectItem(item, "valid"));
    ours = hx_format_parse(format, hx_slice_make(guarded, len), &scratch, &record) == 0;
    t->cases++;
    if (ours != theirs) {
        t->verdicts_other++;
        printf("  %s here, %s there: %.100s\n", ours ? "valid" : "malformed",
               theirs ? "valid" : "malformed", json);
    } else if (ours && !fields_agree(cJSON_GetObjectItem(item, "expected_partial"), &record)) {
        t->fields_other++;
    }
    check_guard_free(guarded, len);
    cJSON_Delete(item);
}

static bool run_file(const char *folder, const char *preset)
{
    char path[1024];
    char *line = NULL;
    size_t room = 0;
    hx_format *format;
    tally t = {0};
    FILE *in;

    snprintf(path, sizeof path, "%s/syslog_conformance/%s.jsonl", folder, preset);
    in = fopen(path, "r");
    if (!in) {
        printf("skipped: %s is not there\n", path);
        return false;
    }
    CHECK(hx_format_create(preset, &format, NULL) == 0);
    while (getline(&line, &room, in) > 0)
        run_case(format, line, &t);
    printf("%s: %d cases, %d other verdicts, %d other fields\n", preset, t.cases, t.verdicts_other,
           t.fields_other);
    CHECK(t.cases > 0);
    CHECK_INT(t.verdicts_other, 0);
    CHECK_INT(t.fields_other, 0);
    free(line);
    fclose(in);
    hx_format_destroy(format);
    return true;
}

int main(void)
{
    const char *folder = getenv("HAECHI_DATA");
    bool strict, classic;

    if (!folder) {
        puts("skipped: HAECHI_DATA names no folder of conformance cases");
        return CHECK_SKIP;
    }
    strict = run_file(folder, "rfc5424");
    classic = run_file(folder, "rfc3164");
    return strict || classic ? 0 : CHECK_SKIP;
}
