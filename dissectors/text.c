/*
 * Comparisons of borrowed text.
 */
#include "text.h"

#include <string.h>
#include <strings.h>

int text_is(struct text text, const char *constant)
{
    return text.data != NULL && text.len == strlen(constant) &&
           strncasecmp(text.data, constant, text.len) == 0;
}

int text_begins(struct text text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.data != NULL && text.len >= len && strncasecmp(text.data, prefix, len) == 0;
}

int text_contains(struct text text, const char *part)
{
    size_t len = strlen(part);
    for (size_t i = 0; text.data != NULL && i + len <= text.len; i++)
        if (strncasecmp(text.data + i, part, len) == 0)
            return 1;
    return 0;
}
