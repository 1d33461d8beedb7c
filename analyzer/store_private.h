/*
 * What the files of the store share: its state, what it remembers about open flows, and the
 * statements. Rows are made in store_rows.c, findings in store_finding.c; the entries of flows and
 * sessions live in store_flow.c.
 */
#ifndef SWITCHTAP_STORE_PRIVATE_H
#define SWITCHTAP_STORE_PRIVATE_H

#include <stdatomic.h>

#include <sqlite3.h>

#include "database_create.h"
#include "output.h"
#include "redact.h"
#include "store.h"
#include "verdict.h"

enum statement {
    INSERT_FLOW,
    UPDATE_FLOW,
    INSERT_LAYER,
    UPDATE_LAYER,
    INSERT_SESSION,
    UPDATE_ANSWER,
    UPDATE_SUCCESSOR,
    UPDATE_END,
    UPDATE_VERDICT,
    END_SESSIONS_OF_FLOW,
    FIND_SESSION,
    SET_FRAMES_LOST,
    INSERT_HEADER,
    INSERT_WEBSOCKET,
    UPDATE_WEBSOCKET,
    INSERT_FRAME,
    INSERT_FINDING,
    UPDATE_FINDING_COUNT,
    ADD_FINDING_COUNT,
    UPDATE_FINDING_FRAME,
    INSERT_GAP,
    UPSERT_COUNTER,
    STATEMENT_COUNT
};

/* A finding that was made: repeats are counted here and written when its session or flow ends. */
struct store_finding {
    struct store_finding *next;
    enum rule rule;
    enum side sender;
    int64_t row;
    uint64_t count, written;
    uint64_t frame; /* serial of the frame that has still to come; 0 */
};

/* A finding or gap of a flow without a row. */
struct store_pending {
    struct store_pending *next;
    struct event event; /* EVENT_FINDING or EVENT_GAP; the evidence stands behind the struct */
    uint64_t count;
    char evidence[];
};

enum layer_text {
    LAYER_PROTOCOL,
    LAYER_EXPECTED,
    LAYER_CLIENT_HEAD,
    LAYER_SERVER_HEAD,
    LAYER_DETAIL,
    LAYER_NDPI_PROTOCOL,
    LAYER_NDPI_CATEGORY,
    LAYER_NDPI_RISK,
    LAYER_TEXTS
};

/* A layer of a flow without a row. */
struct store_layer {
    struct store_layer *next;
    int64_t row; /* 0: not given yet */
    uint32_t serial, parent;
    enum relation relation;
    int64_t first_ns;
    uint64_t packet, offset[2];
    struct text text[LAYER_TEXTS];
    char *strings; /* one block, that text[] points into */
};

enum { FRAMES_FIRST = 8, FRAMES_RECENT = 16, FRAMES_CONTROL = 16 };

/* Rows of frames that a finding may still name: the first, the last, the last control frames. */
struct store_frames {
    struct {
        uint64_t serial;
        int64_t row;
    } first[FRAMES_FIRST], recent[FRAMES_RECENT], control[FRAMES_CONTROL];
    unsigned recent_at, control_at, first_count;
};

struct store_session {
    struct store_session *next; /* of its flow; the last used is first */
    uint32_t serial;
    int64_t row;
    int64_t request_ns, answer_ns; /* INT64_MIN: not seen */
    struct verdict verdict;        /* its texts are ours, on the heap, cut */
    int stale;                     /* the verdict in the row is older than this one */
    int websocket_row;
    uint64_t shed_told, shed_found; /* frames, by a counter and by findings: the same ones */
    struct store_finding *findings;
    struct store_frames *frames; /* NULL: none yet */
};

struct store_flow {
    struct store_flow *next; /* in its bucket */
    uint64_t serial;
    int64_t row;  /* 0: not given yet */
    int inserted;
    struct event_flow_open open;
    int64_t first_ns;
    int64_t *layers; /* rows by serial - 1; 0: unknown */
    uint32_t layer_count, layer_room;
    struct store_layer *waiting, *waiting_last; /* in order */
    uint32_t waiting_count;
    struct store_pending *pending, *pending_last; /* in order */
    unsigned pending_findings, pending_gaps;
    struct store_session *sessions;
    unsigned session_count;
    int sessions_forgotten; /* some had to be: their end is written by one statement */
    int sessions_removed;   /* some were, by store_retain(): rows cannot be counted any more */
    struct store_finding *findings; /* without a session */
};

enum {
    STORE_SCRATCHES = 6,
    STORE_LOG_MOST = 32 << 20, /* bytes of the write-ahead log of a bounded database */
    STORE_BUSY_MS = 60000
};

struct store_finisher;

struct store {
    char *path;
    struct store_options options;
    struct database_writer writer;
    sqlite3 *db; /* writer.db */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct redact redact;
    struct error error; /* of the sink; sticky */
    int in_transaction, began;
    uint64_t changes;     /* rows of this transaction */
    uint64_t written;     /* bytes of payloads of this transaction, and some for each row */
    uint64_t written_most; /* ... before it is committed; 0: no matter */
    int64_t begun_ns;     /* of this transaction, monotonic */
    int64_t capture;      /* row; 0: none */
    uint32_t file_count;
    int64_t next_flow, next_layer, next_session, next_frame, next_finding;
    uint64_t gaps_dropped; /* of flows without a row, beyond what is kept */
    struct store_flow **buckets;
    size_t bucket_count, flow_count;
    struct store_flow *last; /* the one the last event was about */
    struct store_finding *findings; /* of the capture itself */
    struct store_finisher *finisher; /* of the file before; NULL: none */
    uint64_t number, files;          /* of the series: this one, those begun here */
    int64_t began_file_ns;
    int64_t housed_ns, retained_ns; /* monotonic: the last time it was done */
    int64_t aged_ns;                /* ... the next look at ages */
    atomic_uint_fast64_t bytes;     /* of the file, live, by then */
    uint64_t removed_flows, removed_sessions;
    struct buffer scratch[STORE_SCRATCHES]; /* redacted texts, until their statement has run */
};

/* ---- store.c ---- */

/* The statement, prepared at first use; NULL: the store has failed. */
sqlite3_stmt *store_statement(struct store *store, enum statement which);

/* Runs it and clears it for the next time. 0, or -1: the store has failed. */
int store_run(struct store *store, sqlite3_stmt *statement);

/* Remembers the first failure. Returns -1. */
int store_failed(struct store *store, int result);
int store_no_memory(struct store *store);

/* Binds: absent is NULL; text is TEXT where it is UTF-8 without NUL, else BLOB. */
void store_bind_text(sqlite3_stmt *statement, int column, struct text text);
void store_bind_word(sqlite3_stmt *statement, int column, const char *word); /* NULL: NULL */
void store_bind_blob(sqlite3_stmt *statement, int column, struct text bytes);
void store_bind_count(sqlite3_stmt *statement, int column, uint64_t value);
/* NULL where the value is `none`. */
void store_bind_unless(sqlite3_stmt *statement, int column, int64_t value, int64_t none);

const char *store_side(enum side side); /* NULL: neither */

/* Begins a transaction where none is open; commits. 0 or -1. */
int store_transaction(struct store *store);
int store_commit(struct store *store);

int64_t store_now_ns(void); /* monotonic */

/* A file was opened: how often it is looked at. */
void store_pace(struct store *store);

/* ---- store_series.c: between transactions ---- */

/* Of the file that is written, with its log. */
uint64_t store_series_bytes(const struct store *store);
/* Is it time for the next file? */
int store_series_due(struct store *store);
/* Goes on in it. 0 or -1. */
int store_series_next(struct store *store);
/* Waits for the last touches of the file before. */
void store_series_wait(struct store *store);

/* ---- store_retain.c: between transactions ---- */

/* Removes what is too old or too much, for a bounded time. 0 or -1. */
int store_retain(struct store *store);

/* ---- store_flow.c ---- */

struct store_flow *store_flow_find(struct store *store, uint64_t serial);
/* NULL: out of memory. */
struct store_flow *store_flow_add(struct store *store, const struct event *event);
void store_flow_remove(struct store *store, struct store_flow *flow);
void store_flow_remove_all(struct store *store);

/* The row of a layer; 0: it has none. */
int64_t store_layer_row(const struct store_flow *flow, uint32_t serial);
/* 0 or -1 (out of memory, or a serial that cannot be). */
int store_layer_number(struct store_flow *flow, uint32_t serial, int64_t row);

/* That row was removed. */
void store_layer_forget(struct store_flow *flow, int64_t row);

/* Keeps a layer until its flow has a row. 0 or -1. */
int store_layer_wait(struct store_flow *flow, const struct event *event, int64_t row);
/* What LAYER_CLOSE adds to a waiting layer. 0; -1: out of memory. */
int store_layer_settle(struct store_layer *layer, const struct event_layer_close *close);
struct store_layer *store_layer_waiting(struct store_flow *flow, uint32_t serial);
void store_layer_free(struct store_layer *layer);

struct store_session *store_session_find(struct store_flow *flow, uint32_t serial);
struct store_session *store_session_add(struct store_flow *flow, uint32_t serial);
/* The session that can be forgotten best, taken out of its flow; NULL while there is room. */
struct store_session *store_session_surplus(struct store_flow *flow);
/* Its row was removed: there is nothing more to say about it. */
void store_session_removed(struct store_flow *flow, int64_t row);
void store_session_free(struct store_session *session);

/* Replaces a text of the session's verdict by a copy, cut. */
int store_session_text(struct text *text, struct text value);

void store_findings_free(struct store_finding *findings);

/* Notes the row of a frame. 0; -1: out of memory. */
int store_session_frame(struct store_session *session, uint64_t serial, int64_t row, int control);
int64_t store_session_frame_row(const struct store_session *session, uint64_t serial);

/* ---- store_rows.c ---- */

/* Everything that one event changes. 0 or -1. */
int store_event(struct store *store, struct event *event);

/* Gives the flow and its layers their rows, with what was kept about it. 0 or -1. */
int store_publish(struct store *store, struct store_flow *flow, const struct event *close);

/* Shed frames of a session, told by a counter or by a finding: two ways to say the same. */
int store_frames_shed(struct store *store, struct store_session *session);

/* The row of a session: 0 where there is none. */
int64_t store_session_row(struct store *store, struct store_flow *flow, uint32_t serial);

/* ---- store_finding.c ---- */

int store_finding_event(struct store *store, struct store_flow *flow, struct event *event);
int store_gap_event(struct store *store, struct store_flow *flow, struct event *event);
/* Writes what was kept about a flow that has a row now. */
int store_pending_write(struct store *store, struct store_flow *flow);
/* Writes the counts of repeats. */
int store_finding_counts(struct store *store, struct store_finding *findings);
/* A frame has its row: findings that were waiting for it get it. */
int store_finding_frame(struct store *store, struct store_session *session, uint64_t serial,
                        int64_t row);

/* ---- store_address.c ---- */

enum { ADDRESS_TEXT = 48, COMMUNITY_TEXT = 40 };

/* As inet_ntop writes it. */
const char *store_address(const struct address *address, char text[ADDRESS_TEXT]);

/* Community ID version 1, seed 0, of a TCP connection. */
const char *store_community_id(const struct event_flow_open *flow, char text[COMMUNITY_TEXT]);

#endif
