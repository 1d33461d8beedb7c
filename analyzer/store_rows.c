/*
 * From events to rows. Rows are given their ids here, in the order of the events; a flow and its
 * layers are written when something refers to them or when the flow ends, whichever is first.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store_private.h"

enum { LAYERS_WAITING = 256 };

static const char *const mechanisms[] = {
    [MECHANISM_UPGRADE] = "upgrade",   [MECHANISM_CONNECT] = "connect",
    [MECHANISM_EXTENDED_CONNECT] = "extended-connect",
    [MECHANISM_STARTTLS] = "starttls", [MECHANISM_SOCKS] = "socks",
    [MECHANISM_DOCKER] = "docker",     [MECHANISM_GNUTELLA] = "gnutella",
};

static const char *const outcomes[] = {
    [OUTCOME_UNANSWERED] = "unanswered",   [OUTCOME_SWITCHED] = "switched",
    [OUTCOME_REFUSED] = "refused",         [OUTCOME_IGNORED] = "ignored",
    [OUTCOME_UNSOLICITED] = "unsolicited",
};

static const char *const causes[] = {
    [CAUSE_NONE] = NULL,
    [CAUSE_ORIGIN] = "origin",
    [CAUSE_AUTH] = "auth",
    [CAUSE_REDIRECT] = "redirect",
    [CAUSE_ROUTE] = "route",
    [CAUSE_VERSION] = "version",
    [CAUSE_STRIPPED_HEADER] = "stripped-header",
    [CAUSE_BAD_REQUEST] = "bad-request",
    [CAUSE_UPSTREAM] = "upstream",
    [CAUSE_TIMEOUT] = "timeout",
    [CAUSE_UNKNOWN] = "unknown",
};

static const char *const session_ends[] = {
    [SESSION_END_CLOSE] = "close",     [SESSION_END_CLOSE_UNANSWERED] = "close-unanswered",
    [SESSION_END_FIN] = "fin",         [SESSION_END_RST] = "rst",
    [SESSION_END_IDLE] = "idle",       [SESSION_END_EVICTED] = "evicted",
    [SESSION_END_CAPTURE] = "capture_end",
};

static const char *const flow_ends[] = {
    [END_FIN] = "fin", [END_RST] = "rst", [END_IDLE] = "idle", [END_EVICTED] = "evicted",
    [END_CAPTURE] = "capture_end",
};

static const char *const handshakes[] = {
    [HANDSHAKE_NONE] = "none", [HANDSHAKE_PARTIAL] = "partial", [HANDSHAKE_FULL] = "full"};

static const char *const relations[] = {
    [RELATION_ROOT] = "root", [RELATION_SWITCH] = "switch", [RELATION_CARRY] = "carry"};

#define WORD(table, index)                                                                         \
    ((size_t)(index) < sizeof(table) / sizeof((table)[0]) ? (table)[index] : NULL)

static void bind_packet(sqlite3_stmt *statement, int column, uint64_t packet)
{
    if (packet != 0)
        store_bind_count(statement, column, packet);
}

/* ---------------------------------------------------------------- flows */

/* What FLOW_CLOSE says, from `column` on. */
static void bind_flow_end(sqlite3_stmt *statement, int column, const struct event_flow_close *close)
{
    const struct event_flow_side *client = &close->side[CLIENT], *server = &close->side[SERVER];
    (void)sqlite3_bind_int64(statement, column++, close->first_ns);
    (void)sqlite3_bind_int64(statement, column++, close->last_ns);
    store_bind_count(statement, column++, client->packets);
    store_bind_count(statement, column++, server->packets);
    store_bind_count(statement, column++, client->bytes);
    store_bind_count(statement, column++, server->bytes);
    store_bind_count(statement, column++, client->missing);
    store_bind_count(statement, column++, server->missing);
    store_bind_count(statement, column++, client->retransmits);
    store_bind_count(statement, column++, server->retransmits);
    store_bind_unless(statement, column++, client->rtt_ns, -1);
    store_bind_unless(statement, column++, server->rtt_ns, -1);
    store_bind_word(statement, column++, WORD(handshakes, close->handshake));
    store_bind_word(statement, column++, WORD(flow_ends, close->end));
    store_bind_text(statement, column++, close->ndpi.protocol);
    store_bind_text(statement, column++, close->ndpi.category);
    store_bind_text(statement, column, close->ndpi.risk);
}

/* An open flow has no handshake and no end yet: NULL. */
static void bind_flow_open(sqlite3_stmt *statement, int column, int64_t first_ns)
{
    (void)sqlite3_bind_int64(statement, column, first_ns);
    (void)sqlite3_bind_int64(statement, column + 1, first_ns);
    for (int i = 2; i < 10; i++)
        (void)sqlite3_bind_int64(statement, column + i, 0);
}

static int flow_insert(struct store *store, struct store_flow *flow, const struct event *close)
{
    char client[ADDRESS_TEXT], server[ADDRESS_TEXT], community[COMMUNITY_TEXT];
    sqlite3_stmt *insert = store_statement(store, INSERT_FLOW);
    if (insert == NULL)
        return -1;
    if (flow->row == 0)
        flow->row = store->next_flow++;
    flow->inserted = 1;
    (void)sqlite3_bind_int64(insert, 1, flow->row);
    (void)sqlite3_bind_int64(insert, 2, store->capture);
    store_bind_word(insert, 3, store_address(&flow->open.client, client));
    (void)sqlite3_bind_int64(insert, 4, flow->open.client_port);
    store_bind_word(insert, 5, store_address(&flow->open.server, server));
    (void)sqlite3_bind_int64(insert, 6, flow->open.server_port);
    store_bind_unless(insert, 7, flow->open.vlan, -1);
    store_bind_word(insert, 8, store_community_id(&flow->open, community));
    if (close != NULL)
        bind_flow_end(insert, 9, &close->u.flow_close);
    else
        bind_flow_open(insert, 9, flow->first_ns);
    return store_run(store, insert);
}

static int flow_update(struct store *store, const struct store_flow *flow,
                       const struct event *close)
{
    sqlite3_stmt *update = store_statement(store, UPDATE_FLOW);
    if (update == NULL)
        return -1;
    bind_flow_end(update, 1, &close->u.flow_close);
    (void)sqlite3_bind_int64(update, 18, flow->row);
    return store_run(store, update);
}

static int flow_open(struct store *store, struct event *event)
{
    if (event->flow == 0 || store_flow_find(store, event->flow) != NULL)
        return 0;
    struct store_flow *flow = store_flow_add(store, event);
    if (flow == NULL)
        return store_no_memory(store);
    if (!store->options.all_flows)
        return 0;
    event->row = flow->row = store->next_flow++;
    return store->options.live ? store_publish(store, flow, NULL) : 0;
}

/* ---------------------------------------------------------------- layers */

static int layer_insert(struct store *store, struct store_flow *flow,
                        const struct store_layer *layer)
{
    sqlite3_stmt *insert = store_statement(store, INSERT_LAYER);
    if (insert == NULL)
        return -1;
    struct text protocol = layer->text[LAYER_PROTOCOL];
    (void)sqlite3_bind_int64(insert, 1, layer->row);
    (void)sqlite3_bind_int64(insert, 2, flow->row);
    store_bind_unless(insert, 3, store_layer_row(flow, layer->parent), 0);
    store_bind_word(insert, 4, WORD(relations, layer->relation));
    store_bind_text(insert, 5, protocol.data != NULL ? protocol : TEXT_LITERAL("opaque"));
    store_bind_text(insert, 6, layer->text[LAYER_EXPECTED]);
    (void)sqlite3_bind_int64(insert, 7, layer->first_ns);
    bind_packet(insert, 8, layer->packet);
    store_bind_count(insert, 9, layer->offset[CLIENT]);
    store_bind_count(insert, 10, layer->offset[SERVER]);
    store_bind_blob(insert, 11, layer->text[LAYER_CLIENT_HEAD]);
    store_bind_blob(insert, 12, layer->text[LAYER_SERVER_HEAD]);
    store_bind_text(insert, 13, layer->text[LAYER_NDPI_PROTOCOL]);
    store_bind_text(insert, 14, layer->text[LAYER_NDPI_CATEGORY]);
    store_bind_text(insert, 15, layer->text[LAYER_NDPI_RISK]);
    store_bind_text(insert, 16, layer->text[LAYER_DETAIL]);
    return store_run(store, insert);
}

int store_publish(struct store *store, struct store_flow *flow, const struct event *close)
{
    if (flow_insert(store, flow, close) != 0)
        return -1;
    while (flow->waiting != NULL) {
        struct store_layer *layer = flow->waiting;
        if (layer->row == 0) {
            layer->row = store->next_layer++;
            (void)store_layer_number(flow, layer->serial, layer->row); /* has its place already */
        }
        if (layer_insert(store, flow, layer) != 0)
            return -1;
        flow->waiting = layer->next;
        store_layer_free(layer);
    }
    flow->waiting_last = NULL;
    flow->waiting_count = 0;
    return store_pending_write(store, flow);
}

static int layer_open(struct store *store, struct store_flow *flow, struct event *event)
{
    int64_t row = flow->inserted || store->options.all_flows ? store->next_layer++ : 0;
    if (store_layer_number(flow, event->layer, row) != 0)
        return 0; /* a serial that cannot be: what names it has no layer */
    event->row = row;
    if (!flow->inserted) {
        if (store_layer_wait(flow, event, row) != 0)
            return store_no_memory(store);
        return flow->waiting_count > LAYERS_WAITING ? store_publish(store, flow, NULL) : 0;
    }
    const struct event_layer_open *open = &event->u.layer_open;
    const struct store_layer layer = {
        .row = row,
        .serial = event->layer,
        .parent = open->parent,
        .relation = open->relation,
        .first_ns = event->time_ns,
        .packet = event->packet,
        .offset = {open->offset[CLIENT], open->offset[SERVER]},
        .text = {[LAYER_PROTOCOL] = open->protocol, [LAYER_EXPECTED] = open->expected},
    };
    return layer_insert(store, flow, &layer);
}

static int layer_close(struct store *store, struct store_flow *flow, struct event *event)
{
    const struct event_layer_close *close = &event->u.layer_close;
    struct store_session *session = store_session_find(flow, event->session);
    if (session != NULL && close->failure.len > 0) {
        if (store_session_text(&session->verdict.failure, close->failure) != 0)
            return store_no_memory(store);
        session->stale = 1;
    }
    event->row = store_layer_row(flow, event->layer);
    if (!flow->inserted) {
        struct store_layer *layer = store_layer_waiting(flow, event->layer);
        if (layer != NULL && store_layer_settle(layer, close) != 0)
            return store_no_memory(store);
        return 0;
    }
    sqlite3_stmt *update = store_statement(store, UPDATE_LAYER);
    if (update == NULL || event->row == 0)
        return update == NULL ? -1 : 0;
    store_bind_text(update, 1, close->protocol);
    store_bind_blob(update, 2, close->head[CLIENT]);
    store_bind_blob(update, 3, close->head[SERVER]);
    store_bind_text(update, 4, close->ndpi.protocol);
    store_bind_text(update, 5, close->ndpi.category);
    store_bind_text(update, 6, close->ndpi.risk);
    store_bind_text(update, 7, close->detail);
    (void)sqlite3_bind_int64(update, 8, event->row);
    return store_run(store, update);
}

/* ---------------------------------------------------------------- sessions */

/* The text without its secrets, in a scratch buffer where it had some. */
static struct text clean(struct store *store, size_t scratch, struct text text,
                         int (*redact)(const struct redact *, struct text, struct buffer *))
{
    struct buffer *buffer = &store->scratch[scratch];
    buffer_clear(buffer);
    if (text.len == 0 || !redact(&store->redact, text, buffer))
        return text;
    if (!buffer->failed)
        return (struct text){buffer_text(buffer), buffer->len};
    (void)store_no_memory(store);
    return TEXT_NONE;
}

static struct text verdict_text(struct store *store, const struct store_session *session)
{
    struct buffer *buffer = &store->scratch[STORE_SCRATCHES - 1];
    buffer_clear(buffer);
    verdict_write(&session->verdict, buffer);
    if (buffer->failed)
        (void)store_no_memory(store);
    return (struct text){buffer_text(buffer), buffer->len};
}

static int write_verdict(struct store *store, struct store_session *session)
{
    sqlite3_stmt *update = store_statement(store, UPDATE_VERDICT);
    if (update == NULL)
        return -1;
    store_bind_text(update, 1, verdict_text(store, session));
    (void)sqlite3_bind_int64(update, 2, session->row);
    session->stale = 0;
    return store_run(store, update);
}

static int session_forget(struct store *store, struct store_session *session)
{
    int result = store_finding_counts(store, session->findings);
    if (result == 0 && session->stale)
        result = write_verdict(store, session);
    store_session_free(session);
    return result;
}

int64_t store_session_row(struct store *store, struct store_flow *flow, uint32_t serial)
{
    struct store_session *session = serial != 0 ? store_session_find(flow, serial) : NULL;
    if (session != NULL)
        return session->row;
    if (serial == 0 || !flow->sessions_forgotten || flow->sessions_removed)
        return 0;
    /* Serials of sessions are dense and each has a row: the n-th one of the flow. */
    sqlite3_stmt *find = store_statement(store, FIND_SESSION);
    int64_t row = 0;
    if (find == NULL)
        return 0;
    (void)sqlite3_bind_int64(find, 1, flow->row);
    (void)sqlite3_bind_int64(find, 2, (int64_t)serial - 1);
    if (sqlite3_step(find) == SQLITE_ROW)
        row = sqlite3_column_int64(find, 0);
    (void)sqlite3_reset(find);
    return row;
}

/* The texts of the request as they may be stored. */
static struct event_session_open session_clean(struct store *store, const struct event *event)
{
    struct event_session_open open = event->u.session_open;
    open.offered = clean(store, 0, open.offered, redact_words);
    open.target = clean(store, 1, open.target, redact_target);
    open.path = clean(store, 2, open.path, redact_target);
    open.host = clean(store, 3, open.host, redact_target);
    open.origin = clean(store, 4, open.origin, redact_target);
    return open;
}

static int session_insert(struct store *store, const struct store_flow *flow,
                          const struct store_session *session, const struct event *event,
                          const struct event_session_open *open)
{
    sqlite3_stmt *insert = store_statement(store, INSERT_SESSION);
    if (insert == NULL)
        return -1;
    int seen = session->request_ns != INT64_MIN;
    (void)sqlite3_bind_int64(insert, 1, session->row);
    (void)sqlite3_bind_int64(insert, 2, flow->row);
    store_bind_unless(insert, 3, store_layer_row(flow, event->layer), 0);
    store_bind_word(insert, 4, WORD(mechanisms, open->mechanism));
    store_bind_text(insert, 5, open->offered);
    store_bind_word(insert, 6, outcomes[OUTCOME_UNANSWERED]);
    store_bind_text(insert, 7, open->method);
    store_bind_text(insert, 8, open->target);
    store_bind_text(insert, 9, open->path);
    store_bind_text(insert, 10, open->host);
    store_bind_text(insert, 11, open->origin);
    store_bind_text(insert, 12, open->user_agent);
    store_bind_text(insert, 13, open->forwarded_for);
    store_bind_unless(insert, 14, session->request_ns, INT64_MIN);
    if (seen) {
        bind_packet(insert, 15, event->packet);
        store_bind_count(insert, 16, event->offset);
    }
    store_bind_text(insert, 17, verdict_text(store, session));
    return store_run(store, insert);
}

static int session_open(struct store *store, struct store_flow *flow, struct event *event)
{
    if (event->session == 0 || store_session_find(flow, event->session) != NULL)
        return 0;
    if (!flow->inserted && store_publish(store, flow, NULL) != 0)
        return -1;
    struct store_session *session = store_session_add(flow, event->session);
    if (session == NULL)
        return store_no_memory(store);
    struct event_session_open open = session_clean(store, event);
    struct verdict *verdict = &session->verdict;
    session->row = event->row = store->next_session++;
    /* A grant that nobody asked for opens a session, too: its time is not that of a request. */
    if (!open.request_lost && !(open.unsolicited && event->sender != CLIENT))
        session->request_ns = event->time_ns;
    verdict->mechanism = open.mechanism;
    verdict->wait_ns = verdict->duration_ns = -1;
    if (store_session_text(&verdict->offered, open.offered) != 0 ||
        store_session_text(&verdict->host, open.host) != 0 ||
        store_session_text(&verdict->origin, open.origin) != 0 ||
        store_session_text(&verdict->path, open.path) != 0 ||
        (open.mechanism == MECHANISM_SOCKS &&
         store_session_text(&verdict->target, open.target) != 0) ||
        ((open.mechanism == MECHANISM_STARTTLS || open.mechanism == MECHANISM_SOCKS) &&
         store_session_text(&verdict->method, open.method) != 0))
        return store_no_memory(store);
    if (session_insert(store, flow, session, event, &open) != 0)
        return -1;
    struct store_session *surplus = store_session_surplus(flow);
    return surplus != NULL ? session_forget(store, surplus) : 0;
}

/* What the verdict needs of the answer; of a request that was granted only little is told. */
static int answer_note(struct store_session *session, const struct event *event,
                       struct text accepted)
{
    const struct event_session_answer *answer = &event->u.session_answer;
    struct verdict *verdict = &session->verdict;
    session->answer_ns = event->time_ns;
    verdict->outcome = answer->outcome;
    verdict->cause = answer->cause;
    verdict->answered = answer->outcome != OUTCOME_UNANSWERED;
    verdict->answered_by = event->sender;
    verdict->status = answer->status;
    if (session->request_ns != INT64_MIN && event->time_ns >= session->request_ns)
        verdict->wait_ns = event->time_ns - session->request_ns;
    int result = store_session_text(&verdict->accepted, accepted);
    if (answer->outcome != OUTCOME_SWITCHED)
        return result != 0 ? result : store_session_text(&verdict->reason, answer->reason);
    (void)store_session_text(&verdict->host, TEXT_NONE);
    (void)store_session_text(&verdict->origin, TEXT_NONE);
    (void)store_session_text(&verdict->path, TEXT_NONE);
    return result;
}

static int session_answer(struct store *store, struct store_flow *flow, struct event *event)
{
    const struct event_session_answer *answer = &event->u.session_answer;
    struct store_session *session = store_session_find(flow, event->session);
    struct text accepted = clean(store, 0, answer->accepted, redact_words);
    event->row = store_session_row(store, flow, event->session);
    sqlite3_stmt *update = store_statement(store, UPDATE_ANSWER);
    if (update == NULL || event->row == 0)
        return update == NULL ? -1 : 0;
    if (session != NULL && answer_note(session, event, accepted) != 0)
        return store_no_memory(store);
    store_bind_word(update, 1, WORD(outcomes, answer->outcome));
    store_bind_word(update, 2, WORD(causes, answer->cause));
    store_bind_text(update, 3, accepted);
    store_bind_unless(update, 4, answer->status, 0);
    store_bind_text(update, 5, answer->reason);
    if (answer->outcome != OUTCOME_UNANSWERED) {
        (void)sqlite3_bind_int64(update, 6, event->time_ns);
        bind_packet(update, 7, event->packet);
        store_bind_count(update, 8, event->offset);
    }
    if (session != NULL)
        store_bind_text(update, 9, verdict_text(store, session));
    (void)sqlite3_bind_int64(update, 10, event->row);
    return store_run(store, update);
}

static int session_switch(struct store *store, struct store_flow *flow, struct event *event)
{
    int64_t layer = store_layer_row(flow, event->u.session_switch.successor);
    event->row = store_session_row(store, flow, event->session);
    sqlite3_stmt *update = store_statement(store, UPDATE_SUCCESSOR);
    if (update == NULL || event->row == 0)
        return update == NULL ? -1 : 0;
    store_bind_unless(update, 1, layer, 0);
    (void)sqlite3_bind_int64(update, 2, event->row);
    return store_run(store, update);
}

struct end {
    int64_t at_ns, idle_ns;
    enum session_end reason;
    enum side side;
};

/* Writes the end with the verdict that it makes; session NULL: only the end. */
static int end_write(struct store *store, struct store_session *session, int64_t row,
                     const struct end *end)
{
    sqlite3_stmt *update = store_statement(store, UPDATE_END);
    if (update == NULL)
        return -1;
    (void)sqlite3_bind_int64(update, 1, end->at_ns);
    store_bind_word(update, 2, WORD(session_ends, end->reason));
    store_bind_word(update, 3, store_side(end->side));
    (void)sqlite3_bind_int64(update, 4, end->idle_ns);
    if (session != NULL) {
        struct verdict *verdict = &session->verdict;
        int64_t from = session->answer_ns != INT64_MIN ? session->answer_ns : session->request_ns;
        verdict->ended = 1;
        verdict->end = end->reason;
        verdict->end_side = end->side;
        verdict->idle_ns = end->idle_ns;
        verdict->duration_ns = from != INT64_MIN && end->at_ns >= from ? end->at_ns - from : -1;
        session->stale = 0;
        store_bind_text(update, 5, verdict_text(store, session));
    }
    (void)sqlite3_bind_int64(update, 6, row);
    return store_run(store, update);
}

static int session_end(struct store *store, struct store_flow *flow, struct event *event)
{
    const struct event_session_end *said = &event->u.session_end;
    const struct end end = {event->time_ns, said->idle_ns, said->reason, said->side};
    event->row = store_session_row(store, flow, event->session);
    if (event->row == 0)
        return 0;
    return end_write(store, store_session_find(flow, event->session), event->row, &end);
}

static int header(struct store *store, struct store_flow *flow, struct event *event)
{
    const struct event_header *field = &event->u.header;
    struct buffer *buffer = &store->scratch[0];
    struct text value = field->value;
    int64_t row = store_session_row(store, flow, event->session);
    sqlite3_stmt *insert = store_statement(store, INSERT_HEADER);
    if (insert == NULL || row == 0)
        return insert == NULL ? -1 : 0;
    buffer_clear(buffer);
    if (redact_header(&store->redact, field->name, field->value, buffer)) {
        if (buffer->failed)
            return store_no_memory(store);
        value = (struct text){buffer_text(buffer), buffer->len};
    }
    (void)sqlite3_bind_int64(insert, 1, row);
    store_bind_word(insert, 2, field->response ? "response" : "request");
    (void)sqlite3_bind_int64(insert, 3, field->position);
    store_bind_text(insert, 4, field->name.data != NULL ? field->name : TEXT_LITERAL(""));
    store_bind_text(insert, 5, value);
    event->row = row;
    if (store_run(store, insert) != 0)
        return -1;
    struct store_session *session = store_session_find(flow, event->session);
    if (!field->response || session == NULL || field->name.len != 8 ||
        strncasecmp(field->name.data, "location", 8) != 0)
        return 0;
    if (store_session_text(&session->verdict.location, value) != 0)
        return store_no_memory(store);
    return session->verdict.cause == CAUSE_REDIRECT ? write_verdict(store, session) : 0;
}

/* ---------------------------------------------------------------- WebSocket */

static int websocket_insert(struct store *store, struct store_session *session, int64_t row,
                            const struct event_websocket_open *open)
{
    sqlite3_stmt *insert = store_statement(store, INSERT_WEBSOCKET);
    if (insert == NULL)
        return -1;
    (void)sqlite3_bind_int64(insert, 1, row);
    store_bind_text(insert, 2, clean(store, 0, open->subprotocol, redact_protocols));
    store_bind_text(insert, 3, open->extensions);
    store_bind_unless(insert, 4, open->accept_valid, -1);
    (void)sqlite3_bind_int64(insert, 5, open->deflate != 0);
    if (session != NULL) {
        session->websocket_row = 1;
        session->verdict.websocket = 1;
        session->stale = 1;
    }
    return store_run(store, insert);
}

static int websocket_open(struct store *store, struct store_flow *flow, struct event *event)
{
    event->row = store_session_row(store, flow, event->session);
    if (event->row == 0)
        return 0;
    return websocket_insert(store, store_session_find(flow, event->session), event->row,
                            &event->u.websocket_open);
}

static void bind_websocket_sides(sqlite3_stmt *update, const struct event_websocket_close *close)
{
    for (int i = CLIENT; i <= SERVER; i++) {
        const struct event_websocket_side *side = &close->side[i];
        store_bind_count(update, 1 + i, side->frames);
        store_bind_count(update, 3 + i, side->messages);
        store_bind_count(update, 5 + i, side->bytes);
        store_bind_count(update, 7 + i, side->message_bytes);
        store_bind_unless(update, 9 + 2 * i, side->close_code, -1);
        store_bind_text(update, 10 + 2 * i, side->close_reason);
    }
}

static int websocket_close(struct store *store, struct store_flow *flow, struct event *event)
{
    const struct event_websocket_close *close = &event->u.websocket_close;
    struct store_session *session = store_session_find(flow, event->session);
    event->row = store_session_row(store, flow, event->session);
    if (event->row == 0)
        return 0;
    if (session != NULL && !session->websocket_row) {
        const struct event_websocket_open unknown = {.accept_valid = -1};
        if (websocket_insert(store, session, event->row, &unknown) != 0)
            return -1;
    }
    sqlite3_stmt *update = store_statement(store, UPDATE_WEBSOCKET);
    if (update == NULL)
        return -1;
    bind_websocket_sides(update, close);
    (void)sqlite3_bind_int64(update, 13, event->row);
    if (store_run(store, update) != 0 || session == NULL)
        return session == NULL ? 0 : -1;
    struct verdict *verdict = &session->verdict;
    verdict->messages = close->side[CLIENT].messages + close->side[SERVER].messages;
    verdict->close_code[CLIENT] = close->side[CLIENT].close_code;
    verdict->close_code[SERVER] = close->side[SERVER].close_code;
    session->stale = 1;
    return store->options.live && !verdict->ended ? write_verdict(store, session) : 0;
}

/* Text messages and the reasons of closes are text where they can be; all else is bytes. */
static void bind_payload(sqlite3_stmt *insert, int column, const struct event_frame *frame)
{
    if (frame->message_opcode == 1 || frame->message_opcode == 8)
        store_bind_text(insert, column, frame->payload);
    else if (frame->message_opcode >= 0)
        store_bind_blob(insert, column, frame->payload);
}

static int frame_insert(struct store *store, const struct event *event, int64_t session,
                        int64_t row)
{
    const struct event_frame *frame = &event->u.frame;
    sqlite3_stmt *insert = store_statement(store, INSERT_FRAME);
    if (insert == NULL)
        return -1;
    (void)sqlite3_bind_int64(insert, 1, row);
    (void)sqlite3_bind_int64(insert, 2, session);
    store_bind_word(insert, 3, store_side(event->sender));
    (void)sqlite3_bind_int64(insert, 4, event->time_ns);
    store_bind_count(insert, 5, event->packet);
    store_bind_count(insert, 6, event->offset);
    (void)sqlite3_bind_int(insert, 7, frame->fin != 0);
    (void)sqlite3_bind_int64(insert, 8, frame->rsv);
    (void)sqlite3_bind_int64(insert, 9, frame->opcode);
    (void)sqlite3_bind_int(insert, 10, frame->masked != 0);
    store_bind_count(insert, 11, frame->length);
    if (frame->message_opcode >= 0) {
        (void)sqlite3_bind_int(insert, 12, frame->message_opcode);
        store_bind_count(insert, 13, frame->message_length);
        (void)sqlite3_bind_int64(insert, 14, frame->fragments);
        (void)sqlite3_bind_int(insert, 16, frame->cut != 0);
    }
    (void)sqlite3_bind_int(insert, 15, frame->compressed != 0);
    store_bind_unless(insert, 17, frame->rtt_ns, -1);
    bind_payload(insert, 18, frame);
    store->written += frame->payload.len;
    return store_run(store, insert);
}

static int frame(struct store *store, struct store_flow *flow, struct event *event)
{
    struct store_session *session = store_session_find(flow, event->session);
    int64_t owner = session != NULL ? session->row
                                    : store_session_row(store, flow, event->session);
    if (owner == 0)
        return 0;
    event->row = store->next_frame++;
    if (frame_insert(store, event, owner, event->row) != 0)
        return -1;
    if (session == NULL)
        return 0;
    uint64_t serial = event->u.frame.serial;
    if (store_session_frame(session, serial, event->row, event->u.frame.opcode >= 8) != 0)
        return store_no_memory(store);
    return session->findings != NULL ? store_finding_frame(store, session, serial, event->row) : 0;
}

/* ---------------------------------------------------------------- the end of a flow */

static int end_forgotten(struct store *store, const struct store_flow *flow, const struct end *end)
{
    sqlite3_stmt *update = store_statement(store, END_SESSIONS_OF_FLOW);
    if (update == NULL)
        return -1;
    (void)sqlite3_bind_int64(update, 1, end->at_ns);
    store_bind_word(update, 2, WORD(session_ends, end->reason));
    store_bind_word(update, 3, store_side(end->side));
    (void)sqlite3_bind_int64(update, 4, end->idle_ns);
    (void)sqlite3_bind_int64(update, 5, flow->row);
    return store_run(store, update);
}

static int64_t smaller_rtt(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int flow_end_sessions(struct store *store, struct store_flow *flow,
                             const struct event *event)
{
    const struct event_flow_close *close = &event->u.flow_close;
    const struct end end = {close->last_ns, close->idle_ns, close->session_end,
                            close->end_side};
    for (struct store_session *s = flow->sessions; s != NULL; s = s->next) {
        s->verdict.network = !s->verdict.ended;
        s->verdict.resent[CLIENT] = close->side[CLIENT].retransmits;
        s->verdict.resent[SERVER] = close->side[SERVER].retransmits;
        s->verdict.rtt_ns = smaller_rtt(close->side[CLIENT].rtt_ns, close->side[SERVER].rtt_ns);
        int result = s->verdict.ended ? s->stale ? write_verdict(store, s) : 0
                                      : end_write(store, s, s->row, &end);
        if (result != 0 || store_finding_counts(store, s->findings) != 0)
            return -1;
    }
    return flow->sessions_forgotten ? end_forgotten(store, flow, &end) : 0;
}

static int flow_close(struct store *store, struct store_flow *flow, struct event *event)
{
    int result = 0;
    if (flow->inserted)
        result = flow_update(store, flow, event);
    else if (store->options.all_flows)
        result = store_publish(store, flow, event);
    if (result == 0)
        result = flow_end_sessions(store, flow, event);
    if (result == 0)
        result = store_finding_counts(store, flow->findings);
    event->row = flow->row;
    store_flow_remove(store, flow);
    return result;
}

/* ---------------------------------------------------------------- the rest */

int store_frames_shed(struct store *store, struct store_session *session)
{
    uint64_t lost = session->shed_told > session->shed_found ? session->shed_told
                                                             : session->shed_found;
    sqlite3_stmt *update = store_statement(store, SET_FRAMES_LOST);
    if (update == NULL)
        return -1;
    session->verdict.frames_lost = lost;
    session->stale = 1;
    store_bind_count(update, 1, lost);
    (void)sqlite3_bind_int64(update, 2, session->row);
    return store_run(store, update);
}

static int counter(struct store *store, struct event *event)
{
    const struct event_counter *said = &event->u.counter;
    if (event->session != 0) {
        struct store_flow *flow = store_flow_find(store, event->flow);
        struct store_session *session = flow != NULL ? store_session_find(flow, event->session)
                                                     : NULL;
        if (session == NULL || said->name.len != 11 ||
            memcmp(said->name.data, "frames-shed", 11) != 0)
            return 0;
        session->shed_told = said->value;
        return store_frames_shed(store, session);
    }
    sqlite3_stmt *upsert = store_statement(store, UPSERT_COUNTER);
    if (upsert == NULL)
        return -1;
    (void)sqlite3_bind_int64(upsert, 1, store->capture);
    store_bind_text(upsert, 2, said->name.data != NULL ? said->name : TEXT_LITERAL(""));
    store_bind_count(upsert, 3, said->value);
    return store_run(store, upsert);
}

int store_event(struct store *store, struct event *event)
{
    static int (*const handlers[EVENT_KIND_COUNT])(struct store *, struct store_flow *,
                                                   struct event *) = {
        [EVENT_FLOW_CLOSE] = flow_close,         [EVENT_LAYER_OPEN] = layer_open,
        [EVENT_LAYER_CLOSE] = layer_close,       [EVENT_SESSION_OPEN] = session_open,
        [EVENT_SESSION_ANSWER] = session_answer, [EVENT_SESSION_SWITCH] = session_switch,
        [EVENT_SESSION_END] = session_end,       [EVENT_HEADER] = header,
        [EVENT_WEBSOCKET_OPEN] = websocket_open, [EVENT_WEBSOCKET_CLOSE] = websocket_close,
        [EVENT_FRAME] = frame,
    };
    if (event->kind == EVENT_COUNTER)
        return counter(store, event);
    if (event->kind == EVENT_FLOW_OPEN)
        return flow_open(store, event);
    struct store_flow *flow = store_flow_find(store, event->flow);
    if (event->kind == EVENT_FINDING)
        return store_finding_event(store, flow, event);
    if (event->kind == EVENT_GAP)
        return store_gap_event(store, flow, event);
    if (flow == NULL || (unsigned)event->kind >= EVENT_KIND_COUNT || handlers[event->kind] == NULL)
        return 0;
    return handlers[event->kind](store, flow, event);
}
