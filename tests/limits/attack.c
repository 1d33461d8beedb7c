/*
 * Writes captures that want to be too much, with honest WebSocket sessions in the middle of them:
 *
 *     attack KIND COUNT > FILE.pcap
 *
 * syn         COUNT SYNs, each of another connection, that nobody answers
 * half        COUNT connections that are opened and then say one byte
 * gaps        COUNT segments, each behind a hole in one of 1,000 connections
 * bombs       COUNT compressed messages of which each byte becomes a thousand
 * segments    COUNT segments of one byte in one connection, a request and its frames
 * backwards   the same, each 64 segments in the wrong order
 * pipelined   COUNT requests in one connection, and their answers
 * lines       a head of COUNT lines
 * frames      a message of COUNT frames of one byte
 * records     COUNT TLS records of one byte
 * fragments   COUNT IP fragments that overlap
 * hole        a hole that is never filled, and COUNT segments behind it
 * tunnels     CONNECT in CONNECT, COUNT deep
 * flows       COUNT whole connections with a request and its answer, one after the other
 *
 * The honest sessions: HONEST of them, a frame each now and then, from 192.0.2.1 to 192.0.2.2.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { HONEST = 20, TURNS = 50, SYN = 2, FIN = 1, ACK = 16, PSH = 8 };

struct ends {
    uint32_t address[2];
    uint16_t port[2];
    uint32_t seq[2];
};

static uint64_t now_ns = UINT64_C(1767225600000000000), written;

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static void save(const uint8_t *frame, size_t len)
{
    uint32_t head[4] = {(uint32_t)(now_ns / 1000000000u), (uint32_t)(now_ns % 1000000000u),
                        (uint32_t)len, (uint32_t)len};
    fwrite(head, sizeof head, 1, stdout);
    fwrite(frame, len, 1, stdout);
    now_ns += 1000;
    written++;
}

/* Checksums are left 0: the tests read with -k none. */
static void segment(const struct ends *e, int side, uint32_t seq, unsigned flags,
                    const uint8_t *data, size_t len)
{
    static uint8_t frame[14 + 40 + 65536];
    uint8_t *ip = frame + 14, *tcp = ip + 20;
    memset(frame, 0, 54);
    frame[12] = 8;
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(40 + len));
    ip[8] = 64;
    ip[9] = 6;
    put32(ip + 12, e->address[side]);
    put32(ip + 16, e->address[!side]);
    put16(tcp, e->port[side]);
    put16(tcp + 2, e->port[!side]);
    put32(tcp + 4, seq);
    put32(tcp + 8, flags & ACK ? e->seq[!side] : 0);
    tcp[12] = 0x50;
    tcp[13] = (uint8_t)flags;
    put16(tcp + 14, 65000);
    if (len > 0)
        memcpy(tcp + 20, data, len);
    save(frame, 54 + len);
}

static void say(struct ends *e, int side, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t at = 0; at < len; at += 1448) {
        size_t part = len - at < 1448 ? len - at : 1448;
        segment(e, side, e->seq[side], PSH | ACK, bytes + at, part);
        e->seq[side] += (uint32_t)part;
    }
}

static void text(struct ends *e, int side, const char *line)
{
    say(e, side, line, strlen(line));
}

static struct ends opened(uint32_t client, uint16_t port, uint32_t server, uint16_t server_port)
{
    struct ends e = {{client, server}, {port, server_port}, {1000, 5000}};
    segment(&e, 0, e.seq[0]++, SYN, NULL, 0);
    segment(&e, 1, e.seq[1]++, SYN | ACK, NULL, 0);
    segment(&e, 0, e.seq[0], ACK, NULL, 0);
    return e;
}

static void ended(struct ends *e)
{
    segment(e, 0, e->seq[0]++, FIN | ACK, NULL, 0);
    segment(e, 1, e->seq[1]++, FIN | ACK, NULL, 0);
    segment(e, 0, e->seq[0], ACK, NULL, 0);
}

static void upgrade(struct ends *e, const char *extension)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t raw[16], key[32], digest[20], accept[32];
    char head[512], joined[64];
    for (size_t i = 0; i < 16; i++)
        raw[i] = (uint8_t)(e->port[0] * 7u + e->address[0] + i * 31);
    EVP_EncodeBlock(key, raw, 16);
    int n = snprintf(joined, sizeof joined, "%s%s", (char *)key, guid);
    SHA1((uint8_t *)joined, (size_t)n, digest);
    EVP_EncodeBlock(accept, digest, 20);
    snprintf(head, sizeof head, "GET /%u HTTP/1.1\r\nHost: honest.example\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
             e->port[0], (char *)key, extension);
    text(e, 0, head);
    snprintf(head, sizeof head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n", (char *)accept,
             extension);
    text(e, 1, head);
}

static struct ends honest[HONEST];

static void honest_begin(void)
{
    for (unsigned i = 0; i < HONEST; i++) {
        honest[i] = opened(0xc0000201, (uint16_t)(2000 + i), 0xc0000202, 80);
        upgrade(&honest[i], "");
    }
}

static void honest_turn(void)
{
    for (unsigned i = 0; i < HONEST; i++) {
        say(&honest[i], 0, "\x81\x85\1\2\3\4igohn", 11);
        say(&honest[i], 1, "\x81\x05" "hello", 7);
    }
}

static void honest_end(void)
{
    for (unsigned i = 0; i < HONEST; i++) {
        say(&honest[i], 0, "\x88\x82\0\0\0\1\x03\xe8", 8);
        say(&honest[i], 1, "\x88\x02\x03\xe8", 4);
        ended(&honest[i]);
    }
}

/* Between the parts of an attack: TURNS times in all. */
static void between(uint64_t i, uint64_t count)
{
    if (count >= TURNS && i % (count / TURNS) == 0 && i / (count / TURNS) < TURNS)
        honest_turn();
}

/* --- the attacks --- */

static void syn(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct ends e = {{0x0a000000 + (uint32_t)(i >> 8), 0xc6336401},
                         {(uint16_t)(1024 + (i & 0xff)), (uint16_t)(i % 7 + 80)}, {(uint32_t)i, 0}};
        segment(&e, 0, e.seq[0], SYN, NULL, 0);
        between(i, count);
    }
}

static void half(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct ends e = opened(0x0a000000 + (uint32_t)(i >> 8), (uint16_t)(1024 + (i & 0xff)),
                               0xc6336401, 80);
        say(&e, 0, "G", 1);
        between(i, count);
    }
}

static void gaps(uint64_t count)
{
    static struct ends e[1000];
    static uint8_t junk[1448];
    memset(junk, 'x', sizeof junk);
    for (unsigned i = 0; i < 1000; i++) {
        e[i] = opened(0x0a000001 + i, 3000, 0xc6336401, 80);
        text(&e[i], 0, "GET / HTTP/1.1\r\n");
    }
    for (uint64_t i = 0; i < count; i++) {
        struct ends *one = &e[i % 1000];
        segment(one, 0, one->seq[0] + 10 + (uint32_t)(i / 1000 % 40) * 1500, PSH | ACK, junk,
                sizeof junk);
        between(i, count);
    }
}

static size_t header(uint8_t *out, unsigned first, int masked, size_t len)
{
    size_t n = 0;
    out[n++] = (uint8_t)first;
    unsigned bit = masked ? 0x80 : 0;
    if (len < 126) {
        out[n++] = (uint8_t)(bit | len);
    } else {
        out[n++] = (uint8_t)(bit | 127);
        put32(out + n, 0);
        put32(out + n + 4, (uint32_t)len);
        n += 8;
    }
    if (masked) {
        memset(out + n, 0, 4);
        n += 4;
    }
    return n;
}

static void bombs(uint64_t count)
{
    static uint8_t zeros[1 << 20], small[4096], out[5000];
    z_stream z = {0};
    deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
    z.next_in = zeros;
    z.avail_in = sizeof zeros;
    z.next_out = small;
    z.avail_out = sizeof small;
    deflate(&z, Z_SYNC_FLUSH);
    size_t len = sizeof small - z.avail_out - 4;
    deflateEnd(&z);
    struct ends e[8];
    for (unsigned i = 0; i < 8; i++) {
        e[i] = opened(0x0a000001 + i, 3000, 0xc6336401, 80);
        upgrade(&e[i], "Sec-WebSocket-Extensions: permessage-deflate; "
                       "client_no_context_takeover\r\n");
    }
    for (uint64_t i = 0; i < count; i++) {
        size_t n = header(out, 0xc2, 1, len);
        memcpy(out + n, small, len);
        say(&e[i % 8], 0, out, n + len);
        between(i, count);
    }
}

static void bytes(struct ends *e, const uint8_t *data, size_t len, unsigned block)
{
    uint32_t base = e->seq[0];
    for (size_t at = 0; at < len; at += block)
        for (size_t k = 0; k < block; k++) {
            size_t i = at + (block - 1 - k);
            if (i < len)
                segment(e, 0, base + (uint32_t)i, PSH | ACK, data + i, 1);
        }
    e->seq[0] += (uint32_t)len;
}

static void segments(uint64_t count, unsigned block)
{
    struct ends e = opened(0x0a000001, 3000, 0xc6336401, 80);
    uint8_t *data = malloc(count + 16);
    size_t n = 0;
    upgrade(&e, "");
    while (n + 11 <= count) {
        memcpy(data + n, "\x81\x85\1\2\3\4igohn", 11);
        n += 11;
    }
    bytes(&e, data, n, block);
    free(data);
    ended(&e);
}

static void pipelined(uint64_t count)
{
    struct ends e = opened(0x0a000001, 3000, 0xc6336401, 80);
    for (uint64_t i = 0; i < count; i++)
        text(&e, 0, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
    for (uint64_t i = 0; i < count; i++)
        text(&e, 1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ended(&e);
}

static void lines(uint64_t count)
{
    struct ends e = opened(0x0a000001, 3000, 0xc6336401, 80);
    char block[1440];
    text(&e, 0, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (uint64_t i = 0; i < count; i += 120) {
        for (size_t k = 0; k < 120; k++)
            memcpy(block + k * 12, "a: bbbbbbb\r\n", 12);
        say(&e, 0, block, sizeof block);
    }
    text(&e, 0, "\r\n");
    ended(&e);
}

static void frames(uint64_t count)
{
    struct ends e = opened(0x0a000001, 3000, 0xc6336401, 80);
    uint8_t block[1400];
    upgrade(&e, "");
    for (uint64_t i = 0; i < count; i += 200) {
        for (size_t k = 0; k < 200; k++)
            memcpy(block + k * 7, i + k == 0 ? "\x01\x81\0\0\0\1a" : "\x00\x81\0\0\0\1a", 7);
        say(&e, 0, block, sizeof block);
    }
    say(&e, 0, "\x80\x81\0\0\0\1a", 7);
    ended(&e);
}

static void records(uint64_t count)
{
    static const uint8_t hello[] =
        "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" "01234567890123456789012345678901"
        "\x00\x00\x02\xc0\x2f\x01\x00";
    struct ends e = opened(0x0a000001, 3000, 0xc6336401, 443);
    uint8_t block[1440];
    for (size_t i = 0; i + 1 < sizeof hello - 5; i++) { /* the hello in records of one byte */
        uint8_t record[6] = {22, 3, 1, 0, 1, hello[5 + i]};
        say(&e, 0, record, sizeof record);
    }
    for (uint64_t i = 0; i < count; i += 240) {
        for (size_t k = 0; k < 240; k++)
            memcpy(block + k * 6, "\x16\x03\x01\x00\x01\x00", 6);
        say(&e, 0, block, sizeof block);
    }
    ended(&e);
}

static void fragments(uint64_t count)
{
    uint8_t frame[14 + 20 + 64];
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *ip = frame + 14;
        memset(frame, 0, sizeof frame);
        frame[12] = 8;
        ip[0] = 0x45;
        put16(ip + 2, 20 + 64);
        put16(ip + 4, (unsigned)(i / 1000)); /* a thousand for each datagram */
        put16(ip + 6, 0x2000 | (unsigned)(i * 37 % 8000)); /* the first byte never comes alone */
        ip[8] = 64;
        ip[9] = 6;
        put32(ip + 12, 0x0a000001);
        put32(ip + 16, 0xc6336401);
        save(frame, sizeof frame);
    }
}

static void hole(uint64_t count)
{
    struct ends e = opened(0x0a000001, 3000, 0xc6336401, 80);
    upgrade(&e, "");
    e.seq[0] += 500;
    for (uint64_t i = 0; i < count; i++)
        say(&e, 0, "\x81\x85\1\2\3\4igohn", 11);
    ended(&e);
}

static void tunnels(uint64_t count)
{
    struct ends e = opened(0x0a000001, 3000, 0xc6336401, 80);
    for (uint64_t i = 0; i < count; i++) {
        text(&e, 0, "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n");
        text(&e, 1, "HTTP/1.1 200 OK\r\n\r\n");
    }
    ended(&e);
}

static void flows(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct ends e = opened(0x0a000000 + (uint32_t)(i >> 8), (uint16_t)(1024 + (i & 0xff)),
                               0xc6336401, 80);
        text(&e, 0, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        text(&e, 1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        ended(&e);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(uint64_t count);
        int honest;
    } kinds[] = {
        {"syn", syn, 1},       {"half", half, 1},           {"gaps", gaps, 1},
        {"bombs", bombs, 1},   {"lines", lines, 0},         {"pipelined", pipelined, 0},
        {"frames", frames, 0}, {"records", records, 0},     {"hole", hole, 0},
        {"flows", flows, 0},   {"fragments", fragments, 0}, {"tunnels", tunnels, 0},
    };
    static char buffer[1 << 20];
    if (argc != 3)
        return 2;
    uint64_t count = strtoull(argv[2], NULL, 10);
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    const uint32_t head[6] = {0xa1b23c4d, 4u << 16 | 2, 0, 0, 262144, 1};
    fwrite(head, sizeof head, 1, stdout);
    if (strcmp(argv[1], "segments") == 0 || strcmp(argv[1], "backwards") == 0) {
        segments(count, argv[1][0] == 's' ? 1 : 64);
        return fflush(stdout) != 0;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(argv[1], kinds[i].name) != 0)
            continue;
        if (kinds[i].honest)
            honest_begin();
        kinds[i].run(count);
        if (kinds[i].honest)
            honest_end();
        return fflush(stdout) != 0;
    }
    return 2;
}
