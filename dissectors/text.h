/*
 * Borrowed text compared with constants.
 */
#ifndef SWITCHTAP_TEXT_H
#define SWITCHTAP_TEXT_H

#include "../schema/event.h"

/* ASCII, case-insensitive. An absent text is nothing. */
int text_is(struct text text, const char *constant);

#endif
