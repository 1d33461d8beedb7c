/*
 * Workers: every flow is at one worker, whatever there is room for; offline nothing is dropped;
 * live, what cannot be taken is dropped and counted, and the reader is not held up.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../analyzer/workers.h"

Suite *workers_suite(void);

static const int64_t first_ns = 1700000000000000000;

struct listener {
    pthread_mutex_t gate; /* held by the test: the sink stands still */
    uint64_t opens, closes, last_packet;
    int disordered;
};

static int listener_write(void *arg, struct batch *batch)
{
    struct listener *l = arg;
    (void)pthread_mutex_lock(&l->gate);
    for (size_t i = 0; i < batch->count; i++) {
        const struct event *e = &batch->events[i];
        if (e->kind == EVENT_FLOW_OPEN) {
            l->opens++;
            l->disordered += e->packet <= l->last_packet;
            l->last_packet = e->packet;
        }
        l->closes += e->kind == EVENT_FLOW_CLOSE;
    }
    (void)pthread_mutex_unlock(&l->gate);
    return 0;
}

struct rig {
    struct listener listener;
    struct bus *bus;
    struct workers *workers;
    uint8_t packet[2048];
    uint64_t packets;
};

static struct rig *rig_new(unsigned count, int live, size_t memory)
{
    struct rig *rig = calloc(1, sizeof *rig);
    ck_assert_ptr_nonnull(rig);
    (void)pthread_mutex_init(&rig->listener.gate, NULL);
    struct error error = {{0}};
    struct sink sink = {.arg = &rig->listener, .write = listener_write};
    struct bus_options bus = {.live = live, .buses = count + 1};
    rig->bus = bus_new(&bus, &sink, 1, &error);
    ck_assert_msg(rig->bus != NULL, "%s", error.text);
    struct workers_options options = {
        .count = count, .live = live, .memory = memory, .bus = rig->bus};
    flow_options_default(&options.flow);
    options.flow.verify_checksums = 0;
    rig->workers = workers_new(&options, &error);
    ck_assert_msg(rig->workers != NULL, "%s", error.text);
    return rig;
}

/* What was counted, once everything is over. */
static struct workers_counts rig_end(struct rig *rig)
{
    struct workers_counts counts;
    workers_finish(rig->workers);
    workers_get_counts(rig->workers, &counts);
    workers_free(rig->workers);
    ck_assert_int_eq(bus_close(rig->bus), 0);
    (void)pthread_mutex_destroy(&rig->listener.gate);
    return counts;
}

static struct segment segment_of(struct rig *rig, uint32_t n, uint8_t flags, uint32_t seq)
{
    rig->packets++;
    return (struct segment){
        .source = {.family = 4, .bytes = {10, 1, (uint8_t)(n >> 16), 1}},
        .target = {.family = 4, .bytes = {10, 0, 0, 2}},
        .source_port = (uint16_t)n,
        .target_port = 80,
        .vlan = -1,
        .seq = seq,
        .window = 1000,
        .flags = flags,
        .window_scale = -1,
        .packet = rig->packets,
        .time_ns = first_ns + (int64_t)rig->packets * 1000,
    };
}

static void rig_syn(struct rig *rig, uint32_t n)
{
    struct segment segment = segment_of(rig, n, TCP_SYN, 1);
    segment.ip = rig->packet;
    segment.ip_len = 40;
    segment.tcp = rig->packet + 20;
    segment.payload = rig->packet + 40;
    workers_segment(rig->workers, &segment);
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t wanted;

static void look_for(void *arg, const char *name, uint64_t value)
{
    if (strcmp(name, arg) == 0)
        wanted = value;
}

static uint64_t counted(const struct workers_counts *counts, const char *name)
{
    wanted = 0;
    flow_counters(&counts->flows, look_for, (void *)(uintptr_t)name);
    return wanted;
}

enum { FLOWS = 60000, FLOOD = 150000 }; /* more than all queues hold */

START_TEST(workers_drop_nothing_offline)
{
    struct rig *rig = rig_new(3, 0, 96 << 20);
    for (uint32_t i = 0; i < FLOWS; i++)
        rig_syn(rig, i);
    struct workers_counts counts = rig_end(rig);
    ck_assert_uint_eq(counts.dropped, 0);
    ck_assert_uint_eq(rig->listener.opens, FLOWS);
    ck_assert_uint_eq(rig->listener.closes, FLOWS);
    ck_assert_int_eq(rig->listener.disordered, 0);
    ck_assert_uint_eq(counted(&counts, "flow.opened"), FLOWS);
    ck_assert_uint_gt(counts.peak, FLOWS * sizeof(void *));
    free(rig);
}
END_TEST

START_TEST(workers_live_reader_is_not_held_up)
{
    struct rig *rig = rig_new(2, 1, 96 << 20);
    (void)pthread_mutex_lock(&rig->listener.gate);
    int64_t begin = now_ms();
    for (uint32_t i = 0; i < FLOOD; i++)
        rig_syn(rig, i);
    ck_assert_int_lt((int)(now_ms() - begin), 3000);
    struct workers_counts counts;
    workers_get_counts(rig->workers, &counts);
    ck_assert_uint_gt(counts.dropped, 0);
    (void)pthread_mutex_unlock(&rig->listener.gate);
    uint64_t before = 0;
    uint32_t fed = FLOOD;
    for (int i = 0; i < 500 && counts.dropped > before; i++) { /* goes on when there is room */
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        before = counts.dropped;
        rig_syn(rig, fed++);
        workers_get_counts(rig->workers, &counts);
    }
    ck_assert_uint_eq(counts.dropped, before);
    counts = rig_end(rig);
    ck_assert_uint_eq(rig->listener.opens + counts.dropped, fed);
    ck_assert_uint_eq(rig->listener.closes, rig->listener.opens);
    free(rig);
}
END_TEST

/* Larger than the room of a round, with a payload that is not behind its headers. */
START_TEST(workers_take_large_packets)
{
    static uint8_t large[1200000];
    struct rig *rig = rig_new(4, 0, 64 << 20);
    rig_syn(rig, 7);
    for (uint32_t i = 0; i < 50; i++) {
        struct segment segment = segment_of(rig, 7, TCP_ACK, 2 + i * (uint32_t)sizeof large);
        segment.payload = large;
        segment.payload_len = segment.payload_wire = sizeof large;
        workers_segment(rig->workers, &segment);
    }
    struct workers_counts counts = rig_end(rig);
    ck_assert_uint_eq(rig->listener.opens, 1);
    ck_assert_uint_eq(counts.dropped, 0);
    ck_assert_uint_eq(counted(&counts, "flow.opened"), 1);
    free(rig);
}
END_TEST

START_TEST(workers_end_without_any_packet)
{
    struct rig *rig = rig_new(16, 0, 64 << 20);
    workers_free(rig->workers); /* finishes, too */
    ck_assert_int_eq(bus_close(rig->bus), 0);
    ck_assert_uint_eq(rig->listener.opens, 0);
    (void)pthread_mutex_destroy(&rig->listener.gate);
    free(rig);
}
END_TEST

START_TEST(workers_live_tick_ends_what_is_idle)
{
    struct rig *rig = rig_new(2, 1, 16 << 20);
    for (uint32_t i = 0; i < 10; i++)
        rig_syn(rig, i);
    workers_tick(rig->workers, first_ns + INT64_C(61000000000));
    uint64_t closes = 0;
    for (int i = 0; i < 5000 && closes < 10; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        (void)pthread_mutex_lock(&rig->listener.gate);
        closes = rig->listener.closes;
        (void)pthread_mutex_unlock(&rig->listener.gate);
    }
    ck_assert_uint_eq(closes, 10);
    struct workers_counts counts;
    workers_get_counts(rig->workers, &counts); /* a moment old is good enough while it runs */
    ck_assert_uint_eq(counted(&counts, "flow.opened"), 10);
    (void)rig_end(rig);
    free(rig);
}
END_TEST

Suite *workers_suite(void)
{
    Suite *suite = suite_create("workers");
    TCase *tcase = tcase_create("workers");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, workers_drop_nothing_offline);
    tcase_add_test(tcase, workers_live_reader_is_not_held_up);
    tcase_add_test(tcase, workers_take_large_packets);
    tcase_add_test(tcase, workers_end_without_any_packet);
    tcase_add_test(tcase, workers_live_tick_ends_what_is_idle);
    suite_add_tcase(suite, tcase);
    return suite;
}
