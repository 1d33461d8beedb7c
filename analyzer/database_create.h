/*
 * Opening a database for writing: made where there is none, refused where it is somebody else's.
 * For store.c and database.c, which are the ones that may know SQLite.
 */
#ifndef SWITCHTAP_DATABASE_CREATE_H
#define SWITCHTAP_DATABASE_CREATE_H

#include <sqlite3.h>

#include "error.h"

enum {
    DATABASE_APPLICATION_ID = 0x53775461, /* "SwTa" */
    DATABASE_VERSION = 1                  /* PRAGMA user_version */
};

struct database_writer {
    sqlite3 *db;
    int lock_fd; /* holds the writer's lock; -1 */
    int created; /* the file was made by this call */
    int fresh;   /* nothing was in it: the frame indexes are for database_writer_index() */
};

/* live: WAL, so that readers never stand in the way. 0, or -1 with a message; a file that is not
 * ours is left as it was. */
int database_writer_open(struct database_writer *writer, const char *path, int live,
                         struct error *error);

/* Makes the frame indexes that are missing. A SQLite result. */
int database_writer_index(struct database_writer *writer);

/* Leaves one plain file behind where no reader is in the way. remove: the path of a file that is to
 * go, or NULL. */
void database_writer_close(struct database_writer *writer, const char *remove);

/* What a failed SQLite call means for a person, with what to do. Returns -1. */
int database_explain(sqlite3 *db, int result, const char *path, struct error *error);

/* "file:..." for sqlite3_open_v2, whatever the path looks like; `query` is appended. Returns the
 * heap, or NULL. */
char *database_uri(const char *path, const char *query);

/* The settings that make a file of unknown origin harmless. A SQLite result. */
int database_harden(sqlite3 *db);

/* Runs all statements of a script with :capture and :fingerprint bound. A SQLite result. */
int database_script(sqlite3 *db, const char *sql, sqlite3_int64 capture, const char *fingerprint);

/* The rules that compare connections or layers, for one capture. A SQLite result. */
int database_cross(sqlite3 *db, sqlite3_int64 capture);

/* The same for all captures that no run has finished, over copies of `finding` and `session` that
 * stand in front of the tables of the file, in this connection only. A SQLite result. */
int database_cross_aside(sqlite3 *db);

/* An integer that a statement returns, or `otherwise`. */
sqlite3_int64 database_integer(sqlite3 *db, const char *sql, sqlite3_int64 otherwise);

#endif
