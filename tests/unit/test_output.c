/*
 * What reaches a terminal, a csv reader and a json parser.
 */
#include <check.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/rows.h"

Suite *output_suite(void);

#define TEXT(s) ((struct text){("" s ""), sizeof(s) - 1})

static void setup(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
}

static void safe_is(struct text text, unsigned flags, const char *want)
{
    struct buffer buffer = {0};
    buffer_safe(&buffer, text, flags);
    ck_assert_str_eq(buffer_text(&buffer), want);
    buffer_release(&buffer);
}

static void json_is(struct text text, const char *want)
{
    struct buffer buffer = {0};
    buffer_json(&buffer, text);
    ck_assert_str_eq(buffer_text(&buffer), want);
    buffer_release(&buffer);
}

START_TEST(test_safe)
{
    safe_is(TEXT("plain words"), 0, "plain words");
    safe_is(TEXT(""), 0, "");
    safe_is(TEXT("\033[31mred\007"), 0, "\\x1b[31mred\\x07");
    safe_is(TEXT("a\nb\r\tc\177"), 0, "a\\nb\\r\\tc\\x7f");
    safe_is(TEXT("a\0b"), 0, "a\\x00b");
    safe_is(TEXT("caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80"), 0,
            "caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80");
    safe_is(TEXT("\xc2\x9b"
                 "31m"),
            0, "\\u{9b}31m"); /* C1: CSI */
    safe_is(TEXT("\x9b"
                 "31m"),
            0, "\\x9b31m");                            /* the same as one byte */
    safe_is(TEXT("x\xe2\x80\xaey"), 0, "x\\u{202e}y"); /* right-to-left override */
    safe_is(TEXT("\xe2\x81\xa6\xe2\x81\xa9"), 0, "\\u{2066}\\u{2069}");
    safe_is(TEXT("\xe2\x80\x8f\xef\xbb\xbf\xe2\x80\xa8"), 0, "\\u{200f}\\u{feff}\\u{2028}");
    safe_is(TEXT("\xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"), 0,
            "\\xff\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80");
    safe_is(TEXT("end\xe4\xb8"), 0, "end\\xe4\\xb8");
    safe_is(TEXT("\xe0\x80\xaf\xf0\x80\x80\xaf"), 0, "\\xe0\\x80\\xaf\\xf0\\x80\\x80\\xaf");
    safe_is(TEXT("\xd8\x9c\xc2\xad"), 0, "\\u{61c}\\u{ad}");
    safe_is(TEXT("caf\xc3\xa9"), SAFE_ASCII, "caf\\u{e9}");
    safe_is(TEXT("a\nb\tc\033"), SAFE_NEWLINES, "a\nb\tc\\x1b");
}
END_TEST

/* Whatever the bytes are, nothing but printable characters comes out. */
START_TEST(test_safe_any)
{
    uint32_t state = 12345;
    for (int round = 0; round < 2000; round++) {
        char bytes[24];
        struct buffer buffer = {0};
        for (size_t i = 0; i < sizeof bytes; i++) {
            state = state * 1664525 + 1013904223;
            bytes[i] = (char)(state >> 24);
        }
        buffer_safe(&buffer, (struct text){bytes, sizeof bytes}, 0);
        ck_assert_int_eq(text_valid((struct text){buffer.data, buffer.len}), 1);
        for (size_t at = 0; at < buffer.len;) {
            uint32_t code;
            at += text_next(buffer.data + at, buffer.len - at, &code);
            ck_assert_int_ge(text_code_width(code), 0);
        }
        buffer_release(&buffer);
    }
}
END_TEST

START_TEST(test_json)
{
    json_is(TEXT("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    json_is(TEXT("\n\r\t\b\0\033\177"), "\"\\n\\r\\t\\u0008\\u0000\\u001b\\u007f\"");
    json_is(TEXT("\xc3\xa9\xe2\x80\xae\xf3\xa0\x80\x81"), "\"\xc3\xa9\\u202e\\udb40\\udc01\"");
}
END_TEST

START_TEST(test_width)
{
    ck_assert_uint_eq(text_width("abc", 3), 3);
    ck_assert_uint_eq(text_width("\xe4\xb8\xad", 3), 2);
    ck_assert_uint_eq(text_width("e\xcc\x81", 3), 1); /* a combining accent */
    ck_assert_uint_eq(text_fit("a\xe4\xb8\xad"
                               "b",
                               5, 2),
                      1);
    ck_assert_uint_eq(text_fit("a\xe4\xb8\xad"
                               "b",
                               5, 3),
                      4);
    ck_assert_uint_eq(text_fit("abc", 3, 99), 3);
}
END_TEST

/* ---------------------------------------------------------------- rows */

static char printed[65536];

static void capture_output(struct output *out, FILE **file)
{
    *file = tmpfile();
    ck_assert_ptr_nonnull(*file);
    output_init(out, *file);
}

static const char *captured(struct output *out, FILE *file)
{
    ck_assert_int_eq(output_finish(out), 0);
    rewind(file);
    size_t len = fread(printed, 1, sizeof printed - 1, file);
    printed[len] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    return printed;
}

static const struct column columns[] = {
    {"n", COLUMN_RIGHT, 0, 0}, {"text", 0, 8, 0}, {"text", 0, 0, 1}};

static const char *rows_in(enum format format, size_t width)
{
    struct output out;
    FILE *file;
    capture_output(&out, &file);
    out.width = width;
    struct rows *rows = rows_new(&out, format, columns, 3);
    ck_assert_ptr_nonnull(rows);
    rows_int(rows, -7);
    rows_text(rows, TEXT("a,\"b\"\n\033"));
    rows_null(rows);
    rows_null(rows); /* one too many is nothing */
    rows_end(rows);
    rows_real(rows, 0.1);
    rows_text(rows, TEXT(""));
    rows_blob(rows, TEXT("\x00\xff"));
    rows_end(rows);
    rows_real(rows, 3);
    rows_text(rows, TEXT("\xff"));
    rows_end(rows);
    ck_assert_uint_eq(rows_finish(rows), 3);
    return captured(&out, file);
}

START_TEST(test_csv)
{
    ck_assert_str_eq(rows_in(FORMAT_CSV, 0), "n,text,text:1\n"
                                             "-7,\"a,\"\"b\"\"\n\\x1b\",\n"
                                             "0.1,\"\",x'00ff'\n"
                                             "3.0,x'ff',\n");
}
END_TEST

START_TEST(test_json_rows)
{
    ck_assert_str_eq(rows_in(FORMAT_JSON, 0),
                     "[\n{\"n\":-7,\"text\":\"a,\\\"b\\\"\\n\\u001b\",\"text:1\":null},\n"
                     "{\"n\":0.1,\"text\":\"\",\"text:1\":{\"hex\":\"00ff\"}},\n"
                     "{\"n\":3.0,\"text\":{\"hex\":\"ff\"},\"text:1\":null}\n]\n");
    ck_assert_str_eq(rows_in(FORMAT_JSONL, 0),
                     "{\"n\":-7,\"text\":\"a,\\\"b\\\"\\n\\u001b\",\"text:1\":null}\n"
                     "{\"n\":0.1,\"text\":\"\",\"text:1\":{\"hex\":\"00ff\"}}\n"
                     "{\"n\":3.0,\"text\":{\"hex\":\"ff\"},\"text:1\":null}\n");
}
END_TEST

START_TEST(test_json_empty)
{
    struct output out;
    FILE *file;
    capture_output(&out, &file);
    struct rows *rows = rows_new(&out, FORMAT_JSON, columns, 3);
    ck_assert_uint_eq(rows_finish(rows), 0);
    ck_assert_str_eq(captured(&out, file), "[]\n");
}
END_TEST

START_TEST(test_table)
{
    ck_assert_str_eq(rows_in(FORMAT_TABLE, 0), "  n  text         text\n"
                                               " -7  a,\"b\"\\n\\x1b\n"
                                               "0.1               x'00ff'\n"
                                               "3.0  \\xff\n");
}
END_TEST

/* On a narrow terminal: first the column that may be cut, then the one that may go. */
START_TEST(test_table_narrow)
{
    struct output out;
    FILE *file;
    static const struct column narrow[] = {{"id", 0, 0, 0}, {"long", 0, 6, 0}, {"extra", 0, 0, 1}};
    for (size_t width = 40; width >= 10; width -= 10) {
        capture_output(&out, &file);
        out.width = width;
        struct rows *rows = rows_new(&out, FORMAT_TABLE, narrow, 3);
        rows_text(rows, TEXT("1"));
        rows_text(rows, TEXT("twelve chars"));
        rows_text(rows, TEXT("0123456789"));
        rows_end(rows);
        (void)rows_finish(rows);
        const char *text = captured(&out, file);
        if (width == 40)
            ck_assert_str_eq(text, "id  long          extra\n1   twelve chars  0123456789\n");
        if (width == 20)
            ck_assert_str_eq(text, "id  long\n1   twelve chars\n");
        if (width == 10)
            ck_assert_str_eq(text, "id  long\n1   twelv\xe2\x80\xa6\n");
    }
}
END_TEST

/* More rows than decide the widths: all are there, in order. */
START_TEST(test_table_long)
{
    struct output out;
    FILE *file;
    static const struct column one[] = {{"n", COLUMN_RIGHT, 0, 0}};
    capture_output(&out, &file);
    struct rows *rows = rows_new(&out, FORMAT_TABLE, one, 1);
    for (int i = 0; i < 2000; i++) {
        rows_int(rows, i);
        rows_end(rows);
    }
    ck_assert_uint_eq(rows_finish(rows), 2000);
    const char *at = captured(&out, file) + strlen("  n\n");
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(strtol(at, NULL, 10), i);
        at = strchr(at, '\n') + 1;
    }
    ck_assert_str_eq(at, "");
}
END_TEST

START_TEST(test_full)
{
    struct output out;
    FILE *file = fopen("/dev/full", "w");
    ck_assert_ptr_nonnull(file);
    output_init(&out, file);
    for (int i = 0; i < 10000; i++)
        output_word(&out, "0123456789");
    ck_assert_int_eq(out.error, ENOSPC);
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr)); /* it says so there */
    ck_assert_int_eq(output_finish(&out), 3);
    (void)fclose(file);
}
END_TEST

START_TEST(test_words)
{
    static const char *const names[] = {"sessions", "show", "messages", "sql", NULL};
    char text[32];
    ck_assert_str_eq(output_count(0, text), "0");
    ck_assert_str_eq(output_count(1234, text), "1234");
    ck_assert_str_eq(output_count(12345678, text), "12 345 678");
    ck_assert_str_eq(output_count(UINT64_MAX, text), "18 446 744 073 709 551 615");
    ck_assert_str_eq(output_bytes(999, text), "999 B");
    ck_assert_str_eq(output_bytes(1234, text), "1.2 kB");
    ck_assert_str_eq(output_bytes(999999, text), "1.0 MB");
    ck_assert_str_eq(output_bytes(45678901, text), "46 MB");
    ck_assert_str_eq(closest("sesions", names), "sessions");
    ck_assert_str_eq(closest("mesasges", names), "messages");
    ck_assert_str_eq(closest("sess", names), "sessions");
    ck_assert_ptr_null(closest("nonsense", names));
}
END_TEST

Suite *output_suite(void)
{
    Suite *suite = suite_create("output");
    TCase *tests = tcase_create("output");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_safe);
    tcase_add_test(tests, test_safe_any);
    tcase_add_test(tests, test_json);
    tcase_add_test(tests, test_width);
    tcase_add_test(tests, test_csv);
    tcase_add_test(tests, test_json_rows);
    tcase_add_test(tests, test_json_empty);
    tcase_add_test(tests, test_table);
    tcase_add_test(tests, test_table_narrow);
    tcase_add_test(tests, test_table_long);
    tcase_add_test(tests, test_full);
    tcase_add_test(tests, test_words);
    suite_add_tcase(suite, tests);
    return suite;
}
