/*
 * TLS 1.3 with AES-128-GCM from fixed secrets, for the generator of captures: the records of a
 * connection, and the lines of a key log that open them.
 */
#ifndef SWITCHTAP_BENCH_SEAL_H
#define SWITCHTAP_BENCH_SEAL_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { SEAL_EXTRA = 5 + 1 + 16 }; /* head, inner type, tag */

struct seal { /* of one side */
    EVP_CIPHER_CTX *cipher;
    uint8_t iv[12];
    uint64_t number;
};

/* Begins with the key of a label of the key log, whose line is written to keylog. */
void seal_begin(struct seal *seal, const uint8_t random[32], const char *label, FILE *keylog);

/* A record; out has room for len + SEAL_EXTRA bytes, which is what is returned. */
size_t seal_record(struct seal *seal, uint8_t type, const uint8_t *data, size_t len, uint8_t *out);

void seal_end(struct seal *seal);

#endif
