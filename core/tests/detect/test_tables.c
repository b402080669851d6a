/* memo, sessions, novelties, near names: the tables of a worker. */
#include "../check.h"
#include "detect/memo.h"
#include "detect/near.h"
#include "detect/novelty.h"
#include "detect/session.h"

#include <stdlib.h>

/* --- memo --------------------------------------------------------------------------------------
 */

static void test_memo_remembers_exactly(void)
{
    static const uint32_t windows[] = {1, 2, 10, HX_WINDOW_MAX};

    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        const uint32_t h = windows[i];
        uint16_t key[HX_WINDOW_MAX + 1] = {0};
        hx_surprise got;
        hx_memo memo;

        CHECK_INT(hx_memo_init(&memo, h, 1024), 0);
        CHECK(!hx_memo_get(&memo, hx_memo_hash(&memo, key, key[h]), key, key[h], &got));
        for (uint16_t v = 0; v < 100; v++) {
            key[0] = v;
            key[h] = (uint16_t)(v * 3);
            hx_memo_put(&memo, hx_memo_hash(&memo, key, key[h]), key, key[h],
                        (hx_surprise){v * 1000u, v});
        }
        for (uint16_t v = 0; v < 100; v++) {
            key[0] = v;
            key[h] = (uint16_t)(v * 3);
            CHECK(hx_memo_get(&memo, hx_memo_hash(&memo, key, key[h]), key, key[h], &got));
            CHECK_INT(got.q10, v * 1000);
            CHECK_INT(got.rank, v);
            key[h]++; /* another next event is another question */
            CHECK(!hx_memo_get(&memo, hx_memo_hash(&memo, key, key[h]), key, key[h], &got));
        }
        hx_memo_free(&memo);
    }
}

/* The whole window decides, not its hash: the same hash with another window is a miss. */
static void test_memo_compares_the_window(void)
{
    uint16_t key[11] = {1, 2, 3}, other[11] = {3, 2, 1};
    hx_surprise got;
    hx_memo memo;

    CHECK_INT(hx_memo_init(&memo, 10, 64), 0);
    hx_memo_put(&memo, 42, key, 5, (hx_surprise){7, 1});
    CHECK(hx_memo_get(&memo, 42, key, 5, &got));
    CHECK(!hx_memo_get(&memo, 42, other, 5, &got));
    hx_memo_put(&memo, 42, other, 5, (hx_surprise){9, 2});
    CHECK(hx_memo_get(&memo, 42, key, 5, &got));
    CHECK_INT(got.q10, 7);
    CHECK(hx_memo_get(&memo, 42, other, 5, &got));
    CHECK_INT(got.q10, 9);
    hx_memo_free(&memo);
}

/* Bounded: beyond its size it forgets, counts that, and never answers wrongly. */
static void test_memo_is_bounded(void)
{
    uint16_t key[4] = {0};
    uint32_t found = 0;
    hx_surprise got;
    hx_memo memo;

    CHECK_INT(hx_memo_init(&memo, 3, 256), 0);
    for (uint32_t v = 0; v < 10000; v++) {
        memcpy(key, &v, sizeof v);
        hx_memo_put(&memo, hx_memo_hash(&memo, key, 0), key, 0, (hx_surprise){v, 0});
    }
    for (uint32_t v = 0; v < 10000; v++) {
        memcpy(key, &v, sizeof v);
        if (hx_memo_get(&memo, hx_memo_hash(&memo, key, 0), key, 0, &got)) {
            CHECK_INT(got.q10, v);
            found++;
        }
    }
    CHECK(found > 128 && found <= 256);
    CHECK_INT(memo.evictions, 10000 - 256);
    hx_memo_free(&memo);
}

/* It begins small and grows as far as it may; what it knew it still knows. */
static void test_memo_grows(void)
{
    uint16_t key[4] = {0};
    uint32_t found = 0;
    hx_surprise got;
    hx_memo memo;

    CHECK_INT(hx_memo_init(&memo, 4, 100000), 0);
    for (uint32_t v = 0; v < 60000; v++) {
        memcpy(key, &v, sizeof v);
        hx_memo_put(&memo, hx_memo_hash(&memo, key, 1), key, 1, (hx_surprise){v, 0});
        if (v % 100 == 0)
            hx_memo_grow(&memo);
    }
    for (uint32_t v = 0; v < 60000; v++) {
        memcpy(key, &v, sizeof v);
        if (hx_memo_get(&memo, hx_memo_hash(&memo, key, 1), key, 1, &got)) {
            CHECK_INT(got.q10, v);
            found++;
        }
    }
    CHECK(found > 50000);
    CHECK(memo.set_mask + 1 == memo.max_sets);
    hx_memo_free(&memo);
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static hx_event event_named(const char *name)
{
    hx_event e = {.name_len = (uint8_t)strlen(name)};

    memcpy(e.name, name, e.name_len);
    e.session = hx_hash_bytes(e.name, e.name_len, HX_HASH_SEED);
    return e;
}

static void test_sessions_open_and_close(void)
{
    enum { MANY = 2000 };
    static uint32_t slot[MANY];
    hx_sessions s;
    char name[32];

    CHECK_INT(hx_sessions_init(&s, MANY), 0);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            snprintf(name, sizeof name, "host%u sshd %u", i, round);
            hx_event e = event_named(name);

            CHECK_INT(hx_sessions_find(&s, &e), HX_SESSION_NONE);
            slot[i] = hx_sessions_open(&s, &e, 10, 99);
            CHECK_INT(hx_sessions_find(&s, &e), slot[i]);
            CHECK_INT(s.slots[slot[i]].window[0], 99);
            CHECK_INT(s.slots[slot[i]].window[9], 99);
        }
        CHECK_INT(s.open, MANY);
        for (uint32_t i = 0; i < MANY; i += 2) { /* every other one: chains with holes */
            hx_sessions_unlink(&s, slot[i]);
            hx_sessions_release(&s, slot[i]);
        }
        for (uint32_t i = 0; i < MANY; i++) {
            snprintf(name, sizeof name, "host%u sshd %u", i, round);
            hx_event e = event_named(name);

            CHECK_INT(hx_sessions_find(&s, &e), i % 2 ? slot[i] : HX_SESSION_NONE);
            if (i % 2) {
                hx_sessions_unlink(&s, slot[i]);
                hx_sessions_release(&s, slot[i]);
            }
        }
        CHECK_INT(s.open, 0);
        CHECK_INT(s.closing, 0);
    }
    CHECK(s.touched <= MANY); /* freed slots are used again */
    hx_sessions_free(&s);
}

/* The same hash is not the same session. */
static void test_sessions_compare_names(void)
{
    hx_event a = event_named("alpha"), b = event_named("beta");
    hx_sessions s;

    b.session = a.session;
    CHECK_INT(hx_sessions_init(&s, 8), 0);
    uint32_t of_a = hx_sessions_open(&s, &a, 3, 0);
    CHECK_INT(hx_sessions_find(&s, &b), HX_SESSION_NONE);
    uint32_t of_b = hx_sessions_open(&s, &b, 3, 0);
    CHECK_INT(hx_sessions_find(&s, &a), of_a);
    CHECK_INT(hx_sessions_find(&s, &b), of_b);
    hx_sessions_unlink(&s, of_a);
    CHECK_INT(hx_sessions_find(&s, &a), HX_SESSION_NONE);
    CHECK_INT(hx_sessions_find(&s, &b), of_b);
    hx_sessions_free(&s);
}

/* Names of any length, and such as differ only in their last byte. */
static void test_session_names(void)
{
    hx_sessions s;
    char name[HX_SESSION_NAME_MAX], room[HX_SESSION_NAME_MAX];

    CHECK_INT(hx_sessions_init(&s, 200), 0);
    for (uint32_t len = 0; len < HX_SESSION_NAME_MAX; len++)
        for (char last = 'a'; last <= (len ? 'c' : 'a'); last++) {
            memset(name, 'n', len);
            name[len] = 0;
            if (len)
                name[len - 1] = last;
            hx_event e = event_named(name);

            e.session = 7; /* the same place for all of them */
            CHECK_INT(hx_sessions_find(&s, &e), HX_SESSION_NONE);
            uint32_t slot = hx_sessions_open(&s, &e, 10, 0);
            hx_slice whole = hx_session_name(&s.slots[slot], room);

            CHECK_INT(hx_sessions_find(&s, &e), slot);
            CHECK_BYTES(whole.ptr, whole.len, name, len);
        }
    hx_sessions_free(&s);
}

static void test_session_windows(void)
{
    hx_sessions s;

    CHECK_INT(hx_sessions_init(&s, 64), 0);
    for (uint32_t h = 1; h <= HX_WINDOW_MAX; h++) {
        hx_event e = event_named("name");
        uint32_t slot = hx_sessions_open(&s, &e, h, 500);

        for (uint32_t n = 1; n <= 40; n++) {
            hx_session_push(&s.slots[slot], h, (uint16_t)n);
            for (uint32_t i = 0; i < h; i++)
                CHECK_INT(s.slots[slot].window[i], n + i < h ? 500 : n + i + 1 - h);
        }
        hx_sessions_unlink(&s, slot);
        hx_sessions_release(&s, slot);
    }
    CHECK_INT(s.touched, 1);
    hx_sessions_free(&s);
}

static void test_victim_is_old(void)
{
    hx_sessions s;
    char name[32];

    CHECK_INT(hx_sessions_init(&s, 16), 0);
    for (uint32_t i = 0; i < 16; i++) {
        snprintf(name, sizeof name, "s%u", i);
        hx_event e = event_named(name);
        s.slots[hx_sessions_open(&s, &e, 3, 0)].watermark_us = 1000 + (i * 7) % 16;
    }
    CHECK_INT(s.slots[hx_sessions_victim(&s, 2000)].watermark_us, 1000);
    hx_sessions_free(&s);
}

/* A full table, half of whose sessions go on speaking while new ones, which speak once, push each
 * other out: those that speak stay, the ones that go are old, and few are looked at for each. */
static void test_victims_spare_the_living(void)
{
    enum { OPEN = 4000, LIVING = 2000, ROUNDS = 40000 };
    static uint32_t living[LIVING];
    uint64_t looked = 0, lost = 0, young = 0;
    int64_t now_us = 1;
    hx_sessions s;
    char name[32];

    CHECK_INT(hx_sessions_init(&s, OPEN), 0);
    for (uint32_t i = 0; i < OPEN + ROUNDS; i++, now_us += 10) {
        uint32_t slot, hand = s.hand, steps;

        snprintf(name, sizeof name, "s%u", i);
        hx_event e = event_named(name);
        if (s.open == OPEN) {
            slot = hx_sessions_victim(&s, now_us);
            steps = (s.hand + s.touched - hand) % s.touched;
            CHECK(steps <= (1 + HX_VICTIMS_AHEAD) * HX_VICTIM_AMONG);
            if (i > OPEN + ROUNDS / 10) {
                looked += steps;
                for (uint32_t n = 0; n < LIVING; n++)
                    lost += living[n] == slot;
                young += now_us - s.slots[slot].watermark_us < 10 * LIVING / 2;
            }
            hx_sessions_unlink(&s, slot);
            hx_sessions_release(&s, slot);
        }
        slot = hx_sessions_open(&s, &e, 3, 0);
        s.slots[slot].watermark_us = now_us;
        if (i % 2 == 0 && i < OPEN)
            living[i / 2] = slot;
        if (i >= OPEN) { /* each living one speaks every 100 events */
            for (uint32_t n = i % 100; n < LIVING; n += 100)
                s.slots[living[n]].watermark_us = now_us;
        }
    }
    CHECK_INT(lost, 0);
    CHECK(young < ROUNDS / 100);
    CHECK(looked < ROUNDS * 9 / 10 * 10);
    CHECK_INT(s.open, OPEN);
    hx_sessions_free(&s);
}

/* Sessions without a time, and times that stand still: always one, and never more looks. */
static void test_victims_without_time(void)
{
    static const int64_t watermarks[] = {HX_TIME_NONE, 5000};
    hx_sessions s;
    char name[32];

    for (size_t w = 0; w < sizeof watermarks / sizeof watermarks[0]; w++) {
        CHECK_INT(hx_sessions_init(&s, 200), 0);
        for (uint32_t i = 0; i < 200; i++) {
            snprintf(name, sizeof name, "s%u", i);
            hx_event e = event_named(name);
            s.slots[hx_sessions_open(&s, &e, 3, 0)].watermark_us = watermarks[w];
        }
        for (uint32_t i = 0; i < 150; i++) {
            uint32_t slot = hx_sessions_victim(&s, watermarks[w]);

            CHECK(s.slots[slot].flags & HX_SESSION_OPEN);
            hx_sessions_unlink(&s, slot);
            hx_sessions_release(&s, slot);
        }
        hx_sessions_free(&s);
    }
}

/* --- novelties ---------------------------------------------------------------------------------
 */

static void test_novelty_once_then_limited(void)
{
    static const struct {
        uint64_t id;
        int64_t now_us;
        int report;
        uint64_t since;
    } steps[] = {
        {7, 1000, 1, 0}, {7, 1001, 0, 0}, {7, 1500, 0, 0},      {8, 1500, 1, 0}, {7, 2000, 1, 2},
        {7, 2999, 0, 0}, {7, 3000, 1, 1}, {8, INT64_MIN, 0, 0}, {0, 10, 1, 0},   {0, 11, 0, 0},
    };
    hx_novelty n;

    CHECK_INT(hx_novelty_init(&n, 100), 0);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        uint64_t since = 0;

        CHECK_INT(hx_novelty_note(&n, steps[i].id, steps[i].now_us, 1000, &since), steps[i].report);
        if (steps[i].report)
            CHECK_INT(since, steps[i].since);
    }
    hx_novelty_free(&n);
}

/* Beyond the bound ids share one memory: fewer reports, but never none. */
static void test_novelty_is_bounded(void)
{
    uint32_t reports = 0;
    uint64_t since, total = 0;
    hx_novelty n;

    CHECK_INT(hx_novelty_init(&n, 50), 0);
    for (uint64_t id = 1; id <= 1000; id++)
        if (hx_novelty_note(&n, id * 0x9e3779b97f4a7c15, (int64_t)id, 100, &since)) {
            reports++;
            total += since;
        }
    CHECK(reports >= 51 && reports < 70);
    CHECK(total > 0);
    hx_novelty_free(&n);
}

/* Names of all lengths, more than are kept, some at the end of what may be read: each has the hash
 * and the number that it has without. */
static void test_near_names(void)
{
    enum { NAMES = 3000, ROUNDS = 3 };
    static hx_near_name pairs[1 << 6][2];
    hx_near near = {pairs, 6}, none = {NULL, 0};
    hx_intern numbers;

    memset(pairs, 0, sizeof pairs);
    CHECK_INT(hx_intern_init(&numbers, NAMES / 2), 0); /* the later ones get none */
    for (uint32_t n = 0; n < NAMES * ROUNDS; n++) {
        char buffer[80];
        const uint32_t name = n % NAMES, before = name % 7, len = 1 + name % 40;
        const char *at = buffer + before;
        const char *const end = at + len + (name % 3 ? 24 : 0);
        uint32_t number, without;
        hx_near_place place;
        uint64_t hash;

        memset(buffer, (int)('a' + n % 26), sizeof buffer); /* what follows a name is not its own */
        memset(buffer + before, 'a', len);
        snprintf(buffer + before, len, "%u", name);
        buffer[before + strlen(at)] = 'x';
        place = hx_near_look(&near, at, len, end);
        hash = hx_near_find(&near, &place, &numbers, at, len, &number);
        CHECK(hash == hx_hash_bytes(at, len, HX_HASH_SEED));
        CHECK_INT(number, hx_intern_number(&numbers, at, len, hash));
        place = hx_near_look(&none, at, len, end);
        CHECK(hx_near_find(&none, &place, &numbers, at, len, &without) == hash);
        CHECK_INT(without, number);
    }
    hx_intern_free(&numbers);
    CHECK_INT(hx_near_look(&near, "", 0, NULL).at, UINT32_MAX);
}

int main(void)
{
    test_near_names();
    test_memo_remembers_exactly();
    test_memo_compares_the_window();
    test_memo_is_bounded();
    test_memo_grows();
    test_sessions_open_and_close();
    test_sessions_compare_names();
    test_session_names();
    test_session_windows();
    test_victim_is_old();
    test_victims_spare_the_living();
    test_victims_without_time();
    test_novelty_once_then_limited();
    test_novelty_is_bounded();
    return 0;
}
