/*
 * The list of dissectors and the tables of successors. Protocols that are only named (no file
 * dissects them yet) stand in named.c.
 */
#include "registry.h"

#include <string.h>
#include <strings.h>

#include "named.h"

struct entry {
    const struct dissector *dissector;
    int by_bytes; /* its probe alone may name it; 0: only where it was agreed or asked for */
};

static const struct entry entries[] = {
    {&http1_dissector, 1},       {&tls_dissector, 1},         {&ssh_named, 1},
    {&http2_dissector, 1},       {&smtp_dissector, 1},        {&imap_dissector, 1},
    {&pop3_dissector, 1},        {&sieve_dissector, 1},       {&ftp_dissector, 1},
    {&nntp_dissector, 1},        {&irc_dissector, 1},         {&ldap_dissector, 1},
    {&xmpp_dissector, 1},        {&postgresql_dissector, 1},  {&mysql_dissector, 1},
    {&rdp_dissector, 1},         {&socks_dissector, 1},       {&proxy_dissector, 1},
    {&gnutella_dissector, 1},    {&derp_dissector, 1},        {&websocket_dissector, 0},
    {&spdy_dissector, 0},        {&capsule_dissector, 0},     {&docker_dissector, 0},
    {&tailscale_dissector, 0},   {&gssapi_named, 0},          {&template_dissector, 0},
};

enum { ENTRIES = sizeof entries / sizeof entries[0] };

struct successor {
    const char *table;
    const char *token; /* a trailing '*' stands for anything */
    const char *protocol;
};

static const struct successor successors[] = {
    {"http.upgrade", "websocket", "websocket"},
    {"http.upgrade", "h2c", "http2"},
    {"http.upgrade", "h2", "http2"},
    {"http.upgrade", "HTTP/2.0", "http2"},
    {"http.upgrade", "HTTP/1.*", "http1"},
    {"http.upgrade", "TLS/*", "tls"},
    {"http.upgrade", "SPDY/*", "spdy"},
    {"http.upgrade", "connect-udp", "capsule"},
    {"http.upgrade", "connect-ip", "capsule"},
    {"http.upgrade", "DERP", "derp"},
    {"http.upgrade", "PTTH/1.0", "http1"},
    {"http.upgrade", "tailscale-control-protocol", "tailscale"},
    {"http.upgrade", "switchtap-template", "template"},
    {"http2.protocol", "websocket", "websocket"},
    {"http2.protocol", "connect-udp", "capsule"},
    {"http2.protocol", "connect-ip", "capsule"},
    {"http.docker", "application/vnd.docker.raw-stream", "docker"},
    {"http.docker", "application/vnd.docker.multiplexed-stream", "docker"},
    {"websocket.message", "SPDY/3.1+portforward.k8s.io", "spdy"},
    {"websocket.message", "derp", "derp"},
    {"gnutella", "TLS/*", "tls"},
    {"starttls", "TLS", "tls"},
    {"starttls", "GSSAPI", "gssapi"},
    {"tls.alpn", "h2", "http2"},
    {"tls.alpn", "http/1.1", "http1"},
    {"tls.alpn", "postgresql", "postgresql"},
    {"tls.alpn", "xmpp-client", "xmpp"},
    {"tls.alpn", "xmpp-server", "xmpp"},
};

static int token_matches(struct text token, const char *pattern)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return token.len >= len - 1 && strncasecmp(token.data, pattern, len - 1) == 0;
    return text_is(token, pattern);
}

const struct dissector *registry_find(struct text name)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (text_is(name, entries[i].dissector->name))
            return entries[i].dissector;
    return NULL;
}

struct text registry_successor(const char *table, struct text token)
{
    if (table == NULL || token.data == NULL)
        return TEXT_NONE;
    for (size_t i = 0; i < sizeof successors / sizeof successors[0]; i++) {
        const struct successor *s = &successors[i];
        if (strcmp(s->table, table) == 0 && token_matches(token, s->token))
            return (struct text){s->protocol, strlen(s->protocol)};
    }
    return TEXT_NONE;
}

/* < 0 contradicted, 0 undecided, > 0 how sure. Two sides that fit each other make up for what
 * either of them lacks. */
static int score(const struct dissector *dissector, const struct text bytes[2])
{
    int best = 0, fits = 0;
    for (int side = CLIENT; side <= SERVER; side++) {
        if (bytes[side].len == 0)
            continue;
        int sure = dissector->probe((enum side)side, (const uint8_t *)bytes[side].data,
                                    bytes[side].len);
        if (sure < 0)
            return -1;
        fits += sure > 0;
        if (sure > best)
            best = sure;
    }
    return fits == 2 && best <= PROBE_WEAK ? PROBE_WEAK + 1 : best;
}

static const struct dissector *ask(const struct text bytes[2], const struct dissector *except,
                                   int least, int *undecided)
{
    const struct dissector *found = NULL;
    int best = 0;
    *undecided = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct dissector *dissector = entries[i].dissector;
        if (!entries[i].by_bytes || dissector->probe == NULL || dissector == except)
            continue;
        int sure = score(dissector, bytes);
        if (sure >= least && sure > best) {
            best = sure;
            found = dissector;
        }
        if (sure >= 0 && sure < least)
            *undecided = 1;
    }
    if (found != NULL)
        *undecided = 0;
    return found;
}

const struct dissector *registry_probe(const struct text bytes[2], const struct dissector *except,
                                       int *undecided)
{
    return ask(bytes, except, PROBE_WEAK + 1, undecided);
}

const struct dissector *registry_guess(const struct text bytes[2], const struct dissector *except)
{
    int undecided;
    return ask(bytes, except, 1, &undecided);
}
