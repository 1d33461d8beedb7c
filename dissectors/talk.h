/*
 * What text protocols of commands and replies share: lines that may be longer than anything kept of
 * them, content of a known length within the stream (literals, chunks), text up to a line with a
 * single dot, and the commands whose reply is still owed. A command is forgotten when its reply was
 * read, so that each reply is known to belong to one command however they are interleaved.
 *
 * Where bytes were lost, counting proves nothing any more: `unsure`. And where they were the
 * client's, its lines may be anything, such as the text of a mail, until the server's next reply:
 * `blind`.
 */
#ifndef SWITCHTAP_TALK_H
#define SWITCHTAP_TALK_H

#include "line.h"

enum { TALK_OWED = 64, TALK_LINE = 4096, TALK_KEPT = 64 };

struct talk {
    uint64_t skip[2];   /* bytes of content of known length that are still to come */
    uint8_t inside[2];  /* the next byte is not the first of a line */
    uint8_t bare[2];    /* a dot between bare line feeds ends a text, too */
    uint8_t unsure, blind;
    uint8_t count; /* of commands without a reply, oldest first: */
    uint8_t kind[TALK_OWED];
    uint64_t tag[TALK_OWED]; /* what the reply to it is known by; 0 where order alone tells */
};

struct talk_line {
    struct line line;
    int first; /* a line begins here: not the rest of a very long one, nor behind a literal */
    int last;  /* ... and its end is here */
};

/* The next line, or a piece of a very long one; the last piece has at least TALK_KEPT bytes of its
 * end. 0: more bytes are needed. What is consumed is line.len: always all of it. */
int talk_take(struct talk *t, enum side side, const struct slice *slice, struct talk_line *line);

/* Content of known length at the beginning of the slice is passed over: 1, and the result. */
int talk_skip(struct talk *t, enum side side, const struct slice *slice, struct result *result);

/* The last piece of a line announces content, "{42}" or "{42+}": 1, and its length. plus: it comes
 * without being asked for. */
int talk_literal(const struct talk_line *line, uint64_t *len, int *plus);

/* That content comes next, then the rest of the line. */
void talk_expect(struct talk *t, enum side side, uint64_t len);

/* Text up to a line with a single dot is passed over; *ended: that line was consumed. */
struct result talk_text(struct talk *t, enum side side, const struct slice *slice, int *ended);

/* Does the server begin? Not where the conversation goes on behind a grant that nobody followed. */
int talk_greets(const struct talk *t, const struct handover *handover);

/* A command: its reply is owed. Call talk_full() before: the client has to wait then. */
void talk_ask(struct talk *t, int kind, uint64_t tag);
int talk_full(const struct talk *t);
void talk_forget(struct talk *t); /* the oldest */
int talk_next(const struct talk *t); /* the kind of the oldest; -1: there is none */
int talk_owes(const struct talk *t, int kind);

/* The oldest command with this tag is answered: its kind; -1: there is none. */
int talk_answer(struct talk *t, uint64_t tag);

/* A number that stands for a tag, never 0. */
uint64_t talk_tag(struct text tag);

/* Must what the server says wait, since the command that it answers was not read yet? */
int talk_early(const struct talk *t);

/* Must a command wait that is judged by what the server said before? */
int talk_behind(const struct talk *t);

/* The server has answered something: a client that says nothing more now has waited for it, and
 * begins anew. Returns 1 where the client's lines could have been anything before. */
int talk_heard(struct talk *t, const struct layer *layer);

/* Bytes are missing. 1: all of them are content that is passed over, nothing is lost. Else what
 * follows may be the rest of a line: of the server's the form tells. */
int talk_gap(struct talk *t, enum side side, uint64_t len);

/* "AUTH PLAIN": a command and the name of a mechanism, in capitals, and nothing else of the line.
 * Static buffer of the caller. */
struct text talk_mechanism(char *out, size_t size, const char *command, struct text name);

/* The same of a login: TEXT_NONE where the mechanism sends no secret (a certificate has told who it
 * is, or it is nobody). */
struct text talk_login(char *out, size_t size, const char *command, struct text name);

/* Copies what is kept of a name for the layer's detail. */
size_t talk_keep(char *out, size_t size, struct text text);

/* What was kept of it; TEXT_NONE where there was nothing. */
struct text talk_kept(const char *kept, size_t len);

/* The first word, where it is the full name of a host, "mail.example.org"; else TEXT_NONE. */
struct text talk_host(struct text text);

/* Are these the first bytes of lines, without control characters? *end: where the first line ends,
 * behind its line feed; 0: not yet. < 0: they are not. */
int talk_printable(struct text bytes, size_t most, size_t *end);

#endif
