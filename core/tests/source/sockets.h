/* Senders on the loopback for the tests of the network. */
#ifndef HAECHI_TESTS_SOURCE_SOCKETS_H
#define HAECHI_TESTS_SOURCE_SOCKETS_H

#include "place.h"

/* A source that listens to `ports` UDP ports of the kernel's choice (and reads paths). */
hx_source *listen_open(uint32_t ports, const char *path, uint32_t readers);
/* The same with one port whose receive buffer is so small that a flood overflows it. */
hx_source *listen_open_tiny(uint32_t readers);
uint16_t port_of(const hx_source *source, uint32_t input);
/* A UDP socket that is connected to a port of 127.0.0.1. */
int sender_open(uint16_t port);
void send_text(int fd, const char *text);

#endif
