/*
 * The rules about requests that ask for another protocol, their answers, and the moment of the
 * switch: each with a conversation that shows it and a close neighbour that does not.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "http1_talk.h"

Suite *upgrade_suite(void);

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define ASK(token, fields) \
    "GET /p HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: " token "\r\n" fields "\r\n"
#define GRANT(token, fields) \
    "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: " token "\r\n" fields "\r\n"

static const char *ask(const char *request)
{
    struct talk_turn turn = {CLIENT, request, strlen(request), 0, 0, 0};
    return talk(&turn, 1, 0);
}

static const char *exchange(const char *request, const char *answer)
{
    struct talk_turn turns[] = {{CLIENT, request, strlen(request), 0, 0, 0},
                                {SERVER, answer, strlen(answer), 0, 0, 0}};
    return talk(turns, 2, 0);
}

/* --- A: the request --- */

START_TEST(connection_option)
{
    talk_finds(ask("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: close\r\n\r\n"),
               "upgrade-without-connection-option");
    talk_spares(ask(ASK("TLS/1.2", "")), "upgrade-without-connection-option");
    talk_spares(ask("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.2\r\nConnection: close\r\n"
                    "Connection: x, UPGRADE\r\n\r\n"), "upgrade-without-connection-option");
    const char *t = exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n");
    talk_has(t, "finding 0 upgrade-without-connection-option");
}
END_TEST

START_TEST(token_list)
{
    talk_finds(ask(ASK("foo bar", "")), "upgrade-syntax");
    talk_finds(ask(ASK("foo/", "")), "upgrade-syntax");
    talk_finds(ask(ASK("", "")), "upgrade-syntax");
    talk_spares(ask(ASK("foo/1.0, TLS/1.3", "")), "upgrade-syntax");
    talk_finds(ask(ASK("foo,, bar", "")), "upgrade-empty-list-member");
    talk_spares(ask(ASK("foo, bar", "")), "upgrade-empty-list-member");
    talk_finds(ask(ASK("TLS/1.3, tls/1.3", "")), "upgrade-duplicate-member");
    talk_spares(ask(ASK("TLS/1.3, TLS/1.2", "")), "upgrade-duplicate-member");
    talk_has(ask(ASK("tailscale-control-protocol", "")),
             "tailscale-control-protocol, used by Tailscale");
    talk_spares(ask(ASK("TLS/1.3, connect-ip, WebSocket", "")), "upgrade-token-unregistered");
    talk_finds(ask(ASK("h2c", "")), "h2c-deprecated");
    talk_finds(ask(ASK("SPDY/3.1", "")), "upgrade-token-obsolete");
    talk_finds(ask(ASK("HTTP/2.0", "")), "upgrade-token-obsolete");
    talk_spares(ask(ASK("TLS/1.3", "")), "upgrade-token-obsolete");
}
END_TEST

START_TEST(version_and_method)
{
    talk_finds(ask("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n"),
               "upgrade-in-http10");
    talk_finds(ask("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n"
                   "Content-Length: 1\r\n\r\nx"), "upgrade-method-not-get");
    talk_spares(ask("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                    "Content-Length: 1\r\n\r\nx"), "upgrade-method-not-get");
    talk_finds(ask(WS_ASK_WITH("Content-Length: 1\r\n")), "upgrade-with-body");
    talk_finds(ask(WS_ASK_WITH("Transfer-Encoding: chunked\r\n")), "upgrade-with-body");
    talk_spares(ask(WS_ASK_WITH("Content-Length: 0\r\n")), "upgrade-with-body");
}
END_TEST

START_TEST(hop_by_hop)
{
    talk_has(ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                 "Upgrade: h2c\r\n\r\n"), "Connection names HTTP2-Settings");
    talk_spares(ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, x-y, Keep-Alive\r\n"
                    "X-Y: 1\r\nUpgrade: foo\r\n\r\n"), "connection-header-names-missing-field");
    talk_has(ask(ASK("h2c", "Via: 1.1 p\r\n")), "h2c behind Via: a hop-by-hop field");
    talk_finds(ask(WS_ASK_WITH("X-Real-IP: 10.0.0.1\r\n")), "upgrade-forwarded-by-proxy");
    talk_spares(ask(WS_ASK), "upgrade-forwarded-by-proxy");
}
END_TEST

START_TEST(stripped)
{
    const char *t = exchange("GET /x HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\n"
                             "Connection: Upgrade\r\nUpgrade: foo\r\n\r\n", OK_EMPTY);
    talk_finds(t, "upgrade-stripped-by-proxy");
    talk_spares(t, "ws-key-missing");
    talk_has(t, "ignored cause=stripped-header");
    talk_spares(ask(WS_ASK), "upgrade-stripped-by-proxy");
}
END_TEST

START_TEST(framing)
{
    static const char *const wrong[] = {
        WS_ASK_WITH("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        WS_ASK_WITH("Content-Length: 0\r\nContent-Length: 0\r\n"),
        WS_ASK_WITH("Content-Length: 1, 2\r\n"), WS_ASK_WITH("X: a\r\n b\r\n"),
        WS_ASK_WITH("X: a\n"), WS_ASK_WITH("X : a\r\n")};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        talk_times(ask(wrong[i]), "ambiguous-request-framing", 1);
    talk_spares(ask(WS_ASK_WITH("Content-Length: 0\r\nX: a\r\n")), "ambiguous-request-framing");
}
END_TEST

/* --- B: the answer --- */

START_TEST(fields_of_101)
{
    const char *t = exchange(ASK("foo", ""), "HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n");
    talk_finds(t, "101-without-upgrade");
    talk_spares(t, "101-without-connection-option");
    talk_has(t, "answer 1 switched cause=none accepted=- 101");
    t = exchange(ASK("foo", ""), "HTTP/1.1 101 x\r\nUpgrade: foo\r\n\r\n");
    talk_finds(t, "101-without-connection-option");
    talk_spares(t, "101-without-upgrade");
    t = exchange(ASK("foo", ""), GRANT("foo", "Content-Length: 0\r\n"));
    talk_finds(t, "101-with-content-length");
    talk_has(t, "answer 1 switched");
    talk_finds(exchange(ASK("foo", ""), GRANT("foo", "Transfer-Encoding: chunked\r\n")),
               "101-with-transfer-encoding");
    talk_quiet(exchange(ASK("foo", ""), GRANT("FOO", "")));
}
END_TEST

START_TEST(protocol_of_101)
{
    talk_finds(exchange(ASK("foo/1", ""), GRANT("foo/2", "")), "101-protocol-not-offered");
    talk_spares(exchange(ASK("bar, foo/2", ""), GRANT("Foo/2", "")), "101-protocol-not-offered");
    const char *t = exchange(WS_ASK, WS_GRANT_LINE "Upgrade: websocket, foo/2\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Accept: " TALK_ACCEPT
                             "\r\n\r\n");
    talk_finds(t, "101-protocol-not-offered");
    talk_spares(t, "ws-upgrade-value");
    t = exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, foo/2\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " TALK_KEY "\r\n\r\n",
                 WS_GRANT_LINE "Upgrade: websocket, foo/2\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: " TALK_ACCEPT "\r\n\r\n");
    talk_finds(t, "ws-upgrade-value");
    talk_spares(t, "101-protocol-not-offered");
    talk_finds(exchange(ASK("TLS/1.2", ""), GRANT("HTTP/1.1, TLS/1.2", "")), "101-layer-order");
    t = exchange(ASK("TLS/1.2", ""), GRANT("TLS/1.2, HTTP/1.1", ""));
    talk_quiet(t);
    talk_spares(t, "101-layer-order");
    talk_has(t, "accepted=TLS/1.2 101");
}
END_TEST

START_TEST(moment_of_101)
{
    talk_finds(exchange("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
                        GRANT("foo", "")), "101-to-http10");
    const char *t = exchange(WS_ASK, WS_GRANT_LINE WS_GRANT_FIELDS WS_HELLO);
    talk_finds(t, "101-not-terminated");
    talk_has(t, "frame 1 server");
    t = TALK(C(WS_ASK), S(WS_GRANT_LINE WS_GRANT_FIELDS), S_END);
    talk_finds(t, "101-not-terminated");
    talk_lacks(t, "answer ");
    t = TALK(C(WS_ASK), S(WS_GRANT_LINE WS_GRANT_FIELDS));
    talk_spares(t, "101-not-terminated"); /* the rest may not have been captured */
    talk_spares(TALK(C(WS_ASK), S(WS_GRANT)), "101-not-terminated");
}
END_TEST

START_TEST(refusals)
{
    talk_finds(exchange(WS_ASK, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
               "upgrade-refused");
    talk_finds(exchange(WS_ASK, OK_EMPTY), "upgrade-ignored");
    talk_has(exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                      "HTTP/1.1 426 Up\r\nContent-Length: 0\r\n\r\n"),
             "finding 0 426-without-upgrade");
    const char *t = exchange(WS_ASK, "HTTP/1.1 426 Up\r\nUpgrade: WebSocket\r\n"
                                     "Connection: Upgrade\r\nContent-Length: 0\r\n\r\n");
    talk_finds(t, "426-though-client-offered-it");
    talk_spares(t, "426-without-websocket-version");
    t = exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: " TALK_KEY "\r\n\r\n",
                 "HTTP/1.1 426 Up\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Content-Length: 0\r\n\r\n");
    talk_finds(t, "426-without-websocket-version");
    talk_spares(t, "426-though-client-offered-it");
    t = exchange(ASK("foo", ""), "HTTP/1.1 426 Up\r\nUpgrade: TLS/1.3\r\nConnection: Upgrade\r\n"
                                 "Content-Length: 0\r\n\r\n");
    talk_spares(t, "426-though-client-offered-it");
}
END_TEST

/* --- C: timing --- */

START_TEST(early_data)
{
    const char *t = TALK(C(WS_ASK), C(WS_HI), S(WS_GRANT));
    talk_finds(t, "optimistic-data-before-101");
    talk_spares(TALK(C(WS_ASK), S(WS_GRANT), C(WS_HI)), "optimistic-data-before-101");
    t = TALK(C(WS_ASK), S(WS_GRANT), C_BLIND(WS_HI)); /* after it, but not having seen it */
    talk_finds(t, "optimistic-data-before-101");
    t = TALK(C(ASK("connect-udp", "")), C("\x00\x01x"), S(GRANT("connect-udp", "")));
    talk_finds(t, "connect-udp-optimistic-http1");
    talk_spares(t, "optimistic-data-before-101");
    t = TALK(C(ASK("connect-ip", "")), C("\x00\x01x"), S(GRANT("connect-ip", "")));
    talk_finds(t, "connect-ip-optimistic");
    t = TALK(C("CONNECT a:443 HTTP/1.1\r\n\r\n" TLS_HELLO), S("HTTP/1.1 200 OK\r\n\r\n"));
    talk_finds(t, "optimistic-connect");
    talk_spares(t, "optimistic-data-before-101");
}
END_TEST

#define SECOND "GET /second HTTP/1.1\r\nHost: example.com\r\n\r\n"

START_TEST(early_request)
{
    const char *t = TALK(C(WS_ASK), C(SECOND), S("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"
                                                 OK_EMPTY));
    talk_finds(t, "optimistic-data-and-refused");
    talk_spares(t, "optimistic-data-before-101");
    talk_spares(t, "pipelined-after-upgrade");
    t = TALK(C(WS_ASK), S("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"), C(SECOND),
             S(OK_EMPTY));
    talk_quiet(t);
    t = TALK(C(WS_ASK), C(SECOND), S(OK_EMPTY OK_EMPTY));
    talk_finds(t, "pipelined-after-upgrade");
    t = TALK(C(WS_ASK), C(SECOND), S(WS_GRANT));
    talk_finds(t, "pipelined-after-upgrade");
    talk_spares(t, "optimistic-data-before-101");
    t = TALK(C(WS_ASK), C(WS_HI), S("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"));
    talk_finds(t, "optimistic-data-before-101");
    talk_spares(t, "ws-smuggling-non101-then-traffic");
}
END_TEST

START_TEST(refused_tunnel)
{
    const char *t = TALK(C("CONNECT a:80 HTTP/1.1\r\n\r\n"), C(SECOND),
                         S("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), S(OK_EMPTY));
    talk_finds(t, "optimistic-connect");
    talk_finds(t, "proxy-keeps-connection-after-connect-refusal");
    talk_has(t, "refused cause=route");
    t = TALK(C("CONNECT a:443 HTTP/1.1\r\n\r\n"), C(TLS_HELLO),
             S("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"));
    talk_finds(t, "optimistic-connect");
    talk_spares(t, "proxy-keeps-connection-after-connect-refusal");
}
END_TEST

START_TEST(server_first)
{
    const char *t = TALK(S(OK_EMPTY), C("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    talk_finds(t, "server-data-before-101");
    t = TALK(S("HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"),
             C("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    talk_spares(t, "server-data-before-101");
    t = TALK(S(OK_EMPTY), C_GAP(60), C("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    talk_spares(t, "server-data-before-101");
    t = TALK(C(WS_ASK), S("junk\r\n" WS_GRANT WS_HELLO));
    talk_finds(t, "server-data-before-101");
    talk_has(t, "answer 1 switched");
    talk_has(t, "frame 1 server");
}
END_TEST

/* --- H, I, L --- */

#define H2C(fields) \
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" fields \
    "\r\n"

START_TEST(h2c)
{
    talk_quiet(ask(H2C("HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n")));
    talk_finds(ask(H2C("")), "h2c-settings-missing");
    talk_finds(ask(H2C("HTTP2-Settings: AAMAAABk\r\nHTTP2-Settings: AAMAAABk\r\n")),
               "h2c-settings-duplicate");
    talk_finds(ask(H2C("HTTP2-Settings: AAMAAABkAA\r\n")), "h2c-settings-malformed");
    talk_finds(ask(H2C("HTTP2-Settings: AAMA+ABk\r\n")), "h2c-settings-malformed");
    talk_spares(ask(H2C("HTTP2-Settings: AAMAAABk\r\n")), "h2c-settings-malformed");
    talk_finds(ask(ASK("h2c", "HTTP2-Settings: AAMAAABk\r\n")), "h2c-settings-not-in-connection");
    talk_finds(exchange(H2C(""), GRANT("h2c", "")), "h2c-101-without-settings");
    talk_spares(exchange(H2C("HTTP2-Settings: AAMAAABk\r\n"), GRANT("h2c", "")),
                "h2c-101-without-settings");
    talk_finds(exchange(ASK("h2", ""), GRANT("h2", "")), "h2-token-in-upgrade");
}
END_TEST

START_TEST(tls)
{
    talk_finds(ask(ASK("TLS/1.0", "")), "tls-upgrade-version-old");
    talk_spares(ask(ASK("TLS/1.2", "")), "tls-upgrade-version-old");
    talk_finds(ask(ASK("TLS/1.2", "Cookie: a=b\r\n")), "tls-upgrade-request-leaks");
    talk_spares(ask("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n"
                    "Cookie: a=b\r\n\r\n"), "tls-upgrade-request-leaks");
    talk_finds(exchange(ASK("TLS/1.2, TLS/1.0", ""), GRANT("TLS/1.0", "")),
               "upgrade-to-older-protocol");
    talk_spares(exchange(ASK("TLS/1.0", ""), GRANT("TLS/1.0", "")), "upgrade-to-older-protocol");
    talk_finds(exchange(ASK("HTTP/1.0", ""), GRANT("HTTP/1.0", "")), "upgrade-to-older-protocol");
}
END_TEST

START_TEST(connect_udp)
{
    talk_finds(exchange(ASK("connect-udp", ""), GRANT("connect-udp", "Content-Type: a/b\r\n")),
               "connect-udp-bad-answer");
    talk_finds(exchange(ASK("connect-udp", ""), GRANT("connect-udp", "Capsule-Protocol: ?0\r\n")),
               "connect-udp-bad-answer");
    talk_spares(exchange(ASK("connect-udp", ""), GRANT("connect-udp", "Capsule-Protocol: ?1\r\n")),
                "connect-udp-bad-answer");
}
END_TEST

static void check_target(const char *target, int private, int unusual)
{
    char request[200];
    snprintf(request, sizeof request, "CONNECT %s HTTP/1.1\r\n\r\n", target);
    const char *t = ask(request);
    talk_times(t, "connect-to-private-address", private);
    talk_times(t, "connect-to-unusual-port", unusual);
}

START_TEST(connect_targets)
{
    check_target("example.com:443", 0, 0);
    check_target("127.0.0.1:80", 1, 0);
    check_target("localhost:22", 1, 1);
    check_target("10.1.2.3:443", 1, 0);
    check_target("172.31.0.1:443", 1, 0);
    check_target("172.32.0.1:443", 0, 0);
    check_target("192.168.0.1:8443", 1, 0);
    check_target("169.254.169.254:80", 1, 0);
    check_target("[::1]:443", 1, 0);
    check_target("[fe80::1]:443", 1, 0);
    check_target("[fd00::1]:443", 1, 0);
    check_target("[2001:db8::1]:443", 0, 0);
    check_target("[::ffff:10.0.0.1]:443", 1, 0);
    check_target("10.example.com:443", 0, 0);
    check_target("example.com:25", 0, 1);
    talk_finds(exchange("CONNECT a:443 HTTP/1.1\r\n\r\n",
                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
               "connect-2xx-with-body-headers");
    talk_spares(exchange("CONNECT a:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 204 OK\r\n\r\n"),
                "connect-2xx-with-body-headers");
}
END_TEST

/* --- J: security --- */

START_TEST(origins)
{
    const char *t = exchange(
        WS_ASK_WITH("Origin: https://evil.example\r\nCookie: sid=SECRET\r\n"), WS_GRANT);
    talk_has(t, "cswsh-cross-origin-accepted [high] server @0 Origin of evil.example");
    talk_spares(exchange(WS_ASK_WITH("Origin: https://evil.example\r\n"), WS_GRANT),
                "cswsh-cross-origin-accepted");
    talk_spares(exchange(WS_ASK_WITH("Origin: https://EXAMPLE.com:8443\r\nCookie: a\r\n"),
                         WS_GRANT), "cswsh-cross-origin-accepted");
    talk_spares(exchange(WS_ASK_WITH("Origin: https://o.example\r\nCookie: a\r\n"
                                     "X-Forwarded-Host: o.example\r\n"), WS_GRANT),
                "cswsh-cross-origin-accepted");
    talk_has(exchange(WS_ASK_WITH("Origin: https://o.example\r\nCookie: a\r\n"
                                  "X-Forwarded-For: 1.2.3.4\r\n"), WS_GRANT),
             "with Cookie; a proxy may have rewritten Host");
    talk_spares(exchange(WS_ASK_WITH("Origin: https://evil.example\r\nCookie: sid=SECRET\r\n"),
                         "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"),
                "cswsh-cross-origin-accepted");
    talk_finds(exchange(WS_ASK_WITH("Origin: null\r\n"), WS_GRANT),
               "cswsh-null-or-missing-origin");
    talk_finds(exchange(WS_ASK_WITH("User-Agent: Mozilla/5.0\r\n"), WS_GRANT),
               "cswsh-null-or-missing-origin");
    talk_spares(exchange(WS_ASK_WITH("User-Agent: curl/8\r\n"), WS_GRANT),
                "cswsh-null-or-missing-origin");
}
END_TEST

static void check_secret(const char *lines)
{
    const char *found = strstr(lines, "cleartext-credentials-in-handshake");
    ck_assert_ptr_nonnull(found);
    const char *end = strchr(found, '\n');
    const char *secret = strstr(found, "SECRET");
    ck_assert(secret == NULL || secret > end);
}

START_TEST(credentials)
{
    check_secret(ask(WS_ASK_WITH("Authorization: Bearer SECRET\r\n")));
    check_secret(ask(WS_ASK_WITH("Cookie: SECRET\r\n")));
    check_secret(ask(WS_ASK_WITH("Sec-WebSocket-Protocol: bearer.SECRET\r\n")));
    check_secret(ask("GET /?a=b&access_token=SECRET HTTP/1.1\r\n" WS_ASK_FIELDS "\r\n"));
    talk_spares(ask("GET /?token= HTTP/1.1\r\n" WS_ASK_FIELDS "\r\n"),
                "cleartext-credentials-in-handshake");
    talk_spares(ask(WS_ASK), "cleartext-credentials-in-handshake");
    talk_has(ask(WS_ASK_WITH("Cookie: SECRET\r\nX-Forwarded-Proto: https\r\n")),
             "Cookie; the first hop was encrypted");
}
END_TEST

START_TEST(after_a_refusal)
{
    const char *t = TALK(C(WS_ASK), S("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"),
                         C("GET /a HTTP/1.1\r\nHost: internal\r\n\r\n"), S(OK_EMPTY),
                         C("GET /b HTTP/1.1\r\nHost: internal\r\n\r\n"), S(OK_EMPTY));
    talk_times(t, "ws-smuggling-non101-then-traffic", 1);
    t = TALK(C(WS_ASK), S("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"), C(WS_HI WS_HI));
    talk_finds(t, "ws-smuggling-non101-then-traffic");
    t = TALK(C(WS_ASK), S("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"), C(SECOND), S(OK_EMPTY));
    talk_quiet(t);
    t = TALK(C("GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n"
               "Upgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: " TALK_KEY
               "\r\n\r\n"),
             S("HTTP/1.1 426 No\r\nContent-Length: 0\r\n\r\n"), C(SECOND), S(OK_EMPTY));
    talk_finds(t, "ws-smuggling-non101-then-traffic");
}
END_TEST

Suite *upgrade_suite(void)
{
    Suite *suite = suite_create("upgrade");
    TCase *tc = tcase_create("upgrade");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, connection_option);
    tcase_add_test(tc, token_list);
    tcase_add_test(tc, version_and_method);
    tcase_add_test(tc, hop_by_hop);
    tcase_add_test(tc, stripped);
    tcase_add_test(tc, framing);
    tcase_add_test(tc, fields_of_101);
    tcase_add_test(tc, protocol_of_101);
    tcase_add_test(tc, moment_of_101);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, early_data);
    tcase_add_test(tc, early_request);
    tcase_add_test(tc, refused_tunnel);
    tcase_add_test(tc, server_first);
    tcase_add_test(tc, h2c);
    tcase_add_test(tc, tls);
    tcase_add_test(tc, connect_udp);
    tcase_add_test(tc, connect_targets);
    tcase_add_test(tc, origins);
    tcase_add_test(tc, credentials);
    tcase_add_test(tc, after_a_refusal);
    suite_add_tcase(suite, tc);
    return suite;
}
