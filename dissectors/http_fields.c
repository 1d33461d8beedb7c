/*
 * Fields, lists, parameters and tokens of HTTP heads (RFC 9110 5.6).
 */
#include "http_fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int http_text_begins(struct text text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.data != NULL && text.len >= len && strncasecmp(text.data, prefix, len) == 0;
}

int http_text_same(struct text a, struct text b)
{
    return a.data != NULL && b.data != NULL && a.len == b.len &&
           strncasecmp(a.data, b.data, a.len) == 0;
}

int http_text_equal(struct text a, struct text b)
{
    return a.data != NULL && b.data != NULL && a.len == b.len &&
           (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int http_text_contains(struct text text, const char *part)
{
    size_t len = strlen(part);
    for (size_t i = 0; text.data != NULL && i + len <= text.len; i++)
        if (strncasecmp(text.data + i, part, len) == 0)
            return 1;
    return 0;
}

static int is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

struct text http_text_trim(struct text text)
{
    while (text.len > 0 && is_space(text.data[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    return text;
}

struct text http_text_before(struct text text, char byte)
{
    const char *end = text.len > 0 ? memchr(text.data, byte, text.len) : NULL;
    if (end != NULL)
        text.len = (size_t)(end - text.data);
    return text;
}

int http_is_token_char(uint8_t byte)
{
    if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
        (byte >= 'a' && byte <= 'z'))
        return 1;
    return byte != 0 && byte < 0x80 && strchr("!#$%&'*+-.^_`|~", byte) != NULL;
}

int http_is_token(struct text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!http_is_token_char((uint8_t)text.data[i]))
            return 0;
    return text.len > 0;
}

static const struct http_field *find_from(const struct http_head *head, const char *name,
                                          size_t *at)
{
    for (size_t i = *at; head != NULL && i < head->count; i++) {
        if (text_is(head->fields[i].name, name)) {
            *at = i + 1;
            return &head->fields[i];
        }
    }
    return NULL;
}

const struct http_field *http_field_find(const struct http_head *head, const char *name)
{
    size_t at = 0;
    return find_from(head, name, &at);
}

size_t http_field_count(const struct http_head *head, const char *name)
{
    size_t at = 0, count = 0;
    while (find_from(head, name, &at) != NULL)
        count++;
    return count;
}

struct text http_field_value(const struct http_head *head, const char *name)
{
    const struct http_field *field = http_field_find(head, name);
    return field != NULL ? field->value : TEXT_NONE;
}

/* How many bytes come before `byte`, outside quoted strings; all where there is none. An unclosed
 * quote runs to the end. */
static size_t until(struct text text, char byte)
{
    int quoted = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && c == byte)
            return i;
    }
    return text.len;
}

/* Takes what is before `byte` from the rest, trimmed. Returns 0 where it was the last piece. */
static int cut(struct text *rest, char byte, struct text *piece)
{
    size_t len = until(*rest, byte);
    *piece = http_text_trim((struct text){rest->data, len});
    if (len >= rest->len)
        return 0;
    rest->data += len + 1;
    rest->len -= len + 1;
    return 1;
}

struct http_list http_list_of(const struct http_head *head, const char *name)
{
    return (struct http_list){.head = head, .name = name};
}

int http_list_next(struct http_list *list, struct text *member)
{
    if (!list->open) {
        list->field = find_from(list->head, list->name, &list->at);
        if (list->field == NULL)
            return 0;
        list->rest = list->field->value;
    }
    list->open = cut(&list->rest, ',', member);
    return 1;
}

int http_list_has_text(const struct http_head *head, const char *name, struct text token)
{
    struct http_list list = http_list_of(head, name);
    struct text member;
    while (http_list_next(&list, &member))
        if (http_text_same(http_text_trim(http_text_before(member, ';')), token))
            return 1;
    return 0;
}

int http_list_has(const struct http_head *head, const char *name, const char *token)
{
    return http_list_has_text(head, name, (struct text){token, strlen(token)});
}

struct http_params http_params_of(struct text member)
{
    return (struct http_params){.rest = member, .open = 1};
}

/* Between the quotes, escapes kept; bad where the quote does not close at the end. */
static struct text inside_quotes(struct text value, int *bad)
{
    size_t i = 1;
    while (i < value.len && value.data[i] != '"')
        i += value.data[i] == '\\' ? 2 : 1;
    if (i + 1 != value.len)
        *bad = 1;
    size_t end = i < value.len ? i : value.len;
    return (struct text){value.data + 1, end > 1 ? end - 1 : 0};
}

int http_params_next(struct http_params *params, struct http_param *param)
{
    if (!params->open)
        return 0;
    struct text item;
    params->open = cut(&params->rest, ';', &item);
    *param = (struct http_param){0};
    size_t equals = until(item, '=');
    param->name = http_text_trim((struct text){item.data, equals});
    param->bad = !http_is_token(param->name);
    if (equals == item.len)
        return 1;
    struct text value =
        http_text_trim((struct text){item.data + equals + 1, item.len - equals - 1});
    param->quoted = value.len > 0 && value.data[0] == '"';
    if (param->quoted)
        value = inside_quotes(value, &param->bad);
    else if (!http_is_token(value))
        param->bad = 1;
    param->value = value;
    return 1;
}

void http_authority_split(struct text authority, struct text *host, struct text *port)
{
    *host = authority;
    *port = TEXT_NONE;
    if (authority.len == 0)
        return;
    size_t at = 0;
    if (authority.data[0] == '[') {
        const char *end = memchr(authority.data, ']', authority.len);
        if (end == NULL)
            return;
        at = (size_t)(end - authority.data) + 1;
        *host = (struct text){authority.data + 1, at - 2};
    } else {
        *host = http_text_before(authority, ':');
        at = host->len;
    }
    if (at < authority.len && authority.data[at] == ':')
        *port = (struct text){authority.data + at + 1, authority.len - at - 1};
}

struct text http_uri_authority(struct text uri)
{
    struct text scheme = http_text_before(uri, ':');
    if (scheme.len + 3 > uri.len || scheme.len == 0 || !http_is_token(scheme) ||
        memcmp(uri.data + scheme.len, "://", 3) != 0)
        return TEXT_NONE;
    struct text rest = {uri.data + scheme.len + 3, uri.len - scheme.len - 3};
    rest = http_text_before(rest, '/');
    rest = http_text_before(rest, '?');
    rest = http_text_before(rest, '#');
    struct text user = http_text_before(rest, '@');
    if (user.len < rest.len) {
        rest.data += user.len + 1;
        rest.len -= user.len + 1;
    }
    return rest;
}

void http_report_finding(const struct http_report *report, enum side side, enum rule rule,
                         uint64_t offset, const char *format, ...)
{
    char evidence[320];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(evidence, sizeof evidence, format, arguments);
    va_end(arguments);
    size_t used = len < 0 ? 0 : (size_t)len < sizeof evidence ? (size_t)len : sizeof evidence - 1;
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)evidence[i] < 0x20 || (unsigned char)evidence[i] > 0x7e)
            evidence[i] = '?';
    report->finding(report->context, side, rule, offset, (struct text){evidence, used});
}
