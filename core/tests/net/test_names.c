#include "../check.h"

#include <haechi/net.h>

#include <arpa/inet.h>

static void test_ports(void)
{
    static const struct {
        const char *text;
        int rc;
        uint32_t count;
        uint16_t first, last;
        const char *said; /* by the sentence of a refusal */
    } cases[] = {
        {"514", 0, 1, 514, 514, NULL},
        {"514-553", 0, 40, 514, 553, NULL},
        {"514,601,6000-6003", 0, 6, 514, 6003, NULL},
        {"6000,514", 0, 2, 6000, 514, NULL},
        {"65535", 0, 1, 65535, 65535, NULL},
        {"7-7", 0, 1, 7, 7, NULL},
        {"1000-2023", 0, 1024, 1000, 2023, NULL},
        {"1000-2024", HX_EINVAL, 0, 0, 0, "more than 1024"},
        {"1-65535", HX_EINVAL, 0, 0, 0, "more than 1024"},
        {"514,514", HX_EINVAL, 0, 0, 0, "514 is named twice"},
        {"514-520,516", HX_EINVAL, 0, 0, 0, "516 is named twice"},
        {"553-514", HX_EINVAL, 0, 0, 0, "backwards"},
        {"", HX_EINVAL, 0, 0, 0, "expected"},
        {NULL, HX_EINVAL, 0, 0, 0, "expected"},
        {"0", HX_EINVAL, 0, 0, 0, "expected"},
        {"65536", HX_EINVAL, 0, 0, 0, "expected"},
        {"99999999999999999999", HX_EINVAL, 0, 0, 0, "expected"},
        {"514-", HX_EINVAL, 0, 0, 0, "expected"},
        {"-514", HX_EINVAL, 0, 0, 0, "expected"},
        {"514,", HX_EINVAL, 0, 0, 0, "expected"},
        {",514", HX_EINVAL, 0, 0, 0, "expected"},
        {"514 ", HX_EINVAL, 0, 0, 0, "expected"},
        {"51a", HX_EINVAL, 0, 0, 0, "not \"a\""},
        {"1-2-3", HX_EINVAL, 0, 0, 0, "expected"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint16_t ports[HX_NET_PORTS_MAX];
        uint32_t count;
        hx_error err = {""};

        CHECK_INT(hx_net_ports(cases[i].text, ports, &count, &err), cases[i].rc);
        if (cases[i].rc) {
            CHECK(strstr(err.text, cases[i].said));
            continue;
        }
        CHECK_INT(count, cases[i].count);
        CHECK_INT(ports[0], cases[i].first);
        CHECK_INT(ports[count - 1], cases[i].last);
    }
}

static void test_addresses(void)
{
    static const struct {
        const char *text;
        int rc, family;
        const char *want;
    } cases[] = {
        {"127.0.0.1", 0, AF_INET, "127.0.0.1"},
        {"10.1.2.3", 0, AF_INET, "10.1.2.3"},
        {"::1", 0, AF_INET6, "::1"},
        {"[::1]", 0, AF_INET6, "::1"},
        {"2001:db8::5", 0, AF_INET6, "2001:db8::5"},
        {"::", 0, AF_INET6, "::"},
        {"0.0.0.0", 0, AF_INET, "0.0.0.0"},
        {"", HX_EINVAL, 0, NULL},
        {NULL, HX_EINVAL, 0, NULL},
        {"1.2.3.4.5.invalid", HX_ENOTFOUND, 0, NULL},
        {"no such name", HX_ENOTFOUND, 0, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sockaddr_storage address;
        char text[INET6_ADDRSTRLEN];
        socklen_t len = 0;
        hx_error err = {""};
        const struct sockaddr_in *v4 = (const void *)&address;
        const struct sockaddr_in6 *v6 = (const void *)&address;

        CHECK_INT(hx_net_address(cases[i].text, 514, &address, &len, &err), cases[i].rc);
        if (cases[i].rc) {
            CHECK(err.text[0]);
            continue;
        }
        CHECK_INT(address.ss_family, cases[i].family);
        CHECK_INT(len, cases[i].family == AF_INET ? sizeof *v4 : sizeof *v6);
        CHECK(inet_ntop(cases[i].family,
                        cases[i].family == AF_INET ? (const void *)&v4->sin_addr
                                                   : (const void *)&v6->sin6_addr,
                        text, sizeof text));
        CHECK_BYTES(text, strlen(text), cases[i].want, strlen(cases[i].want));
        CHECK_INT(ntohs(cases[i].family == AF_INET ? v4->sin_port : v6->sin6_port), 514);
    }
}

static void test_other_names(void)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    char *long_name = malloc(301);

    CHECK_INT(hx_net_address("*", 1, &address, &len, NULL), 0);
    CHECK(address.ss_family == AF_INET6 || address.ss_family == AF_INET);
    CHECK_INT(hx_net_address("localhost", 1, &address, &len, NULL), 0);
    memset(long_name, 'a', 300);
    long_name[300] = '\0';
    CHECK_INT(hx_net_address(long_name, 1, &address, &len, NULL), HX_EINVAL);
    free(long_name);
}

int main(void)
{
    test_ports();
    test_addresses();
    test_other_names();
    return 0;
}
