/*
 * Several threads that share the analysis: the reader decodes, and each flow belongs to one worker,
 * by a keyed hash of its addresses and ports. Packets go to the workers in rounds, copied once;
 * what the workers say goes through their buses in one order (bus.h), so that how many they are
 * changes nothing in what is stored. The exception is a lack of memory: each worker has an equal
 * share of it, and which flow is given up depends on what else is in its share.
 */
#ifndef SWITCHTAP_WORKERS_H
#define SWITCHTAP_WORKERS_H

#include "bus.h"
#include "error.h"
#include "flow.h"

struct workers;

enum { WORKERS_MOST = 64 };

struct workers_options {
    unsigned count;           /* of workers, to WORKERS_MOST */
    int live;                 /* do not wait long for workers: what they cannot take is dropped */
    size_t memory;            /* bytes, of all of them together */
    struct flow_options flow; /* dissect.keys: that all of them share, or NULL */
    struct bus *bus;          /* the first of count + 1: one for each worker, one for the reader */
};

/* Starts the threads. NULL with a message. */
struct workers *workers_new(const struct workers_options *options, struct error *error);

/* The rest is for the reader's thread. */

/* Copies the segment. Live, it may be dropped and counted. */
void workers_segment(struct workers *workers, const struct segment *segment);

/* A key log that came with the capture: all workers have it from the next segment on. */
void workers_secrets(struct workers *workers, const char *text, size_t len);

/* Live: hands over what there is. now_ns: time goes by without packets; -1: it does not. */
void workers_tick(struct workers *workers, int64_t now_ns);

/* The reader's own bus, at the position of what was read last. */
struct bus *workers_bus(struct workers *workers);

/* Ends all flows in the order in which they began, and the threads. Once. */
void workers_finish(struct workers *workers);

struct workers_counts {
    struct flow_counts flows;
    struct bus_stats bus;        /* of the workers' own buses */
    uint64_t denied, peak;       /* see struct budget: sums */
    uint64_t secrets, broken, secrets_dropped; /* of workers_secrets(): see tls_keys_counts */
    uint64_t dropped;            /* segments that no worker could take (live) */
};

/* As they were a moment ago; exact after workers_finish(). */
void workers_get_counts(struct workers *workers, struct workers_counts *counts);

void workers_free(struct workers *workers); /* may be NULL; finishes first where that is left */

#endif
