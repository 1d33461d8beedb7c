/*
 * LDAP, XMPP, PostgreSQL, MySQL and RDP: what their probes take and what they leave to others,
 * conversations whole, byte by byte and in odd pieces, lost answers, the end of all interest, and
 * every byte of a conversation wrong.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_layer.h"

Suite *starttls_binary_suite(void);

#define HELLO \
    "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" \
    "0123456789abcdef0123456789abcdef" \
    "\x00\x00\x02\x13\x01\x01\x00"

#define LDAP_ASK "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" "1.3.6.1.4.1.1466.20037"
#define LDAP_YES "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
#define LDAP_NO "\x30\x0e\x02\x01\x01\x78\x09\x0a\x01\x02\x04\x00\x04\x02no"
#define LDAP_BIND "\x30\x10\x02\x01\x02\x60\x0b\x02\x01\x03\x04\x02me\x80\x02pw"
#define LDAP_SASL "\x30\x11\x02\x01\x02\x60\x0c\x02\x01\x03\x04\x00\xa3\x05\x04\x03XYZ"
#define LDAP_BOUND "\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
/* AD writes all lengths in four bytes. */
#define LDAP_LONG_YES \
    "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"
#define LDAP_ROOT \
    "\x30\x3b\x02\x01\x01\x64\x36\x04\x00\x30\x32\x30\x30\x04\x12supportedExtension" \
    "\x31\x1a\x04\x00\x04\x16" "1.3.6.1.4.1.1466.20037"

#define STREAM(more) \
    "<?xml version='1.0'?><stream:stream " more " xmlns='jabber:client' " \
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
#define NS_TLS "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
#define SASL_AUTH \
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>"

#define PG_SSL "\x00\x00\x00\x08\x04\xd2\x16\x2f"
#define PG_GSS "\x00\x00\x00\x08\x04\xd2\x16\x30"
#define PG_CANCEL "\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x07\x00\x00\x00\x09"
#define PG_STARTUP "\x00\x00\x00\x10\x00\x03\x00\x00user\0me\0"
#define PG_ASK_PASSWORD "R\x00\x00\x00\x08\x00\x00\x00\x03"
#define PG_ASK_SASL "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\0"
#define PG_PASSWORD "p\x00\x00\x00\x07pw\0"
#define PG_OK "R\x00\x00\x00\x08\x00\x00\x00\x00"
#define PG_READY "Z\x00\x00\x00\x05I"

#define MYSQL_GREETING(low) \
    "\x4a\x00\x00\x00\x0a" "8.0.33\0" "\x01\x00\x00\x00" "abcdefgh\0" "\xff" low "\x2d\x02\x00" \
    "\xff\xc1\x15" "\0\0\0\0\0\0\0\0\0\0" "ijklmnopqrst\0" "mysql_native_password\0"
#define MYSQL_LOGIN_HEAD(low) \
    low "\xbe\x81\x00\x00\x00\x01\x2d" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0"
#define MYSQL_SSL "\x20\x00\x00\x01" MYSQL_LOGIN_HEAD("\x05\xaa")
#define MYSQL_LOGIN "\x24\x00\x00\x01" MYSQL_LOGIN_HEAD("\x05\xa2") "me\0\0"
#define MYSQL_OK "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"

#define RDP_ASK \
    "\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00" "Cookie: mstshash=anna\r\n" \
    "\x01\x00\x08\x00\x03\x00\x00\x00"
#define RDP_YES "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x1f\x08\x00\x02\x00\x00\x00"
#define RDP_NO "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x03\x00\x08\x00\x02\x00\x00\x00"
#define RDP_OLD "\x03\x00\x00\x0b\x06\xd0\x00\x00\x12\x34\x00"

struct bytes {
    const char *data;
    size_t len;
};

#define BYTES(s) {"" s, sizeof(s) - 1}

/* --- probes --- */

static const char *const protocols[] = {"ldap", "xmpp", "postgresql", "mysql", "rdp"};

enum { PROTOCOLS = sizeof protocols / sizeof protocols[0] };

static int ask(const char *protocol, enum side side, const char *data, size_t len)
{
    uint8_t *copy = malloc(len + 1); /* a read past the end is seen */
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    int sure = layer_probe(NULL, protocol, side, len > 0 ? copy : (const uint8_t *)"", len);
    free(copy);
    return (sure > 0) - (sure < 0);
}

static const struct {
    const char *protocol; /* NULL: none of them */
    enum side side;
    struct bytes bytes;
} knows[] = {
    {"ldap", CLIENT, BYTES(LDAP_ASK)},
    {"ldap", CLIENT, BYTES(LDAP_BIND)},
    {"ldap", CLIENT, BYTES(LDAP_SASL)},
    {"ldap", CLIENT, BYTES("\x30\x05\x02\x01\x03\x42\x00")},
    {"ldap", CLIENT, BYTES("\x30\x0c\x02\x01\x03\x63\x07\x04\x05""dc=ab")},
    {"ldap", SERVER, BYTES(LDAP_YES)},
    {"ldap", SERVER, BYTES(LDAP_LONG_YES)},
    {"ldap", SERVER, BYTES(LDAP_ROOT)},
    {"xmpp", CLIENT, BYTES(STREAM("to='a'"))},
    {"xmpp", SERVER, BYTES(STREAM("id='1' from='a'"))},
    {"xmpp", CLIENT, BYTES("<s:stream to=\"a\" xmlns:s = \"http://etherx.jabber.org/streams\">")},
    {"xmpp", CLIENT, BYTES("<stream xmlns='http://etherx.jabber.org/streams'>")},
    {"postgresql", CLIENT, BYTES(PG_SSL)},
    {"postgresql", CLIENT, BYTES(PG_GSS)},
    {"postgresql", CLIENT, BYTES(PG_CANCEL)},
    {"postgresql", CLIENT, BYTES(PG_STARTUP)},
    {"postgresql", SERVER, BYTES(PG_ASK_PASSWORD)},
    {"postgresql", SERVER, BYTES("N" PG_ASK_PASSWORD)},
    {"postgresql", SERVER, BYTES("E\x00\x00\x00\x0cSERROR\0\0")},
    {"postgresql", SERVER, BYTES("S\x16\x03\x03")},
    {"mysql", SERVER, BYTES(MYSQL_GREETING("\xff"))},
    {"mysql", SERVER, BYTES("\x0f\x00\x00\x00\xff\x6a\x04Host refused")},
    {"mysql", CLIENT, BYTES(MYSQL_SSL)},
    {"mysql", CLIENT, BYTES(MYSQL_LOGIN)},
    {"rdp", CLIENT, BYTES(RDP_ASK)},
    {"rdp", CLIENT, BYTES("\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00"
                          "\x01\x00\x08\x00\x01\0\0\0")},
    {"rdp", SERVER, BYTES(RDP_YES)},
    {"rdp", SERVER, BYTES(RDP_NO)},
    {"rdp", SERVER, BYTES(RDP_OLD)},
    /* SNMP, Kerberos, an LDAP message of the other side, one longer than its sequence */
    {NULL, CLIENT, BYTES("\x30\x26\x02\x01\x01\x04\x06public\xa0\x19\x02\x04\x01\x02\x03\x04")},
    {NULL, CLIENT, BYTES("\x30\x10\x02\x01\x02\x61\x0b\x0a\x01\x00\x04\x00\x04\x00")},
    {NULL, CLIENT, BYTES("\x30\x10\x02\x01\x02\x60\x1b\x02\x01\x03\x04\x02me\x80\x02pw")},
    {NULL, CLIENT, BYTES("\x30\x80\x02\x01\x02\x60\x0b")},
    {NULL, CLIENT, BYTES("\x30\x89\x01\x01\x01\x01")},
    {NULL, CLIENT, BYTES("\x30\x10\x02\x01\xff\x60\x0b")},
    {NULL, CLIENT, BYTES("\x30\x10\x02\x01\x02\x60\x0b\x02\x01\x09\x04\x02me\x80\x02pw")},
    {NULL, CLIENT, BYTES("<?xml version='1.0'?><methodCall>")},
    {NULL, CLIENT, BYTES("<stream:stream xmlns:stream='urn:x'>")},
    {NULL, CLIENT, BYTES("<html><stream:stream>")},
    {NULL, SERVER, BYTES("\x00\x00\x00\x08\x04\xd2\x16\x2f")},
    {NULL, CLIENT, BYTES("\x00\x00\x00\x09\x04\xd2\x16\x2f")},
    {NULL, CLIENT, BYTES("\x00\x00\x00\x17\x00\x03\x00\x00\x7fser\0me\0")},
    {NULL, SERVER, BYTES("NICK someone")},
    {NULL, SERVER, BYTES("SSH-2.0-OpenSSH")},
    {NULL, SERVER, BYTES("RFB 003.008\n")},
    {NULL, SERVER, BYTES("ERROR something\r\n")},
    {NULL, SERVER, BYTES("\x4a\x00\x00\x01\x0a" "8.0.33\0")},
    {NULL, SERVER, BYTES("\x4a\x00\x00\x00\x0a" "hello world\0")},
    {NULL, CLIENT, BYTES("\x20\x00\x00\x01" "\x05\xaa\xbe\x81\x00\x00\x00\x01\x2d" "filled")},
    {NULL, CLIENT, BYTES("\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02")},
    {NULL, CLIENT, BYTES("\x03\x00\x00\x15\x08\x02\x00\x01\x05")},
    {NULL, CLIENT, BYTES(HELLO)},
    {NULL, SERVER, BYTES("HTTP/1.1 200 OK\r\n\r\n")},
    {NULL, CLIENT, BYTES("GET / HTTP/1.1\r\n\r\n")},
    {NULL, SERVER, BYTES("220 mail.example ESMTP\r\n")},
};

/* With one byte more each: undecided, then yes or no, and that for ever; the right one alone. */
START_TEST(probes_know_their_own)
{
    for (size_t i = 0; i < PROTOCOLS; i++) {
        const char *name = protocols[i];
        const struct bytes *bytes = &knows[_i].bytes;
        int before = 0;
        for (size_t len = 0; len <= bytes->len; len++) {
            int now = ask(name, knows[_i].side, bytes->data, len);
            ck_assert_msg(before == 0 || now == before, "%s changes its mind at %zu of row %d",
                          name, len, _i);
            before = now;
        }
        int mine = knows[_i].protocol != NULL && strcmp(knows[_i].protocol, name) == 0;
        ck_assert_msg(mine ? before > 0 : before < 0, "%s says %d to row %d", name, before, _i);
    }
}
END_TEST

START_TEST(probes_leave_noise_alone)
{
    uint32_t x = 2463534242u;
    char noise[64];
    for (int n = 0; n < 20000; n++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            noise[i] = (char)(n % 2 == 0 ? x : x % 5 == 0 ? 0x30 : x % 16); /* rich in lengths */
        }
        for (size_t i = 0; i < PROTOCOLS; i++)
            for (int side = CLIENT; side <= SERVER; side++)
                ck_assert_msg(ask(protocols[i], (enum side)side, noise, sizeof noise) <= 0,
                              "%s takes noise %d", protocols[i], n);
    }
}
END_TEST

/* --- conversations --- */

struct step {
    enum side side;
    struct bytes bytes;
    size_t gap; /* in place of bytes */
};

#define C(s) {CLIENT, BYTES(s), 0}
#define S(s) {SERVER, BYTES(s), 0}
#define LOST(side, len) {side, {NULL, 0}, len}

struct talk {
    const char *what;
    struct step steps[12];
    const char *layers, *rules;
};

static const struct talk talks[] = {
    {"ldap: granted", {C(LDAP_ASK), S(LDAP_YES), C(HELLO)}, "ldap tls", ""},
    {"ldap: long lengths", {C(LDAP_ASK), S(LDAP_LONG_YES), C(HELLO)}, "ldap tls", ""},
    {"ldap: refused", {C(LDAP_ASK), S(LDAP_NO), C(LDAP_BIND), S(LDAP_BOUND)}, "ldap",
     "S:starttls-refused C:starttls-refused-then-plaintext"},
    {"ldap: answers to others",
     {C(LDAP_ASK), S(LDAP_BOUND), S("\x30\x0c\x02\x01\x09\x78\x07\x0a\x01\x02\x04\x00\x04\x00"),
      S(LDAP_YES), C(HELLO)}, "ldap tls", ""},
    {"ldap: offered", {S(LDAP_ROOT), C(LDAP_BIND), C(LDAP_BIND)}, "ldap",
     "C:starttls-offered-not-used"},
    {"ldap: wrapped behind SASL",
     {C(LDAP_SASL), S(LDAP_BOUND), C("\x00\x00\x00\x04" "abcd"), S("\x00\x00\x00\x04" "abcd")},
     "ldap", ""},
    {"ldap: the answer lost", {C(LDAP_ASK), LOST(SERVER, 14), C(HELLO)}, "ldap tls", ""},
    {"ldap: lost, and not granted", {C(LDAP_ASK), LOST(SERVER, 16), C(LDAP_BIND)}, "ldap",
     "C:switch-unresolved"},
    {"ldap: the place lost, then asked", {S(LDAP_ROOT), LOST(SERVER, 99), C(LDAP_ASK), C(HELLO)},
     "ldap tls", ""},
    {"ldap: lost within an entry",
     {S("\x30\x7f\x02\x01\x01\x64\x7a\x04\x01" "a"), LOST(SERVER, 119), C(LDAP_ASK), S(LDAP_NO)},
     "ldap", "S:starttls-refused"},
    {"ldap: the request lost",
     {C(LDAP_BIND), S(LDAP_BOUND), LOST(CLIENT, 31), S(LDAP_YES), C(HELLO), S(LDAP_NO)}, "ldap",
     ""},
    {"ldap: lost behind the request",
     {C(LDAP_ASK), LOST(CLIENT, 20), S(LDAP_YES), C(LDAP_BIND), S(LDAP_BOUND)}, "ldap tls", ""},
    {"ldap: lost behind the request, and refused",
     {C(LDAP_ASK), LOST(CLIENT, 20), S(LDAP_NO), C(LDAP_BIND)}, "ldap", "S:starttls-refused"},
    {"ldap: longer than the world", {C(LDAP_ASK), S(LDAP_NO),
     C("\x30\x84\x7f\xff\xff\xff\x02\x01\x05\x66\x84\x7f\xff\xff\xf0" "x"), C(LDAP_BIND)},
     "ldap", "S:starttls-refused"},
    {"ldap: no LDAP any more", {C(LDAP_ASK), S(LDAP_NO), C("\x30\x84\xff\xff\xff\xff\x02\x01")},
     "ldap", "S:starttls-refused"},

    {"xmpp: granted",
     {C(STREAM("to='a'")), S(STREAM("id='1'")), C("<starttls " NS_TLS "/>"),
      S("<proceed " NS_TLS "/>"), C(HELLO)}, "xmpp tls", ""},
    {"xmpp: another namespace, and too deep",
     {C(STREAM("to='a'")), S(STREAM("id='1'")), C("<starttls/><m><starttls " NS_TLS "/></m>"),
      S("<proceed " NS_TLS "/>"), C(HELLO)}, "xmpp", ""},
    {"xmpp: in a comment, CDATA, a value",
     {C(STREAM("to='a'")), S(STREAM("id='1'")),
      C("<!-- <starttls " NS_TLS "/> --><m><![CDATA[</m><starttls " NS_TLS "/>]]></m>"
        "<m a='/><x>' b=\"</m>'\"/>"),
      S("<proceed " NS_TLS "/>"), C(SASL_AUTH)}, "xmpp", ""},
    {"xmpp: prefixes and end tags",
     {C(STREAM("to='a' xmlns:t=\"urn:ietf:params:xml:ns:xmpp-tls\"")), S(STREAM("id='1'")),
      C("<t:starttls ></t:starttls >"),
      S("<x:proceed xmlns:x='urn:ietf:params:xml:ns:xmpp-tls' a='>'></x:proceed>"), C(HELLO)},
     "xmpp tls", ""},
    {"xmpp: a prefix that is over",
     {C(STREAM("to='a'")), S(STREAM("id='1'")),
      C("<m xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'/><t:starttls/>"),
      S("<proceed " NS_TLS "/>")}, "xmpp", ""},
    {"xmpp: failure",
     {C(STREAM("to='a'")), S(STREAM("id='1'")), C("<starttls " NS_TLS "/>"),
      S("<failure " NS_TLS "/></stream:stream>"), C(SASL_AUTH)}, "xmpp",
     "S:starttls-refused C:starttls-refused-then-plaintext"},
    {"xmpp: the stream is closed instead",
     {C(STREAM("to='a'")), S(STREAM("id='1'")), C("<starttls " NS_TLS "/>"),
      S("</stream:stream>")}, "xmpp", "S:starttls-refused"},
    {"xmpp: offered",
     {C(STREAM("to='a'")),
      S(STREAM("id='1'") "<stream:features><starttls " NS_TLS "><required/></starttls>"
        "</stream:features>"), C(SASL_AUTH)}, "xmpp", "C:starttls-offered-not-used"},
    {"xmpp: the answer lost",
     {C(STREAM("to='a'")), S(STREAM("id='1'")), C("<starttls " NS_TLS "/>"), LOST(SERVER, 50),
      C(HELLO)}, "xmpp tls", ""},
    {"xmpp: a document type", {C(STREAM("to='a'")), C("<!DOCTYPE x [<!ENTITY a 'b'>]>"),
      C(SASL_AUTH)}, "xmpp", ""},
    {"xmpp: nothing but the end", {C(STREAM("to='a'")), C("</a></b></c><starttls " NS_TLS "/>")},
     "xmpp", ""},

    {"postgresql: granted", {C(PG_SSL), S("S"), C(HELLO)}, "postgresql tls", ""},
    {"postgresql: one, then the other", {C(PG_GSS), S("N"), C(PG_SSL), S("S"), C(HELLO)},
     "postgresql tls", "S:starttls-refused"},
    {"postgresql: GSSAPI", {C(PG_SSL), S("N"), C(PG_GSS), S("G"), C("\x00\x00\x00\x02\x60\x00")},
     "postgresql gssapi", "S:starttls-refused"},
    {"postgresql: password", {C(PG_SSL), S("N"), C(PG_STARTUP), S(PG_ASK_PASSWORD),
      C(PG_PASSWORD), S(PG_OK PG_READY)}, "postgresql",
     "S:starttls-refused C:starttls-refused-then-plaintext"},
    {"postgresql: trusted", {C(PG_SSL), S("N"), C(PG_STARTUP), S(PG_OK PG_READY), C(PG_PASSWORD)},
     "postgresql", "S:starttls-refused"},
    {"postgresql: an error", {C(PG_SSL), S("E\x00\x00\x00\x0cSERROR\0\0")}, "postgresql",
     "S:starttls-refused"},
    {"postgresql: an old error", {C(PG_SSL), S("Ebad\n\0")}, "postgresql", "S:starttls-refused"},
    {"postgresql: neither", {C(PG_SSL), S("X"), C(PG_STARTUP)}, "postgresql", ""},
    {"postgresql: the answer lost", {C(PG_SSL), LOST(SERVER, 1), C(HELLO)}, "postgresql tls", ""},
    {"postgresql: lost, and GSSAPI follows",
     {C(PG_GSS), LOST(SERVER, 1), C("\x00\x00\x00\x02\x60\x00")}, "postgresql gssapi", ""},
    {"postgresql: lost, and the login follows",
     {C(PG_SSL), LOST(SERVER, 1), C(PG_STARTUP), S(PG_ASK_PASSWORD), C(PG_PASSWORD)},
     "postgresql", "C:switch-unresolved"},
    {"postgresql: lost, and more than that",
     {C(PG_GSS), LOST(SERVER, 9), C(PG_SSL), C(HELLO)}, "postgresql tls", "C:switch-unresolved"},

    {"mysql: granted", {S(MYSQL_GREETING("\xff")), C(MYSQL_SSL), C(HELLO)}, "mysql tls", ""},
    {"mysql: in the clear", {S(MYSQL_GREETING("\xff")), C(MYSQL_LOGIN), S(MYSQL_OK)}, "mysql",
     "C:starttls-offered-not-used"},
    {"mysql: not offered", {S(MYSQL_GREETING("\xf7")), C(MYSQL_LOGIN), S(MYSQL_OK)}, "mysql", ""},
    {"mysql: refused", {S(MYSQL_GREETING("\xff")), C(MYSQL_SSL),
      S("\x09\x00\x00\x02\xff\xea\x07no SSL")}, "mysql", "S:starttls-refused"},
    {"mysql: no hello", {S(MYSQL_GREETING("\xff")), C(MYSQL_SSL), C(MYSQL_LOGIN)}, "mysql",
     "C:starttls-no-clienthello"},
    {"mysql: lost behind the request",
     {S(MYSQL_GREETING("\xff")), C(MYSQL_SSL), LOST(SERVER, 78), C(HELLO)}, "mysql tls", ""},
    {"mysql: the request lost",
     {S(MYSQL_GREETING("\xff")), LOST(CLIENT, 36), C(HELLO)}, "mysql", ""},

    {"rdp: nothing asked for",
     {C("\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00" "Cookie: mstshash=anna\r\n"
        "\x06\x00\x08\x00\x03\x00\x00\x00"), S(RDP_NO)}, "rdp", ""},
    {"rdp: granted", {C(RDP_ASK), S(RDP_YES), C(HELLO)}, "rdp tls", ""},
    {"rdp: refused", {C(RDP_ASK), S(RDP_NO)}, "rdp", "S:starttls-refused"},
    {"rdp: an old server", {C(RDP_ASK), S(RDP_OLD)}, "rdp", "S:starttls-refused"},
    {"rdp: the answer lost", {C(RDP_ASK), LOST(SERVER, 19), C(HELLO)}, "rdp tls", ""},
    {"rdp: lost, and not granted",
     {C(RDP_ASK), LOST(SERVER, 19), C("\x03\x00\x00\x08\x02\xf0\x80\x28")}, "rdp",
     "C:switch-unresolved"},
};

enum { TALKS = sizeof talks / sizeof talks[0] };

static struct fake *prepare(const struct talk *talk)
{
    struct fake *fake = fake_new(NULL, "");
    for (const struct step *s = talk->steps; s->bytes.data != NULL || s->gap > 0; s++) {
        if (s->gap > 0)
            fake_gap(fake, s->side, s->gap);
        else
            fake_data(fake, s->side, s->bytes.data, s->bytes.len);
    }
    return fake;
}

/* The names in the lines `layer 1 "NAME"`. */
static void layers_of(const char *log, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (const char *at = log; (at = strstr(at, " layer ")) != NULL; at++) {
        const char *end = strchr(at, '\n'), *quote = strchr(at, '"');
        if (quote == NULL || quote > end || memcmp(quote - 7, "closed", 6) == 0)
            continue;
        len += (size_t)snprintf(out + len, size - len, "%s%.*s", len > 0 ? " " : "",
                                (int)strcspn(quote + 1, "\""), quote + 1);
        ck_assert_uint_lt(len, size);
    }
}

START_TEST(talk_is_understood)
{
    const struct talk *talk = &talks[_i];
    struct fake *fake = prepare(talk);
    char layers[256];
    const char *rules = fake_rules(fake);
    layers_of(fake->log, layers, sizeof layers);
    ck_assert_msg(strcmp(rules, talk->rules) == 0, "%s: %s", talk->what, rules);
    ck_assert_msg(strcmp(layers, talk->layers) == 0, "%s: %s", talk->what, layers);
    fake_free(fake);
}
END_TEST

/* Each byte of each conversation wrong in several ways: nothing but an answer is asked for. */
START_TEST(talk_survives_damage)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff, 0x7f};
    struct fake *fake = prepare(&talks[_i]);
    for (size_t at = 0; at < fake->len; at++) {
        uint8_t kept = fake->bytes[at];
        for (size_t i = 0; i < sizeof flips; i++) {
            fake->bytes[at] = kept ^ flips[i];
            (void)fake_play(fake, i % 2);
            ck_assert_uint_eq(fake->leaked, 0);
        }
        fake->bytes[at] = kept;
    }
    fake_free(fake);
}
END_TEST

/* --- long things --- */

static void repeat(struct fake *fake, enum side side, const char *data, size_t times)
{
    size_t len = strlen(data);
    char *all = malloc(len * times);
    ck_assert_ptr_nonnull(all);
    for (size_t i = 0; i < times; i++)
        memcpy(all + i * len, data, len);
    fake_data(fake, side, all, len * times);
    free(all);
}

static void say(struct fake *fake, enum side side, const char *data)
{
    fake_data(fake, side, data, strlen(data));
}

/* A tag longer than what is looked at counts as an element all the same. */
START_TEST(xmpp_long_tags)
{
    struct fake *fake = fake_new(NULL, "");
    say(fake, CLIENT, STREAM("to='a'"));
    say(fake, SERVER, STREAM("id='1'") "<stream:features><starttls " NS_TLS "/>"
                                       "</stream:features>");
    say(fake, CLIENT, "<m a='");
    repeat(fake, CLIENT, "/><starttls/>", 2000);
    say(fake, CLIENT, "'><b");
    repeat(fake, CLIENT, " ", 9000);
    say(fake, CLIENT, "/></m");
    repeat(fake, CLIENT, " ", 9000);
    say(fake, CLIENT, ">" SASL_AUTH);
    ck_assert_str_eq(fake_rules(fake), "C:starttls-offered-not-used");
    fake_free(fake);
}
END_TEST

START_TEST(xmpp_namespaces_are_bounded)
{
    struct fake *fake = fake_new(NULL, "");
    say(fake, CLIENT, STREAM("to='a'") "<m");
    for (int i = 0; i < 50; i++) {
        char declaration[32];
        (void)snprintf(declaration, sizeof declaration, " xmlns:n%d='x'", i);
        say(fake, CLIENT, declaration);
    }
    say(fake, CLIENT, "/>");
    repeat(fake, CLIENT, "<a xmlns='b'>", 300);
    ck_assert_str_eq(fake_rules(fake), "N:analysis-limit-hit");
    fake_free(fake);
}
END_TEST

/* --- the end of all interest --- */

static void ignore(void *flow, struct event *event)
{
    (void)flow;
    (void)event;
}

static const struct talk finished[] = {
    {"postgresql", {C(PG_STARTUP), S(PG_OK PG_READY), C(PG_PASSWORD)}, "", ""},
    {"postgresql cancel", {C(PG_CANCEL), S("x")}, "", ""},
    {"mysql", {S(MYSQL_GREETING("\xff")), C(MYSQL_LOGIN), S(MYSQL_OK)}, "", ""},
    {"rdp", {C(RDP_ASK), S(RDP_OLD), C("\x03\x00\x00\x08\x02\xf0\x80\x28")}, "", ""},
    {"xmpp", {C(STREAM("to='a'")), S(STREAM("id='1'")), C(SASL_AUTH),
     S("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"), C("<?xml "), S("<?xml ")}, "", ""},
    {"ldap", {C(LDAP_SASL), S(LDAP_BOUND), C("\x00\x00\x00\x04" "abcd"), S("\0\0\0\1a")}, "", ""},
};

START_TEST(nothing_more_is_wanted)
{
    struct fake *fake = prepare(&finished[_i]);
    struct stack_host host = {.emit = ignore};
    struct budget budget;
    budget_init(&budget, fake->memory, NULL);
    struct stack *stack = stack_new(&host, NULL, &fake->options, &budget, 1);
    ck_assert_ptr_nonnull(stack);
    for (size_t i = 0; i < fake->step_count; i++) {
        struct mark mark = {.packet = i + 1};
        ck_assert_msg(!stack_done(stack), "%s: too soon, at %zu", finished[_i].what, i);
        stack_data(stack, fake->steps[i].side, fake->bytes + fake->steps[i].at, fake->steps[i].len,
                   &mark);
    }
    ck_assert_msg(stack_done(stack), "%s: not yet", finished[_i].what);
    struct mark mark = {.packet = 99};
    stack_close(stack, SESSION_END_CAPTURE, NEITHER, 0, &mark);
    stack_free(stack);
    ck_assert_uint_eq(budget.used, 0);
    fake_free(fake);
}
END_TEST

Suite *starttls_binary_suite(void)
{
    Suite *suite = suite_create("starttls_binary");
    TCase *probes = tcase_create("probes");
    tcase_add_loop_test(probes, probes_know_their_own, 0, sizeof knows / sizeof knows[0]);
    tcase_add_test(probes, probes_leave_noise_alone);
    suite_add_tcase(suite, probes);
    TCase *conversations = tcase_create("conversations");
    tcase_add_loop_test(conversations, talk_is_understood, 0, TALKS);
    tcase_add_loop_test(conversations, talk_survives_damage, 0, TALKS);
    tcase_add_test(conversations, xmpp_long_tags);
    tcase_add_test(conversations, xmpp_namespaces_are_bounded);
    tcase_add_loop_test(conversations, nothing_more_is_wanted, 0,
                        sizeof finished / sizeof finished[0]);
    suite_add_tcase(suite, conversations);
    return suite;
}
