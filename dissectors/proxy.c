/*
 * The PROXY protocol of haproxy ("proxy-protocol.txt", versions 1 and 2): a header in front of a
 * connection that says who the client behind the proxy is. It is read, and whatever begins behind
 * it is found by its bytes, as at the beginning of a connection.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "line.h"
#include "reader.h"
#include "text.h"

enum {
    LINE_MOST = 107,
    HEADER = 16,
    BODY_MOST = 4096,
    TLV_ALPN = 1,
    TLV_AUTHORITY = 2,
    TLV_SSL = 0x20
};

static const uint8_t signature[12] = {13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10};

static int proxy_probe(enum side side, const uint8_t *data, size_t len)
{
    static const struct line_start words[] = {
        {"PROXY TCP4 ", 90}, {"PROXY TCP6 ", 90}, {"PROXY UNKNOWN", 90}};
    if (side == SERVER || len == 0) /* the proxy is the client, and alone says it */
        return 0;
    if (data[0] == signature[0])
        return memcmp(data, signature, len < sizeof signature ? len : sizeof signature) != 0 ? -1
               : len >= sizeof signature                                                    ? 95
                                                                                            : 0;
    return line_probe((struct text){(const char *)data, len}, words,
                      sizeof words / sizeof words[0]);
}

static struct result header_ends(struct layer *layer, struct detail *detail, size_t consumed)
{
    struct handover nothing = {.session = 0};
    layer_detail(layer, detail_json(detail));
    (void)layer_switch(layer, &nothing);
    return (struct result){.verdict = V_SWITCHED, .consumed = consumed};
}

/* --- version 1 --- */

static void add_endpoint(struct detail *detail, const char *name, int v6, struct text host,
                         struct text port)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s%.*s%s:%.*s", v6 ? "[" : "",
                       (int)(host.len < 45 ? host.len : 45), host.data, v6 ? "]" : "",
                       (int)(port.len < 5 ? port.len : 5), port.data);
    detail_text(detail, name, (struct text){text, (size_t)len});
}

static struct result version1(struct layer *layer, const struct slice *slice)
{
    struct line line;
    struct detail detail = {.len = 0};
    if (!line_take(slice, LINE_MOST, &line))
        return line_wanted(slice);
    if (line.len == line.text.len) /* no line end within what the specification allows */
        return (struct result){.verdict = V_LOST};
    struct text rest = line.text;
    (void)line_word(&rest);
    struct text family = line_word(&rest), source = line_word(&rest), target = line_word(&rest);
    struct text from = line_word(&rest), to = line_word(&rest);
    int v6 = text_is(family, "TCP6");
    detail_number(&detail, "version", 1);
    if (!text_is(family, "UNKNOWN") && to.len > 0) {
        add_endpoint(&detail, "source", v6, source, from);
        add_endpoint(&detail, "destination", v6, target, to);
    }
    return header_ends(layer, &detail, line.len);
}

/* --- version 2 --- */

static void add_address(struct detail *detail, const char *name, int family, const uint8_t *bytes,
                        unsigned port)
{
    char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 10];
    if (inet_ntop(family, bytes, address, sizeof address) == NULL)
        return;
    int len = snprintf(text, sizeof text, family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, port);
    detail_text(detail, name, (struct text){text, (size_t)len});
}

static void read_tlvs(struct reader *r, struct detail *detail)
{
    while (reader_left(r) > 0) {
        uint8_t type = reader_u8(r);
        uint16_t len = reader_u16(r);
        const uint8_t *value;
        if (!reader_take(r, len, &value))
            return;
        struct text text = {(const char *)value, len};
        if (type == TLV_ALPN)
            detail_text(detail, "alpn", text);
        else if (type == TLV_AUTHORITY)
            detail_text(detail, "authority", text);
        else if (type == TLV_SSL)
            detail_text(detail, "ssl", TEXT_LITERAL("the client spoke TLS to the proxy"));
    }
}

static struct result version2(struct layer *layer, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    struct detail detail = {.len = 0};
    reader_skip(&r, sizeof signature);
    uint8_t command = reader_u8(&r), family = reader_u8(&r) >> 4;
    uint16_t len = reader_u16(&r);
    if (r.failed)
        return (struct result){.verdict = V_NEED, .need = HEADER};
    if (command >> 4 != 2 || (command & 15) > 1 || len > BODY_MOST)
        return (struct result){.verdict = V_LOST};
    if (reader_left(&r) < len)
        return (struct result){.verdict = V_NEED, .need = HEADER + (size_t)len};
    struct reader body = reader_of(slice->data + HEADER, len);
    size_t size = family == 1 ? 4 : family == 2 ? 16 : 0;
    const uint8_t *source = NULL, *target = NULL;
    (void)reader_take(&body, size, &source);
    (void)reader_take(&body, size, &target);
    unsigned from = size > 0 ? reader_u16(&body) : 0, to = size > 0 ? reader_u16(&body) : 0;
    detail_number(&detail, "version", 2);
    if ((command & 15) == 0)
        detail_text(&detail, "command", TEXT_LITERAL("LOCAL"));
    if (size > 0 && !body.failed) {
        int inet = family == 1 ? AF_INET : AF_INET6;
        add_address(&detail, "source", inet, source, from);
        add_address(&detail, "destination", inet, target, to);
    }
    if (family == 3) /* two paths of UNIX sockets */
        reader_skip(&body, 216);
    if (!body.failed)
        read_tlvs(&body, &detail);
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

const struct dissector proxy_dissector = {
    .name = "proxy",
    .probe = proxy_probe,
    .data = proxy_data,
};
