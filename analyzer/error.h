/*
 * What went wrong, for a person: one sentence that names the thing and says what to do.
 */
#ifndef SWITCHTAP_ERROR_H
#define SWITCHTAP_ERROR_H

struct error {
    char text[1024]; /* terminated; empty: no error. May hold bytes of a path: print it escaped. */
};

/* Writes the message and returns -1, so that `return error_set(...)` reads well. error may be
 * NULL. */
int error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
