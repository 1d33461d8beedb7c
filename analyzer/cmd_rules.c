/*
 * switchtap rules: the catalogue, or one rule explained.
 */
#include <string.h>

#include "commands.h"
#include "rows.h"

static enum style severity_style(const char *severity)
{
    return strcmp(severity, "high") == 0     ? STYLE_RED
           : strcmp(severity, "medium") == 0 ? STYLE_YELLOW
           : strcmp(severity, "low") == 0    ? STYLE_PLAIN
                                             : STYLE_DIM;
}

static const char *level_words(const char *level)
{
    switch (level[0]) {
    case 'M':
        return "a requirement of its source (MUST)";
    case 'S':
        return "a recommendation of its source (SHOULD)";
    case 'X':
        return "security literature";
    default:
        return "an observation";
    }
}

static int list(struct output *out, enum format format)
{
    static const struct column columns[] = {
        {"rule", 0, 0, 0},    {"severity", 0, 0, 0},          {"level", 0, 0, 3},
        {"source", 0, 12, 2}, {"what it is about", 0, 24, 1},
    };
    static const struct column named[] = {
        {"name", 0, 0, 0},   {"severity", 0, 0, 0}, {"level", 0, 0, 0},
        {"source", 0, 0, 0}, {"summary", 0, 0, 0},  {"detected", 0, 0, 0},
    };
    int people = format == FORMAT_TABLE;
    struct rows *rows = rows_new(out, format, people ? columns : named, people ? 5 : 6);
    if (rows == NULL) {
        complain("out of memory");
        return STATUS_FAILED;
    }
    for (int i = 0; i < RULE_COUNT; i++) {
        rows_text(rows, text_of(rule_table[i].name));
        rows_text(rows, text_of(rule_table[i].severity));
        rows_style(rows, severity_style(rule_table[i].severity));
        rows_text(rows, text_of(rule_table[i].level));
        rows_text(rows, text_of(rule_table[i].source));
        struct buffer summary = {0};
        buffer_word(&summary, people && !rule_table[i].detected ? "(not detected yet) " : "");
        buffer_word(&summary, rule_table[i].summary);
        rows_text(rows, text_of(buffer_text(&summary)));
        if (!people)
            rows_int(rows, rule_table[i].detected);
        rows_end(rows);
        buffer_release(&summary);
    }
    (void)rows_finish(rows);
    return STATUS_DONE;
}

static int explain(struct output *out, const char *name)
{
    const char *names[RULE_COUNT + 1];
    for (int i = 0; i < RULE_COUNT; i++) {
        const struct rule_info *rule = &rule_table[i];
        names[i] = rule->name;
        if (strcmp(rule->name, name) != 0)
            continue;
        output_styled(out, STYLE_BOLD, rule->name);
        output_word(out, "\n  ");
        output_wrapped(out, rule->summary, 2);
        output_word(out, "\n  severity  ");
        output_styled(out, severity_style(rule->severity), rule->severity);
        output_format(out, "\n  level     %s, %s\n  source    ", rule->level,
                      level_words(rule->level));
        output_wrapped(out, rule->source, 12);
        output_word(out, "\n  why       ");
        output_wrapped(out, rule_advice[i].why, 12);
        output_word(out, "  fix       ");
        output_wrapped(out, rule_advice[i].fix, 12);
        if (!rule->detected)
            output_word(out, "\n  Nothing detects this rule yet.\n");
        return STATUS_DONE;
    }
    names[RULE_COUNT] = NULL;
    const char *hint = closest(name, names);
    if (hint != NULL)
        complain("there is no rule '%s'; did you mean '%s'?", name, hint);
    else
        complain("there is no rule '%s'; 'switchtap rules' lists them", name);
    return STATUS_USAGE;
}

static int run(const struct options *options)
{
    struct output out;
    output_init(&out, stdout);
    int status = options->argument_count > 0 ? explain(&out, options->arguments[0])
                                             : list(&out, (enum format)options->format);
    int failed = output_finish(&out);
    return status != STATUS_DONE ? status : failed;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Options"),
    OPTIONS_FORMAT(format_choices, ""),
    OPTION_END,
};

const struct command command_rules = {
    .name = "rules",
    .arguments = "[NAME]",
    .summary = "Lists the rules that findings name, or explains one.",
    .details = "Levels: M a MUST of the source, S a SHOULD, X security literature, O an "
               "observation.",
    .examples = "  switchtap rules ws-accept-wrong\n",
    .options = options,
    .missing = "",
    .least = 0,
    .most = 1,
    .run = run,
};
