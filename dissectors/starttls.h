/*
 * The judge of switches to TLS (or GSSAPI) inside a protocol that began in the clear: STARTTLS of
 * SMTP, IMAP, LDAP, XMPP and so on, STLS, AUTH TLS, the SSLRequest of databases. A dissector says
 * what it read: offered, asked, granted, refused, in the clear after all. The judge keeps the
 * attempt, makes its session and reports the rules of the catalogue's section L. What follows a
 * grant, injected bytes included, is the TLS layer's business.
 *
 * While an attempt waits, the client's side answers with starttls_wait(): its bytes are commands if
 * the server refuses, and the next protocol's if it grants.
 */
#ifndef SWITCHTAP_STARTTLS_H
#define SWITCHTAP_STARTTLS_H

#include "dissector.h"

struct starttls { /* part of a dissector's state; starttls_open() first */
    struct layer *layer;
    const char *protocol; /* of the newest attempt: "TLS", "GSSAPI" */
    uint32_t session;     /* of the newest attempt, 0: there was none */
    uint8_t pending;      /* it waits for its answer */
    uint8_t lost;         /* ... which may have been in a gap */
    uint8_t torn;         /* bytes of the client behind it are missing */
    uint8_t offered, refused, told, inside_tls;
    uint8_t login_len;
    char login[48]; /* the login that is going on: "AUTH PLAIN" */
};

void starttls_open(struct starttls *s, struct layer *layer);

/* The server says that it can. */
void starttls_offer(struct starttls *s);

/* The client asks, with the command `method` ("STARTTLS", "AUTH TLS"), for `protocol` ("TLS" or
 * "GSSAPI"), static; offset: its last byte. From now on the attempt is pending. */
void starttls_ask(struct starttls *s, struct text method, const char *protocol, uint64_t offset);

struct starttls_answer {
    int status;         /* a numeric reply code of the protocol, or 0 */
    struct text reason; /* its text, or TEXT_NONE */
    uint64_t begin;     /* offset of its first byte in the server's stream */
    uint64_t end;       /* ... and of its last */
};

/* The server grants what is pending: the switch is asked for. Answer V_SWITCHED with everything up
 * to the answer's end consumed. */
void starttls_grant(struct starttls *s, const struct starttls_answer *answer);

/* The server refuses what is pending. */
void starttls_refuse(struct starttls *s, const struct starttls_answer *answer, enum cause cause);

/* The client goes on in the clear with what should have been protected: "AUTH PLAIN", "MAIL FROM".
 * credentials: it authenticates (else mail or other content). what: short, without secrets. */
void starttls_clear(struct starttls *s, uint64_t offset, struct text what, int credentials);

/* A login begins that may take several steps, "AUTH PLAIN"; TEXT_NONE: no secret goes with it. */
void starttls_login(struct starttls *s, struct text what);

/* ... and its secret is sent in the clear, as in starttls_clear(). */
void starttls_secret(struct starttls *s, uint64_t offset);

/* A gap in the server's stream while an attempt is pending: its answer may have been in there. */
void starttls_lose(struct starttls *s);

/* A gap in the client's stream while an attempt is pending: what it says next need not be the
 * beginning of anything. */
void starttls_tear(struct starttls *s);

/* The client's bytes while an attempt is pending: V_WAIT_PEER, or where the answer was lost and
 * these bytes prove the grant, V_SWITCHED with nothing consumed; where they prove that there was
 * none, the attempt is over (no longer pending) and the verdict V_OK with nothing consumed: read
 * them as commands in the same call. */
struct result starttls_wait(struct starttls *s, const struct slice *slice);

/* starttls_ask() where the client said whom it talks to (session.host); TEXT_NONE: it did not. */
void starttls_ask_host(struct starttls *s, struct text method, const char *protocol,
                       struct text host, uint64_t offset);

/* No answer can be read (it was lost, or the protocol has none), and the dissector knows what the
 * client's next bytes are: > 0, the first of the new protocol: V_SWITCHED with nothing consumed;
 * 0, too few to say: V_NEED; < 0, they are in the clear: the attempt is over, as in
 * starttls_wait(). */
struct result starttls_settle(struct starttls *s, const struct slice *slice, int is);

/* The server answers later commands and never this one: it passed over what was asked. offset: of
 * the byte of the server's that shows it. */
void starttls_ignore(struct starttls *s, uint64_t offset);

/* Bytes were lost, or their beginning was not captured: where TLS stands where the next line of
 * `side` should begin, request and grant were among them. V_SWITCHED with nothing consumed; V_NEED;
 * V_OK: it is no TLS, read on. */
struct result starttls_unseen(struct starttls *s, enum side side, const struct slice *slice);

/* What the server has said so far is enough to judge credentials in the clear. */
int starttls_judged(const struct starttls *s);

/* The verdict with which the client's request, `len` bytes, is consumed: an answer that can still
 * come is waited for at once, so that what is behind the request, a gap too, stays untouched. */
struct result starttls_asked(const struct starttls *s, size_t len);

#endif
