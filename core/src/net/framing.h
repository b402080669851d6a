/* Messages in a stream of bytes (RFC 6587, 3.4): with their length before them, or ended by LF,
 * CRLF or NUL. The same messages come out however the stream is cut into reads. */
#ifndef HAECHI_NET_FRAMING_H
#define HAECHI_NET_FRAMING_H

#include <haechi/net.h>

/* What a reader must be able to hold, so that a call with so many bytes always uses some: the
 * longest message with a count before it, or with CRLF after it. */
#define FRAMING_ROOM (HX_NET_MESSAGE_MAX + 16)

typedef struct framing {
    hx_framing kind; /* AUTO until the first byte is there */
    bool in_long_line;
    uint32_t skip;  /* bytes of an over-long counted message that are still to come */
    uint32_t clean; /* bytes from the first unused one on that are known to hold no line end */
} framing;

typedef enum frame_result {
    FRAME_NONE,    /* more bytes are needed, or all are used */
    FRAME_MESSAGE, /* may be empty */
    FRAME_BAD,     /* neither a count nor the end of a message: nothing after it can be read */
} frame_result;

typedef struct frame {
    hx_slice message;
    uint32_t used; /* bytes to leave out from now on, whatever the result */
    bool cut;      /* it was longer than HX_NET_MESSAGE_MAX, or the stream ended within it */
} frame;

/* The next message of the unused bytes. ended: no more will come. */
frame_result framing_next(framing *f, const char *bytes, uint32_t len, bool ended, frame *out);

#endif
