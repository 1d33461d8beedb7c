/*
 * The WebSocket opening handshake (RFC 6455 4.1, 4.2, 11.3): key and accept, version, subprotocols
 * (with the registry of RFC 7936), extensions. The cross-connection rules about keys are queries of
 * the database and not made here.
 */
#include "ws_handshake.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
#define SAMPLE_KEY "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 1.3 */

/* IANA, WebSocket Subprotocol Name Registry, as of 2026-01-12. */
static const char *const subprotocols[] = {
    "MBWS.huawei.com", "MBLWS.huawei.com", "soap", "wamp", "v10.stomp", "v11.stomp", "v12.stomp",
    "ocpp1.2", "ocpp1.5", "ocpp1.6", "ocpp2.0", "ocpp2.0.1", "ocpp2.1", "rfb", "sip",
    "notificationchannel-netapi-rest.openmobilealliance.org", "wpcp", "amqp", "mqtt", "jsflow",
    "rwpcp", "xmpp", "ship", "mielecloudconnect", "v10.pcp.sap.com", "msrp", "v1.saltyrtc.org",
    "TLCP-2.0.0.lightstreamer.com", "bfcp", "sldp.softvelum.com", "opcua+uacp", "opcua+uajson",
    "v1.swindon-lattice+json", "v1.usp", "mles-websocket", "coap", "TLCP-2.1.0.lightstreamer.com",
    "sqlnet.oracle.com", "oneM2M.R2.0.json", "oneM2M.R2.0.xml", "oneM2M.R2.0.cbor", "transit",
    "2016.serverpush.dash.mpeg.org", "2018.mmt.mpeg.org", "clue", "webrtc.softvelum.com",
    "cobra.v2.json", "drp", "hub.bsc.bacnet.org", "dc.bsc.bacnet.org", "jmap", "t140",
    "done", "TLCP-2.2.0.lightstreamer.com", "collection-update", "TLCP-2.3.0.lightstreamer.com",
    "text.ircv3.net", "binary.ircv3.net", "v3.penguin-stats.live+proto",
    "TLCP-2.4.0.lightstreamer.com", "TLCP-2.5.0.lightstreamer.com",
};

/* Members of a list that are judged one by one; what is compared with is searched in full. */
enum { MEMBERS_MAX = 64 };

static const char *const extensions[] = {"permessage-deflate", "bbf-usp-protocol"};

/* --- key and accept --- */

int ws_handshake_accept(struct text key, char accept[29])
{
    unsigned char input[256 + sizeof guid], digest[SHA_DIGEST_LENGTH];
    size_t len = key.len < 256 ? key.len : 256;
    if (len > 0)
        memcpy(input, key.data, len);
    memcpy(input + len, guid, sizeof guid - 1);
    if (SHA1(input, len + sizeof guid - 1, digest) == NULL)
        return -1;
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    return 0;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* 16 bytes in base64 are 22 characters and two '='. 0, or -1: they are something else. */
static int decode_key(struct text key, uint8_t bytes[16])
{
    if (key.len != 24 || key.data[22] != '=' || key.data[23] != '=')
        return -1;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t out = 0;
    for (size_t i = 0; i < 22; i++) {
        int value = base64_value(key.data[i]);
        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8 && out < 16) {
            have -= 8;
            bytes[out++] = (uint8_t)(bits >> have);
        }
    }
    return 0;
}

static int is_constant(const uint8_t bytes[16])
{
    for (size_t i = 1; i < 16; i++)
        if (bytes[i] != bytes[0])
            return 0;
    return 1;
}

/* --- the request --- */

struct judge {
    const struct http_head *request, *answer;
    const struct http_report *report;
    int broken;
};

static int complete(const struct http_head *head)
{
    return (head->flags & HTTP_INCOMPLETE) == 0;
}

/* hixie-76 and the hybi drafts before RFC 6455. */
static int legacy(const struct http_head *request, const struct http_field **field)
{
    static const char *const names[] = {"Sec-WebSocket-Key1", "Sec-WebSocket-Key2",
                                        "Sec-WebSocket-Draft", "Sec-WebSocket-Origin"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        *field = http_field_find(request, names[i]);
        if (*field != NULL)
            return i < 3 ? 2 : 1; /* 2: of a time before Sec-WebSocket-Key */
    }
    *field = http_field_find(request, "Sec-WebSocket-Version");
    struct text version = *field != NULL ? (*field)->value : TEXT_NONE;
    if (text_is(version, "7") || text_is(version, "8"))
        return 1;
    *field = NULL;
    return 0;
}

static void judge_version(struct judge *j, int old)
{
    const struct http_field *version = http_field_find(j->request, "Sec-WebSocket-Version");
    if (version == NULL) {
        if (!complete(j->request) || old == 2)
            return;
        http_report_finding(j->report, CLIENT, RULE_WS_VERSION_MISSING, j->request->offset,
                            "no Sec-WebSocket-Version");
        j->broken = 1;
        return;
    }
    if (!text_is(version->value, "13")) {
        http_report_finding(j->report, CLIENT, RULE_WS_VERSION_NOT_13, version->offset,
                            "Sec-WebSocket-Version: %.*s", HTTP_CLIP(version->value));
        j->broken = 1;
    }
    if (http_field_count(j->request, "Sec-WebSocket-Version") > 1)
        http_report_finding(j->report, CLIENT, RULE_WS_VERSION_HEADER_DUPLICATE, version->offset,
                            "%zu lines", http_field_count(j->request, "Sec-WebSocket-Version"));
}

static void judge_key(struct judge *j, int old)
{
    const struct http_field *key = http_field_find(j->request, "Sec-WebSocket-Key");
    uint8_t bytes[16];
    if (key == NULL) {
        if (!complete(j->request) || old == 2)
            return;
        http_report_finding(j->report, CLIENT, RULE_WS_KEY_MISSING, j->request->offset,
                            "no Sec-WebSocket-Key");
        j->broken = 1;
        return;
    }
    if (http_field_count(j->request, "Sec-WebSocket-Key") > 1) {
        http_report_finding(j->report, CLIENT, RULE_WS_KEY_DUPLICATE, key->offset, "%zu lines",
                            http_field_count(j->request, "Sec-WebSocket-Key"));
        j->broken = 1;
    }
    if (decode_key(key->value, bytes) != 0) {
        http_report_finding(j->report, CLIENT, RULE_WS_KEY_LENGTH, key->offset,
                            "'%.*s' is not 16 bytes in base64", HTTP_CLIP(key->value));
        j->broken = 1;
    } else if (http_text_equal(key->value, TEXT_LITERAL(SAMPLE_KEY)) || is_constant(bytes)) {
        http_report_finding(j->report, CLIENT, RULE_WS_KEY_WELL_KNOWN, key->offset, "%.*s",
                            HTTP_CLIP(key->value));
    }
}

static void judge_host(struct judge *j)
{
    if (http_field_find(j->request, "Host") != NULL || !complete(j->request))
        return;
    http_report_finding(j->report, CLIENT, RULE_WS_HOST_MISSING, j->request->offset, "no Host");
    j->broken = 1;
}

/* Absolute form is for proxies (RFC 9112 3.2.2); the fields that only a proxy gets excuse it. */
static void judge_target(struct judge *j)
{
    struct text target = j->request->target;
    if (target.len == 0 || target.data[0] == '/' || !complete(j->request) ||
        http_field_find(j->request, "Proxy-Connection") != NULL ||
        http_field_find(j->request, "Proxy-Authorization") != NULL)
        return;
    struct text scheme = http_text_before(target, ':');
    int absolute = http_uri_authority(target).data != NULL;
    if (absolute && (text_is(scheme, "http") || text_is(scheme, "https")))
        return; /* as good as a path to RFC 6455 4.1 (3) */
    http_report_finding(j->report, CLIENT, RULE_WS_REQUEST_TARGET_FORM, j->request->offset,
                        "%s%.*s", absolute ? "absolute form, scheme " : "not a path: ",
                        HTTP_CLIP(absolute ? scheme : http_text_before(target, '?')));
}

/* --- subprotocols --- */

enum known { UNKNOWN, CASE_VARIANT, REGISTERED };

static enum known registered(struct text name, const char **as)
{
    enum known known = UNKNOWN;
    for (size_t i = 0; i < sizeof subprotocols / sizeof subprotocols[0]; i++) {
        if (!text_is(name, subprotocols[i]))
            continue;
        *as = subprotocols[i];
        if (memcmp(name.data, subprotocols[i], name.len) == 0)
            return REGISTERED;
        known = CASE_VARIANT;
    }
    return known;
}

/* Subprotocols are misused to carry tokens, because browsers let scripts set no other field. */
static int may_be_secret(struct text name)
{
    return name.len > 40 || http_text_contains(name, "bearer") ||
           http_text_contains(name, "token") || http_text_contains(name, "auth");
}

static struct text shown(struct text name)
{
    return may_be_secret(name) ? TEXT_LITERAL("(a name that may be a secret)") : name;
}

static int offered_before(const struct http_head *request, struct text name, size_t count)
{
    struct http_list list = http_list_of(request, "Sec-WebSocket-Protocol");
    struct text member;
    for (size_t i = 0; i < count && http_list_next(&list, &member); i++)
        if (http_text_equal(member, name))
            return 1;
    return 0;
}

static void judge_subprotocol(struct judge *j, struct text name, uint64_t offset, size_t before)
{
    const char *as = "";
    if (!http_is_token(name)) {
        http_report_finding(j->report, CLIENT, RULE_WS_SUBPROTOCOL_SYNTAX, offset, "'%.*s'",
                            HTTP_CLIP(shown(name)));
        return;
    }
    if (offered_before(j->request, name, before)) {
        http_report_finding(j->report, CLIENT, RULE_WS_SUBPROTOCOL_DUPLICATE_OFFER, offset,
                            "%.*s twice", HTTP_CLIP(shown(name)));
        return;
    }
    enum known known = registered(name, &as);
    if (known == CASE_VARIANT)
        http_report_finding(j->report, CLIENT, RULE_WS_SUBPROTOCOL_CASE_VARIANT, offset,
                            "%.*s is registered as %s", HTTP_CLIP(name), as);
    else if (known == UNKNOWN)
        http_report_finding(j->report, CLIENT, RULE_WS_SUBPROTOCOL_UNREGISTERED, offset, "%.*s",
                            HTTP_CLIP(shown(name)));
}

static void judge_subprotocols(struct judge *j)
{
    struct http_list list = http_list_of(j->request, "Sec-WebSocket-Protocol");
    struct text member;
    size_t before = 0;
    while (before < MEMBERS_MAX && http_list_next(&list, &member)) {
        judge_subprotocol(j, member, list.field->offset, before);
        before++;
    }
}

/* --- extensions --- */

static struct text extension_name(struct text member)
{
    return http_text_trim(http_text_before(member, ';'));
}

static int extension_syntax(struct text member)
{
    struct http_params params = http_params_of(member);
    struct http_param param;
    for (int first = 1; http_params_next(&params, &param); first = 0) {
        if (param.bad || (first && param.value.data != NULL))
            return 0;
        /* A quoted value has to be a token without its quotes (RFC 6455 9.1). */
        if (param.quoted && !http_is_token(param.value))
            return 0;
    }
    return 1;
}

/* Is a member what the list rules of RFC 2616 allow, and a registered extension? */
static void judge_extensions(struct judge *j, const struct http_head *head)
{
    enum side side = head->response ? SERVER : CLIENT;
    struct http_list list = http_list_of(head, "Sec-WebSocket-Extensions");
    struct text member;
    for (int i = 0; i < MEMBERS_MAX && http_list_next(&list, &member); i++) {
        if (member.len == 0)
            continue;
        if (!extension_syntax(member)) {
            http_report_finding(j->report, side, RULE_WS_EXTENSION_SYNTAX, list.field->offset,
                                "%.*s", HTTP_CLIP(member));
            continue;
        }
        struct text name = extension_name(member);
        int known = 0;
        for (size_t k = 0; k < sizeof extensions / sizeof extensions[0]; k++)
            known |= text_is(name, extensions[k]);
        if (!known)
            http_report_finding(j->report, side, RULE_WS_EXTENSION_UNREGISTERED,
                                list.field->offset, "%.*s", HTTP_CLIP(name));
    }
}

static void judge_offers(struct judge *j)
{
    struct http_list list = http_list_of(j->request, "Sec-WebSocket-Extensions");
    struct text member;
    for (int i = 0; i < MEMBERS_MAX && http_list_next(&list, &member); i++)
        if (text_is(extension_name(member), "permessage-deflate"))
            (void)ws_deflate_read(member, 0, j->report, list.field->offset);
}

int ws_handshake_request(const struct http_head *request, const struct http_report *report)
{
    struct judge j = {.request = request, .report = report};
    const struct http_field *old_field;
    int old = legacy(request, &old_field);
    if (old)
        http_report_finding(report, CLIENT, RULE_WS_HANDSHAKE_ON_LEGACY_DRAFT, old_field->offset,
                            "%.*s", HTTP_CLIP(old_field->name));
    judge_version(&j, old);
    if (!request->http2) {
        judge_key(&j, old);
        judge_host(&j);
        judge_target(&j);
    }
    judge_subprotocols(&j);
    judge_extensions(&j, request);
    judge_offers(&j);
    return j.broken;
}

/* --- the answer --- */

static int judge_accept(struct judge *j, int unsure)
{
    const struct http_field *accept = http_field_find(j->answer, "Sec-WebSocket-Accept");
    const struct http_field *key =
        j->request != NULL ? http_field_find(j->request, "Sec-WebSocket-Key") : NULL;
    const struct http_field *unused;
    if (accept == NULL) {
        if (complete(j->answer) && !(j->request != NULL && legacy(j->request, &unused) == 2))
            http_report_finding(j->report, SERVER, RULE_WS_ACCEPT_MISSING, j->answer->offset,
                                "no Sec-WebSocket-Accept");
        return -1;
    }
    if (http_field_count(j->answer, "Sec-WebSocket-Accept") > 1)
        http_report_finding(j->report, SERVER, RULE_WS_ACCEPT_DUPLICATE, accept->offset,
                            "%zu lines", http_field_count(j->answer, "Sec-WebSocket-Accept"));
    if (key == NULL)
        return -1;
    char right[29];
    for (size_t i = 0; i < j->request->count; i++) { /* of several keys, any: that was told */
        if (!text_is(j->request->fields[i].name, "Sec-WebSocket-Key"))
            continue;
        if (ws_handshake_accept(j->request->fields[i].value, right) != 0)
            return -1;
        if (http_text_equal(accept->value, (struct text){right, 28}))
            return 1;
    }
    if (http_field_count(j->request, "Sec-WebSocket-Key") > 1) /* joined, maybe */
        return -1;
    if (unsure)
        return -1;
    if (http_text_equal(accept->value, key->value))
        http_report_finding(j->report, SERVER, RULE_WS_ACCEPT_ECHOES_KEY, accept->offset,
                            "%.*s is the request's key", HTTP_CLIP(accept->value));
    else
        http_report_finding(j->report, SERVER, RULE_WS_ACCEPT_WRONG, accept->offset,
                            "%.*s, expected %s", HTTP_CLIP(accept->value), right);
    return 0;
}

static void answer_subprotocol(struct judge *j, int compare, struct ws_agreement *agreement)
{
    static const char name[] = "Sec-WebSocket-Protocol";
    struct http_list list = http_list_of(j->answer, name);
    struct text member, chosen = TEXT_NONE;
    const struct http_field *field = http_field_find(j->answer, name);
    size_t members = 0;
    while (http_list_next(&list, &member)) {
        if (members++ == 0 && member.len > 0)
            chosen = member;
    }
    agreement->subprotocol = chosen;
    if (members > 1)
        http_report_finding(j->report, SERVER, RULE_WS_SUBPROTOCOL_MULTIPLE, field->offset,
                            "%zu subprotocols in the answer", members);
    if (!compare)
        return;
    list = http_list_of(j->answer, name);
    for (int i = 0; i < MEMBERS_MAX && http_list_next(&list, &member); i++) {
        if ((member.len == 0 && list.field->value.len > 0) ||
            offered_before(j->request, member, SIZE_MAX))
            continue;
        http_report_finding(j->report, SERVER, RULE_WS_SUBPROTOCOL_NOT_OFFERED,
                            list.field->offset, "'%.*s'", HTTP_CLIP(shown(member)));
        break;
    }
    if (members == 0 && complete(j->answer) && http_field_find(j->request, name) != NULL)
        http_report_finding(j->report, SERVER, RULE_WS_SUBPROTOCOL_OFFERED_NONE_CHOSEN,
                            j->answer->offset, "the answer names no subprotocol");
}

static void agree_deflate(struct judge *j, int compare, int offered, struct text member,
                          uint64_t offset, struct ws_agreement *agreement)
{
    struct ws_deflate deflate = ws_deflate_read(member, 1, j->report, offset);
    if (compare && offered)
        ws_deflate_compare(j->request, &deflate, j->report, offset);
    if (agreement->deflate)
        return;
    agreement->deflate = 1;
    agreement->server_no_context_takeover = deflate.server_no_context_takeover;
    agreement->client_no_context_takeover = deflate.client_no_context_takeover;
    agreement->server_max_window_bits = deflate.server_max_window_bits;
    agreement->client_max_window_bits = deflate.client_max_window_bits;
}

static int extension_offered(const struct http_head *request, struct text name)
{
    return request != NULL && http_list_has_text(request, "Sec-WebSocket-Extensions", name);
}

static void answer_extensions(struct judge *j, int compare, struct ws_agreement *agreement)
{
    static const char name[] = "Sec-WebSocket-Extensions";
    struct http_list list = http_list_of(j->answer, name);
    struct text member;
    judge_extensions(j, j->answer);
    if (http_field_count(j->answer, name) > 1)
        http_report_finding(j->report, SERVER, RULE_WS_EXTENSIONS_DUPLICATE_IN_RESPONSE,
                            http_field_find(j->answer, name)->offset, "%zu lines",
                            http_field_count(j->answer, name));
    for (int i = 0; i < MEMBERS_MAX && http_list_next(&list, &member); i++) {
        struct text extension = extension_name(member);
        if (extension.len == 0)
            continue;
        int offered = extension_offered(j->request, extension);
        if (compare && !offered)
            http_report_finding(j->report, SERVER, RULE_WS_EXTENSION_NOT_OFFERED,
                                list.field->offset, "%.*s", HTTP_CLIP(extension));
        if (text_is(extension, "permessage-deflate"))
            agree_deflate(j, compare, offered, member, list.field->offset, agreement);
        else
            agreement->other_extensions = 1;
    }
}

void ws_handshake_answer(const struct http_head *request, const struct http_head *answer,
                         int broken, int unsure, const struct http_report *report,
                         struct ws_agreement *agreement)
{
    struct judge j = {.request = request, .answer = answer, .report = report};
    int compare = request != NULL && complete(request) && !unsure;
    *agreement = (struct ws_agreement){.accept_valid = -1};
    if (!answer->http2)
        agreement->accept_valid = judge_accept(&j, unsure);
    answer_subprotocol(&j, compare, agreement);
    answer_extensions(&j, compare, agreement);
    if (broken && compare)
        http_report_finding(report, SERVER, RULE_WS_101_DESPITE_BAD_REQUEST, answer->offset,
                            "%u although %s of the request is wrong", answer->status,
                            answer->http2 ? "the version" : "version, key or Host");
}
