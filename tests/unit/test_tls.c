/*
 * TLS: hellos read and refused, fingerprints against the examples of their specification, records
 * and messages cut anywhere, what stands in front of hellos, what follows from them. Each
 * conversation is played whole, byte by byte and in odd pieces with the same result (fake_rules()).
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/stack_private.h"
#include "../../dissectors/tls_private.h"
#include "fake_layer.h"

Suite *tls_suite(void);

/* --- building --- */

struct buf {
    uint8_t data[70000];
    size_t len;
};

static void put(struct buf *b, const void *data, size_t len)
{
    ck_assert_uint_le(b->len + len, sizeof b->data);
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void put_number(struct buf *b, size_t size, size_t value)
{
    for (size_t i = size; i-- > 0;)
        put(b, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

/* "1301,1302" as two bytes each. */
static void put_list(struct buf *b, const char *hex)
{
    for (; *hex != '\0'; hex += hex[4] == ',' ? 5 : 4)
        put_number(b, 2, strtoul((char[]){hex[0], hex[1], hex[2], hex[3], '\0'}, NULL, 16));
}

static size_t list_len(const char *hex)
{
    return (strlen(hex) + 1) / 5 * 2;
}

struct hello {
    unsigned version;       /* of the message; 0: TLS 1.2 */
    const char *session_id; /* its bytes as text */
    const char *ciphers;    /* a client's */
    unsigned cipher;        /* a server's */
    const char *extensions; /* their types, in order; NULL: no block */
    const char *signatures, *versions, *sni;
    const char *alpn; /* the list as on the wire */
    size_t alpn_len;
    int retry, ticket;
};

static void put_extension(struct buf *b, const struct hello *h, int server, unsigned type)
{
    struct buf *body = calloc(1, sizeof *body);
    ck_assert_ptr_nonnull(body);
    if (type == 0 && h->sni != NULL) {
        size_t len = strlen(h->sni);
        put_number(body, 2, len + 3);
        put_number(body, 1, 0);
        put_number(body, 2, len);
        put(body, h->sni, len);
    } else if (type == 16 && h->alpn != NULL) {
        put_number(body, 2, h->alpn_len);
        put(body, h->alpn, h->alpn_len);
    } else if (type == 13) {
        const char *list = h->signatures != NULL ? h->signatures : "";
        put_number(body, 2, list_len(list));
        put_list(body, list);
    } else if (type == 43) {
        const char *list = h->versions != NULL ? h->versions : "0304";
        if (!server)
            put_number(body, 1, list_len(list));
        put_list(body, list);
    } else if (type == 35 && h->ticket) {
        put(body, "ticket", 6);
    } else if (type == 51 && h->retry) {
        put_list(body, "0018");
    }
    put_number(b, 2, type);
    put_number(b, 2, body->len);
    put(b, body->data, body->len);
    free(body);
}

static const uint8_t retry_random[] = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8"
                                      "\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8"
                                      "\x33\x9c";

/* The body of a hello. */
static void make_body(struct buf *b, const struct hello *h, int server)
{
    const char *id = h->session_id != NULL ? h->session_id : "";
    b->len = 0;
    put_number(b, 2, h->version != 0 ? h->version : 0x0303);
    put(b, h->retry ? retry_random : (const uint8_t *)"0123456789abcdef0123456789abcdef", 32);
    put_number(b, 1, strlen(id));
    put(b, id, strlen(id));
    if (server) {
        put_number(b, 2, h->cipher);
        put_number(b, 1, 0);
    } else {
        put_number(b, 2, list_len(h->ciphers));
        put_list(b, h->ciphers);
        put(b, "\1", 2);
    }
    if (h->extensions == NULL)
        return;
    size_t at = b->len;
    put_number(b, 2, 0);
    for (const char *hex = h->extensions; *hex != '\0'; hex += hex[4] == ',' ? 5 : 4)
        put_extension(b, h, server,
                      (unsigned)strtoul((char[]){hex[0], hex[1], hex[2], hex[3], '\0'}, NULL, 16));
    size_t len = b->len - at - 2;
    b->data[at] = (uint8_t)(len >> 8);
    b->data[at + 1] = (uint8_t)len;
}

static void put_record(struct buf *b, unsigned type, const void *data, size_t len)
{
    put_number(b, 1, type);
    put_number(b, 2, 0x0303);
    put_number(b, 2, len);
    put(b, data, len);
}

/* A hello as a message, in records of `size` bytes (0: one). */
static void put_hello(struct buf *b, const struct hello *h, int server, size_t size)
{
    struct buf *body = calloc(1, sizeof *body), *message = calloc(1, sizeof *message);
    ck_assert(body != NULL && message != NULL);
    make_body(body, h, server);
    put_number(message, 1, server ? 2 : 1);
    put_number(message, 3, body->len);
    put(message, body->data, body->len);
    size = size > 0 ? size : message->len;
    for (size_t at = 0; at < message->len; at += size)
        put_record(b, 22, message->data + at,
                   message->len - at < size ? message->len - at : size);
    free(body);
    free(message);
}

static const struct hello usual = {.ciphers = "1301,c02f", .extensions = "0000,002b",
                                   .sni = "a.example"};
static const struct hello usual12 = {.ciphers = "c02f", .extensions = "0000", .sni = "a.example"};
static const struct hello answer = {.cipher = 0x1301, .extensions = "002b,0033"};
static const struct hello answer12 = {.cipher = 0xc02f};

static void say(struct fake *f, enum side side, const struct hello *h)
{
    struct buf *b = calloc(1, sizeof *b);
    ck_assert_ptr_nonnull(b);
    put_hello(b, h, side == SERVER, 0);
    fake_data(f, side, b->data, b->len);
    free(b);
}

static void say_record(struct fake *f, enum side side, unsigned type, const void *data, size_t len)
{
    struct buf *b = calloc(1, sizeof *b);
    ck_assert_ptr_nonnull(b);
    put_record(b, type, data, len);
    fake_data(f, side, b->data, b->len);
    free(b);
}

static void say_text(struct fake *f, enum side side, const char *text)
{
    fake_data(f, side, text, strlen(text));
}

static const enum rule no_hello = RULE_STARTTLS_NO_CLIENTHELLO;

enum { GRANT_END = 1000 };

/* Behind a STARTTLS whose grant is the server's bytes before GRANT_END; what follows was sent when
 * that was acknowledged. */
static struct fake *granted(void)
{
    struct fake *f = fake_new("starttls", "TLS");
    fake_hint(f, "starttls", "1");
    f->granted = 1;
    f->grant_end = GRANT_END;
    f->mismatch_rule = &no_hello;
    f->acked = GRANT_END;
    return f;
}

static void has(struct fake *f, const char *text)
{
    ck_assert_msg(strstr(f->log, text) != NULL, "%s is not in\n%s", text, f->log);
}

static void has_not(struct fake *f, const char *text)
{
    ck_assert_msg(strstr(f->log, text) == NULL, "%s is in\n%s", text, f->log);
}

/* Plays, compares the findings and a part of the log, frees. */
static void expect(struct fake *f, const char *rules, const char *text)
{
    ck_assert_str_eq(fake_rules(f), rules);
    has(f, text);
    fake_free(f);
}

/* --- hellos and fingerprints --- */

static void check_ja4(const struct hello *h, const char *want)
{
    struct buf *b = calloc(1, sizeof *b);
    struct tls_hello hello;
    struct budget budget;
    char ja4[TLS_JA4_SIZE];
    ck_assert_ptr_nonnull(b);
    budget_init(&budget, 1u << 20, NULL);
    make_body(b, h, 0);
    ck_assert_int_eq(tls_client_hello(b->data, b->len, &hello), 0);
    tls_ja4(&hello, &budget, ja4);
    ck_assert_str_eq(ja4, want);
    ck_assert_uint_eq(budget.used, 0);
    free(b);
}

#define CHROME_CIPHERS \
    "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
#define CHROME_SIGNATURES "0403,0804,0401,0503,0805,0501,0806,0601"

START_TEST(ja4_of_the_specification)
{
    struct hello h = {
        .ciphers = "3a3a," CHROME_CIPHERS,
        .extensions = "7a7a,001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,"
                      "000a,0015,aaaa",
        .signatures = "1a1a," CHROME_SIGNATURES,
        .versions = "fafa,0304,0303",
        .sni = "example.com",
        .alpn = "\2h2\10http/1.1",
        .alpn_len = 12,
    };
    check_ja4(&h, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    h.signatures = NULL;
    check_ja4(&h, "t13d1516h2_8daaf6152771_6d807ffa2a79");
    h.signatures = CHROME_SIGNATURES; /* a newer one, with other extensions */
    h.extensions = "002d,0033,0010,fe0d,0017,44cd,0000,000b,000a,002b,ff01,0023,0012,0005,000d,"
                   "001b";
    check_ja4(&h, "t13d1516h2_8daaf6152771_d8a2da3f94cd");
}
END_TEST

START_TEST(ja4_at_the_edges)
{
    struct hello h = {.ciphers = "", .extensions = NULL, .version = 0x0301};
    check_ja4(&h, "t10i000000_000000000000_000000000000");
    h.extensions = "0000,0010"; /* nothing but what the head says; flawed within, but counted */
    check_ja4(&h, "t10d000200_000000000000_000000000000");
    h.extensions = "002b";
    h.versions = "0a0a"; /* nothing that is a version */
    check_ja4(&h, "t00i000100_000000000000_b9a491fefe05");
    char many[1000] = "";
    for (int i = 0; i < 120; i++)
        (void)snprintf(many + 5 * i, 6, "%04x,", 0x3000 + i);
    many[strlen(many) - 1] = '\0';
    h = (struct hello){.ciphers = many, .version = 0x0300, .extensions = many};
    struct buf *b = calloc(1, sizeof *b);
    struct tls_hello hello;
    struct budget budget;
    char ja4[TLS_JA4_SIZE];
    ck_assert_ptr_nonnull(b);
    budget_init(&budget, 1u << 20, NULL);
    make_body(b, &h, 0);
    ck_assert_int_eq(tls_client_hello(b->data, b->len, &hello), 0);
    tls_ja4(&hello, &budget, ja4);
    ck_assert_msg(strncmp(ja4, "ts3i999900_", 11) == 0, "%s", ja4);
    free(b);
}
END_TEST

START_TEST(ja4_of_names_that_are_no_letters)
{
    static const struct {
        const char *list, *want;
    } rows[] = {
        {"\1\xab", "ab"},         {"\2\xab\xcd", "ad"}, {"\2\x30\xab", "3b"},
        {"\4\x30\x31\xab\xcd", "3d"}, {"\4\x30\xab\xcd\x31", "01"}, {"\1h", "hh"},
        {"\10http/1.1", "h1"},    {"\2\x0a\x0a\2h2", "h2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hello h = {.ciphers = "1301", .extensions = "0010", .alpn = rows[i].list,
                          .alpn_len = strlen(rows[i].list)};
        char want[64];
        (void)snprintf(want, sizeof want, "t12i0101%s_0f2cb44170f4_000000000000", rows[i].want);
        check_ja4(&h, want);
    }
    struct hello none = {.ciphers = "1301", .extensions = "0010", .alpn = "\0", .alpn_len = 1};
    check_ja4(&none, "t12i010100_0f2cb44170f4_000000000000");
}
END_TEST

START_TEST(ja4s_of_the_specification)
{
    struct hello h = {.cipher = 0xc030, .extensions = "0005,0017,ff01,0000"};
    struct buf *b = calloc(1, sizeof *b);
    struct tls_hello hello;
    struct budget budget;
    char ja4s[TLS_JA4_SIZE];
    ck_assert_ptr_nonnull(b);
    budget_init(&budget, 1u << 20, NULL);
    make_body(b, &h, 1);
    ck_assert_int_eq(tls_server_hello(b->data, b->len, &hello), 0);
    tls_ja4s(&hello, &budget, ja4s);
    ck_assert_str_eq(ja4s, "t120400_c030_4e8089b08790");
    ck_assert_uint_eq(budget.used, 0);
    free(b);
}
END_TEST

static int parse(const uint8_t *data, size_t len, int server)
{
    struct tls_hello hello;
    uint8_t *copy = malloc(len > 0 ? len : 1); /* of its own, so that a read past its end is seen */
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    int result = server ? tls_server_hello(copy, len, &hello) : tls_client_hello(copy, len, &hello);
    free(copy);
    return result;
}

START_TEST(hellos_that_are_cut_are_refused)
{
    const struct hello client = {.ciphers = CHROME_CIPHERS,
                                 .session_id = "0123456789abcdef0123456789abcdef",
                                 .extensions = "0000,0010,000d,002b,0033,0023",
                                 .signatures = CHROME_SIGNATURES, .sni = "a.example",
                                 .alpn = "\2h2", .alpn_len = 3};
    const struct hello server = {.cipher = 0x1301, .extensions = "002b,0033,0010",
                                 .alpn = "\2h2", .alpn_len = 3};
    struct buf *b = calloc(1, sizeof *b);
    ck_assert_ptr_nonnull(b);
    for (int side = 0; side < 2; side++) {
        make_body(b, side ? &server : &client, side);
        size_t head = side ? 38 : 2 + 32 + 1 + 32 + 2 + 30 + 2; /* and no extensions */
        for (size_t len = 0; len < b->len; len++)
            ck_assert_msg(parse(b->data, len, side) == (len == head ? 0 : -1), "%d %zu", side, len);
        ck_assert_int_eq(parse(b->data, b->len, side), 0);
        put(b, "", 1);
        ck_assert_int_eq(parse(b->data, b->len, side), -1);
    }
    free(b);
}
END_TEST

/* Any byte changed to anything: nothing is read that is not there, and what is said is bounded. */
START_TEST(hellos_that_are_damaged_do_no_harm)
{
    const struct hello client = {.ciphers = "1301,c02f", .session_id = "0123456789abcdef",
                                 .extensions = "0000,0010,000d,002b,0033,0023",
                                 .signatures = "0403", .sni = "a.example", .alpn = "\2h2",
                                 .alpn_len = 3};
    struct buf *b = calloc(1, sizeof *b);
    uint32_t random = 1;
    ck_assert_ptr_nonnull(b);
    for (int round = 0; round < 4000; round++) {
        b->len = 0;
        put_hello(b, round % 2 ? &answer : &client, round % 2, round % 3 == 2 ? 17 : 0);
        for (int change = 0; change <= round % 4; change++) {
            random = random * 1664525u + 1013904223u;
            size_t at = 9 + (random >> 8) % (b->len - 9);
            b->data[at] = random & 4 ? (uint8_t)random : (uint8_t)(random & 8 ? 0xff : 0);
        }
        struct fake *f = fake_new("starttls", "TLS");
        fake_data(f, round % 2 ? SERVER : CLIENT, b->data, b->len);
        (void)fake_play(f, (random >> 16) % 40);
        ck_assert_uint_eq(f->leaked, 0);
        fake_free(f);
    }
    free(b);
}
END_TEST

/* --- probes --- */

struct probe_row {
    enum side side;
    const char *bytes;
    size_t len;
    int want; /* -1, 0, 1 */
};

#define ROW(side, bytes, want) {side, bytes, sizeof(bytes) - 1, want}
#define ZEROS16 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static const struct probe_row probes[] = {
    ROW(CLIENT, "", 0),
    ROW(CLIENT, "\x16", 0),
    ROW(CLIENT, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 0),
    ROW(CLIENT, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", 1),
    ROW(CLIENT, "\x16\x03\x01\x02\x00\x01\x00\x01\xfb\x03", 1),  /* more behind it */
    ROW(CLIENT, "\x16\x03\x01\x02\x00\x01\x02\x01\xfc\x03", -1),
    ROW(CLIENT, "\x16\x03\x01\x02\x00\x01\x00\x11\xfc\x03", 1),  /* it goes on in another */
    ROW(CLIENT, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x02", -1),
    ROW(CLIENT, "\x16\x03\x01\x00\x00", -1),
    ROW(CLIENT, "\x16\x03\x01\xff\xff", -1),
    ROW(CLIENT, "\x16\x02", -1),
    ROW(CLIENT, "\x16\x03\x01\x00\x01\x01", 1), /* a record of one byte */
    ROW(CLIENT, "\x16\x03\x01\x00\x30\x02\x00\x00\x2c\x03", -1),
    ROW(SERVER, "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03", 1),
    ROW(SERVER, "\x16\x03\x03\x00\x7a\x02\x00\x00\x10\x03", -1), /* too short for one */
    ROW(SERVER, "\x16\x03\x03\x02\x00\x02\x00\x00\x46\x03", 1), /* with a Certificate behind */
    ROW(SERVER, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", -1),
    ROW(SERVER, "\x16\x03\x03\x00\x04\x00\x00\x00\x00", 1), /* HelloRequest */
    ROW(SERVER, "\x15\x03\x03\x00\x02\x02\x28", 1),
    ROW(SERVER, "\x15\x03\x03\x00\x02\x02\xc8", 0),
    ROW(SERVER, "\x15\x03\x03\x00\x02\x03", 0),
    ROW(SERVER, "\x15\x03\x03\x00\x02\x03\x28\x20", -1),
    ROW(CLIENT, "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", 1), /* SSLv2-compatible */
    ROW(CLIENT, "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 1),
    ROW(CLIENT, "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x11", -1),
    ROW(CLIENT, "\x80\x2e\x02", -1),
    ROW(SERVER, "\x80", -1),
    ROW(CLIENT, "\x17\x03\x03\x00\x10" ZEROS16 "\x17\x03\x03\x00\x20", 1),
    ROW(SERVER, "\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x28", 1),
    ROW(CLIENT, "\x17\x03\x03\x00\x10" ZEROS16 "\x17\x03\x02\x00\x20", -1),
    ROW(CLIENT, "\x17\x03\x03\x00\x10" ZEROS16 "\x18", -1),
    ROW(CLIENT, "\x17\x03\x03\x00\x10" ZEROS16, 0),
    ROW(CLIENT, "\x17\x03\x03\x00\x01", -1),
    ROW(CLIENT, "\x14\x03\x03\x00\x02", -1),
    ROW(CLIENT, "GET / HTTP/1.1", -1),
    ROW(CLIENT, "SSH-2.0-x", -1),
};

START_TEST(probe_knows_beginnings)
{
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        const struct probe_row *row = &probes[i];
        int is = tls_probe(row->side, (const uint8_t *)row->bytes, row->len);
        ck_assert_msg((is > 0) - (is < 0) == row->want, "row %zu: %d", i, is);
        int before = 0;
        for (size_t len = 0; len <= row->len; len++) { /* never from no to yes, never back */
            int now = tls_probe(row->side, (const uint8_t *)row->bytes, len);
            ck_assert_msg(before == 0 || (before > 0) == (now > 0), "row %zu at %zu", i, len);
            before = now;
        }
    }
}
END_TEST

START_TEST(hosts_of_targets)
{
    static const char *const rows[][2] = {
        {"a.example:443", "a.example"}, {"a.example", "a.example"},
        {"a.example.:443", "a.example"}, {"https://u:p@a.example:8443/x", "a.example"},
        {"a.example4:1", "a.example4"}, {"10.0.0.1:443", NULL}, {"10.1", NULL},
        {"2130706433", NULL}, {"[::1]:443", NULL}, {"::1", NULL}, {"", NULL}, {":443", NULL},
        {".", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text host = tls_host_name((struct text){rows[i][0], strlen(rows[i][0])});
        ck_assert_msg((host.data == NULL) == (rows[i][1] == NULL), "%s", rows[i][0]);
        if (host.data != NULL)
            ck_assert_msg(host.len == strlen(rows[i][1]) &&
                          memcmp(host.data, rows[i][1], host.len) == 0, "%s", rows[i][0]);
    }
    ck_assert_ptr_null(tls_host_name(TEXT_NONE).data);
}
END_TEST

START_TEST(clear_bytes_are_shown_without_secrets)
{
    static const char *const rows[][2] = {
        {"NOOP\r\nMAIL FROM:<a>\r\n", "NOOP\\r\\nMAIL FROM:<a>\\r\\n"},
        {"AUTH PLAIN AGEAYg==\r\nQUIT\r\n", "AUTH [...]\\r\\nQUIT\\r\\n"},
        {"a1 LOGIN u p\r\n", "a1 LOGIN [...]\\r\\n"},
        {"pass secret", "pass [...]"},
        {"\1\xff\\", "01 ff 5c"},
        {"a\xff\\", "a\\xff\\x5c"},
        {"\x30\x1a\2\1\2\x60pw", "30 1a 02 01 02 60 ..."},
        {"0123456789012345678901234567890123456789", "0123456789012345678901234567890123..."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[38];
        size_t len = tls_printable(out, sizeof out, (const uint8_t *)rows[i][0],
                                   strlen(rows[i][0]));
        ck_assert_str_eq(out, rows[i][1]);
        ck_assert_uint_eq(len, strlen(out));
    }
}
END_TEST

/* --- conversations --- */

START_TEST(hellos_say_what_was_agreed)
{
    struct hello client = usual, server = answer12;
    client.extensions = "0000,0010";
    client.alpn = "\2h2\10http/1.1";
    client.alpn_len = 12;
    server.extensions = "0010";
    server.alpn = "\10http/1.1";
    server.alpn_len = 9;
    struct fake *f = granted();
    say(f, CLIENT, &client);
    say(f, SERVER, &server);
    expect(f, "",
           "{\"version\":\"TLS 1.2\",\"sni\":\"a.example\",\"alpn\":\"http/1.1\","
           "\"cipher\":\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\",\"ja4\":\"t12d0202h2_");
    f = granted(); /* in TLS 1.3 the choice is encrypted */
    client.extensions = "0000,0010,002b";
    say(f, CLIENT, &client);
    say(f, SERVER, &answer);
    expect(f, "",
           "{\"version\":\"TLS 1.3\",\"sni\":\"a.example\",\"alpn_offered\":[\"h2\",\"http/1.1\"],"
           "\"cipher\":\"TLS_AES_128_GCM_SHA256\",");
    f = granted();
    server = answer12;
    server.cipher = 0xfe01;
    say(f, CLIENT, &usual12);
    say(f, SERVER, &server);
    expect(f, "", "\"cipher\":\"0xFE01\"");
}
END_TEST

START_TEST(messages_span_records)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 40, 50};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf *b = calloc(1, sizeof *b);
        ck_assert_ptr_nonnull(b);
        struct fake *f = granted();
        put_hello(b, &usual, 0, sizes[i]);
        fake_data(f, CLIENT, b->data, b->len);
        b->len = 0;
        put_hello(b, &answer, 1, sizes[i]);
        fake_data(f, SERVER, b->data, b->len);
        expect(f, "", "{\"version\":\"TLS 1.3\",\"sni\":\"a.example\",\"cipher\":");
        free(b);
    }
}
END_TEST

START_TEST(nothing_stands_between_the_pieces)
{
    struct buf *b = calloc(1, sizeof *b);
    ck_assert_ptr_nonnull(b);
    put_hello(b, &usual, 0, 40);
    struct fake *f = granted();
    fake_data(f, CLIENT, b->data, 45);
    say_record(f, CLIENT, 21, "\1\0", 2);
    fake_data(f, CLIENT, b->data + 45, b->len - 45);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "{\"client_alert\":\"close_notify\"}");
    fake_free(f);
    free(b);
}
END_TEST

START_TEST(a_second_hello_is_asked_for)
{
    struct hello retry = answer;
    retry.retry = 1;
    struct fake *f = granted();
    say(f, CLIENT, &usual);
    say(f, SERVER, &retry);
    say_record(f, SERVER, 20, "\1", 1);
    say_record(f, CLIENT, 20, "\1", 1);
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer);
    expect(f, "", "{\"version\":\"TLS 1.3\",\"sni\":\"a.example\","
                  "\"cipher\":\"TLS_AES_128_GCM_SHA256\",\"ja4\":\"t13d0202");
    f = granted(); /* early data before, the hello in vain */
    say(f, CLIENT, &usual);
    say_record(f, CLIENT, 20, "\1", 1);
    say_record(f, CLIENT, 23, "0123456789abcdef0", 17);
    say(f, SERVER, &retry);
    say(f, CLIENT, &usual);
    say_record(f, CLIENT, 21, "\2\x2f", 2);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "\"hello_retry\":\"secp384r1\",\"client_alert\":\"illegal_parameter\"}");
    has_not(f, "version");
    fake_free(f);
}
END_TEST

START_TEST(sessions_are_resumed)
{
    struct hello client = usual12, server = answer12;
    client.session_id = server.session_id = "0123456789abcdef0123456789abcdef";
    struct fake *f = granted();
    say(f, CLIENT, &client);
    say(f, SERVER, &server);
    say_record(f, SERVER, 20, "\1", 1);
    expect(f, "", "\"resumed\":\"session-id\"}");
    f = granted();
    client.ticket = 1;
    client.extensions = "0000,0023";
    say(f, CLIENT, &client);
    say(f, SERVER, &server);
    say_record(f, SERVER, 22, "\4\0\0\2ab", 6);
    say_record(f, SERVER, 20, "\1", 1);
    expect(f, "", "\"resumed\":\"ticket\"}");
    f = granted(); /* offered, and not taken */
    say(f, CLIENT, &client);
    say(f, SERVER, &server);
    say_record(f, SERVER, 22, "\13\0\0\3\0\0\0", 7);
    say_record(f, SERVER, 22, "\16\0\0\0", 4);
    say_record(f, CLIENT, 22, "\20\0\0\1x", 5);
    say_record(f, CLIENT, 20, "\1", 1);
    say_record(f, SERVER, 22, "\4\0\0\2ab", 6);
    say_record(f, SERVER, 20, "\1", 1);
    ck_assert_str_eq(fake_rules(f), "");
    has_not(f, "resumed");
    fake_free(f);
    f = granted();
    struct hello psk = answer;
    psk.extensions = "0029,002b,0033";
    say(f, CLIENT, &usual);
    say(f, SERVER, &psk);
    expect(f, "", "\"resumed\":\"psk\"}");
}
END_TEST

START_TEST(alerts_in_the_clear)
{
    struct fake *f = granted();
    say(f, CLIENT, &usual);
    say_record(f, SERVER, 21, "\1\x70", 2);
    say_record(f, SERVER, 21, "\2\x28", 2);
    expect(f, "", "\"server_alert\":\"handshake_failure\"}");
    f = granted(); /* the certificate does not please; what follows is encrypted */
    say(f, CLIENT, &usual12);
    say(f, SERVER, &answer12);
    say_record(f, SERVER, 22, "\13\0\0\3\0\0\0\16\0\0\0", 11);
    say_record(f, CLIENT, 21, "\2\x30", 2);
    expect(f, "", "\"client_alert\":\"unknown_ca\"}");
    f = granted();
    say(f, CLIENT, &usual12);
    say(f, SERVER, &answer12);
    say_record(f, CLIENT, 22, "\20\0\0\1x", 5);
    say_record(f, CLIENT, 20, "\1", 1);
    say_record(f, CLIENT, 21, "\2\x30", 2);
    ck_assert_str_eq(fake_rules(f), "");
    has_not(f, "alert");
    fake_free(f);
    f = granted();
    say(f, CLIENT, &usual);
    say_record(f, SERVER, 21, "\2\x28XXXXXXXX", 10);
    ck_assert_str_eq(fake_rules(f), "");
    has_not(f, "alert");
    fake_free(f);
}
END_TEST

START_TEST(what_is_no_tls_behind_a_hello)
{
    struct fake *f = granted();
    f->hint_count = 0;
    say(f, CLIENT, &usual);
    say_text(f, SERVER, "HTTP/1.1 400 Bad Request\r\n\r\n");
    expect(f, "", "\"server_malformed\":\"record\"}");
    f = granted();
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer12);
    say_text(f, SERVER, "rubbish");
    expect(f, "", "\"server_malformed\":\"record\"}");
    f = granted();
    say(f, CLIENT, &usual);
    say_record(f, SERVER, 22, "\2\0\0\46\3\3"
               "0123456789abcdef0123456789abcdef\377\0\0\0", 42);
    expect(f, "", "\"server_malformed\":\"ServerHello\"}");
    struct hello broken = usual;
    broken.ciphers = "1301";
    struct buf *b = calloc(1, sizeof *b);
    ck_assert_ptr_nonnull(b);
    put_hello(b, &broken, 0, 0);
    b->data[b->len - 2] ^= 1; /* within supported_versions, whose length is wrong then */
    b->data[b->len - 3] ^= 1;
    f = granted();
    fake_data(f, CLIENT, b->data, b->len);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "{\"sni\":\"a.example\",\"ja4\":\"t12d0102");
    has(f, "\"client_malformed\":\"ClientHello\"}");
    fake_free(f);
    free(b);
}
END_TEST

START_TEST(an_old_hello_is_named)
{
    struct fake *f = granted();
    fake_data(f, CLIENT, "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"
                         "0123456789012345678900123456789abcdef", 48);
    struct hello server = answer12;
    server.version = 0x0301;
    say(f, SERVER, &server);
    expect(f, "S:tls-version-old", "\"client_hello\":\"SSLv2\"}");
    f = granted();
    fake_data(f, CLIENT, "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"
                         "0123456789012345678900123456789abcdef", 48);
    fake_data(f, SERVER, "\x84\x01\x04\x00\x01\x00\x02", 7);
    expect(f, "", "{\"client_hello\":\"SSLv2\"}");
}
END_TEST

START_TEST(the_middle_of_a_connection)
{
    struct fake *f = granted();
    say_record(f, CLIENT, 23, "0123456789abcdef", 16);
    say_record(f, CLIENT, 23, "0123456789abcdef", 16);
    say_record(f, SERVER, 23, "0123456789abcdef", 16);
    expect(f, "", "{\"midstream\":1}");
    f = granted();
    say_record(f, SERVER, 22, "\13\0\0\1\0", 5);
    say_record(f, SERVER, 22, "\16\0\0\0", 4);
    expect(f, "", "{\"midstream\":1}");
}
END_TEST

START_TEST(gaps)
{
    struct fake *f = granted(); /* in a message that is passed over */
    say(f, CLIENT, &usual12);
    say(f, SERVER, &answer12);
    fake_data(f, SERVER, "\x16\3\3\0\x0e\13\0\0\x0a\0", 10);
    fake_gap(f, SERVER, 9);
    say_record(f, SERVER, 21, "\2\x28", 2);
    expect(f, "", "\"server_alert\":\"handshake_failure\"}");
    f = granted(); /* across the end of a record: the place is lost */
    say(f, CLIENT, &usual12);
    say(f, SERVER, &answer12);
    fake_data(f, SERVER, "\x16\3\3\0\x0e\13\0\0\x0a\0", 10);
    fake_gap(f, SERVER, 10);
    say_record(f, SERVER, 21, "\2\x28", 2);
    ck_assert_str_eq(fake_rules(f), "");
    has_not(f, "alert");
    fake_free(f);
    f = granted(); /* what stands behind the hello is not known */
    struct hello resumes = usual12;
    resumes.ticket = 1;
    resumes.extensions = "0000,0023";
    say(f, CLIENT, &resumes);
    say(f, SERVER, &answer12);
    fake_data(f, SERVER, "\x16\3\3\0\x0e", 5);
    fake_gap(f, SERVER, 14);
    say_record(f, SERVER, 20, "\1", 1);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "\"version\":\"TLS 1.2\"");
    has_not(f, "resumed");
    fake_free(f);
    f = granted(); /* in a hello */
    fake_data(f, CLIENT, "\x16\3\1\1\0\1\0\0\xfc\3\3", 11);
    fake_gap(f, CLIENT, 100);
    say(f, SERVER, &answer);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "{\"version\":\"TLS 1.3\",\"cipher\":");
    has_not(f, "client_malformed");
    fake_free(f);
    struct buf *b = calloc(1, sizeof *b); /* what stands behind the gap only looks like a hello */
    ck_assert_ptr_nonnull(b);
    put_hello(b, &usual, 0, 0);
    size_t len = b->len - 5 + 20;
    f = granted();
    fake_data(f, CLIENT, (uint8_t[]){22, 3, 1, 0, (uint8_t)len, 1, 0, 1, 0, 3, 3}, 11);
    fake_gap(f, CLIENT, 14);
    fake_data(f, CLIENT, b->data + 5, b->len - 5);
    say(f, SERVER, &answer);
    ck_assert_str_eq(fake_rules(f), "");
    has_not(f, "sni");
    fake_free(f);
    free(b);
    f = granted(); /* the first bytes: nothing is known of what follows */
    fake_gap(f, CLIENT, 100);
    say_text(f, CLIENT, "anything");
    say_text(f, SERVER, "anything");
    say(f, SERVER, &answer);
    ck_assert_str_eq(fake_rules(f), "");
    fake_free(f);
}
END_TEST

START_TEST(a_hello_has_a_limit)
{
    struct fake *f = granted();
    fake_data(f, CLIENT, "\x16\3\1\100\0\1\1\0\1\3\3", 11);
    expect(f, "N:analysis-limit-hit", "tls-hello=65536");
    struct buf *b = calloc(1, sizeof *b); /* and memory one, too */
    ck_assert_ptr_nonnull(b);
    put_hello(b, &usual, 0, 40);
    for (size_t limit = 1000; limit < 9000; limit += 50) {
        f = granted();
        fake_data(f, CLIENT, b->data, b->len);
        say(f, SERVER, &answer);
        f->memory = limit;
        (void)fake_play(f, 1);
        ck_assert_uint_eq(f->leaked, 0);
        fake_free(f);
    }
    free(b);
}
END_TEST

/* --- in front of the hellos --- */

START_TEST(commands_are_injected)
{
    struct fake *f = granted();
    f->acked = 0; /* sent with the STARTTLS */
    say_text(f, CLIENT, "NOOP\r\nMAIL FROM:<a@b>\r\n");
    f->acked = GRANT_END;
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer);
    ck_assert_str_eq(fake_rules(f), "C:starttls-command-injection");
    has(f, "C @0 p1 ");
    has(f, "23 clear bytes: NOOP\\r\\nMAIL FROM:<a@b>\\r\\n");
    has(f, "{\"version\":\"TLS 1.3\",\"sni\":\"a.example\"");
    fake_free(f);
    f = granted(); /* and no TLS ever came: told once */
    f->acked = 0;
    say_text(f, CLIENT, "QUIT\r\n");
    say_text(f, SERVER, "221 bye\r\n");
    fake_fin(f, CLIENT);
    expect(f, "C:starttls-command-injection", "6 clear bytes: QUIT\\r\\n");
    f = granted();
    f->acked = 0;
    say_text(f, CLIENT, "QUIT\r\n");
    expect(f, "C:starttls-command-injection", "6 clear bytes: QUIT\\r\\n");
}
END_TEST

START_TEST(a_long_injection_has_an_end)
{
    char *text = malloc(20000);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', 20000);
    struct fake *f = granted();
    f->acked = 0;
    fake_data(f, CLIENT, text, 16000);
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer);
    expect(f, "C:starttls-command-injection", "\"sni\":\"a.example\"");
    f = granted();
    f->acked = 0;
    fake_data(f, CLIENT, text, 20000);
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer);
    ck_assert_str_eq(fake_rules(f), "C:starttls-command-injection");
    has(f, "16384 clear bytes: xxx");
    has(f, "\"client_malformed\":\"record\"");
    has_not(f, "sni");
    fake_free(f);
    free(text);
}
END_TEST

START_TEST(a_hello_too_early_is_no_injection)
{
    struct fake *f = granted();
    f->acked = 0;
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer);
    expect(f, "", "\"sni\":\"a.example\"");
}
END_TEST

START_TEST(the_client_goes_on_in_the_clear)
{
    struct fake *f = granted();
    say_text(f, CLIENT, "EHLO again\r\n");
    say_text(f, SERVER, "250 fine\r\n");
    ck_assert_str_eq(fake_rules(f), "C:starttls-no-clienthello");
    has(f, "the first byte is 0x45");
    has(f, "closed \"smtp\"");
    fake_free(f);
    f = granted(); /* what was sent before cannot be told */
    f->acked = FAKE_ACKED_NONE;
    say_text(f, CLIENT, "EHLO again\r\n");
    expect(f, "C:starttls-no-clienthello", "smtp");
    f = granted(); /* something that is known */
    say_text(f, CLIENT, "SSH-2.0-x\r\n");
    expect(f, "C:starttls-no-clienthello", "closed \"ssh\"");
}
END_TEST

START_TEST(responses_are_injected)
{
    struct fake *f = granted();
    f->acked = 0;
    say_text(f, SERVER, "250 injected\r\n");
    f->acked = GRANT_END;
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer);
    ck_assert_str_eq(fake_rules(f), "S:starttls-response-injection");
    has(f, "S @0 p1 ");
    has(f, "14 clear bytes: 250 injected\\r\\n");
    has(f, "{\"version\":\"TLS 1.3\"");
    fake_free(f);
    f = granted(); /* the hello comes first, the rest behind it */
    say(f, CLIENT, &usual);
    f->acked = 0;
    say_text(f, SERVER, "250 injected\r\n");
    say_record(f, SERVER, 21, "\2\x28", 2);
    expect(f, "S:starttls-response-injection", "\"server_alert\":\"handshake_failure\"}");
    f = granted(); /* no hello came, but it was sent before one was asked for */
    f->acked = 0;
    say_text(f, SERVER, "250 injected\r\n");
    f->acked = GRANT_END;
    say(f, CLIENT, &usual);
    expect(f, "S:starttls-response-injection", "\"server_malformed\":\"record\"}");
}
END_TEST

START_TEST(clear_answers_that_are_no_injection)
{
    struct fake *f = granted(); /* the server never switched, and answers the hello */
    say(f, CLIENT, &usual);
    f->acked = 60;
    say_text(f, SERVER, "500 unknown command\r\n");
    expect(f, "", "\"server_malformed\":\"record\"}");
    f = granted(); /* the client never began */
    f->acked = 0;
    say_text(f, SERVER, "421 timeout\r\n");
    fake_fin(f, SERVER);
    fake_fin(f, CLIENT);
    expect(f, "", "closed \"tls\"");
    f = granted();
    say_text(f, SERVER, "421 timeout\r\n");
    expect(f, "", "closed \"tls\"");
    f = granted(); /* the rest of an answer whose beginning was lost */
    fake_hint(f, "assumed", "1");
    f->granted = 0;
    say_text(f, SERVER, "y to start\r\n");
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer);
    expect(f, "", "{\"version\":\"TLS 1.3\"");
}
END_TEST

START_TEST(without_starttls_other_bytes_are_looked_at)
{
    struct fake *f = fake_new("http.upgrade", "TLS/1.3");
    say_text(f, SERVER, "SSH-2.0-server\r\n");
    expect(f, "", "closed \"ssh\"");
    f = fake_new("http.upgrade", "TLS/1.3");
    say_text(f, CLIENT, "\r\n");
    say(f, CLIENT, &usual);
    say(f, SERVER, &answer);
    expect(f, "", "\"sni\":\"a.example\"");
    f = fake_new("http.upgrade", "TLS/1.3");
    say_text(f, CLIENT, "\r\n\r\n\r\n");
    expect(f, "", "closed \"opaque\"");
}
END_TEST

/* --- rules about the hellos --- */

START_TEST(old_versions)
{
    for (unsigned version = 0x0300; version <= 0x0303; version++) {
        struct hello server = answer12;
        server.version = version;
        struct fake *f = granted();
        say(f, CLIENT, &usual12);
        say(f, SERVER, &server);
        ck_assert_str_eq(fake_rules(f), version < 0x0303 ? "S:tls-version-old" : "");
        if (version == 0x0301)
            has(f, "S @0 p2 t1002000000 s1 finding tls-version-old f0: TLS 1.0, "
                   "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        fake_free(f);
        f = granted(); /* nothing switched to it */
        f->session = 0;
        say(f, CLIENT, &usual12);
        say(f, SERVER, &server);
        expect(f, "", "cipher");
    }
}
END_TEST

static void names(const char *table, const char *token, const char *hint, const char *value,
                  const char *sni, const char *rules)
{
    struct hello client = usual;
    client.sni = sni;
    struct fake *f = fake_new(table, token);
    fake_hint(f, hint, value);
    say(f, CLIENT, &client);
    say(f, SERVER, &answer);
    expect(f, rules, "\"cipher\"");
}

START_TEST(names_that_differ)
{
    static const char differs[] = "C:tls-sni-mismatch";
    names("http.connect", "", "target", "a.example:443", "b.example", differs);
    names("http.connect", "", "target", "a.example:443", "A.EXAMPLE", "");
    names("http.connect", "", "target", "a.example:443", "a.example.com", differs);
    names("http.connect", "", "target", "192.0.2.1:443", "b.example", "");
    names("http.connect", "", "target", "a.example:443", "192.0.2.1", "");
    names("http.connect", "", "target", "a.example:443", NULL, "");
    names("http.connect", "", "host", "a.example:443", "b.example", "");
    names("socks", "", "target", "a.example:443", "b.example", differs);
    names("http.upgrade", "TLS/1.2", "host", "a.example", "b.example", differs);
    names("http.upgrade", "tls/1.3", "host", "a.example:8080", "a.example", "");
    names("http.upgrade", "alpn", "host", "a.example", "b.example", "");
}
END_TEST

/* --- what is not fed any more --- */

static void ignore(void *flow, struct event *event)
{
    (void)flow;
    (void)event;
}

START_TEST(behind_the_hellos_it_is_done)
{
    const struct stack_host host = {.emit = ignore};
    struct fake *f = granted(); /* for its options */
    struct buf *b = calloc(1, sizeof *b);
    ck_assert_ptr_nonnull(b);
    for (int old = 0; old < 2; old++) {
        struct budget budget;
        budget_init(&budget, 1u << 20, NULL);
        struct stack *stack = stack_new(&host, f, &f->options, &budget, 1);
        struct mark mark = {.packet = 1};
        b->len = 0;
        put_hello(b, old ? &usual12 : &usual, 0, 0);
        stack_data(stack, CLIENT, b->data, b->len, &mark);
        b->len = 0;
        put_hello(b, old ? &answer12 : &answer, 1, 0);
        stack_data(stack, SERVER, b->data, b->len, &mark);
        ck_assert(!stack_done(stack));
        stack_data(stack, CLIENT, (const uint8_t *)"\x14\3\3\0\1\1", 6, &mark);
        ck_assert_int_eq(stack_done(stack), !old);
        stack_data(stack, SERVER, (const uint8_t *)"\x14\3\3\0\1\1", 6, &mark);
        ck_assert(stack_done(stack));
        stack_close(stack, SESSION_END_FIN, CLIENT, 0, &mark);
        stack_free(stack);
        ck_assert_uint_eq(budget.used, 0);
    }
    free(b);
    fake_free(f);
}
END_TEST

/* Plays, and says whether the client's side was given up before the end. */
static int client_is_done(struct fake *f)
{
    const struct stack_host host = {.emit = ignore};
    struct budget budget;
    struct mark mark = {.packet = 1};
    budget_init(&budget, 1u << 20, NULL);
    struct stack *stack = stack_new(&host, f, &f->options, &budget, 1);
    for (size_t i = 0; i < f->step_count; i++) {
        const struct fake_step *step = &f->steps[i];
        if (step->kind == FAKE_DATA)
            stack_data(stack, step->side, f->bytes + step->at, step->len, &mark);
        else
            stack_gap(stack, step->side, step->len, &mark);
    }
    int done = stack->root->in[CLIENT].done;
    stack_close(stack, SESSION_END_FIN, CLIENT, 0, &mark);
    stack_free(stack);
    fake_free(f);
    return done;
}

START_TEST(one_side_alone_has_an_end)
{
    static const uint8_t data[16384];
    for (int records = 1; records < 7; records++) { /* early data, or nobody else was captured */
        struct fake *f = granted();
        say(f, CLIENT, &usual);
        for (int i = 0; i < records; i++)
            say_record(f, CLIENT, 23, data, sizeof data);
        ck_assert_int_eq(client_is_done(f), records > 4);
    }
    struct fake *f = granted();
    say(f, CLIENT, &usual);
    fake_gap(f, SERVER, 9);
    say_record(f, CLIENT, 23, data, 17);
    ck_assert(client_is_done(f));
    f = granted();
    say(f, CLIENT, &usual);
    say_text(f, SERVER, "rubbish");
    say_record(f, CLIENT, 23, data, 17);
    ck_assert(client_is_done(f));
}
END_TEST

Suite *tls_suite(void)
{
    Suite *suite = suite_create("tls");
    TCase *tcase = tcase_create("tls");
    tcase_add_test(tcase, ja4_of_the_specification);
    tcase_add_test(tcase, ja4_at_the_edges);
    tcase_add_test(tcase, ja4_of_names_that_are_no_letters);
    tcase_add_test(tcase, ja4s_of_the_specification);
    tcase_add_test(tcase, hellos_that_are_cut_are_refused);
    tcase_add_test(tcase, hellos_that_are_damaged_do_no_harm);
    tcase_add_test(tcase, probe_knows_beginnings);
    tcase_add_test(tcase, hosts_of_targets);
    tcase_add_test(tcase, clear_bytes_are_shown_without_secrets);
    tcase_add_test(tcase, hellos_say_what_was_agreed);
    tcase_add_test(tcase, messages_span_records);
    tcase_add_test(tcase, nothing_stands_between_the_pieces);
    tcase_add_test(tcase, a_second_hello_is_asked_for);
    tcase_add_test(tcase, sessions_are_resumed);
    tcase_add_test(tcase, alerts_in_the_clear);
    tcase_add_test(tcase, what_is_no_tls_behind_a_hello);
    tcase_add_test(tcase, an_old_hello_is_named);
    tcase_add_test(tcase, the_middle_of_a_connection);
    tcase_add_test(tcase, gaps);
    tcase_add_test(tcase, a_hello_has_a_limit);
    tcase_add_test(tcase, commands_are_injected);
    tcase_add_test(tcase, a_long_injection_has_an_end);
    tcase_add_test(tcase, a_hello_too_early_is_no_injection);
    tcase_add_test(tcase, the_client_goes_on_in_the_clear);
    tcase_add_test(tcase, responses_are_injected);
    tcase_add_test(tcase, clear_answers_that_are_no_injection);
    tcase_add_test(tcase, without_starttls_other_bytes_are_looked_at);
    tcase_add_test(tcase, old_versions);
    tcase_add_test(tcase, names_that_differ);
    tcase_add_test(tcase, behind_the_hellos_it_is_done);
    tcase_add_test(tcase, one_side_alone_has_an_end);
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    return suite;
}
