/*
 * Addresses as text, and the Community ID (version 1) that other tools name the same flow by:
 * "1:" and the base64 of SHA-1 over seed, the smaller endpoint first, and the protocol.
 */
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <string.h>

#include "store_private.h"

enum { PROTOCOL_TCP = 6, SHA1_SIZE = 20 };

static size_t address_size(const struct address *address)
{
    return address->family == 6 ? 16 : 4;
}

const char *store_address(const struct address *address, char text[ADDRESS_TEXT])
{
    int family = address->family == 6 ? AF_INET6 : AF_INET;
    if (inet_ntop(family, address->bytes, text, ADDRESS_TEXT) == NULL)
        text[0] = '\0';
    return text;
}

static void put16(unsigned char *to, uint16_t value)
{
    to[0] = (unsigned char)(value >> 8);
    to[1] = (unsigned char)(value & 0xff);
}

const char *store_community_id(const struct event_flow_open *flow, char text[COMMUNITY_TEXT])
{
    unsigned char input[2 + 16 + 16 + 2 + 4] = {0}, digest[EVP_MAX_MD_SIZE];
    size_t size = address_size(&flow->client), at = 2;
    int order = memcmp(flow->client.bytes, flow->server.bytes, size);
    int swap = order > 0 || (order == 0 && flow->client_port > flow->server_port);
    const struct address *first = swap ? &flow->server : &flow->client;
    const struct address *second = swap ? &flow->client : &flow->server;
    memcpy(input + at, first->bytes, size);
    at += size;
    memcpy(input + at, second->bytes, size);
    at += size;
    input[at++] = PROTOCOL_TCP;
    input[at++] = 0;
    put16(input + at, swap ? flow->server_port : flow->client_port);
    put16(input + at + 2, swap ? flow->client_port : flow->server_port);
    at += 4;
    memcpy(text, "1:", 3);
    unsigned len = 0;
    if (EVP_Digest(input, at, digest, &len, EVP_sha1(), NULL) == 1 && len == SHA1_SIZE)
        (void)EVP_EncodeBlock((unsigned char *)text + 2, digest, SHA1_SIZE);
    return text;
}
