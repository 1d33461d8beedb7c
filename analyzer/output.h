/*
 * Writing for people: text that came from the wire or from a file is made safe for a terminal
 * first, colours and widths follow the terminal, and a failed write is remembered.
 */
#ifndef SWITCHTAP_OUTPUT_H
#define SWITCHTAP_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../schema/event.h"

/* A growing string, always terminated. Out of memory: `failed`, and what did not fit is missing. */
struct buffer {
    char *data; /* NULL while empty: use buffer_text() */
    size_t len, size;
    int failed;
};

void buffer_release(struct buffer *buffer);
void buffer_clear(struct buffer *buffer);
const char *buffer_text(const struct buffer *buffer);
void buffer_add(struct buffer *buffer, const char *data, size_t len);
void buffer_word(struct buffer *buffer, const char *text);
/* For our own words and numbers only: what comes from outside goes through buffer_safe(). */
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum safe {
    SAFE_LINE = 0,     /* for a terminal: no control character survives, not even a newline */
    SAFE_NEWLINES = 1, /* newline and tab stay (csv) */
    SAFE_ASCII = 2     /* characters beyond ASCII are escaped, too */
};

/*
 * Adds text so that a terminal does nothing but show it: bytes that are no UTF-8 and C0 controls
 * become \xNN (\n, \r and \t by these names); C1 controls, bidirectional overrides, line separators
 * and characters without a width become \u{NN}. flags: enum safe.
 */
void buffer_safe(struct buffer *buffer, struct text text, unsigned flags);

/* A string in JSON, with its quotes. text must be valid UTF-8 (text_valid()); controls and what
 * could disturb a terminal are escaped as \uNNNN. */
void buffer_json(struct buffer *buffer, struct text text);

void buffer_hex(struct buffer *buffer, struct text bytes);

/* Is it UTF-8 (RFC 3629)? */
int text_valid(struct text text);

/* Reads one character: the bytes it has (1 where they are no UTF-8, then *code is
 * TEXT_BAD_BYTE + the byte); len > 0. */
enum { TEXT_BAD_BYTE = 0x200000 };
size_t text_next(const char *data, size_t len, uint32_t *code);

/* Columns a character takes on a terminal: 0 to 2; -1: it has to be escaped. */
int text_code_width(uint32_t code);

/* Columns of a safe text. */
size_t text_width(const char *data, size_t len);

/* How many bytes of a safe text fit into that many columns. */
size_t text_fit(const char *data, size_t len, size_t columns);

struct text text_of(const char *string); /* NULL: TEXT_NONE */

enum style { STYLE_PLAIN, STYLE_DIM, STYLE_BOLD, STYLE_RED, STYLE_YELLOW, STYLE_GREEN, STYLE_CYAN };

struct output {
    FILE *file;
    int terminal;
    int colour;
    int ascii;    /* a terminal that may not know UTF-8 */
    size_t width; /* columns; 0: no terminal, no limit */
    int error;    /* errno of the first write that failed; 0 */
};

void output_init(struct output *out, FILE *file);
void output_write(struct output *out, const char *data, size_t len); /* as it is */
void output_word(struct output *out, const char *text);              /* our own words */
void output_format(struct output *out, const char *format, ...)      /* our words and numbers */
    __attribute__((format(printf, 2, 3)));
void output_safe(struct output *out, struct text text);
void output_style(struct output *out, enum style style); /* STYLE_PLAIN ends a style */
void output_styled(struct output *out, enum style style, const char *safe);
/* Safe text in paragraphs of the terminal's width (80 to 100 columns where there is none); each
 * line begins with `indent` blanks, the first one is already there. */
void output_wrapped(struct output *out, const char *safe, size_t indent);
void output_flush(struct output *out);

/* The flags for buffer_safe() that suit this output. */
unsigned output_safety(const struct output *out);

/* Flushes. 0, or 3 (the exit status) where writing failed; says so, except for a closed pipe. */
int output_finish(struct output *out);

/* "switchtap: ..." on standard error, made safe as a whole: paths may be in it. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "1 234 567", "1.2 MB". */
const char *output_count(uint64_t value, char text[32]);
const char *output_bytes(uint64_t bytes, char text[32]);

/* Finds the name in a list (NULL-terminated) that `word` was probably meant to be; NULL: none. */
const char *closest(const char *word, const char *const *names);

#endif
