/*
 * JSON objects for layer.detail. Each addition is undone where it does not fit; the two bytes that
 * close a list and the object are kept in reserve.
 */
#include "detail.h"

#include <stdio.h>
#include <string.h>

enum { RESERVE = 2 };

static int put(struct detail *detail, const char *data, size_t len)
{
    if (len > sizeof detail->data - RESERVE - detail->len)
        return 0;
    memcpy(detail->data + detail->len, data, len);
    detail->len += len;
    return 1;
}

static int put_string(struct detail *detail, struct text value)
{
    if (!put(detail, "\"", 1))
        return 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        char escaped[8];
        int len = snprintf(escaped, sizeof escaped,
                           c == '"' || c == '\\' ? "\\%c" : c < 32 || c > 126 ? "\\u%04x" : "%c",
                           c);
        if (!put(detail, escaped, (size_t)len))
            return 0;
    }
    return put(detail, "\"", 1);
}

/* `"name":`, behind what separates it from the member before. */
static int put_name(struct detail *detail, const char *name)
{
    return put(detail, detail->len == 0 ? "{" : ",", 1) &&
           put_string(detail, (struct text){name, strlen(name)}) && put(detail, ":", 1);
}

void detail_text(struct detail *detail, const char *name, struct text value)
{
    size_t before = detail->len;
    if (value.data != NULL && !(put_name(detail, name) && put_string(detail, value)))
        detail->len = before;
}

void detail_number(struct detail *detail, const char *name, uint64_t value)
{
    char digits[24];
    size_t before = detail->len;
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    if (!(put_name(detail, name) && put(detail, digits, (size_t)len)))
        detail->len = before;
}

static int in_list(const struct detail *detail)
{
    return detail->len > 0 && detail->data[detail->len - 1] == '[';
}

void detail_list(struct detail *detail, const char *name)
{
    size_t before = detail->len;
    if (!(put_name(detail, name) && put(detail, "[", 1)))
        detail->len = before;
    else
        detail->open = 1;
}

void detail_item(struct detail *detail, struct text value)
{
    size_t before = detail->len;
    if (detail->open && value.data != NULL &&
        !((in_list(detail) || put(detail, ",", 1)) && put_string(detail, value)))
        detail->len = before;
}

void detail_list_end(struct detail *detail)
{
    if (detail->open)
        detail->data[detail->len++] = ']'; /* in the reserve */
    detail->open = 0;
}

struct text detail_json(struct detail *detail)
{
    if (detail->len == 0)
        return TEXT_NONE;
    detail_list_end(detail);
    detail->data[detail->len++] = '}';
    return (struct text){detail->data, detail->len};
}
