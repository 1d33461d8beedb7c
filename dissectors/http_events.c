/*
 * Events and hints of attempts to switch that requests of HTTP make.
 */
#include "http_events.h"

#include <stdio.h>
#include <string.h>

/* --- reports --- */

static void report_finding(void *context, enum side side, enum rule rule, uint64_t offset,
                           struct text evidence)
{
    const struct http_reporter *reporter = context;
    struct event event = {.kind = EVENT_FINDING, .session = reporter->session, .offset = offset,
                          .packet = reporter->packet, .time_ns = reporter->time_ns};
    event.u.finding = (struct event_finding){.rule = rule, .evidence = evidence};
    layer_emit(reporter->layer, side, &event);
}

struct http_report http_report_of(struct http_reporter *reporter)
{
    return (struct http_report){.finding = report_finding, .context = reporter};
}

/* --- the request --- */

struct text http_join(struct layer *layer, const struct http_head *head, const char *name,
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
    *owned = budget_alloc(layer_budget(layer), len);
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

static void emit_headers(struct layer *layer, uint32_t session, const struct http_head *head,
                         uint64_t packet, int64_t time_ns)
{
    for (size_t i = 0; i < head->count; i++) {
        const struct http_field *field = &head->fields[i];
        struct event event = {.kind = EVENT_HEADER, .session = session, .offset = field->offset,
                              .packet = packet, .time_ns = time_ns};
        event.u.header = (struct event_header){.response = head->response,
                                               .position = (uint32_t)i, .name = field->name,
                                               .value = field->value};
        layer_emit(layer, head->response ? SERVER : CLIENT, &event);
    }
}

void http_events_request(struct layer *layer, uint32_t session, const struct upgrade *upgrade,
                         uint64_t packet, int64_t time_ns)
{
    const struct http_head *request = upgrade->request;
    char *owned = NULL;
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = session,
                          .offset = request->end - 1, .packet = packet, .time_ns = time_ns};
    event.u.session_open = (struct event_session_open){
        .mechanism = upgrade->mechanism,
        .offered = upgrade->mechanism == MECHANISM_EXTENDED_CONNECT
                       ? http_field_value(request, ":protocol")
                       : http_join(layer, request, "Upgrade", &owned),
        .method = request->method,
        .target = request->target,
        .path = upgrade_path(request),
        .host = upgrade_host(request),
        .origin = http_field_value(request, "Origin"),
        .user_agent = http_field_value(request, "User-Agent"),
        .forwarded_for = forwarded_for(request),
    };
    layer_emit(layer, CLIENT, &event);
    budget_free(layer_budget(layer), owned);
    emit_headers(layer, session, request, packet, time_ns);
}

/* --- the answer --- */

void http_events_answer(struct layer *layer, uint32_t session, enum outcome outcome,
                        const struct upgrade_verdict *verdict, const struct http_head *answer)
{
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = session,
                          .offset = answer->end - 1};
    event.u.session_answer = (struct event_session_answer){
        .outcome = outcome, .cause = verdict->cause, .accepted = verdict->accepted,
        .status = (int)answer->status, .reason = answer->reason};
    layer_emit(layer, SERVER, &event);
    emit_headers(layer, session, answer, 0, 0);
}

/* --- hints --- */

void http_hints_add(struct http_hints *list, const char *name, struct text value)
{
    if (value.data != NULL && list->count < HTTP_HINTS_MAX)
        list->hints[list->count++] = (struct hint){.name = name, .value = value};
}

static void add_window(struct http_hints *list, const char *name, unsigned bits, int which)
{
    if (bits == 0)
        return;
    int len = snprintf(list->windows[which], sizeof list->windows[which], "%u", bits);
    http_hints_add(list, name, (struct text){list->windows[which], (size_t)len});
}

void http_hints_websocket(struct http_hints *list, struct layer *layer,
                          const struct ws_agreement *agreement, const struct http_head *answer)
{
    if (agreement->deflate)
        http_hints_add(list, "permessage-deflate", TEXT_LITERAL("1"));
    if (agreement->server_no_context_takeover)
        http_hints_add(list, "server_no_context_takeover", TEXT_LITERAL("1"));
    if (agreement->client_no_context_takeover)
        http_hints_add(list, "client_no_context_takeover", TEXT_LITERAL("1"));
    add_window(list, "server_max_window_bits", agreement->server_max_window_bits, 0);
    add_window(list, "client_max_window_bits", agreement->client_max_window_bits, 1);
    if (agreement->other_extensions)
        http_hints_add(list, "other-extensions", TEXT_LITERAL("1"));
    http_hints_add(list, "subprotocol", agreement->subprotocol);
    http_hints_add(list, "extensions",
                   http_join(layer, answer, "Sec-WebSocket-Extensions", &list->owned));
    if (agreement->accept_valid >= 0)
        http_hints_add(list, "accept-valid",
                       agreement->accept_valid ? TEXT_LITERAL("1") : TEXT_LITERAL("0"));
}

void http_hints_release(struct http_hints *list, struct layer *layer)
{
    budget_free(layer_budget(layer), list->owned);
    list->owned = NULL;
}
