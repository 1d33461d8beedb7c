/*
 * The walk through a packet: from the link type to the first layer, from layer to layer until a TCP
 * segment is found or nothing more can be, and the counters of all that. The layers themselves are
 * in decode_link.c, decode_ip.c and decode_tunnel.c.
 */
#include "decode_private.h"

#include <stdio.h>
#include <stdlib.h>

struct decoder *decoder_new(struct budget *budget)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    budget_init(&decoder->budget, budget->limit / 8, budget);
    decoder->verify = 1;
    decoder->defrag = defrag_new(&decoder->budget, DEFRAG_BSD);
    if (decoder->defrag == NULL) {
        free(decoder);
        return NULL;
    }
    return decoder;
}

void decoder_free(struct decoder *decoder)
{
    if (decoder == NULL)
        return;
    defrag_free(decoder->defrag);
    free(decoder);
}

void decoder_verify_checksums(struct decoder *decoder, int on)
{
    decoder->verify = on;
}

enum decode_layer decode_end(struct walk *w, enum decode_counter counter)
{
    w->decoder->counters[counter]++;
    return LAYER_END;
}

enum decode_layer decode_bad(struct walk *w, enum decode_counter header)
{
    return decode_end(w, header + 1); /* MALFORMED_ follows DECODED_ */
}

enum decode_layer decode_short(struct walk *w, enum decode_counter header)
{
    return decode_end(w, header + (w->snapped && w->cut > 0 ? 2 : 1)); /* TRUNCATED_ comes then */
}

size_t decode_wire_left(const struct walk *w)
{
    return reader_left(&w->r) + w->cut;
}

void decode_trim(struct walk *w, size_t len)
{
    size_t left = reader_left(&w->r);
    if (len <= left) {
        w->r.len = w->r.at + len;
        w->cut = 0;
    } else if (len - left < w->cut) {
        w->cut = len - left;
    }
}

void decode_enter(struct walk *w, uint32_t kind, uint32_t id)
{
    uint64_t value = w->context ^ ((uint64_t)kind << 32 | id);
    w->context = (value ^ value >> 29) * UINT64_C(0xbf58476d1ce4e5b9) + 1;
}

enum decode_layer decode_ethertype(struct walk *w, uint16_t type)
{
    switch (type) {
    case 0x0800: return LAYER_IPV4;
    case 0x86dd: return LAYER_IPV6;
    case 0x8100:
    case 0x88a8:
    case 0x9100:
    case 0x9200: return LAYER_VLAN;
    case 0x8847:
    case 0x8848: return LAYER_MPLS;
    case 0x8864: return LAYER_PPPOE;
    case 0x6558: return LAYER_ETHERNET;
    case 0x880b: return LAYER_PPP;
    case 0x8926: return LAYER_VNTAG;
    case 0x893f: return LAYER_ETAG;
    case 0x88e7: return LAYER_PBB;
    case 0x894f: return LAYER_NSH;
    case 0x0806:
    case 0x8035: return decode_end(w, SKIP_ARP);
    case 0x88cc: return decode_end(w, SKIP_LLDP);
    case 0x8809: return decode_end(w, SKIP_LACP);
    case 0x888e: return decode_end(w, SKIP_EAPOL);
    case 0x88e5: return decode_end(w, SKIP_MACSEC);
    case 0x88f7: return decode_end(w, SKIP_PTP);
    case 0x8137: return decode_end(w, SKIP_IPX);
    case 0x8863: return decode_end(w, SKIP_PPPOE_DISCOVERY);
    default: return decode_end(w, SKIP_ETHERTYPE);
    }
}

enum decode_layer decode_protocol(struct walk *w, uint8_t protocol)
{
    switch (protocol) {
    case 6: return LAYER_TCP;
    case 17: return LAYER_UDP;
    case 4: return LAYER_IPV4;
    case 41: return LAYER_IPV6;
    case 47: return LAYER_GRE;
    case 51: return LAYER_AH;
    case 97: return LAYER_ETHERIP;
    case 137: return LAYER_MPLS;
    case 143: return LAYER_ETHERNET;
    case 1: return decode_end(w, SKIP_ICMP);
    case 2: return decode_end(w, SKIP_IGMP);
    case 33: return decode_end(w, SKIP_DCCP);
    case 50: return decode_end(w, SKIP_ESP);
    case 58: return decode_end(w, SKIP_ICMPV6);
    case 59: return decode_end(w, SKIP_NO_NEXT_HEADER);
    case 88: return decode_end(w, SKIP_EIGRP);
    case 89: return decode_end(w, SKIP_OSPF);
    case 103: return decode_end(w, SKIP_PIM);
    case 108: return decode_end(w, SKIP_IPCOMP);
    case 112: return decode_end(w, SKIP_VRRP);
    case 115: return decode_end(w, SKIP_L2TPV3);
    case 132: return decode_end(w, SKIP_SCTP);
    case 136: return decode_end(w, SKIP_UDP_LITE);
    default: return decode_end(w, SKIP_PROTOCOL);
    }
}

static enum decode_layer unknown_link(struct decoder *decoder, int link_type)
{
    for (size_t i = 0; i < DECODE_LINK_TYPES; i++) {
        struct link_count *link = &decoder->links[i];
        if (link->packets > 0 && link->link_type != link_type)
            continue;
        link->link_type = link_type;
        link->packets++;
        return LAYER_END;
    }
    decoder->other_links++;
    return LAYER_END;
}

static enum decode_layer first_layer(struct decoder *decoder, int link_type)
{
    switch (link_type) {
    case 1: return LAYER_ETHERNET;
    case 0:
    case 108: return LAYER_NULL;
    case 9: return LAYER_PPP;
    case 50: return LAYER_PPP_HDLC;
    case 51: return LAYER_PPPOE;
    case 12: /* DLT_RAW of some systems, found in files of old writers */
    case 14:
    case 101: return LAYER_IP;
    case 104: return LAYER_CHDLC;
    case 105: return LAYER_WLAN;
    case 113: return LAYER_SLL;
    case 127: return LAYER_RADIOTAP;
    case 228: return LAYER_IPV4;
    case 229: return LAYER_IPV6;
    case 276: return LAYER_SLL2;
    default: return unknown_link(decoder, link_type);
    }
}

static enum decode_layer step(struct walk *w, enum decode_layer layer)
{
    switch (layer) {
    case LAYER_ETHERNET: return decode_ethernet(w);
    case LAYER_VLAN: return decode_vlan(w);
    case LAYER_VNTAG:
    case LAYER_ETAG:
    case LAYER_PBB: return decode_tag(w, layer);
    case LAYER_LLC: return decode_llc(w);
    case LAYER_MPLS: return decode_mpls(w);
    case LAYER_PPPOE: return decode_pppoe(w);
    case LAYER_PPP: return decode_ppp(w);
    case LAYER_PPP_HDLC: return decode_ppp_hdlc(w);
    case LAYER_CHDLC: return decode_chdlc(w);
    case LAYER_SLL: return decode_sll(w);
    case LAYER_SLL2: return decode_sll2(w);
    case LAYER_NULL: return decode_null(w);
    case LAYER_RADIOTAP: return decode_radiotap(w);
    case LAYER_WLAN: return decode_wlan(w);
    case LAYER_IP: return decode_ip(w);
    case LAYER_IPV4: return decode_ipv4(w);
    case LAYER_IPV6: return decode_ipv6(w);
    case LAYER_AH: return decode_ah(w);
    case LAYER_TCP: return decode_tcp(w);
    case LAYER_UDP: return decode_udp(w);
    case LAYER_ETHERIP: return decode_etherip(w);
    case LAYER_GRE: return decode_gre(w);
    case LAYER_WCCP: return decode_wccp(w);
    case LAYER_ERSPAN2:
    case LAYER_ERSPAN3: return decode_erspan(w, layer);
    case LAYER_VXLAN:
    case LAYER_VXLAN_GPE: return decode_vxlan(w, layer);
    case LAYER_NSH: return decode_nsh(w);
    case LAYER_GENEVE: return decode_geneve(w);
    case LAYER_GTPU: return decode_gtpu(w);
    case LAYER_TEREDO: return decode_teredo(w);
    case LAYER_L2TP: return decode_l2tp(w);
    case LAYER_END:
    case LAYER_SEGMENT: break;
    }
    return LAYER_END;
}

/* The 12 bytes of options that most stacks send: two pads and the timestamps. 1: it is those. */
static int plain_timestamps(struct reader *r, struct segment *segment)
{
    if (reader_u32(r) != 0x0101080a)
        return 0;
    segment->has_timestamps = 1;
    segment->ts_value = reader_u32(r);
    segment->ts_echo = reader_u32(r);
    return 1;
}

/* The TCP header of a plain packet, at `at`; the datagram ends at `end`. 1: that was all. */
static int plain_tcp(const struct packet *packet, size_t at, size_t end, struct segment *segment)
{
    struct reader r = reader_of(packet->data + at, end - at);
    if (reader_left(&r) < 20)
        return 0;
    segment->source_port = reader_u16(&r);
    segment->target_port = reader_u16(&r);
    segment->seq = reader_u32(&r);
    segment->ack = reader_u32(&r);
    size_t header_len = (size_t)(reader_u8(&r) >> 4) * 4;
    segment->flags = reader_u8(&r) & 0x3f;
    segment->window = reader_u16(&r);
    reader_skip(&r, 2);
    segment->urgent = reader_u16(&r);
    segment->window_scale = -1;
    segment->has_timestamps = 0;
    segment->ts_value = segment->ts_echo = 0;
    if (header_len != 20 && (header_len != 32 || reader_left(&r) < 12 ||
                             !plain_timestamps(&r, segment)))
        return 0;
    segment->tcp = packet->data + at;
    segment->payload = r.data + r.at;
    segment->payload_len = segment->payload_wire = reader_left(&r);
    return 1;
}

/* Most packets by far: Ethernet, IPv4 without options or fragments, all there, TCP without options
 * or with timestamps only. Comes to what the walk comes to. 0: it is none, nothing was counted. */
static int plain_packet(struct decoder *decoder, const struct packet *packet,
                        struct segment *segment)
{
    enum { ETHERNET = 14, IPV4 = 20, TCP = 20 };
    struct reader r = reader_of(packet->data, packet->len);
    const uint8_t *source, *target;
    if (packet->link_type != 1 || reader_left(&r) < ETHERNET + IPV4 + TCP)
        return 0;
    reader_skip(&r, 12);
    uint16_t type = reader_u16(&r);
    uint8_t first = reader_u8(&r);
    reader_skip(&r, 1);
    size_t total = reader_u16(&r);
    segment->ip_id = reader_u16(&r);
    uint16_t fragment = reader_u16(&r);
    reader_skip(&r, 1);
    uint8_t protocol = reader_u8(&r);
    reader_skip(&r, 2);
    if (type != 0x0800 || first != 0x45 || (fragment & 0x3fff) != 0 || protocol != 6 ||
        total < IPV4 + TCP || total > packet->len - ETHERNET || !reader_take(&r, 4, &source) ||
        !reader_take(&r, 4, &target) ||
        !plain_tcp(packet, ETHERNET + IPV4, ETHERNET + total, segment))
        return 0;
    segment->source = segment->target = (struct address){.family = 4};
    memcpy(segment->source.bytes, source, 4);
    memcpy(segment->target.bytes, target, 4);
    segment->ip = packet->data + ETHERNET;
    segment->ip_len = total;
    segment->packet = packet->number;
    segment->time_ns = packet->time_ns;
    decoder->counters[DECODED_ETHERNET]++;
    decoder->counters[DECODED_IPV4]++;
    decoder->counters[DECODED_TCP]++;
    return 1;
}

int decode_packet(struct decoder *decoder, const struct packet *packet, struct segment *segment)
{
    segment->vlan = -1;
    segment->tunnel = 0;
    if (plain_packet(decoder, packet, segment))
        return 1;
    size_t cut = packet->wire_len > packet->len ? packet->wire_len - packet->len : 0;
    struct walk w = {
        .decoder = decoder,
        .packet = packet,
        .segment = segment,
        .r = reader_of(packet->data, packet->len),
        .cut = cut,
        .snapped = cut > 0,
    };
    defrag_clear(decoder->defrag);
    enum decode_layer layer = first_layer(decoder, packet->link_type);
    for (unsigned depth = 0; layer > LAYER_SEGMENT; depth++) {
        if (depth == DECODE_DEPTH_LIMIT)
            layer = decode_end(&w, SKIP_TOO_DEEP);
        else
            layer = step(&w, layer);
    }
    return layer == LAYER_SEGMENT;
}

void decoder_counters(const struct decoder *decoder,
                      void (*each)(void *arg, const char *name, uint64_t value), void *arg)
{
    static const char *const names[DECODE_COUNTER_COUNT] = {
#define X(id, name)                                                                                \
    [DECODED_##id] = "decode." name, [MALFORMED_##id] = "malformed." name,                         \
    [TRUNCATED_##id] = "truncated." name,
        DECODE_HEADERS(X)
#undef X
#define X(id, name) [REMARK_##id] = name,
        DECODE_REMARKS(X)
#undef X
#define X(id, name) [SKIP_##id] = name,
        DECODE_SKIPS(X)
#undef X
    };
    for (int i = 0; i < DECODE_COUNTER_COUNT; i++) {
        if (decoder->counters[i] > 0)
            each(arg, names[i], decoder->counters[i]);
    }
    for (size_t i = 0; i < DECODE_LINK_TYPES && decoder->links[i].packets > 0; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "skip.link-type.%d", decoder->links[i].link_type);
        each(arg, name, decoder->links[i].packets);
    }
    if (decoder->other_links > 0)
        each(arg, "skip.link-type.other", decoder->other_links);
    for (int i = 0; i < DEFRAG_COUNTER_COUNT; i++) {
        uint64_t value = defrag_count(decoder->defrag, (enum defrag_counter)i);
        if (value > 0)
            each(arg, defrag_counter_name((enum defrag_counter)i), value);
    }
    if (defrag_waiting(decoder->defrag) > 0)
        each(arg, "defrag.waiting", defrag_waiting(decoder->defrag));
}
