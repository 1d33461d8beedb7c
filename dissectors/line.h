/*
 * Lines of text protocols, as they stand at the beginning of a slice. Where one ends depends on
 * its bytes alone, never on how they were cut.
 */
#ifndef SWITCHTAP_LINE_H
#define SWITCHTAP_LINE_H

#include <string.h>

#include "dissector.h"

struct line {
    struct text text; /* borrowed from the slice, without its line end; cut at `max` */
    uint64_t offset;  /* of its first byte */
    size_t len;       /* bytes with the line end: what to consume */
    int bare_lf;      /* it ends in LF without CR */
};

/* 1: a whole line, or `max` bytes without an end (a line as long as that, then; the rest is the
 * next one). 0: there is none yet; answer V_NEED of slice->len + 1. */
static inline int line_take(const struct slice *slice, size_t max, struct line *line)
{
    size_t window = slice->len < max ? slice->len : max;
    const uint8_t *lf = memchr(slice->data, '\n', window);
    if (lf == NULL && slice->len < max)
        return 0;
    size_t len = lf != NULL ? (size_t)(lf - slice->data) : max;
    int cr = lf != NULL && len > 0 && slice->data[len - 1] == '\r';
    *line = (struct line){.text = {(const char *)slice->data, len - (size_t)cr},
                          .offset = slice->offset,
                          .len = len + (lf != NULL),
                          .bare_lf = lf != NULL && !cr};
    return 1;
}

static inline struct result line_wanted(const struct slice *slice)
{
    return (struct result){.verdict = V_NEED, .need = slice->len + 1};
}

#endif
