/*
 * The dissector contract: how one protocol reads its streams, says what it found and asks for a
 * successor. One dissector is one file; it includes this header, reader.h, and no other
 * dissector's header. Copy template.c to begin one.
 *
 * Progress is independent of how the bytes were cut: a decision is made on bytes and on ends of
 * streams, never on where a slice ends. The engine (stack.c) keeps what a call did not consume and
 * shows it again, with more behind it, from the same offset.
 */
#ifndef SWITCHTAP_DISSECTOR_H
#define SWITCHTAP_DISSECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "budget.h"
#include "../schema/event.h"

/*
 * V_OK         consumed bytes are done with; call again as soon as there is more. (With bytes left
 *              and consumed > 0 the engine calls again at once; with consumed == 0 and bytes left
 *              it means V_NEED of one more byte.)
 * V_NEED       not before `need` bytes (counted behind `consumed`, so need > bytes left) are there.
 * V_WAIT_PEER  the rest belongs to whatever the other side decides: call again once the other side
 *              consumed something or ended.
 * V_HOLD       the rest waits for something outside (a secret, say): call again whenever anything
 *              happens in the layer, and a last time when it ends (layer_last()); gaps and the end
 *              of the side behind it are not told before.
 * V_SWITCHED   layer_switch() was called in this call; what is not consumed is the successor's.
 * V_DONE       nothing more can be learnt from this side: the engine stops feeding it. When both
 *              sides are done (and no carried layer lives) nothing is reassembled for the layer.
 * V_LOST       the bytes do not follow the protocol and cannot be read any further. With nothing
 *              consumed yet on this side since the layer began, the engine looks what the bytes
 *              really are (expected and found differ); else the layer degrades to opaque.
 */
enum verdict { V_OK, V_NEED, V_WAIT_PEER, V_HOLD, V_SWITCHED, V_DONE, V_LOST };

struct result {
    enum verdict verdict;
    size_t consumed; /* bytes of the slice that are done with, <= slice->len */
    size_t need;     /* V_NEED only */
};

struct slice {           /* borrowed for the call; may span several segments */
    const uint8_t *data; /* contiguous */
    size_t len;
    uint64_t offset; /* of data[0] in this layer's stream of this side */
};

struct mark {        /* where one byte came from, exact to the byte, also through carried layers */
    uint64_t packet; /* 1-based number of the packet that brought it */
    int64_t time_ns;
    /* How much of the peer's root stream the sender had acknowledged when it sent it. */
    uint64_t acked;
    int acked_valid; /* 0: no ACK was on the segment (or nothing of the peer is known) */
    uint64_t root_offset; /* the same byte in the root stream of this side (compare with `acked`) */
};

struct layer;

/* What a dissector passes to its successor or to what it carries. Borrowed for the call. */
struct handover {
    const char *table; /* "http.upgrade", "http.connect", "websocket.message", "tls.alpn": where the
                          registry looks `token` up */
    struct text token; /* "websocket", "h2": the name as on the wire; none: go by probes */
    struct text expected; /* what the layer row says was expected; none: the table's answer */
    uint32_t session;     /* the session that what follows belongs to; 0: the layer's own */
    int recognised_only;  /* carry: where no probe knows the bytes, there is no layer at all */
    int reversed;         /* the roles swap: the successor's client is this layer's server */
    /* Switch: reported by the engine when the client's first byte for the successor was provably
     * sent before its sender can have seen the grant (the bytes this call consumes); NULL: none.
     * Carry: the same, where the server's byte at `granted` of the carrier completes the grant. */
    const enum rule *early_rule;
    uint64_t granted;
    /* Switch: reported by the engine, at its first byte, where the side that asked does not begin
     * with what was expected; NULL (and for the other side): switch-unexpected-protocol, where
     * something else is recognised. */
    const enum rule *mismatch_rule;
    /* Hints, by name, for the successor: NULL-terminated pairs, e.g. the WebSocket extensions. */
    const struct hint *hints;
    size_t hint_count;
};

struct hint {
    const char *name;
    struct text value;
};

enum { PROBE_WEAK = 9 };

struct dissector {
    const char *name;  /* layer.protocol */
    size_t state_size; /* zeroed, charged to the flow's budget */
    /* How sure these first bytes of a side's stream are this protocol: < 0 no, 0 too few bytes to
     * say, > 0 how sure (up to 100, certain). Must answer for any len, also 0, and must not change
     * its mind from no to yes with more bytes. Up to PROBE_WEAK it fits, as other things do: that
     * is enough only where the other side fits, too (in messages, where both together are surer
     * than that by half). NULL: never found by its bytes. */
    int (*probe)(enum side, const uint8_t *, size_t);
    /* 0, or -1: cannot begin (degrades to opaque). May be NULL. */
    int (*open)(struct layer *, void *state, const struct handover *);
    /* NULL: named only; the engine keeps counters and the first bytes. */
    struct result (*data)(struct layer *, void *state, enum side, const struct slice *);
    /* len bytes at offset were never captured. What was held unconsumed before the gap is lost to
     * the dissector too: the gap it is told begins at its first unconsumed byte. consumed is
     * ignored; verdicts as in data. NULL: V_LOST. */
    struct result (*gap)(struct layer *, void *state, enum side, uint64_t offset, uint64_t len);
    /* The side has ended in order (FIN) behind all its bytes. Unconsumed bytes were shown to
     * `data` before, can be peeked at here, and are dropped after. The mark of UINT64_MAX is that
     * of the FIN. May be NULL. */
    void (*eof)(struct layer *, void *state, enum side);
    /* The flow or the layer ends; emits what is still owed and frees what state points to. Called
     * exactly once for each opened layer. May be NULL. */
    void (*close)(struct layer *, void *state);
};

/* --- what a dissector may ask of the engine; all valid during a callback of that layer only --- */

/* Emits an event. The engine fills layer, session (unless set), and, where event->packet is 0 and
 * side is not NEITHER, packet and time_ns from the mark of the byte at event->offset, or of the
 * newest byte shown on that side where that is no longer held. */
void layer_emit(struct layer *, enum side, const struct event *);

/* A finding about the byte at `offset` of `side` (time and packet from its mark). */
void layer_finding(struct layer *, enum side, enum rule, uint64_t offset, struct text evidence);

/* A new session whose handshake this layer speaks: the serial to be set in event.session. */
uint32_t layer_session_new(struct layer *);

/* The session that this layer belongs to (the switch or carry it came from); 0: none. */
uint32_t layer_session(const struct layer *);

/* I end, my successor begins: on both sides with the first byte that is not consumed. Only from
 * `data` or `gap`, at most once, and the call must return V_SWITCHED. 0; -1: a depth or memory
 * limit was reached (reported), the rest becomes opaque. */
int layer_switch(struct layer *, const struct handover *);

/* A layer carried inside, named by `key` (unique within this layer: 0 for a WebSocket, a stream id
 * for HTTP/2). 0; -1: limit. */
int layer_carry_open(struct layer *, uint64_t key, const struct handover *);

/* Before that: there are bytes for a layer that may come to be, and whether it does is not decided
 * yet. They are held with their marks (bounded, as any layer's) until layer_carry_open(), which
 * must not swap the roles, or are dropped by layer_carry_close(). session: what a limit is
 * reported of. 0; -1: limit. */
int layer_carry_hold(struct layer *, uint64_t key, uint32_t session);

/* Bytes for a carried layer. from/from_len: the bytes of this layer's own stream that they were
 * made from; from_len == slice->len means one to one. slice->offset is ignored. Returns 1: go on;
 * 0: nobody wants more for this key (both sides). */
int layer_carry(struct layer *, uint64_t key, enum side, const struct slice *, uint64_t from,
                uint64_t from_len);
void layer_carry_gap(struct layer *, uint64_t key, enum side, uint64_t len);
void layer_carry_eof(struct layer *, uint64_t key, enum side);
void layer_carry_close(struct layer *, uint64_t key);
/* The same for a carried stream that ended by itself, as a connection of its own would have: what
 * layer_end() says to the layers in it. Returns 1 where one of them, as it closed, told how the
 * session of the handover ended; 0: the caller has to. */
int layer_carry_end(struct layer *, uint64_t key, enum session_end end, enum side side);

/* Where a byte came from. Exact for bytes shown in the current call and not yet consumed before it
 * (of both sides, held ones included); for an older byte the oldest mark still kept, for one that
 * never came the newest. */
struct mark layer_mark(const struct layer *, enum side, uint64_t offset);

/* How many bytes of `side` are there, unconsumed, and from which offset on. */
uint64_t layer_offset(const struct layer *, enum side);
size_t layer_held(const struct layer *, enum side);

/* The held, unconsumed bytes of a side (the other side's, while waiting): borrowed for the call. */
struct slice layer_peek(const struct layer *, enum side);

/* Was this byte provably sent before its sender can have seen the answer that made this layer? 0
 * where it is not known, and where the layer is no successor of a switch. */
int layer_before_grant(const struct layer *, enum side, uint64_t offset);

/* Is this layer carried, however deep, by one of that protocol ("tls")? */
int layer_inside(const struct layer *, const char *protocol);

/* A hint of the handover (which may be NULL), or TEXT_NONE; valid in open(). */
struct text handover_hint(const struct handover *handover, const char *name);

/* What a named dissector's probe says to bytes; 0 where there is no such dissector or probe. */
int layer_probe(const struct layer *, const char *protocol, enum side, const uint8_t *, size_t);

/* True when the side ended with FIN in order; when the flow was seen from its first byte. */
int layer_ended(const struct layer *, enum side);
int layer_from_start(const struct layer *);

/* Is it the first layer of its flow? Bytes in front of its first ones were passed over then. */
int layer_is_root(const struct layer *);

/* The layer ends: what is held now will not be shown again. */
int layer_last(const struct layer *);

/* Valid in close(): 1 where the flow (or the carried stream) has ended, and then how, by whom
 * (NEITHER: nobody) and after how much silence; 0 where only the layer ended (a switch, a carrier
 * that closed). */
int layer_end(const struct layer *, enum session_end *end, enum side *side, int64_t *idle_ns);

/* Sets layer.detail: a JSON object, copied; the last call counts. */
void layer_detail(struct layer *, struct text json);

/* What a layer that protects another one says at its end: what became of what it carried, and why
 * it came to nothing, a phrase for people, copied (TEXT_NONE: it did not). */
void layer_protection(struct layer *, enum protection protection, struct text failure);

/* The flow's budget: every allocation whose size the wire decides comes from here. */
struct budget *layer_budget(struct layer *);

/* A cap of the program was hit: reports analysis-limit-hit with its name and value, once per name
 * and layer. */
void layer_limit(struct layer *, const char *name, uint64_t value);

struct tls_keys;

/* Set by the command line; the same for all flows. */
struct dissect_options {
    size_t payload;          /* bytes of a message that are kept; 0: none */
    int frames;              /* 0: --detail sessions, frame events are not wanted */
    size_t message_limit;    /* ws-message-oversize, inflate limit; bytes */
    size_t frame_limit;      /* ws-frame-oversize; bytes */
    unsigned ratio_limit;    /* pmd-ratio-bomb, : 1 */
    int64_t ping_timeout_ns; /* ws-ping-unanswered */
    size_t hold_limit;       /* unconsumed bytes held per layer and side */
    unsigned depth_limit;    /* layers above one another */
    struct tls_keys *keys;   /* secrets of TLS connections; NULL: none */
    int64_t keys_wait_ns;    /* how long a record waits for its secret */
    size_t keys_hold;        /* ... and how many bytes of a side do, at most */
};

const struct dissect_options *layer_options(const struct layer *);

#endif
