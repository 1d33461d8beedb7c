/*
 * switchtap sessions: the attempts to switch, a line each.
 */
#include <inttypes.h>
#include <string.h>

#include "commands.h"
#include "listing.h"
#include "times.h"

/* ---------------------------------------------------------------- for programs */

#define ISO(ns)                                                                                    \
    "printf('%s.%09dZ', strftime('%Y-%m-%dT%H:%M:%S', " ns "/1000000000, 'unixepoch'), " ns        \
    "%1000000000)"
#define ISO_OR_NULL(ns) "CASE WHEN " ns " IS NOT NULL THEN " ISO(ns) " END"

static const char program_sql[] = "SELECT s.id AS id, " ISO_OR_NULL(
    "coalesce(s.request_ns, s.response_ns)") " AS time, "
                                             "s.flow_id, f.client_addr, f.client_port, "
                                             "f.server_addr, f.server_port, f.capture_id, "
                                             "s.mechanism, s.offered, s.accepted, s.outcome, "
                                             "s.cause, s.method, s.host, s.path, s.target, "
                                             "s.origin, s.user_agent, s.status, s.reason, "
                                             "s.request_ns, s.response_ns, s.end_ns, "
                                             "s.end_ns - coalesce(s.response_ns, s.request_ns) AS "
                                             "duration_ns, s.end_reason, s.end_side, "
                                             "s.hop_of, w.subprotocol, w.extensions, "
                                             "w.client_messages, w.server_messages, "
                                             "w.client_message_bytes, w.server_message_bytes, "
                                             "w.client_close_code, w.server_close_code, "
                                             "s.frames_lost, (SELECT count(*) FROM finding x WHERE "
                                             "x.session_id = s.id) AS findings, "
                                             "s.verdict ";

static const char from_sql[] = "FROM session s LEFT JOIN flow f ON f.id = s.flow_id "
                               "LEFT JOIN websocket w ON w.session_id = s.id WHERE 1";

/* ---------------------------------------------------------------- for people */

enum people {
    P_ID,
    P_TIME,
    P_CLIENT,
    P_CLIENT_PORT,
    P_SERVER,
    P_SERVER_PORT,
    P_HOST,
    P_PATH,
    P_MECHANISM,
    P_OFFERED,
    P_ACCEPTED,
    P_OUTCOME,
    P_STATUS,
    P_FROM_NS,
    P_END_NS,
    P_END_REASON,
    P_END_SIDE,
    P_CLIENT_MESSAGES,
    P_SERVER_MESSAGES,
    P_CLIENT_CODE,
    P_SERVER_CODE,
    P_TARGET,
    P_WORST,
    P_FINDINGS,
    P_LAYER
};

static const char people_sql[] =
    "SELECT s.id AS id, coalesce(s.request_ns, s.response_ns), f.client_addr, f.client_port, "
    "f.server_addr, f.server_port, s.host, s.path, s.mechanism, s.offered, s.accepted, s.outcome, "
    "s.status, coalesce(s.response_ns, s.request_ns), s.end_ns, s.end_reason, s.end_side, "
    "w.client_messages, w.server_messages, w.client_close_code, w.server_close_code, s.target, "
    "(SELECT max(CASE coalesce(x.severity, r.severity) WHEN 'high' THEN 3 WHEN 'medium' THEN 2 "
    "WHEN 'low' THEN 1 ELSE 0 "
    "END) FROM finding x JOIN rule r ON r.name = x.rule WHERE x.session_id = s.id), "
    "(SELECT count(*) FROM finding x WHERE x.session_id = s.id), "
    "(SELECT l.protocol FROM layer l WHERE l.id = s.layer_id) ";

static const struct column columns[] = {
    {"ID", COLUMN_RIGHT, 0, 0},  {"TIME", 0, 0, 0},
    {"CLIENT", 0, 0, 5},         {"SERVER", 0, 0, 6},
    {"HOST AND PATH", 0, 24, 0}, {"SWITCH", 0, 9, 0},
    {"OUTCOME", 0, 0, 0},        {"LASTED", COLUMN_RIGHT, 0, 3},
    {"MESSAGES", 0, 0, 2},       {"END", 0, 0, 4},
    {"FINDINGS", 0, 0, 1},
};

static void cell(struct rows *rows, struct buffer *text)
{
    rows_text(rows, (struct text){buffer_text(text), text->len});
    buffer_clear(text);
}

static void cell_where(struct rows *rows, struct query *query, struct buffer *text)
{
    int socks = listing_is(query, P_MECHANISM, "socks"); /* its host is without the port */
    if (!socks)
        listing_text(text, query, P_HOST);
    if (socks || (listing_is(query, P_MECHANISM, "connect") && text->len == 0))
        listing_text(text, query, P_TARGET);
    if (!listing_is(query, P_MECHANISM, "connect"))
        listing_text(text, query, P_PATH);
    cell(rows, text);
}

static int is_switched(struct query *query)
{
    return listing_is(query, P_OUTCOME, "switched") || listing_is(query, P_OUTCOME, "unsolicited");
}

/* What it became; else what was asked for. */
static void cell_switch(struct rows *rows, struct query *query, struct buffer *text)
{
    int column = is_switched(query) && !listing_is_null(query, P_ACCEPTED) ? P_ACCEPTED : P_OFFERED;
    if (listing_is(query, P_MECHANISM, "starttls") && !listing_is_null(query, P_LAYER)) {
        listing_text(text, query, P_LAYER);
        buffer_word(text, " to ");
        listing_text(text, query, column);
    } else if (!listing_is(query, P_MECHANISM, "upgrade")) {
        listing_text(text, query, P_MECHANISM);
    } else if (!listing_is_null(query, column)) {
        listing_text(text, query, column);
    } else {
        buffer_word(text, "upgrade");
    }
    cell(rows, text);
}

static enum style outcome_style(struct query *query)
{
    if (listing_is(query, P_OUTCOME, "switched"))
        return STYLE_GREEN;
    return listing_is(query, P_OUTCOME, "unanswered") ? STYLE_DIM : STYLE_YELLOW;
}

static void cell_outcome(struct rows *rows, struct query *query, struct buffer *text)
{
    listing_text(text, query, P_OUTCOME);
    if (listing_int(query, P_STATUS, 0) > 0)
        buffer_format(text, " %" PRId64, listing_int(query, P_STATUS, 0));
    cell(rows, text);
    rows_style(rows, outcome_style(query));
}

static void cell_messages(struct rows *rows, struct query *query, struct buffer *text)
{
    if (!listing_is_null(query, P_CLIENT_MESSAGES))
        buffer_format(text, "%" PRId64 " -> %" PRId64 " <-",
                      listing_int(query, P_CLIENT_MESSAGES, 0),
                      listing_int(query, P_SERVER_MESSAGES, 0));
    cell(rows, text);
}

static void cell_end(struct rows *rows, struct query *query, struct buffer *text)
{
    int switched = is_switched(query);
    int64_t code = listing_int(query, P_CLIENT_CODE, -1);
    if (listing_is(query, P_END_SIDE, "server") || code < 0)
        code = listing_int(query, P_SERVER_CODE, code);
    if (switched && listing_is_null(query, P_END_REASON))
        buffer_word(text, "open");
    else if (switched)
        listing_text(text, query, P_END_REASON);
    if (switched && code >= 0)
        buffer_format(text, " %" PRId64, code);
    cell(rows, text);
}

static void row(struct rows *rows, struct query *query, struct buffer *text)
{
    char time[TIMES_SIZE];
    rows_int(rows, listing_int(query, P_ID, 0));
    rows_style(rows, STYLE_BOLD);
    if (!listing_is_null(query, P_TIME))
        buffer_word(text, times_local(listing_int(query, P_TIME, 0), 0, time));
    cell(rows, text);
    listing_address(text, query, P_CLIENT);
    cell(rows, text);
    listing_address(text, query, P_SERVER);
    cell(rows, text);
    cell_where(rows, query, text);
    cell_switch(rows, query, text);
    cell_outcome(rows, query, text);
    if (is_switched(query) && !listing_is_null(query, P_END_NS) &&
        !listing_is_null(query, P_FROM_NS))
        buffer_word(text, times_duration(times_between(listing_int(query, P_FROM_NS, 0),
                                                       listing_int(query, P_END_NS, 0)),
                                         time));
    cell(rows, text);
    cell_messages(rows, query, text);
    cell_end(rows, query, text);
    int64_t worst = listing_int(query, P_WORST, 0), findings = listing_int(query, P_FINDINGS, 0);
    if (findings > 0)
        buffer_format(text, "%" PRId64 " %s", findings, severity_names[worst & 3]);
    cell(rows, text);
    rows_style(rows, worst == 3 ? STYLE_RED : worst == 2 ? STYLE_YELLOW : STYLE_DIM);
    rows_end(rows);
}

static int people(struct output *out, struct query *query)
{
    struct buffer text = {0};
    struct rows *rows = rows_new(out, FORMAT_TABLE, columns, sizeof columns / sizeof columns[0]);
    if (rows == NULL) {
        complain("out of memory");
        return STATUS_FAILED;
    }
    int result = 0;
    while (out->error == 0 && (result = listing_step(query)) == 1)
        row(rows, query, &text);
    buffer_release(&text);
    if (rows_finish(rows) == 0 && result == 0)
        output_word(out, "no sessions\n");
    return result < 0 ? STATUS_FAILED : STATUS_DONE;
}

static int run(const struct options *options)
{
    struct buffer sql = {0};
    struct output out;
    struct database *database = listing_open(options->arguments[0]);
    if (database == NULL)
        return STATUS_FAILED;
    output_init(&out, stdout);
    buffer_word(&sql, options->format == FORMAT_TABLE ? people_sql : program_sql);
    buffer_word(&sql, from_sql);
    listing_where(&sql, options, "coalesce(s.request_ns, s.response_ns)");
    buffer_word(&sql, " ORDER BY s.id");
    listing_limit(&sql, options);
    struct query *query = listing_query(database, buffer_text(&sql));
    buffer_release(&sql);
    int status = STATUS_FAILED;
    if (query != NULL) {
        listing_bind(query, options);
        status = options->format == FORMAT_TABLE
                     ? people(&out, query)
                     : listing_print(&out, (enum format)options->format, query);
        query_free(query);
    }
    database_close(database);
    int failed = output_finish(&out);
    return status != STATUS_DONE ? status : failed;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Which"),
    OPTIONS_TIMES,
    OPTIONS_SESSIONS,
    OPTIONS_LIMIT(NULL, "the last N of them"),
    OPTIONS_TITLE("How"),
    OPTIONS_FORMAT(format_choices, "; those for programs have more columns"),
    OPTION_END,
};

const struct command command_sessions = {
    .name = "sessions",
    .arguments = "DB",
    .summary = "Lists the sessions: each attempt to switch protocols, granted or not.",
    .details = "Times are local in the table and UTC in the other formats.",
    .examples = "  switchtap sessions switchtap.db --outcome refused --since 2h\n"
                "  switchtap sessions switchtap.db --host 'chat.*' --format jsonl\n",
    .options = options,
    .missing = "which DB?",
    .least = 1,
    .most = 1,
    .run = run,
};
