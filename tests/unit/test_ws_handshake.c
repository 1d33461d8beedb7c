/*
 * The WebSocket opening handshake and the negotiation of its extensions: each rule with a
 * handshake that shows it and a close neighbour that does not.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../../dissectors/ws_handshake.h"

Suite *ws_handshake_suite(void);

#define KEY "AQIDBAUGBwgJCgsMDQ4PEA=="
#define ACCEPT "C/0nmHhBztSRGR1CwL6Tf4ZjwpY="
#define FINE "Host: h|Upgrade: websocket|Sec-WebSocket-Key: " KEY "|Sec-WebSocket-Version: 13"
#define YES "Upgrade: websocket|Sec-WebSocket-Accept: " ACCEPT

/* The rules that were reported, by name, in order, each followed by a space. */
static char found[4096];
static char last[320]; /* the evidence of the newest one */
static struct ws_agreement agreed;

static void note(void *context, enum side side, enum rule rule, uint64_t offset,
                 struct text evidence)
{
    (void)context;
    (void)offset;
    size_t len = strlen(found);
    int wrote = snprintf(found + len, sizeof found - len, "%s%s ", side == SERVER ? "<" : ">",
                         rule_table[rule].name);
    ck_assert_int_lt(wrote, (int)(sizeof found - len));
    ck_assert_uint_lt(evidence.len, sizeof last);
    memcpy(last, evidence.data, evidence.len);
    last[evidence.len] = '\0';
}

static const struct http_report report = {.finding = note};

/* Fields as "Name: value|Name: value". */
static struct http_head head_of(const char *lines, struct http_field *fields, int response)
{
    struct http_head head = {.response = response, .method = TEXT_LITERAL("GET"), .minor = 1,
                             .target = TEXT_LITERAL("/x"), .fields = fields, .status = 101};
    while (*lines != '\0') {
        size_t len = strcspn(lines, "|"), name = strcspn(lines, ":");
        struct text value = {lines + name + 1, len - name - 1};
        fields[head.count++] = (struct http_field){.name = {lines, name},
                                                   .value = http_text_trim(value),
                                                   .offset = head.count * 10};
        lines += len + (lines[len] == '|');
    }
    return head;
}

static void ask(const char *lines)
{
    struct http_field fields[32];
    struct http_head request = head_of(lines, fields, 0);
    found[0] = '\0';
    (void)ws_handshake_request(&request, &report);
}

/* Only what the answer breaks. */
static void answer_to(const char *request_lines, const char *lines)
{
    struct http_field asked[32], told[32];
    struct http_head request = head_of(request_lines, asked, 0);
    struct http_head answer = head_of(lines, told, 1);
    int broken = ws_handshake_request(&request, &report);
    found[0] = '\0';
    ws_handshake_answer(&request, &answer, broken, 0, &report, &agreed);
}

START_TEST(accept_of_the_rfc)
{
    char accept[29];
    (void)ws_handshake_accept((struct text){"dGhlIHNhbXBsZSBub25jZQ==", 24}, accept);
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
END_TEST

START_TEST(fine)
{
    ask(FINE);
    ck_assert_str_eq(found, "");
    answer_to(FINE, YES);
    ck_assert_str_eq(found, "");
    ck_assert_int_eq(agreed.accept_valid, 1);
    ck_assert_int_eq(agreed.deflate, 0);
}
END_TEST

START_TEST(versions)
{
    ask("Host: h|Sec-WebSocket-Key: " KEY);
    ck_assert_str_eq(found, ">ws-version-missing ");
    ask("Host: h|Sec-WebSocket-Key: " KEY "|Sec-WebSocket-Version: 14");
    ck_assert_str_eq(found, ">ws-version-not-13 ");
    ask("Host: h|Sec-WebSocket-Key: " KEY "|Sec-WebSocket-Version: 13|Sec-WebSocket-Version: 13");
    ck_assert_str_eq(found, ">ws-version-header-duplicate ");
    ask("Host: h|Sec-WebSocket-Key: " KEY "|Sec-WebSocket-Version: 8|"
        "Sec-WebSocket-Origin: http://a");
    ck_assert_str_eq(found, ">ws-handshake-on-legacy-draft >ws-version-not-13 ");
    ask("Host: h|Sec-WebSocket-Key1: 1 2|Sec-WebSocket-Key2: 3 4");
    ck_assert_str_eq(found, ">ws-handshake-on-legacy-draft ");
}
END_TEST

START_TEST(keys)
{
    ask("Host: h|Sec-WebSocket-Version: 13");
    ck_assert_str_eq(found, ">ws-key-missing ");
    ask("Host: h|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4P");
    ck_assert_str_eq(found, ">ws-key-length ");
    ask("Host: h|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PE*==");
    ck_assert_str_eq(found, ">ws-key-length ");
    ask(FINE "|Sec-WebSocket-Key: " KEY);
    ck_assert_str_eq(found, ">ws-key-duplicate ");
    ask("Host: h|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
    ck_assert_str_eq(found, ">ws-key-well-known ");
    ask("Host: h|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==");
    ck_assert_str_eq(found, ">ws-key-well-known ");
}
END_TEST

START_TEST(host_and_target)
{
    ask("Sec-WebSocket-Key: " KEY "|Sec-WebSocket-Version: 13");
    ck_assert_str_eq(found, ">ws-host-missing ");
    struct http_field fields[8];
    struct http_head request = head_of(FINE, fields, 0);
    request.target = TEXT_LITERAL("ws://h/x");
    found[0] = '\0';
    ck_assert_int_eq(ws_handshake_request(&request, &report), 0);
    ck_assert_str_eq(found, ">ws-request-target-form ");
    request = head_of(FINE "|Proxy-Connection: keep-alive", fields, 0);
    request.target = TEXT_LITERAL("http://h/x");
    found[0] = '\0';
    (void)ws_handshake_request(&request, &report);
    ck_assert_str_eq(found, "");
}
END_TEST

START_TEST(absence_proves_nothing)
{
    struct http_field fields[8];
    struct http_head request = head_of("Upgrade: websocket", fields, 0);
    request.flags = HTTP_INCOMPLETE;
    found[0] = '\0';
    ck_assert_int_eq(ws_handshake_request(&request, &report), 0);
    ck_assert_str_eq(found, "");
    struct http_field told[8];
    struct http_head answer = head_of(YES "|Sec-WebSocket-Extensions: permessage-deflate"
                                          "|Sec-WebSocket-Protocol: a", told, 1);
    ws_handshake_answer(&request, &answer, 1, 0, &report, &agreed);
    ck_assert_str_eq(found, "");
    ws_handshake_answer(NULL, &answer, 0, 0, &report, &agreed);
    ck_assert_str_eq(found, "");
    ck_assert_int_eq(agreed.accept_valid, -1);
    ck_assert_int_eq(agreed.deflate, 1);
}
END_TEST

START_TEST(accepts)
{
    answer_to(FINE, "Upgrade: websocket");
    ck_assert_str_eq(found, "<ws-accept-missing ");
    ck_assert_int_eq(agreed.accept_valid, -1);
    answer_to(FINE, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ck_assert_str_eq(found, "<ws-accept-wrong ");
    ck_assert_int_eq(agreed.accept_valid, 0);
    answer_to(FINE, "Sec-WebSocket-Accept: " KEY);
    ck_assert_str_eq(found, "<ws-accept-echoes-key ");
    answer_to(FINE, YES "|Sec-WebSocket-Accept: " ACCEPT);
    ck_assert_str_eq(found, "<ws-accept-duplicate ");
    answer_to("Host: h|Sec-WebSocket-Version: 13", YES);
    ck_assert_str_eq(found, "<ws-101-despite-bad-request ");
    ck_assert_int_eq(agreed.accept_valid, -1);
    struct http_field asked[8], told[8];
    struct http_head request = head_of(FINE, asked, 0);
    struct http_head answer = head_of("Sec-WebSocket-Accept: " KEY, told, 1);
    found[0] = '\0';
    ws_handshake_answer(&request, &answer, 0, 1, &report, &agreed);
    ck_assert_str_eq(found, "");
    ck_assert_int_eq(agreed.accept_valid, -1);
}
END_TEST

START_TEST(subprotocols)
{
    ask(FINE "|Sec-WebSocket-Protocol: mqtt, wamp");
    ck_assert_str_eq(found, "");
    ask(FINE "|Sec-WebSocket-Protocol: mqtt|Sec-WebSocket-Protocol: mqtt");
    ck_assert_str_eq(found, ">ws-subprotocol-duplicate-offer ");
    ask(FINE "|Sec-WebSocket-Protocol: mqtt,,a b");
    ck_assert_str_eq(found, ">ws-subprotocol-syntax >ws-subprotocol-syntax ");
    ask(FINE "|Sec-WebSocket-Protocol: MQTT, my-own");
    ck_assert_str_eq(found, ">ws-subprotocol-case-variant >ws-subprotocol-unregistered ");
    answer_to(FINE "|Sec-WebSocket-Protocol: mqtt, wamp", YES "|Sec-WebSocket-Protocol: wamp");
    ck_assert_str_eq(found, "");
    ck_assert_uint_eq(agreed.subprotocol.len, 4);
    answer_to(FINE "|Sec-WebSocket-Protocol: mqtt", YES "|Sec-WebSocket-Protocol: MQTT");
    ck_assert_str_eq(found, "<ws-subprotocol-not-offered ");
    answer_to(FINE, YES "|Sec-WebSocket-Protocol: mqtt");
    ck_assert_str_eq(found, "<ws-subprotocol-not-offered ");
    answer_to(FINE "|Sec-WebSocket-Protocol: mqtt, wamp",
              YES "|Sec-WebSocket-Protocol: wamp, mqtt");
    ck_assert_str_eq(found, "<ws-subprotocol-multiple ");
    answer_to(FINE "|Sec-WebSocket-Protocol: mqtt", YES);
    ck_assert_str_eq(found, "<ws-subprotocol-offered-none-chosen ");
    ck_assert_ptr_null(agreed.subprotocol.data);
}
END_TEST

START_TEST(extensions)
{
    ask(FINE "|Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits");
    ck_assert_str_eq(found, "");
    ask(FINE "|Sec-WebSocket-Extensions:");
    ck_assert_str_eq(found, "");
    ask(FINE "|Sec-WebSocket-Extensions: x-webkit-deflate-frame");
    ck_assert_str_eq(found, ">ws-extension-unregistered ");
    ask(FINE "|Sec-WebSocket-Extensions: permessage-deflate; =1");
    ck_assert_str_eq(found, ">ws-extension-syntax ");
    ask(FINE "|Sec-WebSocket-Extensions: bbf-usp-protocol; eid=\"not a token\"");
    ck_assert_str_eq(found, ">ws-extension-syntax ");
    answer_to(FINE, YES "|Sec-WebSocket-Extensions: permessage-deflate");
    ck_assert_str_eq(found, "<ws-extension-not-offered ");
    ck_assert_int_eq(agreed.deflate, 1);
    answer_to(FINE "|Sec-WebSocket-Extensions: bbf-usp-protocol, permessage-deflate",
              YES "|Sec-WebSocket-Extensions: permessage-deflate"
                  "|Sec-WebSocket-Extensions: bbf-usp-protocol");
    ck_assert_str_eq(found, "<ws-extensions-duplicate-in-response ");
    ck_assert_int_eq(agreed.other_extensions, 1);
}
END_TEST

#define OFFER(parameters) FINE "|Sec-WebSocket-Extensions: permessage-deflate" parameters
#define CHOOSE(parameters) YES "|Sec-WebSocket-Extensions: permessage-deflate" parameters

START_TEST(deflate_parameters)
{
    ask(OFFER("; server_max_window_bits=\"10\"; client_max_window_bits=15"));
    ck_assert_str_eq(found, "");
    ask(OFFER("; mem_level=9"));
    ck_assert_str_eq(found, ">pmd-unknown-parameter ");
    ask(OFFER("; server_max_window_bits=10; server_max_window_bits=10"));
    ck_assert_str_eq(found, ">pmd-duplicate-parameter ");
    ask(OFFER("; server_no_context_takeover=1"));
    ck_assert_str_eq(found, ">pmd-takeover-with-value ");
    static const char *const wrong[] = {
        OFFER("; server_max_window_bits=7"), OFFER("; server_max_window_bits=16"),
        OFFER("; server_max_window_bits=08"), OFFER("; client_max_window_bits=x"),
        OFFER("; server_max_window_bits"), OFFER("; client_max_window_bits=150")};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ask(wrong[i]);
        ck_assert_str_eq(found, ">pmd-window-out-of-range ");
    }
    answer_to(OFFER("; client_max_window_bits"), CHOOSE("; client_max_window_bits"));
    ck_assert_str_eq(found, "<pmd-window-out-of-range ");
}
END_TEST

START_TEST(deflate_agreement)
{
    answer_to(OFFER("; client_max_window_bits; server_max_window_bits=12"),
              CHOOSE("; server_max_window_bits=9; client_max_window_bits=11; "
                     "client_no_context_takeover; server_no_context_takeover"));
    ck_assert_str_eq(found, "");
    ck_assert_uint_eq(agreed.server_max_window_bits, 9);
    ck_assert_uint_eq(agreed.client_max_window_bits, 11);
    ck_assert(agreed.client_no_context_takeover && agreed.server_no_context_takeover);
    answer_to(OFFER("; server_max_window_bits=10"), CHOOSE("; server_max_window_bits=11"));
    ck_assert_str_eq(found, "<pmd-response-window-larger-than-offer ");
    answer_to(OFFER(""), CHOOSE("; client_max_window_bits=11"));
    ck_assert_str_eq(found, "<pmd-client-window-not-offered ");
    answer_to(OFFER("; server_max_window_bits=10"), CHOOSE(""));
    ck_assert_str_eq(found, "<pmd-server-window-ignored ");
    answer_to(OFFER("; server_no_context_takeover"), CHOOSE(""));
    ck_assert_str_eq(found, "<pmd-server-takeover-ignored ");
    answer_to(OFFER("; client_no_context_takeover"), CHOOSE(""));
    ck_assert_str_eq(found, "");
}
END_TEST

START_TEST(deflate_fallback)
{ /* an answer has to keep to one of the offers only */
    answer_to(OFFER("; server_max_window_bits=10, permessage-deflate"), CHOOSE(""));
    ck_assert_str_eq(found, "");
    answer_to(OFFER("; server_max_window_bits=10; server_no_context_takeover, "
                    "permessage-deflate; server_no_context_takeover"), CHOOSE(""));
    ck_assert_str_eq(found, "<pmd-server-takeover-ignored ");
}
END_TEST

START_TEST(secrets_stay_secret)
{
    ask(FINE "|Sec-WebSocket-Protocol: authorization.bearer.SECRET");
    ck_assert_str_eq(found, ">ws-subprotocol-unregistered ");
    ck_assert_ptr_null(strstr(last, "SECRET"));
    ask(FINE "|Sec-WebSocket-Protocol: my-own");
    ck_assert_str_eq(last, "my-own");
}
END_TEST

START_TEST(many_members)
{ /* findings are bounded, whatever a head holds */
    static char lines[70000];
    size_t len = strlen(FINE "|Sec-WebSocket-Protocol: ");
    memcpy(lines, FINE "|Sec-WebSocket-Protocol: ", len);
    for (; len < sizeof lines - 3; len += 2)
        memcpy(lines + len, "@,", 2);
    struct http_field fields[8];
    struct http_head request = head_of(lines, fields, 0);
    found[0] = '\0';
    (void)ws_handshake_request(&request, &report);
    ck_assert_uint_eq(strlen(found), 64 * strlen(">ws-subprotocol-syntax "));
}
END_TEST

Suite *ws_handshake_suite(void)
{
    Suite *suite = suite_create("ws_handshake");
    TCase *tc = tcase_create("ws_handshake");
    tcase_add_test(tc, accept_of_the_rfc);
    tcase_add_test(tc, fine);
    tcase_add_test(tc, versions);
    tcase_add_test(tc, keys);
    tcase_add_test(tc, host_and_target);
    tcase_add_test(tc, absence_proves_nothing);
    tcase_add_test(tc, accepts);
    tcase_add_test(tc, subprotocols);
    tcase_add_test(tc, extensions);
    tcase_add_test(tc, deflate_parameters);
    tcase_add_test(tc, deflate_agreement);
    tcase_add_test(tc, deflate_fallback);
    tcase_add_test(tc, secrets_stay_secret);
    tcase_add_test(tc, many_members);
    suite_add_tcase(suite, tc);
    return suite;
}
