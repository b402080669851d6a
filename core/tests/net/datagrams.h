/* A sender of datagrams for the tests: several in one call where the kernel can, as a storm sends.
 */
#ifndef HAECHI_TESTS_NET_DATAGRAMS_H
#define HAECHI_TESTS_NET_DATAGRAMS_H

#include "../check.h"

#include <haechi/net.h>

typedef struct sender {
    int fd;
    hx_mark totals; /* of the stream so far; sequence is the next control message's */
} sender;

void sender_open(sender *s, int family, uint16_t port, uint64_t run, uint32_t stream);
void sender_close(sender *s);

/* One datagram. */
void sender_send(sender *s, const char *bytes, size_t len);
/* `len` bytes as datagrams of `stride`, the last one of the rest, in one call (UDP_SEGMENT). */
void sender_send_run(sender *s, const char *bytes, size_t len, uint32_t stride);
/* A control message of the stream, which counts itself, into out; returns its length. */
uint32_t sender_mark(sender *s, hx_mark_kind kind, char *out);
void sender_send_mark(sender *s, hx_mark_kind kind);
/* Waits for a report at most some seconds: one that does not come ends the test. */
void sender_report(sender *s, hx_mark *report);
bool sender_has_report(sender *s);

#endif
