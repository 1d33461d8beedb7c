/*
 * The layers of a flow as a tree. The rows may come from anybody's file: a row is drawn once, where
 * its parent comes before it, so that no loop of parents can lead anywhere.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "show.h"

enum { LAYERS_MOST = 1000 };

struct layer_line {
    int64_t id;
    unsigned depth;
    char *text;
    size_t after; /* index of the line it is drawn behind; itself: at the top */
};

enum layer_column {
    L_ID,
    L_PARENT,
    L_RELATION,
    L_PROTOCOL,
    L_EXPECTED,
    L_CLIENT,
    L_SERVER,
    L_PACKET,
    L_NDPI,
    L_DETAIL,
    L_CLIENT_HEAD,
    L_SERVER_HEAD
};

static void head(struct buffer *text, struct query *query, int column, const char *side)
{
    if (listing_is_null(query, column))
        return;
    struct text bytes = query_text(query, column);
    if (bytes.len == 0)
        return;
    if (bytes.len > 24)
        bytes.len = 24;
    buffer_format(text, "  %s begins \"", side);
    buffer_add(text, bytes.data, bytes.len);
    buffer_word(text, "\"");
}

static char *line_text(struct query *query, unsigned safety)
{
    struct buffer text = {0};
    listing_text(&text, query, L_PROTOCOL);
    if (listing_is(query, L_RELATION, "switch"))
        buffer_word(&text, "  (switched to)");
    else if (listing_is(query, L_RELATION, "carry"))
        buffer_word(&text, "  (carried inside)");
    if (!listing_is_null(query, L_EXPECTED)) {
        struct text expected = query_text(query, L_EXPECTED), found = query_text(query, L_PROTOCOL);
        if (expected.len != found.len || memcmp(expected.data, found.data, found.len) != 0) {
            buffer_word(&text, "  expected ");
            listing_text(&text, query, L_EXPECTED);
        }
    }
    buffer_format(&text, "  client @%" PRId64 "  server @%" PRId64, listing_int(query, L_CLIENT, 0),
                  listing_int(query, L_SERVER, 0));
    if (!listing_is_null(query, L_PACKET))
        buffer_format(&text, "  packet %" PRId64, listing_int(query, L_PACKET, 0));
    if (!listing_is_null(query, L_NDPI)) {
        buffer_word(&text, "  nDPI: ");
        listing_text(&text, query, L_NDPI);
    }
    if (!listing_is_null(query, L_DETAIL)) {
        buffer_word(&text, "  ");
        listing_text(&text, query, L_DETAIL);
    }
    head(&text, query, L_CLIENT_HEAD, "client");
    head(&text, query, L_SERVER_HEAD, "server");
    struct buffer safe = {0};
    buffer_safe(&safe, (struct text){buffer_text(&text), text.len}, safety);
    buffer_release(&text);
    return safe.data;
}

static size_t line_find(const struct layer_line *lines, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (lines[i].id == id)
            return i;
    }
    return count;
}

static void lines_print(struct show *show, const struct layer_line *lines, size_t count,
                        size_t parent)
{
    for (size_t i = parent + 1; i < count; i++) {
        if (lines[i].after != parent || lines[i].text == NULL)
            continue;
        output_format(show->out, "  %*s%s", (int)(lines[i].depth > 20 ? 60 : lines[i].depth * 3),
                      "", lines[i].depth > 0 ? "`- " : "");
        output_word(show->out, lines[i].text);
        output_word(show->out, "\n");
        lines_print(show, lines, count, i);
    }
}

void show_layers(struct show *show)
{
    struct layer_line *lines = calloc(LAYERS_MOST, sizeof *lines);
    struct query *query = show_query(
        show, "SELECT id, parent_id, relation, protocol, expected, client_offset, server_offset, "
              "packet, ndpi_protocol, detail, client_head, server_head FROM layer "
              "WHERE flow_id = :flow ORDER BY id");
    size_t count = 0;
    if (lines == NULL || query == NULL) {
        free(lines);
        if (query != NULL)
            query_free(query);
        return;
    }
    while (count < LAYERS_MOST && show_step(show, query)) {
        struct layer_line *line = &lines[count];
        int64_t parent = listing_int(query, L_PARENT, 0);
        size_t at = line_find(lines, count, parent);
        *line = (struct layer_line){.id = listing_int(query, L_ID, 0)};
        line->text = line_text(query, output_safety(show->out));
        line->after = at < count ? at : SIZE_MAX;
        line->depth = at < count ? lines[at].depth + 1 : 0;
        count++;
    }
    if (count > 0)
        show_title(show, "Layers");
    lines_print(show, lines, count, SIZE_MAX);
    if (count == LAYERS_MOST)
        output_word(show->out, "  ... and more\n");
    for (size_t i = 0; i < count; i++)
        free(lines[i].text);
    free(lines);
    query_free(query);
}
