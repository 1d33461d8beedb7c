/*
 * The doors through which a flow reaches its layers: bytes, gaps and ends come in here. What they
 * do is stack.c.
 */
#include "stack.h"

#include <assert.h>

#include "registry.h"
#include "stack_private.h"

struct stack *stack_new(const struct stack_host *host, void *flow,
                        const struct dissect_options *options, struct budget *budget,
                        int from_start)
{
    struct stack *stack = budget_alloc(budget, sizeof *stack);
    if (stack == NULL)
        return NULL;
    stack->host = host;
    stack->flow = flow;
    stack->options = options;
    stack->budget = budget;
    stack->from_start = from_start;
    stack->root = layer_new(stack, NULL, RELATION_ROOT);
    if (stack->root == NULL) {
        budget_free(budget, stack);
        return NULL;
    }
    return stack;
}

void stack_data(struct stack *stack, enum side side, const uint8_t *data, size_t len,
                const struct mark *mark)
{
    stack->newest = *mark;
    layer_input(stack->root, side, data, len, mark, 1);
}

void stack_gap(struct stack *stack, enum side side, uint64_t len, const struct mark *mark)
{
    stack->newest = *mark;
    layer_input_gap(stack->root, side, len, mark);
}

void stack_eof(struct stack *stack, enum side side, const struct mark *mark)
{
    stack->newest = *mark;
    layer_input_eof(stack->root, side, mark);
}

int stack_done(const struct stack *stack)
{
    const struct layer *top = layer_top(stack->root);
    return top->children == NULL && top->in[CLIENT].done && top->in[SERVER].done;
}

struct stack_carried_end stack_carried_end(const struct stack *stack)
{
    struct stack_carried_end out = {.active_ns = INT64_MIN, .first = NEITHER};
    const struct layer *top = layer_top(stack->root);
    while (text_is(top->protocol, "tls") && top->children != NULL) {
        struct layer *child = top->children;
        top = layer_top(child);
        if (!child->idle_known)
            continue;
        out.active_ns = layer_active_ns(child);
        out.both = top->in[CLIENT].ended && top->in[SERVER].ended;
        out.first = child->first_end;
    }
    return out;
}

void stack_close(struct stack *stack, enum session_end end, enum side end_side, int64_t idle_ns,
                 const struct mark *mark)
{
    stack->newest = *mark;
    stack->closing = 1;
    stack->end = end;
    stack->end_side = end_side;
    stack->idle_ns = idle_ns;
    struct layer *root = stack->root;
    stack->root = NULL;
    if (root != NULL && (root->in[CLIENT].any || root->in[SERVER].any))
        layer_end_chain(root);
    else if (root != NULL)
        layer_free(root);
}

void stack_free(struct stack *stack)
{
    if (stack == NULL)
        return;
    assert(stack->root == NULL);
    budget_free(stack->budget, stack);
}

enum side stack_guess_sender(const uint8_t *data, size_t len)
{
    int best = 0;
    enum side sender = NEITHER;
    for (int side = CLIENT; side <= SERVER; side++) {
        struct text bytes[2] = {TEXT_NONE, TEXT_NONE};
        bytes[side] = (struct text){(const char *)data, len};
        int undecided;
        const struct dissector *found = registry_probe(bytes, NULL, &undecided);
        int sure = found != NULL ? found->probe((enum side)side, data, len) : 0;
        if (sure == best) /* both or neither: SSH sounds the same from both sides */
            sender = NEITHER;
        else if (sure > best) {
            best = sure;
            sender = (enum side)side;
        }
    }
    return sender;
}
