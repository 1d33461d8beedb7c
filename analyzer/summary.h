/*
 * What a run says at its end: what was found, and what could not be seen and why.
 */
#ifndef SWITCHTAP_SUMMARY_H
#define SWITCHTAP_SUMMARY_H

#include "output.h"
#include "run.h"

struct summary {
    const struct run *run; /* finished */
    const struct capture_info *info;
    const char *database; /* NULL: none is kept */
    uint64_t files;       /* 0: live */
    int all_counters;     /* -v */
};

void summary_print(struct output *out, const struct summary *summary);

/* Only the part about what was not seen. */
void summary_unseen(struct output *out, const struct summary *summary);

/* "2 high, 1 info": what there is of each kind, in order. counts and names have `kinds`
 * members. */
void summary_kinds(struct buffer *text, const uint64_t *counts, const char *const *names,
                   size_t kinds);

#endif
