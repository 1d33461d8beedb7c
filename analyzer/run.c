/*
 * The wiring of the pipeline and the order in which it is taken down again.
 */
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "times.h"

enum {
    MEMORY_LEAST = 4 << 20, /* of --memory, for each worker */
    STORING_MOST = 12 << 20, /* what waits for the storing thread, and SQLite's cache, when full */
    KEEP_BOUNDED = 2,      /* files of a bounded database: one, and one that a reader holds */
    ROTATE_LEAST = 1 << 20 /* bytes; an empty database has a third of that */
};

/* ---------------------------------------------------------------- a sink that counts */

static int tally_write(void *arg, struct batch *batch)
{
    struct run_tally *tally = arg;
    for (size_t i = 0; i < batch->count; i++) {
        const struct event *event = &batch->events[i];
        if (event->kind == EVENT_GAP) {
            tally->gaps++;
            tally->gap_bytes += event->u.gap.length;
        } else if (event->kind == EVENT_FRAME) {
            tally->frames++;
            tally->messages += event->u.frame.message_opcode >= 0;
        } else if (event->kind == EVENT_SESSION_OPEN) {
            atomic_fetch_add_explicit(&tally->sessions, 1, memory_order_relaxed);
        } else if (event->kind == EVENT_FINDING) {
            atomic_fetch_add_explicit(&tally->findings, 1, memory_order_relaxed);
        }
    }
    return 0;
}

static int tally_flush(void *arg)
{
    (void)arg;
    return 0;
}

/* ---------------------------------------------------------------- beginning */

static size_t as_size(uint64_t value)
{
    return value > SIZE_MAX ? SIZE_MAX : (size_t)value;
}

static unsigned run_worker_count(const struct options *options)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t count = options->workers;
    if (count == 0)
        count = processors > 0 ? (uint64_t)processors : 1;
    return (unsigned)(count < WORKERS_MOST ? count : WORKERS_MOST);
}

static void run_settings(struct run *run, const struct options *options, int live)
{
    struct flow_options *flow = &run->flow_options;
    flow_options_default(flow);
    flow->verify_checksums = !options->checksums_off;
    flow->reassembly.policy = (enum overlap_policy)options->overlap;
    flow->dissect.payload = as_size(options->payload);
    flow->dissect.frames = options->detail != DETAIL_SESSIONS;
    flow->dissect.keys = run->keys;
    flow->dissect.keys_wait_ns = options->keylog_wait_ns;
    flow->dissect.keys_hold = as_size(options->keylog_hold);
    if (!live) /* nobody waits for the answer: a hole may be filled by what was captured late */
        flow->reassembly.gap_timeout_ns = INT64_C(600) * 1000000000;
}

static int run_open_keys(struct run *run, const struct options *options, int live,
                         struct error *error)
{
    /* The workers' thread that misses a secret reads on, so this one is nobody else's then. */
    if (run_worker_count(options) > 1)
        budget_init(&run->keys_budget, as_size(options->memory) / 4, NULL);
    else
        budget_init(&run->keys_budget, as_size(options->memory), &run->budget);
    run->keys = tls_keys_new(&run->keys_budget, TLS_KEYS_MOST);
    if (run->keys == NULL)
        return error_set(error, "out of memory");
    if (options->keylogs.count == 0)
        return 0;
    run->keylog = keylog_open(options->keylogs.items, options->keylogs.count, live, run->keys,
                              error);
    return run->keylog != NULL ? 0 : -1;
}

int run_lengths(const struct options *options, const char *database,
                       struct store_options *store, struct error *error)
{
    store->bounded = options->max_size > 0 || options->max_age_ns > 0;
    store->max_bytes = options->max_size;
    store->max_age_ns = options->max_age_ns;
    store->keep = store->bounded ? KEEP_BOUNDED : options->keep;
    if (options->rotate != NULL || store->bounded)
        store->series = database;
    if (options->rotate == NULL)
        return 0;
    size_t len = strlen(options->rotate);
    int is_size = strchr("KMG", options->rotate[len - 1]) != NULL;
    if (is_size ? options_size(options->rotate, &store->rotate_bytes) == 0 &&
                      store->rotate_bytes >= ROTATE_LEAST
                : strchr("smhd", options->rotate[len - 1]) != NULL &&
                      times_parse_duration(options->rotate, &store->rotate_ns) == 0 &&
                      store->rotate_ns > 0)
        return 0;
    return error_set(error, "--rotate needs a size such as 64M or 1G (at least 1M), or a time such "
                     "as 30m or 24h, not '%s'", options->rotate);
}

int run_open(struct run *run, const struct options *options, int live, const char *database,
             struct error *error)
{
    *run = (struct run){.first_ns = INT64_MIN, .last_ns = INT64_MIN, .live = live,
                        .moved = run->moved,
                        .moved_arg = run->moved_arg};
    struct store_options store = {
        .keep_secrets = options->keep_secrets > 0,
        .all_flows = options->flows == FLOWS_ALL,
        .live = live,
        .sensor = options->sensor,
        .moved = run->moved,
        .moved_arg = run->moved_arg,
    };
    if (live && run_lengths(options, database, &store, error) != 0)
        return -1;
    size_t memory = as_size(options->memory), storing = memory / 6;
    budget_init(&run->budget, memory - (storing < STORING_MOST ? storing : STORING_MOST), NULL);
    if (run_open_keys(run, options, live, error) != 0)
        return -1;
    run_settings(run, options, live);
    run->store = store_open(database, &store, error);
    return run->store != NULL ? 0 : -1;
}

/* Workers share what the decoder may not use: an eighth is for fragments. With a key log, a quarter
 * of the whole is for its secrets, which all of them use. */
static int run_share(struct run *run, const struct options *options, unsigned count,
                     struct error *error)
{
    size_t memory = as_size(options->memory);
    if (memory / MEMORY_LEAST < count)
        return error_set(error, "%u workers need more memory: --memory %uM", count,
                         count * (unsigned)(MEMORY_LEAST >> 20));
    struct workers_options workers = {
        .count = count,
        .live = run->live,
        .memory = memory - memory / 8 - (run->keylog != NULL ? memory / 4 : 0),
        .flow = run->flow_options,
        .bus = run->bus,
    };
    run->workers = workers_new(&workers, error);
    return run->workers != NULL ? 0 : -1;
}

static int run_alone(struct run *run, struct error *error)
{
    run->classifier = classifier_new(error);
    if (run->classifier == NULL)
        return -1;
    run->flows = flow_table_new(&run->flow_options, run->bus, run->classifier, &run->budget);
    return run->flows != NULL ? 0 : error_set(error, "out of memory");
}

int run_begin(struct run *run, const struct options *options, const struct store_source *source,
              const struct sink *watcher, struct error *error)
{
    unsigned workers = run_worker_count(options);
    run->decoder = decoder_new(&run->budget);
    if (run->decoder == NULL)
        return error_set(error, "out of memory");
    decoder_verify_checksums(run->decoder, !options->checksums_off);
    if (store_begin(run->store, source, error) != 0)
        return -1;
    struct sink sinks[3] = {store_sink(run->store), {&run->tally, tally_write, tally_flush}};
    size_t sink_count = 2;
    if (watcher != NULL)
        sinks[sink_count++] = *watcher;
    struct bus_options bus = {.live = run->live, .buses = workers > 1 ? workers + 1 : 1};
    run->bus = bus_new(&bus, sinks, sink_count, error);
    if (run->bus == NULL)
        return -1;
    return workers > 1 ? run_share(run, options, workers, error) : run_alone(run, error);
}

/* ---------------------------------------------------------------- going on */

void run_secrets(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    if (run->workers != NULL)
        workers_secrets(run->workers, text, len);
    else
        tls_keys_text(run->keys, text, len);
}

void run_packet(struct run *run, const struct packet *packet)
{
    struct segment segment;
    run->packets++;
    if (run->first_ns == INT64_MIN || packet->time_ns < run->first_ns)
        run->first_ns = packet->time_ns;
    if (run->last_ns == INT64_MIN || packet->time_ns > run->last_ns)
        run->last_ns = packet->time_ns;
    if (!decode_packet(run->decoder, packet, &segment))
        return;
    if (run->workers != NULL)
        workers_segment(run->workers, &segment);
    else
        flow_table_segment(run->flows, &segment);
}

void run_tick(struct run *run, int quiet)
{
    if (run->workers != NULL) {
        workers_tick(run->workers, quiet ? times_now() : -1);
        return;
    }
    if (quiet)
        flow_table_tick(run->flows, times_now());
    bus_tick(run->bus);
}

int run_failed(struct run *run)
{
    return bus_failed(run->bus);
}

/* ---------------------------------------------------------------- counters */

static struct run_counter *counter_find(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->counter_count; i++) {
        if (strcmp(run->counters[i].name, name) == 0)
            return &run->counters[i];
    }
    return NULL;
}

static void counter_set(void *arg, const char *name, uint64_t value)
{
    struct run *run = arg;
    struct run_counter *counter = counter_find(run, name);
    if (counter == NULL) {
        if (run->counter_count == run->counter_room) {
            size_t room = run->counter_room + 64;
            struct run_counter *grown = realloc(run->counters, room * sizeof *grown);
            if (grown == NULL)
                return;
            run->counters = grown;
            run->counter_room = room;
        }
        counter = &run->counters[run->counter_count++];
        (void)snprintf(counter->name, sizeof counter->name, "%s", name);
    }
    counter->value = value;
}

void run_count(struct run *run, const char *name, uint64_t value)
{
    if (value > 0)
        counter_set(run, name, value);
}

uint64_t run_counted(const struct run *run, const char *name)
{
    const struct run_counter *counter = counter_find(run, name);
    return counter != NULL ? counter->value : 0;
}

static void run_analysis_counts(struct run *run, struct workers_counts *counts)
{
    if (run->workers != NULL) {
        workers_get_counts(run->workers, counts);
        return;
    }
    *counts = (struct workers_counts){.dropped = 0};
    flow_table_count(run->flows, &counts->flows);
    bus_get_stats(run->bus, &counts->bus);
}

void run_get_now(struct run *run, struct run_now *now)
{
    struct workers_counts counts;
    run_analysis_counts(run, &counts);
    *now = (struct run_now){
        .sessions = atomic_load_explicit(&run->tally.sessions, memory_order_relaxed),
        .findings = atomic_load_explicit(&run->tally.findings, memory_order_relaxed),
        .queued = counts.bus.queued,
        .database_bytes = store_bytes(run->store)};
}

uint64_t run_dropped(const struct run *run)
{
    struct workers_counts counts = {.dropped = 0};
    if (run->workers != NULL)
        workers_get_counts(run->workers, &counts);
    return counts.dropped;
}

static void run_emit_counter(struct run *run, const struct run_counter *counter)
{
    const struct event event = {
        .kind = EVENT_COUNTER,
        .sender = NEITHER,
        .time_ns = run->last_ns != INT64_MIN ? run->last_ns : 0,
        .u.counter = {text_of(counter->name), counter->value},
    };
    bus_emit(run->workers != NULL ? workers_bus(run->workers) : run->bus, &event);
}

void run_report(struct run *run)
{
    static const char peak[] = "memory.peak"; /* of this run, so not for the capture's row */
    struct workers_counts counts;
    struct tls_keys_counts keys;
    run_analysis_counts(run, &counts);
    tls_keys_get_counts(run->keys, &keys);
    decoder_counters(run->decoder, counter_set, run);
    flow_counters(&counts.flows, counter_set, run);
    run_count(run, "keylog.secrets", keys.secrets + counts.secrets);
    run_count(run, "keylog.broken", keys.broken + counts.broken);
    run_count(run, "keylog.dropped", keys.dropped + counts.secrets_dropped);
    run_count(run, "bus.payloads-shed", counts.bus.payloads_shed);
    run_count(run, "bus.frames-shed", counts.bus.frames_shed);
    run_count(run, "workers.dropped", counts.dropped);
    run_count(run, "memory.denied", run->budget.denied + run->keys_budget.denied + counts.denied);
    run_count(run, peak, run->budget.peak + counts.peak +
                             (run->keys_budget.parent == NULL ? run->keys_budget.peak : 0));
    for (size_t i = 0; i < run->counter_count; i++) {
        if (strcmp(run->counters[i].name, peak) != 0)
            run_emit_counter(run, &run->counters[i]);
    }
}

/* ---------------------------------------------------------------- the end */

static int run_close_bus(struct run *run, struct error *error)
{
    int result = bus_close(run->bus);
    run->bus = NULL;
    if (result == 0)
        return 0;
    const char *reason = store_error(run->store);
    return error_set(error, "%s", reason != NULL && reason[0] != '\0' ? reason : "storing failed");
}

int run_finish(struct run *run, const struct capture_info *info, const struct store_file *files,
               size_t file_count, int complete, struct error *error)
{
    if (run->workers != NULL)
        workers_finish(run->workers);
    else
        flow_table_finish(run->flows);
    run_report(run);
    flow_table_free(run->flows);
    run->flows = NULL;
    workers_free(run->workers);
    run->workers = NULL;
    if (run_close_bus(run, error) != 0)
        return -1;
    if (!complete)
        return 0;
    for (size_t i = 0; i < file_count; i++) {
        if (store_add_file(run->store, &files[i], error) != 0)
            return -1;
    }
    return store_finish(run->store, info, run->first_ns, run->last_ns, &run->summary, error);
}

void run_release(struct run *run)
{
    if (run->flows != NULL) {
        flow_table_finish(run->flows);
        flow_table_free(run->flows);
    }
    workers_free(run->workers);
    if (run->bus != NULL)
        (void)bus_close(run->bus);
    if (run->store != NULL)
        store_close(run->store);
    if (run->decoder != NULL)
        decoder_free(run->decoder);
    if (run->classifier != NULL)
        classifier_free(run->classifier);
    keylog_close(run->keylog);
    tls_keys_free(run->keys);
    free(run->counters);
    *run = (struct run){0};
}

void run_options_text(const struct run *run, const struct options *options, struct buffer *text)
{
    char digest[KEYLOG_DIGEST_SIZE];
    buffer_format(text, "detail=%s flows=%s payload=%" PRIu64 " memory=%" PRIu64 " overlap=%s",
                  detail_choices[options->detail], flows_choices[options->flows], options->payload,
                  options->memory, overlap_choices[options->overlap]);
    buffer_format(text, " checksums=%s", checksum_choices[options->checksums_off]);
    if (options->count > 0)
        buffer_format(text, " count=%" PRIu64, options->count);
    if (options->keep_secrets)
        buffer_word(text, " keep-secrets");
    if (run->keylog != NULL) {
        keylog_digest(run->keylog, digest);
        buffer_format(text, " keylog=%s", digest);
    }
}
