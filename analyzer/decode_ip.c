/*
 * IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200, 2675, 4302, 6946) and TCP (RFC 9293,
 * 7323). Options of IPv4 are passed over.
 */
#include "decode_private.h"

enum { IPV4_HEADER = 20, IPV6_HEADER = 40, TCP_HEADER = 20 };

static void address_set(struct address *address, uint8_t family, const uint8_t *bytes)
{
    address->family = family;
    if (family == 4) {
        memcpy(address->bytes, bytes, 4);
        memset(address->bytes + 4, 0, 12);
    } else {
        memcpy(address->bytes, bytes, 16);
    }
}

/* What follows is len bytes long on the wire, whatever the frame holds. */
static void set_wire_left(struct walk *w, size_t len)
{
    size_t left = reader_left(&w->r);
    if (len > left + w->cut)
        w->decoder->counters[REMARK_LENGTH_BEYOND]++;
    if (len <= left) {
        w->r.len = w->r.at + len;
        w->cut = 0;
    } else {
        w->cut = len - left;
    }
}

enum decode_layer decode_ip(struct walk *w)
{
    int first = reader_peek(&w->r, 0);
    if (first < 0)
        return decode_short(w, DECODED_IP);
    switch (first >> 4) {
    case 4: return LAYER_IPV4;
    case 6: return LAYER_IPV6;
    default: return decode_bad(w, DECODED_IP);
    }
}

/* Hands what is left to the reassembly. 1: w goes on in the whole datagram, behind its header. */
static int defragment(struct walk *w, struct defrag_fragment *fragment, uint8_t *protocol)
{
    struct defrag_datagram whole;
    w->decoder->counters[DECODED_FRAGMENT]++;
    if (w->cut > 0) {
        (void)decode_short(w, DECODED_FRAGMENT);
        return 0;
    }
    fragment->header = w->ip;
    fragment->len = reader_left(&w->r);
    if (!reader_take(&w->r, fragment->len, &fragment->data))
        return 0;
    fragment->context = w->context + (uint64_t)(w->segment->vlan + 1);
    fragment->time_ns = w->packet->time_ns;
    if (!defrag_add(w->decoder->defrag, fragment, &whole))
        return 0;
    w->r = reader_of(whole.data, whole.len);
    reader_skip(&w->r, whole.header_len);
    w->snapped = 0;
    w->ip = whole.data;
    *protocol = whole.protocol;
    return 1;
}

static enum decode_layer ipv4_fragment(struct walk *w, uint16_t fragment, uint8_t protocol,
                                       const uint8_t *source, const uint8_t *target)
{
    size_t header_len = w->r.at - (size_t)(w->ip - w->r.data);
    struct defrag_fragment f = {
        .family = 4,
        .protocol = protocol,
        .more = (fragment & 0x2000) != 0,
        .id = w->segment->ip_id,
        .offset = (uint32_t)(fragment & 0x1fff) * 8,
        .source = source,
        .target = target,
        .header_len = header_len,
    };
    struct reader r = reader_of(w->ip, header_len);
    reader_skip(&r, 10);
    if (w->decoder->verify && reader_u16(&r) != 0 &&
        checksum_fold(checksum_add(0, w->ip, header_len)) != 0xffff)
        return decode_end(w, SKIP_FRAGMENT_CHECKSUM);
    if (!defragment(w, &f, &protocol))
        return LAYER_END;
    return decode_protocol(w, protocol);
}

enum decode_layer decode_ipv4(struct walk *w)
{
    struct reader r = w->r;
    const uint8_t *source, *target;
    uint8_t first = reader_u8(&r);
    reader_skip(&r, 1);
    uint16_t total = reader_u16(&r);
    uint16_t id = reader_u16(&r);
    uint16_t fragment = reader_u16(&r);
    reader_skip(&r, 1);
    uint8_t protocol = reader_u8(&r);
    reader_skip(&r, 2);
    if (!reader_take(&r, 4, &source) || !reader_take(&r, 4, &target))
        return decode_short(w, DECODED_IPV4);
    size_t header_len = (size_t)(first & 15) * 4;
    if (first >> 4 != 4 || header_len < IPV4_HEADER || (total != 0 && total < header_len))
        return decode_bad(w, DECODED_IPV4);
    reader_skip(&r, header_len - IPV4_HEADER);
    if (r.failed)
        return decode_short(w, DECODED_IPV4);
    w->ip = w->r.data + w->r.at;
    w->r = r;
    w->decoder->counters[DECODED_IPV4]++;
    if (total != 0)
        set_wire_left(w, total - header_len);
    else /* captured before the interface cut it into segments */
        w->decoder->counters[REMARK_LENGTH_ZERO]++;
    struct segment *segment = w->segment;
    address_set(&segment->source, 4, source);
    address_set(&segment->target, 4, target);
    segment->ip_id = id;
    if ((fragment & 0x3fff) != 0)
        return ipv4_fragment(w, fragment, protocol, source, target);
    return protocol == 6 ? LAYER_TCP : decode_protocol(w, protocol);
}

/* The length that a jumbo option gives, counted from behind the IPv6 header; 0: there is none. */
static uint32_t jumbo_length(struct reader options)
{
    while (reader_left(&options) > 1) {
        uint8_t kind = reader_u8(&options);
        if (kind == 0) /* Pad1, the only one without a length */
            continue;
        uint8_t len = reader_u8(&options);
        if (kind == 0xc2 && len == 4)
            return reader_u32(&options);
        reader_skip(&options, len);
        if (options.failed)
            break;
    }
    return 0;
}

/* One extension header of the common shape. *next becomes the one behind it. 0, or -1 where it is
 * not all there. */
static int extension(struct walk *w, uint8_t *next, int has_length)
{
    struct reader r = w->r;
    uint8_t kind = *next;
    *next = reader_u8(&r);
    uint8_t units = reader_u8(&r);
    size_t len = kind == 51 ? ((size_t)units + 2) * 4 : ((size_t)units + 1) * 8;
    reader_skip(&r, len - 2);
    if (r.failed)
        return -1;
    if (kind == 0 && !has_length) {
        struct reader options = reader_of(w->r.data + w->r.at, len);
        reader_skip(&options, 2);
        uint32_t jumbo = jumbo_length(options);
        size_t behind = r.at - (size_t)(w->ip - w->r.data) - IPV6_HEADER;
        if (jumbo > UINT16_MAX) {
            w->decoder->counters[REMARK_JUMBOGRAM]++;
            w->r = r;
            set_wire_left(w, jumbo - behind);
            return 0;
        }
    }
    w->r = r;
    return 0;
}

/* The fragment header: 1: go on with *next, 0: this was all. What is put together has lost the
 * header, so *next_at stays; an atomic fragment keeps it. */
static int ipv6_fragment(struct walk *w, uint8_t *next, size_t *next_at, const uint8_t *source,
                         const uint8_t *target)
{
    size_t header_len = w->r.at - (size_t)(w->ip - w->r.data);
    struct reader r = w->r;
    *next = reader_u8(&r);
    reader_skip(&r, 1);
    uint16_t offset = reader_u16(&r);
    uint32_t id = reader_u32(&r);
    if (r.failed) {
        (void)decode_short(w, DECODED_FRAGMENT);
        return 0;
    }
    w->r = r;
    if ((offset & 0xfff9) == 0) {
        w->decoder->counters[REMARK_ATOMIC_FRAGMENT]++;
        *next_at = header_len;
        return 1;
    }
    struct defrag_fragment f = {
        .family = 6,
        .protocol = *next,
        .more = offset & 1,
        .id = id,
        .offset = offset & 0xfff8,
        .source = source,
        .target = target,
        .header_len = header_len,
        .next_at = *next_at,
    };
    return defragment(w, &f, next);
}

static enum decode_layer ipv6_chain(struct walk *w, uint8_t next, int has_length,
                                    const uint8_t *source, const uint8_t *target)
{
    size_t next_at = 6; /* where in the datagram the byte stands that gave `next` */
    for (int headers = 0; headers < DECODE_CHAIN_LIMIT; headers++) {
        size_t at = w->r.at - (size_t)(w->ip - w->r.data);
        enum decode_counter header = next == 51 ? DECODED_AH : DECODED_EXTENSION;
        switch (next) {
        case 0:   /* hop-by-hop options */
        case 43:  /* routing */
        case 51:  /* authentication header */
        case 60:  /* destination options */
        case 135: /* mobility */
        case 139: /* host identity */
        case 140: /* shim6 */
            if (extension(w, &next, has_length) != 0)
                return decode_short(w, header);
            w->decoder->counters[header]++;
            next_at = at;
            break;
        case 44:
            if (!ipv6_fragment(w, &next, &next_at, source, target))
                return LAYER_END;
            break;
        default: return decode_protocol(w, next);
        }
    }
    return decode_bad(w, DECODED_EXTENSION);
}

enum decode_layer decode_ah(struct walk *w)
{
    uint8_t next = 51;
    if (extension(w, &next, 1) != 0)
        return decode_short(w, DECODED_AH);
    w->decoder->counters[DECODED_AH]++;
    return decode_protocol(w, next);
}

enum decode_layer decode_ipv6(struct walk *w)
{
    struct reader r = w->r;
    const uint8_t *source, *target;
    uint32_t first = reader_u32(&r);
    uint16_t len = reader_u16(&r);
    uint8_t next = reader_u8(&r);
    reader_skip(&r, 1);
    if (!reader_take(&r, 16, &source) || !reader_take(&r, 16, &target))
        return decode_short(w, DECODED_IPV6);
    if (first >> 28 != 6)
        return decode_bad(w, DECODED_IPV6);
    w->ip = w->r.data + w->r.at;
    w->r = r;
    w->decoder->counters[DECODED_IPV6]++;
    if (len != 0)
        set_wire_left(w, len);
    else if (next != 0)
        w->decoder->counters[REMARK_LENGTH_ZERO]++;
    struct segment *segment = w->segment;
    address_set(&segment->source, 6, source);
    address_set(&segment->target, 6, target);
    segment->ip_id = 0;
    return next == 6 ? LAYER_TCP : ipv6_chain(w, next, len != 0, source, target);
}

static void tcp_options(struct walk *w, struct reader r, int complete)
{
    struct segment *segment = w->segment;
    while (reader_left(&r) > 0) {
        uint8_t kind = reader_u8(&r);
        if (kind == 0)
            return;
        if (kind == 1)
            continue;
        uint8_t len = reader_u8(&r);
        const uint8_t *bytes;
        if (len < 2 || !reader_take(&r, len - 2U, &bytes)) {
            w->decoder->counters[REMARK_OPTIONS_BAD] += complete != 0;
            return;
        }
        struct reader value = reader_of(bytes, len - 2U);
        if (kind == 3 && len == 3 && (segment->flags & TCP_SYN) != 0) {
            uint8_t scale = reader_u8(&value);
            segment->window_scale = scale < 14 ? (int8_t)scale : 14; /* RFC 7323 2.3 */
        } else if (kind == 8 && len == 10) {
            segment->has_timestamps = 1;
            segment->ts_value = reader_u32(&value);
            segment->ts_echo = reader_u32(&value);
        }
    }
}

enum decode_layer decode_tcp(struct walk *w)
{
    struct reader r = w->r;
    struct segment *segment = w->segment;
    segment->source_port = reader_u16(&r);
    segment->target_port = reader_u16(&r);
    segment->seq = reader_u32(&r);
    segment->ack = reader_u32(&r);
    uint8_t offset = reader_u8(&r);
    segment->flags = reader_u8(&r) & 0x3f;
    segment->window = reader_u16(&r);
    reader_skip(&r, 2);
    segment->urgent = reader_u16(&r);
    if (r.failed)
        return decode_short(w, DECODED_TCP);
    size_t header_len = (size_t)(offset >> 4) * 4;
    if (header_len < TCP_HEADER || header_len > decode_wire_left(w))
        return decode_bad(w, DECODED_TCP);
    size_t options_len = header_len - TCP_HEADER;
    size_t left = reader_left(&r), cut = w->cut;
    const uint8_t *options;
    int complete = options_len <= left;
    if (!complete) { /* the snaplen ends within the options: a segment without captured payload */
        cut -= options_len - left;
        options_len = left;
    }
    segment->window_scale = -1;
    segment->has_timestamps = 0;
    segment->ts_value = segment->ts_echo = 0;
    if (reader_take(&r, options_len, &options) && options_len > 0)
        tcp_options(w, reader_of(options, options_len), complete);
    segment->tcp = w->r.data + w->r.at;
    segment->payload = r.data + r.at;
    segment->payload_len = reader_left(&r);
    segment->payload_wire = segment->payload_len + cut;
    segment->ip = w->ip;
    segment->ip_len = (size_t)(r.data + r.len - w->ip);
    segment->packet = w->packet->number;
    segment->time_ns = w->packet->time_ns;
    w->decoder->counters[DECODED_TCP]++;
    return LAYER_SEGMENT;
}
