/*
 * What the files of the bus share: bus.c (the analysis threads' side: batches, the queues, what is
 * shed) and bus_sink.c (the storing thread: it takes from the queues, in one order, and writes to
 * the sinks). Nobody else includes this.
 */
#ifndef SWITCHTAP_BUS_PRIVATE_H
#define SWITCHTAP_BUS_PRIVATE_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>

#include "bus.h"

enum { TEXTS_MOST = 8, /* strings of one event */ SHED_SLOTS = 128 /* see struct shed */ };

struct bus_batch {
    struct batch batch;
    struct bus_batch *next;
    struct bus *bus;  /* that it goes back to */
    size_t size;      /* of memory */
    size_t strings;   /* offset of the lowest string in memory */
    unsigned weight;  /* in the queue: 1, or more for a block made for one large event */
    alignas(max_align_t) unsigned char memory[];
};

/* How much of an event is in use, and where its strings are. */
struct bus_shape {
    size_t size;
    size_t count;
    size_t texts[TEXTS_MOST];
};

extern const struct bus_shape bus_shapes[EVENT_KIND_COUNT];

struct shed { /* frames of one session that were not stored */
    uint64_t flow, frames, packet;
    int64_t time_ns;
    uint32_t session, layer;
};

/* One per analysis thread. */
struct bus {
    struct bus_hub *hub;
    struct bus_options options; /* with the defaults filled in */
    unsigned reserve;           /* batches beyond queue_batches for what is never shed */

    /* the analysis thread's */
    struct bus_batch *filling;
    int64_t filling_since_ns;
    int64_t position; /* of what is emitted; where it has a hub to itself: 0 */
    struct bus_stats stats;
    struct shed shed[SHED_SLOTS];
    struct shed shed_other; /* of sessions that found no slot */
    size_t shed_count;      /* slots in use */

    /* both */
    atomic_uint depth; /* weight of the batches that wait; written under the lock */
    pthread_cond_t space;
    struct bus_batch *head, **tail, *idle; /* under the lock */
    int64_t done;                          /* under the lock: see bus_done() */
};

/* The queues of all analysis threads, and the storing thread. */
struct bus_hub {
    struct bus *buses;
    size_t bus_count;
    struct sink *sinks;
    size_t sink_count;
    pthread_t thread;
    atomic_int failed;
    int *sink_failed;        /* the storing thread's */
    int64_t unflushed_ns;    /* the storing thread's: live, of the last batch; -1: was flushed */
    struct bus_merge *merge; /* the storing thread's; NULL where there is one bus only */

    pthread_mutex_t lock; /* everything below, and what the buses have under it */
    pthread_cond_t ready;
    int closing;
    uint64_t news; /* counts what the storing thread could wait for */
};

/* --- bus.c --- */

void bus_batch_clear(struct bus_batch *batch);
int64_t bus_now_ns(void);

/* --- bus_sink.c --- */

/* What is needed to bring several queues into one order. NULL: no memory. */
struct bus_merge *bus_merge_new(size_t bus_count);
void bus_merge_free(struct bus_merge *merge); /* may be NULL */

/* The storing thread. arg: the hub. */
void *bus_thread(void *arg);

#endif
