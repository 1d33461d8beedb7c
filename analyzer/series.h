/*
 * Database files that follow one another: NAME.db, NAME-000001.db, NAME-000002.db, ...
 */
#ifndef SWITCHTAP_SERIES_H
#define SWITCHTAP_SERIES_H

#include <stdint.h>

/* The path of a file of the series whose first is `base`, on the heap; NULL: out of memory. */
char *series_path(const char *base, uint64_t number);

/* The highest number for which there is a file; 0 where there is none. */
uint64_t series_newest(const char *base);

/* Removes the oldest files of the series, with what SQLite keeps beside them, until there are
 * `keep`. Those from `current` on stay, and so does whatever is no database of this program.
 * Returns how many were removed. */
uint64_t series_keep(const char *base, uint64_t current, uint64_t keep);

#endif
