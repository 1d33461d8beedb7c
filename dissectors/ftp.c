/*
 * The control connection of FTP (RFC 959) as far as its security goes: AUTH TLS (RFC 4217), AUTH
 * GSSAPI (RFC 2228), what the reply to FEAT (RFC 2389) offers, and passwords in the clear. Each
 * final reply is matched to its command.
 */
#include <ctype.h>
#include <string.h>

#include "detail.h"
#include "starttls.h"
#include "talk.h"
#include "text.h"

enum { GREETING_MOST = 80, METHOD_MOST = 64, TELNET_IAC = 0xf0, GREETING_SEEN = 2048 };

enum kind { OTHER, GREETING, FEATURES, SECURITY };

struct ftp {
    struct starttls tls;
    struct talk talk;
    uint64_t begin; /* of the reply that is being read */
    int code;       /* of a reply of several lines; 0: none is open */
    int anonymous;  /* the user that was named last is nobody */
    char greeting[GREETING_MOST], host[GREETING_MOST];
    size_t greeting_len, host_len;
};

/* --- recognition --- */

/* "FTP" as a word of a greeting, not within the name of a host, whatever that serves. */
static int names_ftp(struct text line)
{
    for (struct text word = line_word(&line); word.len > 0; word = line_word(&line)) {
        int host = 0;
        for (size_t i = 0; i + 1 < word.len; i++)
            host |= word.data[i] == '.' && isalpha((unsigned char)word.data[i + 1]);
        if (!host && text_contains(word, "FTP"))
            return 1;
    }
    return 0;
}

/* What a whole line of the greeting says; 0: nothing. */
static int greeting_of(struct text line)
{
    if (text_contains(line, "SMTP") || text_contains(line, "LMTP"))
        return -1;
    return names_ftp(line) ? 80 : 0;
}

/* A 120 may stand in front of the greeting; with 331 begins what a client goes on with in the clear
 * behind a grant. */
static int is_begin(struct text bytes)
{
    static const char *const codes[] = {"220", "120", "331"};
    size_t len = bytes.len < 3 ? bytes.len : 3;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (memcmp(bytes.data, codes[i], len) == 0)
            return bytes.len < 4 || memchr(" -\r\n", bytes.data[3], 4) != NULL;
    return 0;
}

static int probe_server(struct text bytes)
{
    if (!is_begin(bytes))
        return -1;
    for (int first = 1, more = 1; more && bytes.len > 0; first = 0) {
        const char *lf = memchr(bytes.data, '\n', bytes.len);
        if (lf == NULL)
            return bytes.len < GREETING_SEEN ? 0 : -1;
        struct text line = {bytes.data, (size_t)(lf - bytes.data)};
        int is = first && line.data[0] == '3' ? 50 : greeting_of(line);
        if (is != 0)
            return is;
        /* Within a reply a line may begin with anything; its last one has the code again. */
        more = line.len < 4 || memcmp(line.data, "220 ", 4) != 0;
        bytes = (struct text){lf + 1, bytes.len - line.len - 1};
    }
    return 0;
}

static int ftp_probe(enum side side, const uint8_t *data, size_t len)
{
    static const struct line_start words[] = {
        {"AUTH TLS", 75}, {"AUTH SSL", 75}, {"AUTH GSSAPI", 40}, {"FEAT\r\n", 70}, {"FEAT\n", 70},
        {"HOST ", 0},     {"USER ", 0},     {"SYST\r\n", 60},   {"HELP", 0},      {"NOOP", 0},
        {"QUIT", 0},      {"CLNT ", 60},    {"OPTS UTF8", 60},  {"OPTS utf8", 60},
    };
    struct text bytes = {(const char *)data, len};
    if (len == 0)
        return 0;
    return side == SERVER ? probe_server(bytes)
                          : line_probe(bytes, words, sizeof words / sizeof words[0]);
}

static int ftp_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct ftp *f = state;
    starttls_open(&f->tls, layer);
    f->talk.unsure = !layer_from_start(layer);
    if (talk_greets(&f->talk, handover))
        talk_ask(&f->talk, GREETING, 0);
    return 0;
}

/* --- commands --- */

static void command_auth(struct ftp *f, struct text kind, const struct line *line)
{
    struct text method = line->text;
    int gssapi = text_is(kind, "GSSAPI");
    if (method.len > METHOD_MOST)
        method.len = METHOD_MOST;
    talk_ask(&f->talk, SECURITY, 0);
    if (gssapi || text_is(kind, "SSL") || text_begins(kind, "TLS")) /* TLS-C, TLS-P */
        starttls_ask_host(&f->tls, method, gssapi ? "GSSAPI" : "TLS",
                          talk_kept(f->host, f->host_len), line->offset + line->len - 1);
}

static void command(struct ftp *f, const struct line *line)
{
    struct text rest = line->text;
    while (rest.len > 0 && (unsigned char)rest.data[0] >= TELNET_IAC) /* in front of ABOR */
        rest = (struct text){rest.data + 1, rest.len - 1};
    struct text word = line_word(&rest), argument = line_word(&rest);
    if (text_is(word, "AUTH")) {
        command_auth(f, argument, line);
        return;
    }
    talk_ask(&f->talk, text_is(word, "FEAT") ? FEATURES : OTHER, 0);
    if (text_is(word, "USER"))
        f->anonymous = text_is(argument, "anonymous") || text_is(argument, "ftp");
    else if (text_is(word, "PASS") && !f->anonymous)
        starttls_clear(&f->tls, line->offset, TEXT_LITERAL("USER and PASS"), 1);
}

/* A password is judged by what the server has said before it. */
static int is_judged(const struct line *line)
{
    struct text rest = line->text;
    return text_is(line_word(&rest), "PASS");
}

static struct result client(struct ftp *f, const struct slice *slice)
{
    struct talk *talk = &f->talk;
    struct talk_line line;
    struct result result;
    if (f->tls.pending) {
        result = starttls_wait(&f->tls, slice);
        if (f->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (talk->unsure) {
        result = starttls_unseen(&f->tls, CLIENT, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (talk_full(talk))
        return (struct result){.verdict = V_WAIT_PEER};
    uint8_t inside = talk->inside[CLIENT];
    if (!talk_take(talk, CLIENT, slice, &line))
        return line_wanted(slice);
    result = (struct result){.verdict = V_OK, .consumed = line.line.len};
    if (!line.first || line.line.text.len == 0)
        return result;
    if (is_judged(&line.line) && talk_behind(talk) && !starttls_judged(&f->tls)) {
        talk->inside[CLIENT] = inside;
        return (struct result){.verdict = V_WAIT_PEER};
    }
    command(f, &line.line);
    return starttls_asked(&f->tls, line.line.len);
}

/* --- replies --- */

static enum cause cause_of(int code)
{
    switch (code) {
    case 421:
    case 431:
    case 451:
        return CAUSE_UPSTREAM;
    case 501:
    case 503:
        return CAUSE_BAD_REQUEST;
    case 500:
    case 502:
    case 504:
        return CAUSE_ROUTE;
    case 530:
    case 532:
    case 533:
        return CAUSE_AUTH;
    default:
        return CAUSE_UNKNOWN;
    }
}

static int answer_tls(struct ftp *f, int code, struct text text, const struct line *line)
{
    struct starttls_answer answer = {.status = code, .reason = text, .begin = f->begin,
                                     .end = line->offset + line->len - 1};
    int grants = code == 234 || code == 334;
    if (!f->tls.pending || (!grants && (f->tls.lost || (f->talk.unsure && code < 400))))
        return 0;
    if (grants)
        starttls_grant(&f->tls, &answer);
    else
        starttls_refuse(&f->tls, &answer, cause_of(code));
    return grants;
}

/* A final reply is complete. Returns 1 where it grants what was asked. */
static int reply(struct ftp *f, int code, struct text text, const struct line *line)
{
    int kind = talk_answer(&f->talk, 0);
    if (kind == GREETING && code != 220 && code < 400) /* there was none */
        kind = talk_answer(&f->talk, 0);
    if (kind == SECURITY || (kind < 0 && f->talk.unsure))
        return answer_tls(f, code, text, line);
    return 0;
}

/* A line of the reply to FEAT: "AUTH TLS", "AUTH SSL;TLS;TLS-C;". */
static void feature(struct ftp *f, struct text text)
{
    int due = f->talk.count > 0 ? f->talk.kind[0] : -1;
    if ((due == FEATURES || (due < 0 && f->talk.unsure)) &&
        text_is(line_word(&text), "AUTH") &&
        (text_contains(text, "TLS") || text_contains(text, "SSL")))
        starttls_offer(&f->tls);
}

static void greet(struct ftp *f, struct text text)
{
    if (f->greeting_len > 0 || f->talk.count == 0 || f->talk.kind[0] != GREETING)
        return;
    f->greeting_len = talk_keep(f->greeting, sizeof f->greeting, text);
    f->host_len = talk_keep(f->host, sizeof f->host, talk_host(text));
}

static struct result server(struct ftp *f, const struct slice *slice)
{
    struct talk_line line;
    struct text text;
    int more = 0;
    if (talk_early(&f->talk))
        return (struct result){.verdict = V_WAIT_PEER};
    if (f->talk.unsure) {
        struct result unseen = starttls_unseen(&f->tls, SERVER, slice);
        if (unseen.verdict != V_OK)
            return unseen;
    }
    if (!talk_take(&f->talk, SERVER, slice, &line))
        return line_wanted(slice);
    struct result result = {.verdict = V_OK, .consumed = line.line.len};
    int code = line.first ? line_code(line.line.text, &more, &text) : -1;
    if (line.first && f->code != 0 && code != f->code)
        feature(f, line.line.text);
    if (code < 0 || (f->code != 0 && code != f->code)) /* within a reply, or nothing to go by */
        return result;
    if (f->code == 0)
        f->begin = line.line.offset;
    else
        feature(f, text);
    if (code == 220)
        greet(f, text);
    f->code = more ? code : 0;
    if (!more && code >= 200 && reply(f, code, text, &line.line))
        result.verdict = V_SWITCHED;
    return result;
}

static struct result ftp_data(struct layer *layer, void *state, enum side side,
                              const struct slice *slice)
{
    (void)layer;
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Lines are found again at the next line end. */
static struct result ftp_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                             uint64_t len)
{
    struct ftp *f = state;
    (void)layer;
    (void)offset;
    (void)talk_gap(&f->talk, side, len);
    f->talk.inside[CLIENT] = 0; /* the form of a command tells where one begins */
    f->talk.blind = 0;
    if (side == SERVER) {
        f->code = 0;
        starttls_lose(&f->tls);
    } else if (f->tls.pending) {
        starttls_tear(&f->tls);
    }
    return (struct result){.verdict = V_OK};
}

static void ftp_close(struct layer *layer, void *state)
{
    const struct ftp *f = state;
    struct detail detail = {.len = 0};
    if (f->greeting_len == 0)
        return;
    detail_text(&detail, "greeting", (struct text){f->greeting, f->greeting_len});
    layer_detail(layer, detail_json(&detail));
}

const struct dissector ftp_dissector = {
    .name = "ftp",
    .state_size = sizeof(struct ftp),
    .probe = ftp_probe,
    .open = ftp_open,
    .data = ftp_data,
    .gap = ftp_gap,
    .close = ftp_close,
};
