/* Receivers on loopback for the tests of senders: a thread each, over TCP or TLS, well-behaved or
 * not; and the certificates that they show, made when the test runs. */
#ifndef HAECHI_TESTS_NET_RECEIVER_H
#define HAECHI_TESTS_NET_RECEIVER_H

#include "../check.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>

/* PEM files in a folder that is removed at exit: two authorities; the receiver's certificate, by
 * the first, for siem.example and 127.0.0.1; a sender's, by the first too. */
extern char ca_path[96], other_ca_path[96], leaf_path[96], key_path[96], client_path[96],
    client_key_path[96];
void certificates_make(void);

/* What is sent to a receiver: byte i of a connection. */
char pattern_at(size_t i);

/* What a receiver does with its connections, one after the other. */
typedef struct manners {
    bool tls;
    int connections;      /* to take; 0 means 1 */
    size_t first_takes;   /* the first connection is cut after so many bytes; 0: not */
    bool slow;            /* reads in small pieces with pauses, through a small buffer */
    const char *says;     /* to every connection, before it reads */
    bool asks_for_client; /* TLS: a client certificate is needed */
    bool silent;          /* takes the connection and never says a word, until `release` */
} manners;

typedef struct receiver {
    manners manners;
    int fd;
    struct sockaddr_storage address;
    socklen_t address_len;
    pthread_t thread;
    int release[2];
    SSL_CTX *context;
    size_t taken;      /* of the last connection */
    uint64_t mismatch; /* bytes that were not the pattern's */
    bool clean_end;    /* the last connection ended as it should: TLS said so, then no more bytes */
} receiver;

/* Only a port of its own, on which nobody listens; r->manners are set. */
void receiver_bind(receiver *r);
void receiver_start(receiver *r, manners how);
/* Lets a silent one go, waits until it has had its connections, and checks that they brought the
 * pattern. */
void receiver_end(receiver *r);

#endif
