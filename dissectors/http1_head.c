/*
 * Heads of HTTP/1.x messages (RFC 9112 2 to 5): start lines, fields, and what they say about the
 * framing of the body. A head is consumed line by line, so that its length costs nothing; where it
 * lies in one slice it is read in place, else its bytes are gathered. A field is read when the
 * byte behind its line is known, which may continue it (obs-fold).
 */
#include <string.h>
#include <strings.h>

#include "http1_private.h"
#include "reader.h"

/* --- start lines --- */

static const char *const methods[] = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH",
                                      "CONNECT", "TRACE", "PROPFIND", "REPORT", "SUBSCRIBE"};

static int known_method(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strlen(methods[i]) == len && memcmp(methods[i], data, len) == 0)
            return 1;
    return 0;
}

/* The part of `word` that is there; < 0 differs, 0 could become it, > 0 is it. */
static int begins_with(const uint8_t *data, size_t len, const char *word)
{
    size_t whole = strlen(word);
    if (memcmp(data, word, len < whole ? len : whole) != 0)
        return -1;
    return len >= whole;
}

/* `HTTP/1.` digit and the end of the line, behind the target. */
static int version_probe(const uint8_t *data, size_t len)
{
    static const char word[] = "HTTP/1.";
    int is = begins_with(data, len, word);
    if (is <= 0)
        return is;
    struct reader r = reader_of(data, len);
    reader_skip(&r, sizeof word - 1);
    int digit = reader_peek(&r, 0), next = reader_peek(&r, 1), last = reader_peek(&r, 2);
    if (digit < 0)
        return 0;
    if (digit < '0' || digit > '9')
        return -1;
    if (next < 0)
        return 0;
    if (next == '\n')
        return 1;
    if (next != '\r')
        return -1;
    return last < 0 ? 0 : last == '\n' ? 1 : -1;
}

/* host:port with a port of digits: what CONNECT names, and neither NATS nor IRC say it so. */
static int is_authority(const uint8_t *data, size_t len)
{
    struct text host, port;
    http_authority_split((struct text){(const char *)data, len}, &host, &port);
    if (host.len == 0 || port.len == 0 || port.len > 5)
        return 0;
    for (size_t i = 0; i < port.len; i++)
        if (port.data[i] < '0' || port.data[i] > '9')
            return 0;
    return 1;
}

static size_t skip_blanks(const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && (data[at] == ' ' || data[at] == '\t'))
        at++;
    return at;
}

/* The target and the version of a request line. A CONNECT whose version is broken or missing is
 * still one where it names host and port. */
static int target_probe(const uint8_t *data, size_t len, int known, int connect)
{
    size_t at = 0, blanks = connect ? skip_blanks(data, len) : 0;
    data += blanks;
    len -= blanks;
    while (at < len && data[at] > ' ' && data[at] != 0x7f)
        at++;
    if (at == len)
        return known && len > HTTP1_TARGET_MAX ? 40 : 0;
    if (at == 0)
        return -1;
    if (data[at] == ' ') {
        int version = version_probe(data + at + 1, len - at - 1);
        if (version >= 0)
            return version == 0 ? 0 : known ? 95 : 80;
    }
    if (!connect || !is_authority(data, at))
        return -1;
    return memchr(data + at, '\n', len - at) != NULL ? 60 : len > HTTP1_TARGET_MAX ? -1 : 0;
}

int http1_request_probe(const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && at <= 20 && http_is_token_char(data[at]))
        at++;
    /* Methods are in capitals; CONNECT is believed without them where all else fits. */
    int connect = at <= 7 && strncasecmp((const char *)data, "CONNECT", at) == 0;
    for (size_t i = 0; i < at && !connect; i++)
        if (data[i] >= 'a' && data[i] <= 'z')
            return -1;
    if (at > 20)
        return -1;
    if (at == len)
        return 0;
    if (at == 0 || data[at] != ' ')
        return -1;
    return target_probe(data + at + 1, len - at - 1, known_method(data, at), connect && at == 7);
}

int http1_status_probe(const uint8_t *data, size_t len)
{
    int is = begins_with(data, len, "HTTP/1.");
    if (is <= 0)
        return is;
    struct reader r = reader_of(data, len);
    reader_skip(&r, 7);
    for (size_t i = 0; i < 5; i++) {
        int byte = reader_peek(&r, i);
        if (byte < 0)
            return 0;
        if (i == 1 ? byte != ' ' : byte < '0' || byte > '9')
            return -1;
    }
    int behind = reader_peek(&r, 5);
    if (behind < 0)
        return 0;
    return behind == ' ' || behind == '\r' || behind == '\n' ? 95 : -1;
}

static size_t line_text(const uint8_t *data, size_t len)
{
    if (len > 0 && data[len - 1] == '\n')
        len--;
    if (len > 0 && data[len - 1] == '\r')
        len--;
    return len;
}

static void flaw(struct http1_head *head, unsigned flag, size_t at)
{
    if ((head->flags & ~(unsigned)HTTP_INCOMPLETE) == 0)
        head->flaw_offset = head->offset + head->length + at;
    head->flags |= flag;
}

static uint32_t find_blank(const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && data[at] != ' ' && data[at] != '\t')
        at++;
    return (uint32_t)at;
}

static void request_line(struct http1_head *head, const uint8_t *data, size_t len)
{
    len = line_text(data, len);
    head->minor = 1;
    head->method_len = find_blank(data, len);
    head->target_at = head->method_len;
    head->target_at += (uint32_t)skip_blanks(data + head->target_at, len - head->target_at);
    head->target_len = find_blank(data + head->target_at, len - head->target_at);
    size_t version = head->target_at + head->target_len;
    version += skip_blanks(data + version, len - version);
    if (version + 8 > len || strncasecmp((const char *)data + version, "HTTP/1.", 7) != 0) {
        flaw(head, HTTP_BROKEN_START, 0);
        return;
    }
    struct reader r = reader_of(data, len);
    reader_skip(&r, version + 7);
    head->minor = (unsigned)(reader_u8(&r) - '0');
    if (memcmp(data + version, "HTTP", 4) != 0)
        flaw(head, HTTP_BROKEN_START, 0);
}

static void status_line(struct http1_head *head, const uint8_t *data, size_t len)
{
    len = line_text(data, len);
    struct reader r = reader_of(data, len);
    reader_skip(&r, 7);
    head->minor = (unsigned)(reader_u8(&r) - '0');
    reader_skip(&r, 1);
    for (int i = 0; i < 3; i++)
        head->status = head->status * 10 + (unsigned)(reader_u8(&r) - '0');
    head->reason_at = (uint32_t)(r.at < len ? r.at + 1 : len);
    head->reason_len = (uint32_t)len - head->reason_at;
}

/* --- fields --- */

static void read_length(struct http1_head *head, struct text value, size_t at)
{
    struct text rest = value;
    for (;;) { /* "5, 5" says the same twice (RFC 9110 8.6) */
        struct text member = http_text_trim(http_text_before(rest, ','));
        uint64_t number = 0;
        int bad = member.len == 0 || member.len > 18;
        for (size_t i = 0; i < member.len && !bad; i++) {
            bad = member.data[i] < '0' || member.data[i] > '9';
            number = number * 10 + (uint64_t)(member.data[i] - '0');
        }
        if (bad || ((head->seen & HTTP1_LENGTH) != 0 && number != head->content_length))
            flaw(head, HTTP_LENGTH_CONFLICT, at);
        else
            head->content_length = number;
        head->seen |= HTTP1_LENGTH;
        size_t used = http_text_before(rest, ',').len;
        if (used == rest.len)
            return;
        rest.data += used + 1;
        rest.len -= used + 1;
    }
}

static void read_tokens(struct http1_head *head, struct text value, int connection)
{
    struct text rest = value;
    for (;;) {
        size_t used = http_text_before(rest, ',').len;
        struct text member = http_text_trim((struct text){rest.data, used});
        if (connection && text_is(member, "upgrade"))
            head->seen |= HTTP1_CONNECTION_UPGRADE;
        else if (connection && text_is(member, "close"))
            head->seen |= HTTP1_CLOSE;
        else if (!connection && member.len > 0)
            head->seen = (head->seen & ~(unsigned)HTTP1_CHUNKED) |
                         (text_is(member, "chunked") ? HTTP1_CHUNKED : 0);
        if (used == rest.len)
            return;
        rest.data += used + 1;
        rest.len -= used + 1;
    }
}

/* What a field means for the message it stands in. */
static void heed(struct http1_head *head, struct text name, struct text value, size_t at)
{
    switch (name.data[0]) {
    case 'c': case 'C':
        if (text_is(name, "content-length")) {
            if ((head->seen & HTTP1_LENGTH) != 0 && !head->response)
                flaw(head, HTTP_LENGTH_CONFLICT, at);
            read_length(head, value, at);
        } else if (text_is(name, "connection")) {
            read_tokens(head, value, 1);
        } else if (text_is(name, "content-type") &&
                   http_text_begins(value, "application/vnd.docker.")) {
            head->seen |= HTTP1_DOCKER;
        }
        break;
    case 't': case 'T':
        if (text_is(name, "transfer-encoding")) {
            head->seen |= HTTP1_TRANSFER;
            read_tokens(head, value, 0);
        }
        break;
    case 'u': case 'U':
        if (text_is(name, "upgrade"))
            head->seen |= HTTP1_UPGRADE;
        break;
    case 's': case 'S':
        if (http_text_begins(name, "sec-websocket-"))
            head->seen |= HTTP1_WEBSOCKET;
        if (text_is(name, "sec-websocket-key1"))
            head->seen |= HTTP1_HIXIE;
        break;
    case 'e': case 'E':
        if (text_is(name, "expect") && text_is(value, "100-continue"))
            head->seen |= HTTP1_EXPECT;
        break;
    default:
        break;
    }
}

/* --- keeping --- */

/* Appends kept bytes of the slice up to `end` to the buffer. -1: no memory, nothing is kept. */
static int flush_kept(struct http1_head *head, struct layer *layer, const uint8_t *data, size_t end)
{
    size_t len = end > head->segment ? end - head->segment : 0;
    const uint8_t *from = data + head->segment;
    head->segment = end;
    if (len == 0 || head->closed)
        return 0;
    if (head->stored + len > head->buffer_cap) {
        size_t cap = head->buffer_cap > 0 ? head->buffer_cap : 1024;
        while (cap < head->stored + len)
            cap *= 2;
        char *buffer = budget_realloc(layer_budget(layer), head->buffer, cap);
        if (buffer == NULL) {
            head->closed = 1;
            head->flags |= HTTP_INCOMPLETE;
            layer_limit(layer, "flow-memory", layer_budget(layer)->limit);
            while (head->count > 0 && (size_t)head->lines[head->count - 1].value_at +
                                              head->lines[head->count - 1].value_len > head->stored)
                head->count--;
            return -1;
        }
        head->buffer = buffer;
        head->buffer_cap = cap;
    }
    memcpy(head->buffer + head->stored, from, len);
    head->stored += len;
    return 0;
}

/* Fields that decide what is agreed: they are kept where others are not any more. */
static int is_of_handshake(struct text name)
{
    static const char *const names[] = {"host", "upgrade", "connection", "origin",
                                        "content-length", "transfer-encoding", "http2-settings"};
    if (http_text_begins(name, "sec-websocket-"))
        return 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (text_is(name, names[i]))
            return 1;
    return 0;
}

/* Is there room for a line that ends at `end` of the kept bytes? */
static int has_room(struct http1_head *head, struct layer *layer, struct text name, uint64_t end)
{
    int more = is_of_handshake(name);
    size_t bytes = HTTP1_HEAD_MAX + (more ? HTTP1_HEAD_RESERVE : 0);
    size_t fields = HTTP1_FIELDS_MAX + (more ? HTTP1_FIELDS_RESERVE : 0);
    if (head->closed)
        return 0;
    if (end <= bytes && head->count < fields)
        return 1;
    head->flags |= HTTP_INCOMPLETE;
    if (end > bytes)
        layer_limit(layer, "http-head-bytes", HTTP1_HEAD_MAX);
    else
        layer_limit(layer, "http-head-fields", HTTP1_FIELDS_MAX);
    return 0;
}

static int keep_line(struct http1_head *head, struct layer *layer, const struct http1_line *line)
{
    if (head->count == head->cap) {
        size_t cap = head->cap > 0 ? head->cap * 2 : 16;
        struct http1_line *lines =
            budget_realloc(layer_budget(layer), head->lines, cap * sizeof *lines);
        if (lines == NULL) {
            head->closed = 1;
            head->flags |= HTTP_INCOMPLETE;
            layer_limit(layer, "flow-memory", layer_budget(layer)->limit);
            return 0;
        }
        head->lines = lines;
        head->cap = cap;
    }
    head->lines[head->count++] = *line;
    return 1;
}

/* A logical line of len bytes at `at` of the slice. Returns 1 where its bytes are to be kept. */
static int field_line(struct http1_head *head, struct layer *layer, const uint8_t *data,
                      size_t len, size_t at)
{
    len = line_text(data, len);
    if (len == 0 || data[0] == ' ' || data[0] == '\t') { /* in front of all fields (RFC 9112 2.2) */
        flaw(head, HTTP_OBS_FOLD, at);
        return 0;
    }
    const uint8_t *colon = memchr(data, ':', len);
    size_t name_len = colon != NULL ? (size_t)(colon - data) : 0;
    if (name_len == 0) {
        flaw(head, HTTP_LINE_WITHOUT_COLON, at);
        return 0;
    }
    if (memchr(data, '\n', len) != NULL)
        flaw(head, HTTP_OBS_FOLD, at);
    struct text name = http_text_trim((struct text){(const char *)data, name_len});
    if (name.len != name_len)
        flaw(head, HTTP_SPACE_BEFORE_COLON, at);
    if (name.len == 0)
        return 0;
    struct text value = http_text_trim((struct text){(const char *)data + name_len + 1,
                                                     len - name_len - 1});
    heed(head, name, value, at);
    size_t place = head->stored + (at - head->segment);
    size_t value_at = place + (size_t)((const uint8_t *)value.data - data);
    if (!has_room(head, layer, name, (uint64_t)place + len))
        return 0;
    struct http1_line line = {
        .name_at = (uint32_t)place,
        .name_len = (uint32_t)name.len,
        .value_at = (uint32_t)value_at,
        .value_len = (uint32_t)value.len,
        .offset = head->length + at,
    };
    if (text_is(name, "host") && head->host_len == 0) {
        head->host_at = line.value_at;
        head->host_len = line.value_len;
    }
    return keep_line(head, layer, &line);
}

/* --- lines --- */

enum found { FOUND_NONE, FOUND_LINE, FOUND_LONG };

/* Where the logical line ends that begins at data: behind its LF. A field ends where the next line
 * does not begin with white space. */
static enum found find_line(struct http1_head *head, const uint8_t *data, size_t len, size_t *end)
{
    size_t window = len < HTTP1_LINE_MAX ? len : HTTP1_LINE_MAX;
    size_t at = head->scanned;
    while (at < window) {
        const uint8_t *lf = memchr(data + at, '\n', window - at);
        if (lf == NULL) {
            at = window;
            break;
        }
        *end = (size_t)(lf - data) + 1;
        if (head->stage == HTTP1_START_LINE)
            return FOUND_LINE;
        at = *end - 1;
        if (*end == window)
            break;
        if (data[*end] != ' ' && data[*end] != '\t')
            return FOUND_LINE;
        at = *end;
    }
    head->scanned = at;
    return len >= HTTP1_LINE_MAX ? FOUND_LONG : FOUND_NONE;
}

/* The empty line that ends a head: its length, 0 where it is none, -1 where one byte is missing. */
static int empty_line(const uint8_t *data, size_t len)
{
    if (data[0] == '\n')
        return 1;
    if (data[0] != '\r')
        return 0;
    return len < 2 ? -1 : data[1] == '\n' ? 2 : 0;
}

/* Passes over the rest of a line that was cut. Returns the bytes consumed, 0: more are needed. */
static size_t skip_line(struct http1_head *head, const uint8_t *data, size_t len)
{
    const uint8_t *lf = memchr(data, '\n', len);
    if (lf == NULL)
        return len;
    size_t at = (size_t)(lf - data);
    if (at + 1 == len)
        return at; /* up to the LF: what follows says whether the line goes on */
    if (data[at + 1] != ' ' && data[at + 1] != '\t')
        head->stage = HTTP1_FIELDS;
    return at + 1;
}

static void take_line(struct http1_head *head, struct layer *layer, const uint8_t *data,
                      size_t len, size_t at, int whole)
{
    if (whole && (len < 2 || data[len - 2] != '\r'))
        flaw(head, HTTP_BARE_LF, at);
    int keep = 1;
    if (head->stage == HTTP1_FIELDS)
        keep = field_line(head, layer, data, len, at);
    else if (head->response)
        status_line(head, data, len);
    else
        request_line(head, data, len);
    if (!keep || !whole) { /* what is kept goes on behind it */
        (void)flush_kept(head, layer, data - at, keep ? at + len : at);
        head->segment = at + len;
    }
    head->stage = whole ? HTTP1_FIELDS : HTTP1_SKIP_LINE;
    if (whole)
        return;
    head->flags |= HTTP_INCOMPLETE;
    layer_limit(layer, "http-line", HTTP1_LINE_MAX);
}

/* One step at data. Returns bytes consumed; 0 with *done 0: more bytes are needed. */
static size_t head_step(struct http1_head *head, struct layer *layer, const uint8_t *data,
                        size_t len, size_t at, int *done)
{
    if (head->stage == HTTP1_SKIP_LINE)
        return skip_line(head, data, len);
    if (head->stage == HTTP1_FIELDS) {
        int empty = empty_line(data, len);
        if (empty < 0)
            return 0;
        if (empty == 1)
            flaw(head, HTTP_BARE_LF | HTTP_END_BARE_LF, at);
        *done = empty > 0;
        if (empty > 0)
            return (size_t)empty;
        if (head->ends_at_garbage && head->status == 101 && !http_is_token_char(data[0]) &&
            data[0] != ' ' && data[0] != '\t') {
            flaw(head, HTTP_NOT_TERMINATED, at);
            *done = 1;
            return 0;
        }
    }
    size_t end;
    switch (find_line(head, data, len, &end)) {
    case FOUND_LINE:
        take_line(head, layer, data, end, at, 1);
        return end;
    case FOUND_LONG:
        take_line(head, layer, data, HTTP1_LINE_MAX, at, 0);
        return HTTP1_LINE_MAX;
    case FOUND_NONE:
        break;
    }
    return 0;
}

/* --- the doors --- */

void http1_head_begin(struct http1_head *head, int response, uint64_t offset)
{
    struct http1_line *lines = head->lines;
    size_t cap = head->cap;
    char *buffer = head->buffer;
    size_t buffer_cap = head->buffer_cap;
    *head = (struct http1_head){.offset = offset, .response = response, .lines = lines,
                                .cap = cap, .buffer = buffer, .buffer_cap = buffer_cap};
}

void http1_head_release(struct http1_head *head, struct budget *budget)
{
    budget_free(budget, head->lines);
    budget_free(budget, head->buffer);
    head->lines = NULL;
    head->buffer = NULL;
    head->cap = head->buffer_cap = head->stored = head->count = 0;
}

size_t http1_head_feed(struct http1_head *head, struct layer *layer, const struct slice *slice,
                       int *done, const char **base)
{
    uint64_t before = head->length;
    size_t at = 0;
    *done = 0;
    head->segment = 0;
    while (at < slice->len && !*done) {
        int skipping = head->stage == HTTP1_SKIP_LINE;
        size_t step = head_step(head, layer, slice->data + at, slice->len - at, at, done);
        if (step == 0)
            break;
        head->scanned = 0;
        at += step;
        if (skipping)
            head->segment = at;
    }
    if (*done && before == 0 && head->segment == 0) { /* nothing was left out: read it in place */
        head->stored = at;
        *base = (const char *)slice->data;
    } else {
        (void)flush_kept(head, layer, slice->data, at);
        *base = head->buffer;
    }
    head->length = before + at;
    return at;
}

struct text http1_head_text(const struct http1_head *head, const char *base, uint32_t at,
                            uint32_t len)
{
    if (base == NULL || (size_t)at + len > head->stored)
        return TEXT_NONE;
    return (struct text){base + at, len};
}

int http1_head_copy(const struct http1_head *head, const char *base, struct budget *budget,
                    struct http_head *out, void **block)
{
    struct http_field *fields =
        budget_alloc(budget, head->count * sizeof *fields + head->stored + 1);
    *block = fields;
    if (fields == NULL)
        return -1;
    char *bytes = (char *)(fields + head->count);
    if (head->stored > 0)
        memcpy(bytes, base, head->stored);
    for (size_t i = 0; i < head->count; i++) {
        const struct http1_line *line = &head->lines[i];
        for (uint32_t k = 0; k < line->value_len; k++) { /* a fold is white space (RFC 9112 5.2) */
            char *byte = &bytes[line->value_at + k];
            if (*byte == '\r' || *byte == '\n')
                *byte = ' ';
        }
        fields[i] = (struct http_field){
            .name = {bytes + line->name_at, line->name_len},
            .value = {bytes + line->value_at, line->value_len},
            .offset = head->offset + line->offset,
        };
    }
    *out = (struct http_head){
        .response = head->response, .minor = head->minor, .status = head->status,
        .fields = fields, .count = head->count,
        .offset = head->offset, .end = head->offset + head->length,
        .flags = head->flags, .flaw_offset = head->flaw_offset,
    };
    if (head->response) {
        out->reason = http1_head_text(head, bytes, head->reason_at, head->reason_len);
    } else {
        out->method = http1_head_text(head, bytes, 0, head->method_len);
        out->target = http1_head_text(head, bytes, head->target_at, head->target_len);
    }
    return 0;
}
