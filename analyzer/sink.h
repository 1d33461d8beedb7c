/*
 * Where batches of events go. A sink runs in the storing thread.
 */
#ifndef SWITCHTAP_SINK_H
#define SWITCHTAP_SINK_H

#include "../schema/event.h"

struct batch {
    struct event *events; /* in order; their strings live in the batch */
    size_t count;
};

struct sink {
    void *arg;
    /* All events of a batch. Sinks are called in the order they were given: the store first, it
     * sets event->row. 0, or -1: it failed for good and is not called again (bus_close tells). */
    int (*write)(void *arg, struct batch *batch);
    /* Nothing came for a while (live), or the end is near: commit what is open. */
    int (*flush)(void *arg);
};

#endif
