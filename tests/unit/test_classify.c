/*
 * nDPI behind classify.h: known bytes get their names, unknown bytes get none, damaged packets and
 * exhausted budgets do no harm.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/classify.h"

Suite *classify_suite(void);

static struct classifier *open_classifier(void)
{
    struct error error = {{0}};
    struct classifier *classifier = classifier_new(&error);
    ck_assert_msg(classifier != NULL, "%s", error.text);
    return classifier;
}

static int text_is(struct text text, const char *expected)
{
    return text.data != NULL && text.len == strlen(expected) &&
           memcmp(text.data, expected, text.len) == 0;
}

static struct text text_from(const char *string)
{
    return (struct text){string, strlen(string)};
}

#define SSH_BANNER "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
#define HTTP_REQUEST "GET /chat HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test/1\r\n\r\n"

START_TEST(classify_bytes_names_ssh)
{
    struct classifier *classifier = open_classifier();
    struct text head[2] = {TEXT_LITERAL(SSH_BANNER), TEXT_LITERAL(SSH_BANNER)};
    struct classification result;
    classify_bytes(classifier, head, &result);
    ck_assert(text_is(result.protocol, "SSH"));
    ck_assert(text_is(result.category, "RemoteAccess"));
    ck_assert_ptr_null(result.risk.data); /* the odd ports are invented */
    classifier_free(classifier);
}
END_TEST

START_TEST(classify_bytes_of_one_side)
{
    struct classifier *classifier = open_classifier();
    struct classification result;
    struct text client[2] = {TEXT_LITERAL(HTTP_REQUEST), TEXT_NONE};
    classify_bytes(classifier, client, &result);
    ck_assert(text_is(result.protocol, "HTTP"));
    struct text server[2] = {TEXT_NONE, TEXT_LITERAL(SSH_BANNER)};
    classify_bytes(classifier, server, &result);
    ck_assert(result.protocol.data == NULL || text_is(result.protocol, "SSH"));
    classifier_free(classifier);
}
END_TEST

START_TEST(classify_bytes_unknown_is_none)
{
    struct classifier *classifier = open_classifier();
    char noise[2][64];
    uint32_t state = 12345;
    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 1103515245u + 12345u;
        noise[i / 64][i % 64] = (char)(state >> 16);
    }
    struct text head[2] = {{noise[0], 64}, {noise[1], 64}};
    struct classification result;
    classify_bytes(classifier, head, &result);
    ck_assert_ptr_null(result.protocol.data);
    ck_assert_ptr_null(result.category.data);
    ck_assert_ptr_null(result.risk.data);
    struct text nothing[2] = {TEXT_NONE, TEXT_NONE};
    classify_bytes(classifier, nothing, &result);
    ck_assert_ptr_null(result.protocol.data);
    classifier_free(classifier);
}
END_TEST

/* A TLS 1.2 ClientHello with a server name, as long as nDPI needs it to be. */
static size_t client_hello(uint8_t *out, const char *name)
{
    size_t name_len = strlen(name), at = 0;
    size_t extension = name_len + 5, extensions = extension + 4;
    size_t hello = 2 + 32 + 1 + 6 + 2 + 2 + extensions;
    out[at++] = 22, out[at++] = 3, out[at++] = 1;
    out[at++] = (uint8_t)((hello + 4) >> 8), out[at++] = (uint8_t)(hello + 4);
    out[at++] = 1, out[at++] = 0;
    out[at++] = (uint8_t)(hello >> 8), out[at++] = (uint8_t)hello;
    out[at++] = 3, out[at++] = 3;
    for (size_t i = 0; i < 32; i++)
        out[at++] = (uint8_t)(i * 37 + 11);
    out[at++] = 0;
    out[at++] = 0, out[at++] = 4;
    out[at++] = 0xc0, out[at++] = 0x2f;
    out[at++] = 0x13, out[at++] = 0x01;
    out[at++] = 1, out[at++] = 0;
    out[at++] = (uint8_t)(extensions >> 8), out[at++] = (uint8_t)extensions;
    out[at++] = 0, out[at++] = 0;
    out[at++] = (uint8_t)(extension >> 8), out[at++] = (uint8_t)extension;
    out[at++] = (uint8_t)((extension - 2) >> 8), out[at++] = (uint8_t)(extension - 2);
    out[at++] = 0;
    out[at++] = (uint8_t)(name_len >> 8), out[at++] = (uint8_t)name_len;
    memcpy(out + at, name, name_len);
    return at + name_len;
}

static struct segment plain_segment(enum side sender, const uint8_t *payload, size_t len)
{
    struct segment s = {
        .source = {4, {10, 0, 0, (uint8_t)(1 + sender)}},
        .target = {4, {10, 0, 0, (uint8_t)(2 - sender)}},
        .source_port = sender == CLIENT ? 40000 : 9443,
        .target_port = sender == CLIENT ? 9443 : 40000,
        .seq = 100,
        .ack = 200,
        .flags = TCP_ACK | TCP_PSH,
        .window = 1000,
        .payload = payload,
        .payload_len = len,
        .payload_wire = len,
        .packet = 4,
        .time_ns = 1700000000000000000,
    };
    return s;
}

START_TEST(classify_packet_joins_names)
{
    struct classifier *classifier = open_classifier();
    uint8_t hello[256];
    size_t len = client_hello(hello, "www.google.com");
    struct budget budget;
    budget_init(&budget, 1 << 20, NULL);
    struct classification first = {TEXT_NONE, TEXT_NONE, TEXT_NONE}, second;
    for (int i = 0; i < 2; i++) {
        struct classify_flow *state = NULL;
        struct segment segment = plain_segment(CLIENT, hello, len);
        struct classification *result = i == 0 ? &first : &second;
        if (!classify_packet(classifier, &state, &segment, CLIENT, &budget, result))
            classify_finish(classifier, &state, &budget, result);
        ck_assert_ptr_null(state);
        ck_assert_uint_eq(budget.used, 0);
        ck_assert(text_is(result->protocol, "TLS.Google"));
        ck_assert(text_is(result->category, "Web"));
    }
    ck_assert_ptr_eq(first.protocol.data, second.protocol.data); /* kept once */
    classifier_free(classifier);
}
END_TEST

START_TEST(classify_packet_out_of_budget)
{
    struct classifier *classifier = open_classifier();
    struct budget budget;
    budget_init(&budget, 64, NULL);
    struct classify_flow *state = NULL;
    struct classification result = {TEXT_LITERAL("x"), TEXT_LITERAL("x"), TEXT_LITERAL("x")};
    struct segment segment = plain_segment(CLIENT, (const uint8_t *)"GET", 3);
    ck_assert_int_eq(classify_packet(classifier, &state, &segment, CLIENT, &budget, &result), 1);
    ck_assert_ptr_null(state);
    ck_assert_ptr_null(result.protocol.data);
    ck_assert_ptr_null(result.risk.data);
    classifier_free(classifier);
}
END_TEST

START_TEST(classify_survives_damaged_packets)
{
    struct classifier *classifier = open_classifier();
    struct budget budget;
    budget_init(&budget, 1 << 20, NULL);
    uint8_t hello[256];
    size_t len = client_hello(hello, "example.org");
    uint32_t state_random = 1;
    for (unsigned i = 0; i < 300; i++) {
        /* Any bytes as the IP header, exactly as long as they are said to be. */
        size_t size = 1 + i % 90;
        uint8_t *raw = malloc(size);
        ck_assert_ptr_nonnull(raw);
        for (size_t k = 0; k < size; k++) {
            state_random = state_random * 1103515245u + 12345u;
            raw[k] = (uint8_t)(state_random >> 16);
        }
        if (i % 2 == 0)
            raw[0] = 0x45;
        struct segment segment = plain_segment(i % 2 ? CLIENT : SERVER, hello, len - i % len);
        if (i % 3 == 0) {
            segment.source.family = segment.target.family = 6;
            segment.source.bytes[15] = 1;
        }
        segment.ip = raw;
        segment.ip_len = size;
        struct classify_flow *state = NULL;
        struct classification result;
        if (!classify_packet(classifier, &state, &segment, CLIENT, &budget, &result))
            classify_finish(classifier, &state, &budget, &result);
        free(raw);
        ck_assert_uint_eq(budget.used, 0);
    }
    classifier_free(classifier);
}
END_TEST

START_TEST(classify_bytes_many_different)
{
    struct classifier *classifier = open_classifier();
    static const char *const heads[] = {
        SSH_BANNER, HTTP_REQUEST, "220 mail.example.org ESMTP\r\n", "EHLO client\r\n",
        "\x16\x03\x01\x02\x00\x01", "* OK IMAP4rev1 ready\r\n", "+OK POP3\r\n", "\x05\x01\x00",
    };
    struct classification result;
    for (size_t i = 0; i < 8; i++) {
        for (size_t k = 0; k < 8; k++) {
            struct text head[2] = {text_from(heads[i]), text_from(heads[k])};
            classify_bytes(classifier, head, &result);
            ck_assert(result.protocol.data == NULL || result.protocol.len > 0);
        }
    }
    classifier_free(classifier);
}
END_TEST

START_TEST(classify_has_version)
{
    ck_assert_ptr_nonnull(classify_version());
    ck_assert_uint_ge(strlen(classify_version()), 3);
}
END_TEST

Suite *classify_suite(void)
{
    Suite *suite = suite_create("classify");
    TCase *tcase = tcase_create("classify");
    tcase_add_test(tcase, classify_bytes_names_ssh);
    tcase_add_test(tcase, classify_bytes_of_one_side);
    tcase_add_test(tcase, classify_bytes_unknown_is_none);
    tcase_add_test(tcase, classify_packet_joins_names);
    tcase_add_test(tcase, classify_packet_out_of_budget);
    tcase_add_test(tcase, classify_survives_damaged_packets);
    tcase_add_test(tcase, classify_bytes_many_different);
    tcase_add_test(tcase, classify_has_version);
    suite_add_tcase(suite, tcase);
    return suite;
}
