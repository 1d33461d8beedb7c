/*
 * Giving up what is not needed: whoever wrote a capture, a database or the packets on the wire must
 * find nothing of use in this process. Once the device is open, `live` becomes another user, has no
 * capabilities and can gain none; every command that looks at foreign bytes runs under a filter of
 * system calls, which new threads inherit.
 */
#ifndef SWITCHTAP_PRIVILEGES_H
#define SWITCHTAP_PRIVILEGES_H

#include <sys/types.h>

#include "error.h"

struct privileges {
    int change;    /* to this user: */
    uid_t uid;
    gid_t gid;
    char name[33];
    int confined;  /* the filter is in force */
    int bare;      /* there are no capabilities */
    int no_new;    /* ... and there will be none: no_new_privs */
};

/* Which user to become: that of -Z (`user`, not NULL), or, for root by sudo, the one who called it;
 * otherwise nobody else. Looks users up, so it comes before the filter. 0, or -1 with a message. */
int privileges_choose(struct privileges *privileges, const char *user, struct error *error);

/* Becomes that user, gives up all capabilities, for good. What was opened stays open. 0, or -1 with
 * a message: not all could be given up, nothing should go on. */
int privileges_drop(struct privileges *privileges, struct error *error);

/* From now on only the system calls that analysing needs. Where the kernel has no such filters, and
 * in builds with sanitizers, which need more, nothing happens. To be called before there are
 * threads. */
void privileges_confine(struct privileges *privileges);

enum { PRIVILEGES_TEXT = 128 };

/* "user nobody (65534), no capabilities, no_new_privs, seccomp" */
void privileges_text(const struct privileges *privileges, char text[PRIVILEGES_TEXT]);

#endif
