/*
 * Writing events into SQLite. Runs in the storing thread between store_begin and store_finish;
 * transactions are batched. store.c and database.c are the only files that include sqlite3.h.
 */
#ifndef SWITCHTAP_STORE_H
#define SWITCHTAP_STORE_H

#include "capture.h"
#include "database.h"
#include "sink.h"

struct store;

struct store_options {
    int keep_secrets;
    int all_flows; /* 1: each flow gets a row; 0: only those with a session or a finding above info
                      (what came before on such a flow is kept, bounded, and written then) */
    int live;           /* commit at least once a second, WAL */
    const char *sensor; /* or NULL */

    /* A series of files (series.h), or NULL: going on in the next one at that size or age (0: not),
     * the newest `keep` of them stay (0: all). `moved` is told, in the storing thread. */
    const char *series;
    uint64_t rotate_bytes, keep;
    int64_t rotate_ns;
    void (*moved)(void *arg, const char *path);
    void *moved_arg;

    /* One bounded file: the oldest flows that have ended go (0: not). bounded: either of both; the
     * series goes on, too, where a reader that does not end makes the log grow. */
    int bounded;
    uint64_t max_bytes;
    int64_t max_age_ns;
};

struct store_source { /* one capture */
    const char *source;      /* the first path, "-" or the interface */
    int live;
    const char *fingerprint; /* NULL: none (live, standard input) */
    const char *filter;      /* or NULL */
    const char *options;     /* those that change results, as text */
};

struct store_file {
    const char *path;
    uint64_t size;
    const char *fingerprint; /* or NULL */
    uint64_t first_packet;
};

/* Opens or makes the database (0600, application_id, user_version, migration or a clear refusal,
 * views) for writing. NULL with a message; a file of another program is left as it was. */
struct store *store_open(const char *path, const struct store_options *options,
                         struct error *error);

/* The id of a finished capture with this fingerprint; 0: none; -1: error. */
int64_t store_find_capture(struct store *store, const char *fingerprint, struct error *error);

/* Removes unfinished captures of this fingerprint, begins a new one. 0 or -1. */
int store_begin(struct store *store, const struct store_source *source, struct error *error);
int store_add_file(struct store *store, const struct store_file *file, struct error *error);

/* The sink; valid until store_close. */
struct sink store_sink(struct store *store);

struct store_summary {
    uint64_t flows, sessions;
    uint64_t outcomes[5];     /* by enum outcome */
    uint64_t findings[4];     /* high, medium, low, info: rows */
    int64_t capture_id;
};

/* After bus_close: cross-connection work, ends the capture with its totals. 0 or -1. */
int store_finish(struct store *store, const struct capture_info *info, int64_t first_packet_ns,
                 int64_t last_packet_ns, struct store_summary *summary, struct error *error);

/* The file that is written now; borrowed. While the sink runs only from there. */
const char *store_path(const struct store *store);

/* How long it is with its write-ahead log, as of some moment ago; from any thread. Live only. */
uint64_t store_bytes(const struct store *store);

/* How many files of a series were begun after the first. */
uint64_t store_files(const struct store *store);

/* What went wrong in the sink, for bus_close() < 0. */
const char *store_error(const struct store *store);

/* Without store_finish the capture stays unfinished (and is read again next time). */
void store_close(struct store *store);

#endif
