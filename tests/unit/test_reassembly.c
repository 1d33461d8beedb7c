/*
 * The reassembly: one stream, overlaps, handshakes, ends and repetitions. Each test sends a few
 * segments and compares everything that comes out, in its order.
 */
#include <check.h>
#include <string.h>

#include "reassembly_rig.h"

Suite *reassembly_suite(void);

static struct rig rig;

static void setup(void)
{
    tcp_begin(&rig);
}

static void teardown(void)
{
    tcp_end(&rig);
}

/* --- one stream --- */

START_TEST(in_order)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    tcp_expect(&rig, "c[0]\"abc\"");
    PUT(&rig, CLIENT, .seq = 3, .data = "de");
    PUT(&rig, SERVER, .seq = 0, .ack = 5, .data = "xy");
    tcp_expect(&rig, "c[3]\"de\" s[0]\"xy\"");
    struct reassembly_side c = tcp_side(&rig, CLIENT);
    ck_assert_uint_eq(c.delivered, 5);
    ck_assert_uint_eq(c.missing + c.retransmits + c.duplicates + c.out_of_order + c.ignored, 0);
    ck_assert_int_eq(c.started && c.syn && c.from_start && !c.fin && !c.rst, 1);
}
END_TEST

START_TEST(out_of_order)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 6, .data = "gh");
    PUT(&rig, CLIENT, .seq = 3, .data = "def");
    tcp_expect(&rig, "");
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    tcp_expect(&rig, "c[0]\"abc\" c[3]\"def\" c[6]\"gh\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).out_of_order, 2);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 0);
}
END_TEST

START_TEST(overlap_of_delivered)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abcdef");
    PUT(&rig, CLIENT, .seq = 0, .data = "abcdef");
    PUT(&rig, CLIENT, .seq = 2, .data = "cd");
    PUT(&rig, CLIENT, .seq = 4, .data = "efgh");
    tcp_expect(&rig, "c[0]\"abcdef\" c[6]\"gh\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 3);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).conflicts, 0);
}
END_TEST

START_TEST(overlap_of_held)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 4, .data = "ef");
    PUT(&rig, CLIENT, .seq = 8, .data = "ij");
    PUT(&rig, CLIENT, .seq = 3, .data = "defghijkl"); /* spans both */
    PUT(&rig, CLIENT, .seq = 4, .data = "ef");
    PUT(&rig, CLIENT, .seq = 0, .data = "abcde");
    tcp_expect(&rig, "c[0]\"abc\" c[3]\"d\" c[4]\"ef\" c[6]\"gh\" c[8]\"ij\" c[10]\"kl\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).conflicts, 0);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 1);
}
END_TEST

START_TEST(number_wrap)
{
    rig.isn[CLIENT] = 0xfffffffe;
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "a");
    PUT(&rig, CLIENT, .seq = 2, .data = "c");
    PUT(&rig, CLIENT, .seq = 1, .data = "b");
    char block[1000];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 3; i++)
        PUT(&rig, SERVER, .seq = i * 1000, .ack = 3, .data = block, .len = sizeof block);
    ck_assert_uint_eq(tcp_side(&rig, SERVER).delivered, 3000);
    rig.used = 0;
    PUT(&rig, CLIENT, .seq = 3, .ack = 3000, .data = "d");
    ck_assert_uint_eq(rig.mark.acked, 3000);
    PUT(&rig, SERVER, .seq = 3000, .ack = 4, .data = "e");
    tcp_expect(&rig, "c[3]\"d\" s[3000]\"e\"");
}
END_TEST

/* Streams of more than 4 GiB keep their offsets. */
START_TEST(number_beyond_4gib)
{
    tcp_handshake(&rig);
    char byte[] = "z";
    int64_t seq = 0;
    for (int i = 0; i < 5; i++) {
        /* A gigabyte is lost each time: acknowledged in steps, then seen to go on. */
        for (int64_t step = 0; step < 64; step++)
            PUT(&rig, SERVER, .seq = 0, .ack = seq + (step + 1) * (16 << 20));
        seq += 64 * (16 << 20);
        PUT(&rig, CLIENT, .seq = seq, .data = byte);
        tcp_wait(&rig, 9, seq + 1, 0);
        seq++;
        PUT(&rig, SERVER, .seq = 0, .ack = seq);
        rig.used = 0;
    }
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).delivered, 5 * ((UINT64_C(1) << 30) + 1));
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).missing, 5 * (UINT64_C(1) << 30));
}
END_TEST

/* --- overlap policies --- */

struct overlap_case {
    int64_t old_at;
    const char *old;
    int64_t new_at;
    const char *new;
    const char *bsd, *first, *last, *linux; /* what comes out from offset 2 on; windows as bsd */
};

static const struct overlap_case overlap_cases[] = {
    /* begins before, ends inside */
    {4, "opqr", 3, "123", "123qr", "1opqr", "123qr", "123qr"},
    /* begins before, ends after */
    {4, "op", 3, "1234", "1234", "1op4", "1234", "1234"},
    /* begins together, ends inside, together, after */
    {3, "opqr", 3, "12", "opqr", "opqr", "12qr", "opqr"},
    {3, "opqr", 3, "1234", "opqr", "opqr", "1234", "opqr"},
    {3, "op", 3, "1234", "op34", "op34", "1234", "1234"},
    /* begins after: inside, to the end, beyond */
    {3, "opqr", 4, "12", "opqr", "opqr", "o12r", "opqr"},
    {3, "opqr", 5, "12", "opqr", "opqr", "op12", "opqr"},
    {3, "opqr", 5, "1234", "opqr34", "opqr34", "op1234", "opqr34"},
};

START_TEST(overlap_policy)
{
    const struct overlap_case *c = &overlap_cases[_i / 5];
    const char *expected[] = {[OVERLAP_BSD] = c->bsd, [OVERLAP_FIRST] = c->first,
                              [OVERLAP_LAST] = c->last, [OVERLAP_LINUX] = c->linux,
                              [OVERLAP_WINDOWS] = c->bsd};
    rig.options.policy = (enum overlap_policy)(_i % 5);
    tcp_start(&rig);
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = c->old_at, .data = c->old);
    PUT(&rig, CLIENT, .seq = c->new_at, .data = c->new);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).conflicts, 1);
    rig.used = 0;
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    char all[64] = "";
    for (const char *at = rig.log; (at = strchr(at, '"')) != NULL;) {
        const char *end = strchr(at + 1, '"');
        strncat(all, at + 1, (size_t)(end - at - 1));
        at = end + 1;
    }
    rig.used = 0;
    ck_assert_ptr_nonnull(expected[rig.options.policy]);
    ck_assert_str_eq(all + 3, expected[rig.options.policy]);
}
END_TEST

START_TEST(conflict_with_held_names_both)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 1, .data = "bcdef");
    PUT(&rig, CLIENT, .seq = 1, .data = "bXXef");
    tcp_expect(&rig, "c[2]!cd/XX");
    PUT(&rig, CLIENT, .seq = 1, .data = "bXXef"); /* the same once more: told already */
    PUT(&rig, CLIENT, .seq = 0, .data = "a");
    tcp_expect(&rig, "c[0]\"a\" c[1]\"bcdef\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).conflicts, 1);
}
END_TEST

START_TEST(conflict_with_held_won_by_new)
{
    rig.options.policy = OVERLAP_LAST;
    tcp_start(&rig);
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 1, .data = "bcdef");
    PUT(&rig, CLIENT, .seq = 2, .data = "XX");
    PUT(&rig, CLIENT, .seq = 0, .data = "a");
    tcp_expect(&rig, "c[2]!XX/cd c[0]\"a\" c[1]\"b\" c[2]\"XX\" c[4]\"ef\"");
}
END_TEST

START_TEST(conflict_with_delivered)
{
    rig.options.policy = OVERLAP_LAST; /* what was delivered stays under any policy */
    tcp_start(&rig);
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "GET /a HTTP");
    PUT(&rig, CLIENT, .seq = 4, .data = "/evil!");
    tcp_expect(&rig, "c[0]\"GET /a HTTP\" c[5]!a HTT/evil!");
    PUT(&rig, CLIENT, .seq = 0, .data = "PUT /a HTTP/1.1");
    tcp_expect(&rig, "c[0]!GE/PU c[11]\"/1.1\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).conflicts, 2);
}
END_TEST

START_TEST(conflict_beyond_recent_is_unknown)
{
    rig.options.recent_limit = 100; /* 64 are kept: a power of two */
    tcp_start(&rig);
    tcp_handshake(&rig);
    char block[200];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)('a' + i % 26);
    PUT(&rig, CLIENT, .seq = 0, .data = block, .len = 150);
    PUT(&rig, CLIENT, .seq = 150, .data = block + 150, .len = 50);
    rig.used = 0;
    PUT(&rig, CLIENT, .seq = 130, .data = "!");
    tcp_expect(&rig, "");
    PUT(&rig, CLIENT, .seq = 136, .data = "!");
    PUT(&rig, CLIENT, .seq = 100, .data = block + 100, .len = 100);
    tcp_expect(&rig, "c[136]!g/!");
}
END_TEST

START_TEST(recent_off)
{
    rig.options.recent_limit = 0;
    tcp_start(&rig);
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, CLIENT, .seq = 0, .data = "xyz");
    tcp_expect(&rig, "c[0]\"abc\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 1);
}
END_TEST

/* --- handshakes --- */

START_TEST(lost_syn)
{
    PUT(&rig, SERVER, .flags = TCP_SYN, .ack = 0);
    PUT(&rig, CLIENT, .seq = 0, .data = "a");
    tcp_expect(&rig, "c[0]\"a\"");
    struct reassembly_side c = tcp_side(&rig, CLIENT);
    ck_assert_int_eq(!c.syn && c.from_start, 1);
    ck_assert_int_eq(tcp_side(&rig, SERVER).syn, 1);
}
END_TEST

START_TEST(lost_syn_ack)
{
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, CLIENT, .seq = 0, .ack = 0);
    PUT(&rig, SERVER, .seq = 2, .ack = 0, .data = "c");
    PUT(&rig, SERVER, .seq = 0, .ack = 0, .data = "ab");
    tcp_expect(&rig, "s[0]\"ab\" s[2]\"c\"");
    ck_assert_int_eq(tcp_side(&rig, SERVER).from_start && !tcp_side(&rig, SERVER).syn, 1);
}
END_TEST

START_TEST(syn_after_syn_ack)
{
    PUT(&rig, SERVER, .flags = TCP_SYN, .ack = 0);
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, CLIENT, .seq = 0, .data = "a");
    tcp_expect(&rig, "c[0]\"a\"");
    ck_assert_int_eq(tcp_side(&rig, CLIENT).syn, 1);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 0);
    PUT(&rig, SERVER, .seq = 0, .ack = 0);
    ck_assert_int_eq(tcp_side(&rig, CLIENT).rtt_ns, -1); /* not from SYN to whatever comes next */
}
END_TEST

START_TEST(syn_data)
{
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1, .data = "GET");
    PUT(&rig, SERVER, .flags = TCP_SYN, .ack = 0);           /* the cookie was not taken */
    PUT(&rig, CLIENT, .seq = 0, .ack = 0, .data = "GET /"); /* sent again with more */
    tcp_expect(&rig, "c[0]\"GET\" c[3]\" /\"");
}
END_TEST

START_TEST(syn_again_and_other_syn)
{
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 1);
    PUT(&rig, SERVER, .flags = TCP_SYN);
    PUT(&rig, SERVER, .seq = 7777, .flags = TCP_SYN); /* another number: not the one taken */
    PUT(&rig, CLIENT, .seq = 0, .data = "a");
    PUT(&rig, SERVER, .seq = 0, .ack = 1, .data = "b");
    tcp_expect(&rig, "c[0]\"a\" s[0]\"b\"");
    ck_assert_uint_eq(tcp_side(&rig, SERVER).ignored, 1);
}
END_TEST

START_TEST(other_syn_is_the_one_taken)
{
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, SERVER, .flags = TCP_SYN);
    PUT(&rig, SERVER, .seq = 7777, .flags = TCP_SYN);
    PUT(&rig, CLIENT, .seq = 0, .ack = 7777);
    PUT(&rig, SERVER, .seq = 7777, .ack = 0, .data = "b");
    tcp_expect(&rig, "s[0]\"b\"");
}
END_TEST

START_TEST(split_handshakes)
{
    /* SYN, ACK with a number of no meaning, SYN, SYN/ACK, ACK. */
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, SERVER, .seq = 123456, .ack = 0);
    PUT(&rig, SERVER, .seq = 0, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, CLIENT, .seq = 0, .flags = TCP_SYN);
    PUT(&rig, SERVER, .seq = 0, .ack = 0);
    PUT(&rig, CLIENT, .seq = 0, .data = "a");
    PUT(&rig, SERVER, .seq = 0, .ack = 1, .data = "b");
    tcp_expect(&rig, "c[0]\"a\" s[0]\"b\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 0);
}
END_TEST

START_TEST(simultaneous_open)
{
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, SERVER, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, CLIENT, .flags = TCP_SYN);
    PUT(&rig, SERVER, .flags = TCP_SYN);
    PUT(&rig, SERVER, .seq = 0, .data = "b");
    PUT(&rig, CLIENT, .seq = 0, .ack = 1, .data = "a");
    tcp_expect(&rig, "s[0]\"b\" c[0]\"a\"");
    ck_assert_uint_eq(tcp_side(&rig, SERVER).retransmits, 0);
}
END_TEST

START_TEST(midstream)
{
    rig.marks = 1;
    PUT(&rig, SERVER, .seq = 500, .ack = 100, .data = "b");
    PUT(&rig, CLIENT, .seq = 100, .ack = 501, .data = "a");
    tcp_expect(&rig, "s[0]<0#1\"b\" c[0]<1#2\"a\"");
    PUT(&rig, SERVER, .seq = 490, .ack = 100, .data = "old"); /* from before the capture */
    tcp_expect(&rig, "");
    ck_assert_uint_eq(tcp_side(&rig, SERVER).retransmits, 1);
    ck_assert_int_eq(tcp_side(&rig, SERVER).from_start, 0);
    ck_assert_int_eq(tcp_side(&rig, SERVER).syn, 0);
}
END_TEST

START_TEST(midstream_answer_first)
{
    PUT(&rig, SERVER, .seq = 500, .ack = 100, .data = "answer");
    PUT(&rig, CLIENT, .seq = 90, .ack = 500, .data = "request..."); /* captured late */
    PUT(&rig, CLIENT, .seq = 100, .ack = 506, .data = "next");
    tcp_expect(&rig, "s[0]\"answer\" c[0]\"request...\" c[10]\"next\"");
}
END_TEST

/* What proves a gap is a packet, also where the end of the stream was first told by the peer. */
START_TEST(midstream_gap_behind_late_bytes)
{
    PUT(&rig, CLIENT, .seq = 100, .ack = 900, .data = "ask");
    PUT(&rig, SERVER, .seq = 500, .ack = 103, .data = "late"); /* 504 to 900 were never captured */
    tcp_wait(&rig, 10, 103, 900);
    tcp_expect(&rig, "c[0]\"ask\" s[0]\"late\" s[4]-396");
    ck_assert_uint_eq(rig.mark.packet, 2);
    ck_assert_int_gt(rig.mark.time_ns, 0);
}
END_TEST

START_TEST(midstream_keepalives)
{
    PUT(&rig, CLIENT, .seq = 99, .ack = 500); /* empty, one below what is next */
    PUT(&rig, SERVER, .seq = 500, .ack = 100);
    PUT(&rig, CLIENT, .seq = 100, .ack = 500, .data = "a");
    tcp_expect(&rig, "c[0]\"a\"");
    tcp_start(&rig);
    PUT(&rig, CLIENT, .seq = 99, .ack = 500, .data = "", .len = 1); /* with a zero byte */
    PUT(&rig, SERVER, .seq = 500, .ack = 100);
    PUT(&rig, CLIENT, .seq = 100, .ack = 500, .data = "a");
    tcp_expect(&rig, "c[0]\"a\"");
}
END_TEST

/* --- ends --- */

START_TEST(fin_in_order)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "ab", .flags = TCP_FIN);
    tcp_expect(&rig, "c[0]\"ab\" c.");
    PUT(&rig, SERVER, .seq = 0, .ack = 3, .data = "half close");
    PUT(&rig, SERVER, .seq = 10, .ack = 3, .flags = TCP_FIN);
    PUT(&rig, CLIENT, .seq = 3, .ack = 11);
    tcp_flush(&rig);
    tcp_expect(&rig, "s[0]\"half close\" s.");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).missing + tcp_side(&rig, SERVER).missing, 0);
    ck_assert_int_eq(tcp_side(&rig, CLIENT).fin && tcp_side(&rig, SERVER).fin, 1);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).delivered, 2);
}
END_TEST

START_TEST(fin_out_of_order_and_again)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 3, .data = "d", .flags = TCP_FIN);
    tcp_expect(&rig, "");
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    tcp_expect(&rig, "c[0]\"abc\" c[3]\"d\" c.");
    PUT(&rig, CLIENT, .seq = 4, .flags = TCP_FIN);
    PUT(&rig, CLIENT, .seq = 5, .data = "after");
    PUT(&rig, CLIENT, .seq = 9, .flags = TCP_FIN);
    tcp_flush(&rig);
    tcp_expect(&rig, "");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 1);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).ignored, 2);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).delivered, 4);
}
END_TEST

START_TEST(fin_before_data_beyond_it)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, CLIENT, .seq = 1, .flags = TCP_FIN); /* a lie: there is more already */
    PUT(&rig, CLIENT, .seq = 3, .data = "d");
    tcp_expect(&rig, "c[0]\"abc\" c[3]\"d\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).ignored, 1);
}
END_TEST

START_TEST(fin_cuts_data_beyond_it)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 3, .flags = TCP_FIN);
    PUT(&rig, CLIENT, .seq = 0, .data = "abcdef");
    tcp_expect(&rig, "c[0]\"abc\" c.");
}
END_TEST

START_TEST(answer_waits_for_the_fin_it_acks)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "ab");
    PUT(&rig, SERVER, .seq = 0, .ack = 3, .data = "S");
    tcp_expect(&rig, "c[0]\"ab\"");
    PUT(&rig, CLIENT, .seq = 2, .flags = TCP_FIN);
    tcp_expect(&rig, "c. s[0]\"S\"");
}
END_TEST

START_TEST(fin_waits_for_bytes_it_acks)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .ack = 3, .flags = TCP_FIN);
    tcp_expect(&rig, "");
    PUT(&rig, SERVER, .seq = 0, .ack = 0, .data = "xyz");
    tcp_expect(&rig, "s[0]\"xyz\" c.");
}
END_TEST

START_TEST(reset)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = 3);
    PUT(&rig, CLIENT, .seq = 1, .flags = TCP_RST);        /* below the window */
    PUT(&rig, CLIENT, .seq = 90 << 20, .flags = TCP_RST); /* above */
    ck_assert_int_eq(tcp_side(&rig, CLIENT).rst, 0);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).ignored, 2);
    PUT(&rig, CLIENT, .seq = 6, .data = "ghi");
    PUT(&rig, CLIENT, .seq = 3, .flags = TCP_RST, .data = "reason");
    ck_assert_int_eq(tcp_side(&rig, CLIENT).rst, 1);
    tcp_flush(&rig);
    tcp_expect(&rig, "c[0]\"abc\" c[3]-3 c[6]\"ghi\"");
}
END_TEST

START_TEST(reset_refuses)
{
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, SERVER, .seq = -5, .ack = 9999, .flags = TCP_RST);
    ck_assert_int_eq(tcp_side(&rig, SERVER).rst, 0);
    PUT(&rig, SERVER, .seq = -5, .ack = 0, .flags = TCP_RST);
    ck_assert_int_eq(tcp_side(&rig, SERVER).rst, 1);
    ck_assert_int_eq(tcp_side(&rig, SERVER).started, 0);
}
END_TEST

/* --- probes, repetitions, round trips --- */

START_TEST(keepalives)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = 3);
    PUT(&rig, CLIENT, .seq = 2);
    PUT(&rig, CLIENT, .seq = 2, .data = "\1");
    tcp_expect(&rig, "c[0]\"abc\"");
    struct reassembly_side c = tcp_side(&rig, CLIENT);
    ck_assert_uint_eq(c.retransmits + c.conflicts + c.ignored + c.duplicates, 0);
}
END_TEST

START_TEST(zero_window_probe)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = 3, .zero_window = 1);
    PUT(&rig, CLIENT, .seq = 3, .data = "d");
    PUT(&rig, CLIENT, .seq = 3, .data = "d");
    PUT(&rig, SERVER, .seq = 0, .ack = 3);
    PUT(&rig, CLIENT, .seq = 3, .data = "def");
    tcp_expect(&rig, "c[0]\"abc\" c[3]\"d\" c[4]\"ef\"");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 0);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).conflicts, 0);
}
END_TEST

START_TEST(captured_twice)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ip_id = 7);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ip_id = 7);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).duplicates, 1);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ip_id = 8); /* sent again */
    PUT(&rig, CLIENT, .seq = 0, .data = "abc", .ip_id = 7, .later_ns = 1200000000);
    PUT(&rig, CLIENT, .seq = 3, .data = "def");
    PUT(&rig, CLIENT, .seq = 3, .data = "def", .later_ns = -900000); /* no id, but at once */
    PUT(&rig, CLIENT, .seq = 3, .data = "def", .later_ns = 50000000);
    PUT(&rig, SERVER, .flags = TCP_SYN, .ip_id = 3);
    struct reassembly_side c = tcp_side(&rig, CLIENT);
    ck_assert_uint_eq(c.duplicates, 2);
    ck_assert_uint_eq(c.retransmits, 3);
    rig.used = 0;
}
END_TEST

START_TEST(captured_twice_throughout)
{
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1, .ip_id = 1);
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1, .ip_id = 1);
    PUT(&rig, CLIENT, .seq = 1, .data = "b", .ip_id = 3); /* held */
    PUT(&rig, CLIENT, .seq = 1, .data = "b", .ip_id = 3);
    PUT(&rig, CLIENT, .seq = 0, .data = "a", .ip_id = 2);
    PUT(&rig, CLIENT, .seq = 0, .data = "a", .ip_id = 2);
    PUT(&rig, CLIENT, .seq = 2, .flags = TCP_FIN, .ip_id = 4);
    PUT(&rig, CLIENT, .seq = 2, .flags = TCP_FIN, .ip_id = 4);
    tcp_expect(&rig, "c[0]\"a\" c[1]\"b\" c.");
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).duplicates, 4);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).retransmits, 0);
}
END_TEST

START_TEST(round_trip)
{
    ck_assert_int_eq(tcp_side(&rig, CLIENT).rtt_ns, -1);
    PUT(&rig, CLIENT, .flags = TCP_SYN, .no_ack = 1);
    PUT(&rig, SERVER, .flags = TCP_SYN, .later_ns = 49000000);
    ck_assert_int_eq(tcp_side(&rig, CLIENT).rtt_ns, 50000000);
    PUT(&rig, CLIENT, .seq = 0);
    ck_assert_int_eq(tcp_side(&rig, SERVER).rtt_ns, 1000000);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, SERVER, .seq = 0, .ack = 3); /* of which of the two? */
    ck_assert_int_eq(tcp_side(&rig, CLIENT).rtt_ns, 50000000);
    PUT(&rig, CLIENT, .seq = 3, .data = "def");
    PUT(&rig, SERVER, .seq = 0, .ack = 5, .later_ns = 5000000); /* does not cover it */
    PUT(&rig, SERVER, .seq = 0, .ack = 6, .later_ns = 13000000);
    ck_assert_int_eq(tcp_side(&rig, CLIENT).rtt_ns, 20000000);
    rig.used = 0;
}
END_TEST

/* --- after stop --- */

START_TEST(stopped)
{
    tcp_handshake(&rig);
    PUT(&rig, CLIENT, .seq = 0, .data = "abc");
    PUT(&rig, CLIENT, .seq = 5, .data = "fg");
    size_t used = rig.budget.used;
    reassembly_stop(rig.r);
    ck_assert_uint_lt(rig.budget.used, used);
    used = rig.budget.used;
    rig.used = 0;
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).missing, 2);
    PUT(&rig, CLIENT, .seq = 3, .data = "de"); /* the hole is filled */
    PUT(&rig, CLIENT, .seq = 7, .data = "h");
    PUT(&rig, CLIENT, .seq = 20, .data = "u");
    PUT(&rig, CLIENT, .seq = 0, .data = "XYZ");
    PUT(&rig, SERVER, .seq = 0, .ack = 21, .data = "S");
    struct reassembly_side c = tcp_side(&rig, CLIENT);
    ck_assert_uint_eq(c.delivered, 21);
    ck_assert_uint_eq(c.missing, 12);
    ck_assert_uint_eq(c.retransmits, 1);
    ck_assert_uint_eq(c.out_of_order, 1);
    PUT(&rig, CLIENT, .seq = 21, .data = "v", .flags = TCP_FIN);
    PUT(&rig, SERVER, .seq = 1, .ack = 23);
    PUT(&rig, CLIENT, .seq = 23, .ack = 6);
    tcp_flush(&rig);
    tcp_expect(&rig, "");
    ck_assert_int_eq(tcp_side(&rig, CLIENT).fin, 1);
    ck_assert_uint_eq(tcp_side(&rig, CLIENT).delivered, 22);
    ck_assert_uint_eq(tcp_side(&rig, SERVER).missing, 5);
    ck_assert_uint_eq(rig.budget.used, used);
}
END_TEST

static TCase *group(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}

Suite *reassembly_suite(void)
{
    Suite *suite = suite_create("reassembly");
    TCase *t = group(suite, "stream");
    tcase_add_test(t, in_order);
    tcase_add_test(t, out_of_order);
    tcase_add_test(t, overlap_of_delivered);
    tcase_add_test(t, overlap_of_held);
    tcase_add_test(t, number_wrap);
    tcase_add_test(t, number_beyond_4gib);
    t = group(suite, "overlap");
    tcase_add_loop_test(t, overlap_policy, 0,
                        5 * (int)(sizeof overlap_cases / sizeof *overlap_cases));
    tcase_add_test(t, conflict_with_held_names_both);
    tcase_add_test(t, conflict_with_held_won_by_new);
    tcase_add_test(t, conflict_with_delivered);
    tcase_add_test(t, conflict_beyond_recent_is_unknown);
    tcase_add_test(t, recent_off);
    t = group(suite, "handshake");
    tcase_add_test(t, lost_syn);
    tcase_add_test(t, lost_syn_ack);
    tcase_add_test(t, syn_after_syn_ack);
    tcase_add_test(t, syn_data);
    tcase_add_test(t, syn_again_and_other_syn);
    tcase_add_test(t, other_syn_is_the_one_taken);
    tcase_add_test(t, split_handshakes);
    tcase_add_test(t, simultaneous_open);
    tcase_add_test(t, midstream);
    tcase_add_test(t, midstream_answer_first);
    tcase_add_test(t, midstream_gap_behind_late_bytes);
    tcase_add_test(t, midstream_keepalives);
    t = group(suite, "ends");
    tcase_add_test(t, fin_in_order);
    tcase_add_test(t, fin_out_of_order_and_again);
    tcase_add_test(t, fin_before_data_beyond_it);
    tcase_add_test(t, fin_cuts_data_beyond_it);
    tcase_add_test(t, answer_waits_for_the_fin_it_acks);
    tcase_add_test(t, fin_waits_for_bytes_it_acks);
    tcase_add_test(t, reset);
    tcase_add_test(t, reset_refuses);
    t = group(suite, "repetitions");
    tcase_add_test(t, keepalives);
    tcase_add_test(t, zero_window_probe);
    tcase_add_test(t, captured_twice);
    tcase_add_test(t, captured_twice_throughout);
    tcase_add_test(t, round_trip);
    tcase_add_test(t, stopped);
    return suite;
}
