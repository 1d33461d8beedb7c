/*
 * What the files of TLS share: tls.c walks through records and messages and is the dissector,
 * tls_prelude.c knows how a side begins and what may stand in front of that, tls_hello.c reads the
 * two hellos, tls_ja4.c makes fingerprints of them, tls_names.c has the registries' names.
 */
#ifndef SWITCHTAP_TLS_PRIVATE_H
#define SWITCHTAP_TLS_PRIVATE_H

#include "dissector.h"

enum tls_type { /* of records; RFC 8446 B.1 */
    TLS_CHANGE_CIPHER_SPEC = 20,
    TLS_ALERT = 21,
    TLS_HANDSHAKE = 22,
    TLS_APPLICATION_DATA = 23,
    TLS_HEARTBEAT = 24
};

enum tls_message_type { /* RFC 8446 B.3, RFC 5246 A.4 */
    TLS_HELLO_REQUEST = 0,
    TLS_CLIENT_HELLO = 1,
    TLS_SERVER_HELLO = 2,
    TLS_NEW_SESSION_TICKET = 4,
    TLS_END_OF_EARLY_DATA = 5,
    TLS_ENCRYPTED_EXTENSIONS = 8,
    TLS_CERTIFICATE = 11,
    TLS_FINISHED = 20,
    TLS_KEY_UPDATE = 24
};

enum {
    TLS_SSL2 = 0x0002,
    TLS_SSL3 = 0x0300,
    TLS_1_1 = 0x0302,
    TLS_1_3 = 0x0304,
    TLS_RECORD_HEAD = 5,
    TLS_RECORD_MAX = 16384 + 2048, /* RFC 5246 6.2.3 */
    TLS_PRELUDE_MAX = 16384,       /* clear bytes in front of a hello that are looked through */
    TLS_NAME_MAX = 255,            /* bytes of a server name that are kept */
    TLS_ALPN_MAX = 255,            /* bytes of an ALPN list that are kept */
    TLS_SESSION_ID_MAX = 32
};

/* --- how a side begins (tls_prelude.c) --- */

/* The probe: a hello, a server's alert, an SSLv2-compatible hello, or a chain of two records. */
int tls_probe(enum side side, const uint8_t *data, size_t len);

/* The same for a hello (or a server's alert) alone, which is what a search looks for. */
int tls_hello_probe(enum side side, const uint8_t *data, size_t len);

/* Looks for one from *at on, which keeps the place between calls. 1: found at *at, 0: more bytes
 * may tell, -1: nowhere in the first TLS_PRELUDE_MAX bytes. */
int tls_hello_find(enum side side, const uint8_t *data, size_t len, size_t *at);

/* Bytes as printable text, shortened; what follows AUTH, LOGIN or PASS in a line is left out. Of
 * what is not text only the beginning, in hex. size: 32 at least. */
size_t tls_printable(char *out, size_t size, const uint8_t *data, size_t len);

/* The host of "host:port", "[v6]:port", "https://host/": borrowed, without a last dot. TEXT_NONE
 * where it is an address, not a name. */
struct text tls_host_name(struct text target);

/* --- the hellos (tls_hello.c) --- */

struct tls_hello { /* texts are borrowed from the message, TEXT_NONE: not there */
    uint16_t version; /* offered at most; in a ServerHello: chosen */
    uint16_t cipher;  /* chosen */
    uint16_t group;   /* that a HelloRetryRequest wants; 0: none */
    int retry;        /* a HelloRetryRequest */
    int ticket;       /* a session ticket is presented */
    int psk;          /* a pre-shared key is offered; chosen */
    int flawed;       /* an extension does not have the form that it should */
    int early;        /* early data is offered; taken */
    int encrypt_then_mac;
    int compressed;   /* a compression method was chosen */
    struct text random;
    struct text session_id;
    struct text ciphers;    /* offered: two bytes each */
    struct text extensions; /* the block: type, length, data each; its lengths are right */
    struct text sni;        /* the first host_name */
    struct text alpn;       /* the list: length, name each */
    struct text signatures; /* signature_algorithms: two bytes each */
};

/* 0; -1: it is not such a message, by its lengths. What was read up to there is in *hello. */
int tls_client_hello(const uint8_t *body, size_t len, struct tls_hello *hello);
int tls_server_hello(const uint8_t *body, size_t len, struct tls_hello *hello);

/* ALPN and early data, from the server's EncryptedExtensions (RFC 8446 4.3.1). 0 or -1. */
int tls_encrypted_extensions(const uint8_t *body, size_t len, struct tls_hello *hello);

/* The next name of an ALPN list; 0: none. */
int tls_alpn_next(struct text *list, struct text *name);

/* Values that mean nothing (RFC 8701). */
int tls_is_grease(uint16_t value);

int tls_is_13(uint16_t version); /* or a draft of it */

/* --- fingerprints (tls_ja4.c) --- */

enum { TLS_JA4_SIZE = 40 };

/* "t13d1516h2_8daaf6152771_e5627efa2ab1"; empty where there is no memory. */
void tls_ja4(const struct tls_hello *hello, struct budget *budget, char out[TLS_JA4_SIZE]);
/* "t120400_c030_4e8089b08790" */
void tls_ja4s(const struct tls_hello *hello, struct budget *budget, char out[TLS_JA4_SIZE]);

/* --- names (tls_names.c): static, or made in `room` where there is none --- */

struct tls_room {
    char text[32];
};

struct text tls_version_name(uint16_t version, struct tls_room *room);
struct text tls_cipher_name(uint16_t cipher, struct tls_room *room);
struct text tls_alert_name(uint8_t code, struct tls_room *room);
struct text tls_group_name(uint16_t group, struct tls_room *room);
int tls_alert_known(uint8_t code);

#endif
