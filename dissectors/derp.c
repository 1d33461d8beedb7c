/*
 * DERP, the relay protocol of Tailscale (package derp of its public source): frames of a type, a
 * length of four bytes and a body. The server begins with its key, behind the eight bytes of the
 * protocol's name; what clients send one another is encrypted end to end. Frames are walked and
 * counted.
 */
#include <string.h>

#include "detail.h"
#include "dissector.h"
#include "reader.h"

enum {
    HEADER = 5,
    SERVER_KEY = 1,
    CLIENT_INFO = 2,
    SEND_PACKET = 4,
    RECEIVE_PACKET = 5,
    FORWARD_PACKET = 10,
    KEY_LENGTH = 40,  /* the name and 32 bytes */
    FRAME_MOST = 1 << 20
};

static const uint8_t name[8] = {'D', 'E', 'R', 'P', 0xf0, 0x9f, 0x94, 0x91};

struct derp {
    uint64_t left[2], frames[2], packets[2];
};

/* Only the server's first frame says it. */
static int derp_probe(enum side side, const uint8_t *data, size_t len)
{
    static const uint8_t first[HEADER] = {SERVER_KEY, 0, 0, 0, KEY_LENGTH};
    size_t both = sizeof first + sizeof name;
    if (side == CLIENT) {
        struct reader r = reader_of(data, len);
        uint8_t type = reader_u8(&r);
        uint32_t length = reader_u32(&r);
        return len == 0 || (type == CLIENT_INFO && (r.failed || length <= FRAME_MOST)) ? 0 : -1;
    }
    if (memcmp(data, first, len < sizeof first ? len : sizeof first) != 0)
        return -1;
    if (len > sizeof first &&
        memcmp(data + sizeof first, name, (len < both ? len : both) - sizeof first) != 0)
        return -1;
    return len >= both ? 95 : 0;
}

static struct result derp_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    struct derp *d = state;
    (void)layer;
    if (d->left[side] > 0) {
        size_t len = slice->len < d->left[side] ? slice->len : (size_t)d->left[side];
        d->left[side] -= len;
        return (struct result){.verdict = V_OK, .consumed = len};
    }
    struct reader r = reader_of(slice->data, slice->len);
    uint8_t type = reader_u8(&r);
    uint32_t length = reader_u32(&r);
    if (r.failed)
        return (struct result){.verdict = V_NEED, .need = HEADER};
    int wrong = d->frames[side] == 0 && type != (side == SERVER ? SERVER_KEY : CLIENT_INFO);
    if (length > FRAME_MOST || type == 0 || wrong)
        return (struct result){.verdict = V_LOST};
    d->frames[side]++;
    d->packets[side] += type == SEND_PACKET || type == RECEIVE_PACKET || type == FORWARD_PACKET;
    d->left[side] = length;
    return (struct result){.verdict = V_OK, .consumed = HEADER};
}

static struct result derp_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct derp *d = state;
    (void)layer;
    (void)offset;
    if (len > d->left[side])
        return (struct result){.verdict = V_DONE};
    d->left[side] -= len;
    return (struct result){.verdict = V_OK};
}

static void derp_close(struct layer *layer, void *state)
{
    const struct derp *d = state;
    struct detail detail = {.len = 0};
    detail_number(&detail, "client_frames", d->frames[CLIENT]);
    detail_number(&detail, "server_frames", d->frames[SERVER]);
    detail_number(&detail, "client_packets", d->packets[CLIENT]);
    detail_number(&detail, "server_packets", d->packets[SERVER]);
    layer_detail(layer, detail_json(&detail));
}

const struct dissector derp_dissector = {
    .name = "derp",
    .state_size = sizeof(struct derp),
    .probe = derp_probe,
    .data = derp_data,
    .gap = derp_gap,
    .close = derp_close,
};
