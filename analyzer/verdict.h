/*
 * What happened to a session and why, as one plain sentence.
 */
#ifndef SWITCHTAP_VERDICT_H
#define SWITCHTAP_VERDICT_H

#include "../schema/event.h"
#include "output.h"

/* What is known so far. Texts may be absent; their bytes may be anything. */
struct verdict {
    enum mechanism mechanism;
    enum outcome outcome;
    enum cause cause;
    int answered;        /* an answer was seen (or is proven by what follows) */
    int status;          /* 0: none */
    int64_t wait_ns;     /* from the request to the answer; -1: one of them was not captured */
    struct text offered, accepted, reason, host, origin, path, location;
    struct text target;  /* of SOCKS: host and port */
    enum side answered_by; /* of Gnutella: the client has the last word */
    struct text method;  /* of SOCKS, of a STARTTLS or its kin: the command as sent */
    struct text clear;   /* ... and what the client sent in the clear after it was refused */
    int no_hello;        /* ... or granted: what follows is not what was agreed */
    struct text failure; /* why the protection that was begun came to nothing */
    int ended;
    enum session_end end;
    enum side end_side;
    int64_t idle_ns;     /* silence before the end */
    int64_t duration_ns; /* from the answer (or the request) to the end; -1: unknown */
    int websocket;
    uint64_t messages;   /* of both sides */
    int32_t close_code[2]; /* -1: none */
    uint64_t frames_lost;
    int network;         /* the flow has ended and these are known: */
    uint64_t resent[2];  /* packets that a side had to send again */
    int64_t rtt_ns;      /* the smallest round trip of both; -1: unknown */
};

/* Appends the sentence: printable ASCII, without a full stop. Text from the wire is cut and what
 * is not ASCII is escaped, so that the sentence does not depend on a locale. */
void verdict_write(const struct verdict *verdict, struct buffer *out);

#endif
