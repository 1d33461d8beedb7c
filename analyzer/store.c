/*
 * The store: captures begin and end here, events arrive in batches, transactions are committed
 * every so many rows or every second. What a batch becomes is in store_rows.c.
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../dissectors/utf8.h"
#include "schema_sql.h"
#include "series.h"
#include "store_private.h"
#include "times.h"

#ifndef SWITCHTAP_VERSION
#define SWITCHTAP_VERSION "0.1.0"
#endif

enum {
    CHANGES_MOST = 50000, /* rows of a transaction */
    ROW_BYTES = 150,      /* of a row without its payload, about */
    WRITTEN_LEAST = 256 << 10
};

static const int64_t commit_ns = 1000000000;
static const int64_t house_ns = 100000000; /* between looks at sizes and ages */

static const char *const statements[STATEMENT_COUNT] = {
    [INSERT_FLOW] =
        "INSERT INTO flow (id, capture_id, client_addr, client_port, server_addr, server_port, "
        "vlan, community_id, first_ns, last_ns, client_packets, server_packets, client_bytes, "
        "server_bytes, client_missing, server_missing, client_retransmits, server_retransmits, "
        "client_rtt_ns, server_rtt_ns, handshake, end, ndpi_protocol, ndpi_category, ndpi_risk) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [UPDATE_FLOW] =
        "UPDATE flow SET first_ns = ?, last_ns = ?, client_packets = ?, server_packets = ?, "
        "client_bytes = ?, server_bytes = ?, client_missing = ?, server_missing = ?, "
        "client_retransmits = ?, server_retransmits = ?, client_rtt_ns = ?, server_rtt_ns = ?, "
        "handshake = ?, end = ?, ndpi_protocol = ?, ndpi_category = ?, ndpi_risk = ? WHERE id = ?",
    [INSERT_LAYER] =
        "INSERT INTO layer (id, flow_id, parent_id, relation, protocol, expected, first_ns, "
        "packet, client_offset, server_offset, client_head, server_head, ndpi_protocol, "
        "ndpi_category, ndpi_risk, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [UPDATE_LAYER] =
        "UPDATE layer SET protocol = coalesce(?, protocol), client_head = ?, server_head = ?, "
        "ndpi_protocol = ?, ndpi_category = ?, ndpi_risk = ?, detail = ? WHERE id = ?",
    [INSERT_SESSION] =
        "INSERT INTO session (id, flow_id, layer_id, mechanism, offered, outcome, method, target, "
        "path, host, origin, user_agent, forwarded_for, request_ns, request_packet, "
        "request_offset, verdict) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [UPDATE_ANSWER] =
        "UPDATE session SET outcome = ?, cause = ?, accepted = ?, status = ?, reason = ?, "
        "response_ns = ?, response_packet = ?, response_offset = ?, verdict = coalesce(?, verdict) "
        "WHERE id = ?",
    [UPDATE_SUCCESSOR] = "UPDATE session SET successor_id = ? WHERE id = ?",
    [UPDATE_END] = "UPDATE session SET end_ns = ?, end_reason = ?, end_side = ?, idle_ns = ?, "
                   "verdict = coalesce(?, verdict) WHERE id = ?",
    [UPDATE_VERDICT] = "UPDATE session SET verdict = ? WHERE id = ?",
    [END_SESSIONS_OF_FLOW] =
        "UPDATE session SET end_ns = ?, end_reason = ?, end_side = ?, idle_ns = ? "
        "WHERE flow_id = ? AND end_reason IS NULL",
    [FIND_SESSION] = "SELECT id FROM session WHERE flow_id = ? ORDER BY id LIMIT 1 OFFSET ?",
    [SET_FRAMES_LOST] = "UPDATE session SET frames_lost = ? WHERE id = ?",
    [INSERT_HEADER] = "INSERT INTO header (session_id, message, position, name, value) "
                      "VALUES (?, ?, ?, ?, ?)",
    [INSERT_WEBSOCKET] =
        "INSERT OR IGNORE INTO websocket (session_id, subprotocol, extensions, accept_valid, "
        "deflate) VALUES (?, ?, ?, ?, ?)",
    [UPDATE_WEBSOCKET] =
        "UPDATE websocket SET client_frames = ?, server_frames = ?, client_messages = ?, "
        "server_messages = ?, client_bytes = ?, server_bytes = ?, client_message_bytes = ?, "
        "server_message_bytes = ?, client_close_code = ?, client_close_reason = ?, "
        "server_close_code = ?, server_close_reason = ? WHERE session_id = ?",
    [INSERT_FRAME] =
        "INSERT INTO frame (id, session_id, sender, sent_ns, packet, offset, fin, rsv, opcode, "
        "masked, length, message_opcode, message_length, fragments, compressed, cut, rtt_ns, "
        "payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_FINDING] =
        "INSERT INTO finding (id, capture_id, rule, session_id, layer_id, flow_id, frame_id, "
        "sender, packet, offset, found_ns, evidence, count) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [UPDATE_FINDING_COUNT] = "UPDATE finding SET count = ? WHERE id = ?",
    [ADD_FINDING_COUNT] = "UPDATE finding SET count = count + 1 "
                          "WHERE session_id = ? AND rule = ? AND sender IS ?",
    [UPDATE_FINDING_FRAME] = "UPDATE finding SET frame_id = ? WHERE id = ?",
    [INSERT_GAP] = "INSERT INTO gap (flow_id, sender, offset, length, at_ns) "
                   "VALUES (?, ?, ?, ?, ?)",
    [UPSERT_COUNTER] = "INSERT INTO counter (capture_id, name, value) VALUES (?, ?, ?) "
                       "ON CONFLICT (capture_id, name) DO UPDATE SET value = excluded.value",
};

/* ---------------------------------------------------------------- failures */

int store_failed(struct store *store, int result)
{
    if (store->error.text[0] == '\0')
        (void)database_explain(store->db, result, store->path, &store->error);
    return -1;
}

int store_no_memory(struct store *store)
{
    if (store->error.text[0] == '\0')
        (void)error_set(&store->error, "%s: out of memory", store->path);
    return -1;
}

const char *store_error(const struct store *store)
{
    return store->error.text;
}

/* ---------------------------------------------------------------- statements */

sqlite3_stmt *store_statement(struct store *store, enum statement which)
{
    if (store->statements[which] == NULL) {
        int result = sqlite3_prepare_v3(store->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT,
                                        &store->statements[which], NULL);
        if (result != SQLITE_OK)
            (void)store_failed(store, result);
    }
    return store->statements[which];
}

int store_run(struct store *store, sqlite3_stmt *statement)
{
    if (store->error.text[0] != '\0')
        return -1;
    (void)sqlite3_step(statement);
    int result = sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    store->changes++;
    store->written += ROW_BYTES;
    return result == SQLITE_OK ? 0 : store_failed(store, result);
}

static int is_text(struct text text)
{
    struct utf8 utf8 = {0};
    return memchr(text.data, 0, text.len) == NULL &&
           utf8_feed(&utf8, (const uint8_t *)text.data, text.len) == 0 && utf8_finish(&utf8) == 0;
}

void store_bind_text(sqlite3_stmt *statement, int column, struct text text)
{
    if (text.data == NULL)
        (void)sqlite3_bind_null(statement, column);
    else if (is_text(text))
        (void)sqlite3_bind_text64(statement, column, text.data, text.len, SQLITE_STATIC,
                                  SQLITE_UTF8);
    else
        (void)sqlite3_bind_blob64(statement, column, text.data, text.len, SQLITE_STATIC);
}

void store_bind_word(sqlite3_stmt *statement, int column, const char *word)
{
    if (word == NULL)
        (void)sqlite3_bind_null(statement, column);
    else
        (void)sqlite3_bind_text64(statement, column, word, strlen(word), SQLITE_STATIC,
                                  SQLITE_UTF8);
}

void store_bind_blob(sqlite3_stmt *statement, int column, struct text bytes)
{
    if (bytes.data == NULL)
        (void)sqlite3_bind_null(statement, column);
    else
        (void)sqlite3_bind_blob64(statement, column, bytes.data, bytes.len, SQLITE_STATIC);
}

void store_bind_count(sqlite3_stmt *statement, int column, uint64_t value)
{
    (void)sqlite3_bind_int64(statement, column, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void store_bind_unless(sqlite3_stmt *statement, int column, int64_t value, int64_t none)
{
    if (value == none)
        (void)sqlite3_bind_null(statement, column);
    else
        (void)sqlite3_bind_int64(statement, column, value);
}

const char *store_side(enum side side)
{
    return side == CLIENT ? "client" : side == SERVER ? "server" : NULL;
}

/* ---------------------------------------------------------------- transactions */

int64_t store_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int store_exec(struct store *store, const char *sql)
{
    int result = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : store_failed(store, result);
}

int store_transaction(struct store *store)
{
    if (store->error.text[0] != '\0')
        return -1;
    if (store->in_transaction)
        return 0;
    if (store_exec(store, "BEGIN IMMEDIATE") != 0)
        return -1;
    store->in_transaction = 1;
    store->changes = 0;
    store->written = 0;
    store->begun_ns = store_now_ns();
    return 0;
}

int store_commit(struct store *store)
{
    if (store->error.text[0] != '\0')
        return -1;
    if (!store->in_transaction)
        return 0;
    if (store_exec(store, "COMMIT") != 0)
        return -1;
    store->in_transaction = 0;
    return 0;
}

static void look_at_size(struct store *store)
{
    if (store->options.live)
        atomic_store_explicit(&store->bytes, store_series_bytes(store), memory_order_relaxed);
}

/* Commits, and does what is only done between transactions. */
static int house(struct store *store)
{
    const struct store_options *options = &store->options;
    if (store_commit(store) != 0)
        return -1;
    if (store->written_most == 0 && store_now_ns() - store->housed_ns < house_ns)
        return 0;
    store->housed_ns = store_now_ns();
    look_at_size(store);
    if (store_series_due(store) && store_series_next(store) != 0)
        return -1;
    return options->bounded ? store_retain(store) : 0;
}

static int sink_write(void *arg, struct batch *batch)
{
    struct store *store = arg;
    if (store_transaction(store) != 0)
        return -1;
    for (size_t i = 0; i < batch->count; i++) {
        if (store_event(store, &batch->events[i]) != 0 || store->error.text[0] != '\0') {
            (void)store_no_memory(store); /* where no other reason was given */
            return -1;
        }
    }
    if (store->changes >= CHANGES_MOST ||
        (store->written_most > 0 && store->written >= store->written_most) ||
        store_now_ns() - store->begun_ns >= commit_ns)
        return house(store);
    return 0;
}

static int sink_flush(void *arg)
{
    return house(arg);
}

struct sink store_sink(struct store *store)
{
    return (struct sink){store, sink_write, sink_flush};
}

/* ---------------------------------------------------------------- opening */

/* The key of the redaction hashes; a database that lost its key gets a new one. */
static int load_key(struct store *store)
{
    sqlite3_stmt *statement = NULL;
    int found = 0;
    int result = sqlite3_prepare_v2(store->db, "SELECT value FROM setting WHERE name = "
                                               "'secret_key'", -1, &statement, NULL);
    if (result == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
        sqlite3_column_type(statement, 0) == SQLITE_BLOB &&
        sqlite3_column_bytes(statement, 0) == REDACT_KEY_SIZE) {
        memcpy(store->redact.key, sqlite3_column_blob(statement, 0), REDACT_KEY_SIZE);
        found = 1;
    }
    (void)sqlite3_finalize(statement);
    if (result != SQLITE_OK || found)
        return result;
    sqlite3_randomness(REDACT_KEY_SIZE, store->redact.key);
    result = sqlite3_prepare_v2(store->db,
                                "INSERT OR REPLACE INTO setting (name, value) VALUES "
                                "('secret_key', ?)", -1, &statement, NULL);
    if (result != SQLITE_OK)
        return result;
    (void)sqlite3_bind_blob(statement, 1, store->redact.key, REDACT_KEY_SIZE, SQLITE_STATIC);
    (void)sqlite3_step(statement);
    return sqlite3_finalize(statement);
}

/* Where the size of the file matters it is looked at sixteen times on the way there, and the log is
 * as short as that. */
void store_pace(struct store *store)
{
    uint64_t most = store->options.max_bytes > 0 ? store->options.max_bytes
                                                 : store->options.rotate_bytes;
    if (most == 0)
        return;
    store->written_most = most / 16 > WRITTEN_LEAST ? most / 16 : WRITTEN_LEAST;
    uint64_t pages = store->written_most / 8192;
    if (pages < 1000)
        (void)sqlite3_wal_autocheckpoint(store->db, (int)pages);
}

struct store *store_open(const char *path, const struct store_options *options, struct error *error)
{
    struct store *store = calloc(1, sizeof *store);
    uint64_t number = options->series != NULL ? series_newest(path) : 0;
    if (store == NULL || (store->path = series_path(path, number)) == NULL) {
        (void)error_set(error, "out of memory");
        free(store);
        return NULL;
    }
    store->options = *options;
    store->began_file_ns = times_now();
    store->retained_ns = store_now_ns();
    store->redact.off = options->keep_secrets;
    store->number = number;
    if (database_writer_open(&store->writer, store->path, options->live, error) != 0) {
        free(store->path);
        free(store);
        return NULL;
    }
    store->db = store->writer.db;
    store_pace(store);
    int result = load_key(store);
    if (result == SQLITE_OK)
        return store;
    (void)database_explain(store->db, result, path, error);
    store_close(store);
    return NULL;
}

/* ---------------------------------------------------------------- captures */

/* What the sink's error says is also what a call on the way says. */
static int tell(const struct store *store, struct error *error)
{
    return error_set(error, "%s", store->error.text);
}

int64_t store_find_capture(struct store *store, const char *fingerprint, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int64_t id = 0;
    int result = sqlite3_prepare_v2(
        store->db, "SELECT min(id) FROM capture WHERE fingerprint = ? AND ended_ns IS NOT NULL", -1,
        &statement, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, fingerprint, -1, SQLITE_STATIC);
        if (sqlite3_step(statement) == SQLITE_ROW)
            id = sqlite3_column_int64(statement, 0);
        result = sqlite3_finalize(statement);
    }
    if (result != SQLITE_OK)
        return database_explain(store->db, result, store->path, error);
    return id;
}

static void number_rows(struct store *store)
{
    store->next_flow = database_integer(store->db, "SELECT max(id) FROM flow", 0) + 1;
    store->next_layer = database_integer(store->db, "SELECT max(id) FROM layer", 0) + 1;
    store->next_session = database_integer(store->db, "SELECT max(id) FROM session", 0) + 1;
    store->next_frame = database_integer(store->db, "SELECT max(id) FROM frame", 0) + 1;
    store->next_finding = database_integer(store->db, "SELECT max(id) FROM finding", 0) + 1;
}

static struct text text_or_none(const char *text)
{
    return text != NULL ? (struct text){text, strlen(text)} : TEXT_NONE;
}

static int capture_insert(struct store *store, const struct store_source *source)
{
    sqlite3_stmt *insert = NULL;
    int result = sqlite3_prepare_v2(
        store->db, "INSERT INTO capture (source, kind, fingerprint, sensor, filter, options, "
                   "started_ns, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", -1, &insert, NULL);
    if (result != SQLITE_OK)
        return store_failed(store, result);
    store_bind_text(insert, 1, text_or_none(source->source != NULL ? source->source : ""));
    store_bind_word(insert, 2, source->live ? "live" : "file");
    store_bind_text(insert, 3, text_or_none(source->fingerprint));
    store_bind_text(insert, 4, text_or_none(store->options.sensor));
    store_bind_text(insert, 5, text_or_none(source->filter));
    store_bind_text(insert, 6, text_or_none(source->options));
    (void)sqlite3_bind_int64(insert, 7, times_now());
    store_bind_word(insert, 8, SWITCHTAP_VERSION);
    (void)sqlite3_step(insert);
    result = sqlite3_finalize(insert);
    store->capture = sqlite3_last_insert_rowid(store->db);
    return result == SQLITE_OK ? 0 : store_failed(store, result);
}

static void forget_capture(struct store *store)
{
    store_flow_remove_all(store);
    store_findings_free(store->findings);
    store->findings = NULL;
    store->file_count = 0;
    store->gaps_dropped = 0;
}

int store_begin(struct store *store, const struct store_source *source, struct error *error)
{
    store->began = 1;
    forget_capture(store);
    int result = store_transaction(store);
    if (result == 0 && source->fingerprint != NULL)
        result = database_script(store->db, schema_remove_sql, 0, source->fingerprint) == SQLITE_OK
                     ? 0
                     : store_failed(store, sqlite3_extended_errcode(store->db));
    if (result == 0)
        result = capture_insert(store, source);
    if (result == 0)
        result = store_commit(store);
    if (result != 0)
        return tell(store, error);
    number_rows(store);
    look_at_size(store);
    return 0;
}

int store_add_file(struct store *store, const struct store_file *file, struct error *error)
{
    sqlite3_stmt *insert = NULL;
    if (store_transaction(store) != 0)
        return tell(store, error);
    int result = sqlite3_prepare_v2(
        store->db, "INSERT INTO capture_file (capture_id, position, path, size, fingerprint, "
                   "first_packet) VALUES (?, ?, ?, ?, ?, ?)", -1, &insert, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_bind_int64(insert, 1, store->capture);
        (void)sqlite3_bind_int64(insert, 2, store->file_count++);
        store_bind_text(insert, 3, text_or_none(file->path));
        store_bind_count(insert, 4, file->size);
        store_bind_text(insert, 5, text_or_none(file->fingerprint));
        store_bind_count(insert, 6, file->first_packet);
        (void)sqlite3_step(insert);
        result = sqlite3_finalize(insert);
    }
    if (result == SQLITE_OK)
        return 0;
    (void)store_failed(store, result);
    return tell(store, error);
}

/* ---------------------------------------------------------------- the end of a capture */

static int capture_update(struct store *store, const struct capture_info *info, int64_t first_ns,
                          int64_t last_ns)
{
    sqlite3_stmt *update = NULL;
    int result = sqlite3_prepare_v2(
        store->db, "UPDATE capture SET link_type = ?, snaplen = ?, ended_ns = ?, first_packet_ns = "
                   "?, last_packet_ns = ?, packets = ?, bytes = ?, kernel_dropped = ?, "
                   "interface_dropped = ?, truncated = ? WHERE id = ?", -1, &update, NULL);
    if (result != SQLITE_OK)
        return store_failed(store, result);
    store_bind_unless(update, 1, info->link_type, -1);
    (void)sqlite3_bind_int64(update, 2, info->snaplen);
    (void)sqlite3_bind_int64(update, 3, times_now());
    store_bind_unless(update, 4, first_ns, INT64_MIN);
    store_bind_unless(update, 5, last_ns, INT64_MIN);
    store_bind_count(update, 6, info->packets);
    store_bind_count(update, 7, info->bytes);
    store_bind_count(update, 8, info->kernel_dropped);
    store_bind_count(update, 9, info->interface_dropped);
    (void)sqlite3_bind_int64(update, 10, info->truncated != 0);
    (void)sqlite3_bind_int64(update, 11, store->capture);
    (void)sqlite3_step(update);
    result = sqlite3_finalize(update);
    return result == SQLITE_OK ? 0 : store_failed(store, result);
}

static int count_gaps_dropped(struct store *store)
{
    struct event event = {.kind = EVENT_COUNTER, .sender = NEITHER};
    event.u.counter.name = TEXT_LITERAL("store.gaps-dropped");
    event.u.counter.value = store->gaps_dropped;
    return store->gaps_dropped > 0 ? store_event(store, &event) : 0;
}

/* Adds each count of "SELECT word, count(*)" to the total of its word. */
static int count_words(struct store *store, const char *sql, const char *const *words, size_t count,
                       uint64_t *totals)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (result != SQLITE_OK)
        return store_failed(store, result);
    (void)sqlite3_bind_int64(statement, 1, store->capture);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *word = (const char *)sqlite3_column_text(statement, 0);
        for (size_t i = 0; word != NULL && i < count; i++) {
            if (strcmp(word, words[i]) == 0)
                totals[i] += (uint64_t)sqlite3_column_int64(statement, 1);
        }
    }
    result = sqlite3_finalize(statement);
    return result == SQLITE_OK ? 0 : store_failed(store, result);
}

static int summarise(struct store *store, struct store_summary *summary)
{
    static const char *const outcomes[] = {
        [OUTCOME_UNANSWERED] = "unanswered", [OUTCOME_SWITCHED] = "switched",
        [OUTCOME_REFUSED] = "refused",       [OUTCOME_IGNORED] = "ignored",
        [OUTCOME_UNSOLICITED] = "unsolicited"};
    static const char *const severities[] = {"high", "medium", "low", "info"};
    static const char *const flow[] = {"flow"};
    *summary = (struct store_summary){.capture_id = store->capture};
    if (count_words(store, "SELECT 'flow', count(*) FROM flow WHERE capture_id = ?", flow, 1,
                    &summary->flows) != 0 ||
        count_words(store, "SELECT s.outcome, count(*) FROM flow f CROSS JOIN session s ON "
                           "s.flow_id = f.id WHERE f.capture_id = ? GROUP BY 1", outcomes, 5,
                    summary->outcomes) != 0 ||
        count_words(store, "SELECT coalesce(x.severity, r.severity), count(*) FROM finding x "
                           "JOIN rule r ON r.name = x.rule WHERE x.capture_id = ? GROUP BY 1",
                    severities, 4, summary->findings) != 0)
        return -1;
    for (size_t i = 0; i < 5; i++)
        summary->sessions += summary->outcomes[i];
    return 0;
}

/* What only shows when connections, or the layers of one, are compared. */
static int judge(struct store *store)
{
    int code = database_cross(store->db, store->capture);
    return code == SQLITE_OK ? 0 : store_failed(store, code);
}

int store_finish(struct store *store, const struct capture_info *info, int64_t first_packet_ns,
                 int64_t last_packet_ns, struct store_summary *summary, struct error *error)
{
    int result = store_transaction(store);
    if (result == 0)
        result = count_gaps_dropped(store);
    if (result == 0)
        result = store_commit(store);
    if (result == 0) {
        int code = database_writer_index(&store->writer);
        result = code == SQLITE_OK ? store_transaction(store) : store_failed(store, code);
    }
    if (result == 0)
        result = judge(store);
    if (result == 0)
        result = capture_update(store, info, first_packet_ns, last_packet_ns);
    if (result == 0)
        result = summarise(store, summary);
    if (result == 0)
        result = store_commit(store);
    forget_capture(store);
    return result == 0 ? 0 : tell(store, error);
}

const char *store_path(const struct store *store)
{
    return store->path;
}

uint64_t store_bytes(const struct store *store)
{
    return atomic_load_explicit(&store->bytes, memory_order_relaxed);
}

uint64_t store_files(const struct store *store)
{
    return store->files;
}

void store_close(struct store *store)
{
    store_series_wait(store);
    if (store->in_transaction && store_commit(store) != 0)
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(store->statements[i]);
    forget_capture(store);
    for (size_t i = 0; i < STORE_SCRATCHES; i++)
        buffer_release(&store->scratch[i]);
    /* A file that was made for nothing leaves with us. */
    database_writer_close(&store->writer,
                          store->writer.created && !store->began ? store->path : NULL);
    free(store->path);
    free(store);
}
