/*
 * The reassembly, as a property: a conversation of two honest endpoints, cut, repeated, shuffled
 * and with its directions apart in any way, comes out byte for byte, without gap or conflict, each
 * byte behind all that its sender had acknowledged. And a hostile one never breaks an invariant.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/reassembly.h"

Suite *reassembly_property_suite(void);

enum { STREAM = 1500, PACKETS = 4 * STREAM + 64, SENT = 2 * STREAM };

struct sent { /* a segment, in the order of sending */
    enum side side;
    uint32_t at, len, ack; /* offsets */
    uint32_t order;        /* of capture */
    uint32_t ts;
    int fin;
};

struct talk {
    uint64_t random;
    uint8_t stream[2][STREAM];
    uint32_t len[2];     /* bytes of a stream */
    uint32_t sent[2];    /* so far */
    uint32_t known[2];   /* of the peer's stream, acknowledged by this side; a FIN is one more */
    uint32_t behind[2][STREAM + 1]; /* by byte (and FIN): acknowledged when first sent */
    struct sent packets[PACKETS];
    uint32_t count;
    uint32_t isn[2];
    /* what came out */
    uint32_t got[2];
    int ended[2];
    unsigned gaps, conflicts, limits;
};

static uint32_t dice(struct talk *talk, uint32_t sides)
{
    talk->random ^= talk->random << 13;
    talk->random ^= talk->random >> 7;
    talk->random ^= talk->random << 17;
    return sides > 0 ? (uint32_t)((talk->random >> 16) % sides) : 0;
}

/* --- two honest endpoints --- */

static uint32_t talk_said(const struct talk *talk, enum side side)
{
    return talk->sent[side]; /* counts the FIN as one */
}

static void talk_send(struct talk *talk, enum side side, uint32_t at, uint32_t len, int fin)
{
    ck_assert_uint_lt(talk->count, PACKETS);
    talk->packets[talk->count] = (struct sent){.side = side,
                                               .at = at,
                                               .len = len,
                                               .ack = talk->known[side],
                                               .ts = talk->count + 1,
                                               .fin = fin};
    talk->count++;
}

static void talk_learn(struct talk *talk, enum side side)
{
    uint32_t news = talk_said(talk, side_peer(side)) - talk->known[side];
    talk->known[side] += dice(talk, 3) == 0 ? news : dice(talk, news + 1);
}

static void talk_new(struct talk *talk, enum side side, uint32_t largest)
{
    uint32_t at = talk->sent[side], left = talk->len[side] - at;
    uint32_t len = 1 + dice(talk, largest);
    if (len > left)
        len = left;
    int fin = at + len == talk->len[side];
    for (uint32_t i = at; i < at + len + (uint32_t)fin; i++)
        talk->behind[side][i] = talk->known[side];
    talk_send(talk, side, at, len, fin);
    talk->sent[side] += len + (uint32_t)fin;
}

static void talk_again(struct talk *talk, enum side side, uint32_t largest)
{
    uint32_t sent = talk->sent[side] < talk->len[side] ? talk->sent[side] : talk->len[side];
    if (sent == 0)
        return;
    uint32_t at = dice(talk, sent), len = 1 + dice(talk, 2 * largest);
    if (len > sent - at)
        len = sent - at;
    talk_send(talk, side, at, len, at + len == talk->len[side] && talk->sent[side] > at + len);
}

static int talk_by_order(const void *a, const void *b)
{
    const struct sent *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->ts < y->ts ? -1 : x->ts > y->ts;
}

/* jitter: how far packets overtake each other; apart: how much later the client's are captured. */
static void talk_make(struct talk *talk, uint64_t seed, uint32_t largest, uint32_t jitter,
                      uint32_t apart, int repeat)
{
    memset(talk, 0, sizeof *talk);
    talk->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int side = CLIENT; side <= SERVER; side++) {
        talk->len[side] = dice(talk, STREAM - 200) + 200;
        talk->isn[side] = dice(talk, 3) == 0 ? 0xffffffff - dice(talk, 500) : dice(talk, 1u << 31);
        for (uint32_t i = 0; i < talk->len[side]; i++)
            talk->stream[side][i] = (uint8_t)dice(talk, 256);
    }
    while (talk->sent[CLIENT] <= talk->len[CLIENT] || talk->sent[SERVER] <= talk->len[SERVER]) {
        enum side side = dice(talk, 2) ? CLIENT : SERVER;
        talk_learn(talk, side);
        if (talk->sent[side] > talk->len[side])
            talk_send(talk, side, talk->sent[side], 0, 0); /* a bare acknowledgement */
        else
            talk_new(talk, side, largest);
        if (repeat && dice(talk, 5) == 0)
            talk_again(talk, side, largest);
        if (talk->count > PACKETS - 16)
            break;
    }
    for (int side = CLIENT; side <= SERVER; side++) {
        talk->known[side] = talk->sent[side_peer((enum side)side)];
        talk_send(talk, (enum side)side, talk->sent[side], 0, 0);
    }
    for (uint32_t i = 0; i < talk->count; i++)
        talk->packets[i].order =
            i + dice(talk, jitter + 1) + (talk->packets[i].side == CLIENT ? apart : 0);
    qsort(talk->packets, talk->count, sizeof *talk->packets, talk_by_order);
}

/* --- what comes out --- */

static uint32_t talk_delivered(const struct talk *talk, enum side side)
{
    return talk->got[side] + (uint32_t)talk->ended[side];
}

static void talk_data(void *flow, enum side side, const uint8_t *bytes, size_t len,
                      const struct mark *mark)
{
    struct talk *talk = flow;
    ck_assert_uint_eq(mark->root_offset, talk->got[side]);
    ck_assert_uint_le(talk->got[side] + len, talk->len[side]);
    ck_assert_int_eq(memcmp(bytes, talk->stream[side] + talk->got[side], len), 0);
    const struct sent *packet = &talk->packets[mark->packet - 1];
    ck_assert_int_eq(packet->side, side);
    ck_assert_uint_le(packet->at, mark->root_offset);
    ck_assert_uint_ge(packet->at + packet->len, mark->root_offset + len);
    uint32_t peer_len = talk->len[side_peer(side)];
    ck_assert_int_eq(mark->acked_valid, 1);
    ck_assert_uint_eq(mark->acked, packet->ack < peer_len ? packet->ack : peer_len);
    for (size_t i = 0; i < len; i++)
        ck_assert_uint_le(talk->behind[side][talk->got[side] + i],
                          talk_delivered(talk, side_peer(side)));
    ck_assert_uint_le(packet->ack, talk_delivered(talk, side_peer(side)));
    talk->got[side] += (uint32_t)len;
}

static void talk_gap(void *flow, enum side side, uint64_t offset, uint64_t len,
                     const struct mark *mark)
{
    (void)side, (void)offset, (void)len, (void)mark;
    ((struct talk *)flow)->gaps++;
}

static void talk_eof(void *flow, enum side side, const struct mark *mark)
{
    struct talk *talk = flow;
    ck_assert_uint_eq(mark->root_offset, talk->len[side]);
    ck_assert_uint_eq(talk->got[side], talk->len[side]);
    ck_assert_uint_le(talk->behind[side][talk->len[side]], talk_delivered(talk, side_peer(side)));
    talk->ended[side]++;
}

static void talk_conflict(void *flow, enum side side, uint64_t offset, const uint8_t *kept,
                          const uint8_t *other, size_t len, const struct mark *mark)
{
    (void)side, (void)offset, (void)kept, (void)other, (void)len, (void)mark;
    ((struct talk *)flow)->conflicts++;
}

static void talk_limit(void *flow, enum side side, const char *name, uint64_t value,
                       const struct mark *mark)
{
    (void)side, (void)name, (void)value, (void)mark;
    ((struct talk *)flow)->limits++;
}

static const struct reassembly_handler talk_handler = {talk_data, talk_gap, talk_eof, talk_conflict,
                                                       talk_limit};

static void talk_put(struct reassembly *r, struct talk *talk, uint32_t i, int timestamps)
{
    const struct sent *sent = &talk->packets[i];
    /* Exact size on the heap, so that a read beyond the payload is seen. */
    uint8_t *payload = malloc(sent->len > 0 ? sent->len : 1);
    ck_assert_ptr_nonnull(payload);
    memcpy(payload, talk->stream[sent->side] + sent->at, sent->len);
    struct segment segment = {.seq = talk->isn[sent->side] + 1 + sent->at,
                              .ack = talk->isn[side_peer(sent->side)] + 1 + sent->ack,
                              .window = 65535,
                              .window_scale = -1,
                              .flags = (uint8_t)(TCP_ACK | (sent->fin ? TCP_FIN : 0)),
                              .has_timestamps = timestamps != 0,
                              .ts_value = sent->ts,
                              .ip_id = (uint16_t)sent->ts,
                              .payload = payload,
                              .payload_len = sent->len,
                              .payload_wire = sent->len,
                              .packet = i + 1,
                              .time_ns = (int64_t)i * 1000000};
    reassembly_segment(r, sent->side, &segment);
    free(payload);
}

static void talk_hold(struct talk *talk, int timestamps)
{
    struct budget budget;
    budget_init(&budget, 64 << 20, NULL);
    struct reassembly_options options = {.policy = (enum overlap_policy)dice(talk, 5),
                                         .held_limit = 16 << 20,
                                         .recent_limit = dice(talk, 2) ? 4096 : 64,
                                         .gap_timeout_ns = INT64_MAX,
                                         .gap_packets = 1u << 30};
    struct reassembly *r = reassembly_new(&talk_handler, talk, &options, &budget);
    ck_assert_ptr_nonnull(r);
    for (int side = CLIENT; side <= SERVER; side++) {
        struct segment syn = {.seq = talk->isn[side],
                              .window = 65535,
                              .window_scale = -1,
                              .ack = talk->isn[CLIENT] + 1,
                              .flags = (uint8_t)(TCP_SYN | (side == SERVER ? TCP_ACK : 0))};
        reassembly_segment(r, (enum side)side, &syn);
    }
    for (uint32_t i = 0; i < talk->count; i++)
        talk_put(r, talk, i, timestamps);
    if (!timestamps) /* nothing may be waiting for an end that never comes, live */
        ck_assert_uint_eq(talk->got[CLIENT] + talk->got[SERVER],
                          talk->len[CLIENT] + talk->len[SERVER]);
    struct mark end = {.packet = talk->count, .time_ns = 0};
    reassembly_flush(r, &end);
    for (int side = CLIENT; side <= SERVER; side++) {
        struct reassembly_side got;
        reassembly_get(r, (enum side)side, &got);
        ck_assert_uint_eq(talk->got[side], talk->len[side]);
        ck_assert_uint_eq(got.delivered, talk->len[side]);
        ck_assert_int_eq(talk->ended[side], 1);
        ck_assert_uint_eq(got.missing + got.conflicts, 0);
    }
    ck_assert_uint_eq(talk->gaps + talk->conflicts + talk->limits, 0);
    reassembly_free(r);
    ck_assert_uint_eq(budget.used, 0);
}

static struct talk talk;

START_TEST(conversation)
{
    static const uint32_t sizes[] = {1, 7, 100, STREAM};
    static const uint32_t jitters[] = {0, 3, 30};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        for (uint32_t j = 0; j < 3; j++) {
            uint32_t apart = seed % 3 == 0 ? 25 : 0;
            talk_make(&talk, seed * 100 + (uint64_t)_i * 10 + j, sizes[_i], jitters[j], apart,
                      seed % 2 == 0);
            talk_hold(&talk, 0);
        }
    }
}
END_TEST

START_TEST(conversation_with_timestamps)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        talk_make(&talk, seed, 60, (uint32_t)seed, seed % 3 == 0 ? 25 : 0, 1);
        talk_hold(&talk, 1);
    }
}
END_TEST

/* --- anything at all --- */

struct flood {
    uint64_t next[2];
    int ended[2];
    unsigned limits;
};

static void flood_data(void *flow, enum side side, const uint8_t *bytes, size_t len,
                       const struct mark *mark)
{
    struct flood *flood = flow;
    ck_assert_uint_gt(len, 0);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(mark->root_offset, flood->next[side]);
    ck_assert_int_eq(flood->ended[side], 0);
    if (mark->acked_valid)
        ck_assert_uint_le(mark->acked, flood->next[side_peer(side)]);
    flood->next[side] += len;
}

static void flood_gap(void *flow, enum side side, uint64_t offset, uint64_t len,
                      const struct mark *mark)
{
    struct flood *flood = flow;
    ck_assert_uint_gt(len, 0);
    ck_assert_uint_eq(mark->root_offset, offset);
    ck_assert_uint_eq(offset, flood->next[side]);
    flood->next[side] += len;
}

static void flood_eof(void *flow, enum side side, const struct mark *mark)
{
    struct flood *flood = flow;
    ck_assert_uint_eq(mark->root_offset, flood->next[side]);
    flood->ended[side]++;
}

static void flood_conflict(void *flow, enum side side, uint64_t offset, const uint8_t *kept,
                           const uint8_t *other, size_t len, const struct mark *mark)
{
    (void)flow, (void)side, (void)offset, (void)mark;
    ck_assert_uint_gt(len, 0);
    ck_assert_int_ne(kept[0], other[0]);
    ck_assert_int_ne(kept[len - 1], other[len - 1]);
}

static void flood_limit(void *flow, enum side side, const char *name, uint64_t value,
                        const struct mark *mark)
{
    (void)side, (void)value, (void)mark;
    ck_assert_ptr_nonnull(name);
    ((struct flood *)flow)->limits++;
}

static const struct reassembly_handler flood_handler = {flood_data, flood_gap, flood_eof,
                                                        flood_conflict, flood_limit};

static struct segment flood_segment(uint64_t i, uint8_t *payload, const uint32_t base[2],
                                    enum side side, uint32_t spread)
{
    struct segment segment = {.window = (uint16_t)dice(&talk, 65536),
                              .window_scale = (int8_t)(dice(&talk, 17) - 1),
                              .seq = base[side] + dice(&talk, spread),
                              .ack = base[side_peer(side)] + dice(&talk, spread),
                              .flags = TCP_ACK,
                              .ip_id = (uint16_t)dice(&talk, 4),
                              .has_timestamps = dice(&talk, 4) == 0,
                              .ts_value = dice(&talk, 1000),
                              .packet = i + 1,
                              .time_ns = (int64_t)i * 1000 + dice(&talk, 1000000),
                              .payload = payload,
                              .payload_len = dice(&talk, 3) ? dice(&talk, 40) : 0};
    segment.payload_wire = segment.payload_len + (dice(&talk, 10) == 0 ? dice(&talk, 50) : 0);
    memset(payload, 'a' + (int)dice(&talk, 2), segment.payload_len);
    if (dice(&talk, 8) == 0)
        segment.flags = (uint8_t)dice(&talk, 64);
    if (segment.flags & TCP_FIN && dice(&talk, 4))
        segment.flags &= (uint8_t)~TCP_FIN;
    if (dice(&talk, 40) == 0)
        segment.seq = (uint32_t)(dice(&talk, 1u << 31) * 2);
    if (dice(&talk, 40) == 0)
        segment.ack = (uint32_t)(dice(&talk, 1u << 31) * 2);
    if (dice(&talk, 200) == 0)
        segment.time_ns = dice(&talk, 2) ? INT64_MAX : INT64_MIN;
    return segment;
}

static void flood_run(uint64_t seed, uint64_t packets)
{
    static const size_t held[] = {0, 300, 4096, 1 << 20};
    struct flood flood = {0};
    struct budget budget;
    talk.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    struct reassembly_options options = {.policy = (enum overlap_policy)dice(&talk, 5),
                                         .held_limit = held[dice(&talk, 4)],
                                         .recent_limit = dice(&talk, 2) * 1000,
                                         .gap_timeout_ns = dice(&talk, 10000000),
                                         .gap_packets = dice(&talk, 50)};
    budget_init(&budget, 1 << 22, NULL);
    struct reassembly *r = reassembly_new(&flood_handler, &flood, &options, &budget);
    ck_assert_ptr_nonnull(r);
    if (dice(&talk, 4) == 0)
        budget.limit = budget.used + dice(&talk, 20000);
    uint32_t base[2] = {dice(&talk, 1u << 31) * 2, dice(&talk, 1u << 31) * 2};
    uint32_t spread = dice(&talk, 2) ? 300 : 3000;
    for (uint64_t i = 0; i < packets; i++) {
        enum side side = dice(&talk, 2) ? CLIENT : SERVER;
        uint8_t *payload = malloc(40);
        ck_assert_ptr_nonnull(payload);
        struct segment segment = flood_segment(i, payload, base, side, spread);
        reassembly_segment(r, side, &segment);
        free(payload);
        base[side] += dice(&talk, 20);
        struct mark mark = {.packet = i, .time_ns = (int64_t)i * 1000};
        if (dice(&talk, 500) == 0)
            reassembly_flush(r, &mark);
        if (dice(&talk, 3000) == 0)
            reassembly_stop(r);
    }
    struct mark end = {.packet = packets};
    reassembly_flush(r, &end);
    for (int side = CLIENT; side <= SERVER; side++) {
        struct reassembly_side got;
        reassembly_get(r, (enum side)side, &got);
        ck_assert_uint_ge(got.delivered, flood.next[side]);
        ck_assert_int_le(flood.ended[side], 1);
        ck_assert_uint_le(got.missing, got.delivered);
    }
    ck_assert_uint_le(flood.limits, 4);
    reassembly_free(r);
    ck_assert_uint_eq(budget.used, 0);
}

START_TEST(flood)
{
    const char *more = getenv("REASSEMBLY_FLOODS"); /* for long runs by hand */
    uint64_t runs = more != NULL ? strtoull(more, NULL, 10) : 60;
    for (uint64_t seed = 1; seed <= runs; seed++)
        flood_run(seed, 1500);
}
END_TEST

Suite *reassembly_property_suite(void)
{
    Suite *suite = suite_create("reassembly_property");
    TCase *tcase = tcase_create("property");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, conversation, 0, 4);
    tcase_add_test(tcase, conversation_with_timestamps);
    tcase_add_test(tcase, flood);
    suite_add_tcase(suite, tcase);
    return suite;
}
