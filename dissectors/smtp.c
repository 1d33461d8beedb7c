/*
 * SMTP (RFC 5321) and LMTP (RFC 2033) as far as their security goes: STARTTLS (RFC 3207), AUTH (RFC
 * 4954) and mail in the clear. Each reply is matched to its command; mail, whether behind DATA or
 * in chunks (BDAT, RFC 3030), is passed over, so that nothing in it is taken for a command.
 */
#include <string.h>

#include "detail.h"
#include "starttls.h"
#include "talk.h"
#include "text.h"

enum { NAME_MOST = 80, METHOD_MOST = 64, PROBE_LINE = 1024, PROBE_MOST = 4096, RCPT_MOST = 60000 };

enum kind { OTHER, GREETING, HELLO, STARTTLS, AUTH, FROM, RCPT, DATA, MAIL_END };

/* What the client's next bytes are. */
enum reading { COMMANDS, AFTER_DATA /* the server decides */, MAIL, AFTER_AUTH, SECRET };

struct smtp {
    struct starttls tls;
    struct talk talk;
    enum reading reading;
    uint8_t lmtp;
    uint8_t owed_more;   /* the reply that is being read has lines to come */
    uint16_t recipients; /* accepted ones, of the mail that is being sent: LMTP answers for each */
    uint16_t answers;    /* replies of that mail which are still owed */
    uint64_t begin;      /* of the reply that is being read */
    char greeting[NAME_MOST], client[NAME_MOST], host[NAME_MOST];
    size_t greeting_len, client_len, host_len;
};

/* --- recognition --- */

static struct text line_at(struct text bytes, size_t end)
{
    size_t len = end;
    while (len > 0 && (bytes.data[len - 1] == '\n' || bytes.data[len - 1] == '\r'))
        len--;
    return (struct text){bytes.data, len};
}

/* A greeting that names no protocol is FTP's as well: the client tells. Behind an answer that was
 * not seen from the start, TLS in it does. */
static int greeting_of(int code, struct text text)
{
    static const char *const go[] = {"start TLS", "STARTTLS", "TLS go ahead", "ready for TLS"};
    if (text_contains(text, "SMTP") || text_contains(text, "LMTP"))
        return code == 220 ? 85 : 60;
    for (size_t i = 0; code == 220 && i < sizeof go / sizeof go[0]; i++)
        if (text_contains(text, go[i]))
            return 50;
    return code == 220 && text_begins(text, "2.0.0 ") ? 50 : 0;
}

static int is_reply_begin(struct text bytes)
{
    static const char *const codes[] = {"220", "250", "421", "454", "5"};
    size_t len = bytes.len < 3 ? bytes.len : 3;
    for (size_t i = 0; i < len; i++)
        if (bytes.data[i] < '0' || bytes.data[i] > '9')
            return 0;
    if (bytes.len > 3 && memchr(" -\r\n", bytes.data[3], 4) == NULL)
        return 0;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        size_t part = strlen(codes[i]) < len ? strlen(codes[i]) : len;
        if (memcmp(bytes.data, codes[i], part) == 0)
            return 1;
    }
    return 0;
}

static int probe_server(struct text bytes)
{
    int greeted = 0, code = 0, more = 0;
    for (size_t seen = 0; bytes.len > 0; seen++) {
        size_t end;
        struct text text;
        if ((seen == 0 && !is_reply_begin(bytes)) ||
            talk_printable(bytes, PROBE_LINE, &end) < 0 || seen > 64)
            return -1;
        if (end == 0)
            return 0;
        code = line_code(line_at(bytes, end), &more, &text);
        if (code < 0)
            return -1;
        int sure = greeted ? (code == 250 ? 60 : -1) : greeting_of(code, text);
        if (sure != 0)
            return sure;
        greeted |= code == 220 && !more; /* the next reply is to EHLO; FTP has no 250 there */
        bytes = (struct text){bytes.data + end, bytes.len - end};
    }
    return 0;
}

static const struct line_start openings[] = {
    {"EHLO ", 85}, {"HELO ", 70}, {"LHLO ", 90}, {"EHLO\r", 50}, {"HELO\r", 50}, {"EHLO\n", 50},
    {"HELO\n", 50}, {"MAIL FROM:", 75}, {"RCPT TO:", 60}, {"STARTTLS", 0}, {"QUIT\r\n", 0},
    {"NOOP\r\n", 0}, {"RSET\r\n", 0}, {"XCLIENT ", 60}, {"XFORWARD ", 60},
};

/* A STARTTLS alone is also that of NNTP, IRC and ManageSieve, whose server says so. */
static int probe_client(struct text bytes)
{
    size_t end;
    int is = line_probe(bytes, openings, sizeof openings / sizeof openings[0]);
    if (is < 0 || talk_printable(bytes, PROBE_LINE, &end) < 0)
        return -1;
    if (end == 0)
        return 0;
    if (is > 0)
        return is;
    struct text rest = {bytes.data + end, bytes.len - end};
    if (!text_is(line_at(bytes, end), "STARTTLS"))
        return text_begins(bytes, "STARTTLS") ? -1 : 0;
    if (rest.len < 3)
        return 0;
    if (rest.data[0] == 22 && rest.data[1] == 3)
        return 20;
    is = line_probe(rest, openings, sizeof openings / sizeof openings[0]);
    return is > 0 && talk_printable(rest, PROBE_LINE, &end) == 0 && end > 0 ? is : is < 0 ? -1 : 0;
}

static int smtp_probe(enum side side, const uint8_t *data, size_t len)
{
    struct text bytes = {(const char *)data, len < PROBE_MOST ? len : PROBE_MOST};
    return len == 0 ? 0 : side == SERVER ? probe_server(bytes) : probe_client(bytes);
}

static int smtp_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct smtp *s = state;
    starttls_open(&s->tls, layer);
    s->talk.unsure = !layer_from_start(layer);
    if (talk_greets(&s->talk, handover))
        talk_ask(&s->talk, GREETING, 0);
    return 0;
}

/* --- commands --- */

static void hello(struct smtp *s, struct text name, int lmtp)
{
    s->lmtp = (uint8_t)lmtp;
    s->client_len = talk_keep(s->client, NAME_MOST, line_word(&name));
    talk_ask(&s->talk, HELLO, 0);
}

static void ask_tls(struct smtp *s, const struct line *line)
{
    struct text method = line->text;
    if (method.len > METHOD_MOST)
        method.len = METHOD_MOST;
    talk_ask(&s->talk, STARTTLS, 0);
    starttls_ask_host(&s->tls, method, "TLS", talk_kept(s->host, s->host_len),
                      line->offset + line->len - 1);
}

static void authenticate(struct smtp *s, struct text rest, uint64_t offset)
{
    char what[32];
    struct text name = line_word(&rest), initial = line_word(&rest);
    talk_ask(&s->talk, AUTH, 0);
    s->reading = AFTER_AUTH;
    starttls_login(&s->tls, talk_login(what, sizeof what, "AUTH", name));
    if (initial.len > 0 && !text_is(initial, "="))
        starttls_secret(&s->tls, offset);
}

/* "1000 LAST": so many bytes of mail are next. */
static void chunk(struct smtp *s, struct text rest)
{
    struct text size = line_word(&rest), last = line_word(&rest);
    uint64_t len = 0;
    for (size_t i = 0; i < size.len && i < 18 && size.data[i] >= '0' && size.data[i] <= '9'; i++)
        len = len * 10 + (uint64_t)(size.data[i] - '0');
    s->talk.skip[CLIENT] = len;
    talk_ask(&s->talk, s->lmtp && text_is(last, "LAST") ? MAIL_END : OTHER, 0);
}

static void command(struct smtp *s, const struct line *line)
{
    struct text rest = line->text, word = line_word(&rest);
    if (text_is(word, "EHLO") || text_is(word, "HELO") || text_is(word, "LHLO")) {
        hello(s, rest, text_is(word, "LHLO"));
    } else if (text_is(word, "STARTTLS") || text_is(word, "X-ANONYMOUSTLS")) {
        ask_tls(s, line);
    } else if (text_is(word, "AUTH")) {
        authenticate(s, rest, line->offset);
    } else if (text_is(word, "DATA")) {
        talk_ask(&s->talk, DATA, 0);
        s->reading = AFTER_DATA;
        s->talk.bare[CLIENT] = (uint8_t)line->bare_lf;
    } else if (text_is(word, "BDAT")) {
        chunk(s, rest);
    } else if (text_is(word, "RCPT")) {
        talk_ask(&s->talk, RCPT, 0);
    } else if (text_is(word, "MAIL")) {
        talk_ask(&s->talk, FROM, 0);
        starttls_clear(&s->tls, line->offset, TEXT_LITERAL("MAIL FROM"), 0);
    } else {
        talk_ask(&s->talk, text_is(word, "RSET") ? FROM : OTHER, 0);
    }
}

static struct result mail(struct smtp *s, const struct slice *slice)
{
    int ended;
    struct result result = talk_text(&s->talk, CLIENT, slice, &ended);
    if (ended) {
        s->reading = COMMANDS;
        talk_ask(&s->talk, MAIL_END, 0);
    }
    return result;
}

/* Is the line judged by what the server said before it? */
static int is_judged(const struct line *line)
{
    struct text rest = line->text;
    return text_is(line_word(&rest), "AUTH");
}

static struct result client(struct smtp *s, const struct slice *slice)
{
    struct talk *talk = &s->talk;
    struct talk_line line;
    struct result result;
    if (s->tls.pending) {
        result = starttls_wait(&s->tls, slice);
        if (s->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (talk_skip(talk, CLIENT, slice, &result))
        return result;
    if (s->reading == MAIL)
        return mail(s, slice);
    if (talk->unsure) {
        result = starttls_unseen(&s->tls, CLIENT, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (s->reading == AFTER_DATA || s->reading == AFTER_AUTH || talk_full(talk))
        return (struct result){.verdict = V_WAIT_PEER};
    uint8_t inside = talk->inside[CLIENT];
    if (!talk_take(talk, CLIENT, slice, &line))
        return line_wanted(slice);
    result = (struct result){.verdict = V_OK, .consumed = line.line.len};
    if (!line.first || talk->blind)
        return result;
    if (s->reading == SECRET) {
        if (!text_is(line.line.text, "*")) /* which cancels */
            starttls_secret(&s->tls, line.line.offset);
        talk_ask(talk, AUTH, 0);
        s->reading = AFTER_AUTH;
    } else if (is_judged(&line.line) && talk_behind(talk)) {
        talk->inside[CLIENT] = inside;
        return (struct result){.verdict = V_WAIT_PEER};
    } else if (line.line.text.len > 0) {
        command(s, &line.line);
    }
    return starttls_asked(&s->tls, line.line.len);
}

/* --- replies --- */

static int is_greeting(int code)
{
    return code == 220 || code == 421 || code == 554;
}

static enum cause cause_of(int code)
{
    switch (code) {
    case 421:
    case 451:
    case 454:
        return CAUSE_UPSTREAM;
    case 501:
    case 503:
        return CAUSE_BAD_REQUEST;
    case 500:
    case 502:
    case 504:
        return CAUSE_ROUTE;
    case 530:
    case 535:
    case 538:
        return CAUSE_AUTH;
    default:
        return CAUSE_UNKNOWN;
    }
}

/* Returns 1 where it grants. */
static int answer_tls(struct smtp *s, int code, struct text text, const struct line *line)
{
    struct starttls_answer answer = {.status = code, .reason = text, .begin = s->begin,
                                     .end = line->offset + line->len - 1};
    int grants = s->talk.unsure ? code == 220 : code / 100 == 2;
    if (!s->tls.pending || (!grants && (s->tls.lost || (s->talk.unsure && code < 400))))
        return 0;
    if (grants)
        starttls_grant(&s->tls, &answer);
    else
        starttls_refuse(&s->tls, &answer, cause_of(code));
    return grants;
}

/* Behind a mail, LMTP has one reply for each recipient. */
static void mail_answered(struct smtp *s)
{
    if (s->answers == 0)
        s->answers = s->lmtp && s->recipients > 0 ? s->recipients : 1;
    if (--s->answers > 0 && !talk_full(&s->talk)) {
        memmove(&s->talk.kind[1], s->talk.kind, s->talk.count); /* it is the oldest still */
        memmove(&s->talk.tag[1], s->talk.tag, s->talk.count * sizeof s->talk.tag[0]);
        s->talk.kind[0] = MAIL_END;
        s->talk.tag[0] = 0;
        s->talk.count++;
    } else {
        s->recipients = s->answers = 0;
    }
}

/* A reply is complete. Returns 1 where it grants the switch. */
static int reply(struct smtp *s, int code, struct text text, const struct line *line)
{
    /* A connection that is picked up behind a switch that came to nothing has no greeting. */
    if (talk_next(&s->talk) == GREETING && s->talk.count > 1 && !is_greeting(code))
        talk_forget(&s->talk);
    int kind = talk_answer(&s->talk, 0);
    if (talk_heard(&s->talk, s->tls.layer)) /* whatever it answers: a command is next */
        s->reading = COMMANDS;
    if (s->talk.unsure && code == 354)
        s->reading = MAIL;
    switch (kind) {
    case STARTTLS:
        return answer_tls(s, code, text, line);
    case AUTH:
        s->reading = code == 334 ? SECRET : COMMANDS;
        break;
    case DATA:
        s->reading = code == 354 ? MAIL : COMMANDS;
        break;
    case RCPT:
        s->recipients = (uint16_t)(s->recipients + (code / 100 == 2 && s->recipients < RCPT_MOST));
        break;
    case MAIL_END:
        mail_answered(s);
        break;
    case HELLO:
    case FROM:
        s->recipients = 0;
        break;
    case -1:
        return s->tls.pending && answer_tls(s, code, text, line);
    default:
        break;
    }
    return 0;
}

/* What a line of a reply tells beside its code. */
static void notice(struct smtp *s, int code, struct text text, int first)
{
    int kind = talk_next(&s->talk);
    struct text rest = text, host = first ? talk_host(text) : TEXT_NONE;
    if (code == 250 && (kind == HELLO || (kind < 0 && s->talk.unsure)) &&
        text_is(line_word(&rest), "STARTTLS"))
        starttls_offer(&s->tls);
    if (kind == GREETING && s->greeting_len == 0 && is_greeting(code))
        s->greeting_len = talk_keep(s->greeting, NAME_MOST, text);
    if (host.len > 0 && ((kind == GREETING && code == 220) || (kind == HELLO && code == 250)))
        s->host_len = talk_keep(s->host, NAME_MOST, host);
}

static struct result server(struct smtp *s, const struct slice *slice)
{
    struct talk *talk = &s->talk;
    struct talk_line line;
    struct result result;
    struct text text;
    int more = 0;
    if (talk_early(talk))
        return (struct result){.verdict = V_WAIT_PEER};
    if (talk->unsure) {
        result = starttls_unseen(&s->tls, SERVER, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (!talk_take(talk, SERVER, slice, &line))
        return line_wanted(slice);
    result = (struct result){.verdict = V_OK, .consumed = line.line.len};
    int code = line.first ? line_code(line.line.text, &more, &text) : -1;
    if (code < 0) /* no line of a reply: nothing to go by */
        return result;
    if (!s->owed_more)
        s->begin = line.line.offset;
    notice(s, code, text, !s->owed_more);
    s->owed_more = (uint8_t)more;
    if (!more && reply(s, code, text, &line.line))
        result.verdict = V_SWITCHED;
    return result;
}

static struct result smtp_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    (void)layer;
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Lines are found again at the next line end. */
static struct result smtp_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct smtp *s = state;
    (void)layer;
    (void)offset;
    if (talk_gap(&s->talk, side, len))
        return (struct result){.verdict = V_OK};
    s->owed_more = 0;
    s->answers = 0;
    if (side == SERVER) {
        starttls_lose(&s->tls);
        if (s->reading == AFTER_DATA) /* most likely, and mail must not be read as commands */
            s->reading = MAIL;
        else if (s->reading != MAIL)
            s->reading = COMMANDS;
    } else if (s->tls.pending) {
        starttls_tear(&s->tls);
    }
    return (struct result){.verdict = V_OK};
}

static void smtp_close(struct layer *layer, void *state)
{
    const struct smtp *s = state;
    struct detail detail = {.len = 0};
    if (s->greeting_len > 0)
        detail_text(&detail, "greeting", (struct text){s->greeting, s->greeting_len});
    if (s->client_len > 0)
        detail_text(&detail, "client", (struct text){s->client, s->client_len});
    if (s->lmtp)
        detail_text(&detail, "variant", TEXT_LITERAL("LMTP"));
    if (detail.len > 0)
        layer_detail(layer, detail_json(&detail));
}

const struct dissector smtp_dissector = {
    .name = "smtp",
    .state_size = sizeof(struct smtp),
    .probe = smtp_probe,
    .open = smtp_open,
    .data = smtp_data,
    .gap = smtp_gap,
    .close = smtp_close,
};
