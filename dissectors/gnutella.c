/*
 * The handshake of Gnutella 0.6 (The Annotated Gnutella Protocol Specification, section 2.1), as
 * far as it may switch to TLS: the client offers `Upgrade: TLS/1.0`, the server takes it up in its
 * answer, and the client's second head confirms or still refuses.
 */
#include <string.h>

#include "dissector.h"
#include "line.h"
#include "text.h"

enum { HEAD_MOST = 16384, FIELDS_MOST = 64 };

enum stage { ASKED, ANSWERED, CONFIRMED, OVER }; /* what is read next */

struct gnutella {
    enum stage stage;
    uint32_t session;
    uint32_t answer_fields;
    int taken_up; /* by the server */
};

struct field {
    struct text name, value;
    uint64_t offset;
};

struct head {
    struct text first;
    struct field fields[FIELDS_MOST];
    size_t count, len;
    uint64_t offset;
};

static int gnutella_probe(enum side side, const uint8_t *data, size_t len)
{
    static const struct line_start client[] = {{"GNUTELLA CONNECT/", 95}};
    static const struct line_start server[] = {{"GNUTELLA/0.6 ", 90}, {"GNUTELLA OK", 90}};
    struct text bytes = {(const char *)data, len};
    return len == 0          ? 0
           : side == CLIENT ? line_probe(bytes, client, 1)
                            : line_probe(bytes, server, 2);
}

static struct text trimmed(struct text text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = (struct text){text.data + 1, text.len - 1};
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* 1: the head is whole; 0: it is not; -1: it never will be. */
static int read_head(const struct slice *slice, struct head *head)
{
    *head = (struct head){.offset = slice->offset};
    while (head->len < slice->len && head->len < HEAD_MOST) {
        struct slice rest = {.data = slice->data + head->len, .len = slice->len - head->len,
                             .offset = slice->offset + head->len};
        struct line line;
        if (!line_take(&rest, HEAD_MOST, &line))
            return slice->len < HEAD_MOST ? 0 : -1;
        int first = head->len == 0;
        head->len += line.len;
        if (first) {
            head->first = line.text;
            continue;
        }
        if (line.text.len == 0)
            return 1;
        const char *colon = memchr(line.text.data, ':', line.text.len);
        if (colon == NULL || head->count == FIELDS_MOST)
            continue;
        size_t name = (size_t)(colon - line.text.data);
        head->fields[head->count++] = (struct field){
            .name = {line.text.data, name},
            .value = trimmed((struct text){colon + 1, line.text.len - name - 1}),
            .offset = line.offset};
    }
    return head->len >= HEAD_MOST ? -1 : 0;
}

static struct text value_of(const struct head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++)
        if (text_is(head->fields[i].name, name))
            return head->fields[i].value;
    return TEXT_NONE;
}

static void emit_fields(struct layer *layer, struct gnutella *g, enum side side,
                        const struct head *head, int response)
{
    uint32_t from = response ? g->answer_fields : 0;
    for (size_t i = 0; i < head->count; i++) {
        struct event event = {.kind = EVENT_HEADER, .session = g->session,
                              .offset = head->fields[i].offset};
        event.u.header = (struct event_header){.response = response,
                                               .position = from + (uint32_t)i,
                                               .name = head->fields[i].name,
                                               .value = head->fields[i].value};
        layer_emit(layer, side, &event);
    }
    if (response)
        g->answer_fields += (uint32_t)head->count;
}

static int status_of(const struct head *head, struct text *reason)
{
    struct text rest = head->first;
    int more;
    (void)line_word(&rest);
    *reason = TEXT_NONE;
    struct text code = trimmed(rest);
    int status = line_code(code, &more, reason);
    return status > 0 ? status : 0;
}

static void answer(struct layer *layer, const struct gnutella *g, enum side side,
                   enum outcome outcome, enum cause cause, const struct head *head)
{
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = g->session,
                          .offset = head->offset + head->len - 1};
    struct event_session_answer *out = &event.u.session_answer;
    out->outcome = outcome;
    out->cause = cause;
    out->status = status_of(head, &out->reason);
    if (outcome == OUTCOME_SWITCHED)
        out->accepted = TEXT_LITERAL("TLS/1.0");
    layer_emit(layer, side, &event);
}

/* --- the three heads --- */

static int asked(struct layer *layer, struct gnutella *g, const struct head *head)
{
    struct text upgrade = value_of(head, "Upgrade");
    if (!text_contains(upgrade, "TLS"))
        return 0;
    g->stage = ANSWERED;
    g->session = layer_session_new(layer);
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = g->session,
                          .offset = head->offset + head->len - 1};
    event.u.session_open.mechanism = MECHANISM_GNUTELLA;
    event.u.session_open.method = head->first;
    event.u.session_open.offered = upgrade;
    event.u.session_open.user_agent = value_of(head, "User-Agent");
    layer_emit(layer, CLIENT, &event);
    emit_fields(layer, g, CLIENT, head, 0);
    return 1;
}

/* Returns 1 where the client is to confirm it. */
static int answered(struct layer *layer, struct gnutella *g, const struct head *head)
{
    struct text reason;
    int status = status_of(head, &reason);
    g->taken_up = status == 200 && text_contains(value_of(head, "Upgrade"), "TLS");
    g->stage = CONFIRMED;
    emit_fields(layer, g, SERVER, head, 1);
    if (g->taken_up)
        return 1;
    answer(layer, g, SERVER, status == 200 ? OUTCOME_IGNORED : OUTCOME_REFUSED,
           status >= 500 ? CAUSE_UPSTREAM : status >= 400 ? CAUSE_AUTH : CAUSE_UNKNOWN, head);
    return 0;
}

static int confirmed(struct layer *layer, struct gnutella *g, const struct head *head)
{
    struct text reason;
    int grants = status_of(head, &reason) == 200;
    emit_fields(layer, g, CLIENT, head, 1);
    answer(layer, g, CLIENT, grants ? OUTCOME_SWITCHED : OUTCOME_REFUSED,
           grants ? CAUSE_NONE : CAUSE_UNKNOWN, head);
    if (!grants)
        return 0;
    struct handover handover = {.table = "gnutella", .token = TEXT_LITERAL("TLS/1.0"),
                                .session = g->session};
    (void)layer_switch(layer, &handover);
    return 1;
}

static struct result gnutella_data(struct layer *layer, void *state, enum side side,
                                   const struct slice *slice)
{
    struct gnutella *g = state;
    struct head head;
    if (g->stage == OVER)
        return (struct result){.verdict = V_DONE};
    if (side != (g->stage == ANSWERED ? SERVER : CLIENT))
        return (struct result){.verdict = V_WAIT_PEER};
    int whole = read_head(slice, &head);
    if (whole < 0)
        return (struct result){.verdict = V_LOST};
    if (whole == 0)
        return line_wanted(slice);
    enum stage stage = g->stage;
    int on = stage == ASKED      ? asked(layer, g, &head)
             : stage == ANSWERED ? answered(layer, g, &head)
                                 : confirmed(layer, g, &head);
    if (!on)
        g->stage = OVER;
    return (struct result){.verdict = !on                  ? V_DONE
                                      : stage == CONFIRMED ? V_SWITCHED
                                                           : V_OK,
                           .consumed = head.len};
}

/* No gap is survived: the handshake is short, and what follows is binary. */
const struct dissector gnutella_dissector = {
    .name = "gnutella",
    .state_size = sizeof(struct gnutella),
    .probe = gnutella_probe,
    .data = gnutella_data,
};
