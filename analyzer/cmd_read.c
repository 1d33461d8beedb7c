/*
 * switchtap read: capture files into a database.
 */
#include <inttypes.h>

#include "commands.h"
#include "reading.h"
#include "summary.h"

static void already(struct output *out, const struct options *options, int64_t capture)
{
    output_word(out, "already read: capture ");
    output_format(out, "%" PRId64 " of ", capture);
    output_safe(out, text_of(options->output));
    output_word(out, " (--again reads it once more)\n");
}

static void files_list(struct output *out, const struct reading *reading)
{
    output_word(out, "\n  files\n");
    for (size_t i = 0; i < reading->file_count; i++) {
        const struct reading_file *file = &reading->files[i];
        if (!file->read)
            continue;
        output_format(out, "    from packet %-8" PRIu64 " ", file->first_packet);
        output_safe(out, text_of(file->path));
        output_word(out, "\n");
    }
}

static int run(const struct options *options)
{
    struct output out;
    struct reading reading;
    output_init(&out, stdout);
    int status = reading_run(&reading, options, options->output, 1);
    if (reading.already > 0 && !options->quiet) {
        already(&out, options, reading.already);
    } else if (reading.complete && !options->quiet) {
        struct summary summary = {&reading.run, &reading.info, options->output, reading.read_count,
                                  options->verbose};
        summary_print(&out, &summary);
        if (options->verbose) {
            files_list(&out, &reading);
            output_format(&out, "\n  confined by %s\n", options->confined ? "seccomp" : "nothing");
        }
    }
    reading_release(&reading);
    int failed = output_finish(&out);
    return status != STATUS_DONE ? status : failed;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Options"),
    OPTIONS_OUTPUT,
    OPTIONS_FILTER,
    OPTIONS_COUNT,
    {"again", 0, OPTION_FLAG, offsetof(struct options, again), NULL, NULL,
     "read also what is in the database already", NULL, 0, 0},
    {"sha256", 0, OPTION_FLAG, offsetof(struct options, sha256), NULL, NULL,
     "know files again by their SHA-256 (slower) instead of by size and samples", NULL, 0, 0},
    OPTIONS_STORING("all", "64K"),
    OPTIONS_ENGINE,
    OPTIONS_KEYS(NULL),
    OPTIONS_TALK,
    OPTION_END,
};

const struct command command_read = {
    .name = "read",
    .arguments = "FILE... [-o DB]",
    .summary = "Analyses captures: pcap and pcapng, also compressed with gzip; - is standard "
               "input.",
    .details = "Files given together are one capture, in the given order, and packet numbers run "
               "through. The same files with the same filter and options change nothing the "
               "second time.\n"
               "\n"
               "Cookies, credentials and tokens are stored as keyed hashes. Exit status: 0, also "
               "for captures that are cut or damaged behind their header; 3 where a file is no "
               "capture (the others are read) or the database cannot be written.",
    .examples = "  switchtap read trace.pcapng\n"
                "  switchtap read -o week.db mon.pcap.gz tue.pcap.gz -f 'tcp port 8080'\n"
                "  tcpdump -i any -w - | switchtap read -\n",
    .options = options,
    .missing = "which FILE? (- is standard input)",
    .least = 1,
    .most = -1,
    .run = run,
};
