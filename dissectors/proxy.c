/*
 * The PROXY protocol of haproxy ("proxy-protocol.txt", versions 1 and 2): a header in front of a
 * connection that says who the client behind the proxy is. It is read, and whatever begins behind
 * it is found by its bytes, as at the beginning of a connection. What a receiver would have to
 * reject is no header; a version 2 of an unknown family is passed over by its length.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "line.h"
#include "reader.h"

enum {
    LINE_MOST = 107,
    HEADER = 16,
    GREETING_MOST = 512, /* of a server, seen before the header that it came after */
    LOCAL = 0,
    PROXIED = 1,
    UNIX_PATH = 108
};

enum { INET = 1, INET6 = 2, UNIX = 3 }; /* families of version 2 */
enum { DATAGRAM = 2 };                  /* transport */

enum { /* types of version 2's additions, and below TLV_SSL of its parts */
    TLV_ALPN = 1,
    TLV_AUTHORITY = 2,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    CLIENT_SSL = 1
};

static const uint8_t signature[12] = {13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10};

/* --- recognition --- */

/* < 0, 0, > 0 as a probe says it. */
static int begins(const uint8_t *data, size_t len, const void *word, size_t whole)
{
    if (memcmp(data, word, len < whole ? len : whole) != 0)
        return -1;
    return len >= whole;
}

static int probe_line(const uint8_t *data, size_t len)
{
    static const char *const words[] = {"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN ",
                                        "PROXY UNKNOWN\r\n"};
    int may = -1;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        int is = begins(data, len, words[i], strlen(words[i]));
        if (is > 0)
            return 90;
        may = is == 0 ? 0 : may;
    }
    return may;
}

static int probe_binary(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    int is = begins(data, len, signature, sizeof signature);
    if (is <= 0)
        return is;
    reader_skip(&r, sizeof signature);
    int command = reader_peek(&r, 0);
    return command < 0 ? 0 : command >> 4 == 2 && (command & 15) <= PROXIED ? 95 : -1;
}

/* The proxy is the client, and speaks first. */
static int proxy_probe(enum side side, const uint8_t *data, size_t len)
{
    if (side == SERVER)
        return len <= GREETING_MOST ? 0 : -1;
    if (len == 0)
        return 0;
    return data[0] == signature[0] ? probe_binary(data, len) : probe_line(data, len);
}

static struct result header_ends(struct layer *layer, struct detail *detail, size_t consumed)
{
    struct handover nothing = {.session = 0};
    layer_detail(layer, detail_json(detail));
    (void)layer_switch(layer, &nothing); /* -1 is reported, and the rest becomes opaque */
    return (struct result){.verdict = V_SWITCHED, .consumed = consumed};
}

/* --- endpoints --- */

static void add_endpoint(struct detail *detail, const char *name, int family, const void *bytes,
                         unsigned port)
{
    char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 10];
    if (inet_ntop(family, bytes, address, sizeof address) == NULL)
        return;
    int len = snprintf(text, sizeof text, family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, port);
    detail_text(detail, name, (struct text){text, (size_t)len});
}

static void add_path(struct detail *detail, const char *name, struct reader *body)
{
    const uint8_t *path;
    if (reader_take(body, UNIX_PATH, &path))
        detail_text(detail, name,
                    (struct text){(const char *)path, strnlen((const char *)path, UNIX_PATH)});
}

/* --- version 1 --- */

/* Digits without leading zeros, up to 65535. -1: it is none. */
static int read_port(struct text word)
{
    int port = 0;
    if (word.len == 0 || word.len > 5 || (word.len > 1 && word.data[0] == '0'))
        return -1;
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return -1;
        port = port * 10 + (word.data[i] - '0');
    }
    return port <= 65535 ? port : -1;
}

static int read_address(int family, struct text word, uint8_t bytes[16])
{
    char address[INET6_ADDRSTRLEN];
    if (word.len == 0 || word.len >= sizeof address)
        return 0;
    memcpy(address, word.data, word.len);
    address[word.len] = '\0';
    return strlen(address) == word.len && inet_pton(family, address, bytes) == 1;
}

/* Source, destination and their ports, one space between them. 0: they are not. */
static int read_endpoints(struct text rest, int family, struct detail *detail)
{
    uint8_t source[16], target[16];
    int right = read_address(family, line_word(&rest), source);
    right = read_address(family, line_word(&rest), target) && right;
    int from = read_port(line_word(&rest)), to = read_port(line_word(&rest));
    if (!right || from < 0 || to < 0 || rest.len > 0)
        return 0;
    add_endpoint(detail, "source", family, source, (unsigned)from);
    add_endpoint(detail, "destination", family, target, (unsigned)to);
    return 1;
}

static struct result version1(struct layer *layer, const struct slice *slice)
{
    struct line line;
    struct detail detail = {.len = 0};
    if (!line_take(slice, LINE_MOST, &line))
        return line_wanted(slice);
    struct text rest = line.text;
    (void)line_word(&rest);
    struct text family = line_word(&rest);
    detail_number(&detail, "version", 1);
    if (family.len == 7) /* UNKNOWN: whatever follows is to be ignored */
        detail_text(&detail, "protocol", family);
    else if (family.len != 4 ||
             !read_endpoints(rest, family.data[3] == '6' ? AF_INET6 : AF_INET, &detail))
        line.bare_lf = 1;
    if (line.bare_lf || line.len == line.text.len) /* or without an end where it has to be */
        return (struct result){.verdict = V_LOST};
    return header_ends(layer, &detail, line.len);
}

/* --- version 2 --- */

static int next_tlv(struct reader *r, uint8_t *type, struct text *value)
{
    const uint8_t *bytes = NULL;
    *type = reader_u8(r);
    size_t len = reader_u16(r);
    if (!reader_take(r, len, &bytes))
        return 0;
    *value = (struct text){(const char *)bytes, len};
    return 1;
}

/* What the client spoke with the proxy, where that was TLS. */
static void add_ssl(struct detail *detail, struct text value)
{
    struct reader r = reader_of(value.data, value.len);
    uint8_t client = reader_u8(&r), type;
    struct text part, version = TEXT_LITERAL("yes");
    reader_skip(&r, 4); /* whether its certificate was right */
    if (r.failed || (client & CLIENT_SSL) == 0)
        return;
    while (next_tlv(&r, &type, &part))
        if (type == TLV_SSL_VERSION)
            version = part;
    detail_text(detail, "ssl", version);
}

static void add_tlvs(struct detail *detail, struct reader *body)
{
    uint8_t type;
    struct text value;
    while (next_tlv(body, &type, &value)) {
        if (type == TLV_ALPN)
            detail_text(detail, "alpn", value);
        else if (type == TLV_AUTHORITY)
            detail_text(detail, "authority", value);
        else if (type == TLV_SSL)
            add_ssl(detail, value);
    }
}

static void add_addresses(struct detail *detail, unsigned family, struct reader *body)
{
    int inet = family == INET ? AF_INET : AF_INET6;
    size_t size = family == INET ? 4 : 16;
    const uint8_t *source = NULL, *target = NULL;
    if (family == UNIX) {
        add_path(detail, "source", body);
        add_path(detail, "destination", body);
        return;
    }
    (void)reader_take(body, size, &source);
    (void)reader_take(body, size, &target);
    unsigned from = reader_u16(body), to = reader_u16(body);
    if (body->failed)
        return;
    add_endpoint(detail, "source", inet, source, from);
    add_endpoint(detail, "destination", inet, target, to);
}

static struct result version2(struct layer *layer, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    struct detail detail = {.len = 0};
    reader_skip(&r, sizeof signature);
    uint8_t command = reader_u8(&r) & 15, address = reader_u8(&r);
    uint16_t len = reader_u16(&r);
    if (r.failed)
        return (struct result){.verdict = V_NEED, .need = HEADER};
    if (reader_left(&r) < len)
        return (struct result){.verdict = V_NEED, .need = HEADER + (size_t)len};
    struct reader body = reader_of(slice->data + HEADER, len);
    unsigned family = address >> 4;
    detail_number(&detail, "version", 2);
    if (command == LOCAL) /* of the proxy itself: the addresses mean nothing */
        detail_text(&detail, "command", TEXT_LITERAL("LOCAL"));
    else if (family >= INET && family <= UNIX)
        add_addresses(&detail, family, &body);
    if (command == PROXIED && (address & 15) == DATAGRAM)
        detail_text(&detail, "protocol", TEXT_LITERAL("datagram"));
    else if (command == PROXIED && family == 0)
        detail_text(&detail, "protocol", TEXT_LITERAL("UNSPEC"));
    if (command == PROXIED && family <= UNIX && !body.failed)
        add_tlvs(&detail, &body);
    return header_ends(layer, &detail, HEADER + (size_t)len);
}

static struct result proxy_data(struct layer *layer, void *state, enum side side,
                                const struct slice *slice)
{
    (void)state;
    if (side == SERVER)
        return (struct result){.verdict = V_WAIT_PEER};
    return slice->data[0] == signature[0] ? version2(layer, slice) : version1(layer, slice);
}

/* No gap is survived: there is one message only. */
const struct dissector proxy_dissector = {
    .name = "proxy",
    .probe = proxy_probe,
    .data = proxy_data,
};
