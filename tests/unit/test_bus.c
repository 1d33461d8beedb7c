/*
 * The bus: copies are complete and in order, nothing is lost offline, and live only frames are
 * shed, payloads first, with each session told before its flow ends.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../analyzer/bus.h"

Suite *bus_suite(void);

enum { SEEN_MOST = 200000 };

struct seen {
    enum event_kind kind;
    uint64_t flow, packet;
    uint32_t session;
    size_t payload;
};

struct recorder {
    struct seen *seen;
    size_t count, batches, flushes;
    void (*check)(const struct event *event);
    int fail_after; /* batches; 0: never */
    int delay_us;
    pthread_mutex_t gate; /* held by the test: the sink stands still */
};

static int recorder_write(void *arg, struct batch *batch)
{
    struct recorder *r = arg;
    (void)pthread_mutex_lock(&r->gate);
    (void)pthread_mutex_unlock(&r->gate);
    if (r->delay_us > 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = r->delay_us * 1000L}, NULL);
    size_t batches = __atomic_add_fetch(&r->batches, 1, __ATOMIC_RELAXED);
    if (r->fail_after > 0 && batches > (size_t)r->fail_after)
        return -1;
    for (size_t i = 0; i < batch->count && r->count < SEEN_MOST; i++) {
        const struct event *e = &batch->events[i];
        size_t payload = e->kind == EVENT_FRAME     ? e->u.frame.payload.len
                         : e->kind == EVENT_FINDING ? e->u.finding.evidence.len
                                                    : 0;
        r->seen[r->count++] = (struct seen){e->kind, e->flow, e->packet, e->session, payload};
        if (r->check != NULL)
            r->check(e);
        batch->events[i].row = (int64_t)r->count;
    }
    return 0;
}

static int recorder_flush(void *arg)
{
    ((struct recorder *)arg)->flushes++;
    return 0;
}

static struct recorder *recorder_new(void)
{
    struct recorder *r = calloc(1, sizeof *r);
    ck_assert_ptr_nonnull(r);
    r->seen = calloc(SEEN_MOST, sizeof *r->seen);
    ck_assert_ptr_nonnull(r->seen);
    (void)pthread_mutex_init(&r->gate, NULL);
    return r;
}

static void recorder_free(struct recorder *r)
{
    (void)pthread_mutex_destroy(&r->gate);
    free(r->seen);
    free(r);
}

static struct sink recorder_sink(struct recorder *r)
{
    return (struct sink){.arg = r, .write = recorder_write, .flush = recorder_flush};
}

static struct bus *open_bus(struct bus_options options, struct recorder *r)
{
    struct error error = {{0}};
    struct sink sink = recorder_sink(r);
    struct bus *bus = bus_new(&options, &sink, 1, &error);
    ck_assert_msg(bus != NULL, "%s", error.text);
    return bus;
}

/* ---------------------------------------------------------------- copies */

static void check_text(struct text text, const char *expected)
{
    ck_assert_ptr_nonnull(text.data);
    ck_assert_uint_eq(text.len, strlen(expected));
    ck_assert_mem_eq(text.data, expected, text.len);
}

static void check_copy(const struct event *e)
{
    if (e->kind == EVENT_SESSION_OPEN) {
        const struct event_session_open *s = &e->u.session_open;
        check_text(s->offered, "offered");
        check_text(s->method, "GET");
        check_text(s->target, "/target?x");
        check_text(s->path, "/target");
        check_text(s->host, "");
        ck_assert_ptr_null(s->origin.data);
        check_text(s->user_agent, "agent");
        check_text(s->forwarded_for, "192.0.2.7");
        ck_assert_int_eq(s->unsolicited, 1);
    } else if (e->kind == EVENT_LAYER_CLOSE) {
        const struct event_layer_close *l = &e->u.layer_close;
        check_text(l->protocol, "ssh");
        check_text(l->head[CLIENT], "SSH-2.0-a");
        check_text(l->head[SERVER], "SSH-2.0-bb");
        check_text(l->detail, "{}");
        check_text(l->ndpi.protocol, "SSH");
        check_text(l->ndpi.category, "RemoteAccess");
        check_text(l->ndpi.risk, "none");
    } else if (e->kind == EVENT_WEBSOCKET_CLOSE) {
        check_text(e->u.websocket_close.side[CLIENT].close_reason, "bye");
        check_text(e->u.websocket_close.side[SERVER].close_reason, "going away");
        ck_assert_int_eq(e->u.websocket_close.side[SERVER].close_code, 1001);
    } else if (e->kind == EVENT_FLOW_CLOSE) {
        check_text(e->u.flow_close.ndpi.protocol, "TLS.Example");
        ck_assert_ptr_null(e->u.flow_close.ndpi.category.data);
        check_text(e->u.flow_close.ndpi.risk, "a,b");
        ck_assert_int_eq(e->u.flow_close.idle_ns, 77);
    } else if (e->kind == EVENT_COUNTER) {
        check_text(e->u.counter.name, "flow.opened");
        ck_assert_uint_eq(e->u.counter.value, 12);
    }
}

static struct text scratch_text(char *scratch, size_t *at, const char *string)
{
    size_t len = strlen(string);
    struct text text = {scratch + *at, len};
    memcpy(scratch + *at, string, len);
    *at += len;
    return text;
}

static void emit_copies(struct bus *bus)
{
    char scratch[256];
    size_t at = 0;
    struct event e = {.kind = EVENT_SESSION_OPEN, .flow = 1, .session = 1, .packet = 1};
    e.u.session_open.offered = scratch_text(scratch, &at, "offered");
    e.u.session_open.method = scratch_text(scratch, &at, "GET");
    e.u.session_open.target = scratch_text(scratch, &at, "/target?x");
    e.u.session_open.path = scratch_text(scratch, &at, "/target");
    e.u.session_open.host = (struct text){scratch, 0};
    e.u.session_open.user_agent = scratch_text(scratch, &at, "agent");
    e.u.session_open.forwarded_for = scratch_text(scratch, &at, "192.0.2.7");
    e.u.session_open.unsolicited = 1;
    bus_emit(bus, &e);
    e = (struct event){.kind = EVENT_LAYER_CLOSE, .flow = 1, .packet = 2};
    e.u.layer_close.protocol = scratch_text(scratch, &at, "ssh");
    e.u.layer_close.head[CLIENT] = scratch_text(scratch, &at, "SSH-2.0-a");
    e.u.layer_close.head[SERVER] = scratch_text(scratch, &at, "SSH-2.0-bb");
    e.u.layer_close.detail = scratch_text(scratch, &at, "{}");
    e.u.layer_close.ndpi.protocol = scratch_text(scratch, &at, "SSH");
    e.u.layer_close.ndpi.category = scratch_text(scratch, &at, "RemoteAccess");
    e.u.layer_close.ndpi.risk = scratch_text(scratch, &at, "none");
    bus_emit(bus, &e);
    e = (struct event){.kind = EVENT_WEBSOCKET_CLOSE, .flow = 1, .packet = 3};
    e.u.websocket_close.side[CLIENT].close_reason = scratch_text(scratch, &at, "bye");
    e.u.websocket_close.side[SERVER].close_reason = scratch_text(scratch, &at, "going away");
    e.u.websocket_close.side[SERVER].close_code = 1001;
    bus_emit(bus, &e);
    e = (struct event){.kind = EVENT_FLOW_CLOSE, .flow = 1, .packet = 4};
    e.u.flow_close.ndpi.protocol = scratch_text(scratch, &at, "TLS.Example");
    e.u.flow_close.ndpi.risk = scratch_text(scratch, &at, "a,b");
    e.u.flow_close.idle_ns = 77;
    bus_emit(bus, &e);
    e = (struct event){.kind = EVENT_COUNTER, .packet = 5};
    e.u.counter.name = TEXT_LITERAL("flow.opened");
    e.u.counter.value = 12;
    bus_emit(bus, &e);
    memset(scratch, 'X', sizeof scratch);
}

START_TEST(bus_copies_strings)
{
    struct recorder *r = recorder_new();
    r->check = check_copy;
    struct bus *bus = open_bus((struct bus_options){0}, r);
    emit_copies(bus);
    ck_assert_int_eq(bus_close(bus), 0);
    ck_assert_uint_eq(r->count, 5);
    for (size_t i = 0; i < 5; i++)
        ck_assert_uint_eq(r->seen[i].packet, i + 1);
    ck_assert_uint_ge(r->flushes, 1);
    recorder_free(r);
}
END_TEST

static struct event frame_event(uint64_t flow, uint32_t session, uint64_t packet, const char *data,
                                size_t len)
{
    struct event e = {.kind = EVENT_FRAME, .flow = flow, .session = session, .packet = packet};
    e.u.frame.payload = (struct text){data, len};
    return e;
}

START_TEST(bus_keeps_order_with_full_queue)
{
    struct recorder *r = recorder_new();
    r->delay_us = 50;
    struct bus *bus =
        open_bus((struct bus_options){.batch_bytes = 4096, .queue_batches = 4}, r);
    struct bus_stats stats;
    char payload[700];
    memset(payload, 'p', sizeof payload);
    for (uint64_t i = 0; i < 5000; i++) {
        struct event e = frame_event(1, 1, i, payload, (size_t)(i * 7 % sizeof payload));
        bus_emit(bus, &e);
        size_t written = __atomic_load_n(&r->batches, __ATOMIC_RELAXED);
        bus_get_stats(bus, &stats);
        ck_assert_uint_le(stats.batches, written + 4 + 1); /* the queue, and one in the sink */
    }
    ck_assert_int_eq(bus_close(bus), 0);
    ck_assert_uint_eq(r->count, 5000);
    for (size_t i = 0; i < r->count; i++) {
        ck_assert_uint_eq(r->seen[i].packet, i);
        ck_assert_uint_eq(r->seen[i].payload, i * 7 % sizeof payload);
    }
    ck_assert_uint_gt(stats.waits, 0);
    ck_assert_uint_eq(stats.frames_shed, 0);
    ck_assert_uint_eq(stats.payloads_shed, 0);
    ck_assert_uint_eq(stats.events, 5000);
    recorder_free(r);
}
END_TEST

static void check_large(const struct event *e)
{
    size_t same = 0, len = e->u.frame.payload.len;
    while (same < len && e->u.frame.payload.data[same] == 'a' + (char)(same % 23))
        same++;
    ck_assert_uint_eq(same, len);
}

START_TEST(bus_carries_large_payload)
{
    struct recorder *r = recorder_new();
    r->check = check_large;
    struct bus *bus =
        open_bus((struct bus_options){.batch_bytes = 4096, .queue_batches = 4}, r);
    enum { LARGE = 300000 };
    char *payload = malloc(LARGE);
    ck_assert_ptr_nonnull(payload);
    for (size_t i = 0; i < LARGE; i++)
        payload[i] = (char)('a' + (char)(i % 23));
    static const size_t lengths[] = {10, LARGE, 4096, 3000, LARGE, 4000, 0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct event e = frame_event(1, 1, i, payload, lengths[i]);
        bus_emit(bus, &e);
    }
    /* More than any event may have: the payload goes, the frame stays. */
    struct event e = frame_event(1, 1, 7, payload, (size_t)1 << 30);
    bus_emit(bus, &e);
    struct bus_stats stats;
    bus_get_stats(bus, &stats);
    ck_assert_int_eq(bus_close(bus), 0);
    ck_assert_uint_eq(r->count, 8);
    for (size_t i = 0; i < 7; i++)
        ck_assert_uint_eq(r->seen[i].payload, lengths[i]);
    ck_assert_uint_eq(r->seen[7].payload, 0);
    ck_assert_uint_eq(stats.payloads_shed, 1);
    free(payload);
    recorder_free(r);
}
END_TEST

/* ---------------------------------------------------------------- live */

static void check_shed(const struct event *e)
{
    if (e->kind == EVENT_FINDING) {
        ck_assert_int_eq((int)e->u.finding.rule, RULE_ANALYSIS_LIMIT_HIT);
        ck_assert_int_eq(strncmp(e->u.finding.evidence.data, "frames-shed=", 12), 0);
    }
}

START_TEST(bus_sheds_frames_only_when_live)
{
    struct recorder *r = recorder_new();
    r->check = check_shed;
    struct bus *bus =
        open_bus((struct bus_options){.batch_bytes = 4096, .queue_batches = 8, .live = 1}, r);
    (void)pthread_mutex_lock(&r->gate);
    char payload[512];
    memset(payload, 'p', sizeof payload);
    uint64_t frames = 0, others = 0;
    for (uint64_t i = 0; i < 400; i++) {
        struct event e = frame_event(1 + i % 2, 3, i, payload, sizeof payload);
        bus_emit(bus, &e);
        frames++;
        if (i % 40 == 0) {
            struct event header = {.kind = EVENT_HEADER, .flow = 1, .session = 3};
            bus_emit(bus, &header);
            others++;
        }
    }
    struct event end = {.kind = EVENT_FLOW_CLOSE, .flow = 1};
    bus_emit(bus, &end);
    struct bus_stats stats;
    bus_get_stats(bus, &stats);
    ck_assert_uint_gt(stats.payloads_shed, 0);
    ck_assert_uint_gt(stats.frames_shed, 0);
    (void)pthread_mutex_unlock(&r->gate);
    ck_assert_int_eq(bus_close(bus), 0);
    uint64_t stored = 0, bare = 0, told[3] = {0}, headers = 0;
    int closed = 0, shedding = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct seen *s = &r->seen[i];
        stored += s->kind == EVENT_FRAME;
        bare += s->kind == EVENT_FRAME && s->payload == 0;
        shedding |= s->kind == EVENT_FRAME && s->payload == 0;
        ck_assert(!(shedding && s->kind == EVENT_FRAME && s->payload > 0));
        headers += s->kind == EVENT_HEADER;
        if (s->kind == EVENT_FINDING) {
            told[s->flow]++;
            ck_assert_uint_eq(s->session, 3);
            ck_assert_msg(s->flow != 1 || !closed, "told after its flow was closed");
        }
        closed |= s->kind == EVENT_FLOW_CLOSE;
    }
    ck_assert_uint_eq(stored + stats.frames_shed, frames);
    ck_assert_uint_eq(bare, stats.payloads_shed);
    ck_assert_uint_eq(headers, others);
    ck_assert_uint_eq(told[1], 1);
    ck_assert_uint_eq(told[2], 1);
    ck_assert_int_eq(closed, 1);
    recorder_free(r);
}
END_TEST

START_TEST(bus_counts_shed_frames_of_many_sessions)
{
    struct recorder *r = recorder_new();
    struct bus *bus =
        open_bus((struct bus_options){.batch_bytes = 4096, .queue_batches = 4, .live = 1}, r);
    (void)pthread_mutex_lock(&r->gate);
    for (uint64_t i = 0; i < 20000; i++) {
        struct event e = frame_event(i, 1, i, "x", 1);
        bus_emit(bus, &e);
    }
    (void)pthread_mutex_unlock(&r->gate);
    ck_assert_int_eq(bus_close(bus), 0);
    size_t findings = 0, nameless = 0;
    for (size_t i = 0; i < r->count; i++) {
        findings += r->seen[i].kind == EVENT_FINDING;
        nameless += r->seen[i].kind == EVENT_FINDING && r->seen[i].session == 0;
    }
    ck_assert_uint_gt(findings, 100);
    ck_assert_uint_le(findings, 129);
    ck_assert_uint_eq(nameless, 1); /* the sum of those that found no room */
    recorder_free(r);
}
END_TEST

static size_t wait_for_count(struct recorder *r, size_t count)
{
    size_t seen = 0;
    for (int i = 0; i < 200 && seen < count; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        (void)pthread_mutex_lock(&r->gate);
        seen = __atomic_load_n(&r->count, __ATOMIC_RELAXED);
        (void)pthread_mutex_unlock(&r->gate);
    }
    return seen;
}

static int counting_write(void *arg, struct batch *batch)
{
    struct recorder *r = arg;
    (void)__atomic_add_fetch(&r->count, batch->count, __ATOMIC_RELAXED);
    return 0;
}

START_TEST(bus_tick_hands_over_in_time)
{
    struct recorder *r = recorder_new();
    struct error error = {{0}};
    struct sink sink = {.arg = r, .write = counting_write};
    struct bus_options options = {.live = 1, .flush_ns = 5000000};
    struct bus *bus = bus_new(&options, &sink, 1, &error);
    ck_assert_ptr_nonnull(bus);
    struct event e = {.kind = EVENT_FLOW_OPEN, .flow = 1};
    bus_emit(bus, &e);
    bus_tick(bus);
    (void)nanosleep(&(struct timespec){.tv_nsec = 6000000}, NULL);
    bus_tick(bus);
    ck_assert_uint_eq(wait_for_count(r, 1), 1);
    ck_assert_int_eq(bus_close(bus), 0);
    recorder_free(r);
}
END_TEST

START_TEST(bus_goes_on_when_a_sink_fails)
{
    struct recorder *bad = recorder_new(), *good = recorder_new();
    bad->fail_after = 1;
    struct sink sinks[2] = {recorder_sink(bad), recorder_sink(good)};
    struct error error = {{0}};
    struct bus_options options = {.batch_bytes = 4096, .queue_batches = 4};
    struct bus *bus = bus_new(&options, sinks, 2, &error);
    ck_assert_ptr_nonnull(bus);
    ck_assert_int_eq(bus_failed(bus), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        struct event e = frame_event(1, 1, i, "abc", 3);
        bus_emit(bus, &e);
    }
    ck_assert_int_eq(bus_close(bus), -1);
    ck_assert_uint_eq(bad->batches, 2); /* not called again */
    ck_assert_uint_eq(bad->flushes, 0);
    ck_assert_uint_eq(good->count, 1000);
    recorder_free(bad);
    recorder_free(good);
}
END_TEST

Suite *bus_suite(void)
{
    Suite *suite = suite_create("bus");
    TCase *tcase = tcase_create("bus");
    tcase_add_test(tcase, bus_copies_strings);
    tcase_add_test(tcase, bus_keeps_order_with_full_queue);
    tcase_add_test(tcase, bus_carries_large_payload);
    tcase_add_test(tcase, bus_sheds_frames_only_when_live);
    tcase_add_test(tcase, bus_counts_shed_frames_of_many_sessions);
    tcase_add_test(tcase, bus_tick_hands_over_in_time);
    tcase_add_test(tcase, bus_goes_on_when_a_sink_fails);
    suite_add_tcase(suite, tcase);
    return suite;
}
