/*
 * A fuzz target (libFuzzer) for the layers of one flow: the input chooses how the flow begins,
 * then which side says how many bytes, what is lost, who ends. The events are checked for what the
 * writer relies on, and memory has to be given back. With FUZZ_CUT in the environment, where bytes
 * were not lost, the same conversation in small pieces has to tell the same events; that is
 * stricter than the contract where both sides of one switch speak at once.
 *
 * Input: byte 0 flags, byte 1 how the root begins, then steps: a byte (side, kind, what is
 * acknowledged), a length of two bytes (little-endian), the bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/stack_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SESSIONS_MAX = 4096, LAYERS_MAX = 4096, STEPS_MAX = 4096 };
enum { MIDSTREAM = 1, TIGHT = 2, SHALLOW = 4, NO_FRAMES = 8 };
enum { OPENED = 1, ANSWERED = 2, ENDED = 4, SWITCHED_TO = 8 };

static const struct {
    const char *table, *token;
} beginnings[] = {
    {NULL, NULL},
    {"http.upgrade", "websocket"},
    {"http.upgrade", "connect-udp"},
    {"http.upgrade", "connect-ip"},
    {"http.upgrade", "DERP"},
    {"http.upgrade", "SPDY/3.1"},
    {"http.upgrade", "tailscale-control-protocol"},
    {"http.upgrade", "h2c"},
    {"http.upgrade", "TLS/1.2"},
    {"http.docker", "application/vnd.docker.raw-stream"},
    {"http.docker", "application/vnd.docker.multiplexed-stream"},
    {"tls.alpn", "h2"},
    {"tls.alpn", "http/1.1"},
    {"tls.alpn", "postgresql"},
    {"tls.alpn", "xmpp-client"},
    {"websocket.message", "SPDY/3.1+portforward.k8s.io"},
    {"http.upgrade", "PTTH/1.0"},
};

enum { BEGINNINGS = sizeof beginnings / sizeof beginnings[0] };

struct watch {
    uint64_t hash; /* of what was told */
    uint8_t session[SESSIONS_MAX], layer[LAYERS_MAX];
};

static void fail(const char *what)
{
    fprintf(stderr, "invariant: %s\n", what);
    abort();
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
        fail("a text of nothing");
    hash_number(w, text.data != NULL ? text.len + 1 : 0);
    hash_bytes(w, text.data, text.len);
}

static uint8_t *session_of(struct watch *w, const struct event *e)
{
    if (e->session == 0)
        fail("an event of no session");
    return &w->session[e->session < SESSIONS_MAX ? e->session : 0];
}

static void check_session(struct watch *w, const struct event *e)
{
    uint8_t *s = session_of(w, e);
    int known = e->session < SESSIONS_MAX;
    if (known && e->kind == EVENT_SESSION_OPEN && *s != 0)
        fail("a session opens twice");
    if (known && e->kind != EVENT_SESSION_OPEN && (*s & OPENED) == 0)
        fail("a session that was not opened");
    if (known && e->kind == EVENT_SESSION_ANSWER && (*s & ANSWERED) != 0)
        fail("a session is answered twice");
    if (known && e->kind == EVENT_SESSION_END && (*s & ENDED) != 0)
        fail("a session ends twice");
    *s |= e->kind == EVENT_SESSION_OPEN     ? OPENED
          : e->kind == EVENT_SESSION_ANSWER ? ANSWERED
          : e->kind == EVENT_SESSION_END    ? ENDED
                                            : SWITCHED_TO;
}

static void check_layer(struct watch *w, const struct event *e)
{
    if (e->layer == 0)
        fail("a layer without a number");
    if (e->layer >= LAYERS_MAX)
        return;
    uint8_t *l = &w->layer[e->layer];
    if (e->kind == EVENT_LAYER_OPEN) {
        if (*l != 0)
            fail("a layer opens twice");
        if (e->u.layer_open.parent >= e->layer)
            fail("a layer has no parent before it");
        if (e->u.layer_open.protocol.len == 0)
            fail("a layer without a name");
        hash_text(w, e->u.layer_open.protocol);
        hash_text(w, e->u.layer_open.expected);
        hash_number(w, e->u.layer_open.offset[0]);
        hash_number(w, e->u.layer_open.offset[1]);
        *l = 1;
        return;
    }
    if (*l != 1)
        fail("a layer closes that is not open");
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

static void emit(void *flow, struct event *e)
{
    struct watch *w = flow;
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

struct play {
    struct stack *stack;
    const uint8_t *data; /* the steps */
    size_t size, cut;    /* cut: bytes of a piece, 0: whole */
    uint64_t sent[2], packet;
    int ended[2];
    int gaps; /* bytes were lost */
};

static void play_bytes(struct play *p, enum side side, const uint8_t *data, size_t len,
                       struct mark mark)
{
    for (size_t from = 0; from < len;) {
        size_t piece = p->cut > 0 && p->cut < len - from ? p->cut : len - from;
        uint8_t *copy = malloc(piece); /* so that a read past its end is seen */
        if (copy == NULL)
            abort();
        memcpy(copy, data + from, piece);
        stack_data(p->stack, side, copy, piece, &mark);
        free(copy);
        mark.root_offset += piece;
        from += piece;
    }
}

/* One step at `at`; returns where the next one begins. */
static size_t play_step(struct play *p, size_t at)
{
    uint8_t step = p->data[at];
    size_t len = p->data[at + 1] | (size_t)p->data[at + 2] << 8;
    enum side side = (step & 1) != 0 ? SERVER : CLIENT;
    struct mark mark = {.packet = ++p->packet, .time_ns = (int64_t)p->packet * 1000000,
                        .acked = (step & 16) != 0 ? 0 : p->sent[side_peer(side)],
                        .acked_valid = (step & 32) == 0, .root_offset = p->sent[side]};
    int kind = step & 6;
    at += 3;
    if (kind < 4 && len > p->size - at)
        len = p->size - at;
    if (p->ended[side])
        return kind < 4 ? at + len : at;
    if (kind == 6) {
        stack_eof(p->stack, side, &mark);
        p->ended[side] = 1;
        return at;
    }
    p->sent[side] += len;
    if (kind == 4 && len > 0) {
        stack_gap(p->stack, side, len, &mark);
        p->gaps = 1;
    }
    if (kind == 4)
        return at;
    play_bytes(p, side, p->data + at, len, mark);
    return at + len;
}

static void begin(struct stack *stack, size_t number)
{
    if (beginnings[number].table == NULL)
        return;
    struct handover handover = {
        .table = beginnings[number].table,
        .token = {beginnings[number].token, strlen(beginnings[number].token)}};
    stack->root->in[CLIENT].any = stack->root->in[SERVER].any = 1;
    layer_begin(stack->root, &handover);
}

/* Returns 1 where nothing was lost, so that cutting must not matter. */
static int play(struct watch *w, const uint8_t *data, size_t size, size_t cut)
{
    uint8_t flags = data[0];
    int tight = (flags & TIGHT) != 0;
    struct dissect_options options = {
        .payload = 65536,
        .frames = (flags & NO_FRAMES) == 0,
        .message_limit = 1u << 20,
        .frame_limit = 1u << 20,
        .ratio_limit = 100,
        .ping_timeout_ns = INT64_C(30000000000),
        .hold_limit = tight ? 4096 : 1u << 20,
        .depth_limit = (flags & SHALLOW) != 0 ? 3 : 16,
    };
    struct budget budget;
    budget_init(&budget, tight ? 32768 : 16u << 20, NULL);
    struct stack_host host = {.emit = emit};
    struct play p = {.data = data, .size = size, .cut = cut};
    p.stack = stack_new(&host, w, &options, &budget, (flags & MIDSTREAM) == 0);
    if (p.stack == NULL)
        return 0;
    begin(p.stack, data[1] % BEGINNINGS);
    for (size_t at = 2; at + 3 <= size && p.packet < STEPS_MAX;)
        at = play_step(&p, at);
    struct mark mark = {.packet = p.packet + 1, .time_ns = (int64_t)p.packet * 1000000};
    stack_close(p.stack, SESSION_END_CAPTURE, NEITHER, 0, &mark);
    stack_free(p.stack);
    if (budget.used != 0)
        fail("memory was not given back");
    for (size_t i = 1; i < LAYERS_MAX; i++)
        if (w->layer[i] == 1)
            fail("a layer was not closed");
    return !p.gaps && (flags & MIDSTREAM) == 0 && !tight;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct watch w;
    static const struct watch fresh = {.hash = UINT64_C(14695981039346656037)};
    if (size < 2)
        return 0;
    w = fresh;
    int pure = play(&w, data, size, 0);
    if (!pure || getenv("FUZZ_CUT") == NULL)
        return 0;
    uint64_t hash = w.hash;
    w = fresh;
    (void)play(&w, data, size, (data[0] & 64) != 0 ? 3 : 1);
    if (hash != w.hash)
        fail("cutting makes a difference");
    return 0;
}
