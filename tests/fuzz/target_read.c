/*
 * `switchtap read` from the file to the database: whatever is in the capture, the exit status is a
 * documented one, a failure is told, and what was stored hangs together.
 *
 * Input: options (1: --detail sessions, 2: --flows switching, 4: --memory 4M, 8: --payload 10,
 * 16: the file is the key log, too), the file.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../analyzer/commands.h"
#include "fuzz.h"

enum { WORD = 128, WORDS = 20, KEYLOG = 16 };

static const char *const choices[][2] = {
    {"--detail", "sessions"}, {"--flows", "switching"}, {"--memory", "4M"}, {"--payload", "10"}};

static int command(unsigned flags, const char *file)
{
    char words[WORDS][WORD];
    char *argv[WORDS];
    int argc = 0;
    const char *const always[] = {"-o", fuzz_database_path(), "-k", "none", file};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        (void)snprintf(words[argc++], WORD, "%s", always[i]);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        for (size_t word = 0; word < 2 && (flags & 1u << i) != 0; word++)
            (void)snprintf(words[argc++], WORD, "%s", choices[i][word]);
    if ((flags & KEYLOG) != 0) { /* the capture is as good a key log as any */
        (void)snprintf(words[argc++], WORD, "--keylog");
        (void)snprintf(words[argc++], WORD, "%s", file);
    }
    for (int i = 0; i < argc; i++)
        argv[i] = words[i];
    struct options options;
    struct error error = {""};
    if (options_parse(&command_read, argc, argv, &options, &error) != OPTIONS_RUN)
        fuzz_broken("the command line is refused");
    return command_read.run(&options);
}

static int nothing(void *arg, int columns, char **values, char **names)
{
    (void)arg, (void)columns, (void)values, (void)names;
    fuzz_broken("a row names one that there is not");
}

static void check_database(void)
{
    sqlite3 *db = NULL;
    struct stat status;
    if (stat(fuzz_database_path(), &status) != 0)
        fuzz_broken("there is no database");
    if (sqlite3_open_v2(fuzz_database_path(), &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA foreign_key_check", nothing, NULL, NULL) != SQLITE_OK)
        fuzz_broken("the database cannot be read");
    (void)sqlite3_close(db);
}

static void run(const char *variant, const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    (void)variant;
    unsigned flags = fuzz_u8(&in);
    int status = command(flags, fuzz_file(in.data, in.left));
    (void)fuzz_fail_end();
    if (status != STATUS_DONE && status != STATUS_FAILED)
        fuzz_broken("an exit status that is not documented");
    if (status == STATUS_DONE)
        check_database();
    fuzz_tidy();
}

const struct fuzz_target fuzz_read = {"read", NULL, run};
