/*
 * XMPP (RFC 6120) as far as its switch goes: the heads of the streams (4.7), whether the features
 * offer STARTTLS (5.4.1), <starttls/>, <proceed/>, <failure/>, and SASL (6) or the older
 * jabber:iq:auth in the clear. The elements are read by a bounded tokenizer that knows tags, both
 * kinds of quotes, comments, CDATA and processing instructions; stanzas are passed over by their
 * depth. Once a side is authenticated, or the streams are compressed, nothing is read any more.
 */
#include <string.h>

#include "detail.h"
#include "dissector.h"
#include "starttls.h"
#include "text.h"

enum {
    TAG_MAX = 8192,    /* a longer tag is not looked at; the head of a stream may not be longer */
    PROBE_TAG = 4096,
    NAME_MAX_LEN = 255, /* of a domain that is kept */
    BINDINGS = 12,     /* namespace declarations in force that are kept, per side */
    PREFIX_MAX = 15,
    LOOK_DEPTH = 3,    /* elements deeper than this are only counted */
};

enum space { NS_OTHER, NS_STREAM, NS_TLS, NS_SASL, NS_SASL2, NS_COMPRESS, NS_IQ_AUTH };

static const char *const spaces[] = {
    [NS_STREAM] = "http://etherx.jabber.org/streams",
    [NS_TLS] = "urn:ietf:params:xml:ns:xmpp-tls",
    [NS_SASL] = "urn:ietf:params:xml:ns:xmpp-sasl",
    [NS_SASL2] = "urn:xmpp:sasl:2",
    [NS_COMPRESS] = "http://jabber.org/protocol/compress",
    [NS_IQ_AUTH] = "jabber:iq:auth",
};

enum mode { FREE, IN_COMMENT, IN_CDATA, IN_INSTRUCTION, IN_LONG_TAG };

/* An element that means something when it ends, or for what is in it. */
enum meaning { MEANS_NOTHING, MEANS_ASK, MEANS_PROCEED, MEANS_FAILURE, MEANS_FEATURES, MEANS_ERROR,
               MEANS_IQ, MEANS_IQ_AUTH };

struct binding { /* xmlns, or xmlns:prefix, of an element that is open */
    char prefix[PREFIX_MAX + 1];
    uint8_t space;
    uint32_t depth;
};

struct stream { /* of one side */
    enum mode mode;
    char quote;      /* of the value that the scanned part of a tag is in, or 0 */
    char last;       /* of a long tag: the byte before */
    uint8_t closing; /* a long tag is an end tag */
    size_t scanned;  /* bytes of the tag at hand that were looked through */
    uint32_t depth;  /* elements that are open; 0: no stream yet */
    uint8_t blind;   /* a gap took the place */
    uint8_t meaning; /* of the open child of the stream */
    uint8_t inner;   /* ... and of its open child */
    uint64_t begin;  /* offset of that child's tag */
    struct binding bindings[BINDINGS];
    size_t binding_count;
    char name[NAME_MAX_LEN]; /* `to` of the client's head, `from` of the server's */
    size_t name_len;
};

struct xmpp_state {
    struct starttls judge;
    struct stream stream[2];
    uint8_t done;
    uint8_t server_space; /* the streams are those of servers */
};

/* --- tags --- */

struct tag {
    struct text name, prefix;
    struct text rest; /* attributes */
    int end, empty;
};

struct attribute {
    struct text name, value;
};

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct text from(struct text text, size_t at)
{
    return (struct text){text.data + at, text.len - at};
}

static size_t span(struct text text, int spaces_only)
{
    size_t at = 0;
    while (at < text.len && (spaces_only ? is_space(text.data[at])
                                         : !is_space(text.data[at]) && text.data[at] != '=' &&
                                               text.data[at] != '/' && text.data[at] != '>'))
        at++;
    return at;
}

/* The next attribute of `rest`, which moves behind it. 0: there is none (or no well-formed one). */
static int next_attribute(struct text *rest, struct attribute *out)
{
    struct text t = from(*rest, span(*rest, 1));
    size_t len = span(t, 0);
    out->name = (struct text){t.data, len};
    t = from(t, len);
    t = from(t, span(t, 1));
    if (len == 0 || t.len == 0 || t.data[0] != '=')
        return 0;
    t = from(t, 1);
    t = from(t, span(t, 1));
    if (t.len == 0 || (t.data[0] != '"' && t.data[0] != '\''))
        return 0;
    const char *end = memchr(t.data + 1, t.data[0], t.len - 1);
    if (end == NULL)
        return 0;
    out->value = (struct text){t.data + 1, (size_t)(end - t.data) - 1};
    *rest = from(t, (size_t)(end - t.data) + 1);
    return 1;
}

static struct text attribute_of(const struct tag *tag, const char *name)
{
    struct text rest = tag->rest;
    struct attribute a;
    while (next_attribute(&rest, &a))
        if (a.name.len == strlen(name) && memcmp(a.name.data, name, a.name.len) == 0)
            return a.value;
    return TEXT_NONE;
}

/* "<p:name a='b'/>", whole. 0: it is none. */
static int tag_read(struct text text, struct tag *tag)
{
    *tag = (struct tag){.end = text.len > 2 && text.data[1] == '/'};
    tag->empty = !tag->end && text.len > 2 && text.data[text.len - 2] == '/';
    text = from(text, tag->end ? 2 : 1);
    text.len -= tag->empty ? 2 : 1;
    size_t len = span(text, 0);
    tag->rest = from(text, len);
    tag->name = (struct text){text.data, len};
    const char *colon = memchr(text.data, ':', len);
    tag->prefix = (struct text){text.data, 0};
    if (colon != NULL) {
        tag->prefix.len = (size_t)(colon - text.data);
        tag->name = from(tag->name, tag->prefix.len + 1);
    }
    return tag->name.len > 0;
}

static int same(struct text text, const char *constant)
{
    return text.len == strlen(constant) && memcmp(text.data, constant, text.len) == 0;
}

static enum space space_of(struct text name)
{
    for (enum space s = NS_STREAM; s <= NS_IQ_AUTH; s++)
        if (same(name, spaces[s]))
            return s;
    return NS_OTHER;
}

/* --- probing --- */

/* Where a tag that begins at `at` ends: behind its '>', or 0. */
static size_t tag_end(struct text text, size_t at)
{
    char quote = 0;
    for (; at < text.len; at++) {
        char c = text.data[at];
        if (quote != 0)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>')
            return at + 1;
    }
    return 0;
}

static int name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ':' || c == '-' || c == '_';
}

/* The head's tag so far, which is not whole: can it be one? */
static int head_possible(struct text text)
{
    size_t len = 1;
    while (len < text.len && name_byte(text.data[len]))
        len++;
    if (len >= PREFIX_MAX + sizeof ":stream" + 1)
        return -1;
    if (len == text.len)
        return 0;
    struct text name = {text.data + 1, len - 1};
    int fits = is_space(text.data[len]) && name.len >= 6 &&
               memcmp(name.data + name.len - 6, "stream", 6) == 0 &&
               (name.len == 6 || name.data[name.len - 7] == ':');
    return fits && text.len < PROBE_TAG ? 0 : -1;
}

static int head_sure(enum side side, struct text text)
{
    struct tag tag;
    struct attribute a;
    if (!tag_read(text, &tag) || tag.end || tag.empty || !same(tag.name, "stream"))
        return -1;
    int sure = 90, found = 0;
    while (next_attribute(&tag.rest, &a)) {
        int declares = tag.prefix.len == 0
                           ? same(a.name, "xmlns")
                           : a.name.len == tag.prefix.len + 6 &&
                                 memcmp(a.name.data, "xmlns:", 6) == 0 &&
                                 memcmp(a.name.data + 6, tag.prefix.data, tag.prefix.len) == 0;
        found |= declares && space_of(a.value) == NS_STREAM;
        if (same(a.name, "id")) /* a server's */
            sure = side == SERVER ? 95 : 80;
    }
    return found ? sure : -1;
}

static int xmpp_probe(enum side side, const uint8_t *data, size_t len)
{
    static const char declaration[] = "<?xml ";
    size_t declared = sizeof declaration - 1;
    struct text text = {(const char *)data, len};
    if (len == 0)
        return 0;
    if (text.data[0] != '<')
        return -1;
    if (len >= 2 && text.data[1] == '?') {
        if (memcmp(text.data, declaration, len < declared ? len : declared) != 0)
            return -1;
        size_t end = tag_end(text, 0);
        if (end == 0)
            return len < 256 ? 0 : -1;
        text = from(text, end);
        text = from(text, span(text, 1));
        if (text.len == 0)
            return len < 512 ? 0 : -1;
        if (text.data[0] != '<')
            return -1;
    }
    size_t end = tag_end(text, 0);
    if (end == 0)
        return head_possible(text);
    text.len = end;
    return head_sure(side, text);
}

/* --- namespaces --- */

static void bind(struct layer *layer, struct stream *stream, struct text prefix, struct text name)
{
    if (prefix.len > PREFIX_MAX)
        return; /* nobody's: elements with it are of another namespace */
    if (stream->binding_count == BINDINGS) {
        layer_limit(layer, "xmpp-namespaces", BINDINGS);
        return;
    }
    struct binding *b = &stream->bindings[stream->binding_count++];
    *b = (struct binding){.space = (uint8_t)space_of(name), .depth = stream->depth};
    memcpy(b->prefix, prefix.data, prefix.len);
}

/* The declarations of an element that opens at stream->depth. */
static void bind_all(struct layer *layer, struct stream *stream, const struct tag *tag)
{
    struct text rest = tag->rest;
    struct attribute a;
    while (next_attribute(&rest, &a)) {
        if (same(a.name, "xmlns"))
            bind(layer, stream, (struct text){a.name.data, 0}, a.value);
        else if (a.name.len > 6 && memcmp(a.name.data, "xmlns:", 6) == 0)
            bind(layer, stream, from(a.name, 6), a.value);
    }
}

static void unbind(struct stream *stream)
{
    while (stream->binding_count > 0 &&
           stream->bindings[stream->binding_count - 1].depth >= stream->depth)
        stream->binding_count--;
}

static enum space resolve(const struct stream *stream, struct text prefix)
{
    for (size_t i = stream->binding_count; i > 0; i--)
        if (same(prefix, stream->bindings[i - 1].prefix))
            return (enum space)stream->bindings[i - 1].space;
    return NS_OTHER;
}

/* --- elements --- */

static void tell_detail(struct layer *layer, const struct xmpp_state *x)
{
    struct detail detail = {0};
    const struct stream *client = &x->stream[CLIENT], *server = &x->stream[SERVER];
    if (client->name_len > 0)
        detail_text(&detail, "to", (struct text){client->name, client->name_len});
    if (server->name_len > 0)
        detail_text(&detail, "from", (struct text){server->name, server->name_len});
    detail_text(&detail, "streams",
                x->server_space ? TEXT_LITERAL("server") : TEXT_LITERAL("client"));
    layer_detail(layer, detail_json(&detail));
}

static void read_head(struct layer *layer, struct xmpp_state *x, enum side side,
                      const struct tag *tag)
{
    struct stream *stream = &x->stream[side];
    struct text name = attribute_of(tag, side == CLIENT ? "to" : "from");
    if (name.len > 0) {
        stream->name_len = name.len < sizeof stream->name ? name.len : sizeof stream->name;
        memcpy(stream->name, name.data, stream->name_len);
    }
    if (same(attribute_of(tag, "xmlns"), "jabber:server"))
        x->server_space = 1;
    tell_detail(layer, x);
}

static void ask(struct xmpp_state *x, uint64_t last)
{
    struct stream *stream = &x->stream[CLIENT];
    struct text host = stream->name_len > 0 ? (struct text){stream->name, stream->name_len}
                                            : TEXT_NONE;
    starttls_ask_host(&x->judge, TEXT_LITERAL("starttls"), "TLS", host, last);
    if (x->stream[SERVER].blind)
        starttls_lose(&x->judge);
}

static void refuse(struct xmpp_state *x, struct text reason, uint64_t last)
{
    if (x->judge.pending)
        starttls_refuse(&x->judge,
                        &(struct starttls_answer){.reason = reason,
                                                  .begin = x->stream[SERVER].begin,
                                                  .end = last},
                        CAUSE_UNKNOWN);
}

/* EXTERNAL means a certificate and ANONYMOUS nothing: neither sends a secret. */
static void authenticate(struct xmpp_state *x, const struct tag *tag, uint64_t offset)
{
    struct text mechanism = attribute_of(tag, "mechanism");
    if (text_is(mechanism, "EXTERNAL") || text_is(mechanism, "ANONYMOUS"))
        return;
    char what[40] = "SASL ";
    size_t len = strlen(what);
    size_t more = mechanism.len < sizeof what - len ? mechanism.len : sizeof what - len;
    if (more > 0)
        memcpy(what + len, mechanism.data, more);
    starttls_clear(&x->judge, offset, (struct text){what, len + more}, 1);
}

/* A child of the stream begins. */
static enum meaning child_of_stream(struct xmpp_state *x, enum side side, const struct tag *tag,
                                    enum space space, uint64_t offset)
{
    if (side == CLIENT) {
        if (space == NS_TLS && same(tag->name, "starttls"))
            return MEANS_ASK;
        if ((space == NS_SASL && same(tag->name, "auth")) ||
            (space == NS_SASL2 && same(tag->name, "authenticate")))
            authenticate(x, tag, offset);
        return same(tag->name, "iq") ? MEANS_IQ : MEANS_NOTHING;
    }
    if (space == NS_TLS)
        return same(tag->name, "proceed")   ? MEANS_PROCEED
               : same(tag->name, "failure") ? MEANS_FAILURE
                                            : MEANS_NOTHING;
    if (space == NS_STREAM)
        return same(tag->name, "features") ? MEANS_FEATURES
               : same(tag->name, "error")  ? MEANS_ERROR
                                           : MEANS_NOTHING;
    if (((space == NS_SASL || space == NS_SASL2) && same(tag->name, "success")) ||
        (space == NS_COMPRESS && same(tag->name, "compressed")))
        x->done = 1;
    return MEANS_NOTHING;
}

/* A grandchild: what the child's meaning makes of it. */
static enum meaning grandchild(struct xmpp_state *x, const struct stream *stream,
                               const struct tag *tag, enum space space, uint64_t last)
{
    if (stream->meaning == MEANS_FEATURES && space == NS_TLS && same(tag->name, "starttls"))
        starttls_offer(&x->judge);
    else if (stream->meaning == MEANS_ERROR)
        refuse(x, tag->name, last);
    return stream->meaning == MEANS_IQ && space == NS_IQ_AUTH && same(tag->name, "query")
               ? MEANS_IQ_AUTH
               : MEANS_NOTHING;
}

/* The child of the stream is whole. Returns 1 where the switch is on. */
static int child_ends(struct xmpp_state *x, enum side side, uint64_t last)
{
    struct stream *stream = &x->stream[side];
    enum meaning meaning = (enum meaning)stream->meaning;
    stream->meaning = MEANS_NOTHING;
    if (meaning == MEANS_ASK)
        ask(x, last);
    else if (meaning == MEANS_FAILURE || meaning == MEANS_ERROR)
        refuse(x, meaning == MEANS_FAILURE ? TEXT_LITERAL("failure") : TEXT_LITERAL("error"), last);
    else if (meaning == MEANS_PROCEED && x->judge.pending) {
        starttls_grant(&x->judge, &(struct starttls_answer){.begin = stream->begin, .end = last});
        return 1;
    }
    return 0;
}

/* An element opens; stream->depth counts those around it. */
static void element(struct layer *layer, struct xmpp_state *x, enum side side,
                    const struct tag *tag, uint64_t offset, uint64_t last)
{
    struct stream *stream = &x->stream[side];
    if (stream->depth > LOOK_DEPTH)
        return;
    bind_all(layer, stream, tag);
    enum space space = resolve(stream, tag->prefix);
    if (stream->depth == 1) {
        stream->begin = offset;
        stream->inner = MEANS_NOTHING;
        stream->meaning = (uint8_t)child_of_stream(x, side, tag, space, offset);
    } else if (stream->depth == 2) {
        stream->inner = (uint8_t)grandchild(x, stream, tag, space, last);
    } else if (stream->depth == 3 && stream->inner == MEANS_IQ_AUTH &&
               (same(tag->name, "password") || same(tag->name, "digest"))) {
        starttls_clear(&x->judge, offset, TEXT_LITERAL("jabber:iq:auth"), 1);
    }
}

/* The head of a stream: the first element, or, behind SASL, one more in the place of a child. */
static int is_head(const struct stream *stream, const struct tag *tag)
{
    return stream->depth == 0 || (stream->depth == 1 && same(tag->name, "stream"));
}

/* One whole tag. */
static struct result take_tag(struct layer *layer, struct xmpp_state *x, enum side side,
                              struct text text, uint64_t offset)
{
    struct stream *stream = &x->stream[side];
    struct result result = {.verdict = V_OK, .consumed = text.len};
    uint64_t last = offset + text.len - 1;
    struct tag tag;
    if (!tag_read(text, &tag) || (stream->depth == 0 && (tag.end || tag.empty)))
        return (struct result){.verdict = V_LOST};
    if (!tag.end && is_head(stream, &tag)) {
        stream->depth = 0;
        unbind(stream);
        bind_all(layer, stream, &tag);
        stream->depth = 1;
        read_head(layer, x, side, &tag);
        return result;
    }
    if (!tag.end)
        element(layer, x, side, &tag, offset, last);
    stream->depth += tag.end ? 0 : 1;
    if (tag.end || tag.empty) {
        stream->depth--;
        unbind(stream);
        if (stream->depth == 1 && child_ends(x, side, last))
            result.verdict = V_SWITCHED;
        else if (side == CLIENT)
            result = starttls_asked(&x->judge, text.len);
    }
    if (stream->depth == 0) { /* the stream is over */
        if (side == SERVER) {
            stream->begin = offset;
            refuse(x, TEXT_LITERAL("stream closed"), last);
        }
        stream->blind = 1;
    }
    return result;
}

/* --- the tokenizer --- */

static struct result wanted(const struct slice *slice)
{
    return (struct result){.verdict = V_NEED, .need = slice->len + 1};
}

/* Passes over what ends in `end`; its last bytes may be the beginning of the end. */
static struct result pass_until(struct stream *stream, const struct slice *slice, const char *end)
{
    size_t keep = strlen(end) - 1;
    const uint8_t *found = memmem(slice->data, slice->len, end, keep + 1);
    if (found != NULL) {
        stream->mode = FREE;
        return (struct result){.verdict = V_OK,
                               .consumed = (size_t)(found - slice->data) + keep + 1};
    }
    if (slice->len <= keep)
        return wanted(slice);
    return (struct result){.verdict = V_OK, .consumed = slice->len - keep};
}

/* Looks on through a tag. Returns 1 with stream->scanned behind its '>', or 0. */
static int scan(struct stream *stream, const uint8_t *data, size_t len)
{
    while (stream->scanned < len) {
        char c = (char)data[stream->scanned++];
        if (stream->quote != 0)
            stream->quote = c == stream->quote ? 0 : stream->quote;
        else if (c == '"' || c == '\'')
            stream->quote = c;
        else if (c == '>')
            return 1;
        stream->last = c;
    }
    return 0;
}

/* A tag too long to be looked at only counts. */
static struct result pass_long_tag(struct xmpp_state *x, enum side side, const struct slice *slice)
{
    struct stream *stream = &x->stream[side];
    stream->scanned = 0;
    int whole = scan(stream, slice->data, slice->len);
    struct result result = {.verdict = V_OK, .consumed = stream->scanned};
    stream->scanned = 0;
    if (!whole)
        return result;
    stream->mode = FREE;
    if (stream->closing || stream->last == '/') {
        stream->depth -= stream->closing ? 1 : 0;
        unbind(stream);
        if (stream->depth == 0)
            return (struct result){.verdict = V_LOST};
        if (stream->depth == 1 && child_ends(x, side, slice->offset + result.consumed - 1))
            result.verdict = V_SWITCHED;
        return result;
    }
    stream->depth++;
    return result;
}

static struct result tag_at(struct layer *layer, struct xmpp_state *x, enum side side,
                            const struct slice *slice)
{
    struct stream *stream = &x->stream[side];
    if (stream->scanned == 0)
        stream->quote = stream->last = 0;
    size_t window = slice->len < TAG_MAX ? slice->len : TAG_MAX;
    if (scan(stream, slice->data, window)) {
        struct text text = {(const char *)slice->data, stream->scanned};
        stream->scanned = 0;
        return take_tag(layer, x, side, text, slice->offset);
    }
    if (window < TAG_MAX)
        return wanted(slice);
    if (stream->depth == 0)
        return (struct result){.verdict = V_LOST};
    if (stream->depth == 1)
        stream->meaning = MEANS_NOTHING;
    stream->closing = slice->data[1] == '/';
    stream->mode = IN_LONG_TAG;
    stream->scanned = 0;
    return (struct result){.verdict = V_OK, .consumed = TAG_MAX};
}

/* What begins with '<'. */
static struct result markup(struct layer *layer, struct xmpp_state *x, enum side side,
                            const struct slice *slice)
{
    static const struct {
        const char *text;
        enum mode mode;
    } openings[] = {{"<?", IN_INSTRUCTION}, {"<!--", IN_COMMENT}, {"<![CDATA[", IN_CDATA}};
    if (slice->len < 2)
        return wanted(slice);
    if (slice->data[1] != '?' && slice->data[1] != '!')
        return tag_at(layer, x, side, slice);
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        size_t whole = strlen(openings[i].text);
        size_t len = slice->len < whole ? slice->len : whole;
        if (memcmp(slice->data, openings[i].text, len) != 0)
            continue;
        if (len < whole)
            return wanted(slice);
        x->stream[side].mode = openings[i].mode;
        return (struct result){.verdict = V_OK, .consumed = whole};
    }
    return (struct result){.verdict = V_LOST}; /* a document type: not in XMPP (RFC 6120 11.1) */
}

static struct result character_data(const struct stream *stream, const struct slice *slice)
{
    const uint8_t *found = memchr(slice->data, '<', slice->len);
    size_t len = found != NULL ? (size_t)(found - slice->data) : slice->len;
    for (size_t i = 0; stream->depth == 0 && i < len; i++)
        if (!is_space((char)slice->data[i]))
            return (struct result){.verdict = V_LOST};
    return (struct result){.verdict = V_OK, .consumed = len};
}

static struct result token(struct layer *layer, struct xmpp_state *x, enum side side,
                           const struct slice *slice)
{
    struct stream *stream = &x->stream[side];
    switch (stream->mode) {
    case IN_COMMENT:
        return pass_until(stream, slice, "-->");
    case IN_CDATA:
        return pass_until(stream, slice, "]]>");
    case IN_INSTRUCTION:
        return pass_until(stream, slice, "?>");
    case IN_LONG_TAG:
        return pass_long_tag(x, side, slice);
    case FREE:
        break;
    }
    return slice->data[0] == '<' ? markup(layer, x, side, slice)
                                 : character_data(stream, slice);
}

/* --- the dissector --- */

static int xmpp_open(struct layer *layer, void *state, const struct handover *handover)
{
    struct xmpp_state *x = state;
    (void)handover;
    starttls_open(&x->judge, layer);
    return 0;
}

static struct result xmpp_data(struct layer *layer, void *state, enum side side,
                               const struct slice *slice)
{
    struct xmpp_state *x = state;
    if (side == CLIENT && x->judge.pending) {
        struct result result = starttls_wait(&x->judge, slice);
        if (result.verdict != V_OK)
            return result;
    }
    if (x->stream[CLIENT].blind && !x->judge.pending)
        x->done = 1;
    if (x->done || x->stream[side].blind)
        return (struct result){.verdict = V_DONE};
    return token(layer, x, side, slice);
}

/* Depth and state of the elements are not known any more: attempts are judged by what follows
 * them, or not seen. */
static struct result xmpp_gap(struct layer *layer, void *state, enum side side, uint64_t offset,
                              uint64_t len)
{
    struct xmpp_state *x = state;
    (void)layer;
    (void)offset;
    (void)len;
    x->stream[side].blind = 1;
    if (side == CLIENT)
        return (struct result){.verdict = V_OK}; /* what follows may be behind a pending attempt */
    starttls_lose(&x->judge);
    return (struct result){.verdict = V_DONE};
}

const struct dissector xmpp_dissector = {
    .name = "xmpp",
    .state_size = sizeof(struct xmpp_state),
    .probe = xmpp_probe,
    .open = xmpp_open,
    .data = xmpp_data,
    .gap = xmpp_gap,
};
