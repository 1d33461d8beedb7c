/*
 * The parameters of permessage-deflate in an offer and in its answer (RFC 7692 5.1, 7.1).
 */
#include <string.h>

#include "ws_handshake.h"

static const char deflate_name[] = "permessage-deflate";

enum parameter { SERVER_TAKEOVER, CLIENT_TAKEOVER, SERVER_WINDOW, CLIENT_WINDOW, PARAMETERS };

static const char *const parameter_names[PARAMETERS] = {
    "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits",
    "client_max_window_bits"};

static enum parameter find_parameter(struct text name)
{
    for (int i = 0; i < PARAMETERS; i++)
        if (text_is(name, parameter_names[i]))
            return (enum parameter)i;
    return PARAMETERS;
}

/* 8 to 15 without a leading zero (RFC 7692 7.1.2); 0: it is not. */
static unsigned window_bits(struct text value)
{
    unsigned bits = 0;
    if (value.len == 0 || value.len > 2 || value.data[0] == '0')
        return 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return 0;
        bits = bits * 10 + (unsigned)(value.data[i] - '0');
    }
    return bits >= 8 && bits <= 15 ? bits : 0;
}

static void read_window(const struct http_param *param, enum parameter which, int response,
                        const struct http_report *report, uint64_t offset,
                        struct ws_deflate *deflate)
{
    enum side side = response ? SERVER : CLIENT;
    unsigned bits = window_bits(param->value);
    /* Only an offer may name client_max_window_bits without a value (7.1.2.2). */
    int bare = param->value.data == NULL;
    if (bits == 0 && !(bare && which == CLIENT_WINDOW && !response)) {
        http_report_finding(report, side, RULE_PMD_WINDOW_OUT_OF_RANGE, offset, "%s%s%.*s%s",
                            parameter_names[which], bare ? "" : "=", HTTP_CLIP(param->value),
                            bare ? " without a value" : "");
        deflate->bad = 1;
    }
    if (which == SERVER_WINDOW) {
        deflate->server_window = 1;
        deflate->server_max_window_bits = bits;
    } else {
        deflate->client_window = 1;
        deflate->client_max_window_bits = bits;
    }
}

static void read_takeover(const struct http_param *param, enum parameter which, int response,
                          const struct http_report *report, uint64_t offset,
                          struct ws_deflate *deflate)
{
    if (param->value.data != NULL) {
        http_report_finding(report, response ? SERVER : CLIENT, RULE_PMD_TAKEOVER_WITH_VALUE,
                            offset, "%s=%.*s", parameter_names[which], HTTP_CLIP(param->value));
        deflate->bad = 1;
    }
    if (which == SERVER_TAKEOVER)
        deflate->server_no_context_takeover = 1;
    else
        deflate->client_no_context_takeover = 1;
}

struct ws_deflate ws_deflate_read(struct text member, int response,
                                  const struct http_report *report, uint64_t offset)
{
    struct ws_deflate deflate = {.present = 1};
    enum side side = response ? SERVER : CLIENT;
    struct http_params params = http_params_of(member);
    struct http_param param;
    unsigned seen = 0;
    (void)http_params_next(&params, &param); /* the name */
    while (http_params_next(&params, &param)) {
        if (param.bad) {
            deflate.bad = 1; /* ws-extension-syntax says so */
            if (!http_is_token(param.name))
                continue;
        }
        enum parameter which = find_parameter(param.name);
        if (which == PARAMETERS) {
            http_report_finding(report, side, RULE_PMD_UNKNOWN_PARAMETER, offset, "%.*s",
                                HTTP_CLIP(param.name));
            deflate.bad = 1;
            continue;
        }
        if ((seen & 1u << which) != 0) {
            http_report_finding(report, side, RULE_PMD_DUPLICATE_PARAMETER, offset, "%s twice",
                                parameter_names[which]);
            deflate.bad = 1;
            continue;
        }
        seen |= 1u << which;
        if (which == SERVER_WINDOW || which == CLIENT_WINDOW)
            read_window(&param, which, response, report, offset, &deflate);
        else
            read_takeover(&param, which, response, report, offset, &deflate);
    }
    return deflate;
}

/* --- does the answer keep to an offer? --- */

enum broken {
    WINDOW_LARGER = 1,
    CLIENT_NOT_OFFERED = 2,
    WINDOW_IGNORED = 4,
    TAKEOVER_IGNORED = 8
};

static unsigned compare(const struct ws_deflate *offer, const struct ws_deflate *answer)
{
    unsigned broken = 0;
    if (offer->server_window && !answer->server_window)
        broken |= WINDOW_IGNORED;
    if (offer->server_max_window_bits != 0 &&
        answer->server_max_window_bits > offer->server_max_window_bits)
        broken |= WINDOW_LARGER;
    if (answer->client_window && !offer->client_window)
        broken |= CLIENT_NOT_OFFERED;
    if (offer->server_no_context_takeover && !answer->server_no_context_takeover)
        broken |= TAKEOVER_IGNORED;
    return broken;
}

static void ignore(void *context, enum side side, enum rule rule, uint64_t offset,
                   struct text evidence)
{
    (void)context;
    (void)side;
    (void)rule;
    (void)offset;
    (void)evidence;
}

static unsigned count_bits(unsigned bits)
{
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

void ws_deflate_compare(const struct http_head *request, const struct ws_deflate *answer,
                        const struct http_report *report, uint64_t offset)
{
    static const struct http_report silent = {.finding = ignore};
    struct http_list list = http_list_of(request, "Sec-WebSocket-Extensions");
    struct text member;
    struct ws_deflate nearest = {0};
    unsigned least = 0;
    while (http_list_next(&list, &member)) {
        if (!text_is(http_text_trim(http_text_before(member, ';')), deflate_name))
            continue;
        struct ws_deflate offer = ws_deflate_read(member, 0, &silent, 0);
        unsigned broken = compare(&offer, answer);
        if (!nearest.present || count_bits(broken) < count_bits(least)) {
            nearest = offer;
            least = broken;
        }
    }
    if (!nearest.present)
        return;
    if ((least & WINDOW_LARGER) != 0)
        http_report_finding(report, SERVER, RULE_PMD_RESPONSE_WINDOW_LARGER_THAN_OFFER, offset,
                            "offered %u, answered %u", nearest.server_max_window_bits,
                            answer->server_max_window_bits);
    if ((least & CLIENT_NOT_OFFERED) != 0)
        http_report_finding(report, SERVER, RULE_PMD_CLIENT_WINDOW_NOT_OFFERED, offset,
                            "client_max_window_bits in the answer only");
    if ((least & WINDOW_IGNORED) != 0)
        http_report_finding(report, SERVER, RULE_PMD_SERVER_WINDOW_IGNORED, offset,
                            "server_max_window_bits=%u was asked for",
                            nearest.server_max_window_bits);
    if ((least & TAKEOVER_IGNORED) != 0)
        http_report_finding(report, SERVER, RULE_PMD_SERVER_TAKEOVER_IGNORED, offset,
                            "server_no_context_takeover was asked for");
}
