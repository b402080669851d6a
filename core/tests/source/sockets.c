#include "sockets.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static const uint16_t any_ports[HX_NET_PORTS_MAX];

static hx_source *open_source(const hx_listen_config *of, const char *path, uint32_t readers)
{
    static hx_listen_config listen;
    const char *const paths[] = {path};
    hx_source_config config = {.paths = paths,
                               .path_count = path != NULL,
                               .follow = true,
                               .poll_ms = 10,
                               .listen = &listen,
                               .listen_count = 1,
                               .readers = readers};
    hx_source *source;
    hx_error err = {""};

    listen = *of;
    if (hx_source_create(&config, &source, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return source;
}

hx_source *listen_open(uint32_t ports, const char *path, uint32_t readers)
{
    return open_source(
        &(hx_listen_config){.transport = HX_UDP, .ports = any_ports, .port_count = ports}, path,
        readers);
}

hx_source *listen_open_tiny(uint32_t readers)
{
    return open_source(&(hx_listen_config){.transport = HX_UDP,
                                           .ports = any_ports,
                                           .port_count = 1,
                                           .buffer_bytes = 4096,
                                           .plain = true},
                       NULL, readers);
}

uint16_t port_of(const hx_source *source, uint32_t input)
{
    hx_source_port ports[HX_NET_PORTS_MAX];

    CHECK(input < hx_source_ports(source, ports));
    return ports[input].port;
}

int sender_open(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

void send_text(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), 0), strlen(text));
}
