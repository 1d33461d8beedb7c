/*
 * LDAP (RFC 4511) as far as its switch goes: the StartTLS operation (4.14), whether the root entry
 * advertises it (RFC 4512 5.1), and binds that carry a password in the clear. Messages are BER with
 * definite lengths (4511 5.1); of all others only the heads are read, their bodies are passed over.
 * What a SASL security layer wraps (RFC 4513 5.2.1.6, 4-byte lengths) is not read.
 */
#include <string.h>

#include "dissector.h"
#include "reader.h"
#include "starttls.h"
#include "text.h"

#define STARTTLS_OID "1.3.6.1.4.1.1466.20037"

enum {
    SEQUENCE = 0x30,
    INTEGER = 0x02,
    OCTETS = 0x04,
    ENUMERATED = 0x0a,
    CONTROLS = 0xa0,
    BIND = 0x60,
    BIND_DONE = 0x61,
    UNBIND = 0x42,
    SEARCH = 0x63,
    SEARCH_ENTRY = 0x64,
    SEARCH_DONE = 0x65,
    MODIFY = 0x66,
    MODIFY_DONE = 0x67,
    ADD = 0x68,
    ADD_DONE = 0x69,
    DELETE = 0x4a,
    DELETE_DONE = 0x6b,
    RENAME = 0x6c,
    RENAME_DONE = 0x6d,
    COMPARE = 0x6e,
    COMPARE_DONE = 0x6f,
    ABANDON = 0x50,
    SEARCH_REFERENCE = 0x73,
    EXTENDED = 0x77,
    EXTENDED_DONE = 0x78,
    INTERMEDIATE = 0x79,
    SIMPLE = 0x80,
    SASL = 0xa3,
};

enum {
    LOOK_MAX = 32768,       /* bytes of a message that is read whole */
    PROBE_TOTAL = 16 << 20, /* a first message longer than this is none */
};

struct ldap_state {
    struct starttls judge;
    uint64_t skip[2];    /* bytes of a message that is passed over */
    uint8_t blind[2];    /* a gap took the place where the next message begins */
    uint8_t done;        /* nothing more can be learnt */
    uint8_t sasl, layered; /* a SASL bind is on its way; it was granted: a layer may be on */
    uint32_t sasl_id, asked_id;
};

/* --- BER --- */

/* A tag and a definite length. 1; 0: more bytes needed; -1: not what LDAP may send. */
static int ber_head(struct reader *r, uint8_t *tag, uint32_t *len)
{
    *tag = reader_u8(r);
    uint32_t value = reader_u8(r);
    if (r->failed)
        return 0;
    if (value >= 0x80) {
        unsigned bytes = value & 0x7f;
        if (bytes == 0 || bytes > 4)
            return -1;
        value = 0;
        while (bytes-- > 0)
            value = value << 8 | reader_u8(r);
        if (r->failed)
            return 0;
    }
    *len = value;
    return value <= INT32_MAX ? 1 : -1;
}

/* The next element if it has this tag: its content. A failed reader else. */
static struct reader ber_enter(struct reader *r, uint8_t wanted)
{
    uint8_t tag;
    uint32_t len = 0;
    const uint8_t *data = NULL;
    struct reader none = {.failed = 1};
    if (reader_peek(r, 0) != wanted || ber_head(r, &tag, &len) <= 0 || !reader_take(r, len, &data))
        return none;
    return reader_of(data, len);
}

static struct text ber_text(struct reader *r, uint8_t wanted)
{
    struct reader inner = ber_enter(r, wanted);
    return inner.failed ? TEXT_NONE : (struct text){(const char *)inner.data, inner.len};
}

/* An INTEGER or ENUMERATED of up to four bytes that is not negative; -1. */
static int64_t ber_number(struct reader *r, uint8_t wanted)
{
    struct reader inner = ber_enter(r, wanted);
    if (inner.failed || inner.len == 0 || inner.len > 4 || (reader_peek(&inner, 0) & 0x80) != 0)
        return -1;
    int64_t value = 0;
    while (reader_left(&inner) > 0)
        value = value << 8 | reader_u8(&inner);
    return value;
}

/* --- messages --- */

struct head {
    uint64_t total; /* bytes of the message */
    uint32_t id;
    uint8_t op;
    uint32_t len;   /* of the operation's content ... */
    size_t at;      /* ... which begins here */
};

/* The head of the message that the bytes begin with, up to its operation. 1; 0: more bytes needed;
 * -1: this is no message. */
static int head_read(const uint8_t *data, size_t len, struct head *head)
{
    struct reader r = reader_of(data, len);
    uint8_t tag;
    uint32_t size;
    if (len == 0)
        return 0;
    if (reader_peek(&r, 0) != SEQUENCE)
        return -1;
    int is = ber_head(&r, &tag, &size);
    if (is <= 0)
        return is;
    head->total = r.at + size;
    if (reader_left(&r) == 0)
        return size >= 5 ? 0 : -1;
    size_t id_at = r.at;
    if (reader_peek(&r, 0) != INTEGER || reader_peek(&r, 1) == 0 || reader_peek(&r, 1) > 4)
        return -1;
    if (reader_left(&r) < 2 || reader_left(&r) < 2 + (size_t)reader_peek(&r, 1))
        return 0;
    int64_t id = ber_number(&r, INTEGER);
    if (id < 0 || r.at - id_at + 2 > size)
        return -1;
    head->id = (uint32_t)id;
    is = ber_head(&r, &head->op, &head->len);
    if (is <= 0)
        return is;
    head->at = r.at;
    return head->at + (uint64_t)head->len <= head->total ? 1 : -1;
}

/* What stands where the operation's content begins: does it fit its tag? As head_read(). */
static int content_fits(const struct head *head, const uint8_t *data, size_t len)
{
    struct reader r = reader_of(data, len);
    reader_skip(&r, head->at);
    int first = reader_peek(&r, 0), third = reader_peek(&r, 2);
    switch (head->op) {
    case UNBIND:
        return head->len == 0 ? 1 : -1;
    case ABANDON:
        return head->len >= 1 && head->len <= 4 ? 1 : -1;
    case DELETE:
        return first < 0 ? 0 : first >= ' ' || head->len == 0 ? 1 : -1;
    case BIND:
        if (head->len < 7 || (first >= 0 && first != INTEGER) || (third >= 0 && third > 3) ||
            (reader_peek(&r, 1) >= 0 && reader_peek(&r, 1) != 1))
            return -1;
        return third < 0 ? 0 : third > 0 ? 1 : -1;
    case SEARCH:
    case MODIFY:
    case ADD:
    case RENAME:
    case COMPARE:
    case SEARCH_ENTRY:
    case SEARCH_REFERENCE:
        return head->len < 2 || (first >= 0 && first != OCTETS) ? -1 : first == OCTETS;
    case EXTENDED:
        if (head->len < 3 || (first >= 0 && first != SIMPLE) ||
            (third >= 0 && (third < '0' || third > '2')))
            return -1;
        return third >= 0;
    case INTERMEDIATE:
        return head->len == 0 ? 1 : first < 0 ? 0 : first == 0x80 || first == 0x81 ? 1 : -1;
    default: /* a result: its code is one byte */
        if (head->len < 7 || (first >= 0 && first != ENUMERATED) ||
            (reader_peek(&r, 1) >= 0 && reader_peek(&r, 1) != 1) ||
            (reader_peek(&r, 3) >= 0 && reader_peek(&r, 3) != OCTETS))
            return -1;
        return reader_peek(&r, 3) >= 0;
    }
}

static int of_side(enum side side, uint8_t op)
{
    static const uint8_t client[] = {BIND, UNBIND, SEARCH, MODIFY, ADD, DELETE, RENAME, COMPARE,
                                     ABANDON, EXTENDED, 0};
    static const uint8_t server[] = {BIND_DONE, SEARCH_ENTRY, SEARCH_DONE, MODIFY_DONE, ADD_DONE,
                                     DELETE_DONE, RENAME_DONE, COMPARE_DONE, SEARCH_REFERENCE,
                                     EXTENDED_DONE, INTERMEDIATE, 0};
    return strchr((const char *)(side == CLIENT ? client : server), op) != NULL && op != 0;
}

static int ldap_probe(enum side side, const uint8_t *data, size_t len)
{
    struct head head = {0};
    int is = head_read(data, len, &head);
    if (is <= 0)
        return is;
    if (head.total > PROBE_TOTAL || !of_side(side, head.op))
        return -1;
    if (head.at + head.len < head.total && head.at + head.len < len) {
        struct reader r = reader_of(data, len); /* what follows the operation is its controls */
        reader_skip(&r, head.at + head.len);
        if (reader_peek(&r, 0) != CONTROLS)
            return -1;
    }
    is = content_fits(&head, data, len);
    return is > 0 ? (head.len > 2 ? 85 : 40) : is;
}

/* --- what is read whole --- */

static int password_mechanism(struct text name)
{
    return text_is(name, "PLAIN") || text_is(name, "LOGIN") || text_is(name, "CRAM-MD5") ||
           text_is(name, "DIGEST-MD5") ||
           (name.len > 6 && text_is((struct text){name.data, 6}, "SCRAM-"));
}

static void read_bind(struct ldap_state *ldap, struct reader *r, uint32_t id, uint64_t offset)
{
    (void)ber_number(r, INTEGER);
    (void)ber_text(r, OCTETS);
    ldap->sasl = 0;
    if (reader_peek(r, 0) == SIMPLE && ber_text(r, SIMPLE).len > 0)
        starttls_clear(&ldap->judge, offset, TEXT_LITERAL("simple bind"), 1);
    if (reader_peek(r, 0) != SASL)
        return;
    struct reader inner = ber_enter(r, SASL);
    struct text mechanism = ber_text(&inner, OCTETS);
    ldap->sasl = 1;
    ldap->sasl_id = id;
    if (!password_mechanism(mechanism))
        return;
    char what[40] = "SASL bind ";
    size_t len = strlen(what);
    size_t more = mechanism.len < sizeof what - len ? mechanism.len : sizeof what - len;
    memcpy(what + len, mechanism.data, more);
    starttls_clear(&ldap->judge, offset, (struct text){what, len + more}, 1);
}

static void read_request(struct ldap_state *ldap, struct reader *r, const struct head *head,
                         uint64_t offset)
{
    if (head->op == BIND) {
        read_bind(ldap, r, head->id, offset);
    } else if (head->op == EXTENDED && text_is(ber_text(r, 0x80), STARTTLS_OID)) {
        ldap->asked_id = head->id;
        starttls_ask(&ldap->judge, TEXT_LITERAL("StartTLS"), "TLS", offset + head->total - 1);
        if (ldap->blind[SERVER])
            starttls_lose(&ldap->judge);
    }
}

/* The root entry: its name is empty. */
static void read_entry(struct ldap_state *ldap, struct reader *r)
{
    struct text name = ber_text(r, OCTETS);
    if (name.data == NULL || name.len > 0)
        return;
    struct reader attributes = ber_enter(r, SEQUENCE);
    while (!attributes.failed && reader_left(&attributes) > 0) {
        struct reader attribute = ber_enter(&attributes, SEQUENCE);
        struct text type = ber_text(&attribute, OCTETS);
        if (attribute.failed)
            return;
        if (!text_is(type, "supportedExtension") && !text_is(type, "1.3.6.1.4.1.1466.101.120.7"))
            continue;
        struct reader values = ber_enter(&attribute, 0x31);
        while (!values.failed && reader_left(&values) > 0) {
            struct text value = ber_text(&values, OCTETS);
            if (value.data == NULL)
                return;
            if (text_is(value, STARTTLS_OID))
                starttls_offer(&ldap->judge);
        }
    }
}

/* The result codes that servers answer StartTLS with (RFC 4511 4.14.2, A.2). */
static struct text code_name(int64_t code)
{
    switch (code) {
    case 1: return TEXT_LITERAL("operationsError");
    case 2: return TEXT_LITERAL("protocolError");
    case 8: return TEXT_LITERAL("strongerAuthRequired");
    case 10: return TEXT_LITERAL("referral");
    case 12: return TEXT_LITERAL("unavailableCriticalExtension");
    case 13: return TEXT_LITERAL("confidentialityRequired");
    case 50: return TEXT_LITERAL("insufficientAccessRights");
    case 51: return TEXT_LITERAL("busy");
    case 52: return TEXT_LITERAL("unavailable");
    case 53: return TEXT_LITERAL("unwillingToPerform");
    case 80: return TEXT_LITERAL("other");
    default: return TEXT_NONE;
    }
}

static enum cause code_cause(int64_t code)
{
    switch (code) {
    case 8:
    case 13:
    case 49:
    case 50:
        return CAUSE_AUTH;
    case 10:
        return CAUSE_REDIRECT;
    case 51:
    case 52:
        return CAUSE_UPSTREAM;
    default:
        return CAUSE_UNKNOWN;
    }
}

/* Returns 1 where the switch is on. */
static int read_answer(struct ldap_state *ldap, struct reader *r, const struct head *head,
                       uint64_t offset)
{
    int64_t code = ber_number(r, ENUMERATED);
    struct text matched = ber_text(r, OCTETS);
    struct text message = ber_text(r, OCTETS);
    if (code < 0 || matched.data == NULL || message.data == NULL)
        return 0;
    struct starttls_answer answer = {.status = (int)code,
                                     .reason = message.len > 0   ? message
                                               : matched.len > 0 ? matched
                                                                 : code_name(code),
                                     .begin = offset,
                                     .end = offset + head->total - 1};
    if (code != 0) {
        starttls_refuse(&ldap->judge, &answer, code_cause(code));
        return 0;
    }
    answer.reason = message.len > 0 ? message : TEXT_NONE;
    starttls_grant(&ldap->judge, &answer);
    return 1;
}

static int read_response(struct ldap_state *ldap, struct reader *r, const struct head *head,
                         uint64_t offset)
{
    /* With the id 0 it is the notice of disconnection (RFC 4511 4.4.1): an answer, too. */
    if (head->op == EXTENDED_DONE && ldap->judge.pending &&
        (head->id == ldap->asked_id || head->id == 0))
        return read_answer(ldap, r, head, offset);
    if (head->op == SEARCH_ENTRY)
        read_entry(ldap, r);
    else if (head->op == BIND_DONE && ldap->sasl && head->id == ldap->sasl_id)
        ldap->layered = ber_number(r, ENUMERATED) == 0;
    return 0;
}

/* Bytes of the message to be there, 0: it is passed over. Of entries only the root's is read: it
 * has no name. */
static size_t worth_reading(const struct head *head, const struct slice *slice)
{
    size_t total = (size_t)head->total;
    if (head->total > LOOK_MAX)
        return 0;
    if (head->op == SEARCH_ENTRY && head->len >= 2) {
        struct reader r = reader_of(slice->data, slice->len);
        reader_skip(&r, head->at);
        return reader_left(&r) < 2 ? head->at + 2 : reader_peek(&r, 1) == 0 ? total : 0;
    }
    return head->op == BIND || head->op == EXTENDED || head->op == BIND_DONE ||
                   head->op == EXTENDED_DONE
               ? total
               : 0;
}

/* --- the dissector --- */

static int ldap_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct ldap_state *ldap = state;
    (void)handover;
    starttls_open(&ldap->judge, layer);
    return 0;
}

static struct result skip_some(struct ldap_state *ldap, enum side side, const struct slice *slice)
{
    size_t len = slice->len < ldap->skip[side] ? slice->len : (size_t)ldap->skip[side];
    ldap->skip[side] -= len;
    return (struct result){.verdict = V_OK, .consumed = len};
}

static struct result ldap_message(struct ldap_state *ldap, enum side side,
                                  const struct slice *slice)
{
    struct head head = {0};
    int is = head_read(slice->data, slice->len, &head);
    if (is == 0)
        return (struct result){.verdict = V_NEED, .need = slice->len + 1};
    if (is < 0 && ldap->layered) { /* what the bind agreed on wraps the messages now */
        ldap->done = 1;
        return (struct result){.verdict = V_DONE};
    }
    if (is < 0)
        return (struct result){.verdict = V_LOST};
    size_t wanted = worth_reading(&head, slice);
    if (wanted == 0) {
        ldap->skip[side] = head.total;
        return skip_some(ldap, side, slice);
    }
    if (slice->len < wanted)
        return (struct result){.verdict = V_NEED, .need = wanted};
    struct reader r = reader_of(slice->data, head.at + head.len);
    reader_skip(&r, head.at);
    if (side == CLIENT) {
        read_request(ldap, &r, &head, slice->offset);
        return starttls_asked(&ldap->judge, wanted);
    }
    int on = read_response(ldap, &r, &head, slice->offset);
    return (struct result){.verdict = on ? V_SWITCHED : V_OK, .consumed = wanted};
}

static struct result ldap_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    struct ldap_state *ldap = state;
    (void)layer;
    if (side == CLIENT && ldap->judge.pending) {
        struct result result = starttls_wait(&ldap->judge, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (ldap->blind[CLIENT] && !ldap->judge.pending) /* no more requests will be understood */
        ldap->done = 1;
    if (ldap->done || ldap->blind[side])
        return (struct result){.verdict = V_DONE};
    if (ldap->skip[side] > 0)
        return skip_some(ldap, side, slice);
    return ldap_message(ldap, side, slice);
}

/* A gap within a message that is passed over is nothing. Behind any other there is no telling
 * where a message begins: attempts are judged by what follows them, or not seen any more. */
static struct result ldap_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct ldap_state *ldap = state;
    (void)layer;
    (void)offset;
    if (len <= ldap->skip[side]) {
        ldap->skip[side] -= len;
        return (struct result){.verdict = V_OK};
    }
    ldap->blind[side] = 1;
    if (side == CLIENT)
        return (struct result){.verdict = V_OK}; /* what follows may be behind a pending attempt */
    starttls_lose(&ldap->judge);
    return (struct result){.verdict = V_DONE};
}

const struct dissector ldap_dissector = {
    .name = "ldap",
    .state_size = sizeof(struct ldap_state),
    .probe = ldap_probe,
    .open = ldap_open,
    .data = ldap_data,
    .gap = ldap_gap,
};
