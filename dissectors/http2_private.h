/*
 * What the files of HTTP/2 share: http2.c walks through the frames of both sides, http2_frame.c
 * says what they mean, http2_hpack.c decodes header blocks (the only file that knows nghttp2),
 * http2_head.c keeps the fields that matter, http2_stream.c the streams that somebody wants, and
 * http2_session.c their attempts to switch.
 */
#ifndef SWITCHTAP_HTTP2_PRIVATE_H
#define SWITCHTAP_HTTP2_PRIVATE_H

#include "dissector.h"
#include "http_events.h"

struct http2;

/* --- header compression (http2_hpack.c) --- */

enum { HTTP2_HPACK_ERROR = -1, HTTP2_HPACK_MEMORY = -2 };

struct http2_hpack;

/* NULL: no memory. */
struct http2_hpack *http2_hpack_new(struct budget *budget);
void http2_hpack_free(struct http2_hpack *hpack);

/* Decodes the next bytes of a block; last: it ends with them. Each field goes to `field` with the
 * number of these bytes that were read up to its end. 0, or one of the errors above: this
 * direction cannot be decoded any further. */
typedef void http2_hpack_field(void *context, struct text name, struct text value, size_t read);
int http2_hpack_feed(struct http2_hpack *hpack, const uint8_t *data, size_t len, int last,
                     http2_hpack_field *field, void *context);

/* --- the fields of a block (http2_head.c) --- */

enum {
    HTTP2_HEAD_MAX = 65536,  /* bytes of fields that are kept */
    HTTP2_FIELDS_MAX = 256
};

struct http2_line { /* a field; positions within the kept bytes */
    uint32_t name_at, name_len, value_at, value_len;
    uint64_t offset;
};

struct http2_fields { /* of the block that is being read; the memory is used again */
    int keep;    /* all fields are wanted; else pseudo-header fields of a request only */
    int regular; /* a field that is none of those was there */
    int cut;     /* some were not kept */
    int request;
    unsigned status; /* of an answer; 0: none */
    struct http2_line *lines;
    size_t count, cap;
    char *bytes;
    size_t len, size;
    uint64_t field_offset;     /* where the next field begins */
    char forbidden[64];        /* the first that has no place in HTTP/2, as "name: value" */
    uint64_t forbidden_offset;
};

/* Begins a block of a request (or a push), or of an answer. keep: see above. */
void http2_fields_begin(struct http2_fields *fields, int request, int keep, uint64_t offset);
void http2_fields_add(struct http2 *http, struct http2_fields *fields, struct text name,
                      struct text value, uint64_t end);
struct text http2_fields_value(const struct http2_fields *fields, const char *name);
/* Copies what was kept. *block is from the budget and owned by the caller. 0, -1: no memory. */
int http2_fields_head(struct http2 *http, const struct http2_fields *fields, uint64_t offset,
                      uint64_t end, struct http_head *head, void **block);
void http2_fields_release(struct http2 *http, struct http2_fields *fields);

/* --- streams that ask for another protocol (http2_stream.c) --- */

struct http2_attempt { /* a request that has no answer yet */
    struct upgrade upgrade;
    struct http_head request;
    void *block;
    uint64_t packet; /* that completed it */
    int64_t time_ns;
    struct mark begin; /* of its first byte */
    int early;         /* there are bytes of the stream already: */
    struct mark early_mark;
    uint64_t early_offset;
};

struct http2_stream {
    struct http2_stream *next;
    uint32_t id, session;
    struct http2_attempt *attempt; /* NULL: it was granted, */
    uint64_t refused_end; /* ... or, if not 0, refused: behind that, in the server's root stream */
    uint8_t websocket;
    uint8_t held;     /* a layer waits for the grant */
    uint8_t carried;  /* a layer has its bytes */
    uint8_t unwanted; /* ... and wants no more of them */
    uint8_t ended[2];
    enum side first_end; /* who ended it first */
    int64_t active_ns;   /* its newest byte, or its grant */
    int64_t idle_ns;     /* the silence before the first end */
};

struct http2_streams {
    struct http2_stream **buckets;
    size_t size, count; /* size: a power of two */
    size_t attempts;    /* of them without an answer */
};

enum { HTTP2_STREAMS_MAX = 4096 };

struct http2_stream *http2_stream_find(const struct http2 *http, uint32_t id);
/* NULL: a limit, reported. */
struct http2_stream *http2_stream_add(struct http2 *http, uint32_t id);
void http2_stream_remove(struct http2 *http, struct http2_stream *stream);
void http2_attempt_free(struct http2 *http, struct http2_stream *stream);
/* The numbers above `above`, ascending, of all streams or of those without an answer; from the
 * budget. NULL: there are none, or there is no memory for them (reported). */
uint32_t *http2_stream_ids(struct http2 *http, uint32_t above, int attempts, size_t *count);
void http2_streams_release(struct http2 *http);

/* --- both sides (http2.c, http2_frame.c) --- */

enum {
    HTTP2_FRAME_HEADER = 9,
    HTTP2_FRAME_SIZE = 16384, /* what every frame may have (RFC 9113 4.2) */
    HTTP2_PREFACE = 24
};

enum http2_type {
    HTTP2_DATA, HTTP2_HEADERS, HTTP2_PRIORITY, HTTP2_RST_STREAM, HTTP2_SETTINGS,
    HTTP2_PUSH_PROMISE, HTTP2_PING, HTTP2_GOAWAY, HTTP2_WINDOW_UPDATE, HTTP2_CONTINUATION
};

enum { HTTP2_END_STREAM = 1, HTTP2_ACK = 1, HTTP2_END_HEADERS = 4, HTTP2_PADDED = 8,
       HTTP2_HAS_PRIORITY = 32 };

enum { HTTP2_MAX_STREAMS = 3, HTTP2_MAX_FRAME_SIZE = 5, HTTP2_ENABLE_CONNECT_PROTOCOL = 8 };

enum { HTTP2_CODE_UNKNOWN = 0x7fffffff }; /* an error code that was not captured */

enum http2_state {
    HTTP2_AT_PREFACE,
    HTTP2_AT_FRAME,
    HTTP2_AT_PREFIX, /* `prefix` bytes of the payload that are read as one */
    HTTP2_IN_BODY,   /* fragment, data, settings: `left` without the padding behind it */
    HTTP2_IN_REST    /* padding and what nobody reads */
};

struct http2_frame {
    uint32_t length, stream;
    uint8_t type, flags;
    uint64_t offset;  /* of its header */
    uint32_t left;    /* bytes of the payload that are not consumed */
    uint32_t padding; /* of these at the end */
    uint32_t prefix;
    uint32_t code; /* of a RST_STREAM */
    int skip;      /* nobody reads it */
};

enum http2_block_kind { HTTP2_BLOCK_NONE, HTTP2_BLOCK_REQUEST, HTTP2_BLOCK_ANSWER,
                        HTTP2_BLOCK_OTHER };

struct http2_block { /* a header block that is being read */
    enum http2_block_kind kind;
    uint32_t stream;
    int end_stream;
    uint64_t offset;   /* of its first frame */
    struct mark begin; /* of the first byte there */
};

struct http2_side {
    enum http2_state state;
    struct http2_frame frame;
    struct http2_block block;
    struct http2_hpack *hpack;
    struct http2_fields fields;
    int undecodable;      /* header blocks are, since bytes were lost */
    int any_frame;        /* the header of the first frame was there, */
    int began;            /* ... and all of it */
    int gap;              /* bytes were lost */
    uint32_t frame_size;  /* that this side takes, the largest it ever said */
    int connect_protocol; /* the newest value of that setting, -1: none */
    uint64_t connect_end; /* root offset behind the SETTINGS that allowed it first; 0: none */
    int64_t max_streams;  /* -1: not said */
    int64_t goaway;       /* the last error code, -1: none */
};

struct http2 {
    struct layer *layer;
    struct http2_side side[2];
    struct http2_streams streams; /* that somebody wants */
    uint32_t highest; /* stream that the client opened */
    int secure;       /* inside TLS */
    int upgraded;     /* from HTTP/1.1: stream 1 is the request of that */
    char *path;       /* of that request, where h2c-smuggling may be told; or NULL */
    size_t path_len;
    unsigned upgraded_status;
    uint64_t streams_opened, requests, pushes, extended, connects;
    char lost[96]; /* why the rest could not be read; or empty */
};

/* The rest cannot be read: notes why, the first reason counts. */
struct result http2_lose(struct http2 *http, enum side side, const char *why);

/* A frame's header was read: sets what of its payload is read, and how. 0; -1: lost. */
int http2_frame_begin(struct http2 *http, enum side side);
/* The `prefix` bytes. 0; -1: lost. */
int http2_frame_prefix(struct http2 *http, enum side side, const uint8_t *data, uint64_t offset);
/* Bytes of the body, at least one; returns how many were taken (0: more are needed), -1: lost. */
int64_t http2_frame_body(struct http2 *http, enum side side, const uint8_t *data, size_t len,
                         uint64_t offset);
/* The payload has passed; `end` is the offset behind it. 0; -1: lost. */
int http2_frame_end(struct http2 *http, enum side side, uint64_t end);
/* The next len bytes of the payload were lost. */
void http2_frame_gap(struct http2 *http, enum side side, uint32_t len);

const char *http2_error_name(uint32_t code, char buffer[16]);

/* --- attempts (http2_session.c) --- */

/* A header block is complete; it ends in front of `end`. */
void http2_request_done(struct http2 *http, uint64_t end);
void http2_answer_done(struct http2 *http, uint64_t end);
/* The block of an answer to this stream cannot be read. */
void http2_answer_lost(struct http2 *http, struct http2_stream *stream, uint64_t offset);
/* Bytes of a stream. */
void http2_session_data(struct http2 *http, struct http2_stream *stream, enum side side,
                        const uint8_t *data, size_t len, uint64_t offset);
void http2_session_gap(struct http2 *http, struct http2_stream *stream, enum side side,
                       uint32_t len);
/* A side of a stream ends with the frame in front of `end`. */
void http2_session_eof(struct http2 *http, uint32_t id, enum side side, uint64_t end);
void http2_session_reset(struct http2 *http, struct http2_stream *stream, enum side side,
                         uint32_t code, uint64_t end);
/* The server will not look at streams above `last`. */
void http2_session_goaway(struct http2 *http, uint32_t last, uint32_t code, uint64_t end);
/* A setting of the server's, whether it may be used. */
void http2_session_setting(struct http2 *http, enum side side, uint32_t value, uint64_t offset);
/* The layer ends. */
void http2_sessions_end(struct http2 *http);

#endif
