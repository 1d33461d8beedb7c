/*
 * The handshake of Gnutella 0.6 (rfc-gnutella 0.6, section 2.1; gtk-gnutella's "Gnutella TLS
 * Connection Upgrade"), as far as it may switch to TLS: the client offers `Upgrade: TLS/1.0`, the
 * server takes it up in its answer, and the client's second head says `Connection: Upgrade`, or
 * still declines. What is spoken after a handshake without a switch is not read.
 */
#include <string.h>

#include "dissector.h"
#include "line.h"
#include "text.h"

enum { HEAD_MOST = 16384, FIELDS_MOST = 64, TOKEN_MOST = 64 };

enum stage { ASKED, ANSWERED, CONFIRMED, OVER }; /* what is read next */

struct gnutella {
    struct layer *layer;
    enum stage stage;
    int lost; /* the head that is read next may be in a gap */
    int gap;  /* there was one */
    uint32_t session;
    int answered;
    uint32_t fields; /* of the request that have been told */
    size_t scanned;  /* of the waiting bytes that are known not to end a head */
    char token[TOKEN_MOST]; /* what the server takes up */
    size_t token_len;
};

struct field {
    struct text name, value;
    uint64_t offset;
};

struct head {
    struct text first;
    struct field fields[FIELDS_MOST];
    size_t count, len;
    uint64_t offset;
    int more; /* fields than there is room for */
};

static int gnutella_probe(enum side side, const uint8_t *data, size_t len)
{
    static const struct line_start client[] = {{"GNUTELLA CONNECT/0.", 95}};
    static const struct line_start server[] = {{"GNUTELLA/0.6 ", 90}, {"GNUTELLA OK", 90}};
    struct text bytes = {(const char *)data, len};
    return len == 0         ? 0
           : side == CLIENT ? line_probe(bytes, client, 1)
                            : line_probe(bytes, server, 2);
}

/* --- heads --- */

static struct text trimmed(struct text text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = (struct text){text.data + 1, text.len - 1};
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* The length of the head: up to and with the empty line. 0: it is not whole. */
static size_t head_length(struct gnutella *g, const struct slice *slice)
{
    size_t at = g->scanned;
    while (at < slice->len) {
        const uint8_t *lf = memchr(slice->data + at, '\n', slice->len - at);
        if (lf == NULL)
            break;
        at = (size_t)(lf - slice->data);
        g->scanned = at; /* it is looked at again with what follows */
        size_t next = at + 1;
        if (next < slice->len && slice->data[next] == '\r')
            next++;
        if (next >= slice->len)
            return 0;
        if (slice->data[next] == '\n')
            return next + 1;
        at++;
    }
    return 0;
}

static void read_field(struct head *head, const struct line *line)
{
    const char *colon = memchr(line->text.data, ':', line->text.len);
    char first = line->text.data[0];
    if (head->count > 0 && (first == ' ' || first == '\t')) { /* a folded line */
        struct text *value = &head->fields[head->count - 1].value;
        value->len = (size_t)(line->text.data + line->text.len - value->data);
        return;
    }
    if (colon == NULL)
        return;
    if (head->count == FIELDS_MOST) {
        head->more = 1;
        return;
    }
    size_t name = (size_t)(colon - line->text.data);
    head->fields[head->count++] = (struct field){
        .name = trimmed((struct text){line->text.data, name}),
        .value = trimmed((struct text){colon + 1, line->text.len - name - 1}),
        .offset = line->offset};
}

static void read_head(const struct slice *slice, size_t len, struct head *head)
{
    *head = (struct head){.offset = slice->offset, .len = len};
    for (size_t at = 0; at < len;) {
        struct slice rest = {.data = slice->data + at, .len = len - at,
                             .offset = slice->offset + at};
        struct line line;
        if (!line_take(&rest, HEAD_MOST, &line))
            return;
        if (at == 0)
            head->first = line.text;
        else if (line.text.len > 0)
            read_field(head, &line);
        at += line.len;
    }
}

static struct text value_of(const struct head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++)
        if (text_is(head->fields[i].name, name))
            return head->fields[i].value;
    return TEXT_NONE;
}

/* The first protocol of a list, which has to be TLS. */
static struct text tls_token(struct text list)
{
    size_t len = 0;
    while (len < list.len && list.data[len] != ',')
        len++;
    struct text token = trimmed((struct text){list.data, len});
    return text_begins(token, "TLS/") && token.len <= TOKEN_MOST ? token : TEXT_NONE;
}

/* `GNUTELLA/0.6 200 OK`. 0: it has no code. */
static int status_of(const struct head *head, struct text *reason)
{
    struct text rest = head->first;
    int more;
    *reason = TEXT_NONE;
    (void)line_word(&rest);
    int status = line_code(trimmed(rest), &more, reason);
    return status > 0 ? status : 0;
}

/* --- events --- */

static void emit_fields(struct gnutella *g, enum side side, const struct head *head)
{
    for (size_t i = 0; i < head->count; i++) {
        struct event event = {.kind = EVENT_HEADER, .session = g->session,
                              .offset = head->fields[i].offset};
        event.u.header = (struct event_header){
            .response = side == SERVER,
            .position = (side == CLIENT ? g->fields : 0) + (uint32_t)i,
            .name = head->fields[i].name,
            .value = head->fields[i].value};
        layer_emit(g->layer, side, &event);
    }
    if (side == CLIENT)
        g->fields += (uint32_t)head->count;
    if (head->more)
        layer_limit(g->layer, "gnutella-head-fields", FIELDS_MOST);
}

static void answer(struct gnutella *g, enum side side, enum outcome outcome, enum cause cause,
                   const struct head *head)
{
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = g->session,
                          .offset = head->offset + head->len - 1};
    struct event_session_answer *out = &event.u.session_answer;
    g->answered = 1;
    out->outcome = outcome;
    out->cause = cause;
    out->status = status_of(head, &out->reason);
    if (outcome == OUTCOME_SWITCHED)
        out->accepted = (struct text){g->token, g->token_len};
    layer_emit(g->layer, side, &event);
}

static void tell_unresolved(struct gnutella *g)
{
    struct event event = {.kind = EVENT_FINDING, .session = g->session,
                          .offset = layer_offset(g->layer, SERVER)};
    event.u.finding = (struct event_finding){
        .rule = RULE_SWITCH_UNRESOLVED,
        .evidence = TEXT_LITERAL("the answer was not captured, and nothing behind it shows it")};
    g->answered = 1;
    layer_emit(g->layer, SERVER, &event);
}

/* --- the three heads --- */

static void hand_over(struct gnutella *g)
{
    static const enum rule mismatch = RULE_SWITCH_UNEXPECTED_PROTOCOL;
    const struct hint assumed = {"assumed", TEXT_LITERAL("1")};
    struct handover handover = {.table = "gnutella", .token = {g->token, g->token_len},
                                .session = g->session, .mismatch_rule = &mismatch,
                                .hints = &assumed, .hint_count = g->gap ? 1 : 0};
    (void)layer_switch(g->layer, &handover); /* -1 is reported, and the rest becomes opaque */
}

static enum verdict over(struct gnutella *g)
{
    g->stage = OVER;
    return V_DONE;
}

static void keep_token(struct gnutella *g, struct text token)
{
    g->token_len = token.len;
    memcpy(g->token, token.data, token.len);
}

static enum verdict asked(struct gnutella *g, const struct head *head)
{
    struct text upgrade = value_of(head, "Upgrade"), token = tls_token(upgrade);
    if (token.data == NULL)
        return over(g);
    keep_token(g, token);
    g->stage = ANSWERED;
    g->session = layer_session_new(g->layer);
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = g->session,
                          .offset = head->offset + head->len - 1};
    event.u.session_open.mechanism = MECHANISM_GNUTELLA;
    event.u.session_open.method = head->first;
    event.u.session_open.offered = upgrade;
    event.u.session_open.user_agent = value_of(head, "User-Agent");
    layer_emit(g->layer, CLIENT, &event);
    emit_fields(g, CLIENT, head);
    return V_WAIT_PEER; /* gaps behind it, too */
}

static enum cause cause_of(int status)
{
    return status == 401 ? CAUSE_AUTH
           : status == 400 ? CAUSE_BAD_REQUEST
           : status >= 500 ? CAUSE_UPSTREAM
                           : CAUSE_UNKNOWN;
}

static enum verdict answered(struct gnutella *g, const struct head *head)
{
    struct text reason, token = tls_token(value_of(head, "Upgrade"));
    int status = status_of(head, &reason);
    emit_fields(g, SERVER, head);
    if (status == 200 && token.data != NULL) {
        keep_token(g, token);
        g->stage = CONFIRMED;
        return V_OK;
    }
    if (status == 200)
        answer(g, SERVER, OUTCOME_IGNORED, CAUSE_UNKNOWN, head);
    else
        answer(g, SERVER, OUTCOME_REFUSED, cause_of(status), head);
    return over(g);
}

static enum verdict confirmed(struct gnutella *g, const struct head *head)
{
    struct text reason;
    int status = status_of(head, &reason);
    int upgrades = text_contains(value_of(head, "Connection"), "upgrade");
    emit_fields(g, CLIENT, head);
    if (status == 200 && upgrades) {
        answer(g, CLIENT, OUTCOME_SWITCHED, CAUSE_NONE, head);
        hand_over(g);
        return V_SWITCHED;
    }
    /* 200: the client stays in the clear after all */
    answer(g, CLIENT, status == 200 ? OUTCOME_IGNORED : OUTCOME_REFUSED, CAUSE_UNKNOWN, head);
    return over(g);
}

/* --- a head that was not captured --- */

/* The client's next bytes: its second head, or TLS already. */
static struct result resolve(struct gnutella *g, const struct slice *slice)
{
    int tls = layer_probe(g->layer, "tls", CLIENT, slice->data, slice->len);
    int head = gnutella_probe(SERVER, slice->data, slice->len); /* it begins as an answer does */
    if (tls > 0) {
        struct event event = {.kind = EVENT_SESSION_ANSWER, .session = g->session,
                              .offset = layer_offset(g->layer, SERVER)};
        event.u.session_answer = (struct event_session_answer){
            .outcome = OUTCOME_SWITCHED, .accepted = {g->token, g->token_len}};
        g->answered = 1;
        layer_emit(g->layer, SERVER, &event);
        hand_over(g);
        return (struct result){.verdict = V_SWITCHED};
    }
    if (tls == 0 || head == 0)
        return line_wanted(slice);
    if (head > 0) { /* what the server said shows in it */
        g->stage = CONFIRMED;
        g->lost = 0;
        return (struct result){.verdict = V_OK};
    }
    tell_unresolved(g);
    return (struct result){.verdict = over(g)};
}

/* --- the contract --- */

static int gnutella_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct gnutella *g = state;
    (void)handover;
    g->layer = layer;
    return 0;
}

static struct result take_head(struct gnutella *g, const struct slice *slice)
{
    struct head head;
    size_t len = head_length(g, slice);
    if (len > HEAD_MOST || (len == 0 && slice->len >= HEAD_MOST)) {
        layer_limit(g->layer, "gnutella-head-bytes", HEAD_MOST);
        return (struct result){.verdict = V_LOST};
    }
    if (len == 0)
        return line_wanted(slice);
    g->scanned = 0;
    read_head(slice, len, &head);
    enum verdict verdict = g->stage == ASKED      ? asked(g, &head)
                           : g->stage == ANSWERED ? answered(g, &head)
                                                  : confirmed(g, &head);
    return (struct result){.verdict = verdict, .consumed = len};
}

/* The rest of a head whose beginning is missing says nothing. */
static struct result resume(struct gnutella *g, const struct slice *slice)
{
    int head = gnutella_probe(SERVER, slice->data, slice->len);
    if (head <= 0)
        return head == 0 ? line_wanted(slice) : (struct result){.verdict = V_WAIT_PEER};
    g->lost = 0;
    return take_head(g, slice);
}

static struct result gnutella_data(struct layer *layer, void *state, enum side side,
                                   const struct slice *slice)
{
    struct gnutella *g = state;
    (void)layer;
    if (g->stage == OVER)
        return (struct result){.verdict = V_DONE};
    if (side == CLIENT && g->lost) {
        struct result result = resolve(g, slice);
        return result.verdict == V_OK ? take_head(g, slice) : result;
    }
    if (side != (g->stage == ANSWERED ? SERVER : CLIENT))
        return (struct result){.verdict = V_WAIT_PEER};
    return g->lost ? resume(g, slice) : take_head(g, slice);
}

static struct result gnutella_gap(struct layer *layer, void *state, enum side side,
                                  uint64_t offset, uint64_t len)
{
    struct gnutella *g = state;
    (void)layer;
    (void)side;
    (void)offset;
    (void)len;
    if (g->session == 0 || g->stage == OVER)
        return (struct result){.verdict = over(g)};
    g->lost = g->gap = 1;
    g->scanned = 0;
    return (struct result){.verdict = V_OK};
}

static void gnutella_close(struct layer *layer, void *state)
{
    struct gnutella *g = state;
    (void)layer;
    if (g->lost && g->session != 0 && !g->answered)
        tell_unresolved(g);
}

const struct dissector gnutella_dissector = {
    .name = "gnutella",
    .state_size = sizeof(struct gnutella),
    .probe = gnutella_probe,
    .open = gnutella_open,
    .data = gnutella_data,
    .gap = gnutella_gap,
    .close = gnutella_close,
};
