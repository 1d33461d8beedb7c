/*
 * Requests that ask for another protocol: Upgrade (RFC 9110 7.8), its WebSocket, h2c (RFC 7540
 * 3.2) and TLS (RFC 2817) kinds, CONNECT (RFC 9110 9.3.6) and extended CONNECT (RFC 8441 4). The
 * rules of the catalogue's sections A, H, I and J that the request alone can prove.
 */
#include "upgrade.h"

#include <arpa/inet.h>
#include <string.h>

#include "upgrade_private.h"

/* Names of the IANA registry http-upgrade-tokens. */
static const char *const registered[] = {"HTTP", "TLS", "websocket", "h2c", "connect-udp",
                                         "connect-ip"};

/* Who is known to use the others. */
static const struct {
    const char *name, *user;
} users[] = {
    {"h2", "nobody: h2 is an ALPN name"},
    {"SPDY", "Kubernetes before 1.31"},
    {"tcp", "Docker and Podman"},
    {"raw-stream", "private attach APIs"},
    {"flynn-attach", "Flynn"},
    {"DERP", "Tailscale relays"},
    {"tailscale-control-protocol", "Tailscale"},
    {"PTTH", "AirPlay, Yaler"},
    {"alpn", "Teleport"},
    {"alpn-ping", "Teleport"},
    {"connect-tcp", "draft-ietf-httpbis-connect-tcp"},
    {"GNUTELLA", "Gnutella"},
    {"IRC", "an example of RFC 2616"},
    {"RTA", "an example of RFC 2616"},
    {"SHTTP", "an example of RFC 2616"},
};

int upgrade_is_attempt(struct text method, int has_upgrade, int has_websocket)
{
    return has_upgrade || has_websocket || text_is(method, "CONNECT");
}

struct text upgrade_first_token(const struct http_head *head)
{
    struct http_list list = http_list_of(head, "Upgrade");
    struct text member;
    while (http_list_next(&list, &member))
        if (member.len > 0)
            return member;
    return TEXT_NONE;
}

static int is_connect(const struct http_head *request)
{
    return text_is(request->method, "CONNECT");
}

static int is_extended(const struct http_head *request)
{
    return request->http2 && is_connect(request) && http_field_find(request, ":protocol") != NULL;
}

struct text upgrade_path(const struct http_head *request)
{
    if (request->target.data == NULL || (is_connect(request) && !is_extended(request)))
        return TEXT_NONE;
    return http_text_before(http_text_before(request->target, '?'), '#');
}

struct text upgrade_host(const struct http_head *request)
{
    struct text host = request->http2 ? http_field_value(request, ":authority") : TEXT_NONE;
    if (host.data != NULL)
        return host;
    if (is_connect(request) && !request->http2)
        return request->target;
    host = http_field_value(request, "Host");
    return host.data != NULL ? host : http_uri_authority(request->target);
}

/* websocket, also with a version behind it, which nobody asked for but removes nothing either. */
static int names_websocket(const struct http_head *request)
{
    struct http_list list = http_list_of(request, "Upgrade");
    struct text member;
    while (http_list_next(&list, &member))
        if (text_is(http_text_before(member, '/'), "websocket"))
            return 1;
    return 0;
}

void upgrade_begin(struct upgrade *upgrade, const struct http_head *request)
{
    *upgrade = (struct upgrade){.request = request, .mechanism = MECHANISM_UPGRADE};
    if (request == NULL)
        return;
    if (is_extended(request)) {
        upgrade->mechanism = MECHANISM_EXTENDED_CONNECT;
        upgrade->websocket = text_is(http_field_value(request, ":protocol"), "websocket");
        return;
    }
    if (is_connect(request))
        upgrade->mechanism = MECHANISM_CONNECT;
    upgrade->websocket = names_websocket(request);
    upgrade->hixie = upgrade->websocket && http_field_find(request, "Sec-WebSocket-Key1") != NULL;
    upgrade->stripped = !upgrade->websocket && upgrade->mechanism == MECHANISM_UPGRADE &&
                        upgrade_complete(request) &&
                        (http_field_find(request, "Sec-WebSocket-Key") != NULL ||
                         http_field_find(request, "Sec-WebSocket-Version") != NULL);
}

enum rule upgrade_early_rule(const struct upgrade *upgrade, struct text token)
{
    /* A stream has its own bytes, so that RFC 9931 does not forbid it; RFC 6455 4.1 does. */
    if (upgrade->request != NULL && upgrade->request->http2)
        return upgrade->websocket ? RULE_OPTIMISTIC_DATA_BEFORE_101 : RULE_COUNT;
    if (upgrade->mechanism == MECHANISM_CONNECT)
        return RULE_OPTIMISTIC_CONNECT;
    if (text_is(token, "connect-udp"))
        return RULE_CONNECT_UDP_OPTIMISTIC_HTTP1;
    if (text_is(token, "connect-ip"))
        return RULE_CONNECT_IP_OPTIMISTIC;
    return RULE_OPTIMISTIC_DATA_BEFORE_101;
}

/* --- the Upgrade list --- */

void upgrade_connection_option(const struct http_head *head, const struct http_report *report)
{
    const struct http_field *field = http_field_find(head, "Upgrade");
    if (field == NULL || !upgrade_complete(head) || http_list_has(head, "Connection", "upgrade"))
        return;
    http_report_finding(report, head->response ? SERVER : CLIENT,
                        RULE_UPGRADE_WITHOUT_CONNECTION_OPTION, field->offset,
                        "Upgrade: %.*s, Connection: %.*s", HTTP_CLIP(field->value),
                        HTTP_CLIP(http_field_value(head, "Connection")));
}

static struct text token_name(struct text member)
{
    return http_text_before(member, '/');
}

/* token ["/" token] (RFC 9110 7.8) */
static int is_protocol(struct text member)
{
    struct text name = token_name(member);
    if (!http_is_token(name))
        return 0;
    if (name.len == member.len)
        return 1;
    return http_is_token((struct text){member.data + name.len + 1, member.len - name.len - 1});
}

static int is_registered(struct text name)
{
    for (size_t i = 0; i < sizeof registered / sizeof registered[0]; i++)
        if (text_is(name, registered[i]))
            return 1;
    return 0;
}

static const char *known_user(struct text name)
{
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++)
        if (text_is(name, users[i].name))
            return users[i].user;
    return "nobody known";
}

static int named_before(const struct http_head *head, struct text token, size_t count)
{
    struct http_list list = http_list_of(head, "Upgrade");
    struct text member;
    for (size_t i = 0; i < count && http_list_next(&list, &member); i++)
        if (http_text_same(member, token))
            return 1;
    return 0;
}

static void judge_token(const struct upgrade *upgrade, const struct http_report *report,
                        struct text token, uint64_t offset, size_t before)
{
    const struct http_head *request = upgrade->request;
    if (named_before(request, token, before)) {
        http_report_finding(report, CLIENT, RULE_UPGRADE_DUPLICATE_MEMBER, offset, "%.*s twice",
                            HTTP_CLIP(token));
        return;
    }
    struct text name = token_name(token);
    if (!is_registered(name))
        http_report_finding(report, CLIENT, RULE_UPGRADE_TOKEN_UNREGISTERED, offset,
                            "%.*s, used by %s", HTTP_CLIP(token), known_user(name));
    if (text_is(token, "h2c"))
        http_report_finding(report, CLIENT,
                            upgrade->secure ? RULE_H2C_ON_TLS : RULE_H2C_DEPRECATED, offset,
                            "Upgrade: h2c");
    if (text_is(token, "h2c") || text_is(name, "SPDY") ||
        text_is(token, "HTTP/2.0") || text_is(token, "HTTP/2"))
        http_report_finding(report, CLIENT, RULE_UPGRADE_TOKEN_OBSOLETE, offset, "%.*s",
                            HTTP_CLIP(token));
}

static void judge_list(const struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    struct http_list list = http_list_of(request, "Upgrade");
    struct text member;
    for (size_t i = 0; i < UPGRADE_MEMBERS_MAX && http_list_next(&list, &member); i++) {
        uint64_t offset = list.field->offset;
        if (list.field->value.len == 0)
            http_report_finding(report, CLIENT, RULE_UPGRADE_SYNTAX, offset, "Upgrade is empty");
        else if (member.len == 0)
            http_report_finding(report, CLIENT, RULE_UPGRADE_EMPTY_LIST_MEMBER, offset,
                                "Upgrade: %.*s", HTTP_CLIP(list.field->value));
        else if (!is_protocol(member))
            http_report_finding(report, CLIENT, RULE_UPGRADE_SYNTAX, offset, "'%.*s'",
                                HTTP_CLIP(member));
        else
            judge_token(upgrade, report, member, offset, i);
    }
}

/* Tokens whose specifications say GET. */
static struct text token_for_get(const struct http_head *request)
{
    static const char *const names[] = {"websocket", "connect-udp", "connect-ip"};
    struct http_list list = http_list_of(request, "Upgrade");
    struct text member;
    while (http_list_next(&list, &member))
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (text_is(member, names[i]))
                return member;
    return TEXT_NONE;
}

static int has_body(const struct http_head *request, const struct http_field **field)
{
    *field = http_field_find(request, "Transfer-Encoding");
    if (*field != NULL)
        return 1;
    *field = http_field_find(request, "Content-Length");
    if (*field == NULL)
        return 0;
    for (size_t i = 0; i < (*field)->value.len; i++) /* "0", "00", "0, 0" */
        if (strchr("0, \t", (*field)->value.data[i]) == NULL)
            return 1;
    return (*field)->value.len == 0;
}

static void judge_method(const struct http_head *request, const struct http_report *report)
{
    struct text token = token_for_get(request);
    const struct http_field *field;
    if (token.data == NULL)
        return;
    if (!http_text_equal(request->method, TEXT_LITERAL("GET")))
        http_report_finding(report, CLIENT, RULE_UPGRADE_METHOD_NOT_GET, request->offset,
                            "%.*s for %.*s", HTTP_CLIP(request->method), HTTP_CLIP(token));
    if (has_body(request, &field))
        http_report_finding(report, CLIENT, RULE_UPGRADE_WITH_BODY, field->offset,
                            "%.*s: %.*s for %.*s", HTTP_CLIP(field->name),
                            HTTP_CLIP(field->value), HTTP_CLIP(token));
}

/* --- the rest of the head --- */

static void judge_connection(const struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    static const char *const bare[] = {"close", "keep-alive", "upgrade"};
    struct http_list list = http_list_of(request, "Connection");
    struct text member;
    for (size_t i = 0; i < UPGRADE_MEMBERS_MAX && http_list_next(&list, &member); i++) {
        int skip = member.len == 0;
        for (size_t k = 0; k < sizeof bare / sizeof bare[0]; k++)
            skip |= text_is(member, bare[k]);
        if (text_is(member, "upgrade") && !upgrade->stripped)
            skip = http_field_find(request, "Upgrade") != NULL;
        for (size_t k = 0; k < request->count && !skip; k++)
            skip = http_text_same(request->fields[k].name, member);
        if (!skip)
            http_report_finding(report, CLIENT, RULE_CONNECTION_HEADER_NAMES_MISSING_FIELD,
                                list.field->offset, "Connection names %.*s", HTTP_CLIP(member));
    }
}

const struct http_field *upgrade_forwarded(const struct http_head *request)
{
    for (size_t i = 0; i < request->count; i++) {
        struct text name = request->fields[i].name;
        if (text_is(name, "Via") || text_is(name, "Forwarded") ||
            http_text_begins(name, "X-Forwarded-") || text_is(name, "X-Real-IP"))
            return &request->fields[i];
    }
    return NULL;
}

static void judge_forwarding(const struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_field *field = upgrade_forwarded(upgrade->request);
    if (field == NULL)
        return;
    struct text token = upgrade_first_token(upgrade->request);
    http_report_finding(report, CLIENT, RULE_UPGRADE_FORWARDED_BY_PROXY, field->offset,
                        "%.*s behind %.*s%s", HTTP_CLIP(token), HTTP_CLIP(field->name),
                        upgrade->websocket ? "" : ": a hop-by-hop field that was forwarded");
}

/* What makes two readers see two different requests (RFC 9112 11.2). */
static void judge_framing(const struct http_head *request, const struct http_report *report)
{
    const struct http_field *transfer = http_field_find(request, "Transfer-Encoding");
    const struct http_field *length = http_field_find(request, "Content-Length");
    const char *what = NULL;
    uint64_t offset = request->flaw_offset;
    if (transfer != NULL && length != NULL) {
        what = "Content-Length and Transfer-Encoding";
        offset = transfer->offset > length->offset ? transfer->offset : length->offset;
    } else if ((request->flags & HTTP_LENGTH_CONFLICT) != 0) {
        what = "Content-Length more than once, or no number";
    } else if ((request->flags & HTTP_SPACE_BEFORE_COLON) != 0) {
        what = "white space before a colon";
    } else if ((request->flags & HTTP_OBS_FOLD) != 0) {
        what = "a folded line";
    } else if ((request->flags & HTTP_BARE_LF) != 0) {
        what = "a line that ends in LF alone";
    }
    if (what != NULL)
        http_report_finding(report, CLIENT, RULE_AMBIGUOUS_REQUEST_FRAMING, offset, "%s", what);
}

/* --- h2c, TLS, CONNECT --- */

static int is_base64url(struct text value)
{
    size_t len = value.len;
    while (len > 0 && value.data[len - 1] == '=') /* no padding is allowed, many send it */
        len--;
    for (size_t i = 0; i < len; i++) {
        char c = value.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return 0;
    }
    return len % 4 != 1 && (len * 6 / 8) % 6 == 0;
}

static void judge_h2c(struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    const struct http_field *settings = http_field_find(request, "HTTP2-Settings");
    const struct http_field *token = http_field_find(request, "Upgrade");
    if (!http_list_has(request, "Upgrade", "h2c"))
        return;
    if (settings == NULL) {
        if (upgrade_complete(request))
            http_report_finding(report, CLIENT, RULE_H2C_SETTINGS_MISSING, token->offset,
                                "no HTTP2-Settings");
        return;
    }
    int one = http_field_count(request, "HTTP2-Settings") == 1;
    int well = is_base64url(settings->value);
    int named = http_list_has(request, "Connection", "HTTP2-Settings");
    if (!one)
        http_report_finding(report, CLIENT, RULE_H2C_SETTINGS_DUPLICATE, settings->offset,
                            "%zu lines", http_field_count(request, "HTTP2-Settings"));
    if (!well)
        http_report_finding(report, CLIENT, RULE_H2C_SETTINGS_MALFORMED, settings->offset,
                            "'%.*s'", HTTP_CLIP(settings->value));
    if (!named && upgrade_complete(request))
        http_report_finding(report, CLIENT, RULE_H2C_SETTINGS_NOT_IN_CONNECTION, settings->offset,
                            "Connection: %.*s",
                            HTTP_CLIP(http_field_value(request, "Connection")));
    upgrade->settings = one && well;
}

unsigned upgrade_tls_version(const struct http_head *head, int best)
{
    static const char *const versions[] = {"TLS/1.0", "TLS/1.1", "TLS/1.2", "TLS/1.3"};
    struct http_list list = http_list_of(head, "Upgrade");
    struct text member;
    unsigned found = 0;
    while (http_list_next(&list, &member))
        for (unsigned i = 0; i < 4; i++)
            if (text_is(member, versions[i]) &&
                (found == 0 || (best ? 10 + i > found : 10 + i < found)))
                found = 10 + i;
    return found;
}

static const struct http_field *credentials(const struct http_head *request)
{
    static const char *const names[] = {"Authorization", "Cookie", "Proxy-Authorization"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct http_field *field = http_field_find(request, names[i]);
        if (field != NULL)
            return field;
    }
    return NULL;
}

static void judge_tls(const struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    const struct http_field *token = http_field_find(request, "Upgrade");
    struct http_list list = http_list_of(request, "Upgrade");
    struct text member;
    int offers = 0;
    while (!offers && http_list_next(&list, &member))
        offers = http_text_begins(member, "TLS/");
    if (!offers)
        return;
    unsigned lowest = upgrade_tls_version(request, 0);
    if (lowest == 10 || lowest == 11)
        http_report_finding(report, CLIENT, RULE_TLS_UPGRADE_VERSION_OLD, token->offset,
                            "Upgrade: %.*s", HTTP_CLIP(token->value));
    /* OPTIONS * asks first and sends what matters later (RFC 2817 3.2). */
    const struct http_field *secret = credentials(request);
    if (secret != NULL && !upgrade->secure &&
        !http_text_equal(request->method, TEXT_LITERAL("OPTIONS")))
        http_report_finding(report, CLIENT, RULE_TLS_UPGRADE_REQUEST_LEAKS, secret->offset,
                            "%.*s in the request that asks for TLS", HTTP_CLIP(secret->name));
}

/* A host as text for the address parsers of the system; 0: longer than any address. */
static int as_string(struct text host, char copy[48])
{
    if (host.len == 0 || host.len >= 48 || memchr(host.data, '\0', host.len) != NULL)
        return 0;
    memcpy(copy, host.data, host.len);
    copy[host.len] = '\0';
    return 1;
}

static const char *private_kind4(const uint8_t a[4])
{
    if (a[0] == 127)
        return "loopback";
    if (a[0] == 0)
        return "this host";
    if (a[0] == 169 && a[1] == 254)
        return "link-local";
    if (a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168))
        return "private";
    return NULL;
}

/* The kind of an address that no proxy should reach for others; NULL: it is none, or a name. Also
 * in the forms that only resolvers know ("127.1", "2130706433"). */
static const char *private_kind(struct text host)
{
    char copy[48];
    struct in_addr v4;
    uint8_t a[16];
    static const uint8_t zeros[15], mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (text_is(host, "localhost") || text_is(host, "localhost."))
        return "loopback";
    if (!as_string(host, copy))
        return NULL;
    if (inet_aton(copy, &v4) != 0) {
        memcpy(a, &v4, 4);
        return private_kind4(a);
    }
    if (inet_pton(AF_INET6, copy, a) != 1)
        return NULL;
    if (memcmp(a, zeros, 15) == 0 && a[15] < 2)
        return a[15] == 1 ? "loopback" : "this host";
    if (memcmp(a, mapped, sizeof mapped) == 0)
        return private_kind4(a + 12);
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
        return "link-local";
    return (a[0] & 0xfe) == 0xfc ? "private" : NULL;
}

static int is_port(struct text text)
{
    size_t at = 0;
    while (at < text.len && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    return at > 0 && at == text.len;
}

static void judge_connect(const struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    struct text host, port, target = request->target, uri = http_uri_authority(target);
    if (uri.data != NULL) /* of another form than CONNECT has (RFC 9112 3.2.3) */
        target = uri;
    struct text user = http_text_before(target, '@');
    if (user.len < target.len) {
        target.data += user.len + 1;
        target.len -= user.len + 1;
    }
    http_authority_split(target, &host, &port);
    const char *kind = private_kind(host);
    if (kind != NULL)
        http_report_finding(report, CLIENT, RULE_CONNECT_TO_PRIVATE_ADDRESS, request->offset,
                            "%.*s is a %s address", HTTP_CLIP(host), kind);
    if (is_port(port) && !text_is(port, "443") && !text_is(port, "80") && !text_is(port, "8443"))
        http_report_finding(report, CLIENT, RULE_CONNECT_TO_UNUSUAL_PORT, request->offset,
                            "port %.*s", HTTP_CLIP(port));
}

/* RFC 8441 4: unlike a CONNECT it names what it wants in full. */
static void judge_extended(const struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    int scheme = http_field_find(request, ":scheme") != NULL;
    int path = http_field_find(request, ":path") != NULL;
    if ((scheme && path) || !upgrade_complete(request))
        return;
    http_report_finding(report, CLIENT, RULE_EXT_CONNECT_MISSING_SCHEME_OR_PATH, request->offset,
                        ":protocol %.*s without %s%s%s",
                        HTTP_CLIP(http_field_value(request, ":protocol")), scheme ? "" : ":scheme",
                        scheme || path ? "" : " and ", path ? "" : ":path");
}

/* --- credentials in the clear --- */

static int ends_with(struct text text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && text_is((struct text){text.data + text.len - len, len}, end);
}

/* "token", "id_token", "userPassword": what is redacted, too. */
static int is_secret_name(struct text name)
{
    static const char *const ends[] = {"token", "auth", "authorization", "api_key", "apikey",
                                       "api-key", "jwt", "password", "passwd", "secret", "session"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(name, ends[i]))
            return 1;
    return 0;
}

static int query_has_secret(struct text target)
{
    struct text path = http_text_before(target, '?');
    struct text rest = {target.data + path.len, target.len - path.len};
    while (rest.len > 1) {
        rest.data++;
        rest.len--;
        struct text pair = http_text_before(rest, '&');
        struct text name = http_text_before(pair, '=');
        if (pair.len > name.len + 1 && is_secret_name(name))
            return 1;
        rest.data += pair.len;
        rest.len -= pair.len;
    }
    return 0;
}

/* What the client spoke to the first proxy, as far as proxies told. */
static struct text first_scheme(const struct http_head *request)
{
    struct http_list list = http_list_of(request, "X-Forwarded-Proto");
    struct text member;
    if (http_list_next(&list, &member) && member.len > 0)
        return member;
    list = http_list_of(request, "Forwarded");
    if (!http_list_next(&list, &member))
        return TEXT_NONE;
    struct http_params params = http_params_of(member);
    struct http_param param;
    while (http_params_next(&params, &param))
        if (text_is(param.name, "proto"))
            return param.value;
    return TEXT_NONE;
}

/* "bearer" as a word of a subprotocol's name, or as all of it. */
static int says_bearer(struct text protocol)
{
    while (protocol.len > 0) {
        size_t word = 0;
        while (word < protocol.len && strchr(".-_", protocol.data[word]) == NULL)
            word++;
        if (text_is((struct text){protocol.data, word}, "bearer"))
            return 1;
        size_t skip = word < protocol.len ? word + 1 : word;
        protocol.data += skip;
        protocol.len -= skip;
    }
    return 0;
}

/* The field that has a subprotocol which is a bearer token, or NULL. */
static const struct http_field *bearer(const struct http_head *request)
{
    struct http_list list = http_list_of(request, "Sec-WebSocket-Protocol");
    struct text member;
    while (http_list_next(&list, &member))
        if (says_bearer(member))
            return list.field;
    return NULL;
}

static void judge_cleartext(const struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    const struct http_field *field = credentials(request);
    const struct http_field *protocol = bearer(request);
    uint64_t offset = request->offset;
    struct text what = TEXT_NONE;
    if (upgrade->secure)
        return;
    if (field != NULL) {
        what = field->name;
        offset = field->offset;
    } else if (query_has_secret(request->target)) {
        what = TEXT_LITERAL("a token in the query");
    } else if (protocol != NULL) {
        what = TEXT_LITERAL("a bearer token in Sec-WebSocket-Protocol");
        offset = protocol->offset;
    } else {
        return;
    }
    struct text scheme = first_scheme(request);
    int encrypted = text_is(scheme, "https") || text_is(scheme, "wss");
    http_report_finding(report, CLIENT, RULE_CLEARTEXT_CREDENTIALS_IN_HANDSHAKE, offset,
                        "%.*s%s", HTTP_CLIP(what),
                        encrypted ? "; the first hop was encrypted" : "");
}

/* --- the door --- */

static void judge_upgrade(struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    const struct http_field *field = http_field_find(request, "Upgrade");
    judge_framing(request, report);
    if (upgrade_complete(request))
        judge_connection(upgrade, report);
    if (field == NULL)
        return;
    upgrade_connection_option(request, report);
    judge_list(upgrade, report);
    if (request->minor == 0)
        http_report_finding(report, CLIENT, RULE_UPGRADE_IN_HTTP10, field->offset,
                            "HTTP/1.0 with Upgrade: %.*s", HTTP_CLIP(field->value));
    judge_method(request, report);
    judge_forwarding(upgrade, report);
    judge_h2c(upgrade, report);
    judge_tls(upgrade, report);
}

void upgrade_request(struct upgrade *upgrade, const struct http_report *report)
{
    const struct http_head *request = upgrade->request;
    if (upgrade->mechanism == MECHANISM_CONNECT) {
        judge_connect(upgrade, report);
        return;
    }
    if (upgrade->mechanism == MECHANISM_EXTENDED_CONNECT)
        judge_extended(upgrade, report);
    else
        judge_upgrade(upgrade, report);
    if (upgrade->stripped) {
        const struct http_field *left = http_field_find(request, "Sec-WebSocket-Key");
        if (left == NULL)
            left = http_field_find(request, "Sec-WebSocket-Version");
        http_report_finding(report, CLIENT, RULE_UPGRADE_STRIPPED_BY_PROXY, left->offset,
                            "%.*s without websocket in Upgrade (HTTP/1.%u)", HTTP_CLIP(left->name),
                            request->minor);
    } else if (upgrade->websocket) {
        upgrade->broken = ws_handshake_request(request, report);
    }
    if (upgrade->websocket || upgrade->stripped)
        judge_cleartext(upgrade, report);
}
