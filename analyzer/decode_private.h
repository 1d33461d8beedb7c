/*
 * What the files of the decoder share: the walk from header to header and what is counted on the
 * way. A layer function reads its header at the reader's position and names the layer that
 * follows. Each packet ends in exactly one of: a segment (decode.tcp), skip.*, malformed.*,
 * truncated.*, or within the fragments (defrag.*).
 */
#ifndef SWITCHTAP_DECODE_PRIVATE_H
#define SWITCHTAP_DECODE_PRIVATE_H

#include "../dissectors/reader.h"
#include "checksum.h"
#include "decode.h"
#include "defrag.h"

enum {
    DECODE_DEPTH_LIMIT = 24,  /* headers in one packet */
    DECODE_CHAIN_LIMIT = 16,  /* MPLS labels, IPv6 or GTP-U extension headers in a row */
    DECODE_LINK_TYPES = 16    /* unknown link types counted by number */
};

/* Headers. Each is counted as decode.NAME; malformed.NAME where it contradicts itself or does not
 * fit into what was on the wire, truncated.NAME where only the snaplen cut it. */
#define DECODE_HEADERS(X)                                                                          \
    X(ETHERNET, "ethernet")                                                                        \
    X(VLAN, "vlan")                                                                                \
    X(VNTAG, "vn-tag")                                                                             \
    X(PBB, "pbb")                                                                                  \
    X(LLC, "llc")                                                                                  \
    X(MPLS, "mpls")                                                                                \
    X(PSEUDOWIRE, "pseudowire")                                                                    \
    X(PPPOE, "pppoe")                                                                              \
    X(PPP, "ppp")                                                                                  \
    X(CHDLC, "cisco-hdlc")                                                                         \
    X(SLL, "sll")                                                                                  \
    X(SLL2, "sll2")                                                                                \
    X(LOOPBACK, "null")                                                                            \
    X(RADIOTAP, "radiotap")                                                                        \
    X(WLAN, "wlan")                                                                                \
    X(IP, "ip")                                                                                    \
    X(IPV4, "ipv4")                                                                                \
    X(IPV6, "ipv6")                                                                                \
    X(EXTENSION, "ipv6-extension")                                                                 \
    X(FRAGMENT, "fragment")                                                                        \
    X(AH, "ah")                                                                                    \
    X(ETHERIP, "etherip")                                                                          \
    X(GRE, "gre")                                                                                  \
    X(PPTP, "pptp")                                                                                \
    X(WCCP, "wccp")                                                                                \
    X(ERSPAN, "erspan")                                                                            \
    X(UDP, "udp")                                                                                  \
    X(VXLAN, "vxlan")                                                                              \
    X(VXLAN_GPE, "vxlan-gpe")                                                                      \
    X(NSH, "nsh")                                                                                  \
    X(GENEVE, "geneve")                                                                            \
    X(GTPU, "gtp-u")                                                                               \
    X(TEREDO, "teredo")                                                                            \
    X(L2TP, "l2tp")                                                                                \
    X(TCP, "tcp")

/* Remarks about packets that go on. */
#define DECODE_REMARKS(X)                                                                          \
    X(ATOMIC_FRAGMENT, "decode.ipv6-atomic-fragment")                                              \
    X(LENGTH_ZERO, "decode.ip-length-zero")                                                        \
    X(LENGTH_BEYOND, "decode.ip-length-beyond-frame")                                              \
    X(JUMBOGRAM, "decode.ipv6-jumbogram")                                                          \
    X(OPTIONS_BAD, "decode.tcp-options-bad")

#define DECODE_SKIPS(X)                                                                            \
    X(ARP, "skip.arp")                                                                             \
    X(LLDP, "skip.lldp")                                                                           \
    X(LACP, "skip.lacp")                                                                           \
    X(EAPOL, "skip.eapol")                                                                         \
    X(MACSEC, "skip.macsec")                                                                       \
    X(PTP, "skip.ptp")                                                                             \
    X(IPX, "skip.ipx")                                                                             \
    X(PPPOE_DISCOVERY, "skip.pppoe-discovery")                                                     \
    X(ETHERTYPE, "skip.ethertype")                                                                 \
    X(STP, "skip.stp")                                                                             \
    X(OSI, "skip.osi")                                                                             \
    X(LLC, "skip.llc")                                                                             \
    X(SNAP, "skip.snap")                                                                           \
    X(PPP_CONTROL, "skip.ppp-control")                                                             \
    X(PPP_COMPRESSED, "skip.ppp-compressed")                                                       \
    X(PPP, "skip.ppp")                                                                             \
    X(MPLS, "skip.mpls")                                                                           \
    X(NULL_FAMILY, "skip.null-family")                                                             \
    X(WLAN_MANAGEMENT, "skip.wlan-management")                                                     \
    X(WLAN_CONTROL, "skip.wlan-control")                                                           \
    X(WLAN_EMPTY, "skip.wlan-empty")                                                               \
    X(WLAN_ENCRYPTED, "skip.wlan-encrypted")                                                       \
    X(WLAN_AMSDU, "skip.wlan-amsdu")                                                               \
    X(WLAN_BAD_FCS, "skip.wlan-bad-fcs")                                                           \
    X(FRAGMENT_CHECKSUM, "skip.fragment-bad-checksum")                                             \
    X(ICMP, "skip.icmp")                                                                           \
    X(ICMPV6, "skip.icmpv6")                                                                       \
    X(IGMP, "skip.igmp")                                                                           \
    X(SCTP, "skip.sctp")                                                                           \
    X(DCCP, "skip.dccp")                                                                           \
    X(UDP_LITE, "skip.udp-lite")                                                                   \
    X(ESP, "skip.esp")                                                                             \
    X(IPCOMP, "skip.ipcomp")                                                                       \
    X(EIGRP, "skip.eigrp")                                                                         \
    X(OSPF, "skip.ospf")                                                                           \
    X(PIM, "skip.pim")                                                                             \
    X(VRRP, "skip.vrrp")                                                                           \
    X(L2TPV3, "skip.l2tpv3")                                                                       \
    X(NO_NEXT_HEADER, "skip.no-next-header")                                                       \
    X(PROTOCOL, "skip.protocol")                                                                   \
    X(GRE, "skip.gre")                                                                             \
    X(PPTP_ACK, "skip.pptp-ack")                                                                   \
    X(ERSPAN_FRAME, "skip.erspan-frame")                                                           \
    X(NSH, "skip.nsh")                                                                             \
    X(GTPU_SIGNAL, "skip.gtp-u-signal")                                                            \
    X(GTPU_PAYLOAD, "skip.gtp-u-payload")                                                          \
    X(L2TP_CONTROL, "skip.l2tp-control")                                                           \
    X(UDP_DNS, "skip.udp.dns")                                                                     \
    X(UDP_MDNS, "skip.udp.mdns")                                                                   \
    X(UDP_LLMNR, "skip.udp.llmnr")                                                                 \
    X(UDP_DHCP, "skip.udp.dhcp")                                                                   \
    X(UDP_NTP, "skip.udp.ntp")                                                                     \
    X(UDP_QUIC, "skip.udp.quic")                                                                   \
    X(UDP_SSDP, "skip.udp.ssdp")                                                                   \
    X(UDP_NETBIOS, "skip.udp.netbios")                                                             \
    X(UDP_SNMP, "skip.udp.snmp")                                                                   \
    X(UDP_SYSLOG, "skip.udp.syslog")                                                               \
    X(UDP_SIP, "skip.udp.sip")                                                                     \
    X(UDP_STUN, "skip.udp.stun")                                                                   \
    X(UDP_IPSEC, "skip.udp.ipsec")                                                                 \
    X(UDP_RADIUS, "skip.udp.radius")                                                               \
    X(UDP_GTPC, "skip.udp.gtp-c")                                                                  \
    X(UDP_OTHER, "skip.udp.other")                                                                 \
    X(TOO_DEEP, "skip.too-deep")

enum decode_counter {
#define X(id, name) DECODED_##id, MALFORMED_##id, TRUNCATED_##id,
    DECODE_HEADERS(X)
#undef X
#define X(id, name) REMARK_##id,
    DECODE_REMARKS(X)
#undef X
#define X(id, name) SKIP_##id,
    DECODE_SKIPS(X)
#undef X
        DECODE_COUNTER_COUNT
};

enum decode_layer {
    LAYER_END,     /* counted, nothing more to see */
    LAYER_SEGMENT, /* the segment is filled */
    LAYER_ETHERNET,
    LAYER_VLAN,
    LAYER_VNTAG,
    LAYER_ETAG,
    LAYER_PBB,
    LAYER_LLC,
    LAYER_MPLS,
    LAYER_PPPOE,
    LAYER_PPP,
    LAYER_PPP_HDLC,
    LAYER_CHDLC,
    LAYER_SLL,
    LAYER_SLL2,
    LAYER_NULL,
    LAYER_RADIOTAP,
    LAYER_WLAN,
    LAYER_IP, /* whatever the first nibble says */
    LAYER_IPV4,
    LAYER_IPV6,
    LAYER_AH,
    LAYER_TCP,
    LAYER_UDP,
    LAYER_ETHERIP,
    LAYER_GRE,
    LAYER_WCCP,
    LAYER_ERSPAN2,
    LAYER_ERSPAN3,
    LAYER_VXLAN,
    LAYER_VXLAN_GPE,
    LAYER_NSH,
    LAYER_GENEVE,
    LAYER_GTPU,
    LAYER_TEREDO,
    LAYER_L2TP
};

struct link_count {
    int link_type;
    uint64_t packets;
};

struct decoder {
    struct budget budget; /* of the fragments */
    struct defrag *defrag;
    int verify; /* fragments with a bad IPv4 header checksum are not used */
    uint64_t counters[DECODE_COUNTER_COUNT];
    struct link_count links[DECODE_LINK_TYPES];
    uint64_t other_links;
};

struct walk {
    struct decoder *decoder;
    const struct packet *packet;
    struct segment *segment;
    struct reader r;   /* what was captured, padding cut off as lengths become known */
    size_t cut;        /* bytes behind it that were on the wire (or are said to have been) */
    int snapped;       /* such bytes were cut off by the snaplen */
    const uint8_t *ip; /* the innermost IP header */
    uint64_t context;  /* which tunnels this is in, for fragments */
    int wlan_padded;   /* radiotap says that the 802.11 header is padded to 4 bytes */
};

/* Counts and ends the walk. bad: the header (its DECODED_ counter) contradicts itself; short: it is
 * not all there, by the snaplen's fault or by its own. */
enum decode_layer decode_end(struct walk *w, enum decode_counter counter);
enum decode_layer decode_bad(struct walk *w, enum decode_counter header);
enum decode_layer decode_short(struct walk *w, enum decode_counter header);

/* What is left, as it was on the wire. */
size_t decode_wire_left(const struct walk *w);

/* No more than len bytes of what is left belong to what follows (padding is cut off). */
void decode_trim(struct walk *w, size_t len);

/* What follows is in the tunnel `id` of its kind. */
void decode_enter(struct walk *w, uint32_t kind, uint32_t id);

/* The layer that an EtherType or IP protocol names; LAYER_END, counted, where none is read. */
enum decode_layer decode_ethertype(struct walk *w, uint16_t type);
enum decode_layer decode_protocol(struct walk *w, uint8_t protocol);

/* IPv4, IPv6 or Ethernet, with or without a control word, by what the bytes look like; `skip` is
 * counted where they look like none of these. */
enum decode_layer decode_guess(struct walk *w, enum decode_counter skip);

/* decode_link.c */
enum decode_layer decode_ethernet(struct walk *w);
enum decode_layer decode_vlan(struct walk *w);
enum decode_layer decode_tag(struct walk *w, enum decode_layer layer);
enum decode_layer decode_llc(struct walk *w);
enum decode_layer decode_mpls(struct walk *w);
enum decode_layer decode_pppoe(struct walk *w);
enum decode_layer decode_ppp(struct walk *w);
enum decode_layer decode_ppp_hdlc(struct walk *w);
enum decode_layer decode_chdlc(struct walk *w);
enum decode_layer decode_sll(struct walk *w);
enum decode_layer decode_sll2(struct walk *w);
enum decode_layer decode_null(struct walk *w);
enum decode_layer decode_radiotap(struct walk *w);
enum decode_layer decode_wlan(struct walk *w);

/* decode_ip.c */
enum decode_layer decode_ip(struct walk *w);
enum decode_layer decode_ipv4(struct walk *w);
enum decode_layer decode_ipv6(struct walk *w);
enum decode_layer decode_ah(struct walk *w);
enum decode_layer decode_tcp(struct walk *w);

/* decode_tunnel.c */
enum decode_layer decode_udp(struct walk *w);
enum decode_layer decode_etherip(struct walk *w);
enum decode_layer decode_gre(struct walk *w);
enum decode_layer decode_wccp(struct walk *w);
enum decode_layer decode_erspan(struct walk *w, enum decode_layer layer);
enum decode_layer decode_vxlan(struct walk *w, enum decode_layer layer);
enum decode_layer decode_nsh(struct walk *w);
enum decode_layer decode_geneve(struct walk *w);
enum decode_layer decode_gtpu(struct walk *w);
enum decode_layer decode_teredo(struct walk *w);
enum decode_layer decode_l2tp(struct walk *w);

#endif
