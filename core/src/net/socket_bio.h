/* A socket as OpenSSL sees it, for both ends of a TLS stream. OpenSSL's own BIO writes with
 * write(2), which raises SIGPIPE when the other end has gone; this one sends with MSG_NOSIGNAL and
 * never waits. */
#ifndef HAECHI_NET_SOCKET_BIO_H
#define HAECHI_NET_SOCKET_BIO_H

#include <openssl/bio.h>

/* A BIO's data is its descriptor. NULL: out of memory. To be freed with BIO_meth_free. */
BIO_METHOD *socket_bio_method(void);

#endif
