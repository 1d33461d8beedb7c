/*
 * The two streams of one flow: segments in any order become ordered slices, gaps and ends, in the
 * order in which an endpoint would have seen them (by acknowledgement numbers, not by packet
 * order).
 * RFC 9293; behaviours: WIRE.md section 1 of the design notes.
 */
#ifndef SWITCHTAP_REASSEMBLY_H
#define SWITCHTAP_REASSEMBLY_H

#include "../dissectors/dissector.h"
#include "packet.h"

struct reassembly;

/*
 * Who wins where a segment overlaps one that still waits, and they differ (what was delivered stays
 * in any case): FIRST the held one, LAST the new one, BSD the held one unless the new one begins
 * before it, LINUX as BSD and also the new one where both begin together and it ends later, WINDOWS
 * as BSD (its TCP does the same; only its IP fragments differ).
 */
enum overlap_policy { OVERLAP_BSD, OVERLAP_FIRST, OVERLAP_LAST, OVERLAP_LINUX, OVERLAP_WINDOWS };

struct reassembly_handler { /* all borrowed for the call; none may call back into the reassembly */
    void (*data)(void *flow, enum side, const uint8_t *, size_t len, const struct mark *);
    void (*gap)(void *flow, enum side, uint64_t offset, uint64_t len, const struct mark *);
    void (*eof)(void *flow, enum side, const struct mark *);
    /* Two different bytes for one sequence number; both versions as evidence. */
    void (*conflict)(void *flow, enum side, uint64_t offset, const uint8_t *kept,
                     const uint8_t *other, size_t len, const struct mark *);
    /* A cap was reached, once per name and side: "reassembly.held" (held_limit) or
     * "reassembly.memory" (the budget). */
    void (*limit)(void *flow, enum side, const char *name, uint64_t value, const struct mark *);
};

struct reassembly_options {
    enum overlap_policy policy;
    size_t held_limit;       /* bytes held behind a hole, per side, with their overhead */
    size_t recent_limit;     /* delivered bytes kept per side to compare overlaps with; 0: none */
    int64_t gap_timeout_ns;  /* how long an acknowledged hole is waited for ... */
    unsigned gap_packets;    /* ... or how many packets of the flow, whichever passes first */
};

/* Budget is the flow's. NULL: exhausted. */
struct reassembly *reassembly_new(const struct reassembly_handler *handler, void *flow,
                                  const struct reassembly_options *options, struct budget *budget);
void reassembly_free(struct reassembly *reassembly);

/* A segment of a side. Sequence numbers of a side start with its SYN, or, where none was seen,
 * with the first segment (from_start of that side is then 0; what comes from before it counts as
 * a retransmission of what was there before the capture, unless nothing was delivered yet). */
void reassembly_segment(struct reassembly *reassembly, enum side side,
                        const struct segment *segment);

/* Declares all holes that still wait as gaps and delivers what is held (flow end, flush). */
void reassembly_flush(struct reassembly *reassembly, const struct mark *mark);

/* From now on nothing is held or delivered: only sequence numbers are followed. */
void reassembly_stop(struct reassembly *reassembly);

struct reassembly_side {
    uint64_t delivered; /* bytes delivered, gaps included: the next offset */
    uint64_t missing;   /* sum of the gaps */
    uint64_t retransmits;
    uint64_t duplicates; /* the same packet captured twice: same IP id, sequence number, payload */
    uint64_t out_of_order;
    uint64_t conflicts;
    int64_t rtt_ns; /* smallest; -1 unknown */
    int started;    /* sequence numbers are known */
    int syn;        /* the SYN was seen */
    int from_start; /* offset 0 is the stream's first byte: the SYN or the handshake's answer to it
                       was seen */
    int fin;        /* FIN delivered in order */
    int rst;        /* a RST of this side was seen, inside the window */
    uint64_t ignored; /* segments not used: out of window, another SYN, behind FIN, in doubt */
};

void reassembly_get(const struct reassembly *reassembly, enum side side,
                    struct reassembly_side *out);

#endif
