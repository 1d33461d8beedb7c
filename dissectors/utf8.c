/*
 * UTF-8 validation, RFC 3629 section 4: a lead byte fixes how many bytes follow and what the first
 * of them may be; eight ASCII bytes at a time are skipped without a look at each.
 */
#include "utf8.h"

#include <string.h>

void utf8_init(struct utf8 *utf8)
{
    *utf8 = (struct utf8){0};
}

static int fail(struct utf8 *utf8, enum utf8_error error)
{
    utf8->error = error;
    utf8->error_offset = utf8->start;
    return -1;
}

static void expect(struct utf8 *utf8, uint8_t left)
{
    utf8->left = left;
    utf8->low = 0x80;
    utf8->high = 0xBF;
    utf8->below = utf8->above = UTF8_TRUNCATED;
}

static int lead(struct utf8 *utf8, uint8_t byte)
{
    if (byte < 0xC0)
        return fail(utf8, UTF8_STRAY);
    if (byte < 0xC2)
        return fail(utf8, UTF8_OVERLONG);
    if (byte >= 0xFE)
        return fail(utf8, UTF8_INVALID_BYTE);
    if (byte > 0xF4)
        return fail(utf8, UTF8_TOO_LARGE);
    expect(utf8, byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3);
    if (byte == 0xE0) {
        utf8->low = 0xA0;
        utf8->below = UTF8_OVERLONG;
    } else if (byte == 0xED) {
        utf8->high = 0x9F;
        utf8->above = UTF8_SURROGATE;
    } else if (byte == 0xF0) {
        utf8->low = 0x90;
        utf8->below = UTF8_OVERLONG;
    } else if (byte == 0xF4) {
        utf8->high = 0x8F;
        utf8->above = UTF8_TOO_LARGE;
    }
    return 0;
}

static int follow(struct utf8 *utf8, uint8_t byte)
{
    if (byte < 0x80 || byte > 0xBF)
        return fail(utf8, UTF8_TRUNCATED);
    if (byte < utf8->low)
        return fail(utf8, (enum utf8_error)utf8->below);
    if (byte > utf8->high)
        return fail(utf8, (enum utf8_error)utf8->above);
    expect(utf8, (uint8_t)(utf8->left - 1));
    return 0;
}

static size_t ascii_run(const uint8_t *data, size_t len)
{
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, data + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    while (at < len && data[at] < 0x80)
        at++;
    return at;
}

int utf8_feed(struct utf8 *utf8, const uint8_t *data, size_t len)
{
    if (utf8->error != UTF8_FINE)
        return -1;
    size_t at = 0;
    while (at < len) {
        if (utf8->left == 0) {
            size_t run = ascii_run(data + at, len - at);
            at += run;
            utf8->offset += run;
            if (at == len)
                break;
            utf8->start = utf8->offset;
            if (lead(utf8, data[at]) != 0)
                return -1;
        } else if (follow(utf8, data[at]) != 0) {
            return -1;
        }
        at++;
        utf8->offset++;
    }
    return 0;
}

int utf8_finish(struct utf8 *utf8)
{
    if (utf8->error == UTF8_FINE && utf8->left > 0)
        return fail(utf8, UTF8_TRUNCATED);
    return utf8->error == UTF8_FINE ? 0 : -1;
}

const char *utf8_error_name(enum utf8_error error)
{
    static const char *const names[] = {
        [UTF8_FINE] = "valid",         [UTF8_OVERLONG] = "overlong",
        [UTF8_SURROGATE] = "surrogate", [UTF8_TOO_LARGE] = "above U+10FFFF",
        [UTF8_TRUNCATED] = "truncated", [UTF8_STRAY] = "stray continuation byte",
        [UTF8_INVALID_BYTE] = "invalid byte",
    };
    return names[error];
}

size_t utf8_cut(const uint8_t *data, size_t len)
{
    for (size_t back = 1; back <= 4 && back <= len; back++) {
        uint8_t byte = data[len - back];
        if (byte >= 0x80 && byte < 0xC0)
            continue;
        size_t whole = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
        return whole > back ? len - back : len;
    }
    return len;
}
