/* A message that may be a control message: what is read from it is written as the very same bytes.
 */
#include <haechi/mark.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hx_slice message = hx_slice_make((const char *)data, size);
    char out[HX_MARK_MAX];
    hx_mark mark;
    uint32_t len;

    if (hx_mark_parse(message, &mark) == HX_MARK_NONE)
        return 0;
    if (!hx_mark_maybe(message.ptr, message.len))
        abort();
    len = hx_mark_format(&mark, out);
    if (len != size || memcmp(out, data, size) != 0)
        abort();
    return 0;
}
