/*
 * Key log files on their way into the store of secrets: read at the beginning and, live, again as
 * they grow.
 */
#ifndef SWITCHTAP_KEYLOG_H
#define SWITCHTAP_KEYLOG_H

#include <stddef.h>

#include "../dissectors/tls_keys.h"
#include "error.h"

struct keylog;

/* Reads what is there. follow: files may grow, or come to be, later, and are looked at again where
 * a secret is missing; keys then asks this keylog for as long as it lives. paths are borrowed.
 * NULL with a message. */
struct keylog *keylog_open(const char *const *paths, size_t count, int follow,
                           struct tls_keys *keys, struct error *error);
void keylog_close(struct keylog *keylog); /* may be NULL */

enum { KEYLOG_DIGEST_SIZE = 17 };

/* What was read so far, as 16 hex digits that say nothing about the secrets. */
void keylog_digest(const struct keylog *keylog, char text[KEYLOG_DIGEST_SIZE]);

#endif
