/*
 * A capture file through everything in front of the database: reader, decode, flows, nDPI, bus. The
 * sink watches each flow, and may fail for good at any batch, as a full disk does.
 *
 * Input: flags (1: little memory, 2: live, which sheds, 4: the sink fails, 8: allocations fail), a
 * number for the last two; then the file.
 */
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/capture.h"
#include "../../analyzer/decode.h"
#include "../../analyzer/flow.h"
#include "fuzz.h"
#include "watch.h"

enum { TIGHT = 1, LIVE = 2, SINK_FAILS = 4, FAILING = 8, FLOWS = 8, PACKETS_MOST = 20000 };

struct drain {
    unsigned batches, fails_at; /* 0: never */
    struct watch watch[FLOWS];  /* of the first flows */
    uint8_t opened[FLOWS], closed[FLOWS];
};

static void drain_event(struct drain *d, const struct event *e)
{
    if (e->flow == 0 || e->flow > FLOWS)
        return;
    size_t i = (size_t)e->flow - 1;
    if (e->kind == EVENT_FLOW_OPEN) {
        if (d->opened[i]++)
            fuzz_broken("a flow opens twice");
        watch_begin(&d->watch[i]);
    }
    if (!d->opened[i])
        fuzz_broken("an event of a flow that was not opened");
    if (d->closed[i])
        fuzz_broken("an event of a flow that was closed");
    watch_event(&d->watch[i], e);
    if (e->kind == EVENT_FLOW_CLOSE) {
        d->closed[i] = 1;
        watch_end(&d->watch[i]);
    }
}

static int drain_write(void *arg, struct batch *batch)
{
    struct drain *d = arg;
    d->batches++;
    if (d->fails_at != 0 && d->batches == d->fails_at)
        return -1;
    if (d->fails_at != 0 && d->batches > d->fails_at)
        fuzz_broken("a sink that failed is called again");
    for (size_t i = 0; i < batch->count; i++)
        drain_event(d, &batch->events[i]);
    return 0;
}

static int drain_flush(void *arg)
{
    (void)arg;
    return 0;
}

static void feed(struct capture *capture, struct decoder *decoder, struct flow_table *flows,
                 struct bus *bus)
{
    struct error error = {""};
    struct packet packet;
    struct segment segment;
    for (int i = 0; i < PACKETS_MOST && capture_next(capture, &packet, &error) == 1; i++) {
        if (decode_packet(decoder, &packet, &segment))
            flow_table_segment(flows, &segment);
        if (bus_failed(bus))
            break;
    }
    flow_table_finish(flows);
}

/* One table of fingerprints for all inputs: making it takes longer than an input does. */
static struct classifier *classifier(void)
{
    static struct classifier *one;
    struct error error = {""};
    if (one == NULL)
        one = classifier_new(&error);
    return one;
}

static void run(const char *variant, const uint8_t *data, size_t size)
{
    static struct drain d;
    struct fuzz_input in = {data, size};
    struct error error = {""};
    struct budget budget;
    struct flow_options options;
    (void)variant;
    unsigned flags = fuzz_u8(&in);
    unsigned number = fuzz_u16(&in);
    struct classifier *ndpi = classifier();
    struct capture *capture = capture_open_file(fuzz_file(in.data, in.left), NULL, &error);
    if (capture == NULL) {
        (void)fuzz_fail_end();
        return;
    }
    memset(&d, 0, sizeof d);
    d.fails_at = (flags & SINK_FAILS) != 0 ? 1 + number % 64 : 0;
    budget_init(&budget, (flags & TIGHT) != 0 ? 256u << 10 : 16u << 20, NULL);
    flow_options_default(&options);
    options.verify_checksums = 0; /* a changed byte would hide all that is behind it */
    struct sink sink = {&d, drain_write, drain_flush};
    struct bus_options bus_options = {.live = (flags & LIVE) != 0, .batch_bytes = 16384};
    struct bus *bus = bus_new(&bus_options, &sink, 1, &error);
    if (bus == NULL) { /* only where memory fails */
        (void)fuzz_fail_end();
        capture_close(capture);
        return;
    }
    if ((flags & FAILING) != 0)
        fuzz_fail_at(1 + number, FUZZ_FAIL_ONE);
    struct decoder *decoder = decoder_new(&budget);
    struct flow_table *flows = flow_table_new(&options, bus, ndpi, &budget);
    if (decoder != NULL)
        decoder_verify_checksums(decoder, 0);
    if (decoder != NULL && flows != NULL)
        feed(capture, decoder, flows, bus);
    if (flows != NULL)
        flow_table_free(flows);
    if (decoder != NULL)
        decoder_free(decoder);
    int result = bus_close(bus);
    int broke = fuzz_failed();
    (void)fuzz_fail_end();
    capture_close(capture);
    if (budget.used != 0)
        fuzz_broken("memory was not given back");
    if (result == 0 && d.fails_at != 0 && d.batches >= d.fails_at)
        fuzz_broken("a sink failed and nobody says so");
    for (size_t i = 0; i < FLOWS && result == 0 && !broke; i++)
        if (d.opened[i] != d.closed[i])
            fuzz_broken("a flow was not closed");
}

const struct fuzz_target fuzz_pipeline = {"pipeline", NULL, run};
