/*
 * Handshake messages, cut into records anywhere, in the clear or decrypted: both hellos and what
 * they say and prove, and the few behind them that change keys (tls_decrypt.c is told of those).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "reader.h"
#include "tls_flow.h"

enum {
    HELLO_LIMIT = 65536 /* bytes of a message that are put together */
};

/* A copy of at most `max` bytes. */
struct tls_text tls_text_keep(struct tls *t, struct text text, size_t max)
{
    struct tls_text kept = {NULL, text.len < max ? text.len : max};
    if (text.data == NULL)
        return kept;
    kept.data = budget_alloc(layer_budget(t->layer), kept.len);
    if (kept.data == NULL)
        layer_limit(t->layer, "flow-memory", layer_budget(t->layer)->limit);
    else if (kept.len > 0)
        memcpy(kept.data, text.data, kept.len);
    return kept;
}

struct text tls_text_of(const struct tls_text *text)
{
    return text->data != NULL ? (struct text){text->data, text->len} : TEXT_NONE;
}

/* --- findings --- */

/* About a record whose first byte may be consumed: its place was kept. */
void tls_find_at(struct tls *t, enum side side, enum rule rule, const struct tls_record *where,
                 struct text evidence)
{
    struct event event = {.kind = EVENT_FINDING, .offset = where->offset,
                          .packet = where->packet, .time_ns = where->time_ns};
    event.u.finding = (struct event_finding){.rule = rule, .evidence = evidence};
    layer_emit(t->layer, side, &event);
}

static void check_name(struct tls *t, const struct tls_record *where)
{
    struct text name = tls_host_name(tls_text_of(&t->sni));
    struct text expected = tls_text_of(&t->expected_host);
    if (name.data == NULL || expected.data == NULL || layer_session(t->layer) == 0 ||
        (name.len == expected.len && strncasecmp(name.data, expected.data, name.len) == 0))
        return;
    char asked[100], wanted[100], evidence[256];
    (void)tls_printable(asked, sizeof asked, (const uint8_t *)name.data, name.len);
    (void)tls_printable(wanted, sizeof wanted, (const uint8_t *)expected.data, expected.len);
    int len = snprintf(evidence, sizeof evidence, "SNI %s, %s %s", asked,
                       t->upgrade ? "Host" : "target", wanted);
    tls_find_at(t, CLIENT, RULE_TLS_SNI_MISMATCH, where, (struct text){evidence, (size_t)len});
}

static void check_version(struct tls *t, const struct tls_record *where)
{
    struct tls_room version, cipher;
    char evidence[128];
    if (t->version > TLS_1_1 || layer_session(t->layer) == 0)
        return;
    struct text name = tls_version_name(t->version, &version);
    struct text suite = tls_cipher_name(t->cipher, &cipher);
    int len = snprintf(evidence, sizeof evidence, "%.*s, %.*s", (int)name.len, name.data,
                       (int)suite.len, suite.data);
    tls_find_at(t, SERVER, RULE_TLS_VERSION_OLD, where, (struct text){evidence, (size_t)len});
}

/* --- hellos --- */

static void take_client_hello(struct tls *t, const uint8_t *body, size_t len,
                              const struct tls_record *where)
{
    struct tls_hello hello;
    int whole = tls_client_hello(body, len, &hello) == 0;
    if (whole)
        tls_decrypt_client_hello(t, &hello);
    if (t->hellos[CLIENT] > 0) /* the second one repeats the rest that matters here */
        return;
    t->sni = tls_text_keep(t, hello.sni, TLS_NAME_MAX);
    t->alpn_offered = tls_text_keep(t, hello.alpn, TLS_ALPN_MAX);
    t->ticket = (uint8_t)hello.ticket;
    if (hello.session_id.len > 0 && hello.session_id.len <= TLS_SESSION_ID_MAX) {
        t->session_id_len = (uint8_t)hello.session_id.len;
        memcpy(t->session_id, hello.session_id.data, hello.session_id.len);
    }
    if (!whole || hello.flawed)
        t->side[CLIENT].malformed = "ClientHello";
    if (!whole)
        return;
    tls_ja4(&hello, layer_budget(t->layer), t->ja4);
    check_name(t, where);
}

static void take_server_hello(struct tls *t, const uint8_t *body, size_t len,
                              const struct tls_record *where)
{
    struct tls_side *s = &t->side[SERVER];
    struct tls_hello hello;
    if (tls_server_hello(body, len, &hello) != 0 || hello.flawed) {
        s->malformed = "ServerHello";
        s->over = 1;
        return;
    }
    if (hello.retry) {
        t->group = t->retry ? t->group : hello.group;
        t->retry = 1;
        return;
    }
    struct text list = hello.alpn, alpn = TEXT_NONE;
    (void)tls_alpn_next(&list, &alpn);
    t->hellos[SERVER] = 1;
    t->version = hello.version;
    t->cipher = hello.cipher;
    t->alpn = tls_text_keep(t, alpn, TLS_ALPN_MAX);
    tls_ja4s(&hello, layer_budget(t->layer), t->ja4s);
    check_version(t, where);
    tls_decrypt_server_hello(t, &hello);
    if (tls_is_13(hello.version)) { /* all that follows is encrypted */
        t->resumed = hello.psk ? "psk" : NULL;
        s->over |= !tls_decrypting(t);
        return;
    }
    t->awaits_next = 1;
}

/* RFC 5077 3.1, RFC 5246 7.3: an abbreviated handshake has no Certificate and no key exchange. */
void tls_behind_hello(struct tls *t, int abbreviated)
{
    if (t->awaits_next && abbreviated)
        t->resumed = t->ticket ? "ticket" : "session-id";
    t->awaits_next = 0;
}

/* --- handshake messages --- */

void tls_drop_message(struct tls *t, enum side side)
{
    struct tls_message *m = &t->side[side].message;
    budget_free(layer_budget(t->layer), m->body);
    *m = (struct tls_message){.body = NULL};
}

static int is_hello(enum side side, uint8_t type)
{
    static const uint8_t hello[2] = {TLS_CLIENT_HELLO, TLS_SERVER_HELLO};
    return type == hello[side];
}

static void begin_message(struct tls *t, enum side side)
{
    struct tls_side *s = &t->side[side];
    struct tls_message *m = &s->message;
    struct reader r = reader_of(m->head, sizeof m->head);
    m->type = reader_u8(&r);
    m->length = reader_u24(&r);
    if (!s->messages && !is_hello(side, m->type) && m->type != TLS_HELLO_REQUEST)
        s->midway = s->over = 1;
    s->messages = 1;
    if (side == SERVER && t->hellos[SERVER] > 0)
        tls_behind_hello(t, m->type == TLS_NEW_SESSION_TICKET);
    m->gathering = (is_hello(side, m->type) &&
                    (t->hellos[side] == 0 || (side == CLIENT && tls_decrypting(t)))) ||
                   tls_decrypt_wants(t, side, m->type) ||
                   (side == SERVER && m->type == TLS_CERTIFICATE && m->length <= HELLO_LIMIT);
    if (m->gathering && m->length > HELLO_LIMIT) {
        layer_limit(t->layer, "tls-hello", HELLO_LIMIT);
        s->over = 1;
    }
}

/* Grows with the bytes that are there, not with what the message claims. */
static int gather(struct tls *t, enum side side, const uint8_t *data, size_t len)
{
    struct tls_message *m = &t->side[side].message;
    if (m->got + len > m->cap) {
        size_t cap = m->cap > 0 ? m->cap : 512;
        while (cap < m->got + len)
            cap *= 2;
        uint8_t *body = budget_realloc(layer_budget(t->layer), m->body, cap);
        if (body == NULL) {
            layer_limit(t->layer, "flow-memory", layer_budget(t->layer)->limit);
            t->side[side].over = 1;
            return -1;
        }
        m->body = body;
        m->cap = cap;
    }
    memcpy(m->body + m->got, data, len);
    return 0;
}

static void end_message(struct tls *t, enum side side, const uint8_t *body)
{
    struct tls_message *m = &t->side[side].message;
    int sealed = t->side[side].record.sealed;
    if (side == SERVER && m->type == TLS_CERTIFICATE && m->gathering)
        tls_take_certificate(t, body, m->length);
    if (sealed)
        tls_decrypt_message(t, side, m->type, m->gathering ? body : NULL, m->length);
    else if (is_hello(side, m->type) && side == CLIENT) {
        if (m->gathering)
            take_client_hello(t, body, m->length, &m->where);
        if (t->hellos[CLIENT] < UINT8_MAX)
            t->hellos[CLIENT]++;
    } else if (is_hello(side, m->type) && m->gathering)
        take_server_hello(t, body, m->length, &m->where);
    tls_drop_message(t, side);
}

/* Bytes of the body of a message. Returns how many were its own. */
static size_t feed_message(struct tls *t, enum side side, const uint8_t *data, size_t len)
{
    struct tls_message *m = &t->side[side].message;
    uint32_t missing = m->length - m->got;
    size_t take = len < missing ? len : missing;
    const uint8_t *body = data;
    if (m->gathering && take < m->length) { /* in pieces */
        if (take > 0 && gather(t, side, data, take) != 0)
            return take;
        body = m->body;
    }
    m->got += (uint32_t)take;
    if (m->got == m->length)
        end_message(t, side, body);
    return take;
}

void tls_feed_handshake(struct tls *t, enum side side, const uint8_t *data, size_t len)
{
    struct tls_side *s = &t->side[side];
    struct tls_message *m = &s->message;
    struct reader r = reader_of(data, len);
    while (reader_left(&r) > 0 && !s->over) {
        const uint8_t *bytes;
        if (m->head_len == 0)
            m->where = s->record;
        if (m->head_len < TLS_MESSAGE_HEAD) {
            m->head[m->head_len++] = reader_u8(&r);
            if (m->head_len < TLS_MESSAGE_HEAD)
                continue;
            begin_message(t, side);
        }
        if (s->over || !reader_take(&r, 0, &bytes))
            return;
        reader_skip(&r, feed_message(t, side, bytes, reader_left(&r)));
    }
}
