/*
 * The state of one TLS connection, for the files that work on it: tls.c walks through its records,
 * tls_handshake.c through the messages in them, tls_decrypt.c opens the records that are encrypted.
 */
#ifndef SWITCHTAP_TLS_FLOW_H
#define SWITCHTAP_TLS_FLOW_H

#include "tls_decrypt.h"
#include "tls_private.h"

enum { TLS_MESSAGE_HEAD = 4, TLS_DATE_SIZE = 24 };

struct tls_record {
    uint64_t offset, packet; /* of its first byte */
    int64_t time_ns;
    uint32_t length, left; /* bytes of the fragment; those that are not read yet */
    uint16_t version;
    uint8_t type;
    uint8_t begun, sealed; /* it was decided whether it is encrypted; it is */
    uint8_t lost;          /* bytes of it were */
    uint8_t alert[2];
};

struct tls_message { /* a handshake message, cut into records anywhere */
    uint8_t head[TLS_MESSAGE_HEAD];
    uint8_t head_len, type, gathering;
    uint32_t length, got;
    uint8_t *body; /* what came of a hello so far, where it comes in pieces */
    size_t cap;
    struct tls_record where; /* the record that it begins in */
};

struct tls_alert {
    uint8_t level, code; /* level 0: none */
};

struct tls_text { /* from the budget; data NULL: not there */
    char *data;
    size_t len;
};

struct tls_side {
    uint8_t begun;   /* it speaks TLS */
    uint8_t over;    /* nothing more is to be learnt from it */
    uint8_t clear;   /* it began with something else, and its hello is looked for */
    uint8_t sealed;  /* behind its ChangeCipherSpec */
    uint8_t unread;  /* a gap took the place in its messages */
    uint8_t midway;  /* its first record was not its hello's */
    uint8_t messages; /* there was one */
    size_t searched; /* of the bytes in front of its hello */
    uint64_t encrypted;
    uint8_t in_record;
    struct tls_record record;
    struct tls_message message;
    struct tls_alert alert;
    const char *malformed; /* what cannot be read; NULL: nothing */
};

struct tls_certificate {
    struct tls_text names;  /* DNS names and addresses, or the common name: length, name each */
    struct tls_text issuer; /* "O=..., CN=..." */
    char not_after[TLS_DATE_SIZE]; /* "2027-01-31T12:00:00Z"; empty: not known */
};

struct tls {
    struct layer *layer;
    struct tls_side side[2];
    uint8_t starttls, assumed, upgrade; /* what the handover said */
    uint8_t hellos[2]; /* complete ones; the server's HelloRetryRequest is none */
    uint8_t retry, ssl2, ticket, psk;
    uint8_t awaits_next; /* the message behind a ServerHello tells whether it resumes */
    uint8_t session_id_len;
    uint8_t session_id[TLS_SESSION_ID_MAX]; /* that the client offered */
    uint16_t version, cipher, group;
    uint64_t client_root; /* where the client's TLS begins, in its root stream */
    const char *resumed;  /* by what; NULL: it was not, or that is not to be seen */
    struct tls_text expected_host, sni, alpn_offered, alpn;
    struct tls_crypt *crypt; /* NULL: nothing is decrypted */
    char ja4[TLS_JA4_SIZE], ja4s[TLS_JA4_SIZE];
    struct tls_certificate certificate; /* the server's */
    uint8_t data; /* a side sent application data, or may have */
};

/* --- tls_tell.c --- */

/* At the end: tells the engine what there is to know. */
void tls_tell(struct tls *t);

/* --- tls_handshake.c --- */

/* A copy of at most `max` bytes. */
struct tls_text tls_text_keep(struct tls *t, struct text text, size_t max);
struct text tls_text_of(const struct tls_text *text);

/* About a record whose first byte may be consumed: its place was kept. */
void tls_find_at(struct tls *t, enum side side, enum rule rule, const struct tls_record *where,
                 struct text evidence);

/* RFC 5077 3.1, RFC 5246 7.3: an abbreviated handshake has no Certificate and no key exchange. */
void tls_behind_hello(struct tls *t, int abbreviated);

/* --- tls_certificate.c --- */

/* Reads the first certificate of a Certificate message; the first one that could be read stays. */
void tls_take_certificate(struct tls *t, const uint8_t *body, size_t len);

/* --- tls_handshake.c --- */

/* Bytes of handshake messages, in order. */
void tls_feed_handshake(struct tls *t, enum side side, const uint8_t *data, size_t len);
void tls_drop_message(struct tls *t, enum side side);

#endif
