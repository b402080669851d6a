/* mscred's section of a manifest: what is wrong with it is said by name, and nothing is taken on
 * trust. What it finds is compared with the reference in tests/integration/test_engine_mscred.py,
 * where there is a network. */
#include "made.h"

#define FOUR  "[1, 1, 1, 1]"
#define CELLS "[" FOUR ", " FOUR ", " FOUR "]"

typedef struct section {
    const char *by, *values, *finds, *interval_us, *windows, *step, *history, *series, *limit,
        *threshold, *file;
} section;

static void put(hx_text *out, const char *key, const char *value, const char *usual)
{
    if (value && !*value)
        return;
    hx_text_json_key(out, key);
    hx_text_str(out, value ? value : usual);
}

/* NULL: a usual value; "": the key is left out. To be freed. */
static char *section_text(const section *s)
{
    hx_text out = {0};

    hx_text_str(&out, "{");
    hx_text_json_key(&out, "name");
    hx_text_str(&out, "\"mscred\"");
    if (s->by)
        put(&out, "by", s->by, "");
    if (s->values)
        put(&out, "values", s->values, "");
    if (s->finds)
        put(&out, "finds", s->finds, "");
    put(&out, "interval_us", s->interval_us, "1000000");
    put(&out, "windows", s->windows, "[10, 30, 60]");
    put(&out, "step", s->step, "10");
    put(&out, "history", s->history, "5");
    put(&out, "series", s->series,
        "[{\"keys\": [1], \"low\": 0, \"high\": 1}, {\"keys\": [], \"low\": 0, \"high\": 2}]");
    put(&out, "limit", s->limit, CELLS);
    put(&out, "threshold", s->threshold, "[5.5, 6.5, 7.5]");
    put(&out, "file", s->file, "\"mscred.onnx\"");
    hx_text_str(&out, "}");
    hx_text_bytes(&out, "", 1);
    CHECK(!out.failed);
    return out.ptr;
}

static int load(const section *s, hx_error *err)
{
    const hx_bundle_options options = {0};
    char *text = section_text(s);
    const made_manifest manifest = {.deeplog = text};
    hx_bundle *bundle = NULL;
    size_t len;
    char *templates = made_templates(&len);
    hx_text json = made_manifest_text(&manifest, templates, len);
    int rc;

    made_file("templates.json", templates, len);
    made_file("manifest.json", json.ptr, json.len);
    rc = hx_bundle_load(made_folder(), &options, &bundle, err);
    CHECK(rc ? bundle == NULL : bundle != NULL);
    hx_bundle_destroy(bundle);
    hx_text_free(&json);
    free(templates);
    free(text);
    return rc;
}

#define TEN           "0123456789"
#define LONG          TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define SERIES(first) "[{" first "}, {\"keys\": [], \"low\": 0, \"high\": 1}]"

int main(void)
{
    static const struct {
        section section;
        const char *named;
    } cases[] = {
        /* All is well but for the network, which is not there. */
        {{0}, "mscred.onnx"},
        {{.by = "\"host\"", .series = SERIES("\"host\": \"web1\", \"low\": 0, \"high\": 1")},
         "mscred.onnx"},
        {{.by = "\"host_key\"",
          .series = SERIES("\"host\": \"web1\", \"keys\": [1], \"low\": 0, \"high\": 1")},
         "mscred.onnx"},
        {{.by = "\"hosts\""}, "mscred.by: key, host or host_key"},
        {{.by = "1"}, "mscred.by"},
        {{.values = "\"root\"", .finds = "\"any\""}, "mscred.onnx"},
        {{.values = "\"log\""}, "mscred.values: ln or root"},
        {{.finds = "[]"}, "mscred.finds: shortest or any"},
        {{.series = SERIES("\"host\": 1, \"low\": 0, \"high\": 1")}, "mscred.series.host"},
        {{.series = SERIES("\"host\": \"\", \"low\": 0, \"high\": 1")}, "mscred.series.host"},
        {{.series = SERIES("\"host\": \"" LONG LONG "\", \"low\": 0, \"high\": 1")},
         "mscred.series.host"},
        {{.file = "\"../mscred.onnx\""}, "mscred.file"},
        {{.file = "7"}, "mscred.file"},
        {{.interval_us = ""}, "mscred.interval_us"},
        {{.interval_us = "0"}, "mscred.interval_us"},
        {{.interval_us = "1e300"}, "mscred.interval_us"},
        {{.interval_us = "\"1\""}, "mscred.interval_us"},
        {{.windows = "[10, 30]"}, "mscred.windows"},
        {{.windows = "[10, 30, 61]"}, "mscred.windows: 10, 30 and 60"},
        {{.windows = "[10, 30, 60, 90]"}, "mscred.windows"},
        {{.windows = "{}"}, "mscred.windows"},
        {{.step = "5"}, "mscred.step"},
        {{.history = ""}, "mscred.step, history"},
        {{.threshold = "[1, 2]"}, "mscred.threshold"},
        {{.threshold = "[1, 2, -3]"}, "mscred.threshold"},
        {{.threshold = "[1, 2, null]"}, "mscred.threshold"},
        {{.limit = ""}, "mscred.limit"},
        {{.limit = "[" FOUR ", " FOUR "]"}, "mscred.limit"},
        {{.limit = "[" FOUR ", " FOUR ", [1, 1, 1]]"}, "mscred.limit"},
        {{.limit = "[" FOUR ", " FOUR ", [1, 1, 1, 1, 1]]"}, "mscred.limit"},
        {{.limit = "[" FOUR ", " FOUR ", " FOUR ", " FOUR "]"}, "mscred.limit"},
        {{.limit = "[1, 2, 3]"}, "mscred.limit"},
        {{.series = "[]"}, "mscred.series: 2 to 64"},
        {{.series = "{}"}, "mscred.series: 2 to 64"},
        {{.series = SERIES("\"keys\": [0], \"low\": 1, \"high\": 1")}, "mscred.series: a \"low\""},
        {{.series = SERIES("\"keys\": [0], \"low\": 1")}, "mscred.series: a \"low\""},
        {{.series = SERIES("\"keys\": [0], \"low\": 0, \"high\": 1e999")}, "mscred.series"},
        {{.series = SERIES("\"keys\": [3], \"low\": 0, \"high\": 1")}, "mscred.series.keys"},
        {{.series = SERIES("\"keys\": [-1], \"low\": 0, \"high\": 1")}, "mscred.series.keys"},
        {{.series = SERIES("\"keys\": [0.5], \"low\": 0, \"high\": 1")}, "mscred.series.keys"},
        {{.series = SERIES("\"keys\": [\"x\"], \"low\": 0, \"high\": 1")}, "mscred.series.keys"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_error err = {{0}};

        CHECK(load(&cases[i].section, &err) != 0);
        if (!strstr(err.text, cases[i].named))
            fprintf(stderr, "case %zu: %s\n", i, err.text);
        CHECK(strstr(err.text, cases[i].named) != NULL);
    }
    return 0;
}
