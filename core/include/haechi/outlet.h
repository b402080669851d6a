/* outlet: a stream of bytes to a syslog receiver over TCP or TLS (RFC 6587, RFC 5425).
 *
 * One thread uses an outlet. No call raises SIGPIPE, whatever the process does with that signal:
 * sockets are written to with MSG_NOSIGNAL, TLS's too. Framing is the caller's: it writes whole
 * messages with a prefix (hx_frame_prefix) or a newline.
 */
#ifndef HAECHI_OUTLET_H
#define HAECHI_OUTLET_H

#include <haechi/error.h>
#include <haechi/net.h>

typedef struct hx_outlet_config {
    hx_transport transport; /* HX_TCP or HX_TLS */
    hx_framing framing;     /* what the caller writes: octets or newline; AUTO is refused */
    const struct sockaddr_storage *address;
    socklen_t address_len;
    /* What the certificate must be for, a host name or an address, and how messages call the
     * receiver. NULL: the address. */
    const char *name;
    /* PEM files. tls_ca: whose certificates are accepted; NULL: those of the system's store.
     * tls_certificate (with its chain) and tls_key: what the receiver is shown, if it asks. */
    const char *tls_ca, *tls_certificate, *tls_key;
    bool tls_insecure;           /* the receiver's certificate is not checked */
    uint32_t connect_timeout_ms; /* connecting and shaking hands together; 0: 5,000 */
    uint32_t send_buffer_bytes;  /* 0: the system's choice */
} hx_outlet_config;

typedef struct hx_outlet hx_outlet;

/* Connects and, for TLS (1.2 or later), shakes hands. The configuration is copied. HX_EINVAL (what
 * is configured cannot work), HX_EIO (the receiver could not be reached or is not who it should be)
 * with a sentence in err; HX_ENOMEM. */
int hx_outlet_create(const hx_outlet_config *config, hx_outlet **out, hx_error *err);
/* Closes at once; call hx_outlet_finish first where what was written has to arrive. */
void hx_outlet_destroy(hx_outlet *outlet);

/* Writes, waiting for the receiver at most timeout_ms (0: not at all). 0: all of it is taken.
 * HX_EAGAIN: the time is up. HX_EIO: the receiver is gone. In each case *written bytes were taken,
 * and are the outlet's to deliver; the others are the caller's, to write again or to drop. With a
 * receiver that is gone, an unknown part of what was taken before is lost with it. */
int hx_outlet_write(hx_outlet *outlet, const char *bytes, size_t len, size_t *written,
                    int timeout_ms);

/* What the receiver says, at most room bytes of it: how many they are, 0 where there is nothing
 * now, -1 where nothing will come any more. Never waits. Called now and then, it tells of a
 * receiver that has closed before a write has to find out. */
int hx_outlet_read(hx_outlet *outlet, char *out, size_t room);

/* Connects anew, after HX_EIO, -1 or the end. Attempts that fail are repeated after 10 ms, then
 * twice as long each time up to a second; a connection that lasted a second starts from the
 * beginning, without a wait. Takes at most about timeout_ms and goes on where it was in the next
 * call. 0: connected. HX_EAGAIN: not yet; err (may be NULL) says how the last attempt failed, else
 * is empty.
 */
int hx_outlet_reconnect(hx_outlet *outlet, int timeout_ms, hx_error *err);

/* Delivers what was taken, closes TLS and the sending side, and waits until the receiver has closed
 * too, which it does when it has read everything. What it still says is thrown away. 0: it has.
 * HX_EAGAIN: not within timeout_ms; may be called again. HX_EIO: it went away before. */
int hx_outlet_finish(hx_outlet *outlet, int timeout_ms);

/* Why the receiver is gone, in words; empty while it is not. Lives as long as the outlet. */
const char *hx_outlet_reason(const hx_outlet *outlet);

/* The "123 " that octet counting puts before a message of so many bytes. Returns its length, or 0
 * for more than 9,999,999 bytes. Not NUL-terminated. */
uint32_t hx_frame_prefix(uint32_t message_len, char out[8]);

#endif
