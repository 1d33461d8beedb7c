/*
 * Gnutella's handshake in three heads: who takes the upgrade up, who declines it, lost heads, heads
 * that never end.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel_talk.h"

Suite *gnutella_suite(void);

#define C TALK_C
#define S TALK_S
#define LOST TALK_LOST

#define ASK "GNUTELLA CONNECT/0.6\r\nUser-Agent: x\r\nUpgrade: TLS/1.0\r\n\r\n"
#define TAKE "GNUTELLA/0.6 200 OK\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n"
#define CONFIRM "GNUTELLA/0.6 200 OK\r\nConnection: Upgrade\r\n\r\n"

#define ASKED                                                                                      \
    "gnutella asks TLS/1.0 none none GNUTELLA CONNECT/0.6 header 0 User-Agent x request "          \
    "header 1 Upgrade TLS/1.0 request"
#define TAKEN " header 0 Upgrade TLS/1.0 response header 1 Connection Upgrade response"
#define CONFIRMED " header 2 Connection Upgrade request grants none 200 TLS/1.0 OK tls"

static const struct talk talks[] = {
    {"switched", {C(ASK), S(TAKE), C(CONFIRM TALK_HELLO)}, ASKED TAKEN CONFIRMED},
    {"the client's late", {S(TAKE), C(ASK CONFIRM TALK_HELLO)}, ASKED TAKEN CONFIRMED},
    {"refused", {C(ASK), S("GNUTELLA/0.6 503 Full\r\nRetry-After: 9\r\n\r\n")},
     ASKED " header 0 Retry-After 9 response refuses upstream 503 none Full"},
    {"who are you", {C(ASK), S("GNUTELLA/0.6 401 Unauthorized\r\n\r\n")},
     ASKED " refuses auth 401 none Unauthorized"},
    {"no code", {C(ASK), S("GNUTELLA/0.6 what\r\n\r\n")}, ASKED " refuses unknown 0 none none"},
    {"not taken up", {C(ASK), S("GNUTELLA/0.6 200 OK\r\n\r\n"), C("GNUTELLA/0.6 200 OK\r\n\r\n")},
     ASKED " ignores unknown 200 none OK"},
    {"something else taken up", {C(ASK), S("GNUTELLA/0.6 200 OK\r\nUpgrade: h2c\r\n\r\n")},
     ASKED " header 0 Upgrade h2c response ignores unknown 200 none OK"},
    {"declined", {C(ASK), S(TAKE), C("GNUTELLA/0.6 503 No\r\n\r\n")},
     ASKED TAKEN " refuses unknown 503 none No"},
    {"in the clear after all", {C(ASK), S(TAKE), C("GNUTELLA/0.6 200 OK\r\n\r\n")},
     ASKED TAKEN " ignores unknown 200 none OK"},
    {"confirmed, and then no TLS", {C(ASK), S(TAKE), C(CONFIRM "SSH-2.0-x\r\n")},
     ASKED TAKEN " header 2 Connection Upgrade request grants none 200 TLS/1.0 OK tls "
     "C:switch-unexpected-protocol is ssh"},
    {"nobody asks", {C("GNUTELLA CONNECT/0.6\r\n\r\n"), S(TAKE)}, "gnutella"},
    {"something else is asked for", {C("GNUTELLA CONNECT/0.6\r\nUpgrade: h2c\r\n\r\n"), S(TAKE)},
     "gnutella"},
    {"0.4", {C("GNUTELLA CONNECT/0.4\n\n"), S("GNUTELLA OK\n\n")}, "gnutella"},
    {"folds and cases",
     {C("GNUTELLA CONNECT/0.6\nupgrade:\ttls/1.2, TLS/1.0\nX: a,\n b\nno colon\n\n"),
      S("GNUTELLA/0.6 200 OK\nUPGRADE: TLS/1.2 \n\n"), C(CONFIRM TALK_HELLO)},
     "gnutella asks tls/1.2, TLS/1.0 none none GNUTELLA CONNECT/0.6 header 0 upgrade tls/1.2, "
     "TLS/1.0 request header 1 X a,\\x0a b request header 0 UPGRADE TLS/1.2 response "
     "header 2 Connection Upgrade request "
     "grants none 200 TLS/1.2 OK tls"},

    {"the answer lost", {C(ASK), LOST(SERVER, 64), C(CONFIRM TALK_HELLO)}, ASKED CONFIRMED},
    {"the confirmation lost", {C(ASK), S(TAKE), LOST(CLIENT, 44), C(TALK_HELLO)},
     ASKED TAKEN " grants none 0 TLS/1.0 none tls"},
    {"all lost but TLS", {C(ASK), LOST(SERVER, 64), LOST(CLIENT, 44), C(TALK_HELLO)},
     ASKED " grants none 0 TLS/1.0 none tls"},
    {"the answer lost, and nothing follows", {C(ASK), LOST(SERVER, 64)},
     ASKED " S:switch-unresolved"},
    {"the answer lost, and it goes on", {C(ASK), LOST(SERVER, 64), C("\0\1\2\3")},
     ASKED " S:switch-unresolved"},
    {"the rest of the answer", {C(ASK), LOST(SERVER, 9), S("OK\r\nUpgrade: TLS/1.0\r\n\r\n"),
      C("GNUTELLA/0.6 200 OK\r\n\r\n")}, ASKED " ignores unknown 200 none OK"},
    {"the request lost",
     {C("GNUTELLA CONNECT/0.6\r\nUpg"), LOST(CLIENT, 9), C("\r\n\r\n"), S(TAKE)}, "gnutella"},
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

START_TEST(probe)
{
    static const struct {
        enum side side;
        struct talk_bytes bytes;
        int want;
    } rows[] = {
        {CLIENT, TALK_BYTES(ASK), 2},
        {CLIENT, TALK_BYTES("GNUTELLA CONNECT/0.4\n\n"), 2},
        {SERVER, TALK_BYTES(TAKE), 2},
        {SERVER, TALK_BYTES("GNUTELLA OK\n\n"), 2},
        {CLIENT, TALK_BYTES("GNUTELLA CONN"), 0},
        {CLIENT, TALK_BYTES("GNUTELLA / HTTP/1.1\r\n"), -1},
        {CLIENT, TALK_BYTES("GET / HTTP/1.1\r\n"), -1},
        {SERVER, TALK_BYTES("HTTP/1.1 200 OK\r\n"), -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_int_eq(talk_probe_bytewise("gnutella", rows[i].side, &rows[i].bytes),
                         rows[i].want);
}
END_TEST

/* A head of 16 KiB is whole at its last byte, a longer one never. */
START_TEST(longest_head)
{
    static const char first[] = "GNUTELLA CONNECT/0.6\r\nUpgrade: TLS/1.0\r\nX: ";
    for (int over = 0; over < 2; over++) {
        struct fake *fake = fake_new(NULL, "");
        size_t len = 16384 - (sizeof first - 1) - 4 + (size_t)over;
        char *filler = malloc(len);
        ck_assert_ptr_nonnull(filler);
        memset(filler, 'a', len);
        fake_data(fake, CLIENT, first, sizeof first - 1);
        fake_data(fake, CLIENT, filler, len);
        fake_data(fake, CLIENT, "\r\n\r\n", 4);
        free(filler);
        for (size_t cut = 0; cut < 100; cut += 49) {
            (void)fake_play(fake, cut);
            ck_assert_int_eq(strstr(fake->log, "analysis-limit-hit") != NULL, over);
            ck_assert_int_eq(strstr(fake->log, "asks mechanism") != NULL, !over);
        }
        fake_free(fake);
    }
}
END_TEST

START_TEST(many_fields)
{
    struct fake *fake = fake_new(NULL, "");
    fake_data(fake, CLIENT, "GNUTELLA CONNECT/0.6\r\nUpgrade: TLS/1.0\r\n", 40);
    for (int i = 0; i < 100; i++)
        fake_data(fake, CLIENT, "X: y\r\n", 6);
    fake_data(fake, CLIENT, "\r\n", 2);
    ck_assert_str_eq(fake_rules(fake), "N:analysis-limit-hit");
    fake_free(fake);
}
END_TEST

Suite *gnutella_suite(void)
{
    Suite *suite = suite_create("gnutella");
    TCase *tcase = tcase_create("gnutella");
    tcase_add_loop_test(tcase, understood, 0, TALKS);
    tcase_add_loop_test(tcase, survives, 0, TALKS);
    tcase_add_test(tcase, probe);
    tcase_add_test(tcase, longest_head);
    tcase_add_test(tcase, many_fields);
    suite_add_tcase(suite, tcase);
    return suite;
}
