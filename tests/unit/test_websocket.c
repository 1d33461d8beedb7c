/*
 * The WebSocket dissector: every form of frame, every rule with a neighbour that breaks it not, and
 * each conversation whole, byte by byte and in odd pieces with the same result (fake_rules()).
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fake_layer.h"

Suite *websocket_suite(void);

enum { TEXT = 0x81, BINARY = 0x82, CONT = 0x80, CLOSE = 0x88, PING = 0x89, PONG = 0x8A,
       TEXT_MORE = 0x01, BINARY_MORE = 0x02, CONT_MORE = 0x00, RSV1 = 0x40 };

enum { MASK_USUAL, MASK_YES, MASK_NO };

struct shape { /* of a frame; zero is what a correct sender does */
    int mask;
    int form;          /* 16 or 64: that form of the length */
    uint64_t claim;    /* the length that the header claims, 0: the right one */
    int msb;
    const char *key;   /* 4 bytes */
};

static uint32_t key_state;

static uint32_t next_key(void)
{
    key_state++;
    uint32_t x = key_state * 2654435761u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    x *= 3266489917u;
    return x ^ x >> 16;
}

static size_t build(uint8_t *out, enum side side, unsigned first, const void *payload, size_t len,
                    const struct shape *shape)
{
    int masked = shape->mask == MASK_USUAL ? side == CLIENT : shape->mask == MASK_YES;
    uint64_t claim = shape->claim != 0 ? shape->claim : len;
    int form = shape->form != 0 ? shape->form : claim < 126 ? 7 : claim < 65536 ? 16 : 64;
    size_t at = 0;
    out[at++] = (uint8_t)first;
    out[at++] = (uint8_t)((masked ? 128u : 0u) |
                          (form == 7 ? (unsigned)claim : form == 16 ? 126u : 127u));
    if (shape->msb)
        claim |= UINT64_C(1) << 63;
    for (int shift = form == 7 ? -1 : form - 8; shift >= 0; shift -= 8)
        out[at++] = (uint8_t)(claim >> shift);
    uint8_t key[4] = {0};
    uint32_t random = next_key();
    memcpy(key, shape->key != NULL ? shape->key : (const char *)&random, sizeof key);
    if (masked) {
        memcpy(out + at, key, sizeof key);
        at += sizeof key;
    }
    for (size_t i = 0; i < len; i++)
        out[at + i] = ((const uint8_t *)payload)[i] ^ (masked ? key[i % 4] : 0);
    return at + len;
}

static void shaped(struct fake *f, enum side side, unsigned first, const void *payload, size_t len,
                   struct shape shape)
{
    uint8_t *out = malloc(len + 14);
    ck_assert_ptr_nonnull(out);
    fake_data(f, side, out, build(out, side, first, payload, len, &shape));
    free(out);
}

static void bytes(struct fake *f, enum side side, unsigned first, const void *payload, size_t len)
{
    shaped(f, side, first, payload, len, (struct shape){0});
}

static void put(struct fake *f, enum side side, unsigned first, const char *payload)
{
    bytes(f, side, first, payload, strlen(payload));
}

static void both_close(struct fake *f)
{
    put(f, CLIENT, CLOSE, "\x03\xe8");
    put(f, SERVER, CLOSE, "\x03\xe8");
}

static void finish(struct fake *f, enum side first)
{
    fake_fin(f, first);
    fake_fin(f, side_peer(first));
    f->end = SESSION_END_FIN;
    f->end_side = first;
}

static struct fake *session(void)
{
    struct fake *f = fake_new("http.upgrade", "websocket");
    fake_hint(f, "accept-valid", "1");
    return f;
}

static struct fake *pmd_session(void)
{
    struct fake *f = session();
    fake_hint(f, "permessage-deflate", "");
    fake_hint(f, "extensions", "permessage-deflate");
    return f;
}

static void expect(struct fake *f, const char *rules)
{
    const char *found = fake_rules(f);
    ck_assert_msg(strcmp(found, rules) == 0, "expected [%s], found [%s]\n%.1500s", rules, found,
                  f->log);
    fake_free(f);
}

static void has(const struct fake *f, const char *line)
{
    ck_assert_msg(strstr(f->log, line) != NULL, "no [%s] in\n%.2500s", line, f->log);
}

static void has_not(const struct fake *f, const char *line)
{
    ck_assert_msg(strstr(f->log, line) == NULL, "[%s] in\n%.2500s", line, f->log);
}

/* --- frames and messages --- */

START_TEST(healthy_session_is_quiet)
{
    struct fake *f = session();
    fake_hint(f, "subprotocol", "chat");
    put(f, CLIENT, TEXT, "Hello");
    put(f, SERVER, TEXT, "W\xC3\xB6rld");
    put(f, CLIENT, TEXT_MORE, "frag");
    put(f, CLIENT, PING, "p");
    put(f, SERVER, PONG, "p");
    put(f, CLIENT, CONT_MORE, "");
    put(f, CLIENT, CONT, "mented");
    put(f, SERVER, BINARY, "");
    put(f, SERVER, CLOSE, "\x03\xe8" "bye");
    put(f, CLIENT, CLOSE, "\x03\xe8");
    finish(f, SERVER);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "open accept=1 deflate=0 \"chat\" none");
    has(f, "C @0 p1 t1001000000 s1 frame #1 fin=1 rsv=0 op=1 mask=1 len=5 z=0 "
           "message=1/5/1 cut=0 rtt=-1 \"Hello\"");
    has(f, "message=1/6/1 cut=0 rtt=-1 \"W\\xc3\\xb6rld\"");
    has(f, "frame #3 fin=0 rsv=0 op=1 mask=1 len=4 z=0\n");
    has(f, "message=10/1/1 cut=0 rtt=1000000 \"p\"");
    has(f, "message=1/10/3 cut=0 rtt=-1 \"fragmented\"");
    has(f, "message=2/0/1 cut=0 rtt=-1 \"\"");
    has(f, "op=8 mask=0 len=5 z=0 message=8/3/1 cut=0 rtt=-1 \"bye\"");
    has(f, "close [frames=6 messages=2 bytes=18 decoded=15 code=1000 \"\"] "
           "[frames=4 messages=2 bytes=12 decoded=6 code=1000 \"bye\"]");
    has(f, "end reason=0 side=1 idle=1000000");
    fake_free(f);
}
END_TEST

START_TEST(every_length_form)
{
    static const size_t lengths[] = {0, 1, 125, 126, 127, 4095, 4096, 4097, 65535, 65536, 70001};
    static char payload[70001];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)('a' + i % 26);
    struct fake *f = session();
    f->options.payload = 100000;
    size_t len = lengths[_i];
    bytes(f, CLIENT, TEXT, payload, len);
    bytes(f, SERVER, BINARY, payload, len);
    put(f, CLIENT, TEXT, "next");
    ck_assert_str_eq(fake_rules(f), "");
    char line[64];
    (void)snprintf(line, sizeof line, "len=%zu z=0 message=1/%zu/1 cut=0", len, len);
    has(f, line);
    (void)snprintf(line, sizeof line, "len=%zu z=0 message=2/%zu/1 cut=0", len, len);
    has(f, line);
    has(f, "\"next\"");
    fake_free(f);
}
END_TEST

START_TEST(payload_is_cut_between_characters)
{
    struct fake *f = session();
    f->options.payload = 6;
    put(f, CLIENT, TEXT, "abcde\xC3\xB6z");
    put(f, SERVER, TEXT, "abcdef");
    put(f, SERVER, BINARY, "abcdefgh");
    put(f, CLIENT, TEXT_MORE, "abc");
    put(f, CLIENT, CONT, "d\xE2\x82\xAC!!!");
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "message=1/8/1 cut=1 rtt=-1 \"abcde\"\n");
    has(f, "message=1/6/1 cut=0 rtt=-1 \"abcdef\"\n");
    has(f, "message=2/8/1 cut=1 rtt=-1 \"abcdef\"\n");
    has(f, "message=1/10/2 cut=1 rtt=-1 \"abcd\"\n");
    fake_free(f);
}
END_TEST

START_TEST(no_payload_wanted)
{
    struct fake *f = session();
    f->options.payload = 0;
    put(f, CLIENT, TEXT, "abc");
    put(f, SERVER, TEXT, "");
    put(f, SERVER, PING, "x");
    put(f, CLIENT, PONG, "x");
    put(f, CLIENT, TEXT, "\xFF");
    put(f, CLIENT, CLOSE, "\x03\xe9" "off");
    ck_assert_str_eq(fake_rules(f), "C:ws-bad-utf8");
    has(f, "message=1/3/1 cut=1 rtt=-1 none\n");
    has(f, "message=1/0/1 cut=0 rtt=-1 none\n");
    has(f, "message=10/1/1 cut=1 rtt=1000000 none\n");
    has(f, "code=1001 \"off\"");
    fake_free(f);
}
END_TEST

START_TEST(without_frames_the_rest_is_the_same)
{
    char *with = NULL;
    for (int frames = 1; frames >= 0; frames--) {
        struct fake *f = pmd_session();
        key_state = 5;
        f->options.frames = frames;
        put(f, CLIENT, TEXT, "a\xFF");
        put(f, CLIENT, BINARY_MORE, "abc");
        put(f, CLIENT, CONT, "def");
        bytes(f, SERVER, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
        put(f, SERVER, CONT, "x");
        put(f, SERVER, CLOSE, "\x03\xed");
        const char *rules = fake_rules(f);
        ck_assert_str_eq(rules, "C:ws-bad-utf8 S:ws-continuation-without-start "
                                "S:ws-close-code-forbidden");
        const char *close = strstr(f->log, " close [");
        ck_assert_ptr_nonnull(close);
        ck_assert_int_eq(strstr(f->log, " frame #") != NULL, frames);
        if (frames) {
            with = strdup(close);
        } else {
            ck_assert_str_eq(with, close);
            free(with);
        }
        fake_free(f);
    }
}
END_TEST

START_TEST(close_payloads)
{
    struct fake *f = session();
    put(f, CLIENT, CLOSE, "");
    bytes(f, SERVER, CLOSE, "\x0b\xb8grund", 7);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "code=1005 none]");
    has(f, "code=3000 \"grund\"]");
    has(f, "end reason=0 side=0");
    fake_free(f);
}
END_TEST

/* --- section F --- */

START_TEST(wrong_masks)
{
    struct fake *f = session();
    shaped(f, CLIENT, TEXT, "Hello", 5, (struct shape){.mask = MASK_NO});
    put(f, CLIENT, TEXT, "right");
    shaped(f, SERVER, TEXT, "Hello", 5, (struct shape){.mask = MASK_YES});
    ck_assert_str_eq(fake_rules(f), "C:ws-client-unmasked S:ws-server-masked");
    has(f, "finding ws-client-unmasked f1: opcode 1, length 5");
    has(f, "op=1 mask=1 len=5 z=0 message=1/5/1 cut=0 rtt=-1 \"Hello\"");
    fake_free(f);

    f = session(); /* always unmasked is a way to be wrong, not another protocol */
    for (int i = 0; i < 4; i++)
        shaped(f, CLIENT, TEXT, "Hello", 5, (struct shape){.mask = MASK_NO});
    expect(f, "C:ws-client-unmasked C:ws-client-unmasked C:ws-client-unmasked "
              "C:ws-client-unmasked");
}
END_TEST

START_TEST(mask_keys)
{
    static const char zero[] = "\0\0\0\0", same[] = "\x12\x34\x56\x78";
    struct fake *f = session();
    shaped(f, CLIENT, TEXT, "a", 1, (struct shape){.key = zero});
    put(f, CLIENT, TEXT, "b");
    expect(f, "");
    f = session();
    shaped(f, CLIENT, TEXT, "a", 1, (struct shape){.key = zero});
    put(f, CLIENT, TEXT, "b");
    shaped(f, CLIENT, TEXT, "a", 1, (struct shape){.key = zero});
    ck_assert_str_eq(fake_rules(f), "C:ws-mask-key-zero");
    has(f, "p3 t1003000000 s1 finding ws-mask-key-zero f0: 2 of 3 frames");
    fake_free(f);
    for (int n = 7; n <= 8; n++) {
        f = session();
        for (int i = 0; i < n; i++)
            shaped(f, CLIENT, TEXT, "a", 1, (struct shape){.key = same});
        expect(f, n == 8 ? "C:ws-mask-key-constant" : "");
    }
    f = session(); /* one other key: no constant any more, but nothing random either */
    for (int i = 0; i < 9; i++)
        shaped(f, CLIENT, TEXT, "a", 1, (struct shape){.key = i == 4 ? "abcd" : same});
    expect(f, "C:ws-mask-key-predictable");
}
END_TEST

START_TEST(mask_keys_that_can_be_guessed)
{
    for (int kind = 0; kind < 5; kind++) {
        struct fake *f = session();
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t r = next_key();
            uint32_t noise = i < 4 ? i : 0xFFFFFFu ^ (i - 4) << 5; /* 24 bits change */
            uint32_t key = kind == 0   ? __builtin_bswap32(0x12345678u + i * 0x9E3779B1u)
                           : kind == 1 ? 0x78563412u + i * 0x9E3779B1u
                           : kind == 2 ? (r & 255u) * 0x01010101u
                           : kind == 3 ? noise
                                       : r;
            char bytes_of[5] = {(char)(key >> 24), (char)(key >> 16), (char)(key >> 8), (char)key};
            shaped(f, CLIENT, TEXT, "a", 1, (struct shape){.key = bytes_of});
        }
        expect(f, kind < 4 ? "C:ws-mask-key-predictable" : "");
    }
}
END_TEST

START_TEST(reserved_bits)
{
    for (unsigned bit = 0x10; bit <= 0x40; bit <<= 1) {
        struct fake *f = session();
        put(f, CLIENT, TEXT | bit, "Hello");
        put(f, CLIENT, TEXT, "Hello");
        expect(f, "C:ws-rsv-without-extension");
        f = session();
        fake_hint(f, "other-extensions", "");
        put(f, CLIENT, TEXT | bit, "\xFF\xFE");
        expect(f, "");
    }
    struct fake *f = pmd_session();
    put(f, CLIENT, TEXT | 0x20, "Hello");
    expect(f, "C:ws-rsv-without-extension");
    f = session(); /* not valid UTF-8, but that is the same event */
    put(f, CLIENT, TEXT | RSV1, "\xf2\x48\xcd");
    expect(f, "C:ws-rsv-without-extension");
    f = session(); /* always the same bit: an extension that was not agreed, still WebSocket */
    for (int i = 0; i < 4; i++)
        put(f, CLIENT, TEXT | RSV1, "abc");
    expect(f, "C:ws-rsv-without-extension C:ws-rsv-without-extension C:ws-rsv-without-extension "
              "C:ws-rsv-without-extension");
}
END_TEST

START_TEST(reserved_opcodes)
{
    static const unsigned opcodes[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    struct fake *f = session();
    put(f, CLIENT, TEXT_MORE, "He");
    put(f, CLIENT, 0x80 | opcodes[_i], "what");
    put(f, CLIENT, CONT, "llo");
    ck_assert_str_eq(fake_rules(f), "C:ws-opcode-reserved");
    has(f, "message=1/5/2 cut=0 rtt=-1 \"Hello\"");
    has(f, "finding ws-opcode-reserved f2: opcode");
    fake_free(f);
}
END_TEST

START_TEST(lengths_that_are_wrong)
{
    struct fake *f = session();
    shaped(f, CLIENT, TEXT, "Hello", 5, (struct shape){.form = 16});
    shaped(f, CLIENT, TEXT, "Hello", 5, (struct shape){.form = 64});
    put(f, CLIENT, TEXT, "Hello");
    expect(f, "C:ws-length-not-minimal C:ws-length-not-minimal");
    static char long_text[65536];
    memset(long_text, 'x', sizeof long_text);
    f = session();
    shaped(f, SERVER, BINARY, long_text, 65535, (struct shape){.form = 64});
    shaped(f, SERVER, BINARY, long_text, 65536, (struct shape){.form = 64});
    shaped(f, SERVER, BINARY, long_text, 126, (struct shape){.form = 16});
    expect(f, "S:ws-length-not-minimal");
    f = session(); /* the rest of the length is right: nothing behind it is lost */
    shaped(f, CLIENT, TEXT, "Hello", 5, (struct shape){.form = 64, .msb = 1});
    put(f, CLIENT, TEXT, "again");
    ck_assert_str_eq(fake_rules(f), "C:ws-length-msb");
    has(f, "\"again\"");
    fake_free(f);
}
END_TEST

START_TEST(control_frames_that_are_wrong)
{
    char long_text[126];
    memset(long_text, 'x', sizeof long_text);
    struct fake *f = session();
    bytes(f, CLIENT, PING, long_text, 125);
    bytes(f, SERVER, PONG, long_text, 125);
    expect(f, "");
    f = session();
    bytes(f, CLIENT, PING, long_text, 126);
    bytes(f, SERVER, PONG, long_text, 126);
    ck_assert_str_eq(fake_rules(f), "C:ws-control-too-long S:ws-control-too-long");
    has(f, "message=10/126/1 cut=0 rtt=1000000");
    fake_free(f);
    f = session(); /* its second half is no second event */
    put(f, CLIENT, 0x09, "frag");
    put(f, CLIENT, CONT, "ment");
    put(f, CLIENT, TEXT, "Hello");
    expect(f, "C:ws-control-fragmented");
    f = session();
    put(f, CLIENT, TEXT_MORE, "He");
    put(f, CLIENT, 0x09, "frag");
    put(f, CLIENT, CONT, "llo");
    ck_assert_str_eq(fake_rules(f), "C:ws-control-fragmented");
    has(f, "\"Hello\"");
    fake_free(f);
}
END_TEST

START_TEST(order_of_fragments)
{
    struct fake *f = session();
    put(f, CLIENT, TEXT, "Hello");
    put(f, CLIENT, CONT_MORE, "a");
    put(f, CLIENT, CONT, "b");
    put(f, CLIENT, TEXT, "Hello");
    expect(f, "C:ws-continuation-without-start C:ws-continuation-without-start");
    f = session();
    put(f, CLIENT, TEXT_MORE, "dropped");
    put(f, CLIENT, BINARY_MORE, "new ");
    put(f, CLIENT, CONT, "message");
    ck_assert_str_eq(fake_rules(f), "C:ws-interleaved-message");
    has(f, "message=2/11/2 cut=0 rtt=-1 \"new message\"");
    has(f, "[frames=3 messages=1 bytes=18 decoded=11");
    fake_free(f);
}
END_TEST

START_TEST(bad_text)
{
    static const struct {
        const char *text, *evidence;
    } samples[] = {
        {"ab\xC0\xAF", "overlong at byte 2"},       {"\xED\xA0\x80", "surrogate at byte 0"},
        {"x\xF4\x90\x80\x80", "above U+10FFFF at byte 1"}, {"abc\xE2\x82", "truncated at byte 3"},
        {"\x80", "stray continuation byte at byte 0"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct fake *f = session();
        put(f, SERVER, BINARY, samples[i].text);
        put(f, CLIENT, TEXT, samples[i].text);
        put(f, CLIENT, TEXT, "fine");
        ck_assert_str_eq(fake_rules(f), "C:ws-bad-utf8");
        has(f, samples[i].evidence);
        fake_free(f);
    }
    struct fake *f = session(); /* a character in two fragments, and one cut at the end */
    put(f, CLIENT, TEXT_MORE, "\xE2");
    put(f, CLIENT, CONT, "\x82\xAC");
    put(f, CLIENT, TEXT_MORE, "\xE2");
    put(f, CLIENT, CONT, "\x82");
    ck_assert_str_eq(fake_rules(f), "C:ws-bad-utf8");
    has(f, "f4: truncated at byte 0 of the message");
    fake_free(f);
    f = session(); /* beyond what is kept */
    f->options.payload = 4;
    put(f, CLIENT, TEXT, "0123456789\xFF");
    expect(f, "C:ws-bad-utf8");
}
END_TEST

START_TEST(sizes_over_the_limits)
{
    char text[300];
    memset(text, 'x', sizeof text);
    struct fake *f = session();
    f->options.frame_limit = 200;
    f->options.message_limit = 250;
    bytes(f, CLIENT, BINARY, text, 200);
    bytes(f, CLIENT, BINARY_MORE, text, 125);
    bytes(f, CLIENT, CONT, text, 125);
    expect(f, "");
    f = session();
    f->options.frame_limit = 200;
    f->options.message_limit = 250;
    bytes(f, CLIENT, BINARY, text, 201);
    bytes(f, CLIENT, TEXT, text, 300);
    bytes(f, CLIENT, BINARY_MORE, text, 125);
    bytes(f, CLIENT, CONT, text, 126);
    expect(f, "C:ws-frame-oversize C:ws-frame-oversize C:ws-message-oversize");
}
END_TEST

START_TEST(many_fragments)
{
    struct fake *f = session();
    put(f, CLIENT, TEXT_MORE, "a");
    for (int i = 0; i < 126; i++)
        put(f, CLIENT, CONT_MORE, "a");
    put(f, CLIENT, CONT, "a");
    expect(f, "");
    f = session();
    put(f, CLIENT, TEXT_MORE, "a");
    for (int i = 0; i < 150; i++)
        put(f, CLIENT, CONT_MORE, i % 2 ? "" : "a");
    put(f, CLIENT, CONT, "a");
    expect(f, "C:ws-excessive-fragmentation");
    char text[100];
    memset(text, 'x', sizeof text);
    f = session(); /* many, but each of a size */
    bytes(f, CLIENT, TEXT_MORE, text, sizeof text);
    for (int i = 0; i < 150; i++)
        bytes(f, CLIENT, CONT_MORE, text, sizeof text);
    expect(f, "");
}
END_TEST

START_TEST(frame_cut_by_the_end)
{
    static const struct {
        enum session_end end;
        int fin, expected;
    } ends[] = {{SESSION_END_FIN, 1, 1}, {SESSION_END_RST, 0, 1}, {SESSION_END_CAPTURE, 0, 0},
                {SESSION_END_EVICTED, 0, 0}};
    for (size_t i = 0; i < 4; i++) {
        for (int header = 0; header < 2; header++) {
            struct fake *f = session();
            put(f, CLIENT, TEXT, "Hello");
            uint8_t out[40];
            size_t len = build(out, CLIENT, TEXT, "cut here", 8, &(struct shape){0});
            fake_data(f, CLIENT, out, header ? 3 : len - 2);
            if (ends[i].fin)
                fake_fin(f, CLIENT);
            f->end = ends[i].end;
            f->end_side = CLIENT;
            expect(f, ends[i].expected
                          ? "C:ws-frame-truncated-at-close C:ws-abnormal-close"
                          : "");
        }
    }
    struct fake *f = session(); /* what its first bytes prove is told all the same */
    put(f, CLIENT, TEXT, "Hello");
    shaped(f, CLIENT, TEXT | 0x10, "cut", 3, (struct shape){.claim = 9});
    fake_fin(f, CLIENT);
    ck_assert_str_eq(fake_rules(f), "C:ws-rsv-without-extension C:ws-frame-truncated-at-close");
    has(f, "finding ws-rsv-without-extension f0:");
    has(f, "3 of 9 payload bytes");
    fake_free(f);
    f = session(); /* ... and where not even the header is whole */
    put(f, CLIENT, TEXT, "Hello");
    fake_data(f, CLIENT, "\x83\x85\x01", 3);
    ck_assert_str_eq(fake_rules(f), "C:ws-opcode-reserved");
    has(f, "@11 p2 t1002000000 s1 finding ws-opcode-reserved f0");
    fake_fin(f, CLIENT);
    expect(f, "C:ws-opcode-reserved C:ws-frame-truncated-at-close");
}
END_TEST

/* --- not WebSocket at all --- */

static void alien(const void *client, size_t client_len, const void *server, size_t server_len,
                  const char *rules)
{
    struct fake *f = session();
    if (client_len > 0)
        fake_data(f, CLIENT, client, client_len);
    if (server_len > 0)
        fake_data(f, SERVER, server, server_len);
    finish(f, CLIENT);
    expect(f, rules);
}

START_TEST(other_protocols)
{
    static const char both[] = "C:ws-not-websocket-after-101 S:ws-not-websocket-after-101";
    alien("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, "\x16\x03\x03\x00\x7a\x02", 6, both);
    alien("GET /internal HTTP/1.1\r\n\r\n", 26, "HTTP/1.1 200 OK\r\n\r\n", 19, both);
    alien("SSH-2.0-x\r\n", 11, "SSH-2.0-y\r\n", 11, both);
    alien("\x05\x01\x00", 3, "", 0, "C:ws-not-websocket-after-101");
    alien("\x05\x01", 2, "", 0, "C:ws-not-websocket-after-101");
    alien("\x89\x7e\x01\x2c", 4, "", 0, "C:ws-not-websocket-after-101");
}
END_TEST

START_TEST(one_side_is_no_websocket)
{
    struct fake *f = session();
    put(f, SERVER, TEXT, "I am");
    fake_data(f, CLIENT, "\x16\x03\x01\x02\x00\x01\x00", 7);
    put(f, SERVER, TEXT | 0x20, "still");
    ck_assert_str_eq(fake_rules(f), "C:ws-not-websocket-after-101 S:ws-rsv-without-extension");
    has(f, "frame 1 begins 16 03: opcode 6, RSV bits 001, not masked");
    has(f, "\"still\"");
    fake_free(f);
    f = session(); /* the other order: its bytes wait for the server's */
    fake_data(f, CLIENT, "\x16\x03\x01\x02\x00\x01\x00", 7);
    put(f, SERVER, TEXT, "I am");
    put(f, SERVER, TEXT, "still");
    ck_assert_str_eq(fake_rules(f), "C:ws-not-websocket-after-101");
    has(f, "\"still\"");
    fake_free(f);
}
END_TEST

START_TEST(later_frames_show_it)
{
    /* A plausible first frame, then headers that are none. */
    struct fake *f = session();
    fake_data(f, SERVER, "\x00\x00\x16\x03\x03\x00\x7a", 7);
    ck_assert_str_eq(fake_rules(f), "S:ws-not-websocket-after-101");
    has(f, "frame 2 begins 16 03");
    fake_free(f);
    f = session();
    fake_data(f, SERVER, "\x05\x00\x05\x00\x00\x01\x0a", 7);
    expect(f, "S:ws-not-websocket-after-101");
    f = session(); /* one mistake in the first three, whichever, is one mistake */
    put(f, SERVER, TEXT, "a");
    put(f, SERVER, 0x83, "b");
    put(f, SERVER, TEXT, "c");
    put(f, SERVER, 0x83, "d");
    put(f, SERVER, 0x84, "e");
    expect(f, "S:ws-opcode-reserved S:ws-opcode-reserved S:ws-opcode-reserved");
}
END_TEST

START_TEST(nobody_promised_a_websocket)
{
    struct fake *f = session();
    fake_hint(f, "assumed", "");
    fake_data(f, CLIENT, "\x16\x03\x01\x02\x00\x01\x00", 7);
    expect(f, "");
}
END_TEST

/* --- section G --- */

START_TEST(close_codes)
{
    static const struct {
        unsigned code;
        enum side side;
        const char *rules;
    } codes[] = {
        {0, CLIENT, "C:ws-close-code-forbidden"},   {999, CLIENT, "C:ws-close-code-forbidden"},
        {1000, CLIENT, ""},                         {1003, SERVER, ""},
        {1004, CLIENT, "C:ws-close-code-forbidden"}, {1005, SERVER, "S:ws-close-code-forbidden"},
        {1006, CLIENT, "C:ws-close-code-forbidden"}, {1007, CLIENT, ""},
        {1010, CLIENT, ""},                         {1010, SERVER, "S:ws-close-1010-from-server"},
        {1011, SERVER, ""},                         {1011, CLIENT, "C:ws-close-1011-from-client"},
        {1014, SERVER, ""},                         {1015, CLIENT, "C:ws-close-code-forbidden"},
        {1016, CLIENT, "C:ws-close-code-forbidden"}, {2999, CLIENT, "C:ws-close-code-forbidden"},
        {3000, CLIENT, ""},                         {3001, CLIENT, "C:ws-close-code-unregistered"},
        {3003, SERVER, ""},                         {3008, SERVER, ""},
        {3999, SERVER, "S:ws-close-code-unregistered"}, {4000, CLIENT, ""},
        {4999, CLIENT, ""},                         {5000, CLIENT, "C:ws-close-code-forbidden"},
        {65535, SERVER, "S:ws-close-code-forbidden"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct fake *f = session();
        char body[2] = {(char)(codes[i].code >> 8), (char)codes[i].code};
        bytes(f, codes[i].side, CLOSE, body, 2);
        expect(f, codes[i].rules);
    }
}
END_TEST

START_TEST(close_bodies)
{
    struct fake *f = session();
    put(f, CLIENT, CLOSE, "x");
    ck_assert_str_eq(fake_rules(f), "C:ws-close-length-1");
    has(f, "code=-1 none]");
    has(f, "message=8/0/1 cut=0 rtt=-1 \"\"");
    has(f, "end reason=1 side=0");
    fake_free(f);
    f = session();
    put(f, CLIENT, CLOSE, "\x03\xe8" "ok \xC3");
    ck_assert_str_eq(fake_rules(f), "C:ws-close-reason-utf8");
    has(f, "truncated at byte 3 of the reason");
    fake_free(f);
}
END_TEST

START_TEST(after_the_own_close)
{
    struct fake *f = session();
    put(f, SERVER, PING, "p");
    put(f, CLIENT, CLOSE, "\x03\xe8");
    put(f, CLIENT, PONG, "p");
    put(f, SERVER, TEXT, "the server may still send");
    put(f, SERVER, CLOSE, "\x03\xe8");
    expect(f, "");
    f = session(); /* reported as that and checked for nothing else */
    put(f, CLIENT, CLOSE, "\x03\xe8");
    shaped(f, CLIENT, TEXT | 0x30, "\xFF\xFF", 2, (struct shape){.mask = MASK_NO, .form = 64});
    put(f, CLIENT, CONT, "x");
    put(f, CLIENT, PING, "");
    put(f, CLIENT, CLOSE, "\x00\x01");
    put(f, CLIENT, PONG, "");
    ck_assert_str_eq(fake_rules(f), "C:ws-data-after-close C:ws-data-after-close "
                                    "C:ws-control-after-close C:ws-control-after-close");
    has(f, "code=1000");
    fake_free(f);
}
END_TEST

START_TEST(abnormal_ends)
{
    static const struct {
        enum session_end end;
        enum side side;
        int close, gap;
        const char *rules;
    } ends[] = {
        {SESSION_END_FIN, SERVER, 0, 0, "S:ws-abnormal-close"},
        {SESSION_END_RST, CLIENT, 0, 0, "C:ws-abnormal-close"},
        {SESSION_END_IDLE, NEITHER, 0, 0, "N:ws-abnormal-close"},
        {SESSION_END_CAPTURE, NEITHER, 0, 0, ""},
        {SESSION_END_EVICTED, NEITHER, 0, 0, ""},
        {SESSION_END_RST, CLIENT, 1, 0, ""},
        {SESSION_END_RST, CLIENT, 0, 1, ""},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct fake *f = session();
        put(f, CLIENT, TEXT, "Hello");
        put(f, SERVER, TEXT, "Hello");
        if (ends[i].close)
            put(f, SERVER, CLOSE, "\x03\xe9");
        if (ends[i].gap)
            fake_gap(f, SERVER, 10);
        f->end = ends[i].end;
        f->end_side = ends[i].side;
        f->idle_ns = INT64_C(1500000000);
        const char *rules = fake_rules(f);
        ck_assert_str_eq(rules, ends[i].rules);
        if (*rules != '\0')
            has(f, "after 1500 ms without traffic");
        fake_free(f);
    }
}
END_TEST

START_TEST(nothing_was_said)
{
    for (int kind = 0; kind < 4; kind++) {
        struct fake *f = session();
        if (kind == 1)
            put(f, SERVER, TEXT, "a word");
        if (kind == 3)
            fake_gap(f, SERVER, 4);
        finish(f, CLIENT);
        f->idle_ns = kind == 2 ? INT64_C(6000000000) : INT64_C(20000000);
        expect(f, kind == 0   ? "C:101-no-data-then-close"
                  : kind == 3 ? ""
                              : "C:ws-abnormal-close");
    }
}
END_TEST

START_TEST(who_closes_first)
{
    struct fake *f = session();
    both_close(f);
    finish(f, SERVER);
    expect(f, "");
    f = session();
    both_close(f);
    finish(f, CLIENT);
    expect(f, "C:ws-client-closed-tcp-first");
    f = session();
    put(f, SERVER, CLOSE, "\x03\xe8");
    finish(f, SERVER);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "end reason=1 side=1");
    fake_free(f);
}
END_TEST

START_TEST(close_not_echoed)
{
    for (int kind = 0; kind < 5; kind++) {
        struct fake *f = session();
        put(f, CLIENT, TEXT, "Hello");
        put(f, SERVER, CLOSE, "\x03\xe8");
        if (kind == 1) /* sent before the Close was there */
            f->acked = 0;
        if (kind == 2)
            f->acked = FAKE_ACKED_NONE;
        put(f, CLIENT, TEXT, "acknowledges it");
        if (kind == 3)
            put(f, CLIENT, CLOSE, "\x03\xe8");
        finish(f, kind == 4 ? SERVER : CLIENT);
        expect(f, kind == 0   ? "C:ws-close-not-echoed"
                  : kind == 3 ? "C:ws-client-closed-tcp-first"
                              : "");
    }
}
END_TEST

/* Who fails the connection for what the other side did owes it neither echo nor pong. */
START_TEST(failed_connections)
{
    static const struct {
        unsigned first;
        const char *payload, *rules;
    } closes[] = {
        {CLOSE, "x", "C:ws-close-length-1"},
        {CLOSE, "\x03\xe7", "C:ws-close-code-forbidden"},
        {CLOSE, "\x03\xe8\xff", "C:ws-close-reason-utf8"},
        {CLOSE | 0x70, "", "C:ws-rsv-without-extension"},
        {CLOSE, "\x0b\xb9", "C:ws-close-code-unregistered S:ws-close-not-echoed"}, /* legal */
        {CLOSE, "\x03\xe8", "S:ws-close-not-echoed"},
    };
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        struct fake *f = session();
        put(f, CLIENT, closes[i].first, closes[i].payload);
        finish(f, SERVER);
        expect(f, closes[i].rules);
    }
    for (int broken = 0; broken < 2; broken++) { /* the kernel had the ping, the program never */
        struct fake *f = session();
        put(f, CLIENT, TEXT, "Hello");
        put(f, CLIENT, broken ? 0x83 : TEXT, "");
        put(f, CLIENT, PING, "1");
        put(f, SERVER, TEXT, "Hello");
        finish(f, SERVER);
        expect(f, broken ? "C:ws-opcode-reserved S:ws-abnormal-close"
                         : "S:ws-ping-unanswered S:ws-abnormal-close");
    }
    struct fake *f = session(); /* nor is the pong to a broken ping one to nothing */
    bytes(f, CLIENT, PING, NULL, 0);
    put(f, SERVER, PONG, "");
    shaped(f, CLIENT, PING | RSV1, "1", 1, (struct shape){0});
    put(f, SERVER, PONG, "1");
    put(f, CLIENT, TEXT, "the third frame, and it is a WebSocket");
    put(f, CLIENT, 0x0A, "a pong without FIN");
    expect(f, "C:ws-rsv-without-extension C:ws-control-fragmented");
}
END_TEST

START_TEST(echoed_codes)
{
    for (int kind = 0; kind < 4; kind++) {
        enum side first = kind & 1 ? SERVER : CLIENT;
        const char *body = kind & 1 ? "\x03\xf3" : "\x03\xf2"; /* 1011, 1010 */
        struct fake *f = session();
        put(f, first, CLOSE, body);
        if (kind & 2) /* not an answer */
            f->acked = 0;
        put(f, side_peer(first), CLOSE, body);
        expect(f, kind == 2   ? "S:ws-close-1010-from-server"
                  : kind == 3 ? "C:ws-close-1011-from-client"
                              : "");
    }
}
END_TEST

START_TEST(client_ends_first)
{
    for (int kind = 0; kind < 3; kind++) {
        struct fake *f = session();
        put(f, CLIENT, CLOSE, "\x03\xe8");
        put(f, SERVER, CLOSE | (kind == 1 ? 0x10 : 0), "\x03\xe8"); /* fails the connection, */
        if (kind == 2)
            f->acked = 0; /* or had ended it before */
        finish(f, CLIENT);
        expect(f, kind == 0   ? "C:ws-client-closed-tcp-first"
                  : kind == 1 ? "S:ws-rsv-without-extension"
                              : "");
    }
}
END_TEST

/* The mask was never sent: two bytes say what kind of frame it was to be, and where. */
START_TEST(cut_in_the_header)
{
    static const struct {
        unsigned before, first;
        const char *rules;
    } cuts[] = {
        {TEXT, CONT, "C:ws-continuation-without-start C:ws-frame-truncated-at-close"},
        {TEXT_MORE, CONT, "C:ws-frame-truncated-at-close"},
        {TEXT_MORE, BINARY, "C:ws-interleaved-message C:ws-frame-truncated-at-close"},
        {TEXT_MORE, PING, "C:ws-frame-truncated-at-close"},
        {TEXT, TEXT, "C:ws-frame-truncated-at-close"},
        {CLOSE, TEXT, "C:ws-data-after-close"},
        {CLOSE, CONT, "C:ws-data-after-close"},
        {CLOSE, PING, "C:ws-control-after-close"},
        {CLOSE, PONG, ""},
        {PING | 0x80, CONT, "C:ws-continuation-without-start C:ws-frame-truncated-at-close"},
        {0x09, CONT, "C:ws-control-fragmented C:ws-frame-truncated-at-close"},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct fake *f = session();
        put(f, CLIENT, cuts[i].before, "");
        const uint8_t start[2] = {(uint8_t)cuts[i].first, 0x85};
        fake_data(f, CLIENT, start, 2);
        put(f, SERVER, CLOSE, "\x03\xea");
        finish(f, SERVER);
        expect(f, cuts[i].rules);
    }
}
END_TEST

START_TEST(pings_that_are_answered)
{
    struct fake *f = session();
    put(f, CLIENT, PING, "1");
    put(f, CLIENT, PING, "2");
    fake_wait(f, 4);
    put(f, SERVER, PONG, "2"); /* answers the first as well */
    put(f, SERVER, TEXT, "x");
    fake_wait(f, 100000);
    put(f, CLIENT, TEXT, "x");
    both_close(f);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "rtt=5000000 \"2\"");
    fake_free(f);
    f = session(); /* empty pings: the pong is for the one that its sender had */
    put(f, CLIENT, PING, "");
    int64_t one = (int64_t)f->len;
    fake_wait(f, 9);
    put(f, CLIENT, PING, "");
    f->acked = one;
    put(f, SERVER, PONG, "");
    f->acked = FAKE_ACKED_ALL;
    put(f, SERVER, PONG, "");
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "rtt=11000000");
    has(f, "rtt=2000000");
    fake_free(f);
}
END_TEST

START_TEST(pings_that_are_not_answered)
{
    struct fake *f = session(); /* the peer goes on without a pong */
    put(f, CLIENT, PING, "1");
    put(f, SERVER, TEXT, "x");
    put(f, SERVER, CLOSE, "\x03\xe8");
    put(f, CLIENT, CLOSE, "\x03\xe8");
    ck_assert_str_eq(fake_rules(f), "S:ws-ping-unanswered");
    has(f, "p1 t1001000000 s1 finding ws-ping-unanswered f1: ping at client offset 0");
    fake_free(f);
    f = session(); /* it may not have had the ping */
    put(f, SERVER, TEXT, "x");
    put(f, CLIENT, PING, "1");
    f->acked = 0;
    put(f, SERVER, TEXT, "x");
    expect(f, "");
    f = session(); /* a Close between */
    put(f, CLIENT, PING, "1");
    put(f, SERVER, CLOSE, "\x03\xe8");
    fake_wait(f, 60000);
    put(f, CLIENT, CLOSE, "\x03\xe8");
    expect(f, "");
    f = session(); /* ... or before it */
    put(f, SERVER, CLOSE, "\x03\xe8");
    put(f, CLIENT, PING, "1");
    fake_wait(f, 60000);
    put(f, CLIENT, CLOSE, "\x03\xe8");
    expect(f, "");
    for (int late = 0; late < 2; late++) { /* silence */
        f = session();
        put(f, CLIENT, PING, "1");
        fake_wait(f, late ? 30001 : 29000);
        put(f, CLIENT, TEXT, "x");
        expect(f, late ? "S:ws-ping-unanswered" : "");
    }
    f = session(); /* the pong comes, too late */
    put(f, CLIENT, PING, "1");
    fake_wait(f, 31000);
    put(f, SERVER, PONG, "1");
    ck_assert_str_eq(fake_rules(f), "S:ws-ping-unanswered");
    has(f, "rtt=31001000000");
    fake_free(f);
    f = session(); /* what was lost may have been the pong */
    put(f, CLIENT, PING, "1");
    fake_gap(f, SERVER, 3);
    put(f, SERVER, TEXT, "xxxxxxxxxxxxxxxxxxx");
    put(f, SERVER, TEXT, "xxxxxxxxxxxxxxxxxxx");
    put(f, SERVER, TEXT, "xxxxxxxxxxxxxxxxxxx");
    expect(f, "S:capture-gap");
}
END_TEST

START_TEST(pongs)
{
    struct fake *f = session();
    put(f, SERVER, PONG, "beat");
    put(f, CLIENT, PING, "1");
    put(f, SERVER, PONG, "1");
    put(f, SERVER, PONG, "1");
    ck_assert_str_eq(fake_rules(f), "S:ws-pong-unsolicited S:ws-pong-unsolicited");
    has(f, "op=10 mask=0 len=4 z=0 message=10/4/1 cut=0 rtt=-1 \"beat\"");
    fake_free(f);
    f = session();
    put(f, CLIENT, PING, "one");
    put(f, SERVER, PONG, "two");
    put(f, SERVER, TEXT, "x");
    ck_assert_str_eq(fake_rules(f), "S:ws-pong-mismatch");
    has(f, "S @0 p2 t1002000000 s1 finding ws-pong-mismatch f2");
    fake_free(f);
    f = session(); /* the right one still comes */
    put(f, CLIENT, PING, "one");
    put(f, SERVER, PONG, "two");
    put(f, SERVER, PONG, "one");
    expect(f, "");
    f = session(); /* it was sent before the ping was there */
    put(f, SERVER, TEXT, "x");
    put(f, CLIENT, PING, "one");
    f->acked = 0;
    put(f, SERVER, PONG, "beat");
    f->acked = FAKE_ACKED_ALL;
    put(f, SERVER, PONG, "one");
    expect(f, "S:ws-pong-unsolicited");
    f = session();
    fake_hint(f, "assumed", "");
    put(f, SERVER, PONG, "to a ping that nobody captured");
    expect(f, "");
}
END_TEST

START_TEST(more_pings_than_are_remembered)
{
    struct fake *f = session();
    char name[3] = "aa";
    for (int i = 0; i < 40; i++) {
        name[1] = (char)('0' + i);
        put(f, CLIENT, PING, name);
    }
    put(f, SERVER, PONG, name);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "rtt=1000000");
    fake_free(f);
}
END_TEST

/* --- permessage-deflate --- */

static size_t squeeze(z_stream *z, const void *text, size_t len, uint8_t *out, size_t cap)
{
    z->next_in = (Bytef *)(uintptr_t)text;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)cap;
    ck_assert_int_eq(deflate(z, Z_SYNC_FLUSH), Z_OK);
    return cap - z->avail_out - 4;
}

START_TEST(compressed_sessions)
{
    static const char *const windows[] = {"9", "10", "11", "12", "13", "14", "15"};
    for (int bits = 9; bits <= 15; bits++) {
        struct fake *f = pmd_session();
        fake_hint(f, "client_max_window_bits", windows[bits - 9]);
        if (_i & 1)
            fake_hint(f, "client_no_context_takeover", "");
        if (_i & 2)
            fake_hint(f, "server_no_context_takeover", "");
        z_stream z[2] = {0};
        ck_assert_int_eq(deflateInit2(&z[0], 6, Z_DEFLATED, -bits, 8, 0), Z_OK);
        ck_assert_int_eq(deflateInit2(&z[1], 6, Z_DEFLATED, -15, 8, 0), Z_OK);
        for (int n = 0; n < 6; n++) {
            enum side side = n % 2 ? SERVER : CLIENT;
            char text[2000];
            uint8_t packed[2100];
            for (size_t i = 0; i < sizeof text; i++)
                text[i] = (char)('a' + (i * i + i / 7 * (unsigned)n) % 23);
            size_t len = squeeze(&z[side], text, sizeof text, packed, sizeof packed);
            if (n < 4) {
                bytes(f, side, TEXT | RSV1, packed, len);
            } else { /* in fragments, the last one empty, a control frame between */
                bytes(f, side, TEXT_MORE | RSV1, packed, len / 2);
                put(f, side, PONG, "");
                bytes(f, side, CONT_MORE, packed + len / 2, len - len / 2);
                put(f, side, CONT, "");
            }
            put(f, side, TEXT, "plain");
            if (_i & (side == CLIENT ? 1 : 2))
                (void)deflateReset(&z[side]);
        }
        for (int side = 0; side < 2; side++)
            (void)deflateEnd(&z[side]);
        ck_assert_str_eq(fake_rules(f), "C:ws-pong-unsolicited S:ws-pong-unsolicited");
        has(f, "messages=6 bytes=");
        has(f, "decoded=6015 ");
        has(f, "z=1 message=1/2000/3 cut=0");
        has_not(f, "cut=1");
        fake_free(f);
    }
}
END_TEST

START_TEST(compressed_bits)
{
    struct fake *f = pmd_session();
    put(f, CLIENT, PING | RSV1, "x");
    expect(f, "C:pmd-rsv1-on-control-or-continuation");
    f = pmd_session();
    bytes(f, CLIENT, TEXT_MORE | RSV1, "\xf2\x48\xcd", 3);
    bytes(f, CLIENT, CONT | RSV1, "\xc9\xc9\x07\x00", 4);
    ck_assert_str_eq(fake_rules(f), "C:pmd-rsv1-on-control-or-continuation");
    has(f, "\"Hello\"");
    fake_free(f);
}
END_TEST

START_TEST(compressed_wrongly)
{
    struct fake *f = pmd_session();
    bytes(f, CLIENT, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    bytes(f, CLIENT, TEXT | RSV1, "\x07\xff\xff", 3);
    bytes(f, CLIENT, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    ck_assert_str_eq(fake_rules(f), "C:pmd-inflate-error");
    has(f, "client message 2: invalid block type");
    has(f, "messages=3 ");
    fake_free(f);
    f = pmd_session();
    bytes(f, SERVER, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", 11);
    bytes(f, SERVER, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    ck_assert_str_eq(fake_rules(f), "S:pmd-tail-not-removed");
    fake_free(f);
    f = pmd_session(); /* an inflated text is text */
    bytes(f, CLIENT, TEXT | RSV1, "\x00\x01\x00\xfe\xff\xff\x00", 7);
    expect(f, "C:ws-bad-utf8");
    f = pmd_session(); /* a message that was dropped takes the context with it */
    bytes(f, CLIENT, TEXT_MORE | RSV1, "\xf2\x48", 2);
    bytes(f, CLIENT, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    ck_assert_str_eq(fake_rules(f), "C:ws-interleaved-message");
    has_not(f, "Hello");
    fake_free(f);
    f = session(); /* a guess is no proof */
    fake_hint(f, "assumed", "");
    bytes(f, CLIENT, TEXT | RSV1, "\x07\xff\xff", 3);
    bytes(f, SERVER, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "\"Hello\"");
    fake_free(f);
}
END_TEST

START_TEST(window_and_context)
{
    static char text[3000];
    static uint8_t packed[4000];
    uint32_t state = 3;
    for (size_t i = 0; i < 2500; i++) {
        state = state * 1103515245u + 12345u;
        text[i] = (char)('!' + (state >> 16) % 90);
    }
    memcpy(text + 2500, text, 500);
    for (int kind = 0; kind < 4; kind++) {
        struct fake *f = pmd_session();
        if (kind < 2)
            fake_hint(f, "client_max_window_bits", kind == 0 ? "11" : "12");
        else
            fake_hint(f, "client_no_context_takeover", "");
        z_stream z = {0};
        ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
        for (int n = 0; n < 2; n++) {
            size_t len = squeeze(&z, n == 0 ? text : text + 2500, n == 0 ? 3000 : 500, packed,
                                 sizeof packed);
            bytes(f, CLIENT, TEXT | RSV1, packed, len);
            if (kind == 3)
                (void)deflateReset(&z);
        }
        (void)deflateEnd(&z);
        const char *rules = fake_rules(f);
        if (kind == 0)
            ck_assert_ptr_nonnull(strstr(rules, "C:pmd-window-violated"));
        else
            ck_assert_str_eq(rules, kind == 2 ? "C:pmd-context-violated" : "");
        has(f, "message=1/3000/1 cut=0");
        has(f, "message=1/500/1 cut=0");
        fake_free(f);
    }
}
END_TEST

START_TEST(bombs)
{
    static char zeros[1 << 21];
    static uint8_t packed[1 << 15];
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, 0), Z_OK);
    size_t len = squeeze(&z, zeros, sizeof zeros, packed, sizeof packed);
    (void)deflateEnd(&z);
    struct fake *f = pmd_session();
    bytes(f, CLIENT, BINARY | RSV1, packed, len);
    bytes(f, CLIENT, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    put(f, CLIENT, TEXT, "plain");
    ck_assert_str_eq(fake_rules(f), "C:pmd-ratio-bomb");
    has(f, "inflating stopped at 1114112");
    has(f, "\"plain\"");
    has(f, "messages=3 ");
    fake_free(f);
    f = pmd_session();
    f->options.ratio_limit = 0;
    bytes(f, CLIENT, BINARY | RSV1, packed, len);
    expect(f, "");
    f = pmd_session();
    f->options.message_limit = 1000;
    fake_hint(f, "client_no_context_takeover", "");
    bytes(f, CLIENT, BINARY | RSV1, packed, len);
    bytes(f, CLIENT, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    ck_assert_str_eq(fake_rules(f), "C:pmd-ratio-bomb");
    has(f, "inflating stopped at 1001");
    has(f, "\"Hello\""); /* nothing of the bomb is needed for it */
    fake_free(f);
}
END_TEST

START_TEST(useless_compression)
{
    uint8_t noise[400], packed[500];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)next_key();
    for (int useful = 0; useful < 2; useful++) {
        struct fake *f = pmd_session();
        z_stream z = {0};
        ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
        size_t len = squeeze(&z, useful ? memset(noise, 1, sizeof noise) : noise, sizeof noise,
                             packed, sizeof packed);
        (void)deflateEnd(&z);
        bytes(f, SERVER, BINARY | RSV1, packed, len);
        expect(f, useful ? "" : "S:pmd-useless");
    }
}
END_TEST

/* --- secrets --- */

static const char jwt[] = "{\"auth\":\"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0."
                          "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P\"}";

START_TEST(secrets_in_the_clear)
{
    static const struct {
        const char *text;
        int secret;
    } samples[] = {
        {jwt, 1},
        {"eyJhbGciOiJIUzI1NiJ9.notjson.dozjgNryP4J3jVmNHl0w5N", 0},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.short", 0},
        {"key=AKIAIOSFODNN7EXAMPLE;", 1},
        {"AKIAIOSFODNN7EXAMPLEX", 0},
        {"AKIAiosfodnn7example", 0},
        {"-----BEGIN RSA PRIVATE KEY-----\nMII", 1},
        {"-----BEGIN PRIVATE KEY-----", 1},
        {"-----BEGIN PUBLIC KEY-----", 0},
        {"token ghp_0123456789abcdefghijABCDEFGHIJ012345 ", 1},
        {"just some words, and sk_live_ alone", 0},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct fake *f = session();
        put(f, CLIENT, TEXT, samples[i].text);
        ck_assert_str_eq(fake_rules(f), samples[i].secret ? "C:ws-secret-in-payload" : "");
        has_not(f, ": eyJ");
        fake_free(f);
        f = session();
        fake_hint(f, "tls", "");
        put(f, CLIENT, TEXT, samples[i].text);
        put(f, SERVER, BINARY, samples[i].text);
        expect(f, "");
    }
}
END_TEST

START_TEST(secret_in_a_shared_context)
{
    for (int kind = 0; kind < 3; kind++) {
        struct fake *f = pmd_session();
        fake_hint(f, "tls", "");
        if (kind == 1)
            fake_hint(f, "server_no_context_takeover", "");
        put(f, CLIENT, TEXT, kind == 2 ? "other" : "guess=attackerchosenword00");
        z_stream z = {0};
        uint8_t packed[200];
        const char *text = "echo attackerchosenword00; \"sessionid\": \"a1b2c3d4e5f6a7b8c9\"";
        ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
        size_t len = squeeze(&z, text, strlen(text), packed, sizeof packed);
        (void)deflateEnd(&z);
        bytes(f, SERVER, TEXT | RSV1, packed, len);
        expect(f, kind == 0 ? "S:pmd-compressed-secret-mixed" : "");
    }
}
END_TEST

/* --- gaps --- */

START_TEST(gap_inside_a_payload)
{
    struct fake *f = session();
    put(f, CLIENT, TEXT, "before");
    uint8_t out[64];
    size_t len = build(out, CLIENT, TEXT, "\xFF this has a hole in it", 23, &(struct shape){0});
    fake_data(f, CLIENT, out, 10);
    fake_gap(f, CLIENT, 8);
    fake_data(f, CLIENT, out + 18, len - 18);
    put(f, CLIENT, TEXT, "after");
    both_close(f);
    finish(f, SERVER);
    const char *rules = fake_rules(f);
    ck_assert_str_eq(rules, "C:ws-bad-utf8");
    has(f, "finding ws-bad-utf8 f0"); /* proven before the hole; the frame was not all seen */
    has(f, "frame #2 fin=1 rsv=0 op=1 mask=1 len=5 z=0 message=1/5/1 cut=0 rtt=-1 \"after\"");
    has(f, "[frames=3 messages=2 ");
    fake_free(f);
}
END_TEST

START_TEST(gap_to_the_end_of_a_close)
{
    struct fake *f = session();
    uint8_t out[20];
    size_t len = build(out, CLIENT, CLOSE, "\x03\xe8", 2, &(struct shape){0});
    fake_data(f, CLIENT, out, len - 2);
    fake_gap(f, CLIENT, 2);
    finish(f, CLIENT);
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "code=-1");
    has(f, "end reason=1 side=0");
    fake_free(f);
}
END_TEST

START_TEST(gap_and_too_little_behind_it)
{
    struct fake *f = session();
    put(f, SERVER, TEXT, "before");
    fake_gap(f, SERVER, 50);
    uint8_t out[40] = "\xF0\xF1\xF2\xF3";
    size_t len = build(out + 4, SERVER, BINARY, "\xFF\xFE", 2, &(struct shape){0});
    fake_data(f, SERVER, out, 4 + len);
    ck_assert_str_eq(fake_rules(f), "");
    has_not(f, "frame #2");
    fake_free(f);
}
END_TEST

START_TEST(gap_over_headers)
{
    struct fake *f = session();
    put(f, CLIENT, TEXT_MORE, "open");
    fake_gap(f, CLIENT, 40);
    put(f, CLIENT, CONT, "the end of something");
    put(f, CLIENT, TEXT, "a message");
    put(f, CLIENT, TEXT, "and another");
    put(f, CLIENT, TEXT, "and another");
    ck_assert_str_eq(fake_rules(f), "C:capture-gap");
    has(f, "resynchronised 0 bytes behind the gap, 3 frames trusted");
    has(f, "\"a message\"");
    has(f, "op=0 mask=1 len=20 z=0\n");
    fake_free(f);
}
END_TEST

START_TEST(gap_and_the_rest_of_a_payload)
{
    for (int end = 0; end < 2; end++) {
        struct fake *f = session();
        put(f, SERVER, TEXT, "before");
        fake_gap(f, SERVER, 100);
        char rest[500];
        for (size_t i = 0; i < sizeof rest; i++)
            rest[i] = (char)next_key();
        fake_data(f, SERVER, rest, sizeof rest);
        put(f, SERVER, TEXT, "a message that was found again");
        put(f, SERVER, TEXT, "and the next");
        if (end == 0)
            put(f, SERVER, TEXT, "and one more");
        ck_assert_str_eq(fake_rules(f), "S:capture-gap");
        has(f, "\"a message that was found again\"");
        has(f, "resynchronised 500 bytes behind the gap");
        fake_free(f);
    }
}
END_TEST

START_TEST(gap_and_compression)
{
    const char hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    for (int takeover = 0; takeover < 2; takeover++) {
        struct fake *f = pmd_session();
        if (!takeover)
            fake_hint(f, "client_no_context_takeover", "");
        bytes(f, CLIENT, TEXT | (_i ? RSV1 : 0), _i ? hello : "plain", _i ? 7 : 5);
        fake_gap(f, CLIENT, 13);
        for (int i = 0; i < 4; i++)
            bytes(f, CLIENT, TEXT | RSV1, hello, 7);
        ck_assert_str_eq(fake_rules(f), "C:capture-gap");
        has(f, "frame #5");
        has(f, takeover ? "frame #5 fin=1 rsv=4 op=1 mask=1 len=7 z=1\n"
                        : "frame #5 fin=1 rsv=4 op=1 mask=1 len=7 z=1 message=1/5/1");
        has(f, "messages=5 ");
        fake_free(f);
    }
}
END_TEST

START_TEST(gap_of_nothing_but_zeros)
{
    struct fake *f = session();
    put(f, SERVER, TEXT, "before");
    fake_gap(f, SERVER, 100);
    static char zeros[3000];
    fake_data(f, SERVER, zeros, sizeof zeros);
    ck_assert_str_eq(fake_rules(f), "");
    has_not(f, "frame #2");
    fake_free(f);
}
END_TEST

/* --- what is inside --- */

START_TEST(tunnel_in_binary_messages)
{
    struct fake *f = session();
    put(f, CLIENT, BINARY_MORE, "SSH-2.0-");
    put(f, CLIENT, CONT, "OpenSSH_9.2\r\n");
    put(f, SERVER, BINARY, "SSH-2.0-server\r\n");
    ck_assert_str_eq(fake_rules(f), "");
    has(f, "layer 2 \"ssh\"");
    fake_free(f);
    f = session(); /* text came first: no tunnel */
    put(f, CLIENT, TEXT, "hi");
    put(f, CLIENT, BINARY, "SSH-2.0-OpenSSH_9.2\r\n");
    put(f, SERVER, BINARY, "SSH-2.0-server\r\n");
    ck_assert_str_eq(fake_rules(f), "");
    has_not(f, "layer 2");
    fake_free(f);
}
END_TEST

/* --- the program's own limits --- */

START_TEST(little_memory)
{
    static char text[50000];
    memset(text, 'x', sizeof text);
    for (size_t memory = 2000; memory < 80000; memory += memory < 20000 ? 600 : 9000) {
        struct fake *f = pmd_session();
        f->memory = memory;
        put(f, CLIENT, PING, "p");
        put(f, SERVER, PONG, "p");
        bytes(f, CLIENT, TEXT, text, sizeof text);
        bytes(f, SERVER, TEXT | RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
        put(f, SERVER, TEXT | 0x10, "x");
        both_close(f);
        (void)fake_play(f, 0);
        ck_assert_uint_eq(f->leaked, 0);
        (void)fake_play(f, 1);
        ck_assert_uint_eq(f->leaked, 0);
        fake_free(f);
    }
}
END_TEST

START_TEST(hostile_streams)
{
    uint32_t state = (uint32_t)_i + 17;
    for (int n = 0; n < 60; n++) {
        struct fake *f = n % 3 == 0 ? session() : pmd_session();
        if (n % 5 == 0)
            fake_hint(f, "client_no_context_takeover", "");
        if (n % 7 == 0)
            fake_hint(f, "other-extensions", "");
        f->options.payload = n % 4 == 0 ? 5 : 65536;
        f->options.hold_limit = n % 2 ? 1u << 20 : 300;
        for (int i = 0; i < 24; i++) {
            uint8_t data[40];
            for (size_t k = 0; k < sizeof data; k++) {
                state = state * 1103515245u + 12345u;
                data[k] = (uint8_t)(state >> 16);
            }
            enum side side = state >> 20 & 1 ? SERVER : CLIENT;
            size_t len = 1 + (state >> 8) % sizeof data;
            unsigned kind = state >> 24 & 15;
            static const unsigned firsts[] = {TEXT, BINARY, CONT, TEXT | RSV1, TEXT_MORE | RSV1,
                                              PING, PONG, BINARY_MORE, CLOSE};
            if (kind == 0)
                fake_gap(f, side, len);
            else if (kind == 1)
                fake_data(f, side, data, len);
            else if (kind != 2)
                bytes(f, side, firsts[data[0] % 9], data, len);
            else
                shaped(f, side, data[0], data, len, (struct shape){.claim = data[1]});
        }
        finish(f, n % 2 ? CLIENT : SERVER);
        (void)fake_rules(f);
        fake_free(f);
    }
}
END_TEST

/* --- probing --- */

START_TEST(probe)
{
    extern const struct dissector websocket_dissector;
    uint8_t out[200];
    size_t len = 0;
    key_state = 1000;
    for (int i = 0; i < 3; i++)
        len += build(out + len, CLIENT, TEXT, "some text in it", 15, &(struct shape){0});
    int last = 0;
    for (size_t n = 0; n <= len; n++) {
        int sure = websocket_dissector.probe(CLIENT, out, n);
        ck_assert_int_ge(sure, last);
        last = sure;
        ck_assert_int_le(websocket_dissector.probe(SERVER, out, n), n < 2 ? 0 : -1);
    }
    ck_assert_int_gt(last, 0);
    static const char *const others[] = {"GET / HTTP/1.1\r\n", "HTTP/1.1 101 S\r\n",
                                         "SSH-2.0-OpenSSH\r\n", "\x16\x03\x01\x02",
                                         "EHLO there\r\n", "AUTH LOGIN\r\n", "* OK IMAP ready\r\n"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        for (int side = CLIENT; side <= SERVER; side++)
            ck_assert_int_lt(websocket_dissector.probe((enum side)side,
                                                       (const uint8_t *)others[i],
                                                       strlen(others[i])), 1);
}
END_TEST

static void add_frames(TCase *cases)
{
    tcase_add_test(cases, healthy_session_is_quiet);
    tcase_add_loop_test(cases, every_length_form, 0, 11);
    tcase_add_test(cases, payload_is_cut_between_characters);
    tcase_add_test(cases, no_payload_wanted);
    tcase_add_test(cases, without_frames_the_rest_is_the_same);
    tcase_add_test(cases, close_payloads);
    tcase_add_test(cases, wrong_masks);
    tcase_add_test(cases, mask_keys);
    tcase_add_test(cases, mask_keys_that_can_be_guessed);
    tcase_add_test(cases, reserved_bits);
    tcase_add_loop_test(cases, reserved_opcodes, 0, 10);
    tcase_add_test(cases, lengths_that_are_wrong);
    tcase_add_test(cases, control_frames_that_are_wrong);
    tcase_add_test(cases, order_of_fragments);
    tcase_add_test(cases, bad_text);
    tcase_add_test(cases, sizes_over_the_limits);
    tcase_add_test(cases, many_fragments);
    tcase_add_test(cases, frame_cut_by_the_end);
    tcase_add_test(cases, other_protocols);
    tcase_add_test(cases, one_side_is_no_websocket);
    tcase_add_test(cases, later_frames_show_it);
    tcase_add_test(cases, nobody_promised_a_websocket);
}

static void add_control(TCase *cases)
{
    tcase_add_test(cases, close_codes);
    tcase_add_test(cases, close_bodies);
    tcase_add_test(cases, after_the_own_close);
    tcase_add_test(cases, abnormal_ends);
    tcase_add_test(cases, nothing_was_said);
    tcase_add_test(cases, who_closes_first);
    tcase_add_test(cases, close_not_echoed);
    tcase_add_test(cases, failed_connections);
    tcase_add_test(cases, echoed_codes);
    tcase_add_test(cases, client_ends_first);
    tcase_add_test(cases, cut_in_the_header);
    tcase_add_test(cases, pings_that_are_answered);
    tcase_add_test(cases, pings_that_are_not_answered);
    tcase_add_test(cases, pongs);
    tcase_add_test(cases, more_pings_than_are_remembered);
}

static void add_messages(TCase *cases)
{
    tcase_add_loop_test(cases, compressed_sessions, 0, 4);
    tcase_add_test(cases, compressed_bits);
    tcase_add_test(cases, compressed_wrongly);
    tcase_add_test(cases, window_and_context);
    tcase_add_test(cases, bombs);
    tcase_add_test(cases, useless_compression);
    tcase_add_test(cases, secrets_in_the_clear);
    tcase_add_test(cases, secret_in_a_shared_context);
    tcase_add_test(cases, gap_inside_a_payload);
    tcase_add_test(cases, gap_to_the_end_of_a_close);
    tcase_add_test(cases, gap_and_too_little_behind_it);
    tcase_add_test(cases, gap_over_headers);
    tcase_add_test(cases, gap_and_the_rest_of_a_payload);
    tcase_add_loop_test(cases, gap_and_compression, 0, 2);
    tcase_add_test(cases, gap_of_nothing_but_zeros);
    tcase_add_test(cases, tunnel_in_binary_messages);
    tcase_add_test(cases, little_memory);
    tcase_add_loop_test(cases, hostile_streams, 0, 4);
    tcase_add_test(cases, probe);
}

Suite *websocket_suite(void)
{
    Suite *suite = suite_create("websocket");
    TCase *frames = tcase_create("frames");
    TCase *control = tcase_create("control");
    TCase *messages = tcase_create("messages");
    add_frames(frames);
    add_control(control);
    add_messages(messages);
    tcase_set_timeout(messages, 30);
    suite_add_tcase(suite, frames);
    suite_add_tcase(suite, control);
    suite_add_tcase(suite, messages);
    return suite;
}
