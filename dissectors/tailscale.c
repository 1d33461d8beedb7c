/*
 * The control protocol of Tailscale and Headscale behind `Upgrade: tailscale-control-protocol`
 * (packages controlbase and controlhttp of its public source): a Noise handshake whose first
 * message stands in a field of the request, and encrypted records after it. The server's answer to
 * the handshake is read; nothing more can be learnt without its keys.
 */
#include "detail.h"
#include "dissector.h"
#include "reader.h"

enum { HEADER = 3, RESPONSE = 2, ERROR = 3, RECORD = 4, RESPONSE_LENGTH = 48, ERROR_MOST = 1000 };

static struct result tailscale_data(struct layer *layer, void *state, enum side side,
                                    const struct slice *slice)
{
    (void)state; /* there is none */
    struct reader r = reader_of(slice->data, slice->len);
    uint8_t type = reader_u8(&r);
    uint16_t length = reader_u16(&r);
    struct detail detail = {.len = 0};
    if (r.failed)
        return (struct result){.verdict = V_NEED, .need = HEADER};
    if (side == CLIENT) /* speaks when the handshake is complete */
        return (struct result){.verdict = type == RECORD ? V_DONE : V_LOST,
                               .consumed = type == RECORD ? slice->len : 0};
    if (type == RESPONSE && length == RESPONSE_LENGTH) {
        detail_text(&detail, "noise", TEXT_LITERAL("established"));
    } else if (type == ERROR && length <= ERROR_MOST) {
        const uint8_t *text;
        if (!reader_take(&r, length, &text))
            return (struct result){.verdict = V_NEED, .need = HEADER + (size_t)length};
        detail_text(&detail, "noise", TEXT_LITERAL("refused"));
        detail_text(&detail, "error", (struct text){(const char *)text, length});
    } else {
        return (struct result){.verdict = V_LOST};
    }
    layer_detail(layer, detail_json(&detail));
    return (struct result){.verdict = V_DONE, .consumed = slice->len};
}

const struct dissector tailscale_dissector = {
    .name = "tailscale",
    .data = tailscale_data,
};
