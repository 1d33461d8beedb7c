/*
 * The layers of one flow: opens the root by probing, feeds the dissectors, holds what they do not
 * consume, performs switches and carries, degrades what is lost, and stamps their events with
 * layer, session, time and packet. Knows no protocol by name: registry.c does.
 */
#ifndef SWITCHTAP_STACK_H
#define SWITCHTAP_STACK_H

#include "dissector.h"

struct stack; /* one per flow, from the flow's budget */

/* What the stack needs of the outside; the same for all flows of a table, `flow` differs. */
struct stack_host {
    /* The event is the callee's to read during the call only. The host adds event->flow. */
    void (*emit)(void *flow, struct event *event);
    /* nDPI's opinion about the first bytes of an opaque layer that is not the root, both sides;
     * may be NULL. Static strings. */
    void (*classify)(void *flow, const struct text head[2], struct classification *);
};

/* NULL: the budget is exhausted. host and options outlive the stack. from_start: 0 where the flow
 * was picked up midstream. */
struct stack *stack_new(const struct stack_host *host, void *flow,
                        const struct dissect_options *options, struct budget *budget,
                        int from_start);

/* The next bytes of a side's root stream, in order, cut anywhere; borrowed for the call. The mark
 * is that of all these bytes; its root_offset is that of the first. */
void stack_data(struct stack *, enum side, const uint8_t *, size_t len, const struct mark *);

/* The next len bytes of the side will never come. The mark is that of the packet that proved it. */
void stack_gap(struct stack *, enum side, uint64_t len, const struct mark *);

/* The side sent FIN and everything before it was delivered. */
void stack_eof(struct stack *, enum side, const struct mark *);

/* Nothing more can be learnt: no more data needs to be reassembled for this flow. */
int stack_done(const struct stack *);

/* How the stream ended that TLS carries, where that is all of the flow. */
struct stack_carried_end {
    int64_t active_ns; /* the time of its newest byte; INT64_MIN: no side ended, or no TLS */
    int both;          /* sides ended: in order, whatever TCP did then */
    enum side first;
};
struct stack_carried_end stack_carried_end(const struct stack *);

/* Ends all layers (children first), emits what is owed, ends the open sessions that no dissector
 * ended with `end`. The mark says when. Then stack_free. */
void stack_close(struct stack *, enum session_end end, enum side end_side, int64_t idle_ns,
                 const struct mark *);
void stack_free(struct stack *);

/* Who sent these first bytes of a flow whose SYN was not seen? CLIENT or SERVER by content (a
 * request line, a status line, a TLS hello), NEITHER where they do not tell. */
enum side stack_guess_sender(const uint8_t *, size_t);

#endif
