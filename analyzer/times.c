/*
 * Times as people write and read them: clock times, ages, the useful part of ISO 8601. No week
 * dates, no ordinal dates, no leap seconds.
 */
#include "times.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const int64_t second_ns = 1000000000;

int64_t times_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * second_ns + now.tv_nsec;
}

/* ---------------------------------------------------------------- reading */

/* Exactly `count` digits up to `most`. NULL: not there. */
static const char *read_number(const char *text, unsigned count, int most, int *value)
{
    int number = 0;
    for (unsigned i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return NULL;
        number = number * 10 + (text[i] - '0');
    }
    *value = number;
    return number <= most ? text + count : NULL;
}

/* ".25" behind seconds, up to nine digits, further ones are ignored. */
static const char *read_fraction(const char *text, int64_t *ns)
{
    int64_t unit = second_ns / 10;
    *ns = 0;
    if (*text != '.' && *text != ',')
        return text;
    text++;
    if (*text < '0' || *text > '9')
        return NULL;
    for (; *text >= '0' && *text <= '9'; text++, unit /= 10)
        *ns += (*text - '0') * unit;
    return text;
}

/* HH:MM[:SS[.f]]; the rest behind it. */
static const char *read_clock(const char *text, struct tm *tm, int64_t *fraction_ns)
{
    *fraction_ns = 0;
    tm->tm_sec = 0;
    text = read_number(text, 2, 23, &tm->tm_hour);
    if (text == NULL || *text != ':')
        return NULL;
    text = read_number(text + 1, 2, 59, &tm->tm_min);
    if (text == NULL || *text != ':')
        return text;
    text = read_number(text + 1, 2, 60, &tm->tm_sec);
    return text != NULL ? read_fraction(text, fraction_ns) : NULL;
}

static int local_now(int64_t now_ns, struct tm *tm)
{
    time_t now = (time_t)(now_ns / second_ns);
    if (localtime_r(&now, tm) == NULL)
        return -1;
    tm->tm_isdst = -1;
    return 0;
}

/* The last time the clock showed this. */
static int parse_clock(const char *text, int64_t now_ns, int64_t *ns)
{
    struct tm tm;
    int64_t fraction;
    if (local_now(now_ns, &tm) != 0)
        return -1;
    text = read_clock(text, &tm, &fraction);
    if (text == NULL || *text != '\0')
        return -1;
    struct tm again = tm;
    *ns = (int64_t)mktime(&tm) * second_ns + fraction;
    if (*ns > now_ns) {
        again.tm_mday--;
        again.tm_isdst = -1;
        *ns = (int64_t)mktime(&again) * second_ns + fraction;
    }
    return 0;
}

static int parse_day(int back, int64_t now_ns, int64_t *ns)
{
    struct tm tm;
    if (local_now(now_ns, &tm) != 0)
        return -1;
    tm.tm_mday -= back;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    *ns = (int64_t)mktime(&tm) * second_ns;
    return 0;
}

/* Z, +HH, +HHMM, +HH:MM: seconds east of Greenwich. */
static int read_zone(const char *text, int64_t *seconds)
{
    int hours, minutes = 0;
    *seconds = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return 0;
    if (*text != '+' && *text != '-')
        return -1;
    int sign = *text == '-' ? -1 : 1;
    text = read_number(text + 1, 2, 23, &hours);
    if (text != NULL && *text == ':')
        text++;
    if (text != NULL && *text != '\0')
        text = read_number(text, 2, 59, &minutes);
    if (text == NULL || *text != '\0')
        return -1;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return 0;
}

/* timegm() accepts the 31st of February and makes it the 3rd of March. */
static int day_exists(const struct tm *tm)
{
    struct tm noon = {.tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday};
    noon.tm_hour = 12;
    (void)timegm(&noon);
    return noon.tm_mday == tm->tm_mday;
}

static int parse_iso(const char *text, int64_t *ns)
{
    struct tm tm = {0};
    int year, month;
    int64_t fraction = 0, zone = 0, seconds;
    text = read_number(text, 4, 2200, &year);
    if (text == NULL || *text != '-' || year < 1970)
        return -1;
    text = read_number(text + 1, 2, 12, &month);
    if (text == NULL || *text != '-' || month < 1)
        return -1;
    text = read_number(text + 1, 2, 31, &tm.tm_mday);
    if (text == NULL || tm.tm_mday < 1)
        return -1;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    if (*text == 'T' || *text == 't' || *text == ' ' || *text == '_')
        text = read_clock(text + 1, &tm, &fraction);
    if (text == NULL)
        return -1;
    while (*text == ' ')
        text++;
    int utc = *text != '\0';
    if (!day_exists(&tm) || (utc && read_zone(text, &zone) != 0))
        return -1;
    tm.tm_isdst = -1;
    seconds = utc ? (int64_t)timegm(&tm) : (int64_t)mktime(&tm);
    *ns = (seconds - zone) * second_ns + fraction;
    return 0;
}

static int64_t unit_ns(const char *unit, size_t len)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"ns", 1},
        {"us", 1000},
        {"ms", 1000000},
        {"s", 1000000000},
        {"m", 60 * INT64_C(1000000000)},
        {"min", 60 * INT64_C(1000000000)},
        {"h", 3600 * INT64_C(1000000000)},
        {"d", 86400 * INT64_C(1000000000)},
        {"w", 7 * 86400 * INT64_C(1000000000)},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strlen(units[i].name) == len && memcmp(units[i].name, unit, len) == 0)
            return units[i].ns;
    }
    return 0;
}

/* A number with its unit; bare: the unit of a number without one, 0: it must have one. */
static const char *read_part(const char *text, int64_t bare, int64_t *ns)
{
    int64_t whole = 0, fraction, unit;
    if (*text < '0' || *text > '9')
        return NULL;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (whole > INT64_C(1000000000000))
            return NULL;
        whole = whole * 10 + (*text - '0');
    }
    text = read_fraction(text, &fraction);
    if (text == NULL)
        return NULL;
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
    unit = len > 0 ? unit_ns(text, len) : *text == '\0' ? bare : 0;
    if (unit == 0 || whole > INT64_MAX / 4 / unit)
        return NULL;
    *ns = whole * unit + (int64_t)((long double)fraction / 1e9L * (long double)unit);
    return text + len;
}

static int parse_span(const char *text, int64_t bare, int64_t *ns)
{
    int64_t sum = 0;
    do {
        int64_t part;
        text = read_part(text, bare, &part);
        if (text == NULL || sum > INT64_MAX / 4 - part)
            return -1;
        sum += part;
        bare = 0;
    } while (*text != '\0');
    *ns = sum;
    return 0;
}

int times_parse_duration(const char *text, int64_t *ns)
{
    return parse_span(text, second_ns, ns);
}

int times_parse(const char *text, int64_t now_ns, int64_t *ns)
{
    if (strcmp(text, "now") == 0) {
        *ns = now_ns;
        return 0;
    }
    if (strcmp(text, "today") == 0)
        return parse_day(0, now_ns, ns);
    if (strcmp(text, "yesterday") == 0)
        return parse_day(1, now_ns, ns);
    if (strlen(text) >= 5 && text[2] == ':')
        return parse_clock(text, now_ns, ns);
    if (strlen(text) >= 8 && text[4] == '-')
        return parse_iso(text, ns);
    int64_t span;
    if (parse_span(text, 0, &span) != 0)
        return -1;
    *ns = now_ns - span;
    return 0;
}

/* ---------------------------------------------------------------- printing */

/* Splits so that the nanoseconds are not negative. */
static time_t split(int64_t ns, int64_t *rest)
{
    int64_t seconds = ns / second_ns;
    *rest = ns % second_ns;
    if (*rest < 0) {
        *rest += second_ns;
        seconds--;
    }
    return (time_t)seconds;
}

static int broken_down(int64_t ns, int utc, struct tm *tm, int64_t *rest)
{
    time_t seconds = split(ns, rest);
    return (utc ? gmtime_r(&seconds, tm) : localtime_r(&seconds, tm)) != NULL;
}

/* Adds ".123" to what is there. */
static void add_fraction(char text[TIMES_SIZE], int64_t rest, unsigned digits)
{
    char fraction[24];
    size_t len = strlen(text);
    if (digits == 0 || digits > 9)
        return;
    (void)snprintf(fraction, sizeof fraction, ".%09" PRId64, rest);
    (void)snprintf(text + len, TIMES_SIZE - len, "%.*s", (int)digits + 1, fraction);
}

const char *times_local(int64_t ns, unsigned digits, char text[TIMES_SIZE])
{
    struct tm tm;
    int64_t rest;
    (void)snprintf(text, TIMES_SIZE, "?");
    if (broken_down(ns, 0, &tm, &rest)) {
        (void)strftime(text, TIMES_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
        add_fraction(text, rest, digits);
    }
    return text;
}

const char *times_clock(int64_t ns, unsigned digits, char text[TIMES_SIZE])
{
    struct tm tm;
    int64_t rest;
    (void)snprintf(text, TIMES_SIZE, "?");
    if (broken_down(ns, 0, &tm, &rest)) {
        (void)strftime(text, TIMES_SIZE, "%H:%M:%S", &tm);
        add_fraction(text, rest, digits);
    }
    return text;
}

const char *times_zone(int64_t ns, char text[TIMES_SIZE])
{
    struct tm tm;
    int64_t rest;
    char plain[16] = "";
    if (broken_down(ns, 0, &tm, &rest))
        (void)strftime(plain, sizeof plain, "%z", &tm);
    if (strlen(plain) == 5)
        (void)snprintf(text, TIMES_SIZE, "%.3s:%.2s", plain, plain + 3);
    else
        (void)snprintf(text, TIMES_SIZE, "%s", plain);
    return text;
}

const char *times_iso(int64_t ns, char text[TIMES_SIZE])
{
    struct tm tm;
    int64_t rest;
    char whole[32] = "?";
    if (broken_down(ns, 1, &tm, &rest))
        (void)strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text, TIMES_SIZE, "%.24s.%09" PRId64 "Z", whole, rest);
    return text;
}

int64_t times_between(int64_t from_ns, int64_t to_ns)
{
    int64_t ns;
    if (__builtin_sub_overflow(to_ns, from_ns, &ns))
        return to_ns < from_ns ? INT64_MIN : INT64_MAX;
    return ns;
}

const char *times_duration(int64_t ns, char text[TIMES_SIZE])
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t value = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    uint64_t tenths = (value + 50000000) / 100000000, seconds = (value + 500000000) / 1000000000;
    if (value < 1000)
        (void)snprintf(text, TIMES_SIZE, "%s%" PRIu64 " ns", sign, value);
    else if (value < 999500)
        (void)snprintf(text, TIMES_SIZE, "%s%" PRIu64 " us", sign, (value + 500) / 1000);
    else if (value < 9950000)
        (void)snprintf(text, TIMES_SIZE, "%s%" PRIu64 ".%" PRIu64 " ms", sign,
                       (value + 50000) / 1000000, (value + 50000) / 100000 % 10);
    else if (value < 999500000)
        (void)snprintf(text, TIMES_SIZE, "%s%" PRIu64 " ms", sign, (value + 500000) / 1000000);
    else if (tenths < 600)
        (void)snprintf(text, TIMES_SIZE, "%s%" PRIu64 ".%" PRIu64 " s", sign, tenths / 10,
                       tenths % 10);
    else if (seconds < 3600)
        (void)snprintf(text, TIMES_SIZE, "%s%" PRIu64 " m %02" PRIu64 " s", sign, seconds / 60,
                       seconds % 60);
    else if (seconds < 86400)
        (void)snprintf(text, TIMES_SIZE, "%s%" PRIu64 " h %02" PRIu64 " m", sign, seconds / 3600,
                       seconds / 60 % 60);
    else
        (void)snprintf(text, TIMES_SIZE, "%s%" PRIu64 " d %02" PRIu64 " h", sign, seconds / 86400,
                       seconds / 3600 % 24);
    return text;
}
