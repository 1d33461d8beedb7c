/*
 * The queues between the analysis threads and the storing thread. A batch is one block of memory:
 * events grow from its start, their strings from its end; it is full when they meet. Only whole
 * batches pass the lock, and they are recycled. What bus.h promises for live captures (shed
 * payloads, then frames, never anything else) is decided here by how many batches wait.
 */
#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus_private.h"

enum {
    BATCH_BYTES = 256 * 1024,
    BATCH_BYTES_LEAST = 4096,
    QUEUE_BATCHES = 32,
    QUEUE_BATCHES_LEAST = 4,
    SEVERAL = 4, /* several buses hand over before batches are full: smaller ones, and more */
    EVENT_BYTES_MOST = 64 * 1024 * 1024, /* strings of one event; longer ones are cut */
    SHED_PROBES = 8
};

static const int64_t second_ns = 1000000000;
static const int64_t flush_default_ns = 200000000;

#define EVENT_SIZE(member) (offsetof(struct event, u) + sizeof(((struct event *)NULL)->u.member))
#define EVENT_TEXT(member) offsetof(struct event, u.member)

const struct bus_shape bus_shapes[EVENT_KIND_COUNT] = {
    [EVENT_FLOW_OPEN] = {EVENT_SIZE(flow_open), 0, {0}},
    [EVENT_FLOW_CLOSE] = {EVENT_SIZE(flow_close),
                          3,
                          {EVENT_TEXT(flow_close.ndpi.protocol),
                           EVENT_TEXT(flow_close.ndpi.category),
                           EVENT_TEXT(flow_close.ndpi.risk)}},
    [EVENT_LAYER_OPEN] = {EVENT_SIZE(layer_open),
                          2,
                          {EVENT_TEXT(layer_open.protocol), EVENT_TEXT(layer_open.expected)}},
    [EVENT_LAYER_CLOSE] = {EVENT_SIZE(layer_close),
                           8,
                           {EVENT_TEXT(layer_close.protocol),
                            EVENT_TEXT(layer_close.failure),
                            EVENT_TEXT(layer_close.head[CLIENT]),
                            EVENT_TEXT(layer_close.head[SERVER]),
                            EVENT_TEXT(layer_close.detail),
                            EVENT_TEXT(layer_close.ndpi.protocol),
                            EVENT_TEXT(layer_close.ndpi.category),
                            EVENT_TEXT(layer_close.ndpi.risk)}},
    [EVENT_SESSION_OPEN] = {EVENT_SIZE(session_open),
                            8,
                            {EVENT_TEXT(session_open.offered), EVENT_TEXT(session_open.method),
                             EVENT_TEXT(session_open.target), EVENT_TEXT(session_open.path),
                             EVENT_TEXT(session_open.host), EVENT_TEXT(session_open.origin),
                             EVENT_TEXT(session_open.user_agent),
                             EVENT_TEXT(session_open.forwarded_for)}},
    [EVENT_SESSION_ANSWER] = {EVENT_SIZE(session_answer),
                              2,
                              {EVENT_TEXT(session_answer.accepted),
                               EVENT_TEXT(session_answer.reason)}},
    [EVENT_SESSION_SWITCH] = {EVENT_SIZE(session_switch), 0, {0}},
    [EVENT_SESSION_END] = {EVENT_SIZE(session_end), 0, {0}},
    [EVENT_HEADER] = {EVENT_SIZE(header), 2, {EVENT_TEXT(header.name), EVENT_TEXT(header.value)}},
    [EVENT_WEBSOCKET_OPEN] = {EVENT_SIZE(websocket_open),
                              2,
                              {EVENT_TEXT(websocket_open.subprotocol),
                               EVENT_TEXT(websocket_open.extensions)}},
    [EVENT_WEBSOCKET_CLOSE] = {EVENT_SIZE(websocket_close),
                               2,
                               {EVENT_TEXT(websocket_close.side[CLIENT].close_reason),
                                EVENT_TEXT(websocket_close.side[SERVER].close_reason)}},
    [EVENT_FRAME] = {EVENT_SIZE(frame), 1, {EVENT_TEXT(frame.payload)}},
    [EVENT_FINDING] = {EVENT_SIZE(finding), 1, {EVENT_TEXT(finding.evidence)}},
    [EVENT_GAP] = {EVENT_SIZE(gap), 0, {0}},
    [EVENT_COUNTER] = {EVENT_SIZE(counter), 1, {EVENT_TEXT(counter.name)}},
};

int64_t bus_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * second_ns + now.tv_nsec;
}

/* ---------------------------------------------------------------- batches */

static struct event *batch_events(struct bus_batch *batch)
{
    return (void *)batch->memory;
}

void bus_batch_clear(struct bus_batch *batch)
{
    batch->batch = (struct batch){.events = batch_events(batch), .count = 0};
    batch->next = NULL;
    batch->strings = batch->size;
}

static struct bus_batch *batch_new(struct bus *bus, size_t size, unsigned weight)
{
    struct bus_batch *batch = malloc(sizeof *batch + size);
    if (batch == NULL)
        return NULL;
    batch->bus = bus;
    batch->size = size;
    batch->weight = weight;
    bus_batch_clear(batch);
    return batch;
}

static int batch_fits(const struct bus_batch *batch, size_t text_bytes)
{
    size_t events = (batch->batch.count + 1) * sizeof(struct event);
    return events <= batch->strings && text_bytes <= batch->strings - events;
}

static struct text *event_text(struct event *event, size_t offset)
{
    return (void *)((unsigned char *)event + offset);
}

static const struct text *event_text_const(const struct event *event, size_t offset)
{
    return (const void *)((const unsigned char *)event + offset);
}

static void batch_append(struct bus_batch *batch, const struct event *event, int64_t position)
{
    const struct bus_shape *shape = &bus_shapes[event->kind];
    struct event *copy = &batch->batch.events[batch->batch.count++];
    memcpy(copy, event, shape->size);
    copy->row = position;
    for (size_t i = 0; i < shape->count; i++) {
        struct text *text = event_text(copy, shape->texts[i]);
        if (text->data == NULL)
            continue;
        if (text->len == 0) {
            text->data = "";
            continue;
        }
        batch->strings -= text->len;
        memcpy(batch->memory + batch->strings, text->data, text->len);
        text->data = (const char *)batch->memory + batch->strings;
    }
}

/* ---------------------------------------------------------------- the analysis thread */

static unsigned bus_depth(struct bus *bus)
{
    return atomic_load_explicit(&bus->depth, memory_order_relaxed);
}

/* With the lock held. */
static void bus_tell_news(struct bus_hub *hub)
{
    hub->news++;
    (void)pthread_cond_signal(&hub->ready);
}

static void bus_enqueue(struct bus *bus, struct bus_batch *batch)
{
    unsigned limit = bus->options.queue_batches + (bus->options.live ? bus->reserve : 0);
    (void)pthread_mutex_lock(&bus->hub->lock);
    if (bus_depth(bus) >= limit)
        bus->stats.waits++;
    while (bus_depth(bus) >= limit)
        (void)pthread_cond_wait(&bus->space, &bus->hub->lock);
    *bus->tail = batch;
    bus->tail = &batch->next;
    atomic_fetch_add_explicit(&bus->depth, batch->weight, memory_order_relaxed);
    bus_tell_news(bus->hub);
    (void)pthread_mutex_unlock(&bus->hub->lock);
    bus->stats.batches++;
}

/* An empty batch. Where memory is short, one that comes back from the storing thread: the two made
 * at the start are never given up, so that there is always one to wait for. */
static struct bus_batch *bus_take_idle(struct bus *bus)
{
    (void)pthread_mutex_lock(&bus->hub->lock);
    struct bus_batch *batch = bus->idle;
    if (batch == NULL)
        batch = batch_new(bus, bus->options.batch_bytes, 1);
    else
        bus->idle = batch->next;
    while (batch == NULL) {
        (void)pthread_cond_wait(&bus->space, &bus->hub->lock);
        batch = bus->idle;
        if (batch != NULL)
            bus->idle = batch->next;
    }
    (void)pthread_mutex_unlock(&bus->hub->lock);
    batch->next = NULL;
    return batch;
}

static void bus_hand_over(struct bus *bus)
{
    if (bus->filling == NULL || bus->filling->batch.count == 0)
        return;
    struct bus_batch *full = bus->filling;
    bus->filling = NULL;
    bus_enqueue(bus, full);
}

static size_t event_text_bytes(const struct event *event)
{
    const struct bus_shape *shape = &bus_shapes[event->kind];
    size_t sum = 0;
    for (size_t i = 0; i < shape->count; i++) {
        const struct text *text = event_text_const(event, shape->texts[i]);
        if (text->data == NULL)
            continue;
        if (text->len > EVENT_BYTES_MOST)
            return EVENT_BYTES_MOST + 1;
        sum += text->len;
    }
    return sum;
}

/* Cuts the strings of an event so that it fits an ordinary batch; a frame loses its payload. */
static void bus_shrink(struct bus *bus, struct event *event)
{
    const struct bus_shape *shape = &bus_shapes[event->kind];
    size_t most = bus->options.batch_bytes / (2 * TEXTS_MOST);
    if (event->kind == EVENT_FRAME) {
        event->u.frame.payload = TEXT_NONE;
        bus->stats.payloads_shed++;
    }
    for (size_t i = 0; i < shape->count; i++) {
        struct text *text = event_text(event, shape->texts[i]);
        if (text->data != NULL && text->len > most)
            text->len = most;
    }
}

/* An event too large for any batch travels alone. 0, or -1 where there is no memory for it. */
static int bus_append_large(struct bus *bus, const struct event *event, size_t text_bytes)
{
    if (text_bytes > EVENT_BYTES_MOST)
        return -1;
    size_t size = sizeof(struct event) + text_bytes;
    struct bus_batch *batch = batch_new(bus, size, (unsigned)(size / bus->options.batch_bytes + 1));
    if (batch == NULL)
        return -1;
    batch_append(batch, event, bus->position);
    bus_hand_over(bus);
    bus_enqueue(bus, batch);
    return 0;
}

static void bus_append(struct bus *bus, const struct event *event)
{
    struct event shrunk;
    size_t text_bytes = event_text_bytes(event);
    bus->stats.events++;
    if (sizeof(struct event) + text_bytes > bus->options.batch_bytes) {
        if (bus_append_large(bus, event, text_bytes) == 0)
            return;
        memcpy(&shrunk, event, bus_shapes[event->kind].size);
        bus_shrink(bus, &shrunk);
        event = &shrunk;
        text_bytes = event_text_bytes(event);
    }
    if (bus->filling != NULL && !batch_fits(bus->filling, text_bytes))
        bus_hand_over(bus);
    if (bus->filling == NULL)
        bus->filling = bus_take_idle(bus);
    if (bus->filling->batch.count == 0 && bus->options.live)
        bus->filling_since_ns = bus_now_ns();
    assert(batch_fits(bus->filling, text_bytes));
    batch_append(bus->filling, event, bus->position);
}

/* ---------------------------------------------------------------- shedding */

static struct shed *bus_shed_slot(struct bus *bus, const struct event *event)
{
    uint64_t hash = (event->flow * 0x9E3779B97F4A7C15u) ^ (event->session * 0xC2B2AE3D27D4EB4Fu);
    for (size_t i = 0; i < SHED_PROBES; i++) {
        struct shed *shed = &bus->shed[((hash >> 32) + i) % SHED_SLOTS];
        if (shed->frames > 0 && shed->flow == event->flow && shed->session == event->session)
            return shed;
        if (shed->frames == 0) {
            bus->shed_count++;
            shed->flow = event->flow;
            shed->session = event->session;
            shed->layer = event->layer;
            return shed;
        }
    }
    return &bus->shed_other;
}

static void bus_shed_frame(struct bus *bus, const struct event *event)
{
    struct shed *shed = bus_shed_slot(bus, event);
    shed->frames++;
    shed->packet = event->packet;
    shed->time_ns = event->time_ns;
    bus->stats.frames_shed++;
}

static void bus_shed_report(struct bus *bus, struct shed *shed)
{
    char evidence[48];
    int len = snprintf(evidence, sizeof evidence, "frames-shed=%" PRIu64, shed->frames);
    struct event finding = {.kind = EVENT_FINDING,
                            .sender = NEITHER,
                            .layer = shed->layer,
                            .session = shed->session,
                            .flow = shed->flow,
                            .packet = shed->packet,
                            .time_ns = shed->time_ns};
    finding.u.finding.rule = RULE_ANALYSIS_LIMIT_HIT;
    finding.u.finding.evidence = (struct text){evidence, (size_t)len};
    *shed = (struct shed){0};
    bus_append(bus, &finding);
}

/* Reports what was shed: of the session or flow that `before` ends, and of all when there is room
 * (before NULL: of all in any case). A slot that is emptied may cut a probe chain; the session
 * then gets a second slot, and both are reported. */
static void bus_shed_tell(struct bus *bus, const struct event *before)
{
    int room = before == NULL || bus_depth(bus) < bus->options.queue_batches / 2;
    int ends = before != NULL &&
               (before->kind == EVENT_FLOW_CLOSE || before->kind == EVENT_SESSION_END);
    if (!room && !ends)
        return;
    for (size_t i = 0; i < SHED_SLOTS && bus->shed_count > 0; i++) {
        struct shed *shed = &bus->shed[i];
        if (shed->frames == 0)
            continue;
        if (room || (shed->flow == before->flow &&
                     (before->kind == EVENT_FLOW_CLOSE || shed->session == before->session))) {
            bus->shed_count--;
            bus_shed_report(bus, shed);
        }
    }
    if (room && bus->shed_other.frames > 0)
        bus_shed_report(bus, &bus->shed_other);
}

void bus_emit(struct bus *bus, const struct event *event)
{
    assert((unsigned)event->kind < EVENT_KIND_COUNT);
    if (bus->options.live && event->kind == EVENT_FRAME) {
        unsigned depth = bus_depth(bus);
        if (depth >= bus->options.queue_batches) {
            bus_shed_frame(bus, event);
            return;
        }
        if (depth > bus->options.queue_batches / 4 * 3 && event->u.frame.payload.len > 0) {
            struct event bare;
            memcpy(&bare, event, bus_shapes[EVENT_FRAME].size);
            bare.u.frame.payload = TEXT_NONE;
            bus->stats.payloads_shed++;
            bus_append(bus, &bare);
            return;
        }
    }
    if (bus->stats.frames_shed > 0 && (bus->shed_count > 0 || bus->shed_other.frames > 0))
        bus_shed_tell(bus, event);
    bus_append(bus, event);
}

void bus_tick(struct bus *bus)
{
    if (bus_depth(bus) >= bus->options.queue_batches)
        return;
    if (bus->shed_count > 0 || bus->shed_other.frames > 0)
        bus_shed_tell(bus, NULL);
    if (bus->filling != NULL && bus->filling->batch.count > 0 &&
        bus_now_ns() - bus->filling_since_ns >= bus->options.flush_ns)
        bus_hand_over(bus);
}

/* ---------------------------------------------------------------- one of several */

void bus_at(struct bus *bus, int64_t position)
{
    bus->position = position;
}

void bus_done(struct bus *bus)
{
    bus_hand_over(bus);
    (void)pthread_mutex_lock(&bus->hub->lock);
    bus->done = bus->position;
    bus_tell_news(bus->hub);
    (void)pthread_mutex_unlock(&bus->hub->lock);
}

/* ---------------------------------------------------------------- life */

static void bus_release(struct bus *bus)
{
    while (bus->idle != NULL) {
        struct bus_batch *next = bus->idle->next;
        free(bus->idle);
        bus->idle = next;
    }
    free(bus->filling);
    (void)pthread_cond_destroy(&bus->space);
}

static void hub_free(struct bus_hub *hub)
{
    for (size_t i = 0; i < hub->bus_count; i++)
        bus_release(&hub->buses[i]);
    free(hub->buses);
    free(hub->sinks);
    free(hub->sink_failed);
    bus_merge_free(hub->merge);
    (void)pthread_cond_destroy(&hub->ready);
    (void)pthread_mutex_destroy(&hub->lock);
    free(hub);
}

static void bus_options_fill(struct bus_options *options)
{
    if (options->batch_bytes == 0)
        options->batch_bytes = options->buses > 1 ? BATCH_BYTES / SEVERAL : BATCH_BYTES;
    if (options->batch_bytes < BATCH_BYTES_LEAST)
        options->batch_bytes = BATCH_BYTES_LEAST;
    if (options->queue_batches == 0)
        options->queue_batches = options->buses > 1 ? QUEUE_BATCHES * SEVERAL / 2 : QUEUE_BATCHES;
    if (options->queue_batches < QUEUE_BATCHES_LEAST)
        options->queue_batches = QUEUE_BATCHES_LEAST;
    if (options->flush_ns <= 0)
        options->flush_ns = flush_default_ns;
}

static int bus_init(struct bus *bus, struct bus_hub *hub, const struct bus_options *options)
{
    bus->hub = hub;
    bus->options = *options;
    bus->reserve = bus->options.queue_batches / 2;
    bus->tail = &bus->head;
    bus->done = INT64_MIN;
    atomic_init(&bus->depth, 0);
    (void)pthread_cond_init(&bus->space, NULL);
    bus->filling = batch_new(bus, bus->options.batch_bytes, 1);
    bus->idle = batch_new(bus, bus->options.batch_bytes, 1);
    return bus->filling != NULL && bus->idle != NULL ? 0 : -1;
}

static int hub_allocate(struct bus_hub *hub, const struct bus_options *options,
                        const struct sink *sinks, size_t sink_count)
{
    size_t buses = options->buses > 1 ? options->buses : 1;
    hub->sinks = calloc(sink_count + 1, sizeof *hub->sinks);
    hub->sink_failed = calloc(sink_count + 1, sizeof *hub->sink_failed);
    hub->buses = calloc(buses, sizeof *hub->buses);
    if (hub->sinks == NULL || hub->sink_failed == NULL || hub->buses == NULL)
        return -1;
    if (sink_count > 0)
        memcpy(hub->sinks, sinks, sink_count * sizeof *sinks);
    hub->sink_count = sink_count;
    while (hub->bus_count < buses) {
        if (bus_init(&hub->buses[hub->bus_count++], hub, options) != 0)
            return -1;
    }
    if (buses > 1)
        hub->merge = bus_merge_new(buses);
    return buses == 1 || hub->merge != NULL ? 0 : -1;
}

/* The storing thread takes no signals: they are for the one that captures. */
static int hub_start(struct bus_hub *hub)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&hub->thread, NULL, bus_thread, hub);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

struct bus *bus_new(const struct bus_options *options, const struct sink *sinks, size_t sink_count,
                    struct error *error)
{
    struct bus_options filled = *options;
    struct bus_hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL) {
        (void)error_set(error, "out of memory for the event queue");
        return NULL;
    }
    bus_options_fill(&filled);
    hub->unflushed_ns = -1;
    atomic_init(&hub->failed, 0);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&hub->lock, NULL);
    (void)pthread_cond_init(&hub->ready, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (hub_allocate(hub, &filled, sinks, sink_count) != 0) {
        (void)error_set(error, "out of memory for the event queue");
        hub_free(hub);
        return NULL;
    }
    int failed = hub_start(hub);
    if (failed != 0) {
        (void)error_set(error, "cannot start the storing thread: %s", strerror(failed));
        hub_free(hub);
        return NULL;
    }
    return hub->buses;
}

struct bus *bus_of(struct bus *first, size_t index)
{
    assert(index < first->hub->bus_count);
    return &first->hub->buses[index];
}

int bus_failed(struct bus *bus)
{
    return atomic_load_explicit(&bus->hub->failed, memory_order_relaxed);
}

void bus_get_stats(struct bus *bus, struct bus_stats *stats)
{
    *stats = bus->stats;
    stats->queued = atomic_load_explicit(&bus->depth, memory_order_relaxed);
}

int bus_close(struct bus *bus)
{
    struct bus_hub *hub = bus->hub;
    for (size_t i = 0; i < hub->bus_count; i++) {
        bus = &hub->buses[i];
        bus_shed_tell(bus, NULL);
        bus->position = hub->bus_count > 1 ? INT64_MAX : 0;
        bus_done(bus);
    }
    (void)pthread_mutex_lock(&hub->lock);
    hub->closing = 1;
    bus_tell_news(hub);
    (void)pthread_mutex_unlock(&hub->lock);
    (void)pthread_join(hub->thread, NULL);
    int failed = bus_failed(hub->buses);
    hub_free(hub);
    return failed ? -1 : 0;
}
