/*
 * What a proxy changed: the two sessions of a pair of hops side by side, where they differ.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "show.h"

/* One value per row: its name, what the client's side has, what the upstream side has. */
static const char difference_sql[] =
    "WITH fields(n, name, near, far) AS ("
    " SELECT 0, 'host', a.host, b.host FROM session a, session b WHERE a.id=:near AND b.id=:far"
    " UNION ALL SELECT 1, 'target', a.target, b.target FROM session a, session b"
    "  WHERE a.id=:near AND b.id=:far"
    " UNION ALL SELECT 2, 'method', a.method, b.method FROM session a, session b"
    "  WHERE a.id=:near AND b.id=:far"
    " UNION ALL SELECT 3, 'offered', a.offered, b.offered FROM session a, session b"
    "  WHERE a.id=:near AND b.id=:far"
    " UNION ALL SELECT 4, 'outcome', a.outcome, b.outcome FROM session a, session b"
    "  WHERE a.id=:near AND b.id=:far"
    " UNION ALL SELECT 5, 'status', a.status, b.status FROM session a, session b"
    "  WHERE a.id=:near AND b.id=:far"
    " UNION ALL SELECT 6, 'end', a.end_reason, b.end_reason FROM session a, session b"
    "  WHERE a.id=:near AND b.id=:far"
    " UNION ALL SELECT 7, 'extensions', a.extensions, b.extensions FROM websocket a, websocket b"
    "  WHERE a.session_id=:near AND b.session_id=:far"
    " UNION ALL SELECT 8, 'subprotocol', a.subprotocol, b.subprotocol FROM websocket a,"
    "  websocket b WHERE a.session_id=:near AND b.session_id=:far"
    " UNION ALL SELECT 9, 'client messages', a.client_messages, b.client_messages"
    "  FROM websocket a, websocket b WHERE a.session_id=:near AND b.session_id=:far"
    " UNION ALL SELECT 10, 'server messages', a.server_messages, b.server_messages"
    "  FROM websocket a, websocket b WHERE a.session_id=:near AND b.session_id=:far"
    "), both(session_id, message, name, value) AS ("
    " SELECT session_id, message, lower(name), group_concat(value, ', ') FROM ("
    "  SELECT * FROM header WHERE session_id IN (:near, :far) ORDER BY message, position)"
    " GROUP BY session_id, message, lower(name)"
    "), names(message, name) AS (SELECT DISTINCT message, name FROM both)"
    " SELECT name, near, far FROM fields WHERE near IS NOT far"
    " UNION ALL SELECT CASE message WHEN 'request' THEN '> ' ELSE '< ' END || n.name,"
    "  (SELECT value FROM both b WHERE b.session_id=:near AND b.message=n.message"
    "   AND b.name=n.name) AS near,"
    "  (SELECT value FROM both b WHERE b.session_id=:far AND b.message=n.message"
    "   AND b.name=n.name) AS far"
    " FROM names n WHERE near IS NOT far";

static void pair(struct show *show, int64_t near, int64_t far)
{
    struct query *query = show_query(show, difference_sql);
    if (query == NULL)
        return;
    (void)query_bind_int(query, "near", near);
    (void)query_bind_int(query, "far", far);
    output_format(show->out,
                  "  session %" PRId64 " is forwarded as session %" PRId64 "; what differs:\n\n",
                  near, far);
    char before[48], behind[48];
    (void)snprintf(before, sizeof before, "SESSION %" PRId64, near);
    (void)snprintf(behind, sizeof behind, "SESSION %" PRId64 " (BEHIND IT)", far);
    const struct column columns[] = {
        {"", 0, 0, 0}, {"DIFFERS", 0, 12, 0}, {before, 0, 12, 0}, {behind, 0, 12, 0}};
    struct rows *rows = rows_new(show->out, FORMAT_TABLE, columns, 4);
    while (rows != NULL && show_step(show, query)) {
        rows_text(rows, text_of(""));
        for (int i = 0; i < 3; i++) {
            if (listing_is_null(query, i)) {
                rows_text(rows, text_of("-"));
                rows_style(rows, STYLE_DIM);
            } else {
                rows_cell(rows, query, i);
            }
        }
        rows_end(rows);
    }
    if (rows != NULL && rows_finish(rows) == 0)
        output_word(show->out, "  nothing\n");
    query_free(query);
}

void show_hops(struct show *show)
{
    enum { MOST = 20 };
    int64_t near[MOST], far[MOST];
    size_t count = 0;
    struct query *query = show_query(
        show, "SELECT hop_of, id FROM session WHERE (id = :session OR hop_of = :session) AND "
              "hop_of IS NOT NULL ORDER BY id");
    if (query == NULL)
        return;
    while (count < MOST && show_step(show, query)) {
        near[count] = listing_int(query, 0, 0);
        far[count++] = listing_int(query, 1, 0);
    }
    query_free(query);
    if (count > 0)
        show_title(show, "Hops");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            output_word(show->out, "\n");
        pair(show, near[i], far[i]);
    }
}
