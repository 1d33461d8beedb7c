/*
 * The life of a connection as its TCP headers tell it (RFC 9293; RFC 5961 for what a RST or a SYN
 * inside a connection may do): who is the client, how far the handshake came, when it ends and how,
 * and when the same tuple is a new connection. What is in the bytes is flow_payload.c's.
 */
#include "flow_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"

enum {
    WINDOW_SLACK = 65536,      /* what is sent may be ahead of the window that was captured */
    WINDOW_UNKNOWN_SCALE = 14, /* the largest shift there is */
    SEQ_PLAUSIBLE = 1 << 30    /* a jump beyond this is not followed */
};

static const char *const counter_names[COUNTER_COUNT] = {
    [COUNTER_OPENED] = "flow.opened",
    [COUNTER_ENDED] = "flow.ended",
    [COUNTER_EVICTED] = "flow.evicted",
    [COUNTER_CLOSED_EARLY] = "flow.closed-early",
    [COUNTER_REFUSED] = "flow.refused",
    [COUNTER_MIDSTREAM] = "flow.midstream",
    [COUNTER_ONE_SIDED] = "flow.one-sided",
    [COUNTER_STRAY] = "flow.stray-packets",
    [COUNTER_REUSED] = "flow.tuple-reused",
    [COUNTER_SYN_IGNORED] = "flow.syn-ignored",
    [COUNTER_RST_IGNORED] = "flow.rst-ignored",
    [COUNTER_UNANALYSED] = "flow.unanalysed",
    [COUNTER_CHECKSUM_BAD] = "checksum.bad",
    [COUNTER_CHECKSUM_OFFLOADED] = "checksum.offloaded",
    [COUNTER_REASSEMBLY_LIMIT] = "reassembly.limit",
    [COUNTER_TLS] = "tls.flows",
    [COUNTER_TLS_CLOSED] = "tls.closed",
    [COUNTER_TLS_OPENED] = "tls.decrypted",
    [COUNTER_TLS_FAILED] = "tls.failed",
    [COUNTER_SESSION] = "flow.with-session",
};

/* ---------------------------------------------------------------- how it ends */

static int flow_both(const struct flow *flow, unsigned flag)
{
    return (flow->dir[0].flags & flow->dir[1].flags & flag) != 0;
}

/* What the packets proved comes before the reason for which the flow is given up. */
static enum flow_end flow_true_end(const struct flow *flow, enum flow_end end)
{
    if (flow->flags & FLOW_RST)
        return END_RST;
    if (flow_both(flow, DIR_FIN))
        return END_FIN;
    if (flow->end_dir <= 1 && (end == END_IDLE || end == END_CAPTURE))
        return END_FIN;
    return end;
}

static int64_t flow_end_time(const struct flow_table *table, const struct flow *flow,
                             enum flow_end end)
{
    switch (end) {
    case END_FIN:
        return flow->end_ns > flow->last_payload_ns ? flow->end_ns : flow->last_payload_ns;
    case END_RST:
        return flow->end_ns;
    case END_IDLE: {
        int64_t timeout = table->timeout_ns[flow->class];
        int64_t late = flow->last_ns < INT64_MAX - timeout ? flow->last_ns + timeout : INT64_MAX;
        if (late <= table->now_ns)
            return late;
        break; /* its tuple is used again: nobody has waited so long */
    }
    case END_EVICTED:
    case END_CAPTURE:
        break;
    }
    return table->now_ns > flow->last_ns ? table->now_ns : flow->last_ns;
}

void flow_end(struct flow_table *table, struct flow *flow, enum flow_end end)
{
    enum flow_end truth = flow_true_end(flow, end);
    int proven = truth == END_FIN || truth == END_RST;
    if (truth == END_EVICTED)
        table->counters[COUNTER_EVICTED]++;
    else if (end == END_EVICTED)
        table->counters[COUNTER_CLOSED_EARLY]++;
    flow_close(table, flow, truth, flow_end_time(table, flow, truth),
               proven ? flow->end_packet : flow->last_packet);
    flow_remove(table, flow);
}

/* ---------------------------------------------------------------- sequence numbers */

static uint32_t flow_window(const struct flow_dir *receiver)
{
    if (receiver->packets == 0)
        return SEQ_PLAUSIBLE;
    unsigned scale = WINDOW_UNKNOWN_SCALE;
    if (receiver->flags & DIR_SYN)
        scale = receiver->scale < 0 ? 0 : (unsigned)receiver->scale;
    if (scale > WINDOW_UNKNOWN_SCALE)
        scale = WINDOW_UNKNOWN_SCALE;
    return ((uint32_t)receiver->window << scale) + WINDOW_SLACK;
}

/* Is a FIN at seq anywhere near what the sender has sent? */
static int flow_near(const struct flow_dir *sender, const struct flow_dir *receiver, uint32_t seq)
{
    if ((sender->flags & DIR_NEXT) == 0)
        return 1;
    int64_t ahead = flow_seq_diff(seq, sender->next);
    int64_t window = flow_window(receiver);
    return ahead <= window && ahead >= -window;
}

/* RFC 9293 3.10.7.4: a RST counts when its sequence number is in the receiver's window; in answer
 * to a SYN, when it acknowledges the SYN. */
static int flow_rst_acceptable(const struct flow_dir *sender, const struct flow_dir *receiver,
                               const struct segment *segment)
{
    int known = (sender->flags & DIR_NEXT) != 0, acked = (receiver->flags & DIR_ACK) != 0;
    if (!known && !acked) {
        if ((receiver->flags & DIR_SYN) == 0)
            return 1;
        return (segment->flags & TCP_ACK) != 0 &&
               flow_seq_diff(segment->ack, receiver->isn) > 0 &&
               flow_seq_diff(segment->ack, receiver->next) <= 0;
    }
    uint32_t low = acked ? receiver->acked : sender->next;
    uint32_t high = known ? sender->next : low;
    if (known && flow_seq_diff(low, high) > 0)
        high = low;
    return flow_seq_diff(segment->seq, low) >= 0 &&
           flow_seq_diff(segment->seq, high) <= (int64_t)flow_window(receiver);
}

static void flow_rtt(struct flow_dir *d, int64_t ns)
{
    if (ns >= 0 && (d->rtt_ns < 0 || ns < d->rtt_ns))
        d->rtt_ns = ns;
}

static void flow_see_ack(struct flow *flow, unsigned dir, const struct segment *segment)
{
    struct flow_dir *d = &flow->dir[dir], *peer = &flow->dir[dir ^ 1u];
    int32_t beyond = flow_seq_diff(segment->ack, peer->next);
    if ((peer->flags & DIR_NEXT) != 0 && (beyond > SEQ_PLAUSIBLE || beyond < -SEQ_PLAUSIBLE))
        return;
    if ((d->flags & DIR_ACK) == 0) {
        d->flags |= DIR_ACK;
        d->acked = segment->ack;
    } else if (flow_seq_diff(segment->ack, d->acked) > 0) {
        d->flags |= DIR_ACK_MOVED;
        d->acked = segment->ack;
    }
    if ((peer->flags & DIR_SYN) != 0 && (peer->flags & DIR_SYN_ACKED) == 0 &&
        flow_seq_diff(segment->ack, peer->isn) > 0) {
        peer->flags |= DIR_SYN_ACKED;
        if ((peer->flags & DIR_SYN_AGAIN) == 0)
            flow_rtt(peer, segment->time_ns - peer->syn_ns);
    }
}

/* The peer's first number, where its SYN was lost but this side acknowledges just that. */
static void flow_infer_isn(struct flow *flow, unsigned dir, const struct segment *segment)
{
    const struct flow_dir *d = &flow->dir[dir];
    struct flow_dir *peer = &flow->dir[dir ^ 1u];
    if ((segment->flags & TCP_ACK) == 0 || (peer->flags & (DIR_ISN | DIR_NEXT)) != 0)
        return;
    int first = (segment->flags & TCP_SYN) != 0 ||
                ((d->flags & DIR_SYN) != 0 && segment->seq == d->isn + 1);
    if (!first)
        return;
    peer->isn = segment->ack - 1;
    peer->next = segment->ack;
    peer->flags |= DIR_ISN | DIR_NEXT;
}

static void flow_see_syn(struct flow *flow, unsigned dir, const struct segment *segment)
{
    struct flow_dir *d = &flow->dir[dir];
    if (flow->client_dir > 1)
        flow->client_dir = (uint8_t)(segment->flags & TCP_ACK ? dir ^ 1u : dir);
    if ((d->flags & DIR_SYN) != 0) {
        d->flags |= DIR_SYN_AGAIN;
        if (segment->seq == d->isn || (d->flags & DIR_SYN_ACKED) != 0 || flow->work != NULL) {
            d->retransmits += flow->work == NULL;
            return;
        }
    } else if (flow->work != NULL) {
        return; /* too late to change where the stream begins */
    }
    d->flags |= DIR_SYN | DIR_ISN | DIR_NEXT;
    d->isn = segment->seq;
    d->next = segment->seq + 1;
    d->scale = segment->window_scale;
    d->syn_ns = segment->time_ns;
}

static void flow_see_fin(struct flow *flow, unsigned dir, const struct segment *segment)
{
    struct flow_dir *d = &flow->dir[dir], *peer = &flow->dir[dir ^ 1u];
    uint32_t seq = segment->seq + (uint32_t)segment->payload_wire;
    if ((d->flags & DIR_FIN) != 0 || !flow_near(d, peer, seq))
        return;
    d->flags |= DIR_FIN;
    if (flow->end_dir > 1)
        flow->end_dir = (uint8_t)dir;
    flow->end_ns = segment->time_ns;
    flow->end_packet = segment->packet;
}

static void flow_see_sequence(struct flow *flow, unsigned dir, const struct segment *segment)
{
    struct flow_dir *d = &flow->dir[dir];
    uint32_t end = segment->seq + (uint32_t)segment->payload_wire +
                   ((segment->flags & TCP_SYN) != 0) + ((segment->flags & TCP_FIN) != 0);
    if ((d->flags & DIR_NEXT) == 0) {
        d->next = end;
        d->flags |= DIR_NEXT;
        return;
    }
    int32_t ahead = flow_seq_diff(end, d->next);
    if (ahead > 0 && ahead <= SEQ_PLAUSIBLE)
        d->next = end;
}

/* ---------------------------------------------------------------- RST */

static void flow_see_rst(struct flow_table *table, struct flow *flow, unsigned dir,
                         const struct segment *segment)
{
    if (!flow_rst_acceptable(&flow->dir[dir], &flow->dir[dir ^ 1u], segment)) {
        table->counters[COUNTER_RST_IGNORED]++;
        return;
    }
    if ((flow->flags & (FLOW_RST | FLOW_STACK_CLOSED)) != 0 ||
        (flow->work == NULL && flow_both(flow, DIR_FIN)))
        return;
    flow->flags |= FLOW_RST;
    flow->end_dir = (uint8_t)dir;
    flow->end_ns = segment->time_ns;
    flow->end_packet = segment->packet;
}

/* The sender of a true RST says nothing more: when it sends new bytes or acknowledges more,
 * somebody else had made the RST, and the connection goes on. */
static void flow_doubt_rst(struct flow_table *table, struct flow *flow, unsigned dir,
                           const struct segment *segment)
{
    const struct flow_dir *d = &flow->dir[dir];
    if ((flow->flags & FLOW_RST) == 0 || dir != flow->end_dir ||
        (segment->flags & TCP_SYN) != 0)
        return;
    uint32_t end = segment->seq + (uint32_t)segment->payload_wire;
    int more = segment->payload_wire > 0 && flow_seq_diff(end, d->next) > 0 &&
               flow_seq_diff(end, d->next) <= SEQ_PLAUSIBLE;
    int acks = (segment->flags & TCP_ACK) != 0 && (d->flags & DIR_ACK) != 0 &&
               flow_seq_diff(segment->ack, d->acked) > 0 &&
               flow_seq_diff(segment->ack, d->acked) <= SEQ_PLAUSIBLE;
    if (!more && !acks)
        return;
    flow->flags = (uint16_t)(flow->flags & ~(unsigned)FLOW_RST);
    flow->end_dir = 2;
    for (unsigned i = 0; i < 2; i++) {
        if (flow->dir[i].flags & DIR_FIN)
            flow->end_dir = (uint8_t)i;
    }
    table->counters[COUNTER_RST_IGNORED]++;
}

/* ---------------------------------------------------------------- one tuple, two connections */

enum reuse { REUSE_NO, REUSE_NEW, REUSE_CHALLENGE, REUSE_PROVEN };

static enum reuse flow_syn_reuses(const struct flow_table *table, const struct flow *flow,
                                  unsigned dir, const struct segment *segment)
{
    const struct flow_dir *d = &flow->dir[dir];
    int answer = (segment->flags & TCP_ACK) != 0;
    if ((d->flags & DIR_SYN) != 0 && segment->seq == d->isn)
        return REUSE_NO; /* sent again */
    if (flow->class == CLASS_CLOSED)
        return REUSE_NEW;
    if (answer)
        return (flow->flags & FLOW_CHALLENGE) != 0 && segment->ack == flow->challenge_isn + 1
                   ? REUSE_PROVEN
                   : REUSE_NO;
    if ((d->flags & (DIR_SYN | DIR_NEXT)) == 0 ||
        ((d->flags & DIR_SYN) == 0 && d->next == segment->seq + 1))
        return REUSE_NO; /* both open at once, or packets out of order */
    if (flow->class == CLASS_HALF && (d->flags & DIR_SYN_ACKED) == 0)
        return REUSE_NEW;
    if (flow->dir[dir ^ 1u].packets == 0 &&
        table->now_ns - flow->touched_ns > table->options.syn_timeout_ns)
        return REUSE_NEW; /* the answer that would prove it is not captured */
    return REUSE_CHALLENGE;
}

static struct flow *flow_begin(struct flow_table *table, const struct flow_key *key, uint32_t hash,
                               unsigned dir, const struct segment *segment)
{
    struct flow *flow = flow_create(table, key, hash, dir, segment);
    if (flow == NULL)
        table->counters[COUNTER_REFUSED]++;
    return flow;
}

/* The SYN that was ignored a moment ago was answered: it was a new connection after all. */
static struct flow *flow_begin_challenged(struct flow_table *table, struct flow *old,
                                          const struct flow_key *key, uint32_t hash, unsigned dir,
                                          const struct segment *answer)
{
    struct segment syn = *answer;
    syn.seq = old->challenge_isn;
    syn.ack = 0;
    syn.flags = TCP_SYN;
    syn.window_scale = -1;
    syn.payload_len = syn.payload_wire = 0;
    syn.packet = old->challenge_packet;
    syn.time_ns = old->challenge_ns;
    flow_end(table, old, END_IDLE);
    struct flow *flow = flow_begin(table, key, hash, dir ^ 1u, &syn);
    if (flow != NULL) {
        flow->dir[dir ^ 1u].packets++;
        flow_see_syn(flow, dir ^ 1u, &syn);
        flow_open(table, flow, dir ^ 1u, NULL, 0);
    }
    return flow;
}

/* The flow that the segment belongs to: the one in the table, or a new one where that has ended,
 * was silent too long, or its tuple is used again. NULL: none, the segment is only counted. */
static struct flow *flow_for(struct flow_table *table, const struct flow_key *key, uint32_t hash,
                             unsigned dir, const struct segment *segment)
{
    struct flow *flow = flow_find(table, key, hash);
    if (flow != NULL && flow_expired(table, flow)) {
        flow_end(table, flow, END_IDLE);
        flow = NULL;
    }
    if (flow != NULL && (segment->flags & TCP_SYN) != 0 && (segment->flags & TCP_RST) == 0) {
        switch (flow_syn_reuses(table, flow, dir, segment)) {
        case REUSE_NO:
            break;
        case REUSE_NEW:
            table->counters[COUNTER_REUSED]++;
            flow_end(table, flow, END_IDLE);
            flow = NULL;
            break;
        case REUSE_PROVEN:
            table->counters[COUNTER_REUSED]++;
            return flow_begin_challenged(table, flow, key, hash, dir, segment);
        case REUSE_CHALLENGE:
            table->counters[COUNTER_SYN_IGNORED]++;
            flow->flags |= FLOW_CHALLENGE;
            flow->challenge_isn = segment->seq;
            flow->challenge_ns = segment->time_ns;
            flow->challenge_packet = segment->packet;
            return NULL;
        }
    }
    if (flow != NULL)
        return flow;
    /* The last words of a connection that is gone begin no new one. */
    if ((segment->flags & TCP_RST) != 0 ||
        ((segment->flags & (TCP_FIN | TCP_SYN)) == TCP_FIN && segment->payload_wire == 0)) {
        table->counters[COUNTER_STRAY]++;
        return NULL;
    }
    return flow_begin(table, key, hash, dir, segment);
}

/* ---------------------------------------------------------------- one segment */

static void flow_account(struct flow *flow, unsigned dir, const struct segment *segment)
{
    struct flow_dir *d = &flow->dir[dir];
    d->packets++;
    d->bytes += segment->payload_wire;
    d->window = segment->window;
    flow->last_packet = segment->packet;
    if (segment->time_ns > flow->last_ns)
        flow->last_ns = segment->time_ns;
    if (segment->payload_wire > 0 && (segment->flags & TCP_RST) == 0 &&
        (flow->flags & FLOW_STACK_CLOSED) == 0) {
        flow->flags |= FLOW_PAYLOAD;
        if (segment->time_ns > flow->last_payload_ns)
            flow->last_payload_ns = segment->time_ns;
    }
}

static void flow_tell_backwards(struct flow_table *table, struct flow *flow, unsigned dir,
                                const struct segment *segment)
{
    static const int64_t backwards_ns = 1000000;
    int64_t back = flow->last_ns - segment->time_ns;
    if (back <= backwards_ns || (flow->flags & FLOW_BACKWARDS) != 0)
        return;
    flow->flags |= FLOW_BACKWARDS;
    char text[48];
    int len = snprintf(text, sizeof text, "%" PRId64 " us back", back / 1000);
    flow_open(table, flow, dir, segment->payload, segment->payload_len);
    flow_finding(table, flow, RULE_CAPTURE_TIME_BACKWARDS, NEITHER, 0, segment->packet,
                 segment->time_ns, (struct text){text, (size_t)len});
}

/* 1: the segment may be used. A side whose every checksum is wrong has its network card compute
 * them, behind the point of capture. */
static int flow_checksum(struct flow_table *table, struct flow_dir *dir,
                         const struct segment *segment)
{
    if (!table->options.verify_checksums)
        return 1;
    int sum = decode_checksum(segment);
    if (sum > 0)
        dir->flags |= DIR_SUM_GOOD;
    if (sum != 0)
        return 1;
    if ((dir->flags & DIR_SUM_GOOD) == 0) {
        table->counters[COUNTER_CHECKSUM_OFFLOADED]++;
        return 1;
    }
    table->counters[COUNTER_CHECKSUM_BAD]++;
    return 0;
}

/* Checksums cost a pass over the bytes: only what is used is verified. */
static int flow_usable(struct flow_table *table, struct flow *flow, unsigned dir,
                       const struct segment *segment)
{
    int used = segment->payload_wire > 0 && (flow->flags & FLOW_UNANALYSED) == 0 &&
               (flow->work == NULL || flow->work->reassembly != NULL ||
                flow->work->classify_left > 0);
    if (used || (segment->flags & (TCP_FIN | TCP_RST)) != 0)
        return flow_checksum(table, &flow->dir[dir], segment);
    return 1;
}

static void flow_tell_truncated(struct flow_table *table, struct flow *flow, unsigned dir,
                                const struct segment *segment)
{
    struct flow_dir *d = &flow->dir[dir];
    if (segment->payload_len >= segment->payload_wire || (d->flags & FOUND_TRUNCATED) != 0)
        return;
    d->flags |= FOUND_TRUNCATED;
    flow_finding(table, flow, RULE_CAPTURE_TRUNCATED_SNAPLEN, flow_side(flow, dir), 0,
                 segment->packet, segment->time_ns, TEXT_NONE);
}

static void flow_bytes(struct flow_table *table, struct flow *flow, unsigned dir,
                       const struct segment *segment, uint32_t before, int fresh)
{
    int payload = segment->payload_wire > 0;
    if (payload) {
        flow_open(table, flow, dir, segment->payload, segment->payload_len);
        flow_tell_truncated(table, flow, dir, segment);
        if (flow->work == NULL && (flow->flags & FLOW_UNANALYSED) == 0)
            flow_work_start(table, flow, dir, segment);
        else if (flow->work != NULL && flow->work->reassembly != NULL)
            (void)flow_headroom(table, flow, 0);
    }
    if (flow->work != NULL)
        flow_work_segment(table, flow, dir, segment, before, fresh);
}

/* In which list the flow belongs now; ends its layers where both sides have said all. */
static void flow_settle(struct flow_table *table, struct flow *flow)
{
    int finished = flow_both(flow, DIR_FIN);
    if (finished && (flow->flags & FLOW_RST) == 0 && flow->work != NULL &&
        (flow->work->reassembly == NULL || flow_both(flow, DIR_EOF)))
        flow_work_close(table, flow, END_FIN, flow_end_time(table, flow, END_FIN),
                        flow->end_packet);
    enum flow_class class = CLASS_HALF;
    if (finished || (flow->flags & FLOW_RST) != 0)
        class = CLASS_CLOSED;
    else if (flow->flags & FLOW_SESSION)
        class = CLASS_SESSION;
    else if ((flow->flags & FLOW_PAYLOAD) != 0 ||
             (flow_both(flow, DIR_SYN) && flow_both(flow, DIR_SYN_ACKED)) ||
             (flow->client_dir > 1 && flow->dir[0].packets > 0 && flow->dir[1].packets > 0))
        class = CLASS_LIVE;
    flow_touch(table, flow, class);
}

static void flow_segment(struct flow_table *table, struct flow *flow, unsigned dir,
                         const struct segment *segment)
{
    struct flow_dir *d = &flow->dir[dir];
    flow_account(flow, dir, segment);
    if (!flow_usable(table, flow, dir, segment))
        return;
    if ((segment->flags & TCP_RST) != 0) {
        flow_see_rst(table, flow, dir, segment);
        return;
    }
    flow_doubt_rst(table, flow, dir, segment);
    flow_infer_isn(flow, dir, segment);
    if ((segment->flags & TCP_SYN) != 0) {
        flow_see_syn(flow, dir, segment);
        flow_open(table, flow, dir, NULL, 0);
        if (segment->seq != d->isn)
            return; /* not the SYN of this connection */
    }
    uint32_t before = d->next;
    int fresh = (d->flags & DIR_NEXT) == 0;
    if ((segment->flags & TCP_FIN) != 0)
        flow_see_fin(flow, dir, segment);
    flow_see_sequence(flow, dir, segment);
    if ((segment->flags & TCP_ACK) != 0)
        flow_see_ack(flow, dir, segment);
    flow_bytes(table, flow, dir, segment, before, fresh);
}

void flow_table_segment(struct flow_table *table, const struct segment *segment)
{
    struct segment dated;
    if (segment->time_ns < 0) { /* before 1970: differences of times must not overflow */
        dated = *segment;
        dated.time_ns = 0;
        segment = &dated;
    }
    if (flow_clock(&table->now_ns, segment->time_ns))
        flow_end_due(table);
    struct flow_key key;
    unsigned dir = flow_key_of(segment, &key);
    const struct flow *recent = table->recent; /* packets come in twos and more */
    uint32_t hash = recent != NULL && memcmp(&recent->key, &key, sizeof key) == 0
                        ? recent->hash
                        : flow_hash(table, &key);
    struct flow *flow = flow_for(table, &key, hash, dir, segment);
    table->recent = flow;
    if (flow == NULL)
        return;
    flow_segment(table, flow, dir, segment);
    flow_tell_backwards(table, flow, dir, segment);
    flow_settle(table, flow);
}

/* ---------------------------------------------------------------- life of the table */

struct flow_table *flow_table_new(const struct flow_options *options, struct bus *bus,
                                  struct classifier *classifier, struct budget *budget)
{
    struct flow_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->options = *options;
    table->bus = bus;
    table->classifier = classifier;
    table->budget = budget;
    flow_work_callbacks(table);
    if (flow_table_init(table) != 0) {
        free(table);
        return NULL;
    }
    return table;
}

void flow_table_tick(struct flow_table *table, int64_t now_ns)
{
    if (now_ns >= INT64_MAX / 2)
        return;
    (void)flow_clock(&table->now_ns, now_ns);
    flow_end_due(table);
}

void flow_table_at(struct flow_table *table, int64_t clock_ns, uint64_t serial)
{
    (void)flow_clock(&table->now_ns, clock_ns);
    if (serial > table->serial)
        table->serial = serial;
}

uint32_t flow_table_spread(const struct flow_table *table, const struct segment *segment)
{
    struct flow_key key;
    (void)flow_key_of(segment, &key);
    return flow_hash(table, &key);
}

void flow_table_finish(struct flow_table *table)
{
    flow_end_due(table);
    while (table->first != NULL)
        flow_end(table, table->first, END_CAPTURE);
}

_Static_assert((int)COUNTER_COUNT <= (int)FLOW_COUNTS_MOST, "there has to be a place for each");

void flow_table_count(const struct flow_table *table, struct flow_counts *counts)
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        counts->value[i] += table->counters[i];
}

void flow_counters(const struct flow_counts *counts,
                   void (*each)(void *arg, const char *name, uint64_t value), void *arg)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        if (counts->value[i] > 0)
            each(arg, counter_names[i], counts->value[i]);
    }
}

void flow_table_counters(const struct flow_table *table,
                         void (*each)(void *arg, const char *name, uint64_t value), void *arg)
{
    struct flow_counts counts = {{0}};
    flow_table_count(table, &counts);
    flow_counters(&counts, each, arg);
}

void flow_table_free(struct flow_table *table)
{
    if (table == NULL)
        return;
    while (table->first != NULL)
        flow_remove(table, table->first);
    budget_free(table->budget, table->buckets);
    free(table);
}
