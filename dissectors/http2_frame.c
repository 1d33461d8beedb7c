/*
 * What the frames of HTTP/2 mean (RFC 9113 6): which parts of a payload are read, what SETTINGS,
 * header blocks and the ends of streams say. Frames of streams that nobody asked to switch are
 * passed over, but for their header blocks, which keep the decoder in step.
 */
#include <stdio.h>

#include "http2_private.h"
#include "reader.h"

const char *http2_error_name(uint32_t code, char buffer[16])
{
    static const char *const names[] = {
        "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
        "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
        "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"};
    if (code < sizeof names / sizeof names[0])
        return names[code];
    if (code == HTTP2_CODE_UNKNOWN)
        return "(not captured)";
    (void)snprintf(buffer, 16, "0x%x", code);
    return buffer;
}

static int lost(struct http2 *http, enum side side, const char *why)
{
    (void)http2_lose(http, side, why);
    return -1;
}

/* --- header blocks --- */

struct decoding {
    struct http2 *http;
    struct http2_fields *fields;
    uint64_t offset; /* of the bytes that are fed */
};

static void take_field(void *context, struct text name, struct text value, size_t read)
{
    struct decoding *decoding = context;
    http2_fields_add(decoding->http, decoding->fields, name, value, decoding->offset + read);
}

static int decode(struct http2 *http, enum side side, const uint8_t *data, size_t len,
                  uint64_t offset, int last)
{
    struct http2_side *s = &http->side[side];
    struct decoding decoding = {.http = http, .fields = &s->fields, .offset = offset};
    if (s->undecodable)
        return 0;
    if (s->hpack == NULL)
        s->hpack = http2_hpack_new(layer_budget(http->layer));
    int result = s->hpack == NULL
                     ? HTTP2_HPACK_MEMORY
                     : http2_hpack_feed(s->hpack, data, len, last, take_field, &decoding);
    if (result == HTTP2_HPACK_MEMORY) {
        layer_limit(http->layer, "flow-memory", layer_budget(http->layer)->limit);
        return lost(http, side, "no memory for its header compression");
    }
    return result == 0 ? 0 : lost(http, side, "a header block that HPACK cannot decode");
}

/* Whose block is it? */
static enum http2_block_kind kind_of(struct http2 *http, enum side side, uint32_t id)
{
    if (side == SERVER) {
        const struct http2_stream *stream = http2_stream_find(http, id);
        return stream != NULL && stream->attempt != NULL ? HTTP2_BLOCK_ANSWER : HTTP2_BLOCK_OTHER;
    }
    if (id % 2 == 0 || id <= http->highest)
        return HTTP2_BLOCK_OTHER; /* trailers */
    http->highest = id;
    http->streams_opened++;
    return HTTP2_BLOCK_REQUEST;
}

static void begin_block(struct http2 *http, enum side side)
{
    struct http2_side *s = &http->side[side];
    const struct http2_frame *f = &s->frame;
    int push = f->type == HTTP2_PUSH_PROMISE;
    s->block = (struct http2_block){
        .kind = push ? HTTP2_BLOCK_OTHER : kind_of(http, side, f->stream),
        .stream = f->stream,
        .end_stream = !push && (f->flags & HTTP2_END_STREAM) != 0,
        .offset = f->offset,
        .begin = layer_mark(http->layer, side, f->offset),
    };
    if (push) {
        http->pushes++;
        http->streams_opened++;
    }
    http2_fields_begin(&s->fields, side == CLIENT, s->block.kind == HTTP2_BLOCK_ANSWER,
                       f->offset + HTTP2_FRAME_HEADER + f->prefix);
}

static int end_block(struct http2 *http, enum side side, uint64_t end)
{
    static const uint8_t nothing[1];
    struct http2_side *s = &http->side[side];
    if (decode(http, side, nothing, 0, end, 1) != 0)
        return -1;
    uint32_t id = s->block.stream;
    if (s->undecodable && s->block.kind == HTTP2_BLOCK_ANSWER) {
        struct http2_stream *stream = http2_stream_find(http, id);
        if (stream != NULL && stream->attempt != NULL)
            http2_answer_lost(http, stream, s->block.offset);
    } else if (!s->undecodable && side == SERVER) {
        http2_answer_done(http, end);
    } else if (!s->undecodable && s->block.kind == HTTP2_BLOCK_REQUEST) {
        http2_request_done(http, end);
    }
    s->block.kind = HTTP2_BLOCK_NONE;
    if (s->block.end_stream)
        http2_session_eof(http, id, side, end);
    return 0;
}

/* --- settings --- */

static void setting(struct http2 *http, enum side side, const uint8_t *data, uint64_t offset)
{
    struct http2_side *s = &http->side[side];
    struct reader r = reader_of(data, 6);
    uint16_t id = reader_u16(&r);
    uint32_t value = reader_u32(&r);
    if (id == HTTP2_MAX_STREAMS)
        s->max_streams = value;
    else if (id == HTTP2_MAX_FRAME_SIZE && value > s->frame_size && value < 1u << 24)
        s->frame_size = value;
    else if (id == HTTP2_ENABLE_CONNECT_PROTOCOL)
        http2_session_setting(http, side, value, offset);
}

/* --- what of a payload is read --- */

static int wants_data(const struct http2 *http, uint32_t id)
{
    return http2_stream_find(http, id) != NULL;
}

static int begin_data(struct http2 *http, enum side side)
{
    struct http2_frame *f = &http->side[side].frame;
    if (f->stream == 0)
        return lost(http, side, "DATA of stream 0");
    f->skip = !wants_data(http, f->stream);
    f->prefix = (f->flags & HTTP2_PADDED) != 0;
    return 0;
}

static int begin_headers(struct http2 *http, enum side side)
{
    struct http2_frame *f = &http->side[side].frame;
    if (f->stream == 0)
        return lost(http, side, "HEADERS of stream 0");
    if (f->type == HTTP2_PUSH_PROMISE && side == CLIENT)
        return lost(http, side, "PUSH_PROMISE from a client");
    f->prefix = (f->flags & HTTP2_PADDED) != 0;
    if (f->type == HTTP2_PUSH_PROMISE)
        f->prefix += 4;
    else if ((f->flags & HTTP2_HAS_PRIORITY) != 0)
        f->prefix += 5;
    begin_block(http, side);
    return 0;
}

static int begin_settings(struct http2 *http, enum side side)
{
    struct http2_frame *f = &http->side[side].frame;
    int ack = (f->flags & HTTP2_ACK) != 0;
    if (f->stream != 0 || f->length % 6 != 0 || (ack && f->length != 0))
        return lost(http, side, "a malformed SETTINGS frame");
    return 0;
}

static int begin_fixed(struct http2 *http, enum side side)
{
    struct http2_frame *f = &http->side[side].frame;
    f->skip = 1;
    switch (f->type) {
    case HTTP2_RST_STREAM:
        if (f->length != 4 || f->stream == 0)
            return lost(http, side, "a malformed RST_STREAM frame");
        f->skip = http2_stream_find(http, f->stream) == NULL;
        f->prefix = 4;
        f->code = HTTP2_CODE_UNKNOWN;
        return 0;
    case HTTP2_GOAWAY:
        if (f->length < 8 || f->stream != 0)
            return lost(http, side, "a malformed GOAWAY frame");
        f->skip = 0;
        f->prefix = 8;
        return 0;
    case HTTP2_PING:
        return f->length == 8 ? 0 : lost(http, side, "a malformed PING frame");
    case HTTP2_WINDOW_UPDATE:
        return f->length == 4 ? 0 : lost(http, side, "a malformed WINDOW_UPDATE frame");
    default: /* PRIORITY, and types that came later (RFC 9113 5.5) */
        return 0;
    }
}

static int begin_kind(struct http2 *http, enum side side)
{
    switch (http->side[side].frame.type) {
    case HTTP2_DATA:
        return begin_data(http, side);
    case HTTP2_HEADERS:
    case HTTP2_PUSH_PROMISE:
        return begin_headers(http, side);
    case HTTP2_CONTINUATION:
        return 0;
    case HTTP2_SETTINGS:
        return begin_settings(http, side);
    default:
        return begin_fixed(http, side);
    }
}

/* Where the payload goes on. */
static void settle(struct http2_side *s)
{
    const struct http2_frame *f = &s->frame;
    if (f->skip)
        s->state = HTTP2_IN_REST;
    else if (f->prefix > 0)
        s->state = HTTP2_AT_PREFIX;
    else
        s->state = f->left > f->padding ? HTTP2_IN_BODY : HTTP2_IN_REST;
}

int http2_frame_begin(struct http2 *http, enum side side)
{
    struct http2_side *s = &http->side[side];
    struct http2_frame *f = &s->frame;
    int open = s->block.kind != HTTP2_BLOCK_NONE;
    if (open && (f->type != HTTP2_CONTINUATION || f->stream != s->block.stream))
        return lost(http, side, "another frame inside a header block");
    if (!open && f->type == HTTP2_CONTINUATION)
        return lost(http, side, "CONTINUATION of nothing");
    f->left = f->length;
    if (begin_kind(http, side) != 0)
        return -1;
    if (!f->skip && f->prefix > f->length)
        return lost(http, side, "a frame too short for what its flags promise");
    settle(s);
    return 0;
}

int http2_frame_prefix(struct http2 *http, enum side side, const uint8_t *data, uint64_t offset)
{
    struct http2_side *s = &http->side[side];
    struct http2_frame *f = &s->frame;
    struct reader r = reader_of(data, f->prefix);
    if (f->type == HTTP2_RST_STREAM) {
        f->code = reader_u32(&r);
    } else if (f->type == HTTP2_GOAWAY) {
        uint32_t last = reader_u32(&r) & 0x7fffffff;
        s->goaway = reader_u32(&r);
        if (side == SERVER)
            http2_session_goaway(http, last, (uint32_t)s->goaway, offset + f->prefix);
        f->skip = 1;
    } else if ((f->flags & HTTP2_PADDED) != 0) {
        f->padding = reader_u8(&r);
    }
    f->left -= f->prefix;
    f->prefix = 0;
    if (f->padding > f->left)
        return lost(http, side, "padding longer than its frame");
    settle(s);
    return 0;
}

int64_t http2_frame_body(struct http2 *http, enum side side, const uint8_t *data, size_t len,
                         uint64_t offset)
{
    const struct http2_frame *f = &http->side[side].frame;
    size_t take = len < f->left - f->padding ? len : f->left - f->padding;
    if (f->type == HTTP2_SETTINGS) {
        if (take < 6)
            return 0;
        setting(http, side, data, offset);
        return 6;
    }
    if (f->type == HTTP2_DATA) {
        struct http2_stream *stream = http2_stream_find(http, f->stream);
        if (stream != NULL)
            http2_session_data(http, stream, side, data, take, offset);
        return (int64_t)take;
    }
    return decode(http, side, data, take, offset, 0) == 0 ? (int64_t)take : -1;
}

int http2_frame_end(struct http2 *http, enum side side, uint64_t end)
{
    struct http2_side *s = &http->side[side];
    const struct http2_frame *f = &s->frame;
    struct http2_stream *stream;
    s->state = HTTP2_AT_FRAME;
    s->began = 1;
    switch (f->type) {
    case HTTP2_DATA:
        if ((f->flags & HTTP2_END_STREAM) != 0)
            http2_session_eof(http, f->stream, side, end);
        return 0;
    case HTTP2_HEADERS:
    case HTTP2_PUSH_PROMISE:
    case HTTP2_CONTINUATION:
        return (f->flags & HTTP2_END_HEADERS) != 0 ? end_block(http, side, end) : 0;
    case HTTP2_RST_STREAM:
        stream = http2_stream_find(http, f->stream);
        if (stream != NULL)
            http2_session_reset(http, stream, side, f->code, end);
        return 0;
    case HTTP2_SETTINGS:
        if (s->connect_protocol == 1 && s->connect_end == 0)
            s->connect_end = layer_mark(http->layer, side, end - 1).root_offset + 1;
        return 0;
    default:
        return 0;
    }
}

/* --- gaps --- */

void http2_frame_gap(struct http2 *http, enum side side, uint32_t len)
{
    struct http2_side *s = &http->side[side];
    struct http2_frame *f = &s->frame;
    struct http2_stream *stream = http2_stream_find(http, f->stream);
    if (f->type == HTTP2_HEADERS || f->type == HTTP2_PUSH_PROMISE ||
        f->type == HTTP2_CONTINUATION) {
        s->undecodable = 1;
    } else if (f->type == HTTP2_DATA && !f->skip && stream != NULL && f->prefix > 0) {
        /* How much of the frame is padding is not known. */
        stream->unwanted = 1;
        layer_carry_close(http->layer, stream->id);
        stream->held = stream->carried = 0;
    } else if (f->type == HTTP2_DATA && !f->skip && stream != NULL && f->left > f->padding) {
        uint32_t body = f->left - f->padding;
        http2_session_gap(http, stream, side, len < body ? len : body);
    }
    if (f->type != HTTP2_DATA)
        f->skip = 1;
    f->skip |= f->prefix > 0;
    f->prefix = 0;
    f->left -= len;
    if (f->padding > f->left)
        f->padding = f->left;
    settle(s);
}
