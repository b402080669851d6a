#include <haechi/net.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 255 };

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

/* Both families with one socket where the machine has IPv6, else IPv4 alone. */
static int every_address(struct sockaddr_storage *out, socklen_t *len)
{
    int probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (probe >= 0) {
        close(probe);
        out->ss_family = AF_INET6;
        *len = sizeof(struct sockaddr_in6);
    } else {
        out->ss_family = AF_INET;
        *len = sizeof(struct sockaddr_in);
    }
    return 0;
}

static int look_up(const char *name, struct sockaddr_storage *out, socklen_t *len)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM}, *found = NULL;
    int rc;

    hints.ai_flags = AI_NUMERICHOST;
    rc = getaddrinfo(name, NULL, &hints, &found);
    if (rc == EAI_NONAME) {
        hints.ai_flags = AI_ADDRCONFIG;
        rc = getaddrinfo(name, NULL, &hints, &found);
    }
    if (rc)
        return rc;
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int hx_net_address(const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *len,
                   hx_error *err)
{
    char name[NAME_MAX_BYTES + 1];
    size_t n = text ? strlen(text) : 0;
    int rc;

    memset(out, 0, sizeof *out);
    if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n == 0 || n > NAME_MAX_BYTES)
        return hx_error_set(err, HX_EINVAL,
                            "an address of %zu characters: give an IPv4 or IPv6 address, a host "
                            "name of at most %d characters, or *",
                            n, NAME_MAX_BYTES);
    memcpy(name, text, n);
    name[n] = '\0';
    rc = strcmp(name, "*") == 0 ? every_address(out, len) : look_up(name, out, len);
    if (rc)
        return hx_error_set(err, HX_ENOTFOUND,
                            "\"%s\" is no IPv4 or IPv6 address and no host name that is known "
                            "here: %s",
                            name, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    set_port(out, port);
    return 0;
}

/* A port number at *at, which is moved behind it; 0 where there is none. */
static uint32_t read_port(const char **at)
{
    uint32_t port = 0;
    const char *p = *at;

    while (*p >= '0' && *p <= '9' && port <= 65535)
        port = port * 10 + (uint32_t)(*p++ - '0');
    if (port > 65535 || p == *at)
        return 0;
    *at = p;
    return port;
}

static int add_port(const char *text, uint16_t port, uint16_t *ports, uint32_t *count,
                    hx_error *err)
{
    for (uint32_t i = 0; i < *count; i++)
        if (ports[i] == port)
            return hx_error_set(err, HX_EINVAL, "ports \"%s\": %u is named twice", text, port);
    if (*count == HX_NET_PORTS_MAX)
        return hx_error_set(err, HX_EINVAL, "ports \"%s\": more than %d ports", text,
                            HX_NET_PORTS_MAX);
    ports[(*count)++] = port;
    return 0;
}

int hx_net_ports(const char *text, uint16_t *ports, uint32_t *count, hx_error *err)
{
    const char *at = text ? text : "";
    int rc;

    *count = 0;
    for (;;) {
        uint32_t first = read_port(&at), last = first;

        if (first && *at == '-') {
            at++;
            last = read_port(&at);
        }
        if (!first || !last || (*at && *at != ','))
            return hx_error_set(err, HX_EINVAL,
                                "ports \"%s\": expected ports of 1 to 65535 such as 514, 514-553 "
                                "or 514,6000-6003, not \"%.20s\"",
                                text ? text : "", at);
        if (last < first)
            return hx_error_set(err, HX_EINVAL, "ports \"%s\": %u-%u runs backwards", text, first,
                                last);
        for (uint32_t port = first; port <= last; port++) {
            rc = add_port(text, (uint16_t)port, ports, count, err);
            if (rc)
                return rc;
        }
        if (!*at)
            return 0;
        at++;
    }
}
