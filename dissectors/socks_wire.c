/*
 * Messages of SOCKS 4, 4a and 5, and what makes bytes look like them. A greeting of three bytes may
 * be anybody's, and so may the beginning of SOCKS 4: they are believed where the server answers in
 * kind, or where the client sends the rest of the handshake ahead.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "socks.h"

enum {
    STRING_MOST = 256, /* of SOCKS4: user id and name, with their NUL */
    METHODS_MOST = 32,
    TOR_RESOLVE = 0xf0,
    TOR_RESOLVE_PTR = 0xf1
};

/* --- messages --- */

static int known_method(uint8_t method)
{
    return method < 10 || method >= 0x80;
}

enum socks_read socks_read_greeting(struct reader *r, struct socks_greeting *greeting)
{
    *greeting = (struct socks_greeting){.methods = 0};
    int version = reader_peek(r, 0), count = reader_peek(r, 1);
    if ((version >= 0 && version != 5) || count == 0 || count > METHODS_MOST)
        return SOCKS_BAD;
    reader_skip(r, 2);
    if (r->failed)
        return SOCKS_MORE;
    for (int i = 0; i < count; i++) {
        uint8_t method = reader_u8(r);
        if (r->failed)
            return SOCKS_MORE;
        if (!known_method(method) || method == SOCKS_REFUSED)
            return SOCKS_BAD;
        if (method < 32)
            greeting->methods |= UINT32_C(1) << method;
        greeting->others |= method > SOCKS_PASSWORD;
    }
    return SOCKS_WHOLE;
}

enum socks_read socks_read_password(struct reader *r)
{
    uint8_t version = reader_u8(r);
    uint8_t user = reader_u8(r);
    if (!r->failed && version != 1)
        return SOCKS_BAD;
    reader_skip(r, user);
    reader_skip(r, reader_u8(r));
    return r->failed ? SOCKS_MORE : SOCKS_WHOLE;
}

enum socks_read socks_read_gssapi(struct reader *r, unsigned *type)
{
    uint8_t version = reader_u8(r);
    *type = reader_u8(r);
    if (r->failed)
        return SOCKS_MORE;
    if (version != 1 || *type == 0 || (*type > 3 && *type != SOCKS_REFUSED))
        return SOCKS_BAD;
    if (*type == SOCKS_REFUSED) /* given up: nothing stands behind it */
        return SOCKS_WHOLE;
    reader_skip(r, reader_u16(r));
    return r->failed ? SOCKS_MORE : SOCKS_WHOLE;
}

enum socks_read socks_read_request5(struct reader *r, struct socks_request *request)
{
    static const uint8_t sizes[] = {[1] = 4, [4] = 16};
    *request = (struct socks_request){.command = 0};
    int version = reader_peek(r, 0);
    if (version >= 0 && version != 5)
        return SOCKS_BAD;
    reader_skip(r, 1);
    request->command = reader_u8(r);
    request->reserved = reader_u8(r);
    request->type = reader_u8(r);
    if (r->failed)
        return SOCKS_MORE;
    if (request->type != 1 && request->type != 3 && request->type != 4)
        return SOCKS_BAD;
    request->address_len = request->type == 3 ? reader_u8(r) : sizes[request->type];
    (void)reader_take(r, request->address_len, &request->address);
    request->port = reader_u16(r);
    return r->failed ? SOCKS_MORE : SOCKS_WHOLE;
}

/* Up to a NUL, printable. */
static enum socks_read read_string(struct reader *r, const uint8_t **string, size_t *len)
{
    for (size_t i = 0; i < STRING_MOST; i++) {
        int byte = reader_peek(r, i);
        if (byte < 0)
            return SOCKS_MORE;
        if (byte == 0) {
            *len = i;
            (void)reader_take(r, i, string);
            reader_skip(r, 1);
            return SOCKS_WHOLE;
        }
        if (byte < 32 || byte == 127)
            return SOCKS_BAD;
    }
    return SOCKS_BAD;
}

enum socks_read socks_read_request4(struct reader *r, struct socks_request *request)
{
    *request = (struct socks_request){.type = 1, .address_len = 4};
    int version = reader_peek(r, 0), command = reader_peek(r, 1);
    if ((version >= 0 && version != 4) ||
        (command >= 0 && command != SOCKS_CONNECT && command != SOCKS_BIND))
        return SOCKS_BAD;
    reader_skip(r, 1);
    request->command = reader_u8(r);
    request->port = reader_u16(r);
    (void)reader_take(r, 4, &request->address);
    if (r->failed)
        return SOCKS_MORE;
    const uint8_t *user;
    size_t len;
    enum socks_read read = read_string(r, &user, &len);
    if (read != SOCKS_WHOLE || memcmp(request->address, "\0\0\0", 3) != 0 ||
        request->address[3] == 0)
        return read;
    request->type = 3; /* 0.0.0.x: the name follows (4a) */
    return read_string(r, &request->address, &request->address_len);
}

/* --- the target --- */

size_t socks_target(const struct socks_request *request, char target[SOCKS_TARGET_MOST],
                    size_t *host_len)
{
    char text[INET6_ADDRSTRLEN] = "";
    size_t len = 0;
    if (request->type == 3) {
        len = request->address_len < 255 ? request->address_len : 255;
        if (len > 0)
            memcpy(target, request->address, len);
    } else {
        int family = request->type == 1 ? AF_INET : AF_INET6;
        (void)inet_ntop(family, request->address, text, sizeof text);
        len = (size_t)snprintf(target, SOCKS_TARGET_MOST, family == AF_INET6 ? "[%s]" : "%s",
                               text);
    }
    *host_len = len;
    return len + (size_t)snprintf(target + len, SOCKS_TARGET_MOST - len, ":%u", request->port);
}

/* --- recognition --- */

enum { FITS = 5, LIKELY = 8, SURE = 60 };

static int is_name(const uint8_t *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] >= 127)
            return 0;
    return len > 0;
}

static int known_command(int command)
{
    return (command >= SOCKS_CONNECT && command <= SOCKS_UDP_ASSOCIATE) ||
           command == TOR_RESOLVE || command == TOR_RESOLVE_PTR;
}

/* What follows the greeting and its authentication. */
static int probe_request5(struct reader *r)
{
    struct socks_request request;
    int command = reader_peek(r, 1), reserved = reader_peek(r, 2);
    if ((command >= 0 && !known_command(command)) || reserved > 0)
        return -1;
    enum socks_read read = socks_read_request5(r, &request);
    if (read != SOCKS_WHOLE)
        return read == SOCKS_MORE ? 0 : -1;
    return request.type != 3 || is_name(request.address, request.address_len) ? SURE : -1;
}

/* A message that carries the first token of a mechanism (RFC 2743 3.1). */
static int probe_gssapi(const struct reader *r)
{
    int type = reader_peek(r, 1), token = reader_peek(r, 4);
    return (type >= 0 && type != 1) || (token >= 0 && token != 0x60) ? -1 : FITS;
}

static int probe5(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    struct socks_greeting greeting;
    enum socks_read read = socks_read_greeting(&r, &greeting);
    if (read != SOCKS_WHOLE)
        return read == SOCKS_MORE ? 0 : -1;
    if ((greeting.methods & 7) == 0)
        return -1;
    struct reader behind = reader_of(data + r.at, len - r.at);
    int next = reader_peek(&behind, 0);
    if (next < 0)
        return FITS;
    read = SOCKS_WHOLE;
    if (next == 1 && (greeting.methods & 1 << SOCKS_PASSWORD) != 0 && reader_peek(&behind, 1) != 0)
        read = socks_read_password(&behind);
    else if (next == 1 && (greeting.methods & 1 << SOCKS_GSSAPI) != 0)
        return probe_gssapi(&behind);
    else if (next == 1 && greeting.others) /* as those methods begin that are known */
        return FITS;
    else if (next != 5)
        return -1;
    struct reader request = reader_of(behind.data + behind.at, behind.len - behind.at);
    int sure = read == SOCKS_WHOLE ? probe_request5(&request) : 0;
    return sure == 0 ? FITS : sure;
}

/* To a name: SOCKS4a, which hardly anything else looks like. */
static int probe4(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    struct socks_request request;
    enum socks_read read = socks_read_request4(&r, &request);
    if (read == SOCKS_BAD || (len >= 4 && request.port == 0))
        return -1;
    if (read == SOCKS_MORE)
        return 0;
    if (request.type == 3)
        return is_name(request.address, request.address_len) ? SURE : -1;
    return request.address[0] > 0 && request.address[0] < 224 ? LIKELY : -1;
}

static int probe_server(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    uint8_t first = reader_u8(&r), second = reader_u8(&r);
    if (first != 5 && first != 0)
        return -1;
    if (r.failed)
        return 0;
    if (first == 0) {
        int code = second >= SOCKS4_GRANTED && second <= SOCKS4_LAST;
        return !code ? -1 : len >= 8 ? LIKELY : 0;
    }
    int third = reader_peek(&r, 0);
    if (!known_method(second) || (third >= 0 && second == SOCKS_REFUSED))
        return -1;
    return third < 0 || third == 5 || third == 1 ? FITS : -1;
}

int socks_probe(enum side side, const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    if (side == SERVER)
        return probe_server(data, len);
    return data[0] == 5 ? probe5(data, len) : data[0] == 4 ? probe4(data, len) : -1;
}
