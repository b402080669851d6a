#include "net/outlet_tls.h"

#include "net/socket_bio.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RECORD_MAX 16384 /* bytes of text in one TLS record */

struct hx_outlet_tls {
    SSL_CTX *context;
    BIO_METHOD *method;
    SSL *ssl; /* NULL: not connected */
    char *name, *peer;
    size_t kept; /* bytes of `record` that OpenSSL has begun to write */
    char record[RECORD_MAX];
};

/* --- context -----------------------------------------------------------------------------------
 */

/* OpenSSL's own words for what went wrong first, which is the cause of the rest. */
static const char *why(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    return text ? text : "the reason is not known";
}

static int load_authorities(hx_outlet_tls *tls, const char *path, hx_error *err)
{
    if (!path && SSL_CTX_set_default_verify_paths(tls->context) == 1)
        return 0;
    if (!path)
        return hx_error_set(err, HX_EINVAL,
                            "the system's certificate authorities cannot be read (%s); name a PEM "
                            "file with tls_ca",
                            why());
    if (SSL_CTX_load_verify_file(tls->context, path) == 1)
        return 0;
    return hx_error_set(err, HX_EINVAL,
                        "tls_ca: %s: a PEM file with certificates of authorities is needed (%s)",
                        path, why());
}

static int load_own(hx_outlet_tls *tls, const char *certificate, const char *key, hx_error *err)
{
    if (!certificate && !key)
        return 0;
    if (!certificate || !key)
        return hx_error_set(err, HX_EINVAL, "%s is needed too: a certificate goes with its key",
                            certificate ? "tls_key" : "tls_certificate");
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(tls->context, certificate) != 1)
        return hx_error_set(err, HX_EINVAL,
                            "tls_certificate: %s: a PEM file with a certificate is needed (%s)",
                            certificate, why());
    if (SSL_CTX_use_PrivateKey_file(tls->context, key, SSL_FILETYPE_PEM) != 1)
        return hx_error_set(err, HX_EINVAL,
                            "tls_key: %s: a PEM file with the key of the certificate %s is needed "
                            "(%s)",
                            key, certificate, why());
    return 0;
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

static int set_up(hx_outlet_tls *tls, const hx_outlet_config *config, hx_error *err)
{
    SSL_CTX *context = tls->context;

    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_verify(context, config->tls_insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (!config->tls_insecure) {
        int rc = load_authorities(tls, config->tls_ca, err);

        if (rc)
            return rc;
    }
    return load_own(tls, config->tls_certificate, config->tls_key, err);
}

int hx_outlet_tls_create(const hx_outlet_config *config, const char *name, const char *peer,
                         hx_outlet_tls **out, hx_error *err)
{
    hx_outlet_tls *tls = calloc(1, sizeof *tls);
    int rc = HX_ENOMEM;

    if (!tls)
        return HX_ENOMEM;
    ERR_clear_error();
    tls->name = strdup(name);
    tls->peer = strdup(peer);
    tls->method = socket_bio_method();
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->name && tls->peer && tls->method && tls->context)
        rc = set_up(tls, config, err);
    ERR_clear_error();
    if (rc) {
        hx_outlet_tls_destroy(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

void hx_outlet_tls_destroy(hx_outlet_tls *tls)
{
    if (!tls)
        return;
    hx_outlet_tls_stop(tls);
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    free(tls->name);
    free(tls->peer);
    free(tls);
}

/* --- connection --------------------------------------------------------------------------------
 */

/* Which name the certificate has to be for; a host's is also said to the receiver, who may have
 * several certificates. */
static bool expect_name(hx_outlet_tls *tls)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), tls->name) == 1)
        return true;
    return SSL_set1_host(tls->ssl, tls->name) == 1 &&
           SSL_set_tlsext_host_name(tls->ssl, tls->name) == 1;
}

int hx_outlet_tls_start(hx_outlet_tls *tls, int fd, hx_error *err)
{
    BIO *bio = BIO_new(tls->method);

    ERR_clear_error();
    tls->ssl = SSL_new(tls->context);
    if (!bio || !tls->ssl) {
        BIO_free(bio);
        hx_outlet_tls_stop(tls);
        return hx_error_set(err, HX_ENOMEM, "%s: no memory for TLS", tls->peer);
    }
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    if (expect_name(tls))
        return 0;
    hx_outlet_tls_stop(tls);
    return hx_error_set(
        err, HX_EINVAL,
        "\"%s\" is not a name that a certificate can be for; say the receiver's with "
        "tls_server_name",
        tls->name);
}

void hx_outlet_tls_stop(hx_outlet_tls *tls)
{
    SSL_free(tls->ssl);
    tls->ssl = NULL;
    tls->kept = 0;
}

/* HX_EAGAIN with what to wait for, or HX_EIO with the reason in err. */
static int judge(hx_outlet_tls *tls, int result, short *events, hx_error *err)
{
    int system = errno;

    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *events = POLLIN;
        return HX_EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *events = POLLOUT;
        return HX_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return hx_error_set(err, HX_EIO, "%s has closed the connection", tls->peer);
    case SSL_ERROR_SYSCALL:
        return hx_error_set(err, HX_EIO, "%s has closed the connection%s%s", tls->peer,
                            system ? ": " : "", system ? strerror(system) : "");
    default:
        return hx_error_set(err, HX_EIO, "%s: TLS ended: %s", tls->peer, why());
    }
}

static int explain_handshake(hx_outlet_tls *tls, hx_error *err)
{
    long verdict = SSL_get_verify_result(tls->ssl);
    int reason = ERR_GET_REASON(ERR_peek_error());

    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH))
        return hx_error_set(err, HX_EIO,
                            "%s: its certificate is not for %s; say the name that it is for with "
                            "tls_server_name",
                            tls->peer, tls->name);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return hx_error_set(err, HX_EIO,
                            "%s: its certificate is not accepted: %s; name the authority that "
                            "signed it with tls_ca, or set tls_insecure to send without knowing to "
                            "whom",
                            tls->peer, X509_verify_cert_error_string(verdict));
    if (reason == SSL_R_WRONG_VERSION_NUMBER)
        return hx_error_set(
            err, HX_EIO,
            "%s: what it answers is not TLS; correct the port, or set the transport "
            "to tcp",
            tls->peer);
    return hx_error_set(
        err, HX_EIO,
        "%s: the TLS handshake failed: %s; look into the receiver's log, and whether "
        "it takes TLS 1.2 or later on this port",
        tls->peer, why());
}

int hx_outlet_tls_shake(hx_outlet_tls *tls, short *events, hx_error *err)
{
    int result, rc;

    ERR_clear_error();
    errno = 0;
    result = SSL_connect(tls->ssl);
    if (result == 1)
        return 0;
    rc = judge(tls, result, events, err);
    if (rc == HX_EIO && ERR_peek_error())
        rc = explain_handshake(tls, err);
    else if (rc == HX_EIO)
        rc = hx_error_set(
            err, HX_EIO,
            "%s: it closed the connection during the TLS handshake; is this a port for "
            "TLS?",
            tls->peer);
    ERR_clear_error();
    return rc;
}

static int put(hx_outlet_tls *tls, const char *bytes, size_t len, size_t *taken, short *events,
               hx_error *err)
{
    ERR_clear_error();
    errno = 0;
    if (SSL_write_ex(tls->ssl, bytes, len, taken) == 1)
        return 0;
    *taken = 0;
    return judge(tls, 0, events, err);
}

/* OpenSSL wants a record that it could not write given again, byte for byte. */
static int put_kept(hx_outlet_tls *tls, short *events, hx_error *err)
{
    while (tls->kept) {
        size_t taken;
        int rc = put(tls, tls->record, tls->kept, &taken, events, err);

        if (rc)
            return rc;
        tls->kept -= taken;
        memmove(tls->record, tls->record + taken, tls->kept);
    }
    return 0;
}

int hx_outlet_tls_write(hx_outlet_tls *tls, const char *bytes, size_t len, size_t *written,
                        short *events, hx_error *err)
{
    int rc = put_kept(tls, events, err);

    while (rc == 0 && *written < len) {
        size_t left = len - *written, part = left < RECORD_MAX ? left : RECORD_MAX, taken;

        rc = put(tls, bytes + *written, part, &taken, events, err);
        if (rc == HX_EAGAIN) {
            memcpy(tls->record, bytes + *written, part);
            tls->kept = taken = part;
        }
        *written += taken;
    }
    return rc;
}

int hx_outlet_tls_read(hx_outlet_tls *tls, char *out, size_t room, hx_error *err)
{
    short events;
    size_t n;

    ERR_clear_error();
    errno = 0;
    if (SSL_read_ex(tls->ssl, out, room, &n) == 1)
        return (int)n;
    return judge(tls, 0, &events, err) == HX_EAGAIN ? 0 : -1;
}

int hx_outlet_tls_close(hx_outlet_tls *tls, short *events, hx_error *err)
{
    int result, rc = put_kept(tls, events, err);

    if (rc)
        return rc;
    ERR_clear_error();
    errno = 0;
    result = SSL_shutdown(tls->ssl);
    return result >= 0 ? 0 : judge(tls, result, events, err);
}
