/*
 * Attempts to protect a connection that began in the clear (RFC 3207, 2595, 9051 6.2.1, 4217, 4511
 * 4.14, 6120 5, and their kin), whatever protocol asked.
 */
#include "starttls.h"

#include <stdio.h>
#include <string.h>

#include "line.h"

void starttls_open(struct starttls *s, struct layer *layer)
{
    *s = (struct starttls){.layer = layer};
    s->inside_tls = (uint8_t)layer_inside(layer, "tls");
}

void starttls_offer(struct starttls *s)
{
    s->offered = 1;
}

void starttls_ask(struct starttls *s, struct text method, const char *protocol, uint64_t offset)
{
    starttls_ask_host(s, method, protocol, TEXT_NONE, offset);
}

void starttls_ask_host(struct starttls *s, struct text method, const char *protocol,
                       struct text host, uint64_t offset)
{
    s->protocol = protocol;
    s->session = layer_session_new(s->layer);
    s->pending = 1;
    s->lost = s->torn = s->refused = s->told = 0;
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = s->session, .offset = offset};
    event.u.session_open.mechanism = MECHANISM_STARTTLS;
    event.u.session_open.method = method;
    event.u.session_open.host = host;
    event.u.session_open.offered = (struct text){protocol, strlen(protocol)};
    layer_emit(s->layer, CLIENT, &event);
}

static void tell(struct starttls *s, enum side side, enum rule rule, uint64_t offset,
                 struct text evidence)
{
    struct event event = {.kind = EVENT_FINDING, .session = s->session, .offset = offset};
    event.u.finding = (struct event_finding){.rule = rule, .evidence = evidence};
    layer_emit(s->layer, side, &event);
}

static void answer_with(struct starttls *s, enum side side, uint64_t offset,
                        const struct event_session_answer *answer)
{
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = s->session, .offset = offset};
    event.u.session_answer = *answer;
    layer_emit(s->layer, side, &event);
    s->pending = s->lost = 0;
}

static void switch_now(struct starttls *s, int assumed)
{
    static const enum rule no_hello = RULE_STARTTLS_NO_CLIENTHELLO;
    const struct hint hints[] = {{"starttls", TEXT_LITERAL("1")}, {"assumed", TEXT_LITERAL("1")}};
    struct text protocol = {s->protocol, strlen(s->protocol)};
    struct handover handover = {
        .table = "starttls",
        .token = protocol,
        .session = s->session,
        .mismatch_rule = strcmp(s->protocol, "TLS") == 0 && !s->torn ? &no_hello : NULL,
        .hints = hints,
        .hint_count = assumed || s->torn ? 2 : 1,
    };
    (void)layer_switch(s->layer, &handover); /* -1 is reported, and the rest becomes opaque */
}

void starttls_grant(struct starttls *s, const struct starttls_answer *answer)
{
    answer_with(s, SERVER, answer->end,
                &(struct event_session_answer){.outcome = OUTCOME_SWITCHED,
                                               .accepted = {s->protocol, strlen(s->protocol)},
                                               .status = answer->status,
                                               .reason = answer->reason});
    switch_now(s, 0);
}

void starttls_refuse(struct starttls *s, const struct starttls_answer *answer, enum cause cause)
{
    answer_with(s, SERVER, answer->end,
                &(struct event_session_answer){.outcome = OUTCOME_REFUSED,
                                               .cause = cause,
                                               .status = answer->status,
                                               .reason = answer->reason});
    s->refused = 1;
    char evidence[128];
    int reason = (int)(answer->reason.len < 80 ? answer->reason.len : 80);
    int len = answer->status > 0
                  ? snprintf(evidence, sizeof evidence, "%d %.*s", answer->status, reason,
                             answer->reason.data != NULL ? answer->reason.data : "")
                  : snprintf(evidence, sizeof evidence, "%.*s", reason,
                             answer->reason.data != NULL ? answer->reason.data : "");
    if (len == 0)
        len = snprintf(evidence, sizeof evidence, "refused");
    tell(s, SERVER, RULE_STARTTLS_REFUSED, answer->begin, (struct text){evidence, (size_t)len});
}

void starttls_clear(struct starttls *s, uint64_t offset, struct text what, int credentials)
{
    if (s->told || s->pending || s->inside_tls)
        return;
    if (s->refused) {
        s->told = 1;
        tell(s, CLIENT, RULE_STARTTLS_REFUSED_THEN_PLAINTEXT, offset, what);
    } else if (s->offered && s->session == 0 && credentials) {
        s->told = 1;
        tell(s, CLIENT, RULE_STARTTLS_OFFERED_NOT_USED, offset, what);
    }
}

void starttls_login(struct starttls *s, struct text what)
{
    s->login_len = (uint8_t)(what.len < sizeof s->login ? what.len : sizeof s->login);
    if (s->login_len > 0)
        memcpy(s->login, what.data, s->login_len);
}

void starttls_secret(struct starttls *s, uint64_t offset)
{
    if (s->login_len > 0)
        starttls_clear(s, offset, (struct text){s->login, s->login_len}, 1);
}

void starttls_lose(struct starttls *s)
{
    s->lost = s->pending;
}

void starttls_tear(struct starttls *s)
{
    s->torn = s->pending;
}

struct result starttls_wait(struct starttls *s, const struct slice *slice)
{
    if (!s->lost)
        return (struct result){.verdict = V_WAIT_PEER};
    return starttls_settle(s, slice,
                           layer_probe(s->layer, "tls", CLIENT, slice->data, slice->len));
}

struct result starttls_settle(struct starttls *s, const struct slice *slice, int is)
{
    if (is == 0)
        return (struct result){.verdict = V_NEED, .need = slice->len + 1};
    if (is > 0) {
        answer_with(s, CLIENT, slice->offset,
                    &(struct event_session_answer){
                        .outcome = OUTCOME_SWITCHED,
                        .accepted = {s->protocol, strlen(s->protocol)}});
        switch_now(s, 1);
        return (struct result){.verdict = V_SWITCHED};
    }
    s->pending = s->lost = 0;
    tell(s, CLIENT, RULE_SWITCH_UNRESOLVED, slice->offset,
         TEXT_LITERAL("the answer was not captured, and the client goes on in the clear"));
    return (struct result){.verdict = V_OK};
}

void starttls_ignore(struct starttls *s, uint64_t offset)
{
    answer_with(s, SERVER, offset,
                &(struct event_session_answer){.outcome = OUTCOME_IGNORED, .cause = CAUSE_ROUTE});
    s->refused = 1; /* the client has failed all the same */
}

struct result starttls_unseen(struct starttls *s, enum side side, const struct slice *slice)
{
    enum { HANDSHAKE = 22 };
    int is = slice->data[0] != HANDSHAKE
                 ? -1
                 : layer_probe(s->layer, "tls", side, slice->data, slice->len);
    if (is < 0)
        return (struct result){.verdict = V_OK};
    if (is == 0)
        return line_wanted(slice);
    s->torn = 1; /* where the other side's TLS begins is not known */
    if (!s->pending) {
        s->protocol = "TLS";
        s->session = layer_session_new(s->layer);
        struct event event = {.kind = EVENT_SESSION_OPEN, .session = s->session,
                              .offset = slice->offset};
        event.u.session_open.mechanism = MECHANISM_STARTTLS;
        event.u.session_open.request_lost = 1;
        layer_emit(s->layer, side, &event);
    }
    answer_with(s, side, slice->offset,
                &(struct event_session_answer){.outcome = OUTCOME_SWITCHED,
                                               .accepted = TEXT_LITERAL("TLS")});
    switch_now(s, 1);
    return (struct result){.verdict = V_SWITCHED};
}

int starttls_judged(const struct starttls *s)
{
    return s->offered || s->refused;
}

struct result starttls_asked(const struct starttls *s, size_t len)
{
    int waits = s->pending && !s->lost;
    return (struct result){.verdict = waits ? V_WAIT_PEER : V_OK, .consumed = len};
}
