/*
 * The engine with a flow of its own, as flow_payload.c has it, and pieces of memory that are not
 * larger than their bytes.
 */
#include "play.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void emit(void *flow, struct event *event)
{
    watch_event(flow, event);
}

void play_begin(struct play *p, unsigned flags, uint64_t failing_at, struct tls_keys *keys)
{
    int tight = (flags & PLAY_TIGHT) != 0;
    memset(p, 0, sizeof *p);
    watch_begin(&p->watch);
    p->options = (struct dissect_options){
        .payload = 65536,
        .frames = (flags & PLAY_NO_FRAMES) == 0,
        .message_limit = 1u << 20,
        .frame_limit = 1u << 20,
        .ratio_limit = 100,
        .ping_timeout_ns = INT64_C(30000000000),
        .hold_limit = tight ? 4096 : 1u << 20,
        .depth_limit = (flags & PLAY_SHALLOW) != 0 ? 3 : 16,
        .keys = keys,
        .keys_wait_ns = keys != NULL ? INT64_C(2000000000) : 0,
        .keys_hold = keys != NULL ? 65536 : 0,
    };
    budget_init(&p->budget, tight ? 32768 : 16u << 20, NULL);
    p->host.emit = emit;
    if ((flags & PLAY_FAILING) != 0)
        fuzz_fail_at(failing_at, FUZZ_FAIL_ALL_BEHIND);
    p->stack =
        stack_new(&p->host, &p->watch, &p->options, &p->budget, (flags & PLAY_MIDSTREAM) == 0);
}

static struct mark play_mark(struct play *p, enum side side, enum play_ack ack)
{
    p->packet++;
    return (struct mark){.packet = p->packet,
                         .time_ns = (int64_t)p->packet * 1000000,
                         .acked = ack == PLAY_ACK_NOTHING ? 0 : p->sent[side_peer(side)],
                         .acked_valid = ack != PLAY_ACK_UNKNOWN,
                         .root_offset = p->sent[side]};
}

void play_data(struct play *p, enum side side, enum play_ack ack, const uint8_t *data, size_t len)
{
    struct mark mark = play_mark(p, side, ack);
    if (p->stack == NULL || p->ended[side])
        return;
    p->sent[side] += len;
    for (size_t from = 0; from < len;) {
        size_t piece = p->cut > 0 && p->cut < len - from ? p->cut : len - from;
        uint8_t *copy = fuzz_copy(data + from, piece);
        stack_data(p->stack, side, copy, piece, &mark);
        free(copy);
        mark.root_offset += piece;
        from += piece;
    }
}

void play_gap(struct play *p, enum side side, enum play_ack ack, uint64_t len)
{
    struct mark mark = play_mark(p, side, ack);
    if (p->stack == NULL || p->ended[side] || len == 0)
        return;
    p->sent[side] += len;
    p->gaps = 1;
    stack_gap(p->stack, side, len, &mark);
}

void play_eof(struct play *p, enum side side, enum play_ack ack)
{
    struct mark mark = play_mark(p, side, ack);
    if (p->stack == NULL || p->ended[side])
        return;
    p->ended[side] = 1;
    stack_eof(p->stack, side, &mark);
}

void play_end(struct play *p)
{
    struct mark mark = {.packet = p->packet + 1, .time_ns = (int64_t)(p->packet + 1) * 1000000};
    if (p->stack != NULL) {
        stack_close(p->stack, SESSION_END_CAPTURE, NEITHER, 0, &mark);
        stack_free(p->stack);
    }
    (void)fuzz_fail_end();
    if (p->budget.used != 0)
        fuzz_broken("memory was not given back");
    watch_end(&p->watch);
}
