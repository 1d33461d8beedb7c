/*
 * What a side remembers of what it delivered, bounded and allocated late: the newest bytes, to
 * compare a repetition with; the newest packets, to tell a packet that was captured twice from one
 * that was sent twice; the newest conflicts, to report each range once.
 */
#include "reassembly_private.h"

#include <string.h>

enum { RECENT_SMALLEST = 512 };

static void recent_write(struct recent *recent, uint64_t at, const uint8_t *bytes, size_t len)
{
    size_t index = (size_t)at & (recent->size - 1);
    size_t first = recent->size - index < len ? recent->size - index : len;
    memcpy(recent->bytes + index, bytes, first);
    memcpy(recent->bytes, bytes + first, len - first);
}

/* Makes room for `wanted` bytes, as far as the limit allows. */
static int recent_grow(struct recent *recent, size_t limit, size_t wanted, struct budget *budget)
{
    size_t size = recent->size > 0 ? recent->size : RECENT_SMALLEST;
    while (size < wanted && size <= limit / 2)
        size *= 2;
    while (size > limit)
        size /= 2;
    if (size <= recent->size)
        return 0;
    uint8_t *bytes = budget_alloc(budget, size);
    if (bytes == NULL)
        return -1;
    struct recent grown = {.bytes = bytes, .size = size, .from = recent->from, .to = recent->to};
    for (uint64_t at = recent->from; at < recent->to;) {
        size_t len = (size_t)(recent->to - at);
        const uint8_t *piece = reassembly_recent_peek(recent, at, &len);
        recent_write(&grown, at, piece, len);
        at += len;
    }
    budget_free(budget, recent->bytes);
    *recent = grown;
    return 0;
}

int reassembly_recent_add(struct recent *recent, size_t limit, uint64_t at, const uint8_t *bytes,
                          size_t len, struct budget *budget)
{
    if (recent->refused || limit == 0)
        return 0;
    if (recent->to != at)
        recent->from = recent->to = at;
    size_t kept = (size_t)(recent->to - recent->from);
    if (kept + len > recent->size && recent->size <= limit / 2 &&
        recent_grow(recent, limit, kept + len, budget) != 0) {
        recent->refused = 1;
        budget_free(budget, recent->bytes);
        recent->bytes = NULL;
        recent->size = 0;
        recent->from = recent->to = 0;
        return -1;
    }
    if (recent->size == 0)
        return 0;
    size_t skip = len > recent->size ? len - recent->size : 0;
    recent_write(recent, at + skip, bytes + skip, len - skip);
    recent->to = at + len;
    if (recent->to - recent->from > recent->size)
        recent->from = recent->to - recent->size;
    return 0;
}

const uint8_t *reassembly_recent_peek(const struct recent *recent, uint64_t at, size_t *len)
{
    if (at < recent->from) {
        if (recent->from - at < *len)
            *len = (size_t)(recent->from - at);
        return NULL;
    }
    if (at >= recent->to)
        return NULL;
    size_t index = (size_t)at & (recent->size - 1);
    if (recent->to - at < *len)
        *len = (size_t)(recent->to - at);
    if (recent->size - index < *len)
        *len = recent->size - index;
    return recent->bytes + index;
}

struct packet_record reassembly_record_of(const struct segment *segment)
{
    return (struct packet_record){.time_ns = segment->time_ns,
                                  .seq = segment->seq,
                                  .ack = segment->ack,
                                  .ts_value = segment->has_timestamps ? segment->ts_value : 0,
                                  .len = (uint32_t)segment->payload_wire,
                                  .ip_id = segment->ip_id,
                                  .flags = segment->flags,
                                  .used = 1};
}

int reassembly_record_same(const struct packet_record *old, const struct packet_record *new)
{
    /* Without an IP id (IPv6, or zero) only a copy that follows at once is surely the same packet:
     * nobody retransmits that fast. */
    const uint64_t apart_ns = new->ip_id != 0 ? 1000000000 : 200000;
    if (!old->used || old->seq != new->seq || old->len != new->len || old->ip_id != new->ip_id ||
        old->ack != new->ack || old->ts_value != new->ts_value || old->flags != new->flags)
        return 0;
    uint64_t a = (uint64_t)old->time_ns, b = (uint64_t)new->time_ns;
    return (old->time_ns < new->time_ns ? b - a : a - b) <= apart_ns;
}

void reassembly_history_add(struct history *history, const struct segment *segment)
{
    history->packets[history->packet_next] = reassembly_record_of(segment);
    history->packet_next = (history->packet_next + 1) % HISTORY_PACKETS;
}

int reassembly_history_has(const struct history *history, const struct segment *segment)
{
    struct packet_record record = reassembly_record_of(segment);
    for (unsigned i = 0; i < HISTORY_PACKETS; i++)
        if (reassembly_record_same(&history->packets[i], &record))
            return 1;
    return 0;
}

int reassembly_history_conflict(struct history *history, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < HISTORY_CONFLICTS; i++)
        if (history->conflicts[i].from <= from && to <= history->conflicts[i].to)
            return 0;
    history->conflicts[history->conflict_next] = (struct span){from, to};
    history->conflict_next = (history->conflict_next + 1) % HISTORY_CONFLICTS;
    return 1;
}
