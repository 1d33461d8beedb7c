/*
 * POP3 (RFC 1939) as far as its security goes: STLS (RFC 2595), what CAPA (RFC 2449) offers, and
 * logins in the clear. Replies come in the order of the commands; what follows a reply of several
 * lines is passed over up to its dot, so that nothing in a mail is taken for a reply.
 */
#include <string.h>

#include "detail.h"
#include "starttls.h"
#include "talk.h"
#include "text.h"

enum { NAME_MOST = 80, METHOD_MOST = 64, PROBE_LINE = 512, PROBE_MOST = 1024 };

enum kind { OTHER, GREETING, CAPA, TEXT, STLS, AUTH };

struct pop3 {
    struct starttls tls;
    struct talk talk;
    uint8_t auth;   /* the client waits for what the server says to AUTH */
    uint8_t secret; /* its next line is no command */
    uint8_t text;   /* the server's next bytes: kind of the command, TEXT or CAPA; 0: replies */
    char greeting[NAME_MOST], host[NAME_MOST];
    size_t greeting_len, host_len;
};

/* --- recognition --- */

/* "+OK" alone is also what Redis says. */
static int probe_server(struct text bytes)
{
    static const struct line_start starts[] = {{"+OK", 0}, {"-ERR", 0}};
    size_t end;
    if (line_probe(bytes, starts, 2) < 0 || talk_printable(bytes, PROBE_LINE, &end) < 0)
        return -1;
    if (end == 0)
        return 0;
    struct text line = {bytes.data, end}, rest = line, status = line_word(&rest);
    struct text word = line_word(&rest);
    if (!text_is(status, "+OK") || word.len == 0 || word.data[0] == '\r' || word.data[0] == '\n')
        return 0;
    return text_contains(line, "POP") || memchr(line.data, '@', line.len) != NULL ? 85 : 40;
}

static int probe_client(struct text bytes)
{
    static const struct line_start words[] = {
        {"CAPA\r\n", 70}, {"CAPA\n", 60}, {"STLS\r\n", 80}, {"STLS\n", 70}, {"APOP ", 60},
        {"UIDL\r\n", 50}, {"USER ", 20}, {"AUTH\r\n", 20}, {"AUTH PLAIN", 20}, {"AUTH LOGIN", 20},
        {"AUTH ", 0}, {"QUIT\r\n", 0}, {"NOOP\r\n", 0}, {"UTF8\r\n", 50},
    };
    size_t end;
    int is = line_probe(bytes, words, sizeof words / sizeof words[0]);
    if (is < 0 || talk_printable(bytes, PROBE_LINE, &end) < 0)
        return -1;
    return end > 0 ? is : 0;
}

static int pop3_probe(enum side side, const uint8_t *data, size_t len)
{
    struct text bytes = {(const char *)data, len < PROBE_MOST ? len : PROBE_MOST};
    return len == 0 ? 0 : side == SERVER ? probe_server(bytes) : probe_client(bytes);
}

static int pop3_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct pop3 *p = state;
    starttls_open(&p->tls, layer);
    p->talk.unsure = !layer_from_start(layer);
    if (talk_greets(&p->talk, handover))
        talk_ask(&p->talk, GREETING, 0);
    return 0;
}

/* --- commands --- */

static void ask_tls(struct pop3 *p, const struct line *line)
{
    struct text method = line->text;
    if (method.len > METHOD_MOST)
        method.len = METHOD_MOST;
    talk_ask(&p->talk, STLS, 0);
    starttls_ask_host(&p->tls, method, "TLS", talk_kept(p->host, p->host_len),
                      line->offset + line->len - 1);
}

static void authenticate(struct pop3 *p, struct text name, struct text initial, uint64_t offset)
{
    char what[32];
    p->auth = 1;
    talk_ask(&p->talk, AUTH, 0);
    starttls_login(&p->tls, talk_login(what, sizeof what, "AUTH", name));
    if (initial.len > 0 && !text_is(initial, "="))
        starttls_secret(&p->tls, offset);
}

static void command(struct pop3 *p, const struct line *line)
{
    struct text rest = line->text, word = line_word(&rest), argument = line_word(&rest);
    int alone = argument.len == 0;
    if (text_is(word, "STLS")) {
        ask_tls(p, line);
    } else if (text_is(word, "AUTH") && !alone) {
        authenticate(p, argument, line_word(&rest), line->offset);
    } else if (text_is(word, "CAPA")) {
        talk_ask(&p->talk, CAPA, 0);
    } else if (text_is(word, "RETR") || text_is(word, "TOP") ||
               (alone && (text_is(word, "LIST") || text_is(word, "UIDL") ||
                          text_is(word, "AUTH") || text_is(word, "LANG")))) {
        talk_ask(&p->talk, TEXT, 0);
    } else {
        talk_ask(&p->talk, OTHER, 0);
        if (text_is(word, "PASS"))
            starttls_clear(&p->tls, line->offset, TEXT_LITERAL("USER and PASS"), 1);
        else if (text_is(word, "APOP"))
            starttls_clear(&p->tls, line->offset, TEXT_LITERAL("APOP"), 1);
    }
}

/* Is the line judged by what the server said before it? */
static int is_judged(const struct line *line)
{
    struct text rest = line->text, word = line_word(&rest);
    return text_is(word, "PASS") || text_is(word, "APOP") || text_is(word, "AUTH");
}

static struct result client(struct pop3 *p, const struct slice *slice)
{
    struct talk *talk = &p->talk;
    struct talk_line line;
    struct result result;
    if (p->tls.pending) {
        result = starttls_wait(&p->tls, slice);
        if (p->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (talk->unsure) {
        result = starttls_unseen(&p->tls, CLIENT, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (p->auth || talk_full(talk))
        return (struct result){.verdict = V_WAIT_PEER};
    uint8_t inside = talk->inside[CLIENT];
    if (!talk_take(talk, CLIENT, slice, &line))
        return line_wanted(slice);
    result = (struct result){.verdict = V_OK, .consumed = line.line.len};
    if (!line.first || talk->blind)
        return result;
    if (p->secret) {
        if (!text_is(line.line.text, "*")) /* which cancels */
            starttls_secret(&p->tls, line.line.offset);
        talk_ask(talk, AUTH, 0);
        p->secret = 0;
        p->auth = 1;
    } else if (is_judged(&line.line) && (talk_behind(talk) || (p->text != 0 && !talk->unsure))) {
        talk->inside[CLIENT] = inside;
        return (struct result){.verdict = V_WAIT_PEER};
    } else if (line.line.text.len > 0) {
        command(p, &line.line);
    }
    return starttls_asked(&p->tls, line.line.len);
}

/* --- replies --- */

/* RFC 3206: the response code of what is not the client's fault. */
static enum cause cause_of(struct text text)
{
    return text_begins(text, "[SYS/") ? CAUSE_UPSTREAM
           : text_begins(text, "[AUTH]") ? CAUSE_AUTH
                                         : CAUSE_UNKNOWN;
}

/* Returns 1 where it grants. */
static int answer_tls(struct pop3 *p, int ok, struct text text, const struct line *line)
{
    struct starttls_answer answer = {.reason = line->text, .begin = line->offset,
                                     .end = line->offset + line->len - 1};
    if (!p->tls.pending || p->tls.lost)
        return 0;
    if (ok)
        starttls_grant(&p->tls, &answer);
    else
        starttls_refuse(&p->tls, &answer, cause_of(text));
    return ok;
}

static struct text behind_status(struct text line, size_t len)
{
    while (len < line.len && line.data[len] == ' ')
        len++;
    return (struct text){line.data + len, line.len - len};
}

/* Returns 1 where it grants the switch. */
static int reply(struct pop3 *p, const struct line *line)
{
    struct text rest = line->text, status = line_word(&rest);
    int ok = text_is(status, "+OK"), more = text_is(status, "+");
    if (!ok && !more && !text_is(status, "-ERR")) /* no reply: nothing to go by */
        return 0;
    struct text text = behind_status(line->text, status.len);
    int kind = talk_answer(&p->talk, 0);
    (void)talk_heard(&p->talk, p->tls.layer);
    p->auth = 0;
    switch (kind) {
    case GREETING:
        p->greeting_len = talk_keep(p->greeting, NAME_MOST, text);
        p->host_len = talk_keep(p->host, NAME_MOST, talk_host(text));
        return 0;
    case CAPA:
    case TEXT:
        p->text = ok ? (uint8_t)kind : 0;
        p->talk.bare[SERVER] = (uint8_t)line->bare_lf;
        return 0;
    case AUTH:
        p->secret = (uint8_t)more;
        return 0;
    case STLS:
        return answer_tls(p, ok, text, line);
    default:
        return 0;
    }
}

/* The lines of CAPA: STLS among them is an offer. Unlike mail they are short. */
static void capability(struct pop3 *p, const struct talk_line *line)
{
    struct text rest = line->line.text;
    if (line->first && text_is(line_word(&rest), "STLS"))
        starttls_offer(&p->tls);
    if (line->first && line->last && line->line.text.len == 1 && line->line.text.data[0] == '.')
        p->text = 0;
}

static struct result server(struct pop3 *p, const struct slice *slice)
{
    struct talk *talk = &p->talk;
    struct talk_line line;
    struct result result;
    int ended = 0;
    if (p->text == TEXT) {
        result = talk_text(talk, SERVER, slice, &ended);
        if (ended)
            p->text = 0;
        return result;
    }
    if (p->text == 0 && talk_early(talk))
        return (struct result){.verdict = V_WAIT_PEER};
    if (talk->unsure) {
        result = starttls_unseen(&p->tls, SERVER, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (!talk_take(talk, SERVER, slice, &line))
        return line_wanted(slice);
    result = (struct result){.verdict = V_OK, .consumed = line.line.len};
    if (p->text == CAPA)
        capability(p, &line);
    else if (line.first && reply(p, &line.line))
        result.verdict = V_SWITCHED;
    return result;
}

static struct result pop3_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    (void)layer;
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Lines are found again at the next line end. The rest of a mail ends with its dot still; other
 * replies have no lines that look like a reply. */
static struct result pop3_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct pop3 *p = state;
    (void)layer;
    (void)offset;
    (void)talk_gap(&p->talk, side, len);
    p->auth = p->secret = 0;
    if (side == CLIENT) {
        starttls_tear(&p->tls);
        return (struct result){.verdict = V_OK};
    }
    starttls_lose(&p->tls);
    if (p->text == CAPA)
        p->text = 0;
    p->talk.inside[SERVER] = p->text != 0;
    return (struct result){.verdict = V_OK};
}

static void pop3_close(struct layer *layer, void *state)
{
    const struct pop3 *p = state;
    struct detail detail = {.len = 0};
    if (p->greeting_len == 0)
        return;
    detail_text(&detail, "greeting", (struct text){p->greeting, p->greeting_len});
    layer_detail(layer, detail_json(&detail));
}

const struct dissector pop3_dissector = {
    .name = "pop3",
    .state_size = sizeof(struct pop3),
    .probe = pop3_probe,
    .open = pop3_open,
    .data = pop3_data,
    .gap = pop3_gap,
    .close = pop3_close,
};
