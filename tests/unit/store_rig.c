#include "store_rig.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char rig_path[128];
struct store *rig_store;
int64_t rig_rows[4096];

static char folder[64];
static struct event events[4096];
static size_t count;
static void *copies[65536];
static size_t copy_count;
static uint64_t tick;

void rig_setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/switchtap-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(rig_path, sizeof rig_path, "%s/test.db", folder);
    rig_store = NULL;
    count = copy_count = 0;
    tick = 0;
}

void rig_teardown(void)
{
    char command[160];
    rig_close();
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

void rig_open(int all_flows, int live, int keep_secrets)
{
    struct error error = {""};
    struct store_options options = {.all_flows = all_flows,
                                    .live = live,
                                    .keep_secrets = keep_secrets,
                                    .sensor = "here"};
    rig_store = store_open(rig_path, &options, &error);
    ck_assert_msg(rig_store != NULL, "%s", error.text);
}

void rig_open_aging(void)
{
    struct error error = {""};
    struct store_options options = {.live = 1, .bounded = 1, .max_age_ns = 1000000000,
                                    .sensor = "here"};
    rig_store = store_open(rig_path, &options, &error);
    ck_assert_msg(rig_store != NULL, "%s", error.text);
}

int rig_flush(void)
{
    struct sink sink = store_sink(rig_store);
    return sink.flush(sink.arg);
}

void rig_begin(const char *fingerprint)
{
    struct error error = {""};
    struct store_source source = {.source = "test.pcap", .fingerprint = fingerprint,
                                  .filter = "tcp", .options = "none"};
    ck_assert_msg(store_begin(rig_store, &source, &error) == 0, "%s", error.text);
}

struct store_summary rig_finish(void)
{
    struct error error = {""};
    struct store_summary summary;
    struct capture_info info = {.link_type = 1, .snaplen = 65535, .packets = 12, .bytes = 3456,
                                .kernel_dropped = 1, .interface_dropped = 2, .truncated = 1};
    ck_assert_msg(store_finish(rig_store, &info, 5, 6, &summary, &error) == 0, "%s", error.text);
    return summary;
}

void rig_close(void)
{
    if (rig_store != NULL)
        store_close(rig_store);
    rig_store = NULL;
}

struct text rig_bytes(const void *data, size_t len)
{
    ck_assert_uint_lt(copy_count, sizeof copies / sizeof copies[0]);
    char *copy = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(copy);
    if (len > 0)
        memcpy(copy, data, len);
    copies[copy_count++] = copy;
    return (struct text){copy, len};
}

struct text rig_text(const char *text)
{
    return text != NULL ? rig_bytes(text, strlen(text)) : TEXT_NONE;
}

struct event *rig_add(enum event_kind kind, uint64_t flow, uint32_t session, enum side sender)
{
    ck_assert_uint_lt(count, sizeof events / sizeof events[0]);
    struct event *event = &events[count++];
    tick++;
    *event = (struct event){.kind = kind, .sender = sender, .layer = 1, .session = session,
                            .flow = flow, .packet = tick, .offset = tick * 10,
                            .time_ns = INT64_C(1000000000) + (int64_t)tick * 1000000};
    return event;
}

int rig_send(void)
{
    struct batch batch = {events, count};
    struct sink sink = store_sink(rig_store);
    int result = sink.write(sink.arg, &batch);
    for (size_t i = 0; i < count; i++)
        rig_rows[i] = events[i].row;
    for (size_t i = 0; i < copy_count; i++)
        free(copies[i]);
    memset(events, 0xa5, count * sizeof *events);
    count = copy_count = 0;
    return result;
}

struct event *rig_flow(uint64_t flow)
{
    struct event *event = rig_add(EVENT_FLOW_OPEN, flow, 0, NEITHER);
    event->layer = 0;
    event->u.flow_open = (struct event_flow_open){
        .client = {4, {10, 0, 0, 1}},
        .server = {4, {10, 0, 0, 2}},
        .client_port = (uint16_t)(1000 + flow),
        .server_port = 80,
        .vlan = -1,
    };
    (void)rig_layer(flow, 1, 0, "http1");
    return event;
}

struct event *rig_layer(uint64_t flow, uint32_t layer, uint32_t parent, const char *protocol)
{
    struct event *event = rig_add(EVENT_LAYER_OPEN, flow, 0, NEITHER);
    event->layer = layer;
    event->u.layer_open = (struct event_layer_open){
        .parent = parent,
        .relation = parent == 0 ? RELATION_ROOT : RELATION_SWITCH,
        .protocol = rig_text(protocol),
        .offset = {layer, layer + 1},
    };
    return event;
}

struct event *rig_session(uint64_t flow, uint32_t session, const char *host, const char *path)
{
    struct event *event = rig_add(EVENT_SESSION_OPEN, flow, session, CLIENT);
    event->u.session_open = (struct event_session_open){
        .mechanism = MECHANISM_UPGRADE,
        .offered = rig_text("websocket"),
        .method = rig_text("GET"),
        .target = rig_text(path),
        .path = rig_text(path),
        .host = rig_text(host),
    };
    return event;
}

struct event *rig_answer(uint64_t flow, uint32_t session, enum outcome outcome, int status)
{
    struct event *event = rig_add(EVENT_SESSION_ANSWER, flow, session, SERVER);
    event->u.session_answer.outcome = outcome;
    event->u.session_answer.status = status;
    if (outcome == OUTCOME_SWITCHED)
        event->u.session_answer.accepted = rig_text("websocket");
    return event;
}

void rig_header(uint64_t flow, uint32_t session, int response, const char *name, const char *value)
{
    struct event *event = rig_add(EVENT_HEADER, flow, session, response ? SERVER : CLIENT);
    event->u.header.response = response;
    event->u.header.name = rig_text(name);
    event->u.header.value = rig_text(value);
}

void rig_websocket(uint64_t flow, uint32_t session)
{
    (void)rig_layer(flow, 2, 1, "websocket");
    struct event *event = rig_add(EVENT_SESSION_SWITCH, flow, session, NEITHER);
    event->u.session_switch.successor = 2;
    event = rig_add(EVENT_WEBSOCKET_OPEN, flow, session, NEITHER);
    event->u.websocket_open.accept_valid = 1;
}

struct event *rig_frame(uint64_t flow, uint32_t session, enum side sender, uint64_t serial,
                        const char *payload)
{
    struct event *event = rig_add(EVENT_FRAME, flow, session, sender);
    event->layer = 2;
    event->u.frame = (struct event_frame){
        .serial = serial,
        .fin = 1,
        .opcode = 1,
        .masked = sender == CLIENT,
        .length = payload != NULL ? strlen(payload) : 0,
        .message_opcode = 1,
        .message_length = payload != NULL ? strlen(payload) : 0,
        .fragments = 1,
        .rtt_ns = -1,
        .payload = rig_text(payload),
    };
    return event;
}

struct event *rig_finding(uint64_t flow, uint32_t session, enum side sender, enum rule rule)
{
    struct event *event = rig_add(EVENT_FINDING, flow, session, sender);
    event->u.finding.rule = rule;
    event->u.finding.evidence = rig_text("seen");
    return event;
}

struct event *rig_flow_close(uint64_t flow, enum flow_end end, enum side side)
{
    static const enum session_end ends[] = {
        [END_FIN] = SESSION_END_FIN,         [END_RST] = SESSION_END_RST,
        [END_IDLE] = SESSION_END_IDLE,       [END_EVICTED] = SESSION_END_EVICTED,
        [END_CAPTURE] = SESSION_END_CAPTURE,
    };
    struct event *event = rig_add(EVENT_FLOW_CLOSE, flow, 0, NEITHER);
    event->layer = 0;
    event->u.flow_close = (struct event_flow_close){
        .first_ns = 1000000001,
        .last_ns = event->time_ns,
        .handshake = HANDSHAKE_FULL,
        .end = end,
        .session_end = ends[end],
        .end_side = side,
        .idle_ns = 77,
        .side = {{.packets = 3, .bytes = 300, .missing = 1, .retransmits = 2, .rtt_ns = 1000},
                 {.packets = 4, .bytes = 400, .rtt_ns = -1}},
    };
    return event;
}

/* ---------------------------------------------------------------- looking */

static sqlite3 *look(const char *path, int flags)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open_v2(path, &db, flags, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 2000);
    return db;
}

const char *rig_sql(const char *format, ...)
{
    static char result[65536];
    va_list list;
    va_start(list, format);
    char *sql = sqlite3_vmprintf(format, list);
    va_end(list);
    sqlite3 *db = look(rig_path, SQLITE_OPEN_READWRITE);
    sqlite3_stmt *statement = NULL;
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
    size_t at = 0;
    result[0] = '\0';
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const unsigned char *text = sqlite3_column_text(statement, i);
            int wrote = snprintf(result + at, sizeof result - at, "%s%s",
                                 i > 0 ? "|" : at > 0 ? "\n" : "",
                                 text != NULL ? (const char *)text : "-");
            ck_assert_int_ge(wrote, 0);
            at += (size_t)wrote;
            ck_assert_uint_lt(at, sizeof result);
        }
    }
    ck_assert_msg(sqlite3_finalize(statement) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_free(sql);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    return result;
}

int64_t rig_count(const char *sql)
{
    return strtoll(rig_sql("%s", sql), NULL, 10);
}

void rig_exec(const char *path, const char *sql)
{
    sqlite3 *db = look(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    char *message = NULL;
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK, "%s", message);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

void rig_check(void)
{
    ck_assert_str_eq(rig_sql("PRAGMA integrity_check"), "ok");
    ck_assert_str_eq(rig_sql("PRAGMA foreign_key_check"), "");
}
