/*
 * The bench for the reassembly tests.
 */
#include "reassembly_rig.h"

#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void rig_log(struct rig *rig, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(rig->log + rig->used, RIG_LOG - rig->used, format, arguments);
    va_end(arguments);
    ck_assert_int_ge(n, 0);
    ck_assert_uint_lt((size_t)n, RIG_LOG - rig->used);
    rig->used += (size_t)n;
}

static char rig_letter(enum side side)
{
    return side == CLIENT ? 'c' : 's';
}

static void rig_data(void *flow, enum side side, const uint8_t *bytes, size_t len,
                     const struct mark *mark)
{
    struct rig *rig = flow;
    rig->mark = *mark;
    rig_log(rig, "%c[%" PRIu64 "]", rig_letter(side), mark->root_offset);
    if (rig->marks && mark->acked_valid)
        rig_log(rig, "<%" PRIu64, mark->acked);
    if (rig->marks)
        rig_log(rig, "#%" PRIu64, mark->packet);
    rig_log(rig, "\"%.*s\" ", (int)len, (const char *)bytes);
}

static void rig_gap(void *flow, enum side side, uint64_t offset, uint64_t len,
                    const struct mark *mark)
{
    struct rig *rig = flow;
    rig->mark = *mark;
    ck_assert_uint_eq(offset, mark->root_offset);
    rig_log(rig, "%c[%" PRIu64 "]-%" PRIu64 " ", rig_letter(side), offset, len);
}

static void rig_eof(void *flow, enum side side, const struct mark *mark)
{
    struct rig *rig = flow;
    rig->mark = *mark;
    rig_log(rig, "%c. ", rig_letter(side));
}

static void rig_conflict(void *flow, enum side side, uint64_t offset, const uint8_t *kept,
                         const uint8_t *other, size_t len, const struct mark *mark)
{
    struct rig *rig = flow;
    ck_assert_uint_eq(offset, mark->root_offset);
    ck_assert_uint_eq(mark->packet, rig->packet);
    rig_log(rig, "%c[%" PRIu64 "]!%.*s/%.*s ", rig_letter(side), offset, (int)len,
            (const char *)kept, (int)len, (const char *)other);
}

static void rig_limit(void *flow, enum side side, const char *name, uint64_t value,
                      const struct mark *mark)
{
    (void)mark;
    rig_log(flow, "%c#%s=%" PRIu64 " ", rig_letter(side), name, value);
}

static const struct reassembly_handler rig_handler = {rig_data, rig_gap, rig_eof, rig_conflict,
                                                      rig_limit};

void rig_begin(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    budget_init(&rig->budget, 16 << 20, NULL);
    rig->options = (struct reassembly_options){.policy = OVERLAP_BSD,
                                               .held_limit = 64 << 10,
                                               .recent_limit = 4 << 10,
                                               .gap_timeout_ns = 1000000000,
                                               .gap_packets = 8};
    rig->isn[CLIENT] = 1000;
    rig->isn[SERVER] = 0xffffff00;
    rig_start(rig);
}

void rig_start(struct rig *rig)
{
    reassembly_free(rig->r);
    rig->r = reassembly_new(&rig_handler, rig, &rig->options, &rig->budget);
    ck_assert_ptr_nonnull(rig->r);
}

void rig_end(struct rig *rig)
{
    reassembly_free(rig->r);
    rig->r = NULL;
    ck_assert_uint_eq(rig->budget.used, 0);
}

void rig_put(struct rig *rig, enum side side, struct put put)
{
    rig->now_ns += 1000000 + put.later_ns;
    size_t len = put.len > 0 || put.data == NULL ? put.len : strlen(put.data);
    struct segment segment = {
        .seq = rig->isn[side] + 1 + (uint32_t)put.seq - ((put.flags & TCP_SYN) != 0),
        .window = put.zero_window ? 0 : put.window > 0 ? put.window : 65535,
        .flags = (uint8_t)(put.flags | (put.no_ack ? 0 : TCP_ACK)),
        .window_scale = (int8_t)(put.scale > 0 ? put.scale : -1),
        .has_timestamps = put.ts > 0,
        .ts_value = put.ts,
        .ip_id = put.ip_id,
        .payload = (const uint8_t *)put.data,
        .payload_len = len,
        .payload_wire = put.wire > 0 ? put.wire : len,
        .packet = ++rig->packet,
        .time_ns = rig->now_ns};
    if (!put.no_ack)
        segment.ack = rig->isn[side_peer(side)] + 1 + (uint32_t)put.ack;
    reassembly_segment(rig->r, side, &segment);
}

void rig_handshake(struct rig *rig)
{
    PUT(rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(rig, SERVER, .flags = TCP_SYN);
    PUT(rig, CLIENT, .seq = 0);
}

void rig_wait(struct rig *rig, int packets, int64_t seq, int64_t ack)
{
    while (packets-- > 0)
        PUT(rig, CLIENT, .seq = seq, .ack = ack);
}

void rig_flush(struct rig *rig)
{
    struct mark mark = {.packet = rig->packet, .time_ns = rig->now_ns};
    reassembly_flush(rig->r, &mark);
}

void rig_expect(struct rig *rig, const char *expected)
{
    if (rig->used > 0)
        rig->used--; /* the last blank */
    rig->log[rig->used] = '\0';
    ck_assert_str_eq(rig->log, expected);
    rig->used = 0;
    rig->log[0] = '\0';
}

struct reassembly_side rig_side(const struct rig *rig, enum side side)
{
    struct reassembly_side out;
    reassembly_get(rig->r, side, &out);
    return out;
}
