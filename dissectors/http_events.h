/*
 * What an attempt to switch says to the outside, whatever version of HTTP made it: reports, the
 * events of its request and its answer, and the hints that its successor gets.
 */
#ifndef SWITCHTAP_HTTP_EVENTS_H
#define SWITCHTAP_HTTP_EVENTS_H

#include "dissector.h"
#include "http_fields.h"
#include "upgrade.h"

/* Reports about a session (0: the layer's own), at the bytes' own marks or at a packet. */
struct http_reporter {
    struct layer *layer;
    uint32_t session;
    uint64_t packet; /* 0: by offset */
    int64_t time_ns;
};

struct http_report http_report_of(struct http_reporter *reporter);

/* Tells the session with its request, and the fields of that. packet 0: by offset. */
void http_events_request(struct layer *layer, uint32_t session, const struct upgrade *upgrade,
                         uint64_t packet, int64_t time_ns);

/* Tells the final answer and its fields. */
void http_events_answer(struct layer *layer, uint32_t session, enum outcome outcome,
                        const struct upgrade_verdict *verdict, const struct http_head *answer);

/* All lines of a field as one list; *owned is from the budget where there are several, else
 * NULL. */
struct text http_join(struct layer *layer, const struct http_head *head, const char *name,
                      char **owned);

enum { HTTP_HINTS_MAX = 16 };

struct http_hints { /* zeroed: none */
    struct hint hints[HTTP_HINTS_MAX];
    size_t count;
    char windows[2][4];
    char *owned; /* http_hints_release() */
};

/* An absent value adds nothing. */
void http_hints_add(struct http_hints *list, const char *name, struct text value);

/* What a WebSocket handshake agreed on; answer: its head, with the extensions. */
void http_hints_websocket(struct http_hints *list, struct layer *layer,
                          const struct ws_agreement *agreement, const struct http_head *answer);
void http_hints_release(struct http_hints *list, struct layer *layer);

#endif
