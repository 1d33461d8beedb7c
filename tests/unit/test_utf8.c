/*
 * UTF-8: what is valid, which error is named, where it is, and that cuts change nothing.
 */
#include <check.h>
#include <string.h>

#include "../../dissectors/utf8.h"

Suite *utf8_suite(void);

struct sample {
    const char *bytes;
    enum utf8_error error;
    uint64_t offset;
};

static const struct sample samples[] = {
    {"", UTF8_FINE, 0},
    {"plain ASCII, longer than one word of eight", UTF8_FINE, 0},
    {"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xEF\xBF\xBF \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF", UTF8_FINE, 0},
    {"\xED\x9F\xBF\xEE\x80\x80", UTF8_FINE, 0},
    {"ab\xC0\xAF", UTF8_OVERLONG, 2},
    {"abcdefghij\xE0\x9F\xBF", UTF8_OVERLONG, 10},
    {"\xF0\x8F\xBF\xBF", UTF8_OVERLONG, 0},
    {"x\xED\xA0\x80", UTF8_SURROGATE, 1},
    {"\xED\xBF\xBF", UTF8_SURROGATE, 0},
    {"\xF4\x90\x80\x80", UTF8_TOO_LARGE, 0},
    {"\xF5\x80\x80\x80", UTF8_TOO_LARGE, 0},
    {"a\xC3", UTF8_TRUNCATED, 1},
    {"\xE2\x82", UTF8_TRUNCATED, 0},
    {"\xE2\x82z", UTF8_TRUNCATED, 0},
    {"\xF0\x9F\x98", UTF8_TRUNCATED, 0},
    {"ok\x80", UTF8_STRAY, 2},
    {"\xBF", UTF8_STRAY, 0},
    {"\xFE", UTF8_INVALID_BYTE, 0},
    {"12345678\xFF", UTF8_INVALID_BYTE, 8},
};

static void check_sample(const struct sample *sample, size_t cut)
{
    size_t len = strlen(sample->bytes);
    struct utf8 utf8;
    utf8_init(&utf8);
    for (size_t at = 0; at < len; at += cut)
        (void)utf8_feed(&utf8, (const uint8_t *)sample->bytes + at,
                        len - at < cut ? len - at : cut);
    ck_assert_int_eq(utf8_finish(&utf8), sample->error == UTF8_FINE ? 0 : -1);
    ck_assert_int_eq(utf8.error, sample->error);
    if (sample->error != UTF8_FINE)
        ck_assert_uint_eq(utf8.error_offset, sample->offset);
}

START_TEST(samples_at_every_cut)
{
    for (size_t cut = 1; cut < 50; cut++)
        check_sample(&samples[_i], cut);
}
END_TEST

/* Every two bytes, and every three with the leads that matter, against a plain decoder. */
static int decodes(const uint8_t *s, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t n = s[at] < 0x80 ? 1 : s[at] < 0xC0 ? 0 : s[at] < 0xE0 ? 2 : s[at] < 0xF0 ? 3 : 4;
        if (n == 0 || at + n > len)
            return 0;
        unsigned value = n == 1 ? s[at] : s[at] & (0x7Fu >> n);
        for (size_t i = 1; i < n; i++) {
            if ((s[at + i] & 0xC0) != 0x80)
                return 0;
            value = value << 6 | (s[at + i] & 0x3Fu);
        }
        static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (value < least[n] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
            return 0;
        at += n;
    }
    return 1;
}

START_TEST(agrees_with_a_plain_decoder)
{
    uint8_t s[3];
    for (unsigned value = 0; value < 1u << 24; value += value < 0xE00000 ? 251 : 3) {
        s[0] = (uint8_t)(value >> 16);
        s[1] = (uint8_t)(value >> 8);
        s[2] = (uint8_t)value;
        struct utf8 utf8 = {0};
        (void)utf8_feed(&utf8, s, sizeof s);
        if ((utf8_finish(&utf8) == 0) != decodes(s, sizeof s))
            ck_abort_msg("%02x %02x %02x", s[0], s[1], s[2]);
    }
}
END_TEST

START_TEST(cut_falls_between_characters)
{
    const uint8_t text[] = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80";
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t len = 0; len <= 10; len++)
        ck_assert_uint_eq(utf8_cut(text, len), expected[len]);
    const uint8_t stray[] = "\x80\x80\x80\x80\x80\x80";
    ck_assert_uint_eq(utf8_cut(stray, 6), 6);
}
END_TEST

Suite *utf8_suite(void)
{
    Suite *suite = suite_create("utf8");
    TCase *cases = tcase_create("utf8");
    tcase_add_loop_test(cases, samples_at_every_cut, 0,
                        (int)(sizeof samples / sizeof samples[0]));
    tcase_add_test(cases, agrees_with_a_plain_decoder);
    tcase_add_test(cases, cut_falls_between_characters);
    suite_add_tcase(suite, cases);
    return suite;
}
