/*
 * SIGINT, SIGTERM and SIGHUP while a capture runs: the first one asks for a clean end, the second
 * ends the program at once, which costs the capture but not the database.
 */
#ifndef SWITCHTAP_SIGNALS_H
#define SWITCHTAP_SIGNALS_H

#include "capture.h"

/* From now on; the main thread only. */
void signals_catch(void);

/* SIGUSR1, too: signals_asked() says once for each that came that somebody wants to know. */
void signals_catch_question(void);
int signals_asked(void);

/* How many came so far. */
int signals_seen(void);

/* The capture that a signal wakes; NULL: none (before it is closed). */
void signals_wake(struct capture *capture);

/* A folder of our own and a file in it that a second signal removes, with the names SQLite makes
 * from it; NULL: none any more. The strings stay in use. */
void signals_remove(const char *folder, const char *const *files);

#endif
