/*
 * What a dissector may ask of the engine: emitting, marks, switching, carrying, limits. The
 * feeding itself is stack.c.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "registry.h"
#include "stack_private.h"

static struct mark newest_mark(const struct layer *layer)
{
    const struct input *client = &layer->in[CLIENT], *server = &layer->in[SERVER];
    if (!client->any && !server->any)
        return layer->stack->newest;
    if (!server->any)
        return client->newest.mark;
    if (!client->any)
        return server->newest.mark;
    return client->newest.mark.packet >= server->newest.mark.packet ? client->newest.mark
                                                                    : server->newest.mark;
}

void layer_emit(struct layer *layer, enum side side, const struct event *event)
{
    struct event out = *event;
    if (out.packet == 0) {
        struct mark mark = side == NEITHER ? newest_mark(layer)
                                           : layer_mark(layer, side, event->offset);
        out.packet = mark.packet;
        out.time_ns = mark.time_ns;
    }
    out.sender = layer_flip(layer, side);
    out.layer = layer->serial;
    if (out.session == 0)
        out.session = layer->session;
    if (out.kind == EVENT_SESSION_END)
        layer->stack->ended = out.session;
    layer->stack->host->emit(layer->stack->flow, &out);
}

void layer_finding(struct layer *layer, enum side side, enum rule rule, uint64_t offset,
                   struct text evidence)
{
    struct event event = {.kind = EVENT_FINDING, .offset = offset};
    event.u.finding = (struct event_finding){.rule = rule, .evidence = evidence};
    layer_emit(layer, side, &event);
}

uint32_t layer_session_new(struct layer *layer)
{
    return ++layer->stack->sessions;
}

uint32_t layer_session(const struct layer *layer)
{
    return layer->session;
}

/* The dissector's memory is gone when its successor opens. */
int layer_copy_handover(struct layer *layer, struct switching *copy, const struct handover *from)
{
    size_t len = from->token.len + from->expected.len + from->hint_count * sizeof(struct hint);
    for (size_t i = 0; i < from->hint_count; i++)
        len += from->hints[i].value.len;
    char *block = budget_alloc(layer->stack->budget, len);
    if (block == NULL)
        return -1;
    struct handover *to = &copy->handover;
    *to = *from;
    copy->block = block;
    struct hint *hints = (struct hint *)(void *)block;
    char *text = block + from->hint_count * sizeof *hints;
    for (size_t i = 0; i < from->hint_count; i++) {
        hints[i] = from->hints[i];
        if (hints[i].value.data == NULL)
            continue;
        if (hints[i].value.len > 0)
            memcpy(text, hints[i].value.data, hints[i].value.len);
        hints[i].value.data = text;
        text += hints[i].value.len;
    }
    to->hints = hints;
    struct text *texts[] = {&to->token, &to->expected};
    for (size_t i = 0; i < 2; i++) {
        if (texts[i]->data == NULL)
            continue;
        if (texts[i]->len > 0)
            memcpy(text, texts[i]->data, texts[i]->len);
        texts[i]->data = text;
        text += texts[i]->len;
    }
    return 0;
}

int layer_switch(struct layer *layer, const struct handover *handover)
{
    assert(layer->in_call && layer->switching.block == NULL);
    if (layer->depth + 1 >= layer->stack->options->depth_limit) {
        layer_limit(layer, "depth", layer->stack->options->depth_limit);
        return -1;
    }
    if (layer_copy_handover(layer, &layer->switching, handover) != 0) {
        layer_limit(layer, "flow-memory", layer->stack->budget->limit);
        return -1;
    }
    return 0;
}

/* --- carried layers: a list, newest first, and an index by key once they are many --- */

enum { INDEX_FROM = 16 };

static struct layer **bucket(struct layer *layer, uint64_t key)
{
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);
    return &layer->index[hash >> 32 & (layer->index_size - 1)];
}

static struct layer *find_carry(struct layer *layer, uint64_t key)
{
    struct layer *child = layer->index != NULL ? *bucket(layer, key) : layer->children;
    while (child != NULL && child->key != key)
        child = layer->index != NULL ? child->index_next : child->next;
    return child;
}

static void index_add(struct layer *layer, struct layer *child)
{
    struct layer **first = bucket(layer, child->key);
    child->index_next = *first;
    *first = child;
}

/* 0; -1: no memory: longer chains, or the list alone. */
static int index_grow(struct layer *layer)
{
    size_t size = layer->index_size > 0 ? layer->index_size * 2 : INDEX_FROM * 2;
    struct layer **index = budget_alloc(layer->stack->budget, size * sizeof(*index));
    if (index == NULL)
        return -1;
    budget_free(layer->stack->budget, layer->index);
    layer->index = index;
    layer->index_size = size;
    for (struct layer *child = layer->children; child != NULL; child = child->next)
        index_add(layer, child);
    return 0;
}

static void link_carry(struct layer *layer, struct layer *child)
{
    child->next = layer->children;
    if (child->next != NULL)
        child->next->previous = child;
    layer->children = child;
    layer->child_count++;
    layer->stack->carries++;
    int grown = layer->child_count > INDEX_FROM && layer->child_count > layer->index_size &&
                index_grow(layer) == 0;
    if (!grown && layer->index != NULL)
        index_add(layer, child);
}

void layer_unlink_carry(struct layer *layer, struct layer *child)
{
    struct layer **link = layer->index != NULL ? bucket(layer, child->key) : NULL;
    while (link != NULL && *link != child)
        link = &(*link)->index_next;
    if (link != NULL)
        *link = child->index_next;
    if (child->previous != NULL)
        child->previous->next = child->next;
    else
        layer->children = child->next;
    if (child->next != NULL)
        child->next->previous = child->previous;
    layer->child_count--;
    layer->stack->carries--;
}

static struct layer *carry_new(struct layer *layer, uint64_t key)
{
    struct stack *stack = layer->stack;
    if (layer->depth + 1 >= stack->options->depth_limit) {
        layer_limit(layer, "depth", stack->options->depth_limit);
        return NULL;
    }
    if (stack->carries >= CARRIES_MAX) {
        layer_limit(layer, "carried-layers", CARRIES_MAX);
        return NULL;
    }
    struct layer *child = layer_new(stack, layer, RELATION_CARRY);
    if (child == NULL) {
        layer_limit(layer, "flow-memory", stack->budget->limit);
        return NULL;
    }
    child->key = key;
    child->flipped = layer->flipped;
    link_carry(layer, child);
    return child;
}

int layer_carry_hold(struct layer *layer, uint64_t key, uint32_t session)
{
    assert(find_carry(layer, key) == NULL);
    struct layer *child = carry_new(layer, key);
    if (child == NULL)
        return -1;
    child->phase = WAITING;
    child->session = session;
    return 0;
}

/* Who has to see the grant of a carried layer before it may send for it: the client. */
static struct grant carry_grant(const struct layer *layer, const struct handover *handover)
{
    if (handover->early_rule == NULL)
        return (struct grant){0};
    return (struct grant){
        .known = 1,
        .waits = layer_flip(layer, CLIENT),
        .end = layer_mark(layer, SERVER, handover->granted).root_offset + 1,
        .early = 1,
        .early_rule = *handover->early_rule,
    };
}

int layer_carry_open(struct layer *layer, uint64_t key, const struct handover *handover)
{
    struct layer *child = find_carry(layer, key);
    int held = child != NULL;
    assert(!held || (child->phase == WAITING && !handover->reversed));
    if (!held)
        child = carry_new(layer, key);
    if (child == NULL)
        return -1;
    child->phase = PROBING;
    child->flipped = layer->flipped ^ (handover->reversed != 0);
    child->session = handover->session != 0 ? handover->session : layer->session;
    child->switch_session = handover->session;
    child->quiet = handover->recognised_only;
    child->grant = carry_grant(layer, handover);
    child->active_ns = newest_mark(layer).time_ns;
    layer_begin(child, handover);
    if (held)
        layer_run(child);
    return 0;
}

static int wanted(struct layer *child)
{
    struct layer *top = layer_top(child);
    return !(top->phase == CLOSED || (top->in[CLIENT].done && top->in[SERVER].done));
}

int layer_carry(struct layer *layer, uint64_t key, enum side side, const struct slice *slice,
                uint64_t from, uint64_t from_len)
{
    struct layer *child = find_carry(layer, key);
    if (child == NULL)
        return 0;
    enum side inner = layer_flip(child, layer_flip(layer, side));
    if (from_len != slice->len) { /* not one to one: the last byte completed it */
        struct mark mark = layer_mark(layer, side, from + (from_len > 0 ? from_len - 1 : 0));
        layer_input(child, inner, slice->data, slice->len, &mark, 0);
        return wanted(child);
    }
    size_t at = 0;
    while (at < slice->len) {
        const struct input_run *run = input_run_of(&layer->in[side], from + at);
        struct mark mark = layer_mark(layer, side, from + at);
        size_t len = slice->len - at;
        if (run != NULL && run->offset + run->len - (from + at) < len)
            len = (size_t)(run->offset + run->len - (from + at));
        layer_input(child, inner, slice->data + at, len, &mark, run != NULL && run->exact);
        at += len;
    }
    return wanted(child);
}

/* Where the newest bytes of a side came from: what they acknowledge is said by their sender. */
static struct mark side_mark(const struct layer *layer, enum side side)
{
    return layer->in[side].any ? layer->in[side].newest.mark : newest_mark(layer);
}

void layer_carry_gap(struct layer *layer, uint64_t key, enum side side, uint64_t len)
{
    struct layer *child = find_carry(layer, key);
    if (child == NULL)
        return;
    struct mark mark = side_mark(layer, side);
    layer_input_gap(child, layer_flip(child, layer_flip(layer, side)), len, &mark);
}

int64_t layer_active_ns(struct layer *child)
{
    const struct layer *top = layer_top(child);
    for (int side = CLIENT; side <= SERVER; side++)
        if (top->in[side].any && !top->in[side].ended &&
            top->in[side].newest.mark.time_ns > child->active_ns)
            child->active_ns = top->in[side].newest.mark.time_ns;
    return child->active_ns;
}

/* A side of a carried stream is about to end: the silence in front of the first that does. */
static void note_idle(struct layer *layer, struct layer *child, enum side side)
{
    int64_t active_ns = layer_active_ns(child);
    if (child->idle_known)
        return;
    child->idle_known = 1;
    child->first_end = layer_flip(layer, side);
    child->idle_ns = side_mark(layer, side).time_ns - active_ns;
    if (child->idle_ns < 0)
        child->idle_ns = 0;
}

void layer_carry_eof(struct layer *layer, uint64_t key, enum side side)
{
    struct layer *child = find_carry(layer, key);
    if (child == NULL)
        return;
    struct mark mark = side_mark(layer, side);
    note_idle(layer, child, side);
    layer_input_eof(child, layer_flip(child, layer_flip(layer, side)), &mark);
}

void layer_carry_close(struct layer *layer, uint64_t key)
{
    struct layer *child = find_carry(layer, key);
    if (child == NULL)
        return;
    layer_unlink_carry(layer, child);
    layer_end_chain(child);
}

int layer_carry_end(struct layer *layer, uint64_t key, enum session_end end, enum side side)
{
    struct layer *child = find_carry(layer, key);
    if (child == NULL)
        return 0;
    uint32_t session = child->switch_session;
    note_idle(layer, child, side);
    child->end_known = 1;
    child->end = end;
    child->end_side = layer_flip(layer, side);
    layer->stack->ended = 0;
    layer_carry_close(layer, key);
    return session != 0 && layer->stack->ended == session;
}

struct mark layer_mark(const struct layer *layer, enum side side, uint64_t offset)
{
    if (!layer->in[side].any)
        return layer->stack->newest;
    return input_mark(&layer->in[side], offset);
}

uint64_t layer_offset(const struct layer *layer, enum side side)
{
    return layer->in[side].offset;
}

size_t layer_held(const struct layer *layer, enum side side)
{
    return input_view(&layer->in[side]).len;
}

struct slice layer_peek(const struct layer *layer, enum side side)
{
    return input_view(&layer->in[side]);
}

int layer_probe(const struct layer *layer, const char *protocol, enum side side,
                const uint8_t *data, size_t len)
{
    (void)layer;
    const struct dissector *dissector =
        registry_find((struct text){protocol, strlen(protocol)});
    if (dissector == NULL || dissector->probe == NULL)
        return 0;
    return dissector->probe(side, data, len);
}

int layer_before_grant(const struct layer *layer, enum side side, uint64_t offset)
{
    if (!layer->grant.known || layer_flip(layer, side) != layer->grant.waits)
        return 0;
    struct mark mark = layer_mark(layer, side, offset);
    return mark.acked_valid && mark.acked < layer->grant.end;
}

int layer_inside(const struct layer *layer, const char *protocol)
{
    for (; layer->parent != NULL; layer = layer->parent)
        if (layer->relation == RELATION_CARRY && text_is(layer->parent->protocol, protocol))
            return 1;
    return 0;
}

struct text handover_hint(const struct handover *handover, const char *name)
{
    for (size_t i = 0; handover != NULL && i < handover->hint_count; i++)
        if (strcmp(handover->hints[i].name, name) == 0)
            return handover->hints[i].value;
    return TEXT_NONE;
}

int layer_ended(const struct layer *layer, enum side side)
{
    return layer->in[side].ended;
}

int layer_from_start(const struct layer *layer)
{
    return layer->stack->from_start;
}

int layer_is_root(const struct layer *layer)
{
    return layer->relation == RELATION_ROOT;
}

int layer_last(const struct layer *layer)
{
    return layer->last;
}

int layer_end(const struct layer *layer, enum session_end *end, enum side *side, int64_t *idle_ns)
{
    const struct stack *stack = layer->stack;
    for (const struct layer *above = layer; above != NULL; above = above->parent) {
        if (!above->end_known)
            continue;
        *end = above->end;
        *side = layer_flip(layer, above->end_side);
        *idle_ns = above->idle_ns;
        return 1;
    }
    if (!stack->closing)
        return 0;
    *end = stack->end;
    *side = layer_flip(layer, stack->end_side);
    *idle_ns = stack->idle_ns;
    return 1;
}

static void keep_text(struct layer *layer, char **kept, size_t *kept_len, struct text text)
{
    char *copy = budget_realloc(layer->stack->budget, *kept, text.len);
    if (copy == NULL) {
        layer_limit(layer, "flow-memory", layer->stack->budget->limit);
        return;
    }
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    *kept = copy;
    *kept_len = text.len;
}

void layer_detail(struct layer *layer, struct text json)
{
    keep_text(layer, &layer->detail, &layer->detail_len, json);
}

void layer_protection(struct layer *layer, enum protection protection, struct text failure)
{
    layer->protection = protection;
    if (failure.len > 0)
        keep_text(layer, &layer->failure, &layer->failure_len, failure);
}

struct budget *layer_budget(struct layer *layer)
{
    return layer->stack->budget;
}

const struct dissect_options *layer_options(const struct layer *layer)
{
    return layer->stack->options;
}

void layer_limit(struct layer *layer, const char *name, uint64_t value)
{
    for (size_t i = 0; i < layer->limit_count; i++)
        if (strcmp(layer->limits[i], name) == 0)
            return;
    if (layer->limit_count < LIMITS_MAX)
        layer->limits[layer->limit_count++] = name;
    char evidence[96];
    int len = snprintf(evidence, sizeof evidence, "%s=%llu", name, (unsigned long long)value);
    struct event event = {.kind = EVENT_FINDING};
    event.u.finding = (struct event_finding){.rule = RULE_ANALYSIS_LIMIT_HIT,
                                             .evidence = {evidence, (size_t)len}};
    layer_emit(layer, NEITHER, &event);
}
