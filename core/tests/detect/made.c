#include "made.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

static char folder[64];

static void remove_folder(void)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(folder);
}

const char *made_folder(void)
{
    if (!folder[0]) {
        strcpy(folder, "/tmp/haechi-detect-XXXXXX");
        CHECK(mkdtemp(folder) != NULL);
        atexit(remove_folder);
    }
    return folder;
}

const char *made_path(const char *name)
{
    static char paths[32][160];
    char path[160];
    uint32_t i = 0;

    snprintf(path, sizeof path, "%s/%s", made_folder(), name);
    while (i < 32 && paths[i][0] && strcmp(paths[i], path) != 0)
        i++;
    CHECK(i < 32);
    return strcpy(paths[i], path);
}

void made_file(const char *name, const void *bytes, size_t len)
{
    FILE *f = fopen(made_path(name), "wb");

    CHECK(f != NULL);
    CHECK_INT(fwrite(bytes, 1, len, f), len);
    CHECK_INT(fclose(f), 0);
}

void made_text(const char *name, const char *text)
{
    made_file(name, text, strlen(text));
}

hx_text made_read(const char *name)
{
    char block[4096];
    hx_text text = {0};
    FILE *f = fopen(made_path(name), "rb");
    size_t n;

    CHECK(f != NULL);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        hx_text_bytes(&text, block, n);
    fclose(f);
    return text;
}

char *made_templates(size_t *len)
{
    static const char *const forms[] = {"open request %d", "close request %d now",
                                        "retry after error %d of it"};
    hx_miner *miner = NULL;
    hx_error err = {{0}};
    char line[64], *json = NULL;

    CHECK_INT(hx_miner_create(NULL, &miner, &err), 0);
    for (int i = 0; i < 150; i++) {
        snprintf(line, sizeof line, forms[i % 3], i);
        CHECK_INT(hx_miner_learn(miner, hx_slice_str(line)), 0);
    }
    CHECK_INT(hx_miner_finish(miner, &json, len, &err), 0);
    hx_miner_destroy(miner);
    return json;
}

static void put(hx_text *out, const char *key, const char *value, const char *usual)
{
    if (value && !*value)
        return;
    hx_text_json_key(out, key);
    hx_text_str(out, value ? value : usual);
}

hx_text made_manifest_text(const made_manifest *m, const char *templates, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char files[160] = "{\"templates.json\": {\"sha256\": \"";
    size_t at = strlen(files);
    hx_text out = {0};

    EVP_Digest(templates, len, digest, NULL, EVP_sha256(), NULL);
    for (int i = 0; i < 32; i++, at += 2)
        snprintf(files + at, 3, "%02x", digest[i]);
    strcpy(files + at, "\"}}");
    hx_text_str(&out, "{");
    put(&out, "format", m->format, "1");
    put(&out, "log_keys", m->log_keys, "3");
    put(&out, "window", m->window, "4");
    put(&out, "files", m->files, files);
    put(&out, "parser", m->parser, "{\"format\": \"iso\"}");
    put(&out, "session", m->session,
        "{\"by\": \"fields\", \"fields\": [\"pid\"], \"idle_s\": 10, \"max_open\": 100}");
    hx_text_json_key(&out, "detectors");
    hx_text_str(&out, "[");
    if (!m->new_event || *m->new_event)
        hx_text_str(&out, m->new_event ? m->new_event
                                       : "{\"name\": \"new_event\", \"trained_keys\": [0, 1], "
                                         "\"repeat_s\": 60}");
    if (m->deeplog) {
        hx_text_str(&out, ", ");
        hx_text_str(&out, m->deeplog);
    }
    hx_text_str(&out, "]}");
    CHECK(!out.failed);
    return out;
}

hx_bundle *made_bundle(const made_manifest *manifest)
{
    const hx_bundle_options options = {0};
    size_t len;
    char *templates = made_templates(&len);
    hx_text text = made_manifest_text(manifest, templates, len);
    hx_bundle *bundle = NULL;
    hx_error err = {{0}};

    made_file("templates.json", templates, len);
    made_file("manifest.json", text.ptr, text.len);
    if (hx_bundle_load(made_folder(), &options, &bundle, &err) != 0)
        fprintf(stderr, "%s\n", err.text);
    CHECK(bundle != NULL);
    hx_text_free(&text);
    free(templates);
    return bundle;
}

static void put_entry(const char *name, const char *bytes, size_t len, hx_text *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL);
    hx_text_json_key(out, name);
    hx_text_str(out, "{\"sha256\": \"");
    for (int i = 0; i < 32; i++)
        hx_text_printf(out, "%02x", digest[i]);
    hx_text_str(out, "\"}");
}

int made_load_with(const char *section, const char *file, const char *text, hx_bundle **out,
                   hx_error *err)
{
    const hx_bundle_options options = {0};
    made_manifest manifest = {.deeplog = section};
    hx_text files = {0}, json;
    size_t len;
    char *templates = made_templates(&len);
    int rc;

    hx_text_str(&files, "{");
    put_entry("templates.json", templates, len, &files);
    if (file) {
        put_entry(file, text, strlen(text), &files);
        made_text(file, text);
    }
    hx_text_bytes(&files, "}", 2);
    CHECK(!files.failed);
    manifest.files = files.ptr;
    json = made_manifest_text(&manifest, templates, len);
    made_file("templates.json", templates, len);
    made_file("manifest.json", json.ptr, json.len);
    rc = hx_bundle_load(made_folder(), &options, out, err);
    hx_text_free(&files);
    hx_text_free(&json);
    free(templates);
    return rc;
}
