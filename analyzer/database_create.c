/*
 * Databases for writing. A file is looked at before SQLite may touch it, so that another program's
 * stays as it was; one writer at a time is kept by a lock beside SQLite's own, because row ids are
 * given by the writer and not by SQLite. Journals, measured with a million frames: a rollback
 * journal costs nothing where rows are appended, WAL 30 %, and commits that wait for the disk 60 %.
 */
#include "database_create.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../schema/event.h"
#include "schema_sql.h"

enum {
    HEADER_SIZE = 100,       /* of a SQLite file */
    OFFSET_WRITE_VERSION = 18, /* 2: WAL */
    OFFSET_USER_VERSION = 60,
    OFFSET_APPLICATION_ID = 68,
    LOCK_BYTE = 0x40000000 + 4096, /* beyond the bytes that SQLite locks */
    BUSY_MS = 60000,
    BUSY_OPEN_MS = 5000
};

/* ---------------------------------------------------------------- what SQLite shares */

char *database_uri(const char *path, const char *query)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = strlen(path), extra = strlen(query);
    char *uri = malloc(len * 3 + extra + 16);
    if (uri == NULL)
        return NULL;
    char *to = uri;
    /* An absolute path gets an empty authority, so that "//x" is no host. */
    to += snprintf(to, 16, path[0] == '/' ? "file://" : "file:./");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)path[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("/._-", c) != NULL) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    memcpy(to, query, extra + 1);
    return uri;
}

int database_harden(sqlite3 *db)
{
    int result = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    return result;
}

sqlite3_int64 database_integer(sqlite3 *db, const char *sql, sqlite3_int64 otherwise)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_int64 value = otherwise;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

static int explain_io(sqlite3 *db, int result, const char *path, struct error *error)
{
    int number = sqlite3_system_errno(db);
    if (number == ENOSPC || number == EDQUOT)
        return error_set(error, "%s: no space is left on its disk; what was committed before is "
                         "kept", path);
    if (result == SQLITE_IOERR)
        return error_set(error, "%s: reading or writing failed: %s", path,
                         number != 0 ? strerror(number) : sqlite3_errmsg(db));
    return error_set(error, "%s: it cannot be opened, or no journal can be made beside it: %s "
                     "(its folder has to be writable, too)", path,
                     number != 0 ? strerror(number) : sqlite3_errmsg(db));
}

int database_explain(sqlite3 *db, int result, const char *path, struct error *error)
{
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(error, "%s: the database is locked by another writer or by a reader that "
                         "does not end; try again when it is done", path);
    case SQLITE_FULL:
        return error_set(error, "%s: no space is left on its disk; what was committed before is "
                         "kept", path);
    case SQLITE_NOTADB:
        return error_set(error, "%s: this is no SQLite database", path);
    case SQLITE_CORRUPT:
        return error_set(error, "%s: the database is damaged (%s); sqlite3's .recover may save "
                         "what is left", path, sqlite3_errmsg(db));
    case SQLITE_READONLY:
        return error_set(error, "%s: the database cannot be written: %s", path,
                         sqlite3_errmsg(db));
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return explain_io(db, result & 0xff, path, error);
    case SQLITE_NOMEM:
        return error_set(error, "%s: out of memory", path);
    default:
        return error_set(error, "%s: %s", path,
                         db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(result));
    }
}

/* ---------------------------------------------------------------- before SQLite */

static uint32_t be32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int foreign(const char *path, struct error *error)
{
    return error_set(error, "%s: this SQLite database is of another program and is left alone; "
                     "choose another file with -o", path);
}

/* Does a SQLite file without an application id hold anything? Looked at without any lock, journal
 * or other trace. */
static int holds_tables(const char *path)
{
    sqlite3 *db = NULL;
    char *uri = database_uri(path, "?mode=ro&immutable=1");
    sqlite3_int64 count = 1;
    if (uri != NULL && sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) ==
                           SQLITE_OK)
        count = database_integer(db, "SELECT count(*) FROM sqlite_schema", 1);
    (void)sqlite3_close(db);
    free(uri);
    return count > 0;
}

static int check_header(const char *path, const unsigned char header[HEADER_SIZE],
                        struct error *error)
{
    if (memcmp(header, "SQLite format 3", 16) != 0)
        return error_set(error, "%s: this is no database, and it is left alone; choose another "
                         "file with -o", path);
    uint32_t id = be32(header + OFFSET_APPLICATION_ID);
    uint32_t version = be32(header + OFFSET_USER_VERSION);
    if (id != DATABASE_APPLICATION_ID) {
        /* Ours has its id from its first transaction on; another's tables may be in its log. */
        if (id != 0 || header[OFFSET_WRITE_VERSION] == 2 || holds_tables(path))
            return foreign(path, error);
        return 0;
    }
    if (version > DATABASE_VERSION)
        return error_set(error, "%s: made by a newer switchtap (its format is %" PRIu32 ", this "
                         "program knows %d); use that one, or another file", path, version,
                         DATABASE_VERSION);
    if (version < DATABASE_VERSION)
        return error_set(error, "%s: its format %" PRIu32 " is of no released version and cannot "
                         "be brought up to date; read the captures again into another file", path,
                         version);
    return 0;
}

static int check_file(int fd, const char *path, struct error *error)
{
    struct stat status;
    unsigned char header[HEADER_SIZE] = {0};
    if (fstat(fd, &status) != 0)
        return error_set(error, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, "%s: this is no regular file", path);
    if (status.st_size == 0)
        return 0;
    ssize_t got = pread(fd, header, sizeof header, 0);
    if (got < 0)
        return error_set(error, "%s: %s", path, strerror(errno));
    return check_header(path, header, error);
}

/* The lock belongs to the open file, so SQLite's own locks of the process do not meet it, and it
 * goes with the process however that ends. File systems without such locks get none. */
static int take_lock(int fd, const char *path, struct error *error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES))
        return 0;
    return error_set(error, "%s: the database is locked by another writer: a switchtap is writing "
                     "into it; wait for it, or choose another file with -o", path);
}

static int open_file(struct database_writer *writer, const char *path, struct error *error)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    writer->lock_fd = open(path, flags);
    if (writer->lock_fd < 0 && errno == ENOENT) {
        writer->lock_fd = open(path, flags | O_CREAT | O_EXCL, 0600);
        writer->created = writer->lock_fd >= 0;
        if (writer->lock_fd < 0 && errno == EEXIST)
            writer->lock_fd = open(path, flags);
    }
    if (writer->lock_fd < 0 && errno == EISDIR)
        return error_set(error, "%s: this is a folder; a database is a file", path);
    if (writer->lock_fd < 0)
        return error_set(error, "%s: the database cannot be written: %s", path, strerror(errno));
    return 0;
}

/* ---------------------------------------------------------------- tables */

/* The rules and views belong to the program that writes: an older one's are replaced. */
static uint64_t catalogue_hash(void)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    (void)XXH3_64bits_reset(&state);
    (void)XXH3_64bits_update(&state, schema_views_sql, strlen(schema_views_sql));
    for (size_t i = 0; i < RULE_COUNT; i++) {
        const struct rule_info *rule = &rule_table[i];
        const char *texts[] = {rule->name, rule->level, rule->severity, rule->source,
                               rule->summary};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
            (void)XXH3_64bits_update(&state, texts[k], strlen(texts[k]) + 1);
    }
    return XXH3_64bits_digest(&state);
}

static int write_rules(sqlite3 *db)
{
    sqlite3_stmt *insert = NULL;
    int result = sqlite3_prepare_v2(
        db, "INSERT INTO rule (name, severity, level, source, summary) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET severity = excluded.severity, level = "
            "excluded.level, source = excluded.source, summary = excluded.summary",
        -1, &insert, NULL);
    for (size_t i = 0; result == SQLITE_OK && i < RULE_COUNT; i++) {
        const struct rule_info *rule = &rule_table[i];
        (void)sqlite3_bind_text(insert, 1, rule->name, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(insert, 2, rule->severity, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(insert, 3, rule->level, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(insert, 4, rule->source, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(insert, 5, rule->summary, -1, SQLITE_STATIC);
        (void)sqlite3_step(insert);
        result = sqlite3_reset(insert);
    }
    (void)sqlite3_finalize(insert);
    return result;
}

static int write_catalogue(sqlite3 *db)
{
    char sql[160];
    sqlite3_int64 hash = (sqlite3_int64)(catalogue_hash() >> 1);
    if (database_integer(db, "SELECT value FROM setting WHERE name = 'catalogue'", -1) == hash)
        return SQLITE_OK;
    int result = sqlite3_exec(db, schema_views_sql, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = write_rules(db);
    (void)snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO setting (name, value) VALUES "
                   "('catalogue', %lld)", hash);
    return result == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : result;
}

static int write_schema(sqlite3 *db)
{
    char sql[160];
    int result = sqlite3_exec(db, schema_tables_sql, NULL, NULL, NULL);
    (void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; INSERT "
                   "INTO setting VALUES ('secret_key', randomblob(32))", DATABASE_APPLICATION_ID,
                   DATABASE_VERSION);
    return result == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : result;
}

/* All or nothing: a crash here leaves an empty file. */
static int prepare_schema(struct database_writer *writer, const char *path, struct error *error)
{
    sqlite3 *db = writer->db;
    int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (result != SQLITE_OK)
        return database_explain(db, result, path, error);
    /* Again, by SQLite: a journal may have been rolled back meanwhile. */
    sqlite3_int64 tables = database_integer(db, "SELECT count(*) FROM sqlite_schema", -1);
    sqlite3_int64 id = database_integer(db, "PRAGMA application_id", -1);
    writer->fresh = tables == 0;
    if (tables < 0)
        result = sqlite3_errcode(db);
    else if (tables > 0 && id != DATABASE_APPLICATION_ID)
        result = SQLITE_AUTH;
    else if (tables == 0)
        result = write_schema(db);
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, schema_indexes_sql, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = write_catalogue(db);
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (result == SQLITE_OK)
        return 0;
    int told = result == SQLITE_AUTH ? foreign(path, error)
                                     : database_explain(db, result, path, error);
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return told;
}

int database_writer_index(struct database_writer *writer)
{
    return sqlite3_exec(writer->db, schema_indexes_frame_sql, NULL, NULL, NULL);
}

/* ---------------------------------------------------------------- opening and closing */

static int open_sqlite(struct database_writer *writer, const char *path, struct error *error)
{
    char *uri = database_uri(path, "?mode=rw");
    if (uri == NULL)
        return error_set(error, "out of memory");
    int result = sqlite3_open_v2(uri, &writer->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                                 NULL);
    free(uri);
    if (result == SQLITE_OK)
        result = database_harden(writer->db); /* without memory there is no handle at all */
    if (result == SQLITE_OK)
        result = sqlite3_busy_timeout(writer->db, BUSY_OPEN_MS);
    if (result == SQLITE_OK)
        result = sqlite3_exec(writer->db,
                              "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;"
                              "PRAGMA cache_size = -4000;"
                              "PRAGMA foreign_keys = OFF; PRAGMA cell_size_check = ON",
                              NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : database_explain(writer->db, result, path, error);
}

/* A fresh file has nothing to lose but its own making; where something was before, a commit waits
 * for the disk. A reader in the way of the change of mode leaves it as it is: that is good, too. */
static void choose_journal(struct database_writer *writer, int live)
{
    static const char log[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL";
    static const char fresh[] = "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF";
    static const char safe[] = "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL";
    const char *sql = live ? log : writer->fresh ? fresh : safe;
    (void)sqlite3_exec(writer->db, sql, NULL, NULL, NULL);
    (void)sqlite3_busy_timeout(writer->db, BUSY_MS);
}

int database_writer_open(struct database_writer *writer, const char *path, int live,
                         struct error *error)
{
    *writer = (struct database_writer){.lock_fd = -1};
    int result = open_file(writer, path, error);
    if (result == 0)
        result = check_file(writer->lock_fd, path, error);
    if (result == 0)
        result = take_lock(writer->lock_fd, path, error);
    int locked = result == 0;
    if (result == 0)
        result = open_sqlite(writer, path, error);
    if (result == 0)
        result = prepare_schema(writer, path, error);
    if (result == 0) {
        choose_journal(writer, live);
        /* A live capture has readers from the start; an older file may have been left without. */
        int code = live || !writer->fresh ? database_writer_index(writer) : SQLITE_OK;
        if (code != SQLITE_OK)
            result = database_explain(writer->db, code, path, error);
    }
    if (result != 0) {
        /* A file of ours that is locked by us: nobody else has begun to use it. */
        database_writer_close(writer, writer->created && locked ? path : NULL);
    }
    return result;
}

void database_writer_close(struct database_writer *writer, const char *remove)
{
    if (writer->db != NULL) {
        (void)sqlite3_busy_timeout(writer->db, 0);
        (void)sqlite3_exec(writer->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
        (void)sqlite3_close_v2(writer->db);
    }
    if (remove != NULL)
        (void)unlink(remove);
    if (writer->lock_fd >= 0)
        (void)close(writer->lock_fd);
    *writer = (struct database_writer){.lock_fd = -1};
}
