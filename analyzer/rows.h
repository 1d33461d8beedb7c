/*
 * Rows for people (a table that adapts to the terminal) and for programs (csv, json, jsonl).
 *
 * csv: quoted as in RFC 4180, lines end with a newline; NULL is an empty field, empty text is "";
 * bytes that are no text are SQL literals (x'00ff'); control characters other than newline and tab
 * are escaped as \xNN. json and jsonl are exact: bytes that are no text are {"hex": "00ff"}.
 */
#ifndef SWITCHTAP_ROWS_H
#define SWITCHTAP_ROWS_H

#include "database.h"
#include "output.h"

enum format { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON, FORMAT_JSONL, FORMAT_SARIF };

enum { COLUMN_RIGHT = 1 };

struct column {
    const char *name;
    unsigned flags;
    size_t least; /* a table may cut its cells down to this many columns; 0: never */
    int drop;     /* a table that is still too wide leaves out the highest first; 0: never */
};

struct rows;

/* columns is borrowed for the call; the names are made safe. NULL: out of memory. */
struct rows *rows_new(struct output *out, enum format format, const struct column *columns,
                      size_t count);

/* The next cell of the row. Text that is not UTF-8 becomes a blob. */
void rows_null(struct rows *rows);
void rows_int(struct rows *rows, int64_t value);
void rows_real(struct rows *rows, double value);
void rows_text(struct rows *rows, struct text text);
void rows_blob(struct rows *rows, struct text bytes);
void rows_cell(struct rows *rows, struct query *query, int column); /* by its type */

/* Colours the last cell (tables on a terminal). */
void rows_style(struct rows *rows, enum style style);

/* Ends the row; cells that were not given are NULL. */
void rows_end(struct rows *rows);

/* Prints what a table holds back to find its widths. */
void rows_flush(struct rows *rows);

/* Ends the output; frees. Returns the number of rows. */
uint64_t rows_finish(struct rows *rows);

/* All rows of a query with the query's own column names. 0, or -1 where the query failed. */
int rows_of_query(struct output *out, enum format format, struct query *query, struct error *error);

#endif
