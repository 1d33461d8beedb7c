/*
 * Data frames become messages (RFC 6455 sections 5.4 to 5.6): unmasked, joined, inflated (RFC
 * 7692), looked through for what must not be in them, kept up to the limit, and carried further
 * where they are a tunnel. Nothing waits for a whole frame; only what is kept is copied.
 */
#include <string.h>

#include "websocket_private.h"

enum {
    MANY_FRAGMENTS = 128, /* more than these, and small ones, are excessive */
    SMALL_FRAGMENT = 64,  /* bytes on average */
    KEPT_BUFFER = 4096,   /* a buffer up to this size is kept for the next message */
};

int ws_buffer_add(struct websocket *ws, struct ws_buffer *buffer, const uint8_t *data, size_t len,
                  size_t limit)
{
    size_t room = limit > buffer->len ? limit - buffer->len : 0;
    size_t take = len < room ? len : room;
    if (buffer->len + take > buffer->cap) {
        size_t cap = buffer->cap > 0 ? buffer->cap : 128;
        while (cap < buffer->len + take)
            cap *= 2;
        if (cap > limit)
            cap = limit;
        uint8_t *grown = budget_realloc(layer_budget(ws->layer), buffer->data, cap);
        if (grown == NULL) {
            layer_limit(ws->layer, "flow-memory", layer_budget(ws->layer)->limit);
            return -1;
        }
        buffer->data = grown;
        buffer->cap = cap;
    }
    if (take > 0)
        memcpy(buffer->data + buffer->len, data, take);
    buffer->len += take;
    return take == len ? 0 : -1;
}

void ws_buffer_clear(struct websocket *ws, struct ws_buffer *buffer)
{
    buffer->len = 0;
    if (buffer->cap <= KEPT_BUFFER)
        return;
    budget_free(layer_budget(ws->layer), buffer->data);
    *buffer = (struct ws_buffer){0};
}

void ws_message_clear(struct websocket *ws, enum side side)
{
    struct ws_message *m = &ws->side[side].message;
    struct ws_buffer kept = m->kept;
    ws_buffer_clear(ws, &kept);
    *m = (struct ws_message){.kept = kept};
}

/* --- carrying what is inside --- */

/* "v4.channel.k8s.io", "channel.k8s.io" */
static uint8_t has_channels(struct text subprotocol)
{
    static const char name[] = "channel.k8s.io";
    size_t len = sizeof name - 1;
    int versioned = subprotocol.len == len + 3 && subprotocol.data[0] == 'v' &&
                    subprotocol.data[2] == '.';
    return (versioned || subprotocol.len == len) &&
           memcmp(subprotocol.data + subprotocol.len - len, name, len) == 0;
}

static void carry_open(struct websocket *ws)
{
    ws->carry = WS_CARRY_OFF;
    if (ws->assumed || ws->other_extensions)
        return;
    struct handover inside = {.table = "websocket.message", .recognised_only = 1};
    if (ws->subprotocol != NULL)
        inside.token = (struct text){ws->subprotocol, ws->subprotocol_len};
    if (layer_carry_open(ws->layer, 0, &inside) == 0)
        ws->carry = WS_CARRY_ON;
    ws->channels = has_channels(inside.token);
    ws->port_left = 2;
}

static void carry_close(struct websocket *ws)
{
    if (ws->carry == WS_CARRY_ON)
        layer_carry_close(ws->layer, 0);
    ws->carry = WS_CARRY_OFF;
}

static void carry_bytes(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
                        int one_to_one)
{
    const struct ws_side *s = &ws->side[side];
    struct slice slice = {.data = data, .len = len};
    uint64_t from_len = one_to_one ? len : s->feed_len;
    if (!layer_carry(ws->layer, 0, side, &slice, s->feed_from, from_len))
        ws->carry = WS_CARRY_OFF;
}

/* Kubernetes: the first byte of a message is its channel. Standard input and output make the
 * tunnel; where a port is forwarded both ways are channel 0, and the server begins with the port's
 * number. */
static void carry_channel(struct websocket *ws, enum side side, const uint8_t *data, size_t len)
{
    struct ws_side *s = &ws->side[side];
    struct ws_message *m = &s->message;
    uint64_t before = m->length - len; /* of this message */
    if (before == 0) {
        m->channel = data[0];
        data++;
        len--;
        s->feed_from += !m->compressed;
    }
    if (side == SERVER && m->channel == 0) {
        size_t port = len < ws->port_left ? len : ws->port_left;
        ws->forwards = 1;
        ws->port_left -= (uint8_t)port;
        data += port;
        len -= port;
        s->feed_from += m->compressed ? 0 : port;
    }
    if (len == 0)
        return;
    if (m->channel == 0 || (m->channel == 1 && side == SERVER && !ws->forwards))
        carry_bytes(ws, side, data, len, !m->compressed);
}

/* --- beginnings --- */

static void begin_deflate(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    struct ws_message *m = &s->message;
    if (s->deflate == NULL) {
        struct deflate_options options = {
            .window_bits = ws->window_bits[side],
            .takeover = ws->takeover[side],
            .size_limit = ws->options->message_limit,
            .ratio_limit = ws->options->ratio_limit,
        };
        s->deflate = deflate_new(layer_budget(ws->layer), &options);
        if (s->deflate != NULL && s->hidden)
            deflate_lose(s->deflate); /* what was lost may have been compressed */
    }
    m->status = s->deflate != NULL ? deflate_begin(s->deflate) : DEFLATE_NO_MEMORY;
    if (m->status == DEFLATE_NO_MEMORY)
        layer_limit(ws->layer, "flow-memory", layer_budget(ws->layer)->limit);
}

static void begin_message(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    const struct ws_header *h = &s->frame.header;
    struct ws_message *m = &s->message;
    ws_message_clear(ws, side);
    m->open = 1;
    m->opcode = h->opcode;
    m->unjudged = s->frame.after_close;
    m->compressed = (h->rsv & 4) != 0 && ws->pmd != WS_PMD_NONE;
    m->opaque = (h->rsv & 3) != 0 || ((h->rsv & 4) != 0 && !m->compressed) ||
                (m->compressed && ws->other_extensions);
    s->mid_message = 0;
    s->swallow = 0;
    if (m->compressed)
        begin_deflate(ws, side);
    if (m->opcode == WS_TEXT && ws->carry == WS_CARRY_UNDECIDED)
        ws->carry = WS_CARRY_OFF;
    else if (m->opcode == WS_BINARY && ws->carry == WS_CARRY_UNDECIDED)
        carry_open(ws);
}

/* A continuation with no message open: of a message that was lost, of a fragmented control frame,
 * which was reported as that, or of nothing. */
static void orphan(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    const struct ws_frame *f = &s->frame;
    int excused = s->mid_message || s->swallow || f->after_close;
    if (f->header.fin)
        s->mid_message = s->swallow = 0;
    if (!excused)
        ws_find(ws, side, RULE_WS_CONTINUATION_WITHOUT_START, f->offset, &f->start,
                "length %llu, %s", (unsigned long long)f->header.length,
                f->header.fin ? "FIN" : "no FIN");
}

static void count_fragment(struct websocket *ws, enum side side)
{
    const struct ws_frame *f = &ws->side[side].frame;
    struct ws_message *m = &ws->side[side].message;
    m->fragments++;
    m->empty += f->header.length == 0;
    m->wire += f->header.length;
    if (m->too_many || m->unjudged || m->fragments <= MANY_FRAGMENTS)
        return;
    if (m->empty < m->fragments / 4 && m->wire / m->fragments >= SMALL_FRAGMENT)
        return;
    m->too_many = 1;
    ws_find(ws, side, RULE_WS_EXCESSIVE_FRAGMENTATION, f->offset, &f->start,
            "%u fragments so far, %u of them empty, %llu bytes", m->fragments, m->empty,
            (unsigned long long)m->wire);
}

void ws_message_frame(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    struct ws_frame *f = &s->frame;
    f->role = WS_ROLE_IGNORE;
    if (!ws_is_known(f->header.opcode))
        return;
    if (f->header.opcode != WS_CONTINUATION) {
        if (s->message.open && !f->after_close)
            ws_find(ws, side, RULE_WS_INTERLEAVED_MESSAGE, f->offset, &f->start,
                    "opcode %u after %u fragments of a message with opcode %u", f->header.opcode,
                    s->message.fragments, s->message.opcode);
        begin_message(ws, side); /* drops the open one */
    } else if (!s->message.open) {
        orphan(ws, side);
        return;
    }
    f->role = WS_ROLE_DATA;
    count_fragment(ws, side);
}

/* --- decoded bytes --- */

static void check_text(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
                       int last)
{
    struct ws_message *m = &ws->side[side].message;
    if (m->bad_text || m->opaque || m->damaged || m->unjudged ||
        (m->compressed && ws->pmd == WS_PMD_GUESSED))
        return;
    if ((last ? utf8_finish(&m->utf8) : utf8_feed(&m->utf8, data, len)) == 0)
        return;
    m->bad_text = 1;
    ws_find(ws, side, RULE_WS_BAD_UTF8, ws->side[side].frame.offset, NULL,
            "%s at byte %llu of the message", utf8_error_name(m->utf8.error),
            (unsigned long long)m->utf8.error_offset);
}

static void check_size(struct websocket *ws, enum side side)
{
    struct ws_message *m = &ws->side[side].message;
    const struct ws_frame *f = &ws->side[side].frame;
    if (m->too_long || m->length <= ws->options->message_limit || ws->options->message_limit == 0)
        return;
    m->too_long = 1;
    if (m->compressed || m->unjudged || (f->oversize && m->fragments == 1))
        return; /* reported as what it is there */
    ws_find(ws, side, RULE_WS_MESSAGE_OVERSIZE, f->offset, NULL,
            "over %llu bytes in %u fragments", (unsigned long long)ws->options->message_limit,
            m->fragments);
}

static void plain(struct websocket *ws, enum side side, const uint8_t *data, size_t len)
{
    struct ws_message *m = &ws->side[side].message;
    m->length += len;
    if (m->borrowed == NULL && m->kept.len < ws->options->payload && !m->short_of_memory) {
        size_t room = ws->options->payload - m->kept.len;
        if (ws_buffer_add(ws, &m->kept, data, len, ws->options->payload) != 0 && len <= room)
            m->short_of_memory = 1;
    }
    if (m->opcode == WS_TEXT) {
        check_text(ws, side, data, len, 0);
        if (!m->unjudged && !m->opaque)
            ws_words_feed(ws, side, data, len);
    } else if (ws->carry == WS_CARRY_ON && !m->opaque) {
        if (ws->channels)
            carry_channel(ws, side, data, len);
        else
            carry_bytes(ws, side, data, len, !m->compressed);
    }
    check_size(ws, side);
}

struct sink_arg {
    struct websocket *ws;
    enum side side;
};

static void take_inflated(void *arg, const uint8_t *data, size_t len)
{
    const struct sink_arg *to = arg;
    plain(to->ws, to->side, data, len);
}

static void inflate_bytes(struct websocket *ws, enum side side, const uint8_t *data, size_t len)
{
    struct ws_side *s = &ws->side[side];
    struct sink_arg arg = {ws, side};
    struct deflate_sink sink = {take_inflated, &arg};
    if (s->message.status == DEFLATE_FINE)
        s->message.status = deflate_feed(s->deflate, data, len, &sink);
}

/* Does anybody want to see the bytes of this message? */
static int needs_bytes(const struct websocket *ws, const struct ws_message *m)
{
    if (m->compressed)
        return m->status == DEFLATE_FINE;
    if (m->opcode == WS_TEXT)
        return !m->opaque || m->kept.len < ws->options->payload;
    return ws->carry == WS_CARRY_ON ||
           (ws->options->frames && m->kept.len < ws->options->payload && !m->short_of_memory);
}

void ws_message_payload(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
                        uint64_t offset)
{
    struct ws_side *s = &ws->side[side];
    struct ws_message *m = &s->message;
    const struct ws_header *h = &s->frame.header;
    uint8_t scratch[WS_SCRATCH];
    uint64_t phase = h->length - s->frame.left;
    if (!h->masked && !m->compressed && h->fin && m->fragments == 1 && len == h->length)
        m->borrowed = data;
    while (len > 0) {
        if (!needs_bytes(ws, m)) {
            if (!m->compressed)
                m->length += len;
            check_size(ws, side);
            return;
        }
        size_t step = h->masked && len > sizeof scratch ? sizeof scratch : len;
        const uint8_t *bytes = data;
        if (h->masked) {
            ws_unmask(scratch, data, step, h->key, phase);
            bytes = scratch;
        }
        s->feed_from = offset;
        s->feed_len = step;
        if (m->compressed)
            inflate_bytes(ws, side, bytes, step);
        else
            plain(ws, side, bytes, step);
        data += step;
        len -= step;
        offset += step;
        phase += step;
    }
}

void ws_message_lost(struct websocket *ws, enum side side, uint64_t len)
{
    struct ws_side *s = &ws->side[side];
    struct ws_message *m = &s->message;
    if (s->frame.role != WS_ROLE_DATA)
        return;
    m->damaged = 1;
    if (m->compressed) {
        if (s->deflate != NULL)
            deflate_lose(s->deflate);
        m->status = DEFLATE_NO_CONTEXT;
        if (m->opcode == WS_BINARY)
            carry_close(ws);
    } else if (m->opcode == WS_BINARY && ws->carry == WS_CARRY_ON) {
        layer_carry_gap(ws->layer, 0, side, len);
    }
}

/* --- ends --- */

static void end_deflate(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    struct ws_message *m = &s->message;
    struct sink_arg arg = {ws, side};
    struct deflate_sink sink = {take_inflated, &arg};
    struct deflate_report report = {0};
    const struct ws_frame *f = &s->frame;
    s->feed_from = f->offset;
    s->feed_len = f->header.size + f->header.length;
    if (s->deflate == NULL)
        return;
    m->status = deflate_end(s->deflate, &sink, &report);
    if (m->status == DEFLATE_FINE) {
        s->deflate_in += m->wire;
        s->deflate_out += m->length;
        s->useless_offset = f->offset;
    }
    if (m->unjudged || m->opaque || ws->pmd != WS_PMD_AGREED)
        return;
    unsigned long long number = (unsigned long long)s->count.messages + 1;
    const char *who = side == CLIENT ? "client" : "server";
    if (m->status == DEFLATE_BAD)
        ws_find(ws, side, RULE_PMD_INFLATE_ERROR, f->offset, NULL,
                "%s message %llu: %s after %llu bytes", who, number, deflate_error(s->deflate),
                (unsigned long long)m->length);
    if (report.tail_kept)
        ws_find(ws, side, RULE_PMD_TAIL_NOT_REMOVED, f->offset, NULL, "%s message %llu", who,
                number);
    if (report.over_context != 0)
        ws_find(ws, side, RULE_PMD_CONTEXT_VIOLATED, f->offset, NULL,
                "%s message %llu: a distance of %u reaches into a message before", who, number,
                report.over_context);
    if (report.over_window != 0)
        ws_find(ws, side, RULE_PMD_WINDOW_VIOLATED, f->offset, NULL,
                "%s message %llu: a distance of %u, the agreed window is %u", who, number,
                report.over_window, 1u << ws->window_bits[side]);
}

/* At the end of the frame that passed the limit, so that the evidence does not depend on cuts. */
static void report_bomb(struct websocket *ws, enum side side)
{
    struct ws_message *m = &ws->side[side].message;
    if (m->status != DEFLATE_BOMB || m->too_long == 2 || m->unjudged)
        return;
    m->too_long = 2;
    ws_find(ws, side, RULE_PMD_RATIO_BOMB, ws->side[side].frame.offset, NULL,
            "%llu bytes on the wire, inflating stopped at %llu", (unsigned long long)m->wire,
            (unsigned long long)m->length);
}

/* Complete and readable as far as it is told. */
static int is_decoded(const struct websocket *ws, const struct ws_message *m)
{
    if (m->damaged)
        return 0;
    if (!m->compressed || m->status == DEFLATE_FINE || m->status == DEFLATE_BOMB)
        return 1;
    return m->status == DEFLATE_BAD && ws->pmd == WS_PMD_AGREED && !ws->other_extensions;
}

static void describe(const struct websocket *ws, const struct ws_message *m,
                     struct event_frame *event)
{
    size_t limit = ws->options->payload;
    event->message_opcode = m->opcode;
    event->message_length = m->length;
    event->fragments = m->fragments;
    const uint8_t *data = m->borrowed != NULL ? m->borrowed : m->kept.data;
    size_t len = m->borrowed != NULL ? (size_t)m->length : m->kept.len;
    if (len > limit)
        len = limit;
    event->cut = len < m->length ||
                 (m->compressed && m->status != DEFLATE_FINE);
    if (event->cut && m->opcode == WS_TEXT && len > 0)
        len = utf8_cut(data, len);
    if (limit > 0)
        event->payload = (struct text){len > 0 ? (const char *)data : "", len};
}

void ws_message_frame_end(struct websocket *ws, enum side side, struct event_frame *event)
{
    struct ws_side *s = &ws->side[side];
    struct ws_message *m = &s->message;
    if (s->frame.role != WS_ROLE_DATA)
        return;
    event->compressed = m->compressed;
    if (s->frame.header.fin && m->compressed)
        end_deflate(ws, side);
    report_bomb(ws, side);
    if (!s->frame.header.fin)
        return;
    int whole = !m->compressed || m->status == DEFLATE_FINE;
    if (m->opcode == WS_TEXT && whole)
        check_text(ws, side, NULL, 0, 1);
    if (m->opcode == WS_TEXT)
        ws_words_end(ws, side);
    m->open = 0;
    if (m->damaged)
        return;
    s->count.messages++;
    if (!is_decoded(ws, m))
        return;
    s->count.message_bytes += m->length;
    describe(ws, m, event);
}

void ws_message_close(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    enum { WORTH_IT = 128 }; /* less text than this says nothing about compression */
    if (ws->pmd == WS_PMD_AGREED && s->deflate_out >= WORTH_IT &&
        s->deflate_in >= s->deflate_out)
        ws_tell(ws, side, RULE_PMD_USELESS, s->useless_offset, 0, 0, 0,
                "%llu compressed bytes for %llu", (unsigned long long)s->deflate_in,
                (unsigned long long)s->deflate_out);
    deflate_free(s->deflate);
    s->deflate = NULL;
    budget_free(layer_budget(ws->layer), s->message.kept.data);
    budget_free(layer_budget(ws->layer), s->control.data);
    s->message.kept = s->control = (struct ws_buffer){0};
}
