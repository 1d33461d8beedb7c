/*
 * nDPI behind one door: the only file that includes ndpi_api.h, with every difference between its
 * versions. It is shown whole, valid IP packets only: a packet as captured where that is one, else
 * one made from the segment. It never guesses from ports or addresses here, and its opinion is
 * recorded, not acted upon. Not covered: its limits on memory are its own; the flow structure is
 * charged to the budget, what it allocates behind it for some protocols is not.
 */
#include "classify.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../dissectors/reader.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wvariadic-macros"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <ndpi_api.h>
#pragma GCC diagnostic pop

#define CLASSIFY_NDPI(major, minor)                                                                \
    (NDPI_MAJOR > (major) || (NDPI_MAJOR == (major) && NDPI_MINOR >= (minor)))

enum {
    PAYLOAD_MOST = 16384, /* of a packet made here */
    HEADERS = 60,         /* IPv6 and TCP */
    NAME_SLOTS = 1024,    /* joined names that are kept: far more than nDPI has protocols in use */
    NAMES_MOST = 768,
    NAME_BYTES = 1024
};

struct classifier {
    struct ndpi_detection_module_struct *module;
    size_t flow_size;
    char *names[NAME_SLOTS];
    size_t name_count;
    uint8_t packet[HEADERS + PAYLOAD_MOST];
};

struct classify_flow {
    alignas(max_align_t) unsigned char ndpi[1]; /* flow_size bytes */
};

static struct ndpi_flow_struct *classify_ndpi(struct classify_flow *flow)
{
    return (void *)flow->ndpi;
}

/* ---------------------------------------------------------------- versions */

/* nDPI remembers addresses, and what it saw there once it says of all other connections there, too.
 * Its opinion shall come from the bytes of a connection alone, whatever else was captured (and in
 * whichever thread), so nothing is remembered. Up to 4.4 there is no setting for that: the library
 * finds this function in place of its own. */
#if CLASSIFY_NDPI(4, 10)
static void module_forget(struct ndpi_detection_module_struct *module)
{
    static const char *const caches[] = {"lru.ookla.size",    "lru.bittorrent.size",
                                         "lru.zoom.size",     "lru.stun.size",
                                         "lru.stun_zoom.size", "lru.tls_cert.size",
                                         "lru.mining.size",   "lru.msteams.size"};
    for (size_t i = 0; i < sizeof caches / sizeof caches[0]; i++)
        (void)ndpi_set_config(module, NULL, caches[i], "0"); /* each version has some of them */
}
#elif CLASSIFY_NDPI(4, 6)
static void module_forget(struct ndpi_detection_module_struct *module)
{
    for (int i = 0; i < NDPI_LRUCACHE_MAX; i++)
        (void)ndpi_set_lru_cache_size(module, (lru_cache_type)i, 0);
}
#else
u_int8_t ndpi_lru_find_cache(struct ndpi_lru_cache *cache, u_int32_t key, u_int16_t *value,
                             u_int8_t clean_key_when_found)
{
    (void)cache;
    (void)key;
    (void)value;
    (void)clean_key_when_found;
    return 0;
}
#endif

static struct ndpi_detection_module_struct *module_open(void)
{
#if CLASSIFY_NDPI(6, 0)
    struct ndpi_detection_module_struct *module =
        ndpi_init_detection_module(NULL, NDPI_LICENSE_NON_COMMERCIAL_LGPL);
#elif CLASSIFY_NDPI(4, 10)
    struct ndpi_detection_module_struct *module = ndpi_init_detection_module(NULL);
#else
    struct ndpi_detection_module_struct *module = ndpi_init_detection_module(ndpi_no_prefs);
#endif
    if (module == NULL)
        return NULL;
#if CLASSIFY_NDPI(4, 6)
    module_forget(module);
#endif
#if !CLASSIFY_NDPI(5, 0)
    NDPI_PROTOCOL_BITMASK all;
    NDPI_BITMASK_SET_ALL(all);
#if CLASSIFY_NDPI(4, 6)
    if (ndpi_set_protocol_detection_bitmask2(module, &all) != 0) {
        ndpi_exit_detection_module(module);
        return NULL;
    }
#else
    ndpi_set_protocol_detection_bitmask2(module, &all);
#endif
#endif
#if CLASSIFY_NDPI(4, 10)
    if (ndpi_finalize_initialization(module) != 0) {
        ndpi_exit_detection_module(module);
        return NULL;
    }
#else
    ndpi_finalize_initialization(module);
#endif
    return module;
}

static ndpi_protocol module_show(struct classifier *classifier, struct ndpi_flow_struct *flow,
                               const uint8_t *packet, size_t len, int64_t time_ns)
{
    uint64_t time_ms = time_ns > 0 ? (uint64_t)time_ns / 1000000 : 0;
#if CLASSIFY_NDPI(4, 6)
    return ndpi_detection_process_packet(classifier->module, flow, packet, (uint16_t)len, time_ms,
                                         NULL);
#else
    return ndpi_detection_process_packet(classifier->module, flow, packet, (uint16_t)len, time_ms);
#endif
}

static ndpi_protocol module_last_word(struct classifier *classifier, struct ndpi_flow_struct *flow)
{
#if CLASSIFY_NDPI(5, 0)
    return ndpi_detection_giveup(classifier->module, flow);
#elif CLASSIFY_NDPI(4, 10)
    uint8_t guessed = 0;
    return ndpi_detection_giveup(classifier->module, flow, &guessed);
#else
    uint8_t guessed = 0;
    return ndpi_detection_giveup(classifier->module, flow, 0, &guessed);
#endif
}

static unsigned protocol_master(const ndpi_protocol *protocol)
{
#if CLASSIFY_NDPI(4, 11)
    return protocol->proto.master_protocol;
#else
    return protocol->master_protocol;
#endif
}

static unsigned protocol_app(const ndpi_protocol *protocol)
{
#if CLASSIFY_NDPI(4, 11)
    return protocol->proto.app_protocol;
#else
    return protocol->app_protocol;
#endif
}

static int protocol_known(const ndpi_protocol *protocol)
{
    return protocol_master(protocol) != NDPI_PROTOCOL_UNKNOWN ||
           protocol_app(protocol) != NDPI_PROTOCOL_UNKNOWN;
}

static int protocol_decided(struct classifier *classifier, struct ndpi_flow_struct *flow,
                        const ndpi_protocol *protocol)
{
#if CLASSIFY_NDPI(5, 0)
    (void)classifier;
    return protocol->state == NDPI_STATE_MONITORING ||
           (protocol->state == NDPI_STATE_CLASSIFIED && flow->extra_packets_func == NULL);
#else
    return protocol_known(protocol) && !ndpi_extra_dissection_possible(classifier->module, flow);
#endif
}

const char *classify_version(void)
{
    return ndpi_revision();
}

/* ---------------------------------------------------------------- names */

static struct text text_of_string(const char *string)
{
    return string != NULL ? (struct text){string, strlen(string)} : TEXT_NONE;
}

/* A copy that lives as long as the classifier; none where the table is full. */
static struct text classify_intern(struct classifier *classifier, const char *name, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    size_t slot = hash % NAME_SLOTS;
    while (classifier->names[slot] != NULL) {
        const char *known = classifier->names[slot];
        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return (struct text){known, len};
        slot = (slot + 1) % NAME_SLOTS;
    }
    char *copy = classifier->name_count < NAMES_MOST ? malloc(len + 1) : NULL;
    if (copy == NULL)
        return TEXT_NONE;
    memcpy(copy, name, len);
    copy[len] = '\0';
    classifier->names[slot] = copy;
    classifier->name_count++;
    return (struct text){copy, len};
}

struct joined {
    char bytes[NAME_BYTES];
    size_t len;
};

static void joined_add(struct joined *joined, char separator, const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;
    if (len == 0 || len + 1 > sizeof joined->bytes - joined->len)
        return;
    if (joined->len > 0)
        joined->bytes[joined->len++] = separator;
    memcpy(joined->bytes + joined->len, name, len);
    joined->len += len;
}

static struct text classify_protocol(struct classifier *classifier, const ndpi_protocol *protocol)
{
    unsigned master = protocol_master(protocol), app = protocol_app(protocol);
    const char *outer = ndpi_get_proto_name(classifier->module, (uint16_t)master);
    const char *inner = ndpi_get_proto_name(classifier->module, (uint16_t)app);
    if (master == NDPI_PROTOCOL_UNKNOWN || master == app)
        return text_of_string(inner);
    if (app == NDPI_PROTOCOL_UNKNOWN)
        return text_of_string(outer);
    struct joined joined = {.len = 0};
    joined_add(&joined, '.', outer);
    joined_add(&joined, '.', inner);
    struct text text = classify_intern(classifier, joined.bytes, joined.len);
    return text.data != NULL ? text : text_of_string(inner);
}

static struct text classify_risk(struct classifier *classifier, uint64_t risks)
{
    struct joined joined = {.len = 0};
    struct text first = TEXT_NONE;
    unsigned count = 0;
    for (unsigned i = 0; i < 64 && i < NDPI_MAX_RISK; i++) {
        if ((risks >> i & 1) == 0)
            continue;
        const char *name = ndpi_risk2str((ndpi_risk_enum)i);
        if (count++ == 0)
            first = text_of_string(name);
        joined_add(&joined, ',', name);
    }
    if (count < 2)
        return first;
    struct text text = classify_intern(classifier, joined.bytes, joined.len);
    return text.data != NULL ? text : first;
}

static void classify_result(struct classifier *classifier, const struct ndpi_flow_struct *flow,
                            const ndpi_protocol *protocol, uint64_t without_risks,
                            struct classification *result)
{
    *result = (struct classification){TEXT_NONE, TEXT_NONE, TEXT_NONE};
    if (!protocol_known(protocol))
        return;
    result->protocol = classify_protocol(classifier, protocol);
    if (protocol->category != NDPI_PROTOCOL_CATEGORY_UNSPECIFIED)
        result->category =
            text_of_string(ndpi_category_get_name(classifier->module, protocol->category));
    result->risk = classify_risk(classifier, flow->risk & ~without_risks);
}

/* ---------------------------------------------------------------- packets */

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static void put_ip_checksum(uint8_t *header)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < 20; i += 2)
        sum += (uint32_t)header[i] << 8 | header[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(header + 10, ~sum & 0xffff);
}

/* A plain packet with the addresses, ports, numbers and (bounded) payload of the segment; returns
 * its length. */
static size_t classify_make(struct classifier *classifier, const struct segment *segment)
{
    size_t payload = segment->payload_len < PAYLOAD_MOST ? segment->payload_len : PAYLOAD_MOST;
    uint8_t *ip = classifier->packet;
    size_t ip_len = segment->source.family == 4 ? 20 : 40;
    memset(ip, 0, HEADERS);
    if (segment->source.family == 4) {
        ip[0] = 0x45;
        put16(ip + 2, (unsigned)(40 + payload));
        ip[8] = 64;
        ip[9] = 6;
        memcpy(ip + 12, segment->source.bytes, 4);
        memcpy(ip + 16, segment->target.bytes, 4);
        put_ip_checksum(ip);
    } else {
        ip[0] = 0x60;
        put16(ip + 4, (unsigned)(20 + payload));
        ip[6] = 6;
        ip[7] = 64;
        memcpy(ip + 8, segment->source.bytes, 16);
        memcpy(ip + 24, segment->target.bytes, 16);
    }
    uint8_t *tcp = ip + ip_len;
    put16(tcp, segment->source_port);
    put16(tcp + 2, segment->target_port);
    put32(tcp + 4, segment->seq);
    put32(tcp + 8, segment->ack);
    tcp[12] = 5 << 4;
    tcp[13] = segment->flags;
    put16(tcp + 14, segment->window);
    if (payload > 0)
        memcpy(tcp + 20, segment->payload, payload);
    return ip_len + 20 + payload;
}

/* Is the packet as captured one that nDPI can read as it stands: a plain IP header with the right
 * length, not a fragment, TCP directly behind it? */
static int classify_is_plain(const struct segment *segment)
{
    if (segment->ip == NULL || segment->ip_len > UINT16_MAX)
        return 0;
    struct reader r = reader_of(segment->ip, segment->ip_len);
    size_t header;
    uint8_t version = reader_u8(&r);
    if (version >> 4 == 4) {
        header = (size_t)(version & 15) * 4;
        reader_skip(&r, 1);
        size_t total = reader_u16(&r);
        reader_skip(&r, 2);
        unsigned fragment = reader_u16(&r) & 0x3fff;
        reader_skip(&r, 1);
        if (total != segment->ip_len || fragment != 0 || reader_u8(&r) != 6 || header < 20)
            return 0;
    } else {
        header = 40;
        reader_skip(&r, 3);
        size_t total = 40 + (size_t)reader_u16(&r);
        if (version >> 4 != 6 || total != segment->ip_len || reader_u8(&r) != 6)
            return 0;
    }
    r = reader_of(segment->ip, segment->ip_len);
    reader_skip(&r, header + 12);
    size_t offset = (size_t)(reader_u8(&r) >> 4) * 4;
    return !r.failed && offset >= 20 && header + offset + segment->payload_len == segment->ip_len;
}

static ndpi_protocol classify_show(struct classifier *classifier, struct ndpi_flow_struct *flow,
                                   const struct segment *segment)
{
    if (classify_is_plain(segment))
        return module_show(classifier, flow, segment->ip, segment->ip_len, segment->time_ns);
    size_t len = classify_make(classifier, segment);
    return module_show(classifier, flow, classifier->packet, len, segment->time_ns);
}

/* ---------------------------------------------------------------- flows */

struct classifier *classifier_new(struct error *error)
{
    struct classifier *classifier = calloc(1, sizeof *classifier);
    if (classifier != NULL)
        classifier->module = module_open();
    if (classifier == NULL || classifier->module == NULL) {
        free(classifier);
        (void)error_set(error, "nDPI %s does not start: out of memory, or the library does not "
                               "fit the headers it was built with",
                        ndpi_revision());
        return NULL;
    }
    classifier->flow_size = ndpi_detection_get_sizeof_ndpi_flow_struct();
    return classifier;
}

void classifier_free(struct classifier *classifier)
{
    if (classifier == NULL)
        return;
    ndpi_exit_detection_module(classifier->module);
    for (size_t i = 0; i < NAME_SLOTS; i++)
        free(classifier->names[i]);
    free(classifier);
}

static void classify_free(struct classify_flow **state, struct budget *budget)
{
    ndpi_free_flow_data(classify_ndpi(*state));
    budget_free(budget, *state);
    *state = NULL;
}

int classify_packet(struct classifier *classifier, struct classify_flow **state,
                    const struct segment *segment, enum side sender, struct budget *budget,
                    struct classification *result)
{
    (void)sender; /* nDPI finds the direction by itself */
    if (*state == NULL) {
        size_t size = classifier->flow_size > sizeof **state ? classifier->flow_size
                                                             : sizeof **state;
        *state = budget_alloc(budget, size);
        if (*state == NULL) {
            *result = (struct classification){TEXT_NONE, TEXT_NONE, TEXT_NONE};
            return 1;
        }
    }
    struct ndpi_flow_struct *flow = classify_ndpi(*state);
    ndpi_protocol protocol = classify_show(classifier, flow, segment);
    if (!protocol_decided(classifier, flow, &protocol))
        return 0;
    classify_result(classifier, flow, &protocol, 0, result);
    classify_free(state, budget);
    return 1;
}

void classify_finish(struct classifier *classifier, struct classify_flow **state,
                     struct budget *budget, struct classification *result)
{
    *result = (struct classification){TEXT_NONE, TEXT_NONE, TEXT_NONE};
    if (*state == NULL)
        return;
    struct ndpi_flow_struct *flow = classify_ndpi(*state);
    ndpi_protocol protocol = module_last_word(classifier, flow);
    classify_result(classifier, flow, &protocol, 0, result);
    classify_free(state, budget);
}

/* ---------------------------------------------------------------- bytes */

/* Addresses of RFC 5737 and ports that no protocol claims. */
static struct segment classify_invented(enum side sender, uint8_t flags, uint32_t seq,
                                        uint32_t ack, struct text payload)
{
    static const struct address ends[2] = {{4, {192, 0, 2, 1}}, {4, {198, 51, 100, 1}}};
    static const uint16_t ports[2] = {61347, 61713};
    struct segment segment = {
        .source = ends[sender],
        .target = ends[side_peer(sender)],
        .source_port = ports[sender],
        .target_port = ports[side_peer(sender)],
        .seq = seq,
        .ack = ack,
        .window = UINT16_MAX,
        .flags = flags,
        .payload = (const uint8_t *)payload.data,
        .payload_len = payload.data != NULL ? payload.len : 0,
    };
    return segment;
}

static int classify_try(struct classifier *classifier, const struct text head[2], enum side first,
                        struct classification *result)
{
    struct ndpi_flow_struct *flow = calloc(1, classifier->flow_size);
    if (flow == NULL)
        return 0;
    uint32_t next[2] = {1001, 5001};
    const struct segment handshake[3] = {
        classify_invented(CLIENT, TCP_SYN, 1000, 0, TEXT_NONE),
        classify_invented(SERVER, TCP_SYN | TCP_ACK, 5000, 1001, TEXT_NONE),
        classify_invented(CLIENT, TCP_ACK, 1001, 5001, TEXT_NONE),
    };
    ndpi_protocol protocol;
    for (size_t i = 0; i < 3; i++)
        protocol = classify_show(classifier, flow, &handshake[i]);
    int decided = 0;
    for (unsigned i = 0; i < 2 && !decided; i++) {
        enum side sender = i == 0 ? first : side_peer(first);
        if (head[sender].data == NULL || head[sender].len == 0)
            continue;
        struct segment segment = classify_invented(sender, TCP_PSH | TCP_ACK, next[sender],
                                                   next[side_peer(sender)], head[sender]);
        protocol = classify_show(classifier, flow, &segment);
        next[sender] += (uint32_t)segment.payload_len;
        decided = protocol_decided(classifier, flow, &protocol);
    }
    if (!decided)
        protocol = module_last_word(classifier, flow);
    const uint64_t our_own = (uint64_t)1 << NDPI_KNOWN_PROTOCOL_ON_NON_STANDARD_PORT;
    classify_result(classifier, flow, &protocol, our_own, result);
    ndpi_free_flow_data(flow);
    free(flow);
    return result->protocol.data != NULL;
}

void classify_bytes(struct classifier *classifier, const struct text head[2],
                    struct classification *result)
{
    *result = (struct classification){TEXT_NONE, TEXT_NONE, TEXT_NONE};
    if (head[CLIENT].len == 0 && head[SERVER].len == 0)
        return;
    /* Who spoke first is not known: some protocols are only recognised in their order. */
    if (!classify_try(classifier, head, CLIENT, result) && head[SERVER].len > 0 &&
        head[CLIENT].len > 0)
        (void)classify_try(classifier, head, SERVER, result);
}
