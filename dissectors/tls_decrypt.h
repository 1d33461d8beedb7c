/*
 * TLS records opened with the secrets of a key log: which key is in force on which side, and what
 * becomes of what was in a record. Only what is authentic is ever handed on.
 */
#ifndef SWITCHTAP_TLS_DECRYPT_H
#define SWITCHTAP_TLS_DECRYPT_H

#include "dissector.h"
#include "tls_cipher.h"

enum tls_epoch { TLS_EPOCH_EARLY, TLS_EPOCH_HANDSHAKE, TLS_EPOCH_TRAFFIC }; /* of TLS 1.3 */

enum tls_parked { /* a record of a side waits */
    TLS_PARKED_NOT,
    TLS_PARKED_PEER, /* for what the other side has to tell */
    TLS_PARKED_KEYS, /* for its secret */
    TLS_PARKED_ORDER /* for an earlier record of the other side */
};

struct tls_params { /* what a handshake of TLS 1.2 agreed on */
    struct tls_suite suite;
    uint16_t version;
    uint8_t encrypt_then_mac;
    uint8_t randoms[TLS_RANDOMS_SIZE];
};

struct tls_crypt_side {
    struct tls_opener opener;
    uint8_t secret[TLS_SECRET_MAX]; /* TLS 1.3: of the epoch */
    uint8_t epoch;
    uint8_t keyed;    /* the opener has the key that is in force */
    uint8_t parked;   /* enum tls_parked */
    uint8_t ended;    /* the carried layer was told */
    uint8_t unsure;   /* records were lost: another number, or key, may be in force */
    uint8_t opened;   /* a record was */
    uint8_t skips;    /* records under a key that is not known stand in front of it */
    uint8_t reported; /* one that is not authentic */
    uint8_t generation; /* while searching: of key updates */
    uint8_t seeking;  /* where the next record begins was lost */
    uint64_t lost_at; /* ... from there on, in the layer's stream */
    uint64_t number;  /* of the next record under this key */
    uint64_t tried;   /* bytes, in searches */
    struct tls_params params;
};

struct tls_crypt { /* zeroed; there only where keys may be found */
    uint8_t agreed;   /* a ServerHello chose a suite that can be opened */
    uint8_t early;    /* the client offers early data; 2: the server took it */
    uint8_t answered; /* the server's EncryptedExtensions were read, or never will be */
    uint8_t carrying; /* the carried layer was opened */
    uint8_t unwanted; /* ... and wants nothing more */
    const char *why;  /* it is not decrypted; NULL: it is, or may be */
    struct tls_params next; /* of the handshake that is going on */
    struct tls_crypt_side side[2];
};

struct tls;
struct tls_hello;

enum tls_way {
    TLS_WAY_CLEAR,  /* the record is not encrypted, or nothing can be done about it */
    TLS_WAY_SEALED, /* tls_decrypt_record() is to open it, when it is whole */
    TLS_WAY_WAIT    /* the other side has to tell first */
};

/* A ClientHello was read: begins, where there are keys at all. */
void tls_decrypt_client_hello(struct tls *t, const struct tls_hello *hello);
void tls_decrypt_server_hello(struct tls *t, const struct tls_hello *hello);
void tls_decrypt_free(struct tls *t);

/* Is decrypting still hoped for? */
int tls_decrypting(const struct tls *t);

/* Was anything? */
int tls_decrypted(const struct tls *t);

/* Why nothing, or no more, is; NULL: there is no reason. */
const char *tls_decrypt_why(const struct tls *t);

/* It is not, and why. */
void tls_decrypt_stop(struct tls *t, const char *why);

/* The side's ChangeCipherSpec went by. */
void tls_decrypt_change(struct tls *t, enum side side);

/* What the record at hand of that side is. */
enum tls_way tls_decrypt_way(struct tls *t, enum side side);

/* The record at hand, whose fragment is data. 1: done with it, 0: it has to wait. */
int tls_decrypt_record(struct tls *t, enum side side, const uint8_t *data, size_t len);

/* The record at hand lost bytes, and its end is known. */
void tls_decrypt_lost(struct tls *t, enum side side);

/* Bytes were lost from this offset on, and where the next record begins. 0: that is the end of
 * decrypting. */
int tls_decrypt_gap(struct tls *t, enum side side, uint64_t offset);

/* Is the next record to be looked for? */
int tls_decrypt_seeking(const struct tls *t, enum side side);

/* Is this whole record, whose head was found at `offset`, authentic? 1: it was read. */
int tls_decrypt_found(struct tls *t, enum side side, const struct tls_sealed *sealed,
                      uint64_t offset);

/* Makes the opener of the epoch or parameters of `s`. 0: its secret is not there. */
int tls_decrypt_key(struct tls *t, enum side side, struct tls_crypt_side *s);

/* A handshake message behind the hellos. `body`: only where tls_decrypt_wants() it. */
int tls_decrypt_wants(const struct tls *t, enum side side, uint8_t type);
void tls_decrypt_message(struct tls *t, enum side side, uint8_t type, const uint8_t *body,
                         size_t len);

/* The side ends. */
void tls_decrypt_eof(struct tls *t, enum side side);

#endif
