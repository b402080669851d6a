/* Where a user's name stands in a line, for each form that logs give it. */
#include "../check.h"

#include <haechi/users.h>

static const struct {
    const char *word, *text, *want;
} cases[] = {
    {"user", "session opened for user root(uid=0) by (uid=0)", "root"},
    {"user", "session closed for user root", "root"},
    {"user", "authentication failure; ruser= rhost=10.0.0.1 user=ci-agent", "ci-agent"},
    {"user", "user=\"a.schmidt\" from=x", "a.schmidt"},
    {"user", "user: alice, host: b", "alice"},
    {"user", "user  'bob'", "bob"},
    {"user", "[auth user=\"eve\"] text", "eve"},
    {"user", "user DOMAIN\\carol logged on", "DOMAIN\\carol"},
    {"user", "user j\xc3\xb6rg.", "j\xc3\xb6rg"},
    {"user", "user ann@example.org.", "ann@example.org"},
    {"user", "client user \"dave\"", "dave"},
    {"user", "user=", ""},
    {"user", "user= rhost=x", ""},
    {"user", "user", ""},
    {"user", "user:", ""},
    {"user", "user:name", ""},
    {"user", "user ...", ""},
    {"user", "superuser root", ""},
    {"user", "users root", ""},
    {"user", "users and user zoe", "zoe"},
    {"user", "use", ""},
    {"user", "", ""},
    {"user", "a line of more than sixteen bytes, then of thirty-two and more, then user max",
     "max"},
    {"for", "Accepted password for alice from 10.0.0.1 port 22", "alice"},
    {"for", "waiting for lock from 3", "lock"},
    {"for", "waiting for reply", ""},
    {"for", "waiting for reply for bob from x", "bob"},
    {"for", "for bob from", ""},
    {"uid", "audit: pid=1 uid=1000 auid=0", "1000"},
    {"USER", "alice : TTY=pts/0 ; USER=root ; COMMAND=x", "root"},
    {"u", "u a", "a"},
    {"", "user root", ""},
};

/* Each byte is a name's or is not, the same near the text's end and far from it. */
static void test_bytes(void)
{
    char near[8] = "user ab", far[64] = "user ab, and that is not all there is to be said of it";

    for (int c = 1; c < 256; c++) {
        const bool named = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                           (c >= 'a' && c <= 'z') || c >= 0x80 || strchr("_$@+\\", c);
        hx_slice found;

        near[6] = far[6] = (char)c; /* '.' and '-' are cut off a name's end */
        found = hx_user_find(hx_slice_str("user"), hx_slice_make(near, 7));
        CHECK_INT(found.len, named ? 2 : 1);
        found = hx_user_find(hx_slice_str("user"), hx_slice_str(far));
        CHECK_INT(found.len, named ? 2 : 1);
    }
}

/* A name of so many bytes is found, one more is none. */
static void test_length(void)
{
    char text[256] = "user ";

    for (size_t len = 1; len <= HX_USER_NAME_MAX + 1; len++) {
        hx_slice found;

        memset(text + 5, 'x', len);
        found = hx_user_find(hx_slice_str("user"), hx_slice_make(text, 5 + len));
        CHECK_INT(found.len, len <= HX_USER_NAME_MAX ? len : 0);
    }
}

/* The text ends where nothing may be read any more, wherever the word stands in it. */
static void test_bounds(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *end = pages + page;

    CHECK(pages != MAP_FAILED);
    CHECK_INT(mprotect(end, page, PROT_NONE), 0);
    for (size_t len = 0; len < 100; len++)
        for (size_t at = 0; at <= len; at++) {
            hx_slice found;

            memset(end - len, '.', len);
            memcpy(end - len + at, " user bob", len - at < 9 ? len - at : 9);
            found = hx_user_find(hx_slice_str("user"), hx_slice_make(end - len, len));
            CHECK_INT(found.len, len - at >= 9 ? 3 : len - at > 6 ? len - at - 6 : 0);
        }
    munmap(pages, 2 * page);
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_slice found = hx_user_find(hx_slice_str(cases[i].word), hx_slice_str(cases[i].text));

        if (found.len != strlen(cases[i].want))
            fprintf(stderr, "%s\n", cases[i].text);
        CHECK_BYTES(found.ptr, found.len, cases[i].want, strlen(cases[i].want));
    }
    test_bytes();
    test_length();
    test_bounds();
    return 0;
}
