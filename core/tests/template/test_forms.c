/* A message is found again with other digits and never with another byte, at the end of mapped
 * memory too; and what a scratch remembers changes no answer. */
#include "../check.h"
#include "template/forms.h"

#include <haechi/template.h>

static uint32_t below(uint32_t n)
{
    static uint64_t state = 5;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool find(hx_forms_way way, const hx_forms *forms, const char *bytes, uint32_t len,
                 hx_form_place *place)
{
    char *guarded = check_guard_copy(bytes, len);
    bool found;

    *place = way.place(forms, hx_slice_make(guarded, len));
    found = way.holds(*place, hx_slice_make(guarded, len));
    check_guard_free(guarded, len);
    return found;
}

static void test_lengths(hx_forms_way way)
{
    static const char letters[] = "0123456789/:@ab\x80\xff\xb0\xb9 ";
    hx_forms forms;
    hx_form_place place;
    char bytes[HX_FORM_BYTES + 1] = {0};

    CHECK_INT(hx_forms_init(&forms), 0);
    for (uint32_t len = 0; len <= HX_FORM_BYTES; len++)
        for (uint32_t round = 0; round < 4; round++) {
            for (uint32_t i = 0; i < len; i++)
                bytes[i] = round ? letters[below(sizeof letters - 1)] : (char)below(256);
            if (!find(way, &forms, bytes, len, &place))
                hx_form_keep(place, hx_slice_make(bytes, len), len);
            for (uint32_t i = 0; i < len; i++)
                bytes[i] = is_digit(bytes[i]) ? (char)('0' + below(10)) : bytes[i];
            CHECK(find(way, &forms, bytes, len, &place));
            CHECK_INT(place.form->key, len);
            for (uint32_t i = below(7); i < len; i += 7) {
                char was = bytes[i], now = (char)below(256);

                bytes[i] = now;
                CHECK_INT(find(way, &forms, bytes, len, &place),
                          now == was || (is_digit(now) && is_digit(was)));
                bytes[i] = was;
            }
        }
    CHECK(!find(way, &forms, bytes, HX_FORM_BYTES + 1, &place));
    CHECK(place.form == NULL);
    hx_forms_free(&forms);
}

/* Two messages of one hash: the bytes tell them apart. */
static void test_compared(hx_forms_way way)
{
    hx_forms forms;
    hx_form_place place;
    hx_slice message = HX_SLICE_LIT("a message of more than thirty-two bytes, number 17");

    CHECK_INT(hx_forms_init(&forms), 0);
    place = way.place(&forms, message);
    CHECK(!way.holds(place, message));
    hx_form_keep(place, message, 1);
    CHECK(way.holds(place, message));
    for (uint32_t i = 0; i < message.len; i++) {
        place.form->bytes[i] ^= 1;
        CHECK(!way.holds(place, message));
        place.form->bytes[i] ^= 1;
    }
    hx_forms_free(&forms);
}

/* A form that was found stays where another message wants its place, once. */
static void test_used_ones_stay(void)
{
    const hx_forms_way way = hx_forms_way_best();
    hx_slice often = HX_SLICE_LIT("a message that comes often"), rare = HX_SLICE_LIT("another");
    hx_forms forms;
    hx_form_place place;

    CHECK_INT(hx_forms_init(&forms), 0);
    place = way.place(&forms, often);
    hx_form_keep(place, often, 1);
    CHECK_INT(hx_form_use(place), 1);
    for (uint32_t i = 0; i < 3; i++) {
        hx_form_place other = {place.form, way.place(&forms, rare).hash};

        CHECK_INT(way.holds(place, often), i < 2);
        CHECK_INT(way.holds(other, rare), i == 2);
        hx_form_keep(other, rare, 2);
    }
    hx_forms_free(&forms);
}

static const char *const words[] = {"open",   "user",  "from",    "a1",     "10.0.0.1", "/a/b",
                                    "x=5",    "Jun",   "Mon",     "1 KB",   "s",        "ms",
                                    "4 secs", "[]",    "a.b.c",   "-",      "::1",      "12:30:59",
                                    "\xff",   "id:7",  "fe80::1", "C:\\x7", "ab:cd:1",  "h.o:9",
                                    "word",   "Wed 1", "u@h.o",   "2 May"};

static uint32_t make_message(char *out)
{
    uint32_t count = below(14), len = 0;

    for (uint32_t i = 0; i < count; i++) {
        len += (uint32_t)sprintf(out + len, "%s", words[below(sizeof words / sizeof words[0])]);
        if (below(8))
            out[len++] = " =:,(-"[below(40) < 34 ? 0 : below(6)];
    }
    for (uint32_t i = 0; i < len; i++)
        out[i] = is_digit(out[i]) ? (char)('0' + below(10)) : out[i];
    return len;
}

static uint32_t match_anew(const hx_matcher *matcher, hx_slice message)
{
    hx_match_scratch *scratch;
    uint32_t key;

    CHECK_INT(hx_match_scratch_create(matcher, &scratch), 0);
    key = hx_matcher_match(matcher, scratch, message);
    hx_match_scratch_destroy(scratch);
    return key;
}

static void test_scratch_changes_nothing(void)
{
    hx_miner *miner;
    hx_matcher *matcher;
    hx_match_scratch *scratch;
    char message[400], *json;
    size_t json_len;
    uint32_t unseen = 0;

    CHECK_INT(hx_miner_create(NULL, &miner, NULL), 0);
    for (uint32_t i = 0; i < 3000; i++)
        CHECK_INT(hx_miner_learn(miner, hx_slice_make(message, make_message(message))), 0);
    CHECK_INT(hx_miner_finish(miner, &json, &json_len, NULL), 0);
    CHECK_INT(hx_matcher_create(json, json_len, &matcher, NULL), 0);
    CHECK_INT(hx_match_scratch_create(matcher, &scratch), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        hx_slice m = hx_slice_make(message, make_message(message));
        uint32_t key = hx_matcher_match(matcher, scratch, m);

        unseen += key == HX_KEY_UNSEEN;
        CHECK_INT(key, match_anew(matcher, m));
    }
    CHECK(unseen > 50);
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
    hx_miner_destroy(miner);
    free(json);
}

int main(void)
{
    test_lengths(hx_forms_way_plain);
    test_lengths(hx_forms_way_best());
    test_compared(hx_forms_way_plain);
    test_compared(hx_forms_way_best());
    test_used_ones_stay();
    test_scratch_changes_nothing();
    return 0;
}
