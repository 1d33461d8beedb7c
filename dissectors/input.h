/*
 * What one side of a layer has been given and has not consumed: bytes, gaps between them, and for
 * each run of bytes the mark that says where they came from. New bytes are borrowed until the end
 * of the call that brought them; only what is left over then is copied (input_keep).
 */
#ifndef SWITCHTAP_INPUT_H
#define SWITCHTAP_INPUT_H

#include "dissector.h"

struct input_run {
    uint64_t offset, len; /* in the layer's stream */
    struct mark mark;     /* of the first byte */
    int gap;              /* no bytes: they were never captured */
    int exact;            /* byte n of the run is root byte mark.root_offset + n */
};

struct input {
    uint64_t offset; /* of the first unconsumed byte */
    uint64_t end;    /* behind the newest byte or gap */

    uint8_t *held;
    size_t held_at, held_len, held_cap;
    const uint8_t *current; /* borrowed; only while nothing is held */
    size_t current_len;

    struct input_run *runs; /* of all that is unconsumed; empty on the fast path */
    size_t run_at, run_count, run_cap;
    size_t gaps;             /* among the runs */
    size_t before_bytes, before_runs; /* in front of the first gap; valid while gaps > 0 */
    struct input_run newest; /* the last run given, consumed or not */
    int any;                 /* newest is valid */

    size_t need; /* bytes that the dissector wants before it is called again */
    int wait_peer, held_back, ended, eof_told, done;
};

/* Adds bytes. Returns 0, or -1 where they could not be held (limit bytes or the budget): they
 * became a gap. */
int input_data(struct input *input, struct budget *budget, size_t limit, const uint8_t *data,
               size_t len, const struct mark *mark, int exact);

void input_gap(struct input *input, struct budget *budget, uint64_t len, const struct mark *mark);

/* The contiguous unconsumed bytes before the first gap. */
struct slice input_view(const struct input *input);

/* Is there a gap right behind the bytes of input_view()? Its length, or 0. */
uint64_t input_gap_behind(const struct input *input);

void input_consume(struct input *input, size_t len);

/* Drops the bytes of input_view() and the gap behind them. */
void input_skip_gap(struct input *input);

/* End of the call that brought `current`: copies what is left of it. -1: it became a gap. */
int input_keep(struct input *input, struct budget *budget, size_t limit);

/* Drops everything that is unconsumed, as if it were consumed. */
void input_drop(struct input *input);

struct mark input_mark(const struct input *input, uint64_t offset);

/* The run that holds a byte which is unconsumed (or newest), NULL: none. */
const struct input_run *input_run_of(const struct input *input, uint64_t offset);

void input_release(struct input *input, struct budget *budget);

#endif
