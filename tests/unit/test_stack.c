/*
 * The engine: probing, holding, waiting for the peer, switching, gaps, ends. Conversations are fed
 * whole, byte by byte and cut in two at every place, and have to give the same events. The
 * dissector that is switched to is template.c, behind HTTP.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/registry.h"
#include "../../dissectors/stack.h"

Suite *stack_suite(void);

#define ASK \
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" \
    "Upgrade: switchtap-template\r\n\r\n"
#define GRANT \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" \
    "Upgrade: switchtap-template\r\n\r\n"

struct tape {
    char text[8192];
    size_t len;
};

static struct budget budget;
static struct dissect_options options;

static void note(struct tape *tape, const char *what, const char *a, size_t len, char between,
                 uint64_t n)
{
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(len < 60 ? len : 60), a != NULL ? a : "-");
    size_t room = sizeof tape->text - tape->len;
    int wrote = snprintf(tape->text + tape->len, room, "%s%s%c%llu ", what, word, between,
                         (unsigned long long)n);
    ck_assert_int_lt(wrote, (int)room);
    tape->len += (size_t)wrote;
}

static void record(void *flow, struct event *event)
{
    struct tape *tape = flow;
    struct text t;
    switch (event->kind) {
    case EVENT_LAYER_OPEN:
        t = event->u.layer_open.protocol;
        note(tape, "open ", t.data, t.len, '@', event->u.layer_open.offset[CLIENT]);
        break;
    case EVENT_LAYER_CLOSE:
        t = event->u.layer_close.protocol;
        note(tape, "close ", t.data, t.len, ':', event->layer);
        break;
    case EVENT_SESSION_OPEN:
        t = event->u.session_open.offered;
        note(tape, "ask ", t.data, t.len, '@', event->session);
        break;
    case EVENT_SESSION_ANSWER:
        t = event->u.session_answer.accepted;
        note(tape, "answer ", t.data, t.len, '=', (uint64_t)event->u.session_answer.outcome);
        break;
    case EVENT_SESSION_SWITCH:
        note(tape, "switch", "", 0, ' ', event->u.session_switch.successor);
        break;
    case EVENT_FINDING:
        if (event->u.finding.rule != RULE_SERVER_DATA_WITH_101 && /* HTTP's own */
            event->u.finding.rule != RULE_UPGRADE_TOKEN_UNREGISTERED) {
            const char *name = rule_table[event->u.finding.rule].name;
            note(tape, "", name, strlen(name), '@', event->offset);
        }
        break;
    default:
        break;
    }
}

static const struct stack_host host = {.emit = record};

static void setup(void)
{
    budget_init(&budget, 1 << 22, NULL);
    options = (struct dissect_options){.payload = 1024, .frames = 1, .message_limit = 1 << 20,
                                       .frame_limit = 1 << 20, .ratio_limit = 100,
                                       .ping_timeout_ns = 30000000000, .hold_limit = 65536,
                                       .depth_limit = 16};
}

/* A turn is ">bytes" or "<bytes"; "<gap N" and ">gap N" lose N bytes. */
struct turn {
    enum side side;
    const char *bytes;
    size_t len, gap;
    size_t seen; /* of the peer's bytes it acknowledges only these; 0: all */
};

#define C(s) {CLIENT, s, sizeof(s) - 1, 0, 0}
#define C_SEEN(s, n) {CLIENT, s, sizeof(s) - 1, 0, n}
#define S(s) {SERVER, s, sizeof(s) - 1, 0, 0}
#define C_GAP(n) {CLIENT, NULL, 0, n, 0}
#define S_GAP(n) {SERVER, NULL, 0, n, 0}

/* How the bytes of a turn are cut: size 0 whole, else pieces of that size; or once, at `at`. */
static void play(struct tape *tape, const struct turn *turns, size_t count, size_t size, size_t at)
{
    memset(tape, 0, sizeof *tape);
    struct stack *stack = stack_new(&host, tape, &options, &budget, 1);
    uint64_t sent[2] = {0, 0}, packet = 0;
    for (size_t i = 0; i < count; i++) {
        const struct turn *t = &turns[i];
        uint64_t acked = t->seen > 0 ? t->seen : sent[side_peer(t->side)];
        if (t->gap > 0) {
            struct mark mark = {.packet = ++packet, .acked = acked, .acked_valid = 1};
            stack_gap(stack, t->side, t->gap, &mark);
            sent[t->side] += t->gap;
        }
        for (size_t from = 0; from < t->len;) {
            size_t piece = size > 0 ? size : at > from && at < t->len ? at - from : t->len - from;
            if (piece > t->len - from)
                piece = t->len - from;
            struct mark mark = {.packet = ++packet, .acked = acked, .acked_valid = 1,
                                .root_offset = sent[t->side]};
            uint8_t *copy = malloc(piece); /* so that a sanitizer sees any step beyond */
            memcpy(copy, t->bytes + from, piece);
            stack_data(stack, t->side, copy, piece, &mark);
            free(copy);
            from += piece;
            sent[t->side] += piece;
        }
    }
    struct mark end = {.packet = packet};
    stack_close(stack, SESSION_END_CAPTURE, NEITHER, 0, &end);
    stack_free(stack);
    ck_assert_uint_eq(budget.used, 0);
}

static void expect(const struct turn *turns, size_t count, const char *want)
{
    struct tape tape;
    play(&tape, turns, count, 0, 0);
    ck_assert_str_eq(tape.text, want);
    play(&tape, turns, count, 1, 0);
    ck_assert_str_eq(tape.text, want);
    for (size_t at = 1; at < 120; at++) {
        play(&tape, turns, count, 0, at);
        ck_assert_str_eq(tape.text, want);
    }
}

#define EXPECT(turns, want) expect(turns, sizeof turns / sizeof turns[0], want)

START_TEST(a_switch_moves_the_rest_to_the_successor)
{
    const struct turn turns[] = {C(ASK), S(GRANT "hello\n"), C("SWITCH nothing\n"), S("NO\n"),
                                 C("SWITCH websocket\n")};
    EXPECT(turns, "open http1@0 ask switchtap-template@1 "
                  "answer switchtap-template=1 close http1:1 open template@77 switch 2 "
                  "ask nothing@2 answer =2 ask websocket@3 close template:2 ");
}
END_TEST

START_TEST(a_successor_switches_again)
{
    const struct turn turns[] = {C(ASK), S(GRANT), C("SWITCH switchtap-template\nSWITCH x\n"),
                                 S("OK\n")};
    EXPECT(turns, "open http1@0 ask switchtap-template@1 "
                  "answer switchtap-template=1 close http1:1 open template@77 switch 2 "
                  "ask switchtap-template@2 answer switchtap-template=1 close template:2 "
                  "open template@103 switch 3 ask x@3 close template:3 ");
}
END_TEST

START_TEST(what_was_sent_too_early_is_told_once)
{
    const struct turn turns[] = {C(ASK), C("SWITCH early\n"), S(GRANT), C("SWITCH late\n")};
    EXPECT(turns, "open http1@0 ask switchtap-template@1 "
                  "answer switchtap-template=1 close http1:1 open template@77 switch 2 "
                  "optimistic-data-before-101@77 ask early@2 close template:2 ");
}
END_TEST

/* The server's bytes go on behind the grant; who has seen just the grant may speak. */
START_TEST(who_has_seen_the_grant_is_not_early)
{
    const struct turn turns[] = {C(ASK), S(GRANT "hello\n"),
                                 C_SEEN("SWITCH now\n", sizeof GRANT - 1)};
    EXPECT(turns, "open http1@0 ask switchtap-template@1 "
                  "answer switchtap-template=1 close http1:1 open template@77 switch 2 "
                  "ask now@2 close template:2 ");
    const struct turn early[] = {C(ASK), S(GRANT "hello\n"),
                                 C_SEEN("SWITCH now\n", sizeof GRANT - 2)};
    EXPECT(early, "open http1@0 ask switchtap-template@1 "
                  "answer switchtap-template=1 close http1:1 open template@77 switch 2 "
                  "optimistic-data-before-101@77 ask now@2 close template:2 ");
}
END_TEST

START_TEST(lost_bytes_end_in_opaque)
{
    static char line[700];
    memset(line, 'x', sizeof line);
    const struct turn turns[] = {C(ASK), S(GRANT), {CLIENT, line, sizeof line, 0, 0}, S("bytes")};
    EXPECT(turns, "open http1@0 ask switchtap-template@1 "
                  "answer switchtap-template=1 close http1:1 open template@77 switch 2 "
                  "close opaque:2 ");
}
END_TEST

START_TEST(a_gap_is_survived)
{
    const struct turn turns[] = {C(ASK), S(GRANT "begin"), S_GAP(10), S("end\n"),
                                 C("SWITCH after\n")};
    EXPECT(turns, "open http1@0 ask switchtap-template@1 "
                  "answer switchtap-template=1 close http1:1 open template@77 switch 2 "
                  "ask after@2 close template:2 ");
}
END_TEST

START_TEST(first_bytes_tell_the_root)
{
    const struct turn ssh[] = {S("SSH-2.0-OpenSSH_9\r\n"), C("SSH-2.0-client\r\n")};
    EXPECT(ssh, "open ssh@0 close ssh:1 ");
    const struct turn noise[] = {C("\x01\x02\x03\x04"), S("\x05")};
    EXPECT(noise, "open opaque@0 close opaque:1 ");
    const struct turn hello[] = {C("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")};
    EXPECT(hello, "open tls@0 close tls:1 ");
    const struct turn cut[] = {C("GET /never/ended")};
    EXPECT(cut, "open opaque@0 close opaque:1 ");
}
END_TEST

START_TEST(a_protocol_with_nothing_to_learn_is_done)
{
    struct tape tape = {0};
    struct stack *stack = stack_new(&host, &tape, &options, &budget, 1);
    struct mark mark = {.packet = 1};
    stack_data(stack, CLIENT, (const uint8_t *)"SSH-2.0-client\r\n", 16, &mark);
    ck_assert(stack_done(stack));
    stack_close(stack, SESSION_END_FIN, CLIENT, 0, &mark);
    stack_free(stack);
}
END_TEST

START_TEST(no_memory_is_no_crash)
{
    for (size_t limit = 0; limit < 8000; limit += 97) {
        struct tape tape = {0};
        budget_init(&budget, limit, NULL);
        struct stack *stack = stack_new(&host, &tape, &options, &budget, 1);
        if (stack == NULL)
            continue;
        struct mark mark = {.packet = 1};
        for (size_t i = 0; i < sizeof ASK - 1; i++)
            stack_data(stack, CLIENT, (const uint8_t *)ASK + i, 1, &mark);
        for (size_t i = 0; i < sizeof GRANT - 1; i++)
            stack_data(stack, SERVER, (const uint8_t *)GRANT + i, 1, &mark);
        stack_data(stack, CLIENT, (const uint8_t *)"SWITCH x\n", 9, &mark);
        stack_close(stack, SESSION_END_FIN, CLIENT, 0, &mark);
        stack_free(stack);
        ck_assert_uint_eq(budget.used, 0);
    }
}
END_TEST

START_TEST(senders_are_guessed_by_content)
{
    const struct {
        const char *bytes;
        enum side side;
    } cases[] = {{"GET / HTTP/1.1\r\n", CLIENT},
                 {"HTTP/1.1 101 Switching", SERVER},
                 {"SSH-2.0-x\r\n", NEITHER},
                 {"\x01\x02", NEITHER}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_int_eq(stack_guess_sender((const uint8_t *)cases[i].bytes,
                                            strlen(cases[i].bytes)),
                         cases[i].side);
}
END_TEST

START_TEST(successors_come_from_the_table)
{
    const char *const rows[][2] = {{"WebSocket", "websocket"}, {"TLS/1.3", "tls"},
                                   {"h2c", "http2"},           {"SPDY/3.1", "spdy"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text token = {rows[i][0], strlen(rows[i][0])};
        ck_assert(text_is(registry_successor("http.upgrade", token), rows[i][1]));
    }
    ck_assert_ptr_null(registry_successor("http.upgrade", TEXT_LITERAL("foo/2")).data);
    ck_assert_ptr_null(registry_successor("no.table", TEXT_LITERAL("websocket")).data);
}
END_TEST

Suite *stack_suite(void)
{
    Suite *suite = suite_create("stack");
    TCase *tcase = tcase_create("stack");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, a_switch_moves_the_rest_to_the_successor);
    tcase_add_test(tcase, a_successor_switches_again);
    tcase_add_test(tcase, what_was_sent_too_early_is_told_once);
    tcase_add_test(tcase, who_has_seen_the_grant_is_not_early);
    tcase_add_test(tcase, lost_bytes_end_in_opaque);
    tcase_add_test(tcase, a_gap_is_survived);
    tcase_add_test(tcase, first_bytes_tell_the_root);
    tcase_add_test(tcase, a_protocol_with_nothing_to_learn_is_done);
    tcase_add_test(tcase, no_memory_is_no_crash);
    tcase_add_test(tcase, senders_are_guessed_by_content);
    tcase_add_test(tcase, successors_come_from_the_table);
    suite_add_tcase(suite, tcase);
    return suite;
}
