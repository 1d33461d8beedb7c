/*
 * The attempts to switch that HTTP/1.x requests make: keeps the request until its answer, tells
 * both as events, has them judged (upgrade.h), and hands over to what follows.
 */
#include <stdio.h>
#include <string.h>

#include "http1_private.h"

/* --- reports --- */

static void report_finding(void *context, enum side side, enum rule rule, uint64_t offset,
                           struct text evidence)
{
    const struct http1_reporter *reporter = context;
    struct event event = {.kind = EVENT_FINDING, .session = reporter->session, .offset = offset,
                          .packet = reporter->packet, .time_ns = reporter->time_ns};
    event.u.finding = (struct event_finding){.rule = rule, .evidence = evidence};
    layer_emit(reporter->layer, side, &event);
}

struct http_report http1_report(struct http1_reporter *reporter)
{
    return (struct http_report){.finding = report_finding, .context = reporter};
}

void http1_attempt_finding(struct http1 *http, const struct http1_attempt *attempt, enum side side,
                           enum rule rule, uint64_t offset, const char *text)
{
    struct http1_reporter reporter = {.layer = http->layer,
                                      .session = attempt != NULL ? attempt->session : 0};
    struct http_report report = http1_report(&reporter);
    http_report_finding(&report, side, rule, offset, "%s", text);
}

/* --- births --- */

static struct http1_attempt *attempt_alloc(struct http1 *http)
{
    struct budget *budget = layer_budget(http->layer);
    struct http1_attempt *attempt = budget_alloc(budget, sizeof *attempt);
    if (attempt == NULL)
        layer_limit(http->layer, "flow-memory", budget->limit);
    return attempt;
}

struct http1_attempt *http1_attempt_new(struct http1 *http, const struct http1_head *head,
                                        const char *base)
{
    struct http1_attempt *attempt = attempt_alloc(http);
    if (attempt == NULL)
        return NULL;
    struct budget *budget = layer_budget(http->layer);
    if (http1_head_copy(head, base, budget, &attempt->request, &attempt->block) != 0) {
        layer_limit(http->layer, "flow-memory", budget->limit);
        budget_free(budget, attempt);
        return NULL;
    }
    upgrade_begin(&attempt->upgrade, &attempt->request);
    attempt->upgrade.secure = http->secure;
    attempt->upgrade.expects_100 = (head->seen & HTTP1_EXPECT) != 0;
    attempt->fast_start = text_is(http_field_value(&attempt->request, "Derp-Fast-Start"), "1");
    struct mark mark = layer_mark(http->layer, CLIENT, attempt->request.end - 1);
    attempt->packet = mark.packet;
    attempt->root_end = mark.root_offset;
    attempt->time_ns = mark.time_ns;
    return attempt;
}

struct http1_attempt *http1_attempt_blank(struct http1 *http, enum mechanism mechanism)
{
    struct http1_attempt *attempt = attempt_alloc(http);
    if (attempt == NULL)
        return NULL;
    upgrade_begin(&attempt->upgrade, NULL);
    attempt->upgrade.mechanism = mechanism;
    return attempt;
}

void http1_attempt_free(struct http1 *http, struct http1_attempt *attempt)
{
    if (attempt == NULL)
        return;
    struct budget *budget = layer_budget(http->layer);
    budget_free(budget, attempt->block);
    budget_free(budget, attempt->answer_block);
    budget_free(budget, attempt);
}

/* --- the request as events --- */

/* All lines of a field as one list; *owned is from the budget where there are several. */
static struct text join(struct http1 *http, const struct http_head *head, const char *name,
                        char **owned)
{
    const struct http_field *first = http_field_find(head, name);
    *owned = NULL;
    if (first == NULL || http_field_count(head, name) == 1)
        return first != NULL ? first->value : TEXT_NONE;
    size_t len = 0;
    for (size_t i = 0; i < head->count; i++)
        if (text_is(head->fields[i].name, name))
            len += head->fields[i].value.len + 2;
    *owned = budget_alloc(layer_budget(http->layer), len);
    if (*owned == NULL)
        return first->value;
    size_t at = 0;
    for (size_t i = 0; i < head->count; i++) {
        const struct http_field *field = &head->fields[i];
        if (!text_is(field->name, name))
            continue;
        if (at > 0) {
            memcpy(*owned + at, ", ", 2);
            at += 2;
        }
        if (field->value.len > 0)
            memcpy(*owned + at, field->value.data, field->value.len);
        at += field->value.len;
    }
    return (struct text){*owned, at};
}

static struct text forwarded_for(const struct http_head *request)
{
    struct text value = http_field_value(request, "X-Forwarded-For");
    if (value.data != NULL)
        return value;
    struct http_list list = http_list_of(request, "Forwarded");
    struct text member;
    if (!http_list_next(&list, &member))
        return TEXT_NONE;
    struct http_params params = http_params_of(member);
    struct http_param param;
    while (http_params_next(&params, &param))
        if (text_is(param.name, "for"))
            return param.value;
    return TEXT_NONE;
}

static void emit_headers(struct http1 *http, uint32_t session, const struct http_head *head,
                         uint64_t packet, int64_t time_ns)
{
    for (size_t i = 0; i < head->count; i++) {
        const struct http_field *field = &head->fields[i];
        struct event event = {.kind = EVENT_HEADER, .session = session, .offset = field->offset,
                              .packet = packet, .time_ns = time_ns};
        event.u.header = (struct event_header){.response = head->response,
                                               .position = (uint32_t)i, .name = field->name,
                                               .value = field->value};
        layer_emit(http->layer, head->response ? SERVER : CLIENT, &event);
    }
}

void http1_attempt_open(struct http1 *http, struct http1_attempt *attempt)
{
    if (attempt->session != 0)
        return;
    const struct http_head *request = &attempt->request;
    char *owned;
    attempt->session = layer_session_new(http->layer);
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = attempt->session,
                          .offset = request->end - 1, .packet = attempt->packet,
                          .time_ns = attempt->time_ns};
    event.u.session_open = (struct event_session_open){
        .mechanism = attempt->upgrade.mechanism,
        .offered = join(http, request, "Upgrade", &owned),
        .method = request->method,
        .target = request->target,
        .path = upgrade_path(request),
        .host = upgrade_host(request),
        .origin = http_field_value(request, "Origin"),
        .user_agent = http_field_value(request, "User-Agent"),
        .forwarded_for = forwarded_for(request),
    };
    layer_emit(http->layer, CLIENT, &event);
    budget_free(layer_budget(http->layer), owned);
    emit_headers(http, attempt->session, request, attempt->packet, attempt->time_ns);
    struct http1_reporter reporter = {.layer = http->layer, .session = attempt->session};
    if (request->offset < layer_offset(http->layer, CLIENT)) { /* the marks may be gone */
        reporter.packet = attempt->packet;
        reporter.time_ns = attempt->time_ns;
    }
    struct http_report report = http1_report(&reporter);
    upgrade_request(&attempt->upgrade, &report);
}

/* --- the answer as events --- */

static void emit_answer(struct http1 *http, const struct http1_attempt *attempt,
                        enum outcome outcome, const struct http_head *answer)
{
    const struct upgrade_verdict *verdict = &attempt->verdict;
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = attempt->session,
                          .offset = answer->end - 1};
    event.u.session_answer = (struct event_session_answer){
        .outcome = outcome, .cause = verdict->cause, .accepted = verdict->accepted,
        .status = (int)answer->status, .reason = answer->reason};
    layer_emit(http->layer, SERVER, &event);
    emit_headers(http, attempt->session, answer, 0, 0);
}

void http1_attempt_answer(struct http1 *http, struct http1_attempt *attempt,
                          const struct http_head *answer)
{
    struct http1_reporter reporter = {.layer = http->layer, .session = attempt->session};
    struct http_report report = http1_report(&reporter);
    upgrade_answer(&attempt->upgrade, answer, &report, &attempt->verdict);
    emit_answer(http, attempt, attempt->verdict.outcome, answer);
}

/* What is known of the request that was answered with an unsolicited 101. */
static void recall(const struct http1 *http, struct event_session_open *open)
{
    struct text target = {http->memo + http->memo_method, http->memo_target};
    if (http->memo_method == 0)
        return;
    open->method = (struct text){http->memo, http->memo_method};
    open->target = target;
    open->path = http_text_before(http_text_before(target, '?'), '#');
    if (http->memo_host > 0)
        open->host = (struct text){target.data + target.len, http->memo_host};
}

void http1_attempt_grant(struct http1 *http, struct http1_attempt *attempt, int unsolicited)
{
    const struct http_head *answer = &attempt->answer;
    attempt->session = layer_session_new(http->layer);
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = attempt->session,
                          .offset = answer->end - 1};
    event.u.session_open.mechanism = attempt->upgrade.mechanism;
    event.u.session_open.unsolicited = unsolicited;
    event.u.session_open.request_lost = !unsolicited;
    if (unsolicited)
        recall(http, &event.u.session_open);
    layer_emit(http->layer, SERVER, &event);
    struct http1_reporter reporter = {.layer = http->layer, .session = attempt->session};
    struct http_report report = http1_report(&reporter);
    if (unsolicited)
        http_report_finding(&report, SERVER, RULE_101_UNSOLICITED, answer->offset,
                            "Upgrade: %.*s, asked for by nobody",
                            HTTP_CLIP(http_field_value(answer, "Upgrade")));
    upgrade_answer(&attempt->upgrade, answer, &report, &attempt->verdict);
    emit_answer(http, attempt, unsolicited ? OUTCOME_UNSOLICITED : attempt->verdict.outcome,
                answer);
}

/* --- the switch --- */

enum { HINTS_MAX = 16 };

struct hint_list {
    struct hint hints[HINTS_MAX];
    size_t count;
    char windows[2][4];
};

static void add_hint(struct hint_list *list, const char *name, struct text value)
{
    if (value.data != NULL && list->count < HINTS_MAX)
        list->hints[list->count++] = (struct hint){.name = name, .value = value};
}

static void add_window(struct hint_list *list, const char *name, unsigned bits, int which)
{
    if (bits == 0)
        return;
    int len = snprintf(list->windows[which], sizeof list->windows[which], "%u", bits);
    add_hint(list, name, (struct text){list->windows[which], (size_t)len});
}

static void add_websocket(struct hint_list *list, const struct ws_agreement *agreement,
                          struct text extensions)
{
    if (agreement->deflate)
        add_hint(list, "permessage-deflate", TEXT_LITERAL("1"));
    if (agreement->server_no_context_takeover)
        add_hint(list, "server_no_context_takeover", TEXT_LITERAL("1"));
    if (agreement->client_no_context_takeover)
        add_hint(list, "client_no_context_takeover", TEXT_LITERAL("1"));
    add_window(list, "server_max_window_bits", agreement->server_max_window_bits, 0);
    add_window(list, "client_max_window_bits", agreement->client_max_window_bits, 1);
    if (agreement->other_extensions)
        add_hint(list, "other-extensions", TEXT_LITERAL("1"));
    add_hint(list, "subprotocol", agreement->subprotocol);
    add_hint(list, "extensions", extensions);
    if (agreement->accept_valid >= 0)
        add_hint(list, "accept-valid",
                 agreement->accept_valid ? TEXT_LITERAL("1") : TEXT_LITERAL("0"));
}

/* Docker and Podman agree on `tcp`, and say in Content-Type which of their streams follows. */
static int is_docker(const struct http1_attempt *attempt, struct text content_type)
{
    return attempt->verdict.docker || (text_is(attempt->verdict.token, "tcp") &&
                                       http_text_begins(content_type, "application/vnd.docker."));
}

static const char *table_of(const struct http1_attempt *attempt, struct text content_type)
{
    if (is_docker(attempt, content_type))
        return "http.docker";
    return attempt->upgrade.mechanism == MECHANISM_CONNECT ? "http.connect" : "http.upgrade";
}

/* The rule for bytes that are not what the 101 promised; NULL: the general one. */
static const enum rule *mismatch_of(const struct http1_attempt *attempt)
{
    static const enum rule no_hello = RULE_TLS_UPGRADE_NO_CLIENTHELLO;
    static const enum rule no_preface = RULE_H2C_NO_PREFACE;
    struct text token = attempt->verdict.token;
    if (attempt->upgrade.mechanism != MECHANISM_UPGRADE)
        return NULL;
    if (http_text_begins(token, "TLS/"))
        return &no_hello;
    return text_is(token, "h2c") || text_is(token, "h2") || text_is(token, "HTTP/2.0")
               ? &no_preface
               : NULL;
}

void http1_attempt_switch(struct http1 *http, struct http1_attempt *attempt,
                          const struct http_head *answer, const enum rule *early)
{
    const struct upgrade_verdict *verdict = &attempt->verdict;
    const struct http_head *request = attempt->upgrade.request;
    struct text type = answer != NULL ? http_field_value(answer, "Content-Type") : TEXT_NONE;
    struct hint_list list = {.count = 0};
    char *owned = NULL;
    if (answer == NULL)
        add_hint(&list, "assumed", TEXT_LITERAL("1"));
    if (verdict->websocket)
        add_websocket(&list, &verdict->agreement,
                      join(http, answer, "Sec-WebSocket-Extensions", &owned));
    if (request != NULL && attempt->upgrade.mechanism == MECHANISM_CONNECT)
        add_hint(&list, "target", request->target);
    if (request != NULL)
        add_hint(&list, "host", upgrade_host(request));
    add_hint(&list, "content-type", type);
    if (http->secure)
        add_hint(&list, "tls", TEXT_LITERAL("1"));
    struct handover handover = {
        .table = table_of(attempt, type),
        .token = is_docker(attempt, type) ? http_text_trim(http_text_before(type, ';'))
                                          : verdict->token,
        .session = attempt->session,
        .reversed = verdict->reversed,
        .early_rule = early,
        .mismatch_rule = mismatch_of(attempt),
        .hints = list.hints,
        .hint_count = list.count,
    };
    (void)layer_switch(http->layer, &handover); /* -1 is reported, and the rest becomes opaque */
    budget_free(layer_budget(http->layer), owned);
}
