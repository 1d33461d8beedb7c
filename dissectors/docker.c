/*
 * The streams of Docker's and Podman's attach and exec (Docker Engine API, "Attach to a
 * container"): the multiplexed form, where each piece of output has a header of 8 bytes (stdin 0,
 * stdout 1 or stderr 2, three zeros, the length), or the raw form of a terminal. Older servers call
 * both forms raw-stream, so that the first header decides. What stdin and stdout speak is carried
 * further where a probe knows it.
 */
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "dissector.h"
#include "reader.h"
#include "text.h"

enum { HEADER = 8, PIECE_MOST = 1 << 30, STREAMS = 3 };

enum form { UNDECIDED, MULTIPLEXED, RAW };

struct docker {
    enum form form;
    int promised; /* the Content-Type says multiplexed */
    int carried;  /* the carried layer wants more */
    unsigned stream;
    uint64_t left; /* of the piece */
    uint64_t pieces, bytes[STREAMS];
};

static int docker_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct docker *d = state;
    struct text type = handover_hint(handover, "content-type");
    static const char multiplexed[] = "application/vnd.docker.multiplexed-stream";
    size_t len = sizeof multiplexed - 1;
    if (type.len > len)
        type.len = len;
    d->promised = text_is(type, multiplexed);
    struct handover inside = {.recognised_only = 1};
    d->carried = layer_carry_open(layer, 0, &inside) == 0;
    return 0;
}

static void carry(struct layer *layer, struct docker *d, enum side side, const struct slice *slice)
{
    if (d->carried)
        d->carried = layer_carry(layer, 0, side, slice, slice->offset, slice->len);
}

/* A stream of 0 to 2, three zeros, a length that a server may write. */
static int read_header(const struct slice *slice, unsigned *stream, uint64_t *length)
{
    struct reader r = reader_of(slice->data, slice->len);
    *stream = reader_u8(&r);
    uint32_t zeros = reader_u24(&r);
    *length = reader_u32(&r);
    return *stream < STREAMS && zeros == 0 && *length <= PIECE_MOST;
}

static void bad_header(struct layer *layer, const struct slice *slice)
{
    char evidence[64] = "no stream header: ";
    size_t len = strlen(evidence);
    for (size_t i = 0; i < HEADER; i++)
        len += (size_t)snprintf(evidence + len, sizeof evidence - len, "%02x", slice->data[i]);
    layer_finding(layer, SERVER, RULE_DOCKER_STREAM_FRAME_BAD, slice->offset,
                  (struct text){evidence, len});
}

static struct result raw(struct layer *layer, struct docker *d, enum side side,
                         const struct slice *slice)
{
    carry(layer, d, side, slice);
    return (struct result){.verdict = d->carried ? V_OK : V_DONE, .consumed = slice->len};
}

static struct result header(struct layer *layer, struct docker *d, const struct slice *slice)
{
    unsigned stream;
    uint64_t length;
    struct slice head = {.data = slice->data, .len = HEADER, .offset = slice->offset};
    if (slice->len < HEADER)
        return (struct result){.verdict = V_NEED, .need = HEADER};
    if (read_header(&head, &stream, &length)) {
        d->form = MULTIPLEXED;
        d->stream = stream;
        d->left = length;
        d->pieces++;
        return (struct result){.verdict = V_OK, .consumed = HEADER};
    }
    if (!d->promised) { /* a terminal, or output that looked like a header for a while */
        d->form = RAW;
        return raw(layer, d, SERVER, slice);
    }
    bad_header(layer, &head);
    return (struct result){.verdict = V_LOST};
}

static struct result docker_data(struct layer *layer, void *state, enum side side,
                                 const struct slice *slice)
{
    struct docker *d = state;
    if (side == CLIENT || d->form == RAW)
        return raw(layer, d, side, slice);
    if (d->left == 0)
        return header(layer, d, slice);
    struct slice piece = *slice;
    if (piece.len > d->left)
        piece.len = (size_t)d->left;
    d->left -= piece.len;
    d->bytes[d->stream] += piece.len;
    if (d->stream == 1)
        carry(layer, d, SERVER, &piece);
    return (struct result){.verdict = V_OK, .consumed = piece.len};
}

/* Survived inside a piece, and where nothing is framed. */
static struct result docker_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                                uint64_t len)
{
    struct docker *d = state;
    (void)offset;
    int framed = side == SERVER && d->form != RAW;
    if (framed && len > d->left)
        return (struct result){.verdict = V_LOST};
    if (framed)
        d->left -= len;
    if (d->carried && (!framed || d->stream == 1))
        layer_carry_gap(layer, 0, side, len);
    return (struct result){.verdict = V_OK};
}

static void docker_eof(struct layer *layer, void *state, enum side side)
{
    struct docker *d = state;
    struct slice rest = layer_peek(layer, side);
    if (side == SERVER && d->form == UNDECIDED && rest.len > 0) /* too short for a header */
        (void)raw(layer, d, side, &rest);
    if (d->carried)
        layer_carry_eof(layer, 0, side);
}

static void docker_close(struct layer *layer, void *state)
{
    struct docker *d = state;
    struct detail detail = {.len = 0};
    if (d->form == MULTIPLEXED) {
        detail_text(&detail, "form", TEXT_LITERAL("multiplexed"));
        detail_number(&detail, "pieces", d->pieces);
        detail_number(&detail, "stdout_bytes", d->bytes[1]);
        detail_number(&detail, "stderr_bytes", d->bytes[2]);
    } else if (d->form == RAW) {
        detail_text(&detail, "form", TEXT_LITERAL("raw"));
    }
    struct text json = detail_json(&detail);
    if (json.data != NULL)
        layer_detail(layer, json);
}

const struct dissector docker_dissector = {
    .name = "docker",
    .state_size = sizeof(struct docker),
    .open = docker_open,
    .data = docker_data,
    .gap = docker_gap,
    .eof = docker_eof,
    .close = docker_close,
};
