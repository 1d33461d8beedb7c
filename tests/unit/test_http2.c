/*
 * HTTP/2: frames, header blocks, streams that ask to switch, gaps, and what hostile peers send;
 * each conversation whole, byte by byte and in odd pieces with the same result (fake_rules()).
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_layer.h"
#include "../../dissectors/registry.h"

Suite *http2_suite(void);

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
       CONTINUATION };
enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8, HAS_PRIORITY = 32 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* --- building --- */

struct bytes {
    uint8_t *data;
    size_t len, cap;
};

static void add(struct bytes *b, const void *data, size_t len)
{
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->data = realloc(b->data, b->cap);
        ck_assert_ptr_nonnull(b->data);
    }
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void add_number(struct bytes *b, unsigned size, uint32_t value)
{
    for (unsigned i = size; i-- > 0;) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        add(b, &byte, 1);
    }
}

static void add_frame(struct bytes *b, unsigned type, unsigned flags, uint32_t stream,
                      const void *payload, size_t len)
{
    add_number(b, 3, (uint32_t)len);
    add_number(b, 1, type);
    add_number(b, 1, flags);
    add_number(b, 4, stream);
    add(b, payload, len);
}

/* A literal field; index: 0x40 puts it into the dynamic table, 0 does not. Up to 126 bytes each. */
static void add_field(struct bytes *b, unsigned index, const char *name, const char *value)
{
    add_number(b, 1, index);
    add_number(b, 1, (uint32_t)strlen(name));
    add(b, name, strlen(name));
    add_number(b, 1, (uint32_t)strlen(value));
    add(b, value, strlen(value));
}

/* "name=value" each, NULL at the end. */
static struct bytes block_of(const char *const *fields)
{
    struct bytes block = {0};
    for (; *fields != NULL; fields++) {
        char name[128];
        const char *equals = strchr(*fields + 1, '=');
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - *fields), *fields);
        add_field(&block, 0, name, equals + 1);
    }
    return block;
}

static void send(struct fake *f, enum side side, struct bytes *b)
{
    fake_data(f, side, b->data, b->len);
    free(b->data);
    *b = (struct bytes){0};
}

static void frame(struct fake *f, enum side side, unsigned type, unsigned flags, uint32_t stream,
                  const void *payload, size_t len)
{
    struct bytes b = {0};
    add_frame(&b, type, flags, stream, payload, len);
    send(f, side, &b);
}

static void headers(struct fake *f, enum side side, uint32_t stream, unsigned flags,
                    const char *const *fields)
{
    struct bytes block = block_of(fields);
    frame(f, side, HEADERS, flags | END_HEADERS, stream, block.data, block.len);
    free(block.data);
}

static const char *const request[] = {
    ":method=CONNECT", ":protocol=websocket", ":scheme=http", ":path=/chat?x=1",
    ":authority=example.org", "sec-websocket-version=13", "origin=http://example.org", NULL};
static const char *const granted[] = {":status=200", NULL};
static const char *const refused[] = {":status=404", NULL};

static void setting(struct fake *f, enum side side, uint16_t id, uint32_t value)
{
    struct bytes b = {0};
    add_number(&b, 2, id);
    add_number(&b, 4, value);
    frame(f, side, SETTINGS, 0, 0, b.data, b.len);
    free(b.data);
}

/* A connection with prior knowledge whose server allows extended CONNECT. */
static struct fake *connection(void)
{
    struct fake *f = fake_new("tls.alpn", "h2");
    fake_data(f, CLIENT, preface, 24);
    setting(f, CLIENT, 2, 0);
    setting(f, SERVER, 8, 1);
    return f;
}

static void text(struct fake *f, enum side side, uint32_t stream, const char *message)
{
    struct bytes b = {0};
    size_t len = strlen(message);
    add_number(&b, 1, 0x81);
    add_number(&b, 1, (uint32_t)(side == CLIENT ? 0x80 | len : len));
    static const uint8_t key[4] = {0x12, 0x9a, 0x3c, 0x5e};
    if (side == CLIENT)
        add(&b, key, 4);
    for (size_t i = 0; i < len; i++)
        add_number(&b, 1, (uint8_t)(message[i] ^ (side == CLIENT ? key[i % 4] : 0)));
    frame(f, side, DATA, 0, stream, b.data, b.len);
    free(b.data);
}

static void expect(struct fake *f, const char *rules)
{
    const char *found = fake_rules(f);
    ck_assert_msg(strcmp(found, rules) == 0, "expected [%s], found [%s]\n%.2500s", rules, found,
                  f->log);
}

static void has(const struct fake *f, const char *line)
{
    ck_assert_msg(strstr(f->log, line) != NULL, "no [%s] in\n%.3500s", line, f->log);
}

static void has_not(const struct fake *f, const char *line)
{
    ck_assert_msg(strstr(f->log, line) == NULL, "[%s] in\n%.3500s", line, f->log);
}

/* --- first bytes --- */

START_TEST(first_bytes)
{
    static const uint8_t settings[] = {0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100};
    static const struct {
        const char *bytes;
        size_t len;
    } others[] = {{"GET / HTTP/1.1\r\n", 16}, {"PRI * HTTP/1.1\r\n", 16}, {"SSH-2.0-x\r\n", 11},
                  {"\x16\x03\x01\x02\x00\x01", 6}, {"\0\0\x0c\4\1\0\0\0\0", 9},
                  {"\0\0\x0b\4\0\0\0\0\0", 9}, {"\0\0\x0c\4\0\0\0\0\1", 9},
                  {"\0\x04\0\4\0\0\0\0\0", 9}, {"\0\0\x08\6\0\0\0\0\0", 9}};
    const struct dissector *d = registry_find(TEXT_LITERAL("http2"));
    for (size_t len = 0; len <= 24; len++)
        ck_assert_int_eq(d->probe(CLIENT, (const uint8_t *)preface, len), len < 24 ? 0 : 100);
    for (size_t len = 0; len <= sizeof settings; len++)
        ck_assert_int_eq(d->probe(SERVER, settings, len) > 0, len >= 9);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        for (int side = CLIENT; side <= SERVER; side++) {
            int no = 0;
            for (size_t len = 0; len <= others[i].len; len++) {
                int sure = d->probe((enum side)side, (const uint8_t *)others[i].bytes, len);
                ck_assert_int_le(sure, 0);
                ck_assert_msg(!no || sure < 0, "changed its mind: %zu", i);
                no |= sure < 0;
            }
            ck_assert_msg(no, "%zu side %d", i, side);
        }
    }
}
END_TEST

/* --- attempts --- */

START_TEST(websocket_in_a_stream)
{
    struct fake *f = connection();
    headers(f, CLIENT, 1, 0, request);
    headers(f, SERVER, 1, 0, granted);
    text(f, CLIENT, 1, "Hello");
    text(f, SERVER, 1, "World");
    frame(f, CLIENT, DATA, END_STREAM, 1, "\x88\x80\1\2\3\4", 6);
    frame(f, SERVER, DATA, END_STREAM, 1, "\x88\x00", 2);
    expect(f, "");
    has(f, "asks mechanism=2 \"websocket\" \"/chat?x=1\" \"example.org\"");
    has(f, "header 3 \":path\" \"/chat?x=1\"");
    has(f, "answer outcome=1 cause=0 status=200 \"websocket\" none");
    has(f, "successor 2");
    has(f, "op=1 mask=1 len=5 z=0 message=1/5/1 cut=0 rtt=-1 \"Hello\"");
    has(f, "\"World\"");
    has(f, "s2 end reason=0 side=0");
    has(f, "\"http2\" {\"streams\":1,\"requests\":1,\"extended_connects\":1,"
           "\"enable_connect_protocol\":1}");
    fake_free(f);
}
END_TEST

/* The bytes of a stream that is not granted yet are held with their marks. */
START_TEST(early_bytes_keep_their_place)
{
    struct fake *f = connection();
    headers(f, CLIENT, 1, 0, request);
    text(f, CLIENT, 1, "early"); /* packet 5 */
    headers(f, SERVER, 1, 0, granted);
    text(f, CLIENT, 1, "later");
    expect(f, "C:optimistic-data-before-101");
    has(f, "C @0 p5 ");
    has(f, "\"early\"");
    has(f, "\"later\"");
    fake_free(f);

    f = connection(); /* the same refused: nothing is opened */
    headers(f, CLIENT, 1, 0, request);
    text(f, CLIENT, 1, "early");
    headers(f, SERVER, 1, 0, refused);
    text(f, CLIENT, 1, "late");
    expect(f, "S:upgrade-refused C:optimistic-data-before-101");
    has_not(f, "layer 2");
    fake_free(f);
}
END_TEST

START_TEST(resets_and_goaway)
{
    struct fake *f = connection();
    headers(f, CLIENT, 1, 0, request);
    frame(f, SERVER, RST_STREAM, 0, 1, "\0\0\0\x07", 4);
    headers(f, CLIENT, 3, 0, request);
    frame(f, CLIENT, RST_STREAM, 0, 3, "\0\0\0\x08", 4);
    headers(f, CLIENT, 5, 0, request);
    headers(f, CLIENT, 7, 0, request);
    frame(f, SERVER, GOAWAY, 0, 0, "\0\0\0\x05\0\0\0\x0b" "calm down", 17);
    headers(f, SERVER, 5, 0, granted);
    frame(f, SERVER, RST_STREAM, 0, 5, "\0\0\0\x08", 4);
    expect(f, "S:upgrade-refused S:upgrade-refused S:ws-h2-end-stream-abrupt "
              "S:101-no-data-then-close");
    has(f, "answer outcome=2 cause=10 status=0 none \"RST_STREAM REFUSED_STREAM\"");
    has(f, "s3 end reason=3 side=0");
    has(f, "answer outcome=2 cause=10 status=0 none \"GOAWAY ENHANCE_YOUR_CALM\"");
    has(f, "s4 end reason=3 side=1");
    has(f, "\"server_goaway\":\"ENHANCE_YOUR_CALM\"");
    fake_free(f);
}
END_TEST

/* The judge needs acknowledgements; without them, and behind a gap, it says nothing. */
START_TEST(setting_must_have_been_seen)
{
    static const int64_t acked[] = {FAKE_ACKED_ALL, 0, FAKE_ACKED_NONE, 14, 15};
    static const char *const said[] = {"", "C:ext-connect-without-setting", "",
                                       "C:ext-connect-without-setting", ""};
    for (size_t i = 0; i < sizeof acked / sizeof acked[0]; i++) {
        struct fake *f = connection();
        f->acked = acked[i];
        headers(f, CLIENT, 1, 0, request);
        f->acked = FAKE_ACKED_ALL;
        headers(f, SERVER, 1, END_STREAM, granted);
        expect(f, said[i]);
        fake_free(f);
    }
    struct fake *f = connection();
    fake_data(f, SERVER, "\0\0\6\4\0\0\0\0\0", 9);
    fake_gap(f, SERVER, 6);
    f->acked = 0;
    headers(f, CLIENT, 1, 0, request);
    f->acked = FAKE_ACKED_ALL;
    headers(f, SERVER, 1, END_STREAM, granted);
    expect(f, "");
    fake_free(f);
}
END_TEST

/* An answer that is captured before its request waits for it. */
START_TEST(answer_before_request)
{
    struct fake *f = connection();
    headers(f, SERVER, 1, 0, granted);
    text(f, SERVER, 1, "first");
    headers(f, CLIENT, 1, 0, request);
    f->acked = FAKE_ACKED_NONE;
    text(f, CLIENT, 1, "second");
    expect(f, "");
    has(f, "\"first\"");
    has(f, "\"second\"");
    fake_free(f);
}
END_TEST

START_TEST(plain_connect)
{
    static const char *const to[] = {":method=CONNECT", ":authority=10.0.0.1:8080", NULL};
    struct fake *f = connection();
    headers(f, CLIENT, 1, 0, to);
    headers(f, SERVER, 1, 0, granted);
    frame(f, CLIENT, DATA, 0, 1, "SSH-2.0-a\r\n", 11);
    frame(f, SERVER, DATA, END_STREAM, 1, "SSH-2.0-b\r\n", 11);
    fake_wait(f, 500);
    frame(f, CLIENT, DATA, END_STREAM, 1, "", 0);
    expect(f, "C:connect-to-private-address C:connect-to-unusual-port");
    has(f, "asks mechanism=1 none \"10.0.0.1:8080\" \"10.0.0.1:8080\"");
    has(f, "\"ssh\"");
    has(f, "s2 end reason=2 side=1 idle=");
    fake_free(f);
}
END_TEST

/* --- frames --- */

START_TEST(blocks_in_pieces)
{
    struct fake *f = connection();
    struct bytes b = {0}, all = {0};
    add_field(&b, 0x40, "x-one", "1"); /* a request that nobody wants keeps the table in step */
    add_number(&all, 1, 3);
    add_number(&all, 4, 0x80000000u);
    add_number(&all, 1, 200);
    add(&all, "\x82\x86\x84", 3); /* GET http / */
    add(&all, b.data, b.len);
    add(&all, "\0\0\0", 3);
    frame(f, CLIENT, HEADERS, PADDED | HAS_PRIORITY | END_STREAM | END_HEADERS, 1, all.data,
          all.len);
    free(all.data);
    free(b.data);
    b = block_of(request);
    add(&b, "\xbe", 1); /* the newest entry */
    frame(f, CLIENT, HEADERS, 0, 3, b.data, 10);
    frame(f, CLIENT, CONTINUATION, 0, 3, "", 0);
    frame(f, CLIENT, CONTINUATION, 0, 3, b.data + 10, b.len - 11);
    frame(f, CLIENT, CONTINUATION, END_HEADERS, 3, b.data + b.len - 1, 1);
    free(b.data);
    headers(f, SERVER, 1, END_STREAM, granted);
    headers(f, SERVER, 3, 0, granted);
    frame(f, CLIENT, DATA, PADDED, 3, "\4\x81\x80\1\2\3\4\0\0\0\0", 11);
    frame(f, CLIENT, PRIORITY, 0, 3, "\0\0\0\0\1", 5);
    frame(f, CLIENT, WINDOW_UPDATE, 0, 0, "\0\0\1\0", 4);
    frame(f, SERVER, 0xfa, 0xff, 7, "grease", 6);
    expect(f, "");
    has(f, "header 7 \"x-one\" \"1\"");
    has(f, "op=1 mask=1 len=0");
    fake_free(f);
}
END_TEST

START_TEST(a_push_keeps_the_table_in_step)
{
    struct fake *f = connection();
    struct bytes b = {0};
    headers(f, CLIENT, 1, END_STREAM, (const char *const[]){":method=GET", ":path=/", NULL});
    add_number(&b, 4, 2);
    add(&b, "\x82\x86\x84", 3);
    add_field(&b, 0x40, ":status", "299");
    frame(f, SERVER, PUSH_PROMISE, END_HEADERS, 1, b.data, b.len);
    free(b.data);
    headers(f, CLIENT, 3, 0, request);
    frame(f, SERVER, HEADERS, END_HEADERS, 3, "\xbe", 1);
    expect(f, "");
    has(f, "answer outcome=1 cause=0 status=299");
    has(f, "\"pushes\":1");
    fake_free(f);
}
END_TEST

START_TEST(broken_frames_are_told)
{
    static const struct {
        unsigned type, flags;
        uint32_t stream;
        const char *payload;
        size_t len;
        const char *why;
    } broken[] = {
        {DATA, 0, 0, "x", 1, "DATA of stream 0"},
        {HEADERS, 4, 0, "\x82", 1, "HEADERS of stream 0"},
        {HEADERS, PADDED | 4, 1, "\x09\x82", 2, "padding longer than its frame"},
        {HEADERS, HAS_PRIORITY | 4, 1, "\x82", 1, "a frame too short for what its flags promise"},
        {HEADERS, 4, 1, "\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11,
         "a header block that HPACK cannot decode"},
        {HEADERS, 4, 1, "\xbe", 1, "a header block that HPACK cannot decode"},
        {HEADERS, 4, 1, "\x40\x05" "ab", 4, "a header block that HPACK cannot decode"},
        {CONTINUATION, 4, 1, "\x82", 1, "CONTINUATION of nothing"},
        {SETTINGS, 0, 0, "abcde", 5, "a malformed SETTINGS frame"},
        {SETTINGS, 1, 0, "abcdef", 6, "a malformed SETTINGS frame"},
        {SETTINGS, 0, 3, "abcdef", 6, "a malformed SETTINGS frame"},
        {PING, 0, 0, "1234567", 7, "a malformed PING frame"},
        {GOAWAY, 0, 0, "1234567", 7, "a malformed GOAWAY frame"},
        {WINDOW_UPDATE, 0, 0, "12345", 5, "a malformed WINDOW_UPDATE frame"},
        {RST_STREAM, 0, 1, "123", 3, "a malformed RST_STREAM frame"},
        {PUSH_PROMISE, 4, 1, "\0\0\0\2\x82", 5, "PUSH_PROMISE from a client"},
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct fake *f = connection();
        char lost[128];
        frame(f, CLIENT, broken[i].type, broken[i].flags, broken[i].stream, broken[i].payload,
              broken[i].len);
        headers(f, CLIENT, 5, 0, request);
        expect(f, "");
        (void)snprintf(lost, sizeof lost, "\"lost\":\"client: %s\"", broken[i].why);
        has(f, lost);
        has_not(f, "asks");
        fake_free(f);
    }
}
END_TEST

START_TEST(large_frames)
{
    static uint8_t much[20000];
    struct fake *f = connection();
    frame(f, CLIENT, DATA, 0, 1, much, sizeof much);
    expect(f, "");
    has(f, "a frame larger than its peer takes");
    fake_free(f);

    f = connection();
    setting(f, SERVER, 5, 32768);
    frame(f, CLIENT, DATA, 0, 1, much, sizeof much);
    headers(f, CLIENT, 3, 0, request);
    expect(f, "");
    has(f, "asks");
    fake_free(f);

    f = fake_new("tls.alpn", "h2"); /* what the server takes is not known yet */
    fake_data(f, CLIENT, preface, 24);
    setting(f, CLIENT, 2, 0);
    frame(f, CLIENT, DATA, 0, 1, much, sizeof much);
    headers(f, CLIENT, 3, 0, request);
    setting(f, SERVER, 5, 32768);
    setting(f, SERVER, 8, 1);
    (void)fake_play(f, 5); /* more pieces would cost the marks their exactness */
    has(f, "C @20202 p4 t1004000000 s2 asks");
    fake_free(f);
}
END_TEST

/* --- h2c --- */

static struct fake *upgraded(void)
{
    struct fake *f = fake_new("http.upgrade", "h2c");
    fake_hint(f, "path", "/public");
    fake_hint(f, "forwarded", "1");
    return f;
}

START_TEST(behind_h2c)
{
    struct fake *f = upgraded();
    setting(f, SERVER, 3, 100);
    headers(f, SERVER, 1, 0, granted); /* the request of HTTP/1.1 */
    frame(f, SERVER, DATA, END_STREAM, 1, "text", 4);
    fake_data(f, CLIENT, preface, 24);
    setting(f, CLIENT, 2, 0);
    headers(f, CLIENT, 3, END_STREAM,
            (const char *const[]){":method=GET", ":path=/public?again", NULL});
    headers(f, CLIENT, 5, END_STREAM,
            (const char *const[]){":method=POST", ":path=/private", NULL});
    headers(f, CLIENT, 7, END_STREAM,
            (const char *const[]){":method=GET", ":path=/more", NULL});
    expect(f, "C:h2c-smuggling");
    has(f, "POST /private behind an upgrade for /public");
    has(f, "\"upgraded_status\":200");
    fake_free(f);
}
END_TEST

START_TEST(first_frames_behind_h2c)
{
    struct fake *f = upgraded(); /* the answer of stream 1 waits for nobody */
    setting(f, SERVER, 3, 100);
    headers(f, SERVER, 1, END_STREAM, granted);
    expect(f, "");
    has(f, "\"upgraded_status\":200");
    fake_free(f);

    f = upgraded();
    frame(f, SERVER, PING, 0, 0, "12345678", 8);
    setting(f, SERVER, 3, 100);
    fake_data(f, CLIENT, preface, 24);
    setting(f, CLIENT, 2, 0);
    expect(f, "S:h2c-no-preface");
    has(f, "\"max_concurrent_streams\":100");
    fake_free(f);

    f = upgraded();
    fake_data(f, CLIENT, "GET", 3);
    fake_fin(f, CLIENT);
    expect(f, "C:h2c-no-preface");
    fake_free(f);
}
END_TEST

/* --- gaps --- */

START_TEST(gaps)
{
    struct fake *f = connection();
    headers(f, CLIENT, 1, 0, request);
    headers(f, SERVER, 1, 0, granted);
    fake_data(f, SERVER, "\0\0\x0a\0\0\0\0\0\1\x82\x08" "ab", 13);
    fake_gap(f, SERVER, 4);
    fake_data(f, SERVER, "gh", 2);
    text(f, SERVER, 1, "found again");
    expect(f, "");
    has(f, "\"found again\"");
    fake_free(f);

    f = connection(); /* the answer */
    headers(f, CLIENT, 1, 0, request);
    fake_data(f, SERVER, "\0\0\x02\1\4\0\0\0\1\x88", 10);
    fake_gap(f, SERVER, 1);
    headers(f, CLIENT, 3, 0, request);
    headers(f, SERVER, 3, 0, granted);
    expect(f, "S:switch-unresolved S:switch-unresolved");
    has(f, "\"headers_lost\":\"server\"");
    fake_free(f);

    f = connection(); /* where frames begin */
    headers(f, CLIENT, 1, 0, request);
    fake_data(f, SERVER, "\0\0\4\x08\0\0\0\0\0", 9);
    fake_gap(f, SERVER, 5);
    headers(f, SERVER, 1, 0, granted);
    expect(f, "S:switch-unresolved");
    has(f, "\"lost\":\"server: not captured is where its frames begin\"");
    fake_free(f);

    f = connection(); /* a frame that says nothing, or the one that was waited for */
    headers(f, CLIENT, 1, 0, request);
    fake_data(f, SERVER, "\0\0\x08\6\0\0\0\0\0", 9);
    fake_gap(f, SERVER, 8);
    expect(f, "S:switch-unresolved");
    has_not(f, "lost");
    fake_free(f);

    f = connection(); /* how much of what is not granted yet is padding */
    headers(f, CLIENT, 1, 0, request);
    fake_data(f, CLIENT, "\0\0\x0a\0\x08\0\0\0\1", 9);
    fake_gap(f, CLIENT, 10);
    headers(f, SERVER, 1, 0, granted);
    text(f, CLIENT, 1, "unseen");
    expect(f, "");
    has(f, "answer outcome=1");
    has_not(f, "layer 2");
    fake_free(f);

    f = connection(); /* how much is padding */
    headers(f, CLIENT, 1, 0, request);
    headers(f, SERVER, 1, 0, granted);
    fake_data(f, SERVER, "\0\0\x0a\0\x08\0\0\0\1", 9);
    fake_gap(f, SERVER, 10);
    text(f, SERVER, 1, "unseen");
    frame(f, SERVER, RST_STREAM, 0, 1, "\0\0\0\x08", 4);
    expect(f, "S:ws-h2-end-stream-abrupt");
    has(f, "s2 end reason=3 side=1");
    has_not(f, "unseen");
    fake_free(f);
}
END_TEST

/* --- hostile peers --- */

/* One big entry of the table, referred to with one byte many times: gigabytes when decoded. */
START_TEST(hpack_bomb)
{
    struct fake *f = connection();
    struct bytes block = {0}, all = {0};
    static char value[3001], refs[16000];
    memset(value, 'v', sizeof value - 1);
    memset(refs, 0xbe, sizeof refs);
    add(&block, "\0\7:method\7CONNECT\x40\1x\x7f", 21);
    add_number(&block, 1, 0x80 | ((3000 - 127) & 127));
    add_number(&block, 1, (3000 - 127) >> 7);
    add(&block, value, 3000);
    add_frame(&all, HEADERS, 0, 1, block.data, block.len);
    for (int i = 0; i < 100; i++)
        add_frame(&all, CONTINUATION, i == 99 ? END_HEADERS : 0, 1, refs, sizeof refs);
    free(block.data);
    send(f, CLIENT, &all);
    headers(f, SERVER, 1, END_STREAM, refused);
    (void)fake_play(f, 0);
    ck_assert_uint_eq(f->leaked, 0);
    ck_assert_uint_lt(f->peak, 1u << 20);
    has(f, "finding analysis-limit-hit f0: head-bytes=65536");
    has(f, "answer outcome=2");
    fake_free(f);
}
END_TEST

START_TEST(continuation_flood)
{
    struct fake *f = connection();
    struct bytes all = {0}, field = {0};
    add_frame(&all, HEADERS, 0, 1, "\0\7:method\7CONNECT", 17);
    add_field(&field, 0x40, "name", "value");
    for (int i = 0; i < 50000; i++)
        add_frame(&all, CONTINUATION, 0, 1, field.data, i % 2 ? field.len : 0);
    free(field.data);
    send(f, CLIENT, &all);
    (void)fake_play(f, 4000);
    ck_assert_uint_eq(f->leaked, 0);
    ck_assert_uint_lt(f->peak, 1u << 20);
    has_not(f, "lost");
    fake_free(f);
}
END_TEST

static void add_request(struct bytes *all, uint32_t stream)
{
    struct bytes block = block_of(request);
    add_frame(all, HEADERS, END_HEADERS, stream, block.data, block.len);
    free(block.data);
}

START_TEST(stream_flood)
{
    struct fake *f = connection();
    struct bytes all = {0};
    f->options.hold_limit = 1u << 16;
    for (uint32_t i = 0; i < 6000; i++) {
        add_request(&all, 2 * i + 1);
        add_frame(&all, DATA, 0, 2 * i + 1, "some bytes", 10);
    }
    send(f, CLIENT, &all);
    (void)fake_play(f, 0);
    ck_assert_uint_eq(f->leaked, 0);
    ck_assert_uint_lt(f->peak, 16u << 20);
    has(f, "http2-streams=4096");
    has(f, "carried-layers=1024");
    fake_free(f);

    f = connection(); /* with little memory */
    f->memory = 200000;
    for (uint32_t i = 0; i < 3000; i++)
        add_request(&all, 2 * i + 1);
    send(f, CLIENT, &all);
    (void)fake_play(f, 0);
    ck_assert_uint_eq(f->leaked, 0);
    has(f, "flow-memory=200000");
    fake_free(f);
}
END_TEST

/* Each GOAWAY is of 17 bytes, and looks at no stream that has its answer. */
START_TEST(goaway_flood)
{
    struct fake *f = connection();
    struct bytes asks = {0}, answers = {0};
    for (uint32_t i = 0; i < 4096; i++) {
        add_request(&asks, 2 * i + 1);
        add_frame(&answers, HEADERS, END_HEADERS, 2 * i + 1, "\x88", 1);
    }
    for (int i = 0; i < 4000; i++)
        add_frame(&answers, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
    send(f, CLIENT, &asks);
    send(f, SERVER, &answers);
    (void)fake_play(f, 0); /* Check's time limit */
    ck_assert_uint_eq(f->leaked, 0);
    has_not(f, "outcome=2");
    fake_free(f);
}
END_TEST

/* Streams that are opened, used and ended in different orders keep their own layers. */
START_TEST(many_streams_are_told_apart)
{
    static const char *const ask[] = {":method=CONNECT", ":authority=a:22", NULL};
    enum { STREAMS = 100 };
    struct fake *f = connection();
    struct bytes asks = {0}, answers = {0}, ends = {0};
    struct bytes block = block_of(ask);
    for (uint32_t i = 0; i < STREAMS; i++) {
        add_frame(&asks, HEADERS, END_HEADERS, 2 * i + 1, block.data, block.len);
        add_frame(&answers, HEADERS, END_HEADERS, 2 * i + 1, "\x88", 1);
    }
    free(block.data);
    send(f, CLIENT, &asks);
    send(f, SERVER, &answers);
    for (uint32_t i = 0; i < STREAMS; i++) {
        uint32_t id = 2 * (i * 37 % STREAMS) + 1; /* each once */
        add_frame(&asks, DATA, 0, id, i % 2 ? "SSH-" : "GET ", 4);
        if (i % 3 == 0)
            add_frame(&ends, RST_STREAM, 0, id, "\0\0\0\0", 4);
    }
    for (uint32_t i = 0; i < STREAMS; i++)
        add_frame(&asks, DATA, 0, 2 * (i * 37 % STREAMS) + 1, "/ HTTP/1.1\r\n\r\n", 14);
    send(f, CLIENT, &asks);
    send(f, SERVER, &ends);
    const char *log = fake_play(f, 0);
    size_t ssh = 0, http = 0;
    for (const char *at = log; (at = strstr(at, " closed \"")) != NULL; at++) {
        ssh += strncmp(at, " closed \"ssh\"", 13) == 0;
        http += strncmp(at, " closed \"http1\"", 15) == 0;
    }
    ck_assert_uint_eq(ssh, STREAMS / 2);
    ck_assert_uint_eq(http, STREAMS / 2);
    (void)fake_rules(f);
    fake_free(f);
}
END_TEST

START_TEST(rapid_resets)
{
    struct fake *f = connection();
    struct bytes all = {0};
    for (uint32_t i = 0; i < 6000; i++) {
        add_request(&all, 2 * i + 1);
        add_frame(&all, RST_STREAM, 0, 2 * i + 1, "\0\0\0\x08", 4);
    }
    send(f, CLIENT, &all);
    (void)fake_play(f, 0);
    ck_assert_uint_eq(f->leaked, 0);
    ck_assert_uint_lt(f->peak, 1u << 20);
    has(f, "\"extended_connects\":6000");
    has_not(f, "http2-streams");
    fake_free(f);
}
END_TEST

static void add_rubbish(struct fake *f, uint32_t seed, int both)
{
    headers(f, CLIENT, 1, 0, request);
    headers(f, SERVER, 1, 0, granted);
    for (int i = 0; i < 40; i++) {
        uint8_t payload[64];
        for (size_t k = 0; k < sizeof payload; k++) {
            seed = seed * 1664525u + 1013904223u;
            payload[k] = (uint8_t)(seed >> 24);
        }
        frame(f, both && i % 3 == 0 ? SERVER : CLIENT, payload[0] % 11, payload[1] & 0x2d,
              payload[2] % 6, payload + 4, payload[3] % 60);
    }
}

/* Rubbish behind a good beginning: no crash, nothing left behind, and where one side alone sends it
 * the same in any pieces (of two sides that break something either may be noticed first). */
START_TEST(rubbish)
{
    static const size_t cuts[] = {0, 1, 7};
    struct fake *f = connection();
    add_rubbish(f, (uint32_t)_i * 2654435761u + 1, 0);
    (void)fake_rules(f);
    fake_free(f);
    f = connection();
    add_rubbish(f, (uint32_t)_i * 2654435761u + 1, 1);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        (void)fake_play(f, cuts[i]);
        ck_assert_uint_eq(f->leaked, 0);
    }
    fake_free(f);
}
END_TEST

Suite *http2_suite(void)
{
    Suite *suite = suite_create("http2");
    TCase *tests = tcase_create("http2");
    tcase_add_test(tests, first_bytes);
    tcase_add_test(tests, websocket_in_a_stream);
    tcase_add_test(tests, early_bytes_keep_their_place);
    tcase_add_test(tests, resets_and_goaway);
    tcase_add_test(tests, setting_must_have_been_seen);
    tcase_add_test(tests, answer_before_request);
    tcase_add_test(tests, plain_connect);
    tcase_add_test(tests, blocks_in_pieces);
    tcase_add_test(tests, a_push_keeps_the_table_in_step);
    tcase_add_test(tests, broken_frames_are_told);
    tcase_add_test(tests, large_frames);
    tcase_add_test(tests, behind_h2c);
    tcase_add_test(tests, first_frames_behind_h2c);
    tcase_add_test(tests, gaps);
    tcase_add_test(tests, hpack_bomb);
    tcase_add_test(tests, continuation_flood);
    tcase_add_test(tests, stream_flood);
    tcase_add_test(tests, goaway_flood);
    tcase_add_test(tests, many_streams_are_told_apart);
    tcase_add_test(tests, rapid_resets);
    tcase_add_loop_test(tests, rubbish, 0, 100);
    suite_add_tcase(suite, tests);
    return suite;
}
