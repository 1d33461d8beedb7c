/*
 * The attempts to switch that a connection of HTTP/2 makes: CONNECT (RFC 9113 8.5) and extended
 * CONNECT (RFC 8441). Each is a session of one stream, judged by the judges that HTTP/1.x has, and
 * what follows a grant is carried in the stream.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "http2_private.h"

/* --- reports --- */

static void tell(struct http2 *http, uint32_t session, enum side side, enum rule rule,
                 uint64_t offset, const struct mark *mark, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/* mark: where the evidence came from; NULL: that of the byte at offset. */
static void tell(struct http2 *http, uint32_t session, enum side side, enum rule rule,
                 uint64_t offset, const struct mark *mark, const char *format, ...)
{
    char text[200];
    struct http_reporter reporter = {.layer = http->layer, .session = session};
    struct http_report report = http_report_of(&reporter);
    if (mark != NULL) {
        reporter.packet = mark->packet;
        reporter.time_ns = mark->time_ns;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    http_report_finding(&report, side, rule, offset, "%s", text);
}

/* --- requests --- */

/* A head of the block that is complete on this side, with what HTTP/1.x has in its start line. */
static int take_head(struct http2 *http, enum side side, uint64_t end, struct http_head *head,
                     void **block)
{
    const struct http2_side *s = &http->side[side];
    if (http2_fields_head(http, &s->fields, s->block.offset, end, head, block) != 0)
        return -1;
    if (side == SERVER)
        return 0;
    int extended = http_field_find(head, ":protocol") != NULL;
    head->method = http_field_value(head, ":method");
    head->target = http_field_value(head, extended ? ":path" : ":authority");
    return 0;
}

static struct http2_stream *open_attempt(struct http2 *http, uint64_t end)
{
    const struct http2_block *block = &http->side[CLIENT].block;
    struct http2_stream *stream = http2_stream_add(http, block->stream);
    if (stream == NULL)
        return NULL;
    struct http2_attempt *attempt = stream->attempt;
    if (take_head(http, CLIENT, end, &attempt->request, &attempt->block) != 0) {
        http2_stream_remove(http, stream);
        return NULL;
    }
    struct mark mark = layer_mark(http->layer, CLIENT, end - 1);
    attempt->packet = mark.packet;
    attempt->time_ns = mark.time_ns;
    attempt->begin = block->begin;
    upgrade_begin(&attempt->upgrade, &attempt->request);
    attempt->upgrade.secure = http->secure;
    stream->websocket = attempt->upgrade.websocket != 0;
    stream->session = layer_session_new(http->layer);
    stream->active_ns = mark.time_ns;
    if (attempt->upgrade.mechanism == MECHANISM_CONNECT)
        http->connects++;
    else
        http->extended++;
    http_events_request(http->layer, stream->session, &attempt->upgrade, mark.packet,
                        mark.time_ns);
    struct http_reporter reporter = {.layer = http->layer, .session = stream->session,
                                     .packet = mark.packet, .time_ns = mark.time_ns};
    struct http_report report = http_report_of(&reporter);
    upgrade_request(&attempt->upgrade, &report);
    return stream;
}

/* An upgrade that a proxy passed on, and then requests which that proxy never saw. */
static void judge_smuggling(struct http2 *http, uint64_t end)
{
    const struct http2_side *s = &http->side[CLIENT];
    struct text path = http2_fields_value(&s->fields, ":path");
    struct text upgraded = {http->path, http->path_len};
    if (http->path == NULL || path.data == NULL)
        return;
    path = http_text_before(http_text_before(path, '?'), '#');
    if (http_text_equal(path, upgraded))
        return;
    struct mark mark = layer_mark(http->layer, CLIENT, end - 1);
    tell(http, 0, CLIENT, RULE_H2C_SMUGGLING, s->block.offset, &mark,
         "%.*s %.*s behind an upgrade for %.*s that a proxy forwarded",
         HTTP_CLIP(http2_fields_value(&s->fields, ":method")), HTTP_CLIP(path),
         HTTP_CLIP(upgraded));
    budget_free(layer_budget(http->layer), http->path);
    http->path = NULL;
}

void http2_request_done(struct http2 *http, uint64_t end)
{
    const struct http2_fields *fields = &http->side[CLIENT].fields;
    struct http2_stream *stream = NULL;
    http->requests++;
    if (http_text_equal(http2_fields_value(fields, ":method"), TEXT_LITERAL("CONNECT")))
        stream = open_attempt(http, end);
    if (fields->forbidden[0] != '\0') {
        struct mark mark = layer_mark(http->layer, CLIENT, end - 1);
        tell(http, stream != NULL ? stream->session : 0, CLIENT,
             RULE_WS_H2_HAS_UPGRADE_OR_CONNECTION, fields->forbidden_offset, &mark, "%s",
             fields->forbidden);
    }
    judge_smuggling(http, end);
}

/* --- the setting that allows extended CONNECT (RFC 8441 3) --- */

void http2_session_setting(struct http2 *http, enum side side, uint32_t value, uint64_t offset)
{
    struct http2_side *s = &http->side[side];
    if (value > 1)
        tell(http, 0, side, RULE_EXT_CONNECT_SETTING_VALUE, offset, NULL,
             "SETTINGS_ENABLE_CONNECT_PROTOCOL = %u", value);
    else if (value == 0 && s->connect_protocol == 1)
        tell(http, 0, side, RULE_EXT_CONNECT_SETTING_VALUE, offset, NULL,
             "SETTINGS_ENABLE_CONNECT_PROTOCOL = 0 after 1");
    s->connect_protocol = value > 1 ? 2 : (int)value;
}

/* Said when the server has shown all that it sent before it dealt with the request: was there a
 * setting that the client can have seen? */
static void judge_setting(struct http2 *http, const struct http2_stream *stream)
{
    const struct http2_side *server = &http->side[SERVER];
    const struct http2_attempt *attempt = stream->attempt;
    if (attempt->upgrade.mechanism != MECHANISM_EXTENDED_CONNECT ||
        !layer_from_start(http->layer) || server->gap || !server->any_frame)
        return;
    struct mark mark = {.packet = attempt->packet, .time_ns = attempt->time_ns};
    struct text protocol = http_field_value(&attempt->request, ":protocol");
    if (server->connect_end == 0)
        tell(http, stream->session, CLIENT, RULE_EXT_CONNECT_WITHOUT_SETTING,
             attempt->request.offset, &mark, ":protocol %.*s, which no SETTINGS had allowed",
             HTTP_CLIP(protocol));
    else if (attempt->begin.acked_valid && attempt->begin.acked < server->connect_end)
        tell(http, stream->session, CLIENT, RULE_EXT_CONNECT_WITHOUT_SETTING,
             attempt->request.offset, &mark,
             ":protocol %.*s was sent when %llu bytes of the server were acknowledged; its "
             "SETTINGS end at %llu",
             HTTP_CLIP(protocol), (unsigned long long)attempt->begin.acked,
             (unsigned long long)server->connect_end);
}

/* --- ends --- */

/* The stream is over: says how to what it carries and to its session. The frame that ends it is
 * the sender's, in front of `end`. */
static void finish(struct http2 *http, struct http2_stream *stream, enum session_end reason,
                   enum side by, enum side sender, uint64_t end)
{
    int told = 0;
    if (stream->held)
        layer_carry_close(http->layer, stream->id);
    else if (stream->carried)
        told = layer_carry_end(http->layer, stream->id, reason, by);
    if (!told) {
        struct event event = {.kind = EVENT_SESSION_END, .session = stream->session,
                              .offset = end - 1};
        event.u.session_end = (struct event_session_end){.reason = reason, .side = by,
                                                         .idle_ns = stream->idle_ns};
        layer_emit(http->layer, sender, &event);
    }
    http2_stream_remove(http, stream);
}

static void note_end(struct http2 *http, struct http2_stream *stream, enum side side, uint64_t end)
{
    if (stream->first_end != NEITHER)
        return;
    stream->first_end = side;
    stream->idle_ns = layer_mark(http->layer, side, end - 1).time_ns - stream->active_ns;
    if (stream->idle_ns < 0)
        stream->idle_ns = 0;
}

void http2_session_eof(struct http2 *http, uint32_t id, enum side side, uint64_t end)
{
    struct http2_stream *stream = http2_stream_find(http, id);
    if (stream == NULL || stream->ended[side] ||
        (side == SERVER && (stream->attempt != NULL || stream->refused_end > 0)))
        return;
    if (stream->refused_end > 0) {
        http2_stream_remove(http, stream);
        return;
    }
    note_end(http, stream, side, end);
    stream->ended[side] = 1;
    if (stream->held || stream->carried)
        layer_carry_eof(http->layer, id, side);
    if (stream->ended[side_peer(side)])
        finish(http, stream, SESSION_END_FIN, stream->first_end, side, end);
}

/* --- refusals --- */

/* The first bytes of a WebSocket that was refused: can the client have known that? */
static void judge_early(struct http2 *http, struct http2_stream *stream, uint64_t offset,
                        const struct mark *mark)
{
    if (mark->acked_valid && mark->acked < stream->refused_end)
        tell(http, stream->session, CLIENT, RULE_OPTIMISTIC_DATA_BEFORE_101, offset, mark,
             "sent before the answer, which refuses");
    http2_stream_remove(http, stream);
}

/* The stream is refused by what ends in front of `end`. Bytes that the client sent before it knew
 * may still be on their way. */
static void forget(struct http2 *http, struct http2_stream *stream, uint64_t end)
{
    struct http2_attempt *attempt = stream->attempt;
    int early = attempt->early;
    uint64_t offset = attempt->early_offset;
    struct mark mark = attempt->early_mark;
    if (stream->held)
        layer_carry_close(http->layer, stream->id);
    stream->held = 0;
    stream->refused_end = layer_mark(http->layer, SERVER, end - 1).root_offset + 1;
    http2_attempt_free(http, stream);
    if (!stream->websocket || (stream->ended[CLIENT] && !early))
        http2_stream_remove(http, stream);
    else if (early)
        judge_early(http, stream, offset, &mark);
}

static enum cause cause_of_code(uint32_t code)
{
    switch (code) {
    case 0x1: case 0x6: case 0x9: /* PROTOCOL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR */
        return CAUSE_BAD_REQUEST;
    case 0x2: case 0xa: /* INTERNAL_ERROR, CONNECT_ERROR */
        return CAUSE_UPSTREAM;
    case 0x4: /* SETTINGS_TIMEOUT */
        return CAUSE_TIMEOUT;
    case 0xd: /* HTTP_1_1_REQUIRED */
        return CAUSE_VERSION;
    default:
        return CAUSE_UNKNOWN;
    }
}

/* The server refuses without an answer: by `frame`, at offset, ending in front of end. */
static void refuse(struct http2 *http, struct http2_stream *stream, const char *frame,
                   uint32_t code, uint64_t offset, uint64_t end)
{
    char reason[48], number[16];
    int len = snprintf(reason, sizeof reason, "%s %s", frame, http2_error_name(code, number));
    enum cause cause = cause_of_code(code);
    judge_setting(http, stream);
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = stream->session,
                          .offset = end - 1};
    event.u.session_answer = (struct event_session_answer){
        .outcome = OUTCOME_REFUSED, .cause = cause, .reason = {reason, (size_t)len}};
    layer_emit(http->layer, SERVER, &event);
    struct mark mark = layer_mark(http->layer, SERVER, end - 1);
    if (stream->attempt->upgrade.mechanism == MECHANISM_EXTENDED_CONNECT)
        tell(http, stream->session, SERVER, RULE_UPGRADE_REFUSED, offset, &mark, "%s: %s", reason,
             upgrade_cause_name(cause));
    forget(http, stream, end);
}

void http2_session_reset(struct http2 *http, struct http2_stream *stream, enum side side,
                         uint32_t code, uint64_t end)
{
    uint64_t offset = http->side[side].frame.offset;
    char number[16];
    if (stream->refused_end > 0) {
        if (side == CLIENT)
            http2_stream_remove(http, stream);
        return;
    }
    if (stream->attempt != NULL && side == SERVER) {
        refuse(http, stream, "RST_STREAM", code, offset, end);
        return;
    }
    if (stream->attempt != NULL) {
        judge_setting(http, stream);
    } else if (stream->websocket) {
        struct mark mark = layer_mark(http->layer, side, end - 1);
        tell(http, stream->session, side, RULE_WS_H2_END_STREAM_ABRUPT, offset, &mark,
             "RST_STREAM %s", http2_error_name(code, number));
    }
    note_end(http, stream, side, end);
    finish(http, stream, SESSION_END_RST, side, side, end);
}

void http2_session_goaway(struct http2 *http, uint32_t last, uint32_t code, uint64_t end)
{
    uint64_t offset = http->side[SERVER].frame.offset;
    size_t count;
    if (last >= http->highest)
        return;
    uint32_t *ids = http2_stream_ids(http, last, 1, &count);
    for (size_t i = 0; i < count; i++)
        refuse(http, http2_stream_find(http, ids[i]), "GOAWAY", code, offset, end);
    budget_free(layer_budget(http->layer), ids);
}

/* --- grants --- */

static void grant(struct http2 *http, struct http2_stream *stream, const struct http_head *answer,
                  const struct upgrade_verdict *verdict)
{
    const struct http_head *request = &stream->attempt->request;
    int extended = stream->attempt->upgrade.mechanism == MECHANISM_EXTENDED_CONNECT;
    struct http_hints list = {.count = 0};
    http_hints_add(&list, "stream", TEXT_LITERAL("1"));
    if (verdict->websocket)
        http_hints_websocket(&list, http->layer, &verdict->agreement, answer);
    if (!extended)
        http_hints_add(&list, "target", request->target);
    http_hints_add(&list, "host", upgrade_host(request));
    http_hints_add(&list, "content-type", http_field_value(answer, "Content-Type"));
    if (http->secure)
        http_hints_add(&list, "tls", TEXT_LITERAL("1"));
    struct handover handover = {
        .table = extended ? "http2.protocol" : "http.connect",
        .token = verdict->token,
        .session = stream->session,
        .early_rule = verdict->early != RULE_COUNT ? &verdict->early : NULL,
        .granted = answer->end - 1,
        .hints = list.hints,
        .hint_count = list.count,
    };
    int held = stream->held;
    stream->held = 0;
    stream->carried = !stream->unwanted &&
                      layer_carry_open(http->layer, stream->id, &handover) == 0;
    if (stream->carried && !held && stream->ended[CLIENT])
        layer_carry_eof(http->layer, stream->id, CLIENT);
    http_hints_release(&list, http->layer);
}

/* Returns 1 where the block is the final answer of an attempt. */
static int is_final(struct http2 *http, const struct http2_stream *stream)
{
    const struct http2_side *s = &http->side[SERVER];
    unsigned status = s->fields.status;
    if (status == 101)
        tell(http, stream != NULL ? stream->session : 0, SERVER, RULE_101_IN_HTTP2_OR_3,
             s->block.offset, &s->block.begin, ":status 101");
    if (http->upgraded && s->block.stream == 1 && status >= 200 && http->upgraded_status == 0)
        http->upgraded_status = status;
    return s->block.kind == HTTP2_BLOCK_ANSWER && stream != NULL && stream->attempt != NULL &&
           status >= 200;
}

void http2_answer_done(struct http2 *http, uint64_t end)
{
    struct http2_stream *stream = http2_stream_find(http, http->side[SERVER].block.stream);
    struct http_head answer;
    struct upgrade_verdict verdict;
    void *block;
    if (!is_final(http, stream))
        return;
    if (take_head(http, SERVER, end, &answer, &block) != 0) {
        http2_answer_lost(http, stream, http->side[SERVER].block.offset);
        return;
    }
    struct mark mark = layer_mark(http->layer, SERVER, end - 1);
    struct http_reporter reporter = {.layer = http->layer, .session = stream->session,
                                     .packet = mark.packet, .time_ns = mark.time_ns};
    struct http_report report = http_report_of(&reporter);
    judge_setting(http, stream);
    upgrade_answer(&stream->attempt->upgrade, &answer, &report, &verdict);
    http_events_answer(http->layer, stream->session, verdict.outcome, &verdict, &answer);
    if (verdict.outcome == OUTCOME_SWITCHED) {
        if (stream->active_ns < mark.time_ns)
            stream->active_ns = mark.time_ns;
        grant(http, stream, &answer, &verdict);
        http2_attempt_free(http, stream);
    } else {
        forget(http, stream, end);
    }
    budget_free(layer_budget(http->layer), block);
}

static void tell_unresolved(struct http2 *http, const struct http2_stream *stream, uint64_t offset)
{
    tell(http, stream->session, SERVER, RULE_SWITCH_UNRESOLVED, offset, NULL,
         "the answer was not captured, or cannot be read");
}

void http2_answer_lost(struct http2 *http, struct http2_stream *stream, uint64_t offset)
{
    tell_unresolved(http, stream, offset);
    if (stream->held)
        layer_carry_close(http->layer, stream->id);
    http2_stream_remove(http, stream);
}

/* --- bytes --- */

/* The bytes in front of an answer wait for it, from the first one, or the first lost one, on. */
static void hold_early(struct http2 *http, struct http2_stream *stream)
{
    if (stream->held || stream->unwanted)
        return;
    stream->held = layer_carry_hold(http->layer, stream->id, stream->session) == 0;
    stream->unwanted = !stream->held;
}

void http2_session_data(struct http2 *http, struct http2_stream *stream, enum side side,
                        const uint8_t *data, size_t len, uint64_t offset)
{
    struct http2_attempt *attempt = stream->attempt;
    if (side == SERVER && (attempt != NULL || stream->refused_end > 0))
        return;
    if (stream->refused_end > 0) {
        struct mark mark = layer_mark(http->layer, side, offset);
        judge_early(http, stream, offset, &mark);
        return;
    }
    if (attempt != NULL && !attempt->early) {
        attempt->early = 1;
        attempt->early_offset = offset;
        attempt->early_mark = layer_mark(http->layer, side, offset);
        hold_early(http, stream);
    }
    struct slice slice = {.data = data, .len = len, .offset = offset};
    if ((stream->held || stream->carried) && !stream->unwanted)
        stream->unwanted = !layer_carry(http->layer, stream->id, side, &slice, offset, len);
    int64_t time_ns = layer_mark(http->layer, side, offset + len - 1).time_ns;
    if (stream->active_ns < time_ns)
        stream->active_ns = time_ns;
}

void http2_session_gap(struct http2 *http, struct http2_stream *stream, enum side side,
                       uint32_t len)
{
    if (stream->refused_end > 0 || (stream->attempt != NULL && side == SERVER))
        return;
    if (stream->attempt != NULL)
        hold_early(http, stream);
    if ((stream->held || stream->carried) && !stream->unwanted)
        layer_carry_gap(http->layer, stream->id, side, len);
}

void http2_sessions_end(struct http2 *http)
{
    size_t count;
    uint32_t *ids = http2_stream_ids(http, 0, 1, &count);
    for (size_t i = 0; i < count; i++) {
        const struct http2_stream *stream = http2_stream_find(http, ids[i]);
        if (http->side[SERVER].gap || http->lost[0] != '\0')
            tell_unresolved(http, stream, layer_offset(http->layer, SERVER));
        else
            judge_setting(http, stream);
    }
    budget_free(layer_budget(http->layer), ids);
}
