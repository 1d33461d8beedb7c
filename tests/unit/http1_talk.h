/*
 * Conversations over HTTP/1.x for tests: fed to the engine whole, byte by byte and cut in two at
 * every place, with the events written down as lines, which have to be the same each time.
 */
#ifndef SWITCHTAP_HTTP1_TALK_H
#define SWITCHTAP_HTTP1_TALK_H

#include <check.h>
#include <stddef.h>

#include "../../dissectors/stack.h"

struct talk_turn {
    enum side side;
    const char *bytes;
    size_t len, gap; /* gap: bytes lost in front */
    int end;         /* FIN behind it */
    int blind;       /* its sender had not seen the peer's turn before it */
};

#define C(s) {CLIENT, s, sizeof(s) - 1, 0, 0, 0}
#define S(s) {SERVER, s, sizeof(s) - 1, 0, 0, 0}
#define C_BLIND(s) {CLIENT, s, sizeof(s) - 1, 0, 0, 1}
#define S_BLIND(s) {SERVER, s, sizeof(s) - 1, 0, 0, 1}
#define C_GAP(n) {CLIENT, NULL, 0, n, 0, 0}
#define S_GAP(n) {SERVER, NULL, 0, n, 0, 0}
#define C_END {CLIENT, NULL, 0, 0, 1, 0}
#define S_END {SERVER, NULL, 0, 0, 1, 0}

enum { TALK_MIDSTREAM = 1, TALK_WHOLE_ONLY = 2 };

/* The lines of a conversation; valid until the next call. */
const char *talk(const struct talk_turn *turns, size_t count, int flags);

#define TALK(...) \
    talk((const struct talk_turn[]){__VA_ARGS__}, \
         sizeof((const struct talk_turn[]){__VA_ARGS__}) / sizeof(struct talk_turn), 0)
#define TALK_MID(...) \
    talk((const struct talk_turn[]){__VA_ARGS__}, \
         sizeof((const struct talk_turn[]){__VA_ARGS__}) / sizeof(struct talk_turn), \
         TALK_MIDSTREAM)
/* For starts that the engine has to look for: there the cuts matter. */
#define TALK_WHOLE(...) \
    talk((const struct talk_turn[]){__VA_ARGS__}, \
         sizeof((const struct talk_turn[]){__VA_ARGS__}) / sizeof(struct talk_turn), \
         TALK_WHOLE_ONLY)

/* A part of the lines is there, is not, is there n times; a finding with a rule's name likewise. */
void talk_has(const char *lines, const char *part);
void talk_lacks(const char *lines, const char *part);
void talk_times(const char *lines, const char *part, int n);
void talk_finds(const char *lines, const char *rule);
void talk_spares(const char *lines, const char *rule);
/* No finding of medium severity or above. */
void talk_quiet(const char *lines);

#define TALK_KEY "AQIDBAUGBwgJCgsMDQ4PEA=="
#define TALK_ACCEPT "C/0nmHhBztSRGR1CwL6Tf4ZjwpY="
#define WS_ASK_LINE "GET /chat?room=1 HTTP/1.1\r\n"
#define WS_ASK_FIELDS \
    "Host: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" \
    "Sec-WebSocket-Key: " TALK_KEY "\r\nSec-WebSocket-Version: 13\r\n"
#define WS_ASK WS_ASK_LINE WS_ASK_FIELDS "\r\n"
#define WS_ASK_WITH(fields) WS_ASK_LINE WS_ASK_FIELDS fields "\r\n"
#define WS_GRANT_LINE "HTTP/1.1 101 Switching Protocols\r\n"
#define WS_GRANT_FIELDS \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " TALK_ACCEPT "\r\n"
#define WS_GRANT WS_GRANT_LINE WS_GRANT_FIELDS "\r\n"
#define WS_GRANT_WITH(fields) WS_GRANT_LINE WS_GRANT_FIELDS fields "\r\n"
/* Masked text frames "hi", and unmasked ones. */
#define WS_HI "\x81\x82\x11\x22\x33\x44\x79\x4b"
#define WS_HELLO "\x81\x02hi"
#define TLS_HELLO "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"

#endif
