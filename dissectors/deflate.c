/*
 * permessage-deflate, the receiving half (RFC 7692 section 7.2.2): one zlib stream for a direction,
 * the four removed bytes put back at the end of each message, final blocks (7.2.3.4) followed by a
 * new stream that keeps the window. Which extension parameters are legal is the handshake's matter.
 */
#define ZLIB_CONST
#include "deflate.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

enum {
    OUTPUT_SIZE = 16384,
    RATIO_STEP = 65536,        /* the ratio is judged where the output passes a multiple of it, */
    RATIO_FLOOR = 1024 * 1024, /* once it is longer than this */
    INPUT_STEP = 1 << 20,
};

static const uint8_t tail[4] = {0x00, 0x00, 0xFF, 0xFF};

struct deflate {
    struct budget *budget;
    struct deflate_options options;
    struct deflate_distances *distances; /* NULL: everything is allowed, or no memory */
    z_stream z;
    int started; /* z is initialised */
    int open;    /* a message was begun and not ended */
    int fresh;   /* z has read nothing since its stream began */
    int ended;   /* z has read a final block */
    int stale;   /* the history is not what the sender has */
    uint64_t in, out; /* of the message */
    uint8_t last[4];  /* the newest compressed bytes */
    enum deflate_status status;
    const char *error;
};

static voidpf zalloc_budget(voidpf opaque, uInt items, uInt size)
{
    if (size != 0 && items > UINT_MAX / size)
        return Z_NULL;
    return budget_alloc(opaque, (size_t)items * size);
}

static void zfree_budget(voidpf opaque, voidpf address)
{
    budget_free(opaque, address);
}

struct deflate *deflate_new(struct budget *budget, const struct deflate_options *options)
{
    struct deflate *deflate = budget_alloc(budget, sizeof *deflate);
    if (deflate == NULL)
        return NULL;
    deflate->budget = budget;
    deflate->options = *options;
    if (options->window_bits < 8 || options->window_bits > 15)
        deflate->options.window_bits = 15;
    if (deflate->options.window_bits < 15 || !options->takeover)
        deflate->distances = deflate_distances_new(budget, deflate->options.window_bits,
                                                   options->takeover);
    deflate->z.zalloc = zalloc_budget;
    deflate->z.zfree = zfree_budget;
    deflate->z.opaque = budget;
    return deflate;
}

void deflate_free(struct deflate *deflate)
{
    if (deflate == NULL)
        return;
    if (deflate->started)
        (void)inflateEnd(&deflate->z);
    deflate_distances_free(deflate->distances, deflate->budget);
    budget_free(deflate->budget, deflate);
}

static enum deflate_status give_up(struct deflate *deflate, enum deflate_status status,
                                   const char *error)
{
    deflate->status = status;
    deflate->error = error;
    deflate->stale = 1;
    return status;
}

/* Window bits are always 15: what an agreed smaller window forbids is found by `distances`. */
static int start(struct deflate *deflate)
{
    if (!deflate->started && inflateInit2(&deflate->z, -15) != Z_OK)
        return -1;
    deflate->started = 1;
    deflate->fresh = 1;
    deflate->ended = 0;
    return 0;
}

enum deflate_status deflate_begin(struct deflate *deflate)
{
    if (deflate->open)
        deflate->stale = 1;
    deflate->open = 1;
    deflate->in = deflate->out = 0;
    memset(deflate->last, 0xAA, sizeof deflate->last);
    deflate->status = DEFLATE_FINE;
    deflate->error = NULL;
    int anew = deflate->stale;
    if (deflate->stale && deflate->options.takeover)
        return deflate->status = DEFLATE_NO_CONTEXT;
    if (!deflate->started && start(deflate) != 0)
        return give_up(deflate, DEFLATE_NO_MEMORY, "no memory");
    if (deflate->stale) {
        (void)inflateReset(&deflate->z);
        deflate->stale = 0;
        deflate->ended = 0;
        deflate->fresh = 1;
    }
    if (deflate->distances != NULL)
        deflate_distances_begin(deflate->distances, anew);
    return DEFLATE_FINE;
}

/* Room for the next piece of output: never across a point where a limit is judged, so that it
 * does not matter how the input was cut. */
static uInt output_room(const struct deflate *deflate)
{
    uint64_t room = OUTPUT_SIZE;
    uint64_t step = RATIO_STEP - deflate->out % RATIO_STEP;
    if (step < room)
        room = step;
    uint64_t limit = deflate->options.size_limit;
    if (limit != 0 && limit - deflate->out < room)
        room = limit - deflate->out + 1;
    return (uInt)room;
}

static int over_ratio(const struct deflate *deflate, uint64_t in)
{
    unsigned ratio = deflate->options.ratio_limit;
    return ratio != 0 && deflate->out > RATIO_FLOOR && deflate->out / ratio >= in;
}

static int over_limit(const struct deflate *deflate, uint64_t in)
{
    uint64_t limit = deflate->options.size_limit;
    return (limit != 0 && deflate->out > limit) ||
           (deflate->out % RATIO_STEP == 0 && over_ratio(deflate, in));
}

static enum deflate_status inflate_all(struct deflate *deflate, const uint8_t *data, uInt len,
                                       const struct deflate_sink *sink)
{
    uint8_t output[OUTPUT_SIZE];
    z_stream *z = &deflate->z;
    z->next_in = data;
    z->avail_in = len;
    for (;;) {
        if (deflate->ended && z->avail_in > 0) {
            (void)inflateResetKeep(z); /* the window outlives the stream */
            deflate->ended = 0;
            deflate->fresh = 1;
        }
        uInt room = output_room(deflate);
        uInt before = z->avail_in;
        z->next_out = output;
        z->avail_out = room;
        int code = inflate(z, Z_SYNC_FLUSH);
        uInt made = room - z->avail_out;
        if (z->avail_in < before)
            deflate->fresh = 0;
        deflate->out += made;
        if (made > 0)
            sink->take(sink->arg, output, made);
        if (code == Z_MEM_ERROR)
            return give_up(deflate, DEFLATE_NO_MEMORY, "no memory");
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return give_up(deflate, DEFLATE_BAD, z->msg != NULL ? z->msg : "invalid data");
        deflate->ended = code == Z_STREAM_END;
        if (made > 0 && over_limit(deflate, deflate->in + (len - z->avail_in)))
            return give_up(deflate, DEFLATE_BOMB, "limit");
        if (code == Z_BUF_ERROR || (z->avail_in == 0 && (z->avail_out > 0 || deflate->ended)))
            return DEFLATE_FINE;
    }
}

static enum deflate_status take(struct deflate *deflate, const uint8_t *data, size_t len,
                                const struct deflate_sink *sink)
{
    if (deflate->distances != NULL)
        deflate_distances_feed(deflate->distances, data, len);
    while (len > 0 && deflate->status == DEFLATE_FINE) {
        size_t step = len < INPUT_STEP ? len : INPUT_STEP;
        (void)inflate_all(deflate, data, (uInt)step, sink);
        deflate->in += step;
        data += step;
        len -= step;
    }
    return deflate->status;
}

static void remember_last(struct deflate *deflate, const uint8_t *data, size_t len)
{
    if (len >= sizeof tail) {
        memcpy(deflate->last, data + len - sizeof tail, sizeof tail);
        return;
    }
    memmove(deflate->last, deflate->last + len, sizeof tail - len);
    if (len > 0)
        memcpy(deflate->last + sizeof tail - len, data, len);
}

enum deflate_status deflate_feed(struct deflate *deflate, const uint8_t *data, size_t len,
                                 const struct deflate_sink *sink)
{
    if (deflate->status != DEFLATE_FINE || !deflate->open)
        return deflate->status;
    remember_last(deflate, data, len);
    return take(deflate, data, len, sink);
}

/* Between two blocks, and at the beginning of a byte: nothing is missing. */
static int at_rest(const struct deflate *deflate)
{
    if (deflate->fresh || deflate->ended)
        return 1;
    return (deflate->z.data_type & 128) != 0 && (deflate->z.data_type & 63) == 0;
}

/*
 * A sender that flushed as RFC 7692 says stops in the middle of an empty stored block, which the
 * tail completes. One that is at rest already did it otherwise: it kept the tail, sent nothing at
 * all, or a final block without the padding; the tail would then be the beginning of a block that
 * nobody sent.
 */
enum deflate_status deflate_end(struct deflate *deflate, const struct deflate_sink *sink,
                                struct deflate_report *report)
{
    *report = (struct deflate_report){0};
    if (!deflate->open)
        return deflate->status;
    deflate->open = 0;
    if (deflate->status != DEFLATE_FINE)
        return deflate->status;
    if (at_rest(deflate))
        report->tail_kept = deflate->in > 0 && !deflate->ended &&
                            memcmp(deflate->last, tail, sizeof tail) == 0;
    else if (take(deflate, tail, sizeof tail, sink) != DEFLATE_FINE)
        return deflate->status;
    else if (!at_rest(deflate))
        return give_up(deflate, DEFLATE_BAD, "the message ends inside a deflate block");
    if (over_ratio(deflate, deflate->in))
        return give_up(deflate, DEFLATE_BOMB, "limit");
    if (deflate->distances != NULL)
        deflate_distances_report(deflate->distances, report);
    return DEFLATE_FINE;
}

void deflate_lose(struct deflate *deflate)
{
    deflate->stale = 1;
    if (deflate->open)
        deflate->status = DEFLATE_NO_CONTEXT;
}

const char *deflate_error(const struct deflate *deflate)
{
    return deflate->error != NULL ? deflate->error : "no error";
}
