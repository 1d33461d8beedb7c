/*
 * Segments in any order, with any numbers and flags. What comes out of a side is contiguous, ends
 * once, and never takes more memory than was given. In an honest input each byte says where in its
 * stream it belongs, and has to come out there.
 *
 * Input: flags (bits 0 to 2: policy, 8: honest, 16: little memory, 32: no handshake, 64:
 * allocations fail from the one on that the next two bytes tell), then segments: a byte (1: side,
 * 2: SYN, 4: FIN, 8: RST, 16: no ACK, 32: timestamp, 64: numbers of 32 bits, 128: flush or stop),
 * where it begins and what it acknowledges (2, signed, from what the side sent last; or 4), a
 * length (2), later by (1), the window (1).
 */
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/reassembly.h"
#include "fuzz.h"

enum { SEGMENTS_MOST = 4096, LEN_MOST = 4096 };
enum { HONEST = 8, TIGHT = 16, NO_HANDSHAKE = 32, FAILING = 64 };
enum { SIDE = 1, SYN = 2, FIN = 4, RST = 8, NO_ACK = 16, STAMPED = 32, WIDE = 64, OTHER = 128 };

struct bench {
    struct budget budget;
    struct reassembly *r;
    int honest, stopped;
    uint64_t got[2];
    int ended[2];
    uint32_t isn[2], next[2];
    uint64_t packet;
    int64_t now_ns;
};

static uint8_t byte_at(enum side side, uint64_t offset)
{
    return (uint8_t)((offset * 167 + (offset >> 8) * 13 + (side == SERVER ? 91 : 0)) & 0xff);
}

static void follows(const struct bench *b, enum side side, const struct mark *mark)
{
    if (b->ended[side])
        fuzz_broken("something comes behind the end");
    if (b->stopped)
        fuzz_broken("something comes though it was stopped");
    if (mark->root_offset != b->got[side])
        fuzz_broken("bytes are not contiguous");
    if (mark->packet == 0 || mark->packet > b->packet)
        fuzz_broken("a packet that there is not");
}

static void take_data(void *flow, enum side side, const uint8_t *bytes, size_t len,
                      const struct mark *mark)
{
    struct bench *b = flow;
    follows(b, side, mark);
    if (len == 0)
        fuzz_broken("data without bytes");
    for (size_t i = 0; b->honest && i < len; i++)
        if (bytes[i] != byte_at(side, b->got[side] + i))
            fuzz_broken("a byte came out elsewhere");
    b->got[side] += len;
}

static void take_gap(void *flow, enum side side, uint64_t offset, uint64_t len,
                     const struct mark *mark)
{
    struct bench *b = flow;
    follows(b, side, mark);
    if (len == 0 || offset != b->got[side])
        fuzz_broken("a gap elsewhere");
    b->got[side] += len;
}

static void take_eof(void *flow, enum side side, const struct mark *mark)
{
    struct bench *b = flow;
    follows(b, side, mark);
    b->ended[side] = 1;
}

static void take_conflict(void *flow, enum side side, uint64_t offset, const uint8_t *kept,
                          const uint8_t *other, size_t len, const struct mark *mark)
{
    const struct bench *b = flow;
    (void)side, (void)offset, (void)mark;
    if (len == 0 || memcmp(kept, other, len) == 0)
        fuzz_broken("a conflict of equal bytes");
    if (b->honest)
        fuzz_broken("a conflict where all say the same");
}

static void take_limit(void *flow, enum side side, const char *name, uint64_t value,
                       const struct mark *mark)
{
    (void)flow, (void)side, (void)value, (void)mark;
    if (name == NULL || name[0] == '\0')
        fuzz_broken("a limit without a name");
}

static const struct reassembly_handler handler = {take_data, take_gap, take_eof, take_conflict,
                                                  take_limit};

static void put(struct bench *b, enum side side, struct segment *segment, size_t len)
{
    static uint8_t room[LEN_MOST];
    uint32_t first = segment->seq + ((segment->flags & TCP_SYN) != 0) - b->isn[side] - 1;
    for (size_t i = 0; i < len; i++)
        room[i] = b->honest ? byte_at(side, first + i) : (uint8_t)(b->packet + i / 7);
    uint8_t *copy = fuzz_copy(room, len);
    segment->payload = copy;
    segment->payload_len = len;
    segment->packet = ++b->packet;
    segment->time_ns = b->now_ns;
    reassembly_segment(b->r, side, segment);
    b->next[side] = segment->seq + (uint32_t)segment->payload_wire +
                    ((segment->flags & TCP_SYN) != 0) + ((segment->flags & TCP_FIN) != 0);
    free(copy);
}

static void shake_hands(struct bench *b)
{
    for (int i = 0; i < 3; i++) {
        enum side side = i == 1 ? SERVER : CLIENT;
        struct segment segment = {.seq = i == 2 ? b->next[side] : b->isn[side],
                                  .ack = i > 0 ? b->next[side_peer(side)] : 0,
                                  .window = 65535,
                                  .window_scale = -1,
                                  .flags =
                                      (uint8_t)((i < 2 ? TCP_SYN : 0) | (i > 0 ? TCP_ACK : 0))};
        put(b, side, &segment, 0);
    }
}

static uint32_t near(struct fuzz_input *in, uint8_t kind, uint32_t base)
{
    if ((kind & WIDE) != 0)
        return base + fuzz_u32(in);
    int64_t away = (int16_t)fuzz_u16(in);
    return (uint32_t)((int64_t)base + away);
}

static void other(struct bench *b, uint8_t what)
{
    struct mark mark = {.packet = b->packet > 0 ? b->packet : 1, .time_ns = b->now_ns};
    if (b->packet == 0)
        b->packet = 1;
    if ((what & 2) == 0) {
        reassembly_flush(b->r, &mark);
    } else {
        reassembly_stop(b->r);
        b->stopped = 1;
    }
}

static void step(struct bench *b, struct fuzz_input *in)
{
    uint8_t kind = fuzz_u8(in);
    enum side side = (kind & SIDE) != 0 ? SERVER : CLIENT;
    if ((kind & OTHER) != 0) {
        other(b, kind);
        return;
    }
    if (b->honest)
        kind &= (uint8_t) ~(SYN | WIDE);
    struct segment segment = {.seq = near(in, kind, b->next[side]), .window_scale = -1};
    segment.ack = near(in, kind, b->next[side_peer(side)]);
    size_t len = fuzz_u16(in) % (LEN_MOST + 1);
    uint8_t later = fuzz_u8(in), window = fuzz_u8(in);
    b->now_ns += later < 128 ? later * INT64_C(1000000) : (later - 256) * INT64_C(10000000);
    segment.flags = (uint8_t)((kind & SYN ? TCP_SYN : 0) | (kind & FIN ? TCP_FIN : 0) |
                              (kind & RST ? TCP_RST : 0) | (kind & NO_ACK ? 0 : TCP_ACK));
    segment.has_timestamps = (kind & STAMPED) != 0;
    segment.ts_value = (uint32_t)b->packet + window;
    segment.window = (uint16_t)(window << 8);
    segment.ip_id = window;
    /* a snaplen cut it: nothing says what the rest was */
    segment.payload_wire = len + ((window & 15) == 15 ? 100u : 0);
    put(b, side, &segment, len);
}

static void run(const char *variant, const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct bench b = {.isn = {1000, 0xffffff00}, .next = {1000, 0xffffff00}};
    (void)variant;
    unsigned flags = fuzz_u8(&in);
    int tight = (flags & TIGHT) != 0;
    struct reassembly_options options = {
        .policy = (enum overlap_policy)((flags & 7) % (OVERLAP_WINDOWS + 1)),
        .held_limit = tight ? 2048 : 64 << 10,
        .recent_limit = tight ? 512 : 4 << 10,
        .gap_timeout_ns = 1000000000,
        .gap_packets = 8};
    b.honest = (flags & HONEST) != 0;
    budget_init(&b.budget, tight ? 8192 : 16u << 20, NULL);
    if ((flags & FAILING) != 0)
        fuzz_fail_at(1u + fuzz_u16(&in), FUZZ_FAIL_ALL_BEHIND);
    b.r = reassembly_new(&handler, &b, &options, &b.budget);
    if (b.r != NULL && ((flags & NO_HANDSHAKE) == 0 || b.honest))
        shake_hands(&b);
    while (b.r != NULL && in.left > 0 && b.packet < SEGMENTS_MOST)
        step(&b, &in);
    reassembly_free(b.r);
    (void)fuzz_fail_end();
    if (b.budget.used != 0)
        fuzz_broken("memory was not given back");
}

const struct fuzz_target fuzz_reassembly = {"reassembly", NULL, run};
