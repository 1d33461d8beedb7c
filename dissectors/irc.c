/*
 * IRC (RFC 1459, RFC 2812) as far as its security goes: STARTTLS with its numerics 670 and 691 (the
 * tls extension of IRCv3), what CAP LS and 005 offer, and passwords in the clear. Not every message
 * has an answer: numerics that can mean nothing else answer STARTTLS, and a welcome shows that the
 * server has passed over it.
 */
#include <string.h>

#include "detail.h"
#include "starttls.h"
#include "talk.h"
#include "text.h"

enum { SERVER_MOST = 64, METHOD_MOST = 64 };

struct irc {
    struct starttls tls;
    struct talk talk; /* lines only */
    uint8_t sasl;     /* a mechanism was named: what is sent next is its secret */
    char server[SERVER_MOST]; /* its name */
    size_t server_len;
};

/* --- recognition --- */

/* ":name NUMERIC|NOTICE|CAP ...", or a NOTICE or PING without a prefix. */
static int probe_server(struct text bytes)
{
    static const struct line_start bare[] = {{"NOTICE ", 60}, {"PING :", 40}, {"ERROR :", 40}};
    static const char *const words[] = {"001", "020", "NOTICE", "CAP", "670", "691", "451"};
    if (bytes.data[0] != ':')
        return line_probe(bytes, bare, sizeof bare / sizeof bare[0]);
    if (bytes.len > 512)
        bytes.len = 512;
    struct text rest = bytes, name = line_word(&rest), word = line_word(&rest);
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] < 33 || (unsigned char)name.data[i] > 126)
            return -1;
    if (rest.len == 0) /* the word may go on */
        return bytes.len >= 512 || memchr(bytes.data, '\n', bytes.len) != NULL ? -1 : 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (text_is(word, words[i]))
            return 80;
    return -1;
}

static int irc_probe(enum side side, const uint8_t *data, size_t len)
{
    static const struct line_start words[] = {
        {"NICK ", 60}, {"CAP LS", 80}, {"CAP REQ", 80}, {"PASS ", 0}, {"USER ", 0},
        {"STARTTLS\r\n", 0},
    };
    struct text bytes = {(const char *)data, len};
    if (len == 0)
        return 0;
    return side == SERVER ? probe_server(bytes)
                          : line_probe(bytes, words, sizeof words / sizeof words[0]);
}

static int irc_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct irc *irc = state;
    (void)handover;
    starttls_open(&irc->tls, layer);
    irc->talk.unsure = !layer_from_start(layer);
    return 0;
}

/* Passes over tags and a prefix. */
static struct text command_of(struct text line, struct text *prefix)
{
    *prefix = TEXT_NONE;
    if (line.len > 0 && line.data[0] == '@')
        (void)line_word(&line);
    struct text rest = line, word = line_word(&rest);
    if (word.len == 0 || word.data[0] != ':')
        return line;
    *prefix = (struct text){word.data + 1, word.len - 1};
    return rest;
}

/* --- the client --- */

/* "AUTHENTICATE PLAIN", and, once the server says "+", the secret. */
static void authenticate(struct irc *irc, struct text word, uint64_t offset)
{
    if (text_is(word, "*")) {
        irc->sasl = 0;
    } else if (irc->sasl) {
        starttls_secret(&irc->tls, offset);
    } else {
        char what[48];
        irc->sasl = 1;
        starttls_login(&irc->tls, talk_login(what, sizeof what, "AUTHENTICATE", word));
    }
}

static void ask(struct irc *irc, const struct line *line)
{
    struct text prefix, method = command_of(line->text, &prefix);
    while (method.len > 0 && method.data[0] == ' ')
        method = (struct text){method.data + 1, method.len - 1};
    if (method.len > METHOD_MOST)
        method.len = METHOD_MOST;
    starttls_ask_host(&irc->tls, method, "TLS",
                      talk_host((struct text){irc->server, irc->server_len}),
                      line->offset + line->len - 1);
}

static void command(struct irc *irc, const struct line *line)
{
    struct text prefix, rest = command_of(line->text, &prefix), word = line_word(&rest);
    struct text first = line_word(&rest);
    if (text_is(word, "STARTTLS"))
        ask(irc, line);
    else if (text_is(word, "PASS"))
        starttls_clear(&irc->tls, line->offset, TEXT_LITERAL("PASS"), 1);
    else if (text_is(word, "OPER"))
        starttls_clear(&irc->tls, line->offset, TEXT_LITERAL("OPER"), 1);
    else if (text_is(word, "AUTHENTICATE"))
        authenticate(irc, first, line->offset);
    else if ((text_is(word, "PRIVMSG") && text_is(first, "NickServ") &&
              text_contains(rest, "IDENTIFY")) ||
             (text_is(word, "NICKSERV") && text_is(first, "IDENTIFY")))
        starttls_clear(&irc->tls, line->offset, TEXT_LITERAL("NickServ IDENTIFY"), 1);
}

static struct result client(struct irc *irc, const struct slice *slice)
{
    struct talk_line line;
    struct result result;
    if (irc->tls.pending) {
        result = starttls_wait(&irc->tls, slice);
        if (irc->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (irc->talk.unsure) {
        result = starttls_unseen(&irc->tls, CLIENT, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (!talk_take(&irc->talk, CLIENT, slice, &line))
        return line_wanted(slice);
    if (line.first)
        command(irc, &line.line);
    return starttls_asked(&irc->tls, line.line.len);
}

/* --- the server --- */

/* "tls" in the list of CAP LS, or STARTTLS among the tokens of 005. */
static void capabilities(struct irc *irc, struct text rest, const char *name)
{
    for (struct text word = line_word(&rest); word.len > 0; word = line_word(&rest)) {
        if (word.data[0] == ':')
            word = (struct text){word.data + 1, word.len - 1};
        if (text_is(word, name))
            starttls_offer(&irc->tls);
    }
}

/* 421, 451 and 461 answer what was asked only where they name it, or nothing else can be meant. */
static int refuses(struct text word, struct text rest)
{
    int named = text_contains(rest, "STARTTLS");
    return text_is(word, "691") || text_is(word, "451") ||
           (named && (text_is(word, "421") || text_is(word, "461")));
}

static enum cause cause_of(int code)
{
    return code == 691 ? CAUSE_UPSTREAM : code == 421 ? CAUSE_ROUTE : CAUSE_BAD_REQUEST;
}

/* Returns 1 where it grants. */
static int answer(struct irc *irc, struct text word, struct text rest, const struct line *line)
{
    int grants = text_is(word, "670");
    if (text_is(word, "001") && !irc->tls.lost) {
        starttls_ignore(&irc->tls, line->offset);
        return 0;
    }
    if (!grants && !refuses(word, rest))
        return 0;
    const char *colon = rest.len > 0 ? memchr(rest.data, ':', rest.len) : NULL;
    struct starttls_answer answer = {
        .status = (word.data[0] - '0') * 100 + (word.data[1] - '0') * 10 + (word.data[2] - '0'),
        .reason = colon != NULL ? (struct text){colon + 1,
                                                (size_t)(rest.data + rest.len - colon) - 1}
                                : TEXT_NONE,
        .begin = line->offset,
        .end = line->offset + line->len - 1,
    };
    if (grants)
        starttls_grant(&irc->tls, &answer);
    else
        starttls_refuse(&irc->tls, &answer, cause_of(answer.status));
    return grants;
}

/* Returns 1 where the line grants the switch. */
static int message(struct irc *irc, const struct line *line)
{
    struct text prefix, rest = command_of(line->text, &prefix), word = line_word(&rest);
    if (irc->server_len == 0 && prefix.len > 0 && memchr(prefix.data, '!', prefix.len) == NULL)
        irc->server_len = talk_keep(irc->server, sizeof irc->server, prefix);
    if (text_is(word, "CAP") && (text_contains(rest, " LS ") || text_contains(rest, " NEW ")))
        capabilities(irc, rest, "tls");
    else if (text_is(word, "005"))
        capabilities(irc, rest, "STARTTLS");
    else if (word.len == 3 && text_begins(word, "90")) /* 900 to 908: SASL is over */
        irc->sasl = 0;
    return irc->tls.pending && answer(irc, word, rest, line);
}

static struct result server(struct irc *irc, const struct slice *slice)
{
    struct talk_line line;
    if (irc->talk.unsure) {
        struct result unseen = starttls_unseen(&irc->tls, SERVER, slice);
        if (unseen.verdict != V_OK)
            return unseen;
    }
    if (!talk_take(&irc->talk, SERVER, slice, &line))
        return line_wanted(slice);
    int grants = line.first && message(irc, &line.line);
    return (struct result){.verdict = grants ? V_SWITCHED : V_OK, .consumed = line.line.len};
}

static struct result irc_data(struct layer *layer, void *state, enum side side,
                              const struct slice *slice)
{
    (void)layer;
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Lines are found again at the next line end. */
static struct result irc_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                             uint64_t len)
{
    struct irc *irc = state;
    (void)layer;
    (void)offset;
    (void)talk_gap(&irc->talk, side, len);
    irc->talk.inside[CLIENT] = 0;
    if (side == SERVER)
        starttls_lose(&irc->tls);
    else if (irc->tls.pending)
        starttls_tear(&irc->tls);
    return (struct result){.verdict = V_OK};
}

static void irc_close(struct layer *layer, void *state)
{
    const struct irc *irc = state;
    struct detail detail = {.len = 0};
    if (irc->server_len == 0)
        return;
    detail_text(&detail, "server", (struct text){irc->server, irc->server_len});
    layer_detail(layer, detail_json(&detail));
}

const struct dissector irc_dissector = {
    .name = "irc",
    .state_size = sizeof(struct irc),
    .probe = irc_probe,
    .open = irc_open,
    .data = irc_data,
    .gap = irc_gap,
    .close = irc_close,
};
