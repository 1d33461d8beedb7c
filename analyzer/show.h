/*
 * The parts of one session in full, each printed from its own query.
 */
#ifndef SWITCHTAP_SHOW_H
#define SWITCHTAP_SHOW_H

#include "listing.h"

struct show {
    struct database *database;
    struct output *out;
    int64_t session, flow;
    uint64_t messages; /* how many at most */
    int failed;        /* a query failed, and that was said */
};

/* A prepared statement with :session and :flow bound where it has them; NULL: said. */
struct query *show_query(struct show *show, const char *sql);

/* The next row; 0 at the end and after an error. */
int show_step(struct show *show, struct query *query);

void show_title(struct show *show, const char *title);

/* "  name        text": raw text, made safe. */
void show_field(struct show *show, const char *name, struct buffer *text);

void show_layers(struct show *show);
void show_hops(struct show *show);

#endif
