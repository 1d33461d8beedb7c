/*
 * TLS as far as it is in the clear (RFC 8446, 5246, 4346, 2246): records, the handshake messages in
 * them, both hellos, alerts. What they say is the layer's detail; what they say behind a switch is
 * judged. Behind the hellos almost nothing more can be learnt, and the sides are given up one by
 * one; content that is encrypted passes through one place (content()), where a later piece that has
 * keys can put what it decrypts.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "detail.h"
#include "line.h"
#include "reader.h"
#include "text.h"
#include "tls_flow.h"
#include "tls_resync.h"

enum {
    ENCRYPTED_LIMIT = 65536 /* bytes that may pass while the server's hello is not there */
};

/* --- beginning and end --- */

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
    t->expected_host = tls_text_keep(t, tls_host_name(host), TLS_NAME_MAX);
    return 0;
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
    struct tls *t = state;
    (void)layer;
    end_search(t, side);
    tls_decrypt_eof(t, side);
}

static void tls_close(struct layer *layer, void *state)
{
    struct tls *t = state;
    struct budget *budget = layer_budget(layer);
    end_search(t, CLIENT);
    end_search(t, SERVER);
    tls_tell(t);
    tls_decrypt_free(t);
    budget_free(budget, t->expected_host.data);
    budget_free(budget, t->sni.data);
    budget_free(budget, t->alpn_offered.data);
    budget_free(budget, t->alpn.data);
    budget_free(budget, t->certificate.names.data);
    budget_free(budget, t->certificate.issuer.data);
    budget_free(budget, t->side[CLIENT].message.body);
    budget_free(budget, t->side[SERVER].message.body);
}

/* --- findings --- */

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
            tls_feed_handshake(t, side, data, len);
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

static void begin_clear(struct tls *t, enum side side)
{
    struct tls_side *s = &t->side[side];
    uint8_t type = s->record.type;
    if (type != TLS_HANDSHAKE && type != TLS_ALERT && !s->messages)
        s->midway = 1;
    if (type != TLS_HANDSHAKE && s->message.head_len > 0)
        tls_drop_message(t, side); /* RFC 8446 5.1: nothing stands between its pieces */
    if (type == TLS_CHANGE_CIPHER_SPEC) {
        s->sealed = 1;
        tls_decrypt_change(t, side);
        if (side == SERVER)
            tls_behind_hello(t, 1);
    }
    t->data |= type == TLS_APPLICATION_DATA && !tls_is_13(t->version);
    if ((type == TLS_CHANGE_CIPHER_SPEC || type == TLS_APPLICATION_DATA) && !tls_decrypting(t))
        pass_encrypted(t, side);
}

/* The head of the next record. Returns 0 where the bytes cannot be one. */
static int take_record(struct tls *t, enum side side, struct reader *r, uint64_t offset)
{
    struct tls_side *s = &t->side[side];
    struct mark mark = layer_mark(t->layer, side, offset);
    uint8_t type = reader_u8(r);
    uint16_t version = reader_u16(r);
    uint16_t length = reader_u16(r);
    if (type < TLS_CHANGE_CIPHER_SPEC || type > TLS_HEARTBEAT || version >> 8 != 3 ||
        length > TLS_RECORD_MAX) {
        s->malformed = "record";
        s->over = 1;
        return 0;
    }
    s->record = (struct tls_record){.offset = offset, .packet = mark.packet,
                                    .time_ns = mark.time_ns, .length = length, .left = length,
                                    .version = version, .type = type};
    s->in_record = 1;
    return 1;
}

/* Bytes of a sealed record some of which are missing. */
static void pass_lost(struct tls *t, enum side side, uint32_t len)
{
    struct tls_side *s = &t->side[side];
    s->record.left -= len;
    s->in_record = s->record.left > 0;
    if (!s->in_record)
        tls_decrypt_lost(t, side);
}

/* The record at hand, as far as it is there. V_OK: go on. */
static struct result walk_record(struct tls *t, enum side side, struct reader *r)
{
    struct tls_side *s = &t->side[side];
    struct tls_record *record = &s->record;
    const uint8_t *bytes;
    if (!record->begun) {
        enum tls_way way = tls_decrypt_way(t, side);
        if (way == TLS_WAY_WAIT)
            return (struct result){.verdict = V_WAIT_PEER};
        record->begun = 1;
        record->sealed = way == TLS_WAY_SEALED;
        if (!record->sealed)
            begin_clear(t, side);
    }
    if (record->sealed && !tls_decrypting(t)) {
        record->sealed = 0;
        begin_clear(t, side);
    }
    size_t len = reader_left(r) < record->left ? reader_left(r) : record->left;
    if (record->lost) {
        reader_skip(r, len);
        pass_lost(t, side, (uint32_t)len);
        return (struct result){.verdict = V_OK};
    }
    if (record->sealed && len < record->left)
        return (struct result){.verdict = V_NEED, .need = record->left};
    if (!reader_take(r, len, &bytes))
        return (struct result){.verdict = V_OK};
    if (!record->sealed)
        content(t, side, bytes, len);
    else if (!tls_decrypt_record(t, side, bytes, len)) {
        r->at -= len;
        return (struct result){.verdict = V_HOLD};
    }
    record->left -= (uint32_t)len;
    s->in_record = record->left > 0;
    return (struct result){.verdict = V_OK};
}

/* Behind a gap: the next record is where one opens. */
static struct result seek(struct tls *t, enum side side, const struct slice *slice)
{
    size_t at = 0;
    while (tls_resync_head(t, slice->data, slice->len, &at)) {
        struct reader r = reader_of(slice->data + at, slice->len - at);
        const uint8_t *bytes;
        if (!take_record(t, side, &r, slice->offset + at))
            break;
        struct tls_record *record = &t->side[side].record;
        t->side[side].in_record = 0;
        record->begun = record->sealed = 1;
        record->left = 0;
        if (!reader_take(&r, record->length, &bytes))
            return (struct result){.verdict = V_NEED, .consumed = at,
                                   .need = TLS_RECORD_HEAD + (size_t)record->length};
        struct tls_sealed sealed = {record->type, record->version, bytes, record->length};
        if (tls_decrypt_found(t, side, &sealed, slice->offset + at))
            return (struct result){.verdict = V_OK, .consumed = at + r.at};
        at++;
    }
    return (struct result){.verdict = V_NEED, .consumed = at, .need = TLS_RECORD_HEAD};
}

static struct result walk(struct tls *t, enum side side, const struct slice *slice, size_t skip)
{
    struct tls_side *s = &t->side[side];
    struct reader r = reader_of(slice->data, slice->len);
    reader_skip(&r, skip);
    while (!s->over && (s->in_record || reader_left(&r) > 0)) {
        if (!s->in_record) {
            if (reader_left(&r) < TLS_RECORD_HEAD)
                return (struct result){.verdict = V_NEED, .consumed = r.at,
                                       .need = TLS_RECORD_HEAD};
            if (!take_record(t, side, &r, slice->offset + r.at))
                break;
        }
        if (reader_left(&r) == 0 && s->record.left > 0)
            break;
        struct result result = walk_record(t, side, &r);
        if (result.verdict != V_OK) {
            result.consumed = r.at;
            return result;
        }
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
    if (tls_decrypt_seeking(t, side))
        return seek(t, side, slice);
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
    if (!s->begun) {
        tls_decrypt_stop(t, "handshake not captured");
        return done(s);
    }
    if (len > s->record.left || tls_decrypt_seeking(t, side)) {
        uint64_t from = s->in_record ? s->record.offset : offset;
        s->in_record = 0;
        return tls_decrypt_gap(t, side, from) ? (struct result){.verdict = V_OK} : done(s);
    }
    if (s->record.sealed || (s->record.type == TLS_APPLICATION_DATA && tls_decrypting(t))) {
        s->record.lost = s->record.sealed = s->record.begun = 1;
        pass_lost(t, side, (uint32_t)len);
        return (struct result){.verdict = V_OK};
    }
    s->record.left -= (uint32_t)len;
    s->record.length = 0; /* not an alert that can be read */
    if (s->record.type == TLS_HANDSHAKE && is_readable(t, side)) {
        tls_drop_message(t, side);
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
