/* The TLS of a listener: one context, and a connection for each client. Nothing here waits. */
#ifndef HAECHI_NET_TLS_H
#define HAECHI_NET_TLS_H

#include <haechi/net.h>

typedef struct tls tls;
typedef struct ssl_st tls_link;

/* Reads the PEM files. HX_EINVAL with a sentence in err that names the file, HX_ENOMEM. */
int tls_create(const hx_listen_config *config, tls **out, hx_error *err);
void tls_destroy(tls *t);

/* On a connected socket, which stays the caller's. NULL: out of memory. */
tls_link *tls_open(tls *t, int fd);
void tls_close(tls_link *link);

/* 0: agreed. HX_EAGAIN: when the socket is ready to be read or, where *to_write, written. HX_EIO:
 * never. */
int tls_shake(tls_link *link, bool *to_write);
/* Bytes; 0: the end; HX_EAGAIN; HX_EIO. A write takes all or nothing, and one that has been refused
 * has to be repeated with the same bytes. */
int tls_read(tls_link *link, char *out, uint32_t room);
int tls_write(tls_link *link, const char *bytes, uint32_t len);

#endif
