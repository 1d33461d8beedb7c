/*
 * The flow table: 5-tuple to flow, who is the client, handshake, timeouts, eviction, budgets, and
 * the wiring of one flow: reassembly -> stack -> bus.
 */
#ifndef SWITCHTAP_FLOW_H
#define SWITCHTAP_FLOW_H

#include "../dissectors/dissector.h"
#include "bus.h"
#include "classify.h"
#include "reassembly.h"

struct flow_options {
    size_t flow_memory;       /* bytes one flow may use */
    int verify_checksums;     /* 0: -k none */
    int64_t idle_timeout_ns;  /* established */
    int64_t syn_timeout_ns;   /* handshake not complete */
    int64_t closed_timeout_ns;/* after FIN of both or RST */
    struct reassembly_options reassembly;
    struct dissect_options dissect;
};

void flow_options_default(struct flow_options *options);

struct flow_table;

/* budget: the run's (--memory). classifier may be NULL (no nDPI). NULL: out of memory. */
struct flow_table *flow_table_new(const struct flow_options *options, struct bus *bus,
                                  struct classifier *classifier, struct budget *budget);

void flow_table_segment(struct flow_table *table, const struct segment *segment);

/* Time passes without packets (live), so that idle flows end and gaps are declared. */
void flow_table_tick(struct flow_table *table, int64_t now_ns);

/* Ends all flows with END_CAPTURE, in the order of their first packets. */
void flow_table_finish(struct flow_table *table);

/*
 * Several tables can share the flows of a capture, each with flows of its own (workers.h). What
 * they do must not depend on how many they are: all of them go by one clock, the newest time of
 * all segments, and flows end by themselves only where it passes a step.
 */

/* Moves the clock (0 at the beginning) on to the time of a segment, unless it is ahead of that.
 * 1: it has passed a step; all tables tick. */
int flow_clock(int64_t *clock_ns, int64_t time_ns);
/* What this table has not seen: the clock, before its next segment, and the highest serial that
 * was given so far. Ends nothing. */
void flow_table_at(struct flow_table *table, int64_t clock_ns, uint64_t serial);
/* A number that the segments of a flow have in common, the same for all time, and that nobody
 * outside can foresee. Reads only what does not change: any thread may ask. */
uint32_t flow_table_spread(const struct flow_table *table, const struct segment *segment);

enum { FLOW_COUNTS_MOST = 32 };

struct flow_counts { /* zeroed: of no table */
    uint64_t value[FLOW_COUNTS_MOST];
};

/* Adds those of a table. */
void flow_table_count(const struct flow_table *table, struct flow_counts *counts);
void flow_counters(const struct flow_counts *counts,
                   void (*each)(void *arg, const char *name, uint64_t value), void *arg);

/* Counters: "flow.opened", "flow.evicted", "flow.midstream", "checksum.bad", "checksum.offloaded",
 * "reassembly.limit", "tls.flows", ... */
void flow_table_counters(const struct flow_table *table,
                         void (*each)(void *arg, const char *name, uint64_t value), void *arg);

void flow_table_free(struct flow_table *table);

#endif
