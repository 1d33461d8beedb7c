/*
 * Reading a database that may be anybody's. Nothing of it is trusted: no trigger, extension or
 * function of its schema runs, an authorizer lets only reading through, and the value of a column
 * may have any type. SQLite itself is the only one to open the file: closing a descriptor of ours
 * would drop the locks that a writer in this process has.
 */
#include "database.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "database_create.h"
#include "output.h"

struct database {
    sqlite3 *db;
    char *path;
};

struct query {
    struct database *database;
    sqlite3_stmt *statement;
};

enum {
    BUSY_MS = 5000,
    LENGTH_MOST = 256 << 20, /* bytes of a value */
    SQL_MOST = 1 << 20,
    OPERATIONS_MOST = 10 << 20 /* instructions of a prepared statement */
};

/* ---------------------------------------------------------------- what is allowed */

/* Pragmas that tell something; with `argument` also where they are given one. */
static const struct {
    const char *name;
    int argument;
} pragmas[] = {
    {"application_id", 0},   {"auto_vacuum", 0},      {"collation_list", 0},
    {"compile_options", 0},  {"database_list", 0},    {"encoding", 0},
    {"foreign_key_check", 1}, {"foreign_key_list", 1}, {"freelist_count", 0},
    {"function_list", 0},    {"index_info", 1},       {"index_list", 1},
    {"index_xinfo", 1},      {"integrity_check", 1},  {"journal_mode", 0},
    {"module_list", 0},      {"page_count", 0},       {"page_size", 0},
    {"pragma_list", 0},      {"query_only", 0},       {"quick_check", 1},
    {"schema_version", 0},   {"table_info", 1},       {"table_list", 1},
    {"table_xinfo", 1},      {"user_version", 0},
};

static int pragma_allowed(const char *name, const char *argument)
{
    for (size_t i = 0; name != NULL && i < sizeof pragmas / sizeof pragmas[0]; i++) {
        if (strcasecmp(name, pragmas[i].name) == 0)
            return argument == NULL || pragmas[i].argument;
    }
    return 0;
}

static int function_allowed(const char *name)
{
    static const char *const refused[] = {"load_extension", "fts3_tokenizer", "writefile",
                                          "readfile", "edit"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (name == NULL || strcasecmp(name, refused[i]) == 0)
            return 0;
    }
    return 1;
}

static int authorize(void *arg, int action, const char *first, const char *second,
                     const char *database, const char *inner)
{
    (void)arg;
    (void)database;
    (void)inner;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return function_allowed(second) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_PRAGMA:
        return pragma_allowed(first, second) ? SQLITE_OK : SQLITE_DENY;
    /* json_each and its like declare their columns to the schema in memory; a statement that would
     * change the schema of the file is not read-only, and is refused for that. */
    case SQLITE_UPDATE:
        return strcmp(first, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

static int restrain(sqlite3 *db)
{
    int result = database_harden(db);
    (void)sqlite3_busy_timeout(db, BUSY_MS);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, LENGTH_MOST);
    (void)sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, SQL_MOST);
    (void)sqlite3_limit(db, SQLITE_LIMIT_VDBE_OP, OPERATIONS_MOST);
    (void)sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, "PRAGMA query_only = ON; PRAGMA mmap_size = 0;"
                                  "PRAGMA cell_size_check = ON; PRAGMA cache_size = -16000",
                              NULL, NULL, NULL);
    return result;
}

/* ---------------------------------------------------------------- opening */

static int open_as(const char *path, const char *parameters, int flags, sqlite3 **db)
{
    char *uri = database_uri(path, parameters);
    if (uri == NULL)
        return SQLITE_NOMEM;
    int result = sqlite3_open_v2(uri, db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    free(uri);
    if (result == SQLITE_OK)
        result = restrain(*db);
    if (result == SQLITE_OK) /* reads the file for the first time */
        result = sqlite3_exec(*db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    return result;
}

static void close_db(sqlite3 **db)
{
    (void)sqlite3_close_v2(*db);
    *db = NULL;
}

/* A writer was killed: its journal has to be rolled back, which needs a moment of writing. Only for
 * a file of ours, which is asked for without a look at the journal. */
static int recover(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_int64 id = 0;
    if (open_as(path, "?mode=ro&immutable=1", SQLITE_OPEN_READONLY, &db) == SQLITE_OK)
        id = database_integer(db, "PRAGMA application_id", 0);
    close_db(&db);
    if (id != DATABASE_APPLICATION_ID)
        return SQLITE_CANTOPEN;
    int result = open_as(path, "?mode=rw", SQLITE_OPEN_READWRITE, &db);
    close_db(&db);
    return result;
}

/* On a medium that cannot be written a WAL database cannot be shared. Where its log is empty, all
 * is in the file, and nobody can change that. */
static int log_is_empty(const char *path)
{
    struct buffer name = {0};
    struct stat status;
    buffer_word(&name, path);
    buffer_word(&name, "-wal");
    int empty = !name.failed && (stat(buffer_text(&name), &status) != 0 ? errno == ENOENT
                                                                        : status.st_size == 0);
    buffer_release(&name);
    return empty;
}

/* Reading needed something to be written that cannot be. */
static int cannot_share(int result)
{
    return (result & 0xff) == SQLITE_READONLY || (result & 0xff) == SQLITE_CANTOPEN;
}

static int open_reader(const char *path, sqlite3 **db)
{
    int result = open_as(path, "?mode=ro", SQLITE_OPEN_READONLY, db);
    if (!cannot_share(result))
        return result;
    if (result == SQLITE_READONLY_ROLLBACK && recover(path) == SQLITE_OK) {
        close_db(db);
        return open_as(path, "?mode=ro", SQLITE_OPEN_READONLY, db);
    }
    if (result != SQLITE_READONLY_ROLLBACK && log_is_empty(path)) {
        close_db(db);
        return open_as(path, "?mode=ro&immutable=1", SQLITE_OPEN_READONLY, db);
    }
    return result;
}

static int explain_open(sqlite3 *db, int result, const char *path, struct error *error)
{
    if (cannot_share(result))
        return error_set(error, "%s: the database cannot be opened for reading; if it was not "
                         "closed in order, copy it, with its -journal or -wal beside it, to where "
                         "you can write", path);
    return database_explain(db, result, path, error);
}

static int check_version(sqlite3 *db, const char *path, struct error *error)
{
    sqlite3_int64 id = database_integer(db, "PRAGMA application_id", 0);
    sqlite3_int64 version = database_integer(db, "PRAGMA user_version", 0);
    sqlite3_int64 tables = database_integer(db, "SELECT count(*) FROM sqlite_schema", 0);
    if (tables == 0 && id == 0)
        return error_set(error, "%s: the database is empty; 'switchtap read' or 'live' fill one",
                         path);
    if (id != DATABASE_APPLICATION_ID)
        return error_set(error, "%s: this SQLite database is of another program", path);
    if (version > DATABASE_VERSION)
        return error_set(error, "%s: made by a newer switchtap (its format is %lld, this program "
                         "knows %d); use that one", path, version, DATABASE_VERSION);
    if (version < DATABASE_VERSION)
        return error_set(error, "%s: its format %lld is of no released version; read the captures "
                         "again into another file", path, version);
    return 0;
}

static int check_path(const char *path, struct error *error)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno == ENOENT ? error_set(error, "%s: there is no such database ('switchtap read "
                                           "FILE -o %s' makes one)", path, path)
                               : error_set(error, "%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return error_set(error, "%s: this is a folder; a database is a file", path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, "%s: this is no regular file", path);
    return 0;
}

struct database *database_open(const char *path, struct error *error)
{
    if (check_path(path, error) != 0)
        return NULL;
    struct database *database = calloc(1, sizeof *database);
    if (database == NULL || (database->path = strdup(path)) == NULL) {
        (void)error_set(error, "out of memory");
        free(database);
        return NULL;
    }
    int result = open_reader(path, &database->db);
    if (result != SQLITE_OK)
        (void)explain_open(database->db, result, path, error);
    else
        result = check_version(database->db, path, error);
    if (result == 0) {
        (void)sqlite3_set_authorizer(database->db, authorize, NULL);
        return database;
    }
    database_close(database);
    return NULL;
}

void database_close(struct database *database)
{
    if (database == NULL)
        return;
    (void)sqlite3_close_v2(database->db);
    free(database->path);
    free(database);
}

void database_interrupt(struct database *database)
{
    sqlite3_interrupt(database->db);
}

int database_complete(struct database *database, struct error *error)
{
    sqlite3 *db = database->db;
    if (database_integer(db, "SELECT 1 FROM capture WHERE ended_ns IS NULL LIMIT 1", 0) == 0)
        return 0;
    (void)sqlite3_set_authorizer(db, NULL, NULL); /* the statements are ours; the file is open */
    int result = sqlite3_exec(db, "PRAGMA query_only = OFF", NULL, NULL, NULL); /* for reading */
    if (result == SQLITE_OK)
        result = database_cross_aside(db);
    int restored = sqlite3_exec(db, "PRAGMA query_only = ON", NULL, NULL, NULL);
    (void)sqlite3_set_authorizer(db, authorize, NULL);
    if (result == SQLITE_OK)
        result = restored;
    return result == SQLITE_OK ? 0 : database_explain(db, result, database->path, error);
}

/* ---------------------------------------------------------------- queries */

/* Is there nothing but white space and comments? */
static int is_blank(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    const char *rest = sql;
    while (*rest != '\0') {
        const char *before = rest;
        int result = sqlite3_prepare_v2(db, before, -1, &statement, &rest);
        int something = result != SQLITE_OK || statement != NULL;
        (void)sqlite3_finalize(statement);
        if (something)
            return 0;
        if (rest == before)
            break;
    }
    return 1;
}

static int query_failed(struct database *database, int result, struct error *error)
{
    switch (result & 0xff) {
    case SQLITE_AUTH:
        return error_set(error, "only reading is allowed here (%s)", sqlite3_errmsg(database->db));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(error, "%s: the database is locked by a writer; try again in a moment",
                         database->path);
    case SQLITE_INTERRUPT:
        return error_set(error, "interrupted");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_IOERR:
        return database_explain(database->db, result, database->path, error);
    default:
        return error_set(error, "%s", sqlite3_errmsg(database->db));
    }
}

int database_has(struct database *database, const char *table)
{
    sqlite3_stmt *statement = NULL;
    int has = sqlite3_prepare_v2(database->db, "SELECT 1 FROM sqlite_schema WHERE name = ? AND "
                                 "type = 'table'", -1, &statement, NULL) == SQLITE_OK &&
              sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW;
    (void)sqlite3_finalize(statement);
    return has;
}

struct query *database_query(struct database *database, const char *sql, struct error *error)
{
    const char *rest = sql;
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(database->db, sql, -1, &statement, &rest);
    if (result != SQLITE_OK) {
        (void)query_failed(database, result, error);
        return NULL;
    }
    struct query *query = NULL;
    if (statement == NULL)
        (void)error_set(error, "there is no statement in the query");
    else if (!is_blank(database->db, rest))
        (void)error_set(error, "one statement at a time: something follows the first one");
    else if (!sqlite3_stmt_readonly(statement))
        (void)error_set(error, "only reading is allowed here");
    else if ((query = calloc(1, sizeof *query)) == NULL)
        (void)error_set(error, "out of memory");
    if (query == NULL) {
        (void)sqlite3_finalize(statement);
        return NULL;
    }
    *query = (struct query){database, statement};
    return query;
}

void query_free(struct query *query)
{
    if (query == NULL)
        return;
    (void)sqlite3_finalize(query->statement);
    free(query);
}

/* ---------------------------------------------------------------- parameters */

/* Calls for each parameter of that name (:x, @x and $x are one here). 0, or -1: there is none. */
static int bind(struct query *query, const char *name, const char *text, const int64_t *number)
{
    int found = -1;
    for (int i = 1; i <= sqlite3_bind_parameter_count(query->statement); i++) {
        const char *known = query_parameter_name(query, i);
        if (known == NULL || strcmp(known, name) != 0)
            continue;
        if (number != NULL)
            (void)sqlite3_bind_int64(query->statement, i, *number);
        else
            (void)sqlite3_bind_text(query->statement, i, text, -1, SQLITE_TRANSIENT);
        found = 0;
    }
    return found;
}

int query_bind_text(struct query *query, const char *name, const char *value)
{
    return bind(query, name, value, NULL);
}

int query_bind_int(struct query *query, const char *name, int64_t value)
{
    return bind(query, name, NULL, &value);
}

int query_parameter_count(const struct query *query)
{
    return sqlite3_bind_parameter_count(query->statement);
}

const char *query_parameter_name(const struct query *query, int index)
{
    const char *name = sqlite3_bind_parameter_name(query->statement, index);
    return name == NULL || name[0] == '?' ? NULL : name + 1;
}

/* ---------------------------------------------------------------- rows */

int query_step(struct query *query, struct error *error)
{
    int result = sqlite3_step(query->statement);
    if (result == SQLITE_ROW)
        return 1;
    return result == SQLITE_DONE ? 0 : query_failed(query->database, result, error);
}

int query_column_count(const struct query *query)
{
    return sqlite3_column_count(query->statement);
}

const char *query_column_name(const struct query *query, int column)
{
    return sqlite3_column_name(query->statement, column);
}

enum column_type query_type(const struct query *query, int column)
{
    switch (sqlite3_column_type(query->statement, column)) {
    case SQLITE_INTEGER:
        return COLUMN_INTEGER;
    case SQLITE_FLOAT:
        return COLUMN_REAL;
    case SQLITE_TEXT:
        return COLUMN_TEXT;
    case SQLITE_BLOB:
        return COLUMN_BLOB;
    default:
        return COLUMN_NULL;
    }
}

int64_t query_int(struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

double query_real(struct query *query, int column)
{
    return sqlite3_column_double(query->statement, column);
}

struct text query_text(struct query *query, int column)
{
    int type = sqlite3_column_type(query->statement, column);
    if (type == SQLITE_NULL)
        return TEXT_NONE;
    const char *data = type == SQLITE_BLOB
                           ? sqlite3_column_blob(query->statement, column)
                           : (const char *)sqlite3_column_text(query->statement, column);
    size_t len = (size_t)sqlite3_column_bytes(query->statement, column);
    return data != NULL ? (struct text){data, len} : (struct text){"", 0};
}
