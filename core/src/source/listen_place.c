#include <haechi/source.h>

#include <stdio.h>

static int refuse(const char *text, hx_error *err)
{
    return hx_error_set(err, HX_EINVAL,
                        "\"%.100s\" is no place to listen: ADDRESS:PORTS is needed, such as "
                        "127.0.0.1:514-553, [::1]:514 or, on this machine alone, 514",
                        text);
}

int hx_listen_place_parse(const char *text, hx_listen_place *out, hx_error *err)
{
    const char *colon = strrchr(text, ':'), *address = text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    hx_error why = {{0}};
    int rc;

    memset(out, 0, sizeof *out);
    if (text[0] == '[') {
        const char *close = strchr(text, ']');

        if (!close || close[1] != ':' || close == text + 1)
            return refuse(text, err);
        colon = close + 1;
        address = text + 1;
        len = (size_t)(close - address);
    } else if (colon && (len == 0 || memchr(text, ':', len))) {
        return refuse(text, err); /* an IPv6 address without its brackets */
    }
    if (len >= sizeof out->address)
        return refuse(text, err);
    if (colon)
        memcpy(out->address, address, len);
    else
        memcpy(out->address, "127.0.0.1", sizeof "127.0.0.1");
    rc = hx_net_ports(colon ? colon + 1 : text, out->ports, &out->port_count, &why);
    return rc ? hx_error_set(err, HX_EINVAL, "%.100s: %s", text, why.text) : 0;
}
