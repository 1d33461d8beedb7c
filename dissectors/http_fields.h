/*
 * Field values of HTTP, whatever version carried them: a parsed head as fields, lists with quoted
 * strings (RFC 9110 5.6.1, 5.6.4), parameters (5.6.6), tokens, hosts. Everything is borrowed from
 * the head's bytes. Also the door through which those who judge a head report what they find.
 */
#ifndef SWITCHTAP_HTTP_FIELDS_H
#define SWITCHTAP_HTTP_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "../schema/event.h"
#include "text.h"

struct http_field {
    struct text name, value; /* the value without the white space around it, folds replaced */
    uint64_t offset;         /* of the line, in the layer's stream of the side that sent it */
};

enum {
    HTTP_BARE_LF = 1,             /* a line that ends in LF alone */
    HTTP_OBS_FOLD = 2,            /* RFC 9112 5.2, or white space before the first field */
    HTTP_SPACE_BEFORE_COLON = 4,  /* RFC 9112 5.1 */
    HTTP_LINE_WITHOUT_COLON = 8,
    HTTP_END_BARE_LF = 16,        /* the empty line is LF alone */
    HTTP_NOT_TERMINATED = 32,     /* there is no empty line: something else followed */
    HTTP_INCOMPLETE = 64,         /* a limit: fields are missing or cut; absence proves nothing */
    HTTP_LENGTH_CONFLICT = 128,   /* several Content-Length values, or one that is no number */
    HTTP_BROKEN_START = 256       /* a CONNECT whose request line has no version */
};

struct http_head {
    int response;
    int http2;      /* the fields begin with pseudo-header fields (RFC 9113 8.3), names as sent */
    unsigned minor; /* of HTTP/1.x */
    struct text method, target;
    unsigned status;
    struct text reason;
    const struct http_field *fields;
    size_t count;
    uint64_t offset, end; /* first byte; behind the last one */
    unsigned flags;
    uint64_t flaw_offset; /* the first line that set one of the flags */
};

/* ASCII, case-insensitive; see also text_is(). */
int http_text_begins(struct text text, const char *prefix);
int http_text_same(struct text a, struct text b);
int http_text_equal(struct text a, struct text b); /* byte by byte */
int http_text_contains(struct text text, const char *part); /* case-insensitive */
struct text http_text_trim(struct text text);               /* SP, HT and folds on both sides */
struct text http_text_before(struct text text, char byte);  /* all where there is none */

int http_is_token_char(uint8_t byte);
int http_is_token(struct text text); /* RFC 9110 5.6.2; empty is none */

/* The first field of a name, or NULL; how many lines it has; is it there at all. */
const struct http_field *http_field_find(const struct http_head *head, const char *name);
size_t http_field_count(const struct http_head *head, const char *name);
struct text http_field_value(const struct http_head *head, const char *name); /* or TEXT_NONE */

/* Walks over the members of a list field, over all its lines, split at commas outside quoted
 * strings. Empty members are members of length 0; the caller decides what they mean. */
struct http_list {
    const struct http_head *head;
    const char *name;
    size_t at;
    int open;
    struct text rest;
    const struct http_field *field; /* the line of the last member */
};

struct http_list http_list_of(const struct http_head *head, const char *name);
int http_list_next(struct http_list *list, struct text *member);

/* Is a token a member of the list field (case-insensitive, parameters ignored)? */
int http_list_has(const struct http_head *head, const char *name, const char *token);
int http_list_has_text(const struct http_head *head, const char *name, struct text token);

/* Walks over `first; name=value; name="value"`: the first item too. White space around ';' and '='
 * is passed over, as the list rules of RFC 2616 allow it. */
struct http_params {
    struct text rest;
    int open;
};

struct http_param {
    struct text name, value; /* value without its quotes, escapes kept; none without a '=' */
    int quoted;
    int bad; /* not token [ "=" ( token / quoted-string ) ] */
};

struct http_params http_params_of(struct text member);
int http_params_next(struct http_params *params, struct http_param *param);

/* Splits host[:port], [v6]:port. The host without brackets; port none where there is none. */
void http_authority_split(struct text authority, struct text *host, struct text *port);

/* The authority in scheme://authority/..., or TEXT_NONE. */
struct text http_uri_authority(struct text uri);

/* A finding about the byte at `offset` of `side`. */
struct http_report {
    void (*finding)(void *context, enum side side, enum rule rule, uint64_t offset,
                    struct text evidence);
    void *context;
};

/* Formats the evidence; bytes that are not printable ASCII become '?'. */
void http_report_finding(const struct http_report *report, enum side side, enum rule rule,
                         uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* For "%.*s": at most 64 bytes of a text. */
#define HTTP_CLIP(text) (int)((text).len < 64 ? (text).len : 64), ((text).data ? (text).data : "")

#endif
