/*
 * Secrets in text messages: tokens and keys whose form gives them away, and, where messages share
 * a compression context, credentials next to words of the other side (RFC 7692 section 8). Text
 * comes cut anywhere; of a word that goes on, its beginning, length and alphabet are all that is
 * kept, and nothing of it reaches the evidence.
 */
#include <ctype.h>
#include <string.h>

#include "websocket_private.h"

enum { UPPER = 1, LOWER = 2, DIGIT = 4, DASH = 8, DOT = 16 };

enum {
    PART_HEADER = 1,  /* the first part begins as a JSON object in base64url does */
    PART_PAYLOAD = 2, /* the second part does */
    JWT_PART_MIN = 10,
    WORD_MIN = 16, /* what is shorter is no secret, and no word that tells who sent it first */
    LABEL_MAX = 14,
    LABEL_GAP_MAX = 4, /* bytes between a name and its value: `": "` */
};

/* What words are made of; 0: what stands between them. */
#define U UPPER
#define L LOWER
#define D DIGIT
#define H DASH
#define T DOT
static const uint8_t class_of[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, H, T, 0,
    D, D, D, D, D, D, D, D, D, D, 0, 0, 0, 0, 0, 0,
    0, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
    U, U, U, U, U, U, U, U, U, U, U, 0, 0, 0, 0, H,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0,
};
#undef U
#undef L
#undef D
#undef H
#undef T

static int begins(const struct ws_words *w, const char *prefix)
{
    size_t len = strlen(prefix);
    return w->len >= len && memcmp(w->head, prefix, len) == 0;
}

/* A kind of key that a word of this form is; NULL: none. */
static const char *key_kind(const struct ws_words *w)
{
    static const struct {
        const char *prefix, *kind;
        uint32_t min, max;
        unsigned classes;
    } kinds[] = {
        {"AKIA", "AWS access key", 20, 20, UPPER | DIGIT},
        {"ASIA", "AWS access key", 20, 20, UPPER | DIGIT},
        {"AIza", "Google API key", 39, 39, UPPER | LOWER | DIGIT | DASH},
        {"ghp_", "GitHub token", 40, 40, UPPER | LOWER | DIGIT | DASH},
        {"gho_", "GitHub token", 40, 40, UPPER | LOWER | DIGIT | DASH},
        {"ghs_", "GitHub token", 40, 40, UPPER | LOWER | DIGIT | DASH},
        {"github_pat_", "GitHub token", 60, 120, UPPER | LOWER | DIGIT | DASH},
        {"glpat-", "GitLab token", 26, 80, UPPER | LOWER | DIGIT | DASH | DOT},
        {"xoxb-", "Slack token", 24, 120, UPPER | LOWER | DIGIT | DASH},
        {"xoxp-", "Slack token", 24, 120, UPPER | LOWER | DIGIT | DASH},
        {"sk_live_", "Stripe key", 24, 130, UPPER | LOWER | DIGIT | DASH},
        {"rk_live_", "Stripe key", 24, 130, UPPER | LOWER | DIGIT | DASH},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (w->len >= kinds[i].min && w->len <= kinds[i].max && begins(w, kinds[i].prefix) &&
            (w->classes & ~kinds[i].classes) == 0)
            return kinds[i].kind;
    return NULL;
}

static int is_jwt(const struct ws_words *w)
{
    return w->dots == 2 && w->part_kinds == (PART_HEADER | PART_PAYLOAD) &&
           w->part >= JWT_PART_MIN;
}

/* Is the word a value whose name stands in front of it? */
static int is_labelled(const struct ws_words *w)
{
    static const char *const labels[] = {
        "sessionid", "session_id", "sid",    "token",     "access_token", "csrf",
        "csrftoken", "csrf_token", "cookie", "secret",    "authorization", "password",
        "api_key",   "apikey",     "bearer", "auth_token", "jsessionid",   "phpsessid",
    };
    char name[LABEL_MAX + 1];
    size_t at = 0, len = 0;
    while (at < w->before_len && class_of[w->before[at]] == 0)
        at++;
    if (at == 0 || at > LABEL_GAP_MAX)
        return 0;
    for (; at < w->before_len && class_of[w->before[at]] != 0; at++) {
        if (len == LABEL_MAX)
            return 0;
        name[len++] = (char)w->before[at];
    }
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        size_t same = 0; /* the name was read backwards */
        while (same < len && labels[i][same] == tolower((unsigned char)name[len - 1 - same]))
            same++;
        if (same == len && labels[i][same] == '\0')
            return 1;
    }
    return 0;
}

static void compare_with_peer(struct websocket *ws, enum side side, struct ws_words *w)
{
    struct ws_side *s = &ws->side[side];
    const struct ws_side *peer = &ws->side[side_peer(side)];
    for (size_t i = 0; i < WS_REFLECTED; i++)
        if (peer->reflected[i] == w->hash)
            w->reflected = 1;
    s->reflected[s->reflected_at] = w->hash;
    s->reflected_at = (uint8_t)((s->reflected_at + 1) % WS_REFLECTED);
}

static void found_secret(struct ws_words *w, const char *kind, uint32_t len)
{
    if (w->found != NULL)
        return;
    w->found = kind;
    w->found_len = len;
}

static void end_word(struct websocket *ws, enum side side)
{
    struct ws_words *w = &ws->side[side].message.words;
    const char *kind = is_jwt(w) ? "JSON Web Token" : key_kind(w);
    unsigned letters = w->classes & (UPPER | LOWER);
    if (w->len >= WORD_MIN) {
        if (kind != NULL)
            found_secret(w, kind, w->len);
        if (letters != 0 && (w->classes & DIGIT) != 0 && is_labelled(w))
            w->cookie = 1;
        else if (kind == NULL && ws->pmd == WS_PMD_AGREED)
            compare_with_peer(ws, side, w);
    }
    w->len = w->hash = w->part = 0;
    w->dots = w->part_kinds = w->classes = 0;
}

static void add_byte(struct ws_words *w, uint8_t byte)
{
    unsigned class = class_of[byte];
    static const char object[] = "eyJ"; /* {" in base64url */
    if (w->len == 0) {
        w->hash = 2166136261u;
        w->part_kinds = PART_HEADER | PART_PAYLOAD;
    }
    if (w->len < sizeof w->head)
        w->head[w->len] = (char)byte;
    if (w->len < UINT32_MAX)
        w->len++;
    w->hash = (w->hash ^ byte) * 16777619u;
    w->classes |= (uint8_t)class;
    if (class == DOT) {
        if (w->dots < 2 && w->part < JWT_PART_MIN)
            w->part_kinds = 0;
        if (w->dots < UINT8_MAX)
            w->dots++;
        w->part = 0;
        return;
    }
    if (w->part < 3 && w->dots < 2 && byte != (uint8_t)object[w->part])
        w->part_kinds &= (uint8_t)~(w->dots == 0 ? PART_HEADER : PART_PAYLOAD);
    if (w->part < UINT32_MAX)
        w->part++;
}

/* Is there anything left to find on this side? */
static int curious(const struct websocket *ws, enum side side)
{
    const struct ws_side *s = &ws->side[side];
    return (!ws->tls && !s->told_secret) || (ws->pmd == WS_PMD_AGREED && !s->told_mixed);
}

/* The bytes in front of data[at], the nearest first. */
static size_t look_back(const struct ws_words *w, const uint8_t *data, size_t at, uint8_t *out,
                        size_t max)
{
    size_t n = 0;
    while (n < max && at > 0)
        out[n++] = data[--at];
    for (size_t i = w->tail_len; n < max && i > 0; i--)
        out[n++] = w->tail[i - 1];
    return n;
}

/* The last bytes of all that was fed, this slice included. */
static void keep_tail(struct ws_words *w, const uint8_t *data, size_t len)
{
    size_t fed = len < sizeof w->tail ? len : sizeof w->tail;
    size_t old = w->tail_len < sizeof w->tail - fed ? w->tail_len : sizeof w->tail - fed;
    if (old > 0)
        memmove(w->tail, w->tail + w->tail_len - old, old);
    memcpy(w->tail + old, data + len - fed, fed);
    w->tail_len = (uint8_t)(old + fed);
}

/* The word data[from..to); whether it ends there is for the caller to know. */
static void begin_word(struct ws_words *w, const uint8_t *data, size_t from, size_t to)
{
    w->before_len = (uint8_t)look_back(w, data, from, w->before, sizeof w->before);
    for (size_t i = from; i < to; i++)
        add_byte(w, data[i]);
}

/* Only words of WORD_MIN bytes and more are looked at, so that it is enough to look at every
 * WORD_MINth byte, and around it where that is in a word. */
static void find_words(struct websocket *ws, enum side side, const uint8_t *data, size_t len,
                       size_t at)
{
    struct ws_words *w = &ws->side[side].message.words;
    while (len - at >= WORD_MIN) {
        size_t middle = at + WORD_MIN - 1;
        if (class_of[data[middle]] == 0) {
            at = middle + 1;
            continue;
        }
        size_t start = middle;
        while (start > at && class_of[data[start - 1]] != 0)
            start--;
        if (start > at) {
            at = start;
            continue;
        }
        size_t end = middle + 1;
        while (end < len && class_of[data[end]] != 0)
            end++;
        if (end == len)
            break;
        begin_word(w, data, at, end);
        end_word(ws, side);
        at = end + 1;
    }
    size_t open = len;
    while (open > at && class_of[data[open - 1]] != 0)
        open--;
    if (open < len)
        begin_word(w, data, open, len);
}

static const char private_key[] = "PRIVATE KEY-----";

enum { PRIVATE_KEY = sizeof private_key - 1, PRIVATE_KEY_K = 8 };

/* Looked for by its K: a byte that is rare in text, which memmem() would not know. */
static int has_private_key(const uint8_t *data, size_t len)
{
    if (len < PRIVATE_KEY)
        return 0;
    const uint8_t *at = data + PRIVATE_KEY_K, *end = data + len - PRIVATE_KEY + PRIVATE_KEY_K + 1;
    while (at < end && (at = memchr(at, 'K', (size_t)(end - at))) != NULL) {
        if (memcmp(at - PRIVATE_KEY_K, private_key, PRIVATE_KEY) == 0)
            return 1;
        at++;
    }
    return 0;
}

/* The lines around a private key say so: "-----BEGIN RSA PRIVATE KEY-----". */
static void find_private_key(struct ws_words *w, const uint8_t *data, size_t len)
{
    uint8_t seam[2 * PRIVATE_KEY];
    size_t before = w->tail_len < PRIVATE_KEY - 1 ? w->tail_len : PRIVATE_KEY - 1;
    size_t after = len < PRIVATE_KEY - 1 ? len : PRIVATE_KEY - 1;
    memcpy(seam, w->tail + w->tail_len - before, before);
    memcpy(seam + before, data, after);
    if ((before > 0 && has_private_key(seam, before + after)) || has_private_key(data, len))
        found_secret(w, "private key", PRIVATE_KEY);
}

void ws_words_feed(struct websocket *ws, enum side side, const uint8_t *data, size_t len)
{
    struct ws_words *w = &ws->side[side].message.words;
    if (len == 0 || !curious(ws, side))
        return;
    size_t at = 0;
    if (w->len > 0) {
        while (at < len && class_of[data[at]] != 0)
            add_byte(w, data[at++]);
        if (at < len)
            end_word(ws, side);
    }
    if (at < len)
        find_words(ws, side, data, len, at);
    find_private_key(w, data, len);
    keep_tail(w, data, len);
}

/* What shares one context: all messages with takeover, else each by itself. */
static void mixed(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    const struct ws_words *w = &s->message.words;
    if (!s->message.compressed || ws->pmd != WS_PMD_AGREED || !ws->takeover[side])
        return;
    s->context_secret |= w->found != NULL || w->cookie;
    s->context_reflected |= w->reflected;
    if (!s->context_secret || !s->context_reflected || s->told_mixed)
        return;
    s->told_mixed = 1;
    ws_find(ws, side, RULE_PMD_COMPRESSED_SECRET_MIXED, s->frame.offset, NULL,
            "a credential and words of the peer in one compression context");
}

void ws_words_end(struct websocket *ws, enum side side)
{
    struct ws_side *s = &ws->side[side];
    struct ws_words *w = &s->message.words;
    if (!curious(ws, side))
        return;
    if (w->len > 0)
        end_word(ws, side);
    if (w->found != NULL && !ws->tls && !s->told_secret) {
        s->told_secret = 1;
        ws_find(ws, side, RULE_WS_SECRET_IN_PAYLOAD, s->frame.offset, NULL,
                "%s, %u characters, not shown", w->found, w->found_len);
    }
    mixed(ws, side);
}
