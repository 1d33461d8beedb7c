/*
 * The bounded allocator: a size header in front of each block, charged to a chain of budgets.
 */
#include "budget.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct block {
    alignas(max_align_t) size_t size; /* charged, header included */
};

void budget_init(struct budget *budget, size_t limit, struct budget *parent)
{
    *budget = (struct budget){.limit = limit, .parent = parent};
}

static int budget_charge(struct budget *budget, size_t size)
{
    for (struct budget *b = budget; b != NULL; b = b->parent) {
        if (size > b->limit || b->used > b->limit - size) {
            b->denied++;
            return -1;
        }
    }
    for (struct budget *b = budget; b != NULL; b = b->parent) {
        b->used += size;
        if (b->used > b->peak)
            b->peak = b->used;
    }
    return 0;
}

static void budget_discharge(struct budget *budget, size_t size)
{
    for (struct budget *b = budget; b != NULL; b = b->parent) {
        assert(b->used >= size);
        b->used -= size;
    }
}

static struct block *block_of(void *pointer)
{
    return (struct block *)(void *)((char *)pointer - sizeof(struct block));
}

int budget_reserve(struct budget *budget, size_t size)
{
    return budget_charge(budget, size);
}

void budget_release(struct budget *budget, size_t size)
{
    budget_discharge(budget, size);
}

void *budget_alloc(struct budget *budget, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t total = sizeof(struct block) + (size > 0 ? size : 1);
    if (budget_charge(budget, total) != 0)
        return NULL;
    struct block *block = calloc(1, total);
    if (block == NULL) {
        budget_discharge(budget, total);
        return NULL;
    }
    block->size = total;
    return block + 1;
}

void *budget_realloc(struct budget *budget, void *pointer, size_t size)
{
    if (pointer == NULL)
        return budget_alloc(budget, size);
    if (size > SIZE_MAX / 2)
        return NULL;
    struct block *block = block_of(pointer);
    size_t old = block->size;
    size_t total = sizeof(struct block) + (size > 0 ? size : 1);
    if (total > old && budget_charge(budget, total - old) != 0)
        return NULL;
    struct block *grown = realloc(block, total);
    if (grown == NULL) {
        if (total > old)
            budget_discharge(budget, total - old);
        return NULL;
    }
    if (total < old)
        budget_discharge(budget, old - total);
    grown->size = total;
    return grown + 1;
}

void budget_free(struct budget *budget, void *pointer)
{
    if (pointer == NULL)
        return;
    struct block *block = block_of(pointer);
    budget_discharge(budget, block->size);
    free(block);
}
