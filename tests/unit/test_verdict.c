/*
 * The sentence: what is said for each way an attempt can go, and that any text from the wire leaves
 * it printable.
 */
#include <check.h>
#include <string.h>

#include "../../analyzer/verdict.h"

Suite *verdict_suite(void);

static const int64_t ms = 1000000;

static const char *sentence(const struct verdict *verdict)
{
    static char text[2048];
    struct buffer out = {0};
    verdict_write(verdict, &out);
    (void)snprintf(text, sizeof text, "%s", buffer_text(&out));
    buffer_release(&out);
    for (size_t i = 0; text[i] != '\0'; i++)
        ck_assert_msg(text[i] >= 0x20 && text[i] < 0x7f, "%s", text);
    return text;
}

static struct verdict refused(int status, enum cause cause)
{
    return (struct verdict){.outcome = OUTCOME_REFUSED, .cause = cause, .answered = 1,
                            .status = status, .wait_ns = 120 * ms, .duration_ns = -1,
                            .close_code = {-1, -1}};
}

static struct verdict switched(enum session_end end, enum side side, int64_t idle_ns)
{
    return (struct verdict){.outcome = OUTCOME_SWITCHED, .answered = 1, .status = 101,
                            .accepted = TEXT_LITERAL("websocket"), .wait_ns = 12 * ms,
                            .websocket = 1, .messages = 214, .ended = 1, .end = end,
                            .end_side = side, .idle_ns = idle_ns, .duration_ns = 12300 * ms,
                            .close_code = {-1, -1}};
}

START_TEST(test_network_or_application)
{
    struct verdict verdict = switched(SESSION_END_RST, CLIENT, 61000 * ms);
    ck_assert_ptr_null(strstr(sentence(&verdict), "network"));
    verdict.network = 1;
    verdict.rtt_ns = 3 * ms;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "without a close frame; the network answered "
                                                     "within 3.0 ms and lost nothing"));
    verdict.resent[SERVER] = 2;
    ck_assert_ptr_null(strstr(sentence(&verdict), "network"));
    verdict.resent[SERVER] = 7;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "; the server had to send 7 packets again, "
                                                     "which points at the network"));
    verdict.close_code[CLIENT] = 1000; /* it said goodbye */
    ck_assert_ptr_null(strstr(sentence(&verdict), "network"));
    verdict = refused(403, CAUSE_ORIGIN);
    verdict.network = 1;
    verdict.resent[CLIENT] = 9;
    ck_assert_ptr_null(strstr(sentence(&verdict), "network"));
}
END_TEST

START_TEST(test_refused)
{
    struct verdict verdict = refused(403, CAUSE_ORIGIN);
    verdict.origin = TEXT_LITERAL("https://evil.example");
    verdict.host = TEXT_LITERAL("good.example");
    ck_assert_str_eq(sentence(&verdict), "refused: 403 from the server 120 ms after the request; "
                                         "the Origin https://evil.example differs from the Host");
    verdict.origin = TEXT_LITERAL("https://GOOD.example");
    ck_assert_str_eq(sentence(&verdict), "refused: 403 from the server 120 ms after the request; "
                                         "the Origin https://GOOD.example was not accepted");
    verdict.origin = TEXT_NONE;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "; forbidden, to a request without Origin"));
    verdict.origin = TEXT_LITERAL("https://good.example:443");
    ck_assert_ptr_null(strstr(sentence(&verdict), "differs from the Host"));
    verdict = refused(400, CAUSE_STRIPPED_HEADER);
    verdict.wait_ns = -1;
    ck_assert_str_eq(sentence(&verdict), "refused: 400 from the server; Upgrade or its "
                                         "Connection option did not reach the server, as behind a "
                                         "proxy that removes them");
    verdict = refused(302, CAUSE_REDIRECT);
    verdict.location = TEXT_LITERAL("https://h/login");
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "; it redirects to https://h/login"));
    verdict = refused(404, CAUSE_ROUTE);
    verdict.path = TEXT_LITERAL("/ws");
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "; nothing at /ws takes this request"));
    verdict = refused(0, CAUSE_UNKNOWN);
    ck_assert_str_eq(sentence(&verdict), "refused by the server 120 ms after the request");
    verdict.outcome = OUTCOME_IGNORED;
    verdict.status = 200;
    ck_assert_str_eq(sentence(&verdict), "ignored: 200 from the server 120 ms after the request");
    for (int cause = CAUSE_NONE; cause <= CAUSE_UNKNOWN + 1; cause++) {
        verdict.cause = (enum cause)cause;
        (void)sentence(&verdict);
    }
}
END_TEST

START_TEST(test_switched)
{
    struct verdict verdict = switched(SESSION_END_CLOSE, CLIENT, 0);
    verdict.close_code[CLIENT] = verdict.close_code[SERVER] = 1000;
    ck_assert_str_eq(sentence(&verdict), "switched to websocket, 214 messages in 12.3 s, closed by "
                                         "the client with 1000");
    verdict.close_code[SERVER] = 1011;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "with 1000, answered with 1011"));
    verdict = switched(SESSION_END_CLOSE_UNANSWERED, SERVER, 0);
    verdict.close_code[SERVER] = 1005;
    verdict.messages = 1;
    ck_assert_str_eq(sentence(&verdict), "switched to websocket, 1 message in 12.3 s, closed by "
                                         "the server without a code, which was not answered");
    verdict = switched(SESSION_END_RST, CLIENT, 30000 * ms);
    ck_assert_str_eq(sentence(&verdict), "switched to websocket, 214 messages in 12.3 s; after "
                                         "30.0 s of silence the client reset the connection "
                                         "without a close frame");
    verdict.mechanism = MECHANISM_EXTENDED_CONNECT; /* the connection lives on */
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "the client reset the stream without"));
    verdict = switched(SESSION_END_FIN, NEITHER, 0);
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "; the connection was ended without a close"));
    verdict = switched(SESSION_END_CAPTURE, NEITHER, 0);
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "; still open when the capture ended"));
    verdict.frames_lost = 7;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), " (7 frames were too many to be stored)"));
    verdict = switched(SESSION_END_FIN, CLIENT, 0);
    verdict.mechanism = MECHANISM_CONNECT;
    verdict.websocket = 0;
    ck_assert_str_eq(sentence(&verdict), "switched to a tunnel for 12.3 s; the client ended the "
                                         "connection");
    verdict.ended = 0;
    ck_assert_str_eq(sentence(&verdict), "switched to a tunnel; still open");
    verdict = switched(SESSION_END_EVICTED, NEITHER, 0);
    verdict.outcome = OUTCOME_UNSOLICITED;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "unsolicited: the server switched to "
                                                     "websocket though nobody had asked"));
}
END_TEST

START_TEST(test_unanswered)
{
    struct verdict verdict = {.outcome = OUTCOME_UNANSWERED, .wait_ns = -1, .duration_ns = -1};
    ck_assert_str_eq(sentence(&verdict), "unanswered so far");
    verdict.ended = 1;
    verdict.end = SESSION_END_RST;
    verdict.end_side = SERVER;
    verdict.duration_ns = 30000 * ms;
    ck_assert_str_eq(sentence(&verdict), "unanswered; the server reset the connection 30.0 s after "
                                         "the request");
    verdict.end = SESSION_END_IDLE;
    ck_assert_str_eq(sentence(&verdict), "unanswered; nothing more came for 30.0 s");
    for (int end = SESSION_END_CLOSE; end <= SESSION_END_CAPTURE; end++) {
        verdict.end = (enum session_end)end;
        ck_assert_ptr_nonnull(strstr(sentence(&verdict), "unanswered; "));
    }
}
END_TEST

/* What was found about an attempt to start TLS is part of its sentence. */
START_TEST(test_starttls_findings)
{
    struct verdict verdict = refused(454, CAUSE_NONE);
    verdict.mechanism = MECHANISM_STARTTLS;
    verdict.wait_ns = 12 * ms;
    verdict.method = TEXT_LITERAL("STARTTLS");
    verdict.reason = TEXT_LITERAL("TLS not available.");
    verdict.clear = TEXT_LITERAL("AUTH PLAIN");
    ck_assert_str_eq(sentence(&verdict), "refused: 454 TLS not available, 12 ms after STARTTLS; "
                                         "the client went on in the clear with AUTH PLAIN");
    verdict.outcome = OUTCOME_IGNORED;
    verdict.status = 0;
    verdict.reason = verdict.clear = TEXT_NONE;
    ck_assert_str_eq(sentence(&verdict), "ignored 12 ms after STARTTLS");
    verdict.outcome = OUTCOME_SWITCHED;
    verdict.accepted = TEXT_LITERAL("TLS");
    verdict.no_hello = 1;
    ck_assert_str_eq(sentence(&verdict), "switched to TLS 12 ms after STARTTLS, but the client "
                                         "sent something else; still open");
}
END_TEST

START_TEST(test_any_text)
{
    char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    struct verdict verdict = refused(403, CAUSE_ORIGIN);
    verdict.origin = verdict.host = (struct text){bytes, sizeof bytes};
    ck_assert_uint_lt(strlen(sentence(&verdict)), 1000);
    verdict.status = 0;
    verdict.reason = verdict.origin;
    ck_assert_uint_lt(strlen(sentence(&verdict)), 1500);
    verdict.outcome = OUTCOME_SWITCHED;
    verdict.offered = verdict.origin;
    ck_assert_uint_lt(strlen(sentence(&verdict)), 1000);
    verdict.target = verdict.method = verdict.reason = verdict.origin;
    for (int mechanism = MECHANISM_UPGRADE; mechanism <= MECHANISM_GNUTELLA; mechanism++) {
        verdict.mechanism = (enum mechanism)mechanism;
        for (int outcome = OUTCOME_UNANSWERED; outcome <= OUTCOME_UNSOLICITED; outcome++) {
            verdict.outcome = (enum outcome)outcome;
            ck_assert_uint_lt(strlen(sentence(&verdict)), 1500);
        }
    }
}
END_TEST

static struct verdict tunnel(enum mechanism mechanism, enum outcome outcome)
{
    return (struct verdict){.mechanism = mechanism, .outcome = outcome, .answered = 1,
                            .wait_ns = 3 * ms, .duration_ns = 12300 * ms, .ended = 1,
                            .end = SESSION_END_FIN, .end_side = CLIENT, .close_code = {-1, -1}};
}

START_TEST(test_socks)
{
    struct verdict verdict = tunnel(MECHANISM_SOCKS, OUTCOME_SWITCHED);
    verdict.method = TEXT_LITERAL("CONNECT");
    verdict.target = TEXT_LITERAL("example.org:443");
    verdict.accepted = TEXT_LITERAL("SOCKS5");
    ck_assert_str_eq(sentence(&verdict), "tunnel to example.org:443 opened 3.0 ms after the "
                                         "request, used for 12.3 s; the client ended the "
                                         "connection");
    verdict.ended = 0;
    verdict.wait_ns = -1;
    ck_assert_str_eq(sentence(&verdict), "tunnel to example.org:443 opened; still open");
    verdict.target = TEXT_NONE;
    ck_assert_str_eq(sentence(&verdict), "tunnel opened; still open");
    verdict.method = TEXT_LITERAL("BIND");
    verdict.target = TEXT_LITERAL("192.0.2.7:21");
    ck_assert_str_eq(sentence(&verdict), "connection from 192.0.2.7:21 accepted; still open");
    verdict.method = TEXT_LITERAL("UDP ASSOCIATE");
    ck_assert_str_eq(sentence(&verdict), "UDP association opened; still open");
    verdict = tunnel(MECHANISM_SOCKS, OUTCOME_REFUSED);
    verdict.reason = TEXT_LITERAL("Host unreachable");
    verdict.cause = CAUSE_ROUTE;
    verdict.target = TEXT_LITERAL("host:80");
    ck_assert_str_eq(sentence(&verdict), "refused: host unreachable, 3.0 ms after the request; no "
                                         "tunnel to host:80");
    verdict.reason = TEXT_LITERAL("TTL expired");
    verdict.wait_ns = -1;
    verdict.target = TEXT_NONE;
    ck_assert_str_eq(sentence(&verdict), "refused: TTL expired");
    verdict.outcome = OUTCOME_UNANSWERED;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "unanswered; the client ended"));
}
END_TEST

START_TEST(test_gnutella)
{
    struct verdict verdict = tunnel(MECHANISM_GNUTELLA, OUTCOME_SWITCHED);
    verdict.offered = TEXT_LITERAL("TLS/1.2, TLS/1.0");
    verdict.accepted = TEXT_LITERAL("TLS/1.0");
    ck_assert_str_eq(sentence(&verdict), "switched to TLS/1.0 3.0 ms after the request, spoken for "
                                         "12.3 s; the client ended the connection");
    verdict.outcome = OUTCOME_REFUSED;
    verdict.status = 503;
    verdict.reason = TEXT_LITERAL("Full");
    verdict.answered_by = SERVER;
    ck_assert_str_eq(sentence(&verdict), "refused by the server: 503 Full, 3.0 ms after the "
                                         "request");
    verdict.answered_by = CLIENT;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "refused by the client: 503"));
    verdict.outcome = OUTCOME_IGNORED;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "ignored: the client did not confirm"));
    verdict.answered_by = SERVER;
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), "ignored: the server did not take it up"));
}
END_TEST

START_TEST(test_docker)
{
    struct verdict verdict = tunnel(MECHANISM_DOCKER, OUTCOME_SWITCHED);
    verdict.status = 200;
    verdict.accepted = TEXT_LITERAL("application/vnd.docker.raw-stream");
    ck_assert_str_eq(sentence(&verdict), "switched to a raw stream (application/vnd.docker."
                                         "raw-stream) behind a 200 3.0 ms after the request, used "
                                         "for 12.3 s; the client ended the connection");
}
END_TEST

START_TEST(test_protection_failed)
{
    struct verdict verdict = tunnel(MECHANISM_CONNECT, OUTCOME_SWITCHED);
    verdict.failure = TEXT_LITERAL("the client refused the server's certificate (unknown_ca)");
    ck_assert_str_eq(sentence(&verdict), "switched to a tunnel, but in it the client refused the "
                                         "server's certificate (unknown_ca); the client ended the "
                                         "connection");
    verdict.mechanism = MECHANISM_STARTTLS;
    verdict.accepted = TEXT_LITERAL("TLS");
    ck_assert_ptr_nonnull(strstr(sentence(&verdict), ", but the client refused the server's"));
}
END_TEST

Suite *verdict_suite(void)
{
    Suite *suite = suite_create("verdict");
    TCase *tcase = tcase_create("verdict");
    tcase_add_test(tcase, test_refused);
    tcase_add_test(tcase, test_network_or_application);
    tcase_add_test(tcase, test_switched);
    tcase_add_test(tcase, test_unanswered);
    tcase_add_test(tcase, test_starttls_findings);
    tcase_add_test(tcase, test_any_text);
    tcase_add_test(tcase, test_socks);
    tcase_add_test(tcase, test_gnutella);
    tcase_add_test(tcase, test_docker);
    tcase_add_test(tcase, test_protection_failed);
    suite_add_tcase(suite, tcase);
    return suite;
}
