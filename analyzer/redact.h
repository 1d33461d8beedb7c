/*
 * Secrets leave the wire here: what identifies somebody is replaced by `redacted:` and a keyed hash
 * cut to 32 bits, so that equal values stay comparable within a database and nothing else can be
 * learnt from it.
 */
#ifndef SWITCHTAP_REDACT_H
#define SWITCHTAP_REDACT_H

#include "../schema/event.h"
#include "output.h"

enum { REDACT_KEY_SIZE = 32 };

struct redact {
    unsigned char key[REDACT_KEY_SIZE];
    int off; /* --keep-secrets: everything stays as it is */
};

/*
 * Each function returns 1 and appends the replacement of the whole text to `out`, or returns 0 and
 * appends nothing: there is no secret in it. Where memory fails, out->failed is set and 1 returned:
 * the text must not be stored then.
 */

/* A request target or a URL in any form: userinfo and secret parameters of query, fragment and path
 * ("?token=", ";jsessionid="). */
int redact_target(const struct redact *redact, struct text target, struct buffer *out);

/* Sec-WebSocket-Protocol, offered or chosen: bearer tokens among the subprotocols. */
int redact_protocols(const struct redact *redact, struct text list, struct buffer *out);

/* The value of a header field, by its name. */
int redact_header(const struct redact *redact, struct text name, struct text value,
                  struct buffer *out);

/* Words about a finding: tokens that are told by their form only. */
int redact_words(const struct redact *redact, struct text words, struct buffer *out);

#endif
