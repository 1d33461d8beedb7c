/*
 * One capture on its way into a database: decode -> flow -> bus -> store, put together for the
 * commands that read files or an interface.
 */
#ifndef SWITCHTAP_RUN_H
#define SWITCHTAP_RUN_H

#include <stdatomic.h>

#include "bus.h"
#include "capture.h"
#include "decode.h"
#include "fingerprint.h"
#include "flow.h"
#include "keylog.h"
#include "options.h"
#include "store.h"
#include "workers.h"

struct run_counter {
    char name[64];
    uint64_t value;
};

/* What the events said, counted in the storing thread; read it after run_finish(), but for what is
 * atomic. */
struct run_tally {
    uint64_t gaps, gap_bytes, frames, messages;
    atomic_uint_fast64_t sessions, findings;
};

/* Live: how it stands by now. */
struct run_now {
    uint64_t sessions, findings; /* stored by this run */
    uint64_t queued;             /* batches of events that wait to be stored */
    uint64_t database_bytes;     /* of the file that is written, with its log, a moment ago */
};

struct run {
    struct budget budget, keys_budget;
    int live;
    struct flow_options flow_options;
    struct tls_keys *keys;
    struct keylog *keylog; /* NULL: no --keylog */
    struct decoder *decoder;
    /* The analysis: in this thread, or shared by workers. */
    struct classifier *classifier;
    struct flow_table *flows;
    struct workers *workers; /* NULL: classifier and flows, in this thread */
    struct store *store;
    void (*moved)(void *arg, const char *path); /* live: set it before run_open() is called, or */
    void *moved_arg;                            /* NULL; struct store_options has what it is */
    struct bus *bus;
    uint64_t packets;          /* that were decoded */
    int64_t first_ns, last_ns; /* of the packets, INT64_MIN before the first */
    struct run_tally tally;
    struct run_counter *counters;
    size_t counter_count, counter_room;
    struct store_summary summary;
};

/* How long a database may become, and what comes then: from the options into those of the store.
 * 0; -1: they make no sense, with a message. */
int run_lengths(const struct options *options, const char *database, struct store_options *store,
                struct error *error);

/* Reads key logs and opens the database. 0 or -1; run_release() in both cases. */
int run_open(struct run *run, const struct options *options, int live, const char *database,
             struct error *error);

/* Begins a capture and starts the storing thread. watcher: a second sink behind the store, or
 * NULL. */
int run_begin(struct run *run, const struct options *options, const struct store_source *source,
              const struct sink *watcher, struct error *error);

/* A key log that the capture brings along: whole lines. arg: the run. */
void run_secrets(void *arg, const char *text, size_t len);

void run_packet(struct run *run, const struct packet *packet);

/* Live: time goes by. `quiet`: there was no packet to wait for. */
void run_tick(struct run *run, int quiet);

/* 1: the database takes nothing more. */
int run_failed(struct run *run);

/* Adds to the counters of the capture (beyond those of the decoder and the flow table). */
void run_count(struct run *run, const char *name, uint64_t value);
uint64_t run_counted(const struct run *run, const char *name); /* 0: no such counter */

/* Live: packets that were captured and that no worker could take, by now. */
uint64_t run_dropped(const struct run *run);

/* Live, now and then: the counters as they are by now. */
void run_report(struct run *run);

void run_get_now(struct run *run, struct run_now *now);

/*
 * Ends all flows, writes the counters and the rest. `complete` 0: the capture stays unfinished (it
 * will be read again). files: those of the capture, or NULL. 0 or -1 with a message.
 */
int run_finish(struct run *run, const struct capture_info *info, const struct store_file *files,
               size_t file_count, int complete, struct error *error);

void run_release(struct run *run);

/* The options that change what is found, as text, for the capture's row and its fingerprint. */
void run_options_text(const struct run *run, const struct options *options, struct buffer *text);

#endif
