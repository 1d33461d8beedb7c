/*
 * Borrowed text compared with constants. ASCII, without case. An absent text is nothing.
 */
#ifndef SWITCHTAP_TEXT_H
#define SWITCHTAP_TEXT_H

#include "../schema/event.h"

int text_is(struct text text, const char *constant);
int text_begins(struct text text, const char *prefix);
int text_contains(struct text text, const char *part);

#endif
