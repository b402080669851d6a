/* Names get numbers: one each, for any number of threads, and none where there is no room. */
#include "../check.h"

#include <haechi/hash.h>
#include <haechi/intern.h>

#include <pthread.h>

#define NAMES   3000
#define THREADS 4

static uint32_t number_of(hx_intern *intern, const char *name)
{
    const size_t len = strlen(name);
    char *guarded = check_guard_copy(name, len);
    uint32_t number =
        hx_intern_number(intern, guarded, (uint32_t)len, hx_hash_bytes(name, len, HX_HASH_SEED));

    check_guard_free(guarded, len);
    return number;
}

static void test_one_thread(void)
{
    static const char longest[] = "012345678901234567890123456789012345678901234567890";
    hx_intern intern;

    CHECK_INT(hx_intern_init(&intern, 3), 0);
    CHECK_INT(number_of(&intern, "web1"), 1);
    CHECK_INT(number_of(&intern, "web2"), 2);
    CHECK_INT(number_of(&intern, "web1"), 1);
    CHECK_INT(number_of(&intern, ""), 0);
    CHECK_INT(number_of(&intern, "012345678901234567890123456789012345678901234567890x"), 0);
    CHECK_INT(number_of(&intern, longest), 3);
    CHECK_INT(number_of(&intern, "web3"), 0); /* full */
    CHECK_INT(number_of(&intern, longest), 3);
    CHECK_INT(number_of(&intern, "web2"), 2);
    hx_intern_free(&intern);
}

/* Names that share a hash are told apart. */
static void test_collisions(void)
{
    hx_intern intern;

    CHECK_INT(hx_intern_init(&intern, 100), 0);
    for (uint32_t turn = 0; turn < 2; turn++)
        for (uint32_t i = 0; i < 50; i++) {
            char name[16];
            int len = snprintf(name, sizeof name, "n%u", i);

            CHECK_INT(hx_intern_number(&intern, name, (uint32_t)len, 7), i + 1);
        }
    hx_intern_free(&intern);
}

typedef struct asker {
    pthread_t thread;
    hx_intern *intern;
    uint32_t first, got[NAMES];
} asker;

static void *ask(void *arg)
{
    asker *a = arg;

    for (uint32_t i = 0; i < NAMES; i++) {
        const uint32_t which = (a->first + i) % NAMES;
        char name[16];
        int len = snprintf(name, sizeof name, "server%u", which);

        a->got[which] = hx_intern_number(a->intern, name, (uint32_t)len,
                                         hx_hash_bytes(name, (size_t)len, HX_HASH_SEED));
    }
    return NULL;
}

static void test_threads(void)
{
    static asker askers[THREADS];
    static bool taken[NAMES + 1];
    hx_intern intern;

    CHECK_INT(hx_intern_init(&intern, NAMES), 0);
    for (uint32_t t = 0; t < THREADS; t++) {
        askers[t].intern = &intern;
        askers[t].first = t % 2 ? 0 : t * 100; /* two begin with the same ones */
        CHECK_INT(pthread_create(&askers[t].thread, NULL, ask, &askers[t]), 0);
    }
    for (uint32_t t = 0; t < THREADS; t++)
        pthread_join(askers[t].thread, NULL);
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "server%u", i);
        const uint32_t number = hx_intern_number(&intern, name, (uint32_t)len,
                                                 hx_hash_bytes(name, (size_t)len, HX_HASH_SEED));

        CHECK(number > 0 && number <= NAMES && !taken[number]);
        taken[number] = true;
        for (uint32_t t = 0; t < THREADS; t++) /* none while another thread gave it */
            CHECK(askers[t].got[i] == number || askers[t].got[i] == 0);
    }
    hx_intern_free(&intern);
}

int main(void)
{
    test_one_thread();
    test_collisions();
    test_threads();
    return 0;
}
