/*
 * The attempts to switch that HTTP/1.x requests make: keeps the request until its answer, tells
 * both as events, has them judged (upgrade.h), and hands over to what follows.
 */
#include <string.h>

#include "http1_private.h"

void http1_attempt_finding(struct http1 *http, const struct http1_attempt *attempt, enum side side,
                           enum rule rule, uint64_t offset, const char *text)
{
    struct http_reporter reporter = {.layer = http->layer,
                                     .session = attempt != NULL ? attempt->session : 0};
    struct http_report report = http_report_of(&reporter);
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

void http1_attempt_open(struct http1 *http, struct http1_attempt *attempt)
{
    if (attempt->session != 0)
        return;
    const struct http_head *request = &attempt->request;
    attempt->session = layer_session_new(http->layer);
    http_events_request(http->layer, attempt->session, &attempt->upgrade, attempt->packet,
                        attempt->time_ns);
    struct http_reporter reporter = {.layer = http->layer, .session = attempt->session};
    if (request->offset < layer_offset(http->layer, CLIENT)) { /* the marks may be gone */
        reporter.packet = attempt->packet;
        reporter.time_ns = attempt->time_ns;
    }
    struct http_report report = http_report_of(&reporter);
    upgrade_request(&attempt->upgrade, &report);
}

/* --- the answer as events --- */

void http1_attempt_answer(struct http1 *http, struct http1_attempt *attempt,
                          const struct http_head *answer)
{
    struct http_reporter reporter = {.layer = http->layer, .session = attempt->session};
    struct http_report report = http_report_of(&reporter);
    upgrade_answer(&attempt->upgrade, answer, &report, &attempt->verdict);
    http_events_answer(http->layer, attempt->session, attempt->verdict.outcome, &attempt->verdict,
                       answer);
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
    struct http_reporter reporter = {.layer = http->layer, .session = attempt->session};
    struct http_report report = http_report_of(&reporter);
    if (unsolicited)
        http_report_finding(&report, SERVER, RULE_101_UNSOLICITED, answer->offset,
                            "Upgrade: %.*s, asked for by nobody",
                            HTTP_CLIP(http_field_value(answer, "Upgrade")));
    upgrade_answer(&attempt->upgrade, answer, &report, &attempt->verdict);
    http_events_answer(http->layer, attempt->session,
                       unsolicited ? OUTCOME_UNSOLICITED : attempt->verdict.outcome,
                       &attempt->verdict, answer);
}

/* --- the switch --- */

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

static int is_http2(struct text token)
{
    return text_is(token, "h2c") || text_is(token, "h2") || text_is(token, "HTTP/2.0");
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
    return is_http2(token) ? &no_preface : NULL;
}

void http1_attempt_switch(struct http1 *http, struct http1_attempt *attempt,
                          const struct http_head *answer, const enum rule *early)
{
    const struct upgrade_verdict *verdict = &attempt->verdict;
    const struct http_head *request = attempt->upgrade.request;
    struct text type = answer != NULL ? http_field_value(answer, "Content-Type") : TEXT_NONE;
    struct http_hints list = {.count = 0};
    if (answer == NULL)
        http_hints_add(&list, "assumed", TEXT_LITERAL("1"));
    if (verdict->websocket)
        http_hints_websocket(&list, http->layer, &verdict->agreement, answer);
    if (request != NULL && attempt->upgrade.mechanism == MECHANISM_CONNECT)
        http_hints_add(&list, "target", request->target);
    if (request != NULL)
        http_hints_add(&list, "host", upgrade_host(request));
    if (request != NULL && is_http2(verdict->token)) {
        http_hints_add(&list, "path", upgrade_path(request));
        if (upgrade_forwarded(request) != NULL)
            http_hints_add(&list, "forwarded", TEXT_LITERAL("1"));
    }
    http_hints_add(&list, "content-type", type);
    if (http->secure)
        http_hints_add(&list, "tls", TEXT_LITERAL("1"));
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
    http_hints_release(&list, http->layer);
}
