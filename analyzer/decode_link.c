/*
 * Link layers and what stands between them and IP: Ethernet II and 802.3 with LLC/SNAP, VLAN tags
 * (802.1Q, 802.1ad), port extender tags, PBB, MPLS (RFC 3032, 4385), PPPoE and PPP (RFC 2516, 1661,
 * 1990), Cisco HDLC, Linux cooked captures, BSD loopback, 802.11 with radiotap. 802.11 aggregates
 * (A-MSDU) and encrypted frames are counted, not read.
 */
#include "decode_private.h"

/* Up to this an EtherType field is the length of an 802.3 frame. */
enum { LENGTH_MAX = 1500 };

static enum decode_layer type_or_length(struct walk *w, uint16_t type)
{
    if (type > LENGTH_MAX)
        return decode_ethertype(w, type);
    decode_trim(w, type);
    return LAYER_LLC;
}

enum decode_layer decode_ethernet(struct walk *w)
{
    struct reader r = w->r;
    reader_skip(&r, 12);
    uint16_t type = reader_u16(&r);
    if (r.failed)
        return decode_short(w, DECODED_ETHERNET);
    w->r = r;
    w->decoder->counters[DECODED_ETHERNET]++;
    if (type == 0x0800)
        return LAYER_IPV4;
    return type_or_length(w, type);
}

enum decode_layer decode_vlan(struct walk *w)
{
    struct reader r = w->r;
    uint16_t tag = reader_u16(&r);
    uint16_t type = reader_u16(&r);
    if (r.failed)
        return decode_short(w, DECODED_VLAN);
    w->r = r;
    w->decoder->counters[DECODED_VLAN]++;
    if (w->segment->vlan < 0 && (tag & 0x0fff) != 0) /* id 0: only a priority */
        w->segment->vlan = tag & 0x0fff;
    return type_or_length(w, type);
}

/* Tags of fixed size: VN-tag (4 bytes and a type), 802.1BR E-tag (6 and a type), 802.1ah I-tag (4
 * bytes and an Ethernet header). */
enum decode_layer decode_tag(struct walk *w, enum decode_layer layer)
{
    enum decode_counter header = layer == LAYER_PBB ? DECODED_PBB : DECODED_VNTAG;
    struct reader r = w->r;
    reader_skip(&r, layer == LAYER_ETAG ? 6 : 4);
    uint16_t type = layer == LAYER_PBB ? 0 : reader_u16(&r);
    if (r.failed)
        return decode_short(w, header);
    w->r = r;
    w->decoder->counters[header]++;
    return layer == LAYER_PBB ? LAYER_ETHERNET : type_or_length(w, type);
}

enum decode_layer decode_llc(struct walk *w)
{
    struct reader r = w->r;
    uint16_t sap = reader_u16(&r);
    uint8_t control = reader_u8(&r);
    if (r.failed)
        return decode_short(w, DECODED_LLC);
    w->r = r;
    w->decoder->counters[DECODED_LLC]++;
    if (sap == 0x0606 && control == 3)
        return LAYER_IPV4;
    if (sap == 0x4242)
        return decode_end(w, SKIP_STP);
    if (sap == 0xfefe)
        return decode_end(w, SKIP_OSI);
    if (sap == 0xe0e0 || sap == 0xffff)
        return decode_end(w, SKIP_IPX);
    if (sap != 0xaaaa || control != 3)
        return decode_end(w, SKIP_LLC);
    uint32_t organisation = reader_u24(&r);
    uint16_t type = reader_u16(&r);
    if (r.failed)
        return decode_short(w, DECODED_LLC);
    w->r = r;
    if (organisation != 0 && organisation != 0x0000f8) /* RFC 1042, 802.1H */
        return decode_end(w, SKIP_SNAP);
    return decode_ethertype(w, type);
}

enum decode_layer decode_mpls(struct walk *w)
{
    for (int labels = 0; labels < DECODE_CHAIN_LIMIT; labels++) {
        uint32_t entry = reader_u32(&w->r);
        if (w->r.failed)
            return decode_short(w, DECODED_MPLS);
        if ((entry & 0x100) == 0)
            continue;
        w->decoder->counters[DECODED_MPLS]++;
        return decode_guess(w, SKIP_MPLS);
    }
    return decode_bad(w, DECODED_MPLS);
}

enum decode_layer decode_pppoe(struct walk *w)
{
    struct reader r = w->r;
    uint8_t version = reader_u8(&r);
    uint8_t code = reader_u8(&r);
    reader_skip(&r, 2);
    uint16_t len = reader_u16(&r);
    if (r.failed)
        return decode_short(w, DECODED_PPPOE);
    if (version != 0x11)
        return decode_bad(w, DECODED_PPPOE);
    w->r = r;
    w->decoder->counters[DECODED_PPPOE]++;
    if (code != 0) /* only where discovery shares the link type of sessions */
        return decode_end(w, SKIP_PPPOE_DISCOVERY);
    decode_trim(w, len);
    return LAYER_PPP;
}

/* A protocol number of PPP is one byte where its low bit is set (protocol field compression). */
static uint16_t ppp_protocol(struct reader *r)
{
    if ((reader_peek(r, 0) & 1) != 0 && reader_peek(r, 0) >= 0)
        return reader_u8(r);
    return reader_u16(r);
}

enum decode_layer decode_ppp(struct walk *w)
{
    enum { ADDRESS_AND_CONTROL = 0xff03, MULTILINK = 0x003d, WHOLE = 0xc0 };
    struct reader r = w->r;
    if (reader_peek(&r, 0) == ADDRESS_AND_CONTROL >> 8 && reader_u16(&r) != ADDRESS_AND_CONTROL)
        r.at = w->r.at;
    uint16_t protocol = ppp_protocol(&r);
    if (protocol == MULTILINK && (reader_u8(&r) & WHOLE) == WHOLE) {
        reader_skip(&r, 3); /* the fragment is a whole packet */
        protocol = ppp_protocol(&r);
    }
    if (r.failed)
        return decode_short(w, DECODED_PPP);
    w->r = r;
    w->decoder->counters[DECODED_PPP]++;
    switch (protocol) {
    case 0x0021: return LAYER_IPV4;
    case 0x0057: return LAYER_IPV6;
    case 0x0281:
    case 0x0283: return LAYER_MPLS;
    case 0x002d: /* Van Jacobson */
    case 0x002f:
    case 0x0053: /* encrypted */
    case 0x00fb:
    case 0x00fd: return decode_end(w, SKIP_PPP_COMPRESSED);
    default: return decode_end(w, protocol >= 0x8000 ? SKIP_PPP_CONTROL : SKIP_PPP);
    }
}

enum decode_layer decode_ppp_hdlc(struct walk *w)
{
    int address = reader_peek(&w->r, 0);
    return address == 0x0f || address == 0x8f ? LAYER_CHDLC : LAYER_PPP;
}

enum decode_layer decode_chdlc(struct walk *w)
{
    struct reader r = w->r;
    reader_skip(&r, 2);
    uint16_t type = reader_u16(&r);
    if (r.failed)
        return decode_short(w, DECODED_CHDLC);
    w->r = r;
    w->decoder->counters[DECODED_CHDLC]++;
    return decode_ethertype(w, type);
}

/* The protocol of a cooked capture: an EtherType, or small numbers of Linux. */
static enum decode_layer sll_protocol(struct walk *w, uint16_t hardware, uint16_t protocol)
{
    switch (hardware) {
    case 801: return LAYER_WLAN;
    case 803: return LAYER_RADIOTAP;
    case 824: return decode_end(w, SKIP_ETHERTYPE); /* netlink */
    default: break;
    }
    switch (protocol) {
    case 0x0001: return decode_end(w, SKIP_IPX);
    case 0x0004: return LAYER_LLC;
    default: return decode_ethertype(w, protocol);
    }
}

enum decode_layer decode_sll(struct walk *w)
{
    struct reader r = w->r;
    reader_skip(&r, 2);
    uint16_t hardware = reader_u16(&r);
    reader_skip(&r, 10);
    uint16_t protocol = reader_u16(&r);
    if (r.failed)
        return decode_short(w, DECODED_SLL);
    w->r = r;
    w->decoder->counters[DECODED_SLL]++;
    return sll_protocol(w, hardware, protocol);
}

enum decode_layer decode_sll2(struct walk *w)
{
    struct reader r = w->r;
    uint16_t protocol = reader_u16(&r);
    reader_skip(&r, 6);
    uint16_t hardware = reader_u16(&r);
    reader_skip(&r, 10);
    if (r.failed)
        return decode_short(w, DECODED_SLL2);
    w->r = r;
    w->decoder->counters[DECODED_SLL2]++;
    return sll_protocol(w, hardware, protocol);
}

/* An address family, in the byte order of the machine that captured (link type 0) or of the
 * network (108). */
enum decode_layer decode_null(struct walk *w)
{
    struct reader r = w->r, swapped = w->r;
    uint32_t family = reader_u32(&r);
    uint32_t other = reader_u32le(&swapped);
    if (r.failed)
        return decode_short(w, DECODED_LOOPBACK);
    w->r = r;
    w->decoder->counters[DECODED_LOOPBACK]++;
    switch (family < other ? family : other) {
    case 2: return LAYER_IPV4;
    case 10: /* AF_INET6 of Linux; Windows, NetBSD, FreeBSD, Darwin */
    case 23:
    case 24:
    case 28:
    case 30: return LAYER_IPV6;
    default: return decode_end(w, SKIP_NULL_FAMILY);
    }
}

enum decode_layer decode_radiotap(struct walk *w)
{
    struct reader r = w->r;
    uint8_t version = reader_u8(&r);
    reader_skip(&r, 1);
    uint16_t len = reader_u16le(&r);
    uint32_t present = reader_u32le(&r), more = present;
    while (!r.failed && r.at - w->r.at < len && (more & UINT32_C(1) << 31) != 0)
        more = reader_u32le(&r);
    if ((present & 1) != 0) /* the time, 8 bytes, aligned from the start of this header */
        reader_skip(&r, (8 - (r.at - w->r.at) % 8) % 8 + 8);
    uint8_t flags = (present & 2) != 0 ? reader_u8(&r) : 0;
    if (r.failed)
        return decode_short(w, DECODED_RADIOTAP);
    if (version != 0 || len < r.at - w->r.at)
        return decode_bad(w, DECODED_RADIOTAP);
    reader_skip(&w->r, len);
    if (w->r.failed)
        return decode_short(w, DECODED_RADIOTAP);
    w->decoder->counters[DECODED_RADIOTAP]++;
    if ((flags & 0x40) != 0)
        return decode_end(w, SKIP_WLAN_BAD_FCS);
    w->wlan_padded = (flags & 0x20) != 0;
    return LAYER_WLAN;
}

enum decode_layer decode_wlan(struct walk *w)
{
    enum { TO_AND_FROM_DS = 0x03, PROTECTED = 0x40, ORDER = 0x80 };
    enum { SUBTYPE_QOS = 8, SUBTYPE_NULL = 4 };
    struct reader r = w->r;
    uint8_t control = reader_u8(&r);
    uint8_t flags = reader_u8(&r);
    unsigned kind = control >> 2 & 3, subtype = control >> 4, qos = 0;
    if (r.failed)
        return decode_short(w, DECODED_WLAN);
    if (kind != 2)
        return decode_end(w, kind == 0 ? SKIP_WLAN_MANAGEMENT : SKIP_WLAN_CONTROL);
    reader_skip(&r, 22);
    if ((flags & TO_AND_FROM_DS) == TO_AND_FROM_DS)
        reader_skip(&r, 6); /* the fourth address */
    if ((subtype & SUBTYPE_QOS) != 0) {
        qos = reader_u8(&r);
        reader_skip(&r, (flags & ORDER) != 0 ? 5 : 1);
    }
    if (w->wlan_padded)
        reader_skip(&r, (4 - (r.at - w->r.at) % 4) % 4);
    if (r.failed)
        return decode_short(w, DECODED_WLAN);
    w->r = r;
    w->decoder->counters[DECODED_WLAN]++;
    if ((subtype & SUBTYPE_NULL) != 0)
        return decode_end(w, SKIP_WLAN_EMPTY);
    if ((flags & PROTECTED) != 0)
        return decode_end(w, SKIP_WLAN_ENCRYPTED);
    return (qos & 0x80) != 0 ? decode_end(w, SKIP_WLAN_AMSDU) : LAYER_LLC;
}

/* --- what does it look like? --- */

static int looks_like_ipv4(const struct walk *w)
{
    struct reader r = w->r;
    const uint8_t *header;
    uint8_t first = reader_u8(&r);
    reader_skip(&r, 1);
    uint16_t total = reader_u16(&r);
    size_t len = (size_t)(first & 15) * 4;
    r.at = w->r.at;
    return first >> 4 == 4 && len >= 20 && total >= len && total <= decode_wire_left(w) &&
           reader_take(&r, len, &header) && checksum_fold(checksum_add(0, header, len)) == 0xffff;
}

/* An Ethernet header with a type that is common and a payload that agrees with it. */
static int looks_like_ethernet(const struct walk *w, size_t at)
{
    struct reader r = w->r;
    reader_skip(&r, at + 12);
    uint16_t type = reader_u16(&r);
    uint16_t next = reader_u16(&r);
    if (r.failed)
        return 0;
    switch (type) {
    case 0x0800: return next >> 12 == 4;
    case 0x86dd: return next >> 12 == 6;
    case 0x0806: return next == 1;
    case 0x8100:
    case 0x88a8:
    case 0x8847:
    case 0x8863:
    case 0x8864:
    case 0x88cc: return 1;
    default: return type <= LENGTH_MAX && (next == 0xaaaa || next == 0x4242 || next == 0xfefe);
    }
}

enum decode_layer decode_guess(struct walk *w, enum decode_counter skip)
{
    if (reader_left(&w->r) == 0)
        return decode_short(w, DECODED_IP);
    int nibble = reader_peek(&w->r, 0) >> 4;
    if (nibble == 4 && looks_like_ipv4(w))
        return LAYER_IPV4;
    if (looks_like_ethernet(w, 0)) {
        w->decoder->counters[DECODED_PSEUDOWIRE]++;
        return LAYER_ETHERNET;
    }
    if (nibble == 4)
        return LAYER_IPV4;
    if (nibble == 6)
        return LAYER_IPV6;
    if (nibble == 0 && looks_like_ethernet(w, 4)) {
        reader_skip(&w->r, 4); /* the control word */
        w->decoder->counters[DECODED_PSEUDOWIRE]++;
        return LAYER_ETHERNET;
    }
    if (w->cut > 0 && reader_left(&w->r) < 20) /* the snaplen took what would tell */
        return decode_short(w, DECODED_PSEUDOWIRE);
    return decode_end(w, skip);
}
