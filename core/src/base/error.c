#include <haechi/error.h>

#include <stdarg.h>
#include <stdio.h>

const char *hx_strerror(int code)
{
    switch (code) {
    case 0:
        return "no error";
    case HX_EINVAL:
        return "value not allowed";
    case HX_ENOMEM:
        return "out of memory or over a bound";
    case HX_EMALFORMED:
        return "malformed input";
    case HX_EIO:
        return "input/output error";
    case HX_ENOTFOUND:
        return "not found";
    case HX_EAGAIN:
        return "nothing now";
    case HX_EEND:
        return "end of input";
    case HX_ECORRUPT:
        return "corrupt: checksum mismatch";
    case HX_EVERSION:
        return "unsupported format version";
    default:
        return "unknown error";
    }
}

int hx_error_set(hx_error *err, int code, const char *format, ...)
{
    va_list args;

    if (!err)
        return code;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return code;
}
