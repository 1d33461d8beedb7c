/*
 * switchtap findings: what broke the rules.
 */
#include "commands.h"
#include "findings.h"

static int run(const struct options *options)
{
    struct output out;
    if (findings_check_rule("findings", options) != 0)
        return STATUS_USAGE;
    struct database *database = listing_open(options->arguments[0]);
    if (database == NULL)
        return STATUS_FAILED;
    struct error error;
    if (database_complete(database, &error) != 0 && !options->quiet)
        complain("rules that compare connections were not run: %s", error.text);
    output_init(&out, stdout);
    int status = findings_print(&out, database, options);
    database_close(database);
    int failed = output_finish(&out);
    return failed != STATUS_DONE ? failed : status;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Which"),
    OPTIONS_FINDINGS,
    {"session", 0, OPTION_NUMBER, offsetof(struct options, session), "ID", NULL,
     "only findings of this session", NULL, 1, INT64_MAX},
    OPTIONS_TITLE("How"),
    OPTIONS_FORMAT(format_choices_sarif, "; sarif is SARIF 2.1.0"),
    {"verbose", 'v', OPTION_FLAG, offsetof(struct options, verbose), NULL, NULL,
     "explain each rule and print each finding", NULL, 0, 0},
    {"quiet", 'q', OPTION_FLAG, offsetof(struct options, quiet), NULL, NULL,
     "print nothing: only the exit status", NULL, 0, 0},
    OPTION_END,
};

const struct command command_findings = {
    .name = "findings",
    .arguments = "DB",
    .summary = "Prints what broke the rules, grouped by rule.",
    .details = "Exit status: 1 where a finding is at least as severe as --severity, else 0. The "
               "same finding of one side in one session is one finding with a count.",
    .examples = "  switchtap findings switchtap.db -v --min-severity medium\n"
                "  switchtap findings switchtap.db --rule ws-accept-wrong --format jsonl\n",
    .options = options,
    .missing = "which DB?",
    .least = 1,
    .most = 1,
    .run = run,
};
