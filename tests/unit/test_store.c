/*
 * The store: what each event becomes, what is kept about flows without a row, what happens at the
 * end of flows and captures, and that nothing on the wire or on the disk breaks it.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_rig.h"

Suite *store_suite(void);

#define ASSERT_SQL(sql, expected) ck_assert_str_eq(rig_sql("%s", sql), expected)

/* ---------------------------------------------------------------- captures */

START_TEST(test_capture)
{
    struct error error = {""};
    rig_open(1, 0, 0);
    rig_begin("xxh3:1");
    ASSERT_SQL("SELECT source, kind, fingerprint, sensor, filter, options, ended_ns, version <> '' "
               "FROM capture", "test.pcap|file|xxh3:1|here|tcp|none|-|1");
    ck_assert_int_eq(store_find_capture(rig_store, "xxh3:1", &error), 0);
    struct store_file file = {"/tmp/a \xff.pcap", 1234, NULL, 1};
    ck_assert_int_eq(store_add_file(rig_store, &file, &error), 0);
    file = (struct store_file){"b.pcap", 5, "xxh3:b", 100};
    ck_assert_int_eq(store_add_file(rig_store, &file, &error), 0);
    struct event *event = rig_add(EVENT_COUNTER, 0, 0, NEITHER);
    event->u.counter = (struct event_counter){rig_text("decode.ip"), 7};
    event = rig_add(EVENT_COUNTER, 0, 0, NEITHER);
    event->u.counter = (struct event_counter){rig_text("decode.ip"), UINT64_MAX};
    ck_assert_int_eq(rig_send(), 0);
    struct store_summary summary = rig_finish();
    ck_assert_int_eq(summary.capture_id, 1);
    ck_assert_int_eq(store_find_capture(rig_store, "xxh3:1", &error), 1);
    rig_close();
    ASSERT_SQL("SELECT link_type, snaplen, first_packet_ns, last_packet_ns, packets, bytes, "
               "kernel_dropped, interface_dropped, truncated, ended_ns >= started_ns FROM capture",
               "1|65535|5|6|12|3456|1|2|1|1");
    ASSERT_SQL("SELECT capture_id, position, typeof(path), size, fingerprint, first_packet "
               "FROM capture_file", "1|0|blob|1234|-|1\n1|1|text|5|xxh3:b|100");
    ASSERT_SQL("SELECT * FROM counter", "1|decode.ip|9223372036854775807");
    ASSERT_SQL("SELECT count(*) = (SELECT count(DISTINCT name) FROM rule), "
               "max(summary) <> '', min(level) FROM rule", "1|1|M");
    ASSERT_SQL("SELECT severity, level FROM rule WHERE name = 'ws-accept-wrong'", "high|M");
    struct stat status;
    ck_assert_int_eq(stat(rig_path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    ASSERT_SQL("SELECT * FROM pragma_auto_vacuum", "2");
    ASSERT_SQL("SELECT * FROM pragma_user_version", "1");
    ASSERT_SQL("SELECT application_id <> 0 FROM pragma_application_id", "1");
    rig_check();
}
END_TEST

static void one_session(uint64_t flow)
{
    (void)rig_flow(flow);
    (void)rig_session(flow, 1, "a.example", "/");
    rig_header(flow, 1, 0, "Host", "a.example");
    (void)rig_answer(flow, 1, OUTCOME_SWITCHED, 101);
    rig_websocket(flow, 1);
    (void)rig_frame(flow, 1, CLIENT, 1, "hello");
    (void)rig_finding(flow, 1, CLIENT, RULE_WS_LENGTH_NOT_MINIMAL);
    struct event *gap = rig_add(EVENT_GAP, flow, 0, SERVER);
    gap->u.gap.length = 10;
}

START_TEST(test_unfinished)
{
    struct error error = {""};
    rig_open(1, 0, 0);
    rig_begin("x");
    one_session(1);
    ck_assert_int_eq(rig_send(), 0);
    rig_close(); /* no store_finish: it is read again */
    ck_assert_int_eq(rig_count("SELECT count(*) FROM frame"), 1);
    rig_open(1, 0, 0);
    rig_begin("other");
    one_session(1);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_exec(rig_path, "UPDATE session SET hop_of = 1 WHERE id = 2");
    ck_assert_int_eq(store_find_capture(rig_store, "x", &error), 0);
    rig_begin("x");
    ASSERT_SQL("SELECT id, fingerprint FROM capture ORDER BY id", "2|other\n3|x");
    static const char *const tables[] = {"flow", "layer", "session", "header", "websocket", "frame",
                                         "finding", "gap"};
    static const char *const expected[] = {"1", "2", "1", "1", "1", "1", "1", "1"};
    for (size_t i = 0; i < 8; i++)
        ck_assert_str_eq(rig_sql("SELECT count(*) FROM %s", tables[i]), expected[i]);
    ASSERT_SQL("SELECT hop_of FROM session", "-");
    one_session(1);
    ck_assert_int_eq(rig_send(), 0);
    ASSERT_SQL("SELECT 1", "1");
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT f.capture_id, count(*) FROM frame JOIN session s ON s.id = session_id "
               "JOIN flow f ON f.id = s.flow_id GROUP BY 1", "2|1\n3|1");
    rig_check();
}
END_TEST

static void switched(uint64_t flow, uint32_t session, uint32_t from, uint32_t to)
{
    rig_session(flow, session, "a.example", "/")->layer = from;
    (void)rig_answer(flow, session, OUTCOME_SWITCHED, 200);
    (void)rig_layer(flow, to, from, "websocket");
    rig_add(EVENT_SESSION_SWITCH, flow, session, NEITHER)->u.session_switch.successor = to;
    rig_add(EVENT_WEBSOCKET_OPEN, flow, session, NEITHER)->u.websocket_open.accept_valid = 1;
    rig_frame(flow, session, CLIENT, session, "hello")->layer = to;
    rig_finding(flow, session, CLIENT, RULE_WS_LENGTH_NOT_MINIMAL)->layer = to;
}

/* Of a connection that stays open, sessions that are over can be removed, inner ones first; what
 * still comes for them names no row that is gone, and is not taken for another session's. */
START_TEST(test_retain_in_open_flow)
{
    rig_open_aging();
    rig_begin("x");
    (void)rig_flow(1);
    (void)rig_session(1, 1, "a.example", "/refused");
    (void)rig_answer(1, 1, OUTCOME_REFUSED, 426);
    switched(1, 2, 1, 2);
    switched(1, 3, 2, 3); /* inside the one before */
    switched(1, 4, 1, 4);
    rig_finding(1, 0, CLIENT, RULE_CAPTURE_GAP)->layer = 3;
    for (uint32_t session = 3; session >= 2; session--)
        rig_add(EVENT_SESSION_END, 1, session, CLIENT)->u.session_end.reason = SESSION_END_CLOSE;
    (void)rig_flow(2);
    for (uint32_t session = 1; session <= 300; session++) {
        (void)rig_session(2, session, "b.example", "/refused");
        (void)rig_answer(2, session, OUTCOME_REFUSED, 426);
        if (session % 100 == 0)
            ck_assert_int_eq(rig_send(), 0);
    }
    (void)rig_session(2, 301, "b.example", "/waits");
    ck_assert_int_eq(rig_send(), 0);
    unsigned turn = 0;
    do { /* a turn of removing takes a bounded time */
        ck_assert_int_eq(rig_flush(), 0);
        (void)usleep(110000);
    } while (rig_count("SELECT count(*) FROM session") > 2 && ++turn < 100);
    ASSERT_SQL("SELECT f.client_port, s.outcome, s.path FROM session s JOIN flow f "
               "ON f.id = s.flow_id ORDER BY 1", "1001|switched|/\n1002|unanswered|/waits");
    ASSERT_SQL("SELECT count(*) FROM layer", "3"); /* two roots, and what is still open */
    ASSERT_SQL("SELECT count(*) FROM finding", "1");
    ASSERT_SQL("SELECT count(*) FROM frame", "1");
    ASSERT_SQL("SELECT value FROM counter WHERE name = 'retain.sessions'", "303");
    rig_finding(1, 3, CLIENT, RULE_WS_CLOSE_CODE_FORBIDDEN)->layer = 3;
    rig_finding(1, 4, CLIENT, RULE_WS_CLOSE_CODE_FORBIDDEN)->layer = 4;
    rig_finding(2, 1, CLIENT, RULE_WS_CLOSE_CODE_FORBIDDEN)->layer = 1;
    (void)rig_layer(1, 5, 3, "late");
    (void)rig_flow_close(1, END_FIN, CLIENT);
    (void)rig_flow_close(2, END_FIN, CLIENT);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT f.flow_id, f.session_id, l.protocol FROM finding f LEFT JOIN layer l "
               "ON l.id = f.layer_id WHERE f.rule = 'ws-close-code-forbidden' ORDER BY f.id",
               "1|-|-\n1|4|websocket\n2|-|http1");
    ASSERT_SQL("SELECT parent_id FROM layer WHERE protocol = 'late'", "-");
    rig_check();
}
END_TEST

START_TEST(test_cascade)
{
    rig_open(1, 0, 0);
    rig_begin("x");
    one_session(1);
    (void)rig_finding(0, 0, NEITHER, RULE_CAPTURE_GAP);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    rig_exec(rig_path, "PRAGMA foreign_keys = ON; DELETE FROM capture");
    ASSERT_SQL("SELECT (SELECT count(*) FROM flow) + (SELECT count(*) FROM layer) + (SELECT "
               "count(*) FROM session) + (SELECT count(*) FROM header) + (SELECT count(*) FROM "
               "websocket) + (SELECT count(*) FROM frame) + (SELECT count(*) FROM finding) + "
               "(SELECT count(*) FROM gap)", "0");
    rig_check();
}
END_TEST

/* ---------------------------------------------------------------- rows */

START_TEST(test_flow)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    struct event *event = rig_flow(1);
    event->u.flow_open.vlan = 42;
    event = rig_add(EVENT_FLOW_OPEN, 2, 0, NEITHER);
    event->u.flow_open = (struct event_flow_open){
        .client = {6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}},
        .server = {6, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1, 0x23, 0x45, 0xff, 0xfe, 0x67, 0x89, 0xab}},
        .client_port = 65535, .server_port = 1, .vlan = -1};
    event = rig_add(EVENT_LAYER_CLOSE, 1, 0, NEITHER);
    event->u.layer_close = (struct event_layer_close){
        .protocol = rig_text("tls"), .detail = rig_text("{\"sni\":\"a\"}"),
        .head = {rig_bytes("\x16\x03\x00", 3), rig_bytes("", 0)},
        .ndpi = {rig_text("TLS"), rig_text("Web"), rig_text("Old, Bad")}};
    event = rig_flow_close(1, END_RST, SERVER);
    event->u.flow_close.ndpi = (struct classification){rig_text("HTTP"), rig_text("Web"),
                                                            TEXT_NONE};
    (void)rig_flow_close(2, END_IDLE, NEITHER);
    ck_assert_int_eq(rig_send(), 0);
    struct store_summary summary = rig_finish();
    ck_assert_uint_eq(summary.flows, 2);
    rig_close();
    ASSERT_SQL("SELECT * FROM flow WHERE id = 1",
               "1|1|10.0.0.1|1001|10.0.0.2|80|42|1:p7phLF9koGoF9Aa74dAzr3q6KcI=|1000000001|"
               "1005000000|3|4|300|400|1|0|2|0|1000|-|full|rst|HTTP|Web|-");
    ASSERT_SQL("SELECT client_addr, client_port, server_addr, vlan, end FROM flow WHERE id = 2",
               "::ffff:192.0.2.1|65535|fe80::123:45ff:fe67:89ab|-|idle");
    ASSERT_SQL("SELECT id, flow_id, parent_id, relation, protocol, expected, first_ns, packet, "
               "client_offset, server_offset, hex(client_head), typeof(server_head), "
               "length(server_head), ndpi_protocol, ndpi_category, ndpi_risk, detail FROM layer",
               "1|1|-|root|tls|-|1002000000|2|1|2|160300|blob|0|TLS|Web|Old, Bad|{\"sni\":\"a\"}");
    rig_check();
}
END_TEST

START_TEST(test_community_id)
{
    /* The published vectors of version 1 for TCP. */
    static const struct {
        struct address client, server;
        uint16_t client_port, server_port;
        const char *id;
    } cases[] = {
        {{4, {128, 232, 110, 120}}, {4, {66, 35, 250, 204}}, 34855, 80,
         "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
        {{4, {66, 35, 250, 204}}, {4, {128, 232, 110, 120}}, 80, 34855,
         "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
        {{6, {0x20, 0x01, 0x04, 0x70, 0xe5, 0xbf, 0xde, 0xad, 0x49, 0x57, 0x21, 0x74, 0xe8, 0x2c,
              0x48, 0x87}},
         {6, {0x26, 0x07, 0xf8, 0xb0, 0x40, 0x0c, 0x0c, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x1a}},
         63943, 25, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
        /* One address: the ports decide. Computed apart from the program. */
        {{4, {127, 0, 0, 1}}, {4, {127, 0, 0, 1}}, 50000, 80, "1:jG7HJaxo5f/efFe+PrQaZXQMQzw="},
        {{4, {127, 0, 0, 1}}, {4, {127, 0, 0, 1}}, 80, 50000, "1:jG7HJaxo5f/efFe+PrQaZXQMQzw="},
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    rig_open(1, 0, 0);
    rig_begin(NULL);
    for (int i = 0; i < CASES; i++) {
        struct event *event = rig_add(EVENT_FLOW_OPEN, (uint64_t)i + 1, 0, NEITHER);
        event->u.flow_open = (struct event_flow_open){cases[i].client, cases[i].server,
                                                      cases[i].client_port, cases[i].server_port,
                                                      -1};
        (void)rig_flow_close((uint64_t)i + 1, END_FIN, CLIENT);
    }
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    for (int i = 0; i < CASES; i++)
        ck_assert_str_eq(rig_sql("SELECT community_id FROM flow WHERE id = %d", i + 1),
                         cases[i].id);
}
END_TEST

START_TEST(test_session)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(7);
    struct event *event = rig_session(7, 1, "h.example", "/p");
    event->u.session_open.target = rig_text("/p?room=1");
    event->u.session_open.origin = rig_text("https://o.example");
    event->u.session_open.user_agent = rig_text("agent");
    event->u.session_open.forwarded_for = rig_text("192.0.2.9");
    ck_assert_int_eq(rig_send(), 0);
    ck_assert_int_eq(rig_rows[2], 1);
    rig_header(7, 1, 0, "Host", "h.example");
    rig_header(7, 1, 1, "Server", "nginx\xff");
    event = rig_answer(7, 1, OUTCOME_REFUSED, 403);
    event->u.session_answer.cause = CAUSE_ORIGIN;
    event->u.session_answer.reason = rig_text("");
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_flow_close(7, END_FIN, SERVER);
    ck_assert_int_eq(rig_send(), 0);
    struct store_summary summary = rig_finish();
    ck_assert_uint_eq(summary.sessions, 1);
    ck_assert_uint_eq(summary.outcomes[OUTCOME_REFUSED], 1);
    rig_close();
    ASSERT_SQL("SELECT id, flow_id, layer_id, successor_id, hop_of, mechanism, offered, accepted, "
               "outcome, cause, method, target, path, host, origin, user_agent, forwarded_for, "
               "status, reason, request_ns, response_ns, request_packet, response_packet, end_ns, "
               "end_reason, end_side, idle_ns, frames_lost, replace(verdict, '3.0 ms', '3 ms') "
               "FROM session",
               "1|1|1|-|-|upgrade|websocket|-|refused|origin|GET|/p?room=1|/p|h.example|"
               "https://o.example|agent|192.0.2.9|403||1003000000|1006000000|3|6|1007000000|fin|"
               "server|77|0|refused: 403 from the server 3 ms after the request; the Origin "
               "https://o.example differs from the Host");
    ASSERT_SQL("SELECT session_id, message, position, name, typeof(value) FROM header",
               "1|request|0|Host|text\n1|response|0|Server|blob");
    ASSERT_SQL("SELECT count(*) FROM header WHERE name = 'HOST'", "1");
    rig_check();
}
END_TEST

START_TEST(test_websocket)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/");
    (void)rig_answer(1, 1, OUTCOME_SWITCHED, 101);
    (void)rig_layer(1, 2, 1, "websocket");
    struct event *event = rig_add(EVENT_SESSION_SWITCH, 1, 1, NEITHER);
    event->u.session_switch.successor = 2;
    event = rig_add(EVENT_WEBSOCKET_OPEN, 1, 1, NEITHER);
    event->u.websocket_open = (struct event_websocket_open){rig_text("chat"), TEXT_NONE, -1, 1};
    event = rig_add(EVENT_SESSION_END, 1, 1, CLIENT);
    event->u.session_end = (struct event_session_end){SESSION_END_CLOSE, CLIENT, 5};
    for (int i = 0; i < 2; i++) {
        event = rig_add(EVENT_WEBSOCKET_CLOSE, 1, 1, NEITHER);
        event->u.websocket_close.side[CLIENT] = (struct event_websocket_side){
            1, 2, 3, 4, 1000, rig_text(i == 0 ? "early" : "bye")};
        event->u.websocket_close.side[SERVER] = (struct event_websocket_side){
            5, 6, 7, 8, -1, rig_bytes("\xff", i == 0 ? 0 : 1)};
    }
    (void)rig_flow_close(1, END_FIN, CLIENT);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT session_id, subprotocol, extensions, accept_valid, deflate, client_frames, "
               "server_frames, client_messages, server_messages, client_bytes, server_bytes, "
               "client_message_bytes, server_message_bytes, client_close_code, "
               "client_close_reason, server_close_code, hex(server_close_reason), "
               "typeof(server_close_reason) FROM websocket",
               "1|chat|-|-|1|1|5|2|6|3|7|4|8|1000|bye|-|FF|blob");
    ASSERT_SQL("SELECT successor_id, end_ns, end_reason, end_side, idle_ns, replace(verdict, '4.0 "
               "ms', '4 ms') FROM session",
               "2|1008000000|close|client|5|switched to websocket, 8 messages in 4 ms, closed by "
               "the client with 1000");
    ASSERT_SQL("SELECT chain, layers FROM chain", "http1>websocket|2");
    rig_check();
}
END_TEST

START_TEST(test_frame)
{
    static const char nul[] = {'a', 0, 'b'};
    rig_open(1, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/");
    (void)rig_answer(1, 1, OUTCOME_SWITCHED, 101);
    rig_websocket(1, 1);
    (void)rig_frame(1, 1, CLIENT, 1, "gr\xc3\xbc\xc3\x9f");
    rig_frame(1, 1, SERVER, 2, "")->u.frame.rsv = 4;
    rig_frame(1, 1, SERVER, 3, "\xff")->u.frame.cut = 1;
    struct event *event = rig_frame(1, 1, CLIENT, 4, "");
    event->u.frame.payload = rig_bytes(nul, 3);
    event = rig_frame(1, 1, CLIENT, 5, "");
    event->u.frame.message_opcode = 2;
    event = rig_frame(1, 1, CLIENT, 6, "text");
    event->u.frame.message_opcode = 2;
    event->u.frame.fragments = 3;
    event->u.frame.compressed = 1;
    event = rig_frame(1, 1, CLIENT, 7, NULL);
    event->u.frame.fin = 0;
    event->u.frame.message_opcode = -1;
    event->u.frame.length = UINT64_MAX;
    event = rig_frame(1, 1, SERVER, 8, "bye");
    event->u.frame.opcode = 8;
    event->u.frame.message_opcode = 8;
    event = rig_frame(1, 1, SERVER, 9, "p");
    event->u.frame.opcode = 10;
    event->u.frame.message_opcode = 10;
    event->u.frame.rtt_ns = 12345;
    (void)rig_frame(1, 1, SERVER, 10, NULL); /* not stored */
    (void)rig_frame(1, 9, SERVER, 1, "of no session");
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT id, session_id, sender, sent_ns, packet, offset, fin, rsv, opcode, masked, "
               "length, message_opcode, message_length, fragments, compressed, cut, rtt_ns, "
               "typeof(payload), hex(payload) FROM frame",
               "1|1|client|1008000000|8|80|1|0|1|1|6|1|6|1|0|0|-|text|6772C3BCC39F\n"
               "2|1|server|1009000000|9|90|1|4|1|0|0|1|0|1|0|0|-|text|\n"
               "3|1|server|1010000000|10|100|1|0|1|0|1|1|1|1|0|1|-|blob|FF\n"
               "4|1|client|1011000000|11|110|1|0|1|1|0|1|0|1|0|0|-|blob|610062\n"
               "5|1|client|1012000000|12|120|1|0|1|1|0|2|0|1|0|0|-|blob|\n"
               "6|1|client|1013000000|13|130|1|0|1|1|4|2|4|3|1|0|-|blob|74657874\n"
               "7|1|client|1014000000|14|140|0|0|1|1|9223372036854775807|-|-|-|0|-|-|null|\n"
               "8|1|server|1015000000|15|150|1|0|8|0|3|8|3|1|0|0|-|text|627965\n"
               "9|1|server|1016000000|16|160|1|0|10|0|1|10|1|1|0|0|12345|blob|70\n"
               "10|1|server|1017000000|17|170|1|0|1|0|0|1|0|1|0|0|-|null|");
    ASSERT_SQL("SELECT group_concat(opcode) FROM message",
               "text,text,text,text,binary,binary,close,pong,text");
    rig_check();
}
END_TEST

START_TEST(test_lost_request)
{
    rig_open(0, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    struct event *event = rig_add(EVENT_SESSION_OPEN, 1, 1, SERVER);
    event->u.session_open.mechanism = MECHANISM_UPGRADE;
    event->u.session_open.request_lost = 1;
    (void)rig_answer(1, 1, OUTCOME_SWITCHED, 101);
    event = rig_session(1, 2, "h", "/");
    event->u.session_open.unsolicited = 1;
    event->sender = SERVER;
    (void)rig_answer(1, 2, OUTCOME_UNSOLICITED, 101);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT request_ns, request_packet, target, response_packet, outcome FROM session",
               "-|-|-|4|switched\n-|-|/|6|unsolicited");
    rig_check();
}
END_TEST

/* ---------------------------------------------------------------- findings */

START_TEST(test_finding)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/");
    (void)rig_session(1, 2, "h", "/");
    for (int i = 0; i < 3; i++)
        (void)rig_finding(1, 1, CLIENT, RULE_WS_CLIENT_UNMASKED);
    (void)rig_finding(1, 1, SERVER, RULE_WS_CLIENT_UNMASKED);
    (void)rig_finding(1, 2, CLIENT, RULE_WS_CLIENT_UNMASKED);
    (void)rig_finding(1, 0, NEITHER, RULE_CAPTURE_MIDSTREAM);
    (void)rig_finding(1, 0, NEITHER, RULE_CAPTURE_MIDSTREAM);
    (void)rig_finding(0, 0, NEITHER, RULE_CAPTURE_GAP);
    ck_assert_int_eq(rig_send(), 0);
    ck_assert_int_eq(rig_rows[4], rig_rows[5]);
    (void)rig_flow_close(1, END_FIN, CLIENT);
    ck_assert_int_eq(rig_send(), 0);
    struct store_summary summary = rig_finish();
    ck_assert_uint_eq(summary.findings[0], 3);
    ck_assert_uint_eq(summary.findings[3], 2);
    rig_close();
    ASSERT_SQL("SELECT id, capture_id, rule, session_id, layer_id, flow_id, frame_id, "
               "other_session_id, sender, packet, offset, found_ns, evidence, count FROM finding",
               "1|1|ws-client-unmasked|1|1|1|-|-|client|5|50|1005000000|seen|3\n"
               "2|1|ws-client-unmasked|1|1|1|-|-|server|8|80|1008000000|seen|1\n"
               "3|1|ws-client-unmasked|2|1|1|-|-|client|9|90|1009000000|seen|1\n"
               "4|1|capture-midstream|-|1|1|-|-|-|10|100|1010000000|seen|2\n"
               "5|1|capture-gap|-|-|-|-|-|-|12|120|1012000000|seen|1");
    ASSERT_SQL("SELECT severity, time, client, host FROM finding_summary WHERE id IN (1, 5)",
               "high|1970-01-01T00:00:01.005000000Z|10.0.0.1|h\n"
               "info|1970-01-01T00:00:01.012000000Z|-|-");
    rig_check();
}
END_TEST

START_TEST(test_finding_frames)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/");
    (void)rig_frame(1, 1, CLIENT, 1, "a");
    rig_finding(1, 1, CLIENT, RULE_WS_LENGTH_MSB)->u.finding.frame = 1;     /* behind it */
    rig_finding(1, 1, CLIENT, RULE_WS_OPCODE_RESERVED)->u.finding.frame = 2; /* before it */
    (void)rig_frame(1, 1, CLIENT, 2, "b");
    struct event *ping = rig_frame(1, 1, SERVER, 20, "p");
    ping->u.frame.opcode = 9;
    for (uint64_t serial = 21; serial < 60; serial++)
        (void)rig_frame(1, 1, CLIENT, serial, "c");
    rig_finding(1, 1, CLIENT, RULE_WS_PING_UNANSWERED)->u.finding.frame = 20; /* long ago */
    rig_finding(1, 1, CLIENT, RULE_WS_BAD_UTF8)->u.finding.frame = 999;       /* never comes */
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT rule, frame_id FROM finding ORDER BY id",
               "ws-length-msb|1\nws-opcode-reserved|2\nws-ping-unanswered|3\nws-bad-utf8|-");
    rig_check();
}
END_TEST

START_TEST(test_shed)
{
    rig_open(1, 1, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/");
    (void)rig_answer(1, 1, OUTCOME_SWITCHED, 101);
    for (int i = 0; i < 2; i++)
        rig_finding(1, 1, NEITHER, RULE_ANALYSIS_LIMIT_HIT)->u.finding.evidence =
            rig_text("frames-shed=40");
    ck_assert_int_eq(rig_send(), 0);
    struct event *event = rig_add(EVENT_COUNTER, 1, 1, NEITHER); /* the same, said otherwise */
    event->u.counter = (struct event_counter){rig_text("frames-shed"), 80};
    (void)rig_flow_close(1, END_RST, CLIENT);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT frames_lost FROM session", "80");
    ASSERT_SQL("SELECT rule, count FROM finding", "analysis-limit-hit|2");
    ASSERT_SQL("SELECT count(*) FROM counter", "0");
}
END_TEST

/* ---------------------------------------------------------------- which flows get a row */

START_TEST(test_flows_switching)
{
    rig_open(0, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1); /* nothing happens: no row */
    (void)rig_flow(2); /* a session */
    (void)rig_flow(3); /* a finding that matters */
    (void)rig_flow(4); /* one that does not */
    for (uint64_t flow = 2; flow <= 4; flow++) {
        struct event *gap = rig_add(EVENT_GAP, flow, 0, CLIENT);
        gap->u.gap.length = flow;
        (void)rig_finding(flow, 0, CLIENT, RULE_CAPTURE_GAP);
        (void)rig_finding(flow, 0, CLIENT, RULE_CAPTURE_GAP);
    }
    ck_assert_int_eq(rig_send(), 0);
    struct event *close = rig_add(EVENT_LAYER_CLOSE, 2, 0, NEITHER);
    close->u.layer_close.protocol = rig_text("http2");
    (void)rig_session(2, 1, "h", "/");
    (void)rig_finding(3, 0, SERVER, RULE_CAPTURE_OVERLAP_CONFLICT);
    for (uint64_t flow = 1; flow <= 4; flow++)
        (void)rig_flow_close(flow, END_FIN, CLIENT);
    ck_assert_int_eq(rig_send(), 0);
    struct store_summary summary = rig_finish();
    ck_assert_uint_eq(summary.flows, 2);
    rig_close();
    ASSERT_SQL("SELECT id, client_port, end, client_bytes FROM flow",
               "1|1002|fin|300\n2|1003|fin|300");
    ASSERT_SQL("SELECT id, flow_id, protocol FROM layer", "1|1|http2\n2|2|http1");
    ASSERT_SQL("SELECT flow_id, rule, count FROM finding ORDER BY id",
               "1|capture-gap|2\n2|capture-gap|2\n2|capture-overlap-conflict|1");
    ASSERT_SQL("SELECT flow_id, sender, length FROM gap", "1|client|2\n2|client|3");
    rig_check();
}
END_TEST

START_TEST(test_pending_bounded)
{
    rig_open(0, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    for (int i = 0; i < 1000; i++)
        rig_add(EVENT_GAP, 1, 0, CLIENT)->u.gap.length = 1;
    for (int i = 0; i < 40; i++)
        (void)rig_finding(1, 0, CLIENT, (enum rule)i);
    (void)rig_flow(2);
    for (uint32_t layer = 2; layer < 400; layer++)
        (void)rig_layer(2, layer, layer - 1, "opaque");
    (void)rig_session(1, 1, "h", "/");
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT count(*) FROM gap", "64");
    ASSERT_SQL("SELECT value FROM counter WHERE name = 'store.gaps-dropped'", "936");
    ASSERT_SQL("SELECT count(*) FROM layer l JOIN flow f ON f.id = l.flow_id WHERE client_port = "
               "1002 AND (parent_id IS NULL) = (relation = 'root')", "399");
    rig_check();
}
END_TEST

START_TEST(test_live_rows)
{
    rig_open(1, 1, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/");
    (void)rig_finding(1, 1, CLIENT, RULE_WS_BAD_UTF8);
    (void)rig_finding(1, 1, CLIENT, RULE_WS_BAD_UTF8);
    ck_assert_int_eq(rig_send(), 0);
    struct sink sink = store_sink(rig_store);
    ck_assert_int_eq(sink.flush(sink.arg), 0);
    /* Another connection sees it while the store is open. */
    ASSERT_SQL("SELECT (SELECT count(*) FROM flow), (SELECT outcome FROM session), (SELECT count "
               "FROM finding), (SELECT verdict FROM session), (SELECT end_ns FROM session)",
               "1|unanswered|2|unanswered so far|-");
    (void)rig_answer(1, 1, OUTCOME_SWITCHED, 101);
    ck_assert_int_eq(rig_send(), 0);
    ck_assert_int_eq(sink.flush(sink.arg), 0);
    ASSERT_SQL("SELECT verdict FROM session", "switched to websocket; still open");
    ASSERT_SQL("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'frame\\_%' ESCAPE '\\'", "2");
    rig_close();
    ck_assert_int_ne(access(rig_path, F_OK), -1);
    rig_check();
}
END_TEST

START_TEST(test_many_sessions)
{
    enum { SESSIONS = 700 };
    rig_open(0, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    for (uint32_t session = 1; session <= SESSIONS; session++) {
        (void)rig_session(1, session, "h", "/");
        (void)rig_answer(1, session, session == 2 ? OUTCOME_SWITCHED : OUTCOME_REFUSED, 400);
        if (session % 100 == 0)
            ck_assert_int_eq(rig_send(), 0);
    }
    (void)rig_finding(1, 3, CLIENT, RULE_WS_BAD_UTF8); /* given up long ago */
    (void)rig_finding(1, 3, CLIENT, RULE_WS_BAD_UTF8);
    (void)rig_finding(1, 2, CLIENT, RULE_WS_BAD_UTF8);
    (void)rig_frame(1, 3, CLIENT, 1, "x");
    (void)rig_flow_close(1, END_RST, SERVER);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT count(*), sum(end_reason = 'rst'), sum(outcome = 'refused') FROM session",
               "700|700|699");
    ASSERT_SQL("SELECT session_id, count FROM finding", "3|2\n2|1");
    ASSERT_SQL("SELECT session_id FROM frame", "3");
    ASSERT_SQL("SELECT verdict LIKE 'switched%reset%' FROM session WHERE id = 2", "1");
    rig_check();
}
END_TEST

START_TEST(test_nonsense)
{
    rig_open(0, 0, 0);
    rig_begin(NULL);
    for (int kind = 0; kind <= EVENT_KIND_COUNT; kind++) {
        struct event *event = rig_add((enum event_kind)kind, 99, 5, CLIENT);
        if (kind == EVENT_FINDING)
            event->u.finding.rule = RULE_COUNT;
        if (kind == EVENT_FLOW_OPEN)
            event->flow = 0;
    }
    (void)rig_flow(1);
    (void)rig_layer(1, UINT32_MAX, 1, "far");
    (void)rig_session(1, 0, "none", "/");
    (void)rig_session(1, 1, "h", "/");
    (void)rig_session(1, 1, "twice", "/");
    struct event *event = rig_answer(1, 1, (enum outcome)77, -5);
    event->u.session_answer.outcome = OUTCOME_IGNORED;
    event->u.session_answer.cause = (enum cause)99;
    event = rig_add(EVENT_SESSION_SWITCH, 1, 1, NEITHER);
    event->u.session_switch.successor = 1234;
    (void)rig_flow_close(1, END_EVICTED, NEITHER);
    (void)rig_flow_close(1, END_FIN, CLIENT);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT host, outcome, cause, status, successor_id, end_reason FROM session",
               "h|ignored|-|-5|-|evicted");
    rig_check();
}
END_TEST

START_TEST(test_secrets)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    struct event *event = rig_session(1, 1, "me:SECRET0@h", "/;jsessionid=SECRET1");
    event->u.session_open.target = rig_text("/c?a=1&access_token=SECRET2&b=2");
    rig_header(1, 1, 0, "cookie", "sid=SECRET3");
    rig_header(1, 1, 0, "Sec-WebSocket-Protocol", "v1, authorization.bearer.SECRET4");
    rig_header(1, 1, 0, "Referer", "https://h/?token=SECRET5");
    rig_header(1, 1, 1, "Set-Cookie", "sid=SECRET3");
    (void)rig_answer(1, 1, OUTCOME_SWITCHED, 101);
    event = rig_add(EVENT_WEBSOCKET_OPEN, 1, 1, NEITHER);
    event->u.websocket_open.subprotocol = rig_text("authorization.bearer.SECRET4");
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT target LIKE '/c?a=1&access_token=redacted:________&b=2', path LIKE "
               "'/;jsessionid=redacted:________', host LIKE 'redacted:________@h' FROM session",
               "1|1|1");
    ASSERT_SQL("SELECT count(*), count(DISTINCT value) FROM header WHERE value LIKE 'redacted:%' "
               "AND length(value) = 17", "2|1");
    ASSERT_SQL("SELECT h.value = 'v1, ' || w.subprotocol FROM header h, websocket w WHERE name = "
               "'sec-websocket-protocol'", "1");
    char command[200];
    (void)snprintf(command, sizeof command, "grep -q SECRET %s", rig_path);
    ck_assert_int_ne(system(command), 0);
    rig_open(1, 0, 1);
    rig_begin(NULL);
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/?token=SECRET9");
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* ---------------------------------------------------------------- between connections */

/* One attempt with a key: a request at `at_ms`, its answer `took_ms` later (-1: none). */
static void attempt(uint64_t flow, uint16_t port, const char *key, int64_t at_ms, int64_t took_ms)
{
    struct event *event = rig_flow(flow);
    event->u.flow_open.server_port = port;
    event = rig_session(flow, 1, "h", "/");
    event->time_ns = at_ms * 1000000;
    rig_header(flow, 1, 0, "Sec-WebSocket-Key", key);
    if (took_ms >= 0)
        rig_answer(flow, 1, OUTCOME_SWITCHED, 101)->time_ns = (at_ms + took_ms) * 1000000;
    event = rig_flow_close(flow, END_FIN, CLIENT);
    event->u.flow_close.first_ns = at_ms * 1000000;
    event->u.flow_close.last_ns = (at_ms + 10000) * 1000000;
}

START_TEST(test_hops)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    attempt(1, 80, "AAAA", 1000, 50);    /* outer */
    attempt(2, 81, "AAAA", 1010, 30);    /* its hop */
    attempt(3, 82, "AAAA", 1015, 10);    /* and the next one */
    attempt(4, 80, "AAAA", 60000, 5);    /* the key again, much later */
    attempt(5, 80, "BBBB", 1000, 50);
    attempt(6, 80, "BBBB", 1010, 10);    /* nested, but from the same client to the same server */
    attempt(7, 80, "CCCC", 1000, -1);
    attempt(8, 81, "CCCC", 1001, -1);    /* nobody answered either */
    attempt(9, 81, "DDDD", 1000, 10);
    ck_assert_int_eq(rig_send(), 0);
    struct store_summary summary = rig_finish();
    ck_assert_uint_eq(summary.findings[1], 2);
    ASSERT_SQL("SELECT id, hop_of FROM session WHERE hop_of IS NOT NULL ORDER BY id",
               "2|1\n3|2\n8|7");
    ASSERT_SQL("SELECT session_id, other_session_id, sender, evidence FROM finding WHERE rule = "
               "'ws-key-reused' ORDER BY session_id",
               "4|1|client|key AAAA, used 59.000 s before in session 1\n"
               "6|5|client|key BBBB, used 0.010 s before in session 5");
    ASSERT_SQL("SELECT outer_id, inner_id, proxy_port, upstream_port, forward_ms FROM hop_pair "
               "WHERE inner_id = 2", "1|2|80|81|10.0");
    /* The same capture again: no new reuse within the same connections, the same pairs. */
    rig_begin(NULL);
    attempt(1, 80, "AAAA", 1000, 50);
    attempt(2, 81, "AAAA", 1010, 30);
    attempt(3, 82, "AAAA", 1015, 10);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    ASSERT_SQL("SELECT id, hop_of FROM session WHERE id > 9 ORDER BY id", "10|-\n11|10\n12|11");
    ASSERT_SQL("SELECT count(*) FROM finding", "2");
    /* One half of a pair in another capture. */
    rig_begin(NULL);
    attempt(1, 90, "DDDD", 999, 15);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT id, hop_of FROM session WHERE id IN (9, 13)", "9|13\n13|-");
    ASSERT_SQL("SELECT count(*) FROM finding", "2");
    rig_check();
}
END_TEST

START_TEST(test_stripped)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    attempt(1, 80, "AAAA", 1000, 50);
    attempt(2, 81, "AAAA", 1010, 30);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_flow(3);
    (void)rig_session(3, 1, "h", "/");
    (void)rig_finding(3, 1, CLIENT, RULE_UPGRADE_STRIPPED_BY_PROXY);
    ck_assert_int_eq(rig_send(), 0);
    rig_exec(rig_path, "SELECT 1");
    struct sink sink = store_sink(rig_store);
    ck_assert_int_eq(sink.flush(sink.arg), 0);
    rig_exec(rig_path, "UPDATE finding SET session_id = 2");
    (void)rig_finish();
    rig_begin(NULL);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT session_id, other_session_id, evidence FROM finding",
               "2|1|seen; removed by 10.0.0.2:80 between session 1 and this one");
}
END_TEST

START_TEST(test_stale_accept)
{
    static const char sample[] = "dGhlIHNhbXBsZSBub25jZQ==";
    rig_open(1, 0, 0);
    rig_begin(NULL);
    attempt(1, 80, sample, 1000, 5);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_begin(NULL); /* the other connection is in another capture of the database */
    for (uint64_t flow = 1; flow <= 2; flow++) {
        (void)rig_flow(flow);
        (void)rig_session(flow, 1, "h", "/");
        rig_header(flow, 1, 0, "Sec-WebSocket-Key", flow == 1 ? "MTIz" : "NDU2");
        (void)rig_answer(flow, 1, OUTCOME_SWITCHED, 101);
        rig_header(flow, 1, 1, "sec-websocket-accept",
                   flow == 1 ? "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" : "nonsense");
        (void)rig_finding(flow, 1, SERVER, RULE_WS_ACCEPT_WRONG);
    }
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_begin(NULL);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT rule, session_id, other_session_id, evidence FROM finding ORDER BY id",
               "ws-accept-stale|2|1|s3pPLMBiTxaQ9kYGzzhZRbK+xOo= is the answer to the key of "
               "session 1\nws-accept-wrong|3|-|seen");
    rig_check();
}
END_TEST

static void visit(uint64_t flow, const char *origin, const char *path, enum outcome outcome)
{
    (void)rig_flow(flow);
    rig_session(flow, 1, "Chat.example", path)->u.session_open.origin = rig_text(origin);
    (void)rig_answer(flow, 1, outcome, outcome == OUTCOME_SWITCHED ? 101 : 403);
    if (outcome == OUTCOME_SWITCHED)
        rig_websocket(flow, 1);
}

START_TEST(test_origins)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    visit(1, "https://one.example", "/a", OUTCOME_SWITCHED);
    visit(2, "https://ONE.example", "/a", OUTCOME_SWITCHED); /* the same */
    visit(3, "https://two.example", "/a", OUTCOME_REFUSED);
    visit(4, "https://two.example", "/b", OUTCOME_SWITCHED); /* elsewhere */
    visit(5, NULL, "/a", OUTCOME_SWITCHED);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    ASSERT_SQL("SELECT count(*) FROM finding", "0");
    rig_begin(NULL);
    visit(1, "https://one.example", "/a", OUTCOME_SWITCHED);
    visit(2, "https://two.example", "/a", OUTCOME_SWITCHED);
    visit(3, "https://three.example", "/a", OUTCOME_SWITCHED);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT rule, session_id, other_session_id, sender, evidence FROM finding",
               "ws-origin-never-checked|7|6|server|https://one.example in session 6 and "
               "https://two.example here were both let in");
    rig_check();
}
END_TEST

static void sizes(uint64_t flow, uint64_t client, uint64_t server)
{
    (void)rig_flow(flow);
    (void)rig_session(flow, 1, "h", "/");
    (void)rig_answer(flow, 1, OUTCOME_SWITCHED, 101);
    rig_websocket(flow, 1);
    struct event *event = rig_add(EVENT_WEBSOCKET_CLOSE, flow, 1, NEITHER);
    event->u.websocket_close.side[CLIENT] =
        (struct event_websocket_side){.message_bytes = client, .messages = 20, .close_code = -1};
    event->u.websocket_close.side[SERVER] =
        (struct event_websocket_side){.message_bytes = server, .close_code = -1};
}

START_TEST(test_exfil)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    sizes(1, 1 << 20, 1 << 14);
    sizes(2, 1 << 20, 1 << 16);      /* not enough of a difference */
    sizes(3, (1 << 20) - 1, 0);      /* not enough */
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT rule, session_id, sender, evidence FROM finding",
               "exfil-ratio|1|client|1048576 bytes from the client, 16384 from the server");
}
END_TEST

static void beacon(uint64_t flow, int64_t period_ms, int64_t jitter_ms)
{
    sizes(flow, 200, 0);
    for (uint64_t i = 0; i < 20; i++) {
        struct event *event = rig_frame(flow, 1, CLIENT, i + 1, "alive");
        event->time_ns = INT64_C(1000000) * ((int64_t)i * period_ms + (i % 2 ? jitter_ms : 0));
    }
    struct event *event = rig_flow_close(flow, END_FIN, CLIENT);
    event->u.flow_close.first_ns = 0;
    event->u.flow_close.last_ns = INT64_C(1000000) * period_ms * 20;
}

START_TEST(test_beacons)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    rig_exec(rig_path, "INSERT OR IGNORE INTO rule VALUES ('beaconing', 'medium', 'X', 's', 's')");
    beacon(1, 30000, 300);
    beacon(2, 30000, 9000); /* no fixed period */
    beacon(3, 3000, 0);     /* not for long */
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT rule, session_id, evidence FROM finding",
               "beaconing|1|20 messages, one every 30.0 s, jitter 1.0 %");
    rig_check();
}
END_TEST

/* ---------------------------------------------------------------- disks and crashes */

/* Each assertion leaves a note for Check in a file. A note that a kill cuts short would make
 * nonsense of it, so whoever will be killed leaves none. */
static void leave_no_notes(int but)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (int fd = 3; fd < 256 && null >= 0; fd++) {
        if (fd != but && fd != null && fcntl(fd, F_GETFD) >= 0)
            (void)dup2(null, fd);
    }
}

START_TEST(test_killed)
{
    rig_open(1, 0, 0);
    rig_begin("first");
    one_session(1);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
    for (int round = 0; round < 4; round++) {
        int live = round & 1;
        int ready[2];
        ck_assert_int_eq(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            leave_no_notes(ready[1]);
            rig_open(1, live, 0);
            rig_begin("second");
            (void)rig_flow(1);
            (void)rig_session(1, 1, "h", "/");
            for (uint64_t i = 1;; i++) {
                (void)rig_frame(1, 1, CLIENT, i, "hello hello hello hello hello hello");
                if (i % 1000 != 0)
                    continue;
                (void)rig_send();
                if (i == 5000 || i == 60000) {
                    struct sink sink = store_sink(rig_store);
                    (void)sink.flush(sink.arg);
                    if (i == 60000 || round < 2)
                        (void)!write(ready[1], "x", 1);
                }
            }
        }
        char byte;
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        (void)usleep(20000);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        (void)close(ready[0]);
        (void)close(ready[1]);
        rig_check();
        ck_assert_int_ge(rig_count("SELECT count(*) FROM frame"), 5001);
        ASSERT_SQL("SELECT count(*) FROM frame WHERE session_id = 1", "1");
        ASSERT_SQL("SELECT count(*) FROM capture WHERE ended_ns IS NULL", "1");
    }
    rig_open(1, 0, 0);
    rig_begin("second");
    (void)rig_finish();
    rig_close();
    ASSERT_SQL("SELECT count(*) FROM frame", "1");
    rig_check();
}
END_TEST

/* What a crash needs: a journal on the disk, and commits on the way. */
START_TEST(test_transactions)
{
    char journal[160];
    (void)snprintf(journal, sizeof journal, "%s-journal", rig_path);
    rig_open(1, 0, 0);
    rig_begin(NULL);
    one_session(1);
    ck_assert_int_eq(rig_send(), 0);
    ck_assert_int_eq(access(journal, F_OK), 0);
    for (uint64_t i = 2; i <= 52000; i++) {
        (void)rig_frame(1, 1, CLIENT, i, NULL);
        if (i % 1000 == 0)
            ck_assert_int_eq(rig_send(), 0);
    }
    ck_assert_int_ge(rig_count("SELECT count(*) FROM frame"), 49000);
    rig_close();
    ck_assert_int_eq(access(journal, F_OK), -1);
}
END_TEST

START_TEST(test_crashed_without_indexes)
{
    rig_open(1, 0, 0);
    rig_begin("x");
    one_session(1);
    ck_assert_int_eq(rig_send(), 0);
    rig_close();
    static const char indexes[] = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND "
                                  "tbl_name = 'frame'";
    ck_assert_int_eq(rig_count(indexes), 0);
    rig_open(1, 0, 0);
    ck_assert_int_eq(rig_count(indexes), 2);
}
END_TEST

START_TEST(test_second_writer)
{
    struct error error = {""};
    struct store_options options = {.all_flows = 1};
    rig_open(1, 0, 0);
    ck_assert_ptr_null(store_open(rig_path, &options, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "locked by another writer"));
    rig_begin(NULL);
    rig_close();
    rig_open(1, 0, 0); /* and the lock is gone with it */
}
END_TEST

START_TEST(test_nothing_begun)
{
    rig_open(1, 0, 0);
    rig_close();
    ck_assert_int_eq(access(rig_path, F_OK), -1);
    char journal[160];
    (void)snprintf(journal, sizeof journal, "%s-journal", rig_path);
    ck_assert_int_eq(access(journal, F_OK), -1);
    FILE *file = fopen(rig_path, "w"); /* an empty file is a new database, but it was there */
    ck_assert_ptr_nonnull(file);
    (void)fclose(file);
    rig_open(1, 0, 0);
    rig_close();
    ck_assert_int_eq(access(rig_path, F_OK), 0);
    rig_check();
}
END_TEST

/* The file's bytes, to see that a refusal did not touch it. */
static char *content(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    char *data = malloc(1 << 20);
    ck_assert_ptr_nonnull(data);
    *size = fread(data, 1, 1 << 20, file);
    (void)fclose(file);
    return data;
}

static void refused(const char *path, const char *word)
{
    struct error error = {""};
    struct store_options options = {.all_flows = 1};
    struct stat before, after;
    size_t size = 0, again = 0;
    ck_assert_int_eq(stat(path, &before), 0);
    char *data = S_ISREG(before.st_mode) ? content(path, &size) : NULL;
    ck_assert_ptr_null(store_open(path, &options, &error));
    ck_assert_msg(strstr(error.text, word) != NULL, "%s", error.text);
    ck_assert_msg(strncmp(error.text, path, strlen(path)) == 0, "%s", error.text);
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    if (data != NULL) {
        char *now = content(path, &again);
        ck_assert_uint_eq(size, again);
        ck_assert_int_eq(memcmp(data, now, size), 0);
        free(now);
    }
    free(data);
}

START_TEST(test_refused)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s.notes", rig_path);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs("my notes", file), 0);
    (void)fclose(file);
    refused(path, "no database");
    (void)snprintf(path, sizeof path, "%s.other", rig_path);
    rig_exec(path, "CREATE TABLE precious (x); INSERT INTO precious VALUES (42)");
    refused(path, "another program");
    rig_exec(path, "PRAGMA application_id = 12345");
    refused(path, "another program");
    rig_exec(path, "PRAGMA application_id = 0; PRAGMA journal_mode = WAL");
    refused(path, "another program");
    (void)snprintf(path, sizeof path, "%s.log", rig_path); /* all of it is still in its log */
    rig_exec(path, "PRAGMA journal_mode = WAL");
    sqlite3 *other = NULL;
    ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "CREATE TABLE precious (x)", NULL, NULL, NULL), SQLITE_OK);
    refused(path, "another program");
    ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
    (void)snprintf(path, sizeof path, "%s.newer", rig_path);
    rig_exec(path, "PRAGMA application_id = 1400329313; PRAGMA user_version = 2; "
                   "CREATE TABLE t (x)");
    refused(path, "newer switchtap");
    rig_exec(path, "PRAGMA user_version = 0");
    refused(path, "no released version");
    *strrchr(path, '/') = '\0';
    refused(path, "folder");
    refused("/dev/null", "no regular file");
    struct error error = {""};
    struct store_options options = {.all_flows = 1};
    ck_assert_ptr_null(store_open("/proc/nowhere.db", &options, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "/proc/nowhere.db: the database cannot be written"));
    ck_assert_ptr_null(store_open("/nowhere/at/all.db", &options, &error));
}
END_TEST

START_TEST(test_odd_names)
{
    static const char *const names[] = {"file:x.db?mode=memory", "a b%41#c.db", ":memory:",
                                        "\xff.db"};
    char *slash = strrchr(rig_path, '/');
    *slash = '\0';
    ck_assert_int_eq(chdir(rig_path), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(rig_path, sizeof rig_path, "%s", names[i]);
        rig_open(1, 0, 0);
        rig_begin(NULL);
        rig_close();
        ck_assert_int_eq(access(names[i], F_OK), 0);
    }
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

/* A database of ours with a hostile schema: triggers do not run, missing tables are told. */
START_TEST(test_hostile)
{
    struct error error = {""};
    struct store_options options = {.all_flows = 1};
    rig_open(1, 0, 0);
    rig_begin(NULL);
    (void)rig_finish();
    rig_close();
    rig_exec(rig_path, "CREATE TRIGGER evil AFTER INSERT ON capture BEGIN DELETE FROM rule; END");
    rig_open(1, 0, 0);
    rig_begin(NULL);
    rig_close();
    ck_assert_int_gt(rig_count("SELECT count(*) FROM rule"), 100);
    rig_exec(rig_path, "DROP TABLE frame");
    ck_assert_ptr_null(store_open(rig_path, &options, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "frame"));
}
END_TEST

START_TEST(test_disk_full)
{
    struct error error = {""};
    rig_open(1, 0, 0);
    rig_begin("kept");
    one_session(1);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_begin("full");
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/");
    ck_assert_int_eq(rig_send(), 0);
    struct stat status;
    ck_assert_int_eq(stat(rig_path, &status), 0);
    char big[8192];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit, unlimited;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    limit = unlimited;
    limit.rlim_cur = (rlim_t)status.st_size + 20000;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int result = 0;
    struct sink sink = store_sink(rig_store);
    for (uint64_t i = 0; i < 50 && result == 0; i++) {
        for (uint64_t k = 0; k < 20; k++)
            (void)rig_frame(1, 1, CLIENT, i * 20 + k + 1, big);
        result = rig_send();
        if (result == 0)
            result = sink.flush(sink.arg);
    }
    ck_assert_int_eq(result, -1);
    ck_assert_ptr_nonnull(strstr(store_error(rig_store), rig_path));
    struct store_summary summary;
    struct capture_info info = {.link_type = 1};
    ck_assert_int_eq(store_finish(rig_store, &info, 0, 0, &summary, &error), -1);
    ck_assert_str_eq(error.text, store_error(rig_store));
    rig_close();
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    ASSERT_SQL("SELECT fingerprint, ended_ns IS NULL FROM capture", "kept|0\nfull|1");
    rig_check();
}
END_TEST

static TCase *tests(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, rig_setup, rig_teardown);
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    return tcase;
}

Suite *store_suite(void)
{
    Suite *suite = suite_create("store");
    TCase *rows = tests(suite, "rows");
    tcase_add_test(rows, test_capture);
    tcase_add_test(rows, test_unfinished);
    tcase_add_test(rows, test_cascade);
    tcase_add_test(rows, test_flow);
    tcase_add_test(rows, test_community_id);
    tcase_add_test(rows, test_session);
    tcase_add_test(rows, test_websocket);
    tcase_add_test(rows, test_frame);
    tcase_add_test(rows, test_lost_request);
    tcase_add_test(rows, test_finding);
    tcase_add_test(rows, test_finding_frames);
    tcase_add_test(rows, test_shed);
    tcase_add_test(rows, test_flows_switching);
    tcase_add_test(rows, test_pending_bounded);
    tcase_add_test(rows, test_retain_in_open_flow);
    tcase_add_test(rows, test_live_rows);
    tcase_add_test(rows, test_many_sessions);
    tcase_add_test(rows, test_nonsense);
    tcase_add_test(rows, test_secrets);
    TCase *cross = tests(suite, "cross");
    tcase_add_test(cross, test_hops);
    tcase_add_test(cross, test_stripped);
    tcase_add_test(cross, test_stale_accept);
    tcase_add_test(cross, test_origins);
    tcase_add_test(cross, test_exfil);
    tcase_add_test(cross, test_beacons);
    TCase *files = tests(suite, "files");
    tcase_add_test(files, test_killed);
    tcase_add_test(files, test_transactions);
    tcase_add_test(files, test_crashed_without_indexes);
    tcase_add_test(files, test_second_writer);
    tcase_add_test(files, test_nothing_begun);
    tcase_add_test(files, test_refused);
    tcase_add_test(files, test_odd_names);
    tcase_add_test(files, test_hostile);
    tcase_add_test(files, test_disk_full);
    return suite;
}
