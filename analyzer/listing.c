/*
 * What the commands that read a database share.
 */
#include "listing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct database *listing_open(const char *path)
{
    struct error error = {""};
    struct database *database = database_open(path, &error);
    if (database == NULL)
        complain("%s", error.text);
    return database;
}

struct query *listing_query(struct database *database, const char *sql)
{
    struct error error = {""};
    struct query *query = database_query(database, sql, &error);
    if (query == NULL)
        complain("the database cannot be read: %s", error.text);
    return query;
}

/* ---------------------------------------------------------------- choosing sessions */

void listing_where(struct buffer *sql, const struct options *options, const char *time)
{
    if (options->since_ns != INT64_MIN)
        buffer_format(sql, " AND %s >= :since", time);
    if (options->until_ns != INT64_MAX)
        buffer_format(sql, " AND %s <= :until", time);
    if (options->host != NULL)
        buffer_word(sql, " AND (lower(s.host) GLOB lower(:host) OR lower(s.host) GLOB "
                         "lower(:host) || ':*')");
    if (options->path != NULL)
        buffer_word(sql, " AND s.path GLOB :path");
    if (options->client != NULL)
        buffer_word(sql, " AND (f.client_addr = :client OR (f.client_addr = :client_addr AND "
                         "f.client_port = :client_port))");
    if (options->outcome > 0)
        buffer_word(sql, " AND s.outcome = :outcome");
}

void listing_limit(struct buffer *sql, const struct options *options)
{
    struct buffer inner = {0};
    if (options->limit == 0)
        return;
    buffer_add(&inner, buffer_text(sql), sql->len);
    buffer_clear(sql);
    buffer_word(sql, "SELECT * FROM (");
    buffer_add(sql, buffer_text(&inner), inner.len);
    buffer_word(sql, " DESC LIMIT :limit) ORDER BY id");
    sql->failed |= inner.failed;
    buffer_release(&inner);
}

/* * and ? mean something, [ is itself (addresses have it). */
static void bind_pattern(struct query *query, const char *name, const char *pattern)
{
    struct buffer text = {0};
    for (; *pattern != '\0'; pattern++)
        buffer_add(&text, *pattern == '[' ? "[[]" : pattern, *pattern == '[' ? 3 : 1);
    (void)query_bind_text(query, name, buffer_text(&text));
    buffer_release(&text);
}

/* 10.0.0.1:80 and [::1]:80 are an address and a port, ::1 is an address. */
static void bind_client(struct query *query, const char *client)
{
    const char *colon = strrchr(client, ':');
    uint64_t port = 0;
    (void)query_bind_text(query, "client", client);
    (void)query_bind_text(query, "client_addr", NULL);
    (void)query_bind_text(query, "client_port", NULL);
    if (colon == NULL || options_number(colon + 1, &port) != 0 || port > 65535)
        return;
    int bracketed = client[0] == '[' && colon > client && colon[-1] == ']';
    if (!bracketed && strchr(client, ':') != colon)
        return;
    size_t len = (size_t)(colon - client);
    char *address = bracketed ? strndup(client + 1, len - 2) : strndup(client, len);
    (void)query_bind_text(query, "client_addr", address);
    (void)query_bind_int(query, "client_port", (int64_t)port);
    free(address);
}

void listing_bind(struct query *query, const struct options *options)
{
    if (options->since_ns != INT64_MIN)
        (void)query_bind_int(query, "since", options->since_ns);
    if (options->until_ns != INT64_MAX)
        (void)query_bind_int(query, "until", options->until_ns);
    if (options->host != NULL)
        bind_pattern(query, "host", options->host);
    if (options->path != NULL)
        bind_pattern(query, "path", options->path);
    if (options->client != NULL)
        bind_client(query, options->client);
    if (options->outcome > 0)
        (void)query_bind_text(query, "outcome", outcome_choices[options->outcome - 1]);
    if (options->limit > 0)
        (void)query_bind_int(query, "limit",
                             options->limit > INT64_MAX ? INT64_MAX : (int64_t)options->limit);
}

/* ---------------------------------------------------------------- rows and columns */

int listing_step(struct query *query)
{
    struct error error = {""};
    int result = query_step(query, &error);
    if (result < 0)
        complain("the database cannot be read: %s", error.text);
    return result;
}

int listing_is_null(const struct query *query, int column)
{
    return query_type(query, column) == COLUMN_NULL;
}

int64_t listing_int(struct query *query, int column, int64_t none)
{
    return query_type(query, column) == COLUMN_INTEGER ? query_int(query, column) : none;
}

int listing_is(struct query *query, int column, const char *word)
{
    if (listing_is_null(query, column))
        return 0;
    struct text text = query_text(query, column);
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

void listing_text(struct buffer *text, struct query *query, int column)
{
    if (listing_is_null(query, column))
        return;
    struct text value = query_text(query, column);
    buffer_add(text, value.data != NULL ? value.data : "", value.len);
}

void listing_address(struct buffer *text, struct query *query, int column)
{
    if (listing_is_null(query, column))
        return;
    struct text address = query_text(query, column);
    int six = address.len > 0 && memchr(address.data, ':', address.len) != NULL;
    buffer_word(text, six ? "[" : "");
    buffer_add(text, address.data != NULL ? address.data : "", address.len);
    buffer_format(text, "%s:%" PRId64, six ? "]" : "", listing_int(query, column + 1, 0));
}

const char *listing_opcode(int64_t opcode)
{
    static const char *const names[16] = {
        [0] = "cont", [1] = "text", [2] = "binary", [8] = "close", [9] = "ping", [10] = "pong"};
    return opcode >= 0 && opcode < 16 && names[opcode] != NULL ? names[opcode] : "?";
}

static int is_readable(struct text text)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        at += text_next(text.data + at, text.len - at, &code);
        if (text_code_width(code) < 0)
            return 0;
    }
    return 1;
}

void listing_payload(struct rows *rows, struct query *query, int column, size_t most)
{
    struct buffer text = {0};
    if (listing_is_null(query, column)) {
        rows_null(rows);
        return;
    }
    struct text bytes = query_text(query, column);
    if (query_type(query, column) == COLUMN_BLOB && !is_readable(bytes)) {
        buffer_word(&text, "x'");
        buffer_hex(&text, bytes);
        buffer_word(&text, "'");
    } else {
        buffer_safe(&text, bytes, SAFE_LINE);
    }
    if (most > 0) {
        size_t fit = text_fit(buffer_text(&text), text.len, most);
        if (fit < text.len) {
            text.len = fit;
            buffer_word(&text, "...");
        }
    }
    rows_text(rows, (struct text){buffer_text(&text), text.len});
    buffer_release(&text);
}

int listing_print(struct output *out, enum format format, struct query *query)
{
    struct error error = {""};
    if (rows_of_query(out, format, query, &error) == 0)
        return STATUS_DONE;
    complain("the query failed: %s", error.text);
    return STATUS_FAILED;
}

int listing_session(const char *command, const char *argument, int64_t *id)
{
    uint64_t number;
    if (options_number(argument, &number) != 0 || number == 0 || number > INT64_MAX) {
        complain("%s: '%s' is no session's number ('switchtap sessions DB' lists them)", command,
                 argument);
        return -1;
    }
    *id = (int64_t)number;
    return 0;
}
