/*
 * Plays a noted conversation to one dissector on the real engine; see fake_layer.h.
 */
#include "fake_layer.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/stack_private.h"

struct fake *fake_new(const char *table, const char *token)
{
    struct fake *fake = calloc(1, sizeof *fake);
    ck_assert_ptr_nonnull(fake);
    fake->options = (struct dissect_options){
        .payload = 65536,
        .frames = 1,
        .message_limit = 64u << 20,
        .frame_limit = 16u << 20,
        .ratio_limit = 100,
        .ping_timeout_ns = INT64_C(30) * 1000000000,
        .hold_limit = 1u << 20,
        .depth_limit = 16,
    };
    fake->table = table;
    fake->token = token;
    fake->session = 1;
    fake->memory = 64u << 20;
    fake->end = SESSION_END_CAPTURE;
    fake->end_side = NEITHER;
    fake->now_ns = INT64_C(1000000000);
    fake->acked = FAKE_ACKED_ALL;
    return fake;
}

void fake_free(struct fake *fake)
{
    free(fake->bytes);
    free(fake->log);
    free(fake);
}

void fake_hint(struct fake *fake, const char *name, const char *value)
{
    ck_assert_uint_lt(fake->hint_count, FAKE_HINTS);
    fake->hints[fake->hint_count++] = (struct hint){name, {value, strlen(value)}};
}

static struct fake_step *add_step(struct fake *fake, enum fake_kind kind, enum side side)
{
    ck_assert_uint_lt(fake->step_count, FAKE_STEPS);
    struct fake_step *step = &fake->steps[fake->step_count++];
    fake->now_ns += 1000000;
    *step = (struct fake_step){.kind = kind, .side = side, .at = fake->len,
                               .packet = ++fake->packet, .time_ns = fake->now_ns,
                               .acked = fake->acked};
    return step;
}

void fake_data(struct fake *fake, enum side side, const void *data, size_t len)
{
    add_step(fake, FAKE_DATA, side)->len = len;
    if (fake->len + len > fake->cap) {
        fake->cap = (fake->len + len) * 2;
        fake->bytes = realloc(fake->bytes, fake->cap);
        ck_assert_ptr_nonnull(fake->bytes);
    }
    if (len > 0)
        memcpy(fake->bytes + fake->len, data, len);
    fake->len += len;
}

void fake_gap(struct fake *fake, enum side side, size_t len)
{
    add_step(fake, FAKE_GAP, side)->len = len;
}

void fake_fin(struct fake *fake, enum side side)
{
    (void)add_step(fake, FAKE_FIN, side);
}

void fake_wait(struct fake *fake, int64_t ms)
{
    fake->now_ns += ms * 1000000;
}

/* --- the log --- */

static void write_log(struct fake *fake, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void write_log(struct fake *fake, const char *format, ...)
{
    if (fake->log_len + 1024 > fake->log_cap) {
        fake->log_cap = fake->log_cap * 2 + 4096;
        fake->log = realloc(fake->log, fake->log_cap);
        if (fake->log == NULL)
            ck_abort();
    }
    va_list args;
    va_start(args, format);
    int len = vsnprintf(fake->log + fake->log_len, 1024, format, args);
    va_end(args);
    fake->log_len += (size_t)(len < 1023 ? len : 1023);
}

/* Up to 64 bytes in full, then a checksum of the rest. */
static void write_text(struct fake *fake, struct text text)
{
    if (text.data == NULL) {
        write_log(fake, " none");
        return;
    }
    unsigned sum = 2166136261u;
    write_log(fake, " \"");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        sum = (sum ^ byte) * 16777619u;
        if (i < 64)
            write_log(fake, byte >= ' ' && byte < 127 ? "%c" : "\\x%02x", byte);
    }
    write_log(fake, text.len > 64 ? "\"+%zu:%08x" : "\"", text.len - 64, sum);
}

static void write_frame(struct fake *fake, const struct event_frame *f)
{
    write_log(fake, "frame #%llu fin=%d rsv=%u op=%u mask=%d len=%llu z=%d",
              (unsigned long long)f->serial, f->fin, f->rsv, f->opcode, f->masked,
              (unsigned long long)f->length, f->compressed);
    if (f->message_opcode >= 0) {
        write_log(fake, " message=%d/%llu/%u cut=%d rtt=%lld", f->message_opcode,
                  (unsigned long long)f->message_length, f->fragments, f->cut,
                  (long long)f->rtt_ns);
        write_text(fake, f->payload);
    }
}

static void write_close(struct fake *fake, const struct event_websocket_close *c)
{
    write_log(fake, "close");
    for (int i = CLIENT; i <= SERVER; i++) {
        const struct event_websocket_side *s = &c->side[i];
        write_log(fake, " [frames=%llu messages=%llu bytes=%llu decoded=%llu code=%d",
                  (unsigned long long)s->frames, (unsigned long long)s->messages,
                  (unsigned long long)s->bytes, (unsigned long long)s->message_bytes,
                  s->close_code);
        write_text(fake, s->close_reason);
        write_log(fake, "]");
    }
}

static void write_session(struct fake *fake, const struct event_session_open *o)
{
    write_log(fake, "asks mechanism=%d", (int)o->mechanism);
    write_text(fake, o->offered);
    write_text(fake, o->target);
    write_text(fake, o->host);
    write_text(fake, o->method);
    write_log(fake, "%s", o->request_lost ? " lost" : "");
}

static void record(void *flow, struct event *event)
{
    struct fake *fake = flow;
    write_log(fake, "%c @%llu p%llu t%lld s%u ", "CSN"[event->sender],
              (unsigned long long)event->offset, (unsigned long long)event->packet,
              (long long)event->time_ns, event->session);
    switch (event->kind) {
    case EVENT_FRAME:
        write_frame(fake, &event->u.frame);
        break;
    case EVENT_FINDING:
        write_log(fake, "finding %s f%llu: %.*s", rule_table[event->u.finding.rule].name,
                  (unsigned long long)event->u.finding.frame,
                  (int)event->u.finding.evidence.len, event->u.finding.evidence.data);
        break;
    case EVENT_WEBSOCKET_OPEN:
        write_log(fake, "open accept=%d deflate=%d", event->u.websocket_open.accept_valid,
                  event->u.websocket_open.deflate);
        write_text(fake, event->u.websocket_open.subprotocol);
        write_text(fake, event->u.websocket_open.extensions);
        break;
    case EVENT_WEBSOCKET_CLOSE:
        write_close(fake, &event->u.websocket_close);
        break;
    case EVENT_SESSION_OPEN:
        write_session(fake, &event->u.session_open);
        break;
    case EVENT_SESSION_ANSWER:
        write_log(fake, "answer outcome=%d cause=%d status=%d",
                  (int)event->u.session_answer.outcome, (int)event->u.session_answer.cause,
                  event->u.session_answer.status);
        write_text(fake, event->u.session_answer.accepted);
        write_text(fake, event->u.session_answer.reason);
        break;
    case EVENT_HEADER:
        write_log(fake, "header %u", event->u.header.position);
        write_text(fake, event->u.header.name);
        write_text(fake, event->u.header.value);
        write_log(fake, "%s", event->u.header.response ? " response" : " request");
        break;
    case EVENT_SESSION_END:
        write_log(fake, "end reason=%d side=%d idle=%lld", (int)event->u.session_end.reason,
                  (int)event->u.session_end.side, (long long)event->u.session_end.idle_ns);
        break;
    case EVENT_SESSION_SWITCH:
        write_log(fake, "successor %u", event->u.session_switch.successor);
        break;
    case EVENT_LAYER_OPEN:
        write_log(fake, "layer %u", event->layer);
        write_text(fake, event->u.layer_open.protocol);
        break;
    case EVENT_LAYER_CLOSE:
        write_log(fake, "layer %u closed", event->layer);
        write_text(fake, event->u.layer_close.protocol);
        if (event->u.layer_close.detail.data != NULL)
            write_log(fake, " %.*s", (int)event->u.layer_close.detail.len,
                      event->u.layer_close.detail.data);
        break;
    default:
        write_log(fake, "event %d", (int)event->kind);
        break;
    }
    write_log(fake, "\n");
}

/* --- playing --- */

static void play_bytes(struct fake *fake, struct stack *stack, const struct fake_step *step,
                       size_t cut, struct mark mark)
{
    for (size_t at = 0; at < step->len;) {
        size_t len = cut > 0 && cut < step->len - at ? cut : step->len - at;
        /* A copy of its own, so that a read past its end is seen. */
        uint8_t *piece = malloc(len);
        if (piece == NULL)
            ck_abort();
        memcpy(piece, fake->bytes + step->at + at, len);
        stack_data(stack, step->side, piece, len, &mark);
        free(piece);
        mark.root_offset += len;
        at += len;
    }
}

static void play_steps(struct fake *fake, struct stack *stack, size_t cut)
{
    uint64_t sent[2] = {0, 0};
    for (size_t i = 0; i < fake->step_count; i++) {
        const struct fake_step *step = &fake->steps[i];
        uint64_t all = sent[side_peer(step->side)];
        struct mark mark = {.packet = step->packet, .time_ns = step->time_ns,
                            .acked = step->acked >= 0 ? (uint64_t)step->acked : all,
                            .acked_valid = step->acked != FAKE_ACKED_NONE,
                            .root_offset = sent[step->side]};
        if (step->kind == FAKE_DATA)
            play_bytes(fake, stack, step, cut, mark);
        else if (step->kind == FAKE_GAP)
            stack_gap(stack, step->side, step->len, &mark);
        else
            stack_eof(stack, step->side, &mark);
        sent[step->side] += step->len;
    }
}

const char *fake_play(struct fake *fake, size_t cut)
{
    struct budget budget;
    struct stack_host host = {.emit = record};
    budget_init(&budget, fake->memory, NULL);
    fake->log_len = 0;
    write_log(fake, "%s", "");
    fake->budget = &budget;
    struct stack *stack = stack_new(&host, fake, &fake->options, &budget, fake->session != 0);
    if (stack == NULL)
        return fake->log;
    struct handover handover = {.table = fake->table,
                                .token = {fake->token, strlen(fake->token)},
                                .hints = fake->hints,
                                .hint_count = fake->hint_count};
    stack->root->session = fake->session;
    stack->sessions = fake->session;
    for (int side = CLIENT; side <= SERVER; side++) { /* what granted the switch came before */
        stack->root->in[side].any = 1;
        stack->root->in[side].newest.mark.time_ns = INT64_C(1000000000);
    }
    if (fake->granted)
        stack->root->grant = (struct grant){.known = 1,
                                            .waits = CLIENT,
                                            .end = fake->grant_end,
                                            .mismatch = fake->mismatch_rule != NULL};
    if (fake->granted && fake->mismatch_rule != NULL)
        stack->root->grant.mismatch_rule = *fake->mismatch_rule;
    layer_begin(stack->root, &handover);
    play_steps(fake, stack, cut);
    struct mark mark = {.packet = fake->packet + 1, .time_ns = fake->now_ns + 1000000};
    stack_close(stack, fake->end, fake->end_side, fake->idle_ns, &mark);
    stack_free(stack);
    fake->leaked = budget.used;
    fake->peak = budget.peak;
    return fake->log;
}

/* "C @0 p1 t2 s1 finding NAME f1: ..." becomes "C:NAME". */
static char *list_rules(const char *log)
{
    char *list = calloc(1, strlen(log) + 1);
    ck_assert_ptr_nonnull(list);
    size_t len = 0;
    for (const char *line = log; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        const char *finding = strstr(line, " finding ");
        if (finding != NULL && finding < end) {
            finding += strlen(" finding ");
            size_t name = strcspn(finding, " ");
            if (len > 0)
                list[len++] = ' ';
            list[len++] = line[0];
            list[len++] = ':';
            memcpy(list + len, finding, name);
            len += name;
        }
        line = end != NULL ? end + 1 : NULL;
    }
    list[len] = '\0';
    return list;
}

const char *fake_rules(struct fake *fake)
{
    static const size_t cuts[] = {0, 1, 2, 3, 7, 61};
    char *first = NULL;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        const char *log = fake_play(fake, cuts[i]);
        ck_assert_uint_eq(fake->leaked, 0);
        if (first == NULL)
            first = strdup(log);
        size_t same = 0;
        while (first[same] != '\0' && first[same] == log[same])
            same++;
        while (same > 0 && first[same - 1] != '\n')
            same--;
        ck_assert_msg(strcmp(first, log) == 0, "cut %zu differs:\n%.600s\nwhole:\n%.600s", cuts[i],
                      log + same, first + same);
    }
    free(first);
    char *list = list_rules(fake->log);
    /* The list lives behind the log. */
    size_t len = strlen(list) + 1;
    while (fake->log_len + 1 + len > fake->log_cap)
        write_log(fake, "%1000s", "");
    fake->log[fake->log_len] = '\0';
    memcpy(fake->log + fake->log_len + 1, list, len);
    free(list);
    return fake->log + fake->log_len + 1;
}
