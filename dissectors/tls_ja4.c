/*
 * JA4 and JA4S, the fingerprints of a ClientHello and a ServerHello over TCP as FoxIO specifies
 * them: a readable head (version, name, counts, ALPN), and hashes of what was offered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "reader.h"
#include "tls_private.h"

enum { HASH_HEX = 12, LIST_ITEM = 5 /* "1301," */ };

struct numbers { /* from the budget */
    uint16_t *values;
    size_t count;
};

/* --- lists --- */

static int by_value(const void *a, const void *b)
{
    uint16_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return left < right ? -1 : left > right;
}

/* Two bytes each, without those that mean nothing. -1: no memory. */
static int read_values(struct text wire, struct budget *budget, struct numbers *out)
{
    struct reader r = reader_of(wire.data, wire.len);
    *out = (struct numbers){.values = budget_alloc(budget, wire.len)};
    if (out->values == NULL)
        return -1;
    while (reader_left(&r) >= 2) {
        uint16_t value = reader_u16(&r);
        if (!tls_is_grease(value))
            out->values[out->count++] = value;
    }
    return 0;
}

static int read_extensions(struct text wire, struct budget *budget, struct numbers *out)
{
    struct reader r = reader_of(wire.data, wire.len);
    *out = (struct numbers){.values = budget_alloc(budget, wire.len)};
    if (out->values == NULL)
        return -1;
    while (reader_left(&r) > 0) {
        uint16_t type = reader_u16(&r);
        reader_skip(&r, reader_u16(&r));
        if (r.failed)
            break;
        if (!tls_is_grease(type))
            out->values[out->count++] = type;
    }
    return 0;
}

/* What the head of JA4 says already is not in its hash: SNI and ALPN. */
static void drop_told(struct numbers *extensions)
{
    size_t kept = 0;
    for (size_t i = 0; i < extensions->count; i++)
        if (extensions->values[i] != 0 && extensions->values[i] != 16)
            extensions->values[kept++] = extensions->values[i];
    extensions->count = kept;
}

static size_t write_list(char *out, const struct numbers *numbers)
{
    size_t len = 0;
    for (size_t i = 0; i < numbers->count; i++)
        len += (size_t)snprintf(out + len, LIST_ITEM + 1, i == 0 ? "%04x" : ",%04x",
                                numbers->values[i]);
    return len;
}

/* The first 12 digits of the hash of "first_second"; of "first" where second is empty; zeros
 * where first is. -1: no memory. */
static int hash_lists(const struct numbers *first, const struct numbers *second,
                      struct budget *budget, char out[HASH_HEX + 1])
{
    memcpy(out, "000000000000", HASH_HEX + 1);
    if (first->count == 0)
        return 0;
    size_t more = second != NULL ? second->count : 0;
    char *text = budget_alloc(budget, (first->count + more) * LIST_ITEM + 2);
    if (text == NULL)
        return -1;
    size_t len = write_list(text, first);
    if (more > 0) {
        text[len++] = '_';
        len += write_list(text + len, second);
    }
    uint8_t digest[SHA256_DIGEST_LENGTH];
    int made = SHA256((const uint8_t *)text, len, digest) != NULL;
    budget_free(budget, text);
    if (!made)
        return -1;
    for (size_t i = 0; i < HASH_HEX / 2; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

/* --- heads --- */

static const char *short_version(uint16_t version)
{
    switch (version) {
    case 0x0304: return "13";
    case 0x0303: return "12";
    case 0x0302: return "11";
    case 0x0301: return "10";
    case TLS_SSL3: return "s3";
    case TLS_SSL2: return "s2";
    default: return "00";
    }
}

static int is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* First and last character of the first name, or of its hexadecimal form. */
static void short_alpn(struct text list, char out[3])
{
    static const char digits[] = "0123456789abcdef";
    struct text name = TEXT_NONE;
    memcpy(out, "00", 3);
    do {
        if (!tls_alpn_next(&list, &name) || name.len == 0)
            return;
    } while (name.len == 2 && name.data[0] == name.data[1] && (name.data[0] & 0x0f) == 0x0a);
    uint8_t first = (uint8_t)name.data[0], last = (uint8_t)name.data[name.len - 1];
    int plain = is_alphanumeric(first) && is_alphanumeric(last);
    out[0] = plain ? (char)first : digits[first >> 4];
    out[1] = plain ? (char)last : digits[last & 15];
}

static unsigned capped(size_t count)
{
    return count < 99 ? (unsigned)count : 99;
}

/* --- fingerprints --- */

static int has(const struct numbers *numbers, uint16_t value)
{
    for (size_t i = 0; i < numbers->count; i++)
        if (numbers->values[i] == value)
            return 1;
    return 0;
}

static void fingerprint(const struct tls_hello *hello, struct budget *budget,
                        struct numbers list[3], char out[TLS_JA4_SIZE])
{
    struct numbers *ciphers = &list[0], *extensions = &list[1], *signatures = &list[2];
    char alpn[3], offered[HASH_HEX + 1], rest[HASH_HEX + 1];
    if (read_values(hello->ciphers, budget, ciphers) != 0 ||
        read_extensions(hello->extensions, budget, extensions) != 0 ||
        read_values(hello->signatures, budget, signatures) != 0)
        return;
    unsigned count = capped(extensions->count);
    char name = has(extensions, 0) ? 'd' : 'i';
    short_alpn(hello->alpn, alpn);
    drop_told(extensions);
    qsort(ciphers->values, ciphers->count, sizeof *ciphers->values, by_value);
    qsort(extensions->values, extensions->count, sizeof *extensions->values, by_value);
    if (hash_lists(ciphers, NULL, budget, offered) != 0 ||
        hash_lists(extensions, signatures, budget, rest) != 0)
        return;
    (void)snprintf(out, TLS_JA4_SIZE, "t%s%c%02u%02u%s_%s_%s", short_version(hello->version), name,
                   capped(ciphers->count), count, alpn, offered, rest);
}

void tls_ja4(const struct tls_hello *hello, struct budget *budget, char out[TLS_JA4_SIZE])
{
    struct numbers list[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    out[0] = '\0';
    fingerprint(hello, budget, list, out);
    for (size_t i = 0; i < 3; i++)
        budget_free(budget, list[i].values);
}

void tls_ja4s(const struct tls_hello *hello, struct budget *budget, char out[TLS_JA4_SIZE])
{
    struct numbers extensions;
    char alpn[3], hash[HASH_HEX + 1];
    out[0] = '\0';
    if (read_extensions(hello->extensions, budget, &extensions) != 0)
        return;
    short_alpn(hello->alpn, alpn);
    if (hash_lists(&extensions, NULL, budget, hash) == 0)
        (void)snprintf(out, TLS_JA4_SIZE, "t%s%02u%s_%04x_%s", short_version(hello->version),
                       capped(extensions.count), alpn, hello->cipher, hash);
    budget_free(budget, extensions.values);
}
