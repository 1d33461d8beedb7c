/*
 * Writes large captures, the same ones every time, for measuring:
 *
 *     generate PROFILE SCALE [CONNECTIONS] > FILE.pcap
 *
 * chat     WebSocket sessions, 500 at a time, small masked text both ways, each message in a packet
 *          of its own with an ACK behind it; SCALE is the number of messages a side and session
 * deflate  the same with permessage-deflate (one context for each side)
 * bulk     one WebSocket after the other with binary frames of 64 KiB; SCALE is in MB
 * http     keep-alive HTTP with bodies of 2 to 30 KB and no switch; SCALE is the number of requests
 *          in each of 500 connections
 * tls      encrypted flows: a hello from each side, then records of noise; SCALE as for http
 * mixed    one chat in ten among http and tls
 * wss      as bulk and chat in turns, inside TLS 1.3 with AES-128-GCM; SCALE is in MB; its key log
 *          goes to standard error
 *
 * CONNECTIONS: how many there are in all (2000 chats, 500 of the others; not bulk and wss).
 */
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "seal.h"

enum { ACTIVE = 500, SESSIONS = 2000, MSS = 1448 };
enum kind { CHAT, DEFLATE, HTTP, TLS, WSS };

struct connection {
    enum kind kind;
    uint32_t id;
    uint32_t seq[2];
    uint32_t step;
    z_stream z[2];
    int sealing; /* what is sent goes into records */
    struct seal seal[2];
    uint8_t random[32]; /* the client's */
};

static uint64_t seed = 88172645463325252u;
static uint64_t now_ns = 1767225600000000000u;

static uint32_t noise(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32);
}

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

static uint32_t sum(const uint8_t *p, size_t len, uint32_t total)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        total += (uint32_t)(p[i] << 8 | p[i + 1]);
    if (len % 2)
        total += (uint32_t)(p[len - 1] << 8);
    return total;
}

static unsigned fold(uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return ~total & 0xffff;
}

static void packet(struct connection *c, int side, unsigned flags, const uint8_t *data, size_t len)
{
    static uint8_t frame[14 + 40 + 65536];
    uint8_t *ip = frame + 14, *tcp = ip + 20;
    memset(frame, 0, 54);
    frame[12] = 8;
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(40 + len));
    put16(ip + 4, noise() & 0xffff);
    ip[8] = 64;
    ip[9] = 6;
    uint32_t client = 0x0a000000 | (c->id >> 8 & 0xffff), server = 0x0aff0001;
    put32(ip + 12, side ? server : client);
    put32(ip + 16, side ? client : server);
    put16(ip + 10, fold(sum(ip, 20, 0)));
    unsigned port = 10000 + (c->id & 0xff);
    put16(tcp, side ? 80 : port);
    put16(tcp + 2, side ? port : 80);
    put32(tcp + 4, c->seq[side]);
    put32(tcp + 8, flags & 16 ? c->seq[!side] : 0);
    tcp[12] = 0x50;
    tcp[13] = (uint8_t)flags;
    put16(tcp + 14, 65000);
    memcpy(tcp + 20, data, len);
    put16(tcp + 16, fold(sum(tcp, 20 + len, sum(ip + 12, 8, (uint32_t)(6 + 20 + len)))));
    uint32_t record[4] = {(uint32_t)(now_ns / 1000000000u), (uint32_t)(now_ns % 1000000000u),
                          (uint32_t)(54 + len), (uint32_t)(54 + len)};
    fwrite(record, sizeof record, 1, stdout);
    fwrite(frame, 54 + len, 1, stdout);
    c->seq[side] += (uint32_t)len + (flags & 3 ? 1 : 0);
    now_ns += 2000 + noise() % 1000;
}

static void send_bytes(struct connection *c, int side, const void *data, size_t len)
{
    static uint8_t sealed[(64 << 10) + 1024];
    const uint8_t *bytes = data;
    if (c->sealing) {
        size_t out = 0;
        for (size_t at = 0; at < len; at += 16384)
            out += seal_record(&c->seal[side], 23, bytes + at, len - at < 16384 ? len - at : 16384,
                               sealed + out);
        bytes = sealed;
        len = out;
    }
    for (size_t at = 0; at < len; at += MSS)
        packet(c, side, 24, bytes + at, len - at < MSS ? len - at : MSS);
    packet(c, !side, 16, NULL, 0);
}

static size_t frame_bytes(uint8_t *out, unsigned first, int masked, const uint8_t *data, size_t len)
{
    size_t n = 0;
    out[n++] = (uint8_t)first;
    unsigned bit = masked ? 0x80 : 0;
    if (len < 126) {
        out[n++] = (uint8_t)(bit | len);
    } else if (len < 65536) {
        out[n++] = (uint8_t)(bit | 126);
        put16(out + n, (unsigned)len);
        n += 2;
    } else {
        out[n++] = (uint8_t)(bit | 127);
        put32(out + n, 0);
        put32(out + n + 4, (uint32_t)len);
        n += 8;
    }
    uint8_t key[4] = {0};
    if (masked) {
        put32(key, noise());
        memcpy(out + n, key, 4);
        n += 4;
    }
    for (size_t i = 0; i < len; i++)
        out[n + i] = data[i] ^ key[i & 3];
    return n + len;
}

static void open_connection(struct connection *c, enum kind kind, uint32_t id)
{
    memset(c, 0, sizeof *c);
    c->kind = kind;
    c->id = id;
    c->seq[0] = noise();
    c->seq[1] = noise();
    packet(c, 0, 2, NULL, 0);
    packet(c, 1, 18, NULL, 0);
    packet(c, 0, 16, NULL, 0);
    if (kind == DEFLATE)
        for (int s = 0; s < 2; s++)
            deflateInit2(&c->z[s], 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
}

static void handshake(struct connection *c)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t raw[16], key[32], digest[20], accept[32];
    char head[512], joined[64];
    for (int i = 0; i < 16; i += 4)
        put32(raw + i, noise());
    extern int EVP_EncodeBlock(unsigned char *, const unsigned char *, int);
    EVP_EncodeBlock(key, raw, 16);
    int n = snprintf(joined, sizeof joined, "%s%s", (char *)key, guid);
    SHA1((uint8_t *)joined, (size_t)n, digest);
    EVP_EncodeBlock(accept, digest, 20);
    const char *extension =
        c->kind == DEFLATE ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "";
    n = snprintf(head, sizeof head,
                 "GET /chat?room=%u HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                 "Origin: http://chat.example\r\n%s\r\n", c->id, (char *)key, extension);
    send_bytes(c, 0, head, (size_t)n);
    n = snprintf(head, sizeof head,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n%s\r\n", (char *)accept, extension);
    send_bytes(c, 1, head, (size_t)n);
}

static void say(struct connection *c, int side)
{
    static const char *const words[] = {"hello ", "there ", "what ", "a day ", "did you see ",
                                        "the switch ", "again ", "and ", "tomorrow ", "then "};
    uint8_t text[512], small[600], out[700];
    size_t len = 0;
    for (unsigned n = 3 + noise() % 12; n > 0; n--) {
        const char *word = words[noise() % 10];
        memcpy(text + len, word, strlen(word));
        len += strlen(word);
    }
    if (c->kind == DEFLATE) {
        z_stream *z = &c->z[side];
        z->next_in = text;
        z->avail_in = (uInt)len;
        z->next_out = small;
        z->avail_out = sizeof small;
        deflate(z, Z_SYNC_FLUSH);
        len = sizeof small - z->avail_out - 4;
        send_bytes(c, side, out, frame_bytes(out, 0xc1, side == 0, small, len));
    } else {
        send_bytes(c, side, out, frame_bytes(out, 0x81, side == 0, text, len));
    }
}

static void request(struct connection *c)
{
    static uint8_t body[31000];
    char head[256];
    int n = snprintf(head, sizeof head, "GET /object/%u HTTP/1.1\r\nHost: www.example\r\n"
                     "Accept: */*\r\nUser-Agent: bench\r\n\r\n", c->step);
    send_bytes(c, 0, head, (size_t)n);
    size_t len = 2000 + noise() % 28000;
    n = snprintf((char *)body, 200, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                 "Content-Length: %zu\r\n\r\n", len);
    memset(body + n, 'x', len);
    send_bytes(c, 1, body, (size_t)n + len);
}

static void record(struct connection *c, int side, unsigned type, size_t len)
{
    static uint8_t out[17000];
    out[0] = (uint8_t)type;
    out[1] = 3;
    out[2] = 3;
    put16(out + 3, (unsigned)len);
    for (size_t i = 0; i < len; i += 4)
        put32(out + 5 + i, noise());
    send_bytes(c, side, out, 5 + len);
}

/* A hello of TLS 1.3: the client's with a name, 16 cipher suites and a key share of 32 bytes. */
static void hello(struct connection *c, int side)
{
    static const uint8_t client[] = "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        offer[] = "\x00\x20\x13\x01\x13\x02\x13\x03\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\xcc\xa9"
                  "\xcc\xa8\xc0\x13\xc0\x14\x00\x9c\x00\x9d\x00\x2f\x00\x35\x00\xff\x01\x00"
                  "\x00\x56\x00\x00\x00\x0e\x00\x0c\x00\x00\x09" "tls.bench"
                  "\x00\x0d\x00\x06\x00\x04\x04\x03\x08\x04\x00\x2b\x00\x03\x02\x03\x04"
                  "\x00\x0a\x00\x04\x00\x02\x00\x1d\x00\x33\x00\x26\x00\x24\x00\x1d\x00\x20",
        server[] = "\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03",
        choice[] = "\x13\x01\x00\x00\x2e\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x24\x00\x1d\x00\x20";
    uint8_t out[256];
    size_t len = sizeof client - 1;
    memcpy(out, side ? server : client, len);
    for (size_t i = 0; i < 32; i += 4)
        put32(out + len + i, noise());
    len += 32;
    out[len++] = 0;
    size_t rest = side ? sizeof choice - 1 : sizeof offer - 1;
    memcpy(out + len, side ? choice : offer, rest);
    if (!side)
        memcpy(c->random, out + sizeof client - 1, 32);
    len += rest;
    for (size_t i = 0; i < 32; i += 4)
        put32(out + len + i, noise());
    len += 32;
    put16(out + 3, (unsigned)(len - 5));
    put16(out + 7, (unsigned)(len - 9));
    if (!side)
        put16(out + 11 + 33 + 36, (unsigned)(len - 11 - 33 - 38));
    send_bytes(c, side, out, len);
}

/* One round of a connection; returns 0 when it has ended. */
static int step(struct connection *c, uint32_t scale)
{
    uint8_t out[32];
    if (c->step == scale) {
        if (c->kind <= DEFLATE) {
            send_bytes(c, 0, out, frame_bytes(out, 0x88, 1, (const uint8_t *)"\x03\xe8", 2));
            send_bytes(c, 1, out, frame_bytes(out, 0x88, 0, (const uint8_t *)"\x03\xe8", 2));
        }
        packet(c, 1, 17, NULL, 0);
        packet(c, 0, 17, NULL, 0);
        packet(c, 1, 16, NULL, 0);
        if (c->kind == DEFLATE)
            for (int s = 0; s < 2; s++)
                deflateEnd(&c->z[s]);
        return 0;
    }
    if (c->step == 0 && c->kind <= DEFLATE)
        handshake(c);
    if (c->step == 0 && c->kind == TLS) {
        hello(c, 0);
        hello(c, 1);
    }
    if (c->kind <= DEFLATE) {
        say(c, 0);
        say(c, 1);
    } else if (c->kind == HTTP) {
        request(c);
    } else {
        record(c, 0, 23, 300 + noise() % 200 * 4);
        record(c, 1, 23, 2000 + noise() % 3500 * 4);
    }
    c->step++;
    return 1;
}

static enum kind kind_of(const char *profile, uint32_t id)
{
    if (strcmp(profile, "deflate") == 0)
        return DEFLATE;
    if (strcmp(profile, "http") == 0)
        return HTTP;
    if (strcmp(profile, "tls") == 0)
        return TLS;
    if (strcmp(profile, "mixed") == 0)
        return id % 10 == 0 ? CHAT : id % 2 ? HTTP : TLS;
    return CHAT;
}

static void bulk(uint64_t megabytes)
{
    static uint8_t data[65536], out[65600];
    struct connection c;
    for (uint64_t sent = 0; sent < megabytes << 20;) {
        if (sent % (64u << 20) == 0) {
            if (sent > 0)
                packet(&c, 1, 17, NULL, 0);
            open_connection(&c, CHAT, (uint32_t)(sent >> 26));
            handshake(&c);
        }
        int side = (int)(noise() & 1);
        for (size_t i = 0; i < sizeof data; i += 4)
            put32(data + i, noise());
        send_bytes(&c, side, out, frame_bytes(out, 0x82, side == 0, data, sizeof data));
        sent += sizeof data;
    }
}

/* The rest of a handshake: EncryptedExtensions and both Finished, which nobody verifies. */
static void seal_connection(struct connection *c)
{
    static const uint8_t extensions[] = {8, 0, 0, 2, 0, 0};
    static const char *const labels[2][2] = {
        {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"},
        {"SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"}};
    uint8_t finished[36] = {20, 0, 0, 32}, out[200];
    hello(c, 0);
    hello(c, 1);
    for (int side = 1; side >= 0; side--) {
        size_t len = 0;
        seal_begin(&c->seal[side], c->random, labels[side][0], stderr);
        if (side)
            len = seal_record(&c->seal[1], 22, extensions, sizeof extensions, out);
        len += seal_record(&c->seal[side], 22, finished, sizeof finished, out + len);
        send_bytes(c, side, out, len);
        seal_begin(&c->seal[side], c->random, labels[side][1], stderr);
    }
    c->sealing = 1;
}

/* Connections of 8 MB one after the other: large frames, then a chat. */
static void wss(uint64_t megabytes)
{
    static uint8_t data[65000], out[65100];
    for (uint32_t n = 0; n < megabytes / 8; n++) {
        struct connection c;
        open_connection(&c, WSS, n);
        seal_connection(&c);
        handshake(&c);
        for (int i = 0; i < 100; i++) {
            int side = (int)(noise() & 1);
            for (size_t k = 0; k < sizeof data; k += 4)
                put32(data + k, noise());
            send_bytes(&c, side, out, frame_bytes(out, 0x82, side == 0, data, sizeof data));
        }
        for (int i = 0; i < 10000; i++)
            say(&c, i & 1);
        send_bytes(&c, 0, out, frame_bytes(out, 0x88, 1, (const uint8_t *)"\x03\xe8", 2));
        send_bytes(&c, 1, out, frame_bytes(out, 0x88, 0, (const uint8_t *)"\x03\xe8", 2));
        packet(&c, 1, 17, NULL, 0);
        packet(&c, 0, 17, NULL, 0);
        packet(&c, 1, 16, NULL, 0);
        seal_end(&c.seal[0]);
        seal_end(&c.seal[1]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4)
        return 2;
    static struct connection active[ACTIVE];
    static char buffer[1 << 20];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    const uint32_t header[6] = {0xa1b23c4d, 4u << 16 | 2, 0, 0, 262144, 1};
    fwrite(header, sizeof header, 1, stdout);
    uint32_t scale = (uint32_t)strtoul(argv[2], NULL, 10);
    if (strcmp(argv[1], "bulk") == 0) {
        bulk(scale);
        return fflush(stdout) != 0;
    }
    if (strcmp(argv[1], "wss") == 0) {
        wss(scale);
        return fflush(stdout) != 0;
    }
    int chats = strcmp(argv[1], "chat") == 0 || strcmp(argv[1], "deflate") == 0;
    uint32_t total = chats ? SESSIONS : ACTIVE, next = 0, alive = 0;
    if (argc == 4)
        total = (uint32_t)strtoul(argv[3], NULL, 10);
    for (; next < ACTIVE && next < total; next++, alive++)
        open_connection(&active[next], kind_of(argv[1], next), next);
    uint32_t slots = next;
    while (alive > 0) {
        for (uint32_t i = 0; i < slots; i++) {
            if (active[i].id == UINT32_MAX || step(&active[i], scale))
                continue;
            alive--;
            active[i].id = UINT32_MAX;
            if (next < total) {
                open_connection(&active[i], kind_of(argv[1], next), next);
                next++;
                alive++;
            }
        }
    }
    return fflush(stdout) != 0;
}
