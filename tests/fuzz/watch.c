/*
 * What has to hold of the events of a flow: opened before used, closed once, never closed twice.
 */
#include "watch.h"

#include <string.h>

#include "fuzz.h"

enum { OPENED = 1, ANSWERED = 2, ENDED = 4, SWITCHED_TO = 8 };

void watch_begin(struct watch *w)
{
    memset(w, 0, sizeof *w);
    w->hash = UINT64_C(14695981039346656037);
}

void watch_end(const struct watch *w)
{
    for (size_t i = 1; i < WATCH_LAYERS; i++)
        if (w->layer[i] == 1)
            fuzz_broken("a layer was not closed");
}

static void hash_bytes(struct watch *w, const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < len; i++)
        w->hash = (w->hash ^ b[i]) * UINT64_C(1099511628211);
}

static void hash_number(struct watch *w, uint64_t number)
{
    hash_bytes(w, &number, sizeof number);
}

static void hash_text(struct watch *w, struct text text)
{
    if (text.data == NULL && text.len != 0)
        fuzz_broken("a text of nothing");
    hash_number(w, text.data != NULL ? text.len + 1 : 0);
    hash_bytes(w, text.data, text.len);
}

static uint8_t *session_of(struct watch *w, const struct event *e)
{
    if (e->session == 0)
        fuzz_broken("an event of no session");
    return &w->session[e->session < WATCH_SESSIONS ? e->session : 0];
}

static void check_session(struct watch *w, const struct event *e)
{
    uint8_t *s = session_of(w, e);
    int known = e->session < WATCH_SESSIONS;
    if (known && e->kind == EVENT_SESSION_OPEN && *s != 0)
        fuzz_broken("a session opens twice");
    if (known && e->kind != EVENT_SESSION_OPEN && (*s & OPENED) == 0)
        fuzz_broken("a session that was not opened");
    if (known && e->kind == EVENT_SESSION_ANSWER && (*s & ANSWERED) != 0)
        fuzz_broken("a session is answered twice");
    if (known && e->kind == EVENT_SESSION_END && (*s & ENDED) != 0)
        fuzz_broken("a session ends twice");
    *s |= e->kind == EVENT_SESSION_OPEN     ? OPENED
          : e->kind == EVENT_SESSION_ANSWER ? ANSWERED
          : e->kind == EVENT_SESSION_END    ? ENDED
                                            : SWITCHED_TO;
}

static void check_layer(struct watch *w, const struct event *e)
{
    if (e->layer == 0)
        fuzz_broken("a layer without a number");
    if (e->layer >= WATCH_LAYERS)
        return;
    uint8_t *l = &w->layer[e->layer];
    if (e->kind == EVENT_LAYER_OPEN) {
        if (*l != 0)
            fuzz_broken("a layer opens twice");
        if (e->u.layer_open.parent >= e->layer)
            fuzz_broken("a layer has no parent before it");
        if (e->u.layer_open.protocol.len == 0)
            fuzz_broken("a layer without a name");
        hash_text(w, e->u.layer_open.protocol);
        hash_text(w, e->u.layer_open.expected);
        hash_number(w, e->u.layer_open.offset[0]);
        hash_number(w, e->u.layer_open.offset[1]);
        *l = 1;
        return;
    }
    if (*l != 1)
        fuzz_broken("a layer closes that is not open");
    *l = 2;
    hash_text(w, e->u.layer_close.protocol);
    hash_text(w, e->u.layer_close.detail);
    hash_text(w, e->u.layer_close.head[0]);
    hash_text(w, e->u.layer_close.head[1]);
}

static void hash_session(struct watch *w, const struct event *e)
{
    if (e->kind == EVENT_SESSION_OPEN) {
        hash_text(w, e->u.session_open.method);
        hash_text(w, e->u.session_open.target);
        hash_text(w, e->u.session_open.host);
        hash_text(w, e->u.session_open.offered);
    } else if (e->kind == EVENT_SESSION_ANSWER) {
        hash_number(w, (uint64_t)e->u.session_answer.outcome);
        hash_number(w, (uint64_t)e->u.session_answer.cause);
        hash_number(w, (uint64_t)e->u.session_answer.status);
        hash_text(w, e->u.session_answer.reason);
        hash_text(w, e->u.session_answer.accepted);
    } else if (e->kind == EVENT_SESSION_END) {
        hash_number(w, (uint64_t)e->u.session_end.reason);
    }
}

void watch_event(struct watch *w, const struct event *e)
{
    if (e->kind == EVENT_FINDING && e->u.finding.rule == RULE_SERVER_DATA_WITH_101)
        return; /* is about how the bytes were cut */
    hash_number(w, (uint64_t)e->kind);
    hash_number(w, (uint64_t)e->sender);
    hash_number(w, e->offset);
    hash_number(w, e->session);
    hash_number(w, e->layer);
    switch (e->kind) {
    case EVENT_LAYER_OPEN:
    case EVENT_LAYER_CLOSE:
        check_layer(w, e);
        break;
    case EVENT_SESSION_OPEN:
    case EVENT_SESSION_ANSWER:
    case EVENT_SESSION_SWITCH:
    case EVENT_SESSION_END:
        check_session(w, e);
        hash_session(w, e);
        break;
    case EVENT_FINDING:
        hash_text(w, (struct text){rule_table[e->u.finding.rule].name,
                                   strlen(rule_table[e->u.finding.rule].name)});
        hash_text(w, e->u.finding.evidence);
        break;
    case EVENT_HEADER:
        hash_text(w, e->u.header.name);
        hash_text(w, e->u.header.value);
        break;
    case EVENT_FRAME:
        hash_number(w, e->u.frame.length);
        hash_text(w, e->u.frame.payload);
        break;
    default:
        break;
    }
}
