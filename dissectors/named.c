/*
 * Protocols that are named and not dissected: SSH, by its identification line (RFC 4253 4.2), and
 * GSSAPI, by what was agreed.
 */
#include "named.h"

#include <string.h>

static int ssh_probe(enum side side, const uint8_t *data, size_t len)
{
    static const char start[] = "SSH-";
    size_t whole = sizeof start - 1;
    (void)side;
    if (memcmp(data, start, len < whole ? len : whole) != 0)
        return -1;
    return len >= whole ? 95 : 0;
}

const struct dissector ssh_named = {.name = "ssh", .probe = ssh_probe};
const struct dissector gssapi_named = {.name = "gssapi"};
