/*
 * switchtap: the table of commands, --help and --version.
 */
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "classify.h"
#include "commands.h"
#include "privileges.h"

#ifndef SWITCHTAP_VERSION
#define SWITCHTAP_VERSION "0"
#endif

static const struct command *const commands[] = {
    &command_read,     &command_live, &command_sessions, &command_show, &command_messages,
    &command_findings, &command_lint, &command_rules,    &command_sql,
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void help_all(struct output *out)
{
    output_style(out, STYLE_BOLD);
    output_word(out, "switchtap COMMAND ...\n");
    output_style(out, STYLE_PLAIN);
    output_word(out, "\nFollows protocol switches (Upgrade, CONNECT, WebSocket) in captures and on "
                     "interfaces,\nand keeps what it sees in one SQLite file.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        struct buffer line = {0};
        buffer_format(&line, "  %s %s", commands[i]->name, commands[i]->arguments);
        output_format(out, "%-36s  ", buffer_text(&line));
        output_wrapped(out, commands[i]->summary, 38);
        buffer_release(&line);
    }
    output_word(out, "\n  --help, --version; 'switchtap COMMAND --help' tells more.\n"
                     "\nExit status: 0 done; 1 findings (findings and lint); 2 wrong usage; "
                     "3 input or output failed.\n");
}

static void version(struct output *out)
{
    output_format(out, "switchtap %s (nDPI %s)\n", SWITCHTAP_VERSION, classify_version());
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static int unknown(const char *name)
{
    const char *names[COMMANDS + 1];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    names[COMMANDS] = NULL;
    const char *hint = closest(name, names);
    if (hint != NULL)
        complain("there is no command '%s'; did you mean 'switchtap %s'?", name, hint);
    else if (name[0] != '-' && access(name, R_OK) == 0)
        complain("there is no command '%s'; did you mean 'switchtap read %s'?", name, name);
    else
        complain("there is no command '%s'; 'switchtap --help' lists them", name);
    return STATUS_USAGE;
}

static int help_of(const struct command *command)
{
    struct output out;
    output_init(&out, stdout);
    if (command != NULL)
        options_help(command, &out);
    else
        help_all(&out);
    return output_finish(&out);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct options options;
    struct error error = {""};
    switch (options_parse(command, argc, argv, &options, &error)) {
    case OPTIONS_HELP:
        return help_of(command);
    case OPTIONS_WRONG:
        complain("%s: %s", command->name, error.text);
        (void)fprintf(stderr, "Try 'switchtap %s --help'.\n", command->name);
        return STATUS_USAGE;
    case OPTIONS_RUN:
        break;
    }
    if (!command->confines_itself) {
        struct privileges privileges = {0};
        privileges_confine(&privileges);
        options.confined = privileges.confined;
    }
    return command->run(&options);
}

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* for the widths of characters */
    (void)signal(SIGPIPE, SIG_IGN);       /* a closed pipe is an error of the write, */
    (void)signal(SIGXFSZ, SIG_IGN);       /* and so is a limit of file sizes */
    tzset();
    if (argc < 2) {
        struct output out;
        output_init(&out, stderr);
        help_all(&out);
        (void)output_finish(&out);
        return STATUS_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        const struct command *about = argc > 2 ? find(argv[2]) : NULL;
        return argc > 2 && about == NULL ? unknown(argv[2]) : help_of(about);
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        struct output out;
        output_init(&out, stdout);
        version(&out);
        return output_finish(&out);
    }
    const struct command *command = find(word);
    return command != NULL ? run(command, argc - 2, argv + 2) : unknown(word);
}
