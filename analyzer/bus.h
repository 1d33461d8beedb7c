/*
 * From the analysis threads to the storing thread: events are copied once, with their strings, into
 * bounded batches; full batches go through a bounded queue. Offline a full queue makes the caller
 * wait; live, payloads are shed first, then frames; nothing else ever.
 */
#ifndef SWITCHTAP_BUS_H
#define SWITCHTAP_BUS_H

#include "error.h"
#include "sink.h"

struct bus;

struct bus_options {
    size_t batch_bytes;    /* events and strings of one batch; 0: default */
    unsigned queue_batches; /* 0: default */
    int live;              /* shed instead of waiting */
    int64_t flush_ns;      /* live: a batch does not wait longer than this; 0: default */
    size_t buses;          /* analysis threads; 0: 1 */
};

/* Starts the storing thread; the sinks belong to it until bus_close. NULL with a message. Where
 * there are several analysis threads, this is the bus of the first one. */
struct bus *bus_new(const struct bus_options *options, const struct sink *sinks, size_t sink_count,
                    struct error *error);

/* Copies the event. Never fails: shed events are counted (and their sessions told, see
 * session.frames_lost and analysis-limit-hit). */
void bus_emit(struct bus *bus, const struct event *event);

/*
 * Several analysis threads, each with a bus of its own: the sinks get the events in the order of
 * their positions and, at one position, of their flows (of the same flow: as they were emitted),
 * whichever thread was the faster one. Positions of a bus never go back.
 */

/* The bus of another analysis thread, from 0; it ends with the first one. */
struct bus *bus_of(struct bus *first, size_t index);

/* What is emitted from now on is at this position. */
void bus_at(struct bus *bus, int64_t position);

/* Hands over what there is, and tells that nothing before the present position will come any more:
 * the events of the others need not wait for this bus up to there. */
void bus_done(struct bus *bus);

/* Live, called regularly by the analysis thread: hands over a batch that has waited long enough. */
void bus_tick(struct bus *bus);

/* 1 when a sink has failed for good (disk full ...): the capture may as well stop. */
int bus_failed(struct bus *bus);

/* Hands over the rest of all buses, waits for the storing thread, frees. 0 or -1 when a sink had
 * failed. */
int bus_close(struct bus *bus);

struct bus_stats {
    uint64_t events, batches, waits, payloads_shed, frames_shed;
    unsigned queued; /* batches of 256 KiB that wait to be stored, by now */
};

void bus_get_stats(struct bus *bus, struct bus_stats *stats);

#endif
