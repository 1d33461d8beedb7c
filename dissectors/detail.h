/*
 * Builds the JSON object of layer.detail from what was read off the wire: valid JSON and valid
 * UTF-8 whatever the bytes were, bounded by its buffer, and whole members only: what does not fit
 * is left out.
 */
#ifndef SWITCHTAP_DETAIL_H
#define SWITCHTAP_DETAIL_H

#include <stddef.h>
#include <stdint.h>

#include "../schema/event.h"

struct detail { /* zeroed: empty */
    char data[2000];
    size_t len;
    int open; /* a list */
};

/* A member of the object. An absent text (data NULL) adds nothing. Control characters, quotes and
 * bytes that are not ASCII are written as \u00XX (each byte by itself). */
void detail_text(struct detail *detail, const char *name, struct text value);
void detail_number(struct detail *detail, const char *name, uint64_t value);

/* A member that is a list of texts: begin, items, end. */
void detail_list(struct detail *detail, const char *name);
void detail_item(struct detail *detail, struct text value);
void detail_list_end(struct detail *detail);

/* The object, borrowed from the builder; nothing may be added afterwards. TEXT_NONE where it has
 * no member. */
struct text detail_json(struct detail *detail);

#endif
