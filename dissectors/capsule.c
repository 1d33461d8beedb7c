/*
 * The Capsule Protocol (RFC 9297 section 3.2) as connect-udp (RFC 9298) and connect-ip (RFC 9484)
 * speak it on a stream: a type, a length, a value, the first two as variable-length integers of
 * QUIC (RFC 9000 section 16). Values are looked at where their form is prescribed: HTTP datagrams
 * and the addresses and routes of connect-ip. Unknown capsules are skipped, as 3.2 wants it.
 */
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "dissector.h"
#include "reader.h"
#include "text.h"

enum {
    DATAGRAM = 0,
    ADDRESS_ASSIGN = 1,
    ADDRESS_REQUEST = 2,
    ROUTE_ADVERTISEMENT = 3,
    VALUE_MOST = 8192,  /* a longer list of addresses or routes is not looked through */
    VARINT_MOST = 8,
    UDP_MOST = 65527    /* RFC 9298 section 5 */
};

struct capsule_side {
    uint64_t left;     /* of a value that is passed over */
    uint64_t capsules, datagrams;
    int inside;        /* a value is being passed over */
    int unsure;        /* bytes were lost: where a capsule begins is not known */
    int told;
};

struct capsule {
    struct capsule_side side[2];
    int udp, ip;
};

/* A variable-length integer. Returns 0 where bytes are missing. */
static int varint(struct reader *r, uint64_t *value)
{
    int first = reader_peek(r, 0);
    if (first < 0)
        return 0;
    size_t len = (size_t)1 << (first >> 6);
    const uint8_t *bytes;
    if (reader_left(r) < len || !reader_take(r, len, &bytes))
        return 0;
    *value = bytes[0] & 0x3fu;
    for (size_t i = 1; i < len; i++)
        *value = *value << 8 | bytes[i];
    return 1;
}

static int capsule_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct capsule *c = state;
    (void)layer;
    c->udp = handover != NULL && text_is(handover->token, "connect-udp");
    c->ip = handover != NULL && text_is(handover->token, "connect-ip");
    return 0;
}

static void malformed(struct layer *layer, struct capsule *c, enum side side, uint64_t offset,
                      const char *what)
{
    if (c->side[side].told)
        return;
    c->side[side].told = 1;
    layer_finding(layer, side, RULE_CAPSULE_MALFORMED, offset, (struct text){what, strlen(what)});
}

/* --- values --- */

/* The first byte of an address, its version, decides how long it is: 4 or 16, 0: neither. */
static size_t address_len(uint8_t version)
{
    return version == 4 ? 4 : version == 6 ? 16 : 0;
}

/* RFC 9484 4.7.1 and 4.7.2: request id, version, address, prefix length. NULL: well-formed. */
static const char *judge_addresses(struct reader *r, int request)
{
    int count = 0;
    while (reader_left(r) > 0) {
        uint64_t id;
        if (!varint(r, &id))
            return "an address is cut off";
        size_t len = address_len(reader_u8(r));
        if (len == 0)
            return r->failed ? "an address is cut off" : "an address of no known IP version";
        reader_skip(r, len);
        unsigned prefix = reader_u8(r);
        if (r->failed)
            return "an address is cut off";
        if (prefix > len * 8)
            return "a prefix is longer than its address";
        if (request && id == 0)
            return "an address is requested with request ID 0";
        count++;
    }
    return request && count == 0 ? "no address is requested" : NULL;
}

/* RFC 9484 4.7.3: version, first and last address, protocol. */
static const char *judge_routes(struct reader *r)
{
    while (reader_left(r) > 0) {
        const uint8_t *first, *last;
        size_t len = address_len(reader_u8(r));
        if (len == 0)
            return "a route of no known IP version";
        if (!reader_take(r, len, &first) || !reader_take(r, len, &last))
            return "a route is cut off";
        reader_skip(r, 1);
        if (r->failed)
            return "a route is cut off";
        if (memcmp(first, last, len) > 0)
            return "a route begins behind its end";
    }
    return NULL;
}

/* value: what wanted() asked for; length: of all of it. */
static const char *judge_value(const struct capsule *c, uint64_t type, struct reader *value,
                               uint64_t length)
{
    uint64_t context;
    if (type == DATAGRAM && (c->udp || c->ip)) {
        if (!varint(value, &context))
            return "a datagram without a whole context ID";
        return c->udp && context == 0 && length - value->at > UDP_MOST
                   ? "a UDP payload of more than 65527 bytes"
                   : NULL;
    }
    if (c->ip && (type == ADDRESS_ASSIGN || type == ADDRESS_REQUEST))
        return judge_addresses(value, type == ADDRESS_REQUEST);
    return c->ip && type == ROUTE_ADVERTISEMENT ? judge_routes(value) : NULL;
}

/* How many bytes of the value have to be there before it is judged. */
static uint64_t wanted(const struct capsule *c, uint64_t type, uint64_t length)
{
    if (type == DATAGRAM && (c->udp || c->ip))
        return length < VARINT_MOST ? length : VARINT_MOST;
    if (c->ip && (type == ADDRESS_ASSIGN || type == ADDRESS_REQUEST ||
                  type == ROUTE_ADVERTISEMENT))
        return length <= VALUE_MOST ? length : 0;
    return 0;
}

/* --- the walk --- */

static struct result next_capsule(struct layer *layer, struct capsule *c, enum side side,
                                  const struct slice *slice)
{
    struct capsule_side *s = &c->side[side];
    struct reader r = reader_of(slice->data, slice->len);
    uint64_t type, length;
    if (!varint(&r, &type) || !varint(&r, &length))
        return (struct result){.verdict = V_NEED, .need = slice->len + 1};
    uint64_t want = wanted(c, type, length);
    if (reader_left(&r) < want)
        return (struct result){.verdict = V_NEED, .need = r.at + (size_t)want};
    struct reader value = reader_of(slice->data + r.at, (size_t)want);
    const char *wrong = want > 0 || length == 0 ? judge_value(c, type, &value, length) : NULL;
    if (wrong != NULL)
        malformed(layer, c, side, slice->offset, wrong);
    s->capsules++;
    s->datagrams += type == DATAGRAM;
    s->left = length;
    s->inside = length > 0;
    return (struct result){.verdict = V_OK, .consumed = r.at};
}

static struct result capsule_data(struct layer *layer, void *state, enum side side,
                                  const struct slice *slice)
{
    struct capsule *c = state;
    struct capsule_side *s = &c->side[side];
    if (!s->inside)
        return next_capsule(layer, c, side, slice);
    size_t len = slice->len < s->left ? slice->len : (size_t)s->left;
    s->left -= len;
    s->inside = s->left > 0;
    return (struct result){.verdict = V_OK, .consumed = len};
}

/* Survived where it is wholly inside a value; a capsule does not say where it begins. */
static struct result capsule_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                                 uint64_t len)
{
    struct capsule *c = state;
    struct capsule_side *s = &c->side[side];
    (void)layer;
    (void)offset;
    if (len > s->left) {
        s->unsure = 1;
        return (struct result){.verdict = V_DONE};
    }
    s->left -= len;
    s->inside = s->left > 0;
    return (struct result){.verdict = V_OK};
}

/* RFC 9297 3.3: a stream that ends in order inside a capsule. */
static void capsule_eof(struct layer *layer, void *state, enum side side)
{
    struct capsule *c = state;
    const struct capsule_side *s = &c->side[side];
    if (!s->unsure && (s->inside || layer_held(layer, side) > 0))
        malformed(layer, c, side, layer_offset(layer, side), "the stream ends inside a capsule");
}

static void capsule_close(struct layer *layer, void *state)
{
    static const char *const names[2][2] = {{"client_capsules", "client_datagrams"},
                                            {"server_capsules", "server_datagrams"}};
    const struct capsule *c = state;
    struct detail detail = {.len = 0};
    for (int side = CLIENT; side <= SERVER; side++) {
        detail_number(&detail, names[side][0], c->side[side].capsules);
        detail_number(&detail, names[side][1], c->side[side].datagrams);
    }
    layer_detail(layer, detail_json(&detail));
}

const struct dissector capsule_dissector = {
    .name = "capsule",
    .state_size = sizeof(struct capsule),
    .open = capsule_open,
    .data = capsule_data,
    .gap = capsule_gap,
    .eof = capsule_eof,
    .close = capsule_close,
};
