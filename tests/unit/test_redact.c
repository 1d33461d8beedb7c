/*
 * Redaction: secrets in all their usual places are replaced, the same ones by the same word, and
 * everything else stays as it was.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/redact.h"

Suite *redact_suite(void);

#define JWT "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"

typedef int redactor(const struct redact *redact, struct text text, struct buffer *out);

/* The result with each "redacted:xxxxxxxx" made "*"; for one assertion. */
static const char *result(redactor *function, const char *input)
{
    static char text[1024];
    struct redact redact = {{1, 2, 3}, 0};
    struct buffer out = {0};
    /* Its own block, so that a read beyond the end is seen. */
    char *copy = malloc(strlen(input) + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, input, strlen(input));
    int replaced = function(&redact, (struct text){copy, strlen(input)}, &out);
    const char *from = replaced ? buffer_text(&out) : input;
    ck_assert_int_eq(out.failed, 0);
    if (!replaced)
        ck_assert_uint_eq(out.len, 0);
    size_t at = 0;
    while (*from != '\0' && at < sizeof text - 1) {
        if (strncmp(from, "redacted:", 9) == 0) {
            ck_assert_uint_eq(strspn(from + 9, "0123456789abcdef") >= 8, 1);
            from += 17;
            text[at++] = '*';
        } else {
            text[at++] = *from++;
        }
    }
    text[at] = '\0';
    free(copy);
    buffer_release(&out);
    return text;
}

static const char *header(const char *name, const char *value)
{
    static char text[1024];
    struct redact redact = {{1, 2, 3}, 0};
    struct buffer out = {0};
    int replaced = redact_header(&redact, (struct text){name, strlen(name)},
                                 (struct text){value, strlen(value)}, &out);
    (void)snprintf(text, sizeof text, "%s", replaced ? buffer_text(&out) : value);
    buffer_release(&out);
    return text;
}

struct example {
    const char *input, *output;
};

static void check(redactor *function, const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_str_eq(result(function, examples[i].input), examples[i].output);
}

START_TEST(test_target)
{
    static const struct example examples[] = {
        {"/", "/"},
        {"*", "*"},
        {"", ""},
        {"/chat?room=1", "/chat?room=1"},
        {"/chat?room=1&access_token=abc&x=2", "/chat?room=1&access_token=*&x=2"},
        {"/?token=a", "/?token=*"},
        {"/?TOKEN=a&Token=b", "/?TOKEN=*&Token=*"},
        {"/?token=", "/?token="},
        {"/?token", "/?token"},
        {"/?token=a=b?c;d&e=f", "/?token=*&e=f"},
        {"/?%74oken=a", "/?%74oken=*"},
        {"/?tok%65n=a&%zz=1&%=2", "/?tok%65n=*&%zz=1&%=2"},
        {"/?api_key=a&api-key=b&apiKey=c&apikey=d", "/?api_key=*&api-key=*&apiKey=*&apikey=*"},
        {"/?X-Amz-Signature=a&X-Amz-Security-Token=b&X-Amz-Date=c",
         "/?X-Amz-Signature=*&X-Amz-Security-Token=*&X-Amz-Date=c"},
        {"/?user[password]=a&user[name]=b&csrf_token[]=c",
         "/?user[password]=*&user[name]=b&csrf_token[]=*"},
        {"/?auth=a&key=b&sig=c&sid=d&jwt=e&code=f&session=g&pwd=h&passwd=i&secret=j&password=k",
         "/?auth=*&key=*&sig=*&sid=*&jwt=*&code=*&session=*&pwd=*&passwd=*&secret=*&password=*"},
        {"/?author=a&keyboard=b&signal=c&side=d&codec=e&sessions=f&monkey=g",
         "/?author=a&keyboard=b&signal=c&side=d&codec=e&sessions=f&monkey=g"},
        {"/?x=" JWT "&y=1", "/?x=*&y=1"},
        {"/?x=Bearer%20abc", "/?x=*"},
        {"/ws/" JWT "/x?token=a", "/ws/*/x?token=*"},
        {"/" JWT, "/*"},
        {"/a;jsessionid=abc/b?c=d", "/a;jsessionid=*/b?c=d"},
        {"/cb#access_token=abc&state=1", "/cb#access_token=*&state=1"},
        {"/?a=1;token=abc;b=2&c=3", "/?a=1;token=*&c=3"},
        {"http://user:pass@host/p?q=1", "http://*@host/p?q=1"},
        {"http://user@ho@st/p?token=1", "http://*@st/p?token=*"},
        {"http://host/a@b", "http://host/a@b"},
        {"http://@host/", "http://@host/"},
        {"user:pass@host:443", "*@host:443"},
        {"host:443", "host:443"},
        {"/p@q/r?s=t@u", "/p@q/r?s=t@u"},
        {"?=&;#", "?=&;#"},
    };
    check(redact_target, examples, sizeof examples / sizeof examples[0]);
}
END_TEST

START_TEST(test_protocols)
{
    static const struct example examples[] = {
        {"chat", "chat"},
        {"v5.channel.k8s.io, chat.v2", "v5.channel.k8s.io, chat.v2"},
        {"graphql-transport-ws", "graphql-transport-ws"},
        {"v1, authorization.bearer.abc", "v1, authorization.bearer.*"},
        {"authorization.bearer.abc-token-def", "authorization.bearer.*"},
        {"base64url.bearer.authorization.k8s.io.QUJD,v4.channel.k8s.io",
         "base64url.bearer.authorization.k8s.io.*,v4.channel.k8s.io"},
        {"bearer, abc", "bearer, *"},
        {"Bearer ,abc , chat", "Bearer ,* , chat"},
        {"access_token, abc", "access_token, *"},
        {"chat," JWT, "chat,*"},
        {"token-" JWT, "token-*"},
        {"x." JWT, "x.*"},
        {"realtime, openai-insecure-api-key.sk-abcdefghijkl, openai-beta.realtime-v1",
         "realtime, openai-insecure-api-key.*, openai-beta.realtime-v1"},
        {"v1, 0123456789abcdef0123456789abcdef", "v1, *"},
        {"auth.v2, token.v1, bearer", "auth.v2, token.v1, bearer"},
        {"bearer", "bearer"},
        {",, ,", ",, ,"},
        {"bearer.", "bearer."},
    };
    check(redact_protocols, examples, sizeof examples / sizeof examples[0]);
}
END_TEST

START_TEST(test_words)
{
    static const struct example examples[] = {
        {"close code 1005, code=1", "close code 1005, code=1"},
        {"text has " JWT " in it, and \"" JWT "\"", "text has * in it, and \"*\""},
        {"key.eye.eyes", "key.eye.eyes"},
    };
    check(redact_words, examples, sizeof examples / sizeof examples[0]);
}
END_TEST

START_TEST(test_header)
{
    char cookie[64], again[64];
    ck_assert_str_eq(header("Host", "a.example"), "a.example");
    ck_assert_str_eq(header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                     "dGhlIHNhbXBsZSBub25jZQ==");
    (void)snprintf(cookie, sizeof cookie, "%s", header("cOOkie", "a=b; c=d"));
    ck_assert_uint_eq(strlen(cookie), 17);
    ck_assert_int_eq(strncmp(cookie, "redacted:", 9), 0);
    (void)snprintf(again, sizeof again, "%s", header("Set-Cookie", "a=b; c=d"));
    ck_assert_str_eq(cookie, again); /* equal ones stay comparable */
    ck_assert_str_ne(cookie, header("Cookie", "a=b; c=e"));
    ck_assert_str_eq(header("Cookie", ""), "");
    ck_assert_uint_eq(strlen(header("Authorization", "Basic abc")), 17);
    ck_assert_uint_eq(strlen(header("Proxy-Authorization", "x")), 17);
    ck_assert_str_eq(header(":path", "/chat?room=1"), "/chat?room=1");
    ck_assert_ptr_nonnull(strstr(header(":path", "/chat?token=abc"), "/chat?token=redacted:"));
    ck_assert_str_eq(header("Cookies", "abc"), "abc");
    ck_assert_ptr_nonnull(strstr(header("Referer", "https://h/?token=abc"), "?token=redacted:"));
    ck_assert_ptr_nonnull(strstr(header("Location", "https://u:p@h/"), "https://redacted:"));
    ck_assert_ptr_nonnull(strstr(header("Sec-WebSocket-Protocol", "bearer, x"),
                                 "bearer, redacted:"));
}
END_TEST

START_TEST(test_keys)
{
    struct redact one = {{1}, 0}, two = {{2}, 0}, off = {{1}, 1};
    struct buffer first = {0}, second = {0};
    const struct text name = TEXT_LITERAL("Cookie"), value = TEXT_LITERAL("abc");
    ck_assert_int_eq(redact_header(&one, name, value, &first), 1);
    ck_assert_int_eq(redact_header(&two, name, value, &second), 1);
    ck_assert_str_ne(buffer_text(&first), buffer_text(&second));
    buffer_clear(&first);
    ck_assert_int_eq(redact_header(&off, name, value, &first), 0);
    ck_assert_int_eq(redact_target(&off, TEXT_LITERAL("/?token=a"), &first), 0);
    ck_assert_int_eq(redact_protocols(&off, TEXT_LITERAL("bearer, a"), &first), 0);
    ck_assert_int_eq(redact_words(&off, TEXT_LITERAL(JWT), &first), 0);
    ck_assert_uint_eq(first.len, 0);
    buffer_release(&first);
    buffer_release(&second);
}
END_TEST

/* Any bytes: no crash, and what is not replaced is what was there. */
START_TEST(test_any_bytes)
{
    static const char alphabet[] = "token=&;?#/:@%6[].,ey-\xff";
    redactor *const functions[] = {redact_target, redact_protocols, redact_words};
    uint32_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char input[40];
        random = random * 1664525 + 1013904223;
        size_t len = (random >> 16) % (sizeof input - 1);
        for (size_t i = 0; i < len; i++) {
            random = random * 1664525 + 1013904223;
            input[i] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        }
        input[len] = '\0';
        for (size_t i = 0; i < 3; i++)
            (void)result(functions[i], input);
    }
}
END_TEST

Suite *redact_suite(void)
{
    Suite *suite = suite_create("redact");
    TCase *tcase = tcase_create("redact");
    tcase_add_test(tcase, test_target);
    tcase_add_test(tcase, test_protocols);
    tcase_add_test(tcase, test_words);
    tcase_add_test(tcase, test_header);
    tcase_add_test(tcase, test_keys);
    tcase_add_test(tcase, test_any_bytes);
    suite_add_tcase(suite, tcase);
    return suite;
}
