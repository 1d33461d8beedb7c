/*
 * Packets from words, for the tests of the decoder: "eth qinq:7 ip4 udp:2152 gtp ip4 tcp". A packet
 * is built from the last word to the first, so that each header knows what it contains.
 */
#ifndef SWITCHTAP_DECODE_FRAMES_H
#define SWITCHTAP_DECODE_FRAMES_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../../analyzer/checksum.h"

enum { FRAME_SIZE = 16384, SOURCE_PORT = 40000, TARGET_PORT = 80, SEQUENCE = 0x11223344 };

static const char request[] = "GET / HTTP/1.1\r\n\r\n";

struct frame {
    uint8_t data[FRAME_SIZE];
    size_t at;        /* the frame is data + at to the end */
    unsigned type;    /* what it begins with: as an EtherType, */
    unsigned protocol; /* as an IP protocol, */
    unsigned ppp;     /* as a PPP protocol */
    uint8_t *tcp;     /* header whose checksum is still to be made */
    unsigned ip_count;
};

static size_t frame_len(const struct frame *f)
{
    return FRAME_SIZE - f->at;
}

static uint8_t *put(struct frame *f, const void *bytes, size_t len)
{
    ck_assert_uint_ge(f->at, len);
    f->at -= len;
    memcpy(f->data + f->at, bytes, len);
    return f->data + f->at;
}

#define PUT(f, ...) put(f, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define B2(x) (uint8_t)((x) >> 8), (uint8_t)(x)
#define B3(x) (uint8_t)((x) >> 16), B2(x)
#define B4(x) (uint8_t)((x) >> 24), B3(x)

static void begins_with(struct frame *f, unsigned type, unsigned protocol, unsigned ppp)
{
    f->type = type;
    f->protocol = protocol;
    f->ppp = ppp;
}

static void store16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void finish_tcp(struct frame *f, const uint8_t *addresses, size_t len)
{
    if (f->tcp == NULL)
        return;
    size_t tcp_len = (size_t)(f->data + FRAME_SIZE - f->tcp);
    uint8_t tail[8] = {B4(tcp_len), 0, 0, 0, 6};
    uint64_t sum = checksum_add(checksum_add(0, addresses, len), tail, sizeof tail);
    store16(f->tcp + 16, (uint16_t)~checksum_fold(checksum_add(sum, f->tcp, tcp_len)));
    f->tcp = NULL;
}

static void put_tcp(struct frame *f, const char *payload, size_t len)
{
    put(f, payload, len);
    PUT(f, 1, 1, 8, 10, B4(1000u), B4(2000u), 3, 3, 7, 0); /* timestamps, window scale, end */
    f->tcp = PUT(f, B2(SOURCE_PORT), B2(TARGET_PORT), B4(SEQUENCE), B4(0x55667788u), 9 << 4, 0xda,
                 B2(512), 0, 0, B2(3));
    begins_with(f, 0, 6, 0);
}

static void finish_ip4(uint8_t *ip)
{
    store16(ip + 10, 0);
    store16(ip + 10, (uint16_t)~checksum_fold(checksum_add(0, ip, (size_t)(ip[0] & 15) * 4)));
}

static void put_ip4(struct frame *f, size_t options)
{
    static const uint8_t padding[40] = {1, 1, 1, 1, 1, 1, 1, 0};
    uint8_t net = (uint8_t)f->ip_count++;
    put(f, padding, options);
    size_t total = 20 + frame_len(f);
    uint8_t *ip = PUT(f, (uint8_t)(0x45 + options / 4), 0, B2(total), B2(0x1234), 0x40, 0, 64,
                      (uint8_t)f->protocol, 0, 0, 10, 0, net, 1, 10, 0, net, 2);
    finish_tcp(f, ip + 12, 8);
    finish_ip4(ip);
    begins_with(f, 0x0800, 4, 0x21);
}

static void put_ip6(struct frame *f)
{
    uint8_t net = (uint8_t)f->ip_count++;
    uint8_t *ip = PUT(f, 0x60, 0, 0, 0, B2(frame_len(f)), (uint8_t)f->protocol, 64, 0x20, 1, 0xd,
                      0xb8, 0, 0, 0, net, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 1, 0xd, 0xb8, 0, 0, 0, net,
                      0, 0, 0, 0, 0, 0, 0, 2);
    finish_tcp(f, ip + 8, 32);
    begins_with(f, 0x86dd, 41, 0x57);
}

static void put_gre(struct frame *f, unsigned flags)
{
    if (flags & 0x1000)
        PUT(f, B4(77u));
    if (flags & 0x2000)
        PUT(f, B4(0xcafeu));
    if (flags & 0x8000)
        PUT(f, B4(0u));
    PUT(f, B2(flags), B2(f->type));
    begins_with(f, 0, 47, 0);
}

static int put_link(struct frame *f, const char *word, unsigned number)
{
    if (strcmp(word, "eth") == 0) {
        PUT(f, 0x4e, 1, 2, 3, 4, 5, 0x6e, 1, 2, 3, 4, 6, B2(f->type)); /* looks like IP at first */
        begins_with(f, 0x6558, 143, 0);
    } else if (strcmp(word, "vlan") == 0 || strcmp(word, "qinq") == 0) {
        PUT(f, B2(number | 0x2000), B2(f->type));
        begins_with(f, word[0] == 'v' ? 0x8100 : 0x88a8, 0, 0);
    } else if (strcmp(word, "snap") == 0) {
        PUT(f, 0xaa, 0xaa, 3, 0, 0, 0, B2(f->type));
        begins_with(f, (unsigned)frame_len(f), 0, 0);
    } else if (strcmp(word, "llc") == 0) {
        PUT(f, B2(number), 3);
        begins_with(f, (unsigned)frame_len(f), 0, 0);
    } else if (strcmp(word, "vntag") == 0) {
        PUT(f, B4(1u), B2(f->type));
        begins_with(f, 0x8926, 0, 0);
    } else if (strcmp(word, "etag") == 0) {
        PUT(f, B4(1u), B2(2u), B2(f->type));
        begins_with(f, 0x893f, 0, 0);
    } else if (strcmp(word, "pbb") == 0) {
        PUT(f, B4(1u));
        begins_with(f, 0x88e7, 0, 0);
    } else {
        return 0;
    }
    return 1;
}

static int put_label_or_ppp(struct frame *f, const char *word)
{
    if (strcmp(word, "mpls") == 0) {
        PUT(f, 0, 1, f->type == 0x8847 ? 0x20 : 0x21, 64);
        begins_with(f, 0x8847, 137, 0x281);
    } else if (strcmp(word, "cw") == 0) {
        PUT(f, 0, 0, 0, 9);
    } else if (strcmp(word, "ppp") == 0) {
        PUT(f, 0xff, 3, B2(f->ppp));
        begins_with(f, 0x880b, 0, 0);
    } else if (strcmp(word, "ppp-short") == 0) {
        PUT(f, (uint8_t)f->ppp);
        begins_with(f, 0x880b, 0, 0);
    } else if (strcmp(word, "multilink") == 0) {
        PUT(f, 0, 0x3d, 0xc0, 0, 0, 1, B2(f->ppp));
        begins_with(f, 0x880b, 0, 0);
    } else if (strcmp(word, "pppoe") == 0) {
        PUT(f, 0x11, 0, 0, 5, B2(frame_len(f) + 2), B2(f->ppp));
        begins_with(f, 0x8864, 0, 0);
    } else {
        return 0;
    }
    return 1;
}

static int put_file_link(struct frame *f, const char *word, unsigned number)
{
    if (strcmp(word, "chdlc") == 0) {
        PUT(f, 0x0f, 0, B2(f->type));
    } else if (strcmp(word, "sll") == 0) {
        PUT(f, 0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, B2(f->type));
    } else if (strcmp(word, "sll2") == 0) {
        PUT(f, B2(f->type), 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0);
    } else if (strcmp(word, "null") == 0) {
        PUT(f, (uint8_t)number, 0, 0, 0);
    } else if (strcmp(word, "loop") == 0) {
        PUT(f, 0, 0, 0, (uint8_t)number);
    } else if (strcmp(word, "wlan") == 0) { /* QoS data, from the station, header padded to 4 */
        PUT(f, 0x88, (uint8_t)(number | 1), 0, 0, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 7, 1, 2, 3, 4, 5,
            8, 0, 0, 0, 0, 0, 0);
    } else if (strcmp(word, "radiotap") == 0) { /* two bitmaps, aligned time, flags */
        PUT(f, 0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
            (uint8_t)(0x20 | number));
        ck_assert_uint_eq(f->data[f->at + 2], 25);
    } else {
        return 0;
    }
    return 1;
}

static int put_extension(struct frame *f, const char *word)
{
    static const struct {
        const char *word;
        unsigned protocol;
    } kinds[] = {{"hbh", 0}, {"rt", 43}, {"dst", 60}, {"ah", 51}, {"atomic", 44}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(word, kinds[i].word) != 0)
            continue;
        uint8_t next = (uint8_t)f->protocol;
        if (kinds[i].protocol == 51)
            PUT(f, next, 2, 0, 0, B4(1u), B4(2u), B4(3u));
        else if (kinds[i].protocol == 43)
            PUT(f, next, 0, 0, 0, 0, 0, 0, 0);
        else if (kinds[i].protocol == 44)
            PUT(f, next, 0, 0, 0, B4(99u));
        else
            PUT(f, next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        begins_with(f, 0, kinds[i].protocol, 0);
        return 1;
    }
    return 0;
}

static int put_tunnel(struct frame *f, const char *word, unsigned number)
{
    size_t len = frame_len(f);
    if (strcmp(word, "udp") == 0) {
        PUT(f, B2(50000), B2(number), B2(len + 8), 0, 0);
        begins_with(f, 0, 17, 0);
    } else if (strcmp(word, "udp-from") == 0) {
        PUT(f, B2(number), B2(50000), B2(len + 8), 0, 0);
        begins_with(f, 0, 17, 0);
    } else if (strcmp(word, "vxlan") == 0) {
        PUT(f, 8, 0, 0, 0, B3(number), 0);
    } else if (strcmp(word, "gpe") == 0) {
        uint8_t next = f->type == 0x0800 ? 1 : f->type == 0x86dd ? 2 : f->type == 0x894f ? 4 : 3;
        PUT(f, 0x0c, 0, 0, next, B3(number), 0);
    } else if (strcmp(word, "nsh") == 0) {
        uint8_t next = f->type == 0x0800 ? 1 : f->type == 0x86dd ? 2 : 3;
        PUT(f, 0x0f, 0xc2, 2, next, 0, 0, 5, 255);
        begins_with(f, 0x894f, 0, 0);
    } else if (strcmp(word, "geneve") == 0) {
        PUT(f, 2, 0, B2(f->type), B3(number), 0, 1, 2, 3, 1, 9, 9, 9, 9);
    } else if (strcmp(word, "gtp") == 0) {
        PUT(f, 0x30, 255, B2(len), B4(0xabcdu));
    } else if (strcmp(word, "gtp-signal") == 0) {
        PUT(f, 0x30, 1, B2(len), B4(0xabcdu));
    } else if (strcmp(word, "gtpx") == 0) { /* sequence number and two extension headers */
        PUT(f, 0x36, 255, B2(len + 16), B4(0xabcdu), 0, 1, 0, 0x85, 1, 0, 9, 0x40, 2, 1, 2, 3, 4, 5,
            6, 0);
    } else if (strcmp(word, "teredo") == 0) {
        PUT(f, 0, 1, 2, 3, 1, 2, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 10, 0, 0, 1);
    } else if (strcmp(word, "l2tp") == 0) {
        PUT(f, 0x4a, 2, B2(len + 16), 0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 9, 9);
    } else {
        return 0;
    }
    return 1;
}

static int put_gre_tunnel(struct frame *f, const char *word, unsigned number)
{
    size_t len = frame_len(f);
    if (strcmp(word, "gre") == 0) {
        put_gre(f, number);
    } else if (strcmp(word, "erspan1") == 0) {
        f->type = 0x88be;
        put_gre(f, 0);
    } else if (strcmp(word, "erspan2") == 0) {
        PUT(f, 0x10, 5, 0, 1, 0, 0, 0, 0);
        f->type = 0x88be;
        put_gre(f, 0x1000);
    } else if (strcmp(word, "erspan3") == 0) {
        PUT(f, 0x20, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        f->type = 0x22eb;
        put_gre(f, 0x1000);
    } else if (strcmp(word, "pptp") == 0) {
        PUT(f, 0x30, 0x81, 0x88, 0x0b, B2(len), 0, 1, B4(5u), B4(6u));
        begins_with(f, 0, 47, 0);
    } else if (strcmp(word, "wccp") == 0) {
        PUT(f, 0, 0, 0, 0);
        begins_with(f, 0x883e, 0, 0);
    } else if (strcmp(word, "etherip") == 0) {
        PUT(f, 0x30, 0);
        begins_with(f, 0, 97, 0);
    } else {
        return 0;
    }
    return 1;
}

static void put_word(struct frame *f, const char *word)
{
    char name[32];
    unsigned number = 0;
    ck_assert_int_ge(sscanf(word, "%31[^:]:%i", name, (int *)&number), 1);
    if (put_link(f, name, number) || put_label_or_ppp(f, name) ||
        put_file_link(f, name, number) || put_extension(f, name) || put_tunnel(f, name, number) ||
        put_gre_tunnel(f, name, number))
        return;
    if (strcmp(name, "tcp") == 0) {
        put_tcp(f, request, sizeof request - 1);
    } else if (strcmp(name, "ip4") == 0) {
        put_ip4(f, number);
    } else if (strcmp(name, "ip6") == 0) {
        put_ip6(f);
    } else if (strcmp(name, "type") == 0) { /* something of that EtherType, IP or PPP protocol */
        PUT(f, 1, 2, 3, 4, 5, 6, 7, 8);
        begins_with(f, number, 0, 0);
    } else if (strcmp(name, "proto") == 0) {
        PUT(f, 1, 2, 3, 4, 5, 6, 7, 8);
        begins_with(f, 0, number, 0);
    } else if (strcmp(name, "pppproto") == 0) {
        PUT(f, 1, 2, 3, 4, 5, 6, 7, 8);
        begins_with(f, 0, 0, number);
    } else {
        ck_abort_msg("no such word: %s", word);
    }
}

static void frame_clear(struct frame *f)
{
    memset(f, 0, sizeof *f);
    f->at = FRAME_SIZE;
}

/* Puts the words in front of what is there. */
static void wrap(struct frame *f, const char *words)
{
    char copy[256], *list[40], *rest;
    size_t count = 0;
    ck_assert_uint_lt(strlen(words), sizeof copy);
    memcpy(copy, words, strlen(words) + 1);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        list[count++] = word;
    while (count > 0)
        put_word(f, list[--count]);
}

static void build(struct frame *f, const char *words)
{
    frame_clear(f);
    wrap(f, words);
}

#endif
