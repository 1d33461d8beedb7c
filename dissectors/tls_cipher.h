/*
 * The cryptography of TLS records, all of it done by libcrypto: what a cipher suite says about
 * records, keys made of secrets (RFC 8446 7, RFC 5246 5 and 6.3), and records opened and checked
 * (RFC 8446 5.2, RFC 5246 6.2.3, RFC 7366, RFC 6655, RFC 7905).
 */
#ifndef SWITCHTAP_TLS_CIPHER_H
#define SWITCHTAP_TLS_CIPHER_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "tls_keys.h"

enum tls_seal { TLS_SEAL_CBC, TLS_SEAL_GCM, TLS_SEAL_CCM, TLS_SEAL_CHACHA };

enum { TLS_RANDOMS_SIZE = 2 * TLS_RANDOM_SIZE, TLS_KEY_MAX = 32, TLS_MAC_MAX = 48 };

struct tls_suite {
    uint8_t seal;      /* enum tls_seal */
    uint8_t tag_len;   /* of an AEAD */
    uint8_t block_len; /* CBC */
    uint8_t mac_len;   /* CBC: of its HMAC */
    uint8_t key_len;
    uint8_t hash_len;  /* of the key schedule */
    const char *cipher, *hash, *mac; /* OpenSSL's names */
};

/* 0; -1: it is not known here, or its records cannot be opened. */
int tls_suite_of(uint16_t cipher, uint16_t version, struct tls_suite *suite);

/* Opens the records of one side under one key. */
struct tls_opener {
    struct tls_suite suite;
    uint16_t version;
    int encrypt_then_mac;
    EVP_CIPHER_CTX *cipher; /* NULL: it is not ready */
    EVP_MAC_CTX *mac;
    uint8_t iv[16]; /* fixed part of the nonce; TLS 1.0: the last block of the record before */
    int iv_known;
};

struct tls_sealed { /* a record as it is on the wire */
    uint8_t type;
    uint16_t version;
    const uint8_t *data; /* its fragment */
    size_t len;
};

/* TLS 1.3, from a traffic secret of suite->hash_len bytes. 0 or -1 (libcrypto refuses). */
int tls_opener_13(struct tls_opener *opener, const struct tls_suite *suite, const uint8_t *secret);

/* TLS 1.0 to 1.2, from the master secret; randoms: the client's, then the server's; server: 1 for
 * the records that the server sends. */
int tls_opener_12(struct tls_opener *opener, const struct tls_suite *suite, uint16_t version,
                  int encrypt_then_mac, const uint8_t master[TLS_SECRET_MAX],
                  const uint8_t randoms[TLS_RANDOMS_SIZE], int server);

void tls_opener_release(struct tls_opener *opener);

/* Opens a record that has this number. out: room for sealed->len bytes. Returns the length of what
 * was in it, -1 where it is not authentic: nothing in `out` may be used then. In TLS 1.3 *type
 * becomes the inner type, and padding is gone. */
long tls_open_record(struct tls_opener *opener, uint64_t number, const struct tls_sealed *sealed,
                     uint8_t *out, uint8_t *type);

/* CBC of TLS 1.0: the record went by unopened; its last block begins the next one. */
void tls_opener_pass(struct tls_opener *opener, const struct tls_sealed *sealed);

/* How much a record of that length can hold at most. */
size_t tls_opener_room(const struct tls_opener *opener, size_t sealed_len);

/* The secret of the next generation (RFC 8446 7.2), in place. 0 or -1. */
int tls_next_secret(const struct tls_suite *suite, uint8_t secret[TLS_SECRET_MAX]);

/* HKDF-Expand-Label without a context (RFC 8446 7.1). 0 or -1. */
int tls_expand_label(const struct tls_suite *suite, const uint8_t *secret, const char *label,
                     uint8_t *out, size_t len);

#endif
