/*
 * The events: everything the analysis says about a capture, as a tagged union of borrowed strings.
 * Dissectors and the pipeline make them, the bus copies them into batches, sinks (the store first)
 * read them. This header uses nothing but stdint: it is the one thing that all rooms share.
 *
 * Who fills what: a dissector fills `kind`, `u` and, where the event is about a byte, `offset`,
 * and calls layer_emit(); the stack adds `layer`, `session`, `time_ns` and `packet`; the flow
 * adds `flow`. Serials (flow, layer, session, frame) are counted from 1 within their parent and
 * are not row ids: row ids are given by the storing thread, in packet order.
 */
#ifndef SWITCHTAP_EVENT_H
#define SWITCHTAP_EVENT_H

#include <stddef.h>
#include <stdint.h>

enum side { CLIENT = 0, SERVER = 1, NEITHER = 2 };

static inline enum side side_peer(enum side side)
{
    return side == CLIENT ? SERVER : CLIENT;
}

/* Borrowed bytes from the wire or from a constant. data NULL: absent (NULL in the database);
 * data not NULL and len 0: empty. Not terminated, not necessarily UTF-8. */
struct text {
    const char *data;
    size_t len;
};

#define TEXT_NONE ((struct text){NULL, 0})
#define TEXT_LITERAL(s) ((struct text){("" s ""), sizeof(s) - 1})

/* The rules of rules.def: RULE_WS_ACCEPT_WRONG and so on; RULE_COUNT is their number. */
enum rule {
#define RULE(id, name, level, severity, source, summary) RULE_##id,
#include "rules.def"
#undef RULE
    RULE_COUNT
};

struct rule_info {
    const char *name;
    const char *level;    /* "M" "S" "X" "O" */
    const char *severity; /* "high" "medium" "low" "info" */
    const char *source;
    const char *summary;
    int detected; /* 0: in the catalogue, but nothing detects it yet */
};

struct rule_advice { /* for a person */
    const char *why; /* it matters */
    const char *fix;
};

/* Where a session has both, only the winner is told. */
struct rule_superseded {
    enum rule winner, loser;
    int any_side; /* 0: of the same side only */
};

extern const struct rule_superseded rule_superseded[]; /* rules.c */
extern const size_t rule_superseded_count;
extern const struct rule_info rule_table[RULE_COUNT]; /* rules.c, from rules.def */
extern const struct rule_advice rule_advice[RULE_COUNT]; /* ... and from advice.def */

enum event_kind {
    EVENT_FLOW_OPEN,       /* a flow appeared; always the first of its flow */
    EVENT_FLOW_CLOSE,      /* always the last of its flow: all counters */
    EVENT_LAYER_OPEN,      /* before any event that names the layer */
    EVENT_LAYER_CLOSE,     /* what was found out by the end; replaces the protocol of the open */
    EVENT_SESSION_OPEN,    /* an attempt: its request is complete (or, unsolicited, its grant) */
    EVENT_SESSION_ANSWER,  /* the final answer's head is complete */
    EVENT_SESSION_SWITCH,  /* the successor layer is open */
    EVENT_SESSION_END,     /* how it ended; sessions without one end with their flow */
    EVENT_HEADER,          /* one field of the request or the answer of a session */
    EVENT_WEBSOCKET_OPEN,  /* what the handshake agreed */
    EVENT_WEBSOCKET_CLOSE, /* counters and close codes; may come repeatedly, the last one counts */
    EVENT_FRAME,
    EVENT_FINDING,
    EVENT_GAP,
    EVENT_COUNTER,         /* of the capture, absolute; sent at the end (live: now and then) */
    EVENT_KIND_COUNT
};

enum flow_handshake { HANDSHAKE_NONE, HANDSHAKE_PARTIAL, HANDSHAKE_FULL };
enum flow_end { END_FIN, END_RST, END_IDLE, END_EVICTED, END_CAPTURE };
enum relation { RELATION_ROOT, RELATION_SWITCH, RELATION_CARRY };

/* database text: upgrade connect extended-connect starttls socks docker gnutella */
enum mechanism {
    MECHANISM_UPGRADE,
    MECHANISM_CONNECT,
    MECHANISM_EXTENDED_CONNECT,
    MECHANISM_STARTTLS,
    MECHANISM_SOCKS,
    MECHANISM_DOCKER,
    MECHANISM_GNUTELLA
};

/* database text: switched refused ignored unanswered unsolicited */
enum outcome {
    OUTCOME_UNANSWERED,
    OUTCOME_SWITCHED,
    OUTCOME_REFUSED,
    OUTCOME_IGNORED,
    OUTCOME_UNSOLICITED
};

/* database text: NULL origin auth redirect route version stripped-header bad-request upstream
 * timeout unknown */
enum cause {
    CAUSE_NONE,
    CAUSE_ORIGIN,
    CAUSE_AUTH,
    CAUSE_REDIRECT,
    CAUSE_ROUTE,
    CAUSE_VERSION,
    CAUSE_STRIPPED_HEADER,
    CAUSE_BAD_REQUEST,
    CAUSE_UPSTREAM,
    CAUSE_TIMEOUT,
    CAUSE_UNKNOWN
};

/* database text: NULL close close-unanswered fin rst idle evicted capture_end */
enum session_end {
    SESSION_END_CLOSE,
    SESSION_END_CLOSE_UNANSWERED,
    SESSION_END_FIN,
    SESSION_END_RST,
    SESSION_END_IDLE,
    SESSION_END_EVICTED,
    SESSION_END_CAPTURE
};

struct address {
    uint8_t family; /* 4 or 6 */
    uint8_t bytes[16];
};

/* What nDPI said; static strings of nDPI or TEXT_NONE. */
struct classification {
    struct text protocol; /* "HTTP.WebSocket" (master.application) */
    struct text category;
    struct text risk; /* names, comma separated */
};

struct event_flow_open {
    struct address client, server;
    uint16_t client_port, server_port;
    int32_t vlan; /* outermost VLAN id, -1: none */
};

struct event_flow_side {
    uint64_t packets;
    uint64_t bytes; /* TCP payload seen, retransmissions included */
    uint64_t missing; /* payload bytes that were never captured (the sum of the gaps) */
    uint64_t retransmits; /* packets */
    int64_t rtt_ns;       /* smallest time from a segment of this side to its ack; -1: unknown */
};

struct event_flow_close {
    int64_t first_ns, last_ns;
    struct event_flow_side side[2];
    enum flow_handshake handshake;
    enum flow_end end;
    /* Of its sessions that did not end before: */
    enum session_end session_end;
    enum side end_side; /* who sent the first FIN or the RST; NEITHER */
    int64_t idle_ns;    /* silence before the end */
    struct classification ndpi;
};

struct event_layer_open {
    uint32_t parent; /* layer serial; 0: root */
    enum relation relation;
    struct text protocol; /* best known now, "opaque" where only the end will tell */
    struct text expected; /* by the table or port; none where nothing was expected */
    uint64_t offset[2];   /* where it begins, in its own stream */
};

enum protection { /* of what a layer carried */
    PROTECTION_NONE,   /* it protects nothing, or there was nothing */
    PROTECTION_SEALED, /* it is encrypted, and nobody gave any keys */
    PROTECTION_CLOSED, /* ... and the keys that were given do not open all of it */
    PROTECTION_OPENED  /* it was decrypted */
};

struct event_layer_close {
    struct text protocol;  /* final */
    struct text head[2];   /* first 64 bytes; of opaque layers only */
    struct text detail;    /* JSON or none */
    struct text failure;   /* why it came to nothing, for people: "the client refused ..."; none */
    enum protection protection;
    struct classification ndpi;
};

struct event_session_open {
    enum mechanism mechanism;
    struct text offered; /* the Upgrade list as sent; the target's protocol words otherwise */
    struct text method, target, path, host, origin, user_agent, forwarded_for;
    int unsolicited;
    /* Marks the request lost: everything above is absent, only the answer was captured. */
    int request_lost;
};

struct event_session_answer {
    enum outcome outcome;
    enum cause cause;
    struct text accepted; /* what the grant names; none where nothing was granted */
    int status;           /* 0: no status (lost, or the protocol has none) */
    struct text reason;
};

struct event_session_switch {
    uint32_t successor; /* layer serial */
};

struct event_session_end {
    enum session_end reason;
    enum side side; /* who ended it; NEITHER */
    int64_t idle_ns;
};

struct event_header {
    int response; /* 0 request, 1 response */
    uint32_t position; /* from 0 */
    struct text name, value;
};

struct event_websocket_open {
    struct text subprotocol; /* agreed; none */
    struct text extensions;  /* as in the answer; none */
    int accept_valid;        /* 1, 0, or -1: key or Accept was not seen */
    int deflate;
};

struct event_websocket_side {
    uint64_t frames, messages;
    uint64_t bytes;         /* payload on the wire */
    uint64_t message_bytes; /* decoded */
    int32_t close_code;     /* -1: none (NULL) */
    struct text close_reason;
};

struct event_websocket_close {
    struct event_websocket_side side[2];
};

struct event_frame {
    uint64_t serial; /* of this session, both sides, from 1: the order of completion */
    int fin;
    unsigned rsv, opcode; /* rsv: 3 bits, RSV1 is 4 */
    int masked;
    uint64_t length;
    int compressed;
    /* on the frame that completes a message; message_opcode -1 elsewhere: */
    int message_opcode;
    uint64_t message_length; /* decoded, before any cut */
    uint32_t fragments;
    int cut;
    int64_t rtt_ns;      /* -1: none */
    struct text payload; /* decoded; none where it is not stored */
};

struct event_finding {
    enum rule rule;
    uint64_t frame; /* serial of the frame it is about; 0: none. The frame may come later. */
    struct text evidence; /* short; the maker has redacted secrets */
};

struct event_gap {
    uint64_t length;
};

struct event_counter {
    struct text name;
    uint64_t value;
};

struct event {
    enum event_kind kind;
    enum side sender; /* the side that did it; NEITHER */
    uint32_t layer;   /* serial within the flow; 0: none */
    uint32_t session; /* serial within the flow; 0: none */
    uint64_t flow;    /* serial within the capture; 0: none */
    uint64_t packet;  /* that proves or completes it; 0: none */
    int64_t time_ns;
    uint64_t offset; /* in the layer's stream of `sender` */
    int64_t row;     /* given by the store: the row id of what the event made; 0 before */
    union {
        struct event_flow_open flow_open;
        struct event_flow_close flow_close;
        struct event_layer_open layer_open;
        struct event_layer_close layer_close;
        struct event_session_open session_open;
        struct event_session_answer session_answer;
        struct event_session_switch session_switch;
        struct event_session_end session_end;
        struct event_header header;
        struct event_websocket_open websocket_open;
        struct event_websocket_close websocket_close;
        struct event_frame frame;
        struct event_finding finding;
        struct event_gap gap;
        struct event_counter counter;
    } u;
};

#endif
