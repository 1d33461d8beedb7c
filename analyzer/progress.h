/*
 * The line on standard error that says how far reading has come; only on a terminal.
 */
#ifndef SWITCHTAP_PROGRESS_H
#define SWITCHTAP_PROGRESS_H

#include <stdint.h>

struct progress {
    int on, shown;
    int64_t started_ns, next_ns; /* monotonic */
    uint64_t size;               /* bytes of all files, 0: unknown */
};

/* wanted 0: never anything (--quiet). size: bytes to be read, 0 where it is not known. */
void progress_begin(struct progress *progress, int wanted, uint64_t size);

/* Cheap; prints a few times a second. `position`: bytes of the files read so far. */
void progress_show(struct progress *progress, uint64_t position, uint64_t packets, uint64_t bytes);

/* Takes the line away. */
void progress_clear(struct progress *progress);

#endif
