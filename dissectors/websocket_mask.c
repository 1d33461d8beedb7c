/*
 * Masking keys (RFC 6455 sections 5.3 and 10.3): taking them off, and whether they were random.
 */
#include <string.h>

#include "websocket_private.h"

void ws_unmask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t key[4], uint64_t phase)
{
    uint8_t pattern[8];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = key[(phase + i) & 3];
    uint64_t mask;
    memcpy(&mask, pattern, sizeof mask);
    size_t at = 0;
    for (; len - at >= sizeof mask; at += sizeof mask) {
        uint64_t word;
        memcpy(&word, from + at, sizeof word);
        word ^= mask;
        memcpy(to + at, &word, sizeof word);
    }
    for (; at < len; at++)
        to[at] = from[at] ^ pattern[at & 7];
}

static uint32_t swap(uint32_t value)
{
    return value >> 24 | (value >> 8 & 0xFF00) | (value << 8 & 0xFF0000) | value << 24;
}

static void compare_steps(struct ws_keys *k, uint32_t value)
{
    uint32_t big = value - k->last, little = swap(value) - swap(k->last);
    if (k->count == 1) {
        k->step_big = big;
        k->step_little = little;
        return;
    }
    k->big_broken |= big != k->step_big;
    k->little_broken |= little != k->step_little;
}

void ws_keys_add(struct ws_keys *k, const uint8_t key[4], uint64_t offset,
                 const struct mark *mark)
{
    uint32_t value = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 |
                     key[3];
    if (k->count == 0) {
        k->first = k->all_and = k->all_or = value;
    } else {
        k->changed |= value != k->first;
        k->all_and &= value;
        k->all_or |= value;
        compare_steps(k, value);
    }
    size_t known = k->count < WS_KEYS ? (size_t)k->count : WS_KEYS;
    for (size_t i = 0; k->count < WS_KEYS && i < known; i++) {
        if (k->recent[i] == value) {
            k->repeats++;
            break;
        }
    }
    if (k->count < WS_KEYS)
        k->recent[k->count] = value;
    k->equal_bytes += key[0] == key[1] && key[1] == key[2] && key[2] == key[3];
    k->last = value;
    k->count++;
    k->zero += value == 0;
    /* The frame that proves it: the second zero, else the eighth key. */
    if ((value == 0 && k->zero == 2) || (k->zero < 2 && k->count <= 8)) {
        k->offset = offset;
        k->packet = mark->packet;
        k->time_ns = mark->time_ns;
    }
}

static unsigned constant_bits(const struct ws_keys *k)
{
    unsigned count = 0;
    for (uint32_t same = ~(k->all_and ^ k->all_or); same != 0; same &= same - 1)
        count++;
    return count;
}

/*
 * Chance must not look like guilt. Of 8 random keys, 8 bits that never change come once in 10^9
 * sessions; two repeats among 32 keys once in 10^13; keys of four equal bytes once in 2^24 each.
 */
static const char *predictable(const struct ws_keys *k, int lossy)
{
    if (!lossy && (!k->big_broken || !k->little_broken))
        return "each key is the one before plus a constant";
    if (k->repeats >= 2)
        return "keys come again";
    if (k->equal_bytes == k->count)
        return "each key is one byte four times";
    if (constant_bits(k) >= 8)
        return "8 or more bits never change";
    return NULL;
}

void ws_keys_close(struct websocket *ws, enum side side)
{
    const struct ws_side *s = &ws->side[side];
    const struct ws_keys *k = &s->keys;
    enum { ENOUGH = 8 };
    if (k->zero >= 2) {
        ws_tell(ws, side, RULE_WS_MASK_KEY_ZERO, k->offset, k->packet, k->time_ns, 0,
                "%llu of %llu frames", (unsigned long long)k->zero, (unsigned long long)k->count);
        return;
    }
    if (k->count < ENOUGH)
        return;
    const char *how = predictable(k, s->gap);
    if (!k->changed && !s->hidden)
        ws_tell(ws, side, RULE_WS_MASK_KEY_CONSTANT, k->offset, k->packet, k->time_ns, 0,
                "%08x in all %llu frames", k->first, (unsigned long long)k->count);
    else if (how != NULL)
        ws_tell(ws, side, RULE_WS_MASK_KEY_PREDICTABLE, k->offset, k->packet, k->time_ns, 0,
                "%s (%llu frames, the first key is %08x)", how, (unsigned long long)k->count,
                k->first);
}
