/*
 * nDPI's opinion about flows and about bytes behind a switch. The only file that includes
 * ndpi_api.h is classify.c; it compiles against nDPI 4.2 to 5.x.
 */
#ifndef SWITCHTAP_CLASSIFY_H
#define SWITCHTAP_CLASSIFY_H

#include "../dissectors/budget.h"
#include "error.h"
#include "packet.h"

struct classifier;    /* one per analysis thread */
struct classify_flow; /* one per flow, only while nDPI is undecided */

struct classifier *classifier_new(struct error *error);
void classifier_free(struct classifier *classifier);

/* Shows a packet of a flow to nDPI. *state is NULL before the first. Returns 1 when nDPI has
 * decided or has seen enough (then *result is final, *state was freed and is NULL: do not call
 * again), 0 while it wants more. Out of budget: 1 with an empty result. */
int classify_packet(struct classifier *classifier, struct classify_flow **state,
                    const struct segment *segment, enum side sender, struct budget *budget,
                    struct classification *result);

/* The flow ends: nDPI's best guess so far; frees *state. */
void classify_finish(struct classifier *classifier, struct classify_flow **state,
                     struct budget *budget, struct classification *result);

/* The first bytes of each side behind a switch, shown as a connection of their own on unknown
 * ports. head[s].len may be 0. */
void classify_bytes(struct classifier *classifier, const struct text head[2],
                    struct classification *result);

/* "4.2.0" */
const char *classify_version(void);

#endif
