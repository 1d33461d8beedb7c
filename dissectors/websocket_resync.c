/*
 * Finding WebSocket frames where nobody said that they begin: behind a gap, or in a stream that was
 * picked up in the middle. A place is believed where frames follow one another from it, and the
 * more so the less of that chance could have made. Each answer depends on the bytes alone, not on
 * how many of them were there when it was asked.
 */
#include "websocket_private.h"

/* Evidence is counted in bits: one bit halves the odds that these bytes are something else. */
enum {
    BITS_HEADER = 5,    /* opcode, FIN, RSV, mask bit: one in 40 passes by chance */
    BITS_ANY_RSV = 2,   /* where an extension may set RSV bits */
    BITS_EMPTY = 2,     /* empty frames are two bytes: runs of zeros make them */
    BITS_PACKET = 6,    /* the place where a packet begins; half of all frames begin there */
    BITS_EXACT_END = 8, /* the last frame ends where the stream does */
    BITS_TEXT_MAX = 8,  /* a payload that is UTF-8 once it is unmasked: a bit a byte */
    BITS_CLOSE_CODE = 4,
    BITS_ENOUGH = 19, /* with the frames below */
    BITS_SURE = 30,   /* whatever the number of frames */
    FRAMES_ENOUGH = 3,
    WINDOW_MAX = 65536,
};

struct rules {
    int masked;
    unsigned rsv_start; /* RSV bits that a first data frame may have */
    unsigned rsv_any;   /* ... and any other */
    uint64_t longest;
    int final; /* nothing follows these bytes */
};

enum answer { CHAIN_NO, CHAIN_MORE, CHAIN_YES };

enum message_state { MESSAGE_UNKNOWN, MESSAGE_OPEN, MESSAGE_CLOSED };

struct chain {
    unsigned frames, bits;
    enum message_state message;
    int text;   /* of the open message: its payload can be looked at */
    int closed; /* a Close was among them */
    struct utf8 utf8;
    size_t need; /* CHAIN_MORE: bytes without which it does not go on */
};

/* The first two bytes of a header: may a frame begin so here? */
static int plausible_start(const struct rules *rules, const struct chain *c,
                           const struct ws_header *h)
{
    int start = h->opcode == WS_TEXT || h->opcode == WS_BINARY;
    unsigned rsv = start ? rules->rsv_start : rules->rsv_any;
    if (!ws_is_known(h->opcode) || h->masked != rules->masked || (h->rsv & ~rsv) != 0 || c->closed)
        return 0;
    if (ws_is_control(h->opcode))
        return h->fin && h->form == 7 && !(h->opcode == WS_CLOSE && h->length == 1);
    if (h->length == 0 && !h->fin)
        return 0;
    return !(start && c->message == MESSAGE_OPEN) && !(!start && c->message == MESSAGE_CLOSED);
}

static int plausible_length(const struct rules *rules, const struct ws_header *h)
{
    if ((h->form == 16 && h->length < 126) || (h->form == 64 && h->length < 65536))
        return 0;
    return !h->msb && h->length <= rules->longest;
}

static unsigned header_bits(const struct rules *rules, const struct ws_header *h)
{
    if (h->length == 0 && !h->masked)
        return BITS_EMPTY;
    unsigned bits = rules->rsv_any != 0 ? BITS_ANY_RSV : BITS_HEADER;
    for (uint64_t top = UINT64_C(1) << 56; h->form == 64 && h->length < top; top >>= 8)
        bits += 8; /* leading zero bytes of a long length */
    return bits;
}

/* What the payload says; 0 where it contradicts. */
static int payload_fits(struct chain *c, const struct ws_header *h, const uint8_t *payload)
{
    uint8_t scratch[WS_SCRATCH];
    if (h->opcode == WS_CLOSE && h->length >= 2) {
        ws_unmask(scratch, payload, 2, h->key, 0);
        unsigned code = (unsigned)scratch[0] << 8 | scratch[1];
        c->bits += BITS_CLOSE_CODE;
        return code >= 1000 && code < 5000;
    }
    if (!c->text || ws_is_control(h->opcode))
        return 1;
    for (size_t at = 0; at < h->length;) {
        size_t step = h->length - at < sizeof scratch ? (size_t)h->length - at : sizeof scratch;
        ws_unmask(scratch, payload + at, step, h->key, at);
        if (utf8_feed(&c->utf8, scratch, step) != 0)
            return 0;
        at += step;
    }
    if (h->fin && utf8_finish(&c->utf8) != 0)
        return 0;
    c->bits += h->length < BITS_TEXT_MAX ? (unsigned)h->length : BITS_TEXT_MAX;
    return 1;
}

static void follow_message(struct chain *c, const struct ws_header *h)
{
    if (h->opcode == WS_CLOSE)
        c->closed = 1;
    if (ws_is_control(h->opcode))
        return;
    if (h->opcode != WS_CONTINUATION) {
        c->text = h->opcode == WS_TEXT && h->rsv == 0;
        utf8_init(&c->utf8);
    }
    c->message = h->fin ? MESSAGE_CLOSED : MESSAGE_OPEN;
}

static enum answer at_end(const struct rules *rules, struct chain *c, size_t len)
{
    c->need = len + 2;
    if (!rules->final)
        return CHAIN_MORE;
    return c->frames > 0 && c->bits + BITS_EXACT_END >= BITS_ENOUGH ? CHAIN_YES : CHAIN_NO;
}

static enum answer walk(const struct rules *rules, struct chain *c, const uint8_t *data,
                        size_t len)
{
    size_t at = 0;
    for (;;) {
        if (at == len)
            return at_end(rules, c, len);
        struct ws_header h;
        if (len - at >= 2) {
            ws_header_start(data + at, &h);
            if (!plausible_start(rules, c, &h))
                return CHAIN_NO;
        }
        size_t need = ws_header_parse(data + at, len - at, &h);
        if (need != 0) {
            c->need = at + need;
            return rules->final ? CHAIN_NO : CHAIN_MORE;
        }
        if (!plausible_length(rules, &h))
            return CHAIN_NO;
        c->bits += header_bits(rules, &h);
        c->frames++;
        if ((c->frames >= FRAMES_ENOUGH && c->bits >= BITS_ENOUGH) || c->bits >= BITS_SURE)
            return CHAIN_YES;
        at += h.size;
        if (h.length > len - at) {
            uint64_t more = at + h.length + 2;
            c->need = more < SIZE_MAX ? (size_t)more : SIZE_MAX;
            return rules->final ? CHAIN_NO : CHAIN_MORE;
        }
        follow_message(c, &h);
        if (!payload_fits(c, &h, data + at))
            return CHAIN_NO;
        at += (size_t)h.length;
    }
}

/* The byte before a place may be consumed already, so its packet is remembered. Behind a gap that
 * is packet 0: what comes first there counts as the beginning of a packet. */
static int begins_packet(const struct websocket *ws, enum side side, uint64_t offset, size_t at)
{
    const struct ws_side *s = &ws->side[side];
    uint64_t before = at == 0 ? s->resync_packet
                              : layer_mark(ws->layer, side, offset + at - 1).packet;
    return layer_mark(ws->layer, side, offset + at).packet != before;
}

static struct rules rules_for(const struct websocket *ws, enum side side, int final)
{
    const struct ws_side *s = &ws->side[side];
    struct rules rules = {.masked = s->any_frame ? s->last_masked : side == CLIENT,
                          .longest = ws->options->frame_limit,
                          .final = final};
    if (ws->pmd != WS_PMD_NONE)
        rules.rsv_start = 4;
    if (ws->other_extensions)
        rules.rsv_start = rules.rsv_any = 7;
    if (rules.longest == 0)
        rules.longest = UINT64_C(1) << 32;
    return rules;
}

static enum answer try_at(const struct websocket *ws, enum side side, const struct rules *rules,
                          const uint8_t *data, size_t len, uint64_t offset, size_t at,
                          struct chain *c)
{
    *c = (struct chain){0};
    if (len - at >= 2) {
        struct ws_header h;
        ws_header_start(data + at, &h);
        if (!plausible_start(rules, c, &h))
            return CHAIN_NO;
        if (begins_packet(ws, side, offset, at))
            c->bits = BITS_PACKET;
    }
    return walk(rules, c, data + at, len - at);
}

int ws_resync(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
              uint64_t offset, int final, size_t *skip, size_t *need, unsigned *frames)
{
    struct rules rules = rules_for(ws, side, final);
    size_t half = ws->options->hold_limit / 2;
    size_t window = half < WINDOW_MAX ? half : WINDOW_MAX;
    size_t at = 0;
    int found = 0;
    *need = 1;
    for (; at < len; at++) {
        struct chain c;
        int all = len - at >= window;
        size_t end = all ? at + window : len;
        enum answer answer = try_at(ws, side, &rules, data, end, offset, at, &c);
        if (answer == CHAIN_YES) {
            *frames = c.frames;
            found = 1;
            break;
        }
        if (answer == CHAIN_MORE && !all && c.need <= window) {
            *need = c.need;
            break;
        }
    }
    if (at > 0)
        ws->side[side].resync_packet = layer_mark(ws->layer, side, offset + at - 1).packet;
    *skip = at;
    return found;
}

/*
 * Frames from the first byte, at the least: two whole ones and the header of a third. A
 * continuation cannot be first here: too many protocols begin with a zero.
 */
int ws_probe(enum side side, const uint8_t *data, size_t len)
{
    struct rules rules = {.masked = side == CLIENT, .rsv_start = 4, .longest = WINDOW_MAX};
    struct chain c = {.message = MESSAGE_CLOSED};
    switch (walk(&rules, &c, data, len)) {
    case CHAIN_NO:
        return -1;
    case CHAIN_YES:
        return c.bits < 40 ? 40 + (int)c.bits / 2 : 60;
    case CHAIN_MORE:
        break;
    }
    return 0;
}
