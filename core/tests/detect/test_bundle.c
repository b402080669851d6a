/* Manifests and bundles: what is wrong with one is said by name, and nothing is taken on trust. */
#include "detect/manifest.h"
#include "made.h"

#include <sys/stat.h>

#define DEEPLOG(file, rule, begin, end, unseen, top_k, thresholds)                                 \
    "{\"name\": \"deeplog\", \"file\": " file ", \"rule\": " rule ", \"begin\": " begin            \
    ", \"end\": " end ", \"unseen\": " unseen ", \"top_k\": " top_k ", " thresholds "}"
#define THRESHOLDS                                                                                 \
    "\"unseen_surprise\": 20, \"event_surprise\": 9, \"session_surprise\": 1, "                    \
    "\"least_surprise\": 2"
#define SESSION(fields) "{\"idle_s\": 10, \"max_open\": 100, " fields "}"
#define NEW_EVENT(rest) "{\"name\": \"new_event\"" rest "}"
#define GOOD_EVENT      NEW_EVENT(", \"trained_keys\": [0], \"repeat_s\": 1")

/* A manifest alone: 0 or HX_EMALFORMED, read from right before a page that may not be touched. */
static int fill(const char *json, size_t len, hx_error *err)
{
    char *guarded = check_guard_copy(json, len);
    hx_manifest *manifest = NULL;
    hx_bundle bundle = {0};
    int rc = hx_manifest_parse(guarded, len, &manifest, err);

    check_guard_free(guarded, len);
    if (!rc)
        rc = hx_manifest_fill(manifest, &bundle, err);
    hx_manifest_destroy(manifest);
    free(bundle.token_of_key);
    return rc;
}

static void test_each_key_is_checked(void)
{
    static const struct {
        made_manifest manifest;
        int rc;
        const char *named;
    } cases[] = {
        {{0}, 0, ""},
        {{.format = ""}, HX_EMALFORMED, "format"},
        {{.format = "\"1\""}, HX_EMALFORMED, "format"},
        {{.format = "2"}, HX_EVERSION, "format 2"},
        {{.log_keys = ""}, HX_EMALFORMED, "log_keys"},
        {{.log_keys = "0"}, HX_EMALFORMED, "log_keys: 0"},
        {{.log_keys = "-3"}, HX_EMALFORMED, "log_keys: -3"},
        {{.log_keys = "2.5"}, HX_EMALFORMED, "log_keys: 2.5"},
        {{.log_keys = "65001"}, HX_EMALFORMED, "log_keys"},
        {{.log_keys = "1e999"}, HX_EMALFORMED, "log_keys"},
        {{.log_keys = "\"3\""}, HX_EMALFORMED, "log_keys"},
        {{.log_keys = "null"}, HX_EMALFORMED, "log_keys"},
        {{.window = ""}, HX_EMALFORMED, "window"},
        {{.window = "0"}, HX_EMALFORMED, "window: 0"},
        {{.window = "32"}, HX_EMALFORMED, "window: 32"},
        {{.window = "[]"}, HX_EMALFORMED, "window"},
        {{.parser = ""}, HX_EMALFORMED, "parser.format"},
        {{.parser = "{}"}, HX_EMALFORMED, "parser.format"},
        {{.parser = "{\"format\": 7}"}, HX_EMALFORMED, "parser.format"},
        {{.session = ""}, HX_EMALFORMED, "session.by"},
        {{.session = "[]"}, HX_EMALFORMED, "session.by"},
        {{.session = SESSION("\"by\": \"moon\"")}, HX_EMALFORMED, "session.by: \"moon\""},
        {{.session = SESSION("\"by\": 1")}, HX_EMALFORMED, "session.by"},
        {{.session = SESSION("\"by\": \"fields\", \"fields\": [\"ip\"]")},
         HX_EMALFORMED,
         "session.fields: \"ip\""},
        {{.session = SESSION("\"by\": \"fields\", \"fields\": [1]")},
         HX_EMALFORMED,
         "session.fields"},
        {{.session = SESSION("\"by\": \"value\", \"prefix\": "
                             "\"0123456789012345678901234567890123456789\"")},
         HX_EMALFORMED,
         "session.prefix"},
        {{.session = SESSION("\"by\": \"time\"")}, HX_EMALFORMED, "session.seconds"},
        {{.session = SESSION("\"by\": \"time\", \"seconds\": 0")},
         HX_EMALFORMED,
         "session.seconds"},
        {{.session = SESSION("\"by\": \"time\", \"seconds\": 60")}, 0, ""},
        {{.session = "{\"by\": \"all\", \"max_open\": 1}"}, HX_EMALFORMED, "session.idle_s"},
        {{.session = "{\"by\": \"all\", \"idle_s\": 0, \"max_open\": 1}"},
         HX_EMALFORMED,
         "session.idle_s: 0"},
        {{.session = "{\"by\": \"all\", \"idle_s\": 1}"}, HX_EMALFORMED, "session.max_open"},
        {{.session = "{\"by\": \"all\", \"idle_s\": 1, \"max_open\": 0}"},
         HX_EMALFORMED,
         "session.max_open"},
        {{.session = "{\"by\": \"all\", \"idle_s\": 1, \"max_open\": 1e9}"},
         HX_EMALFORMED,
         "session.max_open"},
        {{.new_event = ""}, HX_EMALFORMED, "new_event"},
        {{.new_event = NEW_EVENT("")}, HX_EMALFORMED, "new_event.repeat_s"},
        {{.new_event = NEW_EVENT(", \"repeat_s\": -1")}, HX_EMALFORMED, "new_event.repeat_s"},
        {{.new_event = NEW_EVENT(", \"repeat_s\": 1")}, HX_EMALFORMED, "new_event.trained_keys"},
        {{.new_event = NEW_EVENT(", \"repeat_s\": 1, \"trained_keys\": 5")},
         HX_EMALFORMED,
         "new_event.trained_keys"},
        {{.new_event = NEW_EVENT(", \"repeat_s\": 1, \"trained_keys\": [3]")},
         HX_EMALFORMED,
         "new_event.trained_keys: 3"},
        {{.new_event = NEW_EVENT(", \"repeat_s\": 1, \"trained_keys\": [0.5]")},
         HX_EMALFORMED,
         "new_event.trained_keys: 0.5"},
        {{.new_event = NEW_EVENT(", \"repeat_s\": 1, \"trained_keys\": [\"0\"]")},
         HX_EMALFORMED,
         "new_event.trained_keys"},
        {{.deeplog = DEEPLOG("\"m\"", "\"topk\"", "3", "4", "5", "9", THRESHOLDS)}, 0, ""},
        {{.deeplog = DEEPLOG("\"m\"", "\"best\"", "3", "4", "5", "9", THRESHOLDS)},
         HX_EMALFORMED,
         "deeplog.rule: \"best\""},
        {{.deeplog = DEEPLOG("\"../m\"", "\"topk\"", "3", "4", "5", "9", THRESHOLDS)},
         HX_EMALFORMED,
         "deeplog.file: \"../m\""},
        {{.deeplog = DEEPLOG("\"/etc/passwd\"", "\"topk\"", "3", "4", "5", "9", THRESHOLDS)},
         HX_EMALFORMED,
         "deeplog.file"},
        {{.deeplog = DEEPLOG("null", "\"topk\"", "3", "4", "5", "9", THRESHOLDS)},
         HX_EMALFORMED,
         "deeplog.file"},
        {{.deeplog = DEEPLOG("\"m\"", "\"topk\"", "2", "4", "5", "9", THRESHOLDS)},
         HX_EMALFORMED,
         "deeplog.begin: 2"},
        {{.deeplog = DEEPLOG("\"m\"", "\"topk\"", "3", "3", "5", "9", THRESHOLDS)},
         HX_EMALFORMED,
         "deeplog.end: 3"},
        {{.deeplog = DEEPLOG("\"m\"", "\"topk\"", "3", "4", "6", "9", THRESHOLDS)},
         HX_EMALFORMED,
         "deeplog.unseen: 6"},
        {{.deeplog = DEEPLOG("\"m\"", "\"topk\"", "3", "4", "5", "0", THRESHOLDS)},
         HX_EMALFORMED,
         "deeplog.top_k: 0"},
        {{.deeplog = DEEPLOG("\"m\"", "\"topk\"", "3", "4", "5", "9", "\"unseen_surprise\": 1")},
         HX_EMALFORMED,
         "deeplog.event_surprise"},
        {{.deeplog = DEEPLOG("\"m\"", "\"topk\"", "3", "4", "5", "9", "\"unseen_surprise\": -1")},
         HX_EMALFORMED,
         "deeplog.unseen_surprise: -1"},
    };
    size_t len;
    char *templates = made_templates(&len);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_text text = made_manifest_text(&cases[i].manifest, templates, len);
        hx_error err = {{0}};
        int rc = fill(text.ptr, text.len, &err);

        if (rc != cases[i].rc || !strstr(err.text, cases[i].named))
            fprintf(stderr, "case %zu: %.*s: %s\n", i, (int)text.len, text.ptr, err.text);
        CHECK_INT(rc, cases[i].rc);
        CHECK(strstr(err.text, cases[i].named) != NULL);
        hx_text_free(&text);
    }
    free(templates);
}

/* Cut anywhere or with any byte changed, it is understood or refused. */
static void test_damaged_manifests(void)
{
    static const unsigned char flips[] = {0x01, 0x20, 0x80};
    const made_manifest with_model = {
        .deeplog = DEEPLOG("\"m\"", "\"likelihood\"", "3", "4", "5", "9", THRESHOLDS)};
    size_t len;
    char *templates = made_templates(&len);
    hx_text text = made_manifest_text(&with_model, templates, len);
    hx_error err;

    for (size_t cut = 0; cut < text.len; cut++)
        CHECK_INT(fill(text.ptr, cut, &err), HX_EMALFORMED);
    for (size_t at = 0; at < text.len; at++) {
        for (size_t i = 0; i < sizeof flips; i++) {
            text.ptr[at] = (char)(text.ptr[at] ^ flips[i]);
            err.text[0] = 0;
            if (fill(text.ptr, text.len, &err) != 0)
                CHECK(err.text[0] != 0);
            text.ptr[at] = (char)(text.ptr[at] ^ flips[i]);
        }
    }
    hx_text_free(&text);
    free(templates);
}

/* --- from the disk -----------------------------------------------------------------------------
 */

static int load(hx_error *err)
{
    const hx_bundle_options options = {0};
    hx_bundle *bundle = NULL;
    int rc = hx_bundle_load(made_folder(), &options, &bundle, err);

    CHECK((rc == 0) == (bundle != NULL));
    hx_bundle_destroy(bundle);
    return rc;
}

static void test_bundle_is_loaded(void)
{
    hx_bundle *b = made_bundle(&(made_manifest){0});

    CHECK_INT(b->log_keys, 3);
    CHECK_INT(b->window, 4);
    CHECK_INT(b->idle_us, 10000000);
    CHECK_INT(b->max_open, 100);
    CHECK_INT(b->repeat_us, 60000000);
    CHECK(!b->deeplog.enabled);
    CHECK_INT(hx_bundle_token(b, 0), 0);
    CHECK_INT(hx_bundle_token(b, 1), 1);
    CHECK_INT(hx_bundle_token(b, 2), 5); /* never trained: unseen */
    CHECK_INT(hx_bundle_token(b, HX_KEY_UNSEEN), 5);
    CHECK_INT(strlen(b->digest), 16);
    hx_bundle_destroy(b);
}

static void test_every_bit_of_the_templates_counts(void)
{
    hx_text good;
    hx_error err;

    hx_bundle_destroy(made_bundle(&(made_manifest){0}));
    good = made_read("templates.json");
    for (size_t at = 0; at < good.len; at += 7) {
        good.ptr[at] ^= 4;
        made_file("templates.json", good.ptr, good.len);
        CHECK_INT(load(&err), HX_ECORRUPT);
        CHECK(strstr(err.text, "templates.json") != NULL);
        good.ptr[at] ^= 4;
    }
    made_file("templates.json", good.ptr, good.len - 1);
    CHECK_INT(load(&err), HX_ECORRUPT);
    made_file("templates.json", good.ptr, good.len);
    CHECK_INT(load(&err), 0);
    unlink(made_path("templates.json"));
    CHECK_INT(load(&err), HX_ENOTFOUND);
    CHECK(strstr(err.text, "templates.json") != NULL);
    mkfifo(made_path("templates.json"), 0600); /* must not be waited for */
    CHECK_INT(load(&err), HX_EIO);
    CHECK(strstr(err.text, "templates.json") != NULL);
    unlink(made_path("templates.json"));
    unlink(made_path("manifest.json"));
    CHECK_INT(load(&err), HX_ENOTFOUND);
    CHECK(strstr(err.text, "manifest.json") != NULL);
    hx_text_free(&good);
}

static void test_what_does_not_fit_together(void)
{
    static const struct {
        made_manifest manifest;
        int rc;
        const char *named;
    } cases[] = {
        {{.log_keys = "2"}, HX_EMALFORMED, "3 templates"},
        {{.log_keys = "4"}, HX_EMALFORMED, "3 templates"},
        {{.files = "{}"}, HX_EMALFORMED, "templates.json"},
        {{.files = ""}, HX_EMALFORMED, "templates.json"},
        {{.files = "{\"templates.json\": {\"sha256\": 3}}"}, HX_EMALFORMED, "templates.json"},
        {{.parser = "{\"format\": \"<no such\"}"}, HX_EINVAL, ""},
        /* Would otherwise only be found by the worker that takes it up. */
        {{.session = SESSION("\"by\": \"fields\"")}, HX_EMALFORMED, "session.fields"},
        {{.session = SESSION("\"by\": \"value\"")}, HX_EMALFORMED, "session.prefix"},
        {{.deeplog = DEEPLOG("\"m\"", "\"topk\"", "3", "4", "5", "9", THRESHOLDS)},
         HX_EMALFORMED,
         "no \"m\""},
    };
    size_t len;
    char *templates = made_templates(&len);

    made_file("templates.json", templates, len);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_text text = made_manifest_text(&cases[i].manifest, templates, len);
        hx_error err = {{0}};

        made_file("manifest.json", text.ptr, text.len);
        CHECK_INT(load(&err), cases[i].rc);
        CHECK(strstr(err.text, cases[i].named) != NULL);
        hx_text_free(&text);
    }
    free(templates);
}

int main(void)
{
    test_each_key_is_checked();
    test_damaged_manifests();
    test_bundle_is_loaded();
    test_every_bit_of_the_templates_counts();
    test_what_does_not_fit_together();
    return 0;
}
