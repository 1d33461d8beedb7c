/*
 * What the files of the WebSocket dissector share: websocket.c (the streams: headers, phases,
 * ends), websocket_header.c (one header and what is wrong with it), websocket_message.c (payloads
 * become messages), websocket_control.c (ping, pong, close, and how a session ends),
 * websocket_mask.c (unmasking, how random the keys are), websocket_resync.c (finding frames again
 * behind a gap), websocket_secret.c (what should not be sent in the clear).
 */
#ifndef SWITCHTAP_WEBSOCKET_PRIVATE_H
#define SWITCHTAP_WEBSOCKET_PRIVATE_H

#include "deflate.h"
#include "dissector.h"
#include "utf8.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING, WS_PONG };

enum {
    WS_CONTROL_MAX = 125,
    WS_REASON_MAX = 123,
    WS_JUDGED_FRAMES = 3, /* of each side, to tell whether it is a WebSocket at all */
    WS_PINGS = 16,        /* of one side that are remembered */
    WS_KEYS = 32,         /* of one side that are compared with each other */
    WS_FINDINGS = 20,     /* of the frames that are being judged */
    WS_EVIDENCE = 112,
    WS_SCRATCH = 4096,
    WS_REFLECTED = 64,
};

struct ws_header {
    uint8_t size; /* of the header */
    uint8_t fin, rsv, opcode, masked;
    uint8_t form; /* of the length: 7, 16 or 64 bits */
    uint8_t msb;  /* bit 63 of the length was set; `length` is without it */
    uint8_t key[4];
    uint64_t length;
};

/* What a header breaks, as bits. */
enum {
    WS_BAD_OPCODE = 1 << 0,
    WS_BAD_RSV = 1 << 1,  /* RSV bits that no extension explains */
    WS_BAD_RSV1 = 1 << 2, /* permessage-deflate is agreed, and RSV1 is not on a first data frame */
    WS_BAD_MASK = 1 << 3,
    WS_BAD_MSB = 1 << 4,
    WS_BAD_FRAGMENT = 1 << 5, /* a fragmented control frame */
    WS_BAD_CONTROL_LENGTH = 1 << 6,
    WS_BAD_FORM = 1 << 7, /* a longer form of the length than needed */
    WS_BAD_SIZE = 1 << 8, /* a length that no sender has: no rule, but no frame either */
    WS_BAD_ORDER = 1 << 9, /* a continuation of nothing */
};

/* What became of a frame's payload. */
enum ws_role { WS_ROLE_IGNORE, WS_ROLE_DATA, WS_ROLE_CONTROL };

struct ws_frame {
    struct ws_header header;
    uint64_t offset;   /* of the first header byte */
    uint64_t left;     /* payload bytes still to come */
    struct mark start; /* where the last header byte came from */
    enum ws_role role;
    uint8_t damaged;     /* some of its bytes were lost */
    uint8_t after_close; /* of its own sender: nothing else is judged */
    uint8_t oversize;
    uint8_t faulty; /* its header breaks a rule */
};

struct ws_buffer {
    uint8_t *data;
    size_t len, cap;
};

struct ws_words { /* websocket_secret.c */
    char head[24];       /* the first bytes of the word that reaches the end of what was fed */
    uint8_t before[20];  /* what stood in front of it, the nearest byte first */
    uint8_t tail[32];    /* the last bytes that were fed */
    uint8_t before_len, tail_len;
    uint8_t dots, part_kinds, classes;
    uint8_t cookie;      /* a named credential was seen in this message, */
    uint8_t reflected;   /* ... a word that the peer had sent before, */
    const char *found;   /* ... and this kind of secret (static) */
    uint32_t found_len;
    uint32_t len, hash;  /* of the word */
    uint32_t part;       /* bytes since its last dot */
};

struct ws_message {
    uint8_t open;
    uint8_t opcode;
    uint8_t compressed;
    uint8_t opaque;  /* not as sent: an unknown extension, or RSV bits that mean nothing */
    uint8_t damaged; /* bytes of it were lost, it was begun before we looked */
    uint8_t unjudged; /* sent after the sender's own Close */
    uint8_t bad_text, too_long, too_many, short_of_memory;
    uint8_t channel; /* of Kubernetes */
    uint32_t fragments, empty;
    uint64_t length; /* decoded */
    uint64_t wire;
    enum deflate_status status;
    struct utf8 utf8;
    struct ws_buffer kept;
    const uint8_t *borrowed; /* the whole message where it lies in the slice */
    struct ws_words words;
};

struct ws_finding {
    enum rule rule;
    uint64_t offset, packet, frame;
    int64_t time_ns;
    int pending; /* of the frame that is not complete yet */
    char evidence[WS_EVIDENCE];
};

struct ws_queue {
    size_t count;
    struct ws_finding findings[WS_FINDINGS];
};

struct ws_keys { /* websocket_mask.c */
    uint32_t recent[WS_KEYS];
    uint32_t first, last, step_big, step_little;
    uint32_t all_and, all_or; /* of all keys */
    uint64_t count, zero, repeats, equal_bytes;
    uint8_t changed, big_broken, little_broken;
    uint64_t offset, packet; /* of the frame that the finding is about */
    int64_t time_ns;
};

enum ws_ping_state { WS_PING_OPEN, WS_PING_COVERED, WS_PING_ANSWERED, WS_PING_EXEMPT };

struct ws_ping {
    enum ws_ping_state state;
    uint8_t excused;  /* behind what its receiver may have failed the connection for */
    uint8_t passed;   /* its receiver had it and sent another frame without answering */
    uint8_t mismatch; /* ... and that frame was a pong with another payload: */
    uint64_t pong_offset, pong_packet, pong_frame;
    int64_t pong_time_ns;
    uint64_t offset, packet, frame, root_end, hash;
    int64_t time_ns;
};

struct ws_pings {
    size_t count;
    struct ws_ping ring[WS_PINGS]; /* oldest first */
};

struct ws_closing {
    int seen;     /* a Close of this side was on the wire */
    int complete; /* ... and all of it was captured */
    uint64_t offset, packet, root_end;
    int64_t time_ns, idle_ns;
    char reason[WS_REASON_MAX];
};

enum ws_phase {
    WS_AT_HEADER,
    WS_IN_PAYLOAD,
    WS_LOST_SYNC, /* behind a gap: where is the next frame? */
    WS_ALIEN      /* what this side sends is not WebSocket */
};

struct ws_side {
    enum ws_phase phase;
    struct ws_frame frame;
    struct ws_message message;
    struct ws_buffer control;
    struct deflate *deflate;
    struct event_websocket_side count;
    struct ws_closing closing;
    struct ws_queue *queue; /* NULL while there is nothing to tell */
    struct ws_pings *pings; /* sent by this side */
    struct ws_keys keys;
    int partial;             /* bytes of a header that is not complete, 2: two or more, */
    uint64_t partial_offset; /* ... where it begins, */
    struct ws_header partial_start; /* ... and what two of them say */
    uint64_t feed_from, feed_len; /* wire bytes that are being decoded */
    uint64_t deflate_in, deflate_out; /* of whole compressed messages */
    uint64_t useless_offset;
    uint64_t resync_from;   /* behind the gap */
    uint64_t resync_packet; /* of the byte in front of what is looked at */
    uint32_t reflected[WS_REFLECTED]; /* words that this side sent */
    uint8_t reflected_at;
    uint16_t headers;                  /* seen, up to WS_JUDGED_FRAMES */
    uint16_t kinds[WS_JUDGED_FRAMES];  /* what they break */
    uint8_t rsv[WS_JUDGED_FRAMES];
    uint8_t judged;      /* it is a WebSocket, as far as can be known */
    uint8_t last_masked; /* mask bit of the newest frame, once there was one */
    uint8_t any_frame;
    uint8_t any_bytes;
    uint8_t gap;        /* bytes of this side were lost */
    uint8_t hidden;     /* ... that may have been whole frames */
    uint8_t mid_message; /* a continuation may continue what was lost */
    uint8_t swallow;    /* continuations of a fragmented control frame */
    uint8_t alien, told_truncated, told_resync, told_secret, told_mixed, context_secret,
        context_reflected;
    uint8_t ended;      /* eof was called */
    uint8_t broken;     /* it did, before its own Close, what a receiver may fail the connection for
                           (RFC 6455 7.1.7): from there on nobody owes it an answer */
};

enum ws_pmd { WS_PMD_NONE, WS_PMD_AGREED, WS_PMD_GUESSED };

struct websocket {
    struct layer *layer; /* of the current call */
    const struct dissect_options *options;
    struct ws_side side[2];
    uint32_t session;
    uint64_t frames; /* complete, of both sides */
    enum ws_pmd pmd;
    int takeover[2];
    unsigned window_bits[2];
    uint8_t other_extensions;
    uint8_t assumed; /* the answer, or the whole handshake, was lost */
    uint8_t tls;
    uint8_t stream; /* in one of HTTP/2 (RFC 8441), not on a connection of its own */
    uint8_t pings_unknown; /* pings may have been sent before we looked */
    enum { WS_CARRY_UNDECIDED, WS_CARRY_ON, WS_CARRY_OFF } carry;
    uint8_t channels;  /* a subprotocol of Kubernetes: the first byte of a message is its channel */
    uint8_t forwards;  /* the server uses channel 0, which begins with ... */
    uint8_t port_left; /* ... these bytes of a port number */
    char *subprotocol; /* for the carried layer; or NULL */
    size_t subprotocol_len;
    enum side first_close; /* NEITHER */
    int64_t active_ns;     /* when the newest frame was complete, or the layer began */
};

/* --- websocket.c: findings --- */

/* Notes a finding about the frame that is being read; it is emitted with the frame. mark: NULL,
 * that of the byte that completes the frame. */
void ws_find(struct websocket *ws, enum side side, enum rule rule, uint64_t offset,
             const struct mark *mark, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* A finding about something at once. frame: its serial, 0: none. */
void ws_tell(struct websocket *ws, enum side side, enum rule rule, uint64_t offset,
             uint64_t packet, int64_t time_ns, uint64_t frame, const char *format, ...)
    __attribute__((format(printf, 8, 9)));

/* Adds bytes up to `limit` in all. 0, or -1: some were not kept. */
int ws_buffer_add(struct websocket *ws, struct ws_buffer *buffer, const uint8_t *data, size_t len,
                  size_t limit);
void ws_buffer_clear(struct websocket *ws, struct ws_buffer *buffer);

/* --- websocket_header.c --- */

/* 0: complete; else how many bytes it takes at least. */
size_t ws_header_parse(const uint8_t *data, size_t len, struct ws_header *header);
/* What is wrong with a header; only_start: judge its first two bytes. */
unsigned ws_header_faults(const struct websocket *ws, enum side side,
                          const struct ws_header *header, int only_start);
/* The first two bytes are there: opcode, bits and mask, nothing else. */
void ws_header_start(const uint8_t *data, struct ws_header *header);
/* Do the headers seen so far say that this side is not a WebSocket? */
int ws_header_alien(const struct ws_side *s);
unsigned ws_header_structural(unsigned kinds);
void ws_header_report(struct websocket *ws, enum side side, unsigned kinds);

static inline int ws_is_control(unsigned opcode)
{
    return opcode >= WS_CLOSE;
}

static inline int ws_is_known(unsigned opcode)
{
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

/* --- websocket_message.c --- */

void ws_message_frame(struct websocket *ws, enum side side);
void ws_message_payload(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
                        uint64_t offset);
void ws_message_lost(struct websocket *ws, enum side side, uint64_t len);
/* The frame is complete: fills what the event says about the message. */
void ws_message_frame_end(struct websocket *ws, enum side side, struct event_frame *event);
void ws_message_clear(struct websocket *ws, enum side side);
void ws_message_close(struct websocket *ws, enum side side);

/* --- websocket_control.c --- */

void ws_control_payload(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
                        uint64_t offset);
void ws_control_frame_end(struct websocket *ws, enum side side, const struct mark *mark,
                          struct event_frame *event);
/* Any complete frame, of its sender: pings that it does not answer. */
void ws_control_note(struct websocket *ws, enum side side);
void ws_control_hidden(struct websocket *ws, enum side side);
void ws_control_close(struct websocket *ws);
void ws_control_session_end(struct websocket *ws);

/* --- websocket_mask.c --- */

/* to[i] = from[i] ^ key[(phase + i) % 4] */
void ws_unmask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t key[4], uint64_t phase);
void ws_keys_add(struct ws_keys *keys, const uint8_t key[4], uint64_t offset,
                 const struct mark *mark);
void ws_keys_close(struct websocket *ws, enum side side);

/* --- websocket_resync.c --- */

int ws_probe(enum side side, const uint8_t *data, size_t len);
/* Looks for frames in bytes behind a gap. 1: they begin at *skip; 0: not before *skip, and not
 * without *need bytes behind it. final: no more bytes will come. */
int ws_resync(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
              uint64_t offset, int final, size_t *skip, size_t *need, unsigned *frames);

/* --- websocket_secret.c --- */

/* Decoded text of a message, cut anywhere. */
void ws_words_feed(struct websocket *ws, enum side side, const uint8_t *data, size_t len);
void ws_words_end(struct websocket *ws, enum side side);

#endif
