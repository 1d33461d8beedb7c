/*
 * What the commands that read a database share: opening it, choosing sessions, printing addresses.
 */
#ifndef SWITCHTAP_LISTING_H
#define SWITCHTAP_LISTING_H

#include "database.h"
#include "options.h"
#include "rows.h"

/* Opens the database or says why not (NULL). */
struct database *listing_open(const char *path);

/* Our own SQL: what is wrong with it is wrong with the file. NULL: said. */
struct query *listing_query(struct database *database, const char *sql);

/* Adds " AND ..." for --since --until --host --path --client --outcome. The statement names
 * session s and flow f; `time` is the expression that the times are compared with. */
void listing_where(struct buffer *sql, const struct options *options, const char *time);

/* Binds what listing_where() and listing_limit() used. */
void listing_bind(struct query *query, const struct options *options);

/* Makes the statement (which orders by the column id, ascending) give the last --limit rows. */
void listing_limit(struct buffer *sql, const struct options *options);

/* Steps; says what is wrong. 1, 0, -1. */
int listing_step(struct query *query);

/* Columns as plain numbers: `none` where it is NULL. */
int64_t listing_int(struct query *query, int column, int64_t none);
int listing_is_null(const struct query *query, int column);
int listing_is(struct query *query, int column, const char *word);

/* "10.0.0.1:80", "[::1]:80" from the columns `column` and the next; raw: print it escaped. */
void listing_address(struct buffer *text, struct query *query, int column);

/* The column as raw text; nothing for NULL. */
void listing_text(struct buffer *text, struct query *query, int column);

/* "text", "binary", "close", "ping", "pong"; "?". */
const char *listing_opcode(int64_t opcode);

/* A payload for people: bytes that read as text are shown as text; beyond `most` columns (0: no
 * limit) it is cut. */
void listing_payload(struct rows *rows, struct query *query, int column, size_t most);

/* Runs a query for people or programs and prints all of it in `format`. The exit status. */
int listing_print(struct output *out, enum format format, struct query *query);

/* An argument that is a session's number: 0, or -1 (and said). */
int listing_session(const char *command, const char *argument, int64_t *id);

#endif
