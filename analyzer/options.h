/*
 * The command line: options as tables, from which parsing, checking, defaults and --help all come.
 */
#ifndef SWITCHTAP_OPTIONS_H
#define SWITCHTAP_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "output.h"

enum exit_status { STATUS_DONE = 0, STATUS_FINDINGS = 1, STATUS_USAGE = 2, STATUS_FAILED = 3 };

enum severity { SEVERITY_INFO, SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH };

enum detail { DETAIL_ALL, DETAIL_SESSIONS };
enum flows { FLOWS_ALL, FLOWS_SWITCHING };

enum { TEXTS_MAX = 16 };

struct texts { /* of an option that may be given several times */
    const char *items[TEXTS_MAX];
    size_t count;
};

/* What was asked for; each command reads the members of its own options. */
struct options {
    const char *const *arguments; /* those that are no options */
    int argument_count;

    struct texts keylogs;
    const char *output, *filter, *sensor, *interface, *user;
    uint64_t count, snaplen, buffer_kib, memory, payload, workers;
    int64_t duration_ns, keylog_wait_ns, max_age_ns;
    const char *rotate; /* a size or a time */
    uint64_t keep, max_size;
    uint64_t keylog_hold;
    int confined; /* not asked for: it runs under a filter of system calls */
    int again, sha256, keep_secrets, quiet, verbose, list_interfaces, no_promiscuous;
    int detail, flows, overlap, checksums_off;

    const char *host, *path, *client, *grep, *rule;
    int64_t since_ns, until_ns; /* INT64_MIN, INT64_MAX: not given */
    uint64_t limit, session; /* 0: not given */
    int outcome, opcode, side; /* 0: any, else 1 + the index of the choice */
    int severity, least_severity, format, follow;
};

enum option_kind {
    OPTION_FLAG,     /* int, counts */
    OPTION_TEXT,     /* const char *, not empty */
    OPTION_TEXTS,    /* struct texts: each time one more */
    OPTION_NUMBER,   /* uint64_t, least to most */
    OPTION_SIZE,     /* uint64_t bytes, least to most: 4096, 64K, 256M, 1G */
    OPTION_CHOICE,   /* int: the index of one of the choices */
    OPTION_ANY_OF,   /* int: 1 + that index */
    OPTION_TIME,     /* int64_t ns, see times_parse() */
    OPTION_DURATION, /* int64_t ns */
    OPTION_HEADING   /* no option: a title in --help */
};

struct option_info { /* tables of these end with name NULL */
    const char *name;  /* long, without dashes */
    char letter;       /* or 0 */
    enum option_kind kind;
    size_t member;     /* offsetof(struct options, ...) */
    const char *value; /* what stands in --help for the value: "DB"; NULL: the choices */
    const char *initial; /* the default, read like a value; NULL: 0 */
    const char *help;
    const char *const *choices; /* NULL-terminated */
    uint64_t least, most;       /* most 0: no limit */
};

struct command {
    const char *name;
    const char *arguments; /* "FILE... [-o DB]", for the usage line */
    const char *summary;   /* one line */
    const char *details;   /* paragraphs, with newlines between; or NULL */
    const char *examples;  /* lines; or NULL */
    const struct option_info *options;
    const char *missing;   /* what to say where there are fewer than `least` arguments */
    int least, most;       /* arguments that are no options; most -1: any number */
    int confines_itself;   /* it has to open more before it can (privileges.h) */
    int (*run)(const struct options *options);
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_WRONG };

/* Reads argv[0..argc-1] (without program and command). Options may stand anywhere; behind "--"
 * nothing is an option. argv is reordered and stays in use by `options`. OPTIONS_WRONG: a message
 * for a person. */
enum options_result options_parse(const struct command *command, int argc, char **argv,
                                  struct options *options, struct error *error);

void options_help(const struct command *command, struct output *out);

/* The strict readers behind it. 0 or -1. */
int options_number(const char *text, uint64_t *value);
int options_size(const char *text, uint64_t *bytes);

extern const char *const severity_names[];  /* by enum severity */
extern const char *const severity_choices[];
extern const char *const overlap_choices[]; /* by enum overlap_policy */
extern const char *const detail_choices[];
extern const char *const flows_choices[];

/* Names with their plural: "1 packet", "2 packets". */
#define PLURAL(n) ((n) == 1 ? "" : "s")

/* Entries that several commands share. */
#define OPTION_END {NULL, 0, OPTION_HEADING, 0, NULL, NULL, NULL, NULL, 0, 0}
#define OPTIONS_TITLE(title) {"", 0, OPTION_HEADING, 0, NULL, NULL, title, NULL, 0, 0}
#define OPTIONS_OUTPUT                                                                             \
    {"output", 'o', OPTION_TEXT, offsetof(struct options, output), "DB", "switchtap.db",           \
     "the database: made where there is none, else added to", NULL, 0, 0}
#define OPTIONS_FILTER                                                                             \
    {"filter", 'f', OPTION_TEXT, offsetof(struct options, filter), "BPF", NULL,                    \
     "only packets that this capture filter passes", NULL, 0, 0}
#define OPTIONS_COUNT                                                                              \
    {"count", 'c', OPTION_NUMBER, offsetof(struct options, count), "COUNT", NULL,                  \
     "stop after that many packets", NULL, 1, 0}
#define OPTIONS_ENGINE                                                                             \
    {"memory", 0, OPTION_SIZE, offsetof(struct options, memory), "BYTES", "256M",                  \
     "memory for connections and what they carry; when it is used up, the oldest connections end " \
     "early, and that is told", NULL, 4 << 20, UINT64_C(1) << 46},                                 \
    {"workers", 0, OPTION_NUMBER, offsetof(struct options, workers), "N", "1",                     \
     "threads that share the analysis, with equal shares of --memory; the result is the same. 1 "  \
     "is best where storing is what takes the time; 0: one per processor", NULL, 0, 64},           \
    {"overlap", 0, OPTION_CHOICE, offsetof(struct options, overlap), NULL, "bsd",                  \
     "which bytes count where TCP segments contradict each other", overlap_choices, 0, 0},         \
    {"checksums", 'k', OPTION_CHOICE, offsetof(struct options, checksums_off), NULL, "verify",     \
     "none: use packets with wrong checksums, too", checksum_choices, 0, 0}
#define OPTIONS_KEYS(wait)                                                                         \
    {"keylog", 0, OPTION_TEXTS, offsetof(struct options, keylogs), "FILE", NULL,                   \
     "secrets of TLS connections, as SSLKEYLOGFILE makes them; may be given several times", NULL,  \
     0, 0},                                                                                        \
    {"keylog-wait", 0, OPTION_DURATION, offsetof(struct options, keylog_wait_ns), "TIME", wait,    \
     "how long encrypted bytes wait for secrets that come after them", NULL, 0, 0},                \
    {"keylog-hold", 0, OPTION_SIZE, offsetof(struct options, keylog_hold), "BYTES", "256K",        \
     "how many bytes of a side wait so, at most", NULL, 0, 1 << 20}
#define OPTIONS_STORING(flows_default, payload_default)                                            \
    {"detail", 0, OPTION_CHOICE, offsetof(struct options, detail), NULL, "all",                    \
     "sessions: store no frames and messages; the findings are the same", detail_choices, 0, 0},   \
    {"flows", 0, OPTION_CHOICE, offsetof(struct options, flows), NULL, flows_default,              \
     "which connections get a row: all, or those with a session", flows_choices, 0, 0},            \
    {"payload", 0, OPTION_SIZE, offsetof(struct options, payload), "BYTES", payload_default,       \
     "how much of each message is stored; 0: nothing", NULL, 0, 64 << 20},                         \
    {"keep-secrets", 0, OPTION_FLAG, offsetof(struct options, keep_secrets), NULL, NULL,           \
     "store cookies, credentials and tokens as they are", NULL, 0, 0},                             \
    {"sensor", 0, OPTION_TEXT, offsetof(struct options, sensor), "NAME", NULL,                     \
     "a name for this place, stored with the capture", NULL, 0, 0}
#define OPTIONS_TALK                                                                               \
    {"quiet", 'q', OPTION_FLAG, offsetof(struct options, quiet), NULL, NULL,                       \
     "print nothing but errors", NULL, 0, 0},                                                      \
    {"verbose", 'v', OPTION_FLAG, offsetof(struct options, verbose), NULL, NULL,                   \
     "print more: all counters, each file", NULL, 0, 0}
#define OPTIONS_FORMAT(choices, more)                                                              \
    {"format", 0, OPTION_CHOICE, offsetof(struct options, format), NULL, "table",                  \
     "how the result is printed" more, choices, 0, 0}
#define OPTIONS_LIMIT(initial, help)                                                               \
    {"limit", 0, OPTION_NUMBER, offsetof(struct options, limit), "N", initial, help, NULL, 1, 0}
#define OPTIONS_TIMES                                                                              \
    {"since", 0, OPTION_TIME, offsetof(struct options, since_ns), "TIME", NULL,                    \
     "not before: 14:00, 2h (ago), 2026-11-22, 2026-11-22T14:00:30Z", NULL, 0, 0},                 \
    {"until", 0, OPTION_TIME, offsetof(struct options, until_ns), "TIME", NULL,                    \
     "not after", NULL, 0, 0}
#define OPTIONS_SESSIONS                                                                           \
    {"host", 0, OPTION_TEXT, offsetof(struct options, host), "HOST", NULL,                         \
     "sessions with this Host, with or without its port; * and ? match any", NULL, 0, 0},          \
    {"path", 0, OPTION_TEXT, offsetof(struct options, path), "PATH", NULL,                         \
     "sessions with this path; * and ? match any", NULL, 0, 0},                                    \
    {"client", 0, OPTION_TEXT, offsetof(struct options, client), "ADDRESS", NULL,                  \
     "sessions from this client address, or from ADDRESS:PORT", NULL, 0, 0},                       \
    {"outcome", 0, OPTION_ANY_OF, offsetof(struct options, outcome), NULL, NULL,                   \
     "sessions with this outcome", outcome_choices, 0, 0}

extern const char *const outcome_choices[];
extern const char *const checksum_choices[];
extern const char *const format_choices[];       /* table csv json jsonl: by enum format */
extern const char *const format_choices_sarif[]; /* and sarif */

#endif
