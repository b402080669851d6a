#include "tls.h"

#include "net/socket_bio.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

struct tls {
    SSL_CTX *context;
    BIO_METHOD *method;
};

/* --- context ---------------------------------------------------------------------------------- */

/* OpenSSL's own words for what went wrong first, which is the cause of the rest. */
static const char *why(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    return text ? text : "the reason is not known";
}

/* A key with a passphrase would ask the terminal. */
static int no_passphrase(char *out, int room, int writing, void *context)
{
    (void)out;
    (void)room;
    (void)writing;
    (void)context;
    return -1;
}

static int load_own(tls *t, const hx_listen_config *config, hx_error *err)
{
    if (!config->certificate || !config->key)
        return hx_error_set(err, HX_EINVAL, "TLS needs a certificate and its key: %s is not given",
                            config->certificate ? "tls_key" : "tls_certificate");
    if (SSL_CTX_use_certificate_chain_file(t->context, config->certificate) != 1)
        return hx_error_set(err, HX_EINVAL,
                            "tls_certificate: %s: a PEM file with a certificate is needed (%s)",
                            config->certificate, why());
    if (SSL_CTX_use_PrivateKey_file(t->context, config->key, SSL_FILETYPE_PEM) != 1)
        return hx_error_set(err, HX_EINVAL,
                            "tls_key: %s: a PEM file with the key of the certificate %s is needed, "
                            "without a passphrase (%s)",
                            config->key, config->certificate, why());
    return 0;
}

static int load_authorities(tls *t, const char *path, hx_error *err)
{
    STACK_OF(X509_NAME) * names;

    if (!path)
        return 0;
    names = SSL_load_client_CA_file(path);
    if (!names || SSL_CTX_load_verify_file(t->context, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return hx_error_set(err, HX_EINVAL,
                            "tls_client_ca: %s: a PEM file with certificates of authorities is "
                            "needed (%s)",
                            path, why());
    }
    SSL_CTX_set_client_CA_list(t->context, names); /* takes it over */
    SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

static int set_up(tls *t, const hx_listen_config *config, hx_error *err)
{
    int rc;

    t->context = SSL_CTX_new(TLS_server_method());
    t->method = socket_bio_method();
    if (!t->context || !t->method || SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION) != 1)
        return hx_error_set(err, HX_ENOMEM, "TLS cannot be set up (%s)", why());
    SSL_CTX_set_default_passwd_cb(t->context, no_passphrase);
    /* Connections last: nothing is gained by resuming one, and tickets would be written to senders
     * that never read. */
    SSL_CTX_set_session_cache_mode(t->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(t->context, 0);
    SSL_CTX_set_options(t->context,
                        SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(t->context, SSL_MODE_RELEASE_BUFFERS);
    rc = load_own(t, config, err);
    return rc ? rc : load_authorities(t, config->client_ca, err);
}

int tls_create(const hx_listen_config *config, tls **out, hx_error *err)
{
    tls *t = calloc(1, sizeof *t);
    int rc;

    *out = NULL;
    if (!t)
        return hx_error_set(err, HX_ENOMEM, "TLS: out of memory");
    ERR_clear_error();
    rc = set_up(t, config, err);
    ERR_clear_error();
    if (rc)
        tls_destroy(t);
    else
        *out = t;
    return rc;
}

void tls_destroy(tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->context);
    BIO_meth_free(t->method);
    free(t);
}

/* --- connections ------------------------------------------------------------------------------ */

tls_link *tls_open(tls *t, int fd)
{
    SSL *link = SSL_new(t->context);
    BIO *bio = BIO_new(t->method);

    if (!link || !bio) {
        SSL_free(link);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(link, bio, bio);
    SSL_set_accept_state(link);
    return link;
}

void tls_close(tls_link *link)
{
    if (!link)
        return;
    ERR_clear_error();
    if (SSL_is_init_finished(link))
        SSL_shutdown(link); /* says so, as far as the socket takes it, and does not wait */
    SSL_free(link);
    ERR_clear_error();
}

/* What a call that failed is to be told as. */
static int outcome(tls_link *link, int rc)
{
    switch (SSL_get_error(link, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return HX_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return HX_EIO;
    }
}

int tls_shake(tls_link *link, bool *to_write)
{
    int rc;

    ERR_clear_error();
    rc = SSL_accept(link);
    if (rc == 1)
        return 0;
    *to_write = SSL_get_error(link, rc) == SSL_ERROR_WANT_WRITE;
    return outcome(link, rc) == HX_EAGAIN ? HX_EAGAIN : HX_EIO;
}

int tls_read(tls_link *link, char *out, uint32_t room)
{
    int rc;

    ERR_clear_error();
    rc = SSL_read(link, out, (int)room);
    return rc > 0 ? rc : outcome(link, rc);
}

int tls_write(tls_link *link, const char *bytes, uint32_t len)
{
    int rc;

    ERR_clear_error();
    rc = SSL_write(link, bytes, (int)len);
    return rc > 0 ? rc : outcome(link, rc);
}
