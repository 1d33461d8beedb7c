/*
 * Tunnels above IP: UDP with VXLAN (RFC 7348, and GPE), Geneve (RFC 8926), GTP-U (3GPP TS 29.281),
 * Teredo (RFC 4380), L2TPv2 (RFC 2661), MPLS and GRE in UDP (RFC 7510, 8086); GRE (RFC 1701, 2784,
 * 2890) with ERSPAN I to III, WCCP and PPTP (RFC 2637); EtherIP (RFC 3378); NSH (RFC 8300). What
 * UDP carries else is counted by its well-known port. UDP checksums are not verified.
 */
#include "decode_private.h"

enum { KIND_VXLAN = 2, KIND_GENEVE, KIND_GTPU, KIND_GRE, KIND_L2TP }; /* for decode_enter */

/* The tunnel that a destination port stands for; LAYER_END: none. */
static enum decode_layer udp_target(uint16_t port)
{
    switch (port) {
    case 4789:
    case 8472: return LAYER_VXLAN; /* what Linux used before there was a number */
    case 4790: return LAYER_VXLAN_GPE;
    case 6081: return LAYER_GENEVE;
    case 2152: return LAYER_GTPU;
    case 3544: return LAYER_TEREDO;
    case 1701: return LAYER_L2TP;
    case 6635: return LAYER_MPLS;
    case 4754: return LAYER_GRE;
    default: return LAYER_END;
    }
}

/* Those whose answers come from the port; for the others a source port is only entropy. */
static enum decode_layer udp_source(uint16_t port)
{
    switch (port) {
    case 2152: return LAYER_GTPU;
    case 3544: return LAYER_TEREDO;
    case 1701: return LAYER_L2TP;
    default: return LAYER_END;
    }
}

static enum decode_counter udp_service(uint16_t port)
{
    switch (port) {
    case 53: return SKIP_UDP_DNS;
    case 67:
    case 68:
    case 546:
    case 547: return SKIP_UDP_DHCP;
    case 123: return SKIP_UDP_NTP;
    case 137:
    case 138: return SKIP_UDP_NETBIOS;
    case 161:
    case 162: return SKIP_UDP_SNMP;
    case 443: return SKIP_UDP_QUIC;
    case 500:
    case 4500: return SKIP_UDP_IPSEC;
    case 514: return SKIP_UDP_SYSLOG;
    case 1812:
    case 1813: return SKIP_UDP_RADIUS;
    case 1900: return SKIP_UDP_SSDP;
    case 2123: return SKIP_UDP_GTPC;
    case 3478: return SKIP_UDP_STUN;
    case 5060: return SKIP_UDP_SIP;
    case 5353: return SKIP_UDP_MDNS;
    case 5355: return SKIP_UDP_LLMNR;
    default: return SKIP_UDP_OTHER;
    }
}

enum decode_layer decode_udp(struct walk *w)
{
    enum { HEADER = 8 };
    struct reader r = w->r;
    uint16_t source = reader_u16(&r);
    uint16_t target = reader_u16(&r);
    uint16_t len = reader_u16(&r);
    reader_skip(&r, 2);
    if (r.failed)
        return decode_short(w, DECODED_UDP);
    if (len != 0 && len < HEADER) /* 0: a jumbogram, or captured before it was filled in */
        return decode_bad(w, DECODED_UDP);
    w->r = r;
    w->decoder->counters[DECODED_UDP]++;
    if (len != 0)
        decode_trim(w, len - (size_t)HEADER);
    enum decode_layer layer = udp_target(target);
    if (layer == LAYER_END)
        layer = udp_source(source);
    if (layer != LAYER_END)
        return layer;
    enum decode_counter service = udp_service(target);
    return decode_end(w, service != SKIP_UDP_OTHER ? service : udp_service(source));
}

enum decode_layer decode_vxlan(struct walk *w, enum decode_layer layer)
{
    enum { FLAG_VNI = 0x08, FLAG_PROTOCOL = 0x04 };
    enum decode_counter header = layer == LAYER_VXLAN ? DECODED_VXLAN : DECODED_VXLAN_GPE;
    struct reader r = w->r;
    uint8_t flags = reader_u8(&r);
    reader_skip(&r, 2);
    uint8_t next = reader_u8(&r);
    uint32_t network = reader_u24(&r);
    reader_skip(&r, 1);
    if (r.failed)
        return decode_short(w, header);
    if ((flags & FLAG_VNI) == 0)
        return decode_bad(w, header);
    w->r = r;
    w->decoder->counters[header]++;
    w->segment->tunnel = network + 1;
    decode_enter(w, KIND_VXLAN, network);
    if (layer == LAYER_VXLAN || (flags & FLAG_PROTOCOL) == 0)
        return LAYER_ETHERNET;
    switch (next) {
    case 1: return LAYER_IPV4;
    case 2: return LAYER_IPV6;
    case 3: return LAYER_ETHERNET;
    case 4: return LAYER_NSH;
    case 5: return LAYER_MPLS;
    default: return decode_bad(w, header);
    }
}

enum decode_layer decode_nsh(struct walk *w)
{
    struct reader r = w->r;
    uint16_t first = reader_u16(&r);
    reader_skip(&r, 1);
    uint8_t next = reader_u8(&r);
    size_t len = (size_t)(first & 0x3f) * 4;
    if (r.failed)
        return decode_short(w, DECODED_NSH);
    if (first >> 14 != 0 || len < 8)
        return decode_bad(w, DECODED_NSH);
    reader_skip(&w->r, len);
    if (w->r.failed)
        return decode_short(w, DECODED_NSH);
    w->decoder->counters[DECODED_NSH]++;
    switch (next) {
    case 1: return LAYER_IPV4;
    case 2: return LAYER_IPV6;
    case 3: return LAYER_ETHERNET;
    case 4: return LAYER_NSH;
    case 5: return LAYER_MPLS;
    default: return decode_end(w, SKIP_NSH);
    }
}

enum decode_layer decode_geneve(struct walk *w)
{
    struct reader r = w->r;
    uint8_t first = reader_u8(&r);
    reader_skip(&r, 1);
    uint16_t type = reader_u16(&r);
    uint32_t network = reader_u24(&r);
    reader_skip(&r, 1);
    reader_skip(&r, (size_t)(first & 0x3f) * 4);
    if (r.failed)
        return decode_short(w, DECODED_GENEVE);
    if (first >> 6 != 0)
        return decode_bad(w, DECODED_GENEVE);
    w->r = r;
    w->decoder->counters[DECODED_GENEVE]++;
    w->segment->tunnel = network + 1;
    decode_enter(w, KIND_GENEVE, network);
    return decode_ethertype(w, type);
}

/* The extension headers behind the optional fields: length in 4-byte units, ..., next type. */
static int gtpu_extensions(struct reader *r)
{
    uint8_t next = reader_u8(r);
    for (int headers = 0; next != 0 && headers < DECODE_CHAIN_LIMIT; headers++) {
        uint8_t units = reader_u8(r);
        if (r->failed || units == 0)
            break;
        reader_skip(r, (size_t)units * 4 - 2);
        next = reader_u8(r);
    }
    return next == 0;
}

enum decode_layer decode_gtpu(struct walk *w)
{
    enum { FLAG_GTP = 0x10, FLAG_EXTENSION = 0x04, FLAG_OPTIONAL = 0x07, TYPE_DATA = 255 };
    struct reader r = w->r;
    uint8_t flags = reader_u8(&r);
    uint8_t type = reader_u8(&r);
    uint16_t len = reader_u16(&r);
    uint32_t endpoint = reader_u32(&r);
    if (r.failed)
        return decode_short(w, DECODED_GTPU);
    if (flags >> 5 != 1 || (flags & FLAG_GTP) == 0)
        return decode_bad(w, DECODED_GTPU);
    w->r = r;
    w->decoder->counters[DECODED_GTPU]++;
    if (type != TYPE_DATA)
        return decode_end(w, SKIP_GTPU_SIGNAL);
    decode_trim(w, len);
    r = w->r;
    if ((flags & FLAG_OPTIONAL) != 0) {
        int good = 1;
        reader_skip(&r, 3);
        if ((flags & FLAG_EXTENSION) != 0)
            good = gtpu_extensions(&r);
        else
            reader_skip(&r, 1);
        if (r.failed)
            return decode_short(w, DECODED_GTPU);
        if (!good)
            return decode_bad(w, DECODED_GTPU);
    }
    w->r = r;
    decode_enter(w, KIND_GTPU, endpoint);
    return decode_guess(w, SKIP_GTPU_PAYLOAD);
}

enum decode_layer decode_teredo(struct walk *w)
{
    struct reader r = w->r;
    for (int indications = 0; indications < 2 && reader_peek(&r, 0) == 0; indications++) {
        if (reader_u16(&r) == 1) { /* authentication: id, value, nonce, confirmation */
            size_t id_len = reader_u8(&r), value_len = reader_u8(&r);
            reader_skip(&r, id_len + value_len + 9);
        } else { /* origin: port and address */
            reader_skip(&r, 6);
        }
    }
    int first = reader_peek(&r, 0);
    if (first < 0)
        return decode_short(w, DECODED_TEREDO);
    if (first >> 4 != 6)
        return decode_bad(w, DECODED_TEREDO);
    w->r = r;
    w->decoder->counters[DECODED_TEREDO]++;
    return LAYER_IPV6;
}

enum decode_layer decode_l2tp(struct walk *w)
{
    enum { CONTROL = 0x8000, LENGTH = 0x4000, SEQUENCE = 0x0800, OFFSET = 0x0200, HEADER_MIN = 6 };
    struct reader r = w->r;
    uint16_t flags = reader_u16(&r);
    uint16_t len = (flags & LENGTH) != 0 ? reader_u16(&r) : 0;
    uint32_t session = reader_u32(&r); /* and tunnel */
    if ((flags & SEQUENCE) != 0)
        reader_skip(&r, 4);
    if ((flags & OFFSET) != 0 && (flags & CONTROL) == 0)
        reader_skip(&r, reader_u16(&r));
    if (r.failed)
        return decode_short(w, DECODED_L2TP);
    if ((flags & 0x0f) == 3)
        return decode_end(w, SKIP_L2TPV3);
    size_t header_len = r.at - w->r.at;
    if ((flags & 0x0f) != 2 || ((flags & LENGTH) != 0 && len < header_len))
        return decode_bad(w, DECODED_L2TP);
    w->r = r;
    w->decoder->counters[DECODED_L2TP]++;
    if ((flags & CONTROL) != 0)
        return decode_end(w, SKIP_L2TP_CONTROL);
    if ((flags & LENGTH) != 0)
        decode_trim(w, len - header_len);
    decode_enter(w, KIND_L2TP, session);
    return LAYER_PPP;
}

enum decode_layer decode_etherip(struct walk *w)
{
    struct reader r = w->r;
    uint16_t version = reader_u16(&r);
    if (r.failed)
        return decode_short(w, DECODED_ETHERIP);
    if (version >> 12 != 3)
        return decode_bad(w, DECODED_ETHERIP);
    w->r = r;
    w->decoder->counters[DECODED_ETHERIP]++;
    return LAYER_ETHERNET;
}

/* --- GRE --- */

enum {
    GRE_CHECKSUM = 0x8000,
    GRE_ROUTING = 0x4000,
    GRE_KEY = 0x2000,
    GRE_SEQUENCE = 0x1000,
    GRE_ACK = 0x0080,
    GRE_VERSION = 0x0007
};

/* Source route entries of RFC 1701: family, offset, length, address; the last is all zero. */
static int gre_routing(struct reader *r)
{
    for (int entries = 0; entries < DECODE_CHAIN_LIMIT; entries++) {
        uint16_t family = reader_u16(r);
        reader_skip(r, 1);
        uint8_t len = reader_u8(r);
        if (r->failed || (family == 0 && len == 0))
            return 1;
        reader_skip(r, len);
    }
    return 0;
}

static enum decode_layer pptp(struct walk *w, struct reader r, uint16_t flags, uint16_t type)
{
    uint16_t len = reader_u16(&r);
    reader_skip(&r, 2); /* the call, which differs by direction only */
    if ((flags & GRE_SEQUENCE) != 0)
        reader_skip(&r, 4);
    if ((flags & GRE_ACK) != 0)
        reader_skip(&r, 4);
    if (r.failed)
        return decode_short(w, DECODED_PPTP);
    if (type != 0x880b || (flags & GRE_KEY) == 0)
        return decode_bad(w, DECODED_PPTP);
    w->r = r;
    w->decoder->counters[DECODED_PPTP]++;
    if ((flags & GRE_SEQUENCE) == 0 || len == 0)
        return decode_end(w, SKIP_PPTP_ACK);
    decode_trim(w, len);
    return LAYER_PPP;
}

static enum decode_layer gre_type(struct walk *w, uint16_t flags, uint16_t type)
{
    switch (type) {
    case 0x0800: return LAYER_IPV4;
    case 0x883e: return LAYER_WCCP;
    case 0x88be: /* without a sequence number it is type I, which has no header */
        return (flags & GRE_SEQUENCE) != 0 ? LAYER_ERSPAN2 : LAYER_ETHERNET;
    case 0x22eb: return LAYER_ERSPAN3;
    default: break;
    }
    if (type < 0x0600) /* keepalives, OSI: numbers that are no EtherTypes */
        return decode_end(w, SKIP_GRE);
    return decode_ethertype(w, type);
}

enum decode_layer decode_gre(struct walk *w)
{
    struct reader r = w->r;
    uint16_t flags = reader_u16(&r);
    uint16_t type = reader_u16(&r);
    uint32_t key = 0;
    int routed = 1;
    if ((flags & GRE_VERSION) == 1)
        return pptp(w, r, flags, type);
    if ((flags & (GRE_CHECKSUM | GRE_ROUTING)) != 0)
        reader_skip(&r, 4);
    if ((flags & GRE_KEY) != 0)
        key = reader_u32(&r);
    if ((flags & GRE_SEQUENCE) != 0)
        reader_skip(&r, 4);
    if ((flags & GRE_ROUTING) != 0)
        routed = gre_routing(&r);
    if (r.failed)
        return decode_short(w, DECODED_GRE);
    if ((flags & GRE_VERSION) != 0 || !routed)
        return decode_bad(w, DECODED_GRE);
    w->r = r;
    w->decoder->counters[DECODED_GRE]++;
    if ((flags & GRE_KEY) != 0)
        decode_enter(w, KIND_GRE, key);
    return gre_type(w, flags, type);
}

/* Version 1 of WCCP puts IPv4 right behind GRE, version 2 a redirect header of 4 bytes before. */
enum decode_layer decode_wccp(struct walk *w)
{
    if (reader_peek(&w->r, 0) >> 4 != 4)
        reader_skip(&w->r, 4);
    if (w->r.failed)
        return decode_short(w, DECODED_WCCP);
    w->decoder->counters[DECODED_WCCP]++;
    return LAYER_IPV4;
}

enum decode_layer decode_erspan(struct walk *w, enum decode_layer layer)
{
    enum { SUBHEADER = 1, FRAME_ETHERNET = 0, FRAME_IP = 2 };
    struct reader r = w->r;
    uint32_t first = reader_u32(&r);
    unsigned version = first >> 28, frame = FRAME_ETHERNET;
    reader_skip(&r, 4); /* II: port index, III: time */
    if (layer == LAYER_ERSPAN3) {
        uint32_t last = reader_u32(&r);
        frame = last >> 10 & 0x1f;
        if ((last & SUBHEADER) != 0)
            reader_skip(&r, 8);
    }
    if (r.failed)
        return decode_short(w, DECODED_ERSPAN);
    if (version != (layer == LAYER_ERSPAN3 ? 2 : 1))
        return decode_bad(w, DECODED_ERSPAN);
    w->r = r;
    w->decoder->counters[DECODED_ERSPAN]++;
    switch (frame) {
    case FRAME_ETHERNET: return LAYER_ETHERNET;
    case FRAME_IP: return LAYER_IP;
    default: return decode_end(w, SKIP_ERSPAN_FRAME);
    }
}
