/*
 * A bounded allocator. A budget has a limit and a parent; an allocation is charged to the budget
 * and to all its parents and fails (NULL) where one of them would be exceeded. Everything whose
 * size the wire decides is allocated here: held bytes, layer states, segments, messages.
 */
#ifndef SWITCHTAP_BUDGET_H
#define SWITCHTAP_BUDGET_H

#include <stddef.h>
#include <stdint.h>

struct budget {
    size_t limit, used, peak; /* bytes */
    uint64_t denied;          /* allocations refused at this level */
    struct budget *parent;    /* NULL at the root */
};

void budget_init(struct budget *budget, size_t limit, struct budget *parent);

/* Like calloc(1, size), charged. NULL: a limit or the memory is reached (`denied` of the budget
 * that refused was counted). The size is kept in a small header, so budget_free needs only the
 * pointer and a budget at or below the one charged. size 0 is treated as 1. */
void *budget_alloc(struct budget *budget, size_t size);

/* Like realloc; on failure NULL and the old block stays valid. pointer NULL: budget_alloc. The
 * grown part is not zeroed. */
void *budget_realloc(struct budget *budget, void *pointer, size_t size);

/* Charges bytes that are allocated elsewhere, and takes them back. 0; -1: a limit is reached. */
int budget_reserve(struct budget *budget, size_t size);
void budget_release(struct budget *budget, size_t size);

/* budget must be the one that pointer was allocated from. pointer NULL: nothing. */
void budget_free(struct budget *budget, void *pointer);

#endif
