/*
 * switchtap show: one session in full.
 */
#include <inttypes.h>
#include <string.h>

#include "commands.h"
#include "show.h"
#include "times.h"

/* ---------------------------------------------------------------- what the parts share */

struct query *show_query(struct show *show, const char *sql)
{
    struct query *query = listing_query(show->database, sql);
    if (query == NULL) {
        show->failed = 1;
        return NULL;
    }
    (void)query_bind_int(query, "session", show->session);
    (void)query_bind_int(query, "flow", show->flow);
    return query;
}

int show_step(struct show *show, struct query *query)
{
    int result = show->out->error != 0 ? 0 : listing_step(query);
    if (result < 0)
        show->failed = 1;
    return result == 1;
}

void show_title(struct show *show, const char *title)
{
    output_word(show->out, "\n");
    output_styled(show->out, STYLE_BOLD, title);
    output_word(show->out, "\n");
}

void show_field(struct show *show, const char *name, struct buffer *text)
{
    enum { INDENT = 16 };
    struct buffer safe = {0};
    if (text->len > 0) {
        output_word(show->out, "  ");
        output_style(show->out, STYLE_DIM);
        output_format(show->out, "%-12s", name);
        output_style(show->out, STYLE_PLAIN);
        output_word(show->out, "  ");
        buffer_safe(&safe, (struct text){buffer_text(text), text->len}, output_safety(show->out));
        output_wrapped(show->out, buffer_text(&safe), INDENT);
        buffer_release(&safe);
    }
    buffer_clear(text);
}

/* ---------------------------------------------------------------- the session itself */

enum head {
    H_FLOW,
    H_MECHANISM,
    H_OFFERED,
    H_ACCEPTED,
    H_OUTCOME,
    H_CAUSE,
    H_METHOD,
    H_TARGET,
    H_HOST,
    H_ORIGIN,
    H_STATUS,
    H_REASON,
    H_REQUEST_NS,
    H_RESPONSE_NS,
    H_REQUEST_PACKET,
    H_RESPONSE_PACKET,
    H_END_NS,
    H_END_REASON,
    H_END_SIDE,
    H_IDLE_NS,
    H_LOST,
    H_VERDICT
};

static const char head_sql[] =
    "SELECT flow_id, mechanism, offered, accepted, outcome, cause, method, target, host, origin, "
    "status, reason, request_ns, response_ns, request_packet, response_packet, end_ns, end_reason, "
    "end_side, idle_ns, frames_lost, verdict FROM session WHERE id = :session";

static enum style outcome_style(struct query *query)
{
    if (listing_is(query, H_OUTCOME, "switched"))
        return STYLE_GREEN;
    return listing_is(query, H_OUTCOME, "unanswered") ? STYLE_DIM : STYLE_YELLOW;
}

static void head_title(struct show *show, struct query *query)
{
    struct output *out = show->out;
    struct buffer text = {0};
    output_style(out, STYLE_BOLD);
    output_format(out, "Session %" PRId64, show->session);
    output_style(out, STYLE_PLAIN);
    output_word(out, "  ");
    listing_text(&text, query, H_OUTCOME);
    if (listing_int(query, H_STATUS, 0) > 0)
        buffer_format(&text, " %" PRId64, listing_int(query, H_STATUS, 0));
    output_style(out, outcome_style(query));
    output_safe(out, (struct text){buffer_text(&text), text.len});
    output_style(out, STYLE_PLAIN);
    buffer_clear(&text);
    buffer_word(&text, "  ");
    listing_text(&text, query, H_METHOD);
    if (!listing_is_null(query, H_HOST) && !listing_is(query, H_MECHANISM, "socks")) {
        buffer_word(&text, " ");
        listing_text(&text, query, H_HOST);
    }
    if (!listing_is(query, H_MECHANISM, "connect") && !listing_is_null(query, H_TARGET)) {
        struct text target = query_text(query, H_TARGET);
        buffer_word(&text, target.len > 0 && target.data[0] == '/' ? "" : " ");
        buffer_add(&text, target.data, target.len);
    }
    output_safe(out, (struct text){buffer_text(&text), text.len});
    output_word(out, "\n");
    buffer_release(&text);
    if (!listing_is_null(query, H_VERDICT)) {
        struct buffer safe = {0};
        buffer_safe(&safe, query_text(query, H_VERDICT), output_safety(out));
        output_wrapped(out, buffer_text(&safe), 0);
        buffer_release(&safe);
    }
    output_word(out, "\n");
}

static void moment(struct buffer *text, struct query *query, int time, int packet, int64_t since)
{
    char word[TIMES_SIZE];
    if (listing_is_null(query, time))
        return;
    int64_t ns = listing_int(query, time, 0);
    buffer_word(text, times_local(ns, 6, word));
    if (since == INT64_MIN)
        buffer_format(text, " %s", times_zone(ns, word));
    else
        buffer_format(text, ", %s later", times_duration(times_between(since, ns), word));
    if (packet >= 0 && !listing_is_null(query, packet))
        buffer_format(text, "  packet %" PRId64, listing_int(query, packet, 0));
}

static void head_times(struct show *show, struct query *query)
{
    struct buffer text = {0};
    char word[TIMES_SIZE];
    int64_t asked = listing_int(query, H_REQUEST_NS, INT64_MIN);
    int64_t answered = listing_int(query, H_RESPONSE_NS, INT64_MIN);
    moment(&text, query, H_REQUEST_NS, H_REQUEST_PACKET, INT64_MIN);
    show_field(show, "request", &text);
    moment(&text, query, H_RESPONSE_NS, H_RESPONSE_PACKET, asked);
    show_field(show, "response", &text);
    moment(&text, query, H_END_NS, -1, answered != INT64_MIN ? answered : asked);
    if (!listing_is_null(query, H_END_REASON)) {
        buffer_word(&text, text.len > 0 ? "  " : "");
        listing_text(&text, query, H_END_REASON);
        if (!listing_is_null(query, H_END_SIDE)) {
            buffer_word(&text, " by the ");
            listing_text(&text, query, H_END_SIDE);
        }
        if (listing_int(query, H_IDLE_NS, 0) >= INT64_C(1000000000))
            buffer_format(&text, ", after %s of silence",
                          times_duration(listing_int(query, H_IDLE_NS, 0), word));
    } else if (listing_is(query, H_OUTCOME, "switched")) {
        buffer_word(&text, text.len > 0 ? "" : "still open");
    }
    show_field(show, "end", &text);
    buffer_release(&text);
}

static void head_words(struct show *show, struct query *query)
{
    static const struct {
        const char *name;
        int column;
    } fields[] = {
        {"mechanism", H_MECHANISM}, {"offered", H_OFFERED}, {"accepted", H_ACCEPTED},
        {"cause", H_CAUSE},         {"origin", H_ORIGIN},
    };
    struct buffer text = {0};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        listing_text(&text, query, fields[i].column);
        show_field(show, fields[i].name, &text);
    }
    if (listing_int(query, H_LOST, 0) > 0)
        buffer_format(&text, "%" PRId64 " were not stored: the disk was too slow",
                      listing_int(query, H_LOST, 0));
    show_field(show, "frames", &text);
    buffer_release(&text);
}

/* 1: printed; 0: there is no such session; -1. */
static int show_head(struct show *show)
{
    struct query *query = show_query(show, head_sql);
    if (query == NULL)
        return -1;
    int found = show_step(show, query);
    if (found) {
        show->flow = listing_int(query, H_FLOW, 0);
        head_title(show, query);
        head_words(show, query);
        head_times(show, query);
    }
    query_free(query);
    return show->failed ? -1 : found;
}

/* ---------------------------------------------------------------- the flow */

static void flow_side(struct show *show, struct query *query, const char *name, int address,
                      int numbers)
{
    struct buffer text = {0};
    char bytes[32], word[TIMES_SIZE];
    listing_address(&text, query, address);
    buffer_format(&text, "  %" PRId64 " packet%s, %s", listing_int(query, numbers, 0),
                  PLURAL(listing_int(query, numbers, 0)),
                  output_bytes((uint64_t)listing_int(query, numbers + 1, 0), bytes));
    if (listing_int(query, numbers + 2, 0) > 0)
        buffer_format(&text, ", %s missing",
                      output_bytes((uint64_t)listing_int(query, numbers + 2, 0), bytes));
    if (listing_int(query, numbers + 3, 0) > 0)
        buffer_format(&text, ", %" PRId64 " retransmitted", listing_int(query, numbers + 3, 0));
    if (!listing_is_null(query, numbers + 4))
        buffer_format(&text, ", round trip %s",
                      times_duration(listing_int(query, numbers + 4, 0), word));
    show_field(show, name, &text);
    buffer_release(&text);
}

/* The other files of a series that tell of this connection, too. */
static void show_continuation(struct show *show)
{
    struct query *query = show_query(show, "SELECT direction, file FROM continuation WHERE "
                                           "flow_id = :flow GROUP BY direction ORDER BY direction");
    while (query != NULL && show_step(show, query)) {
        struct buffer text = {0};
        buffer_word(&text, listing_is(query, 0, "to") ? "goes on in " : "began in ");
        listing_text(&text, query, 1);
        show_field(show, "other files", &text);
        buffer_release(&text);
    }
    query_free(query);
}

static void show_flow(struct show *show)
{
    struct query *query = show_query(
        show,
        "SELECT client_addr, client_port, server_addr, server_port, client_packets, "
        "client_bytes, client_missing, client_retransmits, client_rtt_ns, server_packets, "
        "server_bytes, server_missing, server_retransmits, server_rtt_ns, handshake, \"end\", "
        "vlan, community_id, ndpi_protocol, ndpi_risk, c.id, c.source, "
        "p.path, p.first_packet FROM flow f LEFT JOIN capture c ON c.id = f.capture_id "
        "LEFT JOIN capture_file p ON p.capture_id = c.id AND p.first_packet = (SELECT "
        "max(q.first_packet) FROM capture_file q WHERE q.capture_id = c.id AND q.first_packet <= "
        "(SELECT coalesce(request_packet, response_packet) FROM session WHERE id = :session)) "
        "WHERE f.id = :flow");
    struct buffer text = {0};
    if (query == NULL)
        return;
    if (show_step(show, query)) {
        flow_side(show, query, "client", 0, 4);
        flow_side(show, query, "server", 2, 9);
        buffer_format(&text, "%" PRId64 ", handshake ", show->flow);
        listing_text(&text, query, 14);
        buffer_word(&text, listing_is_null(query, 15) ? ", still open" : ", end ");
        listing_text(&text, query, 15);
        if (!listing_is_null(query, 16))
            buffer_format(&text, ", VLAN %" PRId64, listing_int(query, 16, 0));
        buffer_word(&text, listing_is_null(query, 17) ? "" : ", community id ");
        listing_text(&text, query, 17);
        show_field(show, "flow", &text);
        listing_text(&text, query, 18);
        buffer_word(&text, listing_is_null(query, 19) ? "" : ", risks: ");
        listing_text(&text, query, 19);
        show_field(show, "nDPI", &text);
        buffer_format(&text, "%" PRId64 ", ", listing_int(query, 20, 0));
        listing_text(&text, query, listing_is_null(query, 22) ? 21 : 22);
        if (listing_int(query, 23, 1) > 1)
            buffer_format(&text, ", which begins with packet %" PRId64, listing_int(query, 23, 1));
        show_field(show, "capture", &text);
    }
    buffer_release(&text);
    query_free(query);
    if (database_has(show->database, "continuation")) /* files made before there were series */
        show_continuation(show);
}

/* ---------------------------------------------------------------- the handshake */

static void header_line(struct show *show, struct query *query)
{
    struct buffer text = {0};
    output_word(show->out, "  ");
    output_style(show->out, STYLE_DIM);
    output_safe(show->out, query_text(query, 0));
    output_word(show->out, ":");
    output_style(show->out, STYLE_PLAIN);
    output_word(show->out, " ");
    listing_text(&text, query, 1);
    output_safe(show->out, (struct text){buffer_text(&text), text.len});
    output_word(show->out, "\n");
    buffer_release(&text);
}

/* The first line, or what there is of it: "GET /chat", "101 Switching Protocols", "OK go". 0: there
 * was none. */
static int first_line(struct show *show, const char *title, const char *sql)
{
    struct query *query = show_query(show, sql);
    int found = 0;
    if (query == NULL)
        return 0;
    if (show_step(show, query) && !(listing_is_null(query, 0) && listing_is_null(query, 1))) {
        struct buffer text = {0};
        show_title(show, title);
        listing_text(&text, query, 0);
        if (text.len > 0 && !listing_is_null(query, 1) && query_text(query, 1).len > 0)
            buffer_word(&text, " ");
        listing_text(&text, query, 1);
        output_word(show->out, "  ");
        output_safe(show->out, (struct text){buffer_text(&text), text.len});
        output_word(show->out, "\n");
        buffer_release(&text);
        found = 1;
    }
    query_free(query);
    return found;
}

static void show_headers(struct show *show, const char *message, const char *title,
                         const char *line_sql)
{
    int titled = first_line(show, title, line_sql);
    struct query *query = show_query(
        show, "SELECT name, value FROM header WHERE session_id = :session AND message = :message "
              "ORDER BY position");
    if (query == NULL)
        return;
    (void)query_bind_text(query, "message", message);
    for (; show_step(show, query); titled = 1) {
        if (!titled)
            show_title(show, title);
        header_line(show, query);
    }
    query_free(query);
}

/* ---------------------------------------------------------------- the websocket */

static void websocket_side(struct show *show, struct query *query, const char *name, int at)
{
    struct buffer text = {0};
    char wire[32], decoded[32];
    int64_t frames = listing_int(query, at, 0), messages = listing_int(query, at + 1, 0);
    buffer_format(&text, "%" PRId64 " message%s in %" PRId64 " frame%s, %s", messages,
                  PLURAL(messages), frames, PLURAL(frames),
                  output_bytes((uint64_t)listing_int(query, at + 2, 0), wire));
    if (listing_int(query, at + 3, 0) != listing_int(query, at + 2, 0))
        buffer_format(&text, ", %s decoded",
                      output_bytes((uint64_t)listing_int(query, at + 3, 0), decoded));
    if (!listing_is_null(query, at + 4)) {
        buffer_format(&text, "; close %" PRId64, listing_int(query, at + 4, 0));
        struct text reason = query_text(query, at + 5);
        if (!listing_is_null(query, at + 5) && reason.len > 0) {
            buffer_word(&text, " \"");
            buffer_add(&text, reason.data, reason.len);
            buffer_word(&text, "\"");
        }
    } else {
        buffer_word(&text, "; no close");
    }
    show_field(show, name, &text);
    buffer_release(&text);
}

static void show_websocket(struct show *show)
{
    struct query *query = show_query(
        show, "SELECT subprotocol, extensions, accept_valid, client_frames, client_messages, "
              "client_bytes, client_message_bytes, client_close_code, client_close_reason, "
              "server_frames, server_messages, server_bytes, server_message_bytes, "
              "server_close_code, server_close_reason, (SELECT mechanism FROM session WHERE "
              "id = :session) FROM websocket WHERE session_id = :session");
    struct buffer text = {0};
    if (query == NULL)
        return;
    if (show_step(show, query)) {
        show_title(show, "WebSocket");
        listing_text(&text, query, 0);
        show_field(show, "subprotocol", &text);
        listing_text(&text, query, 1);
        show_field(show, "extensions", &text);
        if (listing_is(query, 15, "extended-connect"))
            buffer_word(&text, "HTTP/2 has no key");
        else if (listing_is_null(query, 2))
            buffer_word(&text, "not checked: key or answer was not seen");
        else
            buffer_word(&text, listing_int(query, 2, 0) ? "valid" : "WRONG");
        show_field(show, "accept", &text);
        websocket_side(show, query, "client", 3);
        websocket_side(show, query, "server", 9);
    }
    buffer_release(&text);
    query_free(query);
}

/* ---------------------------------------------------------------- messages and findings */

static void show_messages(struct show *show)
{
    enum { PREVIEW = 120 };
    static const struct column columns[] = {{"", 0, 0, 0},
                                            {"TIME", 0, 0, 0},
                                            {"", 0, 0, 0},
                                            {"KIND", 0, 0, 0},
                                            {"BYTES", COLUMN_RIGHT, 0, 0},
                                            {"PAYLOAD", 0, 10, 0}};
    struct query *query = show_query(
        show, "SELECT sent_ns, sender, message_opcode, message_length, payload, count(*) OVER () "
              "FROM frame WHERE session_id = :session AND message_length IS NOT NULL ORDER BY id "
              "LIMIT :limit");
    if (query == NULL)
        return;
    (void)query_bind_int(query, "limit", (int64_t)show->messages);
    struct rows *rows = NULL;
    int64_t total = 0;
    char word[TIMES_SIZE];
    while (show_step(show, query)) {
        if (rows == NULL) {
            total = listing_int(query, 5, 0);
            show_title(show, "Messages");
            rows = rows_new(show->out, FORMAT_TABLE, columns, 6);
            if (rows == NULL)
                break;
        }
        rows_text(rows, text_of(""));
        rows_text(rows, text_of(times_clock(listing_int(query, 0, 0), 3, word)));
        rows_text(rows, text_of(listing_is(query, 1, "client") ? "->" : "<-"));
        rows_style(rows, listing_is(query, 1, "client") ? STYLE_CYAN : STYLE_GREEN);
        rows_text(rows, text_of(listing_opcode(listing_int(query, 2, -1))));
        rows_int(rows, listing_int(query, 3, 0));
        listing_payload(rows, query, 4, PREVIEW);
        rows_end(rows);
    }
    if (rows != NULL && (uint64_t)total > rows_finish(rows))
        output_format(show->out,
                      "   ... of %" PRId64 " messages; 'switchtap messages DB %" PRId64
                      "' prints all\n",
                      total, show->session);
    query_free(query);
}

static void show_findings(struct show *show)
{
    static const struct column columns[] = {
        {"", 0, 0, 0},
        {"SEVERITY", 0, 0, 0},
        {"RULE", 0, 0, 0},
        {"SIDE", 0, 0, 0},
        {"PACKET", COLUMN_RIGHT, 0, 2},
        {"OFFSET", COLUMN_RIGHT, 0, 3},
        {"TIMES", COLUMN_RIGHT, 0, 1},
        {"EVIDENCE", 0, 16, 0},
    };
    struct query *query = show_query(
        show, "SELECT coalesce(x.severity, r.severity) AS severity, x.rule, x.sender, x.packet, "
              "x.offset, x.count, x.evidence FROM "
              "finding x LEFT JOIN rule r ON r.name = x.rule WHERE x.session_id = :session OR "
              "(x.session_id IS NULL AND x.flow_id = :flow) ORDER BY CASE "
              "coalesce(x.severity, r.severity) WHEN 'high' "
              "THEN 0 WHEN 'medium' THEN 1 WHEN 'low' THEN 2 ELSE 3 END, x.id");
    struct rows *rows = NULL;
    if (query == NULL)
        return;
    while (show_step(show, query)) {
        if (rows == NULL) {
            show_title(show, "Findings");
            rows = rows_new(show->out, FORMAT_TABLE, columns, sizeof columns / sizeof columns[0]);
            if (rows == NULL)
                break;
        }
        rows_text(rows, text_of(""));
        rows_cell(rows, query, 0);
        rows_style(rows, listing_is(query, 0, "high")     ? STYLE_RED
                         : listing_is(query, 0, "medium") ? STYLE_YELLOW
                                                          : STYLE_DIM);
        for (int i = 1; i < 7; i++)
            rows_cell(rows, query, i);
        rows_end(rows);
    }
    if (rows != NULL)
        (void)rows_finish(rows);
    query_free(query);
}

/* ---------------------------------------------------------------- the command */

static void show_rest(struct show *show)
{
    show_flow(show);
    show_layers(show);
    show_hops(show);
    show_headers(show, "request", "Request",
                 "SELECT method, target FROM session WHERE id = :session");
    show_headers(show, "response", "Response",
                 "SELECT status, reason FROM session WHERE id = :session");
    show_websocket(show);
    show_messages(show);
    show_findings(show);
}

static int run(const struct options *options)
{
    struct output out;
    struct show show = {.out = &out, .messages = options->limit};
    if (listing_session("show", options->arguments[1], &show.session) != 0)
        return STATUS_USAGE;
    show.database = listing_open(options->arguments[0]);
    if (show.database == NULL)
        return STATUS_FAILED;
    output_init(&out, stdout);
    int found = show_head(&show);
    if (found == 0) {
        complain("%s has no session %" PRId64 " ('switchtap sessions' lists them)",
                 options->arguments[0], show.session);
        show.failed = 1;
    } else if (found > 0) {
        show_rest(&show);
    }
    database_close(show.database);
    int failed = output_finish(&out);
    return show.failed ? STATUS_FAILED : failed;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Options"),
    OPTIONS_LIMIT("20", "print the first N messages"),
    OPTION_END,
};

const struct command command_show = {
    .name = "show",
    .arguments = "DB ID",
    .summary = "Shows one session in full: what happened, its connection, layers, hops, handshake, "
               "messages and findings.",
    .details = "Offsets (@) count bytes in the stream of the layer, from 0. -> is from the client, "
               "<- from the server. Times are local.",
    .examples = "  switchtap show switchtap.db 3\n",
    .options = options,
    .missing = "which DB and which session's ID? ('switchtap sessions DB' lists them)",
    .least = 2,
    .most = 2,
    .run = run,
};
