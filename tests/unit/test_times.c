/*
 * Times as people write them.
 */
#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "../../analyzer/times.h"

Suite *times_suite(void);

static const int64_t second = 1000000000;

/* 2026-11-22 15:30:00 UTC; with a zone that is not UTC and has summer time. */
static const int64_t now = INT64_C(1795361400) * 1000000000;

static void setup(void)
{
    ck_assert_int_eq(setenv("TZ", "Europe/Berlin", 1), 0);
    tzset();
}

static int64_t parsed(const char *text)
{
    int64_t ns = -1;
    ck_assert_msg(times_parse(text, now, &ns) == 0, "not understood: %s", text);
    return ns;
}

START_TEST(test_iso)
{
    ck_assert_int_eq(parsed("2026-11-22T15:30:00Z"), now);
    ck_assert_int_eq(parsed("2026-11-22T16:30:00"), now); /* local: +01:00 */
    ck_assert_int_eq(parsed("2026-11-22 16:30"), now);
    ck_assert_int_eq(parsed("2026-11-22T16:30+01:00"), now);
    ck_assert_int_eq(parsed("2026-11-22T10:30:00-0500"), now);
    ck_assert_int_eq(parsed("2026-11-22T15:30:00.25Z"), now + second / 4);
    ck_assert_int_eq(parsed("2026-11-22T15:30:00.123456789012Z"), now + 123456789);
    ck_assert_int_eq(parsed("2026-11-22"), parsed("today"));
    ck_assert_int_eq(parsed("2024-02-29T00:00:00Z"), INT64_C(1709164800) * second);
    ck_assert_int_eq(parsed("2026-07-01T12:00:00"), parsed("2026-07-01T10:00:00Z"));
}
END_TEST

START_TEST(test_clock)
{
    ck_assert_int_eq(parsed("16:30"), now);
    ck_assert_int_eq(parsed("14:00"), now - (2 * 3600 + 1800) * second);
    ck_assert_int_eq(parsed("16:29:59.5"), now - second / 2);
    /* not yet today: yesterday */
    ck_assert_int_eq(parsed("16:31"), now - (86400 - 60) * second);
}
END_TEST

START_TEST(test_ago)
{
    ck_assert_int_eq(parsed("2h"), now - 7200 * second);
    ck_assert_int_eq(parsed("90s"), now - 90 * second);
    ck_assert_int_eq(parsed("1h30m"), now - 5400 * second);
    ck_assert_int_eq(parsed("15min"), now - 900 * second);
    ck_assert_int_eq(parsed("1.5d"), now - 129600 * second);
    ck_assert_int_eq(parsed("2w"), now - 14 * 86400 * second);
    ck_assert_int_eq(parsed("now"), now);
    ck_assert_int_eq(parsed("today"), now - (16 * 3600 + 1800) * second);
    ck_assert_int_eq(parsed("yesterday"), now - (40 * 3600 + 1800) * second);
}
END_TEST

START_TEST(test_nonsense)
{
    static const char *const wrong[] = {
        "",
        " ",
        "whenever",
        "2",
        "2x",
        "h",
        "25:00",
        "14:60",
        "14:00:61",
        "14:00x",
        "1:00",
        "2026-13-01",
        "2026-00-01",
        "2026-02-29",
        "2026-02-30",
        "2026-04-31",
        "2026-11-22T",
        "2026-11-22T1:00",
        "2026-11-22T15:30:00+1",
        "2026-11-22T15:30:00Zulu",
        "1969-01-01",
        "2201-01-01",
        "9999-01-01",
        "2026-11",
        "-2h",
        "+2h",
        "2h-",
        "99999999999999999999h",
        "9999999999w",
        "30000d30000d30000d",
        "14:00:00.",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t ns = 42;
        ck_assert_msg(times_parse(wrong[i], now, &ns) == -1, "understood: %s", wrong[i]);
    }
}
END_TEST

START_TEST(test_duration)
{
    int64_t ns;
    ck_assert_int_eq(times_parse_duration("30", &ns), 0);
    ck_assert_int_eq(ns, 30 * second);
    ck_assert_int_eq(times_parse_duration("0.2", &ns), 0);
    ck_assert_int_eq(ns, second / 5);
    ck_assert_int_eq(times_parse_duration("500ms", &ns), 0);
    ck_assert_int_eq(ns, second / 2);
    ck_assert_int_eq(times_parse_duration("1h30", &ns), -1);
    ck_assert_int_eq(times_parse_duration("", &ns), -1);
    ck_assert_int_eq(times_parse_duration("-1", &ns), -1);
}
END_TEST

START_TEST(test_printing)
{
    char text[TIMES_SIZE];
    ck_assert_str_eq(times_local(now + 123456789, 3, text), "2026-11-22 16:30:00.123");
    ck_assert_str_eq(times_local(now, 0, text), "2026-11-22 16:30:00");
    ck_assert_str_eq(times_clock(now + 999999999, 6, text), "16:30:00.999999");
    ck_assert_str_eq(times_iso(now + 5, text), "2026-11-22T15:30:00.000000005Z");
    ck_assert_str_eq(times_iso(-1, text), "1969-12-31T23:59:59.999999999Z");
    ck_assert_str_eq(times_zone(now, text), "+01:00");
    ck_assert_str_eq(times_zone(parsed("2026-07-01"), text), "+02:00");
    ck_assert_ptr_nonnull(times_iso(INT64_MAX, text));
    ck_assert_ptr_nonnull(times_local(INT64_MIN, 9, text));
}
END_TEST

START_TEST(test_lengths)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0 ns"},
        {999, "999 ns"},
        {1000, "1 us"},
        {850000, "850 us"},
        {999499, "999 us"},
        {999500, "1.0 ms"},
        {9949999, "9.9 ms"},
        {9950000, "10 ms"},
        {12345678, "12 ms"},
        {999600000, "1.0 s"},
        {6240000000, "6.2 s"},
        {59940000000, "59.9 s"},
        {59960000000, "1 m 00 s"},
        {125000000000, "2 m 05 s"},
        {INT64_C(12000) * 1000000000, "3 h 20 m"},
        {INT64_C(370000) * 1000000000, "4 d 06 h"},
        {-1500000, "-1.5 ms"},
    };
    char text[TIMES_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(times_duration(cases[i].ns, text), cases[i].text);
    ck_assert_ptr_nonnull(times_duration(INT64_MIN, text));
    ck_assert_int_eq(times_between(3, 10), 7);
    ck_assert_int_eq(times_between(INT64_MAX, -2), INT64_MIN);
    ck_assert_int_eq(times_between(INT64_MIN, 0), INT64_MAX);
}
END_TEST

Suite *times_suite(void)
{
    Suite *suite = suite_create("times");
    TCase *tests = tcase_create("times");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_iso);
    tcase_add_test(tests, test_clock);
    tcase_add_test(tests, test_ago);
    tcase_add_test(tests, test_nonsense);
    tcase_add_test(tests, test_duration);
    tcase_add_test(tests, test_printing);
    tcase_add_test(tests, test_lengths);
    suite_add_tcase(suite, tests);
    return suite;
}
