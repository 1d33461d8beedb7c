/*
 * Secrets of TLS connections, by the client's random: what a key log (the NSS key log format, as
 * SSLKEYLOGFILE makes it) and Decryption Secrets Blocks say. They are wiped when they are dropped,
 * and no call shows them but tls_keys_find(). One store serves one analysing thread; behind the
 * stores of several there may be one that they share (tls_keys_behind()).
 */
#ifndef SWITCHTAP_TLS_KEYS_H
#define SWITCHTAP_TLS_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "budget.h"

enum tls_label {
    TLS_MASTER_SECRET, /* CLIENT_RANDOM: up to TLS 1.2 */
    TLS_CLIENT_EARLY,
    TLS_CLIENT_HANDSHAKE,
    TLS_SERVER_HANDSHAKE,
    TLS_CLIENT_TRAFFIC,
    TLS_SERVER_TRAFFIC
};

enum {
    TLS_RANDOM_SIZE = 32,
    TLS_SECRET_MAX = 48,       /* SHA-384, and the master secret */
    TLS_KEYS_MOST = 1 << 20,   /* secrets: about 90 MiB */
    TLS_KEYS_LINE_MAX = 512,   /* bytes of a line that is read */
    TLS_KEYS_ROOM = 16384 + 2048 /* bytes of a record, RFC 5246 6.2.3 */
};

struct tls_keys;

struct tls_keys_counts {
    uint64_t secrets; /* taken */
    uint64_t broken;  /* lines that do not follow the format */
    uint64_t dropped; /* secrets that made room for newer ones */
};

/* most: secrets that are kept, the newest. NULL: no memory. */
struct tls_keys *tls_keys_new(struct budget *budget, size_t most);
void tls_keys_free(struct tls_keys *keys); /* may be NULL */

/* Whole lines; the last one needs no line end. */
void tls_keys_text(struct tls_keys *keys, const char *text, size_t len);

/* A line was too long to be one. */
void tls_keys_broken(struct tls_keys *keys);

/* Asked where a secret is looked for and not there: it may add some. */
void tls_keys_source(struct tls_keys *keys, void (*more)(void *arg), void *arg);

/* What is not in `keys` is then looked for in `shared`, by one thread at a time; nobody may add to
 * that one but its source, and it is freed last. */
void tls_keys_behind(struct tls_keys *keys, struct tls_keys *shared);

/* Could a secret ever be found? */
int tls_keys_any(const struct tls_keys *keys); /* may be NULL: no */

/* The length of the secret, 32 or 48, which is copied out; 0: not known. The caller wipes it. */
size_t tls_keys_find(struct tls_keys *keys, enum tls_label label,
                     const uint8_t random[TLS_RANDOM_SIZE], uint8_t secret[TLS_SECRET_MAX]);

/* Room for what is in one record at a time: up to TLS_KEYS_ROOM bytes, NULL where it is more or the
 * room is lent already. tls_keys_return(): 1 where it was that room, 0: it is the caller's. */
uint8_t *tls_keys_lend(struct tls_keys *keys, size_t len);
int tls_keys_return(struct tls_keys *keys, const uint8_t *room);

void tls_keys_get_counts(struct tls_keys *keys, struct tls_keys_counts *counts);

#endif
