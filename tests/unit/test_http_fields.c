/*
 * Lists, parameters, quoted strings, tokens and authorities of HTTP fields.
 */
#include <check.h>
#include <string.h>

#include "../../dissectors/http_fields.h"

Suite *http_fields_suite(void);

#define L(s) {s, sizeof(s) - 1}

static struct text text_of(const char *s)
{
    return (struct text){s, strlen(s)};
}

static void check_text(struct text text, const char *want)
{
    ck_assert_uint_eq(text.len, strlen(want));
    ck_assert(text.len == 0 || memcmp(text.data, want, text.len) == 0);
}

START_TEST(compare)
{
    ck_assert(text_is(text_of("UpGrade"), "upgrade"));
    ck_assert(!text_is(text_of("upgrades"), "upgrade"));
    ck_assert(!text_is(TEXT_NONE, ""));
    ck_assert(http_text_begins(text_of("TLS/1.2"), "tls/"));
    ck_assert(!http_text_begins(text_of("TL"), "tls/"));
    ck_assert(http_text_same(text_of("aB"), text_of("Ab")));
    ck_assert(!http_text_equal(text_of("aB"), text_of("Ab")));
    ck_assert(http_text_contains(text_of("xxBearer"), "bearer"));
    ck_assert(!http_text_contains(text_of("beare"), "bearer"));
    check_text(http_text_trim(text_of(" \t a b\r\n ")), "a b");
    check_text(http_text_before(text_of("a;b"), ';'), "a");
    check_text(http_text_before(text_of("ab"), ';'), "ab");
}
END_TEST

START_TEST(tokens)
{
    ck_assert(http_is_token(text_of("permessage-deflate")));
    ck_assert(http_is_token(text_of("!#$%&'*+-.^_`|~0aZ")));
    ck_assert(!http_is_token(text_of("")));
    ck_assert(!http_is_token(text_of("a b")));
    ck_assert(!http_is_token(text_of("a/b")));
    ck_assert(!http_is_token(text_of("a\"b")));
    ck_assert(!http_is_token((struct text){"a\0b", 3}));
    ck_assert(!http_is_token(text_of("\xc3\xa4")));
}
END_TEST

static const struct http_field fields[] = {
    {L("Upgrade"), L("a, b ,,\"c, d\";x=\"\\\",\""), 10},
    {L("Host"), L("h"), 20},
    {L("UPGRADE"), L(""), 30},
    {L("upgrade"), L("e"), 40},
};

static const struct http_head head = {.fields = fields, .count = 4};

START_TEST(lists)
{
    static const char *const want[] = {"a", "b", "", "\"c, d\";x=\"\\\",\"", "", "e"};
    static const uint64_t offsets[] = {10, 10, 10, 10, 30, 40};
    struct http_list list = http_list_of(&head, "upgrade");
    struct text member;
    for (size_t i = 0; i < 6; i++) {
        ck_assert(http_list_next(&list, &member));
        check_text(member, want[i]);
        ck_assert_uint_eq(list.field->offset, offsets[i]);
    }
    ck_assert(!http_list_next(&list, &member));
    ck_assert(http_list_has(&head, "Upgrade", "E"));
    ck_assert(http_list_has(&head, "Upgrade", "b"));
    ck_assert(!http_list_has(&head, "Upgrade", "c"));
    ck_assert(!http_list_has(&head, "Connection", "a"));
    ck_assert_uint_eq(http_field_count(&head, "Upgrade"), 3);
    ck_assert_ptr_eq(http_field_find(&head, "hOST"), &fields[1]);
    ck_assert_ptr_null(http_field_value(&head, "Origin").data);
    list = http_list_of(&head, "Origin");
    ck_assert(!http_list_next(&list, &member));
}
END_TEST

START_TEST(unclosed_quote)
{
    static const struct http_field one[] = {{L("a"), L("x=\"y, z"), 0}};
    struct http_head h = {.fields = one, .count = 1};
    struct http_list list = http_list_of(&h, "a");
    struct text member;
    ck_assert(http_list_next(&list, &member));
    check_text(member, "x=\"y, z");
    ck_assert(!http_list_next(&list, &member));
    struct http_params params = http_params_of(member);
    struct http_param param;
    ck_assert(http_params_next(&params, &param));
    ck_assert(param.bad);
}
END_TEST

static void check_param(struct http_params *params, const char *name, const char *value, int bad)
{
    struct http_param param;
    ck_assert(http_params_next(params, &param));
    check_text(param.name, name);
    if (value == NULL)
        ck_assert_ptr_null(param.value.data);
    else
        check_text(param.value, value);
    ck_assert_int_eq(param.bad, bad);
}

START_TEST(parameters)
{
    struct http_params params = http_params_of(
        text_of("permessage-deflate; a ; b = 10;c=\"1;0\"; =x; d=; e=\"x\"y;f=\"a\\\"b\";g h"));
    check_param(&params, "permessage-deflate", NULL, 0);
    check_param(&params, "a", NULL, 0);
    check_param(&params, "b", "10", 0);
    check_param(&params, "c", "1;0", 0);
    check_param(&params, "", "x", 1);
    check_param(&params, "d", "", 1);
    check_param(&params, "e", "x", 1);
    check_param(&params, "f", "a\\\"b", 0);
    check_param(&params, "g h", NULL, 1);
    struct http_param param;
    ck_assert(!http_params_next(&params, &param));
    params = http_params_of(text_of("a;"));
    check_param(&params, "a", NULL, 0);
    check_param(&params, "", NULL, 1);
    params = http_params_of(text_of("a=\""));
    check_param(&params, "a", "", 1);
}
END_TEST

static void check_authority(const char *text, const char *want_host, const char *want_port)
{
    struct text host, port;
    http_authority_split(text_of(text), &host, &port);
    check_text(host, want_host);
    if (want_port == NULL)
        ck_assert_ptr_null(port.data);
    else
        check_text(port, want_port);
}

START_TEST(authorities)
{
    check_authority("a.example:443", "a.example", "443");
    check_authority("a.example", "a.example", NULL);
    check_authority("[::1]:80", "::1", "80");
    check_authority("[::1]", "::1", NULL);
    check_authority("[::1", "[::1", NULL);
    check_authority("", "", NULL);
    check_authority("a:", "a", "");
    check_text(http_uri_authority(text_of("https://u:p@h.example:8443/p?q")), "h.example:8443");
    check_text(http_uri_authority(text_of("ws://h?x")), "h");
    ck_assert_ptr_null(http_uri_authority(text_of("/path://x")).data);
    ck_assert_ptr_null(http_uri_authority(text_of("null")).data);
    ck_assert_ptr_null(http_uri_authority(text_of("http:")).data);
    ck_assert_ptr_null(http_uri_authority(TEXT_NONE).data);
}
END_TEST

static char reported[400];

static void report(void *context, enum side side, enum rule rule, uint64_t offset,
                   struct text evidence)
{
    ck_assert_ptr_eq(context, reported);
    ck_assert_int_eq(side, SERVER);
    ck_assert_int_eq(rule, RULE_UPGRADE_SYNTAX);
    ck_assert_uint_eq(offset, 7);
    memcpy(reported, evidence.data, evidence.len);
    reported[evidence.len] = '\0';
}

START_TEST(evidence)
{
    struct http_report to = {.finding = report, .context = reported};
    http_report_finding(&to, SERVER, RULE_UPGRADE_SYNTAX, 7, "'%.*s' %d",
                        HTTP_CLIP(text_of("a\x01\xff\nb")), 5);
    ck_assert_str_eq(reported, "'a???b' 5");
    char longer[500];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    http_report_finding(&to, SERVER, RULE_UPGRADE_SYNTAX, 7, "%s", longer);
    ck_assert_uint_eq(strlen(reported), 319);
    http_report_finding(&to, SERVER, RULE_UPGRADE_SYNTAX, 7, "%.*s", HTTP_CLIP(text_of(longer)));
    ck_assert_uint_eq(strlen(reported), 64);
    http_report_finding(&to, SERVER, RULE_UPGRADE_SYNTAX, 7, "<%.*s>", HTTP_CLIP(TEXT_NONE));
    ck_assert_str_eq(reported, "<>");
}
END_TEST

Suite *http_fields_suite(void)
{
    Suite *suite = suite_create("http_fields");
    TCase *tc = tcase_create("http_fields");
    tcase_add_test(tc, compare);
    tcase_add_test(tc, tokens);
    tcase_add_test(tc, lists);
    tcase_add_test(tc, unclosed_quote);
    tcase_add_test(tc, parameters);
    tcase_add_test(tc, authorities);
    tcase_add_test(tc, evidence);
    suite_add_tcase(suite, tc);
    return suite;
}
