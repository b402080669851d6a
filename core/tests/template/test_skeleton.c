/* What is left of a token, and where its numbers and addresses were; the same for other digits. */
#include "../check.h"
#include "template/skeleton.h"

static const struct {
    const char *token, *skeleton, *parts; /* parts: what they are of, with a blank between */
} cases[] = {
    {"", "", ""},
    {"payments", "payments", ""},
    {"51376", "0", "51376"},
    {"51376 ssh2", "0 ssh0", "51376 2"},
    {"10.2.0.7", "4", "10.2.0.7"},
    {"10.2.0.7:8080", "4:0", "10.2.0.7 8080"},
    {"v10.2.0.7", "v0.0.0.0", "10 2 0 7"},
    {"10.2.0.7.9", "0.0.0.0.0", "10 2 0 7 9"},
    {"1024.2.0.7", "0.0.0.0", "1024 2 0 7"},
    {"1.5 KB", "0.5 KB", "1 5"},
    {"95C", "0C", "95"},
    {"eth0", "eth0", "0"},
    {"12:05:59", "5:5:5", "12 05 59"},
    {"12:05:59.123", "5:5:5.5", "12 05 59 123"},
    {"2025-08-30", "5-5-5", "2025 08 30"},
    {"[30/Aug/2025:10:12:30 +0000]", "[5/9/5:5:5:5 +5]", "30 2025 10 12 30 0000"},
    {"Jun  1", "9  5", "1"},
    {"10.0.0.9 - - [30/Aug/2025", "4 - - [5/9/5", "10.0.0.9 30 2025"},
    {"0x1f", "5x5f", "0 1"},
    {"3f2a9c", "5f5a5c", "3 2 9"},
    {"August 5", "August 0", "5"},
};

static void test_table(void)
{
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *token = cases[i].token;
        char parts[256] = "";
        uint32_t len = 0;
        hx_skeleton s;

        CHECK(hx_skeleton_make(token, (uint32_t)strlen(token), &s));
        CHECK_BYTES(s.text, s.length, cases[i].skeleton, strlen(cases[i].skeleton));
        for (uint32_t p = 0; p < s.part_count; p++)
            len += (uint32_t)snprintf(parts + len, sizeof parts - len, "%s%.*s", p ? " " : "",
                                      s.parts[p].length, token + s.parts[p].at);
        CHECK_BYTES(parts, len, cases[i].parts, strlen(cases[i].parts));
    }
}

static void test_bounds(void)
{
    char token[512];
    hx_skeleton s;

    memset(token, 'a', sizeof token);
    CHECK(hx_skeleton_make(token, HX_SKELETON_BYTES, &s));
    CHECK(!hx_skeleton_make(token, HX_SKELETON_BYTES + 1, &s));
    memset(token, '7', sizeof token);
    CHECK(hx_skeleton_make(token, HX_SKELETON_TOKEN, &s));
    CHECK(!hx_skeleton_make(token, HX_SKELETON_TOKEN + 1, &s));
    for (uint32_t i = 0; i < sizeof token; i += 2)
        token[i] = ' ';
    CHECK(hx_skeleton_make(token, 2 * HX_SKELETON_PARTS, &s));
    CHECK_INT(s.part_count, HX_SKELETON_PARTS);
    CHECK(!hx_skeleton_make(token, 2 * HX_SKELETON_PARTS + 2, &s));
    CHECK(!hx_skeleton_make(token, 200, &s));
}

/* Which digits they are changes nothing: what is kept with a form rests on it. */
static void test_other_digits(void)
{
    static const char letters[] = "0000123456789:./- abfAugJunx+_\x80";
    uint64_t state = 3;

    for (uint32_t round = 0; round < 20000; round++) {
        char token[64], other[64];
        uint32_t len = round % 60;
        hx_skeleton s, t;

        for (uint32_t i = 0; i < len; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            token[i] = other[i] = letters[(state >> 33) % (sizeof letters - 1)];
            if (token[i] >= '0' && token[i] <= '9')
                other[i] = (char)('0' + (state >> 20) % 10);
        }
        CHECK_INT(hx_skeleton_make(token, len, &s), hx_skeleton_make(other, len, &t));
        CHECK_BYTES(s.text, s.length, t.text, t.length);
        CHECK_INT(s.part_count, t.part_count);
        CHECK_BYTES((const char *)s.parts, s.part_count * sizeof s.parts[0], (const char *)t.parts,
                    t.part_count * sizeof t.parts[0]);
    }
}

/* All at once as run by run: made of pieces, so that dates, times and addresses come about. */
static void test_as_the_reference(void)
{
    static const char *const pieces[] = {
        "0",   "7",    "12", "255",  "2025", "1234567", ".",        ":",   "-",   "/",
        ",",   " ",    "  ", "a",    "f",    "x",       "KB",       "ssh", "Jun", "Mon",
        "jun", "Junx", "_",  "\x80", "@",    "[",       "10.0.0.1", "",
    };
    uint64_t state = 5;
    uint32_t named = 0, parts = 0;

    for (uint32_t round = 0; round < 200000; round++) {
        char token[128];
        uint32_t len = 0, most = round % 80;
        hx_skeleton s, t;
        char *guarded;
        bool made;

        while (len < most) {
            const char *piece;

            state = state * 6364136223846793005u + 1442695040888963407u;
            piece = pieces[(state >> 33) % (sizeof pieces / sizeof pieces[0])];
            memcpy(token + len, piece, strlen(piece));
            len += (uint32_t)strlen(piece);
        }
        guarded = check_guard_copy(token, len);
        made = hx_skeleton_make(guarded, len, &s);
        CHECK_INT(made, hx_skeleton_make_plain(guarded, len, &t));
        check_guard_free(guarded, len);
        if (!made)
            continue;
        CHECK_BYTES(s.text, s.length, t.text, t.length);
        CHECK_INT(s.part_count, t.part_count);
        for (uint32_t i = 0; i < s.part_count; i++)
            CHECK(s.parts[i].kind == t.parts[i].kind && s.parts[i].at == t.parts[i].at &&
                  s.parts[i].length == t.parts[i].length);
        named += memchr(s.text, '9', s.length) != NULL;
        parts += s.part_count;
    }
    CHECK(named > 1000 && parts > 100000);
}

int main(void)
{
    test_table();
    test_as_the_reference();
    test_bounds();
    test_other_digits();
    return 0;
}
