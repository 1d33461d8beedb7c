/*
 * HTTP/1.x (RFC 9112): walks through the messages of both sides, matches answers with requests and
 * asks for a switch where an answer grants one (RFC 9110 7.8, 9.3.6). Bodies are passed over, never
 * kept. A client's bytes behind an attempt to switch wait for the answer, which decides whose they
 * are. One function per state of a side; http1_exchange.c has what a complete head means.
 */
#include <string.h>

#include "http1_private.h"

enum { RESYNC_MAX = 1 << 20, RESYNC_WINDOW = 8192 };

static struct result ok(size_t consumed)
{
    return (struct result){.verdict = V_OK, .consumed = consumed};
}

/* One byte more than there is. */
static struct result more(size_t consumed, size_t len)
{
    return (struct result){.verdict = V_NEED, .consumed = consumed, .need = len - consumed + 1};
}

static struct result verdict(enum verdict verdict)
{
    return (struct result){.verdict = verdict};
}

/* --- probing --- */

/* Empty lines in front of a message (RFC 9112 2.2). */
static size_t empty_lines(const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && (data[at] == '\n' || (data[at] == '\r' && at + 1 < len &&
                                             data[at + 1] == '\n')))
        at++;
    return at;
}

static int http1_probe(enum side side, const uint8_t *data, size_t len)
{
    size_t at = empty_lines(data, len);
    if (at > 4)
        return -1;
    if (at < len && data[at] == '\r' && at + 1 == len)
        return 0;
    return side == CLIENT ? http1_request_probe(data + at, len - at)
                          : http1_status_probe(data + at, len - at);
}

/* --- bodies --- */

/* The request that was granted already is complete now. */
static struct result switch_late(struct http1 *http, size_t consumed)
{
    struct http1_attempt *attempt = http->attempt;
    http1_attempt_switch(http, attempt, &attempt->answer, NULL);
    http->attempt = NULL;
    http1_attempt_free(http, attempt);
    return (struct result){.verdict = V_SWITCHED, .consumed = consumed};
}

static struct result body(struct http1 *http, enum side side, const struct slice *slice)
{
    struct http1_side *s = &http->side[side];
    size_t len = slice->len < s->left ? slice->len : (size_t)s->left;
    s->left -= len;
    if (s->left > 0)
        return ok(len);
    s->state = HTTP1_START;
    if (side == CLIENT && http->attempt != NULL && http->attempt->granted)
        return switch_late(http, len);
    return ok(len);
}

/* A body that may not be there: its request may have been HEAD, or expected a 100 that never
 * came. A new message here says so. */
static struct result body_doubt(struct http1 *http, enum side side, const struct slice *slice)
{
    int sure = http1_probe(side, slice->data, slice->len);
    if (sure == 0 && slice->len < HTTP1_LINE_MAX)
        return more(0, slice->len);
    http->side[side].state = sure > 0 ? HTTP1_START : HTTP1_BODY;
    return sure > 0 ? http1_step(http, side, slice) : body(http, side, slice);
}

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* The digits of a chunk's size; whatever follows them on the line is passed over. */
static struct result chunk_size(struct http1 *http, enum side side, const struct slice *slice)
{
    struct http1_side *s = &http->side[side];
    uint64_t size = 0;
    size_t at = 0;
    while (at < slice->len && at < 16 && hex_value(slice->data[at]) >= 0)
        size = size << 4 | (uint64_t)hex_value(slice->data[at++]);
    if (at == slice->len && at < 16)
        return more(0, slice->len);
    if (at == 0 || at == 16)
        return http1_lose_place(http, side);
    s->left = size;
    s->state = HTTP1_CHUNK_REST;
    return ok(at);
}

static struct result chunk_rest(struct http1 *http, enum side side, const struct slice *slice)
{
    struct http1_side *s = &http->side[side];
    const uint8_t *lf = memchr(slice->data, '\n', slice->len);
    if (lf == NULL)
        return ok(slice->len);
    s->state = s->left > 0 ? HTTP1_CHUNK_DATA : HTTP1_TRAILER;
    return ok((size_t)(lf - slice->data) + 1);
}

static struct result chunk_data(struct http1 *http, enum side side, const struct slice *slice)
{
    struct http1_side *s = &http->side[side];
    size_t len = slice->len < s->left ? slice->len : (size_t)s->left;
    s->left -= len;
    if (s->left == 0)
        s->state = HTTP1_CHUNK_END;
    return ok(len);
}

static struct result chunk_end(struct http1 *http, enum side side, const struct slice *slice)
{
    size_t end = empty_lines(slice->data, slice->len < 2 ? slice->len : 2);
    if (end == 0)
        return slice->data[0] == '\r' && slice->len == 1 ? more(0, 1)
                                                         : http1_lose_place(http, side);
    http->side[side].state = HTTP1_CHUNK_SIZE;
    return ok(slice->data[0] == '\n' ? 1 : 2);
}

static struct result trailer(struct http1 *http, enum side side, const struct slice *slice)
{
    struct http1_side *s = &http->side[side];
    if (s->state == HTTP1_TRAILER) {
        uint8_t first = slice->data[0];
        if (first == '\r' && slice->len == 1)
            return more(0, 1);
        int end = first == '\n' ? 1 : first == '\r' && slice->data[1] == '\n' ? 2 : 0;
        if (end > 0) {
            s->left = (uint64_t)end; /* the end of the message is the end of a body */
            return body(http, side, slice);
        }
        s->state = HTTP1_TRAILER_LINE;
    }
    const uint8_t *lf = memchr(slice->data, '\n', slice->len);
    if (lf == NULL)
        return ok(slice->len);
    s->state = HTTP1_TRAILER;
    return ok((size_t)(lf - slice->data) + 1);
}

/* --- finding the next message --- */

static struct result resync(struct http1 *http, enum side side, const struct slice *slice)
{
    struct http1_side *s = &http->side[side];
    size_t at = 0, from = s->scanned < slice->len ? s->scanned : slice->len;
    for (;;) {
        const uint8_t *lf = memchr(slice->data + from, '\n', slice->len - from);
        if (lf == NULL)
            break;
        size_t len = (size_t)(lf - slice->data) + 1 - at;
        size_t found = side == CLIENT ? http1_find_request(slice->data + at, len)
                                      : http1_find_status(slice->data + at, len);
        if (found < len) {
            s->state = HTTP1_START;
            s->scanned = 0;
            if (at + found > 0)
                return ok(at + found);
            return http1_step(http, side, slice);
        }
        at += len;
        from = at;
    }
    if (slice->len - at > RESYNC_WINDOW) /* only the end of a long line can matter */
        at = slice->len - RESYNC_WINDOW;
    s->scanned = slice->len - at;
    s->passed += at;
    if (s->passed > RESYNC_MAX)
        return verdict(V_LOST);
    return more(at, slice->len);
}

struct result http1_lose_place(struct http1 *http, enum side side)
{
    struct http1_side *s = &http->side[side];
    s->scanned = 0;
    s->passed = 0;
    s->left = 0;
    s->state = HTTP1_RESYNC;
    if (side == CLIENT) {
        if (http->unsolicited != NULL) /* the 101 may have been asked for in the gap */
            http->unsolicited->lost = 1;
        if (http->attempt != NULL || http->unsolicited != NULL)
            s->state = HTTP1_START; /* what follows waits for what was or will be answered */
        else
            http1_queue_unknown(http);
    } else {
        http->server_lost = 1;
        if (http->attempt != NULL && !http->attempt->granted) {
            http->attempt->lost = 1;
            s->state = HTTP1_START;
        }
    }
    return ok(0);
}

/* --- heads --- */

static struct result head(struct http1 *http, enum side side, const struct slice *slice)
{
    struct http1_head *h = &http->side[side].head;
    int done;
    const char *base;
    size_t consumed = http1_head_feed(h, http->layer, slice, &done, &base);
    if (!done)
        return more(consumed, slice->len);
    enum verdict next = side == CLIENT ? http1_request_done(http, base)
                                       : http1_response_done(http, base, slice, consumed);
    return (struct result){.verdict = next, .consumed = consumed};
}

static struct result begin_head(struct http1 *http, enum side side, const struct slice *slice)
{
    struct http1_side *s = &http->side[side];
    http1_head_begin(&s->head, side == SERVER, slice->offset);
    s->head.ends_at_garbage = side == SERVER && http->attempt != NULL;
    s->state = HTTP1_HEAD;
    return head(http, side, slice);
}

/* Not a message where one should begin. */
static struct result client_garbage(struct http1 *http, const struct slice *slice)
{
    struct http1_attempt *past = http->past;
    if (!http->requests && http->queue_count == 0 && !http->responses)
        return verdict(V_LOST);
    if (past != NULL && !past->told) {
        past->told = 1;
        http1_attempt_finding(http, past, CLIENT, RULE_WS_SMUGGLING_NON101_THEN_TRAFFIC,
                              slice->offset, "bytes that are not HTTP after the refusal");
    }
    struct http1_side *s = &http->side[CLIENT];
    s->state = HTTP1_RESYNC;
    s->scanned = 0;
    s->passed = 0;
    return resync(http, CLIENT, slice);
}

static struct result client_start(struct http1 *http, const struct slice *slice)
{
    http->client_waiting = 0;
    struct result result;
    if (http->attempt != NULL && http->attempt->granted)
        return switch_late(http, 0);
    if (http->unsolicited != NULL && http1_decide_unsolicited(http, CLIENT, slice, &result))
        return result;
    if (http->attempt != NULL && http->attempt->lost &&
        http1_resolve(http, CLIENT, slice, &result))
        return result;
    size_t empty = empty_lines(slice->data, slice->len);
    int connect = http->attempt != NULL &&
                  http->attempt->upgrade.mechanism == MECHANISM_CONNECT;
    if (http->attempt != NULL || http->queue_count == HTTP1_QUEUE) {
        http->client_waiting = 1;
        /* A stray line end behind the head of a CONNECT is no byte of the tunnel. */
        if (connect && slice->len == 1 && slice->data[0] == '\r')
            return more(0, 1);
        return (struct result){.verdict = V_WAIT_PEER, .consumed = connect ? empty : 0};
    }
    if (http->side[SERVER].state == HTTP1_BODY_CLOSE) /* no answer can come any more */
        return verdict(V_DONE);
    if (empty > 0)
        return ok(empty);
    int sure = http1_request_probe(slice->data, slice->len);
    if (slice->data[0] == '\r' && slice->len == 1)
        sure = 0;
    if (sure > 0)
        return begin_head(http, CLIENT, slice);
    return sure == 0 && slice->len < HTTP1_LINE_MAX ? more(0, slice->len)
                                                    : client_garbage(http, slice);
}

/* A proxy that opens the tunnel and never says so: 1, and *result is what the bytes say. */
static int silent_tunnel(struct http1 *http, const struct slice *slice, struct result *result)
{
    struct http1_attempt *attempt = http->attempt;
    if (attempt->upgrade.mechanism != MECHANISM_CONNECT)
        return 0;
    enum http1_proof proof = http1_prove(http, attempt, SERVER, slice->data, slice->len);
    *result = more(0, slice->len);
    if (proof != HTTP1_PROOF_SWITCH)
        return proof == HTTP1_PROOF_MORE;
    http1_attempt_finding(http, attempt, SERVER, RULE_SERVER_DATA_BEFORE_101, slice->offset,
                          "the tunnel begins without an answer");
    return http1_resolve(http, SERVER, slice, result);
}

static struct result server_garbage(struct http1 *http, const struct slice *slice)
{
    struct http1_attempt *attempt = http->attempt;
    int front = http1_queue_front(http);
    int first = attempt != NULL && front >= 0 && (front & HTTP1_REQUEST_ATTEMPT) != 0;
    struct result result;
    if (first && attempt->fast_start)
        return http1_fast_start(http, slice);
    if (first && silent_tunnel(http, slice, &result))
        return result;
    if (!http->responses && !first && http->side[SERVER].passed == 0)
        return verdict(V_LOST);
    if (first && !http->early_told) {
        http->early_told = 1;
        http1_attempt_finding(http, attempt, SERVER, RULE_SERVER_DATA_BEFORE_101, slice->offset,
                              "bytes that are not HTTP in front of the answer");
    }
    struct http1_side *s = &http->side[SERVER];
    s->state = HTTP1_RESYNC;
    s->scanned = 0;
    s->passed = 1;
    return resync(http, SERVER, slice);
}

static struct result server_start(struct http1 *http, const struct slice *slice)
{
    struct result result;
    if (http->attempt != NULL && http->attempt->granted)
        return verdict(V_WAIT_PEER);
    if (http->unsolicited != NULL && http1_decide_unsolicited(http, SERVER, slice, &result))
        return result;
    if (http->attempt != NULL && http->attempt->lost &&
        http1_resolve(http, SERVER, slice, &result))
        return result;
    /* The request that this answers may still be waiting behind the one before. */
    if (http->queue_count == 0 && http->client_waiting && layer_held(http->layer, CLIENT) > 0)
        return verdict(V_WAIT_PEER);
    size_t empty = empty_lines(slice->data, slice->len);
    if (empty > 0)
        return ok(empty);
    int sure = http1_status_probe(slice->data, slice->len);
    if (slice->data[0] == '\r' && slice->len == 1)
        sure = 0;
    if (sure > 0)
        return begin_head(http, SERVER, slice);
    return sure == 0 ? more(0, slice->len) : server_garbage(http, slice);
}

/* --- the contract --- */

struct result http1_step(struct http1 *http, enum side side, const struct slice *slice)
{
    switch (http->side[side].state) {
    case HTTP1_START:
        return side == CLIENT ? client_start(http, slice) : server_start(http, slice);
    case HTTP1_HEAD:
        return head(http, side, slice);
    case HTTP1_BODY:
        return body(http, side, slice);
    case HTTP1_BODY_DOUBT:
        return body_doubt(http, side, slice);
    case HTTP1_BODY_CLOSE:
        return verdict(V_DONE);
    case HTTP1_CHUNK_SIZE:
        return chunk_size(http, side, slice);
    case HTTP1_CHUNK_REST:
        return chunk_rest(http, side, slice);
    case HTTP1_CHUNK_DATA:
        return chunk_data(http, side, slice);
    case HTTP1_CHUNK_END:
        return chunk_end(http, side, slice);
    case HTTP1_TRAILER:
    case HTTP1_TRAILER_LINE:
        return trailer(http, side, slice);
    case HTTP1_RESYNC:
        return resync(http, side, slice);
    }
    return verdict(V_LOST);
}

static int http1_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct http1 *http = state;
    http->layer = layer;
    if (layer_is_root(layer)) { /* what was passed over before a probe knew the rest */
        http->server_lost = layer_offset(layer, SERVER) > 0;
        if (layer_offset(layer, CLIENT) > 0)
            http1_queue_unknown(http);
    }
    if (handover == NULL)
        return 0;
    http->secure = layer_inside(layer, "tls");
    for (size_t i = 0; i < handover->hint_count; i++)
        http->secure |= strcmp(handover->hints[i].name, "tls") == 0;
    return 0;
}

static struct result http1_data(struct layer *layer, void *state, enum side side,
                                const struct slice *slice)
{
    (void)layer;
    return http1_step(state, side, slice);
}

/* Bodies of known length survive a gap, and so does what ends with the stream. */
static struct result http1_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                               uint64_t len)
{
    struct http1 *http = state;
    struct http1_side *s = &http->side[side];
    (void)layer;
    (void)offset;
    if (s->state == HTTP1_BODY_CLOSE)
        return ok(0);
    if (s->state == HTTP1_RESYNC) {
        s->scanned = 0;
        return ok(0);
    }
    if (s->state == HTTP1_BODY || s->state == HTTP1_BODY_DOUBT ||
        s->state == HTTP1_CHUNK_DATA) {
        if (len < s->left) {
            s->left -= len;
            if (s->state == HTTP1_BODY_DOUBT)
                s->state = HTTP1_BODY;
            return ok(0);
        }
        if (len == s->left) {
            s->left = 0;
            s->state = s->state == HTTP1_CHUNK_DATA ? HTTP1_CHUNK_END : HTTP1_START;
            return ok(0);
        }
    }
    return http1_lose_place(http, side);
}

static void http1_eof(struct layer *layer, void *state, enum side side)
{
    struct http1 *http = state;
    (void)layer;
    if (side == SERVER)
        http1_answers_end(http);
}

static void http1_close(struct layer *layer, void *state)
{
    struct http1 *http = state;
    http1_answers_end(http);
    http1_attempt_free(http, http->attempt);
    http1_attempt_free(http, http->past);
    http1_attempt_free(http, http->unsolicited);
    for (int side = CLIENT; side <= SERVER; side++)
        http1_head_release(&http->side[side].head, layer_budget(layer));
}

const struct dissector http1_dissector = {
    .name = "http1",
    .state_size = sizeof(struct http1),
    .probe = http1_probe,
    .open = http1_open,
    .data = http1_data,
    .gap = http1_gap,
    .eof = http1_eof,
    .close = http1_close,
};
