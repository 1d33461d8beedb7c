/*
 * One WebSocket frame header (RFC 6455 section 5.2): reading it, what it breaks, and what the first
 * headers of a side together say about whether there is a WebSocket at all.
 */
#include "reader.h"
#include "websocket_private.h"

/* A terabyte: what claims more is no frame, whatever else it may be. */
static const uint64_t absurd_length = UINT64_C(1) << 40;

static void split_start(uint8_t first, uint8_t second, struct ws_header *header)
{
    *header = (struct ws_header){
        .size = 2,
        .fin = first >> 7,
        .rsv = first >> 4 & 7,
        .opcode = first & 15,
        .masked = second >> 7,
        .form = 7,
        .length = second & 127,
    };
    if (header->length >= 126)
        header->form = header->length == 126 ? 16 : 64;
}

void ws_header_start(const uint8_t *data, struct ws_header *header)
{
    struct reader r = reader_of(data, 2);
    uint8_t first = reader_u8(&r);
    split_start(first, reader_u8(&r), header);
}

size_t ws_header_parse(const uint8_t *data, size_t len, struct ws_header *header)
{
    struct reader r = reader_of(data, len);
    uint8_t first = reader_u8(&r), second = reader_u8(&r);
    if (r.failed)
        return 2;
    split_start(first, second, header);
    size_t need = 2 + (header->form == 7 ? 0u : header->form / 8u) + (header->masked ? 4u : 0u);
    if (len < need)
        return need;
    if (header->form == 16)
        header->length = reader_u16(&r);
    if (header->form == 64) {
        uint64_t length = reader_u64(&r);
        header->msb = (uint8_t)(length >> 63);
        header->length = length & (UINT64_MAX >> 1);
    }
    for (size_t i = 0; header->masked && i < sizeof header->key; i++)
        header->key[i] = reader_u8(&r);
    header->size = (uint8_t)need;
    return 0;
}

static unsigned rsv_faults(const struct websocket *ws, const struct ws_header *h)
{
    if (h->rsv == 0 || ws->other_extensions || ws->assumed)
        return 0;
    if (ws->pmd == WS_PMD_NONE)
        return WS_BAD_RSV;
    unsigned kinds = (h->rsv & 3) != 0 ? WS_BAD_RSV : 0;
    if ((h->rsv & 4) != 0 && h->opcode != WS_TEXT && h->opcode != WS_BINARY &&
        ws_is_known(h->opcode))
        kinds |= WS_BAD_RSV1;
    return kinds;
}

static unsigned length_faults(const struct ws_header *h)
{
    if (h->msb)
        return WS_BAD_MSB;
    unsigned kinds = h->length >= absurd_length ? WS_BAD_SIZE : 0;
    if ((h->form == 16 && h->length < 126) || (h->form == 64 && h->length < 65536))
        kinds |= WS_BAD_FORM;
    return kinds;
}

unsigned ws_header_faults(const struct websocket *ws, enum side side,
                          const struct ws_header *h, int only_start)
{
    unsigned kinds = rsv_faults(ws, h);
    if (!ws_is_known(h->opcode))
        kinds |= WS_BAD_OPCODE;
    if (h->masked != (side == CLIENT))
        kinds |= WS_BAD_MASK;
    if (ws_is_control(h->opcode) && ws_is_known(h->opcode)) {
        if (!h->fin)
            kinds |= WS_BAD_FRAGMENT;
        if (!only_start && h->length > WS_CONTROL_MAX)
            kinds |= WS_BAD_CONTROL_LENGTH;
    }
    if (!only_start)
        kinds |= length_faults(h);
    return kinds;
}

unsigned ws_header_structural(unsigned kinds)
{
    unsigned count = 0;
    for (unsigned bit = WS_BAD_OPCODE; bit <= WS_BAD_SIZE; bit <<= 1)
        if ((kinds & bit) != 0 && bit != WS_BAD_FORM)
            count++;
    if ((kinds & WS_BAD_RSV) != 0 && (kinds & WS_BAD_RSV1) != 0)
        count--; /* one group of bits */
    return count;
}

/*
 * The first header says it alone where it breaks two rules that have nothing to do with each other:
 * who makes a mistake makes one. Later ones say it where two of the first three break rules whose
 * breach means that these are not headers. A wrong mask bit, or the same RSV bits in each frame,
 * is how a sender is, not a sign of lost framing; nor is a continuation of nothing by itself.
 */
int ws_header_alien(const struct ws_side *s)
{
    if (s->headers == 1)
        return ws_header_structural(s->kinds[0]) >= 2;
    const unsigned rsv = WS_BAD_RSV | WS_BAD_RSV1;
    int same_rsv = 1;
    for (unsigned i = 1; i < s->headers; i++)
        if (s->rsv[i] != s->rsv[0])
            same_rsv = 0;
    unsigned frames = 0, doubly = 0, weak = 0;
    for (unsigned i = 0; i < s->headers; i++) {
        unsigned kinds = s->kinds[i] & ~(unsigned)WS_BAD_MASK;
        if (same_rsv)
            kinds &= ~rsv;
        if (ws_header_structural(kinds) > 0)
            frames++;
        else if ((s->kinds[i] & WS_BAD_ORDER) != 0)
            weak++;
        if (ws_header_structural(s->kinds[i]) >= 2 && ws_header_structural(kinds) > 0)
            doubly++;
    }
    return frames >= 2 || (doubly > 0 && weak > 0);
}

void ws_header_report(struct websocket *ws, enum side side, unsigned kinds)
{
    const struct ws_frame *f = &ws->side[side].frame;
    const struct ws_header *h = &f->header;
    if (kinds & WS_BAD_MASK)
        ws_find(ws, side, side == CLIENT ? RULE_WS_CLIENT_UNMASKED : RULE_WS_SERVER_MASKED,
                f->offset, &f->start, "opcode %u, length %llu", h->opcode,
                (unsigned long long)h->length);
    if (kinds & WS_BAD_RSV)
        ws_find(ws, side, RULE_WS_RSV_WITHOUT_EXTENSION, f->offset, &f->start,
                "RSV bits %u%u%u on opcode %u", h->rsv >> 2 & 1, h->rsv >> 1 & 1, h->rsv & 1,
                h->opcode);
    if (kinds & WS_BAD_RSV1)
        ws_find(ws, side, RULE_PMD_RSV1_ON_CONTROL_OR_CONTINUATION, f->offset, &f->start,
                "RSV1 on opcode %u", h->opcode);
    if (kinds & WS_BAD_OPCODE)
        ws_find(ws, side, RULE_WS_OPCODE_RESERVED, f->offset, &f->start, "opcode %u", h->opcode);
    if (kinds & WS_BAD_MSB)
        ws_find(ws, side, RULE_WS_LENGTH_MSB, f->offset, &f->start,
                "bit 63 is set; read as a length of %llu", (unsigned long long)h->length);
    if (kinds & WS_BAD_FORM)
        ws_find(ws, side, RULE_WS_LENGTH_NOT_MINIMAL, f->offset, &f->start,
                "length %llu in %u bits", (unsigned long long)h->length, h->form);
    if (kinds & WS_BAD_FRAGMENT)
        ws_find(ws, side, RULE_WS_CONTROL_FRAGMENTED, f->offset, &f->start,
                "opcode %u without FIN", h->opcode);
    if (kinds & WS_BAD_CONTROL_LENGTH)
        ws_find(ws, side, RULE_WS_CONTROL_TOO_LONG, f->offset, &f->start,
                "opcode %u with %llu bytes", h->opcode, (unsigned long long)h->length);
    if (f->oversize)
        ws_find(ws, side, RULE_WS_FRAME_OVERSIZE, f->offset, &f->start,
                "%llu bytes, the limit is %llu", (unsigned long long)h->length,
                (unsigned long long)ws->options->frame_limit);
}
