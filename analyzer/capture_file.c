/*
 * The two capture file formats. pcap: draft-ietf-opsawg-pcap, in microseconds and nanoseconds,
 * both byte orders, and Kuznetzov's variant with its longer record header. pcapng:
 * draft-ietf-opsawg-pcapng, any number of sections and interfaces; names, journal entries and
 * custom blocks are skipped; TLS key logs are handed on.
 *
 * Damage never ends in an error: a record that is cut or whose length is absurd is told in the
 * info, and reading goes on where the next block can be known, which is only ever through the
 * length of the current one. A record of pcap has nothing to check it by, so there reading stops.
 */
#include "capture_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dissectors/reader.h"

enum {
    PACKET_MAX_USUAL = 256 << 10,    /* what every tool accepts, whatever the snaplen says */
    PACKET_MAX_UNLIMITED = 16 << 20, /* where the file names no sensible snaplen */
    PACKET_MAX = 128 << 20,          /* the largest snaplen that is believed (USB, D-Bus) */
    BLOCK_MAX = 256 << 20,           /* a longer pcapng block is no block */
    CONTENT_MAX = 16 << 20,          /* of a block that is read as a whole and is no packet */
    OPTIONS_MAX = 1 << 20,           /* behind a packet */
    INTERFACES_MAX = 1 << 16
};

enum {
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET_OBSOLETE = 2,
    BLOCK_PACKET_SIMPLE = 3,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    BLOCK_SECRETS = 10,
    BLOCK_SECTION = 0x0a0d0d0a
};

enum { SECRETS_TLS_KEY_LOG = 0x544c534b };

enum { BLOCK_HEAD = 8, BLOCK_FRAME = 12 /* head and the length again at the end */ };

enum {
    OPTION_END = 0,
    OPTION_INTERFACE_RESOLUTION = 9,
    OPTION_INTERFACE_OFFSET = 14,
    OPTION_STATISTICS_INTERFACE_DROP = 5,
    OPTION_STATISTICS_SYSTEM_DROP = 7
};

enum step {
    STEP_ON, /* something that is no packet was read */
    STEP_PACKET,
    STEP_END,
    STEP_INTERRUPTED,
    STEP_FAILED
};

enum { LENGTHS_STRAIGHT, LENGTHS_SWAPPED, LENGTHS_UNSURE };

struct file_interface {
    int link_type; /* -1: its description was damaged; it only keeps the numbers in step */
    uint32_t snaplen;
    uint8_t resolution; /* as in the file */
    int64_t offset_ns;
    uint64_t interface_drop, system_drop;
};

struct capture_file {
    struct capture_input input;
    enum step (*step)(struct capture_file *, struct packet *);
    int big_endian;
    int ended;

    /* pcap */
    size_t record_head;
    uint32_t fraction_ns; /* nanoseconds in one unit of a record's time fraction */
    int lengths;
    struct file_interface single;

    /* pcapng */
    struct file_interface *interfaces;
    size_t interface_count, interface_room;
    int section_unknown;   /* a section of a version that nobody knows */
    uint32_t block_type;   /* of the block at hand */
    uint64_t block_offset;
    uint32_t discard_len;  /* of the block that is being passed over; 0: none */
    uint32_t discard_left; /* its bytes still to pass over, its closing length excluded */
    int discard_damaged;   /* it was counted already */
    int64_t last_ns;       /* a simple packet block has no time: it takes the one before it */

    struct capture_secrets secrets;
    struct capture_info info;
};

static inline uint16_t file_u16(const struct capture_file *file, struct reader *r)
{
    return file->big_endian ? reader_u16(r) : reader_u16le(r);
}

static inline uint32_t file_u32(const struct capture_file *file, struct reader *r)
{
    return file->big_endian ? reader_u32(r) : reader_u32le(r);
}

static uint64_t file_u64(const struct capture_file *file, struct reader *r)
{
    uint64_t first = file_u32(file, r);
    uint64_t second = file_u32(file, r);

    return file->big_endian ? first << 32 | second : second << 32 | first;
}

/* Keeps the first damage in words. */
__attribute__((format(printf, 2, 3))) static void file_describe(struct capture_file *file,
                                                                const char *format, ...)
{
    va_list arguments;

    if (file->info.damage[0] != '\0')
        return;
    va_start(arguments, format);
    (void)vsnprintf(file->info.damage, sizeof file->info.damage, format, arguments);
    va_end(arguments);
}

static unsigned long long file_offset(const struct capture_file *file)
{
    return capture_input_offset(&file->input);
}

/* Nothing more can be read. `what` names what would have come ("record", "block"). */
static enum step file_stop(struct capture_file *file, enum capture_input_status status,
                           const char *what)
{
    const struct capture_input *input = &file->input;
    size_t left = capture_input_available(input);

    if (status == INPUT_INTERRUPTED)
        return STEP_INTERRUPTED;
    if (status == INPUT_FAILED)
        return STEP_FAILED;
    file->ended = 1;
    if (input->flaw != NULL) {
        file->info.damaged++;
        file_describe(file, "%s (behind packet %llu)", input->flaw,
                      (unsigned long long)file->info.packets);
    } else if (input->cut != NULL) {
        file->info.truncated = 1;
        file_describe(file, "%s (behind packet %llu)", input->cut,
                      (unsigned long long)file->info.packets);
    }
    if (left > 0) {
        file->info.truncated = 1;
        file_describe(file, "%s behind packet %llu, at byte %llu, is cut: %zu bytes are left", what,
                      (unsigned long long)file->info.packets, file_offset(file), left);
    }
    return STEP_END;
}

/* The largest packet that is believed. */
static uint32_t interface_packet_max(const struct file_interface *interface)
{
    if (interface->snaplen == 0 || interface->snaplen > PACKET_MAX)
        return PACKET_MAX_UNLIMITED;
    return interface->snaplen > PACKET_MAX_USUAL ? interface->snaplen : PACKET_MAX_USUAL;
}

/* Some systems wrote their own number for raw IP into files. */
static int file_link_type(uint32_t value)
{
    value &= 0x03ffffff; /* the rest tells the length of the frame check sequence */
    return value == 12 || value == 14 ? 101 : (int)value;
}

static void file_first_interface(struct capture_file *file, const struct file_interface *interface)
{
    if (file->info.link_type >= 0 || interface->link_type < 0)
        return;
    file->info.link_type = interface->link_type;
    file->info.snaplen = interface->snaplen > INT32_MAX ? 0 : (int)interface->snaplen;
}

static void file_fill_packet(struct capture_file *file, struct packet *packet,
                             const struct file_interface *interface, uint32_t wire_len)
{
    packet->wire_len = wire_len < packet->len ? packet->len : wire_len;
    packet->link_type = interface->link_type;
    file->info.packets++;
    file->info.bytes += packet->len;
}

/* The bytes of a file header, or a message. */
static int file_header_need(struct capture_file *file, size_t len, struct error *error)
{
    struct capture_input *input = &file->input;

    switch (capture_input_need(input, len)) {
    case INPUT_READY:
        return 0;
    case INPUT_FAILED:
        return capture_input_error(input, error);
    case INPUT_INTERRUPTED:
        return error_set(error, "%s: interrupted before the file header arrived", input->name);
    case INPUT_END:
        break;
    }
    return error_set(error, "%s: is cut within the file header, there is no packet in it",
                     input->name);
}

/* ---- pcap ---------------------------------------------------------------------------------- */

static enum step classic_step(struct capture_file *file, struct packet *packet)
{
    struct capture_input *input = &file->input;
    enum capture_input_status status = capture_input_need(input, file->record_head);

    if (status != INPUT_READY)
        return file_stop(file, status, "the record");
    struct reader r = reader_of(capture_input_bytes(input), file->record_head);
    uint32_t seconds = file_u32(file, &r);
    uint32_t fraction = file_u32(file, &r);
    uint32_t len = file_u32(file, &r);
    uint32_t wire_len = file_u32(file, &r);
    if (file->lengths == LENGTHS_SWAPPED || (file->lengths == LENGTHS_UNSURE && len > wire_len)) {
        uint32_t other = len;
        len = wire_len;
        wire_len = other;
    }
    if (len > interface_packet_max(&file->single)) {
        file->info.damaged++;
        file_describe(file, "the record behind packet %llu, at byte %llu, claims %lu bytes: "
                      "reading stopped there",
                      (unsigned long long)file->info.packets, file_offset(file),
                      (unsigned long)len);
        file->ended = 1;
        return STEP_END;
    }
    status = capture_input_need(input, file->record_head + len);
    if (status != INPUT_READY)
        return file_stop(file, status, "the record");
    packet->data = capture_input_bytes(input) + file->record_head;
    packet->len = len;
    packet->interface = 0;
    packet->time_ns = (int64_t)seconds * 1000000000 + (int64_t)fraction * file->fraction_ns;
    file_fill_packet(file, packet, &file->single, wire_len);
    capture_input_consume(input, file->record_head + len);
    return STEP_PACKET;
}

static int classic_open(struct capture_file *file, uint32_t magic, struct error *error)
{
    struct capture_input *input = &file->input;

    if (file_header_need(file, 24, error) != 0)
        return -1;
    struct reader r = reader_of(capture_input_bytes(input), 24);
    reader_skip(&r, 4);
    uint16_t major = file_u16(file, &r);
    uint16_t minor = file_u16(file, &r);
    reader_skip(&r, 8); /* time zone and accuracy: nobody ever wrote or used them */
    if (major != 2)
        return error_set(error, "%s: is a pcap file of version %u.%u; only 2.x is known",
                         input->name, major, minor);
    file->single.snaplen = file_u32(file, &r);
    file->single.link_type = file_link_type(file_u32(file, &r));
    file->record_head = magic == 0xa1b2cd34 ? 24 : 16;
    file->fraction_ns = magic == 0xa1b23c4d ? 1 : 1000;
    file->lengths = minor < 3 ? LENGTHS_SWAPPED : minor == 3 ? LENGTHS_UNSURE : LENGTHS_STRAIGHT;
    file->step = classic_step;
    file_first_interface(file, &file->single);
    capture_input_consume(input, 24);
    return 0;
}

/* ---- pcapng -------------------------------------------------------------------------------- */

static int64_t time_add(int64_t a, int64_t b)
{
    int64_t sum;

    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b < 0 ? INT64_MIN : INT64_MAX;
}

static int64_t time_from_seconds(int64_t seconds)
{
    int64_t ns;

    if (!__builtin_mul_overflow(seconds, (int64_t)1000000000, &ns))
        return ns;
    return seconds < 0 ? INT64_MIN : INT64_MAX;
}

/* value * 10^exponent, at the most INT64_MAX. */
static int64_t time_scale(uint64_t value, int exponent)
{
    for (; exponent < 0 && value > 0; exponent++)
        value /= 10;
    for (; exponent > 0; exponent--) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value))
            return INT64_MAX;
    }
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

/* value counts units of 2^-bits seconds. */
static int64_t time_from_binary(uint64_t value, unsigned bits)
{
    uint64_t seconds = bits < 64 ? value >> bits : 0;
    uint64_t fraction = bits < 64 ? value & ((UINT64_C(1) << bits) - 1) : value;
    uint64_t high = (fraction >> 32) * 1000000000; /* the product in two halves: it has 94 bits */
    uint64_t low = (fraction & UINT32_MAX) * 1000000000;
    uint64_t ns;

    if (bits < 32)
        ns = low >> bits;
    else if (bits < 96)
        ns = (high + (low >> 32)) >> (bits - 32);
    else
        ns = 0;
    if (seconds > INT64_MAX / 1000000000)
        return INT64_MAX;
    return time_add((int64_t)seconds * 1000000000, (int64_t)ns);
}

static int64_t interface_time(const struct file_interface *interface, uint32_t high, uint32_t low)
{
    uint64_t value = (uint64_t)high << 32 | low;
    uint8_t resolution = interface->resolution;
    int64_t ns;

    if (resolution == 6 && value <= INT64_MAX / 1000)
        ns = (int64_t)value * 1000;
    else if (resolution & 0x80)
        ns = time_from_binary(value, resolution & 0x7f);
    else
        ns = time_scale(value, 9 - resolution);
    return time_add(ns, interface->offset_ns);
}

/* The next option: 1, or 0 at the end of the options. */
static int option_next(const struct capture_file *file, struct reader *r, uint16_t *code,
                       struct reader *value)
{
    const uint8_t *bytes;

    *code = file_u16(file, r);
    uint16_t len = file_u16(file, r);
    if (r->failed || *code == OPTION_END || !reader_take(r, len, &bytes))
        return 0;
    *value = reader_of(bytes, len);
    reader_skip(r, (4u - len % 4u) % 4u);
    return 1;
}

static int file_add_interface(struct capture_file *file, const struct file_interface *interface)
{
    if (file->interface_count == INTERFACES_MAX)
        return -1;
    if (file->interface_count == file->interface_room) {
        size_t room = file->interface_room == 0 ? 8 : file->interface_room * 2;
        struct file_interface *grown = realloc(file->interfaces, room * sizeof *grown);
        if (grown == NULL)
            return -1;
        file->interfaces = grown;
        file->interface_room = room;
    }
    file->interfaces[file->interface_count++] = *interface;
    file_first_interface(file, interface);
    return 0;
}

static struct file_interface *file_interface(const struct capture_file *file, uint32_t id)
{
    if (id >= file->interface_count || file->interfaces[id].link_type < 0)
        return NULL;
    return &file->interfaces[id];
}

/* Each of these reads a body and returns 0, or -1 where it is damaged. */
static int block_interface(struct capture_file *file, struct reader *r)
{
    struct file_interface interface = {.resolution = 6};
    struct reader value;
    uint16_t code;

    interface.link_type = file_link_type(file_u16(file, r));
    reader_skip(r, 2);
    interface.snaplen = file_u32(file, r);
    if (r->failed)
        return -1;
    while (option_next(file, r, &code, &value)) {
        if (code == OPTION_INTERFACE_RESOLUTION && value.len == 1)
            interface.resolution = reader_u8(&value);
        else if (code == OPTION_INTERFACE_OFFSET && value.len == 8)
            interface.offset_ns = time_from_seconds((int64_t)file_u64(file, &value));
    }
    return file_add_interface(file, &interface);
}

/* A later block about the same interface replaces what an earlier one counted. */
static int block_statistics(struct capture_file *file, struct reader *r)
{
    struct file_interface *interface = file_interface(file, file_u32(file, r));
    struct reader value;
    uint16_t code;

    reader_skip(r, 8);
    if (r->failed || interface == NULL)
        return -1;
    while (option_next(file, r, &code, &value)) {
        if (value.len != 8)
            continue;
        if (code == OPTION_STATISTICS_INTERFACE_DROP) {
            uint64_t drop = file_u64(file, &value);
            file->info.interface_dropped += drop - interface->interface_drop;
            interface->interface_drop = drop;
        } else if (code == OPTION_STATISTICS_SYSTEM_DROP) {
            uint64_t drop = file_u64(file, &value);
            file->info.kernel_dropped += drop - interface->system_drop;
            interface->system_drop = drop;
        }
    }
    return 0;
}

static int block_packet(struct capture_file *file, uint32_t type, struct reader *r,
                        struct packet *packet)
{
    uint32_t id = type == BLOCK_PACKET ? file_u32(file, r) : file_u16(file, r);
    if (type == BLOCK_PACKET_OBSOLETE)
        reader_skip(r, 2); /* drops since the packet before; the statistics have the sum */
    uint32_t high = file_u32(file, r);
    uint32_t low = file_u32(file, r);
    uint32_t len = file_u32(file, r);
    uint32_t wire_len = file_u32(file, r);
    const struct file_interface *interface = file_interface(file, id);

    if (interface == NULL || len > interface_packet_max(interface) ||
        !reader_take(r, len, &packet->data))
        return -1;
    packet->len = len;
    packet->interface = id;
    packet->time_ns = interface_time(interface, high, low);
    file->last_ns = packet->time_ns;
    file_fill_packet(file, packet, interface, wire_len);
    return 0;
}

/* Its captured length is not written down: what the snaplen left of it, within the block. */
static int block_packet_simple(struct capture_file *file, struct reader *r, struct packet *packet)
{
    uint32_t wire_len = file_u32(file, r);
    const struct file_interface *interface = file_interface(file, 0);

    if (r->failed || interface == NULL)
        return -1;
    uint32_t len = wire_len;
    if (interface->snaplen > 0 && len > interface->snaplen)
        len = interface->snaplen;
    if (len > interface_packet_max(interface) || !reader_take(r, len, &packet->data))
        return -1;
    packet->len = len;
    packet->interface = 0;
    packet->time_ns = file->last_ns;
    file_fill_packet(file, packet, interface, wire_len);
    return 0;
}

/* A new section: the interfaces of the one before are gone. -1: a version nobody knows. */
static int block_section(struct capture_file *file, struct reader *r)
{
    reader_skip(r, 4); /* the byte order, already known */
    uint16_t major = file_u16(file, r);

    file->interface_count = 0;
    file->section_unknown = r->failed || major != 1;
    return file->section_unknown ? -1 : 0;
}

static int block_secrets(struct capture_file *file, struct reader *r)
{
    uint32_t type = file_u32(file, r);
    const uint8_t *data;
    uint32_t len = file_u32(file, r);

    if (!reader_take(r, len, &data))
        return -1;
    if (type == SECRETS_TLS_KEY_LOG)
        capture_secrets_add(&file->secrets, (const char *)data, len);
    return 0;
}

static int block_content(struct capture_file *file, uint32_t type, struct reader *r,
                         struct packet *packet)
{
    switch (type) {
    case BLOCK_SECTION:
        return block_section(file, r);
    case BLOCK_INTERFACE:
        return block_interface(file, r);
    case BLOCK_STATISTICS:
        return block_statistics(file, r);
    case BLOCK_SECRETS:
        return block_secrets(file, r);
    case BLOCK_PACKET_SIMPLE:
        return block_packet_simple(file, r, packet);
    default:
        return block_packet(file, type, r, packet);
    }
}

static int block_is_packet(uint32_t type)
{
    return type == BLOCK_PACKET || type == BLOCK_PACKET_OBSOLETE || type == BLOCK_PACKET_SIMPLE;
}

/* Is the content of such a block of any use here? */
static int block_is_read(const struct capture_file *file, uint32_t type)
{
    if (type == BLOCK_SECTION)
        return 1;
    return !file->section_unknown &&
           (block_is_packet(type) || type == BLOCK_INTERFACE || type == BLOCK_STATISTICS ||
            type == BLOCK_SECRETS);
}

/* The longest block whose content is read as a whole. */
static uint32_t block_max(const struct capture_file *file, uint32_t type)
{
    uint32_t max = PACKET_MAX_USUAL;

    if (!block_is_packet(type))
        return CONTENT_MAX;
    for (size_t i = 0; i < file->interface_count; i++) {
        uint32_t one = interface_packet_max(&file->interfaces[i]);
        max = one > max ? one : max;
    }
    return max + OPTIONS_MAX;
}

static enum step block_damaged(struct capture_file *file, const char *what)
{
    file->info.damaged++;
    file_describe(file, "the block of type 0x%lx behind packet %llu, at byte %llu, %s",
                  (unsigned long)file->block_type, (unsigned long long)file->info.packets,
                  (unsigned long long)file->block_offset, what);
    /* The damaged one counts as well, or the packets of the next ones get a wrong link type. */
    if (file->block_type == BLOCK_INTERFACE)
        (void)file_add_interface(file, &(struct file_interface){.link_type = -1});
    if (file->block_type == BLOCK_SECTION)
        file->interface_count = 0;
    return STEP_ON;
}

static enum step block_stop(struct capture_file *file, const char *what)
{
    file->info.damaged++;
    file_describe(file, "the block behind packet %llu, at byte %llu, %s: reading stopped there",
                  (unsigned long long)file->info.packets, file_offset(file), what);
    file->ended = 1;
    return STEP_END;
}

/* Passes over a block of any length in bounded memory, then checks its end. */
static enum step block_discard(struct capture_file *file)
{
    struct capture_input *input = &file->input;
    enum capture_input_status status = INPUT_READY;

    while (status == INPUT_READY && file->discard_left > 0) {
        status = capture_input_need(input, 1);
        size_t available = capture_input_available(input);
        size_t now = available < file->discard_left ? available : file->discard_left;
        capture_input_consume(input, now);
        file->discard_left -= (uint32_t)now;
    }
    if (status == INPUT_READY)
        status = capture_input_need(input, 4);
    if (status != INPUT_READY) {
        enum step step = file_stop(file, status, "the block");
        if (step == STEP_END) {
            file->info.truncated = 1;
            file_describe(file, "the block behind packet %llu, at byte %llu, is cut",
                          (unsigned long long)file->info.packets,
                          (unsigned long long)file->block_offset);
        }
        return step;
    }
    struct reader r = reader_of(capture_input_bytes(input), 4);
    uint32_t len = file->discard_len;
    file->discard_len = 0;
    capture_input_consume(input, 4);
    if (file_u32(file, &r) != len && !file->discard_damaged)
        return block_damaged(file, "has two different lengths");
    return STEP_ON;
}

/* Reads type and length of the block at hand, and for a section its byte order. */
static enum step block_head(struct capture_file *file, uint32_t *len)
{
    struct capture_input *input = &file->input;
    enum capture_input_status status = capture_input_need(input, BLOCK_FRAME);

    if (status != INPUT_READY)
        return file_stop(file, status, "the block");
    struct reader r = reader_of(capture_input_bytes(input), BLOCK_FRAME);
    file->block_type = file_u32(file, &r);
    file->block_offset = file_offset(file);
    if (file->block_type == BLOCK_SECTION) {
        struct reader order = reader_of(capture_input_bytes(input) + BLOCK_HEAD, 4);
        uint32_t magic = reader_u32(&order);
        if (magic != 0x1a2b3c4d && magic != 0x4d3c2b1a)
            return block_stop(file, "begins a section without a byte order");
        file->big_endian = magic == 0x1a2b3c4d;
    }
    *len = file_u32(file, &r);
    if (*len < BLOCK_FRAME || *len % 4 != 0 || *len > BLOCK_MAX)
        return block_stop(file, "has an impossible length");
    return STEP_ON;
}

static enum step block_step(struct capture_file *file, struct packet *packet)
{
    struct capture_input *input = &file->input;
    uint32_t len;

    if (file->discard_len != 0)
        return block_discard(file);
    enum step head = block_head(file, &len);
    if (head != STEP_ON)
        return head;
    uint32_t type = file->block_type;
    int is_read = block_is_read(file, type);
    if (len > PACKET_MAX_USUAL && (!is_read || len > block_max(file, type))) {
        file->discard_damaged = is_read;
        if (is_read)
            (void)block_damaged(file, "is longer than its kind can be");
        file->discard_len = len;
        file->discard_left = len - 4;
        return STEP_ON;
    }
    enum capture_input_status status = capture_input_need(input, len);
    if (status != INPUT_READY)
        return file_stop(file, status, "the block");
    struct reader body = reader_of(capture_input_bytes(input) + BLOCK_HEAD, len - BLOCK_FRAME);
    struct reader closing = reader_of(capture_input_bytes(input) + len - 4, 4);
    capture_input_consume(input, len);
    if (file_u32(file, &closing) != len)
        return block_damaged(file, "has two different lengths");
    if (!is_read)
        return STEP_ON;
    if (block_content(file, type, &body, packet) != 0)
        return block_damaged(file, "has wrong content");
    return block_is_packet(type) ? STEP_PACKET : STEP_ON;
}

/* Reads on to the first interface, so that the link type is known for the filter. */
static int block_first_interface(struct capture_file *file, struct error *error)
{
    struct capture_input *input = &file->input;
    struct packet unused;

    while (file->info.link_type < 0 && !file->ended) {
        enum capture_input_status status = capture_input_need(input, BLOCK_HEAD);
        if (status == INPUT_READY && file->discard_len == 0) {
            struct reader r = reader_of(capture_input_bytes(input), BLOCK_HEAD);
            if (block_is_packet(file_u32(file, &r)))
                break;
        }
        enum step step = STEP_INTERRUPTED;
        if (status != INPUT_INTERRUPTED)
            step = block_step(file, &unused);
        if (step == STEP_FAILED)
            return capture_input_error(input, error);
        if (step == STEP_INTERRUPTED)
            return error_set(error, "%s: interrupted before a packet arrived", input->name);
    }
    return 0;
}

static int block_open(struct capture_file *file, struct error *error)
{
    struct capture_input *input = &file->input;
    uint32_t len;

    if (file_header_need(file, BLOCK_FRAME + 16, error) != 0)
        return -1;
    if (block_head(file, &len) != STEP_ON || len < BLOCK_FRAME + 16)
        return error_set(error, "%s: is damaged within the pcapng file header", input->name);
    struct reader r = reader_of(capture_input_bytes(input) + BLOCK_FRAME, 4);
    uint16_t major = file_u16(file, &r);
    uint16_t minor = file_u16(file, &r);
    if (major != 1)
        return error_set(error, "%s: is a pcapng file of version %u.%u; only 1.x is known",
                         input->name, major, minor);
    file->step = block_step;
    return block_first_interface(file, error);
}

/* ---- both ---------------------------------------------------------------------------------- */

/* What people give by mistake, with the way out. */
static const struct {
    uint8_t len;
    char bytes[9];
    const char *hint;
} foreign[] = {
    {4, "\x28\xb5\x2f\xfd", "is packed with zstd; unpack it first: zstd -d"},
    {6, "\xfd" "7zXZ\0", "is packed with xz; unpack it first: xz -d"},
    {3, "BZh", "is packed with bzip2; unpack it first: bzip2 -d"},
    {4, "\x04\x22\x4d\x18", "is packed with lz4; unpack it first: lz4 -d"},
    {4, "PK\3\4", "is a zip archive; unpack it first: unzip"},
    {8, "snoop\0\0\0", "is a snoop capture; convert it first: editcap -F pcapng"},
    {6, "SQLite", "is an SQLite database, not a capture file"},
};

static int file_refuse(const struct capture_file *file, struct error *error)
{
    const struct capture_input *input = &file->input;
    const uint8_t *bytes = capture_input_bytes(input);
    size_t len = capture_input_available(input);
    char head[4 * 3 + 1] = "";

    if (input->flaw != NULL || input->cut != NULL)
        return error_set(error, "%s: %s, there is no capture in it", input->name,
                         input->flaw != NULL ? input->flaw : input->cut);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (len >= foreign[i].len && memcmp(bytes, foreign[i].bytes, foreign[i].len) == 0)
            return error_set(error, "%s: %s", input->name, foreign[i].hint);
    }
    for (size_t i = 0; i < 4 && i < len; i++)
        (void)snprintf(head + 3 * i, 4, " %02x", bytes[i]);
    return error_set(error, "%s: is no pcap or pcapng capture (it begins with%s)", input->name,
                     len > 0 ? head : " nothing");
}

static int file_detect(struct capture_file *file, struct error *error)
{
    static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34};
    struct capture_input *input = &file->input;

    if (capture_input_need(input, 4) == INPUT_END)
        return file_refuse(file, error);
    if (file_header_need(file, 4, error) != 0)
        return -1;
    struct reader big = reader_of(capture_input_bytes(input), 4);
    struct reader little = big;
    uint32_t big_magic = reader_u32(&big);
    uint32_t little_magic = reader_u32le(&little);
    if (big_magic == BLOCK_SECTION)
        return block_open(file, error);
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        if (magics[i] == big_magic || magics[i] == little_magic) {
            file->big_endian = magics[i] == big_magic;
            return classic_open(file, magics[i], error);
        }
    }
    (void)capture_input_need(input, 8); /* the signatures below are longer than a magic */
    return file_refuse(file, error);
}

struct capture_file *capture_file_open(const char *path, struct capture_wake *wake,
                                       struct error *error)
{
    struct capture_file *file = calloc(1, sizeof *file);

    if (file == NULL) {
        (void)error_set(error, "%s: out of memory", path);
        return NULL;
    }
    file->info.link_type = -1;
    if (capture_input_open(&file->input, path, wake, error) != 0) {
        free(file);
        return NULL;
    }
    if (file_detect(file, error) != 0) {
        capture_file_close(file);
        return NULL;
    }
    file->input.opening = 0;
    return file;
}

int capture_file_next(struct capture_file *file, struct packet *packet, struct error *error)
{
    while (!file->ended) {
        if (capture_wake_taken(file->input.wake))
            return 2;
        switch (file->step(file, packet)) {
        case STEP_PACKET:
            return 1;
        case STEP_INTERRUPTED:
            return 2;
        case STEP_FAILED:
            return capture_input_error(&file->input, error);
        case STEP_ON:
        case STEP_END:
            break;
        }
    }
    return 0;
}

void capture_file_info(const struct capture_file *file, struct capture_info *info)
{
    *info = file->info;
    info->position = file->input.position;
    info->size = file->input.size;
}

struct capture_secrets *capture_file_secrets(struct capture_file *file)
{
    return &file->secrets;
}

void capture_file_close(struct capture_file *file)
{
    if (file == NULL)
        return;
    capture_secrets_release(&file->secrets);
    capture_input_release(&file->input);
    free(file->interfaces);
    free(file);
}
