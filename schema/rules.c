/*
 * The rule catalogue as a table, made from rules.def; indexed by enum rule.
 */
#include "event.h"

const struct rule_info rule_table[RULE_COUNT] = {
#define RULE(id, name, level, severity, source, summary)                                           \
    {name, level, severity, source, summary, 1},
#define RULE_LATER(id, name, level, severity, source, summary)                                     \
    {name, level, severity, source, summary, 0},
#include "rules.def"
#undef RULE
};
