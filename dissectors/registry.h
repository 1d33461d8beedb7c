/*
 * Which dissectors there are, in the order in which their probes are asked, and which protocol
 * follows which switch. A new protocol is one file and one line here.
 */
#ifndef SWITCHTAP_REGISTRY_H
#define SWITCHTAP_REGISTRY_H

#include "dissector.h"
#include "text.h"

extern const struct dissector http1_dissector;
extern const struct dissector http2_dissector;
extern const struct dissector websocket_dissector;
extern const struct dissector capsule_dissector;
extern const struct dissector derp_dissector;
extern const struct dissector docker_dissector;
extern const struct dissector smtp_dissector;
extern const struct dissector imap_dissector;
extern const struct dissector pop3_dissector;
extern const struct dissector sieve_dissector;
extern const struct dissector ftp_dissector;
extern const struct dissector gnutella_dissector;
extern const struct dissector irc_dissector;
extern const struct dissector nntp_dissector;
extern const struct dissector proxy_dissector;
extern const struct dissector socks_dissector;
extern const struct dissector spdy_dissector;
extern const struct dissector tailscale_dissector;
extern const struct dissector tls_dissector;
extern const struct dissector template_dissector;
extern const struct dissector ldap_dissector;
extern const struct dissector xmpp_dissector;
extern const struct dissector postgresql_dissector;
extern const struct dissector mysql_dissector;
extern const struct dissector rdp_dissector;

/* By protocol name; NULL: none. */
const struct dissector *registry_find(struct text name);

/* The protocol that follows a switch of this table with this token (case-insensitive; a table
 * entry may end in '*'): static, or TEXT_NONE where the table does not know. */
struct text registry_successor(const char *table, struct text token);

/*
 * Who knows these bytes? Asks the probes, except that of `except` (may be NULL), about both sides;
 * a side without bytes has no say. The surest one that no side contradicts wins. NULL with
 * *undecided 1: more bytes may tell; NULL with 0: nobody.
 */
const struct dissector *registry_probe(const struct text bytes[2], const struct dissector *except,
                                       int *undecided);

/* The same where no more bytes will come: who is only weakly sure wins, too. */
const struct dissector *registry_guess(const struct text bytes[2], const struct dissector *except);

#endif
