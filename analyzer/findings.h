/*
 * Printing findings, for `findings` and `lint`.
 */
#ifndef SWITCHTAP_FINDINGS_H
#define SWITCHTAP_FINDINGS_H

#include "listing.h"

/* Adds "FROM finding ..." with x finding, r rule, s session, f flow, and the conditions of
 * --rule --session --min-severity; rank is 0 (info) to 3 (high). */
#define FINDINGS_RANK                                                                              \
    "CASE coalesce(x.severity, r.severity) WHEN 'high' THEN 3 WHEN 'medium' THEN 2 "             \
    "WHEN 'low' THEN 1 ELSE 0 END"
void findings_from(struct buffer *sql, const struct options *options);
void findings_bind(struct query *query, const struct options *options);

/* Prints in options->format; the exit status: 1 at or above --severity. */
int findings_print(struct output *out, struct database *database, const struct options *options);

/* A rule name that does not exist is wrong usage: 0 or -1 (said). */
int findings_check_rule(const char *command, const struct options *options);

/* As SARIF 2.1.0. 0 or -1. */
int sarif_print(struct output *out, struct database *database, const struct options *options);

#define OPTIONS_FINDINGS                                                                           \
    {"severity",                                                                                   \
     0,                                                                                            \
     OPTION_CHOICE,                                                                                \
     offsetof(struct options, severity),                                                           \
     NULL,                                                                                         \
     "medium",                                                                                     \
     "exit status 1 where a finding is at least this severe",                                      \
     severity_choices,                                                                             \
     0,                                                                                            \
     0},                                                                                           \
        {"min-severity",                                                                           \
         0,                                                                                        \
         OPTION_CHOICE,                                                                            \
         offsetof(struct options, least_severity),                                                 \
         NULL,                                                                                     \
         "info",                                                                                   \
         "only findings that are at least this severe",                                            \
         severity_choices,                                                                         \
         0,                                                                                        \
         0},                                                                                       \
    {                                                                                              \
        "rule", 0, OPTION_TEXT, offsetof(struct options, rule), "NAME", NULL,                      \
            "only findings of this rule", NULL, 0, 0                                               \
    }

#endif
