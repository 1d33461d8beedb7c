/*
 * A bench for the reassembly: segments written with stream offsets, and everything that comes out
 * as one line of text.
 */
#ifndef SWITCHTAP_TEST_REASSEMBLY_RIG_H
#define SWITCHTAP_TEST_REASSEMBLY_RIG_H

#include "../../analyzer/reassembly.h"

enum { RIG_LOG = 1 << 16 };

struct rig {
    struct budget budget;
    struct reassembly_options options;
    struct reassembly *r;
    uint32_t isn[2];
    uint64_t packet; /* of the last segment */
    int64_t now_ns;  /* one millisecond on with each segment */
    struct mark mark; /* of the last thing delivered */
    int marks;        /* log "<acked" and "#packet" of data as well */
    size_t used;
    /* side[offset]"bytes", side[offset]-len (gap), side. (eof), side[offset]!kept/other (conflict),
     * side#name=value (limit); side is c or s */
    char log[RIG_LOG];
};

/* One segment; seq and ack are offsets in the streams of the side and of its peer. */
struct put {
    int64_t seq, ack;
    const char *data;
    size_t len;   /* of data; 0: strlen */
    size_t wire;  /* payload bytes on the wire; 0: len */
    unsigned flags; /* TCP_ACK is added unless no_ack */
    int no_ack;
    uint32_t ts;
    uint16_t ip_id;
    uint16_t window; /* 0: 65535 */
    int zero_window;
    int scale; /* of a SYN; 0: none */
    int64_t later_ns; /* capture time beyond the usual millisecond */
};

/* Policy bsd, 64 KiB held, 4 KiB recent, 8 packets or 1 s of waiting, 16 MiB of budget. */
void tcp_begin(struct rig *rig);
void tcp_start(struct rig *rig); /* after options were changed: a new reassembly */
void tcp_end(struct rig *rig);   /* frees, checks that nothing is charged any more */
void tcp_put(struct rig *rig, enum side side, struct put put);
void tcp_handshake(struct rig *rig);
/* Packets that mean nothing but that time goes by: the client repeats what it said. */
void tcp_wait(struct rig *rig, int packets, int64_t seq, int64_t ack);
void tcp_flush(struct rig *rig);
/* Compares the log since the last call. */
void tcp_expect(struct rig *rig, const char *expected);
struct reassembly_side tcp_side(const struct rig *rig, enum side side);

#define PUT(rig, side, ...) tcp_put((rig), (side), (struct put){__VA_ARGS__})

#endif
