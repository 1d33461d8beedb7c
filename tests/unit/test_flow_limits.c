/*
 * The flow table from outside, when things are not as they should be: memory is short, packets are
 * missing, damaged, cut or forged, nothing more can be learnt.
 */
#include "flow_net.h"

Suite *flow_limits_suite(void);

/* ---------------------------------------------------------------- short memory */

START_TEST(flow_flood_spares_honest_flows)
{
    enum { HONEST = 20, FLOOD = 12000 };
    struct net *net = net_new(4 << 20, NULL);
    struct conn honest[HONEST];
    size_t peak = 0;
    for (uint16_t i = 0; i < HONEST; i++) {
        honest[i] = conn_of(net, (uint16_t)(50000 + i), 80);
        conn_open(&honest[i]);
        conn_text(&honest[i], CLIENT, i % 2 ? request : upgrade);
    }
    for (uint32_t i = 0; i < FLOOD; i++) {
        struct conn flood = conn_of(net, (uint16_t)(i % 30000), 443);
        flood.peer[CLIENT].address.bytes[1] = (uint8_t)(1 + i / 30000);
        flood.step_ns = 100;
        conn_syn(&flood);
        peak = net->budget.used > peak ? net->budget.used : peak;
        if (i % 600 == 0) {
            for (uint16_t k = 0; k < HONEST; k++)
                conn_flags(&honest[k], k % 2 ? CLIENT : SERVER, TCP_ACK);
        }
    }
    for (uint16_t i = 0; i < HONEST; i++) {
        conn_text(&honest[i], SERVER, answer);
        conn_close(&honest[i]);
    }
    uint64_t evicted = net_counter(net, "flow.evicted");
    ck_assert_uint_gt(evicted, 2000);
    ck_assert_uint_le(peak, 4 << 20);
    ck_assert_uint_eq(net_counter(net, "flow.refused"), 0);
    ck_assert_uint_eq(net_counter(net, "flow.unanalysed"), 0);
    net_end(net);
    net_check_order(net, HONEST + FLOOD);
    for (uint64_t i = 1; i <= HONEST; i++) {
        ck_assert_int_eq((int)net_close(net, i)->end, END_FIN);
        ck_assert_uint_eq(net_close(net, i)->side[SERVER].bytes, strlen(answer));
    }
    /* Of the half-open ones the oldest go first. */
    ck_assert_int_eq((int)net_close(net, HONEST + 1)->end, END_EVICTED);
    ck_assert_int_eq((int)net_close(net, HONEST + evicted)->end, END_EVICTED);
    ck_assert_int_eq((int)net_close(net, HONEST + evicted + 1)->end, END_CAPTURE);
    net_free(net);
}
END_TEST

START_TEST(flow_eviction_order)
{
    enum { EACH = 20, BUSY = 10 };
    struct net *net = net_new(2 << 20, NULL);
    uint64_t serial = 0, first_session = 1, first_live, first_closed, last_closed;
    struct conn c, busy[BUSY];
    for (uint16_t i = 0; i < EACH; i++, serial++) {
        c = conn_of(net, (uint16_t)(50000 + i), 80);
        conn_open(&c);
        conn_text(&c, CLIENT, upgrade);
    }
    first_live = serial + 1;
    for (uint16_t i = 0; i < EACH; i++, serial++) {
        c = conn_of(net, (uint16_t)(51000 + i), 80);
        conn_open(&c);
        conn_text(&c, CLIENT, request);
        if (i < BUSY)
            busy[i] = c;
    }
    first_closed = serial + 1;
    for (uint16_t i = 0; i < EACH; i++, serial++) {
        c = conn_of(net, (uint16_t)(52000 + i), 80);
        c.step_ns = 1000;
        conn_open(&c);
        conn_close(&c);
    }
    last_closed = serial;
    net->now_ns += 3 * SECOND / 2;
    for (uint16_t i = 0; i < BUSY; i++) /* the oldest, but not silent longest */
        conn_text(&busy[i], SERVER, answer);
    /* Established flows without bytes: nothing half-open is there to be given up. */
    for (uint16_t i = 0; i < 9000 && net_counter(net, "flow.evicted") < 4; i++) {
        c = conn_of(net, (uint16_t)(1000 + i), 80);
        c.step_ns = 1000;
        conn_open(&c);
    }
    ck_assert_uint_eq(net_counter(net, "flow.closed-early"), EACH);
    net_end(net);
    for (uint64_t i = first_session; i < first_live; i++)
        ck_assert_int_eq((int)net_close(net, i)->end, END_CAPTURE);
    uint64_t silent = first_live + BUSY;
    for (uint64_t i = first_live; i < silent; i++)
        ck_assert_int_eq((int)net_close(net, i)->end, END_CAPTURE);
    for (uint64_t i = silent; i < silent + 4; i++)
        ck_assert_int_eq((int)net_close(net, i)->end, END_EVICTED);
    ck_assert_int_eq((int)net_close(net, silent + 4)->end, END_CAPTURE);
    for (uint64_t i = first_closed; i <= last_closed; i++)
        ck_assert_int_eq((int)net_close(net, i)->end, END_FIN); /* what is known stays true */
    net_free(net);
}
END_TEST

START_TEST(flow_bytes_push_out_half_open)
{
    enum { HALF_OPEN = 8000, HONEST = 60, HELD = 8000 };
    struct net *net = net_new(2 << 20, NULL);
    struct conn c, honest[HONEST];
    for (uint16_t i = 0; i < HALF_OPEN; i++) {
        c = conn_of(net, (uint16_t)(1000 + i), 443);
        c.step_ns = 100;
        conn_syn(&c);
    }
    static char block[HELD];
    memset(block, 'h', sizeof block);
    for (uint16_t i = 0; i < HONEST; i++) {
        honest[i] = conn_of(net, (uint16_t)(50000 + i), 80);
        conn_open(&honest[i]);
        conn_text(&honest[i], CLIENT, request);
    }
    for (uint16_t i = 0; i < HONEST; i++) {
        conn_skip(&honest[i], CLIENT, 1);
        for (int k = 0; k < 8; k++)
            conn_data(&honest[i], CLIENT, block, HELD / 8);
    }
    for (uint16_t i = 0; i < HONEST; i++) {
        honest[i].peer[CLIENT].sent = (uint32_t)strlen(request);
        conn_data(&honest[i], CLIENT, "f", 1);
        conn_skip(&honest[i], CLIENT, HELD);
        conn_close(&honest[i]);
    }
    net_end(net);
    ck_assert_ptr_null(net_finding(net, RULE_ANALYSIS_LIMIT_HIT, NULL));
    ck_assert_uint_eq(net_count(net, EVENT_GAP), 0);
    for (uint64_t i = HALF_OPEN + 1; i <= HALF_OPEN + HONEST; i++)
        ck_assert_int_eq((int)net_close(net, i)->end, END_FIN);
    net_free(net);
}
END_TEST

START_TEST(flow_without_memory_counts_on)
{
    struct flow_options options;
    flow_options_default(&options);
    options.verify_checksums = 0;
    options.flow_memory = 64;
    struct net *net = net_new(1 << 20, &options);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    conn_text(&c, SERVER, answer);
    conn_close(&c);
    ck_assert_uint_eq(net_counter(net, "flow.unanalysed"), 1);
    net_end(net);
    net_check_order(net, 1);
    size_t count;
    const struct seen *finding = net_finding(net, RULE_ANALYSIS_LIMIT_HIT, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(finding->evidence, "memory=64");
    ck_assert_uint_eq(net_close(net, 1)->side[SERVER].bytes, strlen(answer));
    ck_assert_int_eq((int)net_close(net, 1)->end, END_FIN);
    net_free(net);
}
END_TEST

/* ---------------------------------------------------------------- quality of the capture */

START_TEST(flow_findings_of_the_capture)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    struct segment s = conn_segment(&c, CLIENT, TCP_ACK);
    s.payload = (const uint8_t *)request;
    s.payload_len = 10;
    s.payload_wire = 30;
    net_put(net, &s);
    c.peer[CLIENT].sent += 30;
    s = conn_segment(&c, CLIENT, TCP_ACK);
    s.payload = (const uint8_t *)request;
    s.payload_len = s.payload_wire = 20;
    net_put(net, &s);
    net_put(net, &s); /* the same packet again */
    c.peer[CLIENT].sent += 20;
    net->now_ns -= 20 * MS;
    conn_text(&c, SERVER, answer);
    net_end(net);
    net_check_order(net, 1);
    size_t count;
    const struct seen *finding = net_finding(net, RULE_CAPTURE_TRUNCATED_SNAPLEN, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq((int)finding->event.sender, CLIENT);
    ck_assert_uint_eq(finding->event.packet, 4);
    finding = net_finding(net, RULE_CAPTURE_TIME_BACKWARDS, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq((int)finding->event.sender, NEITHER);
    finding = net_finding(net, RULE_CAPTURE_DUPLICATE_PACKETS, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq((int)finding->event.sender, CLIENT);
    net_free(net);
}
END_TEST

START_TEST(flow_overlap_conflict)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_skip(&c, CLIENT, 4);
    conn_text(&c, CLIENT, "one\x01");
    c.peer[CLIENT].sent -= 4;
    conn_text(&c, CLIENT, "\"two");
    c.peer[CLIENT].sent -= 8;
    conn_text(&c, CLIENT, "GET ");
    net_end(net);
    size_t count;
    const struct seen *finding = net_finding(net, RULE_CAPTURE_OVERLAP_CONFLICT, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq((int)finding->event.sender, CLIENT);
    ck_assert_ptr_nonnull(strstr(finding->evidence, "one\\x01"));
    ck_assert_ptr_nonnull(strstr(finding->evidence, "\\x22two"));
    net_free(net);
}
END_TEST

START_TEST(flow_one_sided)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_syn(&c);
    conn_flags(&c, CLIENT, TCP_ACK);
    conn_text(&c, CLIENT, request);
    struct conn acks = conn_of(net, 40001, 80);
    conn_flags(&acks, CLIENT, TCP_ACK);
    conn_skip(&acks, SERVER, 1000);
    conn_flags(&acks, CLIENT, TCP_ACK);
    struct conn scan = conn_of(net, 40002, 80);
    conn_syn(&scan);
    net_end(net);
    size_t count;
    const struct seen *finding = net_finding(net, RULE_CAPTURE_ONE_SIDED, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq((int)finding->event.sender, SERVER);
    ck_assert_uint_ne(finding->event.flow, 3);
    net_free(net);
}
END_TEST

/* ---------------------------------------------------------------- checksums */

static uint32_t sum16(const uint8_t *data, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++)
        sum += (i & 1) ? data[i] : (uint32_t)data[i] << 8;
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)(~sum & 0xffff);
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* A real IPv4 packet; damage is added to the TCP checksum. */
static void conn_packet(struct conn *c, enum side side, uint8_t flags, const char *text,
                        unsigned damage)
{
    uint8_t raw[256] = {0x45};
    struct segment s = conn_segment(c, side, flags);
    size_t len = strlen(text);
    put16(raw + 2, (unsigned)(40 + len));
    raw[8] = 64;
    raw[9] = 6;
    memcpy(raw + 12, s.source.bytes, 4);
    memcpy(raw + 16, s.target.bytes, 4);
    put16(raw + 10, fold(sum16(raw, 20, 0)));
    uint8_t *tcp = raw + 20;
    put16(tcp, s.source_port);
    put16(tcp + 2, s.target_port);
    put16(tcp + 4, s.seq >> 16);
    put16(tcp + 6, s.seq & 0xffff);
    put16(tcp + 8, s.ack >> 16);
    put16(tcp + 10, s.ack & 0xffff);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    put16(tcp + 14, s.window);
    memcpy(tcp + 20, text, len);
    uint32_t sum = sum16(raw + 12, 8, 6 + 20 + (uint32_t)len);
    put16(tcp + 16, fold(sum16(tcp, 20 + len, sum)) + damage);
    s.ip = raw;
    s.ip_len = 40 + len;
    s.tcp = tcp;
    s.payload = tcp + 20;
    s.payload_len = s.payload_wire = len;
    net_put(c->net, &s);
}

START_TEST(flow_checksums)
{
    struct flow_options options;
    flow_options_default(&options);
    struct net *net = net_new(16 << 20, &options);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_packet(&c, CLIENT, TCP_ACK, request, 0);
    conn_skip(&c, CLIENT, (uint32_t)strlen(request));
    conn_packet(&c, CLIENT, TCP_ACK, "damaged", 0x1234); /* not used */
    conn_packet(&c, CLIENT, TCP_ACK, "correct", 0);
    conn_skip(&c, CLIENT, 7);
    conn_packet(&c, CLIENT, TCP_RST, "", 0x1234); /* neither this */
    ck_assert_uint_eq(net_counter(net, "checksum.bad"), 2);
    ck_assert_uint_eq(net_counter(net, "checksum.offloaded"), 0);
    conn_packet(&c, SERVER, TCP_ACK, answer, 0x4321); /* always wrong: off-loading */
    conn_skip(&c, SERVER, (uint32_t)strlen(answer));
    ck_assert_uint_eq(net_counter(net, "checksum.offloaded"), 1);
    ck_assert_uint_eq(net_counter(net, "checksum.bad"), 2);
    net_end(net);
    net_check_order(net, 1);
    ck_assert_ptr_null(net_finding(net, RULE_CAPTURE_OVERLAP_CONFLICT, NULL));
    ck_assert_ptr_null(net_finding(net, RULE_CAPTURE_GAP, NULL));
    ck_assert_int_eq((int)net_close(net, 1)->end, END_CAPTURE);
    ck_assert_uint_eq(net_close(net, 1)->side[CLIENT].retransmits, 0);
    net_free(net);
}
END_TEST

/* ---------------------------------------------------------------- long flows, hostile segments */

/* Whether or not the stack still wants the bytes: the counters are right, and the gaps add up. */
START_TEST(flow_counts_when_nothing_is_learnt)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 22);
    conn_open(&c);
    conn_text(&c, SERVER, "SSH-2.0-OpenSSH_9.2\r\n");
    conn_text(&c, CLIENT, "SSH-2.0-OpenSSH_9.2\r\n");
    char block[1000];
    memset(block, 0xa5, sizeof block);
    for (int i = 0; i < 500; i++) {
        conn_data(&c, SERVER, block, sizeof block);
        if (i == 300)
            conn_skip(&c, SERVER, 700);
        if (i == 400) {
            c.peer[SERVER].sent -= (uint32_t)sizeof block;
            conn_data(&c, SERVER, block, sizeof block); /* sent again */
        }
        if (i % 2 == 0)
            conn_flags(&c, CLIENT, TCP_ACK);
    }
    conn_close(&c);
    net_end(net);
    net_check_order(net, 1);
    const struct event_flow_close *close = net_close(net, 1);
    ck_assert_uint_eq(close->side[SERVER].bytes, 21 + 501 * sizeof block);
    ck_assert_uint_eq(close->side[SERVER].missing, 700);
    ck_assert_uint_ge(close->side[SERVER].retransmits, 1);
    ck_assert_int_eq((int)close->end, END_FIN);
    uint64_t gaps = 0;
    for (size_t i = 0; i < net->count; i++) {
        if (net->seen[i].event.kind == EVENT_GAP) {
            gaps += net->seen[i].event.u.gap.length;
            ck_assert_uint_eq(net->seen[i].event.offset, 21 + 301 * sizeof block);
        }
    }
    ck_assert_uint_eq(gaps, 700);
    net_free(net);
}
END_TEST

START_TEST(flow_late_bytes_fill_a_hole)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 22);
    conn_open(&c);
    conn_text(&c, SERVER, "SSH-2.0-OpenSSH_9.2\r\n");
    conn_text(&c, CLIENT, "SSH-2.0-OpenSSH_9.2\r\n");
    char block[1000];
    memset(block, 0x5a, sizeof block);
    for (int i = 0; i < 50; i++)
        conn_data(&c, SERVER, block, sizeof block);
    conn_skip(&c, SERVER, 1000);
    conn_data(&c, SERVER, block, sizeof block);
    c.peer[SERVER].sent -= 2000;
    conn_data(&c, SERVER, block, 400); /* the hole, in two pieces that come late */
    conn_data(&c, SERVER, block, 600);
    conn_skip(&c, SERVER, 1000);
    conn_flags(&c, CLIENT, TCP_ACK);
    conn_close(&c);
    net_end(net);
    ck_assert_uint_eq(net_close(net, 1)->side[SERVER].missing, 0);
    ck_assert_uint_eq(net_close(net, 1)->side[SERVER].retransmits, 0);
    ck_assert_uint_eq(net_count(net, EVENT_GAP), 0);
    net_free(net);
}
END_TEST

START_TEST(flow_limit_is_told)
{
    struct flow_options options;
    flow_options_default(&options);
    options.verify_checksums = 0;
    options.reassembly.held_limit = 2000;
    struct net *net = net_new(16 << 20, &options);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    char block[1000];
    memset(block, 'b', sizeof block);
    conn_skip(&c, CLIENT, 10);
    for (int i = 0; i < 8; i++)
        conn_data(&c, CLIENT, block, sizeof block);
    ck_assert_uint_ge(net_counter(net, "reassembly.limit"), 1);
    net_end(net);
    size_t count;
    const struct seen *finding = net_finding(net, RULE_ANALYSIS_LIMIT_HIT, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_nonnull(strchr(finding->evidence, '='));
    ck_assert_int_eq((int)finding->event.sender, CLIENT);
    net_free(net);
}
END_TEST

START_TEST(flow_asks_ndpi)
{
    struct error error = {{0}};
    struct classifier *classifier = classifier_new(&error);
    ck_assert_msg(classifier != NULL, "%s", error.text);
    struct net *net = net_new_with(16 << 20, NULL, classifier);
    struct conn known = conn_of(net, 40000, 2222), unknown = conn_of(net, 40001, 9999);
    conn_open(&known);
    conn_text(&known, SERVER, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
    for (int i = 0; i < 20; i++)
        conn_flags(&known, CLIENT, TCP_ACK); /* nothing for nDPI to see */
    conn_text(&known, CLIENT, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
    conn_open(&unknown);
    size_t asking = 0, gave_up = SIZE_MAX;
    for (int i = 0; i < 30; i++) {
        conn_data(&unknown, i % 2 ? SERVER : CLIENT, "\xf3\x91\x07\x55\xee\x10\x42", 7);
        asking = i == 7 ? net->budget.used : asking;
        gave_up = i == 11 ? net->budget.used : gave_up;
    }
    ck_assert_uint_lt(gave_up + 300, asking); /* nDPI's state is not kept for ever */
    net_end(net);
    for (size_t i = 0; i < net->count; i++) {
        if (net->seen[i].event.kind == EVENT_FLOW_CLOSE && net->seen[i].event.flow == 1)
            ck_assert_str_eq(net->seen[i].evidence, "SSH");
    }
    ck_assert_ptr_null(net_close(net, 2)->ndpi.protocol.data);
    net_free(net);
    classifier_free(classifier);
}
END_TEST

START_TEST(flow_counts_tls)
{
    static const char hello[] = "\x16\x03\x01\x00\x31\x01\x00\x00\x2d\x03\x03"
                                "0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00"
                                "\x00\x02\x00\x00";
    struct net *net = net_new(16 << 20, NULL);
    for (uint16_t i = 0; i < 3; i++) {
        struct conn c = conn_of(net, (uint16_t)(40000 + i), 443);
        conn_open(&c);
        if (i < 2)
            conn_data(&c, CLIENT, hello, 54);
        else
            conn_text(&c, CLIENT, request);
        conn_close(&c);
    }
    net_pass(net, 3 * SECOND);
    ck_assert_uint_eq(net_counter(net, "tls.flows"), 2);
    net_end(net);
    net_free(net);
}
END_TEST

START_TEST(flow_one_sided_tuple_used_again)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_syn(&c);
    conn_flags(&c, CLIENT, TCP_ACK);
    conn_text(&c, CLIENT, request);
    net->now_ns += 90 * SECOND;
    c.peer[CLIENT].isn = 4711;
    c.peer[CLIENT].sent = 0;
    conn_syn(&c); /* no answer is ever seen here: silence must be proof enough */
    conn_text(&c, CLIENT, request);
    net_end(net);
    net_check_order(net, 2);
    ck_assert_uint_eq(net_close(net, 2)->side[CLIENT].packets, 2);
    net_free(net);
}
END_TEST

START_TEST(flow_random_segments)
{
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 4; round++) {
        struct net *net = net_new(round % 2 ? 1 << 20 : 96 << 10, NULL);
        for (int i = 0; i < 6000; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            struct conn c = conn_of(net, (uint16_t)(40000 + random % 12), 80);
            c.step_ns = (int64_t)(random >> 20 & 7) * 3 * MS - 4 * MS;
            struct segment s = conn_segment(&c, random >> 24 & 1 ? CLIENT : SERVER, TCP_ACK);
            s.flags = (uint8_t)(random >> 32 & random >> 40 & 63);
            if (random >> 48 & 3)
                s.flags &= (uint8_t)~(TCP_RST | TCP_SYN | TCP_FIN);
            s.seq += (uint32_t)(random >> 50 & 0xfff);
            if ((random >> 8 & 63) == 0)
                s.seq = (uint32_t)(random >> 16);
            s.payload = (const uint8_t *)(random >> 25 & 1 ? upgrade : answer);
            s.payload_wire = random >> 28 & 31;
            s.payload_len = s.payload_wire - (s.payload_wire > 3 && (random >> 34 & 7) == 0);
            net_put(net, &s);
            ck_assert_uint_le(net->budget.used, net->budget.limit);
        }
        uint64_t flows = net_counter(net, "flow.opened");
        net_end(net);
        net_check_order(net, flows);
        net_free(net);
    }
}
END_TEST

START_TEST(flow_times_at_the_edges)
{
    static const int64_t times[] = {INT64_MIN, -1, 0, INT64_MAX, 5, INT64_MAX - 1, -SECOND};
    struct net *net = net_new(1 << 20, NULL);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        for (uint16_t k = 0; k < 3; k++) {
            struct conn c = conn_of(net, (uint16_t)(40000 + k), 80);
            struct segment s = conn_segment(&c, k == 1 ? SERVER : CLIENT, TCP_ACK);
            s.time_ns = times[(i + k) % (sizeof times / sizeof *times)];
            s.payload = (const uint8_t *)request;
            s.payload_len = s.payload_wire = 5;
            net_put(net, &s);
        }
    }
    uint64_t flows = net_counter(net, "flow.opened");
    net_end(net);
    net_check_order(net, flows);
    net_free(net);
}
END_TEST

Suite *flow_limits_suite(void)
{
    Suite *suite = suite_create("flow_limits");
    TCase *tcase = tcase_create("flow_limits");
    tcase_add_test(tcase, flow_flood_spares_honest_flows);
    tcase_add_test(tcase, flow_eviction_order);
    tcase_add_test(tcase, flow_bytes_push_out_half_open);
    tcase_add_test(tcase, flow_without_memory_counts_on);
    tcase_add_test(tcase, flow_findings_of_the_capture);
    tcase_add_test(tcase, flow_overlap_conflict);
    tcase_add_test(tcase, flow_one_sided);
    tcase_add_test(tcase, flow_checksums);
    tcase_add_test(tcase, flow_counts_when_nothing_is_learnt);
    tcase_add_test(tcase, flow_late_bytes_fill_a_hole);
    tcase_add_test(tcase, flow_limit_is_told);
    tcase_add_test(tcase, flow_asks_ndpi);
    tcase_add_test(tcase, flow_counts_tls);
    tcase_add_test(tcase, flow_one_sided_tuple_used_again);
    tcase_add_test(tcase, flow_random_segments);
    tcase_add_test(tcase, flow_times_at_the_edges);
    suite_add_tcase(suite, tcase);
    return suite;
}
