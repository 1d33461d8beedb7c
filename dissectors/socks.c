/*
 * SOCKS 5 (RFC 1928, with 1929 and 1961), 4 and 4a: what is asked for, where to, and what the proxy
 * answers; what the tunnel carries is decided by its bytes. Client and server speak in turn, but a
 * client may send everything ahead: that is held until the answers are there. User names and
 * passwords are passed over. Requests that a method encrypts are not seen, only that there was one.
 */
#include "socks.h"

#include <stdio.h>
#include <string.h>

#include "detail.h"

enum { REPLY4_LEN = 8, REPLY5_LEN = 10, SEARCHED_MOST = 4096 };

enum stage { /* whose turn it is, and with what */
    GREETING, /* client: its methods, or all of SOCKS4 */
    METHOD,   /* server: the one it chose */
    PROOF,    /* client: user and password, or a message of GSSAPI */
    VERDICT,  /* server: on that */
    REQUEST,  /* client */
    REPLY,    /* server */
    VISITOR,  /* server: the second reply to BIND, somebody has come */
    OVER      /* nothing more can be learnt */
};

struct socks {
    struct layer *layer;
    enum stage stage;
    unsigned version; /* 4 or 5 */
    int named;        /* SOCKS4a */
    struct socks_greeting greeting;
    int method;       /* -1: not chosen, or the choice was not captured */
    int missing;      /* the server's message that is due was not captured, but the next will be */
    int lost[2];      /* bytes of a side were not captured: its place is not known */
    unsigned command;
    uint32_t session;
    int answered;
    uint64_t asked_at, asked_packet; /* the last byte of the client's newest message */
    int64_t asked_ns;
    uint64_t replies_at; /* where the server's next message begins, in its root stream */
    int replies_known;
    char reason[32]; /* of a reply that has no words */
    char target[SOCKS_TARGET_MOST];
    size_t target_len, host_len;
};

static enum side turn_of(enum stage stage)
{
    return stage == GREETING || stage == PROOF || stage == REQUEST ? CLIENT : SERVER;
}

/* --- events --- */

static struct text version_name(const struct socks *s)
{
    return s->version == 5 ? TEXT_LITERAL("SOCKS5")
           : s->named      ? TEXT_LITERAL("SOCKS4a")
                           : TEXT_LITERAL("SOCKS4");
}

static struct text command_name(unsigned command)
{
    return command == SOCKS_CONNECT         ? TEXT_LITERAL("CONNECT")
           : command == SOCKS_BIND          ? TEXT_LITERAL("BIND")
           : command == SOCKS_UDP_ASSOCIATE ? TEXT_LITERAL("UDP ASSOCIATE")
                                            : TEXT_NONE;
}

/* The attempt, with what is known of it. lost: its request was not captured. */
static void open_session(struct socks *s, int lost)
{
    s->session = layer_session_new(s->layer);
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = s->session,
                          .offset = s->asked_at, .packet = s->asked_packet,
                          .time_ns = s->asked_ns};
    struct event_session_open *open = &event.u.session_open;
    open->mechanism = MECHANISM_SOCKS;
    open->offered = version_name(s);
    open->method = command_name(s->command);
    open->request_lost = lost;
    if (s->target_len > 0) {
        open->target = (struct text){s->target, s->target_len};
        open->host = (struct text){s->target, s->host_len};
    }
    layer_emit(s->layer, CLIENT, &event);
}

/* reason NULL: the answer was not captured. */
static void answer(struct socks *s, enum cause cause, const char *reason, uint64_t offset)
{
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = s->session, .offset = offset};
    struct event_session_answer *out = &event.u.session_answer;
    s->answered = 1;
    out->outcome = cause == CAUSE_NONE ? OUTCOME_SWITCHED : OUTCOME_REFUSED;
    out->cause = cause;
    if (reason != NULL)
        out->reason = (struct text){reason, strlen(reason)};
    if (cause == CAUSE_NONE)
        out->accepted = version_name(s);
    layer_emit(s->layer, SERVER, &event);
}

static void tell_unresolved(struct socks *s, enum side side, uint64_t offset, const char *why)
{
    struct event event = {.kind = EVENT_FINDING, .session = s->session, .offset = offset};
    event.u.finding = (struct event_finding){.rule = RULE_SWITCH_UNRESOLVED,
                                             .evidence = {why, strlen(why)}};
    s->answered = 1;
    layer_emit(s->layer, side, &event);
}

/* --- going on --- */

static struct result need_more(const struct slice *slice)
{
    return (struct result){.verdict = V_NEED, .need = slice->len + 1};
}

static const struct result lost_place = {.verdict = V_LOST};
static const struct result wait_peer = {.verdict = V_WAIT_PEER};

/* A message of the client was read; what stands behind it waits, gaps too. */
static struct result asked(struct socks *s, enum stage next, const struct slice *slice, size_t len)
{
    s->asked_at = slice->offset + len - 1;
    struct mark mark = layer_mark(s->layer, CLIENT, s->asked_at);
    s->asked_packet = mark.packet;
    s->asked_ns = mark.time_ns;
    s->stage = next;
    int waits = turn_of(next) == SERVER && !s->lost[SERVER];
    return (struct result){.verdict = waits ? V_WAIT_PEER : V_OK, .consumed = len};
}

static struct result replied(struct socks *s, enum stage next, const struct slice *slice,
                             size_t len)
{
    s->replies_at = layer_mark(s->layer, SERVER, slice->offset + len - 1).root_offset + 1;
    s->replies_known = 1;
    s->stage = next;
    return (struct result){.verdict = V_OK, .consumed = len};
}

static struct result over(struct socks *s, size_t consumed)
{
    s->stage = OVER;
    return (struct result){.verdict = V_DONE, .consumed = consumed};
}

static struct result refuse(struct socks *s, enum cause cause, const char *reason,
                            const struct slice *slice, size_t len)
{
    if (s->session == 0) /* it never came to a request, or that was not captured */
        open_session(s, s->stage == REQUEST);
    answer(s, cause, reason, slice->offset + len - 1);
    return over(s, len);
}

static struct result hand_over(struct socks *s, int assumed, size_t consumed)
{
    struct hint hints[2] = {{"assumed", TEXT_LITERAL("1")}};
    size_t count = assumed ? 1 : 0;
    if (s->target_len > 0)
        hints[count++] = (struct hint){"target", {s->target, s->target_len}};
    struct handover handover = {.session = s->session, .hints = hints, .hint_count = count};
    (void)layer_switch(s->layer, &handover); /* -1 is reported, and the rest becomes opaque */
    return (struct result){.verdict = V_SWITCHED, .consumed = consumed};
}

static struct result grant(struct socks *s, const char *reason, const struct slice *slice,
                           size_t len)
{
    if (s->session == 0)
        open_session(s, 1);
    if (s->command == SOCKS_BIND && s->stage == REPLY)
        return replied(s, VISITOR, slice, len);
    answer(s, CAUSE_NONE, reason, slice->offset + len - 1);
    if (s->command == SOCKS_UDP_ASSOCIATE) /* the connection only keeps the association alive */
        return over(s, len);
    return hand_over(s, 0, len);
}

/* --- the client --- */

static struct result take_request(struct socks *s, const struct socks_request *request,
                                  const struct slice *slice, size_t len)
{
    s->command = request->command;
    if (s->command < SOCKS_CONNECT || s->command > SOCKS_UDP_ASSOCIATE) { /* Tor resolves names */
        (void)asked(s, OVER, slice, len);
        return over(s, len);
    }
    s->target_len = socks_target(request, s->target, &s->host_len);
    struct result result = asked(s, REPLY, slice, len);
    open_session(s, 0);
    return result;
}

static struct result greeting(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    struct socks_request request;
    s->version = slice->data[0] == 4 ? 4 : 5;
    enum socks_read read = s->version == 4 ? socks_read_request4(&r, &request)
                                           : socks_read_greeting(&r, &s->greeting);
    if (read != SOCKS_WHOLE)
        return read == SOCKS_BAD ? lost_place : need_more(slice);
    if (s->version == 5)
        return asked(s, METHOD, slice, r.at);
    s->named = request.type == 3;
    return take_request(s, &request, slice, r.at);
}

static struct result request5(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    struct socks_request request;
    enum socks_read read = socks_read_request5(&r, &request);
    if (read != SOCKS_WHOLE)
        return read == SOCKS_BAD ? lost_place : need_more(slice);
    return take_request(s, &request, slice, r.at);
}

/* The request is there, but not in the clear. */
static struct result hidden(struct socks *s, const struct slice *slice, size_t len, const char *why)
{
    (void)asked(s, OVER, slice, len);
    open_session(s, 0);
    tell_unresolved(s, CLIENT, s->asked_at, why);
    return over(s, len);
}

static struct result gssapi(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    unsigned type;
    if (slice->data[0] == 5) /* without protection, the request is as ever */
        return request5(s, slice);
    enum socks_read read = socks_read_gssapi(&r, &type);
    if (read != SOCKS_WHOLE)
        return read == SOCKS_BAD ? lost_place : need_more(slice);
    if (type == SOCKS_REFUSED)
        return over(s, r.at);
    if (type == 3)
        return hidden(s, slice, r.at, "the request is protected by GSSAPI");
    return asked(s, VERDICT, slice, r.at);
}

static struct result proof(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    if (s->method == SOCKS_GSSAPI)
        return gssapi(s, slice);
    enum socks_read read = socks_read_password(&r);
    if (read != SOCKS_WHOLE)
        return read == SOCKS_BAD ? lost_place : need_more(slice);
    return asked(s, VERDICT, slice, r.at);
}

/* The server's choice or verdict was not captured: what the client says next shows it. */
static struct result overtaken(struct socks *s, const struct slice *slice)
{
    int password = (s->greeting.methods & 1 << SOCKS_PASSWORD) != 0;
    if (slice->data[0] != 5 && slice->data[0] != 1)
        return lost_place;
    if (s->stage == METHOD && slice->data[0] == 1)
        s->method = password ? SOCKS_PASSWORD : SOCKS_GSSAPI;
    s->missing = 0;
    s->replies_at += 2;
    s->replies_known &= s->method != SOCKS_GSSAPI;
    s->stage = slice->data[0] == 5 ? REQUEST : PROOF;
    return s->stage == REQUEST ? request5(s, slice) : proof(s, slice);
}

/* --- a reply that was not captured --- */

/* -1: nothing that a tunnel is known to begin with; 0: more bytes are needed; 1: it is. */
static int begins_tunnel(const struct socks *s, enum side side, const struct slice *slice)
{
    static const char *const protocols[] = {"tls", "ssh", "http1", "http2"};
    int more = 0;
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        int sure = layer_probe(s->layer, protocols[i], side, slice->data, slice->len);
        if (sure > PROBE_WEAK)
            return 1;
        more |= sure >= 0;
    }
    return more ? 0 : -1;
}

/* Who was refused does not go on once he knows it. */
static int knew_the_reply(const struct socks *s, uint64_t offset)
{
    struct mark mark = layer_mark(s->layer, CLIENT, offset);
    return s->replies_known && mark.acked_valid &&
           mark.acked >= s->replies_at + (s->version == 4 ? REPLY4_LEN : REPLY5_LEN);
}

static struct result assume(struct socks *s)
{
    if (s->session == 0) /* its request was not captured either */
        open_session(s, 1);
    answer(s, CAUSE_NONE, NULL, layer_offset(s->layer, SERVER));
    return hand_over(s, 1, 0);
}

static struct result resolve(struct socks *s, enum side side, const struct slice *slice)
{
    int tunnel = begins_tunnel(s, side, slice);
    if (tunnel > 0 || (side == CLIENT && knew_the_reply(s, slice->offset)))
        return assume(s);
    if (slice->len < SEARCHED_MOST)
        return need_more(slice);
    tell_unresolved(s, SERVER, layer_offset(s->layer, SERVER),
                    "the reply was not captured, and nothing behind it shows it");
    return over(s, 0);
}

/* --- the server --- */

static const char *reason5(struct socks *s, unsigned code)
{
    static const char *const reasons[] = { /* RFC 1928 6 */
        "succeeded", "general SOCKS server failure", "connection not allowed by ruleset",
        "Network unreachable", "Host unreachable", "Connection refused", "TTL expired",
        "Command not supported", "Address type not supported"};
    if (code < sizeof reasons / sizeof reasons[0])
        return reasons[code];
    (void)snprintf(s->reason, sizeof s->reason, "unassigned reply %u", code);
    return s->reason;
}

static enum cause cause5(unsigned code)
{
    return code == 1                ? CAUSE_UPSTREAM
           : code >= 2 && code <= 5 ? CAUSE_ROUTE
           : code == 6              ? CAUSE_TIMEOUT
                                    : CAUSE_UNKNOWN;
}

static struct result reply4(struct socks *s, const struct slice *slice)
{
    static const char *const reasons[] = {
        "request granted", "request rejected or failed",
        "request rejected because SOCKS server cannot connect to identd on the client",
        "request rejected because the client program and identd report different user-ids"};
    struct reader r = reader_of(slice->data, slice->len);
    int version = reader_peek(&r, 0), code = reader_peek(&r, 1);
    if (version != 0 || (code >= 0 && (code < SOCKS4_GRANTED || code > SOCKS4_LAST)))
        return lost_place;
    reader_skip(&r, REPLY4_LEN);
    if (r.failed)
        return need_more(slice);
    const char *reason = reasons[code - SOCKS4_GRANTED];
    return code == SOCKS4_GRANTED ? grant(s, reason, slice, r.at)
                                  : refuse(s, code > SOCKS4_GRANTED + 1 ? CAUSE_AUTH
                                                                        : CAUSE_UNKNOWN,
                                           reason, slice, r.at);
}

static struct result reply5(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    struct socks_request reply; /* built like a request */
    enum socks_read read = socks_read_request5(&r, &reply);
    if (read == SOCKS_MORE)
        return need_more(slice);
    if (read == SOCKS_BAD && slice->data[0] == 5 && reply.command != 0) /* without an address */
        return refuse(s, cause5(reply.command), reason5(s, reply.command), slice, r.at);
    if (read == SOCKS_BAD)
        return lost_place;
    return reply.command == 0
               ? grant(s, reason5(s, 0), slice, r.at)
               : refuse(s, cause5(reply.command), reason5(s, reply.command), slice, r.at);
}

/* Behind a gap it may be anything; a reply is believed where it looks like one. */
static struct result reply(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    struct socks_request request;
    int code = reader_peek(&r, 1), reserved = reader_peek(&r, 2);
    int looks = s->version == 4
                    ? slice->data[0] == 0 && (code < 0 || (code >= SOCKS4_GRANTED &&
                                                           code <= SOCKS4_LAST))
                    : code < 9 && reserved <= 0 && socks_read_request5(&r, &request) != SOCKS_BAD;
    if (s->lost[SERVER] && !looks)
        return resolve(s, SERVER, slice);
    return s->version == 4 ? reply4(s, slice) : reply5(s, slice);
}

static struct result method(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    uint8_t version = reader_u8(&r), chosen = reader_u8(&r);
    if (version != 5)
        return lost_place;
    if (r.failed)
        return need_more(slice);
    s->method = chosen;
    if (chosen == SOCKS_REFUSED)
        return refuse(s, CAUSE_AUTH, "no acceptable methods", slice, r.at);
    if (chosen <= SOCKS_PASSWORD)
        return replied(s, chosen == SOCKS_NO_AUTHENTICATION ? REQUEST : PROOF, slice, r.at);
    open_session(s, 0);
    tell_unresolved(s, SERVER, slice->offset + r.at - 1,
                    "what follows is of a method that is not read");
    return over(s, r.at);
}

static struct result gssapi_verdict(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    unsigned type;
    enum socks_read read = socks_read_gssapi(&r, &type);
    if (read != SOCKS_WHOLE)
        return read == SOCKS_BAD ? lost_place : need_more(slice);
    if (type == SOCKS_REFUSED)
        return refuse(s, CAUSE_AUTH, "GSSAPI authentication failed", slice, r.at);
    return replied(s, PROOF, slice, r.at);
}

static struct result verdict(struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    if (s->method == SOCKS_GSSAPI)
        return gssapi_verdict(s, slice);
    reader_skip(&r, 1); /* 1, but some repeat 5 */
    uint8_t status = reader_u8(&r);
    if (r.failed)
        return need_more(slice);
    if (status != 0)
        return refuse(s, CAUSE_AUTH, "user name or password not accepted", slice, r.at);
    return replied(s, REQUEST, slice, r.at);
}

/* --- the contract --- */

static int socks_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct socks *s = state;
    (void)handover;
    s->layer = layer;
    s->method = -1;
    s->replies_known = layer_is_root(layer);
    return 0;
}

static struct result client(struct socks *s, const struct slice *slice)
{
    switch (s->stage) {
    case GREETING:
        return greeting(s, slice);
    case PROOF:
        return proof(s, slice);
    case REQUEST:
        return request5(s, slice);
    case METHOD:
    case VERDICT:
        return s->lost[SERVER] || s->missing ? overtaken(s, slice) : wait_peer;
    case REPLY:
    case VISITOR:
        return s->lost[SERVER] ? resolve(s, CLIENT, slice) : wait_peer;
    case OVER:
        break;
    }
    return over(s, 0);
}

static struct result server(struct socks *s, const struct slice *slice)
{
    switch (s->stage) {
    case METHOD:
        return s->lost[SERVER] || s->missing ? wait_peer : method(s, slice);
    case VERDICT:
        return s->lost[SERVER] || s->missing ? wait_peer : verdict(s, slice);
    case REPLY:
    case VISITOR:
        return reply(s, slice);
    case REQUEST: /* replied to, though not captured */
        return s->lost[CLIENT] ? reply(s, slice) : wait_peer;
    case GREETING:
    case PROOF:
        return wait_peer;
    case OVER:
        break;
    }
    return over(s, 0);
}

static struct result socks_data(struct layer *layer, void *state, enum side side,
                                const struct slice *slice)
{
    (void)layer;
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Messages of a client follow one another without the server's, and one that was lost shows in what
 * the server says to it; whether a tunnel was opened shows in what goes through it. */
static struct result socks_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                               uint64_t len)
{
    struct socks *s = state;
    (void)layer;
    (void)offset;
    if (s->stage == OVER)
        return (struct result){.verdict = V_DONE};
    if (side == CLIENT && (s->stage == GREETING || s->stage == PROOF))
        return lost_place;
    int two = s->stage == METHOD || (s->stage == VERDICT && s->method == SOCKS_PASSWORD);
    if (side == SERVER && two && len == 2)
        s->missing = 1;
    else
        s->lost[side] = 1;
    return (struct result){.verdict = V_OK};
}

/* Some close behind the code of a refusal, without the address that belongs to it. */
static void socks_eof(struct layer *layer, void *state, enum side side)
{
    struct socks *s = state;
    struct slice rest = layer_peek(layer, SERVER);
    if (side == SERVER && s->version == 5 && (s->stage == REPLY || s->stage == VISITOR) &&
        !s->lost[SERVER] && rest.len >= 2 && rest.data[0] == 5 && rest.data[1] != 0)
        (void)refuse(s, cause5(rest.data[1]), reason5(s, rest.data[1]), &rest, rest.len);
}

static void tell_detail(const struct socks *s)
{
    static const char *const names[] = {
        "none", "GSSAPI", "user name and password", "CHAP", NULL, "CRAM", "SSL", "NDS",
        "multi-authentication framework", "JSON parameter block"};
    struct detail detail = {.len = 0};
    char number[16];
    detail_text(&detail, "version", version_name(s));
    if (s->method == SOCKS_REFUSED)
        detail_text(&detail, "method", TEXT_LITERAL("none acceptable"));
    else if (s->method >= 0) {
        const char *name = (size_t)s->method < sizeof names / sizeof names[0]
                               ? names[s->method]
                               : NULL;
        (void)snprintf(number, sizeof number, "%d", s->method);
        name = name != NULL ? name : number;
        detail_text(&detail, "method", (struct text){name, strlen(name)});
    }
    layer_detail(s->layer, detail_json(&detail));
}

static void socks_close(struct layer *layer, void *state)
{
    struct socks *s = state;
    if (s->version == 0)
        return;
    tell_detail(s);
    if (s->session != 0 && !s->answered && s->lost[SERVER])
        tell_unresolved(s, SERVER, layer_offset(layer, SERVER),
                        "the reply was not captured, and nothing behind it shows it");
}

const struct dissector socks_dissector = {
    .name = "socks",
    .state_size = sizeof(struct socks),
    .probe = socks_probe,
    .open = socks_open,
    .data = socks_data,
    .gap = socks_gap,
    .eof = socks_eof,
    .close = socks_close,
};
