/*
 * The layers of one flow: the input chooses how the flow begins, then which side says how many
 * bytes, what is lost, who ends. A variant begins with the dissector of its name, as behind a
 * switch to it. With FUZZ_CUT in the environment, where bytes were not lost, the same conversation
 * in small pieces has to tell the same events; that is stricter than the contract where both sides
 * of one switch speak at once.
 *
 * Input: flags (enum play_flag, 64: cut by three), how the root begins; with PLAY_FAILING two
 * bytes: from which allocation on there is no memory. Then steps: a byte (side, kind, what is
 * acknowledged), a length of two bytes (little-endian), the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "../../dissectors/registry.h"
#include "fuzz.h"
#include "play.h"

struct text __real_registry_successor(const char *table, struct text token);
struct text __wrap_registry_successor(const char *table, struct text token);

static const struct {
    const char *table, *token;
} beginnings[] = {
    {NULL, NULL},
    {"http.upgrade", "websocket"},
    {"http.upgrade", "connect-udp"},
    {"http.upgrade", "connect-ip"},
    {"http.upgrade", "DERP"},
    {"http.upgrade", "SPDY/3.1"},
    {"http.upgrade", "tailscale-control-protocol"},
    {"http.upgrade", "h2c"},
    {"http.upgrade", "TLS/1.2"},
    {"http.docker", "application/vnd.docker.raw-stream"},
    {"http.docker", "application/vnd.docker.multiplexed-stream"},
    {"tls.alpn", "h2"},
    {"tls.alpn", "http/1.1"},
    {"tls.alpn", "postgresql"},
    {"tls.alpn", "xmpp-client"},
    {"websocket.message", "SPDY/3.1+portforward.k8s.io"},
    {"http.upgrade", "PTTH/1.0"},
};

enum { BEGINNINGS = sizeof beginnings / sizeof beginnings[0] };

/* What a dissector may be told by who hands over to it; each bit of the second byte of a variant's
 * input is one. */
static const struct {
    const char *name, *value;
} hints[] = {
    {"permessage-deflate", "1"},
    {"client_no_context_takeover", "1"},
    {"server_max_window_bits", "9"},
    {"assumed", "1"},
    {"starttls", "1"},
    {"content-type", "application/vnd.docker.multiplexed-stream"},
    {"stream", "1"},
    {"forwarded", "1"},
};

enum { HINTS = sizeof hints / sizeof hints[0] };

static const char *const dissectors[] = {
    "http1", "http2", "websocket", "capsule", "derp",      "docker",     "smtp",     "imap", "pop3",
    "sieve", "ftp",   "gnutella",  "irc",     "nntp",      "proxy",      "socks",    "spdy", "tls",
    "ldap",  "xmpp",  "mysql",     "rdp",     "tailscale", "postgresql", "template", NULL,
};

static const char *forced; /* the dissector of a variant */

struct text __wrap_registry_successor(const char *table, struct text token)
{
    if (table != NULL && forced != NULL && strcmp(table, "fuzz") == 0)
        return (struct text){forced, strlen(forced)};
    return __real_registry_successor(table, token);
}

static void begin(struct stack *stack, const char *variant, uint8_t number)
{
    struct hint given[HINTS];
    struct handover handover = {.table = "fuzz", .hints = given};
    forced = variant;
    if (variant == NULL) {
        handover.table = beginnings[number % BEGINNINGS].table;
        handover.token.data = beginnings[number % BEGINNINGS].token;
    } else {
        handover.token.data = (number & 1) != 0 ? "connect-udp" : "connect-ip";
        for (size_t i = 0; i < HINTS; i++)
            if ((number & 1u << i) != 0)
                given[handover.hint_count++] =
                    (struct hint){hints[i].name, {hints[i].value, strlen(hints[i].value)}};
    }
    if (handover.table == NULL)
        return;
    handover.token.len = strlen(handover.token.data);
    stack->root->in[CLIENT].any = stack->root->in[SERVER].any = 1;
    layer_begin(stack->root, &handover);
}

static void play_step(struct play *p, struct fuzz_input *in)
{
    uint8_t step = fuzz_u8(in);
    size_t len = fuzz_u16(in);
    enum side side = (step & 1) != 0 ? SERVER : CLIENT;
    enum play_ack ack = (step & 32) != 0   ? PLAY_ACK_UNKNOWN
                        : (step & 16) != 0 ? PLAY_ACK_NOTHING
                                           : PLAY_ACK_ALL;
    int kind = step & 6;
    if (kind == 6) {
        play_eof(p, side, ack);
    } else if (kind == 4) {
        play_gap(p, side, ack, len);
    } else {
        const uint8_t *bytes = fuzz_bytes(in, &len);
        play_data(p, side, ack, bytes, len);
    }
}

/* Returns 1 where nothing was lost, so that cutting must not matter. */
static int play(struct play *p, const char *variant, struct fuzz_input in, int cut)
{
    unsigned flags = fuzz_u8(&in);
    uint8_t number = fuzz_u8(&in);
    play_begin(p, flags, (flags & PLAY_FAILING) != 0 ? 1u + fuzz_u16(&in) : 0, NULL);
    if (cut)
        p->cut = (flags & 64) != 0 ? 3 : 1;
    if (p->stack != NULL)
        begin(p->stack, variant, number);
    while (in.left >= 3 && p->packet < PLAY_STEPS)
        play_step(p, &in);
    play_end(p);
    return !p->gaps && (flags & (PLAY_MIDSTREAM | PLAY_TIGHT | PLAY_FAILING)) == 0;
}

static void run(const char *variant, const uint8_t *data, size_t size)
{
    static struct play p;
    int pure = play(&p, variant, (struct fuzz_input){data, size}, 0);
    if (!pure || getenv("FUZZ_CUT") == NULL)
        return;
    uint64_t hash = p.watch.hash;
    (void)play(&p, variant, (struct fuzz_input){data, size}, 1);
    if (hash != p.watch.hash)
        fuzz_broken("cutting makes a difference");
}

const struct fuzz_target fuzz_stack = {"stack", dissectors, run};
