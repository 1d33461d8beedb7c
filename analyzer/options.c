/*
 * The command line. A command is a table of options; this file reads arguments by it, strictly, and
 * prints it as --help. A name that is not in the table is answered with the nearest one that is.
 */
#include "options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "times.h"

const char *const severity_names[] = {"info", "low", "medium", "high"};
const char *const severity_choices[] = {"info", "low", "medium", "high", NULL};
const char *const overlap_choices[] = {"bsd", "first", "last", "linux", "windows", NULL};
const char *const detail_choices[] = {"all", "sessions", NULL};
const char *const flows_choices[] = {"all", "switching", NULL};
const char *const outcome_choices[] = {"switched",   "refused",     "ignored",
                                       "unanswered", "unsolicited", NULL};
const char *const checksum_choices[] = {"verify", "none", NULL};
const char *const format_choices[] = {"table", "csv", "json", "jsonl", NULL};
const char *const format_choices_sarif[] = {"table", "csv", "json", "jsonl", "sarif", NULL};

/* ---------------------------------------------------------------- values */

static int read_digits(const char *text, uint64_t *value, const char **rest)
{
    uint64_t number = 0;
    if (*text < '0' || *text > '9')
        return -1;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return -1;
        number = number * 10 + digit;
    }
    *value = number;
    *rest = text;
    return 0;
}

int options_number(const char *text, uint64_t *value)
{
    const char *rest;
    return read_digits(text, value, &rest) == 0 && *rest == '\0' ? 0 : -1;
}

int options_size(const char *text, uint64_t *bytes)
{
    const char *rest;
    unsigned shift = 0;
    if (read_digits(text, bytes, &rest) != 0)
        return -1;
    switch (*rest) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'M':
        shift = 20;
        break;
    case 'G':
        shift = 30;
        break;
    case 'T':
        shift = 40;
        break;
    default:
        break;
    }
    if (shift > 0) {
        rest++;
        if (strcmp(rest, "B") == 0 || strcmp(rest, "iB") == 0)
            rest += strlen(rest);
    }
    if (*rest != '\0' || *bytes > UINT64_MAX >> shift)
        return -1;
    *bytes <<= shift;
    return 0;
}

static const char *size_words(uint64_t bytes, char text[32])
{
    static const char units[] = {0, 'K', 'M', 'G', 'T'};
    size_t unit = 0;
    while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < sizeof units) {
        bytes /= 1024;
        unit++;
    }
    if (unit == 0)
        (void)snprintf(text, 32, "%" PRIu64, bytes);
    else
        (void)snprintf(text, 32, "%" PRIu64 "%c", bytes, units[unit]);
    return text;
}

static void *member(struct options *options, const struct option_info *info)
{
    return (char *)options + info->member;
}

static int wrong_choice(const struct option_info *info, const char *value, struct error *error)
{
    struct buffer list = {0};
    for (const char *const *choice = info->choices; *choice != NULL; choice++) {
        if (choice != info->choices)
            buffer_word(&list, choice[1] == NULL ? " or " : ", ");
        buffer_word(&list, *choice);
    }
    (void)error_set(error, "--%s is %s, not '%s'", info->name, buffer_text(&list), value);
    buffer_release(&list);
    return -1;
}

static int set_choice(const struct option_info *info, const char *value, struct options *options,
                      struct error *error)
{
    for (int i = 0; info->choices[i] != NULL; i++) {
        if (strcmp(info->choices[i], value) == 0) {
            int number = info->kind == OPTION_ANY_OF ? i + 1 : i;
            memcpy(member(options, info), &number, sizeof number);
            return 0;
        }
    }
    return wrong_choice(info, value, error);
}

static int set_number(const struct option_info *info, const char *value, struct options *options,
                      struct error *error)
{
    uint64_t number;
    int size = info->kind == OPTION_SIZE;
    char text[32];
    if ((size ? options_size(value, &number) : options_number(value, &number)) != 0)
        return error_set(error, "--%s needs a %s, not '%s'", info->name,
                         size ? "size such as 4096, 64K, 256M or 1G" : "whole number", value);
    if (number < info->least)
        return error_set(error, "--%s %s is too little: at least %s", info->name, value,
                         size_words(info->least, text));
    if (info->most != 0 && number > info->most)
        return error_set(error, "--%s %s is too much: at most %s", info->name, value,
                         size_words(info->most, text));
    memcpy(member(options, info), &number, sizeof number);
    return 0;
}

static int set_time(const struct option_info *info, const char *value, struct options *options,
                    struct error *error)
{
    int64_t ns;
    if (info->kind == OPTION_TIME && times_parse(value, times_now(), &ns) != 0)
        return error_set(error,
                         "--%s does not understand '%s': write 14:00, 2h (ago), 2026-11-22 or "
                         "2026-11-22T14:00:30Z",
                         info->name, value);
    if (info->kind == OPTION_DURATION && (times_parse_duration(value, &ns) != 0 || ns == 0))
        return error_set(error, "--%s needs a time such as 30, 0.5 or 10m, not '%s'", info->name,
                         value);
    memcpy(member(options, info), &ns, sizeof ns);
    return 0;
}

static int add_text(const struct option_info *info, const char *value, struct options *options,
                    struct error *error)
{
    struct texts texts;
    memcpy(&texts, member(options, info), sizeof texts);
    if (*value == '\0')
        return error_set(error, "--%s is empty", info->name);
    if (texts.count == TEXTS_MAX)
        return error_set(error, "--%s is given more than %d times", info->name, (int)TEXTS_MAX);
    texts.items[texts.count++] = value;
    memcpy(member(options, info), &texts, sizeof texts);
    return 0;
}

static int set_value(const struct option_info *info, const char *value, struct options *options,
                     struct error *error)
{
    switch (info->kind) {
    case OPTION_TEXT:
        if (*value == '\0')
            return error_set(error, "--%s is empty", info->name);
        memcpy(member(options, info), &value, sizeof value);
        return 0;
    case OPTION_TEXTS:
        return add_text(info, value, options, error);
    case OPTION_NUMBER:
    case OPTION_SIZE:
        return set_number(info, value, options, error);
    case OPTION_CHOICE:
    case OPTION_ANY_OF:
        return set_choice(info, value, options, error);
    case OPTION_TIME:
    case OPTION_DURATION:
        return set_time(info, value, options, error);
    case OPTION_FLAG:
    case OPTION_HEADING:
        break;
    }
    return -1;
}

static void set_flag(const struct option_info *info, struct options *options)
{
    int count;
    memcpy(&count, member(options, info), sizeof count);
    count++;
    memcpy(member(options, info), &count, sizeof count);
}

/* ---------------------------------------------------------------- arguments */

static const struct option_info *find_long(const struct command *command, const char *name,
                                           size_t len)
{
    for (const struct option_info *info = command->options; info->name != NULL; info++) {
        if (info->kind != OPTION_HEADING && strlen(info->name) == len &&
            memcmp(info->name, name, len) == 0)
            return info;
    }
    return NULL;
}

static const struct option_info *find_letter(const struct command *command, char letter)
{
    for (const struct option_info *info = command->options; info->name != NULL; info++) {
        if (info->letter == letter && info->kind != OPTION_HEADING)
            return info;
    }
    return NULL;
}

static int unknown_long(const struct command *command, const char *name, size_t len,
                        struct error *error)
{
    enum { MOST = 64 };
    const char *names[MOST + 2];
    char word[64];
    size_t count = 0;
    names[count++] = "help";
    for (const struct option_info *info = command->options; info->name != NULL; info++) {
        if (info->kind != OPTION_HEADING && count <= MOST)
            names[count++] = info->name;
    }
    names[count] = NULL;
    (void)snprintf(word, sizeof word, "%.*s", (int)(len < 60 ? len : 60), name);
    const char *hint = closest(word, names);
    if (hint != NULL)
        return error_set(error, "there is no option --%s; did you mean --%s?", word, hint);
    return error_set(error, "there is no option --%s", word);
}

struct arguments {
    const struct command *command;
    struct options *options;
    struct error *error;
    char **argv;
    int argc, at; /* at: the next one to read */
};

static int read_value(struct arguments *arguments, const struct option_info *info,
                      const char *inside)
{
    if (inside == NULL && arguments->at == arguments->argc)
        return error_set(arguments->error, "--%s needs a value", info->name);
    const char *value = inside != NULL ? inside : arguments->argv[arguments->at++];
    return set_value(info, value, arguments->options, arguments->error);
}

/* 0; 1: help was asked for; -1. */
static int read_long(struct arguments *arguments, const char *name)
{
    size_t len = strcspn(name, "=");
    const char *inside = name[len] == '=' ? name + len + 1 : NULL;
    if (len == 4 && memcmp(name, "help", 4) == 0)
        return 1;
    const struct option_info *info = find_long(arguments->command, name, len);
    if (info == NULL)
        return unknown_long(arguments->command, name, len, arguments->error);
    if (info->kind != OPTION_FLAG)
        return read_value(arguments, info, inside);
    if (inside != NULL)
        return error_set(arguments->error, "--%s takes no value", info->name);
    set_flag(info, arguments->options);
    return 0;
}

static int read_letters(struct arguments *arguments, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct option_info *info = find_letter(arguments->command, *letters);
        if (info == NULL && *letters == 'h')
            return 1;
        if (info == NULL)
            return error_set(arguments->error, "there is no option -%c", *letters);
        if (info->kind != OPTION_FLAG)
            return read_value(arguments, info, letters[1] != '\0' ? letters + 1 : NULL);
        set_flag(info, arguments->options);
    }
    return 0;
}

static void set_initial(const struct command *command, struct options *options)
{
    *options = (struct options){.since_ns = INT64_MIN, .until_ns = INT64_MAX};
    for (const struct option_info *info = command->options; info->name != NULL; info++) {
        if (info->initial != NULL)
            (void)set_value(info, info->initial, options, NULL);
    }
}

static int check_count(const struct command *command, const struct options *options,
                       struct error *error)
{
    if (options->argument_count < command->least)
        return error_set(error, "%s", command->missing);
    if (command->most >= 0 && options->argument_count > command->most)
        return error_set(error, "'%s' is one argument too many", options->arguments[command->most]);
    return 0;
}

enum options_result options_parse(const struct command *command, int argc, char **argv,
                                  struct options *options, struct error *error)
{
    struct arguments arguments = {command, options, error, argv, argc, 0};
    int kept = 0, ended = 0;
    set_initial(command, options);
    while (arguments.at < argc) {
        char *word = argv[arguments.at++];
        int result = 0;
        if (ended || word[0] != '-' || word[1] == '\0')
            argv[kept++] = word;
        else if (strcmp(word, "--") == 0)
            ended = 1;
        else if (word[1] == '-')
            result = read_long(&arguments, word + 2);
        else
            result = read_letters(&arguments, word + 1);
        if (result != 0)
            return result > 0 ? OPTIONS_HELP : OPTIONS_WRONG;
    }
    options->arguments = (const char *const *)argv;
    options->argument_count = kept;
    return check_count(command, options, error) == 0 ? OPTIONS_RUN : OPTIONS_WRONG;
}

/* ---------------------------------------------------------------- help */

static void help_name(struct buffer *line, const struct option_info *info)
{
    if (info->letter != 0)
        buffer_format(line, "  -%c, --%s", info->letter, info->name);
    else
        buffer_format(line, "      --%s", info->name);
    if (info->value != NULL) {
        buffer_format(line, " %s", info->value);
        return;
    }
    for (int i = 0; info->choices != NULL && info->choices[i] != NULL; i++)
        buffer_format(line, "%s%s", i > 0 ? "|" : " ", info->choices[i]);
}

static void help_option(struct output *out, const struct option_info *info)
{
    enum { INDENT = 28 };
    struct buffer line = {0}, text = {0};
    help_name(&line, info);
    output_word(out, buffer_text(&line));
    if (line.len + 2 > INDENT)
        output_format(out, "\n%*s", INDENT, "");
    else
        output_format(out, "%*s", (int)(INDENT - line.len), "");
    buffer_word(&text, info->help);
    if (info->initial != NULL)
        buffer_format(&text, " (default: %s)", info->initial);
    output_wrapped(out, buffer_text(&text), INDENT);
    buffer_release(&line);
    buffer_release(&text);
}

static void help_paragraphs(struct output *out, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        char *line = strndup(text, len);
        output_wrapped(out, line != NULL ? line : "", 0);
        free(line);
        text += len + (text[len] == '\n');
    }
}

void options_help(const struct command *command, struct output *out)
{
    output_style(out, STYLE_BOLD);
    output_format(out, "switchtap %s %s\n", command->name, command->arguments);
    output_style(out, STYLE_PLAIN);
    output_word(out, "\n");
    help_paragraphs(out, command->summary);
    if (command->details != NULL) {
        output_word(out, "\n");
        help_paragraphs(out, command->details);
    }
    output_word(out, "\n");
    for (const struct option_info *info = command->options; info->name != NULL; info++) {
        if (info->kind == OPTION_HEADING)
            output_format(out, "%s:\n", info->help);
        else
            help_option(out, info);
    }
    output_word(out, "  -h, --help                this help\n");
    if (command->examples != NULL)
        output_format(out, "\nExamples:\n%s", command->examples);
}
