/*
 * What the tests of the store share: a folder, events made by hand whose strings are gone as soon
 * as the batch was written, and SQL to look at the result.
 */
#ifndef STORE_RIG_H
#define STORE_RIG_H

#include <sqlite3.h>

#include "../../analyzer/store.h"

extern char rig_path[128]; /* of the database, in a folder of this test */
extern struct store *rig_store;

void rig_setup(void);
void rig_teardown(void);

void rig_open(int all_flows, int live, int keep_secrets);
/* Live, and what is older than a second is removed: all that rig_add() makes. */
void rig_open_aging(void);
void rig_begin(const char *fingerprint);
struct store_summary rig_finish(void);
void rig_close(void);

/* A copy that lives until the next rig_send(). */
struct text rig_text(const char *text);
struct text rig_bytes(const void *data, size_t len);

/* Adds an event to the batch; what is returned may be filled further. Time is 1 s and one ms for
 * each event, packets count up. */
struct event *rig_add(enum event_kind kind, uint64_t flow, uint32_t session, enum side sender);
/* Writes the batch. The rows that the store gave are in rig_rows[]. */
int rig_send(void);
/* Commits, and does what is done between transactions. 0 or -1. */
int rig_flush(void);
extern int64_t rig_rows[4096];

/* The usual beginnings: a flow from 10.0.0.1:1000+flow to 10.0.0.2:80 with an http1 layer (1); a
 * session on it; its answer; a WebSocket layer (2) it switches to. */
struct event *rig_flow(uint64_t flow);
struct event *rig_layer(uint64_t flow, uint32_t layer, uint32_t parent, const char *protocol);
struct event *rig_session(uint64_t flow, uint32_t session, const char *host, const char *path);
struct event *rig_answer(uint64_t flow, uint32_t session, enum outcome outcome, int status);
void rig_header(uint64_t flow, uint32_t session, int response, const char *name, const char *value);
void rig_websocket(uint64_t flow, uint32_t session);
struct event *rig_frame(uint64_t flow, uint32_t session, enum side sender, uint64_t serial,
                        const char *payload);
struct event *rig_finding(uint64_t flow, uint32_t session, enum side sender, enum rule rule);
struct event *rig_flow_close(uint64_t flow, enum flow_end end, enum side side);

/* The value of a query as text, rows separated by '\n', columns by '|', NULL as "-"; for one
 * ck_assert. Runs in a connection of its own. */
const char *rig_sql(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t rig_count(const char *sql);
void rig_exec(const char *path, const char *sql);

/* integrity_check and foreign_key_check find nothing. */
void rig_check(void);

#endif
