/*
 * Conversations over HTTP/1.x for tests.
 */
#include "http1_talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tape {
    char text[65536];
    size_t len;
    int cut; /* leave out what depends on how the bytes were cut */
};

static struct budget budget;
static struct tape whole, other;

static void write_line(struct tape *tape, const char *line)
{
    size_t len = strlen(line);
    ck_assert_uint_lt(tape->len + len + 2, sizeof tape->text);
    memcpy(tape->text + tape->len, line, len);
    tape->len += len;
    tape->text[tape->len++] = '\n';
    tape->text[tape->len] = '\0';
}

#define T(t) \
    (int)((t).data == NULL ? 1 : (t).len < 200 ? (t).len : 200), ((t).data != NULL ? (t).data : "-")

static const char *const sides[] = {"client", "server", "neither"};
static const char *const mechanisms[] = {"upgrade", "connect", "extended-connect", "starttls",
                                         "socks", "docker", "gnutella"};
static const char *const outcomes[] = {"unanswered", "switched", "refused", "ignored",
                                       "unsolicited"};
static const char *const causes[] = {"none", "origin", "auth", "redirect", "route", "version",
                                     "stripped-header", "bad-request", "upstream", "timeout",
                                     "unknown"};

static void record_session(struct tape *tape, const struct event *e)
{
    char line[2048];
    const struct event_session_open *o = &e->u.session_open;
    const struct event_session_answer *a = &e->u.session_answer;
    if (e->kind == EVENT_SESSION_OPEN)
        snprintf(line, sizeof line,
                 "open %u %s offered=%.*s method=%.*s target=%.*s path=%.*s host=%.*s "
                 "origin=%.*s agent=%.*s for=%.*s%s%s @%llu",
                 e->session, mechanisms[o->mechanism], T(o->offered), T(o->method), T(o->target),
                 T(o->path), T(o->host), T(o->origin), T(o->user_agent), T(o->forwarded_for),
                 o->unsolicited ? " unsolicited" : "", o->request_lost ? " lost" : "",
                 (unsigned long long)e->offset);
    else
        snprintf(line, sizeof line, "answer %u %s cause=%s accepted=%.*s %d %.*s", e->session,
                 outcomes[a->outcome], causes[a->cause], T(a->accepted), a->status, T(a->reason));
    write_line(tape, line);
}

static void record(void *flow, struct event *e)
{
    struct tape *tape = flow;
    char line[1024];
    switch (e->kind) {
    case EVENT_SESSION_OPEN:
    case EVENT_SESSION_ANSWER:
        record_session(tape, e);
        return;
    case EVENT_LAYER_OPEN:
        snprintf(line, sizeof line, "layer %u %.*s expected=%.*s", e->layer,
                 T(e->u.layer_open.protocol), T(e->u.layer_open.expected));
        break;
    case EVENT_SESSION_SWITCH:
        snprintf(line, sizeof line, "switch %u to %u", e->session,
                 e->u.session_switch.successor);
        break;
    case EVENT_HEADER:
        snprintf(line, sizeof line, "header %u %s %u %.*s=%.*s", e->session,
                 e->u.header.response ? "response" : "request", e->u.header.position,
                 T(e->u.header.name), T(e->u.header.value));
        break;
    case EVENT_WEBSOCKET_OPEN:
        snprintf(line, sizeof line, "websocket %u accept=%d deflate=%d sub=%.*s ext=%.*s",
                 e->session, e->u.websocket_open.accept_valid, e->u.websocket_open.deflate,
                 T(e->u.websocket_open.subprotocol), T(e->u.websocket_open.extensions));
        break;
    case EVENT_FRAME:
        snprintf(line, sizeof line, "frame %u %s", e->session, sides[e->sender]);
        break;
    case EVENT_FINDING:
        if (tape->cut && e->u.finding.rule == RULE_SERVER_DATA_WITH_101)
            return;
        snprintf(line, sizeof line, "finding %u %s [%s] %s @%llu %.*s", e->session,
                 rule_table[e->u.finding.rule].name, rule_table[e->u.finding.rule].severity,
                 sides[e->sender], (unsigned long long)e->offset, T(e->u.finding.evidence));
        break;
    default:
        return;
    }
    write_line(tape, line);
}

static void play(struct tape *tape, const struct talk_turn *turns, size_t count, int flags,
                 size_t size, size_t turn, size_t at)
{
    static const struct stack_host host = {.emit = record};
    static const struct dissect_options options = {
        .payload = 1024, .frames = 1, .message_limit = 1 << 20, .frame_limit = 1 << 20,
        .ratio_limit = 100, .ping_timeout_ns = 30000000000, .hold_limit = 1 << 18,
        .depth_limit = 16};
    budget_init(&budget, 1 << 22, NULL);
    tape->len = 0;
    struct stack *stack =
        stack_new(&host, tape, &options, &budget, (flags & TALK_MIDSTREAM) == 0);
    uint64_t sent[2] = {0, 0}, seen[2] = {0, 0}, packet = 0;
    struct mark mark = {0};
    for (size_t i = 0; i < count; i++) {
        const struct talk_turn *t = &turns[i];
        uint64_t acked = t->blind ? seen[t->side] : sent[side_peer(t->side)];
        seen[t->side] = acked;
        mark = (struct mark){.packet = ++packet, .acked = acked, .acked_valid = 1,
                             .root_offset = sent[t->side]};
        if (t->gap > 0) {
            stack_gap(stack, t->side, t->gap, &mark);
            sent[t->side] += t->gap;
        }
        for (size_t from = 0; from < t->len;) {
            size_t piece = size > 0 && size < t->len - from ? size : t->len - from;
            if (size == 0 && i == turn && from < at && at < t->len)
                piece = at - from;
            mark.root_offset = sent[t->side];
            uint8_t *copy = malloc(piece); /* so that a sanitizer sees any step beyond */
            memcpy(copy, t->bytes + from, piece);
            stack_data(stack, t->side, copy, piece, &mark);
            free(copy);
            from += piece;
            sent[t->side] += piece;
        }
        if (t->end)
            stack_eof(stack, t->side, &mark);
    }
    stack_close(stack, SESSION_END_CAPTURE, NEITHER, 0, &mark);
    stack_free(stack);
    ck_assert_uint_eq(budget.used, 0);
}

static void compare(const struct talk_turn *turns, size_t count, int flags, size_t size,
                    size_t turn, size_t at)
{
    static struct tape pieces;
    pieces.cut = 1;
    play(&pieces, turns, count, flags, size, turn, at);
    if (strcmp(pieces.text, other.text) != 0)
        ck_abort_msg("cut by %zu, turn %zu at %zu:\n%.4000s\nwhole:\n%.4000s", size, turn, at,
                     pieces.text, other.text);
}

const char *talk(const struct talk_turn *turns, size_t count, int flags)
{
    whole.cut = 0;
    other.cut = 1;
    play(&whole, turns, count, flags, 0, SIZE_MAX, 0);
    if ((flags & TALK_WHOLE_ONLY) != 0)
        return whole.text;
    play(&other, turns, count, flags, 0, SIZE_MAX, 0);
    compare(turns, count, flags, 1, SIZE_MAX, 0);
    for (size_t i = 0; i < count; i++)
        for (size_t at = 1; at < turns[i].len && at < 700; at++)
            compare(turns, count, flags, 0, i, at);
    return whole.text;
}

void talk_has(const char *lines, const char *part)
{
    if (strstr(lines, part) == NULL)
        ck_abort_msg("no '%s' in:\n%.4000s", part, lines);
}

void talk_lacks(const char *lines, const char *part)
{
    if (strstr(lines, part) != NULL)
        ck_abort_msg("'%s' in:\n%.4000s", part, lines);
}

void talk_times(const char *lines, const char *part, int n)
{
    int found = 0;
    for (const char *at = strstr(lines, part); at != NULL; at = strstr(at + 1, part))
        found++;
    if (found != n)
        ck_abort_msg("'%s' %d times and not %d in:\n%.4000s", part, found, n, lines);
}

void talk_finds(const char *lines, const char *rule)
{
    char part[96];
    snprintf(part, sizeof part, " %s [", rule);
    talk_has(lines, part);
}

void talk_spares(const char *lines, const char *rule)
{
    char part[96];
    snprintf(part, sizeof part, " %s [", rule);
    talk_lacks(lines, part);
}

void talk_quiet(const char *lines)
{
    talk_lacks(lines, "[medium]");
    talk_lacks(lines, "[high]");
}
