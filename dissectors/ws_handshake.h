/*
 * The opening handshake of the WebSocket protocol (RFC 6455 4, 9.1, 11.3) and the negotiation of
 * permessage-deflate (RFC 7692 5, 7.1): judges a request and its 101, and says what was agreed.
 * Of a head of HTTP/2 (RFC 8441 5) what is left of it there: version, subprotocols, extensions.
 * Knows heads only; where they came from is the caller's business.
 */
#ifndef SWITCHTAP_WS_HANDSHAKE_H
#define SWITCHTAP_WS_HANDSHAKE_H

#include "http_fields.h"

struct ws_agreement {
    int accept_valid; /* 1, 0, or -1: key or Accept was not seen */
    int deflate;
    int server_no_context_takeover, client_no_context_takeover;
    unsigned server_max_window_bits, client_max_window_bits; /* 0: none agreed */
    struct text subprotocol; /* none */
    int other_extensions;    /* others than permessage-deflate */
};

/* Writes base64(SHA-1(key + GUID)): 28 characters and a NUL. 0, or -1: libcrypto has no memory. */
int ws_handshake_accept(struct text key, char accept[29]);

/* Judges a request that offers websocket. Returns 1 where it breaks what RFC 6455 4.2.1 makes the
 * server check (version, key, Host), else 0. */
int ws_handshake_request(const struct http_head *request, const struct http_report *report);

/* Judges a 101 that agrees on websocket. request NULL: it was not captured. broken: what
 * ws_handshake_request() returned. unsure: the 101 may answer another request. */
void ws_handshake_answer(const struct http_head *request, const struct http_head *answer,
                         int broken, int unsure, const struct http_report *report,
                         struct ws_agreement *agreement);

/* The first line that names an extension's parameters and what they say (RFC 7692 7.1). */
struct ws_deflate {
    int present, bad; /* bad: a rule of 7.1 is broken, such an offer must be declined */
    int server_no_context_takeover, client_no_context_takeover;
    int server_window, client_window;           /* the parameter is there */
    unsigned server_max_window_bits, client_max_window_bits; /* 0: without a (legal) value */
};

/* Reads one member of Sec-WebSocket-Extensions that is permessage-deflate. */
struct ws_deflate ws_deflate_read(struct text member, int response,
                                  const struct http_report *report, uint64_t offset);

/* Compares the answer with all the offers of the request and reports what no offer allows. */
void ws_deflate_compare(const struct http_head *request, const struct ws_deflate *answer,
                        const struct http_report *report, uint64_t offset);

#endif
