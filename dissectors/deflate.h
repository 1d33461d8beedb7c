/*
 * Inflates the messages of one direction of a WebSocket (permessage-deflate, RFC 7692 section 7),
 * and says what the sender did that was not agreed.
 *
 * Reads with the largest window and never forgets the history, so that what can be decoded is
 * decoded; a second reader follows the same bits with the agreed window and history, looks at
 * every distance and nothing else, and knows exactly which of them a peer could not have resolved.
 */
#ifndef SWITCHTAP_DEFLATE_H
#define SWITCHTAP_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "budget.h"

struct deflate;

struct deflate_options {
    unsigned window_bits; /* agreed for this sender, 8 to 15; anything else: 15 */
    int takeover;         /* 0: no context takeover was agreed for this sender */
    uint64_t size_limit;  /* decoded bytes of one message; 0: none */
    unsigned ratio_limit; /* decoded : compressed, once a message is over 1 MiB; 0: none */
};

enum deflate_status {
    DEFLATE_FINE,
    DEFLATE_BAD,      /* not what the agreed parameters allow to inflate; see deflate_error() */
    DEFLATE_BOMB,     /* a limit was passed; inflating stopped there */
    DEFLATE_NO_MEMORY,
    DEFLATE_NO_CONTEXT, /* the history is unknown: something before was lost or not inflated */
};

/* Takes the decoded bytes, in order, borrowed for the call. */
struct deflate_sink {
    void (*take)(void *arg, const uint8_t *data, size_t len);
    void *arg;
};

/* What the sender of a message that was inflated to its end did against the agreement. */
struct deflate_report {
    int tail_kept;         /* the last four bytes, 00 00 FF FF, were not removed */
    uint32_t over_window;  /* the first distance beyond the agreed window; 0: none */
    uint32_t over_context; /* the first distance into a message before; 0: none */
};

/* All memory comes from the budget, zlib's as well; zlib's with the first message. NULL: the
 * budget is exhausted. */
struct deflate *deflate_new(struct budget *budget, const struct deflate_options *options);
void deflate_free(struct deflate *deflate);

/* A message begins: FINE, NO_CONTEXT or NO_MEMORY. The status of a message is sticky until the
 * next one begins. A message that was begun and not ended counts as lost. */
enum deflate_status deflate_begin(struct deflate *deflate);

/* The next compressed bytes of the message, cut anywhere. */
enum deflate_status deflate_feed(struct deflate *deflate, const uint8_t *data, size_t len,
                                 const struct deflate_sink *sink);

/* The message is complete. The report is filled where FINE is returned. */
enum deflate_status deflate_end(struct deflate *deflate, const struct deflate_sink *sink,
                                struct deflate_report *report);

/* Bytes of the stream were lost. */
void deflate_lose(struct deflate *deflate);

/* Why DEFLATE_BAD: a static text. */
const char *deflate_error(const struct deflate *deflate);

/* The second reader: walks the symbols of a deflate stream (RFC 1951), keeps none of the output. */
struct deflate_distances;

struct deflate_distances *deflate_distances_new(struct budget *budget, unsigned window_bits,
                                                int takeover);
void deflate_distances_free(struct deflate_distances *distances, struct budget *budget);
/* A message begins; `anew`: at a block boundary, whatever came before. */
void deflate_distances_begin(struct deflate_distances *distances, int anew);
void deflate_distances_feed(struct deflate_distances *distances, const uint8_t *data, size_t len);
void deflate_distances_report(const struct deflate_distances *distances,
                              struct deflate_report *report);

#endif
