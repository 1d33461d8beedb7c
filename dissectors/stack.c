/*
 * The engine: routes bytes to the layer that has them, holds what is not consumed, performs
 * switches and carries, degrades what is lost, ends what is left. A layer passes through phases
 * (see stack_private.h); each function below is one step of one phase.
 */
#include "stack.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "registry.h"
#include "stack_private.h"

/* Bytes that probes may look at before a stream is called opaque: room for a long request line. */
enum { PROBE_MAX = 16384, SEEKS_MAX = 4096, OPAQUE_ENOUGH = 4096, LOSSES_MAX = 3 };

/* How sure probes have to be of what is carried in messages. */
enum { QUIET_LEAST = PROBE_WEAK + PROBE_WEAK / 2 + 1 };

static void run(struct layer *layer, enum side side);
static enum side earlier_side(const struct layer *layer);

/* --- births and announcements --- */

struct layer *layer_new(struct stack *stack, struct layer *parent, enum relation relation)
{
    struct layer *layer = budget_alloc(stack->budget, sizeof *layer);
    if (layer == NULL)
        return NULL;
    layer->stack = stack;
    layer->parent = parent;
    layer->relation = relation;
    layer->depth = parent != NULL ? parent->depth + 1 : 0;
    layer->phase = PROBING;
    layer->protocol = TEXT_LITERAL("opaque");
    return layer;
}

/* A parent in the tree of rows: quiet layers that nobody recognised have no row. */
static uint32_t parent_serial(const struct layer *layer)
{
    const struct layer *parent = layer->parent;
    while (parent != NULL && parent->serial == 0)
        parent = parent->parent;
    return parent != NULL ? parent->serial : 0;
}

static void announce(struct layer *layer)
{
    if (layer->announced)
        return;
    layer->announced = 1;
    layer->serial = ++layer->stack->layers;
    struct event event = {.kind = EVENT_LAYER_OPEN};
    event.u.layer_open = (struct event_layer_open){
        .parent = parent_serial(layer),
        .relation = layer->relation,
        .protocol = layer->protocol,
        .expected = layer->expected,
        .offset = {layer->start[layer_flip(layer, CLIENT)],
                   layer->start[layer_flip(layer, SERVER)]},
    };
    layer_emit(layer, NEITHER, &event);
    if (layer->switch_session == 0)
        return;
    struct event told = {.kind = EVENT_SESSION_SWITCH, .session = layer->switch_session};
    told.u.session_switch.successor = layer->serial;
    layer_emit(layer, NEITHER, &told);
}

static void set_protocol(struct layer *layer, const char *name)
{
    layer->protocol = (struct text){name, strlen(name)};
}

/* What the layer was given is needed no more. */
static void drop_given(struct layer *layer)
{
    budget_free(layer->stack->budget, layer->given.block);
    layer->given = (struct switching){.block = NULL};
}

void layer_become_opaque(struct layer *layer)
{
    drop_given(layer);
    layer->phase = OPAQUE;
    layer->dissector = NULL;
    if (layer->quiet && !layer->announced) {
        layer->phase = CLOSED;
        layer->in[CLIENT].done = layer->in[SERVER].done = 1;
        input_drop(&layer->in[CLIENT]);
        input_drop(&layer->in[SERVER]);
        return;
    }
    layer->in[CLIENT].wait_peer = layer->in[SERVER].wait_peer = 0;
    layer->in[CLIENT].need = layer->in[SERVER].need = 0;
    announce(layer);
}

/* Starts a dissector, or names the protocol where there is nobody to dissect it. */
static void start(struct layer *layer, const struct dissector *dissector,
                  const struct handover *handover)
{
    set_protocol(layer, dissector->name);
    layer->dissector = dissector;
    layer->in[CLIENT].need = layer->in[SERVER].need = 0;
    layer->in[CLIENT].wait_peer = layer->in[SERVER].wait_peer = 0;
    announce(layer);
    if (dissector->data == NULL) {
        layer->phase = NAMED;
        return;
    }
    layer->state = budget_alloc(layer->stack->budget, dissector->state_size);
    if (layer->state == NULL) {
        layer_limit(layer, "flow-memory", layer->stack->budget->limit);
        layer_become_opaque(layer);
        return;
    }
    layer->phase = RUNNING;
    if (dissector->open != NULL && dissector->open(layer, layer->state, handover) != 0) {
        budget_free(layer->stack->budget, layer->state);
        layer->state = NULL;
        layer->lost = 1;
        layer_become_opaque(layer);
    }
}

static void remember_expected(struct layer *layer, struct text expected)
{
    if (expected.data == NULL)
        return;
    layer->names = budget_alloc(layer->stack->budget, expected.len + 1);
    if (layer->names == NULL)
        return;
    memcpy(layer->names, expected.data, expected.len);
    layer->expected = (struct text){layer->names, expected.len};
}

static void choose(struct layer *layer, const struct handover *handover)
{
    struct text successor = registry_successor(handover->table, handover->token);
    struct text expected = handover->expected.data != NULL ? handover->expected : successor;
    remember_expected(layer, expected);
    const struct dissector *dissector =
        successor.data != NULL ? registry_find(successor) : NULL;
    if (dissector == NULL)
        return;
    if (dissector->data != NULL)
        start(layer, dissector, handover);
    else if (dissector->probe == NULL) { /* what was agreed is all that can be known */
        set_protocol(layer, dissector->name);
        layer->dissector = dissector;
    }
}

/* Whoever its bytes turn out to be for gets the hints. */
static void keep_given(struct layer *layer, const struct handover *handover)
{
    if (layer->phase != PROBING || handover->hint_count == 0)
        return;
    if (layer_copy_handover(layer, &layer->given, handover) != 0)
        layer_limit(layer, "flow-memory", layer->stack->budget->limit);
    layer->given.handover.early_rule = layer->given.handover.mismatch_rule = NULL;
}

void layer_begin(struct layer *layer, const struct handover *handover)
{
    choose(layer, handover);
    keep_given(layer, handover);
}

/* --- ends --- */

static void close_dissector(struct layer *layer)
{
    if (layer->state == NULL)
        return;
    layer->in_call = 1;
    if (layer->dissector != NULL && layer->dissector->close != NULL)
        layer->dissector->close(layer, layer->state);
    layer->in_call = 0;
    budget_free(layer->stack->budget, layer->state);
    layer->state = NULL;
}

static void close_children(struct layer *layer)
{
    while (layer->children != NULL) {
        struct layer *child = layer->children;
        layer_unlink_carry(layer, child);
        layer_end_chain(child);
    }
}

/* The last word about a layer: what it turned out to be. */
static void tell_close(struct layer *layer)
{
    if (!layer->announced)
        return;
    struct event event = {.kind = EVENT_LAYER_CLOSE};
    struct event_layer_close *out = &event.u.layer_close;
    out->protocol = layer->protocol;
    if (layer->detail != NULL)
        out->detail = (struct text){layer->detail, layer->detail_len};
    if (layer->failure != NULL)
        out->failure = (struct text){layer->failure, layer->failure_len};
    out->protection = layer->protection;
    if (text_is(layer->protocol, "opaque")) {
        for (int side = CLIENT; side <= SERVER; side++) {
            enum side inner = layer_flip(layer, (enum side)side);
            out->head[side] = (struct text){(char *)layer->head[inner], layer->head_len[inner]};
        }
        const struct stack_host *host = layer->stack->host;
        if (layer->relation != RELATION_ROOT && host->classify != NULL &&
            out->head[CLIENT].len + out->head[SERVER].len > 0)
            host->classify(layer->stack->flow, out->head, &out->ndpi);
    }
    layer_emit(layer, NEITHER, &event);
}

static void finish(struct layer *layer)
{
    if (layer->phase == CLOSED)
        return;
    if (layer->phase == SEEKING || layer->phase == PROBING)
        layer_become_opaque(layer);
    close_children(layer);
    close_dissector(layer);
    tell_close(layer);
    for (int side = CLIENT; side <= SERVER; side++) {
        input_release(&layer->in[side], layer->stack->budget);
        layer->in[side].done = 1;
    }
}

void layer_free(struct layer *layer)
{
    struct budget *budget = layer->stack->budget;
    for (int side = CLIENT; side <= SERVER; side++)
        input_release(&layer->in[side], budget);
    budget_free(budget, layer->switching.block);
    budget_free(budget, layer->given.block);
    budget_free(budget, layer->names);
    budget_free(budget, layer->detail);
    budget_free(budget, layer->failure);
    budget_free(budget, layer->index);
    budget_free(budget, layer);
}

/* What waited for something outside has waited long enough. */
static void show_held(struct layer *layer)
{
    if (layer->phase != RUNNING || !(layer->in[CLIENT].held_back || layer->in[SERVER].held_back))
        return;
    layer->last = 1;
    run(layer, earlier_side(layer));
}

void layer_end_chain(struct layer *layer)
{
    struct layer *top = layer_top(layer);
    if (top->phase == PROBING)
        run(top, CLIENT);
    show_held(layer_top(layer));
    finish(layer_top(layer));
    while (layer != NULL) {
        struct layer *successor = layer->successor;
        layer_free(layer);
        layer = successor;
    }
}

/* --- switching --- */

/* Moves what is unconsumed, with its marks, to the successor. */
static void move_input(struct layer *from, enum side side, struct layer *to, enum side target)
{
    struct input *old = &from->in[side];
    (void)input_keep(old, from->stack->budget, SIZE_MAX / 4); /* it was there: it stays */
    struct input *new = &to->in[target];
    *new = *old;
    new->need = 0;
    new->wait_peer = new->held_back = new->eof_told = new->done = 0;
    to->start[target] = old->offset;
    struct input empty = {.offset = old->offset, .end = old->end, .newest = old->newest,
                          .any = old->any, .done = 1, .ended = old->ended};
    *old = empty;
}

/* The side whose first waiting byte came first. */
static enum side earlier_side(const struct layer *layer)
{
    struct slice client = input_view(&layer->in[CLIENT]);
    struct slice server = input_view(&layer->in[SERVER]);
    if (client.len == 0 || server.len == 0)
        return client.len > 0 ? CLIENT : SERVER;
    return input_mark(&layer->in[CLIENT], client.offset).packet <=
                   input_mark(&layer->in[SERVER], server.offset).packet
               ? CLIENT
               : SERVER;
}

void layer_run(struct layer *layer)
{
    enum side first = earlier_side(layer);
    run(layer, first);
    run(layer_top(layer), side_peer(first)); /* whoever has that side's bytes now */
}

static void check_early(struct layer *layer, enum side side)
{
    struct grant *grant = &layer->grant;
    if (!grant->early || !layer->announced || layer_flip(layer, side) != grant->waits)
        return;
    struct slice view = input_view(&layer->in[side]);
    if (view.len == 0)
        return;
    grant->early = 0;
    if (!layer_before_grant(layer, side, view.offset))
        return;
    char evidence[128];
    struct mark mark = input_mark(&layer->in[side], view.offset);
    int len = snprintf(evidence, sizeof evidence,
                       "sent when %llu bytes of the peer were acknowledged; the answer ends at "
                       "%llu",
                       (unsigned long long)mark.acked, (unsigned long long)grant->end);
    layer_finding(layer, side, grant->early_rule, view.offset,
                  (struct text){evidence, (size_t)len});
}

/* What follows a switch is not what was expected: told once for each layer. */
static void tell_mismatch(struct layer *layer, enum side side, const char *found)
{
    char evidence[160];
    size_t size = sizeof evidence;
    int len = snprintf(evidence, size, "expected %.*s, ",
                       (int)(layer->expected.len < 64 ? layer->expected.len : 64),
                       layer->expected.data != NULL ? layer->expected.data : "");
    struct slice view = input_view(&layer->in[side]);
    if (found != NULL)
        len += snprintf(evidence + len, size - (size_t)len, "found %s", found);
    else /* how many more bytes are there is a matter of packets */
        len += snprintf(evidence + len, size - (size_t)len, "the first byte is 0x%02x",
                        view.len > 0 ? view.data[0] : 0);
    int named = layer->grant.mismatch && layer_flip(layer, side) == layer->grant.asked;
    enum rule rule = named ? layer->grant.mismatch_rule : RULE_SWITCH_UNEXPECTED_PROTOCOL;
    layer->grant.mismatch = 0;
    layer_finding(layer, side, rule, layer->start[side], (struct text){evidence, (size_t)len});
}

/* `side` is the side whose bytes granted the switch, grant_end the root offset behind them. */
static void perform_switch(struct layer *layer, enum side side, uint64_t grant_end)
{
    struct stack *stack = layer->stack;
    struct handover handover = layer->switching.handover;
    struct layer *next = layer->switching.block != NULL
                             ? layer_new(stack, layer, RELATION_SWITCH)
                             : NULL;
    if (next == NULL) { /* a limit: reported by layer_switch(), or memory */
        if (layer->switching.block != NULL)
            layer_limit(layer, "flow-memory", stack->budget->limit);
        close_children(layer);
        close_dissector(layer);
        layer_become_opaque(layer);
        return;
    }
    int reversed = handover.reversed != 0;
    next->flipped = layer->flipped ^ reversed;
    next->session = handover.session != 0 ? handover.session : layer->session;
    next->switch_session = handover.session;
    next->quiet = layer->quiet && !layer->announced;
    for (int s = CLIENT; s <= SERVER; s++)
        move_input(layer, (enum side)s, next,
                   reversed ? side_peer((enum side)s) : (enum side)s);
    layer->phase = SWITCHED;
    layer->successor = next;
    next->grant = (struct grant){.known = 1,
                                 .waits = layer_flip(layer, side_peer(side)),
                                 .asked = layer_flip(layer, CLIENT),
                                 .end = grant_end,
                                 .early = handover.early_rule != NULL,
                                 .mismatch = handover.mismatch_rule != NULL};
    if (handover.early_rule != NULL)
        next->grant.early_rule = *handover.early_rule;
    if (handover.mismatch_rule != NULL)
        next->grant.mismatch_rule = *handover.mismatch_rule;
    close_children(layer);
    close_dissector(layer);
    tell_close(layer);
    layer_begin(next, &handover);
    budget_free(stack->budget, layer->switching.block);
    layer->switching.block = NULL;
    layer_run(next);
}

/* --- probing --- */

static void decide(struct layer *layer, const struct dissector *found)
{
    int surprise = layer->expected.data != NULL && !text_is(layer->expected, found->name) &&
                   (!layer->lost || layer->grant.mismatch); /* else it was told already */
    start(layer, found, &layer->given.handover);
    drop_given(layer);
    if (surprise)
        tell_mismatch(layer, earlier_side(layer), found->name);
}

/* Bytes of messages are a tunnel only where the protocol begins as it does on a connection: with
 * its client, or with either side where both begin alike. Returns how sure: where both sides only
 * fit, as they may by chance, that is not enough. */
static int begins_by_itself(const struct dissector *found, const struct text bytes[2])
{
    const struct text *first = bytes[CLIENT].len > 0 ? &bytes[CLIENT] : &bytes[SERVER];
    int sure = found->probe(CLIENT, (const uint8_t *)first->data, first->len);
    if (sure > 0 && first == &bytes[CLIENT] && bytes[SERVER].len > 0)
        sure += found->probe(SERVER, (const uint8_t *)bytes[SERVER].data, bytes[SERVER].len);
    return sure;
}

/* Line ends between a switch and its first byte, as some clients send them behind a CONNECT: passed
 * over where nobody knows the bytes with them, and a probe knows what comes behind them. */
static size_t stray_line_ends(const struct layer *layer, struct text bytes)
{
    size_t stray = 0;
    if (layer->relation != RELATION_SWITCH || layer->switch_session == 0)
        return 0;
    while (stray < 2 && stray < bytes.len &&
           (bytes.data[stray] == '\r' || bytes.data[stray] == '\n'))
        stray++;
    return stray;
}

static const struct dissector *recognise(struct layer *layer, const struct text bytes[2],
                                         int *undecided)
{
    const struct dissector *found = registry_probe(bytes, layer->dissector, undecided);
    size_t stray = found == NULL ? stray_line_ends(layer, bytes[CLIENT]) : 0;
    if (stray == 0)
        return found;
    int more = 0;
    struct text rest[2] = {{bytes[CLIENT].data + stray, bytes[CLIENT].len - stray}, bytes[SERVER]};
    found = registry_probe(rest, layer->dissector, &more);
    *undecided |= more || rest[CLIENT].len == 0;
    if (found != NULL) {
        input_consume(&layer->in[CLIENT], stray);
        layer->start[CLIENT] += stray;
    }
    return found;
}

/* Returns 1 when the layer has left the phase. */
static int probe(struct layer *layer)
{
    if (layer->dissector != NULL && layer->dissector->data == NULL) {
        start(layer, layer->dissector, NULL);
        return 1;
    }
    struct text bytes[2];
    int final = layer->stack->closing;
    for (int side = CLIENT; side <= SERVER; side++) {
        struct slice view = input_view(&layer->in[side]);
        bytes[side] = (struct text){(const char *)view.data, view.len};
        final |= view.len >= PROBE_MAX || input_gap_behind(&layer->in[side]) > 0 ||
                 (layer->in[side].ended && view.len > 0);
    }
    if (bytes[CLIENT].len + bytes[SERVER].len == 0 && !final)
        return 0;
    int undecided;
    const struct dissector *found = recognise(layer, bytes, &undecided);
    int begins = found != NULL && layer->quiet ? begins_by_itself(found, bytes) : 100;
    if (begins < QUIET_LEAST) {
        found = NULL;
        undecided = begins > 0 || bytes[CLIENT].len == 0;
    }
    if (found == NULL && undecided && !final)
        return 0;
    if (found == NULL && undecided && !layer->quiet && layer->stack->from_start)
        found = registry_guess(bytes, layer->dissector);
    if (found != NULL) {
        layer->dissector = NULL;
        decide(layer, found);
        return 1;
    }
    if (layer->relation == RELATION_ROOT &&
        (!layer->stack->from_start || input_gap_behind(&layer->in[CLIENT]) > 0 ||
         input_gap_behind(&layer->in[SERVER]) > 0)) {
        layer->phase = SEEKING;
        return 1;
    }
    layer_become_opaque(layer);
    return 1;
}

/* Midstream, nobody knows the first bytes: each slice may be where a message begins. What was
 * passed over is not part of the layer that is found. */
static void seek(struct layer *layer, enum side side)
{
    struct input *in = &layer->in[side];
    struct slice view = input_view(in);
    struct text bytes[2] = {TEXT_NONE, TEXT_NONE};
    bytes[side] = (struct text){(const char *)view.data, view.len};
    int undecided = 0;
    const struct dissector *found =
        view.len > 0 ? registry_probe(bytes, layer->dissector, &undecided) : NULL;
    if (found != NULL) {
        layer->start[side] = view.offset;
        decide(layer, found);
        return;
    }
    for (size_t i = 0; i < view.len && layer->head_len[side] < HEAD_SIZE; i++)
        layer->head[side][layer->head_len[side]++] = view.data[i];
    input_drop(in);
    if (view.len > 0) { /* who lost these bytes may know the next */
        layer->dissector = NULL;
        layer->lost = 0;
    }
    if (++layer->seeks >= SEEKS_MAX)
        layer_become_opaque(layer);
}

/* --- feeding --- */

static void take_opaque(struct layer *layer, enum side side)
{
    struct input *in = &layer->in[side];
    struct slice view = input_view(in);
    if (layer->phase == OPAQUE) {
        size_t room = HEAD_SIZE - layer->head_len[side];
        size_t len = view.len < room ? view.len : room;
        if (len > 0)
            memcpy(layer->head[side] + layer->head_len[side], view.data, len);
        layer->head_len[side] += len;
    }
    input_drop(in);
    int both = layer->head_len[CLIENT] == HEAD_SIZE && layer->head_len[SERVER] == HEAD_SIZE;
    if (layer->phase == NAMED || both || in->offset - layer->start[side] > OPAQUE_ENOUGH) {
        for (int s = CLIENT; s <= SERVER; s++) {
            layer->in[s].done = 1;
            if (layer->phase == NAMED)
                input_drop(&layer->in[s]);
        }
    }
}

/* The bytes do not follow the protocol. Where none of them was taken yet, somebody else may know
 * them, who is asked once: two who know the same bytes could lose them to each other for ever. Else
 * what is left is opaque. */
static void lose(struct layer *layer, enum side side)
{
    const struct dissector *dissector = layer->dissector;
    int first = layer->in[side].offset == layer->start[side];
    int untouched = first &&
                    layer->in[side_peer(side)].offset == layer->start[side_peer(side)];
    if (first && layer->grant.mismatch && layer_flip(layer, side) == layer->grant.asked &&
        input_view(&layer->in[side]).len > 0)
        tell_mismatch(layer, side, NULL);
    close_children(layer);
    close_dissector(layer);
    layer->lost++;
    for (int s = CLIENT; s <= SERVER; s++) {
        layer->in[s].need = 0;
        layer->in[s].wait_peer = 0;
        layer->in[s].done = 0;
    }
    /* Two that both take the beginning for theirs would take turns for ever. */
    if (untouched && input_view(&layer->in[side]).len > 0 && layer->lost <= LOSSES_MAX) {
        set_protocol(layer, "opaque");
        budget_free(layer->stack->budget, layer->detail); /* it was about something else */
        layer->detail = NULL;
        layer->detail_len = 0;
        layer->dissector = dissector; /* not to be asked again */
        layer->phase = PROBING;
        return;
    }
    layer_become_opaque(layer);
}

/* Carries out a verdict. Returns 1 where the loop goes on with this layer. */
static int obey(struct layer *layer, enum side side, const struct result *result, size_t shown)
{
    struct input *in = &layer->in[side];
    assert(result->consumed <= shown);
    uint64_t grant_end = 0; /* asked for while the marks of these bytes are still kept */
    if (result->verdict == V_SWITCHED)
        grant_end = result->consumed > 0
                        ? input_mark(in, in->offset + result->consumed - 1).root_offset + 1
                        : input_mark(in, in->offset).root_offset;
    input_consume(in, result->consumed);
    in->need = 0;
    in->held_back = result->verdict == V_HOLD;
    switch (result->verdict) {
    case V_OK:
        in->need = result->consumed == 0 ? shown + 1 : 0;
        return 1;
    case V_NEED:
        in->need = result->need > shown - result->consumed ? result->need
                                                            : shown - result->consumed + 1;
        return 1;
    case V_HOLD:
        in->need = shown - result->consumed + 1;
        return result->consumed > 0;
    case V_WAIT_PEER:
        in->wait_peer = 1;
        return result->consumed > 0;
    case V_SWITCHED:
        perform_switch(layer, side, grant_end);
        return 0;
    case V_DONE:
        in->done = 1;
        input_drop(in);
        return 0;
    case V_LOST:
        lose(layer, side);
        return 1;
    }
    return 0;
}

static struct result call_gap(struct layer *layer, enum side side, uint64_t len)
{
    struct input *in = &layer->in[side];
    uint64_t offset = in->offset;
    uint64_t lost = input_view(in).len + len;
    struct result result = {.verdict = V_LOST};
    input_skip_gap(in);
    in->need = 0;
    if (layer->dissector->gap == NULL)
        return result;
    layer->in_call = 1;
    result = layer->dissector->gap(layer, layer->state, side, offset, lost);
    layer->in_call = 0;
    result.consumed = 0;
    return result;
}

/* One call of the dissector, if it is due. Returns 1 where something moved. */
static int step(struct layer *layer, enum side side)
{
    struct input *in = &layer->in[side];
    if (in->done) {
        input_drop(in);
        return 0;
    }
    if (in->wait_peer)
        return 0;
    struct slice view = input_view(in);
    uint64_t gap = input_gap_behind(in);
    struct result result;
    if (view.len > 0 && view.len >= in->need) {
        layer->in_call = 1;
        result = layer->dissector->data(layer, layer->state, side, &view);
        layer->in_call = 0;
    } else if (gap > 0 && in->held_back && !layer->last) {
        return 0;
    } else if (gap > 0) {
        result = call_gap(layer, side, gap);
        return obey(layer, side, &result, 0) || layer->phase != RUNNING;
    } else {
        if (in->ended && !in->eof_told && !in->held_back) {
            in->eof_told = 1;
            layer->in_call = 1;
            if (layer->dissector->eof != NULL)
                layer->dissector->eof(layer, layer->state, side);
            layer->in_call = 0;
            input_drop(in);
            return 1;
        }
        return 0;
    }
    int more = obey(layer, side, &result, view.len);
    return more || result.consumed > 0 || result.verdict != V_OK;
}

static void ask_again(struct input *in)
{
    if (in->held_back)
        in->need = 0;
}

/* Steps a running layer until neither side moves. Progress of one side lets the other, which may
 * be waiting for it, try again. `side` was at `before`, moved: and was asked already. */
static void run_on(struct layer *layer, enum side side, uint64_t before, int moved)
{
    int idle = 0;
    while (layer->phase == RUNNING && idle < 2) {
        int told = layer->in[side].eof_told;
        while (layer->phase == RUNNING && step(layer, side))
            moved = 1;
        if (layer->phase != RUNNING)
            return;
        struct input *peer = &layer->in[side_peer(side)];
        int progress = layer->in[side].offset != before || layer->in[side].eof_told != told;
        if (progress) {
            peer->wait_peer = 0;
            ask_again(peer);
        }
        idle = moved ? 0 : idle + 1;
        side = side_peer(side);
        before = layer->in[side].offset;
        moved = 0;
    }
}

static void run_dissector(struct layer *layer, enum side side)
{
    ask_again(&layer->in[CLIENT]);
    ask_again(&layer->in[SERVER]);
    run_on(layer, side, layer->in[side].offset, 0);
}

static void run(struct layer *layer, enum side side)
{
    for (;;) {
        check_early(layer, CLIENT);
        check_early(layer, SERVER);
        enum phase phase = layer->phase;
        switch (phase) {
        case PROBING:
            if (!probe(layer))
                return;
            if (layer->phase == RUNNING) /* both may have waited for the decision */
                side = earlier_side(layer);
            break;
        case SEEKING:
            seek(layer, side);
            if (layer->phase == SEEKING && input_view(&layer->in[side_peer(side)]).len > 0)
                seek(layer, side_peer(side));
            if (layer->phase == SEEKING)
                return;
            break;
        case RUNNING:
            run_dissector(layer, side);
            if (layer->phase == RUNNING)
                return;
            break;
        case NAMED:
        case OPAQUE:
            take_opaque(layer, side);
            take_opaque(layer, side_peer(side));
            return;
        case WAITING:
        case SWITCHED:
        case CLOSED:
            return;
        }
    }
}

/* Nothing of a side waits, for the peer or for anything else. */
static int input_is_calm(const struct input *in)
{
    return in->run_count == 0 && !in->wait_peer && !in->held_back && (!in->ended || in->eof_told);
}

/* Shows new bytes to a running layer in which nothing waits: run() without looking for what else
 * there might be to do, unless the dissector leaves something to do. */
static void run_plain(struct layer *layer, enum side side, const struct slice *slice)
{
    struct input *in = &layer->in[side];
    layer->in_call = 1;
    struct result result = layer->dissector->data(layer, layer->state, side, slice);
    layer->in_call = 0;
    if (result.verdict == V_OK && result.consumed == slice->len) {
        in->offset += slice->len;
        in->current_len = 0;
        in->need = 0;
        return;
    }
    (void)obey(layer, side, &result, slice->len);
    run_on(layer, side, slice->offset, 1);
    if (layer->phase != RUNNING)
        run(layer, side);
}

void layer_input(struct layer *layer, enum side side, const uint8_t *data, size_t len,
                 const struct mark *mark, int exact)
{
    layer = layer_receiver(layer, &side);
    struct input *in = &layer->in[side];
    struct budget *budget = layer->stack->budget;
    if (len == 0 || layer->phase == CLOSED)
        return;
    size_t limit = layer->stack->options->hold_limit;
    int overflow = input_data(in, budget, limit, data, len, mark, exact);
    if (in->done) {
        input_drop(in);
        return;
    }
    if (layer->phase == RUNNING && len >= in->need && !layer->grant.early && input_is_calm(in) &&
        input_is_calm(&layer->in[side_peer(side)])) {
        const struct slice slice = {.data = data, .len = len, .offset = in->offset};
        run_plain(layer, side, &slice);
    } else {
        run(layer, side);
    }
    /* A switch moved (and kept) the input; what this layer still has must outlive the caller. */
    if (layer->phase != SWITCHED)
        overflow |= input_keep(in, budget, limit);
    if (overflow != 0) {
        layer_limit(layer, "held-bytes", limit);
        layer = layer_receiver(layer, &side);
        run(layer, side);
    }
}

void layer_input_gap(struct layer *layer, enum side side, uint64_t len, const struct mark *mark)
{
    layer = layer_receiver(layer, &side);
    if (layer->phase == CLOSED)
        return;
    input_gap(&layer->in[side], layer->stack->budget, len, mark);
    if (layer->in[side].done)
        input_drop(&layer->in[side]);
    else
        run(layer, side);
}

void layer_input_eof(struct layer *layer, enum side side, const struct mark *mark)
{
    layer = layer_receiver(layer, &side);
    struct input *in = &layer->in[side];
    in->ended = 1;
    if (in->current_len == 0) { /* the end has a mark of its own: it acknowledges, too */
        in->newest = (struct input_run){.offset = in->end, .mark = *mark, .exact = 1};
        in->any = 1;
    }
    run(layer, side);
}
