/*
 * What signals do. A handler has no argument, so these few variables are the one mutable state of
 * the program that is global; only this file sees them.
 */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

static volatile sig_atomic_t seen, asked;
static struct capture *volatile waked;
static const char *volatile folder_to_remove;
static const char *const *volatile files_to_remove;

static void handle(int signal_number)
{
    int before = errno;
    (void)signal_number;
    seen = seen + 1;
    if (seen > 1) {
        const char *const *file = files_to_remove;
        for (; file != NULL && *file != NULL; file++)
            (void)unlink(*file);
        if (folder_to_remove != NULL)
            (void)rmdir(folder_to_remove);
        _exit(STATUS_FAILED);
    }
    if (waked != NULL)
        capture_interrupt(waked);
    errno = before;
}

static void handle_question(int signal_number)
{
    int before = errno;
    (void)signal_number;
    asked = 1;
    if (waked != NULL)
        capture_interrupt(waked);
    errno = before;
}

void signals_catch_question(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle_question;
    (void)sigaction(SIGUSR1, &action, NULL);
}

int signals_asked(void)
{
    int was = asked;
    asked = 0;
    return was;
}

void signals_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)sigaddset(&action.sa_mask, numbers[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        /* nohup means it; an interrupt is ignored by every shell script's background jobs */
        if (numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            continue;
        (void)sigaction(numbers[i], &action, NULL);
    }
}

int signals_seen(void)
{
    return seen;
}

void signals_wake(struct capture *capture)
{
    waked = capture;
    if (capture != NULL && seen > 0)
        capture_interrupt(capture); /* it came before there was something to wake */
}

void signals_remove(const char *folder, const char *const *files)
{
    folder_to_remove = NULL; /* in this order: a handler never sees half of it */
    files_to_remove = files;
    folder_to_remove = folder;
}
