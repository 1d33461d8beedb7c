/*
 * Where bytes of a connection are not known to be HTTP any more: what they prove about an answer
 * that was lost, and where the next message begins after a gap.
 */
#include <string.h>

#include "http1_private.h"

/* --- the next message --- */

enum { WINDOW = 8192 }; /* of a line that is looked at, from its end */

static size_t strip_end(const uint8_t *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    return len;
}

/* A body may end right in front of the request line, without a line end between. */
size_t http1_find_request(const uint8_t *line, size_t len)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS",
                                          "PATCH", "CONNECT"};
    size_t end = strip_end(line, len), lowest = len > WINDOW ? len - WINDOW : 0;
    if (end < lowest + 14 || memcmp(line + end - 9, " HTTP/1.", 8) != 0 || line[end - 1] < '0' ||
        line[end - 1] > '9')
        return len;
    size_t target = end - 9;
    while (target > lowest && line[target - 1] > ' ' && line[target - 1] != 0x7f)
        target--;
    if (target == end - 9 || target <= lowest || line[target - 1] != ' ')
        return len;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        size_t method = strlen(methods[i]);
        if (target - 1 >= lowest + method &&
            memcmp(line + target - 1 - method, methods[i], method) == 0)
            return target - 1 - method;
    }
    return len;
}

size_t http1_find_status(const uint8_t *line, size_t len)
{
    for (size_t at = len > WINDOW ? len - WINDOW : 0; at + 13 <= len; at++) {
        const uint8_t *h = memchr(line + at, 'H', len - at - 12);
        if (h == NULL)
            break;
        at = (size_t)(h - line);
        if (http1_status_probe(line + at, len - at) > 0)
            return at;
    }
    return len;
}

/* --- proofs --- */

int http1_sent_before(const struct http1 *http, uint64_t end)
{
    if (layer_held(http->layer, CLIENT) == 0)
        return 0;
    struct mark first = layer_mark(http->layer, CLIENT, layer_offset(http->layer, CLIENT));
    struct mark grant = layer_mark(http->layer, SERVER, end - 1);
    return first.acked_valid && first.acked <= grant.root_offset;
}

static enum http1_proof proof_of(int sure, enum http1_proof proof)
{
    return sure > 0 ? proof : sure == 0 ? HTTP1_PROOF_MORE : HTTP1_PROOF_NONE;
}

/* HTTP behind a CONNECT is the tunnel's own where it is not spoken to a proxy. */
static enum http1_proof prove_request(const struct http1_attempt *attempt, const uint8_t *data,
                                      size_t len)
{
    enum http1_proof proof = proof_of(http1_request_probe(data, len), HTTP1_PROOF_HTTP);
    if (proof != HTTP1_PROOF_HTTP || attempt->upgrade.mechanism != MECHANISM_CONNECT)
        return proof;
    const uint8_t *target = memchr(data, ' ', len);
    size_t at = target != NULL ? (size_t)(target - data) + 1 : len;
    return at < len && data[at] == '/' ? HTTP1_PROOF_SWITCH : HTTP1_PROOF_HTTP;
}

static const char *expected_protocol(const struct http1_attempt *attempt)
{
    struct text token = upgrade_first_token(&attempt->request);
    if (text_is(token, "h2c") || text_is(token, "h2"))
        return "http2";
    return http_text_begins(token, "TLS/") ? "tls" : NULL;
}

enum http1_proof http1_prove(const struct http1 *http, const struct http1_attempt *attempt,
                             enum side side, const uint8_t *data, size_t len)
{
    static const char *const common[] = {"tls", "ssh", "http2"};
    if (len == 0)
        return HTTP1_PROOF_NONE;
    enum http1_proof proof = side == CLIENT
                                 ? prove_request(attempt, data, len)
                                 : proof_of(http1_status_probe(data, len), HTTP1_PROOF_HTTP);
    if (proof == HTTP1_PROOF_HTTP || proof == HTTP1_PROOF_SWITCH)
        return proof;
    int more = proof == HTTP1_PROOF_MORE;
    if (attempt->upgrade.websocket) {
        int sure = layer_probe(http->layer, "websocket", side, data, len);
        /* Right behind the request, what begins like a masked frame and not like a request needs
         * no further frames to be believed. */
        if (sure > 0 || (sure == 0 && side == CLIENT && !more && len >= 2))
            return HTTP1_PROOF_SWITCH;
        return more || sure == 0 ? HTTP1_PROOF_MORE : HTTP1_PROOF_NONE;
    }
    const char *expected = expected_protocol(attempt);
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        if (expected != NULL && strcmp(expected, common[i]) != 0)
            continue;
        int sure = layer_probe(http->layer, common[i], side, data, len);
        if (sure > 0)
            return HTTP1_PROOF_SWITCH;
        more |= sure == 0;
    }
    /* The client's bytes follow its request without a gap: what is not HTTP there is the new
     * protocol. The server's may be the rest of any body. */
    if (more)
        return HTTP1_PROOF_MORE;
    return side == CLIENT && expected == NULL ? HTTP1_PROOF_SWITCH : HTTP1_PROOF_NONE;
}
