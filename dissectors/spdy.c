/*
 * SPDY/3.1 (draft-mbelshe-httpbis-spdy-00 section 2.2) as Kubernetes speaks it behind an Upgrade or
 * inside a WebSocket: frames are walked, streams are told apart, and what a stream carries (a port
 * that is forwarded, standard input and output) is followed where a probe knows it. Header blocks
 * are not read.
 */
#include "detail.h"
#include "dissector.h"
#include "reader.h"

enum {
    HEADER = 8,
    VERSION = 3,
    SYN_STREAM = 1,
    WINDOW_UPDATE = 9,
    STREAMS_MOST = 64 /* that are followed at a time */
};

struct spdy_side {
    uint64_t left;   /* of the frame */
    uint32_t stream; /* of the data frame; 0: a control frame */
    uint64_t frames;
};

struct spdy {
    struct spdy_side side[2];
    uint64_t streams, data_bytes[2];
    uint32_t followed[STREAMS_MOST];
    size_t followed_count;
};

static int find(const struct spdy *s, uint32_t stream, size_t *index)
{
    for (*index = 0; *index < s->followed_count; (*index)++)
        if (s->followed[*index] == stream)
            return 1;
    return 0;
}

static void follow(struct layer *layer, struct spdy *s, uint32_t stream)
{
    size_t index;
    struct handover inside = {.recognised_only = 1};
    s->streams++;
    if (find(s, stream, &index))
        return;
    if (s->followed_count == STREAMS_MOST)
        layer_limit(layer, "spdy-streams", STREAMS_MOST);
    else if (layer_carry_open(layer, stream, &inside) == 0)
        s->followed[s->followed_count++] = stream;
}

static void drop(struct layer *layer, struct spdy *s, uint32_t stream)
{
    size_t index;
    if (!find(s, stream, &index))
        return;
    s->followed[index] = s->followed[--s->followed_count];
    layer_carry_close(layer, stream);
}

static int spdy_probe(enum side side, const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    (void)side;
    uint16_t version = reader_u16(&r);
    if (len >= 2 && version != (0x8000 | VERSION))
        return -1;
    uint16_t type = reader_u16(&r);
    if (len >= 4 && (type == 0 || type > WINDOW_UPDATE))
        return -1;
    return len >= HEADER ? 60 : 0;
}

/* Consumes a frame's header. SYN_STREAM names its stream in the first four bytes of its body. */
static struct result header(struct layer *layer, struct spdy *s, enum side side,
                            const struct slice *slice)
{
    struct spdy_side *mine = &s->side[side];
    struct reader r = reader_of(slice->data, slice->len);
    uint32_t first = reader_u32(&r);
    reader_skip(&r, 1); /* flags */
    uint32_t length = reader_u24(&r);
    if (r.failed)
        return (struct result){.verdict = V_NEED, .need = HEADER};
    size_t consumed = HEADER;
    mine->stream = 0;
    if ((first & 0x80000000u) == 0) {
        if (first == 0 || mine->frames == 0) /* a stream begins before it carries data */
            return (struct result){.verdict = V_LOST};
        mine->stream = first;
    } else {
        unsigned version = first >> 16 & 0x7fffu, type = first & 0xffffu;
        if (version != VERSION || type == 0 || type > WINDOW_UPDATE)
            return (struct result){.verdict = V_LOST};
        if (type == SYN_STREAM) {
            uint32_t stream = reader_u32(&r) & 0x7fffffffu;
            if (r.failed || length < 4)
                return length < 4 ? (struct result){.verdict = V_LOST}
                                  : (struct result){.verdict = V_NEED, .need = HEADER + 4};
            follow(layer, s, stream);
            consumed += 4;
            length -= 4;
        }
    }
    mine->frames++;
    mine->left = length;
    return (struct result){.verdict = V_OK, .consumed = consumed};
}

static struct result spdy_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    struct spdy *s = state;
    struct spdy_side *mine = &s->side[side];
    size_t index;
    if (mine->left == 0)
        return header(layer, s, side, slice);
    struct slice body = *slice;
    if (body.len > mine->left)
        body.len = (size_t)mine->left;
    mine->left -= body.len;
    if (mine->stream != 0) {
        s->data_bytes[side] += body.len;
        if (find(s, mine->stream, &index) &&
            !layer_carry(layer, mine->stream, side, &body, body.offset, body.len))
            drop(layer, s, mine->stream);
    }
    return (struct result){.verdict = V_OK, .consumed = body.len};
}

static struct result spdy_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct spdy *s = state;
    struct spdy_side *mine = &s->side[side];
    size_t index;
    (void)offset;
    if (len > mine->left)
        return (struct result){.verdict = V_LOST};
    mine->left -= len;
    if (mine->stream != 0 && find(s, mine->stream, &index))
        layer_carry_gap(layer, mine->stream, side, len);
    return (struct result){.verdict = V_OK};
}

static void spdy_close(struct layer *layer, void *state)
{
    const struct spdy *s = state;
    struct detail detail = {.len = 0};
    detail_number(&detail, "streams", s->streams);
    detail_number(&detail, "client_frames", s->side[CLIENT].frames);
    detail_number(&detail, "server_frames", s->side[SERVER].frames);
    detail_number(&detail, "client_data_bytes", s->data_bytes[CLIENT]);
    detail_number(&detail, "server_data_bytes", s->data_bytes[SERVER]);
    layer_detail(layer, detail_json(&detail));
}

const struct dissector spdy_dissector = {
    .name = "spdy",
    .state_size = sizeof(struct spdy),
    .probe = spdy_probe,
    .data = spdy_data,
    .gap = spdy_gap,
    .close = spdy_close,
};
