/*
 * WebSocket (RFC 6455, with permessage-deflate, RFC 7692): the two streams of frames. This file
 * walks the streams, decides whether a side is WebSocket at all, survives gaps and ends; what is in
 * the frames is for the files that websocket_private.h lists. The opening handshake belongs to
 * HTTP, which hands over what was agreed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "websocket_private.h"

enum { ALIEN_WAIT = 16384 }; /* bytes that are held until the other side shows what it is */

/* --- findings --- */

static void emit_finding(struct websocket *ws, enum side side, const struct ws_finding *finding)
{
    struct event event = {.kind = EVENT_FINDING,
                          .session = ws->session,
                          .offset = finding->offset,
                          .packet = finding->packet,
                          .time_ns = finding->time_ns};
    event.u.finding = (struct event_finding){
        .rule = finding->rule,
        .frame = finding->frame,
        .evidence = {finding->evidence, strlen(finding->evidence)},
    };
    layer_emit(ws->layer, side, &event);
}

void ws_tell(struct websocket *ws, enum side side, enum rule rule, uint64_t offset,
             uint64_t packet, int64_t time_ns, uint64_t frame, const char *format, ...)
{
    struct ws_finding finding = {.rule = rule, .offset = offset, .packet = packet,
                                 .time_ns = time_ns, .frame = frame};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding.evidence, sizeof finding.evidence, format, args);
    va_end(args);
    emit_finding(ws, side, &finding);
}

/* Legal, or no receiver's concern: nobody fails a connection for it. */
static int is_remark(enum rule rule)
{
    return rule == RULE_WS_PONG_UNSOLICITED || rule == RULE_WS_CLOSE_CODE_UNREGISTERED ||
           rule == RULE_WS_CLOSE_1010_FROM_SERVER || rule == RULE_WS_CLOSE_1011_FROM_CLIENT;
}

void ws_find(struct websocket *ws, enum side side, enum rule rule, uint64_t offset,
             const struct mark *mark, const char *format, ...)
{
    struct ws_side *s = &ws->side[side];
    if (!s->frame.after_close && !is_remark(rule))
        s->broken = 1;
    if (s->queue == NULL)
        s->queue = budget_alloc(layer_budget(ws->layer), sizeof *s->queue);
    if (s->queue == NULL || s->queue->count == WS_FINDINGS) {
        layer_limit(ws->layer, "frame-findings", s->queue == NULL ? 0 : WS_FINDINGS);
        return;
    }
    struct ws_finding *finding = &s->queue->findings[s->queue->count++];
    *finding = (struct ws_finding){.rule = rule, .offset = offset, .pending = 1};
    if (mark != NULL) {
        finding->packet = mark->packet;
        finding->time_ns = mark->time_ns;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding->evidence, sizeof finding->evidence, format, args);
    va_end(args);
}

static void flush_findings(struct websocket *ws, enum side side)
{
    struct ws_queue *queue = ws->side[side].queue;
    for (size_t i = 0; queue != NULL && i < queue->count; i++)
        emit_finding(ws, side, &queue->findings[i]);
    if (queue != NULL)
        queue->count = 0;
}

/* The frame is complete (or will never be: serial 0): what was noted about it is about that one.
 * While the side is being judged it waits. */
static void settle_findings(struct websocket *ws, enum side side, uint64_t serial,
                            const struct mark *mark)
{
    struct ws_side *s = &ws->side[side];
    for (size_t i = 0; s->queue != NULL && i < s->queue->count; i++) {
        struct ws_finding *finding = &s->queue->findings[i];
        if (!finding->pending)
            continue;
        finding->pending = 0;
        finding->frame = ws->options->frames ? serial : 0;
        if (finding->packet == 0 && mark != NULL) {
            finding->packet = mark->packet;
            finding->time_ns = mark->time_ns;
        }
    }
    if (s->judged)
        flush_findings(ws, side);
}

/* --- what a side is --- */

static void believe(struct websocket *ws, enum side side)
{
    ws->side[side].judged = 1;
    flush_findings(ws, side);
}

static void tell_alien(struct websocket *ws, enum side side, const uint8_t *data, uint64_t offset)
{
    struct ws_side *s = &ws->side[side];
    s->alien = 1;
    s->phase = WS_ALIEN;
    s->judged = 1;
    s->partial = 0;
    if (s->queue != NULL)
        s->queue->count = 0;
    if (ws->assumed) /* nobody said that it would be one */
        return;
    struct ws_header start; /* the two bytes that are there however the stream was cut */
    ws_header_start(data, &start);
    struct mark mark = layer_mark(ws->layer, side, offset + 1);
    ws_tell(ws, side, RULE_WS_NOT_WEBSOCKET_AFTER_101, offset, mark.packet, mark.time_ns, 0,
            "frame %u begins %02x %02x: opcode %u, RSV bits %u%u%u, %s",
            s->headers > 0 ? s->headers : 1, data[0], data[1], start.opcode, start.rsv >> 2 & 1,
            start.rsv >> 1 & 1, start.rsv & 1, start.masked ? "masked" : "not masked");
}

/*
 * What becomes of a side that is not WebSocket: where the other side is not either, the layer is
 * lost; where that is still unknown, the bytes wait, so that the other side can be judged and the
 * engine then sees both; where the other side is WebSocket, it goes on alone.
 */
static struct result alien_verdict(const struct websocket *ws, enum side side, size_t consumed,
                                   size_t held)
{
    const struct ws_side *s = &ws->side[side], *peer = &ws->side[side_peer(side)];
    struct result result = {.verdict = V_LOST, .consumed = consumed};
    if (peer->alien || ws->assumed)
        return result;
    if (s->any_frame || peer->any_frame)
        result.verdict = V_DONE;
    else if (held < ALIEN_WAIT && !layer_ended(ws->layer, side) &&
             !layer_ended(ws->layer, side_peer(side)))
        result.verdict = V_WAIT_PEER;
    return result;
}

/* Adds a header to those that are judged. Returns 1 where the side is not WebSocket. */
static int judge_header(struct ws_side *s, unsigned kinds, unsigned rsv)
{
    if (s->judged || s->headers >= WS_JUDGED_FRAMES)
        return 0;
    s->kinds[s->headers] = (uint16_t)kinds;
    s->rsv[s->headers] = (uint8_t)rsv;
    s->headers++;
    return ws_header_alien(s);
}

/* The first two bytes may say it alone. */
static int alien_at_start(const struct websocket *ws, enum side side, const uint8_t *data)
{
    const struct ws_side *s = &ws->side[side];
    if (s->headers > 0 || s->judged)
        return 0;
    struct ws_header start;
    ws_header_start(data, &start);
    return ws_header_structural(ws_header_faults(ws, side, &start, 1)) >= 2;
}

/* --- frames --- */

static unsigned frame_kinds(const struct websocket *ws, enum side side,
                            const struct ws_header *h)
{
    const struct ws_side *s = &ws->side[side];
    unsigned kinds = ws_header_faults(ws, side, h, 0);
    if (h->opcode == WS_CONTINUATION && !s->message.open && !s->mid_message && !s->swallow)
        kinds |= WS_BAD_ORDER;
    return kinds;
}

static void after_close(struct websocket *ws, enum side side)
{
    const struct ws_frame *f = &ws->side[side].frame;
    unsigned opcode = f->header.opcode;
    if (opcode == WS_PONG)
        return;
    ws_find(ws, side,
            ws_is_control(opcode) ? RULE_WS_CONTROL_AFTER_CLOSE : RULE_WS_DATA_AFTER_CLOSE,
            f->offset, &f->start, "opcode %u, length %llu", opcode,
            (unsigned long long)f->header.length);
}

/* A header is complete. Returns 0, or -1: the side is not WebSocket. */
static int begin_frame(struct websocket *ws, enum side side, const struct ws_header *header,
                       uint64_t offset)
{
    struct ws_side *s = &ws->side[side];
    struct ws_frame *f = &s->frame;
    unsigned kinds = frame_kinds(ws, side, header);
    *f = (struct ws_frame){.header = *header,
                           .offset = offset,
                           .left = header->length,
                           .start = layer_mark(ws->layer, side, offset + header->size - 1u),
                           .after_close = s->closing.seen != 0};
    if (!f->after_close && judge_header(s, kinds, header->rsv))
        return -1;
    if (s->headers == WS_JUDGED_FRAMES && !s->judged)
        believe(ws, side);
    f->faulty = kinds != 0;
    s->any_frame = 1;
    s->last_masked = header->masked;
    s->phase = WS_IN_PAYLOAD;
    f->oversize = ws->options->frame_limit != 0 && header->length > ws->options->frame_limit;
    if (header->masked)
        ws_keys_add(&s->keys, header->key, offset, &f->start);
    if (f->after_close)
        after_close(ws, side);
    else
        ws_header_report(ws, side, kinds);
    if (!ws_is_control(header->opcode)) {
        ws_message_frame(ws, side);
    } else if (ws_is_known(header->opcode)) {
        f->role = WS_ROLE_CONTROL;
        s->control.len = 0;
        if (!header->fin && !s->message.open)
            s->swallow = 1;
    }
    return 0;
}

static void emit_frame(struct websocket *ws, enum side side, const struct event_frame *frame,
                       const struct mark *mark)
{
    const struct ws_frame *f = &ws->side[side].frame;
    struct event event = {.kind = EVENT_FRAME,
                          .session = ws->session,
                          .offset = f->offset,
                          .packet = mark->packet,
                          .time_ns = mark->time_ns};
    event.u.frame = *frame;
    layer_emit(ws->layer, side, &event);
}

/* All of the frame has passed; `end` is the offset behind it. */
static void end_frame(struct websocket *ws, enum side side, uint64_t end)
{
    struct ws_side *s = &ws->side[side];
    struct ws_frame *f = &s->frame;
    const struct ws_header *h = &f->header;
    struct mark mark = layer_mark(ws->layer, side, end - 1);
    struct event_frame frame = {
        .fin = h->fin, .rsv = h->rsv, .opcode = h->opcode, .masked = h->masked,
        .length = h->length, .message_opcode = -1, .rtt_ns = -1,
    };
    if (!f->damaged) {
        frame.serial = ++ws->frames;
        s->count.frames++;
        s->count.bytes += h->length;
    }
    if (f->role == WS_ROLE_DATA)
        ws_message_frame_end(ws, side, &frame);
    else if (f->role == WS_ROLE_CONTROL)
        ws_control_frame_end(ws, side, &mark, &frame);
    ws_control_note(ws, side);
    settle_findings(ws, side, frame.serial, &mark);
    if (!f->damaged && ws->options->frames)
        emit_frame(ws, side, &frame, &mark);
    if (f->role == WS_ROLE_DATA && h->fin)
        ws_message_clear(ws, side);
    else
        s->message.borrowed = NULL;
    ws->active_ns = mark.time_ns;
    s->phase = WS_AT_HEADER;
}

static void take_payload(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
                         uint64_t offset)
{
    struct ws_frame *f = &ws->side[side].frame;
    if (f->role == WS_ROLE_DATA)
        ws_message_payload(ws, side, data, len, offset);
    else if (f->role == WS_ROLE_CONTROL)
        ws_control_payload(ws, side, data, len, offset);
    f->left -= len;
}

/* --- the stream --- */

struct cursor {
    const uint8_t *data;
    size_t len, at;
    uint64_t offset; /* of data[0] */
    int final;       /* nothing will follow */
};

static void lose_frames(struct websocket *ws, enum side side);

/* The answer was lost, perhaps only in part: what comes first may be the end of its head. */
static int rest_of_answer(const struct websocket *ws, enum side side, const uint8_t *data)
{
    const struct ws_side *s = &ws->side[side];
    if (!ws->assumed || side != SERVER || s->any_frame || s->gap)
        return 0;
    struct ws_header start;
    ws_header_start(data, &start);
    return !start.fin || ws_header_faults(ws, side, &start, 1) != 0;
}

/* Each step returns 1 to go on, or 0 with the result. */
static int step_header(struct websocket *ws, enum side side, struct cursor *c,
                       struct result *result)
{
    struct ws_side *s = &ws->side[side];
    const uint8_t *data = c->data + c->at;
    size_t left = c->len - c->at;
    uint64_t offset = c->offset + c->at;
    if (left >= 2 && rest_of_answer(ws, side, data)) {
        s->gap = 1;
        s->resync_from = offset;
        lose_frames(ws, side);
        return 1;
    }
    int alien = left >= 2 && alien_at_start(ws, side, data);
    struct ws_header header;
    size_t need = ws_header_parse(data, left, &header);
    if (!alien && need != 0) {
        s->partial = left >= 2 ? 2 : 1;
        s->partial_offset = offset;
        if (left >= 2)
            ws_header_start(data, &s->partial_start);
        *result = (struct result){.verdict = V_NEED, .consumed = c->at, .need = need};
        return 0;
    }
    if (alien || begin_frame(ws, side, &header, offset) != 0) {
        tell_alien(ws, side, data, offset);
        *result = alien_verdict(ws, side, c->at, left);
        return 0;
    }
    c->at += header.size;
    if (header.length == 0)
        end_frame(ws, side, c->offset + c->at);
    return 1;
}

static int step_payload(struct websocket *ws, enum side side, struct cursor *c)
{
    struct ws_frame *f = &ws->side[side].frame;
    size_t left = c->len - c->at;
    size_t len = f->left < left ? (size_t)f->left : left;
    take_payload(ws, side, c->data + c->at, len, c->offset + c->at);
    c->at += len;
    if (f->left == 0)
        end_frame(ws, side, c->offset + c->at);
    return 1;
}

static int step_resync(struct websocket *ws, enum side side, struct cursor *c,
                       struct result *result)
{
    struct ws_side *s = &ws->side[side];
    size_t skip = 0, need = 1;
    unsigned frames = 0;
    uint64_t offset = c->offset + c->at;
    int found = ws_resync(ws, side, c->data + c->at, c->len - c->at, offset, c->final, &skip,
                          &need, &frames);
    c->at += skip;
    if (!found) {
        *result = (struct result){.verdict = V_NEED, .consumed = c->at, .need = need};
        return 0;
    }
    s->phase = WS_AT_HEADER;
    s->mid_message = 1;
    uint64_t passed = offset + skip - s->resync_from;
    if (!s->told_resync) {
        struct mark mark = layer_mark(ws->layer, side, offset + skip);
        ws_tell(ws, side, RULE_CAPTURE_GAP, offset + skip, mark.packet, mark.time_ns, 0,
                "resynchronised %llu bytes behind the gap, %u frames trusted",
                (unsigned long long)passed, frames);
    }
    s->told_resync = 1;
    return 1;
}

static struct result walk(struct websocket *ws, enum side side, struct cursor *c)
{
    struct ws_side *s = &ws->side[side];
    struct result result = {.verdict = V_OK};
    s->partial = 0;
    while (c->at < c->len) {
        int more = 1;
        switch (s->phase) {
        case WS_AT_HEADER:
            more = step_header(ws, side, c, &result);
            break;
        case WS_IN_PAYLOAD:
            more = step_payload(ws, side, c);
            break;
        case WS_LOST_SYNC:
            more = step_resync(ws, side, c, &result);
            break;
        case WS_ALIEN:
            return alien_verdict(ws, side, c->at, c->len - c->at);
        }
        if (!more)
            return result;
    }
    result.consumed = c->len;
    return result;
}

static struct result websocket_data(struct layer *layer, void *state, enum side side,
                                    const struct slice *slice)
{
    struct websocket *ws = state;
    ws->layer = layer;
    ws->side[side].any_bytes = 1;
    struct cursor c = {.data = slice->data, .len = slice->len, .offset = slice->offset,
                       .final = layer_ended(layer, side)};
    return walk(ws, side, &c);
}

/* --- gaps --- */

/* A gap inside the payload of a frame whose length is known is counted through. */
static uint64_t count_through(struct websocket *ws, enum side side, uint64_t offset, uint64_t len)
{
    struct ws_frame *f = &ws->side[side].frame;
    uint64_t take = len < f->left ? len : f->left;
    f->damaged = 1;
    ws_message_lost(ws, side, take);
    f->left -= take;
    if (f->left == 0)
        end_frame(ws, side, offset + take);
    return take;
}

static void lose_frames(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    settle_findings(ws, side, 0, NULL);
    believe(ws, side);
    ws_message_clear(ws, side);
    if (s->deflate != NULL)
        deflate_lose(s->deflate);
    ws_control_hidden(ws, side);
    if (ws->carry == WS_CARRY_ON)
        layer_carry_close(ws->layer, 0);
    ws->carry = WS_CARRY_OFF;
    s->hidden = 1;
    s->swallow = 0;
    s->phase = WS_LOST_SYNC;
}

static struct result websocket_gap(struct layer *layer, void *state, enum side side,
                                   uint64_t offset, uint64_t len)
{
    struct websocket *ws = state;
    struct ws_side *s = &ws->side[side];
    ws->layer = layer;
    if (s->phase == WS_ALIEN)
        return (struct result){.verdict = V_LOST};
    s->gap = 1;
    s->partial = 0;
    uint64_t lost = len;
    if (s->phase == WS_IN_PAYLOAD)
        lost -= count_through(ws, side, offset, len);
    if (lost > 0) {
        if (s->phase != WS_LOST_SYNC)
            lose_frames(ws, side);
        s->resync_from = offset + len;
        s->resync_packet = 0;
    }
    return (struct result){.verdict = V_OK};
}

/* --- ends --- */

/* What the engine still holds is all there will be. */
static void last_look(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    struct slice rest = layer_peek(ws->layer, side);
    if (s->phase != WS_LOST_SYNC || rest.len == 0)
        return;
    struct cursor c = {.data = rest.data, .len = rest.len, .offset = rest.offset, .final = 1};
    (void)walk(ws, side, &c);
}

/* What two bytes of a header say about its place among the frames. */
static void report_place(struct websocket *ws, enum side side)
{
    const struct ws_side *s = &ws->side[side];
    const struct ws_frame *f = &s->frame;
    unsigned opcode = f->header.opcode;
    int data = opcode == WS_TEXT || opcode == WS_BINARY;
    enum rule rule = RULE_WS_INTERLEAVED_MESSAGE;
    if (f->after_close && opcode != WS_PONG)
        rule = ws_is_control(opcode) ? RULE_WS_CONTROL_AFTER_CLOSE : RULE_WS_DATA_AFTER_CLOSE;
    else if (opcode == WS_CONTINUATION && !s->message.open && !s->mid_message && !s->swallow)
        rule = RULE_WS_CONTINUATION_WITHOUT_START;
    else if (f->after_close || !data || !s->message.open)
        return;
    ws_find(ws, side, rule, f->offset, &f->start, "opcode %u, its header is cut", opcode);
}

/* The beginning of a header proves what it proves, also where the rest never came. */
static void settle_partial(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    if (s->phase == WS_AT_HEADER && s->partial == 2) {
        s->frame = (struct ws_frame){.header = s->partial_start,
                                     .offset = s->partial_offset,
                                     .start = layer_mark(ws->layer, side, UINT64_MAX),
                                     .after_close = s->closing.seen != 0};
        if (!s->frame.after_close)
            ws_header_report(ws, side, ws_header_faults(ws, side, &s->partial_start, 1));
        report_place(ws, side);
        s->partial = 1;
    }
    settle_findings(ws, side, 0, NULL);
    believe(ws, side);
}

static void cut_frame(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    const struct ws_frame *f = &s->frame;
    uint64_t end = layer_offset(ws->layer, side) + layer_held(ws->layer, side);
    if (s->told_truncated || s->alien || s->closing.seen)
        return;
    s->told_truncated = 1;
    if (s->phase == WS_IN_PAYLOAD)
        ws_tell(ws, side, RULE_WS_FRAME_TRUNCATED_AT_CLOSE, f->offset, 0, 0, 0,
                "opcode %u: %llu of %llu payload bytes were sent", f->header.opcode,
                (unsigned long long)(f->header.length - f->left),
                (unsigned long long)f->header.length);
    else if (s->phase == WS_AT_HEADER && s->partial)
        ws_tell(ws, side, RULE_WS_FRAME_TRUNCATED_AT_CLOSE, s->partial_offset, 0, 0, 0,
                "%llu bytes of a frame header were sent",
                (unsigned long long)(end - s->partial_offset));
}

static void websocket_eof(struct layer *layer, void *state, enum side side)
{
    struct websocket *ws = state;
    struct ws_side *s = &ws->side[side];
    ws->layer = layer;
    last_look(ws, side);
    s->ended = 1;
    settle_partial(ws, side);
    cut_frame(ws, side);
    if (ws->carry == WS_CARRY_ON)
        layer_carry_eof(layer, 0, side);
}

static void close_counters(struct websocket *ws)
{
    struct event event = {.kind = EVENT_WEBSOCKET_CLOSE, .session = ws->session};
    for (int side = CLIENT; side <= SERVER; side++)
        event.u.websocket_close.side[side] = ws->side[side].count;
    layer_emit(ws->layer, NEITHER, &event);
}

static void websocket_close(struct layer *layer, void *state)
{
    struct websocket *ws = state;
    ws->layer = layer;
    enum session_end end = SESSION_END_CAPTURE;
    enum side by = NEITHER;
    int64_t idle_ns = 0;
    int reset = layer_end(layer, &end, &by, &idle_ns) && end == SESSION_END_RST;
    for (int i = CLIENT; i <= SERVER; i++) {
        enum side side = (enum side)i;
        struct ws_side *s = &ws->side[side];
        last_look(ws, side);
        settle_partial(ws, side);
        if (reset && !s->ended)
            cut_frame(ws, side);
        if (!s->alien)
            ws_keys_close(ws, side);
    }
    ws_control_close(ws);
    for (int side = CLIENT; side <= SERVER; side++) {
        ws_message_close(ws, (enum side)side);
        budget_free(layer_budget(layer), ws->side[side].queue);
        ws->side[side].queue = NULL;
    }
    close_counters(ws);
    ws_control_session_end(ws);
    budget_free(layer_budget(layer), ws->subprotocol);
}

/* --- the beginning --- */

static struct text hint_of(const struct handover *handover, const char *name)
{
    for (size_t i = 0; handover != NULL && i < handover->hint_count; i++)
        if (strcmp(handover->hints[i].name, name) == 0)
            return handover->hints[i].value.data != NULL ? handover->hints[i].value
                                                         : TEXT_LITERAL("");
    return TEXT_NONE;
}

static uint8_t has_hint(const struct handover *handover, const char *name)
{
    return hint_of(handover, name).data != NULL;
}

static unsigned window_hint(const struct handover *handover, const char *name)
{
    struct text value = hint_of(handover, name);
    unsigned bits = 0;
    if (value.data == NULL || value.len == 0 || value.len > 2)
        return 15;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return 15;
        bits = bits * 10 + (unsigned)(value.data[i] - '0');
    }
    return bits >= 8 && bits <= 15 ? bits : 15;
}

static void read_hints(struct websocket *ws, const struct handover *handover)
{
    ws->takeover[CLIENT] = !has_hint(handover, "client_no_context_takeover");
    ws->takeover[SERVER] = !has_hint(handover, "server_no_context_takeover");
    ws->window_bits[CLIENT] = window_hint(handover, "client_max_window_bits");
    ws->window_bits[SERVER] = window_hint(handover, "server_max_window_bits");
    ws->other_extensions = has_hint(handover, "other-extensions");
    ws->assumed = ws->assumed || has_hint(handover, "assumed");
    ws->tls = has_hint(handover, "tls");
    ws->stream = has_hint(handover, "stream");
    ws->pings_unknown = ws->assumed;
    if (has_hint(handover, "permessage-deflate"))
        ws->pmd = WS_PMD_AGREED;
    else if (ws->assumed)
        ws->pmd = WS_PMD_GUESSED;
    struct text subprotocol = hint_of(handover, "subprotocol");
    if (subprotocol.data == NULL || subprotocol.len == 0)
        return;
    ws->subprotocol = budget_alloc(layer_budget(ws->layer), subprotocol.len);
    if (ws->subprotocol == NULL)
        return;
    memcpy(ws->subprotocol, subprotocol.data, subprotocol.len);
    ws->subprotocol_len = subprotocol.len;
}

/* Nobody saw the handshake: what follows proves that there was one. */
static void open_session(struct websocket *ws)
{
    ws->session = layer_session_new(ws->layer);
    struct event open = {.kind = EVENT_SESSION_OPEN, .session = ws->session};
    open.u.session_open.mechanism = MECHANISM_UPGRADE;
    open.u.session_open.request_lost = 1;
    layer_emit(ws->layer, CLIENT, &open);
    struct event answer = {.kind = EVENT_SESSION_ANSWER, .session = ws->session};
    answer.u.session_answer.outcome = OUTCOME_SWITCHED;
    answer.u.session_answer.accepted = TEXT_LITERAL("websocket");
    layer_emit(ws->layer, SERVER, &answer);
}

static int websocket_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct websocket *ws = state;
    ws->layer = layer;
    ws->options = layer_options(layer);
    ws->first_close = NEITHER;
    ws->side[CLIENT].count.close_code = ws->side[SERVER].count.close_code = -1;
    ws->session = layer_session(layer);
    if (ws->session == 0) {
        ws->assumed = 1;
        open_session(ws);
    }
    read_hints(ws, handover);
    ws->active_ns = layer_mark(layer, SERVER, UINT64_MAX).time_ns;
    struct event event = {.kind = EVENT_WEBSOCKET_OPEN, .session = ws->session};
    struct text valid = hint_of(handover, "accept-valid");
    event.u.websocket_open = (struct event_websocket_open){
        .subprotocol = hint_of(handover, "subprotocol"),
        .extensions = hint_of(handover, "extensions"),
        .accept_valid = valid.len == 0 ? -1 : valid.data[0] == '1',
        .deflate = ws->pmd == WS_PMD_AGREED,
    };
    layer_emit(layer, NEITHER, &event);
    return 0;
}

const struct dissector websocket_dissector = {
    .name = "websocket",
    .state_size = sizeof(struct websocket),
    .probe = ws_probe,
    .open = websocket_open,
    .data = websocket_data,
    .gap = websocket_gap,
    .eof = websocket_eof,
    .close = websocket_close,
};
