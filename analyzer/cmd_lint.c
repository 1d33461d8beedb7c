/*
 * switchtap lint: reading and judging in one go. The database in between lives in a folder of its
 * own that only this user can open, and is removed at the end, also by a second interrupt.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "findings.h"
#include "reading.h"
#include "signals.h"
#include "summary.h"

/* SQLite's companions of a database have its name and one of these. */
static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};

enum { FILES = sizeof suffixes / sizeof suffixes[0] };

struct place {
    char *folder;
    char *files[FILES + 1]; /* the first one is the database */
};

static void place_remove(struct place *place)
{
    signals_remove(NULL, NULL);
    for (size_t i = 0; i < FILES; i++) {
        if (place->files[i] != NULL)
            (void)unlink(place->files[i]);
        free(place->files[i]);
        place->files[i] = NULL;
    }
    if (place->folder != NULL)
        (void)rmdir(place->folder);
    free(place->folder);
    place->folder = NULL;
}

static int place_make(struct place *place)
{
    const char *parent = getenv("TMPDIR");
    struct buffer name = {0};
    memset(place, 0, sizeof *place);
    buffer_format(&name, "%s/switchtap-XXXXXX",
                  parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    char *folder = name.failed ? NULL : mkdtemp(name.data); /* mode 0700 */
    if (folder == NULL) {
        complain("%s: no temporary database can be made: %s (TMPDIR chooses another place)",
                 buffer_text(&name), strerror(errno));
        buffer_release(&name);
        return -1;
    }
    place->folder = folder;
    for (size_t i = 0; i < FILES; i++) {
        struct buffer file = {0};
        buffer_format(&file, "%s/lint.db%s", folder, suffixes[i]);
        place->files[i] = file.data;
        if (file.failed || file.data == NULL) {
            complain("out of memory");
            place_remove(place);
            return -1;
        }
    }
    signals_remove(place->folder, (const char *const *)place->files);
    return 0;
}

/* What could not be seen stands behind the findings: silence may mean blindness. */
static void unseen(struct output *out, const struct options *options, const struct reading *reading)
{
    struct summary summary = {&reading->run, &reading->info, NULL, reading->read_count, 0};
    if (options->quiet || options->format != FORMAT_TABLE)
        return;
    summary_unseen(out, &summary);
}

static int judge(const struct options *options, const char *path, const struct reading *reading)
{
    struct output out;
    struct database *database = listing_open(path);
    if (database == NULL)
        return STATUS_FAILED;
    output_init(&out, stdout);
    int status = findings_print(&out, database, options);
    unseen(&out, options, reading);
    database_close(database);
    int failed = output_finish(&out);
    return failed != STATUS_DONE ? failed : status;
}

static int run(const struct options *options)
{
    struct reading reading;
    struct place place;
    struct options reading_options = *options;
    if (findings_check_rule("lint", options) != 0)
        return STATUS_USAGE;
    signals_catch();
    if (place_make(&place) != 0)
        return STATUS_FAILED;
    reading_options.detail = DETAIL_ALL; /* rules about many frames need the rows ... */
    reading_options.payload = 0;         /* ... and none needs what they carried */
    reading_options.flows = FLOWS_ALL;
    int status = reading_run(&reading, &reading_options, place.files[0], 0);
    int judged = STATUS_DONE;
    if (reading.complete) {
        store_close(reading.run.store); /* its locks and its log, before somebody reads */
        reading.run.store = NULL;
        judged = judge(options, place.files[0], &reading);
    }
    reading_release(&reading);
    place_remove(&place);
    return status != STATUS_DONE ? status : judged;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Captures"),
    OPTIONS_FILTER,
    OPTIONS_COUNT,
    OPTIONS_ENGINE,
    OPTIONS_KEYS(NULL),
    OPTIONS_TITLE("Findings"),
    OPTIONS_FINDINGS,
    OPTIONS_FORMAT(format_choices_sarif, "; sarif is SARIF 2.1.0"),
    {"verbose", 'v', OPTION_FLAG, offsetof(struct options, verbose), NULL, NULL,
     "explain each rule and print each finding", NULL, 0, 0},
    {"quiet", 'q', OPTION_FLAG, offsetof(struct options, quiet), NULL, NULL,
     "print nothing but errors: only the exit status", NULL, 0, 0},
    OPTION_END,
};

const struct command command_lint = {
    .name = "lint",
    .arguments = "FILE...",
    .summary = "Reads captures and prints the findings in one go; no database is kept.",
    .details = "Exit status: 1 where a finding is at least as severe as --severity; 3 where a file "
               "could not be read, whatever the others say. The temporary database is in $TMPDIR.",
    .examples = "  switchtap lint test-run.pcap --severity high\n"
                "  switchtap lint *.pcapng --format sarif > switchtap.sarif\n",
    .options = options,
    .missing = "which FILE? (- is standard input)",
    .least = 1,
    .most = -1,
    .run = run,
};
