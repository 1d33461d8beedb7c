/*
 * What a segment means for the two streams of its flow (RFC 9293, 7323): its sequence and
 * acknowledgement numbers become 64-bit positions, numbering is found where the handshake was not
 * seen, and what an endpoint would not have accepted (resets and bytes outside the window, old
 * timestamps, acknowledgements of what was never sent) is told from what it would. Selective
 * acknowledgements are not read, the urgent pointer is not followed: its byte is data. A hole of
 * 2 GiB and more looks like old data, nothing behind it is used.
 */
#include "reassembly_private.h"

#include <string.h>

#define WINDOW_SLACK ((uint64_t)1 << 20)   /* beyond what the window allows: lost captures */
#define WINDOW_UNKNOWN ((uint32_t)16 << 20) /* where its scale, or all of it, was not seen */
#define ACK_AHEAD ((uint64_t)16 << 20)     /* unseen bytes that one acknowledgement may cover */
#define START_BACK ((uint64_t)64 << 10)    /* an earlier first byte, before any was delivered */
#define TS_LIFETIME_NS ((uint64_t)24 * 86400 * 1000000000)

enum { STRAY_ACKS = 3, SCALE_MAX = 14 };

struct reassembly *reassembly_new(const struct reassembly_handler *handler, void *flow,
                                  const struct reassembly_options *options, struct budget *budget)
{
    struct reassembly *r = budget_alloc(budget, sizeof *r);
    if (r == NULL)
        return NULL;
    r->handler = handler;
    r->flow = flow;
    r->options = *options;
    r->budget = budget;
    r->now_ns = INT64_MIN;
    for (int side = CLIENT; side <= SERVER; side++) {
        r->half[side].counters.rtt_ns = -1;
        r->half[side].window_scale = -1;
    }
    return r;
}

static void half_release(struct reassembly *r, struct half *half)
{
    reassembly_held_clear(&half->held, r->budget);
    budget_free(r->budget, half->recent.bytes);
    half->recent = (struct recent){.refused = 1};
    budget_free(r->budget, half->history);
    half->history = NULL;
}

void reassembly_free(struct reassembly *r)
{
    if (r == NULL)
        return;
    half_release(r, &r->half[CLIENT]);
    half_release(r, &r->half[SERVER]);
    budget_free(r->budget, r);
}

/* --- numbering --- */

static void number_begin(struct reassembly *r, struct half *half, uint32_t seq)
{
    reassembly_held_clear(&half->held, r->budget);
    half->base = seq;
    half->start = half->next = half->end = half->acked = POSITION_ORIGIN;
    half->phantom = 0;
    half->stray = (struct span){0, 0};
    half->fin_known = 0;
    half->fin_doubted = 0;
    half->other_syn = 0;
    half->started = 1;
}

/* The position nearest to what is next. */
static uint64_t number_position(const struct half *half, uint32_t seq)
{
    uint32_t next = half->base + (uint32_t)(half->next - POSITION_ORIGIN);
    uint32_t ahead = seq - next;
    return ahead < UINT32_C(0x80000000) ? half->next + ahead : half->next - (uint32_t)(0 - ahead);
}

static int number_untouched(const struct half *half)
{
    return half->next == half->start && !half->fin_done;
}

static void count_repeat(struct half *half, int duplicate)
{
    if (duplicate) {
        half->counters.duplicates++;
    } else {
        half->counters.retransmits++;
        half->rtt_armed = 0; /* Karn: nobody knows which of the two the answer is for */
    }
}

static void rtt_arm(struct half *half, uint64_t at, int64_t time_ns)
{
    if (half->rtt_armed)
        return;
    half->rtt_armed = 1;
    half->rtt_at = at;
    half->rtt_sent_ns = time_ns;
}

/* 1 when the SYN fits the numbering (or makes it), 0 when it is not to be used. */
static int number_syn(struct reassembly *r, struct half *half, const struct segment *segment)
{
    struct packet_record record = reassembly_record_of(segment);
    uint32_t first = segment->seq + 1;
    if (!half->started || (!half->syn && !half->from_start && number_untouched(half) &&
                           number_position(half, first) != half->start)) {
        number_begin(r, half, first);
    } else if (number_position(half, first) != half->start) {
        half->other_base = first; /* the peer's acknowledgement tells which one it took */
        half->other_syn = 1;
        half->counters.ignored++;
        return 0;
    } else if (half->syn && segment->payload_wire == 0) {
        if (reassembly_record_same(&half->syn_record, &record))
            count_repeat(half, 1);
        else if (half->syn_record.flags == record.flags) /* SYN and then SYN/ACK: no repetition */
            count_repeat(half, 0);
    }
    if (!half->syn)
        half->syn_record = record;
    if (!half->from_start) /* else it was answered before it was captured */
        rtt_arm(half, half->start, segment->time_ns);
    half->syn = half->from_start = 1;
    return 1;
}

/* The first segment of a side whose SYN was not seen. */
static void number_midstream(struct reassembly *r, struct half *half, const struct segment *segment)
{
    int probe = segment->payload_wire == 1 && segment->payload_len == 1 &&
                segment->payload[0] == 0 && !(segment->flags & (TCP_PSH | TCP_FIN));
    /* A keep-alive repeats a number from before the capture; its byte is no data. */
    number_begin(r, half, segment->seq + (uint32_t)probe);
    half->bare = segment->payload_wire == 0;
}

/* This packet proves that there are bytes up to `end`. */
static void tail_know(const struct reassembly *r, struct half *half, uint64_t end,
                      const struct stamp *stamp)
{
    half->end = end;
    half->tail_stamp = *stamp;
    half->tail_arrived = r->packets;
    half->tail_arrived_ns = r->now_ns;
}

/* Bytes from before the first number seen, before anything was delivered: they were captured late.
 * (A single one is a keep-alive's.) */
static void number_earlier(struct reassembly *r, struct half *half, uint64_t at, size_t len,
                           const struct stamp *stamp)
{
    if (at >= half->start || half->start - at > START_BACK || len <= 1 || half->from_start ||
        !number_untouched(half))
        return;
    half->start = half->next = at;
    if (half->tail_stamp.packet == 0) /* so far only an acknowledgement told where its end is */
        tail_know(r, half, half->end, stamp);
    if (half->acked > at)
        reassembly_order_wait(r, half, stamp);
}

/* --- windows and timestamps: what a receiver would accept --- */

static void window_note(struct half *half, const struct segment *segment)
{
    uint32_t window = segment->window;
    if (segment->flags & TCP_SYN) {
        half->window_scale =
            segment->window_scale > SCALE_MAX ? SCALE_MAX : segment->window_scale;
    } else {
        int scale = !half->syn ? SCALE_MAX : half->window_scale > 0 ? half->window_scale : 0;
        window <<= scale;
        if (!half->syn && window > WINDOW_UNKNOWN)
            window = WINDOW_UNKNOWN;
    }
    half->window_zero = window == 0;
    if (window > half->max_window)
        half->max_window = window;
}

/* The furthest position that a segment of this side can sensibly begin at. */
static uint64_t window_limit(const struct reassembly *r, enum side side)
{
    const struct half *half = &r->half[side], *peer = &r->half[side_peer(side)];
    uint64_t from = half->next > half->end ? half->next : half->end;
    if (half->acked > from)
        from = half->acked;
    return from + WINDOW_SLACK + (peer->max_window > 0 ? peer->max_window : WINDOW_UNKNOWN);
}

/* 1 when the timestamp is older than that of bytes before it (PAWS). */
static int timestamp_old(struct reassembly *r, struct half *half, const struct segment *segment,
                         uint64_t at)
{
    if (!segment->has_timestamps || half->ts_off)
        return 0;
    int expired = (uint64_t)r->now_ns - (uint64_t)half->ts_time_ns > TS_LIFETIME_NS;
    uint32_t ahead = segment->ts_value - half->ts_recent;
    if (half->ts_valid && !expired && !(segment->flags & TCP_SYN) && ahead >= UINT32_C(0x80000000))
        return 1;
    /* Bytes behind a hole say nothing yet: what fills it was sent earlier. */
    if (at <= half->next) {
        half->ts_recent = segment->ts_value;
        half->ts_time_ns = r->now_ns;
        half->ts_valid = 1;
    }
    return 0;
}

/* --- ends --- */

/* Here the stream ends. */
static void fin_know(struct reassembly *r, struct half *half, uint64_t fin,
                     const struct stamp *stamp)
{
    half->fin_known = 1;
    half->fin = fin;
    half->fin_stamp = *stamp;
    half->fin_arrived = r->packets;
    half->fin_arrived_ns = r->now_ns;
    if (half->acked > fin + 1)
        half->acked = fin + 1;
    half->stray = (struct span){0, 0};
    for (struct held *held; (held = reassembly_held_find(&half->held, fin)) != NULL;) {
        half->counters.ignored++; /* in doubt, else there was no end before them */
        (void)reassembly_held_cut(&half->held, held, fin, reassembly_held_end(held), r->budget);
    }
}

/* --- acknowledgements --- */

static void ack_believe(struct reassembly *r, struct half *peer, uint64_t ack,
                        const struct stamp *stamp)
{
    int news = peer->acked <= peer->next && ack > peer->next;
    peer->acked = ack;
    if (news)
        reassembly_order_wait(r, peer, stamp);
}

/* Bytes far ahead turn out to be real: the peer has them. */
static void ack_confirm_stray(const struct reassembly *r, struct half *half,
                              const struct stamp *stamp)
{
    for (uint64_t at = half->stray.from; at < half->stray.to;) {
        struct held *held = reassembly_held_find(&half->held, at);
        if (held == NULL)
            break;
        if (held->doubt == DOUBT_WINDOW)
            held->doubt = DOUBT_NONE;
        at = reassembly_held_end(held);
    }
    if (half->end < half->stray.to)
        tail_know(r, half, half->stray.to, stamp);
    half->stray = (struct span){0, 0};
}

/* An acknowledgement far ahead of all that was seen: is there a reason to believe it? */
static int ack_stray(const struct reassembly *r, struct half *peer, uint64_t ack,
                     const struct stamp *stamp)
{
    if (peer->stray.to > 0 && ack >= peer->stray.from && ack <= peer->stray.to) {
        ack_confirm_stray(r, peer, stamp);
        return 1;
    }
    if (peer->stray_acks > 0 && (ack < peer->stray_ack || ack - peer->stray_ack > ACK_AHEAD))
        peer->stray_acks = 0;
    peer->stray_ack = ack;
    /* Nobody sees the peer at all: then steady acknowledgements are all there is to go by. */
    if (++peer->stray_acks < STRAY_ACKS || peer->seen)
        return 0;
    peer->stray_acks = 0;
    return 1;
}

static void ack_rtt(struct half *peer, uint64_t ack, int64_t time_ns)
{
    if (!peer->rtt_armed || ack < peer->rtt_at)
        return;
    peer->rtt_armed = 0;
    if (time_ns < peer->rtt_sent_ns)
        return;
    uint64_t rtt = (uint64_t)time_ns - (uint64_t)peer->rtt_sent_ns;
    if (rtt <= INT64_MAX && (peer->counters.rtt_ns < 0 || (int64_t)rtt < peer->counters.rtt_ns))
        peer->counters.rtt_ns = (int64_t)rtt;
}

/* Numbering of the peer that an acknowledgement proves. */
static void ack_number(struct reassembly *r, enum side side, const struct segment *segment)
{
    struct half *half = &r->half[side], *peer = &r->half[side_peer(side)];
    if (!peer->started) {
        number_begin(r, peer, segment->ack);
        /* A SYN/ACK answers a SYN; the first number behind our own SYN answers the peer's. */
        peer->from_start = (segment->flags & TCP_SYN) != 0 ||
                           (half->syn && number_position(half, segment->seq) == half->start);
    } else if (peer->other_syn && segment->ack == peer->other_base && number_untouched(peer)) {
        number_begin(r, peer, segment->ack);
        peer->rtt_armed = 0;
    } else if (peer->bare && !peer->from_start && !peer->fin_known && number_untouched(peer) &&
               peer->end == peer->start && number_position(peer, segment->ack) == peer->start + 1) {
        peer->start = peer->next = peer->end = peer->acked = peer->start + 1; /* a keep-alive */
    }
    peer->bare = peer->bare && number_untouched(peer) && peer->end == peer->start &&
                 peer->acked == peer->start;
}

/* Fills the stamp; 0, or -1: acknowledges what the peer cannot have sent. */
static int ack_take(struct reassembly *r, enum side side, const struct segment *segment,
                    struct stamp *stamp)
{
    struct half *peer = &r->half[side_peer(side)];
    *stamp = (struct stamp){.packet = segment->packet, .time_ns = segment->time_ns};
    if (!(segment->flags & TCP_ACK) || (segment->flags & TCP_RST))
        return 0;
    ack_number(r, side, segment);
    uint64_t ack = number_position(peer, segment->ack);
    uint64_t known = peer->acked > peer->end ? peer->acked : peer->end;
    if (peer->fin_known && ack > peer->fin + 1)
        ack = peer->fin + 1;
    if (ack > known + ACK_AHEAD && !ack_stray(r, peer, ack, stamp))
        return -1;
    stamp->ack = ack;
    stamp->ack_valid = 1;
    ack_rtt(peer, ack, segment->time_ns);
    if (peer->fin_doubted > 0 && ack == peer->fin_doubted + 1 && !peer->fin_known &&
        peer->end <= peer->fin_doubted)
        fin_know(r, peer, peer->fin_doubted, &peer->fin_doubted_stamp);
    if (ack > peer->acked && (ack > peer->phantom || peer->end >= peer->phantom))
        ack_believe(r, peer, ack, stamp);
    return 0;
}

/* --- payload --- */

struct survey { /* of a segment whose bytes may have been seen before */
    int first;    /* its first byte was */
    int conflict; /* with different content */
};

static void conflict_report(struct reassembly *r, enum side side, const struct run *new,
                            uint64_t at, const uint8_t *held, size_t len, int new_wins)
{
    struct half *half = &r->half[side];
    const uint8_t *bytes = new->bytes + (at - new->at);
    size_t from = 0;
    while (held[from] == bytes[from])
        from++;
    while (held[len - 1] == bytes[len - 1])
        len--;
    if (half->history != NULL && !reassembly_history_conflict(half->history, at + from, at + len))
        return;
    half->counters.conflicts++;
    struct mark mark = reassembly_order_mark(r, side, new->stamp, at + from);
    r->handler->conflict(r->flow, side, at + from - half->start, (new_wins ? bytes : held) + from,
                         (new_wins ? held : bytes) + from, len - from, &mark);
}

/* Compares the part of a run that was delivered. */
static void survey_delivered(struct reassembly *r, enum side side, const struct run *run,
                             struct survey *survey)
{
    struct half *half = &r->half[side];
    uint64_t end = run->end < half->next ? run->end : half->next;
    for (uint64_t at = run->at; at < end;) {
        size_t len = (size_t)(end - at);
        const uint8_t *kept = reassembly_recent_peek(&half->recent, at, &len);
        if (kept != NULL && memcmp(kept, run->bytes + (at - run->at), len) != 0) {
            survey->conflict = 1;
            conflict_report(r, side, run, at, kept, len, 0);
        }
        at += len;
    }
}

/* Compares the part of a run that is held. */
static void survey_held(struct reassembly *r, enum side side, const struct run *run,
                        struct survey *survey)
{
    struct half *half = &r->half[side];
    uint64_t begin = run->at > half->next ? run->at : half->next;
    for (uint64_t at = begin; at < run->end;) {
        const struct held *held = reassembly_held_find(&half->held, at);
        if (held == NULL || held->at >= run->end)
            return;
        uint64_t from = held->at > at ? held->at : at;
        uint64_t to = reassembly_held_end(held) < run->end ? reassembly_held_end(held) : run->end;
        const uint8_t *bytes = reassembly_held_bytes(held) + (from - held->at);
        survey->first |= from == run->at && held->doubt == DOUBT_NONE;
        if (memcmp(bytes, run->bytes + (from - run->at), (size_t)(to - from)) != 0) {
            survey->conflict = 1;
            conflict_report(r, side, run, from, bytes, (size_t)(to - from),
                            reassembly_held_yields(held, r->options.policy, begin, run->end,
                                                   run->doubt));
        }
        at = to;
    }
}

static int payload_twice(const struct half *half, const struct segment *segment)
{
    return half->history != NULL && reassembly_history_has(half->history, segment);
}

/* Bytes that may have been seen before: do they agree? And a segment that begins below the highest
 * byte seen: was it repeated, captured twice, or is it late? */
static void payload_survey(struct reassembly *r, enum side side, const struct segment *segment,
                           const struct run *run)
{
    struct half *half = &r->half[side];
    struct survey survey = {0};
    survey.first = run->at < half->next && !(run->at >= half->gap.from && run->at < half->gap.to);
    survey_delivered(r, side, run, &survey);
    survey_held(r, side, run, &survey);
    if (run->at >= half->end)
        return;
    if (!survey.first) {
        half->counters.out_of_order++;
        half->expired = 0; /* bytes do come late here */
    } else if (half->probe == 0 || half->probe != run->at) {
        count_repeat(half, !survey.conflict && payload_twice(half, segment));
    }
}

/* A keep-alive repeats the last number that was acknowledged, with or without a byte. */
static int payload_keepalive(const struct reassembly *r, enum side side,
                             const struct segment *segment, uint64_t at)
{
    const struct half *half = &r->half[side];
    return segment->payload_wire == 1 && at + 1 == half->end && half->end == half->next &&
           !(segment->flags & (TCP_SYN | TCP_FIN)) &&
           (half->acked >= half->end || !r->half[side_peer(side)].seen);
}

static enum doubt payload_doubt(struct reassembly *r, enum side side,
                                const struct segment *segment, uint64_t at,
                                const struct stamp *stamp, int ack_bad)
{
    struct half *half = &r->half[side];
    int old = timestamp_old(r, half, segment, at);
    if (at > window_limit(r, side)) {
        uint64_t end = at + segment->payload_wire;
        if (half->stray_acks > 0 && half->stray_ack >= at && half->stray_ack <= end) {
            /* The peer has acknowledged them already: a hole in the capture. */
            half->stray_acks = 0;
            ack_believe(r, half, half->stray_ack, stamp);
            return DOUBT_NONE;
        }
        return DOUBT_WINDOW;
    }
    return ack_bad ? DOUBT_ACK : old ? DOUBT_TIME : DOUBT_NONE;
}

static void payload_note(struct reassembly *r, enum side side, const struct segment *segment,
                         const struct run *run)
{
    struct half *half = &r->half[side];
    uint64_t end = run->at + segment->payload_wire;
    if (half->fin_known && end > half->fin)
        end = half->fin;
    if (run->doubt == DOUBT_WINDOW) {
        if (half->stray.to == 0 || run->at < half->stray.from)
            half->stray.from = run->at;
        if (end > half->stray.to)
            half->stray.to = end;
        return;
    }
    if (run->doubt != DOUBT_NONE || end <= half->end)
        return;
    int probe = segment->payload_wire == 1 && r->half[side_peer(side)].window_zero;
    if (run->at == half->end) {
        half->probe = probe ? run->at : 0;
        if (!probe)
            rtt_arm(half, end, segment->time_ns);
    }
    tail_know(r, half, end, run->stamp);
}

/* Straight from the segment where nothing stands in the way, else held. */
static void payload_pass(struct reassembly *r, enum side side, struct run *run)
{
    struct half *half = &r->half[side];
    if (run->end <= half->next || run->end == run->at) /* all old, or all cut off (snaplen) */
        return;
    if (run->at < half->next) {
        run->bytes += half->next - run->at;
        run->at = half->next;
    }
    const struct held *first = half->held.first;
    if (run->at == half->next && run->doubt == DOUBT_NONE &&
        (first == NULL || first->at >= run->end) &&
        !reassembly_order_blocked(r, side, run->stamp)) {
        if (first != NULL || half->acked > half->next)
            half->expired = 0; /* a hole is being filled: waiting was right */
        reassembly_order_deliver(r, side, run);
    } else {
        reassembly_order_hold(r, side, run);
    }
}

static void payload_remember(struct reassembly *r, enum side side, const struct segment *segment,
                             const struct stamp *stamp)
{
    struct half *half = &r->half[side];
    if (half->history == NULL && !(half->limits & 1u << LIMIT_MEMORY)) {
        half->history = budget_alloc(r->budget, sizeof *half->history);
        if (half->history == NULL)
            reassembly_order_limit(r, side, LIMIT_MEMORY, stamp);
    }
    if (half->history != NULL)
        reassembly_history_add(half->history, segment);
}

static void payload_take(struct reassembly *r, enum side side, const struct segment *segment,
                         uint64_t at, const struct stamp *stamp, enum doubt doubt)
{
    struct half *half = &r->half[side];
    struct run run = {.at = at,
                      .end = at + segment->payload_len,
                      .bytes = segment->payload,
                      .stamp = stamp,
                      .doubt = doubt};
    if (payload_keepalive(r, side, segment, at)) {
        if (payload_twice(half, segment))
            count_repeat(half, 1);
        return;
    }
    if (half->fin_known && at + segment->payload_wire > half->fin) {
        half->counters.ignored++; /* behind the end */
        if (at >= half->fin)
            return;
        if (run.end > half->fin)
            run.end = half->fin;
    }
    if (at < half->end || half->held.count > 0)
        payload_survey(r, side, segment, &run);
    payload_remember(r, side, segment, stamp);
    payload_note(r, side, segment, &run);
    payload_pass(r, side, &run);
}

static void fin_take(struct reassembly *r, enum side side, const struct segment *segment,
                     uint64_t at, const struct stamp *stamp)
{
    struct half *half = &r->half[side];
    uint64_t fin = at + segment->payload_wire;
    if (half->fin_known) {
        if (fin != half->fin)
            half->counters.ignored++;
        else if (segment->payload_wire == 0)
            count_repeat(half, payload_twice(half, segment));
        if (fin == half->fin && stamp->ack_valid && stamp->ack < half->fin_stamp.ack)
            half->fin_stamp = *stamp; /* sent earlier, captured later */
        if (segment->payload_wire == 0)
            payload_remember(r, side, segment, stamp);
        return;
    }
    if (fin < half->end) {
        half->counters.ignored++; /* there are bytes behind it */
        return;
    }
    if (segment->payload_wire == 0)
        payload_remember(r, side, segment, stamp);
    fin_know(r, half, fin, stamp);
    rtt_arm(half, fin + 1, segment->time_ns);
}

static void reset_take(struct reassembly *r, enum side side, const struct segment *segment)
{
    struct half *half = &r->half[side], *peer = &r->half[side_peer(side)];
    int inside = 1;
    if (half->started) {
        uint64_t at = number_position(half, segment->seq);
        uint64_t low = half->acked < half->end ? half->acked : half->end;
        inside = at >= low && at <= window_limit(r, side);
    } else if (peer->started && (segment->flags & TCP_ACK)) {
        /* Refuses a connection: only the acknowledgement can be checked. */
        uint64_t ack = number_position(peer, segment->ack);
        inside = ack >= peer->start && ack <= peer->end + peer->fin_known;
    }
    if (inside)
        half->counters.rst = 1;
    else
        half->counters.ignored++;
}

/* --- after reassembly_stop() --- */

/* How much of [at, end) fills the last gap, which it shortens; an island inside counts as lost. */
static uint64_t follow_late(struct half *half, uint64_t at, uint64_t end)
{
    struct span *gap = &half->gap;
    uint64_t from = at > gap->from ? at : gap->from, to = end < gap->to ? end : gap->to;
    if (from >= to || (from > gap->from && to < gap->to))
        return 0;
    if (from == gap->from)
        gap->from = to;
    else
        gap->to = from;
    half->counters.missing -= to - from;
    return to - from;
}

static void follow_payload(struct reassembly *r, enum side side, const struct segment *segment,
                           uint64_t at)
{
    struct half *half = &r->half[side];
    uint64_t end = at + segment->payload_wire;
    if (half->fin_known && end > half->fin)
        end = half->fin;
    if (end <= at || payload_keepalive(r, side, segment, at))
        return;
    if (at > window_limit(r, side) && at != half->stray.to) {
        half->stray = (struct span){at, end}; /* what goes on from there is believed */
        half->counters.ignored++;
        return;
    }
    if (at < half->next) {
        if (follow_late(half, at, end) > 0)
            half->counters.out_of_order++;
        else
            count_repeat(half, payload_twice(half, segment));
    } else {
        rtt_arm(half, end, segment->time_ns);
    }
    if (half->history != NULL)
        reassembly_history_add(half->history, segment);
    if (at > half->next) {
        half->gap = (struct span){half->next, at};
        half->counters.missing += at - half->next;
    }
    if (end > half->next)
        half->next = half->end = end;
}

static void follow(struct reassembly *r, enum side side, const struct segment *segment, uint64_t at)
{
    struct half *half = &r->half[side];
    follow_payload(r, side, segment, at);
    uint64_t fin = at + segment->payload_wire;
    if ((segment->flags & TCP_FIN) && !half->fin_known && fin >= half->next &&
        fin <= window_limit(r, side)) {
        half->fin_known = 1;
        half->fin = fin;
    }
    if (half->fin_known && half->next >= half->fin)
        half->fin_done = 1;
}

void reassembly_stop(struct reassembly *r)
{
    if (r->stopped)
        return;
    r->stopped = 1;
    for (int side = CLIENT; side <= SERVER; side++) {
        struct half *half = &r->half[side];
        uint64_t missing = half->end - half->next;
        if (half->held.first != NULL)
            half->gap = (struct span){half->next, half->held.first->at};
        for (uint64_t at = half->next; at < half->end;) {
            struct held *held = reassembly_held_find(&half->held, at);
            if (held == NULL || held->at >= half->end)
                break;
            uint64_t from = held->at > at ? held->at : at;
            at = reassembly_held_end(held) < half->end ? reassembly_held_end(held) : half->end;
            missing -= at - from;
        }
        half->counters.missing += missing;
        half->next = half->end;
        half->stray = (struct span){0, 0};
        if (half->fin_known && half->next >= half->fin)
            half->fin_done = 1;
        struct history *history = half->history;
        half->history = NULL;
        half_release(r, half);
        half->history = history; /* small, and tells what was only captured twice */
    }
}

/* --- the segment --- */

/* What this side's numbers prove about how much it has sent. */
static void hear(struct half *half, uint64_t end)
{
    if (!half->heard || end > half->heard_end)
        half->heard_end = end;
    half->heard = 1;
}

static void segment_take(struct reassembly *r, enum side side, const struct segment *segment)
{
    struct half *half = &r->half[side];
    struct stamp stamp;
    window_note(half, segment);
    int ack_bad = ack_take(r, side, segment, &stamp) != 0;
    uint64_t at = number_position(half, segment->seq + ((segment->flags & TCP_SYN) != 0));
    uint64_t end = at + segment->payload_wire;
    if (r->stopped) {
        follow(r, side, segment, at);
        return;
    }
    if (end + window_limit(r, side) - half->end < half->next) {
        half->counters.ignored++;
        return;
    }
    number_earlier(r, half, at, segment->payload_wire, &stamp);
    enum doubt doubt = payload_doubt(r, side, segment, at, &stamp, ack_bad);
    if (doubt != DOUBT_WINDOW)
        hear(half, end);
    if (segment->payload_wire > 0)
        payload_take(r, side, segment, at, &stamp, doubt);
    if ((segment->flags & TCP_FIN) && doubt != DOUBT_NONE && half->acked != end + 1) {
        half->fin_doubted = end;
        half->fin_doubted_stamp = stamp;
    } else if (segment->flags & TCP_FIN) {
        fin_take(r, side, segment, at, &stamp);
    }
}

/* Nothing of this half waits, is missing, in doubt or at its end. */
static int half_is_calm(const struct half *half)
{
    return half->started && !half->bare && !half->other_syn && !half->fin_known &&
           half->fin_doubted == 0 && half->held.first == NULL && half->end == half->next &&
           half->acked <= half->next && half->stray_acks == 0 && half->stray.to == 0;
}

/* Most segments by far: what is next, all of it captured, and an acknowledgement of bytes that were
 * delivered. Comes to what segment_take() and a drain come to. 0: it is none, nothing was done. */
static int segment_plain(struct reassembly *r, enum side side, const struct segment *segment)
{
    struct half *half = &r->half[side], *peer = &r->half[side_peer(side)];
    if ((segment->flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) != TCP_ACK || r->stopped ||
        !half_is_calm(half) || !half_is_calm(peer) ||
        segment->payload_len < segment->payload_wire ||
        number_position(half, segment->seq) != half->next)
        return 0;
    uint64_t ack = number_position(peer, segment->ack), at = half->next;
    if (ack > peer->next || (ack > peer->acked && peer->end < peer->phantom))
        return 0;
    if (timestamp_old(r, half, segment, at))
        return 0;
    const struct stamp stamp = {.packet = segment->packet,
                                .time_ns = segment->time_ns,
                                .ack = ack,
                                .ack_valid = 1};
    const struct run run = {.at = at,
                            .end = at + segment->payload_len,
                            .bytes = segment->payload,
                            .stamp = &stamp};
    window_note(half, segment);
    ack_rtt(peer, ack, segment->time_ns);
    if (ack > peer->acked)
        peer->acked = ack;
    hear(half, run.end);
    if (segment->payload_len == 0)
        return 1;
    payload_remember(r, side, segment, &stamp);
    payload_note(r, side, segment, &run);
    reassembly_order_deliver(r, side, &run);
    return 1;
}

void reassembly_segment(struct reassembly *r, enum side side, const struct segment *segment)
{
    struct half *half = &r->half[side];
    r->packets++;
    if (segment->time_ns > r->now_ns)
        r->now_ns = segment->time_ns;
    half->seen = 1;
    half->absent = 0;
    if (segment_plain(r, side, segment))
        return;
    if (segment->flags & TCP_RST) {
        reset_take(r, side, segment);
    } else if (segment->flags & TCP_SYN) {
        if (number_syn(r, half, segment))
            segment_take(r, side, segment);
    } else {
        if (!half->started)
            number_midstream(r, half, segment);
        segment_take(r, side, segment);
    }
    if (!r->stopped)
        reassembly_order_drain(r);
}

void reassembly_get(const struct reassembly *r, enum side side, struct reassembly_side *out)
{
    const struct half *half = &r->half[side];
    *out = half->counters;
    out->delivered = half->next - half->start;
    out->started = half->started;
    out->syn = half->syn;
    out->from_start = half->from_start;
    out->fin = half->fin_done;
}
