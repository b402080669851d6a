/* A word and a line of any bytes: the name that is found lies in the line, behind the word, and is
 * one; and where the line is cut before the word there is none. */
#include <haechi/users.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t len = size ? data[0] % (HX_USER_WORD_MAX + 1) : 0;
    hx_slice word, text, found;
    const char *at;

    if (size < 1 + len)
        return 0;
    word = hx_slice_make((const char *)data + 1, len);
    text = hx_slice_make((const char *)data + 1 + len, size - 1 - len);
    found = hx_user_find(word, text);
    if (!found.len)
        return 0;
    at = memmem(text.ptr, text.len, word.ptr, word.len);
    if (!word.len || !at || found.ptr <= at || found.len > HX_USER_NAME_MAX ||
        found.ptr + found.len > text.ptr + text.len || memchr(found.ptr, ' ', found.len) ||
        memchr(found.ptr, '=', found.len))
        abort();
    if (hx_user_find(word, hx_slice_make(text.ptr, (size_t)(at - text.ptr))).len)
        abort();
    return 0;
}
