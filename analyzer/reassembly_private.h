/*
 * What the files of the reassembly share: one flow's two halves, the bytes they hold, and what they
 * remember of what was delivered. Inside, a byte has a 64-bit position: the stream offset plus
 * `start`, so that a stream picked up midstream may still find an earlier first byte.
 *
 *   reassembly.c          numbering, windows, acknowledgements: what a segment means
 *   reassembly_order.c    who is delivered when: waits, gaps, limits, the end
 *   reassembly_segments.c the held bytes of a side: a balanced tree
 *   reassembly_history.c  delivered bytes and packets kept to compare repetitions with
 */
#ifndef SWITCHTAP_REASSEMBLY_PRIVATE_H
#define SWITCHTAP_REASSEMBLY_PRIVATE_H

#include "reassembly.h"

/* Positions begin here, so that none of them (2 GiB back at most) is ever below zero. */
#define POSITION_ORIGIN ((uint64_t)1 << 40)

/* Where bytes came from: a mark before it is known how much of the peer was delivered. */
struct stamp {
    uint64_t packet;
    int64_t time_ns;
    uint64_t ack; /* position in the peer's stream */
    int ack_valid;
};

/* Why bytes are not believed before the peer has acknowledged them. */
enum doubt {
    DOUBT_NONE,
    DOUBT_WINDOW, /* far ahead of anything the window allows */
    DOUBT_ACK,    /* acknowledges what the peer cannot have sent */
    DOUBT_TIME    /* timestamp older than that of bytes before it (PAWS, RFC 7323 section 5) */
};

/* A run of bytes of one packet that cannot be delivered yet. */
struct held {
    struct held *left, *right;
    uint64_t at; /* position of the first byte */
    uint64_t arrived;   /* when: packets of the flow until then */
    int64_t arrived_ns; /* ... and capture time */
    struct stamp stamp;
    uint32_t len;
    uint32_t skip; /* bytes[] before the run: cut off by an overlap */
    uint32_t room; /* of bytes[] */
    uint8_t height;
    uint8_t doubt; /* enum doubt */
    uint8_t bytes[];
};

/*
 * An AVL tree of disjoint runs, ordered by position. Finding, adding and taking a run costs
 * O(log n) whatever order the segments come in, and n is bounded by the limit on held bytes, into
 * which each run counts with its overhead.
 */
struct held_tree {
    struct held *root;
    struct held *first; /* lowest position */
    size_t count;
    size_t size; /* bytes, overhead included */
};

static inline uint64_t reassembly_held_end(const struct held *held)
{
    return held->at + held->len;
}

static inline const uint8_t *reassembly_held_bytes(const struct held *held)
{
    return held->bytes + held->skip;
}

/* What a run of len bytes counts for against the limit. */
size_t reassembly_held_size(size_t len);
struct held *reassembly_held_new(struct budget *budget, const uint8_t *bytes, uint32_t len);
void reassembly_held_insert(struct held_tree *tree, struct held *held); /* overlaps nothing */
void reassembly_held_remove(struct held_tree *tree, struct held *held); /* does not free */
/* The first run that ends behind the position; NULL. */
struct held *reassembly_held_find(const struct held_tree *tree, uint64_t at);
void reassembly_held_clear(struct held_tree *tree, struct budget *budget);

/* Would a new segment [at, end) be preferred over a held run where they overlap and differ? */
int reassembly_held_yields(const struct held *held, enum overlap_policy policy, uint64_t at,
                           uint64_t end, enum doubt doubt);
/* Splits a run at a position inside it: the second one, or NULL: no memory, nothing changed. */
struct held *reassembly_held_split(struct held_tree *tree, struct held *held, uint64_t at,
                                   struct budget *budget);
/* Takes [at, end) out of a held run: shortened, split or removed. 0; -1: what is behind `end` was
 * lost, there was no memory for a second run. */
int reassembly_held_cut(struct held_tree *tree, struct held *held, uint64_t at, uint64_t end,
                        struct budget *budget);

/* The newest delivered bytes of a side, a ring that grows up to its limit. */
struct recent {
    uint8_t *bytes;
    size_t size;       /* a power of two */
    uint64_t from, to; /* positions */
    int refused;       /* there was no memory: off */
};

/* Adds the bytes at position `at`, which is recent->to unless there was a gap. 0; -1: out of
 * memory, for the first time. */
int reassembly_recent_add(struct recent *recent, size_t limit, uint64_t at, const uint8_t *bytes,
                          size_t len, struct budget *budget);
/* Bytes from `at` on that lie in one piece, at most *len of them; NULL and the distance to the next
 * kept byte in *len (unchanged where there is none before it). */
const uint8_t *reassembly_recent_peek(const struct recent *recent, uint64_t at, size_t *len);

struct packet_record { /* to tell a packet captured twice from a retransmission */
    int64_t time_ns;
    uint32_t seq, ack, ts_value, len;
    uint16_t ip_id;
    uint8_t flags;
    uint8_t used;
};

struct span {
    uint64_t from, to;
};

enum { HISTORY_PACKETS = 32, HISTORY_CONFLICTS = 8 };

struct history {
    struct packet_record packets[HISTORY_PACKETS];
    struct span conflicts[HISTORY_CONFLICTS]; /* reported lately: each range is told once */
    unsigned packet_next, conflict_next;
};

struct packet_record reassembly_record_of(const struct segment *segment);
int reassembly_record_same(const struct packet_record *old, const struct packet_record *new);
void reassembly_history_add(struct history *history, const struct segment *segment);
int reassembly_history_has(const struct history *history, const struct segment *segment);
/* 1 when the range was not reported lately; remembers it. */
int reassembly_history_conflict(struct history *history, uint64_t from, uint64_t to);

/* One direction: what this side sent, and what is known about it. */
struct half {
    struct held_tree held;
    struct recent recent;
    struct history *history; /* allocated with the first payload */

    /* numbering */
    uint32_t base; /* sequence number at POSITION_ORIGIN */
    uint32_t other_base; /* of a second SYN with another number; see other_syn */
    uint64_t start;  /* position of offset 0 */
    uint64_t next;   /* delivered up to here */
    uint64_t end;    /* seen up to here */
    uint64_t acked;  /* acknowledged by the peer, as far as believed; counts a FIN as one */
    uint8_t started, syn, from_start;
    uint8_t bare;      /* the numbering was taken from a segment without payload */
    uint8_t other_syn; /* other_base is valid */
    struct packet_record syn_record;

    /* the end of the stream */
    uint8_t fin_known, fin_done;
    uint64_t fin; /* position */
    struct stamp fin_stamp;
    uint64_t fin_arrived;
    int64_t fin_arrived_ns;
    uint64_t fin_doubted; /* position of one in doubt, until the peer acknowledges it; 0: none */
    struct stamp fin_doubted_stamp;

    /* bytes that were on the wire but not in the capture (snaplen) end at `end` */
    struct stamp tail_stamp;
    uint64_t tail_arrived;
    int64_t tail_arrived_ns;

    /* the peer acknowledged bytes that were not delivered: since when, and what proves it */
    struct stamp ack_stamp;
    uint64_t ack_arrived;
    int64_t ack_arrived_ns;
    uint64_t phantom;   /* acknowledgements up to here were found to have no bytes */
    uint64_t heard_end; /* highest end of a segment of this side since ack_arrived */
    uint8_t heard;      /* there was one */
    uint8_t seen;       /* a packet of this side was captured at all */
    uint8_t absent;     /* a wait ended without any packet of this side */
    unsigned expired;   /* waits in a row that ended without the bytes */

    /* numbers that nothing known explains (a hole of megabytes, or a lie) */
    uint64_t stray_ack;
    unsigned stray_acks;
    struct span stray; /* held bytes that are in doubt for their position */

    /* what this side offers and stamps */
    uint32_t max_window; /* scaled */
    int8_t window_scale;
    uint8_t window_zero; /* the last one */
    uint8_t ts_valid, ts_off;
    uint32_t ts_recent;
    int64_t ts_time_ns;
    uint64_t probe; /* position of a zero-window probe's byte; 0: none */

    /* one round trip sample at a time */
    uint64_t rtt_at;
    int64_t rtt_sent_ns;
    uint8_t rtt_armed;

    struct span gap; /* the last one */
    struct reassembly_side counters;
    unsigned limits; /* bits of enum limit: reported */
};

enum limit { LIMIT_HELD, LIMIT_MEMORY };

struct reassembly {
    const struct reassembly_handler *handler;
    void *flow;
    struct reassembly_options options;
    struct budget *budget;
    uint64_t packets; /* of the flow */
    int64_t now_ns;   /* the latest time seen */
    int stopped;
    struct half half[2];
};

/* A run of bytes to deliver or to hold: [at, end) at `bytes`. */
struct run {
    uint64_t at, end;
    const uint8_t *bytes; /* of `at` */
    const struct stamp *stamp;
    enum doubt doubt;
};

struct mark reassembly_order_mark(const struct reassembly *reassembly, enum side side,
                                  const struct stamp *stamp, uint64_t at);
void reassembly_order_limit(struct reassembly *reassembly, enum side side, enum limit limit,
                            const struct stamp *stamp);
/* Must these bytes wait for bytes of the peer that their sender had acknowledged? */
int reassembly_order_blocked(const struct reassembly *reassembly, enum side side,
                             const struct stamp *stamp);
/* Delivers bytes at the position that is next. */
void reassembly_order_deliver(struct reassembly *reassembly, enum side side, const struct run *run);
/* Delivers everything that can be, declares the gaps that were waited for long enough. */
void reassembly_order_drain(struct reassembly *reassembly);
/* Holds a run; where a limit forbids that, makes progress by force instead. */
void reassembly_order_hold(struct reassembly *reassembly, enum side side, const struct run *run);
/* The peer's acknowledgement of a half is news that its bytes are missing: the wait begins. */
void reassembly_order_wait(struct reassembly *reassembly, struct half *half,
                           const struct stamp *stamp);

#endif
