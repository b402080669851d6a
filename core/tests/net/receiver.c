#include "receiver.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>

/* --- certificates ------------------------------------------------------------------------------
 */

static char folder[64];
char ca_path[96], other_ca_path[96], leaf_path[96], key_path[96], client_path[96],
    client_key_path[96];

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(extension && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

/* issuer NULL: signed by itself, an authority. */
static X509 *certify(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key,
                     const char *names)
{
    static long serial;
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);

    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0));
    X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject);
    add_extension(certificate, issuer ? issuer : certificate, NID_basic_constraints,
                  issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (names)
        add_extension(certificate, issuer ? issuer : certificate, NID_subject_alt_name, names);
    CHECK(X509_sign(certificate, issuer ? issuer_key : key, EVP_sha256()) > 0);
    return certificate;
}

static void save(const char *name, char *path, X509 *certificate, EVP_PKEY *key)
{
    FILE *file;

    snprintf(path, 96, "%s/%s", folder, name);
    file = fopen(path, "w");
    CHECK(file != NULL);
    if (certificate)
        CHECK(PEM_write_X509(file, certificate));
    else
        CHECK(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
}

static void remove_certificates(void)
{
    const char *paths[] = {ca_path,  other_ca_path, leaf_path,
                           key_path, client_path,   client_key_path};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        unlink(paths[i]);
    rmdir(folder);
}

void certificates_make(void)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *other_key = EVP_EC_gen("P-256"),
             *key = EVP_EC_gen("P-256");
    X509 *ca, *other, *leaf, *client;

    CHECK(ca_key && other_key && key);
    snprintf(folder, sizeof folder, "/tmp/haechi-outlet-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    atexit(remove_certificates);
    ca = certify(ca_key, "an authority", NULL, NULL, NULL);
    other = certify(other_key, "another authority", NULL, NULL, NULL);
    leaf = certify(key, "a receiver", ca, ca_key, "DNS:siem.example,IP:127.0.0.1");
    client = certify(other_key, "a sender", ca, ca_key, NULL);
    save("ca.pem", ca_path, ca, NULL);
    save("other.pem", other_ca_path, other, NULL);
    save("leaf.pem", leaf_path, leaf, NULL);
    save("key.pem", key_path, NULL, key);
    save("client.pem", client_path, client, NULL);
    save("client-key.pem", client_key_path, NULL, other_key);
    X509_free(ca);
    X509_free(other);
    X509_free(leaf);
    X509_free(client);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(other_key);
    EVP_PKEY_free(key);
}

/* --- receivers ---------------------------------------------------------------------------------
 */

char pattern_at(size_t i)
{
    return (char)('a' + (i ^ i >> 7 ^ i >> 13) % 26);
}

static int take_some(receiver *r, SSL *ssl, int fd, char *buffer, size_t room)
{
    int n;

    if (!ssl)
        return (int)recv(fd, buffer, room, 0);
    n = SSL_read(ssl, buffer, (int)room);
    r->clean_end = n <= 0 && SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN;
    return n;
}

static void read_connection(receiver *r, SSL *ssl, int fd, size_t limit)
{
    static char buffer[65536];
    size_t room = r->manners.slow ? 4096 : sizeof buffer;

    r->taken = 0;
    r->clean_end = false;
    while (!limit || r->taken < limit) {
        int n = take_some(r, ssl, fd, buffer, room);

        if (n <= 0) {
            r->clean_end = ssl ? r->clean_end : n == 0;
            break;
        }
        for (int i = 0; i < n; i++)
            r->mismatch += buffer[i] != pattern_at(r->taken + (size_t)i);
        r->taken += (size_t)n;
        if (r->manners.slow && r->taken % 65536 < 4096)
            poll(NULL, 0, 1);
    }
}

static void serve(receiver *r, int fd, size_t limit)
{
    SSL *ssl = NULL;
    const char *says = r->manners.says;
    char one;

    if (r->manners.silent) {
        CHECK_INT(read(r->release[0], &one, 1), 1);
        return;
    }
    if (r->manners.tls) {
        ssl = SSL_new(r->context);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) != 1) {
            SSL_free(ssl);
            ERR_clear_error();
            return;
        }
    }
    if (says)
        CHECK_INT(ssl ? SSL_write(ssl, says, (int)strlen(says)) : send(fd, says, strlen(says), 0),
                  strlen(says));
    read_connection(r, ssl, fd, limit);
    if (ssl && !limit)
        SSL_shutdown(ssl);
    SSL_free(ssl);
    ERR_clear_error();
}

static void *receive(void *arg)
{
    receiver *r = arg;
    int connections = r->manners.connections ? r->manners.connections : 1;
    sigset_t pipe_signal;

    /* OpenSSL's socket writes may find nobody. In the sender's thread SIGPIPE ends the test. */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    for (int i = 0; i < connections; i++) {
        int fd = accept(r->fd, NULL, NULL);

        CHECK(fd >= 0);
        serve(r, fd, i == 0 ? r->manners.first_takes : 0);
        close(fd);
    }
    return NULL;
}

void receiver_bind(receiver *r)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int small = 8192;

    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(r->fd >= 0);
    if (r->manners.slow)
        CHECK(setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    CHECK(bind(r->fd, (struct sockaddr *)&any, sizeof any) == 0);
    r->address_len = sizeof r->address;
    CHECK(getsockname(r->fd, (struct sockaddr *)&r->address, &r->address_len) == 0);
}

void receiver_start(receiver *r, manners how)
{
    *r = (receiver){.manners = how};
    receiver_bind(r);
    CHECK(listen(r->fd, 8) == 0);
    CHECK(pipe(r->release) == 0);
    if (how.tls) {
        r->context = SSL_CTX_new(TLS_server_method());
        CHECK(SSL_CTX_use_certificate_chain_file(r->context, leaf_path) == 1);
        CHECK(SSL_CTX_use_PrivateKey_file(r->context, key_path, SSL_FILETYPE_PEM) == 1);
        CHECK(SSL_CTX_load_verify_file(r->context, ca_path) == 1);
        if (how.asks_for_client)
            SSL_CTX_set_verify(r->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    CHECK(pthread_create(&r->thread, NULL, receive, r) == 0);
}

void receiver_end(receiver *r)
{
    CHECK_INT(write(r->release[1], "x", 1), 1);
    CHECK(pthread_join(r->thread, NULL) == 0);
    CHECK_INT(r->mismatch, 0);
    close(r->fd);
    close(r->release[0]);
    close(r->release[1]);
    SSL_CTX_free(r->context);
}
