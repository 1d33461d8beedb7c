/*
 * Unconsumed bytes of a layer: views, gaps, marks, and what happens at the limits.
 */
#include <check.h>
#include <string.h>

#include "../../dissectors/input.h"

Suite *input_suite(void);

static struct budget budget;
static struct input input;

static void setup(void)
{
    budget_init(&budget, 1 << 20, NULL);
    memset(&input, 0, sizeof input);
}

static void teardown(void)
{
    input_release(&input, &budget);
    ck_assert_uint_eq(budget.used, 0);
}

static void give(const char *text, uint64_t packet)
{
    struct mark mark = {.packet = packet, .root_offset = input.end + 1000};
    input_data(&input, &budget, 64, (const uint8_t *)text, strlen(text), &mark, 1);
    input_keep(&input, &budget, 64);
}

static void expect(const char *text)
{
    struct slice view = input_view(&input);
    ck_assert_uint_eq(view.len, strlen(text));
    if (view.len > 0)
        ck_assert_mem_eq(view.data, text, view.len);
}

START_TEST(bytes_join_and_are_consumed)
{
    give("abc", 1);
    give("def", 2);
    expect("abcdef");
    input_consume(&input, 4);
    expect("ef");
    ck_assert_uint_eq(input_view(&input).offset, 4);
    input_consume(&input, 2);
    expect("");
    give("gh", 3);
    expect("gh");
    ck_assert_uint_eq(input.offset, 6);
}
END_TEST

START_TEST(borrowed_bytes_are_not_copied)
{
    static const uint8_t bytes[] = "zero copy";
    struct mark mark = {.packet = 1};
    input_data(&input, &budget, 64, bytes, 9, &mark, 1);
    ck_assert_ptr_eq(input_view(&input).data, bytes);
    input_consume(&input, 9);
    input_keep(&input, &budget, 64);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(marks_are_exact_to_the_byte)
{
    give("abc", 11);
    give("def", 22);
    ck_assert_uint_eq(input_mark(&input, 2).packet, 11);
    ck_assert_uint_eq(input_mark(&input, 3).packet, 22);
    ck_assert_uint_eq(input_mark(&input, 4).root_offset, 1004);
    input_consume(&input, 1);
    ck_assert_uint_eq(input_mark(&input, 1).root_offset, 1001);
    input_consume(&input, 3);
    ck_assert_uint_eq(input_mark(&input, 0).packet, 22); /* older: the oldest still kept */
    ck_assert_uint_eq(input_mark(&input, 99).packet, 22);
}
END_TEST

START_TEST(gaps_part_the_bytes)
{
    struct mark mark = {.packet = 5};
    give("abc", 1);
    input_gap(&input, &budget, 10, &mark);
    give("xyz", 6);
    input_gap(&input, &budget, 7, &mark);
    expect("abc");
    ck_assert_uint_eq(input_gap_behind(&input), 10);
    input_consume(&input, 2);
    expect("c");
    input_skip_gap(&input);
    expect("xyz");
    ck_assert_uint_eq(input.offset, 13);
    ck_assert_uint_eq(input_gap_behind(&input), 7);
    input_consume(&input, 3);
    input_skip_gap(&input);
    ck_assert_uint_eq(input.offset, 23);
    ck_assert_uint_eq(input.offset, input.end);
    ck_assert_uint_eq(input_gap_behind(&input), 0);
}
END_TEST

START_TEST(what_cannot_be_held_becomes_a_gap)
{
    static const uint8_t big[100] = {'x'};
    struct mark mark = {.packet = 2};
    give("abc", 1);
    ck_assert_int_eq(input_data(&input, &budget, 64, big, sizeof big, &mark, 1), -1);
    expect("abc");
    ck_assert_uint_eq(input_gap_behind(&input), 100);
    give("def", 3);
    input_skip_gap(&input);
    expect("def");
    ck_assert_uint_eq(input.end, 106);
}
END_TEST

START_TEST(no_memory_keeps_the_offsets_right)
{
    budget.limit = 0;
    struct mark mark = {.packet = 2};
    input_data(&input, &budget, 64, (const uint8_t *)"abc", 3, &mark, 1);
    ck_assert_int_eq(input_keep(&input, &budget, 64), -1);
    ck_assert_uint_eq(input.offset, 3);
    expect("");
}
END_TEST

START_TEST(runs_are_capped_and_bytes_are_not_lost)
{
    for (unsigned i = 0; i < 10000; i++) {
        struct mark mark = {.packet = i + 1};
        ck_assert_int_eq(input_data(&input, &budget, 1 << 16, (const uint8_t *)"x", 1, &mark, 1),
                         0);
        input_keep(&input, &budget, 1 << 16);
    }
    ck_assert_uint_eq(input_view(&input).len, 10000);
    ck_assert_uint_le(input.run_count, 4096);
    input_consume(&input, 9999);
    ck_assert_uint_eq(input_view(&input).len, 1);
}
END_TEST

/* Where as much comes as goes, what is held is not moved for each byte, however full it is. */
START_TEST(what_is_held_is_seldom_moved)
{
    static const size_t held[] = {100, 510, 1000, 1022, 1023, 4090, 5000};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        size_t moves[2] = {0, 0};
        for (size_t n = 0; n < held[i] + 20000; n++) {
            struct mark mark = {.packet = n + 1};
            size_t held_at = input.held_at, run_at = input.run_at;
            uint8_t byte = (uint8_t)n;
            ck_assert_int_eq(input_data(&input, &budget, 1 << 16, &byte, 1, &mark, 1), 0);
            input_keep(&input, &budget, 1 << 16);
            moves[0] += held_at > input.held_at;
            moves[1] += run_at > input.run_at;
            if (n >= held[i])
                input_consume(&input, 1);
        }
        ck_assert_uint_eq(input_view(&input).len, held[i]);
        ck_assert_uint_eq(input_view(&input).data[0], (uint8_t)20000);
        ck_assert_uint_le(moves[0], 20000 / held[i] + 1);
        ck_assert_uint_le(moves[1], 20000 / (held[i] < 4096 ? held[i] : 4096) + 1);
        ck_assert_uint_le(input.held_cap, 1 << 14);
        input_release(&input, &budget);
        memset(&input, 0, sizeof input);
    }
}
END_TEST

START_TEST(budgets_are_charged_up_the_chain)
{
    struct budget child;
    budget_init(&budget, 300, NULL);
    budget_init(&child, 1000, &budget);
    char *a = budget_alloc(&child, 100);
    ck_assert_ptr_nonnull(a);
    ck_assert_uint_eq(child.used, budget.used);
    ck_assert_ptr_null(budget_alloc(&child, 250)); /* the parent's limit */
    ck_assert_uint_eq(budget.denied, 1);
    ck_assert_uint_eq(child.denied, 0);
    a = budget_realloc(&child, a, 200);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_null(budget_realloc(&child, a, 400));
    budget_free(&child, a);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

Suite *input_suite(void)
{
    Suite *suite = suite_create("input");
    TCase *tcase = tcase_create("input");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, bytes_join_and_are_consumed);
    tcase_add_test(tcase, borrowed_bytes_are_not_copied);
    tcase_add_test(tcase, marks_are_exact_to_the_byte);
    tcase_add_test(tcase, gaps_part_the_bytes);
    tcase_add_test(tcase, what_cannot_be_held_becomes_a_gap);
    tcase_add_test(tcase, no_memory_keeps_the_offsets_right);
    tcase_add_test(tcase, runs_are_capped_and_bytes_are_not_lost);
    tcase_add_test(tcase, what_is_held_is_seldom_moved);
    tcase_add_test(tcase, budgets_are_charged_up_the_chain);
    suite_add_tcase(suite, tcase);
    return suite;
}
