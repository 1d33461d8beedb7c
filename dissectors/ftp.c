/*
 * The control connection of FTP (RFC 959) as far as its security goes: AUTH TLS (RFC 4217), AUTH
 * GSSAPI (RFC 2228), what FEAT (RFC 2389) offers, and passwords in the clear. Replies are matched
 * to commands by counting: each command has one final reply.
 */
#include <string.h>

#include "detail.h"
#include "line.h"
#include "starttls.h"
#include "text.h"

enum { LINE_MOST = 2048, GREETING_MOST = 80, PROBE_MOST = 512 };

struct ftp {
    struct starttls tls;
    uint64_t outstanding; /* final replies that are owed, the greeting among them */
    uint64_t begin;       /* of the reply that is being read */
    int code;             /* of a reply of several lines; 0: none is open */
    int unsure;           /* bytes were lost: counting proves nothing */
    int password;         /* a user was named in the clear */
    char greeting[GREETING_MOST];
    size_t greeting_len;
};

/* --- recognition --- */

static int probe_server(struct text bytes)
{
    int more;
    struct text text;
    if (bytes.len < 4)
        return memcmp(bytes.data, "220", bytes.len < 3 ? bytes.len : 3) == 0 ? 0 : -1;
    if (line_code(bytes.len > 4 ? (struct text){bytes.data, 4} : bytes, &more, &text) != 220)
        return -1;
    if (bytes.len > PROBE_MOST)
        bytes.len = PROBE_MOST;
    if (text_contains(bytes, "SMTP") || text_contains(bytes, "LMTP"))
        return -1;
    return text_contains(bytes, "FTP") ? 80 : 0;
}

static int probe_client(struct text bytes)
{
    static const struct line_start words[] = {
        {"AUTH TLS", 75}, {"AUTH SSL", 75}, {"AUTH GSSAPI", 75}, {"FEAT\r\n", 70}, {"HOST ", 40},
        {"USER ", 30},
    };
    return line_probe(bytes, words, sizeof words / sizeof words[0]);
}

static int ftp_probe(enum side side, const uint8_t *data, size_t len)
{
    struct text bytes = {(const char *)data, len};
    return len == 0 ? 0 : side == SERVER ? probe_server(bytes) : probe_client(bytes);
}

static int ftp_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct ftp *f = state;
    (void)handover;
    starttls_open(&f->tls, layer);
    f->outstanding = layer_from_start(layer) ? 1 : 0;
    f->unsure = !layer_from_start(layer);
    return 0;
}

/* --- commands --- */

static void command(struct ftp *f, const struct line *line)
{
    struct text rest = line->text, word = line_word(&rest), argument = rest;
    struct text kind = line_word(&argument);
    uint64_t last = line->offset + line->len - 1;
    f->outstanding++;
    if (text_is(word, "AUTH") && (text_begins(kind, "TLS") || text_is(kind, "SSL")))
        starttls_ask(&f->tls, line->text, "TLS", last);
    else if (text_is(word, "AUTH") && text_is(kind, "GSSAPI"))
        starttls_ask(&f->tls, line->text, "GSSAPI", last);
    else if (text_is(word, "PASS") && !f->password) {
        f->password = 1;
        starttls_clear(&f->tls, line->offset, TEXT_LITERAL("USER and PASS"), 1);
    }
}

static struct result client(struct ftp *f, const struct slice *slice)
{
    struct line line;
    if (f->tls.pending) {
        struct result result = starttls_wait(&f->tls, slice);
        if (f->tls.pending || result.verdict != V_OK)
            return result;
    }
    if (!line_take(slice, LINE_MOST, &line))
        return line_wanted(slice);
    command(f, &line);
    return starttls_asked(&f->tls, line.len);
}

/* --- replies --- */

static enum cause cause_of(int code)
{
    return code == 530 || code == 533 ? CAUSE_AUTH
           : code == 431 || code == 421 || code == 432 ? CAUSE_UPSTREAM
           : code >= 500 && code <= 504                ? CAUSE_ROUTE
                                                       : CAUSE_UNKNOWN;
}

/* Returns 1 where the reply grants what was asked. */
static int final_reply(struct ftp *f, int code, struct text text, const struct line *line)
{
    int mine = f->tls.pending && (f->outstanding <= 1 || f->unsure);
    int grants = code == 234 || code == 334;
    if (f->outstanding > 0)
        f->outstanding--;
    if (!mine || (f->unsure && !grants && f->tls.lost))
        return 0;
    struct starttls_answer answer = {.status = code, .reason = text, .begin = f->begin,
                                     .end = line->offset + line->len - 1};
    if (grants) {
        starttls_grant(&f->tls, &answer);
        return 1;
    }
    starttls_refuse(&f->tls, &answer, cause_of(code));
    return 0;
}

/* What a line within the reply to FEAT, or of a greeting, offers. */
static void inside(struct ftp *f, struct text text)
{
    struct text word = line_word(&text);
    if (text_is(word, "AUTH") && (text_contains(text, "TLS") || text_contains(text, "SSL")))
        starttls_offer(&f->tls);
}

static void greet(struct ftp *f, struct text text)
{
    if (f->greeting_len > 0 || text.len == 0)
        return;
    f->greeting_len = text.len < GREETING_MOST ? text.len : GREETING_MOST;
    memcpy(f->greeting, text.data, f->greeting_len);
}

static struct result server(struct ftp *f, const struct slice *slice)
{
    struct line line;
    struct text text;
    int more = 0;
    if (!line_take(slice, LINE_MOST, &line))
        return line_wanted(slice);
    struct result result = {.verdict = V_OK, .consumed = line.len};
    int code = line_code(line.text, &more, &text);
    if (f->code != 0 && code != f->code) {
        inside(f, line.text);
        return result;
    }
    if (code < 0) /* no line of a reply: nothing to go by */
        return result;
    if (f->code == 0)
        f->begin = line.offset;
    if (code == 220)
        greet(f, text);
    f->code = more ? code : 0;
    if (!more && code >= 200 && final_reply(f, code, text, &line))
        result.verdict = V_SWITCHED;
    return result;
}

static struct result ftp_data(struct layer *layer, void *state, enum side side,
                              const struct slice *slice)
{
    const struct ftp *f = state;
    /* A reply is read behind its command, which may wait for the reply to the one before. */
    if (side == SERVER && f->outstanding == 0 && !f->unsure && layer_held(layer, CLIENT) > 0)
        return (struct result){.verdict = V_WAIT_PEER};
    return side == CLIENT ? client(state, slice) : server(state, slice);
}

/* Lines are found again at the next line end; what was lost with it counts for nothing. */
static struct result ftp_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                             uint64_t len)
{
    struct ftp *f = state;
    (void)layer;
    (void)offset;
    (void)len;
    f->unsure = 1;
    f->code = 0;
    if (side == SERVER)
        starttls_lose(&f->tls);
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
