/*
 * From a packet to the TCP segment in it: link layer, tunnels in every combination, IP with
 * fragments, TCP header. What is not TCP is counted by kind, so that a person sees why nothing was
 * found. RFC 791, 8200, 9293; 802.1Q/ad; RFC 3032, 2516, 2784, 7348, 8926; 3GPP TS 29.281.
 */
#ifndef SWITCHTAP_DECODE_H
#define SWITCHTAP_DECODE_H

#include "../dissectors/budget.h"
#include "packet.h"

struct decoder;

/* NULL: out of memory. budget bounds the fragments that are waiting (at most an eighth of it). */
struct decoder *decoder_new(struct budget *budget);
void decoder_free(struct decoder *decoder);

/* 0 (-k none): fragments with a wrong IPv4 header checksum are put together, too. Default 1. */
void decoder_verify_checksums(struct decoder *decoder, int on);

/* 1: *segment is a TCP segment that borrows from the packet (or, where fragments were put
 * together, from the decoder until the next call); 0: something else, counted. */
int decode_packet(struct decoder *decoder, const struct packet *packet, struct segment *segment);

/*
 * Verifies IP and TCP checksums of a segment: 1 good, 0 bad, -1 cannot be told (snaplen, or
 * off-loaded: zero, or only the pseudo-header sum was filled in). Not done by decode_packet: flow
 * asks where the payload matters.
 */
int decode_checksum(const struct segment *segment);

/* Calls back for each counter that is not zero: "decode.ipv6", "skip.arp", "skip.udp.dns",
 * "defrag.reassembled", "defrag.evicted", "skip.link-type.147", ... names are static or valid
 * during the call. */
void decoder_counters(const struct decoder *decoder,
                      void (*each)(void *arg, const char *name, uint64_t value), void *arg);

#endif
