/*
 * What the two halves of the judge share: upgrade.c knows requests, upgrade_answer.c answers.
 */
#ifndef SWITCHTAP_UPGRADE_PRIVATE_H
#define SWITCHTAP_UPGRADE_PRIVATE_H

#include "upgrade.h"

/* Members of a list that are judged one by one. */
enum { UPGRADE_MEMBERS_MAX = 64 };

static inline int upgrade_complete(const struct http_head *head)
{
    return (head->flags & HTTP_INCOMPLETE) == 0;
}

/* Reports an Upgrade field that Connection does not name. */
void upgrade_connection_option(const struct http_head *head, const struct http_report *report);

/* The lowest version of TLS that the Upgrade list names, 10 to 13; 0: none. best: the highest. */
unsigned upgrade_tls_version(const struct http_head *head, int best);

/* What a finished WebSocket handshake says about whom the server lets in. */
void upgrade_origin(const struct upgrade *upgrade, const struct http_head *answer,
                    const struct http_report *report);

#endif
