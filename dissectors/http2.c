/*
 * HTTP/2 (RFC 9113) in the clear, with prior knowledge or behind h2c (RFC 7540 3.2), and wherever
 * else its bytes are carried. This file walks through the frames of both sides; what they mean is
 * for the files that http2_private.h lists. Only what asks for another protocol is followed. A gap
 * is survived inside a frame; where it covers the place at which one begins, all is lost, as it is
 * where a frame or its compression breaks the protocol.
 */
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "http2_private.h"
#include "reader.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum {
    WAIT_MAX = 65536, /* bytes of answers that wait for their requests */
    SHOWN = 8         /* bytes of what is no preface that are shown */
};

/* --- what the first bytes say --- */

/* A server begins with a SETTINGS frame: length a multiple of 6, type 4, flags 0, stream 0. */
static int probe_server(const uint8_t *data, size_t len)
{
    static const uint8_t begin[HTTP2_FRAME_HEADER] = {[3] = HTTP2_SETTINGS};
    struct reader r = reader_of(data, len);
    for (size_t i = 0; i < len && i < HTTP2_FRAME_HEADER; i++)
        if (i != 1 && i != 2 && data[i] != begin[i])
            return -1;
    uint32_t length = reader_u24(&r);
    if (!r.failed && (length % 6 != 0 || length >= 1024))
        return -1;
    return len >= HTTP2_FRAME_HEADER ? 60 : 0;
}

static int probe_client(const uint8_t *data, size_t len)
{
    if (memcmp(data, preface, len < HTTP2_PREFACE ? len : HTTP2_PREFACE) != 0)
        return -1;
    return len >= HTTP2_PREFACE ? 100 : 0;
}

static int http2_probe(enum side side, const uint8_t *data, size_t len)
{
    return side == SERVER ? probe_server(data, len) : probe_client(data, len);
}

/* --- the walk --- */

static struct result ok(size_t consumed)
{
    return (struct result){.verdict = V_OK, .consumed = consumed};
}

static struct result need(size_t bytes)
{
    return (struct result){.verdict = V_NEED, .need = bytes};
}

struct result http2_lose(struct http2 *http, enum side side, const char *why)
{
    if (http->lost[0] == '\0')
        (void)snprintf(http->lost, sizeof http->lost, "%s: %s",
                       side == CLIENT ? "client" : "server", why);
    return (struct result){.verdict = V_LOST};
}

static struct result at_preface(struct http2 *http, const struct slice *slice)
{
    struct http2_side *s = &http->side[CLIENT];
    int is = probe_client(slice->data, slice->len);
    if (is == 0)
        return need(slice->len + 1);
    if (is > 0) {
        s->state = HTTP2_AT_FRAME;
        return ok(HTTP2_PREFACE);
    }
    if (slice->len < SHOWN) /* what there is then is for http2_eof() */
        return need(SHOWN);
    return http2_lose(http, CLIENT, "no connection preface");
}

/* Has the server answered on a stream whose request is still to come, or not complete? */
static int ahead_of_client(const struct http2 *http, enum side side)
{
    const struct http2_side *client = &http->side[CLIENT];
    const struct http2_frame *f = &http->side[side].frame;
    int open = client->block.kind == HTTP2_BLOCK_REQUEST && client->block.stream == f->stream;
    return side == SERVER && f->type == HTTP2_HEADERS && f->stream % 2 == 1 &&
           (open || f->stream > http->highest) && !client->gap &&
           layer_from_start(http->layer) && !layer_ended(http->layer, CLIENT);
}

/* Is a frame larger than its receiver takes? 2: that is not known yet. */
static int too_large(const struct http2 *http, enum side side)
{
    const struct http2_side *peer = &http->side[side_peer(side)];
    if (http->side[side].frame.length <= peer->frame_size || peer->gap)
        return 0;
    return !peer->began && !layer_ended(http->layer, side_peer(side)) ? 2 : 1;
}

/* The first frame of a server is its SETTINGS (RFC 9113 3.4). Returns 0 where it can be read. */
static int judge_first(struct http2 *http, const struct slice *slice)
{
    const struct http2_frame *f = &http->side[SERVER].frame;
    char evidence[64];
    int frame = f->type <= HTTP2_CONTINUATION && f->length <= HTTP2_FRAME_SIZE;
    if (f->type == HTTP2_SETTINGS && (f->flags & HTTP2_ACK) == 0 && f->stream == 0)
        return 0;
    int len = snprintf(evidence, sizeof evidence, "the server begins with ");
    for (size_t i = 0; i < SHOWN && i < slice->len; i++)
        len += snprintf(evidence + len, sizeof evidence - (size_t)len, "%02x", slice->data[i]);
    if ((http->upgraded || frame) && layer_from_start(http->layer))
        layer_finding(http->layer, SERVER, RULE_H2C_NO_PREFACE, f->offset,
                      (struct text){evidence, (size_t)len});
    return frame ? 0 : -1;
}

static void read_header(struct http2_side *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    s->frame = (struct http2_frame){.offset = slice->offset};
    s->frame.length = reader_u24(&r);
    s->frame.type = reader_u8(&r);
    s->frame.flags = reader_u8(&r);
    s->frame.stream = reader_u32(&r) & 0x7fffffff;
}

/* The payload has passed, or a part of it. */
static struct result passed(struct http2 *http, enum side side, const struct slice *slice,
                            size_t len)
{
    struct http2_side *s = &http->side[side];
    if (s->state == HTTP2_IN_BODY && s->frame.left == s->frame.padding)
        s->state = HTTP2_IN_REST;
    if (s->state != HTTP2_IN_BODY && s->state != HTTP2_IN_REST)
        return ok(len);
    if (s->frame.left == 0 && http2_frame_end(http, side, slice->offset + len) != 0)
        return (struct result){.verdict = V_LOST};
    return ok(len);
}

static struct result at_frame(struct http2 *http, enum side side, const struct slice *slice)
{
    struct http2_side *s = &http->side[side];
    if (slice->len < HTTP2_FRAME_HEADER)
        return need(HTTP2_FRAME_HEADER);
    read_header(s, slice);
    if (side == SERVER && !s->any_frame && judge_first(http, slice) != 0)
        return http2_lose(http, side, "it does not begin with SETTINGS");
    s->any_frame = 1;
    int large = too_large(http, side);
    if (large == 1)
        return http2_lose(http, side, "a frame larger than its peer takes");
    if (large == 0 && ahead_of_client(http, side) && slice->len > WAIT_MAX)
        return http2_lose(http, side, "answers to requests that were not captured");
    if (large == 2 || ahead_of_client(http, side))
        return (struct result){.verdict = V_WAIT_PEER};
    if (http2_frame_begin(http, side) != 0)
        return (struct result){.verdict = V_LOST};
    return passed(http, side, slice, HTTP2_FRAME_HEADER);
}

static struct result at_prefix(struct http2 *http, enum side side, const struct slice *slice)
{
    size_t prefix = http->side[side].frame.prefix;
    if (slice->len < prefix)
        return need(prefix);
    if (http2_frame_prefix(http, side, slice->data, slice->offset) != 0)
        return (struct result){.verdict = V_LOST};
    return passed(http, side, slice, prefix);
}

static struct result in_body(struct http2 *http, enum side side, const struct slice *slice)
{
    int64_t taken = http2_frame_body(http, side, slice->data, slice->len, slice->offset);
    if (taken < 0)
        return (struct result){.verdict = V_LOST};
    if (taken == 0)
        return need(slice->len + 1);
    http->side[side].frame.left -= (uint32_t)taken;
    return passed(http, side, slice, (size_t)taken);
}

static struct result in_rest(struct http2 *http, enum side side, const struct slice *slice)
{
    struct http2_frame *f = &http->side[side].frame;
    size_t len = slice->len < f->left ? slice->len : f->left;
    f->left -= (uint32_t)len;
    return passed(http, side, slice, len);
}

static struct result step(struct http2 *http, enum side side, const struct slice *slice)
{
    switch (http->side[side].state) {
    case HTTP2_AT_PREFACE:
        return at_preface(http, slice);
    case HTTP2_AT_FRAME:
        return at_frame(http, side, slice);
    case HTTP2_AT_PREFIX:
        return at_prefix(http, side, slice);
    case HTTP2_IN_BODY:
        return in_body(http, side, slice);
    case HTTP2_IN_REST:
        return in_rest(http, side, slice);
    }
    return (struct result){.verdict = V_LOST};
}

static struct result http2_data(struct layer *layer, void *state, enum side side,
                                const struct slice *slice)
{
    size_t at = 0;
    (void)layer;
    while (at < slice->len) {
        struct slice rest = {.data = slice->data + at, .len = slice->len - at,
                             .offset = slice->offset + at};
        struct result result = step(state, side, &rest);
        at += result.consumed;
        if (result.verdict != V_OK) {
            result.consumed = at;
            return result;
        }
    }
    return ok(at);
}

/* --- gaps and ends --- */

static struct result http2_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                               uint64_t len)
{
    struct http2 *http = state;
    struct http2_side *s = &http->side[side];
    (void)layer;
    s->gap = 1;
    if (s->state == HTTP2_AT_PREFACE || s->state == HTTP2_AT_FRAME || len > s->frame.left)
        return http2_lose(http, side, "not captured is where its frames begin");
    http2_frame_gap(http, side, (uint32_t)len);
    if (s->frame.left == 0 && http2_frame_end(http, side, offset + len) != 0)
        return (struct result){.verdict = V_LOST};
    return ok(0);
}

static void http2_eof(struct layer *layer, void *state, enum side side)
{
    struct http2 *http = state;
    struct slice rest = layer_peek(layer, side);
    if (http->side[side].state == HTTP2_AT_PREFACE && http->upgraded && rest.len > 0 &&
        probe_client(rest.data, rest.len) < 0)
        layer_finding(layer, CLIENT, RULE_H2C_NO_PREFACE, rest.offset,
                      TEXT_LITERAL("the client's few bytes are no preface"));
    /* A connection that ends ends its streams, which have had no END_STREAM. */
    size_t count;
    uint32_t *ids = http2_stream_ids(http, 0, 0, &count);
    for (size_t i = 0; i < count; i++) {
        const struct http2_stream *stream = http2_stream_find(http, ids[i]);
        if (!stream->ended[side] && (stream->held || stream->carried))
            layer_carry_eof(layer, stream->id, side);
    }
    budget_free(layer_budget(layer), ids);
}

static void describe_goaway(struct detail *detail, const char *name, int64_t code)
{
    char number[16];
    if (code < 0)
        return;
    const char *text = http2_error_name((uint32_t)code, number);
    detail_text(detail, name, (struct text){text, strlen(text)});
}

/* The directions whose header blocks could not be decoded any more. */
static struct text undecoded(const struct http2 *http)
{
    int client = http->side[CLIENT].undecodable, server = http->side[SERVER].undecodable;
    if (client && server)
        return TEXT_LITERAL("both");
    return client ? TEXT_LITERAL("client") : server ? TEXT_LITERAL("server") : TEXT_NONE;
}

static void describe(const struct http2 *http)
{
    struct detail detail = {.len = 0};
    const struct http2_side *client = &http->side[CLIENT], *server = &http->side[SERVER];
    if (http->lost[0] != '\0' && client->state == HTTP2_AT_PREFACE && !server->any_frame)
        return; /* it was not HTTP/2 at all */
    detail_number(&detail, "streams", http->streams_opened);
    detail_number(&detail, "requests", http->requests);
    if (http->pushes > 0)
        detail_number(&detail, "pushes", http->pushes);
    if (http->extended > 0)
        detail_number(&detail, "extended_connects", http->extended);
    if (http->connects > 0)
        detail_number(&detail, "connects", http->connects);
    if (http->upgraded_status > 0)
        detail_number(&detail, "upgraded_status", http->upgraded_status);
    if (server->connect_protocol >= 0)
        detail_number(&detail, "enable_connect_protocol", (uint64_t)server->connect_protocol);
    if (server->max_streams >= 0)
        detail_number(&detail, "max_concurrent_streams", (uint64_t)server->max_streams);
    describe_goaway(&detail, "client_goaway", client->goaway);
    describe_goaway(&detail, "server_goaway", server->goaway);
    detail_text(&detail, "headers_lost", undecoded(http));
    if (http->lost[0] != '\0')
        detail_text(&detail, "lost", (struct text){http->lost, strlen(http->lost)});
    layer_detail(http->layer, detail_json(&detail));
}

static void http2_close(struct layer *layer, void *state)
{
    struct http2 *http = state;
    http2_sessions_end(http);
    describe(http);
    http2_streams_release(http);
    for (int side = CLIENT; side <= SERVER; side++) {
        http2_hpack_free(http->side[side].hpack);
        http2_fields_release(http, &http->side[side].fields);
    }
    budget_free(layer_budget(layer), http->path);
}

/* --- the beginning --- */

/* h2c: the request that asked is stream 1, and its client has sent all of it (RFC 7540 3.2). */
static void open_upgraded(struct http2 *http, const struct handover *handover)
{
    struct text path = handover_hint(handover, "path");
    http->upgraded = 1;
    http->highest = 1;
    http->streams_opened = 1;
    if (handover_hint(handover, "forwarded").data == NULL || path.len == 0)
        return;
    http->path = budget_alloc(layer_budget(http->layer), path.len);
    if (http->path == NULL)
        return;
    memcpy(http->path, path.data, path.len);
    http->path_len = path.len;
}

static int http2_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct http2 *http = state;
    http->layer = layer;
    http->side[SERVER].state = HTTP2_AT_FRAME;
    http->secure = layer_inside(layer, "tls") || handover_hint(handover, "tls").data != NULL;
    for (int side = CLIENT; side <= SERVER; side++) {
        struct http2_side *s = &http->side[side];
        s->frame_size = HTTP2_FRAME_SIZE;
        s->connect_protocol = -1;
        s->max_streams = s->goaway = -1;
    }
    if (handover != NULL && handover->table != NULL &&
        strcmp(handover->table, "http.upgrade") == 0)
        open_upgraded(http, handover);
    return 0;
}

const struct dissector http2_dissector = {
    .name = "http2",
    .state_size = sizeof(struct http2),
    .probe = http2_probe,
    .open = http2_open,
    .data = http2_data,
    .gap = http2_gap,
    .eof = http2_eof,
    .close = http2_close,
};
