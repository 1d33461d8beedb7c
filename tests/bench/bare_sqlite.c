/*
 * The other yardstick: a bare SQLite loop. Reads all rows of a finished database into memory, then
 * writes them into a new one, opened as the program opens its own (the same schema, page size,
 * journal, rows of a transaction, the indexes of frames at the end), and prints the seconds from
 * opening the new one to closing it.
 *
 *     bare_sqlite FINISHED NEW
 *
 * Only INSERTs of final rows: the program has to find out what they are, and updates some.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../analyzer/database_create.h"

enum { CHANGES_MOST = 50000 }; /* as in store.c */

struct rows {
    const char *table;
    unsigned char *bytes; /* of all rows: a type for each column, then its value */
    size_t len, room;
    uint64_t count;
    int columns;
};

static void fail(sqlite3 *db, const char *what)
{
    (void)fprintf(stderr, "bare_sqlite: %s: %s\n", what, db != NULL ? sqlite3_errmsg(db) : "");
    exit(1);
}

static void add(struct rows *rows, const void *bytes, size_t len)
{
    if (rows->len + len > rows->room) {
        rows->room = (rows->len + len) * 3 / 2 + 4096;
        rows->bytes = realloc(rows->bytes, rows->room);
        if (rows->bytes == NULL)
            fail(NULL, "out of memory");
    }
    if (len > 0)
        memcpy(rows->bytes + rows->len, bytes, len);
    rows->len += len;
}

static void take(struct rows *rows, sqlite3_stmt *statement, int column)
{
    unsigned char type = (unsigned char)sqlite3_column_type(statement, column);
    add(rows, &type, 1);
    if (type == SQLITE_INTEGER) {
        sqlite3_int64 value = sqlite3_column_int64(statement, column);
        add(rows, &value, sizeof value);
    } else if (type != SQLITE_NULL) {
        const void *data = sqlite3_column_blob(statement, column);
        uint32_t len = (uint32_t)sqlite3_column_bytes(statement, column);
        add(rows, &len, sizeof len);
        add(rows, data, len);
    }
}

static void load(sqlite3 *db, struct rows *rows)
{
    char sql[64];
    sqlite3_stmt *statement;
    (void)snprintf(sql, sizeof sql, "SELECT * FROM %s", rows->table);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail(db, sql);
    rows->columns = sqlite3_column_count(statement);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < rows->columns; i++)
            take(rows, statement, i);
        rows->count++;
    }
    if (sqlite3_finalize(statement) != SQLITE_OK)
        fail(db, sql);
}

static const unsigned char *bind(sqlite3_stmt *insert, int column, const unsigned char *at)
{
    int type = *at++;
    if (type == SQLITE_INTEGER) {
        sqlite3_int64 value;
        memcpy(&value, at, sizeof value);
        (void)sqlite3_bind_int64(insert, column, value);
        return at + sizeof value;
    }
    if (type == SQLITE_NULL) {
        (void)sqlite3_bind_null(insert, column);
        return at;
    }
    uint32_t len;
    memcpy(&len, at, sizeof len);
    at += sizeof len;
    if (type == SQLITE_TEXT)
        (void)sqlite3_bind_text(insert, column, (const char *)at, (int)len, SQLITE_STATIC);
    else
        (void)sqlite3_bind_blob(insert, column, at, (int)len, SQLITE_STATIC);
    return at + len;
}

static void store(sqlite3 *db, const struct rows *rows)
{
    char sql[512];
    sqlite3_stmt *insert;
    size_t len = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?",
                                  rows->table);
    for (int i = 1; i < rows->columns; i++)
        len += (size_t)snprintf(sql + len, sizeof sql - len, ",?");
    (void)snprintf(sql + len, sizeof sql - len, ")");
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &insert, NULL) != SQLITE_OK)
        fail(db, sql);
    const unsigned char *at = rows->bytes;
    for (uint64_t row = 0; row < rows->count; row++) {
        if (row % CHANGES_MOST == 0 && sqlite3_exec(db, row > 0 ? "COMMIT; BEGIN" : "BEGIN", NULL,
                                                    NULL, NULL) != SQLITE_OK)
            fail(db, "COMMIT");
        for (int i = 0; i < rows->columns; i++)
            at = bind(insert, i + 1, at);
        (void)sqlite3_step(insert);
        if (sqlite3_reset(insert) != SQLITE_OK)
            fail(db, sql);
    }
    if (rows->count > 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        fail(db, "COMMIT");
    (void)sqlite3_finalize(insert);
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    struct rows tables[] = {
        {.table = "capture"}, {.table = "capture_file"}, {.table = "counter"}, {.table = "flow"},
        {.table = "layer"},   {.table = "session"},      {.table = "header"},
        {.table = "websocket"}, {.table = "frame"},      {.table = "finding"}, {.table = "gap"}};
    const size_t count = sizeof tables / sizeof tables[0];
    struct database_writer writer;
    struct error error = {0};
    sqlite3 *finished;
    uint64_t rows = 0;
    if (argc != 3 || sqlite3_open_v2(argv[1], &finished, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        return 2;
    for (size_t i = 0; i < count; i++) {
        load(finished, &tables[i]);
        rows += tables[i].count;
    }
    (void)sqlite3_close(finished);

    double start = seconds();
    if (database_writer_open(&writer, argv[2], 0, &error) != 0)
        fail(NULL, error.text);
    for (size_t i = 0; i < count; i++)
        store(writer.db, &tables[i]);
    if (database_writer_index(&writer) != SQLITE_OK)
        fail(writer.db, "indexes");
    database_writer_close(&writer, NULL);
    (void)printf("%.4f %" PRIu64 "\n", seconds() - start, rows);
    for (size_t i = 0; i < count; i++)
        free(tables[i].bytes);
    return 0;
}
