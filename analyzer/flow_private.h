/*
 * What the files of the flow table share: flow.c (the life of a connection by its TCP headers),
 * flow_table.c (lookup, lists, timeouts, eviction), flow_payload.c (the bytes: reassembly, stack,
 * nDPI, and everything that is told about the flow). Nobody else includes this.
 *
 * A flow before its first payload is one struct flow and nothing else: floods of SYNs are cheap.
 * Directions: endpoint 0 is the smaller one (address, port) of the key; a segment's `dir` is the
 * endpoint that sent it. Who of them is the client is known later (client_dir).
 */
#ifndef SWITCHTAP_FLOW_PRIVATE_H
#define SWITCHTAP_FLOW_PRIVATE_H

#include "../dissectors/stack.h"
#include "flow.h"

/* The lists, in the order in which flows are given up when memory is short. */
enum flow_class {
    CLASS_HALF,    /* no payload, handshake not complete */
    CLASS_CLOSED,  /* the end was seen; lingers for what still comes */
    CLASS_LIVE,    /* payload or a complete handshake, no session */
    CLASS_SESSION, /* some event named a session */
    CLASS_COUNT
};

enum flow_counter {
    COUNTER_OPENED,
    COUNTER_ENDED,
    COUNTER_EVICTED,
    COUNTER_CLOSED_EARLY,
    COUNTER_REFUSED,
    COUNTER_MIDSTREAM,
    COUNTER_ONE_SIDED,
    COUNTER_STRAY,
    COUNTER_REUSED,
    COUNTER_SYN_IGNORED,
    COUNTER_RST_IGNORED,
    COUNTER_UNANALYSED,
    COUNTER_CHECKSUM_BAD,
    COUNTER_CHECKSUM_OFFLOADED,
    COUNTER_REASSEMBLY_LIMIT,
    COUNTER_TLS,
    COUNTER_TLS_CLOSED,
    COUNTER_TLS_OPENED,
    COUNTER_TLS_FAILED,
    COUNTER_SESSION,
    COUNTER_COUNT
};

struct flow_key { /* no padding: hashed and compared as bytes */
    uint8_t address[2][16];
    uint16_t port[2];
    uint32_t tunnel;
    uint8_t family, zero[3];
};

enum flow_dir_flags {
    DIR_SYN = 1,        /* its SYN was seen */
    DIR_ISN = 2,        /* isn is known: seen, or told by the peer's acknowledgement of it */
    DIR_SYN_AGAIN = 4,  /* the SYN was sent more than once: no round trip can be told from it */
    DIR_SYN_ACKED = 8,  /* the peer acknowledged the SYN */
    DIR_NEXT = 16,      /* next is valid */
    DIR_ACK = 32,       /* acked is valid */
    DIR_ACK_MOVED = 64, /* it acknowledged more and more: the peer sent bytes */
    DIR_FIN = 128,
    DIR_EOF = 256,      /* everything up to the FIN was delivered */
    DIR_SUM_GOOD = 512, /* a good checksum was seen */
    FOUND_GAP = 1024,   /* told already: each finding once per flow and side */
    FOUND_CONFLICT = 2048,
    FOUND_TRUNCATED = 4096
};

struct flow_dir {
    uint64_t packets, bytes;
    uint64_t missing, retransmits; /* those that the reassembly does not count any more or yet */
    int64_t rtt_ns;                /* smallest; -1: unknown */
    int64_t syn_ns;
    uint32_t isn;
    uint32_t next;     /* highest sequence number seen + 1 */
    uint32_t acked;    /* highest acknowledgement it sent */
    uint16_t flags;    /* enum flow_dir_flags */
    uint16_t window;   /* last advertised, unscaled */
    int8_t scale;      /* -1: unknown */
};

enum flow_flags {
    FLOW_OPENED = 1,      /* EVENT_FLOW_OPEN went out */
    FLOW_PAYLOAD = 2,     /* payload was seen */
    FLOW_UNANALYSED = 4,  /* no memory for the bytes: counters only */
    FLOW_SESSION = 8,
    FLOW_RST = 16,        /* an acceptable RST came: ends unless the sender goes on */
    FLOW_STACK_CLOSED = 32,
    FLOW_BACKWARDS = 64,
    FLOW_CHALLENGE = 128, /* a SYN of another connection came; see challenge */
    FLOW_TLS = 256,
    FLOW_DUE = 512 /* it is in a list by `due` */
};

struct flow {
    /* what the lookup and each packet touch comes first */
    struct flow *chain; /* next in the bucket */
    uint32_t hash;
    int32_t vlan;
    struct flow_key key;
    uint16_t flags;     /* enum flow_flags */
    uint8_t class;      /* enum flow_class */
    uint8_t client_dir; /* 2: not known yet */
    uint8_t end_dir;    /* who sent the first FIN or the RST; 2: nobody */
    uint8_t first_dir;  /* who sent the first packet */
    int64_t touched_ns; /* table clock at its last packet */
    int64_t last_ns, last_payload_ns;
    uint64_t last_packet;
    struct flow_work *work; /* NULL before the first payload */
    struct flow_dir dir[2];
    int64_t listed_ns; /* table clock when it was put at the end of its list */
    struct flow *older, *newer;         /* in its class */
    struct flow *before, *after;        /* of all, by first packet */
    struct flow *due;                   /* the next one that is due */
    uint64_t serial, first_packet;
    int64_t first_ns;
    int64_t end_ns;      /* of the last FIN or the RST */
    uint64_t end_packet;
    int64_t challenge_ns;
    uint64_t challenge_packet;
    uint32_t challenge_isn;
};

_Static_assert(sizeof(struct flow) <= 400, "flows without payload must stay cheap");

enum { LIMIT_NAMES = 4, CLASSIFY_PACKETS = 10 };

enum { FLOW_HOLES = 4 };

/* Bytes that other rooms keep for a flow while it is open, and for one that is analysed (what the
 * store knows of it and of its layers, the overhead of small blocks): they count as its own, so
 * that --memory is what is really used. */
enum { FLOW_REMEMBERED = 320, FLOW_WORK_REMEMBERED = 768 };

/* Once the reassembly is gone: what is missing, as far as sequence numbers tell. More holes than
 * have a place are forgotten: it may be too little, never too much. */
struct flow_holes {
    uint32_t end; /* sequence number behind the highest byte */
    struct flow_hole {
        uint32_t from, to; /* sequence numbers */
        uint32_t missing;  /* of these bytes */
        uint64_t offset;   /* of the first of them */
    } hole[FLOW_HOLES];
};

/* What a flow needs once there are bytes. Allocated from the run's budget; everything behind its
 * pointers from its own. */
struct flow_work {
    struct flow *flow;
    struct flow_table *table;
    struct budget budget;
    struct reassembly *reassembly; /* NULL: nothing is delivered any more */
    struct stack *stack;
    struct stack_carried_end carried; /* known once the stack is closed */
    struct classify_flow *ndpi;
    struct classification classification;
    unsigned classify_left;          /* payload packets that nDPI may still see */
    const char *limits[LIMIT_NAMES]; /* told already */
    uint64_t delivered[2];           /* by side: bytes of the stream, gaps included */
    uint32_t start_seq[2];           /* by dir: sequence number of offset 0, if start_known */
    uint8_t start_known[2];
    struct flow_holes holes[2]; /* by dir */
    struct flow_work *wait_before, *wait_after; /* those with a hole; NULL and NULL: or alone */
    int64_t wait_since_ns;                      /* -1: not in the list */
};

struct flow_list {
    struct flow *oldest, *newest;
    uint64_t count;
};

struct flow_table {
    struct flow_options options;
    struct bus *bus;
    struct classifier *classifier;
    struct budget *budget;
    struct stack_host host;
    struct reassembly_handler handler;
    size_t reserve; /* of the budget: kept free for the bytes of the flows that are analysed */
    uint64_t seed[2];
    struct flow **buckets;
    uint32_t mask;
    const struct flow *recent; /* of the last segment; NULL: it is gone */
    struct flow_list lists[CLASS_COUNT];
    int64_t timeout_ns[CLASS_COUNT];
    int64_t relist_ns[CLASS_COUNT]; /* a flow moves to the end of its list at most this often */
    struct flow *first, *last;      /* by first packet */
    struct flow_work *wait_first, *wait_last;
    int64_t now_ns; /* the newest packet time so far */
    uint64_t serial;
    uint64_t counters[COUNTER_COUNT];
};

static inline enum side flow_side(const struct flow *flow, unsigned dir)
{
    return dir == flow->client_dir ? CLIENT : SERVER;
}

static inline unsigned flow_dir_of(const struct flow *flow, enum side side)
{
    return side == CLIENT ? flow->client_dir : flow->client_dir ^ 1u;
}

/* How far a is ahead of b on the circle of sequence numbers. */
static inline int32_t flow_seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* --- flow_table.c --- */

/* Seed, timeouts and buckets; the options and the budget are set. 0, or -1: no memory. */
int flow_table_init(struct flow_table *table);
/* The key of a segment; returns its dir. */
unsigned flow_key_of(const struct segment *segment, struct flow_key *key);
uint32_t flow_hash(const struct flow_table *table, const struct flow_key *key);
struct flow *flow_find(const struct flow_table *table, const struct flow_key *key, uint32_t hash);
/* NULL: no memory, even after evictions. Not announced yet, class half. */
struct flow *flow_create(struct flow_table *table, const struct flow_key *key, uint32_t hash,
                         unsigned dir, const struct segment *segment);
/* Out of all lists; the memory is freed. flow_end() comes before. */
void flow_remove(struct flow_table *table, struct flow *flow);
/* Moves the flow to the end of its list, or to another one. */
void flow_touch(struct flow_table *table, struct flow *flow, enum flow_class class);
int flow_expired(const struct flow_table *table, const struct flow *flow);
/* Ends what is idle and declares holes that nobody will fill, in the order in which the flows
 * began. */
void flow_end_due(struct flow_table *table);
/* Evicts until `bytes` and the reserve are free; never `keep`. 0 or -1. */
int flow_headroom(struct flow_table *table, const struct flow *keep, size_t bytes);

/* --- flow.c --- */

/* Tells the end, with the truth about FIN and RST before `end`, and removes the flow. */
void flow_end(struct flow_table *table, struct flow *flow, enum flow_end end);

/* --- flow_payload.c --- */

/* Fills table->host and table->handler. */
void flow_work_callbacks(struct flow_table *table);
/* EVENT_FLOW_OPEN, once; decides who is the client where that is still open, by the payload that
 * dir sent (may be NULL) or by ports. */
void flow_open(struct flow_table *table, struct flow *flow, unsigned dir, const uint8_t *payload,
               size_t len);
/* A finding about the whole flow (layer and session 0). */
void flow_finding(struct flow_table *table, struct flow *flow, enum rule rule, enum side sender,
                  uint64_t offset, uint64_t packet, int64_t time_ns, struct text evidence);
/* The first payload: reassembly and stack begin. */
void flow_work_start(struct flow_table *table, struct flow *flow, unsigned dir,
                     const struct segment *segment);
/* A segment for the reassembly, or, where nothing is delivered any more, for the counters.
 * before: what flow->dir[dir].next was before this segment; fresh: 1 where there was none. */
void flow_work_segment(struct flow_table *table, struct flow *flow, unsigned dir,
                       const struct segment *segment, uint32_t before, int fresh);
/* Holes that the peer has acknowledged and that nobody fills become gaps. */
void flow_work_flush(struct flow_work *work, int64_t time_ns);
/* No more bytes: ends the layers. Idempotent. */
void flow_work_close(struct flow_table *table, struct flow *flow, enum flow_end end,
                     int64_t time_ns, uint64_t packet);
/* EVENT_FLOW_CLOSE and the findings that only the end can tell. */
void flow_close(struct flow_table *table, struct flow *flow, enum flow_end end, int64_t time_ns,
                uint64_t packet);
void flow_work_free(struct flow *flow);

#endif
