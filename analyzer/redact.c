/*
 * Which bytes of a head are secrets. Names are compared without case, percent-encoding and
 * punctuation, so that api_key, api-key, apiKey and %61pi_key are one. In doubt a value is taken
 * for a secret: losing a word costs less than keeping a password.
 */
#include "redact.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---------------------------------------------------------------- words */

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static int is_alnum(int c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

static int equals(struct text text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

static int starts(struct text text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && strncasecmp(text.data, word, len) == 0;
}

static int one_of(struct text text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (equals(text, *words))
            return 1;
    }
    return 0;
}

static struct text part(struct text text, size_t from, size_t to)
{
    return (struct text){text.data + from, to - from};
}

static struct text trimmed(struct text text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = part(text, 1, text.len);
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

/* ---------------------------------------------------------------- replacing */

static void add(struct buffer *out, struct text text)
{
    if (text.len > 0)
        buffer_add(out, text.data, text.len);
}

static void add_hash(const struct redact *redact, struct text value, struct buffer *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (HMAC(EVP_sha256(), redact->key, REDACT_KEY_SIZE,
             (const unsigned char *)(value.data != NULL ? value.data : ""), value.len, digest,
             &len) == NULL || len < 4) {
        out->failed = 1;
        return;
    }
    buffer_format(out, "redacted:%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
}

/* ---------------------------------------------------------------- forms of tokens */

static int is_base64url(int c)
{
    return is_alnum(c) || c == '-' || c == '_';
}

/* The length of a JSON Web Token at the start of the text: three parts, the first two of them JSON
 * objects, so that their encodings begin with "ey". 0: there is none. */
static size_t jwt_length(struct text text)
{
    size_t at = 0, starts_of_part = 0;
    int dots = 0;
    if (text.len < 20 || memcmp(text.data, "ey", 2) != 0)
        return 0;
    for (; at < text.len; at++) {
        if (text.data[at] == '.' && dots < 2) {
            if (at - starts_of_part < 4)
                return 0;
            dots++;
            starts_of_part = at + 1;
        } else if (!is_base64url((unsigned char)text.data[at])) {
            break;
        }
    }
    return dots == 2 ? at : 0;
}

/* A long word of letters and digits without structure: nobody names a protocol so. */
static int is_random_word(struct text word)
{
    size_t digits = 0, letters = 0;
    if (word.len < 32)
        return 0;
    for (size_t i = 0; i < word.len; i++) {
        int c = (unsigned char)word.data[i];
        if (c >= '0' && c <= '9')
            digits++;
        else if (is_alnum(c))
            letters++;
        else if (c != '+' && c != '/' && c != '=' && c != '-' && c != '_')
            return 0;
    }
    return digits >= 3 && letters >= 3;
}

/* ---------------------------------------------------------------- parameters of a URL */

enum { NAME_MOST = 64 };

/* One segment of a parameter's name, without punctuation. */
static int is_secret_word(struct text word)
{
    static const char *const whole[] = {
        "auth", "key", "sig", "session", "sid", "code", "pass", "pwd", "ticket", "bearer", "cookie",
        "authorization", "otp", "pin", "assertion", "samlresponse", "hmac", "psw", "passcode",
        NULL};
    static const char *const ends[] = {
        "token", "password", "passwd", "secret", "signature", "apikey", "accesskey", "secretkey",
        "privatekey", "authkey", "jwt", "sessionid", "sessid", "credential", "credentials",
        "passphrase", "ticketid", "accesscode", "authcode", NULL};
    if (one_of(word, whole))
        return 1;
    for (const char *const *end = ends; *end != NULL; end++) {
        size_t len = strlen(*end);
        if (word.len >= len && equals(part(word, word.len - len, word.len), *end))
            return 1;
    }
    return 0;
}

/* user[password], x-amz-signature, %74oken: decoded once, each bracketed part for itself. A name
 * that is too long to be looked at is taken for one. */
static int is_secret_name(struct text name)
{
    char word[NAME_MOST];
    size_t len = 0;
    for (size_t at = 0; at <= name.len; at++) {
        int c = at < name.len ? (unsigned char)name.data[at] : '[';
        if (c == '%' && name.len - at > 2 && hex_value(name.data[at + 1]) >= 0 &&
            hex_value(name.data[at + 2]) >= 0) {
            c = hex_value(name.data[at + 1]) * 16 + hex_value(name.data[at + 2]);
            at += 2;
        }
        if (is_alnum(c)) {
            if (len == sizeof word)
                return 1;
            word[len++] = (char)lower(c);
        } else if (c == '[' || c == ']' || c == '.' || c == ':') {
            if (is_secret_word((struct text){word, len}))
                return 1;
            len = 0;
        }
    }
    return 0;
}

static int is_secret_value(struct text value)
{
    return jwt_length(value) > 0 || starts(value, "bearer ") || starts(value, "bearer+") ||
           starts(value, "bearer%20");
}

/* What a parameter of the query has in its value until the next one; in the path a segment ends
 * it, too. A semicolon within a secret belongs to the secret. */
static size_t value_end(struct text url, size_t at, int in_path)
{
    for (; at < url.len; at++) {
        char c = url.data[at];
        if (c == '#' || (!in_path && c == '&') || (in_path && (c == '/' || c == '?' || c == ';')))
            break;
    }
    return at;
}

static size_t name_end(struct text url, size_t at)
{
    while (at < url.len && strchr("=&;?#/", url.data[at]) == NULL)
        at++;
    return at;
}

/* Copies the parameters from `at` on; returns how many were replaced. */
static unsigned add_parameters(const struct redact *redact, struct text url, size_t at,
                               struct buffer *out)
{
    unsigned replaced = 0;
    int in_path = 1;
    size_t kept = at;
    while (at < url.len) {
        char c = url.data[at++];
        size_t token = in_path && c == '/' ? jwt_length(part(url, at, url.len)) : 0;
        if (token > 0) { /* a segment of the path that is a JWT */
            add(out, part(url, kept, at));
            add_hash(redact, part(url, at, at + token), out);
            kept = at += token;
            replaced++;
            continue;
        }
        if (c == '?' || c == '#')
            in_path = 0;
        else if (c != ';' && (in_path || c != '&'))
            continue;
        size_t end = name_end(url, at);
        if (end >= url.len || url.data[end] != '=')
            continue;
        size_t value = end + 1, stop = value_end(url, value, in_path);
        struct text secret = part(url, value, stop);
        if (secret.len == 0 ||
            (!is_secret_name(part(url, at, end)) && !is_secret_value(secret)))
            continue;
        add(out, part(url, kept, value));
        add_hash(redact, secret, out);
        kept = at = stop;
        replaced++;
    }
    if (replaced > 0)
        add(out, part(url, kept, url.len));
    return replaced;
}

/* Where the authority begins and ends: behind "://", or at once where there is no path before it
 * (the target of CONNECT, a Host). */
static int find_authority(struct text url, size_t *from, size_t *to)
{
    size_t at = 0;
    while (at < url.len && strchr("/?#", url.data[at]) == NULL)
        at++;
    *from = 0;
    if (at + 1 < url.len && at > 0 && url.data[at - 1] == ':' && url.data[at] == '/' &&
        url.data[at + 1] == '/') {
        *from = at + 2;
        at = *from;
        while (at < url.len && strchr("/?#", url.data[at]) == NULL)
            at++;
    }
    *to = at;
    return *to > *from;
}

/* The end of "user:password" in the authority; 0: there is none. */
static size_t userinfo_end(struct text url, size_t from, size_t to)
{
    for (size_t at = to; at > from; at--) {
        if (url.data[at - 1] == '@')
            return at - 1 > from ? at - 1 : 0;
    }
    return 0;
}

int redact_target(const struct redact *redact, struct text target, struct buffer *out)
{
    size_t start = out->len, from = 0, to = 0, user = 0;
    if (redact->off || target.len == 0)
        return 0;
    if (find_authority(target, &from, &to))
        user = userinfo_end(target, from, to);
    if (user > 0) {
        add(out, part(target, 0, from));
        add_hash(redact, part(target, from, user), out);
    }
    if (add_parameters(redact, target, user, out) > 0)
        return 1;
    if (user > 0)
        add(out, part(target, user, target.len));
    return out->len > start || out->failed;
}

/* ---------------------------------------------------------------- subprotocols */

/* The length of "bearer.", "api-key-" and the like at the start of the text; 0: it is none. */
static size_t marker_length(struct text text, int *is_bearer)
{
    static const char *const markers[] = {"authorization.k8s.io", "bearer", "token", "api-key",
                                          "apikey", "api_key", "jwt", "authorization", "auth",
                                          "password", "secret", NULL};
    for (size_t i = 0; markers[i] != NULL; i++) {
        size_t len = strlen(markers[i]);
        if (starts(text, markers[i]) && len < text.len &&
            strchr(".-_|:=~!", text.data[len]) != NULL) {
            *is_bearer |= strcmp(markers[i], "bearer") == 0;
            return len + 1;
        }
    }
    return 0;
}

/* Where the secret of a subprotocol begins: "authorization.bearer.TOKEN", "bearer-TOKEN",
 * "base64url.bearer.authorization.k8s.io.TOKEN", "openai-insecure-api-key.TOKEN". A short word
 * behind anything but "bearer" is a version ("auth.v2"). element.len: there is none. */
static size_t secret_in_protocol(struct text element)
{
    int is_bearer = 0;
    for (size_t at = 0; at < element.len; at++) {
        if (at > 0 && is_alnum((unsigned char)element.data[at - 1]))
            continue;
        size_t begin = at, len;
        while ((len = marker_length(part(element, begin, element.len), &is_bearer)) > 0)
            begin += len;
        if (begin > at)
            return element.len - begin >= (is_bearer ? 1u : 12u) ? begin : element.len;
    }
    return element.len;
}

static size_t protocol_secret(struct text element, int after_bearer)
{
    if (after_bearer || jwt_length(element) > 0 || is_random_word(element))
        return 0;
    for (size_t at = 0; at + 2 < element.len; at++) {
        if (jwt_length(part(element, at, element.len)) > 0)
            return at;
    }
    return secret_in_protocol(element);
}

/* Words behind which the next subprotocol is the token itself. */
static int announces(struct text element)
{
    static const char *const words[] = {"bearer", "token", "access_token", "access-token", "jwt",
                                        "authorization", "api-key", "apikey", "api_key",
                                        "id_token", "id-token", "base64.bearer", NULL};
    return one_of(element, words);
}

int redact_protocols(const struct redact *redact, struct text list, struct buffer *out)
{
    size_t kept = 0, at = 0;
    int after_bearer = 0;
    unsigned replaced = 0;
    while (!redact->off && at < list.len) {
        const char *comma = memchr(list.data + at, ',', list.len - at);
        size_t end = comma != NULL ? (size_t)(comma - list.data) : list.len;
        struct text element = trimmed(part(list, at, end));
        size_t secret = element.len > 0 ? protocol_secret(element, after_bearer) : 0;
        if (element.len > 0)
            after_bearer = announces(element);
        if (secret < element.len) {
            size_t start = (size_t)(element.data - list.data);
            add(out, part(list, kept, start + secret));
            add_hash(redact, part(element, secret, element.len), out);
            kept = start + element.len;
            replaced++;
        }
        at = end + 1;
    }
    if (replaced > 0)
        add(out, part(list, kept, list.len));
    return replaced > 0;
}

/* ---------------------------------------------------------------- fields */

int redact_header(const struct redact *redact, struct text name, struct text value,
                  struct buffer *out)
{
    static const char *const secret[] = {
        "cookie", "set-cookie", "authorization", "proxy-authorization", "cookie2", "set-cookie2",
        "x-api-key", "api-key", "x-auth-token", "x-access-token", "x-amz-security-token", NULL};
    static const char *const urls[] = {
        "referer", "location", "content-location", "x-original-url", "x-rewrite-url",
        "x-forwarded-uri", "x-original-uri", "host", "x-forwarded-host", "refresh", "link",
        "destination", "origin", "sec-websocket-origin", ":path", ":authority", NULL};
    if (redact->off || value.len == 0 || name.len == 0)
        return 0;
    name = trimmed(name);
    if (one_of(name, secret)) {
        add_hash(redact, value, out);
        return 1;
    }
    if (equals(name, "sec-websocket-protocol"))
        return redact_protocols(redact, value, out);
    if (one_of(name, urls))
        return redact_target(redact, value, out);
    return 0;
}

int redact_words(const struct redact *redact, struct text words, struct buffer *out)
{
    size_t kept = 0;
    unsigned replaced = 0;
    for (size_t at = 0; !redact->off && at + 2 < words.len; at++) {
        if (words.data[at] != 'e' || (at > 0 && is_base64url((unsigned char)words.data[at - 1])))
            continue;
        size_t len = jwt_length(part(words, at, words.len));
        if (len == 0)
            continue;
        add(out, part(words, kept, at));
        add_hash(redact, part(words, at, at + len), out);
        kept = at + len;
        at = kept - 1;
        replaced++;
    }
    if (replaced > 0)
        add(out, part(words, kept, words.len));
    return replaced > 0;
}
