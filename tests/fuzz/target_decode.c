/*
 * Packets of any link type, and the fragments in them. What is called a segment has to lie within
 * what it borrows from, and memory stays within an eighth of the budget.
 *
 * Input: flags (1: checksums of fragments' headers are not looked at, 2: little memory); then
 * packets: link type (index or number), milliseconds later, length (2), bytes cut off by the
 * snaplen (1), the bytes.
 */
#include <stdlib.h>

#include "../../analyzer/decode.h"
#include "fuzz.h"

enum { PACKETS_MOST = 4096 };

static const uint16_t link_types[] = {
    1,   0,   108, 9,   50,  51,  12,  14,  101, 104, 105, 113, 127, 276, 228, 229,
    107, 114, 119, 141, 143, 163, 166, 192, 195, 204, 205, 213, 224, 230, 239, 240,
    253, 272, 273, 280, 281, 289, 10,  6,   149, 165, 189, 8,   99,  15,  129, 147,
};

enum { LINK_TYPES = sizeof link_types / sizeof link_types[0] };

static uint64_t touched;

static void touch(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        touched += data[i];
}

static void check_segment(const struct segment *segment)
{
    if (segment->payload_wire < segment->payload_len)
        fuzz_broken("more payload was captured than sent");
    if (segment->tcp < segment->ip || segment->tcp + 20 > segment->ip + segment->ip_len)
        fuzz_broken("a TCP header that is not in its packet");
    if (segment->payload_len > 0 &&
        (segment->payload < segment->tcp + 20 ||
         segment->payload + segment->payload_len > segment->ip + segment->ip_len))
        fuzz_broken("payload that is not in its packet");
    if (segment->window_scale < -1)
        fuzz_broken("a window's scale");
    touch(segment->ip, segment->ip_len);
    touch(segment->payload, segment->payload_len);
    (void)decode_checksum(segment);
}

static void counter(void *arg, const char *name, uint64_t value)
{
    (void)arg;
    if (name[0] == '\0' || value == 0)
        fuzz_broken("a counter without name or value");
}

static void run(const char *variant, const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct budget budget;
    struct packet packet = {0};
    (void)variant;
    unsigned flags = fuzz_u8(&in);
    budget_init(&budget, (flags & 2) != 0 ? 1u << 17 : 16u << 20, NULL);
    struct decoder *decoder = decoder_new(&budget);
    if (decoder == NULL)
        return;
    size_t fixed = budget.used;
    decoder_verify_checksums(decoder, (flags & 1) == 0);
    while (in.left > 0 && packet.number < PACKETS_MOST) {
        uint8_t type = fuzz_u8(&in);
        packet.link_type = type < LINK_TYPES ? link_types[type] : type;
        packet.time_ns += (int64_t)fuzz_u8(&in) * 1000000;
        packet.number++;
        packet.len = fuzz_u16(&in);
        size_t lost = fuzz_u8(&in);
        const uint8_t *bytes = fuzz_bytes(&in, &packet.len);
        packet.wire_len = packet.len + lost;
        uint8_t *copy = fuzz_copy(bytes, packet.len);
        struct segment segment;
        packet.data = copy;
        if (decode_packet(decoder, &packet, &segment))
            check_segment(&segment);
        free(copy);
        if (budget.used > fixed + budget.limit / 8)
            fuzz_broken("fragments take more than an eighth of the memory");
    }
    decoder_counters(decoder, counter, NULL);
    decoder_free(decoder);
    if (budget.used != 0)
        fuzz_broken("memory was not given back");
}

const struct fuzz_target fuzz_decode = {"decode", NULL, run};
