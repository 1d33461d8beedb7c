/*
 * Fragments: every order, both overlap policies, IPv6 overlaps, copies, time, memory, hostile ones.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/checksum.h"
#include "../../analyzer/defrag.h"

Suite *defrag_suite(void);

#define SECOND_NS INT64_C(1000000000)

static struct budget root;
static struct defrag *defrag;
static struct defrag_datagram whole;
static uint8_t content[65536];
static int64_t now_ns;

static void setup_with(size_t limit, enum defrag_policy policy)
{
    budget_init(&root, limit, NULL);
    defrag = defrag_new(&root, policy);
    ck_assert_ptr_nonnull(defrag);
    now_ns = 1700000000 * SECOND_NS;
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + (i >> 8));
}

static void setup(void)
{
    setup_with((size_t)8 << 20, DEFRAG_BSD);
}

static void teardown(void)
{
    /* Whatever happened, each fragment was counted once, and no memory stays charged. */
    uint64_t ends = defrag_count(defrag, DEFRAG_HELD) + defrag_count(defrag, DEFRAG_DUPLICATE) +
                    defrag_count(defrag, DEFRAG_OVERLAPPED) +
                    defrag_count(defrag, DEFRAG_MALFORMED) +
                    defrag_count(defrag, DEFRAG_NO_MEMORY) +
                    defrag_count(defrag, DEFRAG_REASSEMBLED);
    ck_assert_uint_eq(ends, defrag_count(defrag, DEFRAG_FRAGMENTS));
    defrag_free(defrag);
    ck_assert_uint_eq(root.used, 0);
}

/* IPv4 header with one option word and a hop-by-hop header behind an IPv6 header. */
static const uint8_t header4[24] = {0x46, 0, 0, 0, 0, 1, 0x20, 0, 64, 6, 0xba, 0xad,
                                    10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0};
static const uint8_t header6[48] = {0x60, [4] = 0, 99, 0, 64, 0xfe, 0x80, [23] = 1, 0xfe, 0x80,
                                    [39] = 2, 44, 0, 1, 4, 0, 0, 0, 0};

static int add_bytes(int family, uint32_t id, uint32_t offset, const uint8_t *data, size_t len,
                     int more)
{
    struct defrag_fragment f = {
        .family = (uint8_t)family,
        .protocol = 6,
        .more = more,
        .id = id,
        .offset = offset,
        .source = family == 4 ? header4 + 12 : header6 + 8,
        .target = family == 4 ? header4 + 16 : header6 + 24,
        .time_ns = now_ns,
        .header = family == 4 ? header4 : header6,
        .header_len = family == 4 ? sizeof header4 : sizeof header6,
        .next_at = 40,
        .len = len,
    };
    uint8_t *tight = malloc(len > 0 ? len : 1); /* so that a read too far is seen */
    memcpy(tight, data, len);
    f.data = tight;
    int result = defrag_add(defrag, &f, &whole);
    free(tight);
    return result;
}

static int add(int family, uint32_t id, uint32_t offset, size_t len, int more)
{
    return add_bytes(family, id, offset, content + offset, len, more);
}

static void check_whole(int family, size_t len)
{
    size_t header_len = family == 4 ? sizeof header4 : sizeof header6;
    ck_assert_uint_eq(whole.header_len, header_len);
    ck_assert_uint_eq(whole.len, header_len + len);
    ck_assert_mem_eq(whole.data + header_len, content, len);
    ck_assert_uint_eq(whole.protocol, 6);
    if (family == 4) {
        ck_assert_uint_eq((size_t)whole.data[2] << 8 | whole.data[3], whole.len);
        ck_assert_uint_eq(whole.data[6] | whole.data[7], 0);
        ck_assert_uint_eq(checksum_fold(checksum_add(0, whole.data, header_len)), 0xffff);
    } else {
        ck_assert_uint_eq((size_t)whole.data[4] << 8 | whole.data[5], whole.len - 40);
        ck_assert_uint_eq(whole.data[6], 0);
        ck_assert_uint_eq(whole.data[40], 6);
    }
}

START_TEST(every_order)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int family = 4; family <= 6; family += 2) {
        for (uint32_t i = 0; i < 6; i++) {
            for (int k = 0; k < 3; k++) {
                uint32_t offset = (uint32_t)orders[i][k] * 1480;
                size_t len = orders[i][k] == 2 ? 41 : 1480;
                ck_assert_int_eq(add(family, i, offset, len, orders[i][k] != 2), k == 2);
            }
            check_whole(family, 3001);
            defrag_clear(defrag);
        }
    }
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_REASSEMBLED), 12);
    ck_assert_uint_eq(defrag_waiting(defrag), 0);
}
END_TEST

START_TEST(interleaved_datagrams)
{
    for (uint32_t id = 0; id < 50; id++)
        ck_assert_int_eq(add(4, id, 800, 100, 0), 0);
    ck_assert_uint_eq(defrag_waiting(defrag), 50);
    for (uint32_t id = 0; id < 50; id++) {
        ck_assert_int_eq(add(4, id, 0, 800, 1), 1);
        check_whole(4, 900);
    }
    ck_assert_int_eq(add(6, 7, 0, 800, 1), 0); /* the same id in IPv6 is another one */
    ck_assert_uint_eq(defrag_waiting(defrag), 1);
}
END_TEST

START_TEST(largest_and_smallest)
{
    for (uint32_t offset = 65000; offset >= 8; offset -= 8)
        ck_assert_int_eq(add(4, 1, offset, offset == 65000 ? 511 : 8, offset != 65000), 0);
    ck_assert_int_eq(add(4, 1, 0, 8, 1), 1);
    check_whole(4, 65511);
    ck_assert_uint_ge(defrag_count(defrag, DEFRAG_TINY), 8000);
    for (uint32_t offset = 0; offset < 65520; offset += 8)
        ck_assert_int_eq(add(6, 1, offset, 8, 1), 0);
    ck_assert_int_eq(add(6, 1, 65520, 8, 0), 0); /* with the extension one byte too many */
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_MALFORMED), 1);
    ck_assert_int_eq(add(6, 1, 65520, 7, 0), 1);
    check_whole(6, 65527);
}
END_TEST

/* The pattern of Shankar and Paxson, by which hosts are told apart. */
static void paxson(const char *expected)
{
    static const struct {
        uint32_t first, units;
        int more;
    } pattern[] = {{0, 3, 1}, {4, 2, 1}, {6, 3, 1}, {1, 4, 1}, {6, 3, 1}, {9, 3, 0}};
    int result = 0;
    for (size_t i = 0; i < 6; i++) {
        uint8_t data[32];
        memset(data, '1' + (int)i, sizeof data);
        result = add_bytes(4, 1, pattern[i].first * 8, data, pattern[i].units * 8,
                           pattern[i].more);
    }
    ck_assert_int_eq(result, 1);
    for (size_t i = 0; i < 12; i++)
        ck_assert_int_eq(whole.data[sizeof header4 + i * 8 + 7], expected[i]);
    ck_assert_uint_eq(whole.len, sizeof header4 + 96);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_CONFLICTS), 2);
}

START_TEST(overlap_bsd)
{
    paxson("111442333666");
}
END_TEST

START_TEST(overlap_first)
{
    teardown();
    setup_with((size_t)1 << 20, DEFRAG_FIRST);
    paxson("111422333666");
}
END_TEST

/* A fragment that lost its front begins where it was cut: the third one begins before that. */
START_TEST(overlap_bsd_cut_front)
{
    uint8_t data[64];
    memset(data, 'a', sizeof data);
    ck_assert_int_eq(add_bytes(4, 1, 16, data, 32, 1), 0); /* units 2 to 5 */
    memset(data, 'b', sizeof data);
    ck_assert_int_eq(add_bytes(4, 1, 8, data, 24, 1), 0); /* 1 to 3: a begins at 4 now */
    memset(data, 'c', sizeof data);
    ck_assert_int_eq(add_bytes(4, 1, 24, data, 24, 1), 0); /* 3 to 5: 4 and 5 are c's */
    ck_assert_int_eq(add_bytes(4, 1, 0, data, 8, 1), 0);
    ck_assert_int_eq(add_bytes(4, 1, 48, data, 3, 0), 1);
    for (size_t i = 0; i < 7; i++)
        ck_assert_int_eq(whole.data[sizeof header4 + i * 8], "cbbbccc"[i]);
}
END_TEST

START_TEST(copies)
{
    for (int family = 4; family <= 6; family += 2) {
        ck_assert_int_eq(add(family, 1, 0, 80, 1), 0);
        ck_assert_int_eq(add(family, 1, 0, 80, 1), 0);
        ck_assert_int_eq(add(family, 1, 160, 5, 0), 0);
        ck_assert_int_eq(add(family, 1, 160, 5, 0), 0);
        ck_assert_int_eq(add(family, 1, 80, 80, 1), 1);
        check_whole(family, 165);
        /* A mirror port's copy of the last one begins nothing ... */
        ck_assert_int_eq(add(family, 1, 80, 80, 1), 0);
        ck_assert_uint_eq(defrag_waiting(defrag), 0);
    }
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_DUPLICATE), 6);
    /* ... and the id is free again soon. */
    now_ns += SECOND_NS;
    ck_assert_int_eq(add(4, 1, 0, 80, 1), 0);
    ck_assert_int_eq(add(4, 1, 80, 80, 0), 1);
    check_whole(4, 160);
}
END_TEST

START_TEST(overlap_ipv6)
{
    ck_assert_int_eq(add(6, 1, 0, 80, 1), 0);
    ck_assert_int_eq(add(6, 1, 72, 80, 1), 0); /* dead, though the bytes agree */
    ck_assert_int_eq(add(6, 1, 80, 80, 0), 0);
    ck_assert_int_eq(add(6, 1, 0, 80, 1), 0);
    ck_assert_int_eq(add(6, 1, 0, 160, 1), 0);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_OVERLAPPED), 4);
    ck_assert_uint_eq(defrag_waiting(defrag), 0);
    /* Within the first, or the same place with other bytes, or two ends. */
    ck_assert_int_eq(add(6, 2, 0, 80, 1), 0);
    ck_assert_int_eq(add(6, 2, 0, 40, 1), 0);
    ck_assert_int_eq(add(6, 2, 80, 40, 0), 0);
    ck_assert_int_eq(add(6, 3, 0, 80, 1), 0);
    ck_assert_int_eq(add_bytes(6, 3, 0, content + 1, 80, 1), 0);
    ck_assert_int_eq(add(6, 3, 80, 40, 0), 0);
    ck_assert_int_eq(add(6, 4, 80, 40, 0), 0);
    ck_assert_int_eq(add(6, 4, 160, 40, 0), 0);
    ck_assert_int_eq(add(6, 4, 0, 80, 1), 0);
    ck_assert_int_eq(add(6, 5, 0, 80, 1), 0);
    ck_assert_int_eq(add(6, 5, 40, 40, 1), 0); /* the end of the first */
    ck_assert_int_eq(add(6, 5, 80, 40, 0), 0);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_OVERLAPPED), 12);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_REASSEMBLED), 0);
    now_ns += 61 * SECOND_NS; /* forgotten */
    ck_assert_int_eq(add(6, 1, 0, 80, 1), 0);
    ck_assert_int_eq(add(6, 1, 80, 80, 0), 1);
}
END_TEST

START_TEST(malformed)
{
    ck_assert_int_eq(add(4, 1, 0, 81, 1), 0);  /* not a multiple of 8 */
    ck_assert_int_eq(add(4, 1, 0, 0, 1), 0);   /* empty */
    ck_assert_int_eq(add(4, 1, 80, 0, 0), 0);
    ck_assert_int_eq(add(4, 1, 65528, 8, 0), 0); /* the ping of death */
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_MALFORMED), 4);
    ck_assert_uint_eq(defrag_waiting(defrag), 0);
    ck_assert_int_eq(add(4, 1, 80, 40, 0), 0);
    ck_assert_int_eq(add(4, 1, 80, 48, 0), 0);  /* another end */
    ck_assert_int_eq(add(4, 1, 80, 40, 1), 0);  /* more behind the end */
    ck_assert_int_eq(add(4, 1, 160, 40, 1), 0);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_MALFORMED), 7);
    ck_assert_int_eq(add(4, 2, 160, 40, 1), 0);
    ck_assert_int_eq(add(4, 2, 80, 80, 0), 0);  /* an end before what came */
    ck_assert_int_eq(add(4, 2, 160, 40, 0), 0);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_MALFORMED), 9);
    ck_assert_int_eq(add(4, 1, 0, 80, 1), 1);   /* and the good ones win */
    check_whole(4, 120);
}
END_TEST

START_TEST(expiry)
{
    ck_assert_int_eq(add(4, 1, 0, 80, 1), 0);
    ck_assert_int_eq(add(6, 1, 0, 80, 1), 0);
    now_ns += 29 * SECOND_NS;
    ck_assert_int_eq(add(4, 1, 80, 80, 1), 0);
    now_ns += 2 * SECOND_NS;
    ck_assert_int_eq(add(4, 1, 160, 80, 0), 0); /* what waited is gone, this one waits anew */
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_EXPIRED), 1);
    ck_assert_int_eq(add(6, 1, 80, 80, 0), 1);
    ck_assert_uint_eq(defrag_waiting(defrag), 1);
    now_ns -= 3600 * SECOND_NS; /* time that goes back expires nothing */
    ck_assert_int_eq(add(4, 1, 0, 80, 1), 0);
    ck_assert_int_eq(add(4, 1, 80, 80, 1), 1);
    now_ns = INT64_MIN;
    ck_assert_int_eq(add(4, 3, 0, 80, 1), 0);
    now_ns = INT64_MAX;
    ck_assert_int_eq(add(4, 4, 0, 80, 1), 0);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_EXPIRED), 2);
}
END_TEST

START_TEST(contexts)
{
    struct defrag_fragment f = {.family = 4, .protocol = 6, .more = 1, .source = header4 + 12,
                                .target = header4 + 16, .header = header4,
                                .header_len = sizeof header4, .data = content, .len = 80};
    ck_assert_int_eq(defrag_add(defrag, &f, &whole), 0);
    f.more = 0;
    f.offset = 80;
    f.context = 1;
    ck_assert_int_eq(defrag_add(defrag, &f, &whole), 0);
    f.context = 0;
    f.protocol = 17;
    ck_assert_int_eq(defrag_add(defrag, &f, &whole), 0);
    f.protocol = 6;
    f.source = header4 + 16;
    ck_assert_int_eq(defrag_add(defrag, &f, &whole), 0);
    f.source = header4 + 12;
    ck_assert_int_eq(defrag_add(defrag, &f, &whole), 1);
    ck_assert_uint_eq(defrag_waiting(defrag), 3);
}
END_TEST

START_TEST(flood_evicts_the_oldest)
{
    teardown();
    setup_with((size_t)256 << 10, DEFRAG_BSD);
    for (uint32_t id = 0; id < 20000; id++)
        ck_assert_int_eq(add(4, id & 0xffff, (id % 30) * 1480 + 1480, 1480, 1), 0);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_NO_MEMORY), 0);
    ck_assert_uint_gt(defrag_waiting(defrag), 20);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_EVICTED), 20000 - defrag_waiting(defrag));
    ck_assert_uint_le(root.peak, (size_t)256 << 10);
    ck_assert_int_eq(add(4, 1, 0, 1480, 1), 0); /* evicted long ago */
    ck_assert_int_eq(add(4, 1, 1480, 20, 0), 1);
    check_whole(4, 1500);
}
END_TEST

START_TEST(flood_of_datagrams)
{
    teardown();
    setup_with((size_t)1 << 30, DEFRAG_BSD);
    for (uint32_t id = 0; id < 30000; id++)
        ck_assert_int_eq(add(6, id, 0, 8, 1), 0);
    ck_assert_uint_eq(defrag_waiting(defrag), 8192);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_EVICTED), 30000 - 8192);
    ck_assert_uint_lt(root.peak, (size_t)64 << 20);
}
END_TEST

START_TEST(ten_thousand_overlapping)
{
    for (uint32_t i = 0; i < 10000; i++)
        ck_assert_int_eq(add(4, 1, 8 + i % 997 * 8, 1480, 1), 0);
    ck_assert_uint_lt(root.peak, (size_t)64 << 10); /* no more than what they cover */
    ck_assert_uint_eq(defrag_waiting(defrag), 1);
    ck_assert_int_eq(add(4, 1, 0, 8, 1), 0);
    ck_assert_int_eq(add(4, 1, 9456, 8, 0), 1);
    check_whole(4, 9464);
}
END_TEST

START_TEST(no_memory)
{
    teardown();
    setup_with(6000, DEFRAG_BSD); /* two pages and no more */
    ck_assert_int_eq(add(4, 1, 0, 2048, 1), 0);
    ck_assert_int_eq(add(4, 1, 2048, 2048, 1), 0);
    ck_assert_int_eq(add(4, 1, 4096, 8, 0), 0);
    ck_assert_uint_gt(defrag_count(defrag, DEFRAG_NO_MEMORY), 0);
    ck_assert_int_eq(add(4, 2, 0, 40, 1), 0);
    ck_assert_int_eq(add(4, 2, 40, 40, 0), 1);
    check_whole(4, 80);
    teardown();
    setup_with(10, DEFRAG_BSD);
    ck_assert_int_eq(add(4, 2, 0, 40, 1), 0);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_NO_MEMORY), 1);
}
END_TEST

/* Random pieces of one text, in random order, overlapping: whatever is completed is the text. */
START_TEST(random_agreeing_overlaps)
{
    unsigned state = 12345, done = 0;
    for (uint32_t id = 0; id < 300; id++) {
        for (int k = 0; k < 200; k++) {
            state = state * 1103515245 + 12345;
            uint32_t first = state >> 8 & 63, units = 1 + (state >> 16 & 7);
            int last = first + units >= 64;
            size_t len = last ? 64 * 8 - 3 - first * 8 : units * 8;
            if (add(4, id, first * 8, len, !last)) {
                check_whole(4, 64 * 8 - 3);
                done++;
                break;
            }
        }
        defrag_clear(defrag);
    }
    ck_assert_uint_gt(done, 200);
    ck_assert_uint_eq(defrag_count(defrag, DEFRAG_CONFLICTS), 0);
}
END_TEST

Suite *defrag_suite(void)
{
    Suite *suite = suite_create("defrag");
    TCase *tests = tcase_create("defrag");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_order);
    tcase_add_test(tests, interleaved_datagrams);
    tcase_add_test(tests, largest_and_smallest);
    tcase_add_test(tests, overlap_bsd);
    tcase_add_test(tests, overlap_first);
    tcase_add_test(tests, overlap_bsd_cut_front);
    tcase_add_test(tests, copies);
    tcase_add_test(tests, overlap_ipv6);
    tcase_add_test(tests, malformed);
    tcase_add_test(tests, expiry);
    tcase_add_test(tests, contexts);
    tcase_add_test(tests, flood_evicts_the_oldest);
    tcase_add_test(tests, flood_of_datagrams);
    tcase_add_test(tests, ten_thousand_overlapping);
    tcase_add_test(tests, no_memory);
    tcase_add_test(tests, random_agreeing_overlaps);
    suite_add_tcase(suite, tests);
    return suite;
}
