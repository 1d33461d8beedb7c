/*
 * TLS as far as it is in the clear (RFC 8446, 5246, 4346, 2246): records, the handshake messages in
 * them, both hellos, alerts. What they say is the layer's detail; what they say behind a switch is
 * judged. Behind the hellos almost nothing more can be learnt, and the sides are given up one by
 * one; content that is encrypted passes through one place (content()), where a later piece that has
 * keys can put what it decrypts. Certificates are walked over, not read.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "detail.h"
#include "line.h"
#include "reader.h"
#include "text.h"
#include "tls_private.h"

enum {
    MESSAGE_HEAD = 4,
    HELLO_LIMIT = 65536,    /* bytes of a hello that are put together */
    ENCRYPTED_LIMIT = 65536 /* bytes that may pass while the server's hello is not there */
};

struct tls_record {
    uint64_t offset, packet; /* of its first byte */
    int64_t time_ns;
    uint32_t length, left; /* bytes of the fragment; those that are not read yet */
    uint8_t type;
    uint8_t alert[2];
};

struct tls_message { /* a handshake message, cut into records anywhere */
    uint8_t head[MESSAGE_HEAD];
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
    struct tls_record record;
    struct tls_message message;
    struct tls_alert alert;
    const char *malformed; /* what cannot be read; NULL: nothing */
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
    char ja4[TLS_JA4_SIZE], ja4s[TLS_JA4_SIZE];
};

/* --- beginning and end --- */

/* A copy of at most `max` bytes. */
static struct tls_text keep(struct tls *t, struct text text, size_t max)
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

static struct text kept(const struct tls_text *text)
{
    return text->data != NULL ? (struct text){text->data, text->len} : TEXT_NONE;
}

/* Some tokens promise TLS ("TLS/1.2"), others only something that may be TLS. */
static int is_tls_upgrade(const struct handover *handover)
{
    return handover != NULL && handover->table != NULL &&
           strcmp(handover->table, "http.upgrade") == 0 && handover->token.len >= 4 &&
           strncasecmp(handover->token.data, "TLS/", 4) == 0;
}

static int tls_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct tls *t = state;
    t->layer = layer;
    t->starttls = handover_hint(handover, "starttls").data != NULL;
    t->assumed = handover_hint(handover, "assumed").data != NULL;
    t->upgrade = (uint8_t)is_tls_upgrade(handover);
    struct text host = handover_hint(handover, "target");
    if (host.data == NULL && t->upgrade)
        host = handover_hint(handover, "host");
    t->expected_host = keep(t, tls_host_name(host), TLS_NAME_MAX);
    return 0;
}

static void add_alert(struct detail *detail, const char *name, const struct tls_alert *alert)
{
    struct tls_room room;
    if (alert->level != 0)
        detail_text(detail, name, tls_alert_name(alert->code, &room));
}

static struct text text_of(const char *string)
{
    return string != NULL && string[0] != '\0' ? (struct text){string, strlen(string)} : TEXT_NONE;
}

static void add_offered(struct detail *detail, struct text list)
{
    struct text name;
    if (list.len == 0)
        return;
    detail_list(detail, "alpn_offered");
    while (tls_alpn_next(&list, &name))
        detail_item(detail, name);
    detail_list_end(detail);
}

static void tell_detail(const struct tls *t)
{
    struct detail detail = {.len = 0};
    struct tls_room room;
    const struct tls_side *client = &t->side[CLIENT], *server = &t->side[SERVER];
    if (t->hellos[SERVER] > 0)
        detail_text(&detail, "version", tls_version_name(t->version, &room));
    detail_text(&detail, "sni", kept(&t->sni));
    detail_text(&detail, "alpn", kept(&t->alpn));
    if (t->alpn.data == NULL && t->alpn_offered.data != NULL)
        add_offered(&detail, kept(&t->alpn_offered));
    if (t->hellos[SERVER] > 0)
        detail_text(&detail, "cipher", tls_cipher_name(t->cipher, &room));
    detail_text(&detail, "ja4", text_of(t->ja4));
    detail_text(&detail, "ja4s", text_of(t->ja4s));
    detail_text(&detail, "resumed", text_of(t->resumed));
    if (t->retry)
        detail_text(&detail, "hello_retry",
                    t->group != 0 ? tls_group_name(t->group, &room) : TEXT_LITERAL("cookie"));
    if (t->ssl2)
        detail_text(&detail, "client_hello", TEXT_LITERAL("SSLv2"));
    add_alert(&detail, "client_alert", &client->alert);
    add_alert(&detail, "server_alert", &server->alert);
    detail_text(&detail, "client_malformed", text_of(client->malformed));
    detail_text(&detail, "server_malformed", text_of(server->malformed));
    if ((client->midway || server->midway) && t->hellos[CLIENT] + t->hellos[SERVER] == 0)
        detail_number(&detail, "midstream", 1);
    struct text json = detail_json(&detail);
    if (json.data != NULL)
        layer_detail(t->layer, json);
}

static void report_clear(struct tls *t, enum side side, size_t len);

/* The side ends, or has gone on for too long, and its hello was not found behind `len` clear bytes.
 * A server's may be its answer to a ClientHello that it took for something else: those that it sent
 * before it can have seen one are not. */
static void give_up(struct tls *t, enum side side, size_t len)
{
    struct mark mark = layer_mark(t->layer, side, layer_offset(t->layer, side));
    if (side == CLIENT || (mark.acked_valid && mark.acked <= t->client_root))
        report_clear(t, side, len);
    t->side[side].malformed = "record";
}

static void end_search(struct tls *t, enum side side)
{
    struct tls_side *s = &t->side[side];
    if (s->clear && !s->begun && !s->over)
        give_up(t, side, layer_held(t->layer, side));
    s->over = 1;
}

static void tls_eof(struct layer *layer, void *state, enum side side)
{
    (void)layer;
    end_search(state, side);
}

static void tls_close(struct layer *layer, void *state)
{
    struct tls *t = state;
    struct budget *budget = layer_budget(layer);
    end_search(t, CLIENT);
    end_search(t, SERVER);
    tell_detail(t);
    budget_free(budget, t->expected_host.data);
    budget_free(budget, t->sni.data);
    budget_free(budget, t->alpn_offered.data);
    budget_free(budget, t->alpn.data);
    budget_free(budget, t->side[CLIENT].message.body);
    budget_free(budget, t->side[SERVER].message.body);
}

/* --- findings --- */

/* About a record whose first byte may be consumed: its place was kept. */
static void find_at(struct tls *t, enum side side, enum rule rule, const struct tls_record *where,
                    struct text evidence)
{
    struct event event = {.kind = EVENT_FINDING, .offset = where->offset,
                          .packet = where->packet, .time_ns = where->time_ns};
    event.u.finding = (struct event_finding){.rule = rule, .evidence = evidence};
    layer_emit(t->layer, side, &event);
}

/* What stands in front of a hello, the held bytes of a side up to len. */
static void report_clear(struct tls *t, enum side side, size_t len)
{
    struct slice view = layer_peek(t->layer, side);
    char evidence[160];
    if (t->assumed || len == 0)
        return;
    int head = snprintf(evidence, sizeof evidence, "%zu clear byte%s: ", len, len == 1 ? "" : "s");
    size_t text = tls_printable(evidence + head, 120, view.data, len);
    layer_finding(t->layer, side,
                  side == CLIENT ? RULE_STARTTLS_COMMAND_INJECTION
                                 : RULE_STARTTLS_RESPONSE_INJECTION,
                  view.offset, (struct text){evidence, (size_t)head + text});
}

static void check_name(struct tls *t, const struct tls_record *where)
{
    struct text name = tls_host_name(kept(&t->sni)), expected = kept(&t->expected_host);
    if (name.data == NULL || expected.data == NULL || layer_session(t->layer) == 0 ||
        (name.len == expected.len && strncasecmp(name.data, expected.data, name.len) == 0))
        return;
    char asked[100], wanted[100], evidence[256];
    (void)tls_printable(asked, sizeof asked, (const uint8_t *)name.data, name.len);
    (void)tls_printable(wanted, sizeof wanted, (const uint8_t *)expected.data, expected.len);
    int len = snprintf(evidence, sizeof evidence, "SNI %s, %s %s", asked,
                       t->upgrade ? "Host" : "target", wanted);
    find_at(t, CLIENT, RULE_TLS_SNI_MISMATCH, where, (struct text){evidence, (size_t)len});
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
    find_at(t, SERVER, RULE_TLS_VERSION_OLD, where, (struct text){evidence, (size_t)len});
}

/* --- hellos --- */

static void take_client_hello(struct tls *t, const uint8_t *body, size_t len,
                              const struct tls_record *where)
{
    struct tls_hello hello;
    if (t->hellos[CLIENT]++ > 0) /* the second one repeats what matters here */
        return;
    int whole = tls_client_hello(body, len, &hello) == 0;
    t->sni = keep(t, hello.sni, TLS_NAME_MAX);
    t->alpn_offered = keep(t, hello.alpn, TLS_ALPN_MAX);
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
    t->alpn = keep(t, alpn, TLS_ALPN_MAX);
    tls_ja4s(&hello, layer_budget(t->layer), t->ja4s);
    check_version(t, where);
    if (tls_is_13(hello.version)) { /* all that follows is encrypted */
        t->resumed = hello.psk ? "psk" : NULL;
        s->over = 1;
        return;
    }
    t->awaits_next = 1;
}

/* RFC 5077 3.1, RFC 5246 7.3: an abbreviated handshake has no Certificate and no key exchange. */
static void behind_server_hello(struct tls *t, int abbreviated)
{
    if (t->awaits_next && abbreviated)
        t->resumed = t->ticket ? "ticket" : "session-id";
    t->awaits_next = 0;
}

/* --- handshake messages --- */

static void drop_message(struct tls *t, enum side side)
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
        behind_server_hello(t, m->type == TLS_NEW_SESSION_TICKET);
    m->gathering = is_hello(side, m->type) && t->hellos[side] == 0;
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
    if (is_hello(side, m->type) && side == CLIENT)
        take_client_hello(t, body, m->length, &m->where);
    else if (is_hello(side, m->type) && m->gathering)
        take_server_hello(t, body, m->length, &m->where);
    drop_message(t, side);
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

static void feed_handshake(struct tls *t, enum side side, const uint8_t *data, size_t len)
{
    struct tls_side *s = &t->side[side];
    struct tls_message *m = &s->message;
    struct reader r = reader_of(data, len);
    while (reader_left(&r) > 0 && !s->over) {
        const uint8_t *bytes;
        if (m->head_len == 0)
            m->where = s->record;
        if (m->head_len < MESSAGE_HEAD) {
            m->head[m->head_len++] = reader_u8(&r);
            if (m->head_len < MESSAGE_HEAD)
                continue;
            begin_message(t, side);
        }
        if (s->over || !reader_take(&r, 0, &bytes))
            return;
        reader_skip(&r, feed_message(t, side, bytes, reader_left(&r)));
    }
}

/* --- records --- */

static void feed_alert(struct tls_side *s, const uint8_t *data, size_t len)
{
    struct tls_record *record = &s->record;
    if (record->length != sizeof record->alert) /* encrypted */
        return;
    for (size_t i = 0; i < len; i++)
        record->alert[record->length - record->left + i] = data[i];
    if (len < record->left)
        return;
    uint8_t level = record->alert[0], code = record->alert[1];
    if (level != 1 && level != 2)
        return;
    if (s->alert.level == 0 || level > s->alert.level)
        s->alert = (struct tls_alert){level, code};
    if (level == 2)
        s->over = 1;
}

/* Behind its ChangeCipherSpec a side's handshake is encrypted, except around a HelloRetryRequest,
 * where that message means nothing (RFC 8446 D.4). */
static int is_readable(const struct tls *t, enum side side)
{
    const struct tls_side *s = &t->side[side];
    return !s->unread && (!s->sealed || (t->retry && t->hellos[side] < (side == CLIENT ? 2 : 1)));
}

/* A part of a record, in order: of what is in the clear, or was decrypted. */
static void content(struct tls *t, enum side side, const uint8_t *data, size_t len)
{
    switch (t->side[side].record.type) {
    case TLS_HANDSHAKE:
        if (is_readable(t, side))
            feed_handshake(t, side, data, len);
        break;
    case TLS_ALERT:
        feed_alert(&t->side[side], data, len);
        break;
    default:
        break;
    }
}

/* The client goes on encrypted: with the server's final hello there, all is said. Before that it
 * may be early data, and another hello may follow. */
static void pass_encrypted(struct tls *t, enum side side)
{
    struct tls_side *s = &t->side[side];
    s->encrypted += s->record.length;
    if (side == SERVER)
        s->over |= !t->retry || s->record.type == TLS_APPLICATION_DATA;
    else
        s->over |= t->hellos[SERVER] > 0 || t->side[SERVER].over || t->hellos[CLIENT] == 0 ||
                   s->encrypted > ENCRYPTED_LIMIT;
}

static void begin_record(struct tls *t, enum side side)
{
    struct tls_side *s = &t->side[side];
    uint8_t type = s->record.type;
    if (type != TLS_HANDSHAKE && type != TLS_ALERT && !s->messages)
        s->midway = 1;
    if (type != TLS_HANDSHAKE && s->message.head_len > 0)
        drop_message(t, side); /* RFC 8446 5.1: nothing stands between its pieces */
    if (type == TLS_CHANGE_CIPHER_SPEC) {
        s->sealed = 1;
        if (side == SERVER)
            behind_server_hello(t, 1);
    }
    if (type == TLS_CHANGE_CIPHER_SPEC || type == TLS_APPLICATION_DATA)
        pass_encrypted(t, side);
}

/* The head of the next record. Returns 0 where the bytes cannot be one. */
static int take_record(struct tls *t, enum side side, struct reader *r, uint64_t offset)
{
    struct tls_side *s = &t->side[side];
    struct mark mark = layer_mark(t->layer, side, offset);
    uint8_t type = reader_u8(r);
    uint8_t major = reader_u8(r);
    reader_skip(r, 1);
    uint16_t length = reader_u16(r);
    if (type < TLS_CHANGE_CIPHER_SPEC || type > TLS_HEARTBEAT || major != 3 ||
        length > TLS_RECORD_MAX) {
        s->malformed = "record";
        s->over = 1;
        return 0;
    }
    s->record = (struct tls_record){.offset = offset, .packet = mark.packet,
                                    .time_ns = mark.time_ns, .length = length, .left = length,
                                    .type = type};
    begin_record(t, side);
    return 1;
}

static struct result walk(struct tls *t, enum side side, const struct slice *slice, size_t skip)
{
    struct tls_side *s = &t->side[side];
    struct reader r = reader_of(slice->data, slice->len);
    reader_skip(&r, skip);
    while (reader_left(&r) > 0 && !s->over) {
        const uint8_t *bytes;
        if (s->record.left == 0) {
            if (reader_left(&r) < TLS_RECORD_HEAD)
                return (struct result){.verdict = V_NEED, .consumed = r.at,
                                       .need = TLS_RECORD_HEAD};
            if (!take_record(t, side, &r, slice->offset + r.at))
                break;
            continue;
        }
        size_t len = reader_left(&r) < s->record.left ? reader_left(&r) : s->record.left;
        if (!reader_take(&r, len, &bytes))
            break;
        content(t, side, bytes, len);
        s->record.left -= (uint32_t)len;
    }
    return (struct result){.verdict = s->over ? V_DONE : V_OK, .consumed = r.at};
}

/* --- how a side begins --- */

static struct result done(struct tls_side *s)
{
    s->over = 1;
    return (struct result){.verdict = V_DONE};
}

/* Bytes that should not be there stand in front of a hello: they are held until that was found. */
static struct result search(struct tls *t, enum side side, const struct slice *slice, size_t *skip)
{
    struct tls_side *s = &t->side[side];
    s->clear = 1;
    int is = tls_hello_find(side, slice->data, slice->len, &s->searched);
    if (is == 0)
        return line_wanted(slice);
    if (is < 0) {
        give_up(t, side, TLS_PRELUDE_MAX);
        return done(s);
    }
    report_clear(t, side, s->searched);
    s->begun = 1;
    *skip = s->searched;
    return (struct result){.verdict = V_OK};
}

/* One or two line ends, as some clients send them behind a request with a body. */
static size_t stray_line_ends(const struct slice *slice)
{
    size_t len = 0;
    while (len < 2 && len < slice->len && (slice->data[len] == '\r' || slice->data[len] == '\n'))
        len++;
    return len;
}

static struct result begin_client(struct tls *t, const struct slice *slice, size_t *skip)
{
    struct tls_side *s = &t->side[CLIENT];
    size_t stray = t->upgrade ? stray_line_ends(slice) : 0;
    int is = stray > 0 ? tls_probe(CLIENT, slice->data + stray, slice->len - stray) : -1;
    if (is > 0) {
        s->begun = 1;
        *skip = stray;
        return (struct result){.verdict = V_OK};
    }
    if (is == 0)
        return line_wanted(slice);
    if (s->clear || (t->starttls && layer_before_grant(t->layer, CLIENT, slice->offset)))
        return search(t, CLIENT, slice, skip);
    return (struct result){.verdict = V_LOST};
}

/* Behind a granted STARTTLS the server's next bytes are its hello, which answers the client's:
 * others are judged once the client speaks TLS. */
static struct result begin_server(struct tls *t, const struct slice *slice, size_t *skip)
{
    const struct tls_side *client = &t->side[CLIENT];
    struct tls_side *s = &t->side[SERVER];
    if (t->ssl2)
        return done(s);
    if (t->starttls && client->begun)
        return search(t, SERVER, slice, skip);
    if (t->starttls && !client->over)
        return (struct result){.verdict = V_WAIT_PEER};
    if (!client->begun && !client->over)
        return (struct result){.verdict = V_LOST};
    if (client->begun)
        s->malformed = "record";
    return done(s);
}

/* Decides what the first bytes of a side are: where it is TLS, s->begun and *skip say so. */
static struct result begin(struct tls *t, enum side side, const struct slice *slice, size_t *skip)
{
    struct tls_side *s = &t->side[side];
    int is = s->clear ? -1 : tls_probe(side, slice->data, slice->len);
    if (is == 0)
        return line_wanted(slice);
    if (is < 0)
        return side == CLIENT ? begin_client(t, slice, skip) : begin_server(t, slice, skip);
    s->begun = 1;
    struct reader r = reader_of(slice->data, slice->len);
    if (side == CLIENT && reader_peek(&r, 0) >= 0x80) {
        t->ssl2 = 1;
        return done(s);
    }
    return (struct result){.verdict = V_OK};
}

static struct result tls_data(struct layer *layer, void *state, enum side side,
                              const struct slice *slice)
{
    struct tls *t = state;
    struct tls_side *s = &t->side[side];
    size_t skip = 0;
    if (!s->begun) {
        struct result result = begin(t, side, slice, &skip);
        if (!s->begun || s->over)
            return result;
        if (side == CLIENT)
            t->client_root = layer_mark(layer, side, slice->offset + skip).root_offset;
    }
    return walk(t, side, slice, skip);
}

/* --- gaps --- */

/* Within the body of a record its end is still known, but not what its messages say. */
static struct result tls_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                             uint64_t len)
{
    struct tls *t = state;
    struct tls_side *s = &t->side[side];
    (void)layer;
    (void)offset;
    if (!s->begun || len > s->record.left)
        return done(s);
    s->record.left -= (uint32_t)len;
    s->record.length = 0; /* not an alert that can be read */
    if (s->record.type == TLS_HANDSHAKE && is_readable(t, side)) {
        drop_message(t, side);
        s->unread = 1;
        if (side == SERVER)
            t->awaits_next = 0;
    }
    return (struct result){.verdict = V_OK};
}

const struct dissector tls_dissector = {
    .name = "tls",
    .state_size = sizeof(struct tls),
    .probe = tls_probe,
    .open = tls_open,
    .data = tls_data,
    .gap = tls_gap,
    .eof = tls_eof,
    .close = tls_close,
};
