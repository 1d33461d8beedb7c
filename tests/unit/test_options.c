/*
 * The command line: options anywhere, strict values, hints, help from the same tables.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../../analyzer/options.h"
#include "../../analyzer/rows.h"

Suite *options_suite(void);

static int never(const struct options *options)
{
    (void)options;
    return STATUS_DONE;
}

static const struct option_info table[] = {
    OPTIONS_TITLE("Options"),
    OPTIONS_OUTPUT,
    OPTIONS_FILTER,
    OPTIONS_COUNT,
    OPTIONS_TIMES,
    OPTIONS_SESSIONS,
    OPTIONS_STORING("all", "64K"),
    OPTIONS_ENGINE,
    OPTIONS_TALK,
    OPTIONS_FORMAT(format_choices, ""),
    OPTION_END,
};

static const struct command command = {
    .name = "try",
    .arguments = "FILE...",
    .summary = "Tries.",
    .options = table,
    .missing = "which FILE?",
    .least = 1,
    .most = 3,
    .run = never,
};

static struct options options;
static struct error error;

/* Words with single blanks between. */
static enum options_result parse(const char *line)
{
    static char text[400];
    static char *argv[32];
    int argc = 0;
    error.text[0] = '\0';
    ck_assert_uint_lt((size_t)snprintf(text, sizeof text, "%s", line), sizeof text);
    for (char *at = text; *at != '\0' && argc < 32; argc++) {
        argv[argc] = at;
        at += strcspn(at, " ");
        if (*at == ' ')
            *at++ = '\0';
    }
    return options_parse(&command, argc, argv, &options, &error);
}

START_TEST(test_defaults)
{
    ck_assert_int_eq(parse("a.pcap"), OPTIONS_RUN);
    ck_assert_str_eq(options.output, "switchtap.db");
    ck_assert_uint_eq(options.payload, 65536);
    ck_assert_uint_eq(options.memory, 256 << 20);
    ck_assert_int_eq(options.flows, FLOWS_ALL);
    ck_assert_int_eq(options.detail, DETAIL_ALL);
    ck_assert_int_eq(options.outcome, 0);
    ck_assert_int_eq(options.since_ns == INT64_MIN && options.until_ns == INT64_MAX, 1);
    ck_assert_ptr_null(options.filter);
    ck_assert_int_eq(options.argument_count, 1);
}
END_TEST

START_TEST(test_anywhere)
{
    ck_assert_int_eq(parse("a.pcap -o x.db b.pcap --payload=0 - -qvv"), OPTIONS_RUN);
    ck_assert_int_eq(options.argument_count, 3);
    ck_assert_str_eq(options.arguments[0], "a.pcap");
    ck_assert_str_eq(options.arguments[1], "b.pcap");
    ck_assert_str_eq(options.arguments[2], "-");
    ck_assert_str_eq(options.output, "x.db");
    ck_assert_uint_eq(options.payload, 0);
    ck_assert_int_eq(options.quiet, 1);
    ck_assert_int_eq(options.verbose, 2);
    ck_assert_int_eq(parse("-ox.db -c12 -knone -- -o --help"), OPTIONS_RUN);
    ck_assert_str_eq(options.output, "x.db");
    ck_assert_uint_eq(options.count, 12);
    ck_assert_int_eq(options.checksums_off, 1);
    ck_assert_int_eq(options.argument_count, 2);
    ck_assert_str_eq(options.arguments[1], "--help");
    ck_assert_int_eq(parse("a -f -c -c 1"), OPTIONS_RUN); /* the value may look like an option */
    ck_assert_str_eq(options.filter, "-c");
}
END_TEST

START_TEST(test_help_wins)
{
    ck_assert_int_eq(parse("--help"), OPTIONS_HELP);
    ck_assert_int_eq(parse("a b -h"), OPTIONS_HELP);
}
END_TEST

START_TEST(test_wrong)
{
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "which FILE?"},
        {"a b c d", "'d' is one argument too many"},
        {"a --nonsense", "no option --nonsense"},
        {"a --outptu x", "did you mean --output?"},
        {"a --path=/x --outcom refused", "did you mean --outcome?"},
        {"a -Z", "no option -Z"},
        {"a -o", "--output needs a value"},
        {"a --output=", "--output is empty"},
        {"a --again=1", "no option --again"},
        {"a --quiet=1", "takes no value"},
        {"a --memory lots", "not 'lots'"},
        {"a --memory 1", "at least 4M"},
        {"a --payload 65M", "at most 64M"},
        {"a --payload -1", "not '-1'"},
        {"a -c 0", "too little"},
        {"a -c 1x", "whole number"},
        {"a -c 99999999999999999999", "whole number"},
        {"a --since whenever", "does not understand 'whenever'"},
        {"a --outcome maybe", "switched, refused, ignored, unanswered or unsolicited"},
        {"a --overlap solaris", "bsd, first, last, linux or windows"},
        {"a -k maybe", "verify or none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(parse(cases[i].line) == OPTIONS_WRONG, "accepted: %s", cases[i].line);
        ck_assert_msg(strstr(error.text, cases[i].says) != NULL, "%s: %s", cases[i].line,
                      error.text);
    }
}
END_TEST

START_TEST(test_sizes)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } right[] = {
        {"0", 0},
        {"4096", 4096},
        {"64K", 65536},
        {"64k", 65536},
        {"64KiB", 65536},
        {"1KB", 1024},
        {"256M", 268435456},
        {"1G", 1073741824},
        {"16T", UINT64_C(17592186044416)},
        {"18446744073709551615", UINT64_MAX},
    };
    static const char *const wrong[] = {"",
                                        "K",
                                        "64KK",
                                        "64 K",
                                        "1.5M",
                                        "-1",
                                        "0x10",
                                        "64B",
                                        "1m",
                                        "+1",
                                        "18446744073709551616",
                                        "99999999999T",
                                        "1Ki"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        uint64_t bytes = 1;
        ck_assert_msg(options_size(right[i].text, &bytes) == 0, "refused: %s", right[i].text);
        ck_assert_uint_eq(bytes, right[i].bytes);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint64_t bytes;
        ck_assert_msg(options_size(wrong[i], &bytes) == -1, "accepted: %s", wrong[i]);
    }
}
END_TEST

START_TEST(test_choices)
{
    ck_assert_int_eq(parse("a --outcome unsolicited --overlap windows --detail sessions "
                           "--flows switching --format jsonl"),
                     OPTIONS_RUN);
    ck_assert_str_eq(outcome_choices[options.outcome - 1], "unsolicited");
    ck_assert_str_eq(overlap_choices[options.overlap], "windows");
    ck_assert_int_eq(options.detail, DETAIL_SESSIONS);
    ck_assert_int_eq(options.flows, FLOWS_SWITCHING);
    ck_assert_int_eq(options.format, FORMAT_JSONL);
}
END_TEST

/* Each option of the table is in the help, with its default. */
START_TEST(test_help)
{
    struct output out;
    char text[16000] = "";
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    output_init(&out, file);
    options_help(&command, &out);
    output_flush(&out);
    rewind(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    for (const struct option_info *info = table; info->name != NULL; info++) {
        char name[64];
        (void)snprintf(name, sizeof name, "--%s", info->name);
        ck_assert_msg(info->kind == OPTION_HEADING || strstr(text, name) != NULL, "no %s", name);
    }
    ck_assert_ptr_nonnull(strstr(text, "switchtap.db)"));
    ck_assert_ptr_nonnull(strstr(text, "-o, --output DB"));
    ck_assert_ptr_nonnull(strstr(text, "switched|refused"));
    ck_assert_ptr_nonnull(strstr(text, "-h, --help"));
}
END_TEST

Suite *options_suite(void)
{
    Suite *suite = suite_create("options");
    TCase *tests = tcase_create("options");
    tcase_add_test(tests, test_defaults);
    tcase_add_test(tests, test_anywhere);
    tcase_add_test(tests, test_help_wins);
    tcase_add_test(tests, test_wrong);
    tcase_add_test(tests, test_sizes);
    tcase_add_test(tests, test_choices);
    tcase_add_test(tests, test_help);
    suite_add_tcase(suite, tests);
    return suite;
}
