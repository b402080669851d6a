#include "detect/bundle.h"

#include "detect/manifest.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (INT64_C(1) << 30)

typedef struct file_bytes {
    char *ptr;
    size_t len;
} file_bytes;

/* The whole file, with a NUL behind it. */
static int read_file(const char *directory, const char *name, file_bytes *out, hx_error *err)
{
    char path[4096];
    struct stat st;
    size_t got = 0;
    int fd, rc = 0;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not be waited for */
    if (fd < 0)
        return hx_error_set(err, errno == ENOENT ? HX_ENOTFOUND : HX_EIO, "bundle: %s: %s", path,
                            strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX) {
        close(fd);
        return hx_error_set(err, HX_EIO, "bundle: %s is not a file of at most 1 GiB", path);
    }
    out->ptr = malloc((size_t)st.st_size + 1);
    while (out->ptr && got < (size_t)st.st_size) {
        ssize_t n = read(fd, out->ptr + got, (size_t)st.st_size - got);

        if (n <= 0) {
            rc = hx_error_set(err, HX_EIO, "bundle: %s: %s", path,
                              n < 0 ? strerror(errno) : "became shorter while it was read");
            break;
        }
        got += (size_t)n;
    }
    close(fd);
    if (!out->ptr)
        return hx_error_set(err, HX_ENOMEM, "bundle: %s: out of memory", path);
    out->len = got;
    out->ptr[got] = 0;
    return rc;
}

static void sha256_hex(const file_bytes *file, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    EVP_Digest(file->ptr, file->len, digest, &n, EVP_sha256(), NULL);
    for (unsigned int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static int read_verified(const char *directory, const hx_manifest *manifest, const char *name,
                         file_bytes *out, hx_error *err)
{
    const char *want = hx_manifest_sha256(manifest, name);
    char have[65];
    int rc;

    if (!want)
        return hx_error_set(err, HX_EMALFORMED, "bundle: %s/manifest.json: files: no \"%s\"",
                            directory, name);
    rc = read_file(directory, name, out, err);
    if (rc)
        return rc;
    sha256_hex(out, have);
    if (strcmp(want, have) != 0)
        return hx_error_set(
            err, HX_ECORRUPT,
            "bundle: %s/%s: its sha256 is %.16s..., the manifest says %.16s...: the "
            "file was changed or damaged; take the bundle from where it was made",
            directory, name, have, want);
    return 0;
}

/* --- the parts ---------------------------------------------------------------------------------
 */

static int load_templates(hx_bundle *b, const char *directory, const hx_manifest *manifest,
                          hx_error *err)
{
    file_bytes file = {0};
    int rc = read_verified(directory, manifest, "templates.json", &file, err);

    if (!rc)
        rc = hx_matcher_create(file.ptr, file.len, &b->matcher, err);
    free(file.ptr);
    if (rc)
        return rc;
    if (hx_matcher_count(b->matcher) != b->log_keys)
        return hx_error_set(err, HX_EMALFORMED,
                            "bundle: %s: templates.json has %u templates, log_keys says %u",
                            directory, hx_matcher_count(b->matcher), b->log_keys);
    b->key_hash = calloc(b->log_keys + 1, sizeof *b->key_hash);
    if (!b->key_hash)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    for (uint32_t k = 0; k < b->log_keys; k++) {
        const char *text = hx_matcher_text(b->matcher, k);

        b->key_hash[k] = hx_hash_bytes(text, strlen(text), HX_HASH_SEED);
    }
    return 0;
}

static int load_model(hx_bundle *b, const char *directory, const hx_manifest *manifest,
                      const hx_bundle_options *options, hx_error *err)
{
    file_bytes file = {0};
    int rc;

    if (!b->deeplog.enabled)
        return 0;
    rc = read_verified(directory, manifest, hx_manifest_model_file(manifest), &file, err);
    if (!rc)
        rc = hx_model_create(options->library, file.ptr, file.len, b->window, b->deeplog.classes,
                             &b->deeplog.model, err);
    free(file.ptr);
    return rc;
}

int hx_bundle_read(const hx_bundle_files *files, const char *name, char **bytes, size_t *len,
                   hx_error *err)
{
    file_bytes file = {0};
    int rc = read_verified(files->directory, files->manifest, name, &file, err);

    if (rc) {
        free(file.ptr);
        return rc;
    }
    *bytes = file.ptr;
    *len = file.len;
    return 0;
}

static int load_detectors(hx_bundle *b, const char *directory, const hx_manifest *manifest,
                          const hx_bundle_options *options, hx_error *err)
{
    const hx_bundle_files files = {directory, manifest, options->library};

    return hx_detector_set_load(&b->detectors, &files, b, err);
}

static int load_format(hx_bundle *b, const hx_manifest *manifest, const hx_bundle_options *options,
                       hx_error *err)
{
    const char *spec = options->format ? options->format : hx_manifest_format(manifest);

    if (strcmp(spec, HX_FRONT_KEYS) == 0)
        return 0;
    return hx_format_create(spec, &b->format, err);
}

/* Whether lines can be read with it: found out here, not by a worker that is to take it up. */
static int try_front(const hx_bundle *b, hx_error *err)
{
    hx_front *front = NULL;
    hx_error reason = {{0}};
    int rc = hx_front_create(b->format, b->matcher, &b->rule, &front, &reason);

    hx_front_destroy(front);
    return rc ? hx_error_set(err, rc == HX_EINVAL ? HX_EMALFORMED : rc, "manifest.json: %s",
                             reason.text)
              : 0;
}

int hx_bundle_load(const char *directory, const hx_bundle_options *options, hx_bundle **out,
                   hx_error *err)
{
    hx_bundle *b = calloc(1, sizeof *b);
    file_bytes file = {0};
    hx_manifest *manifest = NULL;
    char digest[65];
    int rc;

    if (!b)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    rc = read_file(directory, "manifest.json", &file, err);
    if (rc)
        goto fail;
    sha256_hex(&file, digest);
    snprintf(b->digest, sizeof b->digest, "%.16s", digest);
    rc = hx_manifest_parse(file.ptr, file.len, &manifest, err);
    if (!rc)
        rc = hx_manifest_fill(manifest, b, err);
    if (!rc)
        rc = load_templates(b, directory, manifest, err);
    if (!rc)
        rc = load_format(b, manifest, options, err);
    if (!rc)
        rc = try_front(b, err);
    if (!rc)
        rc = load_model(b, directory, manifest, options, err);
    if (!rc)
        rc = load_detectors(b, directory, manifest, options, err);
    if (!rc && options->workers && hx_tally_create(b->log_keys, options->workers, &b->tally))
        rc = hx_error_set(err, HX_ENOMEM, "bundle: no memory to count %u log keys", b->log_keys);
    if (rc)
        goto fail;
    hx_manifest_destroy(manifest);
    free(file.ptr);
    *out = b;
    return 0;
fail:
    hx_manifest_destroy(manifest);
    free(file.ptr);
    hx_bundle_destroy(b);
    return rc;
}

void hx_bundle_destroy(hx_bundle *bundle)
{
    if (!bundle)
        return;
    hx_tally_destroy(bundle->tally);
    hx_detector_set_unload(&bundle->detectors);
    hx_model_destroy(bundle->deeplog.model);
    hx_matcher_destroy(bundle->matcher);
    hx_format_destroy(bundle->format);
    free(bundle->token_of_key);
    free(bundle->key_hash);
    free(bundle);
}
