/*
 * The messages of SOCKS as they stand on the wire: what the dissector (socks.c) and its probe both
 * read, each whole or not at all.
 */
#ifndef SWITCHTAP_SOCKS_H
#define SWITCHTAP_SOCKS_H

#include "dissector.h"
#include "reader.h"

enum {
    SOCKS_NO_AUTHENTICATION = 0,
    SOCKS_GSSAPI = 1,
    SOCKS_PASSWORD = 2,
    SOCKS_REFUSED = 0xff
};

enum { SOCKS_CONNECT = 1, SOCKS_BIND = 2, SOCKS_UDP_ASSOCIATE = 3 };

enum { SOCKS4_GRANTED = 90, SOCKS4_LAST = 93 };

enum socks_read { SOCKS_BAD = -1, SOCKS_MORE, SOCKS_WHOLE }; /* the reader stands behind it */

/* Methods below 32 that a greeting offers, as bits; `others`: it offers more than those three
 * which are known here. */
struct socks_greeting {
    uint32_t methods;
    int others;
};

struct socks_request {
    unsigned command, reserved, port;
    unsigned type;      /* of the address, as SOCKS5 counts: 1 IPv4, 3 a name, 4 IPv6 */
    const uint8_t *address;
    size_t address_len;
};

enum socks_read socks_read_greeting(struct reader *r, struct socks_greeting *greeting);

/* RFC 1929; neither name nor password is kept. */
enum socks_read socks_read_password(struct reader *r);

/* RFC 1961: the type of the message in *type. */
enum socks_read socks_read_gssapi(struct reader *r, unsigned *type);

/* A request, or a reply, whose code stands where a request has its command. */
enum socks_read socks_read_request5(struct reader *r, struct socks_request *request);
enum socks_read socks_read_request4(struct reader *r, struct socks_request *request);

/* Host and port as text: "name:port", "192.0.2.1:80", "[2001:db8::1]:443". Returns the length;
 * *host_len: without the port. */
enum { SOCKS_TARGET_MOST = 280 };
size_t socks_target(const struct socks_request *request, char target[SOCKS_TARGET_MOST],
                    size_t *host_len);

int socks_probe(enum side side, const uint8_t *data, size_t len);

#endif
