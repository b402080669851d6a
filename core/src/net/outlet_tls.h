/* The TLS of an outlet: a context that outlives reconnections, and the connection of the moment.
 * Nothing here waits: HX_EAGAIN says that the socket has to be ready for *events (poll) first. */
#ifndef HAECHI_NET_OUTLET_TLS_H
#define HAECHI_NET_OUTLET_TLS_H

#include <haechi/outlet.h>

typedef struct hx_outlet_tls hx_outlet_tls;

/* Reads the PEM files. name: what the certificate must be for; peer: the receiver in messages (both
 * are copied). HX_EINVAL with a sentence in err, HX_ENOMEM. */
int hx_outlet_tls_create(const hx_outlet_config *config, const char *name, const char *peer,
                         hx_outlet_tls **out, hx_error *err);
void hx_outlet_tls_destroy(hx_outlet_tls *tls);

/* A connection on a connected socket, which stays the caller's. */
int hx_outlet_tls_start(hx_outlet_tls *tls, int fd, hx_error *err);
void hx_outlet_tls_stop(hx_outlet_tls *tls);
int hx_outlet_tls_shake(hx_outlet_tls *tls, short *events, hx_error *err);

/* What was taken is kept here until the socket takes it, so no call has to be repeated with the
 * same bytes. HX_EAGAIN: something taken is still kept, or something is not taken. err: why it is
 * gone. */
int hx_outlet_tls_write(hx_outlet_tls *tls, const char *bytes, size_t len, size_t *written,
                        short *events, hx_error *err);
/* Bytes, 0 for nothing now, -1 for nothing ever. */
int hx_outlet_tls_read(hx_outlet_tls *tls, char *out, size_t room, hx_error *err);
/* Sends what is kept, then says that no more comes. */
int hx_outlet_tls_close(hx_outlet_tls *tls, short *events, hx_error *err);

#endif
