/*
 * Lines of text protocols, as they stand at the beginning of a slice. Where one ends depends on
 * its bytes alone, never on how they were cut.
 */
#ifndef SWITCHTAP_LINE_H
#define SWITCHTAP_LINE_H

#include <string.h>
#include <strings.h>

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

/* The next word of a line, between spaces and tabs; empty at its end. */
static inline struct text line_word(struct text *rest)
{
    size_t from = 0;
    while (from < rest->len && (rest->data[from] == ' ' || rest->data[from] == '\t'))
        from++;
    size_t to = from;
    while (to < rest->len && rest->data[to] != ' ' && rest->data[to] != '\t')
        to++;
    struct text word = {rest->data + from, to - from};
    *rest = (struct text){rest->data + to, rest->len - to};
    return word;
}

/* The reply code of three digits at the beginning of a line, or -1; *more: a '-' follows it, so
 * that it is not the last line of its reply. text: what is behind it. */
static inline int line_code(struct text line, int *more, struct text *text)
{
    int code = 0;
    if (line.len < 3)
        return -1;
    for (size_t i = 0; i < 3; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return -1;
        code = code * 10 + (line.data[i] - '0');
    }
    if (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')
        return -1;
    *more = line.len > 3 && line.data[3] == '-';
    size_t skip = line.len > 3 ? 4 : 3;
    *text = (struct text){line.data + skip, line.len - skip};
    return code;
}

/* A word that a stream may begin with, and how sure it makes a probe (0: others have it, too). */
struct line_start {
    const char *word;
    int sure;
};

/* What a probe says to bytes that should begin with one of the words. */
static inline int line_probe(struct text bytes, const struct line_start *starts, size_t count)
{
    int may = 0;
    for (size_t i = 0; i < count; i++) {
        size_t whole = strlen(starts[i].word), len = bytes.len < whole ? bytes.len : whole;
        if (strncasecmp(bytes.data, starts[i].word, len) != 0)
            continue;
        if (len == whole && starts[i].sure > 0)
            return starts[i].sure;
        may = 1;
    }
    return may ? 0 : -1;
}

static inline struct result line_wanted(const struct slice *slice)
{
    return (struct result){.verdict = V_NEED, .need = slice->len + 1};
}

#endif
