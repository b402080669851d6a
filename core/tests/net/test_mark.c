#include "../check.h"

#include <haechi/mark.h>

static const struct {
    const char *text;
    hx_mark mark;
} forms[] = {
    {"<46>haechi-storm: probe 0123456789abcdef 00000007 0000000000000000 18610a7b5c9d2e00",
     {.kind = HX_MARK_PROBE,
      .run = UINT64_C(0x0123456789abcdef),
      .stream = 7,
      .time_ns = INT64_C(0x18610a7b5c9d2e00)}},
    {"<46>haechi-storm: mark 0000000000000001 ffffffff 0000000000000002 0000000000000003 "
     "0000000000000004 0000000000000005 ffffffffffffffff",
     {.kind = HX_MARK_TOTALS,
      .run = 1,
      .stream = UINT32_MAX,
      .sequence = 2,
      .time_ns = 3,
      .events = 4,
      .bytes = 5,
      .controls = UINT64_MAX}},
    {"<46>haechi-storm: end 0000000000000001 00000002 0000000000000003 ffffffffffffffff "
     "0000000000000004 0000000000000005 0000000000000006",
     {.kind = HX_MARK_END,
      .run = 1,
      .stream = 2,
      .sequence = 3,
      .time_ns = -1,
      .events = 4,
      .bytes = 5,
      .controls = 6}},
    {"<46>haechi-sink: report 000000000000000a 0000000b 000000000000000c 000000000000000d "
     "000000000000000e 000000000000000f 0000000000000010",
     {.kind = HX_MARK_REPORT,
      .run = 10,
      .stream = 11,
      .sequence = 12,
      .events = 13,
      .bytes = 14,
      .controls = 15,
      .dropped = 16}},
};

static void check_equal(const hx_mark *got, const hx_mark *want)
{
    CHECK_INT(got->kind, want->kind);
    CHECK_INT(got->run, want->run);
    CHECK_INT(got->stream, want->stream);
    CHECK_INT(got->sequence, want->sequence);
    CHECK_INT(got->time_ns, want->time_ns);
    CHECK_INT(got->events, want->events);
    CHECK_INT(got->bytes, want->bytes);
    CHECK_INT(got->controls, want->controls);
    CHECK_INT(got->dropped, want->dropped);
}

static void test_forms(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t len = strlen(forms[i].text);
        char out[HX_MARK_MAX], *guarded = check_guard_copy(forms[i].text, len);
        hx_mark mark;

        CHECK_INT(hx_mark_parse(hx_slice_make(guarded, len), &mark), forms[i].mark.kind);
        check_equal(&mark, &forms[i].mark);
        CHECK_BYTES(out, hx_mark_format(&forms[i].mark, out), forms[i].text, len);
        CHECK(hx_mark_length(len));
        check_guard_free(guarded, len);
    }
    CHECK_INT(strlen(forms[0].text), HX_PROBE_BYTES);
    CHECK_INT(strlen(forms[1].text), HX_TOTALS_BYTES);
    CHECK_INT(strlen(forms[2].text), HX_END_BYTES);
    CHECK_INT(strlen(forms[3].text), HX_REPORT_BYTES);
}

/* Each byte matters: any other in its place, one more or one less, and it is an ordinary message.
 */
static void test_not_exactly(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t len = strlen(forms[i].text);
        char text[HX_MARK_MAX + 1];
        hx_mark mark;

        for (size_t at = 0; at < len; at++) {
            memcpy(text, forms[i].text, len);
            text[at] = 'G';
            CHECK_INT(hx_mark_parse(hx_slice_make(text, len), &mark), HX_MARK_NONE);
            CHECK_INT(hx_mark_parse(hx_slice_make(forms[i].text, at), &mark), HX_MARK_NONE);
        }
        memcpy(text, forms[i].text, len);
        text[len] = '\n';
        CHECK_INT(hx_mark_parse(hx_slice_make(text, len + 1), &mark), HX_MARK_NONE);
        CHECK_INT(mark.kind, HX_MARK_NONE);
    }
}

static void test_no_form(void)
{
    hx_mark mark = {.kind = HX_MARK_NONE};
    char out[HX_MARK_MAX];

    CHECK_INT(hx_mark_format(&mark, out), 0);
    CHECK_INT(hx_mark_parse(hx_slice_make(NULL, 0), &mark), HX_MARK_NONE);
}

int main(void)
{
    test_forms();
    test_not_exactly();
    test_no_form();
    return 0;
}
