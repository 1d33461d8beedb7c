/*
 * NNTP (RFC 3977) as far as its security goes: STARTTLS (RFC 4642), AUTHINFO (RFC 4643). Replies
 * are matched to commands by counting; articles and lists are passed over up to the line with the
 * single dot, so that nothing in them is taken for a command or a reply.
 */
#include <string.h>

#include "detail.h"
#include "line.h"
#include "starttls.h"
#include "text.h"

enum { LINE_MOST = 2048, GREETING_MOST = 80, PROBE_MOST = 512 };

enum wait { NOTHING, LISTGROUP, ARTICLE }; /* whose reply decides how the next lines are read */

struct nntp {
    struct starttls tls;
    uint64_t outstanding; /* replies that are owed, the greeting among them */
    enum wait wait;
    int article;      /* the client sends one, up to the dot */
    int body;         /* the server does */
    int capabilities; /* of a list that says so */
    int unsure;
    char greeting[GREETING_MOST];
    size_t greeting_len;
};

/* --- recognition --- */

static int probe_server(struct text bytes)
{
    int more;
    struct text text;
    if (bytes.len < 4)
        return bytes.data[0] == '2' && (bytes.len < 2 || bytes.data[1] == '0') &&
                       (bytes.len < 3 || bytes.data[2] == '0' || bytes.data[2] == '1')
                   ? 0
                   : -1;
    int code = line_code((struct text){bytes.data, 4}, &more, &text);
    if (code != 200 && code != 201)
        return -1;
    if (bytes.len > PROBE_MOST)
        bytes.len = PROBE_MOST;
    return text_contains(bytes, "NNTP") || text_contains(bytes, "InterNetNews") ||
                   text_contains(bytes, "posting") || text_contains(bytes, "NNRP")
               ? 80
               : 0;
}

static int probe_client(struct text bytes)
{
    static const struct line_start words[] = {
        {"CAPABILITIES\r\n", 60}, {"MODE READER\r\n", 80}, {"AUTHINFO ", 80}, {"GROUP ", 50},
        {"STARTTLS\r\n", 0},
    };
    return line_probe(bytes, words, sizeof words / sizeof words[0]);
}

static int nntp_probe(enum side side, const uint8_t *data, size_t len)
{
    struct text bytes = {(const char *)data, len};
    return len == 0 ? 0 : side == SERVER ? probe_server(bytes) : probe_client(bytes);
}

static int nntp_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct nntp *n = state;
    (void)handover;
    starttls_open(&n->tls, layer);
    n->outstanding = layer_from_start(layer) ? 1 : 0;
    n->unsure = !layer_from_start(layer);
    return 0;
}

/* --- commands --- */

static void command(struct nntp *n, const struct line *line)
{
    struct text rest = line->text, word = line_word(&rest);
    n->outstanding++;
    if (text_is(word, "STARTTLS"))
        starttls_ask(&n->tls, line->text, "TLS", line->offset + line->len - 1);
    else if (text_is(word, "LISTGROUP"))
        n->wait = LISTGROUP;
    else if (text_is(word, "POST") || text_is(word, "IHAVE"))
        n->wait = ARTICLE;
    else if (text_is(word, "AUTHINFO")) {
        struct text kind = line_word(&rest);
        starttls_clear(&n->tls, line->offset,
                       text_is(kind, "SASL") ? TEXT_LITERAL("AUTHINFO SASL")
                                             : TEXT_LITERAL("AUTHINFO USER"), 1);
    }
}

static int is_dot(const struct line *line)
{
    return line->text.len == 1 && line->text.data[0] == '.';
}

static struct result client(struct nntp *n, const struct slice *slice)
{
    struct line line;
    if (n->tls.pending) {
        struct result result = starttls_wait(&n->tls, slice);
        if (n->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (n->wait != NOTHING)
        return (struct result){.verdict = V_WAIT_PEER};
    if (!line_take(slice, LINE_MOST, &line))
        return line_wanted(slice);
    if (!n->article) {
        command(n, &line);
    } else if (is_dot(&line)) {
        n->article = 0;
        n->outstanding++; /* an article has a reply of its own */
    }
    return starttls_asked(&n->tls, line.len);
}

/* --- replies --- */

/* RFC 3977 3.2.1, RFC 4643 and others: replies that a body follows. */
static int has_body(int code, enum wait wait)
{
    static const int codes[] = {100, 101, 215, 220, 221, 222, 224, 225, 230, 231, 282};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == code)
            return 1;
    return code == 211 && wait == LISTGROUP;
}

static int reply(struct nntp *n, int code, struct text text, const struct line *line)
{
    int mine = n->outstanding <= 1 || n->unsure;
    if (n->outstanding > 0)
        n->outstanding--;
    n->body = has_body(code, mine ? n->wait : NOTHING);
    n->capabilities = code == 101;
    if (n->wait != NOTHING && mine) {
        n->article = n->wait == ARTICLE && (code == 340 || code == 335);
        n->wait = NOTHING;
    }
    if (!n->tls.pending || !mine || n->body || (n->tls.lost && code != 382))
        return 0;
    struct starttls_answer answer = {.status = code, .reason = text, .begin = line->offset,
                                     .end = line->offset + line->len - 1};
    if (code == 382) {
        starttls_grant(&n->tls, &answer);
        return 1;
    }
    starttls_refuse(&n->tls, &answer, code == 580 ? CAUSE_UPSTREAM
                                      : code == 483 ? CAUSE_AUTH
                                      : code >= 500 ? CAUSE_ROUTE
                                                    : CAUSE_UNKNOWN);
    return 0;
}

static struct result server(struct nntp *n, const struct slice *slice)
{
    struct line line;
    struct text text;
    int more;
    if (!line_take(slice, LINE_MOST, &line))
        return line_wanted(slice);
    struct result result = {.verdict = V_OK, .consumed = line.len};
    if (n->body) {
        struct text rest = line.text;
        if (n->capabilities && text_is(line_word(&rest), "STARTTLS"))
            starttls_offer(&n->tls);
        n->body = !is_dot(&line);
        return result;
    }
    int code = line_code(line.text, &more, &text);
    if (code < 0)
        return result;
    if (n->greeting_len == 0 && (code == 200 || code == 201)) {
        n->greeting_len = text.len < GREETING_MOST ? text.len : GREETING_MOST;
        memcpy(n->greeting, text.data, n->greeting_len);
    }
    if (reply(n, code, text, &line))
        result.verdict = V_SWITCHED;
    return result;
}

static struct result nntp_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    const struct nntp *n = state;
    /* A reply is read behind its command, which may wait for the reply to the one before. */
    if (side == SERVER && n->outstanding == 0 && !n->body && !n->unsure &&
        layer_held(layer, CLIENT) > 0)
        return (struct result){.verdict = V_WAIT_PEER};
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* A gap may have hidden a dot or the beginning of an article: what cannot be known is taken for
 * text until a line says otherwise. */
static struct result nntp_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct nntp *n = state;
    (void)layer;
    (void)offset;
    (void)len;
    n->unsure = 1;
    if (side == SERVER) {
        starttls_lose(&n->tls);
        n->wait = NOTHING;
    }
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
