/*
 * The second reader of a deflate stream (RFC 1951): decodes symbols, counts the bytes that they
 * stand for, and compares each distance with what was agreed. zlib cannot tell: it resolves a
 * distance beyond the window wherever the bytes happen to lie in the same output buffer.
 * What is not valid deflate is left to zlib to report; here it only ends the reading.
 */
#include <string.h>

#include "deflate.h"

enum {
    BITS_MAX = 15, /* of a code */
    FAST_BITS = 9,
    LITERALS = 288,
    DISTANCES = 32,
    LENGTH_CODES = 19,
    SYMBOL_MISSING = -1, /* not enough bits */
    SYMBOL_INVALID = -2,
};

struct huffman {
    uint16_t count[BITS_MAX + 1];  /* codes of each length */
    uint16_t symbol[LITERALS];     /* in the order of their codes */
    uint16_t fast[1 << FAST_BITS]; /* by the next bits: symbol << 4 | length; 0: a longer code */
};

enum state {
    BLOCK_HEADER,
    STORED_LENGTH,
    STORED,
    TABLE_SIZES,
    TABLE_LENGTH_CODES,
    TABLE_LENGTHS,
    SYMBOLS,
    DEAD
};

struct deflate_distances {
    uint32_t window;
    int takeover;
    uint64_t position; /* decoded bytes of the message so far */
    uint32_t over_window, over_context;

    enum state state;
    uint64_t hold; /* bits that were read and not used, the next one lowest */
    unsigned bits;
    int last; /* the block is the final one */
    uint32_t stored_left;
    unsigned literals, distances, length_codes, have;
    uint8_t lengths[LITERALS + DISTANCES];
    struct huffman literal, distance;
};

struct deflate_distances *deflate_distances_new(struct budget *budget, unsigned window_bits,
                                                int takeover)
{
    struct deflate_distances *d = budget_alloc(budget, sizeof *d);
    if (d == NULL)
        return NULL;
    d->window = UINT32_C(1) << window_bits;
    d->takeover = takeover;
    return d;
}

void deflate_distances_free(struct deflate_distances *d, struct budget *budget)
{
    budget_free(budget, d);
}

void deflate_distances_begin(struct deflate_distances *d, int anew)
{
    d->position = 0;
    d->over_window = d->over_context = 0;
    if (!anew)
        return;
    d->state = BLOCK_HEADER;
    d->hold = 0;
    d->bits = 0;
    d->last = 0;
}

void deflate_distances_report(const struct deflate_distances *d, struct deflate_report *report)
{
    report->over_window = d->over_window;
    report->over_context = d->over_context;
}

/* --- codes --- */

static void fill_fast(struct huffman *h, unsigned code, unsigned len, unsigned symbol)
{
    unsigned reversed = 0;
    for (unsigned i = 0; i < len; i++)
        reversed |= (code >> i & 1) << (len - 1 - i);
    for (unsigned at = reversed; at < 1u << FAST_BITS; at += 1u << len)
        h->fast[at] = (uint16_t)(symbol << 4 | len);
}

/* Canonical codes from their lengths. -1: more codes than the lengths have room for. */
static int build(struct huffman *h, const uint8_t *lengths, unsigned n)
{
    uint16_t next[BITS_MAX + 2], code[BITS_MAX + 2];
    int room = 1;
    memset(h, 0, sizeof *h);
    for (unsigned i = 0; i < n; i++)
        h->count[lengths[i]]++;
    h->count[0] = 0;
    next[1] = 0;
    code[1] = 0;
    for (unsigned len = 1; len <= BITS_MAX; len++) {
        room = room * 2 - h->count[len];
        if (room < 0)
            return -1;
        next[len + 1] = (uint16_t)(next[len] + h->count[len]);
        code[len + 1] = (uint16_t)((code[len] + h->count[len]) << 1);
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned len = lengths[i];
        if (len == 0)
            continue;
        h->symbol[next[len]++] = (uint16_t)i;
        unsigned value = code[len]++;
        if (len <= FAST_BITS)
            fill_fast(h, value, len, i);
    }
    return 0;
}

/* The symbol that the lowest of `bits` bits begin with; *len: how many of them it takes. */
static int decode(const struct huffman *h, uint64_t hold, unsigned bits, unsigned *len)
{
    uint16_t fast = h->fast[hold & ((1u << FAST_BITS) - 1)];
    if (fast != 0) {
        *len = fast & 15u;
        return *len <= bits ? fast >> 4 : SYMBOL_MISSING;
    }
    unsigned code = 0, first = 0, index = 0;
    for (unsigned n = 1; n <= BITS_MAX; n++) {
        if (n > bits)
            return SYMBOL_MISSING;
        code |= (unsigned)(hold >> (n - 1)) & 1u;
        unsigned count = h->count[n];
        if (code - first < count) {
            *len = n;
            return h->symbol[index + code - first];
        }
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return SYMBOL_INVALID;
}

static int build_fixed(struct deflate_distances *d)
{
    uint8_t *l = d->lengths;
    memset(l, 8, 144);
    memset(l + 144, 9, 112);
    memset(l + 256, 7, 24);
    memset(l + 280, 8, 8);
    (void)build(&d->literal, l, LITERALS);
    memset(l, 5, DISTANCES);
    return build(&d->distance, l, DISTANCES);
}

/* --- one step of each state; 1: done, 0: more bits are needed, -1: not deflate --- */

static unsigned use(struct deflate_distances *d, unsigned n)
{
    unsigned value = (unsigned)(d->hold & ((UINT64_C(1) << n) - 1));
    d->hold >>= n;
    d->bits -= n;
    return value;
}

static void end_block(struct deflate_distances *d)
{
    d->state = BLOCK_HEADER;
    if (d->last) /* another stream may follow, at the next byte */
        (void)use(d, d->bits & 7u);
    d->last = 0;
}

static int block_header(struct deflate_distances *d)
{
    if (d->bits < 3)
        return 0;
    d->last = (int)use(d, 1);
    switch (use(d, 2)) {
    case 0:
        (void)use(d, d->bits & 7u);
        d->state = STORED_LENGTH;
        return 1;
    case 1:
        d->state = SYMBOLS;
        return build_fixed(d) == 0 ? 1 : -1;
    case 2:
        d->state = TABLE_SIZES;
        return 1;
    default:
        return -1;
    }
}

static int stored_length(struct deflate_distances *d)
{
    if (d->bits < 32)
        return 0;
    unsigned len = use(d, 16);
    if ((use(d, 16) ^ len) != 0xFFFF)
        return -1;
    d->stored_left = len;
    d->state = STORED;
    return 1;
}

static int stored(struct deflate_distances *d)
{
    while (d->stored_left > 0 && d->bits >= 8) {
        (void)use(d, 8);
        d->stored_left--;
        d->position++;
    }
    if (d->stored_left > 0)
        return 0;
    end_block(d);
    return 1;
}

static int table_sizes(struct deflate_distances *d)
{
    if (d->bits < 14)
        return 0;
    d->literals = use(d, 5) + 257;
    d->distances = use(d, 5) + 1;
    d->length_codes = use(d, 4) + 4;
    d->have = 0;
    memset(d->lengths, 0, sizeof d->lengths);
    d->state = TABLE_LENGTH_CODES;
    return d->literals <= 286 && d->distances <= 30 ? 1 : -1;
}

static int table_length_codes(struct deflate_distances *d)
{
    static const uint8_t order[LENGTH_CODES] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                11, 4,  12, 3, 13, 2, 14, 1, 15};
    for (; d->have < d->length_codes; d->have++) {
        if (d->bits < 3)
            return 0;
        d->lengths[order[d->have]] = (uint8_t)use(d, 3);
    }
    if (build(&d->literal, d->lengths, LENGTH_CODES) != 0)
        return -1;
    memset(d->lengths, 0, sizeof d->lengths);
    d->have = 0;
    d->state = TABLE_LENGTHS;
    return 1;
}

static int repeat_length(struct deflate_distances *d, unsigned len, int symbol)
{
    unsigned extra = symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
    if (d->bits < len + extra)
        return 0;
    (void)use(d, len);
    unsigned times = use(d, extra) + (symbol == 18 ? 11 : 3);
    if (symbol == 16 && d->have == 0)
        return -1;
    uint8_t value = symbol == 16 ? d->lengths[d->have - 1] : 0;
    if (d->have + times > d->literals + d->distances)
        return -1;
    memset(d->lengths + d->have, value, times);
    d->have += times;
    return 1;
}

static int table_lengths(struct deflate_distances *d)
{
    while (d->have < d->literals + d->distances) {
        unsigned len = 0;
        int symbol = decode(&d->literal, d->hold, d->bits, &len);
        if (symbol < 0)
            return symbol == SYMBOL_MISSING ? 0 : -1;
        if (symbol < 16) {
            (void)use(d, len);
            d->lengths[d->have++] = (uint8_t)symbol;
            continue;
        }
        int done = repeat_length(d, len, symbol);
        if (done <= 0)
            return done;
    }
    if (build(&d->literal, d->lengths, d->literals) != 0 ||
        build(&d->distance, d->lengths + d->literals, d->distances) != 0)
        return -1;
    d->state = SYMBOLS;
    return 1;
}

static void judge(struct deflate_distances *d, uint32_t distance)
{
    if (!d->takeover && distance > d->position) {
        if (d->over_context == 0)
            d->over_context = distance;
    } else if (distance > d->window && d->over_window == 0) {
        d->over_window = distance;
    }
}

/* A length and its distance, as one: at most 15 + 5 + 15 + 13 bits. */
static int match(struct deflate_distances *d, unsigned used, unsigned symbol)
{
    static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,
                                             15, 17, 19, 23, 27, 31, 35, 43, 51,  59,
                                             67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                             2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static const uint16_t distance_base[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,
                                               33,  49,  65,  97,  129, 193,  257,  385,  513,  769,
                                               1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289,
                                               16385, 24577};
    unsigned index = symbol - 257;
    if (index >= 29)
        return -1;
    unsigned extra = length_extra[index];
    if (d->bits < used + extra)
        return 0;
    unsigned length = length_base[index] +
                      (unsigned)(d->hold >> used & ((UINT64_C(1) << extra) - 1));
    used += extra;
    unsigned len = 0;
    int code = decode(&d->distance, d->hold >> used, d->bits - used, &len);
    if (code < 0)
        return code == SYMBOL_MISSING ? 0 : -1;
    if (code >= 30)
        return -1;
    used += len;
    extra = code < 2 ? 0 : (unsigned)code / 2 - 1;
    if (d->bits < used + extra)
        return 0;
    judge(d, distance_base[code] +
                 (uint32_t)(d->hold >> used & ((UINT64_C(1) << extra) - 1)));
    (void)use(d, used);
    (void)use(d, extra);
    d->position += length;
    return 1;
}

static int symbols(struct deflate_distances *d)
{
    unsigned len = 0;
    int symbol = decode(&d->literal, d->hold, d->bits, &len);
    if (symbol < 0)
        return symbol == SYMBOL_MISSING ? 0 : -1;
    if (symbol > 256)
        return match(d, len, (unsigned)symbol);
    (void)use(d, len);
    if (symbol < 256)
        d->position++;
    else
        end_block(d);
    return 1;
}

static int step(struct deflate_distances *d)
{
    switch (d->state) {
    case BLOCK_HEADER:
        return block_header(d);
    case STORED_LENGTH:
        return stored_length(d);
    case STORED:
        return stored(d);
    case TABLE_SIZES:
        return table_sizes(d);
    case TABLE_LENGTH_CODES:
        return table_length_codes(d);
    case TABLE_LENGTHS:
        return table_lengths(d);
    case SYMBOLS:
        return symbols(d);
    case DEAD:
        break;
    }
    return -1;
}

void deflate_distances_feed(struct deflate_distances *d, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (d->state != DEAD) {
        for (; d->bits <= 56 && at < len; d->bits += 8)
            d->hold |= (uint64_t)data[at++] << d->bits;
        int done = step(d);
        if (done < 0)
            d->state = DEAD;
        else if (done == 0 && at == len)
            return;
    }
}
