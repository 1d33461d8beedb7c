/*
 * ClientHello and ServerHello (RFC 8446 4.1, RFC 5246 7.4.1) with the extensions that say what was
 * agreed: server_name (RFC 6066 3), ALPN (RFC 7301), supported_versions, signature_algorithms,
 * session tickets (RFC 5077) and pre-shared keys. Everything borrowed, nothing trusted: a length
 * that runs over the end ends the reading.
 */
#include <string.h>

#include "reader.h"
#include "tls_private.h"

enum extension {
    SERVER_NAME = 0,
    SIGNATURE_ALGORITHMS = 13,
    ALPN = 16,
    ENCRYPT_THEN_MAC = 22,
    SESSION_TICKET = 35,
    PRE_SHARED_KEY = 41,
    EARLY_DATA = 42,
    SUPPORTED_VERSIONS = 43,
    KEY_SHARE = 51
};

/* The random of a ServerHello that is a HelloRetryRequest (RFC 8446 4.1.3). */
static const uint8_t retry_random[32] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

int tls_is_grease(uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

int tls_is_13(uint16_t version)
{
    return version == TLS_1_3 || version >> 8 == 0x7f;
}

static struct text take(struct reader *r, size_t len)
{
    const uint8_t *bytes;
    return reader_take(r, len, &bytes) ? (struct text){(const char *)bytes, len} : TEXT_NONE;
}

static struct text take_vector8(struct reader *r)
{
    return take(r, reader_u8(r));
}

static struct text take_vector16(struct reader *r)
{
    return take(r, reader_u16(r));
}

/* --- extensions --- */

/* The whole body is one list with a length of two bytes in front. TEXT_NONE: it is not. */
static struct text only_list(struct reader *r)
{
    struct text list = take_vector16(r);
    return r->failed || reader_left(r) > 0 ? TEXT_NONE : list;
}

static int read_server_name(struct reader *r, struct tls_hello *hello)
{
    struct text list = only_list(r);
    if (list.data == NULL)
        return -1;
    struct reader names = reader_of(list.data, list.len);
    while (reader_left(&names) > 0) {
        uint8_t type = reader_u8(&names);
        struct text name = take_vector16(&names);
        if (names.failed)
            return -1;
        if (type == 0 && hello->sni.data == NULL)
            hello->sni = name;
    }
    return 0;
}

int tls_alpn_next(struct text *list, struct text *name)
{
    struct reader r = reader_of(list->data, list->len);
    if (list->len == 0)
        return 0;
    *name = take_vector8(&r);
    *list = (struct text){list->data + r.at, list->len - r.at};
    return !r.failed;
}

static int read_alpn(struct reader *r, struct tls_hello *hello)
{
    struct text list = only_list(r), name;
    if (list.data == NULL)
        return -1;
    hello->alpn = list;
    while (tls_alpn_next(&list, &name))
        ;
    if (list.len == 0)
        return 0;
    hello->alpn.len -= list.len; /* the names in front of the flaw */
    return -1;
}

static int read_signatures(struct reader *r, struct tls_hello *hello)
{
    struct text list = only_list(r);
    if (list.data == NULL || list.len % 2 != 0)
        return -1;
    hello->signatures = list;
    return 0;
}

/* Offered: the highest that means something. */
static int read_versions(struct reader *r, struct tls_hello *hello)
{
    struct text list = take_vector8(r);
    if (r->failed || reader_left(r) > 0 || list.len % 2 != 0)
        return -1;
    struct reader versions = reader_of(list.data, list.len);
    hello->version = 0;
    while (reader_left(&versions) > 0) {
        uint16_t version = reader_u16(&versions);
        if (!tls_is_grease(version) && version > hello->version)
            hello->version = version;
    }
    return 0;
}

static int read_client(uint16_t type, struct reader *r, struct tls_hello *hello)
{
    switch (type) {
    case SERVER_NAME:
        return read_server_name(r, hello);
    case SIGNATURE_ALGORITHMS:
        return read_signatures(r, hello);
    case ALPN:
        return read_alpn(r, hello);
    case SESSION_TICKET:
        hello->ticket = reader_left(r) > 0;
        return 0;
    case PRE_SHARED_KEY:
        hello->psk = 1;
        return 0;
    case EARLY_DATA:
        hello->early = 1;
        return 0;
    case SUPPORTED_VERSIONS:
        return read_versions(r, hello);
    default:
        return 0;
    }
}

static int read_server(uint16_t type, struct reader *r, struct tls_hello *hello)
{
    switch (type) {
    case ALPN:
        return read_alpn(r, hello);
    case PRE_SHARED_KEY:
        hello->psk = 1;
        return 0;
    case EARLY_DATA:
        hello->early = 1;
        return 0;
    case ENCRYPT_THEN_MAC:
        hello->encrypt_then_mac = 1;
        return 0;
    case SUPPORTED_VERSIONS:
        hello->version = reader_u16(r);
        return r->failed ? -1 : 0;
    case KEY_SHARE:
        if (hello->retry)
            hello->group = reader_u16(r);
        return r->failed ? -1 : 0;
    default:
        return 0;
    }
}

static int read_extensions(struct reader *r, struct tls_hello *hello,
                           int (*read)(uint16_t, struct reader *, struct tls_hello *))
{
    if (reader_left(r) == 0) /* none: as before TLS 1.2 */
        return 0;
    struct text block = take_vector16(r);
    if (r->failed || reader_left(r) > 0)
        return -1;
    struct reader all = reader_of(block.data, block.len);
    while (reader_left(&all) > 0) {
        uint16_t type = reader_u16(&all);
        struct text body = take_vector16(&all);
        if (all.failed)
            return -1;
        struct reader inner = reader_of(body.data, body.len);
        if (read(type, &inner, hello) != 0)
            hello->flawed = 1;
    }
    hello->extensions = block;
    return 0;
}

/* --- messages --- */

int tls_client_hello(const uint8_t *body, size_t len, struct tls_hello *hello)
{
    struct reader r = reader_of(body, len);
    *hello = (struct tls_hello){.version = reader_u16(&r)};
    hello->random = take(&r, sizeof retry_random);
    hello->session_id = take_vector8(&r);
    hello->ciphers = take_vector16(&r);
    (void)take_vector8(&r); /* compression methods */
    if (r.failed || hello->ciphers.len % 2 != 0 || hello->session_id.len > TLS_SESSION_ID_MAX)
        return -1;
    return read_extensions(&r, hello, read_client);
}

int tls_server_hello(const uint8_t *body, size_t len, struct tls_hello *hello)
{
    struct reader r = reader_of(body, len);
    *hello = (struct tls_hello){.version = reader_u16(&r)};
    hello->random = take(&r, sizeof retry_random);
    hello->session_id = take_vector8(&r);
    hello->cipher = reader_u16(&r);
    hello->compressed = reader_u8(&r) != 0;
    if (r.failed || hello->session_id.len > TLS_SESSION_ID_MAX)
        return -1;
    hello->retry = memcmp(hello->random.data, retry_random, sizeof retry_random) == 0;
    return read_extensions(&r, hello, read_server);
}

int tls_encrypted_extensions(const uint8_t *body, size_t len, struct tls_hello *hello)
{
    struct reader r = reader_of(body, len);
    *hello = (struct tls_hello){.flawed = 0};
    return read_extensions(&r, hello, read_server);
}
