/*
 * Packet sources: capture files (pcap and pcapng, plain or gzip, files or standard input) read by
 * our own block reader, and live interfaces through libpcap. The only file that includes pcap.h is
 * capture.c; BPF filters are libpcap's in both cases.
 */
#ifndef SWITCHTAP_CAPTURE_H
#define SWITCHTAP_CAPTURE_H

#include "error.h"
#include "packet.h"

struct capture;

struct capture_live_options {
    const char *interface; /* "any", "lo", ... */
    const char *filter;    /* BPF or NULL */
    int snaplen;           /* bytes; 0: 262144 */
    int buffer_kib;        /* kernel buffer (-B); 0: a default made for bursts */
    int promiscuous;
};

/* Opens one file; path "-" is standard input. The format is told by the content, never by the
 * name. NULL and a message where it cannot be opened or is no capture. filter may be NULL; it is
 * compiled for each link type as it turns up; one that is wrong for every link type is an error. */
struct capture *capture_open_file(const char *path, const char *filter, struct error *error);

/* NULL and a message that names the missing capability and how to grant it (setcap), the unknown
 * interface, or what libpcap says. */
struct capture *capture_open_live(const struct capture_live_options *options, struct error *error);

/* Is the filter's syntax right at all (for Ethernet)? 0 or -1 with libpcap's message. */
int capture_check_filter(const char *filter, struct error *error);

/*
 * The next packet that passes the filter. 1: *packet is filled; 0: end; 2: nothing within the poll
 * interval (live only), or interrupted (files too, once for each capture_interrupt(); nothing is
 * lost): check for signals and call again; -1: reading failed (the message says at which byte; for
 * a file all packets before it were delivered). Damage is no failure, see capture_info.
 * packet->number counts every packet of the file, also those the filter dropped, from
 * `first_number` on (see capture_number_from).
 */
int capture_next(struct capture *capture, struct packet *packet, struct error *error);

/* TLS key logs that the file brings along (pcapng) go to `take` as they are met, whole lines; those
 * that stood in front of the first interface at once. Files only. */
void capture_on_secrets(struct capture *capture,
                        void (*take)(void *arg, const char *text, size_t len), void *arg);

/* Packet numbers go on from here (files given together are one capture). Default 1. */
void capture_number_from(struct capture *capture, uint64_t first_number);

struct capture_info {
    int link_type;       /* LINKTYPE_ of the first interface, -1: none yet */
    int snaplen;         /* of the first interface; 0 unlimited or unknown */
    uint64_t packets;    /* read so far, filtered ones included */
    uint64_t bytes;      /* captured bytes of these packets */
    uint64_t filtered;   /* dropped by the filter */
    uint64_t position;   /* bytes of the file read so far (compressed bytes for gzip) */
    uint64_t size;       /* of the file, 0: unknown (pipe) */
    int truncated;       /* the last record was cut: everything before it was delivered */
    uint64_t damaged;    /* records or blocks that were skipped as damaged */
    char damage[160];    /* the first damage in words, with the packet before it and the byte */
    /* live: what pcap_stats says so far; files: the sum of the pcapng statistics blocks */
    uint64_t kernel_dropped, interface_dropped;
};

void capture_get_info(struct capture *capture, struct capture_info *info);

/* Makes the capture_next() that is blocked, or the next one, return 2 (async-signal-safe). */
void capture_interrupt(struct capture *capture);

void capture_close(struct capture *capture);

/* Calls back for each interface libpcap knows. 0 or -1 with a message. */
int capture_list_interfaces(void (*each)(void *arg, const char *name, const char *description,
                                         const char *state),
                            void *arg, struct error *error);

/* "EN10MB (Ethernet)" and the like for a LINKTYPE_ value; static or "LINKTYPE 123" in buffer. */
const char *capture_link_type_name(int link_type, char buffer[32]);

#endif
