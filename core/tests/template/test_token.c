/* How messages are cut; and that both tokenizers cut alike, whatever the bytes, and read nothing
 * around the message. */
#include "../check.h"
#include "template/token.h"

static hx_tokenizer best, plain;

/* The tokens joined by a blank, values in angle brackets; "..." where the message was cut. */
static const char *cut(hx_tokenizer *t, const char *message, size_t len)
{
    static char text[16384];
    char *at = text;

    hx_tokenizer_run(t, hx_slice_make(message, len));
    for (uint32_t i = 0; i < t->count && at < text + 12000; i++)
        at += sprintf(at, t->tokens[i].is_value ? "<%.*s> " : "%.*s ", t->tokens[i].length,
                      t->text + t->tokens[i].start);
    strcpy(at, t->cut ? "..." : "");
    if (at > text && !t->cut)
        at[-1] = '\0';
    return text;
}

static const struct {
    const char *message, *want;
} cases[] = {
    {"", ""},
    {"   ", ""},
    {"!*()[]{}<>=,;'\"", ""},
    {"a", "a"},
    {"Failed password for root", "Failed password for root"},
    {"cpu=7", "cpu <7>"},
    {"e1000 link up", "<e1000> link up"},
    {"from 10.2.3.4 port 22", "from <10.2.3.4> port <22>"},
    {"from 10.2.3.4:22 to", "from <10.2.3.4:22> to"},
    {"open /etc/hosts now", "open </etc/hosts> now"},
    {"open C:\\Windows\\x now", "open C <\\Windows\\x> now"},
    {"read/write and/or", "read/write and/or"},
    {"mail to bob@example.org sent", "mail to <bob@example.org> sent"},
    {"get www.example.org:443 now", "get <www.example.org:443> now"},
    {"get www.example.org: now", "get www.example.org now"},
    {"state:7 x", "state <7> x"},
    {"at 12:34:56 sharp", "at <12:34:56> sharp"},
    {"mac aa:bb:cc:dd:ee:ff up", "mac <aa:bb:cc:dd:ee:ff> up"},
    {"ip fe80::dead:beef up", "ip <fe80::dead:beef> up"},
    {"x::y g::h", "x y g h"},
    {"Worker::add now", "Worker add now"},
    {"list 1, 2, 3 end", "list <1, 2, 3> end"},
    {"regs 0x1f 0x2e 0x3d", "regs <0x1f 0x2e 0x3d>"},
    {"took 15 ms for 3 rounds", "took <15 ms> for <3> rounds"},
    {"size 1.5 KB of 2 MB", "size <1.5 KB> of <2 MB>"},
    {"lasted <1 sec", "lasted <1 sec>"},
    {"ms of s", "ms of s"},
    {"on Sun Jun  1 10:00:00 2025 it", "on <Sun Jun  1 10:00:00 2025> it"},
    {"Jun is a month, 5 May too", "Jun is a month <5 May> too"},
    {"17/Oct/2025 was", "<17/Oct/2025> was"},
    {"Jan and Feb", "Jan and Feb"},
    {"wait...done", "wait done"},
    {"end. Next - x-y.", "end Next x-y"},
    {"caf\xc3\xa9 \xff\xfe ok", "caf\xc3\xa9 \xff\xfe ok"},
    {"~tmp Package~31bf~x", "~tmp <Package~31bf~x>"},
    {"key BKEFlQkECaWLbHixBQDRqk+ found", "key <BKEFlQkECaWLbHixBQDRqk+> found"},
    {"RSA SHA256:JiEwC+hlCtUTA/yEgsfxqAZFnkym of", "RSA <SHA256:JiEwC+hlCtUTA/yEgsfxqAZFnkym> of"},
    {"token aBCdEFghIJklmno s", "token aBCdEFghIJklmno s"},           /* a byte too short */
    {"token aBCdEFghIJklmnop s", "token <aBCdEFghIJklmnop s>"},       /* and then long enough */
    {"token aBcDefghijklmnop s", "token aBcDefghijklmnop s"},         /* turns once */
    {"token aBCdeFghIJklmnop s", "token aBCdeFghIJklmnop s"},         /* twice */
    {"token aB-Cd_E.FghI/Jklmnop s", "token aB-Cd_E.FghI/Jklmnop s"}, /* what parts names */
    {"NoRouteToHostException", "NoRouteToHostException"},
    {"RetryUpToMaximumCountWithFixedSleep", "RetryUpToMaximumCountWithFixedSleep"},
    {"dfs.DFSClient$DFSOutputStream$DataStreamer", "dfs.DFSClient$DFSOutputStream$DataStreamer"},
    {"kernel CONSTRAINT_MEMCG KERNDTLBMISSDETECTED",
     "kernel CONSTRAINT_MEMCG KERNDTLBMISSDETECTED"},
    {"macOS/FreeBSD and OpenBSD", "macOS/FreeBSD and OpenBSD"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = cut(&best, cases[i].message, strlen(cases[i].message));

        CHECK_BYTES(got, strlen(got), cases[i].want, strlen(cases[i].want));
        got = cut(&plain, cases[i].message, strlen(cases[i].message));
        CHECK_BYTES(got, strlen(got), cases[i].want, strlen(cases[i].want));
    }
}

static void check_same(const char *message, size_t len)
{
    hx_tokenizer_run(&best, hx_slice_make(message, len));
    hx_tokenizer_run(&plain, hx_slice_make(message, len));
    CHECK_INT(best.count, plain.count);
    CHECK_INT(best.cut, plain.cut);
    for (uint32_t i = 0; i < best.count; i++) {
        hx_token x = best.tokens[i], y = plain.tokens[i];
        hx_word_head a = hx_tokenizer_head(&best, x.start, x.length);
        hx_word_head b = hx_tokenizer_head(&plain, y.start, y.length);
        char want[16] = {0};

        CHECK_INT(x.start, y.start);
        CHECK_INT(x.length, y.length);
        CHECK_INT(x.is_value, y.is_value);
        memcpy(want, message + x.start, x.length < 16 ? x.length : 16);
        CHECK_BYTES(&a, sizeof a, want, sizeof want);
        CHECK_BYTES(&b, sizeof b, want, sizeof want);
    }
}

static uint32_t next_random(void)
{
    static uint64_t state = 7;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* Every length across the steps of 32 and 64 bytes, at the end of mapped memory. */
static void test_twins_at_guard_page(void)
{
    static const char letters[] = "abcXYZ0123456789  ..--::/\\_@=,[]()<>MonJansmsKB\x80\xff";
    static const char few[] = "aBcD-_ ";

    for (uint32_t len = 0; len < 400; len++)
        for (uint32_t round = 0; round < 8; round++) {
            char message[400];

            for (uint32_t i = 0; i < len; i++)
                message[i] = round == 7   ? (char)next_random()
                             : round == 6 ? few[next_random() % (sizeof few - 1)]
                                          : letters[next_random() % (sizeof letters - 1)];
            char *guarded = check_guard_copy(message, len);
            check_same(guarded, len);
            check_guard_free(guarded, len);
        }
}

static void test_every_byte(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        char message[96];

        memset(message, 'a', sizeof message);
        for (uint32_t i = 1; i < sizeof message; i += 3)
            message[i] = (char)byte;
        check_same(message, sizeof message);
    }
}

static void test_bounds(void)
{
    char *large = malloc(1 << 20);

    CHECK(large != NULL);
    memset(large, 'a', 1 << 20);
    hx_tokenizer_run(&best, hx_slice_make(large, 1 << 20));
    CHECK_INT(best.count, 1);
    CHECK_INT(best.tokens[0].length, HX_SCAN_BYTES);
    CHECK(best.cut);
    hx_tokenizer_run(&best, hx_slice_make(large, HX_SCAN_BYTES));
    CHECK_INT(best.count, 1);
    CHECK(!best.cut);
    for (uint32_t i = 1; i < 1 << 20; i += 2)
        large[i] = ' ';
    hx_tokenizer_run(&best, hx_slice_make(large, 2 * 256));
    CHECK_INT(best.count, 256);
    CHECK(!best.cut);
    hx_tokenizer_run(&best, hx_slice_make(large, 2 * 256 + 1));
    CHECK_INT(best.count, 256);
    CHECK(best.cut);
    check_same(large, 1 << 20);
    free(large);
}

int main(void)
{
    hx_tokenizer_init(&best, 256);
    hx_tokenizer_init(&plain, 256);
    plain.scan = hx_scan_plain;
    test_cases();
    test_twins_at_guard_page();
    test_every_byte();
    test_bounds();
    return 0;
}
