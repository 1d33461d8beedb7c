/*
 * Bounds-checked reads of wire bytes. A reader walks over borrowed bytes; a read past the end
 * returns zero (or an empty slice), sets `failed` and moves nothing, so that a caller may read a
 * whole header and check once. Integers are big-endian unless the name says otherwise.
 */
#ifndef SWITCHTAP_READER_H
#define SWITCHTAP_READER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *data;
    size_t len;
    size_t at; /* bytes read so far */
    int failed;
};

static inline struct reader reader_of(const void *data, size_t len)
{
    return (struct reader){.data = data, .len = len};
}

static inline size_t reader_left(const struct reader *r)
{
    return r->len - r->at;
}

static inline int reader_take(struct reader *r, size_t n, const uint8_t **bytes)
{
    if (r->failed || n > r->len - r->at) {
        r->failed = 1;
        return 0;
    }
    *bytes = r->data + r->at;
    r->at += n;
    return 1;
}

static inline void reader_skip(struct reader *r, size_t n)
{
    const uint8_t *unused;
    (void)reader_take(r, n, &unused);
}

static inline uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p;
    return reader_take(r, 1, &p) ? p[0] : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p;
    return (uint16_t)(reader_take(r, 2, &p) ? p[0] << 8 | p[1] : 0);
}

static inline uint32_t reader_u24(struct reader *r)
{
    const uint8_t *p;
    return reader_take(r, 3, &p) ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p;
    if (!reader_take(r, 4, &p))
        return 0;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t reader_u64(struct reader *r)
{
    uint64_t high = reader_u32(r);
    return high << 32 | reader_u32(r);
}

static inline uint16_t reader_u16le(struct reader *r)
{
    const uint8_t *p;
    return (uint16_t)(reader_take(r, 2, &p) ? p[1] << 8 | p[0] : 0);
}

static inline uint32_t reader_u32le(struct reader *r)
{
    const uint8_t *p;
    if (!reader_take(r, 4, &p))
        return 0;
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The byte `ahead` bytes after the position, or -1. Moves nothing, sets nothing. */
static inline int reader_peek(const struct reader *r, size_t ahead)
{
    return !r->failed && ahead < r->len - r->at ? r->data[r->at + ahead] : -1;
}

#endif
