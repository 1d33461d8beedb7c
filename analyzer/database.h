/*
 * Opening, migrating and reading a switchtap database for the commands. Reading never writes, and
 * trusts nothing in the file: it may be somebody else's.
 */
#ifndef SWITCHTAP_DATABASE_H
#define SWITCHTAP_DATABASE_H

#include <stdint.h>

#include "../schema/event.h"
#include "error.h"

struct database;
struct query;

/* Read-only (mode=ro, query_only, defensive, trusted_schema off, no attach, no extensions). Waits a
 * moment for a writer. NULL with a message: missing, not a database, another program's, a newer or
 * older version (and what to do). */
struct database *database_open(const char *path, struct error *error);
void database_close(struct database *database);

/* The rules that compare connections are run at a capture's end. For captures that have none, being
 * written now or killed, this runs them aside: this reader's `finding` and `session` are complete
 * afterwards, the file is as it was. Does nothing where all captures have ended. 0 or -1. */
int database_complete(struct database *database, struct error *error);

/* Is there a table of that name? Files that an older program made may lack some. */
int database_has(struct database *database, const char *table);

/* A statement of ours or of the user; one statement only (trailing text that is not comment or
 * white space is an error), read-only. NULL with SQLite's message. */
struct query *database_query(struct database *database, const char *sql, struct error *error);

/* Parameters by name ("since" binds :since, @since or $since). 0, -1 where there is none. A value
 * NULL binds NULL. */
int query_bind_text(struct query *query, const char *name, const char *value);
int query_bind_int(struct query *query, const char *name, int64_t value);
int query_parameter_count(const struct query *query);
/* index from 1; the name without its prefix; NULL: a nameless one. */
const char *query_parameter_name(const struct query *query, int index);

/* 1: a row; 0: no more; -1: error with a message. */
int query_step(struct query *query, struct error *error);
int query_column_count(const struct query *query);
const char *query_column_name(const struct query *query, int column);

enum column_type { COLUMN_NULL, COLUMN_INTEGER, COLUMN_REAL, COLUMN_TEXT, COLUMN_BLOB };
enum column_type query_type(const struct query *query, int column);
int64_t query_int(struct query *query, int column);
double query_real(struct query *query, int column);
/* Text or blob bytes; borrowed until the next step. */
struct text query_text(struct query *query, int column);
void query_free(struct query *query);

/* Stops a running query from a signal handler or after a time limit. */
void database_interrupt(struct database *database);

/* The worked queries of schema/queries, embedded. NULL-terminated by name == NULL. */
struct named_query {
    const char *name;    /* "failed-upgrades" */
    const char *summary; /* the first comment line */
    const char *sql;
};
extern const struct named_query database_named_queries[];

#endif
