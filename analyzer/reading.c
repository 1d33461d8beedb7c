/*
 * Reading capture files into a database. Files that cannot be read are told and left out; nothing
 * is written before one of them turned out to be a capture.
 */
#include "reading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "progress.h"
#include "signals.h"

enum { CHECK_PACKETS = 256 }; /* how often the loop looks at the clock and at signals */

/* ---------------------------------------------------------------- the files */

static void file_fails(struct reading *reading, struct reading_file *file,
                       const struct error *error)
{
    complain("%s", error->text);
    file->usable = 0;
    reading->status = STATUS_FAILED;
}

static int is_database(const struct stat *file, const char *database)
{
    struct stat stat_of;
    return stat(database, &stat_of) == 0 && stat_of.st_dev == file->st_dev &&
           stat_of.st_ino == file->st_ino;
}

/* Can it be opened? A pipe can be opened only once, so that shows when its turn comes. */
static void file_check(struct reading *reading, struct reading_file *file, const char *database)
{
    const struct options *options = reading->options;
    struct error error = {""};
    struct stat stat_of;
    file->usable = 1;
    if (strcmp(file->path, "-") == 0)
        return;
    if (stat(file->path, &stat_of) != 0) {
        (void)error_set(&error, "%s: %s", file->path, strerror(errno));
        file_fails(reading, file, &error);
        return;
    }
    if (is_database(&stat_of, database)) {
        (void)error_set(&error, "%s: this is the database that is to be written (-o)", file->path);
        file_fails(reading, file, &error);
        return;
    }
    file->regular = S_ISREG(stat_of.st_mode);
    if (S_ISFIFO(stat_of.st_mode) || S_ISCHR(stat_of.st_mode) || S_ISSOCK(stat_of.st_mode))
        return;
    struct capture *capture = capture_open_file(file->path, options->filter, &error);
    capture_close(capture);
    if (capture == NULL ||
        fingerprint_file(file->path, options->sha256, file->fingerprint, &file->size, &error) != 0)
        file_fails(reading, file, &error);
}

static int files_check(struct reading *reading, const char *database)
{
    const struct options *options = reading->options;
    int usable = 0;
    reading->file_count = (size_t)options->argument_count;
    reading->files = calloc(reading->file_count, sizeof *reading->files);
    if (reading->files == NULL) {
        complain("out of memory");
        return -1;
    }
    for (size_t i = 0; i < reading->file_count && signals_seen() == 0; i++) {
        reading->files[i].path = options->arguments[i];
        file_check(reading, &reading->files[i], database);
        usable += reading->files[i].usable;
    }
    return usable > 0 ? 0 : -1;
}

/* The next file from *index on that opens; NULL: no more. */
static struct capture *files_next(struct reading *reading, size_t *index)
{
    struct error error = {""};
    for (; *index < reading->file_count; (*index)++) {
        struct reading_file *file = &reading->files[*index];
        if (!file->usable)
            continue;
        struct capture *capture = capture_open_file(file->path, reading->options->filter, &error);
        if (capture != NULL) {
            file->first_packet = reading->info.packets + 1;
            file->read = 1;
            reading->read_count++;
            capture_number_from(capture, file->first_packet);
            signals_wake(capture);
            return capture;
        }
        file_fails(reading, file, &error);
    }
    return NULL;
}

static void file_close(struct capture *capture)
{
    signals_wake(NULL);
    capture_close(capture);
}

static void info_add(struct reading *reading, const struct reading_file *file,
                     const struct capture_info *info)
{
    struct capture_info *sum = &reading->info;
    if (sum->link_type < 0) {
        sum->link_type = info->link_type;
        sum->snaplen = info->snaplen;
    }
    sum->packets += info->packets;
    sum->bytes += info->bytes;
    sum->filtered += info->filtered;
    sum->position += info->position;
    sum->damaged += info->damaged;
    sum->kernel_dropped += info->kernel_dropped;
    sum->interface_dropped += info->interface_dropped;
    if (info->damage[0] != '\0' && sum->damage[0] == '\0')
        memcpy(sum->damage, info->damage, sizeof sum->damage);
    sum->truncated |= info->truncated;
    if (reading->options->quiet)
        return;
    if (info->truncated)
        complain("%s: the last record is cut; everything before it was read", file->path);
    if (info->damaged > 0)
        complain("%s: %" PRIu64 " damaged record%s skipped%s%s", file->path, info->damaged,
                 PLURAL(info->damaged), info->damage[0] != '\0' ? "; the first: " : "",
                 info->damage);
}

/* ---------------------------------------------------------------- packets */

static int enough(const struct reading *reading)
{
    return reading->options->count > 0 && reading->run.packets >= reading->options->count;
}

static void show(struct reading *reading, struct capture *capture, struct progress *progress)
{
    struct capture_info now;
    capture_get_info(capture, &now);
    progress_show(progress, reading->info.position + now.position,
                  reading->info.packets + now.packets, reading->info.bytes + now.bytes);
}

/* 0: the file is done, go on; 1: stop. */
static int file_read(struct reading *reading, const struct reading_file *file,
                     struct capture *capture, struct progress *progress)
{
    struct error error = {""};
    struct packet packet;
    unsigned turn = 0;
    int result = 1, stop = 0;
    while (!stop && (result = capture_next(capture, &packet, &error)) > 0) {
        if (result == 1)
            run_packet(&reading->run, &packet);
        if (result == 2 || turn++ % CHECK_PACKETS == 0) {
            show(reading, capture, progress);
            reading->interrupted = signals_seen() > 0;
            stop = reading->interrupted || run_failed(&reading->run);
        }
        stop = stop || enough(reading);
    }
    progress_clear(progress);
    if (result < 0) {
        complain("%s", error.text);
        reading->status = STATUS_FAILED;
    }
    struct capture_info info;
    capture_get_info(capture, &info);
    info_add(reading, file, &info);
    return stop;
}

static void read_all(struct reading *reading, struct capture *capture, size_t index)
{
    struct progress progress;
    uint64_t size = 0;
    int known = 1;
    for (size_t i = index; i < reading->file_count; i++) {
        size += reading->files[i].usable ? reading->files[i].size : 0;
        known = known && (!reading->files[i].usable || reading->files[i].regular);
    }
    progress_begin(&progress, !reading->options->quiet, known ? size : 0);
    int stop = 0;
    while (capture != NULL) {
        capture_on_secrets(capture, run_secrets, &reading->run);
        stop = file_read(reading, &reading->files[index], capture, &progress);
        file_close(capture);
        index++;
        capture = stop ? NULL : files_next(reading, &index);
    }
}

/* ---------------------------------------------------------------- all in all */

/* One fingerprint for all of it; none where a pipe is among the files. */
static int fingerprint_all(const struct reading *reading, const char *options_text,
                           char text[FINGERPRINT_SIZE])
{
    const char **texts = calloc(reading->file_count + 2, sizeof *texts);
    int count = 0, known = texts != NULL;
    for (size_t i = 0; known && i < reading->file_count; i++) {
        if (!reading->files[i].usable)
            continue;
        known = reading->files[i].regular;
        texts[count++] = reading->files[i].fingerprint;
    }
    if (known) {
        texts[count++] = reading->options->filter != NULL ? reading->options->filter : "";
        texts[count++] = options_text;
        fingerprint_join(texts, count, text);
    }
    free((void *)texts);
    return known;
}

static int finish(struct reading *reading, int fingerprinted, struct error *error)
{
    struct store_file *files = calloc(reading->file_count, sizeof *files);
    size_t count = 0;
    if (files == NULL)
        return error_set(error, "out of memory");
    for (size_t i = 0; i < reading->file_count; i++) {
        const struct reading_file *file = &reading->files[i];
        if (file->read)
            files[count++] = (struct store_file){
                file->path, file->size, file->fingerprint[0] != '\0' ? file->fingerprint : NULL,
                file->first_packet};
    }
    struct run *run = &reading->run;
    run_count(run, "capture.filtered", reading->info.filtered);
    run_count(run, "capture.damaged", reading->info.damaged);
    run_count(run, "capture.kernel-dropped", reading->info.kernel_dropped);
    run_count(run, "capture.interface-dropped", reading->info.interface_dropped);
    /* What came through a pipe cannot be read again: it is kept, also where it was interrupted. */
    int complete = !(reading->interrupted && fingerprinted);
    int result = run_finish(run, &reading->info, files, count, complete, error);
    free(files);
    reading->complete = result == 0 && complete;
    if (result == 0 && !complete) {
        complain("interrupted: the capture is unfinished and will be read again next time");
        reading->status = STATUS_FAILED;
    }
    return result;
}

static int reading_store(struct reading *reading, const char *database, int known,
                         struct capture *capture, size_t index)
{
    struct error error = {""};
    struct buffer text = {0};
    char fingerprint[FINGERPRINT_SIZE];
    int result = run_open(&reading->run, reading->options, 0, database, &error);
    run_options_text(&reading->run, reading->options, &text);
    int fingerprinted = fingerprint_all(reading, buffer_text(&text), fingerprint);
    struct store_source source = {
        .source = reading->files[index].path,
        .fingerprint = fingerprinted && known ? fingerprint : NULL,
        .filter = reading->options->filter,
        .options = buffer_text(&text),
    };
    if (result == 0 && source.fingerprint != NULL && !reading->options->again) {
        reading->already = store_find_capture(reading->run.store, fingerprint, &error);
        result = reading->already < 0 ? -1 : 0;
    }
    if (result == 0 && reading->already == 0)
        result = run_begin(&reading->run, reading->options, &source, NULL, &error);
    if (result == 0 && reading->already == 0) {
        read_all(reading, capture, index);
        result = finish(reading, fingerprinted, &error);
    } else {
        file_close(capture);
    }
    buffer_release(&text);
    if (result != 0)
        complain("%s", error.text);
    return result == 0 ? reading->status : STATUS_FAILED;
}

int reading_run(struct reading *reading, const struct options *options, const char *database,
                int known)
{
    size_t index = 0;
    *reading = (struct reading){.options = options, .info = {.link_type = -1}};
    signals_catch();
    if (files_check(reading, database) != 0 || signals_seen() > 0)
        return STATUS_FAILED;
    struct capture *capture = files_next(reading, &index);
    if (capture == NULL)
        return STATUS_FAILED;
    return reading_store(reading, database, known, capture, index);
}

void reading_release(struct reading *reading)
{
    run_release(&reading->run);
    free(reading->files);
    reading->files = NULL;
}
