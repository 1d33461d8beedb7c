/*
 * Workers and their rounds. A round is what the reader has collected for all workers: the segments
 * with their bytes, and between them what concerns every worker (the clock has passed a step, here
 * are secrets). Each worker walks through each round and does what is its own. There are a few
 * rounds in a ring; one is used again when all workers are through with it. That bounds the memory,
 * whatever the traffic, and lets no worker be far ahead of another one: the storing thread, which
 * has to wait for the slowest, needs little room for the events of the others.
 */
#include "workers.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../dissectors/tls_keys.h"

enum {
    ROUNDS = 6,
    ROUND_ITEMS = 2048,
    ROUND_BYTES = 1024 * 1024,
    EVERYBODY = 255
};

/* A live capture waits that long for a free round, once, while the kernel's buffer fills. */
static const long patience_ns = 50000000;

/* Positions: those of a packet are 2n and 2n + 1, before it and it. These come behind them all. */
enum last_position { LAST_TICK, LAST_FLOWS, LAST_REPORT };
static const int64_t last_position = INT64_MAX - 4;

enum item_kind {
    ITEM_SEGMENT,
    ITEM_TICK,
    ITEM_SECRETS,
    ITEM_END
};

struct item {
    int64_t clock_ns; /* the newest time of all segments so far */
    int64_t position;
    union {
        struct segment segment; /* its bytes are the round's */
        struct {
            char *text; /* on the heap */
            size_t len;
        } secrets;
    } u;
};

struct round {
    size_t count, secrets;
    uint8_t owners[ROUND_ITEMS]; /* the worker, or EVERYBODY */
    uint8_t kinds[ROUND_ITEMS];
    struct item items[ROUND_ITEMS];
    uint8_t *bytes;
    size_t used, room;
};

struct worker {
    struct workers *workers;
    unsigned index;
    pthread_t thread;
    int running;
    struct bus *bus;
    struct budget budget;
    struct tls_keys *keys;
    struct classifier *classifier;
    struct flow_table *flows;
    uint64_t through;              /* rounds; under the lock */
    struct workers_counts counts;  /* under the lock: a copy for others to see */
};

struct workers {
    unsigned count;
    int live; /* does not change while there are workers */
    struct bus *bus; /* the reader's */
    struct worker *workers;

    /* the reader's */
    struct round *filling; /* NULL: none is free, or none was needed yet */
    int64_t clock_ns, position;
    uint64_t dropped;
    int patient; /* it is waited for a free round as long as it takes */
    int late; /* it was waited for a round in vain, and none has become free since */
    int finished;

    pthread_mutex_t lock; /* everything below */
    pthread_cond_t published, through;
    uint64_t rounds_published;
    struct round rounds[ROUNDS]; /* a published one is the workers', without the lock */
};

/* ---------------------------------------------------------------- a worker */

static void worker_count(struct worker *worker)
{
    struct workers_counts counts = {{{0}}, {0}, 0, 0, 0, 0, 0, 0};
    struct tls_keys_counts keys;
    flow_table_count(worker->flows, &counts.flows);
    bus_get_stats(worker->bus, &counts.bus);
    tls_keys_get_counts(worker->keys, &keys);
    counts.denied = worker->budget.denied;
    counts.peak = worker->budget.peak;
    counts.secrets = keys.secrets;
    counts.broken = keys.broken;
    counts.secrets_dropped = keys.dropped;
    (void)pthread_mutex_lock(&worker->workers->lock);
    worker->counts = counts;
    (void)pthread_mutex_unlock(&worker->workers->lock);
}

static void worker_end(struct worker *worker, int64_t clock_ns)
{
    bus_at(worker->bus, last_position + LAST_TICK);
    flow_table_tick(worker->flows, clock_ns);
    bus_at(worker->bus, last_position + LAST_FLOWS);
    flow_table_finish(worker->flows);
    bus_at(worker->bus, INT64_MAX);
    worker_count(worker);
}

static void worker_item(struct worker *worker, enum item_kind kind, const struct item *item)
{
    if (kind != ITEM_END)
        bus_at(worker->bus, item->position);
    switch (kind) {
    case ITEM_SEGMENT:
        /* A flow's serial is the packet that begins it: the same for any number of workers. */
        flow_table_at(worker->flows, item->clock_ns, item->u.segment.packet - 1);
        flow_table_segment(worker->flows, &item->u.segment);
        break;
    case ITEM_TICK:
        flow_table_tick(worker->flows, item->clock_ns);
        if (worker->workers->live)
            worker_count(worker);
        break;
    case ITEM_SECRETS:
        tls_keys_text(worker->keys, item->u.secrets.text, item->u.secrets.len);
        break;
    case ITEM_END:
        worker_end(worker, item->clock_ns);
        break;
    }
}

static void worker_round(struct worker *worker, const struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        if (round->owners[i] == worker->index || round->owners[i] == EVERYBODY)
            worker_item(worker, (enum item_kind)round->kinds[i], &round->items[i]);
    }
    const struct item *last = &round->items[round->count - 1];
    if (round->kinds[round->count - 1] != ITEM_END)
        bus_at(worker->bus, last->position);
    bus_tick(worker->bus);
    bus_done(worker->bus);
}

static void *worker_thread(void *arg)
{
    struct worker *worker = arg;
    struct workers *workers = worker->workers;
    int over = 0;
    while (!over) {
        (void)pthread_mutex_lock(&workers->lock);
        while (workers->rounds_published == worker->through)
            (void)pthread_cond_wait(&workers->published, &workers->lock);
        const struct round *round = &workers->rounds[worker->through % ROUNDS];
        (void)pthread_mutex_unlock(&workers->lock);
        over = round->kinds[round->count - 1] == ITEM_END;
        worker_round(worker, round);
        (void)pthread_mutex_lock(&workers->lock);
        worker->through++;
        (void)pthread_cond_signal(&workers->through);
        (void)pthread_mutex_unlock(&workers->lock);
    }
    return NULL;
}

/* ---------------------------------------------------------------- rounds */

/* With the lock held: are all workers through with the round that is next? */
static int round_is_free(const struct workers *workers)
{
    for (unsigned i = 0; i < workers->count; i++) {
        if (workers->rounds_published - workers->workers[i].through >= ROUNDS)
            return 0;
    }
    return 1;
}

/* With the lock held. 0; -1: there is none, and this is live. Whoever was too late once is not
 * waited for again until there is a free round. */
static int round_wait(struct workers *workers)
{
    struct timespec until;
    if (!workers->patient && workers->late)
        return round_is_free(workers) ? 0 : -1;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += patience_ns;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int waited = 0;
    while (!round_is_free(workers) && waited == 0) {
        if (!workers->patient)
            waited = pthread_cond_timedwait(&workers->through, &workers->lock, &until);
        else
            (void)pthread_cond_wait(&workers->through, &workers->lock);
    }
    return round_is_free(workers) ? 0 : -1;
}

/* What was a secret does not stay in memory that is used again. */
static void round_clear(struct round *round)
{
    for (size_t i = 0; i < round->count && round->secrets > 0; i++) {
        if (round->kinds[i] != ITEM_SECRETS)
            continue;
        struct item *item = &round->items[i];
        OPENSSL_cleanse(item->u.secrets.text, item->u.secrets.len);
        free(item->u.secrets.text);
        round->secrets--;
    }
    round->count = 0;
    round->used = 0;
}

/* Hands over the round that is being filled. */
static void round_publish(struct workers *workers)
{
    if (workers->filling == NULL || workers->filling->count == 0)
        return;
    workers->filling = NULL;
    bus_at(workers->bus, workers->position);
    bus_done(workers->bus);
    (void)pthread_mutex_lock(&workers->lock);
    workers->rounds_published++;
    (void)pthread_cond_broadcast(&workers->published);
    (void)pthread_mutex_unlock(&workers->lock);
}

static int round_grow(struct round *round, size_t bytes)
{
    uint8_t *grown = realloc(round->bytes, bytes);
    if (grown == NULL)
        return -1;
    round->bytes = grown;
    round->room = bytes;
    return 0;
}

/* A round with room for so much. NULL: there is none, what was to go into it is dropped. */
static struct round *round_for(struct workers *workers, size_t items, size_t bytes)
{
    struct round *round = workers->filling;
    if (round != NULL &&
        (round->count + items > ROUND_ITEMS || bytes > round->room - round->used) &&
        round->count > 0) {
        round_publish(workers);
        round = NULL;
    }
    if (round == NULL) {
        (void)pthread_mutex_lock(&workers->lock);
        workers->late = round_wait(workers) != 0;
        if (!workers->late)
            round = &workers->rounds[workers->rounds_published % ROUNDS];
        (void)pthread_mutex_unlock(&workers->lock);
        if (round == NULL)
            return NULL;
        round_clear(round);
        workers->filling = round;
    }
    if (bytes > round->room && round_grow(round, bytes) != 0)
        return NULL;
    return round;
}

static struct item *round_add(struct workers *workers, struct round *round, enum item_kind kind,
                              unsigned owner)
{
    struct item *item = &round->items[round->count];
    round->kinds[round->count] = (uint8_t)kind;
    round->owners[round->count++] = (uint8_t)owner;
    item->clock_ns = workers->clock_ns;
    item->position = workers->position;
    return item;
}

/* ---------------------------------------------------------------- the reader */

static const uint8_t *round_copy(struct round *round, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = round->bytes + round->used;
    if (len > 0)
        memcpy(copy, bytes, len);
    round->used += len;
    return copy;
}

static int is_within(const uint8_t *inner, size_t inner_len, const uint8_t *outer,
                     size_t outer_len)
{
    uintptr_t in = (uintptr_t)inner, out = (uintptr_t)outer;
    return inner != NULL && outer != NULL && in >= out && in - out <= outer_len &&
           inner_len <= outer_len - (in - out);
}

/* The headers and the payload are one piece, unless something was between them. */
static void item_copy(struct item *item, struct round *round, const struct segment *segment)
{
    struct segment *copy = &item->u.segment;
    *copy = *segment;
    if (segment->ip != NULL)
        copy->ip = round_copy(round, segment->ip, segment->ip_len);
    copy->tcp = is_within(segment->tcp, 0, segment->ip, segment->ip_len)
                    ? copy->ip + (segment->tcp - segment->ip)
                    : NULL;
    copy->payload = is_within(segment->payload, segment->payload_len, segment->ip, segment->ip_len)
                        ? copy->ip + (segment->payload - segment->ip)
                        : round_copy(round, segment->payload, segment->payload_len);
}

void workers_segment(struct workers *workers, const struct segment *segment)
{
    struct round *round = round_for(workers, 2, segment->ip_len + segment->payload_len);
    if (round == NULL) {
        workers->dropped++;
        return;
    }
    int64_t before = (int64_t)(segment->packet & INT64_MAX / 4) * 2;
    if (before > workers->position)
        workers->position = before;
    if (flow_clock(&workers->clock_ns, segment->time_ns))
        (void)round_add(workers, round, ITEM_TICK, EVERYBODY);
    workers->position |= 1;
    uint64_t spread = flow_table_spread(workers->workers[0].flows, segment);
    unsigned owner = (unsigned)(spread * workers->count >> 32);
    item_copy(round_add(workers, round, ITEM_SEGMENT, owner), round, segment);
}

void workers_secrets(struct workers *workers, const char *text, size_t len)
{
    struct round *round = len > 0 ? round_for(workers, 1, 0) : NULL;
    char *copy = round != NULL ? malloc(len) : NULL;
    if (copy == NULL)
        return;
    memcpy(copy, text, len);
    struct item *item = round_add(workers, round, ITEM_SECRETS, EVERYBODY);
    item->u.secrets.text = copy;
    item->u.secrets.len = len;
    round->secrets++;
}

void workers_tick(struct workers *workers, int64_t now_ns)
{
    struct round *round = now_ns >= 0 ? round_for(workers, 1, 0) : NULL;
    if (round != NULL) {
        workers->position = (workers->position | 1) + 1;
        (void)flow_clock(&workers->clock_ns, now_ns);
        (void)round_add(workers, round, ITEM_TICK, EVERYBODY);
    }
    round_publish(workers);
}

struct bus *workers_bus(struct workers *workers)
{
    bus_at(workers->bus, workers->position);
    return workers->bus;
}

static void workers_end(struct workers *workers)
{
    for (unsigned i = 0; i < workers->count; i++) {
        if (workers->workers[i].running)
            (void)pthread_join(workers->workers[i].thread, NULL);
        workers->workers[i].running = 0;
    }
    workers->finished = 1;
}

void workers_finish(struct workers *workers)
{
    workers->patient = 1;
    struct round *round = round_for(workers, 1, 0);
    workers->position = last_position + LAST_REPORT;
    (void)round_add(workers, round, ITEM_END, EVERYBODY);
    round_publish(workers);
    workers_end(workers);
}

void workers_get_counts(struct workers *workers, struct workers_counts *counts)
{
    *counts = (struct workers_counts){.dropped = workers->dropped};
    (void)pthread_mutex_lock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++) {
        const struct workers_counts *of = &workers->workers[i].counts;
        for (size_t n = 0; n < FLOW_COUNTS_MOST; n++)
            counts->flows.value[n] += of->flows.value[n];
        counts->bus.payloads_shed += of->bus.payloads_shed;
        counts->bus.frames_shed += of->bus.frames_shed;
        counts->bus.queued += of->bus.queued;
        counts->denied += of->denied;
        counts->peak += of->peak;
    }
    const struct workers_counts *any = &workers->workers[0].counts; /* all have the same secrets */
    counts->secrets = any->secrets;
    counts->broken = any->broken;
    counts->secrets_dropped = any->secrets_dropped;
    (void)pthread_mutex_unlock(&workers->lock);
}

/* ---------------------------------------------------------------- life */

static int worker_init(struct worker *worker, const struct workers_options *options,
                       struct error *error)
{
    struct flow_options flow = options->flow;
    budget_init(&worker->budget, options->memory / options->count, NULL);
    worker->keys = tls_keys_new(&worker->budget, TLS_KEYS_MOST);
    if (worker->keys == NULL)
        return error_set(error, "out of memory");
    tls_keys_behind(worker->keys, flow.dissect.keys);
    flow.dissect.keys = worker->keys;
    worker->classifier = classifier_new(error);
    if (worker->classifier == NULL)
        return -1;
    worker->flows = flow_table_new(&flow, worker->bus, worker->classifier, &worker->budget);
    return worker->flows != NULL ? 0 : error_set(error, "out of memory");
}

/* Signals are for the thread that captures. */
static int worker_start(struct worker *worker, struct error *error)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&worker->thread, NULL, worker_thread, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return error_set(error, "cannot start a worker thread: %s", strerror(failed));
    worker->running = 1;
    return 0;
}

static int workers_start(struct workers *workers, const struct workers_options *options,
                         struct error *error)
{
    for (size_t i = 0; i < ROUNDS; i++) {
        if (round_grow(&workers->rounds[i], ROUND_BYTES) != 0)
            return error_set(error, "out of memory");
    }
    for (unsigned i = 0; i < workers->count; i++) { /* nDPI starts in one thread only */
        if (worker_init(&workers->workers[i], options, error) != 0)
            return -1;
    }
    for (unsigned i = 0; i < workers->count; i++) {
        if (worker_start(&workers->workers[i], error) != 0)
            return -1;
    }
    return 0;
}

struct workers *workers_new(const struct workers_options *options, struct error *error)
{
    struct workers *workers = calloc(1, sizeof *workers);
    struct worker *each = calloc(options->count, sizeof *each);
    if (workers == NULL || each == NULL) {
        free(workers);
        free(each);
        (void)error_set(error, "out of memory");
        return NULL;
    }
    workers->count = options->count;
    workers->live = options->live;
    workers->patient = !options->live;
    workers->bus = bus_of(options->bus, options->count);
    workers->workers = each;
    for (unsigned i = 0; i < options->count; i++) {
        each[i].workers = workers;
        each[i].index = i;
        each[i].bus = bus_of(options->bus, i);
    }
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&workers->lock, NULL);
    (void)pthread_cond_init(&workers->published, NULL);
    (void)pthread_cond_init(&workers->through, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (workers_start(workers, options, error) == 0)
        return workers;
    workers_free(workers);
    return NULL;
}

static void worker_release(struct worker *worker)
{
    flow_table_free(worker->flows);
    classifier_free(worker->classifier);
    tls_keys_free(worker->keys);
}

void workers_free(struct workers *workers)
{
    if (workers == NULL)
        return;
    if (!workers->finished)
        workers_finish(workers);
    for (unsigned i = 0; i < workers->count; i++)
        worker_release(&workers->workers[i]);
    for (size_t i = 0; i < ROUNDS; i++) {
        round_clear(&workers->rounds[i]);
        free(workers->rounds[i].bytes);
    }
    (void)pthread_cond_destroy(&workers->published);
    (void)pthread_cond_destroy(&workers->through);
    (void)pthread_mutex_destroy(&workers->lock);
    free(workers->workers);
    free(workers);
}
