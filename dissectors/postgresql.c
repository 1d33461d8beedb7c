/*
 * PostgreSQL's protocol 3 (Frontend/Backend Protocol, "SSL Session Encryption", "GSSAPI Session
 * Encryption", "Start-up") as far as its switches go: SSLRequest and GSSENCRequest with their
 * answers of one byte, the startup in the clear, and how the client authenticates there. From
 * ReadyForQuery on nothing is read any more. A connection that begins with TLS is TLS.
 */
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "dissector.h"
#include "reader.h"
#include "starttls.h"

#define CODE_CANCEL 80877102u
#define CODE_SSL 80877103u
#define CODE_GSSENC 80877104u

enum {
    STARTUP_MAX = 10000, /* the server's own limit */
    ERROR_MAX = 30000,   /* libpq's: a longer one is no error message of protocol 3 */
    OLD_ERROR_MAX = 512, /* bytes of a message of protocol 2 that are waited for */
    MESSAGE_MAX = 1 << 30,
    PARAMETER_MAX = 1024,
    MECHANISM_MAX = 24, /* bytes of the name of a SASL mechanism that are shown */
};

enum phase { STARTUP, LOGIN, DONE };

/* What the server asked for, in `R`. */
enum { AUTH_OK = 0, AUTH_CLEARTEXT = 3, AUTH_MD5 = 5, AUTH_SASL = 10 };

struct postgresql_state {
    struct starttls judge;
    enum phase phase;
    uint32_t auth;      /* the newest request that begins an exchange */
    uint64_t skip[2];   /* bytes of a message that is passed over */
    uint8_t blind[2];   /* a gap took the place */
    uint16_t minor;     /* of the startup's version 3 */
};

/* --- probing --- */

/* The parameters of a startup begin with a name in lower case; "user" is always among them. */
static int parameters_fit(struct reader *r)
{
    int first = reader_peek(r, 0);
    if (first < 0)
        return 0;
    for (size_t i = 0; i < 64; i++) {
        int c = reader_peek(r, i);
        if (c < 0)
            return 0;
        if (c == 0)
            return i > 0 ? 1 : -1;
        if (!((c >= 'a' && c <= 'z') || c == '_' || c == '.' || (c >= '0' && c <= '9')))
            return -1;
    }
    return -1;
}

static int client_probe(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    if (len >= 1 && reader_peek(&r, 0) != 0)
        return -1;
    if (len >= 2 && reader_peek(&r, 1) != 0)
        return -1;
    uint32_t size = reader_u32(&r);
    if (r.failed)
        return 0;
    if (size < 8 || size > STARTUP_MAX)
        return -1;
    int first = reader_peek(&r, 0), second = reader_peek(&r, 1);
    int request = first == 0x04 && (second < 0 || second == 0xd2);
    int startup = first == 0 && (second < 0 || second == 3) && size > 12;
    if (first >= 0 && !request && !startup)
        return -1;
    uint32_t code = reader_u32(&r);
    if (r.failed)
        return 0;
    if (code == CODE_SSL || code == CODE_GSSENC)
        return size == 8 ? 97 : -1;
    if (code == CODE_CANCEL)
        return size >= 16 && size <= 268 ? 90 : -1;
    if (code >> 16 != 3 || (code & 0xffff) > 9999)
        return -1;
    int fits = parameters_fit(&r);
    return fits > 0 ? 90 : fits;
}

/* What a grant is followed by: a TLS record, or a length and a token of GSSAPI. */
static int granted_probe(struct reader *r, uint8_t answer)
{
    int first = reader_peek(r, 0), second = reader_peek(r, 1), third = reader_peek(r, 2);
    int fits = answer == 'S' ? (first < 0 || first == 22 || first == 21) &&
                                   (second < 0 || second == 3) && (third < 0 || third <= 4)
                             : first <= 0 && second <= 0;
    return !fits ? -1 : third < 0 ? 0 : 30;
}

static int message_probe(struct reader *r, uint8_t type)
{
    if (reader_peek(r, 0) > 0)
        return -1;
    uint32_t size = reader_u32(r);
    if (r->failed)
        return 0;
    int next = reader_peek(r, 0);
    if (type == 'E')
        return size < 8 || size > ERROR_MAX ? -1 : next < 0 ? 0 : next == 'S' ? 50 : -1;
    if (size < 8 || size > 2048)
        return -1;
    uint32_t code = reader_u32(r);
    return r->failed ? 0 : code <= 12 ? 60 : -1;
}

/* One byte says next to nothing: what comes behind it does. */
static int server_probe(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    uint8_t type = reader_u8(&r);
    for (int refused = 0; type == 'N' && refused < 2; refused++)
        type = reader_u8(&r);
    if (r.failed)
        return 0;
    if (type == 'S' || type == 'G')
        return granted_probe(&r, type);
    return type == 'R' || type == 'E' ? message_probe(&r, type) : -1;
}

static int postgresql_probe(enum side side, const uint8_t *data, size_t len)
{
    return side == CLIENT ? client_probe(data, len) : server_probe(data, len);
}

/* --- results --- */

static struct result wanted(size_t need)
{
    return (struct result){.verdict = V_NEED, .need = need};
}

static struct result lost(void)
{
    return (struct result){.verdict = V_LOST};
}

static struct result taken(size_t len)
{
    return (struct result){.verdict = V_OK, .consumed = len};
}

static struct result finish(struct postgresql_state *pg)
{
    pg->phase = DONE;
    return (struct result){.verdict = V_DONE};
}

static struct result pass_over(struct postgresql_state *pg, enum side side,
                               const struct slice *slice)
{
    size_t len = slice->len < pg->skip[side] ? slice->len : (size_t)pg->skip[side];
    pg->skip[side] -= len;
    return taken(len);
}

/* --- the client --- */

static void ask(struct postgresql_state *pg, uint32_t code, uint64_t last)
{
    if (code == CODE_SSL)
        starttls_ask(&pg->judge, TEXT_LITERAL("SSLRequest"), "TLS", last);
    else
        starttls_ask(&pg->judge, TEXT_LITERAL("GSSENCRequest"), "GSSAPI", last);
    if (pg->blind[SERVER])
        starttls_lose(&pg->judge);
}

static void tell_detail(struct layer *layer, const struct postgresql_state *pg,
                        struct text version)
{
    struct detail detail = {0};
    char protocol[16];
    int len = snprintf(protocol, sizeof protocol, "3.%u", (unsigned)pg->minor);
    detail_text(&detail, "protocol", (struct text){protocol, (size_t)len});
    detail_text(&detail, "server_version", version);
    layer_detail(layer, detail_json(&detail));
}

/* The messages without a type that a connection begins with. */
static struct result first_messages(struct layer *layer, struct postgresql_state *pg,
                                    const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    uint32_t size = reader_u32(&r);
    uint32_t code = reader_u32(&r);
    if (r.failed)
        return wanted(8);
    if ((code == CODE_SSL || code == CODE_GSSENC) && size == 8) {
        ask(pg, code, slice->offset + 7);
        return starttls_asked(&pg->judge, 8);
    }
    if (code == CODE_CANCEL || code >> 16 == 2) /* protocol 2 knows no message types */
        return finish(pg);
    if (code >> 16 != 3 || size < 8 || size > STARTUP_MAX)
        return lost();
    pg->phase = LOGIN;
    pg->minor = (uint16_t)(code & 0xffff);
    tell_detail(layer, pg, TEXT_NONE);
    pg->skip[CLIENT] = size;
    return pass_over(pg, CLIENT, slice);
}

/* What the client proves itself with, by the exchange it is in and the first of its message. */
static void authenticate(struct postgresql_state *pg, struct reader *r, uint64_t offset)
{
    char what[MECHANISM_MAX + 8] = "SASL ";
    size_t len = 0;
    if (pg->auth == AUTH_CLEARTEXT || pg->auth == AUTH_MD5) {
        const char *how = pg->auth == AUTH_MD5 ? "as MD5" : "in clear text";
        len = (size_t)snprintf(what, sizeof what, "password %s", how);
    } else if (pg->auth == AUTH_SASL) {
        len = strlen(what);
        while (len < sizeof what && reader_peek(r, 0) > ' ')
            what[len++] = (char)reader_u8(r);
    }
    if (len > 0)
        starttls_clear(&pg->judge, offset, (struct text){what, len}, 1);
}

static struct result typed(struct postgresql_state *pg, enum side side, const struct slice *slice,
                           uint8_t *type)
{
    struct reader r = reader_of(slice->data, slice->len);
    *type = reader_u8(&r);
    uint32_t size = reader_u32(&r);
    if (r.failed)
        return wanted(5);
    if (size < 4 || size > MESSAGE_MAX)
        return lost();
    pg->skip[side] = (uint64_t)size + 1;
    return taken(0);
}

static struct result client_login(struct postgresql_state *pg, const struct slice *slice)
{
    uint8_t type;
    struct result result = typed(pg, CLIENT, slice, &type);
    if (result.verdict != V_OK)
        return result;
    if (type != 'p')
        return pass_over(pg, CLIENT, slice);
    uint64_t whole = pg->skip[CLIENT];
    size_t need = whole < 5 + MECHANISM_MAX ? (size_t)whole : 5 + MECHANISM_MAX;
    if (slice->len < need) {
        pg->skip[CLIENT] = 0;
        return wanted(need);
    }
    struct reader r = reader_of(slice->data, need);
    reader_skip(&r, 5);
    authenticate(pg, &r, slice->offset);
    return pass_over(pg, CLIENT, slice);
}

/* Packets of GSSAPI encryption: a length, and a token (RFC 2743 3.1) in the first. */
static int gssapi_begins(const struct slice *slice)
{
    if (slice->len < 5)
        return slice->len > 0 && slice->data[0] != 0 ? -1 : 0;
    struct reader r = reader_of(slice->data, slice->len);
    uint32_t size = reader_u32(&r);
    return size > 0 && size <= 16384 && reader_u8(&r) == 0x60 ? 1 : -1;
}

static struct result client_waits(struct postgresql_state *pg, const struct slice *slice)
{
    if (pg->judge.lost && strcmp(pg->judge.protocol, "GSSAPI") == 0)
        return starttls_settle(&pg->judge, slice, gssapi_begins(slice));
    return starttls_wait(&pg->judge, slice);
}

/* --- the server --- */

/* The text of an ErrorResponse: its message, else its code. */
static struct text error_text(struct reader *r)
{
    struct text code = TEXT_NONE;
    for (;;) {
        uint8_t field = reader_u8(r);
        const uint8_t *text = r->data + r->at;
        const uint8_t *end = memchr(text, 0, reader_left(r));
        if (field == 0 || r->failed || end == NULL)
            return code;
        struct text value = {(const char *)text, (size_t)(end - text)};
        if (field == 'M')
            return value;
        if (field == 'C')
            code = value;
        reader_skip(r, value.len + 1);
    }
}

/* 'E': an ErrorResponse, of protocol 3 or, from a server that knows no SSLRequest, of protocol 2:
 * text up to a NUL. */
static struct result refused_with_error(struct postgresql_state *pg, const struct slice *slice)
{
    struct starttls_answer answer = {.begin = slice->offset};
    struct reader r = reader_of(slice->data, slice->len);
    reader_skip(&r, 1);
    int next = reader_peek(&r, 0);
    size_t len;
    if (next < 0)
        return wanted(2);
    if (next == 0) {
        uint32_t size = reader_u32(&r);
        if (r.failed)
            return wanted(5);
        if (size < 4 || size > ERROR_MAX)
            return lost();
        len = (size_t)size + 1;
        if (slice->len < len)
            return wanted(len);
        r.len = len;
        answer.reason = error_text(&r);
    } else {
        size_t window = slice->len < OLD_ERROR_MAX ? slice->len : OLD_ERROR_MAX;
        const uint8_t *end = memchr(slice->data, 0, window);
        if (end == NULL && window < OLD_ERROR_MAX)
            return wanted(slice->len + 1);
        len = end != NULL ? (size_t)(end - slice->data) : window;
        answer.reason = (struct text){(const char *)slice->data + 1, len - 1};
        len += end != NULL;
    }
    answer.end = slice->offset + len - 1;
    starttls_refuse(&pg->judge, &answer, CAUSE_UNKNOWN);
    return taken(len);
}

static struct result answer(struct postgresql_state *pg, const struct slice *slice)
{
    struct starttls_answer answered = {.begin = slice->offset, .end = slice->offset};
    uint8_t grant = strcmp(pg->judge.protocol, "TLS") == 0 ? 'S' : 'G';
    if (slice->data[0] == 'E')
        return refused_with_error(pg, slice);
    if (slice->data[0] == grant) {
        starttls_grant(&pg->judge, &answered);
        return (struct result){.verdict = V_SWITCHED, .consumed = 1};
    }
    if (slice->data[0] != 'N')
        return lost();
    answered.reason = TEXT_LITERAL("N");
    starttls_refuse(&pg->judge, &answered, CAUSE_UNKNOWN);
    return taken(1);
}

static void parameter(struct layer *layer, const struct postgresql_state *pg, struct reader *r)
{
    static const char name[] = "server_version";
    const uint8_t *got, *value = NULL;
    if (!reader_take(r, sizeof name, &got) || memcmp(got, name, sizeof name) != 0)
        return;
    size_t len = reader_left(r);
    if (len > 0 && reader_take(r, len - 1, &value))
        tell_detail(layer, pg, (struct text){(const char *)value, len - 1});
}

static struct result server_login(struct layer *layer, struct postgresql_state *pg,
                                  const struct slice *slice)
{
    uint8_t type;
    struct result result = typed(pg, SERVER, slice, &type);
    uint64_t whole = pg->skip[SERVER];
    if (result.verdict != V_OK)
        return result;
    if (type == 'Z')
        return finish(pg);
    int reads = (type == 'R' && whole >= 9) || (type == 'S' && whole <= PARAMETER_MAX);
    size_t need = type == 'R' ? 9 : (size_t)whole;
    if (reads && slice->len < need) {
        pg->skip[SERVER] = 0;
        return wanted(need);
    }
    struct reader r = reader_of(slice->data, reads ? need : 0);
    reader_skip(&r, 5);
    if (reads && type == 'S')
        parameter(layer, pg, &r);
    uint32_t request = reads && type == 'R' ? reader_u32(&r) : AUTH_OK;
    if (request != AUTH_OK && request != 8 && request != 11 && request != 12)
        pg->auth = request; /* the others go on with what began */
    return pass_over(pg, SERVER, slice);
}

static struct result server_data(struct layer *layer, struct postgresql_state *pg,
                                 const struct slice *slice)
{
    if (pg->judge.pending)
        return pg->judge.lost ? (struct result){.verdict = V_WAIT_PEER} : answer(pg, slice);
    if (pg->skip[SERVER] > 0)
        return pass_over(pg, SERVER, slice);
    if (pg->phase == STARTUP) /* a server that has had enough says so at any time */
        return slice->data[0] == 'E' ? finish(pg) : lost();
    return server_login(layer, pg, slice);
}

/* --- the dissector --- */

static int postgresql_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct postgresql_state *pg = state;
    (void)handover;
    starttls_open(&pg->judge, layer);
    return 0;
}

static struct result postgresql_data(struct layer *layer, void *state, enum side side,
                                     const struct slice *slice)
{
    struct postgresql_state *pg = state;
    if (side == CLIENT && pg->judge.pending) {
        struct result result = client_waits(pg, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (pg->blind[CLIENT] && !pg->judge.pending)
        return finish(pg);
    if (pg->phase == DONE || pg->blind[side])
        return (struct result){.verdict = V_DONE};
    if (side == SERVER)
        return server_data(layer, pg, slice);
    if (pg->skip[CLIENT] > 0)
        return pass_over(pg, CLIENT, slice);
    return pg->phase == STARTUP ? first_messages(layer, pg, slice) : client_login(pg, slice);
}

/* A gap within a message that is passed over is nothing, and one that is just the answer of one
 * byte leaves the place known. Behind any other there is no telling where a message begins. */
static struct result postgresql_gap(struct layer *layer, void *state, enum side side,
                                    uint64_t offset, uint64_t len)
{
    struct postgresql_state *pg = state;
    (void)layer;
    (void)offset;
    if (len <= pg->skip[side]) {
        pg->skip[side] -= len;
        return (struct result){.verdict = V_OK};
    }
    int answer_only = side == SERVER && pg->judge.pending && !pg->judge.lost && len == 1;
    if (side == SERVER)
        starttls_lose(&pg->judge);
    if (answer_only)
        return (struct result){.verdict = V_OK};
    pg->blind[side] = 1;
    if (side == CLIENT)
        return (struct result){.verdict = V_OK}; /* what follows may be behind a pending attempt */
    return (struct result){.verdict = V_DONE};
}

const struct dissector postgresql_dissector = {
    .name = "postgresql",
    .state_size = sizeof(struct postgresql_state),
    .probe = postgresql_probe,
    .open = postgresql_open,
    .data = postgresql_data,
    .gap = postgresql_gap,
};
