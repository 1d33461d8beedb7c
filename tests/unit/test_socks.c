/*
 * SOCKS: what its probe takes, believes or leaves to others; every kind of conversation, lost
 * parts, lengths that lie, and that nothing more is read once nothing more can be learnt.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel_talk.h"

Suite *socks_suite(void);

#define C TALK_C
#define S TALK_S
#define LOST TALK_LOST
#define FIN TALK_FIN

#define GREETING "\x05\x01\x00"
#define CHOICE "\x05\x00"
#define REQUEST "\x05\x01\x00\x03\x0b" "example.org" "\x01\xbb"
#define YES "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define NO(code) "\x05" code "\x00\x01\x00\x00\x00\x00\x00\x00"
#define BOTH_GREETING "\x05\x02\x00\x02"
#define PASSWORD "\x01\x03" "bob" "\x06" "SECRET"
#define SOCKS4 "\x04\x01\x00\x16\x0a\x00\x00\x01" "me\0"
#define SOCKS4A "\x04\x01\x00\x16\x00\x00\x00\x01" "me\0" "host.example\0"
#define YES4 "\x00\x5a\x00\x00\x00\x00\x00\x00"
#define SSH_C "SSH-2.0-c\r\n"
#define SSH_S "SSH-2.0-s\r\n"

#define ASKS "asks SOCKS5 example.org:443 example.org CONNECT"
#define GRANTS "grants none 0 SOCKS5 succeeded"
#define DETAIL "{\"version\":\"SOCKS5\",\"method\":\"none\"}"

static const struct talk talks[] = {
    {"5", {C(GREETING), S(CHOICE), C(REQUEST), S(YES), C(SSH_C), S(SSH_S)},
     "socks " ASKS " " GRANTS " " DETAIL " ssh"},
    {"5, all ahead", {C(GREETING REQUEST SSH_C), S(CHOICE YES SSH_S)},
     "socks " ASKS " " GRANTS " " DETAIL " ssh"},
    {"5, the server first", {S(CHOICE YES SSH_S), C(GREETING REQUEST SSH_C)},
     "socks " ASKS " " GRANTS " " DETAIL " ssh"},
    {"5, a password", {C(BOTH_GREETING), S("\x05\x02"), C(PASSWORD), S("\x01\x00"), C(REQUEST),
      S(YES), C(TALK_HELLO)},
     "socks " ASKS " " GRANTS
     " {\"version\":\"SOCKS5\",\"method\":\"user name and password\"} tls"},
    {"5, a password ahead", {C(BOTH_GREETING PASSWORD REQUEST SSH_C), S("\x05\x02\x01\x00" YES)},
     "socks " ASKS " " GRANTS
     " {\"version\":\"SOCKS5\",\"method\":\"user name and password\"} ssh"},
    {"5, a wrong password", {C(BOTH_GREETING), S("\x05\x02"), C(PASSWORD), S("\x01\x01")},
     "socks asks SOCKS5 none none none refuses auth 0 none user name or password not accepted "
     "{\"version\":\"SOCKS5\",\"method\":\"user name and password\"}"},
    {"5, no method", {C(GREETING), S("\x05\xff")},
     "socks asks SOCKS5 none none none refuses auth 0 none no acceptable methods "
     "{\"version\":\"SOCKS5\",\"method\":\"none acceptable\"}"},
    {"5, IPv6", {C(GREETING), S(CHOICE),
      C("\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50"), S(YES)},
     "socks asks SOCKS5 [2001:db8::1]:80 [2001:db8::1] CONNECT " GRANTS " " DETAIL " opaque"},
    {"5, refused", {C(GREETING), S(CHOICE), C(REQUEST), S(NO("\x04"))},
     "socks " ASKS " refuses route 0 none Host unreachable " DETAIL},
    {"5, refused without an address", {C(GREETING), S(CHOICE), C(REQUEST), S("\x05\x02"),
      FIN(SERVER)},
     "socks " ASKS " refuses route 0 none connection not allowed by ruleset " DETAIL},
    {"5, a name with a NUL", {C(GREETING), S(CHOICE), C("\x05\x01\x00\x03\x03" "a\0b" "\x00\x50"),
      S(YES)},
     "socks asks SOCKS5 a\\x00b:80 a\\x00b CONNECT " GRANTS " " DETAIL " opaque"},
    {"5, no name", {C(GREETING), S(CHOICE), C("\x05\x01\x00\x03\x00\x00\x50"), S(YES)},
     "socks asks SOCKS5 :80  CONNECT " GRANTS " " DETAIL " opaque"},
    {"5, BIND", {C(GREETING), S(CHOICE), C("\x05\x02\x00\x01\x0a\0\0\1\x00\x15"), S(YES), S(YES),
      C(SSH_C)},
     "socks asks SOCKS5 10.0.0.1:21 10.0.0.1 BIND " GRANTS " " DETAIL " ssh"},
    {"5, nobody comes", {C(GREETING), S(CHOICE), C("\x05\x02\x00\x01\x0a\0\0\1\x00\x15"), S(YES),
      S(NO("\x06"))},
     "socks asks SOCKS5 10.0.0.1:21 10.0.0.1 BIND refuses timeout 0 none TTL expired " DETAIL},
    {"5, UDP", {C(GREETING), S(CHOICE), C("\x05\x03\x00\x01\0\0\0\0\0\0"), S(YES), C("?"), S("?")},
     "socks asks SOCKS5 0.0.0.0:0 0.0.0.0 UDP ASSOCIATE " GRANTS " " DETAIL},
    {"5, Tor's own", {C(GREETING), S(CHOICE), C("\x05\xf0\x00\x03\x01" "a" "\0\0"), S(YES)},
     "socks " DETAIL},
    {"5, another method", {C("\x05\x02\x00\x80"), S("\x05\x80"), C("?"), S("?")},
     "socks asks SOCKS5 none none none S:switch-unresolved "
     "{\"version\":\"SOCKS5\",\"method\":\"128\"}"},
    {"GSSAPI in the clear", {C("\x05\x01\x01"), S("\x05\x01"), C("\x01\x01\x00\x02\x60\x00"),
      S("\x01\x01\x00\x02\x60\x00"), C("\x01\x02\x00\x01\x00"), S("\x01\x02\x00\x01\x00"),
      C(REQUEST), S(YES), C(SSH_C)},
     "socks " ASKS " " GRANTS " {\"version\":\"SOCKS5\",\"method\":\"GSSAPI\"} ssh"},
    {"GSSAPI", {C("\x05\x01\x01"), S("\x05\x01"), C("\x01\x01\x00\x02\x60\x00"),
      S("\x01\x01\x00\x02\x60\x00"), C("\x01\x02\x00\x01\x00"), S("\x01\x02\x00\x01\x00"),
      C("\x01\x03\x00\x04\x60\x00\x00\x00"), S("\x01\x03\x00\x04\x60\x00\x00\x00")},
     "socks asks SOCKS5 none none none C:switch-unresolved "
     "{\"version\":\"SOCKS5\",\"method\":\"GSSAPI\"}"},
    {"GSSAPI fails", {C("\x05\x01\x01"), S("\x05\x01"), C("\x01\x01\x00\x02\x60\x00"),
      S("\x01\xff")},
     "socks asks SOCKS5 none none none refuses auth 0 none GSSAPI authentication failed "
     "{\"version\":\"SOCKS5\",\"method\":\"GSSAPI\"}"},
    {"GSSAPI, the client gives up", {C("\x05\x01\x01"), S("\x05\x01"), C("\x01\xff")},
     "socks {\"version\":\"SOCKS5\",\"method\":\"GSSAPI\"}"},
    {"4", {C(SOCKS4), S(YES4), S(SSH_S), C(SSH_C)},
     "socks asks SOCKS4 10.0.0.1:22 10.0.0.1 CONNECT grants none 0 SOCKS4 request granted "
     "{\"version\":\"SOCKS4\"} ssh"},
    {"4a, refused", {C(SOCKS4A), S("\x00\x5b\x00\x00\x00\x00\x00\x00")},
     "socks asks SOCKS4a host.example:22 host.example CONNECT refuses unknown 0 none request "
     "rejected or failed {\"version\":\"SOCKS4a\"}"},
    {"4, identd", {C(SOCKS4), S("\x00\x5c\x00\x00\x00\x00\x00\x00")},
     "socks asks SOCKS4 10.0.0.1:22 10.0.0.1 CONNECT refuses auth 0 none request rejected because "
     "SOCKS server cannot connect to identd o+12:16af4959 {\"version\":\"SOCKS4\"}"},
    {"4, not answered", {C(SOCKS4), FIN(CLIENT)},
     "socks asks SOCKS4 10.0.0.1:22 10.0.0.1 CONNECT {\"version\":\"SOCKS4\"}"},
    {"5, a greeting and nothing more", {C(GREETING)}, "socks {\"version\":\"SOCKS5\"}"},

    {"the reply lost, TLS", {C(GREETING), S(CHOICE), C(REQUEST), LOST(SERVER, 10), C(TALK_HELLO)},
     "socks " ASKS " grants none 0 SOCKS5 none " DETAIL " tls"},
    {"the reply lost, known to the client",
     {C(GREETING), S(CHOICE), C(REQUEST), LOST(SERVER, 10), C("\x01\x02\x03")},
     "socks " ASKS " grants none 0 SOCKS5 none " DETAIL " opaque"},
    {"the reply lost, its server speaks",
     {C(GREETING), S(CHOICE), C(REQUEST), LOST(SERVER, 10), S(SSH_S)},
     "socks " ASKS " grants none 0 SOCKS5 none " DETAIL " ssh"},
    {"the reply lost, or another", {C(GREETING), S(CHOICE), C(REQUEST), LOST(SERVER, 1),
      S(NO("\x05"))},
     "socks " ASKS " refuses route 0 none Connection refused " DETAIL},
    {"the reply lost, and nothing follows", {C(GREETING), S(CHOICE), C(REQUEST), LOST(SERVER, 10)},
     "socks " ASKS " S:switch-unresolved " DETAIL},
    {"the choice lost", {C(GREETING), LOST(SERVER, 2), C(REQUEST), S(YES), C(SSH_C)},
     "socks " ASKS " " GRANTS " {\"version\":\"SOCKS5\"} ssh"},
    {"the choice lost, a password", {C(BOTH_GREETING), LOST(SERVER, 2), C(PASSWORD), S("\x01\x00"),
      C(REQUEST), S(YES), C(SSH_C)},
     "socks " ASKS " " GRANTS
     " {\"version\":\"SOCKS5\",\"method\":\"user name and password\"} ssh"},
    {"choice and verdict lost", {C(BOTH_GREETING), LOST(SERVER, 4), C(PASSWORD), C(REQUEST), S(YES),
      C(SSH_C)},
     "socks " ASKS " " GRANTS
     " {\"version\":\"SOCKS5\",\"method\":\"user name and password\"} ssh"},
    {"the verdict lost", {C(BOTH_GREETING), S("\x05\x02"), C(PASSWORD), LOST(SERVER, 2), C(REQUEST),
      S(NO("\x03"))},
     "socks " ASKS " refuses route 0 none Network unreachable "
     "{\"version\":\"SOCKS5\",\"method\":\"user name and password\"}"},
    {"the request lost", {C(GREETING), S(CHOICE), LOST(CLIENT, 18), S(YES), C(SSH_C)},
     "socks asks SOCKS5 none none none lost " GRANTS " " DETAIL " ssh"},
    {"the request lost, refused", {C(GREETING), S(CHOICE), LOST(CLIENT, 18), S(NO("\x01"))},
     "socks asks SOCKS5 none none none lost refuses upstream 0 none general SOCKS server failure "
     DETAIL},
    {"payload lost behind the request",
     {C(GREETING REQUEST), LOST(CLIENT, 9), C("?"), S(CHOICE YES)},
     "socks " ASKS " " GRANTS " " DETAIL " opaque"},

    {"none: another answer", {C(GREETING), S("hello")}, "opaque"},
    {"none: an echo", {C("\x05\x01\x00\x0a"), S("\x05\x01\x00\x0a")}, "opaque"},
    {"none: DCE/RPC", {C("\x05\x00\x0b\x03\x10\x00\x00\x00\x48\x00\x00\x00\x01\x00\x00\x00"),
      S("\x05\x00\x0c\x03\x10\x00\x00\x00\x3c\x00\x00\x00\x01\x00\x00\x00")}, "opaque"},
    {"none: no reply of 4", {C(SOCKS4), S("hello there")}, "opaque"},
    {"its replies are none", {C(GREETING), S(CHOICE), C(REQUEST), S("HTTP/1.1 400 Bad\r\n\r\n")},
     "socks " ASKS " " DETAIL},
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
    int want; /* -1 no, 0 undecided, 1 fits, 2 sure */
} probes[] = {
    {CLIENT, TALK_BYTES(GREETING), 1},
    {CLIENT, TALK_BYTES("\x05\x03\x00\x01"), 0},
    {CLIENT, TALK_BYTES("\x05\x03\x00\x01\x02"), 1},
    {CLIENT, TALK_BYTES(GREETING REQUEST), 2},
    {CLIENT, TALK_BYTES(GREETING "\x05\x01\x00\x03\x0b" "exam"), 1},
    {CLIENT, TALK_BYTES(BOTH_GREETING PASSWORD), 1},
    {CLIENT, TALK_BYTES(BOTH_GREETING PASSWORD REQUEST), 2},
    {CLIENT, TALK_BYTES(SOCKS4), 1},
    {CLIENT, TALK_BYTES(SOCKS4A), 2},
    {SERVER, TALK_BYTES(CHOICE), 1},
    {SERVER, TALK_BYTES(CHOICE YES), 1},
    {SERVER, TALK_BYTES("\x05\x02\x01\x00"), 1},
    {SERVER, TALK_BYTES(YES4), 1},
    {SERVER, TALK_BYTES("\x00\x5a\x00"), 0},
    {CLIENT, TALK_BYTES("\x05\x00"), -1},
    {CLIENT, TALK_BYTES("\x05\x01\xff"), -1},
    {CLIENT, TALK_BYTES("\x05\x01\x20"), -1},
    {CLIENT, TALK_BYTES("\x05\x21"), -1},
    {CLIENT, TALK_BYTES("\x05\x01\x80"), -1},
    {CLIENT, TALK_BYTES("\x05\x01\x01\x01\x01\x00\x09\x60"), 1},
    {CLIENT, TALK_BYTES("\x05\x01\x01\x01\x01\x00\x09\x61"), -1},
    {CLIENT, TALK_BYTES("\x05\x01\x01\x01\x02"), -1},
    {CLIENT, TALK_BYTES(GREETING "x"), -1},
    {CLIENT, TALK_BYTES(GREETING "\x01"), -1},
    {CLIENT, TALK_BYTES(GREETING "\x05\x00"), -1},
    {CLIENT, TALK_BYTES(GREETING "\x05\x04"), -1},
    {CLIENT, TALK_BYTES(GREETING "\x05\x01\x01"), -1},
    {CLIENT, TALK_BYTES(GREETING "\x05\x01\x00\x02"), -1},
    {CLIENT, TALK_BYTES(GREETING "\x05\x01\x00\x03\x02" "a\n" "\x00\x50"), -1},
    {CLIENT, TALK_BYTES(GREETING "\x05\x01\x00\x03\x00\x00\x50"), -1},
    {CLIENT, TALK_BYTES("\x04\x03"), -1},
    {CLIENT, TALK_BYTES("\x04\x01\x00\x00"), -1},
    {CLIENT, TALK_BYTES("\x04\x01\x00\x50\x00\x00\x00\x00\x00"), -1},
    {CLIENT, TALK_BYTES("\x04\x01\x00\x50\xe0\x00\x00\x01\x00"), -1},
    {CLIENT, TALK_BYTES("\x04\x01\x00\x50\x0a\x00\x00\x01\x01\x00"), -1},
    {CLIENT, TALK_BYTES("\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00"), -1},
    {CLIENT, TALK_BYTES("GET / HTTP/1.1\r\n\r\n"), -1},
    {CLIENT, TALK_BYTES(TALK_HELLO), -1},
    {SERVER, TALK_BYTES("\x05\x0a"), -1},
    {SERVER, TALK_BYTES("\x05\x00\x00"), -1},
    {SERVER, TALK_BYTES("\x05\xff\x05"), -1},
    {SERVER, TALK_BYTES("\x00\x00"), -1},
    {SERVER, TALK_BYTES("220 x"), -1},
};

START_TEST(probe)
{
    int got = talk_probe_bytewise("socks", probes[_i].side, &probes[_i].bytes);
    ck_assert_msg(got == probes[_i].want, "row %d: %d", _i, got);
}
END_TEST

static uint32_t noise(uint32_t x, int plain, char first, char out[64])
{
    for (size_t i = 0; i < 64; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        out[i] = (char)(plain ? x : x % 32); /* or rich in small numbers */
    }
    out[0] = first;
    return x;
}

/* Even with the right first bytes. */
START_TEST(probe_leaves_noise_alone)
{
    uint32_t x = 2463534242u;
    char asks[64], answers[64];
    int fits = 0;
    for (int n = 0; n < 50000; n++) {
        x = noise(x, n % 4 < 2, (char)(4 + n % 2), asks);
        x = noise(x, n % 4 < 2, n % 2 == 0 ? 0 : 5, answers);
        int client = talk_probe("socks", CLIENT, asks, sizeof asks);
        ck_assert_int_lt(client, 2);
        fits += client == 1 && talk_probe("socks", SERVER, answers, sizeof answers) > 0;
    }
    ck_assert_int_eq(fits, 0);
}
END_TEST

/* A user id, a name or a token that never end: given up, and nothing big is held. */
START_TEST(endless)
{
    static const char *const starts[] = {"\x04\x01\x16\x16\x0a\x01\x01\x01",
                                         "\x04\x01\x16\x16"};
    char filler[70000];
    memset(filler, 'a', sizeof filler);
    for (size_t i = 0; i < 2; i++) {
        struct fake *fake = fake_new(NULL, "");
        fake_data(fake, CLIENT, starts[i], strlen(starts[i]));
        if (i == 1)
            fake_data(fake, CLIENT, "\0\0\0\1x\0", 6);
        fake_data(fake, CLIENT, filler, sizeof filler);
        (void)fake_rules(fake);
        ck_assert_ptr_nonnull(strstr(fake->log, "\"opaque\""));
        ck_assert_ptr_null(strstr(fake->log, "asks "));
        fake_free(fake);
    }
    struct fake *fake = fake_new(NULL, "");
    fake_data(fake, CLIENT, "\x05\x01\x01", 3);
    fake_data(fake, SERVER, "\x05\x01", 2);
    fake_data(fake, CLIENT, "\x01\x01\xff\xff", 4);
    fake_data(fake, CLIENT, filler, 65535);
    fake_data(fake, SERVER, "\x01\xff", 2);
    (void)fake_rules(fake);
    ck_assert_ptr_nonnull(strstr(fake->log, "GSSAPI authentication failed"));
    fake_free(fake);
}
END_TEST

static void ignore(void *flow, struct event *event)
{
    (void)flow;
    (void)event;
}

static const struct talk finished[] = {
    {"refused", {C(GREETING), S(CHOICE), C(REQUEST), S(NO("\x04")), C("x")}, ""},
    {"UDP", {C(GREETING), S(CHOICE), C("\x05\x03\x00\x01\0\0\0\0\0\0"), S(YES), C("x")}, ""},
    {"another method", {C("\x05\x02\x00\x80"), S("\x05\x80"), C("x")}, ""},
};

START_TEST(nothing_more_is_wanted)
{
    struct fake *fake = talk_prepare(&finished[_i]);
    struct stack_host host = {.emit = ignore};
    struct budget budget;
    budget_init(&budget, fake->memory, NULL);
    struct stack *stack = stack_new(&host, NULL, &fake->options, &budget, 1);
    ck_assert_ptr_nonnull(stack);
    for (size_t i = 0; i < fake->step_count; i++) {
        struct mark mark = {.packet = i + 1};
        ck_assert_msg(!stack_done(stack), "%s: too soon, at %zu", finished[_i].what, i);
        stack_data(stack, fake->steps[i].side, fake->bytes + fake->steps[i].at, fake->steps[i].len,
                   &mark);
    }
    ck_assert_msg(stack_done(stack), "%s: not yet", finished[_i].what);
    struct mark mark = {.packet = 99};
    stack_close(stack, SESSION_END_CAPTURE, NEITHER, 0, &mark);
    stack_free(stack);
    ck_assert_uint_eq(budget.used, 0);
    fake_free(fake);
}
END_TEST

Suite *socks_suite(void)
{
    Suite *suite = suite_create("socks");
    TCase *tcase = tcase_create("socks");
    tcase_add_loop_test(tcase, understood, 0, TALKS);
    tcase_add_loop_test(tcase, survives, 0, TALKS);
    tcase_add_loop_test(tcase, probe, 0, sizeof probes / sizeof probes[0]);
    tcase_add_test(tcase, probe_leaves_noise_alone);
    tcase_add_test(tcase, endless);
    tcase_add_loop_test(tcase, nothing_more_is_wanted, 0, sizeof finished / sizeof finished[0]);
    suite_add_tcase(suite, tcase);
    return suite;
}
