/* templates.json of any bytes: refused with a sentence, or a matcher that works. */
#include <haechi/template.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hx_error err = {{0}};
    hx_matcher *matcher;
    hx_match_scratch *scratch;
    uint32_t key;

    if (hx_matcher_create((const char *)data, size, &matcher, &err)) {
        if (!err.text[0] || matcher)
            abort();
        return 0;
    }
    if (hx_match_scratch_create(matcher, &scratch))
        abort();
    key = hx_matcher_match(matcher, scratch,
                           hx_slice_make((const char *)data, size < 4096 ? size : 4096));
    if (key != HX_KEY_UNSEEN && !hx_matcher_text(matcher, key))
        abort();
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
    return 0;
}
