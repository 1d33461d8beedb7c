/*
 * The client/server protocol of MySQL and MariaDB (MySQL Internals, "Connection Phase"; MariaDB
 * "Connection"), as far as its switch goes: the greeting with CLIENT_SSL among its capabilities,
 * the client's SSLRequest, a login without it. An SSLRequest has no answer: what the client sends
 * next shows what came of it. Behind a login in the clear nothing is read any more.
 */
#include <string.h>

#include "detail.h"
#include "dissector.h"
#include "reader.h"
#include "starttls.h"

enum {
    HEAD = 4,               /* a length of three bytes, little-endian, and a sequence number */
    GREETING_MIN = 30,
    GREETING_MAX = 1024,
    ERROR_MAX = 1024,
    VERSION_MAX = 128,
    LOGIN_MAX = 1 << 16,
    PROTOCOL_10 = 10,
    ERROR = 0xff,
    SSL_REQUEST = 32,       /* bytes of the packet; the login begins with the same fields */
    OLD_SSL_REQUEST = 5,    /* ... before protocol 4.1 */
};

enum { CLIENT_PROTOCOL_41 = 0x200, CLIENT_SSL = 0x800, CLIENT_MYSQL = 1 };

struct mysql_state {
    struct starttls judge;
    uint8_t greeted, done;
    uint8_t blind[2]; /* a gap took the place */
};

static int printable(int c)
{
    return c >= 0x20 && c < 0x7f;
}

/* --- packets --- */

struct packet {
    uint32_t len;
    uint8_t sequence;
    struct reader body; /* what is there of it */
};

static int packet_read(const uint8_t *data, size_t len, struct packet *packet)
{
    struct reader r = reader_of(data, len);
    uint8_t low = reader_u8(&r);
    uint8_t middle = reader_u8(&r);
    uint8_t high = reader_u8(&r);
    packet->len = (uint32_t)high << 16 | (uint32_t)middle << 8 | low;
    packet->sequence = reader_u8(&r);
    if (r.failed)
        return 0;
    size_t left = reader_left(&r) < packet->len ? reader_left(&r) : packet->len;
    packet->body = reader_of(data + HEAD, left);
    return 1;
}

struct greeting {
    struct text version;
    uint32_t capabilities;
    uint32_t mariadb; /* MariaDB's own capabilities, where it is one */
};

/* The body of a greeting of version 10. 1; 0: more bytes needed; -1: it is none. */
static int greeting_read(struct reader r, struct greeting *greeting)
{
    size_t len = 0;
    if (reader_left(&r) == 0)
        return 0;
    if (reader_u8(&r) != PROTOCOL_10)
        return -1;
    const uint8_t *version = r.data + r.at;
    while (reader_peek(&r, len) > 0)
        if (!printable(reader_peek(&r, len++)) || len > VERSION_MAX)
            return -1;
    if (len > 0 && (version[0] < '0' || version[0] > '9'))
        return -1;
    if (reader_peek(&r, len) < 0)
        return 0;
    reader_skip(&r, len + 1);
    reader_skip(&r, 4 + 8); /* thread, the first of the challenge */
    uint8_t filler = reader_u8(&r);
    if (len == 0 || filler != 0)
        return -1;
    greeting->version = (struct text){(const char *)version, len};
    greeting->capabilities = reader_u16le(&r);
    if (r.failed)
        return 0;
    reader_skip(&r, 1 + 2); /* character set, status */
    greeting->capabilities |= (uint32_t)reader_u16le(&r) << 16;
    reader_skip(&r, 1 + 6);
    uint32_t extended = reader_u32le(&r);
    if (!r.failed && (greeting->capabilities & CLIENT_MYSQL) == 0)
        greeting->mariadb = extended;
    return 1;
}

/* An error in place of the greeting, or behind it: 0xff, a code, a message. */
struct failure {
    uint16_t code;
    struct text message;
};

static int failure_read(struct reader r, struct failure *failure)
{
    if (reader_left(&r) == 0)
        return 0;
    if (reader_u8(&r) != ERROR)
        return -1;
    failure->code = reader_u16le(&r);
    if (r.failed)
        return 0;
    if (reader_peek(&r, 0) == '#') /* the state that SQL defines */
        reader_skip(&r, 6);
    failure->message = (struct text){(const char *)r.data + r.at, reader_left(&r)};
    return failure->code >= 1000 && failure->code < 10000 ? 1 : -1;
}

struct login { /* what SSLRequest and HandshakeResponse begin with */
    uint32_t capabilities;
    size_t len; /* of these fields */
};

/* 1; 0: more bytes needed; -1: it is none. */
static int login_read(const struct packet *packet, struct login *login)
{
    struct reader r = packet->body;
    if (packet->sequence != 1 || packet->len < OLD_SSL_REQUEST || packet->len > LOGIN_MAX)
        return -1;
    login->capabilities = reader_u16le(&r);
    if (r.failed)
        return 0;
    if ((login->capabilities & CLIENT_PROTOCOL_41) == 0) {
        login->len = OLD_SSL_REQUEST;
        return 1;
    }
    if (packet->len < SSL_REQUEST)
        return -1;
    login->capabilities |= (uint32_t)reader_u16le(&r) << 16;
    reader_skip(&r, 4 + 1);
    for (int i = 0; i < 19; i++) { /* filler; MySQL sends four more, MariaDB's capabilities */
        if (reader_peek(&r, 0) > 0)
            return -1;
        reader_skip(&r, 1);
    }
    login->len = SSL_REQUEST;
    return !r.failed;
}

static int asks_for_tls(const struct packet *packet, const struct login *login)
{
    return (login->capabilities & CLIENT_SSL) != 0 && packet->len == login->len;
}

/* --- probing --- */

static int server_probe(const struct packet *packet)
{
    struct greeting greeting;
    struct failure failure = {0};
    if (packet->sequence != 0 || packet->len < 3 || packet->len > GREETING_MAX)
        return -1;
    int is = failure_read(packet->body, &failure);
    if (is >= 0) {
        size_t shown = failure.message.len < 8 ? failure.message.len : 8;
        for (size_t i = 0; i < shown; i++)
            if (!printable((unsigned char)failure.message.data[i]))
                return -1;
        return is > 0 && (shown == 8 || shown + 3 == packet->len) ? 60 : 0;
    }
    is = packet->len >= GREETING_MIN ? greeting_read(packet->body, &greeting) : -1;
    return is > 0 ? 92 : is;
}

/* The older login has too little to be known by: the greeting has to say it. */
static int client_probe(const struct packet *packet, size_t len)
{
    struct login login;
    int is = login_read(packet, &login);
    if (is <= 0)
        return is;
    return (login.capabilities & CLIENT_PROTOCOL_41) != 0 ? 70
           : len <= HEAD + (size_t)packet->len            ? 0
                                                          : -1;
}

static int mysql_probe(enum side side, const uint8_t *data, size_t len)
{
    struct packet packet = {0};
    if (!packet_read(data, len, &packet))
        return len >= 3 && packet.len > LOGIN_MAX ? -1 : 0;
    return side == CLIENT ? client_probe(&packet, len) : server_probe(&packet);
}

/* --- the dissector --- */

static struct result wanted(size_t need)
{
    return (struct result){.verdict = V_NEED, .need = need};
}

static struct result finish(struct mysql_state *mysql)
{
    mysql->done = 1;
    return (struct result){.verdict = V_DONE};
}

static int mysql_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct mysql_state *mysql = state;
    (void)handover;
    starttls_open(&mysql->judge, layer);
    return 0;
}

static void tell_detail(struct layer *layer, const struct greeting *greeting)
{
    struct detail detail = {0};
    detail_text(&detail, "server_version", greeting->version);
    detail_text(&detail, "tls",
                greeting->capabilities & CLIENT_SSL ? TEXT_LITERAL("offered")
                                                    : TEXT_LITERAL("not offered"));
    if (greeting->mariadb != 0)
        detail_number(&detail, "mariadb_capabilities", greeting->mariadb);
    layer_detail(layer, detail_json(&detail));
}

/* The server's first packet. */
static struct result read_greeting(struct layer *layer, struct mysql_state *mysql,
                                   const struct slice *slice)
{
    struct packet packet;
    struct greeting greeting = {0};
    if (!packet_read(slice->data, slice->len, &packet))
        return wanted(HEAD);
    if (packet.sequence != 0 || packet.len == 0 || packet.len > GREETING_MAX)
        return (struct result){.verdict = V_LOST};
    size_t whole = HEAD + packet.len;
    if (slice->len < whole)
        return wanted(whole);
    if (reader_peek(&packet.body, 0) != PROTOCOL_10) /* an error, or a version from before 3.21 */
        return finish(mysql);
    if (greeting_read(packet.body, &greeting) <= 0)
        return (struct result){.verdict = V_LOST};
    mysql->greeted = 1;
    if (greeting.capabilities & CLIENT_SSL)
        starttls_offer(&mysql->judge);
    tell_detail(layer, &greeting);
    return (struct result){.verdict = V_OK, .consumed = whole};
}

/* Behind an SSLRequest a server says nothing before the client's hello, unless it is an error. */
static struct result server_answers(struct mysql_state *mysql, const struct slice *slice)
{
    struct packet packet;
    struct failure failure = {0};
    if (!packet_read(slice->data, slice->len, &packet))
        return wanted(HEAD);
    if (packet.sequence != 2 || packet.len < 3 || packet.len > ERROR_MAX)
        return (struct result){.verdict = V_WAIT_PEER};
    size_t whole = HEAD + packet.len;
    if (slice->len > HEAD && reader_peek(&packet.body, 0) != ERROR)
        return (struct result){.verdict = V_WAIT_PEER};
    if (slice->len < whole)
        return wanted(whole);
    if (failure_read(packet.body, &failure) <= 0)
        return (struct result){.verdict = V_WAIT_PEER};
    starttls_refuse(&mysql->judge,
                    &(struct starttls_answer){.status = failure.code,
                                              .reason = failure.message,
                                              .begin = slice->offset,
                                              .end = slice->offset + whole - 1},
                    CAUSE_UNKNOWN);
    return (struct result){.verdict = V_OK, .consumed = whole};
}

/* The client's next bytes are the answer: TLS, or a client that goes on as if nothing were. */
static struct result after_request(struct layer *layer, struct mysql_state *mysql,
                                   const struct slice *slice)
{
    int is = layer_probe(layer, "tls", CLIENT, slice->data, slice->len);
    if (is >= 0)
        return starttls_settle(&mysql->judge, slice, is);
    struct event event = {.kind = EVENT_FINDING,
                          .session = mysql->judge.session,
                          .offset = slice->offset};
    event.u.finding = (struct event_finding){
        .rule = RULE_STARTTLS_NO_CLIENTHELLO,
        .evidence = TEXT_LITERAL("behind SSLRequest the client goes on in the clear")};
    layer_emit(layer, CLIENT, &event);
    return finish(mysql);
}

static struct result read_login(struct mysql_state *mysql, const struct slice *slice)
{
    struct packet packet;
    struct login login;
    if (!packet_read(slice->data, slice->len, &packet))
        return wanted(HEAD);
    int is = login_read(&packet, &login);
    if (is < 0)
        return (struct result){.verdict = V_LOST};
    if (is == 0)
        return wanted(slice->len + 1);
    size_t whole = HEAD + login.len;
    if (slice->len < whole)
        return wanted(whole);
    if (!asks_for_tls(&packet, &login)) {
        starttls_clear(&mysql->judge, slice->offset, TEXT_LITERAL("HandshakeResponse"), 1);
        return finish(mysql);
    }
    starttls_ask(&mysql->judge, TEXT_LITERAL("SSLRequest"), "TLS", slice->offset + whole - 1);
    return (struct result){.verdict = V_OK, .consumed = whole};
}

static struct result mysql_data(struct layer *layer, void *state, enum side side,
                                const struct slice *slice)
{
    struct mysql_state *mysql = state;
    if (mysql->done || mysql->blind[side])
        return (struct result){.verdict = V_DONE};
    if (side == SERVER && !mysql->greeted)
        return read_greeting(layer, mysql, slice);
    if (side == SERVER)
        return mysql->judge.pending ? server_answers(mysql, slice)
                                    : (struct result){.verdict = V_WAIT_PEER};
    if (!mysql->greeted && !mysql->blind[SERVER])
        return (struct result){.verdict = V_WAIT_PEER};
    if (mysql->judge.pending)
        return after_request(layer, mysql, slice);
    if (mysql->judge.session != 0) /* refused: an error ends the connection */
        return finish(mysql);
    return read_login(mysql, slice);
}

/* Each side has one packet of interest: behind a gap the server's is gone, and the client's with
 * what it would prove. */
static struct result mysql_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                               uint64_t len)
{
    struct mysql_state *mysql = state;
    (void)layer;
    (void)offset;
    (void)len;
    mysql->blind[side] = 1;
    if (side == CLIENT)
        mysql->done = 1;
    return (struct result){.verdict = V_DONE};
}

const struct dissector mysql_dissector = {
    .name = "mysql",
    .state_size = sizeof(struct mysql_state),
    .probe = mysql_probe,
    .open = mysql_open,
    .data = mysql_data,
    .gap = mysql_gap,
};
