/*
 * Several buses: one order, which depends on positions and flows and not on who was the faster one;
 * nothing goes on before it is known to be next; a bus that is ahead waits and takes no more
 * memory.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../analyzer/bus.h"

Suite *bus_merge_suite(void);

enum { SEEN_MOST = 100000 };

struct seen {
    uint64_t position, flow, order; /* as the event says it */
};

struct recorder {
    struct seen *seen;
    size_t count;
    int wrong, fail, flushes;
};

/* The position also stands in `packet`, and how many there were on its bus before in `offset`. */
static int recorder_write(void *arg, struct batch *batch)
{
    struct recorder *r = arg;
    for (size_t i = 0; i < batch->count; i++) {
        struct event *e = &batch->events[i];
        char text[32];
        int len = snprintf(text, sizeof text, "%u/%u", (unsigned)e->flow, (unsigned)e->offset);
        struct text evidence = e->u.finding.evidence;
        r->wrong += e->row != 0 || evidence.len < (size_t)len ||
                    memcmp(evidence.data, text, (size_t)len) != 0;
        e->row = 7; /* the store's */
        size_t n = __atomic_load_n(&r->count, __ATOMIC_RELAXED);
        if (n < SEEN_MOST)
            r->seen[n] = (struct seen){e->packet, e->flow, e->offset};
        __atomic_store_n(&r->count, n + 1, __ATOMIC_RELEASE);
    }
    return r->fail ? -1 : 0;
}

static int recorder_flush(void *arg)
{
    (void)__atomic_add_fetch(&((struct recorder *)arg)->flushes, 1, __ATOMIC_RELAXED);
    return 0;
}

static struct recorder *recorder_new(void)
{
    struct recorder *r = calloc(1, sizeof *r);
    ck_assert_ptr_nonnull(r);
    r->seen = calloc(SEEN_MOST, sizeof *r->seen);
    ck_assert_ptr_nonnull(r->seen);
    return r;
}

static void recorder_free(struct recorder *r)
{
    free(r->seen);
    free(r);
}

static struct bus *open_buses(size_t buses, struct recorder *r)
{
    struct error error = {{0}};
    struct sink sink = {.arg = r, .write = recorder_write};
    struct bus_options options = {.batch_bytes = 4096, .queue_batches = 4, .buses = buses};
    struct bus *bus = bus_new(&options, &sink, 1, &error);
    ck_assert_msg(bus != NULL, "%s", error.text);
    return bus;
}

/* text: how long the evidence is, at least. */
static void emit(struct bus *bus, uint64_t position, uint64_t flow, uint64_t order, size_t text)
{
    static const char zeros[10000];
    char evidence[sizeof zeros];
    size_t len = (size_t)snprintf(evidence, sizeof evidence, "%u/%u", (unsigned)flow,
                                  (unsigned)order);
    if (text > len) {
        memcpy(evidence + len, zeros, text - len);
        len = text;
    }
    struct event e = {.kind = EVENT_FINDING, .flow = flow, .packet = position, .offset = order};
    e.u.finding.rule = RULE_CAPTURE_GAP;
    e.u.finding.evidence = (struct text){evidence, len};
    bus_at(bus, (int64_t)position);
    bus_emit(bus, &e);
}

static size_t count_of(struct recorder *r)
{
    return __atomic_load_n(&r->count, __ATOMIC_ACQUIRE);
}

static size_t wait_for(struct recorder *r, size_t count)
{
    for (int i = 0; i < 2000 && count_of(r) < count; i++)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return count_of(r);
}

/* ---------------------------------------------------------------- order */

enum { BUSES = 4, POSITIONS = 3000 };

struct talker {
    struct bus *bus;
    unsigned index;
    size_t count;
    pthread_t thread;
};

/* At most positions one flow of one bus has something to say; at each tenth one, all of them. */
static unsigned owner_of(unsigned position)
{
    return position * 2654435761u >> 16 & (BUSES - 1);
}

static void *talk(void *arg)
{
    struct talker *t = arg;
    for (unsigned p = 1; p <= POSITIONS; p++) {
        if (p % 10 == 0) {
            for (unsigned flow = t->index + 1; flow <= 3 * BUSES; flow += BUSES)
                emit(t->bus, p, flow, t->count++, 0);
        } else if (owner_of(p) == t->index) {
            for (unsigned i = 0; i <= p % 3; i++)
                emit(t->bus, p, t->index + 1, t->count++, p % 7 == 0 ? 5000 : p % 90);
        }
        if (p % 64 == 0) {
            bus_at(t->bus, p);
            bus_done(t->bus);
        }
        if (t->index == p / 500 % BUSES && p % 20 == 0) /* each is the slow one for a while */
            (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    bus_at(t->bus, POSITIONS);
    bus_done(t->bus);
    return NULL;
}

START_TEST(merge_has_one_order)
{
    struct recorder *r = recorder_new();
    struct bus *bus = open_buses(BUSES, r);
    struct talker talkers[BUSES];
    size_t all = 0;
    for (unsigned i = 0; i < BUSES; i++) {
        talkers[i] = (struct talker){.bus = bus_of(bus, i), .index = i};
        ck_assert_int_eq(pthread_create(&talkers[i].thread, NULL, talk, &talkers[i]), 0);
    }
    for (unsigned i = 0; i < BUSES; i++) {
        ck_assert_int_eq(pthread_join(talkers[i].thread, NULL), 0);
        all += talkers[i].count;
    }
    ck_assert_int_eq(bus_close(bus), 0);
    ck_assert_uint_eq(r->count, all);
    ck_assert_int_eq(r->wrong, 0);
    for (size_t i = 1; i < r->count; i++) {
        const struct seen *a = &r->seen[i - 1], *b = &r->seen[i];
        int in_order = a->position < b->position ||
                       (a->position == b->position &&
                        (a->flow < b->flow || (a->flow == b->flow && a->order < b->order)));
        ck_assert_msg(in_order, "at %zu", i);
    }
    recorder_free(r);
}
END_TEST

/* ---------------------------------------------------------------- waiting */

START_TEST(merge_waits_until_it_is_known)
{
    struct recorder *r = recorder_new();
    struct bus *bus = open_buses(3, r);
    struct bus *a = bus, *b = bus_of(bus, 1), *c = bus_of(bus, 2);
    emit(a, 5, 1, 0, 0);
    emit(a, 9, 1, 1, 0);
    bus_done(a);
    bus_at(c, 20);
    bus_done(c);
    bus_at(b, 4);
    bus_done(b); /* it may still have something at 5 */
    (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    ck_assert_uint_eq(count_of(r), 0);
    bus_at(b, 5);
    bus_done(b);
    ck_assert_uint_eq(wait_for(r, 1), 1);
    emit(b, 7, 2, 0, 0);
    bus_done(b);
    ck_assert_uint_eq(wait_for(r, 2), 2); /* 9 has to wait, again */
    bus_at(b, 10);
    bus_done(b);
    ck_assert_uint_eq(wait_for(r, 3), 3);
    ck_assert_uint_eq(r->seen[0].position, 5);
    ck_assert_uint_eq(r->seen[1].position, 7);
    ck_assert_uint_eq(r->seen[2].position, 9);
    ck_assert_int_eq(bus_close(bus), 0);
    recorder_free(r);
}
END_TEST

START_TEST(merge_close_needs_no_word)
{
    struct recorder *r = recorder_new();
    struct bus *bus = open_buses(2, r);
    emit(bus_of(bus, 1), 1, 1, 0, 0);
    emit(bus, 3, 2, 0, 0);
    emit(bus_of(bus, 1), 2, 1, 1, 0);
    ck_assert_int_eq(bus_close(bus), 0);
    ck_assert_uint_eq(r->count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(r->seen[i].position, i + 1);
    recorder_free(r);
}
END_TEST

/* ---------------------------------------------------------------- bounds */

enum { MANY = 20000, AHEAD = 9 * 4096 / 300 }; /* events: the queue, and what is being filled */

struct runner {
    struct bus *bus;
    unsigned at;
};

static void *run_ahead(void *arg)
{
    struct runner *runner = arg;
    for (unsigned i = 1; i <= MANY; i++) {
        emit(runner->bus, i, 1, i, 100);
        __atomic_store_n(&runner->at, i, __ATOMIC_RELAXED);
    }
    bus_done(runner->bus);
    return NULL;
}

START_TEST(merge_bounds_who_is_ahead)
{
    struct recorder *r = recorder_new();
    struct bus *bus = open_buses(2, r), *slow = bus_of(bus, 1);
    struct runner runner = {.bus = bus};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_ahead, &runner), 0);
    bus_at(slow, 1000);
    bus_done(slow);
    ck_assert_uint_eq(wait_for(r, 1000), 1000);
    (void)nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    ck_assert_uint_eq(count_of(r), 1000); /* the rest is in the queue, or not yet emitted */
    ck_assert_uint_le(__atomic_load_n(&runner.at, __ATOMIC_RELAXED), 1000 + AHEAD);
    bus_at(slow, 1001);
    bus_done(slow);
    ck_assert_uint_eq(wait_for(r, 1001), 1001);
    bus_at(slow, MANY);
    bus_done(slow);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    struct bus_stats stats;
    bus_get_stats(bus, &stats);
    ck_assert_uint_gt(stats.waits, 0);
    ck_assert_uint_eq(stats.events, MANY);
    ck_assert_int_eq(bus_close(bus), 0);
    ck_assert_uint_eq(r->count, MANY);
    ck_assert_int_eq(r->wrong, 0);
    recorder_free(r);
}
END_TEST

/* That the buses are on their way is news, but no reason not to commit what is written. */
START_TEST(merge_live_flushes_when_nothing_comes)
{
    struct recorder *r = recorder_new();
    struct error error = {{0}};
    struct sink sink = {.arg = r, .write = recorder_write, .flush = recorder_flush};
    struct bus_options options = {.live = 1, .buses = 2};
    struct bus *bus = bus_new(&options, &sink, 1, &error);
    ck_assert_ptr_nonnull(bus);
    emit(bus, 1, 1, 0, 0);
    for (int i = 1; i < 250 && __atomic_load_n(&r->flushes, __ATOMIC_RELAXED) == 0; i++) {
        bus_at(bus, i);
        bus_done(bus);
        bus_at(bus_of(bus, 1), i);
        bus_done(bus_of(bus, 1));
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    ck_assert_int_eq(__atomic_load_n(&r->flushes, __ATOMIC_RELAXED), 1);
    ck_assert_uint_eq(count_of(r), 1);
    ck_assert_int_eq(bus_close(bus), 0);
    recorder_free(r);
}
END_TEST

START_TEST(merge_goes_on_when_a_sink_fails)
{
    struct recorder *r = recorder_new();
    struct bus *bus = open_buses(2, r);
    r->fail = 1;
    bus_at(bus_of(bus, 1), MANY);
    bus_done(bus_of(bus, 1));
    struct runner runner = {.bus = bus};
    (void)run_ahead(&runner);
    for (int i = 0; i < 2000 && !bus_failed(bus_of(bus, 1)); i++)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    ck_assert_int_eq(bus_failed(bus), 1);
    ck_assert_int_eq(bus_close(bus), -1);
    recorder_free(r);
}
END_TEST

Suite *bus_merge_suite(void)
{
    Suite *suite = suite_create("bus_merge");
    TCase *tcase = tcase_create("bus_merge");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, merge_has_one_order);
    tcase_add_test(tcase, merge_waits_until_it_is_known);
    tcase_add_test(tcase, merge_close_needs_no_word);
    tcase_add_test(tcase, merge_bounds_who_is_ahead);
    tcase_add_test(tcase, merge_live_flushes_when_nothing_comes);
    tcase_add_test(tcase, merge_goes_on_when_a_sink_fails);
    suite_add_tcase(suite, tcase);
    return suite;
}
