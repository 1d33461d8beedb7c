/*
 * switchtap live: an interface into a database, until interrupted.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "privileges.h"
#include "rows.h"
#include "run.h"
#include "signals.h"
#include "summary.h"
#include "times.h"
#include "watch.h"

enum { CHECK_PACKETS = 64 }; /* how often the loop looks at the clock under load */

static const int64_t tick_ns = 50000000, report_ns = INT64_C(10000000000);

/* ---------------------------------------------------------------- interfaces */

static void list_one(void *arg, const char *name, const char *description, const char *state)
{
    struct rows *rows = arg;
    rows_text(rows, text_of(name));
    rows_style(rows, STYLE_BOLD);
    rows_text(rows, text_of(state));
    rows_text(rows, text_of(description));
    rows_end(rows);
}

static int list(void)
{
    static const struct column columns[] = {
        {"INTERFACE", 0, 0, 0}, {"STATE", 0, 0, 0}, {"DESCRIPTION", 0, 16, 0}};
    struct output out;
    struct error error = {""};
    output_init(&out, stdout);
    struct rows *rows = rows_new(&out, FORMAT_TABLE, columns, 3);
    if (rows == NULL) {
        complain("out of memory");
        return STATUS_FAILED;
    }
    int result = capture_list_interfaces(list_one, rows, &error);
    (void)rows_finish(rows);
    if (result != 0)
        complain("%s", error.text);
    int failed = output_finish(&out);
    return result != 0 ? STATUS_FAILED : failed;
}

/* ---------------------------------------------------------------- the loop */

struct live {
    const struct options *options;
    struct output out;
    struct run run;
    struct capture *capture;
    struct privileges privileges;
    struct watch *watch;                           /* NULL: quiet */
    int64_t stop_ns, next_tick_ns, next_report_ns; /* monotonic */
    int failed;
};

static int64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What the workers could not take is lost as what the kernel could not. */
static void get_info(struct live *live, struct capture_info *info)
{
    capture_get_info(live->capture, info);
    info->kernel_dropped += run_dropped(&live->run);
}

static void count_drops(struct live *live, const struct capture_info *info)
{
    run_count(&live->run, "capture.packets", info->packets);
    run_count(&live->run, "capture.bytes", info->bytes);
    run_count(&live->run, "capture.filtered", info->filtered);
    run_count(&live->run, "capture.kernel-dropped", info->kernel_dropped);
    run_count(&live->run, "capture.interface-dropped", info->interface_dropped);
}

/* SIGUSR1: how it goes, without a break. */
static void answer(struct live *live)
{
    static const char *const names[] = {
        "capture.packets", "capture.bytes", "capture.kernel-dropped", "capture.interface-dropped",
        "flow.opened", "flow.ended", "flow.with-session", "flow.evicted", "bus.payloads-shed",
        "bus.frames-shed", "workers.dropped", "memory.peak"};
    struct capture_info info;
    struct run_now now;
    get_info(live, &info);
    count_drops(live, &info);
    run_report(&live->run);
    run_get_now(&live->run, &now);
    const struct {
        const char *name;
        uint64_t value;
    } more[] = {{"sessions", now.sessions},
                {"findings", now.findings},
                {"bus.queued", now.queued},
                {"database.bytes", now.database_bytes}};
    (void)fprintf(stderr, "switchtap live, process %ld:\n", (long)getpid());
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)fprintf(stderr, "  %-28s %12" PRIu64 "\n", names[i],
                      run_counted(&live->run, names[i]));
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        (void)fprintf(stderr, "  %-28s %12" PRIu64 "\n", more[i].name, more[i].value);
}

/* Time goes by. 1: enough. */
static int tick(struct live *live, int quiet)
{
    int64_t now = monotonic_ns();
    if (signals_seen() > 0 || now >= live->stop_ns || run_failed(&live->run))
        return 1;
    if (now < live->next_tick_ns)
        return 0;
    live->next_tick_ns = now + tick_ns;
    run_tick(&live->run, quiet);
    if (signals_asked())
        answer(live);
    if (now >= live->next_report_ns) {
        struct capture_info info;
        live->next_report_ns = now + report_ns;
        get_info(live, &info);
        count_drops(live, &info);
        run_report(&live->run);
    }
    return 0;
}

static void loop(struct live *live)
{
    struct error error = {""};
    struct packet packet;
    uint64_t turn = 0, most = live->options->count;
    int result;
    while ((result = capture_next(live->capture, &packet, &error)) >= 0) {
        if (result == 0)
            break;
        if (result == 1)
            run_packet(&live->run, &packet);
        if ((result == 2 || turn++ % CHECK_PACKETS == 0) && tick(live, result == 2))
            break;
        if (most > 0 && live->run.packets >= most)
            break;
    }
    if (result < 0) {
        complain("%s", error.text);
        live->failed = 1;
    }
}

/* ---------------------------------------------------------------- beginning and end */

static void greet(const struct live *live)
{
    struct capture_info info;
    struct buffer safe = {0};
    char type[32];
    if (live->options->quiet)
        return;
    capture_get_info(live->capture, &info);
    buffer_safe(&safe, text_of(live->options->interface), SAFE_LINE);
    buffer_format(&safe, ", %s, into ", capture_link_type_name(info.link_type, type));
    buffer_safe(&safe, text_of(live->options->output), SAFE_LINE);
    (void)fprintf(stderr, "listening on %s; Ctrl-C ends it\n", buffer_text(&safe));
    buffer_release(&safe);
    if (live->options->verbose) {
        char text[PRIVILEGES_TEXT];
        privileges_text(&live->privileges, text);
        (void)fprintf(stderr, "privileges: %s\n", text);
    }
}

/* From the storing thread. */
static void tell_moved(void *arg, const char *path)
{
    struct buffer safe = {0};
    (void)arg;
    buffer_safe(&safe, text_of(path), SAFE_LINE);
    (void)fprintf(stderr, "going on in %s\n", buffer_text(&safe));
    buffer_release(&safe);
}

/* A file that root could have opened: -1, and a message that says who could not. */
static int as_whom(const struct live *live, struct error *error)
{
    char text[sizeof error->text];
    if (!live->privileges.change)
        return -1;
    (void)snprintf(text, sizeof text, "%s", error->text);
    return error_set(error, "%s (as user %s: -Z)", text, live->privileges.name);
}

static int live_open(struct live *live, struct error *error)
{
    const struct options *options = live->options;
    struct capture_live_options how = {
        .interface = options->interface,
        .filter = options->filter,
        .snaplen = (int)options->snaplen,
        .buffer_kib = (int)options->buffer_kib,
        .promiscuous = !options->no_promiscuous,
    };
    if (privileges_choose(&live->privileges, options->user, error) != 0)
        return -1;
    live->capture = capture_open_live(&how, error);
    if (live->capture == NULL || privileges_drop(&live->privileges, error) != 0)
        return -1;
    privileges_confine(&live->privileges);
    if (!options->quiet)
        live->run.moved = tell_moved;
    if (run_open(&live->run, options, 1, options->output, error) != 0)
        return as_whom(live, error);
    if (options->quiet)
        return 0;
    live->watch = watch_new(&live->out);
    return live->watch != NULL ? 0 : error_set(error, "out of memory");
}

static int live_begin(struct live *live, struct error *error)
{
    const struct options *options = live->options;
    struct buffer text = {0};
    struct sink sink = live->watch != NULL ? watch_sink(live->watch) : (struct sink){0};
    run_options_text(&live->run, options, &text);
    struct store_source source = {.source = options->interface,
                                  .live = 1,
                                  .filter = options->filter,
                                  .options = buffer_text(&text)};
    int result = run_begin(&live->run, options, &source, live->watch != NULL ? &sink : NULL, error);
    buffer_release(&text);
    int64_t now = monotonic_ns();
    live->stop_ns = options->duration_ns > 0 ? now + options->duration_ns : INT64_MAX;
    live->next_tick_ns = now;
    live->next_report_ns = now + report_ns;
    return result;
}

static int live_finish(struct live *live, struct error *error)
{
    struct capture_info info;
    get_info(live, &info);
    count_drops(live, &info);
    if (run_finish(&live->run, &info, NULL, 0, 1, error) != 0)
        return -1;
    if (!live->options->quiet) {
        struct summary summary = {&live->run, &info, store_path(live->run.store), 0,
                                  live->options->verbose};
        output_word(&live->out, "\n");
        summary_print(&live->out, &summary);
    }
    return 0;
}

static int live_run(struct live *live)
{
    struct error error = {""};
    if (live_open(live, &error) != 0 || live_begin(live, &error) != 0) {
        complain("%s", error.text);
        return STATUS_FAILED;
    }
    signals_wake(live->capture);
    greet(live);
    loop(live);
    signals_wake(NULL);
    if (live_finish(live, &error) != 0) {
        complain("%s", error.text);
        return STATUS_FAILED;
    }
    return live->failed ? STATUS_FAILED : STATUS_DONE;
}

static int run(const struct options *options)
{
    struct live live = {.options = options};
    if (options->list_interfaces)
        return list();
    if (options->interface == NULL) {
        complain("live: which interface? -i IFACE ('switchtap live -D' lists them, any is all of "
                 "them)");
        return STATUS_USAGE;
    }
    if ((options->keep > 0 && options->rotate == NULL) ||
        (options->rotate != NULL && (options->max_size > 0 || options->max_age_ns > 0))) {
        complain(options->keep > 0 && options->rotate == NULL
                     ? "live: --keep needs --rotate, whose files it counts"
                     : "live: --rotate makes new files, --max-size and --max-age keep one: not "
                       "both");
        return STATUS_USAGE;
    }
    struct store_options lengths = {0};
    struct error error = {""};
    if (run_lengths(options, options->output, &lengths, &error) != 0) {
        complain("live: %s", error.text);
        return STATUS_USAGE;
    }
    output_init(&live.out, stdout);
    signals_catch();
    signals_catch_question();
    int status = live_run(&live);
    run_release(&live.run);
    watch_free(live.watch);
    capture_close(live.capture);
    int failed = output_finish(&live.out);
    return status != STATUS_DONE ? status : failed;
}

static const struct option_info options[] = {
    OPTIONS_TITLE("Capturing"),
    {"interface", 'i', OPTION_TEXT, offsetof(struct options, interface), "IFACE", NULL,
     "where to listen; any is all interfaces", NULL, 0, 0},
    {"list-interfaces", 'D', OPTION_FLAG, offsetof(struct options, list_interfaces), NULL, NULL,
     "list the interfaces and end", NULL, 0, 0},
    OPTIONS_FILTER,
    {"snaplen", 's', OPTION_NUMBER, offsetof(struct options, snaplen), "BYTES", NULL,
     "bytes of each packet; less than all makes gaps; 0 is all", NULL, 0, 262144},
    {"buffer-size", 'B', OPTION_NUMBER, offsetof(struct options, buffer_kib), "KIB", NULL,
     "the kernel's buffer, in KiB; larger where packets are dropped", NULL, 1, 2097151},
    {"no-promiscuous-mode", 'p', OPTION_FLAG, offsetof(struct options, no_promiscuous), NULL, NULL,
     "see only packets for this host", NULL, 0, 0},
    {"relinquish-privileges", 'Z', OPTION_TEXT, offsetof(struct options, user), "USER", NULL,
     "become this user once the interface is open; root by sudo becomes who called it", NULL, 0, 0},
    OPTIONS_COUNT,
    {"duration", 0, OPTION_DURATION, offsetof(struct options, duration_ns), "TIME", NULL,
     "stop after that long: 30 (seconds), 10m, 2h", NULL, 0, 0},
    OPTIONS_TITLE("Long runs"),
    {"rotate", 0, OPTION_TEXT, offsetof(struct options, rotate), "SIZE|TIME", NULL,
     "go on in a new file (NAME-000001.db, ...) at that size (64M, 1G) or age (30m, 24h)", NULL, 0,
     0},
    {"keep", 0, OPTION_NUMBER, offsetof(struct options, keep), "N", NULL,
     "with --rotate: only the newest N files stay", NULL, 1, 1000000},
    {"max-size", 0, OPTION_SIZE, offsetof(struct options, max_size), "SIZE", NULL,
     "keep the database below that: the oldest connections that have ended go", NULL, 4 << 20, 0},
    {"max-age", 0, OPTION_DURATION, offsetof(struct options, max_age_ns), "TIME", NULL,
     "connections that ended longer ago go: 30m, 24h, 7d", NULL, 0, 0},
    OPTIONS_TITLE("Options"),
    OPTIONS_OUTPUT,
    OPTIONS_STORING("switching", "0"),
    OPTIONS_ENGINE,
    OPTIONS_KEYS("2"),
    OPTIONS_TALK,
    OPTION_END,
};

const struct command command_live = {
    .name = "live",
    .arguments = "-i IFACE [-o DB]",
    .summary = "Analyses live traffic until interrupted, with a line for each session as it opens "
               "and closes.",
    .details = "Payloads are not stored unless --payload says how much. A first interrupt (Ctrl-C, "
               "SIGTERM) ends cleanly; a second one at once. Other commands can read the database "
               "meanwhile. Capturing needs CAP_NET_RAW.",
    .examples = "  switchtap live -i any -f 'tcp port 80 or tcp port 8080'\n"
                "  switchtap live -i eth0 -o day.db --payload 4K --duration 24h\n",
    .options = options,
    .missing = "",
    .least = 0,
    .most = 0,
    .confines_itself = 1,
    .run = run,
};
