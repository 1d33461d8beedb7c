/*
 * The storing thread: whole batches from the queue to the sinks. Where there are several queues,
 * their events are brought into one order first. Each queue is in order by itself, by position and,
 * within one, by flow; an event goes on when no other queue has, or can still get, one that comes
 * before it. So the order depends on the events only, not on which thread was the faster one.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus_private.h"

static const int64_t second_ns = 1000000000;

/* ---------------------------------------------------------------- sinks */

static void bus_sink_result(struct bus_hub *hub, size_t sink, int result)
{
    if (result != 0) {
        hub->sink_failed[sink] = 1;
        atomic_store_explicit(&hub->failed, 1, memory_order_relaxed);
    }
}

static void bus_write_sinks(struct bus_hub *hub, struct batch *batch)
{
    for (size_t i = 0; i < hub->sink_count; i++) {
        if (!hub->sink_failed[i])
            bus_sink_result(hub, i, hub->sinks[i].write(hub->sinks[i].arg, batch));
    }
    if (hub->buses[0].options.live)
        hub->unflushed_ns = bus_now_ns();
}

static void bus_flush_sinks(struct bus_hub *hub)
{
    for (size_t i = 0; i < hub->sink_count; i++) {
        if (!hub->sink_failed[i] && hub->sinks[i].flush != NULL)
            bus_sink_result(hub, i, hub->sinks[i].flush(hub->sinks[i].arg));
    }
    hub->unflushed_ns = -1;
}

/* ---------------------------------------------------------------- queues */

/* With the lock held. NULL: nothing waits. */
static struct bus_batch *bus_take(struct bus *bus)
{
    struct bus_batch *batch = bus->head;
    if (batch == NULL)
        return NULL;
    bus->head = batch->next;
    if (bus->head == NULL)
        bus->tail = &bus->head;
    atomic_fetch_sub_explicit(&bus->depth, batch->weight, memory_order_relaxed);
    (void)pthread_cond_signal(&bus->space);
    return batch;
}

/* With the lock held. */
static void bus_recycle(struct bus_batch *batch)
{
    struct bus *bus = batch->bus;
    if (batch->size != bus->options.batch_bytes) {
        free(batch);
        return;
    }
    bus_batch_clear(batch);
    batch->next = bus->idle;
    bus->idle = batch;
    (void)pthread_cond_signal(&bus->space);
}

/* With the lock held, where there is nothing to do: waits for news. Live, what was written is
 * flushed when nothing was written for a while. */
static void bus_idle(struct bus_hub *hub)
{
    const struct bus_options *options = &hub->buses[0].options;
    int64_t patience = options->flush_ns > second_ns ? options->flush_ns : second_ns;
    int64_t until = hub->unflushed_ns + patience;
    if (hub->unflushed_ns < 0) {
        (void)pthread_cond_wait(&hub->ready, &hub->lock);
    } else if (bus_now_ns() < until) {
        struct timespec deadline = {.tv_sec = (time_t)(until / second_ns),
                                    .tv_nsec = (long)(until % second_ns)};
        (void)pthread_cond_timedwait(&hub->ready, &hub->lock, &deadline);
    } else {
        (void)pthread_mutex_unlock(&hub->lock);
        bus_flush_sinks(hub);
        (void)pthread_mutex_lock(&hub->lock);
    }
}

/* ---------------------------------------------------------------- one queue */

static void bus_run_one(struct bus_hub *hub)
{
    struct bus *bus = &hub->buses[0];
    (void)pthread_mutex_lock(&hub->lock);
    for (;;) {
        struct bus_batch *batch = bus_take(bus);
        if (batch == NULL && hub->closing)
            break;
        if (batch == NULL) {
            bus_idle(hub);
            continue;
        }
        (void)pthread_mutex_unlock(&hub->lock);
        bus_write_sinks(hub, &batch->batch);
        (void)pthread_mutex_lock(&hub->lock);
        bus_recycle(batch);
    }
    (void)pthread_mutex_unlock(&hub->lock);
}

/* ---------------------------------------------------------------- several queues */

enum { MERGE_EVENTS = 1024 };

struct merge_key {
    int64_t position;
    uint64_t flow;
};

struct merge_source {
    struct bus_batch *batch; /* NULL: none is here */
    size_t next;             /* of its events */
    struct merge_key key;    /* of that event; without one, nothing at or before it will come */
};

struct bus_merge {
    struct merge_source *sources; /* one per bus */
    struct batch out;             /* in order; their strings are in the batches they came in */
    struct bus_batch *used;       /* those that are used up, until `out` is written */
    unsigned used_count;
};

struct bus_merge *bus_merge_new(size_t bus_count)
{
    struct bus_merge *merge = calloc(1, sizeof *merge);
    if (merge == NULL)
        return NULL;
    merge->sources = calloc(bus_count, sizeof *merge->sources);
    merge->out.events = calloc(MERGE_EVENTS, sizeof *merge->out.events);
    if (merge->sources != NULL && merge->out.events != NULL)
        return merge;
    bus_merge_free(merge);
    return NULL;
}

void bus_merge_free(struct bus_merge *merge)
{
    if (merge == NULL)
        return;
    free(merge->sources);
    free(merge->out.events);
    free(merge);
}

static int key_before(const struct merge_key *a, const struct merge_key *b)
{
    return a->position < b->position || (a->position == b->position && a->flow < b->flow);
}

/* The bus keeps the position of an event where the store will put its row. */
static void source_look(struct merge_source *source)
{
    const struct event *event = &source->batch->batch.events[source->next];
    source->key = (struct merge_key){event->row, event->flow};
}

/* With the lock held: the next batch of each queue whose last one is used up. 1: all queues are
 * empty. */
static int merge_fill(struct bus_hub *hub)
{
    int empty = 1;
    for (size_t i = 0; i < hub->bus_count; i++) {
        struct merge_source *source = &hub->merge->sources[i];
        if (source->batch == NULL) {
            source->batch = bus_take(&hub->buses[i]);
            source->next = 0;
            if (source->batch != NULL)
                source_look(source);
            else
                source->key = (struct merge_key){hub->buses[i].done, UINT64_MAX};
        }
        empty = empty && source->batch == NULL;
    }
    return empty;
}

/* The source whose event comes first, and the key up to which it does. NULL: that cannot be told
 * yet. */
static struct merge_source *merge_first(struct bus_hub *hub, struct merge_key *until)
{
    struct merge_source *sources = hub->merge->sources, *first = &sources[0];
    *until = (struct merge_key){INT64_MAX, UINT64_MAX};
    for (size_t i = 1; i < hub->bus_count; i++) {
        struct merge_source *source = &sources[i];
        if (key_before(&source->key, &first->key)) {
            *until = first->key;
            first = source;
        } else if (key_before(&source->key, until)) {
            *until = source->key;
        }
    }
    return first->batch != NULL ? first : NULL;
}

/* Takes events of a source up to a key, as many as there are and as there is room for. */
static void merge_run(struct bus_merge *merge, struct merge_source *source,
                      const struct merge_key *until)
{
    const struct batch *batch = &source->batch->batch;
    while (merge->out.count < MERGE_EVENTS && !key_before(until, &source->key)) {
        const struct event *event = &batch->events[source->next++];
        struct event *copy = &merge->out.events[merge->out.count++];
        memcpy(copy, event, bus_shapes[event->kind].size);
        copy->row = 0;
        if (source->next == batch->count) {
            source->batch->next = merge->used;
            merge->used = source->batch;
            merge->used_count++;
            source->batch = NULL;
            return;
        }
        source_look(source);
    }
}

/* Without the lock. Returns when the sinks have to write first, or a queue has to be looked at. */
static void merge_events(struct bus_hub *hub)
{
    struct merge_key until;
    struct merge_source *source;
    while (hub->merge->out.count < MERGE_EVENTS && (source = merge_first(hub, &until)) != NULL) {
        merge_run(hub->merge, source, &until);
        if (source->batch == NULL)
            return;
    }
}

static void merge_write(struct bus_hub *hub)
{
    struct bus_merge *merge = hub->merge;
    if (merge->out.count > 0)
        bus_write_sinks(hub, &merge->out);
    merge->out.count = 0;
    (void)pthread_mutex_lock(&hub->lock);
    while (merge->used != NULL) {
        struct bus_batch *batch = merge->used;
        merge->used = batch->next;
        bus_recycle(batch);
    }
    merge->used_count = 0;
    (void)pthread_mutex_unlock(&hub->lock);
}

static void bus_run_merge(struct bus_hub *hub)
{
    struct bus_merge *merge = hub->merge;
    for (;;) {
        (void)pthread_mutex_lock(&hub->lock);
        uint64_t news = hub->news;
        int empty = merge_fill(hub);
        int over = empty && hub->closing;
        (void)pthread_mutex_unlock(&hub->lock);
        if (over)
            break;
        size_t before = merge->out.count;
        merge_events(hub);
        int progress = merge->out.count > before;
        if (!progress || merge->out.count == MERGE_EVENTS || merge->used_count >= hub->bus_count)
            merge_write(hub);
        if (progress)
            continue;
        (void)pthread_mutex_lock(&hub->lock);
        if (hub->news == news)
            bus_idle(hub);
        (void)pthread_mutex_unlock(&hub->lock);
    }
    merge_write(hub);
}

void *bus_thread(void *arg)
{
    struct bus_hub *hub = arg;
    if (hub->merge != NULL)
        bus_run_merge(hub);
    else
        bus_run_one(hub);
    bus_flush_sinks(hub);
    return NULL;
}
