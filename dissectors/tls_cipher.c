/*
 * Record protection of TLS by libcrypto. What a suite is made of is read from its name, which the
 * registry of names has anyway.
 */
#include "tls_cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <string.h>

#include "tls_private.h"

enum {
    NONCE_LEN = 12,
    SALT_LEN = 4,     /* of TLS 1.2 with GCM and CCM: the rest of the nonce is in the record */
    EXPLICIT_LEN = 8,
    AAD_12_LEN = 13,
    AAD_13_LEN = 5,
    FIRST_HEAD = 64
};

/* --- suites --- */

struct part { /* of a suite's name */
    const char *name, *cipher;
    uint8_t seal, key_len, tag_len, block_len;
};

/* The longer names first. */
static const struct part parts[] = {
    {"AES_128_GCM", "AES-128-GCM", TLS_SEAL_GCM, 16, 16, 0},
    {"AES_256_GCM", "AES-256-GCM", TLS_SEAL_GCM, 32, 16, 0},
    {"ARIA_128_GCM", "ARIA-128-GCM", TLS_SEAL_GCM, 16, 16, 0},
    {"ARIA_256_GCM", "ARIA-256-GCM", TLS_SEAL_GCM, 32, 16, 0},
    {"CHACHA20_POLY1305", "ChaCha20-Poly1305", TLS_SEAL_CHACHA, 32, 16, 0},
    {"AES_128_CCM_8", "AES-128-CCM", TLS_SEAL_CCM, 16, 8, 0},
    {"AES_256_CCM_8", "AES-256-CCM", TLS_SEAL_CCM, 32, 8, 0},
    {"AES_128_CCM", "AES-128-CCM", TLS_SEAL_CCM, 16, 16, 0},
    {"AES_256_CCM", "AES-256-CCM", TLS_SEAL_CCM, 32, 16, 0},
    {"AES_128_CBC", "AES-128-CBC", TLS_SEAL_CBC, 16, 0, 16},
    {"AES_256_CBC", "AES-256-CBC", TLS_SEAL_CBC, 32, 0, 16},
    {"CAMELLIA_128_CBC", "CAMELLIA-128-CBC", TLS_SEAL_CBC, 16, 0, 16},
    {"CAMELLIA_256_CBC", "CAMELLIA-256-CBC", TLS_SEAL_CBC, 32, 0, 16},
    {"3DES_EDE_CBC", "DES-EDE3-CBC", TLS_SEAL_CBC, 24, 0, 8},
};

static int ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* The hash of the key schedule: before TLS 1.2 always MD5 with SHA-1, then SHA-256 unless the suite
 * names SHA-384 (RFC 5246 5). For CBC it is the name of the HMAC's hash, too. */
static void set_hashes(struct tls_suite *suite, const char *name, uint16_t version)
{
    int sha384 = ends_with(name, "_SHA384"), sha256 = ends_with(name, "_SHA256");
    suite->hash = sha384 ? "SHA384" : "SHA256";
    suite->hash_len = sha384 ? 48 : 32;
    if (suite->seal == TLS_SEAL_CBC) {
        suite->mac = sha384 ? "SHA384" : sha256 ? "SHA256" : "SHA1";
        suite->mac_len = sha384 ? 48 : sha256 ? 32 : 20;
    }
    if (version <= TLS_1_1)
        suite->hash = "MD5-SHA1";
}

int tls_suite_of(uint16_t cipher, uint16_t version, struct tls_suite *suite)
{
    struct tls_room room;
    char name[80];
    struct text text = tls_cipher_name(cipher, &room);
    (void)snprintf(name, sizeof name, "%.*s", (int)text.len, text.data);
    const char *with = strstr(name, "_WITH_");
    const char *algorithm = with != NULL ? with + 6 : strncmp(name, "TLS_", 4) == 0 ? name + 4 : "";
    if ((with == NULL) != (tls_is_13(version) != 0) || version < 0x0301)
        return -1;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const struct part *part = &parts[i];
        if (strncmp(algorithm, part->name, strlen(part->name)) != 0)
            continue;
        if (part->seal != TLS_SEAL_CBC && version <= TLS_1_1)
            return -1;
        *suite = (struct tls_suite){.seal = part->seal, .tag_len = part->tag_len,
                                    .block_len = part->block_len, .key_len = part->key_len,
                                    .cipher = part->cipher};
        set_hashes(suite, name, version);
        return 0;
    }
    return -1;
}

/* --- key schedules --- */

static int derive(const char *kdf_name, const OSSL_PARAM *params, uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
    EVP_KDF_CTX *context = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    int good = context != NULL && EVP_KDF_derive(context, out, len, params) > 0;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return good ? 0 : -1;
}

static OSSL_PARAM text_param(const char *name, const char *value)
{
    return OSSL_PARAM_construct_utf8_string(name, (char *)(uintptr_t)value, 0);
}

static OSSL_PARAM bytes_param(const char *name, const uint8_t *bytes, size_t len)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes, len);
}

int tls_expand_label(const struct tls_suite *suite, const uint8_t *secret, const char *label,
                     uint8_t *out, size_t len)
{
    uint8_t info[32];
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    int label_len = snprintf((char *)info + 3, sizeof info - 4, "tls13 %s", label);
    if (label_len < 0 || (size_t)label_len >= sizeof info - 4)
        return -1;
    info[0] = (uint8_t)(len >> 8);
    info[1] = (uint8_t)len;
    info[2] = (uint8_t)label_len;
    info[3 + label_len] = 0; /* the context is empty */
    OSSL_PARAM params[] = {OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                           text_param(OSSL_KDF_PARAM_DIGEST, suite->hash),
                           bytes_param(OSSL_KDF_PARAM_KEY, secret, suite->hash_len),
                           bytes_param(OSSL_KDF_PARAM_INFO, info, (size_t)label_len + 4),
                           OSSL_PARAM_construct_end()};
    return derive("HKDF", params, out, len);
}

int tls_next_secret(const struct tls_suite *suite, uint8_t secret[TLS_SECRET_MAX])
{
    uint8_t next[TLS_SECRET_MAX];
    int result = tls_expand_label(suite, secret, "traffic upd", next, suite->hash_len);
    if (result == 0)
        memcpy(secret, next, suite->hash_len);
    OPENSSL_cleanse(next, sizeof next);
    return result;
}

/* RFC 5246 6.3: the server's random comes first here. */
static int key_block(const struct tls_suite *suite, const uint8_t *master, const uint8_t *randoms,
                     uint8_t *out, size_t len)
{
    static const char label[] = "key expansion";
    uint8_t seed[sizeof label - 1 + TLS_RANDOMS_SIZE];
    memcpy(seed, label, sizeof label - 1);
    memcpy(seed + sizeof label - 1, randoms + TLS_RANDOM_SIZE, TLS_RANDOM_SIZE);
    memcpy(seed + sizeof label - 1 + TLS_RANDOM_SIZE, randoms, TLS_RANDOM_SIZE);
    OSSL_PARAM params[] = {text_param(OSSL_KDF_PARAM_DIGEST, suite->hash),
                           bytes_param(OSSL_KDF_PARAM_SECRET, master, TLS_SECRET_MAX),
                           bytes_param(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
                           OSSL_PARAM_construct_end()};
    return derive("TLS1-PRF", params, out, len);
}

/* --- openers --- */

static int set_cipher(struct tls_opener *opener, const uint8_t *key)
{
    const struct tls_suite *suite = &opener->suite;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, suite->cipher, NULL);
    opener->cipher = cipher != NULL ? EVP_CIPHER_CTX_new() : NULL;
    EVP_CIPHER_CTX *c = opener->cipher;
    int good = c != NULL && EVP_DecryptInit_ex(c, cipher, NULL, NULL, NULL) > 0;
    if (good && suite->seal == TLS_SEAL_CCM)
        good = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, NONCE_LEN, NULL) > 0 &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, suite->tag_len, NULL) > 0;
    good = good && EVP_DecryptInit_ex(c, NULL, NULL, key, NULL) > 0;
    if (good && suite->seal == TLS_SEAL_CBC)
        good = EVP_CIPHER_CTX_set_padding(c, 0) > 0;
    EVP_CIPHER_free(cipher);
    return good ? 0 : -1;
}

static int set_mac(struct tls_opener *opener, const uint8_t *key)
{
    const struct tls_suite *suite = &opener->suite;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    opener->mac = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    OSSL_PARAM params[] = {text_param(OSSL_MAC_PARAM_DIGEST, suite->mac),
                           OSSL_PARAM_construct_end()};
    int good = opener->mac != NULL && EVP_MAC_init(opener->mac, key, suite->mac_len, params) > 0;
    EVP_MAC_free(mac);
    return good ? 0 : -1;
}

static int ready(struct tls_opener *opener, int good)
{
    if (!good)
        tls_opener_release(opener);
    return good ? 0 : -1;
}

int tls_opener_13(struct tls_opener *opener, const struct tls_suite *suite, const uint8_t *secret)
{
    uint8_t key[TLS_KEY_MAX];
    tls_opener_release(opener);
    opener->suite = *suite;
    opener->version = TLS_1_3;
    int good = tls_expand_label(suite, secret, "key", key, suite->key_len) == 0 &&
               tls_expand_label(suite, secret, "iv", opener->iv, NONCE_LEN) == 0 &&
               set_cipher(opener, key) == 0;
    OPENSSL_cleanse(key, sizeof key);
    return ready(opener, good);
}

/* The length of the part of a nonce, or of the first initialisation vector, that the key block has
 * for each side. */
static size_t fixed_iv(const struct tls_suite *suite, uint16_t version)
{
    if (suite->seal == TLS_SEAL_CBC)
        return version < TLS_1_1 ? suite->block_len : 0;
    return suite->seal == TLS_SEAL_CHACHA ? NONCE_LEN : SALT_LEN;
}

int tls_opener_12(struct tls_opener *opener, const struct tls_suite *suite, uint16_t version,
                  int encrypt_then_mac, const uint8_t master[TLS_SECRET_MAX],
                  const uint8_t randoms[TLS_RANDOMS_SIZE], int server)
{
    uint8_t block[2 * (TLS_MAC_MAX + TLS_KEY_MAX + 16)];
    size_t mac = suite->mac_len, key = suite->key_len, iv = fixed_iv(suite, version);
    size_t mine = server ? 1 : 0; /* the client's of each pair comes first */
    tls_opener_release(opener);
    opener->suite = *suite;
    opener->version = version;
    opener->encrypt_then_mac = encrypt_then_mac && suite->seal == TLS_SEAL_CBC;
    int good = key_block(suite, master, randoms, block, 2 * (mac + key + iv)) == 0 &&
               set_cipher(opener, block + 2 * mac + mine * key) == 0 &&
               (mac == 0 || set_mac(opener, block + mine * mac) == 0);
    if (good)
        memcpy(opener->iv, block + 2 * (mac + key) + mine * iv, iv);
    opener->iv_known = 1;
    OPENSSL_cleanse(block, sizeof block);
    return ready(opener, good);
}

void tls_opener_release(struct tls_opener *opener)
{
    EVP_CIPHER_CTX_free(opener->cipher); /* libcrypto wipes the keys in them */
    EVP_MAC_CTX_free(opener->mac);
    OPENSSL_cleanse(opener, sizeof *opener);
}

/* --- records --- */

static void put_number(uint8_t *out, uint64_t number)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(number >> (56 - 8 * i));
}

/* RFC 5246 6.2.3.1: what a MAC covers in front of the content. */
static void put_head(uint8_t out[AAD_12_LEN], uint64_t number, const struct tls_sealed *sealed,
                     size_t len)
{
    put_number(out, number);
    out[8] = sealed->type;
    out[9] = (uint8_t)(sealed->version >> 8);
    out[10] = (uint8_t)sealed->version;
    out[11] = (uint8_t)(len >> 8);
    out[12] = (uint8_t)len;
}

struct aead { /* the pieces of a record that an AEAD wants */
    uint8_t nonce[NONCE_LEN], aad[AAD_12_LEN];
    size_t aad_len, len;
    const uint8_t *data; /* len bytes and the tag behind them */
};

static int aead_pieces(const struct tls_opener *opener, uint64_t number,
                       const struct tls_sealed *sealed, struct aead *aead)
{
    const struct tls_suite *suite = &opener->suite;
    int in_record = opener->version != TLS_1_3 && suite->seal != TLS_SEAL_CHACHA;
    size_t skip = in_record ? EXPLICIT_LEN : 0;
    if (sealed->len < skip + suite->tag_len)
        return -1;
    aead->data = sealed->data + skip;
    aead->len = sealed->len - skip - suite->tag_len;
    memcpy(aead->nonce, opener->iv, NONCE_LEN);
    if (in_record) {
        memcpy(aead->nonce + SALT_LEN, sealed->data, EXPLICIT_LEN);
    } else {
        uint8_t numbered[8];
        put_number(numbered, number);
        for (size_t i = 0; i < sizeof numbered; i++)
            aead->nonce[NONCE_LEN - 8 + i] ^= numbered[i];
    }
    put_head(aead->aad, number, sealed, opener->version == TLS_1_3 ? sealed->len : aead->len);
    if (opener->version == TLS_1_3)
        memmove(aead->aad, aead->aad + 8, AAD_13_LEN);
    aead->aad_len = opener->version == TLS_1_3 ? AAD_13_LEN : AAD_12_LEN;
    return 0;
}

static int aead_open(struct tls_opener *opener, const struct aead *aead, uint8_t *out)
{
    const struct tls_suite *suite = &opener->suite;
    EVP_CIPHER_CTX *c = opener->cipher;
    uint8_t tag[16];
    int done = 0, ccm = suite->seal == TLS_SEAL_CCM;
    memcpy(tag, aead->data + aead->len, suite->tag_len);
    if (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, suite->tag_len, tag) <= 0 ||
        EVP_DecryptInit_ex(c, NULL, NULL, NULL, aead->nonce) <= 0)
        return -1;
    if (ccm && EVP_DecryptUpdate(c, NULL, &done, NULL, (int)aead->len) <= 0)
        return -1;
    if (EVP_DecryptUpdate(c, NULL, &done, aead->aad, (int)aead->aad_len) <= 0 ||
        EVP_DecryptUpdate(c, out, &done, aead->data, (int)aead->len) <= 0)
        return -1;
    return ccm || EVP_DecryptFinal_ex(c, out + done, &done) > 0 ? 0 : -1;
}

/* The real type is the last byte that is not zero. A record without one is not allowed. */
static long inner_type(const uint8_t *data, size_t len, uint8_t *type)
{
    while (len > 0 && data[len - 1] == 0)
        len--;
    if (len == 0)
        return -1;
    *type = data[len - 1];
    return (long)len - 1;
}

static long open_aead(struct tls_opener *opener, uint64_t number, const struct tls_sealed *sealed,
                      uint8_t *out, uint8_t *type)
{
    struct aead aead;
    if (aead_pieces(opener, number, sealed, &aead) != 0 || aead_open(opener, &aead, out) != 0)
        return -1;
    return opener->version == TLS_1_3 ? inner_type(out, aead.len, type) : (long)aead.len;
}

/* Is this HMAC the one over head and data? */
static int mac_fits(struct tls_opener *opener, const uint8_t head[AAD_12_LEN], const uint8_t *data,
                    size_t len, const uint8_t *mac)
{
    uint8_t right[TLS_MAC_MAX];
    size_t right_len = 0;
    return EVP_MAC_init(opener->mac, NULL, 0, NULL) > 0 &&
           EVP_MAC_update(opener->mac, head, AAD_12_LEN) > 0 &&
           EVP_MAC_update(opener->mac, data, len) > 0 &&
           EVP_MAC_final(opener->mac, right, &right_len, sizeof right) > 0 &&
           right_len == opener->suite.mac_len && CRYPTO_memcmp(right, mac, right_len) == 0;
}

/* Decrypts blocks and takes the padding away (RFC 5246 6.2.3.2). */
static long cbc_decrypt(struct tls_opener *opener, const uint8_t *iv, const uint8_t *data,
                        size_t len, uint8_t *out)
{
    int done = 0;
    if (len == 0 || len % opener->suite.block_len != 0 ||
        EVP_DecryptInit_ex(opener->cipher, NULL, NULL, NULL, iv) <= 0 ||
        EVP_DecryptUpdate(opener->cipher, out, &done, data, (int)len) <= 0)
        return -1;
    size_t padding = (size_t)out[len - 1] + 1;
    if (padding > len)
        return -1;
    for (size_t i = len - padding; i < len; i++)
        if (out[i] != out[len - 1])
            return -1;
    return (long)(len - padding);
}

static long open_cbc(struct tls_opener *opener, uint64_t number, const struct tls_sealed *sealed,
                     uint8_t *out)
{
    const struct tls_suite *suite = &opener->suite;
    size_t iv_len = opener->version >= TLS_1_1 ? suite->block_len : 0;
    size_t len = sealed->len, mac_len = suite->mac_len;
    uint8_t head[AAD_12_LEN];
    if (len < iv_len + mac_len || (iv_len == 0 && !opener->iv_known))
        return -1;
    if (opener->encrypt_then_mac) {
        len -= mac_len;
        put_head(head, number, sealed, len);
        if (!mac_fits(opener, head, sealed->data, len, sealed->data + len))
            return -1;
    }
    long got = cbc_decrypt(opener, iv_len > 0 ? sealed->data : opener->iv, sealed->data + iv_len,
                           len - iv_len, out);
    if (got < 0 || opener->encrypt_then_mac)
        return got;
    if ((size_t)got < mac_len)
        return -1;
    put_head(head, number, sealed, (size_t)got - mac_len);
    return mac_fits(opener, head, out, (size_t)got - mac_len, out + got - mac_len)
               ? got - (long)mac_len
               : -1;
}

void tls_opener_pass(struct tls_opener *opener, const struct tls_sealed *sealed)
{
    size_t mac_len = opener->encrypt_then_mac ? opener->suite.mac_len : 0;
    size_t block = opener->suite.block_len;
    if (opener->suite.seal != TLS_SEAL_CBC || opener->version >= TLS_1_1)
        return;
    opener->iv_known = sealed->data != NULL && sealed->len >= block + mac_len;
    if (opener->iv_known)
        memcpy(opener->iv, sealed->data + sealed->len - mac_len - block, block);
}

long tls_open_record(struct tls_opener *opener, uint64_t number, const struct tls_sealed *sealed,
                     uint8_t *out, uint8_t *type)
{
    if (opener->suite.seal != TLS_SEAL_CBC)
        return open_aead(opener, number, sealed, out, type);
    return open_cbc(opener, number, sealed, out);
}

size_t tls_opener_room(const struct tls_opener *opener, size_t sealed_len)
{
    const struct tls_suite *suite = &opener->suite;
    size_t extra = suite->tag_len;
    if (suite->seal == TLS_SEAL_CBC) /* padding is at least its length byte */
        extra = (opener->version >= TLS_1_1 ? suite->block_len : 0) + (size_t)suite->mac_len + 1;
    else if (opener->version == TLS_1_3)
        extra++;
    else if (suite->seal != TLS_SEAL_CHACHA)
        extra += EXPLICIT_LEN;
    return sealed_len > extra ? sealed_len - extra : 0;
}
