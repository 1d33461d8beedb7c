/*
 * The reassembly: holes, the order across the two directions, what is in doubt, and limits. Each
 * test sends a few segments and compares everything that comes out, in its order.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "reassembly_rig.h"

Suite *reassembly_order_suite(void);

static struct rig rig;

static void setup(void)
{
    tcp_begin(&rig);
}

static void teardown(void)
{
    tcp_end(&rig);
}

/* --- gaps --- */

START_TEST(gap_waits_for_packets_after_ack)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, CLIENT, .seq = 5, .data = "fg");
    tcp_wait(&rig, 20, 7, 0);
    tcp_expect(&rig, "c[0]\"abc\""); /* never acknowledged: it may still come */
    PUT(&rig, SERVER, .seq = 0, .ack = 7);
    tcp_expect(&rig, "c[3]-2 c[5]\"fg\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).missing, 2);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).delivered, 7);
    PUT(&rig, CLIENT, .seq = 3, .data = "de"); /* too late: its place is taken */
    tcp_expect(&rig, "");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).out_of_order, 1);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 0);
}
END_TEST

START_TEST(gap_acked_waits_its_packets)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 5, .data = "fg");
    PUT(&rig, SERVER, .seq = 0, .ack = 7);
    tcp_wait(&rig, 6, 7, 0);
    tcp_expect(&rig, "");
    tcp_wait(&rig, 1, 7, 0);
    tcp_expect(&rig, "c[0]-5 c[5]\"fg\"");
    ck_assert_uint_eq(rig.mark.packet, 4);
}
END_TEST

START_TEST(gap_acked_waits_its_time)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 5, .data = "fg");
    PUT(&rig, SERVER, .seq = 0, .ack = 7);
    PUT(&rig, SERVER, .seq = 0, .ack = 7, .later_ns = -500000000); /* time runs backwards */
    tcp_expect(&rig, "");
    PUT(&rig, SERVER, .seq = 0, .ack = 7, .later_ns = 1600000000);
    tcp_expect(&rig, "c[0]-5 c[5]\"fg\"");
}
END_TEST

START_TEST(gap_up_to_the_acked_byte)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 5, .data = "fg");
    PUT(&rig, SERVER, .seq = 0, .ack = 3);
    tcp_wait(&rig, 8, 7, 0);
    tcp_expect(&rig, "c[0]-3");
    PUT(&rig, CLIENT, .seq = 3, .data = "de");
    tcp_expect(&rig, "c[3]\"de\" c[5]\"fg\"");
}
END_TEST

START_TEST(gap_waits_anew_while_bytes_come)
{
    tcp_handshake(&rig);
    PUT(&rig, SERVER, .seq = 0, .ack = 4, .data = "S");
    for (int i = 0; i < 4; i++) {
        tcp_wait(&rig, 5, i, 0);
        PUT(&rig, CLIENT, .seq = i, .data = "x");
    }
    tcp_expect(&rig, "c[0]\"x\" c[1]\"x\" c[2]\"x\" c[3]\"x\" s[0]\"S\"");
}
END_TEST

START_TEST(gap_filled_in_time)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 5, .data = "fg");
    PUT(&rig, SERVER, .seq = 0, .ack = 7);
    tcp_wait(&rig, 5, 7, 0);
    PUT(&rig, CLIENT, .seq = 0, .data = "abcde");
    tcp_expect(&rig, "c[0]\"abcde\" c[5]\"fg\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).missing, 0);
}
END_TEST

START_TEST(gap_at_flush)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 2, .data = "c");
    PUT(&rig, CLIENT, .seq = 5, .data = "fg", .flags = TCP_FIN);
    tcp_flush(&rig);
    tcp_expect(&rig, "c[0]-2 c[2]\"c\" c[3]-2 c[5]\"fg\" c.");
    tcp_flush(&rig);
    tcp_expect(&rig, "");
}
END_TEST

START_TEST(gap_of_acked_tail_at_flush)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = 9);
    tcp_flush(&rig);
    tcp_expect(&rig, "c[0]\"abc\" c[3]-6");
    ck_assert_uint_eq(rig.mark.packet, 5);
}
END_TEST

START_TEST(gap_waits_get_shorter)
{
    tcp_handshake(&rig);
    int64_t seq = 0;
    for (int i = 0; i < 8; i++) {
        PUT(&rig, CLIENT, .seq = seq + 5, .data = "x");
        seq += 6;
        PUT(&rig, SERVER, .seq = 0, .ack = seq);
        tcp_wait(&rig, 7, seq, 0);
    }
    rig.used = 0;
    PUT(&rig, CLIENT, .seq = seq + 5, .data = "x");
    PUT(&rig, SERVER, .seq = 0, .ack = seq + 6);
    tcp_expect(&rig, "c[48]-5 c[53]\"x\"");
    /* Bytes that come late show that waiting is right after all. */
    PUT(&rig, CLIENT, .seq = seq, .data = "aaaaa");
    PUT(&rig, CLIENT, .seq = seq + 11, .data = "x");
    PUT(&rig, SERVER, .seq = 0, .ack = seq + 12);
    tcp_expect(&rig, "");
}
END_TEST

START_TEST(snaplen_tail_is_a_hole)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .wire = 6);
    PUT(&rig, CLIENT, .seq = 6, .data = "ghi");
    tcp_expect(&rig, "c[0]\"abc\"");
    PUT(&rig, CLIENT, .seq = 3, .data = "def");
    tcp_expect(&rig, "c[3]\"def\" c[6]\"ghi\"");
    PUT(&rig, CLIENT, .seq = 9, .data = "jk", .wire = 20);
    PUT(&rig, SERVER, .seq = 0, .ack = 29);
    tcp_wait(&rig, 7, 29, 0);
    tcp_expect(&rig, "c[9]\"jk\" c[11]-18");
    PUT(&rig, CLIENT, .seq = 29, .data = "l", .wire = 4);
    tcp_flush(&rig);
    tcp_expect(&rig, "c[29]\"l\" c[30]-3");
    ck_assert_uint_eq(rig.mark.packet, 16); /* the one that was cut */
}
END_TEST

/* --- order across the directions --- */

START_TEST(answer_captured_before_request)
{
    rig.marks = 1;
    tcp_handshake(&rig);
    PUT(&rig, SERVER, .seq = 0, .ack = 3, .data = "101");
    tcp_expect(&rig, "");
    PUT(&rig, CLIENT, .seq = 0, .data = "GET");
    tcp_expect(&rig, "c[0]<0#5\"GET\" s[0]<3#4\"101\"");
}
END_TEST

START_TEST(order_through_both_sides)
{
    tcp_handshake(&rig);
    PUT(&rig, SERVER, .seq = 2, .ack = 4, .data = "SB");
    PUT(&rig, CLIENT, .seq = 2, .ack = 2, .data = "cb");
    PUT(&rig, SERVER, .seq = 0, .ack = 2, .data = "SA");
    tcp_expect(&rig, "");
    PUT(&rig, CLIENT, .seq = 0, .ack = 0, .data = "ca");
    tcp_expect(&rig, "c[0]\"ca\" s[0]\"SA\" c[2]\"cb\" s[2]\"SB\"");
}
END_TEST

START_TEST(lost_request_is_a_gap_before_the_answer)
{
    tcp_handshake(&rig);
    PUT(&rig, SERVER, .seq = 0, .ack = 30, .data = "101");
    for (int i = 0; i < 7; i++)
        PUT(&rig, SERVER, .seq = 3 + i, .ack = 30, .data = "x");
    tcp_expect(&rig, "");
    PUT(&rig, SERVER, .seq = 10, .ack = 30, .data = "x");
    rig.log[24] = '\0';
    ck_assert_str_eq(rig.log, "c[0]-30 s[0]\"101\" s[3]\"x");
    rig.used = 0;
    /* The next request is seen: no more waiting. */
    PUT(&rig, CLIENT, .seq = 30, .ack = 11, .data = "GET");
    tcp_expect(&rig, "c[30]\"GET\"");
}
END_TEST

START_TEST(missing_side_is_not_waited_for)
{
    for (int i = 0; i < 10; i++)
        PUT(&rig, SERVER, .seq = i, .ack = i < 1 ? 0 : 10, .data = "x");
    rig.used = 0;
    PUT(&rig, SERVER, .seq = 10, .ack = 25, .data = "y");
    tcp_expect(&rig, "c[10]-15 s[10]\"y\"");
    PUT(&rig, CLIENT, .seq = 25, .ack = 11, .data = "a"); /* it turns up */
    PUT(&rig, SERVER, .seq = 11, .ack = 30, .data = "z");
    tcp_expect(&rig, "c[25]\"a\"");
}
END_TEST

START_TEST(own_hole_of_a_lonely_side)
{
    for (int i = 0; i < 11; i++)
        PUT(&rig, CLIENT, .seq = i < 1 ? 0 : i + 2, .data = "x", .no_ack = 1);
    rig.log[14] = '\0';
    ck_assert_str_eq(rig.log, "c[0]\"x\" c[1]-2");
    rig.used = 0;
}
END_TEST

START_TEST(hostile_acks_deadlock)
{
    tcp_handshake(&rig);
    PUT(&rig, SERVER, .seq = 0, .ack = 2, .data = "S");
    PUT(&rig, CLIENT, .seq = 0, .ack = 1, .data = "cc");
    tcp_expect(&rig, ""); /* first copies, with smaller acknowledgements, may still come */
    tcp_wait(&rig, 8, 2, 0);
    tcp_expect(&rig, "s[0]\"S\" c[0]\"cc\"");
    ck_assert_uint_eq(rig.mark.acked, 1);
    PUT(&rig, SERVER, .seq = 1, .ack = 4, .data = "S");
    PUT(&rig, CLIENT, .seq = 2, .ack = 2, .data = "cc");
    tcp_flush(&rig);
    tcp_expect(&rig, "s[1]\"S\" c[2]\"cc\"");
}
END_TEST

START_TEST(first_copy_solves_a_deadlock)
{
    rig.marks = 1;
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .ack = 2, .data = "GET"); /* sent again, behind the answer */
    PUT(&rig, SERVER, .seq = 0, .ack = 3, .data = "OK");
    tcp_expect(&rig, "");
    PUT(&rig, CLIENT, .seq = 0, .ack = 0, .data = "GET");
    tcp_expect(&rig, "c[0]<0#6\"GET\" s[0]<3#5\"OK\"");
}
END_TEST

START_TEST(false_ack_makes_no_gap)
{
    tcp_handshake(&rig);
    PUT(&rig, SERVER, .seq = 0, .ack = 50000, .data = "S");
    tcp_wait(&rig, 8, 0, 0); /* the client says it sent nothing */
    tcp_expect(&rig, "s[0]\"S\"");
    ck_assert_uint_eq(rig.mark.acked, 0);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 1, .ack = 50000, .data = "T");
    tcp_expect(&rig, "c[0]\"abc\" s[1]\"T\"");
    tcp_flush(&rig);
    tcp_expect(&rig, "");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).missing, 0);
}
END_TEST

START_TEST(absurd_ack_is_not_used)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = 900 << 20, .data = "EVIL");
    PUT(&rig, SERVER, .seq = 0, .ack = 900 << 20);
    PUT(&rig, SERVER, .seq = 0, .ack = 900 << 20);
    PUT(&rig, SERVER, .seq = 0, .ack = 900 << 20);
    tcp_expect(&rig, "c[0]\"abc\"");
    PUT(&rig, SERVER, .seq = 0, .ack = 3, .data = "good");
    tcp_expect(&rig, "s[0]!good/EVIL s[0]\"good\"");
    PUT(&rig, CLIENT, .seq = 3, .ack = 4, .data = "def");
    tcp_flush(&rig);
    tcp_expect(&rig, "c[3]\"def\"");
}
END_TEST

START_TEST(absurd_acks_of_a_silent_peer)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    for (int i = 0; i < 5; i++)
        PUT(&rig, SERVER, .seq = 0, .ack = 900 << 20);
    tcp_flush(&rig);
    tcp_expect(&rig, "c[0]\"abc\"");
}
END_TEST

START_TEST(lost_fin_is_no_gap)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = 4, .data = "S"); /* acknowledges a FIN never captured */
    for (int i = 1; i < 9; i++)
        PUT(&rig, SERVER, .seq = i, .ack = 4, .data = "S");
    rig.used = 0;
    PUT(&rig, SERVER, .seq = 9, .ack = 4, .data = "T");
    tcp_flush(&rig);
    tcp_expect(&rig, "s[9]\"T\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).missing, 0);
}
END_TEST

/* A capture that lost megabytes of both directions goes on behind them. */
START_TEST(huge_hole_is_confirmed)
{
    const int64_t far = 40 << 20;
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, CLIENT, .seq = far, .data = "xyz");
    PUT(&rig, CLIENT, .seq = far + 3, .data = "uvw");
    tcp_wait(&rig, 10, far + 6, 0);
    tcp_expect(&rig, "c[0]\"abc\"");
    PUT(&rig, SERVER, .seq = 0, .ack = far + 6);
    tcp_expect(&rig, "c[3]-41943037 c[41943040]\"xyz\" c[41943043]\"uvw\"");
}
END_TEST

START_TEST(huge_hole_acked_first)
{
    const int64_t far = 40 << 20;
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = far + 3);
    PUT(&rig, CLIENT, .seq = far, .data = "xyz");
    tcp_wait(&rig, 8, far + 3, 0);
    tcp_expect(&rig, "c[0]\"abc\" c[3]-41943037 c[41943040]\"xyz\"");
}
END_TEST

/* An acknowledgement of just what is missing proves where the next bytes belong. */
START_TEST(huge_hole_acked_to_its_end)
{
    const int64_t far = 40 << 20;
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = far, .data = "xyz");
    PUT(&rig, CLIENT, .seq = far + 3, .data = "uvw");
    PUT(&rig, SERVER, .seq = 0, .ack = far);
    tcp_wait(&rig, 8, far + 6, 0);
    tcp_expect(&rig, "c[0]-41943040 c[41943040]\"xyz\" c[41943043]\"uvw\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).ignored, 0);
}
END_TEST

START_TEST(out_of_window_is_not_used)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 40 << 20, .data = "EVIL");
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = 3, .data = "S");
    PUT(&rig, CLIENT, .seq = -(40 << 20), .data = "OLD");
    tcp_flush(&rig);
    tcp_expect(&rig, "c[0]\"abc\" s[0]\"S\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).ignored, 2);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).missing, 0);
}
END_TEST

START_TEST(window_scale_widens)
{
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1, .scale = 10);
    PUT(&rig, SERVER, .flags = TCP_SYN, .scale = 10);
    PUT(&rig, CLIENT, .seq = 0);
    PUT(&rig, SERVER, .seq = 30 << 20, .ack = 0, .data = "far"); /* 64 MiB may be in flight */
    tcp_flush(&rig);
    tcp_expect(&rig, "s[0]-31457280 s[31457280]\"far\"");
}
END_TEST

/* --- timestamps --- */

START_TEST(old_timestamp_yields)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ts = 5000);
    PUT(&rig, CLIENT, .seq = 3, .data = "EVIL", .ts = 10);
    PUT(&rig, CLIENT, .seq = 3, .data = "good", .ts = 5001);
    tcp_expect(&rig, "c[0]\"abc\" c[3]!good/EVIL c[3]\"good\"");
}
END_TEST

START_TEST(old_timestamp_same_bytes)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ts = 5000);
    PUT(&rig, CLIENT, .seq = 3, .data = "defghi", .ts = 10);
    tcp_expect(&rig, "c[0]\"abc\"");
    PUT(&rig, CLIENT, .seq = 3, .data = "def", .ts = 5001);
    tcp_expect(&rig, "c[3]\"def\"");
    PUT(&rig, CLIENT, .seq = 3, .data = "defghi", .ts = 5002);
    tcp_expect(&rig, "c[6]\"ghi\"");
}
END_TEST

START_TEST(old_timestamp_of_a_fin)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ts = 5000);
    PUT(&rig, CLIENT, .seq = 3, .flags = TCP_FIN, .ts = 10);
    tcp_expect(&rig, "c[0]\"abc\"");
    PUT(&rig, SERVER, .seq = 0, .ack = 4);
    tcp_expect(&rig, "c.");
}
END_TEST

START_TEST(old_timestamp_acked_is_used)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ts = 5000);
    PUT(&rig, CLIENT, .seq = 3, .data = "odd", .ts = 10);
    PUT(&rig, SERVER, .seq = 0, .ack = 6);
    for (int i = 0; i < 8; i++)
        PUT(&rig, SERVER, .seq = 0, .ack = 6);
    tcp_expect(&rig, "c[0]\"abc\" c[3]\"odd\"");
    /* The receiver took it: these timestamps are no clock, and not looked at any more. */
    PUT(&rig, CLIENT, .seq = 6, .data = "ghi", .ts = 9);
    tcp_expect(&rig, "c[6]\"ghi\"");
}
END_TEST

START_TEST(old_timestamp_never_acked)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ts = 5000);
    PUT(&rig, CLIENT, .seq = 3, .data = "EVIL", .ts = 10);
    PUT(&rig, SERVER, .seq = 0, .ack = 3, .data = "S");
    tcp_flush(&rig);
    tcp_expect(&rig, "c[0]\"abc\" s[0]\"S\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).ignored, 1);
}
END_TEST

START_TEST(hole_filler_with_older_timestamp)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ts = 5000);
    PUT(&rig, CLIENT, .seq = 6, .data = "ghi", .ts = 5009);
    PUT(&rig, CLIENT, .seq = 3, .data = "def", .ts = 5003);
    tcp_expect(&rig, "c[0]\"abc\" c[3]\"def\" c[6]\"ghi\"");
}
END_TEST

/* --- limits --- */

START_TEST(limit_of_held_bytes)
{
    rig.options.held_limit = 600;
    tcp_start(&rig);
    tcp_handshake(&rig);
    for (int i = 0; i < 6; i++)
        PUT(&rig, CLIENT, .seq = 10 + 4 * i, .data = "xxxx");
    ck_assert_ptr_nonnull(strstr(rig.log, "c#reassembly.held=600 c[0]-10 c[10]\"xxxx\" "));
    ck_assert_ptr_null(strstr(rig.log + 4, "c#"));
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).delivered, 34);
    rig.used = 0;
}
END_TEST

START_TEST(limit_smaller_than_a_segment)
{
    rig.options.held_limit = 10;
    tcp_start(&rig);
    tcp_handshake(&rig);
    PUT(&rig, SERVER, .seq = 0, .ack = 5, .data = "S"); /* needs the client's bytes */
    PUT(&rig, CLIENT, .seq = 8, .data = "i");
    tcp_expect(&rig, "s#reassembly.held=10 c[0]-5 s[0]\"S\" c#reassembly.held=10 c[5]-3 c[8]\"i\"");
}
END_TEST

START_TEST(limit_of_memory)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "a");
    rig.budget.limit = rig.budget.used;
    PUT(&rig, CLIENT, .seq = 2, .data = "c");
    PUT(&rig, CLIENT, .seq = 3, .data = "d");
    char expected[128];
    (void)snprintf(expected, sizeof expected,
                   "c[0]\"a\" c#reassembly.memory=%zu c[1]-1 c[2]\"c\" c[3]\"d\"",
                   rig.budget.limit);
    tcp_expect(&rig, expected);
}
END_TEST

/* Every amount of memory, from too little on: nothing breaks, nothing is left charged. */
START_TEST(limit_of_memory_everywhere)
{
    size_t full = 0;
    for (size_t limit = 64 << 10; limit > 0; limit = limit > 40 ? limit - 40 : 0) {
        struct rig small;
        tcp_begin(&small);
        small.options.gap_packets = 100;
        reassembly_free(small.r);
        small.r = NULL;
        small.budget.limit = limit;
        static const struct reassembly_handler none;
        small.r = reassembly_new(&none, &small, &small.options, &small.budget);
        if (small.r != NULL) {
            reassembly_free(small.r);
            small.r = NULL;
            small.budget.limit = 1 << 20;
            tcp_start(&small);
            small.budget.limit = limit;
            tcp_handshake(&small);
            for (int i = 9; i >= 0; i--) {
                PUT(&small, CLIENT, .seq = i * 3, .data = "abcd");
                PUT(&small, SERVER, .seq = i * 2, .ack = i * 3, .data = "xyz");
                PUT(&small, CLIENT, .seq = i * 3 + 1, .ack = i * 2, .data = "BC");
            }
            tcp_flush(&small);
            ck_assert_uint_eq(tcp_side(&small, CLIENT).delivered, 31);
            ck_assert_uint_eq(tcp_side(&small, SERVER).delivered, 21);
            full += tcp_side(&small, CLIENT).missing == 0;
        }
        tcp_end(&small);
    }
    ck_assert_uint_gt(full, 0);
}
END_TEST

static TCase *group(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}

Suite *reassembly_order_suite(void)
{
    Suite *suite = suite_create("reassembly_order");
    TCase *t = group(suite, "gap");
    tcase_add_test(t, gap_waits_for_packets_after_ack);
    tcase_add_test(t, gap_acked_waits_its_packets);
    tcase_add_test(t, gap_acked_waits_its_time);
    tcase_add_test(t, gap_up_to_the_acked_byte);
    tcase_add_test(t, gap_waits_anew_while_bytes_come);
    tcase_add_test(t, gap_filled_in_time);
    tcase_add_test(t, gap_at_flush);
    tcase_add_test(t, gap_of_acked_tail_at_flush);
    tcase_add_test(t, gap_waits_get_shorter);
    tcase_add_test(t, snaplen_tail_is_a_hole);
    t = group(suite, "order");
    tcase_add_test(t, answer_captured_before_request);
    tcase_add_test(t, order_through_both_sides);
    tcase_add_test(t, lost_request_is_a_gap_before_the_answer);
    tcase_add_test(t, missing_side_is_not_waited_for);
    tcase_add_test(t, own_hole_of_a_lonely_side);
    tcase_add_test(t, hostile_acks_deadlock);
    tcase_add_test(t, first_copy_solves_a_deadlock);
    tcase_add_test(t, false_ack_makes_no_gap);
    tcase_add_test(t, absurd_ack_is_not_used);
    tcase_add_test(t, absurd_acks_of_a_silent_peer);
    tcase_add_test(t, lost_fin_is_no_gap);
    tcase_add_test(t, huge_hole_is_confirmed);
    tcase_add_test(t, huge_hole_acked_first);
    tcase_add_test(t, huge_hole_acked_to_its_end);
    tcase_add_test(t, out_of_window_is_not_used);
    tcase_add_test(t, window_scale_widens);
    t = group(suite, "timestamps");
    tcase_add_test(t, old_timestamp_yields);
    tcase_add_test(t, old_timestamp_same_bytes);
    tcase_add_test(t, old_timestamp_of_a_fin);
    tcase_add_test(t, old_timestamp_acked_is_used);
    tcase_add_test(t, old_timestamp_never_acked);
    tcase_add_test(t, hole_filler_with_older_timestamp);
    t = group(suite, "limits");
    tcase_add_test(t, limit_of_held_bytes);
    tcase_add_test(t, limit_smaller_than_a_segment);
    tcase_add_test(t, limit_of_memory);
    tcase_add_test(t, limit_of_memory_everywhere);
    return suite;
}
