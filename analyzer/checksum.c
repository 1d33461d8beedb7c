/*
 * The sum is made of 32-bit halves in the byte order of the machine (RFC 1071 2B: the order only
 * turns the bytes of the result), in independent 64-bit lanes.
 */
#include "checksum.h"

#include <arpa/inet.h>
#include <string.h>

static uint64_t halves(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return (word & UINT32_MAX) + (word >> 32);
}

uint64_t checksum_add(uint64_t sum, const uint8_t *data, size_t len)
{
    uint64_t lane[4] = {sum, 0, 0, 0};
    for (; len >= 32; data += 32, len -= 32) {
        lane[0] += halves(data);
        lane[1] += halves(data + 8);
        lane[2] += halves(data + 16);
        lane[3] += halves(data + 24);
    }
    for (; len >= 8; data += 8, len -= 8)
        lane[1] += halves(data);
    if (len >= 4) {
        uint32_t word;
        memcpy(&word, data, sizeof word);
        lane[2] += word;
        data += 4;
        len -= 4;
    }
    if (len > 0) {
        uint8_t rest[4] = {data[0], len > 1 ? data[1] : 0, len > 2 ? data[2] : 0, 0};
        uint32_t word;
        memcpy(&word, rest, sizeof word);
        lane[3] += word;
    }
    return lane[0] + lane[1] + lane[2] + lane[3];
}

uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ntohs((uint16_t)sum);
}
