/*
 * The commands: one file each, one table entry each.
 */
#ifndef SWITCHTAP_COMMANDS_H
#define SWITCHTAP_COMMANDS_H

#include "options.h"

extern const struct command command_read;
extern const struct command command_live;
extern const struct command command_sessions;
extern const struct command command_show;
extern const struct command command_messages;
extern const struct command command_findings;
extern const struct command command_lint;
extern const struct command command_rules;
extern const struct command command_sql;

#endif
