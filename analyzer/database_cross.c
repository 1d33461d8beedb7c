/*
 * The rules that compare connections, or the layers of one, as the SQL of schema/cross*.sql: run by
 * the writer when a capture is complete, and by a reader, aside, for captures that are not.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "../schema/event.h"
#include "database_create.h"
#include "schema_sql.h"

/* websocket_accept(key): what a server has to answer, RFC 6455 4.2.2. */
static void websocket_accept(sqlite3_context *context, int count, sqlite3_value **values)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char input[128], digest[EVP_MAX_MD_SIZE];
    char text[64];
    unsigned len = 0;
    (void)count;
    const void *key = sqlite3_value_blob(values[0]);
    size_t size = (size_t)sqlite3_value_bytes(values[0]);
    if (key == NULL || size > sizeof input - sizeof guid)
        return;
    memcpy(input, key, size);
    memcpy(input + size, guid, sizeof guid - 1);
    if (EVP_Digest(input, size + sizeof guid - 1, digest, &len, EVP_sha1(), NULL) != 1)
        return;
    int encoded = EVP_EncodeBlock((unsigned char *)text, digest, (int)len);
    sqlite3_result_text(context, text, encoded, SQLITE_TRANSIENT);
}

int database_script(sqlite3 *db, const char *sql, sqlite3_int64 capture, const char *fingerprint)
{
    while (*sql != '\0') {
        sqlite3_stmt *statement = NULL;
        int result = sqlite3_prepare_v2(db, sql, -1, &statement, &sql);
        if (result == SQLITE_OK && statement != NULL) {
            int index = sqlite3_bind_parameter_index(statement, ":capture");
            if (index > 0)
                (void)sqlite3_bind_int64(statement, index, capture);
            index = sqlite3_bind_parameter_index(statement, ":fingerprint");
            if (index > 0)
                (void)sqlite3_bind_text(statement, index, fingerprint, -1, SQLITE_STATIC);
            while (sqlite3_step(statement) == SQLITE_ROW)
                continue;
            result = sqlite3_finalize(statement);
        }
        if (result != SQLITE_OK)
            return result;
    }
    return SQLITE_OK;
}

/* Which rule is told where one event satisfies two (rules.def). */
static int list_superseded(sqlite3 *db)
{
    sqlite3_stmt *insert = NULL;
    int result = sqlite3_exec(db, "DROP TABLE IF EXISTS temp.superseded; CREATE TEMP TABLE "
                                  "superseded (winner, loser, any_side)", NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(db, "INSERT INTO temp.superseded VALUES (?, ?, ?)", -1, &insert,
                                    NULL);
    for (size_t i = 0; result == SQLITE_OK && i < rule_superseded_count; i++) {
        const struct rule_superseded *pair = &rule_superseded[i];
        (void)sqlite3_bind_text(insert, 1, rule_table[pair->winner].name, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(insert, 2, rule_table[pair->loser].name, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int(insert, 3, pair->any_side);
        (void)sqlite3_step(insert);
        result = sqlite3_reset(insert);
    }
    (void)sqlite3_finalize(insert);
    return result;
}

int database_cross(sqlite3 *db, sqlite3_int64 capture)
{
    int result = sqlite3_create_function_v2(db, "websocket_accept", 1,
                                            SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                            NULL, websocket_accept, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = list_superseded(db);
    if (result == SQLITE_OK)
        result = database_script(db, schema_cross_sql, capture, NULL);
    return result == SQLITE_OK ? database_script(db, schema_cross_layers_sql, capture, NULL)
                               : result;
}

int database_cross_aside(sqlite3 *db)
{
    int result = sqlite3_exec(
        db, "BEGIN;"
            "CREATE TEMP TABLE finding AS SELECT * FROM main.finding;"
            "CREATE TEMP TABLE session AS SELECT * FROM main.session;"
            "CREATE UNIQUE INDEX temp.session_id ON session(id);"
            "CREATE INDEX temp.session_flow ON session(flow_id);"
            "CREATE INDEX temp.session_successor ON session(successor_id);"
            "CREATE INDEX temp.finding_session ON finding(session_id, rule);"
            "CREATE INDEX temp.finding_flow ON finding(flow_id);"
            "CREATE INDEX temp.finding_rule ON finding(rule);", NULL, NULL, NULL);
    for (sqlite3_int64 id = 0; result == SQLITE_OK;) { /* no statement is open over a script */
        char next[96];
        (void)snprintf(next, sizeof next, "SELECT min(id) FROM main.capture WHERE ended_ns IS NULL "
                       "AND id > %lld", id);
        id = database_integer(db, next, 0);
        if (id <= 0)
            break;
        result = database_cross(db, id);
    }
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (result != SQLITE_OK)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return result;
}
