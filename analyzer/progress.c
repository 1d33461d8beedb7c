/*
 * How far reading has come: percent, packets and bytes a second, the time that is left.
 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "times.h"

static const int64_t interval_ns = 200000000;

static int64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void progress_begin(struct progress *progress, int wanted, uint64_t size)
{
    *progress = (struct progress){.on = wanted && isatty(STDERR_FILENO), .size = size};
    if (progress->on) {
        progress->started_ns = monotonic_ns();
        progress->next_ns = progress->started_ns + interval_ns;
    }
}

static void print(uint64_t size, uint64_t position, uint64_t packets, uint64_t bytes,
                  double seconds)
{
    char line[160], count[32], rate[32], volume[32], left[TIMES_SIZE];
    int len = 0;
    if (size > 0) {
        double share = position >= size ? 1 : (double)position / (double)size;
        len = snprintf(line, sizeof line, "%3d %%  ", (int)(share * 100));
    }
    len += snprintf(line + len, sizeof line - (size_t)len, "%s packets  %s/s  %s/s",
                    output_count(packets, count),
                    output_count((uint64_t)((double)packets / seconds), rate),
                    output_bytes((uint64_t)((double)bytes / seconds), volume));
    if (size > position && position > 0) {
        double rest = seconds * (double)(size - position) / (double)position;
        (void)snprintf(line + len, sizeof line - (size_t)len, "  %s left",
                       times_duration((int64_t)(rest * 1e9), left));
    }
    (void)fprintf(stderr, "\r\033[K%.79s", line);
    (void)fflush(stderr);
}

void progress_show(struct progress *progress, uint64_t position, uint64_t packets, uint64_t bytes)
{
    if (!progress->on)
        return;
    int64_t now = monotonic_ns();
    if (now < progress->next_ns)
        return;
    progress->next_ns = now + interval_ns;
    progress->shown = 1;
    print(progress->size, position, packets, bytes, (double)(now - progress->started_ns) / 1e9);
}

void progress_clear(struct progress *progress)
{
    if (progress->shown)
        (void)fputs("\r\033[K", stderr);
    progress->shown = 0;
}
