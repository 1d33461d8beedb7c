/*
 * Protocols that are recognised by their first bytes (or only by what was agreed) and named: the
 * connection preface of HTTP/2 (RFC 9113 3.4), the identification line of SSH (RFC 4253 4.2). None
 * of them is dissected here.
 */
#include "named.h"

#include <string.h>

#include "reader.h"

static int prefix(const uint8_t *data, size_t len, const char *expected)
{
    size_t whole = strlen(expected);
    if (memcmp(data, expected, len < whole ? len : whole) != 0)
        return -1;
    return len >= whole ? 1 : 0;
}

/* A server begins with a SETTINGS frame: length a multiple of 6, type 4, flags 0, stream 0. */
static int http2_server(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    uint32_t length = reader_u24(&r);
    if (len < 9) /* refuse as soon as the bytes that are here cannot be a small SETTINGS frame */
        return len > 0 && data[0] != 0 ? -1 : len > 3 && data[3] != 4 ? -1 : 0;
    uint8_t type = reader_u8(&r);
    uint8_t flags = reader_u8(&r);
    uint32_t stream = reader_u32(&r);
    return length % 6 == 0 && length < 1024 && type == 4 && flags == 0 && stream == 0 ? 60 : -1;
}

static int http2_probe(enum side side, const uint8_t *data, size_t len)
{
    if (side == SERVER)
        return http2_server(data, len);
    int is = prefix(data, len, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    return is > 0 ? 100 : is;
}

static int ssh_probe(enum side side, const uint8_t *data, size_t len)
{
    (void)side;
    int is = prefix(data, len, "SSH-");
    return is > 0 ? 95 : is;
}

const struct dissector http2_named = {.name = "http2", .probe = http2_probe};
const struct dissector ssh_named = {.name = "ssh", .probe = ssh_probe};
const struct dissector gssapi_named = {.name = "gssapi"};
