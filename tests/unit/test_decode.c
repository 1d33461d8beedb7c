/*
 * The decoder, with packets that are written down as words: "eth qinq:7 ip4 udp:2152 gtp ip4 tcp".
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/checksum.h"
#include "../../analyzer/decode.h"
#include "decode_frames.h"

Suite *decode_suite(void);

/* --- decoding --- */

static struct budget root;
static struct decoder *decoder;
static struct segment segment;
static uint8_t *block; /* what segment borrows from */
static uint64_t packets, segments;
static int64_t now_ns = 1000;

static void setup(void)
{
    budget_init(&root, (size_t)16 << 20, NULL);
    decoder = decoder_new(&root);
    ck_assert_ptr_nonnull(decoder);
    packets = segments = 0;
}

struct lookup {
    const char *name; /* NULL: the sum of all ends */
    size_t prefix;    /* compare so many characters only */
    uint64_t value;
};

static void look(void *arg, const char *name, uint64_t value)
{
    struct lookup *lookup = arg;
    static const char *const ends[] = {"skip.", "malformed.", "truncated."};
    static const char *const inner[] = {"defrag.held", "defrag.duplicate", "defrag.overlapped",
                                        "defrag.malformed", "defrag.no-memory"};
    ck_assert_uint_gt(value, 0);
    if (lookup->name != NULL) {
        if (strncmp(name, lookup->name, lookup->prefix) == 0)
            lookup->value += value;
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (strncmp(name, ends[i], strlen(ends[i])) == 0)
            lookup->value += value;
    }
    for (size_t i = 0; i < 5; i++) {
        if (strcmp(name, inner[i]) == 0)
            lookup->value += value;
    }
}

static uint64_t counter(const char *name)
{
    struct lookup lookup = {name, strlen(name) + 1, 0};
    decoder_counters(decoder, look, &lookup);
    return lookup.value;
}

static uint64_t counters(const char *prefix)
{
    struct lookup lookup = {prefix, strlen(prefix), 0};
    decoder_counters(decoder, look, &lookup);
    return lookup.value;
}

static void teardown(void)
{
    struct lookup ends = {NULL, 0, segments};
    decoder_counters(decoder, look, &ends);
    ck_assert_uint_eq(ends.value, packets); /* each packet has exactly one end */
    ck_assert_uint_eq(counter("decode.tcp"), segments);
    decoder_free(decoder);
    ck_assert_uint_eq(root.used, 0);
    free(block);
    block = NULL;
}

/* The bytes stand at the end of a block of their own, so that a read behind them is seen. */
static int decode_bytes(int link_type, const uint8_t *bytes, size_t len, size_t wire_len)
{
    free(block);
    block = malloc(len + 1);
    memcpy(block + 1, bytes, len);
    struct packet packet = {.data = block + 1, .len = len, .wire_len = wire_len, .time_ns = now_ns,
                            .number = ++packets, .link_type = link_type};
    memset(&segment, 0xee, sizeof segment);
    int result = decode_packet(decoder, &packet, &segment);
    segments += (unsigned)result;
    return result;
}

static int decode_frame(int link_type, const struct frame *f)
{
    return decode_bytes(link_type, f->data + f->at, frame_len(f), frame_len(f));
}

static int decode_words(int link_type, const char *words)
{
    static struct frame f;
    build(&f, words);
    return decode_frame(link_type, &f);
}

/* A new decoder. */
static void again(void)
{
    teardown();
    setup();
}

/* What "tcp" and the innermost "ip4" or "ip6" must become; payload bytes as many as came. */
static void check_segment(const char *words, size_t payload_len)
{
    static const uint8_t address4[16] = {10, 0, 0, 1};
    static const uint8_t address6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
    const char *last4 = strstr(words, "ip4"), *last6 = strstr(words, "ip6");
    for (const char *at = last4; at != NULL; at = strstr(at + 1, "ip4"))
        last4 = at;
    for (const char *at = last6; at != NULL; at = strstr(at + 1, "ip6"))
        last6 = at;
    int family = last6 > last4 ? 6 : 4;
    ck_assert_int_eq(segment.source.family, family);
    ck_assert_int_eq(segment.target.family, family);
    ck_assert_mem_eq(segment.source.bytes, family == 4 ? address4 : address6, 16);
    ck_assert_int_eq(segment.target.bytes[family == 4 ? 3 : 15], 2);
    ck_assert_uint_eq(segment.source_port, SOURCE_PORT);
    ck_assert_uint_eq(segment.target_port, TARGET_PORT);
    ck_assert_uint_eq(segment.seq, SEQUENCE);
    ck_assert_uint_eq(segment.ack, 0x55667788);
    ck_assert_uint_eq(segment.flags, TCP_SYN | TCP_ACK | TCP_PSH); /* without ECE and CWR */
    ck_assert_uint_eq(segment.window, 512);
    ck_assert_uint_eq(segment.urgent, 3);
    ck_assert_uint_eq(segment.ip_id, family == 4 ? 0x1234 : 0);
    ck_assert_uint_eq(segment.packet, packets);
    ck_assert_int_eq(segment.time_ns, now_ns);
    ck_assert_uint_eq(segment.payload_len, payload_len);
    ck_assert_mem_eq(segment.payload, request, payload_len);
    ck_assert_uint_eq(segment.payload_wire, sizeof request - 1);
    ck_assert_ptr_eq(segment.ip + segment.ip_len, segment.payload + payload_len);
    ck_assert_int_eq(segment.ip[0] >> 4, family);
}

/* --- tests --- */

struct stack_case {
    int link_type;
    const char *words;
    int32_t vlan;
    uint32_t tunnel;
    const char *counted;
};

static const struct stack_case stacks[] = {
    {1, "eth ip4 tcp", -1, 0, "decode.ethernet"},
    {1, "eth ip4:40 tcp", -1, 0, "decode.ipv4"},
    {1, "eth ip6 tcp", -1, 0, "decode.ipv6"},
    {1, "eth ip6 hbh dst rt ah atomic dst tcp", -1, 0, "decode.ipv6-atomic-fragment"},
    {1, "eth ip4 ah tcp", -1, 0, "decode.ah"},
    {1, "eth vlan:5 ip4 tcp", 5, 0, "decode.vlan"},
    {1, "eth vlan:0 vlan:9 ip4 tcp", 9, 0, "decode.vlan"},
    {1, "eth qinq:7 vlan:8 vlan:9 vlan:10 ip6 tcp", 7, 0, "decode.vlan"},
    {1, "eth snap ip4 tcp", -1, 0, "decode.llc"},
    {1, "eth vlan:3 snap ip4 tcp", 3, 0, "decode.llc"},
    {1, "eth vntag vlan:3 ip4 tcp", 3, 0, "decode.vn-tag"},
    {1, "eth etag ip4 tcp", -1, 0, "decode.vn-tag"},
    {1, "eth qinq:4 pbb eth vlan:5 ip4 tcp", 4, 0, "decode.pbb"},
    {1, "eth mpls ip4 tcp", -1, 0, "decode.mpls"},
    {1, "eth mpls mpls mpls ip6 tcp", -1, 0, "decode.mpls"},
    {1, "eth mpls eth ip4 tcp", -1, 0, "decode.pseudowire"},
    {1, "eth mpls cw eth vlan:6 ip6 tcp", 6, 0, "decode.pseudowire"},
    {1, "eth pppoe ip4 tcp", -1, 0, "decode.pppoe"},
    {1, "eth vlan:2 pppoe ip6 tcp", 2, 0, "decode.ppp"},
    {1, "eth pppoe mpls ip4 tcp", -1, 0, "decode.ppp"},
    {9, "ppp ip4 tcp", -1, 0, "decode.ppp"},
    {9, "ppp-short ip6 tcp", -1, 0, "decode.ppp"},
    {9, "multilink ip4 tcp", -1, 0, "decode.ppp"},
    {50, "ppp ip4 tcp", -1, 0, "decode.ppp"},
    {50, "chdlc ip4 tcp", -1, 0, "decode.cisco-hdlc"},
    {51, "pppoe ip4 tcp", -1, 0, "decode.pppoe"},
    {104, "chdlc ip6 tcp", -1, 0, "decode.cisco-hdlc"},
    {113, "sll ip4 tcp", -1, 0, "decode.sll"},
    {113, "sll vlan:4 ip6 tcp", 4, 0, "decode.sll"},
    {276, "sll2 ip4 tcp", -1, 0, "decode.sll2"},
    {276, "sll2 qinq:4 vlan:5 ip6 tcp", 4, 0, "decode.sll2"},
    {0, "null:2 ip4 tcp", -1, 0, "decode.null"},
    {0, "loop:2 ip4 tcp", -1, 0, "decode.null"},
    {0, "null:30 ip6 tcp", -1, 0, "decode.null"},
    {0, "null:24 ip6 tcp", -1, 0, "decode.null"},
    {0, "loop:28 ip6 tcp", -1, 0, "decode.null"},
    {108, "loop:10 ip6 tcp", -1, 0, "decode.null"},
    {101, "ip4 tcp", -1, 0, "decode.ipv4"},
    {101, "ip6 tcp", -1, 0, "decode.ipv6"},
    {12, "ip4 tcp", -1, 0, "decode.ipv4"},
    {14, "ip6 tcp", -1, 0, "decode.ipv6"},
    {228, "ip4 tcp", -1, 0, "decode.ipv4"},
    {229, "ip6 tcp", -1, 0, "decode.ipv6"},
    {127, "radiotap wlan snap ip4 tcp", -1, 0, "decode.wlan"},
    {1, "eth ip4 ip4 tcp", -1, 0, "decode.ipv4"},
    {1, "eth ip4 ip6 tcp", -1, 0, "decode.ipv6"},
    {1, "eth ip6 ip4 tcp", -1, 0, "decode.ipv4"},
    {1, "eth ip6 ip6 tcp", -1, 0, "decode.ipv6"},
    {1, "eth ip6 eth ip6 tcp", -1, 0, "decode.ipv6"},
    {1, "eth ip4 mpls ip4 tcp", -1, 0, "decode.mpls"},
    {1, "eth ip4 etherip eth ip4 tcp", -1, 0, "decode.etherip"},
    {1, "eth ip4 gre ip4 tcp", -1, 0, "decode.gre"},
    {1, "eth ip4 gre:0xb000 ip6 tcp", -1, 0, "decode.gre"},
    {1, "eth ip6 gre:0x2000 eth vlan:9 ip4 tcp", 9, 0, "decode.gre"},
    {1, "eth ip4 gre mpls ip4 tcp", -1, 0, "decode.mpls"},
    {1, "eth ip4 gre wccp ip4 tcp", -1, 0, "decode.wccp"},
    {1, "eth ip4 gre ppp ip4 tcp", -1, 0, "decode.ppp"},
    {1, "eth ip4 pptp ppp ip4 tcp", -1, 0, "decode.pptp"},
    {1, "eth ip4 erspan1 eth ip4 tcp", -1, 0, "decode.gre"},
    {1, "eth ip4 erspan2 eth vlan:5 ip4 tcp", 5, 0, "decode.erspan"},
    {1, "eth ip6 erspan3 eth ip6 tcp", -1, 0, "decode.erspan"},
    {1, "eth ip4 udp:4789 vxlan:0 eth ip4 tcp", -1, 1, "decode.vxlan"},
    {1, "eth ip6 udp:8472 vxlan:0xffffff eth vlan:2 ip6 tcp", 2, 0x1000000, "decode.vxlan"},
    {1, "eth ip4 udp:4790 gpe:5 ip6 tcp", -1, 6, "decode.vxlan-gpe"},
    {1, "eth ip4 udp:4790 gpe:5 nsh eth ip4 tcp", -1, 6, "decode.nsh"},
    {1, "eth nsh ip4 tcp", -1, 0, "decode.nsh"},
    {1, "eth ip4 udp:6081 geneve:66 eth ip4 tcp", -1, 67, "decode.geneve"},
    {1, "eth ip4 udp:6081 geneve:66 ip6 tcp", -1, 67, "decode.geneve"},
    {1, "eth ip4 udp:2152 gtp ip4 tcp", -1, 0, "decode.gtp-u"},
    {1, "eth ip4 udp-from:2152 gtp ip6 tcp", -1, 0, "decode.gtp-u"},
    {1, "eth ip6 udp:2152 gtpx ip6 tcp", -1, 0, "decode.gtp-u"},
    {1, "eth ip4 udp:2152 gtpx eth ip4 tcp", -1, 0, "decode.pseudowire"},
    {1, "eth ip4 udp:3544 ip6 tcp", -1, 0, "decode.teredo"},
    {1, "eth ip4 udp-from:3544 teredo ip6 tcp", -1, 0, "decode.teredo"},
    {1, "eth ip4 udp:1701 l2tp ppp ip4 tcp", -1, 0, "decode.l2tp"},
    {1, "eth ip4 udp:6635 mpls ip4 tcp", -1, 0, "decode.mpls"},
    {1, "eth ip4 udp:4754 gre:0x2000 ip4 tcp", -1, 0, "decode.gre"},
    {1, "eth qinq:7 vlan:8 ip4 udp:2152 gtp ip4 tcp", 7, 0, "decode.gtp-u"},
    {1, "eth ip4 gre eth ip4 udp:4789 vxlan:9 eth ip4 tcp", -1, 10, "decode.vxlan"},
    {1, "eth ip4 udp:4789 vxlan:9 eth vlan:3 ip6 udp:6081 geneve:4 eth ip4 tcp", 3, 5,
     "decode.vxlan"},
    {1, "eth mpls eth qinq:5 pppoe ip4 udp:1701 l2tp ppp ip6 gre ip4 tcp", 5, 0, "decode.l2tp"},
    {276, "sll2 ip6 hbh ip4 udp:2152 gtpx ip4 udp:4789 vxlan:1 eth ip6 dst tcp", -1, 2,
     "decode.gtp-u"},
};

enum { STACK_COUNT = sizeof stacks / sizeof stacks[0] };

START_TEST(stack_whole)
{
    for (size_t i = 0; i < STACK_COUNT; i++) {
        again();
        const struct stack_case *c = &stacks[i];
        ck_assert_msg(decode_words(c->link_type, c->words), "no segment in: %s", c->words);
        check_segment(c->words, sizeof request - 1);
        ck_assert_int_eq(segment.vlan, c->vlan);
        ck_assert_uint_eq(segment.tunnel, c->tunnel);
        ck_assert_int_eq(segment.window_scale, 7);
        ck_assert_int_eq(segment.has_timestamps, 1);
        ck_assert_uint_eq(segment.ts_value, 1000);
        ck_assert_uint_eq(segment.ts_echo, 2000);
        ck_assert_int_eq(decode_checksum(&segment), 1);
        ck_assert_uint_gt(counter(c->counted), 0);
        ck_assert_uint_eq(counters("malformed.") + counters("truncated.") + counters("skip."), 0);
    }
}
END_TEST

/* Cut by the snaplen anywhere: a shorter segment or "truncated", never anything else. */
START_TEST(stack_cut_by_snaplen)
{
    static struct frame f;
    for (size_t i = 0; i < STACK_COUNT; i++) {
        again();
        const struct stack_case *c = &stacks[i];
        build(&f, c->words);
        size_t len = frame_len(&f), payload = sizeof request - 1;
        for (size_t n = 0; n < len; n++) {
            int result = decode_bytes(c->link_type, f.data + f.at, n, len);
            ck_assert_msg(result == (n + payload + 16 >= len), "%zu bytes of: %s", n, c->words);
            if (result == 0)
                continue;
            check_segment(c->words, n + payload > len ? n + payload - len : 0);
            ck_assert_int_eq(decode_checksum(&segment), -1);
        }
        ck_assert_msg(counters("truncated.") == packets - segments, "in: %s", c->words);
    }
}
END_TEST

/* The same where nothing more was on the wire. */
START_TEST(stack_cut_on_the_wire)
{
    static struct frame f;
    for (size_t i = 0; i < STACK_COUNT; i++) {
        again();
        const struct stack_case *c = &stacks[i];
        build(&f, c->words);
        for (size_t n = 0; n < frame_len(&f); n++) {
            if (decode_bytes(c->link_type, f.data + f.at, n, n))
                ck_assert_int_le(decode_checksum(&segment), 0);
        }
        ck_assert_uint_eq(counters("truncated."), 0);
    }
}
END_TEST

START_TEST(stack_with_padding)
{
    static struct frame f;
    for (size_t i = 0; i < STACK_COUNT; i++) {
        again();
        const struct stack_case *c = &stacks[i];
        frame_clear(&f);
        PUT(&f, 1, 2, 3, 4, 5, 6, 7); /* behind what the innermost IP header says */
        uint8_t tail[7];
        memcpy(tail, f.data + f.at, sizeof tail);
        build(&f, c->words);
        memmove(f.data + f.at - sizeof tail, f.data + f.at, frame_len(&f));
        f.at -= sizeof tail;
        memcpy(f.data + FRAME_SIZE - sizeof tail, tail, sizeof tail);
        ck_assert_int_eq(decode_frame(c->link_type, &f), 1);
        check_segment(c->words, sizeof request - 1);
        ck_assert_int_eq(decode_checksum(&segment), 1);
    }
}
END_TEST

/* Any bytes changed anywhere: nothing is read outside, each packet has one end (teardown). */
START_TEST(stack_mutated)
{
    static struct frame f;
    for (size_t i = 0; i < STACK_COUNT; i++) {
        again();
        const struct stack_case *c = &stacks[i];
        unsigned state = (unsigned)i * 7919 + 1;
        for (int round = 0; round < 150; round++) {
            build(&f, c->words);
            size_t len = frame_len(&f);
            for (int changes = 1 + round % 4; changes > 0; changes--) {
                state = state * 1103515245 + 12345;
                uint8_t *at = &f.data[f.at + (state >> 8) % len];
                *at = (uint8_t)(round % 3 == 0 ? state >> 4 : *at ^ 1U << (state >> 28 & 7));
            }
            if (decode_frame(c->link_type, &f)) {
                ck_assert(segment.payload >= segment.tcp + 20);
                ck_assert_uint_le(segment.payload_len, segment.payload_wire);
                ck_assert_ptr_eq(segment.ip + segment.ip_len,
                                 segment.payload + segment.payload_len);
                (void)decode_checksum(&segment);
            }
        }
    }
}
END_TEST

static const struct {
    int link_type;
    const char *words, *counter;
} skips[] = {
    {1, "eth type:0x0806", "skip.arp"},
    {1, "eth vlan:4 type:0x0806", "skip.arp"},
    {1, "eth type:0x88cc", "skip.lldp"},
    {1, "eth type:0x8809", "skip.lacp"},
    {1, "eth type:0x888e", "skip.eapol"},
    {1, "eth type:0x88e5", "skip.macsec"},
    {1, "eth type:0x88f7", "skip.ptp"},
    {1, "eth type:0x8137", "skip.ipx"},
    {1, "eth type:0x8863", "skip.pppoe-discovery"},
    {1, "eth type:0x1234", "skip.ethertype"},
    {1, "eth llc:0x4242", "skip.stp"},
    {1, "eth llc:0xfefe", "skip.osi"},
    {1, "eth llc:0xe0e0", "skip.ipx"},
    {1, "eth llc:0x1010", "skip.llc"},
    {1, "eth mpls type:0", "skip.mpls"},
    {9, "ppp pppproto:0xc021", "skip.ppp-control"},
    {9, "ppp pppproto:0x00fd", "skip.ppp-compressed"},
    {9, "ppp pppproto:0x0031", "skip.ppp"},
    {0, "null:7 ip4 tcp", "skip.null-family"},
    {105, "wlan:0x40 snap ip4 tcp", "skip.wlan-encrypted"},
    {127, "radiotap:0x40 wlan snap ip4 tcp", "skip.wlan-bad-fcs"},
    {1, "eth ip4 proto:1", "skip.icmp"},
    {1, "eth ip6 hbh proto:58", "skip.icmpv6"},
    {1, "eth ip4 proto:2", "skip.igmp"},
    {1, "eth ip4 proto:132", "skip.sctp"},
    {1, "eth ip6 proto:33", "skip.dccp"},
    {1, "eth ip4 proto:136", "skip.udp-lite"},
    {1, "eth ip4 proto:50", "skip.esp"},
    {1, "eth ip4 proto:108", "skip.ipcomp"},
    {1, "eth ip4 proto:88", "skip.eigrp"},
    {1, "eth ip4 proto:89", "skip.ospf"},
    {1, "eth ip4 proto:103", "skip.pim"},
    {1, "eth ip4 proto:112", "skip.vrrp"},
    {1, "eth ip4 proto:115", "skip.l2tpv3"},
    {1, "eth ip6 proto:59", "skip.no-next-header"},
    {1, "eth ip4 proto:253", "skip.protocol"},
    {1, "eth ip4 gre type:0", "skip.gre"},
    {1, "eth ip4 gre type:0x1234", "skip.ethertype"},
    {1, "eth ip4 udp:2152 gtp-signal", "skip.gtp-u-signal"},
    {1, "eth ip4 udp:2152 gtp type:0", "skip.gtp-u-payload"},
    {1, "eth ip4 udp:53", "skip.udp.dns"},
    {1, "eth ip4 udp-from:53", "skip.udp.dns"},
    {1, "eth ip4 udp:67", "skip.udp.dhcp"},
    {1, "eth ip6 udp:547", "skip.udp.dhcp"},
    {1, "eth ip4 udp:123", "skip.udp.ntp"},
    {1, "eth ip4 udp:443", "skip.udp.quic"},
    {1, "eth ip4 udp-from:443", "skip.udp.quic"},
    {1, "eth ip4 udp:5353", "skip.udp.mdns"},
    {1, "eth ip4 udp:5355", "skip.udp.llmnr"},
    {1, "eth ip4 udp:1900", "skip.udp.ssdp"},
    {1, "eth ip4 udp:138", "skip.udp.netbios"},
    {1, "eth ip4 udp:161", "skip.udp.snmp"},
    {1, "eth ip4 udp:514", "skip.udp.syslog"},
    {1, "eth ip4 udp:5060", "skip.udp.sip"},
    {1, "eth ip4 udp:3478", "skip.udp.stun"},
    {1, "eth ip4 udp:4500", "skip.udp.ipsec"},
    {1, "eth ip4 udp:1812", "skip.udp.radius"},
    {1, "eth ip4 udp:2123", "skip.udp.gtp-c"},
    {1, "eth ip4 udp:9999", "skip.udp.other"},
    {1, "eth ip4 udp-from:4789 vxlan:1 eth ip4 tcp", "skip.udp.other"},
    {1, "eth ip4 udp:4789 type:0", "malformed.vxlan"},
    {1, "eth ip4 udp:6081 ip4 tcp", "malformed.geneve"},
    {1, "eth ip4 udp:2152 type:0", "malformed.gtp-u"},
    {1, "eth ip4 udp:3544 ip4 tcp", "malformed.teredo"},
    {1, "eth ip4 udp:1701 ip4 tcp", "malformed.l2tp"},
    {1, "eth ip4 proto:97", "malformed.etherip"},
    {1, "eth type:0x8864", "malformed.pppoe"},
    {1, "eth type:0x0800", "malformed.ipv4"},
    {1, "eth type:0x86dd", "malformed.ipv6"},
    {1, "eth ip4 proto:6", "malformed.tcp"},
    {1, "eth vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 "
        "vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 vlan:1 ip4 tcp",
     "skip.too-deep"},
    {1, "eth mpls mpls mpls mpls mpls mpls mpls mpls mpls mpls mpls mpls mpls mpls mpls mpls mpls "
        "ip4 tcp",
     "malformed.mpls"},
    {1, "eth ip6 dst dst dst dst dst dst dst dst dst dst dst dst dst dst dst dst dst tcp",
     "malformed.ipv6-extension"},
    {147, "eth ip4 tcp", "skip.link-type.147"},
};

START_TEST(skip_counted)
{
    for (size_t i = 0; i < sizeof skips / sizeof skips[0]; i++) {
        again();
        ck_assert_int_eq(decode_words(skips[i].link_type, skips[i].words), 0);
        ck_assert_msg(counter(skips[i].counter) == 1, "%s is not %s", skips[i].words,
                      skips[i].counter);
    }
    static const uint8_t bytes[] = {0x35, 0, 0, 0};
    ck_assert_int_eq(decode_bytes(101, bytes, sizeof bytes, sizeof bytes), 0);
    ck_assert_uint_eq(counter("malformed.ip"), 1);
}
END_TEST

START_TEST(link_types_bounded)
{
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(decode_words(1000 + i, "eth ip4 tcp"), 0);
        ck_assert_int_eq(decode_words(1000, "eth ip4 tcp"), 0);
    }
    ck_assert_uint_eq(counter("skip.link-type.1000"), 41);
    ck_assert_uint_eq(counter("skip.link-type.1015"), 1);
    ck_assert_uint_eq(counter("skip.link-type.other"), 24);
}
END_TEST

START_TEST(wlan_kinds)
{
    static const struct {
        uint8_t control, qos;
        const char *counter;
    } kinds[] = {{0x80, 0, "skip.wlan-management"}, {0xd4, 0, "skip.wlan-control"},
                 {0xc8, 0, "skip.wlan-empty"}, {0x88, 0x80, "skip.wlan-amsdu"}};
    for (size_t i = 0; i < 4; i++) {
        uint8_t bytes[40] = {kinds[i].control, 1, [24] = kinds[i].qos};
        ck_assert_int_eq(decode_bytes(105, bytes, sizeof bytes, sizeof bytes), 0);
        ck_assert_uint_eq(counter(kinds[i].counter), 1);
    }
    /* Four addresses, QoS and HT control, no padding: 24 + 6 + 2 + 4. */
    static struct frame f;
    build(&f, "snap ip4 tcp");
    uint8_t header[36] = {0x88, 0x83};
    put(&f, header, sizeof header);
    ck_assert_int_eq(decode_frame(105, &f), 1);
}
END_TEST

/* --- IP and TCP headers that are not as usual --- */

static struct frame odd; /* "eth ip4 tcp" or "eth ip6 ... tcp", to be spoilt */
static uint8_t *ip;

static void odd_build(const char *words)
{
    build(&odd, words);
    ip = odd.data + odd.at + 14;
}

START_TEST(ip_lengths)
{
    odd_build("eth ip4 tcp");
    store16(ip + 2, 0); /* not yet cut into segments: what was captured counts */
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    check_segment("ip4", sizeof request - 1);
    ck_assert_int_eq(decode_checksum(&segment), 1); /* TCP's; IP's is the interface's business */
    ck_assert_uint_eq(counter("decode.ip-length-zero"), 1);
    store16(ip + 2, 19);
    ck_assert_int_eq(decode_frame(1, &odd), 0);
    ck_assert_uint_eq(counter("malformed.ipv4"), 1);
    store16(ip + 2, 39);
    ck_assert_int_eq(decode_frame(1, &odd), 0);
    ck_assert_uint_eq(counter("malformed.tcp"), 1);
    store16(ip + 2, 1500); /* the frame was cut before it came to the capture */
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    ck_assert_uint_eq(segment.payload_len, sizeof request - 1);
    ck_assert_uint_eq(segment.payload_wire, 1500 - 20 - 36);
    ck_assert_uint_eq(counter("decode.ip-length-beyond-frame"), 1);
    ip[0] = 0x44;
    ck_assert_int_eq(decode_frame(1, &odd), 0);
    ip[0] = 0x65;
    ck_assert_int_eq(decode_frame(1, &odd), 0);
    ip[0] = 0x4f;
    ck_assert_int_eq(decode_frame(1, &odd), 0);
    ck_assert_uint_eq(counters("malformed."), 5);

    odd_build("eth ip6 tcp");
    store16(ip + 4, 0);
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    check_segment("ip6", sizeof request - 1);
    store16(ip + 4, 36 + 5);
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    ck_assert_uint_eq(segment.payload_wire, 5);
}
END_TEST

START_TEST(ip6_jumbogram)
{
    odd_build("eth ip6 hbh tcp");
    store16(ip + 4, 0);
    uint8_t jumbo[] = {0xc2, 4, 0, 1, 0, 100};
    memcpy(ip + 42, jumbo, sizeof jumbo);
    memcpy(ip + 48, (uint8_t[]){1, 6, 0, 0, 0, 0, 0, 0}, 8);
    ck_assert_int_eq(decode_bytes(1, odd.data + odd.at, frame_len(&odd), 14 + 40 + 65636), 1);
    ck_assert_uint_eq(counter("decode.ipv6-jumbogram"), 1);
    ck_assert_uint_eq(segment.payload_wire, 65636 - 16 - 36);
    ck_assert_int_eq(decode_bytes(1, odd.data + odd.at, frame_len(&odd), 14 + 40 + 65640), 1);
    ck_assert_uint_eq(segment.payload_wire, 65636 - 16 - 36); /* padding */
}
END_TEST

START_TEST(tcp_header)
{
    odd_build("eth ip4 tcp");
    uint8_t *tcp = ip + 20;
    tcp[12] = 4 << 4;
    ck_assert_int_eq(decode_frame(1, &odd), 0);
    ck_assert_uint_eq(counter("malformed.tcp"), 1);
    tcp[12] = 5 << 4;
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    ck_assert_uint_eq(segment.payload_len, sizeof request - 1 + 16);
    ck_assert_int_eq(segment.window_scale, -1);
    ck_assert_int_eq(segment.has_timestamps, 0);
    tcp[12] = 15 << 4; /* longer than what is there */
    ck_assert_int_eq(decode_frame(1, &odd), 0);
    ck_assert_uint_eq(counter("malformed.tcp"), 2);
}
END_TEST

START_TEST(tcp_options)
{
    static const struct {
        uint8_t bytes[16];
        int scale, timestamps, bad;
    } cases[] = {
        {{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 3, 232, 0, 0, 7, 208}, -1, 1, 0},
        {{3, 3, 200, 1, 1, 5, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0}, 14, 0, 0}, /* the scale has a limit */
        {{1, 1, 1, 0, 3, 3, 7, 0}, -1, 0, 0},                            /* behind the end */
        {{8, 0, 3, 3, 7, 0}, -1, 0, 1},
        {{8, 1, 3, 3, 7, 0}, -1, 0, 1},
        {{3, 3, 7, 8, 30}, 7, 0, 1},
        {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 8}, -1, 0, 1},
        {{8, 9, 1, 1, 1, 1, 1, 1, 1, 3, 4, 7, 7, 0}, -1, 0, 0}, /* lengths that are not theirs */
    };
    uint64_t bad = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        odd_build("eth ip4 tcp");
        memcpy(ip + 40, cases[i].bytes, 16);
        ck_assert_int_eq(decode_frame(1, &odd), 1);
        ck_assert_int_eq(segment.window_scale, cases[i].scale);
        ck_assert_int_eq(segment.has_timestamps, cases[i].timestamps);
        ck_assert_uint_eq(segment.ts_value, cases[i].timestamps ? 1000 : 0);
        bad += (uint64_t)cases[i].bad;
        ck_assert_uint_eq(counter("decode.tcp-options-bad"), bad);
    }
    odd_build("eth ip4 tcp");
    ip[33] = TCP_ACK; /* a window scale counts in a SYN only */
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    ck_assert_int_eq(segment.window_scale, -1);
}
END_TEST

START_TEST(udp_length)
{
    odd_build("eth ip4 udp:4789 vxlan:1 eth ip4 tcp");
    uint8_t *len = ip + 24;
    store16(len, (unsigned)frame_len(&odd) - 34 - 5); /* the rest is not UDP's */
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    check_segment("ip4", sizeof request - 1 - 5);
    store16(len, 60000);
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    check_segment("ip4", sizeof request - 1);
    store16(len, 0);
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    check_segment("ip4", sizeof request - 1);
    store16(len, 7);
    ck_assert_int_eq(decode_frame(1, &odd), 0);
    ck_assert_uint_eq(counter("malformed.udp"), 1);
}
END_TEST

/* --- checksums --- */

static int checksum_of_odd(void)
{
    ck_assert_int_eq(decode_frame(1, &odd), 1);
    return decode_checksum(&segment);
}

static uint16_t partial(const uint8_t *addresses, size_t len, size_t tcp_len)
{
    uint8_t tail[8] = {B4(tcp_len), 0, 0, 0, 6};
    return checksum_fold(checksum_add(checksum_add(0, addresses, len), tail, 8));
}

START_TEST(checksum_bad_and_offloaded)
{
    static const struct {
        const char *words;
        size_t addresses, len, tcp;
    } cases[] = {{"eth ip4 tcp", 12, 8, 20},
                 {"eth ip4:8 tcp", 12, 8, 28},
                 {"eth ip6 tcp", 8, 32, 40},
                 {"eth ip6 dst rt tcp", 8, 32, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        odd_build(cases[i].words);
        uint8_t *tcp = ip + cases[i].tcp;
        size_t tcp_len = (size_t)(odd.data + FRAME_SIZE - tcp);
        ck_assert_int_eq(checksum_of_odd(), 1);
        for (size_t at = 0; at < tcp_len; at += 5) { /* also the last, odd byte */
            tcp[at] ^= 0x10;
            if (at != 12)
                ck_assert_int_eq(checksum_of_odd(), 0);
            tcp[at] ^= 0x10;
        }
        odd.data[FRAME_SIZE - 1] ^= 1;
        ck_assert_int_eq(checksum_of_odd(), 0);
        uint16_t with = partial(ip + cases[i].addresses, cases[i].len, tcp_len);
        uint16_t without = partial(ip + cases[i].addresses, cases[i].len, 0);
        uint16_t offloaded[] = {0, with, (uint16_t)~with, without, (uint16_t)~without};
        for (size_t k = 0; k < 5; k++) {
            store16(tcp + 16, offloaded[k]);
            ck_assert_int_eq(checksum_of_odd(), -1);
            store16(tcp + 16, offloaded[k] + 1U);
            ck_assert_int_eq(checksum_of_odd(), 0);
        }
    }
}
END_TEST

START_TEST(checksum_ip_header)
{
    odd_build("eth ip4 tcp");
    ip[8]--; /* TTL */
    ck_assert_int_eq(checksum_of_odd(), 0);
    ck_assert_int_eq(decode_bytes(1, odd.data + odd.at, frame_len(&odd) - 3, frame_len(&odd)), 1);
    ck_assert_int_eq(decode_checksum(&segment), 0); /* known, though the rest is cut */
    store16(ip + 10, 0);
    ck_assert_int_eq(checksum_of_odd(), 1);
    ip[33] ^= 8;
    ck_assert_int_eq(checksum_of_odd(), 0);
}
END_TEST

/* TCP's pseudo-header has the last address of a route that is not at its end. */
START_TEST(checksum_source_route)
{
    odd_build("eth ip4:8 tcp");
    memcpy(ip + 20, (uint8_t[]){131, 7, 4, 10, 0, 0, 2, 0}, 8); /* the target itself */
    finish_ip4(ip);
    ck_assert_int_eq(checksum_of_odd(), 1);
    ip[19] = 77; /* on the way to it */
    finish_ip4(ip);
    ck_assert_int_eq(checksum_of_odd(), 1);
    ip[22] = 8; /* the route is at its end */
    finish_ip4(ip);
    ck_assert_int_eq(checksum_of_odd(), 0);

    static const uint8_t final[16] = {0x20, 1, 0xd, 0xb8, [15] = 2};
    static const int types[] = {0, 4, 9};
    for (size_t i = 0; i < 3; i++) {
        uint8_t route[40] = {6, 4, (uint8_t)types[i], 1}; /* of two addresses */
        memcpy(route + (types[i] == 4 ? 8 : 24), final, 16); /* 4 has them the other way round */
        build(&odd, "tcp");
        uint8_t *tcp = odd.tcp;
        put(&odd, route, sizeof route);
        odd.protocol = 43;
        odd.tcp = tcp;
        wrap(&odd, "eth ip6");
        ip = odd.data + odd.at + 14;
        ck_assert_int_eq(checksum_of_odd(), types[i] == 9 ? -1 : 1);
        ip[39] = 77; /* the hop; the sum was made for ::2 */
        ck_assert_int_eq(checksum_of_odd(), types[i] == 9 ? -1 : 1);
        ip[40 + 3] = 0; /* nothing left to visit */
        ck_assert_int_eq(checksum_of_odd(), 0);
    }
}
END_TEST

START_TEST(checksum_large)
{
    static uint8_t bytes[65536];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 7) + 200);
    static const size_t lengths[] = {0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 40, 1460, 65535, 65536};
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        uint32_t sum = 0;
        for (size_t i = 0; i < lengths[k]; i++)
            sum += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
        while (sum >> 16 != 0)
            sum = (sum & 0xffff) + (sum >> 16);
        ck_assert_uint_eq(checksum_fold(checksum_add(0, bytes, lengths[k])), sum);
    }
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(checksum_fold(checksum_add(0, bytes, sizeof bytes)), 0xffff);
}
END_TEST

/* --- fragments --- */

static struct frame large; /* an IP datagram to be cut up */

static void large_build(const char *words, size_t payload_len)
{
    static char payload[8000];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 13 + (i >> 8));
    frame_clear(&large);
    put_tcp(&large, payload, payload_len);
    wrap(&large, words);
}

/* One fragment of `whole`, an IPv4 or IPv6 datagram, in f. len 0: all the rest. */
static void fragment_of(struct frame *f, const struct frame *whole, size_t offset, size_t len)
{
    const uint8_t *from = whole->data + whole->at;
    size_t header_len = from[0] >> 4 == 4 ? (size_t)(from[0] & 15) * 4 : 40;
    size_t data_len = frame_len(whole) - header_len;
    int more = len != 0 && offset + len < data_len;
    size_t take = more ? len : data_len - offset;
    uint8_t next = from[6];
    frame_clear(f);
    f->ip_count = whole->ip_count;
    put(f, from + header_len + offset, take);
    if (header_len == 40)
        PUT(f, next, 0, B2(offset | (size_t)more), B4(4711u));
    uint8_t *header = put(f, from, header_len);
    if (header_len == 40) {
        header[6] = 44;
        store16(header + 4, (unsigned)take + 8);
        begins_with(f, 0x86dd, 41, 0x57);
    } else {
        store16(header + 2, (unsigned)(header_len + take));
        store16(header + 6, (unsigned)(offset / 8) | (more ? 0x2000U : 0));
        finish_ip4(header);
        begins_with(f, 0x0800, 4, 0x21);
    }
}

static void check_large(size_t payload_len)
{
    ck_assert_uint_eq(segment.payload_len, payload_len);
    ck_assert_uint_eq(segment.payload_wire, payload_len);
    ck_assert_mem_eq(segment.payload, large.data + FRAME_SIZE - payload_len, payload_len);
    ck_assert_uint_eq(segment.ip_len, (size_t)(segment.payload - segment.ip) + payload_len);
    ck_assert_int_eq(decode_checksum(&segment), 1);
    ck_assert_uint_eq(segment.packet, packets);
}

START_TEST(fragments)
{
    static const struct {
        const char *inner, *outer;
        int32_t vlan;
    } cases[] = {{"ip4", "eth", -1}, {"ip4:8", "eth vlan:5", 5}, {"ip6", "eth", -1},
                 {"ip4", "eth ip4 gre", -1}, {"ip6", "eth ip4", -1},
                 {"ip4", "eth ip6 udp:4789 vxlan:7 eth vlan:3", 3},
                 {"ip4 gre ip4", "eth", -1}, {"ip6 udp:2152 gtp ip6", "eth qinq:9", 9},
                 {"ip4 udp:4789 vxlan:7 eth vlan:8 ip6", "eth", 8}};
    static struct frame f;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        now_ns += 1000000000; /* the ids may come again */
        large_build(cases[i].inner, 3000);
        for (size_t offset = 2000 - 2000 % 8; ; offset -= 1000) {
            fragment_of(&f, &large, offset, offset == 2000 ? 0 : 1000);
            wrap(&f, cases[i].outer);
            ck_assert_int_eq(decode_frame(1, &f), offset == 0);
            if (offset == 0)
                break;
        }
        check_large(3000);
        ck_assert_int_eq(segment.vlan, cases[i].vlan);
        ck_assert_uint_eq(counter("defrag.reassembled"), i + 1);
    }
    ck_assert_int_eq(decode_words(1, "eth ip4 tcp"), 1);
    ck_assert_uint_lt(root.used, 8192); /* what was put together is given back */
}
END_TEST

/* A fragment in a tunnel whose datagram is fragmented; the other fragment came whole. */
START_TEST(fragments_within_fragments)
{
    static struct frame inner, outer;
    large_build("ip4", 2400);
    fragment_of(&inner, &large, 0, 2000);
    wrap(&inner, "ip6 udp:4789 vxlan:5 eth");
    fragment_of(&outer, &inner, 0, 1200);
    wrap(&outer, "eth");
    ck_assert_int_eq(decode_frame(1, &outer), 0);
    fragment_of(&outer, &inner, 1200, 0);
    wrap(&outer, "eth");
    ck_assert_int_eq(decode_frame(1, &outer), 0);
    ck_assert_uint_eq(counter("defrag.reassembled"), 1);
    fragment_of(&inner, &large, 2000, 0);
    wrap(&inner, "eth ip6 udp:4789 vxlan:6 eth"); /* another network: not of this datagram */
    ck_assert_int_eq(decode_frame(1, &inner), 0);
    fragment_of(&inner, &large, 2000, 0);
    wrap(&inner, "eth ip6 udp:4789 vxlan:5 eth");
    ck_assert_int_eq(decode_frame(1, &inner), 1);
    check_large(2400);
    ck_assert_uint_eq(segment.tunnel, 6);
    ck_assert_uint_eq(counter("defrag.waiting"), 1);
}
END_TEST

START_TEST(fragments_not_used)
{
    static struct frame f;
    large_build("ip4", 1000);
    fragment_of(&f, &large, 0, 504);
    f.data[f.at + 8] ^= 1; /* a bad header checksum: nobody would take it */
    wrap(&f, "eth");
    ck_assert_int_eq(decode_frame(1, &f), 0);
    ck_assert_uint_eq(counter("skip.fragment-bad-checksum"), 1);
    fragment_of(&f, &large, 0, 504);
    wrap(&f, "eth");
    ck_assert_int_eq(decode_bytes(1, f.data + f.at, 300, frame_len(&f)), 0);
    ck_assert_uint_eq(counter("truncated.fragment"), 1);
    ck_assert_int_eq(decode_bytes(1, f.data + f.at, 300, 300), 0);
    ck_assert_uint_eq(counter("malformed.fragment"), 1);
    fragment_of(&f, &large, 504, 0);
    wrap(&f, "eth");
    ck_assert_int_eq(decode_frame(1, &f), 0);
    decoder_verify_checksums(decoder, 0);
    fragment_of(&f, &large, 0, 504);
    f.data[f.at + 8] ^= 1;
    wrap(&f, "eth");
    ck_assert_int_eq(decode_frame(1, &f), 1);
    check_large(1000);
}
END_TEST

/* Fragments of IPv6 with headers in front of and behind the fragment header. */
START_TEST(fragments_ip6_chain)
{
    static struct frame f;
    frame_clear(&f);
    large_build("ip6 dst", 500);
    const uint8_t *from = large.data + large.at;
    for (size_t part = 0; part < 2; part++) {
        size_t len = part == 0 ? 304 : frame_len(&large) - 40 - 304;
        frame_clear(&f);
        put(&f, from + 40 + part * 304, len);
        PUT(&f, 60, 0, B2(part == 0 ? 1 : 304), B4(5u)); /* dst is within the fragments */
        PUT(&f, 44, 0, 0, 0, B4(5u)); /* an atomic fragment is only a header */
        PUT(&f, 44, 0, 1, 4, 0, 0, 0, 0);
        uint8_t *header = put(&f, from, 40);
        header[6] = 0;
        store16(header + 4, (unsigned)len + 24);
        f.type = 0x86dd;
        wrap(&f, "eth");
        ck_assert_int_eq(decode_frame(1, &f), part == 1);
    }
    check_large(500);
    ck_assert_uint_eq((size_t)(segment.tcp - segment.ip), 40 + 8 + 8 + 16);
    ck_assert_int_eq(segment.ip[40], 44);
    ck_assert_int_eq(segment.ip[48], 60);
}
END_TEST

Suite *decode_suite(void)
{
    Suite *suite = suite_create("decode");
    TCase *tests = tcase_create("decode");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, stack_whole);
    tcase_add_test(tests, stack_cut_by_snaplen);
    tcase_add_test(tests, stack_cut_on_the_wire);
    tcase_add_test(tests, stack_with_padding);
    tcase_add_test(tests, stack_mutated);
    tcase_add_test(tests, skip_counted);
    tcase_add_test(tests, link_types_bounded);
    tcase_add_test(tests, wlan_kinds);
    tcase_add_test(tests, ip_lengths);
    tcase_add_test(tests, ip6_jumbogram);
    tcase_add_test(tests, tcp_header);
    tcase_add_test(tests, udp_length);
    tcase_add_test(tests, tcp_options);
    tcase_add_test(tests, checksum_bad_and_offloaded);
    tcase_add_test(tests, checksum_ip_header);
    tcase_add_test(tests, checksum_source_route);
    tcase_add_test(tests, checksum_large);
    tcase_add_test(tests, fragments);
    tcase_add_test(tests, fragments_within_fragments);
    tcase_add_test(tests, fragments_not_used);
    tcase_add_test(tests, fragments_ip6_chain);
    suite_add_tcase(suite, tests);
    return suite;
}
