#include "datagrams.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

void sender_open(sender *s, int family, uint16_t port, uint64_t run, uint32_t stream)
{
    struct sockaddr_storage to;
    socklen_t len;

    *s = (sender){.totals = {.run = run, .stream = stream}};
    CHECK_INT(hx_net_address(family == AF_INET6 ? "::1" : "127.0.0.1", port, &to, &len, NULL), 0);
    s->fd = socket(family, SOCK_DGRAM, 0);
    CHECK(s->fd >= 0);
    CHECK_INT(connect(s->fd, (struct sockaddr *)&to, len), 0);
}

void sender_close(sender *s)
{
    close(s->fd);
}

void sender_send(sender *s, const char *bytes, size_t len)
{
    CHECK_INT(send(s->fd, bytes, len, 0), len);
    s->totals.events += len != 0;
    s->totals.bytes += len;
}

void sender_send_run(sender *s, const char *bytes, size_t len, uint32_t stride)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct iovec place = {(void *)bytes, len};
    struct msghdr header = {.msg_iov = &place,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    uint16_t size = (uint16_t)stride;

    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(c), &size, sizeof size);
    CHECK_INT(sendmsg(s->fd, &header, 0), len);
    s->totals.events += (len + stride - 1) / stride;
    s->totals.bytes += len;
}

uint32_t sender_mark(sender *s, hx_mark_kind kind, char *out)
{
    uint32_t len;

    s->totals.kind = kind;
    s->totals.controls++;
    s->totals.time_ns = 1756548930000000000;
    len = hx_mark_format(&s->totals, out);
    s->totals.sequence++;
    return len;
}

void sender_send_mark(sender *s, hx_mark_kind kind)
{
    char text[HX_MARK_MAX];
    uint32_t len = sender_mark(s, kind, text);

    CHECK_INT(send(s->fd, text, len, 0), len);
}

bool sender_has_report(sender *s)
{
    struct pollfd fd = {s->fd, POLLIN, 0};

    return poll(&fd, 1, 0) == 1;
}

void sender_report(sender *s, hx_mark *report)
{
    struct pollfd fd = {s->fd, POLLIN, 0};
    char text[HX_MARK_MAX + 1];
    ssize_t len;

    CHECK_INT(poll(&fd, 1, 20000), 1);
    len = recv(s->fd, text, sizeof text, 0);
    CHECK(len > 0 && len <= HX_MARK_MAX);
    CHECK_INT(hx_mark_parse(hx_slice_make(text, (size_t)len), report), HX_MARK_REPORT);
}
