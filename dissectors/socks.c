/*
 * SOCKS 4, 4a (the protocol notes of NEC and of 4A) and 5 (RFC 1928, RFC 1929): what is asked for,
 * where to, and what the proxy answers; what the tunnel carries is decided by its bytes. Clients
 * may send ahead without waiting for the replies: that is held until they are there. User names and
 * passwords are passed over.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "dissector.h"
#include "reader.h"

enum {
    TARGET_MOST = 272, /* a name of 255 bytes, brackets, a port */
    FIELD_MOST = 512,  /* user id and name of SOCKS4 */
    METHOD_NONE = 0,
    METHOD_GSSAPI = 1,
    METHOD_PASSWORD = 2,
    METHOD_REFUSED = 0xff,
    GRANTED4 = 90
};

enum { CONNECT = 1, BIND = 2, UDP_ASSOCIATE = 3 };

enum stage {
    GREETING,  /* the client's methods, or all of SOCKS4 */
    METHOD,    /* the server chooses */
    PASSWORD,  /* the client's user and password */
    VERDICT,   /* the server on them */
    REQUEST,   /* the client's */
    REPLY,     /* the server's */
    CONNECTED, /* BIND: the second reply */
    OVER       /* nothing more can be learnt */
};

struct socks {
    enum stage stage;
    unsigned version, method;
    unsigned command;
    int named;     /* SOCKS4a */
    int confirmed; /* the server began with its version, too */
    uint32_t session;
    char target[TARGET_MOST];
    size_t target_len, host_len;
};

static enum side turn_of(enum stage stage)
{
    return stage == GREETING || stage == PASSWORD || stage == REQUEST ? CLIENT : SERVER;
}

/* --- recognition --- */

static int known_method(uint8_t method)
{
    return method < 10 || method == METHOD_REFUSED || method >= 0x80;
}

static int probe5(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    reader_skip(&r, 1);
    uint8_t count = reader_u8(&r);
    if (r.failed)
        return 0;
    if (count == 0 || count > 16)
        return -1;
    int usual = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t method = reader_u8(&r);
        if (r.failed)
            return 0;
        if (!known_method(method) || method == METHOD_REFUSED)
            return -1;
        usual |= method <= METHOD_PASSWORD;
    }
    return usual ? 45 : -1;
}

static int probe4(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    reader_skip(&r, 1);
    uint8_t command = reader_u8(&r);
    if (len >= 2 && command != CONNECT && command != BIND)
        return -1;
    uint16_t port = reader_u16(&r);
    reader_skip(&r, 4);
    if (r.failed)
        return 0;
    if (port == 0)
        return -1;
    for (size_t i = 0; i < FIELD_MOST; i++) { /* the user id: printable, closed by a NUL */
        uint8_t byte = reader_u8(&r);
        if (r.failed)
            return 0;
        if (byte == 0)
            return 50;
        if (byte < 32 || byte == 127)
            return -1;
    }
    return -1;
}

static int socks_probe(enum side side, const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    if (side == CLIENT)
        return data[0] == 5 ? probe5(data, len) : data[0] == 4 ? probe4(data, len) : -1;
    struct reader r = reader_of(data, len);
    uint8_t first = reader_u8(&r), second = reader_u8(&r);
    if (first != 5 && first != 0)
        return -1;
    if (r.failed)
        return 0;
    return first == 5 ? (known_method(second) ? 0 : -1)
                      : (second >= GRANTED4 && second <= 93 ? 0 : -1);
}

/* --- events --- */

static struct text command_name(unsigned command)
{
    return command == CONNECT ? TEXT_LITERAL("CONNECT")
           : command == BIND  ? TEXT_LITERAL("BIND")
                              : TEXT_LITERAL("UDP ASSOCIATE");
}

static struct text version_name(const struct socks *s)
{
    return s->version == 5 ? TEXT_LITERAL("SOCKS5")
           : s->named      ? TEXT_LITERAL("SOCKS4a")
                           : TEXT_LITERAL("SOCKS4");
}

/* offset: the last byte of the request. */
static void open_session(struct layer *layer, struct socks *s, uint64_t offset)
{
    s->session = layer_session_new(layer);
    struct event event = {.kind = EVENT_SESSION_OPEN, .session = s->session, .offset = offset};
    struct event_session_open *open = &event.u.session_open;
    open->mechanism = MECHANISM_SOCKS;
    open->offered = version_name(s);
    if (s->command != 0)
        open->method = command_name(s->command);
    if (s->target_len > 0) {
        open->target = (struct text){s->target, s->target_len};
        open->host = (struct text){s->target, s->host_len};
    }
    layer_emit(layer, CLIENT, &event);
}

static void answer(struct layer *layer, struct socks *s, enum cause cause, const char *reason,
                   uint64_t offset)
{
    struct event event = {.kind = EVENT_SESSION_ANSWER, .session = s->session, .offset = offset};
    struct event_session_answer *out = &event.u.session_answer;
    out->outcome = cause == CAUSE_NONE ? OUTCOME_SWITCHED : OUTCOME_REFUSED;
    out->cause = cause;
    out->reason = (struct text){reason, strlen(reason)};
    if (cause == CAUSE_NONE)
        out->accepted = version_name(s);
    layer_emit(layer, SERVER, &event);
}

static struct result go_on(struct socks *s, enum stage next, size_t consumed)
{
    s->stage = next;
    return (struct result){.verdict = V_OK, .consumed = consumed};
}

static struct result refuse(struct layer *layer, struct socks *s, enum cause cause,
                            const char *reason, const struct slice *slice, size_t consumed)
{
    if (s->session == 0) /* it never came to a request */
        open_session(layer, s, layer_offset(layer, CLIENT) - 1);
    answer(layer, s, cause, reason, slice->offset + consumed - 1);
    s->stage = OVER;
    return (struct result){.verdict = V_DONE, .consumed = consumed};
}

static struct result grant(struct layer *layer, struct socks *s, const char *reason,
                           const struct slice *slice, size_t consumed)
{
    if (s->command == BIND && s->stage == REPLY) /* a second one tells who has come */
        return go_on(s, CONNECTED, consumed);
    answer(layer, s, CAUSE_NONE, reason, slice->offset + consumed - 1);
    if (s->command == UDP_ASSOCIATE) { /* the connection only keeps the association alive */
        s->stage = OVER;
        return (struct result){.verdict = V_DONE, .consumed = consumed};
    }
    struct hint target = {"target", {s->target, s->target_len}};
    struct handover handover = {.session = s->session, .hints = &target, .hint_count = 1};
    (void)layer_switch(layer, &handover);
    return (struct result){.verdict = V_SWITCHED, .consumed = consumed};
}

/* --- addresses --- */

static void set_target(struct socks *s, struct text host, int brackets, unsigned port)
{
    int len = snprintf(s->target, sizeof s->target, brackets ? "[%.*s]" : "%.*s", (int)host.len,
                       host.data);
    s->host_len = (size_t)len < sizeof s->target ? (size_t)len : sizeof s->target - 1;
    len = snprintf(s->target + s->host_len, sizeof s->target - s->host_len, ":%u", port);
    s->target_len = s->host_len + (size_t)len;
    if (s->target_len >= sizeof s->target)
        s->target_len = sizeof s->target - 1;
}

static void set_address(struct socks *s, int family, const uint8_t *bytes, unsigned port)
{
    char text[INET6_ADDRSTRLEN];
    if (inet_ntop(family, bytes, text, sizeof text) != NULL)
        set_target(s, (struct text){text, strlen(text)}, family == AF_INET6, port);
}

/* An address of RFC 1928 and the port behind it. s NULL: passed over. Returns 0 where there is no
 * such type of address. */
static int read_address(struct reader *r, struct socks *s)
{
    uint8_t type = reader_u8(r);
    if (r->failed)
        return 1;
    size_t len = type == 1 ? 4 : type == 4 ? 16 : type == 3 ? reader_u8(r) : 0;
    const uint8_t *bytes = NULL;
    int whole = reader_take(r, len, &bytes);
    unsigned port = reader_u16(r);
    if (r->failed || !whole)
        return type == 1 || type == 3 || type == 4;
    if (s != NULL && type == 3)
        set_target(s, (struct text){(const char *)bytes, len}, 0, port);
    else if (s != NULL && len > 0)
        set_address(s, type == 1 ? AF_INET : AF_INET6, bytes, port);
    return len > 0;
}

/* --- the client --- */

static struct result need_more(const struct slice *slice)
{
    return (struct result){.verdict = V_NEED, .need = slice->len + 1};
}

static const struct result lost = {.verdict = V_LOST};

/* Up to a NUL; NULL where it is not there yet or too far. */
static const uint8_t *read_string(struct reader *r, size_t *len)
{
    const uint8_t *bytes = r->data + r->at;
    const uint8_t *end = r->failed ? NULL : memchr(bytes, 0, reader_left(r));
    if (end == NULL)
        return NULL;
    *len = (size_t)(end - bytes);
    reader_skip(r, *len + 1);
    return bytes;
}

static struct result request4(struct layer *layer, struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    reader_skip(&r, 1);
    s->command = reader_u8(&r);
    unsigned port = reader_u16(&r);
    const uint8_t *address = NULL;
    (void)reader_take(&r, 4, &address);
    size_t len = 0;
    const uint8_t *name = address != NULL ? read_string(&r, &len) : NULL; /* the user id */
    if (s->command != 0 && s->command != CONNECT && s->command != BIND)
        return lost;
    s->named = address != NULL && memcmp(address, "\0\0\0", 3) == 0 && address[3] != 0;
    if (name != NULL && s->named)
        name = read_string(&r, &len);
    if (name == NULL)
        return slice->len > 2 * FIELD_MOST ? lost : need_more(slice);
    if (s->named)
        set_target(s, (struct text){(const char *)name, len < 255 ? len : 255}, 0, port);
    else
        set_address(s, AF_INET, address, port);
    open_session(layer, s, slice->offset + r.at - 1);
    return go_on(s, REPLY, r.at);
}

static struct result request5(struct layer *layer, struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    uint8_t version = reader_u8(&r);
    unsigned command = reader_u8(&r);
    reader_skip(&r, 1);
    if (!r.failed && (version != 5 || command < CONNECT || command > UDP_ASSOCIATE))
        return lost;
    int right = read_address(&r, s);
    if (!right)
        return lost;
    if (r.failed)
        return need_more(slice);
    s->command = command;
    open_session(layer, s, slice->offset + r.at - 1);
    return go_on(s, REPLY, r.at);
}

static struct result client(struct layer *layer, struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    if (s->stage == REQUEST)
        return request5(layer, s, slice);
    uint8_t first = reader_u8(&r), len = 0;
    if (s->stage == GREETING && first == 4) {
        s->version = 4;
        return request4(layer, s, slice);
    }
    if (s->stage == GREETING) {
        s->version = 5;
        len = reader_u8(&r);
        reader_skip(&r, len);
        if (first != 5 || r.failed)
            return first != 5 ? lost : need_more(slice);
        return s->confirmed ? go_on(s, METHOD, r.at)
                            : (struct result){.verdict = V_WAIT_PEER};
    }
    len = reader_u8(&r); /* RFC 1929: user, password */
    reader_skip(&r, len);
    len = reader_u8(&r);
    reader_skip(&r, len);
    return first != 1 ? lost : r.failed ? need_more(slice) : go_on(s, VERDICT, r.at);
}

/* --- the server --- */

static const char *reply_text(unsigned code)
{
    static const char *const texts[] = {
        "succeeded", "general SOCKS server failure", "connection not allowed by ruleset",
        "Network unreachable", "Host unreachable", "Connection refused", "TTL expired",
        "Command not supported", "Address type not supported"};
    return code < sizeof texts / sizeof texts[0] ? texts[code] : "unassigned reply";
}

static enum cause reply_cause(unsigned code)
{
    return code == 0                ? CAUSE_NONE
           : code == 1              ? CAUSE_UPSTREAM
           : code == 2              ? CAUSE_AUTH
           : code >= 3 && code <= 5 ? CAUSE_ROUTE
           : code == 6              ? CAUSE_TIMEOUT
           : code == 7 || code == 8 ? CAUSE_BAD_REQUEST
                                    : CAUSE_UNKNOWN;
}

static struct result reply4(struct layer *layer, struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    uint8_t version = reader_u8(&r), code = reader_u8(&r);
    reader_skip(&r, 6);
    if (slice->len >= 2 && (version != 0 || code < GRANTED4 || code > 93))
        return lost;
    if (r.failed)
        return need_more(slice);
    if (code == GRANTED4)
        return grant(layer, s, "request granted", slice, r.at);
    return refuse(layer, s, code == 91 ? CAUSE_ROUTE : CAUSE_AUTH,
                  code == 91 ? "request rejected or failed" : "identd does not confirm the user",
                  slice, r.at);
}

static struct result reply5(struct layer *layer, struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    uint8_t version = reader_u8(&r), code = reader_u8(&r);
    reader_skip(&r, 1);
    if (slice->len >= 1 && version != 5)
        return lost;
    /* Some send a refusal with nothing behind its code. */
    if (slice->len >= 2 && code != 0 && layer_ended(layer, SERVER) && slice->len < 10)
        return refuse(layer, s, reply_cause(code), reply_text(code), slice, slice->len);
    if (!read_address(&r, NULL))
        return lost;
    if (r.failed)
        return need_more(slice);
    return code == 0 ? grant(layer, s, reply_text(code), slice, r.at)
                     : refuse(layer, s, reply_cause(code), reply_text(code), slice, r.at);
}

/* Three bytes of a client may be anybody's: nothing is taken before the server answers in kind. The
 * method itself is left for method(). */
static struct result confirm(struct layer *layer, struct socks *s, const struct slice *slice)
{
    struct slice greeting = layer_peek(layer, CLIENT);
    if (greeting.len == 0 || greeting.data[0] != 5 || s->confirmed)
        return (struct result){.verdict = V_WAIT_PEER};
    struct reader r = reader_of(slice->data, slice->len);
    if (reader_u8(&r) != 5)
        return lost;
    uint8_t method = reader_u8(&r);
    if (r.failed || !known_method(method))
        return r.failed ? need_more(slice) : lost;
    s->confirmed = 1;
    return (struct result){.verdict = V_OK, .consumed = 1};
}

static struct result method(struct layer *layer, struct socks *s, const struct slice *slice)
{
    struct reader r = reader_of(slice->data, slice->len);
    s->method = reader_u8(&r);
    if (s->method == METHOD_REFUSED)
        return refuse(layer, s, CAUSE_AUTH, "no acceptable methods", slice, r.at);
    if (s->method == METHOD_NONE || s->method == METHOD_PASSWORD)
        return go_on(s, s->method == METHOD_NONE ? REQUEST : PASSWORD, r.at);
    s->stage = OVER; /* what follows is of another method, perhaps encrypted */
    return (struct result){.verdict = V_DONE, .consumed = r.at};
}

static struct result server(struct layer *layer, struct socks *s, const struct slice *slice)
{
    if (s->stage == METHOD)
        return method(layer, s, slice);
    if (s->stage != VERDICT)
        return s->version == 4 ? reply4(layer, s, slice) : reply5(layer, s, slice);
    struct reader r = reader_of(slice->data, slice->len);
    reader_skip(&r, 1); /* 1, but some repeat 5 */
    uint8_t status = reader_u8(&r);
    if (r.failed)
        return need_more(slice);
    if (status != 0)
        return refuse(layer, s, CAUSE_AUTH, "user name or password not accepted", slice, r.at);
    return go_on(s, REQUEST, r.at);
}

static struct result socks_data(struct layer *layer, void *state, enum side side,
                                const struct slice *slice)
{
    struct socks *s = state;
    if (s->stage == OVER)
        return (struct result){.verdict = V_DONE};
    if (s->stage == GREETING && side == SERVER)
        return confirm(layer, s, slice);
    if (turn_of(s->stage) != side)
        return (struct result){.verdict = V_WAIT_PEER};
    return side == CLIENT ? client(layer, s, slice) : server(layer, s, slice);
}

static void socks_close(struct layer *layer, void *state)
{
    static const char *const methods[] = {"none", "GSSAPI", "user name and password"};
    const struct socks *s = state;
    struct detail detail = {.len = 0};
    if (s->version == 0)
        return;
    detail_text(&detail, "version", version_name(s));
    if (s->version == 5 && s->stage > METHOD && s->method < 3)
        detail_text(&detail, "method",
                    (struct text){methods[s->method], strlen(methods[s->method])});
    layer_detail(layer, detail_json(&detail));
}

/* No gap is survived: a message does not say where it begins. */
const struct dissector socks_dissector = {
    .name = "socks",
    .state_size = sizeof(struct socks),
    .probe = socks_probe,
    .data = socks_data,
    .close = socks_close,
};
