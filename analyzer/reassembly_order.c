/*
 * The order of delivery. A run goes out when it is next in its own stream and all bytes of the peer
 * that its sender had acknowledged went out before it, whatever order the packets were captured in.
 * Bytes that are not there are waited for, in packets of the flow and in capture time, and then
 * declared a gap; limits and the end of the flow cut the wait short.
 *
 * A hole is proven by what lies behind it (held bytes, a FIN, bytes that the snaplen cut off) or by
 * an acknowledgement alone. The second kind is weaker: an acknowledgement may lie. So it is
 * dropped, not turned into a gap, when its side shows by its sequence numbers that it never sent
 * so much, and when the one number too many can be that of a FIN.
 */
#include "reassembly_private.h"

#include <assert.h>
#include <string.h>

enum { EXPIRED_PATIENCE = 3, EXPIRED_SHIFT = 6 };

/* Bytes of a half that are missing next: [next, to). */
struct hole {
    uint64_t to;
    int ack_only;  /* nothing seen lies behind it */
    int doubtful;  /* what lies behind it, or in it, is in doubt */
    int confirmed; /* the peer has the bytes (or was never there to say so) */
    int over;      /* the wait is */
    const struct stamp *stamp; /* what proves it */
};

struct mark reassembly_order_mark(const struct reassembly *r, enum side side,
                                  const struct stamp *stamp, uint64_t at)
{
    const struct half *half = &r->half[side], *peer = &r->half[side_peer(side)];
    struct mark mark = {.packet = stamp->packet,
                        .time_ns = stamp->time_ns,
                        .acked_valid = stamp->ack_valid && peer->started,
                        .root_offset = at - half->start};
    if (mark.acked_valid) {
        /* A FIN has a number, and a lie any: only bytes that exist can have been acknowledged. */
        uint64_t ack = stamp->ack < peer->next ? stamp->ack : peer->next;
        mark.acked = ack > peer->start ? ack - peer->start : 0;
    }
    return mark;
}

void reassembly_order_limit(struct reassembly *r, enum side side, enum limit limit,
                            const struct stamp *stamp)
{
    struct half *half = &r->half[side];
    if (half->limits & 1u << limit)
        return;
    half->limits |= 1u << limit;
    struct mark mark = reassembly_order_mark(r, side, stamp, half->next);
    if (limit == LIMIT_HELD)
        r->handler->limit(r->flow, side, "reassembly.held", r->options.held_limit, &mark);
    else
        r->handler->limit(r->flow, side, "reassembly.memory", r->budget->limit, &mark);
}

int reassembly_order_blocked(const struct reassembly *r, enum side side, const struct stamp *stamp)
{
    const struct half *peer = &r->half[side_peer(side)];
    if (!stamp->ack_valid || !peer->started)
        return 0;
    uint64_t ack = stamp->ack < peer->acked ? stamp->ack : peer->acked;
    return ack > peer->next + peer->fin_done;
}

void reassembly_order_wait(struct reassembly *r, struct half *half, const struct stamp *stamp)
{
    half->ack_stamp = *stamp;
    half->ack_stamp.ack_valid = 0; /* it is the peer's acknowledgement */
    half->ack_arrived = r->packets;
    half->ack_arrived_ns = r->now_ns;
    half->heard = 0;
}

void reassembly_order_deliver(struct reassembly *r, enum side side, const struct run *run)
{
    struct half *half = &r->half[side];
    assert(run->at == half->next && run->end > run->at);
    size_t len = (size_t)(run->end - run->at);
    struct mark mark = reassembly_order_mark(r, side, run->stamp, run->at);
    half->next = run->end;
    if (half->end < run->end)
        half->end = run->end;
    if (half->acked > half->next) {
        /* The missing bytes are coming after all: what is left of them is waited for anew. */
        half->ack_arrived = r->packets;
        half->ack_arrived_ns = r->now_ns;
    }
    if (reassembly_recent_add(&half->recent, r->options.recent_limit, run->at, run->bytes, len,
                              r->budget) != 0)
        reassembly_order_limit(r, side, LIMIT_MEMORY, run->stamp);
    r->handler->data(r->flow, side, run->bytes, len, &mark);
}

static void order_gap(struct reassembly *r, enum side side, uint64_t to, const struct stamp *stamp)
{
    struct half *half = &r->half[side];
    uint64_t from = half->next;
    assert(to > from);
    struct mark mark = reassembly_order_mark(r, side, stamp, from);
    half->gap = (struct span){from, to};
    half->counters.missing += to - from;
    half->next = to;
    if (half->end < to)
        half->end = to;
    r->handler->gap(r->flow, side, from - half->start, to - from, &mark);
}

/* --- heads: what would be delivered next --- */

/* The bytes that are next are there, but in doubt. */
static int order_doubted(const struct half *half)
{
    const struct held *first = half->held.first;
    return first != NULL && first->at == half->next && first->doubt != DOUBT_NONE;
}

static int order_fin_next(const struct half *half)
{
    return half->fin_known && !half->fin_done && half->next == half->fin;
}

static const struct stamp *order_head(const struct half *half)
{
    const struct held *first = half->held.first;
    if (first != NULL && first->at == half->next)
        return first->doubt == DOUBT_NONE ? &first->stamp : NULL;
    return order_fin_next(half) ? &half->fin_stamp : NULL;
}

static void order_deliver_head(struct reassembly *r, enum side side)
{
    struct half *half = &r->half[side];
    struct held *first = half->held.first;
    if (first != NULL && first->at == half->next) {
        reassembly_held_remove(&half->held, first);
        struct run run = {.at = first->at,
                          .end = reassembly_held_end(first),
                          .bytes = reassembly_held_bytes(first),
                          .stamp = &first->stamp};
        reassembly_order_deliver(r, side, &run);
        budget_free(r->budget, first);
        return;
    }
    half->fin_done = 1;
    struct mark mark = reassembly_order_mark(r, side, &half->fin_stamp, half->fin);
    r->handler->eof(r->flow, side, &mark);
}

/* --- holes --- */

static int order_over(const struct reassembly *r, const struct half *half, uint64_t since,
                      int64_t since_ns)
{
    /* Whoever never gets the bytes learns to wait less. */
    unsigned shift = half->expired > EXPIRED_PATIENCE ? half->expired - EXPIRED_PATIENCE : 0;
    if (shift > EXPIRED_SHIFT)
        shift = EXPIRED_SHIFT;
    uint64_t packets = r->options.gap_packets >> shift;
    if (packets == 0 && r->options.gap_packets > 0)
        packets = 1;
    uint64_t wait_ns =
        r->options.gap_timeout_ns > 0 ? (uint64_t)r->options.gap_timeout_ns >> shift : 0;
    return r->packets - since >= packets || (uint64_t)r->now_ns - (uint64_t)since_ns >= wait_ns;
}

/* The hole that something seen proves. */
static int order_hole_seen(const struct reassembly *r, const struct half *half, struct hole *hole)
{
    const struct held *first = half->held.first;
    if (first != NULL) {
        hole->to = first->at > half->next ? first->at : reassembly_held_end(first);
        hole->doubtful = first->doubt != DOUBT_NONE;
        hole->stamp = &first->stamp;
        hole->over = order_over(r, half, first->arrived, first->arrived_ns);
        return 1;
    }
    if (half->end > half->next && (!half->fin_known || half->end < half->fin)) {
        hole->to = half->end;
        hole->stamp = &half->tail_stamp;
        hole->over = order_over(r, half, half->tail_arrived, half->tail_arrived_ns);
        return 1;
    }
    if (half->fin_known && half->fin > half->next) {
        hole->to = half->fin;
        hole->stamp = &half->fin_stamp;
        hole->over = order_over(r, half, half->fin_arrived, half->fin_arrived_ns);
        return 1;
    }
    return 0;
}

static int order_hole(const struct reassembly *r, enum side side, struct hole *hole)
{
    const struct half *half = &r->half[side];
    *hole = (struct hole){0};
    if (!half->started || order_head(half) != NULL)
        return 0;
    int seen = order_hole_seen(r, half, hole);
    uint64_t acked = half->acked;
    if (half->fin_known && acked > half->fin)
        acked = half->fin;
    if (acked > half->next) {
        hole->confirmed = 1;
        hole->over |= (!seen && half->absent) ||
                      order_over(r, half, half->ack_arrived, half->ack_arrived_ns);
        if (!seen) {
            hole->ack_only = 1;
            hole->to = acked;
            hole->stamp = &half->ack_stamp;
        } else if (acked < hole->to && !order_doubted(half)) {
            hole->to = acked;
        }
        return 1;
    }
    hole->confirmed = seen && !r->half[side_peer(side)].seen;
    return seen;
}

static void order_drop(struct reassembly *r, struct half *half, struct held *held)
{
    reassembly_held_remove(&half->held, held);
    budget_free(r->budget, held);
    half->counters.ignored++;
}

/* An acknowledgement alone, against what its side said itself, or of a FIN that was lost. */
static int order_unsupported(const struct half *half, const struct hole *hole)
{
    int denied = half->heard && half->heard_end + 1 < hole->to;
    int lost_fin = !half->fin_known && hole->to == half->next + 1;
    return hole->ack_only && (denied || lost_fin);
}

/* Ends the wait for a hole: bytes in doubt are taken or dropped, an acknowledgement that nothing
 * supports is forgotten, else there is a gap. Makes progress in any case. */
static void order_settle(struct reassembly *r, enum side side, const struct hole *hole)
{
    struct half *half = &r->half[side];
    struct held *first = half->held.first;
    if (hole->doubtful && !hole->confirmed) {
        order_drop(r, half, first);
        return;
    }
    if (order_doubted(half)) {
        if (first->doubt == DOUBT_TIME)
            half->ts_off = 1; /* its receiver took it: these timestamps mean something else */
        first->doubt = DOUBT_NONE;
        return;
    }
    if (order_unsupported(half, hole)) {
        half->phantom = half->acked;
        half->acked = half->next;
        return;
    }
    order_gap(r, side, hole->to, hole->stamp);
}

static int order_expire(struct reassembly *r, enum side side)
{
    struct half *half = &r->half[side];
    struct hole hole;
    if (!order_hole(r, side, &hole) || !hole.confirmed || !hole.over)
        return 0;
    half->expired++;
    if (hole.ack_only && !half->heard)
        half->absent = 1;
    order_settle(r, side, &hole);
    return 1;
}

/* NEITHER, or the side whose head can be delivered; of two the one captured first. */
static enum side order_ready(const struct reassembly *r, const struct stamp *head[2], int *deadlock)
{
    int go[2], blocked[2];
    for (int side = CLIENT; side <= SERVER; side++) {
        head[side] = order_head(&r->half[side]);
        blocked[side] =
            head[side] != NULL && reassembly_order_blocked(r, (enum side)side, head[side]);
        go[side] = head[side] != NULL && !blocked[side];
    }
    *deadlock = blocked[CLIENT] && blocked[SERVER];
    if (*deadlock || (go[CLIENT] && go[SERVER]))
        return head[CLIENT]->packet <= head[SERVER]->packet ? CLIENT : SERVER;
    return go[CLIENT] ? CLIENT : go[SERVER] ? SERVER : NEITHER;
}

static int order_head_over(const struct reassembly *r, const struct half *half)
{
    const struct held *first = half->held.first;
    if (first != NULL && first->at == half->next)
        return order_over(r, half, first->arrived, first->arrived_ns);
    return order_over(r, half, half->fin_arrived, half->fin_arrived_ns);
}

/* Two heads that wait for each other: bytes known only from a retransmission, which acknowledges
 * more than the first copy did, or a lie. The first copy may still come. Then the head captured
 * first goes first. */
static int order_step(struct reassembly *r, int patient)
{
    const struct stamp *head[2];
    int deadlock;
    enum side side = order_ready(r, head, &deadlock);
    if (side == NEITHER)
        return 0;
    if (deadlock && patient &&
        !(order_head_over(r, &r->half[CLIENT]) && order_head_over(r, &r->half[SERVER])))
        return 0;
    order_deliver_head(r, side);
    return 1;
}

void reassembly_order_drain(struct reassembly *r)
{
    while (order_step(r, 1) || order_expire(r, CLIENT) || order_expire(r, SERVER))
        ;
}

/* --- limits and the end --- */

/* Makes the first thing that a side holds go away, by whatever has to be declared missing. */
static void order_force(struct reassembly *r, enum side side)
{
    struct hole hole;
    if (order_hole(r, side, &hole))
        order_settle(r, side, &hole);
    else if (order_hole(r, side_peer(side), &hole))
        order_settle(r, side_peer(side), &hole);
    else
        (void)order_step(r, 0);
    reassembly_order_drain(r);
}

/* Nothing is delivered any more: what was acknowledged and never came is just counted. */
static void order_count_tail(struct reassembly *r, enum side side)
{
    struct half *half = &r->half[side];
    struct hole hole;
    if (!order_hole(r, side, &hole) || order_unsupported(half, &hole))
        return;
    half->counters.missing += hole.to - half->next;
    half->next = half->end = hole.to;
}

void reassembly_flush(struct reassembly *r, const struct mark *mark)
{
    if (mark->time_ns > r->now_ns)
        r->now_ns = mark->time_ns;
    if (r->stopped) {
        order_count_tail(r, CLIENT);
        order_count_tail(r, SERVER);
        return;
    }
    for (;;) {
        struct hole hole[2];
        reassembly_order_drain(r);
        int client = order_hole(r, CLIENT, &hole[CLIENT]);
        int server = order_hole(r, SERVER, &hole[SERVER]);
        if (!client && !server) {
            if (!order_step(r, 0))
                break;
            continue;
        }
        enum side side = client ? CLIENT : SERVER;
        if (client && server && hole[SERVER].stamp->packet < hole[CLIENT].stamp->packet)
            side = SERVER;
        order_settle(r, side, &hole[side]);
    }
    assert(r->half[CLIENT].held.count == 0 && r->half[SERVER].held.count == 0);
}

/* Puts what nobody else has of a run into the tree; -1: some of it was lost for want of memory. */
static int order_place(struct reassembly *r, struct half *half, const struct run *run)
{
    int status = 0;
    uint64_t at = run->at;
    while (at < run->end) {
        struct held *held = reassembly_held_find(&half->held, at);
        uint64_t to = run->end;
        if (held != NULL && held->at <= at) {
            at = reassembly_held_end(held);
            continue;
        }
        if (held != NULL && held->at < to)
            to = held->at;
        struct held *new =
            reassembly_held_new(r->budget, run->bytes + (at - run->at), (uint32_t)(to - at));
        if (new == NULL) {
            status = -1;
        } else {
            new->at = at;
            new->arrived = r->packets;
            new->arrived_ns = r->now_ns;
            new->stamp = *run->stamp;
            new->doubt = (uint8_t)run->doubt;
            reassembly_held_insert(&half->held, new);
        }
        at = to;
    }
    return status;
}

/* The same bytes once more, [from, to) of a held run. Of two copies the one whose sender had
 * acknowledged less was sent first: that one counts. And bytes that come in a segment which is
 * beyond doubt are so too. */
static void order_agree(struct reassembly *r, enum side side, struct held *held,
                        const struct run *run, uint64_t from, uint64_t to)
{
    struct half *half = &r->half[side];
    int certain = held->doubt != DOUBT_NONE && run->doubt == DOUBT_NONE;
    int earlier = run->stamp->ack_valid &&
                  (!held->stamp.ack_valid || run->stamp->ack < held->stamp.ack);
    if (!certain && !(earlier && held->stamp.ack_valid))
        return;
    if (from > held->at)
        held = reassembly_held_split(&half->held, held, from, r->budget);
    if (held != NULL && to < reassembly_held_end(held) &&
        reassembly_held_split(&half->held, held, to, r->budget) == NULL)
        held = NULL;
    if (held == NULL) {
        reassembly_order_limit(r, side, LIMIT_MEMORY, run->stamp);
        return;
    }
    if (certain)
        held->doubt = DOUBT_NONE;
    if (earlier)
        held->stamp = *run->stamp;
}

/* Clears the way for a run: held runs that yield to it are cut. */
static void order_contend(struct reassembly *r, enum side side, const struct run *run)
{
    struct half *half = &r->half[side];
    for (uint64_t at = run->at; at < run->end;) {
        struct held *held = reassembly_held_find(&half->held, at);
        if (held == NULL || held->at >= run->end)
            return;
        uint64_t from = held->at > at ? held->at : at;
        uint64_t to = reassembly_held_end(held) < run->end ? reassembly_held_end(held) : run->end;
        int same = memcmp(reassembly_held_bytes(held) + (from - held->at),
                          run->bytes + (from - run->at), (size_t)(to - from)) == 0;
        if (same)
            order_agree(r, side, held, run, from, to);
        else if (reassembly_held_yields(held, r->options.policy, run->at, run->end, run->doubt) &&
                 reassembly_held_cut(&half->held, held, from, to, r->budget) != 0)
            reassembly_order_limit(r, side, LIMIT_MEMORY, run->stamp);
        at = to;
    }
}

/* What of a run was delivered meanwhile is taken off; 0 when nothing is left. */
static int order_trim(const struct half *half, struct run *run)
{
    if (run->end <= half->next)
        return 0;
    if (run->at < half->next) {
        run->bytes += half->next - run->at;
        run->at = half->next;
    }
    return 1;
}

/* Nothing can be held: of a run that begins before all that is, the part up to there goes out now,
 * behind whatever has to be given up for it. (Two sides that wait for each other are no reason to
 * wait here.) */
static void order_push(struct reassembly *r, enum side side, const struct run *run)
{
    struct half *half = &r->half[side];
    struct hole hole;
    while (reassembly_order_blocked(r, side, run->stamp) &&
           order_hole(r, side_peer(side), &hole)) {
        order_settle(r, side_peer(side), &hole);
        reassembly_order_drain(r);
    }
    struct run front = *run;
    if (!order_trim(half, &front))
        return;
    const struct held *first = half->held.first;
    if (first != NULL && first->at <= front.at)
        return;
    if (first != NULL && first->at < front.end)
        front.end = first->at;
    if (front.at > half->next)
        order_gap(r, side, front.at, front.stamp);
    reassembly_order_deliver(r, side, &front);
    reassembly_order_drain(r);
}

void reassembly_order_hold(struct reassembly *r, enum side side, const struct run *run)
{
    struct half *half = &r->half[side];
    struct run rest = *run;
    while (order_trim(half, &rest)) {
        size_t size = reassembly_held_size((size_t)(rest.end - rest.at));
        if (half->held.size + size <= r->options.held_limit) {
            order_contend(r, side, &rest);
            if (order_place(r, half, &rest) == 0)
                return;
            reassembly_order_limit(r, side, LIMIT_MEMORY, rest.stamp);
        } else {
            reassembly_order_limit(r, side, LIMIT_HELD, rest.stamp);
        }
        if (rest.doubt != DOUBT_NONE) {
            half->counters.ignored++;
            return;
        }
        if (half->held.first == NULL || rest.at < half->held.first->at)
            order_push(r, side, &rest);
        else
            order_force(r, side);
    }
}
