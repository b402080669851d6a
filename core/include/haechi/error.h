/* Errors: a function that can fail returns 0 or one of these negative codes. Where a person has to
 * act on it, the function also takes an hx_error and writes one sentence there: what was expected,
 * what came, where, and what to do. */
#ifndef HAECHI_ERROR_H
#define HAECHI_ERROR_H

enum {
    HX_EINVAL = -1,     /* an argument or a configuration value is not allowed */
    HX_ENOMEM = -2,     /* memory, or a bound set by the configuration, is used up */
    HX_EMALFORMED = -3, /* bytes from outside do not have the form they should */
    HX_EIO = -4,        /* the system refused: errno tells */
    HX_ENOTFOUND = -5,  /* the thing named is not there */
    HX_EAGAIN = -6,     /* nothing now; call again */
    HX_EEND = -7,       /* nothing now or later */
    HX_ECORRUPT = -8,   /* a digest or a checksum does not match */
    HX_EVERSION = -9,   /* written by another version of the format */
};

typedef struct hx_error {
    char text[512]; /* always NUL-terminated; empty where there was no error */
} hx_error;

/* The code in words, never NULL. */
const char *hx_strerror(int code);

/* Formats into err->text (err may be NULL) and returns code, so that a caller can
 * `return hx_error_set(err, HX_EINVAL, "...")`. Control characters in the text become '?'. */
int hx_error_set(hx_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
