/*
 * The bench for the reassembly tests.
 */
#include "reassembly_rig.h"

#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void tcp_log(struct rig *rig, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(rig->log + rig->used, RIG_LOG - rig->used, format, arguments);
    va_end(arguments);
    ck_assert_int_ge(n, 0);
    ck_assert_uint_lt((size_t)n, RIG_LOG - rig->used);
    rig->used += (size_t)n;
}

static char tcp_letter(enum side side)
{
    return side == CLIENT ? 'c' : 's';
}

static void tcp_data(void *flow, enum side side, const uint8_t *bytes, size_t len,
                     const struct mark *mark)
{
    struct rig *rig = flow;
    rig->mark = *mark;
    tcp_log(rig, "%c[%" PRIu64 "]", tcp_letter(side), mark->root_offset);
    if (rig->marks && mark->acked_valid)
        tcp_log(rig, "<%" PRIu64, mark->acked);
    if (rig->marks)
        tcp_log(rig, "#%" PRIu64, mark->packet);
    tcp_log(rig, "\"%.*s\" ", (int)len, (const char *)bytes);
}

static void tcp_gap(void *flow, enum side side, uint64_t offset, uint64_t len,
                    const struct mark *mark)
{
    struct rig *rig = flow;
    rig->mark = *mark;
    ck_assert_uint_eq(offset, mark->root_offset);
    tcp_log(rig, "%c[%" PRIu64 "]-%" PRIu64 " ", tcp_letter(side), offset, len);
}

static void tcp_eof(void *flow, enum side side, const struct mark *mark)
{
    struct rig *rig = flow;
    rig->mark = *mark;
    tcp_log(rig, "%c. ", tcp_letter(side));
}

static void tcp_conflict(void *flow, enum side side, uint64_t offset, const uint8_t *kept,
                         const uint8_t *other, size_t len, const struct mark *mark)
{
    struct rig *rig = flow;
    ck_assert_uint_eq(offset, mark->root_offset);
    ck_assert_uint_eq(mark->packet, rig->packet);
    tcp_log(rig, "%c[%" PRIu64 "]!%.*s/%.*s ", tcp_letter(side), offset, (int)len,
            (const char *)kept, (int)len, (const char *)other);
}

static void tcp_limit(void *flow, enum side side, const char *name, uint64_t value,
                      const struct mark *mark)
{
    (void)mark;
    tcp_log(flow, "%c#%s=%" PRIu64 " ", tcp_letter(side), name, value);
}

static const struct reassembly_handler tcp_handler = {tcp_data, tcp_gap, tcp_eof, tcp_conflict,
                                                      tcp_limit};

void tcp_begin(struct rig *rig)
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
    tcp_start(rig);
}

void tcp_start(struct rig *rig)
{
    reassembly_free(rig->r);
    rig->r = reassembly_new(&tcp_handler, rig, &rig->options, &rig->budget);
    ck_assert_ptr_nonnull(rig->r);
}

void tcp_end(struct rig *rig)
{
    reassembly_free(rig->r);
    rig->r = NULL;
    ck_assert_uint_eq(rig->budget.used, 0);
}

void tcp_put(struct rig *rig, enum side side, struct put put)
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

void tcp_handshake(struct rig *rig)
{
    PUT(rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(rig, SERVER, .flags = TCP_SYN);
    PUT(rig, CLIENT, .seq = 0);
}

void tcp_wait(struct rig *rig, int packets, int64_t seq, int64_t ack)
{
    while (packets-- > 0)
        PUT(rig, CLIENT, .seq = seq, .ack = ack);
}

void tcp_flush(struct rig *rig)
{
    struct mark mark = {.packet = rig->packet, .time_ns = rig->now_ns};
    reassembly_flush(rig->r, &mark);
}

void tcp_expect(struct rig *rig, const char *expected)
{
    if (rig->used > 0)
        rig->used--; /* the last blank */
    rig->log[rig->used] = '\0';
    ck_assert_str_eq(rig->log, expected);
    rig->used = 0;
    rig->log[0] = '\0';
}

struct reassembly_side tcp_side(const struct rig *rig, enum side side)
{
    struct reassembly_side out;
    reassembly_get(rig->r, side, &out);
    return out;
}
