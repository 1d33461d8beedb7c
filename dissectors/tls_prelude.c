/*
 * How a side of TLS begins: its hello record (RFC 8446 5.1, 4.1), a server's alert, the
 * SSLv2-compatible hello (RFC 5246 E.2), or, where the capture began in the middle, a chain of
 * records. And what may stand in front of that where it should not: clear bytes.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "reader.h"
#include "tls_private.h"

enum {
    CLIENT_HELLO_MIN = 2 + 32 + 1 + 2 + 2, /* without compression methods, as some broken ones */
    SERVER_HELLO_MIN = 2 + 32 + 1 + 2,
    HELLO_MAX = 1 << 17,
    RECORDED_HEAD = 6, /* of a message: type, length, and the version that a hello begins with */
    SURE_HELLO = 90,
    SURE_ALERT = 50,
    SURE_SSL2 = 80,
    SURE_CHAIN = 60
};

/* The head of the message in the first record, as far as that record holds it. */
static int hello_message(enum side side, struct reader *r, uint16_t length)
{
    uint8_t type = reader_u8(r);
    int wanted = side == CLIENT ? TLS_CLIENT_HELLO : TLS_SERVER_HELLO;
    if (r->failed)
        return 0;
    if (side == SERVER && type == TLS_HELLO_REQUEST && length == 4)
        return reader_u24(r) == 0 ? (r->failed ? 0 : SURE_HELLO) : -1;
    if (type != wanted)
        return -1;
    if (length < RECORDED_HEAD) /* in tiny pieces: this is all there is to see */
        return SURE_HELLO;
    uint32_t len = reader_u24(r);
    if (r->failed)
        return 0;
    if (len < (side == CLIENT ? CLIENT_HELLO_MIN : SERVER_HELLO_MIN) || len > HELLO_MAX)
        return -1;
    uint8_t major = reader_u8(r);
    if (r->failed)
        return 0;
    return major == 3 || (side == SERVER && major == 0x7f) ? SURE_HELLO : -1;
}

int tls_hello_probe(enum side side, const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    uint8_t type = reader_u8(&r);
    if (len >= 1 && type != TLS_HANDSHAKE && !(side == SERVER && type == TLS_ALERT))
        return -1;
    uint8_t major = reader_u8(&r);
    if (len >= 2 && major != 3)
        return -1;
    uint8_t minor = reader_u8(&r);
    if (len >= 3 && minor > 4)
        return -1;
    uint16_t length = reader_u16(&r);
    if (r.failed)
        return 0;
    if (length == 0 || length > TLS_RECORD_MAX)
        return -1;
    if (type == TLS_HANDSHAKE)
        return hello_message(side, &r, length);
    uint8_t level = reader_u8(&r);
    uint8_t code = reader_u8(&r);
    if (length != 2)
        return -1;
    if (r.failed)
        return 0;
    return (level == 1 || level == 2) && tls_alert_known(code) ? SURE_ALERT : -1;
}

static int ssl2_probe(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    unsigned length = reader_u16(&r) & 0x7fffu;
    uint8_t type = reader_u8(&r);
    if (len >= 3 && type != 1)
        return -1;
    uint16_t version = reader_u16(&r);
    if (len >= 5 && version != TLS_SSL2 && (version < TLS_SSL3 || version > 0x0303))
        return -1;
    unsigned ciphers = reader_u16(&r), session_id = reader_u16(&r), challenge = reader_u16(&r);
    if (r.failed)
        return 0;
    return ciphers > 0 && ciphers % 3 == 0 && (session_id == 0 || session_id == 16) &&
                   challenge >= 16 && challenge <= 32 &&
                   length == 9 + ciphers + session_id + challenge
               ? SURE_SSL2
               : -1;
}

struct link { /* the head of a record in the middle of a connection */
    uint8_t type;
    uint16_t version, length;
};

/* < 0: it is none; 0: more bytes are needed. */
static int take_link(struct reader *r, struct link *link)
{
    int type = reader_peek(r, 0), major = reader_peek(r, 1);
    if (type >= 0 && (type < TLS_CHANGE_CIPHER_SPEC || type > TLS_APPLICATION_DATA))
        return -1;
    if (major >= 0 && major != 3)
        return -1;
    link->type = reader_u8(r);
    link->version = reader_u16(r);
    link->length = reader_u16(r);
    if (r->failed)
        return 0;
    if (link->version <= TLS_SSL3 || link->version > 0x0303 || link->length > TLS_RECORD_MAX)
        return -1;
    switch (link->type) { /* what is encrypted has a nonce, a tag or padding */
    case TLS_CHANGE_CIPHER_SPEC:
        return link->length == 1 ? 1 : -1;
    case TLS_ALERT:
        return link->length >= 2 && link->length <= 256 ? 1 : -1;
    case TLS_HANDSHAKE:
        return link->length >= 4 ? 1 : -1;
    default:
        return link->length >= 16 ? 1 : -1;
    }
}

static int chain_probe(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    struct link first, second;
    int is = take_link(&r, &first);
    if (is <= 0)
        return is;
    int message = reader_peek(&r, 0);
    if (first.type == TLS_HANDSHAKE &&
        (message == TLS_CLIENT_HELLO || message == TLS_SERVER_HELLO))
        return -1; /* a hello that is none, or the other side's */
    if (first.length > reader_left(&r))
        return 0;
    reader_skip(&r, first.length);
    is = take_link(&r, &second);
    if (is > 0 && second.version != first.version)
        return -1;
    return is > 0 ? SURE_CHAIN : is;
}

int tls_probe(enum side side, const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    int first = reader_peek(&r, 0);
    if (first >= 0x80)
        return side == CLIENT ? ssl2_probe(data, len) : -1;
    int is = tls_hello_probe(side, data, len);
    return is >= 0 ? is : chain_probe(data, len);
}

int tls_hello_find(enum side side, const uint8_t *data, size_t len, size_t *at)
{
    for (; *at < len && *at < TLS_PRELUDE_MAX; (*at)++) {
        int is = tls_hello_probe(side, data + *at, len - *at);
        if (is >= 0)
            return is > 0;
    }
    return *at >= TLS_PRELUDE_MAX ? -1 : 0;
}

/* --- text for people --- */

/* How much of a line may be shown: up to and with a word that secrets follow. */
static size_t shown_of_line(const char *line, size_t len)
{
    static const char *const words[] = {"AUTH", "AUTHENTICATE", "LOGIN", "PASS"};
    size_t at = 0;
    for (int word = 0; word < 2; word++) { /* IMAP has a tag in front */
        while (at < len && line[at] == ' ')
            at++;
        size_t begin = at;
        while (at < len && line[at] != ' ')
            at++;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (at - begin == strlen(words[i]) &&
                strncasecmp(line + begin, words[i], at - begin) == 0)
                return at;
    }
    return len;
}

struct writer {
    char *out;
    size_t size, len;
};

/* Whole pieces only; leaves room for the dots. */
static int put(struct writer *w, const char *piece)
{
    size_t len = strlen(piece);
    if (w->len + len + sizeof "..." > w->size)
        return 0;
    memcpy(w->out + w->len, piece, len);
    w->len += len;
    return 1;
}

static int put_byte(struct writer *w, uint8_t byte)
{
    char piece[8];
    if (byte == '\r' || byte == '\n')
        return put(w, byte == '\r' ? "\\r" : "\\n");
    (void)snprintf(piece, sizeof piece, byte < ' ' || byte > '~' || byte == '\\' ? "\\x%02x" : "%c",
                   byte);
    return put(w, piece);
}

/* Is it text, as far as it will be shown? */
static int is_text(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len && i < 64; i++)
        if (data[i] < 32 && data[i] != '\r' && data[i] != '\n' && data[i] != '\t')
            return 0;
    return 1;
}

/* Binary messages may hold passwords anywhere: only how they begin is shown. */
static size_t hex_start(char *out, size_t size, const uint8_t *data, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < len && i < 6; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%02x", i > 0 ? " " : "", data[i]);
    if (len > 6)
        at += (size_t)snprintf(out + at, size - at, " ...");
    return at;
}

size_t tls_printable(char *out, size_t size, const uint8_t *data, size_t len)
{
    struct writer w = {.out = out, .size = size};
    if (!is_text(data, len))
        return hex_start(out, size, data, len);
    size_t at = 0;
    int whole = 1;
    while (at < len && whole) {
        const uint8_t *lf = memchr(data + at, '\n', len - at);
        size_t line = lf != NULL ? (size_t)(lf - data) + 1 - at : len - at;
        size_t text = line;
        while (text > 0 && (data[at + text - 1] == '\n' || data[at + text - 1] == '\r'))
            text--;
        size_t shown = shown_of_line((const char *)data + at, text);
        for (size_t i = 0; i < line && whole; i++) {
            if (i == shown && shown < text)
                whole = put(&w, " [...]");
            if (i < shown || i >= text)
                whole = whole && put_byte(&w, data[at + i]);
        }
        at += line;
    }
    if (!whole) {
        memcpy(out + w.len, "...", 3);
        w.len += 3;
    }
    out[w.len] = '\0';
    return w.len;
}

/* --- names of hosts --- */

static size_t index_of(struct text text, char c)
{
    const char *at = text.len > 0 ? memchr(text.data, c, text.len) : NULL;
    return at != NULL ? (size_t)(at - text.data) : text.len;
}

static struct text behind(struct text text, size_t len)
{
    return (struct text){text.data + len, text.len - len};
}

/* An IPv4 address in any of its spellings: its last label is a number. */
static int is_address(struct text host)
{
    size_t at = host.len;
    while (at > 0 && host.data[at - 1] >= '0' && host.data[at - 1] <= '9')
        at--;
    return at < host.len && (at == 0 || host.data[at - 1] == '.');
}

struct text tls_host_name(struct text target)
{
    if (target.data == NULL)
        return TEXT_NONE;
    for (size_t at = 0; at + 3 <= target.len; at++)
        if (memcmp(target.data + at, "://", 3) == 0) {
            target = behind(target, at + 3);
            break;
        }
    target.len = index_of(target, '/');
    size_t user = index_of(target, '@');
    if (user < target.len)
        target = behind(target, user + 1);
    size_t colon = index_of(target, ':');
    if (colon < target.len && index_of(behind(target, colon + 1), ':') < target.len - colon - 1)
        return TEXT_NONE; /* an IPv6 address */
    target.len = colon;
    if (target.len > 0 && target.data[target.len - 1] == '.')
        target.len--;
    return target.len == 0 || target.data[0] == '[' || is_address(target) ? TEXT_NONE : target;
}
