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
