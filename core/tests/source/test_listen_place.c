/* Where to listen, as people write it. */
#include "../check.h"

#include <haechi/source.h>

static const struct {
    const char *text, *address;
    uint32_t ports;
    uint16_t first, last;
} good[] = {
    {"514", "127.0.0.1", 1, 514, 514},
    {"514-553", "127.0.0.1", 40, 514, 553},
    {"127.0.0.1:514", "127.0.0.1", 1, 514, 514},
    {"0.0.0.0:514,601,6000-6001", "0.0.0.0", 4, 514, 6001},
    {"*:6514", "*", 1, 6514, 6514},
    {"[::1]:514-515", "::1", 2, 514, 515},
    {"logs.example:1514", "logs.example", 1, 1514, 1514},
};

static const char *const bad[] = {
    "",           "127.0.0.1", "127.0.0.1:", ":514",        "::1:514",       "[::1]",
    "[::1]514",   "[]:514",    "[::1:514",   "1.2.3.4:0",   "1.2.3.4:65536", "1.2.3.4:20-10",
    "1.2.3.4:1-", "a:b",       "514-1538",   "1.2.3.4:5,5",
};

int main(void)
{
    char long_name[400];
    hx_listen_place place;
    hx_error err;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK_INT(hx_listen_place_parse(good[i].text, &place, &err), 0);
        CHECK(strcmp(place.address, good[i].address) == 0);
        CHECK_INT(place.port_count, good[i].ports);
        CHECK_INT(place.ports[0], good[i].first);
        CHECK_INT(place.ports[place.port_count - 1], good[i].last);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err.text[0] = '\0';
        CHECK_INT(hx_listen_place_parse(bad[i], &place, &err), HX_EINVAL);
        CHECK(err.text[0] && strstr(err.text, bad[i]));
    }
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name + sizeof long_name - 4, ":14", 4);
    CHECK_INT(hx_listen_place_parse(long_name, &place, &err), HX_EINVAL);
    return 0;
}
