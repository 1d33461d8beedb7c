/*
 * The PROXY protocol: headers of both versions, what is none, lengths that lie, and that what
 * stands behind it is found as at the beginning of a connection.
 */
#include <check.h>
#include <string.h>

#include "tunnel_talk.h"

Suite *proxy_suite(void);

#define C TALK_C
#define S TALK_S
#define LOST TALK_LOST
#define FIN TALK_FIN

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V1 "PROXY TCP4 192.0.2.1 198.51.100.7 50000 443\r\n"
#define ENDPOINTS "\"source\":\"192.0.2.1:50000\",\"destination\":\"198.51.100.7:443\""
#define V1_SAID "{\"version\":1," ENDPOINTS "}"
#define INET "\xc0\x00\x02\x01\xc6\x33\x64\x07\xc3\x50\x01\xbb"
#define V2_SAID "{\"version\":2," ENDPOINTS
#define INET6                                                                                      \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"                                                \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xc3\x50\x01\xbb"
#define SSH_C "SSH-2.0-c\r\n"
#define SSH_S "SSH-2.0-s\r\n"
#define TEN "0123456789"
#define FORTY TEN TEN TEN TEN

static const struct talk talks[] = {
    {"1", {C(V1 SSH_C), S(SSH_S)}, "proxy " V1_SAID " ssh"},
    {"1, the server speaks first", {C(V1), S(SSH_S)}, "proxy " V1_SAID " ssh"},
    {"1, and its greeting was seen before", {S(SSH_S), C(V1 SSH_C)}, "ssh"},
    {"1, IPv6", {C("PROXY TCP6 2001:db8::1 ::ffff:10.0.0.1 1 65535\r\n" SSH_C)},
     "proxy {\"version\":1,\"source\":\"[2001:db8::1]:1\",\"destination\":"
     "\"[::ffff:10.0.0.1]:65535\"} ssh"},
    {"1, unknown", {C("PROXY UNKNOWN\r\n" SSH_C)},
     "proxy {\"version\":1,\"protocol\":\"UNKNOWN\"} ssh"},
    {"1, unknown, and more",
     {C("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n" SSH_C)},
     "proxy {\"version\":1,\"protocol\":\"UNKNOWN\"} ssh"},
    {"1, 107 bytes", {C("PROXY UNKNOWN " FORTY FORTY TEN "0\r\n" SSH_C)},
     "proxy {\"version\":1,\"protocol\":\"UNKNOWN\"} ssh"},
    {"1, 108 bytes", {C("PROXY UNKNOWN " FORTY FORTY TEN "01\r\n" SSH_C)}, "proxy is opaque"},
    {"1, one behind the other", {C(V1 "PROXY UNKNOWN\r\n" SSH_C)},
     "proxy " V1_SAID " proxy {\"version\":1,\"protocol\":\"UNKNOWN\"} ssh"},
    {"1, then 2", {C(V1 SIGNATURE "\x20\x00\x00\x00" SSH_C)},
     "proxy " V1_SAID " proxy {\"version\":2,\"command\":\"LOCAL\"} ssh"},
    {"1, line ends behind it are the next protocol's", {C(V1 "\r\n" SSH_C), S(SSH_S)},
     "proxy " V1_SAID " opaque"},
    {"1, a wrong address", {C("PROXY TCP4 192.0.2.1 198.51.100.777 50000 443\r\n" SSH_C)},
     "proxy is opaque"},
    {"1, a wrong family", {C("PROXY TCP6 192.0.2.1 198.51.100.7 50000 443\r\n" SSH_C)},
     "proxy is opaque"},
    {"1, a wrong port", {C("PROXY TCP4 192.0.2.1 198.51.100.7 50000 65536\r\n" SSH_C)},
     "proxy is opaque"},
    {"1, a port with a zero", {C("PROXY TCP4 192.0.2.1 198.51.100.7 050 65535\r\n")},
     "proxy is opaque"},
    {"1, too much", {C("PROXY TCP4 192.0.2.1 198.51.100.7 50000 443 x\r\n")},
     "proxy is opaque"},
    {"1, too little", {C("PROXY TCP4 192.0.2.1 198.51.100.7 50000\r\n")},
     "proxy is opaque"},
    {"1, a bare LF", {C("PROXY TCP4 192.0.2.1 198.51.100.7 50000 443\n" SSH_C)}, "proxy is opaque"},
    {"1, other words", {C("PROXY TCP5 192.0.2.1 198.51.100.7 50000 443\r\n")}, "opaque"},
    {"1, lower case", {C("proxy tcp4 192.0.2.1 198.51.100.7 50000 443\r\n")}, "opaque"},
    {"1, nothing behind it", {C(V1)}, "proxy " V1_SAID " opaque"},
    {"1, cut off", {C("PROXY TCP4 192.0"), FIN(CLIENT)}, "proxy"},
    {"1, lost within", {C("PROXY TCP4 192.0"), LOST(CLIENT, 40), C(SSH_C)}, "proxy"},

    {"2", {C(SIGNATURE "\x21\x11\x00\x0c" INET SSH_C), S(SSH_S)}, "proxy " V2_SAID "} ssh"},
    {"2, IPv6", {C(SIGNATURE "\x21\x21\x00\x24" INET6 SSH_C)},
     "proxy {\"version\":2,\"source\":\"[2001:db8::1]:50000\",\"destination\":"
     "\"[2001:db8::2]:443\"} ssh"},
    {"2, of the proxy itself", {C(SIGNATURE "\x20\x11\x00\x0c" INET SSH_C)},
     "proxy {\"version\":2,\"command\":\"LOCAL\"} ssh"},
    {"2, of nobody", {C(SIGNATURE "\x21\x00\x00\x05\x02\x00\x02hi" SSH_C)},
     "proxy {\"version\":2,\"protocol\":\"UNSPEC\",\"authority\":\"hi\"} ssh"},
    {"2, datagrams", {C(SIGNATURE "\x21\x12\x00\x0c" INET SSH_C)},
     "proxy " V2_SAID ",\"protocol\":\"datagram\"} ssh"},
    {"2, UNIX", {C(SIGNATURE "\x21\x31\x00\xd8" "/run/a\0" FORTY FORTY TEN TEN "0"
                   "/run/b\0" FORTY FORTY TEN TEN "0" SSH_C)},
     "proxy {\"version\":2,\"source\":\"/run/a\",\"destination\":\"/run/b\"} ssh"},
    {"2, a family of the future", {C(SIGNATURE "\x21\x51\x00\x04" "abcd" SSH_C)},
     "proxy {\"version\":2} ssh"},
    {"2, additions",
     {C(SIGNATURE "\x21\x11\x00\x39" INET "\x01\x00\x02h2" "\x02\x00\x09" "a.example"
        "\x04\x00\x01\x00" "\x20\x00\x12\x01\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x00" "xyz"
        SSH_C)},
     "proxy " V2_SAID ",\"alpn\":\"h2\",\"authority\":\"a.example\",\"ssl\":\"TLSv1.3\"} ssh"},
    {"2, TLS that was none",
     {C(SIGNATURE "\x21\x11\x00\x14" INET "\x20\x00\x05\x00\0\0\0\0" SSH_C)},
     "proxy " V2_SAID "} ssh"},
    {"2, addresses longer than it", {C(SIGNATURE "\x21\x11\x00\x04" "abcd" SSH_C)},
     "proxy {\"version\":2} ssh"},
    {"2, an addition longer than it",
     {C(SIGNATURE "\x21\x11\x00\x10" INET "\x01\xff\xff" "h" SSH_C)},
     "proxy " V2_SAID "} ssh"},
    {"2, another version", {C(SIGNATURE "\x31\x11\x00\x0c" INET SSH_C)}, "opaque"},
    {"2, another command", {C(SIGNATURE "\x22\x11\x00\x0c" INET SSH_C)}, "opaque"},
    {"2, cut off", {C(SIGNATURE "\x21\x11\xff\xff" INET SSH_C)}, "proxy"},
};

enum { TALKS = sizeof talks / sizeof talks[0] };

START_TEST(understood)
{
    talk_is_understood(&talks[_i]);
}
END_TEST

START_TEST(survives)
{
    talk_survives(&talks[_i]);
}
END_TEST

static const struct {
    enum side side;
    struct talk_bytes bytes;
    int want;
} probes[] = {
    {CLIENT, TALK_BYTES("PROXY TCP4 "), 2},
    {CLIENT, TALK_BYTES("PROXY TCP"), 0},
    {CLIENT, TALK_BYTES("PROXY UNKNOWN"), 0},
    {CLIENT, TALK_BYTES("PROXY UNKNOWN\r\n"), 2},
    {CLIENT, TALK_BYTES("PROXY UNKNOWNS"), -1},
    {CLIENT, TALK_BYTES("PROXY / HTTP/1.1\r\n"), -1},
    {CLIENT, TALK_BYTES("\r\n\r\nGET"), -1},
    {CLIENT, TALK_BYTES(SIGNATURE), 0},
    {CLIENT, TALK_BYTES(SIGNATURE "\x20"), 2},
    {CLIENT, TALK_BYTES(SIGNATURE "\x12"), -1},
    {SERVER, TALK_BYTES("220 x\r\n"), 0},
};

START_TEST(probe)
{
    int got = talk_probe_bytewise("proxy", probes[_i].side, &probes[_i].bytes);
    ck_assert_msg(got == probes[_i].want, "row %d: %d", _i, got);
}
END_TEST

/* Who has not seen a header by then will not: a stream that begins with its server is not held. */
START_TEST(servers_are_not_waited_for)
{
    char stream[600];
    memset(stream, 'x', sizeof stream);
    ck_assert_int_eq(talk_probe("proxy", SERVER, stream, 512), 0);
    ck_assert_int_eq(talk_probe("proxy", SERVER, stream, 513), -1);
}
END_TEST

START_TEST(longest)
{
    static char body[65535];
    struct fake *fake = fake_new(NULL, "");
    memset(body, 0, sizeof body);
    fake_data(fake, CLIENT, SIGNATURE "\x21\x11\xff\xff", 16);
    fake_data(fake, CLIENT, body, sizeof body);
    fake_data(fake, CLIENT, SSH_C, sizeof SSH_C - 1);
    (void)fake_play(fake, 0);
    ck_assert_ptr_nonnull(strstr(fake->log, "\"ssh\""));
    (void)fake_play(fake, 1000);
    ck_assert_ptr_nonnull(strstr(fake->log, "\"ssh\""));
    fake_free(fake);
}
END_TEST

Suite *proxy_suite(void)
{
    Suite *suite = suite_create("proxy");
    TCase *tcase = tcase_create("proxy");
    tcase_add_loop_test(tcase, understood, 0, TALKS);
    tcase_add_loop_test(tcase, survives, 0, TALKS);
    tcase_add_loop_test(tcase, probe, 0, sizeof probes / sizeof probes[0]);
    tcase_add_test(tcase, servers_are_not_waited_for);
    tcase_add_test(tcase, longest);
    suite_add_tcase(suite, tcase);
    return suite;
}
