/*
 * ManageSieve (RFC 5804) as far as its security goes: STARTTLS, what the capabilities offer, logins
 * in the clear. Answers come in the order of the commands and end with a line that begins with OK,
 * NO or BYE; literals of both sides, the scripts, are counted through.
 */
#include <string.h>

#include "detail.h"
#include "starttls.h"
#include "talk.h"
#include "text.h"

enum { NAME_MOST = 80, METHOD_MOST = 64, PROBE_LINE = 1024, PROBE_MOST = 2048 };

enum kind { OTHER, GREETING, CAPABILITY, STARTTLS };

struct sieve {
    struct starttls tls;
    struct talk talk;
    char implementation[NAME_MOST];
    size_t implementation_len;
};

/* --- recognition --- */

static int probe_server(struct text bytes)
{
    static const struct line_start words[] = {
        {"\"IMPLEMENTATION\" \"", 95}, {"\"SIEVE\" \"", 85}, {"\"SASL\" \"", 70},
        {"\"STARTTLS\"\r\n", 70}, {"\"VERSION\" \"", 60}, {"\"NOTIFY\" \"", 60},
        {"\"LANGUAGE\" \"", 60}, {"\"OWNER\" \"", 60}, {"\"MAXREDIRECTS\" \"", 60}, {"OK", 0},
        {"NO", 0}, {"BYE", 0},
    };
    size_t end;
    int is = line_probe(bytes, words, sizeof words / sizeof words[0]);
    return is < 0 || talk_printable(bytes, PROBE_LINE, &end) < 0 ? -1 : end > 0 ? is : 0;
}

/* A STARTTLS alone is also that of SMTP, NNTP and IRC. */
static int probe_client(struct text bytes)
{
    static const char starttls[] = "STARTTLS\r\n";
    static const struct line_start words[] = {
        {"AUTHENTICATE \"", 60}, {"HAVESPACE \"", 60}, {"PUTSCRIPT \"", 60},
        {"LISTSCRIPTS\r\n", 60}, {"CAPABILITY\r\n", 30}, {starttls, 0}, {"LOGOUT\r\n", 0},
        {"NOOP\r\n", 0}, {"NOOP \"", 40},
    };
    size_t end;
    int is = line_probe(bytes, words, sizeof words / sizeof words[0]);
    if (is < 0 || talk_printable(bytes, PROBE_LINE, &end) < 0)
        return -1;
    if (is == 0 && text_begins(bytes, starttls) && bytes.len >= end + 2)
        return bytes.data[end] == 22 && bytes.data[end + 1] == 3 ? 15 : 0;
    return end > 0 ? is : 0;
}

static int sieve_probe(enum side side, const uint8_t *data, size_t len)
{
    struct text bytes = {(const char *)data, len < PROBE_MOST ? len : PROBE_MOST};
    return len == 0 ? 0 : side == SERVER ? probe_server(bytes) : probe_client(bytes);
}

static int sieve_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct sieve *s = state;
    starttls_open(&s->tls, layer);
    s->talk.unsure = !layer_from_start(layer);
    if (talk_greets(&s->talk, handover))
        talk_ask(&s->talk, GREETING, 0);
    return 0;
}

/* --- commands --- */

static void ask_tls(struct sieve *s, const struct line *line)
{
    struct text method = line->text;
    if (method.len > METHOD_MOST)
        method.len = METHOD_MOST;
    talk_ask(&s->talk, STARTTLS, 0);
    starttls_ask(&s->tls, method, "TLS", line->offset + line->len - 1);
}

static struct text unquoted(struct text text)
{
    while (text.len > 0 && (text.data[0] == '"' || text.data[0] == ' ')) {
        text.data++;
        text.len--;
    }
    const char *end = text.len > 0 ? memchr(text.data, '"', text.len) : NULL;
    if (end != NULL)
        text.len = (size_t)(end - text.data);
    return text;
}

static void command(struct sieve *s, const struct line *line)
{
    struct text rest = line->text, word = line_word(&rest);
    char what[48];
    if (text_is(word, "STARTTLS")) {
        ask_tls(s, line);
        return;
    }
    talk_ask(&s->talk, text_is(word, "CAPABILITY") ? CAPABILITY : OTHER, 0);
    if (!text_is(word, "AUTHENTICATE"))
        return;
    struct text name = unquoted(line_word(&rest)), initial = line_word(&rest);
    starttls_login(&s->tls, talk_login(what, sizeof what, "AUTHENTICATE", name));
    if (initial.len > 0)
        starttls_secret(&s->tls, line->offset);
}

/* Is the line judged by what the server said before it? */
static int is_judged(const struct line *line)
{
    struct text rest = line->text;
    return text_is(line_word(&rest), "AUTHENTICATE");
}

/* Lines of strings are what a login goes on with. */
static int is_string(const struct line *line)
{
    return line->text.len == 0 || line->text.data[0] == '"' || line->text.data[0] == '{';
}

static struct result client(struct sieve *s, const struct slice *slice)
{
    struct talk *talk = &s->talk;
    struct talk_line line;
    struct result result;
    uint64_t len;
    int plus;
    if (s->tls.pending) {
        result = starttls_wait(&s->tls, slice);
        if (s->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (talk_skip(talk, CLIENT, slice, &result))
        return result;
    if (talk->unsure) {
        result = starttls_unseen(&s->tls, CLIENT, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (talk_full(talk))
        return (struct result){.verdict = V_WAIT_PEER};
    uint8_t inside = talk->inside[CLIENT];
    if (!talk_take(talk, CLIENT, slice, &line))
        return line_wanted(slice);
    result = (struct result){.verdict = V_OK, .consumed = line.line.len};
    if (talk->blind)
        return result;
    if (line.first && is_judged(&line.line) && talk_behind(talk)) {
        talk->inside[CLIENT] = inside;
        return (struct result){.verdict = V_WAIT_PEER};
    }
    if (line.first && !is_string(&line.line))
        command(s, &line.line);
    else if (line.first && line.line.text.len > 0 && !text_is(line.line.text, "\"*\""))
        starttls_secret(&s->tls, line.line.offset); /* a star cancels */
    if (!s->tls.pending && talk_literal(&line, &len, &plus))
        talk_expect(talk, CLIENT, len);
    return starttls_asked(&s->tls, line.line.len);
}

/* --- answers --- */

static struct text text_of(struct text rest)
{
    while (rest.len > 0 && rest.data[0] == ' ') {
        rest.data++;
        rest.len--;
    }
    if (rest.len > 1 && rest.data[0] == '"' && rest.data[rest.len - 1] == '"')
        rest = (struct text){rest.data + 1, rest.len - 2};
    return rest;
}

/* Returns 1 where it grants. */
static int answer_tls(struct sieve *s, struct text word, struct text text, const struct line *line)
{
    struct starttls_answer answer = {.reason = line->text, .begin = line->offset,
                                     .end = line->offset + line->len - 1};
    if (!s->tls.pending || s->tls.lost)
        return 0;
    if (text_is(word, "OK")) {
        starttls_grant(&s->tls, &answer);
        return 1;
    }
    int down = text_is(word, "BYE") || text_begins(text, "(TRYLATER)");
    starttls_refuse(&s->tls, &answer, down ? CAUSE_UPSTREAM : CAUSE_UNKNOWN);
    return 0;
}

/* A line of capabilities. */
static void capability(struct sieve *s, struct text text)
{
    struct text rest = text, word = line_word(&rest);
    if (text_is(word, "\"STARTTLS\""))
        starttls_offer(&s->tls);
    else if (text_is(word, "\"IMPLEMENTATION\"") && s->implementation_len == 0)
        s->implementation_len = talk_keep(s->implementation, NAME_MOST, text_of(rest));
}

/* Returns 1 where it grants the switch. */
static int answer(struct sieve *s, const struct line *line)
{
    struct text rest = line->text, word = line_word(&rest);
    struct talk *talk = &s->talk;
    if (text_begins(word, "OK(") || text_begins(word, "NO(") || text_begins(word, "BYE(")) {
        size_t len = text_begins(word, "BYE(") ? 3 : 2;
        word = (struct text){word.data, len};
        rest = (struct text){word.data + len,
                             line->text.len - (size_t)(word.data - line->text.data) - len};
    }
    if (text_is(word, "OK") || text_is(word, "NO") || text_is(word, "BYE")) {
        int kind = talk_answer(talk, 0);
        (void)talk_heard(talk, s->tls.layer);
        return kind == STARTTLS && answer_tls(s, word, text_of(rest), line);
    }
    int kind = talk_next(talk);
    if (kind == GREETING || kind == CAPABILITY || (kind < 0 && talk->unsure))
        capability(s, line->text);
    return 0;
}

static struct result server(struct sieve *s, const struct slice *slice)
{
    struct talk *talk = &s->talk;
    struct talk_line line;
    struct result result;
    uint64_t len;
    int plus, grants = 0;
    if (talk_skip(talk, SERVER, slice, &result))
        return result;
    if (talk_early(talk))
        return (struct result){.verdict = V_WAIT_PEER};
    if (talk->unsure) {
        result = starttls_unseen(&s->tls, SERVER, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (!talk_take(talk, SERVER, slice, &line))
        return line_wanted(slice);
    if (line.first)
        grants = answer(s, &line.line);
    if (!grants && talk_literal(&line, &len, &plus))
        talk_expect(talk, SERVER, len);
    return (struct result){.verdict = grants ? V_SWITCHED : V_OK, .consumed = line.line.len};
}

static struct result sieve_data(struct layer *layer, void *state, enum side side,
                                const struct slice *slice)
{
    (void)layer;
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Lines are found again at the next line end. */
static struct result sieve_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                               uint64_t len)
{
    struct sieve *s = state;
    (void)layer;
    (void)offset;
    if (talk_gap(&s->talk, side, len))
        return (struct result){.verdict = V_OK};
    if (side == SERVER)
        starttls_lose(&s->tls);
    else
        starttls_tear(&s->tls);
    return (struct result){.verdict = V_OK};
}

static void sieve_close(struct layer *layer, void *state)
{
    const struct sieve *s = state;
    struct detail detail = {.len = 0};
    if (s->implementation_len == 0)
        return;
    detail_text(&detail, "implementation", (struct text){s->implementation, s->implementation_len});
    layer_detail(layer, detail_json(&detail));
}

const struct dissector sieve_dissector = {
    .name = "sieve",
    .state_size = sizeof(struct sieve),
    .probe = sieve_probe,
    .open = sieve_open,
    .data = sieve_data,
    .gap = sieve_gap,
    .close = sieve_close,
};
