/*
 * A small network for the tests of the flow table: segments of made-up connections go in, the
 * events come out of a real bus and are looked at when everything has ended.
 */
#ifndef SWITCHTAP_TEST_FLOW_NET_H
#define SWITCHTAP_TEST_FLOW_NET_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/flow.h"

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)

enum { EVENTS_MOST = 60000, EVIDENCE_MOST = 128 };

struct seen {
    struct event event;
    char evidence[EVIDENCE_MOST]; /* of findings; nDPI's protocol of a flow's end */
};

struct net {
    struct seen *seen;
    size_t count, lost;
    struct budget budget;
    struct flow_options options;
    struct bus *bus;
    struct classifier *classifier; /* or NULL */
    struct flow_table *table;
    uint64_t packet;
    int64_t now_ns;
};

static inline int net_write(void *arg, struct batch *batch)
{
    struct net *net = arg;
    for (size_t i = 0; i < batch->count; i++) {
        if (net->count == EVENTS_MOST) {
            net->lost++;
            continue;
        }
        struct seen *seen = &net->seen[net->count++];
        seen->event = batch->events[i];
        struct text text = TEXT_NONE;
        if (seen->event.kind == EVENT_FINDING)
            text = seen->event.u.finding.evidence;
        else if (seen->event.kind == EVENT_FLOW_CLOSE)
            text = seen->event.u.flow_close.ndpi.protocol;
        if (text.data != NULL)
            memcpy(seen->evidence, text.data,
                   text.len < EVIDENCE_MOST ? text.len : EVIDENCE_MOST - 1);
    }
    return 0;
}

static inline int net_flush(void *arg)
{
    (void)arg;
    return 0;
}

static inline struct net *net_new_with(size_t memory, const struct flow_options *options,
                                struct classifier *classifier)
{
    struct net *net = calloc(1, sizeof *net);
    ck_assert_ptr_nonnull(net);
    net->seen = calloc(EVENTS_MOST, sizeof *net->seen);
    ck_assert_ptr_nonnull(net->seen);
    budget_init(&net->budget, memory, NULL);
    if (options != NULL) {
        net->options = *options;
    } else {
        flow_options_default(&net->options);
        net->options.verify_checksums = 0;
    }
    struct bus_options bus_options = {0};
    struct error error = {{0}};
    struct sink sink = {net, net_write, net_flush};
    net->bus = bus_new(&bus_options, &sink, 1, &error);
    ck_assert_msg(net->bus != NULL, "%s", error.text);
    net->classifier = classifier;
    net->table = flow_table_new(&net->options, net->bus, classifier, &net->budget);
    ck_assert_ptr_nonnull(net->table);
    net->now_ns = 1700000000 * SECOND;
    return net;
}

static inline struct net *net_new(size_t memory, const struct flow_options *options)
{
    return net_new_with(memory, options, NULL);
}

/* Everything is over: the events may be looked at (strings only those that were copied). */
static inline void net_end(struct net *net)
{
    flow_table_finish(net->table);
    flow_table_free(net->table);
    ck_assert_uint_eq(net->budget.used, 0);
    ck_assert_int_eq(bus_close(net->bus), 0);
    ck_assert_uint_eq(net->lost, 0);
}

static inline void net_free(struct net *net)
{
    free(net->seen);
    free(net);
}

static inline void counter_pick(void *arg, const char *name, uint64_t value)
{
    struct {
        const char *name;
        uint64_t value;
    } *pick = arg;
    if (strcmp(name, pick->name) == 0)
        pick->value = value;
}

static inline uint64_t net_counter(const struct net *net, const char *name)
{
    struct {
        const char *name;
        uint64_t value;
    } pick = {name, 0};
    flow_table_counters(net->table, counter_pick, &pick);
    return pick.value;
}

/* ---------------------------------------------------------------- what was seen */

static const struct event *net_find(const struct net *net, enum event_kind kind, uint64_t flow)
{
    for (size_t i = 0; i < net->count; i++) {
        if (net->seen[i].event.kind == kind && net->seen[i].event.flow == flow)
            return &net->seen[i].event;
    }
    return NULL;
}

static const struct event_flow_close *net_close(const struct net *net, uint64_t flow)
{
    const struct event *event = net_find(net, EVENT_FLOW_CLOSE, flow);
    ck_assert_msg(event != NULL, "flow %d was not closed", (int)flow);
    return &event->u.flow_close;
}

static inline size_t net_count(const struct net *net, enum event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < net->count; i++)
        count += net->seen[i].event.kind == kind;
    return count;
}

static const struct seen *net_finding(const struct net *net, enum rule rule, size_t *count)
{
    const struct seen *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < net->count; i++) {
        if (net->seen[i].event.kind == EVENT_FINDING &&
            net->seen[i].event.u.finding.rule == rule) {
            first = first == NULL ? &net->seen[i] : first;
            n++;
        }
    }
    if (count != NULL)
        *count = n;
    return first;
}

/* Each flow opens first, closes last, once; times of its own. */
static inline void net_check_order(const struct net *net, uint64_t flows)
{
    unsigned char *state = calloc((size_t)flows + 1, 1);
    ck_assert_ptr_nonnull(state);
    for (size_t i = 0; i < net->count; i++) {
        const struct event *event = &net->seen[i].event;
        ck_assert_uint_ge(event->flow, 1);
        ck_assert_uint_le(event->flow, flows);
        unsigned char *s = &state[event->flow];
        if (event->kind == EVENT_FLOW_OPEN)
            ck_assert_uint_eq(*s, 0);
        else
            ck_assert_uint_eq(*s, 1);
        *s = event->kind == EVENT_FLOW_CLOSE ? 2 : 1;
    }
    for (uint64_t i = 1; i <= flows; i++)
        ck_assert_uint_eq(state[i], 2);
    free(state);
}

/* ---------------------------------------------------------------- a connection to play with */

struct peer {
    struct address address;
    uint16_t port;
    uint32_t isn, sent; /* sent: bytes */
};

struct conn {
    struct net *net;
    struct peer peer[2];
    int64_t step_ns;
};

static inline struct conn conn_of(struct net *net, uint16_t client_port, uint16_t server_port)
{
    struct conn c = {.net = net, .step_ns = MS};
    c.peer[CLIENT] = (struct peer){{4, {10, 0, 0, 1}}, client_port, 0xffffff00u, 0};
    c.peer[SERVER] = (struct peer){{4, {10, 0, 0, 2}}, server_port, 1000, 0};
    return c;
}

static inline struct segment conn_segment(struct conn *c, enum side side, uint8_t flags)
{
    const struct peer *from = &c->peer[side], *to = &c->peer[side_peer(side)];
    struct net *net = c->net;
    net->now_ns += c->step_ns;
    net->packet++;
    return (struct segment){.source = from->address,
                            .target = to->address,
                            .source_port = from->port,
                            .target_port = to->port,
                            .vlan = -1,
                            .seq = from->isn + 1 + from->sent,
                            .ack = flags & TCP_ACK ? to->isn + 1 + to->sent : 0,
                            .window = 60000,
                            .flags = flags,
                            .window_scale = -1,
                            .ip_id = (uint16_t)net->packet,
                            .packet = net->packet,
                            .time_ns = net->now_ns};
}

static inline void net_put(struct net *net, const struct segment *segment)
{
    flow_table_segment(net->table, segment);
}

static inline void conn_syn(struct conn *c)
{
    struct segment s = conn_segment(c, CLIENT, TCP_SYN);
    s.seq = c->peer[CLIENT].isn;
    s.window_scale = 7;
    net_put(c->net, &s);
}

static inline void conn_syn_ack(struct conn *c)
{
    struct segment s = conn_segment(c, SERVER, TCP_SYN | TCP_ACK);
    s.seq = c->peer[SERVER].isn;
    s.window_scale = 7;
    net_put(c->net, &s);
}

static inline void conn_flags(struct conn *c, enum side side, uint8_t flags)
{
    struct segment s = conn_segment(c, side, flags);
    net_put(c->net, &s);
    if (flags & TCP_FIN)
        c->peer[side].sent++;
}

static inline void conn_open(struct conn *c)
{
    conn_syn(c);
    conn_syn_ack(c);
    conn_flags(c, CLIENT, TCP_ACK);
}

static inline void conn_data(struct conn *c, enum side side, const void *data, size_t len)
{
    struct segment s = conn_segment(c, side, TCP_ACK | TCP_PSH);
    s.payload = data;
    s.payload_len = s.payload_wire = len;
    net_put(c->net, &s);
    c->peer[side].sent += (uint32_t)len;
}

static inline void conn_text(struct conn *c, enum side side, const char *text)
{
    conn_data(c, side, text, strlen(text));
}

/* Bytes that were sent but not captured. */
static inline void conn_skip(struct conn *c, enum side side, uint32_t len)
{
    c->peer[side].sent += len;
}

static inline void conn_close(struct conn *c)
{
    conn_flags(c, CLIENT, TCP_FIN | TCP_ACK);
    conn_flags(c, SERVER, TCP_FIN | TCP_ACK);
    conn_flags(c, CLIENT, TCP_ACK);
}

static const char upgrade[] __attribute__((unused)) =
    "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
static const char request[] __attribute__((unused)) = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
static const char answer[] __attribute__((unused)) =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* Makes time pass with packets of another connection. */
static inline void net_pass(struct net *net, int64_t ns)
{
    static uint16_t port = 1000;
    net->now_ns += ns;
    struct conn other = conn_of(net, port++, 9);
    conn_flags(&other, CLIENT, TCP_ACK);
}

#endif
