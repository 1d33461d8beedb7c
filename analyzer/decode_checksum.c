/*
 * The checksums of a segment: that of the IPv4 header and that of TCP over its pseudo-header
 * (RFC 9293 3.1, RFC 8200 8.1), whose target is the final one where a source route is still being
 * followed (RFC 791, 6275, 8754).
 */
#include "../dissectors/reader.h"
#include "checksum.h"
#include "decode.h"

enum { ROUTE_LOOSE = 131, ROUTE_STRICT = 137 };

/* The last address of a source route that has hops left, else target stays. */
static void ipv4_target(struct reader options, uint8_t target[16])
{
    while (reader_left(&options) > 0) {
        uint8_t kind = reader_u8(&options);
        if (kind == 0)
            return;
        if (kind == 1)
            continue;
        uint8_t len = reader_u8(&options);
        const uint8_t *bytes;
        if (len < 2 || !reader_take(&options, len - 2U, &bytes))
            return;
        struct reader route = reader_of(bytes, len - 2U);
        uint8_t pointer = reader_u8(&route);
        if ((kind != ROUTE_LOOSE && kind != ROUTE_STRICT) || len < 7 || pointer > len - 3)
            continue;
        memcpy(target, bytes + len - 2 - 4, 4);
        return;
    }
}

/* The same for the extension headers between IPv6 and TCP. -1: a kind of route nobody knows. */
static int ipv6_target(struct reader chain, uint8_t next, uint8_t target[16])
{
    while (reader_left(&chain) >= 8) {
        struct reader r = chain;
        uint8_t kind = next;
        next = reader_u8(&r);
        uint8_t units = reader_u8(&r), type = reader_u8(&r), left = reader_u8(&r);
        size_t len = ((size_t)units + 1) * 8;
        if (kind == 44)
            len = 8;
        else if (kind == 51)
            len = ((size_t)units + 2) * 4;
        const uint8_t *header, *address = NULL;
        if (!reader_take(&chain, len, &header))
            return 0;
        if (kind != 43 || left == 0)
            continue;
        struct reader route = reader_of(header, len);
        reader_skip(&route, type == 4 ? 8 : len < 24 ? len : len - 16);
        if ((type != 0 && type != 2 && type != 4) || !reader_take(&route, 16, &address))
            return -1;
        memcpy(target, address, 16);
        return 0;
    }
    return 0;
}

/* 1, 0, -1 as decode_checksum. *target is where the segment goes in the end. */
static int check_ip(const struct segment *segment, uint8_t target[16])
{
    struct reader r = reader_of(segment->ip, segment->ip_len);
    memcpy(target, segment->target.bytes, 16);
    if (segment->target.family != 4) {
        size_t chain_len = (size_t)(segment->tcp - segment->ip) - 40;
        reader_skip(&r, 6);
        uint8_t next = reader_u8(&r);
        reader_skip(&r, 33);
        if (chain_len == 0)
            return 1;
        return ipv6_target(reader_of(r.data + r.at, chain_len), next, target) == 0 ? 1 : -1;
    }
    size_t header_len = (size_t)(reader_u8(&r) & 15) * 4;
    reader_skip(&r, 1);
    uint16_t total = reader_u16(&r);
    reader_skip(&r, 6);
    uint16_t sum = reader_u16(&r);
    reader_skip(&r, 8);
    if (header_len > 20)
        ipv4_target(reader_of(r.data + r.at, header_len - 20), target);
    if (sum == 0 || total == 0) /* left to the interface; TCP's sum covers the addresses */
        return 1;
    return checksum_fold(checksum_add(0, segment->ip, header_len)) == 0xffff;
}

/* The sum of the pseudo-header; tcp_len 0 leaves the length out, as some segmenting stacks do. */
static uint64_t pseudo_sum(const struct segment *segment, const uint8_t target[16],
                           size_t tcp_len)
{
    uint8_t tail[8] = {(uint8_t)(tcp_len >> 24), (uint8_t)(tcp_len >> 16),
                       (uint8_t)(tcp_len >> 8),  (uint8_t)tcp_len, 0, 0, 0, 6};
    size_t len = segment->target.family == 4 ? 4 : 16;
    uint64_t sum = checksum_add(0, segment->source.bytes, len);
    return checksum_add(checksum_add(sum, target, len), tail, sizeof tail);
}

/* Only the pseudo-header is summed up, stored as it is or complemented. */
static int is_partial(uint16_t sum, uint64_t pseudo)
{
    unsigned difference = sum ^ checksum_fold(pseudo);
    return difference == 0 || difference == 0xffff;
}

/* IPv4 without options, all of it captured: 1 where both sums are good. */
static int plain_good(const struct segment *segment)
{
    enum { HEADER = 20, ADDRESSES = 12 };
    size_t len = segment->ip_len - HEADER;
    if (segment->target.family != 4 || segment->tcp != segment->ip + HEADER ||
        segment->payload_len < segment->payload_wire)
        return 0;
    if (checksum_fold(checksum_add(0, segment->ip, HEADER)) != 0xffff)
        return 0;
    uint8_t rest[4] = {0, 6, (uint8_t)(len >> 8), (uint8_t)len};
    uint64_t sum = checksum_add(0, segment->ip + ADDRESSES, HEADER - ADDRESSES);
    sum = checksum_add(sum, rest, sizeof rest);
    return checksum_fold(checksum_add(sum, segment->tcp, len)) == 0xffff;
}

int decode_checksum(const struct segment *segment)
{
    if (plain_good(segment))
        return 1;
    uint8_t target[16];
    int ip = check_ip(segment, target);
    if (ip <= 0)
        return ip;
    size_t captured = segment->ip_len - (size_t)(segment->tcp - segment->ip);
    struct reader r = reader_of(segment->tcp, captured);
    reader_skip(&r, 12);
    size_t header_len = (size_t)(reader_u8(&r) >> 4) * 4;
    reader_skip(&r, 3);
    uint16_t sum = reader_u16(&r);
    if (r.failed || header_len > captured || segment->payload_len < segment->payload_wire)
        return -1;
    uint64_t pseudo = pseudo_sum(segment, target, captured);
    if (checksum_fold(checksum_add(pseudo, segment->tcp, captured)) == 0xffff)
        return 1;
    int offloaded = sum == 0 || is_partial(sum, pseudo) ||
                    is_partial(sum, pseudo_sum(segment, target, 0));
    return offloaded ? -1 : 0;
}
