/*
 * Puts IPv4 and IPv6 fragments together again. RFC 791, 815, 8200 4.5, 5722 (overlapping IPv6
 * fragments kill their datagram). Memory is charged to a budget, the number of waiting datagrams is
 * bounded; where one of both runs out, the oldest datagram goes. What one fragment costs depends
 * on its length only, never on how many came before it.
 */
#ifndef SWITCHTAP_DEFRAG_H
#define SWITCHTAP_DEFRAG_H

#include <stddef.h>
#include <stdint.h>

#include "../dissectors/budget.h"

struct defrag;

/* Whose bytes count where IPv4 fragments overlap: BSD: those of the fragment that begins first, and
 * of two that begin together those that came first; FIRST: those that came first. */
enum defrag_policy { DEFRAG_BSD, DEFRAG_FIRST };

/* Each fragment ends in exactly one of held, duplicate, overlapped, malformed, no-memory and
 * reassembled. evicted and expired count datagrams; the rest are remarks. */
#define DEFRAG_COUNTERS(X)                                                                         \
    X(FRAGMENTS, "defrag.fragments")                                                               \
    X(HELD, "defrag.held")                                                                         \
    X(REASSEMBLED, "defrag.reassembled")                                                           \
    X(DUPLICATE, "defrag.duplicate")                                                               \
    X(OVERLAPPED, "defrag.overlapped")                                                             \
    X(MALFORMED, "defrag.malformed")                                                               \
    X(NO_MEMORY, "defrag.no-memory")                                                               \
    X(EVICTED, "defrag.evicted")                                                                   \
    X(EXPIRED, "defrag.expired")                                                                   \
    X(OVERLAPS, "defrag.overlaps")                                                                 \
    X(CONFLICTS, "defrag.conflicts")                                                               \
    X(TINY, "defrag.tiny")

enum defrag_counter {
#define X(id, name) DEFRAG_##id,
    DEFRAG_COUNTERS(X)
#undef X
        DEFRAG_COUNTER_COUNT
};

struct defrag_fragment {
    uint8_t family;        /* 4 or 6 */
    uint8_t protocol;      /* IPv4 protocol; next header of the IPv6 fragment header */
    int more;              /* more fragments follow */
    uint32_t id;           /* identification */
    uint32_t offset;       /* of data in the datagram; bytes, a multiple of 8 */
    const uint8_t *source; /* 4 or 16 bytes */
    const uint8_t *target;
    uint64_t context;      /* fragments of different contexts (VLAN, tunnel) never meet */
    int64_t time_ns;
    const uint8_t *header; /* IP header and what stays in front of each fragment, without the IPv6
                              fragment header */
    size_t header_len;
    size_t next_at;        /* IPv6: where in header the next-header byte for data stands */
    const uint8_t *data;
    size_t len;
};

struct defrag_datagram {
    const uint8_t *data; /* a complete IP datagram that says nothing of fragments any more (IPv4
                            header checksum made anew); valid until defrag_clear */
    size_t len;
    size_t header_len;   /* what comes before the first fragment's data */
    uint8_t protocol;    /* of the first fragment */
};

/* budget outlives the defrag. NULL: out of memory. */
struct defrag *defrag_new(struct budget *budget, enum defrag_policy policy);
void defrag_free(struct defrag *defrag);

/* 1: the fragment completed *datagram; 0: it did not, counted. */
int defrag_add(struct defrag *defrag, const struct defrag_fragment *fragment,
               struct defrag_datagram *datagram);

/* Frees the datagrams that were completed. */
void defrag_clear(struct defrag *defrag);

/* Datagrams that wait for more. */
size_t defrag_waiting(const struct defrag *defrag);

uint64_t defrag_count(const struct defrag *defrag, enum defrag_counter counter);
const char *defrag_counter_name(enum defrag_counter counter);

#endif
