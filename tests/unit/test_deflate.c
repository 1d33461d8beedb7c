/*
 * permessage-deflate against zlib on the sending side: every window, both kinds of takeover, final
 * blocks, empty messages, every cut; and what is told about senders that break the agreement.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../../dissectors/deflate.h"

Suite *deflate_suite(void);

struct output {
    uint8_t *data;
    size_t len, cap;
};

static void keep(void *arg, const uint8_t *data, size_t len)
{
    struct output *out = arg;
    if (out->len + len > out->cap) {
        out->cap = (out->len + len) * 2;
        out->data = realloc(out->data, out->cap);
        if (out->data == NULL)
            ck_abort();
    }
    memcpy(out->data + out->len, data, len);
    out->len += len;
}

static struct budget budget;

static void setup(void)
{
    budget_init(&budget, 1u << 20, NULL);
}

static struct deflate *receiver(unsigned window_bits, int takeover)
{
    struct deflate_options options = {.window_bits = window_bits, .takeover = takeover,
                                      .size_limit = 8u << 20, .ratio_limit = 100};
    struct deflate *deflate = deflate_new(&budget, &options);
    ck_assert_ptr_nonnull(deflate);
    return deflate;
}

static void sender(z_stream *z, int window_bits)
{
    *z = (z_stream){0};
    ck_assert_int_eq(deflateInit2(z, 9, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
}

/* A compressed message as a correct sender makes it; returns its length. */
static size_t compress_message(z_stream *z, const void *text, size_t len, uint8_t *out, size_t cap,
                               int flush)
{
    z->next_in = (Bytef *)(uintptr_t)text;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)cap;
    int code = deflate(z, flush);
    ck_assert(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR);
    size_t made = cap - z->avail_out;
    if (flush == Z_SYNC_FLUSH) {
        if (made == 0) { /* zlib has nothing to flush twice */
            out[0] = 0;
            return 1;
        }
        ck_assert_int_eq(memcmp(out + made - 4, "\0\0\xFF\xFF", 4), 0);
        made -= 4;
    }
    return made;
}

static enum deflate_status receive(struct deflate *d, const uint8_t *data, size_t len, size_t cut,
                                   struct output *out, struct deflate_report *report)
{
    struct deflate_sink sink = {keep, out};
    out->len = 0;
    (void)deflate_begin(d);
    for (size_t at = 0; at < len; at += cut)
        (void)deflate_feed(d, data + at, len - at < cut ? len - at : cut, &sink);
    return deflate_end(d, &sink, report);
}

/* Text that repeats at short and at long distances. */
static size_t sample_text(uint8_t *text, unsigned seed, size_t len)
{
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        state = state * 1103515245u + 12345u;
        if (i > 300 && (state >> 16 & 63) == 0) {
            size_t back = (state >> 8) % i + 1, n = 40;
            for (; n > 0 && i < len; n--, i++)
                text[i] = text[i - back];
            i--;
        } else {
            text[i] = (uint8_t)("abcdefgh {}\":0123456789"[(state >> 20) % 23]);
        }
    }
    return len;
}

START_TEST(every_window_and_takeover)
{
    static const size_t cuts[] = {1, 2, 3, 1000, 100000};
    static uint8_t text[40000], packed[60000];
    for (int bits = 9; bits <= 15; bits++) {
        for (size_t c = 0; c < 5; c++) {
            int takeover = _i;
            struct deflate *d = receiver((unsigned)bits, takeover);
            z_stream z;
            sender(&z, bits);
            struct output out = {0};
            for (unsigned n = 0; n < 4; n++) {
                size_t len = sample_text(text, n / 2, n == 3 ? 40000 : 600 * n);
                size_t made = compress_message(&z, text, len, packed, sizeof packed,
                                               Z_SYNC_FLUSH);
                struct deflate_report report;
                ck_assert_int_eq(receive(d, packed, made, cuts[c], &out, &report), DEFLATE_FINE);
                ck_assert_uint_eq(out.len, len);
                ck_assert(len == 0 || memcmp(out.data, text, len) == 0);
                ck_assert_int_eq(report.tail_kept, 0);
                ck_assert_uint_eq(report.over_window, 0);
                ck_assert_uint_eq(report.over_context, 0);
                if (!takeover)
                    (void)deflateReset(&z);
            }
            free(out.data);
            (void)deflateEnd(&z);
            deflate_free(d);
        }
    }
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(examples_of_the_rfc)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } rfc[] = {
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"},         /* 7.2.3.1 */
        {"\xf2\x00\x11\x00\x00", 5, "Hello"},                 /* 7.2.3.2, context taken over */
        {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello"}, /* 7.2.3.3 */
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello"},     /* 7.2.3.4, a final block */
        {"\xf2\x00\x11\x00\x00", 5, "Hello"},                 /* its text is still known */
        {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello"}, /* 7.2.3.5 */
        {"\x00", 1, ""},                                      /* 7.2.3.6 */
        {"", 0, ""},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"}, /* a final block without the padding */
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"},
    };
    for (size_t cut = 1; cut < 14; cut++) {
        struct deflate *d = receiver(15, 1);
        struct output out = {0};
        for (size_t i = 0; i < sizeof rfc / sizeof rfc[0]; i++) {
            struct deflate_report report;
            ck_assert_int_eq(receive(d, (const uint8_t *)rfc[i].bytes, rfc[i].len, cut, &out,
                                     &report), DEFLATE_FINE);
            ck_assert_uint_eq(out.len, strlen(rfc[i].text));
            ck_assert(out.len == 0 || memcmp(out.data, rfc[i].text, out.len) == 0);
            ck_assert_int_eq(report.tail_kept, 0);
        }
        free(out.data);
        deflate_free(d);
    }
}
END_TEST

START_TEST(tail_that_was_kept)
{
    const uint8_t message[] = "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff";
    for (size_t cut = 1; cut < 12; cut++) {
        struct deflate *d = receiver(15, 1);
        struct output out = {0};
        struct deflate_report report;
        for (int n = 0; n < 2; n++) {
            ck_assert_int_eq(receive(d, message, 11, cut, &out, &report), DEFLATE_FINE);
            ck_assert_int_eq(report.tail_kept, 1);
            ck_assert_uint_eq(out.len, 5);
        }
        ck_assert_int_eq(receive(d, message, 7, cut, &out, &report), DEFLATE_FINE);
        ck_assert_int_eq(report.tail_kept, 0);
        free(out.data);
        deflate_free(d);
    }
}
END_TEST

/* Stored bytes that look like the tail are no tail. */
START_TEST(stored_bytes_like_the_tail)
{
    const uint8_t message[] = "\x00\x04\x00\xfb\xff\x00\x00\xff\xff\x00";
    struct deflate *d = receiver(15, 1);
    struct output out = {0};
    struct deflate_report report;
    ck_assert_int_eq(receive(d, message, 10, 100, &out, &report), DEFLATE_FINE);
    ck_assert_int_eq(report.tail_kept, 0);
    ck_assert_uint_eq(out.len, 4);
    const uint8_t final[] = "\x01\x04\x00\xfb\xff\x00\x00\xff\xff";
    ck_assert_int_eq(receive(d, final, 9, 100, &out, &report), DEFLATE_FINE);
    ck_assert_int_eq(report.tail_kept, 0);
    free(out.data);
    deflate_free(d);
}
END_TEST

/* 32 KiB of noise, then 300 bytes of it again: how far back is up to the test. */
static size_t far_message(uint8_t *text, size_t distance)
{
    uint32_t state = 7;
    for (size_t i = 0; i < distance; i++) {
        state = state * 1103515245u + 12345u;
        text[i] = (uint8_t)(state >> 16);
    }
    memcpy(text + distance, text, 200);
    return distance + 200;
}

START_TEST(window_is_judged_exactly)
{
    static uint8_t text[40000], packed[60000];
    static const struct {
        unsigned agreed;
        size_t distance;
        int violated;
    } cases[] = {{9, 512, 0},   {9, 513, 1},   {9, 700, 1},    {10, 1024, 0}, {10, 1025, 1},
                 {8, 256, 0},   {8, 257, 1},   {14, 16384, 0}, {14, 16385, 1}, {15, 30000, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = far_message(text, cases[i].distance);
        for (size_t cut = 1; cut < 100000; cut = cut * 50 + 1) {
            struct deflate *d = receiver(cases[i].agreed, 1);
            z_stream z;
            sender(&z, 15);
            struct output out = {0};
            struct deflate_report report;
            size_t made = compress_message(&z, text, len, packed, sizeof packed, Z_SYNC_FLUSH);
            ck_assert_int_eq(receive(d, packed, made, cut, &out, &report), DEFLATE_FINE);
            ck_assert_uint_eq(out.len, len);
            ck_assert_uint_eq(report.over_window, cases[i].violated ? cases[i].distance : 0);
            ck_assert_uint_eq(report.over_context, 0);
            free(out.data);
            (void)deflateEnd(&z);
            deflate_free(d);
        }
    }
}
END_TEST

START_TEST(context_is_judged)
{
    const char *text = "abcabcabcabcabcabc, the same sentence in two messages";
    uint8_t packed[200];
    for (int honest = 0; honest < 2; honest++) {
        struct deflate *d = receiver(15, 0);
        z_stream z;
        sender(&z, 15);
        struct output out = {0};
        struct deflate_report report;
        for (int n = 0; n < 2; n++) {
            size_t made = compress_message(&z, text, strlen(text), packed, sizeof packed,
                                           Z_SYNC_FLUSH);
            ck_assert_int_eq(receive(d, packed, made, 1, &out, &report), DEFLATE_FINE);
            ck_assert_uint_eq(out.len, strlen(text));
            ck_assert_int_eq(report.over_context > 0, n == 1 && !honest);
            ck_assert_uint_eq(report.over_window, 0);
            if (honest)
                (void)deflateReset(&z);
        }
        free(out.data);
        (void)deflateEnd(&z);
        deflate_free(d);
    }
}
END_TEST

/* A distance to the very first byte of the message is within it. */
START_TEST(whole_message_may_be_referred_to)
{
    const uint8_t message[] = {0x4a, 0x04, 0x02, 0x00, 0x00}; /* "a", then 3 bytes from 1 before */
    struct deflate *d = receiver(15, 0);
    struct output out = {0};
    struct deflate_report report;
    for (int n = 0; n < 2; n++) {
        ck_assert_int_eq(receive(d, message, 5, 1, &out, &report), DEFLATE_FINE);
        ck_assert_uint_eq(out.len, 4);
        ck_assert_uint_eq(report.over_context, 0);
    }
    free(out.data);
    deflate_free(d);
}
END_TEST

START_TEST(errors_and_what_follows)
{
    struct deflate_report report;
    const uint8_t bad[] = "\x07\xff\xff\xff"; /* block type 3 */
    const uint8_t cut_off[] = "\xf2\x48\xcd"; /* ends inside a block */
    const uint8_t good[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    for (int takeover = 0; takeover < 2; takeover++) {
        struct output out = {0};
        struct deflate *d = receiver(15, takeover);
        ck_assert_int_eq(receive(d, bad, 4, 1, &out, &report), DEFLATE_BAD);
        enum deflate_status after = takeover ? DEFLATE_NO_CONTEXT : DEFLATE_FINE;
        ck_assert_int_eq(receive(d, good, 7, 1, &out, &report), after);
        deflate_free(d);
        d = receiver(15, takeover);
        ck_assert_int_eq(receive(d, cut_off, 3, 1, &out, &report), DEFLATE_BAD);
        ck_assert_int_eq(receive(d, good, 7, 3, &out, &report), after);
        deflate_lose(d);
        ck_assert_int_eq(receive(d, good, 7, 3, &out, &report), after);
        (void)deflate_begin(d); /* begun, never ended */
        ck_assert_int_eq(receive(d, good, 7, 3, &out, &report), after);
        deflate_free(d);
        free(out.data);
    }
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(limits)
{
    static uint8_t zeros[65536], packed[65536];
    z_stream z;
    sender(&z, 15);
    struct output out = {0};
    struct deflate_report report;
    size_t made = 0;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    for (int n = 0; n < 64; n++) {
        z.next_in = zeros;
        z.avail_in = sizeof zeros;
        ck_assert_int_eq(deflate(&z, n == 63 ? Z_SYNC_FLUSH : Z_NO_FLUSH), Z_OK);
    }
    made = sizeof packed - z.avail_out - 4;
    size_t stopped = 0;
    for (size_t cut = 1; cut < 5000; cut = cut * 9 + 1) {
        struct deflate *d = receiver(15, 1);
        ck_assert_int_eq(receive(d, packed, made, cut, &out, &report), DEFLATE_BOMB);
        ck_assert_uint_gt(out.len, 1u << 20);
        ck_assert_uint_lt(out.len, 1200000);
        ck_assert(stopped == 0 || stopped == out.len);
        stopped = out.len;
        deflate_free(d);
    }
    struct deflate_options size = {.window_bits = 15, .takeover = 1, .size_limit = 1000};
    for (size_t cut = 1; cut < 5000; cut = cut * 9 + 1) {
        struct deflate *d = deflate_new(&budget, &size);
        ck_assert_int_eq(receive(d, packed, made, cut, &out, &report), DEFLATE_BOMB);
        ck_assert_uint_eq(out.len, 1001);
        deflate_free(d);
    }
    struct deflate_options none = {.window_bits = 15, .takeover = 1};
    struct deflate *d = deflate_new(&budget, &none);
    ck_assert_int_eq(receive(d, packed, made, 1000, &out, &report), DEFLATE_FINE);
    ck_assert_uint_eq(out.len, 64 * sizeof zeros);
    deflate_free(d);
    free(out.data);
    (void)deflateEnd(&z);
}
END_TEST

START_TEST(no_memory_is_survived)
{
    const uint8_t good[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    for (size_t limit = 0; limit < 60000; limit += 500) {
        struct budget small;
        struct output out = {0};
        struct deflate_report report;
        struct deflate_options options = {.window_bits = 9, .takeover = 0};
        budget_init(&small, limit, NULL);
        struct deflate *d = deflate_new(&small, &options);
        if (d != NULL) {
            enum deflate_status status = receive(d, good, 7, 1, &out, &report);
            ck_assert(status == DEFLATE_FINE || status == DEFLATE_NO_MEMORY);
        }
        deflate_free(d);
        free(out.data);
        ck_assert_uint_eq(small.used, 0);
    }
}
END_TEST

/* Whatever the bytes are: nothing breaks, and cuts do not matter. */
START_TEST(hostile_bytes)
{
    uint32_t state = 99;
    static const unsigned windows[] = {8, 11, 15};
    for (int n = 0; n < 3000; n++) {
        uint8_t data[64];
        for (size_t i = 0; i < sizeof data; i++) {
            state = state * 1103515245u + 12345u;
            data[i] = (uint8_t)(state >> 16);
        }
        data[0] = (uint8_t)((data[0] & ~7) | (n % 3) << 1);
        struct output whole = {0}, bytes = {0};
        struct deflate_report first, second;
        struct deflate *a = receiver(windows[n % 3], n % 2), *b = receiver(windows[n % 3], n % 2);
        size_t len = 1 + state % sizeof data;
        ck_assert_int_eq(receive(a, data, len, sizeof data, &whole, &first),
                         receive(b, data, len, 1, &bytes, &second));
        ck_assert_uint_eq(whole.len, bytes.len);
        ck_assert(whole.len == 0 || memcmp(whole.data, bytes.data, whole.len) == 0);
        ck_assert_uint_eq(first.over_window, second.over_window);
        deflate_free(a);
        deflate_free(b);
        free(whole.data);
        free(bytes.data);
    }
}
END_TEST

Suite *deflate_suite(void)
{
    Suite *suite = suite_create("deflate");
    TCase *cases = tcase_create("deflate");
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_loop_test(cases, every_window_and_takeover, 0, 2);
    tcase_add_test(cases, examples_of_the_rfc);
    tcase_add_test(cases, tail_that_was_kept);
    tcase_add_test(cases, stored_bytes_like_the_tail);
    tcase_add_test(cases, window_is_judged_exactly);
    tcase_add_test(cases, context_is_judged);
    tcase_add_test(cases, whole_message_may_be_referred_to);
    tcase_add_test(cases, errors_and_what_follows);
    tcase_add_test(cases, limits);
    tcase_add_test(cases, no_memory_is_survived);
    tcase_add_test(cases, hostile_bytes);
    suite_add_tcase(suite, cases);
    return suite;
}
