/*
 * The bytes of a flow: segments go to the reassembly, ordered slices to the stack, events to the
 * bus, the first packets to nDPI. Here is also what is told about a flow as a whole: its opening
 * and closing, gaps, and the findings about the quality of the capture.
 */
#include "flow_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EVIDENCE_BYTES = 16, WELL_KNOWN_PORTS = 1024 };

/* ---------------------------------------------------------------- telling */

void flow_finding(struct flow_table *table, struct flow *flow, enum rule rule, enum side sender,
                  uint64_t offset, uint64_t packet, int64_t time_ns, struct text evidence)
{
    struct event event = {.kind = EVENT_FINDING,
                          .sender = sender,
                          .flow = flow->serial,
                          .packet = packet,
                          .time_ns = time_ns,
                          .offset = offset};
    event.u.finding.rule = rule;
    event.u.finding.evidence = evidence;
    bus_emit(table->bus, &event);
}

static int flow_found(struct flow_dir *dir, unsigned flag)
{
    int before = (dir->flags & flag) != 0;
    dir->flags = (uint16_t)(dir->flags | flag);
    return before;
}

static struct text text_of(const char *buffer, int len, size_t size)
{
    size_t used = len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
    return (struct text){buffer, used};
}

static void flow_tell_gap(struct flow_table *table, struct flow *flow, enum side side,
                          uint64_t offset, uint64_t len, const struct mark *mark)
{
    struct event event = {.kind = EVENT_GAP,
                          .sender = side,
                          .flow = flow->serial,
                          .packet = mark->packet,
                          .time_ns = mark->time_ns,
                          .offset = offset};
    event.u.gap.length = len;
    bus_emit(table->bus, &event);
    if (flow_found(&flow->dir[flow_dir_of(flow, side)], FOUND_GAP))
        return;
    char text[80];
    int n = snprintf(text, sizeof text, "%" PRIu64 " bytes missing at offset %" PRIu64, len,
                     offset);
    flow_finding(table, flow, RULE_CAPTURE_GAP, side, offset, mark->packet, mark->time_ns,
                 text_of(text, n, sizeof text));
}

static unsigned flow_guess_client(const struct flow *flow, unsigned dir, const uint8_t *payload,
                                  size_t len)
{
    enum side sender = len > 0 ? stack_guess_sender(payload, len) : NEITHER;
    if (sender != NEITHER)
        return sender == CLIENT ? dir : dir ^ 1u;
    uint16_t port0 = flow->key.port[0], port1 = flow->key.port[1];
    if ((port0 < WELL_KNOWN_PORTS) != (port1 < WELL_KNOWN_PORTS))
        return port0 < WELL_KNOWN_PORTS ? 1 : 0;
    if (port0 != port1)
        return port0 < port1 ? 1 : 0;
    return flow->first_dir;
}

static struct address flow_address(const struct flow *flow, unsigned dir)
{
    struct address address = {.family = flow->key.family};
    memcpy(address.bytes, flow->key.address[dir], sizeof address.bytes);
    return address;
}

void flow_open(struct flow_table *table, struct flow *flow, unsigned dir, const uint8_t *payload,
               size_t len)
{
    if (flow->flags & FLOW_OPENED)
        return;
    flow->flags |= FLOW_OPENED;
    if (flow->client_dir > 1)
        flow->client_dir = (uint8_t)flow_guess_client(flow, dir, payload, len);
    unsigned client = flow->client_dir, server = client ^ 1u;
    struct event event = {.kind = EVENT_FLOW_OPEN,
                          .sender = NEITHER,
                          .flow = flow->serial,
                          .packet = flow->first_packet,
                          .time_ns = flow->first_ns};
    event.u.flow_open = (struct event_flow_open){
        .client = flow_address(flow, client),
        .server = flow_address(flow, server),
        .client_port = flow->key.port[client],
        .server_port = flow->key.port[server],
        .vlan = flow->vlan,
    };
    bus_emit(table->bus, &event);
}

/* ---------------------------------------------------------------- the stack's host */

/* Flows by what became of what they protect, or by what is first known of that. */
static void count_protection(struct flow_table *table, struct flow *flow,
                             const struct event_layer_close *close)
{
    static const enum flow_counter counters[] = {
        [PROTECTION_SEALED] = COUNTER_TLS,
        [PROTECTION_CLOSED] = COUNTER_TLS_CLOSED,
        [PROTECTION_OPENED] = COUNTER_TLS_OPENED,
    };
    if (close->failure.len > 0) {
        table->counters[COUNTER_TLS_FAILED]++;
    } else if (close->protection != PROTECTION_NONE && (flow->flags & FLOW_TLS) == 0) {
        flow->flags |= FLOW_TLS;
        table->counters[counters[close->protection]]++;
    }
}

static void work_emit(void *arg, struct event *event)
{
    struct flow_work *work = arg;
    struct flow_table *table = work->table;
    struct flow *flow = work->flow;
    event->flow = flow->serial;
    if (event->session != 0 && (flow->flags & FLOW_SESSION) == 0) {
        flow->flags |= FLOW_SESSION;
        table->counters[COUNTER_SESSION]++;
    }
    if (event->kind == EVENT_LAYER_CLOSE)
        count_protection(table, flow, &event->u.layer_close);
    bus_emit(table->bus, event);
}

static void work_classify(void *arg, const struct text head[2], struct classification *result)
{
    const struct flow_work *work = arg;
    *result = (struct classification){TEXT_NONE, TEXT_NONE, TEXT_NONE};
    if (work->table->classifier != NULL)
        classify_bytes(work->table->classifier, head, result);
}

/* ---------------------------------------------------------------- the reassembly's handler */

static void work_data(void *arg, enum side side, const uint8_t *data, size_t len,
                      const struct mark *mark)
{
    struct flow_work *work = arg;
    work->delivered[side] += len;
    if (work->stack != NULL && !stack_done(work->stack))
        stack_data(work->stack, side, data, len, mark);
}

static void work_gap(void *arg, enum side side, uint64_t offset, uint64_t len,
                     const struct mark *mark)
{
    struct flow_work *work = arg;
    work->delivered[side] += len;
    flow_tell_gap(work->table, work->flow, side, offset, len, mark);
    if (work->stack != NULL && !stack_done(work->stack))
        stack_gap(work->stack, side, len, mark);
}

static void work_eof(void *arg, enum side side, const struct mark *mark)
{
    struct flow_work *work = arg;
    struct flow_dir *dir = &work->flow->dir[flow_dir_of(work->flow, side)];
    dir->flags |= DIR_EOF;
    if (work->stack != NULL && !stack_done(work->stack))
        stack_eof(work->stack, side, mark);
}

static size_t evidence_bytes(char *out, size_t size, const uint8_t *data, size_t len)
{
    size_t at = 0;
    size_t shown = len < EVIDENCE_BYTES ? len : EVIDENCE_BYTES;
    for (size_t i = 0; i < shown && at + 5 < size; i++) {
        uint8_t c = data[i];
        if (c >= 0x20 && c < 0x7f && c != '\\' && c != '"')
            out[at++] = (char)c;
        else
            at += (size_t)snprintf(out + at, size - at, "\\x%02x", c);
    }
    out[at] = '\0';
    return at;
}

static void work_conflict(void *arg, enum side side, uint64_t offset, const uint8_t *kept,
                          const uint8_t *other, size_t len, const struct mark *mark)
{
    struct flow_work *work = arg;
    struct flow *flow = work->flow;
    if (flow_found(&flow->dir[flow_dir_of(flow, side)], FOUND_CONFLICT))
        return;
    char first[4 * EVIDENCE_BYTES + 8], second[4 * EVIDENCE_BYTES + 8], text[240];
    (void)evidence_bytes(first, sizeof first, kept, len);
    (void)evidence_bytes(second, sizeof second, other, len);
    int n = snprintf(text, sizeof text, "%zu bytes at offset %" PRIu64
                     ": kept \"%s\", other \"%s\"%s", len, offset, first, second,
                     len > EVIDENCE_BYTES ? " ..." : "");
    flow_finding(work->table, flow, RULE_CAPTURE_OVERLAP_CONFLICT, side, offset, mark->packet,
                 mark->time_ns, text_of(text, n, sizeof text));
}

/* Once per name; what finds no place in the list of names is in the counter only. */
static int work_limit_is_new(struct flow_work *work, const char *name)
{
    for (size_t i = 0; i < LIMIT_NAMES; i++) {
        if (work->limits[i] == NULL) {
            work->limits[i] = name;
            return 1;
        }
        if (strcmp(work->limits[i], name) == 0)
            return 0;
    }
    return 0;
}

static void work_limit(void *arg, enum side side, const char *name, uint64_t value,
                       const struct mark *mark)
{
    struct flow_work *work = arg;
    work->table->counters[COUNTER_REASSEMBLY_LIMIT]++;
    if (!work_limit_is_new(work, name))
        return;
    char text[80];
    int n = snprintf(text, sizeof text, "%s=%" PRIu64, name, value);
    flow_finding(work->table, work->flow, RULE_ANALYSIS_LIMIT_HIT, side,
                 side == NEITHER ? 0 : work->delivered[side], mark->packet, mark->time_ns,
                 text_of(text, n, sizeof text));
}

void flow_work_callbacks(struct flow_table *table)
{
    table->host = (struct stack_host){.emit = work_emit, .classify = work_classify};
    table->handler = (struct reassembly_handler){.data = work_data,
                                                 .gap = work_gap,
                                                 .eof = work_eof,
                                                 .conflict = work_conflict,
                                                 .limit = work_limit};
}

/* ---------------------------------------------------------------- beginning */

static struct segment flow_bare_segment(const struct flow *flow, unsigned dir, uint8_t flags)
{
    const struct flow_dir *d = &flow->dir[dir];
    struct segment segment = {
        .source = flow_address(flow, dir),
        .target = flow_address(flow, dir ^ 1u),
        .source_port = flow->key.port[dir],
        .target_port = flow->key.port[dir ^ 1u],
        .vlan = flow->vlan,
        .tunnel = flow->key.tunnel,
        .seq = flags & TCP_SYN ? d->isn : d->next,
        .window = d->window,
        .flags = flags,
        .window_scale = flags & TCP_SYN ? d->scale : -1,
        .packet = flow->first_packet,
        .time_ns = flags & TCP_SYN && d->syn_ns > 0 ? d->syn_ns : flow->first_ns,
    };
    return segment;
}

/* The reassembly begins with the first payload and has not seen what came before: it is shown the
 * SYNs, the last acknowledgements and a FIN behind no payload again. */
static void flow_replay(struct flow *flow, struct flow_work *work, unsigned payload_dir,
                        const struct segment *segment)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned dir = flow_dir_of(flow, i == 0 ? CLIENT : SERVER);
        const struct flow_dir *d = &flow->dir[dir], *peer = &flow->dir[dir ^ 1u];
        if ((d->flags & DIR_ISN) == 0 || (dir == payload_dir && (segment->flags & TCP_SYN) != 0))
            continue;
        struct segment syn = flow_bare_segment(flow, dir, TCP_SYN);
        if (i == 1 && (peer->flags & DIR_ISN) != 0) {
            syn.flags |= TCP_ACK;
            syn.ack = peer->isn + 1;
        }
        reassembly_segment(work->reassembly, flow_side(flow, dir), &syn);
    }
    for (unsigned dir = 0; dir < 2; dir++) {
        const struct flow_dir *d = &flow->dir[dir];
        int fin = (d->flags & DIR_FIN) != 0;
        if ((dir == payload_dir && !fin) || (d->flags & DIR_ACK) == 0 ||
            (d->flags & DIR_NEXT) == 0)
            continue;
        struct segment ack = flow_bare_segment(flow, dir, fin ? TCP_ACK | TCP_FIN : TCP_ACK);
        ack.seq -= (uint32_t)fin;
        ack.ack = d->acked;
        ack.time_ns = segment->time_ns;
        reassembly_segment(work->reassembly, flow_side(flow, dir), &ack);
    }
}

static void flow_start_seq(struct flow *flow, struct flow_work *work)
{
    for (unsigned dir = 0; dir < 2; dir++) {
        work->start_known[dir] = (flow->dir[dir].flags & DIR_ISN) != 0;
        work->start_seq[dir] = flow->dir[dir].isn + 1;
    }
}

static void flow_unanalysed(struct flow_table *table, struct flow *flow,
                            const struct segment *segment, uint64_t limit)
{
    flow->flags |= FLOW_UNANALYSED;
    table->counters[COUNTER_UNANALYSED]++;
    char text[48];
    int n = snprintf(text, sizeof text, "memory=%" PRIu64, limit);
    flow_finding(table, flow, RULE_ANALYSIS_LIMIT_HIT, NEITHER, 0, segment->packet,
                 segment->time_ns, text_of(text, n, sizeof text));
}

void flow_work_start(struct flow_table *table, struct flow *flow, unsigned dir,
                     const struct segment *segment)
{
    int from_start = ((flow->dir[0].flags | flow->dir[1].flags) & DIR_SYN) != 0;
    if (!from_start) {
        table->counters[COUNTER_MIDSTREAM]++;
        flow_finding(table, flow, RULE_CAPTURE_MIDSTREAM, NEITHER, 0, segment->packet,
                     segment->time_ns, TEXT_LITERAL("no SYN was captured"));
    }
    (void)flow_headroom(table, flow, sizeof *flow->work + FLOW_WORK_REMEMBERED);
    struct flow_work *work = NULL;
    if (budget_reserve(table->budget, FLOW_WORK_REMEMBERED) == 0) {
        work = budget_alloc(table->budget, sizeof *work);
        if (work == NULL)
            budget_release(table->budget, FLOW_WORK_REMEMBERED);
    }
    if (work == NULL) {
        flow_unanalysed(table, flow, segment, table->budget->limit);
        return;
    }
    flow->work = work;
    work->flow = flow;
    work->table = table;
    work->wait_since_ns = -1;
    work->carried.active_ns = INT64_MIN;
    work->classify_left = table->classifier != NULL ? CLASSIFY_PACKETS : 0;
    budget_init(&work->budget, table->options.flow_memory, table->budget);
    work->stack =
        stack_new(&table->host, work, &table->options.dissect, &work->budget, from_start);
    if (work->stack != NULL)
        work->reassembly = reassembly_new(&table->handler, work, &table->options.reassembly,
                                          &work->budget);
    if (work->reassembly == NULL) {
        struct mark mark = {.packet = segment->packet, .time_ns = segment->time_ns};
        if (work->stack != NULL)
            stack_close(work->stack, SESSION_END_CAPTURE, NEITHER, 0, &mark); /* nothing is told */
        flow_work_free(flow);
        flow_unanalysed(table, flow, segment, table->options.flow_memory);
        return;
    }
    flow_start_seq(flow, work);
    flow_replay(flow, work, dir, segment);
}

/* ---------------------------------------------------------------- holes that wait */

static void work_wait_remove(struct flow_table *table, struct flow_work *work)
{
    if (work->wait_since_ns < 0)
        return;
    if (work->wait_before != NULL)
        work->wait_before->wait_after = work->wait_after;
    else
        table->wait_first = work->wait_after;
    if (work->wait_after != NULL)
        work->wait_after->wait_before = work->wait_before;
    else
        table->wait_last = work->wait_before;
    work->wait_before = work->wait_after = NULL;
    work->wait_since_ns = -1;
}

static void work_wait_add(struct flow_table *table, struct flow_work *work)
{
    work->wait_since_ns = table->now_ns;
    work->wait_before = table->wait_last;
    work->wait_after = NULL;
    if (table->wait_last != NULL)
        table->wait_last->wait_after = work;
    else
        table->wait_first = work;
    table->wait_last = work;
}

/* Bytes behind a hole wait in the reassembly, which only looks at them when a packet comes: the
 * table's clock looks after flows that fall silent with a hole. */
static void work_wait_update(struct flow_table *table, struct flow_work *work)
{
    int hole = 0;
    for (unsigned dir = 0; dir < 2 && !hole; dir++) {
        uint32_t delivered = (uint32_t)work->delivered[flow_side(work->flow, dir)];
        hole = work->start_known[dir] && (work->flow->dir[dir].flags & DIR_EOF) == 0 &&
               flow_seq_diff(work->flow->dir[dir].next, work->start_seq[dir] + delivered) > 1;
    }
    if (!hole)
        work_wait_remove(table, work);
    else if (work->wait_since_ns < 0)
        work_wait_add(table, work);
}

/* ---------------------------------------------------------------- segments */

static void holes_add(struct flow_holes *holes, uint32_t from, uint32_t to, uint32_t missing,
                      uint64_t offset)
{
    for (size_t i = 0; i < FLOW_HOLES && missing > 0; i++) {
        if (holes->hole[i].missing > 0)
            continue;
        holes->hole[i] = (struct flow_hole){from, to, missing, offset};
        return;
    }
}

/* Late bytes. Returns how many of them were missing. */
static uint32_t holes_fill(struct flow_holes *holes, uint32_t from, uint32_t to)
{
    uint32_t filled = 0;
    for (size_t i = 0; i < FLOW_HOLES; i++) {
        struct flow_hole *hole = &holes->hole[i];
        if (hole->missing == 0)
            continue;
        uint32_t first = flow_seq_diff(from, hole->from) > 0 ? from : hole->from;
        uint32_t last = flow_seq_diff(to, hole->to) < 0 ? to : hole->to;
        int32_t common = flow_seq_diff(last, first);
        if (common <= 0)
            continue;
        uint32_t part = (uint32_t)common < hole->missing ? (uint32_t)common : hole->missing;
        hole->missing -= part;
        filled += part;
        if (first == hole->from)
            hole->from = last;
        else if (last == hole->to)
            hole->to = first;
    }
    return filled;
}

/* The reassembly ends, its numbers are kept. What it still waited for may yet come. */
static void work_stop(struct flow_table *table, struct flow_work *work)
{
    if (work->reassembly == NULL)
        return;
    struct flow *flow = work->flow;
    work_wait_remove(table, work);
    struct reassembly_side before[2], after;
    for (int side = CLIENT; side <= SERVER; side++)
        reassembly_get(work->reassembly, (enum side)side, &before[side]);
    reassembly_stop(work->reassembly);
    for (unsigned dir = 0; dir < 2; dir++) {
        struct flow_dir *d = &flow->dir[dir];
        enum side side = flow_side(flow, dir);
        const struct reassembly_side *got = &before[side];
        reassembly_get(work->reassembly, side, &after);
        uint32_t start = work->start_seq[dir];
        struct flow_holes *holes = &work->holes[dir];
        *holes = (struct flow_holes){.end = start + (uint32_t)after.delivered};
        work->delivered[side] = after.delivered;
        holes_add(holes, start + (uint32_t)got->delivered, holes->end,
                  (uint32_t)(after.missing - got->missing), got->delivered);
        d->missing += got->missing;
        d->retransmits += got->retransmits;
        if (got->rtt_ns >= 0 && (d->rtt_ns < 0 || got->rtt_ns < d->rtt_ns))
            d->rtt_ns = got->rtt_ns;
        if (got->duplicates > 0) {
            char text[48];
            int n = snprintf(text, sizeof text, "%" PRIu64 " packets captured twice",
                             got->duplicates);
            flow_finding(table, flow, RULE_CAPTURE_DUPLICATE_PACKETS, side, 0, flow->last_packet,
                         flow->last_ns, text_of(text, n, sizeof text));
        }
    }
    reassembly_free(work->reassembly);
    work->reassembly = NULL;
}

/* Nothing is delivered any more: sequence numbers tell what is missing or sent again. */
static void work_count(struct flow_work *work, struct flow_dir *d, enum side side,
                       struct flow_holes *holes, const struct segment *segment)
{
    uint32_t end = segment->seq + (uint32_t)segment->payload_wire;
    int32_t ahead = flow_seq_diff(segment->seq, holes->end);
    int32_t advance = flow_seq_diff(end, holes->end);
    /* `next` moves for segments of the window only, but for bare acknowledgements, too. */
    int believed = flow_seq_diff(end, d->next) <= 0;
    if (ahead > 0 && believed)
        holes_add(holes, holes->end, segment->seq, (uint32_t)ahead, work->delivered[side]);
    else if (ahead < 0 && holes_fill(holes, segment->seq, end) == 0 && advance <= 0)
        d->retransmits++;
    if (advance > 0 && believed) {
        holes->end = end;
        work->delivered[side] += (uint32_t)advance;
    }
}

static void work_ndpi(struct flow_table *table, struct flow_work *work, unsigned dir,
                      const struct segment *segment)
{
    work->classify_left--;
    if (classify_packet(table->classifier, &work->ndpi, segment, flow_side(work->flow, dir),
                        &work->budget, &work->classification)) {
        work->classify_left = 0;
    } else if (work->classify_left == 0) {
        classify_finish(table->classifier, &work->ndpi, &work->budget, &work->classification);
    }
}

void flow_work_segment(struct flow_table *table, struct flow *flow, unsigned dir,
                       const struct segment *segment, uint32_t before, int fresh)
{
    struct flow_work *work = flow->work;
    if (work != NULL && work->classify_left > 0 && segment->payload_len > 0 &&
        segment->payload_len == segment->payload_wire)
        work_ndpi(table, work, dir, segment);
    if (work == NULL || work->reassembly == NULL) {
        if (work != NULL && segment->payload_wire > 0 && !fresh)
            work_count(work, &flow->dir[dir], flow_side(flow, dir), &work->holes[dir], segment);
        return;
    }
    if (segment->payload_wire > 0 && !work->start_known[dir]) {
        work->start_known[dir] = 1;
        work->start_seq[dir] = fresh ? segment->seq : before;
    }
    reassembly_segment(work->reassembly, flow_side(flow, dir), segment);
    if (stack_done(work->stack)) {
        work_stop(table, work);
    } else {
        work_wait_update(table, work);
    }
}

void flow_work_flush(struct flow_work *work, int64_t time_ns)
{
    if (work->reassembly == NULL)
        return;
    const struct mark mark = {.packet = work->flow->last_packet, .time_ns = time_ns};
    reassembly_flush(work->reassembly, &mark);
    work_wait_remove(work->table, work);
}

/* ---------------------------------------------------------------- the end */

static enum session_end flow_session_end(enum flow_end end)
{
    switch (end) {
    case END_FIN:
        return SESSION_END_FIN;
    case END_RST:
        return SESSION_END_RST;
    case END_IDLE:
        return SESSION_END_IDLE;
    case END_EVICTED:
        return SESSION_END_EVICTED;
    case END_CAPTURE:
        break;
    }
    return SESSION_END_CAPTURE;
}

static enum side flow_end_side(const struct flow *flow, enum flow_end end)
{
    if ((end != END_FIN && end != END_RST) || flow->end_dir > 1)
        return NEITHER;
    return flow_side(flow, flow->end_dir);
}

static int64_t flow_idle_ns(const struct flow *flow, int64_t time_ns)
{
    int64_t since = flow->flags & FLOW_PAYLOAD ? flow->last_payload_ns : flow->last_ns;
    return time_ns > since ? time_ns - since : 0;
}

/* How it is for the sessions: TLS ends its streams in records of its own, in front of what TCP
 * does, and these are no traffic. */
static void flow_over(const struct flow *flow, enum flow_end end, int64_t time_ns,
                      struct event_flow_close *close)
{
    close->session_end = flow_session_end(end);
    close->end_side = flow_end_side(flow, end);
    close->idle_ns = flow_idle_ns(flow, time_ns);
    if (flow->work == NULL || flow->work->carried.active_ns == INT64_MIN)
        return;
    int64_t since = flow->work->carried.active_ns;
    close->idle_ns = time_ns > since ? time_ns - since : 0;
    if (!flow->work->carried.both)
        return;
    close->session_end = SESSION_END_FIN;
    close->end_side = flow->work->carried.first;
}

void flow_work_close(struct flow_table *table, struct flow *flow, enum flow_end end,
                     int64_t time_ns, uint64_t packet)
{
    struct flow_work *work = flow->work;
    if (work == NULL || (flow->flags & FLOW_STACK_CLOSED) != 0)
        return;
    flow->flags |= FLOW_STACK_CLOSED;
    const struct mark mark = {.packet = packet, .time_ns = time_ns};
    if (work->reassembly != NULL) {
        reassembly_flush(work->reassembly, &mark);
        work_stop(table, work);
    }
    work->carried = stack_carried_end(work->stack);
    struct event_flow_close over;
    flow_over(flow, end, time_ns, &over);
    stack_close(work->stack, over.session_end, over.end_side, over.idle_ns, &mark);
    stack_free(work->stack);
    work->stack = NULL;
    if (work->classify_left > 0) {
        classify_finish(table->classifier, &work->ndpi, &work->budget, &work->classification);
        work->classify_left = 0;
    }
}

/* One direction never showed a packet although the other one carried on with it. */
static void flow_tell_one_sided(struct flow_table *table, struct flow *flow)
{
    for (unsigned dir = 0; dir < 2; dir++) {
        const struct flow_dir *d = &flow->dir[dir];
        if (flow->dir[dir ^ 1u].packets > 0 || (d->bytes == 0 && (d->flags & DIR_ACK_MOVED) == 0))
            continue;
        table->counters[COUNTER_ONE_SIDED]++;
        flow_finding(table, flow, RULE_CAPTURE_ONE_SIDED, flow_side(flow, dir ^ 1u), 0,
                     flow->last_packet, flow->last_ns,
                     flow_side(flow, dir) == CLIENT ? TEXT_LITERAL("only the client was captured")
                                                    : TEXT_LITERAL("only the server was captured"));
    }
}

static void flow_tell_holes(struct flow_table *table, struct flow *flow)
{
    const struct mark mark = {.packet = flow->last_packet, .time_ns = flow->last_ns};
    for (unsigned dir = 0; dir < 2 && flow->work != NULL; dir++) {
        for (size_t i = 0; i < FLOW_HOLES; i++) {
            const struct flow_hole *hole = &flow->work->holes[dir].hole[i];
            if (hole->missing == 0)
                continue;
            flow_tell_gap(table, flow, flow_side(flow, dir), hole->offset, hole->missing, &mark);
            flow->dir[dir].missing += hole->missing;
        }
    }
}

static enum flow_handshake flow_handshake_of(const struct flow *flow)
{
    unsigned both = flow->dir[0].flags & flow->dir[1].flags;
    unsigned any = flow->dir[0].flags | flow->dir[1].flags;
    if ((both & DIR_SYN) != 0 && (both & DIR_SYN_ACKED) != 0)
        return HANDSHAKE_FULL;
    return any & DIR_SYN ? HANDSHAKE_PARTIAL : HANDSHAKE_NONE;
}

void flow_close(struct flow_table *table, struct flow *flow, enum flow_end end, int64_t time_ns,
                uint64_t packet)
{
    flow_open(table, flow, 0, NULL, 0);
    flow_work_close(table, flow, end, time_ns, packet);
    flow_tell_holes(table, flow);
    flow_tell_one_sided(table, flow);
    struct event event = {.kind = EVENT_FLOW_CLOSE,
                          .sender = NEITHER,
                          .flow = flow->serial,
                          .packet = packet,
                          .time_ns = time_ns};
    struct event_flow_close *close = &event.u.flow_close;
    close->first_ns = flow->first_ns;
    close->last_ns = flow->last_ns;
    close->handshake = flow_handshake_of(flow);
    close->end = end;
    flow_over(flow, end, time_ns, close);
    for (unsigned dir = 0; dir < 2; dir++) {
        const struct flow_dir *d = &flow->dir[dir];
        close->side[flow_side(flow, dir)] = (struct event_flow_side){.packets = d->packets,
                                                                     .bytes = d->bytes,
                                                                     .missing = d->missing,
                                                                     .retransmits = d->retransmits,
                                                                     .rtt_ns = d->rtt_ns};
    }
    if (flow->work != NULL)
        close->ndpi = flow->work->classification;
    bus_emit(table->bus, &event);
}

void flow_work_free(struct flow *flow)
{
    struct flow_work *work = flow->work;
    if (work == NULL)
        return;
    struct flow_table *table = work->table;
    work_wait_remove(table, work);
    if (work->ndpi != NULL)
        classify_finish(table->classifier, &work->ndpi, &work->budget, &work->classification);
    if (work->reassembly != NULL)
        reassembly_free(work->reassembly);
    if (work->stack != NULL)
        stack_free(work->stack);
    budget_free(table->budget, work);
    budget_release(table->budget, FLOW_WORK_REMEMBERED);
    flow->work = NULL;
}
