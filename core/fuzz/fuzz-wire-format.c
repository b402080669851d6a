/* Lines into every preset, and into detection. */
#include "wire-oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PRESETS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hx_format *formats[PRESETS_MAX];
    static uint32_t count;
    hx_format_scratch scratches[PRESETS_MAX] = {0};
    hx_slice whole = hx_slice_make((const char *)data, size);

    while (count < PRESETS_MAX && hx_format_preset_name(count)) {
        if (hx_format_create(hx_format_preset_name(count), &formats[count], NULL))
            abort();
        count++;
    }
    for (uint32_t i = 0; i < count; i++)
        scratches[i].now_us = WIRE_NOW_US;
    wire_check_lines(formats, scratches, count, whole.ptr, size);
    if (size % 16 == 0 && !hx_format_detect(&whole, 1)) /* compiles every preset: not each time */
        abort();
    return 0;
}
