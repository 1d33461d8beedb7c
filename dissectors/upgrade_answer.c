/*
 * Answers to requests that ask for another protocol: what they grant (RFC 9110 7.8, 15.2.2, 9.3.6;
 * RFC 2817 3.3; RFC 9298 3.3; the Docker API's raw streams), why they refuse, and the rules of the
 * catalogue's sections B, D, H, I, J and L that request and answer together prove.
 */
#include <string.h>

#include "upgrade.h"
#include "upgrade_private.h"

/* Protocols whose bytes say what they are, so that they may be followed in a list of several. */
static const char *const followed[] = {"websocket", "h2c", "h2", "HTTP/2.0", "TLS/", "SPDY/",
                                       "HTTP/", "connect-udp", "connect-ip", "DERP", "PTTH/1.0",
                                       "tailscale-control-protocol", "tcp"};

static int is_followed(struct text token)
{
    for (size_t i = 0; i < sizeof followed / sizeof followed[0]; i++) {
        size_t len = strlen(followed[i]);
        if (followed[i][len - 1] == '/' ? http_text_begins(token, followed[i])
                                        : text_is(token, followed[i]))
            return 1;
    }
    return 0;
}

/* The protocol whose bytes come next: the first that is known, TLS before the HTTP inside it. */
static struct text choose(const struct http_head *answer)
{
    struct http_list list = http_list_of(answer, "Upgrade");
    struct text member, first = TEXT_NONE, known = TEXT_NONE;
    while (http_list_next(&list, &member)) {
        if (member.len == 0)
            continue;
        if (first.data == NULL)
            first = member;
        if (is_followed(member) && (known.data == NULL || (http_text_begins(known, "HTTP/") &&
                                                           http_text_begins(member, "TLS/"))))
            known = member;
    }
    return known.data != NULL ? known : first;
}

static struct text only_offer(const struct http_head *request)
{
    struct http_list list = http_list_of(request, "Upgrade");
    struct text member, only = TEXT_NONE;
    while (http_list_next(&list, &member)) {
        if (member.len == 0)
            continue;
        if (only.data != NULL)
            return TEXT_NONE;
        only = member;
    }
    return only;
}

static size_t count_members(const struct http_head *head, const char *name)
{
    struct http_list list = http_list_of(head, name);
    struct text member;
    size_t count = 0;
    while (http_list_next(&list, &member))
        count += member.len > 0;
    return count;
}

struct exchange {
    struct upgrade *upgrade;
    const struct http_head *request, *answer;
    const struct http_report *report;
    struct upgrade_verdict *verdict;
    int compare; /* the request is known, complete, and the one that is answered */
};

static uint64_t upgrade_offset(const struct exchange *x)
{
    const struct http_field *field = http_field_find(x->answer, "Upgrade");
    return field != NULL ? field->offset : x->answer->offset;
}

/* --- 101 --- */

/* Returns 1 where something was named that nobody asked for. */
static int judge_offered(const struct exchange *x)
{
    struct http_list list = http_list_of(x->answer, "Upgrade");
    struct text member;
    int tls = upgrade_tls_version(x->answer, 0) != 0;
    for (size_t i = 0; i < UPGRADE_MEMBERS_MAX && http_list_next(&list, &member); i++) {
        if (member.len == 0 || http_list_has_text(x->request, "Upgrade", member) ||
            (tls && http_text_begins(member, "HTTP/1."))) /* what TLS will carry (RFC 2817 3.3) */
            continue;
        http_report_finding(x->report, SERVER, RULE_101_PROTOCOL_NOT_OFFERED, list.field->offset,
                            "%.*s, offered: %.*s", HTTP_CLIP(member),
                            HTTP_CLIP(http_field_value(x->request, "Upgrade")));
        return 1;
    }
    return 0;
}

static void judge_order(const struct exchange *x)
{
    struct http_list list = http_list_of(x->answer, "Upgrade");
    struct text member;
    int http = 0;
    while (http_list_next(&list, &member)) {
        if (http && http_text_begins(member, "TLS/")) {
            http_report_finding(x->report, SERVER, RULE_101_LAYER_ORDER, list.field->offset,
                                "%.*s after HTTP", HTTP_CLIP(member));
            return;
        }
        http |= http_text_begins(member, "HTTP/");
    }
}

static void judge_framing(const struct exchange *x)
{
    const struct http_field *length = http_field_find(x->answer, "Content-Length");
    const struct http_field *transfer = http_field_find(x->answer, "Transfer-Encoding");
    if (length != NULL)
        http_report_finding(x->report, SERVER, RULE_101_WITH_CONTENT_LENGTH, length->offset,
                            "Content-Length: %.*s", HTTP_CLIP(length->value));
    if (transfer != NULL)
        http_report_finding(x->report, SERVER, RULE_101_WITH_TRANSFER_ENCODING, transfer->offset,
                            "Transfer-Encoding: %.*s", HTTP_CLIP(transfer->value));
}

/* RFC 9298 3.3, 3.5, RFC 9297 3.4. The framing fields belong to this rule here. */
static void judge_connect_udp(const struct exchange *x)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Content-Type"};
    const struct http_field *capsule = http_field_find(x->answer, "Capsule-Protocol");
    if (!x->answer->http2 && count_members(x->answer, "Upgrade") != 1)
        http_report_finding(x->report, SERVER, RULE_CONNECT_UDP_BAD_ANSWER, upgrade_offset(x),
                            "Upgrade: %.*s", HTTP_CLIP(http_field_value(x->answer, "Upgrade")));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct http_field *field = http_field_find(x->answer, names[i]);
        if (field != NULL)
            http_report_finding(x->report, SERVER, RULE_CONNECT_UDP_BAD_ANSWER, field->offset,
                                "%s in the answer", names[i]);
    }
    if (capsule != NULL && !text_is(http_text_before(capsule->value, ';'), "?1"))
        http_report_finding(x->report, SERVER, RULE_CONNECT_UDP_BAD_ANSWER, capsule->offset,
                            "Capsule-Protocol: %.*s", HTTP_CLIP(capsule->value));
}

static void judge_moment(const struct exchange *x)
{
    const struct upgrade *upgrade = x->upgrade;
    uint64_t offset = x->answer->offset;
    if (x->answer->flags & (HTTP_NOT_TERMINATED | HTTP_END_BARE_LF))
        http_report_finding(x->report, SERVER, RULE_101_NOT_TERMINATED, x->answer->flaw_offset,
                            (x->answer->flags & HTTP_NOT_TERMINATED) != 0
                                ? "no empty line behind the fields"
                                : "the empty line is LF alone");
    if (upgrade->interim != 0)
        http_report_finding(x->report, SERVER, RULE_1XX_INTERIM_BEFORE_101, offset,
                            "%u before the 101", upgrade->interim);
    if (!x->compare)
        return;
    if (x->request->minor == 0)
        http_report_finding(x->report, SERVER, RULE_101_TO_HTTP10, offset,
                            "101 to a request of HTTP/1.0");
    if (upgrade->expects_100 && !upgrade->saw_100)
        http_report_finding(x->report, SERVER, RULE_101_BEFORE_100, offset,
                            "the request expects 100 first");
    else if (upgrade->body_open)
        http_report_finding(x->report, SERVER, RULE_101_BEFORE_REQUEST_COMPLETE, offset,
                            "the request's body was still on its way");
}

/* A switch is no way back (RFC 9110 7.8). */
static void judge_older(const struct exchange *x, struct text token)
{
    unsigned chosen = upgrade_tls_version(x->answer, 1), offered = 0;
    if (x->compare)
        offered = upgrade_tls_version(x->request, 1);
    if (text_is(token, "HTTP/1.0") || text_is(token, "HTTP/0.9"))
        http_report_finding(x->report, SERVER, RULE_UPGRADE_TO_OLDER_PROTOCOL, upgrade_offset(x),
                            "%.*s on a connection of HTTP/1.%u", HTTP_CLIP(token),
                            x->answer->minor);
    else if ((chosen == 10 || chosen == 11) && offered >= 12)
        http_report_finding(x->report, SERVER, RULE_UPGRADE_TO_OLDER_PROTOCOL, upgrade_offset(x),
                            "TLS/1.%u, offered: %.*s", chosen - 10,
                            HTTP_CLIP(http_field_value(x->request, "Upgrade")));
}

static void judge_h2(const struct exchange *x, struct text token)
{
    if (text_is(token, "h2"))
        http_report_finding(x->report, SERVER, RULE_H2_TOKEN_IN_UPGRADE, upgrade_offset(x),
                            "101 chooses h2");
    if (text_is(token, "h2c") && x->upgrade->secure)
        http_report_finding(x->report, SERVER, RULE_H2C_ON_TLS, upgrade_offset(x),
                            "101 chooses h2c");
    if (text_is(token, "h2c") && x->compare && !x->upgrade->settings)
        http_report_finding(x->report, SERVER, RULE_H2C_101_WITHOUT_SETTINGS, upgrade_offset(x),
                            "101 although HTTP2-Settings is missing or not valid");
}

static void judge_websocket(const struct exchange *x, int foreign)
{
    struct upgrade_verdict *verdict = x->verdict;
    size_t members = count_members(x->answer, "Upgrade");
    if (members > 1 && !foreign)
        http_report_finding(x->report, SERVER, RULE_WS_UPGRADE_VALUE, upgrade_offset(x),
                            "Upgrade: %.*s", HTTP_CLIP(http_field_value(x->answer, "Upgrade")));
    verdict->websocket = 1;
    ws_handshake_answer(x->request, x->answer, x->upgrade->broken, x->upgrade->unsure, x->report,
                        &verdict->agreement);
    if (x->compare && x->upgrade->websocket)
        upgrade_origin(x->upgrade, x->answer, x->report);
}

static void judge_fields(const struct exchange *x)
{
    const struct http_field *field = http_field_find(x->answer, "Upgrade");
    if (!upgrade_complete(x->answer))
        return;
    if (x->compare && http_field_find(x->request, "Upgrade") == NULL) {
        x->verdict->outcome = OUTCOME_UNSOLICITED;
        http_report_finding(x->report, SERVER, RULE_101_UNSOLICITED, x->answer->offset,
                            "the request has no Upgrade");
    } else if (field == NULL)
        http_report_finding(x->report, SERVER, RULE_101_WITHOUT_UPGRADE, x->answer->offset,
                            "no Upgrade in the 101");
    if (!http_list_has(x->answer, "Connection", "upgrade"))
        http_report_finding(x->report, SERVER, RULE_101_WITHOUT_CONNECTION_OPTION,
                            upgrade_offset(x), "Connection: %.*s",
                            HTTP_CLIP(http_field_value(x->answer, "Connection")));
}

static void judge_101(struct exchange *x)
{
    struct text token = choose(x->answer);
    x->verdict->outcome = OUTCOME_SWITCHED;
    x->verdict->accepted = token;
    if (token.data == NULL && x->request != NULL)
        token = only_offer(x->request);
    if (x->upgrade->hixie && text_is(token, "websocket"))
        token = TEXT_LITERAL("hixie-76"); /* frames of another kind */
    x->verdict->token = token;
    x->verdict->reversed = http_text_begins(token, "PTTH/");
    judge_fields(x);
    int foreign = x->compare && http_field_find(x->request, "Upgrade") != NULL && judge_offered(x);
    judge_order(x);
    if (text_is(token, "connect-udp"))
        judge_connect_udp(x);
    else
        judge_framing(x);
    judge_moment(x);
    judge_older(x, token);
    judge_h2(x, token);
    if (text_is(token, "websocket"))
        judge_websocket(x, foreign);
}

/* --- who is let in (RFC 6455 10.2) --- */

/* The host that the browser asked for, as far as proxies told. */
static struct text first_hop_host(const struct http_head *request, int *rewritten)
{
    struct http_list list = http_list_of(request, "X-Forwarded-Host");
    struct text host, forwarded;
    *rewritten = 0;
    if (http_list_next(&list, &host) && host.len > 0)
        return host;
    list = http_list_of(request, "Forwarded");
    if (http_list_next(&list, &forwarded)) {
        struct http_params params = http_params_of(forwarded);
        struct http_param param;
        while (http_params_next(&params, &param))
            if (text_is(param.name, "host") && param.value.len > 0)
                return param.value;
        *rewritten = 1;
    }
    for (size_t i = 0; i < request->count; i++) {
        struct text name = request->fields[i].name;
        *rewritten |= text_is(name, "Via") || http_text_begins(name, "X-Forwarded-") ||
                      text_is(name, "X-Real-IP");
    }
    return request->http2 ? upgrade_host(request) : http_field_value(request, "Host");
}

static struct text host_only(struct text authority)
{
    struct text host, port;
    http_authority_split(authority, &host, &port);
    return host;
}

/* A name of no zone, or an address: what a proxy puts there that was not told to keep Host. */
static int is_inner_name(struct text host)
{
    int letters = 0, dots = 0;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        letters |= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        dots |= c == '.';
        if (c == ':')
            return 1;
    }
    return !letters || !dots;
}

static void judge_cross_origin(const struct http_head *request, const struct http_field *origin,
                               const struct http_head *answer, const struct http_report *report)
{
    int rewritten;
    struct text host = host_only(first_hop_host(request, &rewritten));
    struct text from = host_only(http_uri_authority(origin->value));
    const char *with = http_field_find(request, "Cookie") != NULL          ? "Cookie"
                       : http_field_find(request, "Authorization") != NULL ? "Authorization"
                                                                           : NULL;
    if (with == NULL || host.len == 0 || from.len == 0 || http_text_same(host, from))
        return;
    rewritten |= is_inner_name(host) && !is_inner_name(from);
    http_report_finding(report, SERVER, RULE_CSWSH_CROSS_ORIGIN_ACCEPTED, answer->offset,
                        "Origin of %.*s, Host %.*s, with %s%s", HTTP_CLIP(from),
                        HTTP_CLIP(host), with,
                        rewritten ? "; a proxy may have rewritten Host" : "");
}

void upgrade_origin(const struct upgrade *upgrade, const struct http_head *answer,
                    const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    const struct http_field *origin = http_field_find(request, "Origin");
    if (origin == NULL)
        origin = http_field_find(request, "Sec-WebSocket-Origin");
    if (origin == NULL) {
        if (http_text_begins(http_field_value(request, "User-Agent"), "Mozilla/"))
            http_report_finding(report, SERVER, RULE_CSWSH_NULL_OR_MISSING_ORIGIN, answer->offset,
                                "a browser's User-Agent without Origin was let in");
    } else if (text_is(origin->value, "null")) {
        http_report_finding(report, SERVER, RULE_CSWSH_NULL_OR_MISSING_ORIGIN, answer->offset,
                            "Origin: null was let in");
    } else {
        judge_cross_origin(request, origin, answer, report);
    }
}

/* --- refusals --- */

static int version_refused(const struct http_head *request)
{
    struct text version = http_field_value(request, "Sec-WebSocket-Version");
    return version.data != NULL && !text_is(version, "13");
}

/* Did the request reach the server without what makes it a request to switch? */
static int lacks_fields(const struct upgrade *upgrade)
{
    const struct http_head *request = upgrade->request;
    return upgrade->stripped || http_field_find(request, "Upgrade") == NULL ||
           !http_list_has(request, "Connection", "upgrade");
}

enum cause upgrade_cause(const struct upgrade *upgrade, unsigned status)
{
    int extended = upgrade->mechanism == MECHANISM_EXTENDED_CONNECT;
    int asked = upgrade->request != NULL && (upgrade->mechanism == MECHANISM_UPGRADE || extended);
    int lacks = asked && !extended && lacks_fields(upgrade);
    switch (status) {
    case 401: case 407:
        return CAUSE_AUTH;
    case 403:
        return asked ? CAUSE_ORIGIN : CAUSE_ROUTE;
    case 404: case 410: case 421:
        return CAUSE_ROUTE;
    case 408: case 504:
        return CAUSE_TIMEOUT;
    case 426:
        return lacks ? CAUSE_STRIPPED_HEADER : CAUSE_VERSION;
    case 400:
        if (lacks)
            return CAUSE_STRIPPED_HEADER;
        return asked && version_refused(upgrade->request) ? CAUSE_VERSION : CAUSE_BAD_REQUEST;
    case 501: /* an unknown :protocol (RFC 9220 3) */
        return extended ? CAUSE_ROUTE : CAUSE_UPSTREAM;
    case 405: case 411: case 413: case 414: case 415: case 417: case 422: case 431:
        return CAUSE_BAD_REQUEST;
    default:
        return status >= 500 ? CAUSE_UPSTREAM : status < 400 ? CAUSE_REDIRECT : CAUSE_UNKNOWN;
    }
}

const char *upgrade_cause_name(enum cause cause)
{
    static const char *const names[] = {"none", "origin", "auth", "redirect", "route", "version",
                                        "stripped-header", "bad-request", "upstream", "timeout",
                                        "unknown"};
    return names[cause];
}

static void judge_426(const struct exchange *x)
{
    const struct http_field *named = http_field_find(x->answer, "Upgrade");
    if (named == NULL) {
        if (upgrade_complete(x->answer))
            http_report_finding(x->report, SERVER, RULE_426_WITHOUT_UPGRADE, x->answer->offset,
                                "no Upgrade in the 426");
        return;
    }
    /* Without its connection option, or in HTTP/1.0, a server must not heed the offer. */
    if (!x->compare || x->request->minor == 0 || lacks_fields(x->upgrade))
        return;
    int version = text_is(http_field_value(x->request, "Sec-WebSocket-Version"), "13");
    struct http_list list = http_list_of(x->answer, "Upgrade");
    struct text member;
    for (size_t i = 0; i < UPGRADE_MEMBERS_MAX && http_list_next(&list, &member); i++) {
        if (member.len == 0 || !http_list_has_text(x->request, "Upgrade", member) ||
            (text_is(member, "websocket") && !version))
            continue;
        http_report_finding(x->report, SERVER, RULE_426_THOUGH_CLIENT_OFFERED_IT, named->offset,
                            "%.*s was offered", HTTP_CLIP(member));
        return;
    }
}

static void judge_refusal(const struct exchange *x)
{
    struct upgrade_verdict *verdict = x->verdict;
    const struct http_head *answer = x->answer;
    verdict->outcome = OUTCOME_REFUSED;
    verdict->cause = upgrade_cause(x->upgrade, answer->status);
    if (x->upgrade->mechanism == MECHANISM_CONNECT)
        return;
    http_report_finding(x->report, SERVER, RULE_UPGRADE_REFUSED, answer->offset, "%u%s%.*s: %s",
                        answer->status, answer->http2 ? "" : " ", HTTP_CLIP(answer->reason),
                        upgrade_cause_name(verdict->cause));
    if (answer->http2)
        return;
    if (x->compare && x->upgrade->websocket && version_refused(x->request) &&
        (answer->status == 400 || answer->status == 426) && upgrade_complete(answer) &&
        http_field_find(answer, "Sec-WebSocket-Version") == NULL)
        http_report_finding(x->report, SERVER, RULE_426_WITHOUT_WEBSOCKET_VERSION, answer->offset,
                            "%u names no version that the server knows", answer->status);
    upgrade_connection_option(answer, x->report);
    if (answer->status == 426)
        judge_426(x);
}

static void judge_ignored(const struct exchange *x)
{
    struct upgrade_verdict *verdict = x->verdict;
    verdict->outcome = OUTCOME_IGNORED;
    verdict->cause = x->request != NULL && lacks_fields(x->upgrade) ? CAUSE_STRIPPED_HEADER
                     : x->upgrade->websocket                       ? CAUSE_ROUTE
                                                                   : CAUSE_UNKNOWN;
    http_report_finding(x->report, SERVER, RULE_UPGRADE_IGNORED, x->answer->offset, "%u %.*s",
                        x->answer->status, HTTP_CLIP(x->answer->reason));
    upgrade_connection_option(x->answer, x->report);
}

/* --- CONNECT and Docker --- */

static void judge_connect(const struct exchange *x)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding"};
    x->verdict->outcome = OUTCOME_SWITCHED;
    x->verdict->accepted = x->request != NULL ? x->request->target : TEXT_NONE;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct http_field *field = http_field_find(x->answer, names[i]);
        if (field == NULL)
            continue;
        http_report_finding(x->report, SERVER, RULE_CONNECT_2XX_WITH_BODY_HEADERS, field->offset,
                            "%u with %s", x->answer->status, names[i]);
        return;
    }
}

/* RFC 8441 5, RFC 9298 3.5: any 2xx grants. */
static void judge_extended(const struct exchange *x)
{
    struct upgrade_verdict *verdict = x->verdict;
    verdict->outcome = OUTCOME_SWITCHED;
    verdict->token = verdict->accepted = http_field_value(x->request, ":protocol");
    if (text_is(verdict->token, "connect-udp"))
        judge_connect_udp(x);
    if (!x->upgrade->websocket)
        return;
    verdict->websocket = 1;
    ws_handshake_answer(x->request, x->answer, x->upgrade->broken, x->upgrade->unsure, x->report,
                        &verdict->agreement);
    if (x->compare)
        upgrade_origin(x->upgrade, x->answer, x->report);
}

int upgrade_is_docker_stream(const struct http_head *answer)
{
    struct text type = http_text_trim(http_text_before(http_field_value(answer, "Content-Type"),
                                                       ';'));
    return answer->status == 200 &&
           (text_is(type, "application/vnd.docker.raw-stream") ||
            text_is(type, "application/vnd.docker.multiplexed-stream"));
}

static void judge_docker(const struct exchange *x)
{
    const struct http_field *type = http_field_find(x->answer, "Content-Type");
    x->verdict->outcome = OUTCOME_SWITCHED;
    x->verdict->docker = 1;
    x->verdict->token = http_text_trim(http_text_before(type->value, ';'));
    x->verdict->accepted = x->verdict->token;
    http_report_finding(x->report, SERVER, RULE_SWITCH_WITHOUT_101, type->offset,
                        "%u with %.*s", x->answer->status, HTTP_CLIP(x->verdict->token));
}

static int is_post(const struct http_head *request)
{
    return request != NULL && http_text_equal(request->method, TEXT_LITERAL("POST"));
}

/* --- the doors --- */

void upgrade_answer(struct upgrade *upgrade, const struct http_head *answer,
                    const struct http_report *report, struct upgrade_verdict *verdict)
{
    *verdict = (struct upgrade_verdict){.agreement = {.accept_valid = -1}};
    struct exchange x = {.upgrade = upgrade, .request = upgrade->request, .answer = answer,
                         .report = report, .verdict = verdict};
    x.compare = x.request != NULL && upgrade_complete(x.request) && !upgrade->unsure;
    unsigned kind = answer->status / 100;
    if (upgrade->mechanism == MECHANISM_CONNECT && kind == 2)
        judge_connect(&x);
    else if (upgrade->mechanism == MECHANISM_EXTENDED_CONNECT && kind == 2)
        judge_extended(&x);
    else if (answer->status == 101)
        judge_101(&x);
    else if (upgrade->mechanism == MECHANISM_DOCKER ||
             (is_post(x.request) && upgrade_is_docker_stream(answer)))
        judge_docker(&x);
    else if (kind == 2)
        judge_ignored(&x);
    else
        judge_refusal(&x);
    verdict->early = upgrade_early_rule(upgrade, verdict->token);
}

void upgrade_plain_answer(const struct http_head *answer, const struct http_report *report)
{
    struct upgrade nobody = {.mechanism = MECHANISM_UPGRADE};
    struct exchange x = {.upgrade = &nobody, .answer = answer, .report = report};
    upgrade_connection_option(answer, report);
    if (answer->status == 426)
        judge_426(&x);
}
