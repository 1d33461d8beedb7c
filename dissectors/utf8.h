/*
 * Is this UTF-8 (RFC 3629)? Incremental: bytes come in pieces cut anywhere, the verdict and the
 * place of the first error do not depend on the cuts.
 */
#ifndef SWITCHTAP_UTF8_H
#define SWITCHTAP_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum utf8_error {
    UTF8_FINE,
    UTF8_OVERLONG,     /* a longer form than the character needs */
    UTF8_SURROGATE,    /* U+D800 to U+DFFF */
    UTF8_TOO_LARGE,    /* above U+10FFFF */
    UTF8_TRUNCATED,    /* a character without all of its bytes */
    UTF8_STRAY,        /* a continuation byte that continues nothing */
    UTF8_INVALID_BYTE, /* 0xFE, 0xFF: in no character */
};

struct utf8 {
    uint64_t offset;       /* bytes seen */
    uint64_t error_offset; /* of the first byte of the character that is wrong */
    uint64_t start;        /* of the character that is being read */
    enum utf8_error error; /* sticky */
    uint8_t left;          /* continuation bytes that are still missing */
    uint8_t low, high;     /* what the next of them may be */
    uint8_t below, above;  /* enum utf8_error where it is a continuation byte but out of range */
};

/* All zero is a good beginning; the same as this. */
void utf8_init(struct utf8 *utf8);

/* 0, or -1: an error was found, now or before (nothing more is looked at then). */
int utf8_feed(struct utf8 *utf8, const uint8_t *data, size_t len);

/* The text ends here. 0 or -1. */
int utf8_finish(struct utf8 *utf8);

/* A static word for the error. */
const char *utf8_error_name(enum utf8_error error);

/* How many of the len bytes are left when a character that is cut at their end is taken away. */
size_t utf8_cut(const uint8_t *data, size_t len);

#endif
