/*
 * HTTP/1.x: messages, bodies, pipelines, sessions and switches, gaps and midstream starts. Every
 * conversation is fed whole, byte by byte and cut in two at every place.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/registry.h"
#include "http1_talk.h"

Suite *http1_suite(void);

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/* --- probes --- */

static int probe(enum side side, const char *text)
{
    return http1_dissector.probe(side, (const uint8_t *)text, strlen(text));
}

START_TEST(probe_request)
{
    ck_assert_int_gt(probe(CLIENT, GET), 50);
    ck_assert_int_gt(probe(CLIENT, "\r\nGET / HTTP/1.0\n"), 50);
    ck_assert_int_gt(probe(CLIENT, "M-SEARCH * HTTP/1.1\r\n"), 50);
    ck_assert_int_gt(probe(CLIENT, "CONNECT a:443 HTTP/1.1\r\n"), 50);
    ck_assert_int_gt(probe(CLIENT, "CONNECT a:443\r\n"), 0);
    ck_assert_int_eq(probe(CLIENT, ""), 0);
    ck_assert_int_eq(probe(CLIENT, "GE"), 0);
    ck_assert_int_eq(probe(CLIENT, "GET /index HTT"), 0);
    ck_assert_int_lt(probe(CLIENT, "GET / HTTP/2.0\r\n"), 0);
    ck_assert_int_lt(probe(CLIENT, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0);
    ck_assert_int_lt(probe(CLIENT, "GET /\r\n"), 0);
    ck_assert_int_lt(probe(CLIENT, "CONNECT {\"verbose\":false}\r\n"), 0);
    ck_assert_int_lt(probe(CLIENT, "CONNECT irc.example.net 6667\r\n"), 0);
    ck_assert_int_lt(probe(CLIENT, "EHLO mail.example.net\r\n"), 0);
    ck_assert_int_lt(probe(CLIENT, "*1\r\n$4\r\nPING\r\n"), 0);
    ck_assert_int_lt(probe(CLIENT, "SSH-2.0-x\r\n"), 0);
    ck_assert_int_lt(probe(CLIENT, "ABCDEFGHIJKLMNOPQRSTU"), 0);
    ck_assert_int_gt(probe(SERVER, "HTTP/1.1 200 OK\r\n"), 50);
    ck_assert_int_gt(probe(SERVER, "HTTP/1.1 204\r\n"), 50);
    ck_assert_int_eq(probe(SERVER, "HTTP/1.1 20"), 0);
    ck_assert_int_lt(probe(SERVER, "HTTP/1.1 2000"), 0);
    ck_assert_int_lt(probe(SERVER, "220 mail ESMTP\r\n"), 0);
}
END_TEST

START_TEST(probe_never_changes_its_mind)
{
    static const char *const words[] = {GET, "CONNECT a:443\r\n", "CONNECT a:443 HTTP/1.1\r\n",
                                        "CONNECT {\"a\":1}\r\n", "GET / HTTQ/1.1\r\n",
                                        "HTTP/1.1 101 x\r\n", "HTTP/1.1 1a1 x\r\n", "\x16\x03\x01"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (int side = CLIENT; side <= SERVER; side++) {
            int before = 0;
            for (size_t len = 0; len <= strlen(words[i]); len++) {
                int now = http1_dissector.probe((enum side)side, (const uint8_t *)words[i], len);
                ck_assert(!(before < 0 && now >= 0));
                ck_assert(!(before > 0 && now <= 0));
                before = now;
            }
        }
    }
}
END_TEST

START_TEST(probe_long_request_line)
{
    static char line[12000];
    memset(line, 'a', sizeof line - 1);
    memcpy(line, "GET /", 5);
    ck_assert_int_gt(probe(CLIENT, line), 0);
    memcpy(line, "GOT /", 5);
    ck_assert_int_eq(probe(CLIENT, line), 0);
}
END_TEST

/* --- the whole of a session --- */

START_TEST(websocket_session)
{
    const char *t = TALK(C(WS_ASK_WITH("Origin: http://example.com\r\nUser-Agent: x/1\r\n"
                                       "X-Forwarded-For: 10.0.0.1\r\n")),
                         S(WS_GRANT), C(WS_HI), S(WS_HELLO));
    talk_has(t, "layer 1 http1 expected=-\n"
                "open 1 upgrade offered=websocket method=GET target=/chat?room=1 path=/chat "
                "host=example.com origin=http://example.com agent=x/1 for=10.0.0.1 @");
    talk_has(t, "header 1 request 0 Host=example.com\nheader 1 request 1 Upgrade=websocket\n");
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101 Switching Protocols\n"
                "header 1 response 0 Upgrade=websocket\n");
    talk_has(t, "layer 2 websocket expected=websocket\nswitch 1 to 2\n"
                "websocket 1 accept=1 deflate=0 sub=- ext=-\n");
    talk_times(t, "frame 1", 2);
    talk_spares(t, "cswsh-cross-origin-accepted");
}
END_TEST

START_TEST(quiet_session)
{
    const char *t = TALK(C(WS_ASK), S(WS_GRANT), C(WS_HI), S(WS_HELLO),
                         C("\x88\x82\x00\x00\x00\x01\x03\xe9"), S("\x88\x02\x03\xe8"), S_END,
                         C_END);
    talk_quiet(t);
    talk_spares(t, "server-data-with-101");
}
END_TEST

START_TEST(data_with_101)
{
    const char *t = TALK(C(WS_ASK), S(WS_GRANT WS_HELLO));
    talk_finds(t, "server-data-with-101");
    talk_has(t, "frame 1 server");
}
END_TEST

START_TEST(hints_of_deflate)
{
    const char *t = TALK(
        C(WS_ASK_WITH("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                      "Sec-WebSocket-Protocol: mqtt, wamp\r\n")),
        S(WS_GRANT_WITH("Sec-WebSocket-Extensions: permessage-deflate;"
                        "server_no_context_takeover; client_max_window_bits=\"10\"\r\n"
                        "Sec-WebSocket-Protocol: mqtt\r\n")),
        C(WS_HI));
    talk_has(t, "deflate=1 sub=mqtt ext=permessage-deflate;server_no_context_takeover; "
                "client_max_window_bits=\"10\"");
    talk_quiet(t);
}
END_TEST

START_TEST(one_session_inside_frames)
{ /* a whole handshake inside text frames is data */
    const char *t = TALK(C(WS_ASK), S(WS_GRANT),
                         C("\x81\x9a\x00\x00\x00\x00GET / HTTP/1.1\r\nHost: a\r\n"),
                         S("\x82\x1aHTTP/1.1 101 x\r\nHost: a\r\n"));
    talk_times(t, "open ", 1);
}
END_TEST

/* --- answers and causes --- */

static void check_answer(const char *answer, const char *want)
{
    struct talk_turn turns[] = {C(WS_ASK), {SERVER, answer, strlen(answer), 0, 0, 0},
                                C("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), S(OK_EMPTY)};
    const char *t = talk(turns, 4, 0);
    talk_has(t, want);
    talk_times(t, "open ", 1);
}

START_TEST(refusals)
{
    check_answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nabc",
                 "answer 1 refused cause=auth accepted=- 401 Unauthorized\n");
    check_answer("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "refused cause=redirect");
    check_answer("HTTP/1.1 403 \r\nContent-Length: 0\r\n\r\n",
                 "answer 1 refused cause=origin accepted=- 403 \n");
    check_answer("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
                 "answer 1 refused cause=route accepted=- 404 \n");
    check_answer("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", "refused cause=bad-request");
    check_answer("HTTP/1.1 426 Up\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Content-Length: 0\r\n\r\n", "refused cause=version");
    check_answer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "refused cause=upstream");
    check_answer("HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n", "refused cause=timeout");
    check_answer("HTTP/1.1 408 No\r\nContent-Length: 0\r\n\r\n", "refused cause=timeout");
    check_answer("HTTP/1.1 418 No\r\nContent-Length: 0\r\n\r\n", "refused cause=unknown");
    check_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n"
                 "T: 1\r\n\r\n", "answer 1 ignored cause=route accepted=- 200 OK\n");
}
END_TEST

START_TEST(refused_by_a_stripped_header)
{
    const char *t = TALK(C("GET /x HTTP/1.0\r\nHost: up:1\r\nConnection: close\r\n"
                           "Sec-WebSocket-Key: " TALK_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n"),
                         S("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno"), S_END);
    talk_has(t, "open 1 upgrade offered=- method=GET target=/x");
    talk_has(t, "answer 1 refused cause=stripped-header accepted=- 400");
    talk_finds(t, "upgrade-stripped-by-proxy");
    talk_spares(t, "ws-version-missing");
    talk_spares(t, "upgrade-in-http10");
}
END_TEST

START_TEST(unanswered)
{
    const char *t = TALK(C(WS_ASK), S_END);
    talk_has(t, "open 1 upgrade");
    talk_lacks(t, "answer");
    t = TALK(C(WS_ASK));
    talk_has(t, "open 1 upgrade");
    talk_lacks(t, "answer");
}
END_TEST

START_TEST(no_attempts)
{
    const char *t = TALK(
        C("GET / HTTP/1.1\r\nHost: a\r\nUpgrade-Insecure-Requests: 1\r\n\r\n"),
        S("HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\n"
          "Content-Length: 2\r\n\r\nok"),
        C(GET), S(OK_EMPTY));
    talk_lacks(t, "open ");
    talk_lacks(t, "finding ");
    t = TALK(C(GET), S("HTTP/1.1 101 ok\r\nContent-Length: 2\r\n\r\nok"), C(GET), S(OK_EMPTY));
    talk_lacks(t, "open ");
    talk_has(t, "finding 0 101-unsolicited");
    talk_times(t, "finding ", 1);
}
END_TEST

START_TEST(interim_answers)
{
    const char *t = TALK(C(WS_ASK), S("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n"
                                      "Link: </a>\r\n\r\n" WS_GRANT), C(WS_HI));
    talk_has(t, "answer 1 switched");
    talk_finds(t, "1xx-interim-before-101");
    talk_times(t, "answer ", 1);
}
END_TEST

/* --- messages --- */

START_TEST(keep_alive)
{ /* the upgrade comes after all kinds of bodies */
    const char *t = TALK(
        C("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /"),
        S("HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\nHTTP/1.1 101"),
        C("PUT /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\nabc\r\nA ;q=\"x\"\n0123456789\r\n0\r\nX: y\r\n\r\n"),
        S("HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"), C("HEAD /c HTTP/1.1\r\nHost: a\r\n\r\n"),
        S("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), C("\r\n\r\n" GET),
        S("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"), C(WS_ASK), S(WS_GRANT),
        C(WS_HI));
    talk_times(t, "open ", 1);
    talk_has(t, "answer 1 switched");
    talk_has(t, "layer 2 websocket");
    talk_quiet(t);
}
END_TEST

START_TEST(pipeline)
{
    const char *t = TALK(C(GET GET "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" WS_ASK),
                         S(OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
                           "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" WS_GRANT WS_HELLO));
    talk_has(t, "answer 1 switched");
    talk_has(t, "frame 1 server");
}
END_TEST

static void append(char *to, size_t *len, const char *text)
{
    memcpy(to + *len, text, strlen(text));
    *len += strlen(text);
}

START_TEST(pipeline_longer_than_the_queue)
{
    static char requests[200 * sizeof GET], answers[200 * sizeof OK_EMPTY];
    size_t asked = 0, answered = 0;
    for (int i = 0; i < 199; i++) {
        append(requests, &asked, GET);
        append(answers, &answered, OK_EMPTY);
    }
    append(requests, &asked, WS_ASK);
    append(answers, &answered, WS_GRANT);
    struct talk_turn turns[] = {{CLIENT, requests, asked, 0, 0, 0},
                                {SERVER, answers, answered, 0, 0, 0}, C(WS_HI)};
    const char *t = talk(turns, 3, 0);
    talk_has(t, "answer 1 switched");
    talk_has(t, "frame 1 client");
    talk_spares(t, "server-data-before-101");
}
END_TEST

START_TEST(two_answers_behind_a_refusal)
{ /* the second one belongs to a request that had to wait */
    const char *t = TALK(C(WS_ASK WS_ASK), S("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
                                             WS_GRANT), C(WS_HI));
    talk_has(t, "answer 1 refused");
    talk_has(t, "answer 2 switched");
    talk_has(t, "frame 2 client");
}
END_TEST

START_TEST(bare_lf)
{
    const char *t = TALK(C("GET /x HTTP/1.1\nHost: a\nUpgrade: websocket\nConnection: Upgrade\n"
                           "Sec-WebSocket-Key: " TALK_KEY "\nSec-WebSocket-Version: 13\n\n"),
                         S("HTTP/1.1 101 \nUpgrade: websocket\nConnection: Upgrade\n"
                           "Sec-WebSocket-Accept: " TALK_ACCEPT "\n\n"), C(WS_HI));
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101 \n");
    talk_finds(t, "ambiguous-request-framing");
    talk_finds(t, "101-not-terminated");
}
END_TEST

START_TEST(folded_lines)
{
    const char *t = TALK(C("GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: foo/2,\r\n websocket\r\n"
                           "Connection:\r\n\tUpgrade\r\nSec-WebSocket-Key: " TALK_KEY
                           "\r\nSec-WebSocket-Version: 13\r\n\r\n"), S(WS_GRANT), C(WS_HI));
    talk_has(t, "offered=foo/2,   websocket method");
    talk_has(t, "answer 1 switched");
    talk_finds(t, "ambiguous-request-framing");
    talk_spares(t, "upgrade-without-connection-option");
    talk_spares(t, "101-protocol-not-offered");
}
END_TEST

START_TEST(garbage)
{
    const char *t = TALK(C("\x01\x02\x03\x04 hello there\r\n"), S("what\r\n"));
    talk_has(t, "layer 1 opaque");
    t = TALK(C("GET / HTTP/1.1\r\n\x00\x01:\x02\r\nnothing\r\n:\r\n \r\n\r\n"),
             S("HTTP/1.1 200 OK\r\n\x00\r\nContent-Length: x\r\n\r\n"));
    talk_lacks(t, "open ");
}
END_TEST

START_TEST(a_million_lines)
{ /* and a field that matters behind them */
    static char ask[800000];
    size_t len = 0;
    append(ask, &len, WS_ASK_LINE WS_ASK_FIELDS);
    while (len < sizeof ask - 100)
        append(ask, &len, "a: b\r\n");
    append(ask, &len, "Content-Length: 3\r\n\r\nabc");
    struct talk_turn turns[] = {{CLIENT, ask, len, 0, 0, 0}, S(WS_GRANT), C(WS_HI)};
    const char *t = talk(turns, 3, TALK_WHOLE_ONLY);
    talk_has(t, "answer 1 switched");
    talk_has(t, "frame 1 client");
    talk_has(t, "header 1 request 255 ");
    talk_lacks(t, "header 1 request 257 ");
    talk_finds(t, "analysis-limit-hit");
    talk_quiet(t);
}
END_TEST

START_TEST(a_handshake_behind_much_else)
{
    static char ask[90000];
    size_t len = 0;
    append(ask, &len, WS_ASK_LINE);
    while (len < 80000)
        append(ask, &len, "Cookie: 0123456789012345678901234567890123456789\r\n");
    append(ask, &len, WS_ASK_FIELDS "\r\n");
    struct talk_turn turns[] = {{CLIENT, ask, len, 0, 0, 0}, S(WS_GRANT), C(WS_HI)};
    const char *t = talk(turns, 3, 0);
    talk_has(t, "open 1 upgrade offered=websocket");
    talk_has(t, "websocket 1 accept=1");
    talk_spares(t, "ws-key-missing");
}
END_TEST

START_TEST(a_long_line)
{
    static char ask[200000];
    size_t len = 0;
    append(ask, &len, "GET / HTTP/1.1\r\nX: ");
    memset(ask + len, 'x', 150000);
    len += 150000;
    append(ask, &len, "\r\n y\r\n" WS_ASK_FIELDS "\r\n");
    struct talk_turn turns[] = {{CLIENT, ask, len, 0, 0, 0}, S(WS_GRANT), C(WS_HI)};
    const char *t = talk(turns, 3, 0);
    talk_finds(t, "analysis-limit-hit");
    talk_has(t, "websocket 1 accept=1");
}
END_TEST

START_TEST(body_with_an_upgrade)
{ /* exec of Docker: the body is the request's, what follows is the stream's */
    const char *t = TALK(C("POST /exec/1/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
                           "Upgrade: tcp\r\nContent-Length: 14\r\n\r\n{\"Detach\":0}\r\n"),
                         S("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                           "Content-Type: application/vnd.docker.raw-stream\r\n\r\n"),
                         C("ls\r"), S("bin etc"));
    talk_has(t, "open 1 upgrade offered=tcp method=POST target=/exec/1/start");
    talk_has(t, "answer 1 switched cause=none accepted=tcp 101 UPGRADED");
    talk_has(t, "switch 1 to 2");
    talk_quiet(t);
}
END_TEST

START_TEST(granted_before_the_body)
{
    const char *t = TALK(C("POST /x HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
                           "Upgrade: foo\r\nContent-Length: 10\r\n\r\n01234"),
                         S("HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nraw"),
                         C("56789"), C("raw"));
    talk_finds(t, "101-before-request-complete");
    talk_has(t, "switch 1 to 2");
}
END_TEST

START_TEST(expect_without_100)
{ /* the client never sent its body: what follows is the new protocol */
    const char *t = TALK(C("POST /x HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
                           "Expect: 100-continue\r\nUpgrade: foo\r\nContent-Length: 10\r\n\r\n"),
                         S("HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nraw"),
                         C("\x01\x02"));
    talk_finds(t, "101-before-100");
    talk_spares(t, "101-before-request-complete");
    talk_has(t, "switch 1 to 2");
    t = TALK(C("POST /x HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
               "Expect: 100-continue\r\nUpgrade: foo\r\nContent-Length: 10\r\n\r\n"),
             S("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"), C(WS_ASK), S(WS_GRANT));
    talk_has(t, "answer 2 switched");
}
END_TEST

START_TEST(docker_behind_a_200)
{
    const char *t = TALK(C("POST /containers/c1/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n"),
                         S("HTTP/1.1 200 OK\r\n"
                           "Content-Type: application/vnd.docker.multiplexed-stream\r\n\r\n"
                           "\x01\x00\x00\x00\x00\x00\x00\x01x"), C("in"));
    talk_has(t, "open 1 docker offered=- method=POST target=/containers/c1/attach?stream=1");
    talk_has(t, "answer 1 switched cause=none "
                "accepted=application/vnd.docker.multiplexed-stream 200 OK");
    talk_has(t, "layer 2 docker");
    talk_finds(t, "switch-without-101");
    t = TALK(C("POST /exec/1/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
               "Upgrade: tcp\r\nContent-Length: 2\r\n\r\n{}"),
             S("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n$ "));
    talk_has(t, "open 1 docker offered=tcp");
    talk_has(t, "answer 1 switched");
    talk_spares(t, "upgrade-ignored");
}
END_TEST

START_TEST(docker_that_is_plain)
{
    const char *t = TALK(C("POST /exec/1/start HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}"),
                         S("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), C(WS_ASK),
                         S(WS_GRANT));
    talk_times(t, "open ", 1);
    talk_has(t, "answer 1 switched");
}
END_TEST

/* --- CONNECT --- */

START_TEST(connect_and_tls)
{
    const char *t = TALK(C("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"),
                         S("HTTP/1.0 200 Connection established\r\n\r\n"), C(TLS_HELLO));
    talk_has(t, "open 1 connect offered=- method=CONNECT target=example.com:443 path=- "
                "host=example.com:443");
    talk_has(t, "answer 1 switched cause=none accepted=example.com:443 200");
    talk_has(t, "layer 2 tls expected=-\nswitch 1 to 2\n");
    talk_lacks(t, "finding ");
}
END_TEST

START_TEST(connect_after_407)
{
    const char *t = TALK(C("CONNECT example.com:443 HTTP/1.1\r\n\r\n"),
                         S("HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno"),
                         C("CONNECT example.com:443 HTTP/1.1\r\n"
                           "Proxy-Authorization: Basic eHg=\r\n\r\n"),
                         S("HTTP/1.1 200 OK\r\n\r\n"), C(TLS_HELLO));
    talk_has(t, "answer 1 refused cause=auth accepted=- 407 Auth");
    talk_has(t, "answer 2 switched");
    talk_has(t, "layer 2 tls");
    talk_lacks(t, "finding ");
}
END_TEST

START_TEST(connect_with_a_broken_line)
{
    const char *t = TALK(C("CONNECT example.com:443\r\nHost: x\r\n\r\n"),
                         S("HTTP/1.1 200 OK\r\n\r\n"), C(TLS_HELLO));
    talk_has(t, "method=CONNECT target=example.com:443");
    talk_has(t, "layer 2 tls");
}
END_TEST

START_TEST(connect_with_a_stray_lf)
{
    const char *t = TALK(C("CONNECT example.com:443 HTTP/1.1\r\n\r\n\n"),
                         S("HTTP/1.1 200 OK\r\n\r\n"), C(TLS_HELLO));
    talk_has(t, "layer 2 tls");
    talk_spares(t, "optimistic-connect");
}
END_TEST

START_TEST(chain)
{ /* HTTP in a tunnel, WebSocket in that */
    const char *t = TALK(C("CONNECT a:80 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\n\r\n"),
                         C(WS_ASK), S(WS_GRANT), C(WS_HI));
    talk_has(t, "layer 2 http1");
    talk_has(t, "open 2 upgrade");
    talk_has(t, "layer 3 websocket");
    talk_has(t, "frame 2 client");
}
END_TEST

START_TEST(other_tokens)
{
    const char *t = TALK(
        C("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
          "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"),
        S("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        C("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    talk_has(t, "layer 2 http2 expected=http2");
    talk_finds(t, "h2c-deprecated");
    talk_quiet(t);
    t = TALK(C("POST /reverse HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n"),
             S("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n"
               "POST /event HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
             C(OK_EMPTY));
    talk_has(t, "layer 2 http1");
    talk_quiet(t);
    t = TALK(C("GET /derp HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n"
               "Derp-Fast-Start: 1\r\n\r\n"), S("DERP\xf0\x9f\x94\x91" "abc"), C("xyz"));
    talk_has(t, "answer 1 switched cause=none accepted=DERP 0 -");
    talk_finds(t, "switch-without-101");
    talk_has(t, "layer 2 derp");
    t = TALK(C(WS_ASK), S("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket, foo/2\r\n"
                          "Sec-WebSocket-Accept: " TALK_ACCEPT "\r\n\r\n"), C(WS_HI));
    talk_has(t, "layer 2 websocket");
    talk_has(t, "accepted=websocket 101");
}
END_TEST

/* --- 101 that nobody asked for --- */

START_TEST(unsolicited_switch)
{
    const char *t = TALK(C("GET /u?x HTTP/1.1\r\nHost: h\r\n\r\n"), S(WS_GRANT), C(WS_HI),
                         S(WS_HELLO));
    talk_has(t, "open 1 upgrade offered=- method=GET target=/u?x path=/u host=h");
    talk_has(t, " unsolicited @");
    talk_has(t, "finding 1 101-unsolicited");
    talk_has(t, "answer 1 unsolicited cause=none accepted=websocket 101");
    talk_has(t, "layer 2 websocket");
    talk_times(t, "101-unsolicited", 1);
}
END_TEST

START_TEST(unsolicited_and_nothing_switches)
{
    const char *t = TALK(C(GET), S(WS_GRANT), C(WS_ASK), S(WS_GRANT), C(WS_HI));
    talk_has(t, "finding 0 101-unsolicited");
    talk_has(t, "open 1 upgrade offered=websocket");
    talk_has(t, "answer 1 switched");
    t = TALK(C(GET), S(WS_GRANT));
    talk_has(t, "finding 0 101-unsolicited");
    talk_lacks(t, "open ");
}
END_TEST

/* --- losses --- */

START_TEST(midstream_answer)
{
    const char *t = TALK_MID(S(WS_GRANT), C(WS_HI));
    talk_has(t, " lost @");
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101");
    talk_has(t, "websocket 1 accept=-1");
    talk_spares(t, "101-unsolicited");
    t = TALK_MID(S("HTTP/1.1 200 Connection established\r\n\r\n"), C(TLS_HELLO));
    talk_has(t, "open 1 connect");
    talk_has(t, "layer 2 tls");
}
END_TEST

START_TEST(lost_request)
{
    const char *t = TALK_WHOLE(C_GAP(300), S(WS_GRANT), C(WS_HI));
    talk_has(t, " lost @");
    talk_has(t, "answer 1 switched");
    talk_spares(t, "101-unsolicited");
    talk_spares(t, "server-data-before-101");
    t = TALK(C("GET /a HTTP/1.1\r\nHo"), C_GAP(100), S(WS_GRANT), C(WS_HI));
    talk_has(t, " lost @");
    talk_has(t, "answer 1 switched");
}
END_TEST

START_TEST(lost_answer_that_switched)
{
    const char *t = TALK(C(WS_ASK), S_GAP(129), C(WS_HI), S(WS_HELLO));
    talk_has(t, "answer 1 switched cause=none accepted=- 0 -");
    talk_has(t, "layer 2 websocket");
    talk_spares(t, "switch-unresolved");
    t = TALK(C("CONNECT a:443 HTTP/1.1\r\n\r\n"), S_GAP(40), C(TLS_HELLO));
    talk_has(t, "answer 1 switched");
    talk_has(t, "layer 2 tls");
    t = TALK(C("CONNECT a:80 HTTP/1.1\r\n\r\n"), S_GAP(40), C(GET), S(OK_EMPTY));
    talk_has(t, "answer 1 switched");
    talk_has(t, "layer 2 http1");
}
END_TEST

START_TEST(lost_answer_that_is_not_known)
{
    const char *t = TALK(C(WS_ASK), S_GAP(129), C(GET), S(OK_EMPTY), C(WS_ASK), S(WS_GRANT),
                         C(WS_HI));
    talk_has(t, "finding 1 switch-unresolved");
    talk_lacks(t, "answer 1");
    talk_has(t, "answer 2 switched");
    t = TALK(C(WS_ASK), S_GAP(129));
    talk_has(t, "finding 1 switch-unresolved");
    talk_times(t, "finding ", 1);
}
END_TEST

START_TEST(lost_before_the_answer)
{ /* what is missing is an older body */
    const char *t = TALK(C(GET WS_ASK), S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                          "40\r\nabc"),
                         S_GAP(50), S("rest of it\r\n0\r\n\r\n" WS_GRANT), C(WS_HI));
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101");
    talk_has(t, "websocket 1 accept=1");
    talk_quiet(t);
}
END_TEST

START_TEST(gaps_in_bodies)
{
    const char *t = TALK(C("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"),
                         C_GAP(97), S("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n1"),
                         S_GAP(20), S("HTTP/1.1 200 it is not\r\n1234\n"), C(WS_ASK), S(WS_GRANT),
                         C(WS_HI));
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101");
    talk_has(t, "accept=1");
    t = TALK(C(GET), S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nabc"),
             S_GAP(61), S("\r\n0\r\n\r\n"), C(WS_ASK), S(WS_GRANT), C(WS_HI));
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101");
    t = TALK(C(GET), S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nabc"),
             S_GAP(90), S("0\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
             C(WS_ASK), S(WS_GRANT), C(WS_HI));
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101");
}
END_TEST

START_TEST(resynchronise)
{
    const char *t = TALK(C("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "5\r\nab"),
                         C_GAP(40), C("{\"no\":\"end of line\"}" WS_ASK), S(WS_GRANT), C(WS_HI));
    talk_has(t, "open 1 upgrade offered=websocket");
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101");
}
END_TEST

START_TEST(attempt_behind_a_gap)
{
    const char *t = TALK(C(GET), S(OK_EMPTY), C_GAP(80), C(WS_ASK), S(WS_GRANT), C(WS_HI));
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101");
    talk_has(t, "accept=1");
    /* An answer that was on its way before the attempt was there is not the attempt's. */
    t = TALK(C(GET), S(OK_EMPTY), C_GAP(80), C(WS_ASK), S_BLIND(OK_EMPTY), S(WS_GRANT), C(WS_HI));
    talk_has(t, "answer 1 switched cause=none accepted=websocket 101");
    talk_spares(t, "upgrade-ignored");
    /* One that may be either's is taken for the newer, and nobody is accused. */
    t = TALK(C(GET), S(OK_EMPTY), C_GAP(80), C(WS_ASK),
             S("HTTP/1.1 101 x\r\nUpgrade: foo/2\r\nConnection: Upgrade\r\n\r\n"), C("x"));
    talk_has(t, "answer 1 switched cause=none accepted=foo/2");
    talk_quiet(t);
}
END_TEST

Suite *http1_suite(void)
{
    Suite *suite = suite_create("http1");
    TCase *tc = tcase_create("http1");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, probe_request);
    tcase_add_test(tc, probe_never_changes_its_mind);
    tcase_add_test(tc, probe_long_request_line);
    tcase_add_test(tc, websocket_session);
    tcase_add_test(tc, quiet_session);
    tcase_add_test(tc, data_with_101);
    tcase_add_test(tc, hints_of_deflate);
    tcase_add_test(tc, one_session_inside_frames);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, refused_by_a_stripped_header);
    tcase_add_test(tc, unanswered);
    tcase_add_test(tc, no_attempts);
    tcase_add_test(tc, interim_answers);
    tcase_add_test(tc, keep_alive);
    tcase_add_test(tc, pipeline);
    tcase_add_test(tc, pipeline_longer_than_the_queue);
    tcase_add_test(tc, two_answers_behind_a_refusal);
    tcase_add_test(tc, bare_lf);
    tcase_add_test(tc, folded_lines);
    tcase_add_test(tc, garbage);
    tcase_add_test(tc, a_million_lines);
    tcase_add_test(tc, a_handshake_behind_much_else);
    tcase_add_test(tc, a_long_line);
    tcase_add_test(tc, body_with_an_upgrade);
    tcase_add_test(tc, granted_before_the_body);
    tcase_add_test(tc, expect_without_100);
    tcase_add_test(tc, docker_behind_a_200);
    tcase_add_test(tc, docker_that_is_plain);
    tcase_add_test(tc, connect_and_tls);
    tcase_add_test(tc, connect_after_407);
    tcase_add_test(tc, connect_with_a_broken_line);
    tcase_add_test(tc, connect_with_a_stray_lf);
    tcase_add_test(tc, chain);
    tcase_add_test(tc, other_tokens);
    tcase_add_test(tc, unsolicited_switch);
    tcase_add_test(tc, unsolicited_and_nothing_switches);
    tcase_add_test(tc, midstream_answer);
    tcase_add_test(tc, lost_request);
    tcase_add_test(tc, lost_answer_that_switched);
    tcase_add_test(tc, lost_answer_that_is_not_known);
    tcase_add_test(tc, lost_before_the_answer);
    tcase_add_test(tc, gaps_in_bodies);
    tcase_add_test(tc, resynchronise);
    tcase_add_test(tc, attempt_behind_a_gap);
    suite_add_tcase(suite, tc);
    return suite;
}
