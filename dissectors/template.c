/*
 * The dissector to copy. It reads a made-up protocol of lines: both sides send lines that end in
 * LF, a client's line "SWITCH name" asks for another protocol, a server's line "OK" grants it. It
 * is reached by the Upgrade token "switchtap-template" only, so that the tests can drive it; a
 * real protocol gets its line in registry.c, and a probe if its first bytes tell it.
 *
 * What to keep from it: decide on bytes and never on where a slice ends; consume what is
 * understood, ask with V_NEED or V_OK for more, wait for the peer with V_WAIT_PEER; put every size
 * that the wire decides under a cap; tell malformed input as an event and go on.
 */
#include <string.h>

#include "dissector.h"

enum { LINE_MAX_LEN = 512, NAME_MAX_LEN = 32 };

struct template_state {
    uint64_t lines[2];
    char wanted[NAME_MAX_LEN]; /* of a SWITCH that waits for its OK */
    size_t wanted_len;
    uint32_t session;
};

static int template_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct template_state *t = state;
    (void)handover; /* hints from the predecessor would be read here */
    t->session = layer_session(layer);
    return 0;
}

/* The client asks: an attempt begins, and what it sends next belongs to whatever is granted. */
static void ask(struct layer *layer, struct template_state *t, const struct slice *line)
{
    static const char command[] = "SWITCH ";
    size_t skip = sizeof command - 1;
    if (line->len <= skip || memcmp(line->data, command, skip) != 0)
        return;
    size_t len = line->len - skip;
    t->wanted_len = len < NAME_MAX_LEN ? len : NAME_MAX_LEN;
    memcpy(t->wanted, line->data + skip, t->wanted_len);
    t->session = layer_session_new(layer);
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = t->session,
                          .offset = line->offset + line->len};
    event.u.session_open.mechanism = MECHANISM_UPGRADE;
    event.u.session_open.offered = (struct text){t->wanted, t->wanted_len};
    layer_emit(layer, CLIENT, &event);
}

/* The server answers. Returns 1 where the switch is on. */
static int answer(struct layer *layer, struct template_state *t, const struct slice *line)
{
    if (t->wanted_len == 0)
        return 0;
    int granted = line->len == 2 && memcmp(line->data, "OK", 2) == 0;
    struct text name = {t->wanted, t->wanted_len};
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = t->session,
                          .offset = line->offset + line->len};
    event.u.session_answer.outcome = granted ? OUTCOME_SWITCHED : OUTCOME_REFUSED;
    event.u.session_answer.cause = granted ? CAUSE_NONE : CAUSE_UNKNOWN;
    event.u.session_answer.accepted = granted ? name : TEXT_NONE;
    layer_emit(layer, SERVER, &event);
    t->wanted_len = 0;
    struct handover next = {.table = "http.upgrade", .token = name, .session = t->session};
    return granted && layer_switch(layer, &next) == 0;
}

static struct result template_data(struct layer *layer, void *state, enum side side,
                                   const struct slice *slice)
{
    struct template_state *t = state;
    if (side == CLIENT && t->wanted_len > 0)
        return (struct result){.verdict = V_WAIT_PEER};
    size_t window = slice->len < LINE_MAX_LEN ? slice->len : LINE_MAX_LEN;
    const uint8_t *end = memchr(slice->data, '\n', window);
    if (end == NULL && slice->len >= LINE_MAX_LEN) /* not this protocol any more */
        return (struct result){.verdict = V_LOST};
    if (end == NULL)
        return (struct result){.verdict = V_NEED, .need = slice->len + 1};
    struct slice line = {.data = slice->data, .len = (size_t)(end - slice->data),
                         .offset = slice->offset};
    struct result result = {.verdict = V_OK, .consumed = line.len + 1};
    t->lines[side]++;
    if (side == CLIENT)
        ask(layer, t, &line);
    else if (answer(layer, t, &line))
        result.verdict = V_SWITCHED;
    return result;
}

/* Lines are found again at the next LF, so a gap is survived in any state; a lost answer leaves
 * the attempt unanswered. */
static struct result template_gap(struct layer *layer, void *state, enum side side,
                                  uint64_t offset, uint64_t len)
{
    struct template_state *t = state;
    (void)layer;
    (void)offset;
    (void)len;
    if (side == SERVER)
        t->wanted_len = 0;
    return (struct result){.verdict = V_OK};
}

const struct dissector template_dissector = {
    .name = "template",
    .state_size = sizeof(struct template_state),
    .open = template_open,
    .data = template_data,
    .gap = template_gap,
};
