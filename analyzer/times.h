/*
 * Times as people write and read them.
 */
#ifndef SWITCHTAP_TIMES_H
#define SWITCHTAP_TIMES_H

#include <stdint.h>

/*
 * A point in time in nanoseconds since the epoch. 0, or -1: not understood. Understood are
 *   14:00, 14:00:30.5               the last time it was that late, in local time
 *   30s, 15m, 2h, 1h30m, 7d, 2w     that long before now
 *   2026-11-22, 2026-11-22T14:00, 2026-11-22 14:00:30.25, with Z, +01:00 or +0100 behind
 *                                   ISO 8601; local time where no zone is given
 *   now, today, yesterday           (midnight, local time)
 */
int times_parse(const char *text, int64_t now_ns, int64_t *ns);

/* A length of time: 30s, 500ms, 1h30m; a bare number is seconds, 0.2 too. 0, or -1. */
int times_parse_duration(const char *text, int64_t *ns);

enum { TIMES_SIZE = 48 };

int64_t times_now(void);

/* "2026-11-22 14:00:03.123" in local time, with 0 to 9 digits. */
const char *times_local(int64_t ns, unsigned digits, char text[TIMES_SIZE]);

/* "14:00:03.123" in local time, with 0 to 9 digits. */
const char *times_clock(int64_t ns, unsigned digits, char text[TIMES_SIZE]);

/* "+01:00", the local zone at that time. */
const char *times_zone(int64_t ns, char text[TIMES_SIZE]);

/* "2026-11-22T13:00:03.123456789Z" */
const char *times_iso(int64_t ns, char text[TIMES_SIZE]);

/* to - from, held at the ends of the range: the times may be anybody's. */
int64_t times_between(int64_t from_ns, int64_t to_ns);

/* "850 us", "1.2 ms", "12 ms", "6.2 s", "2 m 05 s", "3 h 20 m", "4 d 06 h" */
const char *times_duration(int64_t ns, char text[TIMES_SIZE]);

#endif
