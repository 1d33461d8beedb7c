/*
 * What the files of HTTP/1.x share: http1_head.c reads start lines and fields, http1_session.c
 * keeps the attempts to switch, http1_exchange.c says what complete heads mean, http1_evidence.c
 * what bytes prove, and http1.c walks through the messages of both sides.
 */
#ifndef SWITCHTAP_HTTP1_PRIVATE_H
#define SWITCHTAP_HTTP1_PRIVATE_H

#include "dissector.h"
#include "http_events.h"


/* --- heads (http1_head.c) --- */

enum {
    HTTP1_LINE_MAX = 32768,  /* a logical line that is longer is cut */
    HTTP1_HEAD_MAX = 65536,  /* bytes of a head that are kept */
    HTTP1_FIELDS_MAX = 256,  /* fields of a head that are kept */
    HTTP1_HEAD_RESERVE = 8192, /* ... and these more for the fields of a handshake */
    HTTP1_FIELDS_RESERVE = 32,
    HTTP1_TARGET_MAX = 8192  /* a request line this long with a known method needs no version */
};

/* What the fields say that matters for every message, gathered as they pass. */
enum {
    HTTP1_UPGRADE = 1,            /* an Upgrade field */
    HTTP1_WEBSOCKET = 2,          /* a Sec-WebSocket-* field */
    HTTP1_CONNECTION_UPGRADE = 4, /* `upgrade` in Connection */
    HTTP1_CLOSE = 8,
    HTTP1_CHUNKED = 16, /* the last transfer coding is chunked */
    HTTP1_TRANSFER = 32,
    HTTP1_LENGTH = 64,
    HTTP1_EXPECT = 128, /* Expect: 100-continue */
    HTTP1_DOCKER = 256, /* a Content-Type of Docker's raw streams */
    HTTP1_HIXIE = 512   /* Sec-WebSocket-Key1: 8 bytes follow the head of the request */
};

enum http1_stage { HTTP1_START_LINE, HTTP1_FIELDS, HTTP1_SKIP_LINE };

struct http1_line { /* a field; positions within the kept bytes */
    uint32_t name_at, name_len, value_at, value_len;
    uint64_t offset; /* behind the head's first byte */
};

struct http1_head {
    uint64_t offset; /* of the first byte */
    uint64_t length; /* bytes consumed */
    enum http1_stage stage;
    int response;
    int ends_at_garbage; /* a 101 is awaited: what cannot begin a field ends the head */
    unsigned flags, seen, minor, status;
    uint32_t method_len, target_at, target_len; /* the method begins at 0 */
    uint32_t reason_at, reason_len, host_at, host_len;
    uint64_t content_length, flaw_offset;
    size_t scanned; /* bytes behind the consumed ones that are known not to end the line */
    struct http1_line *lines;
    size_t count, cap;
    char *buffer; /* what is kept, where the head came in pieces or was cut */
    size_t stored, buffer_cap;
    size_t segment; /* within the slice: where the bytes begin that are to be kept next */
    int closed;     /* there is no memory: nothing more is kept */
};

/* < 0: these bytes do not begin a request (status) line; 0: more bytes are needed; > 0: they do. */
int http1_request_probe(const uint8_t *data, size_t len);
int http1_status_probe(const uint8_t *data, size_t len);

/* Begins a head at the offset; keeps the memory of the one before. */
void http1_head_begin(struct http1_head *head, int response, uint64_t offset);
void http1_head_release(struct http1_head *head, struct budget *budget);

/* Consumes whole lines of a slice that begins where the last call ended. Returns how many bytes;
 * *done: the head is complete, and `base` its bytes, valid as long as the slice. Where it is not
 * done, more bytes than the slice has are needed. */
size_t http1_head_feed(struct http1_head *head, struct layer *layer, const struct slice *slice,
                       int *done, const char **base);

/* A part of a complete head, or TEXT_NONE where a limit cut it off. */
struct text http1_head_text(const struct http1_head *head, const char *base, uint32_t at,
                            uint32_t len);

/* Copies a complete head. *block is from the budget and owned by the caller. 0, -1: no memory. */
int http1_head_copy(const struct http1_head *head, const char *base, struct budget *budget,
                    struct http_head *out, void **block);

/* --- attempts (http1_session.c) --- */

struct http1_attempt { /* to switch: one request and what became of it */
    uint32_t session; /* 0: not announced yet */
    struct upgrade upgrade;
    struct http_head request;
    void *block;     /* owns what request points to */
    uint64_t packet; /* that completed the request */
    int64_t time_ns;
    uint64_t root_end; /* the last byte of the request, in the client's root stream */
    int candidate;   /* no Upgrade: a session only where the answer is a raw stream of Docker's */
    int fast_start;  /* Derp-Fast-Start: the server switches without an answer */
    int lost;        /* the answer may be in a gap */
    int early;       /* payload came before the refusal of a CONNECT; not told yet what followed */
    int told;        /* what followed the refusal was reported */
    int granted;     /* by an answer that came before the request's body was complete */
    struct upgrade_verdict verdict;
    struct http_head answer; /* of a grant that waits, or of a 101 that nobody asked for */
    void *answer_block;
};

struct http1;

/* The attempt that a complete request head makes, or NULL (no memory, reported). */
struct http1_attempt *http1_attempt_new(struct http1 *http, const struct http1_head *head,
                                        const char *base);
/* One whose request was not captured (mechanism upgrade or connect), or was not asked for. */
struct http1_attempt *http1_attempt_blank(struct http1 *http, enum mechanism mechanism);
void http1_attempt_free(struct http1 *http, struct http1_attempt *attempt);

/* Announces the session with its request and judges that. Once; again: nothing. */
void http1_attempt_open(struct http1 *http, struct http1_attempt *attempt);

/* Judges the final answer and tells it; the outcome is in attempt->verdict. */
void http1_attempt_answer(struct http1 *http, struct http1_attempt *attempt,
                          const struct http_head *answer);

/* The session that a 101 opens which nobody asked for, or whose request was lost. */
void http1_attempt_grant(struct http1 *http, struct http1_attempt *attempt, int unsolicited);

/* Asks the engine for the successor. answer NULL: it was lost. early: the rule for client bytes
 * that were sent too soon, or NULL. */
void http1_attempt_switch(struct http1 *http, struct http1_attempt *attempt,
                          const struct http_head *answer, const enum rule *early);

/* A finding of the attempt's session. */
void http1_attempt_finding(struct http1 *http, const struct http1_attempt *attempt, enum side side,
                           enum rule rule, uint64_t offset, const char *text);

/* --- evidence about bytes whose owner is not known (http1_evidence.c) --- */

enum http1_proof { HTTP1_PROOF_NONE, HTTP1_PROOF_MORE, HTTP1_PROOF_SWITCH, HTTP1_PROOF_HTTP };

/* What the bytes behind a request say about an answer that was lost. */
enum http1_proof http1_prove(const struct http1 *http, const struct http1_attempt *attempt,
                             enum side side, const uint8_t *data, size_t len);

/* Was the client's first held byte sent before its sender can have seen the answer, which ends at
 * `end` of the server's stream? Provably: 0 where it is not known. */
int http1_sent_before(const struct http1 *http, uint64_t end);

/* Where in the line that ends at len a request (status) line begins; len: nowhere. */
size_t http1_find_request(const uint8_t *line, size_t len);
size_t http1_find_status(const uint8_t *line, size_t len);

/* --- both sides (http1.c) --- */

enum { HTTP1_QUEUE = 64, HTTP1_MEMO = 384 };

enum { /* an outstanding request */
    HTTP1_REQUEST_HEAD = 1,
    HTTP1_REQUEST_ATTEMPT = 2,
    HTTP1_REQUEST_UNKNOWN = 4, /* any number of them: their bytes were lost */
    HTTP1_REQUEST_ANSWERED = 8 /* unknown ones: an answer came already */
};

enum http1_state {
    HTTP1_START,
    HTTP1_HEAD,
    HTTP1_BODY,       /* `left` bytes */
    HTTP1_BODY_DOUBT, /* the same, unless a new message begins here */
    HTTP1_BODY_CLOSE, /* until the end of the stream */
    HTTP1_CHUNK_SIZE,
    HTTP1_CHUNK_REST, /* of the size line: extensions */
    HTTP1_CHUNK_DATA,
    HTTP1_CHUNK_END,
    HTTP1_TRAILER,      /* at the beginning of a line */
    HTTP1_TRAILER_LINE, /* inside one */
    HTTP1_RESYNC        /* looking for the next message */
};

struct http1_side {
    enum http1_state state;
    uint64_t left;    /* bytes of the body or the chunk */
    uint64_t passed;  /* bytes looked through since the place was lost */
    size_t scanned;   /* of the bytes that are waiting */
    struct http1_head head;
};

struct http1 {
    struct layer *layer;
    struct http1_side side[2];
    uint8_t queue[HTTP1_QUEUE];
    unsigned queue_at, queue_count;
    int secure;         /* inside TLS */
    int requests;       /* a request was complete */
    int responses;      /* the head of an answer was complete */
    int client_waiting; /* held bytes that the client's side may go on with */
    int server_lost;    /* answers were lost in a gap */

    int early_told;     /* server bytes in front of a status line were reported */
    int early_answer;   /* an answer came before any request: 1, told where one follows */
    uint64_t early_offset, early_packet;
    int64_t early_time_ns;
    struct http1_attempt *attempt;     /* waits for its answer */
    struct http1_attempt *past;        /* was refused; what follows is watched */
    struct http1_attempt *unsolicited; /* a 101 that nobody asked for: does it switch? */
    char memo[HTTP1_MEMO]; /* method, target and Host of the newest request */
    uint16_t memo_method, memo_target, memo_host; /* lengths */
};

/* One state's work on the bytes of a side that are not consumed; len > 0. */
struct result http1_step(struct http1 *http, enum side side, const struct slice *slice);

/* A gap or rubbish: what follows is looked through for the next message. */
struct result http1_lose_place(struct http1 *http, enum side side);

/* --- what complete heads mean (http1_exchange.c) --- */

/* Flags of the oldest outstanding request, -1: none. */
int http1_queue_front(const struct http1 *http);
void http1_queue_unknown(struct http1 *http);

/* The head of http->side[..].head is complete, its bytes begin at base. */
enum verdict http1_request_done(struct http1 *http, const char *base);
enum verdict http1_response_done(struct http1 *http, const char *base, const struct slice *slice,
                                 size_t consumed);

/* Bytes of a server that switches without an answer. */
struct result http1_fast_start(struct http1 *http, const struct slice *slice);

/* A 101 that nobody asked for, or an attempt whose answer is lost: what do the next bytes of a
 * side say? 1: *result is the answer to the engine; 0: go on as HTTP. */
int http1_decide_unsolicited(struct http1 *http, enum side side, const struct slice *slice,
                             struct result *result);
int http1_resolve(struct http1 *http, enum side side, const struct slice *slice,
                  struct result *result);

/* The server has ended, or all has: what still waits for an answer gets none. */
void http1_answers_end(struct http1 *http);

#endif
