/* A pattern, a newline, and lines for it. */
#include "wire-oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *newline = size ? memchr(text, '\n', size) : NULL;
    size_t pattern_len = newline ? (size_t)(newline - text) : size;
    char *pattern = malloc(pattern_len + 1);
    hx_format *format;
    hx_error err = {""};

    if (!pattern)
        return 0;
    if (pattern_len)
        memcpy(pattern, text, pattern_len);
    pattern[pattern_len] = '\0';
    if (hx_format_create(pattern, &format, &err) == 0) {
        hx_format_scratch scratch = {.now_us = WIRE_NOW_US};
        if (newline)
            wire_check_lines(&format, &scratch, 1, newline + 1, size - pattern_len - 1);
        hx_format_destroy(format);
    } else if (!err.text[0]) {
        abort();
    }
    free(pattern);
    return 0;
}
