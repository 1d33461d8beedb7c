/*
 * The bytes of a capture file, wherever they come from: a file, a pipe, gzip or not. Everything is
 * read in large blocks into one buffer from which the packets are borrowed; the buffer grows only
 * when one record is larger than it, and only as far as bytes really arrive. Private to capture.
 */
#ifndef SWITCHTAP_CAPTURE_INPUT_H
#define SWITCHTAP_CAPTURE_INPUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* How a signal handler ends a wait: the flag for a reader that is busy, the eventfd for one that
 * sleeps in poll(). */
struct capture_wake {
    atomic_int raised;
    int fd;
};

/* 1 once for each interrupt, otherwise 0. */
int capture_wake_taken(struct capture_wake *wake);

enum capture_input_status {
    INPUT_READY,
    INPUT_END,         /* the input ends before that many bytes */
    INPUT_INTERRUPTED, /* nothing is lost: ask again */
    INPUT_FAILED       /* see capture_input_error() */
};

struct capture_inflater;

struct capture_input {
    uint8_t *buffer;
    size_t capacity, start, end; /* unread bytes are [start, end) */
    uint64_t base;               /* offset of buffer[0] in the (unpacked) bytes */
    uint64_t position, size;     /* bytes read from the descriptor; 0: size unknown */
    int fd, owned, waits;        /* waits: a pipe or the like, where reading may block */
    int opening;                 /* any signal ends a wait: set by open, cleared by the caller */
    int ended;
    int failure;                 /* errno of INPUT_FAILED */
    const char *cut;             /* static text: the gzip data stop too early */
    const char *flaw;            /* static text: the gzip data are wrong */
    struct capture_inflater *inflater; /* NULL: plain */
    struct capture_wake *wake;
    char *name; /* for messages */
};

/* Opens path ("-": standard input) and looks whether it is gzip. 0, or -1 with a message and
 * nothing to release. */
int capture_input_open(struct capture_input *input, const char *path, struct capture_wake *wake,
                       struct error *error);
void capture_input_release(struct capture_input *input);

/* Makes n unread bytes available by reading. Moves the buffer: earlier pointers end here. */
enum capture_input_status capture_input_fill(struct capture_input *input, size_t n);

/* Writes the message for INPUT_FAILED; returns -1. */
int capture_input_error(const struct capture_input *input, struct error *error);

static inline size_t capture_input_available(const struct capture_input *input)
{
    return input->end - input->start;
}

static inline enum capture_input_status capture_input_need(struct capture_input *input, size_t n)
{
    return n <= capture_input_available(input) ? INPUT_READY : capture_input_fill(input, n);
}

static inline const uint8_t *capture_input_bytes(const struct capture_input *input)
{
    return input->buffer + input->start;
}

static inline void capture_input_consume(struct capture_input *input, size_t n)
{
    input->start += n;
}

static inline uint64_t capture_input_offset(const struct capture_input *input)
{
    return input->base + input->start;
}

#endif
