/*
 * The names of the files of a series, and the removal of old ones. Only plain files that carry this
 * program's application id are ever removed.
 */
#include "series.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "database_create.h"

enum { DIGITS = 6, ID_OFFSET = 68 /* of the application id in a SQLite file */ };

/* The length of the path without its extension. */
static size_t stem_length(const char *base)
{
    const char *slash = strrchr(base, '/'), *dot = strrchr(base, '.');
    const char *name = slash != NULL ? slash + 1 : base;
    return dot != NULL && dot > name ? (size_t)(dot - base) : strlen(base);
}

char *series_path(const char *base, uint64_t number)
{
    size_t size = strlen(base) + 32, stem = stem_length(base);
    char *path = malloc(size);
    if (path == NULL)
        return NULL;
    if (number == 0)
        (void)snprintf(path, size, "%s", base);
    else
        (void)snprintf(path, size, "%.*s-%0*" PRIu64 "%s", (int)stem, base, DIGITS, number,
                       base + stem);
    return path;
}

/* The number of a name in the folder; -1: it is not of the series. */
static int64_t number_of(const char *base, const char *name)
{
    const char *slash = strrchr(base, '/'), *first = slash != NULL ? slash + 1 : base;
    size_t stem = stem_length(base) - (size_t)(first - base), digits = 0;
    if (strcmp(name, first) == 0)
        return 0;
    if (strncmp(name, first, stem) != 0 || name[stem] != '-')
        return -1;
    int64_t number = 0;
    for (const char *at = name + stem + 1; *at >= '0' && *at <= '9'; at++, digits++) {
        if (digits == 15)
            return -1;
        number = number * 10 + (*at - '0');
    }
    if (digits < DIGITS || (digits > DIGITS && name[stem + 1] == '0') || number == 0 ||
        strcmp(name + stem + 1 + digits, first + stem) != 0)
        return -1;
    return number;
}

struct numbers { /* of the files there are */
    uint64_t *items;
    size_t count, room;
};

static void add_number(struct numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->room) {
        size_t room = numbers->room > 0 ? numbers->room * 2 : 64;
        uint64_t *grown = realloc(numbers->items, room * sizeof *grown);
        if (grown == NULL)
            return; /* the next time, then */
        numbers->items = grown;
        numbers->room = room;
    }
    numbers->items[numbers->count++] = number;
}

static struct numbers list(const char *base)
{
    struct numbers numbers = {0};
    const char *slash = strrchr(base, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(base, (size_t)(slash - base) + 1);
    DIR *entries = folder != NULL ? opendir(folder) : NULL;
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        int64_t number = number_of(base, entry->d_name);
        if (number >= 0)
            add_number(&numbers, (uint64_t)number);
    }
    if (entries != NULL)
        (void)closedir(entries);
    free(folder);
    return numbers;
}

uint64_t series_newest(const char *base)
{
    struct numbers numbers = list(base);
    uint64_t newest = 0;
    for (size_t i = 0; i < numbers.count; i++)
        if (numbers.items[i] > newest)
            newest = numbers.items[i];
    free(numbers.items);
    return newest;
}

static int is_ours(const char *path)
{
    struct stat status;
    unsigned char id[4] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    int ours = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
               pread(fd, id, sizeof id, ID_OFFSET) == (ssize_t)sizeof id &&
               ((uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3]) ==
                   DATABASE_APPLICATION_ID;
    if (fd >= 0)
        (void)close(fd);
    return ours;
}

static int is_ours_at(const char *base, uint64_t number)
{
    char *path = series_path(base, number);
    int ours = path != NULL && is_ours(path);
    free(path);
    return ours;
}

static int remove_file(const char *base, uint64_t number)
{
    static const char *const beside[] = {"-wal", "-shm", "-journal"};
    char *path = series_path(base, number);
    int removed = path != NULL && unlink(path) == 0;
    for (size_t i = 0; removed && i < sizeof beside / sizeof beside[0]; i++) {
        size_t size = strlen(path) + 16;
        char *other = malloc(size);
        if (other == NULL)
            break;
        (void)snprintf(other, size, "%s%s", path, beside[i]);
        (void)unlink(other);
        free(other);
    }
    free(path);
    return removed;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

uint64_t series_keep(const char *base, uint64_t current, uint64_t keep)
{
    struct numbers numbers = list(base);
    size_t ours = 0;
    uint64_t removed = 0;
    for (size_t i = 0; i < numbers.count; i++)
        if (is_ours_at(base, numbers.items[i]))
            numbers.items[ours++] = numbers.items[i];
    uint64_t surplus = ours > keep ? ours - keep : 0;
    if (ours > 0)
        qsort(numbers.items, ours, sizeof *numbers.items, by_number);
    for (size_t i = 0; i < ours && removed < surplus && numbers.items[i] < current; i++)
        removed += remove_file(base, numbers.items[i]) != 0;
    free(numbers.items);
    return removed;
}
