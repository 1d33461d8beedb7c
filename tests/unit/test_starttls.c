/*
 * SMTP, IMAP, POP3 and ManageSieve and the judge of STARTTLS: conversations played whole, byte by
 * byte and in odd pieces, what the probes take and leave, gaps, and peers that mean no good.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/registry.h"
#include "fake_layer.h"

Suite *starttls_suite(void);

static const char client_hello[] =
    "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03"
    "0123456789abcdef0123456789abcdef"
    "\x00\x00\x02\x13\x01\x01\x00";
static const char server_hello[] =
    "\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03"
    "0123456789abcdef0123456789abcdef"
    "\x00\x13\x01\x00\x00\x00";

enum { STEPS_MOST = 14 };

/* ">.." the client says, "<.." the server does; ">!" and "<!" their hellos; ">-8" and "<-8" so many
 * bytes of theirs are missing. */
struct conversation {
    const char *steps[STEPS_MOST];
    const char *chain;  /* layers in the order in which they were recognised */
    int asked, answered; /* attempts */
    const char *rules;
};

static void note(struct fake *fake, const char *step)
{
    enum side side = step[0] == '>' ? CLIENT : SERVER;
    const char *hello = side == CLIENT ? client_hello : server_hello;
    size_t len = side == CLIENT ? sizeof client_hello - 1 : sizeof server_hello - 1;
    if (step[1] == '!')
        fake_data(fake, side, hello, len);
    else if (step[1] == '-' && step[2] >= '0' && step[2] <= '9')
        fake_gap(fake, side, (size_t)strtoul(step + 2, NULL, 10));
    else
        fake_data(fake, side, step + 1, strlen(step + 1));
}

static struct fake *noted(const char *const *steps)
{
    struct fake *fake = fake_new("none", "none");
    for (size_t i = 0; i < STEPS_MOST && steps[i] != NULL; i++)
        note(fake, steps[i]);
    return fake;
}

static int count_of(const char *log, const char *word)
{
    int count = 0;
    for (const char *at = strstr(log, word); at != NULL; at = strstr(at + 1, word))
        count++;
    return count;
}

/* "layer 1 "smtp"", "layer 2 "tls"" becomes "smtp>tls". */
static void chain_of(const char *log, char *chain, size_t size)
{
    size_t len = 0;
    chain[0] = '\0';
    for (int layer = 1; layer < 9; layer++) {
        char key[24];
        (void)snprintf(key, sizeof key, "layer %d \"", layer);
        const char *at = strstr(log, key);
        if (at == NULL)
            return;
        at += strlen(key);
        len += (size_t)snprintf(chain + len, size - len, "%s%.*s", layer > 1 ? ">" : "",
                                (int)strcspn(at, "\""), at);
        ck_assert_uint_lt(len, size);
    }
}

static void check(const struct conversation *c)
{
    char chain[64];
    struct fake *fake = noted(c->steps);
    const char *rules = fake_rules(fake);
    chain_of(fake->log, chain, sizeof chain);
    int as_told = strcmp(rules, c->rules) == 0 && strcmp(chain, c->chain) == 0 &&
                  count_of(fake->log, " asks mechanism=") == c->asked &&
                  count_of(fake->log, " answer outcome=") == c->answered;
    ck_assert_msg(as_told, "%s %s\nfound: %s %s\n%s", c->steps[0], c->steps[1], chain, rules,
                  fake->log);
    fake_free(fake);
}

static void check_all(const struct conversation *conversations, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(&conversations[i]);
}

#define CHECK_ALL(conversations) \
    check_all(conversations, sizeof(conversations) / sizeof((conversations)[0]))

#define GREETED "<220 mx ESMTP\r\n"
#define REFUSED "S:starttls-refused"
#define PLAIN "C:starttls-refused-then-plaintext"
#define UNUSED "C:starttls-offered-not-used"

/* --- SMTP --- */

static const struct conversation smtp_conversations[] = {
    {{GREETED, ">EHLO c\r\n", "<250 STARTTLS\r\n", ">STARTTLS\r\n", "<220 go\r\n", ">!", "<!"},
     "smtp>tls", 1, 1, ""},
    {{"<220 mx\n", ">helo c\nStartTLS\n", "<250 hi\n220-now\n220 go\n", ">!"},
     "smtp>tls", 1, 1, ""},
    {{GREETED, ">EHLO c\r\n", "<250 STARTTLS\r\n", ">AUTH PLAIN x\r\n", "<235 ok\r\n"},
     "smtp", 0, 0, UNUSED},
    {{GREETED, ">EHLO c\r\nAUTH PLAIN x\r\n", "<250 STARTTLS\r\n235 ok\r\n"}, "smtp", 0, 0, UNUSED},
    {{GREETED, ">EHLO c\r\n", "<250 STARTTLS\r\n", ">AUTH ANONYMOUS\r\n", "<235 ok\r\n"},
     "smtp", 0, 0, ""},
    {{GREETED, ">EHLO c\r\n", "<250-a\r\n250-STARTTLSX\r\n250 X STARTTLS\r\n", ">AUTH x\r\n"},
     "smtp", 0, 0, ""},
    {{GREETED, ">STARTTLS\r\n", "<454 no\r\n", ">MAIL FROM:<a>\r\nMAIL FROM:<b>\r\n"},
     "smtp", 1, 1, REFUSED " " PLAIN},
    {{GREETED, ">STARTTLS\r\nSTARTTLS\r\nQUIT\r\n", "<454 no\r\n503 no\r\n221 bye\r\n"},
     "smtp", 2, 2, REFUSED " " REFUSED},
    {{GREETED, ">DATA\r\n", "<354 go\r\n", ">STARTTLS\r\n..\r\n\n.\nSTARTTLS\r\n.\r\n",
      "<250 ok\r\n"}, "smtp", 0, 0, ""},
    {{GREETED, ">DATA\n", "<354 go\r\n", ">STARTTLS\n.\nSTARTTLS\n", "<250 ok\r\n220 go\r\n", ">!"},
     "smtp>tls", 1, 1, ""},
    {{GREETED, ">DATA\r\nSTARTTLS\r\n", "<503 no\r\n220 go\r\n", ">!"}, "smtp>tls", 1, 1, ""},
    {{GREETED, ">BDAT 10\r\nSTARTTLS\r\nBDAT 0 LAST\r\nSTARTTLS\r\n",
      "<250 ok\r\n250 ok\r\n220 go\r\n", ">!"}, "smtp>tls", 1, 1, ""},
    {{GREETED, ">AUTH LOGIN\r\n", "<334 x\r\n", ">STARTTLS\r\n", "<334 y\r\n", ">STARTTLS\r\n",
      "<535 no\r\n"}, "smtp", 0, 0, ""},
    {{"<220 LMTP\r\n", ">LHLO c\r\nRCPT TO:<a>\r\nRCPT TO:<b>\r\nDATA\r\n",
      "<250 hi\r\n250 ok\r\n250 ok\r\n354 go\r\n", ">.\r\nSTARTTLS\r\n",
      "<250 one\r\n250 two\r\n220 go\r\n", ">!"}, "smtp>tls", 1, 1, ""},
    {{GREETED, ">NOOP\r\n", "<101 Switching Protocols\r\n", ">NOOP\r\n"}, "smtp", 0, 0, ""},
    {{GREETED, ">STARTTLS\r\n", "<-8", ">!", "<!"}, "smtp>tls", 1, 1, ""},
    {{GREETED, ">STARTTLS\r\n", "<-8", ">MAIL FROM:<a>\r\n"}, "smtp", 1, 0,
     "C:switch-unresolved"},
    {{GREETED, ">NOOP\r\nSTARTTLS\r\n", "<250 ok\r\n", ">-60", "<220 go\r\n",
      ">\x01\x02\x03\x04\x05\x06\x07\x08", ">-9"}, "smtp>tls", 1, 1, ""},
    {{GREETED, ">DATA\r\n", "<354 go\r\n", ">x\r\nSTART", ">-20", "<250 ok\r\n", ">STARTTLS\r\n",
      "<220 go\r\n", ">!"}, "smtp>tls", 1, 1, ""},
    {{GREETED, ">BDAT 20\r\n", ">12345", ">-10", ">12345STARTTLS\r\n", "<250 ok\r\n220 go\r\n",
      ">!"}, "smtp>tls", 1, 1, ""},
};

START_TEST(test_smtp)
{
    CHECK_ALL(smtp_conversations);
}
END_TEST

/* --- IMAP --- */

static const struct conversation imap_conversations[] = {
    {{"<* OK hi\r\n", ">a starttls\r\n", "<a OK go\r\n", ">!", "<!"}, "imap>tls", 1, 1, ""},
    {{"<* OK hi\n", ">. CAPABILITY\n. STARTTLS\n", "<* CAPABILITY STARTTLS\n. OK\n. OK go\n",
      ">!"}, "imap>tls", 1, 1, ""},
    {{"<* OK hi\r\n", ">a NOOP\r\nb STARTTLS\r\n", "<a OK\r\n* b OK\r\nbb OK\r\nb NO no\r\n",
      ">c LOGIN x y\r\n"}, "imap", 1, 1, REFUSED " " PLAIN},
    {{"<* OK [CAPABILITY STARTTLS] hi\r\n", ">a LOGIN x y\r\n", "<a OK\r\n"}, "imap", 0, 0, UNUSED},
    {{"<* OK [CAPABILITY IMAP4rev1] STARTTLS\r\n", ">a LOGIN x y\r\n", "<a OK\r\n"},
     "imap", 0, 0, ""},
    {{"<* OK hi\r\n", ">a CAPABILITY\r\nb LOGIN x y\r\n",
      "<* CAPABILITY X STARTTLS\r\na OK\r\nb OK\r\n"}, "imap", 0, 0, UNUSED},
    {{"<* OK hi\r\n", ">a LOGIN {1}\r\n", "<+ go\r\n", ">b {11+}\r\nb STARTTLS\r\n",
      "<a OK in\r\nb OK go\r\n", ">c NOOP\r\n"}, "imap", 0, 0, ""},
    {{"<* OK hi\r\n", ">a LOGIN {12}\r\n", "<a NO no\r\n", ">b STARTTLS\r\n", "<b OK go\r\n", ">!"},
     "imap>tls", 1, 1, ""},
    {{"<* PREAUTH hi\r\n", ">a FETCH 1 BODY[]\r\nb STARTTLS\r\n",
      "<* 1 FETCH (BODY[] {9}\r\nb OK go\r\n UID 4)\r\na OK\r\nb BAD no\r\n"}, "imap", 1, 1,
     REFUSED},
    {{"<* OK hi\r\n", ">a AUTHENTICATE PLAIN\r\n", "<+ \r\n", ">a STARTTLS\r\n", "<a OK in\r\n",
      ">b IDLE\r\n", "<+ \r\n", ">DONE\r\n", "<b OK\r\n"}, "imap", 0, 0, ""},
    {{"<* OK hi\r\n", ">a COMPRESS DEFLATE\r\nb STARTTLS\r\n", "<a OK\r\nb OK go\r\n"},
     "imap", 0, 0, ""},
    {{"<* OK hi\r\n", ">a STARTTLS\r\n", "<a NO\r\n", ">b APPEND x {3+}\r\nabc\r\n", "<b OK\r\n"},
     "imap", 1, 1, REFUSED " " PLAIN},
    {{"<* OK hi\r\n", ">a STARTTLS\r\n", "<-9", ">!", "<!"}, "imap>tls", 1, 1, ""},
    {{"<* OK hi\r\n", ">a STARTTLS\r\n", "<-9", "<a NO no\r\n"}, "imap", 1, 1, REFUSED},
    {{"<* OK hi {4}\r\n", ">a STARTTLS\r\n", "<a OK {9}\r\n", ">!", "<!"}, "imap>tls", 1, 1, ""},
    {{"<* PREAUTH hi\r\n", ">a APPEND x {30}\r\n", "<+ go\r\n", ">-10",
      ">b STARTTLS\r\n1234567\r\n", "<a OK\r\n", ">b STARTTLS\r\n", "<b OK go\r\n", ">!"},
     "imap>tls", 1, 1, ""},
};

START_TEST(test_imap)
{
    CHECK_ALL(imap_conversations);
}
END_TEST

/* --- POP3, ManageSieve --- */

static const struct conversation other_conversations[] = {
    {{"<+OK hi\r\n", ">stls\r\n", "<+OK go\r\n", ">!", "<!"}, "pop3>tls", 1, 1, ""},
    {{"<+OK\n", ">CAPA\nSTLS\n", "<+OK\nSTLS\n.\n+OK\n", ">!"}, "pop3>tls", 1, 1, ""},
    {{"<+OK hi\r\n", ">CAPA\r\nUSER x\r\nPASS y\r\n", "<+OK\r\nSTLS\r\n.\r\n+OK\r\n+OK\r\n"},
     "pop3", 0, 0, UNUSED},
    {{"<+OK hi\r\n", ">CAPA\r\nAPOP x y\r\n", "<+OK\r\nXSTLS\r\n.\r\n+OK\r\n"}, "pop3", 0, 0, ""},
    {{"<+OK hi\r\n", ">STLS\r\n", "<-ERR no\r\n", ">AUTH PLAIN x\r\n"}, "pop3", 1, 1,
     REFUSED " " PLAIN},
    {{"<+OK hi\r\n", ">RETR 1\r\nRETR 2\r\nSTLS\r\n",
      "<-ERR no\r\n+OK\r\n+OK\r\n..\r\n.x\r\n\n.\n-ERR\r\n.\r\n+OK go\r\n", ">!"},
     "pop3>tls", 1, 1, ""},
    {{"<+OK hi\r\n", ">AUTH PLAIN\r\n", "<+ \r\n", ">STLS\r\n", "<-ERR no\r\n", ">STLS\r\n",
      "<+OK go\r\n", ">!"}, "pop3>tls", 1, 1, ""},
    {{"<+OK hi\r\n", ">RETR 1\r\n", "<+OK\r\nabc", "<-10", "<+OK\r\n.\r\n", ">STLS\r\n",
      "<+OK go\r\n", ">!"}, "pop3>tls", 1, 1, ""},
    {{"<+OK hi\r\n", ">STLS\r\n", "<-5", "<-ERR no\r\n", ">!"}, "pop3>tls", 1, 1, ""},
    {{"<+OK hi\r\n", ">STLS\r\n", "<-5", ">USER x\r\n", "<+OK\r\n"}, "pop3", 1, 0,
     "C:switch-unresolved"},
    {{"<\"SIEVE\" \"x\"\r\n\"STARTTLS\"\r\nOK\r\n", ">starttls\r\n", "<OK (X) \"go\"\r\n", ">!",
      "<!"}, "sieve>tls", 1, 1, ""},
    {{"<\"IMPLEMENTATION\" \"x\"\r\nOK\r\n", ">GETSCRIPT \"a\"\r\nSTARTTLS\r\n",
      "<{6}\r\nOK x\r\n\r\nOK\r\nNO(Q) {4}\r\nOK\r\n\r\n", ">LOGOUT\r\n"}, "sieve", 1, 1, REFUSED},
    {{"<\"SIEVE\" \"x\"\r\n\"STARTTLS\"\r\nOK\r\n", ">AUTHENTICATE \"PLAIN\" {4+}\r\nabcd\r\n",
      "<OK\r\n", ">PUTSCRIPT \"a\" {10+}\r\nSTARTTLS\r\n\r\n", "<OK\r\n"}, "sieve", 0, 0, UNUSED},
    {{"<\"SIEVE\" \"x\"\r\nOK\r\n", ">LISTSCRIPTS\r\n", "<\"STARTTLS\"\r\nOK\r\n",
      ">AUTHENTICATE \"PLAIN\"\r\n", "<OK\r\n"}, "sieve", 0, 0, ""},
    {{"<\"SIEVE\" \"x\"\r\nOK\r\n", ">STARTTLS\r\n", "<BYE\r\n",
      ">AUTHENTICATE \"X\" \"eA==\"\r\n"}, "sieve", 1, 1, REFUSED " " PLAIN},
};

START_TEST(test_pop3_and_sieve)
{
    CHECK_ALL(other_conversations);
}
END_TEST

/* --- probes --- */

static const char *const protocols[] = {"smtp", "imap", "pop3", "sieve"};

static int ask(const char *protocol, enum side side, const char *data, size_t len)
{
    const struct dissector *dissector = registry_find((struct text){protocol, strlen(protocol)});
    ck_assert_ptr_nonnull(dissector);
    uint8_t *copy = malloc(len > 0 ? len : 1); /* a read past the end is seen */
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    int sure = dissector->probe(side, copy, len);
    free(copy);
    return sure;
}

/* The answer to all of it; on the way there a no stays a no. */
static int probe(const char *protocol, enum side side, const char *data)
{
    int last = 0;
    for (size_t len = 0; len <= strlen(data); len++) {
        int sure = ask(protocol, side, data, len);
        ck_assert_msg(last >= 0 || sure < 0, "%s: %.*s", protocol, (int)len, data);
        ck_assert_msg(len > 0 || sure == 0, "%s", protocol);
        last = sure;
    }
    return last;
}

static const struct {
    const char *protocol;
    enum side side;
    const char *data;
    int sign;
} probes[] = {
    {"smtp", SERVER, "220 mx ESMTP\r\n", 1},
    {"smtp", SERVER, "220-mx\r\n220 smtp\n", 1},
    {"smtp", SERVER, "220 mx ESMTP", 0}, /* the line may go on */
    {"smtp", SERVER, "220 ready\r\n", 0},
    {"smtp", SERVER, "220 ready\r\n250-PIPELINING\r\n", 1},
    {"smtp", SERVER, "220 ready\r\n331 password\r\n", -1},
    {"smtp", SERVER, "220 2.0.0 Ready to start TLS\r\n", 1},
    {"smtp", SERVER, "554 no SMTP here\r\n", 1},
    {"smtp", SERVER, "250-mx\r\n", 0},
    {"smtp", SERVER, "220\x01", -1},
    {"smtp", SERVER, "200 nntp\r\n", -1},
    {"smtp", CLIENT, "EHLO x\r\n", 1},
    {"smtp", CLIENT, "lhlo x\n", 1},
    {"smtp", CLIENT, "EHLO x", 0},
    {"smtp", CLIENT, "EHLO \x02", -1},
    {"smtp", CLIENT, "EHLOX x\r\n", -1},
    {"smtp", CLIENT, "STARTTLS\r\n", 0},
    {"smtp", CLIENT, "STARTTLS\r\nMAIL FROM:<a>\r\n", 1},
    {"smtp", CLIENT, "STARTTLS\r\nNICK x\r\n", -1},
    {"smtp", CLIENT, "STARTTLS\r\n\x16\x03\x01", 1},
    {"smtp", CLIENT, "STARTTLSX\r\n", -1},
    {"imap", SERVER, "* OK hi\r\n", 1},
    {"imap", SERVER, "* PREAUTH hi\r\n", 1},
    {"imap", SERVER, "* OKAY hi\r\n", -1},
    {"imap", SERVER, "*3\r\n", -1},
    {"imap", SERVER, "a OK hi\r\n", 0},
    {"imap", SERVER, "a YES hi\r\n", -1},
    {"imap", SERVER, "a OKAY", -1},
    {"imap", CLIENT, "a1 CAPABILITY\r\n", 1},
    {"imap", CLIENT, ". starttls\n", 1},
    {"imap", CLIENT, "a1 CAPAB", 0},
    {"imap", CLIENT, "a1 CAPABILITY x\r\n", -1},
    {"imap", CLIENT, "a LOGIN x\r\n", -1},
    {"imap", CLIENT, "a LOGIN x y\r\n", 1},
    {"imap", CLIENT, "USER list\r\n", -1},
    {"imap", CLIENT, "* NOOP\r\n", -1},
    {"pop3", SERVER, "+OK POP3 <1@b>\r\n", 1},
    {"pop3", SERVER, "+OK ready\n", 1},
    {"pop3", SERVER, "+OK\r\n", 0},
    {"pop3", SERVER, "+OK \r\n", 0},
    {"pop3", SERVER, "+PONG\r\n", -1},
    {"pop3", CLIENT, "CAPA\r\n", 1},
    {"pop3", CLIENT, "stls\r\n", 1},
    {"pop3", CLIENT, "CAPABILITY\r\n", -1},
    {"sieve", SERVER, "\"IMPLEMENTATION\" \"x\"\r\n", 1},
    {"sieve", SERVER, "\"STARTTLS\"\r\n", 1},
    {"sieve", SERVER, "\"hello\"\r\n", -1},
    {"sieve", CLIENT, "STARTTLS\r\n", 0},
    {"sieve", CLIENT, "AUTHENTICATE \"PLAIN\"\r\n", 1},
    {"sieve", CLIENT, "AUTHENTICATE PLAIN\r\n", -1},
};

START_TEST(test_probes)
{
    static const char *const foreign[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", "SSH-2.0-OpenSSH_9.7\r\n",
        "\x16\x03\x01\x02\x03\x04\x05\x06", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x01\x02\x03\x04",
        ":irc NOTICE * :hi\r\n", "NICK x\r\nUSER x 0 * :y\r\n", "*1\r\n$4\r\nPING\r\n",
        "<?xml version='1.0'?>", "hello world, how are you\r\n", "{\"a\":1}\n",
        "INFO {\"x\":1}\r\n",
        "MODE READER\r\n", "\r\n\r\n\r\n", "l 1 2 3\r\n", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    };
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        int sure = probe(probes[i].protocol, probes[i].side, probes[i].data);
        ck_assert_msg((sure > 0) - (sure < 0) == probes[i].sign, "%s %s: %d", probes[i].protocol,
                      probes[i].data, sure);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        for (size_t p = 0; p < sizeof protocols / sizeof protocols[0]; p++)
            for (int side = CLIENT; side <= SERVER; side++)
                ck_assert_msg(probe(protocols[p], (enum side)side, foreign[i]) < 0, "%s: %s",
                              protocols[p], foreign[i]);
}
END_TEST

/* --- what is long, and what means no good --- */

static void add_repeated(struct fake *fake, enum side side, const char *piece, size_t times)
{
    size_t len = strlen(piece);
    char *all = malloc(len * times + 1);
    ck_assert_ptr_nonnull(all);
    for (size_t i = 0; i < times; i++)
        memcpy(all + i * len, piece, len);
    fake_data(fake, side, all, len * times);
    free(all);
}

/* A literal is announced at the end of a line of any length, and a long line begins no second. */
START_TEST(test_long_lines)
{
    static const size_t lens[] = {3990, 4020, 4024, 4025, 4030, 4080, 4090, 4095, 4096, 4100,
                                  8056, 8064, 9000, 40000};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct fake *fake = fake_new("none", "none");
        note(fake, "<* PREAUTH hi\r\n");
        note(fake, ">a X ");
        add_repeated(fake, CLIENT, "x", lens[i]);
        note(fake, ">{12+}\r\nb STARTTLS\r\n\r\nc STARTTLS\r\n");
        note(fake, "<* 1 X ");
        add_repeated(fake, SERVER, "x", lens[i]);
        note(fake, "<{9}\r\nc NO no\r\n\r\na OK\r\nc OK go\r\n");
        note(fake, ">!");
        ck_assert_str_eq(fake_rules(fake), "");
        ck_assert_ptr_nonnull(strstr(fake->log, "\"tls\""));
        ck_assert_ptr_null(strstr(fake->log, "layer 3"));
        fake_free(fake);
        fake = fake_new("none", "none");
        note(fake, "<220 ESMTP\r\n");
        note(fake, ">NOOP ");
        add_repeated(fake, CLIENT, "STARTTLS ", lens[i] / 9);
        note(fake, ">\r\n");
        note(fake, "<250 ");
        add_repeated(fake, SERVER, "220 ", lens[i] / 4);
        note(fake, "<\r\n");
        note(fake, ">STARTTLS\r\n");
        note(fake, "<220 go\r\n");
        note(fake, ">!");
        ck_assert_str_eq(fake_rules(fake), "");
        ck_assert_ptr_nonnull(strstr(fake->log, "\"tls\""));
        fake_free(fake);
    }
}
END_TEST

/* More commands are owed an answer than are remembered: the client waits, or (IMAP) the oldest is
 * forgotten. */
START_TEST(test_many_commands)
{
    static const struct {
        const char *greeting, *command, *answer, *ask, *grant;
    } cases[] = {
        {"<220 ESMTP\r\n", "NOOP\r\n", "250 ok\r\n", ">STARTTLS\r\n", "<220 go\r\n"},
        {"<+OK hi\r\n", "NOOP\r\n", "-ERR no\r\n", ">STLS\r\n", "<+OK go\r\n"},
        {"<* OK hi\r\n", "a NOOP\r\n", "a BAD no\r\n", ">b STARTTLS\r\n", "<b OK go\r\n"},
        {"<\"SIEVE\" \"\"\r\nOK\r\n", "NOOP\r\n", "NO\r\n", ">STARTTLS\r\n", "<OK\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake *fake = fake_new("none", "none");
        note(fake, cases[i].greeting);
        add_repeated(fake, CLIENT, cases[i].command, 300);
        note(fake, cases[i].ask);
        add_repeated(fake, SERVER, cases[i].answer, 300);
        note(fake, cases[i].grant);
        note(fake, ">!");
        ck_assert_str_eq(fake_rules(fake), "");
        ck_assert_ptr_nonnull(strstr(fake->log, "\"tls\""));
        fake_free(fake);
    }
}
END_TEST

/* Every byte of a conversation is wrong once: nothing breaks, nothing is kept. */
START_TEST(test_wrong_bytes)
{
    static const uint8_t wrong[] = {0, '\n', '9', '}', 0xff};
    const struct conversation *tables[] = {smtp_conversations, imap_conversations,
                                           other_conversations, other_conversations + 9};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (size_t which = 0; which < 2; which++) {
            struct fake *fake = noted(tables[t][which].steps);
            for (size_t at = 0; at < fake->len; at++) {
                uint8_t right = fake->bytes[at];
                for (size_t w = 0; w < sizeof wrong; w++) {
                    fake->bytes[at] = wrong[w];
                    (void)fake_play(fake, w % 2);
                    ck_assert_uint_eq(fake->leaked, 0);
                }
                fake->bytes[at] = right;
            }
            fake_free(fake);
        }
    }
}
END_TEST

/* Numbers beyond all measure, and memory for nothing. */
START_TEST(test_numbers_and_memory)
{
    static const struct conversation cases[] = {
        {{GREETED, ">BDAT 99999999999999999999999999\r\nSTARTTLS\r\n", "<250 ok\r\n"},
         "smtp", 0, 0, ""},
        {{GREETED, ">BDAT -1\r\nSTARTTLS\r\n", "<500 no\r\n220 go\r\n", ">!"},
         "smtp>tls", 1, 1, ""},
        {{"<* PREAUTH hi\r\n", ">a X {999999999999999999+}\r\nb STARTTLS\r\n"}, "imap", 0, 0, ""},
        {{"<* PREAUTH hi\r\n", ">a X {9999999999999999999+}\r\nb STARTTLS\r\n", "<b OK\r\n", ">!"},
         "imap>tls", 1, 1, ""},
        {{"<* PREAUTH hi\r\n", ">a X {}\r\nb STARTTLS\r\n", "<b OK\r\n", ">!"}, "imap>tls", 1, 1,
         ""},
        {{"<* PREAUTH hi\r\n", ">a X {0+}\r\n\r\nb STARTTLS\r\n", "<b OK\r\n", ">!"}, "imap>tls", 1,
         1, ""},
    };
    CHECK_ALL(cases);
    for (size_t memory = 0; memory < 12000; memory += 500) {
        struct fake *fake = noted(imap_conversations[1].steps);
        fake->memory = memory;
        (void)fake_play(fake, 1);
        ck_assert_uint_eq(fake->leaked, 0);
        fake_free(fake);
    }
}
END_TEST

/* Seen from the middle on: what a tag could be is held, what the other side says is taken for HTTP
 * and is none. That ends. */
START_TEST(test_taken_and_lost)
{
    struct fake *fake = fake_new("none", "none");
    fake->session = 0;
    note(fake, ">HTTP/1.");
    note(fake, "<HTTP/1.1 101 S");
    note(fake, ">HTTP/1.");
    note(fake, "<HTTP/1.1 101 S");
    (void)fake_play(fake, 0);
    ck_assert_uint_eq(fake->leaked, 0);
    fake_free(fake);
}
END_TEST

Suite *starttls_suite(void)
{
    Suite *suite = suite_create("starttls");
    TCase *tcase = tcase_create("starttls");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_smtp);
    tcase_add_test(tcase, test_imap);
    tcase_add_test(tcase, test_pop3_and_sieve);
    tcase_add_test(tcase, test_probes);
    tcase_add_test(tcase, test_long_lines);
    tcase_add_test(tcase, test_many_commands);
    tcase_add_test(tcase, test_wrong_bytes);
    tcase_add_test(tcase, test_numbers_and_memory);
    tcase_add_test(tcase, test_taken_and_lost);
    suite_add_tcase(suite, tcase);
    return suite;
}
