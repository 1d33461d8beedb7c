/*
 * The judge of one exchange that asks for another protocol: an Upgrade request or a CONNECT (RFC
 * 9110 7.8, 9.3.6), an extended CONNECT of HTTP/2 (RFC 8441), or what a proxy left of one, and its
 * answer. Says what was asked, what the
 * answer grants and which rules either of them breaks. Knows heads only.
 */
#ifndef SWITCHTAP_UPGRADE_H
#define SWITCHTAP_UPGRADE_H

#include "http_fields.h"
#include "ws_handshake.h"

struct upgrade {
    const struct http_head *request; /* NULL: it was not captured */
    enum mechanism mechanism;
    int websocket;    /* Upgrade, or :protocol, names websocket */
    int stripped;     /* Sec-WebSocket-Key or -Version without websocket in Upgrade */
    int hixie;        /* a draft of 2010: 8 bytes of the request follow its head, and no RFC 6455 */
    int broken;       /* breaks what a WebSocket server has to check */
    int settings;     /* one valid HTTP2-Settings field, named in Connection */
    int secure;       /* inside TLS */
    int unsure;       /* the answer may belong to another request */
    int expects_100, saw_100;
    int body_open;    /* the request's body was not complete when the answer came */
    unsigned interim; /* status of an interim answer before the final one; 0: none */
};

struct upgrade_verdict {
    enum outcome outcome;
    enum cause cause;
    struct text token; /* the protocol that follows; none: only the bytes can tell */
    struct text accepted;
    int websocket; /* `agreement` says what was agreed */
    int reversed;
    int docker; /* a raw stream behind a 200; token is the Content-Type */
    enum rule early; /* for bytes that the client sent before it could know */
    struct ws_agreement agreement;
};

/* Is a captured request an attempt? seen: it has an Upgrade field, or a Sec-WebSocket-* one. */
int upgrade_is_attempt(struct text method, int has_upgrade, int has_websocket);

/* Reads what is asked; judges nothing. */
void upgrade_begin(struct upgrade *upgrade, const struct http_head *request);

/* Reports what the request breaks. */
void upgrade_request(struct upgrade *upgrade, const struct http_report *report);

/* Judges the final answer; what it refers to is borrowed from it and from the request. */
void upgrade_answer(struct upgrade *upgrade, const struct http_head *answer,
                    const struct http_report *report, struct upgrade_verdict *verdict);

/* Rules about any other answer: Upgrade without its connection option, 426 without Upgrade. */
void upgrade_plain_answer(const struct http_head *answer, const struct http_report *report);

/* Does the answer begin one of the raw streams of the Docker API, without a 101? */
int upgrade_is_docker_stream(const struct http_head *answer);

/* The first protocol that the Upgrade field names, or TEXT_NONE. */
struct text upgrade_first_token(const struct http_head *head);

/* What bytes are called that came before the answer to this request; RULE_COUNT: they are
 * allowed. */
enum rule upgrade_early_rule(const struct upgrade *upgrade, struct text token);

/* The first field that only a proxy adds, or NULL. */
const struct http_field *upgrade_forwarded(const struct http_head *request);

/* Why an answer refuses; the word for it. */
enum cause upgrade_cause(const struct upgrade *upgrade, unsigned status);
const char *upgrade_cause_name(enum cause cause);

/* The target without its query. */
struct text upgrade_path(const struct http_head *request);

/* Host or :authority, or the authority of an absolute target; the target of a CONNECT. */
struct text upgrade_host(const struct http_head *request);

#endif
