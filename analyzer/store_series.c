/*
 * Going on in the next file of a series. What is still open is copied there with its row ids, which
 * run through the series, so that all that the store remembers stays true; both files say in
 * `continuation` that there is more. The old file gets its last touches (what only shows when
 * connections are compared, the capture's end) in a thread of its own: nothing waits for them.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "schema_sql.h"
#include "series.h"
#include "store_private.h"
#include "times.h"

struct store_finisher {
    pthread_t thread;
    struct database_writer writer;
    int64_t capture;
    char *base;
    uint64_t current, keep; /* keep 0: all */
};

/* ---------------------------------------------------------------- the old file */

static void finish_file(struct store_finisher *finisher)
{
    static const char end[] =
        "UPDATE capture SET ended_ns = ?1, "
        "packets = (SELECT value FROM counter WHERE capture_id = ?2 AND name = 'capture.packets'), "
        "bytes = (SELECT value FROM counter WHERE capture_id = ?2 AND name = 'capture.bytes'), "
        "first_packet_ns = (SELECT min(first_ns) FROM flow WHERE capture_id = ?2), "
        "last_packet_ns = (SELECT max(last_ns) FROM flow WHERE capture_id = ?2) WHERE id = ?2";
    sqlite3 *db = finisher->writer.db;
    sqlite3_stmt *update = NULL;
    int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = database_cross(db, finisher->capture);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(db, end, -1, &update, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_bind_int64(update, 1, times_now());
        (void)sqlite3_bind_int64(update, 2, finisher->capture);
        (void)sqlite3_step(update);
        result = sqlite3_finalize(update);
    }
    (void)sqlite3_exec(db, result == SQLITE_OK ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL);
    database_writer_close(&finisher->writer, NULL);
}

static void *finisher_thread(void *arg)
{
    struct store_finisher *finisher = arg;
    finish_file(finisher);
    if (finisher->keep > 0)
        (void)series_keep(finisher->base, finisher->current, finisher->keep);
    return NULL;
}

void store_series_wait(struct store *store)
{
    struct store_finisher *finisher = store->finisher;
    if (finisher == NULL)
        return;
    (void)pthread_join(finisher->thread, NULL);
    free(finisher->base);
    free(finisher);
    store->finisher = NULL;
}

/* Takes the old file over. Without a thread it is done here and now. */
static int hand_over(struct store *store, struct database_writer *old)
{
    struct store_finisher *finisher = calloc(1, sizeof *finisher);
    if (finisher == NULL || (finisher->base = strdup(store->options.series)) == NULL) {
        free(finisher);
        database_writer_close(old, NULL);
        return store_no_memory(store);
    }
    finisher->writer = *old;
    finisher->capture = store->capture;
    finisher->current = store->number;
    finisher->keep = store->options.keep;
    if (pthread_create(&finisher->thread, NULL, finisher_thread, finisher) == 0) {
        store->finisher = finisher;
        return 0;
    }
    (void)finisher_thread(finisher);
    free(finisher->base);
    free(finisher);
    return 0;
}

/* ---------------------------------------------------------------- copying what is open */

static int list_open(struct store *store, sqlite3 *db)
{
    sqlite3_stmt *insert = NULL;
    int result = sqlite3_exec(db, "CREATE TEMP TABLE open_flow (id INTEGER PRIMARY KEY)", NULL,
                              NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(db, "INSERT INTO temp.open_flow VALUES (?)", -1, &insert, NULL);
    for (size_t i = 0; result == SQLITE_OK && i < store->bucket_count; i++) {
        for (const struct store_flow *flow = store->buckets[i]; flow != NULL; flow = flow->next) {
            if (!flow->inserted)
                continue;
            (void)sqlite3_bind_int64(insert, 1, flow->row);
            (void)sqlite3_step(insert);
            result = sqlite3_reset(insert);
        }
    }
    (void)sqlite3_finalize(insert);
    return result;
}

static int attach(sqlite3 *db, const char *path)
{
    sqlite3_stmt *statement = NULL;
    char *uri = database_uri(path, "?mode=rw");
    if (uri == NULL)
        return SQLITE_NOMEM;
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 1);
    int result = sqlite3_prepare_v2(db, "ATTACH ? AS before", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, uri, -1, SQLITE_STATIC);
        (void)sqlite3_step(statement);
        result = sqlite3_finalize(statement);
    }
    free(uri);
    return result;
}

/* The name of a file without its folder, for the row that points to it. */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int mark(sqlite3 *db, const char *sql, const char *path)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (result != SQLITE_OK)
        return result;
    (void)sqlite3_bind_text(statement, 1, name_of(path), -1, SQLITE_STATIC);
    (void)sqlite3_step(statement);
    return sqlite3_finalize(statement);
}

/* One transaction over both files. */
static int copy_open(struct store *store, sqlite3 *db, const char *path)
{
    static const char before[] =
        "INSERT INTO before.continuation (flow_id, session_id, direction, file) "
        "SELECT o.id, s.id, 'to', ?1 FROM temp.open_flow o LEFT JOIN before.session s ON "
        "s.flow_id = o.id";
    static const char after[] =
        "INSERT INTO main.continuation (flow_id, session_id, direction, file) "
        "SELECT o.id, s.id, 'from', ?1 FROM temp.open_flow o LEFT JOIN main.session s ON "
        "s.flow_id = o.id";
    int result = list_open(store, db);
    if (result == SQLITE_OK)
        result = attach(db, store->path);
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = database_script(db, schema_continue_sql, store->capture, NULL);
    if (result == SQLITE_OK)
        result = mark(db, before, path);
    if (result == SQLITE_OK)
        result = mark(db, after, store->path);
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, "COMMIT; DETACH before; DROP TABLE temp.open_flow", NULL, NULL,
                              NULL);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    return result;
}

/* ---------------------------------------------------------------- going on */

/* Frames stay in the old file: findings to come cannot name them. */
static void forget_frames(struct store *store)
{
    for (size_t i = 0; i < store->bucket_count; i++) {
        for (struct store_flow *flow = store->buckets[i]; flow != NULL; flow = flow->next) {
            for (struct store_session *s = flow->sessions; s != NULL; s = s->next) {
                free(s->frames);
                s->frames = NULL;
            }
        }
    }
}

static void switch_over(struct store *store, const struct database_writer *next, char *path,
                        uint64_t number)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    forget_frames(store);
    free(store->path);
    store->path = path;
    store->number = number;
    store->writer = *next;
    store->db = next->db;
    store_pace(store);
}

int store_series_next(struct store *store)
{
    struct database_writer next, old = store->writer;
    uint64_t number = series_newest(store->options.series) + 1;
    char *path = series_path(store->options.series, number);
    if (path == NULL)
        return store_no_memory(store);
    store_series_wait(store);
    if (database_writer_open(&next, path, 1, &store->error) != 0) {
        free(path);
        return -1;
    }
    int result = copy_open(store, next.db, path);
    if (result != SQLITE_OK) {
        (void)database_explain(next.db, result, path, &store->error);
        database_writer_close(&next, path);
        free(path);
        return -1;
    }
    switch_over(store, &next, path, number);
    if (hand_over(store, &old) != 0)
        return -1;
    store->began_file_ns = times_now();
    store->files++;
    if (store->options.moved != NULL)
        store->options.moved(store->options.moved_arg, path);
    return 0;
}

/* ---------------------------------------------------------------- when */

static uint64_t size_of(const char *path, const char *suffix)
{
    struct stat status;
    struct buffer name = {0};
    buffer_word(&name, path);
    buffer_word(&name, suffix);
    uint64_t size = stat(buffer_text(&name), &status) == 0 ? (uint64_t)status.st_size : 0;
    buffer_release(&name);
    return size;
}

/* A log that cannot be written back, since a reader still needs what stands there, grows. */
static int log_is_stuck(struct store *store)
{
    if (size_of(store->path, "-wal") < STORE_LOG_MOST)
        return 0;
    (void)sqlite3_busy_timeout(store->db, 0);
    (void)sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(store->db, STORE_BUSY_MS);
    return size_of(store->path, "-wal") >= STORE_LOG_MOST;
}

uint64_t store_series_bytes(const struct store *store)
{
    return size_of(store->path, "") + size_of(store->path, "-wal");
}

int store_series_due(struct store *store)
{
    const struct store_options *options = &store->options;
    if (options->series == NULL || store->capture == 0)
        return 0;
    if (options->rotate_ns > 0 && times_now() - store->began_file_ns >= options->rotate_ns)
        return 1;
    if (options->rotate_bytes > 0 && store_series_bytes(store) >= options->rotate_bytes)
        return 1;
    return options->bounded && log_is_stuck(store);
}
