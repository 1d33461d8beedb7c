/*
 * The negotiation that RDP begins with ([MS-RDPBCGR] 2.2.1.1 and 2.2.1.2, in the connection request
 * and confirm of X.224 and the TPKT of RFC 1006): which protocols the client asks for, which one
 * the server selects or why none. TLS follows wherever CredSSP or RDSTLS is selected, too. Standard
 * RDP security encrypts by itself, badly, and is not read.
 */
#include <stdio.h>
#include <string.h>

#include "detail.h"
#include "dissector.h"
#include "reader.h"
#include "starttls.h"

enum {
    TPKT = 4,
    TPKT_VERSION = 3,
    FIXED = 7,        /* bytes of a request or a confirm up to their variable part */
    REQUEST_MAX = TPKT + 255, /* the length indicator of X.224 says no more */
    COOKIE_MAX = 255,
    CONNECT = 0xe0,
    CONFIRM = 0xd0,
    DISCONNECT = 0x80,
    NEG_REQUEST = 1,
    NEG_RESPONSE = 2,
    NEG_FAILURE = 3,
    NEG_LEN = 8,
};

struct rdp_state {
    struct starttls judge;
    uint8_t asked, done;
    uint8_t blind; /* a gap in the server's stream */
    uint32_t requested;
    char cookie[COOKIE_MAX];
    size_t cookie_len;
};

/* --- packets --- */

struct packet {
    size_t len;         /* of all of it; TPKT and X.224 agree */
    uint8_t code;
    struct reader rest; /* the variable part, as far as it is there */
};

/* 1: the fixed part is there; 0: more bytes needed; -1: no such packet. */
static int packet_read(const uint8_t *data, size_t len, struct packet *packet)
{
    struct reader r = reader_of(data, len);
    uint8_t version = reader_u8(&r);
    uint8_t reserved = reader_u8(&r);
    if ((len >= 1 && version != TPKT_VERSION) || (len >= 2 && reserved != 0))
        return -1;
    packet->len = reader_u16(&r);
    if (len >= 4 && (packet->len < TPKT + FIXED || packet->len > REQUEST_MAX))
        return -1;
    uint8_t indicator = reader_u8(&r);
    if (len >= 5 && indicator != packet->len - TPKT - 1)
        return -1;
    packet->code = reader_u8(&r);
    if (len >= 6 && packet->code != CONNECT && packet->code != CONFIRM &&
        packet->code != DISCONNECT)
        return -1;
    reader_skip(&r, FIXED - 2); /* references, class or reason */
    if (r.failed)
        return 0;
    size_t left = reader_left(&r) < packet->len - TPKT - FIXED ? reader_left(&r)
                                                               : packet->len - TPKT - FIXED;
    packet->rest = reader_of(data + r.at, left);
    return 1;
}

struct negotiation {
    uint8_t type;   /* 0: there is none */
    uint32_t value; /* protocols or a code */
};

static int negotiation_read(struct reader *r, struct negotiation *out)
{
    out->type = reader_u8(r);
    reader_skip(r, 1);
    uint16_t len = reader_u16le(r);
    out->value = reader_u32le(r);
    return !r->failed && len == NEG_LEN;
}

/* The line in front of the negotiation: "Cookie: mstshash=NAME" or "Cookie: msts=TOKEN", or a
 * routing token of a load balancer's own. `cookie` without the field's name. 0: none. */
static size_t cookie_line(const struct reader *r, struct text *cookie)
{
    static const char field[] = "Cookie: ";
    size_t skip = sizeof field - 1;
    const uint8_t *data = r->data + r->at;
    size_t left = reader_left(r);
    const uint8_t *end = memmem(data, left, "\r\n", 2);
    *cookie = TEXT_NONE;
    if (end == NULL)
        return 0;
    size_t len = (size_t)(end - data);
    if (len >= skip && memcmp(data, field, skip) == 0)
        *cookie = (struct text){(const char *)data + skip, len - skip};
    return len + 2;
}

/* --- probing --- */

/* A request is RDP's by its cookie or its negotiation; without either it says little. */
static int request_probe(const struct packet *packet)
{
    static const char field[] = "Cookie: msts";
    size_t rest = packet->len - TPKT - FIXED;
    struct reader r = packet->rest;
    if (rest == 0)
        return 10;
    if (reader_left(&r) == 0)
        return 0;
    if (reader_peek(&r, 0) == 'C') {
        size_t whole = sizeof field - 1;
        size_t len = reader_left(&r) < whole ? reader_left(&r) : whole;
        if (memcmp(r.data, field, len) != 0 || rest <= whole)
            return -1;
        return len == whole ? 95 : 0;
    }
    struct negotiation neg;
    if (rest < NEG_LEN || reader_peek(&r, 0) != NEG_REQUEST)
        return -1;
    if (reader_left(&r) < NEG_LEN)
        return 0;
    return negotiation_read(&r, &neg) && neg.value < 0x100 ? 95 : -1;
}

static int confirm_probe(const struct packet *packet)
{
    struct reader r = packet->rest;
    struct negotiation neg;
    if (packet->len == TPKT + FIXED)
        return 10;
    int type = reader_peek(&r, 0);
    if (packet->len != TPKT + FIXED + NEG_LEN ||
        (type >= 0 && type != NEG_RESPONSE && type != NEG_FAILURE))
        return -1;
    if (reader_left(&r) < NEG_LEN)
        return 0;
    return negotiation_read(&r, &neg) && neg.value < 0x100 ? 90 : -1;
}

static int rdp_probe(enum side side, const uint8_t *data, size_t len)
{
    struct packet packet = {0};
    int is = packet_read(data, len, &packet);
    if (len >= 6 && packet.code != (side == CLIENT ? CONNECT : CONFIRM))
        return -1;
    if (is <= 0)
        return is;
    struct reader class = reader_of(data, len);
    reader_skip(&class, TPKT + FIXED - 1);
    if (reader_u8(&class) != 0)
        return -1;
    return side == CLIENT ? request_probe(&packet) : confirm_probe(&packet);
}

/* --- what is told --- */

static const struct {
    uint32_t bit;
    const char *name;
} protocols[] = {
    {1, "SSL"}, {2, "HYBRID"}, {4, "RDSTLS"}, {8, "HYBRID_EX"}, {16, "RDSAAD"},
};

enum { PROTOCOLS = sizeof protocols / sizeof protocols[0], CREDSSP = 2 | 8 };

static struct text protocol_name(uint32_t selected)
{
    for (size_t i = 0; i < PROTOCOLS; i++)
        if (protocols[i].bit == selected)
            return (struct text){protocols[i].name, strlen(protocols[i].name)};
    return selected == 0 ? TEXT_LITERAL("RDP") : TEXT_NONE;
}

static struct text failure_name(uint32_t code)
{
    switch (code) {
    case 1: return TEXT_LITERAL("SSL_REQUIRED_BY_SERVER");
    case 2: return TEXT_LITERAL("SSL_NOT_ALLOWED_BY_SERVER");
    case 3: return TEXT_LITERAL("SSL_CERT_NOT_ON_SERVER");
    case 4: return TEXT_LITERAL("INCONSISTENT_FLAGS");
    case 5: return TEXT_LITERAL("HYBRID_REQUIRED_BY_SERVER");
    case 6: return TEXT_LITERAL("SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER");
    default: return TEXT_NONE;
    }
}

static void tell_detail(struct layer *layer, const struct rdp_state *rdp,
                        const struct negotiation *neg)
{
    struct detail detail = {0};
    if (rdp->cookie_len > 0)
        detail_text(&detail, "cookie", (struct text){rdp->cookie, rdp->cookie_len});
    detail_list(&detail, "requested");
    for (size_t i = 0; i < PROTOCOLS; i++)
        if (rdp->requested & protocols[i].bit)
            detail_item(&detail, (struct text){protocols[i].name, strlen(protocols[i].name)});
    if (rdp->requested == 0)
        detail_item(&detail, protocol_name(0));
    detail_list_end(&detail);
    if (neg != NULL && neg->type == NEG_FAILURE)
        detail_text(&detail, "failure", failure_name(neg->value));
    else if (neg != NULL)
        detail_text(&detail, "selected", protocol_name(neg->value));
    if (neg != NULL && neg->type != NEG_FAILURE)
        detail_text(&detail, "security",
                    neg->value & CREDSSP ? TEXT_LITERAL("CredSSP")
                    : neg->value != 0    ? TEXT_LITERAL("TLS")
                                         : TEXT_LITERAL("standard RDP"));
    layer_detail(layer, detail_json(&detail));
}

/* --- the dissector --- */

static int rdp_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct rdp_state *rdp = state;
    (void)handover;
    starttls_open(&rdp->judge, layer);
    return 0;
}

static struct result finish(struct rdp_state *rdp)
{
    rdp->done = 1;
    return (struct result){.verdict = V_DONE};
}

/* A whole packet at the beginning of the slice, or why there is none. */
static struct result whole_packet(const struct slice *slice, struct packet *packet)
{
    int is = packet_read(slice->data, slice->len, packet);
    if (is < 0)
        return (struct result){.verdict = V_LOST};
    if (is == 0)
        return (struct result){.verdict = V_NEED, .need = slice->len + 1};
    if (slice->len < packet->len)
        return (struct result){.verdict = V_NEED, .need = packet->len};
    return (struct result){.verdict = V_OK, .consumed = packet->len};
}

static struct result read_request(struct layer *layer, struct rdp_state *rdp,
                                  const struct slice *slice)
{
    struct packet packet;
    struct negotiation neg = {0};
    struct text cookie;
    struct result result = whole_packet(slice, &packet);
    if (result.verdict != V_OK)
        return result;
    if (packet.code != CONNECT)
        return (struct result){.verdict = V_LOST};
    if (reader_peek(&packet.rest, 0) != NEG_REQUEST || reader_left(&packet.rest) < NEG_LEN)
        reader_skip(&packet.rest, cookie_line(&packet.rest, &cookie));
    else
        cookie = TEXT_NONE;
    if (cookie.data != NULL) {
        rdp->cookie_len = cookie.len < COOKIE_MAX ? cookie.len : COOKIE_MAX;
        memcpy(rdp->cookie, cookie.data, rdp->cookie_len);
    }
    if (negotiation_read(&packet.rest, &neg) && neg.type == NEG_REQUEST)
        rdp->requested = neg.value;
    rdp->asked = 1;
    tell_detail(layer, rdp, NULL);
    if (rdp->requested == 0) /* standard RDP security: nothing is asked for */
        return result;
    starttls_ask(&rdp->judge, TEXT_LITERAL("RDP_NEG_REQ"), "TLS",
                 slice->offset + packet.len - 1);
    if (rdp->blind)
        starttls_lose(&rdp->judge);
    return starttls_asked(&rdp->judge, packet.len);
}

/* What the server's packet says to a pending attempt. Returns 1 where the switch is on. */
static int judge_confirm(struct rdp_state *rdp, const struct packet *packet,
                         const struct negotiation *neg, struct starttls_answer *answer)
{
    if (packet->code == CONFIRM && neg->type == NEG_RESPONSE && neg->value != 0) {
        starttls_grant(&rdp->judge, answer);
        return 1;
    }
    if (packet->code == DISCONNECT)
        answer->reason = TEXT_LITERAL("disconnect");
    else if (neg->type == NEG_FAILURE) {
        answer->status = neg->value <= 0xffff ? (int)neg->value : 0;
        answer->reason = failure_name(neg->value);
    } else
        answer->reason = neg->type == 0
                             ? TEXT_LITERAL("no negotiation: standard RDP security")
                             : TEXT_LITERAL("PROTOCOL_RDP: standard RDP security");
    starttls_refuse(&rdp->judge, answer,
                    neg->type == NEG_FAILURE && neg->value == 6 ? CAUSE_AUTH : CAUSE_UNKNOWN);
    return 0;
}

static struct result read_confirm(struct layer *layer, struct rdp_state *rdp,
                                  const struct slice *slice)
{
    struct packet packet;
    struct negotiation neg = {0};
    struct result result = whole_packet(slice, &packet);
    if (result.verdict != V_OK)
        return result;
    if (packet.code == CONNECT)
        return (struct result){.verdict = V_LOST};
    if (packet.code == CONFIRM && reader_left(&packet.rest) > 0 &&
        (!negotiation_read(&packet.rest, &neg) ||
         (neg.type != NEG_RESPONSE && neg.type != NEG_FAILURE)))
        return (struct result){.verdict = V_LOST};
    if (packet.code == CONFIRM)
        tell_detail(layer, rdp, &neg);
    if (!rdp->judge.pending)
        return finish(rdp);
    struct starttls_answer answer = {.begin = slice->offset,
                                     .end = slice->offset + packet.len - 1};
    if (judge_confirm(rdp, &packet, &neg, &answer)) {
        result.verdict = V_SWITCHED;
        return result;
    }
    result.verdict = V_DONE;
    rdp->done = 1;
    return result;
}

static struct result rdp_data(struct layer *layer, void *state, enum side side,
                              const struct slice *slice)
{
    struct rdp_state *rdp = state;
    if (side == CLIENT && rdp->judge.pending) {
        struct result result = starttls_wait(&rdp->judge, slice);
        if (result.verdict != V_OK)
            return result;
        return finish(rdp);
    }
    if (rdp->done || (side == SERVER && rdp->blind))
        return (struct result){.verdict = V_DONE};
    if (side == SERVER)
        return rdp->asked ? read_confirm(layer, rdp, slice)
                          : (struct result){.verdict = V_WAIT_PEER};
    if (!rdp->asked)
        return read_request(layer, rdp, slice);
    return (struct result){.verdict = V_WAIT_PEER}; /* the confirm says what these are */
}

/* The request or the confirm is gone; an attempt is judged by what the client sends next. */
static struct result rdp_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                             uint64_t len)
{
    struct rdp_state *rdp = state;
    (void)layer;
    (void)offset;
    (void)len;
    if (side == CLIENT) {
        if (rdp->judge.pending) /* the rest of the conversation's bytes may still show it */
            return (struct result){.verdict = V_OK};
        return finish(rdp);
    }
    rdp->blind = 1;
    starttls_lose(&rdp->judge);
    return (struct result){.verdict = V_DONE};
}

const struct dissector rdp_dissector = {
    .name = "rdp",
    .state_size = sizeof(struct rdp_state),
    .probe = rdp_probe,
    .open = rdp_open,
    .data = rdp_data,
    .gap = rdp_gap,
};
