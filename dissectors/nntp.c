/*
 * NNTP (RFC 3977) as far as its security goes: STARTTLS (RFC 4642), what the capabilities offer,
 * AUTHINFO (RFC 4643). Each reply is matched to its command; articles and lists are passed over up
 * to the line with the single dot, so that nothing in them is taken for a command or a reply. Once
 * both sides compress (RFC 8054), nothing is read any more.
 */
#include <string.h>

#include "detail.h"
#include "starttls.h"
#include "talk.h"
#include "text.h"

enum { GREETING_MOST = 80, METHOD_MOST = 64, GREETING_SEEN = 2048 };

enum kind { OTHER, GREETING, CAPABILITIES, GROUP_LIST, ARTICLE, SECURITY, SASL, COMPRESSION };

/* What the client's next bytes are: after some commands the server's reply decides. */
enum reading { COMMANDS, AFTER_POST, AFTER_SASL, AFTER_COMPRESS, TEXT, SECRET };

struct nntp {
    struct starttls tls;
    struct talk talk;
    enum reading reading;
    uint8_t text;   /* the server sends one, up to the dot: */
    uint8_t listed; /* ... the capabilities */
    uint8_t done;   /* compressed from here on */
    uint8_t streams; /* articles are sent without waiting for the replies to those before */
    char greeting[GREETING_MOST], host[GREETING_MOST];
    size_t greeting_len, host_len;
};

/* --- recognition --- */

static int probe_server(struct text bytes)
{
    static const char *const words[] = {"NNTP", "NNRP", "InterNetNews", "INN", "posting", "news"};
    size_t len = bytes.len < 3 ? bytes.len : 3;
    if (memcmp(bytes.data, "200", len) != 0 && memcmp(bytes.data, "201", len) != 0)
        return -1;
    if (bytes.len > 3 && memchr(" \r\n", bytes.data[3], 3) == NULL)
        return -1;
    const char *lf = memchr(bytes.data, '\n', bytes.len);
    if (lf == NULL)
        return bytes.len < GREETING_SEEN ? 0 : -1;
    bytes.len = (size_t)(lf - bytes.data);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (text_contains(bytes, words[i]))
            return 80;
    return 0;
}

static int nntp_probe(enum side side, const uint8_t *data, size_t len)
{
    static const struct line_start words[] = {
        {"CAPABILITIES\r\n", 60}, {"MODE READER", 80}, {"MODE STREAM", 80}, {"AUTHINFO ", 80},
        {"LISTGROUP ", 70},       {"GROUP ", 50},      {"ARTICLE ", 60},    {"XOVER ", 60},
        {"TAKETHIS ", 80},        {"IHAVE ", 80},      {"STARTTLS", 0},     {"POST\r\n", 50},
        {"LIST", 0},              {"DATE\r\n", 50},    {"HELP", 0},         {"QUIT", 0},
    };
    struct text bytes = {(const char *)data, len};
    if (len == 0)
        return 0;
    return side == SERVER ? probe_server(bytes)
                          : line_probe(bytes, words, sizeof words / sizeof words[0]);
}

static int nntp_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct nntp *n = state;
    starttls_open(&n->tls, layer);
    n->talk.unsure = !layer_from_start(layer);
    if (talk_greets(&n->talk, handover))
        talk_ask(&n->talk, GREETING, 0);
    return 0;
}

/* --- commands --- */

static void command_authinfo(struct nntp *n, struct text rest, uint64_t offset)
{
    char what[48];
    struct text kind = line_word(&rest), mechanism = line_word(&rest);
    if (!text_is(kind, "SASL")) { /* USER tells a name only */
        talk_ask(&n->talk, OTHER, 0);
        if (text_is(kind, "PASS"))
            starttls_clear(&n->tls, offset, TEXT_LITERAL("AUTHINFO USER and PASS"), 1);
        return;
    }
    talk_ask(&n->talk, SASL, 0);
    n->reading = AFTER_SASL;
    starttls_login(&n->tls, talk_login(what, sizeof what, "AUTHINFO SASL", mechanism));
    struct text initial = line_word(&rest);
    if (initial.len > 0 && !text_is(initial, "="))
        starttls_secret(&n->tls, offset);
}

static void command_starttls(struct nntp *n, const struct line *line)
{
    struct text method = line->text;
    if (method.len > METHOD_MOST)
        method.len = METHOD_MOST;
    talk_ask(&n->talk, SECURITY, 0);
    starttls_ask_host(&n->tls, method, "TLS", talk_kept(n->host, n->host_len),
                      line->offset + line->len - 1);
}

static void command(struct nntp *n, const struct line *line)
{
    struct text rest = line->text, word = line_word(&rest);
    if (n->talk.unsure) /* the server's text is over: its dot was lost */
        n->text = 0;
    if (text_is(word, "STARTTLS")) {
        command_starttls(n, line);
    } else if (text_is(word, "CAPABILITIES")) {
        talk_ask(&n->talk, CAPABILITIES, 0);
    } else if (text_is(word, "LISTGROUP")) {
        talk_ask(&n->talk, GROUP_LIST, 0);
    } else if (text_is(word, "POST") || text_is(word, "IHAVE")) {
        talk_ask(&n->talk, ARTICLE, 0);
        n->reading = AFTER_POST;
    } else if (text_is(word, "TAKETHIS")) { /* RFC 4644: the article comes unasked */
        n->reading = TEXT;
        n->streams = 1;
    } else if (text_is(word, "AUTHINFO")) {
        command_authinfo(n, rest, line->offset);
    } else if (text_is(word, "COMPRESS")) {
        talk_ask(&n->talk, COMPRESSION, 0);
        n->reading = AFTER_COMPRESS;
    } else {
        talk_ask(&n->talk, OTHER, 0);
    }
    n->talk.bare[CLIENT] = line->bare_lf != 0;
}

static struct result client_text(struct nntp *n, const struct slice *slice)
{
    int ended;
    struct result result = talk_text(&n->talk, CLIENT, slice, &ended);
    if (ended) {
        n->reading = COMMANDS;
        talk_ask(&n->talk, OTHER, 0); /* an article has a reply of its own */
    }
    return result;
}

/* Credentials are judged by what the server has said before them. */
static int is_judged(const struct line *line)
{
    struct text rest = line->text;
    return text_is(line_word(&rest), "AUTHINFO");
}

static int is_behind(const struct nntp *n)
{
    return (talk_behind(&n->talk) || (n->text && !n->talk.unsure)) && !starttls_judged(&n->tls);
}

static void secret(struct nntp *n, const struct line *line)
{
    talk_ask(&n->talk, SASL, 0);
    n->reading = AFTER_SASL;
    if (!text_is(line->text, "*")) /* which cancels */
        starttls_secret(&n->tls, line->offset);
}

static struct result client(struct nntp *n, const struct slice *slice)
{
    struct talk *talk = &n->talk;
    struct talk_line line;
    struct result result;
    if (n->tls.pending) {
        result = starttls_wait(&n->tls, slice);
        if (n->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (n->reading == TEXT)
        return client_text(n, slice);
    if (talk->unsure) {
        result = starttls_unseen(&n->tls, CLIENT, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if ((n->reading != COMMANDS && n->reading != SECRET) || talk_full(talk))
        return (struct result){.verdict = V_WAIT_PEER};
    uint8_t inside = talk->inside[CLIENT];
    if (!talk_take(talk, CLIENT, slice, &line))
        return line_wanted(slice);
    result = (struct result){.verdict = V_OK, .consumed = line.line.len};
    if (!line.first || talk->blind)
        return result;
    if (n->reading == SECRET) {
        secret(n, &line.line);
    } else if (is_judged(&line.line) && is_behind(n)) {
        talk->inside[CLIENT] = inside;
        return (struct result){.verdict = V_WAIT_PEER};
    } else if (line.line.text.len > 0) {
        command(n, &line.line);
    }
    return starttls_asked(&n->tls, line.line.len);
}

/* --- replies --- */

/* RFC 3977 3.2.1, RFC 4643 and others: replies that a text follows. */
static int has_text(int code, int kind)
{
    static const int codes[] = {100, 101, 215, 220, 221, 222, 224, 225, 230, 231, 282};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == code)
            return 1;
    return code == 211 && kind == GROUP_LIST;
}

static enum cause cause_of(int code)
{
    switch (code) {
    case 400:
    case 403:
    case 580:
        return CAUSE_UPSTREAM;
    case 480:
    case 483:
        return CAUSE_AUTH;
    case 501:
    case 502: /* at this point */
        return CAUSE_BAD_REQUEST;
    case 500:
    case 503:
        return CAUSE_ROUTE;
    default:
        return CAUSE_UNKNOWN;
    }
}

static int answer_tls(struct nntp *n, int code, struct text text, const struct line *line)
{
    struct starttls_answer answer = {.status = code, .reason = text, .begin = line->offset,
                                     .end = line->offset + line->len - 1};
    if (!n->tls.pending || (code != 382 && (n->tls.lost || (n->talk.unsure && code < 400))))
        return 0;
    if (code == 382)
        starttls_grant(&n->tls, &answer);
    else
        starttls_refuse(&n->tls, &answer, cause_of(code));
    return code == 382;
}

/* Returns 1 where it grants the switch. */
static int reply(struct nntp *n, int code, struct text text, const struct line *line)
{
    int kind = talk_answer(&n->talk, 0);
    if (kind == GREETING && code != 200 && code != 201 && code < 400) /* there was none */
        kind = talk_answer(&n->talk, 0);
    if (talk_heard(&n->talk, n->tls.layer) && !n->streams)
        n->reading = COMMANDS;
    n->text = has_text(code, kind) != 0;
    n->listed = code == 101;
    n->talk.bare[SERVER] = line->bare_lf != 0;
    if (kind == ARTICLE || (n->talk.unsure && (code == 340 || code == 335)))
        n->reading = code == 340 || code == 335 ? TEXT : COMMANDS;
    else if (kind == SASL)
        n->reading = code == 383 ? SECRET : COMMANDS;
    else if (kind == COMPRESSION) {
        n->reading = COMMANDS;
        n->done = code == 206;
    }
    if (kind == SECURITY || (kind < 0 && n->talk.unsure))
        return !n->text && answer_tls(n, code, text, line);
    return 0;
}

static struct result server_text(struct nntp *n, const struct slice *slice)
{
    struct talk_line line;
    int ended = 0;
    if (!n->listed) {
        struct result result = talk_text(&n->talk, SERVER, slice, &ended);
        n->text = !ended;
        return result;
    }
    if (!talk_take(&n->talk, SERVER, slice, &line))
        return line_wanted(slice);
    struct text rest = line.line.text;
    if (line.first && text_is(rest, ".") && (!line.line.bare_lf || n->talk.bare[SERVER]))
        n->text = 0;
    else if (line.first && text_is(line_word(&rest), "STARTTLS"))
        starttls_offer(&n->tls);
    return (struct result){.verdict = V_OK, .consumed = line.line.len};
}

static struct result server(struct nntp *n, const struct slice *slice)
{
    struct talk_line line;
    struct text text;
    int more;
    if (n->text)
        return server_text(n, slice);
    if (talk_early(&n->talk))
        return (struct result){.verdict = V_WAIT_PEER};
    if (n->talk.unsure) {
        struct result unseen = starttls_unseen(&n->tls, SERVER, slice);
        if (unseen.verdict != V_OK)
            return unseen;
    }
    if (!talk_take(&n->talk, SERVER, slice, &line))
        return line_wanted(slice);
    struct result result = {.verdict = V_OK, .consumed = line.line.len};
    int code = line.first ? line_code(line.line.text, &more, &text) : -1;
    if (code < 0)
        return result;
    if (n->talk.count > 0 && n->talk.kind[0] == GREETING && n->greeting_len == 0) {
        n->greeting_len = talk_keep(n->greeting, sizeof n->greeting, text);
        n->host_len = talk_keep(n->host, sizeof n->host, talk_host(text));
    }
    if (reply(n, code, text, &line.line))
        result.verdict = V_SWITCHED;
    return result;
}

static struct result nntp_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    const struct nntp *n = state;
    (void)layer;
    if (n->done)
        return (struct result){.verdict = V_DONE};
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Lines are found again at the next line end; a text that was open, or may have been, ends with
 * the next reply or dot. */
static struct result nntp_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct nntp *n = state;
    (void)layer;
    (void)offset;
    (void)talk_gap(&n->talk, side, len);
    if (side == CLIENT) {
        if (n->tls.pending)
            starttls_tear(&n->tls);
        return (struct result){.verdict = V_OK};
    }
    starttls_lose(&n->tls);
    if (n->reading == AFTER_POST) /* most likely, and an article must not be read as commands */
        n->reading = TEXT;
    else if (n->reading != TEXT)
        n->reading = COMMANDS;
    return (struct result){.verdict = V_OK};
}

static void nntp_close(struct layer *layer, void *state)
{
    const struct nntp *n = state;
    struct detail detail = {.len = 0};
    if (n->greeting_len == 0)
        return;
    detail_text(&detail, "greeting", (struct text){n->greeting, n->greeting_len});
    layer_detail(layer, detail_json(&detail));
}

const struct dissector nntp_dissector = {
    .name = "nntp",
    .state_size = sizeof(struct nntp),
    .probe = nntp_probe,
    .open = nntp_open,
    .data = nntp_data,
    .gap = nntp_gap,
    .close = nntp_close,
};
