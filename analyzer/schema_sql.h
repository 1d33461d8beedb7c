/*
 * The SQL of schema/, embedded at build time by schema/embed.sh.
 */
#ifndef SWITCHTAP_SCHEMA_SQL_H
#define SWITCHTAP_SCHEMA_SQL_H

#include "database.h" /* database_named_queries */

extern const char schema_tables_sql[];
extern const char schema_indexes_sql[];
extern const char schema_indexes_frame_sql[]; /* a new file gets them at the end */
extern const char schema_views_sql[];
extern const char schema_cross_sql[]; /* :capture; needs websocket_accept() */
extern const char schema_cross_layers_sql[]; /* :capture; after the one before */
extern const char schema_remove_sql[]; /* :fingerprint */
extern const char schema_continue_sql[]; /* :capture; `before` is attached, temp.open_flow filled */

#endif
