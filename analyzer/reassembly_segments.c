/*
 * The bytes of one side that wait behind a hole: an AVL tree of disjoint runs, and who wins where a
 * new segment overlaps a held one (Novak and Sturges, "Target-Based TCP Stream Reassembly", 2007).
 * An adversary chooses the order of arrival, so nothing here may depend on it: depth is at most
 * 1.44 log2(n), whatever comes.
 */
#include "reassembly_private.h"

#include <assert.h>
#include <string.h>

size_t reassembly_held_size(size_t len)
{
    /* The run, the block header of the budget, and what an allocator adds. */
    return sizeof(struct held) + 32 + len;
}

struct held *reassembly_held_new(struct budget *budget, const uint8_t *bytes, uint32_t len)
{
    struct held *held = budget_alloc(budget, sizeof *held + len);
    if (held == NULL)
        return NULL;
    memcpy(held->bytes, bytes, len);
    held->len = held->room = len;
    return held;
}

static int held_height(const struct held *held)
{
    return held != NULL ? held->height : 0;
}

static void held_measure(struct held *held)
{
    int left = held_height(held->left), right = held_height(held->right);
    held->height = (uint8_t)((left > right ? left : right) + 1);
}

static struct held *held_rotate_left(struct held *held)
{
    struct held *top = held->right;
    held->right = top->left;
    top->left = held;
    held_measure(held);
    held_measure(top);
    return top;
}

static struct held *held_rotate_right(struct held *held)
{
    struct held *top = held->left;
    held->left = top->right;
    top->right = held;
    held_measure(held);
    held_measure(top);
    return top;
}

static struct held *held_balance(struct held *held)
{
    int tilt = held_height(held->left) - held_height(held->right);
    if (tilt > 1) {
        if (held_height(held->left->left) < held_height(held->left->right))
            held->left = held_rotate_left(held->left);
        return held_rotate_right(held);
    }
    if (tilt < -1) {
        if (held_height(held->right->right) < held_height(held->right->left))
            held->right = held_rotate_right(held->right);
        return held_rotate_left(held);
    }
    held_measure(held);
    return held;
}

static struct held *held_add(struct held *root, struct held *held)
{
    if (root == NULL)
        return held;
    if (held->at < root->at)
        root->left = held_add(root->left, held);
    else
        root->right = held_add(root->right, held);
    return held_balance(root);
}

/* Unlinks the lowest run; *lowest is set to it. */
static struct held *held_take_lowest(struct held *root, struct held **lowest)
{
    if (root->left == NULL) {
        *lowest = root;
        return root->right;
    }
    root->left = held_take_lowest(root->left, lowest);
    return held_balance(root);
}

static struct held *held_take(struct held *root, const struct held *held)
{
    assert(root != NULL);
    if (held->at < root->at) {
        root->left = held_take(root->left, held);
    } else if (held->at > root->at) {
        root->right = held_take(root->right, held);
    } else {
        if (root->left == NULL)
            return root->right;
        if (root->right == NULL)
            return root->left;
        struct held *top = NULL;
        struct held *rest = held_take_lowest(root->right, &top);
        top->right = rest;
        top->left = root->left;
        root = top;
    }
    return held_balance(root);
}

static struct held *held_lowest(struct held *root)
{
    while (root != NULL && root->left != NULL)
        root = root->left;
    return root;
}

void reassembly_held_insert(struct held_tree *tree, struct held *held)
{
    held->left = held->right = NULL;
    held->height = 1;
    tree->root = held_add(tree->root, held);
    if (tree->first == NULL || held->at < tree->first->at)
        tree->first = held;
    tree->count++;
    tree->size += reassembly_held_size(held->room);
}

void reassembly_held_remove(struct held_tree *tree, struct held *held)
{
    tree->root = held_take(tree->root, held);
    if (tree->first == held)
        tree->first = held_lowest(tree->root);
    tree->count--;
    tree->size -= reassembly_held_size(held->room);
}

struct held *reassembly_held_find(const struct held_tree *tree, uint64_t at)
{
    struct held *found = NULL;
    for (struct held *held = tree->root; held != NULL;) {
        if (reassembly_held_end(held) > at) {
            found = held;
            held = held->left;
        } else {
            held = held->right;
        }
    }
    return found;
}

void reassembly_held_clear(struct held_tree *tree, struct budget *budget)
{
    while (tree->root != NULL) {
        /* Rotating left children up takes the tree apart without recursion or a stack. */
        struct held *held = tree->root;
        if (held->left != NULL) {
            tree->root = held->left;
            held->left = tree->root->right;
            tree->root->right = held;
        } else {
            tree->root = held->right;
            budget_free(budget, held);
        }
    }
    *tree = (struct held_tree){0};
}

int reassembly_held_yields(const struct held *held, enum overlap_policy policy, uint64_t at,
                           uint64_t end, enum doubt doubt)
{
    if ((held->doubt != DOUBT_NONE) != (doubt != DOUBT_NONE))
        return held->doubt != DOUBT_NONE; /* what is believed wins */
    switch (policy) {
    case OVERLAP_FIRST:
        return 0;
    case OVERLAP_LAST:
        return 1;
    case OVERLAP_LINUX:
        return at < held->at || (at == held->at && end > reassembly_held_end(held));
    case OVERLAP_BSD:
    case OVERLAP_WINDOWS:
        break;
    }
    return at < held->at;
}

struct held *reassembly_held_split(struct held_tree *tree, struct held *held, uint64_t at,
                                   struct budget *budget)
{
    uint32_t head = (uint32_t)(at - held->at);
    struct held *tail =
        reassembly_held_new(budget, reassembly_held_bytes(held) + head, held->len - head);
    if (tail == NULL)
        return NULL;
    tail->at = at;
    tail->arrived = held->arrived;
    tail->arrived_ns = held->arrived_ns;
    tail->stamp = held->stamp;
    tail->doubt = held->doubt;
    held->len = head;
    reassembly_held_insert(tree, tail);
    return tail;
}

int reassembly_held_cut(struct held_tree *tree, struct held *held, uint64_t at, uint64_t end,
                        struct budget *budget)
{
    uint64_t held_end = reassembly_held_end(held);
    if (at <= held->at && end >= held_end) {
        reassembly_held_remove(tree, held);
        budget_free(budget, held);
        return 0;
    }
    if (at <= held->at) {
        /* Stays between its neighbours, so the tree's order stands. */
        uint32_t cut = (uint32_t)(end - held->at);
        held->at = end;
        held->skip += cut;
        held->len -= cut;
        return 0;
    }
    if (end >= held_end) {
        held->len = (uint32_t)(at - held->at);
        return 0;
    }
    int status = reassembly_held_split(tree, held, end, budget) != NULL ? 0 : -1;
    held->len = (uint32_t)(at - held->at);
    return status;
}
