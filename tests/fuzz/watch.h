/*
 * The events of one flow, checked for what whoever stores them relies on, and hashed, so that two
 * runs can be compared.
 */
#ifndef SWITCHTAP_FUZZ_WATCH_H
#define SWITCHTAP_FUZZ_WATCH_H

#include "../../schema/event.h"

enum { WATCH_SESSIONS = 4096, WATCH_LAYERS = 4096 };

struct watch {
    uint64_t hash; /* of what was told */
    uint8_t session[WATCH_SESSIONS], layer[WATCH_LAYERS];
};

void watch_begin(struct watch *watch);
void watch_event(struct watch *watch, const struct event *event);
/* Everything that was opened has to be closed. */
void watch_end(const struct watch *watch);

#endif
