/*
 * The fields of a header block (RFC 9113 8.2, 8.3). Of a request that asks for no other protocol
 * only the pseudo-header fields are kept; of one that does, and of its answer, all are.
 */
#include <stdio.h>
#include <string.h>

#include "http2_private.h"

void http2_fields_begin(struct http2_fields *fields, int request, int keep, uint64_t offset)
{
    fields->request = request;
    fields->keep = keep;
    fields->regular = fields->cut = 0;
    fields->status = 0;
    fields->count = fields->len = 0;
    fields->field_offset = offset;
    fields->forbidden[0] = '\0';
}

struct text http2_fields_value(const struct http2_fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct http2_line *line = &fields->lines[i];
        if (text_is((struct text){fields->bytes + line->name_at, line->name_len}, name))
            return (struct text){fields->bytes + line->value_at, line->value_len};
    }
    return TEXT_NONE;
}

/* Room for one more field with len bytes. 0, or -1: a limit, or no memory. */
static int reserve(struct http2 *http, struct http2_fields *fields, size_t len)
{
    struct budget *budget = layer_budget(http->layer);
    if (fields->count == HTTP2_FIELDS_MAX || len > HTTP2_HEAD_MAX - fields->len)
        return -1;
    if (fields->count == fields->cap) {
        size_t cap = fields->cap > 0 ? fields->cap * 2 : 16;
        struct http2_line *lines = budget_realloc(budget, fields->lines, cap * sizeof *lines);
        if (lines == NULL)
            return -1;
        fields->lines = lines;
        fields->cap = cap;
    }
    if (fields->len + len > fields->size) {
        size_t size = fields->size > 0 ? fields->size : 512;
        while (size < fields->len + len)
            size *= 2;
        char *bytes = budget_realloc(budget, fields->bytes, size);
        if (bytes == NULL)
            return -1;
        fields->bytes = bytes;
        fields->size = size;
    }
    return 0;
}

static uint32_t put(struct http2_fields *fields, struct text text)
{
    size_t at = fields->len;
    if (text.len > 0)
        memcpy(fields->bytes + at, text.data, text.len);
    fields->len += text.len;
    return (uint32_t)at;
}

/* RFC 9113 8.2.2 */
static int is_forbidden(struct text name, struct text value)
{
    static const char *const names[] = {"connection", "upgrade", "keep-alive", "proxy-connection",
                                        "transfer-encoding"};
    if (name.len == 2)
        return text_is(name, "te") && !text_is(value, "trailers");
    if (name.len < 7)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (text_is(name, names[i]))
            return 1;
    return 0;
}

static unsigned read_status(struct text value)
{
    unsigned status = 0;
    if (value.len != 3)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return 0;
        status = status * 10 + (unsigned)(value.data[i] - '0');
    }
    return status;
}

/* The first field behind the pseudo-header fields: is this a request that asks for a switch? */
static void end_pseudo(struct http2_fields *fields)
{
    fields->regular = 1;
    if (fields->request &&
        http_text_equal(http2_fields_value(fields, ":method"), TEXT_LITERAL("CONNECT")))
        fields->keep = 1;
}

void http2_fields_add(struct http2 *http, struct http2_fields *fields, struct text name,
                      struct text value, uint64_t end)
{
    int pseudo = name.len > 0 && name.data[0] == ':';
    uint64_t offset = fields->field_offset;
    fields->field_offset = end;
    if (!pseudo && !fields->regular)
        end_pseudo(fields);
    if (pseudo && !fields->request && text_is(name, ":status"))
        fields->status = read_status(value);
    if (fields->request && !pseudo && fields->forbidden[0] == '\0' && is_forbidden(name, value)) {
        (void)snprintf(fields->forbidden, sizeof fields->forbidden, "%.*s: %.*s",
                       HTTP_CLIP(name), HTTP_CLIP(value));
        fields->forbidden_offset = offset;
    }
    if (!fields->keep && !(fields->request && pseudo && !fields->regular))
        return;
    if (reserve(http, fields, name.len + value.len) != 0) {
        fields->cut = 1;
        return;
    }
    struct http2_line *line = &fields->lines[fields->count++];
    *line = (struct http2_line){.name_len = (uint32_t)name.len, .value_len = (uint32_t)value.len,
                                .offset = offset};
    line->name_at = put(fields, name);
    line->value_at = put(fields, value);
}

int http2_fields_head(struct http2 *http, const struct http2_fields *fields, uint64_t offset,
                      uint64_t end, struct http_head *head, void **block)
{
    size_t table = fields->count * sizeof(struct http_field);
    struct http_field *copy = budget_alloc(layer_budget(http->layer), table + fields->len);
    *block = copy;
    if (copy == NULL) {
        layer_limit(http->layer, "flow-memory", layer_budget(http->layer)->limit);
        return -1;
    }
    char *bytes = (char *)copy + table;
    if (fields->len > 0)
        memcpy(bytes, fields->bytes, fields->len);
    for (size_t i = 0; i < fields->count; i++) {
        const struct http2_line *line = &fields->lines[i];
        copy[i] = (struct http_field){.name = {bytes + line->name_at, line->name_len},
                                      .value = {bytes + line->value_at, line->value_len},
                                      .offset = line->offset};
    }
    if (fields->cut)
        layer_limit(http->layer, "head-bytes", HTTP2_HEAD_MAX);
    *head = (struct http_head){.response = !fields->request, .http2 = 1, .minor = 1,
                               .status = fields->status, .fields = copy, .count = fields->count,
                               .offset = offset, .end = end,
                               .flags = fields->cut ? HTTP_INCOMPLETE : 0};
    return 0;
}

void http2_fields_release(struct http2 *http, struct http2_fields *fields)
{
    struct budget *budget = layer_budget(http->layer);
    budget_free(budget, fields->lines);
    budget_free(budget, fields->bytes);
}
