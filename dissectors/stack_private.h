/*
 * What stack.c (feeding, switching, ending), stack_flow.c (the doors of the flow) and layer.c (what
 * dissectors may ask) share.
 */
#ifndef SWITCHTAP_STACK_PRIVATE_H
#define SWITCHTAP_STACK_PRIVATE_H

#include "input.h"
#include "stack.h"

enum { HEAD_SIZE = 64, LIMITS_MAX = 8, CARRIES_MAX = 1024 };

enum phase {
    WAITING,  /* carried, and not granted yet: bytes are held */
    PROBING,  /* bytes are held until a probe knows them */
    RUNNING,  /* a dissector is fed */
    SEEKING,  /* midstream: each new slice is probed, the rest is passed over */
    NAMED,    /* the protocol is known, nobody dissects it */
    OPAQUE,   /* nobody knows it; the first bytes are kept */
    SWITCHED, /* the successor has the bytes */
    CLOSED
};

/* A copy of a handover: for the time between layer_switch() and the end of that call, and of what a
 * layer was given until it is decided what it is. */
struct switching {
    struct handover handover; /* all pointers into `block` or static */
    void *block;              /* NULL: there is none */
};

struct grant { /* of the switch that made a layer */
    int known;
    enum side waits;  /* of the flow: who had to see it first */
    enum side asked;  /* of the flow: who has to begin with what was agreed */
    uint64_t end;     /* root offset behind it, in the other side's stream */
    int early, mismatch; /* rules that are still to be tried: bytes sent too soon, wrong bytes */
    enum rule early_rule, mismatch_rule;
};

struct layer {
    struct stack *stack;
    struct layer *parent, *successor;
    struct layer *children, *next, *previous; /* carried layers: base of each chain */
    struct layer **index, *index_next; /* the same by key; NULL: there are few */
    size_t index_size, child_count;    /* index_size: a power of two */
    uint64_t key;                  /* among the carried layers of the parent */
    uint32_t serial;               /* 0: not announced yet and perhaps never */
    uint32_t session;
    uint32_t depth;
    enum relation relation;
    enum phase phase;
    int flipped;    /* its client is the flow's server */
    int announced;  /* EVENT_LAYER_OPEN is out */
    int quiet;      /* announce only what a probe recognises */
    int lost;       /* so many dissectors gave up */
    int in_call;
    int last;       /* what is held is shown a last time */
    struct text protocol, expected;  /* static or in `names` */
    const struct dissector *dissector;
    void *state;
    struct input in[2];
    uint64_t start[2];
    uint8_t head[2][HEAD_SIZE];
    size_t head_len[2];
    unsigned seeks;
    struct switching switching;
    struct switching given; /* while probing, where it has hints */
    struct grant grant;
    uint32_t switch_session; /* a session that waits for the announcement of this layer */
    char *names;             /* owns a copied `expected` */
    char *detail;
    size_t detail_len;
    char *failure;
    size_t failure_len;
    enum protection protection;
    const char *limits[LIMITS_MAX];
    size_t limit_count;
    int end_known; /* a carried stream that ended by itself */
    int idle_known; /* ... and how long it was silent before its first side did */
    int64_t idle_ns;
    int64_t active_ns;   /* its birth, or a later byte, as far as noted */
    enum side first_end; /* the side, of the flow */
    enum session_end end;
    enum side end_side; /* of the flow */
};

struct stack {
    const struct stack_host *host;
    void *flow;
    const struct dissect_options *options;
    struct budget *budget;
    struct layer *root;
    uint32_t layers, sessions;
    unsigned carries;
    uint32_t ended; /* the session that told its end last */
    int from_start;
    struct mark newest;
    int closing;
    enum session_end end;
    enum side end_side;
    int64_t idle_ns;
};

static inline enum side layer_flip(const struct layer *layer, enum side side)
{
    return layer->flipped && side != NEITHER ? side_peer(side) : side;
}

/* The layer of a chain that has the bytes now. */
static inline struct layer *layer_top(struct layer *layer)
{
    while (layer->phase == SWITCHED && layer->successor != NULL)
        layer = layer->successor;
    return layer;
}

/* The same, and which of its sides the bytes are for: roles may have been swapped on the way. */
static inline struct layer *layer_receiver(struct layer *base, enum side *side)
{
    struct layer *top = layer_top(base);
    *side = layer_flip(top, layer_flip(base, *side));
    return top;
}

/* Copies what a handover points to. 0, -1: no memory. */
int layer_copy_handover(struct layer *layer, struct switching *copy, const struct handover *from);
struct layer *layer_new(struct stack *stack, struct layer *parent, enum relation relation);
void layer_input(struct layer *layer, enum side side, const uint8_t *data, size_t len,
                 const struct mark *mark, int exact);
void layer_input_gap(struct layer *layer, enum side side, uint64_t len, const struct mark *mark);
void layer_input_eof(struct layer *layer, enum side side, const struct mark *mark);
/* Chooses what a new layer begins with: a dissector by table, or probing. */
void layer_begin(struct layer *layer, const struct handover *handover);
/* Looks at the bytes that are there already, the earlier side first. */
void layer_run(struct layer *layer);
/* Takes a carried layer out of those of its parent. */
void layer_unlink_carry(struct layer *layer, struct layer *child);
/* Closes and frees a layer, what it carries and its successors. */
void layer_end_chain(struct layer *layer);
/* Frees it alone. */
void layer_free(struct layer *layer);

/* The time of the newest byte of a carried stream, whose ends are told nowhere else. */
int64_t layer_active_ns(struct layer *child);
void layer_become_opaque(struct layer *layer);

#endif
