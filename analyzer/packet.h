/*
 * What travels down the pipeline: a packet as captured, and the TCP segment that decode finds in
 * it. Both borrow their bytes for one turn of the loop.
 */
#ifndef SWITCHTAP_PACKET_H
#define SWITCHTAP_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "../schema/event.h"

struct packet {
    const uint8_t *data; /* borrowed until the next capture_next() */
    size_t len;          /* captured bytes */
    size_t wire_len;     /* bytes on the wire, >= len */
    int64_t time_ns;     /* since the Unix epoch */
    uint64_t number; /* 1-based, runs through the files of a capture; counts before the filter */
    int link_type;       /* LINKTYPE_ value (as in the file header), not DLT_ */
    uint32_t interface;  /* of the pcapng section; 0 */
};

enum tcp_flags { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

struct segment {
    struct address source, target; /* innermost IP header */
    uint16_t source_port, target_port;
    int32_t vlan;    /* outermost VLAN id, -1: none */
    uint32_t tunnel; /* innermost VXLAN or Geneve VNI + 1, 0: none; part of the flow key */
    uint32_t seq, ack;
    uint16_t window;
    uint16_t urgent; /* valid with TCP_URG */
    uint8_t flags;   /* enum tcp_flags */
    int8_t window_scale;   /* -1: option absent */
    uint8_t has_timestamps;
    uint32_t ts_value, ts_echo;
    uint16_t ip_id; /* IPv4 identification, 0 for IPv6 */
    const uint8_t *payload;
    size_t payload_len;  /* captured payload bytes */
    size_t payload_wire; /* payload bytes on the wire, >= payload_len: snaplen cut the rest */
    const uint8_t *ip;   /* the innermost IP header (reassembled where it was fragmented) */
    size_t ip_len;       /* captured, without link-layer padding */
    const uint8_t *tcp;  /* the TCP header */
    uint64_t packet;     /* number of the packet that completed it */
    int64_t time_ns;
};

#endif
