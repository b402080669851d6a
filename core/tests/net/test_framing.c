#include "../../src/net/framing.h"
#include "../check.h"

enum { LONGEST = HX_NET_MESSAGE_MAX };

/* What came out of a stream: each message with a bar behind it, "/" where it was cut, "!" for bad
 * framing. */
typedef struct result {
    char *text;
    size_t len;
} result;

static void put(result *r, const char *bytes, size_t len)
{
    memcpy(r->text + r->len, bytes, len);
    r->len += len;
}

/* Reads the stream in pieces that end at the given places, as a connection's reader does. */
static void read_stream(hx_framing kind, const char *bytes, size_t len, const size_t *cuts,
                        size_t cut_count, result *r)
{
    framing f = {.kind = kind};
    size_t from = 0, to = 0;

    r->len = 0;
    for (size_t c = 0; c <= cut_count; c++) {
        bool ended = c == cut_count;
        frame_result got;
        frame one;

        to = ended ? len : cuts[c];
        do {
            /* The bytes end at a page that may not be read. */
            char *guarded = check_guard_copy(bytes + from, to - from);

            got = framing_next(&f, guarded, (uint32_t)(to - from), ended, &one);
            CHECK(one.used <= to - from);
            if (got == FRAME_MESSAGE) {
                CHECK(one.used > 0 && one.message.len <= LONGEST);
                put(r, one.message.ptr, one.message.len);
                put(r, one.cut ? "/" : "|", 1);
            }
            check_guard_free(guarded, to - from);
            from += one.used;
        } while (got == FRAME_MESSAGE);
        if (got == FRAME_BAD) {
            put(r, "!", 1);
            return;
        }
        CHECK(to - from < FRAMING_ROOM);
    }
}

static const struct {
    hx_framing kind;
    const char *bytes;
    size_t len;
    const char *want;
} cases[] = {
#define CASE(kind, bytes, want) {HX_FRAMING_##kind, bytes, sizeof(bytes) - 1, want}
    CASE(AUTO, "", ""),
    CASE(AUTO, "<1>a\n<2>b\n", "<1>a|<2>b|"),
    CASE(AUTO, "<1>a\r\n<2>b\r\n", "<1>a|<2>b|"),
    CASE(AUTO, "<1>a\0<2>b\0", "<1>a|<2>b|"),
    CASE(AUTO, "<1>a\0<2>b\n<3>c\r\n<4>d", "<1>a|<2>b|<3>c|<4>d|"),
    CASE(AUTO, "<1>a\rb\n\r\n\n", "<1>a\rb|||"),
    CASE(AUTO, "<1>unfinished", "<1>unfinished|"),
    CASE(AUTO, "<1>with cr\r", "<1>with cr\r|"),
    CASE(AUTO, "4 <1>a5 <2>bb", "<1>a|<2>bb|"),
    CASE(AUTO, "11 line\nbreaks2 ok", "line\nbreaks|ok|"),
    CASE(AUTO, "4 <1>a\n4 <2>b\r\n4 <3>c", "<1>a|<2>b|<3>c|"),
    CASE(AUTO, "9 <1>cut", "<1>cut/"),
    CASE(AUTO, "9 ", "/"),
    CASE(AUTO, "9", "!"),
    CASE(AUTO, "4 <1>a4", "<1>a|!"),
    CASE(AUTO, "4 <1>a<2>b\n", "<1>a|!"),
    CASE(AUTO, "4 <1>a04 <2>b", "<1>a|!"),
    CASE(AUTO, "4<1>a", "!"),
    CASE(AUTO, "1234567890 x", "!"),
    CASE(AUTO, "01 x\n", "01 x|"), /* no count begins with 0: text */
    CASE(AUTO, "\n4 <1>a\n", "|4 <1>a|"),
    CASE(OCTETS, "<1>a\n", "!"),
    CASE(OCTETS, "0 4 <1>a", "!"),
    CASE(OCTETS, "-1 x", "!"),
    CASE(OCTETS, " 4 <1>a", "!"),
    CASE(OCTETS, "\n\r4 <1>a", "<1>a|"),
    CASE(NEWLINE, "4 <1>a\n5 <2>b\n", "4 <1>a|5 <2>b|"),
#undef CASE
};

/* However a stream is cut into up to three reads, and into single bytes. */
static void test_all_splits(void)
{
    char text[256];
    result r = {text, 0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = cases[i].len, cuts[64], want = strlen(cases[i].want);
        for (size_t a = 0; a <= len; a++)
            for (size_t b = a; b <= len; b++) {
                cuts[0] = a;
                cuts[1] = b;
                read_stream(cases[i].kind, cases[i].bytes, len, cuts, 2, &r);
                CHECK_BYTES(r.text, r.len, cases[i].want, want);
            }
        for (size_t a = 0; a < len; a++)
            cuts[a] = a;
        read_stream(cases[i].kind, cases[i].bytes, len, cuts, len, &r);
        CHECK_BYTES(r.text, r.len, cases[i].want, want);
    }
}

/* Messages about as long as the longest, cut where it matters: a byte more is cut off, and what
 * comes after is whole. */
static void test_long(hx_framing kind, size_t length, const char *end)
{
    size_t room = length + 64, len, from;
    char *bytes = malloc(room), *text = malloc(room), *want = malloc(room);
    bool cut = length > LONGEST;
    size_t kept = cut ? LONGEST : length;
    result r = {text, 0}, w = {want, 0};
    int head = 0;

    if (kind == HX_FRAMING_OCTETS)
        head = snprintf(bytes, room, "%zu ", length);
    memset(bytes + head, 'x', length);
    len = (size_t)head + length;
    len += (size_t)snprintf(bytes + len, room - len, "%s%s", end,
                            kind == HX_FRAMING_OCTETS ? "4 next" : "next\n");
    put(&w, bytes + head, kept);
    put(&w, cut ? "/" : "|", 1);
    put(&w, "next|", 5);
    for (from = 0; from < 24; from++) {
        size_t cuts[3] = {from, (size_t)head + LONGEST - 12 + from,
                          (size_t)head + LONGEST - 11 + from};

        for (int c = 0; c < 3; c++)
            cuts[c] = cuts[c] > len ? len : cuts[c];
        read_stream(kind, bytes, len, cuts, 3, &r);
        CHECK_BYTES(r.text, r.len, want, w.len);
        read_stream(kind, bytes, len, cuts, 0, &r);
        CHECK_BYTES(r.text, r.len, want, w.len);
    }
    free(bytes);
    free(text);
    free(want);
}

int main(void)
{
    test_all_splits();
    for (size_t more = 0; more < 6; more++) {
        test_long(HX_FRAMING_NEWLINE, LONGEST - 2 + more, "\n");
        test_long(HX_FRAMING_NEWLINE, LONGEST - 2 + more, "\r\n");
        test_long(HX_FRAMING_OCTETS, LONGEST - 2 + more, "");
    }
    test_long(HX_FRAMING_NEWLINE, 3 * LONGEST, "\n");
    test_long(HX_FRAMING_OCTETS, 3 * LONGEST, "");
    return 0;
}
