/*
 * The flow table as a container: keyed hash lookup, one list per class in the order of the last
 * packets (so that timeouts and evictions look at the oldest only), one list of all flows in the
 * order of their first packets, and the clock, which is the newest packet time seen.
 */
#include "flow_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    BUCKETS_LEAST = 256,
    BUCKETS_MOST = 1 << 22,
    BYTES_PER_BUCKET = 512, /* of the run's budget: about one flow per bucket when it is full */
    CANDIDATES = 8
};

static const int64_t second_ns = 1000000000;
static const int64_t step_ns = 100000000; /* how often it is looked for flows that are due */

/* ---------------------------------------------------------------- hash: SipHash-1-3 */

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static uint64_t load64(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static uint32_t load32(const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* The seed is secret: who sends the packets cannot choose which flows share a bucket. */
uint32_t flow_hash(const struct flow_table *table, const struct flow_key *key)
{
    struct sip s = {
        .v0 = table->seed[0] ^ 0x736f6d6570736575u,
        .v1 = table->seed[1] ^ 0x646f72616e646f6du,
        .v2 = table->seed[0] ^ 0x6c7967656e657261u,
        .v3 = table->seed[1] ^ 0x7465646279746573u,
    };
    if (key->family == 4) {
        sip_word(&s, (uint64_t)load32(key->address[0]) << 32 | load32(key->address[1]));
    } else {
        for (unsigned i = 0; i < 2; i++) {
            sip_word(&s, load64(key->address[i]));
            sip_word(&s, load64(key->address[i] + 8));
        }
    }
    sip_word(&s, (uint64_t)key->tunnel << 32 | (uint32_t)key->port[0] << 16 | key->port[1]);
    sip_word(&s, key->family);
    s.v2 ^= 0xff;
    for (unsigned i = 0; i < 3; i++)
        sip_round(&s);
    uint64_t hash = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return (uint32_t)(hash ^ hash >> 32);
}

/* Which end is the smaller one? 0: the source. Loopback connections may have one address. */
static unsigned key_order(int order, const struct segment *segment)
{
    if (order == 0)
        return segment->source_port > segment->target_port;
    return order > 0;
}

unsigned flow_key_of(const struct segment *segment, struct flow_key *key)
{
    const uint8_t *from = segment->source.bytes, *to = segment->target.bytes;
    unsigned source;
    memset(key, 0, sizeof *key);
    if (segment->source.family == 4) { /* constant sizes: this is done for each packet */
        source = key_order(memcmp(from, to, 4), segment);
        memcpy(key->address[source], from, 4);
        memcpy(key->address[source ^ 1u], to, 4);
    } else {
        source = key_order(memcmp(from, to, 16), segment);
        memcpy(key->address[source], from, 16);
        memcpy(key->address[source ^ 1u], to, 16);
    }
    key->port[source] = segment->source_port;
    key->port[source ^ 1u] = segment->target_port;
    key->tunnel = segment->tunnel;
    key->family = segment->source.family;
    return source;
}

struct flow *flow_find(const struct flow_table *table, const struct flow_key *key, uint32_t hash)
{
    struct flow *flow = table->buckets[hash & table->mask];
    while (flow != NULL && (flow->hash != hash || memcmp(&flow->key, key, sizeof *key) != 0))
        flow = flow->chain;
    return flow;
}

/* ---------------------------------------------------------------- lists */

static void list_append(struct flow_list *list, struct flow *flow)
{
    flow->older = list->newest;
    flow->newer = NULL;
    if (list->newest != NULL)
        list->newest->newer = flow;
    else
        list->oldest = flow;
    list->newest = flow;
    list->count++;
}

static void list_remove(struct flow_list *list, struct flow *flow)
{
    if (flow->older != NULL)
        flow->older->newer = flow->newer;
    else
        list->oldest = flow->newer;
    if (flow->newer != NULL)
        flow->newer->older = flow->older;
    else
        list->newest = flow->older;
    list->count--;
}

static void flow_relist(struct flow_table *table, struct flow *flow, enum flow_class class)
{
    list_remove(&table->lists[flow->class], flow);
    flow->class = (uint8_t)class;
    flow->listed_ns = table->now_ns;
    list_append(&table->lists[class], flow);
}

void flow_touch(struct flow_table *table, struct flow *flow, enum flow_class class)
{
    flow->touched_ns = table->now_ns;
    if (class != flow->class || table->now_ns - flow->listed_ns > table->relist_ns[class])
        flow_relist(table, flow, class);
}

/* ---------------------------------------------------------------- flows come and go */

struct flow *flow_create(struct flow_table *table, const struct flow_key *key, uint32_t hash,
                         unsigned dir, const struct segment *segment)
{
    struct flow *flow = NULL;
    if (flow_headroom(table, NULL, sizeof *flow + FLOW_REMEMBERED) == 0 &&
        budget_reserve(table->budget, FLOW_REMEMBERED) == 0) {
        flow = budget_alloc(table->budget, sizeof *flow);
        if (flow == NULL)
            budget_release(table->budget, FLOW_REMEMBERED);
    }
    if (flow == NULL)
        return NULL;
    flow->hash = hash;
    flow->key = *key;
    flow->vlan = segment->vlan;
    flow->client_dir = 2;
    flow->end_dir = 2;
    flow->first_dir = (uint8_t)dir;
    flow->class = CLASS_HALF;
    flow->serial = ++table->serial;
    flow->first_ns = flow->last_ns = segment->time_ns;
    flow->first_packet = segment->packet;
    flow->touched_ns = flow->listed_ns = table->now_ns;
    for (unsigned i = 0; i < 2; i++) {
        flow->dir[i].rtt_ns = -1;
        flow->dir[i].scale = -1;
    }
    flow->chain = table->buckets[hash & table->mask];
    table->buckets[hash & table->mask] = flow;
    list_append(&table->lists[CLASS_HALF], flow);
    flow_relist(table, flow, CLASS_HALF);
    flow->before = table->last;
    if (table->last != NULL)
        table->last->after = flow;
    else
        table->first = flow;
    table->last = flow;
    table->counters[COUNTER_OPENED]++;
    return flow;
}

void flow_remove(struct flow_table *table, struct flow *flow)
{
    struct flow **link = &table->buckets[flow->hash & table->mask];
    while (*link != flow)
        link = &(*link)->chain;
    *link = flow->chain;
    if (table->recent == flow)
        table->recent = NULL;
    list_remove(&table->lists[flow->class], flow);
    if (flow->before != NULL)
        flow->before->after = flow->after;
    else
        table->first = flow->after;
    if (flow->after != NULL)
        flow->after->before = flow->before;
    else
        table->last = flow->before;
    flow_work_free(flow);
    budget_free(table->budget, flow);
    budget_release(table->budget, FLOW_REMEMBERED);
    table->counters[COUNTER_ENDED]++;
}

/* ---------------------------------------------------------------- eviction */

/* The flow of a class that was silent longest, or nearly: lists are brought up to date lazily, so
 * the first few are compared. Where the whole list is younger than that laziness, a first one that
 * was busy since is moved on, so that it does not stand in the way for ever. */
static struct flow *flow_victim(struct flow_table *table, enum flow_class class,
                                const struct flow *keep)
{
    struct flow *first = table->lists[class].oldest, *victim = NULL;
    struct flow *flow = first;
    unsigned most = class == CLASS_HALF ? 2 : CANDIDATES;
    for (unsigned i = 0; i < most && flow != NULL; i++, flow = flow->newer) {
        if (flow != keep && (victim == NULL || flow->touched_ns < victim->touched_ns))
            victim = flow;
    }
    if (victim != NULL && victim != first &&
        table->now_ns - first->listed_ns <= table->relist_ns[class])
        flow_relist(table, first, class);
    return victim;
}

static int flow_evict(struct flow_table *table, const struct flow *keep)
{
    for (int class = 0; class < CLASS_COUNT; class++) {
        struct flow *victim = flow_victim(table, (enum flow_class)class, keep);
        if (victim != NULL) {
            flow_end(table, victim, END_EVICTED);
            return 0;
        }
    }
    return -1;
}

static int flow_budget_has(const struct flow_table *table, size_t bytes)
{
    for (const struct budget *b = table->budget; b != NULL; b = b->parent) {
        if (b->used > b->limit || b->limit - b->used < bytes)
            return 0;
    }
    return 1;
}

int flow_headroom(struct flow_table *table, const struct flow *keep, size_t bytes)
{
    while (!flow_budget_has(table, bytes + table->reserve)) {
        if (flow_evict(table, keep) != 0)
            return flow_budget_has(table, bytes) ? 0 : -1;
    }
    return 0;
}

/* ---------------------------------------------------------------- time */

int flow_expired(const struct flow_table *table, const struct flow *flow)
{
    return table->now_ns - flow->touched_ns > table->timeout_ns[flow->class];
}

/* Nobody will fill a hole when its other side has acknowledged all that was seen behind it. */
static int flow_hole_is_lost(const struct flow *flow, const struct flow_work *work)
{
    int lost = 0;
    for (unsigned dir = 0; dir < 2; dir++) {
        const struct flow_dir *d = &flow->dir[dir], *peer = &flow->dir[dir ^ 1];
        uint32_t reached =
            work->start_seq[dir] + (uint32_t)work->delivered[flow_side(flow, dir)];
        if (!work->start_known[dir] || flow_seq_diff(d->next, reached) <= 0)
            continue;
        if ((peer->flags & DIR_ACK) == 0 || flow_seq_diff(peer->acked, d->next) < 0)
            return 0;
        lost = 1;
    }
    return lost;
}

/* Flows that are due, by `due` and in no order. */
static void flow_is_due(struct flow **due, struct flow *flow)
{
    if (flow->flags & FLOW_DUE)
        return;
    flow->flags |= FLOW_DUE;
    flow->due = *due;
    *due = flow;
}

/* Where a hole waits that nobody will fill. Each is looked at once per timeout. */
static void flow_due_holes(struct flow_table *table, struct flow **due)
{
    int64_t timeout = table->options.reassembly.gap_timeout_ns;
    while (table->wait_first != NULL) {
        struct flow_work *work = table->wait_first;
        if (table->now_ns - work->wait_since_ns <= timeout)
            break;
        work->wait_since_ns = table->now_ns;
        if (work->wait_after != NULL) { /* to the end of the list */
            table->wait_first = work->wait_after;
            table->wait_first->wait_before = NULL;
            work->wait_before = table->wait_last;
            work->wait_after = NULL;
            table->wait_last->wait_after = work;
            table->wait_last = work;
        }
        if (table->now_ns - work->flow->touched_ns > timeout &&
            flow_hole_is_lost(work->flow, work))
            flow_is_due(due, work->flow);
    }
}

/* All flows of a class that were silent too long: they were listed before they fell silent. */
static void flow_due_class(struct flow_table *table, enum flow_class class, struct flow **due)
{
    struct flow *flow = table->lists[class].oldest;
    for (; flow != NULL && table->now_ns - flow->listed_ns > table->timeout_ns[class];
         flow = flow->newer) {
        if (flow_expired(table, flow))
            flow_is_due(due, flow);
    }
}

static struct flow *flow_merge_due(struct flow *a, struct flow *b)
{
    struct flow *head = NULL, **link = &head;
    while (a != NULL && b != NULL) {
        struct flow **first = a->serial < b->serial ? &a : &b;
        *link = *first;
        link = &(*first)->due;
        *first = (*first)->due;
    }
    *link = a != NULL ? a : b;
    return head;
}

/* In the order in which they began: runs[i] has 2^i of them. */
static struct flow *flow_sort_due(struct flow *due)
{
    struct flow *runs[64] = {NULL}, *sorted = NULL;
    while (due != NULL) {
        struct flow *run = due;
        due = due->due;
        run->due = NULL;
        size_t i = 0;
        for (; runs[i] != NULL; i++) {
            run = flow_merge_due(runs[i], run);
            runs[i] = NULL;
        }
        runs[i] = run;
    }
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        sorted = flow_merge_due(runs[i], sorted);
    return sorted;
}

void flow_end_due(struct flow_table *table)
{
    struct flow *due = NULL;
    flow_due_holes(table, &due);
    for (int class = 0; class < CLASS_COUNT; class++)
        flow_due_class(table, (enum flow_class)class, &due);
    due = flow_sort_due(due);
    while (due != NULL) {
        struct flow *flow = due;
        due = flow->due;
        flow->flags = (uint16_t)(flow->flags & ~(unsigned)FLOW_DUE);
        if (flow_expired(table, flow))
            flow_end(table, flow, END_IDLE);
        else
            flow_work_flush(flow->work, table->now_ns);
    }
}

int flow_clock(int64_t *clock_ns, int64_t time_ns)
{
    int64_t before = *clock_ns;
    int64_t now = time_ns < INT64_MAX / 2 ? time_ns : INT64_MAX / 2;
    if (now <= before)
        return 0;
    *clock_ns = now;
    return now / step_ns != before / step_ns;
}

/* ---------------------------------------------------------------- life of the table */

void flow_options_default(struct flow_options *options)
{
    *options = (struct flow_options){
        .flow_memory = (size_t)32 << 20,
        .verify_checksums = 1,
        .idle_timeout_ns = 600 * second_ns,
        .syn_timeout_ns = 60 * second_ns,
        .closed_timeout_ns = 2 * second_ns,
        .reassembly = {.policy = OVERLAP_BSD,
                       .held_limit = (size_t)4 << 20,
                       .recent_limit = (size_t)16 << 10,
                       .gap_timeout_ns = second_ns,
                       .gap_packets = 64},
        .dissect = {.payload = (size_t)64 << 10,
                    .frames = 1,
                    .message_limit = (size_t)16 << 20,
                    .frame_limit = (size_t)16 << 20,
                    .ratio_limit = 100,
                    .ping_timeout_ns = 30 * second_ns,
                    .hold_limit = (size_t)1 << 20,
                    .depth_limit = 16},
    };
}

static void flow_table_seed(struct flow_table *table)
{
    if (getrandom(table->seed, sizeof table->seed, 0) == (ssize_t)sizeof table->seed)
        return;
    struct timespec now; /* no entropy from the kernel: better than a constant */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    table->seed[0] = (uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec;
    table->seed[1] = (uint64_t)(uintptr_t)table * 0x9E3779B97F4A7C15u;
}

static int flow_table_buckets(struct flow_table *table)
{
    size_t count = BUCKETS_LEAST;
    while (count < BUCKETS_MOST && count < table->budget->limit / BYTES_PER_BUCKET)
        count *= 2;
    table->buckets = budget_alloc(table->budget, count * sizeof(struct flow *));
    table->mask = (uint32_t)(count - 1);
    return table->buckets != NULL ? 0 : -1;
}

/* A session may be silent for long (a WebSocket without pings): it waits six times as long. */
static void flow_table_times(struct flow_table *table)
{
    const struct flow_options *options = &table->options;
    int64_t session = options->idle_timeout_ns > INT64_MAX / 64 ? options->idle_timeout_ns
                                                                : options->idle_timeout_ns * 6;
    table->timeout_ns[CLASS_HALF] = options->syn_timeout_ns;
    table->timeout_ns[CLASS_CLOSED] = options->closed_timeout_ns;
    table->timeout_ns[CLASS_LIVE] = options->idle_timeout_ns;
    table->timeout_ns[CLASS_SESSION] = session;
    for (int class = 0; class < CLASS_COUNT; class++) {
        int64_t relist = table->timeout_ns[class] / 16;
        table->relist_ns[class] = relist < second_ns ? relist : second_ns;
    }
}

int flow_table_init(struct flow_table *table)
{
    flow_table_seed(table);
    flow_table_times(table);
    table->reserve = table->budget->limit / 8;
    return flow_table_buckets(table);
}
