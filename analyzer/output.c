/*
 * Writing for people. Everything that is not ours passes buffer_safe() before it reaches a stream,
 * so that no captured byte can move a cursor, change a title or turn text around.
 */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

/* ---------------------------------------------------------------- buffers */

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = 0;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

const char *buffer_text(const struct buffer *buffer)
{
    return buffer->data != NULL ? buffer->data : "";
}

static int buffer_room(struct buffer *buffer, size_t len)
{
    if (buffer->failed)
        return -1;
    if (buffer->size - buffer->len > len)
        return 0;
    size_t size = buffer->size < 64 ? 64 : buffer->size;
    while (size - buffer->len <= len) {
        if (size > SIZE_MAX / 2) {
            buffer->failed = 1;
            return -1;
        }
        size *= 2;
    }
    char *data = realloc(buffer->data, size);
    if (data == NULL) {
        buffer->failed = 1;
        return -1;
    }
    buffer->data = data;
    buffer->size = size;
    return 0;
}

void buffer_add(struct buffer *buffer, const char *data, size_t len)
{
    if (buffer_room(buffer, len) != 0)
        return;
    if (len > 0)
        memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    buffer->data[buffer->len] = '\0';
}

void buffer_word(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

__attribute__((format(printf, 2, 0))) static void buffer_vformat(struct buffer *buffer,
                                                                 const char *format, va_list list)
{
    va_list again;
    va_copy(again, list);
    int len = vsnprintf(NULL, 0, format, list);
    if (len >= 0 && buffer_room(buffer, (size_t)len) == 0) {
        (void)vsnprintf(buffer->data + buffer->len, (size_t)len + 1, format, again);
        buffer->len += (size_t)len;
    }
    va_end(again);
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    buffer_vformat(buffer, format, list);
    va_end(list);
}

/* ---------------------------------------------------------------- characters */

size_t text_next(const char *data, size_t len, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)data;
    unsigned first = p[0];
    size_t size = first < 0x80   ? 1
                  : first < 0xc2 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf5 ? 4
                                 : 0;
    *code = TEXT_BAD_BYTE + first;
    if (size == 0 || size > len)
        return 1;
    uint32_t value = size == 1 ? first : first & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (p[i] & 0x3fu);
    }
    if ((size == 3 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) ||
        (size == 4 && (value < 0x10000 || value > 0x10ffff)))
        return 1;
    *code = value;
    return size;
}

int text_valid(struct text text)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        at += text_next(text.data + at, text.len - at, &code);
        if (code >= TEXT_BAD_BYTE)
            return 0;
    }
    return 1;
}

/* Characters that turn text around, break lines or hide. */
static int code_disturbs(uint32_t code)
{
    return code == 0xad || code == 0x61c || (code >= 0x200b && code <= 0x200f && code != 0x200d) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
           code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb) ||
           (code >= 0xe0000 && code <= 0xe0fff);
}

int text_code_width(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code > 0x10ffff || code_disturbs(code))
        return -1;
    if (code < 0x7f)
        return 1;
    int width = wcwidth((wchar_t)code);
    return width > 2 ? 2 : width;
}

static void safe_escape(struct buffer *buffer, uint32_t code)
{
    if (code == '\n')
        buffer_word(buffer, "\\n");
    else if (code == '\r')
        buffer_word(buffer, "\\r");
    else if (code == '\t')
        buffer_word(buffer, "\\t");
    else if (code >= TEXT_BAD_BYTE)
        buffer_format(buffer, "\\x%02x", (unsigned)(code - TEXT_BAD_BYTE));
    else if (code < 0x80)
        buffer_format(buffer, "\\x%02x", (unsigned)code);
    else
        buffer_format(buffer, "\\u{%x}", (unsigned)code);
}

void buffer_safe(struct buffer *buffer, struct text text, unsigned flags)
{
    size_t kept = 0; /* from here to `at` everything is fine as it is */
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        size_t size = text_next(text.data + at, text.len - at, &code);
        int fine = text_code_width(code) >= 0 && (code < 0x80 || !(flags & SAFE_ASCII));
        if (flags & SAFE_NEWLINES)
            fine = fine || code == '\n' || code == '\t';
        if (!fine) {
            buffer_add(buffer, text.data + kept, at - kept);
            safe_escape(buffer, code);
            kept = at + size;
        }
        at += size;
    }
    if (text.len > kept)
        buffer_add(buffer, text.data + kept, text.len - kept);
}

static void json_escape(struct buffer *buffer, uint32_t code)
{
    if (code == '"' || code == '\\')
        buffer_format(buffer, "\\%c", (int)code);
    else if (code == '\n')
        buffer_word(buffer, "\\n");
    else if (code == '\r')
        buffer_word(buffer, "\\r");
    else if (code == '\t')
        buffer_word(buffer, "\\t");
    else if (code < 0x10000)
        buffer_format(buffer, "\\u%04x", (unsigned)code);
    else if (code >= TEXT_BAD_BYTE)
        buffer_word(buffer, "\\ufffd");
    else
        buffer_format(buffer, "\\u%04x\\u%04x", 0xd800 + (unsigned)((code - 0x10000) >> 10),
                      0xdc00 + (unsigned)(code & 0x3ff));
}

void buffer_json(struct buffer *buffer, struct text text)
{
    size_t kept = 0;
    buffer_add(buffer, "\"", 1);
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        size_t size = text_next(text.data + at, text.len - at, &code);
        if (text_code_width(code) < 0 || code == '"' || code == '\\') {
            buffer_add(buffer, text.data + kept, at - kept);
            json_escape(buffer, code);
            kept = at + size;
        }
        at += size;
    }
    if (text.len > kept)
        buffer_add(buffer, text.data + kept, text.len - kept);
    buffer_add(buffer, "\"", 1);
}

void buffer_hex(struct buffer *buffer, struct text bytes)
{
    static const char digits[] = "0123456789abcdef";
    if (buffer_room(buffer, bytes.len * 2) != 0)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        buffer->data[buffer->len++] = digits[byte >> 4];
        buffer->data[buffer->len++] = digits[byte & 15];
    }
    buffer->data[buffer->len] = '\0';
}

size_t text_width(const char *data, size_t len)
{
    size_t width = 0;
    for (size_t at = 0; at < len;) {
        uint32_t code;
        at += text_next(data + at, len - at, &code);
        int columns = text_code_width(code);
        width += columns > 0 ? (size_t)columns : 0;
    }
    return width;
}

size_t text_fit(const char *data, size_t len, size_t columns)
{
    size_t width = 0, at = 0;
    while (at < len) {
        uint32_t code;
        size_t size = text_next(data + at, len - at, &code);
        int one = text_code_width(code);
        width += one > 0 ? (size_t)one : 0;
        if (width > columns)
            break;
        at += size;
    }
    return at;
}

struct text text_of(const char *string)
{
    return string != NULL ? (struct text){string, strlen(string)} : TEXT_NONE;
}

/* ---------------------------------------------------------------- streams */

static size_t terminal_width(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *columns = getenv("COLUMNS");
    char *end;
    unsigned long width = columns != NULL ? strtoul(columns, &end, 10) : 0;
    return width >= 20 && width <= 10000 ? width : 80;
}

void output_init(struct output *out, FILE *file)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    *out = (struct output){.file = file};
    int fd = fileno(file);
    out->terminal = isatty(fd);
    if (!out->terminal)
        return;
    out->width = terminal_width(fd);
    out->colour =
        (no_colour == NULL || no_colour[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
    const char *locale = getenv("LC_ALL");
    if (locale == NULL || locale[0] == '\0')
        locale = getenv("LC_CTYPE");
    if (locale == NULL || locale[0] == '\0')
        locale = getenv("LANG");
    out->ascii = locale == NULL ||
                 (strcasestr(locale, "utf-8") == NULL && strcasestr(locale, "utf8") == NULL);
}

void output_write(struct output *out, const char *data, size_t len)
{
    if (out->error != 0 || len == 0)
        return;
    errno = 0;
    if (fwrite(data, 1, len, out->file) != len)
        out->error = errno != 0 ? errno : EIO;
}

void output_word(struct output *out, const char *text)
{
    output_write(out, text, strlen(text));
}

static void output_buffer(struct output *out, struct buffer *buffer)
{
    if (buffer->failed && out->error == 0)
        out->error = ENOMEM;
    output_write(out, buffer_text(buffer), buffer->len);
    buffer_release(buffer);
}

void output_format(struct output *out, const char *format, ...)
{
    struct buffer buffer = {0};
    va_list list;
    va_start(list, format);
    buffer_vformat(&buffer, format, list);
    va_end(list);
    output_buffer(out, &buffer);
}

unsigned output_safety(const struct output *out)
{
    return out->ascii ? SAFE_ASCII : SAFE_LINE;
}

void output_safe(struct output *out, struct text text)
{
    struct buffer buffer = {0};
    buffer_safe(&buffer, text, output_safety(out));
    output_buffer(out, &buffer);
}

void output_style(struct output *out, enum style style)
{
    static const char *const codes[] = {
        [STYLE_PLAIN] = "\033[0m", [STYLE_DIM] = "\033[2m",     [STYLE_BOLD] = "\033[1m",
        [STYLE_RED] = "\033[31m",  [STYLE_YELLOW] = "\033[33m", [STYLE_GREEN] = "\033[32m",
        [STYLE_CYAN] = "\033[36m",
    };
    if (out->colour)
        output_word(out, codes[style]);
}

void output_styled(struct output *out, enum style style, const char *safe)
{
    if (style != STYLE_PLAIN)
        output_style(out, style);
    output_word(out, safe);
    if (style != STYLE_PLAIN)
        output_style(out, STYLE_PLAIN);
}

/* The bytes of the next line of at most `columns`, broken at a blank where there is one. */
static size_t wrap_line(const char *text, size_t columns)
{
    size_t len = strlen(text);
    size_t fit = text_fit(text, len, columns);
    if (fit == len)
        return len;
    for (size_t at = fit; at > 0; at--) {
        if (text[at] == ' ')
            return at;
    }
    return fit > 0 ? fit : 1;
}

void output_wrapped(struct output *out, const char *safe, size_t indent)
{
    size_t width = out->width == 0 || out->width > 100 ? 100 : out->width;
    size_t columns = width > indent + 20 ? width - indent : 20;
    for (;;) {
        size_t len = wrap_line(safe, columns);
        output_write(out, safe, len);
        output_word(out, "\n");
        safe += len;
        while (*safe == ' ')
            safe++;
        if (*safe == '\0')
            return;
        for (size_t i = 0; i < indent; i++)
            output_word(out, " ");
    }
}

void output_flush(struct output *out)
{
    errno = 0;
    if (fflush(out->file) != 0 && out->error == 0)
        out->error = errno != 0 ? errno : EIO;
}

int output_finish(struct output *out)
{
    output_flush(out);
    if (out->error == 0)
        return 0;
    if (out->error != EPIPE)
        complain("writing the output failed: %s", strerror(out->error));
    return 3;
}

void complain(const char *format, ...)
{
    struct buffer plain = {0}, safe = {0};
    va_list list;
    va_start(list, format);
    buffer_vformat(&plain, format, list);
    va_end(list);
    buffer_word(&safe, "switchtap: ");
    buffer_safe(&safe, (struct text){buffer_text(&plain), plain.len}, SAFE_LINE);
    buffer_word(&safe, "\n");
    (void)fflush(stdout);
    (void)fwrite(buffer_text(&safe), 1, safe.len, stderr);
    (void)fflush(stderr);
    buffer_release(&plain);
    buffer_release(&safe);
}

/* ---------------------------------------------------------------- words */

const char *output_count(uint64_t value, char text[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, value);
    size_t at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && len > 4)
            text[at++] = ' ';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *output_bytes(uint64_t bytes, char text[32])
{
    static const char units[] = "kMGTPE";
    if (bytes < 1000) {
        (void)snprintf(text, 32, "%" PRIu64 " B", bytes);
        return text;
    }
    double value = (double)bytes / 1000;
    size_t unit = 0;
    while (value >= 999.5 && units[unit + 1] != '\0') {
        value /= 1000;
        unit++;
    }
    (void)snprintf(text, 32, value < 9.95 ? "%.1f %cB" : "%.0f %cB", value, units[unit]);
    return text;
}

/* Edits (insert, drop, change, swap of neighbours) from one word to another; words up to 40. */
static unsigned distance(const char *a, const char *b)
{
    enum { MOST = 40 };
    unsigned rows[3][MOST + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > MOST || m > MOST)
        return MOST;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *now = rows[i % 3], *last = rows[(i - 1) % 3];
        const unsigned *before = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *closest(const char *word, const char *const *names)
{
    const char *found = NULL;
    size_t len = strlen(word);
    unsigned best = len < 4 ? 2 : len < 8 ? 3 : 4; /* fewer edits than this */
    for (; *names != NULL; names++) {
        unsigned edits = distance(word, *names);
        if (len >= 3 && strncmp(word, *names, len) == 0)
            edits = 1; /* the beginning of it */
        if (edits < best) {
            best = edits;
            found = *names;
        }
    }
    return found;
}
