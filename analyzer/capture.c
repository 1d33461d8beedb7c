/*
 * Packet sources behind one door: files (capture_file.c) and interfaces (libpcap), with libpcap's
 * filters for both. The only file that includes pcap.h.
 */
#include "capture.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture_file.h"

enum {
    SNAPLEN_DEFAULT = 262144,
    BUFFER_DEFAULT_KIB = 32 << 10, /* a quarter of a second at 1 Gbit/s */
    POLL_MS = 100,
    DOWN_POLLS = 10, /* an interface may be down for a second: drivers do that on a reset */
    LINKTYPE_ETHERNET = 1
};

/* A filter for one link type. */
struct filter_program {
    int link_type;
    int compiled; /* 0: makes no sense there, nothing passes */
    struct bpf_program code;
};

struct capture {
    struct capture_wake wake;
    struct capture_file *file; /* or live */
    pcap_t *live;
    char *interface;
    int live_fd, link_type, snaplen;
    int state_fd, down_polls; /* a socket to ask for the interface's state; -1: none */
    int64_t fraction_ns; /* nanoseconds in one unit of a live time stamp's fraction */
    unsigned last_drop, last_interface_drop; /* libpcap counts in 32 bits */
    uint64_t kernel_dropped, interface_dropped;

    char *filter; /* NULL: everything passes */
    struct filter_program *programs;
    size_t program_count, program_room, program_last;

    uint64_t next_number, packets, bytes, filtered;
};

/* ---- link types ---------------------------------------------------------------------------- */

/* Where the number in a file and libpcap's own for this system differ. */
static const struct {
    int link_type, dlt;
} link_types[] = {
    {100, DLT_ATM_RFC1483}, {101, DLT_RAW},    {102, DLT_SLIP_BSDOS}, {103, DLT_PPP_BSDOS},
    {104, DLT_C_HDLC},      {106, DLT_ATM_CLIP}, {107, DLT_FRELAY},   {108, DLT_LOOP},
    {109, DLT_ENC},         {246, DLT_PFSYNC}, {258, DLT_PKTAP},
};

static int link_type_to_dlt(int link_type)
{
    for (size_t i = 0; i < sizeof link_types / sizeof link_types[0]; i++) {
        if (link_types[i].link_type == link_type)
            return link_types[i].dlt;
    }
    return link_type;
}

static int link_type_of_dlt(int dlt)
{
    for (size_t i = 0; i < sizeof link_types / sizeof link_types[0]; i++) {
        if (link_types[i].dlt == dlt)
            return link_types[i].link_type;
    }
    return dlt;
}

const char *capture_link_type_name(int link_type, char buffer[32])
{
    int dlt = link_type_to_dlt(link_type);
    const char *name = pcap_datalink_val_to_name(dlt);
    const char *description = pcap_datalink_val_to_description(dlt);
    int len;

    if (name == NULL) {
        (void)snprintf(buffer, 32, "LINKTYPE %d", link_type);
        return buffer;
    }
    if (description == NULL)
        return name;
    len = snprintf(buffer, 32, "%s (%s)", name, description);
    return len > 0 && len < 32 ? buffer : name;
}

/* ---- filters ------------------------------------------------------------------------------- */

static int filter_compile(const char *filter, int link_type, struct bpf_program *code,
                          struct error *error)
{
    pcap_t *dead = pcap_open_dead(link_type_to_dlt(link_type), SNAPLEN_DEFAULT);
    int result = 0;

    if (dead == NULL)
        return error_set(error, "filter '%s': out of memory", filter);
    if (pcap_compile(dead, code, filter, 1, PCAP_NETMASK_UNKNOWN) != 0)
        result = error_set(error, "filter '%s': %s", filter, pcap_geterr(dead));
    pcap_close(dead);
    return result;
}

static int filter_check(const char *filter, int link_type, struct error *error)
{
    struct bpf_program code;

    if (filter_compile(filter, link_type, &code, error) != 0)
        return -1;
    pcap_freecode(&code);
    return 0;
}

int capture_check_filter(const char *filter, struct error *error)
{
    return filter != NULL ? filter_check(filter, LINKTYPE_ETHERNET, error) : 0;
}

/* A filter that only makes sense elsewhere (802.11, say) is right if the file is from there. */
static int filter_check_file(const struct capture *capture, struct error *error)
{
    struct capture_info info;

    if (capture_check_filter(capture->filter, error) == 0)
        return 0;
    capture_file_info(capture->file, &info);
    if (info.link_type < 0 || filter_check(capture->filter, info.link_type, NULL) != 0)
        return -1;
    if (error != NULL)
        error->text[0] = '\0';
    return 0;
}

/* The program for a link type, compiled when it is first seen; NULL: nothing passes. Only link
 * types with a name get an entry, so a file cannot make the table long. */
static const struct filter_program *filter_for(struct capture *capture, int link_type)
{
    if (capture->program_last < capture->program_count &&
        capture->programs[capture->program_last].link_type == link_type)
        return &capture->programs[capture->program_last];
    for (size_t i = 0; i < capture->program_count; i++) {
        if (capture->programs[i].link_type == link_type) {
            capture->program_last = i;
            return &capture->programs[i];
        }
    }
    if (pcap_datalink_val_to_name(link_type_to_dlt(link_type)) == NULL)
        return NULL;
    if (capture->program_count == capture->program_room) {
        size_t room = capture->program_room == 0 ? 4 : capture->program_room * 2;
        struct filter_program *grown = realloc(capture->programs, room * sizeof *grown);
        if (grown == NULL)
            return NULL;
        capture->programs = grown;
        capture->program_room = room;
    }
    capture->program_last = capture->program_count++;
    struct filter_program *program = &capture->programs[capture->program_last];
    *program = (struct filter_program){.link_type = link_type};
    program->compiled = filter_compile(capture->filter, link_type, &program->code, NULL) == 0;
    return program;
}

static int filter_passes(struct capture *capture, const struct packet *packet)
{
    const struct filter_program *program = filter_for(capture, packet->link_type);
    struct pcap_pkthdr header = {.caplen = (bpf_u_int32)packet->len,
                                 .len = (bpf_u_int32)packet->wire_len};

    return program != NULL && program->compiled &&
           pcap_offline_filter(&program->code, &header, packet->data) != 0;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static struct capture *capture_new(const char *filter, struct error *error)
{
    struct capture *capture = calloc(1, sizeof *capture);

    if (capture == NULL) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    capture->next_number = 1;
    capture->live_fd = -1;
    capture->state_fd = -1;
    atomic_init(&capture->wake.raised, 0);
    capture->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (capture->wake.fd < 0) {
        (void)error_set(error, "cannot make an event descriptor: %s", strerror(errno));
        free(capture);
        return NULL;
    }
    if (filter != NULL && filter[0] != '\0') {
        capture->filter = strdup(filter);
        if (capture->filter == NULL) {
            (void)error_set(error, "out of memory");
            capture_close(capture);
            return NULL;
        }
    }
    return capture;
}

struct capture *capture_open_file(const char *path, const char *filter, struct error *error)
{
    struct capture *capture = capture_new(filter, error);

    if (capture == NULL)
        return NULL;
    capture->file = capture_file_open(path, &capture->wake, error);
    if (capture->file == NULL ||
        (capture->filter != NULL && filter_check_file(capture, error) != 0)) {
        capture_close(capture);
        return NULL;
    }
    return capture;
}

void capture_on_secrets(struct capture *capture,
                        void (*take)(void *arg, const char *text, size_t len), void *arg)
{
    if (capture->file != NULL)
        capture_secrets_to(capture_file_secrets(capture->file), take, arg);
}

void capture_close(struct capture *capture)
{
    if (capture == NULL)
        return;
    if (capture->live != NULL)
        pcap_close(capture->live);
    capture_file_close(capture->file);
    for (size_t i = 0; i < capture->program_count; i++) {
        if (capture->programs[i].compiled)
            pcap_freecode(&capture->programs[i].code);
    }
    free(capture->programs);
    free(capture->filter);
    free(capture->interface);
    if (capture->state_fd >= 0)
        (void)close(capture->state_fd);
    (void)close(capture->wake.fd);
    free(capture);
}

/* ---- live ---------------------------------------------------------------------------------- */

static int live_activation_error(const struct capture *capture, int code, struct error *error)
{
    const char *interface = capture->interface;
    const char *text = pcap_geterr(capture->live);
    char program[PATH_MAX];
    ssize_t len;

    switch (code) {
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        len = readlink("/proc/self/exe", program, sizeof program - 1);
        program[len > 0 ? len : 0] = '\0';
        return error_set(error,
                         "%s: capturing needs the capability CAP_NET_RAW%s: run as root, or once: "
                         "sudo setcap cap_net_raw,cap_net_admin+eip %s",
                         interface,
                         code == PCAP_ERROR_PROMISC_PERM_DENIED
                             ? ", and promiscuous mode CAP_NET_ADMIN"
                             : " (and CAP_NET_ADMIN for promiscuous mode)",
                         len > 0 ? program : "switchtap");
    case PCAP_ERROR_NO_SUCH_DEVICE:
        return error_set(error, "%s: no such interface (-D lists them)", interface);
    case PCAP_ERROR_IFACE_NOT_UP:
        return error_set(error, "%s: the interface is down: sudo ip link set %s up", interface,
                         interface);
    default:
        return error_set(error, "%s: %s%s%s", interface, pcap_statustostr(code),
                         text[0] != '\0' ? ": " : "", text);
    }
}

static int live_set_options(struct capture *capture, const struct capture_live_options *options,
                            struct error *error)
{
    pcap_t *live = capture->live;
    int buffer_kib = options->buffer_kib > 0 ? options->buffer_kib : BUFFER_DEFAULT_KIB;

    if (buffer_kib > INT_MAX / 1024)
        return error_set(error, "%s: a buffer of %d KiB is too large (at most %d)",
                         capture->interface, buffer_kib, INT_MAX / 1024);
    capture->snaplen = options->snaplen > 0 ? options->snaplen : SNAPLEN_DEFAULT;
    (void)pcap_set_snaplen(live, capture->snaplen);
    (void)pcap_set_promisc(live, options->promiscuous != 0);
    (void)pcap_set_timeout(live, POLL_MS);
    (void)pcap_set_buffer_size(live, buffer_kib * 1024);
    (void)pcap_set_tstamp_precision(live, PCAP_TSTAMP_PRECISION_NANO);
    int code = pcap_activate(live);
    if (code < 0)
        return live_activation_error(capture, code, error);
    return 0; /* warnings: promiscuous mode or time stamp kind not supported; it captures */
}

static int live_set_filter(struct capture *capture, struct error *error)
{
    struct bpf_program code;
    int result = 0;

    if (capture->filter == NULL)
        return 0;
    if (pcap_compile(capture->live, &code, capture->filter, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return error_set(error, "filter '%s': %s", capture->filter, pcap_geterr(capture->live));
    if (pcap_setfilter(capture->live, &code) != 0)
        result = error_set(error, "filter '%s': %s", capture->filter, pcap_geterr(capture->live));
    pcap_freecode(&code);
    return result;
}

static int live_open(struct capture *capture, const struct capture_live_options *options,
                     struct error *error)
{
    char text[PCAP_ERRBUF_SIZE] = "";

    capture->interface = strdup(options->interface);
    if (capture->interface == NULL)
        return error_set(error, "out of memory");
    capture->live = pcap_create(options->interface, text);
    if (capture->live == NULL)
        return error_set(error, "%s: %s", options->interface, text);
    if (live_set_options(capture, options, error) != 0 || live_set_filter(capture, error) != 0)
        return -1;
    if (pcap_setnonblock(capture->live, 1, text) != 0)
        return error_set(error, "%s: %s", options->interface, text);
    capture->live_fd = pcap_get_selectable_fd(capture->live);
    capture->link_type = link_type_of_dlt(pcap_datalink(capture->live));
    capture->fraction_ns =
        pcap_get_tstamp_precision(capture->live) == PCAP_TSTAMP_PRECISION_NANO ? 1 : 1000;
    capture->state_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return 0;
}

struct capture *capture_open_live(const struct capture_live_options *options, struct error *error)
{
    struct capture *capture = capture_new(options->filter, error);

    if (capture == NULL)
        return NULL;
    if (live_open(capture, options, error) != 0) {
        capture_close(capture);
        return NULL;
    }
    return capture;
}

/* libpcap waits for ever for an interface that was taken down to come back, and nobody would know.
 * Asked at each poll that brought nothing; "any" and the like have no state and are never down. */
static int live_is_down(struct capture *capture)
{
    struct ifreq request = {.ifr_flags = 0};
    size_t len = strlen(capture->interface);

    if (capture->state_fd < 0 || len >= sizeof request.ifr_name)
        return 0;
    memcpy(request.ifr_name, capture->interface, len);
    if (ioctl(capture->state_fd, SIOCGIFFLAGS, &request) != 0 || request.ifr_flags & IFF_UP)
        capture->down_polls = 0;
    else
        capture->down_polls++;
    return capture->down_polls >= DOWN_POLLS;
}

/* libpcap never blocks here: a wait is ours, so that an interrupt cannot fall between the check
 * and the wait. */
static int live_next(struct capture *capture, struct packet *packet, struct error *error)
{
    for (int waited = 0;; waited = 1) {
        struct pcap_pkthdr *header;
        const u_char *data;

        if (capture_wake_taken(&capture->wake))
            return 2;
        switch (pcap_next_ex(capture->live, &header, &data)) {
        case 1:
            packet->data = data;
            packet->len = header->caplen;
            packet->wire_len = header->len < header->caplen ? header->caplen : header->len;
            packet->time_ns = (int64_t)header->ts.tv_sec * 1000000000 +
                              (int64_t)header->ts.tv_usec * capture->fraction_ns;
            packet->link_type = capture->link_type;
            packet->interface = 0;
            return 1;
        case 0:
            break;
        case PCAP_ERROR_BREAK:
            return 2;
        default:
            return error_set(error, "%s: capturing failed: %s", capture->interface,
                             pcap_geterr(capture->live));
        }
        if (waited && live_is_down(capture))
            return error_set(error, "%s: the interface went down", capture->interface);
        if (waited)
            return 2;
        struct pollfd fds[2] = {{.fd = capture->live_fd, .events = POLLIN},
                                {.fd = capture->wake.fd, .events = POLLIN}};
        (void)poll(fds, 2, capture->live_fd < 0 ? POLL_MS / 10 : POLL_MS);
    }
}

/* libpcap's counters are 32 bits wide and may wrap between two looks. */
static void live_statistics(struct capture *capture)
{
    struct pcap_stat now;

    if (pcap_stats(capture->live, &now) != 0)
        return;
    capture->kernel_dropped += now.ps_drop - capture->last_drop;
    capture->interface_dropped += now.ps_ifdrop - capture->last_interface_drop;
    capture->last_drop = now.ps_drop;
    capture->last_interface_drop = now.ps_ifdrop;
}

/* ---- the capture --------------------------------------------------------------------------- */

int capture_next(struct capture *capture, struct packet *packet, struct error *error)
{
    for (;;) {
        int got = capture->file != NULL ? capture_file_next(capture->file, packet, error)
                                        : live_next(capture, packet, error);
        if (got != 1)
            return got;
        packet->number = capture->next_number++;
        capture->packets++;
        capture->bytes += packet->len;
        if (capture->filter == NULL || capture->file == NULL || filter_passes(capture, packet))
            return 1;
        capture->filtered++;
    }
}

void capture_number_from(struct capture *capture, uint64_t first_number)
{
    capture->next_number = first_number;
}

void capture_get_info(struct capture *capture, struct capture_info *info)
{
    if (capture->file != NULL) {
        capture_file_info(capture->file, info);
    } else {
        live_statistics(capture);
        *info = (struct capture_info){.link_type = capture->link_type,
                                      .snaplen = capture->snaplen,
                                      .kernel_dropped = capture->kernel_dropped,
                                      .interface_dropped = capture->interface_dropped};
    }
    info->packets = capture->packets;
    info->bytes = capture->bytes;
    info->filtered = capture->filtered;
}

void capture_interrupt(struct capture *capture)
{
    static const uint64_t one = 1;
    int saved = errno;

    atomic_store(&capture->wake.raised, 1);
    (void)!write(capture->wake.fd, &one, sizeof one);
    errno = saved;
}

/* ---- interfaces ---------------------------------------------------------------------------- */

static void interface_state(bpf_u_int32 flags, char *text, size_t size)
{
    bpf_u_int32 connection = flags & PCAP_IF_CONNECTION_STATUS;

    (void)snprintf(text, size, "%s%s%s%s%s", flags & PCAP_IF_UP ? "up" : "down",
                   flags & PCAP_IF_RUNNING ? ", running" : "",
                   flags & PCAP_IF_LOOPBACK ? ", loopback" : "",
                   flags & PCAP_IF_WIRELESS ? ", wireless" : "",
                   connection == PCAP_IF_CONNECTION_STATUS_CONNECTED      ? ", connected"
                   : connection == PCAP_IF_CONNECTION_STATUS_DISCONNECTED ? ", disconnected"
                                                                          : "");
}

int capture_list_interfaces(void (*each)(void *arg, const char *name, const char *description,
                                         const char *state),
                            void *arg, struct error *error)
{
    char text[PCAP_ERRBUF_SIZE] = "";
    pcap_if_t *all = NULL;

    if (pcap_findalldevs(&all, text) != 0)
        return error_set(error, "cannot list the interfaces: %s", text);
    for (const pcap_if_t *one = all; one != NULL; one = one->next) {
        char state[64];
        interface_state(one->flags, state, sizeof state);
        each(arg, one->name, one->description != NULL ? one->description : "", state);
    }
    pcap_freealldevs(all);
    return 0;
}
