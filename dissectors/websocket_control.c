/*
 * Control frames (RFC 6455 sections 5.5 and 7): Close and its codes, who answers whose pings, and
 * what the end of the connection says about both. Rules about time use the times of packets and are
 * judged when the layer ends.
 */
#include <string.h>

#include "websocket_private.h"

static uint64_t hash_bytes(const uint8_t *data, size_t len)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ len;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    return hash;
}

static const char *side_name(enum side side)
{
    return side == CLIENT ? "client" : side == SERVER ? "server" : "nobody";
}

void ws_control_payload(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
                        uint64_t offset)
{
    struct ws_side *s = &ws->side[side];
    const struct ws_header *h = &s->frame.header;
    uint64_t phase = h->length - s->frame.left;
    size_t limit = ws->options->payload > WS_CONTROL_MAX ? ws->options->payload : WS_CONTROL_MAX;
    uint8_t scratch[WS_SCRATCH];
    (void)offset;
    for (size_t at = 0; at < len && s->control.len < limit;) {
        size_t step = len - at < sizeof scratch ? len - at : sizeof scratch;
        if (h->masked)
            ws_unmask(scratch, data + at, step, h->key, phase + at);
        if (ws_buffer_add(ws, &s->control, h->masked ? scratch : data + at, step, limit) != 0)
            return;
        at += step;
    }
}

/* --- close --- */

/* Does this Close answer one with the same code? Then the code is the peer's choice (5.5.1: "it
 * typically echos the status code it received"). */
static int echoes(const struct websocket *ws, enum side side, unsigned code)
{
    const struct ws_side *peer = &ws->side[side_peer(side)];
    const struct mark *start = &ws->side[side].frame.start;
    return peer->closing.complete && peer->count.close_code == (int32_t)code &&
           (!start->acked_valid || start->acked >= peer->closing.root_end);
}

static void judge_code(struct websocket *ws, enum side side, unsigned code)
{
    const struct ws_frame *f = &ws->side[side].frame;
    int registered = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
    if (code == 3000 || code == 3003 || code == 3008)
        registered = 1;
    int legal = registered || (code >= 3000 && code <= 4999);
    if (!legal)
        ws_find(ws, side, RULE_WS_CLOSE_CODE_FORBIDDEN, f->offset, NULL, "code %u", code);
    else if (!registered && code < 4000)
        ws_find(ws, side, RULE_WS_CLOSE_CODE_UNREGISTERED, f->offset, NULL, "code %u", code);
    else if (echoes(ws, side, code))
        return;
    else if (code == 1010 && side == SERVER)
        ws_find(ws, side, RULE_WS_CLOSE_1010_FROM_SERVER, f->offset, NULL, "code 1010");
    else if (code == 1011 && side == CLIENT)
        ws_find(ws, side, RULE_WS_CLOSE_1011_FROM_CLIENT, f->offset, NULL, "code 1011");
}

static void read_close_body(struct websocket *ws, enum side side, const struct ws_buffer *body,
                            int judge)
{
    struct ws_side *s = &ws->side[side];
    uint64_t length = s->frame.header.length;
    if (length == 0) {
        s->count.close_code = 1005;
        return;
    }
    if (length == 1 || body->len < 2) {
        if (length == 1 && judge)
            ws_find(ws, side, RULE_WS_CLOSE_LENGTH_1, s->frame.offset, NULL, "1 byte");
        return;
    }
    unsigned code = (unsigned)body->data[0] << 8 | body->data[1];
    size_t len = body->len - 2 < WS_REASON_MAX ? body->len - 2 : WS_REASON_MAX;
    s->count.close_code = (int32_t)code;
    memcpy(s->closing.reason, body->data + 2, len);
    s->count.close_reason = (struct text){s->closing.reason, len};
    if (!judge)
        return;
    judge_code(ws, side, code);
    struct utf8 utf8 = {0};
    if (length > WS_CONTROL_MAX) /* reported as that; the rest is not a reason */
        return;
    (void)utf8_feed(&utf8, body->data + 2, len);
    if (utf8_finish(&utf8) != 0)
        ws_find(ws, side, RULE_WS_CLOSE_REASON_UTF8, s->frame.offset, NULL,
                "%s at byte %llu of the reason", utf8_error_name(utf8.error),
                (unsigned long long)utf8.error_offset);
}

static void take_close(struct websocket *ws, enum side side, const struct mark *mark)
{
    struct ws_side *s = &ws->side[side];
    struct ws_closing *c = &s->closing;
    if (c->complete)
        return;
    if (!c->seen) {
        c->offset = s->frame.offset;
        c->packet = mark->packet;
        c->time_ns = mark->time_ns;
        c->root_end = mark->root_offset + 1;
        c->idle_ns = ws->active_ns != 0 ? mark->time_ns - ws->active_ns : -1;
        if (ws->first_close == NEITHER)
            ws->first_close = side;
    }
    c->seen = 1;
    if (s->frame.damaged)
        return;
    c->complete = 1;
    read_close_body(ws, side, &s->control, !s->frame.after_close);
}

/* --- ping and pong --- */

static void take_ping(struct websocket *ws, enum side side, const struct mark *mark)
{
    struct ws_side *s = &ws->side[side];
    if (s->pings == NULL)
        s->pings = budget_alloc(layer_budget(ws->layer), sizeof *s->pings);
    if (s->pings == NULL) {
        layer_limit(ws->layer, "flow-memory", layer_budget(ws->layer)->limit);
        ws->pings_unknown = 1;
        return;
    }
    struct ws_pings *p = s->pings;
    if (p->count == WS_PINGS) {
        memmove(p->ring, p->ring + 1, (WS_PINGS - 1) * sizeof p->ring[0]);
        p->count--;
    }
    int closing = ws->first_close != NEITHER;
    p->ring[p->count++] = (struct ws_ping){
        .state = closing ? WS_PING_EXEMPT : WS_PING_OPEN,
        .excused = s->broken,
        .offset = s->frame.offset,
        .packet = mark->packet,
        .time_ns = mark->time_ns,
        .frame = ws->frames,
        .root_end = mark->root_offset + 1,
        .hash = hash_bytes(s->control.data, s->control.len),
    };
}

/* Can the sender of this frame have had the ping before it sent the frame? */
static int had(const struct mark *frame, const struct ws_ping *ping)
{
    return !frame->acked_valid || frame->acked >= ping->root_end;
}

static void tell_unanswered(struct websocket *ws, enum side answerer, const struct ws_ping *ping,
                            uint64_t offset, const struct mark *late)
{
    enum side pinger = side_peer(answerer);
    if (ping->excused)
        return;
    ws_tell(ws, answerer, RULE_WS_PING_UNANSWERED, offset,
            late != NULL ? late->packet : ping->packet,
            late != NULL ? late->time_ns : ping->time_ns, ws->options->frames ? ping->frame : 0,
            "ping at %s offset %llu: %s", side_name(pinger), (unsigned long long)ping->offset,
            late != NULL   ? "the pong came too late"
            : ping->passed ? "other frames followed, no pong"
                           : "no pong in time");
}

static int close_between(const struct websocket *ws, int64_t from_ns, int64_t to_ns)
{
    for (int side = CLIENT; side <= SERVER; side++) {
        const struct ws_closing *c = &ws->side[side].closing;
        if (c->seen && c->time_ns >= from_ns && c->time_ns <= to_ns)
            return 1;
    }
    return 0;
}

static void mismatched_pong(struct websocket *ws, enum side side, const struct mark *mark)
{
    enum side pinger = side_peer(side);
    struct ws_side *s = &ws->side[side];
    struct ws_ping *before = NULL;
    struct ws_pings *pings = ws->side[pinger].pings;
    for (size_t i = 0; pings != NULL && i < pings->count; i++)
        if (pings->ring[i].state == WS_PING_OPEN && had(&s->frame.start, &pings->ring[i]))
            before = &pings->ring[i];
    if (before == NULL) {
        ws_find(ws, side, RULE_WS_PONG_UNSOLICITED, s->frame.offset, NULL, "%llu bytes",
                (unsigned long long)s->frame.header.length);
        return;
    }
    if (before->mismatch)
        return;
    before->mismatch = 1;
    before->pong_offset = s->frame.offset;
    before->pong_packet = mark->packet;
    before->pong_time_ns = mark->time_ns;
    before->pong_frame = ws->frames;
}

/* Returns the round trip, or -1. */
static int64_t take_pong(struct websocket *ws, enum side side, const struct mark *mark)
{
    enum side pinger = side_peer(side);
    struct ws_side *s = &ws->side[side];
    struct ws_pings *pings = ws->side[pinger].pings;
    uint64_t hash = hash_bytes(s->control.data, s->control.len);
    struct ws_ping *found = NULL;
    size_t at = 0;
    for (size_t i = 0; pings != NULL && i < pings->count; i++) {
        struct ws_ping *ping = &pings->ring[i];
        if (ping->hash == hash && ping->state != WS_PING_ANSWERED && had(&s->frame.start, ping)) {
            found = ping;
            at = i;
        }
    }
    if (found == NULL) {
        if (!ws->pings_unknown && !ws->side[pinger].hidden && !s->frame.after_close &&
            !s->frame.faulty) /* which was told */
            mismatched_pong(ws, side, mark);
        return -1;
    }
    int64_t rtt = mark->time_ns - found->time_ns;
    int covered = found->state == WS_PING_COVERED;
    if (found->state == WS_PING_OPEN && !s->hidden && ws->options->ping_timeout_ns > 0 &&
        rtt > ws->options->ping_timeout_ns &&
        !close_between(ws, found->time_ns, found->time_ns + ws->options->ping_timeout_ns))
        tell_unanswered(ws, side, found, s->frame.offset, mark);
    found->state = WS_PING_ANSWERED;
    for (size_t i = 0; i < at; i++)
        if (pings->ring[i].state == WS_PING_OPEN)
            pings->ring[i].state = WS_PING_COVERED;
    return covered || rtt < 0 ? -1 : rtt;
}

void ws_control_note(struct websocket *ws, enum side side)
{
    const struct ws_side *s = &ws->side[side];
    struct ws_pings *pings = ws->side[side_peer(side)].pings;
    if (pings == NULL || ws->first_close != NEITHER || s->frame.header.opcode == WS_PONG)
        return;
    for (size_t i = 0; i < pings->count; i++)
        if (s->frame.start.acked_valid && s->frame.start.acked >= pings->ring[i].root_end)
            pings->ring[i].passed = 1;
}

/* Frames of this side may have been lost: among them the answers to all pings that wait. */
void ws_control_hidden(struct websocket *ws, enum side side)
{
    struct ws_pings *pings = ws->side[side_peer(side)].pings;
    for (size_t i = 0; pings != NULL && i < pings->count; i++)
        pings->ring[i].state = WS_PING_EXEMPT;
}

void ws_control_frame_end(struct websocket *ws, enum side side, const struct mark *mark,
                          struct event_frame *event)
{
    struct ws_side *s = &ws->side[side];
    unsigned opcode = s->frame.header.opcode;
    if (opcode == WS_CLOSE)
        take_close(ws, side, mark);
    if (s->frame.damaged) {
        if (opcode == WS_PING)
            ws->pings_unknown = 1;
        else if (opcode == WS_PONG)
            ws_control_hidden(ws, side);
        return;
    }
    if (opcode == WS_PING && !s->frame.after_close)
        take_ping(ws, side, mark);
    if (opcode == WS_PONG)
        event->rtt_ns = take_pong(ws, side, mark);
    uint64_t skip = 0;
    if (opcode == WS_CLOSE)
        skip = s->frame.header.length < 2 ? s->frame.header.length : 2;
    event->message_opcode = (int)opcode;
    event->message_length = s->frame.header.length - skip;
    event->fragments = 1;
    size_t len = s->control.len > skip ? s->control.len - (size_t)skip : 0;
    if (len > ws->options->payload)
        len = ws->options->payload;
    event->cut = len < event->message_length;
    if (event->cut && opcode == WS_CLOSE && len > 0)
        len = utf8_cut(s->control.data + skip, len);
    if (ws->options->payload > 0)
        event->payload = (struct text){
            len > 0 ? (const char *)s->control.data + skip : "", len};
}

/* --- the end --- */

/* An endpoint that fails the connection (RFC 6455 7.1.7) stops reading at what it found wrong: a
 * ping behind that never reached it, whatever frames it still had on the way. */
static int failed_connection(const struct websocket *ws, enum side side)
{
    int32_t code = ws->side[side].count.close_code;
    return code == 1002 || code == 1003 || (code >= 1007 && code <= 1011);
}

static void judge_pings(struct websocket *ws, enum side pinger, int64_t now_ns)
{
    enum side answerer = side_peer(pinger);
    struct ws_pings *pings = ws->side[pinger].pings;
    int64_t timeout = ws->options->ping_timeout_ns;
    for (size_t i = 0; pings != NULL && i < pings->count; i++) {
        const struct ws_ping *ping = &pings->ring[i];
        if (ping->state != WS_PING_OPEN || ws->side[answerer].alien)
            continue;
        if (ping->mismatch)
            ws_tell(ws, answerer, RULE_WS_PONG_MISMATCH, ping->pong_offset, ping->pong_packet,
                    ping->pong_time_ns, ws->options->frames ? ping->pong_frame : 0,
                    "the ping before it is at %s offset %llu", side_name(pinger),
                    (unsigned long long)ping->offset);
        else if ((ping->passed && !failed_connection(ws, answerer)) ||
                 (timeout > 0 && now_ns - ping->time_ns > timeout &&
                  !close_between(ws, ping->time_ns, ping->time_ns + timeout)))
            tell_unanswered(ws, answerer, ping, layer_offset(ws->layer, answerer), NULL);
    }
}

static int64_t newest_ns(const struct websocket *ws)
{
    int64_t client = layer_mark(ws->layer, CLIENT, UINT64_MAX).time_ns;
    int64_t server = layer_mark(ws->layer, SERVER, UINT64_MAX).time_ns;
    return client > server ? client : server;
}

/* Could a Close have been there without our seeing it? */
static int close_hidden(const struct websocket *ws)
{
    for (int side = CLIENT; side <= SERVER; side++) {
        const struct ws_side *s = &ws->side[side];
        if (s->hidden || s->alien || (ws->assumed && !s->any_frame))
            return 1;
    }
    return 0;
}

/* What ends a connection, or a stream of HTTP/2 (RFC 8441 5). */
static const char *end_name(const struct websocket *ws, enum session_end end)
{
    if (end == SESSION_END_FIN)
        return ws->stream ? "its end of the stream" : "FIN";
    return ws->stream ? "a reset of the stream" : "RST";
}

static void judge_not_echoed(struct websocket *ws, enum session_end end, enum side by)
{
    if ((end != SESSION_END_FIN && end != SESSION_END_RST) || by == NEITHER)
        return;
    const struct ws_closing *peer = &ws->side[side_peer(by)].closing;
    if (!peer->complete || ws->side[by].closing.seen || ws->side[by].hidden ||
        ws->side[side_peer(by)].broken) /* then `by` failed the connection, Close or no Close */
        return;
    struct mark last = layer_mark(ws->layer, by, UINT64_MAX);
    if (!last.acked_valid || last.acked < peer->root_end)
        return;
    ws_tell(ws, by, RULE_WS_CLOSE_NOT_ECHOED, layer_offset(ws->layer, by), last.packet,
            last.time_ns, 0, "%s acknowledged the Close and sent %s", side_name(by),
            end_name(ws, end));
}

/* Nobody sent a byte and the connection was over at once: an upgrade that came to nothing, which
 * says more than the missing Close does. */
static int judge_silence(struct websocket *ws, enum session_end end, enum side by, int64_t idle_ns)
{
    const int64_t at_once_ns = INT64_C(5) * 1000000000;
    const struct ws_side *s = ws->side;
    if ((end != SESSION_END_FIN && end != SESSION_END_RST) || ws->assumed || by == NEITHER)
        return 0;
    for (int side = CLIENT; side <= SERVER; side++)
        if (s[side].any_bytes || s[side].gap)
            return 0;
    if (idle_ns < 0 || idle_ns >= at_once_ns)
        return 0;
    ws_tell(ws, by, RULE_101_NO_DATA_THEN_CLOSE, layer_offset(ws->layer, by), 0, 0, 0,
            "%s sent %s after %lld ms", side_name(by), end_name(ws, end),
            (long long)(idle_ns / 1000000));
    return 1;
}

static void judge_abnormal(struct websocket *ws, enum session_end end, enum side by,
                           int64_t idle_ns)
{
    const char *how = end == SESSION_END_IDLE ? "silence" : end_name(ws, end);
    int ends = end == SESSION_END_FIN || end == SESSION_END_RST || end == SESSION_END_IDLE;
    if (!ends || ws->first_close != NEITHER || close_hidden(ws) ||
        judge_silence(ws, end, by, idle_ns))
        return;
    uint64_t at = by != NEITHER ? layer_offset(ws->layer, by) : 0;
    struct mark mark = by != NEITHER ? layer_mark(ws->layer, by, UINT64_MAX) : (struct mark){0};
    ws_tell(ws, by, RULE_WS_ABNORMAL_CLOSE, at, mark.packet, mark.time_ns, 0,
            "%s%s%s after %lld ms without traffic, no Close from either side",
            by != NEITHER ? side_name(by) : "", by != NEITHER ? " ended it with " : "", how,
            (long long)((idle_ns > 0 ? idle_ns : 0) / 1000000));
}

/* A clean pair is two Closes that the client had when it sent its FIN, and nothing wrong before: to
 * fail the connection is its own to do. */
static void judge_first_fin(struct websocket *ws, enum session_end end, enum side by)
{
    const struct ws_side *server = &ws->side[SERVER];
    if (end != SESSION_END_FIN || by != CLIENT || !server->closing.seen || server->broken ||
        !ws->side[CLIENT].closing.seen)
        return;
    struct mark mark = layer_mark(ws->layer, CLIENT, UINT64_MAX);
    if (mark.acked_valid && mark.acked < server->closing.root_end)
        return;
    ws_tell(ws, CLIENT, RULE_WS_CLIENT_CLOSED_TCP_FIRST, layer_offset(ws->layer, CLIENT),
            mark.packet, mark.time_ns, 0, "FIN before the server's");
}

static void judge_end(struct websocket *ws, enum session_end end, enum side by, int64_t idle_ns)
{
    judge_abnormal(ws, end, by, idle_ns);
    if (!ws->stream)
        judge_first_fin(ws, end, by);
    judge_not_echoed(ws, end, by);
}

void ws_control_close(struct websocket *ws)
{
    enum session_end end = SESSION_END_CAPTURE;
    enum side by = NEITHER;
    int64_t idle_ns = 0;
    int ended = layer_end(ws->layer, &end, &by, &idle_ns);
    int64_t now_ns = newest_ns(ws) + (ended && idle_ns > 0 ? idle_ns : 0);
    for (int side = CLIENT; side <= SERVER; side++)
        judge_pings(ws, (enum side)side, now_ns);
    if (ended)
        judge_end(ws, end, by, idle_ns);
    for (int side = CLIENT; side <= SERVER; side++) {
        budget_free(layer_budget(ws->layer), ws->side[side].pings);
        ws->side[side].pings = NULL;
    }
}

void ws_control_session_end(struct websocket *ws)
{
    const struct ws_closing *client = &ws->side[CLIENT].closing;
    const struct ws_closing *server = &ws->side[SERVER].closing;
    if (ws->first_close == NEITHER || ws->session == 0)
        return;
    const struct ws_closing *first = &ws->side[ws->first_close].closing;
    int both = client->seen && server->seen;
    /* The other Close may be among the bytes that were lost: then nobody knows whose was first. */
    int unknown = !both && ws->side[side_peer(ws->first_close)].hidden;
    struct event event = {.kind = EVENT_SESSION_END, .session = ws->session};
    event.u.session_end = (struct event_session_end){
        .reason = both || unknown ? SESSION_END_CLOSE : SESSION_END_CLOSE_UNANSWERED,
        .side = unknown ? NEITHER : ws->first_close,
        .idle_ns = first->idle_ns,
    };
    if (both) { /* the handshake was over with the second one */
        const struct ws_closing *second = client->time_ns > server->time_ns ? client : server;
        if (client->time_ns == server->time_ns)
            second = &ws->side[side_peer(ws->first_close)].closing;
        event.packet = second->packet;
        event.time_ns = second->time_ns;
    }
    layer_emit(ws->layer, ws->first_close, &event);
}
