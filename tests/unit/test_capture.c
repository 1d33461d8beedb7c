/*
 * Packet sources: both file formats in all their variants, damage of every kind, gzip, pipes,
 * filters, and as much of live capture as the rights of who runs the tests allow.
 */
#include "../../analyzer/capture.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

Suite *capture_suite(void);

/* ---- writing captures ---------------------------------------------------------------------- */

struct bytes {
    uint8_t *data;
    size_t len, room;
    int big; /* byte order of what is added */
};

static void add(struct bytes *b, const void *data, size_t len)
{
    if (b->len + len > b->room) {
        b->room = (b->len + len) * 2;
        b->data = realloc(b->data, b->room);
        ck_assert_ptr_nonnull(b->data);
    }
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void add_number(struct bytes *b, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        unsigned shift = 8 * (b->big ? size - 1 - i : i);
        uint8_t one = (uint8_t)(value >> shift);
        add(b, &one, 1);
    }
}

static void add_fill(struct bytes *b, uint8_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        add(b, &value, 1);
}

static void put_number(struct bytes *b, size_t at, uint32_t value)
{
    struct bytes number = {.big = b->big};

    add_number(&number, value, 4);
    ck_assert(at + 4 <= b->len);
    memcpy(b->data + at, number.data, 4);
    free(number.data);
}

static void add_header(struct bytes *b, uint32_t magic, unsigned minor, uint32_t snaplen,
                       uint32_t link_type)
{
    add_number(b, magic, 4);
    add_number(b, 2, 2);
    add_number(b, minor, 2);
    add_number(b, 0, 8);
    add_number(b, snaplen, 4);
    add_number(b, link_type, 4);
}

/* A record whose bytes are all `fill`. */
static void add_record(struct bytes *b, uint32_t seconds, uint32_t fraction, uint32_t len,
                       uint32_t wire_len, uint8_t fill)
{
    add_number(b, seconds, 4);
    add_number(b, fraction, 4);
    add_number(b, len, 4);
    add_number(b, wire_len, 4);
    add_fill(b, fill, len);
}

static size_t block_begin(struct bytes *b, uint32_t type)
{
    size_t at = b->len;

    add_number(b, type, 4);
    add_number(b, 0, 4);
    return at;
}

static void block_end(struct bytes *b, size_t at)
{
    add_fill(b, 0, (4 - b->len % 4) % 4);
    add_number(b, b->len + 4 - at, 4);
    put_number(b, at + 4, (uint32_t)(b->len - at));
}

static void add_section(struct bytes *b, unsigned major)
{
    size_t at = block_begin(b, 0x0a0d0d0a);

    add_number(b, 0x1a2b3c4d, 4);
    add_number(b, major, 2);
    add_number(b, 0, 2);
    add_number(b, UINT64_MAX, 8);
    block_end(b, at);
}

static void add_option(struct bytes *b, unsigned code, uint64_t value, unsigned size)
{
    add_number(b, code, 2);
    add_number(b, size, 2);
    add_number(b, value, size);
    add_fill(b, 0, (4 - size % 4) % 4);
}

/* resolution or offset 0: no such option. */
static void add_interface(struct bytes *b, unsigned link_type, uint32_t snaplen,
                          unsigned resolution, int64_t offset)
{
    size_t at = block_begin(b, 1);

    add_number(b, link_type, 2);
    add_number(b, 0, 2);
    add_number(b, snaplen, 4);
    add_option(b, 2, 0x65746830, 4); /* a name, to be passed over */
    if (resolution != 0)
        add_option(b, 9, resolution, 1);
    if (offset != 0)
        add_option(b, 14, (uint64_t)offset, 8);
    add_option(b, 0, 0, 0);
    block_end(b, at);
}

static void add_enhanced(struct bytes *b, uint32_t interface, uint64_t time, uint32_t len,
                         uint32_t wire_len, uint8_t fill)
{
    size_t at = block_begin(b, 6);

    add_number(b, interface, 4);
    add_number(b, time >> 32, 4);
    add_number(b, time & UINT32_MAX, 4);
    add_number(b, len, 4);
    add_number(b, wire_len, 4);
    add_fill(b, fill, len);
    add_fill(b, 0, (4 - len % 4) % 4);
    add_option(b, 2, 0, 4);
    add_option(b, 0, 0, 0);
    block_end(b, at);
}

static void add_statistics(struct bytes *b, uint32_t interface, uint64_t interface_drop,
                           uint64_t system_drop)
{
    size_t at = block_begin(b, 5);

    add_number(b, interface, 4);
    add_number(b, 0, 8);
    add_option(b, 4, 1000, 8);
    add_option(b, 5, interface_drop, 8);
    add_option(b, 7, system_drop, 8);
    add_option(b, 0, 0, 0);
    block_end(b, at);
}

/* An Ethernet (link type 1) or raw IP frame with a TCP segment to a port. */
static size_t tcp_packet(uint8_t *to, int ethernet, unsigned port)
{
    static const uint8_t ip[40] = {0x45, 0, 0, 40, 0,  1, 0, 0, 64,   6,   0, 0, 10, 0, 0, 1, 10,
                                   0,    0, 2, 16, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10};
    size_t at = 0;

    if (ethernet) {
        memset(to, 2, 12);
        to[12] = 8;
        to[13] = 0;
        at = 14;
    }
    memcpy(to + at, ip, sizeof ip);
    to[at + 22] = (uint8_t)(port >> 8);
    to[at + 23] = (uint8_t)port;
    return at + sizeof ip;
}

static void add_enhanced_tcp(struct bytes *b, uint32_t interface, int ethernet, unsigned port)
{
    uint8_t packet[64];
    size_t len = tcp_packet(packet, ethernet, port);
    size_t at = block_begin(b, 6);

    add_number(b, interface, 4);
    add_number(b, 0, 8);
    add_number(b, len, 4);
    add_number(b, len, 4);
    add(b, packet, len);
    block_end(b, at);
}

/* ---- reading them -------------------------------------------------------------------------- */

static char file_path[64];

static void setup(void)
{
    (void)snprintf(file_path, sizeof file_path, "/tmp/switchtap-capture-XX" "XX" "XX");
    int fd = mkstemp(file_path);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
}

static void teardown(void)
{
    (void)unlink(file_path);
}

static void save(const struct bytes *b, size_t len)
{
    FILE *file = fopen(file_path, "wb");

    ck_assert_ptr_nonnull(file);
    if (len > 0)
        ck_assert_uint_eq(fwrite(b->data, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

static struct capture *open_saved(const struct bytes *b, const char *filter)
{
    struct error error = {""};

    save(b, b->len);
    struct capture *capture = capture_open_file(file_path, filter, &error);
    ck_assert_msg(capture != NULL, "%s", error.text);
    return capture;
}

/* The next packet must be there, its bytes all `fill`. */
static void expect(struct capture *capture, size_t len, size_t wire_len, int64_t time_ns,
                   uint8_t fill)
{
    struct packet packet;
    struct error error = {""};

    ck_assert_msg(capture_next(capture, &packet, &error) == 1, "%s", error.text);
    ck_assert_uint_eq(packet.len, len);
    ck_assert_uint_eq(packet.wire_len, wire_len);
    ck_assert_int_eq(packet.time_ns, time_ns);
    size_t right = 0;
    while (right < len && packet.data[right] == fill)
        right++;
    ck_assert_uint_eq(right, len);
}

static void expect_end(struct capture *capture, struct capture_info *info)
{
    struct packet packet;
    struct error error = {""};

    ck_assert_int_eq(capture_next(capture, &packet, &error), 0);
    ck_assert_int_eq(capture_next(capture, &packet, &error), 0);
    capture_get_info(capture, info);
    capture_close(capture);
    ck_assert_int_eq(info->damaged > 0 || info->truncated, info->damage[0] != '\0');
}

static void expect_refused(const char *path, const char *word)
{
    struct error error = {""};

    ck_assert_ptr_null(capture_open_file(path, NULL, &error));
    ck_assert_msg(strstr(error.text, path) != NULL, "no path in: %s", error.text);
    ck_assert_msg(strstr(error.text, word) != NULL, "no '%s' in: %s", word, error.text);
}

/* ---- pcap ---------------------------------------------------------------------------------- */

START_TEST(test_classic_variants)
{
    static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34};
    struct bytes b = {.big = _i % 2};
    uint32_t magic = magics[_i / 2];
    int64_t unit = magic == 0xa1b23c4d ? 1 : 1000;
    struct capture_info info;

    add_header(&b, magic, 4, 100, 0x50000000 | 113); /* with a check sequence length on top */
    for (unsigned i = 0; i < 3; i++) {
        add_record(&b, 1700000000 + i, 999999, 0, 60 + i, 0);
        if (magic == 0xa1b2cd34)
            add_fill(&b, 0xee, 8);
        put_number(&b, b.len - (magic == 0xa1b2cd34 ? 16 : 8), 50 + i);
        add_fill(&b, (uint8_t)i, 50 + i);
    }
    struct capture *capture = open_saved(&b, NULL);
    for (unsigned i = 0; i < 3; i++)
        expect(capture, 50 + i, 60 + i, (1700000000 + (int64_t)i) * 1000000000 + 999999 * unit,
               (uint8_t)i);
    expect_end(capture, &info);
    ck_assert_int_eq(info.link_type, 113);
    ck_assert_int_eq(info.snaplen, 100);
    ck_assert_uint_eq(info.packets, 3);
    ck_assert_uint_eq(info.bytes, 153);
    ck_assert_uint_eq(info.size, b.len);
    ck_assert_uint_eq(info.position, b.len);
    ck_assert_int_eq(info.truncated, 0);
    ck_assert_uint_eq(info.damaged, 0);
    free(b.data);
}
END_TEST

/* Until 2.3 the two lengths stood the other way round. */
START_TEST(test_classic_old_versions)
{
    for (unsigned minor = 2; minor <= 4; minor++) {
        struct bytes b = {.big = 0};
        struct capture_info info;

        add_header(&b, 0xa1b2c3d4, minor, 65535, 1);
        add_record(&b, 1, 0, 0, 0, 0);
        put_number(&b, b.len - 8, minor < 4 ? 70 : 60);
        put_number(&b, b.len - 4, minor < 4 ? 60 : 70);
        add_fill(&b, 7, 60);
        struct capture *capture = open_saved(&b, NULL);
        expect(capture, 60, 70, 1000000000, 7);
        expect_end(capture, &info);
        free(b.data);
    }
}
END_TEST

START_TEST(test_classic_extremes)
{
    struct bytes b = {.big = 0};
    struct capture_info info;
    struct packet packet;

    add_header(&b, 0xa1b2c3d4, 4, 0, 12); /* 12: what some systems write for raw IP */
    add_record(&b, UINT32_MAX, UINT32_MAX, 10, 4, 1);
    add_record(&b, 0, 0, 0, 0, 0);
    struct capture *capture = open_saved(&b, NULL);
    capture_number_from(capture, 100);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_int_eq(packet.time_ns, (int64_t)UINT32_MAX * 1000000000 + (int64_t)UINT32_MAX * 1000);
    ck_assert_uint_eq(packet.len, 10);
    ck_assert_uint_eq(packet.wire_len, 10); /* never less than what is there */
    ck_assert_int_eq(packet.link_type, 101);
    ck_assert_uint_eq(packet.number, 100);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_uint_eq(packet.number, 101);
    expect_end(capture, &info);
    ck_assert_int_eq(info.link_type, 101);
    free(b.data);
}
END_TEST

/* Records lie across every border of the buffer; some are larger than it was. */
START_TEST(test_classic_large)
{
    struct bytes b = {.big = 0};
    struct capture_info info;

    add_header(&b, 0xa1b2c3d4, 4, 4 << 20, 1);
    for (unsigned i = 0; i < 60; i++)
        add_record(&b, i, 0, 49999 + i, 49999 + i, (uint8_t)i);
    add_record(&b, 60, 0, 3 << 20, 3 << 20, 60);
    add_record(&b, 61, 0, 77, 77, 61);
    size_t at = b.len;
    add_record(&b, 62, 0, 60, 60, 62);
    put_number(&b, at + 8, UINT32_MAX);
    struct capture *capture = open_saved(&b, NULL);
    for (unsigned i = 0; i < 60; i++)
        expect(capture, 49999 + i, 49999 + i, (int64_t)i * 1000000000, (uint8_t)i);
    expect(capture, 3 << 20, 3 << 20, 60000000000, 60);
    expect(capture, 77, 77, 61000000000, 61);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 1);
    char word[32];
    (void)snprintf(word, sizeof word, "at byte %zu", at);
    ck_assert_ptr_nonnull(strstr(info.damage, word));
    free(b.data);
}
END_TEST

START_TEST(test_classic_absurd_length)
{
    struct bytes b = {.big = 0};
    struct capture_info info;

    add_header(&b, 0xa1b2c3d4, 4, 65535, 1);
    add_record(&b, 1, 0, 262144, 262144, 1); /* above the snaplen, but every tool takes it */
    size_t at = b.len;
    add_record(&b, 2, 0, 60, 60, 2);
    add_record(&b, 3, 0, 60, 60, 3);
    put_number(&b, at + 8, 262145);
    struct capture *capture = open_saved(&b, NULL);
    expect(capture, 262144, 262144, 1000000000, 1);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 1);
    ck_assert_int_eq(info.truncated, 0);
    ck_assert_ptr_nonnull(strstr(info.damage, "at byte 262184"));
    ck_assert_ptr_nonnull(strstr(info.damage, "262145"));
    free(b.data);
}
END_TEST

/* A length that the file does not keep costs no memory. */
START_TEST(test_lying_length_costs_nothing)
{
    struct bytes b = {.big = 0};
    struct capture_info info;
    struct rusage before, after;

    add_header(&b, 0xa1b2c3d4, 4, 120 << 20, 1);
    add_record(&b, 1, 0, 60, 60, 1);
    add_record(&b, 2, 0, 60, 60, 2);
    put_number(&b, b.len - 60 - 8, 120 << 20);
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
    struct capture *capture = open_saved(&b, NULL);
    expect(capture, 60, 60, 1000000000, 1);
    expect_end(capture, &info);
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
    ck_assert_int_eq(info.truncated, 1);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 16 << 10);
    free(b.data);
}
END_TEST

/* ---- pcapng -------------------------------------------------------------------------------- */

START_TEST(test_blocks_interfaces_and_times)
{
    struct bytes b = {.big = _i};
    struct capture_info info;
    struct packet packet;

    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);           /* microseconds */
    add_interface(&b, 101, 64, 9, 0);        /* nanoseconds */
    add_interface(&b, 113, 0, 3, 100);       /* milliseconds from 100 s on */
    add_interface(&b, 1, 0, 0x80 | 10, 0);   /* 1/1024 s */
    add_interface(&b, 1, 0, 0x80 | 40, -1);  /* 2^-40 s, a second back */
    add_interface(&b, 1, 0, 12, 0);          /* picoseconds */
    add_enhanced(&b, 0, 1700000000123456, 60, 61, 1);
    add_enhanced(&b, 1, 1700000000123456789, 61, 80, 2);
    add_enhanced(&b, 2, 5123, 62, 62, 3);
    add_enhanced(&b, 3, 5 * 1024 + 512, 63, 63, 4);
    add_enhanced(&b, 4, (UINT64_C(7) << 40) + (UINT64_C(3) << 38), 64, 64, 5);
    add_enhanced(&b, 5, 1234567890123, 65, 65, 6);
    struct capture *capture = open_saved(&b, NULL);
    capture_get_info(capture, &info);
    ck_assert_int_eq(info.link_type, 1); /* known before the first packet */
    expect(capture, 60, 61, 1700000000123456000, 1);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_int_eq(packet.time_ns, 1700000000123456789);
    ck_assert_int_eq(packet.link_type, 101);
    ck_assert_uint_eq(packet.interface, 1);
    ck_assert_uint_eq(packet.number, 2);
    expect(capture, 62, 62, 105123000000, 3);
    expect(capture, 63, 63, 5500000000, 4);
    expect(capture, 64, 64, 6750000000, 5);
    expect(capture, 65, 65, 1234567890, 6);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 0);
    free(b.data);
}
END_TEST

START_TEST(test_blocks_hostile_times)
{
    static const struct {
        unsigned resolution;
        int64_t offset;
        uint64_t time;
        int64_t expected;
    } cases[] = {
        {6, 0, UINT64_MAX, INT64_MAX},
        {6, 0, INT64_MAX / 1000, INT64_MAX / 1000 * 1000},
        {6, 0, INT64_MAX / 1000 + 1, INT64_MAX},
        {9, 0, UINT64_MAX, INT64_MAX},
        {1, 0, UINT64_MAX, INT64_MAX},
        {127, 0, UINT64_MAX, 0},
        {0x80, 0, UINT64_MAX, INT64_MAX},
        {0xff, 0, UINT64_MAX, 0},
        {0x80 | 63, 0, UINT64_MAX, 1999999999},
        {0x80 | 64, 0, UINT64_MAX, 999999999},
        {0x80 | 32, 0, UINT64_C(0x1ffffffff), 1999999999},
        {9, INT64_MAX, 1, INT64_MAX},
        {9, INT64_MIN, 0, INT64_MIN},
        {9, INT64_MIN, 5, INT64_MIN + 5},
        {9, -1, 5, -999999995},
    };
    struct bytes b = {.big = 0};
    struct capture_info info;

    add_section(&b, 1);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        add_interface(&b, 1, 0, cases[i].resolution, cases[i].offset);
        add_enhanced(&b, i, cases[i].time, 20, 20, (uint8_t)i);
    }
    struct capture *capture = open_saved(&b, NULL);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect(capture, 20, 20, cases[i].expected, (uint8_t)i);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 0);
    free(b.data);
}
END_TEST

START_TEST(test_blocks_simple_and_obsolete)
{
    struct bytes b = {.big = _i};
    struct capture_info info;

    add_section(&b, 1);
    add_interface(&b, 1, 50, 0, 0);
    size_t at = block_begin(&b, 2);
    add_number(&b, 0, 2);
    add_number(&b, 9, 2);
    add_number(&b, 0, 4);
    add_number(&b, 77000000, 4);
    add_number(&b, 33, 4);
    add_number(&b, 99, 4);
    add_fill(&b, 1, 33);
    block_end(&b, at);
    at = block_begin(&b, 3);
    add_number(&b, 70, 4);
    add_fill(&b, 2, 50); /* what the snaplen left */
    block_end(&b, at);
    at = block_begin(&b, 3);
    add_number(&b, 41, 4);
    add_fill(&b, 3, 41);
    block_end(&b, at);
    at = block_begin(&b, 3);
    add_number(&b, 49, 4); /* more than the block holds */
    add_fill(&b, 4, 44);
    block_end(&b, at);
    struct capture *capture = open_saved(&b, NULL);
    expect(capture, 33, 99, 77000000000, 1);
    expect(capture, 50, 70, 77000000000, 2);
    expect(capture, 41, 41, 77000000000, 3);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 1);
    free(b.data);
}
END_TEST

START_TEST(test_blocks_sections)
{
    struct bytes b = {.big = 0};
    struct capture_info info;
    struct packet packet;

    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);
    add_interface(&b, 113, 0, 0, 0);
    add_enhanced(&b, 1, 1000000, 20, 20, 1);
    b.big = 1;
    add_section(&b, 1);
    add_enhanced(&b, 0, 1, 20, 20, 2); /* the interfaces of before are gone */
    add_interface(&b, 101, 0, 0, 0);
    add_enhanced(&b, 1, 1, 20, 20, 3);
    add_enhanced(&b, 0, 2000000, 20, 20, 4);
    b.big = 0;
    add_section(&b, 9); /* nobody knows what such a section holds */
    add_interface(&b, 1, 0, 0, 0);
    add_enhanced(&b, 0, 1, 20, 20, 5);
    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);
    add_enhanced(&b, 0, 3000000, 20, 20, 6);
    struct capture *capture = open_saved(&b, NULL);
    expect(capture, 20, 20, 1000000000, 1);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_uint_eq(packet.data[0], 4);
    ck_assert_int_eq(packet.link_type, 101);
    ck_assert_uint_eq(packet.interface, 0);
    expect(capture, 20, 20, 3000000000, 6);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 3);
    ck_assert_int_eq(info.link_type, 1);
    free(b.data);
}
END_TEST

START_TEST(test_blocks_statistics)
{
    struct bytes b = {.big = _i};
    struct capture_info info;

    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);
    add_interface(&b, 1, 0, 0, 0);
    add_statistics(&b, 0, 5, 100);
    add_statistics(&b, 1, 7, 1000);
    add_statistics(&b, 0, 6, 200); /* counts from the start: replaces the first */
    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);
    add_statistics(&b, 0, 20, 3000);
    struct capture *capture = open_saved(&b, NULL);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.interface_dropped, 6 + 7 + 20);
    ck_assert_uint_eq(info.kernel_dropped, 200 + 1000 + 3000);
    ck_assert_uint_eq(info.damaged, 0);
    free(b.data);
}
END_TEST

static void add_secrets(struct bytes *b, uint32_t type, const char *text, uint32_t claimed)
{
    size_t at = block_begin(b, 10);
    add_number(b, type, 4);
    add_number(b, claimed, 4);
    add(b, (const uint8_t *)text, strlen(text));
    block_end(b, at);
}

static void take_secrets(void *arg, const char *text, size_t len)
{
    char *all = arg;
    ck_assert_uint_lt(strlen(all) + len + 1, 200);
    strncat(all, text, len);
}

/* Key logs are handed on where they stand; another kind of secrets is passed over. */
START_TEST(test_blocks_secrets)
{
    struct bytes b = {.big = _i};
    struct capture_info info;
    char all[200] = "";

    add_section(&b, 1);
    add_secrets(&b, 0x544c534b, "first", 5);
    add_secrets(&b, 0x57474b4c, "other", 5);
    add_interface(&b, 1, 0, 0, 0);
    add_enhanced(&b, 0, 0, 60, 60, 1);
    add_secrets(&b, 0x544c534b, "second\nthird\n", 13);
    add_secrets(&b, 0x544c534b, "too long", 100);
    struct capture *capture = open_saved(&b, NULL);
    capture_on_secrets(capture, take_secrets, all);
    ck_assert_str_eq(all, "first\n");
    expect(capture, 60, 60, 0, 1);
    ck_assert_str_eq(all, "first\n");
    expect_end(capture, &info);
    ck_assert_str_eq(all, "first\nsecond\nthird\n");
    ck_assert_uint_eq(info.damaged, 1);
    free(b.data);
}
END_TEST

START_TEST(test_blocks_passed_over)
{
    static const size_t sizes[] = {0, 5, 300 << 10, 3 << 20};
    struct bytes b = {.big = 0};
    struct capture_info info;
    size_t at;

    add_section(&b, 1);
    for (unsigned i = 0; i < 4; i++) {
        at = block_begin(&b, i % 2 ? 4 : 0x80001234); /* names, somebody's own */
        add_fill(&b, 0xab, sizes[i]);
        block_end(&b, at);
        if (i == 0)
            add_interface(&b, 1, 0, 0, 0);
        add_enhanced(&b, 0, i, 60, 60, (uint8_t)i);
    }
    struct capture *capture = open_saved(&b, NULL);
    for (unsigned i = 0; i < 4; i++)
        expect(capture, 60, 60, i * 1000, (uint8_t)i);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 0);

    /* The large one has two lengths, or the file ends in it. */
    put_number(&b, at + ((3 << 20) + 12) - 4, 12);
    capture = open_saved(&b, NULL);
    for (unsigned i = 0; i < 4; i++)
        expect(capture, 60, 60, i * 1000, (uint8_t)i);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 1);
    b.len = at + (2 << 20);
    capture = open_saved(&b, NULL);
    for (unsigned i = 0; i < 3; i++)
        expect(capture, 60, 60, i * 1000, (uint8_t)i);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 0);
    ck_assert_int_eq(info.truncated, 1);
    free(b.data);
}
END_TEST

/* However long it is, it is not kept. */
START_TEST(test_blocks_passed_over_in_little_memory)
{
    struct bytes b = {.big = 0}, end = {.big = 0};
    uint32_t len = 64 << 20;
    struct capture_info info;
    struct rusage before, after;

    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);
    size_t at = block_begin(&b, 4);
    put_number(&b, at + 4, len);
    save(&b, b.len);
    add_number(&end, len, 4);
    add_enhanced(&end, 0, 1, 60, 60, 1);
    int fd = open(file_path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, end.data, end.len, (off_t)(at + len - 4)), (ssize_t)end.len);
    (void)close(fd);
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
    struct capture *capture = capture_open_file(file_path, NULL, NULL);
    ck_assert_ptr_nonnull(capture);
    expect(capture, 60, 60, 1000, 1);
    expect_end(capture, &info);
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
    ck_assert_uint_eq(info.damaged + (unsigned)info.truncated, 0);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 16 << 10);
    free(b.data);
    free(end.data);
}
END_TEST

START_TEST(test_blocks_damage_is_skipped)
{
    struct bytes b = {.big = 0};
    struct capture_info info;
    struct packet packet;
    size_t at;

    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);
    at = b.len;
    add_interface(&b, 113, 0, 0, 0);
    put_number(&b, b.len - 4, 8); /* its second length is wrong: what it says is not believed */
    add_interface(&b, 101, 0, 0, 0);
    add_enhanced(&b, 0, 1, 20, 20, 1);
    add_enhanced(&b, 1, 2, 20, 20, 2); /* of the damaged interface */
    add_enhanced(&b, 3, 3, 20, 20, 3); /* of no interface */
    add_enhanced(&b, 0, 4, 20, 20, 4);
    put_number(&b, b.len - 4, 99);
    size_t five = b.len;
    add_enhanced(&b, 0, 5, 20, 20, 5);
    put_number(&b, five + 20, 21 + 32); /* longer than its block */
    add_enhanced(&b, 2, 6, 20, 20, 6);
    struct capture *capture = open_saved(&b, NULL);
    expect(capture, 20, 20, 1000, 1);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_uint_eq(packet.data[0], 6);
    ck_assert_int_eq(packet.link_type, 101); /* the numbers of the interfaces did not shift */
    ck_assert_uint_eq(packet.number, 2);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 5);
    ck_assert_int_eq(info.truncated, 0);
    char word[32];
    (void)snprintf(word, sizeof word, "at byte %zu", at);
    ck_assert_ptr_nonnull(strstr(info.damage, word));
    free(b.data);
}
END_TEST

START_TEST(test_blocks_impossible_length)
{
    static const uint32_t lengths[] = {0, 4, 8, 11, 13, 0x10000004, 0x7fffffff, UINT32_MAX};

    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct bytes b = {.big = 0};
        struct capture_info info;

        add_section(&b, 1);
        add_interface(&b, 1, 0, 0, 0);
        add_enhanced(&b, 0, 1, 20, 20, 1);
        size_t at = b.len;
        add_enhanced(&b, 0, 2, 20, 20, 2);
        put_number(&b, at + 4, lengths[i]);
        struct capture *capture = open_saved(&b, NULL);
        expect(capture, 20, 20, 1000, 1);
        expect_end(capture, &info);
        ck_assert_uint_eq(info.damaged, 1);
        ck_assert_int_eq(info.truncated, 0);
        free(b.data);
    }
}
END_TEST

/* A packet block too long for its interface is passed over, not read into memory. */
START_TEST(test_blocks_packet_too_long)
{
    struct bytes b = {.big = 0};
    struct capture_info info;

    add_section(&b, 1);
    add_interface(&b, 1, 1000, 0, 0);
    add_enhanced(&b, 0, 1, 262144, 262144, 1);
    add_enhanced(&b, 0, 2, 262145, 262145, 2);
    add_enhanced(&b, 0, 3, 2 << 20, 2 << 20, 3);
    add_enhanced(&b, 0, 4, 20, 20, 4);
    struct capture *capture = open_saved(&b, NULL);
    expect(capture, 262144, 262144, 1000, 1);
    expect(capture, 20, 20, 4000, 4);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 2);
    free(b.data);
}
END_TEST

/* ---- cut anywhere -------------------------------------------------------------------------- */

/* ends[i] is where the i-th packet is complete; a cut at `clean` offsets is none. */
static void check_cuts(const struct bytes *b, size_t header, const size_t *ends, unsigned count,
                       const size_t *clean, unsigned clean_count)
{
    for (size_t len = 0; len < b->len; len++) {
        struct error error = {""};
        struct packet packet;
        struct capture_info info;
        unsigned whole = 0, expected = 0;
        int cut = 1, got;

        save(b, len);
        struct capture *capture = capture_open_file(file_path, NULL, &error);
        ck_assert_int_eq(capture != NULL, len >= header);
        if (capture == NULL) {
            ck_assert_ptr_nonnull(strstr(error.text, file_path));
            continue;
        }
        while ((got = capture_next(capture, &packet, &error)) == 1)
            ck_assert_uint_eq(packet.data[packet.len - 1], ++whole);
        ck_assert_int_eq(got, 0);
        capture_get_info(capture, &info);
        capture_close(capture);
        for (unsigned i = 0; i < count; i++)
            expected += ends[i] <= len;
        for (unsigned i = 0; i < clean_count; i++)
            cut = cut && clean[i] != len;
        ck_assert_uint_eq(whole, expected);
        ck_assert_int_eq(info.truncated, cut);
        ck_assert_uint_eq(info.damaged, 0);
        ck_assert_int_eq(info.damage[0] != '\0', cut);
    }
}

START_TEST(test_cut_anywhere)
{
    struct bytes b = {.big = _i};
    size_t ends[3], clean[8];
    unsigned n = 0;

    add_header(&b, 0xa1b2c3d4, 4, 65535, 1);
    clean[n++] = b.len;
    for (unsigned i = 0; i < 3; i++) {
        add_record(&b, i, 0, 30, 30, (uint8_t)(i + 1));
        clean[n++] = ends[i] = b.len;
    }
    check_cuts(&b, 24, ends, 3, clean, n);

    b.len = n = 0;
    add_section(&b, 1);
    clean[n++] = b.len;
    add_interface(&b, 1, 0, 0, 0);
    clean[n++] = b.len;
    for (unsigned i = 0; i < 3; i++) {
        add_enhanced(&b, 0, i, 30, 30, (uint8_t)(i + 1));
        clean[n++] = ends[i] = b.len;
    }
    check_cuts(&b, 28, ends, 3, clean, n);
    free(b.data);
}
END_TEST

/* ---- gzip ---------------------------------------------------------------------------------- */

static void add_member(struct bytes *to, const uint8_t *data, size_t len)
{
    z_stream stream = {.next_in = NULL};
    uint8_t packed[8192];

    ck_assert_int_eq(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)len;
    int code;
    do {
        stream.next_out = packed;
        stream.avail_out = sizeof packed;
        code = deflate(&stream, Z_FINISH);
        add(to, packed, sizeof packed - stream.avail_out);
    } while (code == Z_OK);
    ck_assert_int_eq(code, Z_STREAM_END);
    (void)deflateEnd(&stream);
}

static void make_plain(struct bytes *b)
{
    add_header(b, 0xa1b2c3d4, 4, 65535, 1);
    for (unsigned i = 0; i < 100; i++)
        add_record(b, i, 0, 1000 + i, 1000 + i, (uint8_t)i);
}

static void expect_plain(struct capture *capture, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        expect(capture, 1000 + i, 1000 + i, (int64_t)i * 1000000000, (uint8_t)i);
}

START_TEST(test_gzip)
{
    struct bytes plain = {.big = 0}, packed = {.big = 0};
    struct capture_info info;

    make_plain(&plain);
    add_member(&packed, plain.data, plain.len);
    struct capture *capture = open_saved(&packed, NULL);
    expect_plain(capture, 100);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.size, packed.len);
    ck_assert_uint_eq(info.position, packed.len);
    ck_assert_uint_eq(info.damaged + (unsigned)info.truncated, 0);

    /* Several members, an empty one among them, and padding. */
    packed.len = 0;
    add_member(&packed, plain.data, 10);
    add_member(&packed, plain.data, 0);
    add_fill(&packed, 0, 9);
    add_member(&packed, plain.data + 10, 40000);
    add_member(&packed, plain.data + 40010, plain.len - 40010);
    add_fill(&packed, 0, 512);
    capture = open_saved(&packed, NULL);
    expect_plain(capture, 100);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged + (unsigned)info.truncated, 0);

    add(&packed, "rubbish", 7);
    capture = open_saved(&packed, NULL);
    expect_plain(capture, 100);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 1);
    ck_assert_ptr_nonnull(strstr(info.damage, "gzip"));
    free(plain.data);
    free(packed.data);
}
END_TEST

START_TEST(test_gzip_damaged)
{
    struct bytes plain = {.big = 0}, packed = {.big = 0};
    struct capture_info info;

    make_plain(&plain);
    add_member(&packed, plain.data, 24 + 5 * 16 + 5010); /* ends exactly behind a record */
    packed.len -= 3;
    struct capture *capture = open_saved(&packed, NULL);
    expect_plain(capture, 5);
    expect_end(capture, &info);
    ck_assert_int_eq(info.truncated, 1);
    ck_assert_ptr_nonnull(strstr(info.damage, "gzip data are cut"));

    packed.len += 3;
    packed.data[packed.len - 6] ^= 1; /* the checksum */
    capture = open_saved(&packed, NULL);
    expect_plain(capture, 5);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged, 1);
    ck_assert_ptr_nonnull(strstr(info.damage, "gzip data are damaged"));

    packed.len = 12;
    save(&packed, packed.len);
    expect_refused(file_path, "cut");
    packed.data[3] = 0xff; /* flags that do not exist */
    save(&packed, packed.len);
    expect_refused(file_path, "damaged");
    free(plain.data);
    free(packed.data);
}
END_TEST

/* ---- what is no capture -------------------------------------------------------------------- */

START_TEST(test_refused)
{
    struct bytes b = {.big = 0};

    expect_refused("/nonexistent/file.pcap", "no such file");
    expect_refused("/tmp", "directory");
    save(&b, 0);
    expect_refused(file_path, "empty");
    add(&b, "hello world", 11);
    save(&b, 11);
    expect_refused(file_path, "68 65 6c 6c");
    save(&b, 1);
    expect_refused(file_path, "68");
    b.len = 0;
    add(&b, "\x28\xb5\x2f\xfd....", 8);
    save(&b, 8);
    expect_refused(file_path, "zstd -d");
    b.len = 0;
    add_header(&b, 0xa1b2c3d4, 4, 0, 1);
    put_number(&b, 4, 7);
    save(&b, b.len);
    expect_refused(file_path, "version 7.0");
    b.len = 0;
    add_section(&b, 2);
    save(&b, b.len);
    expect_refused(file_path, "version 2.0");
    put_number(&b, 8, 0x12345678);
    save(&b, b.len);
    expect_refused(file_path, "damaged");
    if (geteuid() != 0) {
        ck_assert_int_eq(chmod(file_path, 0), 0);
        expect_refused(file_path, "permission");
    }
    free(b.data);
}
END_TEST

/* ---- pipes --------------------------------------------------------------------------------- */

static struct capture *interrupted;

static void on_alarm(int signal)
{
    (void)signal;
    capture_interrupt(interrupted);
}

/* Packets come as they arrive, a signal ends the wait, and nothing is lost by it. */
START_TEST(test_pipe)
{
    struct bytes b = {.big = 0};
    struct capture_info info;
    struct packet packet;
    struct error error = {""};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, before;
    int ends[2], saved = dup(STDIN_FILENO);

    add_header(&b, 0xa1b2c3d4, 4, 65535, 1);
    add_record(&b, 1, 0, 60, 60, 1);
    add_record(&b, 2, 0, 60, 60, 2);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_ge(dup2(ends[0], STDIN_FILENO), 0);
    (void)close(ends[0]);
    size_t first = 24 + 76 + 30; /* with a half of the second packet */
    ck_assert_int_eq(write(ends[1], b.data, first), (ssize_t)first);
    interrupted = capture_open_file("-", NULL, &error);
    ck_assert_msg(interrupted != NULL, "%s", error.text);
    expect(interrupted, 60, 60, 1000000000, 1);

    ck_assert_int_eq(sigaction(SIGALRM, &action, &before), 0);
    (void)ualarm(20000, 0);
    ck_assert_int_eq(capture_next(interrupted, &packet, &error), 2);
    capture_interrupt(interrupted); /* before the wait: the next call still sees it, once */
    ck_assert_int_eq(capture_next(interrupted, &packet, &error), 2);
    ck_assert_int_eq(write(ends[1], b.data + first, b.len - first), (ssize_t)(b.len - first));
    expect(interrupted, 60, 60, 2000000000, 2);
    (void)close(ends[1]);
    expect_end(interrupted, &info);
    ck_assert_int_eq(sigaction(SIGALRM, &before, NULL), 0);
    ck_assert_uint_eq(info.size, 0);
    ck_assert_int_eq(info.truncated, 0);
    if (saved >= 0) {
        (void)dup2(saved, STDIN_FILENO);
        (void)close(saved);
    }
    free(b.data);
}
END_TEST

static void *interrupt_later(void *arg)
{
    (void)usleep(20000);
    capture_interrupt(arg);
    return NULL;
}

/* A file is interrupted between two packets; a wait also by another thread, without a signal. */
START_TEST(test_interrupt)
{
    struct bytes b = {.big = 0};
    struct capture_info info;
    struct packet packet;
    pthread_t thread;
    char path[64];
    int ends[2];

    add_header(&b, 0xa1b2c3d4, 4, 65535, 1);
    add_record(&b, 1, 0, 60, 60, 1);
    struct capture *capture = open_saved(&b, NULL);
    capture_interrupt(capture);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 2);
    expect(capture, 60, 60, 1000000000, 1);
    expect_end(capture, &info);

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], b.data, b.len), (ssize_t)b.len);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    capture = capture_open_file(path, NULL, NULL);
    ck_assert_ptr_nonnull(capture);
    expect(capture, 60, 60, 1000000000, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_later, capture), 0);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 2);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    (void)close(ends[1]);
    expect_end(capture, &info);
    (void)close(ends[0]);
    free(b.data);
}
END_TEST

/* The same within a block that is passed over. */
START_TEST(test_pipe_interrupted_in_a_long_block)
{
    struct bytes b = {.big = 0};
    struct capture_info info;
    struct packet packet;
    char path[64];
    int ends[2], got;

    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);
    size_t at = block_begin(&b, 4);
    add_fill(&b, 9, 300 << 10);
    block_end(&b, at);
    add_enhanced(&b, 0, 1, 60, 60, 1);
    ck_assert_int_eq(pipe(ends), 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    size_t done = 1000;
    ck_assert_int_eq(write(ends[1], b.data, done), (ssize_t)done);
    struct capture *capture = capture_open_file(path, NULL, NULL);
    ck_assert_ptr_nonnull(capture);
    for (;;) {
        capture_interrupt(capture);
        ck_assert_int_eq(capture_next(capture, &packet, NULL), 2);
        if (done == b.len)
            break;
        size_t now = b.len - done < 50000 ? b.len - done : 50000;
        ck_assert_int_eq(write(ends[1], b.data + done, now), (ssize_t)now);
        done += now;
        if (done == b.len)
            break;
        /* Reads all there is, then must wait: woken up by a signal. */
        struct sigaction action = {.sa_handler = on_alarm}, before;
        interrupted = capture;
        ck_assert_int_eq(sigaction(SIGALRM, &action, &before), 0);
        (void)ualarm(3000, 0);
        got = capture_next(capture, &packet, NULL);
        ck_assert_int_eq(sigaction(SIGALRM, &before, NULL), 0);
        ck_assert_int_eq(got, 2);
    }
    (void)close(ends[1]);
    expect(capture, 60, 60, 1000, 1);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.damaged + (unsigned)info.truncated, 0);
    (void)close(ends[0]);
    free(b.data);
}
END_TEST

/* ---- filters ------------------------------------------------------------------------------- */

START_TEST(test_filter_by_link_type)
{
    struct bytes b = {.big = 0};
    struct capture_info info;
    struct packet packet;

    add_section(&b, 1);
    add_interface(&b, 1, 0, 0, 0);
    add_interface(&b, 101, 0, 0, 0);
    add_interface(&b, 60000, 0, 0, 0); /* no such link type: a filter says nothing about it */
    add_enhanced_tcp(&b, 0, 1, 80);
    add_enhanced_tcp(&b, 1, 0, 443);
    add_enhanced_tcp(&b, 0, 1, 443);
    add_enhanced_tcp(&b, 2, 0, 80);
    add_enhanced_tcp(&b, 1, 0, 80);
    struct capture *capture = open_saved(&b, "tcp dst port 80");
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_uint_eq(packet.number, 1);
    ck_assert_int_eq(packet.link_type, 1);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_uint_eq(packet.number, 5); /* counted before the filter */
    ck_assert_int_eq(packet.link_type, 101);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.packets, 5);
    ck_assert_uint_eq(info.filtered, 3);

    /* "ether" is right for one of them only. */
    capture = open_saved(&b, "ether host 02:02:02:02:02:02");
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    ck_assert_uint_eq(packet.number, 3);
    expect_end(capture, &info);
    ck_assert_uint_eq(info.filtered, 3);

    capture = open_saved(&b, ""); /* no filter */
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(capture_next(capture, &packet, NULL), 1);
    expect_end(capture, &info);
    free(b.data);
}
END_TEST

START_TEST(test_filter_errors)
{
    struct bytes b = {.big = 0};
    struct error error = {""};

    ck_assert_int_eq(capture_check_filter("tcp port 80", &error), 0);
    ck_assert_int_eq(capture_check_filter("tcp prot 80", &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "tcp prot 80"));

    add_header(&b, 0xa1b2c3d4, 4, 65535, 1);
    save(&b, b.len);
    error.text[0] = '\0';
    ck_assert_ptr_null(capture_open_file(file_path, "tcp prot 80", &error));
    ck_assert_ptr_nonnull(strstr(error.text, "tcp prot 80"));
    ck_assert_ptr_null(capture_open_file(file_path, "type mgt", &error));
    put_number(&b, 20, 105); /* 802.11, where that means something */
    error.text[0] = '\0';
    capture_close(open_saved(&b, "type mgt"));
    free(b.data);
}
END_TEST

START_TEST(test_link_type_names)
{
    char buffer[32];

    ck_assert_str_eq(capture_link_type_name(1, buffer), "EN10MB (Ethernet)");
    ck_assert_str_eq(capture_link_type_name(101, buffer), "RAW (Raw IP)");
    ck_assert_str_eq(capture_link_type_name(60001, buffer), "LINKTYPE 60001");
    ck_assert_str_eq(capture_link_type_name(127, buffer), "IEEE802_11_RADIO");
}
END_TEST

/* ---- live ---------------------------------------------------------------------------------- */

START_TEST(test_live_errors)
{
    struct capture_live_options options = {.interface = "nosuchdevice0"};
    struct error error = {""};

    ck_assert_ptr_null(capture_open_live(&options, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "nosuchdevice0"));
    ck_assert(strstr(error.text, "-D") != NULL || strstr(error.text, "setcap") != NULL);
}
END_TEST

static void send_datagram(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    ck_assert_int_ge(fd, 0);
    (void)sendto(fd, "switchtap", 9, 0, (const struct sockaddr *)&to, sizeof to);
    (void)close(fd);
}

/* Where the rights suffice, one datagram over loopback; otherwise the advice. */
START_TEST(test_live_loopback)
{
    struct capture_live_options options = {
        .interface = "lo", .filter = "udp dst port 50999", .buffer_kib = 1024};
    struct error error = {""};
    struct packet packet;
    struct capture_info info;

    struct capture *capture = capture_open_live(&options, &error);
    if (capture == NULL) {
        ck_assert_msg(strstr(error.text, "setcap") != NULL || strstr(error.text, "down") != NULL ||
                          strstr(error.text, "-D") != NULL, "%s", error.text);
        return;
    }
    capture_interrupt(capture);
    ck_assert_int_eq(capture_next(capture, &packet, &error), 2);
    send_datagram(50998);
    send_datagram(50999);
    int got = 2;
    for (int i = 0; got == 2 && i < 10; i++)
        got = capture_next(capture, &packet, &error);
    ck_assert_msg(got == 1, "%s", error.text);
    ck_assert_uint_eq(packet.number, 1);
    ck_assert_int_eq(packet.link_type, 1);
    ck_assert_uint_eq(packet.len, 14 + 20 + 8 + 9);
    ck_assert_mem_eq(packet.data + 42, "switchtap", 9);
    ck_assert_int_gt(packet.time_ns, INT64_C(1500000000) * 1000000000);
    ck_assert_int_eq(capture_next(capture, &packet, &error), 2);
    capture_get_info(capture, &info);
    ck_assert_uint_eq(info.packets, 1);
    ck_assert_uint_eq(info.kernel_dropped, 0);
    ck_assert_int_eq(info.snaplen, 262144);
    capture_close(capture);
}
END_TEST

static void count_interface(void *arg, const char *name, const char *description, const char *state)
{
    int *count = arg;

    ck_assert(name[0] != '\0' && description != NULL);
    ck_assert(strncmp(state, "up", 2) == 0 || strncmp(state, "down", 4) == 0);
    ++*count;
}

START_TEST(test_list_interfaces)
{
    struct error error = {""};
    int count = 0;

    ck_assert_msg(capture_list_interfaces(count_interface, &count, &error) == 0, "%s", error.text);
    ck_assert_int_gt(count, 0);
}
END_TEST

Suite *capture_suite(void)
{
    Suite *suite = suite_create("capture");
    TCase *files = tcase_create("files");
    TCase *live = tcase_create("live");

    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_loop_test(files, test_classic_variants, 0, 6);
    tcase_add_test(files, test_classic_old_versions);
    tcase_add_test(files, test_classic_extremes);
    tcase_add_test(files, test_classic_large);
    tcase_add_test(files, test_classic_absurd_length);
    tcase_add_test(files, test_lying_length_costs_nothing);
    tcase_add_loop_test(files, test_blocks_interfaces_and_times, 0, 2);
    tcase_add_test(files, test_blocks_hostile_times);
    tcase_add_loop_test(files, test_blocks_simple_and_obsolete, 0, 2);
    tcase_add_test(files, test_blocks_sections);
    tcase_add_loop_test(files, test_blocks_statistics, 0, 2);
    tcase_add_loop_test(files, test_blocks_secrets, 0, 2);
    tcase_add_test(files, test_blocks_passed_over);
    tcase_add_test(files, test_blocks_passed_over_in_little_memory);
    tcase_add_test(files, test_blocks_damage_is_skipped);
    tcase_add_test(files, test_blocks_impossible_length);
    tcase_add_test(files, test_blocks_packet_too_long);
    tcase_add_loop_test(files, test_cut_anywhere, 0, 2);
    tcase_add_test(files, test_gzip);
    tcase_add_test(files, test_gzip_damaged);
    tcase_add_test(files, test_refused);
    tcase_add_test(files, test_pipe);
    tcase_add_test(files, test_interrupt);
    tcase_add_test(files, test_pipe_interrupted_in_a_long_block);
    tcase_add_test(files, test_filter_by_link_type);
    tcase_add_test(files, test_filter_errors);
    suite_add_tcase(suite, files);
    tcase_add_test(live, test_link_type_names);
    tcase_add_test(live, test_live_errors);
    tcase_add_test(live, test_live_loopback);
    tcase_add_test(live, test_list_interfaces);
    suite_add_tcase(suite, live);
    return suite;
}
