/*
 * The way of most packets through the decoder and its checksums comes to the same as the walk
 * through all layers: random packets, damaged here and there, as Ethernet frames and as raw IP.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/checksum.h"
#include "../../analyzer/decode.h"

Suite *decode_plain_suite(void);

enum { ETHERNET = 14, ROUNDS = 8000, LARGEST = 160 };

static uint32_t noise(void)
{
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32);
}

static void store16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* A good packet of IPv4 and TCP with its checksums; returns its length behind the Ethernet header.
 */
static size_t build(uint8_t *frame)
{
    uint8_t *ip = frame + ETHERNET, *tcp = ip + 20;
    size_t options = noise() % 2 * 12, payload = noise() % 64, len = 40 + options + payload;
    for (size_t i = 0; i < LARGEST; i++)
        frame[i] = (uint8_t)noise();
    store16(frame + 12, 0x0800);
    ip[0] = 0x45;
    store16(ip + 2, len);
    store16(ip + 6, 0x4000);
    ip[9] = 6;
    store16(ip + 10, 0);
    store16(ip + 10, (uint16_t)~checksum_fold(checksum_add(0, ip, 20)));
    tcp[12] = (uint8_t)((20 + options) << 2);
    if (options > 0)
        memcpy(tcp + 20, "\x01\x01\x08\x0a", 4);
    const uint8_t rest[4] = {0, 6, (uint8_t)((len - 20) >> 8), (uint8_t)(len - 20)};
    uint64_t pseudo = checksum_add(checksum_add(0, ip + 12, 8), rest, 4);
    store16(tcp + 16, 0);
    store16(tcp + 16, (uint16_t)~checksum_fold(checksum_add(pseudo, tcp, len - 20)));
    return len;
}

static void each_counter(void *arg, const char *name, uint64_t value)
{
    uint64_t *sum = arg;
    if (strcmp(name, "decode.ethernet") == 0)
        return;
    for (; *name != '\0'; name++)
        *sum = *sum * 31 + (uint8_t)*name;
    *sum += value;
}

static void compare(const struct segment *a, const struct segment *b)
{
    ck_assert_mem_eq(&a->source, &b->source, sizeof a->source);
    ck_assert_mem_eq(&a->target, &b->target, sizeof a->target);
    ck_assert_uint_eq(a->source_port, b->source_port);
    ck_assert_uint_eq(a->target_port, b->target_port);
    ck_assert_int_eq(a->vlan, b->vlan);
    ck_assert_uint_eq(a->tunnel, b->tunnel);
    ck_assert_uint_eq(a->seq, b->seq);
    ck_assert_uint_eq(a->ack, b->ack);
    ck_assert_uint_eq(a->window, b->window);
    ck_assert_uint_eq(a->urgent, b->urgent);
    ck_assert_uint_eq(a->flags, b->flags);
    ck_assert_int_eq(a->window_scale, b->window_scale);
    ck_assert_uint_eq(a->has_timestamps, b->has_timestamps);
    ck_assert_uint_eq(a->ts_value, b->ts_value);
    ck_assert_uint_eq(a->ts_echo, b->ts_echo);
    ck_assert_uint_eq(a->ip_id, b->ip_id);
    ck_assert_ptr_eq(a->payload, b->payload);
    ck_assert_uint_eq(a->payload_len, b->payload_len);
    ck_assert_uint_eq(a->payload_wire, b->payload_wire);
    ck_assert_ptr_eq(a->ip, b->ip);
    ck_assert_uint_eq(a->ip_len, b->ip_len);
    ck_assert_ptr_eq(a->tcp, b->tcp);
    ck_assert_uint_eq(a->packet, b->packet);
    ck_assert_int_eq(a->time_ns, b->time_ns);
}

START_TEST(same_as_the_walk)
{
    struct budget root;
    budget_init(&root, (size_t)16 << 20, NULL);
    struct decoder *decoders[2] = {decoder_new(&root), decoder_new(&root)};
    unsigned good = 0, bad = 0, none = 0;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        uint8_t *frame = malloc(LARGEST);
        size_t len = build(frame);
        for (unsigned i = noise() % 4; i > 0; i--) /* mostly in the headers */
            frame[ETHERNET + noise() % (noise() % 2 ? 40 : len)] ^= (uint8_t)(1u << noise() % 8);
        size_t wire = ETHERNET + len + noise() % 2 * 4; /* padded */
        struct packet packet = {.data = frame,
                                .len = noise() % 8 ? wire : noise() % wire,
                                .wire_len = wire,
                                .time_ns = round,
                                .number = round,
                                .link_type = 1};
        struct segment segments[2] = {{.packet = 0}, {.packet = 0}};
        if (packet.len < ETHERNET)
            packet.len = ETHERNET;
        int found = decode_packet(decoders[0], &packet, &segments[0]);
        packet.data += ETHERNET;
        packet.len -= ETHERNET;
        packet.wire_len -= ETHERNET;
        packet.link_type = 228; /* raw IPv4: no plain packet */
        ck_assert_int_eq(decode_packet(decoders[1], &packet, &segments[1]), found);
        none += !found;
        if (found) {
            compare(&segments[0], &segments[1]);
            int sum = decode_checksum(&segments[0]);
            good += sum > 0;
            bad += sum == 0;
        }
        free(frame);
    }
    uint64_t sums[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        decoder_counters(decoders[i], each_counter, &sums[i]);
        decoder_free(decoders[i]);
    }
    ck_assert_uint_eq(sums[0], sums[1]);
    ck_assert_uint_gt(good, ROUNDS / 10);
    ck_assert_uint_gt(bad, ROUNDS / 10);
    ck_assert_uint_gt(none, ROUNDS / 50);
}
END_TEST

/* Each bit of a packet is in a sum, whatever the length leaves over behind whole words. */
START_TEST(each_bit_counts)
{
    for (unsigned round = 0; round < 64; round++) {
        uint8_t frame[LARGEST];
        size_t len = build(frame);
        struct budget root;
        budget_init(&root, (size_t)16 << 20, NULL);
        struct decoder *decoder = decoder_new(&root);
        const struct packet packet = {.data = frame, .len = ETHERNET + len, .link_type = 1,
                                      .wire_len = ETHERNET + len, .number = 1};
        struct segment segment;
        ck_assert_int_eq(decode_packet(decoder, &packet, &segment), 1);
        ck_assert_int_eq(decode_checksum(&segment), 1);
        for (size_t bit = 20 * 8; bit < len * 8; bit++) {
            frame[ETHERNET + bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_assert_int_ne(decode_checksum(&segment), 1);
            frame[ETHERNET + bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        decoder_free(decoder);
    }
}
END_TEST

Suite *decode_plain_suite(void)
{
    Suite *suite = suite_create("decode_plain");
    TCase *tests = tcase_create("plain");
    tcase_add_test(tests, same_as_the_walk);
    tcase_add_test(tests, each_bit_counts);
    suite_add_tcase(suite, tests);
    return suite;
}
