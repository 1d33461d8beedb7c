/*
 * IMAP (RFC 9051, RFC 3501) as far as its security goes: STARTTLS, what CAPABILITY offers, logins
 * and mail in the clear. A tag names the command that an answer belongs to, whatever was pipelined;
 * literals of both sides are counted through, so that nothing in a mail is a command or an answer.
 */
#include <string.h>

#include "detail.h"
#include "starttls.h"
#include "talk.h"
#include "text.h"

enum { NAME_MOST = 80, METHOD_MOST = 64, PROBE_LINE = 1024, PROBE_MOST = 2048, TAG_MOST = 64 };

enum kind { OTHER, GREETING, CAPABILITY, STARTTLS, COMPRESS };

/* What the client's next bytes are, where they are no command. */
enum reading {
    COMMANDS,
    INVITED, /* a line or a literal, once the server says "+" to the command named by `tag` */
    ANSWER   /* that line */
};

struct imap {
    struct starttls tls;
    struct talk talk;
    enum reading reading;
    uint8_t repeats;   /* of the command that was invited: more lines may follow (AUTHENTICATE) */
    uint8_t literal;   /* what waits for the server's "+" is a literal of this length: */
    uint8_t deaf;      /* compressed from now on */
    uint8_t heard;     /* the server's first line was read */
    uint8_t data_line; /* the server's line may hold literals: no text for people */
    uint64_t len, tag;
    char greeting[NAME_MOST], host[NAME_MOST];
    size_t greeting_len, host_len;
};

/* --- recognition --- */

/* Commands that a client may begin with, and what has to follow them. */
static const struct {
    const char *word;
    int arguments; /* least number; none: these have none at all */
} commands[] = {
    {"CAPABILITY", 0}, {"NOOP", 0}, {"LOGOUT", 0}, {"STARTTLS", 0}, {"AUTHENTICATE", 1},
    {"LOGIN", 2}, {"ID", 1}, {"SELECT", 1}, {"EXAMINE", 1}, {"NAMESPACE", 0},
};

static int is_tag(struct text tag)
{
    if (tag.len == 0 || tag.len > TAG_MOST)
        return 0;
    for (size_t i = 0; i < tag.len; i++)
        if ((unsigned char)tag.data[i] < 33 || (unsigned char)tag.data[i] > 126 ||
            memchr("(){%*\"\\+", tag.data[i], 8) != NULL)
            return 0;
    return 1;
}

/* The two words that a line begins with, of which the second may not be whole yet, and the rest of
 * it. 1: the line is whole; < 0: it is none. */
static int probe_words(struct text bytes, struct text *tag, struct text *word, struct text *rest)
{
    size_t end;
    if (talk_printable(bytes, PROBE_LINE, &end) < 0)
        return -1;
    *rest = (struct text){bytes.data, end > 0 ? end - 1 : bytes.len};
    if (rest->len > 0 && rest->data[rest->len - 1] == '\r') /* the line feed may be to come */
        rest->len--;
    *tag = line_word(rest);
    *word = line_word(rest);
    return end > 0;
}

static int probe_server(struct text bytes)
{
    static const char *const greetings[] = {"OK", "PREAUTH", "BYE"};
    struct text tag, word, rest;
    int line = probe_words(bytes, &tag, &word, &rest);
    if (line < 0 || tag.len == 0 || (word.len == 0 && line > 0))
        return -1;
    if (!text_is(tag, "*")) { /* a command's answer, where the greeting was not seen */
        static const struct line_start answers[] = {{"OK ", 0}, {"NO ", 0}, {"BAD ", 0}};
        return is_tag(tag) && line_probe(word, answers, 3) == 0 ? 0 : -1;
    }
    if (line == 0)
        return bytes.len > 1 && bytes.data[1] != ' ' ? -1 : 0;
    for (size_t i = 0; i < sizeof greetings / sizeof greetings[0]; i++)
        if (text_is(word, greetings[i]))
            return 80;
    return text_is(word, "CAPABILITY") ? 90 : -1;
}

static int has_arguments(struct text rest, int least)
{
    int words = 0;
    while (line_word(&rest).len > 0)
        words++;
    return least > 0 ? words >= least : words == 0;
}

static int probe_client(struct text bytes)
{
    struct text tag, word, rest;
    int line = probe_words(bytes, &tag, &word, &rest);
    if (line < 0 || (tag.len > 0 && !is_tag(tag)) || (word.len == 0 && line > 0))
        return -1;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (line == 0 && rest.len == 0 && word.len <= strlen(commands[i].word) &&
            strncasecmp(word.data, commands[i].word, word.len) == 0)
            return 0;
        if (text_is(word, commands[i].word))
            return line == 0 ? 0 : has_arguments(rest, commands[i].arguments) ? 40 : -1;
    }
    return -1;
}

static int imap_probe(enum side side, const uint8_t *data, size_t len)
{
    struct text bytes = {(const char *)data, len < PROBE_MOST ? len : PROBE_MOST};
    return len == 0 ? 0 : side == SERVER ? probe_server(bytes) : probe_client(bytes);
}

static int imap_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct imap *m = state;
    starttls_open(&m->tls, layer);
    m->talk.unsure = !layer_from_start(layer);
    if (talk_greets(&m->talk, handover))
        talk_ask(&m->talk, GREETING, 0);
    return 0;
}

/* --- commands --- */

static void ask_tls(struct imap *m, struct text method, const struct line *line)
{
    if (method.len > METHOD_MOST)
        method.len = METHOD_MOST;
    starttls_ask_host(&m->tls, method, "TLS", talk_kept(m->host, m->host_len),
                      line->offset + line->len - 1);
}

static void invite(struct imap *m, int repeats, int literal, uint64_t len)
{
    m->reading = INVITED;
    m->repeats = (uint8_t)repeats;
    m->literal = (uint8_t)literal;
    m->len = len;
}

static void authenticate(struct imap *m, struct text rest, uint64_t offset)
{
    char what[48];
    struct text name = line_word(&rest), initial = line_word(&rest);
    invite(m, 1, 0, 0);
    starttls_login(&m->tls, talk_login(what, sizeof what, "AUTHENTICATE", name));
    if (initial.len > 0 && !text_is(initial, "="))
        starttls_secret(&m->tls, offset);
}

static struct text trimmed(struct text text)
{
    while (text.len > 0 && text.data[0] == ' ') {
        text.data++;
        text.len--;
    }
    return text;
}

static void command(struct imap *m, const struct line *line)
{
    struct text rest = line->text, tag = line_word(&rest), all = trimmed(rest);
    struct text word = line_word(&rest);
    if (word.len == 0)
        return;
    m->tag = talk_tag(tag);
    int kind = text_is(word, "STARTTLS")     ? STARTTLS
               : text_is(word, "COMPRESS")   ? COMPRESS
               : text_is(word, "CAPABILITY") ? CAPABILITY
                                             : OTHER;
    if (talk_full(&m->talk)) /* tags tell: what was never answered need not be waited for */
        talk_forget(&m->talk);
    talk_ask(&m->talk, kind, m->tag);
    if (kind == STARTTLS)
        ask_tls(m, all, line);
    else if (kind == COMPRESS)
        invite(m, 0, 0, 0);
    else if (text_is(word, "AUTHENTICATE"))
        authenticate(m, rest, line->offset);
    else if (text_is(word, "IDLE"))
        invite(m, 0, 0, 0);
    else if (text_is(word, "LOGIN"))
        starttls_clear(&m->tls, line->offset, TEXT_LITERAL("LOGIN"), 1);
    else if (text_is(word, "APPEND"))
        starttls_clear(&m->tls, line->offset, TEXT_LITERAL("APPEND"), 0);
}

/* Is the line judged by what the server said before it? */
static int is_judged(const struct line *line)
{
    struct text rest = line->text;
    (void)line_word(&rest);
    struct text word = line_word(&rest);
    return text_is(word, "LOGIN") || text_is(word, "AUTHENTICATE");
}

/* Only these answers say what it is judged by. */
static int is_behind(const struct talk *talk)
{
    return !talk->unsure && (talk_owes(talk, GREETING) || talk_owes(talk, CAPABILITY));
}

static struct result client(struct imap *m, const struct slice *slice)
{
    struct talk *talk = &m->talk;
    struct talk_line line;
    struct result result;
    uint64_t len;
    int plus;
    if (m->tls.pending) {
        result = starttls_wait(&m->tls, slice);
        if (m->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (m->deaf)
        return (struct result){.verdict = V_DONE};
    if (talk_skip(talk, CLIENT, slice, &result))
        return result;
    if (talk->unsure) {
        result = starttls_unseen(&m->tls, CLIENT, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (m->reading == INVITED)
        return (struct result){.verdict = V_WAIT_PEER};
    uint8_t inside = talk->inside[CLIENT];
    if (!talk_take(talk, CLIENT, slice, &line))
        return line_wanted(slice);
    result = (struct result){.verdict = V_OK, .consumed = line.line.len};
    if (talk->blind)
        return result;
    if (m->reading == ANSWER) {
        if (line.first && m->repeats && !text_is(line.line.text, "*")) /* which cancels */
            starttls_secret(&m->tls, line.line.offset);
        if (line.last)
            m->reading = m->repeats ? INVITED : COMMANDS;
        return result;
    }
    if (line.first && is_judged(&line.line) && is_behind(talk)) {
        talk->inside[CLIENT] = inside;
        return (struct result){.verdict = V_WAIT_PEER};
    }
    if (line.first)
        command(m, &line.line);
    if (m->reading == COMMANDS && !m->tls.pending && talk_literal(&line, &len, &plus)) {
        if (plus)
            talk_expect(talk, CLIENT, len);
        else
            invite(m, 0, 1, len);
    }
    return starttls_asked(&m->tls, line.line.len);
}

/* --- answers --- */

/* "CAPABILITY IMAP4rev1 STARTTLS", wherever the list stands. */
static void capabilities(struct imap *m, struct text text)
{
    size_t at = 0;
    while (at < text.len) {
        size_t from = at;
        while (at < text.len && memchr(" []", text.data[at], 3) == NULL)
            at++;
        if (text_is((struct text){text.data + from, at - from}, "STARTTLS"))
            starttls_offer(&m->tls);
        if (at < text.len && text.data[at] == ']')
            return;
        at++;
    }
}

static int is_status(struct text word)
{
    return text_is(word, "OK") || text_is(word, "NO") || text_is(word, "BAD") ||
           text_is(word, "BYE") || text_is(word, "PREAUTH");
}

/* "[CAPABILITY IMAP4rev1] imap.example.org ready": what is said to people. */
static struct text behind_code(struct text text)
{
    const char *end = text.len > 0 && text.data[0] == '[' ? memchr(text.data, ']', text.len) : NULL;
    return end == NULL ? text : trimmed((struct text){end + 1, text.len -
                                                               (size_t)(end + 1 - text.data)});
}

static void untagged(struct imap *m, struct text rest)
{
    struct text word = line_word(&rest), text = trimmed(rest);
    m->data_line = !is_status(word);
    if (text_is(word, "CAPABILITY") || text_begins(text, "[CAPABILITY "))
        capabilities(m, text);
    if (!m->data_line && m->talk.count > 0 && talk_answer(&m->talk, 0) == GREETING) {
        m->greeting_len = talk_keep(m->greeting, NAME_MOST, behind_code(text));
        m->host_len = talk_keep(m->host, NAME_MOST, talk_host(behind_code(text)));
    }
}

/* Returns 1 where it grants. */
static int answer_tls(struct imap *m, struct text all, const struct line *line)
{
    struct text text = all, word = line_word(&text);
    struct starttls_answer answer = {.reason = all, .begin = line->offset,
                                     .end = line->offset + line->len - 1};
    if (!m->tls.pending)
        return 0;
    if (text_is(word, "OK")) {
        starttls_grant(&m->tls, &answer);
        return 1;
    }
    text = trimmed(text);
    int down = text_begins(text, "[UNAVAILABLE]") || text_begins(text, "[SERVERBUG]");
    starttls_refuse(&m->tls, &answer, down                   ? CAUSE_UPSTREAM
                                      : text_is(word, "BAD") ? CAUSE_ROUTE
                                                             : CAUSE_UNKNOWN);
    return 0;
}

/* "a1 OK done". Returns 1 where it grants the switch. */
static int tagged(struct imap *m, struct text tag, struct text rest, const struct line *line)
{
    struct text all = trimmed(rest), word = line_word(&rest), text = trimmed(rest);
    uint64_t number = talk_tag(tag);
    if (!text_is(word, "OK") && !text_is(word, "NO") && !text_is(word, "BAD"))
        return 0;
    int kind = talk_answer(&m->talk, number);
    if (text_begins(text, "[CAPABILITY "))
        capabilities(m, text);
    (void)talk_heard(&m->talk, m->tls.layer);
    if (number == m->tag) /* what was announced will not come */
        m->reading = COMMANDS;
    if (kind == COMPRESS)
        m->deaf = (uint8_t)text_is(word, "OK");
    return kind == STARTTLS && answer_tls(m, all, line);
}

/* "+": the client may go on. */
static void invited(struct imap *m)
{
    if (m->reading != INVITED)
        return;
    m->reading = m->literal ? COMMANDS : ANSWER;
    if (m->literal)
        talk_expect(&m->talk, CLIENT, m->len);
    m->literal = 0;
}

/* A line that only says something where the command it answers was read. */
static int is_early(const struct imap *m, const struct line *line)
{
    struct text rest = line->text;
    return !text_is(line_word(&rest), "*") && talk_early(&m->talk);
}

static struct result server(struct imap *m, const struct slice *slice)
{
    struct talk *talk = &m->talk;
    struct talk_line line;
    struct result result;
    uint64_t len;
    int plus, grants = 0;
    if (m->deaf)
        return (struct result){.verdict = V_DONE};
    if (talk_skip(talk, SERVER, slice, &result))
        return result;
    if (talk->unsure) {
        result = starttls_unseen(&m->tls, SERVER, slice);
        if (result.verdict != V_OK)
            return result;
    }
    uint8_t inside = talk->inside[SERVER];
    if (!talk_take(talk, SERVER, slice, &line))
        return line_wanted(slice);
    if (line.first && is_early(m, &line.line)) {
        talk->inside[SERVER] = inside;
        return (struct result){.verdict = V_WAIT_PEER};
    }
    if (line.first) {
        struct text rest = line.line.text, word = line_word(&rest);
        m->data_line = 0;
        if (text_is(word, "*"))
            untagged(m, rest);
        else if (text_is(word, "+"))
            invited(m);
        else
            grants = tagged(m, word, rest, &line.line);
        if (!m->heard && talk_next(talk) == GREETING) /* there is none behind STARTTLS */
            talk_forget(talk);
        m->heard = 1;
    }
    if (m->data_line && talk_literal(&line, &len, &plus))
        talk_expect(talk, SERVER, len);
    return (struct result){.verdict = grants ? V_SWITCHED : V_OK, .consumed = line.line.len};
}

static struct result imap_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    (void)layer;
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Lines are found again at the next line end. Commands that were asked are still answered by their
 * tags. */
static struct result imap_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct imap *m = state;
    uint8_t asked = m->talk.count;
    (void)layer;
    (void)offset;
    if (talk_gap(&m->talk, side, len))
        return (struct result){.verdict = V_OK};
    m->talk.count = asked;
    m->data_line = 0;
    if (side == CLIENT) {
        m->reading = COMMANDS;
        starttls_tear(&m->tls);
        return (struct result){.verdict = V_OK};
    }
    starttls_lose(&m->tls);
    if (m->reading == INVITED && m->literal) /* most likely: mail must not be read as commands */
        invited(m);
    else
        m->reading = COMMANDS;
    return (struct result){.verdict = V_OK};
}

static void imap_close(struct layer *layer, void *state)
{
    const struct imap *m = state;
    struct detail detail = {.len = 0};
    if (m->greeting_len == 0)
        return;
    detail_text(&detail, "greeting", (struct text){m->greeting, m->greeting_len});
    layer_detail(layer, detail_json(&detail));
}

const struct dissector imap_dissector = {
    .name = "imap",
    .state_size = sizeof(struct imap),
    .probe = imap_probe,
    .open = imap_open,
    .data = imap_data,
    .gap = imap_gap,
    .close = imap_close,
};
