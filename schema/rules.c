/*
 * The rule catalogue as a table, made from rules.def, and the advice of advice.def; indexed by enum
 * rule.
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

const struct rule_superseded rule_superseded[] = {
#define RULE(id, name, level, severity, source, summary)
#define SUPERSEDES(winner, loser, any_side) {RULE_##winner, RULE_##loser, any_side},
#include "rules.def"
#undef RULE
};
const size_t rule_superseded_count = sizeof rule_superseded / sizeof rule_superseded[0];

enum {
#define ADVICE(id, why, fix) ADVICE_##id,
#include "advice.def"
#undef ADVICE
    ADVICE_COUNT
};
_Static_assert((int)ADVICE_COUNT == (int)RULE_COUNT, "each rule has its advice");

const struct rule_advice rule_advice[RULE_COUNT] = {
#define ADVICE(id, why, fix) [RULE_##id] = {why, fix},
#include "advice.def"
#undef ADVICE
};
