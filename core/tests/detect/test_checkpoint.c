/* The checkpoint's file: what was written comes back, and what was damaged does not. */
#include "detect/checkpoint.h"
#include "made.h"

#include <dirent.h>

static void set(hx_text *text, const void *bytes, size_t len)
{
    hx_text_bytes(text, bytes, len);
}

static hx_checkpoint make(uint32_t workers)
{
    static const uint64_t keys[] = {1, 2, 3};
    hx_checkpoint c = {.alert_position = 12345, .worker_count = workers};

    c.worker = calloc(workers + 1, sizeof *c.worker);
    CHECK(c.worker != NULL);
    set(&c.position, "[{\"path\": \"x\"}]", 15);
    set(&c.inputs, "a\0bb\0", 5);
    set(&c.keys, keys, sizeof keys);
    strcpy(c.digest, "0123456789abcdef");
    for (uint32_t w = 0; w < workers; w++)
        for (uint32_t i = 0; i <= w * 5; i++)
            set(&c.worker[w], "state", 1 + i % 5);
    return c;
}

static void check_same(const hx_checkpoint *a, const hx_checkpoint *b)
{
    CHECK_BYTES(a->position.ptr, a->position.len, b->position.ptr, b->position.len);
    CHECK_BYTES(a->inputs.ptr, a->inputs.len, b->inputs.ptr, b->inputs.len);
    CHECK_BYTES(a->keys.ptr, a->keys.len, b->keys.ptr, b->keys.len);
    CHECK(strcmp(a->digest, b->digest) == 0);
    CHECK(a->alert_position == b->alert_position);
    CHECK_INT(a->worker_count, b->worker_count);
    for (uint32_t w = 0; w < a->worker_count; w++)
        CHECK_BYTES(a->worker[w].ptr, a->worker[w].len, b->worker[w].ptr, b->worker[w].len);
}

static void test_round_trip(void)
{
    static const uint32_t counts[] = {0, 1, 2, 64};
    hx_error err = {{0}};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        hx_checkpoint c = make(counts[i]), back;

        CHECK_INT(hx_checkpoint_write(&c, made_path("checkpoint"), &err), 0);
        CHECK_INT(hx_checkpoint_read(made_path("checkpoint"), &back, &err), 0);
        check_same(&c, &back);
        hx_checkpoint_free(&back);
        hx_checkpoint_free(&c);
    }
    CHECK(access(made_path("checkpoint.new"), F_OK) != 0);
}

static int read_bytes(const char *bytes, size_t len)
{
    hx_checkpoint c;
    hx_error err = {{0}};
    int rc;

    made_file("damaged", bytes, len);
    rc = hx_checkpoint_read(made_path("damaged"), &c, &err);
    if (rc)
        CHECK(strstr(err.text, "damaged") != NULL);
    hx_checkpoint_free(&c);
    return rc;
}

static void test_damage_is_found(void)
{
    hx_checkpoint c = make(2);
    hx_error err = {{0}};
    hx_text good;

    CHECK_INT(hx_checkpoint_write(&c, made_path("checkpoint"), &err), 0);
    good = made_read("checkpoint");
    CHECK_INT(read_bytes(good.ptr, good.len), 0);
    for (size_t len = 0; len < good.len; len++) {
        int rc = read_bytes(good.ptr, len);

        CHECK(rc == HX_ECORRUPT || rc == HX_EVERSION);
    }
    for (size_t at = 0; at < good.len; at++) {
        good.ptr[at] ^= (char)(1 << at % 8);
        CHECK_INT(read_bytes(good.ptr, good.len), at < 8 ? HX_EVERSION : HX_ECORRUPT);
        good.ptr[at] ^= (char)(1 << at % 8);
    }
    hx_text_bytes(&good, "x", 1);
    CHECK_INT(read_bytes(good.ptr, good.len), HX_ECORRUPT);
    hx_text_free(&good);
    hx_checkpoint_free(&c);
}

/* The hash is right and the content is not: sections that claim what is not there. */
static void test_lies_are_found(void)
{
    static const struct {
        uint64_t words[8];
        uint32_t count;
    } cases[] = {
        {{1, 1, UINT64_MAX}, 3},  {{1, 1, UINT64_MAX - 7}, 3},
        {{1, 1, 8}, 3},           {{1, 1}, 2},
        {{2, 1, 0}, 3},           {{5000, 1, 0}, 3},
        {{UINT64_MAX}, 1},        {{1, 99, 0}, 3},
        {{1, 2, 4, 7}, 4},        {{1, 3, 4, 7}, 4},
        {{1, 4, 17, 7, 7, 7}, 6}, {{1, 6, 8, ~UINT64_C(0)}, 4},
        {{0, 1, 0}, 3},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_text text = {0};
        uint64_t hash;

        hx_text_str(&text, "HXCKPT05");
        hx_text_bytes(&text, cases[i].words, cases[i].count * sizeof(uint64_t));
        hash = hx_hash_bytes(text.ptr, text.len, HX_HASH_SEED);
        hx_text_bytes(&text, &hash, sizeof hash);
        CHECK_INT(read_bytes(text.ptr, text.len), HX_ECORRUPT);
        hx_text_free(&text);
    }
}

/* Where it cannot be written the old one stays, and nothing is left beside it. */
static void test_places(void)
{
    hx_checkpoint c = make(1), back;
    hx_error err = {{0}};

    CHECK_INT(hx_checkpoint_read(made_path("none"), &back, &err), HX_ENOTFOUND);
    CHECK_INT(hx_checkpoint_write(&c, made_path("no/folder"), &err), HX_EIO);
    CHECK(strstr(err.text, "no/folder") != NULL);
    CHECK_INT(hx_checkpoint_read(made_folder(), &back, &err), HX_EIO);
    c.worker[0].failed = true; /* out of memory while it was made */
    CHECK_INT(hx_checkpoint_write(&c, made_path("incomplete"), &err), HX_ENOMEM);
    CHECK(access(made_path("incomplete"), F_OK) != 0);
    hx_checkpoint_free(&c);
}

int main(void)
{
    test_round_trip();
    test_damage_is_found();
    test_lies_are_found();
    test_places();
    return 0;
}
