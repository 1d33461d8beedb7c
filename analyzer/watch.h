/*
 * A line for each session as it opens and closes, while `live` runs. A sink behind the store, so
 * the lines name the ids of the rows.
 */
#ifndef SWITCHTAP_WATCH_H
#define SWITCHTAP_WATCH_H

#include "output.h"
#include "sink.h"

struct watch;

/* Writes to out's file descriptor, never waiting for it: lines that find no room are counted and
 * said later. NULL: out of memory. */
struct watch *watch_new(struct output *out);
struct sink watch_sink(struct watch *watch);
void watch_free(struct watch *watch);

#endif
