/*
 * Keeping one database bounded, by size or by age. The unit is a flow that has ended, with its
 * sessions and all of theirs: the oldest go first, in transactions of a few thousand rows, so that
 * nobody waits for long, and the pages that come free are used again or given back. Where no such
 * flow is left, sessions that are over go from the connections that are still open (HTTP/2, or an
 * HTTP/1 connection that is refused again and again). What is still open stays.
 */
#include <string.h>

#include "store_private.h"
#include "times.h"

enum {
    CHUNK = 2000,           /* frames of a transaction */
    VACUUM_PAGES = 256,
    FULL_PERCENT = 90,      /* of the size allowed: removing begins, */
    ROOMY_PERCENT = 80,     /* ... and ends */
    SESSIONS = 8            /* the statement that removes these */
};

static const int64_t age_again_ns = 5000000000; /* between looks at what is too old */
static const int64_t turn_least_ns = 100000000; /* that a turn may take; more where storing did */

static int run_sql(struct store *store, const char *sql, int64_t flow)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, flow);
        while (sqlite3_step(statement) == SQLITE_ROW)
            continue;
        result = sqlite3_finalize(statement);
    }
    return result == SQLITE_OK ? 0 : store_failed(store, result);
}

/* Removes a part of the flow. 1: it is gone, 0: there is more, -1: failed. */
static int remove_part(struct store *store, int64_t flow)
{
    static const char frames[] =
        "DELETE FROM frame WHERE id IN (SELECT frame.id FROM session CROSS JOIN frame ON "
        "frame.session_id = session.id WHERE session.flow_id = ?1 LIMIT 2000)";
    static const char *const rest[] = {
        "DELETE FROM header WHERE session_id IN (SELECT id FROM session WHERE flow_id = ?1)",
        "DELETE FROM websocket WHERE session_id IN (SELECT id FROM session WHERE flow_id = ?1)",
        "DELETE FROM continuation WHERE flow_id = ?1",
        "UPDATE finding SET other_session_id = NULL WHERE other_session_id IN "
        "(SELECT id FROM session WHERE flow_id = ?1)",
        "UPDATE session SET hop_of = NULL WHERE hop_of IN "
        "(SELECT id FROM session WHERE flow_id = ?1)",
        "DELETE FROM finding WHERE session_id IN (SELECT id FROM session WHERE flow_id = ?1)",
        "DELETE FROM finding WHERE flow_id = ?1",
        "DELETE FROM gap WHERE flow_id = ?1",
        [SESSIONS] = "DELETE FROM session WHERE flow_id = ?1",
        "DELETE FROM layer WHERE flow_id = ?1",
        "DELETE FROM flow WHERE id = ?1",
    };
    if (run_sql(store, frames, flow) != 0)
        return -1;
    if (sqlite3_changes(store->db) == CHUNK)
        return 0;
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        if (run_sql(store, rest[i], flow) != 0)
            return -1;
        if (i == SESSIONS)
            store->removed_sessions += (uint64_t)sqlite3_changes(store->db);
    }
    store->removed_flows++;
    return 1;
}

static int note_removed(struct store *store)
{
    static const char *const names[] = {"retain.flows", "retain.sessions"};
    const uint64_t values[] = {store->removed_flows, store->removed_sessions};
    for (size_t i = 0; i < 2; i++) {
        struct event event = {.kind = EVENT_COUNTER, .sender = NEITHER};
        event.u.counter.name = (struct text){names[i], strlen(names[i])};
        event.u.counter.value = values[i];
        if (store_event(store, &event) != 0)
            return -1;
    }
    return 0;
}

/* The first value of a statement's first row, 0 without a row; -1: failed. */
static int64_t find_row(struct store *store, const char *sql, int64_t first, int64_t second)
{
    sqlite3_stmt *find = NULL;
    int64_t row = 0;
    int result = sqlite3_prepare_v2(store->db, sql, -1, &find, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_bind_int64(find, 1, first);
        if (sqlite3_bind_parameter_count(find) > 1)
            (void)sqlite3_bind_int64(find, 2, second);
        if (sqlite3_step(find) == SQLITE_ROW)
            row = sqlite3_column_int64(find, 0);
        result = sqlite3_finalize(find);
    }
    return result == SQLITE_OK ? row : store_failed(store, result);
}

/* The layers that a session led to, and what is in them. */
#define BELOW                                                                                      \
    "WITH RECURSIVE below(id) AS (SELECT successor_id FROM session WHERE id = ?1 "                 \
    "AND successor_id IS NOT NULL UNION SELECT layer.id FROM layer JOIN below "                    \
    "ON layer.parent_id = below.id) "

/* Rows that are no more are not named again: what still comes for such a layer belongs to none. */
static int forget_layers(struct store *store, struct store_flow *flow, int64_t session)
{
    sqlite3_stmt *find = NULL;
    int result = sqlite3_prepare_v2(store->db, BELOW "SELECT id FROM below", -1, &find, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_bind_int64(find, 1, session);
        while (sqlite3_step(find) == SQLITE_ROW)
            store_layer_forget(flow, sqlite3_column_int64(find, 0));
        result = sqlite3_finalize(find);
    }
    return result == SQLITE_OK ? 0 : store_failed(store, result);
}

/* Removes a part of a session whose flow goes on. 1: it is gone, 0: there is more, -1: failed. */
static int remove_session_part(struct store *store, struct store_flow *flow, int64_t session)
{
    static const char frames[] = "DELETE FROM frame WHERE id IN "
                                 "(SELECT id FROM frame WHERE session_id = ?1 LIMIT 2000)";
    static const char *const rest[] = {
        "DELETE FROM header WHERE session_id = ?1",
        "DELETE FROM websocket WHERE session_id = ?1",
        "DELETE FROM continuation WHERE session_id = ?1",
        "UPDATE finding SET other_session_id = NULL WHERE other_session_id = ?1",
        "UPDATE session SET hop_of = NULL WHERE hop_of = ?1",
        "DELETE FROM finding WHERE session_id = ?1",
        BELOW "DELETE FROM finding WHERE layer_id IN below AND flow_id = "
              "(SELECT flow_id FROM session WHERE id = ?1)",
        BELOW "DELETE FROM layer WHERE id IN below",
        "DELETE FROM session WHERE id = ?1",
    };
    if (run_sql(store, frames, session) != 0)
        return -1;
    if (sqlite3_changes(store->db) == CHUNK)
        return 0;
    if (forget_layers(store, flow, session) != 0)
        return -1;
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        if (run_sql(store, rest[i], session) != 0)
            return -1;
    }
    store_session_removed(flow, session);
    store->removed_sessions++;
    return 1;
}

/* The oldest session that is over of an open flow that has several; not one in which there are
 * others, which go before it. 0: none, -1: failed. */
static int64_t oldest_over(struct store *store, int64_t before_ns, struct store_flow **its_flow)
{
    static const char over[] =
        "SELECT s.id FROM session s WHERE s.flow_id = ?1 "
        "AND (s.end_reason IS NOT NULL OR s.outcome IN ('refused', 'ignored')) "
        "AND coalesce(s.end_ns, s.response_ns, s.request_ns) < ?2 "
        "AND NOT EXISTS (SELECT 1 FROM session n WHERE n.layer_id IN "
        "(WITH RECURSIVE below(id) AS (SELECT s.successor_id UNION SELECT layer.id FROM layer "
        "JOIN below ON layer.parent_id = below.id) SELECT id FROM below)) ORDER BY s.id LIMIT 1";
    int64_t oldest = 0;
    for (size_t i = 0; i < store->bucket_count; i++) {
        for (struct store_flow *flow = store->buckets[i]; flow != NULL; flow = flow->next) {
            int several = flow->session_count > 1 || flow->sessions_forgotten;
            int64_t session = several ? find_row(store, over, flow->row, before_ns) : 0;
            if (session < 0)
                return -1;
            if (session > 0 && (oldest == 0 || session < oldest)) {
                oldest = session;
                *its_flow = flow;
            }
        }
    }
    return oldest;
}

/* One small transaction. 1: something was removed, 0: nothing to do, -1: failed. */
static int remove_oldest(struct store *store, const char *flows, int64_t before_ns)
{
    struct store_flow *open = NULL;
    int64_t session = 0, flow = find_row(store, flows, before_ns, 0);
    if (flow == 0)
        session = oldest_over(store, before_ns, &open);
    if (flow < 0 || session < 0)
        return -1;
    if (flow == 0 && session == 0)
        return 0;
    if (store_transaction(store) != 0)
        return -1;
    int result = flow != 0 ? remove_part(store, flow) : remove_session_part(store, open, session);
    if (result < 0 || note_removed(store) != 0 || store_commit(store) != 0)
        return -1;
    return 1;
}

static uint64_t used_bytes(struct store *store)
{
    int64_t size = database_integer(store->db, "PRAGMA page_size", 0);
    int64_t pages = database_integer(store->db, "PRAGMA page_count", 0);
    int64_t unused = database_integer(store->db, "PRAGMA freelist_count", 0);
    return (uint64_t)(size * (pages - unused));
}

static int is_full(struct store *store, uint64_t percent)
{
    uint64_t most = store->options.max_bytes;
    return most > 0 && used_bytes(store) > most / 100 * percent;
}

/* Pages beyond what will soon be used again go back to the file system. */
static int give_back(struct store *store, int64_t until_ns)
{
    int given = 0;
    while (store_now_ns() < until_ns) {
        int64_t pages = database_integer(store->db, "PRAGMA page_count", 0);
        int64_t unused = database_integer(store->db, "PRAGMA freelist_count", 0);
        if (unused <= VACUUM_PAGES / 4 || unused < pages / 8)
            break;
        int result = sqlite3_exec(store->db, "PRAGMA incremental_vacuum(256)", NULL, NULL, NULL);
        if (result != SQLITE_OK)
            return store_failed(store, result);
        given = 1;
    }
    if (given) /* only when the log is written back does the file become shorter */
        (void)sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return 0;
}

int store_retain(struct store *store)
{
    static const char by_size[] = "SELECT id FROM flow WHERE end IS NOT NULL AND ?1 IS NOT NULL "
                                  "ORDER BY id LIMIT 1";
    static const char by_age[] = "SELECT id FROM flow WHERE end IS NOT NULL AND last_ns < ?1 "
                                 "ORDER BY id LIMIT 1";
    const struct store_options *options = &store->options;
    int64_t began = store_now_ns();
    int64_t since = began - store->retained_ns;
    int64_t until = began + (since / 2 > turn_least_ns ? since / 2 : turn_least_ns);
    int more = 1;
    if (options->max_age_ns > 0 && began >= store->aged_ns) {
        while (more == 1 && store_now_ns() < until)
            more = remove_oldest(store, by_age, times_now() - options->max_age_ns);
        if (more == 0)
            store->aged_ns = began + age_again_ns;
    }
    if (more >= 0 && is_full(store, FULL_PERCENT)) {
        more = 1;
        while (more == 1 && store_now_ns() < until && is_full(store, ROOMY_PERCENT))
            more = remove_oldest(store, by_size, INT64_MAX);
    }
    if (more >= 0)
        more = give_back(store, until);
    store->retained_ns = store_now_ns();
    return more < 0 ? -1 : 0;
}
