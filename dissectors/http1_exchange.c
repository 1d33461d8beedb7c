/*
 * What complete heads mean: which request an answer belongs to, how the body is framed (RFC 9112
 * 6.3), what becomes of an attempt to switch, and what is said where the answer to one is missing.
 */
#include <string.h>

#include "http1_private.h"

/* --- outstanding requests --- */

int http1_queue_front(const struct http1 *http)
{
    return http->queue_count > 0 ? http->queue[http->queue_at] : -1;
}

static void queue_pop(struct http1 *http)
{
    http->queue_at = (http->queue_at + 1) % HTTP1_QUEUE;
    http->queue_count--;
}

static uint8_t *queue_back(struct http1 *http)
{
    return &http->queue[(http->queue_at + http->queue_count - 1) % HTTP1_QUEUE];
}

static void queue_push(struct http1 *http, unsigned flags)
{
    http->queue_count++;
    *queue_back(http) = (uint8_t)flags;
}

void http1_queue_unknown(struct http1 *http)
{
    if (http->queue_count == HTTP1_QUEUE ||
        (http->queue_count > 0 && (*queue_back(http) & HTTP1_REQUEST_UNKNOWN) != 0))
        *queue_back(http) = HTTP1_REQUEST_UNKNOWN;
    else
        queue_push(http, HTTP1_REQUEST_UNKNOWN);
    http->early_answer = 0;
}

/* Was the answer sent before its sender had all of the attempt's request? Provably. */
static int sent_without(const struct http1 *http, const struct http1_attempt *attempt)
{
    struct mark mark = layer_mark(http->layer, SERVER, http->side[SERVER].head.offset);
    return mark.acked_valid && mark.acked <= attempt->root_end;
}

/* A 101 answers the attempt where nobody can tell how many requests came before it. */
static int answers_attempt(const struct http1 *http)
{
    int unknown = http->server_lost;
    for (unsigned i = 0; i < http->queue_count; i++)
        unknown |= (http->queue[(http->queue_at + i) % HTTP1_QUEUE] & HTTP1_REQUEST_UNKNOWN) != 0;
    return unknown && http->attempt != NULL && http->side[SERVER].head.status == 101;
}

/* Which request is answered? Where bytes of one side are missing, the newest whose answer can be
 * on its way: few clients pipeline. Returns its flags, or -1. */
static int match(struct http1 *http)
{
    int skip = http->server_lost || answers_attempt(http);
    http->server_lost = 0;
    while (http->queue_count > 1) {
        int front = http1_queue_front(http);
        int unknown = (front & HTTP1_REQUEST_UNKNOWN) != 0;
        if (!skip && !unknown)
            break;
        if (!skip && http->attempt != NULL && sent_without(http, http->attempt))
            break;
        if ((front & HTTP1_REQUEST_ANSWERED) == 0 && http->attempt != NULL)
            http->attempt->upgrade.unsure = 1;
        queue_pop(http);
    }
    return http1_queue_front(http);
}

static void answered(struct http1 *http)
{
    if (http->queue_count == 0)
        return;
    if ((http->queue[http->queue_at] & HTTP1_REQUEST_UNKNOWN) != 0)
        http->queue[http->queue_at] |= HTTP1_REQUEST_ANSWERED;
    else
        queue_pop(http);
}

/* --- requests --- */

static struct text method_of(const struct http1_head *head, const char *base)
{
    return http1_head_text(head, base, 0, head->method_len);
}

static struct text target_of(const struct http1_head *head, const char *base)
{
    return http1_head_text(head, base, head->target_at, head->target_len);
}

static struct text host_of(const struct http1_head *head, const char *base)
{
    return http1_head_text(head, base, head->host_at, head->host_len);
}

static void remember(struct http1 *http, const struct http1_head *head, const char *base)
{
    struct text method = method_of(head, base), target = target_of(head, base);
    struct text host = host_of(head, base);
    http->memo_method = 0;
    if (method.len == 0 || target.len == 0 || method.len + target.len + host.len > HTTP1_MEMO)
        return;
    http->memo_method = (uint16_t)method.len;
    http->memo_target = (uint16_t)target.len;
    http->memo_host = (uint16_t)host.len;
    memcpy(http->memo, method.data, method.len);
    memcpy(http->memo + method.len, target.data, target.len);
    if (host.len > 0)
        memcpy(http->memo + method.len + target.len, host.data, host.len);
}

/* A container's attach and exec: the answer may be a raw stream behind a 200. */
static int may_be_docker(struct text method, struct text target)
{
    return http_text_equal(method, TEXT_LITERAL("POST")) &&
           ((http_text_contains(target, "/exec/") && http_text_contains(target, "/start")) ||
            http_text_contains(target, "/attach"));
}

static void frame_request(struct http1 *http, const struct http1_head *head, struct text method)
{
    struct http1_side *s = &http->side[CLIENT];
    s->state = HTTP1_START;
    if (text_is(method, "CONNECT"))
        return; /* what follows is the tunnel's (RFC 9110 9.3.6) */
    if ((head->seen & HTTP1_CHUNKED) != 0) {
        s->state = HTTP1_CHUNK_SIZE;
    } else if ((head->seen & HTTP1_TRANSFER) == 0 && head->content_length > 0) {
        s->left = head->content_length;
        s->state = HTTP1_BODY;
    } else if ((head->seen & (HTTP1_TRANSFER | HTTP1_HIXIE)) == HTTP1_HIXIE) {
        s->left = 8; /* draft-hixie-thewebsocketprotocol-76 */
        s->state = HTTP1_BODY_DOUBT;
    }
}

/* The default port may be there or not. */
static int same_authority(struct text a, struct text b)
{
    struct text hosts[2], ports[2];
    http_authority_split(a, &hosts[0], &ports[0]);
    http_authority_split(b, &hosts[1], &ports[1]);
    for (int i = 0; i < 2; i++)
        if (text_is(ports[i], "80") || text_is(ports[i], "443") || ports[i].data == NULL)
            ports[i] = TEXT_LITERAL("");
    return http_text_same(hosts[0], hosts[1]) && http_text_same(ports[0], ports[1]);
}

/* What follows a refusal on the same connection (catalogue: ws-smuggling-non101-then-traffic). */
static void watch(struct http1 *http, const struct http1_head *head, const char *base)
{
    struct http1_attempt *past = http->past;
    if (past == NULL || past->told || past->upgrade.mechanism == MECHANISM_CONNECT ||
        (head->flags & HTTP_INCOMPLETE) != 0 || (past->request.flags & HTTP_INCOMPLETE) != 0)
        return;
    struct text target = target_of(head, base), host = host_of(head, base);
    struct text before = http_field_value(&past->request, "Host");
    const char *what = NULL;
    if (target.len == 0 || target.data[0] != '/') /* to a proxy: any host is as good */
        return;
    if (host.len > 0 && before.len > 0 && !same_authority(host, before))
        what = "a request for another host after the refusal";
    else if (past->upgrade.broken && before.len > 0 &&
             !http_text_equal(http_text_before(target, '?'), upgrade_path(&past->request)))
        what = "a request for another path after a broken handshake was refused";
    if (what == NULL)
        return;
    past->told = 1;
    http1_attempt_finding(http, past, CLIENT, RULE_WS_SMUGGLING_NON101_THEN_TRAFFIC, head->offset,
                          what);
}

enum verdict http1_request_done(struct http1 *http, const char *base)
{
    struct http1_head *head = &http->side[CLIENT].head;
    struct text method = method_of(head, base), target = target_of(head, base);
    unsigned flags = http_text_equal(method, TEXT_LITERAL("HEAD")) ? HTTP1_REQUEST_HEAD : 0;
    int asks = upgrade_is_attempt(method, (head->seen & HTTP1_UPGRADE) != 0,
                                  (head->seen & HTTP1_WEBSOCKET) != 0);
    int docker = may_be_docker(method, target);
    if (http->early_answer) {
        struct event event = {.kind = EVENT_FINDING, .offset = http->early_offset,
                              .packet = http->early_packet, .time_ns = http->early_time_ns};
        event.u.finding = (struct event_finding){
            .rule = RULE_SERVER_DATA_BEFORE_101,
            .evidence = TEXT_LITERAL("an answer before any request was complete")};
        layer_emit(http->layer, SERVER, &event);
        http->early_answer = 0;
    }
    watch(http, head, base);
    remember(http, head, base);
    frame_request(http, head, method);
    if (asks || docker)
        http->attempt = http1_attempt_new(http, head, base);
    if (http->attempt != NULL) {
        http->attempt->candidate = !asks;
        flags |= HTTP1_REQUEST_ATTEMPT;
        if (!docker) /* which mechanism it is, only its answer says */
            http1_attempt_open(http, http->attempt);
        if (http->side[SERVER].state == HTTP1_RESYNC) {
            http->attempt->lost = 1;
            http->side[SERVER].state = HTTP1_START;
        }
    }
    queue_push(http, flags);
    http->requests = 1;
    return V_OK;
}

/* --- bodies of answers --- */

static void frame_response(struct http1 *http, const struct http1_head *head, int request)
{
    struct http1_side *s = &http->side[SERVER];
    int unknown = request < 0 || (request & HTTP1_REQUEST_UNKNOWN) != 0;
    s->state = HTTP1_START;
    s->left = 0;
    if (head->status / 100 == 1 ? (head->status != 101) : head->status == 204 ||
                                                              head->status == 304)
        return;
    if (request >= 0 && (request & HTTP1_REQUEST_HEAD) != 0)
        return;
    if ((head->seen & HTTP1_CHUNKED) != 0) {
        s->state = HTTP1_CHUNK_SIZE;
    } else if ((head->seen & HTTP1_LENGTH) != 0 && (head->seen & HTTP1_TRANSFER) == 0) {
        s->left = head->content_length;
        if (s->left > 0)
            s->state = unknown ? HTTP1_BODY_DOUBT : HTTP1_BODY;
    } else if (head->status != 101) {
        s->state = unknown ? HTTP1_RESYNC : HTTP1_BODY_CLOSE;
        s->scanned = 0;
        s->passed = 0;
    }
}

/* --- final answers to attempts --- */

/* Client bytes that wait behind a refused attempt: were they sent before the answer? */
static void judge_waiting(struct http1 *http, struct http1_attempt *attempt, uint64_t answer_end)
{
    struct slice held = layer_peek(http->layer, CLIENT);
    if (http->side[CLIENT].state != HTTP1_START || held.len == 0 ||
        !http1_sent_before(http, answer_end))
        return;
    size_t empty = 0; /* line ends behind a request are passed over (RFC 9112 2.2) */
    while (attempt->upgrade.mechanism != MECHANISM_CONNECT && empty < held.len &&
           (held.data[empty] == '\r' || held.data[empty] == '\n'))
        empty++;
    held = (struct slice){.data = held.data + empty, .len = held.len - empty,
                          .offset = held.offset + empty};
    int request = http1_request_probe(held.data, held.len);
    if (attempt->upgrade.mechanism == MECHANISM_CONNECT) {
        attempt->early = 1;
        attempt->told = 1;
        http1_attempt_finding(http, attempt, CLIENT, RULE_OPTIMISTIC_CONNECT, held.offset,
                              "payload was sent before the refusal");
        return;
    }
    if (request == 0)
        return;
    attempt->told = 1;
    if (request < 0)
        http1_attempt_finding(
            http, attempt, CLIENT,
            upgrade_early_rule(&attempt->upgrade, upgrade_first_token(&attempt->request)),
            held.offset, "sent before the answer, which is not 101");
    else if (attempt->verdict.outcome == OUTCOME_REFUSED)
        http1_attempt_finding(http, attempt, CLIENT, RULE_OPTIMISTIC_DATA_AND_REFUSED,
                              held.offset, "an HTTP request was sent before the refusal");
    else
        http1_attempt_finding(http, attempt, CLIENT, RULE_PIPELINED_AFTER_UPGRADE, held.offset,
                              "a request behind the Upgrade request, before its answer");
}

/* A request that is sent behind an Upgrade request which is then granted. Returns 1 where it is
 * said: then nothing else is to be said about these bytes. */
static int judge_pipelined(struct http1 *http, const struct http1_attempt *attempt,
                           uint64_t answer_end)
{
    struct slice held = layer_peek(http->layer, CLIENT);
    if (attempt->upgrade.mechanism != MECHANISM_UPGRADE || attempt->verdict.docker ||
        http_text_begins(attempt->verdict.token, "HTTP/") || held.len == 0 ||
        http1_request_probe(held.data, held.len) <= 0 || !http1_sent_before(http, answer_end))
        return 0;
    http1_attempt_finding(http, attempt, CLIENT, RULE_PIPELINED_AFTER_UPGRADE, held.offset,
                          "a request behind the Upgrade request, before its 101");
    return 1;
}

static void judge_together(struct http1 *http, const struct http1_attempt *attempt,
                           const struct http_head *answer, const struct slice *slice,
                           size_t consumed)
{
    if (consumed >= slice->len || answer->status != 101)
        return;
    uint64_t next = slice->offset + consumed;
    if (layer_mark(http->layer, SERVER, next).packet ==
        layer_mark(http->layer, SERVER, next - 1).packet)
        http1_attempt_finding(http, attempt, SERVER, RULE_SERVER_DATA_WITH_101, next,
                              "bytes of the new protocol in the segment of the 101");
}

static enum verdict grant(struct http1 *http, struct http1_attempt *attempt,
                          const struct slice *slice, size_t consumed)
{
    static const enum rule early_rules[RULE_COUNT] = {
        [RULE_OPTIMISTIC_CONNECT] = RULE_OPTIMISTIC_CONNECT,
        [RULE_CONNECT_UDP_OPTIMISTIC_HTTP1] = RULE_CONNECT_UDP_OPTIMISTIC_HTTP1,
        [RULE_CONNECT_IP_OPTIMISTIC] = RULE_CONNECT_IP_OPTIMISTIC,
        [RULE_OPTIMISTIC_DATA_BEFORE_101] = RULE_OPTIMISTIC_DATA_BEFORE_101,
    };
    const struct upgrade *upgrade = &attempt->upgrade;
    judge_together(http, attempt, &attempt->answer, slice, consumed);
    if (upgrade->body_open && !(upgrade->expects_100 && !upgrade->saw_100)) {
        attempt->granted = 1; /* the request's body comes first */
        return V_OK;
    }
    const enum rule *early = &early_rules[attempt->verdict.early];
    if (attempt->verdict.docker ||
        judge_pipelined(http, attempt, attempt->answer.end))
        early = NULL;
    http1_attempt_switch(http, attempt, &attempt->answer, early);
    http->attempt = NULL;
    http1_attempt_free(http, attempt);
    return V_SWITCHED;
}

/* The attempt is over without a switch; it is kept to see what follows. */
static void retire(struct http1 *http, struct http1_attempt *attempt)
{
    struct budget *budget = layer_budget(http->layer);
    http->attempt = NULL;
    if (attempt->session == 0) {
        http1_attempt_free(http, attempt);
        return;
    }
    budget_free(budget, attempt->answer_block);
    attempt->answer_block = NULL;
    attempt->answer = (struct http_head){0};
    http1_attempt_free(http, http->past);
    http->past = attempt;
}

/* Copies the answer for those who judge it. Without memory it has no fields, and says so. */
static void keep_answer(struct http1 *http, struct http1_attempt *attempt, const char *base)
{
    const struct http1_head *head = &http->side[SERVER].head;
    struct budget *budget = layer_budget(http->layer);
    if (http1_head_copy(head, base, budget, &attempt->answer, &attempt->answer_block) == 0)
        return;
    layer_limit(http->layer, "flow-memory", budget->limit);
    attempt->answer = (struct http_head){.response = 1, .status = head->status,
                                         .minor = head->minor, .offset = head->offset,
                                         .end = head->offset + head->length,
                                         .flags = head->flags | HTTP_INCOMPLETE};
}

static enum verdict answer_attempt(struct http1 *http, const char *base, int request,
                                   const struct slice *slice, size_t consumed)
{
    const struct http1_head *head = &http->side[SERVER].head;
    struct http1_attempt *attempt = http->attempt;
    int docker = (head->seen & HTTP1_DOCKER) != 0 && head->status == 200 &&
                 http_text_equal(attempt->request.method, TEXT_LITERAL("POST"));
    if (attempt->candidate && !docker) { /* plain HTTP after all */
        answered(http);
        frame_response(http, head, request);
        retire(http, attempt);
        return V_OK;
    }
    keep_answer(http, attempt, base);
    if (docker && upgrade_is_docker_stream(&attempt->answer))
        attempt->upgrade.mechanism = MECHANISM_DOCKER;
    attempt->upgrade.body_open = http->side[CLIENT].state != HTTP1_START;
    http1_attempt_open(http, attempt);
    http1_attempt_answer(http, attempt, &attempt->answer);
    if (attempt->verdict.outcome == OUTCOME_SWITCHED ||
        attempt->verdict.outcome == OUTCOME_UNSOLICITED) {
        http->side[SERVER].state = HTTP1_START;
        return grant(http, attempt, slice, consumed);
    }
    judge_waiting(http, attempt, attempt->answer.end);
    answered(http);
    frame_response(http, head, request);
    if (http->side[CLIENT].state == HTTP1_BODY && attempt->upgrade.expects_100 &&
        !attempt->upgrade.saw_100) /* the client may keep its body to itself */
        http->side[CLIENT].state = HTTP1_BODY_DOUBT;
    retire(http, attempt);
    return V_OK;
}

/* --- all other answers --- */

/* The reports about answers that belong to no attempt. */
static void judge_plain(struct http1 *http, const char *base)
{
    const struct http1_head *head = &http->side[SERVER].head;
    int upgrades = (head->seen & HTTP1_UPGRADE) != 0;
    int unnamed = upgrades && (head->seen & HTTP1_CONNECTION_UPGRADE) == 0;
    struct http_head answer;
    void *block;
    if (!unnamed && !(head->status == 426 && !upgrades))
        return;
    if (http1_head_copy(head, base, layer_budget(http->layer), &answer, &block) != 0)
        return;
    struct http_reporter reporter = {.layer = http->layer};
    struct http_report report = http_report_of(&reporter);
    upgrade_plain_answer(&answer, &report);
    budget_free(layer_budget(http->layer), block);
}

/* Lost, or captured midstream: nobody can say that the 101 was not asked for. */
static int request_may_be_lost(const struct http1 *http, int request)
{
    if (request >= 0)
        return (request & HTTP1_REQUEST_UNKNOWN) != 0;
    return !http->requests && !layer_from_start(http->layer);
}

static enum verdict grant_lost(struct http1 *http, const char *base, enum mechanism mechanism,
                               const struct slice *slice, size_t consumed)
{
    struct http1_attempt *attempt = http1_attempt_blank(http, mechanism);
    http->side[SERVER].state = HTTP1_START;
    if (attempt == NULL)
        return V_LOST;
    keep_answer(http, attempt, base);
    http1_attempt_grant(http, attempt, 0);
    judge_together(http, attempt, &attempt->answer, slice, consumed);
    http1_attempt_switch(http, attempt, &attempt->answer, NULL);
    http1_attempt_free(http, attempt);
    return V_SWITCHED;
}

static enum verdict unsolicited(struct http1 *http, const char *base, int request,
                                const struct slice *slice, size_t consumed)
{
    const struct http1_head *head = &http->side[SERVER].head;
    int body = (head->seen & (HTTP1_LENGTH | HTTP1_TRANSFER)) != 0;
    int upgrades = (head->seen & HTTP1_UPGRADE) != 0;
    if (upgrades && !body && request_may_be_lost(http, request))
        return grant_lost(http, base, MECHANISM_UPGRADE, slice, consumed);
    if (upgrades && !body && http->unsolicited == NULL) {
        http->unsolicited = http1_attempt_blank(http, MECHANISM_UPGRADE);
        if (http->unsolicited != NULL) {
            keep_answer(http, http->unsolicited, base);
            http->side[SERVER].state = HTTP1_START;
            return V_OK;
        }
    }
    if (!request_may_be_lost(http, request))
        http1_attempt_finding(http, NULL, SERVER, RULE_101_UNSOLICITED, head->offset,
                              body ? "101 with a body to a request without Upgrade"
                                   : "101 without Upgrade to a request without Upgrade");
    answered(http);
    frame_response(http, head, request);
    return V_OK;
}

/* `HTTP/1.1 200 Connection established`, captured midstream: the CONNECT was lost. */
static int is_tunnel(const struct http1 *http, const char *base, int request)
{
    const struct http1_head *head = &http->side[SERVER].head;
    struct text reason = http1_head_text(head, base, head->reason_at, head->reason_len);
    return head->status / 100 == 2 && request_may_be_lost(http, request) &&
           (head->seen & (HTTP1_LENGTH | HTTP1_TRANSFER)) == 0 &&
           http_text_contains(reason, "connection established");
}

/* An answer where there is nothing to answer; told when a request follows, not where the client's
 * bytes turn out to be lost. Those of a server that gives up are normal. */
static void judge_early_answer(struct http1 *http)
{
    const struct http1_head *head = &http->side[SERVER].head;
    if (http->requests || http->responses || http->queue_count > 0 ||
        !layer_from_start(http->layer) || http->server_lost || head->status >= 400 ||
        head->status == 101)
        return;
    struct mark mark = layer_mark(http->layer, SERVER, head->offset);
    http->early_answer = 1;
    http->early_offset = head->offset;
    http->early_packet = mark.packet;
    http->early_time_ns = mark.time_ns;
}

enum verdict http1_response_done(struct http1 *http, const char *base, const struct slice *slice,
                                 size_t consumed)
{
    struct http1_side *s = &http->side[SERVER];
    const struct http1_head *head = &s->head;
    judge_early_answer(http);
    int request = match(http);
    int attempted = request >= 0 && (request & HTTP1_REQUEST_ATTEMPT) != 0 &&
                    http->attempt != NULL;
    http->responses = 1;
    s->passed = 0;
    s->state = HTTP1_START;
    if (head->status / 100 == 1 && head->status != 101) {
        if (attempted) {
            http->attempt->upgrade.interim = head->status;
            http->attempt->upgrade.saw_100 |= head->status == 100;
        }
        return V_OK;
    }
    if (http->past != NULL && http->past->early) {
        http->past->early = 0;
        http1_attempt_finding(http, http->past, SERVER,
                              RULE_PROXY_KEEPS_CONNECTION_AFTER_CONNECT_REFUSAL, head->offset,
                              "the connection goes on although payload came with the CONNECT");
    }
    if (attempted)
        return answer_attempt(http, base, request, slice, consumed);
    if (head->status == 101)
        return unsolicited(http, base, request, slice, consumed);
    if (is_tunnel(http, base, request))
        return grant_lost(http, base, MECHANISM_CONNECT, slice, consumed);
    judge_plain(http, base);
    answered(http);
    frame_response(http, head, request);
    return V_OK;
}

/* --- where the answer is missing --- */

struct result http1_fast_start(struct http1 *http, const struct slice *slice)
{
    struct http1_attempt *attempt = http->attempt;
    struct upgrade_verdict *verdict = &attempt->verdict;
    http1_attempt_open(http, attempt);
    verdict->outcome = OUTCOME_SWITCHED;
    verdict->token = verdict->accepted = upgrade_first_token(&attempt->request);
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = attempt->session,
                          .offset = slice->offset};
    event.u.session_answer = (struct event_session_answer){.outcome = OUTCOME_SWITCHED,
                                                           .accepted = verdict->accepted};
    layer_emit(http->layer, SERVER, &event);
    http1_attempt_finding(http, attempt, SERVER, RULE_SWITCH_WITHOUT_101, slice->offset,
                          "the request said Derp-Fast-Start: 1");
    http1_attempt_switch(http, attempt, NULL, NULL);
    http->attempt = NULL;
    http1_attempt_free(http, attempt);
    return (struct result){.verdict = V_SWITCHED};
}

/* The bytes of a side that are there: those shown now, or those that wait. */
static struct slice bytes_of(const struct http1 *http, enum side side, enum side shown,
                             const struct slice *slice)
{
    return side == shown ? *slice : layer_peek(http->layer, side);
}

int http1_decide_unsolicited(struct http1 *http, enum side side, const struct slice *slice,
                             struct result *result)
{
    struct http1_attempt *attempt = http->unsolicited;
    struct slice bytes = bytes_of(http, CLIENT, side, slice);
    int client = http->side[CLIENT].state != HTTP1_START ? 1
                 : bytes.len == 0                        ? 0
                                  : http1_request_probe(bytes.data, bytes.len);
    bytes = bytes_of(http, SERVER, side, slice);
    int server = bytes.len == 0 ? 0 : http1_status_probe(bytes.data, bytes.len);
    if (client == 0 && server == 0) {
        *result = (struct result){.verdict = V_NEED, .need = slice->len + 1};
        return 1;
    }
    http->unsolicited = NULL;
    if (client > 0 || (client == 0 && server > 0)) { /* still HTTP: it was only an odd answer */
        if (!attempt->lost)
            http1_attempt_finding(http, NULL, SERVER, RULE_101_UNSOLICITED,
                                  attempt->answer.offset,
                                  "101 to a request without Upgrade, and nothing switched");
        answered(http);
        http1_attempt_free(http, attempt);
        return 0;
    }
    http1_attempt_grant(http, attempt, !attempt->lost);
    http1_attempt_switch(http, attempt, &attempt->answer, NULL);
    http1_attempt_free(http, attempt);
    *result = (struct result){.verdict = V_SWITCHED};
    return 1;
}

static void tell_unresolved(struct http1 *http, struct http1_attempt *attempt)
{
    if (attempt->candidate)
        return;
    http1_attempt_open(http, attempt);
    http1_attempt_finding(http, attempt, SERVER, RULE_SWITCH_UNRESOLVED,
                          layer_offset(http->layer, SERVER),
                          "the answer was not captured, and nothing behind it shows it");
}

static void assume_switch(struct http1 *http, struct http1_attempt *attempt)
{
    if (attempt->candidate)
        attempt->upgrade.mechanism = MECHANISM_DOCKER;
    http1_attempt_open(http, attempt);
    attempt->verdict.outcome = OUTCOME_SWITCHED;
    attempt->verdict.token = upgrade_first_token(&attempt->request);
    if (attempt->upgrade.websocket)
        attempt->verdict.token = TEXT_LITERAL("websocket");
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = attempt->session,
                          .offset = layer_offset(http->layer, SERVER)};
    event.u.session_answer = (struct event_session_answer){.outcome = OUTCOME_SWITCHED};
    layer_emit(http->layer, SERVER, &event);
    http1_attempt_switch(http, attempt, NULL, NULL);
    http->attempt = NULL;
    http1_attempt_free(http, attempt);
}

/* The server's bytes may be the rest of an older answer, and ours may follow it. */
static size_t find_answer(const struct slice *slice)
{
    size_t at = 0;
    while (at < slice->len) {
        const uint8_t *lf = memchr(slice->data + at, '\n', slice->len - at);
        if (lf == NULL)
            break;
        size_t len = (size_t)(lf - slice->data) + 1 - at;
        size_t found = http1_find_status(slice->data + at, len);
        if (found < len)
            return at + found;
        at += len;
    }
    return slice->len;
}

int http1_resolve(struct http1 *http, enum side side, const struct slice *slice,
                  struct result *result)
{
    enum { SEARCHED_MAX = 65536, KEPT = 8192 };
    struct http1_attempt *attempt = http->attempt;
    struct slice client = bytes_of(http, CLIENT, side, slice);
    struct slice server = bytes_of(http, SERVER, side, slice);
    enum http1_proof asks = http->side[CLIENT].state == HTTP1_START
                                ? http1_prove(http, attempt, CLIENT, client.data, client.len)
                                : HTTP1_PROOF_NONE;
    enum http1_proof answers = http1_prove(http, attempt, SERVER, server.data, server.len);
    if (asks == HTTP1_PROOF_SWITCH ||
        (asks != HTTP1_PROOF_HTTP && answers == HTTP1_PROOF_SWITCH)) {
        assume_switch(http, attempt);
        *result = (struct result){.verdict = V_SWITCHED};
        return 1;
    }
    if (asks == HTTP1_PROOF_HTTP) { /* the client went on: it was answered, and not granted */
        tell_unresolved(http, attempt);
        retire(http, attempt);
        answered(http);
        if (http->past != NULL)
            http->past->told = 1;
        return 0;
    }
    *result = (struct result){.verdict = V_NEED, .need = slice->len + 1};
    if (side == CLIENT)
        return 1;
    size_t at = answers == HTTP1_PROOF_HTTP ? 0 : find_answer(slice);
    if (at < slice->len) {
        attempt->lost = 0;
        attempt->upgrade.unsure = 1;
        if (at == 0)
            return 0;
        *result = (struct result){.verdict = V_OK, .consumed = at};
    } else if (slice->len > SEARCHED_MAX) {
        *result = (struct result){.verdict = V_OK, .consumed = slice->len - KEPT};
    }
    return 1;
}

/* --- the end --- */

void http1_answers_end(struct http1 *http)
{
    struct http1_attempt *attempt = http->attempt;
    const struct http1_side *s = &http->side[SERVER];
    if (http->unsolicited != NULL) {
        if (http->unsolicited->lost)
            http1_attempt_grant(http, http->unsolicited, 0);
        else
            http1_attempt_finding(http, NULL, SERVER, RULE_101_UNSOLICITED,
                                  http->unsolicited->answer.offset,
                                  "101 to a request without Upgrade, and nothing followed");
        http1_attempt_free(http, http->unsolicited);
        http->unsolicited = NULL;
    }
    if (attempt == NULL || attempt->granted)
        return;
    if (attempt->candidate) {
        retire(http, attempt);
        return;
    }
    http1_attempt_open(http, attempt);
    if (attempt->lost) {
        tell_unresolved(http, attempt);
    } else if (s->state == HTTP1_HEAD && s->head.status == 101 &&
               layer_ended(http->layer, SERVER)) {
        http1_attempt_finding(http, attempt, SERVER, RULE_101_NOT_TERMINATED, s->head.offset,
                              "the stream ends inside the head of the 101");
    } else {
        struct slice held = layer_peek(http->layer, CLIENT);
        if (attempt->upgrade.mechanism == MECHANISM_UPGRADE && held.len > 0 &&
            http->side[CLIENT].state == HTTP1_START &&
            http1_request_probe(held.data, held.len) > 0)
            http1_attempt_finding(http, attempt, CLIENT, RULE_PIPELINED_AFTER_UPGRADE,
                                  held.offset, "a request behind the Upgrade request");
    }
    retire(http, attempt);
    if (http->past != NULL)
        http->past->told = 1;
}
