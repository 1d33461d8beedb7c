/*
 * switchtap sql: read-only SQL and the named queries.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "listing.h"

static const struct named_query *find(const char *name)
{
    for (const struct named_query *named = database_named_queries; named->name != NULL; named++) {
        if (strcmp(named->name, name) == 0)
            return named;
    }
    return NULL;
}

/* " [limit=] [host=]": what the query can be given. */
static void parameters(struct buffer *text, struct database *database, const char *sql)
{
    struct query *query = database_query(database, sql, NULL);
    if (query == NULL)
        return;
    for (int i = 1; i <= query_parameter_count(query); i++) {
        const char *name = query_parameter_name(query, i);
        if (name != NULL)
            buffer_format(text, "%s%s=", text->len > 0 ? " " : "", name);
    }
    query_free(query);
}

static int list(struct output *out, enum format format, struct database *database)
{
    static const struct column columns[] = {
        {"query", 0, 0, 0}, {"parameters", 0, 0, 1}, {"what it answers", 0, 24, 0}};
    struct rows *rows = rows_new(out, format, columns, 3);
    if (rows == NULL) {
        complain("out of memory");
        return STATUS_FAILED;
    }
    for (const struct named_query *named = database_named_queries; named->name != NULL; named++) {
        struct buffer text = {0};
        parameters(&text, database, named->sql);
        rows_text(rows, text_of(named->name));
        rows_style(rows, STYLE_BOLD);
        rows_text(rows, text_of(buffer_text(&text)));
        rows_text(rows, text_of(named->summary));
        rows_end(rows);
        buffer_release(&text);
    }
    (void)rows_finish(rows);
    return STATUS_DONE;
}

/* A number as people write it (no leading zeros, no sign but -) is a number, all else is text. */
static int is_number(const char *value, int64_t *number)
{
    uint64_t digits;
    const char *start = value[0] == '-' ? value + 1 : value;
    if ((start[0] == '0' && start[1] != '\0') || options_number(start, &digits) != 0 ||
        digits > INT64_MAX)
        return 0;
    *number = value[0] == '-' ? -(int64_t)digits : (int64_t)digits;
    return 1;
}

static int wrong_parameter(struct query *query, const char *name)
{
    struct buffer names = {0};
    for (int i = 1; i <= query_parameter_count(query); i++) {
        const char *known = query_parameter_name(query, i);
        if (known != NULL)
            buffer_format(&names, "%s%s", names.len > 0 ? ", " : "", known);
    }
    complain("sql: the query has no parameter '%s'%s%s", name,
             names.len > 0 ? "; it has " : " and none at all", buffer_text(&names));
    buffer_release(&names);
    return -1;
}

static int bind(struct query *query, const char *argument)
{
    const char *equals = strchr(argument, '=');
    int64_t number;
    if (equals == NULL || equals == argument) {
        complain("sql: '%s' is no NAME=VALUE for the query (a query with blanks needs quotes)",
                 argument);
        return -1;
    }
    char *name = strndup(argument, (size_t)(equals - argument));
    if (name == NULL) {
        complain("out of memory");
        return -1;
    }
    int result = is_number(equals + 1, &number) ? query_bind_int(query, name, number)
                                                : query_bind_text(query, name, equals + 1);
    if (result != 0)
        (void)wrong_parameter(query, name);
    free(name);
    return result;
}

static void hint(const char *word)
{
    enum { MOST = 200 };
    const char *names[MOST + 1];
    size_t count = 0;
    for (const struct named_query *named = database_named_queries;
         named->name != NULL && count < MOST; named++)
        names[count++] = named->name;
    names[count] = NULL;
    const char *near = strpbrk(word, " \t\n") == NULL ? closest(word, names) : NULL;
    if (near != NULL)
        complain("sql: did you mean the named query '%s'?", near);
}

static int query(struct output *out, const struct options *options, struct database *database)
{
    struct error error = {""};
    const char *text = options->arguments[1];
    const struct named_query *named = find(text);
    struct query *prepared = database_query(database, named != NULL ? named->sql : text, &error);
    if (prepared == NULL) {
        complain("sql: %s", error.text);
        hint(text);
        return STATUS_USAGE;
    }
    int status = STATUS_DONE;
    for (int i = 2; i < options->argument_count && status == STATUS_DONE; i++)
        status = bind(prepared, options->arguments[i]) == 0 ? STATUS_DONE : STATUS_USAGE;
    if (status == STATUS_DONE)
        status = listing_print(out, (enum format)options->format, prepared);
    query_free(prepared);
    return status;
}

static int run(const struct options *options)
{
    struct output out;
    struct database *database = listing_open(options->arguments[0]);
    if (database == NULL)
        return STATUS_FAILED;
    output_init(&out, stdout);
    int status = options->argument_count > 1 ? query(&out, options, database)
                                             : list(&out, (enum format)options->format, database);
    database_close(database);
    int failed = output_finish(&out);
    return status != STATUS_DONE ? status : failed;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Options"),
    OPTIONS_FORMAT(format_choices, ""),
    OPTION_END,
};

const struct command command_sql = {
    .name = "sql",
    .arguments = "DB [QUERY|NAME] [k=v...]",
    .summary = "Asks the database: SQL that only reads, or a named query; without either it lists "
               "the named queries.",
    .details = "k=v gives a parameter of the query (:k) its value; those that are not given are "
               "NULL.\n"
               "\n"
               "csv is quoted as in RFC 4180; NULL is an empty field, empty text is \"\". A value "
               "that is no text (BLOB) is x'00ff' in table and csv and {\"hex\": \"00ff\"} in json "
               "and jsonl. Control characters are escaped everywhere; json and jsonl are exact. A "
               "spreadsheet may take a text that begins with = for a formula: import as text.",
    .examples = "  switchtap sql switchtap.db\n"
                "  switchtap sql switchtap.db 'SELECT host, count(*) FROM session GROUP BY host'\n"
                "  switchtap sql switchtap.db 'SELECT * FROM message WHERE session_id = :s' s=3 "
                "--format jsonl\n",
    .options = options,
    .missing = "which DB?",
    .least = 1,
    .most = -1,
    .run = run,
};
