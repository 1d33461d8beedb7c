/*
 * Reading capture files into a database: what `read` and `lint` have in common.
 */
#ifndef SWITCHTAP_READING_H
#define SWITCHTAP_READING_H

#include "run.h"

struct reading_file {
    const char *path;
    int usable;  /* 0: it could not be opened, and that was said */
    int regular; /* a file that can be opened twice; else a pipe */
    int read;
    uint64_t size; /* 0: unknown */
    char fingerprint[FINGERPRINT_SIZE];
    uint64_t first_packet;
};

struct reading {
    const struct options *options;
    struct run run;
    struct capture_info info; /* summed up over the files */
    struct reading_file *files;
    size_t file_count;
    uint64_t read_count; /* files */
    int status;          /* STATUS_FAILED: some file failed, and that was said */
    int64_t already;     /* the capture that these files are already; nothing was read */
    int interrupted;
    int complete; /* the capture is finished, run.summary is valid */
};

/* Reads options->arguments into `database`, prints what goes wrong. `known`: look whether these
 * files are already there. Returns the exit status; reading_release() in any case. */
int reading_run(struct reading *reading, const struct options *options, const char *database,
                int known);
void reading_release(struct reading *reading);

#endif
