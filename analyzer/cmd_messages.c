/*
 * switchtap messages: what was said, searched and followed.
 */
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "listing.h"
#include "signals.h"
#include "times.h"

enum { POLL_MS = 300 };

static const char *const opcode_choices[] = {"text", "binary", "close", "ping", "pong", NULL};
static const int opcode_numbers[] = {1, 2, 8, 9, 10};
static const char *const side_choices[] = {"client", "server", NULL};

static const char people_sql[] =
    "SELECT m.id AS id, m.session_id, m.sent_ns, m.sender, m.message_opcode, m.message_length, "
    "m.payload ";

static const char program_sql[] =
    "SELECT m.id AS id, m.session_id, printf('%s.%09dZ', strftime('%Y-%m-%dT%H:%M:%S', "
    "m.sent_ns/1000000000, 'unixepoch'), m.sent_ns%1000000000) AS time, m.sent_ns, m.sender, "
    "CASE m.message_opcode WHEN 1 THEN 'text' WHEN 2 THEN 'binary' WHEN 8 THEN 'close' "
    "WHEN 9 THEN 'ping' WHEN 10 THEN 'pong' END AS opcode, m.message_length AS length, "
    "m.fragments, m.compressed, m.cut, m.rtt_ns, m.packet, m.offset, s.host, s.path, m.payload ";

static void statement(struct buffer *sql, const struct options *options, int64_t session)
{
    buffer_word(sql, options->format == FORMAT_TABLE ? people_sql : program_sql);
    buffer_word(sql, "FROM frame m LEFT JOIN session s ON s.id = m.session_id "
                     "LEFT JOIN flow f ON f.id = s.flow_id "
                     "WHERE m.message_length IS NOT NULL");
    if (session > 0)
        buffer_word(sql, " AND m.session_id = :session");
    if (options->opcode > 0)
        buffer_word(sql, " AND m.message_opcode = :opcode");
    if (options->side > 0)
        buffer_word(sql, " AND m.sender = :side");
    if (options->grep != NULL)
        buffer_word(sql, " AND instr(CAST(m.payload AS BLOB), CAST(:grep AS BLOB)) > 0");
    if (options->follow)
        buffer_word(sql, " AND m.id > :after");
    listing_where(sql, options, "m.sent_ns");
    buffer_word(sql, " ORDER BY m.id");
}

static struct query *prepare(struct database *database, const struct options *options,
                             int64_t session, int64_t after)
{
    struct buffer sql = {0};
    statement(&sql, options, session);
    if (after < 0)
        listing_limit(&sql, options);
    struct query *query = listing_query(database, buffer_text(&sql));
    buffer_release(&sql);
    if (query == NULL)
        return NULL;
    listing_bind(query, options);
    (void)query_bind_int(query, "session", session);
    (void)query_bind_int(query, "after", after);
    if (options->opcode > 0)
        (void)query_bind_int(query, "opcode", opcode_numbers[options->opcode - 1]);
    if (options->side > 0)
        (void)query_bind_text(query, "side", side_choices[options->side - 1]);
    if (options->grep != NULL)
        (void)query_bind_text(query, "grep", options->grep);
    return query;
}

static const struct column columns[] = {
    {"SESSION", COLUMN_RIGHT, 0, 0}, {"TIME", 0, 0, 0},     {"", 0, 0, 0}, {"KIND", 0, 0, 0},
    {"BYTES", COLUMN_RIGHT, 0, 0},   {"PAYLOAD", 0, 16, 0},
};

static void people_row(struct rows *rows, struct query *query)
{
    char time[TIMES_SIZE];
    int client = listing_is(query, 3, "client");
    rows_int(rows, listing_int(query, 1, 0));
    rows_style(rows, STYLE_BOLD);
    rows_text(rows, text_of(times_local(listing_int(query, 2, 0), 3, time)));
    rows_text(rows, text_of(client ? "->" : "<-"));
    rows_style(rows, client ? STYLE_CYAN : STYLE_GREEN);
    rows_text(rows, text_of(listing_opcode(listing_int(query, 4, -1))));
    rows_int(rows, listing_int(query, 5, 0));
    listing_payload(rows, query, 6, 0);
    rows_end(rows);
}

static struct rows *begin(struct output *out, const struct options *options, struct query *query)
{
    struct column names[32];
    if (options->format == FORMAT_TABLE)
        return rows_new(out, FORMAT_TABLE, columns, sizeof columns / sizeof columns[0]);
    int count = query_column_count(query);
    for (int i = 0; i < count && i < 32; i++)
        names[i] = (struct column){.name = query_column_name(query, i)};
    return rows_new(out, (enum format)options->format, names, (size_t)(count < 32 ? count : 32));
}

/* Prints the rows of a query; the largest id goes to *after. 0 or -1. */
static int print(struct output *out, struct rows *rows, const struct options *options,
                 struct query *query, int64_t *after)
{
    int result;
    while ((result = listing_step(query)) == 1 && out->error == 0) {
        *after = listing_int(query, 0, *after);
        if (options->format == FORMAT_TABLE) {
            people_row(rows, query);
            continue;
        }
        for (int i = 0; i < query_column_count(query); i++)
            rows_cell(rows, query, i);
        rows_end(rows);
    }
    return result < 0 ? -1 : 0;
}

/* Waits for more. 0; 1: enough, by a signal or because nobody reads any more. */
static int pause_for_more(struct rows *rows, const struct output *out)
{
    struct pollfd reader = {.fd = STDOUT_FILENO, .events = 0};
    rows_flush(rows);
    if (out->error != 0 || signals_seen() > 0)
        return 1;
    if (poll(&reader, 1, POLL_MS) > 0 && (reader.revents & (POLLERR | POLLHUP)) != 0)
        return 1;
    return signals_seen() > 0;
}

static int follow(struct output *out, struct rows *rows, struct database *database,
                  const struct options *options, int64_t session, int64_t after)
{
    signals_catch();
    while (!pause_for_more(rows, out)) {
        struct query *query = prepare(database, options, session, after);
        if (query == NULL)
            return STATUS_FAILED;
        int result = print(out, rows, options, query, &after);
        query_free(query);
        if (result != 0)
            return STATUS_FAILED;
    }
    return STATUS_DONE;
}

static int messages(struct output *out, struct database *database, const struct options *options,
                    int64_t session)
{
    int64_t after = options->follow ? 0 : -1;
    struct query *query = prepare(database, options, session, -1);
    if (query == NULL)
        return STATUS_FAILED;
    struct rows *rows = begin(out, options, query);
    if (rows == NULL) {
        query_free(query);
        complain("out of memory");
        return STATUS_FAILED;
    }
    int status = print(out, rows, options, query, &after) == 0 ? STATUS_DONE : STATUS_FAILED;
    query_free(query);
    if (status == STATUS_DONE && options->follow)
        status = follow(out, rows, database, options, session, after);
    if (rows_finish(rows) == 0 && status == STATUS_DONE && options->format == FORMAT_TABLE)
        output_word(out, "no messages\n");
    return status;
}

static int run(const struct options *options)
{
    struct output out;
    int64_t session = 0;
    if (options->argument_count > 1 &&
        listing_session("messages", options->arguments[1], &session) != 0)
        return STATUS_USAGE;
    if (options->follow && options->format == FORMAT_JSON) {
        complain("messages: --follow never ends, so it cannot be one json array; take "
                 "--format jsonl");
        return STATUS_USAGE;
    }
    struct database *database = listing_open(options->arguments[0]);
    if (database == NULL)
        return STATUS_FAILED;
    output_init(&out, stdout);
    int status = messages(&out, database, options, session);
    database_close(database);
    int failed = output_finish(&out);
    return status != STATUS_DONE ? status : failed;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Which"),
    {"grep", 0, OPTION_TEXT, offsetof(struct options, grep), "TEXT", NULL,
     "messages that contain TEXT, exactly as written", NULL, 0, 0},
    {"opcode", 0, OPTION_ANY_OF, offsetof(struct options, opcode), NULL, NULL,
     "messages of this kind", opcode_choices, 0, 0},
    {"side", 0, OPTION_ANY_OF, offsetof(struct options, side), NULL, NULL,
     "messages sent by this side", side_choices, 0, 0},
    OPTIONS_TIMES,
    OPTIONS_SESSIONS,
    OPTIONS_LIMIT(NULL, "the last N of them"),
    OPTIONS_TITLE("How"),
    {"follow", 0, OPTION_FLAG, offsetof(struct options, follow), NULL, NULL,
     "go on with what a running 'switchtap live' adds, until interrupted", NULL, 0, 0},
    OPTIONS_FORMAT(format_choices, "; those for programs have more columns"),
    OPTION_END,
};

const struct command command_messages = {
    .name = "messages",
    .arguments = "DB [ID]",
    .summary = "Prints messages: of all sessions, or of the session with that ID.",
    .details = "-> is from the client, <- from the server. A payload that is no text is printed as "
               "x'00ff' (csv too), in json as {\"hex\": \"00ff\"}; nothing is there where payloads "
               "were not stored (--payload).",
    .examples = "  switchtap messages switchtap.db 3 --opcode text\n"
                "  switchtap messages switchtap.db --grep error --since 1h\n"
                "  switchtap messages switchtap.db --follow --format jsonl | jq .payload\n",
    .options = options,
    .missing = "which DB?",
    .least = 1,
    .most = 2,
    .run = run,
};
