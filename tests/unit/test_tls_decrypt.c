/*
 * The store of secrets, key schedules and records against the trace of RFC 8448, and records of
 * TLS 1.0 to 1.2 sealed by another implementation.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/tls_cipher.h"
#include "../../dissectors/tls_keys.h"
#include "../../dissectors/tls_private.h"

Suite *tls_decrypt_suite(void);

static size_t hex(const char *text, uint8_t *out, size_t size)
{
    size_t len = 0;
    for (; text[0] != '\0' && text[1] != '\0'; text += 2) {
        ck_assert_uint_lt(len, size);
        out[len++] = (uint8_t)strtoul((char[]){text[0], text[1], '\0'}, NULL, 16);
    }
    return len;
}

static void expect_hex(const uint8_t *got, size_t len, const char *want)
{
    char text[256] = "";
    for (size_t i = 0; i < len; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", got[i]);
    ck_assert_str_eq(text, want);
}

/* --- the store --- */

#define RANDOM_A "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0"
#define RANDOM_B "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
#define SECRET_32 "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define SECRET_48 SECRET_32 "2122232425262728292a2b2c2d2e2f30"
#define SECRET_48_TOO "02" SECRET_32 "22232425262728292a2b2c2d2e2f30"

static struct budget budget;

static struct tls_keys *store(size_t most, const char *text)
{
    budget_init(&budget, 1 << 20, NULL);
    struct tls_keys *keys = tls_keys_new(&budget, most);
    ck_assert_ptr_nonnull(keys);
    tls_keys_text(keys, text, strlen(text));
    return keys;
}

static void discard(struct tls_keys *keys)
{
    tls_keys_free(keys);
    ck_assert_uint_eq(budget.used, 0);
}

/* Its first byte; 0: not there. */
static int found(struct tls_keys *keys, enum tls_label label, const char *random_hex)
{
    uint8_t random[TLS_RANDOM_SIZE], secret[TLS_SECRET_MAX];
    ck_assert_uint_eq(hex(random_hex, random, sizeof random), sizeof random);
    return tls_keys_find(keys, label, random, secret) > 0 ? secret[0] : 0;
}

static uint64_t broken(struct tls_keys *keys)
{
    struct tls_keys_counts counts;
    tls_keys_get_counts(keys, &counts);
    return counts.broken;
}

START_TEST(test_keys_lines)
{
    struct tls_keys *keys = store(100, "# a comment\r\n"
                                       "\n"
                                       "CLIENT_RANDOM " RANDOM_A " " SECRET_48 "\r\n"
                                       "SERVER_TRAFFIC_SECRET_0 " RANDOM_A " " SECRET_32 "\n"
                                       "EXPORTER_SECRET " RANDOM_A " " SECRET_32 "\n"
                                       "RSA 0123456789abcdef " SECRET_48 "\n"
                                       "CLIENT_TRAFFIC_SECRET_0 " RANDOM_B " " SECRET_48);
    ck_assert_int_eq(found(keys, TLS_MASTER_SECRET, RANDOM_A), 1);
    ck_assert_int_eq(found(keys, TLS_SERVER_TRAFFIC, RANDOM_A), 1);
    ck_assert_int_eq(found(keys, TLS_CLIENT_TRAFFIC, RANDOM_A), 0);
    ck_assert_int_eq(found(keys, TLS_CLIENT_TRAFFIC, RANDOM_B), 1);
    ck_assert_int_eq(found(keys, TLS_MASTER_SECRET, RANDOM_B), 0);
    ck_assert_uint_eq(broken(keys), 0);
    discard(keys);
}
END_TEST

START_TEST(test_keys_broken_lines)
{
    static const char *const lines[] = {
        "CLIENT_RANDOM",
        "CLIENT_RANDOM " RANDOM_A,
        "CLIENT_RANDOM " RANDOM_A " ",
        "CLIENT_RANDOM " RANDOM_A " " SECRET_32,
        "CLIENT_RANDOM " RANDOM_A " " SECRET_48 "00",
        "CLIENT_RANDOM " RANDOM_A " " SECRET_48 " more",
        "CLIENT_RANDOM  " RANDOM_A " " SECRET_48,
        "CLIENT_RANDOM " RANDOM_A "00 " SECRET_48,
        "CLIENT_RANDOM " RANDOM_A " x" SECRET_32,
        "CLIENT_TRAFFIC_SECRET_0 " RANDOM_A " 0102",
        "client_random " RANDOM_A " " SECRET_48,
        "\x16\x03\x01",
        "EXPORTER_SECRET",
    };
    struct tls_keys *keys = store(100, "");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        tls_keys_text(keys, lines[i], strlen(lines[i]));
        ck_assert_msg(broken(keys) == i + 1, "%s", lines[i]);
    }
    ck_assert_int_eq(tls_keys_any(keys), 0);
    discard(keys);
}
END_TEST

static void add_numbered(struct tls_keys *keys, unsigned number)
{
    char line[256];
    (void)snprintf(line, sizeof line, "CLIENT_TRAFFIC_SECRET_0 %064x %02x%s\n", number,
                   1 + number % 250, &SECRET_32[2]);
    tls_keys_text(keys, line, strlen(line));
}

/* All are found while there is room; then the oldest give way. */
START_TEST(test_keys_room)
{
    struct tls_keys *keys = store(1000, "");
    struct tls_keys_counts counts;
    char random[65];
    for (unsigned i = 0; i < 2500; i++)
        add_numbered(keys, i);
    for (unsigned i = 0; i < 2500; i++) {
        (void)snprintf(random, sizeof random, "%064x", i);
        ck_assert_int_eq(found(keys, TLS_CLIENT_TRAFFIC, random), i < 1500 ? 0 : 1 + i % 250);
    }
    tls_keys_get_counts(keys, &counts);
    ck_assert_uint_eq(counts.secrets, 2500);
    ck_assert_uint_eq(counts.dropped, 1500);
    discard(keys);
}
END_TEST

/* Without memory for more the newest are kept, too. */
START_TEST(test_keys_memory)
{
    budget_init(&budget, 20000 + TLS_KEYS_ROOM, NULL);
    struct tls_keys *keys = tls_keys_new(&budget, 1 << 20);
    for (unsigned i = 0; i < 1000; i++)
        add_numbered(keys, i);
    char random[65];
    (void)snprintf(random, sizeof random, "%064x", 999);
    ck_assert_int_eq(found(keys, TLS_CLIENT_TRAFFIC, random), 1 + 999 % 250);
    discard(keys);
}
END_TEST

START_TEST(test_keys_lend)
{
    struct tls_keys *keys = store(10, "");
    uint8_t *room = tls_keys_lend(keys, TLS_KEYS_ROOM), own = 0;
    ck_assert_ptr_nonnull(room);
    ck_assert_ptr_null(tls_keys_lend(keys, 1));
    ck_assert(!tls_keys_return(keys, &own));
    ck_assert_ptr_null(tls_keys_lend(keys, 1));
    ck_assert(tls_keys_return(keys, room));
    ck_assert_ptr_null(tls_keys_lend(keys, TLS_KEYS_ROOM + 1));
    ck_assert_ptr_nonnull(tls_keys_lend(keys, 1));
    discard(keys);
}
END_TEST

START_TEST(test_keys_said_again)
{
    struct tls_keys *keys = store(10, "CLIENT_TRAFFIC_SECRET_0 " RANDOM_A " " SECRET_32 "\n"
                                      "CLIENT_TRAFFIC_SECRET_0 " RANDOM_A " " RANDOM_B "\n");
    struct tls_keys_counts counts;
    ck_assert_int_eq(found(keys, TLS_CLIENT_TRAFFIC, RANDOM_A), 0xb0);
    tls_keys_get_counts(keys, &counts);
    ck_assert_uint_eq(counts.secrets, 1);
    discard(keys);
}
END_TEST

static struct tls_keys *source_keys;
static unsigned asked;

static void more(void *arg)
{
    asked++;
    tls_keys_text(source_keys, arg, strlen(arg));
}

START_TEST(test_keys_source)
{
    static char line[] = "CLIENT_RANDOM " RANDOM_A " " SECRET_48 "\n";
    source_keys = store(10, "");
    ck_assert_int_eq(tls_keys_any(source_keys), 0);
    tls_keys_source(source_keys, more, line);
    ck_assert_int_eq(tls_keys_any(source_keys), 1);
    asked = 0;
    ck_assert_int_eq(found(source_keys, TLS_MASTER_SECRET, RANDOM_A), 1);
    ck_assert_int_eq(found(source_keys, TLS_MASTER_SECRET, RANDOM_A), 1);
    ck_assert_uint_eq(asked, 1);
    ck_assert_int_eq(found(source_keys, TLS_MASTER_SECRET, RANDOM_B), 0);
    ck_assert_uint_eq(asked, 2);
    discard(source_keys);
}
END_TEST

START_TEST(test_keys_behind)
{
    struct budget other;
    static char line[] = "CLIENT_RANDOM " RANDOM_B " " SECRET_48 "\n";
    budget_init(&other, 1 << 20, NULL);
    struct tls_keys *shared = store(10, "CLIENT_RANDOM " RANDOM_A " " SECRET_48 "\n");
    struct tls_keys *keys = tls_keys_new(&other, 10);
    ck_assert_int_eq(tls_keys_any(keys), 0);
    tls_keys_behind(keys, shared);
    ck_assert_int_eq(tls_keys_any(keys), 1);
    ck_assert_int_eq(found(keys, TLS_MASTER_SECRET, RANDOM_A), 1);
    ck_assert_int_eq(found(keys, TLS_MASTER_SECRET, RANDOM_B), 0);
    tls_keys_text(keys, line, strlen(line));
    ck_assert_int_eq(found(keys, TLS_MASTER_SECRET, RANDOM_B), 1);
    ck_assert_int_eq(found(shared, TLS_MASTER_SECRET, RANDOM_B), 0);
    struct tls_keys_counts counts;
    tls_keys_get_counts(keys, &counts);
    ck_assert_uint_eq(counts.secrets, 1);
    /* What both know counts once, and the front one's word is the last. */
    static char again[] = "CLIENT_RANDOM " RANDOM_A " " SECRET_48_TOO "\n";
    tls_keys_text(keys, again, strlen(again));
    ck_assert_int_eq(found(keys, TLS_MASTER_SECRET, RANDOM_A), 2);
    ck_assert_int_eq(found(shared, TLS_MASTER_SECRET, RANDOM_A), 1);
    tls_keys_get_counts(keys, &counts);
    ck_assert_uint_eq(counts.secrets, 1);
    tls_keys_free(keys);
    ck_assert_uint_eq(other.used, 0);
    discard(shared);
}
END_TEST

/* --- suites --- */

START_TEST(test_suites)
{
    struct tls_suite suite;
    ck_assert_int_eq(tls_suite_of(0x1305, TLS_1_3, &suite), 0);
    ck_assert_str_eq(suite.cipher, "AES-128-CCM");
    ck_assert_uint_eq(suite.tag_len, 8);
    ck_assert_int_eq(tls_suite_of(0xc030, 0x0303, &suite), 0);
    ck_assert_str_eq(suite.hash, "SHA384");
    ck_assert_int_eq(tls_suite_of(0xc014, 0x0303, &suite), 0);
    ck_assert_str_eq(suite.hash, "SHA256");
    ck_assert_str_eq(suite.mac, "SHA1");
    ck_assert_int_eq(tls_suite_of(0xc014, 0x0301, &suite), 0);
    ck_assert_str_eq(suite.hash, "MD5-SHA1");
    ck_assert_int_eq(tls_suite_of(0xc030, TLS_1_3, &suite), -1); /* not of this version */
    ck_assert_int_eq(tls_suite_of(0x1301, 0x0303, &suite), -1);
    ck_assert_int_eq(tls_suite_of(0xc02f, 0x0302, &suite), -1);
    ck_assert_int_eq(tls_suite_of(0xc011, 0x0303, &suite), -1); /* RC4 */
    ck_assert_int_eq(tls_suite_of(0xfefe, 0x0303, &suite), -1);
    ck_assert_int_eq(tls_suite_of(0xc014, TLS_SSL3, &suite), -1);
}
END_TEST

/* --- RFC 8448 3 --- */

static const char *const client_secret =
    "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char *const client_record =
    "a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f"
    "5a6292a2977014bd1e3deae63aeebb21694915e4";

START_TEST(test_rfc8448_keys)
{
    struct tls_suite suite;
    uint8_t secret[TLS_SECRET_MAX], out[32];
    ck_assert_int_eq(tls_suite_of(0x1301, TLS_1_3, &suite), 0);
    (void)hex(client_secret, secret, sizeof secret);
    ck_assert_int_eq(tls_expand_label(&suite, secret, "key", out, 16), 0);
    expect_hex(out, 16, "17422dda596ed5d9acd890e3c63f5051");
    ck_assert_int_eq(tls_expand_label(&suite, secret, "iv", out, 12), 0);
    expect_hex(out, 12, "5b78923dee08579033e523d9");
}
END_TEST

START_TEST(test_rfc8448_record)
{
    struct tls_suite suite;
    struct tls_opener opener = {.cipher = NULL};
    uint8_t secret[TLS_SECRET_MAX], record[100], out[100], type = 23;
    size_t len = hex(client_record, record, sizeof record);
    struct tls_sealed sealed = {23, 0x0303, record, len};
    (void)hex(client_secret, secret, sizeof secret);
    (void)tls_suite_of(0x1301, TLS_1_3, &suite);
    ck_assert_int_eq(tls_opener_13(&opener, &suite, secret), 0);
    ck_assert_int_eq(tls_open_record(&opener, 0, &sealed, out, &type), 50);
    for (uint8_t i = 0; i < 50; i++)
        ck_assert_uint_eq(out[i], i);
    ck_assert_uint_eq(type, 23);
    ck_assert_uint_eq(tls_opener_room(&opener, len), 50);
    ck_assert_int_eq(tls_open_record(&opener, 1, &sealed, out, &type), -1);
    for (size_t i = 0; i < len; i++) { /* each byte counts */
        record[i] ^= 1;
        ck_assert_int_eq(tls_open_record(&opener, 0, &sealed, out, &type), -1);
        record[i] ^= 1;
    }
    ck_assert_int_eq(tls_open_record(&opener, 0, &sealed, out, &type), 50);
    for (sealed.len = 0; sealed.len < len; sealed.len++)
        ck_assert_int_eq(tls_open_record(&opener, 0, &sealed, out, &type), -1);
    tls_opener_release(&opener);
}
END_TEST

/* --- TLS 1.0 to 1.2: the server's record number 3 --- */

static const struct vector {
    uint16_t cipher, version;
    int encrypt_then_mac;
    const char *record;
} vectors[] = {
    {0xc02f, 0x0303, 0,
     "a0a1a2a3a4a5a6a7deed057803b4670353a05c45fd9b2a12052d3a487c81667d0ae1d8306bcc366944e9ed22"
     "a83f"},
    {0xc030, 0x0303, 0,
     "a0a1a2a3a4a5a6a7d4bea808180557922a190c4e180aec91aa7fe513acc965297ef4ce1d6bb900638164b281"
     "0346"},
    {0xcca8, 0x0303, 0,
     "95630a27bf31278d1806d17528a07e79f0086bf726321fd1693239e97d0694c78c2ac543aa85"},
    {0xc09e, 0x0303, 0,
     "a0a1a2a3a4a5a6a74027a4054edcb3fd1dc7c6430c47434e0c19cb556d5e186b0eb62b3d2397ac3978e5db42"
     "d501"},
    {0xc0af, 0x0303, 0,
     "a0a1a2a3a4a5a6a7f78b65d9981c014228669721114319fb6657f4f6ada288fc7b4550b3e8ea"},
    {0xc013, 0x0303, 0,
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf09e309bddbde33fd58af3b58fe7723ef739f3d77c7116c67c28f7dbb"
     "454337073a497fdc946a6e8a086f294fc60ef45a"},
    {0xc013, 0x0303, 1,
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf09e309bddbde33fd58af3b58fe7723efc408e0f5e28a463b60d4bd1a"
     "4ad61e63d0d82c911f4eabfa242b68b359783550f2936445"},
    {0x003d, 0x0303, 0,
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf245d3fce2cb4b7ec2d4bb0ce86c8626862e33d808197b3ecf9acd626"
     "476a88cfbf3f7d917c0a9bd9a9c28624da871d908200594a1a948128923b305d93eeca23"},
    {0xc028, 0x0303, 1,
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeafc44a48cda0fdd1fa1c93f70332b7c77c294c3d269c95f659dac56f3a"
     "b12ebefd0d06ffa195cd00134d7612eed67699139deea6f849d23f541393f9d883e51590b9fd1acb4233e932"
     "f06a32bfe8bb76a5"},
    {0x0035, 0x0302, 0,
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf19d09a2095f7e2ea5ade09d4a5085388eccc8ab9859ebe336e04a502"
     "724cd3786ed53ff58357cb947eb4fca338741d32"},
    {0x002f, 0x0301, 0,
     "28c81817cf826020135b7ff0f891aff2de7203d2ed134b9742f77e436fcc403cf169e3ba467f31f22b9155ec"
     "c9d126ac"},
    {0x002f, 0x0301, 1,
     "28c81817cf826020135b7ff0f891aff248428511d8c3f067540acfc524ad9b0f8bcdfe59ed28acefc0e6dd1d"
     "5e80cfddabead6ae"},
};

START_TEST(test_records_12)
{
    static const char text[] = "hello from the key log";
    const struct vector *v = &vectors[_i];
    struct tls_suite suite;
    struct tls_opener opener = {.cipher = NULL};
    uint8_t master[TLS_SECRET_MAX], randoms[TLS_RANDOMS_SIZE], record[200], out[200], type = 23;
    size_t len = hex(v->record, record, sizeof record);
    struct tls_sealed sealed = {23, v->version, record, len};
    for (uint8_t i = 0; i < sizeof master; i++)
        master[i] = i;
    memset(randoms, 0xc1, TLS_RANDOM_SIZE);
    memset(randoms + TLS_RANDOM_SIZE, 0x52, TLS_RANDOM_SIZE);
    ck_assert_int_eq(tls_suite_of(v->cipher, v->version, &suite), 0);
    ck_assert_int_eq(tls_opener_12(&opener, &suite, v->version, v->encrypt_then_mac, master,
                                   randoms, 1), 0);
    ck_assert_int_eq(tls_open_record(&opener, 3, &sealed, out, &type), sizeof text - 1);
    ck_assert(memcmp(out, text, sizeof text - 1) == 0);
    ck_assert_uint_ge(tls_opener_room(&opener, len), sizeof text - 1);
    ck_assert_int_eq(tls_open_record(&opener, 4, &sealed, out, &type), -1);
    for (size_t i = 0; i < len; i++) {
        record[i] ^= 0x80;
        ck_assert_msg(tls_open_record(&opener, 3, &sealed, out, &type) == -1, "byte %zu", i);
        record[i] ^= 0x80;
    }
    sealed.type = 22;
    ck_assert_int_eq(tls_open_record(&opener, 3, &sealed, out, &type), -1);
    sealed.type = 23;
    for (sealed.len = 0; sealed.len < len; sealed.len++)
        ck_assert_int_eq(tls_open_record(&opener, 3, &sealed, out, &type), -1);
    ck_assert_int_eq(tls_opener_12(&opener, &suite, v->version, v->encrypt_then_mac, master,
                                   randoms, 0), 0);
    ck_assert_int_eq(tls_open_record(&opener, 3, &sealed, out, &type), -1);
    tls_opener_release(&opener);
}
END_TEST

Suite *tls_decrypt_suite(void)
{
    Suite *suite = suite_create("tls_decrypt");
    TCase *keys = tcase_create("keys"), *ciphers = tcase_create("ciphers");
    tcase_add_test(keys, test_keys_lines);
    tcase_add_test(keys, test_keys_broken_lines);
    tcase_add_test(keys, test_keys_room);
    tcase_add_test(keys, test_keys_memory);
    tcase_add_test(keys, test_keys_lend);
    tcase_add_test(keys, test_keys_said_again);
    tcase_add_test(keys, test_keys_source);
    tcase_add_test(keys, test_keys_behind);
    suite_add_tcase(suite, keys);
    tcase_add_test(ciphers, test_suites);
    tcase_add_test(ciphers, test_rfc8448_keys);
    tcase_add_test(ciphers, test_rfc8448_record);
    tcase_add_loop_test(ciphers, test_records_12, 0, sizeof vectors / sizeof vectors[0]);
    suite_add_tcase(suite, ciphers);
    return suite;
}
