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

/* Counters: "flow.opened", "flow.evicted", "flow.midstream", "checksum.bad", "checksum.offloaded",
 * "reassembly.limit", "tls.flows", ... */
void flow_table_counters(const struct flow_table *table,
                         void (*each)(void *arg, const char *name, uint64_t value), void *arg);

void flow_table_free(struct flow_table *table);

#endif
