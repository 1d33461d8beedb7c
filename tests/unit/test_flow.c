/*
 * The flow table from outside, the life of a connection: who is the client, how far the handshake
 * came, when a tuple is used again, how and when a flow ends.
 */
#include "flow_net.h"

/* What the other tables have seen counts for this one, but ends nothing by itself. */
START_TEST(flow_at_the_clock_of_all)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80), d = conn_of(net, 40001, 80);
    int64_t start = net->now_ns;
    conn_syn(&c);
    flow_table_at(net->table, start + 70 * SECOND, 100);
    ck_assert_uint_eq(net_counter(net, "flow.ended"), 0);
    conn_syn(&d); /* its own time is long ago */
    flow_table_tick(net->table, start + 80 * SECOND);
    ck_assert_uint_eq(net_counter(net, "flow.ended"), 1); /* c */
    flow_table_tick(net->table, start + 131 * SECOND);
    ck_assert_uint_eq(net_counter(net, "flow.ended"), 2);
    net_end(net);
    ck_assert_ptr_nonnull(net_find(net, EVENT_FLOW_CLOSE, 1));
    ck_assert_ptr_nonnull(net_find(net, EVENT_FLOW_CLOSE, 101));
    net_free(net);
}
END_TEST

/* Those that are due together end in the order in which they began, whatever they are. */
START_TEST(flow_due_in_order)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c[40];
    for (uint16_t i = 0; i < 40; i++) {
        c[i] = conn_of(net, (uint16_t)(40000 + i), 80);
        conn_syn(&c[i]);
    }
    for (uint16_t i = 40; i > 0; i--) { /* each third one is established, and silent longer */
        if (i % 3 == 0)
            conn_open(&c[i - 1]);
    }
    flow_table_tick(net->table, net->now_ns + 700 * SECOND);
    ck_assert_uint_eq(net_counter(net, "flow.ended"), 40);
    net_end(net);
    uint64_t last = 0;
    for (size_t i = 0; i < net->count; i++) {
        if (net->seen[i].event.kind == EVENT_FLOW_CLOSE)
            ck_assert_uint_eq(net->seen[i].event.flow, ++last);
    }
    ck_assert_uint_eq(last, 40);
    net_free(net);
}
END_TEST

Suite *flow_suite(void);

/* ---------------------------------------------------------------- handshake and sides */

START_TEST(flow_whole_connection)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    conn_text(&c, SERVER, answer);
    net->now_ns += 5 * SECOND;
    conn_flags(&c, SERVER, TCP_FIN | TCP_ACK);
    conn_flags(&c, CLIENT, TCP_FIN | TCP_ACK);
    conn_flags(&c, SERVER, TCP_ACK);
    conn_flags(&c, SERVER, TCP_ACK); /* lingers: still the same flow */
    c.peer[CLIENT].sent = 0;
    conn_text(&c, CLIENT, request); /* sent again after the end: no news */
    net_end(net);
    net_check_order(net, 1);
    const struct event_flow_open *open = &net_find(net, EVENT_FLOW_OPEN, 1)->u.flow_open;
    ck_assert_uint_eq(open->client_port, 40000);
    ck_assert_uint_eq(open->server_port, 80);
    ck_assert_uint_eq(open->client.bytes[3], 1);
    ck_assert_int_eq(open->client.family, 4);
    ck_assert_int_eq(open->vlan, -1);
    const struct event_flow_close *close = net_close(net, 1);
    ck_assert_int_eq((int)close->handshake, HANDSHAKE_FULL);
    ck_assert_int_eq((int)close->end, END_FIN);
    ck_assert_int_eq((int)close->end_side, SERVER);
    ck_assert_uint_eq(close->side[CLIENT].packets, 5);
    ck_assert_uint_eq(close->side[SERVER].packets, 5);
    ck_assert_uint_eq(close->side[CLIENT].bytes, 2 * strlen(request));
    ck_assert_uint_eq(close->side[CLIENT].retransmits, 1);
    ck_assert_uint_eq(close->side[SERVER].bytes, strlen(answer));
    ck_assert_uint_eq(close->side[SERVER].missing, 0);
    ck_assert_int_eq(close->side[CLIENT].rtt_ns, MS);
    ck_assert_int_eq(close->side[SERVER].rtt_ns, MS);
    ck_assert_int_eq(close->idle_ns, 5 * SECOND + 2 * MS);
    ck_assert_ptr_null(net_finding(net, RULE_CAPTURE_MIDSTREAM, NULL));
    ck_assert_ptr_null(net_finding(net, RULE_CAPTURE_ONE_SIDED, NULL));
    net_free(net);
}
END_TEST

START_TEST(flow_ipv6_and_tunnels_are_apart)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn a = conn_of(net, 40000, 80), b = conn_of(net, 40000, 80);
    conn_syn(&a);
    struct segment s = conn_segment(&b, CLIENT, TCP_SYN);
    s.seq = b.peer[CLIENT].isn;
    s.tunnel = 8;
    net_put(net, &s);
    s = conn_segment(&b, CLIENT, TCP_SYN);
    s.seq = b.peer[CLIENT].isn;
    s.source.family = s.target.family = 6;
    net_put(net, &s);
    net_end(net);
    net_check_order(net, 3);
    ck_assert_int_eq(net_find(net, EVENT_FLOW_OPEN, 3)->u.flow_open.server.family, 6);
    net_free(net);
}
END_TEST

START_TEST(flow_syn_ack_first)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 80, 40000); /* the ports say the opposite */
    conn_syn_ack(&c);
    conn_flags(&c, CLIENT, TCP_ACK);
    conn_text(&c, CLIENT, request);
    net_end(net);
    ck_assert_uint_eq(net_find(net, EVENT_FLOW_OPEN, 1)->u.flow_open.client_port, 80);
    ck_assert_int_eq((int)net_close(net, 1)->handshake, HANDSHAKE_PARTIAL);
    ck_assert_ptr_null(net_finding(net, RULE_CAPTURE_MIDSTREAM, NULL));
    ck_assert_ptr_null(net_finding(net, RULE_CAPTURE_GAP, NULL));
    net_free(net);
}
END_TEST

START_TEST(flow_simultaneous_and_split_open)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 50000, 40000);
    conn_syn(&c);
    struct segment s = conn_segment(&c, SERVER, TCP_SYN);
    s.seq = c.peer[SERVER].isn;
    net_put(net, &s);
    s = conn_segment(&c, CLIENT, TCP_SYN | TCP_ACK);
    s.seq = c.peer[CLIENT].isn;
    net_put(net, &s);
    conn_syn_ack(&c);
    conn_text(&c, SERVER, answer);
    conn_text(&c, CLIENT, request);
    net_end(net);
    net_check_order(net, 1);
    ck_assert_uint_eq(net_find(net, EVENT_FLOW_OPEN, 1)->u.flow_open.client_port, 50000);
    ck_assert_int_eq((int)net_close(net, 1)->handshake, HANDSHAKE_FULL);
    ck_assert_ptr_null(net_finding(net, RULE_CAPTURE_GAP, NULL));
    net_free(net);
}
END_TEST

START_TEST(flow_midstream_by_content)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 80, 40000); /* again: content beats ports */
    conn_flags(&c, CLIENT, TCP_ACK);
    conn_text(&c, SERVER, answer);
    conn_text(&c, CLIENT, request);
    net_end(net);
    net_check_order(net, 1);
    const struct event *open = net_find(net, EVENT_FLOW_OPEN, 1);
    ck_assert_uint_eq(open->u.flow_open.client_port, 80);
    ck_assert_uint_eq(open->packet, 1); /* told late, dated right */
    size_t count;
    const struct seen *finding = net_finding(net, RULE_CAPTURE_MIDSTREAM, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq((int)finding->event.sender, NEITHER);
    ck_assert_uint_eq(finding->event.packet, 2);
    ck_assert_uint_eq(finding->event.session, 0);
    ck_assert_int_eq((int)net_close(net, 1)->handshake, HANDSHAKE_NONE);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_CAPTURE);
    net_free(net);
}
END_TEST

START_TEST(flow_midstream_by_ports)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn a = conn_of(net, 1023, 40000), b = conn_of(net, 9000, 8080);
    struct conn same = conn_of(net, 7000, 7000);
    conn_data(&a, SERVER, "\x01\x02\x03", 3);
    conn_data(&b, SERVER, "\x01\x02\x03", 3);
    conn_data(&same, SERVER, "\x01\x02\x03", 3);
    struct conn quiet = conn_of(net, 41000, 443);
    conn_flags(&quiet, SERVER, TCP_ACK); /* never any payload: told at the end */
    net_end(net);
    net_check_order(net, 4);
    ck_assert_uint_eq(net_find(net, EVENT_FLOW_OPEN, 1)->u.flow_open.server_port, 1023);
    ck_assert_uint_eq(net_find(net, EVENT_FLOW_OPEN, 2)->u.flow_open.server_port, 8080);
    ck_assert_uint_eq(net_find(net, EVENT_FLOW_OPEN, 3)->u.flow_open.client.bytes[3], 2);
    ck_assert_uint_eq(net_find(net, EVENT_FLOW_OPEN, 4)->u.flow_open.server_port, 443);
    size_t count;
    (void)net_finding(net, RULE_CAPTURE_MIDSTREAM, &count);
    ck_assert_uint_eq(count, 3);
    net_free(net);
}
END_TEST

/* ---------------------------------------------------------------- tuples used again */

START_TEST(flow_tuple_is_used_again)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_syn(&c);
    conn_syn(&c); /* sent again: the same flow */
    conn_syn_ack(&c);
    conn_flags(&c, CLIENT, TCP_ACK);
    conn_close(&c);
    struct conn d = conn_of(net, 40000, 80);
    d.peer[CLIENT].isn = 77777;
    conn_open(&d);
    conn_text(&d, CLIENT, request);
    net_end(net);
    net_check_order(net, 2);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_FIN);
    ck_assert_uint_eq(net_close(net, 1)->side[CLIENT].retransmits, 1);
    ck_assert_int_eq(net_close(net, 1)->side[CLIENT].rtt_ns, -1);
    ck_assert_int_eq((int)net_close(net, 2)->handshake, HANDSHAKE_FULL);
    ck_assert_int_eq((int)net_close(net, 2)->end, END_CAPTURE);
    net_free(net);
}
END_TEST

START_TEST(flow_syn_inside_connection)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    struct conn d = conn_of(net, 40000, 80);
    d.peer[CLIENT].isn = 77777;
    conn_syn(&d); /* forged: the connection goes on */
    conn_text(&c, SERVER, answer);
    ck_assert_uint_eq(net_counter(net, "flow.opened"), 1);
    ck_assert_uint_eq(net_counter(net, "flow.syn-ignored"), 1);
    d.peer[SERVER].isn = 5;
    conn_syn(&d); /* and one that the server answers */
    conn_syn_ack(&d);
    conn_flags(&d, CLIENT, TCP_ACK);
    conn_text(&d, CLIENT, request);
    net_end(net);
    net_check_order(net, 2);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_IDLE);
    ck_assert_uint_eq(net_close(net, 1)->side[SERVER].bytes, strlen(answer));
    ck_assert_int_eq((int)net_close(net, 2)->handshake, HANDSHAKE_FULL);
    ck_assert_uint_eq(net_close(net, 2)->side[CLIENT].packets, 3);
    ck_assert_uint_eq(net_close(net, 2)->side[CLIENT].bytes, strlen(request));
    net_free(net);
}
END_TEST

START_TEST(flow_half_open_tries_again)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80), d = conn_of(net, 40000, 80);
    conn_syn(&c);
    d.peer[CLIENT].isn = 99;
    conn_syn(&d);
    conn_syn_ack(&d);
    net_end(net);
    net_check_order(net, 2);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_IDLE);
    net_free(net);
}
END_TEST

/* ---------------------------------------------------------------- FIN, RST, silence */

START_TEST(flow_one_fin_is_an_end)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    conn_flags(&c, CLIENT, TCP_FIN | TCP_ACK);
    net_end(net);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_FIN);
    ck_assert_int_eq((int)net_close(net, 1)->end_side, CLIENT);
    net_free(net);
}
END_TEST

START_TEST(flow_fin_before_any_payload)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_flags(&c, CLIENT, TCP_FIN | TCP_ACK);
    conn_text(&c, SERVER, answer);
    conn_flags(&c, SERVER, TCP_FIN | TCP_ACK);
    conn_flags(&c, CLIENT, TCP_ACK);
    c.step_ns = 0;
    net->now_ns += 3 * SECOND; /* the lingering is over */
    struct conn other = conn_of(net, 1, 2);
    conn_syn(&other);
    ck_assert_uint_eq(net_counter(net, "flow.ended"), 1);
    net_end(net);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_FIN);
    ck_assert_uint_eq(net_count(net, EVENT_GAP), 0);
    net_free(net);
}
END_TEST

START_TEST(flow_rst_must_fit)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    struct segment s = conn_segment(&c, SERVER, TCP_RST);
    s.seq += 0x20000000; /* far outside of the window */
    net_put(net, &s);
    ck_assert_uint_eq(net_counter(net, "flow.rst-ignored"), 1);
    conn_text(&c, SERVER, answer);
    conn_flags(&c, SERVER, TCP_RST);
    net_end(net);
    net_check_order(net, 1);
    const struct event_flow_close *close = net_close(net, 1);
    ck_assert_int_eq((int)close->end, END_RST);
    ck_assert_int_eq((int)close->end_side, SERVER);
    ck_assert_uint_eq(close->side[SERVER].bytes, strlen(answer));
    ck_assert_int_eq(close->idle_ns, MS);
    net_free(net);
}
END_TEST

START_TEST(flow_forged_rst_is_taken_back)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    conn_flags(&c, SERVER, TCP_RST); /* says the server, who goes on all the same */
    conn_text(&c, SERVER, answer);
    conn_text(&c, CLIENT, request);
    conn_close(&c);
    ck_assert_uint_eq(net_counter(net, "flow.rst-ignored"), 1);
    net_end(net);
    net_check_order(net, 1);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_FIN);
    ck_assert_int_eq((int)net_close(net, 1)->end_side, CLIENT);
    net_free(net);
}
END_TEST

START_TEST(flow_refused_connection)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 81);
    conn_syn(&c);
    struct segment s = conn_segment(&c, SERVER, TCP_RST | TCP_ACK);
    s.seq = 0;
    net_put(net, &s);
    struct conn stray = conn_of(net, 40001, 81);
    conn_flags(&stray, SERVER, TCP_RST);
    conn_flags(&stray, CLIENT, TCP_FIN | TCP_ACK);
    ck_assert_uint_eq(net_counter(net, "flow.stray-packets"), 2);
    net_end(net);
    net_check_order(net, 1);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_RST);
    ck_assert_int_eq((int)net_close(net, 1)->end_side, SERVER);
    ck_assert_ptr_null(net_finding(net, RULE_CAPTURE_ONE_SIDED, NULL));
    net_free(net);
}
END_TEST

START_TEST(flow_rst_delivers_what_is_held)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    conn_skip(&c, CLIENT, 100);
    conn_text(&c, CLIENT, "behind the hole");
    conn_flags(&c, CLIENT, TCP_RST | TCP_ACK);
    net_end(net);
    net_check_order(net, 1);
    const struct event *gap = net_find(net, EVENT_GAP, 1);
    ck_assert_ptr_nonnull(gap);
    ck_assert_uint_eq(gap->offset, strlen(request));
    ck_assert_uint_eq(gap->u.gap.length, 100);
    ck_assert_int_eq((int)gap->sender, CLIENT);
    size_t count;
    const struct seen *finding = net_finding(net, RULE_CAPTURE_GAP, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(finding->evidence, "100 bytes missing at offset 37");
    ck_assert_int_eq((int)finding->event.sender, CLIENT);
    ck_assert_uint_eq(net_close(net, 1)->side[CLIENT].missing, 100);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_RST);
    net_free(net);
}
END_TEST

START_TEST(flow_hole_is_filled_behind_fin)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    conn_skip(&c, SERVER, 10);
    conn_text(&c, SERVER, answer + 10);
    conn_close(&c);
    uint32_t sent = c.peer[SERVER].sent;
    c.peer[SERVER].sent = 0;
    conn_data(&c, SERVER, answer, 10);
    c.peer[SERVER].sent = sent;
    conn_flags(&c, CLIENT, TCP_ACK);
    net_end(net);
    net_check_order(net, 1);
    ck_assert_uint_eq(net_count(net, EVENT_GAP), 0);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_FIN);
    net_free(net);
}
END_TEST

START_TEST(flow_first_bytes_lost)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80), d = conn_of(net, 40001, 80);
    conn_open(&c);
    conn_skip(&c, CLIENT, 5);
    conn_text(&c, CLIENT, request);
    conn_syn(&d); /* its SYN/ACK is lost, and the first bytes of its server */
    conn_flags(&d, CLIENT, TCP_ACK);
    conn_skip(&d, SERVER, 7);
    conn_text(&d, SERVER, answer);
    net_end(net);
    for (uint64_t flow = 1; flow <= 2; flow++) {
        const struct event *gap = net_find(net, EVENT_GAP, flow);
        ck_assert_ptr_nonnull(gap);
        ck_assert_uint_eq(gap->offset, 0);
        ck_assert_uint_eq(gap->u.gap.length, flow == 1 ? 5 : 7);
        ck_assert_int_eq((int)gap->sender, flow == 1 ? CLIENT : SERVER);
    }
    ck_assert_int_eq((int)net_close(net, 2)->handshake, HANDSHAKE_PARTIAL);
    net_free(net);
}
END_TEST

START_TEST(flow_forged_syn_ack)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    struct segment s = conn_segment(&c, SERVER, TCP_SYN | TCP_ACK);
    s.seq += 0x10000000;
    net_put(net, &s);
    conn_text(&c, SERVER, answer);
    conn_flags(&c, SERVER, TCP_FIN | TCP_ACK);
    conn_flags(&c, CLIENT, TCP_FIN | TCP_ACK);
    net_end(net);
    net_check_order(net, 1);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_FIN);
    ck_assert_int_eq((int)net_close(net, 1)->end_side, SERVER);
    ck_assert_uint_eq(net_count(net, EVENT_GAP), 0);
    net_free(net);
}
END_TEST

START_TEST(flow_timeouts_by_class)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn half = conn_of(net, 40000, 80), live = conn_of(net, 40001, 80);
    struct conn session = conn_of(net, 40002, 80);
    conn_syn(&half);
    conn_open(&live);
    conn_text(&live, CLIENT, request);
    conn_open(&session);
    conn_text(&session, CLIENT, upgrade);
    int64_t live_end = net->now_ns - 4 * MS;
    net_pass(net, 59 * SECOND);
    ck_assert_uint_eq(net_counter(net, "flow.ended"), 0);
    net_pass(net, 2 * SECOND);
    ck_assert_uint_eq(net_counter(net, "flow.ended"), 1);
    net_pass(net, 530 * SECOND);
    net_pass(net, 15 * SECOND);
    conn_flags(&half, SERVER, TCP_ACK); /* too late for its flow: a new one */
    net_pass(net, 3000 * SECOND - 11 * SECOND);
    conn_text(&session, SERVER, answer); /* still within an hour */
    net_end(net);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_IDLE);
    ck_assert_int_eq((int)net_close(net, 2)->end, END_IDLE);
    ck_assert_int_eq(net_close(net, 2)->idle_ns, 600 * SECOND);
    ck_assert_int_eq(net_find(net, EVENT_FLOW_CLOSE, 2)->time_ns, live_end + 600 * SECOND);
    ck_assert_int_eq((int)net_close(net, 3)->end, END_CAPTURE);
    ck_assert_uint_eq(net_close(net, 3)->side[SERVER].bytes, strlen(answer));
    net_free(net);
}
END_TEST

START_TEST(flow_late_packet_begins_anew)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    net->now_ns += 700 * SECOND; /* nothing else was captured meanwhile */
    conn_text(&c, CLIENT, request);
    net_end(net);
    net_check_order(net, 2);
    ck_assert_int_eq((int)net_close(net, 1)->end, END_IDLE);
    net_free(net);
}
END_TEST

START_TEST(flow_finish_in_order)
{
    struct net *net = net_new(16 << 20, NULL);
    for (uint16_t i = 0; i < 50; i++) {
        struct conn c = conn_of(net, (uint16_t)(50000 - i), 80);
        conn_syn(&c);
        if (i % 3 == 0)
            conn_syn_ack(&c);
    }
    net_end(net);
    net_check_order(net, 50);
    uint64_t last = 0;
    for (size_t i = 0; i < net->count; i++) {
        if (net->seen[i].event.kind == EVENT_FLOW_CLOSE) {
            ck_assert_uint_eq(net->seen[i].event.flow, last + 1);
            last++;
        }
    }
    net_free(net);
}
END_TEST

START_TEST(flow_tick_ends_and_declares)
{
    struct net *net = net_new(16 << 20, NULL);
    struct conn c = conn_of(net, 40000, 80), d = conn_of(net, 40001, 80);
    conn_syn(&d);
    conn_open(&c);
    conn_text(&c, CLIENT, request);
    conn_skip(&c, CLIENT, 10);
    conn_text(&c, CLIENT, request);
    conn_flags(&c, SERVER, TCP_ACK); /* the server has it all: the hole is ours */
    flow_table_tick(net->table, net->now_ns + 5 * SECOND);
    flow_table_tick(net->table, net->now_ns + 70 * SECOND);
    ck_assert_uint_eq(net_counter(net, "flow.ended"), 1);
    net->now_ns += 80 * SECOND;
    conn_text(&c, SERVER, answer);
    net_end(net);
    const struct event *gap = net_find(net, EVENT_GAP, 2);
    ck_assert_ptr_nonnull(gap);
    ck_assert(gap < net_find(net, EVENT_FLOW_CLOSE, 1)); /* told by the first tick */
    ck_assert_uint_eq(gap->u.gap.length, 10);
    net_free(net);
}
END_TEST

Suite *flow_suite(void)
{
    Suite *suite = suite_create("flow");
    TCase *tcase = tcase_create("flow");
    tcase_add_test(tcase, flow_whole_connection);
    tcase_add_test(tcase, flow_ipv6_and_tunnels_are_apart);
    tcase_add_test(tcase, flow_syn_ack_first);
    tcase_add_test(tcase, flow_simultaneous_and_split_open);
    tcase_add_test(tcase, flow_midstream_by_content);
    tcase_add_test(tcase, flow_midstream_by_ports);
    tcase_add_test(tcase, flow_tuple_is_used_again);
    tcase_add_test(tcase, flow_syn_inside_connection);
    tcase_add_test(tcase, flow_half_open_tries_again);
    tcase_add_test(tcase, flow_one_fin_is_an_end);
    tcase_add_test(tcase, flow_fin_before_any_payload);
    tcase_add_test(tcase, flow_rst_must_fit);
    tcase_add_test(tcase, flow_forged_rst_is_taken_back);
    tcase_add_test(tcase, flow_refused_connection);
    tcase_add_test(tcase, flow_rst_delivers_what_is_held);
    tcase_add_test(tcase, flow_hole_is_filled_behind_fin);
    tcase_add_test(tcase, flow_first_bytes_lost);
    tcase_add_test(tcase, flow_forged_syn_ack);
    tcase_add_test(tcase, flow_timeouts_by_class);
    tcase_add_test(tcase, flow_late_packet_begins_anew);
    tcase_add_test(tcase, flow_finish_in_order);
    tcase_add_test(tcase, flow_tick_ends_and_declares);
    tcase_add_test(tcase, flow_at_the_clock_of_all);
    tcase_add_test(tcase, flow_due_in_order);
    suite_add_tcase(suite, tcase);
    return suite;
}
