/*
 * Conversations of protocols that are found by their first bytes, as tables: each is played whole
 * and cut into pieces, and what is said about it is compared with a short summary; then with each
 * byte wrong, and with its end missing.
 */
#ifndef SWITCHTAP_TUNNEL_TALK_H
#define SWITCHTAP_TUNNEL_TALK_H

#include "fake_layer.h"

struct talk_bytes {
    const char *data;
    size_t len;
};

#define TALK_BYTES(s) {"" s, sizeof(s) - 1}

enum { TALK_STEPS = 12 };

struct talk_step {
    enum side side;
    struct talk_bytes bytes;
    size_t gap; /* in place of bytes */
    int fin;
};

#define TALK_C(s) {CLIENT, TALK_BYTES(s), 0, 0}
#define TALK_S(s) {SERVER, TALK_BYTES(s), 0, 0}
#define TALK_LOST(side, len) {side, {NULL, 0}, len, 0}
#define TALK_FIN(side) {side, {NULL, 0}, 0, 1}

struct talk {
    const char *what;
    struct talk_step steps[TALK_STEPS];
    /* What the log says, in its order: "socks", the layers; "asks OFFERED METHOD TARGET" or "lost
     * ..."; "grants", "refuses CAUSE STATUS REASON", "ignores"; "C:RULE"; {detail}. */
    const char *said;
};

struct fake *talk_prepare(const struct talk *talk);

void talk_is_understood(const struct talk *talk);
void talk_survives(const struct talk *talk);

/* A TLS ClientHello without extensions. */
#define TALK_HELLO                                                                                 \
    "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03"                                                 \
    "0123456789abcdef0123456789abcdef"                                                             \
    "\x00\x00\x02\x13\x01\x01\x00"

/* What a probe says: -1, 0, 1 it fits, 2 it is sure. */
int talk_probe(const char *protocol, enum side side, const char *data, size_t len);

/* One byte after the other: it never changes its mind from yes or no. Returns the last word. */
int talk_probe_bytewise(const char *protocol, enum side side, const struct talk_bytes *bytes);

#endif
