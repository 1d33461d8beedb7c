/*
 * FTP, NNTP and IRC, and what the judge of STARTTLS does for all: what their probes take and what
 * they leave to others, conversations whole, byte by byte and in odd pieces, lost bytes, long lines
 * and texts, every byte of a conversation wrong.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_layer.h"

#include "../../dissectors/talk.h"

Suite *starttls_text_suite(void);

#define HELLO \
    "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" \
    "0123456789abcdef0123456789abcdef" \
    "\x00\x00\x02\x13\x01\x01\x00"

#define SERVER_HELLO \
    "\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" \
    "0123456789abcdef0123456789abcdef" \
    "\x00\x13\x01\x00"

/* --- probes --- */

static const char *const protocols[] = {"ftp",  "nntp", "irc",   "smtp",
                                        "imap", "pop3", "sieve"};

enum { PROTOCOLS = sizeof protocols / sizeof protocols[0] };

static int ask(const char *protocol, enum side side, const char *data, size_t len)
{
    uint8_t *copy = malloc(len + 1); /* a read past the end is seen */
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    int sure = layer_probe(NULL, protocol, side, copy, len);
    free(copy);
    return (sure > 0) - (sure < 0);
}

/* + sure, 0 undecided (it may be this or another), - no. */
static const struct {
    const char *bytes;
    enum side side;
    const char *says; /* of each protocol, in their order */
} answers[] = {
    {"220 ProFTPD Server\r\n", SERVER, "+--0---"},
    {"220 ftp.example.org ESMTP\r\n", SERVER, "---+---"},
    {"220 ready\r\n", SERVER, "0--0---"},
    {"220 rea", SERVER, "0--0---"},
    {"220-Hello\r\n it is\r\n220 the FTP server\r\n", SERVER, "+------"},
    {"120 soon\r\n220 FTP\r\n", SERVER, "+------"},
    {"331 Password\r\n", SERVER, "+------"},
    {"22x\r\n", SERVER, "-------"},
    {"220x\r\n", SERVER, "-------"},
    {"200 news.example NNRP ready\r\n", SERVER, "-+-----"},
    {"201 hi\r\n", SERVER, "-0-----"},
    {"200-hi\r\n", SERVER, "-------"},
    {":irc.example NOTICE * :hi\r\n", SERVER, "--+----"},
    {":irc.example 372 a :hi\r\n", SERVER, "-------"},
    {":irc.example NOT", SERVER, "--0----"},
    {"NOTICE AUTH :hi\r\n", SERVER, "--+---0"},
    {":irc\x01 NOTICE * :hi\r\n", SERVER, "-------"},
    {"AUTH TLS\r\n", CLIENT, "+----0-"},
    {"FEAT\r\n", CLIENT, "+------"},
    {"MODE READER\r\n", CLIENT, "-+-----"},
    {"TAKETHIS <a@b>\r\n", CLIENT, "-+-----"},
    {"CAP LS 302\r\n", CLIENT, "--+----"},
    {"NICK a\r\n", CLIENT, "--+----"},
    {"STARTTLS\r\n", CLIENT, "-000--0"},
    {"EHLO a\r\n", CLIENT, "---+---"},
    {"a1 CAPABILITY\r\n", CLIENT, "----+--"},
    {"CAPA\r\n", CLIENT, "-----+-"},
    {"AUTHENTICATE \"PLAIN\"\r\n", CLIENT, "------+"},
    {"GET / HTTP/1.1\r\n", CLIENT, "-------"},
    {"HTTP/1.1 200 OK\r\n", SERVER, "-------"},
    {"SSH-2.0-x\r\n", CLIENT, "-------"},
    {"SSH-2.0-x\r\n", SERVER, "-------"},
    {"\x16\x03\x01", CLIENT, "-------"},
    {"<stream:stream", CLIENT, "----0--"},
};

START_TEST(probes_know_theirs)
{
    const char *bytes = answers[_i].bytes;
    for (size_t i = 0; i < PROTOCOLS && answers[_i].says[i] != '\0'; i++) {
        char want = answers[_i].says[i];
        int is = ask(protocols[i], answers[_i].side, bytes, strlen(bytes));
        ck_assert_msg("-0+"[is + 1] == want, "%s says %c to %s", protocols[i], "-0+"[is + 1],
                      bytes);
        /* A side that says no stays with it. */
        for (size_t len = 0, no = 0; len <= strlen(bytes); len++) {
            is = ask(protocols[i], answers[_i].side, bytes, len);
            ck_assert_msg(!no || is < 0, "%s takes back its no to %.*s", protocols[i], (int)len,
                          bytes);
            no = is < 0;
        }
    }
}
END_TEST

START_TEST(probes_refuse_noise)
{
    uint32_t x = 20260101;
    char noise[64];
    for (int n = 0; n < 5000; n++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            noise[i] = (char)(n % 2 == 0 ? x : 32 + x % 95);
        }
        for (size_t i = 0; i < PROTOCOLS; i++)
            for (int side = CLIENT; side <= SERVER; side++)
                ck_assert_msg(ask(protocols[i], (enum side)side, noise, sizeof noise) <= 0,
                              "%s takes noise %d", protocols[i], n);
    }
}
END_TEST

/* --- conversations --- */

struct bytes {
    const char *data;
    size_t len;
};

#define BYTES(s) {"" s, sizeof(s) - 1}

struct step {
    enum side side;
    struct bytes bytes;
    size_t gap; /* in place of bytes */
};

#define C(s) {CLIENT, BYTES(s), 0}
#define S(s) {SERVER, BYTES(s), 0}
#define LOST(side, len) {side, {NULL, 0}, len}

struct talking {
    const char *what;
    struct step steps[14];
    const char *layers, *rules;
};

#define FTP S("220 FTP\r\n")
#define FTP_TLS FTP, C("FEAT\r\n"), S("211-x\r\n AUTH TLS\r\n211 End\r\n")
#define NEWS S("200 news\r\n")
#define NEWS_TLS NEWS, C("CAPABILITIES\r\n"), S("101 x\r\nSTARTTLS\r\n.\r\n")
#define IRC C("NICK a\r\n"), S(":irc.example NOTICE * :hi\r\n")

static const struct talking talks[] = {
    {"ftp: granted", {FTP, C("AUTH TLS\r\n"), S("234 go\r\n"), C(HELLO)}, "ftp tls", ""},
    {"ftp: the old grant", {FTP, C("AUTH SSL\r\n"), S("334 go\r\n"), C(HELLO)}, "ftp tls", ""},
    {"ftp: the replies come first", {FTP, S("502 no FEAT\r\n234 go\r\n"),
      C("FEAT\r\nAUTH TLS\r\n"), C(HELLO)}, "ftp tls", ""},
    {"ftp: replies in their order",
     {FTP, C("SYST\r\nNOOP\r\nAUTH TLS\r\n"), S("500 what\r\n234 no grant\r\n234 go\r\n"),
      C(HELLO)}, "ftp tls", ""},
    {"ftp: refused", {FTP, C("AUTH TLS\r\n"), S("502 no\r\n"), C("USER a\r\nPASS b\r\n")}, "ftp",
     "S:starttls-refused C:starttls-refused-then-plaintext"},
    {"ftp: refused, and nobody logs in",
     {FTP, C("AUTH TLS\r\n"), S("502 no\r\n"), C("USER ftp\r\nPASS b\r\n")}, "ftp",
     "S:starttls-refused"},
    {"ftp: offered", {FTP_TLS, C("USER a\r\n"), S("331 x\r\n"), C("PASS b\r\nPASS b\r\n")}, "ftp",
     "C:starttls-offered-not-used"},
    {"ftp: offered with the code on each line",
     {FTP, C("FEAT\r\n"), S("211-x\r\n211-AUTH TLS;SSL;\r\n211 End\r\n"), C("PASS b\r\n")}, "ftp",
     "C:starttls-offered-not-used"},
    {"ftp: said by HELP", {FTP, C("HELP\r\n"), S("214-x\r\n AUTH TLS\r\n214 End\r\n"),
      C("PASS b\r\n")}, "ftp", ""},
    {"ftp: offered with the password on its way",
     {FTP, C("FEAT\r\nUSER a\r\nPASS b\r\n"), S("211-x\r\n AUTH TLS\r\n211 End\r\n331 x\r\n")},
     "ftp", "C:starttls-offered-not-used"},
    {"ftp: granted, not followed",
     {FTP, C("AUTH TLS\r\n"), S("234 go\r\n"), C("USER a\r\n"), S("331 x\r\n"), C("PASS b\r\n")},
     "ftp tls", "C:starttls-no-clienthello"},
    {"ftp: GSSAPI", {FTP, C("AUTH GSSAPI\r\n"), S("334 ADAT\r\n"), C("ADAT x\r\n")}, "ftp gssapi",
     ""},
    {"ftp: the answer lost", {FTP, C("AUTH TLS\r\n"), LOST(SERVER, 8), C(HELLO)}, "ftp tls", ""},
    {"ftp: lost, and not granted", {FTP, C("AUTH TLS\r\n"), LOST(SERVER, 8), C("USER a\r\n")},
     "ftp", "C:switch-unresolved"},
    {"ftp: lost behind the request",
     {FTP, C("AUTH TLS\r\n"), LOST(CLIENT, 10), S("502 no\r\n"), C("USER a\r\n")}, "ftp",
     "S:starttls-refused"},
    {"ftp: request and grant lost",
     {FTP, LOST(CLIENT, 10), LOST(SERVER, 8), C(HELLO), S(SERVER_HELLO)}, "ftp tls", ""},
    {"ftp: only the server is seen", {FTP, LOST(CLIENT, 10), S("234 go\r\n"), S(SERVER_HELLO)},
     "ftp tls", ""},
    {"ftp: TLS that nobody asked for is none", {FTP, C("NOOP\r\n"), C(HELLO)}, "ftp", ""},

    {"nntp: granted", {NEWS, C("STARTTLS\r\n"), S("382 go\r\n"), C(HELLO)}, "nntp tls", ""},
    {"nntp: in an article of the server",
     {NEWS, C("HEAD 1\r\nSTARTTLS\r\n"), S("221 1\r\n382 go\r\n..\r\n.\r\n382 go\r\n"), C(HELLO)},
     "nntp tls", ""},
    {"nntp: in an article of the client",
     {NEWS, C("POST\r\n"), S("340 go\r\n"), C("STARTTLS\r\n.x\r\n.\r\n"), S("240 ok\r\n")}, "nntp",
     ""},
    {"nntp: an article that is refused",
     {NEWS, C("IHAVE <a>\r\nSTARTTLS\r\n"), S("435 no\r\n382 go\r\n"), C(HELLO)}, "nntp tls", ""},
    {"nntp: articles that come unasked",
     {NEWS, C("TAKETHIS <a>\r\nSTARTTLS\r\n.\r\nSTARTTLS\r\n"), S("239 <a>\r\n580 no\r\n")},
     "nntp", "S:starttls-refused"},
    {"nntp: offered", {NEWS_TLS, C("AUTHINFO USER a\r\nAUTHINFO PASS b\r\n"), S("381 x\r\n")},
     "nntp", "C:starttls-offered-not-used"},
    {"nntp: the user alone", {NEWS_TLS, C("AUTHINFO USER a\r\n"), S("483 x\r\n")}, "nntp", ""},
    {"nntp: SASL at once", {NEWS_TLS, C("AUTHINFO SASL PLAIN AGEAYg==\r\n"), S("281 x\r\n")},
     "nntp", "C:starttls-offered-not-used"},
    {"nntp: SASL in steps",
     {NEWS_TLS, C("AUTHINFO SASL LOGIN\r\n"), S("383 x\r\n"), C("YQ==\r\n"), S("383 x\r\n"),
      C("STARTTLS\r\n"), S("281 x\r\n")}, "nntp", "C:starttls-offered-not-used"},
    {"nntp: SASL without a secret",
     {NEWS_TLS, C("AUTHINFO SASL EXTERNAL =\r\n"), S("281 x\r\n")}, "nntp", ""},
    {"nntp: refused", {NEWS, C("STARTTLS\r\n"), S("580 no\r\n"), C("AUTHINFO PASS b\r\n")}, "nntp",
     "S:starttls-refused C:starttls-refused-then-plaintext"},
    {"nntp: compressed", {NEWS, C("COMPRESS DEFLATE\r\n"), S("206 go\r\n"), C("STARTTLS\r\n"),
      S("382 go\r\n")}, "nntp", ""},
    {"nntp: the dot of the server lost",
     {NEWS, C("ARTICLE 1\r\n"), S("220 1\r\nx\r\n"), LOST(SERVER, 3), C("STARTTLS\r\n"),
      S("382 go\r\n"), C(HELLO)}, "nntp tls", ""},
    {"nntp: the dot of the client lost",
     {NEWS, C("POST\r\n"), S("340 go\r\n"), C("x\r\n"), LOST(CLIENT, 3), S("240 ok\r\n"),
      C("STARTTLS\r\n"), S("382 go\r\n"), C(HELLO)}, "nntp tls", ""},
    {"nntp: 340 lost",
     {NEWS, C("POST\r\n"), LOST(SERVER, 8), C("STARTTLS\r\n.\r\n"), S("240 ok\r\n")}, "nntp", ""},

    {"irc: granted", {IRC, C("STARTTLS\r\n"), S(":irc.example 670 a :go\r\n"), C(HELLO)},
     "irc tls", ""},
    {"irc: another's numeric", {IRC, C("PING x\r\n"), S(":irc.example 670 a :go\r\n"), C(HELLO)},
     "irc", ""},
    {"irc: refused",
     {IRC, C("STARTTLS\r\nPASS x\r\n"), S(":irc.example 691 a :no\r\n"), C("OPER a b\r\n")}, "irc",
     "S:starttls-refused C:starttls-refused-then-plaintext"},
    {"irc: passed over",
     {IRC, C("STARTTLS\r\nUSER a 0 * :A\r\n"), S(":irc.example 001 a :hi\r\n"), C("OPER a b\r\n")},
     "irc", "C:starttls-refused-then-plaintext"},
    {"irc: an unknown command, of another",
     {IRC, C("STARTTLS\r\n"), S(":irc.example 421 a FOO :what\r\n"), C("OPER a b\r\n")}, "irc", ""},
    {"irc: offered",
     {C("CAP LS\r\n"), S(":i.x CAP * LS :tls sasl\r\n"), C("AUTHENTICATE PLAIN\r\n"),
      S("AUTHENTICATE +\r\n"), C("AUTHENTICATE eA==\r\n")}, "irc", "C:starttls-offered-not-used"},
    {"irc: offered, and no secret",
     {C("CAP LS\r\n"), S(":i.x CAP * LS :tls sasl\r\n"), C("AUTHENTICATE EXTERNAL\r\n"),
      S("AUTHENTICATE +\r\n"), C("AUTHENTICATE +\r\n")}, "irc", ""},
    {"irc: the answer lost", {IRC, C("STARTTLS\r\n"), LOST(SERVER, 20), C(HELLO)}, "irc tls", ""},
    {"irc: request and grant lost", {IRC, LOST(CLIENT, 10), LOST(SERVER, 20), C(HELLO)},
     "irc tls", ""},
};

enum { TALKS = sizeof talks / sizeof talks[0] };

static struct fake *prepare(const struct talking *talk)
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
    const struct talking *talk = &talks[_i];
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
    static const uint8_t flips[] = {0x01, 0x80, 0x2a};
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

/* The rest of a line that is too long is no line of its own, wherever it is cut. */
START_TEST(long_lines)
{
    struct fake *fake = fake_new(NULL, "");
    say(fake, SERVER, "220 FTP\r\n");
    for (size_t len = TALK_LINE - 80; len < TALK_LINE + 2; len += 9) {
        char line[TALK_LINE + 64];
        memset(line, 'x', sizeof line);
        memcpy(line, "STAT ", 5);
        fake_data(fake, CLIENT, line, len);
        say(fake, CLIENT, "AUTH TLS\r\n");
        say(fake, SERVER, "211-");
        fake_data(fake, SERVER, line, len);
        say(fake, SERVER, "234 go\r\n211 end\r\n");
    }
    say(fake, CLIENT, "AUTH TLS\r\n");
    say(fake, SERVER, "502 no\r\n");
    ck_assert_str_eq(fake_rules(fake), "S:starttls-refused");
    fake_free(fake);
}
END_TEST

/* More commands than are kept are read as their replies come. */
START_TEST(many_commands)
{
    struct fake *fake = fake_new(NULL, "");
    say(fake, SERVER, "200 news\r\n");
    repeat(fake, CLIENT, "DATE\r\n", 3 * TALK_OWED);
    say(fake, CLIENT, "STARTTLS\r\n");
    repeat(fake, SERVER, "382 no grant\r\n", 3 * TALK_OWED);
    say(fake, SERVER, "580 no\r\n");
    ck_assert_str_eq(fake_rules(fake), "S:starttls-refused");
    fake_free(fake);
}
END_TEST

/* The end of one reply without its command is waited for no longer than the client may speak. */
START_TEST(unasked_replies)
{
    struct fake *fake = fake_new(NULL, "");
    say(fake, SERVER, "220 FTP\r\n");
    say(fake, CLIENT, "NOOP\r\n");
    say(fake, SERVER, "200 ok\r\n421 timeout\r\n");
    fake_fin(fake, SERVER);
    say(fake, CLIENT, "AUTH TLS\r\n");
    fake_fin(fake, CLIENT);
    ck_assert_str_eq(fake_rules(fake), "S:starttls-refused");
    fake_free(fake);
}
END_TEST

/* --- names --- */

static const struct {
    const char *line, *host; /* NULL: none */
} hosts[] = {
    {"mail.example.org ESMTP", "mail.example.org"}, {"a-b.c1.example", "a-b.c1.example"},
    {"  x.yz", "x.yz"},       {"localhost ready", NULL}, {"ProFTPD 1.3.7", NULL},
    {"1.3.7 ready", NULL},    {"10.0.0.1 ready", NULL},  {"ready.", NULL},
    {"a..bc x", NULL},        {".bc", NULL},             {"<1.2@x.yz>", NULL},
    {"", NULL},               {"x.y2", NULL},            {"(x.yz)", NULL},
};

START_TEST(names_of_hosts)
{
    const char *line = hosts[_i].line, *want = hosts[_i].host;
    struct text host = talk_host((struct text){line, strlen(line)});
    ck_assert_msg((want == NULL) == (host.data == NULL), "%s", line);
    if (want != NULL)
        ck_assert_msg(host.len == strlen(want) && memcmp(host.data, want, host.len) == 0, "%s",
                      line);
}
END_TEST

Suite *starttls_text_suite(void)
{
    Suite *suite = suite_create("starttls_text");
    TCase *probes = tcase_create("probes");
    tcase_add_loop_test(probes, probes_know_theirs, 0,
                        (int)(sizeof answers / sizeof answers[0]));
    tcase_add_test(probes, probes_refuse_noise);
    suite_add_tcase(suite, probes);
    TCase *conversations = tcase_create("conversations");
    tcase_set_timeout(conversations, 30);
    tcase_add_loop_test(conversations, talk_is_understood, 0, TALKS);
    tcase_add_loop_test(conversations, talk_survives_damage, 0, TALKS);
    tcase_add_test(conversations, long_lines);
    tcase_add_test(conversations, many_commands);
    tcase_add_test(conversations, unasked_replies);
    tcase_add_loop_test(conversations, names_of_hosts, 0, (int)(sizeof hosts / sizeof hosts[0]));
    suite_add_tcase(suite, conversations);
    return suite;
}
