/*
 * Protocols that are recognised or expected and named, but not dissected.
 */
#ifndef SWITCHTAP_NAMED_H
#define SWITCHTAP_NAMED_H

#include "dissector.h"

extern const struct dissector ssh_named;
extern const struct dissector gssapi_named;

#endif
